/* SPDX-License-Identifier: MIT */
/*
 * One worker as the parent sees it, and what it is given. Between crew.c and
 * member.c.
 */
#ifndef MEMBER_H
#define MEMBER_H

#include "batch.h"
#include "crew.h"
#include "progress.h"

#include <multiproc.h>

enum { MEMBER_AHEAD = 2 }; /* batches it holds at most */

typedef struct wc_member {
    mp_process *process;
    mp_connection *connection; /* NULL: it has died */
    size_t number;
    wc_batch *pending[MEMBER_AHEAD]; /* the oldest first */
    uint64_t due[MEMBER_AHEAD];      /* when it should be finished */
    size_t pending_count;
    uint64_t clock; /* when all of them should be */
    wc_totals totals;
} wc_member;

typedef struct wc_crew {
    const wc_file_list *list;
    const crew_options *options;
    crew_result *result;
    wc_member *members;
    size_t count;
    wc_batches batches;
    size_t next; /* batch to give */
    wc_progress progress;
} wc_crew;

void member_start(wc_crew *crew, wc_member *member);
/** The next batch, if there is one. */
void member_give(wc_crew *crew, wc_member *member);
/** Waits for the answer to the oldest batch. */
void member_take(wc_crew *crew, wc_member *member);
/** There are no more batches. */
void member_dismiss(wc_crew *crew, wc_member *member);
/** Waits for its words, and for its end. */
void member_finish(wc_crew *crew, wc_member *member);

#endif
