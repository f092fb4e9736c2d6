/* SPDX-License-Identifier: MIT */
/* Queues among processes, bounded, as the peers are. */
#include "bench.h"
#include "boost.h"
#include "crew.h"
#include "system.h"

#include <stdlib.h>
#include <string.h>

enum {
    WAITING = 1024, /* items */
    WAITING_LARGE = 64,
    SMALL = 64, /* bytes */
    LARGE = 64 * 1024,
    ROW = 64, /* items of put_many() */
    SAMPLES = 11,
    MILLION = 1000000,
    LIMIT_BYTES = 64 << 20,
};

static const crew_goods *const goods = &crew_goods_here;

/* -- What workers do, beside crew.h's -------------------------------------- */

static void put_many(int64_t count)
{
    mp_bytes items[ROW];

    for (int i = 0; i < ROW; i++)
        items[i] = (mp_bytes){goods->piece, goods->size};
    while (count > 0) {
        size_t done = 0;

        mp_check(mp_queue_put_many(goods->queue, items,
                                   count < ROW ? (size_t)count : ROW, &done,
                                   MP_FOREVER));
        count -= (int64_t)done;
    }
}

static void get_many(int64_t count)
{
    char room[ROW * SMALL];
    mp_bytes items[ROW];

    while (count > 0) {
        size_t done = 0;

        mp_check(mp_queue_get_many(goods->queue, room, sizeof(room), items,
                                   count < ROW ? (size_t)count : ROW, &done,
                                   MP_FOREVER));
        count -= (int64_t)done;
    }
}

static void put_ints(int64_t count)
{
    for (; count > 0; count--)
        mp_check(mp_queue_put(goods->queue, MP_BOX(count), MP_FOREVER));
}

static void get_ints(int64_t count)
{
    for (; count > 0; count--) {
        mp_obj *item;
        int64_t value = 0;

        mp_check(mp_queue_get(goods->queue, MP_FOREVER, &item));
        mp_check(mp_obj_as_int(item, &value));
        mp_obj_unref(item);
        bench_require(value == count, "they come in order");
    }
}

/* As many bytes are written and read as in copying, but where they are. */
static void put_in_place(int64_t count)
{
    for (; count > 0; count--) {
        mp_queue_slot slot;

        mp_check(mp_queue_reserve(goods->queue, goods->size, &slot));
        memset(slot.data, 'x', goods->size);
        mp_check(mp_queue_commit(goods->queue, &slot, MP_FOREVER));
    }
}

/* Every word of it is read. */
static bool is_right(const void *bytes, size_t size)
{
    const uint64_t *words = bytes;
    uint64_t sum = 0, expected;

    memset(&expected, 'x', sizeof(expected));
    for (size_t i = 0; i < size / sizeof(*words); i++)
        sum += words[i];
    return sum == expected * (LARGE / sizeof(*words));
}

static void get_in_place(int64_t count)
{
    for (; count > 0; count--) {
        mp_queue_slot slot;

        mp_check(mp_queue_peek(goods->queue, MP_FOREVER, &slot));
        bench_require(is_right(slot.data, slot.size), "what was put is got");
        mp_check(mp_queue_consume(goods->queue, &slot));
    }
}

/* The same with boost, written and read as in place. */
static void put_boost_filled(int64_t count)
{
    for (; count > 0; count--) {
        memset(goods->piece, 'x', goods->size);
        boost_queue_put(goods->piece, goods->size);
    }
}

static void get_boost_summed(int64_t count)
{
    char *room = malloc(goods->size);

    bench_require(room != NULL, "memory");
    for (; count > 0; count--)
        bench_require(is_right(room, boost_queue_get(room, goods->size)),
                      "what was put is got");
    free(room);
}

#define CREW(name, put, get, each)                      \
    static double name(int batch)                       \
    {                                                   \
        static const crew who = {put, get, each, each}; \
                                                        \
        return crew_run(&who, batch);                   \
    }

CREW(pass_bytes, crew_put, crew_get, 1)
CREW(pass_among_eight, crew_put, crew_get, 4)
CREW(pass_rows, put_many, get_many, 1)
CREW(pass_ints, put_ints, get_ints, 1)
CREW(pass_in_place, put_in_place, get_in_place, 1)
CREW(pass_boost, crew_put_boost, crew_get_boost, 1)
CREW(pass_boost_filled, put_boost_filled, get_boost_summed, 1)
CREW(pass_mq, crew_put_mq, crew_get_mq, 1)

/* -- Beginning and ending -------------------------------------------------- */

static const char *open_small(void)
{
    return crew_open(SMALL, WAITING);
}

static const char *open_small_and_boost(void)
{
    return crew_open_boost(SMALL, WAITING);
}

static const char *open_small_and_mq(void)
{
    return crew_open_mq(SMALL, WAITING);
}

static const char *open_large_and_boost(void)
{
    return crew_open_boost(LARGE, WAITING_LARGE);
}

/* -- Many small ones in memory --------------------------------------------- */

static mp_queue *growing;
static size_t most_used; /* bytes */

static const char *open_growing(void)
{
    most_used = 0;
    mp_check(mp_queue_create(&growing, 0, NULL));
    return NULL;
}

static void close_growing(void)
{
    mp_check(mp_queue_close(growing));
    growing = NULL;
}

static double fill(int batch)
{
    size_t before = system_count_memory(), after, size;
    double began = system_now();
    char byte = 'x';

    for (int i = 0; i < batch; i++)
        mp_check(mp_queue_put_bytes(growing, &byte, 1, MP_FOREVER));
    began = system_now() - began;
    after = system_count_memory();
    for (int i = 0; i < batch; i++)
        mp_check(mp_queue_get_bytes_into(growing, &byte, 1, &size, MP_FOREVER));
    bench_require(mp_queue_empty(growing), "all of them were there");
    if (after > before && after - before > most_used)
        most_used = after - before;
    return began;
}

static bool is_small(void)
{
    return most_used < LIMIT_BYTES;
}

static const bench_row rows[] = {
    {.name = "queue.64",
     .unit = "ns",
     .goal_text = "100 ns",
     .limit = 100e-9,
     .samples = SAMPLES,
     .batch = 2 * MILLION,
     .begin = open_small,
     .end = crew_close,
     .ours = pass_bytes},
    {.name = "queue.64.boost",
     .unit = "ns",
     .peer = "boost message_queue",
     .goal = 1 / 1.5,
     .goal_text = "1.5 times as fast",
     .batch = MILLION,
     .peer_batch = MILLION / 2,
     .begin = open_small_and_boost,
     .end = crew_close,
     .ours = pass_bytes,
     .theirs = pass_boost},
    {.name = "queue.64.mq",
     .unit = "ns",
     .peer = "POSIX mq",
     .batch = MILLION / 2,
     .begin = open_small_and_mq,
     .end = crew_close,
     .ours = pass_bytes,
     .theirs = pass_mq},
    {.name = "queue.64.many",
     .unit = "ns",
     .peer = "one at a time",
     .batch = 2 * MILLION,
     .peer_batch = MILLION,
     .begin = open_small,
     .end = crew_close,
     .ours = pass_rows,
     .theirs = pass_bytes},
    {.name = "queue.64.4x4",
     .unit = "ns",
     .peer = "one and one",
     .goal = 2.0,
     .goal_text = "half as fast",
     .batch = MILLION,
     .begin = open_small,
     .end = crew_close,
     .ours = pass_among_eight,
     .theirs = pass_bytes},
    {.name = "queue.int",
     .unit = "ns",
     .peer = "python",
     .goal = 0.025,
     .goal_text = "40 times as fast",
     .batch = MILLION,
     .peer_batch = 20000,
     .begin = open_small,
     .end = crew_close,
     .ours = pass_ints,
     .python = "queue.int"},
    {.name = "queue.64k",
     .unit = "us",
     .peer = "boost message_queue",
     .goal = 1.0,
     .batch = 20000,
     .begin = open_large_and_boost,
     .end = crew_close,
     .ours = pass_bytes,
     .theirs = pass_boost},
    {.name = "queue.64k.in_place",
     .unit = "us",
     .peer = "boost message_queue",
     .goal = 1 / 1.5,
     .goal_text = "1.5 times as fast",
     .batch = 20000,
     .begin = open_large_and_boost,
     .end = crew_close,
     .ours = pass_in_place,
     .theirs = pass_boost_filled},
    {.name = "queue.million",
     .unit = "ns",
     .goal_text = "64 MiB for a million of 1 byte",
     .holds = is_small,
     .batch = MILLION,
     .begin = open_growing,
     .end = close_growing,
     .ours = fill},
};

const bench_table bench_queue_rows = {rows, sizeof(rows) / sizeof(rows[0])};
