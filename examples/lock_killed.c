/* SPDX-License-Identifier: MIT */
/*
 * Where Python's documentation warns of a deadlock: a process that has a lock
 * is terminated, and never releases it. Here the next one gets the lock within
 * a second, and is told.
 */
#include "example.h"

static int take_and_keep(mp_args *args)
{
    mp_lock *lock = mp_arg_lock(args, 0);
    mp_event *taken = mp_arg_event(args, 1);

    mp_check(mp_lock_acquire(lock, MP_FOREVER));
    mp_check(mp_event_set(taken));
    mp_sleep(3600);
    return 0;
}

int main(int argc, char **argv)
{
    mp_process *p;
    mp_event *taken;
    mp_lock *lock;
    double began;
    mp_error err;

    mp_main_guard(argc, argv);
    use_start_method_of_environment();

    mp_check(mp_lock_create(&lock));
    mp_check(mp_event_create(&taken));
    mp_check(mp_process_create(&p, take_and_keep, MP_ARGS(lock, taken), NULL));
    mp_check(mp_process_start(p));
    mp_check(mp_event_wait(taken, MP_FOREVER));
    err = mp_lock_acquire(lock, 0);
    say("while it lives: %s\n", mp_error_name(err));

    mp_check(mp_process_terminate(p));
    mp_check(mp_process_join(p, MP_FOREVER));
    began = mp_monotonic();
    err = mp_lock_acquire(lock, MP_FOREVER);
    say("when it is gone: %s: %s\n", mp_error_name(err), mp_strerror(err));
    say("within a second: %s\n", true_or_false(mp_monotonic() - began < 1));
    mp_check(mp_lock_release(lock));
    err = mp_lock_acquire(lock, 0);
    say("told once: then %s\n", mp_error_name(err));
    mp_check(mp_lock_release(lock));

    mp_check(mp_process_close(p));
    mp_check(mp_event_close(taken));
    mp_check(mp_lock_close(lock));
    return 0;
}
