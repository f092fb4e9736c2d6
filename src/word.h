/* SPDX-License-Identifier: MIT */
/*
 * The words that locks, semaphores and events are made of: what threads of
 * several processes do to 32 bits and how they sleep until those change.
 *
 * A lock's word holds its owner's number (share.h) and three flags. It is free
 * for whoever comes first (barging), which is what makes locks fast; one that
 * has waited for long asks for a hand-over: the next release then reserves the
 * lock for those that have slept, so that nobody starves.
 *
 * Whoever may die does so at any instruction. The rules that follow:
 * - an owner is in the word from the very store that acquires;
 * - nobody waits for a sleeper to do anything;
 * - a sleeper looks for itself every MPI_LOOK_INTERVAL: whether the owner is
 *   alive, and whether a wake-up was lost with a process that it had woken; at
 *   the owner also before it falls asleep, unless its process just has;
 *   who leaves looks as well, so that short timeouts find the dead, too;
 * - who leaves without what it came for, though it may have been woken, has
 *   said in the word that others may sleep.
 *
 * model_word.c shows by trying every order of steps that there are never two
 * owners, and that no wake-up is lost while nobody is killed.
 */
#ifndef MULTIPROC_WORD_H
#define MULTIPROC_WORD_H

#include "share.h"

enum {
    MPI_WORD_WAITERS = INT32_MIN,   /* somebody may be asleep */
    MPI_WORD_RESERVED = 0x40000000, /* free, but not for who came since */
    MPI_WORD_STARVING = 0x20000000, /* a sleeper wants it reserved */
};

/* -- Locks ----------------------------------------------------------------- */

/* MP_OK, MP_OWNER_DIED, MP_TIMED_OUT; or a failure, without the lock. What is
 * reserved goes to those who have slept, and to who won't (timeout <= 0). */
mp_error mpi_word_lock_slowly(mpos_word *word, mpi_share *share,
                              double timeout);
/* Whoever the owner is. MP_ESTATE: there is none. */
mp_error mpi_word_unlock_slowly(mpos_word *word, mpi_share *share);
/* The owner is dead; true: the word was its own. For arena.c. */
bool mpi_word_bury(mpos_word *word, uint32_t owner);
/* If this process is the owner: the next one is told MP_OWNER_DIED. */
void mpi_word_give_up(mpos_word *word, mpi_share *share);

static inline mp_error mpi_word_lock(mpos_word *word, mpi_share *share,
                                     double timeout)
{
    uint32_t self = mpi_share_self(share);

    if (self != 0 && mpi_atomic32_change(&word->value, MPI_NOBODY, self))
        return MP_OK;
    return mpi_word_lock_slowly(word, share, timeout);
}

static inline mp_error mpi_word_unlock(mpos_word *word, mpi_share *share)
{
    uint32_t self = mpi_share_self(share);

    if (self != 0 && mpi_atomic32_change(&word->value, self, MPI_NOBODY))
        return MP_OK;
    return mpi_word_unlock_slowly(word, share);
}

/* MPI_NOBODY, MPI_OWNER_DIED, or a process. */
static inline uint32_t mpi_word_owner(const mpos_word *word)
{
    return mpi_atomic32_load(&word->value) & MPI_OWNER_MASK;
}

/* -- Semaphores: a count in 31 bits, and MPI_WORD_WAITERS ------------------ */

mp_error mpi_word_take_slowly(mpos_word *word, mpi_share *share,
                              double timeout);
/* MP_ESTATE: the count would pass bound; nothing was given.
 * Async-signal-safe if share is attached. */
mp_error mpi_word_give(mpos_word *word, mpi_share *share, uint32_t count,
                       uint32_t bound);

static inline uint32_t mpi_word_count(const mpos_word *word)
{
    return mpi_atomic32_load(&word->value) & INT32_MAX;
}

static inline mp_error mpi_word_take(mpos_word *word, mpi_share *share,
                                     double timeout)
{
    uint32_t value = mpi_atomic32_load(&word->value);

    if (mpi_share_self(share) != 0 && (value & INT32_MAX) != 0 &&
        mpi_atomic32_change(&word->value, value, value - 1))
        return MP_OK;
    return mpi_word_take_slowly(word, share, timeout);
}

/* -- Events: bit 0 set or not, bit 1 waiters, above: how often it was set -- */

/* Both async-signal-safe if share is attached. */
mp_error mpi_word_set(mpos_word *word, mpi_share *share);
mp_error mpi_word_clear(mpos_word *word, mpi_share *share);
bool mpi_word_is_set(const mpos_word *word);
/* A word set and cleared again while this one slept has been set. */
mp_error mpi_word_wait_set(mpos_word *word, mpi_share *share, double timeout);

/* The same, until *flag is not zero, and mpi_word_nudge() afterwards, too: then
 * MP_TIMED_OUT. A nudge may be missed; the next one will do. */
mp_error mpi_word_watch(mpos_word *word, mpi_share *share,
                        const mpi_atomic32 *flag);
/* Wakes all that sleep, for nothing but to look. */
void mpi_word_nudge(mpos_word *word, mpi_share *share);

/* -- Sequences: a number that only grows, for conditions and barriers ------ */

/*
 * Sleeps until the number is another one than seen, the deadline
 * (MP_TIMED_OUT), or it is time to look whether those you wait for are alive:
 * MP_PENDING. *interval is 0 at first, and kept by the caller from one sleep to
 * the next.
 */
mp_error mpi_word_wait_change(mpos_word *word, mpi_share *share, uint32_t seen,
                              int64_t deadline, int64_t *interval);
/* One more, and wakes up to count sleepers: a system call unless count is 0,
 * for callers who know that nobody sleeps. */
void mpi_word_advance(mpos_word *word, mpi_share *share, uint32_t count);

/* -- Bells: a sequence that is advanced only if somebody listens ----------- */

/*
 * Whoever waits for what is counted elsewhere: looks; if it is not there,
 * expects, looks again, and sleeps with mpi_word_wait_change(). An alert wakes
 * one and clears the flag that the others had set, too. So who has slept, and
 * leaves with what it came for or without, expects once more, looks whether
 * there is more, and if so alerts the next.
 */

/* Says in the word that somebody may sleep: what to sleep on. The caller's next
 * look is not done before that. */
uint32_t mpi_word_expect(mpos_word *word);
/* If somebody may: one more, and wakes up to count. A load if nobody does. The
 * caller has done, and then mpi_fence(), what they look at.
 * Async-signal-safe if share is attached. */
void mpi_word_alert_slowly(mpos_word *word, mpi_share *share, uint32_t count);

enum { MPI_BELL_WAITERS = 1, MPI_BELL_ONCE = 2 };

static inline void mpi_word_alert(mpos_word *word, mpi_share *share,
                                  uint32_t count)
{
    if ((mpi_atomic32_load(&word->value) & MPI_BELL_WAITERS) != 0)
        mpi_word_alert_slowly(word, share, count);
}

#endif
