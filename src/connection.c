/* SPDX-License-Identifier: MIT */
/*
 * Connections: the ends of a Pipe, who holds them and where they go. What is
 * sent over them is message.c's, how it lies on the wire frame.c's.
 */
#include "connection.h"

#include "handle.h"
#include "wait.h"

#include <stdlib.h>

/* Those that are open, for a forked child to close. */
static mp_connection *first_open;

mpos_mutex mpi_connections_mutex = MPOS_MUTEX_INIT;

/* With mpi_connections_mutex held; so is it while a handle is not in the list,
 * or a child that another thread forks would keep it open unknowingly. */
static void list_add(mp_connection *connection)
{
    connection->next = first_open;
    connection->link = &first_open;
    if (connection->next != NULL)
        connection->next->link = &connection->next;
    first_open = connection;
}

static void list_remove(mp_connection *connection)
{
    *connection->link = connection->next;
    if (connection->next != NULL)
        connection->next->link = connection->link;
}

/* With mpi_connections_mutex held. */
static mp_connection *connection_new(mpos_handle handle, mpi_stream_kind kind,
                                     bool is_readable, bool is_writable)
{
    static const mpos_mutex free_mutex = MPOS_MUTEX_INIT;
    mp_connection *connection =
        mpi_lifetime_new(MPI_CONNECTION, sizeof(*connection));

    if (connection == NULL)
        return NULL;
    mpi_atomic32_store(&connection->references, 1);
    connection->end.handle = handle;
    connection->end.kind = kind;
    connection->is_readable = is_readable;
    connection->is_writable = is_writable;
    /* One way is not a channel, see mpos_pipe(). */
    connection->end.has_handles =
        (kind == MPI_STREAM_LOCAL || kind == MPI_STREAM_PACKETS) &&
        is_readable && is_writable && mpos_system.has_fork;
    connection->send_mutex = free_mutex;
    connection->recv_mutex = free_mutex;
    connection->look_mutex = free_mutex;
    list_add(connection);
    return connection;
}

static void connection_ref(void *self)
{
    mpi_atomic32_add(&((mp_connection *)self)->references, 1);
}

static void close_handle(mp_connection *connection)
{
    if (connection->end.handle == MPOS_NONE)
        return;
    mpos_mutex_lock(&mpi_connections_mutex);
    list_remove(connection);
    mpos_close(connection->end.handle);
    mpos_mutex_unlock(&mpi_connections_mutex);
    connection->end.handle = MPOS_NONE;
    mpi_frame_in_free(&connection->end.in);
    mpi_luggage_free(&connection->luggage);
    mpi_peer_close(&connection->peer);
}

static void connection_unref(const mpi_resource_type *type, void *self)
{
    mp_connection *connection = self;

    (void)type; /* there is only one */
    if (mpi_atomic32_add(&connection->references, UINT32_MAX) != 1)
        return;
    close_handle(connection);
    mpi_lifetime_end(connection);
}

/* -- Travelling ------------------------------------------------------------ */

mp_error mpi_connection_check(const mp_connection *connection)
{
    mp_error err = mpi_lifetime_check(connection, MPI_CONNECTION);

    if (err != MP_OK || connection->end.handle != MPOS_NONE)
        return err;
    if (connection->is_left_behind)
        return mpi_fail(MP_ECLOSED, "the connection was not passed to this "
                                    "process as an argument");
    return mpi_fail(MP_ECLOSED, "the connection is closed");
}

mp_error mpi_connection_check_readable(const mp_connection *connection)
{
    mp_error err = mpi_connection_check(connection);

    if (err == MP_OK && !connection->is_readable)
        err = mpi_fail(MP_EINVAL,
                       "the connection only sends: receive on its other end");
    return err;
}

static mp_error check_can_travel(const mp_connection *connection)
{
    if (mpi_connection_check(connection) != MP_OK)
        return mpi_fail(MP_EPICKLE,
                        "can't pickle Connection: the connection is closed");
    if (mpi_frame_has_begun(&connection->end))
        return mpi_fail(MP_EPICKLE, "can't pickle Connection: a message that "
                                    "was found is still to be received");
    return MP_OK;
}

/* The last two only of what is not a mere pipe. */
enum { PLAIN_ITEMS = 3, ALL_ITEMS = 5 };

static mp_error connection_reduce(void *self, mpi_transport *transport,
                                  mp_obj **state)
{
    mp_connection *connection = self;
    bool is_plain = connection->end.kind == MPI_STREAM_LOCAL &&
                    !mpi_peer_is_known(&connection->peer);
    mp_obj *items[ALL_ITEMS];
    size_t index;
    mp_error err = check_can_travel(connection);

    if (err != MP_OK)
        return err;
    err = mpi_transport_add(transport, connection->end.handle, &index);
    if (err == MP_OK && !is_plain)
        err = mpi_peer_reduce(&connection->peer, transport, &items[4]);
    if (err != MP_OK)
        return mpi_context(err, "can't pickle Connection");
    items[0] = mp_obj_int((int64_t)index);
    items[1] = mp_obj_bool(connection->is_readable);
    items[2] = mp_obj_bool(connection->is_writable);
    items[3] = is_plain ? NULL : mp_obj_int((int64_t)connection->end.kind);
    *state = mp_obj_tuple(items, is_plain ? PLAIN_ITEMS : ALL_ITEMS);
    return mp_obj_error(*state);
}

/* What reduce() gave. */
typedef struct travelled {
    int64_t place; /* of the handle */
    bool is_readable;
    bool is_writable;
    mpi_stream_kind kind;
    const mp_obj *peer;
} travelled;

static bool read_more(const mp_obj *state, travelled *out)
{
    const mp_obj *number;
    int64_t kind;

    if (mp_obj_item(state, 3, &number) != MP_OK ||
        mp_obj_item(state, 4, &out->peer) != MP_OK ||
        mp_obj_as_int(number, &kind) != MP_OK || kind < MPI_STREAM_LOCAL ||
        kind > MPI_STREAM_PACKETS)
        return false;
    out->kind = (mpi_stream_kind)kind;
    return true;
}

static mp_error read_state(const mp_obj *state, travelled *out)
{
    const mp_obj *place, *readable, *writable;
    size_t count;

    *out = (travelled){.kind = MPI_STREAM_LOCAL};
    if (mp_obj_type(state) != MP_TYPE_TUPLE ||
        mp_obj_item(state, 0, &place) != MP_OK ||
        mp_obj_item(state, 1, &readable) != MP_OK ||
        mp_obj_item(state, 2, &writable) != MP_OK ||
        mp_obj_as_int(place, &out->place) != MP_OK ||
        mp_obj_as_bool(readable, &out->is_readable) != MP_OK ||
        mp_obj_as_bool(writable, &out->is_writable) != MP_OK ||
        mp_obj_len(state, &count) != MP_OK ||
        (count != PLAIN_ITEMS && !read_more(state, out)))
        return mpi_fail(MP_EUNPICKLE, "this is no connection");
    return MP_OK;
}

/* Whose the handle is while it is in neither list, a child that another thread
 * forks would not know: the mutex is held all the time. */
static mp_error take_handle(mpi_transport *transport, const travelled *what,
                            mp_connection **out)
{
    mp_connection *connection = NULL;
    mpos_handle handle;
    mp_error err;

    mpos_mutex_lock(&mpi_connections_mutex);
    err = mpi_transport_take(transport, what->place, &handle);
    if (err == MP_OK) {
        connection = connection_new(handle, what->kind, what->is_readable,
                                    what->is_writable);
        if (connection == NULL) {
            mpos_close(handle);
            err = mpi_no_memory();
        }
    }
    mpos_mutex_unlock(&mpi_connections_mutex);
    *out = connection;
    return err;
}

static mp_error connection_rebuild(const mpi_resource_type *type,
                                   const mp_obj *state,
                                   mpi_transport *transport, void **self)
{
    mp_connection *connection;
    travelled what;
    mp_error err = read_state(state, &what);

    (void)type;
    if (err != MP_OK)
        return err;
    connection =
        mpi_transport_made(transport, what.place, &mpi_connection_type);
    if (connection != NULL) {
        connection_ref(connection);
        *self = connection;
        return MP_OK;
    }
    err = take_handle(transport, &what, &connection);
    if (err != MP_OK)
        return err;
    if (what.peer != NULL)
        err = mpi_peer_rebuild(&connection->peer, what.peer, transport,
                               connection->end.handle);
    if (err == MP_OK)
        err = mpi_transport_keep(transport, what.place, &mpi_connection_type,
                                 connection);
    if (err != MP_OK) {
        connection_unref(&mpi_connection_type, connection);
        return err;
    }
    *self = connection;
    return MP_OK;
}

const mpi_resource_type mpi_connection_type = {
    .name = "Connection",
    .ref = connection_ref,
    .unref = connection_unref,
    .reduce = connection_reduce,
    .rebuild = connection_rebuild,
};

mp_obj *mp_obj_connection(mp_connection *connection)
{
    mp_error err;

    if (connection == NULL)
        return mp_obj_none();
    err = mpi_lifetime_check(connection, MPI_CONNECTION);
    if (err != MP_OK)
        return mp_obj_from_error(err);
    return mpi_obj_resource(&mpi_connection_type, connection);
}

mp_error mp_obj_as_connection(const mp_obj *obj, mp_connection **out)
{
    mp_connection *connection =
        mpi_obj_resource_self(obj, &mpi_connection_type);

    if (connection == NULL)
        return mpi_fail(MP_ETYPE, "expected Connection, got %s",
                        mp_obj_type_name(obj));
    *out = connection;
    return MP_OK;
}

/* -- Fork ------------------------------------------------------------------ */

static bool is_kept(const mp_connection *connection, const mpi_transport *kept)
{
    if (kept == NULL)
        return true;
    for (size_t i = 0; i < kept->count; i++)
        if (kept->handles[i] == connection->end.handle)
            return true;
    return false;
}

/* Another thread may have been at it, and be no more. If it had read a part of
 * a message, the original has that, and reads the rest. */
static void reset(mp_connection *connection)
{
    mpos_mutex_reset(&connection->send_mutex);
    mpos_mutex_reset(&connection->recv_mutex);
    mpos_mutex_reset(&connection->look_mutex);
    connection->end.offer = (mpos_room){0};
    if (mpi_atomic32_load(&connection->is_busy) == 0)
        return;
    mpi_atomic32_store(&connection->is_busy, 0);
    if (mpi_frame_has_begun(&connection->end)) {
        connection->end.in = (mpi_frame_in){0};
        connection->end.is_broken = true;
    }
}

void mpi_connections_after_fork(const mpi_transport *kept)
{
    mp_connection *next;

    if (kept != NULL)
        mpi_arrivals_after_fork();
    mpi_waits_after_fork();
    mpi_handles_after_fork(kept);
    for (mp_connection *it = first_open; it != NULL; it = next) {
        next = it->next;
        if (is_kept(it, kept)) {
            reset(it);
            continue;
        }
        it->is_left_behind = true;
        close_handle(it);
    }
}

/* -- Making, asking, closing ----------------------------------------------- */

/* With mpi_connections_mutex held. */
static mp_error wrap_both(const mpos_handle handles[2], mpi_stream_kind kind,
                          bool is_duplex, mp_connection *ends[2])
{
    ends[0] = connection_new(handles[0], kind, true, is_duplex);
    ends[1] = connection_new(handles[1], kind, is_duplex, true);
    if (ends[0] != NULL && ends[1] != NULL)
        return MP_OK;
    for (int i = 0; i < 2; i++) {
        if (ends[i] != NULL)
            list_remove(ends[i]);
        free(ends[i]);
    }
    return mpi_no_memory();
}

static mp_error make_both(const mp_pipe_options *options,
                          mp_connection *ends[2])
{
    mpos_handle handles[2] = {MPOS_NONE, MPOS_NONE};
    bool is_duplex = !options->is_simplex, has_packets = false;
    mpi_stream_kind kind;
    mp_error err;

    mpos_mutex_lock(&mpi_connections_mutex);
    if (is_duplex)
        err = mpos_channel(&handles[0], &handles[1],
                           options->is_stream ? NULL : &has_packets);
    else
        err = mpos_pipe(&handles[0], &handles[1]);
    kind = has_packets ? MPI_STREAM_PACKETS : MPI_STREAM_LOCAL;
    if (err == MP_OK)
        err = wrap_both(handles, kind, is_duplex, ends);
    if (err != MP_OK) {
        mpos_close(handles[0]);
        mpos_close(handles[1]);
    }
    mpos_mutex_unlock(&mpi_connections_mutex);
    return err;
}

mp_error mp_pipe(mp_connection **first, mp_connection **second,
                 const mp_pipe_options *options)
{
    static const mp_pipe_options defaults = {0};
    mp_connection *ends[2];
    mp_error err;

    if (options == NULL)
        options = &defaults;
    if (first == NULL || second == NULL)
        return mpi_fail(MP_EINVAL, "there is nowhere to put the two ends");
    err = make_both(options, ends);
    if (err == MP_OK && !options->is_simplex) {
        err = mpi_peer_create(&ends[0]->peer, &ends[1]->peer);
        for (int i = 0; i < 2 && err != MP_OK; i++)
            connection_unref(&mpi_connection_type, ends[i]);
    }
    if (err != MP_OK)
        return mpi_context(err, "can't create a pipe");
    ends[0]->is_users = true;
    ends[1]->is_users = true;
    *first = ends[0];
    *second = ends[1];
    return MP_OK;
}

mp_error mpi_connection_adopt(mpos_handle stream, mpi_stream_kind kind,
                              mp_connection **out)
{
    mp_connection *connection;

    mpos_mutex_lock(&mpi_connections_mutex);
    connection = connection_new(stream, kind, true, true);
    mpos_mutex_unlock(&mpi_connections_mutex);
    if (connection == NULL)
        return mpi_no_memory();
    if (kind == MPI_STREAM_MESSAGES)
        mpi_peer_ask(&connection->peer, stream);
    connection->is_users = true;
    *out = connection;
    return MP_OK;
}

void mpi_connection_expect_challenge(mp_connection *connection)
{
    connection->expects_challenge = true;
}

mp_error mp_connection_fileno(mp_connection *connection, intptr_t *out)
{
    mp_error err = mpi_connection_check(connection);

    if (err == MP_OK && out == NULL)
        err = mpi_fail(MP_EINVAL, "there is nowhere to put the handle");
    if (err == MP_OK)
        *out = connection->end.handle;
    return err;
}

bool mp_connection_is_closed(mp_connection *connection)
{
    return mpi_connection_check(connection) != MP_OK;
}

bool mp_connection_is_readable(mp_connection *connection)
{
    return mpi_connection_check(connection) == MP_OK && connection->is_readable;
}

bool mp_connection_is_writable(mp_connection *connection)
{
    return mpi_connection_check(connection) == MP_OK && connection->is_writable;
}

mp_error mp_connection_close(mp_connection *connection)
{
    mp_error err;

    if (connection == NULL)
        return MP_OK;
    err = mpi_connection_check(connection);
    if (err != MP_OK)
        return err;
    close_handle(connection);
    if (connection->is_users) {
        connection->is_users = false;
        connection_unref(&mpi_connection_type, connection);
    }
    return MP_OK;
}
