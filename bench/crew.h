/* SPDX-License-Identifier: MIT */
/*
 * Processes that do nothing but put into one queue or get from it, all at once.
 * Each notes when it begins and ends; what counts is the time from the first
 * beginning to the last end.
 */
#ifndef BENCH_CREW_H
#define BENCH_CREW_H

#include <multiproc.h>

enum { CREW_MOST = 64 };

/* What one of them does count times. */
typedef void (*crew_job)(int64_t count);

typedef struct crew {
    crew_job put;
    crew_job get;
    int puts; /* processes of either kind */
    int gets;
} crew;

/* Our queue, and what is put into it, in every process of the crew. */
typedef struct crew_goods {
    mp_queue *queue;
    char *piece; /* all 'x' */
    size_t size;
} crew_goods;

extern crew_goods crew_goods_here;

/* Ours alone, or beside a peer's queue. NULL, or why not. */
const char *crew_open(size_t size, size_t waiting);
const char *crew_open_boost(size_t size, size_t waiting);
const char *crew_open_mq(size_t size, size_t waiting);
void crew_close(void);

/* The seconds in which each put, and each get, was done count times by all of
 * that kind together; notes how fair that was. */
double crew_run(const crew *who, int count);

/* Jobs. */
void crew_put(int64_t count);
void crew_get(int64_t count);
void crew_put_and_get(int64_t count); /* one process, in turns */
void crew_put_boost(int64_t count);
void crew_get_boost(int64_t count);
void crew_put_and_get_boost(int64_t count);
void crew_put_mq(int64_t count);
void crew_get_mq(int64_t count);
void crew_put_and_get_mq(int64_t count);

#endif
