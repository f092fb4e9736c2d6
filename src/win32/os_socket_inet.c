/* SPDX-License-Identifier: MIT */
/*
 * TCP: names of hosts, listening at them, and connecting in time. To look a
 * name up takes as long as the system likes; numbers take no time.
 *
 * A listener does not block, or accept() would, for whoever comes next, after a
 * client that left meanwhile. Streams block.
 */
#include "os_winsock.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { SLICE = 1000 }; /* milliseconds of waiting in one call */

/* -- Names ----------------------------------------------------------------- */

static mp_error fail_look_up(const char *host, int code)
{
    mp_error err = mpi_winsock_fail_code(code, host);

    return err == MP_ENOMEM || err == MP_ENOTSUP ? err : MP_ENOTFOUND;
}

/* No name: all interfaces to listen at, this machine to connect to. */
static mp_error look_up(const mpi_winsock *winsock, const mpos_address *address,
                        int flags, ADDRINFOW **found)
{
    const ADDRINFOW hints = {
        .ai_flags = flags,
        .ai_family = address->family == MPOS_INET ? AF_INET : AF_INET6,
        .ai_socktype = SOCK_STREAM,
    };
    wchar_t port[] = {L'0', L'0', L'0', L'0', L'0', L'\0'};
    unsigned rest = address->port;
    wchar_t *host = NULL;
    int code;
    mp_error err;

    for (size_t i = 5; i > 0; i--, rest /= 10)
        port[i - 1] = (wchar_t)(L'0' + rest % 10);
    err = mpi_win32_wide(address->name, &host);
    if (err != MP_OK)
        return err;
    code = winsock->GetAddrInfoW(host[0] == L'\0' ? NULL : host, port, &hints,
                                 found);
    free(host);
    return code == 0 ? MP_OK : fail_look_up(address->name, code);
}

/* The port is at the same place in both kinds of addresses. */
static unsigned port_of(const mpi_winsock *winsock,
                        const struct sockaddr_storage *place)
{
    struct sockaddr_in four;

    memcpy(&four, place, sizeof(four));
    return winsock->ntohs(four.sin_port);
}

static mp_error describe(const mpi_winsock *winsock,
                         const struct sockaddr_storage *place, int size,
                         mpos_address *address)
{
    int code = winsock->getnameinfo((const struct sockaddr *)place, size,
                                    address->name, (DWORD)sizeof(address->name),
                                    NULL, 0, NI_NUMERICHOST);

    if (code != 0)
        return mpi_winsock_fail_code(code, "can't tell an address");
    address->port = port_of(winsock, place);
    return MP_OK;
}

/* -- Sockets --------------------------------------------------------------- */

static mp_error create(const mpi_winsock *winsock, int family, SOCKET *out)
{
    SOCKET made =
        winsock->WSASocketW(family, SOCK_STREAM, IPPROTO_TCP, NULL, 0,
                            WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT);

    if (made == INVALID_SOCKET)
        return mpi_winsock_fail(winsock, "can't create a socket");
    *out = made;
    return MP_OK;
}

static bool set_option(const mpi_winsock *winsock, SOCKET socket, int level,
                       int option)
{
    const int yes = 1;

    return winsock->setsockopt(socket, level, option, (const char *)&yes,
                               sizeof(yes)) == 0;
}

/* What a stream is like: it blocks, and sends at once. */
static mp_error make_stream(const mpi_winsock *winsock, SOCKET socket)
{
    mp_error err = mpi_winsock_set_blocking(winsock, socket, true);

    /* Refused only if the other side has left already. */
    set_option(winsock, socket, IPPROTO_TCP, TCP_NODELAY);
    return err;
}

/* -- Listening ------------------------------------------------------------- */

/* Windows' SO_REUSEADDR would let anybody listen beside us. */
static mp_error bind_to(const mpi_winsock *winsock, SOCKET socket,
                        const ADDRINFOW *at, unsigned backlog)
{
    int most = backlog < INT_MAX ? (int)backlog : INT_MAX;

    if (!set_option(winsock, socket, SOL_SOCKET, SO_EXCLUSIVEADDRUSE) ||
        (at->ai_family == AF_INET6 &&
         !set_option(winsock, socket, IPPROTO_IPV6, IPV6_V6ONLY)))
        return mpi_winsock_fail(winsock, "can't set up a socket");
    if (winsock->bind(socket, at->ai_addr, (int)at->ai_addrlen) != 0 ||
        winsock->listen(socket, most) != 0)
        return mpi_winsock_fail(winsock, "can't listen");
    return mpi_winsock_set_blocking(winsock, socket, false);
}

static mp_error listen_at(const mpi_winsock *winsock, const ADDRINFOW *at,
                          unsigned backlog, mpos_address *address,
                          SOCKET *listener)
{
    struct sockaddr_storage place;
    int size = sizeof(place);
    mpos_address found = *address;
    SOCKET socket;
    mp_error err = create(winsock, at->ai_family, &socket);

    if (err != MP_OK)
        return err;
    err = bind_to(winsock, socket, at, backlog);
    if (err == MP_OK &&
        winsock->getsockname(socket, (struct sockaddr *)&place, &size) != 0)
        err = mpi_winsock_fail(winsock, "can't tell a socket's address");
    if (err == MP_OK)
        err = describe(winsock, &place, size, &found);
    if (err != MP_OK) {
        winsock->closesocket(socket);
        return err;
    }
    *address = found;
    *listener = socket;
    return MP_OK;
}

mp_error mpi_inet_listen(mpos_address *address, unsigned backlog,
                         mpos_handle *listener)
{
    const mpi_winsock *winsock;
    ADDRINFOW *found = NULL;
    SOCKET socket = INVALID_SOCKET;
    mp_error err = mpi_winsock_start(&winsock);

    if (err == MP_OK)
        err = look_up(winsock, address, AI_PASSIVE, &found);
    if (err != MP_OK)
        return err;
    err = MP_ENOTFOUND;
    for (const ADDRINFOW *at = found; at != NULL; at = at->ai_next) {
        err = listen_at(winsock, at, backlog, address, &socket);
        if (err == MP_OK)
            break;
    }
    winsock->FreeAddrInfoW(found);
    if (err == MP_OK)
        *listener = (mpos_handle)socket;
    return err;
}

/* -- Accepting ------------------------------------------------------------- */

/* What it tells is about a client that has left, not about the listener. */
static bool has_left(int code)
{
    return code == WSAEWOULDBLOCK || code == WSAECONNRESET ||
           code == WSAECONNABORTED || code == WSAENETDOWN ||
           code == WSAEHOSTUNREACH || code == WSAENETUNREACH ||
           code == WSAETIMEDOUT;
}

mp_error mpi_inet_accept(mpos_handle listener, const mpos_address *address,
                         mpos_address *peer, mpos_handle *stream)
{
    const mpi_winsock *winsock;
    struct sockaddr_storage place;
    int size = sizeof(place);
    mpos_address who = {.family = address->family};
    SOCKET accepted;
    mp_error err = mpi_winsock_start(&winsock);

    if (err != MP_OK)
        return err;
    accepted =
        winsock->accept((SOCKET)listener, (struct sockaddr *)&place, &size);
    if (accepted == INVALID_SOCKET && has_left(winsock->WSAGetLastError()))
        return mpi_fail(MP_TIMED_OUT, "nobody connects");
    if (accepted == INVALID_SOCKET)
        return mpi_winsock_fail(winsock, "can't accept a connection");
    SetHandleInformation((HANDLE)accepted, HANDLE_FLAG_INHERIT, 0);
    err = make_stream(winsock, accepted);
    if (err == MP_OK)
        err = describe(winsock, &place, size, &who);
    if (err != MP_OK) {
        winsock->closesocket(accepted);
        return err;
    }
    *peer = who;
    *stream = (mpos_handle)accepted;
    return MP_OK;
}

/* -- Connecting ------------------------------------------------------------ */

static mp_error outcome_of(const mpi_winsock *winsock, SOCKET socket)
{
    int code = 0;
    int size = sizeof(code);

    if (winsock->getsockopt(socket, SOL_SOCKET, SO_ERROR, (char *)&code,
                            &size) != 0)
        return mpi_winsock_fail(winsock, "can't connect");
    return mpi_winsock_fail_code(code, "can't connect");
}

static mp_error wait_until_connected(const mpi_winsock *winsock, SOCKET socket,
                                     int64_t deadline)
{
    for (;;) {
        fd_set is_there = {.fd_count = 1, .fd_array = {socket}};
        fd_set has_failed = {.fd_count = 1, .fd_array = {socket}};
        DWORD left = mpi_win32_milliseconds(deadline);
        DWORD slice = left < SLICE ? left : SLICE;
        struct timeval time = {.tv_sec = (long)(slice / 1000),
                               .tv_usec = (long)(slice % 1000 * 1000)};
        int count = winsock->select(0, NULL, &is_there, &has_failed, &time);

        if (count < 0)
            return mpi_winsock_fail(winsock, "can't wait for a connection");
        if (count > 0 && has_failed.fd_count > 0)
            return outcome_of(winsock, socket);
        if (count > 0)
            return MP_OK;
        if (left == 0)
            return mpi_fail(MP_TIMED_OUT, "nobody has answered in time");
    }
}

static mp_error start_connecting(const mpi_winsock *winsock, SOCKET socket,
                                 const ADDRINFOW *at, int64_t deadline)
{
    mp_error err = mpi_winsock_set_blocking(winsock, socket, false);

    if (err != MP_OK)
        return err;
    if (winsock->connect(socket, at->ai_addr, (int)at->ai_addrlen) == 0)
        return MP_OK;
    if (winsock->WSAGetLastError() != WSAEWOULDBLOCK)
        return mpi_winsock_fail(winsock, "can't connect");
    return wait_until_connected(winsock, socket, deadline);
}

/* TCP lets a socket connect to itself, if the system happens to give it the
 * very port where nobody listens. */
static bool is_own_other_end(const mpi_winsock *winsock, SOCKET socket)
{
    struct sockaddr_storage here;
    struct sockaddr_storage there;
    int here_size = sizeof(here);
    int there_size = sizeof(there);

    memset(&here, 0, sizeof(here));
    memset(&there, 0, sizeof(there));
    return winsock->getsockname(socket, (struct sockaddr *)&here, &here_size) ==
               0 &&
           winsock->getpeername(socket, (struct sockaddr *)&there,
                                &there_size) == 0 &&
           here_size == there_size &&
           memcmp(&here, &there, (size_t)here_size) == 0;
}

mp_error mpi_inet_connect_socket(const mpi_winsock *winsock, SOCKET socket,
                                 const ADDRINFOW *at, int64_t deadline)
{
    mp_error err = start_connecting(winsock, socket, at, deadline);

    if (err == MP_OK && is_own_other_end(winsock, socket))
        err = mpi_winsock_fail_code(WSAECONNREFUSED, "can't connect");
    return err;
}

static mp_error connect_to(const mpi_winsock *winsock, const ADDRINFOW *at,
                           int64_t deadline, SOCKET *stream)
{
    SOCKET socket;
    mp_error err = create(winsock, at->ai_family, &socket);

    if (err != MP_OK)
        return err;
    err = mpi_inet_connect_socket(winsock, socket, at, deadline);
    if (err == MP_OK)
        err = make_stream(winsock, socket);
    if (err != MP_OK) {
        winsock->closesocket(socket);
        return err;
    }
    *stream = socket;
    return MP_OK;
}

mp_error mpi_inet_connect(const mpos_address *address, int64_t deadline,
                          mpos_handle *stream)
{
    const mpi_winsock *winsock;
    ADDRINFOW *found = NULL;
    SOCKET socket = INVALID_SOCKET;
    mp_error err = mpi_winsock_start(&winsock);

    if (err == MP_OK)
        err = look_up(winsock, address, 0, &found);
    if (err != MP_OK)
        return err;
    err = MP_ENOTFOUND;
    for (const ADDRINFOW *at = found; at != NULL; at = at->ai_next) {
        err = connect_to(winsock, at, deadline, &socket);
        if (err == MP_OK || err == MP_TIMED_OUT)
            break;
    }
    winsock->FreeAddrInfoW(found);
    if (err == MP_OK)
        *stream = (mpos_handle)socket;
    return err;
}
