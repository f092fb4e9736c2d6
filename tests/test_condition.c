/* SPDX-License-Identifier: MIT */
/* Condition: waiting, notifying, its lock, time, death, wrong use. */
#include "support/expect.h"
#include "support/methods.h"
#include "support/system.h"
#include "support/threads.h"

#include "os.h"
#include "os_fault.h"

enum {
    ITEMS = 300,
    CONSUMERS = 2,
    CHILDREN = 3,
    THREADS = 4,
};

/* -- Helpers --------------------------------------------------------------- */

static mp_condition *make(void)
{
    mp_condition *condition = NULL;

    ok(mp_condition_create(&condition));
    return condition;
}

static mp_semaphore *make_semaphore(void)
{
    mp_semaphore *semaphore = NULL;

    ok(mp_semaphore_create(&semaphore, 0));
    return semaphore;
}

static void acquire(mp_condition *condition)
{
    ok(mp_condition_acquire(condition, 10));
}

static void release(mp_condition *condition)
{
    ok(mp_condition_release(condition));
}

/* Until as many wait: each says so while it has the lock, which only waiting
 * releases. */
static void await_waiters(mp_condition *condition, mp_semaphore *ready,
                          int count)
{
    for (int i = 0; i < count; i++)
        ok(mp_semaphore_acquire(ready, 20));
    acquire(condition);
    release(condition);
}

/* -- Targets --------------------------------------------------------------- */

/* The exit code is the error. */
static int wait_once(mp_args *args)
{
    mp_condition *condition = mp_arg_condition(args, 0);
    double timeout = mp_arg_float(args, 2);
    mp_error err;

    mp_check(mp_condition_acquire(condition, MP_FOREVER));
    mp_check(mp_semaphore_release(mp_arg_semaphore(args, 1)));
    err = mp_condition_wait(condition, timeout);
    mp_check(mp_condition_release(condition));
    return (int)err;
}

/* Twice acquired by the RLock that came along, twice to be released. */
static int wait_with_rlock(mp_args *args)
{
    mp_condition *condition = mp_arg_condition(args, 0);
    mp_rlock *lock = mp_arg_rlock(args, 2);

    mp_check(mp_rlock_acquire(lock, MP_FOREVER));
    mp_check(mp_rlock_acquire(lock, MP_FOREVER));
    mp_check(mp_semaphore_release(mp_arg_semaphore(args, 1)));
    if (mp_condition_wait(condition, 10) != MP_OK)
        return 1;
    mp_check(mp_rlock_release(lock));
    mp_check(mp_condition_release(condition));
    return mp_rlock_release(lock) == MP_ENOTOWNER ? 0 : 2;
}

static int wait_with_lock(mp_args *args)
{
    mp_condition *condition = mp_arg_condition(args, 0);
    mp_lock *lock = mp_arg_lock(args, 2);

    mp_check(mp_lock_acquire(lock, MP_FOREVER));
    mp_check(mp_semaphore_release(mp_arg_semaphore(args, 1)));
    if (mp_condition_wait(condition, 10) != MP_OK)
        return 1;
    if (!mp_lock_is_locked(lock))
        return 2;
    mp_check(mp_condition_release(condition));
    return 0;
}

static int notify_and_vanish(mp_args *args)
{
    mp_condition *condition = mp_arg_condition(args, 0);

    mp_check(mp_condition_acquire(condition, MP_FOREVER));
    mp_check(mp_condition_notify(condition, 1));
    mpos_exit(0);
}

static bool has_some(void *context)
{
    return mp_semaphore_acquire(context, 0) == MP_OK;
}

/* Takes as many items as come before one that says the end. */
static int consume(mp_args *args)
{
    mp_condition *condition = mp_arg_condition(args, 0);
    mp_semaphore *items = mp_arg_semaphore(args, 1);
    mp_semaphore *taken = mp_arg_semaphore(args, 2);

    for (size_t i = support_scaled(ITEMS); i > 0; i--) {
        mp_check(mp_condition_acquire(condition, MP_FOREVER));
        if (mp_condition_wait_for(condition, has_some, items, 20) != MP_OK)
            return 1;
        mp_check(mp_condition_release(condition));
        mp_check(mp_semaphore_release(taken));
    }
    return 0;
}

/* -- Between processes ----------------------------------------------------- */

METHOD_TEST(condition, notify_wakes_a_child)
{
    mp_condition *condition = make();
    mp_semaphore *ready = make_semaphore();
    mp_process *child =
        support_start(method, wait_once, MP_ARGS(condition, ready, 10.0));

    await_waiters(condition, ready, 1);
    acquire(condition);
    ok(mp_condition_notify(condition, 1));
    release(condition);
    cr_assert_eq(support_finish(child), MP_OK);
    ok(mp_condition_close(condition));
    ok(mp_semaphore_close(ready));
}

/* How many of CHILDREN that wait are notified by this. */
static int count_notified(mp_start_method method, uint32_t count, bool is_all)
{
    mp_condition *condition = make();
    mp_semaphore *ready = make_semaphore();
    mp_process *children[CHILDREN];
    int notified = 0;

    for (int i = 0; i < CHILDREN; i++)
        children[i] =
            support_start(method, wait_once, MP_ARGS(condition, ready, 3.0));
    await_waiters(condition, ready, CHILDREN);
    acquire(condition);
    ok(is_all ? mp_condition_notify_all(condition)
              : mp_condition_notify(condition, count));
    release(condition);
    for (int i = 0; i < CHILDREN; i++) {
        int code = support_finish(children[i]);

        cr_assert(code == MP_OK || code == MP_TIMED_OUT);
        notified += code == MP_OK;
    }
    ok(mp_condition_close(condition));
    ok(mp_semaphore_close(ready));
    return notified;
}

METHOD_TEST(condition, notify_all_wakes_all)
{
    cr_assert_eq(count_notified(method, 0, true), CHILDREN);
}

METHOD_TEST(condition, notify_wakes_no_more_than_it_says)
{
    cr_assert_eq(count_notified(method, 2, false), 2);
}

METHOD_TEST(condition, notify_of_more_than_wait_wakes_all)
{
    cr_assert_eq(count_notified(method, UINT32_MAX, false), CHILDREN);
}

METHOD_TEST(condition, nothing_is_lost_between_a_producer_and_consumers)
{
    mp_condition *condition = make();
    mp_semaphore *items = make_semaphore(), *taken = make_semaphore();
    mp_process *children[CONSUMERS];

    for (int i = 0; i < CONSUMERS; i++)
        children[i] =
            support_start(method, consume, MP_ARGS(condition, items, taken));
    for (size_t i = CONSUMERS * support_scaled(ITEMS); i > 0; i--) {
        acquire(condition);
        ok(mp_semaphore_release(items));
        ok(mp_condition_notify(condition, 1));
        release(condition);
        if (i % 2 == 0)
            ok(mp_semaphore_acquire(taken, 20));
    }
    for (int i = 0; i < CONSUMERS; i++)
        cr_assert_eq(support_finish(children[i]), 0);
    ok(mp_condition_close(condition));
    ok(mp_semaphore_close(items));
    ok(mp_semaphore_close(taken));
}

METHOD_TEST(condition, its_rlock_may_travel_beside_it)
{
    mp_semaphore *ready = make_semaphore();
    mp_condition *condition;
    mp_rlock *lock;
    mp_process *child;

    ok(mp_rlock_create(&lock));
    ok(mp_condition_create_with_rlock(&condition, lock));
    child =
        support_start(method, wait_with_rlock, MP_ARGS(condition, ready, lock));
    await_waiters(condition, ready, 1);
    ok(mp_rlock_acquire(lock, 10));
    ok(mp_condition_notify_all(condition));
    ok(mp_rlock_release(lock));
    cr_assert_eq(support_finish(child), 0);
    ok(mp_rlock_close(lock));
    ok(mp_condition_close(condition));
    ok(mp_semaphore_close(ready));
}

METHOD_TEST(condition, its_lock_may_travel_beside_it)
{
    mp_semaphore *ready = make_semaphore();
    mp_condition *condition;
    mp_lock *lock;
    mp_process *child;

    ok(mp_lock_create(&lock));
    ok(mp_condition_create_with_lock(&condition, lock));
    child =
        support_start(method, wait_with_lock, MP_ARGS(condition, ready, lock));
    await_waiters(condition, ready, 1);
    ok(mp_lock_acquire(lock, 10));
    ok(mp_condition_notify(condition, 1));
    ok(mp_lock_release(lock));
    cr_assert_eq(support_finish(child), 0);
    ok(mp_condition_close(condition));
    ok(mp_lock_close(lock));
    ok(mp_semaphore_close(ready));
}

/* -- Death ----------------------------------------------------------------- */

METHOD_TEST(condition, a_killed_waiter_disturbs_nobody)
{
    mp_condition *condition = make();
    mp_semaphore *ready = make_semaphore();
    mp_process *victim =
        support_start(method, wait_once, MP_ARGS(condition, ready, 10.0));
    mp_process *survivor;
    double start;

    await_waiters(condition, ready, 1);
    survivor =
        support_start(method, wait_once, MP_ARGS(condition, ready, 10.0));
    await_waiters(condition, ready, 1);
    ok(mp_process_kill(victim));
    ok(mp_process_join(victim, 20));
    acquire(condition);
    start = now();
    ok(mp_condition_notify(condition, 1));
    release(condition);
    cr_assert_eq(support_finish(survivor), MP_OK);
    cr_assert_lt(now() - start, 1.5);
    ok(mp_process_close(victim));
    ok(mp_condition_close(condition));
    ok(mp_semaphore_close(ready));
}

/* The first to have come is the first to be woken, where sleepers queue up. */
METHOD_TEST(condition, what_a_killed_waiter_was_told_goes_to_another)
{
    mp_condition *condition = make();
    mp_semaphore *ready = make_semaphore();
    mp_process *victim =
        support_start(method, wait_once, MP_ARGS(condition, ready, 10.0));
    mp_process *survivor;
    double start;

    await_waiters(condition, ready, 1);
    survivor =
        support_start(method, wait_once, MP_ARGS(condition, ready, 10.0));
    await_waiters(condition, ready, 1);
    acquire(condition);
    ok(mp_condition_notify(condition, 1));
    ok(mp_process_kill(victim));
    ok(mp_process_join(victim, 20));
    start = now();
    release(condition);
    cr_assert_eq(support_finish(survivor), MP_OK);
    cr_assert_lt(now() - start, 1.5);
    ok(mp_process_close(victim));
    ok(mp_condition_close(condition));
    ok(mp_semaphore_close(ready));
}

METHOD_TEST(condition, wait_tells_that_the_notifier_died_with_the_lock)
{
    mp_condition *condition = make();
    mp_process *child;

    acquire(condition);
    child = support_start(method, notify_and_vanish, MP_ARGS(condition));
    cr_assert_eq(mp_condition_wait(condition, 20), MP_OWNER_DIED);
    ok(mp_condition_notify_all(condition));
    release(condition);
    cr_assert_eq(mp_condition_release(condition), MP_ENOTOWNER);
    acquire(condition);
    release(condition);
    cr_assert_eq(support_finish(child), 0);
    ok(mp_condition_close(condition));
}

/* Deaths make the count of waiters too high; that does not last. */
METHOD_TEST(condition, after_deaths_notifications_are_counted_again)
{
    mp_condition *condition = make();
    mp_semaphore *ready = make_semaphore();
    mp_process *child;

    for (int i = 0; i < 2; i++) {
        child =
            support_start(method, wait_once, MP_ARGS(condition, ready, 10.0));
        await_waiters(condition, ready, 1);
        ok(mp_process_kill(child));
        ok(mp_process_join(child, 20));
        ok(mp_process_close(child));
    }
    acquire(condition);
    ok(mp_condition_notify_all(condition));
    cr_assert_eq(mp_condition_wait(condition, 0.1), MP_TIMED_OUT);
    release(condition);
    for (int i = 0; i < 3; i++) {
        child =
            support_start(method, wait_once, MP_ARGS(condition, ready, 10.0));
        await_waiters(condition, ready, 1);
        acquire(condition);
        ok(mp_condition_notify(condition, 1));
        release(condition);
        cr_assert_eq(support_finish(child), MP_OK);
    }
    ok(mp_condition_close(condition));
    ok(mp_semaphore_close(ready));
}

/* -- Time ------------------------------------------------------------------ */

Test(condition, wait_gives_up_after_its_timeout_with_the_lock_held)
{
    static const double timeouts[] = {0.2, 0, -1, 1.3};
    mp_condition *condition = make();

    acquire(condition);
    for (size_t i = 0; i < sizeof(timeouts) / sizeof(timeouts[0]); i++) {
        double start = now();
        double least = timeouts[i] > 0 ? timeouts[i] : 0;

        cr_assert_eq(mp_condition_wait(condition, timeouts[i]), MP_TIMED_OUT);
        cr_assert_geq(now() - start, least - 0.001);
        cr_assert_lt(now() - start, least + 1);
    }
    release(condition);
    cr_assert_eq(mp_condition_release(condition), MP_ENOTOWNER);
    ok(mp_condition_close(condition));
}

Test(condition, a_notification_without_waiters_is_not_kept)
{
    mp_condition *condition = make();

    acquire(condition);
    ok(mp_condition_notify(condition, 3));
    ok(mp_condition_notify_all(condition));
    cr_assert_eq(mp_condition_wait(condition, 0.05), MP_TIMED_OUT);
    release(condition);
    ok(mp_condition_close(condition));
}

Test(condition, wait_restores_how_often_the_lock_was_acquired)
{
    mp_condition *condition = make();

    for (int i = 0; i < 3; i++)
        acquire(condition);
    cr_assert_eq(mp_condition_wait(condition, 0.05), MP_TIMED_OUT);
    for (int i = 0; i < 3; i++)
        release(condition);
    cr_assert_eq(mp_condition_release(condition), MP_ENOTOWNER);
    ok(mp_condition_close(condition));
}

/* -- wait_for -------------------------------------------------------------- */

typedef struct question {
    int asked;
    int true_from; /* the so-many-th time on */
} question;

static bool ask(void *context)
{
    question *it = context;

    return ++it->asked >= it->true_from;
}

Test(condition, wait_for_asks_at_once)
{
    mp_condition *condition = make();
    question it = {.true_from = 1};

    acquire(condition);
    ok(mp_condition_wait_for(condition, ask, &it, MP_FOREVER));
    cr_assert_eq(it.asked, 1);
    release(condition);
    ok(mp_condition_close(condition));
}

Test(condition, wait_for_asks_again_after_its_timeout)
{
    mp_condition *condition = make();
    question never = {.true_from = 100}, second = {.true_from = 2};
    double start = now();

    acquire(condition);
    cr_assert_eq(mp_condition_wait_for(condition, ask, &never, 0.2),
                 MP_TIMED_OUT);
    cr_assert_geq(now() - start, 0.199);
    cr_assert_eq(never.asked, 2);
    ok(mp_condition_wait_for(condition, ask, &second, 0.05));
    release(condition);
    ok(mp_condition_close(condition));
}

Test(condition, wait_for_without_time_asks_once)
{
    static const double timeouts[] = {0, -1, -1e300};
    mp_condition *condition = make();

    acquire(condition);
    for (int i = 0; i < 3; i++) {
        question it = {.true_from = 2};

        cr_assert_eq(mp_condition_wait_for(condition, ask, &it, timeouts[i]),
                     MP_TIMED_OUT);
        cr_assert_eq(it.asked, 1);
    }
    release(condition);
    ok(mp_condition_close(condition));
}

typedef struct crew {
    mp_condition *condition;
    mp_semaphore *ready;
    mpi_atomic32 turn;
    mpi_atomic32 stop;
    team team;
} crew;

static void begin(crew *it, void (*run)(void *), int count)
{
    it->condition = make();
    it->ready = make_semaphore();
    for (int i = 0; i < count; i++)
        team_start(&it->team, run, it);
}

static void end(crew *it)
{
    team_join(&it->team);
    ok(mp_condition_close(it->condition));
    ok(mp_semaphore_close(it->ready));
}

static void notify_often(void *argument)
{
    crew *it = argument;

    while (mpi_atomic32_load(&it->stop) == 0) {
        mp_condition_acquire(it->condition, MP_FOREVER);
        mp_condition_notify_all(it->condition);
        mp_condition_release(it->condition);
        pause_for(0.005);
    }
}

Test(condition, wait_for_keeps_its_time_however_often_it_is_notified)
{
    crew it = {0};
    question never = {.true_from = 1000000};
    double start;

    begin(&it, notify_often, 1);
    acquire(it.condition);
    start = now();
    cr_assert_eq(mp_condition_wait_for(it.condition, ask, &never, 0.3),
                 MP_TIMED_OUT);
    cr_assert_geq(now() - start, 0.299);
    cr_assert_lt(now() - start, 1.3);
    cr_assert_gt(never.asked, 2);
    release(it.condition);
    mpi_atomic32_store(&it.stop, 1);
    end(&it);
}

/* -- Threads --------------------------------------------------------------- */

static bool is_odd(void *context)
{
    return mpi_atomic32_load(context) % 2 == 1;
}

static bool is_even(void *context)
{
    return mpi_atomic32_load(context) % 2 == 0;
}

static void make_even(void *argument)
{
    crew *it = argument;

    for (size_t i = support_scaled(2000); i > 0; i--) {
        mp_condition_acquire(it->condition, MP_FOREVER);
        mp_condition_wait_for(it->condition, is_odd, &it->turn, 20);
        mpi_atomic32_add(&it->turn, 1);
        mp_condition_notify(it->condition, 1);
        mp_condition_release(it->condition);
    }
}

Test(condition, two_threads_take_turns)
{
    crew it = {0};

    begin(&it, make_even, 1);
    for (size_t i = support_scaled(2000); i > 0; i--) {
        acquire(it.condition);
        ok(mp_condition_wait_for(it.condition, is_even, &it.turn, 20));
        mpi_atomic32_add(&it.turn, 1);
        ok(mp_condition_notify(it.condition, 1));
        release(it.condition);
    }
    end(&it);
    cr_assert_eq(mpi_atomic32_load(&it.turn), 2 * support_scaled(2000));
}

static void wait_in_thread(void *argument)
{
    crew *it = argument;

    mp_condition_acquire(it->condition, MP_FOREVER);
    mp_semaphore_release(it->ready);
    if (mp_condition_wait(it->condition, 10) == MP_OK)
        mpi_atomic32_add(&it->turn, 1);
    mp_condition_release(it->condition);
}

Test(condition, who_comes_after_a_notification_does_not_get_it)
{
    crew it = {0};

    begin(&it, wait_in_thread, 1);
    await_waiters(it.condition, it.ready, 1);
    acquire(it.condition);
    ok(mp_condition_notify(it.condition, 1));
    cr_assert_eq(mp_condition_wait(it.condition, 0.2), MP_TIMED_OUT);
    release(it.condition);
    end(&it);
    cr_assert_eq(mpi_atomic32_load(&it.turn), 1);
}

Test(condition, each_notification_wakes_one_of_many_threads)
{
    crew it = {0};

    begin(&it, wait_in_thread, THREADS);
    await_waiters(it.condition, it.ready, THREADS);
    for (uint32_t i = 1; i <= THREADS; i++) {
        acquire(it.condition);
        ok(mp_condition_notify(it.condition, 1));
        release(it.condition);
        team_await(&it.team, i);
        pause_for(0.02);
        cr_assert_eq(mpi_atomic32_load(&it.turn), i);
    }
    end(&it);
}

/* -- Wrong use ------------------------------------------------------------- */

static void expect_refusal(mp_condition *condition, mp_error error)
{
    question it = {.true_from = 1};

    cr_assert_eq(mp_condition_wait(condition, 0), error);
    cr_assert_eq(mp_condition_wait_for(condition, ask, &it, 0), error);
    cr_assert_eq(mp_condition_notify(condition, 1), error);
    cr_assert_eq(mp_condition_notify(condition, 0), error);
    cr_assert_eq(mp_condition_notify_all(condition), error);
    cr_assert_eq(mp_condition_release(condition), error);
    cr_assert_eq(it.asked, 0, "without the lock nobody is asked");
}

static void use_unowned(void *argument)
{
    crew *it = argument;

    expect_refusal(it->condition, MP_ENOTOWNER);
}

Test(condition, without_its_lock_nothing_is_allowed)
{
    crew it = {0};

    begin(&it, use_unowned, 0);
    expect_refusal(it.condition, MP_ENOTOWNER);
    acquire(it.condition);
    team_start(&it.team, use_unowned, &it); /* what another thread has */
    team_await(&it.team, 1);
    release(it.condition);
    end(&it);
}

Test(condition, without_its_plain_lock_nothing_is_allowed)
{
    mp_condition *condition;
    mp_lock *lock;

    ok(mp_lock_create(&lock));
    ok(mp_condition_create_with_lock(&condition, lock));
    cr_assert_eq(mp_condition_wait(condition, 0), MP_ENOTOWNER);
    cr_assert_eq(mp_condition_notify(condition, 1), MP_ENOTOWNER);
    cr_assert_eq(mp_condition_release(condition), MP_ESTATE);
    acquire(condition);
    cr_assert_eq(mp_condition_acquire(condition, 0), MP_TIMED_OUT);
    cr_assert_eq(mp_condition_wait(condition, 0.05), MP_TIMED_OUT);
    cr_assert(mp_lock_is_locked(lock));
    release(condition);
    ok(mp_condition_close(condition));
    ok(mp_lock_close(lock));
}

static int use_unowned_in_child(mp_args *args)
{
    mp_condition *condition = mp_arg_condition(args, 0);

    return mp_condition_wait(condition, 0) == MP_ENOTOWNER &&
                   mp_condition_notify_all(condition) == MP_ENOTOWNER
               ? 0
               : 1;
}

METHOD_TEST(condition, what_the_parent_holds_is_not_the_childs)
{
    mp_condition *condition;
    mp_lock *lock;

    ok(mp_lock_create(&lock));
    ok(mp_condition_create_with_lock(&condition, lock));
    cr_assert_eq(support_run(method, use_unowned_in_child, MP_ARGS(condition)),
                 0);
    acquire(condition);
    cr_assert_eq(support_run(method, use_unowned_in_child, MP_ARGS(condition)),
                 0);
    release(condition);
    ok(mp_condition_close(condition));
    ok(mp_lock_close(lock));
}

Test(condition, null_closed_and_other_things_are_refused)
{
    mp_condition *condition = make(), *out = NULL;
    mp_semaphore *semaphore = make_semaphore();
    mp_lock *lock;
    mp_rlock *rlock;

    ok(mp_lock_create(&lock));
    ok(mp_rlock_create(&rlock));
    expect_refusal(NULL, MP_EINVAL);
    expect_refusal((mp_condition *)(void *)semaphore, MP_EINVAL);
    cr_assert_eq(mp_condition_acquire(NULL, 0), MP_EINVAL);
    cr_assert_eq(mp_condition_create(NULL), MP_EINVAL);
    cr_assert_eq(mp_condition_create_with_lock(NULL, lock), MP_EINVAL);
    cr_assert_eq(mp_condition_create_with_rlock(NULL, rlock), MP_EINVAL);
    cr_assert_eq(mp_condition_create_with_lock(&out, NULL), MP_EINVAL);
    cr_assert_eq(mp_condition_create_with_rlock(&out, NULL), MP_EINVAL);
    cr_assert_eq(mp_condition_create_with_lock(&out, (mp_lock *)(void *)rlock),
                 MP_EINVAL);
    ok(mp_lock_close(lock));
    cr_assert_eq(mp_condition_create_with_lock(&out, lock), MP_ECLOSED);
    cr_assert_null(out);
    acquire(condition);
    cr_assert_eq(mp_condition_wait_for(condition, NULL, NULL, 0), MP_EINVAL);
    release(condition);
    ok(mp_condition_close(condition));
    expect_refusal(condition, MP_ECLOSED);
    cr_assert_eq(mp_condition_acquire(condition, 0), MP_ECLOSED);
    cr_assert_eq(mp_condition_close(condition), MP_ECLOSED);
    ok(mp_condition_close(NULL));
    ok(mp_rlock_close(rlock));
    ok(mp_semaphore_close(semaphore));
}

Test(condition, outlives_the_users_hold_on_its_lock)
{
    mp_condition *condition;
    mp_lock *lock;
    mp_rlock *rlock;

    ok(mp_lock_create(&lock));
    ok(mp_condition_create_with_lock(&condition, lock));
    ok(mp_lock_close(lock));
    acquire(condition);
    cr_assert_eq(mp_condition_wait(condition, 0.01), MP_TIMED_OUT);
    release(condition);
    ok(mp_condition_close(condition));
    ok(mp_rlock_create(&rlock));
    ok(mp_condition_create_with_rlock(&condition, rlock));
    ok(mp_condition_close(condition));
    ok(mp_rlock_acquire(rlock, 0));
    ok(mp_rlock_release(rlock));
    ok(mp_rlock_close(rlock));
}

Test(condition, several_may_have_one_lock)
{
    mp_condition *first, *second;
    mp_rlock *lock;

    ok(mp_rlock_create(&lock));
    ok(mp_condition_create_with_rlock(&first, lock));
    ok(mp_condition_create_with_rlock(&second, lock));
    acquire(first);
    ok(mp_condition_notify(second, 1));
    cr_assert_eq(mp_condition_wait(second, 0.01), MP_TIMED_OUT);
    release(second);
    cr_assert_eq(mp_condition_release(first), MP_ENOTOWNER);
    ok(mp_condition_close(first));
    ok(mp_condition_close(second));
    ok(mp_rlock_close(lock));
}

Test(condition, travels_as_its_own_kind_only)
{
    mp_condition *condition = make(), *same = NULL;
    mp_lock *lock = NULL;
    mp_obj *obj = MP_BOX(condition);

    ok(mp_obj_as_condition(obj, &same));
    cr_assert_eq(same, condition);
    cr_assert_eq(mp_obj_as_lock(obj, &lock), MP_ETYPE);
    cr_assert_null(lock);
    mp_obj_unref(obj);
    ok(mp_condition_close(condition));
    obj = mp_obj_condition(condition);
    cr_assert_eq(mp_obj_error(obj), MP_ECLOSED);
    mp_obj_unref(obj);
}

Test(condition, creation_that_fails_anywhere_leaves_nothing)
{
    bool was_reached = true;

    for (long n = 1; was_reached; n++) {
        mp_condition *condition = NULL;
        mp_error err;

        mpi_fault_arm(n, MP_ENOMEM);
        err = mp_condition_create(&condition);
        was_reached = mpi_fault_disarm(NULL, NULL);
        if (err == MP_OK) {
            ok(mp_condition_close(condition));
            continue;
        }
        cr_assert(was_reached);
        cr_assert_null(condition);
    }
}
