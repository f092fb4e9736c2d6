/* SPDX-License-Identifier: MIT */
/*
 * The largest files come first, so that no worker begins one when the others
 * are about to end. A batch is what is lost with a worker; what is frequent in
 * all of them comes to the parent with each.
 */
#include "batch.h"

#include "memory.h"

#include <string.h>

enum {
    BATCHES_EACH = 16, /* a process, more or less */
    MAX_FILES = 512,   /* in a batch */
    MAX_COST = 4 * 1024 * 1024,
    FILE_COST = 4 * 1024 /* of opening a file, in bytes of reading */
};

/* qsort() passes no context along. */
typedef struct wc_ranked {
    uint64_t size;
    size_t number;
} wc_ranked;

static int compare_ranked(const void *left, const void *right)
{
    const wc_ranked *a = left, *b = right;

    if (a->size != b->size)
        return a->size > b->size ? -1 : 1;
    return a->number < b->number ? -1 : 1;
}

/* Returns what all files cost. */
static uint64_t rank(wc_batches *batches, const wc_file_list *list)
{
    wc_ranked *ranked = allocate(NULL, list->count * sizeof(*ranked));
    uint64_t cost = 0;

    for (size_t i = 0; i < list->count; i++) {
        ranked[i].size = list->items[i].size;
        ranked[i].number = i;
        cost += list->items[i].size + FILE_COST;
    }
    qsort(ranked, list->count, sizeof(*ranked), compare_ranked);
    for (size_t i = 0; i < list->count; i++)
        batches->order[i] = ranked[i].number;
    free(ranked);
    return cost;
}

void batches_create(wc_batches *batches, const wc_file_list *list,
                    size_t processes)
{
    uint64_t goal;
    wc_batch *last = NULL;

    batches->order = allocate(NULL, list->count * sizeof(*batches->order));
    batches->items = allocate(NULL, list->count * sizeof(*batches->items));
    batches->count = 0;
    goal = rank(batches, list) / (BATCHES_EACH * processes);
    if (goal > MAX_COST)
        goal = MAX_COST;

    for (size_t i = 0; i < list->count; i++) {
        if (last == NULL || last->cost >= goal || last->count == MAX_FILES) {
            last = &batches->items[batches->count++];
            *last = (wc_batch){.first = i};
        }
        last->count++;
        last->cost += list->items[batches->order[i]].size + FILE_COST;
    }
}

char *batch_paths(const wc_batches *batches, const wc_batch *batch,
                  const wc_file_list *list, size_t *size)
{
    char *paths = NULL;

    *size = 0;
    for (size_t i = 0; i < batch->count; i++) {
        size_t number = batches->order[batch->first + i];
        const char *path = list->items[number].path;
        size_t length = strlen(path) + 1;

        paths = allocate(paths, *size + length);
        memcpy(paths + *size, path, length);
        *size += length;
    }
    return paths;
}

void batches_free(wc_batches *batches)
{
    free(batches->order);
    free(batches->items);
}
