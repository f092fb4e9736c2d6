/* SPDX-License-Identifier: MIT */
/*
 * The ring: what put() and take() do nearly always, without what they do
 * rarely: a segment that was looked at before, and has room, or an ordinary
 * record.
 */
#include "queue_ring.h"

static bool find_end(const mp_queue *queue, mpi_ring_end *end, uint64_t cursor)
{
    const mpi_atomic64 *table = queue->units.table;
    mpi_ring_place at;

    if (cursor >> MPI_RING_CURSOR_SHIFT != end->span || end->span == 0 ||
        mpi_atomic64_load(&table[end->span]) != end->entry) {
        end->span = 0;
        if (!mpi_ring_find_place(queue, cursor, &at) || at.span == 0)
            return false;
        *end = (mpi_ring_end){at.memory, at.span, at.size,
                              mpi_atomic64_load(&table[at.span])};
        if (mpi_units_count(&queue->units, at.span) * MPI_UNIT_SIZE != at.size)
            return false;
    }
    return (uint32_t)cursor % MPI_RING_HEADER == 0 &&
           (uint32_t)cursor <= end->size - MPI_RING_JUMP;
}

static bool write_quickly(mp_queue *queue, const mpi_item *item)
{
    mpi_queue_thing *thing = queue->thing;
    uint64_t count = mpi_atomic64_load(&thing->put_count);
    uint64_t cursor = thing->put_cursor[count % 2];
    const mpi_ring_end *end = &queue->put_end;
    uint32_t room = mpi_ring_room_for((uint32_t)item->size);
    mpi_ring_place at;

    if (mpi_atomic32_load(&thing->is_shut) != 0 ||
        mpi_ring_is_full(queue, count) ||
        !find_end(queue, &queue->put_end, cursor) ||
        room > end->size - MPI_RING_JUMP - (uint32_t)cursor)
        return false;
    at = (mpi_ring_place){end->memory, end->span, end->size, (uint32_t)cursor};
    mpi_ring_write_record(&at, item);
    mpi_ring_store_put(thing, count + 1, cursor + room);
    return true;
}

bool mpi_ring_put_quickly(mp_queue *queue, const mpi_item *item)
{
    mpos_word *word = &queue->thing->put_lock;
    uint32_t self = mpi_share_self(&queue->sync.share);
    bool has_put;

    if (!mpi_atomic32_change(&word->value, MPI_NOBODY, self))
        return false;
    has_put = write_quickly(queue, item);
    mpi_ring_unlock(queue, word);
    return has_put;
}

/* The record at the cursor, if it is an item, of that kind, that fits. */
static bool find_ordinary(const mp_queue *queue, uint64_t cursor,
                          mpi_item *item)
{
    const mpi_ring_end *end = &queue->get_end;
    mpi_ring_place at = {end->memory, end->span, end->size, (uint32_t)cursor};
    uint64_t header = mpi_ring_load(&at, at.offset);
    uint32_t size = (uint32_t)header;
    mpi_item_kind kind = (mpi_item_kind)(header >> MPI_RING_WHAT_SHIFT);

    if ((kind != MPI_ITEM_BYTES && kind != MPI_ITEM_OBJECT) ||
        (item->kind != 0 && item->kind != kind) || size > item->size ||
        size > MPI_ITEM_INLINE ||
        mpi_ring_room_for(size) > at.size - MPI_RING_JUMP - at.offset)
        return false;
    item->kind = kind;
    item->size = size;
    item->data = at.memory + at.offset + MPI_RING_HEADER;
    return true;
}

static bool read_quickly(mp_queue *queue, mpi_item *item, void *data)
{
    mpi_queue_thing *thing = queue->thing;
    uint64_t count = mpi_atomic64_load(&thing->got_count);
    uint64_t cursor = thing->get_cursor[count % 2];

    if (count >= mpi_atomic64_load(&thing->seen_put)) {
        uint64_t end = mpi_atomic64_load(&thing->put_count);

        mpi_atomic64_store(&thing->seen_put, end);
        if (count >= end)
            return false;
    }
    if (!find_end(queue, &queue->get_end, cursor) ||
        !find_ordinary(queue, cursor, item))
        return false;
    if (item->size > 0)
        memcpy(data, item->data, item->size);
    mpi_queue_count_taken(queue, 1);
    mpi_ring_store_got(thing, count + 1,
                       cursor + mpi_ring_room_for((uint32_t)item->size));
    return true;
}

bool mpi_ring_take_quickly(mp_queue *queue, mpi_item *item, void *data)
{
    mpos_word *word = &queue->thing->get_lock;
    uint32_t self = mpi_share_self(&queue->sync.share);
    bool has_taken;

    if (mpi_ring_looks_empty(queue) ||
        !mpi_atomic32_change(&word->value, MPI_NOBODY, self))
        return false;
    has_taken = read_quickly(queue, item, data);
    mpi_ring_unlock(queue, word);
    if (has_taken)
        mpi_ring_trim(queue);
    return has_taken;
}
