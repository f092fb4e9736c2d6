/* SPDX-License-Identifier: MIT */
/* Jobs: what is to be done, in units, and when all of it is. */
#include "obj.h"
#include "pool.h"

#include <stdlib.h>

enum { PROGRESS_INTERVAL = 50000000 }; /* nanoseconds */

/* -- Making ---------------------------------------------------------------- */

static mp_error check_options(const mp_task_options *options)
{
    if (options->time_limit < 0)
        return mpi_fail(MP_EINVAL, "a time limit of %g s", options->time_limit);
    if (options->expected != options->expected) /* not a number */
        return mpi_fail(MP_EINVAL, "the expected time is no number");
    return MP_OK;
}

static int64_t limit_of(const mpi_engine *engine, double seconds)
{
    if (seconds <= 0)
        seconds = engine->options.time_limit;
    if (seconds <= 0 || seconds >= 9e9)
        return MPOS_FOREVER;
    return (int64_t)(seconds * 1e9) + 1;
}

static double key_of(const mpi_engine *engine, const mp_task_options *options)
{
    switch (engine->options.order) {
    case MP_POOL_PRIORITY:
        return (double)options->priority;
    case MP_POOL_SHORTEST:
        return options->expected;
    default:
        return 0;
    }
}

static void set_options(mpi_job *job, const mp_task_options *options)
{
    const mpi_engine *engine = job->engine;

    job->options = *options;
    job->options.kwargs = NULL;
    job->limit = limit_of(engine, options->time_limit);
    job->retries = options->retries == MP_NO_RETRY ? 0
                   : options->retries != 0         ? options->retries
                                                   : engine->options.retries;
    job->key = key_of(engine, options);
}

static mp_error check(mpi_work work, mp_task task, const mp_obj *args,
                      const mp_task_options *options)
{
    mp_error err = mp_obj_error(args);

    if (err == MP_OK && options->kwargs != NULL)
        err = mp_obj_error(options->kwargs);
    if (err != MP_OK)
        return err;
    if (task.function == NULL)
        return mpi_fail(MP_EINVAL, "the task is NULL");
    if (work == MPI_WORK_CALL && mp_obj_type(args) != MP_TYPE_TUPLE)
        return mpi_expected("a tuple of arguments, MP_ARGS(...)", args);
    if (work != MPI_WORK_CALL && mp_obj_type(args) != MP_TYPE_LIST &&
        mp_obj_type(args) != MP_TYPE_TUPLE)
        return mpi_expected("a list or tuple of items", args);
    if (options->kwargs != NULL && work != MPI_WORK_CALL)
        return mpi_fail(MP_EINVAL, "a map has no kwargs");
    if (options->kwargs != NULL && mp_obj_type(options->kwargs) != MP_TYPE_DICT)
        return mpi_expected("a dict of kwargs, MP_KWARGS(...)",
                            options->kwargs);
    return check_options(options);
}

/* Consumes both. */
static mp_obj *with_kwargs(mp_obj *args, mp_obj *kwargs)
{
    mp_obj *both[2] = {args, kwargs == NULL ? mp_obj_none() : kwargs};

    return mp_obj_tuple(both, 2);
}

static mp_error make(mpi_engine *engine, mpi_work work, mp_task task,
                     const mp_task_options *options, mpi_job **out)
{
    mpi_job *job = mpi_calloc(1, sizeof(*job));

    if (job == NULL)
        return mpi_no_memory();
    mpi_atomic32_store(&job->references, 1);
    job->engine = engine;
    mpi_engine_ref(engine);
    job->work = work;
    job->task = task;
    set_options(job, options);
    *out = job;
    return MP_OK;
}

mp_error mpi_job_new(mpi_engine *engine, mpi_work work, mp_task task,
                     mp_obj *args, const mp_task_options *options,
                     mpi_job **out)
{
    static const mp_task_options defaults;
    const mp_task_options *given = options != NULL ? options : &defaults;
    mp_obj *none =
        args == NULL && work == MPI_WORK_CALL ? mp_obj_tuple(NULL, 0) : args;
    mp_error err = check(work, task, none, given);

    if (err == MP_OK)
        err = make(engine, work, task, given, out);
    if (err != MP_OK) {
        mp_obj_unref(none);
        mp_obj_unref(given->kwargs);
        return err;
    }
    (*out)->args =
        work == MPI_WORK_CALL ? with_kwargs(none, given->kwargs) : none;
    err = mp_obj_error((*out)->args);
    if (err != MP_OK) {
        (*out)->args = NULL;
        mpi_job_unref(*out);
    }
    return err;
}

void mpi_job_ref(mpi_job *job)
{
    (void)mpi_atomic32_add(&job->references, 1);
}

static void drop_work(mpi_job *job)
{
    free(job->function);
    job->function = NULL;
    mp_obj_unref(job->args);
    job->args = NULL;
}

static void free_values(mpi_job *job)
{
    for (size_t i = 0; job->values != NULL && i < job->count; i++)
        mp_obj_unref(job->values[i]);
    free((void *)job->values);
    job->values = NULL;
}

void mpi_job_unref(mpi_job *job)
{
    if (mpi_atomic32_add(&job->references, UINT32_MAX) != 1)
        return;
    drop_work(job);
    free_values(job);
    mp_obj_unref(job->value);
    mpi_failure_free(&job->failure);
    if (job->iteration != NULL)
        mpi_iteration_free(job->iteration);
    free(job->done_calls);
    mpi_engine_unref(job->engine);
    free(job);
}

void mpi_job_enter(mpi_job *job)
{
    mpi_engine *engine = job->engine;

    mpi_job_ref(job);
    job->next = engine->jobs;
    if (job->next != NULL)
        job->next->link = &job->next;
    job->link = &engine->jobs;
    engine->jobs = job;
    engine->job_count++;
}

static void leave(mpi_job *job)
{
    *job->link = job->next;
    if (job->next != NULL)
        job->next->link = job->link;
    job->link = NULL;
    job->engine->job_count--;
    mpi_job_unref(job);
}

/* -- What a unit is -------------------------------------------------------- */

size_t mpi_unit_items(const mpi_unit *unit)
{
    const mpi_job *job = unit->job;
    size_t first = unit->index * job->chunksize;

    if (unit->chunk != NULL)
        return unit->chunk->count;
    if (job->work == MPI_WORK_CALL)
        return 1;
    return job->count - first < job->chunksize ? job->count - first
                                               : job->chunksize;
}

size_t mpi_unit_first(const mpi_unit *unit)
{
    return unit->chunk != NULL ? unit->chunk->first
                               : unit->index * unit->job->chunksize;
}

static mp_obj *slice(const mp_obj *from, size_t first, size_t count)
{
    const mpi_container *source = mpi_as_container(from);
    mp_obj *list = mpi_container_new(MP_TYPE_LIST, count);
    mpi_container *container;

    if (mpi_is_error(list))
        return list;
    container = mpi_mutable(list);
    for (size_t i = 0; i < count; i++) {
        mp_obj *item = source->items[first + i];

        container->items[i] = mpi_is_heap(item) ? mp_obj_ref(item) : item;
    }
    container->size = count;
    list->depth = from->depth;
    return list;
}

mp_obj *mpi_job_payload(const mpi_unit *unit)
{
    const mpi_job *job = unit->job;

    if (unit->chunk != NULL)
        return mp_obj_ref(unit->chunk->items);
    if (job->work == MPI_WORK_CALL)
        return mp_obj_ref(job->args);
    return slice(job->args, mpi_unit_first(unit), mpi_unit_items(unit));
}

/* -- The end of a job ------------------------------------------------------ */

static bool has_callback(const mpi_job *job)
{
    if (job->options.progress != NULL)
        return true;
    return job->failure.code != MP_OK ? job->options.error_callback != NULL
                                      : job->options.callback != NULL;
}

static void build_list(mpi_job *job)
{
    mp_obj *list = mpi_container_new(MP_TYPE_LIST, job->count);
    mp_error err = mp_obj_error(list);

    if (err == MP_OK) {
        err = mpi_extend(list, job->values, job->count); /* consumes */
        free((void *)job->values);
        job->values = NULL;
        job->value = list;
    }
    if (err == MP_OK)
        return;
    job->failure.code = err;
    job->value = NULL;
    if (mpi_is_heap(list))
        mp_obj_unref(list);
}

void mpi_job_conclude(mpi_job *job)
{
    if (job->failure.code == MP_OK && job->values != NULL)
        build_list(job);
    free_values(job);
    drop_work(job);
    job->state = MPI_JOB_FINISHED;
    if (job->options.progress != NULL)
        mpi_calls_add(job, MPI_CALL_PROGRESS);
    if (has_callback(job))
        mpi_calls_add(job, MPI_CALL_FINISH);
    else
        mpi_job_set_ready(job);
}

void mpi_job_set_ready(mpi_job *job)
{
    mpi_engine *engine = job->engine;

    job->state = MPI_JOB_READY;
    job->completion = ++engine->completions;
    mpi_atomic32_store(&job->is_ready, 1);
    if (job->done_call_count > 0)
        mpi_calls_add(job, MPI_CALL_DONE);
    if (engine->job_count == 1 && engine->state == MPI_POOL_CLOSED)
        mpi_board_shut(engine->board);
    mpi_engine_notify(engine);
    leave(job);
}

void mpi_job_keep_failure(mpi_job *job, const mpi_job_failure *failure)
{
    if (job->failure.code != MP_OK) {
        if (job->failure.index <= failure->index)
            return;
        mpi_failure_free(&job->failure);
    }
    mpi_failure_copy(&job->failure, failure);
}

/* Never the last reference: who takes units back still uses the job. */
static void drop_unit(mpi_job *job)
{
    (void)mpi_atomic32_add(&job->references, UINT32_MAX);
}

static void retract_all(mpi_job *job)
{
    mpi_engine *engine = job->engine;
    uint32_t count = engine->board->slot_count;

    for (uint32_t slot = 0; job->posted_units > 0 && slot < count; slot++) {
        if (engine->posted[slot].unit.job != job ||
            !mpi_board_retract(engine->board, slot))
            continue;
        mpi_engine_unpost(engine, slot);
        drop_unit(job);
    }
}

void mpi_job_fail(mpi_job *job, const mpi_job_failure *failure)
{
    if (job->state != MPI_JOB_OPEN)
        return;
    retract_all(job);
    mpi_failure_free(&job->failure);
    mpi_failure_copy(&job->failure, failure);
    mpi_job_conclude(job);
}

/* -- What a unit has come to ----------------------------------------------- */

static void note_progress(mpi_job *job)
{
    int64_t now;

    if (job->options.progress == NULL || job->open_units == 0)
        return;
    now = mpos_now();
    if (now - job->last_progress < PROGRESS_INTERVAL)
        return;
    job->last_progress = now;
    mpi_calls_add(job, MPI_CALL_PROGRESS);
}

/* Lets go of the job. */
void mpi_unit_is_done(mpi_unit *unit)
{
    mpi_job *job = unit->job;

    if (job->state == MPI_JOB_OPEN) {
        job->done += mpi_unit_items(unit);
        job->open_units--;
        note_progress(job);
        if (job->open_units == 0)
            mpi_job_conclude(job);
    }
    unit->job = NULL;
    mpi_job_unref(job);
}

void mpi_job_fail_unit(mpi_unit *unit, const mpi_job_failure *failure)
{
    mpi_job *job = unit->job;
    mpi_job_failure placed = *failure;

    placed.index = mpi_unit_first(unit);
    placed.tries = unit->tries;
    if (job->state == MPI_JOB_OPEN && unit->chunk != NULL) {
        mpi_job_failure *one = mpi_calloc(1, sizeof(*one));

        if (one != NULL)
            mpi_failure_copy(one, &placed);
        mpi_iteration_take(unit, NULL, one, one != NULL ? 1 : 0);
    } else if (job->state == MPI_JOB_OPEN) {
        mpi_job_keep_failure(job, &placed);
    }
    mpi_unit_is_done(unit);
}
