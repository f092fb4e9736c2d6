/* SPDX-License-Identifier: MIT */
/* The end of a process, told by a pidfd: Linux 5.4 and later. */
#include "os_internal.h"

#include <errno.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BY_PIDFD = 3 }; /* P_PIDFD; not every libc's header has it */

const int64_t mpos_sentinel_slice = MPOS_FOREVER;

/* -1 and errno, like the call. */
static int open_pidfd(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0U);
}

mp_error mpos_birth_begin(mpos_birth *birth)
{
    (void)birth;
    return MP_OK;
}

mp_error mpos_birth_finish(mpos_birth *birth, pid_t pid)
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

void mpos_birth_cancel(mpos_birth *birth)
{
    (void)birth;
}

void mpos_birth_in_child(mpos_birth *birth)
{
    (void)birth;
}

void mpos_birth_loaded(void)
{
}

mp_error mpos_sentinel_attach(int *sentinel, pid_t pid)
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

bool mpos_sentinel_has_ended(int sentinel, bool is_polled)
{
    (void)sentinel;
    return is_polled;
}

pid_t mpos_sentinel_collect(const mpos_process *process, int *status)
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

int mpos_sentinel_kill(const mpos_process *process, int number)
{
    int result = (int)syscall(SYS_pidfd_send_signal, (int)process->sentinel,
                              number, NULL, 0U);

    if (result != 0 && errno == EBADF)
        errno = ESRCH;
    return result;
}

void mpos_sentinel_close(int sentinel)
{
    close(sentinel);
}
