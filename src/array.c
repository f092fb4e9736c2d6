/* SPDX-License-Identifier: MIT */
/* Array: items of a C type in a row, shared. */
#include "internal.h"
#include "typed.h"

const mpi_sync_type mpi_array_kind = {
    .resource = {.name = "Array",
                 .ref = mpi_sync_ref_any,
                 .unref = mpi_sync_unref_any,
                 .reduce = mpi_typed_reduce,
                 .rebuild = mpi_typed_rebuild},
    .kind = MPI_ARRAY,
    .size = sizeof(mp_array),
    .release = mpi_typed_drop,
};

mp_obj *mp_obj_array(mp_array *array)
{
    return mpi_sync_box(&mpi_array_kind, array);
}

mp_error mp_obj_as_array(const mp_obj *obj, mp_array **out)
{
    mpi_sync *sync;
    mp_error err = mpi_sync_unbox(&mpi_array_kind, obj, &sync);

    if (err == MP_OK)
        *out = (mp_array *)sync;
    return err;
}

static mp_error check(const mp_array *array)
{
    return mpi_typed_check(&mpi_array_kind, (void *)(uintptr_t)array);
}

/* -- Making and finding ---------------------------------------------------- */

mp_error mp_array_create(mp_array **out, mp_ctype type, size_t length,
                         const void *initial, const mp_value_options *options)
{
    const mpi_typed_wish wish = {
        .type = type, .length = length, .initial = initial, .options = options};
    mpi_typed *typed;
    mp_error err = mpi_sync_check_out(&mpi_array_kind, out);

    if (err == MP_OK)
        err = mpi_typed_create(&mpi_array_kind, &wish, &typed);
    if (err == MP_OK)
        *out = (mp_array *)typed;
    return err;
}

static mp_error open_array(mp_array **out, const mpi_typed_wish *wish)
{
    mpi_typed *typed;
    mp_error err = mpi_sync_check_out(&mpi_array_kind, out);

    if (err == MP_OK)
        err = mpi_typed_open(&mpi_array_kind, wish, &typed);
    if (err == MP_OK)
        *out = (mp_array *)typed;
    return err;
}

mp_error mp_array_open(mp_array **out, const char *name, mp_ctype type,
                       size_t length, const void *initial,
                       const mp_value_options *options)
{
    const mpi_typed_wish wish = {
        .type = type,
        .length = length,
        .has_any_length = length == 0,
        .initial = initial,
        .options = options,
        .name = name,
    };

    return open_array(out, &wish);
}

mp_error mp_array_open_file(mp_array **out, const char *path, mp_ctype type,
                            size_t length, const void *initial,
                            const mp_value_options *options)
{
    const mpi_typed_wish wish = {
        .type = type,
        .length = length,
        .has_any_length = length == 0,
        .initial = initial,
        .options = options,
        .name = path,
        .is_path = true,
    };

    return open_array(out, &wish);
}

mp_error mp_array_copy(mp_array *array, mp_array **out,
                       const mp_value_options *options)
{
    mpi_typed *typed;
    mp_error err = mpi_sync_check_out(&mpi_array_kind, out);

    if (err == MP_OK)
        err = check(array);
    if (err == MP_OK)
        err = mpi_typed_copy(&mpi_array_kind, &array->typed, options, &typed);
    if (err == MP_OK)
        *out = (mp_array *)typed;
    return err;
}

mp_error mp_array_grow(mp_array *array, size_t length)
{
    mp_error err = mpi_typed_check_writable(&mpi_array_kind, array);

    return err == MP_OK ? mpi_typed_grow(&array->typed, length) : err;
}

mp_error mp_array_sync(mp_array *array)
{
    return mpi_typed_sync(&mpi_array_kind, array);
}

mp_error mp_array_close(mp_array *array)
{
    return mpi_sync_close(&mpi_array_kind, array);
}

/* -- What it is ------------------------------------------------------------ */

void *mp_array_data(mp_array *array)
{
    return check(array) == MP_OK ? array->typed.sync.lifetime.items : NULL;
}

mp_ctype mp_array_ctype(const mp_array *array)
{
    if (check(array) != MP_OK)
        return (mp_ctype){0};
    return array->typed.type;
}

size_t mp_array_length(const mp_array *array)
{
    return check(array) == MP_OK ? mpi_typed_length(&array->typed) : 0;
}

size_t mp_array_capacity(const mp_array *array)
{
    return check(array) == MP_OK ? array->typed.capacity : 0;
}

mp_rlock *mp_array_get_lock(mp_array *array)
{
    return check(array) == MP_OK ? array->typed.rlock : NULL;
}

mp_error mp_array_acquire(mp_array *array, double timeout)
{
    return mpi_typed_acquire(&mpi_array_kind, array, timeout);
}

mp_error mp_array_release(mp_array *array)
{
    return mpi_typed_release(&mpi_array_kind, array);
}

/* -- One item -------------------------------------------------------------- */

/* With the lock held, as all that asks for the length. */
static mp_error find_item(const mpi_typed *typed, int64_t index, void **item)
{
    int64_t length = (int64_t)mpi_typed_length(typed);

    if (index < -length || index >= length)
        return mpi_fail(MP_EINDEX,
                        "the index %lld is not in an Array of length %lld",
                        (long long)index, (long long)length);
    *item = mpi_typed_item(typed, (size_t)(index < 0 ? index + length : index));
    return MP_OK;
}

mp_obj *mp_array_get(mp_array *array, int64_t index)
{
    mpi_typed_visit visit;
    mp_obj *obj = NULL;
    void *item = NULL;
    mp_error err = check(array);

    if (err == MP_OK)
        err = mpi_typed_enter(&array->typed, &visit);
    if (err != MP_OK)
        return mp_obj_from_error(err);
    err = find_item(&array->typed, index, &item);
    if (err == MP_OK)
        obj = mpi_ctype_box(&array->typed.type, item);
    mpi_typed_leave(&visit);
    return err == MP_OK ? obj : mp_obj_from_error(err);
}

static mp_error set_item(mp_array *array, int64_t index, const mp_obj *obj)
{
    mpi_typed_visit visit;
    void *item = NULL;
    mp_error err = mpi_typed_check_writable(&mpi_array_kind, array);

    if (err == MP_OK)
        err = mp_obj_error(obj);
    if (err == MP_OK)
        err = mpi_typed_enter(&array->typed, &visit);
    if (err != MP_OK)
        return err;
    err = find_item(&array->typed, index, &item);
    if (err == MP_OK)
        err = mpi_ctype_unbox(&array->typed.type, obj, item);
    mpi_typed_leave(&visit);
    return err;
}

mp_error mp_array_set(mp_array *array, int64_t index, mp_obj *obj)
{
    mp_error err = set_item(array, index, obj);

    mp_obj_unref(obj);
    return err;
}
