/* SPDX-License-Identifier: MIT */
/*
 * A worker is killed in the middle of a task. Where Python's JoinableQueue
 * waits for that task for ever, here another one does it:
 *
 *     q = JoinableQueue()
 *     ...
 *         task = q.get()
 *         work(task)
 *         q.task_done()
 *     ...
 *     q.join()
 */
#include "example.h"

enum { TASKS = 6, BAD = 3 };

static int work(mp_args *args)
{
    mp_queue *q = mp_arg_queue(args, 0);
    mp_obj *task;
    int64_t n;

    while (mp_queue_get(q, MP_FOREVER, &task) == MP_OK) {
        mp_check(mp_obj_as_int(task, &n));
        mp_obj_unref(task);
        if (n == BAD && mp_queue_deliveries(q) == 1)
            mp_sleep(3600); /* until it is killed */
        say("task %d, given out %u times\n", (int)n, mp_queue_deliveries(q));
        mp_check(mp_queue_task_done(q));
    }
    return 0; /* shut down, and nothing is left */
}

static mp_process *start(mp_queue *q)
{
    mp_process *p;

    mp_check(mp_process_create(&p, work, MP_ARGS(q), NULL));
    mp_check(mp_process_start(p));
    return p;
}

static void end(mp_process *p)
{
    mp_check(mp_process_join(p, MP_FOREVER));
    mp_check(mp_process_close(p));
}

int main(int argc, char **argv)
{
    const mp_queue_options options = {.redeliver = true};
    mp_process *p;
    mp_queue *q;

    mp_main_guard(argc, argv);
    use_start_method_of_environment();

    mp_check(mp_queue_create(&q, 0, &options));
    for (int i = 0; i < TASKS; i++)
        mp_check(mp_queue_put(q, MP_BOX(i), MP_FOREVER));
    p = start(q);
    while (mp_queue_qsize(q) > TASKS - BAD - 1)
        mp_sleep(0.001);
    mp_check(mp_process_kill(p));
    end(p);
    p = start(q);
    mp_check(mp_queue_join(q, MP_FOREVER));
    say("all %d are done\n", TASKS);
    mp_check(mp_queue_shutdown(q, false));
    end(p);
    return mp_queue_close(q);
}
