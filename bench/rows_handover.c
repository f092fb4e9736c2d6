/* SPDX-License-Identifier: MIT */
/* There and back again between two processes that wait for each other, on one
 * processor. */
#include "bare.h"
#include "bench.h"
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

static void start(mp_process **out, mp_function target)
{
    const mp_process_options forked = {.start_method = MP_START_FORK};

    mp_check(mp_process_create(
        out, target, MP_ARGS(events[0], events[1], condition, barrier),
        &forked));
    mp_check(mp_process_start(*out));
}

static const char *open_with(mp_function target)
{
    shared = bare_shared(sizeof(*shared));
    if (shared == NULL)
        return "there is no futex";
    bare_stay(true);
    mp_check(mp_event_create(&events[0]));
    mp_check(mp_event_create(&events[1]));
    mp_check(mp_condition_create(&condition));
    mp_check(mp_barrier_create(&barrier, 2, NULL));
    start(&theirs, answer_bare);
    start(&ours, target);
    return NULL;
}

static const char *open_event(void)
{
    return open_with(answer_event);
}

static const char *open_condition(void)
{
    return open_with(answer_condition);
}

static const char *open_barrier(void)
{
    return open_with(answer_barrier);
}

static void end(mp_process *process)
{
    int code = -1;

    mp_check(mp_process_join(process, MP_FOREVER));
    mp_check(mp_process_exitcode(process, &code));
    mp_check(mp_process_close(process));
    bench_require(code == 0, "the other one ends well");
}

static void close_all(void)
{
    end(theirs);
    end(ours);
    mp_check(mp_event_close(events[0]));
    mp_check(mp_event_close(events[1]));
    mp_check(mp_condition_close(condition));
    mp_check(mp_barrier_close(barrier));
    bare_unshare(shared, sizeof(*shared));
    bare_stay(false);
}

static void close_event(void)
{
    shared->is_over = true;
    bare_set(&shared->words[0]);
    mp_check(mp_event_set(events[0]));
    close_all();
}

static void close_condition(void)
{
    shared->is_over = true;
    bare_set(&shared->words[0]);
    take_turn(0);
    close_all();
}

static void close_barrier(void)
{
    shared->is_over = true;
    bare_set(&shared->words[0]);
    meet();
    close_all();
}

#define ROW(row_name, row_goal, open, close, pass)                         \
    {                                                                      \
        .name = row_name, .unit = "us", .peer = "futex", .goal = row_goal, \
        .samples = 31, .batch = 1000, .begin = open, .end = close,         \
        .ours = pass, .theirs = pass_bare                                  \
    }

static const bench_row rows[] = {
    ROW("event.handover", 1.15, open_event, close_event, pass_event),
    ROW("condition.handover", 2.0, open_condition, close_condition,
        pass_condition),
    ROW("barrier.handover", 2.0, open_barrier, close_barrier, pass_barrier),
};

const bench_table bench_handover_rows = {rows, sizeof(rows) / sizeof(rows[0])};
