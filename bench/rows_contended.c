/* SPDX-License-Identifier: MIT */
/* A lock that several processes want, or sleep on. */
#include "bare.h"
#include "bench.h"
#include "child.h"
#include "contend.h"
#include "system.h"

#include <multiproc.h>

enum { FEW = 2, MANY = 8, SLEEPERS = 200 };

static const char *open_two(void)
{
    return contend_open(BARE_MUTEX, FEW);
}

static const char *open_two_robust(void)
{
    return contend_open(BARE_ROBUST, FEW);
}

static const char *open_eight(void)
{
    return contend_open(BARE_MUTEX, MANY);
}

static const char *open_eight_robust(void)
{
    return contend_open(BARE_ROBUST, MANY);
}

static double contend_ours(int batch)
{
    return contend_for(true, 0.2) * batch;
}

static double contend_theirs(int batch)
{
    return contend_for(false, 0.2) * batch;
}

/* The least served one's part of the mean, over two seconds; and the least of
 * all samples, as the goal is for each. */
static double worst_share;

static double starve(int batch)
{
    contend_for(true, 2);
    if (contend_least_share() < worst_share)
        worst_share = contend_least_share();
    return contend_least_share() * batch;
}

static double starve_theirs(int batch)
{
    contend_for(false, 2);
    return contend_least_share() * batch;
}

static const char *open_two_starving(void)
{
    worst_share = 1;
    return open_two();
}

static const char *open_eight_starving(void)
{
    worst_share = 1;
    return open_eight();
}

static bool nobody_starves(void)
{
    return worst_share >= 1.0 / 3;
}

/* -- Sleeping -------------------------------------------------------------- */

static mp_lock *lock;
static mp_process *sleepers[SLEEPERS];
static double asleep, cpu_used; /* over all samples, in seconds */

static int sleep_on(mp_args *args)
{
    mp_lock *taken = mp_arg_lock(args, 0);

    mp_check(mp_semaphore_release(mp_arg_semaphore(args, 1)));
    mp_check(mp_lock_acquire(taken, MP_FOREVER));
    mp_check(mp_lock_release(taken));
    return 0;
}

static const char *open_sleepers(void)
{
    mp_semaphore *there;

    mp_check(mp_lock_create(&lock));
    mp_check(mp_semaphore_create(&there, 0));
    mp_check(mp_lock_acquire(lock, MP_FOREVER));
    for (int i = 0; i < SLEEPERS; i++)
        sleepers[i] =
            child_start(MP_START_DEFAULT, sleep_on, MP_ARGS(lock, there));
    for (int i = 0; i < SLEEPERS; i++)
        mp_check(mp_semaphore_acquire(there, MP_FOREVER));
    mp_check(mp_semaphore_close(there));
    mp_sleep(0.5);
    return NULL;
}

static void close_sleepers(void)
{
    mp_check(mp_lock_release(lock));
    for (int i = 0; i < SLEEPERS; i++)
        child_end(sleepers[i]);
    mp_check(mp_lock_close(lock));
}

static double cpu_time(void)
{
    double sum = 0;

    for (int i = 0; i < SLEEPERS; i++)
        sum += bare_cpu_time(mp_process_pid(sleepers[i]));
    return sum;
}

/* What part of a processor they use. */
static double stay_asleep(int batch)
{
    double used = cpu_time();
    double began = system_now();

    mp_sleep(2);
    used = cpu_time() - used;
    began = system_now() - began;
    cpu_used += used;
    asleep += began;
    return used / began * batch;
}

static bool sleeps_well(void)
{
    return cpu_used / asleep < 0.01;
}

#define ROW(row_name, row_peer, open)                                          \
    {                                                                          \
        .name = row_name, .unit = "ns", .peer = row_peer, .goal = 1.0,         \
        .batch = 1, .begin = open, .end = contend_close, .ours = contend_ours, \
        .theirs = contend_theirs                                               \
    }
#define STARVING_ROW(row_name, open)                                   \
    {                                                                  \
        .name = row_name, .unit = "%", .peer = "pthread mutex",        \
        .goal_text = "a third of the mean", .holds = nobody_starves,   \
        .samples = 7, .batch = 1, .begin = open, .end = contend_close, \
        .ours = starve, .theirs = starve_theirs                        \
    }

static const bench_row rows[] = {
    ROW("lock.contended.2", "pthread mutex", open_two),
    ROW("lock.contended.2.robust", "robust pthread mutex", open_two_robust),
    ROW("lock.contended.8", "pthread mutex", open_eight),
    ROW("lock.contended.8.robust", "robust pthread mutex", open_eight_robust),
    STARVING_ROW("lock.least_served.2", open_two_starving),
    STARVING_ROW("lock.least_served.8", open_eight_starving),
    {.name = "lock.asleep.200",
     .unit = "%",
     .goal_text = "under 1 % of a core",
     .holds = sleeps_well,
     .samples = 7,
     .batch = 1,
     .begin = open_sleepers,
     .end = close_sleepers,
     .ours = stay_asleep},
};

const bench_table bench_contended_rows = {rows, sizeof(rows) / sizeof(rows[0])};
