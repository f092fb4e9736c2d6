/* SPDX-License-Identifier: MIT */
/*
 * What a benchmark is made of. A row times one thing that a user does through
 * the public API, start to end, and the same by a peer. Its functions check
 * the work they have timed; bench_require() ends the program if it is wrong.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>

typedef struct bench_row {
    const char *name; /* "family.what" */
    const char *unit; /* "ns", "us" or "ms", of one operation; or "%" */
    const char *peer; /* NULL: there is none */

    /* The goal: our figure divided by the peer's, at most; 0: none. */
    double goal;
    const char *goal_text;
    /* As well, or instead: our figure, in seconds, at most. */
    double limit;
    /* A goal that is neither, looked at after the last sample. */
    bool (*holds)(void);

    int samples;    /* 0: the usual number */
    int batch;      /* operations in a sample */
    int peer_batch; /* the same in the peer's; 0: as many */

    /* Of how many processes or objects, or in how many MiB, it is done. */
    int scale;

    /* Before and after all samples. NULL, or why the row can't be run. */
    const char *(*begin)(void);
    void (*end)(void);
    /* Does it batch times; returns the seconds that took. */
    double (*ours)(int batch);
    double (*theirs)(int batch);
    /* Instead of theirs: a command of peer.py. */
    const char *python;
} bench_row;

typedef struct bench_table {
    const bench_row *rows;
    size_t count;
} bench_table;

/* One for each family. */
extern const bench_table bench_process_rows;
extern const bench_table bench_pickle_rows;
extern const bench_table bench_connection_rows;
extern const bench_table bench_connection_mq_rows;
extern const bench_table bench_listener_rows;
extern const bench_table bench_lock_rows;
extern const bench_table bench_contended_rows;
extern const bench_table bench_handover_rows;
extern const bench_table bench_queue_rows;
extern const bench_table bench_queue_handover_rows;
extern const bench_table bench_pool_rows;
extern const bench_table bench_shared_rows;
extern const bench_table bench_value_rows;
extern const bench_table bench_memory_rows;
extern const bench_table bench_wait_rows;
extern const bench_table bench_scale_lock_rows;
extern const bench_table bench_scale_queue_rows;
extern const bench_table bench_scale_pool_rows;
extern const bench_table bench_scale_start_rows;

void bench_require(bool is_right, const char *what);

/* Of the row that is being measured. */
int bench_scale(void);
/* In a sample of work that is shared: the slowest one's speed, divided by the
 * fastest one's. */
void bench_note_fairness(double fairness);

#endif
