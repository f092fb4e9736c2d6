/* SPDX-License-Identifier: MIT */
/*
 * The kinds of queues, which in Python only threads have:
 *
 *     queue.Queue(), queue.LifoQueue(), queue.PriorityQueue(),
 *     collections.deque()
 *
 * A child puts, its parent gets.
 */
#include "example.h"

static int put_them(mp_args *args)
{
    static const char *const words[] = {"one", "two", "three", "four"};
    static const int priorities[] = {30, 10, 20, 10};
    mp_queue *q = mp_arg_queue(args, 0);
    bool has_two_ends = mp_arg_bool(args, 1);

    for (int i = 0; i < 4; i++) {
        mp_obj *item = MP_TUPLE(priorities[i], words[i]);

        if (has_two_ends && i % 2 == 1)
            mp_check(mp_queue_put_front(q, item, MP_FOREVER));
        else
            mp_check(mp_queue_put(q, item, MP_FOREVER));
    }
    return 0;
}

static void print_word(mp_obj *item)
{
    const mp_obj *part;
    const char *word;

    mp_check(mp_obj_item(item, 1, &part));
    mp_check(mp_obj_as_str(part, &word, NULL));
    say(" %s", word);
    mp_obj_unref(item);
}

static void show(const char *name, mp_queue_order order)
{
    const mp_queue_options options = {.order = order};
    bool has_two_ends = order == MP_QUEUE_DEQUE;
    mp_obj *item = NULL;
    mp_process *p;
    mp_queue *q;

    mp_check(mp_queue_create(&q, 0, &options));
    mp_check(mp_process_create(&p, put_them, MP_ARGS(q, has_two_ends), NULL));
    mp_check(mp_process_start(p));
    mp_check(mp_process_join(p, MP_FOREVER));
    mp_check(mp_process_close(p));
    say("%s:", name);
    if (has_two_ends) {
        mp_check(mp_queue_get_back(q, MP_FOREVER, &item));
        print_word(item);
    }
    while (mp_queue_get_nowait(q, &item) == MP_OK)
        print_word(item);
    say("\n");
    mp_check(mp_queue_close(q));
}

int main(int argc, char **argv)
{
    mp_main_guard(argc, argv);
    use_start_method_of_environment();

    show("first in, first out", MP_QUEUE_FIFO);
    show("last in, first out", MP_QUEUE_LIFO);
    show("by priority", MP_QUEUE_PRIORITY);
    show("with two ends", MP_QUEUE_DEQUE);
    return 0;
}
