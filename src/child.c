/* SPDX-License-Identifier: MIT */
/*
 * A child, from the moment it knows who it is to its end. Both the spawned and
 * the forked come through here.
 */
#include "state.h"

#include <stdio.h>
#include <stdlib.h>

/* Seconds. */
#define WATCH_AGAIN 0.1

/* -- The end --------------------------------------------------------------- */

void mpi_child_finish(int code)
{
    mpi_start_page *page = mp_current_process()->block.page;
    bool was_ending = mpi_exit_claim() || mpi_exit_has_begun();

    mpi_exit_in_order();
    fflush(stdout);
    fflush(stderr);
    /* In a process that the target has forked by itself it is not ours. */
    if (page != NULL && mpi_state.pid == mpos_pid()) {
        mpi_atomic32_store(&page->exitcode,
                           (uint32_t)code & mpos_system.exit_code_mask);
        mpi_atomic32_store(&page->phase, MP_PHASE_FINISHED);
    }
    if (mpi_state.role == MPI_ROLE_SPAWNED && !was_ending)
        exit(code);
    mpos_exit(code);
}

/* Nobody reads the exit code of a child whose parent has died. */
static void watch_parent(void *unused)
{
    (void)unused;
    /* Short of descriptors it can't be watched, which is not its end. */
    while (mp_process_join(mpi_state.parent, MP_FOREVER) != MP_OK)
        mpos_sleep_until(mpi_deadline(WATCH_AGAIN));
    mpos_exit(1);
}

static mp_error die_with_parent(int64_t creator_pid)
{
    mp_error err = mpos_die_with_parent(creator_pid);

    if (err == MP_ENOTFOUND)
        mpos_exit(1);
    if (err == MP_ENOTSUP)
        err = mpos_thread_start(watch_parent, NULL, NULL);
    return err;
}

/* -- The beginning --------------------------------------------------------- */

MP_NORETURN static void run(mp_process *process, bool has_input)
{
    mpi_start_page *page = process->block.page;
    int code;

    /* Python's children read nothing either: what is typed is for the
     * parent. */
    if (has_input)
        mpos_close_input();
    mpi_exit_register();
    if (page != NULL)
        mpi_atomic32_store(&page->phase, MP_PHASE_TARGET);
    code = mpi_process_call_target(process);
    mpi_process_drop_work(process);
    mpi_child_finish(code);
}

/* Its phase stays what it is: the target was never reached. */
MP_NORETURN static void fail(void)
{
    mpi_complain("can't start: ");
    mpos_exit(1);
}

/* False: the parent has given this child up. */
static bool tell_arrival(mpi_start_page *page)
{
    page->pid = mpos_pid();
    return mpi_atomic32_change(&page->phase, 0, MP_PHASE_BOOT);
}

static void become(const mpi_start *start, const mpi_block *block,
                   mpi_role role)
{
    mp_process *process = start->process;

    /* A forked one's was the fork server, whose target is still running. */
    if (role == MPI_ROLE_SPAWNED)
        mpi_process_free(mpi_state.current);
    else
        mpi_children_forget(mpi_state.current);
    if (mpi_state.parent != NULL)
        mpi_children_forget(mpi_state.parent);
    mpi_run_set(process, MPI_RUN_STARTED);
    process->os.pid = mpos_pid();
    process->block = *block;
    mpi_state.role = role;
    mpi_state.pid = mpos_pid();
    mpi_state.current = process;
    mpi_state.parent = start->parent;
    if (start->default_method != MP_START_DEFAULT)
        mpi_state.method = start->default_method;
}

static mp_error decode(mpi_block *block, mpi_transport *handles,
                       mpi_start *start)
{
    mp_error err = MP_OK;

    if (!tell_arrival(block->page))
        mpos_exit(1);
    if (handles->count == 0)
        err = mpi_block_handles(block, handles);
    if (err == MP_OK)
        err = mpi_start_decode(block, handles, start);
    mpi_transport_close_untaken(handles);
    mpi_transport_free(handles);
    return err;
}

void mpi_child_run(mpi_block *block, mpi_transport *handles, mpi_role role,
                   int64_t creator_pid)
{
    mpi_start start = {.process = NULL};
    mp_error err = decode(block, handles, &start);

    if (start.process != NULL)
        become(&start, block, role);
    if (err == MP_OK)
        err = mpi_block_keep_page(&start.process->block);
    if (err == MP_OK && start.process->is_daemon)
        err = die_with_parent(creator_pid != 0 ? creator_pid
                                               : start.parent->os.pid);
    if (err != MP_OK)
        fail();
    mpi_forget_failure();
    /* The fork server's input is closed already. */
    run(start.process, role == MPI_ROLE_SPAWNED);
}

static mp_process *parent_of_fork(mp_process *was_current, int64_t pid,
                                  uint64_t start_time)
{
    /* Nothing else may point at it as the current process any more. */
    was_current->os.pid = pid;
    was_current->os.start_time = start_time;
    was_current->os.sentinel = MPOS_NONE;
    mpi_run_set(was_current, MPI_RUN_STARTED);
    mpos_mutex_reset(&was_current->mutex);
    return was_current;
}

void mpi_child_run_forked(mp_process *process, int64_t parent_pid,
                          mpi_transport *handles)
{
    uint64_t parent_start = mpi_state.start_time;

    mpi_state_after_fork(handles);
    mpos_mutex_reset(&process->mutex);
    if (mpi_state.parent != NULL)
        mpi_children_forget(mpi_state.parent);
    mpi_state.parent =
        parent_of_fork(mpi_state.current, parent_pid, parent_start);
    mpi_state.current = process;
    mpi_state.role = MPI_ROLE_FORKED;
    mpi_run_set(process, MPI_RUN_STARTED);
    process->os.pid = mpos_pid();
    tell_arrival(process->block.page);
    if (mpi_parcel_take(&handles->parcel) != MP_OK ||
        (process->is_daemon && die_with_parent(parent_pid) != MP_OK))
        fail();
    run(process, true);
}
