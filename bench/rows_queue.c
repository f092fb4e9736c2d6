/* SPDX-License-Identifier: MIT */
/*
 * Queues among processes that do nothing else: so many that put, so many that
 * get, all at once. Each notes when it begins and ends; what counts is the time
 * from the first beginning to the last end. Bounded, as the peers are.
 */
#include "bare.h"
#include "bench.h"
#include "boost.h"
#include "python.h"
#include "system.h"

#include <multiproc.h>

#include <stdlib.h>
#include <string.h>

enum {
    MOST = 8,       /* processes */
    WAITING = 1024, /* items */
    WAITING_LARGE = 64,
    SMALL = 64, /* bytes */
    LARGE = 64 * 1024,
    ROW = 64, /* items of put_many() */
    SAMPLES = 11,
    MILLION = 1000000,
    LIMIT_BYTES = 64 << 20,
};

/* In shared memory; workers are forked, so that peers' queues reach them. */
static struct shared {
    _Atomic int ready;
    _Atomic bool has_begun;
    _Atomic uint32_t words[2]; /* of a bare ping-pong */
    bool is_over;
    double began[MOST];
    double ended[MOST];
} * shared;

static mp_queue *queue;
static mp_queue *queues[2]; /* of a ping-pong */
static mp_process *ours, *theirs;
static char *piece;
static size_t piece_size;

/* -- Workers --------------------------------------------------------------- */

/* What one of them does count times. */
typedef void (*job)(int64_t count);

static void put_bytes(int64_t count)
{
    for (; count > 0; count--)
        mp_check(mp_queue_put_bytes(queue, piece, piece_size, MP_FOREVER));
}

static void get_bytes(int64_t count)
{
    char *room = malloc(piece_size);
    size_t size = 0;

    bench_require(room != NULL, "memory");
    for (; count > 0; count--)
        mp_check(mp_queue_get_bytes_into(queue, room, piece_size, &size,
                                         MP_FOREVER));
    bench_require(memcmp(room, piece, size) == 0, "what was put is got");
    free(room);
}

static void put_many(int64_t count)
{
    mp_bytes items[ROW];

    for (int i = 0; i < ROW; i++)
        items[i] = (mp_bytes){piece, piece_size};
    while (count > 0) {
        size_t done = 0;

        mp_check(mp_queue_put_many(queue, items,
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

        mp_check(mp_queue_get_many(queue, room, sizeof(room), items,
                                   count < ROW ? (size_t)count : ROW, &done,
                                   MP_FOREVER));
        count -= (int64_t)done;
    }
}

static void put_ints(int64_t count)
{
    for (; count > 0; count--)
        mp_check(mp_queue_put(queue, MP_BOX(count), MP_FOREVER));
}

static void get_ints(int64_t count)
{
    for (; count > 0; count--) {
        mp_obj *item;
        int64_t value = 0;

        mp_check(mp_queue_get(queue, MP_FOREVER, &item));
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

        mp_check(mp_queue_reserve(queue, piece_size, &slot));
        memset(slot.data, 'x', piece_size);
        mp_check(mp_queue_commit(queue, &slot, MP_FOREVER));
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

        mp_check(mp_queue_peek(queue, MP_FOREVER, &slot));
        bench_require(is_right(slot.data, slot.size), "what was put is got");
        mp_check(mp_queue_consume(queue, &slot));
    }
}

static void put_boost(int64_t count)
{
    for (; count > 0; count--)
        boost_queue_put(piece, piece_size);
}

static void get_boost(int64_t count)
{
    char *room = malloc(piece_size);
    size_t size = 0;

    bench_require(room != NULL, "memory");
    for (; count > 0; count--)
        size = boost_queue_get(room, piece_size);
    bench_require(memcmp(room, piece, size) == 0, "what was put is got");
    free(room);
}

/* The same with boost, written and read as in place. */
static void put_boost_filled(int64_t count)
{
    for (; count > 0; count--) {
        memset(piece, 'x', piece_size);
        boost_queue_put(piece, piece_size);
    }
}

static void get_boost_summed(int64_t count)
{
    char *room = malloc(piece_size);

    bench_require(room != NULL, "memory");
    for (; count > 0; count--)
        bench_require(is_right(room, boost_queue_get(room, piece_size)),
                      "what was put is got");
    free(room);
}

/* -- One sample ------------------------------------------------------------ */

typedef struct crew {
    job put;
    job get;
    int each; /* processes of either kind */
} crew;

static const crew *at_work;

static int work(mp_args *args)
{
    int64_t place = mp_arg_int(args, 0), count = mp_arg_int(args, 1);

    shared->ready++;
    while (!shared->has_begun)
        mp_sleep(0.0002);
    shared->began[place] = system_now();
    if (place < at_work->each)
        at_work->put(count);
    else
        at_work->get(count);
    shared->ended[place] = system_now();
    return 0;
}

static void end(mp_process *process)
{
    int code = -1;

    mp_check(mp_process_join(process, MP_FOREVER));
    mp_check(mp_process_exitcode(process, &code));
    mp_check(mp_process_close(process));
    bench_require(code == 0, "a worker ends well");
}

static double run_crew(const crew *who, int batch)
{
    const mp_process_options forked = {.start_method = MP_START_FORK};
    mp_process *workers[MOST];
    int count = who->each * 2;
    double first, last;

    at_work = who;
    shared->ready = 0;
    shared->has_begun = false;
    for (int i = 0; i < count; i++) {
        mp_obj *passed = queue != NULL ? mp_obj_queue(queue) : mp_obj_none();

        mp_check(mp_process_create(
            &workers[i], work, MP_ARGS(i, batch / who->each, passed), &forked));
        mp_check(mp_process_start(workers[i]));
    }
    while (shared->ready < count)
        mp_sleep(0.0005);
    shared->has_begun = true;
    for (int i = 0; i < count; i++)
        end(workers[i]);
    first = shared->began[0];
    last = shared->ended[0];
    for (int i = 1; i < count; i++) {
        first = shared->began[i] < first ? shared->began[i] : first;
        last = shared->ended[i] > last ? shared->ended[i] : last;
    }
    return last - first;
}

#define CREW(name, put, get, each)                \
    static double name(int batch)                 \
    {                                             \
        static const crew who = {put, get, each}; \
                                                  \
        return run_crew(&who, batch);             \
    }

CREW(pass_bytes, put_bytes, get_bytes, 1)
CREW(pass_among_eight, put_bytes, get_bytes, 4)
CREW(pass_rows, put_many, get_many, 1)
CREW(pass_ints, put_ints, get_ints, 1)
CREW(pass_in_place, put_in_place, get_in_place, 1)
CREW(pass_boost, put_boost, get_boost, 1)
CREW(pass_boost_filled, put_boost_filled, get_boost_summed, 1)

/* -- Beginning and ending -------------------------------------------------- */

static const char *open_shared(void)
{
    shared = bare_shared(sizeof(*shared));
    return shared != NULL ? NULL : "there is no fork";
}

static const char *open_queue(size_t size, size_t waiting)
{
    const char *obstacle = open_shared();

    if (obstacle != NULL)
        return obstacle;
    piece = malloc(size);
    piece_size = size;
    bench_require(piece != NULL, "memory");
    memset(piece, 'x', size);
    mp_check(mp_queue_create(&queue, waiting, NULL));
    return NULL;
}

static void close_queue(void)
{
    bench_require(mp_queue_empty(queue), "nothing is left");
    mp_check(mp_queue_close(queue));
    queue = NULL;
    bare_unshare(shared, sizeof(*shared));
    free(piece);
}

static const char *open_small(void)
{
    return open_queue(SMALL, WAITING);
}

static const char *open_boost(size_t size, size_t waiting)
{
    if (!boost_queue_open(size, waiting))
        return "there is no Boost";
    return open_queue(size, waiting);
}

static const char *open_small_and_boost(void)
{
    return open_boost(SMALL, WAITING);
}

static const char *open_large_and_boost(void)
{
    return open_boost(LARGE, WAITING_LARGE);
}

static void close_boost(void)
{
    close_queue();
    boost_queue_close();
}

/* -- There and back, on one processor -------------------------------------- */

static int answer_bare(mp_args *args)
{
    (void)args;
    bare_answer(shared->words, &shared->is_over);
    return 0;
}

static int answer(mp_args *args)
{
    mp_queue *in = mp_arg_queue(args, 0), *out = mp_arg_queue(args, 1);
    char bytes[SMALL];
    size_t size;

    while (mp_queue_get_bytes_into(in, bytes, SMALL, &size, MP_FOREVER) ==
           MP_OK)
        mp_check(mp_queue_put_bytes(out, bytes, size, MP_FOREVER));
    return 0;
}

static double play(int batch)
{
    char bytes[SMALL] = "there and back again";
    size_t size = 0;
    double began = system_now();

    for (int i = 0; i < batch; i++) {
        mp_check(mp_queue_put_bytes(queues[0], bytes, SMALL, MP_FOREVER));
        mp_check(mp_queue_get_bytes_into(queues[1], bytes, SMALL, &size,
                                         MP_FOREVER));
    }
    began = system_now() - began;
    bench_require(size == SMALL, "what was put comes back");
    return began;
}

static double play_bare(int batch)
{
    double began = system_now();

    bare_play(shared->words, batch);
    return system_now() - began;
}

static const char *open_game(void)
{
    const mp_process_options forked = {.start_method = MP_START_FORK};
    const char *obstacle = open_shared();

    if (obstacle != NULL)
        return obstacle;
    bare_stay(true);
    mp_check(mp_queue_create(&queues[0], 0, NULL));
    mp_check(mp_queue_create(&queues[1], 0, NULL));
    mp_check(mp_process_create(&theirs, answer_bare, MP_ARGS(), &forked));
    mp_check(mp_process_start(theirs));
    mp_check(mp_process_create(&ours, answer, MP_ARGS(queues[0], queues[1]),
                               &forked));
    mp_check(mp_process_start(ours));
    return NULL;
}

static void close_game(void)
{
    shared->is_over = true;
    bare_set(&shared->words[0]);
    mp_check(mp_queue_shutdown(queues[0], false));
    end(theirs);
    end(ours);
    mp_check(mp_queue_close(queues[0]));
    mp_check(mp_queue_close(queues[1]));
    bare_unshare(shared, sizeof(*shared));
    bare_stay(false);
}

/* -- Many small ones in memory --------------------------------------------- */

static size_t most_used; /* bytes */

static const char *open_growing(void)
{
    most_used = 0;
    mp_check(mp_queue_create(&queue, 0, NULL));
    return NULL;
}

static void close_growing(void)
{
    mp_check(mp_queue_close(queue));
    queue = NULL;
}

static double fill(int batch)
{
    size_t before = system_count_memory(), after, size;
    double began = system_now();
    char byte = 'x';

    for (int i = 0; i < batch; i++)
        mp_check(mp_queue_put_bytes(queue, &byte, 1, MP_FOREVER));
    began = system_now() - began;
    after = system_count_memory();
    for (int i = 0; i < batch; i++)
        mp_check(mp_queue_get_bytes_into(queue, &byte, 1, &size, MP_FOREVER));
    bench_require(mp_queue_empty(queue), "all of them were there");
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
     .end = close_queue,
     .ours = pass_bytes},
    {.name = "queue.64.boost",
     .unit = "ns",
     .peer = "boost message_queue",
     .goal = 1 / 1.5,
     .goal_text = "1.5 times as fast",
     .batch = MILLION,
     .peer_batch = MILLION / 2,
     .begin = open_small_and_boost,
     .end = close_boost,
     .ours = pass_bytes,
     .theirs = pass_boost},
    {.name = "queue.64.many",
     .unit = "ns",
     .peer = "one at a time",
     .batch = 2 * MILLION,
     .peer_batch = MILLION,
     .begin = open_small,
     .end = close_queue,
     .ours = pass_rows,
     .theirs = pass_bytes},
    {.name = "queue.64.4x4",
     .unit = "ns",
     .peer = "one and one",
     .goal = 2.0,
     .goal_text = "half as fast",
     .batch = MILLION,
     .begin = open_small,
     .end = close_queue,
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
     .end = close_queue,
     .ours = pass_ints,
     .python = "queue.int"},
    {.name = "queue.64k",
     .unit = "us",
     .peer = "boost message_queue",
     .goal = 1.0,
     .batch = 20000,
     .begin = open_large_and_boost,
     .end = close_boost,
     .ours = pass_bytes,
     .theirs = pass_boost},
    {.name = "queue.64k.in_place",
     .unit = "us",
     .peer = "boost message_queue",
     .goal = 1 / 1.5,
     .goal_text = "1.5 times as fast",
     .batch = 20000,
     .begin = open_large_and_boost,
     .end = close_boost,
     .ours = pass_in_place,
     .theirs = pass_boost_filled},
    {.name = "queue.handover",
     .unit = "us",
     .peer = "futex",
     .goal = 1.3,
     .samples = 31,
     .batch = 1000,
     .begin = open_game,
     .end = close_game,
     .ours = play,
     .theirs = play_bare},
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
