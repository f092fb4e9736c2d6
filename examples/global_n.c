/* SPDX-License-Identifier: MIT */
/*
 * Memory is not shared:
 *
 *     n = 100                              list1 = []
 *     def func():                          def process_01():
 *         global n                             for i in range(5):
 *         n += 1                                   list1.append(i)
 *         print('son : ', n)                   print("process 1:", list1)
 *
 *     p.start(); p.join()                  def process_02():
 *     print(n)                                 print("process 2:", list1)
 *
 * A forked child changes its copy, a spawned one begins with the initial
 * values; the parent's n stays what it was in both.
 */
#include "example.h"

enum { CAPACITY = 5 };

static int n = 100;
static int list[CAPACITY];
static int length;

static void print_list(const char *who)
{
    mp_obj *items = MP_LIST();

    for (int i = 0; i < length; i++)
        mp_check(mp_obj_append(items, MP_BOX(list[i])));
    printf("%s: ", who);
    mp_check(mp_obj_print(items));
    mp_obj_unref(items);
}

static int func(mp_args *args)
{
    (void)args;
    n += 1;
    say("son : %d\n", n);
    return 0;
}

static int process_01(mp_args *args)
{
    (void)args;
    for (int i = 0; i < CAPACITY; i++)
        list[length++] = i;
    print_list("process 1");
    return 0;
}

static int process_02(mp_args *args)
{
    (void)args;
    print_list("process 2");
    return 0;
}

static void run(mp_function target)
{
    mp_process *p;

    mp_check(mp_process_create(&p, target, NULL, NULL));
    mp_check(mp_process_start(p));
    mp_check(mp_process_join(p, MP_FOREVER));
    mp_check(mp_process_close(p));
}

int main(int argc, char **argv)
{
    mp_main_guard(argc, argv);
    use_start_method_of_environment();

    run(func);
    say("%d\n", n);
    run(process_01);
    run(process_02);
    return 0;
}
