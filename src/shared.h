/* SPDX-License-Identifier: MIT */
/*
 * What shared dict and shared list have in common: an object of this process
 * that holds a share (sync.h) with data behind it; in the data a table, which
 * dict and list know, and behind it a store (store.h); one lock for all of it;
 * and how values are written down there.
 */
#ifndef MULTIPROC_SHARED_H
#define MULTIPROC_SHARED_H

#include "store.h"
#include "sync.h"

#include <multiproc/shared_dict.h>

/* In cell 1. Whole from the beginning; table and store are all zero then, which
 * is how they are empty: whoever creates one and is killed harms nobody. */
typedef struct mpi_shared_thing {
    mpos_word lock; /* first: see share.h */
    uint64_t capacity;
    uint64_t table_size; /* bytes; the store is behind it */
    uint64_t store_size;
    uint64_t seed; /* by chance, for hashes */
} mpi_shared_thing;

/* The first member of both. */
typedef struct mpi_shared {
    mpi_sync sync;
    size_t capacity;
    uint64_t seed;
    void *table; /* mapped, 64-byte aligned; NULL: not yet, or closed */
    size_t mapped_size;
    mpi_store store;
} mpi_shared;

/* What each of them adds. */
typedef struct mpi_shared_type {
    mpi_sync_type sync; /* first */
    /* The bytes that a table for so many entries has. SIZE_MAX: too many. */
    size_t (*table_size)(size_t capacity);
    /* Whether it is a table for shared->capacity. Without the lock: others may
     * be changing it. NULL: there is nothing to check. MP_EPROTO. */
    mp_error (*check)(const mpi_shared *shared);
    /* Whoever had the lock has died, or a file was opened that may be from
     * before a crash of the machine. Nothing is wrong with it as a rule. The
     * store is rebuilt afterwards. NULL: nothing to do. */
    void (*repair)(mpi_shared *shared);
    mpi_store_roots *roots; /* context: the mpi_shared */
} mpi_shared_type;

extern const mpi_shared_type mpi_shared_dict_kind;
extern const mpi_shared_type mpi_shared_list_kind;

/* create(), open() and open_file(). */
mp_error mpi_shared_create(const mpi_shared_type *type, size_t capacity,
                           const mp_shared_options *options, mpi_shared **out);
typedef struct mpi_shared_place {
    const char *name; /* or path */
    bool is_path;
} mpi_shared_place;
mp_error mpi_shared_open(const mpi_shared_type *type, mpi_shared_place place,
                         size_t capacity, const mp_shared_options *options,
                         mpi_shared **out);
/* For mpi_sync_type: maps when it arrives, unmaps when it goes. */
bool mpi_shared_release(mpi_sync *sync);
mp_error mpi_shared_rebuild(const mpi_resource_type *type, const mp_obj *state,
                            mpi_transport *transport, void **self);
mp_error mpi_shared_sync(const mpi_shared_type *type, void *object);

/* Checks the object (MP_EINVAL, MP_ECLOSED ...), takes the lock, and repairs if
 * its owner died. Nothing of the user's is called, and nothing waited for,
 * while it is held. */
mp_error mpi_shared_lock(const mpi_shared_type *type, void *object);
void mpi_shared_unlock(mpi_shared *shared);

/* -- Values as bytes ------------------------------------------------------- */

/* None, bool, int, float, str and bytes in a short form, all else as a pickle.
 * MP_EPICKLE: it has handles in it. Appended. */
mp_error mpi_shared_encode(const mp_obj *obj, mpi_buffer *out);
/* Checks everything; data may be shared memory. The error objects MP_EPROTO,
 * MP_EUNPICKLE ... */
mp_obj *mpi_shared_decode(const void *data, size_t size);
/* Whether it can be decoded with the lock held: nothing is loaded for it. */
bool mpi_shared_is_short(const void *data, size_t size);
/* What encode() gave, and what is there: they are equal if, and only if, their
 * bytes are. */
bool mpi_shared_is_exact(const void *wanted, const void *data, size_t size);

#endif
