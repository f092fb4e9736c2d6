/* SPDX-License-Identifier: MIT */
/* What waits to be posted, in the order of service: pool_order.c. */
#ifndef MULTIPROC_POOL_ORDER_H
#define MULTIPROC_POOL_ORDER_H

#include "internal.h"

struct mpi_job;
struct mpi_chunk;

/* What one worker does at a time; or, while it waits, a whole job whose next
 * unit is to be made. */
typedef struct mpi_unit {
    struct mpi_job *job;     /* holds a reference */
    struct mpi_chunk *chunk; /* of an iterator */
    size_t index;            /* of the chunk */
    double key;              /* lowest first; then lowest number first */
    uint64_t number;
    unsigned tries; /* how often it was posted */
    bool is_whole;
} mpi_unit;

/* By key, a heap; if all keys are the same, a ring, whose ends are where it is
 * added and taken. */
typedef struct mpi_order {
    bool has_keys;
    mpi_unit *units;
    size_t first; /* of a ring */
    size_t count;
    size_t capacity; /* of a ring, a power of two */
    uint64_t last_number;
    size_t spare; /* room that is kept for those that may be returned */
} mpi_order;

/* Behind those that were added before. MP_ENOMEM. */
mp_error mpi_order_add(mpi_order *order, const mpi_unit *unit);
mp_error mpi_order_reserve(mpi_order *order, size_t count);
/* To where it was, or before all others: room for `spare` of these is kept. */
void mpi_order_return(mpi_order *order, const mpi_unit *unit);
/* The next one, to be changed but for its key; NULL: none. */
mpi_unit *mpi_order_next(const mpi_order *order);
void mpi_order_drop(mpi_order *order);
void mpi_order_free(mpi_order *order);

#endif
