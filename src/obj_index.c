/* SPDX-License-Identifier: MIT */
/*
 * The index of a dict or set: from a key to its place among the entries,
 * which themselves stay in the order of insertion. Nothing is ever removed.
 */
#include "obj.h"

#include <stdlib.h>

/* Up to here an entry is found by looking at each. */
enum { FEW_ENTRIES = 8, FIRST_SLOTS = 32 };

static mp_error find_among_few(const mpi_container *container, size_t stride,
                               const mp_obj *key, size_t *position)
{
    mp_type type = mp_obj_type(key);

    if (type == MP_TYPE_TUPLE || type == MP_TYPE_LIST || type == MP_TYPE_DICT ||
        type == MP_TYPE_SET || type == MP_TYPE_ERROR) {
        uint32_t hash;
        mp_error err = mpi_obj_hash(key, &hash);

        if (err != MP_OK)
            return err;
    }
    for (size_t i = 0; i < container->size; i += stride) {
        if (mpi_obj_same(container->items[i], key)) {
            *position = i;
            return MP_OK;
        }
    }
    *position = SIZE_MAX;
    return MP_OK;
}

mp_error mpi_index_find(const mpi_container *container, size_t stride,
                        const mp_obj *key, uint32_t *hash, size_t *position)
{
    const mpi_slot *slots = container->slots;
    size_t at;
    mp_error err;

    *hash = 0;
    if (slots == NULL)
        return find_among_few(container, stride, key, position);
    err = mpi_obj_hash(key, hash);
    if (err != MP_OK)
        return err;
    *position = SIZE_MAX;
    at = *hash & container->with.mask;
    for (; slots[at].position != MPI_NO_SLOT;
         at = (at + 1) & container->with.mask) {
        if (slots[at].hash == *hash &&
            mpi_obj_same(container->items[slots[at].position], key)) {
            *position = slots[at].position;
            return MP_OK;
        }
    }
    return MP_OK;
}

static void enter(mpi_slot *slots, size_t mask, mpi_slot entry)
{
    size_t at = entry.hash & mask;

    while (slots[at].position != MPI_NO_SLOT)
        at = (at + 1) & mask;
    slots[at] = entry;
}

mp_error mpi_index_reserve(mpi_container *container, size_t stride)
{
    size_t entries = container->size / stride;
    size_t size =
        container->slots == NULL ? FIRST_SLOTS : (container->with.mask + 1) * 2;
    mpi_slot *slots;

    if (container->size >= MPI_NO_SLOT - stride)
        return mpi_fail(MP_EOVERFLOW, "too many entries");
    if (container->slots == NULL ? entries < FEW_ENTRIES
                                 : entries < (container->with.mask + 1) / 3 * 2)
        return MP_OK;
    slots = mpi_malloc(size * sizeof(*slots));
    if (slots == NULL)
        return mpi_no_memory();
    for (size_t i = 0; i < size; i++)
        slots[i].position = MPI_NO_SLOT;
    for (size_t i = 0; i < container->size; i += stride) {
        mpi_slot entry = {0, (uint32_t)i};

        /* Every key was found hashable when it came. */
        (void)mpi_obj_hash(container->items[i], &entry.hash);
        enter(slots, size - 1, entry);
    }
    free(container->slots);
    container->slots = slots;
    container->with.mask = size - 1;
    return MP_OK;
}

void mpi_index_enter(mpi_container *container, uint32_t hash, size_t position)
{
    mpi_slot entry = {hash, (uint32_t)position};

    if (container->slots == NULL)
        return;
    if (hash == 0)
        (void)mpi_obj_hash(container->items[position], &entry.hash);
    enter(container->slots, container->with.mask, entry);
}
