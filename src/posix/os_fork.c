/* SPDX-License-Identifier: MIT */
/* Forking this process. Flushing and locks above the seam are the caller's. */
#include "os_internal.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

/* 0, or our pid if mpos_fork made this process in its parent's main thread:
 * a fork that is not ours copies the variable, but not the pid. */
static pid_t forked_in_main_thread;

bool mpos_fork_was_in_main_thread(void)
{
    return forked_in_main_thread == getpid();
}

/* In the child. What another thread has printed since the caller flushed is the
 * parent's to write: from the copy it would come once more. */
static void drop_output(void)
{
    mpos_system_purge(stdout);
    mpos_system_purge(stderr);
}

#if defined(__linux__) && !defined(__GLIBC__)
/* musl's copy keeps locked for ever what another thread had locked. */
static void lock_output(void)
{
    flockfile(stdout);
    flockfile(stderr);
}

static void unlock_output(void)
{
    funlockfile(stderr);
    funlockfile(stdout);
}
#else
/* Elsewhere fork() sees to it. */
static void lock_output(void)
{
}

static void unlock_output(void)
{
}
#endif

/* With signals blocked. In the parent: the new process, or -1 and errno. */
static pid_t fork_holding_lock(mpos_birth *birth)
{
    bool is_main_thread = mpos_system_is_main_thread();
    pid_t pid;
    int cause;

    mpos_mutex_lock(&mpos_port_mutex);
    lock_output();
    pid = fork();
    cause = errno;
    if (pid == 0) {
        drop_output();
        mpos_birth_in_child(birth);
        forked_in_main_thread = is_main_thread ? getpid() : 0;
    }
    unlock_output();
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
