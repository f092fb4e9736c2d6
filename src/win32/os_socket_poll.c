/* SPDX-License-Identifier: MIT */
/*
 * Waiting for sockets, as many as there are, with one call that neither changes
 * them nor takes a thread.
 *
 * Windows documents two ways: select(), which sleeps on sockets only, and
 * WSAEventSelect(), which makes a socket non-blocking and forgets whoever else
 * waits for it, so foreign sockets can't be waited for. Below both is the
 * request that select() itself sends to the driver of sockets, AFD: it may be
 * sent without sleeping on it. libuv, wepoll and mio rely on it as well.
 */
#include "os_internal.h"

#include <stdlib.h>

enum {
    AFD_POLL = 0x12024, /* IOCTL_AFD_POLL */
    /* AFD_POLL_...: data, the other end closed, reset, closed by us, somebody
     * connects, connecting failed. */
    AFD_READABLE = 0x001 | 0x008 | 0x010 | 0x020 | 0x080 | 0x100,
    OPEN_EXISTING_ONLY = 1, /* FILE_OPEN */
};

typedef struct native_string {
    USHORT size;
    USHORT capacity;
    wchar_t *text;
} native_string;

typedef struct native_attributes {
    ULONG size;
    HANDLE root;
    native_string *name;
    ULONG flags;
    void *unused[2];
} native_attributes;

/* The status block is the beginning of an OVERLAPPED. */
typedef LONG(NTAPI *create_file)(HANDLE *, ULONG, native_attributes *,
                                 OVERLAPPED *, void *, ULONG, ULONG, ULONG,
                                 ULONG, void *, ULONG);
typedef LONG(NTAPI *control_file)(HANDLE, HANDLE, void *, void *, OVERLAPPED *,
                                  ULONG, void *, ULONG, void *, ULONG);
typedef ULONG(NTAPI *to_win32)(LONG);

/* AFD_POLL_HANDLE_INFO and AFD_POLL_INFO. */
typedef struct poll_entry {
    HANDLE socket;
    ULONG events;
    LONG status;
} poll_entry;

typedef struct poll_request {
    LARGE_INTEGER timeout; /* relative, if it is not positive */
    ULONG count;
    ULONG is_exclusive;
    poll_entry entries[1];
} poll_request;

struct mpi_socket_poll {
    OVERLAPPED call;
    HANDLE wake;
    poll_request *request;
    poll_request *answer;
    ULONG size;
    bool is_armed;
};

/* -- The driver ------------------------------------------------------------ */

static struct {
    mpos_mutex mutex;
    HANDLE device; /* stays open */
    control_file control;
} driver = {.mutex = MPOS_MUTEX_INIT};

static mp_error fail_status(LONG status, const char *what)
{
    to_win32 convert = (to_win32)mpi_win32_native("RtlNtStatusToDosError");
    DWORD code = convert == NULL ? ERROR_GEN_FAILURE : convert(status);

    (void)mpi_win32_fail_code(code, what); /* for its sentence */
    return MP_EINVAL; /* what does not know the request is no socket */
}

static mp_error open_driver(void)
{
    static wchar_t path[] = L"\\Device\\Afd\\multiproc";
    native_string name = {
        .size = sizeof(path) - sizeof(path[0]),
        .capacity = sizeof(path),
        .text = path,
    };
    native_attributes attributes = {.size = sizeof(attributes), .name = &name};
    create_file create = (create_file)mpi_win32_native("NtCreateFile");
    OVERLAPPED unused = {0};
    LONG status;

    driver.control = (control_file)mpi_win32_native("NtDeviceIoControlFile");
    if (create == NULL || driver.control == NULL)
        return mpi_fail(MP_ENOTSUP, "ntdll.dll is not as it should be");
    status = create(&driver.device, SYNCHRONIZE, &attributes, &unused, NULL, 0,
                    FILE_SHARE_READ | FILE_SHARE_WRITE, OPEN_EXISTING_ONLY, 0,
                    NULL, 0);
    if (status < 0) {
        driver.device = NULL;
        return mpi_fail(MP_ENOTSUP, "sockets can't be waited for: status 0x%lx",
                        (unsigned long)status);
    }
    return MP_OK;
}

static mp_error need_driver(void)
{
    mp_error err = MP_OK;

    mpos_mutex_lock(&driver.mutex);
    if (driver.device == NULL)
        err = open_driver();
    mpos_mutex_unlock(&driver.mutex);
    return err;
}

/* Negative: refused. Else it has been answered, or will be. */
static LONG send_request(mpi_socket_poll *poll, HANDLE event, int64_t timeout)
{
    LONG status;

    poll->request->timeout.QuadPart = timeout;
    /* Unlike kernel32's calls, ntdll's leave that to us. */
    poll->call = (OVERLAPPED){.Internal = STATUS_PENDING, .hEvent = event};
    status =
        driver.control(driver.device, event, NULL, NULL, &poll->call, AFD_POLL,
                       poll->request, poll->size, poll->answer, poll->size);
    if (status < 0)
        poll->call.Internal = (ULONG_PTR)status;
    return status;
}

/* The system writes to the answer until the request has ended for good. */
static void await_answer(mpi_socket_poll *poll, HANDLE event)
{
    while (!HasOverlappedIoCompleted(&poll->call)) {
        WaitForSingleObject(event, 1);
        ResetEvent(event);
    }
}

/* -- Making ---------------------------------------------------------------- */

static bool is_socket(const mpos_wait_item *item)
{
    return item->kind == MPOS_WAIT_SOCKET ||
           (item->kind == MPOS_WAIT_LISTENER &&
            !mpi_win32_is_pipe_listener(item->handle));
}

static ULONG count_sockets(const mpos_wait_item *items, size_t count)
{
    ULONG sockets = 0;

    for (size_t i = 0; i < count; i++)
        sockets += is_socket(&items[i]) ? 1 : 0;
    return sockets;
}

static void fill_request(poll_request *request, const mpos_wait_item *items,
                         size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (is_socket(&items[i]))
            request->entries[request->count++] = (poll_entry){
                .socket = (HANDLE)items[i].handle,
                .events = AFD_READABLE,
            };
    }
}

mp_error mpi_socket_poll_create(mpi_socket_poll **out,
                                const mpos_wait_item *items, size_t count)
{
    ULONG sockets = count_sockets(items, count);
    size_t size =
        sizeof(poll_request) + (size_t)(sockets - 1) * sizeof(poll_entry);
    mpi_socket_poll *poll = NULL;
    mp_error err = need_driver();

    if (err != MP_OK)
        return err;
    poll = mpi_calloc(1, sizeof(*poll));
    if (poll == NULL)
        return mpi_no_memory();
    poll->request = mpi_calloc(1, size);
    poll->answer = mpi_calloc(1, size);
    if (poll->request == NULL || poll->answer == NULL) {
        mpi_socket_poll_free(poll);
        return mpi_no_memory();
    }
    poll->size = (ULONG)size;
    fill_request(poll->request, items, count);
    *out = poll;
    return MP_OK;
}

void mpi_socket_poll_free(mpi_socket_poll *poll)
{
    if (poll == NULL)
        return;
    free(poll->request);
    free(poll->answer);
    free(poll);
}

/* -- Asking ---------------------------------------------------------------- */

/* The answer names those that are ready, in the order of the request. */
static bool mark(const poll_request *answer, mpos_wait_item *items,
                 size_t count)
{
    ULONG next = 0;

    for (size_t i = 0; i < count; i++) {
        if (!is_socket(&items[i]))
            continue;
        items[i].is_ready =
            next < answer->count &&
            answer->entries[next].socket == (HANDLE)items[i].handle;
        next += items[i].is_ready ? 1 : 0;
    }
    return next > 0;
}

mp_error mpi_socket_poll_look(mpi_socket_poll *poll, mpos_wait_item *items,
                              size_t count, bool *has_any)
{
    HANDLE event;
    LONG status;
    mp_error err = mpi_win32_take_event(&event);

    if (err != MP_OK)
        return err;
    poll->answer->count = 0;
    status = send_request(poll, event, 0);
    if (status >= 0) {
        await_answer(poll, event);
        status = (LONG)poll->call.Internal;
    }
    mpi_win32_give_event(event);
    if (status < 0)
        return fail_status(status, "can't wait for a socket");
    if (mark(poll->answer, items, count))
        *has_any = true;
    return MP_OK;
}

mp_error mpi_socket_poll_arm(mpi_socket_poll *poll, HANDLE event)
{
    LONG status;

    poll->answer->count = 0;
    poll->wake = event;
    status = send_request(poll, event, INT64_MAX);
    if (status < 0)
        return fail_status(status, "can't wait for a socket");
    poll->is_armed = true;
    return MP_OK;
}

bool mpi_socket_poll_is_done(const mpi_socket_poll *poll)
{
    return poll->is_armed && HasOverlappedIoCompleted(&poll->call);
}

void mpi_socket_poll_disarm(mpi_socket_poll *poll)
{
    if (!poll->is_armed)
        return;
    if (!HasOverlappedIoCompleted(&poll->call))
        CancelIoEx(driver.device, &poll->call);
    await_answer(poll, poll->wake);
    poll->is_armed = false;
}
