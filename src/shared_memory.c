/* SPDX-License-Identifier: MIT */
/*
 * SharedMemory: what users see of a segment (segment.c), its made-up names, and
 * how it travels: by its name, in Python's own words, so that a Python at the
 * other end of a pipe has a SharedMemory of it.
 */
#include "segment.h"

#include "internal.h"
#include "obj.h"

#include <stdio.h>

enum { NAME_ATTEMPTS = 16 };

static mp_error check(const mp_shared_memory *memory)
{
    mp_error err = mpi_lifetime_check(memory, MPI_SHARED_MEMORY);

    if (err == MP_OK && memory->data == NULL)
        return mpi_fail(MP_ECLOSED, "the SharedMemory is closed");
    return err;
}

/* -- Travelling ------------------------------------------------------------ */

static void unref_any(const mpi_resource_type *type, void *self)
{
    (void)type; /* there is only one */
    mpi_segment_unref(self);
}

/* SharedMemory(name, create, size) */
static mp_error reduce(void *self, mpi_transport *transport, mp_obj **state)
{
    const mp_shared_memory *memory = self;
    mp_obj *items[3];

    (void)transport; /* the name is all it takes */
    if (check(memory) != MP_OK)
        return mpi_fail(MP_EPICKLE, "can't pickle a SharedMemory that is "
                                    "closed");
    items[0] = mp_obj_str(memory->name);
    items[1] = mp_obj_bool(false);
    items[2] = mp_obj_uint(memory->size);
    *state = mp_obj_tuple(items, 3);
    return mp_obj_error(*state);
}

/* The size is the segment's own to tell. */
static mp_error rebuild(const mpi_resource_type *type, const mp_obj *state,
                        mpi_transport *transport, void **self)
{
    const mp_obj *item;
    const char *name;
    mp_shared_memory *memory;
    mp_error err;

    (void)type;
    (void)transport;
    if (mp_obj_type(state) != MP_TYPE_TUPLE ||
        mp_obj_item(state, 0, &item) != MP_OK ||
        mp_obj_as_str(item, &name, NULL) != MP_OK)
        return mpi_fail(MP_EUNPICKLE, "this is no SharedMemory");
    err = mp_shared_memory_open(&memory, name);
    if (err != MP_OK)
        return mpi_context(err, "can't unpickle SharedMemory");
    memory->sync.owner = MPI_SYNC_OBJECTS;
    *self = memory;
    return MP_OK;
}

const mpi_sync_type mpi_shared_memory_kind = {
    .resource = {.name = "SharedMemory",
                 .module = "multiprocessing.shared_memory",
                 .ref = mpi_sync_ref_any,
                 .unref = unref_any,
                 .reduce = reduce,
                 .rebuild = rebuild},
    .kind = MPI_SHARED_MEMORY,
    .size = sizeof(mp_shared_memory),
};

mp_obj *mp_obj_shared_memory(mp_shared_memory *memory)
{
    return mpi_sync_box(&mpi_shared_memory_kind, memory);
}

mp_error mp_obj_as_shared_memory(const mp_obj *obj, mp_shared_memory **out)
{
    mpi_sync *sync;
    mp_error err = mpi_sync_unbox(&mpi_shared_memory_kind, obj, &sync);

    if (err == MP_OK)
        *out = (mp_shared_memory *)sync;
    return err;
}

/* -- Making ---------------------------------------------------------------- */

/* Python, too, reports a name without the '/' that shm_open() wants. */
static mp_error take_name(const char **name)
{
    if (*name != NULL && (*name)[0] == '/')
        ++*name;
    return mpi_segment_check_name(*name);
}

static mp_error create_anyhow(size_t size, mp_shared_memory **out)
{
    /* CPython's, where there is fork and elsewhere. */
    const char *prefix = mpos_system.has_fork ? "psm_" : "wnsm_";
    mp_error err = MP_EEXIST;

    for (int i = 0; err == MP_EEXIST && i < NAME_ATTEMPTS; i++) {
        char name[32];
        uint32_t chance;

        err = mpos_random(&chance, sizeof(chance));
        if (err != MP_OK)
            break;
        snprintf(name, sizeof(name), "%s%08lx", prefix, (unsigned long)chance);
        err = mpi_segment_create(name, size, out);
    }
    return err;
}

mp_error mp_shared_memory_create(mp_shared_memory **out, const char *name,
                                 size_t size)
{
    mp_error err = mpi_sync_check_out(&mpi_shared_memory_kind, out);

    if (err != MP_OK)
        return err;
    if (size == 0)
        return mpi_fail(MP_EINVAL, "a SharedMemory has at least one byte");
    if (name == NULL)
        return create_anyhow(size, out);
    err = take_name(&name);
    return err == MP_OK ? mpi_segment_create(name, size, out) : err;
}

mp_error mp_shared_memory_open(mp_shared_memory **out, const char *name)
{
    mp_error err = mpi_sync_check_out(&mpi_shared_memory_kind, out);

    if (err == MP_OK)
        err = take_name(&name);
    return err == MP_OK ? mpi_segment_open(name, out) : err;
}

/* -- Using ----------------------------------------------------------------- */

void *mp_shared_memory_data(mp_shared_memory *memory)
{
    return check(memory) == MP_OK ? memory->data : NULL;
}

size_t mp_shared_memory_size(const mp_shared_memory *memory)
{
    return check(memory) == MP_OK ? memory->size : 0;
}

const char *mp_shared_memory_name(const mp_shared_memory *memory)
{
    return check(memory) == MP_OK ? memory->name : "";
}

mp_error mp_shared_memory_unlink(mp_shared_memory *memory)
{
    mp_error err = check(memory);

    return err == MP_OK ? mpi_segment_unlink(memory) : err;
}

/* As mpi_sync_close(): what came with an object closes with that, too. */
mp_error mp_shared_memory_close(mp_shared_memory *memory)
{
    mpi_sync_owner owner;
    mp_error err;

    if (memory == NULL)
        return MP_OK;
    err = check(memory);
    if (err != MP_OK)
        return err;
    owner = memory->sync.owner;
    if (owner == MPI_SYNC_CLOSED)
        return mpi_fail(MP_ECLOSED, "the SharedMemory is closed");
    memory->sync.owner = MPI_SYNC_CLOSED;
    if (owner == MPI_SYNC_USER)
        mpi_segment_unref(memory);
    else if (mpi_atomic32_load(&memory->sync.references) == 1)
        mpi_segment_close(memory);
    return MP_OK;
}
