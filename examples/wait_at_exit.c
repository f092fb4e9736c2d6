/* SPDX-License-Identifier: MIT */
/*
 * The parent waits for its children before it ends:
 *
 *     def process_01():
 *         nums = 0
 *         for i in range(10):
 *             nums += 0.2
 *             print(nums.__round__(2))
 *             time.sleep(0.2)
 *
 *     process_1.start()
 *     time.sleep(0.5)
 *     print("over")
 *     exit()                     # prints 0.2 0.4 over 0.6 0.8 ... 2.0
 *
 * A message stands for the parent's half second, so that the output is the
 * same on a slow machine.
 */
#include "example.h"

static int process_01(mp_args *args)
{
    mp_connection *parent = mp_arg_connection(args, 0);
    mp_obj *over;

    for (int i = 1; i <= 10; i++) {
        say("%.1f\n", 0.2 * i);
        mp_sleep(0.02);
        if (i != 2)
            continue;
        mp_check(mp_connection_send(parent, MP_NONE));
        mp_check(mp_connection_recv(parent, &over));
        mp_obj_unref(over);
    }
    return 0;
}

int main(int argc, char **argv)
{
    static mp_process *p; /* nobody closes it */
    mp_connection *here, *there;
    mp_obj *turn;

    mp_main_guard(argc, argv);
    use_start_method_of_environment();

    mp_check(mp_pipe(&here, &there, NULL));
    mp_check(mp_process_create(&p, process_01, MP_ARGS(there), NULL));
    mp_check(mp_process_start(p));
    mp_check(mp_connection_recv(here, &turn));
    mp_obj_unref(turn);
    say("over\n");
    mp_check(mp_connection_send(here, MP_NONE));
    mp_check(mp_connection_close(here));
    mp_check(mp_connection_close(there));
    return 0;
}
