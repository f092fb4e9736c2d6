/* SPDX-License-Identifier: MIT */
/*
 * The orders: last in first out, by priority, with two ends, and what is given
 * again when who took it has died. Each seen from two processes, each beside a
 * plain array that does the same.
 */
#include "support/check.h"
#include "support/queue.h"
#include "support/system.h"

#include "os.h"

enum { WORKERS = 3, EACH = 300, LARGE = 100000, STEPS = 4000, KEYS = 5 };

/* Within a second, and what a busy machine adds. */
static double moment(void)
{
    return support_is_watched() ? 20 : 2;
}

static mp_queue *make_ordered(mp_queue_order order, size_t maxsize)
{
    return make_queue_with(maxsize, (mp_queue_options){.order = order});
}

static mp_queue *make_redelivering(mp_queue_order order)
{
    return make_queue_with(
        0, (mp_queue_options){.order = order, .redeliver = true});
}

/* For each order: with and without redelivery. */
static const mp_queue_options all_options[] = {
    {.order = MP_QUEUE_FIFO},
    {.order = MP_QUEUE_LIFO},
    {.order = MP_QUEUE_PRIORITY},
    {.order = MP_QUEUE_DEQUE},
    {.order = MP_QUEUE_FIFO, .redeliver = true},
    {.order = MP_QUEUE_LIFO, .redeliver = true},
    {.order = MP_QUEUE_PRIORITY, .redeliver = true},
    {.order = MP_QUEUE_DEQUE, .redeliver = true},
};

enum { ALL = sizeof(all_options) / sizeof(all_options[0]) };

static mp_obj *get_front(mp_queue *queue)
{
    mp_obj *item = NULL;

    ok(mp_queue_get_nowait(queue, &item));
    return item;
}

static void gets_back(mp_queue *queue, const char *expected)
{
    mp_obj *item = NULL;

    ok(mp_queue_get_back(queue, 0, &item));
    is_repr(item, expected);
}

/* -- Targets --------------------------------------------------------------- */

/* (queue, count): takes as many, and dies with them. */
static int take_and_die(mp_args *args)
{
    mp_queue *queue = mp_arg_queue(args, 0);

    for (int64_t i = 0; i < mp_arg_int(args, 1); i++) {
        mp_obj *item = NULL;

        must(mp_queue_get(queue, SUPPORT_PATIENCE, &item));
        mp_obj_unref(item);
    }
    mpos_exit(9);
}

/* (queue): takes one, and ends as one should. */
static int take_and_end(mp_args *args)
{
    mp_obj *item = NULL;

    must(mp_queue_get_nowait(mp_arg_queue(args, 0), &item));
    mp_obj_unref(item);
    return 0;
}

/* (queue, seen): until nothing comes for a while; each is acknowledged. */
static int do_all(mp_args *args)
{
    mp_queue *queue = mp_arg_queue(args, 0);
    mp_queue *seen = mp_arg_queue(args, 1);
    mp_obj *item = NULL;
    mp_error err;

    while ((err = mp_queue_get(queue, SUPPORT_PATIENCE, &item)) == MP_OK) {
        must(mp_queue_put(seen, item, 0));
        must(mp_queue_task_done(queue));
        item = NULL;
    }
    return err == MP_ESHUTDOWN ? 0 : 1;
}

/* -- Last in, first out ---------------------------------------------------- */

METHOD_TEST(lifo_queue, the_last_is_first)
{
    mp_queue *queue = make_ordered(MP_QUEUE_LIFO, 0);
    peer it = begin_peer(method, queue);

    put(queue, 1);
    they_put(&it, 2);
    put(queue, 3);
    they_get(&it, "3");
    gets(queue, "2");
    they_put(&it, 4);
    gets(queue, "4");
    they_get(&it, "1");
    is_drained(queue);
    end_peer(&it);
    ok(mp_queue_close(queue));
}

/* -- Priority -------------------------------------------------------------- */

METHOD_TEST(priority_queue, the_smallest_is_first)
{
    mp_queue *queue = make_ordered(MP_QUEUE_PRIORITY, 0);
    peer it = begin_peer(method, queue);

    put(queue, 5);
    they_put(&it, -3);
    put(queue, 10);
    they_put(&it, 0);
    they_get(&it, "-3");
    put(queue, 7);
    gets(queue, "0");
    gets(queue, "5");
    they_get(&it, "7");
    they_get(&it, "10");
    is_drained(queue);
    end_peer(&it);
    ok(mp_queue_close(queue));
}

METHOD_TEST(priority_queue, a_tuples_first_is_the_key)
{
    mp_queue *queue = make_ordered(MP_QUEUE_PRIORITY, 0);
    peer it = begin_peer(method, queue);

    put(queue, MP_TUPLE(2, "code"));
    they_put(&it, MP_TUPLE(1, MP_LIST("eat")));
    put(queue, MP_TUPLE(3, MP_NONE));
    they_get(&it, "(1, ['eat'])");
    gets(queue, "(2, 'code')");
    gets(queue, "(3, None)");
    end_peer(&it);
    ok(mp_queue_close(queue));
}

/* In Python the rest of the tuple decides, if it can be compared. */
METHOD_TEST(priority_queue, of_equals_the_first_is_first)
{
    mp_queue *queue = make_ordered(MP_QUEUE_PRIORITY, 0);
    peer it = begin_peer(method, queue);

    for (int i = 9; i > 0; i--) {
        put(queue, MP_TUPLE(i % 3, i, MP_DICT()));
        they_put(&it, MP_TUPLE(i % 3, -i, MP_DICT()));
    }
    for (int key = 0; key < 3; key++)
        for (int i = 9; i > 0; i--) {
            char expected[32];

            if (i % 3 != key)
                continue;
            snprintf(expected, sizeof(expected), "(%d, %d, {})", key, i);
            they_get(&it, expected);
            snprintf(expected, sizeof(expected), "(%d, %d, {})", key, -i);
            gets(queue, expected);
        }
    is_drained(queue);
    end_peer(&it);
    ok(mp_queue_close(queue));
}

METHOD_TEST(priority_queue, keys_are_whatever_can_be_compared)
{
    mp_queue *queue = make_ordered(MP_QUEUE_PRIORITY, 0);
    peer it = begin_peer(method, queue);

    put(queue, MP_TUPLE("pear", 1));
    they_put(&it, MP_TUPLE("apple", 2));
    put(queue, "quince");
    they_get(&it, "('apple', 2)");
    gets(queue, "('pear', 1)");
    gets(queue, "'quince'");
    they_put(&it, MP_TUPLE(2.5, "float"));
    they_put(&it, MP_TUPLE(2, "int"));
    put(queue, MP_TUPLE(3, "int"));
    they_get(&it, "(2, 'int')");
    they_get(&it, "(2.5, 'float')");
    gets(queue, "(3, 'int')");
    put(queue, MP_TUPLE(MP_LIST(1, 2), "list"));
    they_put(&it, MP_TUPLE(MP_LIST(1), "shorter"));
    gets(queue, "([1], 'shorter')");
    gets(queue, "([1, 2], 'list')");
    is_drained(queue);
    end_peer(&it);
    ok(mp_queue_close(queue));
}

METHOD_TEST(priority_queue, keys_that_cant_be_compared_are_refused)
{
    mp_queue *queue = make_ordered(MP_QUEUE_PRIORITY, 0);
    peer it = begin_peer(method, queue);

    put(queue, 1);
    put(queue, 3);
    fails(mp_queue_put(queue, MP_BOX("two"), 0), MP_ETYPE);
    cr_assert_eq(ask(&it, PEER_PUT, MP_TUPLE("two", 1), 0), MP_ETYPE);
    fails(mp_queue_put(queue, MP_NONE, 0), MP_ETYPE);
    they_put(&it, MP_TUPLE(2, "two"));
    they_get(&it, "1");
    gets(queue, "(2, 'two')");
    gets(queue, "3");
    /* Nothing is there to be compared with. */
    put(queue, "two");
    they_get(&it, "'two'");
    is_drained(queue);
    end_peer(&it);
    ok(mp_queue_close(queue));
}

METHOD_TEST(priority_queue, bytes_may_have_a_priority)
{
    mp_queue *queue = make_ordered(MP_QUEUE_PRIORITY, 0);
    peer it = begin_peer(method, queue);

    ok(mp_queue_put_bytes_priority(queue, 7, "late", 4, 0));
    ok(ask(&it, PEER_PUT_BYTES, MP_BYTES("middle", 6), 0)); /* 0 */
    ok(mp_queue_put_bytes_priority(queue, INT64_MIN, "early", 5, 0));
    ok(mp_queue_put_bytes_priority(queue, INT64_MAX, "last", 4, 0));
    put(queue, MP_TUPLE(3, "an object"));
    tell(&it, PEER_GET_BYTES, MP_NONE, 0);
    answers(&it, "b'early'");
    gets(queue, "b'middle'");
    gets(queue, "(3, 'an object')");
    gets(queue, "b'late'");
    gets(queue, "b'last'");
    end_peer(&it);
    ok(mp_queue_close(queue));
}

Test(queue_orders, what_an_order_has_not_is_refused)
{
    for (int i = 0; i < ALL; i++) {
        mp_queue *queue = make_queue_with(0, all_options[i]);
        mp_obj *item = NULL;

        if (all_options[i].order != MP_QUEUE_PRIORITY)
            fails(mp_queue_put_bytes_priority(queue, 1, "x", 1, 0), MP_ESTATE);
        if (all_options[i].order != MP_QUEUE_DEQUE) {
            fails(mp_queue_put_front(queue, MP_BOX(1), 0), MP_ESTATE);
            fails(mp_queue_get_back(queue, 0, &item), MP_ESTATE);
        }
        is_drained(queue);
        ok(mp_queue_close(queue));
    }
}

/* -- Two ends -------------------------------------------------------------- */

METHOD_TEST(deque, both_ends_put_and_get)
{
    mp_queue *queue = make_ordered(MP_QUEUE_DEQUE, 0);
    peer it = begin_peer(method, queue);

    put(queue, 2);
    ok(mp_queue_put_front(queue, MP_BOX(1), 0));
    they_put(&it, 3);
    ok(ask(&it, PEER_PUT_FRONT, MP_BOX(0), 0)); /* 0 1 2 3 */
    tell(&it, PEER_GET_BACK, MP_NONE, 0);
    answers(&it, "3");
    they_get(&it, "0");
    gets(queue, "1");
    gets_back(queue, "2");
    is_drained(queue);
    end_peer(&it);
    ok(mp_queue_close(queue));
}

METHOD_TEST(deque, both_ends_wait)
{
    mp_queue *queue = make_ordered(MP_QUEUE_DEQUE, 1);
    peer it = begin_peer(method, queue);

    tell(&it, PEER_GET_BACK, MP_NONE, SUPPORT_PATIENCE);
    is_waiting(&it);
    ok(mp_queue_put_front(queue, MP_BOX("at last"), 0));
    answers(&it, "'at last'");
    put(queue, 1);
    tell(&it, PEER_PUT_FRONT, MP_BOX(2), SUPPORT_PATIENCE);
    is_waiting(&it);
    gets_back(queue, "1");
    ok(hear(&it));
    gets(queue, "2");
    comes_to(ask(&it, PEER_GET_BACK, MP_NONE, 0), MP_EMPTY);
    end_peer(&it);
    ok(mp_queue_close(queue));
}

/* -- Beside an array ------------------------------------------------------- */

typedef struct entry {
    int64_t key;
    int64_t number;
    size_t size;
} entry;

/* What it must hold, in the order of the queue. */
typedef struct array {
    entry entries[STEPS];
    size_t count;
} array;

static uint64_t state = 1;

static uint32_t chance(uint32_t below)
{
    state = state * UINT64_C(6364136223846793005) + 1442695040888963407U;
    return (uint32_t)(state >> 33) % below;
}

static void insert(array *it, size_t at, entry what)
{
    memmove(&it->entries[at + 1], &it->entries[at],
            (it->count - at) * sizeof(entry));
    it->entries[at] = what;
    it->count++;
}

static entry take_out(array *it, size_t at)
{
    entry what = it->entries[at];

    it->count--;
    memmove(&it->entries[at], &it->entries[at + 1],
            (it->count - at) * sizeof(entry));
    return what;
}

static size_t place_for(const array *it, mp_queue_order order, int64_t key)
{
    size_t at = it->count;

    if (order == MP_QUEUE_LIFO)
        return 0;
    while (order == MP_QUEUE_PRIORITY && at > 0 &&
           it->entries[at - 1].key > key)
        at--;
    return at;
}

static mp_obj *make_item(const entry *it)
{
    static const char text[LARGE];

    return MP_TUPLE(it->key, it->number, MP_BYTES(text, it->size));
}

static void put_both(mp_queue *queue, mp_queue_order order, array *beside)
{
    static int64_t next;
    entry what = {.key = chance(KEYS), .number = next++};

    /* Mostly small, some beside the slot, a few in units of their own. */
    what.size = chance(4) == 0 ? chance(3000) : chance(20);
    if (chance(50) == 0)
        what.size = chance(LARGE);
    if (order == MP_QUEUE_DEQUE && chance(2) == 0) {
        ok(mp_queue_put_front(queue, make_item(&what), 0));
        insert(beside, 0, what);
        return;
    }
    put(queue, make_item(&what));
    insert(beside, place_for(beside, order, what.key), what);
}

static void get_both(mp_queue *queue, mp_queue_order order, array *beside)
{
    mp_obj *item = NULL, *expected;
    entry what;

    if (beside->count == 0) {
        is_drained(queue);
        return;
    }
    if (order == MP_QUEUE_DEQUE && chance(2) == 0) {
        ok(mp_queue_get_back(queue, 0, &item));
        what = take_out(beside, beside->count - 1);
    } else {
        item = get_front(queue);
        what = take_out(beside, 0);
    }
    expected = make_item(&what);
    cr_assert(mp_obj_equal(item, expected), "%lld of %zu",
              (long long)what.number, beside->count);
    mp_obj_unref(expected);
    mp_obj_unref(item);
}

static void do_both(const mp_queue_options *options)
{
    static array beside;
    mp_queue *queue = make_queue_with(0, *options);

    beside.count = 0;
    for (int i = 0; i < STEPS; i++) {
        /* Grows, and is drained, by turns. */
        if (chance(100) < (i / 500 % 2 == 0 ? 70U : 30U))
            put_both(queue, options->order, &beside);
        else
            get_both(queue, options->order, &beside);
        cr_assert_eq(mp_queue_qsize(queue), beside.count);
        if (options->redeliver && chance(3) == 0)
            (void)mp_queue_task_done(queue);
    }
    while (beside.count > 0)
        get_both(queue, options->order, &beside);
    is_drained(queue);
    ok(mp_queue_close(queue));
}

Test(queue_orders, each_does_what_an_array_does, .timeout = 120)
{
    for (int i = 0; i < ALL; i++)
        do_both(&all_options[i]);
}

/* -- What they have in common ---------------------------------------------- */

METHOD_TEST(queue_orders, each_has_a_maxsize_and_waits)
{
    for (int i = 0; i < ALL; i++) {
        mp_queue *queue = make_queue_with(2, all_options[i]);
        peer it = begin_peer(method, queue);

        they_put(&it, 1);
        they_put(&it, 1);
        they_count(&it, "(2, False, True)");
        comes_to(mp_queue_put_nowait(queue, MP_BOX(1)), MP_FULL);
        tell(&it, PEER_PUT, MP_BOX(1), SUPPORT_PATIENCE);
        is_waiting(&it);
        gets(queue, "1");
        ok(hear(&it));
        gets(queue, "1");
        gets(queue, "1");
        tell(&it, PEER_GET, MP_NONE, SUPPORT_PATIENCE);
        is_waiting(&it);
        put(queue, 2);
        answers(&it, "2");
        end_peer(&it);
        ok(mp_queue_close(queue));
    }
}

METHOD_TEST(queue_orders, each_item_of_many_producers_comes_once)
{
    for (int i = 0; i < ALL; i++) {
        static bool is_seen[WORKERS][EACH];
        mp_queue *queue = make_queue_with(0, all_options[i]);
        mp_process *producers[WORKERS];

        memset(is_seen, 0, sizeof(is_seen));
        for (int who = 0; who < WORKERS; who++)
            producers[who] =
                support_start(method, produce, MP_ARGS(queue, who, EACH));
        for (int n = 0; n < WORKERS * EACH; n++) {
            const mp_obj *part;
            mp_obj *item = NULL;
            int64_t who = -1, number = -1;

            ok(mp_queue_get(queue, SUPPORT_PATIENCE, &item));
            ok(mp_obj_item(item, 0, &part));
            ok(mp_obj_as_int(part, &who));
            ok(mp_obj_item(item, 1, &part));
            ok(mp_obj_as_int(part, &number));
            mp_obj_unref(item);
            cr_assert_not(is_seen[who][number]);
            is_seen[who][number] = true;
        }
        for (int who = 0; who < WORKERS; who++)
            cr_assert_eq(support_finish(producers[who]), 0);
        is_drained(queue);
        ok(mp_queue_close(queue));
    }
}

METHOD_TEST(queue_orders, each_can_be_joined)
{
    for (int i = 0; i < ALL; i++) {
        mp_queue *queue = make_queue_with(0, all_options[i]);
        peer it = begin_peer(method, queue);

        put(queue, 1);
        they_get(&it, "1");
        comes_to(mp_queue_join(queue, 0), MP_TIMED_OUT);
        ok(ask(&it, PEER_TASK_DONE, MP_NONE, 0));
        ok(mp_queue_join(queue, 0));
        fails(mp_queue_task_done(queue), MP_ESTATE);
        end_peer(&it);
        ok(mp_queue_close(queue));
    }
}

METHOD_TEST(queue_orders, each_can_be_shut_down)
{
    for (int i = 0; i < ALL; i++) {
        mp_queue *queue = make_queue_with(0, all_options[i]);
        peer it = begin_peer(method, queue);
        mp_obj *item = NULL;

        put(queue, 1);
        put(queue, 1);
        ok(mp_queue_shutdown(queue, false));
        they_get(&it, "1");
        cr_assert_eq(ask(&it, PEER_PUT, MP_BOX(2), 0), MP_ESHUTDOWN);
        ok(mp_queue_shutdown(queue, true));
        fails(mp_queue_get(queue, MP_FOREVER, &item), MP_ESHUTDOWN);
        end_peer(&it);
        ok(mp_queue_close(queue));
    }
}

/* -- Redelivery ------------------------------------------------------------ */

/* It is looked for when nothing else is there. */
METHOD_TEST(redelivery, what_the_dead_had_taken_is_there_again)
{
    for (int i = ALL / 2; i < ALL; i++) {
        mp_queue *queue = make_queue_with(0, all_options[i]);
        bool is_lifo = all_options[i].order == MP_QUEUE_LIFO;

        put(queue, 1);
        put(queue, 2);
        cr_assert_eq(support_run(method, take_and_die, MP_ARGS(queue, 2)), 9);
        gets_in_time(queue, is_lifo ? "2" : "1");
        cr_assert_eq(mp_queue_deliveries(queue), 2U);
        gets(queue, is_lifo ? "1" : "2");
        cr_assert_eq(mp_queue_deliveries(queue), 2U);
        is_drained(queue);
        ok(mp_queue_close(queue));
    }
}

/* Before, or behind, what has come after it. */
METHOD_TEST(redelivery, it_is_where_it_was)
{
    for (int i = ALL / 2; i < ALL; i++) {
        mp_queue *queue = make_queue_with(0, all_options[i]);
        bool is_lifo = all_options[i].order == MP_QUEUE_LIFO;
        mp_wait_item item = MP_WAIT(queue);
        peer it = begin_peer(method, queue);

        put(queue, 1);
        they_get(&it, "1");
        kill_peer(&it);
        ok(mp_wait(&item, 1, SUPPORT_PATIENCE)); /* who waits looks */
        put(queue, 2);
        put(queue, 3);
        gets(queue, is_lifo ? "3" : "1");
        gets(queue, "2");
        gets(queue, is_lifo ? "1" : "3");
        is_drained(queue);
        ok(mp_queue_close(queue));
    }
}

METHOD_TEST(redelivery, who_waits_gets_it_within_a_second)
{
    for (int i = ALL / 2; i < ALL; i++) {
        mp_queue *queue = make_queue_with(0, all_options[i]);
        peer it = begin_peer(method, queue), other = begin_peer(method, queue);
        double began;

        put(queue, "again");
        they_get(&it, "'again'");
        tell(&other, PEER_GET, MP_NONE, SUPPORT_PATIENCE);
        is_waiting(&other);
        kill_peer(&it);
        began = mp_monotonic();
        answers(&other, "'again'");
        cr_assert_lt(mp_monotonic() - began, moment());
        tell(&other, PEER_DELIVERIES, MP_NONE, 0);
        answers(&other, "2");
        end_peer(&other);
        ok(mp_queue_close(queue));
    }
}

Test(redelivery, without_it_each_item_is_delivered_once)
{
    mp_queue *queue = make_queue(0);

    put(queue, 1);
    gets(queue, "1");
    cr_assert_eq(mp_queue_deliveries(queue), 1U);
    ok(mp_queue_close(queue));
    cr_assert_eq(mp_queue_deliveries(queue), 0U);
}

METHOD_TEST(redelivery, deliveries_are_counted)
{
    mp_queue *queue = make_redelivering(MP_QUEUE_FIFO);

    put(queue, "hot");
    for (unsigned i = 1; i < 4; i++)
        cr_assert_eq(support_run(method, take_and_die, MP_ARGS(queue, 1)), 9);
    gets_in_time(queue, "'hot'");
    cr_assert_eq(mp_queue_deliveries(queue), 4U);
    put(queue, "new");
    gets(queue, "'new'");
    cr_assert_eq(mp_queue_deliveries(queue), 1U);
    ok(mp_queue_close(queue));
}

METHOD_TEST(redelivery, what_is_acknowledged_is_gone)
{
    for (int i = ALL / 2; i < ALL; i++) {
        mp_queue *queue = make_queue_with(0, all_options[i]);
        peer it = begin_peer(method, queue);

        put(queue, 1);
        put(queue, 1);
        they_get(&it, "1");
        they_get(&it, "1");
        ok(ask(&it, PEER_TASK_DONE, MP_NONE, 0));
        kill_peer(&it);
        gets_in_time(queue, "1"); /* the second one only */
        cr_assert_eq(mp_queue_deliveries(queue), 2U);
        is_drained(queue);
        ok(mp_queue_task_done(queue));
        ok(mp_queue_join(queue, 0));
        ok(mp_queue_close(queue));
    }
}

/* In the order in which it got them. */
METHOD_TEST(redelivery, the_oldest_is_acknowledged_first)
{
    mp_queue *queue = make_redelivering(MP_QUEUE_FIFO);
    peer it = begin_peer(method, queue);

    put(queue, 1);
    put(queue, 2);
    put(queue, 3);
    they_get(&it, "1");
    they_get(&it, "2");
    they_get(&it, "3");
    ok(ask(&it, PEER_TASK_DONE, MP_NONE, 0));
    kill_peer(&it);
    gets_in_time(queue, "2");
    gets(queue, "3");
    is_drained(queue);
    ok(mp_queue_close(queue));
}

METHOD_TEST(redelivery, only_who_took_it_can_acknowledge)
{
    mp_queue *queue = make_redelivering(MP_QUEUE_FIFO);
    peer it = begin_peer(method, queue);

    put(queue, 1);
    they_get(&it, "1");
    fails(mp_queue_task_done(queue), MP_ESTATE);
    ok(ask(&it, PEER_TASK_DONE, MP_NONE, 0));
    cr_assert_eq(ask(&it, PEER_TASK_DONE, MP_NONE, 0), MP_ESTATE);
    end_peer(&it);
    ok(mp_queue_close(queue));
}

METHOD_TEST(redelivery, who_ends_without_a_word_gives_it_back_too)
{
    mp_queue *queue = make_redelivering(MP_QUEUE_PRIORITY);

    put(queue, 1);
    cr_assert_eq(support_run(method, take_and_end, MP_ARGS(queue)), 0);
    gets_in_time(queue, "1");
    cr_assert_eq(mp_queue_deliveries(queue), 2U);
    ok(mp_queue_close(queue));
}

METHOD_TEST(redelivery, large_items_come_again)
{
    static const char text[LARGE] = "large";

    for (int i = ALL / 2; i < ALL; i++) {
        mp_queue *queue = make_queue_with(0, all_options[i]);
        const void *bytes;
        mp_obj *item = NULL;
        size_t size = 0;

        put(queue, MP_TUPLE(1, MP_BYTES(text, LARGE)));
        ok(mp_queue_put_bytes(queue, text, LARGE, 0));
        cr_assert_eq(support_run(method, take_and_die, MP_ARGS(queue, 2)), 9);
        for (int n = 0; n < 2; n++) {
            const mp_obj *part;

            ok(mp_queue_get(queue, SUPPORT_PATIENCE, &item));
            part = item;
            if (mp_obj_type(item) == MP_TYPE_TUPLE)
                ok(mp_obj_item(item, 1, &part));
            ok(mp_obj_as_bytes(part, &bytes, &size));
            cr_assert_eq(size, (size_t)LARGE);
            cr_assert_arr_eq(bytes, text, LARGE);
            mp_obj_unref(item);
        }
        is_drained(queue);
        ok(mp_queue_close(queue));
    }
}

/* Whoever has to do it again does. */
METHOD_TEST(redelivery, join_waits_for_who_does_it_again)
{
    for (int i = ALL / 2; i < ALL; i++) {
        mp_queue *queue = make_queue_with(0, all_options[i]);
        mp_queue *seen = make_queue(0);
        mp_process *worker;

        for (int n = 0; n < 10; n++)
            put(queue, n);
        cr_assert_eq(support_run(method, take_and_die, MP_ARGS(queue, 4)), 9);
        comes_to(mp_queue_join(queue, 0.05), MP_TIMED_OUT);
        worker = support_start(method, do_all, MP_ARGS(queue, seen));
        ok(mp_queue_join(queue, SUPPORT_PATIENCE));
        cr_assert_eq(mp_queue_qsize(seen), 10U);
        ok(mp_queue_shutdown(queue, false));
        cr_assert_eq(support_finish(worker), 0);
        ok(mp_queue_close(queue));
        ok(mp_queue_close(seen));
    }
}

METHOD_TEST(redelivery, maxsize_counts_what_is_there_again)
{
    mp_queue *queue = make_queue_with(1, (mp_queue_options){.redeliver = true});
    peer it = begin_peer(method, queue);

    put(queue, 1);
    they_get(&it, "1");
    they_count(&it, "(0, True, False)");
    put(queue, 2);
    kill_peer(&it);
    /* One more than there may be, for nothing may be lost. */
    gets(queue, "2");
    gets_in_time(queue, "1");
    is_drained(queue);
    ok(mp_queue_close(queue));
}
