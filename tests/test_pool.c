/* SPDX-License-Identifier: MIT */
/*
 * Pools: apply, map and starmap, how tasks fail and what cannot travel. The
 * behaviours are those of CPython's test_multiprocessing for its Pool.
 */
#include "support/pool.h"

#include <stdio.h>

enum { WORKERS = 3, LARGE = 3 << 20 };

/* -- Tasks ----------------------------------------------------------------- */

/* (x, y), or by name. */
static mp_obj *subtract(mp_args *args)
{
    size_t count = mp_args_count(args);
    int64_t x = count > 0 ? mp_arg_int(args, 0) : mp_kwarg_int(args, "x", 0);
    int64_t y = count > 1 ? mp_arg_int(args, 1) : mp_kwarg_int(args, "y", 0);

    return MP_BOX(x - y);
}

static mp_obj *describe_args(mp_args *args)
{
    return MP_TUPLE(mp_args_tuple(args), mp_args_dict(args));
}

static mp_obj *raise_at_sevens(mp_args *args)
{
    int64_t n = mp_arg_int(args, 0);

    mp_fetch_add(&shared->counts[n], 1);
    if (n % 7 == 3)
        return mp_raise(MP_ERAISED, "no %d here", (int)n);
    return MP_BOX(n);
}

static mp_obj *return_null(mp_args *args)
{
    (void)args;
    return NULL;
}

static mp_obj *raise_success(mp_args *args)
{
    (void)args;
    return mp_raise(MP_EMPTY, "that is no failure");
}

static mp_obj *return_error_object(mp_args *args)
{
    (void)args;
    return mp_obj_from_error(MP_EACCES);
}

static mp_obj *check_failure(mp_args *args)
{
    (void)args;
    mp_check(mp_named_unlink("mp there is no such name"));
    return MP_NONE;
}

static mp_obj *raise_large(mp_args *args)
{
    static char text[100000];

    (void)args;
    memset(text, 'x', sizeof(text) - 1);
    return mp_raise(MP_ERAISED, "%s", text);
}

static mp_obj *return_pointer(mp_args *args)
{
    return mp_obj_pointer(args);
}

/* Only the items that are odd can travel back. */
static mp_obj *return_pointer_if_even(mp_args *args)
{
    int64_t n = mp_arg_int(args, 0);

    return n % 2 == 0 ? mp_obj_pointer(args) : MP_BOX(n);
}

static mp_obj *give_bytes(mp_args *args)
{
    size_t size = (size_t)mp_arg_int(args, 0);
    char *data = malloc(size);
    mp_obj *bytes;

    if (data == NULL)
        return mp_raise(MP_ENOMEM, "no memory");
    memset(data, 'b', size);
    bytes = MP_BYTES(data, size);
    free(data);
    return bytes;
}

static mp_obj *count_bytes(mp_args *args)
{
    size_t size = 0, sum = 0;
    const unsigned char *data = mp_arg_bytes(args, 0, &size);

    for (size_t i = 0; i < size; i++)
        sum += data[i] == 'a';
    return MP_BOX(sum);
}

static mp_obj *say_process(mp_args *args)
{
    (void)args;
    return MP_TUPLE(mp_process_name(mp_current_process()),
                    mp_obj_bool(mp_process_is_daemon(mp_current_process())),
                    mp_obj_bool(mp_getpid() != 0));
}

static mp_obj *read_stdin(mp_args *args)
{
    (void)args;
    return MP_BOX(getchar());
}

/* -- Making one ------------------------------------------------------------ */

METHOD_TEST(pool, starts_as_many_workers_as_it_is_told_to)
{
    mp_pool *pool = make_pool(method, WORKERS);

    cr_assert_eq(stats_of(pool).workers, (size_t)WORKERS);
    await_begun(WORKERS);
    end_pool(pool);
    has_no_children();
}

Test(pool, has_a_worker_for_each_processor_unless_told)
{
    mp_pool *pool = NULL;

    ok(mp_pool_create(&pool, 0, NULL));
    cr_assert_eq(stats_of(pool).workers, (size_t)mp_cpu_count());
    ok(mp_pool_destroy(pool));
}

METHOD_TEST(pool, workers_are_named_daemons)
{
    mp_pool *pool = make_pool(method, 1);
    mp_obj *value = NULL;
    char *text = NULL;

    ok(mp_pool_apply(pool, say_process, MP_ARGS(), &value));
    ok(mp_obj_repr(value, &text));
    cr_assert_not_null(strstr(text, "PoolWorker-1', True, True)"), "%s", text);
    mp_free(text);
    mp_obj_unref(value);
    end_pool(pool);
}

METHOD_TEST(pool, workers_read_nothing_from_stdin)
{
    mp_pool *pool = make_pool(method, 1);
    mp_obj *value = NULL;

    ok(mp_pool_apply(pool, read_stdin, MP_ARGS(), &value));
    is_repr(value, "-1");
    drop_pool(pool);
}

Test(pool, makes_none_of_wrong_arguments)
{
    static const mp_pool_options wrong[] = {
        {.start_method = (mp_start_method)77},
        {.order = (mp_pool_order)77},
        {.time_limit = -1},
    };
    mp_pool_options options = {.initializer = enter_pool};
    mp_pool *pool = NULL;

    fails(mp_pool_create(NULL, 1, NULL), MP_EINVAL);
    fails(mp_pool_create(&pool, SIZE_MAX, NULL), MP_EINVAL);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        fails(mp_pool_create(&pool, 1, &wrong[i]), MP_EINVAL);
    options.initargs = MP_LIST(1);
    fails(mp_pool_create(&pool, 1, &options), MP_ETYPE);
    cr_assert_str_eq(mp_error_message(),
                     "expected a tuple of initargs, MP_ARGS(...), got list");
    cr_assert_null(pool);
    has_no_children();
}

Test(pool, that_cannot_start_all_its_workers_leaves_none)
{
    mp_pool_options options = {.initializer = enter_pool};
    mp_pool *pool = NULL;
    size_t handles;

    for (int i = 0; i < 2; i++) {
        handles = support_open_handles();
        options.initargs = MP_ARGS(mp_obj_pointer(&pool));
        fails(mp_pool_create(&pool, 2, &options), MP_EPICKLE);
        cr_assert_null(pool);
    }
    cr_assert_eq(support_open_handles(), handles);
    has_no_children();
}

/* -- apply ----------------------------------------------------------------- */

METHOD_TEST(pool, apply_gives_what_the_task_returns)
{
    mp_pool *pool = make_pool(method, WORKERS);
    mp_obj *value = NULL;

    ok(mp_pool_apply(pool, square, MP_ARGS(5), &value));
    is_repr(value, "25");
    ok(mp_pool_apply(pool, subtract, MP_ARGS(7, 3), &value));
    is_repr(value, "4");
    for (int i = 0; i < 1000; i++) {
        int64_t result = -1;

        ok(mp_pool_apply(pool, square, MP_ARGS(i), &value));
        ok(mp_obj_as_int(value, &result));
        cr_assert_eq(result, (int64_t)i * i);
        mp_obj_unref(value);
    }
    end_pool(pool);
}

Test(pool, arguments_may_go_by_name)
{
    mp_pool *pool = make_pool(MP_START_DEFAULT, 1);
    mp_future *future;

    future = submit_with(pool, MP_TASK(subtract), MP_ARGS(7),
                         (mp_task_options){.kwargs = MP_KWARGS("y", 5)});
    gives(future, "2");
    ok(mp_future_close(future));
    future = submit_with(
        pool, MP_TASK(describe_args), MP_ARGS("a", 1.5),
        (mp_task_options){.kwargs = MP_KWARGS("k", MP_LIST(MP_NONE))});
    gives(future, "(('a', 1.5), {'k': [None]})");
    ok(mp_future_close(future));
    future = submit(pool, describe_args, MP_ARGS());
    gives(future, "((), {})");
    ok(mp_future_close(future));
    end_pool(pool);
}

/* -- map ------------------------------------------------------------------- */

METHOD_TEST(pool, map_gives_the_results_in_the_order_of_the_items)
{
    static const size_t chunksizes[] = {0, 1, 7, 20, 1000};
    mp_pool *pool = make_pool(method, WORKERS);

    for (size_t i = 0; i < sizeof(chunksizes) / sizeof(chunksizes[0]); i++) {
        mp_obj *squares = NULL;

        ok(mp_pool_map(pool, square, numbers_to(100), chunksizes[i], &squares));
        cr_assert_eq(mp_obj_type(squares), MP_TYPE_LIST);
        is_squares(squares, 100);
        ok(mp_pool_map(pool, square, numbers_to(1), chunksizes[i], &squares));
        is_squares(squares, 1);
    }
    end_pool(pool);
}

Test(pool, map_takes_a_tuple)
{
    mp_pool *pool = make_pool(MP_START_DEFAULT, 2);
    mp_obj *squares = NULL;

    ok(mp_pool_map(pool, square, MP_TUPLE(1, 2, 3), 0, &squares));
    is_repr(squares, "[1, 4, 9]");
    end_pool(pool);
}

Test(pool, map_of_many_items_is_right)
{
    int64_t count = (int64_t)support_scaled(200000);
    mp_pool *pool = make_pool(MP_START_DEFAULT, 2);
    mp_obj *squares = NULL;

    ok(mp_pool_map(pool, square, numbers_to(count), 0, &squares));
    is_squares(squares, count);
    ok(mp_pool_map(pool, square, numbers_to(count / 4), 1, &squares));
    is_squares(squares, count / 4);
    end_pool(pool);
}

METHOD_TEST(pool, map_calls_the_task_once_for_each_item)
{
    mp_pool *pool = make_pool(method, WORKERS);
    mp_obj *list = NULL;

    ok(mp_pool_map(pool, count_once, numbers_to(1000), 3, &list));
    mp_obj_unref(list);
    for (int i = 0; i < 1000; i++)
        cr_assert_eq(shared->counts[i], 1U, "item %d", i);
    end_pool(pool);
}

Test(pool, map_of_nothing_is_an_empty_list)
{
    mp_pool *pool = make_pool(MP_START_DEFAULT, 1);
    mp_future *future = NULL;
    mp_obj *list = NULL;

    for (size_t chunksize = 0; chunksize < 3; chunksize++) {
        ok(mp_pool_map(pool, square, MP_LIST(), chunksize, &list));
        is_repr(list, "[]");
        ok(mp_pool_starmap(pool, square, MP_TUPLE(), chunksize, &list));
        is_repr(list, "[]");
        ok(mp_pool_map_async(pool, square, MP_LIST(), chunksize, NULL,
                             &future));
        gives(future, "[]");
        ok(mp_future_close(future));
    }
    end_pool(pool);
}

Test(pool, starmap_gives_each_item_as_arguments)
{
    mp_pool *pool = make_pool(MP_START_DEFAULT, 2);
    mp_future *future = NULL;
    mp_obj *list = NULL;

    ok(mp_pool_starmap(pool, subtract,
                       MP_LIST(MP_TUPLE(5, 3), MP_LIST(1, 2), MP_TUPLE(4)), 2,
                       &list));
    is_repr(list, "[2, -1, 4]");
    ok(mp_pool_starmap_async(pool, describe_args,
                             MP_LIST(MP_TUPLE(), MP_TUPLE(1, MP_TUPLE(2))), 1,
                             NULL, &future));
    gives(future, "[((), {}), ((1, (2,)), {})]");
    ok(mp_future_close(future));
    end_pool(pool);
}

Test(pool, starmap_fails_for_items_that_are_no_arguments)
{
    mp_pool *pool = make_pool(MP_START_DEFAULT, 1);
    mp_future *future = NULL;

    ok(mp_pool_starmap_async(pool, subtract, MP_LIST(MP_TUPLE(5, 3), 7), 2,
                             NULL, &future));
    cr_assert_eq(gets_error(future, MP_ETYPE).index, 1U);
    ok(mp_future_close(future));
    still_works(pool);
    end_pool(pool);
}

/* test_map_not_iterable and its like. */
Test(pool, map_takes_nothing_but_lists_and_tuples)
{
    mp_pool *pool = make_pool(MP_START_DEFAULT, 1);
    mp_iterator *iterator = NULL;
    mp_future *future = NULL;
    mp_obj *out = NULL;

    fails(mp_pool_map(pool, square, MP_BOX(7), 0, &out), MP_ETYPE);
    fails(mp_pool_map(pool, square, MP_BOX("abc"), 1, &out), MP_ETYPE);
    fails(mp_pool_map(pool, square, NULL, 1, &out), MP_EINVAL);
    fails(mp_pool_starmap(pool, square, MP_NONE, 1, &out), MP_ETYPE);
    fails(mp_pool_map_async(pool, square, MP_DICT(1, 2), 1, NULL, &future),
          MP_ETYPE);
    fails(mp_pool_imap(pool, square, MP_BOX(7), 1, NULL, &iterator), MP_ETYPE);
    cr_assert_null(out);
    cr_assert_null(future);
    cr_assert_null(iterator);
    still_works(pool);
    end_pool(pool);
}

/* -- Wrong use ------------------------------------------------------------- */

Test(pool, refuses_wrong_arguments)
{
    mp_pool *pool = make_pool(MP_START_DEFAULT, 1);
    mp_task none = {NULL, "none"};
    mp_future *future = NULL;
    mp_obj *out = NULL;

    fails(mp_pool_apply(NULL, square, MP_ARGS(1), &out), MP_EINVAL);
    fails(mp_pool_apply(pool, square, MP_LIST(1), &out), MP_ETYPE);
    cr_assert_str_eq(mp_error_message(),
                     "expected a tuple of arguments, MP_ARGS(...), got list");
    fails((mp_pool_apply)(pool, none, MP_ARGS(1), &out), MP_EINVAL);
    fails((mp_pool_submit)(pool, none, MP_ARGS(1), &future), MP_EINVAL);
    fails((mp_pool_map)(pool, none, MP_LIST(1), 0, &out), MP_EINVAL);
    fails(mp_pool_apply_async(pool, square, MP_ARGS(1),
                              &(mp_task_options){.kwargs = MP_LIST(1, 2)},
                              &future),
          MP_ETYPE);
    fails(mp_pool_apply_async(pool, square, MP_ARGS(1),
                              &(mp_task_options){.time_limit = -1}, &future),
          MP_EINVAL);
    fails(mp_pool_apply_async(
              pool, square, MP_ARGS(1),
              &(mp_task_options){.expected = strtod("nan", NULL)}, &future),
          MP_EINVAL);
    fails(mp_pool_map_async(pool, square, MP_LIST(1), 0,
                            &(mp_task_options){.kwargs = MP_KWARGS("x", 2)},
                            &future),
          MP_EINVAL);
    fails(mp_pool_get_stats(pool, NULL, NULL, 0), MP_EINVAL);
    cr_assert_null(out);
    cr_assert_null(future);
    still_works(pool);
    end_pool(pool);
}

/* As a pool.map() whose result nobody looks at. */
Test(pool, results_may_be_thrown_away)
{
    mp_pool *pool = make_pool(MP_START_DEFAULT, 1);
    mp_future *future = submit(pool, square, MP_ARGS(2));

    ok(mp_pool_apply(pool, square, MP_ARGS(1), NULL));
    ok(mp_pool_map(pool, square, MP_LIST(1), 0, NULL));
    ok(mp_pool_starmap(pool, square, MP_LIST(MP_TUPLE(1)), 0, NULL));
    ok(mp_future_get(future, POOL_PATIENCE, NULL));
    gives(future, "4");
    ok(mp_future_close(future));
    end_pool(pool);
}

Test(pool, functions_refuse_null)
{
    mp_iterator *iterator = NULL;
    mp_pool_stats stats;
    mp_obj *out = NULL;

    fails(mp_pool_close(NULL), MP_EINVAL);
    fails(mp_pool_terminate(NULL), MP_EINVAL);
    fails(mp_pool_join(NULL, 0), MP_EINVAL);
    fails(mp_pool_get_stats(NULL, &stats, NULL, 0), MP_EINVAL);
    fails(mp_pool_imap(NULL, square, MP_LIST(), 1, NULL, &iterator), MP_EINVAL);
    fails(mp_iterator_next(NULL, 0, &out), MP_EINVAL);
    ok(mp_iterator_close(NULL));
    ok(mp_pool_destroy(NULL));
}

/* -- How tasks fail -------------------------------------------------------- */

/* test_traceback */
METHOD_TEST(pool, what_a_task_raises_arrives_with_its_place)
{
    mp_pool *pool = make_pool(method, 1);
    mp_future *future = submit(pool, raise_in_it, MP_ARGS(42));
    mp_failure failure = gets_error(future, MP_EKEY);

    cr_assert_str_eq(failure.sentence, "there is no 42");
    cr_assert_not_null(strstr(failure.where, "raise_in_it() at "), "%s",
                       failure.where);
    cr_assert_not_null(strstr(failure.where, "pool.h:"), "%s", failure.where);
    cr_assert_not_null(strstr(failure.worker, "PoolWorker-1"), "%s",
                       failure.worker);
    cr_assert_eq(failure.exitcode, 0);
    cr_assert_eq(failure.tries, 1U);
    ok(mp_future_close(future));
    still_works(pool);
    end_pool(pool);
}

Test(pool, the_message_of_a_failure_says_what_and_where)
{
    mp_pool *pool = make_pool(MP_START_DEFAULT, 1);
    mp_obj *out = NULL;

    fails(mp_pool_apply(pool, raise_in_it, MP_ARGS(5), &out), MP_EKEY);
    cr_assert_null(out);
    cr_assert_not_null(strstr(mp_error_message(), "there is no 5"), "%s",
                       mp_error_message());
    cr_assert_not_null(strstr(mp_error_message(), "raise_in_it() at "), "%s",
                       mp_error_message());
    end_pool(pool);
}

Test(pool, a_task_that_returns_nothing_or_an_error_has_failed)
{
    mp_pool *pool = make_pool(MP_START_DEFAULT, 1);
    mp_obj *out = NULL;

    fails(mp_pool_apply(pool, return_null, MP_ARGS(), &out), MP_ERAISED);
    fails(mp_pool_apply(pool, raise_success, MP_ARGS(), &out), MP_ERAISED);
    fails(mp_pool_apply(pool, return_error_object, MP_ARGS(), &out), MP_EACCES);
    still_works(pool);
    end_pool(pool);
}

METHOD_TEST(pool, a_wrong_argument_fails_the_task_only)
{
    mp_pool *pool = make_pool(method, 1);
    int64_t pid = worker_pid(pool, 0);
    mp_future *future = submit(pool, square, MP_ARGS("three"));
    mp_failure failure = gets_error(future, MP_ETYPE);

    cr_assert_not_null(strstr(failure.sentence, "square() argument 0"), "%s",
                       failure.sentence);
    ok(mp_future_close(future));
    future = submit(pool, square, MP_ARGS());
    (void)gets_error(future, MP_EINDEX);
    ok(mp_future_close(future));
    still_works(pool);
    cr_assert_eq(worker_pid(pool, 0), pid, "its worker has ended");
    end_pool(pool);
}

METHOD_TEST(pool, a_failed_check_fails_the_task_only)
{
    mp_pool *pool = make_pool(method, 1);
    int64_t pid = worker_pid(pool, 0);
    mp_future *future = submit(pool, check_failure, MP_ARGS());
    mp_failure failure = gets_error(future, MP_ENOTFOUND);

    cr_assert_not_null(strstr(failure.where, "test_pool.c:"), "%s",
                       failure.where);
    ok(mp_future_close(future));
    still_works(pool);
    cr_assert_eq(worker_pid(pool, 0), pid, "its worker has ended");
    end_pool(pool);
}

METHOD_TEST(pool, map_works_on_all_items_and_fails_with_the_first_failure)
{
    static const size_t chunksizes[] = {0, 1, 4, 100};
    mp_pool *pool = make_pool(method, WORKERS);

    for (size_t i = 0; i < sizeof(chunksizes) / sizeof(chunksizes[0]); i++) {
        mp_future *future = NULL;
        mp_failure failure;

        ok(mp_pool_map_async(pool, raise_at_sevens, numbers_to(50),
                             chunksizes[i], NULL, &future));
        failure = gets_error(future, MP_ERAISED);
        cr_assert_eq(failure.index, 3U, "%zu", failure.index);
        cr_assert_str_eq(failure.sentence, "no 3 here");
        ok(mp_future_close(future));
        for (int n = 0; n < 50; n++)
            cr_assert_eq(shared->counts[n], i + 1, "item %d", n);
    }
    end_pool(pool);
}

/* test_map_no_failfast */
Test(pool, large_failures_do_not_block_it)
{
    mp_pool *pool = make_pool(MP_START_DEFAULT, 2);
    mp_obj *out = NULL;

    for (int i = 0; i < 3; i++)
        fails(mp_pool_map(pool, raise_large, numbers_to(100), 10, &out),
              MP_ERAISED);
    end_pool(pool);
}

/* -- What cannot travel ---------------------------------------------------- */

METHOD_TEST(pool, arguments_that_cannot_travel_fail_their_call_only)
{
    mp_pool *pool = make_pool(method, 1);
    mp_obj *items = numbers_to(20), *out = NULL;

    fails(mp_pool_apply(pool, identity, MP_ARGS(mp_obj_pointer(&pool)), &out),
          MP_EPICKLE);
    ok(mp_obj_append(items, mp_obj_pointer(&pool)));
    fails(mp_pool_map(pool, identity, items, 4, &out), MP_EPICKLE);
    fails(mp_pool_apply(pool, identity, MP_ARGS(shared_array), &out),
          MP_EPICKLE);
    still_works(pool);
    end_pool(pool);
}

/* test_unpickleable_result */
METHOD_TEST(pool, a_result_that_cannot_travel_fails_its_task_only)
{
    mp_pool *pool = make_pool(method, 2);

    for (int i = 0; i < 20; i++) {
        mp_future *future = submit(pool, return_pointer, MP_ARGS(i));

        (void)gets_error(future, MP_EPICKLE);
        ok(mp_future_close(future));
    }
    cr_assert_eq(stats_of(pool).workers_died, 0U);
    still_works(pool);
    end_pool(pool);
}

Test(pool, of_a_chunk_only_the_items_that_cannot_travel_fail)
{
    mp_pool *pool = make_pool(MP_START_DEFAULT, 1);
    mp_iterator *iterator = NULL;
    mp_obj *value = NULL;

    ok(mp_pool_imap(pool, return_pointer_if_even, numbers_to(8), 4, NULL,
                    &iterator));
    for (int i = 0; i < 8; i++) {
        mp_error err = mp_iterator_next(iterator, POOL_PATIENCE, &value);

        cr_assert_eq(err, i % 2 == 0 ? MP_EPICKLE : MP_OK, "item %d: %s", i,
                     mp_error_name(err));
        if (err == MP_OK)
            mp_obj_unref(value);
    }
    ok(mp_iterator_close(iterator));
    end_pool(pool);
}

METHOD_TEST(pool, large_arguments_and_results_travel)
{
    mp_pool *pool = make_pool(method, 2);
    char *text = malloc(LARGE);
    mp_obj *value = NULL;
    size_t size = 0;

    cr_assert_not_null(text);
    memset(text, 'a', LARGE);
    for (int i = 0; i < 5; i++) {
        mp_future *future =
            submit(pool, count_bytes, MP_ARGS(MP_BYTES(text, LARGE)));

        ok(mp_pool_apply(pool, give_bytes, MP_ARGS(LARGE), &value));
        ok(mp_obj_len(value, &size));
        cr_assert_eq(size, (size_t)LARGE);
        mp_obj_unref(value);
        gives(future, "3145728");
        ok(mp_future_close(future));
    }
    free(text);
    end_pool(pool);
}

/* More than there is room for at once: they wait for each other. */
Test(pool, more_large_items_than_fit_at_once_are_worked_on)
{
    mp_pool_options options = {.max_bytes = 8 << 20};
    mp_pool *pool = make_pool_with(MP_START_DEFAULT, 2, options);
    char *text = malloc(1 << 20);
    mp_obj *items = MP_LIST(), *list = NULL;
    size_t count = 40, size;

    memset(text, 'a', 1 << 20);
    for (size_t i = 0; i < count; i++)
        ok(mp_obj_append(items, MP_BYTES(text, 1 << 20)));
    ok(mp_pool_map(pool, identity, items, 1, &list));
    for (size_t i = 0; i < count; i++) {
        const mp_obj *item;

        ok(mp_obj_item(list, (int64_t)i, &item));
        ok(mp_obj_len(item, &size));
        cr_assert_eq(size, (size_t)1 << 20);
    }
    mp_obj_unref(list);
    free(text);
    end_pool(pool);
}

Test(pool, what_never_fits_fails_and_nothing_else_does)
{
    mp_pool_options options = {.max_bytes = 4 << 20};
    mp_pool *pool = make_pool_with(MP_START_DEFAULT, 1, options);
    mp_future *future = submit(pool, give_bytes, MP_ARGS(16 << 20));
    char *text = calloc(1, 16 << 20);
    mp_obj *out = NULL;

    cr_assert_not_null(text);
    (void)gets_error(future, MP_ENOSPC);
    ok(mp_future_close(future));
    still_works(pool);
    fails(mp_pool_apply(pool, count_bytes, MP_ARGS(MP_BYTES(text, 16 << 20)),
                        &out),
          MP_ENOSPC);
    free(text);
    still_works(pool);
    end_pool(pool);
}

/* -- Ownership ------------------------------------------------------------- */

/* A list can be built up by its one owner only: that is us again. */
static void is_ours_alone(mp_obj *list, const char *what)
{
    cr_assert_eq(mp_obj_append(list, MP_BOX(1)), MP_OK, "%s: %s", what,
                 mp_error_message());
}

/* test_release_task_refs */
Test(pool, keeps_no_references_to_what_is_done)
{
    mp_pool *pool = make_pool(MP_START_DEFAULT, 2);
    mp_obj *arg = MP_LIST(1), *item = MP_LIST(2), *name = MP_LIST(3);
    mp_obj *out = NULL;
    mp_future *future;

    ok(mp_pool_apply(pool, identity, MP_ARGS(mp_obj_ref(arg)), &out));
    is_ours_alone(out, "the result of apply");
    mp_obj_unref(out);
    is_ours_alone(arg, "the argument of apply");
    ok(mp_pool_map(pool, identity, MP_LIST(mp_obj_ref(item)), 0, &out));
    is_ours_alone(out, "the result of map");
    mp_obj_unref(out);
    is_ours_alone(item, "the item of map");
    future = submit_with(
        pool, MP_TASK(describe_args), MP_ARGS(),
        (mp_task_options){.kwargs = MP_KWARGS("k", mp_obj_ref(name))});
    ok(mp_future_wait(future, POOL_PATIENCE));
    is_ours_alone(name, "the argument by name");
    ok(mp_future_close(future));
    end_pool(pool);
    mp_obj_unref(arg);
    mp_obj_unref(item);
    mp_obj_unref(name);
}

Test(pool, consumes_arguments_that_it_refuses)
{
    mp_pool *pool = make_pool(MP_START_DEFAULT, 1);
    mp_obj *arg = MP_LIST(1), *out = NULL;
    mp_future *future = NULL;

    fails(mp_pool_apply(NULL, square, MP_ARGS(mp_obj_ref(arg)), &out),
          MP_EINVAL);
    fails(mp_pool_map(pool, square, MP_DICT(1, mp_obj_ref(arg)), 0, &out),
          MP_ETYPE);
    fails(mp_pool_apply_async(
              pool, square, MP_LIST(1),
              &(mp_task_options){.kwargs = MP_KWARGS("k", mp_obj_ref(arg))},
              &future),
          MP_ETYPE);
    ok(mp_pool_close(pool));
    fails(mp_pool_apply(pool, square, MP_ARGS(mp_obj_ref(arg)), &out),
          MP_ESTATE);
    is_ours_alone(arg, "what was refused");
    mp_obj_unref(arg);
    ok(mp_pool_join(pool, POOL_PATIENCE));
    ok(mp_pool_destroy(pool));
    close_board();
}
