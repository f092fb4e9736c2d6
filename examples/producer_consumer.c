/* SPDX-License-Identifier: MIT */
/*
 * A producer and a consumer, who know nothing of each other but the queue:
 *
 *     def producer(que):
 *         for i in range(10):
 *             time.sleep(random.randint(1, 3))
 *             que.put(i)
 *             print("produced %d" % i)
 *         que.put(None)       # only the producer knows when it is done
 *
 *     def consumer(que):
 *         while True:
 *             data = que.get()
 *             if data is None: break
 *             print("consumed", data)
 *             time.sleep(random.randint(1, 3))
 */
#include "example.h"

static void take_time(void)
{
    mp_sleep((1 + rand() % 3) / 100.0);
}

static int producer(mp_args *args)
{
    mp_queue *que = mp_arg_queue(args, 0);

    for (int i = 0; i < 10; i++) {
        take_time();
        mp_check(mp_queue_put(que, MP_BOX(i), MP_FOREVER));
        say("produced %d\n", i);
    }
    return mp_queue_put(que, MP_NONE, MP_FOREVER);
}

static int consumer(mp_args *args)
{
    mp_queue *que = mp_arg_queue(args, 0);

    for (;;) {
        mp_obj *data;
        int64_t i;

        mp_check(mp_queue_get(que, MP_FOREVER, &data));
        if (mp_obj_is_none(data)) {
            mp_obj_unref(data);
            return 0;
        }
        mp_check(mp_obj_as_int(data, &i));
        mp_obj_unref(data);
        say("consumed %d\n", (int)i);
        take_time();
    }
}

int main(int argc, char **argv)
{
    mp_process *p1, *p2;
    mp_queue *que;

    mp_main_guard(argc, argv);
    use_start_method_of_environment();

    mp_check(mp_queue_create(&que, 0, NULL));
    mp_check(mp_process_create(&p1, producer, MP_ARGS(que), NULL));
    mp_check(mp_process_create(&p2, consumer, MP_ARGS(que), NULL));
    mp_check(mp_process_start(p1));
    mp_check(mp_process_start(p2));
    mp_check(mp_process_join(p1, MP_FOREVER));
    mp_check(mp_process_join(p2, MP_FOREVER));
    mp_check(mp_process_close(p1));
    mp_check(mp_process_close(p2));
    return mp_queue_close(que);
}
