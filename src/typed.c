/* SPDX-License-Identifier: MIT */
/* Value and Array: how they lie in shared memory, and how they are made, found
 * and sent. */
#include "typed.h"

#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SMALL = 4096,          /* with what describes it */
    CELL_ALIGNMENT = 16,   /* what a thing's memory has */
    MOST_ALIGNMENT = 4096, /* what mapped memory has on every system */
};

/* What describes the items, in shared memory. */
typedef struct typed_thing {
    mpi_atomic64 length;
    uint64_t capacity;
    uint32_t items; /* where in the thing they begin; 0: they are its data */
    uint16_t text_size; /* with the terminator */
    uint16_t has_lock;  /* that goes with it */
    char text[];        /* the type, see ctype.h */
} typed_thing;

mpi_atomic64 *mpi_typed_length_place(const mpi_typed *typed)
{
    typed_thing *thing = typed->sync.share.memory;

    return &thing->length;
}

mp_error mpi_typed_size(const mp_ctype *type, uint64_t count, size_t *size)
{
    if (count > ((uint64_t)PTRDIFF_MAX - 1) / type->size)
        return mpi_fail(MP_EOVERFLOW,
                        "%llu items of %zu bytes are more than there can be",
                        (unsigned long long)count, type->size);
    *size = (size_t)count * type->size + (type->code == 'c' ? 1 : 0);
    return MP_OK;
}

/* -- What is to be made ---------------------------------------------------- */

typedef struct layout {
    mpi_ctype_text text;
    size_t text_size;
    size_t capacity;
    size_t items;
    size_t thing_size;
    size_t data_size;
    size_t data_limit;
} layout;

static mp_error check_locks(const mpi_typed_wish *wish)
{
    const mp_value_options *options = wish->options;
    mp_error err = MP_OK;

    if ((options->lock != NULL) + (options->rlock != NULL) +
            options->has_no_lock >
        1)
        return mpi_fail(MP_EINVAL, "it can have a lock, an rlock or none, but "
                                   "only one of these");
    if (wish->name != NULL && (options->lock != NULL || options->rlock != NULL))
        return mpi_fail(MP_EINVAL,
                        "what has a name or a file has a lock of its own");
    if (options->lock != NULL)
        err = mpi_sync_check(&mpi_lock_kind, options->lock);
    if (options->rlock != NULL)
        err = mpi_sync_check(&mpi_rlock_kind, options->rlock);
    return err;
}

static mp_error check_wish(const mpi_sync_type *kind,
                           const mpi_typed_wish *wish)
{
    const mp_value_options *options = wish->options;

    if (options->is_read_only && !wish->is_path)
        return mpi_fail(MP_EINVAL, "only what is in a file is only read");
    if (options->capacity != 0 && options->capacity < wish->length)
        return mpi_fail(MP_EINVAL,
                        "a capacity of %zu is less than the length %zu",
                        options->capacity, wish->length);
    if (kind->kind == MPI_VALUE && options->capacity > 1)
        return mpi_fail(MP_EINVAL, "a Value does not grow");
    if (wish->type.alignment > MOST_ALIGNMENT)
        return mpi_fail(MP_EINVAL, "an alignment of %zu is more than %d",
                        wish->type.alignment, MOST_ALIGNMENT);
    return check_locks(wish);
}

static bool can_grow(const mpi_typed_wish *wish)
{
    return mpi_storage_grows(wish->is_path        ? MPI_STORAGE_FILE
                             : wish->name != NULL ? MPI_STORAGE_NAMED
                                                  : MPI_STORAGE_PRIVATE);
}

/* Where each part goes. */
static mp_error lay_out(const mpi_typed_wish *wish, layout *it)
{
    size_t full = 0, size = 0, begin;
    mp_error err = mpi_ctype_write(&wish->type, &it->text);

    if (err != MP_OK)
        return err;
    it->capacity =
        wish->options->capacity != 0 ? wish->options->capacity : wish->length;
    err = mpi_typed_size(&wish->type, it->capacity, &full);
    if (err == MP_OK)
        err = mpi_typed_size(&wish->type, wish->length, &size);
    if (err != MP_OK)
        return err;
    it->text_size = strlen(it->text.text) + 1;
    it->thing_size = sizeof(typed_thing) + it->text_size;
    begin =
        (it->thing_size + CELL_ALIGNMENT - 1) / CELL_ALIGNMENT * CELL_ALIGNMENT;
    if (it->capacity == wish->length && full <= SMALL - begin &&
        wish->type.alignment <= CELL_ALIGNMENT) {
        it->items = begin;
        it->thing_size = begin + full;
        it->data_size = it->data_limit = 0;
        return MP_OK;
    }
    it->items = 0;
    it->data_size = can_grow(wish) ? size : full;
    if (it->data_size == 0)
        it->data_size = 1;
    it->data_limit = full == 0 ? 1 : full;
    return MP_OK;
}

/* malloc'ed. */
static mp_error make_thing(const mpi_typed_wish *wish, const layout *it,
                           typed_thing **out)
{
    typed_thing *thing = mpi_calloc(1, it->thing_size);

    if (thing == NULL)
        return mpi_no_memory();
    mpi_atomic64_store(&thing->length, wish->length);
    thing->capacity = it->capacity;
    thing->items = (uint32_t)it->items;
    thing->text_size = (uint16_t)it->text_size;
    thing->has_lock = wish->name != NULL && !wish->options->has_no_lock;
    memcpy(thing->text, it->text.text, it->text_size);
    if (it->items != 0 && wish->initial != NULL)
        memcpy((char *)thing + it->items, wish->initial,
               wish->length * wish->type.size);
    *out = thing;
    return MP_OK;
}

static mpi_share_plan make_plan(const mpi_sync_type *kind, const layout *it,
                                const typed_thing *thing)
{
    return (mpi_share_plan){
        .storage = it->items != 0 ? MPI_STORAGE_COMMON : MPI_STORAGE_PRIVATE,
        .kind = kind->kind,
        .initial = thing,
        .initial_size = it->thing_size,
        .size = it->thing_size,
        .has_rlock = thing->has_lock != 0,
        .data_size = it->data_size,
        .data_limit = it->data_limit,
    };
}

/* -- What is there --------------------------------------------------------- */

static mp_error fail_damaged(const mpi_typed *typed)
{
    return mpi_fail(MP_EPROTO, "the %s is damaged",
                    mpi_share_kind_name((mpi_kind)typed->sync.lifetime.kind));
}

/* What shared memory said, when it was read. */
typedef struct description {
    mpi_ctype_text text;
    uint64_t length;
    uint64_t capacity;
    size_t items;
    size_t text_size;
    bool has_lock;
} description;

/* In a file it may be anything. */
static bool read_description(const mpi_share *share, description *out)
{
    const typed_thing *thing = share->memory;
    size_t room = mpi_share_size(share) - sizeof(*thing);
    char *text = out->text.text;

    out->text_size = thing->text_size;
    if (out->text_size == 0 || out->text_size > sizeof(out->text.text) ||
        out->text_size > room)
        return false;
    memcpy(text, thing->text, out->text_size);
    out->length = mpi_atomic64_load(&thing->length);
    out->capacity = thing->capacity;
    out->items = thing->items;
    out->has_lock = thing->has_lock != 0;
    return memchr(text, '\0', out->text_size) == text + out->text_size - 1;
}

/* The items are where they are said to be. */
static bool is_possible(const mpi_typed *typed, const description *it,
                        size_t *full)
{
    const mpi_share *share = &typed->sync.share;
    const mp_ctype *type = &typed->type;
    size_t thing_size = mpi_share_size(share), size = 0;

    if (mpi_typed_size(type, it->capacity, full) != MP_OK ||
        mpi_typed_size(type, it->length, &size) != MP_OK ||
        it->length > it->capacity)
        return false;
    if (typed->sync.lifetime.kind == MPI_VALUE &&
        (it->length != 1 || it->capacity != 1))
        return false;
    if (it->items == 0)
        return type->alignment <= MOST_ALIGNMENT &&
               size <= mpi_share_data_size(share);
    return it->items % CELL_ALIGNMENT == 0 &&
           it->items >= sizeof(typed_thing) + it->text_size &&
           it->items <= thing_size && *full <= thing_size - it->items &&
           it->length == it->capacity && type->alignment <= CELL_ALIGNMENT;
}

/* So that the items can be used; once for each object. */
static mp_error attach(mpi_typed *typed, description *it)
{
    const mpi_share *share = &typed->sync.share;
    size_t full = 0;
    mp_error err;

    if (!read_description(share, it))
        return fail_damaged(typed);
    typed->text = it->text;
    err = mpi_ctype_read(&typed->text, &typed->type);
    if (err != MP_OK)
        return err;
    if (!is_possible(typed, it, &full))
        return fail_damaged(typed);
    typed->capacity = (size_t)it->capacity;
    if (it->items != 0) {
        typed->sync.lifetime.items = (char *)share->memory + it->items;
        return MP_OK;
    }
    if (full == 0)
        full = 1;
    err = mpi_share_map_data(share, full, &typed->sync.lifetime.items);
    if (err == MP_OK)
        typed->mapped_size = full;
    return err;
}

bool mpi_typed_drop(mpi_sync *sync)
{
    mpi_typed *typed = (mpi_typed *)sync;

    if (typed->mapped_size > 0)
        mpos_memory_unmap(sync->lifetime.items, typed->mapped_size);
    typed->mapped_size = 0;
    sync->lifetime.items = NULL;
    if (typed->rlock != NULL)
        mpi_sync_unref(&mpi_rlock_kind, (mpi_sync *)typed->rlock);
    if (typed->lock != NULL)
        mpi_sync_unref(&mpi_lock_kind, (mpi_sync *)typed->lock);
    typed->rlock = NULL;
    typed->lock = NULL;
    return true;
}

/* -- Without a name -------------------------------------------------------- */

static void use_locks(mpi_typed *typed, mp_rlock *rlock, mp_lock *lock)
{
    typed->rlock = rlock;
    typed->lock = lock;
    if (rlock != NULL)
        mpi_sync_ref((mpi_sync *)rlock);
    if (lock != NULL)
        mpi_sync_ref((mpi_sync *)lock);
}

static mp_error give_lock(mpi_typed *typed, const mp_value_options *options)
{
    if (options->has_no_lock)
        return MP_OK;
    if (options->lock == NULL && options->rlock == NULL)
        return mpi_rlock_create_inner(&typed->rlock);
    use_locks(typed, options->rlock, options->lock);
    return MP_OK;
}

/* What is made is nobody else's yet. */
static mp_error finish(mpi_typed *typed, const mpi_typed_wish *wish)
{
    description there;
    mp_error err = attach(typed, &there);

    if (err == MP_OK)
        err = give_lock(typed, wish->options);
    if (err != MP_OK)
        return err;
    if (typed->mapped_size > 0 && wish->initial != NULL && wish->length > 0)
        memcpy(typed->sync.lifetime.items, wish->initial,
               wish->length * wish->type.size);
    return MP_OK;
}

static mp_error make(const mpi_sync_type *kind, const mpi_typed_wish *wish,
                     const layout *it, mpi_typed **out)
{
    typed_thing *thing;
    mpi_share_plan plan;
    mpi_sync *sync;
    mp_error err = make_thing(wish, it, &thing);

    if (err != MP_OK)
        return err;
    plan = make_plan(kind, it, thing);
    err = mpi_sync_make(kind, &plan, &sync);
    free(thing);
    if (err != MP_OK)
        return err;
    err = finish((mpi_typed *)sync, wish);
    if (err != MP_OK) {
        mpi_sync_unref(kind, sync);
        return mpi_context(err, "can't create a new %s", kind->resource.name);
    }
    *out = (mpi_typed *)sync;
    return MP_OK;
}

static const mp_value_options defaults;

mp_error mpi_typed_create(const mpi_sync_type *kind,
                          const mpi_typed_wish *asked, mpi_typed **out)
{
    mpi_typed_wish wish = *asked;
    layout it;
    mp_error err;

    if (wish.options == NULL)
        wish.options = &defaults;
    err = check_wish(kind, &wish);
    if (err == MP_OK)
        err = lay_out(&wish, &it);
    return err == MP_OK ? make(kind, &wish, &it, out) : err;
}

/* -- By name, or in a file ------------------------------------------------- */

typedef struct request {
    mpi_open_request open; /* first */
    const mpi_typed_wish *wish;
    const layout *layout;
} request;

typedef struct phrase {
    char text[MP_CTYPE_MAX + 64];
} phrase;

/* "of int of length 10"; in our words, whatever the user calls the type. */
static phrase describe(mpi_ctype_text text, const uint64_t *length)
{
    phrase out = {""};
    mp_ctype type;
    int size;

    if (mpi_ctype_read(&text, &type) != MP_OK)
        return out;
    size = snprintf(out.text, sizeof(out.text), "of %s", type.name);
    if (length != NULL)
        snprintf(out.text + size, sizeof(out.text) - (size_t)size,
                 " of length %llu", (unsigned long long)*length);
    return out;
}

static mp_error fail_different(const mpi_typed *typed, const request *asked,
                               const description *there)
{
    const mpi_typed_wish *wish = asked->wish;
    bool is_array = typed->sync.lifetime.kind == MPI_ARRAY;
    bool has_length = is_array && !wish->has_any_length;
    uint64_t length = wish->length;
    phrase found = describe(there->text, is_array ? &there->length : NULL);
    phrase wanted = describe(asked->layout->text, has_length ? &length : NULL);

    return mpi_fail(MP_ETYPE, "'%s' is %s %s, not %s%s", wish->name,
                    is_array ? "an Array" : "a Value", found.text, wanted.text,
                    strcmp(found.text, wanted.text) == 0 ? " with these fields"
                                                         : "");
}

static mp_error check_same(const mpi_typed *typed, const request *asked,
                           const description *there)
{
    const mpi_typed_wish *wish = asked->wish;

    if (strcmp(there->text.text, asked->layout->text.text) != 0 ||
        (!wish->has_any_length && there->length != wish->length))
        return fail_different(typed, asked, there);
    if (wish->options->is_read_only ||
        there->has_lock == !wish->options->has_no_lock)
        return MP_OK;
    return mpi_fail(MP_ETYPE, "'%s' has %s lock", wish->name,
                    there->has_lock ? "a" : "no");
}

/* The last step of mpi_sync_find(). */
static mp_error complete(mpi_sync *sync, const mpi_open_request *open)
{
    const request *asked = (const request *)(const void *)open;
    mpi_typed *typed = (mpi_typed *)sync;
    description there;
    mp_error err = attach(typed, &there);

    if (err != MP_OK)
        return mpi_context(err, "can't open '%s'", asked->wish->name);
    err = check_same(typed, asked, &there);
    if (err == MP_OK && there.has_lock && !mpi_share_is_read_only(&sync->share))
        err = mpi_rlock_open_beside(&sync->share, &typed->rlock);
    return err;
}

static mp_error find(const mpi_sync_type *kind, const mpi_typed_wish *wish,
                     const layout *it, mpi_typed **out)
{
    request asked = {
        .open = {.name = wish->name,
                 .is_path = wish->is_path,
                 .is_read_only = wish->options->is_read_only,
                 .options = &wish->options->open,
                 .complete = complete},
        .wish = wish,
        .layout = it,
    };
    typed_thing *thing;
    mpi_sync *sync;
    mp_error err = make_thing(wish, it, &thing);

    if (err != MP_OK)
        return err;
    asked.open.plan = make_plan(kind, it, thing);
    if (it->items == 0 && wish->initial != NULL)
        asked.open.plan.data =
            (mpos_bytes){wish->initial, wish->length * wish->type.size};
    err = mpi_sync_find(kind, &asked.open, &sync);
    free(thing);
    if (err == MP_OK)
        *out = (mpi_typed *)sync;
    return err;
}

mp_error mpi_typed_open(const mpi_sync_type *kind, const mpi_typed_wish *asked,
                        mpi_typed **out)
{
    mpi_typed_wish wish = *asked;
    layout it;
    mp_error err;

    if (wish.name == NULL)
        return mpi_fail(MP_EINVAL, "the %s is NULL",
                        wish.is_path ? "path" : "name");
    if (wish.options == NULL)
        wish.options = &defaults;
    err = check_wish(kind, &wish);
    if (err == MP_OK)
        err = lay_out(&wish, &it);
    return err == MP_OK ? find(kind, &wish, &it, out) : err;
}

/* -- Travelling ------------------------------------------------------------ */

/* (what the share says, the lock or None) */
mp_error mpi_typed_reduce(void *self, mpi_transport *transport, mp_obj **state)
{
    mpi_typed *typed = self;
    mp_obj *items[2];
    mp_obj *tuple;
    mp_error err;

    err = mpi_sync_reduce(self, transport, &items[0]);
    if (err != MP_OK)
        return err;
    if (typed->rlock != NULL)
        items[1] = mpi_obj_resource(&mpi_rlock_kind.resource, typed->rlock);
    else if (typed->lock != NULL)
        items[1] = mpi_obj_resource(&mpi_lock_kind.resource, typed->lock);
    else
        items[1] = mp_obj_none();
    tuple = mp_obj_tuple(items, 2);
    if (mp_obj_error(tuple) != MP_OK)
        return mp_obj_error(tuple);
    *state = tuple;
    return MP_OK;
}

mp_error mpi_typed_rebuild(const mpi_resource_type *type, const mp_obj *state,
                           mpi_transport *transport, void **self)
{
    const mpi_sync_type *kind = (const mpi_sync_type *)type;
    const mp_obj *place, *object;
    description there;
    mp_rlock *rlock;
    mp_lock *lock;
    mpi_sync *sync;
    mp_error err;

    if (mp_obj_type(state) != MP_TYPE_TUPLE ||
        mp_obj_item(state, 0, &place) != MP_OK ||
        mp_obj_item(state, 1, &object) != MP_OK)
        return mpi_fail(MP_EUNPICKLE, "this is no %s", type->name);
    rlock = mpi_obj_resource_self(object, &mpi_rlock_kind.resource);
    lock = mpi_obj_resource_self(object, &mpi_lock_kind.resource);
    if (rlock == NULL && lock == NULL && !mp_obj_is_none(object))
        return mpi_fail(MP_EUNPICKLE, "the %s came without its lock",
                        type->name);
    err = mpi_sync_rebuild(kind, place, transport, &sync);
    if (err != MP_OK)
        return err;
    use_locks((mpi_typed *)sync, rlock, lock);
    err = attach((mpi_typed *)sync, &there);
    if (err != MP_OK) {
        mpi_sync_unref(kind, sync);
        return err;
    }
    *self = sync;
    return MP_OK;
}
