/* SPDX-License-Identifier: MIT */
/*
 * Workers are forked, so that peers' locks reach them. They begin together and
 * are told when to stop; what each has done by then is counted.
 */
#include "contend.h"

#include "bench.h"
#include "child.h"
#include "system.h"

#include <multiproc.h>

/* In shared memory. */
static struct shared {
    _Atomic int ready;
    _Atomic int stage;  /* 0: wait, 1: go, 2: stop */
    long first, second; /* what the lock protects */
    struct {
        _Alignas(64) long count;
    } done[CONTEND_MOST];
} * shared;

static int workers;
static bare_kind peer;
static mp_lock *lock;
static double least_share;

const char *contend_open(bare_kind kind, int count)
{
    workers = count;
    peer = kind;
    if (!bare_open(kind))
        return "there is no such lock";
    shared = bare_shared(sizeof(*shared));
    bench_require(shared != NULL, "memory");
    mp_check(mp_lock_create(&lock));
    return NULL;
}

void contend_close(void)
{
    mp_check(mp_lock_close(lock));
    bare_unshare(shared, sizeof(*shared));
    bare_close(peer);
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
            bare_acquire(peer);
        shared->first++;
        shared->second++;
        if (is_ours)
            mp_check(mp_lock_release(lock));
        else
            bare_release(peer);
        shared->done[place].count++;
    }
    return 0;
}

static long collect(void)
{
    long total = 0;
    long least = shared->done[0].count;
    long most = least;

    for (int i = 0; i < workers; i++) {
        long count = shared->done[i].count;

        total += count;
        least = count < least ? count : least;
        most = count > most ? count : most;
    }
    bench_require(total > 0 && shared->first == total &&
                      shared->second == total,
                  "nobody else was inside");
    least_share = (double)least * workers / (double)total;
    if (workers > 1)
        bench_note_fairness((double)least / (double)most);
    return total;
}

double contend_for(bool is_ours, double seconds)
{
    mp_process *started[CONTEND_MOST];
    double began;

    *shared = (struct shared){.ready = 0};
    for (int i = 0; i < workers; i++)
        started[i] = child_start(MP_START_FORK, work,
                                 MP_ARGS(mp_obj_bool(is_ours), i, lock));
    while (shared->ready < workers)
        mp_sleep(0.0005);
    began = system_now();
    shared->stage = 1;
    mp_sleep(seconds);
    shared->stage = 2;
    seconds = system_now() - began;
    for (int i = 0; i < workers; i++)
        child_end(started[i]);
    return seconds / (double)collect();
}

double contend_least_share(void)
{
    return least_share;
}
