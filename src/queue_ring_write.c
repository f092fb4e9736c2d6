/* SPDX-License-Identifier: MIT */
/* The ring: whoever puts, with put_lock held. See queue_ring.h. */
#include "queue_ring.h"

#include <assert.h>

enum {
    /* Counts are stored after so many at least, so that the other side may
     * begin. */
    BATCH = 15,
};

/* -- Writing --------------------------------------------------------------- */

/* With put_lock held. */
typedef struct writer {
    mp_queue *queue;
    uint64_t count;    /* what put_count is */
    uint64_t next;     /* and what it will be */
    uint64_t previous; /* the cursor of next - 1 */
    mpi_ring_place at;
} writer;

static mp_error begin_write(writer *to, mp_queue *queue)
{
    mpi_queue_thing *thing = queue->thing;
    uint64_t count = mpi_atomic64_load(&thing->put_count);
    uint64_t cursor = thing->put_cursor[count % 2];

    if (mpi_atomic32_load(&thing->is_shut) != 0)
        return MP_ESHUTDOWN;
    *to = (writer){.queue = queue, .count = count, .next = count};
    return mpi_ring_find_place(queue, cursor, &to->at)
               ? MP_OK
               : mpi_ring_fail_damaged();
}

/* What was written since the last one is there for everybody. */
static void commit_write(writer *to)
{
    mpi_queue_thing *thing = to->queue->thing;
    uint64_t more = to->next - to->count;

    if (more == 0)
        return;
    if (more % 2 == 0)
        mpi_ring_store_put(thing, to->next - 1, to->previous);
    mpi_ring_store_put(thing, to->next, mpi_ring_cursor_of(&to->at));
    to->count = to->next;
}

/* Of all units a quarter at most: large items need a lot in one piece. */
static uint32_t segment_units(const mp_queue *queue)
{
    uint32_t most = queue->units.max_units / 4;

    return most < MPI_RING_MOST_UNITS ? most : MPI_RING_MOST_UNITS;
}

static mp_error alloc_segment(mp_queue *queue, bool is_first,
                              mpi_ring_place *at)
{
    uint32_t count = is_first ? MPI_RING_FIRST_UNITS : segment_units(queue);
    mpi_span span;
    mp_error err;

    err = mpi_queue_alloc_units(queue, count, MPI_UNIT_QUEUED, &span);
    if (err == MP_FULL && count > MPI_RING_FIRST_UNITS) {
        count = MPI_RING_FIRST_UNITS;
        err = mpi_queue_alloc_units(queue, count, MPI_UNIT_QUEUED, &span);
    }
    if (err != MP_OK)
        return err;
    *at = (mpi_ring_place){
        .memory = mpi_units_at(&queue->units, span),
        .span = span,
        .size = count * MPI_UNIT_SIZE,
    };
    return MP_OK;
}

/* Not before what was written is committed: a sweep would take its spans. */
static mp_error go_to_new_segment(writer *to)
{
    mpi_ring_place old = to->at;
    mp_error err = alloc_segment(to->queue, old.span == 0, &to->at);

    if (err != MP_OK)
        return err;
    if (old.span == 0) {
        to->queue->thing->spare = to->at.span;
        return MP_OK;
    }
    mpi_ring_write_jump(&old, to->at.span);
    return MP_OK;
}

static mp_error write_item(writer *to, const mpi_item *item)
{
    uint32_t room;
    uint64_t cursor = mpi_ring_cursor_of(&to->at);
    mp_error err = MP_OK;

    assert(item->span != 0 || item->size <= MPI_ITEM_INLINE);
    if (mpi_ring_is_full(to->queue, to->next))
        return MP_FULL;
    room = mpi_ring_room_for(item->span != 0 ? MPI_RING_SPAN
                                             : (uint32_t)item->size);
    if (to->at.span == 0 ||
        room > to->at.size - MPI_RING_JUMP - to->at.offset) {
        commit_write(to);
        err = go_to_new_segment(to);
    }
    if (err != MP_OK)
        return err;
    mpi_ring_write_record(&to->at, item);
    if (item->span != 0)
        mpi_units_set(&to->queue->units, item->span, MPI_UNIT_QUEUED);
    to->at.offset += room;
    to->previous = cursor;
    to->next++;
    return MP_OK;
}

/* -- Putting --------------------------------------------------------------- */

static mp_error write_items(writer *to, const mpi_item *items, size_t count)
{
    mp_error err = MP_OK;

    for (size_t i = 0; i < count && err == MP_OK; i++) {
        err = write_item(to, &items[i]);
        if (to->next - to->count >= BATCH)
            commit_write(to);
    }
    commit_write(to);
    return err;
}

mp_error mpi_ring_put_many(mp_queue *queue, const mpi_item *items, size_t count,
                           size_t *done)
{
    mpos_word *word = &queue->thing->put_lock;
    uint64_t before;
    writer to;
    mp_error err;

    *done = 0;
    /* Those who wait for room leave those alone who put. */
    if (mpi_ring_is_full(queue, mpi_atomic64_load(&queue->thing->put_count)))
        return MP_FULL;
    err = mpi_ring_lock(queue, word, MP_FOREVER);
    if (err != MP_OK)
        return err;
    err = begin_write(&to, queue);
    if (err == MP_OK) {
        before = to.count;
        err = write_items(&to, items, count);
        *done = (size_t)(to.count - before);
    }
    mpi_ring_unlock(queue, word);
    return err;
}

mp_error mpi_ring_put(mp_queue *queue, const mpi_item *item, bool at_front)
{
    size_t done;

    assert(!at_front);
    (void)at_front;
    return mpi_ring_put_many(queue, item, 1, &done);
}
