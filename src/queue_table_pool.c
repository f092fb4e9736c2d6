/* SPDX-License-Identifier: MIT */
/* Places of one size in units, see queue_table.h: the slots, and the blocks for
 * what does not fit in there. */
#include "queue_table.h"

#include <string.h>

enum { POOL_MAGIC = 0x6c6f6f00 }; /* and the number of the pool */

typedef struct pool_shape {
    uint16_t count; /* of places in a unit */
    uint16_t size;  /* of a place, in bytes */
} pool_shape;

/* The first is of slots. Of the blocks, at most a third is wasted. */
static const pool_shape shapes[MPI_POOL_COUNT] = {
    {MPI_SLOTS_PER_UNIT, 64},
    {508, 32},
    {254, 64},
    {169, 96},
    {127, 128},
    {84, 192},
    {63, 256},
    {42, 384},
    {31, 512},
    {21, 768},
    {15, 1072},
    {10, 1616},
    {7, 2320},
    {5, 3248},
    {4, 4064},
    {3, 5408},
    {2, 8128},
    {1, MPI_LARGEST_BLOCK},
};

unsigned mpi_pool_for(size_t size)
{
    unsigned pool = MPI_POOL_SLOTS + 1;

    while (pool < MPI_POOL_COUNT && shapes[pool].size < size)
        pool++;
    return pool;
}

uint32_t mpi_pool_place_size(unsigned pool)
{
    return shapes[pool].size;
}

/* -- Units ----------------------------------------------------------------- */

unsigned mpi_pool_of(const mpi_table *table, mpi_span unit)
{
    const mpi_pool_unit *it;
    uint32_t pool;

    if (mpi_units_count(table->units, unit) != 1)
        return MPI_POOL_COUNT;
    it = mpi_units_at(table->units, unit);
    pool = mpi_atomic32_load(&it->magic) ^ POOL_MAGIC;
    return pool < MPI_POOL_COUNT ? pool : MPI_POOL_COUNT;
}

mpi_pool_unit *mpi_pool_unit_at(const mpi_table *table, mpi_span unit,
                                unsigned pool)
{
    return unit != 0 && pool < MPI_POOL_COUNT &&
                   mpi_pool_of(table, unit) == pool
               ? mpi_units_at(table->units, unit)
               : NULL;
}

static void join_room(mpi_table *table, unsigned pool, mpi_span span,
                      mpi_pool_unit *unit)
{
    mpi_span *first = &table->root->with_room[pool];
    mpi_pool_unit *next = mpi_pool_unit_at(table, *first, pool);

    unit->before = 0;
    unit->after = next == NULL ? 0 : *first;
    if (next != NULL)
        next->before = span;
    *first = span;
}

static void leave_room(mpi_table *table, unsigned pool, mpi_pool_unit *unit)
{
    mpi_span before = unit->before;
    mpi_span after = unit->after;
    mpi_pool_unit *previous = mpi_pool_unit_at(table, before, pool);
    mpi_pool_unit *next = mpi_pool_unit_at(table, after, pool);

    if ((before != 0 && previous == NULL) || (after != 0 && next == NULL)) {
        (void)mpi_table_damaged(table);
        return;
    }
    if (previous != NULL)
        previous->after = after;
    else
        table->root->with_room[pool] = after;
    if (next != NULL)
        next->before = before;
}

/* One store, the last. */
static void join_chain(mpi_table *table, mpi_span span, mpi_pool_unit *unit)
{
    mpi_span first = mpi_atomic32_load(&table->root->slots);
    mpi_pool_unit *next = mpi_pool_unit_at(table, first, MPI_POOL_SLOTS);

    unit->chain_before = 0;
    mpi_atomic32_store(&unit->chain, first);
    if (next != NULL)
        next->chain_before = span;
    mpi_atomic32_store(&table->root->slots, span);
}

/* The same. False: it is not where it should be. */
static bool leave_chain(mpi_table *table, mpi_span span, mpi_pool_unit *unit)
{
    mpi_span before = unit->chain_before;
    mpi_span after = mpi_atomic32_load(&unit->chain);
    mpi_pool_unit *previous = mpi_pool_unit_at(table, before, MPI_POOL_SLOTS);
    mpi_pool_unit *next = mpi_pool_unit_at(table, after, MPI_POOL_SLOTS);
    mpi_atomic32 *link =
        previous != NULL ? &previous->chain : &table->root->slots;

    if ((before != 0 && previous == NULL) || (after != 0 && next == NULL) ||
        mpi_atomic32_load(link) != span)
        return false;
    mpi_atomic32_store(link, after);
    if (next != NULL)
        next->chain_before = before;
    return true;
}

static void reset(const mpi_table *table, mpi_pool_unit *unit)
{
    unit->used = 0;
    unit->round = table->root->round;
    memset(unit->bits, 0, sizeof(unit->bits));
}

static mp_error add_unit(mpi_table *table, unsigned pool, mpi_span *span)
{
    mpi_pool_unit *unit;
    mp_error err = mpi_units_alloc(table->units, 1, MPI_UNIT_QUEUED, span);

    if (err != MP_OK)
        return err;
    if (pool == MPI_POOL_SLOTS && *span > UINT32_MAX >> 8) {
        mpi_units_free(table->units, *span);
        return MP_FULL;
    }
    unit = mpi_units_at(table->units, *span);
    /* What was there before is no slot. */
    memset(unit, 0, pool == MPI_POOL_SLOTS ? MPI_UNIT_SIZE : MPI_POOL_HEAD);
    mpi_atomic32_store(&unit->magic, POOL_MAGIC | pool);
    reset(table, unit);
    join_room(table, pool, *span, unit);
    if (pool == MPI_POOL_SLOTS)
        join_chain(table, *span, unit);
    return MP_OK;
}

static void drop_unit(mpi_table *table, unsigned pool, mpi_span span,
                      mpi_pool_unit *unit)
{
    if (table->root->spare[pool] == span)
        table->root->spare[pool] = 0;
    leave_room(table, pool, unit);
    if (pool == MPI_POOL_SLOTS && !leave_chain(table, span, unit)) {
        (void)mpi_table_damaged(table);
        return;
    }
    mpi_units_free(table->units, span);
}

static void drop_empty_of(mpi_table *table, unsigned pool)
{
    mpi_span span = table->root->with_room[pool];

    for (uint32_t n = table->units->max_units; n > 0 && span != 0; n--) {
        mpi_pool_unit *unit = mpi_pool_unit_at(table, span, pool);
        mpi_span next;

        if (unit == NULL) {
            (void)mpi_table_damaged(table);
            return;
        }
        next = unit->after;
        if (unit->used == 0)
            drop_unit(table, pool, span, unit);
        span = next;
    }
}

void mpi_pool_drop_empty(mpi_table *table)
{
    for (unsigned pool = 0; pool < MPI_POOL_COUNT; pool++)
        drop_empty_of(table, pool);
}

void mpi_pool_drop_spare(mpi_table *table)
{
    for (unsigned pool = 0; pool < MPI_POOL_COUNT; pool++) {
        mpi_span span = table->root->spare[pool];
        mpi_pool_unit *unit = mpi_pool_unit_at(table, span, pool);

        if (unit != NULL && unit->used == 0)
            drop_unit(table, pool, span, unit);
        table->root->spare[pool] = 0;
    }
}

/* -- Places ---------------------------------------------------------------- */

static void *place_in(mpi_pool_unit *unit, unsigned pool, uint32_t index)
{
    return (unsigned char *)unit + MPI_POOL_HEAD +
           (size_t)index * shapes[pool].size;
}

void *mpi_pool_at(const mpi_table *table, unsigned pool, mpi_pool_place place)
{
    mpi_pool_unit *unit = mpi_pool_unit_at(table, place.unit, pool);

    return unit == NULL || place.index >= shapes[pool].count
               ? NULL
               : place_in(unit, pool, place.index);
}

/* Of a word that is not all ones. */
static unsigned lowest_zero(uint64_t word)
{
    uint64_t lowest = ~word & (word + 1);
    unsigned at = 0;

    for (unsigned step = 32; step > 0; step /= 2)
        if (lowest >> step != 0) {
            lowest >>= step;
            at += step;
        }
    return at;
}

/* False: it is full, which it said it was not. */
static bool take_bit(mpi_pool_unit *unit, unsigned pool, uint32_t *index)
{
    for (uint32_t i = 0; i < MPI_POOL_WORDS; i++) {
        uint64_t word = unit->bits[i];
        uint32_t bit;

        if (word == UINT64_MAX)
            continue;
        bit = lowest_zero(word);
        *index = i * 64 + bit;
        unit->bits[i] = word | UINT64_C(1) << bit;
        return *index < shapes[pool].count;
    }
    return false;
}

mp_error mpi_pool_alloc(mpi_table *table, unsigned pool, mpi_pool_place *place)
{
    mpi_pool_unit *unit;
    mp_error err = MP_OK;

    place->unit = table->root->with_room[pool];
    if (place->unit == 0)
        err = add_unit(table, pool, &place->unit);
    if (err != MP_OK)
        return err;
    unit = mpi_pool_unit_at(table, place->unit, pool);
    if (unit == NULL || !take_bit(unit, pool, &place->index))
        return mpi_table_damaged(table);
    if (table->root->spare[pool] == place->unit)
        table->root->spare[pool] = 0;
    if (++unit->used >= shapes[pool].count)
        leave_room(table, pool, unit);
    return MP_OK;
}

void mpi_pool_free(mpi_table *table, unsigned pool, mpi_pool_place place)
{
    mpi_pool_unit *unit = mpi_pool_unit_at(table, place.unit, pool);
    uint64_t bit = UINT64_C(1) << place.index % 64;
    uint64_t *word;

    if (unit == NULL || place.index >= shapes[pool].count) {
        (void)mpi_table_damaged(table);
        return;
    }
    word = &unit->bits[place.index / 64];
    if ((*word & bit) == 0 || unit->used == 0) {
        (void)mpi_table_damaged(table);
        return;
    }
    *word &= ~bit;
    if (unit->used-- >= shapes[pool].count)
        join_room(table, pool, place.unit, unit);
    if (unit->used != 0)
        return;
    /* The last one with room stays, for who puts and takes by turns. */
    if (unit->before != 0 || unit->after != 0)
        drop_unit(table, pool, place.unit, unit);
    else
        table->root->spare[pool] = place.unit;
}

/* -- Repair ---------------------------------------------------------------- */

bool mpi_pool_begin_unit(mpi_table *table, unsigned pool, mpi_span span,
                         mpi_pool_unit *unit)
{
    if (!mpi_units_sweep_mark(table->units, span))
        return false;
    reset(table, unit);
    join_room(table, pool, span, unit);
    return true;
}

bool mpi_pool_claim(mpi_table *table, unsigned pool, mpi_pool_place place)
{
    mpi_pool_unit *unit = mpi_pool_unit_at(table, place.unit, pool);
    uint64_t bit = UINT64_C(1) << place.index % 64;
    uint64_t *word;

    if (unit == NULL || place.index >= shapes[pool].count)
        return false;
    if (unit->round != table->root->round &&
        !mpi_pool_begin_unit(table, pool, place.unit, unit))
        return false;
    word = &unit->bits[place.index / 64];
    if ((*word & bit) != 0)
        return false;
    *word |= bit;
    if (++unit->used == shapes[pool].count)
        leave_room(table, pool, unit);
    return true;
}
