/* SPDX-License-Identifier: MIT */
/*
 * The end of a process, told by a pidfd: Linux 5.4 and later, where neither a
 * container's filter nor a tool that knows no pidfd is in the way.
 */
#include "os_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BY_PIDFD = 3 }; /* P_PIDFD; not every libc's header has it */

/* -1 and errno, like the call. */
static int open_pidfd(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0U);
}

/* Looks at this very process, which is no child of its own: ECHILD is what
 * waitid() says if it knows pidfds. 0, or errno if something is refused. */
static int try_on(int pidfd)
{
    siginfo_t info;

    if (waitid((idtype_t)BY_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG) == 0)
        return ENOSYS;
    if (errno != ECHILD)
        return errno;
    return syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0U) == 0 ? 0 : errno;
}

static mp_error probe(void)
{
    int pidfd = open_pidfd(getpid());
    int cause = pidfd < 0 ? errno : try_on(pidfd);

    if (pidfd >= 0)
        close(pidfd);
    if (cause == 0)
        return MP_OK;
    if (cause == EMFILE || cause == ENFILE || cause == ENOMEM)
        return mpos_fail_errno("pidfd_open", cause);
    return mpi_fail(MP_ENOTSUP, "pidfd_open: %s", strerror(cause));
}

static mp_error begin(mpos_birth *birth)
{
    (void)birth;
    return MP_OK;
}

static mp_error finish(mpos_birth *birth, pid_t pid)
{
    birth->sentinel = open_pidfd(pid);
    if (birth->sentinel >= 0)
        return mpos_raise_descriptor(&birth->sentinel);
    /* Ended, and collected by somebody: a handler of SIGCHLD, or the system
     * because the signal is ignored. */
    if (errno == ESRCH)
        return mpos_ended_descriptor(&birth->sentinel);
    return mpos_fail_errno("pidfd_open", errno);
}

static void cancel(mpos_birth *birth)
{
    (void)birth;
}

static void in_child(mpos_birth *birth)
{
    (void)birth;
}

static void loaded(void)
{
}

static mp_error attach(int *sentinel, pid_t pid)
{
    int opened = open_pidfd(pid);
    mp_error error;

    /* EINVAL: the number of a thread. */
    if (opened < 0)
        return mpos_fail_errno("pidfd_open", errno == EINVAL ? ESRCH : errno);
    error = mpos_raise_descriptor(&opened);
    if (error == MP_OK)
        *sentinel = opened;
    return error;
}

static bool has_ended(int sentinel, bool is_polled)
{
    (void)sentinel;
    return is_polled;
}

static pid_t collect(const mpos_process *process, int *status)
{
    siginfo_t info = {.si_pid = 0};

    /* By pidfd: the number may be another child's already. */
    if (waitid((idtype_t)BY_PIDFD, (id_t)process->sentinel, &info,
               WEXITED | WNOHANG) != 0) {
        /* What mpos_ended_descriptor() gave is no pidfd. */
        if (errno == EBADF)
            errno = ECHILD;
        return -1;
    }
    /* As waitpid() would put it. */
    *status = info.si_code == CLD_EXITED ? info.si_status << 8 : info.si_status;
    return info.si_pid;
}

static int send_signal(const mpos_process *process, int number)
{
    int result = (int)syscall(SYS_pidfd_send_signal, (int)process->sentinel,
                              number, NULL, 0U);

    if (result != 0 && errno == EBADF)
        errno = ESRCH;
    return result;
}

static void close_sentinel(int sentinel)
{
    close(sentinel);
}

const mpos_sentinel_mechanism mpos_sentinel_pidfd = {
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
