/* SPDX-License-Identifier: MIT */
/*
 * Queue, JoinableQueue and SimpleQueue: each behaviour that CPython's
 * documentation tells, seen from two processes; and what it warns of, which
 * does not happen here.
 */
#include "support/check.h"
#include "support/queue.h"
#include "support/system.h"

#include "os.h"

enum { MANY = 1000, WORKERS = 3, EACH = 500, LARGE = 1 << 20 };

static mp_queue *global;

static double now(void)
{
    return mp_monotonic();
}

/* -- Targets --------------------------------------------------------------- */

/* (queue, count) */
static int put_large(mp_args *args)
{
    static char text[LARGE];
    mp_queue *queue = mp_arg_queue(args, 0);

    memset(text, 'x', sizeof(text));
    for (int64_t i = 0; i < mp_arg_int(args, 1); i++)
        must(mp_queue_put(queue, MP_TUPLE(i, MP_BYTES(text, LARGE)), 0));
    return 0;
}

/* (queue, sums): until there is a None. */
static int add_up(mp_args *args)
{
    mp_queue *queue = mp_arg_queue(args, 0);
    int64_t sum = 0;

    for (;;) {
        mp_obj *item = NULL;
        int64_t value = 0;

        must(mp_queue_get(queue, SUPPORT_PATIENCE, &item));
        if (mp_obj_is_none(item)) {
            mp_obj_unref(item);
            break;
        }
        must(mp_obj_as_int(item, &value));
        mp_obj_unref(item);
        sum += value;
    }
    must(mp_queue_put(mp_arg_queue(args, 1), MP_BOX(sum), 0));
    return 0;
}

static int put_and_die(mp_args *args)
{
    mp_queue *queue = mp_arg_queue(args, 0);

    for (int i = 0; i < 3; i++)
        must(mp_queue_put(queue, MP_BOX(i), 0));
    mpos_exit(9);
}

static int use_global(mp_args *args)
{
    (void)args;
    must(mp_queue_put(global, MP_BOX("child"), 0));
    return 0;
}

static int be_grandchild(mp_args *args)
{
    must(mp_queue_put(mp_arg_queue(args, 0), MP_BOX("grandchild"), 0));
    return 0;
}

static int have_child(mp_args *args)
{
    mp_queue *queue = mp_arg_queue(args, 0);
    mp_process *child;

    must(mp_process_create(&child, be_grandchild, MP_ARGS(queue), NULL));
    must(mp_process_start(child));
    must(mp_process_join(child, MP_FOREVER));
    must(mp_process_close(child));
    must(mp_queue_put(queue, MP_BOX("child"), 0));
    return 0;
}

/* ([queue, {"k": queue}], again=queue, none) */
static int use_nested(mp_args *args)
{
    const mp_obj *outer = mp_arg_obj(args, 0);
    mp_queue *queues[3] = {NULL, NULL, mp_kwarg_queue(args, "again", NULL)};
    const mp_obj *item;

    if (mp_kwarg_queue(args, "none", NULL) != NULL)
        return 1;
    must(mp_obj_item(outer, 0, &item));
    must(mp_obj_as_queue(item, &queues[0]));
    must(mp_obj_item(outer, 1, &item));
    must(mp_obj_get_str(item, "k", &item));
    must(mp_obj_as_queue(item, &queues[1]));
    for (int i = 0; i < 3; i++)
        must(mp_queue_put(queues[i], MP_BOX(i), 0));
    return 0;
}

/* Makes one, sends it, and gets from it. */
static int send_own(mp_args *args)
{
    mp_connection *connection = mp_arg_connection(args, 0);
    mp_queue *queue = NULL;
    mp_obj *item = NULL;

    must(mp_queue_create(&queue, 0, NULL));
    must(mp_queue_put(queue, MP_BOX("from the child"), 0));
    must(mp_connection_send(connection, MP_BOX(queue)));
    must(mp_connection_recv(connection, &item));
    mp_obj_unref(item);
    must(mp_queue_get(queue, SUPPORT_PATIENCE, &item));
    mp_obj_unref(item);
    must(mp_queue_close(queue));
    return 0;
}

/* -- Put and get ----------------------------------------------------------- */

METHOD_TEST(queue, what_one_puts_the_other_gets)
{
    mp_queue *queue = make_queue(0);
    peer it = begin_peer(method, queue);

    put(queue, "there");
    they_get(&it, "'there'");
    they_put(&it, "back");
    gets(queue, "'back'");
    end_peer(&it);
    ok(mp_queue_close(queue));
}

static mp_obj *make_sample(int which)
{
    static const char text[300000] = "long";

    switch (which) {
    case 0:
        return MP_NONE;
    case 1:
        return MP_TUPLE(MP_TRUE, MP_FALSE, -1, INT64_MAX, INT64_MIN, 2.5);
    case 2:
        return MP_LIST("", "text", "\xc3\xa4\xe2\x82\xac", MP_BYTES("a\0b", 3));
    case 3:
        return MP_DICT("k", MP_LIST(1, MP_TUPLE(2, MP_SET(3, 4))), 5, MP_NONE);
    case 4:
        return MP_BYTES(text, sizeof(text));
    case 5:
        return mp_obj_function(produce);
    case 6:
        return MP_LIST(MP_BYTES(text, 8100), "around what is inline",
                       MP_BYTES(text, 60));
    default:
        return NULL;
    }
}

METHOD_TEST(queue, objects_arrive_as_they_were)
{
    mp_queue *queue = make_queue(0);
    peer it = begin_peer(method, queue);
    mp_obj *sample;

    for (int i = 0; (sample = make_sample(i)) != NULL; i++) {
        mp_obj *item = NULL;

        /* To the other one, who puts it back. */
        put(queue, mp_obj_ref(sample));
        tell(&it, PEER_GET, MP_NONE, 0);
        ok(hear_obj(&it, &item));
        cr_assert(mp_obj_equal(sample, item), "sample %d", i);
        they_put(&it, item);
        ok(mp_queue_get_nowait(queue, &item));
        cr_assert(mp_obj_equal(sample, item), "sample %d", i);
        mp_obj_unref(item);
        mp_obj_unref(sample);
    }
    end_peer(&it);
    ok(mp_queue_close(queue));
}

METHOD_TEST(queue, first_in_is_first_out)
{
    mp_queue *queue = make_queue(0);
    peer it = begin_peer(method, queue);

    for (int i = 0; i < MANY; i += 2) {
        put(queue, i);
        they_put(&it, i + 1);
    }
    for (int i = 0; i < MANY; i++) {
        mp_obj *item = NULL;
        int64_t value = -1;

        ok(mp_queue_get_nowait(queue, &item));
        ok(mp_obj_as_int(item, &value));
        mp_obj_unref(item);
        cr_assert_eq(value, i);
    }
    is_drained(queue);
    end_peer(&it);
    ok(mp_queue_close(queue));
}

/* "Objects enqueued by the same process will always be in order." */
METHOD_TEST(queue, items_of_each_producer_stay_in_order)
{
    mp_queue *queue = make_queue(10);
    mp_process *producers[WORKERS];
    int64_t next[WORKERS] = {0};

    for (int i = 0; i < WORKERS; i++)
        producers[i] = support_start(method, produce, MP_ARGS(queue, i, EACH));
    for (int i = 0; i < WORKERS * EACH; i++) {
        const mp_obj *part;
        mp_obj *item = NULL;
        int64_t who = -1, number = -1;

        ok(mp_queue_get(queue, SUPPORT_PATIENCE, &item));
        ok(mp_obj_item(item, 0, &part));
        ok(mp_obj_as_int(part, &who));
        ok(mp_obj_item(item, 1, &part));
        ok(mp_obj_as_int(part, &number));
        mp_obj_unref(item);
        cr_assert_eq(number, next[who]++);
    }
    for (int i = 0; i < WORKERS; i++)
        cr_assert_eq(support_finish(producers[i]), 0);
    is_drained(queue);
    ok(mp_queue_close(queue));
}

METHOD_TEST(queue, each_item_is_got_once)
{
    mp_queue *queue = make_queue(0), *sums = make_queue(0);
    mp_process *consumers[WORKERS];
    int64_t sum = 0;

    for (int i = 0; i < WORKERS; i++)
        consumers[i] = support_start(method, add_up, MP_ARGS(queue, sums));
    for (int i = 0; i < MANY; i++)
        put(queue, i);
    for (int i = 0; i < WORKERS; i++)
        put(queue, MP_NONE);
    for (int i = 0; i < WORKERS; i++) {
        cr_assert_eq(support_finish(consumers[i]), 0);
        sum += must_get_int(sums);
    }
    cr_assert_eq(sum, (int64_t)MANY * (MANY - 1) / 2);
    is_drained(queue);
    ok(mp_queue_close(queue));
    ok(mp_queue_close(sums));
}

/* Python's feeder may encode it later, and then sends what it is then. */
METHOD_TEST(queue, what_was_put_does_not_change_any_more)
{
    mp_queue *queue = make_queue(0);
    peer it = begin_peer(method, queue);
    mp_obj *list = MP_LIST(1, 2);

    put(queue, mp_obj_ref(list));
    mp_obj_unref(list);
    list = MP_LIST(1, 2, 3);
    they_get(&it, "[1, 2]");
    mp_obj_unref(list);
    end_peer(&it);
    ok(mp_queue_close(queue));
}

/* -- Blocking, and time ---------------------------------------------------- */

METHOD_TEST(queue, put_waits_until_there_is_room)
{
    mp_queue *queue = make_queue(2);
    peer it = begin_peer(method, queue);

    they_put(&it, 1);
    they_put(&it, 2);
    let_it_wait(&it, PEER_PUT, MP_BOX(3));
    gets(queue, "1");
    ok(hear(&it));
    gets(queue, "2");
    gets(queue, "3");
    end_peer(&it);
    ok(mp_queue_close(queue));
}

METHOD_TEST(queue, get_waits_until_there_is_an_item)
{
    mp_queue *queue = make_queue(0);
    peer it = begin_peer(method, queue);

    for (int i = 0; i < 3; i++) {
        let_it_wait(&it, PEER_GET, MP_NONE);
        put(queue, "at last");
        answers(&it, "'at last'");
    }
    end_peer(&it);
    ok(mp_queue_close(queue));
}

METHOD_TEST(queue, each_of_several_that_wait_gets_one)
{
    mp_queue *queue = make_queue(0);
    peer peers[WORKERS];

    for (int i = 0; i < WORKERS; i++) {
        peers[i] = begin_peer(method, queue);
        let_it_wait(&peers[i], PEER_GET, MP_NONE);
    }
    for (int i = 0; i < WORKERS; i++)
        put(queue, "for one of you");
    for (int i = 0; i < WORKERS; i++) {
        answers(&peers[i], "'for one of you'");
        end_peer(&peers[i]);
    }
    is_drained(queue);
    ok(mp_queue_close(queue));
}

METHOD_TEST(queue, each_of_several_that_wait_for_room_finds_it)
{
    mp_queue *queue = make_queue(1);
    peer peers[WORKERS];

    put(queue, "first");
    for (int i = 0; i < WORKERS; i++) {
        peers[i] = begin_peer(method, queue);
        let_it_wait(&peers[i], PEER_PUT, MP_BOX("next"));
    }
    gets(queue, "'first'");
    for (int i = 0; i < WORKERS; i++) {
        mp_obj *item = NULL;

        ok(mp_queue_get(queue, SUPPORT_PATIENCE, &item));
        is_repr(item, "'next'");
    }
    for (int i = 0; i < WORKERS; i++) {
        ok(hear(&peers[i]));
        end_peer(&peers[i]);
    }
    ok(mp_queue_close(queue));
}

METHOD_TEST(queue, put_gives_up_when_its_time_is_over)
{
    mp_queue *queue = make_queue(1);
    peer it = begin_peer(method, queue);
    double began;

    they_put(&it, 1);
    began = now();
    comes_to(ask(&it, PEER_PUT, MP_BOX(2), 0.1), MP_FULL);
    cr_assert_geq(now() - began, 0.099);
    began = now();
    comes_to(mp_queue_put(queue, MP_BOX(2), 0.1), MP_FULL);
    cr_assert_geq(now() - began, 0.099);
    they_get(&it, "1");
    is_drained(queue);
    end_peer(&it);
    ok(mp_queue_close(queue));
}

METHOD_TEST(queue, get_gives_up_when_its_time_is_over)
{
    mp_queue *queue = make_queue(1);
    peer it = begin_peer(method, queue);
    mp_obj *item = NULL;
    double began = now();

    comes_to(ask(&it, PEER_GET, MP_NONE, 0.1), MP_EMPTY);
    cr_assert_geq(now() - began, 0.099);
    began = now();
    comes_to(mp_queue_get(queue, 0.1, &item), MP_EMPTY);
    cr_assert_geq(now() - began, 0.099);
    cr_assert_null(item);
    end_peer(&it);
    ok(mp_queue_close(queue));
}

METHOD_TEST(queue, put_nowait_of_a_full_one_is_full)
{
    mp_queue *queue = make_queue(2);
    peer it = begin_peer(method, queue);

    ok(mp_queue_put_nowait(queue, MP_BOX(1)));
    they_put(&it, 2);
    comes_to(mp_queue_put_nowait(queue, MP_BOX(3)), MP_FULL);
    comes_to(ask(&it, PEER_PUT, MP_BOX(3), 0), MP_FULL);
    comes_to(ask(&it, PEER_PUT, MP_BOX(3), -5), MP_FULL);
    comes_to(mp_queue_put(queue, MP_BOX(3), -5), MP_FULL);
    gets(queue, "1");
    ok(mp_queue_put_nowait(queue, MP_BOX(3)));
    they_get(&it, "2");
    they_get(&it, "3");
    end_peer(&it);
    ok(mp_queue_close(queue));
}

METHOD_TEST(queue, get_nowait_of_an_empty_one_is_empty)
{
    mp_queue *queue = make_queue(2);
    peer it = begin_peer(method, queue);
    mp_obj *item = NULL;

    is_drained(queue);
    comes_to(ask(&it, PEER_GET, MP_NONE, 0), MP_EMPTY);
    comes_to(ask(&it, PEER_GET, MP_NONE, -5), MP_EMPTY);
    comes_to(mp_queue_get(queue, -5, &item), MP_EMPTY);
    put(queue, 1);
    they_get(&it, "1");
    comes_to(ask(&it, PEER_GET, MP_NONE, 0), MP_EMPTY);
    end_peer(&it);
    ok(mp_queue_close(queue));
}

/* -- Counts ---------------------------------------------------------------- */

METHOD_TEST(queue, counts_are_exact_in_every_process)
{
    mp_queue *queue = make_queue(3);
    peer it = begin_peer(method, queue);

    they_count(&it, "(0, True, False)");
    put(queue, 1);
    they_count(&it, "(1, False, False)");
    they_put(&it, 2);
    cr_assert_eq(mp_queue_qsize(queue), 2U);
    cr_assert_not(mp_queue_empty(queue));
    cr_assert_not(mp_queue_full(queue));
    they_put(&it, 3);
    cr_assert(mp_queue_full(queue));
    they_count(&it, "(3, False, True)");
    gets(queue, "1");
    they_count(&it, "(2, False, False)");
    they_get(&it, "2");
    they_get(&it, "3");
    cr_assert_eq(mp_queue_qsize(queue), 0U);
    cr_assert(mp_queue_empty(queue));
    end_peer(&it);
    ok(mp_queue_close(queue));
}

/* "There may be an infinitesimal delay", says Python; none here. */
METHOD_TEST(queue, an_item_is_there_when_put_returns)
{
    mp_queue *queue = make_queue(0);
    peer it = begin_peer(method, queue);

    for (int i = 0; i < 200; i++) {
        put(queue, "now");
        cr_assert_not(mp_queue_empty(queue));
        gets(queue, "'now'");
        they_put(&it, "now");
        cr_assert_not(mp_queue_empty(queue));
        gets(queue, "'now'");
        cr_assert(mp_queue_empty(queue));
    }
    end_peer(&it);
    ok(mp_queue_close(queue));
}

METHOD_TEST(queue, maxsize_zero_has_no_limit)
{
    enum { LOTS = 50000 };
    mp_queue *queue = make_queue(0);
    peer it = begin_peer(method, queue);

    for (int i = 0; i < LOTS; i++)
        put(queue, i);
    they_count(&it, "(50000, False, False)");
    cr_assert_not(mp_queue_full(queue));
    for (int i = 0; i < LOTS; i++)
        cr_assert_eq(must_get_int(queue), i);
    is_drained(queue);
    end_peer(&it);
    ok(mp_queue_close(queue));
}

/* 32767 is the most on Python's macOS, and 2^31 - 1 elsewhere. */
METHOD_TEST(queue, maxsize_may_be_large)
{
    mp_queue *queue = make_queue((size_t)-1 / 2);
    peer it = begin_peer(method, queue);

    they_put(&it, 1);
    they_count(&it, "(1, False, False)");
    gets(queue, "1");
    end_peer(&it);
    ok(mp_queue_close(queue));
}

METHOD_TEST(queue, maxsize_holds_over_many_rounds)
{
    mp_queue *queue = make_queue(3);
    peer it = begin_peer(method, queue);
    int put_count = 0, got_count = 0;

    for (int round = 0; round < 100; round++) {
        while (mp_queue_put_nowait(queue, MP_BOX(put_count)) == MP_OK)
            put_count++;
        cr_assert_eq(put_count - got_count, 3);
        if (round % 10 == 0)
            comes_to(ask(&it, PEER_PUT, MP_BOX(0), 0), MP_FULL);
        for (int i = 0; i <= round % 3; i++)
            cr_assert_eq(must_get_int(queue), got_count++);
    }
    end_peer(&it);
    ok(mp_queue_close(queue));
}

/* -- What can't be put ----------------------------------------------------- */

METHOD_TEST(queue, what_cant_travel_is_an_error_of_put)
{
    mp_queue *queue = make_queue(1);
    peer it = begin_peer(method, queue);
    mp_lock *lock = NULL;

    ok(mp_lock_create(&lock));
    fails(mp_queue_put(queue, MP_LIST(1, mp_obj_pointer(&it)), 0), MP_EPICKLE);
    fails(mp_queue_put(queue, MP_BOX(lock), 0), MP_EPICKLE);
    fails(mp_queue_put(queue, MP_DICT("k", it.orders), 0), MP_EPICKLE);
    fails(mp_queue_put(queue, MP_LIST(queue), 0), MP_EPICKLE);
    fails(mp_queue_put(queue, mp_obj_from_error(MP_ENOMEM), 0), MP_ENOMEM);
    /* No place was lost. */
    they_count(&it, "(0, True, False)");
    they_put(&it, 1);
    gets(queue, "1");
    ok(mp_lock_close(lock));
    end_peer(&it);
    ok(mp_queue_close(queue));
}

Test(queue, what_is_no_queue_is_refused)
{
    mp_queue *queue = make_queue(1), *none = NULL;
    mp_obj *item = NULL, *text = MP_BOX("text");

    fails(mp_queue_create(NULL, 0, NULL), MP_EINVAL);
    fails(mp_queue_create(&none, 0,
                          &(mp_queue_options){
                              .order = (mp_queue_order)(MP_QUEUE_DEQUE + 1)}),
          MP_EINVAL);
    fails(mp_queue_create(&none, 0, &(mp_queue_options){.max_bytes = SIZE_MAX}),
          MP_EOVERFLOW);
    cr_assert_null(none);
    fails(mp_queue_put(NULL, MP_BOX(1), 0), MP_EINVAL);
    fails(mp_queue_put(queue, NULL, 0), MP_EINVAL);
    fails(mp_queue_get(NULL, 0, &item), MP_EINVAL);
    fails(mp_queue_get(queue, 0, NULL), MP_EINVAL);
    fails(mp_queue_task_done(NULL), MP_EINVAL);
    fails(mp_queue_join(NULL, 0), MP_EINVAL);
    fails(mp_queue_shutdown(NULL, false), MP_EINVAL);
    cr_assert_eq(mp_queue_qsize(NULL), 0U);
    fails(mp_obj_as_queue(text, &none), MP_ETYPE);
    ok(mp_queue_close(NULL));
    mp_obj_unref(text);
    is_drained(queue);
    ok(mp_queue_close(queue));
}

METHOD_TEST(queue, bytes_and_objects_are_different_items)
{
    mp_queue *queue = make_queue(0);
    peer it = begin_peer(method, queue);

    put(queue, "an object");
    cr_assert_eq(ask(&it, PEER_GET_BYTES, MP_NONE, 0), MP_ETYPE);
    they_get(&it, "'an object'");
    ok(ask(&it, PEER_PUT_BYTES, MP_BYTES("abc", 3), 0));
    gets(queue, "b'abc'");
    /* An object that is bytes is an object. */
    put(queue, MP_BYTES("abc", 3));
    cr_assert_eq(ask(&it, PEER_GET_BYTES, MP_NONE, 0), MP_ETYPE);
    gets(queue, "b'abc'");
    end_peer(&it);
    ok(mp_queue_close(queue));
}

/* -- Closing --------------------------------------------------------------- */

METHOD_TEST(queue, a_closed_one_says_so)
{
    mp_queue *queue = make_queue(0);
    peer it = begin_peer(method, queue);
    mp_obj *item = NULL;

    put(queue, 1);
    ok(ask(&it, PEER_CLOSE, MP_NONE, 0));
    cr_assert_eq(ask(&it, PEER_CLOSE, MP_NONE, 0), MP_ECLOSED);
    /* A forked child's arguments hold its parent's object as well. */
    if (method != MP_START_FORK) {
        cr_assert_eq(ask(&it, PEER_PUT, MP_BOX(2), 0), MP_ECLOSED);
        cr_assert_eq(ask(&it, PEER_GET, MP_NONE, 0), MP_ECLOSED);
        cr_assert_eq(ask(&it, PEER_TASK_DONE, MP_NONE, 0), MP_ECLOSED);
        cr_assert_eq(ask(&it, PEER_JOIN, MP_NONE, 0), MP_ECLOSED);
        they_count(&it, "(0, True, False)");
    }
    /* Only for who has closed it. */
    gets(queue, "1");
    ok(mp_queue_close(queue));
    fails(mp_queue_put(queue, MP_BOX(1), 0), MP_ECLOSED);
    fails(mp_queue_get(queue, 0, &item), MP_ECLOSED);
    fails(mp_queue_close(queue), MP_ECLOSED);
    cr_assert_eq(error_of(mp_obj_queue(queue)), MP_ECLOSED);
    end_peer(&it);
}

METHOD_TEST(queue, closing_it_leaves_the_others_theirs)
{
    mp_queue *queue = make_queue(0);
    peer first = begin_peer(method, queue), second = begin_peer(method, queue);

    put(queue, "of the parent");
    ok(mp_queue_close(queue));
    they_get(&first, "'of the parent'");
    they_put(&first, "of the first");
    end_peer(&first);
    they_get(&second, "'of the first'");
    end_peer(&second);
}

METHOD_TEST(queue, it_may_be_closed_as_soon_as_it_was_passed)
{
    mp_queue *queue = make_queue(0);
    mp_process *child = support_start(method, produce, MP_ARGS(queue, 1, EACH));

    ok(mp_queue_close(queue));
    cr_assert_eq(support_finish(child), 0);
}

/* -- What Python's documentation warns of ---------------------------------- */

/* "Joining processes that use queues": there, this is a deadlock. */
METHOD_TEST(queue, who_has_put_much_may_be_joined_first)
{
    enum { COUNT = 8 };
    mp_queue *queue = make_queue(0);

    cr_assert_eq(support_run(method, put_large, MP_ARGS(queue, COUNT)), 0);
    cr_assert_eq(mp_queue_qsize(queue), (size_t)COUNT);
    for (int i = 0; i < COUNT; i++) {
        const mp_obj *part;
        const void *bytes;
        mp_obj *item = NULL;
        int64_t number = -1;
        size_t size = 0;

        ok(mp_queue_get_nowait(queue, &item));
        ok(mp_obj_item(item, 0, &part));
        ok(mp_obj_as_int(part, &number));
        cr_assert_eq(number, i);
        ok(mp_obj_item(item, 1, &part));
        ok(mp_obj_as_bytes(part, &bytes, &size));
        cr_assert_eq(size, (size_t)LARGE);
        cr_assert_eq(((const char *)bytes)[LARGE - 1], 'x');
        mp_obj_unref(item);
    }
    ok(mp_queue_close(queue));
}

METHOD_TEST(queue, items_survive_the_death_of_who_put_them)
{
    mp_queue *queue = make_queue(0);

    cr_assert_eq(support_run(method, put_and_die, MP_ARGS(queue)), 9);
    cr_assert_eq(mp_queue_qsize(queue), 3U);
    gets(queue, "0");
    gets(queue, "1");
    gets(queue, "2");
    is_drained(queue);
    ok(mp_queue_close(queue));
}

/* "If a process is killed while it is trying to use a Queue, the data are
 * likely to become corrupted." */
METHOD_TEST(queue, who_is_killed_waiting_for_an_item_harms_nobody)
{
    mp_queue *queue = make_queue(0);
    peer it = begin_peer(method, queue), other = begin_peer(method, queue);
    double began;

    let_it_wait(&it, PEER_GET, MP_NONE);
    let_it_wait(&other, PEER_GET, MP_NONE);
    kill_peer(&it);
    began = now();
    put(queue, "for whoever lives");
    answers(&other, "'for whoever lives'");
    cr_assert_lt(now() - began, support_is_watched() ? 10 : 1.5);
    is_drained(queue);
    end_peer(&other);
    ok(mp_queue_close(queue));
}

METHOD_TEST(queue, who_is_killed_waiting_for_room_harms_nobody)
{
    mp_queue *queue = make_queue(1);
    peer it = begin_peer(method, queue), other = begin_peer(method, queue);
    double began;

    put(queue, 1);
    let_it_wait(&it, PEER_PUT, MP_BOX("of the dead"));
    let_it_wait(&other, PEER_PUT, MP_BOX("of the living"));
    kill_peer(&it);
    began = now();
    gets(queue, "1");
    ok(hear(&other));
    cr_assert_lt(now() - began, support_is_watched() ? 10 : 1.5);
    gets(queue, "'of the living'");
    end_peer(&other);
    ok(mp_queue_close(queue));
}

/* -- Where it comes from --------------------------------------------------- */

METHOD_TEST(queue, it_may_be_passed_several_times)
{
    mp_queue *queue = make_queue(0);
    mp_process_options options = {.kwargs = MP_KWARGS("again", queue),
                                  .start_method = method};
    mp_process *child = support_start_with(
        options, use_nested, MP_ARGS(MP_LIST(queue, MP_DICT("k", queue))));

    cr_assert_eq(support_finish(child), 0);
    gets(queue, "0");
    gets(queue, "1");
    gets(queue, "2");
    is_drained(queue);
    ok(mp_queue_close(queue));
}

METHOD_TEST(queue, a_child_may_send_its_own)
{
    mp_connection *ours = NULL, *theirs = NULL;
    mp_process *child;
    mp_queue *queue = NULL;
    mp_obj *obj = NULL;

    ok(mp_pipe(&ours, &theirs, NULL));
    child = support_start(method, send_own, MP_ARGS(theirs));
    ok(mp_connection_close(theirs));
    ok(mp_connection_recv(ours, &obj));
    ok(mp_obj_as_queue(obj, &queue));
    gets(queue, "'from the child'");
    ok(mp_connection_send(ours, MP_NONE));
    put(queue, "from the parent");
    cr_assert_eq(support_finish(child), 0);
    is_drained(queue);
    mp_obj_unref(obj);
    ok(mp_connection_close(ours));
}

METHOD_TEST(queue, grandchildren_use_it)
{
    mp_queue *queue = make_queue(0);

    cr_assert_eq(support_run(method, have_child, MP_ARGS(queue)), 0);
    gets(queue, "'grandchild'");
    gets(queue, "'child'");
    ok(mp_queue_close(queue));
}

Test(queue, forked_child_has_what_its_parent_has)
{
    global = make_queue(0);
    cr_assert_eq(
        support_run(support_method(MP_START_FORK), use_global, MP_ARGS()), 0);
    gets(global, "'child'");
    ok(mp_queue_close(global));
}

typedef struct hand {
    mp_queue *queue;
    int64_t sum;
    mpos_thread thread;
} hand;

static void add_up_in_thread(void *argument)
{
    hand *it = argument;

    for (int i = 0; i < EACH; i++)
        it->sum += must_get_int(it->queue);
}

Test(queue, threads_share_it_as_processes_do)
{
    mp_queue *queue = make_queue(7);
    hand hands[WORKERS];
    int64_t sum = 0;

    for (int i = 0; i < WORKERS; i++) {
        hands[i] = (hand){.queue = queue};
        ok(mpos_thread_start(add_up_in_thread, &hands[i], &hands[i].thread));
    }
    for (int i = 0; i < WORKERS * EACH; i++)
        ok(mp_queue_put(queue, MP_BOX(i), SUPPORT_PATIENCE));
    for (int i = 0; i < WORKERS; i++) {
        mpos_thread_join(hands[i].thread);
        sum += hands[i].sum;
    }
    cr_assert_eq(sum, (int64_t)WORKERS * EACH * (WORKERS * EACH - 1) / 2);
    is_drained(queue);
    ok(mp_queue_close(queue));
}

Test(queue, nothing_is_left_open)
{
    size_t handles;

    ok(mp_queue_close(make_queue(0)));
    handles = support_open_handles();
    for (int i = 0; i < 100; i++) {
        mp_queue *queue = make_queue(0);

        put(queue, i);
        ok(mp_queue_close(queue));
    }
    cr_assert_eq(support_open_handles(), handles);
}

/* -- SimpleQueue ----------------------------------------------------------- */

METHOD_TEST(simple_queue, put_get_empty_and_close_are_all_there_is)
{
    mp_queue *queue = make_queue(0);
    peer it = begin_peer(method, queue);

    they_count(&it, "(0, True, False)");
    tell(&it, PEER_GET, MP_NONE, MP_FOREVER);
    put(queue, MP_LIST("any", 1));
    answers(&it, "['any', 1]");
    they_put(&it, MP_NONE);
    cr_assert_not(mp_queue_empty(queue));
    gets(queue, "None");
    cr_assert(mp_queue_empty(queue));
    ok(ask(&it, PEER_CLOSE, MP_NONE, 0));
    ok(mp_queue_close(queue));
    cr_assert(mp_queue_empty(queue));
    end_peer(&it);
}

/* There it blocks when the pipe is full: 64 KiB. */
METHOD_TEST(simple_queue, put_does_not_wait_for_who_gets)
{
    mp_queue *queue = make_queue(0);
    peer it = begin_peer(method, queue);
    static const char text[LARGE];

    they_put(&it, MP_BYTES(text, LARGE));
    they_put(&it, MP_BYTES(text, LARGE));
    they_count(&it, "(2, False, False)");
    end_peer(&it);
    ok(mp_queue_close(queue));
}
