/* SPDX-License-Identifier: MIT */
/*
 * Sleeping until a word changes, where the system knows no such thing between
 * processes: by looking, less and less often. Who wakes counts its wake-ups in
 * word->sleepers, so that one is noticed even if the value is the old one again
 * by then. Everybody is woken.
 */
#include "os_internal.h"

#include <sched.h>

/* Nanoseconds; what is waited for often takes no longer than a few yields. */
enum { YIELDS = 20, SHORTEST = 50 * 1000, LONGEST = 5 * 1000 * 1000 };

static bool probe(void)
{
    return true;
}

static void pause_until(int64_t moment, int64_t deadline)
{
    mpos_sleep_until(moment < deadline ? moment : deadline);
}

static bool wait_poll(mpos_word *word, uint32_t expected, int64_t deadline)
{
    /* Before the value: who changes it wakes afterwards. */
    uint32_t wakes = mpi_atomic32_load(&word->sleepers);
    int64_t pause = SHORTEST;

    for (int looks = 0; mpi_atomic32_load(&word->value) == expected &&
                        mpi_atomic32_load(&word->sleepers) == wakes;
         looks++) {
        int64_t now = mpos_now();

        if (now >= deadline)
            return false;
        if (looks < YIELDS) {
            sched_yield();
            continue;
        }
        pause_until(now + pause, deadline);
        pause = pause < LONGEST / 2 ? pause * 2 : LONGEST;
    }
    return true;
}

static void wake_poll(mpos_word *word, uint32_t count)
{
    (void)count;
    mpi_atomic32_add(&word->sleepers, 1);
}

const mpos_word_mechanism mpos_word_poll = {
    .probe = probe,
    .wait = wait_poll,
    .wake = wake_poll,
};
