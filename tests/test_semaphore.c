/* SPDX-License-Identifier: MIT */
/* Semaphore and BoundedSemaphore: permits, bounds, time, death, wrong use. */
#include "support/expect.h"
#include "support/methods.h"
#include "support/system.h"
#include "support/threads.h"

#include "os.h"
#include "os_fault.h"

#include <signal.h>

enum { ROUNDS = 200, THREADS = 4 };

/* -- Helpers --------------------------------------------------------------- */

static mp_semaphore *make(int64_t value)
{
    mp_semaphore *semaphore = NULL;

    ok(mp_semaphore_create(&semaphore, value));
    return semaphore;
}

static mp_semaphore *make_bounded(int64_t value)
{
    mp_semaphore *semaphore = NULL;

    ok(mp_bounded_semaphore_create(&semaphore, value));
    return semaphore;
}

static int64_t value_of(mp_semaphore *semaphore)
{
    int64_t value = -1;

    ok(mp_semaphore_get_value(semaphore, &value));
    return value;
}

/* -- Targets --------------------------------------------------------------- */

static int take_all(mp_args *args)
{
    mp_semaphore *semaphore = mp_arg_semaphore(args, 0);

    while (mp_semaphore_acquire(semaphore, 0) == MP_OK)
        ;
    return 0;
}

static int give_three(mp_args *args)
{
    mp_semaphore *semaphore = mp_arg_semaphore(args, 0);

    mp_check(mp_semaphore_release(semaphore));
    mp_check(mp_semaphore_release_many(semaphore, 2));
    return 0;
}

static int answer(mp_args *args)
{
    mp_semaphore *ask = mp_arg_semaphore(args, 0);
    mp_semaphore *reply = mp_arg_semaphore(args, 1);

    for (size_t i = support_scaled(ROUNDS); i > 0; i--) {
        mp_check(mp_semaphore_acquire(ask, MP_FOREVER));
        mp_check(mp_semaphore_release(reply));
    }
    return 0;
}

/* `free_places` has as many permits as the first; one must be there. */
static int work_inside(mp_args *args)
{
    mp_semaphore *semaphore = mp_arg_semaphore(args, 0);
    mp_semaphore *free_places = mp_arg_semaphore(args, 1);

    for (size_t i = support_scaled(ROUNDS); i > 0; i--) {
        mp_check(mp_semaphore_acquire(semaphore, MP_FOREVER));
        if (mp_semaphore_acquire(free_places, 0) != MP_OK)
            return 1;
        mp_check(mp_semaphore_release(free_places));
        mp_check(mp_semaphore_release(semaphore));
    }
    return 0;
}

/* Says that it is about to wait. */
static int wait_for_one(mp_args *args)
{
    mp_semaphore *semaphore = mp_arg_semaphore(args, 0);

    mp_check(mp_semaphore_release(mp_arg_semaphore(args, 1)));
    return mp_semaphore_acquire(semaphore, 10) == MP_OK ? 0 : 1;
}

static int take_and_hang(mp_args *args)
{
    mp_check(mp_semaphore_acquire(mp_arg_semaphore(args, 0), MP_FOREVER));
    mp_check(mp_semaphore_release(mp_arg_semaphore(args, 1)));
    pause_for(60);
    return 0;
}

/* -- Between processes ----------------------------------------------------- */

METHOD_TEST(semaphore, permits_are_the_same_in_a_child)
{
    mp_semaphore *semaphore = make(3);

    cr_assert_eq(support_run(method, take_all, MP_ARGS(semaphore)), 0);
    cr_assert_eq(value_of(semaphore), 0);
    cr_assert_eq(mp_semaphore_acquire(semaphore, 0), MP_TIMED_OUT);
    ok(mp_semaphore_close(semaphore));
}

METHOD_TEST(semaphore, who_never_acquired_may_release)
{
    mp_semaphore *semaphore = make(0);

    cr_assert_eq(support_run(method, give_three, MP_ARGS(semaphore)), 0);
    cr_assert_eq(value_of(semaphore), 3);
    for (int i = 0; i < 3; i++)
        ok(mp_semaphore_acquire(semaphore, 0));
    cr_assert_eq(mp_semaphore_acquire(semaphore, 0), MP_TIMED_OUT);
    ok(mp_semaphore_close(semaphore));
}

METHOD_TEST(semaphore, two_processes_wake_each_other)
{
    mp_semaphore *ask = make(0), *reply = make(0);
    mp_process *child = support_start(method, answer, MP_ARGS(ask, reply));

    for (size_t i = support_scaled(ROUNDS); i > 0; i--) {
        ok(mp_semaphore_release(ask));
        ok(mp_semaphore_acquire(reply, 10));
    }
    cr_assert_eq(support_finish(child), 0);
    ok(mp_semaphore_close(ask));
    ok(mp_semaphore_close(reply));
}

METHOD_TEST(semaphore, never_has_more_holders_than_permits)
{
    mp_semaphore *semaphore = make(2), *free_places = make_bounded(2);
    mp_process *children[4];

    for (int i = 0; i < 4; i++)
        children[i] =
            support_start(method, work_inside, MP_ARGS(semaphore, free_places));
    for (int i = 0; i < 4; i++)
        cr_assert_eq(support_finish(children[i]), 0);
    cr_assert_eq(value_of(semaphore), 2);
    ok(mp_semaphore_close(semaphore));
    ok(mp_semaphore_close(free_places));
}

METHOD_TEST(semaphore, lives_on_in_a_child_when_the_parent_closes_it)
{
    mp_semaphore *semaphore = make(0), *ready = make(0);
    mp_semaphore *copy = semaphore;
    mp_process *child =
        support_start(method, wait_for_one, MP_ARGS(semaphore, ready));
    mp_process *giver = support_start(method, give_three, MP_ARGS(semaphore));

    ok(mp_semaphore_close(semaphore));
    cr_assert_eq(mp_semaphore_release(copy), MP_ECLOSED);
    cr_assert_eq(support_finish(giver), 0);
    cr_assert_eq(support_finish(child), 0);
    ok(mp_semaphore_close(ready));
}

/* -- Death ----------------------------------------------------------------- */

METHOD_TEST(semaphore, a_killed_waiter_disturbs_nobody)
{
    mp_semaphore *semaphore = make(0), *ready = make(0);
    mp_process *victim =
        support_start(method, wait_for_one, MP_ARGS(semaphore, ready));
    mp_process *survivor;
    double start;

    ok(mp_semaphore_acquire(ready, 20));
    survivor = support_start(method, wait_for_one, MP_ARGS(semaphore, ready));
    ok(mp_semaphore_acquire(ready, 20));
    pause_for(0.1); /* until both sleep */
    ok(mp_process_kill(victim));
    ok(mp_process_join(victim, 20));
    start = now();
    ok(mp_semaphore_release(semaphore));
    cr_assert_eq(support_finish(survivor), 0);
    cr_assert_lt(now() - start, 1.5);
    ok(mp_process_close(victim));
    ok(mp_semaphore_close(semaphore));
    ok(mp_semaphore_close(ready));
}

METHOD_TEST(semaphore, a_killed_holder_takes_its_permit_along)
{
    mp_semaphore *semaphore = make_bounded(1), *ready = make(0);
    mp_process *child =
        support_start(method, take_and_hang, MP_ARGS(semaphore, ready));

    ok(mp_semaphore_acquire(ready, 20));
    ok(mp_process_kill(child));
    ok(mp_process_join(child, 20));
    cr_assert_eq(value_of(semaphore), 0);
    cr_assert_eq(mp_semaphore_acquire(semaphore, 0.8), MP_TIMED_OUT);
    ok(mp_semaphore_release(semaphore));
    ok(mp_semaphore_acquire(semaphore, 0));
    ok(mp_process_close(child));
    ok(mp_semaphore_close(semaphore));
    ok(mp_semaphore_close(ready));
}

/* -- Bounds ---------------------------------------------------------------- */

Test(semaphore, a_bounded_one_refuses_one_release_too_many)
{
    mp_semaphore *semaphore = make_bounded(2);

    cr_assert_eq(mp_semaphore_release(semaphore), MP_ESTATE);
    ok(mp_semaphore_acquire(semaphore, 0));
    cr_assert_eq(mp_semaphore_release_many(semaphore, 2), MP_ESTATE);
    cr_assert_eq(value_of(semaphore), 1, "all or none");
    ok(mp_semaphore_release(semaphore));
    cr_assert_eq(mp_semaphore_release(semaphore), MP_ESTATE);
    cr_assert_eq(value_of(semaphore), 2);
    ok(mp_semaphore_close(semaphore));
}

Test(semaphore, an_ordinary_one_grows_beyond_its_first_value)
{
    mp_semaphore *semaphore = make(1);

    ok(mp_semaphore_release(semaphore));
    ok(mp_semaphore_release_many(semaphore, 1000));
    cr_assert_eq(value_of(semaphore), 1002);
    ok(mp_semaphore_close(semaphore));
}

Test(semaphore, no_semaphore_passes_the_maximum)
{
    mp_semaphore *semaphore = make(MP_SEMAPHORE_MAX);

    cr_assert_eq(value_of(semaphore), MP_SEMAPHORE_MAX);
    cr_assert_eq(mp_semaphore_release(semaphore), MP_ESTATE);
    ok(mp_semaphore_acquire(semaphore, 0));
    cr_assert_eq(mp_semaphore_release_many(semaphore, UINT32_MAX), MP_ESTATE);
    ok(mp_semaphore_release(semaphore));
    ok(mp_semaphore_close(semaphore));
}

Test(semaphore, a_bounded_one_of_none_never_has_any)
{
    mp_semaphore *semaphore = make_bounded(0);

    cr_assert_eq(mp_semaphore_acquire(semaphore, 0), MP_TIMED_OUT);
    cr_assert_eq(mp_semaphore_release(semaphore), MP_ESTATE);
    ok(mp_semaphore_close(semaphore));
}

Test(semaphore, values_out_of_range_are_refused)
{
    mp_semaphore *out = NULL;

    cr_assert_eq(mp_semaphore_create(&out, -1), MP_EINVAL);
    cr_assert_eq(mp_bounded_semaphore_create(&out, -1), MP_EINVAL);
    cr_assert_eq(mp_semaphore_create(&out, (int64_t)MP_SEMAPHORE_MAX + 1),
                 MP_EOVERFLOW);
    cr_assert_eq(mp_bounded_semaphore_create(&out, INT64_MAX), MP_EOVERFLOW);
    cr_assert_null(out);
    cr_assert_eq(mp_semaphore_create(NULL, 1), MP_EINVAL);
    cr_assert_eq(mp_bounded_semaphore_create(NULL, 1), MP_EINVAL);
}

/* -- Time ------------------------------------------------------------------ */

Test(semaphore, zero_and_negative_timeouts_only_try)
{
    static const double timeouts[] = {0, -1, -1e300};
    mp_semaphore *semaphore = make(3);

    for (int i = 0; i < 3; i++)
        ok(mp_semaphore_acquire(semaphore, timeouts[i]));
    for (int i = 0; i < 3; i++) {
        double start = now();

        cr_assert_eq(mp_semaphore_acquire(semaphore, timeouts[i]),
                     MP_TIMED_OUT);
        cr_assert_lt(now() - start, 0.5);
    }
    ok(mp_semaphore_close(semaphore));
}

Test(semaphore, acquire_gives_up_after_its_timeout)
{
    mp_semaphore *semaphore = make(0);
    double start = now();

    cr_assert_eq(mp_semaphore_acquire(semaphore, 0.2), MP_TIMED_OUT);
    cr_assert_geq(now() - start, 0.199);
    start = now();
    cr_assert_eq(mp_semaphore_acquire(semaphore, 1.3), MP_TIMED_OUT);
    cr_assert_geq(now() - start, 1.299, "longer than sleepers sleep at once");
    ok(mp_semaphore_release(semaphore));
    ok(mp_semaphore_acquire(semaphore, 1e9));
    ok(mp_semaphore_close(semaphore));
}

/* -- Threads --------------------------------------------------------------- */

typedef struct crew {
    mp_semaphore *semaphore;
    mp_semaphore *go;
    mpi_atomic32 count;
    team team;
} crew;

static void begin(crew *it, void (*run)(void *))
{
    it->go = make(0);
    for (int i = 0; i < THREADS; i++)
        team_start(&it->team, run, it);
}

static void end(crew *it)
{
    team_join(&it->team);
    ok(mp_semaphore_close(it->semaphore));
    ok(mp_semaphore_close(it->go));
}

static void release_once(void *argument)
{
    crew *it = argument;

    mp_semaphore_acquire(it->go, MP_FOREVER);
    if (mp_semaphore_release(it->semaphore) == MP_OK)
        mpi_atomic32_add(&it->count, 1);
}

Test(semaphore, of_many_releases_at_once_a_bound_lets_one_through)
{
    crew it = {.semaphore = make_bounded(1)};

    ok(mp_semaphore_acquire(it.semaphore, 0));
    begin(&it, release_once);
    ok(mp_semaphore_release_many(it.go, THREADS));
    end(&it);
    cr_assert_eq(mpi_atomic32_load(&it.count), 1);
}

static void take_and_give(void *argument)
{
    crew *it = argument;

    mp_semaphore_acquire(it->go, MP_FOREVER);
    for (size_t i = support_scaled(20000); i > 0; i--) {
        if (mp_semaphore_acquire(it->semaphore, MP_FOREVER) == MP_OK)
            mpi_atomic32_add(&it->count, 1);
        mp_semaphore_release(it->semaphore);
    }
}

Test(semaphore, threads_that_take_and_give_lose_no_permit)
{
    crew it = {.semaphore = make_bounded(2)};

    begin(&it, take_and_give);
    ok(mp_semaphore_release_many(it.go, THREADS));
    team_await(&it.team, THREADS);
    cr_assert_eq(mpi_atomic32_load(&it.count), THREADS * support_scaled(20000));
    cr_assert_eq(value_of(it.semaphore), 2);
    end(&it);
}

static void take_one(void *argument)
{
    crew *it = argument;

    if (mp_semaphore_acquire(it->semaphore, 10) == MP_OK)
        mpi_atomic32_add(&it->count, 1);
}

Test(semaphore, release_many_wakes_that_many)
{
    crew it = {.semaphore = make(0)};

    begin(&it, take_one);
    pause_for(0.1);
    ok(mp_semaphore_release_many(it.semaphore, THREADS));
    end(&it);
    cr_assert_eq(mpi_atomic32_load(&it.count), THREADS);
}

/* -- Signals --------------------------------------------------------------- */

static mp_semaphore *raised;

static void release_it(int number)
{
    (void)number;
    mp_semaphore_release(raised);
}

Test(semaphore, a_signal_handler_may_release)
{
    raised = make(0);
    signal(SIGTERM, release_it);
    cr_assert_eq(raise(SIGTERM), 0);
    signal(SIGTERM, SIG_DFL);
    ok(mp_semaphore_acquire(raised, 0));
    ok(mp_semaphore_close(raised));
}

/* -- Wrong use ------------------------------------------------------------- */

static void expect_refusal(mp_semaphore *semaphore, mp_error error)
{
    int64_t value = 42;

    cr_assert_eq(mp_semaphore_acquire(semaphore, 0), error);
    cr_assert_eq(mp_semaphore_release(semaphore), error);
    cr_assert_eq(mp_semaphore_release_many(semaphore, 1), error);
    cr_assert_eq(mp_semaphore_get_value(semaphore, &value), error);
    cr_assert_eq(value, 42, "untouched on failure");
}

Test(semaphore, null_closed_and_other_things_are_refused)
{
    mp_semaphore *semaphore = make(1);
    mp_event *event;

    ok(mp_event_create(&event));
    expect_refusal(NULL, MP_EINVAL);
    expect_refusal((mp_semaphore *)(void *)event, MP_EINVAL);
    cr_assert_eq(mp_semaphore_close((mp_semaphore *)(void *)event), MP_EINVAL);
    ok(mp_semaphore_close(semaphore));
    expect_refusal(semaphore, MP_ECLOSED);
    cr_assert_eq(mp_semaphore_close(semaphore), MP_ECLOSED);
    ok(mp_semaphore_close(NULL));
    ok(mp_event_close(event));
}

Test(semaphore, nothing_to_release_and_nowhere_to_put_are_refused)
{
    mp_semaphore *semaphore = make(1);

    cr_assert_eq(mp_semaphore_release_many(semaphore, 0), MP_EINVAL);
    cr_assert_eq(mp_semaphore_get_value(semaphore, NULL), MP_EINVAL);
    cr_assert_eq(value_of(semaphore), 1);
    ok(mp_semaphore_close(semaphore));
}

Test(semaphore, travels_as_its_own_kind_only)
{
    mp_semaphore *semaphore = make(1), *same = NULL;
    mp_event *event = NULL;
    mp_obj *obj = MP_BOX(semaphore);

    ok(mp_obj_as_semaphore(obj, &same));
    cr_assert_eq(same, semaphore);
    cr_assert_eq(mp_obj_as_event(obj, &event), MP_ETYPE);
    cr_assert_null(event);
    mp_obj_unref(obj);
    ok(mp_semaphore_close(semaphore));
    obj = mp_obj_semaphore(semaphore);
    cr_assert_eq(mp_obj_error(obj), MP_ECLOSED);
    mp_obj_unref(obj);
}

Test(semaphore, creation_that_fails_anywhere_leaves_nothing)
{
    bool was_reached = true;

    for (long n = 1; was_reached; n++) {
        mp_semaphore *semaphore = NULL;
        mp_error err;

        mpi_fault_arm(n, MP_ENOSPC);
        err = mp_semaphore_create(&semaphore, 1);
        was_reached = mpi_fault_disarm(NULL, NULL);
        if (err == MP_OK) {
            ok(mp_semaphore_close(semaphore));
            continue;
        }
        cr_assert(was_reached);
        cr_assert_null(semaphore);
    }
}
