/* SPDX-License-Identifier: MIT */
/*
 * What a queue does when it is full, and when it is empty:
 *
 *     q = Queue(3)
 *     q.put('first')
 *     q.put('second')
 *     q.put('third')
 *     q.put('fourth', timeout=0.1)    # queue.Full
 *     print(q.get())
 *
 * Other than in Python, empty(), full() and qsize() can be relied on, and what
 * can't travel is an error of put().
 */
#include "example.h"

static int f(mp_args *args)
{
    mp_queue *q = mp_arg_queue(args, 0);

    return mp_queue_put(q, MP_LIST(42, MP_NONE, "hello"), MP_FOREVER);
}

static void print_counts(mp_queue *q)
{
    say("qsize %zu, empty %s, full %s\n", mp_queue_qsize(q),
        true_or_false(mp_queue_empty(q)), true_or_false(mp_queue_full(q)));
}

static void print_next(mp_queue *q)
{
    mp_obj *item;

    mp_check(mp_queue_get(q, MP_FOREVER, &item));
    mp_check(mp_obj_print(item));
    mp_obj_unref(item);
}

int main(int argc, char **argv)
{
    mp_process *p;
    mp_queue *q;
    mp_obj *item;
    mp_error err;

    mp_main_guard(argc, argv);
    use_start_method_of_environment();

    mp_check(mp_queue_create(&q, 3, NULL));
    print_counts(q);
    mp_check(mp_queue_put(q, MP_BOX("first"), MP_FOREVER));
    mp_check(mp_queue_put(q, MP_BOX("second"), MP_FOREVER));
    mp_check(mp_queue_put(q, MP_BOX("third"), MP_FOREVER));
    print_counts(q);
    err = mp_queue_put(q, MP_BOX("fourth"), 0.1);
    say("put, timeout: %s: %s\n", mp_error_name(err), mp_strerror(err));
    err = mp_queue_put_nowait(q, MP_BOX("fourth"));
    say("put_nowait: %s\n", mp_error_name(err));
    for (int i = 0; i < 3; i++)
        print_next(q);
    err = mp_queue_get(q, 0.1, &item);
    say("get, timeout: %s: %s\n", mp_error_name(err), mp_strerror(err));
    err = mp_queue_get_nowait(q, &item);
    say("get_nowait: %s\n", mp_error_name(err));
    err = mp_queue_put(q, MP_LIST("a file", stderr), 0);
    say("what can't travel: %s\n", mp_error_name(err));

    mp_check(mp_process_create(&p, f, MP_ARGS(q), NULL));
    mp_check(mp_process_start(p));
    print_next(q);
    mp_check(mp_process_join(p, MP_FOREVER));
    mp_check(mp_process_close(p));
    print_counts(q);
    return mp_queue_close(q);
}
