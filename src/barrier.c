/* SPDX-License-Identifier: MIT */
/*
 * Barrier: rounds, numbered by a word that all parties sleep on. A round ends
 * when the last party has come and the action succeeded, or it fails; either
 * way the number grows, and what became of the round is written down before.
 *
 * - A party decides by the round it came in, never by the state it finds when
 *   it wakes up: the others may be rounds ahead by then, or have reset it all.
 * - Who ends a round waits for nobody. The places of the next one are given out
 *   at once, while the parties of the last one are still waking up.
 * - All numbers change with the lock held, a word that survives its owner. Who
 *   is told that the owner died breaks the barrier: a party is gone.
 * - Each party that sleeps looks now and then whether the next one is alive, so
 *   that somebody notices each death. The runner of the action is the last.
 * - The action runs without the lock. Once all parties have come none of them
 *   gives up any more, and those of the next round wait for room.
 */
#include "internal.h"
#include "sync.h"

#include <multiproc/barrier.h>

enum {
    FAILURES_KEPT = 128,

    STATE_OPEN = 0,
    STATE_IN_ACTION,
    STATE_BROKEN,
};

/* In shared memory; the lock is first, where arena.c looks for it. */
typedef struct hall {
    mpos_word lock;
    mpos_word round;
    double timeout;    /* for waits without one; 0: none */
    mpi_atomic64 came; /* when the last party did */
    uint32_t parties;
    mpi_atomic32 count; /* that have come in this round */
    mpi_atomic32 state;
    mpi_atomic32 failures;              /* how many rounds have failed */
    mpi_atomic32 failed[FAILURES_KEPT]; /* the last of them */
    uint16_t present[]; /* owners (share.h) of those that have come */
} hall;

struct mp_barrier {
    mpi_sync sync;
    mp_barrier_action action; /* NULL: none */
};

/* One call of wait(). */
typedef struct party {
    uint32_t round;
    uint32_t failures; /* before this round */
    uint32_t place;
    int64_t deadline;
} party;

/* Whose action this thread runs, which therefore can't wait there. */
static MPI_THREAD_LOCAL const hall *in_action;

/* What the parent's thread runs, the child does not. */
void mpi_barriers_after_fork(void)
{
    in_action = NULL;
}

static hall *hall_of(const mp_barrier *barrier)
{
    return barrier->sync.share.memory;
}

static mp_error check(mp_barrier *barrier)
{
    if (mpi_sync_is_ready(barrier, MPI_BARRIER))
        return MP_OK;
    return mpi_sync_check(&mpi_barrier_kind, barrier);
}

/* -- Travelling ------------------------------------------------------------ */

/* (what the share says, the action or None) */
static mp_error barrier_reduce(void *self, mpi_transport *transport,
                               mp_obj **state)
{
    mp_barrier *barrier = self;
    mp_obj *items[2];
    mp_obj *tuple;
    mp_error err = mpi_sync_reduce(self, transport, &items[0]);

    if (err != MP_OK)
        return err;
    /* Through one more type, lest compilers warn of the arguments. */
    items[1] = mp_obj_function((mp_function)(void (*)(void))barrier->action);
    tuple = mp_obj_tuple(items, 2);
    if (mp_obj_error(tuple) != MP_OK)
        return mp_obj_error(tuple);
    *state = tuple;
    return MP_OK;
}

static mp_error barrier_rebuild(const mpi_resource_type *type,
                                const mp_obj *state, mpi_transport *transport,
                                void **self)
{
    const mp_obj *place, *action;
    mp_function function = NULL;
    mpi_sync *sync;
    mp_error err;

    if (mp_obj_type(state) != MP_TYPE_TUPLE ||
        mp_obj_item(state, 0, &place) != MP_OK ||
        mp_obj_item(state, 1, &action) != MP_OK ||
        (!mp_obj_is_none(action) &&
         mp_obj_as_function(action, &function) != MP_OK))
        return mpi_fail(MP_EUNPICKLE, "this is no barrier");
    err =
        mpi_sync_rebuild((const mpi_sync_type *)type, place, transport, &sync);
    if (err != MP_OK)
        return err;
    ((mp_barrier *)sync)->action = (mp_barrier_action)(void (*)(void))function;
    *self = sync;
    return MP_OK;
}

const mpi_sync_type mpi_barrier_kind = {
    .resource = MPI_SYNC_RESOURCE("Barrier", barrier_reduce, barrier_rebuild),
    .kind = MPI_BARRIER,
    .size = sizeof(mp_barrier),
};

mp_obj *mp_obj_barrier(mp_barrier *barrier)
{
    return mpi_sync_box(&mpi_barrier_kind, barrier);
}

mp_error mp_obj_as_barrier(const mp_obj *obj, mp_barrier **out)
{
    mpi_sync *sync;
    mp_error err = mpi_sync_unbox(&mpi_barrier_kind, obj, &sync);

    if (err == MP_OK)
        *out = (mp_barrier *)sync;
    return err;
}

/* -- Making ---------------------------------------------------------------- */

static mp_error check_parties(int64_t parties)
{
    if (parties < 1)
        return mpi_fail(MP_EINVAL, "a barrier can't have %lld parties",
                        (long long)parties);
    if (parties > MP_BARRIER_MAX)
        return mpi_fail(MP_EOVERFLOW,
                        "a barrier can't have %lld parties: at most %d",
                        (long long)parties, MP_BARRIER_MAX);
    return MP_OK;
}

mp_error mp_barrier_create(mp_barrier **out, int64_t parties,
                           const mp_barrier_options *options)
{
    static const mp_barrier_options defaults;
    hall initial = {0};
    mpi_sync *sync;
    mp_error err = mpi_sync_check_out(&mpi_barrier_kind, out);

    if (err == MP_OK)
        err = check_parties(parties);
    if (err != MP_OK)
        return err;
    if (options == NULL)
        options = &defaults;
    if (!(options->timeout >= 0)) /* NaN, too */
        return mpi_fail(MP_EINVAL, "a barrier's timeout can't be %g seconds",
                        options->timeout);
    initial.timeout = options->timeout;
    initial.parties = (uint32_t)parties;
    err = mpi_sync_create(
        &mpi_barrier_kind, &initial, sizeof(initial),
        sizeof(initial) + (size_t)parties * sizeof(initial.present[0]), &sync);
    if (err != MP_OK)
        return err;
    *out = (mp_barrier *)sync;
    (*out)->action = options->action;
    return MP_OK;
}

/* -- Rounds, with the lock held -------------------------------------------- */

static uint32_t round_of(const hall *it)
{
    return mpi_atomic32_load(&it->round.value);
}

static uint32_t state_of(const hall *it)
{
    return mpi_atomic32_load(&it->state);
}

/* Nobody is woken yet. The number is last: until it has grown, whoever takes
 * the lock over from one that was killed here still can fail the round. */
static void end_round(hall *it, mpi_share *share, bool is_complete)
{
    uint32_t failures = mpi_atomic32_load(&it->failures);

    if (!is_complete) {
        mpi_atomic32_store(&it->failed[failures % FAILURES_KEPT], round_of(it));
        mpi_atomic32_store(&it->failures, failures + 1);
    }
    mpi_atomic32_store(&it->count, 0);
    mpi_atomic32_store(&it->state, is_complete ? STATE_OPEN : STATE_BROKEN);
    mpi_word_advance(&it->round, share, 0);
}

/* Also when the round has nobody to tell. */
static void break_round(hall *it, mpi_share *share)
{
    if (state_of(it) != STATE_BROKEN)
        end_round(it, share, false);
}

static void wake_all(mp_barrier *barrier)
{
    mpi_share *share = &barrier->sync.share;

    /* Without a queue nobody sleeps here but those who look for themselves. */
    if (mpi_share_queue(share) == MP_OK)
        mpos_word_wake(&hall_of(barrier)->round, mpi_share_queue_of(share),
                       INT32_MAX);
}

/* MP_OK, MP_TIMED_OUT, or a failure. */
static mp_error enter(mp_barrier *barrier, double timeout)
{
    hall *it = hall_of(barrier);
    mpi_share *share = &barrier->sync.share;
    mp_error err = mpi_word_lock(&it->lock, share, timeout);

    if (err != MP_OWNER_DIED)
        return err;
    /* It may have died in the middle of anything. */
    end_round(it, share, false);
    wake_all(barrier);
    return MP_OK;
}

/* Those that were woken need the lock next: first it is free. */
static void leave(mp_barrier *barrier, bool must_wake)
{
    mpi_word_unlock(&hall_of(barrier)->lock, &barrier->sync.share);
    if (must_wake)
        wake_all(barrier);
}

static mp_error fail_broken(void)
{
    return mpi_fail(MP_EBROKEN, "the barrier is broken, or was reset");
}

/*
 * What became of a party's round, which has ended, however long ago. If it has
 * failed, it was the first to do so since the party came. Whoever slept through
 * FAILURES_KEPT of them is told so in any case: the safer mistake.
 */
static mp_error outcome_of(const hall *it, const party *me)
{
    const mpi_atomic32 *place = &it->failed[me->failures % FAILURES_KEPT];
    uint32_t first_failed;

    if (mpi_atomic32_load(&it->failures) == me->failures)
        return MP_OK;
    /* It is written before they are counted, and perhaps again by now. */
    first_failed = mpi_atomic32_load(place);
    if (mpi_atomic32_load(&it->failures) - me->failures < FAILURES_KEPT &&
        first_failed != me->round)
        return MP_OK;
    return fail_broken();
}

/* -- Looking after each other ---------------------------------------------- */

/* MPI_NOBODY: the round has ended, or whoever has the lock changes it now. */
static uint32_t who_is_at(mp_barrier *barrier, uint32_t round, uint32_t place)
{
    hall *it = hall_of(barrier);
    uint32_t owner = MPI_NOBODY;
    uint32_t count;

    if (enter(barrier, 0) != MP_OK)
        return MPI_NOBODY;
    count = mpi_atomic32_load(&it->count);
    if (round_of(it) == round && count != 0)
        owner = it->present[place % count];
    leave(barrier, false);
    return owner;
}

/* Breaks the barrier if the one at that place, counted in a circle, is dead. */
static void look_at(mp_barrier *barrier, uint32_t round, uint32_t place)
{
    hall *it = hall_of(barrier);
    mpi_share *share = &barrier->sync.share;
    uint32_t owner = who_is_at(barrier, round, place);
    bool is_current;

    if (owner == MPI_NOBODY || owner == mpi_share_self(share) ||
        mpi_share_owner_is_alive(share, owner))
        return;
    if (enter(barrier, MP_FOREVER) != MP_OK)
        return;
    is_current = round_of(it) == round;
    if (is_current)
        break_round(it, share);
    leave(barrier, is_current);
}

/*
 * If all who wait were killed, nobody has noticed yet. While one of them lives,
 * it looks after the others; so one look, at any of them, is enough, and none
 * if the last has come just now.
 */
static void look_at_those_before(mp_barrier *barrier)
{
    const hall *it = hall_of(barrier);
    uint32_t round = round_of(it);
    uint32_t count = mpi_atomic32_load(&it->count);

    if (count != 0 &&
        mpos_now() - (int64_t)mpi_atomic64_load(&it->came) > MPI_LOOK_INTERVAL)
        look_at(barrier, round, count - 1);
}

/* -- Waiting --------------------------------------------------------------- */

/* Until the round is another one, whatever the time. */
static mp_error wait_for_end(mp_barrier *barrier, uint32_t round,
                             uint32_t place)
{
    int64_t interval = 0;
    mp_error err;

    do {
        err =
            mpi_word_wait_change(&hall_of(barrier)->round, &barrier->sync.share,
                                 round, MPOS_FOREVER, &interval);
        if (err == MP_PENDING)
            look_at(barrier, round, place);
    } while (err == MP_PENDING);
    return err;
}

/* Returns with the lock held and no action running. */
static mp_error enter_with_room(mp_barrier *barrier)
{
    hall *it = hall_of(barrier);

    for (;;) {
        mp_error err = enter(barrier, MP_FOREVER);
        uint32_t round;

        if (err != MP_OK || state_of(it) != STATE_IN_ACTION)
            return err;
        round = round_of(it);
        leave(barrier, false);
        err = wait_for_end(barrier, round, it->parties - 1);
        if (err != MP_OK)
            return err;
    }
}

static bool run_action(const mp_barrier *barrier)
{
    const hall *before = in_action;
    bool is_done;

    in_action = hall_of(barrier);
    is_done = barrier->action() == 0;
    in_action = before;
    return is_done;
}

/* All have come. With the lock held, which is released. */
static mp_error complete(mp_barrier *barrier, const party *me)
{
    hall *it = hall_of(barrier);
    bool is_complete = true;
    bool is_current;

    if (barrier->action != NULL) {
        mp_error err;

        mpi_atomic32_store(&it->state, STATE_IN_ACTION);
        leave(barrier, false);
        is_complete = run_action(barrier);
        err = enter(barrier, MP_FOREVER);
        if (err != MP_OK)
            return err;
    }
    /* Else somebody has broken or reset it meanwhile. */
    is_current = round_of(it) == me->round;
    if (is_current)
        end_round(it, &barrier->sync.share, is_complete);
    leave(barrier, is_current && it->parties > 1);
    return is_current && is_complete ? MP_OK : outcome_of(it, me);
}

/* A party that gives up breaks the barrier, unless all have come already. */
static mp_error give_up(mp_barrier *barrier, const party *me, mp_error why)
{
    hall *it = hall_of(barrier);
    bool must_break;
    mp_error err = enter(barrier, MP_FOREVER);

    if (err != MP_OK)
        return err;
    must_break = round_of(it) == me->round &&
                 (state_of(it) == STATE_OPEN || why != MP_TIMED_OUT);
    if (must_break)
        break_round(it, &barrier->sync.share);
    leave(barrier, must_break);
    if (why != MP_TIMED_OUT)
        return why;
    err = wait_for_end(barrier, me->round, me->place + 1);
    return err != MP_OK ? err : outcome_of(it, me);
}

static mp_error wait_for_others(mp_barrier *barrier, const party *me)
{
    hall *it = hall_of(barrier);
    int64_t interval = 0;

    for (;;) {
        mp_error err = mpi_word_wait_change(&it->round, &barrier->sync.share,
                                            me->round, me->deadline, &interval);
        if (err == MP_OK)
            return outcome_of(it, me);
        if (err != MP_PENDING)
            return give_up(barrier, me, err);
        look_at(barrier, me->round, me->place + 1);
    }
}

/* With the lock held, which is released. */
static mp_error take_place(mp_barrier *barrier, party *me)
{
    hall *it = hall_of(barrier);

    me->round = round_of(it);
    me->failures = mpi_atomic32_load(&it->failures);
    me->place = mpi_atomic32_load(&it->count);
    it->present[me->place] = (uint16_t)mpi_share_self(&barrier->sync.share);
    mpi_atomic64_store(&it->came, (uint64_t)mpos_now());
    mpi_atomic32_store(&it->count, me->place + 1);
    if (me->place + 1 == it->parties)
        return complete(barrier, me);
    leave(barrier, false);
    return wait_for_others(barrier, me);
}

static int64_t deadline_of(const hall *it, double timeout)
{
    int64_t deadline = mpi_deadline(timeout);

    return deadline == MPOS_FOREVER && it->timeout > 0
               ? mpi_deadline(it->timeout)
               : deadline;
}

mp_error mp_barrier_wait(mp_barrier *barrier, double timeout, uint32_t *index)
{
    mp_error err = check(barrier);
    party me = {0};

    if (err == MP_OK && in_action == hall_of(barrier))
        err = mpi_fail(MP_ESTATE, "a barrier's action can't wait for it");
    /* Here, while nobody counts on this party yet. */
    if (err == MP_OK)
        err = mpi_share_queue(&barrier->sync.share);
    if (err != MP_OK)
        return err;
    me.deadline = deadline_of(hall_of(barrier), timeout);
    look_at_those_before(barrier);
    err = enter_with_room(barrier);
    if (err != MP_OK)
        return err;
    if (state_of(hall_of(barrier)) == STATE_BROKEN) {
        leave(barrier, false);
        return fail_broken();
    }
    err = take_place(barrier, &me);
    if (err == MP_OK && index != NULL)
        *index = me.place;
    return err;
}

/* -- Breaking, asking, closing --------------------------------------------- */

mp_error mp_barrier_reset(mp_barrier *barrier)
{
    mp_error err = check(barrier);
    bool has_parties;
    hall *it;

    if (err == MP_OK)
        err = enter(barrier, MP_FOREVER);
    if (err != MP_OK)
        return err;
    it = hall_of(barrier);
    has_parties = mpi_atomic32_load(&it->count) != 0;
    if (has_parties)
        end_round(it, &barrier->sync.share, false);
    mpi_atomic32_store(&it->state, STATE_OPEN);
    leave(barrier, has_parties);
    return MP_OK;
}

mp_error mp_barrier_abort(mp_barrier *barrier)
{
    mp_error err = check(barrier);

    if (err == MP_OK)
        err = enter(barrier, MP_FOREVER);
    if (err != MP_OK)
        return err;
    break_round(hall_of(barrier), &barrier->sync.share);
    leave(barrier, true);
    return MP_OK;
}

uint32_t mp_barrier_parties(mp_barrier *barrier)
{
    return check(barrier) == MP_OK ? hall_of(barrier)->parties : 0;
}

uint32_t mp_barrier_n_waiting(mp_barrier *barrier)
{
    return check(barrier) == MP_OK ? mpi_atomic32_load(&hall_of(barrier)->count)
                                   : 0;
}

bool mp_barrier_is_broken(mp_barrier *barrier)
{
    return check(barrier) != MP_OK ||
           state_of(hall_of(barrier)) == STATE_BROKEN;
}

mp_error mp_barrier_close(mp_barrier *barrier)
{
    return mpi_sync_close(&mpi_barrier_kind, barrier);
}
