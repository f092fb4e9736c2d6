/* SPDX-License-Identifier: MIT */
/*
 * The hash table of a shared dict: what is in its table area, and which of the
 * store's blobs (store.h) belong to it. All with the lock held.
 *
 * A slot is one word: where an entry's blob is, and 24 bits of its key's hash.
 * An entry is there from the store of that word on, and until the one that
 * replaces it, so there is no moment at which a kill leaves half of anything.
 * An entry never changes: a new value is a new blob in the same slot.
 *
 * What is removed leaves a mark, lest those behind it be lost. When there are
 * too many marks, all entries are entered in the other one of two arrays, and
 * one store says that it counts from now on; in the same way all are dropped at
 * once. The numbers beside the arrays are found anew by whoever repairs.
 *
 * Memory that is all zero is an empty dict.
 */
#ifndef MULTIPROC_SHARED_DICT_TABLE_H
#define MULTIPROC_SHARED_DICT_TABLE_H

#include "shared.h"

typedef enum mpi_dict_key_type {
    MPI_DICT_KEY_INT,
    MPI_DICT_KEY_STR,
    MPI_DICT_KEY_BYTES,
    MPI_DICT_KEY_TYPES,
} mpi_dict_key_type;

typedef struct mpi_dict_key {
    mpi_dict_key_type type;
    const void *data; /* of an int: its int64_t */
    size_t size;
} mpi_dict_key;

/* An entry in shared memory: its sizes are checked, its bytes are not. */
typedef struct mpi_dict_entry {
    uint64_t sequence; /* entries come in this order */
    uint64_t hash;
    mpi_dict_key key;
    mpos_bytes value;
} mpi_dict_entry;

/* Where a key is, or would be put. */
typedef struct mpi_dict_place {
    uint64_t hash;
    uint64_t word; /* of the slot; 0: the key is not there */
    size_t slot;   /* SIZE_MAX: it is not there, nor any room */
    mpi_dict_entry entry;
} mpi_dict_place;

/* For mpi_shared_type. */
size_t mpi_dict_table_size(size_t capacity);
mp_error mpi_dict_table_check(const mpi_shared *shared);
void mpi_dict_table_repair(mpi_shared *shared);
void mpi_dict_table_roots(void *context, mpi_store *store,
                          void (*mark)(mpi_store *store, mpi_blob blob));

/* How many entries there are; without the lock, nearly so. */
size_t mpi_dict_table_count(const mpi_shared *shared);
/* MP_OK whether it is there or not; MP_EPROTO. */
mp_error mpi_dict_table_find(const mpi_shared *shared, const mpi_dict_key *key,
                             mpi_dict_place *place);
/* Where mpi_dict_table_find() has looked for the same key: a new entry, or the
 * old one with another value. MP_ENOSPC, MP_EPROTO: nothing has changed. */
mp_error mpi_dict_table_put(mpi_shared *shared, const mpi_dict_key *key,
                            mpi_dict_place *place, mpos_bytes value);
/* What mpi_dict_table_find() has found. */
void mpi_dict_table_remove(mpi_shared *shared, const mpi_dict_place *place);
void mpi_dict_table_clear(mpi_shared *shared);
/* The next entry, in no order; place->slot is SIZE_MAX at first. MP_OK,
 * MP_ENOTFOUND: that was all; MP_EPROTO. */
mp_error mpi_dict_table_next(const mpi_shared *shared, mpi_dict_place *place);
/* What is written down beside the entries. */
typedef struct mpi_dict_numbers {
    uint64_t count;    /* of entries */
    uint64_t used;     /* slots that are not empty */
    uint64_t sequence; /* that of the next entry */
} mpi_dict_numbers;

mpi_dict_numbers mpi_dict_table_numbers(const mpi_shared *shared);
/* What should be; sequence is the least that could be. */
mpi_dict_numbers mpi_dict_table_recount(const mpi_shared *shared);

#endif
