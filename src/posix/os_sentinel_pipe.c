/* SPDX-License-Identifier: MIT */
/*
 * The end of a process, where no descriptor may stand for a process.
 *
 * A child keeps the other end of a pipe open for as long as it lives. That is
 * a hint in both directions: its own descendants may keep the pipe open after
 * its end, and a child may close it long before. So the truth is asked of the
 * system (waitid, or the start time of a process that is no child), when the
 * hint comes and every SLICE. A process that is no child has a pipe as well,
 * which nothing ever happens to, so that there is a descriptor to wait for.
 *
 * After exec the child must know the number, to make it close-on-exec again.
 */
#include "os_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SLICE = 50 * 1000000 };

/* A process that is watched; found by its sentinel. */
typedef struct watch {
    struct watch *next;
    int sentinel;
    int keeper; /* the other end, if nobody else has it, or -1 */
    pid_t pid;
    uint64_t start_time; /* 0: not known */
    bool is_child;
} watch;

/* Both guarded by mpos_port_mutex. */
static watch *watches;
static int own_end = -1; /* what tells our parent */

static mp_error add_watch(int sentinel, int keeper, pid_t pid, bool is_child)
{
    watch *added = mpi_malloc(sizeof(*added));

    if (added == NULL)
        return mpi_no_memory();
    added->sentinel = sentinel;
    added->keeper = keeper;
    added->pid = pid;
    added->is_child = is_child;
    added->start_time = 0;
    mpos_start_time(pid, &added->start_time);
    mpos_mutex_lock(&mpos_port_mutex);
    added->next = watches;
    watches = added;
    mpos_mutex_unlock(&mpos_port_mutex);
    return MP_OK;
}

static watch *remove_watch(int sentinel)
{
    watch **place = &watches;
    watch *removed;

    mpos_mutex_lock(&mpos_port_mutex);
    while (*place != NULL && (*place)->sentinel != sentinel)
        place = &(*place)->next;
    removed = *place;
    if (removed != NULL)
        *place = removed->next;
    mpos_mutex_unlock(&mpos_port_mutex);
    return removed;
}

static bool find_watch(int sentinel, watch *copy)
{
    const watch *found;

    mpos_mutex_lock(&mpos_port_mutex);
    found = watches;
    while (found != NULL && found->sentinel != sentinel)
        found = found->next;
    if (found != NULL)
        *copy = *found;
    mpos_mutex_unlock(&mpos_port_mutex);
    return found != NULL;
}

static bool child_has_ended(pid_t pid)
{
    siginfo_t info = {.si_pid = 0};
    int result;

    do {
        result = waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT);
    } while (result != 0 && errno == EINTR);
    /* ECHILD: it has ended and was collected. */
    return result != 0 || info.si_pid != 0;
}

static bool other_has_ended(pid_t pid, uint64_t start_time)
{
    uint64_t now;
    mp_error error;

    if (kill(pid, 0) != 0 && errno == ESRCH)
        return true;
    error = mpos_start_time(pid, &now);
    if (error != MP_OK)
        return error == MP_ENOTFOUND;
    return start_time != 0 && now != start_time;
}

static mp_error probe(void)
{
    return MP_OK;
}

static mp_error begin(mpos_birth *birth)
{
    mpos_handle reader;
    mpos_handle writer;
    mp_error error = mpos_pipe(&reader, &writer);

    if (error != MP_OK)
        return error;
    birth->sentinel = (int)reader;
    birth->inherited = (int)writer;
    return MP_OK;
}

static void cancel(mpos_birth *birth)
{
    if (birth->sentinel >= 0)
        close(birth->sentinel);
    if (birth->inherited >= 0)
        close(birth->inherited);
    birth->sentinel = -1;
    birth->inherited = -1;
}

static mp_error finish(mpos_birth *birth, pid_t pid)
{
    mp_error error = add_watch(birth->sentinel, -1, pid, true);

    if (error != MP_OK) {
        cancel(birth);
        return error;
    }
    close(birth->inherited);
    birth->inherited = -1;
    return MP_OK;
}

static void in_child(mpos_birth *birth)
{
    close(birth->sentinel);
    if (own_end >= 0)
        close(own_end);
    own_end = birth->inherited;
    for (watch *each = watches; each != NULL; each = each->next)
        each->is_child = false;
}

static void loaded(void)
{
    struct stat status;
    char number[16];
    int descriptor;

    if (getenv(MPOS_DEATH_VARIABLE) == NULL ||
        mpos_take_variable(MPOS_DEATH_VARIABLE, number, sizeof(number)) !=
            MP_OK)
        return;
    descriptor = (int)strtol(number, NULL, 10);
    if (descriptor < 3 || fstat(descriptor, &status) != 0 ||
        !S_ISSOCK(status.st_mode))
        return;
    fcntl(descriptor, F_SETFD, FD_CLOEXEC);
    own_end = descriptor;
}

static mp_error attach(int *sentinel, pid_t pid)
{
    mpos_handle reader;
    mpos_handle writer;
    mp_error error;

    if (kill(pid, 0) != 0 && errno == ESRCH)
        return mpos_fail_errno("kill", ESRCH);
    error = mpos_pipe(&reader, &writer);
    if (error != MP_OK)
        return error;
    error = add_watch((int)reader, (int)writer, pid, false);
    if (error != MP_OK) {
        mpos_close(reader);
        mpos_close(writer);
        return error;
    }
    *sentinel = (int)reader;
    return MP_OK;
}

static bool has_ended(int sentinel, bool is_polled)
{
    watch found;

    /* A duplicate of a sentinel has nothing but the hint. */
    if (!find_watch(sentinel, &found))
        return is_polled;
    if (found.is_child)
        return child_has_ended(found.pid);
    return other_has_ended(found.pid, found.start_time);
}

static pid_t collect(const mpos_process *process, int *status)
{
    return waitpid((pid_t)process->pid, status, WNOHANG);
}

static int send_signal(const mpos_process *process, int number)
{
    pid_t pid = (pid_t)process->pid;

    /* Nobody but this process can make a child's number free again, by
     * collecting it; any other's is free as soon as it has ended. */
    if (has_ended((int)process->sentinel, false)) {
        errno = ESRCH;
        return -1;
    }
    return kill(pid, number);
}

static void close_sentinel(int sentinel)
{
    watch *removed = remove_watch(sentinel);

    close(sentinel);
    if (removed == NULL)
        return;
    if (removed->keeper >= 0)
        close(removed->keeper);
    free(removed);
}

const mpos_sentinel_mechanism mpos_sentinel_pipe = {
    .slice = SLICE,
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
