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
    IDLE_EVENTS = 16,
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

mp_error mpos_channel(mpos_handle *left, mpos_handle *right)
{
    return create_pair(left, PIPE_ACCESS_DUPLEX, right,
                       GENERIC_READ | GENERIC_WRITE);
}

/* -- Events ---------------------------------------------------------------- */

/*
 * An overlapped call needs an event that nobody else waits for. To create one
 * costs as much as a small transfer, so a few are kept for the next call. (One
 * for each thread would need somebody to close it when the thread ends.)
 */
static struct {
    mpos_mutex mutex;
    HANDLE idle[IDLE_EVENTS];
    size_t count;
} events = {.mutex = MPOS_MUTEX_INIT};

static mp_error take_event(HANDLE *event)
{
    HANDLE taken = NULL;

    mpos_mutex_lock(&events.mutex);
    if (events.count > 0)
        taken = events.idle[--events.count];
    mpos_mutex_unlock(&events.mutex);
    if (taken == NULL)
        taken = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (taken == NULL)
        return mpi_win32_fail("can't create an event");
    *event = taken;
    return MP_OK;
}

/* The system resets it when the next call starts. */
static void give_event(HANDLE event)
{
    mpos_mutex_lock(&events.mutex);
    if (events.count < IDLE_EVENTS) {
        events.idle[events.count++] = event;
        event = NULL;
    }
    mpos_mutex_unlock(&events.mutex);
    if (event != NULL)
        CloseHandle(event);
}

/* -- Reading and writing --------------------------------------------------- */

/* The outcome of a ReadFile or WriteFile that answered is_done. */
static DWORD finish(HANDLE file, BOOL is_done, OVERLAPPED *call, DWORD *count)
{
    if (!is_done && GetLastError() != ERROR_IO_PENDING)
        return GetLastError();
    if (!GetOverlappedResult(file, call, count, TRUE))
        return GetLastError();
    return ERROR_SUCCESS;
}

static DWORD limited(size_t size)
{
    return size < LARGEST_TRANSFER ? (DWORD)size : LARGEST_TRANSFER;
}

static bool is_disconnected(DWORD code)
{
    return code == ERROR_BROKEN_PIPE || code == ERROR_NO_DATA ||
           code == ERROR_PIPE_NOT_CONNECTED || code == ERROR_HANDLE_EOF;
}

mp_error mpos_read(mpos_handle handle, void *data, size_t size, size_t *got)
{
    HANDLE file = (HANDLE)handle;
    OVERLAPPED call = {0};
    DWORD count = 0;
    DWORD code;
    mp_error err = take_event(&call.hEvent);

    if (err != MP_OK)
        return err;
    /* Again after nothing: somebody wrote zero bytes, which is no end. */
    do {
        BOOL is_done = ReadFile(file, data, limited(size), NULL, &call);

        code = finish(file, is_done, &call, &count);
    } while (code == ERROR_SUCCESS && count == 0 && size > 0);
    give_event(call.hEvent);
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
    mp_error err = take_event(&call.hEvent);

    if (err != MP_OK)
        return err;
    is_done = WriteFile(file, data, limited(size), NULL, &call);
    code = finish(file, is_done, &call, &count);
    give_event(call.hEvent);
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

    if (!DuplicateHandle(self, (HANDLE)handle, self, &duplicate, 0, FALSE,
                         DUPLICATE_SAME_ACCESS))
        return mpi_win32_fail("can't duplicate a handle");
    *copy = (mpos_handle)duplicate;
    return MP_OK;
}

void mpos_close(mpos_handle handle)
{
    if (handle != MPOS_NONE)
        CloseHandle((HANDLE)handle);
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

mp_error mpos_recv_handles(mpos_handle channel, void *data, size_t size,
                           size_t *got, mpos_arrivals *arrived)
{
    (void)channel;
    (void)data;
    (void)size;
    (void)got;
    (void)arrived;
    return no_handles_travel();
}
