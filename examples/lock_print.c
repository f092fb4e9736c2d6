/* SPDX-License-Identifier: MIT */
/*
 * Ten processes, and the lines of one are never between those of another:
 *
 *     def work(lock, n):
 *         lock.acquire()
 *         print('%s: is running' % n)
 *         time.sleep(random.random())
 *         print('%s: is done' % n)
 *         lock.release()
 */
#include "example.h"

enum { COUNT = 10 };

static int work(mp_args *args)
{
    mp_lock *lock = mp_arg_lock(args, 0);
    int n = (int)mp_arg_int(args, 1);

    mp_check(mp_lock_acquire(lock, MP_FOREVER));
    say("%d: is running\n", n);
    mp_sleep(0.01);
    say("%d: is done\n", n);
    mp_check(mp_lock_release(lock));
    return 0;
}

int main(int argc, char **argv)
{
    mp_process *workers[COUNT];
    mp_lock *lock;

    mp_main_guard(argc, argv);
    use_start_method_of_environment();

    mp_check(mp_lock_create(&lock));
    for (int i = 0; i < COUNT; i++) {
        mp_check(mp_process_create(&workers[i], work, MP_ARGS(lock, i), NULL));
        mp_check(mp_process_start(workers[i]));
    }
    mp_check(mp_lock_close(lock)); /* each child has its own hold on it */
    for (int i = 0; i < COUNT; i++) {
        mp_check(mp_process_join(workers[i], MP_FOREVER));
        mp_check(mp_process_close(workers[i]));
    }
    return 0;
}
