/* SPDX-License-Identifier: MIT */
/*
 * global_n.c again, and beside it a Value, which is shared:
 *
 *     n = 100
 *     m = Value('i', 100)
 *     def func(m):
 *         global n
 *         n += 1
 *         with m.get_lock():
 *             m.value += 1
 */
#include "example.h"

enum { PROCESSES = 4, TIMES = 1000 };

static int n = 100;

static int func(mp_args *args)
{
    mp_value *m = mp_arg_value(args, 0);

    for (int i = 0; i < TIMES; i++) {
        n += 1;
        mp_check(mp_value_acquire(m, MP_FOREVER));
        *MP_VALUE(m, int) += 1;
        mp_check(mp_value_release(m));
    }
    return 0;
}

int main(int argc, char **argv)
{
    mp_process *p[PROCESSES];
    mp_value *m;

    mp_main_guard(argc, argv);
    use_start_method_of_environment();
    mp_check(mp_value_create(&m, MP_CTYPE(int), &n, NULL));
    for (int i = 0; i < PROCESSES; i++) {
        mp_check(mp_process_create(&p[i], func, MP_ARGS(m), NULL));
        mp_check(mp_process_start(p[i]));
    }
    for (int i = 0; i < PROCESSES; i++) {
        mp_check(mp_process_join(p[i], MP_FOREVER));
        mp_check(mp_process_close(p[i]));
    }
    printf("global: %d\nshared: %d\n", n, *MP_VALUE(m, int));
    return mp_value_close(m);
}
