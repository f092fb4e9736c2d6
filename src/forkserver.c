/* SPDX-License-Identifier: MIT */
/*
 * The fork server: a small process, spawned once, that forks on request.
 *
 * Each process that uses it has its own. They talk over one channel: a request
 * is a token and handles (the start block, the status pipe, the arguments'
 * handles), the reply a pid or a sentence. The server reaps its children and
 * writes their exit codes into their status pipes, which are the sentinels.
 *
 * A child holds the writing end of its status pipe, too. So the end of file
 * comes when both server and child are gone: killing the server ends nobody's
 * life and nobody's join() early, except that daemons die with it. The next
 * start gets a new server.
 *
 * The server ends when its channel does, that is, with its parent.
 */
#include "connection.h"
#include "state.h"

#include <multiproc/args.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    /* The first handles of a request. */
    MEMORY_HANDLE = 0,
    STATUS_HANDLE = 1,
    OWN_HANDLES = 2,
};

typedef struct start_request {
    unsigned char token[MPI_TOKEN_SIZE];
    uint32_t is_daemon;
    uint32_t handle_count; /* so many go along */
} start_request;

typedef struct start_reply {
    int32_t error;
    int64_t pid;
    char sentence[200];
} start_reply;

/* -- The server's side ----------------------------------------------------- */

typedef struct server_child {
    mpos_process os;
    mpos_handle status;
    bool is_daemon;
} server_child;

typedef struct server_state {
    mpos_handle control;
    server_child *children;
    mpos_wait_item *items; /* control, then one a child */
    size_t count;
    size_t capacity;
} server_state;

static void server_free(server_state *server)
{
    for (size_t i = 0; i < server->count; i++) {
        mpos_process_close(&server->children[i].os);
        mpos_close(server->children[i].status);
    }
    free(server->children);
    free(server->items);
    *server = (server_state){.control = server->control};
}

static bool has_room(server_state *server)
{
    size_t capacity = server->capacity == 0 ? 16 : server->capacity * 2;
    server_child *children;
    mpos_wait_item *items;

    if (server->count < server->capacity)
        return true;
    children = mpi_realloc(server->children, capacity * sizeof(*children));
    if (children == NULL)
        return false;
    server->children = children;
    items = mpi_realloc(server->items, (capacity + 1) * sizeof(*items));
    if (items == NULL)
        return false;
    server->items = items;
    server->capacity = capacity;
    return true;
}

MP_NORETURN static void become_child(server_state *server,
                                     const start_request *request,
                                     const mpos_handle *handles, size_t count,
                                     int64_t server_pid)
{
    mpi_transport transport = {0};
    mpi_block block;
    size_t index;
    mp_error err;

    mpi_state_after_fork(&transport); /* which closes the control channel */
    mpos_ignore_interrupts(false);
    server_free(server);
    mpi_state.status = handles[STATUS_HANDLE];
    err = mpi_block_open(&block, handles[MEMORY_HANDLE], request->token);
    for (size_t i = OWN_HANDLES; err == MP_OK && i < count; i++)
        err = mpi_transport_add(&transport, handles[i], &index);
    if (err != MP_OK) {
        mpi_complain("can't start a child: ");
        mpos_exit(1);
    }
    mpi_child_run(&block, &transport, MPI_ROLE_FORKED, server_pid);
}

static mp_error fork_child(server_state *server, const start_request *request,
                           const mpos_handle *handles, size_t count)
{
    server_child child = {.is_daemon = request->is_daemon != 0};
    int64_t server_pid = mpos_pid();
    bool is_child = false;
    mp_error err;

    if (!has_room(server))
        return mpi_no_memory();
    err = mpos_fork(&child.os, &is_child);
    if (is_child)
        become_child(server, request, handles, count, server_pid);
    if (err != MP_OK)
        return err;
    child.status = handles[STATUS_HANDLE];
    server->children[server->count++] = child;
    return MP_OK;
}

/* The newest child, or why there is none. */
static mp_error reply_with(server_state *server, mp_error err)
{
    start_reply reply = {.error = err};
    mpos_bytes part = {&reply, sizeof(reply)};
    size_t written;

    if (err == MP_OK) {
        reply.pid = server->children[server->count - 1].os.pid;
    } else {
        snprintf(reply.sentence, sizeof(reply.sentence), "%s",
                 mp_error_message());
    }
    return mpos_write(server->control, &part, 1, &written);
}

static mp_error answer(server_state *server, const start_request *request,
                       const mpos_handle *handles, size_t count)
{
    mp_error err = fork_child(server, request, handles, count);
    mp_error reply_err = reply_with(server, err);

    for (size_t i = 0; i < count; i++)
        if (i != STATUS_HANDLE || err != MP_OK)
            mpos_close(handles[i]);
    return reply_err;
}

/* All of it, or none: *got 0. */
static mp_error recv_request(server_state *server, start_request *request,
                             size_t *got, mpos_arrivals *arrived)
{
    mp_error err = mpos_recv_handles(server->control,
                                     &(mpos_room){request, sizeof(*request)}, 1,
                                     got, arrived);

    while (err == MP_OK && *got > 0 && *got < sizeof(*request)) {
        size_t step = 0;

        err = mpos_read(server->control, (char *)request + *got,
                        sizeof(*request) - *got, &step);
        *got = step == 0 ? 0 : *got + step;
    }
    return err;
}

static bool serve_arrived(server_state *server, const start_request *request,
                          mpos_arrivals *arrived)
{
    if (!arrived->is_cut && arrived->count == request->handle_count &&
        arrived->count >= OWN_HANDLES)
        return answer(server, request, arrived->handles, arrived->count) ==
               MP_OK;
    for (size_t i = 0; i < arrived->count; i++)
        mpos_close(arrived->handles[i]);
    /* This one is lost; there are others to live on. */
    return reply_with(server,
                      mpi_fail(MP_EMFILE,
                               "the fork server has no room for more "
                               "than %zu of %u handles",
                               arrived->count, request->handle_count)) == MP_OK;
}

/* False: the parent has closed its end or is gone. */
static bool serve_request(server_state *server)
{
    mpos_arrivals arrived = {.count = 0};
    start_request request;
    size_t got = 0;
    mp_error err = recv_request(server, &request, &got, &arrived);

    if (err == MP_OK && got > 0)
        return serve_arrived(server, &request, &arrived);
    for (size_t i = 0; i < arrived.count; i++)
        mpos_close(arrived.handles[i]);
    return false;
}

static void report_end(server_state *server, size_t index)
{
    server_child *child = &server->children[index];
    int code = 0;
    int64_t status;
    mpos_bytes part = {&status, sizeof(status)};
    size_t written;
    mp_error err = mpos_look(&child->os, &code);

    if (err != MP_OK && err != MP_ENOTFOUND)
        return;
    status = code;
    /* While its number can't be another's yet: whoever looks the number up
     * sees this afterwards, and knows (attach_if_needed). With MP_ENOTFOUND
     * the child's own word counts: end of file. */
    if (err == MP_OK)
        (void)mpos_write(child->status, &part, 1, &written);
    (void)mpos_reap(&child->os, 0, &code);
    mpos_close(child->status);
    mpos_process_close(&child->os);
    *child = server->children[--server->count];
}

static bool serve_once(server_state *server)
{
    server->items[0] = (mpos_wait_item){server->control, MPOS_WAIT_READ, false};
    for (size_t i = 0; i < server->count; i++)
        server->items[i + 1] = (mpos_wait_item){server->children[i].os.sentinel,
                                                MPOS_WAIT_PROCESS, false};
    if (mpos_wait(server->items, server->count + 1, MPOS_FOREVER) != MP_OK)
        return false;
    /* Backwards, since the last one takes an ended one's place. */
    for (size_t i = server->count; i > 0; i--)
        if (server->items[i].is_ready)
            report_end(server, i - 1);
    return !server->items[0].is_ready || serve_request(server);
}

static bool preload(const mp_args *args)
{
    mp_function function;
    mp_args inner = {.name = "preload"};
    const mp_obj *item;
    int code;

    if (mp_args_get(args, 1, &item) != MP_OK || mp_obj_is_none(item))
        return true;
    if (mp_obj_as_function(item, &function) != MP_OK ||
        mp_args_get(args, 2, &item) != MP_OK)
        return false;
    inner.tuple = mp_obj_ref(item);
    inner.dict = mp_obj_dict(NULL, 0);
    code = function(&inner);
    mp_obj_unref(inner.tuple);
    mp_obj_unref(inner.dict);
    fflush(stdout);
    fflush(stderr);
    if (code == 0)
        return true;
    mpi_fail(MP_ESTATE, "the preload function returned %d, not 0", code);
    mpi_complain("");
    return false;
}

int mpi_forkserver_serve(mp_args *args)
{
    server_state server = {0};

    mpos_ignore_interrupts(true);
    if (mp_connection_fileno(mp_arg_connection(args, 0), &server.control) !=
            MP_OK ||
        !has_room(&server) || !preload(args)) {
        server_free(&server);
        return 1;
    }
    while (serve_once(&server))
        ;
    for (size_t i = 0; i < server.count; i++)
        if (server.children[i].is_daemon)
            (void)mpos_send_signal(&server.children[i].os, MPOS_TERMINATE);
    server_free(&server);
    return 0;
}

/* -- The parent's side ----------------------------------------------------- */

/* One request at a time. */
mpos_mutex mpi_forkserver_mutex = MPOS_MUTEX_INIT;

static struct {
    mp_process *process;
    mpos_handle control;
    mp_function preload;
    mp_obj *preload_args;
} client = {.control = MPOS_NONE};

static void forget_server(void)
{
    mpos_close(client.control);
    client.control = MPOS_NONE;
    mpi_process_free(client.process);
    client.process = NULL;
}

static mp_obj *server_arguments(mp_connection *end)
{
    mp_obj *items[3] = {
        mp_obj_connection(end),
        client.preload == NULL ? mp_obj_none()
                               : mp_obj_function(client.preload),
        client.preload_args == NULL ? mp_obj_tuple(NULL, 0)
                                    : mp_obj_ref(client.preload_args),
    };
    return mp_obj_tuple(items, 3);
}

static mp_process *describe_server(mp_connection *end)
{
    mp_process *process = mpi_process_new("forkserver", "");

    if (process == NULL)
        return NULL;
    process->target = mpi_forkserver_serve;
    process->target_name = mpi_strdup("forkserver");
    if (process->target_name == NULL) {
        mpi_process_free(process);
        return NULL;
    }
    process->args.tuple = server_arguments(end);
    process->args.dict = mp_obj_dict(NULL, 0);
    return process;
}

static mp_error start_with(mp_connection *ours, mp_connection *theirs)
{
    mp_process *process = describe_server(theirs);
    intptr_t control;
    mp_error err = process == NULL ? mpi_no_memory()
                                   : mp_connection_fileno(ours, &control);

    /* First, so that nothing can fail once there is a server. */
    if (err == MP_OK)
        err = mpos_duplicate(control, &client.control);
    if (err == MP_OK)
        err = mpi_start_spawn(process);
    client.process = process;
    if (err != MP_OK) {
        forget_server();
        return err;
    }
    mpi_process_drop_work(process);
    (void)mpi_block_keep_page(&process->block);
    mpi_run_set(process, MPI_RUN_STARTED);
    return MP_OK;
}

static mp_error start_server(void)
{
    mp_connection *ours, *theirs;
    /* What goes over it is no messages. */
    const mp_pipe_options options = {.is_stream = true};
    mp_error err = mp_pipe(&ours, &theirs, &options);

    if (err != MP_OK)
        return err;
    err = start_with(ours, theirs);
    mp_connection_close(ours);
    mp_connection_close(theirs);
    return err;
}

/*
 * It ends by itself when its channel does; a preload function that never
 * returns must not keep us. Its exit code.
 */
static int stop_server(void)
{
    mp_process *process = client.process;
    int code;

    mpos_close(client.control);
    client.control = MPOS_NONE;
    if (mpi_process_wait(process, mpi_deadline(1)) != MP_OK) {
        (void)mpos_send_signal(&process->os, MPOS_KILL);
        (void)mpi_process_wait(process, MPOS_FOREVER);
    }
    code = process->exitcode;
    forget_server();
    return code;
}

static mp_error read_reply(start_reply *reply)
{
    size_t done = 0;

    while (done < sizeof(*reply)) {
        size_t got = 0;
        mp_error err = mpos_read(client.control, (char *)reply + done,
                                 sizeof(*reply) - done, &got);
        /* Whatever the cause, the next reply would be taken for this one. */
        if (err != MP_OK || got == 0)
            return MP_EPIPE;
        done += got;
    }
    return MP_OK;
}

static mp_error send_request(const start_request *request,
                             const mpos_handle *handles)
{
    mpos_bytes parts[2] = {{request, sizeof(*request)}, {NULL, 0}};
    size_t written = 0;
    mp_error err = mpos_send_handles(client.control, parts, handles,
                                     request->handle_count, &written);

    while (err == MP_OK && written < parts[0].size) {
        parts[0].data = (const char *)parts[0].data + written;
        parts[0].size -= written;
        err = mpos_write(client.control, parts, 1, &written);
    }
    return err;
}

static mp_error ask_server(const mp_process *process,
                           const mpi_transport *transport, mpos_handle status,
                           start_reply *reply)
{
    mpos_handle handles[MPOS_HANDLES_MAX] = {
        [MEMORY_HANDLE] = process->block.memory,
        [STATUS_HANDLE] = status,
    };
    start_request request = {.is_daemon = process->is_daemon};
    mp_error err;

    if (transport->count > MPOS_HANDLES_MAX - OWN_HANDLES)
        return mpi_fail(MP_EOVERFLOW,
                        "%zu handles are too many for the fork server, which "
                        "takes %d",
                        transport->count, MPOS_HANDLES_MAX - OWN_HANDLES);
    request.handle_count = (uint32_t)(transport->count + OWN_HANDLES);
    memcpy(request.token, process->block.page->token, sizeof(request.token));
    if (transport->count > 0)
        memcpy(handles + OWN_HANDLES, transport->handles,
               transport->count * sizeof(handles[0]));
    if (client.process == NULL) {
        err = start_server();
        if (err != MP_OK)
            return mpi_context(err, "can't start the fork server");
    }
    err = send_request(&request, handles);
    return err == MP_OK ? read_reply(reply) : err;
}

/*
 * The server died on our request. If the child has arrived it is ours all the
 * same, and told its pid in the page; else it never shall.
 */
static mp_error settle_lost_request(mp_process *process, start_reply *reply)
{
    mpi_start_page *page = process->block.page;
    int code = stop_server();

    if (mpi_atomic32_change(&page->phase, 0, MPI_PHASE_CANCELLED))
        return mpi_fail(MP_EPIPE, "the fork server died with exit code %d",
                        code);
    *reply = (start_reply){.pid = page->pid};
    return MP_OK;
}

/* Not so if it is another handle of the request's that is bad. */
static bool is_control_lost(void)
{
    mpos_handle copy;
    mp_error err = mpos_duplicate(client.control, &copy);

    if (err == MP_OK)
        mpos_close(copy);
    return err == MP_ECLOSED;
}

/* Somebody has closed our descriptors, as daemons do. They are not closed again
 * here: the numbers may be others' by now. */
static mp_error abandon_server(void)
{
    client.control = MPOS_NONE;
    client.process->os.sentinel = MPOS_NONE;
    forget_server();
    return MP_EPIPE;
}

/* With the mutex held, so that no child that another thread forks meanwhile
 * keeps the status pipe open. */
static mp_error request_child(mp_process *process,
                              const mpi_transport *transport,
                              mpos_handle *status)
{
    mpos_handle writer;
    start_reply reply = {0};
    /* Both ways would not be needed, but costs less. */
    mp_error err = mpos_channel(status, &writer, NULL);

    if (err != MP_OK)
        return err;
    /* A number that is given out anew was closed behind our back. */
    if (client.process != NULL &&
        (client.control == *status || client.control == writer))
        err = abandon_server();
    else
        err = ask_server(process, transport, writer, &reply);
    if (client.process != NULL && err == MP_EPIPE)
        err = settle_lost_request(process, &reply);
    else if (client.process != NULL && err == MP_ECLOSED && is_control_lost())
        err = abandon_server();
    mpos_close(writer);
    if (err == MP_OK && reply.error != MP_OK) {
        reply.sentence[sizeof(reply.sentence) - 1] = 0;
        err = mpi_fail((mp_error)reply.error, "%s", reply.sentence);
    }
    if (err != MP_OK) {
        mpos_close(*status);
        return err;
    }
    process->os.pid = reply.pid;
    return MP_OK;
}

static mp_error try_once(mp_process *process)
{
    mpi_transport transport = {0};
    mpos_handle status;
    mp_error err = mpi_start_encode(process, &transport, true);

    if (err == MP_OK) {
        mpos_mutex_lock(&mpi_forkserver_mutex);
        err = request_child(process, &transport, &status);
        mpos_mutex_unlock(&mpi_forkserver_mutex);
    }
    if (err == MP_OK)
        mpi_start_keep_parcel(process, &transport);
    mpi_transport_free(&transport);
    if (err != MP_OK) {
        mpi_block_close(&process->block);
        return err;
    }
    process->status = status;
    return MP_OK;
}

mp_error mpi_start_forkserver(mp_process *process)
{
    mp_error err = mpi_guard_check();

    if (err != MP_OK)
        return err;
    err = try_once(process);
    /* It died before it did anything for us: a new one will. A second death
     * has its reason in the preload function, and is reported. */
    return err == MP_EPIPE ? try_once(process) : err;
}

mp_error mp_set_forkserver_preload(mp_function function, mp_obj *args)
{
    mp_error err = args == NULL ? MP_OK : mp_obj_error(args);

    if (err == MP_OK && args != NULL && mp_obj_type(args) != MP_TYPE_TUPLE)
        err = mpi_fail(MP_EINVAL, "args must be a tuple, MP_ARGS(...), not %s",
                       mp_obj_type_name(args));
    mpos_mutex_lock(&mpi_forkserver_mutex);
    if (err == MP_OK && client.process != NULL)
        err = mpi_fail(MP_ESTATE, "the fork server is running already");
    if (err == MP_OK) {
        mp_obj *old = client.preload_args;

        client.preload = function;
        client.preload_args = args;
        args = old;
    }
    mpos_mutex_unlock(&mpi_forkserver_mutex);
    mp_obj_unref(args);
    return err;
}

void mpi_forkserver_stop(void)
{
    if (client.process != NULL)
        (void)stop_server();
}

void mpi_forkserver_after_fork(void)
{
    forget_server();
}
