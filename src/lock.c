/* SPDX-License-Identifier: MIT */
/* Lock: one word, whose owner is a process. */
#include <multiproc/lock.h>

#include "internal.h"
#include "sync.h"

struct mp_lock {
    mpi_sync sync;
};

typedef struct lock_thing {
    mpos_word word; /* first: see mpi_share_owner_is_alive() */
} lock_thing;

static mpos_word *word_of(const mp_lock *lock)
{
    return &((lock_thing *)lock->sync.share.memory)->word;
}

/* -- Travelling ------------------------------------------------------------ */

const mpi_sync_type mpi_lock_kind = {
    .resource =
        MPI_SYNC_RESOURCE("Lock", mpi_sync_reduce_any, mpi_sync_rebuild_any),
    .kind = MPI_LOCK,
    .size = sizeof(mp_lock),
};

mp_obj *mp_obj_lock(mp_lock *lock)
{
    return mpi_sync_box(&mpi_lock_kind, lock);
}

mp_error mp_obj_as_lock(const mp_obj *obj, mp_lock **out)
{
    mpi_sync *sync;
    mp_error err = mpi_sync_unbox(&mpi_lock_kind, obj, &sync);

    if (err == MP_OK)
        *out = (mp_lock *)sync;
    return err;
}

/* -- Making, using, closing ------------------------------------------------ */

mp_error mp_lock_create(mp_lock **out)
{
    mpi_sync *sync;
    mp_error err = mpi_sync_check_out(&mpi_lock_kind, out);

    if (err == MP_OK)
        err =
            mpi_sync_create(&mpi_lock_kind, NULL, 0, sizeof(lock_thing), &sync);
    if (err == MP_OK)
        *out = (mp_lock *)sync;
    return err;
}

mp_error mp_lock_open(mp_lock **out, const char *name,
                      const mp_open_options *options)
{
    const lock_thing unlocked = {0};
    mpi_sync *sync;
    mp_error err = mpi_sync_check_out(&mpi_lock_kind, out);

    if (err == MP_OK)
        err = mpi_sync_open(&mpi_lock_kind, name, options, &unlocked,
                            sizeof(unlocked), &sync);
    if (err == MP_OK)
        *out = (mp_lock *)sync;
    return err;
}

static MPI_SELDOM mp_error acquire_slowly(mp_lock *lock, double timeout)
{
    mp_error err = mpi_sync_check(&mpi_lock_kind, lock);

    if (err != MP_OK)
        return err;
    return mpi_word_lock(word_of(lock), &lock->sync.share, timeout);
}

mp_error mp_lock_acquire(mp_lock *lock, double timeout)
{
    uint32_t self = mpi_sync_self(lock, MPI_LOCK);

    if (self != 0 &&
        mpi_atomic32_change(&word_of(lock)->value, MPI_NOBODY, self))
        return MP_OK;
    return acquire_slowly(lock, timeout);
}

static MPI_SELDOM mp_error release_slowly(mp_lock *lock)
{
    mp_error err = mpi_sync_check(&mpi_lock_kind, lock);

    if (err != MP_OK)
        return err;
    return mpi_word_unlock(word_of(lock), &lock->sync.share);
}

mp_error mp_lock_release(mp_lock *lock)
{
    uint32_t self = mpi_sync_self(lock, MPI_LOCK);

    if (self != 0 &&
        mpi_atomic32_change(&word_of(lock)->value, self, MPI_NOBODY))
        return MP_OK;
    return release_slowly(lock);
}

bool mp_lock_is_locked(mp_lock *lock)
{
    return mpi_sync_check(&mpi_lock_kind, lock) == MP_OK &&
           mpi_sync_is_owned(word_of(lock));
}

void mpi_lock_pass_on(mp_lock *lock)
{
    mpi_word_give_up(word_of(lock), &lock->sync.share);
}

mp_error mp_lock_close(mp_lock *lock)
{
    return mpi_sync_close(&mpi_lock_kind, lock);
}

mp_error mpi_lock_check_owned(mp_lock *lock)
{
    if (mpi_word_owner(word_of(lock)) == mpi_share_self(&lock->sync.share))
        return MP_OK;
    return mpi_fail(MP_ENOTOWNER, "this process has not acquired the Lock");
}
