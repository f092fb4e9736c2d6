/* SPDX-License-Identifier: MIT */
/* Futures: what users hold of a pool's jobs. */
#include "pool.h"

#include "obj.h"

#include <stdlib.h>

struct mp_future {
    mpi_lifetime lifetime;
    mpi_job *job;
};

mp_error mpi_future_new(mpi_job *job, mp_future **out)
{
    mp_future *future = mpi_lifetime_new(MPI_FUTURE, sizeof(*future));

    if (future == NULL) {
        mpi_job_unref(job);
        return mpi_no_memory();
    }
    future->job = job;
    *out = future;
    return MP_OK;
}

mp_error mpi_future_job(mp_future *future, mpi_job **job)
{
    mp_error err = mpi_lifetime_check(future, MPI_FUTURE);

    if (err == MP_OK)
        err = mpi_engine_check_mine(future->job->engine);
    if (err == MP_OK)
        *job = future->job;
    return err;
}

mp_error mp_future_close(mp_future *future)
{
    mpi_job *job;
    mp_error err = future == NULL ? MP_OK : mpi_future_job(future, &job);

    if (future == NULL || err != MP_OK)
        return err;
    mpi_job_unref(job);
    mpi_lifetime_end(future);
    return MP_OK;
}

/* -- The result ------------------------------------------------------------ */

static bool is_ready(void *context)
{
    const mpi_job *job = context;

    return job->state == MPI_JOB_READY;
}

/* Once it is ready nothing of it changes any more. */
static mp_error wait_for(mp_future *future, double timeout, mpi_job **job)
{
    mp_error err = mpi_future_job(future, job);

    if (err != MP_OK)
        return err;
    return mpi_engine_wait((*job)->engine, is_ready, *job,
                           mpi_deadline(timeout));
}

mp_error mp_future_get(mp_future *future, double timeout, mp_obj **out)
{
    mpi_job *job = NULL;
    mp_error err = wait_for(future, timeout, &job);

    if (err == MP_OK && job->failure.code != MP_OK)
        err = mpi_failure_report(&job->failure);
    if (err == MP_OK && out != NULL)
        *out = mp_obj_ref(job->value);
    return err;
}

mp_error mp_future_wait(mp_future *future, double timeout)
{
    mpi_job *job = NULL;

    return wait_for(future, timeout, &job);
}

bool mp_future_ready(mp_future *future)
{
    return mp_future_wait(future, 0) == MP_OK;
}

mp_error mp_future_successful(mp_future *future, bool *is_successful)
{
    mpi_job *job = NULL;
    mp_error err = wait_for(future, 0, &job);

    if (err == MP_TIMED_OUT)
        return MP_PENDING;
    if (err == MP_OK && is_successful == NULL)
        err = mpi_fail(MP_EINVAL, "there is nowhere to put the answer");
    if (err == MP_OK)
        *is_successful = job->failure.code == MP_OK;
    return err;
}

mp_error mp_future_failure(mp_future *future, mp_failure *failure)
{
    mpi_job *job = NULL;
    mp_error err = wait_for(future, 0, &job);

    if (err == MP_TIMED_OUT)
        return MP_PENDING;
    if (err == MP_OK && failure == NULL)
        err = mpi_fail(MP_EINVAL, "there is nowhere to put the failure");
    if (err == MP_OK)
        mpi_failure_show(&job->failure, failure);
    return err;
}

/* -- Cancelling ------------------------------------------------------------ */

/* With the mutex. */
static bool has_begun(const mpi_job *job)
{
    const mpi_engine *engine = job->engine;

    if (job->done > 0)
        return true;
    for (uint32_t slot = 0;
         job->posted_units > 0 && slot < engine->board->slot_count; slot++) {
        mpi_slot_phase phase = mpi_board_state(engine->board, slot).phase;

        if (engine->posted[slot].unit.job == job && phase != MPI_SLOT_READY)
            return true;
    }
    return false;
}

static mp_error fail_too_late(void)
{
    return mpi_fail(MP_ESTATE, "it is too late to cancel the task");
}

/* Takes back what is posted of it. False: some of it has been begun; what was
 * taken back is to be posted again. */
static bool take_back(mpi_job *job)
{
    mpi_engine *engine = job->engine;
    bool is_complete = true;

    for (uint32_t slot = 0;
         job->posted_units > 0 && slot < engine->board->slot_count; slot++) {
        mpi_unit unit = engine->posted[slot].unit;

        if (unit.job != job)
            continue;
        if (!mpi_board_retract(engine->board, slot)) {
            is_complete = false;
            continue;
        }
        mpi_engine_unpost(engine, slot);
        unit.tries--;
        mpi_order_return(&engine->order, &unit);
    }
    return is_complete;
}

mp_error mp_future_cancel(mp_future *future)
{
    static const mpi_job_failure cancelled = {.code = MP_ECANCELLED};
    mpi_job *job = NULL;
    mp_error err = mpi_future_job(future, &job);

    if (err != MP_OK)
        return err;
    mpi_engine_lock(job->engine);
    mpi_engine_work(job->engine);
    if (job->is_cancelled) {
        err = MP_OK;
    } else if (job->state != MPI_JOB_OPEN || has_begun(job) ||
               !take_back(job)) {
        err = fail_too_late();
    } else {
        job->is_cancelled = true;
        mpi_job_fail(job, &cancelled);
    }
    mpi_engine_work(job->engine);
    mpi_engine_unlock(job->engine);
    return err;
}

/* What is said of it, with the mutex. */
static bool ask(mp_future *future, bool (*answer)(const mpi_job *job))
{
    mpi_job *job = NULL;
    bool is_so;

    if (mpi_future_job(future, &job) != MP_OK)
        return false;
    mpi_engine_lock(job->engine);
    mpi_engine_work(job->engine);
    is_so = answer(job);
    mpi_engine_unlock(job->engine);
    return is_so;
}

static bool is_cancelled(const mpi_job *job)
{
    return job->is_cancelled;
}

static bool is_running(const mpi_job *job)
{
    return job->state == MPI_JOB_OPEN && has_begun(job);
}

bool mp_future_cancelled(mp_future *future)
{
    return ask(future, is_cancelled);
}

bool mp_future_running(mp_future *future)
{
    return ask(future, is_running);
}

/* -- Callbacks ------------------------------------------------------------- */

/* With the mutex. MP_PENDING: it is for the caller to call it, now. */
static mp_error add_call(mpi_job *job, const mpi_done_call *call)
{
    mpi_done_call *grown;
    mp_error err;

    if (job->state == MPI_JOB_READY && job->done_call_count == 0)
        return MP_PENDING;
    err = mpi_calls_start(job->engine);
    if (err != MP_OK)
        return err;
    grown = mpi_realloc(job->done_calls,
                        (job->done_call_count + 1) * sizeof(*grown));
    if (grown == NULL)
        return mpi_no_memory();
    job->done_calls = grown;
    grown[job->done_call_count++] = *call;
    return MP_OK;
}

mp_error mp_future_add_done_callback(mp_future *future,
                                     void (*function)(void *context,
                                                      mp_future *future),
                                     void *context)
{
    const mpi_done_call call = {function, context};
    mpi_job *job = NULL;
    mp_error err = mpi_future_job(future, &job);

    if (err == MP_OK && function == NULL)
        err = mpi_fail(MP_EINVAL, "the callback is NULL");
    if (err != MP_OK)
        return err;
    mpi_engine_lock(job->engine);
    err = add_call(job, &call);
    mpi_engine_unlock(job->engine);
    if (err != MP_PENDING)
        return err;
    function(context, future);
    return MP_OK;
}
