/* SPDX-License-Identifier: MIT */
/*
 * What becomes of the items that processes have taken from a queue's table: see
 * queue_table.h. With redelivery they stay in their slots until they are
 * acknowledged, or their owner is dead and they are given back.
 */
#include "queue_table.h"

/* -- One slot -------------------------------------------------------------- */

static void free_item(mpi_table *table, mpi_place place, mpi_table_slot *slot,
                      const mpi_slot_parts *parts)
{
    mpi_slot_write(slot, (mpi_slot_state){.use = MPI_SLOT_FREE});
    if (parts->span != 0)
        mpi_units_free(table->units, parts->span);
    mpi_slot_free(table, place, parts);
}

/* The slot of a list of those that were taken. NULL: damaged. */
static mpi_table_slot *open_taken(mpi_table *table, mpi_place place,
                                  mpi_contents *contents)
{
    mpi_table_slot *slot = mpi_table_at(table, place);

    if (slot == NULL || !mpi_slot_open(table, slot, contents) ||
        (contents->state.use != MPI_SLOT_TAKEN &&
         contents->state.use != MPI_SLOT_DONE)) {
        (void)mpi_table_damaged(table);
        return NULL;
    }
    return slot;
}

/* Which of an owner's. */
typedef struct search {
    uint32_t owner;
    mpi_place before; /* found: the one before it */
    mpi_place place;
    mpi_table_slot *slot;
    mpi_contents contents;
} search;

static void leave_list(mpi_table *table, const search *it)
{
    mpi_taken_list list = mpi_taken_get(table, it->owner);
    mpi_table_slot *before = mpi_table_at(table, it->before);

    if (before != NULL)
        before->after = it->slot->after;
    else
        list.first = it->slot->after;
    if (list.last == it->place)
        list.last = it->before;
    mpi_taken_set(table, it->owner, list);
}

/* The first that the owner has not acknowledged, or the one it reads in that
 * span. False: there is none. */
static bool find_taken(mpi_table *table, search *it, mpi_span span)
{
    mpi_taken_list list = mpi_taken_get(table, it->owner);
    uint64_t limit = (uint64_t)table->units->max_units * MPI_SLOTS_PER_UNIT;

    it->before = 0;
    for (it->place = list.first; it->place != 0 && limit > 0; limit--) {
        const mpi_slot_state *state = &it->contents.state;

        it->slot = open_taken(table, it->place, &it->contents);
        if (it->slot == NULL)
            return false;
        if (span == 0 ? state->use == MPI_SLOT_TAKEN
                      : state->is_read && it->contents.parts.span == span)
            return true;
        it->before = it->place;
        it->place = it->slot->after;
    }
    return false;
}

/* It is acknowledged. */
static void finish(mpi_table *table, const search *it)
{
    mpi_slot_state state = it->contents.state;

    if (state.is_read) {
        state.use = MPI_SLOT_DONE;
        mpi_slot_write(it->slot, state);
    } else {
        leave_list(table, it);
        free_item(table, it->place, it->slot, &it->contents.parts);
    }
    mpi_table_count(&table->thing->done_count);
}

/* Its span is not read any more. */
static void stop_reading(mpi_table *table, const search *it)
{
    mpi_slot_state state = it->contents.state;

    if (state.use == MPI_SLOT_DONE) {
        leave_list(table, it);
        free_item(table, it->place, it->slot, &it->contents.parts);
        return;
    }
    state.is_read = false;
    mpi_slot_write(it->slot, state);
}

/* -- Giving back ----------------------------------------------------------- */

/* The first of the owner's: at its old place again, or free if it was
 * acknowledged. */
static mp_error give_back(mpi_table *table, search *it, uint64_t *count)
{
    mpi_slot_state state = it->contents.state;
    mpi_place after = it->slot->after;
    mp_error err;

    leave_list(table, it);
    if (state.use == MPI_SLOT_DONE) {
        free_item(table, it->place, it->slot, &it->contents.parts);
        return MP_OK;
    }
    err = mpi_order_insert(table, it->place);
    if (err != MP_OK) {
        mpi_taken_list list = mpi_taken_get(table, it->owner);

        it->slot->after = after;
        list.first = it->place;
        list.last = list.last != 0 ? list.last : it->place;
        mpi_taken_set(table, it->owner, list);
        return err;
    }
    state.use = MPI_SLOT_QUEUED;
    state.owner = MPI_NOBODY;
    state.is_read = false;
    mpi_slot_write(it->slot, state);
    mpi_atomic64_store(&table->thing->got_count,
                       mpi_atomic64_load(&table->thing->got_count) - 1);
    ++*count;
    return MP_OK;
}

/* All that were taken by that number, but not by who has it now: tag; 0: nobody
 * has. They are the first ones of its list. */
static mp_error give_back_of(mpi_table *table, uint32_t owner, uint32_t tag,
                             uint64_t *count)
{
    search it = {.owner = owner};
    mp_error err = MP_OK;

    while (err == MP_OK) {
        it.place = mpi_taken_get(table, owner).first;
        if (it.place == 0)
            return MP_OK;
        it.slot = open_taken(table, it.place, &it.contents);
        if (it.slot == NULL)
            return MP_EPROTO;
        if (tag != 0 && it.slot->taker == tag)
            return MP_OK;
        err = give_back(table, &it, count);
    }
    return err;
}

static mp_error give_back_all(mpi_table *table, uint64_t *count)
{
    mp_queue *queue = table->queue;
    uint32_t top = table->root->top_owner;
    mp_error err = MP_OK;

    for (uint32_t i = 1; i <= top && i <= MPI_UNITS_PROCESSES; i++) {
        bool is_alive;

        if (mpi_taken_get(table, i).first == 0)
            continue;
        is_alive = i == table->self || mpi_share_look_at(&queue->sync.share, i);
        err = give_back_of(table, i, is_alive ? mpi_queue_tag(queue, i) : 0,
                           count);
        if (err != MP_OK)
            return err;
    }
    return MP_OK;
}

/* -- Everything ------------------------------------------------------------ */

static void clear_slot(mpi_table *table, mpi_place place, mpi_table_slot *slot,
                       uint64_t *count)
{
    mpi_contents contents;

    if (!mpi_slot_open(table, slot, &contents)) {
        (void)mpi_table_damaged(table);
        return;
    }
    if (contents.state.use != MPI_SLOT_QUEUED)
        return;
    mpi_slot_write(slot, (mpi_slot_state){.use = MPI_SLOT_FREE});
    mpi_table_count(&table->thing->got_count);
    if (table->queue->redelivers)
        mpi_table_count(&table->thing->done_count);
    free_item(table, place, slot, &contents.parts);
    ++*count;
}

/* With the last slot in it the unit may go. */
static void clear_unit(mpi_table *table, mpi_span span, uint64_t *count)
{
    for (uint32_t i = 0; i < MPI_SLOTS_PER_UNIT; i++) {
        mpi_table_slot *slot = mpi_table_at(table, span << 8 | i);

        if (slot == NULL)
            return;
        clear_slot(table, span << 8 | i, slot, count);
    }
}

/* Without a look at the index: it would compare keys. */
static void clear_all(mpi_table *table, uint64_t *count)
{
    mpi_span span = mpi_atomic32_load(&table->root->slots);
    uint32_t limit = table->units->max_units;

    for (; span != 0 && limit > 0; limit--) {
        const mpi_pool_unit *unit =
            mpi_pool_unit_at(table, span, MPI_POOL_SLOTS);
        mpi_span next;

        if (unit == NULL) {
            (void)mpi_table_damaged(table);
            break;
        }
        next = mpi_atomic32_load(&unit->chain);
        clear_unit(table, span, count);
        span = next;
    }
    table->root->front = 0;
    table->root->back = 0;
}

/* -- The interface --------------------------------------------------------- */

mp_error mpi_table_acknowledge(mp_queue *queue)
{
    mpi_table table;
    search it;
    uint64_t count = 0;
    mp_error err = mpi_table_begin(queue, &table);

    if (err != MP_OK)
        return err;
    it.owner = table.self;
    if (table.root != NULL)
        err = give_back_of(&table, table.self, table.tag, &count);
    if (err == MP_OK && (table.root == NULL || !find_taken(&table, &it, 0)))
        err = mpi_fail(MP_ESTATE, "this process has got nothing from the queue "
                                  "that it has not acknowledged");
    if (err == MP_OK) {
        finish(&table, &it);
        mpi_table_trim(&table);
    }
    mpi_table_end(&table);
    return err;
}

void mpi_table_release(mp_queue *queue, mpi_span span)
{
    mpi_table table;
    search it;

    if (!queue->redelivers) {
        mpi_units_free(&queue->units, span);
        return;
    }
    /* What nobody can give back is its owner's until that ends. */
    if (mpi_table_begin(queue, &table) != MP_OK)
        return;
    it.owner = table.self;
    if (table.root != NULL && find_taken(&table, &it, span))
        stop_reading(&table, &it);
    else if (mpi_atomic32_load(&queue->thing->must_sweep) == 0)
        mpi_units_free(table.units, span); /* no item's */
    mpi_table_trim(&table);
    mpi_table_end(&table);
}

mp_error mpi_table_bury(mp_queue *queue, uint64_t *count)
{
    mpi_table table;
    mp_error err = mpi_table_begin(queue, &table);

    if (err != MP_OK)
        return err;
    *count = 0;
    if (!queue->redelivers)
        *count = mpi_queue_count_lost(queue);
    else if (table.root != NULL)
        err = give_back_all(&table, count);
    mpi_table_end(&table);
    return err;
}

mp_error mpi_table_clear(mp_queue *queue, uint64_t *count)
{
    mpi_table table;
    mp_error err = mpi_table_begin(queue, &table);

    if (err != MP_OK)
        return err;
    *count = 0;
    if (table.root != NULL) {
        clear_all(&table, count);
        mpi_table_trim(&table);
    }
    mpi_table_end(&table);
    return MP_OK;
}
