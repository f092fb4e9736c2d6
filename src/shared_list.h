/* SPDX-License-Identifier: MIT */
/*
 * How a shared list lies in memory, for its two files: shared_list.c, which has
 * what is done to one item, and shared_list_whole.c, what is done to all.
 */
#ifndef MULTIPROC_SHARED_LIST_INTERNAL_H
#define MULTIPROC_SHARED_LIST_INTERNAL_H

#include "shared.h"

#include <multiproc/shared_list.h>

struct mp_shared_list {
    mpi_shared shared;
};

/* All zero: empty. */
typedef struct mpi_list_table {
    mpi_atomic64 state; /* 2 * the number of items + which array counts */
    uint64_t unused[7];
    mpi_atomic64 slots[]; /* the two arrays, of capacity blobs each */
} mpi_list_table;

extern const mpi_shared_type mpi_shared_list_kind;

size_t mpi_list_table_size(size_t capacity);
void mpi_list_roots(void *context, mpi_store *store,
                    void (*mark)(mpi_store *store, mpi_blob blob));
mp_error mpi_list_check(mp_shared_list *list);

/* -- With the lock held ---------------------------------------------------- */

typedef struct mpi_list_view {
    mpi_shared *shared;
    mpi_store *store;
    mpi_list_table *table;
    mpi_atomic64 *items; /* those that count */
    mpi_atomic64 *idle;
    size_t count;
    bool which;
} mpi_list_view;

/* Takes the lock, if it succeeds. MP_EPROTO: the list is damaged. */
mp_error mpi_list_begin(mp_shared_list *list, mpi_list_view *view);
void mpi_list_end(mpi_list_view *view);

/* From now on that array counts, and has so many items. */
void mpi_list_switch(mpi_list_view *view, bool which, size_t count);
/* Items to the idle array. */
void mpi_list_copy(mpi_list_view *view, size_t from, size_t count, size_t to);
/* MP_ENOSPC: so many more are too many. */
mp_error mpi_list_check_room(const mpi_list_view *view, size_t count);
/* A new blob. */
mp_error mpi_list_put(mpi_list_view *view, const void *data, size_t size,
                      mpi_blob *blob);

typedef struct mpi_list_bytes {
    const void *data;
    size_t size;
} mpi_list_bytes;

/* MP_EPROTO. */
mp_error mpi_list_bytes_at(const mpi_list_view *view, size_t place,
                           mpi_list_bytes *bytes);
mp_obj *mpi_list_decode(const mpi_list_view *view, size_t place);

#endif
