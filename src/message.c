/* SPDX-License-Identifier: MIT */
/*
 * Messages: objects or bytes, one frame each, with the handles that go along.
 *
 * Each direction has a lock, held for a whole frame, so that messages of
 * several threads never mix. A message that did not fit the receiver's memory
 * is kept for the next call, with what came along with it.
 */
#include "connection.h"

#include "pickle.h"
#include "share.h"

#include <stdlib.h>
#include <string.h>

static mp_error check_direction(mp_connection *connection, bool is_sending)
{
    mp_error err = mpi_connection_check(connection);

    if (err != MP_OK)
        return err;
    if (is_sending && !connection->is_writable)
        return mpi_fail(MP_EINVAL, "the connection only receives");
    if (!is_sending && !connection->is_readable)
        return mpi_fail(MP_EINVAL, "the connection only sends");
    return MP_OK;
}

/* -- Sending --------------------------------------------------------------- */

static mp_error send_frame(mp_connection *connection, const void *data,
                           size_t size, const mpi_transport *transport)
{
    const mpos_bytes payload = {data, size};
    mp_error err;

    if (transport->count > MPOS_HANDLES_MAX)
        return mpi_fail(MP_EOVERFLOW,
                        "%zu handles are too many for one message, which takes "
                        "%d",
                        transport->count, MPOS_HANDLES_MAX);
    mpos_mutex_lock(&connection->send_mutex);
    err = mpi_frame_write(&connection->end, &payload, transport->handles,
                          transport->count);
    mpos_mutex_unlock(&connection->send_mutex);
    return err;
}

mp_error mp_connection_send_bytes(mp_connection *connection, const void *data,
                                  size_t size)
{
    const mpi_transport nothing = {0};
    mp_error err = check_direction(connection, true);

    if (err != MP_OK)
        return err;
    if (data == NULL && size > 0)
        return mpi_fail(MP_EINVAL, "the bytes to send are NULL");
    return send_frame(connection, data, size, &nothing);
}

mp_error mp_connection_send(mp_connection *connection, mp_obj *obj)
{
    mpi_transport transport = {0};
    mpi_buffer pickle = {0};
    mp_error err = check_direction(connection, true);

    if (err == MP_OK) {
        transport.has_no_handles = !connection->end.has_handles;
        err = mpi_pickle_dump(&pickle, obj, &transport);
    }
    if (err == MP_OK)
        err = send_frame(connection, pickle.data, pickle.size, &transport);
    if (err == MP_OK)
        mpi_parcel_forget(&transport.parcel);
    mpi_transport_free(&transport);
    mpi_buffer_free(&pickle);
    mp_obj_unref(obj);
    return err;
}

/* -- What comes along ------------------------------------------------------ */

/* With mpi_connections_mutex held. Between the system's handing a handle out
 * and its being in here are a few instructions; a child forked just then keeps
 * it open until it ends. */
static mpi_arrival *first_arrival;

static void close_arrivals(mpos_arrivals *arrived)
{
    for (size_t i = 0; i < arrived->count; i++)
        mpos_close(arrived->handles[i]);
    arrived->count = 0;
}

static mpi_arrival *arrival_new(const mpos_arrivals *arrived)
{
    size_t size = arrived->count * sizeof(arrived->handles[0]);
    mpi_arrival *arrival = mpi_calloc(1, sizeof(*arrival));
    mpos_handle *handles = mpi_malloc(size);

    if (arrival == NULL || handles == NULL) {
        free(arrival);
        free(handles);
        return NULL;
    }
    memcpy(handles, arrived->handles, size);
    arrival->transport = (mpi_transport){.handles = handles,
                                         .count = arrived->count,
                                         .capacity = arrived->count};
    mpos_mutex_lock(&mpi_connections_mutex);
    arrival->next = first_arrival;
    arrival->link = &first_arrival;
    if (arrival->next != NULL)
        arrival->next->link = &arrival->next;
    first_arrival = arrival;
    mpos_mutex_unlock(&mpi_connections_mutex);
    return arrival;
}

static void arrival_free(mpi_arrival *arrival)
{
    if (arrival == NULL)
        return;
    mpos_mutex_lock(&mpi_connections_mutex);
    *arrival->link = arrival->next;
    if (arrival->next != NULL)
        arrival->next->link = arrival->link;
    mpi_transport_close_untaken(&arrival->transport);
    mpos_mutex_unlock(&mpi_connections_mutex);
    mpi_transport_free(&arrival->transport);
    free(arrival);
}

void mpi_arrivals_after_fork(void)
{
    for (mpi_arrival *it = first_arrival; it != NULL; it = it->next)
        mpi_transport_close_untaken(&it->transport);
}

/* The message stays whole, whatever becomes of them. */
static void take_arrivals(mpi_message *message, mpos_arrivals *arrived)
{
    if (arrived->is_cut)
        message->lost = MP_EMFILE;
    else if (arrived->count > 0 &&
             (message->arrival = arrival_new(arrived)) == NULL)
        message->lost = MP_ENOMEM;
    if (message->lost != MP_OK)
        close_arrivals(arrived);
}

void mpi_message_free(mpi_message *message)
{
    arrival_free(message->arrival);
    free(message->data);
    *message = (mpi_message){0};
}

/* -- Receiving ------------------------------------------------------------- */

static mp_error read_message(mp_connection *connection, uint64_t size,
                             mpos_arrivals *arrived, mpi_message *out)
{
    mpi_message message = {0};
    mp_error err;

    take_arrivals(&message, arrived);
    err = mpi_frame_read_new(&connection->end, size, &message.data);
    if (err != MP_OK) {
        mpi_message_free(&message);
        return err;
    }
    message.size = (size_t)size;
    *out = message;
    return MP_OK;
}

static mp_error read_next(mp_connection *connection, mpi_message *message)
{
    mpos_arrivals arrived;
    uint64_t size = 0;
    mp_error err;

    if (connection->kept.data != NULL) {
        *message = connection->kept;
        connection->kept = (mpi_message){0};
        return MP_OK;
    }
    err = mpi_frame_read_size(&connection->end, &size, &arrived);
    if (err == MP_OK)
        return read_message(connection, size, &arrived, message);
    close_arrivals(&arrived);
    return err;
}

static mp_error recv_message(mp_connection *connection, mpi_message *message)
{
    mp_error err = check_direction(connection, false);

    if (err != MP_OK)
        return err;
    mpos_mutex_lock(&connection->recv_mutex);
    err = read_next(connection, message);
    mpos_mutex_unlock(&connection->recv_mutex);
    return err;
}

mp_error mp_connection_recv_bytes(mp_connection *connection, void **data,
                                  size_t *size)
{
    mpi_message message;
    mp_error err;

    if (data == NULL || size == NULL)
        return mpi_fail(MP_EINVAL, "there is nowhere to put the message");
    err = recv_message(connection, &message);
    if (err != MP_OK)
        return err;
    *data = message.data;
    *size = message.size;
    message.data = NULL;
    mpi_message_free(&message);
    return MP_OK;
}

static mp_error load(const mpi_message *message, mp_obj **out)
{
    mpi_transport nothing = {0};
    mpi_transport *transport = &nothing;
    mp_error err;

    if (message->lost == MP_EMFILE)
        return mpi_fail(MP_EMFILE, "there was no room for the handles that "
                                   "came with the message");
    if (message->lost != MP_OK)
        return mpi_no_memory();
    if (message->arrival != NULL)
        transport = &message->arrival->transport;
    err = mpi_pickle_load(message->data, message->size, transport, out);
    mpi_transport_free(&nothing);
    return err;
}

mp_error mp_connection_recv(mp_connection *connection, mp_obj **out)
{
    mpi_message message;
    mp_error err;

    if (out == NULL)
        return mpi_fail(MP_EINVAL, "there is nowhere to put the object");
    err = recv_message(connection, &message);
    if (err != MP_OK)
        return err;
    err = load(&message, out);
    mpi_message_free(&message);
    return err;
}

/* Straight into the caller's memory if it fits; else it is kept. */
static mp_error read_into(mp_connection *connection, void *data,
                          size_t capacity, size_t *size)
{
    mpos_arrivals arrived;
    uint64_t wanted = 0;
    mp_error err = mpi_frame_read_size(&connection->end, &wanted, &arrived);

    if (err == MP_OK && wanted > capacity)
        return read_message(connection, wanted, &arrived, &connection->kept);
    close_arrivals(&arrived);
    *size = (size_t)wanted;
    return err == MP_OK ? mpi_frame_read(&connection->end, data, (size_t)wanted)
                        : err;
}

static mp_error recv_into(mp_connection *connection, void *data,
                          size_t capacity, size_t *size)
{
    mpi_message *kept = &connection->kept;

    if (kept->data == NULL) {
        mp_error err = read_into(connection, data, capacity, size);

        if (err != MP_OK || kept->data == NULL)
            return err;
    }
    *size = kept->size;
    if (kept->size > capacity)
        return mpi_fail(MP_EOVERFLOW,
                        "a message of %zu bytes is to go into %zu", kept->size,
                        capacity);
    memcpy(data, kept->data, kept->size);
    mpi_message_free(kept);
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
