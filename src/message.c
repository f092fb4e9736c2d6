/* SPDX-License-Identifier: MIT */
/*
 * Messages: objects or bytes, one frame each, with the handles that go along.
 *
 * Each direction has a lock, held for a whole frame, so that messages of
 * several threads never mix. A message that has come in part, that poll() has
 * found, or that did not fit the receiver's memory stays in the connection for
 * the next call, with what came along with it.
 */
#include "connection.h"

#include "pickle.h"
#include "share.h"

#include <stdlib.h>
#include <string.h>

enum { MILLISECOND = 1000000 };

static mp_error check_writable(const mp_connection *connection)
{
    mp_error err = mpi_connection_check(connection);

    if (err == MP_OK && !connection->is_writable)
        err = mpi_fail(MP_EINVAL,
                       "the connection only receives: send on its other end");
    return err;
}

/* -- Sending --------------------------------------------------------------- */

/* Where pipes carry handles, they go along. */
static mp_error send_frame(mp_connection *connection, const void *data,
                           size_t size, const mpi_transport *transport)
{
    const mpos_bytes payload = {data, size};
    size_t count = connection->end.has_handles ? transport->count : 0;
    mp_error err;

    if (transport->count > MPOS_HANDLES_MAX)
        return mpi_fail(MP_EOVERFLOW,
                        "%zu handles are too many for one message, which takes "
                        "%d",
                        transport->count, MPOS_HANDLES_MAX);
    mpos_mutex_lock(&connection->send_mutex);
    err =
        mpi_frame_write(&connection->end, &payload, transport->handles, count);
    mpos_mutex_unlock(&connection->send_mutex);
    return err;
}

mp_error mp_connection_send_bytes(mp_connection *connection, const void *data,
                                  size_t size)
{
    const mpi_transport nothing = {0};
    mp_error err = check_writable(connection);

    if (err != MP_OK)
        return err;
    if (data == NULL && size > 0)
        return mpi_fail(MP_EINVAL, "the bytes to send are NULL");
    return send_frame(connection, data, size, &nothing);
}

/* The transport is on its way with the pickle, or stays here. */
static mp_error send_pickle(mp_connection *connection, mpi_buffer *pickle,
                            mpi_transport *transport)
{
    mpi_gift gift = {0};
    mp_error err = MP_OK;

    if (mpi_peer_is_known(&connection->peer))
        err = mpi_peer_give(&connection->peer, transport, pickle, &gift);
    if (err == MP_OK)
        err = send_frame(connection, pickle->data, pickle->size, transport);
    if (err == MP_OK) {
        mpi_gift_forget(&gift);
        mpi_parcel_forget(&transport->parcel);
    } else {
        mpi_gift_revoke(&gift);
    }
    return err;
}

mp_error mp_connection_send(mp_connection *connection, mp_obj *obj)
{
    mpi_transport transport = {0};
    mpi_buffer pickle = {0};
    mp_error err = check_writable(connection);

    if (err == MP_OK) {
        transport.has_no_handles = !connection->end.has_handles &&
                                   !mpi_peer_is_known(&connection->peer);
        err = mpi_pickle_dump(&pickle, obj, &transport);
    }
    if (err == MP_OK)
        err = send_pickle(connection, &pickle, &transport);
    mpi_transport_free(&transport);
    mpi_buffer_free(&pickle);
    mp_obj_unref(obj);
    return err;
}

/* -- Receiving ------------------------------------------------------------- */

static const char challenge[] = "#CHALLENGE#";

typedef struct message {
    unsigned char *data; /* malloc'ed */
    size_t size;
    bool has_room; /* for more than the message */
    mpi_luggage luggage;
} message;

static void message_free(message *received)
{
    mpi_luggage_free(&received->luggage);
    free(received->data);
}

/* The message is whole. Handles may be behind the pickle, see peer.h. */
static void unpack(mp_connection *connection)
{
    mpi_frame_in *in = &connection->end.in;
    size_t size = (size_t)in->size;
    mpos_arrivals arrived;

    if (!mpi_peer_is_known(&connection->peer) ||
        connection->luggage.is_unpacked)
        return;
    connection->luggage.is_unpacked = true;
    mpi_peer_take(&connection->peer, in->data, &size, &arrived);
    mpi_luggage_add(&connection->luggage, &arrived);
    in->size = in->done = size;
    in->data[size] = 0;
}

/* Whoever looks has set is_busy and is done soon, holding look_mutex. */
static void begin_receiving(mp_connection *connection)
{
    mpos_mutex_lock(&connection->recv_mutex);
    while (!mpi_atomic32_change(&connection->is_busy, 0, 1)) {
        mpos_mutex_lock(&connection->look_mutex);
        mpos_mutex_unlock(&connection->look_mutex);
    }
    if (mpi_peer_is_known(&connection->peer))
        mpi_peer_arrive(&connection->peer);
}

static void end_receiving(mp_connection *connection)
{
    mpi_atomic32_store(&connection->is_busy, 0);
    mpos_mutex_unlock(&connection->recv_mutex);
}

/* The message in end.in has been taken. */
static void forget_message(mp_connection *connection)
{
    mpi_frame_in_free(&connection->end.in);
    if (mpi_connection_has_message(connection))
        mpi_atomic32_store(&connection->has_message, 0);
}

/* What the reading of a frame has led to. */
static mp_error note_outcome(mp_connection *connection, mp_error err)
{
    if (err == MP_EPROTO)
        mpi_luggage_free(&connection->luggage);
    if (err == MP_EPROTO || err == MP_EEOF)
        mpi_atomic32_store(&connection->has_message, 1);
    return err;
}

static void take_arrivals(mp_connection *connection, mpos_arrivals *arrived)
{
    if (arrived->count > 0 || arrived->is_cut)
        mpi_luggage_add(&connection->luggage, arrived);
}

/* Only the first message can be one. */
static mp_error check_challenge(mp_connection *connection)
{
    const mpi_frame_in *in = &connection->end.in;
    const size_t length = sizeof(challenge) - 1;

    connection->expects_challenge = false;
    if (in->size < length || memcmp(in->data, challenge, length) != 0)
        return MP_OK;
    connection->end.is_broken = true;
    mpi_frame_in_free(&connection->end.in);
    mpi_luggage_free(&connection->luggage);
    return mpi_fail(MP_EAUTH, "the listener asks for a key");
}

/* Of the next message. What comes along is taken care of before anything else
 * is waited for. */
static mp_error read_size(mp_connection *connection)
{
    mpos_arrivals arrived;
    mp_error err;

    arrived.count = 0;
    arrived.is_cut = false;
    err = mpi_frame_read_size(&connection->end, &arrived);
    take_arrivals(connection, &arrived);
    return note_outcome(connection, err);
}

/* Until the message in end.in is whole. */
static mp_error read_message(mp_connection *connection, uint64_t limit)
{
    mp_error err = read_size(connection);

    if (err != MP_OK)
        return err;
    err = mpi_frame_read(&connection->end, limit, NULL);
    err = note_outcome(connection, err);
    if (err == MP_OK)
        unpack(connection);
    if (err == MP_OK && connection->expects_challenge)
        err = check_challenge(connection);
    return err;
}

/* With what may be behind it, it is longer than it will be. */
static mp_error read_limited(mp_connection *connection, uint64_t limit)
{
    mp_error err = MP_OK;

    if (mpi_peer_is_known(&connection->peer) &&
        limit < UINT64_MAX - MPI_PEER_TRAILER)
        err = read_message(connection, limit + MPI_PEER_TRAILER);
    return err == MP_OK ? read_message(connection, limit) : err;
}

static mp_error recv_message(mp_connection *connection, uint64_t limit,
                             message *out)
{
    mp_error err = mpi_connection_check_readable(connection);

    if (err != MP_OK)
        return err;
    begin_receiving(connection);
    err = read_limited(connection, limit);
    if (err == MP_OK) {
        mpi_frame_in *in = &connection->end.in;

        *out = (message){in->data, (size_t)in->size, in->room > in->size,
                         connection->luggage};
        in->data = NULL;
        connection->luggage = (mpi_luggage){0};
        forget_message(connection);
    }
    end_receiving(connection);
    return err;
}

static mp_error load(const message *received, mp_obj **out)
{
    mpi_transport nothing = {0};
    mpi_transport *transport = &nothing;
    mp_error err;

    if (received->luggage.lost == MP_EMFILE)
        return mpi_fail(MP_EMFILE, "there was no room for the handles that "
                                   "came with the message");
    if (received->luggage.lost != MP_OK)
        return mpi_no_memory();
    if (received->luggage.arrival != NULL)
        transport = &received->luggage.arrival->transport;
    err = mpi_pickle_load(received->data, received->size, transport, out);
    mpi_transport_free(&nothing);
    return err;
}

mp_error mp_connection_recv(mp_connection *connection, mp_obj **out)
{
    message received;
    mp_error err;

    if (out == NULL)
        return mpi_fail(MP_EINVAL, "there is nowhere to put the object");
    err = recv_message(connection, UINT64_MAX, &received);
    if (err != MP_OK)
        return err;
    err = load(&received, out);
    message_free(&received);
    return err;
}

/* Whoever gets it may keep it for long. */
static void fit(message *received)
{
    unsigned char *fitting = NULL;

    if (received->has_room)
        fitting = mpi_realloc(received->data, received->size + 1);
    if (fitting != NULL)
        received->data = fitting;
}

static mp_error recv_bytes(mp_connection *connection, uint64_t limit,
                           void **data, size_t *size)
{
    message received;
    mp_error err;

    if (data == NULL || size == NULL)
        return mpi_fail(MP_EINVAL, "there is nowhere to put the message");
    err = recv_message(connection, limit, &received);
    if (err != MP_OK)
        return err;
    fit(&received);
    *data = received.data;
    *size = received.size;
    received.data = NULL;
    message_free(&received);
    return MP_OK;
}

mp_error mp_connection_recv_bytes(mp_connection *connection, void **data,
                                  size_t *size)
{
    return recv_bytes(connection, UINT64_MAX, data, size);
}

/* Straight into the caller's memory if nothing of it is in ours. */
static bool can_read_straight(const mp_connection *connection)
{
    return connection->end.in.data == NULL && !connection->expects_challenge &&
           !mpi_peer_is_known(&connection->peer);
}

static mp_error read_into(mp_connection *connection, void *data,
                          size_t capacity, size_t *size)
{
    mpi_frame_end *end = &connection->end;
    mp_error err;

    if (can_read_straight(connection))
        end->offer = (mpos_room){data, capacity};
    err = read_size(connection);
    end->offer = (mpos_room){0};
    if (err != MP_OK)
        return err;
    *size = (size_t)end->in.size;
    if (*size <= capacity && can_read_straight(connection))
        return note_outcome(connection, mpi_frame_read_into(end, data));
    err = read_limited(connection, capacity);
    *size = (size_t)end->in.size;
    if (err == MP_OK && *size > 0)
        memcpy(data, end->in.data, *size);
    return err;
}

mp_error mp_connection_recv_bytes_into(mp_connection *connection, void *data,
                                       size_t capacity, size_t *size)
{
    size_t length = 0;
    mp_error err;

    if (size == NULL || (data == NULL && capacity > 0))
        return mpi_fail(MP_EINVAL, "there is nowhere to put the message");
    err = mpi_connection_check_readable(connection);
    if (err != MP_OK)
        return err;
    begin_receiving(connection);
    err = read_into(connection, data, capacity, &length);
    if (err == MP_OK) {
        mpi_luggage_free(&connection->luggage);
        forget_message(connection);
    }
    end_receiving(connection);
    if (err == MP_OK || err == MP_EOVERFLOW)
        *size = length;
    return err;
}

/* -- Looking --------------------------------------------------------------- */

/* With is_busy set. Before each read the system is asked whether it will block,
 * since another thread may have received what somebody has seen. */
static mp_error read_what_is_there(mp_connection *connection)
{
    mpos_wait_item item = mpi_frame_wait_item(&connection->end);
    mpos_arrivals arrived;
    mp_error err;

    while (!mpi_connection_has_message(connection)) {
        err = mpos_wait(&item, 1, 0);
        if (err != MP_OK)
            return err;
        arrived.count = 0;
        arrived.is_cut = false;
        err = mpi_frame_step(&connection->end, UINT64_MAX, &arrived);
        take_arrivals(connection, &arrived);
        err = note_outcome(connection, err);
        if (err == MP_OK) {
            unpack(connection);
            mpi_atomic32_store(&connection->has_message, 1);
        } else if (err != MP_PENDING && err != MP_EEOF && err != MP_EPROTO) {
            return err;
        }
    }
    return MP_OK;
}

mp_error mpi_connection_look(mp_connection *connection)
{
    mp_error err = MP_PENDING;

    if (mpi_connection_has_message(connection))
        return MP_OK;
    mpos_mutex_lock(&connection->look_mutex);
    if (mpi_atomic32_change(&connection->is_busy, 0, 1)) {
        err = read_what_is_there(connection);
        mpi_atomic32_store(&connection->is_busy, 0);
    }
    mpos_mutex_unlock(&connection->look_mutex);
    return err;
}

/* Until there is something to read; a moment if another thread is at it. */
static mp_error await_bytes(const mp_connection *connection, bool is_busy,
                            int64_t deadline)
{
    mpos_wait_item item = mpi_frame_wait_item(&connection->end);
    int64_t soon;

    if (!is_busy)
        return mpos_wait(&item, 1, deadline);
    soon = mpos_now() + MILLISECOND;
    mpos_sleep_until(deadline < soon ? deadline : soon);
    return deadline < soon ? MP_TIMED_OUT : MP_OK;
}

mp_error mp_connection_poll(mp_connection *connection, double timeout)
{
    mp_error err = mpi_connection_check_readable(connection);
    int64_t deadline = mpi_deadline(timeout);

    while (err == MP_OK) {
        err = mpi_connection_look(connection);
        if (err != MP_TIMED_OUT && err != MP_PENDING)
            return err;
        err = await_bytes(connection, err == MP_PENDING, deadline);
    }
    return err;
}

mp_error mp_connection_recv_bytes_max(mp_connection *connection, size_t maximum,
                                      void **data, size_t *size)
{
    return recv_bytes(connection, maximum, data, size);
}
