/* SPDX-License-Identifier: MIT */
/*
 * Several threads of a test's that do the same. Whoever starts threads joins
 * them: one that runs on when its test has returned uses what is no longer
 * there, of the test's stack and of its handles, whose numbers others have.
 */
#ifndef SUPPORT_THREADS_H
#define SUPPORT_THREADS_H

#include "clock.h"
#include "testing.h"

#include "os.h"

#include <multiproc.h>

static inline void support_start_threads(mpos_thread *threads, size_t count,
                                         void (*run)(void *), void *argument)
{
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(mpos_thread_start(run, argument, &threads[i]), MP_OK, "%s",
                     mp_error_message());
}

static inline void support_join_threads(const mpos_thread *threads,
                                        size_t count)
{
    for (size_t i = 0; i < count; i++)
        mpos_thread_join(threads[i]);
}

/* -- Teams ----------------------------------------------------------------- */

enum { TEAM_MOST = 8 };

/* Threads that come one by one, and are counted in `left`, as some tests wait
 * for a part of them. Not by a semaphore of the library's: that is what is
 * tested. */
typedef struct team {
    void (*run)(void *);
    void *argument;
    mpos_thread threads[TEAM_MOST];
    uint32_t started;
    mpi_atomic32 left;
} team;

static inline void team_member(void *argument)
{
    team *it = argument;

    it->run(it->argument);
    mpi_atomic32_add(&it->left, 1);
}

/* All members of a team do the same. */
static inline void team_start(team *it, void (*run)(void *), void *argument)
{
    if (it->started == 0) /* those that run already look at it */
        *it = (team){.run = run, .argument = argument};
    cr_assert(it->run == run && it->argument == argument);
    cr_assert_lt(it->started, TEAM_MOST);
    cr_assert_eq(mpos_thread_start(team_member, it, &it->threads[it->started]),
                 MP_OK, "%s", mp_error_message());
    it->started++;
}

static inline void team_await(team *it, uint32_t count)
{
    double limit = now() + 25;

    while (mpi_atomic32_load(&it->left) < count && now() < limit)
        pause_for(0.001);
    cr_assert_eq(mpi_atomic32_load(&it->left), count);
}

static inline void team_join(team *it)
{
    team_await(it, it->started);
    support_join_threads(it->threads, it->started);
}

#endif
