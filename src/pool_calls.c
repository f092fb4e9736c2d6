/* SPDX-License-Identifier: MIT */
/*
 * The caller of callbacks: a thread that takes in results while the user's
 * threads do something else, and calls what is to be called.
 *
 * While another thread waits for a result, and so does the work, this one is
 * parked, lest each result wakes both. It is resumed when there is something to
 * call, or when the last of those has what it waited for.
 */
#include "pool.h"

#include <stdlib.h>

bool mpi_calls_is_mine(const mpi_engine *engine)
{
    return engine->has_caller && engine->caller_id == mpos_thread_id();
}

/* -- What is to be called -------------------------------------------------- */

void mpi_calls_resume(mpi_engine *engine)
{
    if (!engine->has_caller)
        return;
    if (mpi_atomic32_load(&engine->is_parked) != 0)
        (void)mp_event_set(engine->resume);
}

void mpi_calls_add(mpi_job *job, unsigned calls)
{
    mpi_engine *engine = job->engine;
    bool is_listed = job->calls != 0;

    job->calls |= calls;
    if (!is_listed) {
        mpi_job_ref(job);
        job->next_call = NULL;
        if (engine->last_call != NULL)
            engine->last_call->next_call = job;
        else
            engine->first_call = job;
        engine->last_call = job;
    }
    mpi_calls_resume(engine);
    mpi_board_ring(engine->board);
}

/* -- Calling: with the mutex, which is released meanwhile ------------------ */

static void call_progress(mpi_job *job)
{
    size_t done = job->done;

    mpi_engine_unlock(job->engine);
    job->options.progress(job->options.context, done, job->count);
    mpi_engine_lock(job->engine);
}

static void call_finish(mpi_job *job)
{
    mp_failure failure;

    mpi_engine_unlock(job->engine);
    if (job->failure.code == MP_OK && job->options.callback != NULL) {
        job->options.callback(job->options.context, job->value);
    } else if (job->failure.code != MP_OK &&
               job->options.error_callback != NULL) {
        mpi_failure_show(&job->failure, &failure);
        job->options.error_callback(job->options.context, &failure);
    }
    mpi_engine_lock(job->engine);
    mpi_job_set_ready(job);
}

static void call_done(mpi_job *job)
{
    mpi_engine *engine = job->engine;

    for (size_t i = 0; i < job->done_call_count; i++) {
        mpi_done_call call = job->done_calls[i];
        mp_future *future = NULL;
        mp_error err;

        mpi_engine_unlock(engine);
        mpi_job_ref(job);
        err = mpi_future_new(job, &future);
        if (err == MP_OK) {
            call.function(call.context, future);
            (void)mp_future_close(future);
        }
        mpi_engine_lock(engine);
    }
    job->done_call_count = 0;
}

/* Of several at once, in the order of their bits. */
static void call_all(mpi_job *job)
{
    while (job->calls != 0) {
        unsigned calls = job->calls;

        if ((calls & MPI_CALL_PROGRESS) != 0) {
            job->calls &= ~(unsigned)MPI_CALL_PROGRESS;
            call_progress(job);
        } else if ((calls & MPI_CALL_FINISH) != 0) {
            job->calls &= ~(unsigned)MPI_CALL_FINISH;
            call_finish(job);
        } else {
            job->calls &= ~(unsigned)MPI_CALL_DONE;
            call_done(job);
        }
    }
}

bool mpi_calls_run(mpi_engine *engine)
{
    mpi_job *job = engine->first_call;

    if (job == NULL || !mpi_calls_is_mine(engine))
        return false;
    engine->first_call = job->next_call;
    if (engine->first_call == NULL)
        engine->last_call = NULL;
    engine->calling++;
    call_all(job);
    engine->calling--;
    if (engine->is_over) /* that may be all that is waited for */
        mpi_engine_notify(engine);
    mpi_job_unref(job);
    return true;
}

/* -- The thread ------------------------------------------------------------ */

static bool must_look(const mpi_engine *engine)
{
    return engine->first_call != NULL || engine->caller_must_end;
}

/* Others do the work: until it is resumed. */
static void park(mpi_engine *engine)
{
    (void)mp_event_clear(engine->resume);
    mpi_atomic32_store(&engine->is_parked, 1);
    mpi_engine_unlock(engine);
    (void)mp_event_wait(engine->resume, MP_FOREVER);
    mpi_engine_lock(engine);
    mpi_atomic32_store(&engine->is_parked, 0);
}

static void sleep_on_bell(mpi_engine *engine)
{
    uint32_t seen = mpi_board_expect(engine->board);
    bool is_up = mpi_board_has_done(engine->board) || must_look(engine) ||
                 engine->waiting > 0;

    mpi_engine_unlock(engine);
    if (!is_up)
        (void)mpi_board_sleep(engine->board, seen, MPOS_FOREVER);
    mpi_engine_lock(engine);
}

static void run(void *argument)
{
    mpi_engine *engine = argument;

    mpi_engine_lock(engine);
    engine->caller_id = mpos_thread_id();
    while (!engine->caller_must_end || engine->first_call != NULL) {
        mpi_engine_work(engine);
        if (mpi_calls_run(engine))
            continue;
        if (must_look(engine))
            continue;
        if (engine->waiting > 0)
            park(engine);
        else
            sleep_on_bell(engine);
    }
    mpi_engine_unlock(engine);
    mpi_engine_unref(engine);
}

mp_error mpi_calls_start(mpi_engine *engine)
{
    mp_error err = MP_OK;

    if (engine->has_caller)
        return MP_OK;
    if (engine->resume == NULL)
        err = mp_event_create(&engine->resume);
    if (err != MP_OK)
        return err;
    mpi_engine_ref(engine);
    err = mpos_thread_start(run, engine, &engine->caller);
    if (err != MP_OK) {
        mpi_engine_unref(engine);
        return err;
    }
    engine->has_caller = true;
    return MP_OK;
}
