/* SPDX-License-Identifier: MIT */
/*
 * A store: blobs of bytes in a block of shared memory, for the tables of a
 * shared dict or list, under their lock.
 *
 * A blob belongs to a table only from the store that puts its reference there,
 * and until the one that takes it out. What was allocated and not put there, or
 * taken out and not freed, by a process that was killed is garbage, which the
 * next rebuild finds: it takes what the table refers to for used, and all else
 * for free. So nothing here needs an order of stores.
 */
#ifndef MULTIPROC_STORE_H
#define MULTIPROC_STORE_H

#include "internal.h"

/* Where a blob is: 0: none. 40 bits are enough. */
typedef uint64_t mpi_blob;

typedef struct mpi_store mpi_store;

/* Calls mark for each blob that the table refers to. */
typedef void mpi_store_roots(void *context, mpi_store *store,
                             void (*mark)(mpi_store *store, mpi_blob blob));

struct mpi_store {
    unsigned char *memory; /* 16-byte aligned */
    size_t size;
    mpi_store_roots *roots;
    void *context;
    const char *fault; /* store.c's own */
};

/* Memory that is all zero is an empty store. However damaged it is, nothing
 * outside of it is touched, and nothing takes for ever. */

enum { MPI_BLOB_COST = 32 }; /* bytes at most, beside its own */

/* The memory for so many blobs of size bytes in all. SIZE_MAX: too much. */
size_t mpi_store_size(size_t blob_count, size_t size);
/* MP_EPROTO: this is no store of that size. Also without the lock. */
mp_error mpi_store_check(const mpi_store *store);

/* Room for size bytes, 16-byte aligned. MP_ENOSPC, also if there would be room
 * in several pieces. Free rooms side by side are one at once; one of twice the
 * size is always found, one of a size between usually. */
mp_error mpi_store_alloc(mpi_store *store, size_t size, mpi_blob *blob,
                         void **memory);
/* It is in no table any more. */
void mpi_store_free(mpi_store *store, mpi_blob blob);
/* What alloc gave, and the size it was given; NULL: there is no such blob. */
void *mpi_store_at(const mpi_store *store, mpi_blob blob, size_t *size);
/* All but what the roots mark is free again. */
void mpi_store_rebuild(mpi_store *store);
/* For verification: what is wrong with what the roots mark, and with the free
 * room. MP_EPROTO. */
mp_error mpi_store_verify(mpi_store *store);

#endif
