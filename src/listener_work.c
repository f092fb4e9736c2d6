/* SPDX-License-Identifier: MIT */
/*
 * The clients of a listener, from the moment the system hands them over until
 * accept() returns them: handshakes, time limits, results. Nothing here waits.
 */
#include "listener.h"

#include "address.h"
#include "connection.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FIRST_ROOM = 8,
    OTHER_ITEMS = 2, /* the waker, the listening socket */
    LEAVING_CHUNK = 4096,
    LEAVING_BYTES = 4 << 20,
};

/* When all handshakes are taken and more clients knock, the oldest one has to
 * go after so many nanoseconds: an honest one is through in a few round trips,
 * and whoever says nothing would keep everybody out otherwise. */
#define GRACE INT64_C(250000000)
/* And how long the last words of who was refused are listened to. */
#define FAREWELL INT64_C(1000000000)

static bool is_under_way(const mpi_client *client)
{
    return client->result == MP_PENDING;
}

static mpi_client *find_oldest(const mp_listener *listener)
{
    for (size_t i = 0; i < listener->count; i++)
        if (is_under_way(listener->clients[i]))
            return listener->clients[i];
    return NULL;
}

static void close_stream(mpi_client *client)
{
    mpos_mutex_lock(&mpi_connections_mutex);
    mpos_close(client->handshake.stream);
    client->handshake.stream = MPOS_NONE;
    mpos_mutex_unlock(&mpi_connections_mutex);
}

/* -- Leaving --------------------------------------------------------------- */

static void remove_leaver(mp_listener *listener, size_t index)
{
    mpi_leaver *place = listener->leavers + index;

    mpos_mutex_lock(&mpi_connections_mutex);
    mpos_close(place->stream);
    listener->leaving--;
    memmove(place, place + 1, (listener->leaving - index) * sizeof(*place));
    mpos_mutex_unlock(&mpi_connections_mutex);
}

/* Of TCP only: others keep what was said, whatever is unread. */
static bool is_speaking(const mpi_client *client)
{
    mpos_wait_item item = mpi_handshake_wait_item(&client->handshake);

    return client->handshake.kind == MPI_STREAM_SOCKET &&
           mpos_wait(&item, 1, 0) == MP_OK;
}

/* False: nothing more will come, or too much has. */
static bool listen_to(mpi_leaver *leaver)
{
    unsigned char unused[LEAVING_CHUNK];
    size_t got = 0;

    if (mpos_read(leaver->stream, unused, sizeof(unused), &got) != MP_OK ||
        got == 0 || got > leaver->left)
        return false;
    leaver->left -= got;
    return true;
}

static void add_leaver(mp_listener *listener, mpi_client *client)
{
    if (listener->leaving == MPI_LEAVING_MAX)
        remove_leaver(listener, 0);
    mpos_mutex_lock(&mpi_connections_mutex);
    listener->leavers[listener->leaving++] = (mpi_leaver){
        .stream = client->handshake.stream,
        .deadline = mpos_now() + FAREWELL,
        .left = LEAVING_BYTES,
    };
    client->handshake.stream = MPOS_NONE;
    mpos_mutex_unlock(&mpi_connections_mutex);
    if (!listen_to(&listener->leavers[listener->leaving - 1]))
        remove_leaver(listener, listener->leaving - 1);
}

static bool is_ready(mpos_handle stream, const mpos_wait_item *items,
                     size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (items[i].handle == stream)
            return items[i].is_ready;
    return false;
}

static void serve_leavers(mp_listener *listener, const mpos_wait_item *items,
                          size_t count)
{
    for (size_t i = listener->leaving; i > 0; i--) {
        mpi_leaver *leaver = &listener->leavers[i - 1];

        if (is_ready(leaver->stream, items, count) && !listen_to(leaver))
            remove_leaver(listener, i - 1);
    }
}

static void expire_leavers(mp_listener *listener)
{
    while (listener->leaving > 0 && listener->leavers[0].deadline <= mpos_now())
        remove_leaver(listener, 0);
}

/* -- Results --------------------------------------------------------------- */

/* Whatever goes wrong with a client, it has not proved itself. */
static void settle(mp_listener *listener, mpi_client *client, mp_error result)
{
    if (result == MP_PENDING)
        return;
    client->result = result == MP_OK ? MP_OK : MP_EAUTH;
    listener->done++;
    if (result == MP_OK)
        return;
    snprintf(client->sentence, sizeof(client->sentence), "%s",
             mp_error_message());
    if (result == MP_EAUTH && is_speaking(client))
        add_leaver(listener, client);
    else
        close_stream(client);
}

/* -- Room ------------------------------------------------------------------ */

size_t mpi_listener_most_items(const mp_listener *listener)
{
    return listener->count + listener->leaving + OTHER_ITEMS;
}

mp_error mpi_listener_reserve(mp_listener *listener, size_t count)
{
    size_t room = listener->room == 0 ? FIRST_ROOM : listener->room * 2;
    mpi_client **clients;
    mpos_wait_item *items;

    if (count <= listener->room)
        return MP_OK;
    items =
        mpi_realloc(listener->items, (room + MPI_LEAVING_MAX + OTHER_ITEMS) *
                                         sizeof(listener->items[0]));
    if (items == NULL)
        return mpi_no_memory();
    listener->items = items;
    clients = mpi_malloc(room * sizeof(clients[0]));
    if (clients == NULL)
        return mpi_no_memory();
    if (listener->count > 0)
        memcpy(clients, listener->clients,
               listener->count * sizeof(clients[0]));
    mpos_mutex_lock(&mpi_connections_mutex);
    free(listener->clients);
    listener->clients = clients;
    listener->room = room;
    mpos_mutex_unlock(&mpi_connections_mutex);
    return MP_OK;
}

/* -- One more -------------------------------------------------------------- */

static mp_error check_user(mpos_handle stream)
{
    mpos_peer peer;
    mp_error err = mpos_peer_of(stream, &peer);

    if (err == MP_OK && !peer.is_same_user)
        err = mpi_fail(MP_EAUTH, "the client belongs to another user");
    return err;
}

static mp_error greet(const mp_listener *listener, mpi_client *client)
{
    mp_error err = MP_OK;

    if (listener->is_same_user_only)
        err = check_user(client->handshake.stream);
    if (err != MP_OK || !listener->has_key)
        return err;
    err = mpi_handshake_begin(&client->handshake, MPI_AUTH_LISTENER,
                              &listener->keys);
    return err == MP_OK ? MP_PENDING : err;
}

/* Its handle is never outside of the list, or a child that another thread
 * forks would keep it open. */
static mp_error accept_into(mp_listener *listener, mpi_client *client)
{
    mpos_address peer;
    mp_error err;

    mpos_mutex_lock(&mpi_connections_mutex);
    err = mpos_accept(listener->socket, &listener->where, &peer,
                      &client->handshake.stream);
    if (err == MP_OK)
        listener->clients[listener->count++] = client;
    mpos_mutex_unlock(&mpi_connections_mutex);
    if (err == MP_OK)
        client->who = mpi_address_from_os(&peer);
    return err;
}

static void set_deadline(const mp_listener *listener, mpi_client *client)
{
    client->since = mpos_now();
    client->deadline = MPOS_FOREVER;
    if (listener->patience < MPOS_FOREVER - client->since)
        client->deadline = client->since + listener->patience;
}

static void make_room(mp_listener *listener)
{
    if (listener->count - listener->done > listener->limit)
        settle(listener, find_oldest(listener),
               mpi_fail(MP_EAUTH, "the client has said nothing for too long "
                                  "while others wait"));
}

static mp_error admit(mp_listener *listener)
{
    mpi_client *client;
    mp_error err = mpi_listener_reserve(listener, listener->count + 1);

    if (err != MP_OK)
        return err;
    client = mpi_calloc(1, sizeof(*client));
    if (client == NULL)
        return mpi_no_memory();
    client->result = MP_PENDING;
    client->handshake.kind = mpi_stream_kind_of(listener->where.family);
    err = accept_into(listener, client);
    if (err != MP_OK) {
        free(client);
        return err == MP_TIMED_OUT ? MP_OK : err;
    }
    set_deadline(listener, client);
    settle(listener, client, greet(listener, client));
    make_room(listener);
    return MP_OK;
}

/* -- Waiting and serving --------------------------------------------------- */

/* Results that nobody fetches must not pile up, either. */
static bool may_admit(const mp_listener *listener, int64_t *deadline)
{
    const mpi_client *oldest;

    if (listener->count >= 2 * listener->limit)
        return false;
    if (listener->count - listener->done < listener->limit)
        return true;
    oldest = find_oldest(listener);
    if (mpos_now() - oldest->since >= GRACE)
        return true;
    if (oldest->since + GRACE < *deadline)
        *deadline = oldest->since + GRACE;
    return false;
}

/* The waker, the clients in their order, those who leave, the listening
 * socket. */
size_t mpi_listener_gather(mp_listener *listener, mpos_wait_item *items,
                           int64_t *deadline)
{
    const mpi_client *oldest = find_oldest(listener);
    size_t count = 0;

    items[count++] = (mpos_wait_item){
        .handle = listener->waker[0],
        .kind = MPOS_WAIT_READ,
    };
    for (size_t i = 0; i < listener->count; i++)
        if (is_under_way(listener->clients[i]))
            items[count++] =
                mpi_handshake_wait_item(&listener->clients[i]->handshake);
    for (size_t i = 0; i < listener->leaving; i++)
        items[count++] = (mpos_wait_item){
            .handle = listener->leavers[i].stream,
            .kind = MPOS_WAIT_SOCKET,
        };
    if (oldest != NULL && oldest->deadline < *deadline)
        *deadline = oldest->deadline;
    if (listener->leaving > 0 && listener->leavers[0].deadline < *deadline)
        *deadline = listener->leavers[0].deadline;
    if (may_admit(listener, deadline))
        items[count++] = (mpos_wait_item){
            .handle = listener->socket,
            .kind = MPOS_WAIT_LISTENER,
        };
    return count;
}

static void serve_clients(mp_listener *listener, const mpos_wait_item *items,
                          size_t count)
{
    size_t next = 1;

    for (size_t i = 0; i < listener->count && next < count; i++) {
        mpi_client *client = listener->clients[i];

        /* Those with a result were not waited for. */
        if (!is_under_way(client) ||
            items[next].handle != client->handshake.stream)
            continue;
        if (items[next++].is_ready)
            settle(listener, client, mpi_handshake_step(&client->handshake));
    }
}

static void expire_clients(mp_listener *listener)
{
    mpi_client *oldest = find_oldest(listener);
    int64_t now = oldest == NULL ? 0 : mpos_now();

    for (; oldest != NULL && oldest->deadline <= now;
         oldest = find_oldest(listener))
        settle(listener, oldest, mpi_auth_give_up(&oldest->handshake.auth));
}

mp_error mpi_listener_serve(mp_listener *listener, const mpos_wait_item *items,
                            size_t count)
{
    if (items != NULL) {
        serve_leavers(listener, items, count);
        serve_clients(listener, items, count);
    }
    expire_leavers(listener);
    expire_clients(listener);
    if (items == NULL || items[count - 1].kind != MPOS_WAIT_LISTENER ||
        !items[count - 1].is_ready)
        return MP_OK;
    return admit(listener);
}

/* -- Fetching -------------------------------------------------------------- */

static size_t first_result(const mp_listener *listener)
{
    size_t i = 0;

    while (is_under_way(listener->clients[i]))
        i++;
    return i;
}

static void remove_client(mp_listener *listener, size_t index)
{
    mpi_client **place = listener->clients + index;

    mpos_mutex_lock(&mpi_connections_mutex);
    free(*place);
    listener->count--;
    memmove(place, place + 1, (listener->count - index) * sizeof(*place));
    mpos_mutex_unlock(&mpi_connections_mutex);
    listener->done--;
}

mp_error mpi_listener_take(mp_listener *listener, mp_connection **out)
{
    size_t index = first_result(listener);
    mpi_client *client = listener->clients[index];
    mp_error err = client->result;

    if (err == MP_OK) {
        err = mpi_connection_adopt(client->handshake.stream,
                                   client->handshake.kind, out);
        if (err != MP_OK)
            return err;
    } else {
        (void)mpi_fail(err, "%s", client->sentence);
    }
    listener->last = client->who;
    remove_client(listener, index);
    return err;
}

/* -- Waking ---------------------------------------------------------------- */

/* A byte is in the waker, or none is: both calls find what they need. */
void mpi_listener_update_waker(mp_listener *listener)
{
    bool must_wake =
        listener->is_closing || (listener->followers > 0 &&
                                 (listener->done > 0 || !listener->is_driven));
    unsigned char byte = 0;
    size_t moved = 0;
    mp_error err;

    if (must_wake == listener->is_awake)
        return;
    if (must_wake) {
        const mpos_bytes part = {&byte, sizeof(byte)};

        err = mpos_write(listener->waker[1], &part, 1, &moved);
    } else {
        err = mpos_read(listener->waker[0], &byte, sizeof(byte), &moved);
    }
    if (err == MP_OK)
        listener->is_awake = must_wake;
}

void mpi_listener_drop_clients(mp_listener *listener)
{
    for (size_t i = 0; i < listener->count; i++) {
        mpos_close(listener->clients[i]->handshake.stream);
        free(listener->clients[i]);
    }
    for (size_t i = 0; i < listener->leaving; i++)
        mpos_close(listener->leavers[i].stream);
    listener->leaving = 0;
    free(listener->clients);
    free(listener->items);
    listener->clients = NULL;
    listener->items = NULL;
    listener->count = 0;
    listener->done = 0;
    listener->room = 0;
}
