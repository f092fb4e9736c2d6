/* SPDX-License-Identifier: MIT */
/*
 * Killing by pid, whosever child it is: at once, or by a thread beside, while
 * this one is in the call that the death is to interrupt.
 */
#ifndef SUPPORT_KILLER_H
#define SUPPORT_KILLER_H

#include "testing.h"

#include "os.h"

#include <multiproc.h>

/* Nothing happens if it has ended. */
static inline void kill_pid(int64_t pid)
{
    mpos_process process;

    if (mpos_attach(&process, pid, 0) != MP_OK)
        return;
    (void)mpos_send_signal(&process, MPOS_KILL);
    mpos_process_close(&process);
}

typedef struct killer {
    int64_t pid;
    double delay;   /* in seconds */
    int64_t killed; /* when; once it is joined */
    mpos_thread thread;
} killer;

static inline void kill_later(void *argument)
{
    killer *it = argument;

    mp_sleep(it->delay);
    it->killed = mpos_now();
    kill_pid(it->pid);
}

static inline void begin_killing(killer *it, int64_t pid, double delay)
{
    *it = (killer){.pid = pid, .delay = delay};
    cr_assert_eq(mpos_thread_start(kill_later, it, &it->thread), MP_OK, "%s",
                 mp_error_message());
}

static inline void end_killing(const killer *it)
{
    mpos_thread_join(it->thread);
}

#endif
