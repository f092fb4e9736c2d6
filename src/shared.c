/* SPDX-License-Identifier: MIT */
/*
 * What shared dict and shared list are without what is in them: found or made,
 * mapped, locked, repaired, given to other processes.
 */
#include "shared.h"

#include "internal.h"

#include <string.h>

enum {
    DEFAULT_SIZE = 128, /* for each of capacity */
    ALIGNMENT = 64,     /* of the store, behind the table */
};

static mpi_shared_thing *thing_of(const mpi_shared *shared)
{
    return shared->sync.share.memory;
}

/* -- Sizes ----------------------------------------------------------------- */

static mp_error too_large(const mpi_shared_type *type)
{
    return mpi_fail(MP_EOVERFLOW, "a %s of that size is more than there can be",
                    type->sync.resource.name);
}

/* SIZE_MAX: too much. */
static size_t table_size_for(const mpi_shared_type *type, size_t capacity)
{
    size_t size = type->table_size(capacity);

    if (size > SIZE_MAX - ALIGNMENT)
        return SIZE_MAX;
    return (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static mp_error plan_thing(const mpi_shared_type *type, size_t capacity,
                           const mp_shared_options *options,
                           mpi_shared_thing *thing)
{
    size_t size = options == NULL ? 0 : options->size;
    size_t table_size, store_size;

    if (capacity == 0)
        return mpi_fail(MP_EINVAL, "the capacity of a %s can't be 0",
                        type->sync.resource.name);
    if (size == 0 && capacity > SIZE_MAX / DEFAULT_SIZE)
        return too_large(type);
    table_size = table_size_for(type, capacity);
    store_size = mpi_store_size(0, size != 0 ? size : capacity * DEFAULT_SIZE);
    if (store_size == SIZE_MAX || table_size > PTRDIFF_MAX - store_size)
        return too_large(type);
    thing->capacity = capacity;
    thing->table_size = table_size;
    thing->store_size = store_size;
    return mpos_random(&thing->seed, sizeof(thing->seed));
}

static mpi_share_plan plan_for(const mpi_shared_thing *thing)
{
    return (mpi_share_plan){
        .storage = MPI_STORAGE_PRIVATE,
        .initial = thing,
        .initial_size = sizeof(*thing),
        .size = sizeof(*thing),
        .data_size = (size_t)(thing->table_size + thing->store_size),
    };
}

/* -- Mapping --------------------------------------------------------------- */

static mp_error fail_damaged(const mpi_shared_type *type)
{
    return mpi_fail(MP_EPROTO, "the %s is damaged", type->sync.resource.name);
}

/* What it says of its sizes fits what there is; *thing is a copy of it. */
static mp_error read_thing(const mpi_shared_type *type,
                           const mpi_shared *shared, mpi_shared_thing *thing)
{
    size_t reserved = mpi_share_data_size(&shared->sync.share);

    if (mpi_share_size(&shared->sync.share) < sizeof(*thing))
        return fail_damaged(type);
    memcpy(thing, thing_of(shared), sizeof(*thing));
    if (thing->capacity == 0 || thing->capacity > SIZE_MAX ||
        thing->table_size > reserved ||
        thing->store_size > reserved - thing->table_size ||
        thing->table_size == SIZE_MAX ||
        thing->table_size != table_size_for(type, (size_t)thing->capacity))
        return fail_damaged(type);
    return MP_OK;
}

static mp_error check_content(const mpi_shared_type *type,
                              const mpi_shared *shared)
{
    mp_error err = mpi_store_check(&shared->store);

    if (err == MP_OK && type->check != NULL)
        err = type->check(shared);
    return err;
}

static mp_error map(const mpi_shared_type *type, mpi_shared *shared)
{
    mpi_shared_thing thing;
    mp_error err = read_thing(type, shared, &thing);

    if (err != MP_OK)
        return err;
    shared->mapped_size = (size_t)(thing.table_size + thing.store_size);
    err = mpi_share_map_data(&shared->sync.share, shared->mapped_size,
                             &shared->table);
    if (err != MP_OK)
        return mpi_context(err, "can't map a %s", type->sync.resource.name);
    shared->capacity = (size_t)thing.capacity;
    shared->seed = thing.seed;
    shared->store = (mpi_store){
        .memory = (unsigned char *)shared->table + thing.table_size,
        .size = (size_t)thing.store_size,
        .roots = type->roots,
        .context = shared,
    };
    return check_content(type, shared);
}

bool mpi_shared_release(mpi_sync *sync)
{
    mpi_shared *shared = (mpi_shared *)sync;

    mpos_memory_unmap(shared->table, shared->mapped_size);
    shared->table = NULL;
    return true;
}

/* -- The lock -------------------------------------------------------------- */

static void repair(const mpi_shared_type *type, mpi_shared *shared)
{
    if (type->repair != NULL)
        type->repair(shared);
    mpi_store_rebuild(&shared->store);
}

/* Whoever dies in the middle of a repair leaves it to the next. */
static mp_error lock(const mpi_shared_type *type, mpi_shared *shared,
                     bool must_repair)
{
    mp_error err =
        mpi_word_lock(&thing_of(shared)->lock, &shared->sync.share, MP_FOREVER);

    if (err == MP_OWNER_DIED || (err == MP_OK && must_repair)) {
        repair(type, shared);
        return MP_OK;
    }
    return err;
}

mp_error mpi_shared_lock(const mpi_shared_type *type, void *object)
{
    if (!mpi_sync_is_ready(object, type->sync.kind)) {
        mp_error err = mpi_sync_check(&type->sync, object);

        if (err != MP_OK)
            return err;
    }
    return lock(type, object, false);
}

void mpi_shared_unlock(mpi_shared *shared)
{
    (void)mpi_word_unlock(&thing_of(shared)->lock, &shared->sync.share);
}

/* -- Making, opening ------------------------------------------------------- */

mp_error mpi_shared_create(const mpi_shared_type *type, size_t capacity,
                           const mp_shared_options *options, mpi_shared **out)
{
    mpi_shared_thing thing = {.capacity = 0};
    mpi_share_plan plan;
    mpi_sync *sync;
    mp_error err = plan_thing(type, capacity, options, &thing);

    if (err != MP_OK)
        return err;
    plan = plan_for(&thing);
    plan.kind = type->sync.kind;
    err = mpi_sync_make(&type->sync, &plan, &sync);
    if (err != MP_OK)
        return err;
    err = map(type, (mpi_shared *)sync);
    if (err != MP_OK) {
        mpi_sync_unref(&type->sync, sync);
        return err;
    }
    *out = (mpi_shared *)sync;
    return MP_OK;
}

/* A file may be from before a crash of the machine, which leaves what it had
 * written last: nobody has died then, and all may be wrong. */
static mp_error mend_file(const mpi_shared_type *type, mpi_shared *shared)
{
    mp_error err = lock(type, shared, true);

    if (err == MP_OK)
        mpi_shared_unlock(shared);
    return err;
}

/* With what complete() needs to know. */
typedef struct opening {
    mpi_open_request request; /* first */
    const mpi_shared_type *type;
} opening;

static mp_error complete(mpi_sync *sync, const mpi_open_request *request)
{
    const opening *it = (const opening *)(const void *)request;
    mp_error err = map(it->type, (mpi_shared *)sync);

    if (err == MP_OK && request->is_path)
        err = mend_file(it->type, (mpi_shared *)sync);
    return err;
}

mp_error mpi_shared_open(const mpi_shared_type *type, mpi_shared_place place,
                         size_t capacity, const mp_shared_options *options,
                         mpi_shared **out)
{
    bool must_exist = options != NULL && options->open.mode == MP_OPEN_EXISTING;
    mpi_shared_thing thing = {.capacity = 0};
    opening it = {
        .request =
            {
                .name = place.name,
                .is_path = place.is_path,
                .options = options == NULL ? NULL : &options->open,
                .complete = complete,
            },
        .type = type,
    };
    mpi_sync *sync;
    mp_error err = MP_OK;

    if (!must_exist)
        err = plan_thing(type, capacity, options, &thing);
    if (err != MP_OK)
        return err;
    it.request.plan = plan_for(&thing);
    err = mpi_sync_find(&type->sync, &it.request, &sync);
    if (err == MP_OK)
        *out = (mpi_shared *)sync;
    return err;
}

mp_error mpi_shared_rebuild(const mpi_resource_type *type, const mp_obj *state,
                            mpi_transport *transport, void **self)
{
    const mpi_shared_type *shared = (const mpi_shared_type *)(const void *)type;
    mpi_sync *sync;
    mp_error err = mpi_sync_rebuild(&shared->sync, state, transport, &sync);

    if (err != MP_OK)
        return err;
    err = map(shared, (mpi_shared *)sync);
    if (err != MP_OK) {
        mpi_sync_unref(&shared->sync, sync);
        return err;
    }
    *self = sync;
    return MP_OK;
}

mp_error mpi_shared_sync(const mpi_shared_type *type, void *object)
{
    mpi_shared *shared = object;
    mp_error err = mpi_sync_check(&type->sync, object);

    if (err != MP_OK)
        return err;
    return mpi_share_sync(&shared->sync.share, shared->table,
                          shared->mapped_size);
}
