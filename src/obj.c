/* SPDX-License-Identifier: MIT */
/*
 * Objects: making, owning and reading the kinds that hold no other object.
 * Containers are in obj_container.c, equality and hashes in obj_hash.c.
 */
#include "obj.h"

#include <stdlib.h>
#include <string.h>

static const char *const type_names[] = {
    [MP_TYPE_ERROR] = "error",     [MP_TYPE_NONE] = "NoneType",
    [MP_TYPE_BOOL] = "bool",       [MP_TYPE_INT] = "int",
    [MP_TYPE_FLOAT] = "float",     [MP_TYPE_STR] = "str",
    [MP_TYPE_BYTES] = "bytes",     [MP_TYPE_LIST] = "list",
    [MP_TYPE_TUPLE] = "tuple",     [MP_TYPE_DICT] = "dict",
    [MP_TYPE_SET] = "set",         [MP_TYPE_FUNCTION] = "function",
    [MP_TYPE_POINTER] = "pointer", [MP_TYPE_HANDLE] = "handle",
    [MP_TYPE_OPAQUE] = "opaque",
};

mp_obj *mpi_obj_failed(mp_error error)
{
    uintptr_t code = (uintptr_t)(intptr_t)error;

    return (mp_obj *)((code << 8) | MPI_TAG_ERROR);
}

static mp_obj *no_memory(void)
{
    return mpi_obj_failed(mpi_no_memory());
}

mp_error mpi_expected(const char *what, const mp_obj *obj)
{
    /* What made an error object has left its sentence already. */
    if (obj != NULL && mpi_is_error(obj))
        return mp_obj_error(obj);
    if (obj == NULL)
        return mpi_fail(MP_EINVAL, "expected %s, got NULL", what);
    return mpi_fail(MP_ETYPE, "expected %s, got %s", what,
                    mp_obj_type_name(obj));
}

/* -- Making ---------------------------------------------------------------- */

mp_obj *mp_obj_none(void)
{
    return mpi_constant(MPI_TAG_NONE);
}

mp_obj *mp_obj_bool(bool value)
{
    return mpi_constant(value ? MPI_TAG_TRUE : MPI_TAG_FALSE);
}

mp_obj *mp_obj_int(int64_t value)
{
    mpi_int *obj;

    if (value >= MPI_INLINE_MIN && value <= MPI_INLINE_MAX)
        return (mp_obj *)(((uintptr_t)value << 1) | 1);
    obj = (mpi_int *)(void *)mpi_obj_new(MP_TYPE_INT, sizeof(*obj));
    if (obj == NULL)
        return no_memory();
    obj->value = value;
    return &obj->head;
}

mp_obj *mp_obj_uint(uint64_t value)
{
    if (value > INT64_MAX)
        return mpi_obj_failed(
            mpi_fail(MP_EOVERFLOW, "an int of 64 bits without a sign doesn't "
                                   "fit in 64 bits with one"));
    return mp_obj_int((int64_t)value);
}

mp_obj *mp_obj_float(double value)
{
    mpi_float *obj =
        (mpi_float *)(void *)mpi_obj_new(MP_TYPE_FLOAT, sizeof(*obj));

    if (obj == NULL)
        return no_memory();
    obj->value = value;
    return &obj->head;
}

static mpi_string *string_new(mp_type type, const void *data, size_t size)
{
    mpi_string *string;

    if (size > PTRDIFF_MAX - sizeof(*string) - 1)
        return NULL;
    string =
        (mpi_string *)(void *)mpi_obj_new(type, sizeof(*string) + size + 1);
    if (string == NULL)
        return NULL;
    string->size = size;
    string->length = size;
    if (size != 0)
        memcpy(string->data, data, size);
    string->data[size] = '\0';
    return string;
}

mp_obj *mpi_str(const void *data, size_t size, bool is_lenient)
{
    mpi_string *string;
    size_t length;
    uint8_t flags;

    if (!mpi_text_check(data, size, &length, &flags))
        return mpi_obj_failed(mpi_fail(MP_EINVAL, "a str is not UTF-8"));
    if (!is_lenient && (flags & MPI_STR_SURROGATES) != 0)
        return mpi_obj_failed(
            mpi_fail(MP_EINVAL, "a str is not UTF-8: it has surrogates"));
    string = string_new(MP_TYPE_STR, data, size);
    if (string == NULL)
        return no_memory();
    string->length = length;
    string->head.flags = flags;
    return &string->head;
}

mp_obj *mp_obj_str(const char *text)
{
    if (text == NULL)
        return mp_obj_none();
    return mpi_str(text, strlen(text), false);
}

mp_obj *mp_obj_strn(const char *text, size_t size)
{
    if (text == NULL && size != 0)
        return mpi_obj_failed(mpi_fail(MP_EINVAL, "no text"));
    return mpi_str(text, size, false);
}

mp_obj *mp_obj_bytes(const void *data, size_t size)
{
    mpi_string *string;

    if (data == NULL && size != 0)
        return mpi_obj_failed(mpi_fail(MP_EINVAL, "no bytes"));
    string = string_new(MP_TYPE_BYTES, data, size);
    return string != NULL ? &string->head : no_memory();
}

mp_obj *mp_obj_function(mp_function function)
{
    mpi_address *obj;

    if (function == NULL)
        return mp_obj_none();
    obj = (mpi_address *)(void *)mpi_obj_new(MP_TYPE_FUNCTION, sizeof(*obj));
    if (obj == NULL)
        return no_memory();
    obj->to.function = function;
    return &obj->head;
}

mp_obj *mp_obj_pointer(const void *pointer)
{
    mpi_address *obj;

    if (pointer == NULL)
        return mp_obj_none();
    obj = (mpi_address *)(void *)mpi_obj_new(MP_TYPE_POINTER, sizeof(*obj));
    if (obj == NULL)
        return no_memory();
    obj->to.pointer = pointer;
    return &obj->head;
}

mp_obj *mp_obj_from_error(mp_error error)
{
    return error == MP_OK ? mp_obj_none() : mpi_obj_failed(error);
}

mp_obj *mpi_obj_resource(const mpi_resource_type *type, void *self)
{
    mpi_resource *obj =
        (mpi_resource *)(void *)mpi_obj_new(MP_TYPE_HANDLE, sizeof(*obj));

    if (obj == NULL)
        return no_memory();
    obj->type = type;
    obj->self = self;
    type->ref(self);
    return &obj->head;
}

void *mpi_obj_resource_self(const mp_obj *obj, const mpi_resource_type *type)
{
    const mpi_resource *resource = (const mpi_resource *)(const void *)obj;

    if (mp_obj_type(obj) != MP_TYPE_HANDLE || resource->type != type)
        return NULL;
    return resource->self;
}

/* -- Owning ---------------------------------------------------------------- */

mp_obj *mp_obj_ref(const mp_obj *obj)
{
    mp_obj *owned = (mp_obj *)obj;

    if (owned != NULL && mpi_is_heap(owned))
        mpi_atomic32_add(&owned->refs, 1);
    return owned;
}

/* True if that was the last reference. A sole owner needs no locked
 * instruction: nobody else is there to add one. */
static bool drop_reference(mp_obj *obj)
{
    return mpi_atomic32_load(&obj->refs) == 1 ||
           mpi_atomic32_add(&obj->refs, (uint32_t)-1) == 1;
}

/* Frees obj; its items whose last reference that was go to the chain. */
static mp_obj *destroy_one(mp_obj *obj, mp_obj *chain)
{
    mpi_container *container = mpi_mutable(obj);

    for (size_t i = 0; i < container->size; i++) {
        mp_obj *item = container->items[i];

        if (!mpi_is_heap(item) || !drop_reference(item))
            continue;
        if (mpi_type_is_container(mpi_heap_type(item))) {
            mpi_mutable(item)->with.next = chain;
            chain = item;
        } else {
            mpi_obj_destroy(item);
        }
    }
    if (container->items != mpi_inline_items(container))
        free(container->items);
    free(container->slots);
    free(container);
    return chain;
}

void mpi_obj_destroy(mp_obj *obj)
{
    if (mpi_type_is_container(mpi_heap_type(obj))) {
        mp_obj *chain = NULL;

        while (obj != NULL) {
            obj = destroy_one(obj, chain);
            chain = obj != NULL ? mpi_mutable(obj)->with.next : NULL;
        }
        return;
    }
    if (obj->type == MP_TYPE_HANDLE) {
        mpi_resource *resource = (mpi_resource *)(void *)obj;

        resource->type->unref(resource->type, resource->self);
    }
    free(obj);
}

void mp_obj_unref(mp_obj *obj)
{
    if (obj != NULL && mpi_is_heap(obj) && drop_reference(obj))
        mpi_obj_destroy(obj);
}

/* -- Looking --------------------------------------------------------------- */

mp_type mp_obj_type(const mp_obj *obj)
{
    if (mpi_is_error(obj))
        return MP_TYPE_ERROR;
    if (mpi_is_heap(obj))
        return mpi_heap_type(obj);
    if (mpi_is_inline_int(obj))
        return MP_TYPE_INT;
    return mp_obj_is_none(obj) ? MP_TYPE_NONE : MP_TYPE_BOOL;
}

const char *mp_obj_type_name(const mp_obj *obj)
{
    mp_type type = mp_obj_type(obj);

    if (type == MP_TYPE_HANDLE)
        return ((const mpi_resource *)(const void *)obj)->type->name;
    return type_names[type];
}

mp_error mp_obj_error(const mp_obj *obj)
{
    if (obj == NULL)
        return MP_EINVAL;
    return mpi_is_error(obj) ? (mp_error)((intptr_t)obj >> 8) : MP_OK;
}

bool mp_obj_is_none(const mp_obj *obj)
{
    return obj == mpi_constant(MPI_TAG_NONE);
}

mp_error mp_obj_as_bool(const mp_obj *obj, bool *out)
{
    if (mp_obj_type(obj) != MP_TYPE_BOOL)
        return mpi_expected("bool", obj);
    *out = obj == mpi_constant(MPI_TAG_TRUE);
    return MP_OK;
}

mp_error mp_obj_as_int(const mp_obj *obj, int64_t *out)
{
    switch (mp_obj_type(obj)) {
    case MP_TYPE_INT:
        *out = mpi_is_inline_int(obj)
                   ? mpi_inline_int(obj)
                   : ((const mpi_int *)(const void *)obj)->value;
        return MP_OK;
    case MP_TYPE_BOOL:
        *out = obj == mpi_constant(MPI_TAG_TRUE);
        return MP_OK;
    default:
        return mpi_expected("int", obj);
    }
}

mp_error mp_obj_as_float(const mp_obj *obj, double *out)
{
    mp_type type = mp_obj_type(obj);
    int64_t value = 0;

    if (type == MP_TYPE_FLOAT) {
        *out = ((const mpi_float *)(const void *)obj)->value;
        return MP_OK;
    }
    if (type != MP_TYPE_INT && type != MP_TYPE_BOOL)
        return mpi_expected("float", obj);
    (void)mp_obj_as_int(obj, &value);
    *out = (double)value;
    return MP_OK;
}

mp_error mp_obj_as_str(const mp_obj *obj, const char **out, size_t *size)
{
    const mpi_string *string = mpi_as_string(obj);

    if (mp_obj_type(obj) != MP_TYPE_STR)
        return mpi_expected("str", obj);
    if (size == NULL && strlen(string->data) != string->size)
        return mpi_fail(MP_EINVAL, "a str has a null character inside");
    *out = string->data;
    if (size != NULL)
        *size = string->size;
    return MP_OK;
}

mp_error mp_obj_as_bytes(const mp_obj *obj, const void **out, size_t *size)
{
    const mpi_string *string = mpi_as_string(obj);

    if (mp_obj_type(obj) != MP_TYPE_BYTES)
        return mpi_expected("bytes", obj);
    *out = string->data;
    *size = string->size;
    return MP_OK;
}

mp_error mp_obj_as_function(const mp_obj *obj, mp_function *out)
{
    if (mp_obj_type(obj) != MP_TYPE_FUNCTION)
        return mpi_expected("function", obj);
    *out = ((const mpi_address *)(const void *)obj)->to.function;
    return MP_OK;
}
