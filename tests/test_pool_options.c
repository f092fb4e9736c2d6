/* SPDX-License-Identifier: MIT */
/*
 * What a pool and a task can be told: callbacks, initializers, how long workers
 * live, the order of service, time limits, retries, progress; and what a pool
 * says of itself.
 */
#include "support/pool.h"

#include <stdio.h>
#include <time.h>

enum { WORKERS = 3 };

/* -- Callbacks ------------------------------------------------------------- */

/* What callbacks have been told; one thread writes, then get() returns. */
typedef struct record {
    uint32_t values;
    uint32_t errors;
    int64_t number;
    mp_error code;
    char where[100];
    uint64_t thread;
    /* Of a progress callback. */
    uint32_t calls;
    size_t done;
    size_t total;
    bool went_back;
} record;

static void note_value(void *context, mp_obj *value)
{
    record *it = context;

    it->thread = mpos_thread_id();
    if (mp_obj_type(value) == MP_TYPE_INT)
        (void)mp_obj_as_int(value, &it->number);
    mp_fetch_add(&it->values, 1);
}

static void note_failure(void *context, const mp_failure *failure)
{
    record *it = context;

    it->code = failure->code;
    snprintf(it->where, sizeof(it->where), "%s", failure->where);
    mp_fetch_add(&it->errors, 1);
}

static void note_progress(void *context, size_t done, size_t total)
{
    record *it = context;

    it->went_back = it->went_back || done < it->done;
    it->done = done;
    it->total = total;
    mp_fetch_add(&it->calls, 1);
}

static mp_task_options telling(record *it)
{
    return (mp_task_options){
        .callback = note_value, .error_callback = note_failure, .context = it};
}

METHOD_TEST(pool_options, callback_has_the_value_before_the_future_is_ready)
{
    mp_pool *pool = make_pool(method, 2);

    for (int i = 0; i < 100; i++) {
        record it = {.number = -1};
        mp_future *future =
            submit_with(pool, MP_TASK(square), MP_ARGS(i), telling(&it));

        ok(mp_future_wait(future, POOL_PATIENCE));
        cr_assert_eq(it.values, 1U);
        cr_assert_eq(it.errors, 0U);
        cr_assert_eq(it.number, (int64_t)i * i);
        cr_assert_neq(it.thread, mpos_thread_id());
        ok(mp_future_close(future));
    }
    end_pool(pool);
}

/* test_async_error_callback */
METHOD_TEST(pool_options, error_callback_has_the_failure)
{
    mp_pool *pool = make_pool(method, 2);
    record it = {0};
    mp_future *future =
        submit_with(pool, MP_TASK(raise_in_it), MP_ARGS(1), telling(&it));

    (void)gets_error(future, MP_EKEY);
    cr_assert_eq(it.values, 0U);
    cr_assert_eq(it.errors, 1U);
    cr_assert_eq(it.code, MP_EKEY);
    cr_assert_not_null(strstr(it.where, "raise_in_it()"));
    ok(mp_future_close(future));
    it = (record){0};
    future = submit_with(pool, MP_TASK(kill_itself), MP_ARGS(), telling(&it));
    (void)gets_error(future, MP_EWORKERDIED);
    cr_assert_eq(it.errors, 1U);
    cr_assert_eq(it.code, MP_EWORKERDIED);
    ok(mp_future_close(future));
    end_pool(pool);
}

/* test_map_async_callbacks */
Test(pool_options, callback_of_a_map_is_called_once)
{
    mp_pool *pool = make_pool(MP_START_DEFAULT, 2);
    mp_future *future = NULL;
    record it = {0};
    mp_task_options options = telling(&it);

    ok(mp_pool_map_async(pool, square, numbers_to(100), 1, &options, &future));
    ok(mp_future_wait(future, POOL_PATIENCE));
    cr_assert_eq(it.values, 1U);
    cr_assert_eq(it.errors, 0U);
    ok(mp_future_close(future));
    ok(mp_pool_map_async(pool, raise_in_it, numbers_to(100), 3, &options,
                         &future));
    ok(mp_future_wait(future, POOL_PATIENCE));
    cr_assert_eq(it.values, 1U);
    cr_assert_eq(it.errors, 1U);
    ok(mp_future_close(future));
    ok(mp_pool_starmap_async(pool, square, MP_LIST(), 3, &options, &future));
    ok(mp_future_wait(future, POOL_PATIENCE));
    cr_assert_eq(it.values, 2U);
    ok(mp_future_close(future));
    end_pool(pool);
}

METHOD_TEST(pool_options, callbacks_need_no_future)
{
    mp_pool *pool = make_pool(method, 2);
    record it = {0};
    mp_task_options options = telling(&it);

    for (int i = 0; i < 500; i++)
        ok(mp_pool_apply_async(pool, square, MP_ARGS(i), &options, NULL));
    for (int i = 0; i < 10; i++)
        ok(mp_pool_apply_async(pool, raise_in_it, MP_ARGS(i), &options, NULL));
    ok(mp_pool_close(pool));
    ok(mp_pool_join(pool, POOL_PATIENCE));
    cr_assert_eq(it.values, 500U);
    cr_assert_eq(it.errors, 10U);
    ok(mp_pool_destroy(pool));
    close_board();
}

/* A callback that adds tasks, of its own pool. */
typedef struct chain {
    mp_pool *pool;
    uint32_t left;
    mp_error err;
} chain;

static void add_another(void *context, mp_obj *value)
{
    chain *it = context;
    mp_task_options options = {.callback = add_another, .context = it};

    (void)value;
    if (mp_atomic_load(&it->left) == 0)
        return;
    it->err = mp_pool_apply_async(it->pool, square, MP_ARGS(1), &options, NULL);
    mp_fetch_sub(&it->left, 1);
}

METHOD_TEST(pool_options, callbacks_may_add_tasks)
{
    mp_pool *pool = make_pool(method, 2);
    chain it = {.pool = pool, .left = 50};
    mp_task_options options = {.callback = add_another, .context = &it};
    double deadline = mp_monotonic() + POOL_PATIENCE;

    ok(mp_pool_apply_async(pool, square, MP_ARGS(1), &options, NULL));
    while (mp_atomic_load(&it.left) > 0) {
        cr_assert_lt(mp_monotonic(), deadline);
        mp_sleep(0.0005);
    }
    end_pool(pool);
    cr_assert_eq(it.err, MP_OK);
}

/* -- Initializers ---------------------------------------------------------- */

static mp_lock *worker_lock;
static mp_queue *worker_queue;
static int64_t worker_number;

/* (board, lock, queue, a number) */
static int take_things(mp_args *args)
{
    worker_lock = mp_arg_lock(args, 1);
    worker_queue = mp_arg_queue(args, 2);
    worker_number = mp_arg_int(args, 3);
    return enter_pool(args);
}

/* Not atomic: the lock has to be one for all. */
static mp_obj *add_with_lock(mp_args *args)
{
    int64_t n = mp_arg_int(args, 0);

    mp_check(mp_lock_acquire(worker_lock, POOL_PATIENCE));
    shared->counts[0] += 1;
    mp_check(mp_lock_release(worker_lock));
    mp_check(mp_queue_put(worker_queue, MP_BOX(n), POOL_PATIENCE));
    return MP_BOX(worker_number);
}

METHOD_TEST(pool_options, initializer_hands_things_to_every_worker)
{
    mp_pool_options options = {.initializer = take_things};
    mp_queue *queue = NULL;
    mp_lock *lock = NULL;
    mp_pool *pool;
    int64_t sum = 0;

    open_board();
    ok(mp_lock_create(&lock));
    ok(mp_queue_create(&queue, 0, NULL));
    options.initargs = MP_ARGS(shared_array, lock, queue, 77);
    pool = make_pool_with(method, WORKERS, options);
    for (int i = 0; i < 20; i++) {
        mp_obj *list = NULL;

        ok(mp_pool_map(pool, add_with_lock, numbers_to(10), 1, &list));
        is_repr(list, "[77, 77, 77, 77, 77, 77, 77, 77, 77, 77]");
    }
    cr_assert_eq(shared->counts[0], 200U);
    for (int i = 0; i < 200; i++) {
        mp_obj *item = NULL;
        int64_t number = 0;

        ok(mp_queue_get(queue, POOL_PATIENCE, &item));
        ok(mp_obj_as_int(item, &number));
        mp_obj_unref(item);
        sum += number;
    }
    cr_assert_eq(sum, 20 * 45);
    await_begun(WORKERS);
    end_pool(pool);
    ok(mp_queue_close(queue));
    ok(mp_lock_close(lock));
}

/* Those that come later have it, too. */
METHOD_TEST(pool_options, initializer_runs_in_workers_that_replace_others)
{
    mp_pool *pool = make_pool(method, 1);
    mp_future *future = submit(pool, kill_itself, MP_ARGS());
    mp_obj *value = NULL;

    (void)gets_error(future, MP_EWORKERDIED);
    ok(mp_future_close(future));
    ok(mp_pool_apply(pool, count_once, MP_ARGS(5), &value));
    is_repr(value, "5");
    cr_assert_eq(shared->begun, 2U);
    cr_assert_eq(shared->counts[5], 1U);
    end_pool(pool);
}

/* -- How long workers live ------------------------------------------------- */

static mp_obj *say_pid(mp_args *args)
{
    (void)args;
    return MP_BOX(mp_getpid());
}

/* test_pool_worker_lifetime */
METHOD_TEST(pool_options, workers_end_after_so_many_tasks)
{
    mp_pool_options options = {.max_tasks_per_child = 5};
    mp_pool *pool = make_pool_with(method, 2, options);
    int64_t pids[50];

    for (int i = 0; i < 50; i++) {
        mp_obj *value = NULL;

        ok(mp_pool_apply(pool, say_pid, MP_ARGS(i), &value));
        ok(mp_obj_as_int(value, &pids[i]));
        mp_obj_unref(value);
    }
    for (int i = 0; i < 50; i++) {
        int same = 0;

        for (int n = 0; n < 50; n++)
            same += pids[n] == pids[i];
        cr_assert_leq(same, 5, "%d tasks by one worker", same);
    }
    still_works(pool);
    cr_assert_eq(stats_of(pool).workers_died, 0U);
    end_pool(pool);
    has_no_children();
}

/* test_pool_worker_lifetime_early_close */
METHOD_TEST(pool_options, short_lived_workers_finish_all_after_close)
{
    mp_pool_options options = {.max_tasks_per_child = 1};
    mp_pool *pool = make_pool_with(method, 3, options);
    mp_future *futures[12];

    for (int i = 0; i < 12; i++)
        futures[i] = submit(pool, square, MP_ARGS(i));
    ok(mp_pool_close(pool));
    ok(mp_pool_join(pool, POOL_PATIENCE));
    for (int i = 0; i < 12; i++) {
        mp_obj *value = NULL;
        int64_t number = -1;

        ok(mp_future_get(futures[i], 0, &value));
        ok(mp_obj_as_int(value, &number));
        cr_assert_eq(number, (int64_t)i * i);
        mp_obj_unref(value);
        ok(mp_future_close(futures[i]));
    }
    ok(mp_pool_destroy(pool));
    close_board();
}

/* A chunk counts as one task, as in Python. */
METHOD_TEST(pool_options, a_chunk_is_one_task_of_a_short_lived_worker)
{
    mp_pool_options options = {.max_tasks_per_child = 1};
    mp_pool *pool = make_pool_with(method, 2, options);
    mp_obj *list = NULL;

    ok(mp_pool_map(pool, square, numbers_to(60), 10, &list));
    is_squares(list, 60);
    cr_assert_leq(shared->begun, 8U, "%u workers", (unsigned)shared->begun);
    end_pool(pool);
}

/* -- Order of service ------------------------------------------------------ */

/* The only worker waits while the others are added. */
static mp_future *block_worker(mp_pool *pool)
{
    mp_future *future = submit_with(pool, MP_TASK(pass_gate), MP_ARGS("gone"),
                                    (mp_task_options){.priority = INT64_MIN});

    await_came(1);
    return future;
}

static void is_noted(const int64_t *expected, uint32_t count)
{
    await_noted(count);
    for (uint32_t i = 0; i < count; i++)
        cr_assert_eq(shared->notes[i], expected[i], "place %u: %d", (unsigned)i,
                     (int)shared->notes[i]);
}

METHOD_TEST(pool_options, first_come_is_first_served)
{
    mp_pool *pool = make_pool(method, 1);
    mp_future *first = block_worker(pool);
    int64_t expected[100];

    for (int i = 0; i < 100; i++) {
        mp_task_options options = {.priority = -i, .expected = 100 - i};

        expected[i] = i;
        ok(mp_pool_apply_async(pool, note_number, MP_ARGS(i), &options, NULL));
    }
    open_gate();
    gives(first, "'gone'");
    is_noted(expected, 100);
    ok(mp_future_close(first));
    end_pool(pool);
}

METHOD_TEST(pool_options, the_lowest_priority_number_is_served_first)
{
    static const int64_t priorities[] = {5, -3, 0, 5, 7, -3, 1, INT64_MAX};
    static const int64_t expected[] = {1, 5, 2, 6, 0, 3, 4, 7};
    mp_pool_options options = {.order = MP_POOL_PRIORITY};
    mp_pool *pool = make_pool_with(method, 1, options);
    mp_future *first = block_worker(pool);

    for (int i = 0; i < 8; i++) {
        mp_task_options task = {.priority = priorities[i]};

        ok(mp_pool_apply_async(pool, note_number, MP_ARGS(i), &task, NULL));
    }
    open_gate();
    gives(first, "'gone'");
    is_noted(expected, 8);
    ok(mp_future_close(first));
    end_pool(pool);
}

METHOD_TEST(pool_options, the_shortest_is_served_first)
{
    static const double seconds[] = {3, 0.5, 2, 0.5, 10, 0};
    static const int64_t expected[] = {5, 1, 3, 2, 0, 4};
    mp_pool_options options = {.order = MP_POOL_SHORTEST};
    mp_pool *pool = make_pool_with(method, 1, options);
    mp_future *first = block_worker(pool);

    for (int i = 0; i < 6; i++) {
        mp_task_options task = {.expected = seconds[i]};

        ok(mp_pool_apply_async(pool, note_number, MP_ARGS(i), &task, NULL));
    }
    open_gate();
    gives(first, "'gone'");
    is_noted(expected, 6);
    ok(mp_future_close(first));
    end_pool(pool);
}

/* However many wait; the chunks of a map have its priority. */
Test(pool_options, a_task_that_matters_overtakes_a_long_map)
{
    mp_pool_options options = {.order = MP_POOL_PRIORITY};
    mp_pool *pool = make_pool_with(MP_START_DEFAULT, 1, options);
    mp_future *first = block_worker(pool), *map = NULL;

    ok(mp_pool_map_async(pool, note_number, numbers_to(5000), 1,
                         &(mp_task_options){.priority = 3}, &map));
    ok(mp_pool_apply_async(pool, note_number, MP_ARGS(-1),
                           &(mp_task_options){.priority = 2}, NULL));
    open_gate();
    await_noted(1);
    cr_assert_eq(shared->notes[0], -1);
    gives(first, "'gone'");
    ok(mp_future_wait(map, POOL_PATIENCE));
    ok(mp_future_close(map));
    ok(mp_future_close(first));
    end_pool(pool);
}

/* -- Time limits ----------------------------------------------------------- */

METHOD_TEST(pool_options, a_task_over_its_time_is_ended_and_no_other)
{
    mp_pool *pool = make_pool(method, 2);
    double begin, time;
    int64_t before[2];
    mp_future *slow, *other;
    mp_failure failure;

    await_workers(pool);
    for (size_t i = 0; i < 2; i++)
        before[i] = worker_pid(pool, i);
    other = submit(pool, pass_gate, MP_ARGS("done"));
    begin = mp_monotonic();
    slow = submit_with(pool, MP_TASK(pass_gate), MP_ARGS(1),
                       (mp_task_options){.time_limit = 0.1});
    failure = gets_error(slow, MP_ETIMELIMIT);
    time = mp_monotonic() - begin;
    cr_assert_geq(time, 0.1, "%f s", time);
    cr_assert_lt(time, 0.1 + pool_second(), "%f s", time);
    cr_assert_not_null(strstr(failure.worker, "PoolWorker-"), "%s",
                       failure.worker);
    cr_assert_not(mp_future_ready(other));
    await_workers(pool);
    cr_assert_eq((worker_pid(pool, 0) == before[0]) +
                     (worker_pid(pool, 1) == before[1]),
                 1);
    open_gate();
    gives(other, "'done'");
    still_works(pool);
    ok(mp_future_close(slow));
    ok(mp_future_close(other));
    end_pool(pool);
}

/* The time begins when a worker begins. */
METHOD_TEST(pool_options, waiting_is_not_part_of_the_time)
{
    mp_pool_options options = {.time_limit = 0.5};
    mp_pool *pool = make_pool_with(method, 1, options);
    mp_future *first = submit_with(pool, MP_TASK(pass_gate), MP_ARGS(1),
                                   (mp_task_options){.time_limit = MP_FOREVER});
    mp_future *second = submit(pool, square, MP_ARGS(3));

    await_came(1);
    cr_assert_eq(mp_future_wait(second, 0.7), MP_TIMED_OUT);
    open_gate();
    gives(first, "1");
    gives(second, "9");
    ok(mp_future_close(first));
    ok(mp_future_close(second));
    cr_assert_eq(stats_of(pool).workers_died, 0U);
    end_pool(pool);
}

METHOD_TEST(pool_options, the_limit_of_the_pool_holds_for_all_its_tasks)
{
    mp_pool_options options = {.time_limit = 0.05};
    mp_pool *pool = make_pool_with(method, 2, options);
    mp_iterator *iterator = NULL;
    mp_obj *out = NULL;

    await_workers(pool);
    fails(mp_pool_apply(pool, pass_gate, MP_ARGS(1), &out), MP_ETIMELIMIT);
    fails(mp_pool_map(pool, pass_gate, numbers_to(2), 1, &out), MP_ETIMELIMIT);
    ok(mp_pool_imap(pool, pass_gate, numbers_to(1), 1, NULL, &iterator));
    fails(mp_iterator_next(iterator, POOL_PATIENCE, &out), MP_ETIMELIMIT);
    ok(mp_iterator_close(iterator));
    drop_pool(pool);
}

/* -- Retries --------------------------------------------------------------- */

/* It kills its worker as often as its argument says. */
static mp_obj *die_at_first(mp_args *args)
{
    uint32_t before = mp_fetch_add(&shared->counts[0], 1);

    if (before < (uint32_t)mp_arg_int(args, 0))
        kill_pid(mp_getpid());
    return MP_BOX(before);
}

METHOD_TEST(pool_options, a_task_is_tried_again_as_often_as_was_said)
{
    mp_pool *pool = make_pool(method, 2);
    mp_future *future = submit_with(pool, MP_TASK(die_at_first), MP_ARGS(2),
                                    (mp_task_options){.retries = 2});

    gives(future, "2");
    ok(mp_future_close(future));
    cr_assert_eq(stats_of(pool).workers_died, 2U);
    shared->counts[0] = 0;
    future = submit_with(pool, MP_TASK(die_at_first), MP_ARGS(1000),
                         (mp_task_options){.retries = 2});
    cr_assert_eq(gets_error(future, MP_EWORKERDIED).tries, 3U);
    cr_assert_eq(shared->counts[0], 3U);
    ok(mp_future_close(future));
    still_works(pool);
    end_pool(pool);
}

METHOD_TEST(pool_options, the_retries_of_the_pool_hold_unless_told)
{
    mp_pool_options options = {.retries = 1};
    mp_pool *pool = make_pool_with(method, 1, options);
    mp_future *future = submit(pool, die_at_first, MP_ARGS(1));
    mp_obj *list = NULL;

    gives(future, "1");
    ok(mp_future_close(future));
    shared->counts[0] = 0;
    future = submit_with(pool, MP_TASK(die_at_first), MP_ARGS(1),
                         (mp_task_options){.retries = MP_NO_RETRY});
    cr_assert_eq(gets_error(future, MP_EWORKERDIED).tries, 1U);
    cr_assert_eq(shared->counts[0], 1U);
    ok(mp_future_close(future));
    shared->counts[0] = 0;
    /* The one that died is worked on after the others, or before. */
    ok(mp_pool_map(pool, die_at_first, MP_LIST(1, 1, 1), 1, &list));
    mp_obj_unref(list);
    cr_assert_eq(shared->counts[0], 4U);
    end_pool(pool);
}

/* What a task raises is its result. */
Test(pool_options, what_is_raised_is_not_tried_again)
{
    mp_pool_options options = {.retries = 3};
    mp_pool *pool = make_pool_with(MP_START_DEFAULT, 1, options);
    mp_future *future = submit(pool, raise_in_it, MP_ARGS(1));

    cr_assert_eq(gets_error(future, MP_EKEY).tries, 1U);
    ok(mp_future_close(future));
    end_pool(pool);
}

/* -- Progress -------------------------------------------------------------- */

METHOD_TEST(pool_options, progress_ends_with_all_of_all)
{
    static const size_t chunksizes[] = {1, 7, 0};
    mp_pool *pool = make_pool(method, 2);

    for (size_t i = 0; i < 3; i++) {
        record it = {0};
        mp_task_options options = {.progress = note_progress, .context = &it};
        mp_future *future = NULL;

        ok(mp_pool_map_async(pool, square, numbers_to(1000), chunksizes[i],
                             &options, &future));
        ok(mp_future_wait(future, POOL_PATIENCE));
        cr_assert_geq(it.calls, 1U);
        cr_assert_eq(it.done, 1000U, "%zu", it.done);
        cr_assert_eq(it.total, 1000U, "%zu", it.total);
        cr_assert_not(it.went_back);
        ok(mp_future_close(future));
    }
    end_pool(pool);
}

/* Failed items are done, too. */
Test(pool_options, progress_counts_what_failed)
{
    mp_pool *pool = make_pool(MP_START_DEFAULT, 2);
    record it = {0};
    mp_task_options options = {.progress = note_progress, .context = &it};
    mp_future *future = NULL;

    ok(mp_pool_map_async(pool, raise_in_it, numbers_to(50), 3, &options,
                         &future));
    (void)gets_error(future, MP_EKEY);
    cr_assert_eq(it.done, 50U);
    ok(mp_future_close(future));
    end_pool(pool);
}

Test(pool_options, progress_is_told_on_the_way)
{
    mp_pool *pool = make_pool(MP_START_DEFAULT, 2);
    record it = {0};
    mp_task_options options = {.progress = note_progress, .context = &it};
    mp_future *future = NULL;
    double deadline = mp_monotonic() + POOL_PATIENCE;

    ok(mp_pool_map_async(pool, delay_the_first, numbers_to(10), 1, &options,
                         &future));
    while (mp_atomic_load(&it.calls) == 0) {
        cr_assert_lt(mp_monotonic(), deadline);
        mp_sleep(0.001);
    }
    cr_assert_not(mp_future_ready(future));
    open_gate();
    ok(mp_future_wait(future, POOL_PATIENCE));
    cr_assert_eq(it.done, 10U);
    ok(mp_future_close(future));
    end_pool(pool);
}

/* stderr is no terminal here. */
Test(pool_options, the_bar_is_a_progress_callback)
{
    mp_pool *pool = make_pool(MP_START_DEFAULT, 2);
    mp_task_options options = {.progress = mp_progress_bar};
    mp_future *future = NULL;

    ok(mp_pool_map_async(pool, square, numbers_to(10), 1, &options, &future));
    ok(mp_future_wait(future, POOL_PATIENCE));
    ok(mp_future_close(future));
    end_pool(pool);
}

/* -- What it says of itself ------------------------------------------------ */

METHOD_TEST(pool_options, stats_say_who_does_what)
{
    mp_pool *pool = make_pool(method, 2);
    mp_worker_stats workers[3] = {{0}};
    mp_pool_stats stats;
    mp_future *futures[5];
    double before = mp_monotonic();
    int busy = 0;

    await_workers(pool);
    ok(mp_pool_get_stats(pool, &stats, workers, 3));
    cr_assert_eq(stats.workers, 2U);
    cr_assert_eq(stats.tasks_done, 0U);
    cr_assert_eq(stats.tasks_running + stats.tasks_waiting, 0U);
    for (int i = 0; i < 2; i++) {
        cr_assert(runs(workers[i].pid));
        cr_assert_eq(workers[i].state, MP_WORKER_IDLE);
        cr_assert_eq(workers[i].restarts, 0U);
        cr_assert_float_eq(workers[i].busy_since, 0, 0);
    }
    for (int i = 0; i < 5; i++)
        futures[i] = submit(pool, pass_gate, MP_ARGS(i));
    await_came(2);
    ok(mp_pool_get_stats(pool, &stats, workers, 3));
    cr_assert_eq(stats.tasks_running, 2U);
    cr_assert_eq(stats.tasks_waiting, 3U);
    for (int i = 0; i < 2; i++) {
        busy += workers[i].state == MP_WORKER_BUSY;
        cr_assert_geq(workers[i].busy_since, before);
        cr_assert_leq(workers[i].busy_since, mp_monotonic());
    }
    cr_assert_eq(busy, 2);
    open_gate();
    for (int i = 0; i < 5; i++) {
        ok(mp_future_wait(futures[i], POOL_PATIENCE));
        ok(mp_future_close(futures[i]));
    }
    ok(mp_pool_get_stats(pool, &stats, workers, 1));
    cr_assert_eq(stats.tasks_done, 5U);
    end_pool(pool);
}

METHOD_TEST(pool_options, stats_count_the_dead)
{
    mp_pool *pool = make_pool(method, 1);
    mp_worker_stats worker = {0};
    mp_pool_stats stats;
    mp_future *future;

    for (int i = 0; i < 2; i++) {
        future = submit(pool, kill_itself, MP_ARGS());
        (void)gets_error(future, MP_EWORKERDIED);
        ok(mp_future_close(future));
    }
    await_workers(pool);
    ok(mp_pool_get_stats(pool, &stats, &worker, 1));
    cr_assert_eq(stats.workers_died, 2U);
    cr_assert_eq(worker.restarts, 2U);
    still_works(pool);
    end_pool(pool);
}

/* Processor time of the worker. */
static mp_obj *say_clock(mp_args *args)
{
    (void)args;
    return MP_BOX((double)clock() / CLOCKS_PER_SEC);
}

static double worker_clock(mp_pool *pool)
{
    mp_obj *value = NULL;
    double seconds = -1;

    ok(mp_pool_apply(pool, say_clock, MP_ARGS(), &value));
    ok(mp_obj_as_float(value, &seconds));
    mp_obj_unref(value);
    return seconds;
}

/* No processor time, here or there. */
METHOD_TEST(pool_options, an_idle_pool_sleeps)
{
    mp_pool *pool = make_pool(method, 1);
    double ours, theirs;

    if (!mpos_system.has_fork)
        cr_skip_test("clock() is not processor time there");
    still_works(pool);
    theirs = worker_clock(pool);
    ours = (double)clock() / CLOCKS_PER_SEC;
    mp_sleep(0.5);
    ours = (double)clock() / CLOCKS_PER_SEC - ours;
    theirs = worker_clock(pool) - theirs;
    cr_assert_lt(ours, 0.02, "%f s here", ours);
    cr_assert_lt(theirs, 0.02, "%f s in the worker", theirs);
    end_pool(pool);
}
