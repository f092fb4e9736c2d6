/* SPDX-License-Identifier: MIT */
/*
 * A program that forgets the guard. Python's example in the same state starts
 * children for ever, or so its authors feared:
 *
 *     p = Process(target=f, args=('bob',))    # not below the __main__ line
 *     p.start()
 *
 * Ours gets one error with a sentence, and no process.
 */
#include "example.h"

static int f(mp_args *args)
{
    say("hello %s\n", mp_arg_str(args, 0));
    return 0;
}

int main(void)
{
    mp_process *p;

    /* Here mp_main_guard(argc, argv) is missing. */
    use_start_method_of_environment();

    say("about to start\n");
    mp_check(mp_process_create(&p, f, MP_ARGS("bob"), NULL));
    mp_check(mp_process_start(p));
    say("started\n"); /* never said */
    return 0;
}
