/* SPDX-License-Identifier: MIT */
/*
 * Workers that crash, exit, are killed: while they decode their arguments, in
 * the task, while they encode the result; with small data and large; when there
 * is nothing else to do, and when thousands of tasks wait. Each costs its own
 * task, within a second, and nothing else: loky's and test_deadlock's matrix.
 */
#include "support/pool.h"

#include <stdio.h>

enum {
    WORKERS = 2,
    WAITING = 2000,
    SMALL = 10,
    MEDIUM = 8 << 20,
    LARGE = 100 << 20,
    ABORT_CODE_POSIX = -6,
    ABORT_CODE_WINDOWS = 3,
};

static size_t large_size(void)
{
    return support_is_watched() || !mpos_system.has_fork ? MEDIUM : LARGE;
}

/* -- Ways to end ----------------------------------------------------------- */

typedef enum manner {
    ABORTS,
    EXITS,
    RAISES,
    IS_KILLED,
    MANNERS,
} manner;

static mp_error expected_error(manner how)
{
    return how == RAISES ? MP_EIO : MP_EWORKERDIED;
}

static int expected_code(manner how)
{
    switch (how) {
    case ABORTS:
        return mpos_system.has_fork ? ABORT_CODE_POSIX : ABORT_CODE_WINDOWS;
    case EXITS:
        return 3;
    case IS_KILLED:
        return -9;
    default:
        return 0;
    }
}

/* (manner, bytes) */
static mp_obj *crash(mp_args *args)
{
    size_t size = 0;

    (void)mp_arg_bytes(args, 1, &size);
    mp_atomic_store(&shared->counts[0], (uint32_t)size);
    shared->last_act = mp_monotonic();
    switch ((manner)mp_arg_int(args, 0)) {
    case ABORTS:
        abort();
    case EXITS:
        mp_exit(3);
    case RAISES:
        return mp_raise(MP_EIO, "as it was told to");
    default:
        kill_pid(mp_getpid());
        mp_sleep(POOL_PATIENCE);
        return MP_NONE;
    }
}

/* -- Data ------------------------------------------------------------------ */

/* calloc() touches nothing, so that it costs only who uses it. */
static mp_obj *make_bytes(size_t size)
{
    char *data = calloc(1, size);
    mp_obj *bytes;

    if (data == NULL)
        return mp_obj_from_error(MP_ENOMEM);
    bytes = MP_BYTES(data, size);
    free(data);
    return bytes;
}

static mp_obj *say_size(mp_args *args)
{
    size_t size = 0;

    (void)mp_arg_bytes(args, 0, &size);
    return MP_BOX(size);
}

/* Says that it is about to return so many bytes. */
static mp_obj *return_bytes(mp_args *args)
{
    mp_obj *bytes = make_bytes((size_t)mp_arg_int(args, 0));

    mp_atomic_store(&shared->pid, mp_getpid());
    mp_fetch_add(&shared->came, 1);
    return bytes;
}

/* -- Others that wait ------------------------------------------------------ */

/* Numbers from first on, WAITING of them: each is to be counted once. */
static mp_future *add_crowd(mp_pool *pool, int64_t first)
{
    mp_obj *items = MP_LIST();
    mp_future *future = NULL;

    for (int64_t i = first; i < first + WAITING; i++)
        ok(mp_obj_append(items, MP_BOX(i)));
    ok(mp_pool_map_async(pool, count_once, items, 1, NULL, &future));
    return future;
}

static void expect_crowd(mp_future *future, int64_t first)
{
    mp_obj *list = NULL;

    ok(mp_future_get(future, POOL_PATIENCE, &list));
    for (int64_t i = 0; i < WAITING; i++) {
        const mp_obj *item;
        int64_t value = -1;

        ok(mp_obj_item(list, i, &item));
        ok(mp_obj_as_int(item, &value));
        cr_assert_eq(value, first + i);
        cr_assert_eq(shared->counts[first + i], 1U, "task %d", (int)i);
        shared->counts[first + i] = 0;
    }
    mp_obj_unref(list);
    ok(mp_future_close(future));
}

/* -- In the task ----------------------------------------------------------- */

static void expect_crash(mp_future *future, manner how)
{
    mp_failure failure = gets_error(future, expected_error(how));

    cr_assert_eq(failure.exitcode, expected_code(how), "manner %d: %d",
                 (int)how, failure.exitcode);
    cr_assert_not_null(strstr(failure.worker, "PoolWorker-"), "%s",
                       failure.worker);
    cr_assert_eq(failure.tries, 1U);
    ok(mp_future_close(future));
}

static void crash_alone(mp_pool *pool, manner how, mp_obj *bytes)
{
    double time;

    /* From its end on: until it has so many bytes takes as long as it takes. */
    expect_crash(submit(pool, crash, MP_ARGS((int)how, bytes)), how);
    time = mp_monotonic() - shared->last_act;
    cr_assert_lt(time, pool_second(), "manner %d: %f s", (int)how, time);
    await_workers(pool);
    still_works(pool);
}

static void crash_in_a_crowd(mp_pool *pool, manner how, mp_obj *bytes)
{
    mp_future *before = add_crowd(pool, 1);
    mp_future *future = submit(pool, crash, MP_ARGS((int)how, bytes));
    mp_future *after = add_crowd(pool, 1 + WAITING);

    expect_crash(future, how);
    expect_crowd(before, 1);
    expect_crowd(after, 1 + WAITING);
    await_workers(pool);
    still_works(pool);
}

static void crash_in_tasks(mp_start_method method, size_t size)
{
    mp_pool *pool = make_pool(method, WORKERS);
    mp_obj *bytes = make_bytes(size);

    for (int how = 0; how < MANNERS; how++) {
        crash_alone(pool, (manner)how, mp_obj_ref(bytes));
        cr_assert_eq(shared->counts[0], (uint32_t)size);
        crash_in_a_crowd(pool, (manner)how, mp_obj_ref(bytes));
    }
    cr_assert_eq(stats_of(pool).workers_died, 2U * (MANNERS - 1));
    cr_assert_eq(stats_of(pool).workers, (size_t)WORKERS);
    mp_obj_unref(bytes);
    end_pool(pool);
    has_no_children();
}

METHOD_TEST(pool_crash, in_a_task_with_small_data)
{
    crash_in_tasks(method, SMALL);
}

METHOD_TEST(pool_crash, in_a_task_with_large_data)
{
    crash_in_tasks(method, MEDIUM);
}

Test(pool_crash, in_a_task_with_very_large_data, .timeout = 60)
{
    crash_in_tasks(MP_START_DEFAULT, large_size());
}

/* -- While arguments are decoded ------------------------------------------- */

/* Kills whoever is busy with it; false: it was too late. */
static bool kill_busy_worker(mp_pool *pool, mp_future *future)
{
    double deadline = mp_monotonic() + POOL_PATIENCE;
    mp_worker_stats workers[WORKERS];
    mp_pool_stats stats;

    while (!mp_future_ready(future)) {
        cr_assert_lt(mp_monotonic(), deadline);
        ok(mp_pool_get_stats(pool, &stats, workers, WORKERS));
        for (int i = 0; i < WORKERS; i++) {
            if (workers[i].state != MP_WORKER_BUSY)
                continue;
            kill_pid(workers[i].pid);
            return true;
        }
    }
    return false;
}

/* It is done, or its worker died; in no more than a second. */
static bool expect_death(mp_future *future, double begin, size_t size)
{
    mp_obj *value = NULL;
    mp_error err = mp_future_get(future, POOL_PATIENCE, &value);
    double time = mp_monotonic() - begin;
    mp_failure failure;

    cr_assert_lt(time, pool_second(), "%f s", time);
    ok(mp_future_failure(future, &failure));
    cr_assert_eq(err, failure.code);
    if (err == MP_OK) {
        int64_t number = 0;
        size_t length = 0;

        if (mp_obj_as_int(value, &number) != MP_OK)
            ok(mp_obj_len(value, &length));
        cr_assert_eq((size_t)number + length, size);
    } else {
        cr_assert_eq(err, MP_EWORKERDIED, "%s", mp_error_name(err));
        cr_assert_eq(failure.exitcode, -9, "%d", failure.exitcode);
    }
    mp_obj_unref(value);
    ok(mp_future_close(future));
    return err != MP_OK;
}

static void kill_decoders(mp_start_method method, size_t size, int times)
{
    mp_pool *pool = make_pool(method, WORKERS);
    mp_obj *bytes = make_bytes(size);
    int deaths = 0;

    for (int i = 0; i < times; i++) {
        mp_future *future, *crowd = NULL;
        double begin;

        await_workers(pool);
        future = submit(pool, say_size, MP_ARGS(mp_obj_ref(bytes)));
        if (i % 2 == 1)
            crowd = add_crowd(pool, 1);
        if (crowd == NULL)
            (void)kill_busy_worker(pool, future);
        else /* whoever it is now */
            kill_pid(worker_pid(pool, (size_t)(i / 2 % WORKERS)));
        begin = mp_monotonic();
        deaths += expect_death(future, begin, size);
        if (crowd != NULL) {
            ok(mp_future_wait(crowd, POOL_PATIENCE));
            ok(mp_future_close(crowd));
            for (int n = 1; n <= WAITING; n++)
                cr_assert_leq(shared->counts[n], (uint32_t)(i / 2 + 1));
        }
        await_workers(pool);
        still_works(pool);
    }
    cr_log_info("%d of %d were killed while they decoded", deaths, times);
    mp_obj_unref(bytes);
    end_pool(pool);
    has_no_children();
}

METHOD_TEST(pool_crash, while_arguments_are_decoded)
{
    kill_decoders(method, MEDIUM, 8);
}

Test(pool_crash, while_very_large_arguments_are_decoded, .timeout = 60)
{
    kill_decoders(MP_START_DEFAULT, large_size(), 4);
}

/* -- While the result is encoded ------------------------------------------- */

/* Without a pause, which would be as long as what is to be interrupted. */
static void spin_until_it_came(int round)
{
    double deadline = mp_monotonic() + POOL_PATIENCE;

    while (mp_atomic_load(&shared->came) == 0)
        cr_assert_lt(mp_monotonic(), deadline, "round %d", round);
}

static void kill_encoders(mp_start_method method, size_t size, int times)
{
    mp_pool *pool = make_pool(method, WORKERS);
    int deaths = 0;

    for (int i = 0; i < times; i++) {
        mp_future *future, *crowd = NULL;
        double begin;

        await_workers(pool);
        close_gate();
        future = submit(pool, return_bytes, MP_ARGS(size));
        if (i % 2 == 1)
            crowd = add_crowd(pool, 1);
        spin_until_it_came(i);
        for (volatile int n = 0; n < i * 20000; n++)
            continue;
        kill_pid(shared->pid);
        begin = mp_monotonic();
        deaths += expect_death(future, begin, size);
        if (crowd != NULL) {
            ok(mp_future_wait(crowd, POOL_PATIENCE));
            ok(mp_future_close(crowd));
        }
        await_workers(pool);
        still_works(pool);
    }
    cr_log_info("%d of %d were killed while they encoded", deaths, times);
    end_pool(pool);
    has_no_children();
}

METHOD_TEST(pool_crash, while_the_result_is_encoded)
{
    kill_encoders(method, MEDIUM, 8);
}

Test(pool_crash, while_a_very_large_result_is_encoded, .timeout = 60)
{
    kill_encoders(MP_START_DEFAULT, large_size(), 4);
}

/* The room that the dead had is free again: it would last for a few only. */
Test(pool_crash, room_of_the_dead_is_given_back)
{
    mp_pool_options options = {.max_bytes = 4 * MEDIUM};
    mp_pool *pool = make_pool_with(MP_START_DEFAULT, WORKERS, options);
    mp_obj *bytes = make_bytes(MEDIUM), *list = NULL;

    for (int i = 0; i < 8; i++) {
        mp_future *future;

        expect_crash(
            submit(pool, crash, MP_ARGS((int)IS_KILLED, mp_obj_ref(bytes))),
            IS_KILLED);
        close_gate();
        future = submit(pool, return_bytes, MP_ARGS((int)MEDIUM));
        await_came(1);
        kill_pid(shared->pid);
        (void)expect_death(future, mp_monotonic(), MEDIUM);
    }
    ok(mp_pool_map(pool, identity,
                   MP_LIST(mp_obj_ref(bytes), mp_obj_ref(bytes),
                           mp_obj_ref(bytes), mp_obj_ref(bytes), bytes),
                   1, &list));
    mp_obj_unref(list);
    end_pool(pool);
}

/* -- Workers without a task ------------------------------------------------ */

static void await_replaced(mp_pool *pool, size_t place, int64_t pid)
{
    double deadline = mp_monotonic() + pool_second();

    while (worker_pid(pool, place) == pid) {
        cr_assert_lt(mp_monotonic(), deadline);
        mp_sleep(0.0005);
    }
}

METHOD_TEST(pool_crash, an_idle_worker_that_is_killed_is_replaced)
{
    mp_pool *pool = make_pool(method, WORKERS);

    await_workers(pool);
    for (int i = 0; i < 4; i++) {
        size_t place = (size_t)i % WORKERS;
        int64_t pid = worker_pid(pool, place);

        kill_pid(pid);
        await_replaced(pool, place, pid);
        await_workers(pool);
    }
    cr_assert_eq(shared->begun, WORKERS + 4U);
    cr_assert_eq(stats_of(pool).workers_died, 4U);
    still_works(pool);
    end_pool(pool);
}

/* There is no initializer that could be to blame. */
METHOD_TEST(pool_crash, a_worker_that_is_killed_on_its_way_is_replaced)
{
    mp_pool_options options = {.start_method = method};
    mp_pool *pool = NULL;

    for (int i = 0; i < 5; i++) {
        ok(mp_pool_create(&pool, WORKERS, &options));
        if (i > 0)
            mp_sleep(0.0005 * i);
        kill_pid(worker_pid(pool, 0));
        still_works(pool);
        end_pool(pool);
    }
}

METHOD_TEST(pool_crash, all_workers_may_be_killed_at_once)
{
    enum { ALL = 4 };
    mp_pool *pool = make_pool(method, ALL);
    mp_future *futures[ALL];
    int64_t pids[ALL];

    for (int is_busy = 0; is_busy < 2; is_busy++) {
        await_workers(pool);
        for (int i = 0; is_busy && i < ALL; i++)
            futures[i] = submit(pool, pass_gate, MP_ARGS(i));
        if (is_busy)
            await_came(ALL);
        for (size_t i = 0; i < ALL; i++)
            pids[i] = worker_pid(pool, i);
        for (int i = 0; i < ALL; i++)
            kill_pid(pids[i]);
        for (int i = 0; is_busy && i < ALL; i++)
            expect_crash(futures[i], IS_KILLED);
        still_works(pool);
        for (size_t i = 0; i < ALL; i++)
            await_replaced(pool, i, pids[i]);
    }
    cr_assert_eq(stats_of(pool).workers_died, 2U * ALL);
    end_pool(pool);
    has_no_children();
}

/* The rest of its chunk is lost with it, and no more. */
METHOD_TEST(pool_crash, of_a_map_the_chunk_of_the_dead_worker_is_lost)
{
    mp_pool *pool = make_pool(method, 1);
    mp_future *future = NULL;
    mp_failure failure;

    ok(mp_pool_map_async(pool, pass_gate, numbers_to(10), 5, NULL, &future));
    await_came(1);
    close_gate();
    kill_pid(shared->pid);
    await_came(1);
    open_gate();
    failure = gets_error(future, MP_EWORKERDIED);
    cr_assert_eq(failure.index, 0U);
    cr_assert_eq(failure.exitcode, -9);
    cr_assert_eq(shared->came, 5U, "%u", (unsigned)shared->came);
    ok(mp_future_close(future));
    still_works(pool);
    end_pool(pool);
}

/* -- Initializers ---------------------------------------------------------- */

/* (board, manner, how many may succeed) */
static int fail_to_begin(mp_args *args)
{
    int64_t how = mp_arg_int(args, 1);

    shared = mp_array_data(mp_arg_array(args, 0));
    if ((int64_t)mp_fetch_add(&shared->begun, 1) < mp_arg_int(args, 2))
        return 0;
    while (mp_atomic_load(&shared->counts[1]) == 0)
        mp_sleep(0.0005);
    switch (how) {
    case 0:
        return 1;
    case 1:
        mp_exit(0);
    case 2:
        kill_pid(mp_getpid());
        return 0;
    default:
        mp_check(mp_named_unlink("mp there is no such name"));
        return 0;
    }
}

static mp_pool *make_doomed(mp_start_method method, size_t processes, int how,
                            int lucky)
{
    mp_pool_options options = {.initializer = fail_to_begin};

    open_board();
    options.initargs = MP_ARGS(shared_array, how, lucky);
    return make_pool_with(method, processes, options);
}

static void expect_broken(mp_pool *pool)
{
    mp_future *future = NULL;
    mp_obj *out = NULL;

    fails(mp_pool_apply(pool, square, MP_ARGS(1), &out), MP_EBROKEN);
    fails(mp_pool_map(pool, square, MP_LIST(1), 0, &out), MP_EBROKEN);
    fails(mp_pool_submit(pool, square, MP_ARGS(1), &future), MP_EBROKEN);
    cr_assert_null(future);
    ok(mp_pool_close(pool));
    ok(mp_pool_join(pool, POOL_PATIENCE));
    has_no_children();
    ok(mp_pool_destroy(pool));
    close_board();
}

METHOD_TEST(pool_crash, an_initializer_that_fails_breaks_the_pool)
{
    for (int how = 0; how < 4; how++) {
        mp_pool *pool = make_doomed(method, 2, how, 0);
        mp_future *futures[3];
        double begin;

        for (int i = 0; i < 3; i++)
            futures[i] = submit(pool, square, MP_ARGS(i));
        mp_atomic_store(&shared->counts[1], 1);
        begin = mp_monotonic();
        for (int i = 0; i < 3; i++) {
            (void)gets_error(futures[i], MP_EBROKEN);
            ok(mp_future_close(futures[i]));
        }
        cr_assert_lt(mp_monotonic() - begin, pool_second(), "manner %d", how);
        expect_broken(pool);
    }
}

/* One worker has begun, and has a task; the other one never does. */
METHOD_TEST(pool_crash, a_broken_pool_drops_what_is_running_and_waiting)
{
    mp_pool *pool = make_doomed(method, 2, 0, 1);
    mp_future *running = submit(pool, pass_gate, MP_ARGS(1));
    mp_future *waiting = submit(pool, square, MP_ARGS(1));
    mp_iterator *iterator = NULL;
    mp_obj *value = NULL;
    double begin;

    ok(mp_pool_imap(pool, square, numbers_to(3), 1, NULL, &iterator));
    await_came(1);
    mp_atomic_store(&shared->counts[1], 1);
    begin = mp_monotonic();
    (void)gets_error(running, MP_EBROKEN);
    (void)gets_error(waiting, MP_EBROKEN);
    fails(mp_iterator_next(iterator, POOL_PATIENCE, &value), MP_EBROKEN);
    cr_assert_lt(mp_monotonic() - begin, pool_second());
    ok(mp_future_close(running));
    ok(mp_future_close(waiting));
    ok(mp_iterator_close(iterator));
    expect_broken(pool);
}

METHOD_TEST(pool_crash, a_worker_that_cannot_be_replaced_breaks_the_pool)
{
    mp_pool *pool = make_doomed(method, 1, 0, 1);
    mp_future *dying, *waiting;

    mp_atomic_store(&shared->counts[1], 1);
    still_works(pool);
    dying = submit(pool, kill_itself, MP_ARGS());
    waiting = submit(pool, square, MP_ARGS(1));
    (void)gets_error(dying, MP_EWORKERDIED);
    (void)gets_error(waiting, MP_EBROKEN);
    ok(mp_future_close(dying));
    ok(mp_future_close(waiting));
    expect_broken(pool);
}

/* -- Starting -------------------------------------------------------------- */

/* There is no such program: each start fails, until there is one again. */
METHOD_TEST(pool_crash, a_worker_that_cannot_be_started_is_tried_again)
{
    mp_pool *pool = make_pool(method, WORKERS);
    int64_t pid;

    await_workers(pool);
    if (method != MP_START_SPAWN) {
        end_pool(pool);
        cr_skip_test("a fork needs no program");
    }
    if (support_has_no_vfork()) {
        end_pool(pool);
        cr_skip_test("here it starts, and ends with exit code 127");
    }
    pid = worker_pid(pool, 0);
    ok(mp_set_executable("/there is no such program"));
    kill_pid(pid);
    while (stats_of(pool).workers_died == 0)
        mp_sleep(0.0005);
    mp_sleep(0.1);
    still_works(pool);
    ok(mp_set_executable(NULL));
    await_replaced(pool, 0, pid);
    await_workers(pool);
    still_works(pool);
    end_pool(pool);
}

Test(pool_crash, no_worker_that_can_be_started_breaks_the_pool)
{
    mp_pool *pool = make_pool(MP_START_SPAWN, 1);
    mp_future *future;

    await_workers(pool);
    ok(mp_set_executable("/there is no such program"));
    kill_pid(worker_pid(pool, 0));
    future = submit(pool, square, MP_ARGS(2));
    (void)gets_error(future, MP_EBROKEN);
    ok(mp_future_close(future));
    ok(mp_set_executable(NULL));
    expect_broken(pool);
}
