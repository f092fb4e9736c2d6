/* SPDX-License-Identifier: MIT */
/* Shared dict and list that nobody else uses. */
#include "bench.h"
#include "system.h"

#include <multiproc.h>

#include <stdlib.h>

enum {
    SAMPLES = 21,
    OFTEN = 200000,
    PYTHON_OFTEN = 1000,
    KEYS = 1000,
    MILLION = 1000000,
    PRIME = 7919, /* so that keys don't come in the order of insertion */
};

static const char value[16] = "sixteen bytes...";

static mp_shared_dict *dict;  /* of KEYS keys */
static mp_shared_dict *large; /* of a MILLION */
static mp_shared_list *list;

/* "k" and seven digits; by hand, since printf() takes as long as a set(). */
static mp_obj *make_key(int number)
{
    char text[] = "k0000000";

    for (int at = 7; number > 0; at--, number /= 10)
        text[at] = (char)('0' + number % 10);
    return mp_obj_str(text);
}

static void fill(mp_shared_dict *it, int count)
{
    for (int i = 0; i < count; i++)
        mp_check(mp_shared_dict_set(it, make_key(i),
                                    MP_BYTES(value, sizeof(value))));
}

static const char *open_dict(void)
{
    mp_check(mp_shared_dict_create(&dict, KEYS, NULL));
    fill(dict, KEYS);
    return NULL;
}

static void close_dict(void)
{
    mp_check(mp_shared_dict_verify(dict));
    mp_check(mp_shared_dict_close(dict));
}

/* -- Getting and setting --------------------------------------------------- */

/* The keys are there already, as they are in Python's loop. */
static mp_obj **make_keys(int count)
{
    mp_obj **keys = calloc((size_t)count, sizeof(mp_obj *));

    bench_require(keys != NULL, "memory");
    for (int i = 0; i < count; i++)
        keys[i] = make_key((int)((int64_t)i * PRIME % count));
    return keys;
}

static void free_keys(mp_obj **keys, int count)
{
    for (int i = 0; i < count; i++)
        mp_obj_unref(keys[i]);
    free(keys);
}

static double get_from(mp_shared_dict *it, int count, int batch)
{
    mp_obj **keys = make_keys(count);
    size_t found = 0;
    double began = system_now();

    for (int i = 0; i < batch; i++) {
        mp_obj *got = mp_shared_dict_get(it, mp_obj_ref(keys[i % count]));

        found += mp_obj_type(got) == MP_TYPE_BYTES;
        mp_obj_unref(got);
    }
    began = system_now() - began;
    bench_require(found == (size_t)batch, "all keys are there");
    free_keys(keys, count);
    return began;
}

static double set_in(mp_shared_dict *it, int count, int batch)
{
    mp_obj **keys = make_keys(count);
    int failures = 0;
    double began = system_now();

    for (int i = 0; i < batch; i++)
        failures |= mp_shared_dict_set(it, mp_obj_ref(keys[i % count]),
                                       MP_BYTES(value, sizeof(value)));
    began = system_now() - began;
    bench_require(failures == 0, "there is room");
    free_keys(keys, count);
    return began;
}

static double repeat_get(int batch)
{
    return get_from(dict, KEYS, batch);
}

static double repeat_set(int batch)
{
    return set_in(dict, KEYS, batch);
}

/* -- A million ------------------------------------------------------------- */

static const char *open_large(void)
{
    mp_check(mp_shared_dict_create(&large, MILLION, NULL));
    return open_dict();
}

static const char *open_full(void)
{
    const char *obstacle = open_large();

    fill(large, MILLION);
    return obstacle;
}

static void close_large(void)
{
    mp_check(mp_shared_dict_verify(large));
    mp_check(mp_shared_dict_close(large));
    close_dict();
}

static double fill_large(int batch)
{
    double began;

    mp_check(mp_shared_dict_clear(large));
    began = system_now();
    fill(large, batch);
    return system_now() - began;
}

static double fill_small(int batch)
{
    double seconds = 0;

    for (int i = 0; i < batch; i += KEYS) {
        double began;

        mp_check(mp_shared_dict_clear(dict));
        began = system_now();
        fill(dict, KEYS);
        seconds += system_now() - began;
    }
    return seconds;
}

static double get_from_large(int batch)
{
    return get_from(large, MILLION, batch);
}

static double get_from_small(int batch)
{
    return get_from(dict, KEYS, batch);
}

/* -- The list -------------------------------------------------------------- */

static const char *open_list(void)
{
    mp_check(mp_shared_list_create(&list, OFTEN, NULL));
    return NULL;
}

static void close_list(void)
{
    mp_check(mp_shared_list_verify(list));
    mp_check(mp_shared_list_close(list));
}

static double repeat_append(int batch)
{
    int failures = 0;
    double began;

    mp_check(mp_shared_list_clear(list));
    began = system_now();
    for (int i = 0; i < batch; i++)
        failures |= mp_shared_list_append(list, MP_BYTES(value, sizeof(value)));
    began = system_now() - began;
    bench_require(failures == 0 && mp_shared_list_length(list) == (size_t)batch,
                  "all items are there");
    return began;
}

#define OWN_ROW(row_name, repeat)                              \
    {                                                          \
        .name = row_name, .unit = "ns", .goal_text = "300 ns", \
        .limit = 300e-9, .samples = SAMPLES, .batch = OFTEN,   \
        .begin = open_dict, .end = close_dict, .ours = repeat  \
    }
#define PYTHON_ROW(row_name, open, close, repeat, command)              \
    {                                                                   \
        .name = row_name, .unit = "ns", .peer = "python", .goal = 0.02, \
        .goal_text = "50 times as fast", .batch = OFTEN,                \
        .peer_batch = PYTHON_OFTEN, .begin = open, .end = close,        \
        .ours = repeat, .python = command                               \
    }

static const bench_row rows[] = {
    OWN_ROW("shared_dict.get", repeat_get),
    OWN_ROW("shared_dict.set", repeat_set),
    PYTHON_ROW("shared_dict.get.python", open_dict, close_dict, repeat_get,
               "shared_dict.get"),
    PYTHON_ROW("shared_dict.set.python", open_dict, close_dict, repeat_set,
               "shared_dict.set"),
    {.name = "shared_dict.million",
     .unit = "ns",
     .peer = "a thousand",
     .goal = 3.0,
     .goal_text = "3 times that of a thousand",
     .batch = MILLION,
     .peer_batch = 100 * KEYS,
     .begin = open_large,
     .end = close_large,
     .ours = fill_large,
     .theirs = fill_small},
    {.name = "shared_dict.million.get",
     .unit = "ns",
     .peer = "a thousand",
     .batch = MILLION,
     .peer_batch = OFTEN,
     .begin = open_full,
     .end = close_large,
     .ours = get_from_large,
     .theirs = get_from_small},
    PYTHON_ROW("shared_list.append.python", open_list, close_list,
               repeat_append, "shared_list.append"),
};

const bench_table bench_shared_rows = {rows, sizeof(rows) / sizeof(rows[0])};
