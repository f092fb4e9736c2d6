/* SPDX-License-Identifier: MIT */
/* Linux, where memory is given back from the middle: how much a queue takes,
 * and that it does not keep what it does not need. */
#include "support/check.h"
#include "support/queue.h"
#include "support/system.h"

enum { MEBIBYTE = 1 << 20, MILLION = 1000000, LARGE = 100000 };

static const mp_queue_options all_options[] = {
    {.order = MP_QUEUE_FIFO},
    {.order = MP_QUEUE_LIFO},
    {.order = MP_QUEUE_PRIORITY},
    {.order = MP_QUEUE_FIFO, .redeliver = true},
};

enum { ALL = sizeof(all_options) / sizeof(all_options[0]) };

static char bytes[LARGE];

/* Mebibytes more than there were. */
static size_t more_than(size_t before)
{
    size_t now = support_memory_in_use();

    return now > before ? (now - before) / MEBIBYTE : 0;
}

static void put_all(mp_queue *queue, size_t count, size_t size)
{
    for (size_t i = 0; i < count; i++)
        ok(mp_queue_put_bytes(queue, bytes, size, 0));
}

static void get_all(mp_queue *queue, size_t count, bool must_acknowledge)
{
    for (size_t i = 0; i < count; i++) {
        size_t size = 0;

        ok(mp_queue_get_bytes_into(queue, bytes, sizeof(bytes), &size, 0));
        if (must_acknowledge)
            ok(mp_queue_task_done(queue));
    }
    is_drained(queue);
}

Test(queue_memory, a_million_of_one_byte_take_less_than_64_mebibytes,
     .timeout = 120)
{
    mp_queue *queue = make_queue(0);
    size_t before = support_memory_in_use();

    put_all(queue, MILLION, 1);
    if (!support_is_watched())
        cr_assert_lt(more_than(before), 64U);
    get_all(queue, MILLION, false);
    if (!support_is_watched())
        cr_assert_lt(more_than(before), 8U);
    ok(mp_queue_close(queue));
}

Test(queue_memory, what_was_drained_is_given_back, .timeout = 120)
{
    static const size_t sizes[] = {10, 1000, LARGE};

    if (support_is_watched())
        cr_skip_test("what watches a program takes memory of its own");
    for (int i = 0; i < ALL; i++)
        for (int n = 0; n < 3; n++) {
            mp_queue *queue = make_queue_with(0, all_options[i]);
            size_t count =
                (size_t)(sizes[n] < 100 ? 2 : 40) * MEBIBYTE / (sizes[n] + 100);
            size_t before = support_memory_in_use();

            for (int round = 0; round < 3; round++) {
                put_all(queue, count, sizes[n]);
                if (sizes[n] > 100)
                    cr_assert_gt(more_than(before), 32U);
                get_all(queue, count, all_options[i].redeliver);
                cr_assert_lt(more_than(before), 16U, "%d, %zu bytes: %zu", i,
                             sizes[n], more_than(before));
            }
            ok(mp_queue_close(queue));
            cr_assert_lt(more_than(before), 8U);
        }
}

/* What is still there does not keep all of it. */
Test(queue_memory, one_item_that_stays_keeps_little)
{
    mp_queue *queue = make_queue(0);
    size_t before = support_memory_in_use();

    if (support_is_watched())
        cr_skip_test("what watches a program takes memory of its own");
    for (int round = 0; round < 3; round++) {
        put_all(queue, 500, LARGE);
        for (int i = 0; i < 499; i++) {
            size_t size = 0;

            ok(mp_queue_get_bytes_into(queue, bytes, sizeof(bytes), &size, 0));
        }
        cr_assert_eq(mp_queue_qsize(queue), 1U);
        cr_assert_lt(more_than(before), 24U);
        get_all(queue, 1, false);
    }
    ok(mp_queue_close(queue));
}

/* 2 million, or by hand: QUEUE_ITEMS=1000000000 test_queue_memory_linux */
static int put_numbers(mp_args *args)
{
    mp_queue *queue = mp_arg_queue(args, 0);
    int64_t count = mp_arg_int(args, 1), item[8] = {0};

    for (int64_t i = 0; i < count; i++) {
        item[0] = i;
        item[7] = ~i;
        must(mp_queue_put_bytes(queue, item, sizeof(item), SUPPORT_PATIENCE));
    }
    return 0;
}

Test(queue_memory, neither_counts_nor_memory_drift, .timeout = 3600)
{
    const char *text = getenv("QUEUE_ITEMS");
    int64_t count = text != NULL ? (int64_t)strtoll(text, NULL, 10)
                                 : (int64_t)support_scaled(2 * MILLION);
    mp_queue *queue = make_queue(1000);
    mp_process *child =
        support_start_daemon(MP_START_FORK, put_numbers, MP_ARGS(queue, count));
    size_t before = 0, size = 0;

    for (int64_t i = 0; i < count; i++) {
        int64_t item[8];

        if (i == count / 10)
            before = support_memory_in_use();
        ok(mp_queue_get_bytes_into(queue, item, sizeof(item), &size,
                                   SUPPORT_PATIENCE));
        if (item[0] != i || item[7] != ~i || size != sizeof(item))
            cr_assert_fail("%lld is %lld", (long long)i, (long long)item[0]);
    }
    if (!support_is_watched())
        cr_assert_lt(more_than(before), 2U);
    is_drained(queue);
    cr_assert_eq(support_finish(child), 0);
    ok(mp_queue_close(queue));
}
