/* SPDX-License-Identifier: MIT */
/*
 * imap and imap_unordered: one result after the other, of items that may be
 * made on the way, and never more of them begun than was said.
 */
#include "support/pool.h"

enum { WORKERS = 3 };

/* -- Where items come from ------------------------------------------------- */

/* CPython's exception_throwing_generator(total, when). */
typedef struct source {
    int64_t total;
    int64_t when; /* it fails there; -1: never */
    int64_t given;
    int64_t asked; /* also after the end */
    uint64_t thread;
} source;

static mp_error give_number(void *context, mp_obj **item)
{
    source *it = context;

    it->asked++;
    it->thread = mpos_thread_id();
    if (it->given == it->when)
        return MP_EIO;
    if (it->given == it->total)
        return MP_EEOF;
    *item = MP_BOX(it->given++);
    return MP_OK;
}

static mp_error give_pointer(void *context, mp_obj **item)
{
    source *it = context;

    if (it->given == it->total)
        return MP_EEOF;
    *item = it->given == it->when ? mp_obj_pointer(it) : MP_BOX(it->given);
    it->given++;
    return MP_OK;
}

/* -- Tasks ----------------------------------------------------------------- */

static mp_obj *raise_at_thirds(mp_args *args)
{
    int64_t n = mp_arg_int(args, 0);

    if (n % 3 == 1)
        return mp_raise(MP_EKEY, "no %d here", (int)n);
    return MP_BOX(n);
}

/* -- Helpers --------------------------------------------------------------- */

#define has_ended(iterator) has_ended_at((iterator), __LINE__)

static void has_ended_at(mp_iterator *iterator, int line)
{
    for (int i = 0; i < 2; i++) {
        mp_obj *value = NULL;
        mp_error err = mp_iterator_next(iterator, POOL_PATIENCE, &value);

        cr_assert_eq(err, MP_EEOF, "line %d: %s", line, mp_error_name(err));
        cr_assert_null(value);
    }
}

/* All squares, in any order, and the end. */
static void gives_all_squares(mp_iterator *iterator, int64_t count)
{
    uint32_t *seen = calloc((size_t)count, sizeof(*seen));

    cr_assert_not_null(seen);
    for (int64_t i = 0; i < count; i++) {
        mp_obj *value = NULL;
        int64_t number = -1, root = 0;

        ok(mp_iterator_next(iterator, POOL_PATIENCE, &value));
        ok(mp_obj_as_int(value, &number));
        mp_obj_unref(value);
        while (root * root < number)
            root++;
        cr_assert(root * root == number && root < count, "%d", (int)number);
        cr_assert_eq(seen[root]++, 0U, "%d came twice", (int)number);
    }
    free(seen);
    has_ended(iterator);
}

static void gives_squares(mp_iterator *iterator, int64_t first, int64_t end)
{
    for (int64_t i = first; i < end; i++) {
        mp_obj *value = NULL;
        int64_t number = -1;

        ok(mp_iterator_next(iterator, POOL_PATIENCE, &value));
        ok(mp_obj_as_int(value, &number));
        mp_obj_unref(value);
        cr_assert_eq(number, i * i);
    }
}

/* -- imap ------------------------------------------------------------------ */

METHOD_TEST(pool_imap, gives_results_in_the_order_of_the_items)
{
    static const size_t chunksizes[] = {0, 1, 7, 100, 5000};
    mp_pool *pool = make_pool(method, WORKERS);

    for (size_t i = 0; i < sizeof(chunksizes) / sizeof(chunksizes[0]); i++) {
        mp_iterator *iterator = NULL;

        ok(mp_pool_imap(pool, square, numbers_to(500), chunksizes[i], NULL,
                        &iterator));
        gives_squares(iterator, 0, 500);
        has_ended(iterator);
        ok(mp_iterator_close(iterator));
    }
    end_pool(pool);
}

METHOD_TEST(pool_imap, unordered_gives_each_result_once)
{
    static const size_t chunksizes[] = {0, 1, 7, 5000};
    mp_pool *pool = make_pool(method, WORKERS);

    for (size_t i = 0; i < sizeof(chunksizes) / sizeof(chunksizes[0]); i++) {
        mp_iterator *iterator = NULL;

        ok(mp_pool_imap_unordered(pool, square, numbers_to(500), chunksizes[i],
                                  NULL, &iterator));
        gives_all_squares(iterator, 500);
        ok(mp_iterator_close(iterator));
    }
    end_pool(pool);
}

Test(pool_imap, of_nothing_has_ended)
{
    mp_pool *pool = make_pool(MP_START_DEFAULT, 1);
    source none = {.total = 0, .when = -1};
    mp_iterator *iterator = NULL;

    ok(mp_pool_imap(pool, square, MP_LIST(), 1, NULL, &iterator));
    has_ended(iterator);
    ok(mp_iterator_close(iterator));
    ok(mp_pool_imap_unordered(pool, square, MP_TUPLE(), 3, NULL, &iterator));
    has_ended(iterator);
    ok(mp_iterator_close(iterator));
    ok(mp_pool_imap_from(pool, square, give_number, &none, 2, NULL, &iterator));
    has_ended(iterator);
    ok(mp_iterator_close(iterator));
    end_pool(pool);
}

Test(pool_imap, ordered_waits_for_the_first_and_unordered_does_not)
{
    mp_pool *pool = make_pool(MP_START_DEFAULT, 2);
    mp_iterator *iterator = NULL;
    mp_obj *value = NULL;

    ok(mp_pool_imap(pool, delay_the_first, numbers_to(4), 1, NULL, &iterator));
    await_came(3);
    cr_assert_eq(mp_iterator_next(iterator, POOL_MOMENT, &value), MP_TIMED_OUT);
    cr_assert_eq(mp_iterator_next(iterator, 0, &value), MP_TIMED_OUT);
    cr_assert_null(value);
    open_gate();
    next_is(iterator, "0");
    next_is(iterator, "1");
    ok(mp_iterator_close(iterator));
    close_gate();
    ok(mp_pool_imap_unordered(pool, delay_the_first, numbers_to(4), 1, NULL,
                              &iterator));
    next_is(iterator, "1");
    next_is(iterator, "2");
    next_is(iterator, "3");
    cr_assert_eq(mp_iterator_next(iterator, 0, &value), MP_TIMED_OUT);
    open_gate();
    next_is(iterator, "0");
    has_ended(iterator);
    ok(mp_iterator_close(iterator));
    end_pool(pool);
}

METHOD_TEST(pool_imap, a_failed_item_is_reported_in_its_place)
{
    static const size_t chunksizes[] = {1, 2, 5, 100};
    mp_pool *pool = make_pool(method, WORKERS);

    for (size_t i = 0; i < sizeof(chunksizes) / sizeof(chunksizes[0]); i++) {
        mp_iterator *iterator = NULL;
        mp_failure failure = {.code = MP_OK};

        ok(mp_pool_imap(pool, raise_at_thirds, numbers_to(30), chunksizes[i],
                        NULL, &iterator));
        fails(mp_iterator_failure(iterator, &failure), MP_ESTATE);
        for (size_t n = 0; n < 30; n++) {
            mp_obj *value = NULL;
            mp_error err = mp_iterator_next(iterator, POOL_PATIENCE, &value);

            cr_assert_eq(err, n % 3 == 1 ? MP_EKEY : MP_OK, "item %zu: %s", n,
                         mp_error_name(err));
            mp_obj_unref(value);
            if (err == MP_OK)
                continue;
            ok(mp_iterator_failure(iterator, &failure));
            cr_assert_eq(failure.code, MP_EKEY);
            cr_assert_eq(failure.index, n, "%zu", failure.index);
            cr_assert_not_null(strstr(failure.where, "raise_at_thirds()"));
        }
        has_ended(iterator);
        ok(mp_iterator_close(iterator));
    }
    end_pool(pool);
}

Test(pool_imap, unordered_reports_each_failed_item_once)
{
    mp_pool *pool = make_pool(MP_START_DEFAULT, 2);
    mp_iterator *iterator = NULL;
    unsigned seen[30] = {0};

    ok(mp_pool_imap_unordered(pool, raise_at_thirds, numbers_to(30), 4, NULL,
                              &iterator));
    for (size_t n = 0; n < 30; n++) {
        mp_failure failure = {.code = MP_OK};
        mp_obj *value = NULL;
        int64_t number = -1;

        if (mp_iterator_next(iterator, POOL_PATIENCE, &value) == MP_OK) {
            ok(mp_obj_as_int(value, &number));
        } else {
            ok(mp_iterator_failure(iterator, &failure));
            cr_assert_eq(failure.code, MP_EKEY);
            number = (int64_t)failure.index;
            cr_assert_eq(number % 3, 1);
        }
        mp_obj_unref(value);
        cr_assert(number >= 0 && number < 30);
        cr_assert_eq(seen[number]++, 0U, "%d came twice", (int)number);
    }
    has_ended(iterator);
    ok(mp_iterator_close(iterator));
    end_pool(pool);
}

/* -- Items that are made on the way ---------------------------------------- */

METHOD_TEST(pool_imap, takes_items_from_a_function)
{
    mp_pool *pool = make_pool(method, WORKERS);

    for (size_t chunksize = 0; chunksize < 20; chunksize += 3) {
        source it = {.total = 100, .when = -1};
        mp_iterator *iterator = NULL;

        ok(mp_pool_imap_from(pool, square, give_number, &it, chunksize, NULL,
                             &iterator));
        gives_squares(iterator, 0, 100);
        has_ended(iterator);
        cr_assert_eq(it.thread, mpos_thread_id());
        ok(mp_iterator_close(iterator));
        it = (source){.total = 100, .when = -1};
        ok(mp_pool_imap_unordered_from(pool, square, give_number, &it,
                                       chunksize, NULL, &iterator));
        gives_all_squares(iterator, 100);
        cr_assert_eq(it.asked, 101, "asked again after the end");
        ok(mp_iterator_close(iterator));
    }
    end_pool(pool);
}

static mp_error give_no_error(void *context, mp_obj **out)
{
    (void)context;
    (void)out;
    return MP_TIMED_OUT;
}

Test(pool_imap, a_source_that_gives_neither_item_nor_error_has_failed)
{
    mp_pool *pool = make_pool(MP_START_DEFAULT, 1);
    mp_iterator *iterator = NULL;
    mp_obj *value = NULL;

    ok(mp_pool_imap_from(pool, square, give_no_error, NULL, 1, NULL,
                         &iterator));
    fails(mp_iterator_next(iterator, POOL_PATIENCE, &value), MP_EINVAL);
    cr_assert_null(value);
    has_ended(iterator);
    ok(mp_iterator_close(iterator));
    end_pool(pool);
}

/* test_imap_handle_iterable_exception; items before it are not lost here, even
 * if they are of the same chunk. */
METHOD_TEST(pool_imap, failure_of_the_source_is_delivered_in_its_place)
{
    static const struct {
        int64_t total, when;
        size_t chunksize;
    } cases[] = {{1, 0, 1}, {10, 3, 1}, {20, 7, 2}, {20, 7, 4}, {20, 0, 4}};
    mp_pool *pool = make_pool(method, WORKERS);

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        source it = {.total = cases[i].total, .when = cases[i].when};
        mp_iterator *iterator = NULL;
        mp_failure failure = {.code = MP_OK};
        mp_obj *value = NULL;

        ok(mp_pool_imap_from(pool, square, give_number, &it, cases[i].chunksize,
                             NULL, &iterator));
        gives_squares(iterator, 0, cases[i].when);
        fails(mp_iterator_next(iterator, POOL_PATIENCE, &value), MP_EIO);
        cr_assert_null(value);
        ok(mp_iterator_failure(iterator, &failure));
        cr_assert_eq(failure.code, MP_EIO);
        cr_assert_eq(failure.index, (size_t)cases[i].when);
        has_ended(iterator);
        cr_assert_eq(it.asked, cases[i].when + 1, "asked after its failure");
        ok(mp_iterator_close(iterator));
    }
    end_pool(pool);
}

Test(pool_imap, unordered_delivers_the_failure_of_the_source_once)
{
    mp_pool *pool = make_pool(MP_START_DEFAULT, 2);
    source it = {.total = 20, .when = 7};
    mp_iterator *iterator = NULL;
    unsigned values = 0, failures = 0;

    ok(mp_pool_imap_unordered_from(pool, square, give_number, &it, 2, NULL,
                                   &iterator));
    for (;;) {
        mp_obj *value = NULL;
        mp_error err = mp_iterator_next(iterator, POOL_PATIENCE, &value);

        if (err == MP_EEOF)
            break;
        cr_assert(err == MP_OK || err == MP_EIO, "%s", mp_error_name(err));
        values += err == MP_OK;
        failures += err == MP_EIO;
        mp_obj_unref(value);
    }
    cr_assert_eq(failures, 1U);
    cr_assert_eq(values, 7U);
    ok(mp_iterator_close(iterator));
    end_pool(pool);
}

/* It is one chunk that can't travel, or one item. */
Test(pool_imap, an_item_that_cannot_travel_fails_and_the_rest_goes_on)
{
    mp_pool *pool = make_pool(MP_START_DEFAULT, 2);
    source it = {.total = 8, .when = 3};
    mp_iterator *iterator = NULL;

    ok(mp_pool_imap_from(pool, identity, give_pointer, &it, 1, NULL,
                         &iterator));
    for (int n = 0; n < 8; n++) {
        mp_obj *value = NULL;
        mp_error err = mp_iterator_next(iterator, POOL_PATIENCE, &value);

        cr_assert_eq(err, n == 3 ? MP_EPICKLE : MP_OK, "item %d: %s", n,
                     mp_error_name(err));
        mp_obj_unref(value);
    }
    has_ended(iterator);
    ok(mp_iterator_close(iterator));
    end_pool(pool);
}

/* -- What is in flight ----------------------------------------------------- */

METHOD_TEST(pool_imap, no_more_is_begun_than_was_said)
{
    mp_pool *pool = make_pool(method, 2);
    mp_task_options options = {.in_flight = 6};
    source it = {.total = 100, .when = -1};
    mp_iterator *iterator = NULL;

    ok(mp_pool_imap_from(pool, square, give_number, &it, 2, &options,
                         &iterator));
    cr_assert_leq(it.given, 6, "%d", (int)it.given);
    for (int64_t i = 0; i < 100; i++) {
        gives_squares(iterator, i, i + 1);
        cr_assert_leq(it.given, i + 1 + 6, "%d at %d", (int)it.given, (int)i);
    }
    has_ended(iterator);
    ok(mp_iterator_close(iterator));
    end_pool(pool);
}

Test(pool_imap, only_four_chunks_for_each_worker_are_begun_unless_told)
{
    mp_pool *pool = make_pool(MP_START_DEFAULT, 2);
    source it = {.total = 1000, .when = -1};
    mp_iterator *iterator = NULL;

    ok(mp_pool_imap_from(pool, square, give_number, &it, 3, NULL, &iterator));
    cr_assert_leq(it.given, 4 * 2 * 3, "%d", (int)it.given);
    gives_squares(iterator, 0, 1000);
    has_ended(iterator);
    ok(mp_iterator_close(iterator));
    end_pool(pool);
}

/* A chunk has to go even if it is more than that. */
Test(pool_imap, a_bound_below_the_chunksize_does_not_block)
{
    mp_pool *pool = make_pool(MP_START_DEFAULT, 2);
    mp_task_options options = {.in_flight = 1};
    source it = {.total = 50, .when = -1};
    mp_iterator *iterator = NULL;

    ok(mp_pool_imap_from(pool, square, give_number, &it, 8, &options,
                         &iterator));
    gives_squares(iterator, 0, 50);
    has_ended(iterator);
    ok(mp_iterator_close(iterator));
    end_pool(pool);
}

METHOD_TEST(pool_imap, closing_drops_what_no_worker_has_begun)
{
    mp_pool *pool = make_pool(method, 1);
    mp_task_options options = {.in_flight = 10};
    mp_iterator *iterator = NULL;

    ok(mp_pool_imap(pool, pass_gate, numbers_to(10), 1, &options, &iterator));
    await_came(1);
    ok(mp_iterator_close(iterator));
    open_gate();
    still_works(pool);
    cr_assert_eq(shared->came, 1U, "%u", (unsigned)shared->came);
    end_pool(pool);
}

Test(pool_imap, iterators_are_independent)
{
    mp_pool *pool = make_pool(MP_START_DEFAULT, 2);
    mp_iterator *iterators[5];

    for (int i = 0; i < 5; i++)
        ok(mp_pool_imap(pool, square, numbers_to(100), (size_t)i, NULL,
                        &iterators[i]));
    for (int64_t n = 0; n < 100; n++)
        for (int i = 4; i >= 0; i--)
            gives_squares(iterators[i], n, n + 1);
    for (int i = 0; i < 5; i++) {
        has_ended(iterators[i]);
        ok(mp_iterator_close(iterators[i]));
    }
    end_pool(pool);
}

METHOD_TEST(pool_imap, a_dead_worker_costs_the_items_of_its_chunk)
{
    mp_pool *pool = make_pool(method, 2);
    mp_iterator *iterator = NULL;
    mp_failure failure = {.code = MP_OK};
    mp_obj *value = NULL;

    ok(mp_pool_imap(pool, kill_itself, numbers_to(2), 1, NULL, &iterator));
    for (size_t i = 0; i < 2; i++) {
        fails(mp_iterator_next(iterator, POOL_PATIENCE, &value),
              MP_EWORKERDIED);
        ok(mp_iterator_failure(iterator, &failure));
        cr_assert_eq(failure.exitcode, -9);
        cr_assert_eq(failure.index, i);
    }
    has_ended(iterator);
    ok(mp_iterator_close(iterator));
    still_works(pool);
    end_pool(pool);
}

/* -- Wrong use and the end ------------------------------------------------- */

static void ignore(void *context, mp_obj *value)
{
    (void)context;
    mp_obj_unref(value);
}

Test(pool_imap, refuses_wrong_arguments)
{
    mp_pool *pool = make_pool(MP_START_DEFAULT, 1);
    mp_iterator *iterator = NULL;
    mp_failure failure;
    mp_obj *value = NULL;

    fails(mp_pool_imap(pool, square, MP_LIST(1), 1, NULL, NULL), MP_EINVAL);
    fails(mp_pool_imap_from(pool, square, NULL, NULL, 1, NULL, &iterator),
          MP_EINVAL);
    fails(mp_pool_imap_unordered_from(pool, square, NULL, NULL, 1, NULL,
                                      &iterator),
          MP_EINVAL);
    fails(mp_pool_imap(pool, square, MP_LIST(1), (size_t)UINT32_MAX + 1, NULL,
                       &iterator),
          MP_EINVAL);
    fails(mp_pool_imap(pool, square, MP_LIST(1), 1,
                       &(mp_task_options){.callback = ignore,
                                          .kwargs = MP_KWARGS("x", 2)},
                       &iterator),
          MP_EINVAL);
    cr_assert_null(iterator);
    ok(mp_pool_imap(pool, square, MP_LIST(1), 1, NULL, &iterator));
    fails(mp_iterator_next(iterator, 0, NULL), MP_EINVAL);
    fails(mp_iterator_failure(iterator, NULL), MP_EINVAL);
    fails(mp_iterator_failure(NULL, &failure), MP_EINVAL);
    next_is(iterator, "1");
    ok(mp_pool_close(pool));
    fails(mp_pool_imap(pool, square, MP_LIST(1), 1, NULL, &iterator),
          MP_ESTATE);
    cr_assert_eq(mp_iterator_next(iterator, 0, &value), MP_EEOF);
    ok(mp_iterator_close(iterator));
    ok(mp_pool_join(pool, POOL_PATIENCE));
    ok(mp_pool_destroy(pool));
    close_board();
}

/* pool.close() lets it come to its end. */
METHOD_TEST(pool_imap, goes_on_after_close)
{
    mp_pool *pool = make_pool(method, 2);
    source it = {.total = 200, .when = -1};
    mp_iterator *iterator = NULL;

    ok(mp_pool_imap_from(pool, square, give_number, &it, 1, NULL, &iterator));
    ok(mp_pool_close(pool));
    gives_squares(iterator, 0, 200);
    has_ended(iterator);
    ok(mp_iterator_close(iterator));
    ok(mp_pool_join(pool, POOL_PATIENCE));
    ok(mp_pool_destroy(pool));
    close_board();
}

METHOD_TEST(pool_imap, ends_with_an_error_when_the_pool_is_terminated)
{
    mp_pool *pool = make_pool(method, 1);
    mp_iterator *iterator = NULL;
    mp_obj *value = NULL;
    mp_error err;
    int count = 0;

    ok(mp_pool_imap(pool, pass_gate, numbers_to(3), 1, NULL, &iterator));
    await_came(1);
    ok(mp_pool_terminate(pool));
    while ((err = mp_iterator_next(iterator, POOL_PATIENCE, &value)) ==
           MP_ECANCELLED)
        count++;
    cr_assert_eq(err, MP_EEOF, "%s", mp_error_name(err));
    cr_assert(count >= 1 && count <= 3, "%d", count);
    ok(mp_pool_join(pool, POOL_PATIENCE));
    ok(mp_pool_destroy(pool));
    ok(mp_iterator_close(iterator));
    close_board();
}

Test(pool_imap, an_iterator_outlives_its_pool)
{
    mp_pool *pool = make_pool(MP_START_DEFAULT, 1);
    mp_iterator *iterator = NULL;

    ok(mp_pool_imap(pool, square, numbers_to(3), 1, NULL, &iterator));
    ok(mp_pool_close(pool));
    ok(mp_pool_join(pool, POOL_PATIENCE));
    ok(mp_pool_destroy(pool));
    gives_squares(iterator, 0, 3);
    has_ended(iterator);
    ok(mp_iterator_close(iterator));
    close_board();
}
