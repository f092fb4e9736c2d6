/* SPDX-License-Identifier: MIT */
/* Pool: apply, map and their like. Each makes a job; some wait for it. */
#include "pool.h"

#include "obj.h"

#include <stdlib.h>

/* The macros of these names take plain functions. */
#undef mp_pool_apply
#undef mp_pool_apply_async
#undef mp_pool_submit
#undef mp_pool_map
#undef mp_pool_map_async
#undef mp_pool_starmap
#undef mp_pool_starmap_async

enum { CHUNKS_PER_WORKER = 4 };

static mp_error check(mp_pool *pool)
{
    mp_error err = mpi_lifetime_check(pool, MPI_POOL);

    return err == MP_OK ? mpi_engine_check_mine(pool->engine) : err;
}

/* -- Making a job ---------------------------------------------------------- */

static void drop(mp_obj *args, const mp_task_options *options)
{
    mp_obj_unref(args);
    if (options != NULL)
        mp_obj_unref(options->kwargs);
}

/* With the mutex. */
static mp_error add_units(mpi_job *job)
{
    mpi_engine *engine = job->engine;
    mpi_unit unit = {
        .job = job,
        .key = job->key,
        .is_whole = job->work != MPI_WORK_CALL,
    };
    mp_error err;

    mpi_job_ref(job);
    engine->has_better = engine->order.has_keys;
    err = mpi_order_add(&engine->order, &unit);
    if (err != MP_OK)
        mpi_job_unref(job);
    return err;
}

/* With the mutex. wants_caller: nobody may be waiting for it. */
static mp_error enter(mpi_job *job, bool wants_caller)
{
    mpi_engine *engine = job->engine;
    mp_error err = mpi_engine_check_open(engine);
    bool is_fed;

    if (err == MP_OK && wants_caller)
        err = mpi_calls_start(engine);
    /* What is made on the way comes later. */
    is_fed = job->iteration != NULL && mpi_iteration_is_fed(job->iteration);
    if (err == MP_OK && job->open_units > 0 && !is_fed)
        err = add_units(job);
    if (err != MP_OK)
        return err;
    mpi_job_enter(job);
    if (job->open_units == 0) {
        mpi_job_conclude(job);
        return MP_OK;
    }
    mpi_engine_work(engine);
    if (wants_caller && engine->waiting == 0)
        mpi_calls_resume(engine);
    return MP_OK;
}

mp_error mpi_job_start(mpi_job *job, bool wants_caller)
{
    mp_error err;

    mpi_engine_lock(job->engine);
    err = enter(job, wants_caller);
    mpi_engine_unlock(job->engine);
    return err;
}

static void cut(mpi_job *job, size_t chunksize)
{
    size_t chunks = (size_t)job->engine->worker_count * CHUNKS_PER_WORKER;

    job->count = mpi_as_container(job->args)->size;
    if (chunksize == 0)
        chunksize = job->count / chunks + (job->count % chunks != 0);
    if (chunksize > UINT32_MAX)
        chunksize = UINT32_MAX;
    job->chunksize = chunksize != 0 ? chunksize : 1;
    job->chunk_count =
        job->count / job->chunksize + (job->count % job->chunksize != 0);
    job->open_units = job->chunk_count;
}

static mp_error make_call(mp_pool *pool, mp_task task, mp_obj *args,
                          const mp_task_options *options, mpi_job **out)
{
    mp_error err = check(pool);

    if (err != MP_OK) {
        drop(args, options);
        return err;
    }
    err = mpi_job_new(pool->engine, MPI_WORK_CALL, task, args, options, out);
    if (err != MP_OK)
        return err;
    (*out)->count = 1;
    (*out)->chunk_count = 1;
    (*out)->open_units = 1;
    return MP_OK;
}

typedef struct mapping {
    mpi_work work;
    mp_task task;
    mp_obj *items;
    size_t chunksize;
    const mp_task_options *options;
} mapping;

static mp_error make_map(mp_pool *pool, const mapping *it, mpi_job **out)
{
    mpi_job *job = NULL;
    mp_error err = check(pool);

    if (err == MP_OK && it->items == NULL)
        err = mpi_fail(MP_EINVAL, "the items are NULL");
    if (err != MP_OK) {
        drop(it->items, it->options);
        return err;
    }
    err = mpi_job_new(pool->engine, it->work, it->task, it->items, it->options,
                      &job);
    if (err != MP_OK)
        return err;
    cut(job, it->chunksize);
    job->values = mpi_calloc(job->count + 1, sizeof(*job->values));
    if (job->values == NULL) {
        mpi_job_unref(job);
        return mpi_no_memory();
    }
    *out = job;
    return MP_OK;
}

/* -- With and without waiting ---------------------------------------------- */

/* Takes the job's reference. */
static mp_error start(mpi_job *job, mp_future **out)
{
    mp_future *future = NULL;
    mp_error err;

    mpi_job_ref(job);
    err = mpi_future_new(job, &future);
    if (err == MP_OK)
        err = mpi_job_start(job, true);
    mpi_job_unref(job);
    if (err != MP_OK || out == NULL)
        (void)mp_future_close(future);
    else
        *out = future;
    return err;
}

static bool is_ready(void *context)
{
    const mpi_job *job = context;

    return job->state == MPI_JOB_READY;
}

/* Takes the job's reference. */
static mp_error run(mpi_job *job, mp_obj **out)
{
    mp_error err = mpi_job_start(job, false);

    if (err == MP_OK)
        err = mpi_engine_wait(job->engine, is_ready, job, MPOS_FOREVER);
    if (err == MP_OK && job->failure.code != MP_OK)
        err = mpi_failure_report(&job->failure);
    if (err == MP_OK && out != NULL)
        *out = mp_obj_ref(job->value);
    mpi_job_unref(job);
    return err;
}

static mp_error start_map(mp_pool *pool, const mapping *it, mp_future **out)
{
    mpi_job *job = NULL;
    mp_error err = make_map(pool, it, &job);

    return err == MP_OK ? start(job, out) : err;
}

static mp_error run_map(mp_pool *pool, const mapping *it, mp_obj **out)
{
    mpi_job *job = NULL;
    mp_error err = make_map(pool, it, &job);

    return err == MP_OK ? run(job, out) : err;
}

/* -- The public ones ------------------------------------------------------- */

mp_error mp_pool_apply(mp_pool *pool, mp_task task, mp_obj *args, mp_obj **out)
{
    mpi_job *job = NULL;
    mp_error err = make_call(pool, task, args, NULL, &job);

    return err == MP_OK ? run(job, out) : err;
}

mp_error mp_pool_apply_async(mp_pool *pool, mp_task task, mp_obj *args,
                             const mp_task_options *options, mp_future **out)
{
    mpi_job *job = NULL;
    mp_error err = make_call(pool, task, args, options, &job);

    return err == MP_OK ? start(job, out) : err;
}

mp_error mp_pool_submit(mp_pool *pool, mp_task task, mp_obj *args,
                        mp_future **out)
{
    return mp_pool_apply_async(pool, task, args, NULL, out);
}

mp_error mp_pool_map(mp_pool *pool, mp_task task, mp_obj *items,
                     size_t chunksize, mp_obj **out)
{
    const mapping it = {MPI_WORK_MAP, task, items, chunksize, NULL};

    return run_map(pool, &it, out);
}

mp_error mp_pool_map_async(mp_pool *pool, mp_task task, mp_obj *items,
                           size_t chunksize, const mp_task_options *options,
                           mp_future **out)
{
    const mapping it = {MPI_WORK_MAP, task, items, chunksize, options};

    return start_map(pool, &it, out);
}

mp_error mp_pool_starmap(mp_pool *pool, mp_task task, mp_obj *items,
                         size_t chunksize, mp_obj **out)
{
    const mapping it = {MPI_WORK_STARMAP, task, items, chunksize, NULL};

    return run_map(pool, &it, out);
}

mp_error mp_pool_starmap_async(mp_pool *pool, mp_task task, mp_obj *items,
                               size_t chunksize, const mp_task_options *options,
                               mp_future **out)
{
    const mapping it = {MPI_WORK_STARMAP, task, items, chunksize, options};

    return start_map(pool, &it, out);
}
