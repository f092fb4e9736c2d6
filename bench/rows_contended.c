/* SPDX-License-Identifier: MIT */
/* A lock that several processes want, or sleep on. */
#include "bare.h"
#include "bench.h"
#include "system.h"

#include <multiproc.h>

enum { MOST = 8, SLEEPERS = 200 };

/* In shared memory; workers are forked, so that peers' locks reach them. */
static struct shared {
    _Atomic int ready;
    _Atomic int stage;  /* 0: wait, 1: go, 2: stop */
    long first, second; /* what the lock protects */
    struct {
        _Alignas(64) long count;
    } done[MOST];
} * shared;

static int workers;
static mp_lock *lock;
static double least_share;

static const char *open_with(int count)
{
    workers = count;
    if (!bare_open(BARE_MUTEX))
        return "there is no such lock";
    shared = bare_shared(sizeof(*shared));
    bench_require(shared != NULL, "memory");
    mp_check(mp_lock_create(&lock));
    return NULL;
}

static const char *open_two(void)
{
    return open_with(2);
}

static const char *open_eight(void)
{
    return open_with(MOST);
}

static void close_all(void)
{
    mp_check(mp_lock_close(lock));
    bare_unshare(shared, sizeof(*shared));
    bare_close(BARE_MUTEX);
}

static int work(mp_args *args)
{
    bool is_ours = mp_arg_bool(args, 0);
    int64_t place = mp_arg_int(args, 1);

    shared->ready++;
    while (shared->stage == 0)
        mp_sleep(0.0005);
    while (shared->stage == 1) {
        if (is_ours)
            mp_check(mp_lock_acquire(lock, MP_FOREVER));
        else
            bare_acquire(BARE_MUTEX);
        shared->first++;
        shared->second++;
        if (is_ours)
            mp_check(mp_lock_release(lock));
        else
            bare_release(BARE_MUTEX);
        shared->done[place].count++;
    }
    return 0;
}

static long collect(void)
{
    long total = 0;
    long least = shared->done[0].count;

    for (int i = 0; i < workers; i++) {
        long count = shared->done[i].count;

        total += count;
        least = count < least ? count : least;
    }
    bench_require(shared->first == total && shared->second == total,
                  "nobody else was inside");
    least_share = (double)least * workers / (double)total;
    return total;
}

/* Seconds that one acquire and release took, over all of them together. */
static double contend(bool is_ours, double seconds)
{
    const mp_process_options forked = {.start_method = MP_START_FORK};
    mp_process *started[MOST];
    double began;

    *shared = (struct shared){.ready = 0};
    for (int i = 0; i < workers; i++) {
        mp_check(mp_process_create(&started[i], work,
                                   MP_ARGS(mp_obj_bool(is_ours), i, lock),
                                   &forked));
        mp_check(mp_process_start(started[i]));
    }
    while (shared->ready < workers)
        mp_sleep(0.0005);
    began = system_now();
    shared->stage = 1;
    mp_sleep(seconds);
    shared->stage = 2;
    seconds = system_now() - began;
    for (int i = 0; i < workers; i++) {
        mp_check(mp_process_join(started[i], MP_FOREVER));
        mp_check(mp_process_close(started[i]));
    }
    return seconds / (double)collect();
}

static double contend_ours(int batch)
{
    return contend(true, 0.2) * batch;
}

static double contend_theirs(int batch)
{
    return contend(false, 0.2) * batch;
}

/* The least served one's part of the mean, over two seconds. */
static double starve(int batch)
{
    contend(true, 2);
    return least_share * batch;
}

static double starve_theirs(int batch)
{
    contend(false, 2);
    return least_share * batch;
}

static bool nobody_starves(void)
{
    return least_share >= 1.0 / 3;
}

/* -- Sleeping -------------------------------------------------------------- */

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
    const char *obstacle = open_with(1);

    if (obstacle != NULL)
        return obstacle;
    mp_check(mp_semaphore_create(&there, 0));
    mp_check(mp_lock_acquire(lock, MP_FOREVER));
    for (int i = 0; i < SLEEPERS; i++) {
        mp_check(mp_process_create(&sleepers[i], sleep_on, MP_ARGS(lock, there),
                                   NULL));
        mp_check(mp_process_start(sleepers[i]));
    }
    for (int i = 0; i < SLEEPERS; i++)
        mp_check(mp_semaphore_acquire(there, MP_FOREVER));
    mp_check(mp_semaphore_close(there));
    mp_sleep(0.5);
    return NULL;
}

static void close_sleepers(void)
{
    mp_check(mp_lock_release(lock));
    for (int i = 0; i < SLEEPERS; i++) {
        mp_check(mp_process_join(sleepers[i], MP_FOREVER));
        mp_check(mp_process_close(sleepers[i]));
    }
    close_all();
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

static const bench_row rows[] = {
    {.name = "lock.contended.2",
     .unit = "ns",
     .peer = "glibc process-shared mutex",
     .goal = 1.0,
     .batch = 1,
     .begin = open_two,
     .end = close_all,
     .ours = contend_ours,
     .theirs = contend_theirs},
    {.name = "lock.contended.8",
     .unit = "ns",
     .peer = "glibc process-shared mutex",
     .goal = 1.0,
     .batch = 1,
     .begin = open_eight,
     .end = close_all,
     .ours = contend_ours,
     .theirs = contend_theirs},
    {.name = "lock.least_served.8",
     .unit = "%",
     .peer = "glibc process-shared mutex",
     .goal_text = "a third of the mean",
     .holds = nobody_starves,
     .samples = 3,
     .batch = 1,
     .begin = open_eight,
     .end = close_all,
     .ours = starve,
     .theirs = starve_theirs},
    {.name = "lock.asleep.200",
     .unit = "%",
     .goal_text = "under 1 % of a core",
     .holds = sleeps_well,
     .samples = 3,
     .batch = 1,
     .begin = open_sleepers,
     .end = close_sleepers,
     .ours = stay_asleep},
};

const bench_table bench_contended_rows = {rows, sizeof(rows) / sizeof(rows[0])};
