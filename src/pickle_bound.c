/* SPDX-License-Identifier: MIT */
/*
 * How large a pickle will be at most, so that it can be written right where it
 * is to be. What pickle_dump.c writes is followed opcode by opcode: what is
 * wrong here makes that fail, but write nowhere else.
 *
 * Only frames are estimated: each costs 9 bytes, and there are no more of them
 * than 64 KiB of what they hold, large strings, and one.
 */
#include "obj.h"
#include "pickle.h"

#include <stdlib.h>

enum {
    FRAME_HEADER = 9,
    FRAME_TARGET = 64 * 1024,
    BATCH_SIZE = 1000,
    AROUND = 3,    /* PROTO and its number, STOP */
    REFERENCE = 5, /* LONG_BINGET */
    MEMOIZED = 1,
    FIRST_SEEN = 64,
};

/* What was met, of what has more than one owner: the next time it is but a
 * reference. Open addressing. */
typedef struct bounder {
    size_t size;
    const mp_obj **seen;
    size_t seen_count;
    size_t seen_mask;
} bounder;

/* -- What was seen before -------------------------------------------------- */

static const mp_obj **place_of(const bounder *it, const mp_obj *obj)
{
    uint64_t mixed = ((uintptr_t)obj >> 4) * UINT64_C(0x9E3779B97F4A7C15);
    size_t at = (size_t)(mixed >> 32) & it->seen_mask;

    while (it->seen[at] != NULL && it->seen[at] != obj)
        at = (at + 1) & it->seen_mask;
    return &it->seen[at];
}

static mp_error grow(bounder *it)
{
    size_t size = it->seen == NULL ? FIRST_SEEN : (it->seen_mask + 1) * 2;
    bounder grown = *it;

    grown.seen = mpi_calloc(size, sizeof(const mp_obj *));
    if (grown.seen == NULL)
        return mpi_no_memory();
    grown.seen_mask = size - 1;
    for (size_t i = 0; it->seen != NULL && i <= it->seen_mask; i++)
        if (it->seen[i] != NULL)
            *place_of(&grown, it->seen[i]) = it->seen[i];
    free(it->seen);
    *it = grown;
    return MP_OK;
}

/* Counts it if it is a reference. */
static mp_error look_up(bounder *it, const mp_obj *obj, bool *was_seen)
{
    const mp_obj **place;
    mp_error err;

    if (it->seen == NULL || it->seen_count >= (it->seen_mask + 1) / 2) {
        err = grow(it);
        if (err != MP_OK)
            return err;
    }
    place = place_of(it, obj);
    *was_seen = *place != NULL;
    if (*was_seen) {
        it->size += REFERENCE;
        return MP_OK;
    }
    *place = obj;
    it->seen_count++;
    return MP_OK;
}

/* -- Values ---------------------------------------------------------------- */

static size_t size_of_long(int64_t value)
{
    size_t size = 5;

    while (size < 8 && value >> (8 * size - 1) != 0 &&
           value >> (8 * size - 1) != -1)
        size++;
    return 2 + size;
}

/* BININT1 2, BININT2 3, BININT 5 bytes: without branches, since no processor
 * foresees what numbers there are. */
static size_t size_of_int(int64_t value)
{
    uint64_t bits = (uint64_t)value;

    if (value < INT32_MIN || value > INT32_MAX)
        return size_of_long(value);
    return 2 + (size_t)(bits > UINT8_MAX) + 2 * (size_t)(bits > UINT16_MAX);
}

static size_t size_of_string(const mpi_string *string)
{
    size_t head = 2;

    if (string->size > UINT32_MAX)
        head = 9;
    else if (string->size > UINT8_MAX)
        head = 5;
    /* A large one ends a frame. */
    if (string->size >= FRAME_TARGET)
        head += FRAME_HEADER;
    return head + string->size + MEMOIZED;
}

static mp_error add(bounder *it, const mp_obj *obj);

static mp_error add_items(bounder *it, const mpi_container *container)
{
    mp_obj *const *items = container->items;
    size_t size = 0;
    mp_error err = MP_OK;

    for (size_t i = 0; i < container->size && err == MP_OK; i++) {
        if (mpi_is_inline_int(items[i]))
            size += size_of_int(mpi_inline_int(items[i]));
        else
            err = add(it, items[i]);
    }
    it->size += size;
    return err;
}

/* Batches are between MARK and another opcode; CPython writes an empty one at
 * the end of some. An entry alone has one opcode, but in a set. */
static size_t size_of_entries(size_t entries, bool is_set)
{
    size_t size = 1 + MEMOIZED;

    if (entries == 0)
        return size;
    if (entries == 1 && !is_set)
        return size + 1;
    return size + 2 * (entries / BATCH_SIZE + 1);
}

static mp_error add_container(bounder *it, const mpi_container *container)
{
    switch (mpi_heap_type(&container->head)) {
    case MP_TYPE_TUPLE:
        it->size += container->size > 3 ? 2 : 1;
        if (container->size > 0)
            it->size += MEMOIZED;
        break;
    case MP_TYPE_DICT:
        it->size += size_of_entries(container->size / 2, false);
        break;
    case MP_TYPE_SET:
        it->size += size_of_entries(container->size, true);
        break;
    default:
        it->size += size_of_entries(container->size, false);
        break;
    }
    return add_items(it, container);
}

static mp_error add_heap(bounder *it, const mp_obj *obj)
{
    switch (mpi_heap_type(obj)) {
    case MP_TYPE_INT:
        it->size += size_of_int(((const mpi_int *)(const void *)obj)->value);
        return MP_OK;
    case MP_TYPE_FLOAT:
        it->size += 9;
        return MP_OK;
    case MP_TYPE_STR:
    case MP_TYPE_BYTES:
        it->size += size_of_string(mpi_as_string(obj));
        return MP_OK;
    case MP_TYPE_LIST:
    case MP_TYPE_TUPLE:
    case MP_TYPE_DICT:
    case MP_TYPE_SET:
        return add_container(it, mpi_as_container(obj));
    default:
        return MP_PENDING;
    }
}

static bool is_memoized(const mp_obj *obj)
{
    mp_type type = mpi_heap_type(obj);

    return type != MP_TYPE_INT && type != MP_TYPE_FLOAT;
}

static mp_error add(bounder *it, const mp_obj *obj)
{
    bool was_seen = false;
    mp_error err = MP_OK;

    if (mpi_is_inline_int(obj)) {
        it->size += size_of_int(mpi_inline_int(obj));
        return MP_OK;
    }
    if (mpi_is_error(obj))
        return MP_PENDING;
    if (!mpi_is_heap(obj)) {
        it->size += 1;
        return MP_OK;
    }
    if (!mpi_has_one_owner(obj) && is_memoized(obj))
        err = look_up(it, obj, &was_seen);
    if (err != MP_OK || was_seen)
        return err;
    return add_heap(it, obj);
}

mp_error mpi_pickle_bound(const mp_obj *obj, size_t *most)
{
    bounder it = {.size = AROUND};
    mp_error err = add(&it, obj);

    free(it.seen);
    if (err == MP_OK)
        *most = it.size + FRAME_HEADER * (it.size / FRAME_TARGET + 2);
    return err;
}
