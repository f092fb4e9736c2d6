/* SPDX-License-Identifier: MIT */
/*
 * Waiting for any of many things.
 *
 * Windows waits for 64 handles at most, and a pipe end is nothing to wait for.
 * So a pipe gets an overlapped read of no bytes, which completes when there is
 * something to read and takes nothing (but a message of no bytes, see
 * os_named_pipe.c); all sockets get one request together (os_socket_poll.c);
 * all these share one event. What can be waited for itself is, while it fits
 * beside that event; beyond, the system's thread pool watches it and sets the
 * same event.
 *
 * What woke us does not matter: afterwards every item is looked at once. Only a
 * foreign handle may be reset by having been waited for, so that is noted.
 */
#include "os_internal.h"

#include <stdlib.h>

typedef struct armed_item {
    OVERLAPPED read;      /* a pipe: the read of no bytes */
    HANDLE watch;         /* the thread pool's registration */
    HANDLE wake;          /* what it sets */
    mpi_atomic32 was_set; /* a foreign handle; waiting may have reset it */
    bool must_cancel;     /* the read was started */
    bool has_read;        /* it has completed */
} armed_item;

typedef struct wait_set {
    mpos_wait_item *items;
    armed_item *armed; /* NULL: nothing was waited for yet */
    size_t count;
    mpi_socket_poll *sockets; /* NULL: there are none */
    HANDLE wake; /* manual reset, so that no signal is lost among several */
    /* What WaitForMultipleObjects gets: wake, and handles of items. */
    HANDLE direct[MAXIMUM_WAIT_OBJECTS];
    size_t direct_item[MAXIMUM_WAIT_OBJECTS];
    DWORD direct_count;
    bool is_ready_already; /* one of the reads completed at once */
} wait_set;

/* -- Looking --------------------------------------------------------------- */

static bool is_end_of_pipe(DWORD code)
{
    return code == ERROR_BROKEN_PIPE || code == ERROR_PIPE_NOT_CONNECTED ||
           code == ERROR_NO_DATA;
}

static mp_error look_at_pipe(mpos_wait_item *item)
{
    HANDLE pipe = (HANDLE)item->handle;
    DWORD available = 0;

    if (PeekNamedPipe(pipe, NULL, 0, NULL, &available, NULL))
        item->is_ready = available > 0 || mpi_win32_has_empty(pipe);
    else if (is_end_of_pipe(GetLastError()))
        item->is_ready = true;
    else
        return mpi_win32_fail("can't wait for a pipe");
    return MP_OK;
}

/* What is waited for itself: a process, a foreign handle, or the event of a
 * pipe that listens; else NULL. */
static HANDLE object_of(const mpos_wait_item *item)
{
    if (item->kind == MPOS_WAIT_PROCESS || item->kind == MPOS_WAIT_HANDLE)
        return (HANDLE)item->handle;
    if (item->kind == MPOS_WAIT_LISTENER &&
        mpi_win32_is_pipe_listener(item->handle))
        return mpi_win32_pipe_listener_event(item->handle);
    return NULL;
}

static bool was_set(const wait_set *set, size_t i)
{
    return set->armed != NULL && mpi_atomic32_load(&set->armed[i].was_set) != 0;
}

/* A mutex is ours then, abandoned or not. */
static mp_error look_at_object(const wait_set *set, size_t i)
{
    mpos_wait_item *item = &set->items[i];
    DWORD outcome;

    item->is_ready = item->kind == MPOS_WAIT_HANDLE && was_set(set, i);
    if (item->is_ready)
        return MP_OK;
    /* Which would be this process itself. */
    if (item->handle == MPOS_NONE)
        return mpi_fail(MP_EINVAL, "this is no handle");
    outcome = WaitForSingleObject(object_of(item), 0);
    if (outcome == WAIT_FAILED)
        return mpi_win32_fail("can't wait for a handle");
    item->is_ready = outcome != WAIT_TIMEOUT;
    return MP_OK;
}

/* MP_TIMED_OUT: none is ready. */
static mp_error look(const wait_set *set)
{
    bool has_any = false;
    mp_error err = MP_OK;

    if (set->sockets != NULL)
        err = mpi_socket_poll_look(set->sockets, set->items, set->count,
                                   &has_any);
    for (size_t i = 0; i < set->count && err == MP_OK; i++) {
        if (set->items[i].kind == MPOS_WAIT_READ)
            err = look_at_pipe(&set->items[i]);
        else if (object_of(&set->items[i]) != NULL)
            err = look_at_object(set, i);
        has_any = has_any || (err == MP_OK && set->items[i].is_ready);
    }
    if (err != MP_OK)
        return err;
    return has_any ? MP_OK : MP_TIMED_OUT;
}

/* Looking does not see a message of no bytes. */
static bool must_read_to_see(const wait_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        if (set->items[i].kind == MPOS_WAIT_READ &&
            mpi_win32_is_message_pipe((HANDLE)set->items[i].handle))
            return true;
    }
    return false;
}

/* -- Arming ---------------------------------------------------------------- */

static void CALLBACK wake_up(void *context, BOOLEAN has_timed_out)
{
    armed_item *armed = context;

    (void)has_timed_out;
    mpi_atomic32_store(&armed->was_set, 1);
    SetEvent(armed->wake);
}

static void arm_pipe(wait_set *set, size_t i)
{
    static char nothing;
    armed_item *armed = &set->armed[i];

    armed->read = (OVERLAPPED){.hEvent = set->wake};
    if (ReadFile((HANDLE)set->items[i].handle, &nothing, 0, NULL,
                 &armed->read)) {
        armed->has_read = true;
        set->is_ready_already = true;
    } else if (GetLastError() != ERROR_IO_PENDING) {
        set->is_ready_already = true; /* a message, or an end: look again */
    } else {
        armed->must_cancel = true;
    }
}

/* Twice the same is watched the second time: WaitForMultipleObjects does not
 * take it. */
static bool is_direct(const wait_set *set, HANDLE object)
{
    for (DWORD i = 0; i < set->direct_count; i++) {
        if (set->direct[i] == object)
            return true;
    }
    return false;
}

static mp_error arm_object(wait_set *set, size_t i, HANDLE object)
{
    armed_item *armed = &set->armed[i];

    if (set->direct_count < MAXIMUM_WAIT_OBJECTS && !is_direct(set, object)) {
        set->direct_item[set->direct_count] = i;
        set->direct[set->direct_count++] = object;
        return MP_OK;
    }
    armed->wake = set->wake;
    if (!RegisterWaitForSingleObject(
            &armed->watch, object, wake_up, armed, INFINITE,
            WT_EXECUTEONLYONCE | WT_EXECUTEINWAITTHREAD)) {
        armed->watch = NULL;
        return mpi_win32_fail("can't watch one more handle");
    }
    return MP_OK;
}

static void arm_pipes(wait_set *set)
{
    for (size_t i = 0; i < set->count && !set->is_ready_already; i++) {
        if (set->items[i].kind == MPOS_WAIT_READ)
            arm_pipe(set, i);
    }
    /* Starting a call resets its event, and with it an earlier one's signal. */
    for (size_t i = 0; i < set->count; i++) {
        if (set->armed[i].must_cancel &&
            HasOverlappedIoCompleted(&set->armed[i].read))
            set->is_ready_already = true;
    }
    if (set->sockets != NULL && mpi_socket_poll_is_done(set->sockets))
        set->is_ready_already = true;
}

static mp_error arm_objects(wait_set *set)
{
    mp_error err = MP_OK;

    for (size_t i = 0; i < set->count && err == MP_OK; i++) {
        HANDLE object = object_of(&set->items[i]);

        if (object != NULL)
            err = arm_object(set, i, object);
    }
    return err;
}

/* What has an event of its own last: after it nothing resets ours any more. */
static mp_error arm(wait_set *set)
{
    mp_error err = MP_OK;

    set->direct[0] = set->wake;
    set->direct_count = 1;
    set->is_ready_already = false;
    ResetEvent(set->wake);
    if (set->sockets != NULL)
        err = mpi_socket_poll_arm(set->sockets, set->wake);
    if (err != MP_OK)
        return err;
    arm_pipes(set);
    return set->is_ready_already ? MP_OK : arm_objects(set);
}

/* The system writes to the OVERLAPPED until the read has ended for good. */
static void cancel_read(wait_set *set, size_t i)
{
    armed_item *armed = &set->armed[i];

    CancelIoEx((HANDLE)set->items[i].handle, &armed->read);
    ResetEvent(set->wake);
    while (!HasOverlappedIoCompleted(&armed->read)) {
        WaitForSingleObject(set->wake, 1);
        ResetEvent(set->wake);
    }
    armed->has_read = armed->read.Internal == ERROR_SUCCESS;
}

/* A read of no bytes that has succeeded has taken a message of no bytes: of any
 * other it says that there is more. */
static void note_message(wait_set *set, size_t i)
{
    HANDLE pipe = (HANDLE)set->items[i].handle;

    if (set->armed[i].has_read && mpi_win32_is_message_pipe(pipe))
        mpi_win32_note_empty(pipe);
    set->armed[i].has_read = false;
}

static void disarm(wait_set *set)
{
    if (set->sockets != NULL)
        mpi_socket_poll_disarm(set->sockets);
    for (size_t i = 0; i < set->count; i++) {
        armed_item *armed = &set->armed[i];

        if (armed->must_cancel)
            cancel_read(set, i);
        armed->must_cancel = false;
        if (set->items[i].kind == MPOS_WAIT_READ)
            note_message(set, i);
        /* INVALID_HANDLE_VALUE: until no callback runs any more. */
        if (armed->watch != NULL)
            UnregisterWaitEx(armed->watch, INVALID_HANDLE_VALUE);
        armed->watch = NULL;
    }
}

/* -- Waiting --------------------------------------------------------------- */

/* Which one it was; a mutex may have been abandoned. */
static void note_outcome(wait_set *set, DWORD outcome)
{
    DWORD number = outcome >= WAIT_ABANDONED_0 ? outcome - WAIT_ABANDONED_0
                                               : outcome - WAIT_OBJECT_0;

    if (number > 0 && number < set->direct_count)
        mpi_atomic32_store(&set->armed[set->direct_item[number]].was_set, 1);
}

static mp_error wait_once(wait_set *set, int64_t deadline)
{
    DWORD outcome = WAIT_OBJECT_0;
    mp_error err = arm(set);

    if (err == MP_OK && !set->is_ready_already)
        outcome = WaitForMultipleObjects(set->direct_count, set->direct, FALSE,
                                         mpi_win32_milliseconds(deadline));
    if (outcome == WAIT_FAILED)
        err = mpi_win32_fail("can't wait");
    else if (outcome != WAIT_TIMEOUT)
        note_outcome(set, outcome);
    disarm(set);
    return err;
}

static mp_error wait_until(wait_set *set, int64_t deadline)
{
    mp_error err;

    for (;;) {
        err = wait_once(set, deadline);
        if (err != MP_OK)
            return err;
        err = look(set);
        if (err != MP_TIMED_OUT || mpi_win32_milliseconds(deadline) == 0)
            return err;
        /* Somebody was faster, or wrote zero bytes. Were a system to complete
         * empty reads at once, this is what would keep it from spinning. */
        Sleep(1);
    }
}

/* What waiting needs, and looking does not. */
static mp_error prepare(wait_set *set)
{
    mp_error err = mpi_win32_expect_empty(set->count);

    if (err != MP_OK)
        return err;
    set->armed = mpi_calloc(set->count, sizeof(*set->armed));
    set->wake = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (set->armed == NULL)
        err = mpi_no_memory();
    else if (set->wake == NULL)
        err = mpi_win32_fail("can't create an event");
    if (err != MP_OK)
        mpi_win32_expect_no_more(set->count);
    return err;
}

static mp_error prepare_and_wait(wait_set *set, int64_t deadline)
{
    mp_error err = prepare(set);

    if (err == MP_OK) {
        err = wait_until(set, deadline);
        mpi_win32_expect_no_more(set->count);
    }
    if (set->wake != NULL)
        CloseHandle(set->wake);
    free(set->armed);
    return err;
}

static bool has_sockets(const mpos_wait_item *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (items[i].kind == MPOS_WAIT_SOCKET ||
            (items[i].kind == MPOS_WAIT_LISTENER &&
             !mpi_win32_is_pipe_listener(items[i].handle)))
            return true;
    }
    return false;
}

mp_error mpos_wait(mpos_wait_item *items, size_t count, int64_t deadline)
{
    wait_set set = {.items = items, .count = count};
    mp_error err = MP_OK;

    if (has_sockets(items, count))
        err = mpi_socket_poll_create(&set.sockets, items, count);
    if (err == MP_OK)
        err = look(&set);
    if (err == MP_TIMED_OUT &&
        (mpi_win32_milliseconds(deadline) > 0 || must_read_to_see(&set)))
        err = prepare_and_wait(&set, deadline);
    mpi_socket_poll_free(set.sockets);
    return err;
}
