/* SPDX-License-Identifier: MIT */
/*
 * What can't travel:
 *
 *     q = queue.Queue()                  # a thread's queue, not a process's
 *     p = Process(target=f, args=(q,))
 *     p.start()       # TypeError: can't pickle _thread.lock objects
 *
 * What means nothing in another process is an error of start(), under every
 * start method and before any process exists.
 */
#include "example.h"

typedef struct queue {
    int items[3];
} queue;

static int f(mp_args *args)
{
    say("never reached: %s\n", mp_obj_type_name(mp_arg_obj(args, 0)));
    return 0;
}

static void try_to_pass(const char *what, mp_obj *obj)
{
    mp_process *p;
    mp_error err;
    size_t count;

    mp_check(mp_process_create(&p, f, MP_ARGS(obj), NULL));
    err = mp_process_start(p);
    say("%s: %s: %s\n", what, mp_error_name(err), mp_error_message());
    mp_check(mp_active_children(NULL, 0, &count));
    say("pid %lld, %zu children\n", (long long)mp_process_pid(p), count);
    mp_check(mp_process_close(p));
}

int main(int argc, char **argv)
{
    queue q = {{0}};

    mp_main_guard(argc, argv);
    use_start_method_of_environment();

    try_to_pass("a queue", MP_BOX(&q));
    try_to_pass("a file, deep inside", MP_LIST(42, MP_DICT("log", stderr)));
    return 0;
}
