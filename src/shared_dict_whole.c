/* SPDX-License-Identifier: MIT */
/* Shared dict: what is about all of its entries. They are copied with the lock
 * held, as bytes; sorted and decoded afterwards. */
#include "shared_dict.h"

#include "obj.h"

#include <stdlib.h>
#include <string.h>

/* -- Length, update, clear ------------------------------------------------- */

/* While nobody has the lock, the number is that of the entries. Whoever was
 * killed with it may have counted one too many, or too few. */
size_t mp_shared_dict_length(mp_shared_dict *dict)
{
    size_t count;

    if (mpi_sync_is_ready(dict, MPI_SHARED_DICT) &&
        dict->shared.table != NULL) {
        const mpi_shared_thing *thing = dict->shared.sync.share.memory;

        if (mpi_word_owner(&thing->lock) == MPI_NOBODY)
            return mpi_dict_table_count(&dict->shared);
    }
    if (mpi_shared_dict_lock(dict) != MP_OK)
        return 0;
    count = mpi_dict_table_count(&dict->shared);
    mpi_shared_dict_unlock(dict);
    return count;
}

static mp_error update(mp_shared_dict *dict, const mp_obj *items)
{
    const mp_obj *key, *value;
    mp_iter it = {0};
    mp_error err = mpi_sync_check(&mpi_shared_dict_kind.sync, dict);

    if (err == MP_OK && mp_obj_type(items) != MP_TYPE_DICT)
        err = mpi_expected("dict", items);
    while (err == MP_OK && mp_obj_next(items, &it, &key, &value))
        err = mpi_shared_dict_set(dict, key, value);
    return err;
}

mp_error mp_shared_dict_update(mp_shared_dict *dict, mp_obj *items)
{
    mp_error err = update(dict, items);

    mp_obj_unref(items);
    return err;
}

mp_error mp_shared_dict_clear(mp_shared_dict *dict)
{
    mp_error err = mpi_shared_dict_lock(dict);

    if (err != MP_OK)
        return err;
    mpi_dict_table_clear(&dict->shared);
    mpi_shared_dict_unlock(dict);
    return MP_OK;
}

/* -- Copies of everything -------------------------------------------------- */

/* What a dict had at one moment: entries whose bytes are in `bytes`. */
typedef struct haul {
    struct hauled {
        uint64_t sequence;
        size_t offset;
        size_t value_size;
        mpi_dict_key key; /* its data is not set */
    } * items;
    size_t count;
    size_t room;
    mpi_buffer bytes;
} haul;

static void free_haul(haul *all)
{
    free(all->items);
    mpi_buffer_free(&all->bytes);
}

/* Blobs that are all of the store, all of them: it is damaged. */
static mp_error haul_in(const mpi_shared *shared, const mpi_dict_entry *entry,
                        haul *all)
{
    struct hauled *item = &all->items[all->count];

    if (all->count == all->room || all->bytes.size > shared->store.size)
        return mpi_fail(MP_EPROTO, "the shared dict is damaged");
    *item = (struct hauled){entry->sequence, all->bytes.size, entry->value.size,
                            entry->key};
    mpi_buffer_append(&all->bytes, entry->key.data, entry->key.size);
    mpi_buffer_append(&all->bytes, entry->value.data, entry->value.size);
    all->count++;
    return all->bytes.has_failed ? mpi_no_memory() : MP_OK;
}

static mp_error haul_all(const mpi_shared *shared, bool has_values, haul *all)
{
    mpi_dict_place place = {.slot = SIZE_MAX};
    mp_error err;

    all->room = mpi_dict_table_count(shared);
    all->items = mpi_malloc(all->room * sizeof(*all->items));
    /* All there is may be a key without a byte. */
    if (all->items == NULL || !mpi_buffer_reserve(&all->bytes, 1))
        return mpi_no_memory();
    while ((err = mpi_dict_table_next(shared, &place)) == MP_OK) {
        if (!has_values)
            place.entry.value.size = 0;
        err = haul_in(shared, &place.entry, all);
        if (err != MP_OK)
            return err;
    }
    return err == MP_ENOTFOUND ? MP_OK : err;
}

static int compare(const void *left, const void *right)
{
    const struct hauled *first = left, *second = right;

    return (first->sequence > second->sequence) -
           (first->sequence < second->sequence);
}

/* Into the order of insertion. */
static void sort_haul(haul *all)
{
    qsort(all->items, all->count, sizeof(*all->items), compare);
}

static mp_error haul_sorted(mp_shared_dict *dict, bool has_values, haul *all)
{
    mp_error err = mpi_shared_dict_lock(dict);

    if (err != MP_OK)
        return err;
    err = haul_all(&dict->shared, has_values, all);
    mpi_shared_dict_unlock(dict);
    if (err == MP_OK)
        sort_haul(all);
    return err;
}

static mp_error unpack(const haul *all, const struct hauled *item,
                       mp_obj *container)
{
    const unsigned char *bytes = all->bytes.data + item->offset;
    mpi_dict_key key = item->key;
    mp_obj *name, *value;

    key.data = bytes;
    name = mpi_shared_dict_key(&key);
    if (mpi_is_error(name))
        return mp_obj_error(name);
    if (mpi_heap_type(container) == MP_TYPE_LIST)
        return mpi_extend(container, &name, 1);
    value = mpi_shared_dict_value(bytes + key.size, item->value_size);
    if (!mpi_is_error(value))
        return mpi_dict_set(container, name, value);
    mp_obj_unref(name);
    return mp_obj_error(value);
}

static mp_obj *unpack_all(const haul *all, mp_type type)
{
    size_t stride = type == MP_TYPE_DICT ? 2 : 1;
    mp_obj *container = mpi_container_new(type, all->count * stride);
    mp_error err = mp_obj_error(container);

    for (size_t i = 0; i < all->count && err == MP_OK; i++)
        err = unpack(all, &all->items[i], container);
    if (err == MP_OK)
        return container;
    mp_obj_unref(container);
    return mpi_obj_failed(err);
}

static mp_obj *make_whole(mp_shared_dict *dict, mp_type type)
{
    haul all = {0};
    mp_error err = haul_sorted(dict, type == MP_TYPE_DICT, &all);
    mp_obj *obj = err == MP_OK ? unpack_all(&all, type) : mpi_obj_failed(err);

    free_haul(&all);
    return obj;
}

mp_obj *mp_shared_dict_snapshot(mp_shared_dict *dict)
{
    return make_whole(dict, MP_TYPE_DICT);
}

mp_obj *mp_shared_dict_keys(mp_shared_dict *dict)
{
    return make_whole(dict, MP_TYPE_LIST);
}

/* -- Verification ---------------------------------------------------------- */

static mp_error find_fault(const char *what)
{
    return mpi_fail(MP_EPROTO, "the shared dict is damaged: %s", what);
}

/* With the lock. */
static mp_error verify_places(const mpi_shared *shared)
{
    mpi_dict_place place = {.slot = SIZE_MAX}, found;
    mp_error err;

    while ((err = mpi_dict_table_next(shared, &place)) == MP_OK) {
        err = mpi_dict_table_find(shared, &place.entry.key, &found);
        if (err != MP_OK)
            return err;
        if (found.word != place.word || found.slot != place.slot)
            return find_fault("an entry is not found by its key");
    }
    return err == MP_ENOTFOUND ? MP_OK : err;
}

static mp_error verify_numbers(const mpi_shared *shared)
{
    mpi_dict_numbers there = mpi_dict_table_numbers(shared);
    mpi_dict_numbers found = mpi_dict_table_recount(shared);

    if (there.count != found.count)
        return find_fault("entries are counted wrong");
    if (there.count > shared->capacity)
        return find_fault("there are more entries than there may be");
    if (there.used != found.used)
        return find_fault("used slots are counted wrong");
    if (there.sequence < found.sequence)
        return find_fault("an entry is from the future");
    return MP_OK;
}

static mp_error verify_table(mp_shared_dict *dict, haul *all)
{
    mp_error err = mpi_dict_table_check(&dict->shared);

    if (err == MP_OK)
        err = verify_numbers(&dict->shared);
    if (err == MP_OK)
        err = verify_places(&dict->shared);
    if (err == MP_OK)
        err = mpi_store_verify(&dict->shared.store);
    return err == MP_OK ? haul_all(&dict->shared, true, all) : err;
}

/* No two entries came at the same time, or are in the same blob. */
static mp_error verify_order(const haul *all)
{
    for (size_t i = 1; i < all->count; i++)
        if (all->items[i].sequence == all->items[i - 1].sequence)
            return find_fault("two entries have the same place in the order");
    return MP_OK;
}

/* What another program's function is, this one need not know. */
static mp_error verify_contents(const haul *all)
{
    for (size_t i = 0; i < all->count; i++) {
        const struct hauled *item = &all->items[i];
        const unsigned char *bytes = all->bytes.data + item->offset;
        mp_obj *value =
            mpi_shared_dict_value(bytes + item->key.size, item->value_size);
        mpi_dict_key key = item->key;
        mp_obj *name;
        mp_error err = mp_obj_error(value);

        mp_obj_unref(value);
        key.data = bytes;
        name = mpi_shared_dict_key(&key);
        if (err != MP_EPROTO && err != MP_ENOMEM)
            err = mp_obj_error(name);
        mp_obj_unref(name);
        if (err != MP_OK)
            return err;
    }
    return MP_OK;
}

mp_error mp_shared_dict_verify(mp_shared_dict *dict)
{
    haul all = {0};
    mp_error err = mpi_shared_dict_lock(dict);

    if (err != MP_OK)
        return err;
    err = verify_table(dict, &all);
    mpi_shared_dict_unlock(dict);
    if (err == MP_OK) {
        sort_haul(&all);
        err = verify_order(&all);
    }
    if (err == MP_OK)
        err = verify_contents(&all);
    free_haul(&all);
    return err;
}
