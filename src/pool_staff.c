/* SPDX-License-Identifier: MIT */
/*
 * A pool's workers: how they are started, and what their end means.
 *
 * What a worker had when it died is lost or begun again. If workers end before
 * they are through with their initializer, new ones would do the same for ever:
 * then the pool is broken.
 */
#include "pool.h"

#include "obj.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    /* Killed from outside, before the initializer was through, in a row. */
    MOST_EARLY_DEATHS = 10,
    NAME_SIZE = 64,
    REASON_SIZE = 600,
    SENTENCE_SIZE = 700,
};

/* -- Starting -------------------------------------------------------------- */

static const char *method_word(const mpi_engine *engine)
{
    mp_start_method method = engine->options.start_method;

    if (method == MP_START_DEFAULT)
        method = mp_get_start_method();
    switch (method) {
    case MP_START_FORK:
        return "Fork";
    case MP_START_FORKSERVER:
        return "ForkServer";
    default:
        return "Spawn";
    }
}

static mp_obj *arguments(mpi_engine *engine, uint32_t seat)
{
    mp_obj *parts[] = {
        mpi_board_box(engine->board),
        mp_obj_int(seat),
        engine->options.initializer == NULL
            ? mp_obj_none()
            : mp_obj_function(engine->options.initializer),
        engine->initargs == NULL ? mp_obj_tuple(NULL, 0)
                                 : mp_obj_ref(engine->initargs),
        mp_obj_uint(engine->options.max_tasks_per_child),
    };

    return mp_obj_tuple(parts, sizeof(parts) / sizeof(parts[0]));
}

static mp_error create_worker(mpi_engine *engine, uint32_t seat,
                              mp_process **out)
{
    char name[NAME_SIZE];
    mp_process_options options = {
        .name = name,
        .daemon = MP_DAEMON_YES,
        .start_method = engine->options.start_method,
    };

    snprintf(name, sizeof(name), "%sPoolWorker-%u", method_word(engine),
             ++engine->next_worker);
    return mp_process_create_named(out, mpi_pool_work, "pool_worker",
                                   arguments(engine, seat), &options);
}

/* Only the keeper does this, or who makes the pool before there is one. */
mp_error mpi_staff_start(mpi_engine *engine, uint32_t seat)
{
    mpi_seat *its = &engine->board->seats[seat];
    mp_process *process = NULL;
    mp_error err;

    mpi_atomic32_store(&its->slot, 0);
    mpi_atomic64_store(&its->tasks_done, 0);
    mpi_atomic64_store(&its->busy_since, 0);
    mpi_atomic32_store(&its->state, MPI_SEAT_STARTING);
    err = create_worker(engine, seat, &process);
    mpi_engine_unlock(engine);
    if (err == MP_OK)
        err = mp_process_start(process);
    mpi_engine_lock(engine);
    if (err == MP_OK) {
        engine->workers[seat].process = process;
        engine->workers[seat].is_expected = false;
        return MP_OK;
    }
    mpi_atomic32_store(&its->state, MPI_SEAT_EMPTY);
    (void)mp_process_close(process);
    return err;
}

/* -- The end of a worker --------------------------------------------------- */

void mpi_staff_kill(mpi_engine *engine, uint32_t seat)
{
    mpi_member *member = &engine->workers[seat];

    member->is_expected = true;
    if (member->process != NULL)
        (void)mp_process_kill(member->process); /* the keeper insists on it */
}

void mpi_staff_kill_all(mpi_engine *engine)
{
    for (uint32_t i = 0; i < engine->worker_count; i++)
        mpi_staff_kill(engine, i);
    mpi_keeper_wake(engine);
}

/* For ever: nothing will come of it. */
void mpi_staff_break(mpi_engine *engine, const char *why)
{
    char sentence[SENTENCE_SIZE];

    if (engine->state >= MPI_POOL_TERMINATED)
        return;
    snprintf(sentence, sizeof(sentence), "the pool is broken: %s", why);
    engine->state = MPI_POOL_BROKEN;
    mpi_engine_fail_all(engine, MP_EBROKEN, sentence);
    mpi_staff_kill_all(engine);
    mpi_engine_notify(engine);
}

static void describe_end(int code, char *text, size_t size)
{
    if (code < 0)
        snprintf(text, size, "was killed by signal %d", -code);
    else
        snprintf(text, size, "ended with exit code %d", code);
}

typedef struct death {
    mpi_engine *engine;
    const char *name;
    const char *how;
    int code;
} death;

static void lose(void *context, uint32_t slot, bool is_condemned)
{
    const death *it = context;
    mpi_unit unit = it->engine->posted[slot].unit;
    char sentence[REASON_SIZE], name[NAME_SIZE];
    mpi_job_failure failure = {
        .code = MP_EWORKERDIED,
        .sentence = sentence,
        .worker = name,
        .exitcode = it->code,
    };

    mpi_engine_unpost(it->engine, slot);
    if (!is_condemned && unit.tries <= unit.job->retries &&
        it->engine->state <= MPI_POOL_CLOSED) {
        mpi_order_return(&it->engine->order, &unit);
        return;
    }
    snprintf(name, sizeof(name), "%s", it->name);
    snprintf(sentence, sizeof(sentence),
             "the worker %s before the task was done", it->how);
    if (is_condemned) {
        failure.code = MP_ETIMELIMIT;
        failure.exitcode = 0;
        snprintf(sentence, sizeof(sentence), "it took more than %g s",
                 (double)unit.job->limit / 1e9);
    }
    mpi_job_fail_unit(&unit, &failure);
}

/* Whether new ones would have the same end. */
static void judge_early_death(mpi_engine *engine, const death *it,
                              mpi_seat_state state)
{
    char why[REASON_SIZE];

    if (it->code < 0 && ++engine->early_deaths < MOST_EARLY_DEATHS)
        return;
    snprintf(why, sizeof(why), "%s %s%s", it->name, it->how,
             state == MPI_SEAT_FAILED ? " as its initializer has failed"
                                      : " before it was ready for tasks");
    mpi_staff_break(engine, why);
}

void mpi_staff_bury(mpi_engine *engine, uint32_t seat, int code)
{
    mpi_member *worker = &engine->workers[seat];
    mpi_seat *its = &engine->board->seats[seat];
    mpi_seat_state state = (mpi_seat_state)mpi_atomic32_load(&its->state);
    char how[NAME_SIZE];
    death it = {engine, mp_process_name(worker->process), how, code};

    describe_end(code, how, sizeof(how));
    mpi_board_bury(engine->board, seat, lose, &it);
    mpi_engine_work(engine); /* while its name is known */
    if (!worker->is_expected && (code != 0 || state != MPI_SEAT_READY))
        engine->died++;
    if (state == MPI_SEAT_READY)
        engine->early_deaths = 0;
    else if (!worker->is_expected)
        judge_early_death(engine, &it, state);
    mpi_atomic32_store(&its->state, MPI_SEAT_EMPTY);
    (void)mp_process_close(worker->process);
    worker->process = NULL;
    worker->restarts++;
}
