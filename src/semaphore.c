/* SPDX-License-Identifier: MIT */
/*
 * Semaphore and BoundedSemaphore: the count is a word (word.h); how far it may
 * grow and what it began with lie beside it and never change.
 *
 * A permit that nobody waits for is taken and given here, with one
 * compare-and-swap; all else is word.c's, or the system's where a named
 * semaphore is an object of its own.
 */
#include "internal.h"
#include "sync.h"

#include <multiproc/semaphore.h>

/* In shared memory. */
typedef struct permits {
    mpos_word count;
    uint32_t bound;
    uint32_t initial;
} permits;

struct mp_semaphore {
    mpi_sync sync;
};

static permits *permits_of(const mp_semaphore *semaphore)
{
    return semaphore->sync.share.memory;
}

void mpi_semaphore_describe(const void *memory, uint32_t *value,
                            uint32_t *maximum)
{
    const permits *it = memory;

    *value = it->initial;
    *maximum = it->bound;
}

static mp_error check(mp_semaphore *semaphore)
{
    if (mpi_sync_is_ready(semaphore, MPI_SEMAPHORE))
        return MP_OK;
    return mpi_sync_check(&mpi_semaphore_kind, semaphore);
}

/* -- Travelling ------------------------------------------------------------ */

const mpi_sync_type mpi_semaphore_kind = {
    .resource = MPI_SYNC_RESOURCE("Semaphore", mpi_sync_reduce_any,
                                  mpi_sync_rebuild_any),
    .kind = MPI_SEMAPHORE,
    .size = sizeof(mp_semaphore),
};

mp_obj *mp_obj_semaphore(mp_semaphore *semaphore)
{
    return mpi_sync_box(&mpi_semaphore_kind, semaphore);
}

mp_error mp_obj_as_semaphore(const mp_obj *obj, mp_semaphore **out)
{
    mpi_sync *sync;
    mp_error err = mpi_sync_unbox(&mpi_semaphore_kind, obj, &sync);

    if (err == MP_OK)
        *out = (mp_semaphore *)sync;
    return err;
}

/* -- Making ---------------------------------------------------------------- */

static mp_error describe(mp_semaphore **out, int64_t value, bool is_bounded,
                         permits *initial)
{
    mp_error err = mpi_sync_check_out(&mpi_semaphore_kind, out);

    if (err != MP_OK)
        return err;
    if (value < 0)
        return mpi_fail(MP_EINVAL, "a semaphore can't begin with %lld permits",
                        (long long)value);
    if (value > MP_SEMAPHORE_MAX)
        return mpi_fail(MP_EOVERFLOW,
                        "a semaphore can't have %lld permits: at most %d",
                        (long long)value, MP_SEMAPHORE_MAX);
    *initial = (permits){.initial = (uint32_t)value};
    mpi_atomic32_store(&initial->count.value, (uint32_t)value);
    initial->bound = is_bounded ? (uint32_t)value : MP_SEMAPHORE_MAX;
    return MP_OK;
}

static mp_error create(mp_semaphore **out, int64_t value, bool is_bounded)
{
    permits initial;
    mpi_sync *sync;
    mp_error err = describe(out, value, is_bounded, &initial);

    if (err == MP_OK)
        err = mpi_sync_create(&mpi_semaphore_kind, &initial, sizeof(initial),
                              sizeof(initial), &sync);
    if (err == MP_OK)
        *out = (mp_semaphore *)sync;
    return err;
}

mp_error mp_semaphore_create(mp_semaphore **out, int64_t value)
{
    return create(out, value, false);
}

mp_error mp_bounded_semaphore_create(mp_semaphore **out, int64_t value)
{
    return create(out, value, true);
}

static mp_error is_same(const mpi_share *share, const void *wanted)
{
    const permits *there = share->memory;
    const permits *here = wanted;

    if (there->bound == here->bound && there->initial == here->initial)
        return MP_OK;
    return mpi_fail(MP_EEXIST,
                    "the semaphore exists already, created with %lu permits "
                    "of at most %lu, not with %lu of at most %lu",
                    (unsigned long)there->initial, (unsigned long)there->bound,
                    (unsigned long)here->initial, (unsigned long)here->bound);
}

static mp_error open_or_create(mp_semaphore **out, const char *name,
                               const permits *initial,
                               const mp_open_options *options)
{
    const mpi_open_request request = {
        .name = name,
        .options = options,
        .plan = {.initial = initial,
                 .initial_size = sizeof(*initial),
                 .size = sizeof(*initial)},
        .is_same = is_same,
    };
    mpi_sync *sync;
    mp_error err = mpi_sync_find(&mpi_semaphore_kind, &request, &sync);

    if (err == MP_OK)
        *out = (mp_semaphore *)sync;
    return err;
}

mp_error mp_semaphore_open(mp_semaphore **out, const char *name, int64_t value,
                           const mp_open_options *options)
{
    permits initial;
    mp_error err = describe(out, value, false, &initial);

    return err != MP_OK ? err : open_or_create(out, name, &initial, options);
}

mp_error mp_bounded_semaphore_open(mp_semaphore **out, const char *name,
                                   int64_t value,
                                   const mp_open_options *options)
{
    permits initial;
    mp_error err = describe(out, value, true, &initial);

    return err != MP_OK ? err : open_or_create(out, name, &initial, options);
}

/* -- Permits --------------------------------------------------------------- */

static bool is_word(const mp_semaphore *semaphore)
{
    return mpi_sync_is_ready(semaphore, MPI_SEMAPHORE) &&
           semaphore->sync.object == MPOS_NONE;
}

static MPI_SELDOM mp_error acquire_slowly(mp_semaphore *semaphore,
                                          double timeout)
{
    mp_error err = check(semaphore);

    if (err != MP_OK)
        return err;
    if (semaphore->sync.object != MPOS_NONE)
        return mpos_object_wait(semaphore->sync.object, mpi_deadline(timeout));
    return mpi_word_take(&permits_of(semaphore)->count, &semaphore->sync.share,
                         timeout);
}

/* False: there is none, or the word has just changed. */
static bool take_at_once(permits *it)
{
    uint32_t value = mpi_atomic32_load(&it->count.value);

    return (value & INT32_MAX) != 0 &&
           mpi_atomic32_change(&it->count.value, value, value - 1);
}

mp_error mp_semaphore_acquire(mp_semaphore *semaphore, double timeout)
{
    if (is_word(semaphore) && take_at_once(permits_of(semaphore)))
        return MP_OK;
    return acquire_slowly(semaphore, timeout);
}

static mp_error give_to_object(mp_semaphore *semaphore, uint32_t count)
{
    if (count > permits_of(semaphore)->bound)
        return mpi_fail(
            MP_ESTATE, "released too often: %lu would be more than %lu",
            (unsigned long)count, (unsigned long)permits_of(semaphore)->bound);
    return mpos_object_signal(MPOS_OBJECT_SEMAPHORE, semaphore->sync.object,
                              count);
}

/* False: somebody waits, it is full, or the word has just changed. */
static bool give_at_once(permits *it)
{
    uint32_t value = mpi_atomic32_load(&it->count.value);

    /* A word with MPI_WORD_WAITERS is larger than any bound. */
    return value < it->bound &&
           mpi_atomic32_change(&it->count.value, value, value + 1);
}

static MPI_SELDOM mp_error release_slowly(mp_semaphore *semaphore)
{
    mp_error err = check(semaphore);
    permits *it;

    if (err != MP_OK)
        return err;
    if (semaphore->sync.object != MPOS_NONE)
        return give_to_object(semaphore, 1);
    it = permits_of(semaphore);
    return mpi_word_give(&it->count, &semaphore->sync.share, 1, it->bound);
}

mp_error mp_semaphore_release(mp_semaphore *semaphore)
{
    if (is_word(semaphore) && give_at_once(permits_of(semaphore)))
        return MP_OK;
    return release_slowly(semaphore);
}

mp_error mp_semaphore_release_many(mp_semaphore *semaphore, uint32_t count)
{
    mp_error err = check(semaphore);
    permits *it;

    if (err != MP_OK)
        return err;
    if (count == 0)
        return mpi_fail(MP_EINVAL, "0 permits can't be released");
    if (semaphore->sync.object != MPOS_NONE)
        return give_to_object(semaphore, count);
    it = permits_of(semaphore);
    return mpi_word_give(&it->count, &semaphore->sync.share, count, it->bound);
}

mp_error mp_semaphore_get_value(mp_semaphore *semaphore, int64_t *out)
{
    mp_error err = check(semaphore);
    uint32_t value;

    if (err != MP_OK)
        return err;
    if (out == NULL)
        return mpi_fail(MP_EINVAL, "there is nowhere to put the value");
    if (semaphore->sync.object != MPOS_NONE) {
        err = mpos_object_value(MPOS_OBJECT_SEMAPHORE, semaphore->sync.object,
                                &value);
        if (err != MP_OK)
            return err;
    } else {
        value = mpi_word_count(&permits_of(semaphore)->count);
    }
    *out = value;
    return MP_OK;
}

mp_error mp_semaphore_close(mp_semaphore *semaphore)
{
    return mpi_sync_close(&mpi_semaphore_kind, semaphore);
}
