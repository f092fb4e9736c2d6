/* SPDX-License-Identifier: MIT */
/*
 * Futures, in the words of AsyncResult and of concurrent.futures: CPython's
 * test_concurrent_futures for its Future, wait() and as_completed().
 */
#include "support/pool.h"

#include <stdio.h>

enum { THREADS = 6, MANY = 100 };

/* -- Helpers --------------------------------------------------------------- */

static mp_obj *wait_and_raise(mp_args *args)
{
    mp_obj_unref(pass_gate(args));
    return mp_raise(MP_EIO, "after the gate");
}

static void close_all(mp_future **futures, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ok(mp_future_close(futures[i]));
}

/* What done-callbacks have seen. */
typedef struct calls {
    uint32_t count;
    int order[20];
    bool was_ready;
    uint64_t thread;
    mp_error err; /* of what the callback tried */
    int64_t number;
} calls;

typedef struct caller {
    calls *calls;
    int number;
} caller;

static void note_call(void *context, mp_future *future)
{
    caller *it = context;
    uint32_t place = mp_atomic_load(&it->calls->count);

    it->calls->was_ready = mp_future_ready(future);
    it->calls->thread = mpos_thread_id();
    if (place < 20)
        it->calls->order[place] = it->number;
    mp_fetch_add(&it->calls->count, 1);
}

static void await_calls(const calls *it, uint32_t count)
{
    await_number(&it->count, count, __LINE__);
}

/* -- One future ------------------------------------------------------------ */

METHOD_TEST(future, gives_its_value_as_often_as_asked)
{
    mp_pool *pool = make_pool(method, 1);
    mp_future *future = submit(pool, square, MP_ARGS(7));
    bool is_successful = false;
    mp_failure failure;
    mp_obj *value = NULL;

    for (int i = 0; i < 3; i++)
        gives(future, "49");
    ok(mp_future_result(future, 0, &value));
    is_repr(value, "49");
    cr_assert(mp_future_ready(future));
    cr_assert(mp_future_done(future));
    cr_assert_not(mp_future_running(future));
    cr_assert_not(mp_future_cancelled(future));
    ok(mp_future_successful(future, &is_successful));
    cr_assert(is_successful);
    ok(mp_future_failure(future, &failure));
    cr_assert_eq(failure.code, MP_OK);
    ok(mp_future_close(future));
    end_pool(pool);
}

METHOD_TEST(future, is_pending_until_its_task_has_ended)
{
    mp_pool *pool = make_pool(method, 1);
    mp_future *first = submit(pool, pass_gate, MP_ARGS("first"));
    mp_future *second = submit(pool, pass_gate, MP_ARGS("second"));
    bool is_successful = true;
    mp_failure failure;
    mp_obj *value = NULL;

    await_came(1);
    cr_assert(mp_future_running(first));
    cr_assert_not(mp_future_running(second));
    cr_assert_not(mp_future_ready(first));
    cr_assert_eq(mp_future_wait(first, 0), MP_TIMED_OUT);
    cr_assert_eq(mp_future_wait(first, POOL_MOMENT), MP_TIMED_OUT);
    cr_assert_eq(mp_future_get(first, 0, &value), MP_TIMED_OUT);
    cr_assert_eq(mp_future_get(second, POOL_MOMENT, &value), MP_TIMED_OUT);
    cr_assert_null(value);
    cr_assert_eq(mp_future_successful(first, &is_successful), MP_PENDING);
    cr_assert_eq(mp_future_failure(first, &failure), MP_PENDING);
    open_gate();
    gives(first, "'first'");
    gives(second, "'second'");
    ok(mp_future_close(first));
    ok(mp_future_close(second));
    end_pool(pool);
}

/* test_async_timeout */
Test(future, waits_as_long_as_it_is_told_to)
{
    mp_pool *pool = make_pool(MP_START_DEFAULT, 1);
    mp_future *future = submit(pool, pass_gate, MP_ARGS(1));
    double begin = mp_monotonic(), time;
    mp_obj *value = NULL;

    cr_assert_eq(mp_future_get(future, 0.2, &value), MP_TIMED_OUT);
    time = mp_monotonic() - begin;
    cr_assert_geq(time, 0.19, "%f s", time);
    cr_assert_lt(time, 0.2 + pool_second(), "%f s", time);
    open_gate();
    gives(future, "1");
    ok(mp_future_close(future));
    end_pool(pool);
}

METHOD_TEST(future, gives_its_failure_as_often_as_asked)
{
    mp_pool *pool = make_pool(method, 1);
    mp_future *future = submit(pool, raise_in_it, MP_ARGS(9));
    bool is_successful = true;

    for (int i = 0; i < 3; i++)
        cr_assert_str_eq(gets_error(future, MP_EKEY).sentence, "there is no 9");
    ok(mp_future_wait(future, 0));
    cr_assert(mp_future_ready(future));
    ok(mp_future_successful(future, &is_successful));
    cr_assert_not(is_successful);
    ok(mp_future_close(future));
    end_pool(pool);
}

Test(future, that_is_closed_early_leaves_its_task_alone)
{
    mp_pool *pool = make_pool(MP_START_DEFAULT, 1);

    for (int i = 0; i < 10; i++)
        ok(mp_future_close(submit(pool, count_once, MP_ARGS(i))));
    still_works(pool);
    for (int i = 0; i < 10; i++)
        cr_assert_eq(shared->counts[i], 1U);
    end_pool(pool);
}

METHOD_TEST(future, outlives_its_pool)
{
    mp_pool *pool = make_pool(method, 1);
    mp_future *done = submit(pool, square, MP_ARGS(3)), *never;

    ok(mp_future_wait(done, POOL_PATIENCE));
    never = submit(pool, pass_gate, MP_ARGS(1));
    ok(mp_pool_destroy(pool));
    gives(done, "9");
    (void)gets_error(never, MP_ECANCELLED);
    ok(mp_future_close(done));
    ok(mp_future_close(never));
    close_board();
}

Test(future, refuses_wrong_arguments)
{
    mp_pool *pool = make_pool(MP_START_DEFAULT, 1);
    mp_future *future = submit(pool, square, MP_ARGS(3));
    mp_failure failure;
    bool is_successful;
    mp_obj *value = NULL;
    size_t index;

    ok(mp_future_wait(future, POOL_PATIENCE));
    fails(mp_future_get(NULL, 0, &value), MP_EINVAL);
    fails(mp_future_wait(NULL, 0), MP_EINVAL);
    fails(mp_future_successful(NULL, &is_successful), MP_EINVAL);
    fails(mp_future_successful(future, NULL), MP_EINVAL);
    fails(mp_future_failure(NULL, &failure), MP_EINVAL);
    fails(mp_future_failure(future, NULL), MP_EINVAL);
    fails(mp_future_cancel(NULL), MP_EINVAL);
    fails(mp_future_add_done_callback(NULL, note_call, NULL), MP_EINVAL);
    fails(mp_future_add_done_callback(future, NULL, NULL), MP_EINVAL);
    fails(mp_futures_wait(NULL, 1, MP_ALL_COMPLETED, 0), MP_EINVAL);
    fails(mp_futures_wait(&future, 1, (mp_return_when)77, 0), MP_EINVAL);
    fails(mp_as_completed(NULL, 1, 0, &index), MP_EINVAL);
    fails(mp_as_completed(&future, 1, 0, NULL), MP_EINVAL);
    cr_assert_not(mp_future_ready(NULL));
    cr_assert_not(mp_future_running(NULL));
    cr_assert_not(mp_future_cancelled(NULL));
    ok(mp_future_close(NULL));
    gives(future, "9");
    ok(mp_future_close(future));
    end_pool(pool);
}

/* -- cancel ---------------------------------------------------------------- */

METHOD_TEST(future, that_nobody_has_begun_can_be_cancelled)
{
    mp_pool *pool = make_pool(method, 1);
    mp_future *first = submit(pool, pass_gate, MP_ARGS(1));
    mp_future *second = submit(pool, count_once, MP_ARGS(2));
    mp_future *third = submit(pool, count_once, MP_ARGS(3));
    bool is_successful = true;

    await_came(1);
    ok(mp_future_cancel(second));
    cr_assert(mp_future_cancelled(second));
    cr_assert(mp_future_ready(second));
    cr_assert_not(mp_future_running(second));
    (void)gets_error(second, MP_ECANCELLED);
    ok(mp_future_successful(second, &is_successful));
    cr_assert_not(is_successful);
    ok(mp_future_cancel(second)); /* as Python: True again */
    open_gate();
    gives(third, "3");
    cr_assert_eq(shared->counts[2], 0U);
    gives(first, "1");
    ok(mp_future_close(first));
    ok(mp_future_close(second));
    ok(mp_future_close(third));
    end_pool(pool);
}

METHOD_TEST(future, that_runs_or_is_done_cannot_be_cancelled)
{
    mp_pool *pool = make_pool(method, 1);
    mp_future *future = submit(pool, pass_gate, MP_ARGS(1));

    await_came(1);
    fails(mp_future_cancel(future), MP_ESTATE);
    cr_assert_not(mp_future_cancelled(future));
    cr_assert(mp_future_running(future));
    open_gate();
    gives(future, "1");
    fails(mp_future_cancel(future), MP_ESTATE);
    cr_assert_not(mp_future_cancelled(future));
    ok(mp_future_close(future));
    end_pool(pool);
}

/* Far more than workers could know of: some are still on the parent's side. */
Test(future, all_that_nobody_has_begun_can_be_cancelled)
{
    enum { COUNT = 6000 };
    mp_pool *pool = make_pool(MP_START_DEFAULT, 1);
    mp_future *first = submit(pool, pass_gate, MP_ARGS(1));
    mp_future **futures = calloc(COUNT, sizeof(mp_future *));

    cr_assert_not_null(futures);
    await_came(1);
    for (int i = 0; i < COUNT; i++)
        futures[i] = submit(pool, count_once, MP_ARGS(i));
    for (int i = 0; i < COUNT; i += 2)
        ok(mp_future_cancel(futures[i]));
    open_gate();
    for (int i = 0; i < COUNT; i++) {
        ok(mp_future_wait(futures[i], POOL_PATIENCE));
        cr_assert_eq(mp_future_cancelled(futures[i]), i % 2 == 0, "%d", i);
        cr_assert_eq(shared->counts[i], i % 2 == 0 ? 0U : 1U, "%d", i);
    }
    close_all(futures, COUNT);
    free(futures);
    gives(first, "1");
    ok(mp_future_close(first));
    end_pool(pool);
}

/* Whatever happens first: it is either done once, or cancelled and never. */
METHOD_TEST(future, cancel_and_work_exclude_each_other)
{
    int count = (int)support_scaled(3000), cancelled = 0;
    mp_pool *pool = make_pool(method, 2);

    for (int i = 0; i < count; i++) {
        mp_future *future = submit(pool, count_once, MP_ARGS(i));
        mp_error err;

        for (volatile int n = 0; n < i % 2000; n++)
            continue;
        err = mp_future_cancel(future);
        cr_assert(err == MP_OK || err == MP_ESTATE, "%s", mp_error_name(err));
        ok(mp_future_wait(future, POOL_PATIENCE));
        cr_assert_eq(mp_future_cancelled(future), err == MP_OK);
        cr_assert_eq(shared->counts[i], err == MP_OK ? 0U : 1U, "task %d", i);
        cancelled += err == MP_OK;
        ok(mp_future_close(future));
    }
    still_works(pool);
    end_pool(pool);
    cr_log_info("%d of %d were cancelled", cancelled, count);
}

/* -- Done-callbacks -------------------------------------------------------- */

METHOD_TEST(future, calls_back_in_the_order_of_adding)
{
    mp_pool *pool = make_pool(method, 1);
    mp_future *future = submit(pool, pass_gate, MP_ARGS(1));
    calls seen = {0};
    caller callers[10];

    for (int i = 0; i < 10; i++) {
        callers[i] = (caller){&seen, i};
        ok(mp_future_add_done_callback(future, note_call, &callers[i]));
    }
    cr_assert_eq(mp_atomic_load(&seen.count), 0U);
    open_gate();
    await_calls(&seen, 10);
    cr_assert(seen.was_ready);
    cr_assert_neq(seen.thread, mpos_thread_id());
    for (int i = 0; i < 10; i++)
        cr_assert_eq(seen.order[i], i);
    ok(mp_future_close(future));
    end_pool(pool);
    cr_assert_eq(seen.count, 10U);
}

Test(future, that_is_ready_calls_back_at_once)
{
    mp_pool *pool = make_pool(MP_START_DEFAULT, 1);
    mp_future *future = submit(pool, square, MP_ARGS(1));
    calls seen = {0};
    caller it = {&seen, 0};

    ok(mp_future_wait(future, POOL_PATIENCE));
    ok(mp_future_add_done_callback(future, note_call, &it));
    cr_assert_eq(seen.count, 1U);
    cr_assert_eq(seen.thread, mpos_thread_id());
    ok(mp_future_close(future));
    end_pool(pool);
}

Test(future, lives_until_its_callbacks_have_returned)
{
    mp_pool *pool = make_pool(MP_START_DEFAULT, 1);
    mp_future *future = submit(pool, pass_gate, MP_ARGS(1));
    calls seen = {0};
    caller it = {&seen, 0};

    ok(mp_future_add_done_callback(future, note_call, &it));
    ok(mp_future_close(future));
    open_gate();
    await_calls(&seen, 1);
    cr_assert(seen.was_ready);
    end_pool(pool);
}

/* Its value is there, and another callback can be added. */
static void use_future(void *context, mp_future *future)
{
    caller *it = context;
    mp_obj *value = NULL;

    it->calls->err = mp_future_get(future, 0, &value);
    if (it->calls->err == MP_OK)
        it->calls->err = mp_obj_as_int(value, &it->calls->number);
    mp_obj_unref(value);
    if (it->calls->err == MP_OK)
        it->calls->err = mp_future_add_done_callback(future, note_call, it);
}

METHOD_TEST(future, can_be_used_in_its_callback)
{
    mp_pool *pool = make_pool(method, 1);
    mp_future *future = submit(pool, pass_gate, MP_ARGS(77));
    calls seen = {0};
    caller it = {&seen, 0};

    ok(mp_future_add_done_callback(future, use_future, &it));
    open_gate();
    await_calls(&seen, 1);
    cr_assert_eq(seen.err, MP_OK, "%s", mp_error_name(seen.err));
    cr_assert_eq(seen.number, 77);
    ok(mp_future_close(future));
    end_pool(pool);
}

METHOD_TEST(future, calls_back_when_it_fails_or_is_cancelled)
{
    mp_pool *pool = make_pool(method, 1);
    mp_future *futures[4];
    calls seen = {0};
    caller it = {&seen, 0};

    futures[0] = submit(pool, pass_gate, MP_ARGS(1));
    futures[1] = submit(pool, kill_itself, MP_ARGS());
    futures[2] = submit(pool, raise_in_it, MP_ARGS(1));
    futures[3] = submit(pool, square, MP_ARGS(1));
    await_came(1);
    for (int i = 1; i < 4; i++)
        ok(mp_future_add_done_callback(futures[i], note_call, &it));
    ok(mp_future_cancel(futures[3]));
    await_calls(&seen, 1);
    open_gate();
    await_calls(&seen, 3);
    close_all(futures, 4);
    end_pool(pool);
}

/* -- Waiting for many ------------------------------------------------------ */

METHOD_TEST(future, wait_for_all)
{
    mp_pool *pool = make_pool(method, 2);
    mp_future *futures[MANY];

    for (int i = 0; i < MANY; i++)
        futures[i] = i == 50   ? submit(pool, pass_gate, MP_ARGS(i))
                     : i == 20 ? submit(pool, raise_in_it, MP_ARGS(i))
                               : submit(pool, square, MP_ARGS(i));
    await_came(1);
    cr_assert_eq(mp_futures_wait(futures, MANY, MP_ALL_COMPLETED, POOL_MOMENT),
                 MP_TIMED_OUT);
    open_gate();
    ok(mp_futures_wait(futures, MANY, MP_ALL_COMPLETED, POOL_PATIENCE));
    for (int i = 0; i < MANY; i++)
        cr_assert(mp_future_ready(futures[i]), "%d", i);
    ok(mp_futures_wait(futures, MANY, MP_ALL_COMPLETED, 0));
    close_all(futures, MANY);
    end_pool(pool);
}

Test(future, wait_for_the_first)
{
    mp_pool *pool = make_pool(MP_START_DEFAULT, 2);
    mp_future *futures[3];

    futures[0] = submit(pool, pass_gate, MP_ARGS(0));
    await_came(1);
    futures[1] = submit(pool, pass_gate, MP_ARGS(1));
    await_came(2);
    cr_assert_eq(mp_futures_wait(futures, 2, MP_FIRST_COMPLETED, POOL_MOMENT),
                 MP_TIMED_OUT);
    open_gate();
    ok(mp_futures_wait(futures, 2, MP_FIRST_COMPLETED, POOL_PATIENCE));
    cr_assert(mp_future_ready(futures[0]) || mp_future_ready(futures[1]));
    futures[2] = NULL;
    ok(mp_futures_wait(futures, 3, MP_ALL_COMPLETED, POOL_PATIENCE));
    close_all(futures, 2);
    end_pool(pool);
}

METHOD_TEST(future, wait_for_the_first_failure_or_all)
{
    mp_pool *pool = make_pool(method, 2);
    mp_future *futures[3];

    futures[0] = submit(pool, pass_gate, MP_ARGS(0));
    futures[1] = submit(pool, square, MP_ARGS(1));
    cr_assert_eq(mp_futures_wait(futures, 2, MP_FIRST_EXCEPTION, POOL_MOMENT),
                 MP_TIMED_OUT);
    futures[2] = submit(pool, raise_in_it, MP_ARGS(2));
    ok(mp_futures_wait(futures, 3, MP_FIRST_EXCEPTION, POOL_PATIENCE));
    cr_assert(mp_future_ready(futures[2]));
    cr_assert_not(mp_future_ready(futures[0]));
    open_gate();
    ok(mp_futures_wait(futures, 2, MP_FIRST_EXCEPTION, POOL_PATIENCE));
    cr_assert(mp_future_ready(futures[0]) && mp_future_ready(futures[1]));
    close_all(futures, 3);
    end_pool(pool);
}

Test(future, wait_for_none_returns_at_once)
{
    mp_future *none[3] = {NULL, NULL, NULL};
    size_t index = 77;

    ok(mp_futures_wait(none, 3, MP_ALL_COMPLETED, MP_FOREVER));
    ok(mp_futures_wait(none, 3, MP_FIRST_COMPLETED, MP_FOREVER));
    ok(mp_futures_wait(NULL, 0, MP_ALL_COMPLETED, MP_FOREVER));
    cr_assert_eq(mp_as_completed(none, 3, MP_FOREVER, &index), MP_EMPTY);
    cr_assert_eq(mp_as_completed(NULL, 0, MP_FOREVER, &index), MP_EMPTY);
    cr_assert_eq(index, 77U);
}

/* One pool waits, the other one works. */
METHOD_TEST(future, wait_for_those_of_several_pools)
{
    mp_pool *first = make_pool(method, 1), *second = make_pool(method, 1);
    mp_future *futures[2];
    size_t index = 77;

    futures[0] = submit(first, pass_gate, MP_ARGS(0));
    await_came(1);
    futures[1] = submit(second, square, MP_ARGS(5));
    ok(mp_as_completed(futures, 2, POOL_PATIENCE, &index));
    cr_assert_eq(index, 1U);
    gives(futures[1], "25");
    ok(mp_future_close(futures[1]));
    futures[1] = submit(second, pass_gate, MP_ARGS(1));
    await_came(2);
    open_gate();
    ok(mp_futures_wait(futures, 2, MP_ALL_COMPLETED, POOL_PATIENCE));
    close_all(futures, 2);
    ok(mp_pool_destroy(first));
    end_pool(second);
}

METHOD_TEST(future, as_completed_gives_each_once_in_the_order_of_their_end)
{
    mp_pool *pool = make_pool(method, 2);
    mp_future *futures[5], *copies[5];
    size_t index = 77;

    /* 4, 3, 2 and 1 one after the other; 0 last. */
    futures[0] = submit(pool, delay_the_first, MP_ARGS(0));
    for (int i = 4; i > 0; i--)
        futures[i] = submit(pool, delay_the_first, MP_ARGS(i));
    memcpy(copies, futures, sizeof(copies));
    ok(mp_futures_wait(&futures[1], 4, MP_ALL_COMPLETED, POOL_PATIENCE));
    for (size_t i = 4; i > 0; i--) {
        ok(mp_as_completed(copies, 5, 0, &index));
        cr_assert_eq(index, i, "%zu instead of %zu", index, i);
        copies[index] = NULL;
    }
    cr_assert_eq(mp_as_completed(copies, 5, POOL_MOMENT, &index), MP_TIMED_OUT);
    open_gate();
    ok(mp_as_completed(copies, 5, POOL_PATIENCE, &index));
    cr_assert_eq(index, 0U);
    copies[0] = NULL;
    cr_assert_eq(mp_as_completed(copies, 5, 0, &index), MP_EMPTY);
    close_all(futures, 5);
    end_pool(pool);
}

Test(future, as_completed_gives_all_of_many)
{
    mp_pool *pool = make_pool(MP_START_DEFAULT, 2);
    mp_future *futures[MANY], *copies[MANY];
    size_t index, count = 0;

    for (int i = 0; i < MANY; i++)
        futures[i] = submit(pool, square, MP_ARGS(i));
    memcpy(copies, futures, sizeof(copies));
    while (mp_as_completed(copies, MANY, POOL_PATIENCE, &index) == MP_OK) {
        mp_obj *value = NULL;
        int64_t number = -1;

        ok(mp_future_get(futures[index], 0, &value));
        ok(mp_obj_as_int(value, &number));
        cr_assert_eq((size_t)number, index * index);
        mp_obj_unref(value);
        copies[index] = NULL;
        count++;
    }
    cr_assert_eq(count, (size_t)MANY);
    close_all(futures, MANY);
    end_pool(pool);
}

/* -- Threads --------------------------------------------------------------- */

typedef struct crowd {
    mp_pool *pool;
    mp_future **futures;
    size_t count;
    uint32_t next;
    uint32_t waiting;
    uint32_t right;
} crowd;

static bool is_int(mp_future *future, int64_t expected)
{
    mp_obj *value = NULL;
    int64_t number = -1;
    bool is_it;

    is_it = mp_future_get(future, POOL_PATIENCE, &value) == MP_OK &&
            mp_obj_as_int(value, &number) == MP_OK && number == expected;
    mp_obj_unref(value);
    return is_it;
}

static void run_threads(void (*run)(void *), crowd *it)
{
    mpos_thread threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        ok(mpos_thread_start(run, it, &threads[i]));
    for (int i = 0; i < THREADS; i++)
        mpos_thread_join(threads[i]);
    cr_assert_eq(it->right, (uint32_t)THREADS, "%u", (unsigned)it->right);
}

static void get_the_one(void *context)
{
    crowd *it = context;

    if (mp_fetch_add(&it->waiting, 1) == THREADS - 1)
        open_gate();
    if (is_int(it->futures[0], 5))
        mp_fetch_add(&it->right, 1);
}

METHOD_TEST(future, several_threads_may_wait_for_one)
{
    mp_pool *pool = make_pool(method, 1);
    mp_future *future = submit(pool, pass_gate, MP_ARGS(5));
    crowd it = {.pool = pool, .futures = &future, .count = 1};

    run_threads(get_the_one, &it);
    ok(mp_future_close(future));
    end_pool(pool);
}

/* Each waits for its own and for all, in another order. */
static void wait_for_many(void *context)
{
    crowd *it = context;
    size_t me = mp_fetch_add(&it->next, 1);
    bool is_right = true;

    for (size_t i = 0; i < it->count; i++) {
        size_t which = (i * 7 + me * 13) % it->count;

        is_right =
            is_right && is_int(it->futures[which], (int64_t)(which * which));
    }
    is_right = is_right && mp_futures_wait(it->futures, it->count,
                                           MP_ALL_COMPLETED, 0) == MP_OK;
    if (is_right)
        mp_fetch_add(&it->right, 1);
}

METHOD_TEST(future, several_threads_may_wait_for_many)
{
    mp_pool *pool = make_pool(method, 2);
    mp_future *futures[MANY];
    crowd it = {.pool = pool, .futures = futures, .count = MANY};

    for (int i = 0; i < MANY; i++)
        futures[i] = submit(pool, square, MP_ARGS(i));
    run_threads(wait_for_many, &it);
    close_all(futures, MANY);
    end_pool(pool);
}

/* Everything at once: apply, map, imap and futures of one pool. */
static void use_pool(void *context)
{
    crowd *it = context;
    mp_iterator *iterator = NULL;
    mp_obj *value = NULL;
    bool is_right = true;

    for (int64_t i = 0; i < (int64_t)it->count && is_right; i++) {
        mp_future *future = NULL;
        size_t length = 0;

        is_right =
            mp_pool_submit(it->pool, square, MP_ARGS(i), &future) == MP_OK &&
            mp_pool_apply(it->pool, square, MP_ARGS(i), &value) == MP_OK &&
            is_int(future, i * i);
        mp_obj_unref(value);
        value = NULL;
        is_right = is_right &&
                   mp_pool_map(it->pool, square, MP_LIST(i, i, i), 1, &value) ==
                       MP_OK &&
                   mp_obj_len(value, &length) == MP_OK && length == 3;
        mp_obj_unref(value);
        value = NULL;
        is_right = is_right &&
                   mp_pool_imap(it->pool, square, MP_LIST(i), 1, NULL,
                                &iterator) == MP_OK &&
                   mp_iterator_next(iterator, POOL_PATIENCE, &value) == MP_OK;
        mp_obj_unref(value);
        value = NULL;
        mp_iterator_close(iterator);
        mp_future_close(future);
    }
    if (is_right)
        mp_fetch_add(&it->right, 1);
}

METHOD_TEST(future, several_threads_may_use_one_pool)
{
    mp_pool *pool = make_pool(method, 2);
    crowd it = {.pool = pool, .count = support_scaled(300)};

    run_threads(use_pool, &it);
    end_pool(pool);
}

METHOD_TEST(future, waiters_are_woken_when_the_pool_is_terminated)
{
    mp_pool *pool = make_pool(method, 1);
    mp_future *futures[3];

    for (int i = 0; i < 3; i++)
        futures[i] = submit(pool, wait_and_raise, MP_ARGS(i));
    await_came(1);
    ok(mp_pool_terminate(pool));
    for (int i = 0; i < 3; i++)
        (void)gets_error(futures[i], MP_ECANCELLED);
    ok(mp_pool_destroy(pool));
    close_all(futures, 3);
    close_board();
}
