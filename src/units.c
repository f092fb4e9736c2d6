/* SPDX-License-Identifier: MIT */
/*
 * Units: which of a queue's memory is used for what.
 *
 * An entry of the table has a use in its lowest bits, then the owner's number
 * (of RESERVED and TAKEN), and in the upper half how many units there are.
 *
 * Others write to the table, too, and may be killed on the way, or lie. A span
 * that is being made has its entry stored last, so that half a span is none.
 * Each number is read once and checked: what lies beyond the memory that there
 * is for certain is never touched.
 *
 * top, hint, used and reserved are no more than help: top is how many units
 * have ever been reserved, hint is where to look for free ones first, used and
 * reserved are about how many are not free, and have memory. A unit whose
 * memory went back to the system is RETURNED, which is FREE, but for that it
 * has to be reserved again.
 */
#include "units.h"

#include "internal.h"

#include <stdlib.h>
#include <string.h>

enum {
    HEAD_OFFSET = MPI_UNITS_PROCESSES * 8,
    TABLE_OFFSET = 32768,
    FIRST_TABLE_SIZE = 4096,
    MOST_UNITS = 1 << 26, /* a terabyte */
    LEAST_UNITS = 8,
    /* Of an entry. */
    USE_MASK = 7,
    RETURNED = 4, /* one more mpi_unit_use, of single units */
    OWNER_SHIFT = 8,
    COUNT_SHIFT = 32,
    /* Growing: a quarter more, but at least and at most so many. */
    LEAST_MORE = 4,
    MOST_MORE = 1024,
    /* Trimming. */
    KEPT = 128,           /* units at least that stay though they are free */
    WORTH_TRIMMING = 400, /* units that have memory */
    LEAST_RETURNED = 4,   /* in a row */
    MOST_RETAKEN = 64,    /* are reserved with the one that is wanted */
};

static const uint64_t default_size = UINT64_C(2) << 30;
static const uint64_t default_size_narrow = UINT64_C(128) << 20;

/* In the data. */
typedef struct units_head {
    mpi_atomic64 hint; /* a unit, and in the upper half how often it was set by
                          who allocates */
    mpi_atomic32 top;
    mpi_atomic32 used;
    mpi_atomic32 reserved;
} units_head;

_Static_assert(HEAD_OFFSET + sizeof(units_head) <= TABLE_OFFSET, "it fits");

/* -- Places ---------------------------------------------------------------- */

static uint64_t units_offset(uint64_t max_units)
{
    uint64_t end = TABLE_OFFSET + (max_units + 1) * sizeof(mpi_atomic64);

    return (end + MPOS_MAP_UNIT - 1) / MPOS_MAP_UNIT * MPOS_MAP_UNIT;
}

/* Of the data, when all are in use. */
static uint64_t full_size_of(uint64_t max_units)
{
    return units_offset(max_units) + max_units * MPI_UNIT_SIZE;
}

static bool is_possible(uint64_t max_units)
{
    return max_units >= LEAST_UNITS && max_units <= MOST_UNITS &&
           full_size_of(max_units) <= PTRDIFF_MAX;
}

/* In the share's data. */
static size_t offset_of(const mpi_units *units, uint32_t unit)
{
    return units->base + (size_t)units_offset(units->max_units) +
           (size_t)(unit - 1) * MPI_UNIT_SIZE;
}

static units_head *head_of(const mpi_units *units)
{
    return (units_head *)(void *)((unsigned char *)units->data + HEAD_OFFSET);
}

/* Whether the memory goes so far. Asking costs a little. */
static bool is_there(mpi_units *units, uint32_t last)
{
    size_t begin = offset_of(units, 1);
    size_t size;
    size_t count;

    if (last <= mpi_atomic32_load(&units->proved))
        return true;
    size = mpi_share_data_size(units->share);
    count = size < begin ? 0 : (size - begin) / MPI_UNIT_SIZE;
    if (count > units->max_units)
        count = units->max_units;
    mpi_atomic32_store(&units->proved, (uint32_t)count);
    return last <= count;
}

static uint32_t top_of(mpi_units *units)
{
    uint32_t top = mpi_atomic32_load(&head_of(units)->top);

    return is_there(units, top) ? top : mpi_atomic32_load(&units->proved);
}

/* -- Entries --------------------------------------------------------------- */

static uint32_t use_in(uint64_t entry)
{
    return (uint32_t)(entry & USE_MASK);
}

static uint32_t owner_in(uint64_t entry)
{
    return (uint32_t)(entry >> OWNER_SHIFT) & MPI_OWNER_MASK;
}

static bool is_free(uint64_t entry)
{
    return use_in(entry) == MPI_UNIT_FREE || use_in(entry) == RETURNED;
}

static uint64_t make_entry(const mpi_units *units, uint32_t count,
                           mpi_unit_use use)
{
    uint64_t owner = use == MPI_UNIT_QUEUED ? 0 : mpi_share_self(units->share);

    return (uint64_t)count << COUNT_SHIFT | owner << OWNER_SHIFT |
           (uint64_t)use;
}

/* How many units it stands for, of `left`; 0: it makes no sense. */
static uint32_t count_in(uint64_t entry, uint32_t left)
{
    uint64_t count = entry >> COUNT_SHIFT;

    if (is_free(entry))
        return 1;
    return use_in(entry) > RETURNED || count > left ? 0 : (uint32_t)count;
}

static uint64_t entry_at(const mpi_units *units, uint32_t unit)
{
    return mpi_atomic64_load(&units->table[unit]);
}

/* Free: false. Another may have been faster. */
static bool set_free(mpi_units *units, uint32_t unit, uint64_t entry)
{
    if (!mpi_atomic64_change(&units->table[unit], entry, 0))
        return false;
    mpi_atomic32_add(&head_of(units)->used,
                     0 - (uint32_t)(entry >> COUNT_SHIFT));
    return true;
}

/* From unit to the next one that may begin something. */
static uint32_t step(uint64_t entry, uint32_t unit, uint32_t top)
{
    uint32_t count = count_in(entry, top - unit + 1);

    return count == 0 ? 1 : count;
}

static mp_error fail_damaged(void)
{
    return mpi_fail(MP_EPROTO, "the queue is damaged");
}

/* -- Opening --------------------------------------------------------------- */

mp_error mpi_units_plan(size_t max_bytes, size_t *initial_size,
                        size_t *full_size, uint32_t *max_units)
{
    uint64_t bytes = max_bytes;
    uint64_t count;

    if (bytes == 0)
        bytes = sizeof(void *) > 4 ? default_size : default_size_narrow;
    count = bytes / MPI_UNIT_SIZE + (bytes % MPI_UNIT_SIZE != 0);
    if (count < LEAST_UNITS)
        count = LEAST_UNITS;
    if (!is_possible(count))
        return mpi_fail(MP_EOVERFLOW, "%zu bytes are more than a queue can be",
                        max_bytes);
    *initial_size = TABLE_OFFSET + FIRST_TABLE_SIZE;
    *full_size = (size_t)full_size_of(count);
    *max_units = (uint32_t)count;
    return MP_OK;
}

/* Others may be at work: only what is wrong at any moment is damage. */
static mp_error check_table(mpi_units *units)
{
    uint32_t top = top_of(units);

    for (uint32_t unit = 1; unit <= top;) {
        uint64_t entry = entry_at(units, unit);
        uint32_t count = count_in(entry, units->max_units - unit + 1);

        if (count == 0)
            return fail_damaged();
        unit += count;
    }
    return MP_OK;
}

mp_error mpi_units_reserve_first(mpi_share *share, size_t base)
{
    return mpi_share_reserve(share, base + HEAD_OFFSET,
                             base + TABLE_OFFSET + FIRST_TABLE_SIZE);
}

mp_error mpi_units_open_in(mpi_units *units, mpi_share *share,
                           uint64_t max_units, size_t base, void *mapped)
{
    size_t least = base + TABLE_OFFSET + FIRST_TABLE_SIZE;
    mp_error err;

    *units = (mpi_units){.share = share, .base = base};
    if (!is_possible(max_units) || mpi_share_data_size(share) < least)
        return fail_damaged();
    units->max_units = (uint32_t)max_units;
    mpi_atomic32_store(&units->trim_below, UINT32_MAX);
    units->data = (unsigned char *)mapped + base;
    units->table =
        (mpi_atomic64 *)(void *)((unsigned char *)units->data + TABLE_OFFSET);
    units->memory =
        (unsigned char *)mapped + offset_of(units, 1) - MPI_UNIT_SIZE;
    err = check_table(units);
    if (err != MP_OK)
        mpi_units_close(units);
    return err;
}

mp_error mpi_units_open(mpi_units *units, mpi_share *share, uint64_t max_units)
{
    void *mapped = NULL;
    size_t size;
    mp_error err;

    *units = (mpi_units){.share = share};
    if (!is_possible(max_units) ||
        mpi_share_data_size(share) < TABLE_OFFSET + FIRST_TABLE_SIZE)
        return fail_damaged();
    size = (size_t)full_size_of(max_units);
    err = mpi_share_map_data(share, size, &mapped);
    if (err != MP_OK)
        return err;
    err = mpi_units_open_in(units, share, max_units, 0, mapped);
    if (err != MP_OK) {
        mpos_memory_unmap(mapped, size);
        return err;
    }
    units->mapped_size = size;
    return MP_OK;
}

void mpi_units_close(mpi_units *units)
{
    if (units->mapped_size != 0)
        mpos_memory_unmap(units->data, units->mapped_size);
    free(units->marks);
    *units = (mpi_units){.share = NULL};
}

/* -- What dead owners had -------------------------------------------------- */

typedef enum look {
    LOOK_LIGHTLY, /* what somebody has just found out will do */
    LOOK_CLOSELY,
} look;

static bool is_alive(const mpi_units *units, uint32_t owner, look how)
{
    if (how == LOOK_LIGHTLY)
        return mpi_share_owner_is_alive(units->share, owner);
    return mpi_share_look_at(units->share, owner);
}

/* A number that is another process's by now is found when that is dead, too. */
static bool free_of_dead(mpi_units *units, look how)
{
    uint32_t top = top_of(units);
    uint32_t alive = mpi_share_self(units->share);
    bool has_freed = false;

    for (uint32_t unit = 1; unit <= top;) {
        uint64_t entry = entry_at(units, unit);
        uint32_t owner = owner_in(entry);

        if ((use_in(entry) == MPI_UNIT_RESERVED ||
             use_in(entry) == MPI_UNIT_TAKEN) &&
            owner != alive) {
            if (owner != MPI_NOBODY && is_alive(units, owner, how))
                alive = owner;
            else
                has_freed |= set_free(units, unit, entry);
        }
        unit += step(entry, unit, top);
    }
    return has_freed;
}

/* -- Allocating ------------------------------------------------------------ */

/* With put_lock held. */
static void set_hint(mpi_units *units, uint32_t unit)
{
    mpi_atomic64 *hint = &head_of(units)->hint;
    uint64_t before;
    uint64_t times;

    do {
        before = mpi_atomic64_load(hint);
        times = (before >> 32) + 1;
    } while (!mpi_atomic64_change(hint, before, times << 32 | unit));
}

/* count free units in a row. 0: there are none from there on, but *tail of them
 * at the end. */
static mpi_span find_free(mpi_units *units, uint32_t from, uint32_t count,
                          uint32_t *tail)
{
    uint32_t top = top_of(units);
    uint32_t run = 0;

    for (uint32_t unit = from; unit <= top;) {
        uint64_t entry = entry_at(units, unit);

        run = is_free(entry) ? run + 1 : 0;
        if (run == count)
            return unit - count + 1;
        unit += step(entry, unit, top);
    }
    *tail = run;
    return 0;
}

static mp_error reserve(mpi_units *units, size_t from, size_t to)
{
    return mpi_share_reserve(units->share, from, to);
}

/* First the memory, and only then whoever looks may use it. */
static mp_error grow_by(mpi_units *units, uint32_t top, uint32_t more)
{
    units_head *head = head_of(units);
    size_t table = units->base + TABLE_OFFSET;
    size_t from = table + (size_t)(top + 1) * sizeof(mpi_atomic64);
    size_t to = from + (size_t)more * sizeof(mpi_atomic64);
    mp_error err = MP_OK;

    if (to > table + FIRST_TABLE_SIZE)
        err = reserve(units, from, to);
    if (err == MP_OK)
        err = reserve(units, offset_of(units, top + 1),
                      offset_of(units, top + 1 + more));
    if (err != MP_OK)
        return err;
    for (uint32_t unit = top + 1; unit <= top + more; unit++)
        if (entry_at(units, unit) != 0)
            mpi_atomic64_store(&units->table[unit], 0);
    mpi_atomic32_store(&head->top, top + more);
    mpi_atomic32_add(&head->reserved, more);
    return MP_OK;
}

/* By at least so many; more at once, if the system has them. */
static mp_error grow(mpi_units *units, uint32_t least)
{
    uint32_t top = top_of(units);
    uint32_t left = units->max_units - top;
    uint32_t more = top / 4;
    mp_error err;

    if (least > left)
        return MP_FULL;
    more = more < LEAST_MORE ? LEAST_MORE : more;
    more = more > MOST_MORE ? MOST_MORE : more;
    more = more > left ? left : more;
    more = more < least ? least : more;
    err = grow_by(units, top, more);
    if (err != MP_OK && more > least)
        err = grow_by(units, top, least);
    return err;
}

/* What went back to the system is reserved again: the units of the span, and
 * some behind it, since they come back one after the other. */
static mp_error make_usable(mpi_units *units, mpi_span span, uint32_t count)
{
    uint32_t end = span + count;
    uint32_t last = top_of(units);
    uint32_t returned = 0;
    mp_error err;

    for (uint32_t unit = span; unit < end; unit++)
        returned += entry_at(units, unit) != 0;
    if (returned == 0)
        return MP_OK;
    if (last >= end + MOST_RETAKEN)
        last = end + MOST_RETAKEN - 1;
    while (end <= last && entry_at(units, end) == RETURNED) {
        end++;
        returned++;
    }
    err = reserve(units, offset_of(units, span), offset_of(units, end));
    if (err != MP_OK)
        return err;
    for (uint32_t unit = span; unit < end; unit++)
        mpi_atomic64_store(&units->table[unit], 0);
    mpi_atomic32_add(&head_of(units)->reserved, returned);
    return MP_OK;
}

static mp_error find_or_grow(mpi_units *units, uint32_t count, mpi_span *span)
{
    uint32_t hint = (uint32_t)mpi_atomic64_load(&head_of(units)->hint);
    uint32_t tail = 0;
    mp_error err;

    *span = find_free(units, hint == 0 ? 1 : hint, count, &tail);
    if (*span == 0 && hint > 1)
        *span = find_free(units, 1, count, &tail);
    if (*span == 0 && free_of_dead(units, LOOK_LIGHTLY))
        *span = find_free(units, 1, count, &tail);
    if (*span != 0)
        return MP_OK;
    err = grow(units, count - tail);
    if (err != MP_OK && free_of_dead(units, LOOK_CLOSELY))
        err = MP_OK;
    if (err == MP_OK)
        *span = find_free(units, 1, count, &tail);
    return err == MP_OK && *span == 0 ? MP_FULL : err;
}

mp_error mpi_units_alloc(mpi_units *units, uint32_t count, mpi_unit_use use,
                         mpi_span *span)
{
    mpi_span found = 0;
    mp_error err;

    if (count == 0 || count > units->max_units)
        return MP_FULL;
    err = find_or_grow(units, count, &found);
    if (err == MP_OK)
        err = make_usable(units, found, count);
    if (err != MP_OK)
        return err;
    set_hint(units, found + count);
    mpi_atomic64_store(&units->table[found], make_entry(units, count, use));
    mpi_atomic32_add(&head_of(units)->used, count);
    *span = found;
    return MP_OK;
}

mp_error mpi_units_alloc_low(mpi_units *units, mpi_unit_use use, mpi_span *span)
{
    set_hint(units, 1);
    return mpi_units_alloc(units, 1, use, span);
}

bool mpi_units_has_more(const mpi_units *units, uint32_t count)
{
    uint32_t top = mpi_atomic32_load(&head_of(units)->top);

    return top <= units->max_units && units->max_units - top >= count;
}

/* -- Using ----------------------------------------------------------------- */

uint32_t mpi_units_count(const mpi_units *units, mpi_span span)
{
    mpi_units *self = (mpi_units *)units; /* its proof may grow */
    uint64_t entry;
    uint32_t count;

    if (span == 0 || !is_there(self, span))
        return 0;
    entry = entry_at(units, span);
    if (is_free(entry))
        return 0;
    count = count_in(entry, units->max_units - span + 1);
    return count != 0 && is_there(self, span + count - 1) ? count : 0;
}

void mpi_units_set(mpi_units *units, mpi_span span, mpi_unit_use use)
{
    uint32_t count = mpi_units_count(units, span);

    if (count != 0)
        mpi_atomic64_store(&units->table[span], make_entry(units, count, use));
}

/*
 * A hint must be where something begins: in the middle of a span, entries mean
 * nothing. So it is given only if nobody has allocated since before these were
 * free. Otherwise it is lost, and they are found when all is searched.
 */
void mpi_units_free(mpi_units *units, mpi_span span)
{
    mpi_atomic64 *hint = &head_of(units)->hint;
    uint64_t before = mpi_atomic64_load(hint);

    if (mpi_units_count(units, span) == 0 ||
        !set_free(units, span, entry_at(units, span)))
        return;
    if (span < (uint32_t)before)
        (void)mpi_atomic64_change(hint, before,
                                  before - (uint32_t)before + span);
}

void *mpi_units_at(const mpi_units *units, mpi_span span)
{
    return units->memory + (size_t)span * MPI_UNIT_SIZE;
}

/* -- Sweeping -------------------------------------------------------------- */

mp_error mpi_units_sweep_begin(mpi_units *units)
{
    uint32_t top = top_of(units);

    units->marks = mpi_calloc(1, top / 8 + 1);
    if (units->marks == NULL)
        return mpi_no_memory();
    units->marks_end = top;
    return MP_OK;
}

static bool is_marked(const mpi_units *units, mpi_span span)
{
    return (units->marks[span / 8] >> span % 8 & 1) != 0;
}

bool mpi_units_sweep_mark(mpi_units *units, mpi_span span)
{
    if (span > units->marks_end || mpi_units_count(units, span) == 0 ||
        is_marked(units, span))
        return false;
    units->marks[span / 8] |= (unsigned char)(1U << span % 8);
    return true;
}

void mpi_units_sweep_end(mpi_units *units)
{
    uint32_t top = units->marks_end;

    for (uint32_t unit = 1; unit <= top;) {
        uint64_t entry = entry_at(units, unit);

        if (use_in(entry) == MPI_UNIT_QUEUED && !is_marked(units, unit))
            (void)set_free(units, unit, entry);
        unit += step(entry, unit, top);
    }
    set_hint(units, 1);
    mpi_units_sweep_cancel(units);
}

void mpi_units_sweep_cancel(mpi_units *units)
{
    free(units->marks);
    units->marks = NULL;
    units->marks_end = 0;
}

/* -- Trimming -------------------------------------------------------------- */

bool mpi_units_is_trimmable(const mpi_units *units)
{
    const units_head *head = head_of(units);
    uint32_t reserved = mpi_atomic32_load(&head->reserved);
    uint32_t used;

    if (reserved < WORTH_TRIMMING)
        return false;
    used = mpi_atomic32_load(&head->used);
    return used < reserved / 2 && used <= mpi_atomic32_load(&units->trim_below);
}

/* They are not used again before they are reserved, whoever is killed here. */
static void give_back(mpi_units *units, uint32_t unit, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        mpi_atomic64_store(&units->table[unit + i], RETURNED);
    mpi_share_return(units->share, offset_of(units, unit),
                     offset_of(units, unit + count));
}

/* Free units in a row, which have memory. */
static uint32_t run_at(const mpi_units *units, uint32_t unit, uint32_t top)
{
    uint32_t count = 0;

    while (unit + count <= top && entry_at(units, unit + count) == 0)
        count++;
    return count;
}

/* Of a run, so much keeps its memory; the rest goes back if it is worth it. */
static uint32_t trim_run(mpi_units *units, uint32_t unit, uint32_t run,
                         uint32_t keep)
{
    uint32_t kept = run < keep ? run : keep;

    if (run - kept < LEAST_RETURNED)
        return run;
    give_back(units, unit + kept, run - kept);
    return kept;
}

/*
 * What stays is a quarter of what is used, so that memory goes back in steps of
 * a half, whatever the depth: a queue that grows and shrinks by less costs
 * nothing. If it is too scattered to give any back, it is looked at again when
 * less is used.
 */
void mpi_units_trim(mpi_units *units)
{
    units_head *head = head_of(units);
    uint32_t top = top_of(units);
    uint32_t keep = mpi_atomic32_load(&head->used) / 4;
    uint32_t before = mpi_atomic32_load(&head->reserved);
    uint32_t used = 0;
    uint32_t kept = 0;

    keep = keep < KEPT ? KEPT : keep;
    for (uint32_t unit = 1; unit <= top;) {
        uint64_t entry = entry_at(units, unit);
        uint32_t run = run_at(units, unit, top);
        uint32_t length = run != 0 ? run : step(entry, unit, top);

        if (run != 0)
            kept += trim_run(units, unit, run, kept < keep ? keep - kept : 0);
        else if (use_in(entry) != RETURNED)
            used += length;
        unit += length;
    }
    mpi_atomic32_store(&head->used, used);
    mpi_atomic32_store(&head->reserved, used + kept);
    mpi_atomic32_store(&units->trim_below,
                       used + kept < before ? UINT32_MAX : used - used / 4);
}
