/* SPDX-License-Identifier: MIT */
/* Value and Array: their lock, and what is done to the items with it. */
#include "internal.h"
#include "typed.h"

#include <string.h>

/* -- Checking -------------------------------------------------------------- */

mp_error mpi_typed_check(const mpi_sync_type *kind, void *object)
{
    mp_error err;

    if (mpi_sync_is_ready(object, kind->kind))
        return MP_OK;
    err = mpi_lifetime_check(object, kind->kind);
    /* Nobody attaches to what it only reads. */
    if (err == MP_OK &&
        mpi_share_is_read_only(&((const mpi_sync *)object)->share))
        return MP_OK;
    return err == MP_OK ? mpi_sync_check(kind, object) : err;
}

mp_error mpi_typed_check_writable(const mpi_sync_type *kind, void *object)
{
    mp_error err = mpi_typed_check(kind, object);

    if (err == MP_OK &&
        mpi_share_is_read_only(&((const mpi_sync *)object)->share))
        err = mpi_fail(MP_EACCES, "the %s is open for reading only",
                       kind->resource.name);
    return err;
}

/* -- The lock -------------------------------------------------------------- */

static mp_error fail_lockless(const mpi_sync_type *kind)
{
    return mpi_fail(MP_ENOTSUP, "the %s has no lock", kind->resource.name);
}

bool mpi_typed_has_lock(const mpi_typed *typed)
{
    return typed->rlock != NULL || typed->lock != NULL;
}

mp_error mpi_typed_acquire_slowly(const mpi_sync_type *kind, void *object,
                                  double timeout)
{
    const mpi_typed *typed = object;
    mp_error err = mpi_typed_check(kind, object);

    if (err != MP_OK)
        return err;
    if (typed->rlock != NULL)
        return mp_rlock_acquire(typed->rlock, timeout);
    if (typed->lock != NULL)
        return mp_lock_acquire(typed->lock, timeout);
    return fail_lockless(kind);
}

mp_error mpi_typed_release_slowly(const mpi_sync_type *kind, void *object)
{
    const mpi_typed *typed = object;
    mp_error err = mpi_typed_check(kind, object);

    if (err != MP_OK)
        return err;
    if (typed->rlock != NULL)
        return mp_rlock_release(typed->rlock);
    if (typed->lock != NULL)
        return mp_lock_release(typed->lock);
    return fail_lockless(kind);
}

mp_error mpi_typed_enter(mpi_typed *typed, mpi_typed_visit *visit)
{
    mp_error err = MP_OK;

    *visit = (mpi_typed_visit){.typed = typed};
    if (typed->rlock != NULL)
        err = mp_rlock_acquire(typed->rlock, MP_FOREVER);
    else if (typed->lock != NULL)
        err = mp_lock_acquire(typed->lock, MP_FOREVER);
    if (err != MP_OWNER_DIED)
        return err;
    visit->has_news = true;
    return MP_OK;
}

void mpi_typed_leave(const mpi_typed_visit *visit)
{
    mp_rlock *rlock = visit->typed->rlock;
    mp_lock *lock = visit->typed->lock;

    if (rlock != NULL && visit->has_news)
        mpi_rlock_pass_on(rlock);
    else if (rlock != NULL)
        (void)mp_rlock_release(rlock);
    else if (lock != NULL && visit->has_news)
        mpi_lock_pass_on(lock);
    else if (lock != NULL)
        (void)mp_lock_release(lock);
}

/* -- The items ------------------------------------------------------------- */

/* A damaged length is beyond what is there. */
static bool is_there(const mpi_typed *typed, uint64_t length)
{
    size_t size = 0;

    return length <= typed->capacity &&
           mpi_typed_size(&typed->type, length, &size) == MP_OK &&
           size <= mpi_share_data_size(&typed->sync.share);
}

/* Others may have made it grow. */
size_t mpi_typed_length(const mpi_typed *typed)
{
    uint64_t length = mpi_atomic64_load(mpi_typed_length_place(typed));

    if (typed->mapped_size == 0)
        return typed->capacity;
    if (length > typed->capacity)
        length = typed->capacity;
    return is_there(typed, length) ? (size_t)length : 0;
}

void *mpi_typed_item(const mpi_typed *typed, size_t index)
{
    return (char *)typed->sync.lifetime.items + index * typed->type.size;
}

/* With the lock held. */
static mp_error check_range(const mpi_typed *typed, size_t start, size_t count)
{
    size_t length = mpi_typed_length(typed);

    if (start <= length && count <= length - start)
        return MP_OK;
    return mpi_fail(MP_EINDEX,
                    "%zu items from %zu on are not in an Array of length %zu",
                    count, start, length);
}

mp_error mpi_typed_read(mpi_typed *typed, size_t start, void *items,
                        size_t count)
{
    mpi_typed_visit visit;
    mp_error err = mpi_typed_enter(typed, &visit);

    if (err != MP_OK)
        return err;
    err = check_range(typed, start, count);
    if (err == MP_OK && count > 0)
        memcpy(items, mpi_typed_item(typed, start), count * typed->type.size);
    mpi_typed_leave(&visit);
    return err;
}

mp_error mpi_typed_write(mpi_typed *typed, size_t start, const void *items,
                         size_t count)
{
    mpi_typed_visit visit;
    mp_error err = mpi_typed_enter(typed, &visit);

    if (err != MP_OK)
        return err;
    err = check_range(typed, start, count);
    if (err == MP_OK && count > 0)
        memcpy(mpi_typed_item(typed, start), items, count * typed->type.size);
    mpi_typed_leave(&visit);
    return err;
}

/* -- Growing, writing to the disk ------------------------------------------ */

/* Without a lock, somebody else may be making it longer still. What is damaged
 * is as good as 0, see mpi_typed_length(). */
static void raise_to(const mpi_typed *typed, uint64_t length)
{
    mpi_atomic64 *highest = mpi_typed_length_place(typed);
    uint64_t seen;

    do {
        seen = mpi_atomic64_load(highest);
        if (seen >= length && is_there(typed, seen))
            return;
    } while (!mpi_atomic64_change(highest, seen, length));
}

static mp_error grow(mpi_typed *typed, size_t length)
{
    size_t size = 0;
    mp_error err = mpi_typed_size(&typed->type, length, &size);

    if (err == MP_OK && size > mpi_share_data_size(&typed->sync.share))
        err = mpi_share_grow_data(&typed->sync.share, size);
    /* Last, so that nobody looks at what is not there. */
    if (err == MP_OK)
        raise_to(typed, length);
    return err;
}

mp_error mpi_typed_grow(mpi_typed *typed, size_t length)
{
    mpi_typed_visit visit;
    mp_error err;

    if (length > typed->capacity)
        return mpi_fail(MP_EOVERFLOW,
                        "a length of %zu is beyond the capacity of %zu", length,
                        typed->capacity);
    err = mpi_typed_enter(typed, &visit);
    if (err != MP_OK)
        return err;
    if (length > mpi_typed_length(typed))
        err = grow(typed, length);
    mpi_typed_leave(&visit);
    return err;
}

mp_error mpi_typed_sync(const mpi_sync_type *kind, void *object)
{
    const mpi_typed *typed = object;
    size_t size = 0;
    mp_error err = mpi_typed_check_writable(kind, object);

    if (err != MP_OK)
        return err;
    if (typed->mapped_size == 0)
        return mpi_share_sync(&typed->sync.share, NULL, 0);
    (void)mpi_typed_size(&typed->type, mpi_typed_length(typed), &size);
    return mpi_share_sync(&typed->sync.share, typed->sync.lifetime.items, size);
}

mp_error mpi_typed_copy(const mpi_sync_type *kind, mpi_typed *typed,
                        const mp_value_options *options, mpi_typed **out)
{
    mpi_typed_visit visit;
    mpi_typed_wish wish = {
        .type = typed->type,
        .initial = typed->sync.lifetime.items,
        .options = options,
    };
    mp_error err = mpi_typed_enter(typed, &visit);

    if (err != MP_OK)
        return err;
    wish.length = mpi_typed_length(typed);
    err = mpi_typed_create(kind, &wish, out);
    mpi_typed_leave(&visit);
    return err;
}
