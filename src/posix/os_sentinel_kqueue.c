/* SPDX-License-Identifier: MIT */
/*
 * The end of a process, told by a kqueue that waits for nothing else: macOS,
 * FreeBSD. The event is never taken out, so the descriptor stays ready.
 *
 * A kqueue does not survive fork(), its number is free in the child. Whoever
 * closes it there could close something else: so the numbers are occupied.
 */
#include "os_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/event.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct watch {
    struct watch *next;
    int sentinel;
} watch;

/* Guarded by mpos_port_mutex. */
static watch *watches;

static mp_error add_watch(int sentinel)
{
    watch *added = mpi_malloc(sizeof(*added));

    if (added == NULL)
        return mpi_no_memory();
    added->sentinel = sentinel;
    mpos_mutex_lock(&mpos_port_mutex);
    added->next = watches;
    watches = added;
    mpos_mutex_unlock(&mpos_port_mutex);
    return MP_OK;
}

/* With mpos_port_mutex held. */
static void remove_watch(int sentinel)
{
    watch **place = &watches;
    watch *removed;

    while (*place != NULL && (*place)->sentinel != sentinel)
        place = &(*place)->next;
    removed = *place;
    if (removed != NULL)
        *place = removed->next;
    free(removed);
}

static mp_error open_kqueue(int *sentinel)
{
    int opened;
    int cause;
    mp_error error;

    mpos_mutex_lock(&mpos_port_mutex);
    opened = kqueue();
    cause = errno;
    if (opened >= 0)
        fcntl(opened, F_SETFD, FD_CLOEXEC);
    mpos_mutex_unlock(&mpos_port_mutex);
    if (opened < 0)
        return mpos_fail_errno("kqueue", cause);
    error = mpos_raise_descriptor(&opened);
    if (error != MP_OK)
        return error;
    error = add_watch(opened);
    if (error != MP_OK) {
        close(opened);
        return error;
    }
    *sentinel = opened;
    return MP_OK;
}

/* 0 or errno. */
static int watch_end(int sentinel, pid_t pid)
{
    struct kevent change;
    int result;

    EV_SET(&change, (uintptr_t)pid, EVFILT_PROC, EV_ADD, NOTE_EXIT, 0, NULL);
    do {
        result = kevent(sentinel, &change, 1, NULL, 0, NULL);
    } while (result != 0 && errno == EINTR);
    return result == 0 ? 0 : errno;
}

static void close_sentinel(int sentinel)
{
    mpos_mutex_lock(&mpos_port_mutex);
    remove_watch(sentinel);
    mpos_mutex_unlock(&mpos_port_mutex);
    close(sentinel);
}

static mp_error probe(void)
{
    return MP_OK;
}

/* Before the process exists, lest there be no descriptor left after it. */
static mp_error begin(mpos_birth *birth)
{
    return open_kqueue(&birth->sentinel);
}

static void cancel(mpos_birth *birth)
{
    if (birth->sentinel >= 0)
        close_sentinel(birth->sentinel);
    birth->sentinel = -1;
}

static mp_error finish(mpos_birth *birth, pid_t pid)
{
    int cause = watch_end(birth->sentinel, pid);

    if (cause == 0)
        return MP_OK;
    cancel(birth);
    /* Ended already; macOS does not count what waits to be collected. */
    if (cause == ESRCH)
        return mpos_ended_descriptor(&birth->sentinel);
    return mpos_fail_errno("kevent", cause);
}

static void in_child(mpos_birth *birth)
{
    int ended = -1;
    bool is_needed = false;

    remove_watch(birth->sentinel);
    if (watches == NULL || mpos_ended_descriptor(&ended) != MP_OK)
        return;
    for (const watch *each = watches; each != NULL; each = each->next) {
        is_needed |= each->sentinel == ended;
        if (fcntl(each->sentinel, F_GETFD) < 0)
            fcntl(ended, F_DUPFD_CLOEXEC, each->sentinel);
    }
    if (!is_needed)
        close(ended);
}

static void loaded(void)
{
}

static mp_error attach(int *sentinel, pid_t pid)
{
    int opened;
    int cause;
    mp_error error = open_kqueue(&opened);

    if (error != MP_OK)
        return error;
    cause = watch_end(opened, pid);
    if (cause != 0) {
        close_sentinel(opened);
        return mpos_fail_errno("kevent", cause);
    }
    *sentinel = opened;
    return MP_OK;
}

static bool has_ended(int sentinel, bool is_polled)
{
    (void)sentinel;
    return is_polled;
}

static pid_t collect(const mpos_process *process, int *status)
{
    /* Not waitid(), which is not to be relied upon on macOS. */
    return waitpid((pid_t)process->pid, status, WNOHANG);
}

static int send_signal(const mpos_process *process, int number)
{
    struct pollfd item = {.fd = (int)process->sentinel, .events = POLLIN};
    pid_t pid = (pid_t)process->pid;
    uint64_t now;
    bool is_same = poll(&item, 1, 0) == 0;

    /* A child's number stays its own until we collect it. */
    if (is_same && !process->is_child)
        is_same = mpos_start_time(pid, &now) == MP_OK &&
                  (process->start_time == 0 || process->start_time == now);
    if (!is_same) {
        errno = ESRCH;
        return -1;
    }
    return kill(pid, number);
}

const mpos_sentinel_mechanism mpos_sentinel_kqueue = {
    .slice = MPOS_FOREVER,
    .probe = probe,
    .begin = begin,
    .finish = finish,
    .cancel = cancel,
    .in_child = in_child,
    .loaded = loaded,
    .attach = attach,
    .has_ended = has_ended,
    .collect = collect,
    .kill = send_signal,
    .close = close_sentinel,
};
