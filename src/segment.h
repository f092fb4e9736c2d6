/* SPDX-License-Identifier: MIT */
/*
 * CPython's shared memory, which holds nothing of ours, and beside each such
 * segment that we create its companion: a thing of the same name among those of
 * named.c. The companion tells the exact size and who created it, is in the
 * list of names, and has the lock with which the two come and go together.
 *
 * What Python has created has no companion.
 */
#ifndef MULTIPROC_SEGMENT_H
#define MULTIPROC_SEGMENT_H

#include "sync.h"

#include <multiproc/shared_memory.h>

struct mp_shared_memory {
    mpi_sync sync; /* its share: the companion, if there is one */
    mpos_handle segment;
    void *data; /* NULL: it is closed */
    size_t size;
    uint64_t identity[2];
    char name[MP_NAME_MAX + 1];
};

extern const mpi_sync_type mpi_shared_memory_kind;

/* MP_EINVAL: it is none that named.h allows, or would be taken for one of our
 * own files. */
mp_error mpi_segment_check_name(const char *name);
/* As mp_shared_memory_create() and _open(), by a name that is checked. */
mp_error mpi_segment_create(const char *name, size_t size,
                            mp_shared_memory **out);
mp_error mpi_segment_open(const char *name, mp_shared_memory **out);
/* The names, if they still are this one's. */
mp_error mpi_segment_unlink(mp_shared_memory *memory);
/* What this process has of both; accepts what is closed, or only begun. */
void mpi_segment_close(mp_shared_memory *memory);
/* Gives one of its references back. */
void mpi_segment_unref(mp_shared_memory *memory);

/* -- For named.c: a name whose kind is MPI_SHARED_MEMORY ------------------- */

/* Whether anybody at all has the segment open; true where that can't be known.
 * MP_ENOTFOUND: the name has gone. Leaves alone what it can't tell. */
mp_error mpi_segment_look(const char *name, int64_t *creator_pid,
                          bool *is_used);
/* Both names. MP_ESTATE: only_unused, and it is used. MP_ENOTFOUND. */
mp_error mpi_segment_remove(const char *name, bool only_unused);

#endif
