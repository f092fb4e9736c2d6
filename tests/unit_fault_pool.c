/* SPDX-License-Identifier: MIT */
/*
 * Pools with every call into the system, and every allocation, made to fail
 * once, in the thread that calls: what fails says so, leaves the pool as it was
 * and leaks nothing. What a task was made for it then has, or an error; it is
 * never without an answer.
 */
#include "support/fault.h"
#include "support/pool.h"

#include <stdio.h>

static const mp_error errors[] = {MP_ENOMEM, MP_EMFILE, MP_EIO};

enum {
    ERRORS = sizeof(errors) / sizeof(errors[0]),
    FEW = 5,
    LARGE = 100000,
};

static char text[LARGE];

/* One will do where processes are slow to start. */
static int error_count(void)
{
    return mpos_system.has_fork ? ERRORS : 1;
}

/* -- Making one ------------------------------------------------------------ */

static mp_error make_one(mp_pool **out)
{
    mp_pool_options options = {.initializer = enter_pool};

    options.initargs = MP_ARGS(shared_array);
    return mp_pool_create(out, 2, &options);
}

/* As it should be. */
static void use_up(mp_pool *pool)
{
    still_works(pool);
    ok(mp_pool_close(pool));
    ok(mp_pool_join(pool, POOL_PATIENCE));
    ok(mp_pool_destroy(pool));
}

static void make_with_faults(mp_error error, size_t handles)
{
    fault it = {.error = error};

    while (!it.has_ended) {
        mp_pool *pool = NULL;
        mp_error err;

        fault_arm(&it);
        err = make_one(&pool);
        cr_assert_eq(pool == NULL, err != MP_OK);
        if (!fault_failed(&it, err))
            use_up(pool);
        cr_assert_not(support_has_children(), "call %ld", it.n);
        /* Memory that is kept for the next one may be gone. */
        cr_assert_leq(support_open_handles(), handles, "call %ld", it.n);
    }
    cr_assert_gt(it.failures, 20U, "only %zu", it.failures);
}

Test(fault_pool, making_one_fails_cleanly, .timeout = 120)
{
    mp_pool *pool = NULL;
    size_t handles;

    open_board();
    ok(make_one(&pool));
    use_up(pool);
    handles = support_open_handles();
    for (int i = 0; i < error_count(); i++)
        make_with_faults(errors[i], handles);
    close_board();
}

/* -- Using one ------------------------------------------------------------- */

/* With a value that is checked, or an error: then nothing has come of it. */
typedef mp_error (*operation)(mp_pool *pool);

static mp_error apply_one(mp_pool *pool)
{
    mp_obj *value = NULL;
    mp_error err = mp_pool_apply(pool, square, MP_ARGS(7), &value);
    int64_t number = 0;

    cr_assert_eq(value == NULL, err != MP_OK);
    if (err == MP_OK)
        cr_assert(mp_obj_as_int(value, &number) == MP_OK && number == 49);
    mp_obj_unref(value);
    return err;
}

static mp_error apply_large(mp_pool *pool)
{
    mp_obj *value = NULL;
    mp_error err =
        mp_pool_apply(pool, identity, MP_ARGS(MP_BYTES(text, LARGE)), &value);
    size_t size = 0;

    cr_assert_eq(value == NULL, err != MP_OK);
    if (err == MP_OK)
        cr_assert(mp_obj_len(value, &size) == MP_OK && size == LARGE);
    mp_obj_unref(value);
    return err;
}

static mp_error apply_failing(mp_pool *pool)
{
    mp_obj *value = NULL;
    mp_error err = mp_pool_apply(pool, raise_in_it, MP_ARGS(1), &value);

    cr_assert_null(value);
    return err == MP_EKEY ? MP_OK : err;
}

static mp_error map_some(mp_pool *pool)
{
    mp_obj *list = NULL;
    mp_error err = mp_pool_map(pool, square, MP_LIST(0, 1, 2, 3, 4), 2, &list);
    size_t size = 0;

    cr_assert_eq(list == NULL, err != MP_OK);
    if (err == MP_OK)
        cr_assert(mp_obj_len(list, &size) == MP_OK && size == FEW);
    mp_obj_unref(list);
    return err;
}

static mp_error starmap_some(mp_pool *pool)
{
    mp_obj *list = NULL;
    mp_error err = mp_pool_starmap(pool, square,
                                   MP_LIST(MP_TUPLE(0), MP_TUPLE(1)), 1, &list);

    cr_assert_eq(list == NULL, err != MP_OK);
    mp_obj_unref(list);
    return err;
}

static mp_error submit_one(mp_pool *pool)
{
    mp_future *future = NULL;
    mp_error err = mp_pool_submit(pool, square, MP_ARGS(7), &future);
    mp_obj *value = NULL;

    cr_assert_eq(future == NULL, err != MP_OK);
    if (err != MP_OK)
        return err;
    err = mp_future_get(future, POOL_PATIENCE, &value);
    cr_assert_eq(value == NULL, err != MP_OK);
    mp_obj_unref(value);
    cr_assert_eq(mp_future_close(future), MP_OK);
    return err;
}

static void ignore_value(void *context, mp_obj *value)
{
    (void)context;
    (void)value;
}

static void ignore_future(void *context, mp_future *future)
{
    (void)future;
    mp_fetch_add((uint32_t *)context, 1);
}

/* Each done-callback that was added is called, and no other. */
static mp_error call_back(mp_pool *pool)
{
    mp_task_options options = {.callback = ignore_value,
                               .kwargs = MP_KWARGS("n", 1)};
    mp_future *future = NULL;
    uint32_t calls = 0, added = 0;
    mp_error err =
        mp_pool_apply_async(pool, do_nothing, MP_ARGS(), &options, &future);

    if (err != MP_OK)
        return err;
    for (int i = 0; i < 3 && err == MP_OK; i++) {
        err = mp_future_add_done_callback(future, ignore_future, &calls);
        added += err == MP_OK;
    }
    mpi_fault_disarm(NULL, NULL);
    ok(mp_future_wait(future, POOL_PATIENCE));
    ok(mp_future_close(future));
    await_number(&calls, added, __LINE__);
    return err;
}

static mp_error iterate(mp_pool *pool, bool is_ordered, size_t in_flight)
{
    mp_task_options options = {.in_flight = in_flight};
    mp_iterator *iterator = NULL;
    mp_obj *value = NULL;
    int answers = 0;
    mp_error err, worst = MP_OK;

    err = is_ordered
              ? mp_pool_imap(pool, square, MP_LIST(0, 1, 2, 3, 4), 2, &options,
                             &iterator)
              : mp_pool_imap_unordered(pool, square, MP_LIST(0, 1, 2, 3, 4), 2,
                                       &options, &iterator);
    cr_assert_eq(iterator == NULL, err != MP_OK);
    if (err != MP_OK)
        return err;
    while ((err = mp_iterator_next(iterator, POOL_PATIENCE, &value)) !=
           MP_EEOF) {
        answers++;
        cr_assert_leq(answers, 2 * FEW, "it does not end: %s",
                      mp_error_name(err));
        if (err != MP_OK)
            worst = err;
        else
            mp_obj_unref(value);
    }
    if (worst == MP_OK)
        cr_assert_eq(answers, FEW);
    cr_assert_eq(mp_iterator_close(iterator), MP_OK);
    return worst;
}

static mp_error iterate_in_order(mp_pool *pool)
{
    return iterate(pool, true, 0);
}

static mp_error iterate_with_a_bound(mp_pool *pool)
{
    return iterate(pool, true, 3);
}

static mp_error iterate_in_any_order(mp_pool *pool)
{
    return iterate(pool, false, 0);
}

static mp_error wait_for_two(mp_pool *pool)
{
    mp_future *futures[2] = {NULL, NULL};
    size_t index = 0;
    mp_error err = mp_pool_submit(pool, square, MP_ARGS(1), &futures[0]);

    if (err == MP_OK)
        err = mp_pool_submit(pool, square, MP_ARGS(2), &futures[1]);
    if (err == MP_OK)
        err = mp_futures_wait(futures, 2, MP_ALL_COMPLETED, POOL_PATIENCE);
    if (err == MP_OK)
        err = mp_as_completed(futures, 2, 0, &index);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(mp_future_close(futures[i]), MP_OK);
    return err;
}

static mp_error cancel_one(mp_pool *pool)
{
    mp_future *future = NULL;
    mp_error err = mp_pool_submit(pool, square, MP_ARGS(1), &future);

    if (err != MP_OK)
        return err;
    err = mp_future_cancel(future);
    (void)mp_future_running(future);
    (void)mp_future_ready(future);
    cr_assert_eq(mp_future_close(future), MP_OK);
    return err == MP_ESTATE ? MP_OK : err;
}

static mp_error look(mp_pool *pool)
{
    mp_worker_stats workers[2];
    mp_pool_stats stats;

    return mp_pool_get_stats(pool, &stats, workers, 2);
}

static const operation operations[] = {
    apply_one,
    apply_large,
    apply_failing,
    map_some,
    starmap_some,
    submit_one,
    call_back,
    iterate_in_order,
    iterate_with_a_bound,
    iterate_in_any_order,
    wait_for_two,
    cancel_one,
    look,
};

enum { OPERATIONS = sizeof(operations) / sizeof(operations[0]) };

/* It ends when several rounds in a row had no call to fail: how many there are
 * depends on who takes in the result. */
static size_t use_with_faults(mp_pool *pool, operation use, mp_error error)
{
    int quiet = 0;
    size_t failures = 0;

    for (long n = 1; quiet < 3; n++) {
        bool was_hit;
        mp_error err;

        cr_assert_lt(n, 2L * FAULT_MOST_CALLS);
        mpi_fault_arm(n, error);
        err = use(pool);
        was_hit = mpi_fault_disarm(NULL, NULL);
        quiet = was_hit || err != MP_OK ? 0 : quiet + 1;
        failures += err != MP_OK;
        if (err != MP_OK)
            cr_assert_str_not_empty(mp_error_message());
        err = use(pool);
        cr_assert_eq(err, MP_OK, "after call %ld: %s: %s", n,
                     mp_error_name(err), mp_error_message());
    }
    return failures;
}

Test(fault_pool, what_is_asked_of_it_fails_cleanly, .timeout = 120)
{
    mp_pool_options options = {.max_bytes = 4 << 20};
    mp_pool *pool;
    size_t handles, failures = 0;

    pool = make_pool_with(MP_START_SPAWN, 2, options);
    for (int i = 0; i < OPERATIONS; i++)
        ok(operations[i](pool));
    handles = support_open_handles();
    for (int i = 0; i < OPERATIONS; i++)
        for (int n = 0; n < ERRORS; n++) {
            failures += use_with_faults(pool, operations[i], errors[n]);
            /* One or two may be opened once only, late. */
            cr_assert_leq(support_open_handles(), handles + 2,
                          "operation %d, error %d: %zu, not %zu", i, n,
                          support_open_handles(), handles);
        }
    cr_assert_gt(failures, 50U, "only %zu", failures);
    still_works(pool);
    cr_assert_eq(stats_of(pool).workers_died, 0U);
    cr_assert_eq(stats_of(pool).tasks_running, 0U);
    cr_assert_eq(stats_of(pool).tasks_waiting, 0U);
    end_pool(pool);
    has_no_children();
}

/* -- Ending one ------------------------------------------------------------ */

static mp_error close_and_join(mp_pool *pool)
{
    mp_error err = mp_pool_close(pool);

    return err == MP_OK ? mp_pool_join(pool, POOL_PATIENCE) : err;
}

static mp_error terminate_and_join(mp_pool *pool)
{
    mp_error err = mp_pool_terminate(pool);

    return err == MP_OK ? mp_pool_join(pool, POOL_PATIENCE) : err;
}

static mp_error just_destroy(mp_pool *pool)
{
    (void)pool;
    return MP_OK;
}

static void end_with_faults(operation end, mp_error error)
{
    fault it = {.error = error};

    while (!it.has_ended) {
        mp_pool *pool = NULL;
        mp_future *future;
        mp_error err;

        ok(make_one(&pool));
        future = submit(pool, square, MP_ARGS(4));
        fault_arm(&it);
        err = end(pool);
        if (err == MP_OK)
            err = mp_pool_destroy(pool);
        if (fault_failed(&it, err))
            ok(mp_pool_destroy(pool));
        ok(mp_future_wait(future, 0));
        ok(mp_future_close(future));
        cr_assert_not(support_has_children(), "call %ld", it.n);
    }
}

Test(fault_pool, its_end_is_an_end, .timeout = 120)
{
    static const operation ends[] = {close_and_join, terminate_and_join,
                                     just_destroy};
    mp_pool *pool = NULL;
    size_t handles;

    open_board();
    ok(make_one(&pool));
    ok(mp_pool_destroy(pool));
    handles = support_open_handles();
    for (int i = 0; i < 3; i++)
        for (int n = 0; n < error_count(); n++)
            end_with_faults(ends[i], errors[n]);
    cr_assert_eq(support_open_handles(), handles);
    close_board();
}

/* -- In a callback --------------------------------------------------------- */

/* The pool's own thread: what it does after this, for the results that come
 * next, has a call that fails. */
typedef struct sabotage {
    long n;
    mp_error error;
} sabotage;

static void arm_here(void *context, mp_obj *value)
{
    const sabotage *it = context;

    (void)value;
    mpi_fault_arm(it->n, it->error);
}

static void disarm_here(void *context, mp_obj *value)
{
    (void)value;
    mpi_fault_disarm(NULL, NULL);
    mp_fetch_add((uint32_t *)context, 1);
}

static void disarm_at_failure(void *context, const mp_failure *failure)
{
    (void)failure;
    disarm_here(context, NULL);
}

Test(fault_pool, results_that_its_own_thread_cannot_take_in_fail,
     .timeout = 120)
{
    mp_pool *pool = make_pool(MP_START_SPAWN, 1);
    size_t failures = 0;

    for (int n = 1; n < 60; n++) {
        sabotage it = {n, MP_ENOMEM};
        mp_task_options arm = {.callback = arm_here, .context = &it};
        mp_task_options none = {.callback = ignore_value};
        uint32_t disarmed = 0;
        mp_task_options disarm = {.callback = disarm_here,
                                  .error_callback = disarm_at_failure,
                                  .context = &disarmed};
        mp_future *futures[6];

        ok(mp_pool_apply_async(pool, do_nothing, MP_ARGS(), &arm, NULL));
        for (int i = 0; i < 6; i++)
            futures[i] =
                submit_with(pool, MP_TASK(identity),
                            MP_ARGS(MP_LIST(i, MP_BYTES(text, 1000))), none);
        mp_sleep(0.003); /* who waits would take them in by itself */
        for (int i = 0; i < 6; i++) {
            mp_obj *value = NULL;
            mp_error err = mp_future_get(futures[i], POOL_PATIENCE, &value);

            cr_assert(err == MP_OK || err == MP_ENOMEM, "%s",
                      mp_error_name(err));
            failures += err != MP_OK;
            mp_obj_unref(value);
            ok(mp_future_close(futures[i]));
        }
        ok(mp_pool_apply_async(pool, do_nothing, MP_ARGS(), &disarm, NULL));
        await_number(&disarmed, 1, __LINE__);
        still_works(pool);
    }
    cr_log_info("%zu results could not be taken in", failures);
    end_pool(pool);
}
