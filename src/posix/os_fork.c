/* SPDX-License-Identifier: MIT */
/* Forking this process. Flushing and locks above the seam are the caller's. */
#include "os_internal.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

/* 0, or our pid if mpos_fork made this process in its parent's main thread:
 * a fork that is not ours copies the variable, but not the pid. */
static pid_t forked_in_main_thread;

bool mpos_fork_was_in_main_thread(void)
{
    return forked_in_main_thread == getpid();
}

/* With signals blocked. In the parent: the new process, or -1 and errno. */
static pid_t fork_holding_lock(mpos_birth *birth)
{
    bool is_main_thread = mpos_system_is_main_thread();
    pid_t pid;
    int cause;

    mpos_mutex_lock(&mpos_port_mutex);
    pid = fork();
    cause = errno;
    if (pid == 0) {
        mpos_birth_in_child(birth);
        forked_in_main_thread = is_main_thread ? getpid() : 0;
    }
    mpos_mutex_unlock(&mpos_port_mutex);
    errno = cause;
    return pid;
}

/* In the parent. */
static mp_error finish(mpos_process *out, mpos_birth *birth, pid_t pid)
{
    mp_error error = mpos_birth_finish(birth, pid);

    if (error != MP_OK) {
        mpos_end_unborn(pid);
        return error;
    }
    out->pid = pid;
    out->sentinel = birth->sentinel;
    out->start_time = 0;
    out->is_child = true;
    return MP_OK;
}

mp_error mpos_fork(mpos_process *out, bool *is_child)
{
    mpos_birth birth = MPOS_BIRTH_INIT;
    sigset_t before;
    pid_t pid;
    int cause;
    mp_error error = mpos_birth_begin(&birth);

    if (error != MP_OK)
        return error;
    mpos_signals_block(&before);
    pid = fork_holding_lock(&birth);
    cause = errno;
    if (pid == 0)
        mpos_signals_in_child(&before);
    else
        mpos_signals_restore(&before);
    if (pid < 0) {
        mpos_birth_cancel(&birth);
        return mpos_fail_errno("fork", cause);
    }
    if (pid > 0)
        error = finish(out, &birth, pid);
    if (error == MP_OK)
        *is_child = pid == 0;
    return error;
}

mp_error mpos_at_fork(void (*in_child)(void))
{
    int failure = pthread_atfork(NULL, NULL, in_child);

    return failure == 0 ? MP_OK : mpos_fail_errno("pthread_atfork", failure);
}
