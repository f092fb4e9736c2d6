/* SPDX-License-Identifier: MIT */
/*
 * Sockets that listen and connect, of whichever family: what the families have
 * in common. Their addresses are in os_socket_inet.c and os_socket_unix.c.
 *
 * A listener does not block, or accept() would, for whoever comes next, after a
 * client that left between poll() and accept(). Streams block.
 */
#include "os_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

mp_error mpos_socket_fail(const char *call, int error)
{
    switch (error) {
    case EADDRNOTAVAIL:
    case EHOSTUNREACH:
    case EHOSTDOWN:
    case ENETUNREACH:
    case ENETDOWN:
        return mpi_fail(MP_ENOTFOUND, "%s: %s", call, strerror(error));
    case ETIMEDOUT:
        return mpi_fail(MP_TIMED_OUT, "%s: %s", call, strerror(error));
    case ENOTSOCK:   /* a path, but of something else: so says macOS, */
    case EPROTOTYPE: /* or of another kind of socket */
    case ECONNRESET: /* there was somebody a moment ago */
        return mpi_fail(MP_EREFUSED, "%s: %s", call, strerror(error));
    default:
        return mpos_fail_errno(call, error);
    }
}

mp_error mpos_socket_create(int family, mpos_handle *place)
{
    mp_error error;
    int made;

    mpos_mutex_lock(&mpi_connections_mutex);
    made = mpos_socket(family, SOCK_STREAM);
    if (made < 0)
        error = mpos_fail_errno("socket", errno);
    else
        error = mpos_raise_descriptor(&made);
    if (error == MP_OK)
        *place = made;
    mpos_mutex_unlock(&mpi_connections_mutex);
    return error;
}

void mpos_socket_discard(mpos_handle *place)
{
    mpos_mutex_lock(&mpi_connections_mutex);
    close((int)*place);
    *place = MPOS_NONE;
    mpos_mutex_unlock(&mpi_connections_mutex);
}

int mpos_socket_set_blocking(int handle, bool is_blocking)
{
    int flags = fcntl(handle, F_GETFL);

    if (flags < 0)
        return errno;
    flags = is_blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK;
    return fcntl(handle, F_SETFL, flags) == 0 ? 0 : errno;
}

static mp_error refuse_pipes(void)
{
    return mpi_fail(MP_ENOTSUP, "%s has no pipes with a Windows name",
                    mpos_system.system);
}

/* -- Listening ------------------------------------------------------------- */

mp_error mpos_listen(mpos_address *address, unsigned backlog,
                     mpos_handle *listener)
{
    int most = backlog < INT_MAX ? (int)backlog : INT_MAX;
    mpos_address found = *address;
    int cause;
    mp_error error;

    if (address->family == MPOS_PIPE)
        return refuse_pipes();
    if (address->family == MPOS_UNIX)
        error = mpos_unix_listen(&found, most, listener);
    else
        error = mpos_inet_listen(&found, most, listener);
    if (error != MP_OK)
        return error;
    cause = mpos_socket_set_blocking((int)*listener, false);
    if (cause != 0) {
        mpos_listener_close(MPOS_NONE, &found, true);
        mpos_socket_discard(listener);
        return mpos_fail_errno("fcntl(O_NONBLOCK)", cause);
    }
    *address = found;
    return MP_OK;
}

void mpos_listener_close(mpos_handle listener, const mpos_address *address,
                         bool is_owner)
{
    if (is_owner && address->family == MPOS_UNIX)
        mpos_unix_remove(address);
    if (listener == MPOS_NONE)
        return;
    /* Copies in children that were forked listen no more, either. */
    if (is_owner)
        shutdown((int)listener, SHUT_RDWR);
    close((int)listener);
}

/* -- Accepting ------------------------------------------------------------- */

/* The client has left, or the network told something about it, which Linux
 * reports as if it were about the listener: see accept(2). */
static bool has_left(int cause)
{
    switch (cause) {
    case EAGAIN:
#if EWOULDBLOCK != EAGAIN
    case EWOULDBLOCK:
#endif
    case ECONNABORTED:
    case ECONNRESET:
    case EPROTO:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENETDOWN:
    case ENETUNREACH:
    case ETIMEDOUT:
        return true;
    default:
        return false;
    }
}

static mp_error describe_peer(const struct sockaddr *place, socklen_t size,
                              mpos_family family, mpos_address *peer)
{
    memset(peer, 0, sizeof(*peer));
    peer->family = family;
    if (family == MPOS_UNIX)
        return MP_OK;
    return mpos_inet_describe(place, size, peer);
}

mp_error mpos_accept(mpos_handle listener, const mpos_address *address,
                     mpos_address *peer, mpos_handle *stream)
{
    struct sockaddr_storage room;
    struct sockaddr *place = (struct sockaddr *)&room;
    socklen_t size;
    mpos_address who;
    int accepted;
    mp_error error;

    do {
        size = sizeof(room);
        accepted = mpos_accept_from((int)listener, place, &size);
    } while (accepted < 0 && errno == EINTR);
    if (accepted < 0 && has_left(errno))
        return MP_TIMED_OUT;
    if (accepted < 0)
        return mpos_fail_errno("accept", errno);
    error = mpos_raise_descriptor(&accepted);
    if (error != MP_OK)
        return error;
    error = describe_peer(place, size, address->family, &who);
    if (error != MP_OK) {
        close(accepted);
        return error;
    }
    if (address->family != MPOS_UNIX)
        mpos_inet_hurry(accepted);
    *peer = who;
    *stream = accepted;
    return MP_OK;
}

/* -- Connecting ------------------------------------------------------------ */

mp_error mpos_connect(const mpos_address *address, int64_t deadline,
                      mpos_handle *stream)
{
    if (address->family == MPOS_PIPE)
        return refuse_pipes();
    if (address->family == MPOS_UNIX)
        return mpos_unix_connect(address, deadline, stream);
    return mpos_inet_connect(address, deadline, stream);
}

/* -- Who is there ---------------------------------------------------------- */

/* One end of a connection of AF_UNIX that was accepted has a name. Both ends of
 * a pair have none, and who made that may not be who holds the other end. */
static bool has_name(int (*ask)(int, struct sockaddr *, socklen_t *),
                     int stream)
{
    struct sockaddr_un place;
    socklen_t size = sizeof(place);

    return ask(stream, (struct sockaddr *)&place, &size) == 0 &&
           size > offsetof(struct sockaddr_un, sun_path) &&
           (mpos_system_has_abstract || place.sun_path[0] != '\0');
}

static bool is_local(int stream)
{
    struct sockaddr_storage place;
    socklen_t size = sizeof(place);

    return getsockname(stream, (struct sockaddr *)&place, &size) == 0 &&
           place.ss_family == AF_UNIX;
}

mp_error mpos_peer_of(mpos_handle stream, mpos_peer *peer)
{
    int handle = (int)stream;
    uid_t user = 0;
    pid_t pid = 0;
    int cause;

    if (!is_local(handle))
        return mpi_fail(MP_ENOTSUP,
                        "the system knows who is there only of AF_UNIX");
    cause = mpos_system_peer(handle, &user, &pid);
    if (cause != 0)
        return mpi_fail(MP_ENOTSUP, "the system does not tell who is there: %s",
                        strerror(cause));
    if (!has_name(getsockname, handle) && !has_name(getpeername, handle))
        pid = 0;
    peer->pid = pid;
    peer->is_same_user = user == geteuid() || user == 0;
    return MP_OK;
}
