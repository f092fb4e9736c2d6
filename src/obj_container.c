/* SPDX-License-Identifier: MIT */
/*
 * list, tuple, dict and set: making them, building them up, looking inside.
 * How keys are found is in obj_index.c.
 */
#include "obj.h"

#include <stdlib.h>
#include <string.h>

enum { LEAST_CAPACITY = 4 };

static void unref_all(mp_obj *const *items, size_t count)
{
    for (size_t i = 0; i < count; i++)
        mp_obj_unref(items[i]);
}

mp_obj *mpi_container_new(mp_type type, size_t room)
{
    mpi_container *container = NULL;

    if (room <= (PTRDIFF_MAX - sizeof(*container)) / sizeof(mp_obj *))
        container = mpi_mutable(
            mpi_obj_new(type, sizeof(*container) + room * sizeof(mp_obj *)));
    if (container == NULL)
        return mpi_obj_failed(mpi_no_memory());
    container->head.depth = 1;
    container->size = 0;
    container->capacity = room;
    container->items = mpi_inline_items(container);
    container->with.mask = 0;
    container->slots = NULL;
    return &container->head;
}

static mp_error reserve(mpi_container *container, size_t count)
{
    size_t capacity = container->size + count;
    bool is_inline = container->items == mpi_inline_items(container);
    mp_obj **items;

    if (capacity <= container->capacity)
        return MP_OK;
    if (capacity < container->size * 2)
        capacity = container->size * 2;
    if (capacity < LEAST_CAPACITY)
        capacity = LEAST_CAPACITY;
    if (capacity > PTRDIFF_MAX / sizeof(*items))
        return mpi_no_memory();
    items = mpi_realloc(is_inline ? NULL : container->items,
                        capacity * sizeof(*items));
    if (items == NULL)
        return mpi_no_memory();
    if (is_inline && container->size != 0)
        memcpy(items, container->items, container->size * sizeof(*items));
    container->items = items;
    container->capacity = capacity;
    return MP_OK;
}

/* The container gets as deep as its items make it. */
static mp_error deepen(mp_obj *obj, mp_obj *const *items, size_t count)
{
    uint32_t depth = obj->depth;

    for (size_t i = 0; i < count; i++) {
        if (mpi_depth(items[i]) >= depth)
            depth = mpi_depth(items[i]) + 1;
    }
    if (depth > MPI_MAX_DEPTH)
        return mpi_fail(MP_EOVERFLOW, "nested deeper than %d levels",
                        (int)MPI_MAX_DEPTH);
    obj->depth = (uint16_t)depth;
    return MP_OK;
}

mp_error mpi_extend(mp_obj *list, mp_obj *const *items, size_t count)
{
    mpi_container *container = mpi_mutable(list);
    mp_error err = deepen(list, items, count);

    if (err == MP_OK)
        err = reserve(container, count);
    if (err != MP_OK) {
        unref_all(items, count);
        return err;
    }
    if (count != 0)
        memcpy(container->items + container->size, items,
               count * sizeof(*items));
    container->size += count;
    return MP_OK;
}

/* A new entry: its key is not there yet. Consumes nothing on failure. */
static mp_error add_entry(mpi_container *container, uint32_t hash,
                          mp_obj *const *entry, size_t stride)
{
    size_t position = container->size;
    mp_error err = reserve(container, stride);

    if (err == MP_OK)
        err = mpi_index_reserve(container, stride);
    if (err != MP_OK)
        return err;
    memcpy(container->items + position, entry, stride * sizeof(*entry));
    container->size += stride;
    mpi_index_enter(container, hash, position);
    return MP_OK;
}

mp_error mpi_dict_set(mp_obj *dict, mp_obj *key, mp_obj *value)
{
    mpi_container *container = mpi_mutable(dict);
    mp_obj *const entry[] = {key, value};
    size_t position = SIZE_MAX;
    uint32_t hash;
    mp_error err = mpi_index_find(container, 2, key, &hash, &position);

    if (err == MP_OK)
        err = deepen(dict, entry, 2);
    if (err == MP_OK && position == SIZE_MAX)
        err = add_entry(container, hash, entry, 2);
    if (err != MP_OK) {
        unref_all(entry, 2);
        return err;
    }
    if (position == SIZE_MAX)
        return MP_OK;
    /* As in Python, the key that was there first stays. */
    mp_obj_unref(key);
    mp_obj_unref(container->items[position + 1]);
    container->items[position + 1] = value;
    return MP_OK;
}

mp_error mpi_set_add(mp_obj *set, mp_obj *item)
{
    mpi_container *container = mpi_mutable(set);
    size_t position = SIZE_MAX;
    uint32_t hash;
    mp_error err = mpi_index_find(container, 1, item, &hash, &position);

    if (err == MP_OK)
        err = deepen(set, &item, 1);
    if (err == MP_OK && position == SIZE_MAX)
        err = add_entry(container, hash, &item, 1);
    if (err != MP_OK || position != SIZE_MAX)
        mp_obj_unref(item);
    return err;
}

/* -- Making ---------------------------------------------------------------- */

/* An empty container; or an error object, and the items are gone. */
static mp_obj *make(mp_type type, mp_obj *const *items, size_t count)
{
    mp_obj *obj = NULL;

    for (size_t i = 0; i < count && obj == NULL; i++) {
        if (items[i] == NULL)
            (void)mpi_fail(MP_EINVAL, "item %zu is NULL", i);
        if (mpi_is_error(items[i]))
            obj = mpi_obj_failed(mp_obj_error(items[i]));
    }
    if (obj == NULL)
        obj = mpi_container_new(type, count);
    if (mpi_is_error(obj))
        unref_all(items, count);
    return obj;
}

static mp_obj *make_sequence(mp_type type, mp_obj *const *items, size_t count)
{
    mp_obj *obj = make(type, items, count);
    mp_error err;

    if (mpi_is_error(obj))
        return obj;
    err = mpi_extend(obj, items, count);
    if (err == MP_OK)
        return obj;
    mp_obj_unref(obj);
    return mpi_obj_failed(err);
}

mp_obj *mp_obj_list(mp_obj *const *items, size_t count)
{
    return make_sequence(MP_TYPE_LIST, items, count);
}

mp_obj *mp_obj_tuple(mp_obj *const *items, size_t count)
{
    return make_sequence(MP_TYPE_TUPLE, items, count);
}

/* Fills a new dict or set by entries of stride items; consumes all. */
static mp_obj *fill_table(mp_obj *obj, size_t stride, mp_obj *const *items,
                          size_t count)
{
    mp_error err = MP_OK;
    size_t i;

    for (i = 0; i < count && err == MP_OK; i += stride)
        err = stride == 2 ? mpi_dict_set(obj, items[i], items[i + 1])
                          : mpi_set_add(obj, items[i]);
    if (err == MP_OK)
        return obj;
    unref_all(items + i, count - i);
    mp_obj_unref(obj);
    return mpi_obj_failed(err);
}

mp_obj *mp_obj_set(mp_obj *const *items, size_t count)
{
    mp_obj *obj = make(MP_TYPE_SET, items, count);

    return mpi_is_error(obj) ? obj : fill_table(obj, 1, items, count);
}

mp_obj *mp_obj_dict(mp_obj *const *items, size_t count)
{
    mp_obj *obj;

    if (count % 2 != 0) {
        unref_all(items, count);
        return mpi_obj_failed(
            mpi_fail(MP_EINVAL, "a dict's last key has no value"));
    }
    obj = make(MP_TYPE_DICT, items, count);
    return mpi_is_error(obj) ? obj : fill_table(obj, 2, items, count);
}

/* -- Building up ----------------------------------------------------------- */

static mp_error check_item(const mp_obj *item)
{
    return mpi_is_error(item) ? mpi_expected("an item", item) : MP_OK;
}

static mp_error check_target(const mp_obj *obj, mp_type type, const char *name)
{
    if (mp_obj_type(obj) != type)
        return mpi_expected(name, obj);
    if (!mpi_has_one_owner(obj))
        return mpi_fail(MP_ESTATE,
                        "can't change a %s that has more than one owner", name);
    return MP_OK;
}

/*
 * Consumes an item that was refused. One that is the container itself is the
 * caller's only reference to it, given away twice: the caller keeps it.
 */
static mp_error refuse(mp_error error, const mp_obj *obj, mp_obj *item)
{
    if (item != obj || (mpi_is_heap(obj) && !mpi_has_one_owner(obj)))
        mp_obj_unref(item);
    return error;
}

static mp_error check_not_itself(const mp_obj *obj, const mp_obj *item,
                                 const char *name)
{
    if (item == obj)
        return mpi_fail(MP_ESTATE, "can't put a %s into itself", name);
    return MP_OK;
}

mp_error mp_obj_append(mp_obj *list, mp_obj *item)
{
    mp_error err = check_target(list, MP_TYPE_LIST, "list");

    if (err == MP_OK)
        err = check_item(item);
    if (err == MP_OK)
        err = check_not_itself(list, item, "list");
    if (err != MP_OK)
        return refuse(err, list, item);
    return mpi_extend(list, &item, 1);
}

mp_error mp_obj_set_item(mp_obj *dict, mp_obj *key, mp_obj *value)
{
    mp_error err = check_target(dict, MP_TYPE_DICT, "dict");

    if (err == MP_OK)
        err = check_item(key);
    if (err == MP_OK)
        err = check_item(value);
    if (err == MP_OK)
        err = check_not_itself(dict, value, "dict");
    if (err == MP_OK)
        err = check_not_itself(dict, key, "dict");
    if (err == MP_OK)
        return mpi_dict_set(dict, key, value);
    (void)refuse(err, dict, key);
    return refuse(err, dict, value);
}

mp_error mp_obj_add(mp_obj *set, mp_obj *item)
{
    mp_error err = check_target(set, MP_TYPE_SET, "set");

    if (err == MP_OK)
        err = check_item(item);
    if (err == MP_OK)
        err = check_not_itself(set, item, "set");
    if (err != MP_OK)
        return refuse(err, set, item);
    return mpi_set_add(set, item);
}

/* -- Looking --------------------------------------------------------------- */

mp_error mp_obj_len(const mp_obj *obj, size_t *out)
{
    switch (mp_obj_type(obj)) {
    case MP_TYPE_STR:
    case MP_TYPE_BYTES:
        *out = mpi_as_string(obj)->length;
        return MP_OK;
    case MP_TYPE_LIST:
    case MP_TYPE_TUPLE:
    case MP_TYPE_SET:
        *out = mpi_as_container(obj)->size;
        return MP_OK;
    case MP_TYPE_DICT:
        *out = mpi_as_container(obj)->size / 2;
        return MP_OK;
    default:
        return mpi_expected("something that has a length", obj);
    }
}

mp_error mp_obj_item(const mp_obj *obj, int64_t index, const mp_obj **out)
{
    const mpi_container *container = mpi_as_container(obj);
    mp_type type = mp_obj_type(obj);
    size_t at = (size_t)index;

    if (type != MP_TYPE_LIST && type != MP_TYPE_TUPLE)
        return mpi_expected("list or tuple", obj);
    if (index < 0)
        at += container->size;
    if ((uint64_t)(index < 0 ? -(index + 1) : index) >= container->size)
        return mpi_fail(MP_EINDEX, "%s index %lld out of range",
                        mp_obj_type_name(obj), (long long)index);
    *out = container->items[at];
    return MP_OK;
}

mp_error mp_obj_get(const mp_obj *dict, const mp_obj *key, const mp_obj **out)
{
    const mpi_container *container = mpi_as_container(dict);
    size_t position;
    uint32_t hash;
    mp_error err;

    if (mp_obj_type(dict) != MP_TYPE_DICT)
        return mpi_expected("dict", dict);
    err = mpi_index_find(container, 2, key, &hash, &position);
    if (err != MP_OK)
        return err;
    if (position == SIZE_MAX)
        return mpi_fail(MP_EKEY, "no such key in the dict");
    *out = container->items[position + 1];
    return MP_OK;
}

mp_error mp_obj_get_str(const mp_obj *dict, const char *key, const mp_obj **out)
{
    mp_obj *name = key != NULL ? mp_obj_str(key) : NULL;
    mp_error err = mp_obj_get(dict, name, out);

    mp_obj_unref(name);
    if (err == MP_EKEY)
        return mpi_fail(MP_EKEY, "no key '%s' in the dict", key);
    return err;
}

bool mp_obj_contains(const mp_obj *container, const mp_obj *item)
{
    const mpi_container *in = mpi_as_container(container);
    mp_type type = mp_obj_type(container);
    size_t position;
    uint32_t hash;

    if (type == MP_TYPE_DICT || type == MP_TYPE_SET)
        return mpi_index_find(in, type == MP_TYPE_DICT ? 2 : 1, item, &hash,
                              &position) == MP_OK &&
               position != SIZE_MAX;
    if (type != MP_TYPE_LIST && type != MP_TYPE_TUPLE)
        return false;
    for (size_t i = 0; i < in->size; i++) {
        if (mpi_obj_same(in->items[i], item))
            return true;
    }
    return false;
}

bool mp_obj_next(const mp_obj *container, mp_iter *it, const mp_obj **item,
                 const mp_obj **value)
{
    const mpi_container *in = mpi_as_container(container);
    mp_type type = mp_obj_type(container);
    size_t stride = type == MP_TYPE_DICT ? 2 : 1;

    if (type < MP_TYPE_LIST || type > MP_TYPE_SET || it->position >= in->size)
        return false;
    *item = in->items[it->position];
    if (value != NULL && stride == 2)
        *value = in->items[it->position + 1];
    it->position += stride;
    return true;
}
