/* SPDX-License-Identifier: MIT */
/*
 * Pipes, channels, reading and writing.
 *
 * Both are pairs of named pipe ends in byte mode: CreatePipe's can't be waited
 * for. They are opened for overlapped use, so a read and a write on one
 * channel never wait for each other, as synchronous ones would.
 *
 * The writer may close at once: what it wrote stays readable. That holds as
 * long as nobody calls DisconnectNamedPipe.
 */
#include "os_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

enum {
    PIPE_BUFFER = 64 * 1024,
    NAME_SIZE = 96,
    /* Parts up to here are written as one: each write costs a system call. */
    GATHER_SIZE = 4096,
    /* The system copies what is on its way into memory that can't be paged. */
    LARGEST_TRANSFER = 1 << 20,
    KEPT_EVENTS = 16,
};

/* -- Making pairs ---------------------------------------------------------- */

/* Nobody can take the name before us: FILE_FLAG_FIRST_PIPE_INSTANCE; nor
 * guess it and connect between our two calls. */
static mp_error choose_name(wchar_t name[NAME_SIZE])
{
    static mpi_atomic32 counter;
    uint64_t secret[2];
    mp_error err = mpos_random(secret, sizeof(secret));

    if (err != MP_OK)
        return err;
    swprintf(name, NAME_SIZE, L"\\\\.\\pipe\\multiproc-%lu-%lu-%016llx%016llx",
             (unsigned long)GetCurrentProcessId(),
             (unsigned long)mpi_atomic32_add(&counter, 1),
             (unsigned long long)secret[0], (unsigned long long)secret[1]);
    return MP_OK;
}

static HANDLE create_server(const wchar_t *name, DWORD access)
{
    return CreateNamedPipeW(
        name, access | FILE_FLAG_OVERLAPPED | FILE_FLAG_FIRST_PIPE_INSTANCE,
        PIPE_TYPE_BYTE | PIPE_READMODE_BYTE | PIPE_WAIT |
            PIPE_REJECT_REMOTE_CLIENTS,
        1, PIPE_BUFFER, PIPE_BUFFER, 0, NULL);
}

static HANDLE open_client(const wchar_t *name, DWORD access)
{
    return CreateFileW(name, access, 0, NULL, OPEN_EXISTING,
                       FILE_FLAG_OVERLAPPED | SECURITY_SQOS_PRESENT |
                           SECURITY_ANONYMOUS,
                       NULL);
}

static mp_error create_pair(mpos_handle *server, DWORD server_access,
                            mpos_handle *client, DWORD client_access)
{
    wchar_t name[NAME_SIZE];
    HANDLE ours;
    HANDLE theirs;
    mp_error err = choose_name(name);

    if (err != MP_OK)
        return err;
    ours = create_server(name, server_access);
    if (ours == INVALID_HANDLE_VALUE)
        return mpi_win32_fail("can't create a pipe");
    theirs = open_client(name, client_access);
    if (theirs == INVALID_HANDLE_VALUE) {
        err = mpi_win32_fail("can't open the other end of a pipe");
        CloseHandle(ours);
        return err;
    }
    /* No ConnectNamedPipe: the client connected a pipe that was listening
     * from birth, and the call could only answer ERROR_PIPE_CONNECTED. */
    *server = (mpos_handle)ours;
    *client = (mpos_handle)theirs;
    return MP_OK;
}

mp_error mpos_pipe(mpos_handle *reader, mpos_handle *writer)
{
    return create_pair(reader, PIPE_ACCESS_INBOUND, writer, GENERIC_WRITE);
}

mp_error mpos_channel(mpos_handle *left, mpos_handle *right, bool *has_packets)
{
    if (has_packets != NULL)
        *has_packets = false;
    return create_pair(left, PIPE_ACCESS_DUPLEX, right,
                       GENERIC_READ | GENERIC_WRITE);
}

/* -- Events ---------------------------------------------------------------- */

/*
 * An overlapped call needs an event that nobody else waits for. To create one
 * costs as much as a small transfer, so they are kept for the next call. (One
 * for each thread would need somebody to close it when the thread ends.)
 *
 * The first call makes all that are ever kept. Were one added whenever more
 * calls than ever before happen to be under way, a process would have more
 * handles after the same work at one time than at another, and nobody could
 * tell that from a leak.
 */
static struct {
    mpos_mutex mutex;
    HANDLE idle[KEPT_EVENTS];
    size_t count;
    size_t existing; /* these, and those that calls have taken */
} events = {.mutex = MPOS_MUTEX_INIT};

static HANDLE create_event(void)
{
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL);

    if (event != NULL)
        events.existing++;
    return event;
}

/* As many as the system gives: later calls make what is missing. */
static void keep_events(void)
{
    while (events.existing < KEPT_EVENTS) {
        HANDLE event = create_event();

        if (event == NULL)
            return;
        events.idle[events.count++] = event;
    }
}

mp_error mpi_win32_take_event(HANDLE *event)
{
    HANDLE taken;
    mp_error err = MP_OK;

    mpos_mutex_lock(&events.mutex);
    keep_events();
    taken = events.count > 0 ? events.idle[--events.count] : create_event();
    if (taken == NULL)
        err = mpi_win32_fail("can't create an event");
    mpos_mutex_unlock(&events.mutex);
    if (err == MP_OK)
        *event = taken;
    return err;
}

/* The system resets it when the next call starts. */
void mpi_win32_give_event(HANDLE event)
{
    mpos_mutex_lock(&events.mutex);
    if (events.existing <= KEPT_EVENTS) {
        events.idle[events.count++] = event;
    } else {
        CloseHandle(event);
        events.existing--;
    }
    mpos_mutex_unlock(&events.mutex);
}

/* -- Reading and writing --------------------------------------------------- */

DWORD mpi_win32_finish(HANDLE file, BOOL is_done, OVERLAPPED *call,
                       DWORD *count)
{
    if (!is_done && GetLastError() != ERROR_IO_PENDING &&
        GetLastError() != ERROR_MORE_DATA)
        return GetLastError();
    if (!GetOverlappedResult(file, call, count, TRUE))
        return GetLastError();
    return ERROR_SUCCESS;
}

static DWORD limited(size_t size)
{
    return size < LARGEST_TRANSFER ? (DWORD)size : LARGEST_TRANSFER;
}

/* The second three are sockets', whose other end was closed with something of
 * ours still unread. */
static bool is_disconnected(DWORD code)
{
    return code == ERROR_BROKEN_PIPE || code == ERROR_NO_DATA ||
           code == ERROR_PIPE_NOT_CONNECTED || code == ERROR_HANDLE_EOF ||
           code == ERROR_NETNAME_DELETED || code == ERROR_CONNECTION_ABORTED ||
           code == ERROR_GRACEFUL_DISCONNECT;
}

static bool is_pipe(HANDLE file)
{
    return GetNamedPipeInfo(file, NULL, NULL, NULL, NULL) != 0;
}

mp_error mpos_read(mpos_handle handle, void *data, size_t size, size_t *got)
{
    HANDLE file = (HANDLE)handle;
    OVERLAPPED call = {0};
    DWORD count = 0;
    DWORD code;
    mp_error err = mpi_win32_take_event(&call.hEvent);

    if (err != MP_OK)
        return err;
    /* Again after nothing: somebody wrote zero bytes, which is no end. Of a
     * socket it is. */
    do {
        BOOL is_done = ReadFile(file, data, limited(size), NULL, &call);

        code = mpi_win32_finish(file, is_done, &call, &count);
    } while (code == ERROR_SUCCESS && count == 0 && size > 0 && is_pipe(file));
    mpi_win32_give_event(call.hEvent);
    if (is_disconnected(code))
        count = 0;
    else if (code != ERROR_SUCCESS && code != ERROR_MORE_DATA)
        return mpi_win32_fail_code(code, "can't read");
    *got = count;
    return MP_OK;
}

/* As much as fits, in order. */
static size_t gather(unsigned char *buffer, const mpos_bytes *parts,
                     size_t count)
{
    size_t size = 0;

    for (size_t i = 0; i < count && size < GATHER_SIZE; i++) {
        size_t chunk = parts[i].size;

        if (chunk > GATHER_SIZE - size)
            chunk = GATHER_SIZE - size;
        if (chunk > 0)
            memcpy(buffer + size, parts[i].data, chunk);
        size += chunk;
    }
    return size;
}

static mp_error write_one(HANDLE file, const void *data, size_t size,
                          size_t *written)
{
    OVERLAPPED call = {0};
    DWORD count = 0;
    DWORD code;
    BOOL is_done;
    mp_error err = mpi_win32_take_event(&call.hEvent);

    if (err != MP_OK)
        return err;
    is_done = WriteFile(file, data, limited(size), NULL, &call);
    code = mpi_win32_finish(file, is_done, &call, &count);
    mpi_win32_give_event(call.hEvent);
    if (is_disconnected(code))
        return mpi_win32_fail_code(ERROR_BROKEN_PIPE, "can't write");
    if (code != ERROR_SUCCESS)
        return mpi_win32_fail_code(code, "can't write");
    *written = count;
    return MP_OK;
}

mp_error mpos_write(mpos_handle handle, const mpos_bytes *parts, size_t count,
                    size_t *written)
{
    unsigned char buffer[GATHER_SIZE];
    size_t size;

    while (count > 0 && parts->size == 0) {
        parts++;
        count--;
    }
    if (count == 0) {
        *written = 0;
        return MP_OK;
    }
    if (count == 1 || parts->size >= GATHER_SIZE)
        return write_one((HANDLE)handle, parts->data, parts->size, written);
    size = gather(buffer, parts, count);
    return write_one((HANDLE)handle, buffer, size, written);
}

/* -- The rest -------------------------------------------------------------- */

mp_error mpos_duplicate(mpos_handle handle, mpos_handle *copy)
{
    HANDLE self = GetCurrentProcess();
    HANDLE duplicate;

    /* Which would be this process itself. */
    if (handle == MPOS_NONE)
        return mpi_fail(MP_EINVAL, "this is no handle");
    if (mpi_win32_socket_duplicate((HANDLE)handle, &duplicate)) {
        *copy = (mpos_handle)duplicate;
        return MP_OK;
    }
    if (!DuplicateHandle(self, (HANDLE)handle, self, &duplicate, 0, FALSE,
                         DUPLICATE_SAME_ACCESS))
        return mpi_win32_fail("can't duplicate a handle");
    *copy = (mpos_handle)duplicate;
    return MP_OK;
}

void mpos_close(mpos_handle handle)
{
    if (handle == MPOS_NONE)
        return;
    mpi_win32_forget_empty((HANDLE)handle);
    if (!mpi_win32_socket_close((HANDLE)handle))
        CloseHandle((HANDLE)handle);
}

/* -- In another process ---------------------------------------------------- */

/* start_time 0: whoever has the number now. */
static mp_error open_for_handles(int64_t pid, uint64_t start_time,
                                 HANDLE *process)
{
    mp_error err = mpi_win32_open_process(pid, PROCESS_DUP_HANDLE, process);

    if (err != MP_OK)
        return err;
    if (start_time == 0 || mpi_win32_start_time(*process) == start_time)
        return MP_OK;
    CloseHandle(*process);
    return mpi_fail(MP_ENOTFOUND, "process %lld has ended", (long long)pid);
}

mp_error mpos_handle_give(int64_t pid, uint64_t start_time, mpos_handle handle,
                          uint64_t *number)
{
    HANDLE process;
    HANDLE there;
    mp_error err = open_for_handles(pid, start_time, &process);

    if (err != MP_OK)
        return err;
    if (DuplicateHandle(GetCurrentProcess(), (HANDLE)handle, process, &there, 0,
                        FALSE, DUPLICATE_SAME_ACCESS))
        *number = (uintptr_t)there;
    else if (mpi_win32_has_ended(process))
        err = mpi_fail(MP_ENOTFOUND, "process %lld has ended", (long long)pid);
    else
        err = mpi_win32_fail("can't give a handle to a process");
    CloseHandle(process);
    return err;
}

/* It is fetched, since Wine 8 does not close what it is not to copy. */
void mpos_handle_revoke(int64_t pid, uint64_t start_time, uint64_t number)
{
    HANDLE process;
    HANDLE copy;

    if (open_for_handles(pid, start_time, &process) != MP_OK)
        return;
    if (DuplicateHandle(process, (HANDLE)(uintptr_t)number, GetCurrentProcess(),
                        &copy, 0, FALSE,
                        DUPLICATE_CLOSE_SOURCE | DUPLICATE_SAME_ACCESS))
        CloseHandle(copy);
    CloseHandle(process);
}

static mp_error no_handles_travel(void)
{
    return mpi_fail(MP_ENOTSUP,
                    "Windows sends no handles over a pipe: they are inherited, "
                    "or duplicated into a process");
}

mp_error mpos_send_handles(mpos_handle channel, const mpos_bytes parts[2],
                           const mpos_handle *handles, size_t count,
                           size_t *written)
{
    (void)channel;
    (void)parts;
    (void)handles;
    (void)count;
    (void)written;
    return no_handles_travel();
}

mp_error mpos_recv_handles(mpos_handle channel, const mpos_room *parts,
                           size_t count, size_t *got, mpos_arrivals *arrived)
{
    (void)channel;
    (void)parts;
    (void)count;
    (void)got;
    (void)arrived;
    return no_handles_travel();
}
