/* SPDX-License-Identifier: MIT */
/*
 * What other libraries do of what rows compare: apr.c, uv.c and mq.c, or in
 * their place *_none.c where there is no such library. What one can't do is
 * NULL.
 */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <stdbool.h>
#include <stddef.h>

/* What this program does, instead of benchmarks, if it is its argument: echoes
 * everything from stdin back into it, by the peer. */
#define PEER_ECHO "--echo-peer"

typedef struct bench_peer {
    const char *(*version)(void); /* NULL: it isn't here */

    /* The exit code of a program with such an argument. */
    int (*spawn)(const char *program, const char *argument);

    /* One lock between processes. */
    bool (*lock_open)(void);
    void (*lock_close)(void);
    bool (*lock_repeat)(int count);

    /* Memory with a name: made, attached to, written there, read here, let go
     * by both. False if that failed. */
    bool (*memory_cycle)(const char *name, size_t size);

    /* The other end of a stream is echoed by another process. */
    bool (*echo_open)(const char *program);
    bool (*echo_exchange)(const void *message, void *answer, size_t size);
    void (*echo_close)(void);
    int (*echo_run)(void);

    /* Two queues for up to count items of size bytes; how many there is room
     * for, 0 if there is no such queue. Whoever is forked has them, too. */
    size_t (*queues_open)(size_t size, size_t count);
    void (*queues_close)(void);
    bool (*queue_put)(int which, const void *data, size_t size);
    size_t (*queue_get)(int which, void *data, size_t capacity);
} bench_peer;

extern const bench_peer peer_apr;
extern const bench_peer peer_uv;
extern const bench_peer peer_mq;

/* NULL, or why there is nothing to compare with. */
const char *peer_need_apr(void);
const char *peer_need_uv(void);
const char *peer_need_mq(void);

#endif
