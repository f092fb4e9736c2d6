/* SPDX-License-Identifier: MIT */
/* Files, put together so that every batch is about as much work. */
#ifndef BATCH_H
#define BATCH_H

#include "walk.h"

typedef struct wc_batch {
    size_t first; /* in batches.order */
    size_t count;
    uint64_t cost;
} wc_batch;

typedef struct wc_batches {
    size_t *order; /* numbers of files, the largest first */
    wc_batch *items;
    size_t count;
} wc_batches;

void batches_create(wc_batches *batches, const wc_file_list *list,
                    size_t processes);
/** The paths of a batch, each with its zero byte; malloc'ed. */
char *batch_paths(const wc_batches *batches, const wc_batch *batch,
                  const wc_file_list *list, size_t *size);
void batches_free(wc_batches *batches);

#endif
