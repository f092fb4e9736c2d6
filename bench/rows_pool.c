/* SPDX-License-Identifier: MIT */
/*
 * Pools. Each row has one pool, which is made before the first sample, and
 * lists of items that are made before each: what is timed is from the call of
 * map() or apply() to its return. Both sides start their workers by spawn.
 */
#include "bare.h"
#include "bench.h"
#include "child.h"
#include "python.h"
#include "system.h"

#include <multiproc.h>

#include <stdlib.h>
#include <string.h>

enum {
    WORKERS = 2,
    CROWD = 8,
    SAMPLES = 11,
    MILLION = 1000000,
    /* A turn of a map with chunksize 1, a turn of one with large chunks. */
    SINGLE_ITEMS = 200000,
    CHUNKED_ITEMS = 2 * MILLION,
    /* Some milliseconds of work: 64 of them are half a second. */
    ROUNDS = 4 * MILLION,
    JOBS = 64,
    LARGE = 1 << 20, /* bytes */
    LARGE_ITEMS = 64,
};

static mp_pool *pool;

/* -- What workers do ------------------------------------------------------- */

static mp_obj *do_nothing(mp_args *args)
{
    (void)args;
    return MP_NONE;
}

static mp_obj *give_back(mp_args *args)
{
    return mp_obj_ref(mp_arg_obj(args, 0));
}

/* Marsaglia's xorshift: a compiler finds no short cut through that. */
static uint64_t xorshift(uint64_t state)
{
    for (int i = 0; i < ROUNDS; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
    }
    return state >> 1;
}

/* The same code wherever it is called: copies of it that were inlined have
 * differed by a factor of two. */
static uint64_t (*volatile compute)(uint64_t state) = xorshift;

static mp_obj *compute_one(mp_args *args)
{
    return MP_BOX(compute((uint64_t)mp_arg_int(args, 0)));
}

/* The initializer of pool.start: tells that it was reached. */
static int arrive(mp_args *args)
{
    mp_fetch_add(MP_VALUE(mp_arg_value(args, 0), int), 1);
    return 0;
}

/* -- Beginning and ending -------------------------------------------------- */

static mp_obj *numbers(int count)
{
    mp_obj *list = MP_LIST();

    for (int i = 0; i < count; i++)
        mp_check(mp_obj_append(list, MP_BOX(i + 1)));
    return list;
}

static void open_pool_of(size_t workers)
{
    mp_obj *results;

    mp_check(mp_pool_create(&pool, workers, NULL));
    mp_check(mp_pool_map(pool, do_nothing, numbers(CROWD), 1, &results));
    mp_obj_unref(results);
}

static const char *open_pool(void)
{
    open_pool_of(WORKERS);
    return NULL;
}

static const char *open_pair(void)
{
    return mp_cpu_count() >= WORKERS ? open_pool() : "there is one processor";
}

static void close_pool(void)
{
    mp_check(mp_pool_close(pool));
    mp_check(mp_pool_join(pool, MP_FOREVER));
    mp_check(mp_pool_destroy(pool));
    pool = NULL;
}

/* -- map() ----------------------------------------------------------------- */

static const mp_obj *last_of(const mp_obj *results, int count)
{
    const mp_obj *last;
    size_t length = 0;

    mp_check(mp_obj_len(results, &length));
    bench_require(length == (size_t)count, "there is a result for each item");
    mp_check(mp_obj_item(results, -1, &last));
    return last;
}

static double map_nothing(int batch, size_t chunksize)
{
    mp_obj *items = numbers(batch), *results;
    double began = system_now();

    mp_check(mp_pool_map(pool, do_nothing, items, chunksize, &results));
    began = system_now() - began;
    bench_require(mp_obj_is_none(last_of(results, batch)),
                  "the last result is None");
    mp_obj_unref(results);
    return began;
}

static double map_singly(int batch)
{
    return map_nothing(batch, 1);
}

static double map_in_chunks(int batch)
{
    return map_nothing(batch, 0);
}

static double map_large(int batch)
{
    char *bytes = malloc(LARGE);
    mp_obj *items = MP_LIST(), *results;
    const void *data;
    double began;
    size_t size;

    bench_require(bytes != NULL, "memory");
    memset(bytes, 'x', LARGE);
    for (int i = 0; i < batch; i++)
        mp_check(mp_obj_append(items, MP_BYTES(bytes, LARGE)));
    began = system_now();
    mp_check(mp_pool_map(pool, give_back, items, 0, &results));
    began = system_now() - began;
    mp_check(mp_obj_as_bytes(last_of(results, batch), &data, &size));
    bench_require(size == LARGE && memcmp(data, bytes, LARGE) == 0,
                  "what went there comes back");
    mp_obj_unref(results);
    free(bytes);
    return began;
}

/* -- Work for processors --------------------------------------------------- */

static double work_together(int batch)
{
    mp_obj *items = numbers(batch), *results;
    double began = system_now();
    int64_t value;

    mp_check(mp_pool_map(pool, compute_one, items, 1, &results));
    began = system_now() - began;
    mp_check(mp_obj_as_int(last_of(results, batch), &value));
    bench_require((uint64_t)value == compute((uint64_t)batch),
                  "workers compute the same");
    mp_obj_unref(results);
    return began;
}

static double work_alone(int batch)
{
    double began = system_now();
    uint64_t all = 0;

    for (int i = 0; i < batch; i++)
        all |= compute((uint64_t)i + 1);
    began = system_now() - began;
    bench_require(all != 0, "it is computed");
    return began;
}

/* -- There and back, on one processor -------------------------------------- */

static struct shared {
    _Atomic uint32_t words[2];
    bool is_over;
} * shared;

static mp_process *theirs;

static int answer_bare(mp_args *args)
{
    (void)args;
    bare_answer(shared->words, &shared->is_over);
    return 0;
}

static double play_bare(int batch)
{
    double began = system_now();

    bare_play(shared->words, batch);
    return system_now() - began;
}

static double apply(int batch)
{
    mp_obj *result = NULL;
    double began = system_now();
    int64_t value;

    for (int i = 0; i < batch; i++) {
        mp_obj_unref(result);
        mp_check(mp_pool_apply(pool, give_back, MP_ARGS(i), &result));
    }
    began = system_now() - began;
    mp_check(mp_obj_as_int(result, &value));
    bench_require(value == batch - 1, "what went there comes back");
    mp_obj_unref(result);
    return began;
}

static const char *open_court(void)
{
    python_is_present(); /* whose other rows may use all processors */
    bare_stay(true);
    return open_pool();
}

static void close_court(void)
{
    close_pool();
    bare_stay(false);
}

static const char *open_game(void)
{
    shared = bare_shared(sizeof(*shared));
    if (shared == NULL)
        return "there is no futex";
    bare_stay(true);
    theirs = child_start(MP_START_FORK, answer_bare, NULL);
    return open_pool();
}

static void close_game(void)
{
    shared->is_over = true;
    bare_set(&shared->words[0]);
    child_end(theirs);
    bare_unshare(shared, sizeof(*shared));
    close_court();
}

/* -- Starting, and doing nothing ------------------------------------------- */

/* Both from the first call until the last of eight has ended. */
static double start_pool(int batch)
{
    double began, seconds = 0;

    for (int i = 0; i < batch; i++) {
        mp_pool_options options = {.initializer = arrive};
        mp_value *arrived;

        mp_check(mp_value_create(&arrived, MP_CTYPE(int), NULL, NULL));
        options.initargs = MP_ARGS(arrived);
        began = system_now();
        mp_check(mp_pool_create(&pool, CROWD, &options));
        close_pool();
        seconds += system_now() - began;
        bench_require(*MP_VALUE(arrived, int) == CROWD,
                      "all workers were there");
        mp_check(mp_value_close(arrived));
    }
    return seconds;
}

static double start_processes(int batch)
{
    return child_spawn(CROWD * batch);
}

static const char *open_crowd(void)
{
    open_pool_of(CROWD);
    mp_sleep(0.5);
    return NULL;
}

/* Of all workers, and of this process, in seconds. */
static double cpu_time(void)
{
    mp_worker_stats workers[CROWD];
    mp_pool_stats stats;
    double sum = bare_cpu_time(mp_getpid());

    mp_check(mp_pool_get_stats(pool, &stats, workers, CROWD));
    bench_require(stats.workers == CROWD, "all workers are there");
    for (int i = 0; i < CROWD; i++)
        sum += bare_cpu_time(workers[i].pid);
    return sum;
}

/* What part of a processor it uses. */
static double stay_idle(int batch)
{
    double used = cpu_time();
    double began = system_now();

    mp_sleep(2);
    used = cpu_time() - used;
    began = system_now() - began;
    return used / began * batch;
}

/* -- The rows -------------------------------------------------------------- */

static const bench_row rows[] = {
    {.name = "pool.map.chunk1",
     .unit = "ns",
     .peer = "python",
     .goal = 1.0 / 20,
     .limit = 1000e-9,
     .goal_text = "1 us, and 20 times as fast",
     .samples = SAMPLES,
     .batch = SINGLE_ITEMS,
     .peer_batch = SINGLE_ITEMS / 10,
     .begin = open_pool,
     .end = close_pool,
     .ours = map_singly,
     .python = "pool.map.chunk1"},
    {.name = "pool.map.auto",
     .unit = "ns",
     .peer = "python",
     .limit = 50e-9,
     .goal_text = "50 ns",
     .samples = SAMPLES,
     .batch = CHUNKED_ITEMS,
     .begin = open_pool,
     .end = close_pool,
     .ours = map_in_chunks,
     .python = "pool.map.auto"},
    {.name = "pool.map.large",
     .unit = "us",
     .peer = "python",
     .batch = LARGE_ITEMS,
     .begin = open_pool,
     .end = close_pool,
     .ours = map_large,
     .python = "pool.map.large"},
    {.name = "pool.apply",
     .unit = "us",
     .peer = "futex",
     .goal = 2.0,
     .samples = 31,
     .batch = 1000,
     .begin = open_game,
     .end = close_game,
     .ours = apply,
     .theirs = play_bare},
    {.name = "pool.apply.python",
     .unit = "us",
     .peer = "python",
     .goal = 1.0 / 6,
     .goal_text = "6 times as fast",
     .batch = 1000,
     .begin = open_court,
     .end = close_court,
     .ours = apply,
     .python = "pool.apply"},
    {.name = "pool.apply.free",
     .unit = "us",
     .peer = "python",
     .batch = 5000,
     .peer_batch = 1000,
     .begin = open_pool,
     .end = close_pool,
     .ours = apply,
     .python = "pool.apply.free"},
    {.name = "pool.cpu",
     .unit = "ms",
     .peer = "one process",
     .goal = 1 / 1.9,
     .goal_text = "1.9 times as fast",
     .batch = JOBS,
     .begin = open_pair,
     .end = close_pool,
     .ours = work_together,
     .theirs = work_alone},
    {.name = "pool.start.8",
     .unit = "ms",
     .peer = "8 spawns",
     .goal = 1.0,
     .samples = 31,
     .batch = 1,
     .ours = start_pool,
     .theirs = start_processes},
    {.name = "pool.idle.8",
     .unit = "%",
     /* Looking takes some microseconds itself. */
     .goal_text = "under 0.01 % of a core",
     .limit = 1e-4,
     .samples = 7,
     .batch = 1,
     .begin = open_crowd,
     .end = close_pool,
     .ours = stay_idle},
};

const bench_table bench_pool_rows = {rows, sizeof(rows) / sizeof(rows[0])};
