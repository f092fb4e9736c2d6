/* SPDX-License-Identifier: MIT */
/* Locks and semaphores that nobody else wants. */
#include "bare.h"
#include "bench.h"
#include "peer.h"
#include "system.h"

#include <multiproc.h>

static mp_lock *lock;
static mp_rlock *rlock;
static mp_semaphore *semaphore;
static bare_kind peer;
static _Atomic uint32_t word;

static const char *open_ours(void)
{
    mp_check(mp_lock_create(&lock));
    mp_check(mp_rlock_create(&rlock));
    mp_check(mp_semaphore_create(&semaphore, 1));
    return NULL;
}

static void close_ours(void)
{
    mp_check(mp_lock_close(lock));
    mp_check(mp_rlock_close(rlock));
    mp_check(mp_semaphore_close(semaphore));
}

static const char *open_both(bare_kind kind)
{
    peer = kind;
    return bare_open(kind) ? open_ours() : "there is no such lock";
}

static void close_both(void)
{
    bare_close(peer);
    close_ours();
}

static const char *open_robust(void)
{
    return open_both(BARE_ROBUST);
}

static const char *open_recursive(void)
{
    return open_both(BARE_RECURSIVE);
}

static const char *open_semaphore(void)
{
    return open_both(BARE_SEMAPHORE);
}

static const char *open_boost(void)
{
    return open_both(BARE_BOOST);
}

static const char *open_apr(void)
{
    if (peer_need_apr() != NULL)
        return peer_need_apr();
    return peer_apr.lock_open() ? open_ours() : "there is no such lock";
}

static void close_apr(void)
{
    peer_apr.lock_close();
    close_ours();
}

static double repeat_lock(int batch)
{
    double began = system_now();
    int failures = 0;

    for (int i = 0; i < batch; i++) {
        failures |= mp_lock_acquire(lock, MP_FOREVER);
        failures |= mp_lock_release(lock);
    }
    bench_require(failures == 0, "the lock is free");
    return system_now() - began;
}

static double repeat_rlock(int batch)
{
    double began = system_now();
    int failures = 0;

    for (int i = 0; i < batch; i++) {
        failures |= mp_rlock_acquire(rlock, MP_FOREVER);
        failures |= mp_rlock_release(rlock);
    }
    bench_require(failures == 0, "the RLock is free");
    return system_now() - began;
}

static double repeat_semaphore(int batch)
{
    double began = system_now();
    int failures = 0;

    for (int i = 0; i < batch; i++) {
        failures |= mp_semaphore_acquire(semaphore, MP_FOREVER);
        failures |= mp_semaphore_release(semaphore);
    }
    bench_require(failures == 0, "there is a permit");
    return system_now() - began;
}

/* The least a lock can do. */
static double repeat_bare(int batch)
{
    double began = system_now();
    bool is_right = true;

    for (int i = 0; i < batch; i++) {
        uint32_t nobody = 0;

        is_right &= atomic_compare_exchange_strong_explicit(
            &word, &nobody, 1, memory_order_acquire, memory_order_relaxed);
        is_right &=
            atomic_exchange_explicit(&word, 0, memory_order_release) == 1;
    }
    bench_require(is_right, "the word is free, then ours");
    return system_now() - began;
}

static double repeat_peer(int batch)
{
    double began = system_now();

    bench_require(bare_repeat(peer, batch), "the peer's lock is free");
    return system_now() - began;
}

static double repeat_apr(int batch)
{
    double began = system_now();

    bench_require(peer_apr.lock_repeat(batch), "APR's lock is free");
    return system_now() - began;
}

/* A sample of either side takes as long: a busy machine hits both. */
enum { OFTEN = 200000, SAMPLES = 21, PYTHON_OFTEN = 50000 };

#define ROW(row_name, row_peer, row_goal, open, close, repeat, other)       \
    {                                                                       \
        .name = row_name, .unit = "ns", .peer = row_peer, .goal = row_goal, \
        .samples = SAMPLES, .batch = OFTEN, .begin = open, .end = close,    \
        .ours = repeat, .theirs = other                                     \
    }
#define PYTHON_ROW(row_name, row_goal, words, repeat, command)              \
    {                                                                       \
        .name = row_name, .unit = "ns", .peer = "python", .goal = row_goal, \
        .goal_text = words, .samples = SAMPLES, .batch = OFTEN,             \
        .peer_batch = PYTHON_OFTEN, .begin = open_ours, .end = close_ours,  \
        .ours = repeat, .python = command                                   \
    }

static const bench_row rows[] = {
    ROW("lock.uncontended", "cas+exchange", 1.3, open_ours, close_ours,
        repeat_lock, repeat_bare),
    ROW("lock.uncontended.robust", "glibc robust mutex", 1.0, open_robust,
        close_both, repeat_lock, repeat_peer),
    ROW("lock.uncontended.sem_t", "sem_t", 1.0, open_semaphore, close_both,
        repeat_lock, repeat_peer),
    ROW("lock.uncontended.boost", "boost named_mutex", 1.0, open_boost,
        close_both, repeat_lock, repeat_peer),
    ROW("lock.uncontended.apr", "apr_global_mutex", 0, open_apr, close_apr,
        repeat_lock, repeat_apr),
    PYTHON_ROW("lock.uncontended.python", 0.25, "4 times as fast", repeat_lock,
               "lock"),
    ROW("rlock.uncontended", "cas+exchange", 1.5, open_ours, close_ours,
        repeat_rlock, repeat_bare),
    ROW("rlock.uncontended.recursive", "glibc recursive robust mutex", 1.0,
        open_recursive, close_both, repeat_rlock, repeat_peer),
    PYTHON_ROW("rlock.uncontended.python", 0, NULL, repeat_rlock, "rlock"),
    ROW("semaphore.uncontended", "cas+exchange", 1.5, open_ours, close_ours,
        repeat_semaphore, repeat_bare),
    ROW("semaphore.uncontended.sem_t", "sem_t", 1.0, open_semaphore, close_both,
        repeat_semaphore, repeat_peer),
    PYTHON_ROW("semaphore.uncontended.python", 0, NULL, repeat_semaphore,
               "semaphore"),
};

const bench_table bench_lock_rows = {rows, sizeof(rows) / sizeof(rows[0])};
