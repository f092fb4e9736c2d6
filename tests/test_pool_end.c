/* SPDX-License-Identifier: MIT */
/*
 * How pools end: close, terminate, join and destroy, from wherever; programs
 * that end with a pool open, and those that are killed; use in the wrong
 * process; pools in the workers of pools.
 */
#include "support/pool.h"

enum { WORKERS = 3, LARGE = 8 << 20 };

/* -- close and join -------------------------------------------------------- */

/* Every function that adds tasks. */
#define refuses_tasks(pool, expected) \
    refuses_tasks_at((pool), (expected), __LINE__)

static void refuses_tasks_at(mp_pool *pool, mp_error expected, int line)
{
    mp_iterator *iterator = NULL;
    mp_future *future = NULL;
    mp_obj *out = NULL;

    fails_at(mp_pool_apply(pool, square, MP_ARGS(1), &out), expected, "apply",
             line);
    fails_at(mp_pool_apply_async(pool, square, MP_ARGS(1), NULL, &future),
             expected, "apply_async", line);
    fails_at(mp_pool_submit(pool, square, MP_ARGS(1), &future), expected,
             "submit", line);
    fails_at(mp_pool_map(pool, square, MP_LIST(1), 0, &out), expected, "map",
             line);
    fails_at(mp_pool_map_async(pool, square, MP_LIST(), 0, NULL, &future),
             expected, "map_async", line);
    fails_at(mp_pool_starmap(pool, square, MP_LIST(MP_TUPLE(1)), 0, &out),
             expected, "starmap", line);
    fails_at(mp_pool_starmap_async(pool, square, MP_LIST(), 0, NULL, &future),
             expected, "starmap_async", line);
    fails_at(mp_pool_imap(pool, square, MP_LIST(1), 0, NULL, &iterator),
             expected, "imap", line);
    fails_at(
        mp_pool_imap_unordered(pool, square, MP_LIST(1), 0, NULL, &iterator),
        expected, "imap_unordered", line);
    cr_assert_null(out);
    cr_assert_null(future);
    cr_assert_null(iterator);
}

METHOD_TEST(pool_end, close_lets_what_was_asked_for_be_done)
{
    mp_pool *pool = make_pool(method, 2);
    mp_future *futures[20];

    for (int i = 0; i < 20; i++)
        futures[i] = submit(pool, pass_gate, MP_ARGS(i));
    ok(mp_pool_close(pool));
    ok(mp_pool_close(pool));
    refuses_tasks(pool, MP_ESTATE);
    cr_assert_eq(mp_pool_join(pool, 0), MP_TIMED_OUT);
    cr_assert_eq(mp_pool_join(pool, POOL_MOMENT), MP_TIMED_OUT);
    open_gate();
    ok(mp_pool_join(pool, POOL_PATIENCE));
    ok(mp_pool_join(pool, 0));
    refuses_tasks(pool, MP_ESTATE);
    for (int i = 0; i < 20; i++) {
        mp_obj *value = NULL;

        ok(mp_future_get(futures[i], 0, &value));
        mp_obj_unref(value);
        ok(mp_future_close(futures[i]));
    }
    has_no_children();
    ok(mp_pool_destroy(pool));
    close_board();
}

Test(pool_end, join_needs_close_or_terminate)
{
    mp_pool *pool = make_pool(MP_START_DEFAULT, 1);

    fails(mp_pool_join(pool, MP_FOREVER), MP_ESTATE);
    still_works(pool);
    end_pool(pool);
}

/* More often than a worker needs to get started. */
METHOD_TEST(pool_end, a_pool_may_end_before_it_has_begun)
{
    for (int i = 0; i < 5; i++) {
        end_pool(make_pool(method, 2));
        drop_pool(make_pool(method, 2));
    }
    has_no_children();
}

/* One that dies meanwhile has to be replaced even so. */
METHOD_TEST(pool_end, a_worker_that_dies_after_close_does_not_stop_the_rest)
{
    mp_pool *pool = make_pool(method, 1);
    mp_future *first = submit(pool, pass_gate, MP_ARGS(1));
    mp_future *second = submit(pool, kill_itself, MP_ARGS(2));
    mp_future *third = submit(pool, square, MP_ARGS(3));

    await_came(1);
    ok(mp_pool_close(pool));
    open_gate();
    ok(mp_pool_join(pool, POOL_PATIENCE));
    gives(first, "1");
    (void)gets_error(second, MP_EWORKERDIED);
    gives(third, "9");
    ok(mp_future_close(first));
    ok(mp_future_close(second));
    ok(mp_future_close(third));
    ok(mp_pool_destroy(pool));
    close_board();
}

/* -- terminate ------------------------------------------------------------- */

/* test_terminate */
METHOD_TEST(pool_end, terminate_drops_what_is_running_and_waiting)
{
    mp_pool *pool = make_pool(method, WORKERS);
    mp_future *future = NULL;
    double begin, time;

    ok(mp_pool_map_async(pool, pass_gate, numbers_to(10000), 1, NULL, &future));
    await_came(WORKERS);
    begin = mp_monotonic();
    ok(mp_pool_terminate(pool));
    time = mp_monotonic() - begin;
    cr_assert_lt(time, pool_second() / 2, "%f s for terminate", time);
    ok(mp_pool_terminate(pool));
    ok(mp_pool_close(pool));
    (void)gets_error(future, MP_ECANCELLED);
    refuses_tasks(pool, MP_ESTATE);
    ok(mp_pool_join(pool, POOL_PATIENCE));
    time = mp_monotonic() - begin;
    cr_assert_lt(time, pool_second(), "%f s", time);
    ok(mp_pool_terminate(pool));
    has_no_children();
    ok(mp_future_close(future));
    ok(mp_pool_destroy(pool));
    close_board();
}

Test(pool_end, terminate_hurries_a_pool_that_was_closed)
{
    mp_pool *pool = make_pool(MP_START_DEFAULT, 1);
    mp_future *future = submit(pool, pass_gate, MP_ARGS(1));

    await_came(1);
    ok(mp_pool_close(pool));
    ok(mp_pool_terminate(pool));
    ok(mp_pool_join(pool, POOL_PATIENCE));
    (void)gets_error(future, MP_ECANCELLED);
    ok(mp_future_close(future));
    ok(mp_pool_destroy(pool));
    close_board();
}

/* What is done is done. */
Test(pool_end, terminate_takes_no_result_away)
{
    mp_pool *pool = make_pool(MP_START_DEFAULT, 1);
    mp_future *future = submit(pool, square, MP_ARGS(6));

    ok(mp_future_wait(future, POOL_PATIENCE));
    ok(mp_pool_terminate(pool));
    gives(future, "36");
    ok(mp_future_close(future));
    ok(mp_pool_destroy(pool));
    close_board();
}

METHOD_TEST(pool_end, destroy_terminates)
{
    mp_pool *pool = make_pool(method, WORKERS);
    mp_future *future = NULL;
    double begin = mp_monotonic();
    mp_obj *out = NULL;

    ok(mp_pool_map_async(pool, pass_gate, numbers_to(100), 1, NULL, &future));
    await_came(1);
    ok(mp_pool_destroy(pool));
    cr_assert_lt(mp_monotonic() - begin, POOL_PATIENCE / 2);
    has_no_children();
    fails(mp_pool_apply(pool, square, MP_ARGS(1), &out), MP_ECLOSED);
    fails(mp_pool_close(pool), MP_ECLOSED);
    fails(mp_pool_terminate(pool), MP_ECLOSED);
    fails(mp_pool_join(pool, 0), MP_ECLOSED);
    fails(mp_pool_destroy(pool), MP_ECLOSED);
    (void)gets_error(future, MP_ECANCELLED);
    ok(mp_future_close(future));
    fails(mp_future_wait(future, 0), MP_ECLOSED);
    fails(mp_future_get(future, 0, &out), MP_ECLOSED);
    fails(mp_future_close(future), MP_ECLOSED);
    cr_assert_not(mp_future_ready(future));
    close_board();
}

Test(pool_end, a_closed_iterator_says_so)
{
    mp_pool *pool = make_pool(MP_START_DEFAULT, 1);
    mp_iterator *iterator = NULL;
    mp_failure failure;
    mp_obj *out = NULL;

    ok(mp_pool_imap(pool, square, MP_LIST(1), 0, NULL, &iterator));
    ok(mp_iterator_close(iterator));
    fails(mp_iterator_next(iterator, 0, &out), MP_ECLOSED);
    fails(mp_iterator_failure(iterator, &failure), MP_ECLOSED);
    fails(mp_iterator_close(iterator), MP_ECLOSED);
    end_pool(pool);
}

/* -- From callbacks -------------------------------------------------------- */

typedef struct ending {
    mp_pool *pool;
    mp_future *future; /* that is not ready */
    mp_error errors[4];
    uint32_t is_done;
} ending;

static void end_from_here(ending *it)
{
    it->errors[0] = mp_pool_join(it->pool, 0);
    it->errors[1] = mp_pool_terminate(it->pool);
    it->errors[2] = mp_pool_join(it->pool, MP_FOREVER);
    it->errors[3] = mp_pool_destroy(it->pool);
    mp_atomic_store(&it->is_done, 1);
}

static void end_on_value(void *context, mp_obj *value)
{
    (void)value;
    end_from_here(context);
}

static void end_on_failure(void *context, const mp_failure *failure)
{
    (void)failure;
    end_from_here(context);
}

static void end_when_done(void *context, mp_future *future)
{
    (void)future;
    end_from_here(context);
}

static void expect_end(ending *it, mp_future *other)
{
    await_number(&it->is_done, 1, __LINE__);
    cr_assert_eq(it->errors[0], MP_ESTATE, "join of a running pool");
    cr_assert_eq(it->errors[1], MP_OK, "terminate");
    cr_assert_eq(it->errors[2], MP_ESTATE, "join in a callback");
    cr_assert_eq(it->errors[3], MP_ESTATE, "destroy in a callback");
    (void)gets_error(other, MP_ECANCELLED);
    ok(mp_pool_join(it->pool, POOL_PATIENCE));
    has_no_children();
    ok(mp_future_close(other));
    ok(mp_pool_destroy(it->pool));
    close_board();
}

METHOD_TEST(pool_end, callbacks_can_terminate_but_not_join)
{
    mp_pool *pool = make_pool(method, 2);
    ending it = {.pool = pool};
    mp_future *other = submit(pool, pass_gate, MP_ARGS(1));
    mp_task_options options = {.callback = end_on_value, .context = &it};

    ok(mp_pool_apply_async(pool, square, MP_ARGS(1), &options, NULL));
    expect_end(&it, other);
}

METHOD_TEST(pool_end, error_callbacks_can_terminate_but_not_join)
{
    mp_pool *pool = make_pool(method, 2);
    ending it = {.pool = pool};
    mp_future *other = submit(pool, pass_gate, MP_ARGS(1));
    mp_task_options options = {.error_callback = end_on_failure,
                               .context = &it};

    ok(mp_pool_apply_async(pool, kill_itself, MP_ARGS(1), &options, NULL));
    expect_end(&it, other);
}

METHOD_TEST(pool_end, done_callbacks_can_terminate_but_not_join)
{
    mp_pool *pool = make_pool(method, 2);
    ending it = {.pool = pool};
    mp_future *future = submit(pool, pass_gate, MP_ARGS(1)), *other;

    await_came(1);
    ok(mp_future_add_done_callback(future, end_when_done, &it));
    open_gate();
    await_number(&it.is_done, 1, __LINE__);
    other = future;
    cr_assert_eq(it.errors[1], MP_OK);
    cr_assert_eq(it.errors[2], MP_ESTATE);
    cr_assert_eq(it.errors[3], MP_ESTATE);
    gives(other, "1");
    ok(mp_pool_join(pool, POOL_PATIENCE));
    ok(mp_future_close(future));
    ok(mp_pool_destroy(pool));
    close_board();
}

typedef struct slow_call {
    uint32_t has_begun;
    uint32_t may_end;
} slow_call;

static void wait_a_while(void *context, mp_obj *value)
{
    slow_call *it = context;

    (void)value;
    mp_atomic_store(&it->has_begun, 1);
    while (mp_atomic_load(&it->may_end) == 0)
        mp_sleep(0.0005);
}

METHOD_TEST(pool_end, join_waits_for_callbacks)
{
    mp_pool *pool = make_pool(method, 1);
    slow_call it = {0};
    mp_task_options options = {.callback = wait_a_while, .context = &it};

    ok(mp_pool_apply_async(pool, square, MP_ARGS(1), &options, NULL));
    await_number(&it.has_begun, 1, __LINE__);
    ok(mp_pool_close(pool));
    cr_assert_eq(mp_pool_join(pool, 2 * POOL_MOMENT), MP_TIMED_OUT);
    mp_atomic_store(&it.may_end, 1);
    ok(mp_pool_join(pool, POOL_PATIENCE));
    ok(mp_pool_destroy(pool));
    close_board();
}

/* -- Threads --------------------------------------------------------------- */

typedef struct joiner {
    mp_pool *pool;
    uint32_t joined;
} joiner;

static void join_it(void *context)
{
    joiner *it = context;

    if (mp_pool_join(it->pool, POOL_PATIENCE) == MP_OK)
        mp_fetch_add(&it->joined, 1);
}

METHOD_TEST(pool_end, several_threads_may_join)
{
    mp_pool *pool = make_pool(method, 2);
    joiner it = {.pool = pool};
    mpos_thread threads[4];

    ok(mp_pool_apply_async(pool, pass_gate, MP_ARGS(1), NULL, NULL));
    await_came(1);
    ok(mp_pool_close(pool));
    for (int i = 0; i < 4; i++)
        ok(mpos_thread_start(join_it, &it, &threads[i]));
    open_gate();
    for (int i = 0; i < 4; i++)
        mpos_thread_join(threads[i]);
    cr_assert_eq(it.joined, 4U);
    ok(mp_pool_destroy(pool));
    close_board();
}

/* -- In another process ---------------------------------------------------- */

static mp_pool *global_pool;
static mp_future *global_future;
static mp_iterator *global_iterator;

static int use_the_parents_pool(mp_args *args)
{
    mp_pool_stats stats;
    mp_obj *out = NULL;

    (void)args;
    if (mp_pool_apply(global_pool, square, MP_ARGS(1), &out) != MP_ENOTCHILD ||
        mp_pool_map(global_pool, square, MP_LIST(1), 0, &out) != MP_ENOTCHILD)
        return 1;
    if (mp_pool_get_stats(global_pool, &stats, NULL, 0) != MP_ENOTCHILD ||
        mp_pool_close(global_pool) != MP_ENOTCHILD ||
        mp_pool_terminate(global_pool) != MP_ENOTCHILD ||
        mp_pool_join(global_pool, 0) != MP_ENOTCHILD ||
        mp_pool_destroy(global_pool) != MP_ENOTCHILD)
        return 2;
    if (mp_future_get(global_future, 0, &out) != MP_ENOTCHILD ||
        mp_future_wait(global_future, 0) != MP_ENOTCHILD ||
        mp_future_cancel(global_future) != MP_ENOTCHILD ||
        mp_future_close(global_future) != MP_ENOTCHILD)
        return 3;
    if (mp_iterator_next(global_iterator, 0, &out) != MP_ENOTCHILD ||
        mp_iterator_close(global_iterator) != MP_ENOTCHILD)
        return 4;
    return 0;
}

/* It has a copy of everything; only the pool's own process may use it. */
Test(pool_end, a_forked_child_cannot_use_it)
{
    mp_start_method method = support_method(MP_START_FORK);

    global_pool = make_pool(method, 1);
    global_future = submit(global_pool, square, MP_ARGS(4));
    ok(mp_pool_imap(global_pool, square, MP_LIST(3), 1, NULL,
                    &global_iterator));
    cr_assert_eq(support_run(method, use_the_parents_pool, MP_ARGS()), 0);
    gives(global_future, "16");
    next_is(global_iterator, "9");
    still_works(global_pool);
    ok(mp_future_close(global_future));
    ok(mp_iterator_close(global_iterator));
    end_pool(global_pool);
}

/* -- Pools in workers ------------------------------------------------------ */

/* The sum of squares below n, by a pool of its own. */
static mp_obj *sum_by_pool(mp_args *args)
{
    mp_pool_options options = {.start_method =
                                   (mp_start_method)mp_arg_int(args, 1)};
    mp_obj *list = NULL;
    const mp_obj *item;
    int64_t sum = 0, value;
    mp_iter it = {0};
    mp_pool *pool;

    mp_check(mp_pool_create(&pool, 2, &options));
    mp_check(
        mp_pool_map(pool, square, numbers_to(mp_arg_int(args, 0)), 1, &list));
    while (mp_obj_next(list, &it, &item, NULL)) {
        mp_check(mp_obj_as_int(item, &value));
        sum += value;
    }
    mp_obj_unref(list);
    mp_check(mp_pool_close(pool));
    mp_check(mp_pool_join(pool, MP_FOREVER));
    mp_check(mp_pool_destroy(pool));
    return MP_BOX(sum);
}

METHOD_TEST(pool_end, a_worker_may_have_a_pool_of_its_own)
{
    mp_obj *list = NULL;
    mp_pool *pool;

    if (method == MP_START_FORK && support_has_no_vfork())
        cr_skip_test("TSan takes a forked child's locks for its parent's");
    pool = make_pool(method, 2);
    ok(mp_pool_starmap(pool, sum_by_pool,
                       MP_LIST(MP_TUPLE(5, (int)method),
                               MP_TUPLE(10, (int)method),
                               MP_TUPLE(3, (int)method)),
                       1, &list));
    is_repr(list, "[30, 285, 5]");
    end_pool(pool);
    has_no_children();
}

/* A process inside of a task. */
static int return_seven(mp_args *args)
{
    (void)args;
    return 7;
}

static mp_obj *run_process(mp_args *args)
{
    mp_process_options options = {.start_method =
                                      (mp_start_method)mp_arg_int(args, 0)};
    mp_process *process;
    int code = -1;

    mp_check(mp_process_create(&process, return_seven, NULL, &options));
    mp_check(mp_process_start(process));
    mp_check(mp_process_join(process, MP_FOREVER));
    mp_check(mp_process_exitcode(process, &code));
    mp_check(mp_process_close(process));
    return MP_BOX(code);
}

METHOD_TEST(pool_end, a_task_may_start_processes)
{
    mp_pool *pool = make_pool(method, 1);
    mp_obj *value = NULL;

    ok(mp_pool_apply(pool, run_process, MP_ARGS((int)method), &value));
    is_repr(value, "7");
    drop_pool(pool);
}

/* -- The process that made it ends ----------------------------------------- */

typedef enum manner {
    RETURNS,
    EXITS,
    IS_KILLED,
} manner;

typedef enum occupation {
    IDLE,
    BUSY,    /* and tasks wait */
    SENDING, /* large ones */
} occupation;

static mp_obj *count_large(mp_args *args)
{
    size_t size = 0;

    (void)mp_arg_bytes(args, 0, &size);
    return MP_BYTES(mp_arg_bytes(args, 0, &size), size);
}

static void keep_sending(mp_pool *pool)
{
    mp_obj *bytes, *items = MP_LIST();
    char *text = calloc(1, LARGE);

    if (text == NULL)
        mp_exit(1);
    bytes = MP_BYTES(text, LARGE);
    free(text);
    for (int i = 0; i < 8; i++)
        mp_check(mp_obj_append(items, mp_obj_ref(bytes)));
    mp_obj_unref(bytes);
    mp_check(
        mp_pool_map_async(pool, count_large, items, 1, NULL, &global_future));
}

/* (board, connection, method, occupation, manner): says the pids of its
 * workers, and waits or ends. */
static int own_a_pool(mp_args *args)
{
    mp_connection *connection = mp_arg_connection(args, 1);
    mp_pool_options options = {.start_method =
                                   (mp_start_method)mp_arg_int(args, 2),
                               .initializer = enter_pool,
                               .initargs = MP_ARGS(mp_arg_array(args, 0))};
    occupation what = (occupation)mp_arg_int(args, 3);
    manner how = (manner)mp_arg_int(args, 4);
    mp_worker_stats workers[2];
    mp_pool_stats stats;
    mp_obj *told = NULL;
    mp_pool *pool;

    shared = mp_array_data(mp_arg_array(args, 0));
    mp_check(mp_pool_create(&pool, 2, &options));
    if (what == BUSY)
        mp_check(mp_pool_map_async(pool, pass_gate, numbers_to(5000), 1, NULL,
                                   &global_future));
    if (what == BUSY)
        while (mp_atomic_load(&shared->came) < 2)
            mp_sleep(0.0005);
    if (what == SENDING)
        keep_sending(pool);
    if (what == IDLE)
        while (mp_atomic_load(&shared->begun) < 2)
            mp_sleep(0.0005);
    mp_check(mp_pool_get_stats(pool, &stats, workers, 2));
    mp_check(mp_connection_send(connection,
                                MP_TUPLE(workers[0].pid, workers[1].pid)));
    if (how == RETURNS)
        return 5;
    if (how == EXITS)
        mp_exit(5);
    (void)mp_connection_recv(connection, &told); /* for ever */
    return 1;
}

static void recv_pids(mp_connection *connection, int64_t pids[2])
{
    mp_obj *told = NULL;
    const mp_obj *item;

    ok(mp_connection_recv(connection, &told));
    for (int i = 0; i < 2; i++) {
        ok(mp_obj_item(told, i, &item));
        ok(mp_obj_as_int(item, &pids[i]));
    }
    mp_obj_unref(told);
}

static void are_gone(const int64_t pids[2], double seconds)
{
    double deadline = mp_monotonic() + seconds;

    while (runs(pids[0]) || runs(pids[1])) {
        cr_assert_lt(mp_monotonic(), deadline, "a worker is left");
        mp_sleep(0.001);
    }
}

static void end_owner(mp_start_method method, occupation what, manner how)
{
    mp_connection *ours = NULL, *theirs = NULL;
    mp_process *owner;
    int64_t pids[2];

    open_board();
    ok(mp_pipe(&ours, &theirs, NULL));
    owner = support_start(
        MP_START_DEFAULT, own_a_pool,
        MP_ARGS(shared_array, theirs, (int)method, (int)what, (int)how));
    ok(mp_connection_close(theirs));
    recv_pids(ours, pids);
    if (how == IS_KILLED)
        ok(mp_process_kill(owner));
    cr_assert_eq(support_finish(owner), how == IS_KILLED ? -9 : 5);
    are_gone(pids, how == IS_KILLED ? pool_second() : 0.5);
    ok(mp_connection_close(ours));
    close_board();
    has_no_children();
}

METHOD_TEST(pool_end, a_program_may_end_with_a_pool_open)
{
    end_owner(method, IDLE, RETURNS);
    end_owner(method, BUSY, RETURNS);
    end_owner(method, BUSY, EXITS);
    end_owner(method, SENDING, RETURNS);
}

METHOD_TEST(pool_end, workers_end_with_a_program_that_is_killed)
{
    end_owner(method, IDLE, IS_KILLED);
    end_owner(method, BUSY, IS_KILLED);
    end_owner(method, SENDING, IS_KILLED);
}

/* -- Many, one after the other --------------------------------------------- */

static void use_once(mp_start_method method)
{
    mp_pool *pool = make_pool(method, 2);
    mp_iterator *iterator = NULL;

    still_works(pool);
    ok(mp_future_close(submit(pool, square, MP_ARGS(1))));
    ok(mp_pool_imap(pool, square, numbers_to(10), 1, NULL, &iterator));
    next_is(iterator, "0");
    ok(mp_iterator_close(iterator));
    end_pool(pool);
}

METHOD_TEST(pool_end, many_pools_leave_nothing)
{
    size_t count = mpos_system.has_fork ? support_scaled(60) : 5;
    size_t handles, memory;

    for (size_t i = 0; i < count / 3 + 1; i++)
        use_once(method);
    handles = support_open_handles();
    memory = support_memory_in_use();
    for (size_t i = 0; i < count; i++)
        use_once(method);
    cr_assert_eq(support_open_handles(), handles);
    if (!support_is_watched())
        cr_assert_lt(support_memory_in_use(), memory + (1 << 20));
    has_no_children();
}
