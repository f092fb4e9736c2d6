/* SPDX-License-Identifier: MIT */
/*
 * The core of a queue that is not simply first in first out: last in first out,
 * with keys, with two ends, or with redelivery. See queue_table.h.
 *
 * All is done under put_lock, also what queue_tasks.c does.
 */
#include "queue_table.h"

#include <string.h>

enum { MOST_TURNS = 1000 };

/* -- The lock -------------------------------------------------------------- */

mp_error mpi_table_damaged(mpi_table *table)
{
    mpi_atomic32_store(&table->thing->must_sweep, 1);
    return mpi_fail(MP_EPROTO, "the queue is damaged");
}

static mpi_share *share_of(mp_queue *queue)
{
    return &queue->sync.share;
}

/* With the lock. */
static mp_error open_table(mp_queue *queue, mpi_table *table)
{
    *table = (mpi_table){.queue = queue,
                         .thing = queue->thing,
                         .units = &queue->units,
                         .taken = mpi_queue_outstanding(queue),
                         .self = mpi_share_self(share_of(queue))};
    if (table->self == 0 || table->self > MPI_UNITS_PROCESSES)
        return mpi_fail(MP_EPROCLIM, "too many processes use the queue");
    if (queue->redelivers)
        table->tag = mpi_queue_tag(queue, table->self);
    return mpi_table_find_root(table);
}

mp_error mpi_table_begin(mp_queue *queue, mpi_table *table)
{
    mpi_queue_thing *thing = queue->thing;
    mp_error err = mpi_word_lock(&thing->put_lock, share_of(queue), MP_FOREVER);

    if (err == MP_OWNER_DIED)
        mpi_atomic32_store(&thing->must_sweep, 1);
    else if (err != MP_OK)
        return err;
    err = open_table(queue, table);
    if (err != MP_OK)
        mpi_table_end(table);
    return err;
}

void mpi_table_end(mpi_table *table)
{
    (void)mpi_word_unlock(&table->thing->put_lock, share_of(table->queue));
}

static size_t length(mp_queue *queue)
{
    const mpi_queue_thing *thing = queue->thing;
    uint64_t put = mpi_atomic64_load(&thing->put_count);
    uint64_t there = 0;

    /* As a rule what was put has not changed meanwhile: so many there were. */
    for (int turns = MOST_TURNS; turns > 0; turns--) {
        uint64_t again;

        there = put - mpi_atomic64_load(&thing->got_count);
        again = mpi_atomic64_load(&thing->put_count);
        if (again == put)
            break;
        put = again;
    }
    return (size_t)there;
}

/* -- Giving memory back ---------------------------------------------------- */

static bool is_unused(const mpi_table *table)
{
    mpi_queue_thing *thing = table->thing;
    uint64_t got = mpi_atomic64_load(&thing->got_count);

    return mpi_atomic64_load(&thing->put_count) == got &&
           (!table->queue->redelivers ||
            mpi_atomic64_load(&thing->done_count) == got);
}

void mpi_table_trim(mpi_table *table)
{
    if (!mpi_units_is_trimmable(table->units) || !is_unused(table))
        return;
    if (table->root != NULL)
        mpi_pool_drop_spare(table);
    mpi_units_trim(table->units);
}

/* -- Putting --------------------------------------------------------------- */

static bool is_full(const mpi_table *table)
{
    size_t maxsize = table->queue->maxsize;

    return maxsize != 0 && length(table->queue) >= maxsize;
}

/* What only the lock's owner sees. */
static mp_error prepare(mpi_table *table, const mpi_item *item, bool at_front,
                        mpi_place *place)
{
    mpi_table_slot *slot;
    mpi_slot_parts parts;
    mp_error err = mpi_slot_make(table, item, place);

    if (err != MP_OK)
        return err;
    slot = mpi_table_at(table, *place);
    if (slot == NULL)
        return mpi_table_damaged(table);
    parts =
        slot->form == MPI_FORM_PARTS ? slot->with.parts : (mpi_slot_parts){0};
    slot->order = at_front ? table->root->front_order : table->root->back_order;
    table->new_place = *place;
    err = mpi_order_insert(table, *place);
    mp_obj_unref(table->new_key);
    table->new_place = 0;
    table->new_key = NULL;
    if (err != MP_OK)
        mpi_slot_free(table, *place, &parts);
    return err;
}

/* What is kept for later may be what is missing now. */
static mp_error prepare_or_drop(mpi_table *table, const mpi_item *item,
                                bool at_front, mpi_place *place)
{
    mp_error err = prepare(table, item, at_front, place);

    if (err != MP_FULL && err != MP_ENOSPC)
        return err;
    mpi_pool_drop_spare(table);
    return prepare(table, item, at_front, place);
}

static mp_error put_one(mpi_table *table, const mpi_item *item, bool at_front)
{
    bool is_front = at_front && table->queue->order == MP_QUEUE_DEQUE;
    mpi_table_slot *slot;
    mpi_place place;
    mp_error err = MP_OK;

    if (mpi_atomic32_load(&table->thing->is_shut) != 0)
        return MP_ESHUTDOWN;
    if (is_full(table))
        return MP_FULL;
    if (table->root == NULL)
        err = mpi_table_make_root(table);
    if (err == MP_OK)
        err = prepare_or_drop(table, item, is_front, &place);
    if (err != MP_OK)
        return err;
    if (item->span != 0)
        mpi_units_set(table->units, item->span, MPI_UNIT_QUEUED);
    slot = mpi_table_at(table, place);
    if (slot == NULL)
        return mpi_table_damaged(table);
    mpi_slot_write(
        slot, (mpi_slot_state){.use = MPI_SLOT_QUEUED, .kind = item->kind});
    mpi_table_count(&table->thing->put_count);
    if (is_front)
        table->root->front_order--;
    else
        table->root->back_order++;
    return MP_OK;
}

static mp_error put(mp_queue *queue, const mpi_item *item, bool at_front)
{
    mpi_table table;
    mp_error err = mpi_table_begin(queue, &table);

    if (err != MP_OK)
        return err;
    err = put_one(&table, item, at_front);
    mpi_table_end(&table);
    return err;
}

static mp_error put_many(mp_queue *queue, const mpi_item *items, size_t count,
                         size_t *done)
{
    mpi_table table;
    mp_error err = mpi_table_begin(queue, &table);

    *done = 0;
    if (err != MP_OK)
        return err;
    while (*done < count && err == MP_OK) {
        err = put_one(&table, &items[*done], false);
        *done += err == MP_OK;
    }
    mpi_table_end(&table);
    return err;
}

/* -- What is next ---------------------------------------------------------- */

typedef struct next_item {
    mpi_place place;
    mpi_table_slot *slot;
    mpi_contents contents;
} next_item;

/* MP_EMPTY: nothing. */
static mp_error look(mpi_table *table, bool from_back, next_item *next)
{
    if (table->root == NULL)
        return MP_EMPTY;
    next->place = mpi_order_first(table, from_back);
    if (next->place == 0)
        return MP_EMPTY;
    next->slot = mpi_table_at(table, next->place);
    if (next->slot == NULL ||
        !mpi_slot_open(table, next->slot, &next->contents) ||
        next->contents.state.use != MPI_SLOT_QUEUED)
        return mpi_table_damaged(table);
    return MP_OK;
}

static mp_error check_wanted(const next_item *next, mpi_item_kind wanted,
                             size_t most)
{
    if (wanted != 0 && next->contents.state.kind != wanted)
        return mpi_fail(MP_ETYPE, wanted == MPI_ITEM_BYTES
                                      ? "the next item is an object"
                                      : "the next item is bytes");
    return next->contents.size > most ? MP_EOVERFLOW : MP_OK;
}

/* -- Taking ---------------------------------------------------------------- */

/* It is this process's until it is acknowledged, at its place in the order. */
static void take_for_now(mpi_table *table, const next_item *next)
{
    mpi_slot_state state = next->contents.state;

    state.use = MPI_SLOT_TAKEN;
    state.owner = table->self;
    state.deliveries++;
    state.is_read = next->contents.parts.span != 0;
    next->slot->taker = table->tag;
    next->slot->taken_at = table->root->turn++;
    mpi_slot_write(next->slot, state);
    mpi_table_count(&table->thing->got_count);
    (void)mpi_taken_append(table, table->self, next->place);
}

/* The span is handed over last: of a dead owner it would be free while it is in
 * the queue. */
static void take_for_good(mpi_table *table, const next_item *next)
{
    const mpi_slot_parts *parts = &next->contents.parts;

    mpi_queue_count_taken(table->queue, 1);
    mpi_slot_write(next->slot, (mpi_slot_state){.use = MPI_SLOT_FREE});
    mpi_table_count(&table->thing->got_count);
    if (parts->span != 0)
        mpi_units_set(table->units, parts->span, MPI_UNIT_TAKEN);
    mpi_slot_free(table, next->place, parts);
}

static mp_error take_next(mpi_table *table, const next_item *next)
{
    mp_error err = mpi_order_remove(table, next->place);

    if (err != MP_OK)
        return err;
    if (table->queue->redelivers)
        take_for_now(table, next);
    else
        take_for_good(table, next);
    return MP_OK;
}

/* What does not depend on whether it is taken. */
static void describe(const next_item *next, mpi_taken *taken)
{
    const mpi_contents *contents = &next->contents;

    taken->item = (mpi_item){.kind = contents->state.kind,
                             .deliveries = contents->state.deliveries + 1,
                             .priority = next->slot->priority,
                             .data = contents->data,
                             .size = contents->size,
                             .span = contents->parts.span,
                             .slot = next->place};
}

static mp_error take_one(mpi_table *table, const next_item *next,
                         mpi_taken *taken)
{
    if (taken->item.span == 0) {
        if (taken->item.size > 0)
            memcpy(taken->room, taken->item.data, taken->item.size);
        taken->item.data = taken->room;
    }
    return take_next(table, next);
}

static mp_error take(mp_queue *queue, bool from_back, mpi_item_kind wanted,
                     size_t most, mpi_taken *taken)
{
    mpi_table table;
    next_item next;
    mp_error err;

    if (length(queue) == 0)
        return MP_EMPTY;
    err = mpi_table_begin(queue, &table);
    if (err != MP_OK)
        return err;
    err = look(&table, from_back, &next);
    if (err == MP_OK) {
        describe(&next, taken);
        err = check_wanted(&next, wanted, most);
    }
    if (err == MP_OK)
        err = take_one(&table, &next, taken);
    if (err == MP_OK)
        mpi_table_trim(&table);
    mpi_table_end(&table);
    return err;
}

/* The bytes of one, if there is room for them. MP_PENDING: it has a span. */
static mp_error take_bytes(mpi_table *table, unsigned char *room, size_t most,
                           mp_bytes *item)
{
    next_item next;
    mp_error err = look(table, false, &next);

    if (err == MP_OK)
        err = check_wanted(&next, MPI_ITEM_BYTES, most);
    if (err == MP_OK && next.contents.parts.span != 0)
        err = MP_PENDING;
    if (err != MP_OK)
        return err;
    *item = (mp_bytes){room, next.contents.size};
    if (item->size > 0)
        memcpy(room, next.contents.data, item->size);
    return take_next(table, &next);
}

static mp_error take_run(mpi_table *table, mp_bytes room, mp_bytes *items,
                         size_t count, size_t *done)
{
    unsigned char *at = (unsigned char *)(uintptr_t)room.data;
    mp_error err = MP_OK;

    while (*done < count && err == MP_OK) {
        err = take_bytes(table, at, room.size, &items[*done]);
        if (err == MP_OK) {
            at += items[*done].size;
            room.size -= items[*done].size;
            ++*done;
        }
    }
    return *done > 0 || err == MP_PENDING ? MP_OK : err;
}

static mp_error take_many(mp_queue *queue, void *data, size_t capacity,
                          mp_bytes *items, size_t count, size_t *done)
{
    mpi_table table;
    mp_error err;

    *done = 0;
    if (length(queue) == 0)
        return MP_EMPTY;
    err = mpi_table_begin(queue, &table);
    if (err != MP_OK)
        return err;
    err = take_run(&table, (mp_bytes){data, capacity}, items, count, done);
    if (err == MP_OK)
        mpi_table_trim(&table);
    mpi_table_end(&table);
    return err;
}

/* -- The type -------------------------------------------------------------- */

static mp_error check(mp_queue *queue)
{
    mpi_table table;
    mp_error err = mpi_table_begin(queue, &table);

    if (err == MP_OK)
        mpi_table_end(&table);
    return err;
}

/* The lock is held already. */
static mp_error sweep(mp_queue *queue)
{
    mpi_table table;
    mp_error err = open_table(queue, &table);

    if (err == MP_OK && table.root != NULL)
        mpi_pool_drop_spare(&table);
    return err;
}

const mpi_queue_type mpi_queue_table = {
    .put = put,
    .take = take,
    .put_many = put_many,
    .take_many = take_many,
    .acknowledge = mpi_table_acknowledge,
    .release = mpi_table_release,
    .bury = mpi_table_bury,
    .clear = mpi_table_clear,
    .check = check,
    .length = length,
    .sweep = sweep,
};
