/* SPDX-License-Identifier: MIT */
/* What pool_imap.c begins and pool_iterator.c goes on with. */
#ifndef MULTIPROC_POOL_ITERATOR_H
#define MULTIPROC_POOL_ITERATOR_H

#include "pool.h"

typedef struct mpi_iteration {
    bool is_ordered;
    /* Chunks to be fetched, and those that are not back, unordered. */
    mpi_chunk *first;
    mpi_chunk *last;
    mpi_chunk *away;
    size_t begun;   /* items */
    size_t fetched; /* items */
    /* Where items come from, one at a time; NULL: the job's list is cut. */
    mp_items_function items;
    void *context;
    size_t in_flight; /* items */
    bool is_exhausted;
    bool is_feeding;            /* a thread is asking for items */
    mpi_job_failure broken_off; /* what the items ended with */
    bool has_been_told;
} mpi_iteration;

struct mp_iterator {
    mpi_lifetime lifetime;
    mpi_job *job;
    mpi_job_failure failure; /* of the last item that has failed */
};

/* With the mutex, which is released meanwhile: makes as many chunks as there is
 * room for. */
void mpi_iteration_feed(mpi_job *job);

#endif
