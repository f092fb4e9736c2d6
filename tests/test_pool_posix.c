/* SPDX-License-Identifier: MIT */
/* Pools and signals: Ctrl-C reaches the whole process group. */
#include "support/pool.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t interrupts;

static void note_interrupt(int number)
{
    (void)number;
    interrupts++;
}

/* Each test is in a group of its own, with what it starts. */
static void press_ctrl_c(void)
{
    cr_assert_eq(getpgrp(), getpid());
    cr_assert_eq(kill(0, SIGINT), 0);
}

/* The program decides: its workers go on as if nothing had been. */
METHOD_TEST(pool_posix, workers_ignore_ctrl_c)
{
    mp_pool *pool;
    mp_future *future;

    signal(SIGINT, note_interrupt);
    pool = make_pool(method, 2);
    await_workers(pool);
    press_ctrl_c();
    future = submit(pool, pass_gate, MP_ARGS(1));
    await_came(1);
    press_ctrl_c();
    open_gate();
    gives(future, "1");
    cr_assert_eq(interrupts, 2);
    cr_assert_eq(stats_of(pool).workers_died, 0U);
    ok(mp_future_close(future));
    end_pool(pool);
}

/* (board, connection, method): waits for a result that never comes. */
static int wait_in_a_pool(mp_args *args)
{
    mp_connection *connection = mp_arg_connection(args, 1);
    mp_pool_options options = {.start_method =
                                   (mp_start_method)mp_arg_int(args, 2),
                               .initializer = enter_pool,
                               .initargs = MP_ARGS(mp_arg_array(args, 0))};
    mp_worker_stats workers[2];
    mp_pool_stats stats;
    mp_obj *out = NULL;
    mp_pool *pool;

    if (setpgid(0, 0) != 0)
        return 1;
    signal(SIGINT, SIG_DFL);
    shared = mp_array_data(mp_arg_array(args, 0));
    mp_check(mp_pool_create(&pool, 2, &options));
    mp_check(mp_pool_get_stats(pool, &stats, workers, 2));
    mp_check(mp_connection_send(connection,
                                MP_TUPLE(workers[0].pid, workers[1].pid)));
    (void)mp_pool_map(pool, pass_gate, numbers_to(100), 1, &out);
    return 2;
}

static int64_t item_of(const mp_obj *tuple, int64_t index)
{
    const mp_obj *item;
    int64_t value = 0;

    ok(mp_obj_item(tuple, index, &item));
    ok(mp_obj_as_int(item, &value));
    return value;
}

METHOD_TEST(pool_posix, ctrl_c_ends_a_program_and_its_workers)
{
    mp_connection *ours = NULL, *theirs = NULL;
    double deadline;
    mp_process *owner;
    mp_obj *pids = NULL;

    open_board();
    ok(mp_pipe(&ours, &theirs, NULL));
    owner = support_start(MP_START_DEFAULT, wait_in_a_pool,
                          MP_ARGS(shared_array, theirs, (int)method));
    ok(mp_connection_close(theirs));
    ok(mp_connection_recv(ours, &pids));
    await_came(2);
    cr_assert_eq(kill(-(pid_t)mp_process_pid(owner), SIGINT), 0);
    cr_assert_eq(support_finish(owner), -SIGINT);
    deadline = mp_monotonic() + pool_second();
    while (runs(item_of(pids, 0)) || runs(item_of(pids, 1))) {
        cr_assert_lt(mp_monotonic(), deadline, "a worker is left");
        mp_sleep(0.001);
    }
    mp_obj_unref(pids);
    ok(mp_connection_close(ours));
    close_board();
    has_no_children();
}

/* Whatever ends a worker is told as the exit code. */
METHOD_TEST(pool_posix, a_worker_ended_by_a_signal_says_by_which)
{
    mp_pool *pool = make_pool(method, 1);
    static const int signals[] = {SIGTERM, SIGKILL, SIGSEGV, SIGABRT};

    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        mp_future *future;
        mp_failure failure;

        if (signals[i] == SIGSEGV && support_is_watched())
            continue; /* the sanitizer's own exit code */
        close_gate();
        future = submit(pool, pass_gate, MP_ARGS(1));
        await_came(1);
        cr_assert_eq(kill((pid_t)shared->pid, signals[i]), 0);
        failure = gets_error(future, MP_EWORKERDIED);
        cr_assert_eq(failure.exitcode, -signals[i], "%d", failure.exitcode);
        ok(mp_future_close(future));
    }
    open_gate();
    still_works(pool);
    end_pool(pool);
}

/* A stopped worker is no dead one. */
METHOD_TEST(pool_posix, a_stopped_worker_goes_on)
{
    mp_pool *pool = make_pool(method, 1);
    mp_future *future = submit(pool, pass_gate, MP_ARGS(1));

    await_came(1);
    cr_assert_eq(kill((pid_t)shared->pid, SIGSTOP), 0);
    open_gate();
    cr_assert_eq(mp_future_wait(future, 2 * POOL_MOMENT), MP_TIMED_OUT);
    cr_assert_eq(kill((pid_t)shared->pid, SIGCONT), 0);
    gives(future, "1");
    cr_assert_eq(stats_of(pool).workers_died, 0U);
    ok(mp_future_close(future));
    end_pool(pool);
}

/* terminate() ends those that can't hear SIGTERM. */
METHOD_TEST(pool_posix, stopped_workers_are_ended_by_terminate)
{
    mp_pool *pool = make_pool(method, 1);
    mp_future *future = submit(pool, pass_gate, MP_ARGS(1));
    double begin;

    await_came(1);
    cr_assert_eq(kill((pid_t)shared->pid, SIGSTOP), 0);
    begin = mp_monotonic();
    ok(mp_pool_terminate(pool));
    ok(mp_pool_join(pool, POOL_PATIENCE));
    cr_assert_lt(mp_monotonic() - begin, pool_second());
    (void)gets_error(future, MP_ECANCELLED);
    ok(mp_future_close(future));
    ok(mp_pool_destroy(pool));
    close_board();
}
