/* SPDX-License-Identifier: MIT */
/*
 * What the workers of a storm on a queue and their parent have in common. What
 * has become of each item is written down on the board, an Array: before and
 * after it is put, and when it was got. There a consumer says, too, how many it
 * may be about to take: so many may be lost with it.
 */
#ifndef TORTURE_QUEUE_WORKER_H
#define TORTURE_QUEUE_WORKER_H

#include "torture.h"

enum {
    PRODUCERS = 4,
    CONSUMERS = 4,
    ROW = 20, /* items, for put_many() and get_many() */
    MOST_SMALL = 400,
    MOST_LARGE = 60000,
};

typedef enum storage {
    ANONYMOUS,
    NAMED,
    IN_A_FILE,
} storage;

typedef struct kind {
    mp_queue_options options;
    size_t maxsize;
    storage where;
} kind;

/* -- The board ------------------------------------------------------------- */

enum { IS_PUT = 1 }; /* its put() has returned */

/* Each field is written by one process at a time. */
typedef struct board {
    uint32_t most; /* items of each producer */
    struct {
        uint32_t begun; /* may have been put */
        uint32_t pad[15];
    } producers[PRODUCERS];
    struct {
        uint32_t asked; /* so many may be in its hands */
        uint32_t got;
        uint32_t pad[14];
    } consumers[CONSUMERS];
    unsigned char marks[]; /* most of each: IS_PUT, then how often got */
} board;

static inline unsigned char *put_mark(board *it, uint32_t who, uint32_t number)
{
    return &it->marks[((size_t)who * it->most + number) * 2];
}

static inline unsigned char *got_mark(board *it, uint32_t who, uint32_t number)
{
    return put_mark(it, who, number) + 1;
}

/* Of a worker, or of the parent. */
typedef struct worker {
    mp_queue *queue;
    board *board;
    uint32_t who;
    mp_queue_order order;
    bool redelivers;
    bool has_last[PRODUCERS];
    uint32_t last[PRODUCERS]; /* number got */
} worker;

/* By its place, "" if it is passed on. */
mp_error queue_open(mp_queue **out, const kind *what, const char *place);
/* The target: (queue, place or "", is it a file, board, who, order, redelivers,
 * seed). */
int queue_work(mp_args *args);
/* Gets an item somehow, looks at it, and says that it is done. False: there was
 * nothing. */
bool queue_consume_some(worker *it, double timeout);

#endif
