/* SPDX-License-Identifier: MIT */
/*
 * How a process ends: by itself in good order, or at once with a sentence.
 * Python's order: finalizers of priority >= 0, daemons, children, the rest.
 */
#include "state.h"

#include "listener.h"
#include "task.h"

#include <stdio.h>
#include <stdlib.h>

/* Seconds that daemons have to end by themselves. */
#define DAEMON_GRACE 1.0

static bool is_registered;
static bool is_in_order; /* has begun */
static mpi_atomic32 is_claimed;
static MPI_THREAD_LOCAL bool is_claimer;

static void signal_daemons(mpos_signal signal)
{
    mpos_mutex_lock(&mpi_state.mutex);
    for (mp_process *child = mpi_state.children; child != NULL;
         child = child->next)
        if (child->is_daemon)
            (void)mpi_process_send_signal(child, signal);
    mpos_mutex_unlock(&mpi_state.mutex);
}

static mp_process *first_daemon(void)
{
    mp_process *child;

    mpos_mutex_lock(&mpi_state.mutex);
    child = mpi_state.children;
    while (child != NULL && !child->is_daemon)
        child = child->next;
    mpos_mutex_unlock(&mpi_state.mutex);
    return child;
}

/* One that takes no notice must not keep its parent: it is killed. */
static void end_daemons(void)
{
    int64_t deadline = mpi_deadline(DAEMON_GRACE);
    mp_process *daemon = first_daemon();

    if (daemon == NULL)
        return;
    signal_daemons(MPOS_TERMINATE);
    /* One that is suspended would never learn of it. */
    signal_daemons(MPOS_RESUME);
    while (daemon != NULL && mpi_process_wait(daemon, deadline) == MP_OK) {
        mpi_children_forget(daemon);
        daemon = first_daemon();
    }
    signal_daemons(MPOS_KILL);
}

static mp_process *first_child(void)
{
    mp_process *child;

    mpos_mutex_lock(&mpi_state.mutex);
    child = mpi_state.children;
    mpos_mutex_unlock(&mpi_state.mutex);
    return child;
}

static void join_children(void)
{
    mp_process *child;

    while ((child = first_child()) != NULL) {
        /* One that can't be waited for must not be waited for twice. */
        (void)mpi_process_wait(child, MPOS_FOREVER);
        mpi_children_forget(child);
    }
}

void mpi_exit_in_order(void)
{
    /* After a foreign fork() the children are another process's. */
    if (is_in_order || mpi_state.current == NULL || mpi_state.pid != mpos_pid())
        return;
    is_in_order = true;
    mpi_finalizers_run(0);
    end_daemons();
    join_children();
    mpi_forkserver_stop();
    mpi_finalizers_run(INT32_MIN);
    mpi_listeners_at_exit();
}

void mpi_exit_register(void)
{
    bool must_register;

    mpos_mutex_lock(&mpi_state.mutex);
    must_register = !is_registered;
    is_registered = true;
    mpos_mutex_unlock(&mpi_state.mutex);
    if (must_register)
        atexit(mpi_exit_in_order);
}

bool mpi_exit_has_begun(void)
{
    return is_in_order;
}

bool mpi_exit_claim(void)
{
    if (mpi_atomic32_change(&is_claimed, 0, 1)) {
        is_claimer = true;
        return false;
    }
    while (!is_claimer)
        mpos_sleep_until(MPOS_FOREVER);
    return true;
}

void mpi_exit_after_fork(void)
{
    mpi_atomic32_store(&is_claimed, 0);
    is_claimer = false;
    is_in_order = false;
}

void mp_exit(int code)
{
    if (mpi_state.role != MPI_ROLE_MAIN && mpi_state.pid == mpos_pid())
        mpi_child_finish(code);
    if (!is_in_order)
        exit(code);
    /* From a finalizer, that is, from within exit(). */
    fflush(stdout);
    fflush(stderr);
    mpos_exit(code);
}

void mpi_complain(const char *kind)
{
    fflush(stdout);
    fprintf(stderr, "Process %s:\n%s%s\n",
            mp_process_name(mp_current_process()), kind, mp_error_message());
    fflush(stderr);
}

void mp_check_failed(mp_error error, const char *expression, const char *file,
                     int line)
{
    mpi_task_check_failed(error, expression, file, line);
    fflush(stdout);
    fprintf(stderr, "Process %s:\n%s:%d: %s\n%s: %s\n",
            mp_process_name(mp_current_process()), file, line, expression,
            mp_error_name(error),
            *mp_error_message() != 0 ? mp_error_message() : mp_strerror(error));
    fflush(stderr);
    mp_exit(1);
}
