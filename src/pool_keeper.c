/* SPDX-License-Identifier: MIT */
/*
 * The keeper: a thread that looks after the workers. It sleeps until one of
 * them ends, until a task is over its time limit, or until somebody wakes it.
 *
 * What a worker had when it died is lost or begun again, and the next one gets
 * its seat. If workers end before they are through with their initializer, new
 * ones would do the same for ever: then the pool is broken.
 */
#include "pool.h"

#include "obj.h"

#include <multiproc/connection.h>
#include <multiproc/wait.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_FAILED_STARTS = 10,
    FIRST_PAUSE = 20000000, /* nanoseconds, doubled with each failure */
    MOST_DOUBLINGS = 5,
    REASON_SIZE = 600,
};

/* With the end of who was killed: seconds. */
static const double patience = 0.1;

/* -- Waking ---------------------------------------------------------------- */

void mpi_keeper_wake(mpi_engine *engine)
{
    if (mpi_atomic32_change(&engine->is_awake, 0, 1) &&
        mp_connection_send_bytes(engine->wake, "", 0) != MP_OK)
        mpi_atomic32_store(&engine->is_awake, 0); /* the next one may */
}

static void read_wake(mpi_engine *engine)
{
    char byte;
    size_t size;

    mpi_atomic32_store(&engine->is_awake, 0);
    (void)mp_connection_recv_bytes_into(engine->woken, &byte, 1, &size);
}

static void look_at_worker(mpi_engine *engine, uint32_t seat)
{
    mp_process *process = engine->workers[seat].process;
    int code = 0;
    mp_error err = mp_process_exitcode(process, &code);

    if (err == MP_OK || err == MP_ENOTFOUND)
        mpi_staff_bury(engine, seat, code);
}

/* -- Time limits ----------------------------------------------------------- */

/* When to look at this one again. */
static int64_t look_at_limit(mpi_engine *engine, uint32_t slot, int64_t now)
{
    const mpi_posted *posted = &engine->posted[slot];
    mpi_slot_state state = mpi_board_state(engine->board, slot);
    int64_t limit = posted->unit.job->limit;
    int64_t since;

    if (limit == MPOS_FOREVER || state.phase == MPI_SLOT_DONE ||
        state.phase == MPI_SLOT_CONDEMNED)
        return MPOS_FOREVER;
    since = (int64_t)mpi_atomic64_load(
        &engine->board->seats[state.seat].busy_since);
    if (state.phase != MPI_SLOT_TAKEN || since == 0)
        return now + limit;
    if (now - since < limit)
        return since + limit;
    if (mpi_board_condemn(engine->board, slot, posted->ticket))
        mpi_staff_kill(engine, state.seat);
    return MPOS_FOREVER;
}

static void look_at_limits(mpi_engine *engine)
{
    int64_t now = mpos_now();
    int64_t next = MPOS_FOREVER;

    if (now < engine->next_look)
        return;
    for (uint32_t slot = 0; slot < engine->board->slot_count; slot++) {
        int64_t until = MPOS_FOREVER;

        if (engine->posted[slot].unit.job != NULL)
            until = look_at_limit(engine, slot, now);
        if (until < next)
            next = until;
    }
    engine->next_look = next;
}

/* -- Replacing ------------------------------------------------------------- */

static bool needs_workers(const mpi_engine *engine)
{
    return engine->state == MPI_POOL_RUNNING ||
           (engine->state == MPI_POOL_CLOSED && engine->job_count > 0);
}

static bool has_workers(const mpi_engine *engine)
{
    for (uint32_t i = 0; i < engine->worker_count; i++)
        if (engine->workers[i].process != NULL)
            return true;
    return false;
}

static void note_failed_start(mpi_engine *engine)
{
    unsigned doublings = engine->failed_starts++;

    if (doublings > MOST_DOUBLINGS)
        doublings = MOST_DOUBLINGS;
    engine->next_start = mpos_now() + ((int64_t)FIRST_PAUSE << doublings);
    if (engine->failed_starts >= MOST_FAILED_STARTS && !has_workers(engine))
        mpi_staff_break(engine, mp_error_message());
}

static void start_missing(mpi_engine *engine)
{
    if (engine->next_start != 0 && mpos_now() < engine->next_start)
        return;
    engine->next_start = 0;
    for (uint32_t i = 0; i < engine->worker_count; i++) {
        if (engine->workers[i].process != NULL || !needs_workers(engine))
            continue;
        if (mpi_staff_start(engine, i) != MP_OK) {
            note_failed_start(engine);
            return;
        }
        engine->failed_starts = 0;
        if (engine->state >= MPI_POOL_TERMINATED)
            mpi_staff_kill_all(engine);
    }
}

/* -- The thread ------------------------------------------------------------ */

static size_t list_workers(const mpi_engine *engine, mp_wait_item *items,
                           uint32_t *seats)
{
    size_t count = 0;

    items[count] = mp_wait_connection(engine->woken);
    seats[count++] = UINT32_MAX;
    for (uint32_t i = 0; i < engine->worker_count; i++) {
        if (engine->workers[i].process == NULL)
            continue;
        items[count] = mp_wait_process(engine->workers[i].process);
        seats[count++] = i;
    }
    return count;
}

static double seconds_until(const mpi_engine *engine)
{
    int64_t until = engine->next_look;

    if (engine->next_start != 0 && engine->next_start < until)
        until = engine->next_start;
    return until == MPOS_FOREVER ? MP_FOREVER
                                 : (double)(until - mpos_now()) / 1e9;
}

/* Some have been killed, and are not known to be dead. */
static bool has_condemned(const mpi_engine *engine)
{
    for (uint32_t i = 0; i < engine->worker_count; i++)
        if (engine->workers[i].process != NULL &&
            engine->workers[i].is_expected)
            return true;
    return false;
}

/* The system may have had no room for it the first time. */
static void kill_again(const mpi_engine *engine)
{
    for (uint32_t i = 0; i < engine->worker_count; i++)
        if (engine->workers[i].process != NULL &&
            engine->workers[i].is_expected)
            (void)mp_process_kill(engine->workers[i].process);
}

/* With the mutex, which is released meanwhile. */
static void wait_for_news(mpi_engine *engine, mp_wait_item *items,
                          uint32_t *seats)
{
    size_t count = list_workers(engine, items, seats);
    double timeout = seconds_until(engine);
    bool must_insist = has_condemned(engine);
    mp_error err;

    if (must_insist && timeout > patience)
        timeout = patience;
    mpi_engine_unlock(engine);
    err = mp_wait(items, count, timeout);
    if (err != MP_OK && err != MP_TIMED_OUT)
        mpos_sleep_until(mpos_now() + FIRST_PAUSE); /* memory is short */
    if (err == MP_OK && items[0].is_ready)
        read_wake(engine);
    mpi_engine_lock(engine);
    if (must_insist && err == MP_TIMED_OUT)
        kill_again(engine);
    for (size_t i = 1; i < count; i++)
        if (err < 0 || items[i].is_ready)
            look_at_worker(engine, seats[i]);
}

typedef struct keeping {
    mpi_engine *engine;
    mp_wait_item *items;
    uint32_t *seats;
} keeping;

static void run(void *argument)
{
    keeping it = *(keeping *)argument;
    mpi_engine *engine = it.engine;

    free(argument);
    mpi_engine_lock(engine);
    while (needs_workers(engine) || has_workers(engine)) {
        look_at_limits(engine);
        start_missing(engine);
        if (needs_workers(engine) || has_workers(engine))
            wait_for_news(engine, it.items, it.seats);
    }
    engine->is_over = true;
    mpi_engine_notify(engine);
    mpi_engine_unlock(engine);
    free(it.items);
    free(it.seats);
    mpi_engine_unref(engine);
}

static keeping *make_keeping(mpi_engine *engine)
{
    size_t count = (size_t)engine->worker_count + 1;
    keeping *it = mpi_calloc(1, sizeof(*it));

    if (it == NULL)
        return NULL;
    it->engine = engine;
    it->items = mpi_calloc(count, sizeof(*it->items));
    it->seats = mpi_calloc(count, sizeof(*it->seats));
    if (it->items != NULL && it->seats != NULL)
        return it;
    free(it->items);
    free(it->seats);
    free(it);
    return NULL;
}

static mp_error start_thread(mpi_engine *engine)
{
    keeping *it = make_keeping(engine);
    mp_error err;

    if (it == NULL)
        return mpi_no_memory();
    mpi_engine_ref(engine);
    err = mpos_thread_start(run, it, &engine->keeper);
    if (err == MP_OK) {
        engine->has_keeper = true;
        return MP_OK;
    }
    mpi_engine_unref(engine);
    free(it->items);
    free(it->seats);
    free(it);
    return err;
}

/* Nobody else knows the pool yet. */
static void undo(mpi_engine *engine)
{
    for (uint32_t i = 0; i < engine->worker_count; i++) {
        mp_process *process = engine->workers[i].process;

        if (process == NULL)
            continue;
        (void)mp_process_kill(process);
        (void)mp_process_join(process, MP_FOREVER);
        (void)mp_process_close(process);
        engine->workers[i].process = NULL;
    }
}

mp_error mpi_keeper_start(mpi_engine *engine)
{
    mp_error err = MP_OK;

    mpi_engine_lock(engine);
    for (uint32_t i = 0; i < engine->worker_count && err == MP_OK; i++)
        err = mpi_staff_start(engine, i);
    if (err == MP_OK)
        err = start_thread(engine);
    mpi_engine_unlock(engine);
    if (err != MP_OK) {
        char sentence[REASON_SIZE];

        snprintf(sentence, sizeof(sentence), "%s", mp_error_message());
        undo(engine);
        return mpi_fail(err, "can't start the pool's workers: %s", sentence);
    }
    return MP_OK;
}

/* -- Joining --------------------------------------------------------------- */

static bool is_at_end(void *context)
{
    const mpi_engine *engine = context;

    return engine->is_over && engine->first_call == NULL &&
           engine->calling == 0 && !engine->is_joining;
}

/* What is left on the board and in the order holds references to jobs, and
 * those to the engine. */
static void let_go_of_units(mpi_engine *engine)
{
    mpi_unit *next;

    for (uint32_t slot = 0; slot < engine->board->slot_count; slot++) {
        mpi_job *job = engine->posted[slot].unit.job;

        if (job == NULL)
            continue;
        mpi_engine_unpost(engine, slot);
        mpi_job_unref(job);
    }
    while ((next = mpi_order_next(&engine->order)) != NULL) {
        mpi_job_unref(next->job);
        mpi_order_drop(&engine->order);
    }
}

mp_error mpi_keeper_join(mpi_engine *engine, int64_t deadline)
{
    mp_error err = mpi_engine_wait(engine, is_at_end, engine, deadline);
    bool has_caller;

    if (err != MP_OK)
        return err;
    mpi_engine_lock(engine);
    if (engine->are_joined || engine->is_joining) {
        mpi_engine_unlock(engine);
        /* Another thread is at it. */
        return engine->are_joined ? MP_OK : mpi_keeper_join(engine, deadline);
    }
    engine->is_joining = true;
    engine->caller_must_end = true;
    has_caller = engine->has_caller;
    mpi_calls_resume(engine);
    mpi_board_ring(engine->board);
    mpi_engine_unlock(engine);
    mpos_thread_join(engine->keeper);
    if (has_caller)
        mpos_thread_join(engine->caller);
    mpi_engine_lock(engine);
    engine->has_caller = false;
    engine->are_joined = true;
    engine->is_joining = false;
    let_go_of_units(engine);
    mpi_engine_notify(engine);
    mpi_engine_unlock(engine);
    return MP_OK;
}
