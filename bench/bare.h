/* SPDX-License-Identifier: MIT */
/*
 * What locks are compared with: the system's own between processes, and
 * Boost's. Where a system has none of it, bare_shared() gives NULL.
 */
#ifndef BENCH_BARE_H
#define BENCH_BARE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of the C library; "" if there is nothing here. */
const char *bare_version(void);

/* Zeroed memory that forked children share; NULL if there is none. */
void *bare_shared(size_t size);
void bare_unshare(void *memory, size_t size);
/* Memory with a name: made, attached to, written there, read here, let go by
 * both. False if that failed. */
bool bare_memory_cycle(const char *name, size_t size);
/* What is in a file, to be read; NULL if it can't be. bare_unshare(). */
const void *bare_map(const char *path, size_t offset, size_t size);
/* run(0, count) to run(count - 1, count) in forked children, all at once. */
bool bare_fork(void (*run)(int index, int count), int count);

typedef enum bare_kind {
    BARE_MUTEX,     /* process-shared */
    BARE_ROBUST,    /* the same, robust */
    BARE_RECURSIVE, /* the same, recursive and robust */
    BARE_SEMAPHORE, /* sem_t of value 1 */
    BARE_BOOST,     /* boost::interprocess::named_mutex */
} bare_kind;

/* One at a time, in shared memory. False: there is no such thing here. */
bool bare_open(bare_kind kind);
void bare_close(bare_kind kind);
/* Acquires and releases it count times; false if that failed. */
bool bare_repeat(bare_kind kind, int count);
void bare_acquire(bare_kind kind);
void bare_release(bare_kind kind);

/* The system's condition, semaphores and barrier between two processes, in
 * shared memory. */
bool bare_open_game(void);
void bare_close_game(void);
void bare_take_turn(int mine);  /* waits for it, gives it to the other one */
void bare_give_turn(int whose); /* without waiting for it */
void bare_post(int which);
void bare_pend(int which);
void bare_meet(void);

void bare_wait(_Atomic uint32_t *word, uint32_t expected);
void bare_wake(_Atomic uint32_t *word);

/* The least that a handover between two processes can be. */
static inline void bare_set(_Atomic uint32_t *word)
{
    atomic_store(word, 1);
    bare_wake(word);
}

static inline void bare_await(_Atomic uint32_t *word)
{
    while (atomic_exchange(word, 0) == 0)
        bare_wait(word, 0);
}

/* There and back, so often; and the other side, until it is over. */
static inline void bare_play(_Atomic uint32_t words[2], int count)
{
    for (int i = 0; i < count; i++) {
        bare_set(&words[0]);
        bare_await(&words[1]);
    }
}

static inline void bare_answer(_Atomic uint32_t words[2], const bool *is_over)
{
    for (bare_await(&words[0]); !*is_over; bare_await(&words[0]))
        bare_set(&words[1]);
}

/* A set of descriptors, made once, to wait for; false: there is no such thing.
 * To use it is as stream_send_and_poll(). */
bool bare_open_set(const intptr_t *handles, size_t count);
void bare_close_set(void);
bool bare_send_and_wait(intptr_t to, const void *data, size_t size);

/* This process, and what it forks, stays on one processor, until told else:
 * what a wake-up costs differs by a factor of ten between processors that
 * share work and those that sleep. */
void bare_stay(bool on_one_processor);

/* Processor time a process has used so far, in seconds. */
double bare_cpu_time(int64_t pid);

#endif
