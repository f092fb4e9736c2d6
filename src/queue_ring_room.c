/* SPDX-License-Identifier: MIT */
/* The ring: where its units come from, and go. See queue_ring.h. */
#include "queue_ring.h"

/* -- Sweeping -------------------------------------------------------------- */

/* Where all that was put has been read: it is the end, or a JUMP to it, if the
 * segment was just being moved. */
static mp_error mark_end(mpi_ring_reader *from, uint64_t end)
{
    if (mpi_ring_cursor_of(&from->at) == end)
        return MP_OK;
    if (!mpi_ring_is_at_jump(&from->at) ||
        mpi_ring_follow_jump(from) != MP_OK ||
        !mpi_units_sweep_mark(&from->queue->units, from->at.span) ||
        mpi_ring_cursor_of(&from->at) != end)
        return mpi_ring_fail_damaged();
    return MP_OK;
}

/* Marks what the cursors reach; with both locks held. */
static mp_error mark(mpi_ring_reader *from)
{
    mpi_units *units = &from->queue->units;
    uint64_t end = from->queue->thing->put_cursor[from->end % 2];
    mpi_ring_record it;

    if (end == 0)
        return from->next == from->end ? MP_OK : mpi_ring_fail_damaged();
    if (mpi_ring_find_next(from) != MP_OK ||
        !mpi_units_sweep_mark(units, from->at.span))
        return mpi_ring_fail_damaged();
    while (from->next != from->end) {
        from->left = 0;
        if (mpi_ring_read_record(from, &it) != MP_OK)
            return MP_EPROTO;
        if (from->left != 0 && !mpi_units_sweep_mark(units, from->at.span))
            return mpi_ring_fail_damaged();
        if (it.span != 0 && !mpi_units_sweep_mark(units, it.span))
            return mpi_ring_fail_damaged();
    }
    return mark_end(from, end);
}

/* With both locks held. */
mp_error mpi_ring_sweep_locked(mp_queue *queue)
{
    mpi_queue_thing *thing = queue->thing;
    mpi_ring_reader from = {
        .queue = queue,
        .next = mpi_atomic64_load(&thing->got_count),
        .end = mpi_atomic64_load(&thing->put_count),
    };
    mp_error err = mpi_units_sweep_begin(&queue->units);

    if (err != MP_OK)
        return err;
    err = mark(&from);
    if (err != MP_OK) {
        mpi_units_sweep_cancel(&queue->units);
        return err;
    }
    mpi_units_sweep_end(&queue->units);
    mpi_atomic32_store(&thing->must_sweep, 0);
    return MP_OK;
}

mp_error mpi_ring_sweep(mp_queue *queue)
{
    mpos_word *word = &queue->thing->get_lock;
    mp_error err = mpi_ring_lock(queue, word, MP_FOREVER);

    if (err != MP_OK)
        return err;
    if (mpi_atomic32_load(&queue->thing->must_sweep) != 0)
        err = mpi_ring_sweep_locked(queue);
    mpi_ring_unlock(queue, word);
    return err;
}

/*
 * Of an empty queue nobody takes get_lock, so that nobody would be told that
 * its owner has died, with units that are wanted here. If the sweep fails,
 * nothing more is free than before.
 */
mp_error mpi_queue_alloc_units(mp_queue *queue, uint32_t count,
                               mpi_unit_use use, mpi_span *span)
{
    mpi_queue_thing *thing = queue->thing;
    mp_error err;

    if (queue->type->sweep == NULL)
        return mpi_units_alloc(&queue->units, count, use, span);
    if (mpi_atomic32_load(&thing->must_sweep) != 0 ||
        mpi_word_owner(&thing->get_lock) == MPI_OWNER_DIED)
        (void)queue->type->sweep(queue);
    err = mpi_units_alloc(&queue->units, count, use, span);
    if (err != MP_FULL || mpi_word_owner(&thing->get_lock) == MPI_NOBODY)
        return err;
    (void)queue->type->sweep(queue);
    return mpi_units_alloc(&queue->units, count, use, span);
}

/* -- Moving ---------------------------------------------------------------- */

static void store_cursor(uint64_t *cursor, uint64_t value)
{
    mpi_atomic64_store((mpi_atomic64 *)(void *)cursor, value);
}

/* Of an empty ring, with both locks held: where it goes on. Whoever was moving
 * that, and was killed, may not have come to an end. False: there is nothing,
 * or it makes no sense. */
static bool find_only_segment(mp_queue *queue, uint64_t count,
                              mpi_ring_place *at)
{
    mpi_queue_thing *thing = queue->thing;
    uint64_t end = thing->put_cursor[count % 2];
    mpi_ring_reader from = {.queue = queue, .next = count};

    if (end == 0 || !mpi_ring_find_place(queue, end, at) ||
        mpi_ring_find_next(&from) != MP_OK)
        return false;
    if (mpi_ring_cursor_of(&from.at) == end)
        return true;
    if (!mpi_ring_is_at_jump(&from.at) ||
        mpi_ring_follow_jump(&from) != MP_OK ||
        mpi_ring_cursor_of(&from.at) != end)
        return false;
    store_cursor(&thing->get_cursor[count % 2], end);
    mpi_units_free(&queue->units, from.left);
    return true;
}

/* To a unit in front of it, or to any if it has several. False: there is none,
 * and nothing has happened. */
static bool move_segment(mp_queue *queue)
{
    mpi_queue_thing *thing = queue->thing;
    uint64_t count = mpi_atomic64_load(&thing->put_count);
    mpi_ring_place old;
    uint64_t cursor;
    mpi_span span;

    if (count != mpi_atomic64_load(&thing->got_count) ||
        !find_only_segment(queue, count, &old) ||
        (old.span == 1 && old.size == MPI_UNIT_SIZE) ||
        mpi_units_alloc_low(&queue->units, MPI_UNIT_QUEUED, &span) != MP_OK)
        return false;
    if (span > old.span && old.size == MPI_UNIT_SIZE) {
        mpi_units_free(&queue->units, span);
        return false;
    }
    cursor = (uint64_t)span << MPI_RING_CURSOR_SHIFT;
    mpi_ring_write_jump(&old, span);
    store_cursor(&thing->put_cursor[count % 2], cursor);
    store_cursor(&thing->get_cursor[count % 2], cursor);
    mpi_units_free(&queue->units, old.span);
    return true;
}

/* With put_lock held: of an empty ring, all but the first unit is in one piece,
 * as far as it is free. A segment of several units is moved behind itself
 * first, perhaps, and then to where it was. False: it is not empty. */
static bool make_room(mp_queue *queue)
{
    mpi_queue_thing *thing = queue->thing;

    if (mpi_atomic64_load(&thing->put_count) !=
            mpi_atomic64_load(&thing->got_count) ||
        mpi_ring_lock(queue, &thing->get_lock, MP_FOREVER) != MP_OK)
        return false;
    if (move_segment(queue))
        (void)move_segment(queue);
    mpi_ring_unlock(queue, &thing->get_lock);
    return true;
}

/* -- Units for items ------------------------------------------------------- */

/* A segment may be full, and have to be followed by another one, though all
 * the rest is reserved by those who want to put into it: then they would wait
 * for each other for ever. So one unit is left, and the first segment's. */
static bool leaves_enough(mp_queue *queue)
{
    const mpi_queue_thing *thing = queue->thing;
    uint32_t wanted = mpi_atomic64_load(&thing->put_count) == 0 ? 2 : 1;
    uint32_t got = 0;
    mpi_span spans[2];

    if (mpi_units_has_more(&queue->units, wanted))
        return true;
    while (got < wanted && mpi_queue_alloc_units(queue, 1, MPI_UNIT_QUEUED,
                                                 &spans[got]) == MP_OK)
        got++;
    for (uint32_t i = got; i-- > 0;)
        mpi_units_free(&queue->units, spans[i]);
    return got == wanted;
}

static mp_error alloc_and_leave(mp_queue *queue, uint32_t count, mpi_span *span)
{
    mpi_span found;
    mp_error err =
        mpi_queue_alloc_units(queue, count, MPI_UNIT_RESERVED, &found);

    if (err != MP_OK)
        return err;
    if (!leaves_enough(queue)) {
        mpi_units_free(&queue->units, found);
        return MP_FULL;
    }
    *span = found;
    return MP_OK;
}

/* The table keeps a few units for later, at no cost for itself. */
static mp_error alloc_beside_table(mp_queue *queue, uint32_t count,
                                   mpi_span *span)
{
    mp_error err = mpi_queue_alloc_units(queue, count, MPI_UNIT_RESERVED, span);

    if (err == MP_FULL && queue->type->sweep(queue) == MP_OK)
        err = mpi_units_alloc(&queue->units, count, MPI_UNIT_RESERVED, span);
    return err;
}

mp_error mpi_queue_alloc_span(mp_queue *queue, uint32_t count, mpi_span *span)
{
    mp_error err;

    if (queue->type != &mpi_queue_ring)
        return alloc_beside_table(queue, count, span);
    err = alloc_and_leave(queue, count, span);
    if (err == MP_FULL && make_room(queue))
        err = alloc_and_leave(queue, count, span);
    return err;
}
