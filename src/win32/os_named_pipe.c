/* SPDX-License-Identifier: MIT */
/*
 * Named pipes to listen at, as CPython's AF_PIPE has them: one write is one
 * message. And who is at the other end of any pipe.
 *
 * A listener is one instance of the pipe that waits to be connected. When it is
 * accepted it becomes the stream, and the next instance takes its place; until
 * then, whoever else connects finds the pipe busy, and waits (or asks again, as
 * CPython does). So a pipe has no backlog.
 */
#include "os_winsock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BUFFER = 8192, /* CPython's */
    NAME_SIZE = MPOS_ADDRESS_MAX + 1,
    SID_SIZE = SECURITY_MAX_SID_SIZE,
    SLICE = 1000, /* milliseconds to wait for an instance at once */
};

/* -- Users ----------------------------------------------------------------- */

typedef struct user {
    TOKEN_USER token; /* points to what follows it */
    unsigned char room[SID_SIZE];
} user;

static mp_error get_user(HANDLE process, user *out)
{
    HANDLE token;
    DWORD size;
    BOOL is_known;

    if (!OpenProcessToken(process, TOKEN_QUERY, &token))
        return mpi_win32_fail("can't tell whose a process is");
    is_known =
        GetTokenInformation(token, TokenUser, out, (DWORD)sizeof(*out), &size);
    CloseHandle(token);
    if (!is_known)
        return mpi_win32_fail("can't tell whose a process is");
    return MP_OK;
}

/* What lets only this user connect. */
typedef struct permit {
    SECURITY_ATTRIBUTES attributes;
    SECURITY_DESCRIPTOR descriptor;
    union {
        ACL list;
        unsigned char room[sizeof(ACL) + sizeof(ACCESS_ALLOWED_ACE) + SID_SIZE];
    } access;
    user owner;
} permit;

/* It points into itself: it must not be moved. */
static mp_error make_permit(permit *out)
{
    ACL *list = &out->access.list;
    mp_error err = get_user(GetCurrentProcess(), &out->owner);

    if (err != MP_OK)
        return err;
    if (!InitializeAcl(list, (DWORD)sizeof(out->access), ACL_REVISION) ||
        !AddAccessAllowedAce(list, ACL_REVISION, FILE_ALL_ACCESS,
                             out->owner.token.User.Sid) ||
        !InitializeSecurityDescriptor(&out->descriptor,
                                      SECURITY_DESCRIPTOR_REVISION) ||
        !SetSecurityDescriptorDacl(&out->descriptor, TRUE, list, FALSE))
        return mpi_win32_fail("can't say who may use a pipe");
    out->attributes = (SECURITY_ATTRIBUTES){
        .nLength = sizeof(out->attributes),
        .lpSecurityDescriptor = &out->descriptor,
    };
    return MP_OK;
}

/* -- Who is there ---------------------------------------------------------- */

/* Of a pair that mpos_channel() made, who made it. */
static mp_error get_peer_pid(HANDLE pipe, int64_t *pid)
{
    ULONG found = 0;
    DWORD flags;
    BOOL is_known;

    if (!GetNamedPipeInfo(pipe, &flags, NULL, NULL, NULL))
        return mpi_fail(MP_ENOTSUP, "the system knows who is there only of "
                                    "pipes");
    is_known = (flags & PIPE_SERVER_END) != 0
                   ? GetNamedPipeClientProcessId(pipe, &found)
                   : GetNamedPipeServerProcessId(pipe, &found);
    if (!is_known)
        return mpi_win32_fail("can't tell who is at the other end");
    *pid = found;
    return MP_OK;
}

/* A process that hides from us is another user's. */
static bool is_ours(int64_t pid)
{
    user ours;
    user theirs;
    HANDLE process;
    bool answer;

    if (mpi_win32_open_process(pid, PROCESS_QUERY_LIMITED_INFORMATION,
                               &process) != MP_OK)
        return false;
    answer = get_user(process, &theirs) == MP_OK &&
             get_user(GetCurrentProcess(), &ours) == MP_OK &&
             (EqualSid(theirs.token.User.Sid, ours.token.User.Sid) ||
              IsWellKnownSid(theirs.token.User.Sid, WinLocalSystemSid));
    CloseHandle(process);
    return answer;
}

mp_error mpos_peer_of(mpos_handle stream, mpos_peer *peer)
{
    int64_t pid;
    mp_error err = get_peer_pid((HANDLE)stream, &pid);

    if (err != MP_OK)
        return err;
    peer->pid = pid;
    peer->is_same_user = is_ours(pid);
    return MP_OK;
}

/* -- Instances ------------------------------------------------------------- */

typedef struct pipe_listener {
    mpos_mutex mutex;
    wchar_t *name;
    HANDLE instance;    /* to be connected next */
    OVERLAPPED connect; /* its event is set when the instance is connected */
    bool is_connected;
} pipe_listener;

static pipe_listener *listener_of(mpos_handle listener)
{
    return (pipe_listener *)(listener & ~(mpos_handle)1);
}

HANDLE mpi_win32_pipe_listener_event(mpos_handle listener)
{
    return listener_of(listener)->connect.hEvent;
}

/* *is_taken: the name is somebody else's. */
static mp_error create_instance(const wchar_t *name, DWORD flags,
                                HANDLE *instance, bool *is_taken)
{
    permit only_us;
    HANDLE made;
    DWORD code;
    mp_error err = make_permit(&only_us);

    if (err != MP_OK)
        return err;
    made = CreateNamedPipeW(
        name, PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED | flags,
        PIPE_TYPE_MESSAGE | PIPE_READMODE_MESSAGE | PIPE_WAIT |
            PIPE_REJECT_REMOTE_CLIENTS,
        PIPE_UNLIMITED_INSTANCES, BUFFER, BUFFER, 0, &only_us.attributes);
    code = GetLastError();
    *is_taken = made == INVALID_HANDLE_VALUE &&
                (code == ERROR_ACCESS_DENIED || code == ERROR_PIPE_BUSY);
    if (made == INVALID_HANDLE_VALUE)
        return mpi_win32_fail_code(code, "can't create a pipe");
    *instance = made;
    return MP_OK;
}

static mp_error create_next(const pipe_listener *listener, HANDLE *instance)
{
    bool is_taken;

    return create_instance(listener->name, 0, instance, &is_taken);
}

static mp_error fail_in_use(void)
{
    return mpi_fail(MP_EADDRINUSE, "there is a pipe of this name already");
}

/* The name is nobody's before, or it would be his who answers. So the system
 * says, but not Wine 8, which has to be asked before. */
static mp_error create_first(const wchar_t *name, HANDLE *instance)
{
    bool is_taken = false;
    mp_error err;

    if (WaitNamedPipeW(name, 1) || GetLastError() == ERROR_SEM_TIMEOUT)
        return fail_in_use();
    err = create_instance(name, FILE_FLAG_FIRST_PIPE_INSTANCE, instance,
                          &is_taken);
    return is_taken ? fail_in_use() : err;
}

/*
 * Lets the next client in. Like all overlapped calls it ends with the thread
 * that made it: then it is made again, and a client may be there meanwhile.
 */
static mp_error start_connect(pipe_listener *listener)
{
    DWORD code;

    listener->is_connected = false;
    listener->connect = (OVERLAPPED){.hEvent = listener->connect.hEvent};
    if (ConnectNamedPipe(listener->instance, &listener->connect))
        code = ERROR_PIPE_CONNECTED;
    else
        code = GetLastError();
    if (code == ERROR_IO_PENDING)
        return MP_OK;
    /* ERROR_NO_DATA: it came, and has left; what it wrote is still there. */
    listener->is_connected =
        code == ERROR_PIPE_CONNECTED || code == ERROR_NO_DATA;
    /* Whatever it is, accept() has to see to it. */
    SetEvent(listener->connect.hEvent);
    if (!listener->is_connected)
        return mpi_win32_fail_code(code, "can't listen at a pipe");
    return MP_OK;
}

static void stop_connect(pipe_listener *listener)
{
    DWORD unused;

    if (HasOverlappedIoCompleted(&listener->connect))
        return;
    CancelIoEx(listener->instance, &listener->connect);
    GetOverlappedResult(listener->instance, &listener->connect, &unused, TRUE);
}

/* -- Listening ------------------------------------------------------------- */

/* The user said no name. */
static mp_error choose_name(char name[NAME_SIZE])
{
    static mpi_atomic32 counter;
    uint64_t secret;
    mp_error err = mpos_random(&secret, sizeof(secret));

    if (err == MP_OK)
        snprintf(name, NAME_SIZE, "\\\\.\\pipe\\multiproc-%lu-%lu-%016llx",
                 (unsigned long)GetCurrentProcessId(),
                 (unsigned long)mpi_atomic32_add(&counter, 1),
                 (unsigned long long)secret);
    return err;
}

static void listener_free(pipe_listener *listener)
{
    if (listener->instance != INVALID_HANDLE_VALUE)
        CloseHandle(listener->instance);
    if (listener->connect.hEvent != NULL)
        CloseHandle(listener->connect.hEvent);
    free(listener->name);
    free(listener);
}

static mp_error listener_start(pipe_listener *listener, const char *name)
{
    mp_error err = mpi_win32_wide(name, &listener->name);

    if (err != MP_OK)
        return err;
    listener->connect.hEvent = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (listener->connect.hEvent == NULL)
        return mpi_win32_fail("can't create an event");
    err = create_first(listener->name, &listener->instance);
    return err == MP_OK ? start_connect(listener) : err;
}

mp_error mpi_pipe_listen(mpos_address *address, mpos_handle *out)
{
    mpos_address found = *address;
    pipe_listener *listener;
    mp_error err = MP_OK;

    if (found.name[0] == '\0')
        err = choose_name(found.name);
    if (err != MP_OK)
        return err;
    listener = mpi_calloc(1, sizeof(*listener));
    if (listener == NULL)
        return mpi_no_memory();
    listener->instance = INVALID_HANDLE_VALUE;
    err = listener_start(listener, found.name);
    if (err != MP_OK) {
        listener_free(listener);
        return err;
    }
    *address = found;
    *out = (mpos_handle)listener | 1;
    return MP_OK;
}

void mpi_pipe_listener_close(mpos_handle handle)
{
    pipe_listener *listener = listener_of(handle);

    stop_connect(listener);
    listener_free(listener);
}

/* -- Accepting: with the listener's mutex held ----------------------------- */

/* Whether a client is there. The instance may also be good for nothing: then it
 * is replaced. */
static mp_error look_for_client(pipe_listener *listener)
{
    DWORD unused;
    DWORD code = ERROR_SUCCESS;
    HANDLE next;
    mp_error err;

    if (listener->is_connected || !HasOverlappedIoCompleted(&listener->connect))
        return MP_OK;
    if (!GetOverlappedResult(listener->instance, &listener->connect, &unused,
                             FALSE))
        code = GetLastError();
    listener->is_connected = code == ERROR_SUCCESS || code == ERROR_NO_DATA ||
                             code == ERROR_PIPE_CONNECTED;
    if (listener->is_connected)
        return MP_OK;
    if (code == ERROR_OPERATION_ABORTED)
        return start_connect(listener);
    err = create_next(listener, &next);
    if (err != MP_OK)
        return err;
    CloseHandle(listener->instance);
    listener->instance = next;
    return start_connect(listener);
}

static mp_error accept_client(pipe_listener *listener, HANDLE *stream)
{
    HANDLE next;
    mp_error err = look_for_client(listener);

    if (err == MP_OK && !listener->is_connected)
        return mpi_fail(MP_TIMED_OUT, "nobody connects");
    if (err == MP_OK)
        err = create_next(listener, &next);
    if (err != MP_OK)
        return err;
    *stream = listener->instance;
    listener->instance = next;
    /* If it fails, the next call comes here again. */
    (void)start_connect(listener);
    return MP_OK;
}

mp_error mpi_pipe_accept(mpos_handle handle, mpos_handle *stream)
{
    pipe_listener *listener = listener_of(handle);
    HANDLE accepted;
    mp_error err;

    mpos_mutex_lock(&listener->mutex);
    err = accept_client(listener, &accepted);
    mpos_mutex_unlock(&listener->mutex);
    if (err == MP_OK)
        *stream = (mpos_handle)accepted;
    return err;
}

/* -- Connecting ------------------------------------------------------------ */

/* The server may know who we are, but not act in our name. */
static HANDLE open_pipe(const wchar_t *name)
{
    return CreateFileW(
        name, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING,
        FILE_FLAG_OVERLAPPED | SECURITY_SQOS_PRESENT | SECURITY_IDENTIFICATION,
        NULL);
}

static mp_error open_in_time(const wchar_t *name, int64_t deadline,
                             HANDLE *stream)
{
    for (;;) {
        DWORD left = mpi_win32_milliseconds(deadline);

        *stream = open_pipe(name);
        if (*stream != INVALID_HANDLE_VALUE)
            return MP_OK;
        if (GetLastError() != ERROR_PIPE_BUSY)
            return mpi_win32_fail("can't connect to a pipe");
        if (left == 0)
            return mpi_fail(MP_TIMED_OUT, "the pipe is busy");
        /* Its outcome does not matter: somebody else may be faster. */
        WaitNamedPipeW(name, left < SLICE ? left : SLICE);
    }
}

mp_error mpi_pipe_connect(const mpos_address *address, int64_t deadline,
                          mpos_handle *stream)
{
    DWORD mode = PIPE_READMODE_MESSAGE;
    wchar_t *name;
    HANDLE opened;
    mp_error err = mpi_win32_wide(address->name, &name);

    if (err != MP_OK)
        return err;
    err = open_in_time(name, deadline, &opened);
    free(name);
    if (err != MP_OK)
        return err;
    if (!SetNamedPipeHandleState(opened, &mode, NULL, NULL)) {
        err = mpi_win32_fail("this is no pipe of messages");
        CloseHandle(opened);
        return err;
    }
    *stream = (mpos_handle)opened;
    return MP_OK;
}

/* -- Messages without a byte ----------------------------------------------- */

static struct {
    mpos_mutex mutex;
    HANDLE *pipes; /* one entry each */
    size_t capacity;
    size_t expected;
    mpi_atomic32 count; /* so that nobody looks where there is nothing */
} empties = {.mutex = MPOS_MUTEX_INIT};

mp_error mpi_win32_expect_empty(size_t count)
{
    size_t needed;
    HANDLE *grown = NULL;

    mpos_mutex_lock(&empties.mutex);
    needed = mpi_atomic32_load(&empties.count) + empties.expected + count;
    if (needed > empties.capacity)
        grown = mpi_realloc(empties.pipes, 2 * needed * sizeof(*grown));
    if (grown != NULL) {
        empties.pipes = grown;
        empties.capacity = 2 * needed;
    }
    if (needed <= empties.capacity) {
        empties.expected += count;
        needed = 0;
    }
    mpos_mutex_unlock(&empties.mutex);
    return needed == 0 ? MP_OK : mpi_no_memory();
}

void mpi_win32_expect_no_more(size_t count)
{
    mpos_mutex_lock(&empties.mutex);
    empties.expected -= count;
    mpos_mutex_unlock(&empties.mutex);
}

void mpi_win32_note_empty(HANDLE pipe)
{
    uint32_t count;

    mpos_mutex_lock(&empties.mutex);
    count = mpi_atomic32_load(&empties.count);
    empties.pipes[count] = pipe;
    mpi_atomic32_store(&empties.count, count + 1);
    mpos_mutex_unlock(&empties.mutex);
}

/* How many there were; at most so many are removed. */
static size_t remove_empties(HANDLE pipe, size_t most)
{
    size_t found = 0;
    size_t count;

    if (mpi_atomic32_load(&empties.count) == 0)
        return 0;
    mpos_mutex_lock(&empties.mutex);
    count = mpi_atomic32_load(&empties.count);
    for (size_t i = count; i > 0; i--) {
        if (empties.pipes[i - 1] != pipe)
            continue;
        if (found++ < most)
            empties.pipes[i - 1] = empties.pipes[--count];
    }
    mpi_atomic32_store(&empties.count, (uint32_t)count);
    mpos_mutex_unlock(&empties.mutex);
    return found;
}

bool mpi_win32_has_empty(HANDLE pipe)
{
    return remove_empties(pipe, 0) > 0;
}

void mpi_win32_forget_empty(HANDLE pipe)
{
    remove_empties(pipe, SIZE_MAX);
}

/* -- Messages -------------------------------------------------------------- */

bool mpi_win32_is_message_pipe(HANDLE pipe)
{
    DWORD flags;

    return GetNamedPipeInfo(pipe, &flags, NULL, NULL, NULL) &&
           (flags & PIPE_TYPE_MESSAGE) != 0;
}

static bool is_over(DWORD code)
{
    return code == ERROR_BROKEN_PIPE || code == ERROR_NO_DATA ||
           code == ERROR_PIPE_NOT_CONNECTED;
}

mp_error mpos_send_message(mpos_handle handle, const void *data, size_t size)
{
    HANDLE pipe = (HANDLE)handle;
    OVERLAPPED call = {0};
    DWORD unused = 0;
    DWORD code;
    BOOL is_done;
    mp_error err;

    if (size > MAXDWORD)
        return mpi_fail(MP_EOVERFLOW,
                        "%zu bytes are too many for a message of a pipe", size);
    err = mpi_win32_take_event(&call.hEvent);
    if (err != MP_OK)
        return err;
    is_done = WriteFile(pipe, size == 0 ? "" : data, (DWORD)size, NULL, &call);
    code = mpi_win32_finish(pipe, is_done, &call, &unused);
    mpi_win32_give_event(call.hEvent);
    if (is_over(code))
        code = ERROR_BROKEN_PIPE;
    if (code != ERROR_SUCCESS)
        return mpi_win32_fail_code(code, "can't send a message");
    return MP_OK;
}

static mp_error ask_what_is_left(HANDLE pipe, size_t *left)
{
    DWORD found = 0;

    if (!PeekNamedPipe(pipe, NULL, 0, NULL, NULL, &found))
        return mpi_win32_fail("can't tell how long a message is");
    *left = found;
    return MP_OK;
}

mp_error mpos_recv_message(mpos_handle handle, void *data, size_t size,
                           size_t *got, size_t *left)
{
    HANDLE pipe = (HANDLE)handle;
    OVERLAPPED call = {0};
    size_t rest = 0;
    DWORD limited = size < MAXLONG ? (DWORD)size : MAXLONG;
    DWORD count = 0;
    DWORD code;
    BOOL is_done;
    char nothing;
    mp_error err;

    if (remove_empties(pipe, 1) > 0) {
        *got = 0;
        *left = 0;
        return MP_OK;
    }
    err = mpi_win32_take_event(&call.hEvent);
    if (err != MP_OK)
        return err;
    is_done = ReadFile(pipe, size == 0 ? &nothing : data, limited, NULL, &call);
    code = mpi_win32_finish(pipe, is_done, &call, &count);
    mpi_win32_give_event(call.hEvent);
    if (is_over(code))
        return mpi_fail(MP_EEOF, "the other end of the pipe is closed");
    if (code != ERROR_SUCCESS && code != ERROR_MORE_DATA)
        return mpi_win32_fail_code(code, "can't receive a message");
    if (code == ERROR_MORE_DATA)
        err = ask_what_is_left(pipe, &rest);
    if (err != MP_OK)
        return err;
    *got = count;
    *left = rest;
    return MP_OK;
}
