/* SPDX-License-Identifier: MIT */
/*
 * A daemon ends with its parent's code, the others are awaited:
 *
 *     def func():
 *         print('son start')
 *         while True:
 *             time.sleep(1)
 *             print('son')
 *
 *     def func2():
 *         print('start :in func2')
 *         time.sleep(5)
 *         print('end : in func2')
 *
 *     p.daemon = True
 *     p.start()
 *     Process(target=func2).start()
 *     time.sleep(2)
 *     print('in the main process')
 *
 * Soon after the main process's line only func2 speaks.
 */
#include "example.h"

static int func(mp_args *args)
{
    say("son start\n");
    mp_check(mp_event_set(mp_arg_event(args, 0)));
    for (int i = 0; i < 100; i++) {
        mp_sleep(0.1);
        say("son\n");
    }
    return 1; /* it has outlived its parent's code */
}

static int func2(mp_args *args)
{
    (void)args;
    say("start :in func2\n");
    mp_sleep(0.5);
    say("end : in func2\n");
    return 0;
}

int main(int argc, char **argv)
{
    static mp_process *p, *p2; /* nobody closes them */
    mp_event *has_begun;

    mp_main_guard(argc, argv);
    use_start_method_of_environment();

    mp_check(mp_event_create(&has_begun));
    mp_check(mp_process_create(&p, func, MP_ARGS(has_begun), NULL));
    mp_check(mp_process_set_daemon(p, true)); /* before it is started */
    mp_check(mp_process_start(p));
    mp_check(mp_process_create(&p2, func2, NULL, NULL));
    mp_check(mp_process_start(p2));
    mp_check(mp_event_wait(has_begun, MP_FOREVER));
    mp_sleep(0.2);
    say("in the main process\n");
    return mp_event_close(has_begun);
}
