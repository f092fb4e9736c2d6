/* SPDX-License-Identifier: MIT */
/*
 * First in, first out: records, one behind the other, in segments of units.
 *
 *     header (8 bytes: the payload's size, what it is) | payload | ... | JUMP
 *
 * The payload of an ordinary record is the item; of a SPAN it is where the item
 * is; of a JUMP, the last one in a segment, which segment comes next. A cursor
 * is a segment's number and an offset there; 0 is before the first segment,
 * which then is in thing->spare.
 *
 * Who puts has put_lock, who gets has get_lock, so that these two never meet:
 * what is in front of put_count is written by nobody, what is behind it is read
 * by nobody. Of the two cursors of each side the one that belongs to the count
 * stays as it is while the other is written, and then the count is stored:
 * whoever is killed before that has done nothing, and after it, all. What may
 * be left is a segment or a span that is in use and not reached by any cursor.
 * The next owner of the lock is told, and it is swept up before units are
 * needed again.
 *
 * An empty ring's segment can be moved, with both locks held: what is wanted
 * may need all the rest in one piece. The counts stay as they are, and so do
 * the cursors that count. First there is a JUMP at the cursor to the new
 * segment, then the cursor of who puts is there, then that of who gets: in
 * between, who gets is at the JUMP, follows it, and leaves the old one behind.
 *
 * Several at once are one store, or two: cursor[count % 2] must not be the one
 * in use, so that the count changes by odd numbers only.
 *
 * Nothing in shared memory is trusted, see units.c: of the headers of records
 * each is read once, and must fit its segment.
 *
 * Lock order: put_lock, get_lock.
 *
 *     queue_ring.c          all at once, the dead, the counts
 *     queue_ring_read.c     whoever gets
 *     queue_ring_write.c    whoever puts
 *     queue_ring_quick.c    what these do nearly always, without the rest
 *     queue_ring_room.c     units: where they come from, and sweeping
 */
#ifndef MULTIPROC_QUEUE_RING_H
#define MULTIPROC_QUEUE_RING_H

#include "queue.h"

#include "internal.h"

#include <string.h>

enum {
    MPI_RING_FIRST_UNITS = 1, /* of the first segment: most queues are short */
    MPI_RING_MOST_UNITS = 4,
    MPI_RING_HEADER = 8,
    MPI_RING_JUMP = 16, /* there is always room for it */
    MPI_RING_SPAN = 16, /* the payload */
    /* What a record is: an mpi_item_kind, or */
    MPI_RING_WHAT_SPAN = 16,
    MPI_RING_WHAT_JUMP,
    MPI_RING_WHAT_SHIFT = 32,
    MPI_RING_CURSOR_SHIFT = 32,
};

_Static_assert(offsetof(mpi_queue_thing, put_count) == 48 &&
                   offsetof(mpi_queue_thing, get_lock) == 48 + 128 &&
                   offsetof(mpi_queue_thing, items) == 48 + 256,
               "each side has lines of its own");
_Static_assert(MPI_RING_HEADER + MPI_ITEM_INLINE + MPI_RING_JUMP <=
                   MPI_UNIT_SIZE,
               "every record fits every segment");

/* Where in a segment. */
typedef struct mpi_ring_place {
    unsigned char *memory;
    mpi_span span; /* 0: there is no segment yet */
    uint32_t size;
    uint32_t offset;
} mpi_ring_place;

typedef struct mpi_ring_record {
    mpi_item_kind kind;
    size_t size; /* of the item */
    const void *data;
    mpi_span span;
} mpi_ring_record;

static inline mp_error mpi_ring_fail_damaged(void)
{
    return mpi_fail(MP_EPROTO, "the queue is damaged");
}

/* -- Locks ----------------------------------------------------------------- */

static inline mp_error mpi_ring_lock(mp_queue *queue, mpos_word *word,
                                     double timeout)
{
    mp_error err = mpi_word_lock(word, &queue->sync.share, timeout);

    if (err != MP_OWNER_DIED)
        return err;
    mpi_atomic32_store(&queue->thing->must_sweep, 1);
    return MP_OK;
}

static inline void mpi_ring_unlock(mp_queue *queue, mpos_word *word)
{
    (void)mpi_word_unlock(word, &queue->sync.share);
}

/* -- Places ---------------------------------------------------------------- */

static inline uint64_t *mpi_ring_word_at(const mpi_ring_place *at,
                                         uint32_t offset)
{
    return (uint64_t *)(void *)(at->memory + offset);
}

static inline uint64_t mpi_ring_load(const mpi_ring_place *at, uint32_t offset)
{
    return mpi_atomic64_load(
        (const mpi_atomic64 *)(const void *)mpi_ring_word_at(at, offset));
}

static inline void mpi_ring_store(const mpi_ring_place *at, uint32_t offset,
                                  uint64_t value)
{
    mpi_atomic64_store((mpi_atomic64 *)(void *)mpi_ring_word_at(at, offset),
                       value);
}

static inline uint64_t mpi_ring_cursor_of(const mpi_ring_place *at)
{
    return (uint64_t)at->span << MPI_RING_CURSOR_SHIFT | at->offset;
}

/* False: there is no such place. */
bool mpi_ring_find_place(const mp_queue *queue, uint64_t cursor,
                         mpi_ring_place *at);

/* With its header. */
static inline uint32_t mpi_ring_room_for(uint32_t payload)
{
    return MPI_RING_HEADER +
           (payload + MPI_RING_HEADER - 1) / MPI_RING_HEADER * MPI_RING_HEADER;
}

/* -- Reading --------------------------------------------------------------- */

/* With get_lock held. */
typedef struct mpi_ring_reader {
    mp_queue *queue;
    uint64_t count;    /* what got_count is */
    uint64_t next;     /* and what it will be */
    uint64_t previous; /* the cursor of next - 1 */
    uint64_t end;      /* put_count, or less */
    mpi_ring_place at;
    mpi_span left; /* the segment that the next commit leaves behind */
} mpi_ring_reader;

/* The cursor of next. There must have been a put. */
mp_error mpi_ring_find_next(mpi_ring_reader *from);
/* MP_EMPTY: there is nothing to read. */
mp_error mpi_ring_begin_read(mpi_ring_reader *from, mp_queue *queue);
/* There is one. */
mp_error mpi_ring_follow_jump(mpi_ring_reader *from);
/* The next one, of which there must be one. Goes behind it. */
mp_error mpi_ring_read_record(mpi_ring_reader *from, mpi_ring_record *it);
/* What was read since the last one is taken. */
void mpi_ring_commit_read(mpi_ring_reader *from);

static inline bool mpi_ring_is_at_jump(const mpi_ring_place *at)
{
    return mpi_ring_load(at, at->offset) >> MPI_RING_WHAT_SHIFT ==
           MPI_RING_WHAT_JUMP;
}

static inline void mpi_ring_store_got(mpi_queue_thing *thing, uint64_t count,
                                      uint64_t cursor)
{
    thing->get_cursor[count % 2] = cursor;
    mpi_atomic64_store(&thing->got_count, count);
}

/* Those who wait for items leave those alone who get. put_count is the other
 * side's, and looked at only if what it has been does not answer that. */
static inline bool mpi_ring_looks_empty(const mp_queue *queue)
{
    const mpi_queue_thing *thing = queue->thing;
    uint64_t got = mpi_atomic64_load(&thing->got_count);

    return got >= mpi_atomic64_load(&thing->seen_put) &&
           got == mpi_atomic64_load(&thing->put_count);
}

/* -- Writing --------------------------------------------------------------- */

static inline void mpi_ring_store_put(mpi_queue_thing *thing, uint64_t count,
                                      uint64_t cursor)
{
    thing->put_cursor[count % 2] = cursor;
    mpi_atomic64_store(&thing->put_count, count);
}

/* Whether one more is too many. got_count is the other side's, and looked at
 * only if what it has been does not answer that. */
static inline bool mpi_ring_is_full(const mp_queue *queue, uint64_t put_count)
{
    mpi_queue_thing *thing = queue->thing;
    uint64_t got;

    if (queue->maxsize == 0 ||
        put_count - mpi_atomic64_load(&thing->seen_got) < queue->maxsize)
        return false;
    got = mpi_atomic64_load(&thing->got_count);
    mpi_atomic64_store(&thing->seen_got, got);
    /* put_count is old where no lock is held. */
    return got <= put_count && put_count - got >= queue->maxsize;
}

static inline void mpi_ring_write_record(const mpi_ring_place *at,
                                         const mpi_item *item)
{
    uint32_t begin = at->offset + MPI_RING_HEADER;
    uint64_t kind = (uint64_t)item->kind << MPI_RING_WHAT_SHIFT;

    if (item->span != 0) {
        mpi_ring_store(at, begin, item->size);
        mpi_ring_store(at, begin + MPI_RING_HEADER, kind | item->span);
        mpi_ring_store(at, at->offset,
                       (uint64_t)MPI_RING_WHAT_SPAN << MPI_RING_WHAT_SHIFT |
                           MPI_RING_SPAN);
        return;
    }
    if (item->size > 0)
        memcpy(at->memory + begin, item->data, item->size);
    mpi_ring_store(at, at->offset, kind | item->size);
}

static inline void mpi_ring_write_jump(const mpi_ring_place *at, mpi_span next)
{
    mpi_ring_store(at, at->offset + MPI_RING_HEADER, next);
    mpi_ring_store(at, at->offset,
                   (uint64_t)MPI_RING_WHAT_JUMP << MPI_RING_WHAT_SHIFT |
                       MPI_RING_HEADER);
}

/* -- Units ----------------------------------------------------------------- */

/* With both locks held. */
mp_error mpi_ring_sweep_locked(mp_queue *queue);

/* Whoever puts has better things to do than to wait for this. */
static inline void mpi_ring_trim(mp_queue *queue)
{
    mpos_word *word = &queue->thing->put_lock;

    if (!mpi_units_is_trimmable(&queue->units) ||
        mpi_ring_lock(queue, word, 0) != MP_OK)
        return;
    mpi_units_trim(&queue->units);
    mpi_ring_unlock(queue, word);
}

/* -- As in mpi_queue_type -------------------------------------------------- */

mp_error mpi_ring_put(mp_queue *queue, const mpi_item *item, bool at_front);
mp_error mpi_ring_put_many(mp_queue *queue, const mpi_item *items, size_t count,
                           size_t *done);
mp_error mpi_ring_take(mp_queue *queue, bool from_back, mpi_item_kind wanted,
                       size_t most, mpi_taken *taken);
mp_error mpi_ring_take_many(mp_queue *queue, void *data, size_t capacity,
                            mp_bytes *items, size_t count, size_t *done);
mp_error mpi_ring_sweep(mp_queue *queue);
bool mpi_ring_put_quickly(mp_queue *queue, const mpi_item *item);
bool mpi_ring_take_quickly(mp_queue *queue, mpi_item *item, void *data);

#endif
