/* SPDX-License-Identifier: MIT */
/*
 * How a ShareableList lies in memory, which is CPython's to say. N items, K
 * bytes of data, native byte order:
 *
 *     0               N
 *     8               N + 1 offsets into the data: the first 0, the last K
 *     8 * (N + 2)     the data: a slot for each item, a multiple of 8 bytes
 *     ... + K         N formats of 8 bytes: what struct makes of the slot
 *     ... + K + 8 N   N codes of a byte: what is made of that
 *
 * Behind that, at the next multiple of 8, where Python does not look, a list of
 * ours has a mark and N counts of 4 bytes: how often each item began to be
 * changed. Who reads one can tell by it that it was changed to and fro.
 *
 * Python 3.8 has the sizes of the N slots in place of the offsets. It is read,
 * and changed, but not written anew.
 *
 * Whoever has the memory may write anything into it at any time: what is found
 * there is checked before it is used, and read once. Nothing here knows where
 * the memory comes from.
 */
#ifndef MULTIPROC_SHAREABLE_LAYOUT_H
#define MULTIPROC_SHAREABLE_LAYOUT_H

#include "internal.h"
#include "os_types.h"

#include <multiproc/object.h>

/* Where everything is. The offsets are our own copy: whoever changes those in
 * the memory misleads nobody who has opened the list before. */
typedef struct mpi_layout {
    size_t count;
    size_t *offsets; /* count + 1, from the beginning of the memory */
    size_t formats;  /* where they are */
    size_t codes;
    size_t changes; /* the counts; 0: Python made the list, it has none */
    size_t size;
} mpi_layout;

/* For what is to be stored. MP_ETYPE, MP_EINVAL (trailing NULs), MP_EOVERFLOW
 * (an item, or all of them), MP_ENOMEM. */
mp_error mpi_layout_plan(const mp_obj *sequence, mpi_layout *out);
/* Stores it, into zeroed memory. Until it is done, the list is empty. */
void mpi_layout_write(const mpi_layout *layout, const mp_obj *sequence,
                      void *memory);
/* Of what is there. MP_EPROTO: this is no ShareableList; MP_ENOMEM. */
mp_error mpi_layout_read(const void *memory, size_t size, mpi_layout *out);
void mpi_layout_free(mpi_layout *layout);

/* -- Items (shareable_item.c) ---------------------------------------------- */

/* How long a slot has to be for it. As mpi_layout_plan(). */
mp_error mpi_layout_room(const mp_obj *obj, size_t *room);
/* Stores what has been asked for room, where nothing has been stored yet. */
void mpi_layout_put(const mpi_layout *layout, void *memory, size_t index,
                    const mp_obj *obj);
/* A new reference, or an error object: MP_EPROTO, MP_ENOMEM. */
mp_obj *mpi_layout_get(const mpi_layout *layout, const void *memory,
                       size_t index);
/*
 * MP_ETYPE, MP_EINVAL, MP_EOVERFLOW, MP_EPROTO; then nothing has changed.
 *
 * A number or a bool in place of one of the same type is one store. All else
 * is three: meanwhile, and for good if this process is killed there, the item
 * is None to others, never a mixture. Only Python can see one: it reads the
 * format first, the code last, and does not look again. So can who reads a list
 * that Python made, where changes are not counted, if two happen meanwhile.
 */
mp_error mpi_layout_set(const mpi_layout *layout, void *memory, size_t index,
                        const mp_obj *obj);
/* "q8sd": those of all items. */
mp_error mpi_layout_format(const mpi_layout *layout, const void *memory,
                           mpi_buffer *out);

/* -- Words, for both files ------------------------------------------------- */

enum { MPI_LAYOUT_WORD = 8 }; /* everything but the codes is made of such */

/* All are aligned: the memory is, and every part is a multiple of 8 long. */
static inline uint64_t mpi_layout_load(const void *memory, size_t offset)
{
    const unsigned char *at = (const unsigned char *)memory + offset;

    return mpi_atomic64_load((const mpi_atomic64 *)(const void *)at);
}

static inline void mpi_layout_store(void *memory, size_t offset, uint64_t word)
{
    unsigned char *at = (unsigned char *)memory + offset;

    mpi_atomic64_store((mpi_atomic64 *)(void *)at, word);
}

#endif
