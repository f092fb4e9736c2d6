/* SPDX-License-Identifier: MIT */
/*
 * Units: the memory of a queue, 16 KiB each, and a table that says what each is
 * used for. The queue's data (share.h), or a part of a board's, is
 *
 *     outstanding[]   8 bytes for each process there can be
 *     head            how much of the rest is in use
 *     table[]         8 bytes for each of max_units
 *     units           16 KiB each; number 0 is never used
 *
 * of which the table and the units are reserved as they are needed, and units
 * given back. One store of the table's entry changes what a unit is; a span is
 * several in a row, and only the first one's entry counts: the others' are 0,
 * as those of free units are.
 *
 * Who allocates holds put_lock, or is the only one who does; anybody may free,
 * without a lock, what is its own.
 */
#ifndef MULTIPROC_UNITS_H
#define MULTIPROC_UNITS_H

#include "share.h"

enum {
    MPI_UNIT_SIZE = 16384,
    /* Numbers of owners that outstanding[] has room for. */
    MPI_UNITS_PROCESSES = 4088,
};

/* The number of the first unit; 0: none. */
typedef uint32_t mpi_span;

typedef enum mpi_unit_use {
    MPI_UNIT_FREE,
    MPI_UNIT_QUEUED,   /* records, slots, or an item that is in the queue */
    MPI_UNIT_RESERVED, /* by the owner, who writes an item there */
    MPI_UNIT_TAKEN,    /* by the owner, who reads it */
} mpi_unit_use;

/* In this process. */
typedef struct mpi_units {
    mpi_share *share;   /* borrowed */
    size_t base;        /* where in the share's data they begin */
    void *data;         /* there, mapped as far as max_units reach */
    size_t mapped_size; /* 0: the mapping is somebody else's */
    mpi_atomic64 *table;
    unsigned char *memory; /* of unit 0 */
    uint32_t max_units;
    mpi_atomic32 proved;     /* up to this one, units are there for certain */
    mpi_atomic32 trim_below; /* with more in use it was in vain */
    unsigned char *marks; /* of a sweep: a bit for each unit up to marks_end */
    uint32_t marks_end;
} mpi_units;

/* How large the data is to be at first, and what it may grow to, which is
 * reserved at once where it can't (queue.c does). max_bytes 0: the default.
 * MP_EOVERFLOW. */
mp_error mpi_units_plan(size_t max_bytes, size_t *initial_size,
                        size_t *full_size, uint32_t *max_units);
/* Maps it; checks what it finds. MP_EPROTO. */
mp_error mpi_units_open(mpi_units *units, mpi_share *share, uint64_t max_units);
/* The same for those that have but a part of the data: from base on, a multiple
 * of MPOS_MAP_UNIT, of what the caller has mapped, and unmaps. */
mp_error mpi_units_open_in(mpi_units *units, mpi_share *share,
                           uint64_t max_units, size_t base, void *mapped);
/* Before that, once: what such ones need at first, but for outstanding[]. */
mp_error mpi_units_reserve_first(mpi_share *share, size_t base);
void mpi_units_close(mpi_units *units);

/* With put_lock held. Grows if it has to; before that, what dead owners had is
 * free again. MP_FULL: max_units are used. MP_ENOSPC, MP_ENOMEM: the system's.
 * The units are RESERVED or QUEUED by this process. */
mp_error mpi_units_alloc(mpi_units *units, uint32_t count, mpi_unit_use use,
                         mpi_span *span);
/* The same for one unit: the first that is free. */
mp_error mpi_units_alloc_low(mpi_units *units, mpi_unit_use use,
                             mpi_span *span);
/* A quick look: so many were never used yet. */
bool mpi_units_has_more(const mpi_units *units, uint32_t count);
/* One store. use is not FREE. */
void mpi_units_set(mpi_units *units, mpi_span span, mpi_unit_use use);
void mpi_units_free(mpi_units *units, mpi_span span);
void *mpi_units_at(const mpi_units *units, mpi_span span);
/* 0: there is no such span. */
uint32_t mpi_units_count(const mpi_units *units, mpi_span span);

/* With all locks held: frees what is QUEUED and was not marked since begin. */
mp_error mpi_units_sweep_begin(mpi_units *units);
/* False: there is no such span, or it is marked already. */
bool mpi_units_sweep_mark(mpi_units *units, mpi_span span);
void mpi_units_sweep_end(mpi_units *units);
/* Frees nothing: what is to be marked makes no sense. */
void mpi_units_sweep_cancel(mpi_units *units);

/* A quick look, without a lock: most of what has memory is free. */
bool mpi_units_is_trimmable(const mpi_units *units);
/* With put_lock held: memory of free units goes back to the system, but for a
 * few MiB. */
void mpi_units_trim(mpi_units *units);

#endif
