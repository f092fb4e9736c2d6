/* SPDX-License-Identifier: MIT */
/*
 * The slow paths of word.h. They are one loop four times: look at the word,
 * take what is there, or note in it that somebody sleeps, and sleep.
 *
 * What makes it safe to clear MPI_WORD_WAITERS though others may sleep: the
 * one that is woken sets it again, whether it gets what it came for or not.
 * So it has to go through the word before it may leave:
 * - who has slept and finds that its time is over still takes what is there;
 * - if nothing is, one compare-and-swap says that others may sleep, and only
 *   when that has succeeded it leaves.
 * A process that is killed between being woken and that step breaks the chain;
 * the others then find out by themselves, after MPI_LOOK_INTERVAL at most.
 */
#include "word.h"

#include "internal.h"

enum {
    /* Nanoseconds until the first look; each next one is after twice as long,
     * up to MPI_LOOK_INTERVAL. Where many are killed, those that wait must not
     * have to live for so long to find out. */
    FIRST_LOOK = 20000000,
    /* Nanoseconds; a lock that changes hands all the time is handed over to
     * who has waited for so long. */
    STARVING_AFTER = 10000000,
    /* About a microsecond: shorter than to sleep and be woken takes. */
    SPINS = 24,
    TRY_LOOKS_EVERY = 20000000, /* nanoseconds */
    LOOKS_KEPT = 31,            /* so many words apart */
    COUNT_MASK = INT32_MAX,
    EVENT_SET = 1,
    EVENT_WAITERS = 2,
    EVENT_ONCE = 4,
};

/* Whoever waits, and what it knows. */
typedef struct waiter {
    mpos_word *word;
    mpi_share *share;
    int64_t deadline;
    int64_t began;    /* 0: it has not slept yet */
    int64_t interval; /* that it has slept last */
    bool has_slept;   /* or may have been woken: it owes the others a flag */
    bool must_look;   /* at the owner, before it sleeps on or leaves */
} waiter;

/* -- Waiting --------------------------------------------------------------- */

static mp_error attach(mpi_share *share)
{
    return mpi_share_self(share) != 0 ? MP_OK : mpi_share_attach(share);
}

/* How often it is worth while to look again before sleeping. */
static uint32_t spins(void)
{
    static mpi_atomic32 cached; /* one more than that */
    uint32_t count = mpi_atomic32_load(&cached);

    if (count == 0) {
        count = 1 + (mpos_cpu_count() > 1 ? SPINS : 0);
        mpi_atomic32_store(&cached, count);
    }
    return count - 1;
}

/* Until the bits of mask are all zero, or are not; or for long enough. */
static void spin(mpos_word *word, uint32_t mask, bool until_zero)
{
    for (uint32_t n = spins(); n > 0; n--) {
        uint32_t value = mpi_atomic32_load(&word->value);

        if (((value & mask) == 0) == until_zero)
            return;
        mpi_pause();
    }
}

static mp_error begin(waiter *who, mpos_word *word, mpi_share *share,
                      double timeout)
{
    *who = (waiter){.word = word, .share = share, .must_look = true};
    who->deadline = mpi_deadline(timeout);
    return timeout <= 0 ? MP_OK : mpi_share_queue(share);
}

static bool is_over(const waiter *who)
{
    return who->deadline <= 0 ||
           (who->deadline != MPOS_FOREVER && mpos_now() >= who->deadline);
}

static int64_t next_look(int64_t now, int64_t *interval)
{
    *interval = *interval == 0 ? FIRST_LOOK : 2 * *interval;
    if (*interval > MPI_LOOK_INTERVAL)
        *interval = MPI_LOOK_INTERVAL;
    return now + *interval;
}

/* False: until it is time to look, or until the deadline. */
static bool sleep_while(waiter *who, uint32_t value)
{
    int64_t now = mpos_now();
    int64_t until = next_look(now, &who->interval);

    if (who->began == 0)
        who->began = now;
    if (who->deadline < until)
        until = who->deadline;
    who->has_slept = true;
    return mpos_word_wait(who->word, mpi_share_queue_of(who->share), value,
                          until);
}

/*
 * Asked for before the store that lets others go on: they may close the thing
 * at once, and nothing but the word's address is used after it. Without a queue
 * nobody can be woken; they look for themselves.
 */
typedef struct bell {
    bool is_there;
    mpos_handle queue;
} bell;

static void find_bell(bell *it, mpi_share *share, bool is_wanted)
{
    if (!is_wanted || it->is_there || mpi_share_queue(share) != MP_OK)
        return;
    it->queue = mpi_share_queue_of(share);
    it->is_there = true;
}

static void ring(const bell *it, mpos_word *word, uint32_t count)
{
    if (it->is_there)
        mpos_word_wake(word, it->queue, count);
}

/* -- Locks ----------------------------------------------------------------- */

/*
 * Who has slept may take what is reserved. So may who won't wait: if the one
 * that it was reserved for was killed and nobody sleeps, nobody else would
 * ever take it.
 */
static bool lock_is_free(const waiter *who, uint32_t value)
{
    uint32_t owner = value & MPI_OWNER_MASK;

    if (owner == MPI_OWNER_DIED)
        return true;
    return owner == MPI_NOBODY &&
           ((value & MPI_WORD_RESERVED) == 0 || who->has_slept || is_over(who));
}

static bool take_lock(const waiter *who, uint32_t value)
{
    uint32_t waiters = who->has_slept ? (uint32_t)MPI_WORD_WAITERS
                                      : value & (uint32_t)MPI_WORD_WAITERS;

    return mpi_atomic32_change(&who->word->value, value,
                               mpi_share_self(who->share) | waiters);
}

/*
 * Whoever only ever tries must look, too, or it would never be told, and
 * whoever is about to sleep: where all are killed before their first look is
 * due, nobody else would notice. But not each of a thousand times in a row: a
 * look costs a system call or more.
 */
static bool has_just_looked(const waiter *who)
{
    static mpi_atomic64 looks[LOOKS_KEPT]; /* at which word, and when */
    uintptr_t address = (uintptr_t)who->word;
    mpi_atomic64 *last = &looks[address / sizeof(mpos_word) % LOOKS_KEPT];
    uint64_t look;

    if (who->has_slept)
        return false;
    look = (uint64_t)mpos_now() / TRY_LOOKS_EVERY +
           (uint64_t)address * UINT64_C(0x9e3779b97f4a7c15);
    if (mpi_atomic64_load(last) == look)
        return true;
    mpi_atomic64_store(last, look);
    return false;
}

/*
 * The dead are buried by looking, and the word then is free. It must be the
 * owner of now: the word may have changed hands since this one fell asleep,
 * and the wake-up have been another's.
 */
static void look_at_owner(waiter *who, uint32_t value)
{
    uint32_t owner = value & MPI_OWNER_MASK;

    who->must_look = false;
    if (owner != MPI_NOBODY && owner != mpi_share_self(who->share) &&
        !has_just_looked(who))
        mpi_share_owner_is_alive(who->share, owner);
}

/*
 * False: the word has changed. It may be this one that asked for a hand-over,
 * which nobody would take when it has left; others who starve ask again when
 * they wake up.
 */
static bool leave_lock(waiter *who, uint32_t value)
{
    uint32_t left =
        (value & ~(uint32_t)MPI_WORD_STARVING) | (uint32_t)MPI_WORD_WAITERS;

    return !who->has_slept || value == left ||
           mpi_atomic32_change(&who->word->value, value, left);
}

static void sleep_on_lock(waiter *who, uint32_t value)
{
    uint32_t noted = value | (uint32_t)MPI_WORD_WAITERS;

    if (who->began != 0 && (value & MPI_OWNER_MASK) != MPI_NOBODY &&
        mpos_now() - who->began > STARVING_AFTER)
        noted |= MPI_WORD_STARVING;
    if (noted == value || mpi_atomic32_change(&who->word->value, value, noted))
        who->must_look = !sleep_while(who, noted);
}

static mp_error wait_for_lock(waiter *who)
{
    for (;;) {
        uint32_t value = mpi_atomic32_load(&who->word->value);
        bool must_leave;

        if (lock_is_free(who, value)) {
            if (!take_lock(who, value))
                continue;
            return (value & MPI_OWNER_MASK) == MPI_OWNER_DIED ? MP_OWNER_DIED
                                                              : MP_OK;
        }
        must_leave = is_over(who);
        if (who->must_look)
            look_at_owner(who, value);
        else if (!must_leave)
            sleep_on_lock(who, value);
        else if (leave_lock(who, value))
            return MP_TIMED_OUT;
    }
}

mp_error mpi_word_lock_slowly(mpos_word *word, mpi_share *share, double timeout)
{
    waiter who;
    mp_error err = attach(share);

    if (err != MP_OK)
        return err;
    if (mpi_atomic32_change(&word->value, MPI_NOBODY, mpi_share_self(share)))
        return MP_OK;
    if (!(timeout <= 0))
        spin(word, MPI_OWNER_MASK | MPI_WORD_RESERVED, true);
    err = begin(&who, word, share, timeout);
    return err != MP_OK ? err : wait_for_lock(&who);
}

mp_error mpi_word_unlock_slowly(mpos_word *word, mpi_share *share)
{
    mp_error err = attach(share);
    bell sleepers = {.is_there = false};
    uint32_t value;
    uint32_t next;

    if (err != MP_OK)
        return err;
    do {
        value = mpi_atomic32_load(&word->value);
        if ((value & MPI_OWNER_MASK) == MPI_NOBODY ||
            (value & MPI_OWNER_MASK) == MPI_OWNER_DIED)
            return mpi_fail(MP_ESTATE, "released too often: nobody has it");
        next = 0;
        if ((value & MPI_WORD_STARVING) != 0)
            next = MPI_WORD_RESERVED | (uint32_t)MPI_WORD_WAITERS;
        find_bell(&sleepers, share, (value & (uint32_t)MPI_WORD_WAITERS) != 0);
    } while (!mpi_atomic32_change(&word->value, value, next));
    if ((value & (uint32_t)MPI_WORD_WAITERS) != 0)
        ring(&sleepers, word, 1);
    return MP_OK;
}

bool mpi_word_bury(mpos_word *word, uint32_t owner)
{
    uint32_t value;
    uint32_t waiters;

    do {
        value = mpi_atomic32_load(&word->value);
        if ((value & MPI_OWNER_MASK) != owner)
            return false;
        waiters = value & (uint32_t)MPI_WORD_WAITERS;
    } while (
        !mpi_atomic32_change(&word->value, value, MPI_OWNER_DIED | waiters));
    return true;
}

void mpi_word_give_up(mpos_word *word, mpi_share *share)
{
    bool has_queue = mpi_share_queue(share) == MP_OK;
    mpos_handle queue = has_queue ? mpi_share_queue_of(share) : MPOS_NONE;

    if (mpi_word_bury(word, mpi_share_self(share)) && has_queue)
        mpos_word_wake(word, queue, INT32_MAX);
}

/* -- Semaphores ------------------------------------------------------------ */

/*
 * A give() that comes before those woken by the last one have run finds no
 * flag, and wakes nobody. So who has slept and leaves something wakes another.
 */
static bool take_one(const waiter *who, uint32_t value)
{
    uint32_t left = value - 1;
    bell sleepers = {.is_there = false};

    if (who->has_slept)
        left |= (uint32_t)MPI_WORD_WAITERS;
    find_bell(&sleepers, who->share,
              who->has_slept && (left & COUNT_MASK) != 0);
    if (!mpi_atomic32_change(&who->word->value, value, left))
        return false;
    ring(&sleepers, who->word, 1);
    return true;
}

static mp_error wait_for_one(waiter *who)
{
    const uint32_t noted = (uint32_t)MPI_WORD_WAITERS;

    for (;;) {
        uint32_t value = mpi_atomic32_load(&who->word->value);
        bool must_leave;

        if ((value & COUNT_MASK) != 0) {
            if (take_one(who, value))
                return MP_OK;
            continue;
        }
        must_leave = is_over(who);
        if (must_leave && !who->has_slept)
            return MP_TIMED_OUT;
        if (value != noted &&
            !mpi_atomic32_change(&who->word->value, value, noted))
            continue;
        if (must_leave)
            return MP_TIMED_OUT;
        sleep_while(who, noted);
    }
}

mp_error mpi_word_take_slowly(mpos_word *word, mpi_share *share, double timeout)
{
    waiter who;
    mp_error err = attach(share);

    if (err != MP_OK)
        return err;
    if (!(timeout <= 0))
        spin(word, COUNT_MASK, false);
    err = begin(&who, word, share, timeout);
    return err != MP_OK ? err : wait_for_one(&who);
}

mp_error mpi_word_give(mpos_word *word, mpi_share *share, uint32_t count,
                       uint32_t bound)
{
    mp_error err = attach(share);
    bell sleepers = {.is_there = false};
    uint32_t value;
    uint32_t there;

    if (err != MP_OK)
        return err;
    do {
        value = mpi_atomic32_load(&word->value);
        there = value & COUNT_MASK;
        if (there > bound || count > bound - there)
            return mpi_fail(MP_ESTATE,
                            "released too often: %lu and %lu more would be "
                            "more than %lu",
                            (unsigned long)there, (unsigned long)count,
                            (unsigned long)bound);
        find_bell(&sleepers, share, (value & (uint32_t)MPI_WORD_WAITERS) != 0);
    } while (!mpi_atomic32_change(&word->value, value, there + count));
    if ((value & (uint32_t)MPI_WORD_WAITERS) != 0)
        ring(&sleepers, word, count);
    return MP_OK;
}

/* -- Events ---------------------------------------------------------------- */

mp_error mpi_word_set(mpos_word *word, mpi_share *share)
{
    mp_error err = attach(share);
    bell sleepers = {.is_there = false};
    uint32_t value;
    uint32_t next;

    if (err != MP_OK)
        return err;
    do {
        value = mpi_atomic32_load(&word->value);
        if ((value & EVENT_SET) != 0)
            return MP_OK;
        next = ((value & ~(uint32_t)EVENT_WAITERS) + EVENT_ONCE) | EVENT_SET;
        find_bell(&sleepers, share, (value & EVENT_WAITERS) != 0);
    } while (!mpi_atomic32_change(&word->value, value, next));
    if ((value & EVENT_WAITERS) != 0)
        ring(&sleepers, word, INT32_MAX);
    return MP_OK;
}

mp_error mpi_word_clear(mpos_word *word, mpi_share *share)
{
    mp_error err = attach(share);
    uint32_t value;

    if (err != MP_OK)
        return err;
    do {
        value = mpi_atomic32_load(&word->value);
    } while (!mpi_atomic32_change(&word->value, value,
                                  value & ~(uint32_t)EVENT_SET));
    return MP_OK;
}

bool mpi_word_is_set(const mpos_word *word)
{
    return (mpi_atomic32_load(&word->value) & EVENT_SET) != 0;
}

static bool must_stop(const mpi_atomic32 *flag)
{
    return flag != NULL && mpi_atomic32_load(flag) != 0;
}

/* Everybody is woken at once, so that nobody has to pass anything on. */
static mp_error wait_for_event(waiter *who, uint32_t began,
                               const mpi_atomic32 *flag)
{
    for (;;) {
        uint32_t value = mpi_atomic32_load(&who->word->value);
        uint32_t noted = value | EVENT_WAITERS;

        if ((value & EVENT_SET) != 0 || value / EVENT_ONCE != began)
            return MP_OK;
        if (is_over(who) || must_stop(flag))
            return MP_TIMED_OUT;
        if (noted == value ||
            mpi_atomic32_change(&who->word->value, value, noted))
            sleep_while(who, noted);
    }
}

mp_error mpi_word_wait_set(mpos_word *word, mpi_share *share, double timeout)
{
    waiter who;
    uint32_t value;
    mp_error err = attach(share);

    if (err != MP_OK)
        return err;
    /* One look for both: in between it may be cleared. */
    value = mpi_atomic32_load(&word->value);
    if ((value & EVENT_SET) != 0)
        return MP_OK;
    err = begin(&who, word, share, timeout);
    return err != MP_OK ? err : wait_for_event(&who, value / EVENT_ONCE, NULL);
}

mp_error mpi_word_watch(mpos_word *word, mpi_share *share,
                        const mpi_atomic32 *flag)
{
    waiter who;
    uint32_t value;
    mp_error err = begin(&who, word, share, MP_FOREVER);

    if (err != MP_OK)
        return err;
    value = mpi_atomic32_load(&word->value);
    return wait_for_event(&who, value / EVENT_ONCE, flag);
}

void mpi_word_nudge(mpos_word *word, mpi_share *share)
{
    bell sleepers = {.is_there = false};

    find_bell(&sleepers, share, true);
    ring(&sleepers, word, INT32_MAX);
}

/* -- Sequences ------------------------------------------------------------- */

mp_error mpi_word_wait_change(mpos_word *word, mpi_share *share, uint32_t seen,
                              int64_t deadline, int64_t *interval)
{
    int64_t until;
    mp_error err = attach(share);

    if (err != MP_OK)
        return err;
    if (mpi_atomic32_load(&word->value) != seen)
        return MP_OK;
    err = mpi_share_queue(share);
    if (err != MP_OK)
        return err;
    until = next_look(mpos_now(), interval);
    if (deadline < until)
        until = deadline;
    while (mpos_word_wait(word, mpi_share_queue_of(share), seen, until))
        if (mpi_atomic32_load(&word->value) != seen)
            return MP_OK;
    if (mpi_atomic32_load(&word->value) != seen)
        return MP_OK;
    return until == deadline ? MP_TIMED_OUT : MP_PENDING;
}

void mpi_word_advance(mpos_word *word, mpi_share *share, uint32_t count)
{
    bell sleepers = {.is_there = false};

    find_bell(&sleepers, share, count != 0);
    mpi_atomic32_add(&word->value, 1);
    ring(&sleepers, word, count);
}

/* -- Bells ----------------------------------------------------------------- */

uint32_t mpi_word_expect(mpos_word *word)
{
    uint32_t value;
    uint32_t noted;

    do {
        value = mpi_atomic32_load(&word->value);
        noted = value | MPI_BELL_WAITERS;
    } while (noted != value &&
             !mpi_atomic32_change(&word->value, value, noted));
    mpi_fence();
    return noted;
}

void mpi_word_alert_slowly(mpos_word *word, mpi_share *share, uint32_t count)
{
    bell sleepers = {.is_there = false};
    uint32_t value;

    find_bell(&sleepers, share, true);
    do {
        value = mpi_atomic32_load(&word->value);
        if ((value & MPI_BELL_WAITERS) == 0)
            return;
    } while (!mpi_atomic32_change(&word->value, value,
                                  value - MPI_BELL_WAITERS + MPI_BELL_ONCE));
    ring(&sleepers, word, count);
}
