/* SPDX-License-Identifier: MIT */
/* The parent's part: batches of files for a pool, and what comes of them. */
#ifndef CREW_H
#define CREW_H

#include "count.h"
#include "walk.h"

typedef struct crew_options {
    size_t processes;
    bool must_print;
    /** The worker that has this batch, from 1, crashes, once; 0: none. */
    size_t victim;
    /** How often a batch is begun again after that. */
    size_t retries;
} crew_options;

typedef struct crew_result {
    wc_table table;
    wc_totals totals;
    /** Of each file, in the order of the list; 0: its worker died. */
    unsigned char *states;
    size_t processes;
} crew_result;

/** Counts all files of the list with child processes. */
void crew_count(crew_result *result, const wc_file_list *list,
                const crew_options *options);

void crew_result_free(crew_result *result);

#endif
