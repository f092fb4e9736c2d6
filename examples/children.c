/* SPDX-License-Identifier: MIT */
/*
 * Several children, joined inside the loop and after it:
 *
 *     for i in range(5):
 *         p = Process(target=f, args=(i,))
 *         p.start()
 *         p.join()                  # one after the other
 *
 *     for p in p_lst: p.join()      # all at once
 *     print('sum')
 */
#include "example.h"

#define NAP 0.2

enum { FEW = 5, MANY = 10 };

static int f(mp_args *args)
{
    mp_sleep(NAP);
    say("%lld\n", (long long)mp_arg_int(args, 0));
    return 0;
}

static mp_process *start(mp_function target, int i)
{
    mp_process *p;

    mp_check(mp_process_create(&p, target, MP_ARGS(i), NULL));
    mp_check(mp_process_start(p));
    return p;
}

static void finish(mp_process *p)
{
    mp_check(mp_process_join(p, MP_FOREVER));
    mp_check(mp_process_close(p));
}

static double in_turn(mp_function target, int count)
{
    double begin = mp_monotonic();

    for (int i = 0; i < count; i++)
        finish(start(target, i));
    return mp_monotonic() - begin;
}

static double at_once(mp_function target, int count)
{
    double begin = mp_monotonic();
    mp_process *p[MANY];

    for (int i = 0; i < count; i++)
        p[i] = start(target, i);
    for (int i = 0; i < count; i++)
        finish(p[i]);
    return mp_monotonic() - begin;
}

int main(int argc, char **argv)
{
    double one_by_one;

    mp_main_guard(argc, argv);
    use_start_method_of_environment();

    one_by_one = in_turn(f, FEW);
    say("in turn takes every nap: %s\n",
        true_or_false(one_by_one > NAP * (double)FEW));
    say("at once takes less: %s\n",
        true_or_false(at_once(f, FEW) < one_by_one));
    at_once(f, MANY);
    say("sum\n"); /* after every number */
    return 0;
}
