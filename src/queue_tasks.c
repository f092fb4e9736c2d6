/* SPDX-License-Identifier: MIT */
/*
 * Queue: tasks, what the dead leave of them, and the end.
 *
 * A task is an item from its put() until somebody says that it is done, and the
 * counts of both only grow. What a process has taken and not done is counted,
 * too, so that it is known how many went with the dead; with redelivery, none
 * does. These counts are changed with the lock of those who take.
 */
#include "internal.h"
#include "queue_use.h"

enum {
    LOOK_SERVES = 20000000, /* nanoseconds */
    MOST_TURNS = 1000,
    TAG_SHIFT = 32, /* of what each has taken */
};

/* As many are not counted any more: what that process has taken is never lost.
 * Nobody acknowledges them, and so nobody waits for that. */
static const uint32_t too_many = UINT32_MAX;

/* The table has only one. */
static mpos_word *lock_of_takers(mp_queue *queue)
{
    mpi_queue_thing *thing = queue->thing;

    return queue->type == &mpi_queue_ring ? &thing->get_lock : &thing->put_lock;
}

/* done is asked for first: they are equal only if they were at that moment. */
static bool has_unfinished(const mp_queue *queue)
{
    const mpi_queue_thing *thing = queue->thing;
    uint64_t done = mpi_atomic64_load(&thing->done_count);

    return done < mpi_atomic64_load(&thing->put_count);
}

static void wake_joiners(mp_queue *queue)
{
    mpi_fence();
    if (!has_unfinished(queue))
        mpi_word_alert(&queue->thing->tasks, &queue->sync.share, INT32_MAX);
}

/* With the lock. */
static void add_done(mpi_queue_thing *thing, uint64_t count)
{
    uint64_t done = mpi_atomic64_load(&thing->done_count);

    mpi_atomic64_store(&thing->done_count, done + count);
}

/* -- What each has taken --------------------------------------------------- */

/* False: not of those that are counted. */
static bool is_one(uint32_t owner)
{
    return owner != MPI_NOBODY && owner <= MPI_UNITS_PROCESSES;
}

static uint32_t holder_of(uint64_t entry)
{
    return (uint32_t)(entry >> TAG_SHIFT);
}

void mpi_queue_count_taken(mp_queue *queue, uint64_t count)
{
    uint32_t self = mpi_share_self(&queue->sync.share);
    uint64_t *entry;
    uint32_t tag;

    if (!is_one(self))
        return;
    entry = &mpi_queue_outstanding(queue)[self - 1];
    tag = mpi_queue_tag(queue, self);
    if (holder_of(*entry) == tag)
        count += (uint32_t)*entry;
    if (count > too_many)
        count = too_many;
    *entry = (uint64_t)tag << TAG_SHIFT | count;
}

static bool drop_one(uint64_t *entry)
{
    if ((uint32_t)*entry == 0)
        return false;
    if ((uint32_t)*entry != too_many)
        --*entry;
    return true;
}

static bool is_alive(mp_queue *queue, uint32_t owner, uint64_t entry)
{
    mpi_share *share = &queue->sync.share;

    return (owner == mpi_share_self(share) ||
            mpi_share_look_at(share, owner)) &&
           holder_of(entry) == mpi_queue_tag(queue, owner);
}

uint64_t mpi_queue_count_lost(mp_queue *queue)
{
    const mpi_queue_thing *thing = queue->thing;
    uint64_t *entries = mpi_queue_outstanding(queue);
    uint64_t open = mpi_atomic64_load(&thing->got_count) -
                    mpi_atomic64_load(&thing->done_count);
    uint64_t held = 0;

    for (uint32_t owner = 1; owner <= MPI_UNITS_PROCESSES; owner++) {
        uint64_t *entry = &entries[owner - 1];

        if ((uint32_t)*entry == 0)
            continue;
        if (!is_alive(queue, owner, *entry))
            *entry = 0;
        else if ((uint32_t)*entry == too_many)
            return 0;
        held += (uint32_t)*entry;
    }
    return (int64_t)(open - held) > 0 ? open - held : 0;
}

/* -- Done ------------------------------------------------------------------ */

/* Somebody's, if this process has taken none: as in Python, one may say so for
 * another. */
static void drop_outstanding(mp_queue *queue)
{
    uint64_t *entries = mpi_queue_outstanding(queue);
    uint32_t self = mpi_share_self(&queue->sync.share);

    if (is_one(self) &&
        holder_of(entries[self - 1]) == mpi_queue_tag(queue, self) &&
        drop_one(&entries[self - 1]))
        return;
    for (size_t i = 0; i < MPI_UNITS_PROCESSES; i++)
        if (drop_one(&entries[i]))
            return;
}

static mp_error finish_one(mp_queue *queue)
{
    if (!has_unfinished(queue))
        return mpi_fail(MP_ESTATE, "task_done() was called more often than "
                                   "there were items");
    drop_outstanding(queue);
    add_done(queue->thing, 1);
    return MP_OK;
}

static mp_error finish_with_lock(mp_queue *queue)
{
    mpos_word *word = lock_of_takers(queue);
    mp_error err = mpi_queue_lock(queue, word);

    if (err != MP_OK)
        return err;
    err = finish_one(queue);
    mpi_queue_unlock(queue, word);
    return err;
}

mp_error mp_queue_task_done(mp_queue *queue)
{
    mp_error err = mpi_queue_check(queue);

    if (err == MP_OK)
        err = queue->redelivers ? queue->type->acknowledge(queue)
                                : finish_with_lock(queue);
    if (err == MP_OK)
        wake_joiners(queue);
    return err;
}

/* -- The dead -------------------------------------------------------------- */

/* If nobody has found the same meanwhile, which a change of done_count shows:
 * it only grows. */
static mp_error settle(mp_queue *queue, uint64_t done, uint64_t count,
                       bool is_lost)
{
    mpi_queue_thing *thing = queue->thing;
    mpos_word *word = lock_of_takers(queue);
    mp_error err = mpi_queue_lock(queue, word);

    if (err != MP_OK)
        return err;
    if (mpi_atomic64_load(&thing->done_count) != done) {
        err = MP_PENDING;
    } else {
        if (is_lost)
            mpi_atomic64_store(&thing->lost_count,
                               mpi_atomic64_load(&thing->lost_count) + count);
        add_done(thing, count);
    }
    mpi_queue_unlock(queue, word);
    wake_joiners(queue);
    return err;
}

/* MP_PENDING: it has changed meanwhile. */
static mp_error bury(mp_queue *queue, bool is_lost)
{
    uint64_t done = mpi_atomic64_load(&queue->thing->done_count);
    uint64_t count = 0;
    mp_error err = queue->type->bury(queue, &count);

    if (err != MP_OK || count == 0)
        return err;
    if (!queue->redelivers)
        return settle(queue, done, count, is_lost);
    mpi_queue_has_put(queue, (size_t)count);
    return MP_OK;
}

mp_error mpi_queue_look(mp_queue *queue)
{
    uint64_t now = (uint64_t)mpos_now();
    uint64_t last = mpi_atomic64_load(&queue->last_look);
    mp_error err;

    if (last != 0 && now - last < LOOK_SERVES)
        return MP_OK;
    mpi_atomic64_store(&queue->last_look, now);
    err = bury(queue, true);
    return err == MP_PENDING ? MP_OK : err;
}

/* -- Joining --------------------------------------------------------------- */

/* What this process has not been told of yet. */
static mp_error all_done(mp_queue *queue)
{
    uint64_t lost = mpi_atomic64_load(&queue->thing->lost_count);
    uint64_t told = mpi_atomic64_load(&queue->lost_seen);

    if (lost == told)
        return MP_OK;
    mpi_atomic64_store(&queue->lost_seen, lost);
    return MP_OWNER_DIED;
}

static mp_error sleep_on_tasks(mp_queue *queue, int64_t deadline,
                               int64_t *interval)
{
    mpos_word *word = &queue->thing->tasks;
    uint32_t seen = mpi_word_expect(word);
    mp_error err;

    if (!has_unfinished(queue))
        return MP_OK;
    err = mpi_word_wait_change(word, &queue->sync.share, seen, deadline,
                               interval);
    return err == MP_PENDING ? mpi_queue_look(queue) : err;
}

mp_error mp_queue_join(mp_queue *queue, double timeout)
{
    mp_error err = mpi_queue_check(queue);
    int64_t interval = 0;
    int64_t deadline;

    if (err != MP_OK)
        return err;
    deadline = mpi_deadline(timeout);
    if (has_unfinished(queue))
        err = mpi_queue_look(queue);
    while (err == MP_OK && has_unfinished(queue)) {
        if (timeout <= 0)
            return MP_TIMED_OUT;
        err = sleep_on_tasks(queue, deadline, &interval);
    }
    if (err == MP_TIMED_OUT && !has_unfinished(queue))
        err = MP_OK;
    return err == MP_OK ? all_done(queue) : err;
}

/* -- The end --------------------------------------------------------------- */

/* What is gone is nobody's task any more, as with the dead. Who asks for that
 * at the same time only makes it take another turn. */
static mp_error empty(mp_queue *queue)
{
    uint64_t count = 0;
    mp_error err = queue->type->clear(queue, &count);

    if (err == MP_OK && count > 0 && !queue->redelivers) {
        int turns = MOST_TURNS;

        do {
            err = bury(queue, false);
        } while (err == MP_PENDING && --turns > 0);
    }
    wake_joiners(queue);
    return err == MP_PENDING ? MP_OK : err;
}

/* With put_lock, so that nothing is put behind the last look of who gets. */
static mp_error shut(mp_queue *queue)
{
    mpos_word *word = &queue->thing->put_lock;
    mp_error err = mpi_queue_lock(queue, word);

    if (err != MP_OK)
        return err;
    mpi_atomic32_store(&queue->thing->is_shut, 1);
    mpi_queue_unlock(queue, word);
    return MP_OK;
}

mp_error mp_queue_shutdown(mp_queue *queue, bool is_immediate)
{
    mpi_queue_thing *thing;
    mp_error err = mpi_queue_check(queue);

    if (err == MP_OK)
        err = shut(queue);
    if (err != MP_OK)
        return err;
    if (is_immediate)
        err = empty(queue);
    thing = queue->thing;
    mpi_fence();
    mpi_word_alert(&thing->items, &queue->sync.share, INT32_MAX);
    mpi_word_alert(&thing->room, &queue->sync.share, INT32_MAX);
    return err;
}
