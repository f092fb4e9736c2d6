/* SPDX-License-Identifier: MIT */
/*
 * Ten processes fill a dict and a list:
 *
 *     d = manager.dict()
 *     l = manager.list(range(5))
 *     def f(d, l):
 *         d[os.getpid()] = os.getpid()
 *         l.append(os.getpid())
 *
 * (a number in place of the pid), but there is no server that all is lost with.
 */
#include "example.h"

enum { PROCESSES = 10 };

static int f(mp_args *args)
{
    mp_shared_dict *d = mp_arg_shared_dict(args, 0);
    mp_shared_list *l = mp_arg_shared_list(args, 1);
    int64_t i = mp_arg_int(args, 2);

    mp_check(mp_shared_dict_set(d, MP_BOX(i), MP_BOX(i)));
    return mp_shared_list_append(l, MP_BOX(i));
}

/* Until it is killed, in the middle of whatever it does. */
static int write_for_ever(mp_args *args)
{
    mp_shared_dict *d = mp_arg_shared_dict(args, 0);

    for (;;)
        mp_check(mp_shared_dict_add(d, MP_BOX("times"), 1, NULL));
}

static void kill_one(mp_shared_dict *d)
{
    mp_process *process;

    mp_check(mp_process_create(&process, write_for_ever, MP_ARGS(d), NULL));
    mp_check(mp_process_start(process));
    while (mp_shared_dict_length(d) == PROCESSES)
        mp_sleep(0.001);
    mp_check(mp_process_kill(process));
    mp_check(mp_process_join(process, MP_FOREVER));
    mp_check(mp_process_close(process));
}

int main(int argc, char **argv)
{
    mp_process *p_list[PROCESSES];
    mp_shared_dict *d;
    mp_shared_list *l;
    mp_obj *sorted = MP_DICT(), *list;

    mp_main_guard(argc, argv);
    use_start_method_of_environment();
    mp_check(mp_shared_dict_create(&d, 100, NULL));
    mp_check(mp_shared_list_create(&l, 100, NULL));
    mp_check(mp_shared_list_extend(l, MP_LIST(0, 1, 2, 3, 4)));
    for (int i = 0; i < PROCESSES; i++) {
        mp_check(mp_process_create(&p_list[i], f, MP_ARGS(d, l, i), NULL));
        mp_check(mp_process_start(p_list[i]));
    }
    for (int i = 0; i < PROCESSES; i++) {
        mp_check(mp_process_join(p_list[i], MP_FOREVER));
        mp_check(mp_process_close(p_list[i]));
        mp_check(mp_obj_set_item(sorted, MP_BOX(i),
                                 mp_shared_dict_get(d, MP_BOX(i))));
    }
    kill_one(d);
    mp_check(mp_obj_print(sorted));
    mp_check(mp_shared_list_sort(l));
    mp_check(mp_obj_print(list = mp_shared_list_snapshot(l)));
    mp_obj_unref(sorted);
    mp_obj_unref(list);
    say("whole: %s\n", true_or_false(mp_shared_dict_verify(d) == MP_OK));
    mp_check(mp_shared_list_close(l));
    return mp_shared_dict_close(d);
}
