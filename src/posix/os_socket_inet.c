/* SPDX-License-Identifier: MIT */
/*
 * TCP: names of hosts, listening at them, and connecting in time. To look a
 * name up takes as long as the system likes; numbers take no time.
 */
#include "os_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PORT_DIGITS = 12 };

/* -- Names ----------------------------------------------------------------- */

static mp_error fail_look_up(const char *host, int failure, int cause)
{
    switch (failure) {
    case EAI_SYSTEM:
        return mpos_fail_errno("getaddrinfo", cause);
    case EAI_MEMORY:
        return mpi_no_memory();
    case EAI_FAMILY:
        return mpi_fail(MP_ENOTSUP, "%s: %s", host, gai_strerror(failure));
    default:
        return mpi_fail(MP_ENOTFOUND, "%s: %s", host, gai_strerror(failure));
    }
}

/* No name: all interfaces to listen at, this machine to connect to. */
static mp_error look_up(const mpos_address *address, int flags,
                        struct addrinfo **found)
{
    const struct addrinfo hints = {
        .ai_flags = flags | AI_NUMERICSERV,
        .ai_family = address->family == MPOS_INET ? AF_INET : AF_INET6,
        .ai_socktype = SOCK_STREAM,
    };
    const char *host = address->name[0] != '\0' ? address->name : NULL;
    char port[PORT_DIGITS];
    int failure;

    snprintf(port, sizeof(port), "%u", address->port);
    do {
        failure = getaddrinfo(host, port, &hints, found);
    } while (failure == EAI_SYSTEM && errno == EINTR);
    return failure == 0 ? MP_OK : fail_look_up(address->name, failure, errno);
}

static unsigned port_of(const struct sockaddr *place)
{
    struct sockaddr_in four;
    struct sockaddr_in6 six;

    if (place->sa_family == AF_INET) {
        memcpy(&four, place, sizeof(four));
        return ntohs(four.sin_port);
    }
    memcpy(&six, place, sizeof(six));
    return ntohs(six.sin6_port);
}

mp_error mpos_inet_describe(const struct sockaddr *place, socklen_t size,
                            mpos_address *address)
{
    char host[MPOS_ADDRESS_MAX + 1];
    int failure =
        getnameinfo(place, size, host, sizeof(host), NULL, 0, NI_NUMERICHOST);

    if (failure != 0)
        return mpi_fail(MP_EIO, "getnameinfo: %s", gai_strerror(failure));
    memcpy(address->name, host, strlen(host) + 1);
    address->port = port_of(place);
    return MP_OK;
}

void mpos_inet_hurry(int stream)
{
    const int yes = 1;

    /* Refused only if the other side has left already. */
    setsockopt(stream, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
}

/* -- Listening ------------------------------------------------------------- */

/* 0 or errno. */
static int start_listening(int listener, const struct addrinfo *at, int backlog)
{
    const int yes = 1;

    /* Or a port could not be had for a minute after its last connection. */
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (at->ai_family == AF_INET6 &&
        setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes)) != 0)
        return errno;
    if (bind(listener, at->ai_addr, at->ai_addrlen) != 0)
        return errno;
    return listen(listener, backlog) == 0 ? 0 : errno;
}

static mp_error find_place(int listener, mpos_address *address)
{
    struct sockaddr_storage room;
    struct sockaddr *place = (struct sockaddr *)&room;
    socklen_t size = sizeof(room);

    if (getsockname(listener, place, &size) != 0)
        return mpos_fail_errno("getsockname", errno);
    return mpos_inet_describe(place, size, address);
}

static mp_error listen_at(const struct addrinfo *at, int backlog,
                          mpos_address *address, mpos_handle *listener)
{
    mp_error error = mpos_socket_create(at->ai_family, listener);
    int cause;

    if (error != MP_OK)
        return error;
    cause = start_listening((int)*listener, at, backlog);
    if (cause != 0)
        error = mpos_socket_fail("listen", cause);
    else
        error = find_place((int)*listener, address);
    if (error != MP_OK)
        mpos_socket_discard(listener);
    return error;
}

mp_error mpos_inet_listen(mpos_address *address, int backlog,
                          mpos_handle *listener)
{
    struct addrinfo *found = NULL;
    mp_error error = look_up(address, AI_PASSIVE, &found);

    if (error != MP_OK)
        return error;
    error = MP_ENOTFOUND;
    for (const struct addrinfo *at = found; at != NULL; at = at->ai_next) {
        error = listen_at(at, backlog, address, listener);
        if (error == MP_OK)
            break;
    }
    freeaddrinfo(found);
    return error;
}

/* -- Connecting ------------------------------------------------------------ */

/* 0 or errno. */
static int wait_until_connected(int stream, int64_t deadline)
{
    struct pollfd item = {.fd = stream, .events = POLLOUT};
    socklen_t size = sizeof(int);
    int cause = 0;

    for (;;) {
        int timeout = mpos_poll_timeout(deadline, MPOS_FOREVER);
        int count = poll(&item, 1, timeout);

        if (count > 0)
            break;
        if (count < 0 && errno != EINTR)
            return errno;
        if (deadline != MPOS_FOREVER && mpos_now() >= deadline)
            return ETIMEDOUT;
    }
    if (getsockopt(stream, SOL_SOCKET, SO_ERROR, &cause, &size) != 0)
        return errno;
    return cause;
}

/* TCP lets a socket connect to itself, if the system happens to give it the
 * very port where nobody listens. */
static bool is_own_other_end(int stream)
{
    struct sockaddr_storage here;
    struct sockaddr_storage there;
    socklen_t here_size = sizeof(here);
    socklen_t there_size = sizeof(there);

    memset(&here, 0, sizeof(here));
    memset(&there, 0, sizeof(there));
    return getsockname(stream, (struct sockaddr *)&here, &here_size) == 0 &&
           getpeername(stream, (struct sockaddr *)&there, &there_size) == 0 &&
           here_size == there_size && memcmp(&here, &there, here_size) == 0;
}

int mpos_inet_connect_socket(int stream, const struct sockaddr *to,
                             socklen_t size, int64_t deadline)
{
    int cause = mpos_socket_set_blocking(stream, false);

    if (cause != 0)
        return cause;
    if (connect(stream, to, size) != 0) {
        /* Interrupted, it goes on all the same. */
        if (errno != EINPROGRESS && errno != EINTR)
            return errno;
        cause = wait_until_connected(stream, deadline);
        if (cause != 0)
            return cause;
    }
    if (is_own_other_end(stream))
        return ECONNREFUSED;
    return mpos_socket_set_blocking(stream, true);
}

static mp_error connect_to(const struct addrinfo *to, int64_t deadline,
                           mpos_handle *stream)
{
    mp_error error = mpos_socket_create(to->ai_family, stream);
    int cause;

    if (error != MP_OK)
        return error;
    cause = mpos_inet_connect_socket((int)*stream, to->ai_addr, to->ai_addrlen,
                                     deadline);
    if (cause != 0) {
        mpos_socket_discard(stream);
        return mpos_socket_fail("connect", cause);
    }
    mpos_inet_hurry((int)*stream);
    return MP_OK;
}

/* One that does not answer leaves its share of the time to those after it. */
static int64_t share_of(int64_t deadline, const struct addrinfo *to)
{
    int64_t now = mpos_now();
    int64_t count = 0;

    if (deadline == MPOS_FOREVER || deadline <= now)
        return deadline;
    for (; to != NULL; to = to->ai_next)
        count++;
    return now + (deadline - now) / count;
}

mp_error mpos_inet_connect(const mpos_address *address, int64_t deadline,
                           mpos_handle *stream)
{
    struct addrinfo *found = NULL;
    mp_error error = look_up(address, 0, &found);

    if (error != MP_OK)
        return error;
    error = MP_ENOTFOUND;
    for (const struct addrinfo *to = found; to != NULL; to = to->ai_next) {
        error = connect_to(to, share_of(deadline, to), stream);
        if (error == MP_OK)
            break;
    }
    freeaddrinfo(found);
    return error;
}
