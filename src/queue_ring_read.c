/* SPDX-License-Identifier: MIT */
/* The ring: whoever gets, with get_lock held. See queue_ring.h. */
#include "queue_ring.h"

#include <assert.h>

/* -- Reading --------------------------------------------------------------- */

/* The cursor of next. There must have been a put. */
mp_error mpi_ring_find_next(mpi_ring_reader *from)
{
    const mpi_queue_thing *thing = from->queue->thing;
    uint64_t cursor = thing->get_cursor[from->next % 2];

    if (cursor == 0)
        cursor = thing->spare << MPI_RING_CURSOR_SHIFT;
    return mpi_ring_find_place(from->queue, cursor, &from->at) &&
                   from->at.span != 0
               ? MP_OK
               : mpi_ring_fail_damaged();
}

/* MP_EMPTY: there is nothing to read. */
mp_error mpi_ring_begin_read(mpi_ring_reader *from, mp_queue *queue)
{
    mpi_queue_thing *thing = queue->thing;
    uint64_t count = mpi_atomic64_load(&thing->got_count);
    uint64_t end = mpi_atomic64_load(&thing->seen_put);

    if (count >= end) {
        end = mpi_atomic64_load(&thing->put_count);
        mpi_atomic64_store(&thing->seen_put, end);
    }
    *from = (mpi_ring_reader){
        .queue = queue, .count = count, .next = count, .end = end};
    if (count >= end)
        return count == end ? MP_EMPTY : mpi_ring_fail_damaged();
    return mpi_ring_find_next(from);
}

mp_error mpi_ring_follow_jump(mpi_ring_reader *from)
{
    mpi_ring_place *at = &from->at;
    mpi_span left = at->span;
    uint64_t next = mpi_ring_load(at, at->offset + MPI_RING_HEADER);

    if (next == 0 || next == left || next > UINT32_MAX ||
        !mpi_ring_find_place(from->queue, next << MPI_RING_CURSOR_SHIFT, at))
        return mpi_ring_fail_damaged();
    from->left = left;
    return MP_OK;
}

/* What the payload of a SPAN says. */
static bool find_span(const mp_queue *queue, const mpi_ring_place *at,
                      mpi_ring_record *it)
{
    uint64_t size = mpi_ring_load(at, at->offset + MPI_RING_HEADER);
    uint64_t where = mpi_ring_load(at, at->offset + 2 * MPI_RING_HEADER);
    uint64_t count;

    it->span = (mpi_span)where;
    count = mpi_units_count(&queue->units, it->span);
    if (count == 0 || size > count * MPI_UNIT_SIZE)
        return false;
    it->kind = (mpi_item_kind)(where >> MPI_RING_WHAT_SHIFT);
    it->size = (size_t)size;
    it->data = mpi_units_at(&queue->units, it->span);
    return true;
}

/* The next one, of which there must be one. Goes behind it. */
mp_error mpi_ring_read_record(mpi_ring_reader *from, mpi_ring_record *it)
{
    mpi_ring_place *at = &from->at;
    uint64_t cursor = mpi_ring_cursor_of(at);
    uint64_t header;
    uint32_t size;
    bool is_span;

    if (mpi_ring_is_at_jump(at) && mpi_ring_follow_jump(from) != MP_OK)
        return MP_EPROTO;
    header = mpi_ring_load(at, at->offset);
    size = (uint32_t)header;
    is_span = header >> MPI_RING_WHAT_SHIFT == MPI_RING_WHAT_SPAN;
    if (size > MPI_ITEM_INLINE ||
        mpi_ring_room_for(size) > at->size - MPI_RING_JUMP - at->offset)
        return mpi_ring_fail_damaged();
    it->kind = (mpi_item_kind)(header >> MPI_RING_WHAT_SHIFT);
    it->size = size;
    it->data = at->memory + at->offset + MPI_RING_HEADER;
    it->span = 0;
    if (is_span && (size != MPI_RING_SPAN || !find_span(from->queue, at, it)))
        return mpi_ring_fail_damaged();
    if (it->kind != MPI_ITEM_BYTES && it->kind != MPI_ITEM_OBJECT)
        return mpi_ring_fail_damaged();
    at->offset += mpi_ring_room_for(size);
    from->previous = cursor;
    from->next++;
    return MP_OK;
}

/* What was read since the last one is taken. */
void mpi_ring_commit_read(mpi_ring_reader *from)
{
    mpi_queue_thing *thing = from->queue->thing;
    uint64_t more = from->next - from->count;

    if (more == 0)
        return;
    if (more % 2 == 0)
        mpi_ring_store_got(thing, from->next - 1, from->previous);
    mpi_ring_store_got(thing, from->next, mpi_ring_cursor_of(&from->at));
    from->count = from->next;
    if (from->left != 0)
        mpi_units_free(&from->queue->units, from->left);
    from->left = 0;
}

/* -- Taking ---------------------------------------------------------------- */

/* Nothing is taken yet. */
static mp_error copy_out(const mpi_ring_record *it, mpi_item_kind wanted,
                         size_t most, mpi_taken *taken)
{
    taken->item = (mpi_item){
        .kind = it->kind,
        .deliveries = 1,
        .data = it->span != 0 ? it->data : taken->room,
        .size = it->size,
        .span = it->span,
    };
    if (wanted != 0 && it->kind != wanted)
        return MP_ETYPE;
    if (it->size > most)
        return MP_EOVERFLOW;
    if (it->span == 0)
        memcpy(taken->room, it->data, it->size);
    return MP_OK;
}

/* Whoever is killed behind the commit, and before the units are its own, leaves
 * them to the next sweep. */
static mp_error take_next(mpi_ring_reader *from, mpi_item_kind wanted,
                          size_t most, mpi_taken *taken)
{
    mpi_ring_record it;
    mp_error err = mpi_ring_read_record(from, &it);

    if (err == MP_OK)
        err = copy_out(&it, wanted, most, taken);
    if (err != MP_OK)
        return err;
    mpi_queue_count_taken(from->queue, 1);
    mpi_ring_commit_read(from);
    if (it.span != 0)
        mpi_units_set(&from->queue->units, it.span, MPI_UNIT_TAKEN);
    return MP_OK;
}

mp_error mpi_ring_take(mp_queue *queue, bool from_back, mpi_item_kind wanted,
                       size_t most, mpi_taken *taken)
{
    mpos_word *word = &queue->thing->get_lock;
    mpi_ring_reader from;
    mp_error err;

    assert(!from_back);
    (void)from_back;
    if (mpi_ring_looks_empty(queue))
        return MP_EMPTY;
    err = mpi_ring_lock(queue, word, MP_FOREVER);
    if (err != MP_OK)
        return err;
    err = mpi_ring_begin_read(&from, queue);
    if (err == MP_OK)
        err = take_next(&from, wanted, most, taken);
    mpi_ring_unlock(queue, word);
    if (err == MP_OK)
        mpi_ring_trim(queue);
    return err;
}

/* The user's memory, and what is there already. */
typedef struct basket {
    unsigned char *data;
    size_t capacity;
    size_t size;
    mp_bytes *items;
    size_t count;
} basket;

/* False: it ends before this one. err: why, if it is the first. */
static bool fits(const basket *to, const mpi_ring_record *it, mp_error *err)
{
    if (it->kind != MPI_ITEM_BYTES)
        *err = MP_ETYPE;
    else if (it->size > to->capacity - to->size)
        *err = MP_EOVERFLOW;
    else
        return it->span == 0;
    return false;
}

/* Reads one more. *is_end: there is none that fits; where it is now, nothing
 * may be committed. */
static mp_error read_into(mpi_ring_reader *from, basket *to, bool *is_end)
{
    mpi_ring_record it;
    mp_error reason = MP_OK;
    mpi_ring_reader before;
    mp_error err;

    /* Only one segment may be left behind at once. */
    if (mpi_ring_is_at_jump(&from->at)) {
        mpi_queue_count_taken(from->queue, from->next - from->count);
        mpi_ring_commit_read(from);
    }
    before = *from;
    err = mpi_ring_read_record(from, &it);
    if (err == MP_OK && fits(to, &it, &reason)) {
        memcpy(to->data + to->size, it.data, it.size);
        to->items[to->count++] = (mp_bytes){to->data + to->size, it.size};
        to->size += it.size;
        return MP_OK;
    }
    *from = before;
    *is_end = true;
    if (to->count > 0)
        return MP_OK;
    return err != MP_OK ? err : reason;
}

static mp_error read_many(mpi_ring_reader *from, basket *to, size_t count)
{
    bool is_end = false;
    mp_error err = MP_OK;

    while (!is_end && to->count < count && from->next != from->end)
        err = read_into(from, to, &is_end);
    mpi_queue_count_taken(from->queue, from->next - from->count);
    mpi_ring_commit_read(from);
    return err;
}

mp_error mpi_ring_take_many(mp_queue *queue, void *data, size_t capacity,
                            mp_bytes *items, size_t count, size_t *done)
{
    mpos_word *word = &queue->thing->get_lock;
    basket to = {.data = data, .capacity = capacity, .items = items};
    mpi_ring_reader from;
    mp_error err;

    *done = 0;
    if (mpi_ring_looks_empty(queue))
        return MP_EMPTY;
    err = mpi_ring_lock(queue, word, MP_FOREVER);
    if (err != MP_OK)
        return err;
    err = mpi_ring_begin_read(&from, queue);
    if (err == MP_OK)
        err = read_many(&from, &to, count);
    *done = to.count;
    mpi_ring_unlock(queue, word);
    if (to.count > 0)
        mpi_ring_trim(queue);
    return err;
}
