/* SPDX-License-Identifier: MIT */
/*
 * Storms on pools: random workers are killed while tasks are mapped, one by one
 * and in chunks, applied, and iterated over. Every task is accounted for once:
 * it has a result, or its worker died; without retries none was ever called
 * twice, with them none is lost. In the end nothing is missing.
 */
#include "torture.h"

#include "support/pool.h"

enum {
    WORKERS = 4,
    TASKS = 2000, /* at a time */
    ONE_BY_ONE = TASKS * 5 / 10,
    IN_CHUNKS = TASKS * 3 / 10,
    ITERATED = TASKS / 10,
    APPLIED = TASKS / 10,
    CHUNK = 25,
};

/* -- Tasks ----------------------------------------------------------------- */

static mp_obj *count_and_square(mp_args *args)
{
    int64_t n = mp_arg_int(args, 0);

    mp_fetch_add(&shared->counts[n], 1);
    return MP_BOX(n * n);
}

/* -- The killer ------------------------------------------------------------ */

typedef struct tempest {
    mp_pool *pool;
    unsigned retries;
    uint32_t kills; /* some of them of who was dead already */
    uint32_t must_stop;
    mpos_thread killer;
    size_t lost;
    uint64_t chance;
} tempest;

/* Only those that are through with their initializer: a death on the way there
 * is the initializer's failure, for all that the pool can know. */
static bool kill_one(mp_pool *pool, uint64_t *state)
{
    mp_worker_stats workers[WORKERS];
    size_t place = torture_draw(state, WORKERS);
    mp_pool_stats stats;

    if (mp_pool_get_stats(pool, &stats, workers, WORKERS) != MP_OK)
        return false;
    if (workers[place].state != MP_WORKER_IDLE &&
        workers[place].state != MP_WORKER_BUSY)
        return false;
    kill_pid(workers[place].pid);
    return true;
}

static void kill_them(void *context)
{
    tempest *it = context;

    while (mp_atomic_load(&it->must_stop) == 0) {
        mp_sleep(torture_draw(&it->chance, 4000) * 1e-6);
        if (kill_one(it->pool, &it->chance))
            mp_fetch_add(&it->kills, 1);
    }
}

/* -- What it is asked ------------------------------------------------------ */

static mp_obj *numbers_from(int64_t first, int64_t count)
{
    mp_obj *list = MP_LIST();

    for (int64_t i = first; i < first + count; i++)
        ok(mp_obj_append(list, MP_BOX(i)));
    return list;
}

static void is_square_of(mp_obj *value, int64_t n)
{
    int64_t number = -1;

    ok(mp_obj_as_int(value, &number));
    cr_assert_eq(number, n * n, "%d of %d", (int)number, (int)n);
    mp_obj_unref(value);
}

/* With a result it was called once, or, if it was tried again, at least so. */
static void was_called(const tempest *it, int64_t n, bool has_result)
{
    uint32_t count = mp_atomic_load(&shared->counts[n]);

    if (has_result)
        cr_assert_geq(count, 1U, "task %d was never called", (int)n);
    cr_assert_leq(count, it->retries + 1, "task %d was called %u times", (int)n,
                  (unsigned)count);
}

static void has_died(tempest *it, mp_error err, const mp_failure *failure)
{
    cr_assert_eq(err, MP_EWORKERDIED, "%s: %s", mp_error_name(err),
                 failure->sentence);
    cr_assert_eq(failure->code, err);
    cr_assert_eq(failure->exitcode, -9, "%d", failure->exitcode);
    cr_assert_eq(it->retries, 0U, "a task was lost");
}

static void expect_map(tempest *it, mp_future *future, int64_t first,
                       int64_t count)
{
    mp_obj *list = NULL;
    mp_error err = mp_future_get(future, POOL_PATIENCE, &list);
    mp_failure failure;

    ok(mp_future_failure(future, &failure));
    if (err != MP_OK)
        has_died(it, err, &failure);
    for (int64_t i = 0; i < count; i++) {
        const mp_obj *item;

        was_called(it, first + i, err == MP_OK);
        it->lost += mp_atomic_load(&shared->counts[first + i]) == 0;
        if (err != MP_OK)
            continue;
        ok(mp_obj_item(list, i, &item));
        is_square_of(mp_obj_ref(item), first + i);
    }
    mp_obj_unref(list);
    ok(mp_future_close(future));
}

static void expect_one(tempest *it, mp_future *future, int64_t n)
{
    mp_obj *value = NULL;
    mp_error err = mp_future_get(future, POOL_PATIENCE, &value);
    mp_failure failure;

    ok(mp_future_failure(future, &failure));
    was_called(it, n, err == MP_OK);
    if (err == MP_OK)
        is_square_of(value, n);
    else
        has_died(it, err, &failure);
    it->lost += err != MP_OK;
    ok(mp_future_close(future));
}

/* Each once, in any order; returns which one that was. */
static int64_t expect_next(tempest *it, mp_iterator *iterator, int64_t first)
{
    mp_obj *value = NULL;
    mp_error err = mp_iterator_next(iterator, POOL_PATIENCE, &value);
    mp_failure failure;
    int64_t number = 0, root = first;

    if (err != MP_OK) {
        ok(mp_iterator_failure(iterator, &failure));
        has_died(it, err, &failure);
        it->lost++;
        return first + (int64_t)failure.index;
    }
    ok(mp_obj_as_int(value, &number));
    while (root * root < number)
        root++;
    is_square_of(value, root);
    was_called(it, root, true);
    return root;
}

static void expect_iteration(tempest *it, mp_iterator *iterator, int64_t first)
{
    bool has_come[ITERATED] = {false};
    mp_obj *value = NULL;

    for (int i = 0; i < ITERATED; i++) {
        int64_t which = expect_next(it, iterator, first) - first;

        cr_assert(which >= 0 && which < ITERATED, "%d", (int)which);
        cr_assert_not(has_come[which], "%d came twice", (int)which);
        has_come[which] = true;
    }
    cr_assert_eq(mp_iterator_next(iterator, POOL_PATIENCE, &value), MP_EEOF);
    ok(mp_iterator_close(iterator));
}

static void use_pool(tempest *it)
{
    enum { CHUNKED = ONE_BY_ONE, LOOPED = CHUNKED + IN_CHUNKS };
    enum { SINGLE = LOOPED + ITERATED };
    static mp_future *singles[APPLIED];
    mp_future *one_by_one = NULL, *chunked = NULL;
    mp_iterator *iterator = NULL;

    memset(shared->counts, 0, sizeof(shared->counts));
    ok(mp_pool_map_async(it->pool, count_and_square, numbers_to(ONE_BY_ONE), 1,
                         NULL, &one_by_one));
    ok(mp_pool_map_async(it->pool, count_and_square,
                         numbers_from(CHUNKED, IN_CHUNKS), CHUNK, NULL,
                         &chunked));
    for (int i = 0; i < APPLIED; i++)
        singles[i] = submit(it->pool, count_and_square, MP_ARGS(SINGLE + i));
    ok(mp_pool_imap_unordered(it->pool, count_and_square,
                              numbers_from(LOOPED, ITERATED), 3, NULL,
                              &iterator));
    expect_iteration(it, iterator, LOOPED);
    expect_map(it, one_by_one, 0, ONE_BY_ONE);
    expect_map(it, chunked, CHUNKED, IN_CHUNKS);
    for (int i = 0; i < APPLIED; i++)
        expect_one(it, singles[i], SINGLE + i);
    torture_checked(TASKS);
}

/* -- The storm ------------------------------------------------------------- */

/* Nobody is killed any more. */
static void expect_recovery(tempest *it)
{
    int64_t began = mpos_now();

    torture_waits_for("workers, as many as there should be");
    await_workers(it->pool);
    still_works(it->pool);
    torture_recovered(mpos_now() - began);
}

static void look_at_counts(const tempest *it)
{
    mp_pool_stats stats = stats_of(it->pool);

    for (uint64_t i = 0; i < stats.workers_died; i++)
        torture_killed("worker");
    /* At most one task, and its chunk, for each death. */
    cr_assert_leq(it->lost, (size_t)stats.workers_died * CHUNK);
    cr_assert_leq(stats.workers_died, (uint64_t)it->kills);
    cr_assert_eq(stats.tasks_running, 0U);
    cr_assert_eq(stats.tasks_waiting, 0U);
}

static void run_storm(const storm_round *round, unsigned retries)
{
    mp_pool_options options = {.retries = retries};
    tempest it = {.retries = retries, .chance = (uint64_t)torture_seed()};

    it.pool = make_pool_with(round->method, WORKERS, options);
    ok(mpos_thread_start(kill_them, &it, &it.killer));
    do {
        torture_waits_for("%d tasks, while workers are killed", TASKS);
        use_pool(&it);
    } while (stats_of(it.pool).workers_died < (uint64_t)round->kills);
    mp_atomic_store(&it.must_stop, 1);
    mpos_thread_join(it.killer);
    expect_recovery(&it);
    look_at_counts(&it);
    end_pool(it.pool);
}

static void without_retries(const storm_round *round)
{
    run_storm(round, 0);
}

/* More than there are kills: none can be lost. */
static void with_retries(const storm_round *round)
{
    run_storm(round, 1000000);
}

const storm torture_pools[] = {
    {"pool/once",
     "workers of a Pool, while it maps, applies and iterates: each task has a "
     "result, or its worker died; none is called twice",
     12, NULL, without_retries},
    {"pool/retries", "workers of a Pool that tries again: no task is lost", 12,
     NULL, with_retries},
    {.name = NULL},
};
