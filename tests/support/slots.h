/* SPDX-License-Identifier: MIT */
/*
 * For tests of a queue's table from the inside: items that tell who they are, a
 * model of what is in the queue, and a process that is dead whenever somebody
 * looks, but whose number this one can use.
 */
#ifndef SUPPORT_SLOTS_H
#define SUPPORT_SLOTS_H

#include "expect.h"
#include "system.h"

#include "arena.h"
#include "pickle.h"
#include "queue_use.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SLOTS_MOST = 4096,     /* items in the model */
    SLOTS_LARGEST = 40000, /* bytes of an item */
    SLOTS_KEYS = 5,
    SLOTS_NO_PID = 0x7fff0000, /* no system gives that out */
};

/* What kind of queue. */
typedef struct slots_kind {
    const char *name;
    mp_queue_order order;
    bool redelivers;
    bool has_objects; /* for keys */
} slots_kind;

static const slots_kind slots_kinds[] = {
    {"LIFO", MP_QUEUE_LIFO, false, false},
    {"PRIORITY", MP_QUEUE_PRIORITY, false, false},
    {"PRIORITY with texts", MP_QUEUE_PRIORITY, false, true},
    {"DEQUE", MP_QUEUE_DEQUE, false, false},
    {"FIFO, redelivers", MP_QUEUE_FIFO, true, false},
    {"LIFO, redelivers", MP_QUEUE_LIFO, true, false},
    {"PRIORITY, redelivers", MP_QUEUE_PRIORITY, true, false},
    {"PRIORITY with texts, redelivers", MP_QUEUE_PRIORITY, true, true},
    {"DEQUE, redelivers", MP_QUEUE_DEQUE, true, false},
};
enum { SLOTS_KINDS = sizeof(slots_kinds) / sizeof(slots_kinds[0]) };

/* What is in it: queued, or taken and not acknowledged. */
typedef struct slots_item {
    uint32_t id;
    int64_t order;
    uint64_t taken; /* 0: it is queued; else the number of that take */
} slots_item;

typedef struct slots_model {
    slots_item items[SLOTS_MOST];
    size_t count;
    int64_t front;
    int64_t back;
    uint64_t takes;
} slots_model;

typedef struct slots {
    const slots_kind *kind;
    mp_queue *queue;
    uint32_t next_id;
    uint32_t chance;
    slots_model model;
    unsigned char bytes[SLOTS_LARGEST];
    mpi_taken taken;
} slots;

static inline uint32_t slots_chance(slots *it, uint32_t below)
{
    it->chance = it->chance * 1664525 + 1013904223;
    return (it->chance >> 8) % below;
}

/* -- The queue ------------------------------------------------------------- */

static inline void slots_begin(slots *it, const slots_kind *kind,
                               size_t max_bytes, size_t maxsize)
{
    const mp_queue_options options = {.order = kind->order,
                                      .redeliver = kind->redelivers,
                                      .max_bytes = max_bytes};

    memset(it, 0, sizeof(*it));
    it->kind = kind;
    it->next_id = 1;
    it->model.front = -1;
    ok(mp_queue_create(&it->queue, maxsize, &options));
    it->queue->type = &mpi_queue_table;
}

static inline void slots_end(slots *it)
{
    ok(mp_queue_close(it->queue));
    it->queue = NULL;
}

/* As another process, which has died by the time anybody asks; or as oneself
 * again. */
static inline void slots_act_as(slots *it, uint32_t owner)
{
    mpi_share *share = &it->queue->sync.share;

    if (owner != 1)
        mpi_atomic64_store(&share->arena->processes[owner - 1],
                           (uint64_t)(SLOTS_NO_PID + owner) << 32 | 1);
    mpi_atomic32_store(&share->self, owner);
}

/* Whoever had the lock was killed. */
static inline void slots_kill_holder(slots *it)
{
    mpi_atomic32_store(&it->queue->thing->put_lock.value, MPI_OWNER_DIED);
}

/* Units that are in the queue, or somebody's. */
static inline size_t slots_units(const slots *it, bool of_queue)
{
    const mpi_units *units = &it->queue->units;
    size_t sum = 0;

    for (uint32_t span = 1; span <= units->max_units; span++) {
        uint32_t count = mpi_units_count(units, span);
        uint64_t use = mpi_atomic64_load(&units->table[span]) & 7;

        if (count != 0 && (use == MPI_UNIT_QUEUED) == of_queue)
            sum += count;
    }
    return sum;
}

/* All that is derived, from the slots. */
static inline mp_error slots_repair(slots *it)
{
    mpi_atomic32_store(&it->queue->thing->must_sweep, 1);
    return mpi_queue_table.check(it->queue);
}

/* -- Items ----------------------------------------------------------------- */

/* Of all sizes; the id in the first bytes. */
static inline size_t slots_size(uint32_t id)
{
    static const size_t sizes[] = {4,   9,    16,   17,   40,   100,   300, 4,
                                   700, 2000, 4000, 8192, 8193, 20000, 60,  8};

    return sizes[id * UINT32_C(2654435761) >> 28];
}

static inline void slots_fill(uint32_t id, unsigned char *bytes)
{
    memset(bytes, (int)(id % 251), slots_size(id));
    memcpy(bytes, &id, sizeof(id));
}

static inline uint32_t slots_id(const void *data, size_t size)
{
    const unsigned char *bytes = data;
    uint32_t id = 0;

    cr_assert_geq(size, sizeof(id));
    memcpy(&id, data, sizeof(id));
    cr_assert_eq(size, slots_size(id), "item %u is torn", (unsigned)id);
    for (size_t i = sizeof(id); i < size; i++)
        cr_assert_eq(bytes[i], id % 251, "byte %zu of item %u", i,
                     (unsigned)id);
    return id;
}

static inline int64_t slots_key(uint32_t id)
{
    return (int64_t)(id * UINT32_C(2246822519) >> 16) % SLOTS_KEYS - 2;
}

/* Its units are reserved as queue.c does. */
static inline mp_error slots_reserve(slots *it, size_t size, mpi_span *span)
{
    uint32_t count = (uint32_t)((size + MPI_UNIT_SIZE - 1) / MPI_UNIT_SIZE);
    mpos_word *word = &it->queue->thing->put_lock;
    mp_error err;

    ok(mpi_queue_lock(it->queue, word));
    err = mpi_units_alloc(&it->queue->units, count, MPI_UNIT_RESERVED, span);
    mpi_queue_unlock(it->queue, word);
    return err;
}

static inline void slots_make_key(slots *it, uint32_t id, mpi_item *item,
                                  mpi_buffer *key)
{
    static const char *const texts[SLOTS_KEYS] = {"a", "b", "ba", "bb", "c"};
    mp_obj *text;

    item->priority = slots_key(id);
    if (!it->kind->has_objects)
        return;
    text = mp_obj_str(texts[slots_key(id) + 2]);
    ok(mpi_pickle_dump(key, text, NULL));
    mp_obj_unref(text);
    item->key_data = key->data;
    item->key_size = key->size;
}

/* -- The model ------------------------------------------------------------- */

static inline int slots_compare(const slots *it, const slots_item *one,
                                const slots_item *other)
{
    int64_t left = slots_key(one->id);
    int64_t right = slots_key(other->id);

    if (it->kind->order == MP_QUEUE_PRIORITY && left != right)
        return left < right ? -1 : 1;
    return one->order < other->order ? -1 : one->order > other->order;
}

/* NULL: nothing is queued. */
static inline slots_item *slots_first(slots *it, bool from_back)
{
    bool is_back = it->kind->order == MP_QUEUE_LIFO ||
                   (it->kind->order == MP_QUEUE_DEQUE && from_back);
    slots_item *best = NULL;

    for (size_t i = 0; i < it->model.count; i++) {
        slots_item *at = &it->model.items[i];

        if (at->taken == 0 &&
            (best == NULL || (slots_compare(it, at, best) < 0) != is_back))
            best = at;
    }
    return best;
}

static inline void slots_forget(slots *it, slots_item *item)
{
    *item = it->model.items[--it->model.count];
}

static inline slots_item *slots_oldest_taken(slots *it)
{
    slots_item *best = NULL;

    for (size_t i = 0; i < it->model.count; i++) {
        slots_item *at = &it->model.items[i];

        if (at->taken != 0 && (best == NULL || at->taken < best->taken))
            best = at;
    }
    return best;
}

static inline size_t slots_queued(const slots *it)
{
    size_t sum = 0;

    for (size_t i = 0; i < it->model.count; i++)
        sum += it->model.items[i].taken == 0;
    return sum;
}

/* -- What is done, to the queue and to the model --------------------------- */

static inline mp_error slots_put(slots *it, bool at_front)
{
    uint32_t id = it->next_id;
    size_t size = slots_size(id);
    bool is_front = at_front && it->kind->order == MP_QUEUE_DEQUE;
    mpi_item item = {.kind = MPI_ITEM_BYTES, .data = it->bytes, .size = size};
    mpi_buffer key = {0};
    mp_error err = MP_OK;

    cr_assert_lt(it->model.count, (size_t)SLOTS_MOST);
    slots_fill(id, it->bytes);
    slots_make_key(it, id, &item, &key);
    if (size > MPI_ITEM_INLINE) {
        err = slots_reserve(it, size, &item.span);
        if (err == MP_OK)
            memcpy(mpi_units_at(&it->queue->units, item.span), it->bytes, size);
    }
    if (err == MP_OK)
        err = mpi_queue_table.put(it->queue, &item, at_front);
    mpi_buffer_free(&key);
    if (err != MP_OK) {
        if (item.span != 0)
            mpi_units_free(&it->queue->units, item.span);
        return err;
    }
    it->next_id++;
    it->model.items[it->model.count++] = (slots_item){
        .id = id,
        .order = is_front ? it->model.front-- : it->model.back++,
    };
    return MP_OK;
}

/* The same one that the model gives, or MP_EMPTY. */
static inline mp_error slots_take(slots *it, bool from_back)
{
    slots_item *expected = slots_first(it, from_back);
    mp_error err = mpi_queue_table.take(it->queue, from_back, MPI_ITEM_BYTES,
                                        SIZE_MAX, &it->taken);
    uint32_t id;

    if (expected == NULL)
        cr_assert_eq(err, MP_EMPTY, "%s: %s", it->kind->name,
                     mp_error_name(err));
    if (err != MP_OK)
        return err;
    id = slots_id(it->taken.item.data, it->taken.item.size);
    cr_assert_eq(id, expected->id, "%s: item %u comes first, not %u",
                 it->kind->name, (unsigned)expected->id, (unsigned)id);
    if (it->kind->redelivers)
        expected->taken = ++it->model.takes;
    else
        slots_forget(it, expected);
    if (it->taken.item.span != 0)
        mpi_queue_release(it->queue, it->taken.item.span);
    return MP_OK;
}

static inline mp_error slots_acknowledge(slots *it)
{
    slots_item *oldest = slots_oldest_taken(it);
    mp_error err = mpi_queue_table.acknowledge(it->queue);

    if (oldest == NULL)
        cr_assert_eq(err, MP_ESTATE);
    if (err == MP_OK)
        slots_forget(it, oldest);
    return err;
}

/* All that was taken is queued again: its owner is dead. */
static inline mp_error slots_bury(slots *it)
{
    uint64_t count = 0;
    mp_error err = mpi_queue_table.bury(it->queue, &count);

    if (err != MP_OK || !it->kind->redelivers)
        return err;
    cr_assert_eq(count, it->model.count - slots_queued(it));
    for (size_t i = 0; i < it->model.count; i++)
        it->model.items[i].taken = 0;
    return MP_OK;
}

static inline void slots_expect_counts(const slots *it)
{
    const mpi_queue_thing *thing = it->queue->thing;

    cr_assert_eq(mpi_queue_table.length(it->queue), slots_queued(it));
    if (it->kind->redelivers)
        cr_assert_eq(mpi_atomic64_load(&thing->put_count) -
                         mpi_atomic64_load(&thing->done_count),
                     it->model.count);
}

#endif
