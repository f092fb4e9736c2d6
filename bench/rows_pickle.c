/* SPDX-License-Identifier: MIT */
/* Objects to bytes and back. On the processor that Python's rows are on, since
 * one that shares its core with somebody else has little more than half the
 * speed. */
#include "bare.h"
#include "bench.h"
#include "python.h"
#include "system.h"

#include <multiproc.h>

#include <stdlib.h>

enum { MILLION = 1000000 };

static mp_obj *object;
static void *pickled;
static size_t pickled_size;

static void settle(void)
{
    python_is_present(); /* whose other rows may use all processors */
    bare_stay(true);
}

static void drop(void)
{
    bare_stay(false);
    mp_obj_unref(object);
    free(pickled);
    object = NULL;
    pickled = NULL;
}

static mp_obj *count_up_to(int end)
{
    mp_obj *list = mp_obj_list(NULL, 0);

    for (int i = 0; i < end; i++)
        mp_check(mp_obj_append(list, mp_obj_int(i)));
    return list;
}

/* -- Small ----------------------------------------------------------------- */

static const char *make_small(void)
{
    settle();
    object = MP_LIST(42, MP_NONE, "hello", 3.14, MP_DICT("k", count_up_to(10)));
    mp_check(mp_obj_error(object));
    return NULL;
}

static double roundtrip(int batch)
{
    mp_obj *back = NULL;
    double began = system_now();

    for (int i = 0; i < batch; i++) {
        mp_obj_unref(back);
        mp_check(mp_pickle_dumps(object, &pickled, &pickled_size));
        mp_check(mp_pickle_loads(pickled, pickled_size, &back));
        free(pickled);
    }
    began = system_now() - began;
    pickled = NULL;
    bench_require(mp_obj_equal(object, back), "what comes back is equal");
    mp_obj_unref(back);
    return began;
}

/* -- A million ------------------------------------------------------------- */

static const char *make_million(void)
{
    settle();
    object = count_up_to(MILLION);
    mp_check(mp_pickle_dumps(object, &pickled, &pickled_size));
    return NULL;
}

static double load_million(int batch)
{
    double began = system_now();

    for (int i = 0; i < batch; i++) {
        const mp_obj *last;
        mp_obj *back;
        int64_t value;
        size_t count;

        mp_check(mp_pickle_loads(pickled, pickled_size, &back));
        mp_check(mp_obj_len(back, &count));
        bench_require(count == MILLION, "a million came back");
        mp_check(mp_obj_item(back, MILLION - 1, &last));
        mp_check(mp_obj_as_int(last, &value));
        bench_require(value == MILLION - 1, "the last one is right");
        mp_obj_unref(back);
    }
    return system_now() - began;
}

static double dump_million(int batch)
{
    double began = system_now();

    for (int i = 0; i < batch; i++) {
        void *data;
        size_t size;

        mp_check(mp_pickle_dumps(object, &data, &size));
        bench_require(size == pickled_size, "the pickle has its size");
        free(data);
    }
    return system_now() - began;
}

/* -- The rows -------------------------------------------------------------- */

static const bench_row rows[] = {
    {.name = "pickle.roundtrip",
     .unit = "us",
     .peer = "python3",
     .goal = 1.0 / 3,
     .goal_text = "<=1/3",
     .samples = 41,
     .batch = 10000,
     .begin = make_small,
     .end = drop,
     .ours = roundtrip,
     .python = "pickle.roundtrip"},
    {.name = "pickle.load.million",
     .unit = "ms",
     .peer = "python3",
     .goal = 1,
     .goal_text = "<=1",
     .samples = 15,
     .batch = 1,
     .begin = make_million,
     .end = drop,
     .ours = load_million,
     .python = "pickle.load.million"},
    {.name = "pickle.dump.million",
     .unit = "ms",
     .peer = "python3",
     .samples = 15,
     .batch = 1,
     .begin = make_million,
     .end = drop,
     .ours = dump_million,
     .python = "pickle.dump.million"},
};

const bench_table bench_pickle_rows = {rows, sizeof(rows) / sizeof(rows[0])};
