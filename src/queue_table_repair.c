/* SPDX-License-Identifier: MIT */
/*
 * What is derived from a queue's slots, made again: see queue_table.h. Whoever
 * is killed while it does that leaves the next owner of the lock the same work;
 * of what is true nothing is written here.
 */
#include "queue_table.h"

#include <string.h>

/* What was found so far. */
typedef struct mending {
    mpi_sorter queued;
    mpi_sorter taken;
    uint64_t queued_count;
    uint64_t taken_count; /* and not acknowledged */
    int64_t lowest;       /* order */
    int64_t highest;
} mending;

/* -- The root -------------------------------------------------------------- */

static mpi_span root_of(const mpi_table *table)
{
    uint64_t at = table->thing->put_cursor[0];

    return at <= UINT32_MAX ? (mpi_span)at : 0;
}

static mpi_table_root *root_at(const mpi_table *table, mpi_span at)
{
    mpi_table_root *root;

    if (mpi_units_count(table->units, at) != 1)
        return NULL;
    root = mpi_units_at(table->units, at);
    return root->magic == MPI_ROOT_MAGIC ? root : NULL;
}

mp_error mpi_table_make_root(mpi_table *table)
{
    mpi_span at;
    mpi_table_root *root;
    mp_error err = mpi_units_alloc(table->units, 1, MPI_UNIT_QUEUED, &at);

    if (err != MP_OK)
        return err;
    root = mpi_units_at(table->units, at);
    memset(root, 0, sizeof(*root));
    root->magic = MPI_ROOT_MAGIC;
    root->front_order = -1;
    mpi_fence();
    table->thing->put_cursor[0] = at;
    table->root = root;
    return MP_OK;
}

/* -- Slots ----------------------------------------------------------------- */

static bool claim_parts(mpi_table *table, const mpi_slot_parts *parts)
{
    const mpi_pool_place block = {parts->block, parts->index};

    if (parts->span != 0 && !mpi_units_sweep_mark(table->units, parts->span))
        return false;
    if (block.unit == 0)
        return true;
    if (block.index == MPI_WHOLE_UNITS)
        return mpi_units_sweep_mark(table->units, block.unit);
    return mpi_pool_claim(table, mpi_pool_of(table, block.unit), block);
}

static mp_error sort_in(mpi_table *table, mending *it, mpi_place place,
                        mpi_slot_state state)
{
    if (state.use == MPI_SLOT_QUEUED) {
        it->queued_count++;
        return mpi_sorter_add(
            table, &it->queued,
            mpi_table_has_heap(table) ? MPI_BY_KEY : MPI_BY_ORDER, place);
    }
    if (!table->queue->redelivers || state.owner == MPI_NOBODY ||
        state.owner > MPI_UNITS_PROCESSES)
        return mpi_table_damaged(table);
    it->taken_count += state.use == MPI_SLOT_TAKEN;
    return mpi_sorter_add(table, &it->taken, MPI_BY_TAKEN, place);
}

static mp_error see_slot(mpi_table *table, mending *it, mpi_place place)
{
    const mpi_table_slot *slot = mpi_table_at(table, place);
    mpi_contents contents;
    mpi_slot_state state;

    if (slot == NULL || !mpi_slot_read(slot, &state))
        return mpi_table_damaged(table);
    if (state.use == MPI_SLOT_FREE)
        return MP_OK;
    if (!mpi_slot_open(table, slot, &contents) ||
        !mpi_pool_claim(table, MPI_POOL_SLOTS, mpi_place_split(place)) ||
        !claim_parts(table, &contents.parts))
        return mpi_table_damaged(table);
    if (slot->order < it->lowest)
        it->lowest = slot->order;
    if (slot->order > it->highest)
        it->highest = slot->order;
    return sort_in(table, it, place, state);
}

static mp_error see_unit(mpi_table *table, mending *it, mpi_span span)
{
    mp_error err = MP_OK;

    for (uint32_t i = 0; i < MPI_SLOTS_PER_UNIT && err == MP_OK; i++)
        err = see_slot(table, it, span << 8 | i);
    return err;
}

static mp_error see_chain(mpi_table *table, mending *it)
{
    mpi_span before = 0;
    mpi_span span = mpi_atomic32_load(&table->root->slots);

    while (span != 0) {
        mpi_pool_unit *unit = mpi_pool_unit_at(table, span, MPI_POOL_SLOTS);
        mp_error err;

        if (unit == NULL || span > UINT32_MAX >> 8 ||
            !mpi_pool_begin_unit(table, MPI_POOL_SLOTS, span, unit))
            return mpi_table_damaged(table); /* or seen before */
        unit->chain_before = before;
        err = see_unit(table, it, span);
        if (err != MP_OK)
            return err;
        before = span;
        span = mpi_atomic32_load(&unit->chain);
    }
    return MP_OK;
}

/* -- What follows from them ------------------------------------------------ */

bool mpi_taken_append(mpi_table *table, uint32_t owner, mpi_place place)
{
    mpi_taken_list list = mpi_taken_get(table, owner);
    mpi_table_slot *last = mpi_table_at(table, list.last);
    mpi_table_slot *slot = mpi_table_at(table, place);

    if (slot == NULL || (list.first != 0 && last == NULL)) {
        (void)mpi_table_damaged(table);
        return false;
    }
    slot->after = 0;
    if (list.first == 0)
        list.first = place;
    else
        last->after = place;
    list.last = place;
    mpi_taken_set(table, owner, list);
    if (table->root->top_owner < owner)
        table->root->top_owner = owner;
    return true;
}

static mp_error hand_out(mpi_table *table, mpi_place first)
{
    uint64_t limit = table->units->max_units;

    limit *= MPI_SLOTS_PER_UNIT;
    memset(table->taken, 0, MPI_UNITS_PROCESSES * sizeof(*table->taken));
    table->root->top_owner = 0;
    for (mpi_place place = first; place != 0; limit--) {
        const mpi_table_slot *slot = mpi_table_at(table, place);
        mpi_place next = slot == NULL ? 0 : slot->after;
        mpi_slot_state state;

        if (limit == 0 || slot == NULL || !mpi_slot_read(slot, &state) ||
            state.owner == MPI_NOBODY || state.owner > MPI_UNITS_PROCESSES ||
            !mpi_taken_append(table, state.owner, place))
            return mpi_table_damaged(table);
        place = next;
    }
    return MP_OK;
}

static mp_error make_index(mpi_table *table, mending *it)
{
    mpi_sort_by by = mpi_table_has_heap(table) ? MPI_BY_KEY : MPI_BY_ORDER;
    mpi_place first;
    mp_error err = mpi_sorter_end(table, &it->queued, by, &first);

    if (err == MP_OK)
        err = mpi_order_set(table, first);
    if (err != MP_OK || !table->queue->redelivers)
        return err;
    err = mpi_sorter_end(table, &it->taken, MPI_BY_TAKEN, &first);
    return err == MP_OK ? hand_out(table, first) : err;
}

/*
 * One of the stores of whoever died may have been missing: put_count after an
 * item was put, got_count after one was taken, done_count after one was
 * acknowledged.
 */
static void count_again(mpi_queue_thing *thing, bool redelivers,
                        const mending *it)
{
    mpi_atomic64 *less = redelivers ? &thing->done_count : &thing->got_count;
    uint64_t there = it->queued_count + it->taken_count;
    uint64_t put = mpi_atomic64_load(&thing->put_count);
    int64_t more = (int64_t)(there - (put - mpi_atomic64_load(less)));

    if (more > 0)
        put += (uint64_t)more;
    mpi_atomic64_store(&thing->put_count, put);
    if (redelivers)
        mpi_atomic64_store(&thing->done_count, put - there);
    mpi_atomic64_store(&thing->got_count, put - it->queued_count);
}

static mp_error mend(mpi_table *table, mending *it)
{
    mpi_table_root *root = table->root;
    mp_error err;

    if (!mpi_units_sweep_mark(table->units, root_of(table)))
        return mpi_table_damaged(table);
    memset(root->with_room, 0, sizeof(root->with_room));
    memset(root->spare, 0, sizeof(root->spare));
    root->round++;
    it->lowest = 0;
    it->highest = -1;
    err = see_chain(table, it);
    if (err == MP_OK)
        err = make_index(table, it);
    root->front_order = it->lowest - 1;
    root->back_order = it->highest + 1;
    return err;
}

/* Nothing is freed unless all of it makes sense. */
static mp_error repair(mpi_table *table)
{
    mending it = {.queued_count = 0};
    mp_error err = mpi_units_sweep_begin(table->units);

    if (err != MP_OK)
        return err;
    if (table->root != NULL)
        err = mend(table, &it);
    if (err != MP_OK) {
        mpi_units_sweep_cancel(table->units);
        return err;
    }
    mpi_units_sweep_end(table->units);
    count_again(table->thing, table->queue->redelivers, &it);
    if (table->root != NULL)
        mpi_pool_drop_empty(table);
    mpi_atomic32_store(&table->thing->must_sweep, 0);
    return MP_OK;
}

mp_error mpi_table_find_root(mpi_table *table)
{
    table->root = root_at(table, root_of(table));
    if (table->thing->put_cursor[0] != 0 && table->root == NULL)
        return mpi_table_damaged(table);
    if (mpi_atomic32_load(&table->thing->must_sweep) == 0)
        return MP_OK;
    return repair(table);
}
