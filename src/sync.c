/* SPDX-License-Identifier: MIT */
/* What all things to synchronise with have in common. */
#include "sync.h"

#include "internal.h"

mpi_sync *mpi_sync_new(const mpi_sync_type *type)
{
    mpi_sync *sync = mpi_lifetime_new(type->kind, type->size);

    if (sync == NULL)
        return NULL;
    mpi_atomic32_store(&sync->references, 1);
    sync->object = MPOS_NONE;
    return sync;
}

void mpi_sync_ref(mpi_sync *sync)
{
    mpi_atomic32_add(&sync->references, 1);
}

/* False: it lives on for the time being. */
static bool close_now(const mpi_sync_type *type, mpi_sync *sync)
{
    if (sync->share.arena == NULL)
        return true;
    if (type->release != NULL && !type->release(sync))
        return false;
    mpos_close(sync->object);
    sync->object = MPOS_NONE;
    mpi_share_close(&sync->share);
    return true;
}

void mpi_sync_unref(const mpi_sync_type *type, mpi_sync *sync)
{
    if (mpi_atomic32_add(&sync->references, UINT32_MAX) != 1)
        return;
    if (close_now(type, sync))
        mpi_lifetime_end(sync);
}

mp_error mpi_sync_check_out(const mpi_sync_type *type, const void *out)
{
    if (out != NULL)
        return MP_OK;
    return mpi_fail(MP_EINVAL, "there is nowhere to put the %s",
                    type->resource.name);
}

mp_error mpi_sync_make(const mpi_sync_type *type, const mpi_share_plan *plan,
                       mpi_sync **out)
{
    mpi_sync *sync;
    mp_error err;

    sync = mpi_sync_new(type);
    if (sync == NULL)
        return mpi_no_memory();
    err = mpi_share_create(&sync->share, plan);
    if (err != MP_OK) {
        mpi_sync_unref(type, sync);
        return mpi_context(err, "can't create a new %s", type->resource.name);
    }
    sync->owner = MPI_SYNC_USER;
    *out = sync;
    return MP_OK;
}

mp_error mpi_sync_create(const mpi_sync_type *type, const void *initial,
                         size_t initial_size, size_t size, mpi_sync **out)
{
    const mpi_share_plan plan = {
        .kind = type->kind,
        .initial = initial,
        .initial_size = initial_size,
        .size = size,
    };

    return mpi_sync_make(type, &plan, out);
}

static mp_error fail_closed(const mpi_sync_type *type)
{
    return mpi_fail(MP_ECLOSED, "the %s is closed", type->resource.name);
}

mp_error mpi_sync_check(const mpi_sync_type *type, void *object)
{
    mpi_sync *sync = object;
    mp_error err = mpi_lifetime_check(sync, type->kind);

    if (err != MP_OK)
        return err;
    if (sync->share.arena == NULL)
        return fail_closed(type);
    return mpi_share_attach(&sync->share);
}

mp_error mpi_sync_close(const mpi_sync_type *type, void *object)
{
    mpi_sync *sync = object;
    mp_error err;

    if (sync == NULL)
        return MP_OK;
    err = mpi_lifetime_check(sync, type->kind);
    if (err != MP_OK)
        return err;
    if (sync->owner == MPI_SYNC_CLOSED)
        return fail_closed(type);
    if (sync->owner == MPI_SYNC_USER) {
        sync->owner = MPI_SYNC_CLOSED;
        mpi_sync_unref(type, sync);
        return MP_OK;
    }
    sync->owner = MPI_SYNC_CLOSED;
    /* A condition that was made over it goes on. */
    if (mpi_atomic32_load(&sync->references) == 1)
        (void)close_now(type, sync);
    return MP_OK;
}

/* -- Travelling ------------------------------------------------------------ */

mp_error mpi_sync_reduce(mpi_sync *sync, mpi_transport *transport,
                         mp_obj **state)
{
    if (sync->share.arena == NULL)
        return mpi_fail(MP_EPICKLE, "can't pickle a closed %s",
                        mpi_share_kind_name((mpi_kind)sync->lifetime.kind));
    return mpi_share_reduce(&sync->share, transport, state);
}

mp_error mpi_sync_rebuild(const mpi_sync_type *type, const mp_obj *state,
                          mpi_transport *transport, mpi_sync **out)
{
    mpi_sync *sync = mpi_sync_new(type);
    mp_error err;

    if (sync == NULL)
        return mpi_no_memory();
    err = mpi_share_rebuild(&sync->share, type->kind, state, transport);
    if (err == MP_OK)
        err = mpi_sync_open_object(sync, type->kind);
    if (err != MP_OK) {
        (void)close_now(type, sync);
        mpi_lifetime_end(sync);
        return err;
    }
    *out = sync;
    return MP_OK;
}

mp_obj *mpi_sync_box(const mpi_sync_type *type, void *object)
{
    mp_error err;

    if (object == NULL)
        return mp_obj_none();
    err = mpi_lifetime_check(object, type->kind);
    if (err != MP_OK)
        return mp_obj_from_error(err);
    return mpi_obj_resource(&type->resource, object);
}

mp_error mpi_sync_unbox(const mpi_sync_type *type, const mp_obj *obj,
                        mpi_sync **out)
{
    mpi_sync *sync = mpi_obj_resource_self(obj, &type->resource);

    if (sync == NULL)
        return mpi_fail(MP_ETYPE, "expected %s, got %s", type->resource.name,
                        mp_obj_type_name(obj));
    *out = sync;
    return MP_OK;
}

void mpi_sync_ref_any(void *self)
{
    mpi_sync_ref(self);
}

void mpi_sync_unref_any(const mpi_resource_type *type, void *self)
{
    mpi_sync_unref((const mpi_sync_type *)type, self);
}

mp_error mpi_sync_reduce_any(void *self, mpi_transport *transport,
                             mp_obj **state)
{
    return mpi_sync_reduce(self, transport, state);
}

mp_error mpi_sync_rebuild_any(const mpi_resource_type *type,
                              const mp_obj *state, mpi_transport *transport,
                              void **self)
{
    return mpi_sync_rebuild((const mpi_sync_type *)type, state, transport,
                            (mpi_sync **)self);
}
