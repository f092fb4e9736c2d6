/* SPDX-License-Identifier: MIT */
/*
 * Sockets, of whichever family: what the families have in common, and Winsock
 * itself. TCP is in os_socket_inet.c, named pipes are in os_named_pipe.c.
 *
 * A socket is a file to the system: it is read and written as pipes are, and a
 * child that was given one need not know that Winsock exists. Only Winsock's
 * own notes on a socket ask for its own way of closing it.
 */
#include "os_winsock.h"

#include <string.h>

/* -- Winsock --------------------------------------------------------------- */

static mpi_winsock winsock;
static mpi_atomic32 is_started;

/* A call of Winsock's by its name; false if it is not there. */
static bool find_call(HMODULE library, const char *name, void *call,
                      size_t size)
{
    FARPROC found = GetProcAddress(library, name);

    if (found == NULL)
        return false;
    memcpy(call, &found, size);
    return true;
}

static bool find_calls(HMODULE library)
{
    bool has_all = true;

#define FIND(result, name, arguments) \
    has_all = has_all &&              \
              find_call(library, #name, &winsock.name, sizeof(winsock.name));
    MPI_WINSOCK_CALLS(FIND)
#undef FIND
    return has_all;
}

static mp_error start(void)
{
    HMODULE library =
        LoadLibraryExW(L"ws2_32.dll", NULL, LOAD_LIBRARY_SEARCH_SYSTEM32);
    WSADATA unused;
    int code;

    if (library == NULL)
        return mpi_win32_fail("can't load ws2_32.dll");
    if (!find_calls(library)) {
        FreeLibrary(library);
        return mpi_fail(MP_ENOTSUP, "ws2_32.dll is not as it should be");
    }
    code = winsock.WSAStartup(MAKEWORD(2, 2), &unused);
    if (code != 0)
        return mpi_winsock_fail_code(code, "can't start Winsock");
    mpi_atomic32_store(&is_started, 1);
    return MP_OK;
}

mp_error mpi_winsock_start(const mpi_winsock **out)
{
    static mpos_mutex mutex = MPOS_MUTEX_INIT;
    mp_error err = MP_OK;

    if (mpi_atomic32_load(&is_started) == 0) {
        mpos_mutex_lock(&mutex);
        if (mpi_atomic32_load(&is_started) == 0)
            err = start();
        mpos_mutex_unlock(&mutex);
    }
    *out = &winsock;
    return err;
}

static mp_error translate(int code)
{
    switch (code) {
    case WSAEADDRINUSE:
        return MP_EADDRINUSE;
    case WSAEACCES: /* somebody has it, and excludes others */
        return MP_EACCES;
    case WSAECONNREFUSED:
    case WSAECONNRESET:
        return MP_EREFUSED;
    case WSAEADDRNOTAVAIL:
    case WSAEHOSTUNREACH:
    case WSAEHOSTDOWN:
    case WSAENETUNREACH:
    case WSAENETDOWN:
        return MP_ENOTFOUND;
    case WSAEAFNOSUPPORT:
    case WSAEPFNOSUPPORT:
    case WSAEPROTONOSUPPORT:
    case WSAESOCKTNOSUPPORT:
    case WSAVERNOTSUPPORTED:
    case WSASYSNOTREADY:
        return MP_ENOTSUP;
    case WSAETIMEDOUT:
        return MP_TIMED_OUT;
    case WSAEMFILE:
    case WSAEPROCLIM:
        return MP_EMFILE;
    case WSAENOBUFS:
    case WSA_NOT_ENOUGH_MEMORY:
        return MP_ENOMEM;
    case WSAENOTSOCK:
    case WSAEINVAL:
        return MP_EINVAL;
    default:
        return MP_EIO;
    }
}

mp_error mpi_winsock_fail_code(int code, const char *what)
{
    (void)mpi_win32_fail_code((DWORD)code, what); /* for its sentence */
    return translate(code);
}

mp_error mpi_winsock_fail(const mpi_winsock *calls, const char *what)
{
    return mpi_winsock_fail_code(calls->WSAGetLastError(), what);
}

mp_error mpi_winsock_set_blocking(const mpi_winsock *calls, SOCKET socket,
                                  bool is_blocking)
{
    u_long is_impatient = is_blocking ? 0 : 1;

    if (calls->ioctlsocket(socket, (long)FIONBIO, &is_impatient) != 0)
        return mpi_winsock_fail(calls, "can't set up a socket");
    return MP_OK;
}

bool mpi_win32_socket_close(HANDLE handle)
{
    return mpi_atomic32_load(&is_started) != 0 &&
           winsock.closesocket((SOCKET)handle) == 0;
}

bool mpi_win32_socket_duplicate(HANDLE handle, HANDLE *copy)
{
    WSAPROTOCOL_INFOW information;
    SOCKET duplicate;

    if (mpi_atomic32_load(&is_started) == 0 ||
        winsock.WSADuplicateSocketW((SOCKET)handle, GetCurrentProcessId(),
                                    &information) != 0)
        return false;
    duplicate = winsock.WSASocketW(
        FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO,
        &information, 0, WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT);
    if (duplicate == INVALID_SOCKET)
        return false;
    *copy = (HANDLE)duplicate;
    return true;
}

/* -- The families ---------------------------------------------------------- */

static mp_error refuse_unix(void)
{
    return mpi_fail(MP_ENOTSUP, "multiproc has no AF_UNIX on Windows; named "
                                "pipes are what is like it");
}

mp_error mpos_listen(mpos_address *address, unsigned backlog,
                     mpos_handle *listener)
{
    if (address->family == MPOS_UNIX)
        return refuse_unix();
    if (address->family == MPOS_PIPE)
        return mpi_pipe_listen(address, listener);
    return mpi_inet_listen(address, backlog, listener);
}

mp_error mpos_accept(mpos_handle listener, const mpos_address *address,
                     mpos_address *peer, mpos_handle *stream)
{
    mp_error err;

    if (!mpi_win32_is_pipe_listener(listener))
        return mpi_inet_accept(listener, address, peer, stream);
    err = mpi_pipe_accept(listener, stream);
    if (err == MP_OK)
        *peer = (mpos_address){.family = MPOS_PIPE};
    return err;
}

mp_error mpos_connect(const mpos_address *address, int64_t deadline,
                      mpos_handle *stream)
{
    if (address->family == MPOS_UNIX)
        return refuse_unix();
    if (address->family == MPOS_PIPE)
        return mpi_pipe_connect(address, deadline, stream);
    return mpi_inet_connect(address, deadline, stream);
}

void mpos_listener_close(mpos_handle listener, const mpos_address *address,
                         bool is_owner)
{
    (void)address; /* a pipe's name goes with its last instance */
    (void)is_owner;
    if (listener == MPOS_NONE)
        return;
    if (mpi_win32_is_pipe_listener(listener))
        mpi_pipe_listener_close(listener);
    else
        mpos_close(listener);
}
