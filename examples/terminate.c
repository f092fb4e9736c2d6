/* SPDX-License-Identifier: MIT */
/*
 * The end by force, and nothing left of it:
 *
 *     p.start()
 *     print(p.is_alive())
 *     time.sleep(1)
 *     p.terminate()
 *     print(p.is_alive())      # likely still True: it takes a moment
 *     time.sleep(0.5)
 *     print(p.is_alive())
 *
 * join() replaces the guess how long the end may take; the exit code is -15,
 * and no zombie stays among the children.
 */
#include "example.h"

static int func(mp_args *args)
{
    mp_connection *parent = mp_arg_connection(args, 0);

    say("wahaha\n");
    mp_check(mp_connection_send(parent, MP_NONE));
    mp_sleep(20);
    say("wahaha end\n");
    return 0;
}

static void print_exitcode(mp_process *p)
{
    int code;

    if (mp_process_exitcode(p, &code) == MP_PENDING)
        say("exitcode: None\n");
    else
        say("exitcode: %d\n", code);
}

int main(int argc, char **argv)
{
    mp_connection *here, *there;
    mp_process *p;
    mp_obj *obj;
    size_t count;

    mp_main_guard(argc, argv);
    use_start_method_of_environment();

    mp_check(mp_pipe(&here, &there, NULL));
    mp_check(mp_process_create(&p, func, MP_ARGS(there), NULL));
    say("%s\n", true_or_false(mp_process_is_alive(p)));
    mp_check(mp_process_start(p));
    mp_check(mp_connection_recv(here, &obj)); /* wahaha has been said */
    mp_obj_unref(obj);
    say("%s\n", true_or_false(mp_process_is_alive(p)));
    print_exitcode(p);

    mp_check(mp_process_terminate(p));
    mp_check(mp_process_join(p, MP_FOREVER));
    say("%s\n", true_or_false(mp_process_is_alive(p)));
    print_exitcode(p);
    mp_check(mp_active_children(NULL, 0, &count));
    say("active children: %zu\n", count);

    mp_check(mp_process_close(p));
    mp_check(mp_connection_close(here));
    mp_check(mp_connection_close(there));
    return 0;
}
