/* SPDX-License-Identifier: MIT */
/* The parent's part: workers, and the batches they are given. */
#ifndef CREW_H
#define CREW_H

#include "count.h"
#include "walk.h"

typedef struct crew_options {
    size_t processes;
    bool must_print;
    /** This worker, from 1, is killed after its first batch; 0: none. */
    size_t victim;
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
