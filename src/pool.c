/* SPDX-License-Identifier: MIT */
/* Pool: making, ending, counts. */
#include "pool.h"

#include "obj.h"

#include <stdlib.h>

enum { EXIT_PRIORITY = 15 }; /* as Python's */

static const mp_pool_options defaults;

/* -- Making ---------------------------------------------------------------- */

static mp_error check_options(size_t processes, const mp_pool_options *options)
{
    if (processes > MPI_BOARD_SEATS_MAX)
        return mpi_fail(MP_EINVAL, "%zu workers are more than %d", processes,
                        MPI_BOARD_SEATS_MAX);
    if ((int)options->order < MP_POOL_FIFO ||
        (int)options->order > MP_POOL_SHORTEST)
        return mpi_fail(MP_EINVAL, "%d is no mp_pool_order",
                        (int)options->order);
    if (!(options->time_limit >= 0))
        return mpi_fail(MP_EINVAL, "a time limit of %g s", options->time_limit);
    if (options->initargs == NULL)
        return MP_OK;
    if (mp_obj_error(options->initargs) != MP_OK)
        return mp_obj_error(options->initargs);
    return mp_obj_type(options->initargs) == MP_TYPE_TUPLE
               ? MP_OK
               : mpi_expected("a tuple of initargs, MP_ARGS(...)",
                              options->initargs);
}

static void end_at_exit(void *argument)
{
    mp_pool *pool = argument;

    if (mpi_engine_check_mine(pool->engine) != MP_OK)
        return;
    (void)mp_pool_terminate(pool);
    (void)mp_pool_join(pool, MP_FOREVER);
}

static mp_error make(size_t processes, const mp_pool_options *options,
                     mp_pool **out)
{
    mp_pool *pool = mpi_lifetime_new(MPI_POOL, sizeof(*pool));
    mp_error err;

    if (pool == NULL)
        return mpi_no_memory();
    err = mpi_engine_create(&pool->engine, (uint32_t)processes, options);
    if (err != MP_OK) {
        free(pool);
        return err;
    }
    if (options->initargs != NULL)
        pool->engine->initargs = mp_obj_ref(options->initargs);
    err = mpi_keeper_start(pool->engine);
    if (err != MP_OK) {
        mpi_engine_unref(pool->engine);
        free(pool);
        return err;
    }
    *out = pool;
    return MP_OK;
}

mp_error mp_pool_create(mp_pool **out, size_t processes,
                        const mp_pool_options *options)
{
    const mp_pool_options *given = options != NULL ? options : &defaults;
    mp_pool *pool = NULL;
    mp_error err = check_options(processes, given);

    if (err == MP_OK && out == NULL)
        err = mpi_fail(MP_EINVAL, "there is nowhere to put the pool");
    if (err == MP_OK)
        err = make(processes != 0 ? processes : mp_cpu_count(), given, &pool);
    mp_obj_unref(given->initargs);
    if (err != MP_OK)
        return err;
    err =
        mp_finalizer_create(&pool->finalizer, end_at_exit, pool, EXIT_PRIORITY);
    if (err != MP_OK) {
        pool->finalizer = NULL;
        (void)mp_pool_destroy(pool);
        return err;
    }
    *out = pool;
    return MP_OK;
}

/* -- Checking -------------------------------------------------------------- */

static mp_error check(mp_pool *pool)
{
    mp_error err = mpi_lifetime_check(pool, MPI_POOL);

    return err == MP_OK ? mpi_engine_check_mine(pool->engine) : err;
}

/* -- The end --------------------------------------------------------------- */

mp_error mp_pool_close(mp_pool *pool)
{
    mpi_engine *engine;
    mp_error err = check(pool);

    if (err != MP_OK)
        return err;
    engine = pool->engine;
    mpi_engine_lock(engine);
    if (engine->state == MPI_POOL_RUNNING) {
        engine->state = MPI_POOL_CLOSED;
        if (engine->job_count == 0)
            mpi_board_shut(engine->board);
        mpi_keeper_wake(engine);
    }
    mpi_engine_unlock(engine);
    return MP_OK;
}

mp_error mp_pool_terminate(mp_pool *pool)
{
    mpi_engine *engine;
    mp_error err = check(pool);

    if (err != MP_OK)
        return err;
    engine = pool->engine;
    mpi_engine_lock(engine);
    if (engine->state <= MPI_POOL_CLOSED) {
        engine->state = MPI_POOL_TERMINATED;
        mpi_engine_fail_all(engine, MP_ECANCELLED, "the pool was terminated");
        mpi_staff_kill_all(engine);
        mpi_engine_notify(engine);
    }
    mpi_engine_unlock(engine);
    return MP_OK;
}

static mp_error fail_in_callback(void)
{
    return mpi_fail(MP_ESTATE, "a callback can't wait for the pool's end: it "
                               "is part of it");
}

mp_error mp_pool_join(mp_pool *pool, double timeout)
{
    mpi_engine *engine;
    bool is_running, is_callback;
    mp_error err = check(pool);

    if (err != MP_OK)
        return err;
    engine = pool->engine;
    mpi_engine_lock(engine);
    is_running = engine->state == MPI_POOL_RUNNING;
    is_callback = mpi_calls_is_mine(engine);
    mpi_engine_unlock(engine);
    if (is_running)
        return mpi_fail(MP_ESTATE, "the pool is still running: close or "
                                   "terminate it first");
    if (is_callback)
        return fail_in_callback();
    return mpi_keeper_join(engine, mpi_deadline(timeout));
}

static mp_error end(mp_pool *pool)
{
    mpi_engine *engine = pool->engine;
    bool is_joined, is_callback;

    mpi_engine_lock(engine);
    is_joined = engine->are_joined;
    is_callback = mpi_calls_is_mine(engine);
    mpi_engine_unlock(engine);
    if (is_callback)
        return fail_in_callback();
    if (is_joined)
        return MP_OK;
    (void)mp_pool_terminate(pool);
    return mpi_keeper_join(engine, MPOS_FOREVER);
}

mp_error mp_pool_destroy(mp_pool *pool)
{
    mp_error err;

    if (pool == NULL)
        return MP_OK;
    err = check(pool);
    if (err == MP_OK)
        err = end(pool);
    if (err != MP_OK)
        return err;
    if (pool->finalizer != NULL)
        (void)mp_finalizer_cancel(pool->finalizer);
    mpi_engine_unref(pool->engine);
    mpi_lifetime_end(pool);
    return MP_OK;
}

/* -- Counts ---------------------------------------------------------------- */

static void count_worker(mpi_engine *engine, uint32_t seat,
                         mp_worker_stats *stats)
{
    const mpi_member *worker = &engine->workers[seat];
    mpi_seat *its = &engine->board->seats[seat];
    uint64_t since = mpi_atomic64_load(&its->busy_since);

    *stats = (mp_worker_stats){.state = MP_WORKER_DEAD,
                               .restarts = worker->restarts};
    if (worker->process == NULL)
        return;
    stats->pid = mp_process_pid(worker->process);
    stats->tasks_done = mpi_atomic64_load(&its->tasks_done);
    stats->state = MP_WORKER_STARTING;
    if (mpi_atomic32_load(&its->state) != MPI_SEAT_READY)
        return;
    stats->state = since != 0 ? MP_WORKER_BUSY : MP_WORKER_IDLE;
    stats->busy_since = (double)since / 1e9;
}

/* Of the jobs that wait, what is not posted yet. */
static uint64_t count_unposted(const mpi_engine *engine)
{
    uint64_t count = 0;

    for (const mpi_job *job = engine->jobs; job != NULL; job = job->next)
        if (job->state == MPI_JOB_OPEN)
            count += job->open_units;
    return count > engine->posted_count ? count - engine->posted_count : 0;
}

mp_error mp_pool_get_stats(mp_pool *pool, mp_pool_stats *stats,
                           mp_worker_stats *workers, size_t capacity)
{
    mpi_engine *engine;
    uint32_t waiting;
    mp_error err = check(pool);

    if (err == MP_OK && stats == NULL)
        err = mpi_fail(MP_EINVAL, "there is nowhere to put the counts");
    if (err != MP_OK)
        return err;
    engine = pool->engine;
    mpi_engine_lock(engine);
    mpi_engine_work(engine);
    waiting = mpi_board_waiting(engine->board);
    *stats = (mp_pool_stats){
        .workers = engine->worker_count,
        .tasks_done = engine->tasks_done,
        .tasks_running =
            engine->posted_count > waiting ? engine->posted_count - waiting : 0,
        .tasks_waiting = waiting + count_unposted(engine),
        .workers_died = engine->died,
    };
    for (uint32_t i = 0; workers != NULL && i < capacity; i++) {
        if (i == engine->worker_count)
            break;
        count_worker(engine, i, &workers[i]);
    }
    mpi_engine_unlock(engine);
    return MP_OK;
}
