/* SPDX-License-Identifier: MIT */
/*
 * What all children need, made once:
 *
 *     multiprocessing.set_start_method('forkserver')
 *     multiprocessing.set_forkserver_preload(['table'])
 *
 * The fork server runs make_table() before its first child; every child is a
 * copy of the server and finds the table ready.
 */
#include "example.h"

enum { SIZE = 1000 };

static long squares[SIZE];
static int64_t maker; /* the process that filled it */

static int make_table(mp_args *args)
{
    int64_t size = mp_arg_int(args, 0);

    for (long i = 0; i < size; i++)
        squares[i] = i * i;
    maker = mp_getpid();
    return 0;
}

static int look(mp_args *args)
{
    int64_t index = mp_arg_int(args, 0);

    say("%lld * %lld = %ld, made elsewhere: %s\n", (long long)index,
        (long long)index, squares[index],
        true_or_false(maker != 0 && maker != mp_getpid()));
    return 0;
}

static void look_in_child(int index)
{
    mp_process *p;

    mp_check(mp_process_create(&p, look, MP_ARGS(index), NULL));
    mp_check(mp_process_start(p));
    mp_check(mp_process_join(p, MP_FOREVER));
    mp_check(mp_process_close(p));
}

int main(int argc, char **argv)
{
    mp_main_guard(argc, argv);

    if (mp_set_start_method(MP_START_FORKSERVER) == MP_ENOTSUP) {
        say("this system has no forkserver\n");
        return 0;
    }
    mp_check(mp_set_forkserver_preload(make_table, MP_ARGS(SIZE)));
    look_in_child(2);
    look_in_child(999);
    say("made here: %s\n", true_or_false(maker != 0));
    return 0;
}
