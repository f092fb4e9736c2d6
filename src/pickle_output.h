/* SPDX-License-Identifier: MIT */
/*
 * Where the pickle writer's bytes go: frames, which CPython cuts at 64 KiB
 * between objects, and the memo, which numbers objects. A header because every
 * opcode passes through here; for pickle_dump.c alone.
 */
#ifndef MULTIPROC_PICKLE_OUTPUT_H
#define MULTIPROC_PICKLE_OUTPUT_H

#include "obj.h"
#include "pickle_opcodes.h"

#include <stdlib.h>
#include <string.h>

enum {
    FRAME_HEADER = 9,
    FRAME_LEAST = 4,
    FIRST_MEMO = 64,
};

static const size_t frame_target = 64 * 1024;
/* No frame has begun, or what is written now stays outside of frames. */
static const size_t no_frame = SIZE_MAX;

/* The memo number of a shared object; obj NULL: a free place. */
typedef struct memo_entry {
    const mp_obj *obj;
    uint32_t number;
} memo_entry;

typedef struct dumper {
    mpi_buffer *out;
    size_t frame; /* where its header is */
    bool is_framing;
    uint32_t numbers; /* memo numbers given so far */
    memo_entry *memo;
    size_t memo_count;
    size_t memo_mask;
    mpi_transport *transport;
    /* Temporary states. They live as long as the memo, lest another object
     * get the address of one that is in it. */
    mp_obj *kept;
} dumper;

/* -- Bytes and frames ------------------------------------------------------ */

static inline void put_little(unsigned char *to, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        to[i] = (unsigned char)(value >> 8 * i);
}

/* put() when a frame has to begin or memory is short. */
static inline unsigned char *put_slowly(dumper *to, size_t size)
{
    mpi_buffer *out = to->out;

    if (to->is_framing && to->frame == no_frame) {
        if (!mpi_buffer_reserve(out, FRAME_HEADER))
            return NULL;
        to->frame = out->size;
        out->size += FRAME_HEADER;
    }
    if (!mpi_buffer_reserve(out, size))
        return NULL;
    out->size += size;
    return out->data + out->size - size;
}

/* Where to write size bytes, which count as written; NULL: no memory. */
static inline unsigned char *put(dumper *to, size_t size)
{
    mpi_buffer *out = to->out;

    if (to->frame == no_frame || out->capacity - out->size < size)
        return put_slowly(to, size);
    out->size += size;
    return out->data + out->size - size;
}

static inline mp_error put_opcode(dumper *to, enum opcode opcode)
{
    unsigned char *at = put(to, 1);

    if (at == NULL)
        return mpi_no_memory();
    *at = (unsigned char)opcode;
    return MP_OK;
}

/* Ends the frame; a short one is not worth its header. */
static inline void commit_frame(dumper *to)
{
    mpi_buffer *out = to->out;
    unsigned char *header;
    size_t size;

    if (to->frame == no_frame)
        return;
    header = out->data + to->frame;
    size = out->size - to->frame - FRAME_HEADER;
    if (size >= FRAME_LEAST) {
        header[0] = OP_FRAME;
        put_little(header + 1, size, 8);
    } else {
        memmove(header, header + FRAME_HEADER, size);
        out->size -= FRAME_HEADER;
    }
    to->frame = no_frame;
}

/* Frames end between objects only. */
static inline void end_full_frame(dumper *to)
{
    if (to->frame != no_frame &&
        to->out->size - to->frame - FRAME_HEADER >= frame_target)
        commit_frame(to);
}

/* -- Memo ------------------------------------------------------------------ */

static inline memo_entry *memo_place(const dumper *from, const mp_obj *obj)
{
    uint64_t mixed = ((uintptr_t)obj >> 4) * UINT64_C(0x9E3779B97F4A7C15);
    size_t at = (size_t)(mixed >> 32) & from->memo_mask;

    while (from->memo[at].obj != NULL && from->memo[at].obj != obj)
        at = (at + 1) & from->memo_mask;
    return &from->memo[at];
}

static inline mp_error memo_grow(dumper *to)
{
    size_t size = to->memo == NULL ? FIRST_MEMO : (to->memo_mask + 1) * 2;
    dumper grown = *to;

    grown.memo = mpi_calloc(size, sizeof(*grown.memo));
    if (grown.memo == NULL)
        return mpi_no_memory();
    grown.memo_mask = size - 1;
    for (size_t i = 0; to->memo != NULL && i <= to->memo_mask; i++) {
        if (to->memo[i].obj != NULL)
            *memo_place(&grown, to->memo[i].obj) = to->memo[i];
    }
    free(to->memo);
    to->memo = grown.memo;
    to->memo_mask = grown.memo_mask;
    return MP_OK;
}

/* Gives obj, which has just been written, the next number. */
static inline mp_error memoize(dumper *to, const mp_obj *obj)
{
    mp_error err = put_opcode(to, OP_MEMOIZE);

    if (err != MP_OK)
        return err;
    if (to->numbers == UINT32_MAX)
        return mpi_fail(MP_EPICKLE, "can't pickle: too many objects");
    if (!mpi_has_one_owner(obj)) {
        if (to->memo == NULL || to->memo_count >= (to->memo_mask + 1) / 2)
            err = memo_grow(to);
        if (err != MP_OK)
            return err;
        *memo_place(to, obj) = (memo_entry){obj, to->numbers};
        to->memo_count++;
    }
    to->numbers++;
    return MP_OK;
}

/* Writes a reference if obj was written before. */
static inline mp_error get_memoized(dumper *to, const mp_obj *obj,
                                    bool *is_found)
{
    const memo_entry *entry = memo_place(to, obj);
    bool is_short = entry->number <= UINT8_MAX;
    unsigned char *at;

    *is_found = entry->obj != NULL;
    if (!*is_found)
        return MP_OK;
    at = put(to, is_short ? 2 : 5);
    if (at == NULL)
        return mpi_no_memory();
    at[0] = is_short ? OP_BINGET : OP_LONG_BINGET;
    put_little(at + 1, entry->number, is_short ? 1 : 4);
    return MP_OK;
}

#endif
