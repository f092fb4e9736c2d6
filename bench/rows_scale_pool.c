/* SPDX-License-Identifier: MIT */
/*
 * One pool of 1 to 64 workers: a map of an empty task, each item a chunk of its
 * own. Both sides fork their workers, which is not timed, since to spawn 64 of
 * Python's for each sample would take minutes.
 */
#include "bench.h"
#include "system.h"

#include <multiproc.h>

enum { ITEMS = 50000, PYTHON_ITEMS = 5000 };

static mp_pool *pool;

static mp_obj *do_nothing(mp_args *args)
{
    (void)args;
    return MP_NONE;
}

static double map_nothing(int batch)
{
    mp_obj *items = MP_LIST(), *results;
    size_t length = 0;
    double began;

    for (int i = 0; i < batch; i++)
        mp_check(mp_obj_append(items, MP_BOX(i)));
    began = system_now();
    mp_check(mp_pool_map(pool, do_nothing, items, 1, &results));
    began = system_now() - began;
    mp_check(mp_obj_len(results, &length));
    bench_require(length == (size_t)batch, "there is a result for each item");
    mp_obj_unref(results);
    return began;
}

static const char *open_pool(void)
{
    const mp_pool_options forked = {.start_method = MP_START_FORK};

    if (mp_pool_create(&pool, (size_t)bench_scale(), &forked) != MP_OK)
        return "there is no fork";
    map_nothing(bench_scale());
    return NULL;
}

static void close_pool(void)
{
    mp_check(mp_pool_close(pool));
    mp_check(mp_pool_join(pool, MP_FOREVER));
    mp_check(mp_pool_destroy(pool));
}

#define ROW(number)                                                          \
    {                                                                        \
        .name = "scale.pool.python." #number, .unit = "ns", .scale = number, \
        .samples = 7, .batch = ITEMS, .peer_batch = PYTHON_ITEMS,            \
        .begin = open_pool, .end = close_pool, .ours = map_nothing,          \
        .python = "scale.pool:" #number                                      \
    }

static const bench_row rows[] = {
    ROW(1), ROW(2), ROW(4), ROW(8), ROW(16), ROW(32), ROW(64),
};

const bench_table bench_scale_pool_rows = {rows,
                                           sizeof(rows) / sizeof(rows[0])};
