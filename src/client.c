/* SPDX-License-Identifier: MIT */
/* Connecting to a listener, and asking who is at the other end. */
#include "address.h"
#include "connection.h"
#include "handshake.h"
#include "listener.h"

#include <string.h>

#define DEFAULT_TIMEOUT 20.0

typedef struct wanted {
    mpos_address to;
    mpi_auth_keys keys;
    bool has_key;
    bool is_same_user_only;
    int64_t deadline;
    mpos_handle stream; /* MPOS_NONE: there is none yet */
    struct wanted *next;
    struct wanted **link;
} wanted;

/* With mpi_connections_mutex held: for a forked child to close. */
static wanted *first_wanted;

static mp_error prepare(wanted *attempt, const mp_address *address,
                        const mp_client_options *options)
{
    mp_error err = mpi_address_to_os(address, &attempt->to);
    mpos_family family = attempt->to.family;

    if (err != MP_OK)
        return err;
    if (!(options->timeout >= 0))
        return mpi_fail(MP_EINVAL, "can't connect in %g seconds",
                        options->timeout);
    if (options->same_user_only && family != MPOS_UNIX && family != MPOS_PIPE)
        return mpi_fail(MP_ENOTSUP, "the user at the other end is known only "
                                    "of UNIX and PIPE");
    attempt->deadline =
        mpi_deadline(options->timeout > 0 ? options->timeout : DEFAULT_TIMEOUT);
    attempt->is_same_user_only = options->same_user_only;
    attempt->has_key = !options->auth.is_none;
    return attempt->has_key ? mpi_handshake_keys(&attempt->keys, &options->auth)
                            : MP_OK;
}

static mp_error check_user(mpos_handle stream)
{
    mpos_peer peer;
    mp_error err = mpos_peer_of(stream, &peer);

    if (err == MP_OK && !peer.is_same_user)
        err = mpi_fail(MP_EAUTH, "the listener belongs to another user");
    return err;
}

static mp_error shake_hands(const wanted *attempt, mpos_handle stream)
{
    mpi_handshake handshake = {
        .stream = stream,
        .kind = mpi_stream_kind_of(attempt->to.family),
    };
    mpos_wait_item item = mpi_handshake_wait_item(&handshake);
    mp_error err =
        mpi_handshake_begin(&handshake, MPI_AUTH_CLIENT, &attempt->keys);

    if (err != MP_OK)
        return err;
    do {
        err = mpos_wait(&item, 1, attempt->deadline);
        if (err == MP_TIMED_OUT)
            return mpi_auth_give_up(&handshake.auth);
        if (err == MP_OK)
            err = mpi_handshake_step(&handshake);
    } while (err == MP_PENDING);
    return err;
}

static mp_error prove(const wanted *attempt, mpos_handle stream)
{
    mp_error err = MP_OK;

    if (attempt->is_same_user_only)
        err = check_user(stream);
    if (err == MP_OK && attempt->has_key)
        err = shake_hands(attempt, stream);
    return err;
}

static void list_add(wanted *attempt)
{
    mpos_mutex_lock(&mpi_connections_mutex);
    attempt->stream = MPOS_NONE;
    attempt->next = first_wanted;
    attempt->link = &first_wanted;
    if (attempt->next != NULL)
        attempt->next->link = &attempt->next;
    first_wanted = attempt;
    mpos_mutex_unlock(&mpi_connections_mutex);
}

static void list_remove(wanted *attempt, bool must_close)
{
    mpos_mutex_lock(&mpi_connections_mutex);
    *attempt->link = attempt->next;
    if (attempt->next != NULL)
        attempt->next->link = attempt->link;
    if (must_close)
        mpos_close(attempt->stream);
    mpos_mutex_unlock(&mpi_connections_mutex);
}

void mpi_clients_after_fork(void)
{
    for (wanted *it = first_wanted; it != NULL; it = it->next)
        mpos_close(it->stream);
    first_wanted = NULL;
}

/* In the list from the beginning, so that a forked child does not keep it, and
 * the connection's before it is in that list no more. */
static mp_error open_connection(wanted *attempt, mp_connection **out)
{
    mp_error err;

    list_add(attempt);
    err = mpos_connect(&attempt->to, attempt->deadline, &attempt->stream);
    if (err == MP_OK)
        err = mpi_connection_adopt(attempt->stream,
                                   mpi_stream_kind_of(attempt->to.family), out);
    list_remove(attempt, err != MP_OK);
    return err;
}

static mp_error connect_to(wanted *attempt, mp_connection **out)
{
    mp_error err = open_connection(attempt, out);

    if (err != MP_OK)
        return err;
    err = prove(attempt, attempt->stream);
    if (err != MP_OK)
        (void)mp_connection_close(*out);
    else if (!attempt->has_key)
        mpi_connection_expect_challenge(*out);
    return err;
}

mp_error mp_client(mp_connection **out, mp_address address,
                   const mp_client_options *options)
{
    static const mp_client_options defaults = {0};
    wanted attempt = {0};
    mp_connection *connection;
    mp_error err;

    if (out == NULL)
        return mpi_fail(MP_EINVAL, "there is nowhere to put the connection");
    err = prepare(&attempt, &address, options == NULL ? &defaults : options);
    if (err == MP_OK)
        err = connect_to(&attempt, &connection);
    mpi_wipe(&attempt.keys, sizeof(attempt.keys));
    if (err != MP_OK)
        return mpi_address_context(err, "can't connect", "to", &address);
    *out = connection;
    return MP_OK;
}

mp_error mp_connection_peer(mp_connection *connection, int64_t *pid,
                            bool *is_same_user)
{
    mpos_peer peer;
    mp_error err = mpi_connection_check(connection);

    if (err != MP_OK)
        return err;
    if (pid == NULL && is_same_user == NULL)
        return mpi_fail(MP_EINVAL, "there is nowhere to put the answer");
    if (connection->end.kind == MPI_STREAM_SOCKET)
        return mpi_fail(MP_ENOTSUP, "who is at the other end is known only of "
                                    "UNIX and PIPE");
    err = mpos_peer_of(connection->end.handle, &peer);
    if (err != MP_OK)
        return err;
    if (pid != NULL)
        *pid = peer.pid;
    if (is_same_user != NULL)
        *is_same_user = peer.is_same_user;
    return MP_OK;
}
