/* SPDX-License-Identifier: MIT */
/*
 * A karaoke bar with four booths, and 13 guests:
 *
 *     sem = Semaphore(4)
 *     for i in range(13):
 *         Process(target=go_ktv, args=(sem, 'user%s' % i)).start()
 */
#include "example.h"

enum { GUESTS = 13, BOOTHS = 4 };

/* One message at a time, on a connection that all guests share. */
static void tell(mp_lock *lock, mp_connection *door, int change)
{
    mp_check(mp_lock_acquire(lock, MP_FOREVER));
    mp_check(mp_connection_send(door, MP_BOX(change)));
    mp_check(mp_lock_release(lock));
}

static int go_ktv(mp_args *args)
{
    mp_semaphore *sem = mp_arg_semaphore(args, 0);
    const char *user = mp_arg_str(args, 1);
    mp_lock *lock = mp_arg_lock(args, 2);
    mp_connection *door = mp_arg_connection(args, 3);

    mp_check(mp_semaphore_acquire(sem, MP_FOREVER));
    tell(lock, door, 1);
    say("%s has a booth\n", user);
    mp_sleep(0.02);
    tell(lock, door, -1);
    mp_check(mp_semaphore_release(sem));
    return 0;
}

int main(int argc, char **argv)
{
    mp_process *guests[GUESTS];
    mp_connection *watch, *door;
    mp_semaphore *sem;
    mp_lock *lock;
    int64_t inside = 0, most = 0;

    mp_main_guard(argc, argv);
    use_start_method_of_environment();

    mp_check(mp_semaphore_create(&sem, BOOTHS));
    mp_check(mp_lock_create(&lock));
    mp_check(mp_pipe(&watch, &door, NULL));
    for (int i = 0; i < GUESTS; i++) {
        char user[16];

        snprintf(user, sizeof(user), "user%d", i);
        mp_check(mp_process_create(&guests[i], go_ktv,
                                   MP_ARGS(sem, user, lock, door), NULL));
        mp_check(mp_process_start(guests[i]));
    }
    for (int i = 0; i < 2 * GUESTS; i++) {
        mp_obj *change;
        int64_t step;

        mp_check(mp_connection_recv(watch, &change));
        mp_check(mp_obj_as_int(change, &step));
        mp_obj_unref(change);
        inside += step;
        most = inside > most ? inside : most;
    }
    say("at most %d inside: %s\n", BOOTHS, true_or_false(most <= BOOTHS));
    for (int i = 0; i < GUESTS; i++) {
        mp_check(mp_process_join(guests[i], MP_FOREVER));
        mp_check(mp_process_close(guests[i]));
    }
    mp_check(mp_semaphore_close(sem));
    mp_check(mp_lock_close(lock));
    mp_check(mp_connection_close(watch));
    return mp_connection_close(door);
}
