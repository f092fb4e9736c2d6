/* SPDX-License-Identifier: MIT */
/*
 * Between jobs and the board: posting units, collecting results, waiting.
 *
 * A thread that waits for a result does the work meanwhile, and sleeps on the
 * board's bell in between, as does the caller of callbacks when nobody waits.
 * With an order of service other than first come first served, few units are
 * posted ahead, and those that nobody has begun yet come back if a better one
 * is added.
 */
#include "pool.h"

#include "obj.h"
#include "payload.h"

#include <multiproc/connection.h>

#include <stdlib.h>
#include <string.h>

/* Chunks of a map that are told at once when they are done: the last ones, lest
 * the map's end waits for others' tasks. */
enum { URGENT_PER_WORKER = 2, CALL_UNITS = 32, CALL_BYTES = 4096 };

/* -- Making and freeing ---------------------------------------------------- */

void mpi_engine_ref(mpi_engine *engine)
{
    (void)mpi_atomic32_add(&engine->references, 1);
}

static void free_engine(mpi_engine *engine)
{
    mpi_engine_forget_functions(engine);
    mpi_order_free(&engine->order);
    free(engine->posted);
    free(engine->workers);
    mp_obj_unref(engine->initargs);
    if (engine->wake != NULL)
        (void)mp_connection_close(engine->wake);
    if (engine->woken != NULL)
        (void)mp_connection_close(engine->woken);
    if (engine->resume != NULL)
        (void)mp_event_close(engine->resume);
    if (engine->board != NULL)
        mpi_board_unref(engine->board);
    free(engine);
}

void mpi_engine_unref(mpi_engine *engine)
{
    if (mpi_atomic32_add(&engine->references, UINT32_MAX) == 1)
        free_engine(engine);
}

static mp_error make_parts(mpi_engine *engine, size_t max_bytes)
{
    mp_error err =
        mpi_board_create(&engine->board, engine->worker_count, max_bytes);

    if (err != MP_OK)
        return err;
    engine->posted =
        mpi_calloc(engine->board->slot_count, sizeof(*engine->posted));
    engine->workers =
        mpi_calloc(engine->worker_count, sizeof(*engine->workers));
    if (engine->posted == NULL || engine->workers == NULL)
        return mpi_no_memory();
    engine->order.has_keys = engine->options.order != MP_POOL_FIFO;
    engine->order.spare = engine->board->slot_count;
    return mp_pipe(&engine->woken, &engine->wake,
                   &(mp_pipe_options){.is_simplex = true});
}

mp_error mpi_engine_create(mpi_engine **out, uint32_t workers,
                           const mp_pool_options *options)
{
    static const mpos_mutex free_mutex = MPOS_MUTEX_INIT;
    mpi_engine *engine = mpi_calloc(1, sizeof(*engine));
    mp_error err;

    if (engine == NULL)
        return mpi_no_memory();
    mpi_atomic32_store(&engine->references, 1);
    engine->mutex = free_mutex;
    engine->pid = mpos_pid();
    engine->forks = mpi_atomic32_load(&mpi_share_forks);
    engine->worker_count = workers;
    engine->options = *options;
    engine->options.initargs = NULL;
    engine->next_look = MPOS_FOREVER;
    err = make_parts(engine, options->max_bytes);
    if (err != MP_OK) {
        mpi_engine_unref(engine);
        return err;
    }
    *out = engine;
    return MP_OK;
}

/* -- Checking -------------------------------------------------------------- */

mp_error mpi_engine_check_mine(const mpi_engine *engine)
{
    if (engine->forks == mpi_atomic32_load(&mpi_share_forks))
        return MP_OK;
    return mpi_fail(MP_ENOTCHILD, "the pool is another process's, %lld",
                    (long long)engine->pid);
}

mp_error mpi_engine_check_open(const mpi_engine *engine)
{
    if (engine->state == MPI_POOL_BROKEN)
        return mpi_fail(MP_EBROKEN, "the pool is broken");
    if (engine->state != MPI_POOL_RUNNING)
        return mpi_fail(MP_ESTATE, "the pool is not running any more");
    return MP_OK;
}

/* -- Posting --------------------------------------------------------------- */

static bool is_urgent(const mpi_engine *engine, const mpi_unit *unit)
{
    const mpi_job *job = unit->job;
    size_t last = (size_t)engine->worker_count * URGENT_PER_WORKER;

    return job->work == MPI_WORK_CALL || unit->chunk != NULL ||
           job->options.progress != NULL ||
           unit->index + last >= job->chunk_count;
}

/* What the bytes in the slot are. */
typedef struct posting {
    mp_bytes function;
    mpi_payload payload;
    uint32_t slot;
} posting;

static mp_error write_unit(mpi_engine *engine, posting *it, const mp_obj *obj,
                           size_t *size)
{
    void *room = NULL;
    mp_error err = mpi_payload_begin(&it->payload, obj);

    if (err == MP_OK)
        err = mpi_board_reserve(engine->board, it->slot,
                                it->function.size + it->payload.most, &room);
    if (err == MP_OK) {
        memcpy(room, it->function.data, it->function.size);
        err = mpi_payload_write(
            &it->payload, (unsigned char *)room + it->function.size, size);
        *size += it->function.size;
    }
    mpi_payload_end(&it->payload);
    return err;
}

static mp_error fill_slot(mpi_engine *engine, posting *it, const mpi_unit *unit,
                          size_t *size)
{
    mpi_slot_head *head = mpi_board_head(engine->board, it->slot);
    mp_obj *obj = mpi_job_payload(unit);
    mp_error err = mp_obj_error(obj);
    size_t count = 1;

    if (err == MP_OK && unit->job->work != MPI_WORK_CALL)
        err = mp_obj_len(obj, &count);
    if (err == MP_OK)
        err = write_unit(engine, it, obj, size);
    mp_obj_unref(obj);
    if (err != MP_OK)
        return err;
    head->kind = unit->job->work;
    head->is_urgent = is_urgent(engine, unit);
    head->count = (uint32_t)count;
    head->function_size = (uint32_t)it->function.size;
    head->failures = 0;
    head->started_at = 0;
    return MP_OK;
}

/* The keeper is to know of time limits. */
static void watch_limit(mpi_engine *engine, const mpi_unit *unit)
{
    int64_t until;

    if (unit->job->limit == MPOS_FOREVER)
        return;
    until = mpos_now() + unit->job->limit;
    if (until >= engine->next_look)
        return;
    engine->next_look = until;
    mpi_keeper_wake(engine);
}

/* The unit's reference to the job becomes the slot's. */
static mp_error post(mpi_engine *engine, mpi_unit *unit)
{
    posting it = {.slot = 0};
    mpi_posted *posted;
    size_t size = 0;
    mp_error err = mpi_engine_function(engine, unit->job->task, &it.function);

    if (err != MP_OK)
        return err;
    it.slot = mpi_board_slot(engine->board);
    err = fill_slot(engine, &it, unit, &size);
    if (err != MP_OK) {
        mpi_board_release(engine->board, it.slot);
        return err;
    }
    posted = &engine->posted[it.slot];
    unit->tries++;
    posted->unit = *unit;
    unit->job->posted_units++;
    engine->posted_count++;
    watch_limit(engine, unit);
    engine->posted_bytes += size;
    posted->ticket = mpi_board_post(engine->board, it.slot, size);
    return MP_OK;
}

static void forget(mpi_engine *engine, uint32_t slot)
{
    mpi_unit *unit = &engine->posted[slot].unit;

    unit->job->posted_units--;
    unit->job = NULL;
    engine->posted_count--;
}

void mpi_engine_unpost(mpi_engine *engine, uint32_t slot)
{
    forget(engine, slot);
    mpi_board_release(engine->board, slot);
}

/* How many more may be posted now. */
static uint32_t room(const mpi_engine *engine)
{
    uint32_t most = mpi_board_room(engine->board);
    uint32_t waiting;

    if (!engine->order.has_keys)
        return most;
    /* So that what comes next can still come first. */
    waiting = mpi_board_waiting(engine->board);
    if (waiting >= engine->worker_count)
        return 0;
    return most < engine->worker_count - waiting
               ? most
               : engine->worker_count - waiting;
}

/* The next unit of what comes next; MP_EMPTY. It holds a reference to its job,
 * and is not in the order any more. */
static mp_error next_unit(mpi_engine *engine, mpi_unit *unit)
{
    mpi_unit *next = mpi_order_next(&engine->order);

    while (next != NULL && next->job->state != MPI_JOB_OPEN) {
        mpi_job_unref(next->job);
        mpi_order_drop(&engine->order);
        next = mpi_order_next(&engine->order);
    }
    if (next == NULL)
        return MP_EMPTY;
    *unit = *next;
    if (!unit->is_whole) {
        mpi_order_drop(&engine->order);
        return MP_OK;
    }
    unit->is_whole = false;
    unit->index = unit->job->next_chunk++;
    if (unit->job->next_chunk == unit->job->chunk_count)
        mpi_order_drop(&engine->order);
    else
        mpi_job_ref(unit->job);
    return MP_OK;
}

static void fail_post(mpi_unit *unit, mp_error err)
{
    mpi_job_failure failure = {.code = err};
    char *sentence = mpi_strdup(mp_error_message());

    failure.sentence = sentence;
    mpi_job_fail_unit(unit, &failure);
    free(sentence);
}

/* True: there may be more to post. */
static bool post_next(mpi_engine *engine, uint32_t *count)
{
    mpi_unit unit;
    mp_error err = next_unit(engine, &unit);

    if (err == MP_OK && unit.job->iteration != NULL && unit.chunk == NULL)
        err = mpi_iteration_begin(&unit);
    if (err == MP_EMPTY)
        return false;
    if (err == MP_OK)
        err = post(engine, &unit);
    if (err == MP_FULL) {
        mpi_order_return(&engine->order, &unit);
        return false;
    }
    if (err != MP_OK)
        fail_post(&unit, err);
    else
        ++*count;
    return true;
}

/* Workers are called for a few units at a time: to call costs, but while a
 * large one is encoded they can be at the last one. */
static void post_all(mpi_engine *engine)
{
    uint32_t posted = 0, called = 0;
    bool has_more = mpi_order_next(&engine->order) != NULL;
    uint32_t most = has_more ? room(engine) : 0;

    while (has_more && posted < most) {
        uint64_t since = engine->posted_bytes;

        has_more = post_next(engine, &posted);
        if (posted - called >= CALL_UNITS ||
            engine->posted_bytes - since > CALL_BYTES) {
            mpi_board_call(engine->board, posted - called);
            called = posted;
        }
    }
    if (posted > called)
        mpi_board_call(engine->board, posted - called);
}

/* -- Another order --------------------------------------------------------- */

/* Takes back what nobody has begun and what comes after what waits now. */
static void retract_worse(mpi_engine *engine)
{
    const mpi_unit *best = mpi_order_next(&engine->order);

    engine->has_better = false;
    for (uint32_t slot = 0; best != NULL && slot < engine->board->slot_count;
         slot++) {
        mpi_unit unit = engine->posted[slot].unit;

        if (unit.job == NULL || unit.key <= best->key ||
            !mpi_board_retract(engine->board, slot))
            continue;
        mpi_engine_unpost(engine, slot);
        unit.tries--;
        mpi_order_return(&engine->order, &unit);
        best = mpi_order_next(&engine->order);
    }
}

/* -- Collecting ------------------------------------------------------------ */

/* "" if it is not there any more. */
static const char *worker_name(const mpi_engine *engine, uint32_t seat)
{
    mp_process *process = engine->workers[seat].process;

    return process == NULL ? "" : mp_process_name(process);
}

static void collect(mpi_engine *engine)
{
    uint32_t slot;

    while (mpi_board_collect(engine->board, &slot)) {
        mpi_unit unit = engine->posted[slot].unit;
        uint32_t seat = mpi_board_state(engine->board, slot).seat;

        engine->tasks_done++;
        forget(engine, slot);
        mpi_job_take_result(&unit, mpi_board_result(engine->board, slot),
                            mpi_board_head(engine->board, slot)->failures > 0,
                            worker_name(engine, seat));
        mpi_board_release(engine->board, slot);
    }
}

void mpi_engine_work(mpi_engine *engine)
{
    collect(engine);
    if (engine->state >= MPI_POOL_TERMINATED)
        return;
    if (engine->has_better)
        retract_worse(engine);
    post_all(engine);
}

/* -- Waiting --------------------------------------------------------------- */

void mpi_engine_notify(mpi_engine *engine)
{
    mpi_board_ring(engine->board);
    mpi_engine_ring_others();
}

static bool is_over(int64_t deadline)
{
    return deadline <= 0 ||
           (deadline != MPOS_FOREVER && mpos_now() >= deadline);
}

/* Without the mutex: until something may have changed. */
static mp_error sleep_once(mpi_engine *engine, bool (*is_done)(void *context),
                           void *context, int64_t deadline)
{
    uint32_t seen;
    bool must_look;

    if (mpi_board_spin(engine->board))
        return MP_OK;
    seen = mpi_board_expect(engine->board);
    mpi_engine_lock(engine);
    must_look = mpi_board_has_done(engine->board) || is_done(context) ||
                (mpi_calls_is_mine(engine) && engine->first_call != NULL);
    mpi_engine_unlock(engine);
    return must_look ? MP_OK : mpi_board_sleep(engine->board, seen, deadline);
}

/* With the mutex. Nobody may be there any more to do what is left. */
static void stop_waiting(mpi_engine *engine)
{
    engine->waiting--;
    if (engine->waiting == 0 && engine->job_count > 0)
        mpi_calls_resume(engine);
}

mp_error mpi_engine_wait(mpi_engine *engine, bool (*is_done)(void *context),
                         void *context, int64_t deadline)
{
    mp_error err = MP_OK;

    mpi_engine_lock(engine);
    engine->waiting++;
    for (;;) {
        mpi_engine_work(engine);
        /* Callbacks that wait call others meanwhile. */
        while (!is_done(context) && mpi_calls_run(engine))
            ;
        if (is_done(context))
            break;
        mpi_engine_unlock(engine);
        err = is_over(deadline)
                  ? MP_TIMED_OUT
                  : sleep_once(engine, is_done, context, deadline);
        mpi_engine_lock(engine);
        if (err != MP_OK)
            break;
    }
    if (err == MP_TIMED_OUT) {
        mpi_engine_work(engine);
        err = is_done(context) ? MP_OK : MP_TIMED_OUT;
    }
    stop_waiting(engine);
    mpi_engine_unlock(engine);
    return err;
}

/* -- The end of all -------------------------------------------------------- */

void mpi_engine_fail_all(mpi_engine *engine, mp_error code, const char *why)
{
    char *sentence = mpi_strdup(why);
    mpi_job_failure failure = {.code = code, .sentence = sentence};
    mpi_job *job = engine->jobs;

    while (job != NULL) {
        mpi_job *next = job->next;

        mpi_job_fail(job, &failure);
        job = next;
    }
    free(sentence);
}
