/* SPDX-License-Identifier: MIT */
/*
 * Kill storms on pools: random workers are killed while tasks are mapped, one
 * by one and in chunks, applied, and iterated over. Every task is accounted for
 * exactly once: it has a result, or its worker died; without retries none was
 * ever called twice, with them none is lost. In the end nothing is missing.
 *
 * How many deaths and tasks there are is for a run of seconds. By hand, more:
 *
 *     POOL_KILLS=10000 POOL_TASKS=10000000 test_pool_storm \
 *         --filter=pool_storm/without_retries --timeout=3600
 */
#include "support/leftover.h"
#include "support/pool.h"

#include <stdio.h>

enum {
    WORKERS = 4,
    KILLS = 30,
    FEWEST = 8,
    TASKS = 40000,
    ROUND = 4000, /* tasks */
    ONE_BY_ONE = ROUND * 5 / 10,
    IN_CHUNKS = ROUND * 3 / 10,
    ITERATED = ROUND / 10,
    APPLIED = ROUND / 10,
    CHUNK = 25,
    LONG = 3600, /* seconds: the time limit of a test, for runs by hand */
    CROWD = 200,
    CROWD_WINDOWS = 100,
};

static size_t number_from(const char *variable, size_t usual)
{
    const char *text = getenv(variable);
    size_t count = text == NULL ? 0 : (size_t)strtoul(text, NULL, 10);

    if (count > 0)
        return count;
    count = support_scaled(usual);
    return count > FEWEST ? count : FEWEST;
}

/* -- Tasks ----------------------------------------------------------------- */

static mp_obj *count_and_square(mp_args *args)
{
    int64_t n = mp_arg_int(args, 0);

    mp_fetch_add(&shared->counts[n], 1);
    return MP_BOX(n * n);
}

/* -- The killer ------------------------------------------------------------ */

typedef struct storm {
    mp_pool *pool;
    unsigned retries;
    uint32_t kills; /* some of them of who was dead already */
    uint32_t must_stop;
    mpos_thread killer;
    size_t tasks;
    size_t lost;
    double slowest; /* round */
} storm;

static uint32_t chance(uint64_t *state, uint32_t below)
{
    *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407U;
    return (uint32_t)(*state >> 33) % below;
}

/* Only those that are through with their initializer: a death on the way there
 * is the initializer's failure, for all that the pool can know. */
static bool kill_one(mp_pool *pool, uint64_t *state)
{
    mp_worker_stats workers[WORKERS];
    size_t place = chance(state, WORKERS);
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
    storm *it = context;
    uint64_t state = 1;

    if (mpos_random(&state, sizeof(state)) != MP_OK)
        return;
    while (mp_atomic_load(&it->must_stop) == 0) {
        mp_sleep(chance(&state, 4000) * 1e-6);
        if (kill_one(it->pool, &state))
            mp_fetch_add(&it->kills, 1);
    }
}

/* -- A round --------------------------------------------------------------- */

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
static void was_called(const storm *it, int64_t n, bool has_result)
{
    uint32_t count = mp_atomic_load(&shared->counts[n]);

    if (has_result)
        cr_assert_geq(count, 1U, "task %d was never called", (int)n);
    cr_assert_leq(count, it->retries + 1, "task %d was called %u times", (int)n,
                  (unsigned)count);
}

static void has_died(storm *it, mp_error err, const mp_failure *failure)
{
    cr_assert_eq(err, MP_EWORKERDIED, "%s: %s", mp_error_name(err),
                 failure->sentence);
    cr_assert_eq(failure->code, err);
    cr_assert_eq(failure->exitcode, -9, "%d", failure->exitcode);
    cr_assert_eq(it->retries, 0U, "a task was lost");
}

static void expect_map(storm *it, mp_future *future, int64_t first,
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

static void expect_one(storm *it, mp_future *future, int64_t n)
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
static int64_t expect_next(storm *it, mp_iterator *iterator, int64_t first)
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

static void expect_iteration(storm *it, mp_iterator *iterator, int64_t first)
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

static void run_round(storm *it)
{
    enum { CHUNKED = ONE_BY_ONE, LOOPED = CHUNKED + IN_CHUNKS };
    enum { SINGLE = LOOPED + ITERATED };
    static mp_future *singles[APPLIED];
    mp_future *one_by_one = NULL, *chunked = NULL;
    double begin = mp_monotonic(), time;
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
    it->tasks += ROUND;
    time = mp_monotonic() - begin;
    it->slowest = time > it->slowest ? time : it->slowest;
}

/* -- The storm ------------------------------------------------------------- */

static void run_storm(mp_start_method method, unsigned retries, size_t kills,
                      size_t tasks)
{
    mp_pool_options options = {.retries = retries};
    storm it = {.retries = retries};
    uint64_t deaths;

    it.pool = make_pool_with(method, WORKERS, options);
    ok(mpos_thread_start(kill_them, &it, &it.killer));
    while (it.tasks < tasks || stats_of(it.pool).workers_died < kills)
        run_round(&it);
    mp_atomic_store(&it.must_stop, 1);
    mpos_thread_join(it.killer);
    await_workers(it.pool);
    still_works(it.pool);
    deaths = stats_of(it.pool).workers_died;
    cr_log_info("%u deaths, %zu tasks, %zu of them were not called or lost, "
                "no round took longer than %.0f ms",
                (unsigned)deaths, it.tasks, it.lost, it.slowest * 1e3);
    /* At most one task, and its chunk, for each death. */
    cr_assert_leq(it.lost, (size_t)deaths * CHUNK);
    cr_assert_leq(deaths, (uint64_t)it.kills);
    cr_assert_eq(stats_of(it.pool).tasks_running, 0U);
    cr_assert_eq(stats_of(it.pool).tasks_waiting, 0U);
    end_pool(it.pool);
}

static int end_at_once(mp_args *args)
{
    (void)args;
    return 0;
}

/* The block that a child was started with is kept for the next one, unless the
 * child was killed before it could be: after one that ends, it is there. */
static size_t count_handles(mp_start_method method)
{
    mp_process *process = support_start(method, end_at_once, MP_ARGS());

    cr_assert_eq(support_finish(process), 0);
    return support_open_handles();
}

static void run_twice(mp_start_method method, unsigned retries)
{
    size_t kills = number_from("POOL_KILLS", KILLS);
    size_t tasks = number_from("POOL_TASKS", TASKS);
    size_t handles, memory;

    run_storm(method, retries, kills / 10 + 1, tasks / 10);
    handles = count_handles(method);
    memory = support_memory_in_use();
    run_storm(method, retries, kills, tasks);
    cr_assert_eq(count_handles(method), handles);
    if (!support_is_watched())
        cr_assert_lt(support_memory_in_use(), memory + (16 << 20));
    has_no_children();
    cr_assert_eq(support_memory_names(), 0U);
}

Test(pool_storm_spawn, without_retries, .timeout = LONG)
{
    run_twice(support_method(MP_START_SPAWN), 0);
}

Test(pool_storm_fork, without_retries, .timeout = LONG)
{
    run_twice(support_method(MP_START_FORK), 0);
}

Test(pool_storm_forkserver, without_retries, .timeout = LONG)
{
    run_twice(support_method(MP_START_FORKSERVER), 0);
}

/* More than there are kills: none can be lost. */
Test(pool_storm, with_retries, .timeout = LONG)
{
    run_twice(MP_START_DEFAULT, 1000000);
}

/* -- Many workers ---------------------------------------------------------- */

/* Each of them waits until all have come. */
static void use_crowd(mp_start_method method)
{
    size_t count = mpos_system.has_fork ? support_scaled(CROWD) : CROWD_WINDOWS;
    double deadline = mp_monotonic() + 3 * POOL_PATIENCE;
    mp_future *future = NULL;
    mp_pool *pool;

    cr_assert(support_allow_handles(4 * count + 100));
    pool = make_pool(method, count);
    cr_assert_eq(stats_of(pool).workers, count);
    ok(mp_pool_map_async(pool, pass_gate, numbers_to((int64_t)count), 1, NULL,
                         &future));
    while (mp_atomic_load(&shared->came) < count) {
        cr_assert_lt(mp_monotonic(), deadline, "%u of %zu",
                     (unsigned)shared->came, count);
        mp_sleep(0.001);
    }
    open_gate();
    ok(mp_future_wait(future, POOL_PATIENCE));
    ok(mp_future_close(future));
    still_works(pool);
    end_pool(pool);
    has_no_children();
}

Test(pool_storm_spawn, many_workers_take_part, .timeout = 120)
{
    use_crowd(support_method(MP_START_SPAWN));
}

Test(pool_storm_fork, many_workers_take_part, .timeout = 120)
{
    use_crowd(support_method(MP_START_FORK));
}

Test(pool_storm_forkserver, many_workers_take_part, .timeout = 120)
{
    use_crowd(support_method(MP_START_FORKSERVER));
}
