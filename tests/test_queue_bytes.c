/* SPDX-License-Identifier: MIT */
/*
 * Bytes through queues: of every size, many at once, without copying; how much
 * room there is, and that it comes back, also from the dead.
 */
#include "support/check.h"
#include "support/queue.h"
#include "support/system.h"

#include "os.h"

enum {
    UNIT = 16384,
    MEBIBYTE = 1 << 20,
    SMALL_ROOM = 2 * MEBIBYTE, /* of queues that are to be filled */
    SPAN = 300000,             /* units of its own, several */
    FEW = 8,                   /* units: as small as a queue can be */
    BATCH = 64,
    DEATHS = 12,
    ALIGNMENT = 64,
};

/* Around whatever is rounded, and what is in the queue or beside it. */
static const size_t sizes[] = {
    0,     1,     7,     8,     9,     15,    16,      17,
    63,    64,    65,    100,   4095,  4096,  8175,    8176,
    8183,  8184,  8191,  8192,  8193,  9000,  16368,   16383,
    16384, 16385, 32768, 65535, 65536, 65537, 1 << 20, (1 << 20) + 1,
};

enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };

static const mp_queue_options all_options[] = {
    {.order = MP_QUEUE_FIFO},
    {.order = MP_QUEUE_LIFO},
    {.order = MP_QUEUE_PRIORITY},
    {.order = MP_QUEUE_DEQUE},
    {.order = MP_QUEUE_FIFO, .redeliver = true},
};

enum { ALL = sizeof(all_options) / sizeof(all_options[0]) };

/* What byte is there follows from the seed and the place. */
static unsigned char byte_at(size_t seed, size_t place)
{
    return (unsigned char)((place * 31 + place / 256 * 7 + seed * 101) & 0xff);
}

static void fill(void *data, size_t size, size_t seed)
{
    unsigned char *bytes = data;

    for (size_t i = 0; i < size; i++)
        bytes[i] = byte_at(seed, i);
}

static bool is_filled(const void *data, size_t size, size_t seed)
{
    const unsigned char *bytes = data;

    for (size_t i = 0; i < size; i++)
        if (bytes[i] != byte_at(seed, i))
            return false;
    return true;
}

static unsigned char *make_bytes(size_t size, size_t seed)
{
    unsigned char *bytes = malloc(size + 1);

    cr_assert_not_null(bytes);
    fill(bytes, size, seed);
    return bytes;
}

static mp_error put_filled(mp_queue *queue, size_t size, size_t seed)
{
    unsigned char *bytes = make_bytes(size, seed);
    mp_error err = mp_queue_put_bytes(queue, bytes, size, 0);

    free(bytes);
    return err;
}

static void gets_filled(mp_queue *queue, size_t size, size_t seed)
{
    void *data = NULL;
    size_t got = 0;

    ok(mp_queue_get_bytes(queue, 0, &data, &got));
    cr_assert_eq(got, size);
    cr_assert(is_filled(data, size, seed), "%zu bytes", size);
    cr_assert_eq(((char *)data)[size], 0);
    mp_free(data);
}

static mp_queue *make_small(size_t maxsize)
{
    return make_queue_with(maxsize,
                           (mp_queue_options){.max_bytes = SMALL_ROOM});
}

/* -- Targets --------------------------------------------------------------- */

/* (from, to): each of the sizes. */
static int hand_on(mp_args *args)
{
    mp_queue *from = mp_arg_queue(args, 0), *to = mp_arg_queue(args, 1);

    for (int i = 0; i < SIZES; i++) {
        void *data = NULL;
        size_t size = 0;

        must(mp_queue_get_bytes(from, SUPPORT_PATIENCE, &data, &size));
        must(mp_queue_put_bytes(to, data, size, 0));
        mp_free(data);
    }
    return 0;
}

/* (queue, size) */
static int reserve_and_die(mp_args *args)
{
    mp_queue_slot slot;
    size_t size = (size_t)mp_arg_int(args, 1);

    must(mp_queue_reserve(mp_arg_queue(args, 0), size, &slot));
    memset(slot.data, 0x5a, size);
    mpos_exit(9);
}

static int peek_and_die(mp_args *args)
{
    mp_queue_slot slot;

    must(mp_queue_peek(mp_arg_queue(args, 0), SUPPORT_PATIENCE, &slot));
    mpos_exit(9);
}

/* (queue, seed): several rows of BATCH numbers. */
static int put_rows(mp_args *args)
{
    int64_t numbers[BATCH];
    mp_bytes items[BATCH];

    for (int i = 0; i < BATCH; i++)
        items[i] = (mp_bytes){&numbers[i], sizeof(numbers[i])};
    for (int64_t row = 0; row < 20; row++) {
        size_t done = 0;

        for (int i = 0; i < BATCH; i++)
            numbers[i] = mp_arg_int(args, 1) * 1000000 + row * 1000 + i;
        must(mp_queue_put_many(mp_arg_queue(args, 0), items, BATCH, &done,
                               SUPPORT_PATIENCE));
        must(done == BATCH ? MP_OK : MP_ESTATE);
    }
    return 0;
}

/* -- Copied in and out ----------------------------------------------------- */

METHOD_TEST(queue_bytes, every_size_goes_there_and_back)
{
    mp_queue *there = make_queue(0), *back = make_queue(0);
    mp_process *child = support_start(method, hand_on, MP_ARGS(there, back));

    for (int i = 0; i < SIZES; i++)
        ok(put_filled(there, sizes[i], sizes[i]));
    cr_assert_eq(support_finish(child), 0);
    for (int i = 0; i < SIZES; i++)
        gets_filled(back, sizes[i], sizes[i]);
    is_drained(there);
    is_drained(back);
    ok(mp_queue_close(there));
    ok(mp_queue_close(back));
}

Test(queue_bytes, every_size_goes_through_every_order)
{
    for (int i = 0; i < ALL; i++) {
        mp_queue *queue = make_queue_with(0, all_options[i]);

        for (int n = 0; n < SIZES; n++)
            ok(put_filled(queue, sizes[n], sizes[n]));
        for (int n = 0; n < SIZES; n++) {
            int which =
                all_options[i].order == MP_QUEUE_LIFO ? SIZES - 1 - n : n;

            gets_filled(queue, sizes[which], sizes[which]);
        }
        is_drained(queue);
        ok(mp_queue_close(queue));
    }
}

/* 64 MiB, or by hand: QUEUE_LARGEST=1073741824 test_queue_bytes */
Test(queue_bytes, items_may_be_as_large_as_memory, .timeout = 300)
{
    const char *text = getenv("QUEUE_LARGEST");
    size_t size =
        text != NULL ? (size_t)strtoull(text, NULL, 10) : (size_t)64 * MEBIBYTE;
    mp_queue *queue = make_queue(0);
    mp_queue_slot slot;

    if (support_is_watched())
        size /= 8;
    for (int i = 0; i < 2; i++) {
        ok(mp_queue_reserve(queue, size, &slot));
        fill(slot.data, size, 3);
        ok(mp_queue_commit(queue, &slot, 0));
        ok(mp_queue_peek(queue, 0, &slot));
        cr_assert_eq(slot.size, size);
        cr_assert(is_filled(slot.data, size, 3));
        ok(mp_queue_consume(queue, &slot));
    }
    is_drained(queue);
    ok(mp_queue_close(queue));
}

Test(queue_bytes, nothing_is_an_item_too)
{
    mp_queue *queue = make_queue(1);

    ok(mp_queue_put_bytes(queue, NULL, 0, 0));
    comes_to(mp_queue_put_bytes(queue, NULL, 0, 0), MP_FULL);
    cr_assert_eq(mp_queue_qsize(queue), 1U);
    gets_filled(queue, 0, 0);
    fails(mp_queue_put_bytes(queue, NULL, 1, 0), MP_EINVAL);
    is_drained(queue);
    ok(mp_queue_close(queue));
}

Test(queue_bytes, without_a_place_nothing_is_got)
{
    mp_queue *queue = make_queue(0);
    mp_bytes items[1] = {{"1", 1}};
    void *data = NULL;
    size_t done = 77;

    ok(mp_queue_put_bytes(queue, "1", 1, 0));
    fails(mp_queue_put_bytes(queue, "1", SIZE_MAX, 0), MP_ENOSPC);
    fails(mp_queue_put_many(queue, NULL, 1, &done, 0), MP_EINVAL);
    fails(mp_queue_put_many(queue, items, 1, NULL, 0), MP_EINVAL);
    fails(mp_queue_get_bytes(queue, 0, NULL, &done), MP_EINVAL);
    fails(mp_queue_get_bytes(queue, 0, &data, NULL), MP_EINVAL);
    fails(mp_queue_get_bytes_into(queue, NULL, 1, &done, 0), MP_EINVAL);
    fails(mp_queue_get_bytes_into(queue, items, 1, NULL, 0), MP_EINVAL);
    fails(mp_queue_get_many(queue, NULL, 1, items, 1, &done, 0), MP_EINVAL);
    fails(mp_queue_get_many(queue, "", 0, NULL, 1, &done, 0), MP_EINVAL);
    fails(mp_queue_get_many(queue, "", 0, items, 1, NULL, 0), MP_EINVAL);
    cr_assert_eq(done, 77U);
    cr_assert_null(data);
    ok(mp_queue_get_many(queue, "", 0, items, 0, &done, 0));
    cr_assert_eq(done, 0U, "none were asked for");
    cr_assert_eq(mp_queue_qsize(queue), 1U);
    ok(mp_queue_close(queue));
}

Test(queue_bytes, many_are_got_from_a_queue_that_is_shut_until_it_is_empty)
{
    mp_queue *queue = make_queue(0);
    mp_bytes items[BATCH];
    char room[100];
    size_t done;

    for (int i = 0; i < 3; i++)
        ok(mp_queue_put_bytes(queue, "item", 4, 0));
    ok(mp_queue_shutdown(queue, false));
    ok(mp_queue_get_many(queue, room, sizeof(room), items, BATCH, &done, 0));
    cr_assert_eq(done, 3U);
    fails(mp_queue_get_many(queue, room, sizeof(room), items, BATCH, &done, 0),
          MP_ESHUTDOWN);
    cr_assert_eq(done, 0U);
    ok(mp_queue_close(queue));
}

Test(queue_bytes, an_item_that_does_not_fit_stays)
{
    static const size_t each[] = {100, SPAN};

    for (int i = 0; i < ALL; i++)
        for (int n = 0; n < 2; n++) {
            mp_queue *queue = make_queue_with(0, all_options[i]);
            unsigned char *room = malloc(each[n]);
            size_t size = 0;

            ok(put_filled(queue, each[n], 1));
            for (size_t less = 0; less < each[n]; less += each[n] / 3) {
                fails(mp_queue_get_bytes_into(queue, room, less, &size, 0),
                      MP_EOVERFLOW);
                cr_assert_eq(size, each[n]);
                cr_assert_eq(mp_queue_qsize(queue), 1U);
            }
            ok(mp_queue_get_bytes_into(queue, room, each[n], &size, 0));
            cr_assert_eq(size, each[n]);
            cr_assert(is_filled(room, size, 1));
            is_drained(queue);
            free(room);
            ok(mp_queue_close(queue));
        }
}

METHOD_TEST(queue_bytes, getting_them_waits_and_gives_up)
{
    mp_queue *queue = make_queue(0);
    peer it = begin_peer(method, queue);
    size_t size = 0;
    char byte;

    comes_to(mp_queue_get_bytes_into(queue, &byte, 1, &size, 0.02), MP_EMPTY);
    comes_to(ask(&it, PEER_GET_BYTES, MP_NONE, 0.02), MP_EMPTY);
    comes_to(ask(&it, PEER_PEEK, MP_NONE, 0.02), MP_EMPTY);
    tell(&it, PEER_GET_BYTES, MP_NONE, SUPPORT_PATIENCE);
    is_waiting(&it);
    ok(mp_queue_put_bytes(queue, "at last", 7, 0));
    answers(&it, "b'at last'");
    end_peer(&it);
    ok(mp_queue_close(queue));
}

/* -- Many at once ---------------------------------------------------------- */

static void set_numbers(mp_bytes *items, int64_t *numbers, int count)
{
    for (int i = 0; i < count; i++) {
        numbers[i] = i;
        items[i] = (mp_bytes){&numbers[i], sizeof(numbers[i])};
    }
}

Test(queue_bytes, many_are_put_and_got_in_order)
{
    for (int n = 0; n < ALL; n++) {
        mp_queue *queue = make_queue_with(0, all_options[n]);
        bool is_lifo = all_options[n].order == MP_QUEUE_LIFO;
        int64_t numbers[BATCH], got[BATCH];
        mp_bytes items[BATCH];
        size_t done = 99;

        set_numbers(items, numbers, BATCH);
        ok(mp_queue_put_many(queue, items, BATCH, &done, 0));
        cr_assert_eq(done, (size_t)BATCH);
        cr_assert_eq(mp_queue_qsize(queue), (size_t)BATCH);
        memset(items, 0, sizeof(items));
        ok(mp_queue_get_many(queue, got, sizeof(got), items, BATCH, &done, 0));
        cr_assert_eq(done, (size_t)BATCH);
        for (int i = 0; i < BATCH; i++) {
            cr_assert_eq(items[i].data, &got[i]);
            cr_assert_eq(items[i].size, sizeof(got[i]));
            cr_assert_eq(got[i], is_lifo ? BATCH - 1 - i : i);
        }
        is_drained(queue);
        ok(mp_queue_close(queue));
    }
}

Test(queue_bytes, many_of_all_sizes_come_whole)
{
    mp_queue *queue = make_queue(0);
    unsigned char *room = malloc(4 * MEBIBYTE);
    mp_bytes items[SIZES];
    unsigned char *copies[SIZES];
    size_t done = 0, at = 0;

    for (int i = 0; i < SIZES; i++) {
        copies[i] = make_bytes(sizes[i], (size_t)i);
        items[i] = (mp_bytes){copies[i], sizes[i]};
    }
    ok(mp_queue_put_many(queue, items, SIZES, &done, 0));
    cr_assert_eq(done, (size_t)SIZES);
    while (at < SIZES) {
        ok(mp_queue_get_many(queue, room, 4 * MEBIBYTE, items, SIZES, &done,
                             0));
        cr_assert_gt(done, 0U);
        for (size_t i = 0; i < done; i++, at++) {
            cr_assert_eq(items[i].size, sizes[at]);
            cr_assert(is_filled(items[i].data, items[i].size, at));
            free(copies[at]);
        }
    }
    is_drained(queue);
    free(room);
    ok(mp_queue_close(queue));
}

Test(queue_bytes, of_many_as_many_are_put_as_there_is_room)
{
    for (int n = 0; n < ALL; n++) {
        mp_queue *queue = make_queue_with(10, all_options[n]);
        int64_t numbers[BATCH];
        mp_bytes items[BATCH];
        size_t done = 99;

        set_numbers(items, numbers, BATCH);
        ok(mp_queue_put_many(queue, items, BATCH, &done, 0.02));
        cr_assert_eq(done, 10U);
        comes_to(mp_queue_put_many(queue, items, BATCH, &done, 0), MP_FULL);
        cr_assert_eq(done, 0U);
        cr_assert_eq(mp_queue_qsize(queue), 10U);
        ok(mp_queue_close(queue));
    }
}

METHOD_TEST(queue_bytes, many_wait_for_room_until_all_are_put)
{
    mp_queue *queue = make_queue(10);
    mp_process *child = support_start(method, put_rows, MP_ARGS(queue, 3));

    for (int64_t row = 0; row < 20; row++)
        for (int i = 0; i < BATCH; i++) {
            int64_t number = -1;
            size_t size = 0;

            ok(mp_queue_get_bytes_into(queue, &number, sizeof(number), &size,
                                       SUPPORT_PATIENCE));
            cr_assert_eq(number, 3000000 + row * 1000 + i);
        }
    cr_assert_eq(support_finish(child), 0);
    is_drained(queue);
    ok(mp_queue_close(queue));
}

METHOD_TEST(queue_bytes, rows_stay_together)
{
    enum { WORKERS = 3 };
    mp_queue *queue = make_queue(0);
    mp_process *workers[WORKERS];
    int64_t row[BATCH];
    mp_bytes items[BATCH];

    for (int i = 0; i < WORKERS; i++)
        workers[i] = support_start(method, put_rows, MP_ARGS(queue, i));
    for (int i = 0; i < WORKERS; i++)
        cr_assert_eq(support_finish(workers[i]), 0);
    for (int n = 0; n < WORKERS * 20; n++) {
        size_t done = 0;

        ok(mp_queue_get_many(queue, row, sizeof(row), items, BATCH, &done, 0));
        cr_assert_eq(done, (size_t)BATCH);
        for (int i = 0; i < BATCH; i++)
            cr_assert_eq(row[i], row[0] + i, "somebody else's between");
    }
    is_drained(queue);
    ok(mp_queue_close(queue));
}

Test(queue_bytes, of_many_as_many_are_got_as_fit)
{
    for (int n = 0; n < ALL; n++) {
        mp_queue *queue = make_queue_with(0, all_options[n]);
        mp_bytes items[BATCH];
        char room[100];
        size_t done = 99;

        for (int i = 0; i < 5; i++)
            ok(put_filled(queue, 40, 1));
        fails(mp_queue_get_many(queue, room, 39, items, BATCH, &done, 0),
              MP_EOVERFLOW);
        cr_assert_eq(done, 0U);
        ok(mp_queue_get_many(queue, room, 100, items, BATCH, &done, 0));
        cr_assert_eq(done, 2U);
        ok(mp_queue_get_many(queue, room, 100, items, 1, &done, 0));
        cr_assert_eq(done, 1U);
        cr_assert(is_filled(items[0].data, 40, 1));
        cr_assert_eq(mp_queue_qsize(queue), 2U);
        ok(mp_queue_get_many(queue, room, 100, items, BATCH, &done, 0));
        comes_to(mp_queue_get_many(queue, room, 100, items, BATCH, &done, 0.02),
                 MP_EMPTY);
        cr_assert_eq(done, 0U);
        ok(mp_queue_close(queue));
    }
}

Test(queue_bytes, objects_are_none_of_the_many)
{
    mp_queue *queue = make_queue(0);
    mp_bytes items[BATCH];
    char room[100];
    size_t done = 99;

    ok(mp_queue_put_bytes(queue, "a", 1, 0));
    put(queue, "an object");
    ok(mp_queue_get_many(queue, room, 100, items, BATCH, &done, 0));
    cr_assert_eq(done, 1U);
    fails(mp_queue_get_many(queue, room, 100, items, BATCH, &done, 0),
          MP_ETYPE);
    cr_assert_eq(done, 0U);
    gets(queue, "'an object'");
    ok(mp_queue_close(queue));
}

/* -- Without copying ------------------------------------------------------- */

METHOD_TEST(queue_slots, what_is_reserved_is_seen_when_it_is_committed)
{
    mp_queue *queue = make_queue(0);
    peer it = begin_peer(method, queue);

    for (int i = 0; i < SIZES; i++) {
        mp_queue_slot slot;

        ok(mp_queue_reserve(queue, sizes[i], &slot));
        cr_assert_eq(slot.size, sizes[i]);
        cr_assert_eq((uintptr_t)slot.data % ALIGNMENT, 0U);
        fill(slot.data, sizes[i], 5);
        they_count(&it, "(0, True, False)");
        ok(mp_queue_commit(queue, &slot, 0));
        they_count(&it, "(1, False, False)");
        gets_filled(queue, sizes[i], 5);
    }
    is_drained(queue);
    end_peer(&it);
    ok(mp_queue_close(queue));
}

METHOD_TEST(queue_slots, what_is_peeked_at_is_taken)
{
    mp_queue *queue = make_queue(0);
    peer it = begin_peer(method, queue);

    for (int i = 0; i < SIZES; i++) {
        mp_queue_slot slot;

        ok(put_filled(queue, sizes[i], 6));
        ok(mp_queue_peek(queue, 0, &slot));
        they_count(&it, "(0, True, False)");
        cr_assert_eq(slot.size, sizes[i]);
        cr_assert_eq((uintptr_t)slot.data % ALIGNMENT, 0U);
        cr_assert(is_filled(slot.data, slot.size, 6));
        ok(mp_queue_consume(queue, &slot));
    }
    is_drained(queue);
    end_peer(&it);
    ok(mp_queue_close(queue));
}

Test(queue_slots, every_order_has_them)
{
    for (int i = 0; i < ALL; i++) {
        mp_queue *queue = make_queue_with(0, all_options[i]);

        for (int n = 0; n < SIZES; n++) {
            mp_queue_slot slot;

            ok(mp_queue_reserve(queue, sizes[n], &slot));
            fill(slot.data, sizes[n], 7);
            ok(mp_queue_commit(queue, &slot, 0));
            ok(mp_queue_peek(queue, 0, &slot));
            cr_assert_eq(slot.size, sizes[n]);
            cr_assert(is_filled(slot.data, slot.size, 7));
            ok(mp_queue_consume(queue, &slot));
            /* Without redelivery nothing has to be told. */
            if (all_options[i].redeliver)
                ok(mp_queue_task_done(queue));
        }
        is_drained(queue);
        ok(mp_queue_close(queue));
    }
}

Test(queue_slots, an_item_may_become_smaller)
{
    static const size_t from[] = {100, 8192, SPAN, SPAN};
    static const size_t to[] = {10, 0, 100, SPAN - UNIT};
    mp_queue *queue = make_queue(0);

    for (int i = 0; i < 4; i++) {
        mp_queue_slot slot;

        ok(mp_queue_reserve(queue, from[i], &slot));
        fill(slot.data, to[i], 8);
        slot.size = to[i];
        ok(mp_queue_commit(queue, &slot, 0));
        gets_filled(queue, to[i], 8);
        ok(mp_queue_reserve(queue, from[i], &slot));
        slot.size = from[i] + UNIT; /* more than was rounded up */
        fails(mp_queue_commit(queue, &slot, 0), MP_EINVAL);
        slot.size = from[i];
        ok(mp_queue_abandon(queue, &slot));
    }
    is_drained(queue);
    ok(mp_queue_close(queue));
}

Test(queue_slots, what_is_full_leaves_the_slot)
{
    static const size_t each[] = {100, SPAN};

    for (int i = 0; i < 2; i++) {
        mp_queue *queue = make_queue(1);
        mp_queue_slot slot;

        ok(mp_queue_reserve(queue, each[i], &slot));
        fill(slot.data, each[i], 9);
        put(queue, "first");
        comes_to(mp_queue_commit(queue, &slot, 0.02), MP_FULL);
        gets(queue, "'first'");
        cr_assert(is_filled(slot.data, each[i], 9));
        ok(mp_queue_commit(queue, &slot, 0));
        gets_filled(queue, each[i], 9);
        ok(mp_queue_close(queue));
    }
}

Test(queue_slots, each_call_has_its_own_kind_of_slot)
{
    mp_queue *queue = make_queue(0);
    mp_queue_slot slot = {.data = NULL}, other = {.data = NULL};

    fails(mp_queue_reserve(queue, 10, NULL), MP_EINVAL);
    fails(mp_queue_commit(queue, NULL, 0), MP_EINVAL);
    fails(mp_queue_commit(queue, &slot, 0), MP_ESTATE);
    fails(mp_queue_peek(queue, 0, NULL), MP_EINVAL);
    ok(mp_queue_reserve(queue, 10, &slot));
    memset(slot.data, 'x', 10);
    ok(mp_queue_abandon(queue, &slot));
    is_drained(queue);
    put(queue, "an object");
    fails(mp_queue_peek(queue, 0, &other), MP_ETYPE);
    gets(queue, "'an object'");
    ok(mp_queue_close(queue));
}

Test(queue_slots, a_slot_is_its_queues_and_for_what_it_was_made)
{
    mp_queue *queue = make_queue(0), *other = make_queue(0);
    mp_queue_slot slot;

    ok(mp_queue_reserve(other, SPAN, &slot));
    fails(mp_queue_commit(queue, &slot, 0), MP_EINVAL);
    ok(mp_queue_abandon(other, &slot));
    ok(put_filled(queue, SPAN, 1));
    ok(mp_queue_peek(queue, 0, &slot));
    fails(mp_queue_commit(queue, &slot, 0), MP_ESTATE);
    ok(mp_queue_consume(queue, &slot));
    is_drained(queue);
    ok(mp_queue_close(queue));
    ok(mp_queue_close(other));
}

/* -- Room ------------------------------------------------------------------ */

Test(queue_room, without_a_maxsize_what_is_over_the_limit_is_an_error)
{
    static const size_t each[] = {1000, SPAN};
    unsigned char *bytes = make_bytes(SPAN, 0);
    mp_queue *queue = make_small(0);

    for (int n = 0; n < 6; n++) {
        size_t size = each[n % 2], count = 0;
        mp_error err;

        while ((err = put_filled(queue, size, count)) == MP_OK)
            count++;
        fails(err, MP_ENOSPC);
        cr_assert_gt(count * size, (size_t)SMALL_ROOM / 2, "%zu of %zu", count,
                     size);
        cr_assert_leq(count * size, (size_t)SMALL_ROOM);
        cr_assert_eq(mp_queue_qsize(queue), count);
        fails(mp_queue_put_bytes(queue, bytes, size, MP_FOREVER), MP_ENOSPC);
        for (size_t i = 0; i < count; i++)
            gets_filled(queue, size, i);
        is_drained(queue);
    }
    free(bytes);
    ok(mp_queue_close(queue));
}

METHOD_TEST(queue_room, with_a_maxsize_who_puts_waits)
{
    mp_queue *queue = make_small(1000000);
    peer it = begin_peer(method, queue);
    unsigned char *bytes = make_bytes(SPAN, 0);
    size_t count = 0;
    mp_error err;

    while ((err = mp_queue_put_bytes(queue, bytes, SPAN, 0)) == MP_OK)
        count++;
    comes_to(err, MP_FULL);
    tell(&it, PEER_PUT_BYTES, MP_BYTES(bytes, SPAN), SUPPORT_PATIENCE);
    is_waiting(&it);
    gets_filled(queue, SPAN, 0);
    ok(hear(&it));
    cr_assert_eq(mp_queue_qsize(queue), count);
    for (size_t i = 0; i < count; i++)
        gets_filled(queue, SPAN, 0);
    free(bytes);
    end_peer(&it);
    ok(mp_queue_close(queue));
}

Test(queue_room, what_can_never_fit_is_an_error_at_once)
{
    for (size_t maxsize = 0; maxsize < 2; maxsize++) {
        mp_queue *queue = make_small(maxsize);
        unsigned char *bytes = make_bytes(SMALL_ROOM + 1, 0);
        mp_queue_slot slot;

        fails(mp_queue_put_bytes(queue, bytes, SMALL_ROOM + 1, MP_FOREVER),
              MP_ENOSPC);
        fails(mp_queue_put(queue, MP_BYTES(bytes, SMALL_ROOM), MP_FOREVER),
              MP_ENOSPC);
        fails(mp_queue_reserve(queue, SMALL_ROOM + 1, &slot), MP_ENOSPC);
        fails(mp_queue_put_bytes(queue, bytes, SIZE_MAX / 2, MP_FOREVER),
              MP_ENOSPC);
        put(queue, 1);
        gets(queue, "1");
        free(bytes);
        ok(mp_queue_close(queue));
    }
}

/* Small ones, as far as there is room. */
static void put_and_get_some(mp_queue *queue, size_t turn, bool redelivers)
{
    size_t count = 0;
    void *data;
    size_t size;

    while (count < turn % 13 &&
           put_filled(queue, (turn * 641 + count * 97) % 8000, 0) == MP_OK)
        count++;
    for (; count > 0; count--) {
        ok(mp_queue_get_bytes(queue, 0, &data, &size));
        mp_free(data);
        if (redelivers)
            ok(mp_queue_task_done(queue));
    }
}

/* Wherever in its memory the queue has come to. */
Test(queue_room, what_can_fit_at_all_fits_an_empty_queue, .timeout = 120)
{
    for (int order = 0; order < ALL; order++) {
        mp_queue_options options = all_options[order];
        mp_queue *queue;

        options.max_bytes = (size_t)FEW * UNIT;
        queue = make_queue_with(100, options);
        for (size_t turn = 0; turn < 600; turn++) {
            size_t size = (FEW - 2) * UNIT - turn % 5 * (UNIT / 2);
            unsigned char *bytes = make_bytes(size, turn);

            put_and_get_some(queue, turn, options.redeliver);
            ok(mp_queue_put_bytes(queue, bytes, size, MP_FOREVER));
            gets_filled(queue, size, turn);
            if (options.redeliver)
                ok(mp_queue_task_done(queue));
            free(bytes);
        }
        fails(put_filled(queue, (FEW - 2) * UNIT + 1, 0), MP_ENOSPC);
        is_drained(queue);
        ok(mp_queue_close(queue));
    }
}

METHOD_TEST(queue_room, who_puts_what_needs_all_of_it_waits_until_it_is_empty)
{
    mp_queue *queue =
        make_queue_with(100, (mp_queue_options){.max_bytes = FEW * UNIT});
    peer it = begin_peer(method, queue);
    size_t size = (FEW - 2) * UNIT;
    unsigned char *bytes = make_bytes(size, 1);

    for (size_t turn = 0; turn < 6; turn++) {
        for (size_t i = 0; i < 3 + turn; i++)
            ok(put_filled(queue, 7000, i));
        let_it_wait(&it, PEER_PUT_BYTES, MP_BYTES(bytes, size));
        for (size_t i = 0; i < 3 + turn; i++)
            gets_filled(queue, 7000, i);
        ok(hear(&it));
        gets_filled(queue, size, 1);
    }
    free(bytes);
    end_peer(&it);
    ok(mp_queue_close(queue));
}

/* Filled and drained far beyond what there is room for. */
Test(queue_room, room_comes_back, .timeout = 120)
{
    for (int i = 0; i < ALL; i++) {
        mp_queue_options options = all_options[i];
        mp_queue *queue;

        options.max_bytes = SMALL_ROOM;
        queue = make_queue_with(0, options);
        for (size_t round = 0; round < support_scaled(60); round++) {
            static const size_t each[] = {3, 50, 2000, 8192, 20000, SPAN};

            for (size_t n = 0; n < 6; n++)
                for (size_t k = 0; k < (n == 5 ? 1U : 5U); k++)
                    ok(put_filled(queue, each[n], 1));
            while (mp_queue_qsize(queue) > (round % 7 == 0 ? 0U : 3U)) {
                void *data = NULL;
                size_t size = 0;

                ok(mp_queue_get_bytes(queue, 0, &data, &size));
                cr_assert(is_filled(data, size, 1));
                mp_free(data);
                if (options.redeliver)
                    ok(mp_queue_task_done(queue));
            }
        }
        ok(mp_queue_close(queue));
    }
}

Test(queue_room, abandoned_slots_come_back)
{
    mp_queue *queue = make_small(0);

    for (int i = 0; i < 50; i++) {
        mp_queue_slot slot;

        ok(mp_queue_reserve(queue, SPAN, &slot));
        ok(mp_queue_abandon(queue, &slot));
    }
    ok(mp_queue_close(queue));
}

/* -- The dead -------------------------------------------------------------- */

METHOD_TEST(queue_room, who_dies_before_commit_costs_nothing_but_its_item)
{
    static const int each[] = {100, 3 * SPAN};

    for (int n = 0; n < 2; n++) {
        mp_queue *queue = make_small(0);

        ok(put_filled(queue, 100, 1));
        for (int i = 0; i < DEATHS; i++)
            cr_assert_eq(
                support_run(method, reserve_and_die, MP_ARGS(queue, each[n])),
                9);
        ok(put_filled(queue, SPAN * 3, 2));
        cr_assert_eq(mp_queue_qsize(queue), 2U);
        gets_filled(queue, 100, 1);
        gets_filled(queue, SPAN * 3, 2);
        is_drained(queue);
        ok(mp_queue_close(queue));
    }
}

METHOD_TEST(queue_room, who_dies_before_consume_costs_nothing_but_its_item)
{
    mp_queue *queue = make_small(0);

    for (int i = 0; i < DEATHS; i++) {
        ok(put_filled(queue, 3 * SPAN, 1));
        cr_assert_eq(support_run(method, peek_and_die, MP_ARGS(queue)), 9);
        is_drained(queue);
    }
    ok(put_filled(queue, 100, 2));
    gets_filled(queue, 100, 2);
    ok(mp_queue_close(queue));
}

METHOD_TEST(queue_room, with_redelivery_it_costs_not_even_that)
{
    mp_queue *queue = make_queue_with(
        0, (mp_queue_options){.redeliver = true, .max_bytes = SMALL_ROOM});
    mp_queue_slot slot;

    ok(put_filled(queue, 3 * SPAN, 1));
    for (int i = 0; i < DEATHS; i++)
        cr_assert_eq(support_run(method, peek_and_die, MP_ARGS(queue)), 9);
    ok(mp_queue_peek(queue, SUPPORT_PATIENCE, &slot));
    cr_assert_eq(slot.size, 3U * SPAN);
    cr_assert(is_filled(slot.data, slot.size, 1));
    cr_assert_eq(mp_queue_deliveries(queue), (unsigned)DEATHS + 1);
    ok(mp_queue_consume(queue, &slot));
    is_drained(queue);
    ok(mp_queue_close(queue));
}
