/* SPDX-License-Identifier: MIT */
/* Lock and RLock: who has them, for how long, and how they travel. What
 * happens when an owner dies is in test_owner_death.c. */
#include "support/check.h"
#include "support/leftover.h"
#include "support/served.h"
#include "support/system.h"
#include "support/threads.h"

#include <stdio.h>
#include <stdlib.h>

enum { ADDS = 40, THREAD_ADDS = 20000, WORKERS = 4, MANY = 300 };

static bool both[] = {false, true}; /* is_rlock */

/* -- Targets --------------------------------------------------------------- */

static long read_number(const char *path)
{
    char text[32];

    support_read_file(path, text, sizeof(text));
    return strtol(text, NULL, 10);
}

static void write_number(const char *path, long number)
{
    FILE *file = fopen(path, "wb");

    if (file == NULL)
        abort();
    fprintf(file, "%ld", number);
    fclose(file);
}

static int add_in_file(mp_args *args)
{
    any_lock any = any_of(mp_arg_obj(args, 0));
    const char *path = mp_arg_str(args, 1);

    for (int i = 0; i < ADDS; i++) {
        mp_check(acquire_any(any, MP_FOREVER));
        write_number(path, read_number(path) + 1);
        mp_check(release_any(any));
    }
    return 0;
}

static mp_lock *global_lock;
static mp_rlock *global_rlock;

/* Acquired by the parent: it is the parent's. */
static int try_globals(mp_args *args)
{
    (void)args;
    if (mp_lock_acquire(global_lock, 0.01) != MP_TIMED_OUT)
        return 1;
    if (mp_rlock_acquire(global_rlock, 0.01) != MP_TIMED_OUT)
        return 2;
    if (mp_rlock_release(global_rlock) != MP_ENOTOWNER)
        return 3;
    return mp_lock_release(global_lock) == MP_OK ? 0 : 4;
}

static int use_both(mp_args *args)
{
    mp_lock *first = mp_arg_lock(args, 0);
    mp_lock *second = mp_arg_lock(args, 1);
    mp_rlock *third = mp_arg_rlock(args, 2);
    mp_rlock *fourth = mp_kwarg_rlock(args, "again", NULL);

    mp_check(mp_lock_acquire(first, 0));
    if (mp_lock_acquire(second, 0) != MP_TIMED_OUT ||
        !mp_lock_is_locked(second))
        return 1;
    mp_check(mp_lock_release(second));
    mp_check(mp_rlock_acquire(third, 0));
    mp_check(mp_rlock_acquire(fourth, 0));
    mp_check(mp_rlock_release(third));
    if (!mp_rlock_is_locked(third))
        return 2;
    mp_check(mp_rlock_release(fourth));
    return mp_rlock_is_locked(third) ? 3 : 0;
}

/* [[lock, {"k": lock}], rlock] */
static int use_nested(mp_args *args)
{
    const mp_obj *outer = mp_arg_obj(args, 0);
    const mp_obj *inner, *item;
    mp_lock *lock, *same;
    mp_rlock *rlock;

    mp_check(mp_obj_item(outer, 0, &inner));
    mp_check(mp_obj_item(inner, 0, &item));
    mp_check(mp_obj_as_lock(item, &lock));
    mp_check(mp_obj_item(inner, 1, &item));
    mp_check(mp_obj_get_str(item, "k", &item));
    mp_check(mp_obj_as_lock(item, &same));
    mp_check(mp_obj_item(outer, 1, &item));
    mp_check(mp_obj_as_rlock(item, &rlock));
    mp_check(mp_lock_acquire(lock, 0));
    mp_check(mp_lock_release(same));
    mp_check(mp_rlock_acquire(rlock, 0));
    return 0;
}

static int release_all(mp_args *args)
{
    const mp_obj *list = mp_arg_obj(args, 0);
    size_t count;

    mp_check(mp_obj_len(list, &count));
    for (size_t i = 0; i < count; i++) {
        const mp_obj *item;
        mp_lock *lock;

        mp_check(mp_obj_item(list, (int64_t)i, &item));
        mp_check(mp_obj_as_lock(item, &lock));
        mp_check(mp_lock_release(lock));
    }
    return (int)(count % 100);
}

/* A forked child has its parent's object, which its arguments hold open. */
static int close_arguments(mp_args *args)
{
    mp_lock *lock = mp_arg_lock(args, 0);
    bool is_held_open = mp_arg_bool(args, 1);

    mp_check(mp_lock_acquire(lock, 0));
    mp_check(mp_lock_release(lock));
    mp_check(mp_lock_close(lock));
    if (!is_held_open && (mp_lock_acquire(lock, 0) != MP_ECLOSED ||
                          mp_lock_release(lock) != MP_ECLOSED))
        return 1;
    return mp_lock_close(lock) == MP_ECLOSED ? 0 : 2;
}

/* Makes both, has them acquired, and sends them to the parent. */
static int send_own(mp_args *args)
{
    mp_connection *connection = mp_arg_connection(args, 0);
    mp_lock *lock;
    mp_rlock *rlock;
    mp_obj *ignored;

    mp_check(mp_lock_create(&lock));
    mp_check(mp_rlock_create(&rlock));
    mp_check(mp_lock_acquire(lock, 0));
    mp_check(mp_rlock_acquire(rlock, 0));
    mp_check(mp_connection_send(connection, MP_LIST(lock, rlock)));
    mp_check(mp_connection_recv(connection, &ignored));
    mp_obj_unref(ignored);
    mp_check(mp_rlock_release(rlock));
    mp_check(mp_rlock_close(rlock));
    mp_check(mp_lock_close(lock));
    return 0;
}

/* -- Mutual exclusion ------------------------------------------------------ */

static void count_in_file(mp_start_method method, bool is_rlock,
                          const char *path)
{
    any_lock any = make_any(is_rlock);
    mp_process *children[WORKERS];

    write_number(path, 0);
    for (int i = 0; i < WORKERS; i++)
        children[i] =
            support_start(method, add_in_file, MP_ARGS(box_any(any), path));
    for (int i = 0; i < ADDS; i++) {
        ok(acquire_any(any, MP_FOREVER));
        write_number(path, read_number(path) + 1);
        ok(release_any(any));
    }
    for (int i = 0; i < WORKERS; i++)
        cr_assert_eq(support_finish(children[i]), 0);
    cr_assert_eq(read_number(path), (WORKERS + 1L) * ADDS);
    cr_assert_not(is_any_locked(any));
    ok(close_any(any));
}

METHOD_TEST(lock, processes_exclude_each_other)
{
    char folder[SUPPORT_PATH_SIZE];
    char path[SUPPORT_PATH_SIZE];

    support_make_folder("mp-lock-", folder);
    support_join_path(folder, "count", path);
    for (int i = 0; i < 2; i++)
        count_in_file(method, both[i], path);
    support_remove_folder(folder);
}

typedef struct adder {
    any_lock any;
    long *sum;
    mpi_atomic32 failures;
} adder;

static void add_in_thread(void *argument)
{
    adder *it = argument;

    for (int i = 0; i < THREAD_ADDS; i++) {
        if (acquire_any(it->any, MP_FOREVER) != MP_OK)
            mpi_atomic32_add(&it->failures, 1);
        ++*it->sum;
        if (release_any(it->any) != MP_OK)
            mpi_atomic32_add(&it->failures, 1);
    }
}

Test(lock, threads_exclude_each_other)
{
    for (int i = 0; i < 2; i++) {
        long sum = 0;
        adder it = {.any = make_any(both[i]), .sum = &sum};
        mpos_thread threads[WORKERS];

        support_start_threads(threads, WORKERS, add_in_thread, &it);
        support_join_threads(threads, WORKERS);
        cr_assert_eq(mpi_atomic32_load(&it.failures), 0U);
        cr_assert_eq(sum, (long)WORKERS * THREAD_ADDS);
        ok(close_any(it.any));
    }
}

/* -- Who may release ------------------------------------------------------- */

METHOD_TEST(lock, another_process_may_release_a_lock)
{
    any_lock any = make_any(false);
    served child = begin_serving(method, any);

    ok(acquire_any(any, 0));
    cr_assert_eq(ask(&child, 't'), MP_TIMED_OUT);
    ok(ask(&child, 'r'));
    cr_assert_not(is_any_locked(any));
    ok(ask(&child, 't'));
    cr_assert_eq(acquire_any(any, 0), MP_TIMED_OUT);
    ok(release_any(any));
    ok(acquire_any(any, 0));
    end_serving(&child);
    ok(close_any(any));
}

Test(lock, another_thread_may_release_a_lock)
{
    any_lock any = make_any(false);
    hand other;

    begin_hand(&other, any);
    ok(acquire_any(any, 0));
    cr_assert_eq(ask_hand(&other, 't'), MP_TIMED_OUT);
    ok(ask_hand(&other, 'r'));
    ok(acquire_any(any, 0));
    end_hand(&other);
    ok(close_any(any));
}

Test(lock, releasing_too_often_is_an_error)
{
    any_lock lock = make_any(false);
    any_lock rlock = make_any(true);

    cr_assert_eq(release_any(lock), MP_ESTATE);
    cr_assert_str_not_empty(mp_error_message());
    ok(acquire_any(lock, 0));
    ok(release_any(lock));
    cr_assert_eq(release_any(lock), MP_ESTATE);
    cr_assert_eq(release_any(rlock), MP_ENOTOWNER);
    ok(acquire_any(rlock, 0));
    ok(release_any(rlock));
    cr_assert_eq(release_any(rlock), MP_ENOTOWNER);
    cr_assert_str_not_empty(mp_error_message());
    ok(close_any(lock));
    ok(close_any(rlock));
}

METHOD_TEST(lock, another_process_may_not_release_an_rlock)
{
    any_lock any = make_any(true);
    served child = begin_serving(method, any);

    ok(acquire_any(any, 0));
    cr_assert_eq(ask(&child, 'r'), MP_ENOTOWNER);
    cr_assert_eq(ask(&child, 't'), MP_TIMED_OUT);
    cr_assert_eq(ask(&child, 'l'), MP_PENDING);
    ok(release_any(any));
    ok(ask(&child, 't'));
    cr_assert_eq(release_any(any), MP_ENOTOWNER);
    cr_assert_eq(acquire_any(any, 0), MP_TIMED_OUT);
    ok(ask(&child, 'r'));
    end_serving(&child);
    ok(close_any(any));
}

Test(lock, another_thread_may_not_release_an_rlock)
{
    any_lock any = make_any(true);
    hand other;

    begin_hand(&other, any);
    ok(acquire_any(any, 0));
    cr_assert_eq(ask_hand(&other, 'r'), MP_ENOTOWNER);
    cr_assert_eq(ask_hand(&other, 't'), MP_TIMED_OUT);
    ok(release_any(any));
    ok(ask_hand(&other, 't'));
    cr_assert_eq(release_any(any), MP_ENOTOWNER);
    ok(ask_hand(&other, 'r'));
    end_hand(&other);
    ok(close_any(any));
}

/* What the other thread knows of it stays for as long as that has it. */
Test(lock, an_rlock_closed_while_another_thread_has_it_is_still_locked)
{
    any_lock any = make_any(true);
    mp_connection *a, *b;
    mp_rlock *same;
    mp_obj *came;
    hand other;

    ok(mp_pipe(&a, &b, NULL));
    ok(mp_connection_send(a, MP_BOX(any.rlock)));
    ok(mp_connection_recv(b, &came));
    ok(mp_obj_as_rlock(came, &same));
    begin_hand(&other, any);
    ok(ask_hand(&other, 't'));
    ok(close_any(any));
    cr_assert_eq(mp_rlock_acquire(same, 0), MP_TIMED_OUT);
    end_hand(&other);
    cr_assert_eq(mp_rlock_acquire(same, 0), MP_OWNER_DIED, "it ended with it");
    ok(mp_rlock_release(same));
    mp_obj_unref(came);
    ok(mp_connection_close(a));
    ok(mp_connection_close(b));
}

/* -- Acquiring again ------------------------------------------------------- */

Test(lock, acquiring_a_lock_twice_waits)
{
    any_lock any = make_any(false);
    double began = now();

    ok(acquire_any(any, MP_FOREVER));
    cr_assert_eq(acquire_any(any, 0.05), MP_TIMED_OUT);
    cr_assert_geq(now() - began, 0.05);
    ok(release_any(any));
    ok(close_any(any));
}

METHOD_TEST(lock, rlock_is_acquired_as_often_as_it_is_released)
{
    any_lock any = make_any(true);
    served child = begin_serving(method, any);

    for (int i = 0; i < 5; i++)
        ok(acquire_any(any, i % 2));
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(ask(&child, 't'), MP_TIMED_OUT);
        cr_assert(is_any_locked(any));
        ok(release_any(any));
    }
    cr_assert_not(is_any_locked(any));
    ok(ask(&child, 't'));
    ok(ask(&child, 't'));
    ok(ask(&child, 'r'));
    cr_assert_eq(acquire_any(any, 0), MP_TIMED_OUT);
    ok(ask(&child, 'r'));
    ok(acquire_any(any, 0));
    end_serving(&child);
    ok(close_any(any));
}

/* -- Time ------------------------------------------------------------------ */

Test(lock, waiting_takes_as_long_as_was_said)
{
    static const double timeouts[] = {0.001, 0.1, 0.7};

    for (int i = 0; i < 2; i++) {
        any_lock any = make_any(both[i]);
        hand other;

        begin_hand(&other, any);
        ok(ask_hand(&other, 'a'));
        for (size_t n = 0; n < sizeof(timeouts) / sizeof(timeouts[0]); n++) {
            double began = now();
            double took;

            cr_assert_eq(acquire_any(any, timeouts[n]), MP_TIMED_OUT);
            took = now() - began;
            cr_assert_geq(took, timeouts[n]);
            cr_assert_lt(took, timeouts[n] + 0.3, "%f s", took);
        }
        ok(ask_hand(&other, 'r'));
        end_hand(&other);
        ok(close_any(any));
    }
}

Test(lock, zero_and_negative_timeouts_only_try)
{
    static const double timeouts[] = {0, -0.0, -1, -1e300};

    for (int i = 0; i < 2; i++) {
        any_lock any = make_any(both[i]);
        hand other;

        begin_hand(&other, any);
        for (size_t n = 0; n < sizeof(timeouts) / sizeof(timeouts[0]); n++) {
            double began = now();

            ok(acquire_any(any, timeouts[n]));
            ok(release_any(any));
            ok(ask_hand(&other, 'a'));
            began = now();
            cr_assert_eq(acquire_any(any, timeouts[n]), MP_TIMED_OUT);
            cr_assert_lt(now() - began, 0.1);
            ok(ask_hand(&other, 'r'));
        }
        end_hand(&other);
        ok(close_any(any));
    }
}

Test(lock, timeouts_beyond_the_clock_wait)
{
    any_lock any = make_any(false);

    ok(acquire_any(any, 1e300));
    ok(release_any(any));
    ok(close_any(any));
}

METHOD_TEST(lock, waiter_gets_it_when_it_is_released)
{
    for (int i = 0; i < 2; i++) {
        any_lock any = make_any(both[i]);
        served child = begin_serving(method, any);
        double began;

        ok(acquire_any(any, 0));
        tell(&child, 'a');
        pause_for(0.1);
        began = now();
        ok(release_any(any));
        ok(hear(&child));
        cr_assert_lt(now() - began, 0.5);
        ok(ask(&child, 'r'));
        end_serving(&child);
        ok(close_any(any));
    }
}

/* -- Fork ------------------------------------------------------------------ */

Test(lock, forked_child_has_no_part_in_what_its_parent_acquired)
{
    mp_start_method method = support_method(MP_START_FORK);

    ok(mp_lock_create(&global_lock));
    ok(mp_rlock_create(&global_rlock));
    ok(mp_lock_acquire(global_lock, 0));
    for (int i = 0; i < 3; i++)
        ok(mp_rlock_acquire(global_rlock, 0));
    cr_assert_eq(support_run(method, try_globals, NULL), 0);
    /* The Lock was released there. */
    ok(mp_lock_acquire(global_lock, 0));
    for (int i = 0; i < 3; i++)
        ok(mp_rlock_release(global_rlock));
    cr_assert_eq(mp_rlock_release(global_rlock), MP_ENOTOWNER);
    ok(mp_lock_close(global_lock));
    ok(mp_rlock_close(global_rlock));
}

static int wait_and_use_global(mp_args *args)
{
    mp_obj *ignored;

    if (mp_connection_recv(mp_arg_connection(args, 0), &ignored) == MP_OK)
        mp_obj_unref(ignored);
    return mp_lock_acquire(global_lock, 0) == MP_ECLOSED ? 0 : 1;
}

/* It was not passed and never used: nobody knows that it is wanted. */
Test(lock, what_everybody_has_closed_is_closed_in_a_forked_child)
{
    mp_start_method method = support_method(MP_START_FORK);
    mp_connection *ours, *theirs;
    mp_process *child;

    ok(mp_lock_create(&global_lock));
    ok(mp_pipe(&ours, &theirs, NULL));
    child = support_start(method, wait_and_use_global, MP_ARGS(theirs));
    ok(mp_lock_close(global_lock));
    ok(mp_connection_send(ours, MP_NONE));
    cr_assert_eq(support_finish(child), 0);
    ok(mp_connection_close(ours));
    ok(mp_connection_close(theirs));
}

/* -- Travelling ------------------------------------------------------------ */

METHOD_TEST(lock, one_lock_may_be_passed_twice)
{
    mp_process_options options = {.start_method = method};
    mp_process *child = NULL;
    mp_lock *lock;
    mp_rlock *rlock;

    ok(mp_lock_create(&lock));
    ok(mp_rlock_create(&rlock));
    options.kwargs = MP_KWARGS("again", rlock);
    ok(mp_process_create(&child, use_both, MP_ARGS(lock, lock, rlock),
                         &options));
    ok(mp_process_start(child));
    cr_assert_eq(support_finish(child), 0);
    ok(mp_lock_acquire(lock, 0));
    ok(mp_rlock_acquire(rlock, 0));
    ok(mp_lock_close(lock));
    ok(mp_rlock_close(rlock));
}

METHOD_TEST(lock, nested_lists_carry_locks)
{
    mp_lock *lock;
    mp_rlock *rlock;

    ok(mp_lock_create(&lock));
    ok(mp_rlock_create(&rlock));
    cr_assert_eq(
        support_run(method, use_nested,
                    MP_ARGS(MP_LIST(MP_LIST(lock, MP_DICT("k", lock)), rlock))),
        0);
    cr_assert_not(mp_lock_is_locked(lock));
    ok(mp_lock_close(lock));
    ok(mp_rlock_close(rlock));
}

METHOD_TEST(lock, hundreds_of_locks_go_to_one_child)
{
    mp_lock *locks[MANY];
    mp_obj *list = mp_obj_list(NULL, 0);

    for (int i = 0; i < MANY; i++) {
        ok(mp_lock_create(&locks[i]));
        ok(mp_lock_acquire(locks[i], 0));
        ok(mp_obj_append(list, mp_obj_lock(locks[i])));
    }
    cr_assert_eq(support_run(method, release_all, MP_ARGS(list)), MANY % 100);
    for (int i = 0; i < MANY; i++) {
        cr_assert_not(mp_lock_is_locked(locks[i]));
        ok(mp_lock_close(locks[i]));
    }
}

METHOD_TEST(lock, child_keeps_what_its_parent_closes_at_once)
{
    for (int i = 0; i < 2; i++) {
        any_lock any = make_any(both[i]);
        served child = begin_serving(method, any);

        ok(close_any(any));
        /* What is made now must not take its place. */
        any = make_any(both[i]);
        ok(acquire_any(any, 0));
        ok(ask(&child, 'a'));
        cr_assert_eq(ask(&child, 'l'), MP_PENDING);
        ok(ask(&child, 'r'));
        cr_assert(is_any_locked(any));
        end_serving(&child);
        ok(close_any(any));
    }
}

METHOD_TEST(lock, closing_releases_nothing)
{
    any_lock any = make_any(false);
    served first = begin_serving(method, any);
    served second = begin_serving(method, any);

    ok(ask(&first, 't'));
    cr_assert_eq(ask(&second, 't'), MP_TIMED_OUT);
    ok(ask(&first, 'c'));
    cr_assert_eq(ask(&first, 'c'), MP_ECLOSED);
    cr_assert_eq(ask(&second, 't'), MP_TIMED_OUT);
    ok(release_any(any));
    ok(ask(&second, 't'));
    end_serving(&first);
    end_serving(&second);
    ok(close_any(any));
}

METHOD_TEST(lock, parent_gets_what_its_child_has_made)
{
    mp_connection *ours, *theirs;
    mp_process *child;
    const mp_obj *item;
    mp_lock *lock;
    mp_rlock *rlock;
    mp_obj *list;

    ok(mp_pipe(&ours, &theirs, NULL));
    child = support_start(method, send_own, MP_ARGS(theirs));
    ok(mp_connection_close(theirs));
    ok(mp_connection_recv(ours, &list));
    ok(mp_obj_item(list, 0, &item));
    ok(mp_obj_as_lock(item, &lock));
    ok(mp_obj_item(list, 1, &item));
    ok(mp_obj_as_rlock(item, &rlock));
    cr_assert_eq(mp_lock_acquire(lock, 0), MP_TIMED_OUT);
    cr_assert_eq(mp_rlock_acquire(rlock, 0), MP_TIMED_OUT);
    ok(mp_lock_release(lock));
    ok(mp_lock_acquire(lock, 0));
    ok(mp_connection_send(ours, MP_NONE));
    ok(mp_rlock_acquire(rlock, SUPPORT_LONG));
    cr_assert_eq(support_finish(child), 0);
    ok(mp_rlock_release(rlock));
    ok(mp_lock_release(lock));
    mp_obj_unref(list);
    ok(mp_connection_close(ours));
}

/* -- Wrong use ------------------------------------------------------------- */

Test(lock, null_is_refused)
{
    cr_assert_eq(mp_lock_create(NULL), MP_EINVAL);
    cr_assert_eq(mp_rlock_create(NULL), MP_EINVAL);
    cr_assert_eq(mp_lock_acquire(NULL, 0), MP_EINVAL);
    cr_assert_eq(mp_rlock_acquire(NULL, 0), MP_EINVAL);
    cr_assert_eq(mp_lock_release(NULL), MP_EINVAL);
    cr_assert_eq(mp_rlock_release(NULL), MP_EINVAL);
    cr_assert_not(mp_lock_is_locked(NULL));
    cr_assert_not(mp_rlock_is_locked(NULL));
    ok(mp_lock_close(NULL));
    ok(mp_rlock_close(NULL));
}

Test(lock, other_kinds_are_refused)
{
    mp_lock *lock;
    mp_rlock *rlock, *wrong = NULL;
    mp_obj *obj;

    ok(mp_lock_create(&lock));
    ok(mp_rlock_create(&rlock));
    cr_assert_eq(mp_lock_acquire((mp_lock *)(void *)rlock, 0), MP_EINVAL);
    cr_assert_eq(mp_rlock_release((mp_rlock *)(void *)lock), MP_EINVAL);
    cr_assert_eq(mp_rlock_close((mp_rlock *)(void *)lock), MP_EINVAL);
    cr_assert_not(mp_lock_is_locked((mp_lock *)(void *)rlock));
    obj = mp_obj_lock(lock);
    cr_assert_eq(mp_obj_as_rlock(obj, &wrong), MP_ETYPE);
    cr_assert_str_eq(mp_error_message(), "expected RLock, got Lock");
    cr_assert_null(wrong);
    mp_obj_unref(obj);
    ok(mp_lock_close(lock));
    ok(mp_rlock_close(rlock));
}

Test(lock, closed_locks_are_refused)
{
    for (int i = 0; i < 2; i++) {
        any_lock any = make_any(both[i]);
        mp_obj *obj;

        ok(close_any(any));
        cr_assert_eq(acquire_any(any, 0), MP_ECLOSED);
        cr_assert_eq(release_any(any), MP_ECLOSED);
        cr_assert_not(is_any_locked(any));
        cr_assert_eq(close_any(any), MP_ECLOSED);
        obj = box_any(any);
        cr_assert_eq(mp_obj_error(obj), MP_ECLOSED);
        mp_obj_unref(obj);
    }
}

/* Arguments hold it open until they are dropped. */
Test(lock, object_holds_a_lock_open)
{
    any_lock any = make_any(false);
    mp_obj *obj = box_any(any);
    mp_lock *same = NULL;

    ok(close_any(any));
    cr_assert_eq(close_any(any), MP_ECLOSED);
    ok(mp_obj_as_lock(obj, &same));
    cr_assert_eq(same, any.lock);
    ok(mp_lock_acquire(same, 0));
    mp_obj_unref(obj);
    cr_assert_eq(mp_lock_acquire(same, 0), MP_ECLOSED);
}

METHOD_TEST(lock, child_may_close_its_argument)
{
    bool is_held_open = method == MP_START_FORK;
    mp_lock *lock;

    ok(mp_lock_create(&lock));
    cr_assert_eq(
        support_run(method, close_arguments, MP_ARGS(lock, is_held_open)), 0);
    ok(mp_lock_acquire(lock, 0));
    ok(mp_lock_close(lock));
}

Test(lock, locks_do_not_travel_in_bytes)
{
    mp_lock *lock;
    mp_obj *obj;
    void *data;
    size_t size;

    ok(mp_lock_create(&lock));
    obj = mp_obj_lock(lock);
    cr_assert_eq(mp_pickle_dumps(obj, &data, &size), MP_EPICKLE);
    mp_obj_unref(obj);
    ok(mp_lock_close(lock));
}

/* -- What remains ---------------------------------------------------------- */

METHOD_TEST(lock, nothing_remains_open)
{
    size_t before = 0;

    for (int round = 0; round < 3; round++) {
        any_lock any = make_any(round % 2);
        served child = begin_serving(method, any);

        ok(ask(&child, 'a'));
        ok(ask(&child, 'r'));
        ok(close_any(any));
        end_serving(&child);
        if (before == 0)
            before = support_open_handles();
        cr_assert_eq(support_open_handles(), before);
    }
    cr_assert_eq(support_memory_names(), 0U);
}
