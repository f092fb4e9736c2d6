/* SPDX-License-Identifier: MIT */
/*
 * Waiting for several futures. Those of one pool are waited for as one is. If
 * they are of several, the thread does the first one's work and sleeps on its
 * bell, is in a list of such threads, and whatever becomes ready in any pool
 * rings the bells of those in that list.
 */
#include "pool.h"

#include <stdlib.h>

typedef struct crowd {
    mpi_board *board; /* whose bell they sleep on */
    struct crowd *next;
} crowd;

static mpos_mutex crowds_mutex = MPOS_MUTEX_INIT;
static crowd *first_crowd;
static mpi_atomic32 crowd_count;

void mpi_engine_ring_others(void)
{
    if (mpi_atomic32_load(&crowd_count) == 0)
        return;
    mpos_mutex_lock(&crowds_mutex);
    for (crowd *it = first_crowd; it != NULL; it = it->next)
        mpi_board_ring(it->board);
    mpos_mutex_unlock(&crowds_mutex);
}

void mpi_crowds_after_fork(void)
{
    mpos_mutex_reset(&crowds_mutex);
    first_crowd = NULL;
    mpi_atomic32_store(&crowd_count, 0);
}

static void join_crowds(crowd *it)
{
    mpos_mutex_lock(&crowds_mutex);
    it->next = first_crowd;
    first_crowd = it;
    (void)mpi_atomic32_add(&crowd_count, 1);
    mpos_mutex_unlock(&crowds_mutex);
}

static void leave_crowds(crowd *it)
{
    crowd **link = &first_crowd;

    mpos_mutex_lock(&crowds_mutex);
    while (*link != it)
        link = &(*link)->next;
    *link = it->next;
    (void)mpi_atomic32_add(&crowd_count, UINT32_MAX);
    mpos_mutex_unlock(&crowds_mutex);
}

/* -- What is waited for ---------------------------------------------------- */

typedef struct many {
    mpi_job **jobs; /* NULL: left out */
    size_t count;
    size_t left;        /* that were not NULL */
    mpi_engine *engine; /* of the first */
    bool has_others;
    mp_return_when when;
    size_t found;
} many;

static mp_error add_future(many *all, mp_future *future, mpi_job **place)
{
    mp_error err;

    *place = NULL;
    if (future == NULL)
        return MP_OK;
    err = mpi_future_job(future, place);
    if (err != MP_OK)
        return err;
    all->left++;
    if (all->engine == NULL)
        all->engine = (*place)->engine;
    else if (all->engine != (*place)->engine)
        all->has_others = true;
    return MP_OK;
}

static mp_error begin(many *all, mp_future *const *futures, size_t count)
{
    mp_error err = MP_OK;

    *all = (many){.count = count};
    if (futures == NULL && count > 0)
        return mpi_fail(MP_EINVAL, "the futures are NULL");
    all->jobs = mpi_calloc(count + 1, sizeof(*all->jobs));
    if (all->jobs == NULL)
        return mpi_no_memory();
    for (size_t i = 0; i < count && err == MP_OK; i++)
        err = add_future(all, futures[i], &all->jobs[i]);
    if (err != MP_OK)
        free((void *)all->jobs);
    return err;
}

/* Others' results are taken in by their own threads. */
static mp_error wake_others(const many *all)
{
    mp_error err = MP_OK;

    for (size_t i = 0; i < all->count && err == MP_OK; i++) {
        mpi_job *job = all->jobs[i];

        if (job == NULL || job->engine == all->engine)
            continue;
        mpi_engine_lock(job->engine);
        if (job->state != MPI_JOB_READY)
            err = mpi_calls_start(job->engine);
        mpi_engine_unlock(job->engine);
    }
    return err;
}

static mp_error wait_for(many *all, bool (*is_done)(void *context),
                         double timeout)
{
    crowd it = {.board = all->engine->board};
    mp_error err;

    if (!all->has_others)
        return mpi_engine_wait(all->engine, is_done, all,
                               mpi_deadline(timeout));
    err = wake_others(all);
    if (err != MP_OK)
        return err;
    join_crowds(&it);
    err = mpi_engine_wait(all->engine, is_done, all, mpi_deadline(timeout));
    leave_crowds(&it);
    return err;
}

/* -- concurrent.futures.wait() --------------------------------------------- */

static bool is_enough(void *context)
{
    const many *all = context;
    size_t ready = 0;

    for (size_t i = 0; i < all->count; i++) {
        mpi_job *job = all->jobs[i];

        if (job == NULL || mpi_atomic32_load(&job->is_ready) == 0)
            continue;
        ready++;
        if (all->when == MP_FIRST_COMPLETED ||
            (all->when == MP_FIRST_EXCEPTION && job->failure.code != MP_OK))
            return true;
    }
    return ready == all->left;
}

mp_error mp_futures_wait(mp_future *const *futures, size_t count,
                         mp_return_when when, double timeout)
{
    many all;
    mp_error err;

    if ((int)when < MP_ALL_COMPLETED || (int)when > MP_FIRST_EXCEPTION)
        return mpi_fail(MP_EINVAL, "%d is no mp_return_when", (int)when);
    err = begin(&all, futures, count);
    if (err != MP_OK)
        return err;
    all.when = when;
    if (all.left > 0)
        err = wait_for(&all, is_enough, timeout);
    free((void *)all.jobs);
    return err;
}

/* -- concurrent.futures.as_completed() ------------------------------------- */

/* The one that was ready first; of several pools, the first one in the list. */
static bool find_first(void *context)
{
    many *all = context;
    uint64_t first = UINT64_MAX;

    for (size_t i = 0; i < all->count; i++) {
        mpi_job *job = all->jobs[i];
        uint64_t completion;

        if (job == NULL || mpi_atomic32_load(&job->is_ready) == 0)
            continue;
        completion = all->has_others ? i : job->completion;
        if (completion >= first)
            continue;
        first = completion;
        all->found = i;
    }
    return first != UINT64_MAX;
}

mp_error mp_as_completed(mp_future *const *futures, size_t count,
                         double timeout, size_t *index)
{
    many all;
    mp_error err = begin(&all, futures, count);

    if (err != MP_OK)
        return err;
    if (index == NULL)
        err = mpi_fail(MP_EINVAL, "there is nowhere to put the index");
    else if (all.left == 0)
        err = MP_EMPTY;
    else
        err = wait_for(&all, find_first, timeout);
    if (err == MP_OK)
        *index = all.found;
    free((void *)all.jobs);
    return err;
}
