/* SPDX-License-Identifier: MIT */
/*
 * Sleeping until a word changes. Windows has nothing of that kind that works
 * between processes (WaitOnAddress is for the threads of one), so those that
 * sleep wait for a semaphore, the queue, and who wakes raises it.
 *
 * A semaphore does not know for whom it was raised, and all words of a thing
 * share one. Therefore the word itself says who is meant; the queue is but the
 * kick. mpos_word.sleepers has three fields:
 *
 *     asleep  how many have announced that they sleep
 *     owed    how many of them were woken and have not noticed yet
 *     round   how often anybody was woken, modulo 256
 *
 * A sleeper remembers the round it began in. It may take a wake-up if one is
 * owed and the round is another: so a wake-up never goes to one that came
 * later. Who gets a kick and may not take anything hands it on: those that wait
 * for a semaphore are served in order, so it comes to the one it is meant for.
 *
 * What the killed leave: who dies asleep is counted as asleep for ever, and is
 * owed a wake-up at some time. That leaves one kick that nobody wants; whoever
 * gets it back again and again drops it. From then on `asleep` and `owed` are
 * one too many alike, which wakes nobody. A kick that died with the one that
 * was to hand it on is lost; policy looks after that (word.h).
 */
#include "os_internal.h"

#include <limits.h>
#include <stdio.h>
#include <wchar.h>

enum {
    FIELD_MAX = 0xfff,
    ONE_ASLEEP = 1,
    ONE_OWED = 1 << 12,
    OWED_SHIFT = 12,
    ROUND_SHIFT = 24,
    ONE_ROUND = 1 << ROUND_SHIFT,
    NAME_SIZE = 96,
    LONGEST_KEY = 60,
    /* How often a kick may come back at once before it is dropped; the first
     * times whoever it is meant for is given way, later it gets time. */
    PATIENCE = 12,
    GIVING_WAY = 8,
};

/* -- The queue ------------------------------------------------------------- */

mp_error mpos_word_queue(const char *key, mpos_handle *queue)
{
    wchar_t name[NAME_SIZE];
    HANDLE semaphore;

    /* Names of named memory have no slash. */
    swprintf(name, NAME_SIZE, L"Local\\multiproc/queue/%.*hs", LONGEST_KEY,
             key);
    semaphore = CreateSemaphoreExW(NULL, 0, LONG_MAX, name, 0,
                                   SYNCHRONIZE | SEMAPHORE_MODIFY_STATE);
    if (semaphore == NULL)
        return mpi_win32_fail("can't create something to sleep on");
    *queue = (mpos_handle)semaphore;
    return MP_OK;
}

/* -- What the word says ---------------------------------------------------- */

static uint32_t count_asleep(uint32_t state)
{
    return state & FIELD_MAX;
}

static uint32_t count_owed(uint32_t state)
{
    return state >> OWED_SHIFT & FIELD_MAX;
}

static uint32_t round_of(uint32_t state)
{
    return state >> ROUND_SHIFT;
}

static bool may_take(uint32_t state, uint32_t round)
{
    return count_owed(state) > 0 && round_of(state) != round;
}

/* False: there are as many as can be counted. */
static bool announce(mpos_word *word, uint32_t *round)
{
    uint32_t state;

    do {
        state = mpi_atomic32_load(&word->sleepers);
        if (count_asleep(state) == FIELD_MAX)
            return false;
    } while (!mpi_atomic32_change(&word->sleepers, state, state + ONE_ASLEEP));
    *round = round_of(state);
    return true;
}

/* Takes a wake-up, if there is one for us, and is not asleep any more. */
static bool take(mpos_word *word, uint32_t round)
{
    uint32_t state;

    do {
        state = mpi_atomic32_load(&word->sleepers);
        if (!may_take(state, round))
            return false;
    } while (!mpi_atomic32_change(&word->sleepers, state,
                                  state - ONE_OWED - ONE_ASLEEP));
    return true;
}

/* Is not asleep any more, without a wake-up. False: there is one to take. */
static bool withdraw(mpos_word *word, uint32_t round)
{
    uint32_t state;
    uint32_t next;

    do {
        state = mpi_atomic32_load(&word->sleepers);
        if (may_take(state, round))
            return false;
        next = state - ONE_ASLEEP;
        /* Never more than sleep: only after 256 rounds in one sleep. */
        if (count_owed(next) > count_asleep(next))
            next -= ONE_OWED;
    } while (!mpi_atomic32_change(&word->sleepers, state, next));
    return true;
}

/* -- Waiting --------------------------------------------------------------- */

/* This kick is not for us. True: meanwhile one was, and is taken. */
static bool hand_on(mpos_word *word, HANDLE queue, uint32_t round)
{
    for (int i = 0; i < PATIENCE; i++) {
        ReleaseSemaphore(queue, 1, NULL);
        Sleep(i < GIVING_WAY ? 0 : 1);
        if (WaitForSingleObject(queue, 0) != WAIT_OBJECT_0)
            return false;
        if (take(word, round))
            return true;
    }
    return false;
}

/* True: a wake-up is taken. Otherwise the deadline has passed, or somebody who
 * began to sleep later was woken in our place. */
static bool sleep_until(mpos_word *word, HANDLE queue, uint32_t round,
                        int64_t deadline)
{
    for (;;) {
        DWORD limit = mpi_win32_milliseconds(deadline);
        DWORD outcome = WaitForSingleObject(queue, limit);

        if (outcome == WAIT_FAILED)
            Sleep(1); /* no queue: at least nobody spins */
        else if (outcome == WAIT_OBJECT_0 &&
                 (take(word, round) || hand_on(word, queue, round)))
            return true;
        if (limit == 0 || round_of(mpi_atomic32_load(&word->sleepers)) != round)
            return false;
    }
}

/* Without a kick. True: a wake-up was there for us, and is taken. Its kick is
 * there too, or comes at once, unless who sends it is killed just now. */
static bool get_up(mpos_word *word, HANDLE queue, uint32_t round)
{
    while (!withdraw(word, round)) {
        bool has_kick = WaitForSingleObject(queue, 1) == WAIT_OBJECT_0;

        if (take(word, round))
            return true;
        if (has_kick)
            ReleaseSemaphore(queue, 1, NULL);
    }
    return false;
}

bool mpos_word_wait(mpos_word *word, mpos_handle queue, uint32_t expected,
                    int64_t deadline)
{
    uint32_t round;
    bool is_changed;

    if (!announce(word, &round)) {
        Sleep(1);
        return mpi_win32_milliseconds(deadline) > 0;
    }
    /* Announced before the value is read; who wakes changes it before looking
     * for sleepers: one of the two sees what the other did. */
    is_changed = mpi_atomic32_load(&word->value) != expected;
    if (!is_changed && sleep_until(word, (HANDLE)queue, round, deadline))
        return true;
    return get_up(word, (HANDLE)queue, round) || is_changed ||
           mpi_win32_milliseconds(deadline) > 0;
}

/* -- Waking ---------------------------------------------------------------- */

void mpos_word_wake(mpos_word *word, mpos_handle queue, uint32_t count)
{
    /* Adding nothing: a plain load could be done before the value is changed,
     * and miss who has just announced itself. */
    uint32_t state = mpi_atomic32_add(&word->sleepers, 0);
    uint32_t more;

    for (;;) {
        if (count_asleep(state) <= count_owed(state)) /* less: it is damaged */
            return;
        more = count_asleep(state) - count_owed(state);
        if (more > count)
            more = count;
        if (more == 0)
            return;
        if (mpi_atomic32_change(&word->sleepers, state,
                                state + more * ONE_OWED + ONE_ROUND))
            break;
        state = mpi_atomic32_load(&word->sleepers);
    }
    ReleaseSemaphore((HANDLE)queue, (LONG)more, NULL);
}
