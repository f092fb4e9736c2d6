/* SPDX-License-Identifier: MIT */
/* Event: set, clear, pulses that nobody misses, time, death, wrong use. */
#include "support/clock.h"
#include "support/expect.h"
#include "support/methods.h"
#include "support/system.h"

#include "os.h"
#include "os_fault.h"

#include <signal.h>

enum { ROUNDS = 200, CHILDREN = 3 };

/* -- Helpers --------------------------------------------------------------- */

static mp_event *make(void)
{
    mp_event *event = NULL;

    ok(mp_event_create(&event));
    return event;
}

static mp_semaphore *make_semaphore(void)
{
    mp_semaphore *semaphore = NULL;

    ok(mp_semaphore_create(&semaphore, 0));
    return semaphore;
}

/* -- Targets --------------------------------------------------------------- */

static int set_it(mp_args *args)
{
    mp_check(mp_event_set(mp_arg_event(args, 0)));
    return 0;
}

static int clear_it(mp_args *args)
{
    mp_event *event = mp_arg_event(args, 0);

    if (!mp_event_is_set(event))
        return 1;
    mp_check(mp_event_clear(event));
    return 0;
}

/* Says that it is about to wait. */
static int wait_for_it(mp_args *args)
{
    mp_event *event = mp_arg_event(args, 0);

    mp_check(mp_semaphore_release(mp_arg_semaphore(args, 1)));
    return mp_event_wait(event, 10) == MP_OK ? 0 : 1;
}

static int answer(mp_args *args)
{
    mp_event *ask = mp_arg_event(args, 0);
    mp_event *reply = mp_arg_event(args, 1);

    for (size_t i = support_scaled(ROUNDS); i > 0; i--) {
        mp_check(mp_event_wait(ask, MP_FOREVER));
        mp_check(mp_event_clear(ask));
        mp_check(mp_event_set(reply));
    }
    return 0;
}

/* -- Between processes ----------------------------------------------------- */

METHOD_TEST(event, what_a_child_does_is_seen)
{
    mp_event *event = make();

    cr_assert_eq(support_run(method, set_it, MP_ARGS(event)), 0);
    cr_assert(mp_event_is_set(event));
    ok(mp_event_wait(event, 0));
    cr_assert_eq(support_run(method, clear_it, MP_ARGS(event)), 0);
    cr_assert_not(mp_event_is_set(event));
    cr_assert_eq(mp_event_wait(event, 0), MP_TIMED_OUT);
    ok(mp_event_close(event));
}

METHOD_TEST(event, two_processes_wake_each_other)
{
    mp_event *ask = make(), *reply = make();
    mp_process *child = support_start(method, answer, MP_ARGS(ask, reply));

    for (size_t i = support_scaled(ROUNDS); i > 0; i--) {
        ok(mp_event_set(ask));
        ok(mp_event_wait(reply, 10));
        ok(mp_event_clear(reply));
    }
    cr_assert_eq(support_finish(child), 0);
    ok(mp_event_close(ask));
    ok(mp_event_close(reply));
}

METHOD_TEST(event, all_who_sleep_see_one_set_and_cleared_at_once)
{
    mp_event *event = make();
    mp_semaphore *ready = make_semaphore();
    mp_process *children[CHILDREN];

    for (int i = 0; i < CHILDREN; i++)
        children[i] = support_start(method, wait_for_it, MP_ARGS(event, ready));
    for (int i = 0; i < CHILDREN; i++)
        ok(mp_semaphore_acquire(ready, 20));
    pause_for(0.2); /* until all sleep */
    ok(mp_event_set(event));
    ok(mp_event_clear(event));
    for (int i = 0; i < CHILDREN; i++)
        cr_assert_eq(support_finish(children[i]), 0);
    cr_assert_not(mp_event_is_set(event));
    ok(mp_event_close(event));
    ok(mp_semaphore_close(ready));
}

METHOD_TEST(event, a_killed_waiter_disturbs_nobody)
{
    mp_event *event = make();
    mp_semaphore *ready = make_semaphore();
    mp_process *victim =
        support_start(method, wait_for_it, MP_ARGS(event, ready));
    mp_process *survivor =
        support_start(method, wait_for_it, MP_ARGS(event, ready));
    double start;

    ok(mp_semaphore_acquire(ready, 20));
    ok(mp_semaphore_acquire(ready, 20));
    pause_for(0.1);
    ok(mp_process_kill(victim));
    ok(mp_process_join(victim, 20));
    start = now();
    ok(mp_event_set(event));
    cr_assert_eq(support_finish(survivor), 0);
    cr_assert_lt(now() - start, 1.5);
    ok(mp_event_clear(event));
    ok(mp_process_close(victim));
    ok(mp_event_close(event));
    ok(mp_semaphore_close(ready));
}

METHOD_TEST(event, lives_on_in_a_child_when_the_parent_closes_it)
{
    mp_event *event = make();
    mp_semaphore *ready = make_semaphore();
    mp_process *waiter =
        support_start(method, wait_for_it, MP_ARGS(event, ready));
    mp_process *setter = support_start(method, set_it, MP_ARGS(event));

    ok(mp_event_close(event));
    cr_assert_eq(support_finish(setter), 0);
    cr_assert_eq(support_finish(waiter), 0);
    ok(mp_semaphore_close(ready));
}

/* -- Alone ----------------------------------------------------------------- */

Test(event, is_not_set_at_first_and_stays_set)
{
    mp_event *event = make();

    cr_assert_not(mp_event_is_set(event));
    ok(mp_event_clear(event));
    ok(mp_event_set(event));
    ok(mp_event_set(event));
    for (int i = 0; i < 3; i++)
        ok(mp_event_wait(event, MP_FOREVER));
    ok(mp_event_clear(event));
    cr_assert_not(mp_event_is_set(event));
    ok(mp_event_close(event));
}

Test(event, zero_and_negative_timeouts_only_look)
{
    static const double timeouts[] = {0, -1, -1e300};
    mp_event *event = make();
    double start = now();

    for (int i = 0; i < 3; i++)
        cr_assert_eq(mp_event_wait(event, timeouts[i]), MP_TIMED_OUT);
    cr_assert_lt(now() - start, 0.5);
    ok(mp_event_set(event));
    for (int i = 0; i < 3; i++)
        ok(mp_event_wait(event, timeouts[i]));
    ok(mp_event_close(event));
}

Test(event, wait_gives_up_after_its_timeout)
{
    mp_event *event = make();
    double start = now();

    cr_assert_eq(mp_event_wait(event, 0.2), MP_TIMED_OUT);
    cr_assert_geq(now() - start, 0.199);
    start = now();
    cr_assert_eq(mp_event_wait(event, 1.3), MP_TIMED_OUT);
    cr_assert_geq(now() - start, 1.299, "longer than sleepers sleep at once");
    ok(mp_event_close(event));
}

/* A pulse of before does not count for who waits now. */
Test(event, a_pulse_that_is_over_wakes_nobody)
{
    mp_event *event = make();

    ok(mp_event_set(event));
    ok(mp_event_clear(event));
    cr_assert_eq(mp_event_wait(event, 0.05), MP_TIMED_OUT);
    ok(mp_event_close(event));
}

typedef struct couple {
    mp_event *event;
    mp_semaphore *ready;
    mpi_atomic32 left;
} couple;

static void wait_in_thread(void *argument)
{
    couple *it = argument;

    mp_semaphore_release(it->ready);
    if (mp_event_wait(it->event, 5) == MP_OK)
        mpi_atomic32_add(&it->left, 1);
}

Test(event, a_sleeping_thread_misses_no_pulse)
{
    couple it = {.event = make(), .ready = make_semaphore()};

    for (uint32_t i = 0; i < 20; i++) {
        mpos_thread sleeper;
        double limit;

        ok(mpos_thread_start(wait_in_thread, &it, &sleeper));
        ok(mp_semaphore_acquire(it.ready, 10));
        pause_for(0.02);
        ok(mp_event_set(it.event));
        ok(mp_event_clear(it.event));
        limit = now() + 4;
        while (mpi_atomic32_load(&it.left) <= i && now() < limit)
            pause_for(0.001);
        cr_assert_eq(mpi_atomic32_load(&it.left), i + 1);
        mpos_thread_join(sleeper);
    }
    ok(mp_event_close(it.event));
    ok(mp_semaphore_close(it.ready));
}

static mp_event *raised;

static void set_raised(int number)
{
    (void)number;
    mp_event_set(raised);
}

Test(event, a_signal_handler_may_set)
{
    raised = make();
    signal(SIGTERM, set_raised);
    cr_assert_eq(raise(SIGTERM), 0);
    signal(SIGTERM, SIG_DFL);
    cr_assert(mp_event_is_set(raised));
    ok(mp_event_close(raised));
}

/* -- Wrong use ------------------------------------------------------------- */

static void expect_refusal(mp_event *event, mp_error error)
{
    cr_assert_eq(mp_event_set(event), error);
    cr_assert_eq(mp_event_clear(event), error);
    cr_assert_eq(mp_event_wait(event, 0), error);
    cr_assert_not(mp_event_is_set(event));
}

Test(event, null_closed_and_other_things_are_refused)
{
    mp_event *event = make();
    mp_semaphore *semaphore = make_semaphore();

    cr_assert_eq(mp_event_create(NULL), MP_EINVAL);
    expect_refusal(NULL, MP_EINVAL);
    expect_refusal((mp_event *)(void *)semaphore, MP_EINVAL);
    cr_assert_eq(mp_event_close((mp_event *)(void *)semaphore), MP_EINVAL);
    ok(mp_event_set(event));
    ok(mp_event_close(event));
    expect_refusal(event, MP_ECLOSED);
    cr_assert_eq(mp_event_close(event), MP_ECLOSED);
    ok(mp_event_close(NULL));
    ok(mp_semaphore_close(semaphore));
}

Test(event, travels_as_its_own_kind_only)
{
    mp_event *event = make(), *same = NULL;
    mp_barrier *barrier = NULL;
    mp_obj *obj = MP_BOX(event);

    ok(mp_obj_as_event(obj, &same));
    cr_assert_eq(same, event);
    cr_assert_eq(mp_obj_as_barrier(obj, &barrier), MP_ETYPE);
    cr_assert_null(barrier);
    mp_obj_unref(obj);
    ok(mp_event_close(event));
    obj = mp_obj_event(event);
    cr_assert_eq(mp_obj_error(obj), MP_ECLOSED);
    mp_obj_unref(obj);
}

Test(event, creation_that_fails_anywhere_leaves_nothing)
{
    bool was_reached = true;

    for (long n = 1; was_reached; n++) {
        mp_event *event = NULL;
        mp_error err;

        mpi_fault_arm(n, MP_EMFILE);
        err = mp_event_create(&event);
        was_reached = mpi_fault_disarm(NULL, NULL);
        if (err == MP_OK) {
            ok(mp_event_close(event));
            continue;
        }
        cr_assert(was_reached);
        cr_assert_null(event);
    }
}
