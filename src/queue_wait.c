/* SPDX-License-Identifier: MIT */
/*
 * Attempts to put and to take, and sleeping in between.
 *
 * Both sides do the same. Who finds nothing says in a word that it may sleep,
 * looks again, and only then sleeps until the word changes. Who has brought
 * something looks at that word afterwards, and wakes one. Between the store and
 * the look of either side is a full fence: one of them sees the other.
 *
 * Waking clears the flag, though others may still sleep. So who has slept sets
 * it again before it leaves, whether it got something or not, and if there is
 * more, wakes the next. What was woken and killed costs the others one look.
 */
#include "internal.h"
#include "queue_use.h"

#include <string.h>

enum {
    /* A few microseconds, which is what sleeping and being woken takes. */
    MOST_SPINS = 200,
    FEWEST_SPINS = 4, /* so that it is found out when it is worth it again */
    /* Between two looks, each of which takes what it looks at from the others.
     * Meanwhile items gather, so that who gets them is not always at the heels
     * of who puts them: then every item costs both a wait for the other's
     * cache. With 32 instead of 1 three times as many get through. */
    PAUSE = 32,
};

/* -- The end --------------------------------------------------------------- */

bool mpi_queue_is_shut(const mp_queue *queue)
{
    return mpi_atomic32_load(&queue->thing->is_shut) != 0;
}

mp_error mpi_queue_fail_shut(void)
{
    return mpi_fail(MP_ESHUTDOWN, "the queue is shut down");
}

mp_error mpi_queue_fail_object(void)
{
    return mpi_fail(MP_ETYPE, "the next item is an object, not bytes");
}

/* -- Waking ---------------------------------------------------------------- */

static uint32_t as_sleepers(size_t count)
{
    return count < INT32_MAX ? (uint32_t)count : INT32_MAX;
}

void mpi_queue_has_put(mp_queue *queue, size_t count)
{
    mpi_fence_after_change(); /* of the lock, by who released it */
    mpi_word_alert(&queue->thing->items, &queue->sync.share,
                   as_sleepers(count));
}

void mpi_queue_has_room(mp_queue *queue, size_t count)
{
    if (queue->maxsize == 0) /* nobody waits for it */
        return;
    mpi_fence_after_change();
    mpi_word_alert(&queue->thing->room, &queue->sync.share, as_sleepers(count));
}

static bool has_items(mp_queue *queue)
{
    return queue->type->length(queue) > 0;
}

static bool has_places(mp_queue *queue)
{
    return queue->type->length(queue) < queue->maxsize;
}

static bool is_worth_it(mp_queue *queue, bool is_put)
{
    return is_put ? has_places(queue) : has_items(queue);
}

/* -- Waiting --------------------------------------------------------------- */

static mpos_word *word_for(mp_queue *queue, bool is_put)
{
    return is_put ? &queue->thing->room : &queue->thing->items;
}

static void pass_on(mp_queue *queue, bool is_put)
{
    mpos_word *word = word_for(queue, is_put);

    (void)mpi_word_expect(word);
    if (is_worth_it(queue, is_put) || mpi_queue_is_shut(queue))
        mpi_word_alert(word, &queue->sync.share, 1);
}

/* One more than how often; 0: not known yet. */
static uint32_t spins_of(mp_queue *queue)
{
    uint32_t spins = mpi_atomic32_load(&queue->spins);

    if (spins == 0) {
        spins = 1 + (mpos_cpu_count() > 1 ? MOST_SPINS : 0);
        mpi_atomic32_store(&queue->spins, spins);
    }
    return spins - 1;
}

/* As long as it has helped lately. */
static void spin(mp_queue *queue, bool is_put)
{
    uint32_t limit = spins_of(queue);
    bool has_helped = false;

    if (limit == 0)
        return;
    for (uint32_t n = 0; n < limit && !has_helped; n += PAUSE) {
        for (uint32_t i = 0; i < PAUSE; i++)
            mpi_pause();
        has_helped = is_worth_it(queue, is_put);
    }
    if (has_helped)
        limit += (MOST_SPINS - limit + 1) / 2;
    else if (limit > FEWEST_SPINS)
        limit -= (limit - FEWEST_SPINS + 7) / 8;
    mpi_atomic32_store(&queue->spins, 1 + limit);
}

static bool is_over(int64_t deadline)
{
    return deadline <= 0 ||
           (deadline != MPOS_FOREVER && mpos_now() >= deadline);
}

static bool must_wait(mp_error err)
{
    return err == MP_EMPTY || err == MP_FULL;
}

/* An item that a dead process had taken may be for this one. */
static mp_error look(mp_queue *queue, bool is_put)
{
    return queue->redelivers && !is_put ? mpi_queue_look(queue) : MP_OK;
}

typedef struct sleeper {
    int64_t deadline;
    int64_t interval;
    bool has_slept;
} sleeper;

/* MP_OK: it is time for another attempt. */
static mp_error sleep_on(mp_queue *queue, sleeper *who, uint32_t seen,
                         bool is_put)
{
    mp_error err;

    who->has_slept = true;
    err = mpi_word_wait_change(word_for(queue, is_put), &queue->sync.share,
                               seen, who->deadline, &who->interval);
    if (err == MP_PENDING)
        return look(queue, is_put);
    return err == MP_TIMED_OUT ? MP_OK : err;
}

static mp_error wait_and_attempt(mp_queue *queue, const mpi_queue_turn *turn,
                                 double timeout)
{
    sleeper who = {.deadline = mpi_deadline(timeout)};
    mp_error err;

    spin(queue, turn->is_put);
    do {
        uint32_t seen = mpi_word_expect(word_for(queue, turn->is_put));
        mp_error failure = MP_OK;

        err = turn->attempt(queue, turn->context);
        if (!must_wait(err) || is_over(who.deadline))
            break;
        failure = sleep_on(queue, &who, seen, turn->is_put);
        err = failure != MP_OK ? failure : err;
    } while (must_wait(err));
    if (who.has_slept)
        pass_on(queue, turn->is_put);
    return err;
}

mp_error mpi_queue_attempt(mp_queue *queue, const mpi_queue_turn *turn,
                           double timeout)
{
    mp_error err = turn->attempt(queue, turn->context);
    mp_error failure;

    if (!must_wait(err))
        return err;
    failure = look(queue, turn->is_put);
    if (failure != MP_OK)
        return failure;
    if (timeout <= 0)
        return queue->redelivers && !turn->is_put
                   ? turn->attempt(queue, turn->context)
                   : err;
    return wait_and_attempt(queue, turn, timeout);
}

/* -- Putting --------------------------------------------------------------- */

mp_error mpi_queue_put_result(const mp_queue *queue, mp_error err)
{
    if (err == MP_ESHUTDOWN)
        return mpi_queue_fail_shut();
    if (err != MP_FULL || queue->maxsize > 0)
        return err;
    return mpi_fail(MP_ENOSPC, "the queue has no memory left for the item");
}

static mp_error fail_too_large(size_t size)
{
    return mpi_fail(MP_ENOSPC,
                    "an item of %zu bytes is more than the queue ever has "
                    "memory for",
                    size);
}

mp_error mpi_queue_alloc(mp_queue *queue, size_t size, mpi_span *span)
{
    size_t count = size / MPI_UNIT_SIZE + (size % MPI_UNIT_SIZE != 0);
    mpos_word *word = &queue->thing->put_lock;
    mp_error err;

    if (count > queue->units.max_units - MPI_QUEUE_BESIDE)
        return fail_too_large(size);
    err = mpi_queue_lock(queue, word);
    if (err != MP_OK)
        return err;
    err = mpi_queue_alloc_span(queue, (uint32_t)count, span);
    mpi_queue_unlock(queue, word);
    return err;
}

/* Whoever has to wait for room need not: there will be none. */
mp_error mpi_queue_unless_shut(const mp_queue *queue, mp_error err)
{
    return err == MP_FULL && mpi_queue_is_shut(queue) ? MP_ESHUTDOWN : err;
}

mp_error mpi_queue_fill_span(mp_queue *queue, mpi_item *item)
{
    mp_error err;

    if (mpi_queue_is_shut(queue))
        return MP_ESHUTDOWN;
    if (queue->maxsize > 0 && !has_places(queue))
        return MP_FULL;
    err = mpi_queue_alloc(queue, item->size, &item->span);
    if (err == MP_OK)
        memcpy(mpi_units_at(&queue->units, item->span), item->data, item->size);
    return err;
}

static mp_error attempt_put(mp_queue *queue, void *context)
{
    mpi_queue_offer *offer = context;
    mp_error err = MP_OK;

    if (offer->item.size > MPI_ITEM_INLINE && offer->item.span == 0)
        err = mpi_queue_fill_span(queue, &offer->item);
    if (err == MP_OK)
        err = queue->type->put(queue, &offer->item, offer->at_front);
    if (err == MP_OK) {
        offer->item.span = 0;
        mpi_queue_has_put(queue, 1);
    }
    return mpi_queue_unless_shut(queue, err);
}

mp_error mpi_queue_put_item(mp_queue *queue, mpi_queue_offer *offer,
                            double timeout)
{
    const mpi_queue_turn turn = {attempt_put, offer, true};
    mpi_span given = offer->item.span;
    mp_error err;

    if (queue->maxsize == 0)
        err = attempt_put(queue, offer);
    else
        err = mpi_queue_attempt(queue, &turn, timeout);
    if (offer->item.span != given && offer->item.span != 0) {
        mpi_queue_give_back(queue, offer->item.span);
        offer->item.span = 0;
    }
    return mpi_queue_put_result(queue, err);
}

/* -- Taking ---------------------------------------------------------------- */

typedef struct taking {
    const mpi_queue_wish *wish;
    mpi_taken *taken;
} taking;

static mp_error take_once(mp_queue *queue, const taking *it)
{
    return queue->type->take(queue, it->wish->from_back, it->wish->kind,
                             it->wish->most, it->taken);
}

static mp_error attempt_take(mp_queue *queue, void *context)
{
    mp_error err = take_once(queue, context);

    /* What was put before the end is to be got. */
    if (err == MP_EMPTY && mpi_queue_is_shut(queue)) {
        err = take_once(queue, context);
        if (err == MP_EMPTY)
            return mpi_queue_fail_shut();
    }
    if (err == MP_OK)
        mpi_queue_has_room(queue, 1);
    return err;
}

mp_error mpi_queue_take_item(mp_queue *queue, const mpi_queue_wish *wish,
                             double timeout, mpi_taken *taken)
{
    taking context = {wish, taken};
    const mpi_queue_turn turn = {attempt_take, &context, false};

    mp_error err;

    taken->item = (mpi_item){.deliveries = 1};
    err = mpi_queue_attempt(queue, &turn, timeout);
    if (err == MP_OK)
        mpi_queue_note(queue, taken->item.deliveries);
    return err == MP_ETYPE ? mpi_queue_fail_object() : err;
}

/* -- For mp_wait() --------------------------------------------------------- */

bool mpi_queue_is_ready(mp_queue *queue)
{
    return has_items(queue) || mpi_queue_is_shut(queue);
}

static bool must_stop(const mpi_atomic32 *flag)
{
    return flag != NULL && mpi_atomic32_load(flag) != 0;
}

static mp_error wait_until_ready(mp_queue *queue, int64_t deadline,
                                 const mpi_atomic32 *flag)
{
    sleeper who = {.deadline = deadline};
    mp_error err = MP_OK;

    while (err == MP_OK) {
        uint32_t seen = mpi_word_expect(&queue->thing->items);

        if (mpi_queue_is_ready(queue))
            break;
        if (must_stop(flag) || is_over(deadline))
            err = MP_TIMED_OUT;
        else
            err = sleep_on(queue, &who, seen, false);
    }
    /* It was woken for an item that it does not take. */
    if (who.has_slept)
        pass_on(queue, false);
    return err;
}

mp_error mpi_queue_wait(mp_queue *queue, double timeout)
{
    mp_error err = mpi_queue_check(queue);

    if (err == MP_OK && !mpi_queue_is_ready(queue))
        err = look(queue, false);
    if (err != MP_OK || mpi_queue_is_ready(queue))
        return err;
    if (timeout <= 0)
        return MP_TIMED_OUT;
    spin(queue, false);
    return wait_until_ready(queue, mpi_deadline(timeout), NULL);
}

mp_error mpi_queue_watch(mp_queue *queue, const mpi_atomic32 *flag)
{
    return wait_until_ready(queue, MPOS_FOREVER, flag);
}

/* The word has to change, or they would sleep on. */
void mpi_queue_nudge(mp_queue *queue)
{
    mpos_word *word = &queue->thing->items;

    (void)mpi_word_expect(word);
    mpi_word_alert(word, &queue->sync.share, INT32_MAX);
}
