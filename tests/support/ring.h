/* SPDX-License-Identifier: MIT */
/* A queue of the ring without the public interface: its memory, its units, its
 * core. */
#ifndef SUPPORT_RING_H
#define SUPPORT_RING_H

#include "expect.h"

/* The library's; beside this file is another one of that name. */
#include <queue.h>

#include <multiproc/error.h>

#include <stdlib.h>
#include <string.h>

enum { SUPPORT_NO_OWNER = 4000 }; /* no process has this number */

static inline mp_queue *make_ring(size_t max_bytes, size_t maxsize)
{
    mp_queue *queue = calloc(1, sizeof(*queue));
    mpi_queue_thing thing = {.maxsize = maxsize};
    mpi_share_plan plan = {
        .storage = MPI_STORAGE_PRIVATE,
        .kind = MPI_QUEUE,
        .initial = &thing,
        .initial_size = sizeof(thing),
        .size = sizeof(thing),
    };
    size_t full = 0;
    uint32_t max_units = 0;

    cr_assert_not_null(queue);
    ok(mpi_units_plan(max_bytes, &plan.data_size, &full, &max_units));
    if (!mpos_system.memory_grows)
        plan.data_size = full;
    plan.data_limit = full;
    thing.max_units = max_units;
    ok(mpi_share_create(&queue->sync.share, &plan));
    queue->thing = queue->sync.share.memory;
    queue->type = &mpi_queue_ring;
    queue->maxsize = maxsize;
    ok(mpi_units_open(&queue->units, &queue->sync.share, max_units));
    return queue;
}

static inline void close_ring(mp_queue *queue)
{
    mpi_units_close(&queue->units);
    mpi_share_close(&queue->sync.share);
    free(queue);
}

/* Units that are used for something. */
static inline uint32_t used_units(const mp_queue *queue)
{
    uint32_t used = 0;

    for (uint32_t unit = 1; unit <= queue->units.max_units;) {
        uint32_t count = mpi_units_count(&queue->units, unit);

        used += count;
        unit += count == 0 ? 1 : count;
    }
    return used;
}

/* All others can be had in one piece. */
static inline void expect_rest_is_free(mp_queue *queue)
{
    uint32_t left = queue->units.max_units - used_units(queue);
    uint32_t got = 0;

    for (uint32_t count = left; count > 0;) {
        mpi_span span;

        if (mpi_units_alloc(&queue->units, count, MPI_UNIT_RESERVED, &span) !=
            MP_OK) {
            count /= 2;
            continue;
        }
        got += count;
        count = count < left - got ? count : left - got;
    }
    cr_assert_eq(got, left);
    for (uint32_t unit = 1; unit <= queue->units.max_units; unit++)
        if ((mpi_atomic64_load(&queue->units.table[unit]) & 7) ==
            MPI_UNIT_RESERVED)
            mpi_units_free(&queue->units, unit);
}

#endif
