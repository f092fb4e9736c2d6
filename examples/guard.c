/* SPDX-License-Identifier: MIT */
/*
 * The first child, and why it needs the guard:
 *
 *     def f(name):
 *         print('hello', name)
 *         time.sleep(1)
 *         print('I am the child')
 *
 *     if __name__ == '__main__':
 *         p = Process(target=f, args=('bob',))
 *         p.start()
 *         print('I am the parent')
 *
 * A spawned child runs this program again from its beginning. Without the
 * guard it would start a child of its own, and so on: see no_guard.c.
 */
#include "example.h"

static int f(mp_args *args)
{
    say("hello %s\n", mp_arg_str(args, 0));
    mp_sleep(0.1);
    say("I am the child\n");
    return 0;
}

int main(int argc, char **argv)
{
    static mp_process *p; /* nobody closes it */

    mp_main_guard(argc, argv);
    use_start_method_of_environment();

    mp_check(mp_process_create(&p, f, MP_ARGS("bob"), NULL));
    mp_check(mp_process_start(p));
    say("I am the parent\n");
    return 0; /* the child is awaited here */
}
