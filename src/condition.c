/* SPDX-License-Identifier: MIT */
/*
 * Condition: who waits takes a ticket, and who notifies says up to which ticket
 * how many may go. Nobody answers anybody, so that nobody waits for the dead.
 *
 * - All numbers change only with the user's lock held; the lock is what makes
 *   the rest of this file simple.
 * - A waiter that seems to have its turn takes the lock again and looks there:
 *   there is a signal and its ticket is old enough, or it goes back to sleep.
 *   Who comes after a notification can't take it.
 * - A signal is taken by whoever uses it. One meant for a process that was
 *   killed is still there when the others look, MPI_LOOK_INTERVAL later.
 * - `waiters` counts the killed as well. It only decides when a notification is
 *   one for all, which sets it right; until then somebody may be woken early.
 * - Who is woken while the notifier has the lock only goes to sleep on that. If
 *   nobody can release the lock but through the condition, because it is the
 *   condition's own, those to be woken are noted, and woken after it.
 * - Each store leaves a state that the next owner of the lock can go on from.
 */
#include "internal.h"
#include "sync.h"

#include <multiproc/condition.h>

/* In shared memory. Atomic, because sleepers look without the lock. */
typedef struct bench {
    mpos_word sequence;     /* how often somebody notified */
    mpi_atomic64 tickets;   /* how many were given out */
    mpi_atomic64 limit;     /* tickets below may use a signal */
    mpi_atomic64 all_limit; /* tickets below need none */
    mpi_atomic32 signals;   /* that nobody has used yet */
    mpi_atomic32 waiters;   /* with a ticket not below all_limit */
    mpi_atomic32 unwoken;   /* to be woken when the lock is released */
    uint32_t is_private;    /* the lock */
} bench;

struct mp_condition {
    mpi_sync sync;
    /* One of them, with a reference. */
    mp_lock *lock;
    mp_rlock *rlock;
};

static bench *bench_of(const mp_condition *condition)
{
    return condition->sync.share.memory;
}

static mp_error check_lock(mp_condition *condition)
{
    if (condition->rlock != NULL)
        return mpi_sync_is_ready(condition->rlock, MPI_RLOCK)
                   ? MP_OK
                   : mpi_sync_check(&mpi_rlock_kind, condition->rlock);
    return mpi_sync_is_ready(condition->lock, MPI_LOCK)
               ? MP_OK
               : mpi_sync_check(&mpi_lock_kind, condition->lock);
}

static mp_error check(mp_condition *condition)
{
    mp_error err = mpi_sync_is_ready(condition, MPI_CONDITION)
                       ? MP_OK
                       : mpi_sync_check(&mpi_condition_kind, condition);

    return err != MP_OK ? err : check_lock(condition);
}

/* -- The lock -------------------------------------------------------------- */

static mp_error check_owned(mp_condition *condition)
{
    mp_error err = check(condition);

    if (err != MP_OK)
        return err;
    return condition->rlock != NULL ? mpi_rlock_check_owned(condition->rlock)
                                    : mpi_lock_check_owned(condition->lock);
}

/* With the lock held, which is then released. */
static uint32_t take_unwoken(bench *it)
{
    uint32_t count = mpi_atomic32_load(&it->unwoken);

    if (count != 0)
        mpi_atomic32_store(&it->unwoken, 0);
    return count;
}

static void wake(mp_condition *condition, uint32_t count)
{
    mpi_share *share = &condition->sync.share;

    if (count != 0 && mpi_share_queue(share) == MP_OK)
        mpos_word_wake(&bench_of(condition)->sequence,
                       mpi_share_queue_of(share), count);
}

static mp_error release_all(mp_condition *condition, uint32_t *count)
{
    return condition->rlock != NULL
               ? mpi_rlock_release_all(condition->rlock, count)
               : mp_lock_release(condition->lock);
}

static mp_error acquire_again(mp_condition *condition, uint32_t count)
{
    return condition->rlock != NULL
               ? mpi_rlock_acquire_again(condition->rlock, count)
               : mp_lock_acquire(condition->lock, MP_FOREVER);
}

static bool condition_release(mpi_sync *sync)
{
    mp_condition *condition = (mp_condition *)sync;

    if (condition->lock != NULL)
        mpi_sync_unref(&mpi_lock_kind, (mpi_sync *)condition->lock);
    if (condition->rlock != NULL)
        mpi_sync_unref(&mpi_rlock_kind, (mpi_sync *)condition->rlock);
    return true;
}

/* -- Travelling ------------------------------------------------------------ */

/* (what the share says, the lock) */
static mp_error condition_reduce(void *self, mpi_transport *transport,
                                 mp_obj **state)
{
    mp_condition *condition = self;
    mp_obj *items[2];
    mp_obj *tuple;
    mp_error err = mpi_sync_reduce(self, transport, &items[0]);

    if (err != MP_OK)
        return err;
    items[1] =
        condition->rlock != NULL
            ? mpi_obj_resource(&mpi_rlock_kind.resource, condition->rlock)
            : mpi_obj_resource(&mpi_lock_kind.resource, condition->lock);
    tuple = mp_obj_tuple(items, 2);
    if (mp_obj_error(tuple) != MP_OK)
        return mp_obj_error(tuple);
    *state = tuple;
    return MP_OK;
}

static mp_error condition_rebuild(const mpi_resource_type *type,
                                  const mp_obj *state, mpi_transport *transport,
                                  void **self)
{
    const mp_obj *place, *object;
    mp_lock *lock;
    mp_rlock *rlock;
    mp_condition *condition;
    mpi_sync *sync;
    mp_error err;

    if (mp_obj_type(state) != MP_TYPE_TUPLE ||
        mp_obj_item(state, 0, &place) != MP_OK ||
        mp_obj_item(state, 1, &object) != MP_OK)
        return mpi_fail(MP_EUNPICKLE, "this is no condition");
    lock = mpi_obj_resource_self(object, &mpi_lock_kind.resource);
    rlock = mpi_obj_resource_self(object, &mpi_rlock_kind.resource);
    if (lock == NULL && rlock == NULL)
        return mpi_fail(MP_EUNPICKLE, "a condition came without its lock");
    err =
        mpi_sync_rebuild((const mpi_sync_type *)type, place, transport, &sync);
    if (err != MP_OK)
        return err;
    condition = (mp_condition *)sync;
    condition->lock = lock;
    condition->rlock = rlock;
    mpi_sync_ref(lock != NULL ? (mpi_sync *)lock : (mpi_sync *)rlock);
    *self = condition;
    return MP_OK;
}

const mpi_sync_type mpi_condition_kind = {
    .resource =
        MPI_SYNC_RESOURCE("Condition", condition_reduce, condition_rebuild),
    .kind = MPI_CONDITION,
    .size = sizeof(mp_condition),
    .release = condition_release,
};

mp_obj *mp_obj_condition(mp_condition *condition)
{
    return mpi_sync_box(&mpi_condition_kind, condition);
}

mp_error mp_obj_as_condition(const mp_obj *obj, mp_condition **out)
{
    mpi_sync *sync;
    mp_error err = mpi_sync_unbox(&mpi_condition_kind, obj, &sync);

    if (err == MP_OK)
        *out = (mp_condition *)sync;
    return err;
}

/* -- Making ---------------------------------------------------------------- */

/* Takes over the caller's reference to the lock if it succeeds. */
static mp_error create(mp_condition **out, mp_lock *lock, mp_rlock *rlock,
                       bool is_private)
{
    const bench initial = {.is_private = is_private};
    mpi_sync *sync;
    mp_error err = mpi_sync_create(&mpi_condition_kind, &initial,
                                   sizeof(initial), sizeof(initial), &sync);

    if (err != MP_OK)
        return err;
    *out = (mp_condition *)sync;
    (*out)->lock = lock;
    (*out)->rlock = rlock;
    return MP_OK;
}

mp_error mp_condition_create(mp_condition **out)
{
    mp_rlock *rlock;
    mp_error err = mpi_sync_check_out(&mpi_condition_kind, out);

    if (err == MP_OK)
        err = mpi_rlock_create_inner(&rlock);
    if (err != MP_OK)
        return err;
    err = create(out, NULL, rlock, true);
    if (err != MP_OK)
        mpi_sync_unref(&mpi_rlock_kind, (mpi_sync *)rlock);
    return err;
}

mp_error mp_condition_create_with_lock(mp_condition **out, mp_lock *lock)
{
    mp_error err = mpi_sync_check_out(&mpi_condition_kind, out);

    if (err == MP_OK)
        err = mpi_sync_check(&mpi_lock_kind, lock);
    if (err == MP_OK)
        err = create(out, lock, NULL, false);
    if (err == MP_OK)
        mpi_sync_ref((mpi_sync *)lock);
    return err;
}

mp_error mp_condition_create_with_rlock(mp_condition **out, mp_rlock *lock)
{
    mp_error err = mpi_sync_check_out(&mpi_condition_kind, out);

    if (err == MP_OK)
        err = mpi_sync_check(&mpi_rlock_kind, lock);
    if (err == MP_OK)
        err = create(out, NULL, lock, false);
    if (err == MP_OK)
        mpi_sync_ref((mpi_sync *)lock);
    return err;
}

mp_error mp_condition_acquire(mp_condition *condition, double timeout)
{
    mp_error err = check(condition);

    if (err != MP_OK)
        return err;
    return condition->rlock != NULL
               ? mp_rlock_acquire(condition->rlock, timeout)
               : mp_lock_acquire(condition->lock, timeout);
}

mp_error mp_condition_release(mp_condition *condition)
{
    mp_error err = check(condition);
    uint32_t count = 0;

    if (err != MP_OK)
        return err;
    if (condition->rlock == NULL)
        return mp_lock_release(condition->lock);
    if (mpi_atomic32_load(&bench_of(condition)->unwoken) != 0 &&
        check_owned(condition) == MP_OK)
        count = take_unwoken(bench_of(condition));
    err = mp_rlock_release(condition->rlock);
    wake(condition, count);
    return err;
}

/* -- Waiting --------------------------------------------------------------- */

/* A waiter that is killed between the two is counted, and has no ticket. */
static uint64_t take_ticket(bench *it)
{
    uint64_t ticket = mpi_atomic64_load(&it->tickets);

    mpi_atomic32_add(&it->waiters, 1);
    mpi_atomic64_store(&it->tickets, ticket + 1);
    return ticket;
}

/* True only with the lock held; without it, worth taking the lock for. */
static bool is_turn(const bench *it, uint64_t ticket)
{
    return ticket < mpi_atomic64_load(&it->all_limit) ||
           (ticket < mpi_atomic64_load(&it->limit) &&
            mpi_atomic32_load(&it->signals) != 0);
}

/* Is this waiter notified? Its signal goes last: until then, whoever comes
 * after a waiter that was killed here still finds it. */
static bool leave(bench *it, uint64_t ticket)
{
    bool is_notified = is_turn(it, ticket);
    uint32_t waiters = mpi_atomic32_load(&it->waiters);

    if (ticket < mpi_atomic64_load(&it->all_limit))
        return true;
    if (waiters != 0)
        mpi_atomic32_store(&it->waiters, waiters - 1);
    if (is_notified)
        mpi_atomic32_add(&it->signals, UINT32_MAX);
    return is_notified;
}

/* Without the lock. A sleeper that finds no signal for it leaves those that
 * have the lock alone. */
static mp_error sleep_until_turn(mp_condition *condition, uint64_t ticket,
                                 uint32_t seen, int64_t deadline)
{
    bench *it = bench_of(condition);
    int64_t interval = 0;

    for (;;) {
        mp_error err = mpi_word_wait_change(
            &it->sequence, &condition->sync.share, seen, deadline, &interval);

        if (err != MP_OK && err != MP_PENDING)
            return err;
        seen = mpi_atomic32_load(&it->sequence.value);
        if (is_turn(it, ticket))
            return MP_OK;
    }
}

/* MP_PENDING: somebody else was faster. */
static mp_error wait_once(mp_condition *condition, uint64_t ticket,
                          int64_t deadline)
{
    bench *it = bench_of(condition);
    uint32_t seen = mpi_atomic32_load(&it->sequence.value);
    uint32_t unwoken = take_unwoken(it);
    uint32_t count = 0;
    mp_error outcome;
    mp_error err = release_all(condition, &count);

    wake(condition, unwoken);
    if (err != MP_OK) {
        leave(it, ticket);
        return err;
    }
    outcome = sleep_until_turn(condition, ticket, seen, deadline);
    err = acquire_again(condition, count);
    if (err != MP_OK && err != MP_OWNER_DIED)
        return err;
    if (err == MP_OK && outcome == MP_OK && !is_turn(it, ticket))
        return MP_PENDING;
    if (leave(it, ticket))
        outcome = MP_OK;
    return err != MP_OK ? err : outcome;
}

static mp_error wait_until(mp_condition *condition, int64_t deadline)
{
    uint64_t ticket;
    /* Here, while nothing has happened yet. */
    mp_error err = mpi_share_queue(&condition->sync.share);

    if (err != MP_OK)
        return err;
    ticket = take_ticket(bench_of(condition));
    do {
        err = wait_once(condition, ticket, deadline);
    } while (err == MP_PENDING);
    return err;
}

mp_error mp_condition_wait(mp_condition *condition, double timeout)
{
    mp_error err = check_owned(condition);

    return err != MP_OK ? err : wait_until(condition, mpi_deadline(timeout));
}

/* A wait that timed out may still have let in whoever made it true. */
mp_error mp_condition_wait_for(mp_condition *condition,
                               bool (*predicate)(void *context), void *context,
                               double timeout)
{
    int64_t deadline = mpi_deadline(timeout);
    mp_error err = check_owned(condition);

    if (err != MP_OK)
        return err;
    if (predicate == NULL)
        return mpi_fail(MP_EINVAL, "the predicate is NULL");
    while (!predicate(context)) {
        if (err == MP_TIMED_OUT || mpos_now() >= deadline)
            return MP_TIMED_OUT;
        err = wait_until(condition, deadline);
        if (err != MP_OK && err != MP_TIMED_OUT)
            return err;
    }
    return MP_OK;
}

/* -- Notifying ------------------------------------------------------------- */

/* Up to count that sleep look again, now or when the lock is released. */
static void advance(mp_condition *condition, uint32_t count)
{
    bench *it = bench_of(condition);
    uint32_t unwoken = mpi_atomic32_load(&it->unwoken);

    if (it->is_private) {
        mpi_atomic32_store(&it->unwoken, count < INT32_MAX - unwoken
                                             ? unwoken + count
                                             : INT32_MAX);
        count = 0;
    }
    mpi_word_advance(&it->sequence, &condition->sync.share, count);
}

static mp_error notify_all(mp_condition *condition)
{
    bench *it = bench_of(condition);

    if (mpi_atomic32_load(&it->waiters) == 0)
        return MP_OK;
    mpi_atomic64_store(&it->all_limit, mpi_atomic64_load(&it->tickets));
    mpi_atomic32_store(&it->waiters, 0);
    mpi_atomic32_store(&it->signals, 0);
    advance(condition, INT32_MAX);
    return MP_OK;
}

mp_error mp_condition_notify(mp_condition *condition, uint32_t count)
{
    mp_error err = check_owned(condition);
    uint32_t signals;
    uint32_t waiters;
    bench *it;

    if (err != MP_OK || count == 0)
        return err;
    it = bench_of(condition);
    signals = mpi_atomic32_load(&it->signals);
    waiters = mpi_atomic32_load(&it->waiters);
    if (signals >= waiters || count >= waiters - signals)
        return notify_all(condition);
    mpi_atomic64_store(&it->limit, mpi_atomic64_load(&it->tickets));
    mpi_atomic32_store(&it->signals, signals + count);
    advance(condition, count);
    return MP_OK;
}

mp_error mp_condition_notify_all(mp_condition *condition)
{
    mp_error err = check_owned(condition);

    return err != MP_OK ? err : notify_all(condition);
}

mp_error mp_condition_close(mp_condition *condition)
{
    return mpi_sync_close(&mpi_condition_kind, condition);
}
