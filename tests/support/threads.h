/* SPDX-License-Identifier: MIT */
/*
 * Several threads of a test's that do the same. Whoever starts threads joins
 * them: one that runs on when its test has returned uses what is no longer
 * there, of the test's stack and of its handles, whose numbers others have.
 */
#ifndef SUPPORT_THREADS_H
#define SUPPORT_THREADS_H

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

#endif
