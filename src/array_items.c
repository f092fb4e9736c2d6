/* SPDX-License-Identifier: MIT */
/* Array: several items at once, as Python's slices, and as text. */
#include "internal.h"
#include "typed.h"

#include <stdlib.h>
#include <string.h>

static mp_error check(mp_array *array)
{
    return mpi_typed_check(&mpi_array_kind, array);
}

/* -- Several items --------------------------------------------------------- */

mp_error mp_array_read(mp_array *array, size_t start, void *items, size_t count)
{
    mp_error err = check(array);

    if (err == MP_OK && items == NULL && count > 0)
        err = mpi_fail(MP_EINVAL, "there is nowhere to put the items");
    if (err != MP_OK)
        return err;
    return mpi_typed_read(&array->typed, start, items, count);
}

mp_error mp_array_write(mp_array *array, size_t start, const void *items,
                        size_t count)
{
    mp_error err = mpi_typed_check_writable(&mpi_array_kind, array);

    if (err == MP_OK && items == NULL && count > 0)
        err = mpi_fail(MP_EINVAL, "there are no items");
    if (err != MP_OK)
        return err;
    return mpi_typed_write(&array->typed, start, items, count);
}

/* Which items, as Python counts them. */
typedef struct range {
    size_t start;
    size_t count;
} range;

static int64_t clip(int64_t index, int64_t length)
{
    if (index < 0)
        index = index < -length ? 0 : index + length;
    return index < length ? index : length;
}

static range cut(const mpi_typed *typed, int64_t start, int64_t stop)
{
    int64_t length = (int64_t)mpi_typed_length(typed);

    start = clip(start, length);
    stop = clip(stop, length);
    return (range){(size_t)start, stop > start ? (size_t)(stop - start) : 0};
}

/* Of its own memory, so that the lock is not held for long; malloc'ed. */
static mp_error copy_items(mpi_typed *typed, int64_t start, int64_t stop,
                           mpos_bytes *out)
{
    mpi_typed_visit visit;
    void *copy;
    range which;
    mp_error err = mpi_typed_enter(typed, &visit);

    if (err != MP_OK)
        return err;
    which = cut(typed, start, stop);
    out->size = which.count * typed->type.size;
    copy = mpi_malloc(out->size + 1);
    if (copy != NULL)
        memcpy(copy, mpi_typed_item(typed, which.start), out->size);
    mpi_typed_leave(&visit);
    out->data = copy;
    return copy != NULL ? MP_OK : mpi_no_memory();
}

static mp_obj *box_items(const mpi_typed *typed, const mpos_bytes *items)
{
    const char *item = items->data;
    mp_obj *list;
    mp_error err = MP_OK;

    if (typed->type.code == 'c')
        return mp_obj_bytes(items->data, items->size);
    list = mp_obj_list(NULL, 0);
    for (size_t at = 0; at < items->size && err == MP_OK;
         at += typed->type.size)
        err = mp_obj_append(list, mpi_ctype_box(&typed->type, item + at));
    if (err == MP_OK)
        return list;
    mp_obj_unref(list);
    return mp_obj_from_error(err);
}

mp_obj *mp_array_slice(mp_array *array, int64_t start, int64_t stop)
{
    mpos_bytes items = {NULL, 0};
    mp_obj *list;
    mp_error err = check(array);

    if (err == MP_OK)
        err = copy_items(&array->typed, start, stop, &items);
    if (err != MP_OK)
        return mp_obj_from_error(err);
    list = box_items(&array->typed, &items);
    free((void *)(uintptr_t)items.data);
    return list;
}

/* What a list, tuple or bytes has at that place; a new reference. */
static mp_obj *part_of(const mp_obj *items, bool is_char, size_t index)
{
    const mp_obj *item;
    const void *data;
    size_t size;
    mp_error err;

    if (mp_obj_type(items) == MP_TYPE_BYTES) {
        err = mp_obj_as_bytes(items, &data, &size);
        if (err != MP_OK)
            return mp_obj_from_error(err);
        return is_char ? mp_obj_bytes((const char *)data + index, 1)
                       : mp_obj_int(((const unsigned char *)data)[index]);
    }
    err = mp_obj_item(items, (int64_t)index, &item);
    return err == MP_OK ? mp_obj_ref(item) : mp_obj_from_error(err);
}

static mp_error unbox_items(const mpi_typed *typed, const mp_obj *items,
                            size_t count, char *out)
{
    const mp_ctype *type = &typed->type;
    mp_error err = MP_OK;

    for (size_t i = 0; i < count && err == MP_OK; i++) {
        mp_obj *item = part_of(items, type->code == 'c', i);

        err = mp_obj_error(item);
        if (err == MP_OK)
            err = mpi_ctype_unbox(type, item, out + i * type->size);
        mp_obj_unref(item);
        if (err != MP_OK)
            err = mpi_context(err, "item %zu", i);
    }
    return err;
}

/* malloc'ed. */
static mp_error unbox_all(const mpi_typed *typed, const mp_obj *items,
                          size_t *count, char **out)
{
    mp_type type = mp_obj_type(items);
    mp_error err = mp_obj_error(items);

    if (err == MP_OK && type != MP_TYPE_LIST && type != MP_TYPE_TUPLE &&
        type != MP_TYPE_BYTES)
        err = mpi_fail(MP_ETYPE, "expected list, tuple or bytes, got %s",
                       mp_obj_type_name(items));
    if (err == MP_OK)
        err = mp_obj_len(items, count);
    if (err == MP_OK && *count > (size_t)PTRDIFF_MAX / typed->type.size)
        err = mpi_no_memory();
    if (err != MP_OK)
        return err;
    *out = mpi_calloc(*count + 1, typed->type.size);
    if (*out == NULL)
        return mpi_no_memory();
    err = unbox_items(typed, items, *count, *out);
    if (err != MP_OK)
        free(*out);
    return err;
}

static mp_error replace(mpi_typed *typed, int64_t start, int64_t stop,
                        mpos_bytes items)
{
    mpi_typed_visit visit;
    range which;
    mp_error err = mpi_typed_enter(typed, &visit);

    if (err != MP_OK)
        return err;
    which = cut(typed, start, stop);
    if (which.count * typed->type.size != items.size)
        err = mpi_fail(MP_EINVAL, "there are %zu items to set, not %zu",
                       which.count, items.size / typed->type.size);
    else
        memcpy(mpi_typed_item(typed, which.start), items.data, items.size);
    mpi_typed_leave(&visit);
    return err;
}

static mp_error set_slice(mp_array *array, int64_t start, int64_t stop,
                          const mp_obj *items)
{
    size_t count = 0;
    char *data;
    mp_error err = mpi_typed_check_writable(&mpi_array_kind, array);

    if (err == MP_OK)
        err = unbox_all(&array->typed, items, &count, &data);
    if (err != MP_OK)
        return err;
    err = replace(&array->typed, start, stop,
                  (mpos_bytes){data, count * array->typed.type.size});
    free(data);
    return err;
}

mp_error mp_array_set_slice(mp_array *array, int64_t start, int64_t stop,
                            mp_obj *items)
{
    mp_error err = set_slice(array, start, stop, items);

    mp_obj_unref(items);
    return err;
}

static mp_error repr(mp_array *array, mpi_buffer *text)
{
    const mp_ctype *type = &array->typed.type;
    mpos_bytes items = {NULL, 0};
    mp_error err = copy_items(&array->typed, 0, INT64_MAX, &items);

    if (err != MP_OK)
        return err;
    err = mpi_ctype_repr_items(type, items.data, items.size / type->size, text);
    free((void *)(uintptr_t)items.data);
    mpi_buffer_append(text, "", 1);
    return err == MP_OK && text->has_failed ? mpi_no_memory() : err;
}

mp_error mp_array_repr(mp_array *array, char **out)
{
    mpi_buffer text = {0};
    mp_error err = check(array);

    if (err == MP_OK && out == NULL)
        err = mpi_fail(MP_EINVAL, "there is nowhere to put the text");
    if (err == MP_OK)
        err = repr(array, &text);
    if (err != MP_OK) {
        mpi_buffer_free(&text);
        return err;
    }
    *out = (char *)text.data;
    return MP_OK;
}

/* -- Of chars -------------------------------------------------------------- */

static mp_error check_chars(mp_array *array)
{
    mp_error err = check(array);

    if (err == MP_OK && array->typed.type.code != 'c')
        err = mpi_fail(MP_ETYPE, "it is an Array of %s, not of char",
                       array->typed.type.name);
    return err;
}

static mp_obj *get_chars(mp_array *array, bool must_end)
{
    mpos_bytes items = {NULL, 0};
    mp_obj *bytes;
    const char *end = NULL;
    mp_error err = check_chars(array);

    if (err == MP_OK)
        err = copy_items(&array->typed, 0, INT64_MAX, &items);
    if (err != MP_OK)
        return mp_obj_from_error(err);
    if (must_end)
        end = memchr(items.data, '\0', items.size);
    if (end != NULL)
        items.size = (size_t)(end - (const char *)items.data);
    bytes = mp_obj_bytes(items.data, items.size);
    free((void *)(uintptr_t)items.data);
    return bytes;
}

mp_obj *mp_array_value(mp_array *array)
{
    return get_chars(array, true);
}

mp_obj *mp_array_raw(mp_array *array)
{
    return get_chars(array, false);
}

/* With the lock held. */
static mp_error put_chars(mpi_typed *typed, mpos_bytes bytes, bool must_end)
{
    size_t length = mpi_typed_length(typed);
    char *chars = typed->sync.lifetime.items;

    if (bytes.size > length)
        return mpi_fail(MP_EINVAL,
                        "%zu bytes are too many for an Array of length %zu",
                        bytes.size, length);
    if (bytes.size > 0)
        memcpy(chars, bytes.data, bytes.size);
    if (must_end && bytes.size < length)
        chars[bytes.size] = '\0';
    return MP_OK;
}

static mp_error set_chars(mp_array *array, const mp_obj *obj, bool must_end)
{
    mpi_typed_visit visit;
    mpos_bytes bytes = {NULL, 0};
    mp_error err = mpi_typed_check_writable(&mpi_array_kind, array);

    if (err == MP_OK)
        err = check_chars(array);
    if (err == MP_OK)
        err = mp_obj_as_bytes(obj, &bytes.data, &bytes.size);
    if (err == MP_OK)
        err = mpi_typed_enter(&array->typed, &visit);
    if (err != MP_OK)
        return err;
    err = put_chars(&array->typed, bytes, must_end);
    mpi_typed_leave(&visit);
    return err;
}

mp_error mp_array_set_value(mp_array *array, mp_obj *bytes)
{
    mp_error err = set_chars(array, bytes, true);

    mp_obj_unref(bytes);
    return err;
}

mp_error mp_array_set_raw(mp_array *array, mp_obj *bytes)
{
    mp_error err = set_chars(array, bytes, false);

    mp_obj_unref(bytes);
    return err;
}
