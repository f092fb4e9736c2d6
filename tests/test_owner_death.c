/* SPDX-License-Identifier: MIT */
/* A Lock's or RLock's owner dies: whoever acquires next is told so, once, and
 * within a second, however it came to wait. */
#include "support/check.h"
#include "support/served.h"
#include "support/system.h"

#include <stdio.h>

enum { WAITERS = 5 };

static const double SOON = 1.0; /* seconds */

static bool both[] = {false, true}; /* is_rlock */

/* -- One who asks ---------------------------------------------------------- */

/* The lock is free for everybody again: nobody is told a second time. */
static void expect_ordinary(any_lock any, served *other)
{
    ok(release_any(any));
    ok(ask(other, 't'));
    ok(ask(other, 'r'));
    ok(acquire_any(any, 0));
    ok(release_any(any));
}

METHOD_TEST(owner_death, next_one_is_told_once)
{
    for (int i = 0; i < 2; i++) {
        any_lock any = make_any(both[i]);
        served owner = begin_serving(method, any);
        served other = begin_serving(method, any);
        double began;

        ok(ask(&owner, 'a'));
        kill_served(&owner);
        bury_served(&owner);
        began = now();
        cr_assert_eq(acquire_any(any, SUPPORT_LONG), MP_OWNER_DIED);
        cr_assert_lt(now() - began, SOON);
        cr_assert(is_any_locked(any));
        expect_ordinary(any, &other);
        end_serving(&other);
        ok(close_any(any));
    }
}

METHOD_TEST(owner_death, sleeper_is_told)
{
    for (int i = 0; i < 2; i++) {
        any_lock any = make_any(both[i]);
        served owner = begin_serving(method, any);
        served sleeper = begin_serving(method, any);
        double began;

        ok(ask(&owner, 'a'));
        tell(&sleeper, 'a');
        pause_for(0.2);
        began = now();
        kill_served(&owner);
        cr_assert_eq(hear(&sleeper), MP_OWNER_DIED);
        cr_assert_lt(now() - began, SOON);
        cr_assert_eq(acquire_any(any, 0), MP_TIMED_OUT);
        ok(ask(&sleeper, 'r'));
        ok(acquire_any(any, 0));
        expect_ordinary(any, &sleeper);
        bury_served(&owner);
        end_serving(&sleeper);
        ok(close_any(any));
    }
}

METHOD_TEST(owner_death, who_only_tries_is_told)
{
    for (int i = 0; i < 2; i++) {
        any_lock any = make_any(both[i]);
        served owner = begin_serving(method, any);
        served other = begin_serving(method, any);
        double began;
        mp_error err;

        ok(ask(&owner, 'a'));
        cr_assert_eq(acquire_any(any, 0), MP_TIMED_OUT);
        began = now();
        kill_served(&owner);
        while ((err = acquire_any(any, 0)) == MP_TIMED_OUT)
            cr_assert_lt(now() - began, SOON);
        cr_assert_eq(err, MP_OWNER_DIED);
        expect_ordinary(any, &other);
        bury_served(&owner);
        end_serving(&other);
        ok(close_any(any));
    }
}

/* Which of those that still wait has answered. */
static served *first_answer(served *waiters)
{
    mpos_wait_item items[WAITERS];
    served *asked[WAITERS];
    size_t count = 0;

    for (int i = 0; i < WAITERS; i++) {
        mp_handle handle;

        if (waiters[i].process == NULL)
            continue;
        ok(mp_connection_fileno(waiters[i].orders, &handle));
        asked[count] = &waiters[i];
        items[count++] = (mpos_wait_item){handle, MPOS_WAIT_READ, false};
    }
    ok(mpos_wait(items, count, mpos_now() + 10000000000));
    while (count > 1 && !items[count - 1].is_ready)
        count--;
    return asked[count - 1];
}

/* Each releases it for the next one: the first was told, the others are not. */
METHOD_TEST(owner_death, one_of_many_waiters_is_told)
{
    any_lock any = make_any(false);
    served owner = begin_serving(method, any);
    served waiters[WAITERS];
    double began;

    ok(ask(&owner, 'a'));
    for (int i = 0; i < WAITERS; i++) {
        waiters[i] = begin_serving(method, any);
        tell(&waiters[i], 'a');
    }
    pause_for(0.2);
    began = now();
    kill_served(&owner);
    for (int i = 0; i < WAITERS; i++) {
        served *told = first_answer(waiters);

        cr_assert_eq(hear(told), i == 0 ? MP_OWNER_DIED : MP_OK);
        cr_assert(i > 0 || now() - began < SOON);
        ok(ask(told, 'r'));
        end_serving(told);
        told->process = NULL;
    }
    bury_served(&owner);
    ok(acquire_any(any, 0));
    ok(close_any(any));
}

/* -- Ways to die ----------------------------------------------------------- */

METHOD_TEST(owner_death, end_without_releasing_is_a_death)
{
    for (int i = 0; i < 2; i++) {
        any_lock any = make_any(both[i]);
        served owner = begin_serving(method, any);
        double began;

        ok(ask(&owner, 'a'));
        end_serving(&owner);
        began = now();
        cr_assert_eq(acquire_any(any, SUPPORT_LONG), MP_OWNER_DIED);
        cr_assert_lt(now() - began, SOON);
        ok(release_any(any));
        ok(acquire_any(any, 0));
        ok(close_any(any));
    }
}

METHOD_TEST(owner_death, death_of_the_one_that_was_told_is_told_again)
{
    any_lock any = make_any(false);

    for (int i = 0; i < 3; i++) {
        served owner = begin_serving(method, any);

        cr_assert_eq(ask(&owner, 'a'), i == 0 ? MP_OK : MP_OWNER_DIED);
        kill_served(&owner);
        bury_served(&owner);
    }
    cr_assert_eq(acquire_any(any, SUPPORT_LONG), MP_OWNER_DIED);
    ok(release_any(any));
    ok(acquire_any(any, 0));
    ok(close_any(any));
}

/* Nobody has asked for its exit code yet. */
METHOD_TEST(owner_death, zombie_is_dead)
{
    any_lock any = make_any(false);
    served owner = begin_serving(method, any);
    mp_handle sentinel;
    mpos_wait_item item = {.kind = MPOS_WAIT_PROCESS};

    ok(ask(&owner, 'a'));
    ok(mp_process_sentinel(owner.process, &sentinel));
    item.handle = sentinel;
    kill_served(&owner);
    ok(mpos_wait(&item, 1, mpos_now() + 10000000000));
    cr_assert_eq(acquire_any(any, 0), MP_OWNER_DIED);
    ok(release_any(any));
    bury_served(&owner);
    ok(close_any(any));
}

/* Linux lets root say which number comes next. */
static bool choose_next_pid(int64_t pid)
{
    FILE *file = fopen("/proc/sys/kernel/ns_last_pid", "w");
    bool is_chosen = file != NULL && fprintf(file, "%d", (int)pid - 1) > 0;

    if (file != NULL && fclose(file) != 0)
        is_chosen = false;
    return is_chosen;
}

static served serve_as(mp_start_method method, any_lock any, int64_t pid)
{
    for (int i = 0; i < 20 && choose_next_pid(pid); i++) {
        served it = begin_serving(method, any);

        if (mp_process_pid(it.process) == pid)
            return it;
        end_serving(&it);
    }
    cr_skip_test("the system does not give this pid out again");
    return (served){NULL, NULL};
}

METHOD_TEST(owner_death, owner_whose_pid_is_used_again_is_dead)
{
    any_lock any = make_any(false);
    any_lock unused = make_any(false);
    served owner = begin_serving(method, any);
    int64_t pid = mp_process_pid(owner.process);
    served heir;

    ok(ask(&owner, 'a'));
    pause_for(0.05); /* the clock that starts are told by ticks every 0.01 s */
    kill_served(&owner);
    bury_served(&owner);
    heir = serve_as(method, unused, pid);
    cr_assert_eq(acquire_any(any, 0), MP_OWNER_DIED);
    ok(release_any(any));
    end_serving(&heir);
    ok(close_any(any));
    ok(close_any(unused));
}

/* A lock that is closed by who has it stays locked until that ends. */
METHOD_TEST(owner_death, closed_lock_dies_with_its_owner)
{
    for (int i = 0; i < 2; i++) {
        any_lock any = make_any(both[i]);
        served owner = begin_serving(method, any);

        ok(ask(&owner, 'a'));
        ok(ask(&owner, 'c'));
        cr_assert_eq(acquire_any(any, 0.05), MP_TIMED_OUT);
        end_serving(&owner);
        cr_assert_eq(acquire_any(any, SUPPORT_LONG), MP_OWNER_DIED);
        ok(release_any(any));
        ok(close_any(any));
    }
}

/* -- What is no death ------------------------------------------------------ */

METHOD_TEST(owner_death, suspended_owner_is_not_dead)
{
    any_lock any = make_any(false);
    served owner = begin_serving(method, any);
    served sleeper = begin_serving(method, any);

    ok(ask(&owner, 'a'));
    ok(mp_process_suspend(owner.process));
    tell(&sleeper, 'a');
    cr_assert_eq(acquire_any(any, 2), MP_TIMED_OUT);
    cr_assert_eq(acquire_any(any, 0), MP_TIMED_OUT);
    ok(mp_process_resume(owner.process));
    ok(ask(&owner, 'r'));
    ok(hear(&sleeper));
    ok(ask(&sleeper, 'r'));
    end_serving(&owner);
    end_serving(&sleeper);
    ok(close_any(any));
}

/* The dead one only waited. */
METHOD_TEST(owner_death, death_of_a_waiter_is_nobodys_business)
{
    any_lock any = make_any(false);
    served waiter = begin_serving(method, any);
    served other = begin_serving(method, any);

    ok(acquire_any(any, 0));
    tell(&waiter, 'a');
    tell(&other, 'a');
    pause_for(0.1);
    kill_served(&waiter);
    bury_served(&waiter);
    ok(release_any(any));
    ok(hear(&other));
    ok(ask(&other, 'r'));
    ok(acquire_any(any, 0));
    end_serving(&other);
    ok(close_any(any));
}

/* -- Threads --------------------------------------------------------------- */

Test(owner_death, end_of_a_thread_with_an_rlock_is_a_death)
{
    any_lock any = make_any(true);
    any_lock second = make_any(true);
    hand owner;
    double began;

    begin_hand(&owner, any);
    ok(ask_hand(&owner, 'a'));
    ok(ask_hand(&owner, 'a'));
    owner.any = second;
    ok(ask_hand(&owner, 'a'));
    cr_assert_eq(acquire_any(any, 0), MP_TIMED_OUT);
    began = now();
    end_hand(&owner);
    cr_assert_eq(acquire_any(any, SUPPORT_LONG), MP_OWNER_DIED);
    cr_assert_eq(acquire_any(second, SUPPORT_LONG), MP_OWNER_DIED);
    cr_assert_lt(now() - began, 0.5);
    /* Acquired once, whatever the dead one did. */
    ok(release_any(any));
    cr_assert_eq(release_any(any), MP_ENOTOWNER);
    ok(release_any(second));
    ok(acquire_any(any, 0));
    ok(release_any(any));
    ok(close_any(any));
    ok(close_any(second));
}

/* Other processes sleep on it, and are woken. */
METHOD_TEST(owner_death, end_of_a_thread_wakes_other_processes)
{
    any_lock any = make_any(true);
    served sleeper = begin_serving(method, any);
    hand owner;
    double began;

    begin_hand(&owner, any);
    ok(ask_hand(&owner, 'a'));
    tell(&sleeper, 'a');
    pause_for(0.1);
    began = now();
    end_hand(&owner);
    cr_assert_eq(hear(&sleeper), MP_OWNER_DIED);
    cr_assert_lt(now() - began, 0.4);
    ok(ask(&sleeper, 'r'));
    ok(acquire_any(any, 0));
    end_serving(&sleeper);
    ok(close_any(any));
}

Test(owner_death, thread_that_has_released_leaves_nothing)
{
    any_lock any = make_any(true);
    hand owner;

    begin_hand(&owner, any);
    ok(ask_hand(&owner, 'a'));
    ok(ask_hand(&owner, 'r'));
    end_hand(&owner);
    pause_for(0.05);
    ok(acquire_any(any, 0));
    ok(close_any(any));
}

/* It is the process's. */
Test(owner_death, end_of_a_thread_with_a_lock_changes_nothing)
{
    any_lock any = make_any(false);
    hand owner;

    begin_hand(&owner, any);
    ok(ask_hand(&owner, 'a'));
    end_hand(&owner);
    cr_assert_eq(acquire_any(any, 0.7), MP_TIMED_OUT);
    ok(release_any(any));
    ok(acquire_any(any, 0));
    ok(close_any(any));
}
