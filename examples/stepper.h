/* SPDX-License-Identifier: MIT */
/* A child that runs only when it is let: for examples that schedule. */
#ifndef STEPPER_H
#define STEPPER_H

#include "example.h"

#define STEPPER_TICK 0.01 /* s */

typedef struct stepper {
    mp_process *process;
    mp_value *done; /* how much it has; below 0: it was enough */
} stepper;

static inline int stepper_work(mp_args *args)
{
    mp_value *done = mp_arg_value(args, 0);

    while (mp_fetch_add(MP_VALUE(done, int64_t), 1) >= 0)
        ;
    return 0;
}

static inline int64_t stepper_done(const stepper *it)
{
    return mp_atomic_load(MP_VALUE(it->done, int64_t));
}

/** Lets it run for a tick, and until it has really done something. */
static inline void stepper_run(stepper *it)
{
    int64_t before = stepper_done(it);

    mp_check(mp_process_resume(it->process));
    do
        mp_sleep(STEPPER_TICK);
    while (stepper_done(it) == before);
    mp_check(mp_process_suspend(it->process));
}

/** A new one, which is suspended. */
static inline void stepper_start(stepper *it)
{
    mp_check(mp_value_create(&it->done, MP_CTYPE(int64_t), NULL, NULL));
    mp_check(
        mp_process_create(&it->process, stepper_work, MP_ARGS(it->done), NULL));
    mp_check(mp_process_start(it->process));
    stepper_run(it); /* on a process that runs resume does nothing */
}

/** Tells it that it was enough, and waits for its end. */
static inline void stepper_end(stepper *it)
{
    mp_atomic_store(MP_VALUE(it->done, int64_t), INT64_MIN);
    mp_check(mp_process_resume(it->process));
    mp_check(mp_process_join(it->process, MP_FOREVER));
    mp_check(mp_process_close(it->process));
    mp_check(mp_value_close(it->done));
}

#endif
