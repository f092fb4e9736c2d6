/* SPDX-License-Identifier: MIT */
/*
 * JoinableQueue, shutdown, and waiting for queues beside other things: what
 * happens at the ends of work, seen from two processes.
 */
#include "support/queue.h"

enum { MANY = 1000, WORKERS = 3 };

/* -- Targets --------------------------------------------------------------- */

/* (queue, seconds): puts after a while. */
static int put_later(mp_args *args)
{
    mp_sleep(mp_arg_float(args, 1));
    must(mp_queue_put(mp_arg_queue(args, 0), MP_BOX("later"), 0));
    return 0;
}

/* (tasks, done): a worker of the documentation's JoinableQueue. */
static int work(mp_args *args)
{
    mp_queue *tasks = mp_arg_queue(args, 0);
    mp_queue *done = mp_arg_queue(args, 1);

    for (;;) {
        int64_t number = must_get_int(tasks);

        if (number >= 0)
            must(mp_queue_put(done, MP_BOX(number * 2), 0));
        must(mp_queue_task_done(tasks));
        if (number < 0)
            return 0;
    }
}

/* (queue, counts): puts until the end, and says how many. */
static int put_until_the_end(mp_args *args)
{
    mp_queue *queue = mp_arg_queue(args, 0);
    int64_t count = 0;
    mp_error err = MP_OK;

    while (err == MP_OK) {
        err = mp_queue_put_bytes(queue, "item", 4, 0);
        count += err == MP_OK;
    }
    must(err == MP_ESHUTDOWN ? MP_OK : err);
    must(mp_queue_put(mp_arg_queue(args, 1), MP_BOX(count), 0));
    return 0;
}

/* -- JoinableQueue --------------------------------------------------------- */

METHOD_TEST(joinable_queue, join_waits_until_all_tasks_are_done)
{
    mp_queue *tasks = make_queue(0), *done = make_queue(0);
    mp_process *workers[WORKERS];
    int64_t sum = 0;

    for (int i = 0; i < WORKERS; i++)
        workers[i] = support_start(method, work, MP_ARGS(tasks, done));
    for (int i = 0; i < MANY; i++)
        put(tasks, i);
    ok(mp_queue_join(tasks, SUPPORT_PATIENCE));
    cr_assert_eq(mp_queue_qsize(done), (size_t)MANY);
    for (int i = 0; i < MANY; i++)
        sum += must_get_int(done);
    cr_assert_eq(sum, (int64_t)MANY * (MANY - 1));
    for (int i = 0; i < WORKERS; i++)
        put(tasks, -1);
    for (int i = 0; i < WORKERS; i++)
        cr_assert_eq(support_finish(workers[i]), 0);
    ok(mp_queue_join(tasks, 0));
    ok(mp_queue_close(tasks));
    ok(mp_queue_close(done));
}

METHOD_TEST(joinable_queue, join_of_a_new_one_returns_at_once)
{
    mp_queue *queue = make_queue(0);
    peer it = begin_peer(method, queue);

    ok(mp_queue_join(queue, 0));
    ok(ask(&it, PEER_JOIN, MP_NONE, 0));
    end_peer(&it);
    ok(mp_queue_close(queue));
}

METHOD_TEST(joinable_queue, what_was_got_is_not_done_yet)
{
    mp_queue *queue = make_queue(0);
    peer it = begin_peer(method, queue);

    put(queue, 1);
    comes_to(mp_queue_join(queue, 0), MP_TIMED_OUT);
    they_get(&it, "1");
    comes_to(mp_queue_join(queue, 0.05), MP_TIMED_OUT);
    ok(ask(&it, PEER_TASK_DONE, MP_NONE, 0));
    ok(mp_queue_join(queue, 0));
    /* Up again with each item that is put. */
    they_put(&it, 2);
    comes_to(mp_queue_join(queue, 0), MP_TIMED_OUT);
    gets(queue, "2");
    ok(mp_queue_task_done(queue));
    ok(ask(&it, PEER_JOIN, MP_NONE, 0));
    end_peer(&it);
    ok(mp_queue_close(queue));
}

METHOD_TEST(joinable_queue, the_last_task_wakes_all_who_join)
{
    mp_queue *queue = make_queue(0);
    peer peers[WORKERS];

    put(queue, 1);
    put(queue, 2);
    for (int i = 0; i < WORKERS; i++) {
        peers[i] = begin_peer(method, queue);
        let_it_wait(&peers[i], PEER_JOIN, MP_NONE);
    }
    gets(queue, "1");
    gets(queue, "2");
    ok(mp_queue_task_done(queue));
    is_waiting(&peers[0]);
    ok(mp_queue_task_done(queue));
    for (int i = 0; i < WORKERS; i++) {
        ok(hear(&peers[i]));
        end_peer(&peers[i]);
    }
    ok(mp_queue_close(queue));
}

METHOD_TEST(joinable_queue, task_done_too_often_is_an_error)
{
    mp_queue *queue = make_queue(0);
    peer it = begin_peer(method, queue);

    fails(mp_queue_task_done(queue), MP_ESTATE);
    cr_assert_eq(ask(&it, PEER_TASK_DONE, MP_NONE, 0), MP_ESTATE);
    put(queue, 1);
    they_get(&it, "1");
    ok(ask(&it, PEER_TASK_DONE, MP_NONE, 0));
    cr_assert_eq(ask(&it, PEER_TASK_DONE, MP_NONE, 0), MP_ESTATE);
    fails(mp_queue_task_done(queue), MP_ESTATE);
    ok(mp_queue_join(queue, 0));
    end_peer(&it);
    ok(mp_queue_close(queue));
}

/* Whoever got it: as in Python. */
METHOD_TEST(joinable_queue, another_process_may_say_that_it_is_done)
{
    mp_queue *queue = make_queue(0);
    peer it = begin_peer(method, queue);

    put(queue, 1);
    they_get(&it, "1");
    ok(mp_queue_task_done(queue));
    ok(mp_queue_join(queue, 0));
    end_peer(&it);
    ok(mp_queue_join(queue, 0));
    ok(mp_queue_close(queue));
}

/* In Python nobody ever would, and join() hangs. */
METHOD_TEST(joinable_queue, join_tells_of_who_died_with_a_task)
{
    mp_queue *queue = make_queue(0);
    peer it = begin_peer(method, queue), other = begin_peer(method, queue);

    put(queue, "lost");
    put(queue, "done");
    they_get(&it, "'lost'");
    gets(queue, "'done'");
    ok(mp_queue_task_done(queue));
    let_it_wait(&other, PEER_JOIN, MP_NONE);
    kill_peer(&it);
    comes_to(hear(&other), MP_OWNER_DIED);
    comes_to(mp_queue_join(queue, SUPPORT_PATIENCE), MP_OWNER_DIED);
    fails(mp_queue_task_done(queue), MP_ESTATE);
    end_peer(&other);
    ok(mp_queue_close(queue));
}

METHOD_TEST(joinable_queue, who_ends_after_its_tasks_are_done_is_no_loss)
{
    mp_queue *queue = make_queue(0);
    peer it = begin_peer(method, queue);

    put(queue, 1);
    they_get(&it, "1");
    ok(ask(&it, PEER_TASK_DONE, MP_NONE, 0));
    kill_peer(&it);
    ok(mp_queue_join(queue, SUPPORT_PATIENCE));
    ok(mp_queue_close(queue));
}

/* -- Shutdown, of queue.Queue since 3.13 ----------------------------------- */

METHOD_TEST(queue_shutdown, no_more_is_put)
{
    mp_queue *queue = make_queue(0);
    peer it = begin_peer(method, queue);

    put(queue, 1);
    ok(ask(&it, PEER_SHUTDOWN, MP_FALSE, 0));
    fails(mp_queue_put(queue, MP_BOX(2), 0), MP_ESHUTDOWN);
    fails(mp_queue_put_nowait(queue, MP_BOX(2)), MP_ESHUTDOWN);
    fails(mp_queue_put_bytes(queue, "x", 1, MP_FOREVER), MP_ESHUTDOWN);
    cr_assert_eq(ask(&it, PEER_PUT, MP_BOX(2), 0), MP_ESHUTDOWN);
    ok(mp_queue_shutdown(queue, false)); /* again: nothing new */
    cr_assert_eq(mp_queue_qsize(queue), 1U);
    end_peer(&it);
    ok(mp_queue_close(queue));
}

/* What shutdown() has found is all there is, however busy the others are. */
METHOD_TEST(queue_shutdown, nothing_is_put_once_it_has_returned)
{
    static const mp_queue_order orders[] = {MP_QUEUE_FIFO, MP_QUEUE_LIFO};

    for (int i = 0; i < 2; i++) {
        mp_queue *queue =
            make_queue_with(0, (mp_queue_options){.order = orders[i]});
        mp_queue *counts = make_queue(0);
        mp_process *workers[WORKERS];
        int64_t sum = 0;
        size_t left;

        for (int n = 0; n < WORKERS; n++)
            workers[n] = support_start(method, put_until_the_end,
                                       MP_ARGS(queue, counts));
        for (int n = 0; n < MANY; n++) {
            mp_obj *item = NULL;

            ok(mp_queue_get(queue, SUPPORT_PATIENCE, &item));
            mp_obj_unref(item);
        }
        ok(mp_queue_shutdown(queue, false));
        left = mp_queue_qsize(queue);
        for (int n = 0; n < WORKERS; n++) {
            sum += must_get_int(counts);
            cr_assert_eq(support_finish(workers[n]), 0);
        }
        cr_assert_eq(mp_queue_qsize(queue), left);
        cr_assert_eq((uint64_t)sum, (uint64_t)left + MANY);
        ok(mp_queue_close(queue));
        ok(mp_queue_close(counts));
    }
}

METHOD_TEST(queue_shutdown, what_is_there_can_be_got)
{
    mp_queue *queue = make_queue(0);
    peer it = begin_peer(method, queue);
    mp_obj *item = NULL;

    put(queue, 1);
    put(queue, 2);
    ok(ask(&it, PEER_SHUTDOWN, MP_FALSE, 0));
    they_get(&it, "1");
    gets(queue, "2");
    fails(mp_queue_get(queue, MP_FOREVER, &item), MP_ESHUTDOWN);
    fails(mp_queue_get_nowait(queue, &item), MP_ESHUTDOWN);
    cr_assert_eq(ask(&it, PEER_GET, MP_NONE, 0), MP_ESHUTDOWN);
    cr_assert_eq(ask(&it, PEER_GET_BYTES, MP_NONE, 0), MP_ESHUTDOWN);
    end_peer(&it);
    ok(mp_queue_close(queue));
}

METHOD_TEST(queue_shutdown, who_waits_for_room_is_woken)
{
    mp_queue *queue = make_queue(1);
    peer peers[WORKERS];

    put(queue, 1);
    for (int i = 0; i < WORKERS; i++) {
        peers[i] = begin_peer(method, queue);
        let_it_wait(&peers[i], PEER_PUT, MP_BOX(2));
    }
    ok(mp_queue_shutdown(queue, false));
    for (int i = 0; i < WORKERS; i++) {
        cr_assert_eq(hear(&peers[i]), MP_ESHUTDOWN);
        end_peer(&peers[i]);
    }
    gets(queue, "1");
    ok(mp_queue_close(queue));
}

METHOD_TEST(queue_shutdown, who_waits_for_an_item_is_woken)
{
    mp_queue *queue = make_queue(0);
    peer peers[WORKERS];

    for (int i = 0; i < WORKERS; i++) {
        peers[i] = begin_peer(method, queue);
        let_it_wait(&peers[i], PEER_GET, MP_NONE);
    }
    ok(mp_queue_shutdown(queue, false));
    for (int i = 0; i < WORKERS; i++) {
        cr_assert_eq(hear(&peers[i]), MP_ESHUTDOWN);
        end_peer(&peers[i]);
    }
    ok(mp_queue_close(queue));
}

METHOD_TEST(queue_shutdown, join_waits_for_what_was_there)
{
    mp_queue *queue = make_queue(0);
    peer it = begin_peer(method, queue);

    put(queue, 1);
    ok(mp_queue_shutdown(queue, false));
    let_it_wait(&it, PEER_JOIN, MP_NONE);
    gets(queue, "1");
    is_waiting(&it);
    ok(mp_queue_task_done(queue));
    ok(hear(&it));
    end_peer(&it);
    ok(mp_queue_close(queue));
}

METHOD_TEST(queue_shutdown, at_once_empties_it)
{
    mp_queue *queue = make_queue(0);
    peer it = begin_peer(method, queue), other = begin_peer(method, queue);
    mp_obj *item = NULL;

    put(queue, 1);
    put(queue, 2);
    put(queue, 3);
    they_get(&it, "1");
    let_it_wait(&other, PEER_JOIN, MP_NONE);
    ok(mp_queue_shutdown(queue, true));
    cr_assert_eq(mp_queue_qsize(queue), 0U);
    fails(mp_queue_get_nowait(queue, &item), MP_ESHUTDOWN);
    /* The one that was got is still somebody's task. */
    is_waiting(&other);
    ok(ask(&it, PEER_TASK_DONE, MP_NONE, 0));
    ok(hear(&other));
    end_peer(&it);
    end_peer(&other);
    ok(mp_queue_close(queue));
}

METHOD_TEST(queue_shutdown, at_once_ends_join_if_nothing_is_under_way)
{
    mp_queue *queue = make_queue(0);
    peer it = begin_peer(method, queue);

    put(queue, 1);
    let_it_wait(&it, PEER_JOIN, MP_NONE);
    ok(mp_queue_shutdown(queue, true));
    ok(hear(&it));
    end_peer(&it);
    ok(mp_queue_close(queue));
}

METHOD_TEST(queue_shutdown, wait_is_ready_since_get_does_not_block)
{
    mp_queue *queue = make_queue(0);
    peer it = begin_peer(method, queue);
    mp_wait_item item = MP_WAIT(queue);

    comes_to(mp_wait(&item, 1, 0), MP_TIMED_OUT);
    ok(ask(&it, PEER_SHUTDOWN, MP_FALSE, 0));
    ok(mp_wait(&item, 1, SUPPORT_PATIENCE));
    end_peer(&it);
    ok(mp_queue_close(queue));
}

/* -- Waiting for many ------------------------------------------------------ */

METHOD_TEST(queue, wait_tells_when_there_is_an_item)
{
    mp_queue *queue = make_queue(0);
    mp_process *child = support_start(method, put_later, MP_ARGS(queue, 0.2));
    mp_wait_item item = MP_WAIT(queue);

    ok(mp_wait(&item, 1, SUPPORT_PATIENCE));
    cr_assert(item.is_ready);
    /* Nothing was taken, and it stays so. */
    ok(mp_wait(&item, 1, 0));
    gets(queue, "'later'");
    comes_to(mp_wait(&item, 1, 0), MP_TIMED_OUT);
    cr_assert_not(item.is_ready);
    comes_to(mp_wait(&item, 1, 0.05), MP_TIMED_OUT);
    cr_assert_eq(support_finish(child), 0);
    ok(mp_queue_close(queue));
    fails(mp_wait(&item, 1, 0), MP_ECLOSED);
}

METHOD_TEST(queue, wait_takes_several_and_other_things)
{
    mp_queue *queues[2] = {make_queue(0), make_queue(0)};
    mp_process *child =
        support_start(method, put_later, MP_ARGS(queues[1], 0.2));
    mp_wait_item items[] = {MP_WAIT(queues[0]), MP_WAIT(child),
                            MP_WAIT(queues[1])};

    do {
        ok(mp_wait(items, 3, SUPPORT_PATIENCE));
        cr_assert_not(items[0].is_ready);
    } while (!items[2].is_ready);
    gets(queues[1], "'later'");
    do
        ok(mp_wait(items, 3, SUPPORT_PATIENCE));
    while (!items[1].is_ready);
    cr_assert_not(items[0].is_ready);
    cr_assert_not(items[2].is_ready);
    put(queues[0], 1);
    ok(mp_wait(items, 3, SUPPORT_PATIENCE));
    cr_assert(items[0].is_ready);
    cr_assert_eq(support_finish(child), 0);
    ok(mp_queue_close(queues[0]));
    ok(mp_queue_close(queues[1]));
}
