/* SPDX-License-Identifier: MIT */
/* The ring: all at once, the dead, the counts. See queue_ring.h. */
#include "queue_ring.h"

enum {
    LOOKS = 100, /* at two counts, until they are of one moment */
};

/* -- Places ---------------------------------------------------------------- */

/* False: there is no such place. */
bool mpi_ring_find_place(const mp_queue *queue, uint64_t cursor,
                         mpi_ring_place *at)
{
    mpi_span span = (mpi_span)(cursor >> MPI_RING_CURSOR_SHIFT);
    uint32_t count;

    if (cursor == 0) {
        *at = (mpi_ring_place){.memory = NULL};
        return true;
    }
    count = mpi_units_count(&queue->units, span);
    if (count == 0 || count > MPI_RING_MOST_UNITS)
        return false;
    at->memory = mpi_units_at(&queue->units, span);
    at->span = span;
    at->size = count * MPI_UNIT_SIZE;
    at->offset = (uint32_t)cursor;
    return at->offset % MPI_RING_HEADER == 0 &&
           at->offset <= at->size - MPI_RING_JUMP;
}

/* -- Giving memory back ---------------------------------------------------- */

static void release(mp_queue *queue, mpi_span span)
{
    mpi_units_free(&queue->units, span);
    mpi_ring_trim(queue);
}

/* -- The dead -------------------------------------------------------------- */

static mp_error bury(mp_queue *queue, uint64_t *count)
{
    mpos_word *word = &queue->thing->get_lock;
    mp_error err = mpi_ring_lock(queue, word, MP_FOREVER);

    if (err != MP_OK)
        return err;
    *count = mpi_queue_count_lost(queue);
    mpi_ring_unlock(queue, word);
    return MP_OK;
}

/* -- All at once ----------------------------------------------------------- */

/* The second one after the first. */
static mp_error lock_both(mp_queue *queue)
{
    mpi_queue_thing *thing = queue->thing;
    mp_error err = mpi_ring_lock(queue, &thing->put_lock, MP_FOREVER);

    if (err != MP_OK)
        return err;
    err = mpi_ring_lock(queue, &thing->get_lock, MP_FOREVER);
    if (err != MP_OK)
        mpi_ring_unlock(queue, &thing->put_lock);
    return err;
}

static void unlock_both(mp_queue *queue)
{
    mpi_ring_unlock(queue, &queue->thing->get_lock);
    mpi_ring_unlock(queue, &queue->thing->put_lock);
}

/* Of an even number one is taken as always. What they were in is swept up. */
static mp_error skip_all(mp_queue *queue, uint64_t *count)
{
    mpi_queue_thing *thing = queue->thing;
    uint64_t end = mpi_atomic64_load(&thing->put_count);
    mpi_ring_reader from;
    mpi_ring_record it;
    mp_error err = mpi_ring_begin_read(&from, queue);

    *count = end - from.next;
    if (err == MP_OK && *count % 2 == 0) {
        err = mpi_ring_read_record(&from, &it);
        if (err == MP_OK)
            mpi_ring_commit_read(&from);
    }
    if (err != MP_OK)
        return err;
    mpi_atomic32_store(&thing->must_sweep, 1);
    mpi_ring_store_got(thing, end, thing->put_cursor[end % 2]);
    return mpi_ring_sweep_locked(queue);
}

static mp_error clear(mp_queue *queue, uint64_t *count)
{
    mp_error err = lock_both(queue);

    if (err != MP_OK)
        return err;
    err = skip_all(queue, count);
    if (err == MP_EMPTY)
        err = MP_OK;
    if (err == MP_OK && mpi_units_is_trimmable(&queue->units))
        mpi_units_trim(&queue->units);
    unlock_both(queue);
    return err;
}

/* Both cursors are somewhere. */
static mp_error check_cursors(mp_queue *queue)
{
    const mpi_queue_thing *thing = queue->thing;
    uint64_t count = mpi_atomic64_load(&thing->put_count);
    uint64_t end = thing->put_cursor[count % 2];
    mpi_ring_place at;
    mpi_ring_reader from = {
        .queue = queue,
        .next = mpi_atomic64_load(&thing->got_count),
    };

    if ((int64_t)(count - from.next) < 0 ||
        !mpi_ring_find_place(queue, end, &at) || (end == 0) != (count == 0))
        return mpi_ring_fail_damaged();
    return count == 0 ? MP_OK : mpi_ring_find_next(&from);
}

/* A file may be from before a crash of the machine: then everything in there is
 * looked at. */
static mp_error check(mp_queue *queue)
{
    mp_error err = lock_both(queue);

    if (err != MP_OK)
        return err;
    err = check_cursors(queue);
    if (err == MP_OK &&
        mpi_share_storage(&queue->sync.share) == MPI_STORAGE_FILE)
        err = mpi_ring_sweep_locked(queue);
    unlock_both(queue);
    return err;
}

/* Of one moment, unless the others are too fast. */
static size_t length(mp_queue *queue)
{
    const mpi_queue_thing *thing = queue->thing;
    uint64_t got;
    uint64_t put;
    int looks = LOOKS;

    do {
        got = mpi_atomic64_load(&thing->got_count);
        put = mpi_atomic64_load(&thing->put_count);
    } while (got != mpi_atomic64_load(&thing->got_count) && --looks > 0);
    return (int64_t)(put - got) > 0 ? (size_t)(put - got) : 0;
}

const mpi_queue_type mpi_queue_ring = {
    .put = mpi_ring_put,
    .take = mpi_ring_take,
    .put_many = mpi_ring_put_many,
    .take_many = mpi_ring_take_many,
    .release = release,
    .bury = bury,
    .clear = clear,
    .check = check,
    .length = length,
    .sweep = mpi_ring_sweep,
    .put_quickly = mpi_ring_put_quickly,
    .take_quickly = mpi_ring_take_quickly,
};
