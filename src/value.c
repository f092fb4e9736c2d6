/* SPDX-License-Identifier: MIT */
/* Value: one item of a C type, shared. */
#include "internal.h"
#include "typed.h"

#include <string.h>

const mpi_sync_type mpi_value_kind = {
    .resource = {.name = "Value",
                 .ref = mpi_sync_ref_any,
                 .unref = mpi_sync_unref_any,
                 .reduce = mpi_typed_reduce,
                 .rebuild = mpi_typed_rebuild},
    .kind = MPI_VALUE,
    .size = sizeof(mp_value),
    .release = mpi_typed_drop,
};

mp_obj *mp_obj_value(mp_value *value)
{
    return mpi_sync_box(&mpi_value_kind, value);
}

mp_error mp_obj_as_value(const mp_obj *obj, mp_value **out)
{
    mpi_sync *sync;
    mp_error err = mpi_sync_unbox(&mpi_value_kind, obj, &sync);

    if (err == MP_OK)
        *out = (mp_value *)sync;
    return err;
}

/* -- Making and finding ---------------------------------------------------- */

mp_error mp_value_create(mp_value **out, mp_ctype type, const void *initial,
                         const mp_value_options *options)
{
    const mpi_typed_wish wish = {
        .type = type, .length = 1, .initial = initial, .options = options};
    mpi_typed *typed;
    mp_error err = mpi_sync_check_out(&mpi_value_kind, out);

    if (err == MP_OK)
        err = mpi_typed_create(&mpi_value_kind, &wish, &typed);
    if (err == MP_OK)
        *out = (mp_value *)typed;
    return err;
}

static mp_error open_value(mp_value **out, const mpi_typed_wish *wish)
{
    mpi_typed *typed;
    mp_error err = mpi_sync_check_out(&mpi_value_kind, out);

    if (err == MP_OK)
        err = mpi_typed_open(&mpi_value_kind, wish, &typed);
    if (err == MP_OK)
        *out = (mp_value *)typed;
    return err;
}

mp_error mp_value_open(mp_value **out, const char *name, mp_ctype type,
                       const void *initial, const mp_value_options *options)
{
    const mpi_typed_wish wish = {
        .type = type,
        .length = 1,
        .initial = initial,
        .options = options,
        .name = name,
    };

    return open_value(out, &wish);
}

mp_error mp_value_open_file(mp_value **out, const char *path, mp_ctype type,
                            const void *initial,
                            const mp_value_options *options)
{
    const mpi_typed_wish wish = {
        .type = type,
        .length = 1,
        .initial = initial,
        .options = options,
        .name = path,
        .is_path = true,
    };

    return open_value(out, &wish);
}

mp_error mp_value_copy(mp_value *value, mp_value **out,
                       const mp_value_options *options)
{
    mpi_typed *typed;
    mp_error err = mpi_sync_check_out(&mpi_value_kind, out);

    if (err == MP_OK)
        err = mpi_typed_check(&mpi_value_kind, value);
    if (err == MP_OK)
        err = mpi_typed_copy(&mpi_value_kind, &value->typed, options, &typed);
    if (err == MP_OK)
        *out = (mp_value *)typed;
    return err;
}

mp_error mp_value_sync(mp_value *value)
{
    return mpi_typed_sync(&mpi_value_kind, value);
}

mp_error mp_value_close(mp_value *value)
{
    return mpi_sync_close(&mpi_value_kind, value);
}

/* -- What it is ------------------------------------------------------------ */

void *mp_value_data(mp_value *value)
{
    if (mpi_typed_check(&mpi_value_kind, value) != MP_OK)
        return NULL;
    return value->typed.sync.lifetime.items;
}

mp_ctype mp_value_ctype(const mp_value *value)
{
    if (mpi_typed_check(&mpi_value_kind, (void *)(uintptr_t)value) != MP_OK)
        return (mp_ctype){0};
    return value->typed.type;
}

mp_rlock *mp_value_get_lock(mp_value *value)
{
    if (mpi_typed_check(&mpi_value_kind, value) != MP_OK)
        return NULL;
    return value->typed.rlock;
}

mp_error mp_value_acquire(mp_value *value, double timeout)
{
    return mpi_typed_acquire(&mpi_value_kind, value, timeout);
}

mp_error mp_value_release(mp_value *value)
{
    return mpi_typed_release(&mpi_value_kind, value);
}

/* -- What it holds --------------------------------------------------------- */

mp_obj *mp_value_get(mp_value *value)
{
    mpi_typed_visit visit;
    mp_obj *obj;
    mp_error err = mpi_typed_check(&mpi_value_kind, value);

    if (err == MP_OK)
        err = mpi_typed_enter(&value->typed, &visit);
    if (err != MP_OK)
        return mp_obj_from_error(err);
    obj = mpi_ctype_box(&value->typed.type, mpi_typed_item(&value->typed, 0));
    mpi_typed_leave(&visit);
    return obj;
}

static mp_error set(mp_value *value, const mp_obj *obj)
{
    mpi_typed_visit visit;
    mp_error err = mpi_typed_check_writable(&mpi_value_kind, value);

    if (err == MP_OK)
        err = mp_obj_error(obj);
    if (err == MP_OK)
        err = mpi_typed_enter(&value->typed, &visit);
    if (err != MP_OK)
        return err;
    err = mpi_ctype_unbox(&value->typed.type, obj,
                          mpi_typed_item(&value->typed, 0));
    mpi_typed_leave(&visit);
    return err;
}

mp_error mp_value_set(mp_value *value, mp_obj *obj)
{
    mp_error err = set(value, obj);

    mp_obj_unref(obj);
    return err;
}

/* Python's class for a struct point is Synchronizedpoint. */
static void begin_repr(const mpi_typed *typed, mpi_buffer *text)
{
    if (mpi_typed_has_lock(typed))
        mpi_buffer_printf(text, "<Synchronized%s wrapper for ",
                          typed->type.code != 0 ? "" : typed->type.name);
}

static void end_repr(const mpi_typed *typed, mpi_buffer *text)
{
    if (mpi_typed_has_lock(typed))
        mpi_buffer_append(text, ">", 1);
    mpi_buffer_append(text, "", 1);
}

mp_error mp_value_repr(mp_value *value, char **out)
{
    mpi_buffer text = {0};
    mpi_typed_visit visit;
    mp_error err = mpi_typed_check(&mpi_value_kind, value);

    if (err == MP_OK && out == NULL)
        return mpi_fail(MP_EINVAL, "there is nowhere to put the text");
    if (err == MP_OK)
        err = mpi_typed_enter(&value->typed, &visit);
    if (err != MP_OK)
        return err;
    begin_repr(&value->typed, &text);
    err = mpi_ctype_repr(&value->typed.type, mpi_typed_item(&value->typed, 0),
                         &text);
    mpi_typed_leave(&visit);
    end_repr(&value->typed, &text);
    if (err == MP_OK && text.has_failed)
        err = mpi_no_memory();
    if (err != MP_OK) {
        mpi_buffer_free(&text);
        return err;
    }
    *out = (char *)text.data;
    return MP_OK;
}
