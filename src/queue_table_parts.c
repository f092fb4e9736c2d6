/* SPDX-License-Identifier: MIT */
/* Slots and what is in them, see queue_table.h: a few bytes in the slot itself,
 * a block, or a span. */
#include "queue_table.h"

#include "pickle.h"

#include <stdlib.h>
#include <string.h>

enum { SHORT_KEY = 256 };

/* -- The state ------------------------------------------------------------- */

/* deliveries, owner, flags, kind, use */
enum {
    KIND_SHIFT = 4,
    READ_SHIFT = 8,
    OWNER_SHIFT = 16,
    DELIVERIES_SHIFT = 32,
    NIBBLE = 15,
};

static uint64_t encode(mpi_slot_state state)
{
    return (uint64_t)state.use | (uint64_t)state.kind << KIND_SHIFT |
           (uint64_t)state.is_read << READ_SHIFT |
           (uint64_t)state.owner << OWNER_SHIFT |
           (uint64_t)state.deliveries << DELIVERIES_SHIFT;
}

bool mpi_slot_read(const mpi_table_slot *slot, mpi_slot_state *state)
{
    uint64_t word = mpi_atomic64_load(&slot->state);

    state->use = (mpi_slot_use)(word & NIBBLE);
    state->kind = (mpi_item_kind)(word >> KIND_SHIFT & NIBBLE);
    state->is_read = (word >> READ_SHIFT & 1) != 0;
    state->owner = (uint32_t)(word >> OWNER_SHIFT) & MPI_OWNER_MASK;
    state->deliveries = (uint32_t)(word >> DELIVERIES_SHIFT);
    if (state->use == MPI_SLOT_FREE)
        return true;
    return state->use <= MPI_SLOT_DONE && state->kind >= MPI_ITEM_BYTES &&
           state->kind <= MPI_ITEM_OBJECT;
}

void mpi_slot_write(mpi_table_slot *slot, mpi_slot_state state)
{
    mpi_atomic64_store(&slot->state, encode(state));
}

/* -- Reading --------------------------------------------------------------- */

/* NULL: there is no such block. */
static void *block_at(const mpi_table *table, const mpi_slot_parts *parts,
                      size_t *room)
{
    const mpi_pool_place place = {parts->block, parts->index};
    unsigned pool;

    if (parts->index == MPI_WHOLE_UNITS) {
        *room =
            (size_t)mpi_units_count(table->units, parts->block) * MPI_UNIT_SIZE;
        return *room == 0 ? NULL : mpi_units_at(table->units, parts->block);
    }
    pool = mpi_pool_of(table, parts->block);
    if (pool == MPI_POOL_SLOTS || pool == MPI_POOL_COUNT)
        return NULL;
    *room = mpi_pool_place_size(pool);
    return mpi_pool_at(table, pool, place);
}

static bool open_block(const mpi_table *table, mpi_contents *contents)
{
    const mpi_slot_parts *parts = &contents->parts;
    size_t size = parts->span == 0 ? contents->size : 0;
    const unsigned char *block;
    size_t room = 0;

    if (parts->block == 0)
        return parts->key_size == 0 && size == 0;
    block = block_at(table, parts, &room);
    if (block == NULL || parts->key_size > room ||
        size > room - parts->key_size)
        return false;
    contents->key_size = parts->key_size;
    contents->key = parts->key_size == 0 ? NULL : block;
    contents->data = block + parts->key_size;
    return true;
}

static bool open_parts(const mpi_table *table, mpi_contents *contents)
{
    const mpi_slot_parts *parts = &contents->parts;
    size_t room;

    if (!open_block(table, contents))
        return false;
    if (parts->span == 0)
        return contents->size <= MPI_ITEM_INLINE;
    room = (size_t)mpi_units_count(table->units, parts->span) * MPI_UNIT_SIZE;
    contents->data = mpi_units_at(table->units, parts->span);
    return room != 0 && contents->size <= room;
}

bool mpi_slot_open(const mpi_table *table, const mpi_table_slot *slot,
                   mpi_contents *contents)
{
    uint64_t size = (uint64_t)slot->size_high << 32 | slot->size_low;
    unsigned form = slot->form;

    *contents = (mpi_contents){.size = (size_t)size};
    if (!mpi_slot_read(slot, &contents->state) || contents->size != size)
        return false;
    if (form == MPI_FORM_HERE) {
        contents->data = slot->with.bytes;
        return size <= MPI_SLOT_ROOM;
    }
    contents->parts = slot->with.parts;
    return form == MPI_FORM_PARTS && open_parts(table, contents);
}

/* It may be changed while it is read: what is checked has to be a copy. */
static mp_error load_key(const mpi_contents *contents, mp_obj **key)
{
    unsigned char few[SHORT_KEY];
    size_t size = contents->key_size;
    unsigned char *copy = size <= sizeof(few) ? few : mpi_malloc(size);
    mp_error err;

    if (copy == NULL)
        return mpi_no_memory();
    memcpy(copy, contents->key, size);
    err = mpi_pickle_load(copy, size, NULL, key);
    if (copy != few)
        free(copy);
    return err;
}

mp_obj *mpi_slot_key(mpi_table *table, mpi_place place)
{
    const mpi_table_slot *slot = mpi_table_at(table, place);
    mpi_contents contents;
    mp_obj *key;
    mp_error err;

    if (place == table->new_place && table->new_key != NULL)
        return mp_obj_ref(table->new_key);
    if (slot == NULL || !mpi_slot_open(table, slot, &contents))
        return mpi_obj_failed(mpi_table_damaged(table));
    if (contents.key == NULL)
        return mp_obj_int(slot->priority);
    err = load_key(&contents, &key);
    if (err != MP_OK && err != MP_ENOMEM)
        err = mpi_table_damaged(table);
    if (err != MP_OK)
        return mpi_obj_failed(err);
    if (place == table->new_place)
        table->new_key = mp_obj_ref(key);
    return key;
}

/* -- Making and freeing ---------------------------------------------------- */

static mp_error take_block(mpi_table *table, size_t size, mpi_slot_parts *parts)
{
    unsigned pool = mpi_pool_for(size);
    mpi_pool_place place;
    mp_error err;

    if (pool == MPI_POOL_COUNT) {
        size_t count = (size - 1) / MPI_UNIT_SIZE + 1;

        if (count > table->units->max_units)
            return MP_FULL;
        parts->index = MPI_WHOLE_UNITS;
        return mpi_units_alloc(table->units, (uint32_t)count, MPI_UNIT_QUEUED,
                               &parts->block);
    }
    err = mpi_pool_alloc(table, pool, &place);
    if (err != MP_OK)
        return err;
    parts->block = place.unit;
    parts->index = place.index;
    return MP_OK;
}

static mp_error make_parts(mpi_table *table, const mpi_item *item,
                           mpi_slot_parts *parts)
{
    size_t key_size = item->key_data == NULL ? 0 : item->key_size;
    size_t size = item->span == 0 ? item->size : 0;
    unsigned char *block;
    size_t room;
    mp_error err;

    if (key_size > UINT32_MAX)
        return MP_FULL;
    parts->span = item->span;
    parts->key_size = (uint32_t)key_size;
    if (key_size + size == 0)
        return MP_OK;
    err = take_block(table, key_size + size, parts);
    if (err != MP_OK)
        return err;
    block = block_at(table, parts, &room);
    if (block == NULL)
        return mpi_table_damaged(table);
    if (key_size > 0)
        memcpy(block, item->key_data, key_size);
    if (size > 0)
        memcpy(block + key_size, item->data, size);
    return MP_OK;
}

static mp_error fill(mpi_table *table, const mpi_item *item,
                     mpi_table_slot *slot)
{
    mpi_slot_parts parts = {0};
    mp_error err;

    slot->priority = item->priority;
    slot->size_low = (uint32_t)item->size;
    slot->size_high = (uint16_t)((uint64_t)item->size >> 32);
    if (item->span == 0 && item->key_data == NULL &&
        item->size <= MPI_SLOT_ROOM) {
        slot->form = MPI_FORM_HERE;
        if (item->size > 0)
            memcpy(slot->with.bytes, item->data, item->size);
        return MP_OK;
    }
    err = make_parts(table, item, &parts);
    slot->form = MPI_FORM_PARTS;
    slot->with.parts = parts;
    return err;
}

mp_error mpi_slot_make(mpi_table *table, const mpi_item *item, mpi_place *place)
{
    mpi_pool_place at;
    mpi_table_slot *slot;
    mp_error err = mpi_pool_alloc(table, MPI_POOL_SLOTS, &at);

    if (err != MP_OK)
        return err;
    slot = mpi_pool_at(table, MPI_POOL_SLOTS, at);
    if (slot == NULL)
        return mpi_table_damaged(table);
    err = fill(table, item, slot);
    if (err != MP_OK)
        mpi_pool_free(table, MPI_POOL_SLOTS, at);
    else
        *place = at.unit << 8 | at.index;
    return err;
}

void mpi_slot_free(mpi_table *table, mpi_place place,
                   const mpi_slot_parts *parts)
{
    const mpi_pool_place block = {parts->block, parts->index};

    if (block.unit != 0 && block.index == MPI_WHOLE_UNITS)
        mpi_units_free(table->units, block.unit);
    else if (block.unit != 0)
        mpi_pool_free(table, mpi_pool_of(table, block.unit), block);
    mpi_pool_free(table, MPI_POOL_SLOTS, mpi_place_split(place));
}
