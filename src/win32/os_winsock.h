/* SPDX-License-Identifier: MIT */
/*
 * Winsock, for the files that need it: os_socket.c and os_socket_inet.c. The
 * library is loaded and started by the first socket, so that it costs nothing
 * whoever has none; reading, writing and waiting never need it.
 */
#ifndef MULTIPROC_OS_WINSOCK_H
#define MULTIPROC_OS_WINSOCK_H

/* Before windows.h, which would bring in its predecessor. */
#include <winsock2.h>
#include <ws2tcpip.h>

#include "os_internal.h"

/* What we call of it: result, name, arguments. */
#define MPI_WINSOCK_CALLS(X)                                                  \
    X(int, WSAStartup, (WORD, WSADATA *))                                     \
    X(int, WSAGetLastError, (void))                                           \
    X(SOCKET, WSASocketW, (int, int, int, WSAPROTOCOL_INFOW *, GROUP, DWORD)) \
    X(int, WSADuplicateSocketW, (SOCKET, DWORD, WSAPROTOCOL_INFOW *))         \
    X(SOCKET, accept, (SOCKET, struct sockaddr *, int *))                     \
    X(int, bind, (SOCKET, const struct sockaddr *, int))                      \
    X(int, closesocket, (SOCKET))                                             \
    X(int, connect, (SOCKET, const struct sockaddr *, int))                   \
    X(void, FreeAddrInfoW, (ADDRINFOW *))                                     \
    X(int, GetAddrInfoW,                                                      \
      (const wchar_t *, const wchar_t *, const ADDRINFOW *, ADDRINFOW **))    \
    X(int, getnameinfo,                                                       \
      (const struct sockaddr *, int, char *, DWORD, char *, DWORD, int))      \
    X(int, getpeername, (SOCKET, struct sockaddr *, int *))                   \
    X(int, getsockname, (SOCKET, struct sockaddr *, int *))                   \
    X(int, getsockopt, (SOCKET, int, int, char *, int *))                     \
    X(int, ioctlsocket, (SOCKET, long, u_long *))                             \
    X(int, listen, (SOCKET, int))                                             \
    X(u_short, ntohs, (u_short))                                              \
    X(int, select,                                                            \
      (int, fd_set *, fd_set *, fd_set *, const struct timeval *))            \
    X(int, setsockopt, (SOCKET, int, int, const char *, int))

#define MPI_WINSOCK_MEMBER(result, name, arguments) \
    result(WSAAPI *name) arguments;
typedef struct mpi_winsock {
    MPI_WINSOCK_CALLS(MPI_WINSOCK_MEMBER)
} mpi_winsock;

/* MP_ENOTSUP: this system has none. */
mp_error mpi_winsock_start(const mpi_winsock **winsock);
/* One of Winsock's codes as ours. */
mp_error mpi_winsock_fail_code(int code, const char *what);
mp_error mpi_winsock_fail(const mpi_winsock *winsock, const char *what);
mp_error mpi_winsock_set_blocking(const mpi_winsock *winsock, SOCKET socket,
                                  bool is_blocking);

/* -- TCP (os_socket_inet.c) ------------------------------------------------ */

mp_error mpi_inet_listen(mpos_address *address, unsigned backlog,
                         mpos_handle *listener);
mp_error mpi_inet_accept(mpos_handle listener, const mpos_address *address,
                         mpos_address *peer, mpos_handle *stream);
mp_error mpi_inet_connect(const mpos_address *address, int64_t deadline,
                          mpos_handle *stream);
/* MP_EREFUSED also if nobody but the socket itself answers. */
mp_error mpi_inet_connect_socket(const mpi_winsock *winsock, SOCKET socket,
                                 const ADDRINFOW *at, int64_t deadline);

/* -- Named pipes (os_named_pipe.c) ----------------------------------------- */

mp_error mpi_pipe_listen(mpos_address *address, mpos_handle *listener);
mp_error mpi_pipe_accept(mpos_handle listener, mpos_handle *stream);
mp_error mpi_pipe_connect(const mpos_address *address, int64_t deadline,
                          mpos_handle *stream);
void mpi_pipe_listener_close(mpos_handle listener);

#endif
