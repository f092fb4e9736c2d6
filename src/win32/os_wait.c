/* SPDX-License-Identifier: MIT */
/*
 * Waiting for any of many things.
 *
 * Windows waits for 64 handles at most, and a pipe end is nothing to wait for.
 * So a pipe gets an overlapped read of no bytes, which completes when there is
 * something to read and takes nothing; all these share one event. Processes
 * are waited for themselves while they fit beside that event; beyond, the
 * system's thread pool watches them and sets the same event.
 *
 * What woke us does not matter: afterwards every item is looked at once.
 */
#include "os_internal.h"

#include <stdlib.h>

typedef struct armed_item {
    OVERLAPPED read;  /* a pipe: the read of no bytes */
    HANDLE watch;     /* a process: the thread pool's registration */
    bool must_cancel; /* the read was started */
} armed_item;

typedef struct wait_set {
    mpos_wait_item *items;
    armed_item *armed;
    size_t count;
    HANDLE wake; /* manual reset, so that no signal is lost among several */
    /* What WaitForMultipleObjects gets: wake, and processes. */
    HANDLE direct[MAXIMUM_WAIT_OBJECTS];
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
    DWORD available = 0;

    if (PeekNamedPipe((HANDLE)item->handle, NULL, 0, NULL, &available, NULL))
        item->is_ready = available > 0;
    else if (is_end_of_pipe(GetLastError()))
        item->is_ready = true;
    else
        return mpi_win32_fail("can't wait for a pipe");
    return MP_OK;
}

static mp_error look_at_process(mpos_wait_item *item)
{
    DWORD outcome = WaitForSingleObject((HANDLE)item->handle, 0);

    if (outcome == WAIT_FAILED)
        return mpi_win32_fail("can't wait for a process");
    item->is_ready = outcome == WAIT_OBJECT_0;
    return MP_OK;
}

/* MP_TIMED_OUT: none is ready. */
static mp_error look(mpos_wait_item *items, size_t count)
{
    bool has_any = false;

    for (size_t i = 0; i < count; i++) {
        mp_error err = items[i].kind == MPOS_WAIT_PROCESS
                           ? look_at_process(&items[i])
                           : look_at_pipe(&items[i]);

        if (err != MP_OK)
            return err;
        has_any = has_any || items[i].is_ready;
    }
    return has_any ? MP_OK : MP_TIMED_OUT;
}

/* -- Arming ---------------------------------------------------------------- */

static void CALLBACK wake_up(void *wake, BOOLEAN has_timed_out)
{
    (void)has_timed_out;
    SetEvent((HANDLE)wake);
}

static void arm_pipe(wait_set *set, size_t i)
{
    static char nothing;
    armed_item *armed = &set->armed[i];

    armed->read.hEvent = set->wake;
    if (ReadFile((HANDLE)set->items[i].handle, &nothing, 0, NULL,
                 &armed->read) ||
        GetLastError() != ERROR_IO_PENDING)
        set->is_ready_already = true; /* data, or an end: look again */
    else
        armed->must_cancel = true;
}

static mp_error arm_process(wait_set *set, size_t i)
{
    HANDLE process = (HANDLE)set->items[i].handle;

    if (set->direct_count < MAXIMUM_WAIT_OBJECTS) {
        set->direct[set->direct_count++] = process;
        return MP_OK;
    }
    if (!RegisterWaitForSingleObject(
            &set->armed[i].watch, process, wake_up, set->wake, INFINITE,
            WT_EXECUTEONLYONCE | WT_EXECUTEINWAITTHREAD))
        return mpi_win32_fail("can't watch one more process");
    return MP_OK;
}

static void arm_pipes(wait_set *set)
{
    for (size_t i = 0; i < set->count && !set->is_ready_already; i++) {
        if (set->items[i].kind == MPOS_WAIT_READ)
            arm_pipe(set, i);
    }
    /* Starting a read resets its event, and with it an earlier one's signal. */
    for (size_t i = 0; i < set->count; i++) {
        if (set->armed[i].must_cancel &&
            HasOverlappedIoCompleted(&set->armed[i].read))
            set->is_ready_already = true;
    }
}

static mp_error arm_processes(wait_set *set)
{
    mp_error err = MP_OK;

    for (size_t i = 0; i < set->count && err == MP_OK; i++) {
        if (set->items[i].kind == MPOS_WAIT_PROCESS)
            err = arm_process(set, i);
    }
    return err;
}

/* Pipes first: after them nothing resets the event any more. */
static mp_error arm(wait_set *set)
{
    set->direct[0] = set->wake;
    set->direct_count = 1;
    set->is_ready_already = false;
    ResetEvent(set->wake);
    arm_pipes(set);
    return set->is_ready_already ? MP_OK : arm_processes(set);
}

/* The system writes to the OVERLAPPED until the read has ended for good. */
static void cancel_read(wait_set *set, size_t i)
{
    OVERLAPPED *read = &set->armed[i].read;

    CancelIoEx((HANDLE)set->items[i].handle, read);
    ResetEvent(set->wake);
    while (!HasOverlappedIoCompleted(read)) {
        WaitForSingleObject(set->wake, 1);
        ResetEvent(set->wake);
    }
}

static void disarm(wait_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        armed_item *armed = &set->armed[i];

        if (armed->must_cancel)
            cancel_read(set, i);
        armed->must_cancel = false;
        /* INVALID_HANDLE_VALUE: until no callback runs any more. */
        if (armed->watch != NULL)
            UnregisterWaitEx(armed->watch, INVALID_HANDLE_VALUE);
        armed->watch = NULL;
    }
}

/* -- Waiting --------------------------------------------------------------- */

static mp_error wait_once(wait_set *set, int64_t deadline)
{
    DWORD outcome = WAIT_OBJECT_0;
    mp_error err = arm(set);

    if (err == MP_OK && !set->is_ready_already)
        outcome = WaitForMultipleObjects(set->direct_count, set->direct, FALSE,
                                         mpi_win32_milliseconds(deadline));
    if (outcome == WAIT_FAILED)
        err = mpi_win32_fail("can't wait");
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
        err = look(set->items, set->count);
        if (err != MP_TIMED_OUT || mpi_win32_milliseconds(deadline) == 0)
            return err;
        /* Somebody was faster, or wrote zero bytes. Were a system to complete
         * empty reads at once, this is what would keep it from spinning. */
        Sleep(1);
    }
}

mp_error mpos_wait(mpos_wait_item *items, size_t count, int64_t deadline)
{
    wait_set set = {.items = items, .count = count};
    mp_error err = look(items, count);

    if (err != MP_TIMED_OUT || mpi_win32_milliseconds(deadline) == 0)
        return err;

    set.armed = mpi_calloc(count, sizeof(*set.armed));
    set.wake = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (set.armed == NULL)
        err = mpi_no_memory();
    else if (set.wake == NULL)
        err = mpi_win32_fail("can't create an event");
    else
        err = wait_until(&set, deadline);
    if (set.wake != NULL)
        CloseHandle(set.wake);
    free(set.armed);
    return err;
}
