/* SPDX-License-Identifier: MIT */
/*
 * Connections: CPython's frames over a pipe. A frame is the payload's size as
 * a big-endian signed 32-bit number, or -1 and 64 bits from 2 GiB on, and the
 * payload.
 *
 * Each direction has a lock, held for a whole frame, so that messages of
 * several threads never mix. What was read of a message that did not fit the
 * receiver's memory is kept for the next call.
 */
#include "connection.h"

#include "lifetime.h"
#include "pickle.h"

#include <stdlib.h>
#include <string.h>

enum {
    SHORT_HEADER = 4,
    LONG_HEADER = 12,
    /* A size we have not seen the bytes of is believed up to here at once;
     * beyond, memory grows with what really arrives. */
    TRUSTED_SIZE = 1 << 20
};

struct mp_connection {
    mpi_lifetime lifetime;
    mp_connection *next; /* among those that are open */
    mp_connection **link;
    mpi_atomic32 references;
    /* mp_pipe() gave it to the user, whose close() frees it; else it belongs
     * to an object. */
    bool is_users;
    bool is_readable;
    bool is_writable;
    bool is_broken;      /* a frame was cut short: there is no next one */
    bool is_left_behind; /* was open when this process was forked off */
    mpos_handle handle;
    mpos_mutex send_mutex;
    mpos_mutex recv_mutex;
    /* A message that has been received, but did not fit. */
    unsigned char *kept;
    size_t kept_size;
};

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
static mp_connection *connection_new(mpos_handle handle, bool is_readable,
                                     bool is_writable)
{
    static const mpos_mutex free_mutex = MPOS_MUTEX_INIT;
    mp_connection *connection =
        mpi_lifetime_new(MPI_CONNECTION, sizeof(*connection));

    if (connection == NULL)
        return NULL;
    mpi_atomic32_store(&connection->references, 1);
    connection->handle = handle;
    connection->is_readable = is_readable;
    connection->is_writable = is_writable;
    connection->send_mutex = free_mutex;
    connection->recv_mutex = free_mutex;
    list_add(connection);
    return connection;
}

static void connection_ref(void *self)
{
    mpi_atomic32_add(&((mp_connection *)self)->references, 1);
}

static void close_handle(mp_connection *connection)
{
    if (connection->handle == MPOS_NONE)
        return;
    mpos_mutex_lock(&mpi_connections_mutex);
    list_remove(connection);
    mpos_close(connection->handle);
    mpos_mutex_unlock(&mpi_connections_mutex);
    connection->handle = MPOS_NONE;
    free(connection->kept);
    connection->kept = NULL;
}

static void connection_unref(void *self)
{
    mp_connection *connection = self;

    if (mpi_atomic32_add(&connection->references, UINT32_MAX) != 1)
        return;
    close_handle(connection);
    mpi_lifetime_end(connection);
}

/* -- Travelling ------------------------------------------------------------ */

static mp_error check_open(const mp_connection *connection)
{
    mp_error err = mpi_lifetime_check(connection, MPI_CONNECTION);

    if (err != MP_OK || connection->handle != MPOS_NONE)
        return err;
    if (connection->is_left_behind)
        return mpi_fail(MP_ECLOSED, "the connection was not passed to this "
                                    "process as an argument");
    return mpi_fail(MP_ECLOSED, "the connection is closed");
}

static mp_error connection_reduce(void *self, mpi_transport *transport,
                                  mp_obj **state)
{
    mp_connection *connection = self;
    mp_obj *items[3];
    size_t index;
    mp_error err;

    if (check_open(connection) != MP_OK)
        return mpi_fail(MP_EPICKLE,
                        "can't pickle Connection: the connection is closed");
    if (connection->kept != NULL)
        return mpi_fail(MP_EPICKLE, "can't pickle Connection: a message that "
                                    "did not fit is still to be received");
    err = mpi_transport_add(transport, connection->handle, &index);
    if (err != MP_OK)
        return err;
    items[0] = mp_obj_int((int64_t)index);
    items[1] = mp_obj_bool(connection->is_readable);
    items[2] = mp_obj_bool(connection->is_writable);
    *state = mp_obj_tuple(items, 3);
    return mp_obj_error(*state);
}

static mp_error connection_rebuild(const mp_obj *state,
                                   mpi_transport *transport, void **self)
{
    const mp_obj *index, *readable, *writable;
    mp_connection *connection;
    bool is_readable, is_writable;
    mpos_handle handle;
    int64_t place;
    mp_error err;

    if (mp_obj_type(state) != MP_TYPE_TUPLE ||
        mp_obj_item(state, 0, &index) != MP_OK ||
        mp_obj_item(state, 1, &readable) != MP_OK ||
        mp_obj_item(state, 2, &writable) != MP_OK ||
        mp_obj_as_int(index, &place) != MP_OK ||
        mp_obj_as_bool(readable, &is_readable) != MP_OK ||
        mp_obj_as_bool(writable, &is_writable) != MP_OK)
        return mpi_fail(MP_EUNPICKLE, "this is no connection");
    connection = mpi_transport_made(transport, place);
    if (connection != NULL) {
        connection_ref(connection);
        *self = connection;
        return MP_OK;
    }
    err = mpi_transport_take(transport, place, &handle);
    if (err != MP_OK)
        return err;
    mpos_mutex_lock(&mpi_connections_mutex);
    connection = connection_new(handle, is_readable, is_writable);
    mpos_mutex_unlock(&mpi_connections_mutex);
    if (connection == NULL) {
        mpos_close(handle);
        return mpi_no_memory();
    }
    err = mpi_transport_keep(transport, place, connection);
    if (err != MP_OK) {
        connection_unref(connection);
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

/* -- Checking -------------------------------------------------------------- */

static mp_error check_direction(mp_connection *connection, bool is_sending)
{
    mp_error err = check_open(connection);

    if (err != MP_OK)
        return err;
    if (is_sending && !connection->is_writable)
        return mpi_fail(MP_EINVAL, "the connection only receives");
    if (!is_sending && !connection->is_readable)
        return mpi_fail(MP_EINVAL, "the connection only sends");
    return MP_OK;
}

/* -- Sending --------------------------------------------------------------- */

static size_t write_header(unsigned char *header, uint64_t size)
{
    size_t length = size > INT32_MAX ? LONG_HEADER : SHORT_HEADER;
    uint64_t rest = size;

    for (size_t i = length; i > length - (length == SHORT_HEADER ? 4 : 8);
         i--) {
        header[i - 1] = (unsigned char)(rest & 0xff);
        rest >>= 8;
    }
    if (length == LONG_HEADER)
        memset(header, 0xff, SHORT_HEADER);
    return length;
}

/* Writes both parts whole. */
static mp_error write_all(mpos_handle handle, mpos_bytes parts[2])
{
    while (parts[0].size + parts[1].size > 0) {
        bool is_first_done = parts[0].size == 0;
        size_t written = 0;
        mp_error err = mpos_write(handle, is_first_done ? parts + 1 : parts,
                                  is_first_done ? 1 : 2, &written);
        if (err != MP_OK)
            return err;
        for (int i = 0; i < 2; i++) {
            size_t step = written < parts[i].size ? written : parts[i].size;
            parts[i].data = (const char *)parts[i].data + step;
            parts[i].size -= step;
            written -= step;
        }
    }
    return MP_OK;
}

static mp_error send_frame(mp_connection *connection, const void *data,
                           size_t size)
{
    unsigned char header[LONG_HEADER];
    mpos_bytes parts[2] = {{header, write_header(header, size)}, {data, size}};
    mp_error err;

    mpos_mutex_lock(&connection->send_mutex);
    err = write_all(connection->handle, parts);
    mpos_mutex_unlock(&connection->send_mutex);
    return err;
}

mp_error mp_connection_send_bytes(mp_connection *connection, const void *data,
                                  size_t size)
{
    mp_error err = check_direction(connection, true);

    if (err != MP_OK)
        return err;
    if (data == NULL && size > 0)
        return mpi_fail(MP_EINVAL, "the bytes to send are NULL");
    return send_frame(connection, data, size);
}

mp_error mp_connection_send(mp_connection *connection, mp_obj *obj)
{
    mpi_buffer pickle = {0};
    mp_error err = check_direction(connection, true);

    if (err == MP_OK)
        err = mpi_pickle_dump(&pickle, obj, NULL);
    if (err == MP_OK)
        err = send_frame(connection, pickle.data, pickle.size);
    mpi_buffer_free(&pickle);
    mp_obj_unref(obj);
    return err;
}

/* -- Receiving ------------------------------------------------------------- */

/* All size bytes; *got tells how many there were before the end of file. */
static mp_error read_all(mpos_handle handle, void *data, size_t size,
                         size_t *got)
{
    *got = 0;
    while (*got < size) {
        size_t step = 0;
        mp_error err =
            mpos_read(handle, (char *)data + *got, size - *got, &step);
        if (err != MP_OK)
            return err;
        if (step == 0)
            return MP_EEOF;
        *got += step;
    }
    return MP_OK;
}

static mp_error fail_broken(mp_connection *connection, const char *why)
{
    connection->is_broken = true;
    return mpi_fail(MP_EPROTO, "%s; the connection can't be used any more",
                    why);
}

static uint64_t read_number(const unsigned char *data, size_t size)
{
    uint64_t number = 0;

    for (size_t i = 0; i < size; i++)
        number = number << 8 | data[i];
    return number;
}

static mp_error read_size(mp_connection *connection, uint64_t *size)
{
    unsigned char header[8];
    size_t got;
    mp_error err = read_all(connection->handle, header, SHORT_HEADER, &got);

    if (err == MP_EEOF && got == 0)
        return mpi_fail(MP_EEOF, "the other end of the connection is closed");
    if (err == MP_OK) {
        *size = read_number(header, SHORT_HEADER);
        if (*size <= INT32_MAX)
            return MP_OK;
        if (*size != UINT32_MAX)
            return fail_broken(connection, "a message has a negative size");
        err = read_all(connection->handle, header, sizeof(header), &got);
        *size = read_number(header, sizeof(header));
        got += SHORT_HEADER;
    }
    if (err == MP_EEOF)
        return fail_broken(connection, "a message was cut short");
    connection->is_broken |= err != MP_OK && got > 0;
    return err;
}

/* A failure in the middle of a frame leaves no way to find the next one. */
static mp_error read_payload(mp_connection *connection, void *data, size_t size)
{
    size_t got;
    mp_error err = read_all(connection->handle, data, size, &got);

    if (err == MP_EEOF)
        return fail_broken(connection, "a message was cut short");
    if (err != MP_OK)
        connection->is_broken = true;
    return err;
}

/* Memory grows with what arrives, so that a size alone can't take it all. */
static mp_error read_message(mp_connection *connection, uint64_t size,
                             unsigned char **out)
{
    size_t room = size < TRUSTED_SIZE ? (size_t)size : TRUSTED_SIZE;
    size_t done = 0;
    unsigned char *data = NULL;

    if (size >= SIZE_MAX)
        return fail_broken(connection, "a message is too large for memory");
    for (;;) {
        unsigned char *grown = mpi_realloc(data, room + 1);
        mp_error err = MP_OK;

        if (grown == NULL) {
            free(data);
            connection->is_broken = true;
            return mpi_no_memory();
        }
        data = grown;
        err = read_payload(connection, data + done, room - done);
        if (err != MP_OK) {
            free(data);
            return err;
        }
        done = room;
        if (done == size)
            break;
        room = size - done < done ? (size_t)size : done * 2;
    }
    data[done] = 0;
    *out = data;
    return MP_OK;
}

static mp_error recv_frame(mp_connection *connection, unsigned char **data,
                           size_t *size)
{
    uint64_t wanted;
    mp_error err;

    if (connection->kept != NULL) {
        *data = connection->kept;
        *size = connection->kept_size;
        connection->kept = NULL;
        return MP_OK;
    }
    if (connection->is_broken)
        return mpi_fail(MP_EPROTO, "the connection was cut in a message");
    err = read_size(connection, &wanted);
    if (err == MP_OK)
        err = read_message(connection, wanted, data);
    if (err == MP_OK)
        *size = (size_t)wanted;
    return err;
}

mp_error mp_connection_recv_bytes(mp_connection *connection, void **data,
                                  size_t *size)
{
    unsigned char *message = NULL;
    size_t length = 0;
    mp_error err;

    if (data == NULL || size == NULL)
        return mpi_fail(MP_EINVAL, "there is nowhere to put the message");
    err = check_direction(connection, false);
    if (err != MP_OK)
        return err;
    mpos_mutex_lock(&connection->recv_mutex);
    err = recv_frame(connection, &message, &length);
    mpos_mutex_unlock(&connection->recv_mutex);
    if (err != MP_OK)
        return err;
    *data = message;
    *size = length;
    return MP_OK;
}

mp_error mp_connection_recv(mp_connection *connection, mp_obj **out)
{
    void *data;
    size_t size;
    mp_error err;

    if (out == NULL)
        return mpi_fail(MP_EINVAL, "there is nowhere to put the object");
    err = mp_connection_recv_bytes(connection, &data, &size);
    if (err != MP_OK)
        return err;
    err = mpi_pickle_load(data, size, NULL, out);
    free(data);
    return err;
}

/* Straight into the caller's memory if it fits. */
static mp_error recv_into(mp_connection *connection, void *data,
                          size_t capacity, size_t *size)
{
    uint64_t wanted = connection->kept_size;
    mp_error err;

    if (connection->kept == NULL) {
        if (connection->is_broken)
            return mpi_fail(MP_EPROTO, "the connection was cut in a message");
        err = read_size(connection, &wanted);
        if (err == MP_OK && wanted <= capacity) {
            err = read_payload(connection, data, (size_t)wanted);
            *size = (size_t)wanted;
            return err;
        }
        if (err == MP_OK)
            err = read_message(connection, wanted, &connection->kept);
        if (err != MP_OK)
            return err;
        connection->kept_size = (size_t)wanted;
    }
    *size = connection->kept_size;
    if (connection->kept_size > capacity)
        return mpi_fail(MP_EOVERFLOW,
                        "a message of %zu bytes is to go into %zu",
                        connection->kept_size, capacity);
    memcpy(data, connection->kept, connection->kept_size);
    free(connection->kept);
    connection->kept = NULL;
    return MP_OK;
}

mp_error mp_connection_recv_bytes_into(mp_connection *connection, void *data,
                                       size_t capacity, size_t *size)
{
    size_t length = 0;
    mp_error err;

    if (size == NULL || (data == NULL && capacity > 0))
        return mpi_fail(MP_EINVAL, "there is nowhere to put the message");
    err = check_direction(connection, false);
    if (err != MP_OK)
        return err;
    mpos_mutex_lock(&connection->recv_mutex);
    err = recv_into(connection, data, capacity, &length);
    mpos_mutex_unlock(&connection->recv_mutex);
    if (err == MP_OK || err == MP_EOVERFLOW)
        *size = length;
    return err;
}

/* -- Fork ------------------------------------------------------------------ */

static bool is_kept(const mp_connection *connection, const mpi_transport *kept)
{
    if (kept == NULL)
        return true;
    for (size_t i = 0; i < kept->count; i++)
        if (kept->handles[i] == connection->handle)
            return true;
    return false;
}

void mpi_connections_after_fork(const mpi_transport *kept)
{
    mp_connection *next;

    for (mp_connection *it = first_open; it != NULL; it = next) {
        next = it->next;
        if (is_kept(it, kept)) {
            /* Another thread may have held them. */
            mpos_mutex_reset(&it->send_mutex);
            mpos_mutex_reset(&it->recv_mutex);
            continue;
        }
        it->is_left_behind = true;
        close_handle(it);
    }
}

/* -- Making, asking, closing ----------------------------------------------- */

/* With mpi_connections_mutex held. */
static mp_error wrap_both(mpos_handle left, mpos_handle right, bool is_duplex,
                          mp_connection *ends[2])
{
    ends[0] = connection_new(left, true, is_duplex);
    ends[1] = connection_new(right, is_duplex, true);
    if (ends[0] != NULL && ends[1] != NULL)
        return MP_OK;
    for (int i = 0; i < 2; i++) {
        if (ends[i] != NULL)
            list_remove(ends[i]);
        free(ends[i]);
    }
    return mpi_no_memory();
}

mp_error mp_pipe(mp_connection **first, mp_connection **second,
                 const mp_pipe_options *options)
{
    bool is_duplex = options == NULL || !options->is_simplex;
    mpos_handle left = MPOS_NONE, right = MPOS_NONE;
    mp_connection *ends[2];
    mp_error err;

    if (first == NULL || second == NULL)
        return mpi_fail(MP_EINVAL, "there is nowhere to put the two ends");
    mpos_mutex_lock(&mpi_connections_mutex);
    err = is_duplex ? mpos_channel(&left, &right) : mpos_pipe(&left, &right);
    if (err == MP_OK)
        err = wrap_both(left, right, is_duplex, ends);
    if (err != MP_OK) {
        mpos_close(left);
        mpos_close(right);
    }
    mpos_mutex_unlock(&mpi_connections_mutex);
    if (err != MP_OK)
        return mpi_context(err, "can't create a pipe");
    ends[0]->is_users = true;
    ends[1]->is_users = true;
    *first = ends[0];
    *second = ends[1];
    return MP_OK;
}

mp_error mp_connection_fileno(mp_connection *connection, intptr_t *out)
{
    mp_error err = check_open(connection);

    if (err == MP_OK && out == NULL)
        err = mpi_fail(MP_EINVAL, "there is nowhere to put the handle");
    if (err == MP_OK)
        *out = connection->handle;
    return err;
}

bool mp_connection_is_closed(mp_connection *connection)
{
    return check_open(connection) != MP_OK;
}

bool mp_connection_is_readable(mp_connection *connection)
{
    return check_open(connection) == MP_OK && connection->is_readable;
}

bool mp_connection_is_writable(mp_connection *connection)
{
    return check_open(connection) == MP_OK && connection->is_writable;
}

mp_error mp_connection_close(mp_connection *connection)
{
    mp_error err;

    if (connection == NULL)
        return MP_OK;
    err = check_open(connection);
    if (err != MP_OK)
        return err;
    close_handle(connection);
    if (connection->is_users) {
        connection->is_users = false;
        connection_unref(connection);
    }
    return MP_OK;
}
