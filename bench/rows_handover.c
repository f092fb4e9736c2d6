/* SPDX-License-Identifier: MIT */
/* There and back again between two processes that wait for each other, on one
 * processor. */
#include "bare.h"
#include "bench.h"
#include "child.h"
#include "system.h"

#include <multiproc.h>

/* In shared memory; the other process is forked. */
static struct shared {
    _Atomic uint32_t words[2]; /* bare events */
    bool is_over;
    int turn; /* under the condition */
} * shared;

static mp_event *events[2];
static mp_condition *condition;
static mp_barrier *barrier;
static mp_process *ours, *theirs;

/* -- What both do ---------------------------------------------------------- */

static void await(int which)
{
    mp_check(mp_event_wait(events[which], MP_FOREVER));
    mp_check(mp_event_clear(events[which]));
}

static bool is_turn(void *turn)
{
    return shared->turn == *(int *)turn;
}

/* Waits for its turn and gives it to the other one. */
static void take_turn(int mine)
{
    mp_check(mp_condition_acquire(condition, MP_FOREVER));
    mp_check(mp_condition_wait_for(condition, is_turn, &mine, MP_FOREVER));
    shared->turn = 1 - mine;
    mp_check(mp_condition_notify(condition, 1));
    mp_check(mp_condition_release(condition));
}

static void meet(void)
{
    mp_check(mp_barrier_wait(barrier, MP_FOREVER, NULL));
}

/* -- The other process ----------------------------------------------------- */

static int answer_bare(mp_args *args)
{
    (void)args;
    bare_answer(shared->words, &shared->is_over);
    return 0;
}

static int answer_bare_event(mp_args *args)
{
    (void)args;
    for (bare_pend(0); !shared->is_over; bare_pend(0))
        bare_post(1);
    return 0;
}

static int answer_bare_condition(mp_args *args)
{
    (void)args;
    do
        bare_take_turn(1);
    while (!shared->is_over);
    return 0;
}

static int answer_bare_barrier(mp_args *args)
{
    (void)args;
    for (bare_meet(); !shared->is_over; bare_meet())
        bare_meet();
    return 0;
}

static int answer_event(mp_args *args)
{
    (void)args;
    for (await(0); !shared->is_over; await(0))
        mp_check(mp_event_set(events[1]));
    return 0;
}

static int answer_condition(mp_args *args)
{
    (void)args;
    do
        take_turn(1);
    while (!shared->is_over);
    return 0;
}

static int answer_barrier(mp_args *args)
{
    (void)args;
    for (meet(); !shared->is_over; meet())
        meet();
    return 0;
}

/* -- One sample ------------------------------------------------------------ */

static double pass_bare(int batch)
{
    double began = system_now();

    bare_play(shared->words, batch);
    return system_now() - began;
}

static double pass_bare_event(int batch)
{
    double began = system_now();

    for (int i = 0; i < batch; i++) {
        bare_post(0);
        bare_pend(1);
    }
    return system_now() - began;
}

static double pass_bare_condition(int batch)
{
    double began = system_now();

    for (int i = 0; i < batch; i++)
        bare_take_turn(0);
    return system_now() - began;
}

static double pass_bare_barrier(int batch)
{
    double began = system_now();

    for (int i = 0; i < batch; i++) {
        bare_meet();
        bare_meet();
    }
    return system_now() - began;
}

static double pass_event(int batch)
{
    double began = system_now();

    for (int i = 0; i < batch; i++) {
        mp_check(mp_event_set(events[0]));
        await(1);
    }
    return system_now() - began;
}

static double pass_condition(int batch)
{
    double began = system_now();

    for (int i = 0; i < batch; i++)
        take_turn(0);
    return system_now() - began;
}

static double pass_barrier(int batch)
{
    double began = system_now();

    for (int i = 0; i < batch; i++) {
        meet();
        meet();
    }
    return system_now() - began;
}

/* -- Beginning and ending -------------------------------------------------- */

static mp_process *start(mp_function target)
{
    return child_start(MP_START_FORK, target,
                       MP_ARGS(events[0], events[1], condition, barrier));
}

static const char *open_with(mp_function target, mp_function opponent)
{
    shared = bare_shared(sizeof(*shared));
    if (shared == NULL || !bare_open_game())
        return "there is nothing to play with";
    bare_stay(true);
    mp_check(mp_event_create(&events[0]));
    mp_check(mp_event_create(&events[1]));
    mp_check(mp_condition_create(&condition));
    mp_check(mp_barrier_create(&barrier, 2, NULL));
    theirs = start(opponent);
    ours = start(target);
    return NULL;
}

static const char *open_event(void)
{
    return open_with(answer_event, answer_bare);
}

static const char *open_event_and_glibc(void)
{
    return open_with(answer_event, answer_bare_event);
}

static const char *open_condition(void)
{
    return open_with(answer_condition, answer_bare);
}

static const char *open_condition_and_glibc(void)
{
    return open_with(answer_condition, answer_bare_condition);
}

static const char *open_barrier(void)
{
    return open_with(answer_barrier, answer_bare);
}

static const char *open_barrier_and_glibc(void)
{
    return open_with(answer_barrier, answer_bare_barrier);
}

static void close_all(void)
{
    child_end(theirs);
    child_end(ours);
    mp_check(mp_event_close(events[0]));
    mp_check(mp_event_close(events[1]));
    mp_check(mp_condition_close(condition));
    mp_check(mp_barrier_close(barrier));
    bare_close_game();
    bare_unshare(shared, sizeof(*shared));
    bare_stay(false);
}

static void let_futex_go(void)
{
    bare_set(&shared->words[0]);
}

static void let_semaphore_go(void)
{
    bare_post(0);
}

/* Whoever's turn it is: the other one, which may have seen that it is over,
 * would not give it back. */
static void let_condition_go(void)
{
    bare_give_turn(1);
}

static void set_event(void)
{
    mp_check(mp_event_set(events[0]));
}

static void give_turn(void)
{
    mp_check(mp_condition_acquire(condition, MP_FOREVER));
    shared->turn = 1;
    mp_check(mp_condition_notify(condition, 1));
    mp_check(mp_condition_release(condition));
}

static void close_with(void (*let_ours_go)(void), void (*let_theirs_go)(void))
{
    shared->is_over = true;
    let_ours_go();
    let_theirs_go();
    close_all();
}

static void close_event(void)
{
    close_with(set_event, let_futex_go);
}

static void close_event_and_glibc(void)
{
    close_with(set_event, let_semaphore_go);
}

static void close_condition(void)
{
    close_with(give_turn, let_futex_go);
}

static void close_condition_and_glibc(void)
{
    close_with(give_turn, let_condition_go);
}

static void close_barrier(void)
{
    close_with(meet, let_futex_go);
}

static void close_barrier_and_glibc(void)
{
    close_with(meet, bare_meet);
}

#define ROW(row_name, row_peer, row_goal, what, pass, other)                \
    {                                                                       \
        .name = row_name, .unit = "us", .peer = row_peer, .goal = row_goal, \
        .samples = 31, .batch = 1000, .begin = open_##what,                 \
        .end = close_##what, .ours = pass, .theirs = other                  \
    }

static const bench_row rows[] = {
    ROW("event.handover", "futex", 1.15, event, pass_event, pass_bare),
    ROW("event.handover.glibc", "sem_t", 0, event_and_glibc, pass_event,
        pass_bare_event),
    ROW("condition.handover", "futex", 2.0, condition, pass_condition,
        pass_bare),
    ROW("condition.handover.glibc", "pthread condition", 0, condition_and_glibc,
        pass_condition, pass_bare_condition),
    ROW("barrier.handover", "futex", 2.0, barrier, pass_barrier, pass_bare),
    ROW("barrier.handover.glibc", "pthread barrier", 0, barrier_and_glibc,
        pass_barrier, pass_bare_barrier),
};

const bench_table bench_handover_rows = {rows, sizeof(rows) / sizeof(rows[0])};
