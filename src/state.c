/* SPDX-License-Identifier: MIT */
/* This process, its parent, and the list of its children. */
#include "state.h"

#include "connection.h"
#include "listener.h"
#include "share.h"
#include "task.h"

#include <stdlib.h>

enum { FEW_CHILDREN = 16 };

mpi_process_state mpi_state = {
    .mutex = MPOS_MUTEX_INIT,
    .children_limit = FEW_CHILDREN,
    .method = MP_START_SPAWN,
    .status = MPOS_NONE,
};

/* Before anything else can fail: mp_current_process() is never NULL. */
static mp_process *main_process(void)
{
    mp_process *process = mpi_process_new("MainProcess", "");

    if (process == NULL)
        return NULL;
    mpi_run_set(process, MPI_RUN_STARTED);
    process->os.pid = mpos_pid();
    return process;
}

/*
 * The user has called fork() or daemon(): this process has its original's
 * memory, but none of its children. It may have some of its own from now on,
 * and ends in good order like any other. Its connections are the user's.
 */
static void adopt(void)
{
    mpi_state_after_fork(NULL);
    mpi_state.role = MPI_ROLE_MAIN;
    mpi_state.parent = NULL;
    mpi_state.current->os.pid = mpi_state.pid;
    /* The original still answers there. */
    mpi_state.current->block = (mpi_block){.memory = MPOS_NONE};
}

/* Of several threads one does, the others wait for it. A number that is not
 * ours was copied by a fork meanwhile. */
static void adopt_if_needed(void)
{
    static mpi_atomic32 adopter;
    uint32_t own = (uint32_t)mpos_pid();
    uint32_t seen;

    while ((seen = mpi_atomic32_load(&adopter)) == own ||
           mpi_state.pid != mpos_pid()) {
        if (seen == own)
            mpos_sleep_until(mpi_deadline(0.001));
        else if (mpi_atomic32_change(&adopter, seen, own)) {
            if (mpi_state.pid != mpos_pid())
                adopt();
            mpi_atomic32_store(&adopter, 0);
        }
    }
}

mp_error mpi_state_init(void)
{
    mp_error err = MP_OK;

    if (mpi_state.current != NULL)
        adopt_if_needed();
    mpos_mutex_lock(&mpi_state.mutex);
    if (mpi_state.current == NULL) {
        mpi_state.current = main_process();
        mpi_state.pid = mpos_pid();
        if (mpi_state.current == NULL)
            err = mpi_no_memory();
    }
    mpos_mutex_unlock(&mpi_state.mutex);
    return err;
}

mp_error mpi_own_start_time(uint64_t *ticks)
{
    mp_error err = MP_OK;

    mpos_mutex_lock(&mpi_state.mutex);
    if (mpi_state.start_time == 0)
        err = mpos_start_time(mpos_pid(), &mpi_state.start_time);
    *ticks = mpi_state.start_time;
    mpos_mutex_unlock(&mpi_state.mutex);
    /* Not known here (Linux without /proc): then our number must do. */
    return err == MP_ENOTSUP ? MP_OK : err;
}

mp_process *mp_current_process(void)
{
    static mp_process fallback = {
        .lifetime = {.kind = MPI_PROCESS},
        .mutex = MPOS_MUTEX_INIT,
        .run = {MPI_RUN_STARTED},
    };

    /* Only when memory ran out before the first process was made. */
    if (mpi_state_init() != MP_OK)
        return &fallback;
    return mpi_state.current;
}

mp_process *mp_parent_process(void)
{
    return mpi_state.parent;
}

/* -- Children -------------------------------------------------------------- */

void mpi_children_add(mp_process *process)
{
    mp_process **link;

    mpos_mutex_lock(&mpi_state.mutex);
    link = &mpi_state.children;
    while (*link != NULL)
        link = &(*link)->next;
    process->next = NULL;
    *link = process;
    mpi_state.children_count++;
    mpos_mutex_unlock(&mpi_state.mutex);
}

static bool unlink_from(mp_process **link, const mp_process *process)
{
    while (*link != NULL && *link != process)
        link = &(*link)->next;
    if (*link == NULL)
        return false;
    *link = process->next;
    return true;
}

void mpi_children_remove(mp_process *process)
{
    mpos_mutex_lock(&mpi_state.mutex);
    if (process->is_forgotten)
        (void)unlink_from(&mpi_state.forgotten, process);
    else if (unlink_from(&mpi_state.children, process))
        mpi_state.children_count--;
    process->is_forgotten = false;
    mpos_mutex_unlock(&mpi_state.mutex);
}

static void forget(mp_process *process)
{
    process->is_forgotten = true;
    process->next = mpi_state.forgotten;
    mpi_state.forgotten = process;
}

void mpi_children_forget(mp_process *process)
{
    mpi_children_remove(process);
    mpos_mutex_lock(&mpi_state.mutex);
    forget(process);
    mpos_mutex_unlock(&mpi_state.mutex);
}

/* The ended ones leave the list; for the others visit() may be called. */
static size_t sweep(mp_process **out, size_t capacity)
{
    size_t count = 0;
    mp_process **link;

    mpos_mutex_lock(&mpi_state.mutex);
    link = &mpi_state.children;
    while (*link != NULL) {
        mp_process *process = *link;

        if (mpi_process_poll(process)) {
            *link = process->next;
            mpi_state.children_count--;
            forget(process);
            continue;
        }
        if (count < capacity)
            out[count] = process;
        count++;
        link = &process->next;
    }
    mpos_mutex_unlock(&mpi_state.mutex);
    return count;
}

mp_error mp_active_children(mp_process **out, size_t capacity, size_t *count)
{
    if (count == NULL || (out == NULL && capacity > 0))
        return mpi_fail(MP_EINVAL, "there is nowhere to put the children");
    *count = sweep(out, capacity);
    return MP_OK;
}

/*
 * Python looks at every child at every start. Looking when the number has
 * doubled leaves as few zombies and costs nothing by comparison.
 */
void mpi_children_clean(void)
{
    bool may_be_many;
    size_t left;

    mpos_mutex_lock(&mpi_state.mutex);
    may_be_many = mpi_state.children_count >= mpi_state.children_limit;
    mpos_mutex_unlock(&mpi_state.mutex);
    if (!may_be_many)
        return;
    left = sweep(NULL, 0);
    mpos_mutex_lock(&mpi_state.mutex);
    mpi_state.children_limit =
        left < FEW_CHILDREN / 2 ? FEW_CHILDREN : left * 2;
    mpos_mutex_unlock(&mpi_state.mutex);
}

/* -- Fork ------------------------------------------------------------------ */

/* In the order in which they may be taken. */
static mpos_mutex *const all_mutexes[] = {
    &mpi_forkserver_mutex,  &mpi_state.mutex,    &mpi_finalizers_mutex,
    &mpi_connections_mutex, &mpi_shares_mutex,   &mpi_function_mutex,
    &mpi_slots_mutex,       &mpi_lifetime_mutex,
};

enum { MUTEX_COUNT = sizeof(all_mutexes) / sizeof(all_mutexes[0]) };

void mpi_fork_prepare(void)
{
    for (int i = 0; i < MUTEX_COUNT; i++)
        mpos_mutex_lock(all_mutexes[i]);
}

void mpi_fork_parent(void)
{
    for (int i = MUTEX_COUNT; i > 0; i--)
        mpos_mutex_unlock(all_mutexes[i - 1]);
}

/* The parent's handles on its children; the objects stay, for whoever still
 * points at them, and answer MP_ENOTCHILD. */
static void forget_child(mp_process *process)
{
    mpos_process_close(&process->os);
    mpos_close(process->status);
    process->status = MPOS_NONE;
    mpi_block_close(&process->block);
    mpi_parcel_forget(&process->parcel);
    mpi_run_set(process, MPI_RUN_FINISHED);
    process->code_error = MP_ENOTCHILD;
}

void mpi_state_after_fork(const mpi_transport *kept)
{
    mp_process *next;

    for (int i = 0; i < MUTEX_COUNT; i++)
        mpos_mutex_reset(all_mutexes[i]);
    for (mp_process *child = mpi_state.children; child != NULL; child = next) {
        next = child->next;
        mpos_mutex_reset(&child->mutex);
        forget_child(child);
    }
    mpi_state.children = NULL;
    mpi_state.forgotten = NULL;
    mpi_state.children_count = 0;
    mpi_state.children_limit = FEW_CHILDREN;
    mpi_state.last_child = 0;
    mpi_state.start_time = 0;
    mpi_state.pid = mpos_pid();
    mpos_close(mpi_state.status);
    mpi_state.status = MPOS_NONE;
    if (mpi_state.parent != NULL)
        mpos_process_close(&mpi_state.parent->os);
    mpi_block_after_fork();
    mpi_connections_after_fork(kept);
    mpi_listeners_after_fork();
    mpi_finalizers_after_fork();
    mpi_forkserver_after_fork();
    mpi_exit_after_fork();
    mpi_task_after_fork();
    mpi_crowds_after_fork();
}
