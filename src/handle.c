/* SPDX-License-Identifier: MIT */
/*
 * A descriptor (HANDLE) of the user's as an object. It is duplicated on its way
 * in and on its way out, so that whoever closes what, closes his own.
 */
#include "handle.h"

#include "connection.h"
#include "internal.h"

#include <stdlib.h>

typedef struct held {
    mpi_atomic32 references;
    mpos_handle own;
    struct held *next; /* among all of this process */
    struct held **link;
} held;

/* With mpi_connections_mutex held; so is it while a handle is not in the list,
 * or a child that another thread forks would keep it open unknowingly. */
static held *first_handle;

/* With mpi_connections_mutex held. Owns what it is given from now on. */
static held *held_new(mpos_handle own)
{
    held *self = mpi_calloc(1, sizeof(*self));

    if (self == NULL)
        return NULL;
    mpi_atomic32_store(&self->references, 1);
    self->own = own;
    self->next = first_handle;
    self->link = &first_handle;
    if (self->next != NULL)
        self->next->link = &self->next;
    first_handle = self;
    return self;
}

static void handle_ref(void *self)
{
    mpi_atomic32_add(&((held *)self)->references, 1);
}

static void handle_unref(const mpi_resource_type *type, void *object)
{
    held *self = object;

    (void)type; /* there is only one */
    if (mpi_atomic32_add(&self->references, UINT32_MAX) != 1)
        return;
    mpos_mutex_lock(&mpi_connections_mutex);
    *self->link = self->next;
    if (self->next != NULL)
        self->next->link = self->link;
    mpos_close(self->own);
    mpos_mutex_unlock(&mpi_connections_mutex);
    free(self);
}

/* -- Travelling ------------------------------------------------------------ */

static mp_error handle_reduce(void *object, mpi_transport *transport,
                              mp_obj **state)
{
    held *self = object;
    mp_obj *place;
    size_t index;
    mp_error err;

    if (self->own == MPOS_NONE)
        return mpi_fail(MP_EPICKLE, "can't pickle Handle: it was not passed to "
                                    "this process as an argument");
    err = mpi_transport_add(transport, self->own, &index);
    if (err != MP_OK)
        return mpi_context(err, "can't pickle Handle");
    place = mp_obj_int((int64_t)index);
    *state = mp_obj_tuple(&place, 1);
    return mp_obj_error(*state);
}

/* Whose the handle is while it is in neither list, nobody would know: the mutex
 * is held all the time. */
static mp_error take(mpi_transport *transport, int64_t place, held **out)
{
    mpos_handle own;
    mp_error err;

    mpos_mutex_lock(&mpi_connections_mutex);
    err = mpi_transport_take(transport, place, &own);
    if (err == MP_OK) {
        *out = held_new(own);
        if (*out == NULL) {
            mpos_close(own);
            err = mpi_no_memory();
        }
    }
    mpos_mutex_unlock(&mpi_connections_mutex);
    return err;
}

static mp_error handle_rebuild(const mpi_resource_type *type,
                               const mp_obj *state, mpi_transport *transport,
                               void **self)
{
    const mp_obj *item;
    held *made = NULL;
    int64_t place;
    mp_error err;

    (void)type;
    if (mp_obj_type(state) != MP_TYPE_TUPLE ||
        mp_obj_item(state, 0, &item) != MP_OK ||
        mp_obj_as_int(item, &place) != MP_OK)
        return mpi_fail(MP_EUNPICKLE, "this is no handle");
    *self = mpi_transport_made(transport, place, &mpi_handle_type);
    if (*self != NULL) {
        handle_ref(*self);
        return MP_OK;
    }
    err = take(transport, place, &made);
    if (err != MP_OK)
        return err;
    err = mpi_transport_keep(transport, place, &mpi_handle_type, made);
    if (err != MP_OK) {
        handle_unref(&mpi_handle_type, made);
        return err;
    }
    *self = made;
    return MP_OK;
}

const mpi_resource_type mpi_handle_type = {
    .name = "Handle",
    .ref = handle_ref,
    .unref = handle_unref,
    .reduce = handle_reduce,
    .rebuild = handle_rebuild,
};

static bool is_kept(const held *self, const mpi_transport *kept)
{
    for (size_t i = 0; kept != NULL && i < kept->count; i++)
        if (kept->handles[i] == self->own)
            return true;
    return kept == NULL;
}

void mpi_handles_after_fork(const mpi_transport *kept)
{
    for (held *it = first_handle; it != NULL; it = it->next) {
        if (is_kept(it, kept))
            continue;
        mpos_close(it->own);
        it->own = MPOS_NONE;
    }
}

/* -- In and out ------------------------------------------------------------ */

mp_obj *mp_obj_handle(mp_handle handle)
{
    held *self = NULL;
    mpos_handle own = MPOS_NONE;
    mp_obj *obj;
    mp_error err;

    mpos_mutex_lock(&mpi_connections_mutex);
    err = mpos_duplicate(handle, &own);
    if (err == MP_OK) {
        self = held_new(own);
        if (self == NULL) {
            mpos_close(own);
            err = mpi_no_memory();
        }
    }
    mpos_mutex_unlock(&mpi_connections_mutex);
    if (err != MP_OK)
        return mp_obj_from_error(err);
    obj = mpi_obj_resource(&mpi_handle_type, self);
    handle_unref(&mpi_handle_type, self); /* the object has its own */
    return obj;
}

mp_error mp_obj_as_handle(const mp_obj *obj, mp_handle *out)
{
    const held *self = mpi_obj_resource_self(obj, &mpi_handle_type);
    mpos_handle copy;
    mp_error err;

    if (self == NULL)
        return mpi_fail(MP_ETYPE, "expected Handle, got %s",
                        mp_obj_type_name(obj));
    if (out == NULL)
        return mpi_fail(MP_EINVAL, "there is nowhere to put the handle");
    if (self->own == MPOS_NONE)
        return mpi_fail(MP_ECLOSED, "the handle was not passed to this process "
                                    "as an argument");
    err = mpos_duplicate(self->own, &copy);
    if (err == MP_OK)
        *out = copy;
    return err;
}
