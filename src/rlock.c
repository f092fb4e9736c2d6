/* SPDX-License-Identifier: MIT */
/*
 * RLock: one word, whose owner is a process, and beside it which thread of
 * that process it is, and how often it has acquired. Only the owner writes
 * these, and nobody believes them unless the word says that it is this very
 * process. A thread is known by a random number: what a dead owner has left
 * there must not look like a thread of whoever takes over, as an address could,
 * which is the same in all children of a fork.
 *
 * Each thread keeps a list of the objects through which it has acquired, to
 * give them up as one that has died when it ends. One that is closed by another
 * thread meanwhile lives on until then.
 */
#include <multiproc/lock.h>

#include "internal.h"
#include "sync.h"

struct mp_rlock {
    mpi_sync sync;
    mpi_atomic32 held_by; /* this process's number: it is in a thread's list */
    mpi_atomic32 is_left; /* it was closed while it was: that list's to free */
    mp_rlock *next;       /* in the list */
};

typedef struct rlock_thing {
    mpos_word word; /* first: see mpi_share_owner_is_alive() */
    mpi_atomic64 thread;
    uint32_t count;
} rlock_thing;

_Static_assert(sizeof(rlock_thing) == MPI_RLOCK_SIZE, "it is made elsewhere");

static MPI_THREAD_LOCAL struct {
    mp_rlock *held;
    uint64_t id; /* 0: this thread has had none yet, and its end is not seen */
} mine;

static rlock_thing *thing_of(const mp_rlock *lock)
{
    return lock->sync.share.memory;
}

static bool is_mine(const mp_rlock *lock)
{
    const rlock_thing *thing = thing_of(lock);

    return mine.id != 0 &&
           mpi_word_owner(&thing->word) == mpi_share_self(&lock->sync.share) &&
           mpi_atomic64_load(&thing->thread) == mine.id;
}

/* -- What a thread holds --------------------------------------------------- */

static void add_held(mp_rlock *lock)
{
    lock->next = mine.held;
    mine.held = lock;
    mpi_atomic32_store(&lock->held_by, mpi_share_self(&lock->sync.share));
}

static void let_go(mp_rlock *lock)
{
    mpi_atomic32_store(&lock->held_by, 0);
    if (mpi_atomic32_load(&lock->is_left) != 0)
        mpi_sync_unref(&mpi_rlock_kind, &lock->sync);
}

/* Of this lock: it need not have been acquired through this object. As a rule
 * it is the first. Returns it, still held. */
static mp_rlock *remove_held(const mp_rlock *lock)
{
    mp_rlock **link = &mine.held;
    mp_rlock *found;

    while (*link != NULL && thing_of(*link) != thing_of(lock))
        link = &(*link)->next;
    found = *link;
    if (found != NULL)
        *link = found->next;
    return found;
}

/* One of the system's own knows by itself. */
static void give_up(mp_rlock *lock)
{
    rlock_thing *thing = thing_of(lock);

    mpi_atomic64_store(&thing->thread, 0);
    if (lock->sync.object == MPOS_NONE)
        mpi_word_give_up(&thing->word, &lock->sync.share);
}

static void at_thread_end(void)
{
    mp_rlock *next;

    for (mp_rlock *lock = mine.held; lock != NULL; lock = next) {
        next = lock->next;
        give_up(lock);
        let_go(lock);
    }
    mine.held = NULL;
    mine.id = 0;
}

static mp_error know_thread(void)
{
    uint64_t id;
    mp_error err = mpos_random(&id, sizeof(id));

    if (err == MP_OK)
        err = mpos_at_thread_end(at_thread_end);
    if (err == MP_OK)
        mine.id = id | 1;
    return err;
}

/* The child's thread is another one. */
void mpi_rlocks_after_fork(void)
{
    mine.held = NULL;
    mine.id = 0;
}

/* -- Travelling ------------------------------------------------------------ */

/* Through this very object, by this thread. */
static bool drop_held(const mp_rlock *lock)
{
    mp_rlock **link = &mine.held;

    while (*link != NULL && *link != lock)
        link = &(*link)->next;
    if (*link == NULL)
        return false;
    *link = lock->next;
    return true;
}

/* Closed while it is held: it stays locked; closed by another thread, it also
 * stays open, for the holder's list. */
static bool rlock_release(mpi_sync *sync)
{
    mp_rlock *lock = (mp_rlock *)sync;
    uint32_t holder = mpi_atomic32_load(&lock->held_by);

    if (holder == 0 || holder != mpi_share_self(&sync->share) ||
        drop_held(lock))
        return true;
    mpi_sync_ref(sync);
    mpi_atomic32_store(&lock->is_left, 1);
    return false;
}

const mpi_sync_type mpi_rlock_kind = {
    .resource =
        MPI_SYNC_RESOURCE("RLock", mpi_sync_reduce_any, mpi_sync_rebuild_any),
    .kind = MPI_RLOCK,
    .size = sizeof(mp_rlock),
    .release = rlock_release,
};

mp_obj *mp_obj_rlock(mp_rlock *lock)
{
    return mpi_sync_box(&mpi_rlock_kind, lock);
}

mp_error mp_obj_as_rlock(const mp_obj *obj, mp_rlock **out)
{
    mpi_sync *sync;
    mp_error err = mpi_sync_unbox(&mpi_rlock_kind, obj, &sync);

    if (err == MP_OK)
        *out = (mp_rlock *)sync;
    return err;
}

/* -- Making and closing ---------------------------------------------------- */

mp_error mp_rlock_create(mp_rlock **out)
{
    mpi_sync *sync;
    mp_error err = mpi_sync_check_out(&mpi_rlock_kind, out);

    if (err == MP_OK)
        err = mpi_sync_create(&mpi_rlock_kind, NULL, 0, sizeof(rlock_thing),
                              &sync);
    if (err == MP_OK)
        *out = (mp_rlock *)sync;
    return err;
}

mp_error mp_rlock_open(mp_rlock **out, const char *name,
                       const mp_open_options *options)
{
    const rlock_thing unlocked = {.count = 0};
    mpi_sync *sync;
    mp_error err = mpi_sync_check_out(&mpi_rlock_kind, out);

    if (err == MP_OK)
        err = mpi_sync_open(&mpi_rlock_kind, name, options, &unlocked,
                            sizeof(unlocked), &sync);
    if (err == MP_OK)
        *out = (mp_rlock *)sync;
    return err;
}

mp_error mpi_rlock_create_inner(mp_rlock **out)
{
    mp_error err = mp_rlock_create(out);

    if (err == MP_OK)
        (*out)->sync.owner = MPI_SYNC_OBJECTS;
    return err;
}

mp_error mpi_rlock_open_beside(const mpi_share *share, mp_rlock **out)
{
    mpi_sync *sync = mpi_sync_new(&mpi_rlock_kind);
    mp_error err;

    if (sync == NULL)
        return mpi_no_memory();
    err = mpi_share_open_rlock(share, &sync->share);
    if (err != MP_OK) {
        mpi_sync_unref(&mpi_rlock_kind, sync);
        return err;
    }
    *out = (mp_rlock *)sync;
    return MP_OK;
}

bool mp_rlock_is_locked(mp_rlock *lock)
{
    return mpi_sync_check(&mpi_rlock_kind, lock) == MP_OK &&
           mpi_sync_is_owned(&thing_of(lock)->word);
}

mp_error mp_rlock_close(mp_rlock *lock)
{
    return mpi_sync_close(&mpi_rlock_kind, lock);
}

/* -- Acquiring and releasing ----------------------------------------------- */

/* The word follows the object, so that is_mine() holds for both. */
static mp_error lock_object(mp_rlock *lock, double timeout)
{
    mpos_word *word = &thing_of(lock)->word;
    mp_error err = mpos_object_wait(lock->sync.object, mpi_deadline(timeout));

    if (err != MP_OK && err != MP_OWNER_DIED)
        return err;
    if (mpi_word_owner(word) == MPI_OWNER_DIED)
        err = MP_OWNER_DIED; /* which the last one passed on */
    mpi_atomic32_store(&word->value, mpi_share_self(&lock->sync.share));
    return err;
}

static mp_error unlock_object(mp_rlock *lock)
{
    mpi_atomic32_store(&thing_of(lock)->word.value, MPI_NOBODY);
    return mpos_object_signal(MPOS_OBJECT_MUTEX, lock->sync.object, 1);
}

/* The word says already that this process has it. */
static void begin_holding(mp_rlock *lock, uint32_t count)
{
    rlock_thing *thing = thing_of(lock);

    mpi_atomic64_store(&thing->thread, mine.id);
    thing->count = count;
    add_held(lock);
}

static mp_error acquire_first(mp_rlock *lock, uint32_t count, double timeout)
{
    rlock_thing *thing = thing_of(lock);
    mp_error err;

    if (mine.id == 0) {
        err = know_thread();
        if (err != MP_OK)
            return err;
    }
    err = lock->sync.object == MPOS_NONE
              ? mpi_word_lock(&thing->word, &lock->sync.share, timeout)
              : lock_object(lock, timeout);
    if (err != MP_OK && err != MP_OWNER_DIED)
        return err;
    begin_holding(lock, count);
    return err;
}

static mp_error release_last(mp_rlock *lock)
{
    rlock_thing *thing = thing_of(lock);
    mp_rlock *held = remove_held(lock);
    mp_error err;

    mpi_atomic64_store(&thing->thread, 0);
    err = lock->sync.object == MPOS_NONE
              ? mpi_word_unlock(&thing->word, &lock->sync.share)
              : unlock_object(lock);
    if (held != NULL)
        let_go(held);
    return err;
}

void mpi_rlock_pass_on(mp_rlock *lock)
{
    mp_rlock *held = remove_held(lock);

    give_up(lock);
    if (lock->sync.object != MPOS_NONE) {
        mpi_atomic32_store(&thing_of(lock)->word.value, MPI_OWNER_DIED);
        (void)mpos_object_signal(MPOS_OBJECT_MUTEX, lock->sync.object, 1);
    }
    if (held != NULL)
        let_go(held);
}

static MPI_SELDOM mp_error acquire_slowly(mp_rlock *lock, double timeout)
{
    if (!mpi_sync_is_ready(lock, MPI_RLOCK)) {
        mp_error err = mpi_sync_check(&mpi_rlock_kind, lock);
        if (err != MP_OK)
            return err;
    }
    if (!is_mine(lock))
        return acquire_first(lock, 1, timeout);
    if (thing_of(lock)->count == UINT32_MAX)
        return mpi_fail(MP_EOVERFLOW, "the RLock is acquired too often");
    thing_of(lock)->count++;
    return MP_OK;
}

/* By one compare-and-swap, if this thread has had one before and nobody else
 * has this one. */
mp_error mp_rlock_acquire(mp_rlock *lock, double timeout)
{
    uint32_t self = mpi_sync_self(lock, MPI_RLOCK);

    if (self == 0 || mine.id == 0 || mine.held == lock ||
        lock->sync.object != MPOS_NONE ||
        !mpi_atomic32_change(&thing_of(lock)->word.value, MPI_NOBODY, self))
        return acquire_slowly(lock, timeout);
    begin_holding(lock, 1);
    return MP_OK;
}

mp_error mpi_rlock_check_owned(mp_rlock *lock)
{
    if (is_mine(lock))
        return MP_OK;
    return mpi_fail(MP_ENOTOWNER, "this thread has not acquired the RLock");
}

static MPI_SELDOM mp_error release_slowly(mp_rlock *lock)
{
    if (!mpi_sync_is_ready(lock, MPI_RLOCK)) {
        mp_error err = mpi_sync_check(&mpi_rlock_kind, lock);
        if (err != MP_OK)
            return err;
    }
    if (!is_mine(lock))
        return mpi_rlock_check_owned(lock);
    if (--thing_of(lock)->count > 0)
        return MP_OK;
    return release_last(lock);
}

/* What this thread has acquired last, and once. */
mp_error mp_rlock_release(mp_rlock *lock)
{
    uint32_t self = mpi_sync_self(lock, MPI_RLOCK);
    rlock_thing *thing;
    mp_error err = MP_OK;

    if (self == 0 || mine.held != lock || thing_of(lock)->count != 1 ||
        lock->sync.object != MPOS_NONE || !is_mine(lock))
        return release_slowly(lock);
    thing = thing_of(lock);
    mine.held = lock->next;
    mpi_atomic64_store(&thing->thread, 0);
    if (!mpi_atomic32_change(&thing->word.value, self, MPI_NOBODY))
        err = mpi_word_unlock_slowly(&thing->word, &lock->sync.share);
    let_go(lock);
    return err;
}

mp_error mpi_rlock_release_all(mp_rlock *lock, uint32_t *count)
{
    mp_error err = mpi_rlock_check_owned(lock);

    if (err != MP_OK)
        return err;
    *count = thing_of(lock)->count;
    return release_last(lock);
}

mp_error mpi_rlock_acquire_again(mp_rlock *lock, uint32_t count)
{
    return acquire_first(lock, count, MP_FOREVER);
}
