/* SPDX-License-Identifier: MIT */
/*
 * Starting a process: one description of the child, encoded before anything
 * exists, and three ways to make a process of it. The fork server's way is in
 * forkserver.c.
 */
#include "pickle.h"
#include "state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- The description ------------------------------------------------------- */

static mp_obj *text_or_none(const char *text)
{
    return text == NULL ? mp_obj_none() : mp_obj_str(text);
}

/* Another thread may be setting it. */
static mp_obj *executable_or_none(void)
{
    mp_obj *text;

    mpos_mutex_lock(&mpi_state.mutex);
    text = text_or_none(mpi_state.executable);
    mpos_mutex_unlock(&mpi_state.mutex);
    return text;
}

/* dict[key] = value, unless something has failed before. */
static void put(mp_obj *dict, const char *key, mp_obj *value, mp_error *err)
{
    if (*err == MP_OK)
        *err = mp_obj_set_item(dict, mp_obj_str(key), value);
    else
        mp_obj_unref(value);
}

/* After a function of the user's, which need not leave a sentence. */
static mp_error fail_of_type(mp_error err, const mp_process_type *type,
                             const char *function)
{
    const char *cause = mp_error_message();

    return mpi_fail(err, "%s of %s: %s", function,
                    type->name == NULL ? "a process type" : type->name,
                    *cause == 0 ? mp_strerror(err) : cause);
}

static mp_error put_state(mp_obj *dict, const mp_process *process)
{
    const mp_process_type *type = process->type;
    mp_error err = MP_OK;
    mp_obj *state;

    if (type->get_state == NULL) {
        put(dict, "fields", mp_obj_bytes(process->fields, type->size), &err);
        return err;
    }
    mpi_forget_failure();
    state = type->get_state(process->fields);
    if (mp_obj_error(state) != MP_OK)
        err = fail_of_type(mp_obj_error(state), type, "get_state");
    put(dict, "fields", state, &err);
    return err;
}

static mp_error put_type(mp_obj *dict, const mp_process *process)
{
    const mp_process_type *type = process->type;
    const void *run = (const void *)(uintptr_t)type->run;
    mp_obj *where;
    mp_error err = mpi_static_reduce(type, run, &where);

    if (err != MP_OK)
        return err;
    put(dict, "type", where, &err);
    return err == MP_OK ? put_state(dict, process) : err;
}

static mp_error put_target(mp_obj *dict, const mp_process *process)
{
    bool is_server = process->target == mpi_forkserver_serve;
    mp_error err = MP_OK;

    /* None: the fork server of the program that is run, which may be another
     * one. */
    put(dict, "type", mp_obj_none(), &err);
    put(dict, "target",
        is_server ? mp_obj_none() : mp_obj_function(process->target), &err);
    put(dict, "target_name", mp_obj_str(process->target_name), &err);
    put(dict, "args", mp_obj_ref(process->args.tuple), &err);
    put(dict, "kwargs", mp_obj_ref(process->args.dict), &err);
    return err;
}

static mp_error put_work(mp_obj *dict, const mp_process *process)
{
    return process->type != NULL ? put_type(dict, process)
                                 : put_target(dict, process);
}

static mp_error describe(const mp_process *process, mp_obj *dict)
{
    const mp_process *current = mp_current_process();
    const void *key = process->authkey;
    uint64_t start_time;
    mp_error err = mpi_own_start_time(&start_time);

    if (err != MP_OK)
        return err;
    put(dict, "name", mp_obj_str(process->name), &err);
    put(dict, "identity", mp_obj_str(process->identity), &err);
    put(dict, "authkey", mp_obj_bytes(key, process->authkey_size), &err);
    put(dict, "daemon", mp_obj_bool(process->is_daemon), &err);
    put(dict, "parent_name", text_or_none(current->name), &err);
    put(dict, "parent_pid", mp_obj_int(mpos_pid()), &err);
    put(dict, "parent_start", mp_obj_int((int64_t)start_time), &err);
    put(dict, "method", mp_obj_int(mp_get_start_method()), &err);
    put(dict, "executable", executable_or_none(), &err);
    if (err != MP_OK)
        return err;
    return put_work(dict, process);
}

/* A directory that has been deleted has no path; the child stays where it
 * is. As bytes, for it need not be UTF-8. */
static mp_error put_directory(mp_obj *dict, bool has_directory)
{
    mp_error err = MP_OK;
    char *path = NULL;

    if (!has_directory || mpos_working_directory(&path) != MP_OK)
        put(dict, "directory", mp_obj_none(), &err);
    else
        put(dict, "directory", mp_obj_bytes(path, strlen(path) + 1), &err);
    free(path);
    return err;
}

/* What we have written comes before what the child writes; and a forked child
 * would write it again. */
static void flush_output(void)
{
    fflush(stdout);
    fflush(stderr);
}

mp_error mpi_start_encode(mp_process *process, mpi_transport *transport,
                          bool has_directory)
{
    mp_obj *dict = mp_obj_dict(NULL, 0);
    mpi_buffer pickle = {0};
    mp_error err = describe(process, dict);

    if (err == MP_OK)
        err = put_directory(dict, has_directory);
    if (err == MP_OK)
        err = mpi_pickle_dump(&pickle, dict, transport);
    if (err == MP_OK)
        err = mpi_block_create(&process->block, transport, &pickle);
    mpi_buffer_free(&pickle);
    mp_obj_unref(dict);
    flush_output();
    return err;
}

/* -- And back -------------------------------------------------------------- */

static mp_error take_text(const mp_obj *dict, const char *key, char **out)
{
    const mp_obj *value;
    const char *text;
    mp_error err = mp_obj_get_str(dict, key, &value);

    if (err == MP_OK)
        err = mp_obj_as_str(value, &text, NULL);
    if (err != MP_OK)
        return err;
    free(*out);
    *out = mpi_strdup(text);
    return *out == NULL ? mpi_no_memory() : MP_OK;
}

static mp_error take_int(const mp_obj *dict, const char *key, int64_t *out)
{
    const mp_obj *value;
    mp_error err = mp_obj_get_str(dict, key, &value);

    return err == MP_OK ? mp_obj_as_int(value, out) : err;
}

static mp_error take_bytes(const mp_obj *dict, const char *key,
                           const void **data, size_t *size)
{
    const mp_obj *value;
    mp_error err = mp_obj_get_str(dict, key, &value);

    return err == MP_OK ? mp_obj_as_bytes(value, data, size) : err;
}

static mp_error take_fields(const mp_obj *dict, mp_process *process)
{
    const mp_process_type *type = process->type;
    const mp_obj *state;
    const void *data;
    size_t size;
    mp_error err = mp_obj_get_str(dict, "fields", &state);

    if (err != MP_OK)
        return err;
    process->fields = mpi_calloc(1, type->size);
    if (process->fields == NULL)
        return mpi_no_memory();
    if (type->set_state != NULL) {
        mpi_forget_failure();
        err = type->set_state(process->fields, state);
        return err == MP_OK ? err : fail_of_type(err, type, "set_state");
    }
    err = mp_obj_as_bytes(state, &data, &size);
    if (err != MP_OK)
        return err;
    if (size != type->size)
        return mpi_fail(MP_EUNPICKLE, "%s has %zu bytes of fields, not %zu",
                        type->name == NULL ? "a process type" : type->name,
                        type->size, size);
    if (size > 0)
        memcpy(process->fields, data, size);
    return MP_OK;
}

static mp_error take_type(const mp_obj *dict, const mp_obj *where,
                          mp_process *process)
{
    const void *type;
    mp_error err = mpi_static_rebuild(where, &type);

    if (err != MP_OK)
        return err;
    process->type = type;
    return take_fields(dict, process);
}

static mp_error take_work(const mp_obj *dict, mp_process *process)
{
    const mp_obj *type, *target, *args, *kwargs;
    mp_error err;

    err = mp_obj_get_str(dict, "type", &type);
    if (err == MP_OK && !mp_obj_is_none(type))
        return take_type(dict, type, process);
    if (err == MP_OK)
        err = mp_obj_get_str(dict, "target", &target);
    process->target = mpi_forkserver_serve;
    if (err == MP_OK && !mp_obj_is_none(target))
        err = mp_obj_as_function(target, &process->target);
    if (err == MP_OK)
        err = take_text(dict, "target_name", &process->target_name);
    if (err == MP_OK)
        err = mp_obj_get_str(dict, "args", &args);
    if (err == MP_OK)
        err = mp_obj_get_str(dict, "kwargs", &kwargs);
    if (err != MP_OK)
        return err;
    process->args.tuple = mp_obj_ref(args);
    process->args.dict = mp_obj_ref(kwargs);
    return MP_OK;
}

static mp_error take_parent(const mp_obj *dict, mp_process **out)
{
    mp_process *parent = mpi_process_new("parent", "");
    int64_t start_time;
    mp_error err;

    if (parent == NULL)
        return mpi_no_memory();
    mpi_run_set(parent, MPI_RUN_STARTED);
    err = take_text(dict, "parent_name", &parent->name);
    if (err == MP_OK)
        err = take_int(dict, "parent_pid", &parent->os.pid);
    if (err == MP_OK)
        err = take_int(dict, "parent_start", &start_time);
    if (err != MP_OK) {
        mpi_process_free(parent);
        return err;
    }
    parent->os.start_time = (uint64_t)start_time;
    *out = parent;
    return MP_OK;
}

static mp_error take_self(const mp_obj *dict, mp_process *process)
{
    const mp_obj *daemon, *executable;
    const void *key;
    size_t size;
    mp_error err = take_text(dict, "name", &process->name);

    if (err == MP_OK)
        err = take_text(dict, "identity", &process->identity);
    if (err == MP_OK)
        err = take_bytes(dict, "authkey", &key, &size);
    if (err == MP_OK)
        err = mp_process_set_authkey(process, key, size);
    if (err == MP_OK)
        err = mp_obj_get_str(dict, "daemon", &daemon);
    if (err == MP_OK)
        err = mp_obj_as_bool(daemon, &process->is_daemon);
    if (err == MP_OK)
        err = mp_obj_get_str(dict, "executable", &executable);
    if (err == MP_OK && !mp_obj_is_none(executable))
        err = take_text(dict, "executable", &mpi_state.executable);
    return err;
}

static void take_directory(const mp_obj *dict)
{
    const mp_obj *value;
    const void *path;
    size_t size;

    if (mp_obj_get_str(dict, "directory", &value) == MP_OK &&
        !mp_obj_is_none(value) &&
        mp_obj_as_bytes(value, &path, &size) == MP_OK && size > 0 &&
        ((const char *)path)[size - 1] == 0)
        (void)mpos_change_directory(path);
}

static mp_error take_all(const mp_obj *dict, mpi_start *start)
{
    int64_t method;
    mp_error err = take_self(dict, start->process);

    if (err == MP_OK)
        err = take_int(dict, "method", &method);
    if (err == MP_OK)
        err = take_parent(dict, &start->parent);
    if (err == MP_OK)
        err = take_work(dict, start->process);
    if (err != MP_OK)
        return err; /* its sentence is the one to be told */
    start->default_method = (mp_start_method)method;
    take_directory(dict);
    return MP_OK;
}

mp_error mpi_start_decode(const mpi_block *block, mpi_transport *transport,
                          mpi_start *start)
{
    size_t size;
    const void *pickle = mpi_block_pickle(block, &size);
    mp_obj *dict;
    mp_error err;

    /* First, so that whatever fails later can be said in its name. */
    *start = (mpi_start){.process = mpi_process_new("child", "")};
    if (start->process == NULL)
        return mpi_no_memory();
    err = mpi_pickle_load(pickle, size, transport, &dict);
    if (err != MP_OK)
        return err;
    err = take_all(dict, start);
    mp_obj_unref(dict);
    return err;
}

/* -- spawn ----------------------------------------------------------------- */

static void write_variable(const mpi_block *block, mpi_buffer *variable)
{
    mpi_buffer_printf(variable, "%s=%lld:", MPI_START_VARIABLE,
                      (long long)block->memory);
    for (size_t i = 0; i < MPI_TOKEN_SIZE; i++)
        mpi_buffer_printf(variable, "%02x", block->page->token[i]);
}

static mp_error spawn_with(mp_process *process, mpi_transport *transport,
                           const char *variable)
{
    char *no_arguments[] = {"", NULL};
    mp_obj *program = executable_or_none();
    mpos_spawn_options options = {
        .argv = mpi_state.argv == NULL ? no_arguments : mpi_state.argv,
        .variable = variable,
        .dies_with_parent = process->is_daemon,
    };
    size_t index;
    mp_error err = mpi_transport_add(transport, process->block.memory, &index);

    if (err == MP_OK && !mp_obj_is_none(program))
        err = mp_obj_as_str(program, &options.program, NULL);
    if (err == MP_OK) {
        options.handles = transport->handles;
        options.handle_count = transport->count;
        err = mpos_spawn(&process->os, &options);
    }
    mp_obj_unref(program);
    return err;
}

mp_error mpi_start_spawn(mp_process *process)
{
    mpi_transport transport = {0};
    mpi_buffer variable = {0};
    mp_error err = mpi_guard_check();

    if (err != MP_OK)
        return err;
    err = mpi_start_encode(process, &transport, false);
    if (err != MP_OK)
        goto fail;
    write_variable(&process->block, &variable);
    err = variable.has_failed
              ? mpi_no_memory()
              : spawn_with(process, &transport, (char *)variable.data);
    if (err != MP_OK)
        goto fail;
    mpi_buffer_free(&variable);
    mpi_transport_free(&transport);
    return MP_OK;

fail:
    mpi_block_close(&process->block);
    mpi_buffer_free(&variable);
    mpi_transport_free(&transport);
    return err;
}

/* -- fork ------------------------------------------------------------------ */

static mp_error fork_now(mp_process *process, const mpi_transport *handles)
{
    int64_t parent_pid = mpos_pid();
    bool is_child = false;
    mp_error err;

    mpi_fork_prepare();
    err = mpos_fork(&process->os, &is_child);
    if (is_child)
        mpi_child_run_forked(process, parent_pid, handles);
    mpi_fork_parent();
    return err;
}

/*
 * A forked child has the arguments in its memory. They are encoded all the
 * same, so that what can't travel is refused by every start method alike; what
 * would tell the child who it is, is not.
 */
static mp_error check_work(const mp_process *process, mpi_transport *transport)
{
    mp_obj *dict = mp_obj_dict(NULL, 0);
    mpi_buffer pickle = {0};
    mp_error err = put_work(dict, process);

    if (err == MP_OK)
        err = mpi_pickle_dump(&pickle, dict, transport);
    mpi_buffer_free(&pickle);
    mp_obj_unref(dict);
    return err;
}

static mp_error start_fork(mp_process *process)
{
    mpi_transport transport = {0};
    mp_error err = check_work(process, &transport);

    if (err == MP_OK)
        err = mpi_block_create_for_fork(&process->block);
    if (err == MP_OK) {
        flush_output();
        err = fork_now(process, &transport);
    }
    mpi_transport_free(&transport);
    if (err != MP_OK)
        mpi_block_close(&process->block);
    return err;
}

/* -- Starting -------------------------------------------------------------- */

static mp_error start_by_method(mp_process *process)
{
    mp_start_method method = process->method;
    mp_error err;

    if (method == MP_START_DEFAULT)
        method = mp_get_start_method();
    err = mpi_start_method_check(method);
    if (err != MP_OK)
        return err;
    switch (method) {
    case MP_START_FORK:
        return start_fork(process);
    case MP_START_FORKSERVER:
        return mpi_start_forkserver(process);
    default:
        return mpi_start_spawn(process);
    }
}

/* Of several threads that start the same object one goes on. */
static mp_error claim(mp_process *process)
{
    mp_error err = mpi_lifetime_check(process, MPI_PROCESS);

    if (err != MP_OK)
        return err;
    mpos_mutex_lock(&process->mutex);
    if (mpi_run_of(process) != MPI_RUN_INITIAL)
        err = mpi_fail(MP_ESTATE, "%s has been started already", process->name);
    else if (process->creator_pid != mpos_pid())
        err = mpi_fail(MP_ENOTCHILD,
                       "%s was created by another process, only that one can "
                       "start it",
                       process->name);
    else
        mpi_run_set(process, MPI_RUN_STARTING);
    mpos_mutex_unlock(&process->mutex);
    return err;
}

mp_error mp_process_start(mp_process *process)
{
    mp_error err = claim(process);

    if (err != MP_OK)
        return err;
    mpi_children_clean();
    mpi_exit_register();
    err = start_by_method(process);
    if (err != MP_OK) {
        mpi_run_set(process, MPI_RUN_INITIAL);
        return mpi_context(err, "can't start %s", process->name);
    }
    mpi_process_drop_work(process);
    /* Failure keeps the block as it is, which only costs memory. */
    (void)mpi_block_keep_page(&process->block);
    process->pid = process->os.pid;
    /* Before another thread can join and close it. */
    mpi_children_add(process);
    mpi_run_set(process, MPI_RUN_STARTED);
    return MP_OK;
}
