/* SPDX-License-Identifier: MIT */
/*
 * Storms on shared list and shared dict: workers do to one whatever can be
 * done. After each kill, whoever is left goes on within a second, every entry
 * is whole, and verify() finds nothing.
 */
#include "torture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WORKERS = 8,
    CAPACITY = 64,
    KEYS = 200, /* so that removed ones crowd the others out, again and again */
    MOST_BYTES = 400,
    DICT_SIZE = 300 * CAPACITY, /* it is full of keys, too, not of bytes only */
    BURST = 400,                /* calls */
};

typedef enum storage {
    ANONYMOUS,
    NAMED,
    IN_A_FILE,
} storage;

/* One of them. */
typedef struct thing {
    mp_shared_list *list;
    mp_shared_dict *dict;
} thing;

/* -- Chance ---------------------------------------------------------------- */

/* A worker's own. */
static uint64_t state;

static uint32_t chance(uint32_t below)
{
    return torture_draw(&state, below);
}

/* -- Entries --------------------------------------------------------------- */

/* Whoever reads one can tell whether it is whole: all follows from `number`,
 * but for the key, which is that of a dict's. */
static unsigned char byte_of(uint32_t number, size_t place)
{
    return (unsigned char)((number * 2654435761U >> 24) + place * 7);
}

static size_t fill(unsigned char *bytes, uint32_t number)
{
    size_t size = number * 40503U % MOST_BYTES;

    memcpy(bytes, &number, sizeof(number));
    for (size_t i = 0; i < size; i++)
        bytes[sizeof(number) + i] = byte_of(number, i);
    return sizeof(number) + size;
}

/* In the three ways that things are written down. */
static mp_obj *make_entry(int64_t key)
{
    unsigned char bytes[sizeof(uint32_t) + MOST_BYTES];
    uint32_t number = chance(1U << 30);
    size_t size = fill(bytes, number);

    switch (number % 3) {
    case 0:
        return mp_obj_int((int64_t)number << 32 | (number ^ 0x5a5a5a5a));
    case 1:
        return MP_BYTES(bytes, size);
    default:
        return MP_TUPLE(key, MP_BYTES(bytes, size), MP_LIST(number, "end"));
    }
}

static bool int_is_whole(const mp_obj *entry)
{
    int64_t value = 0;

    return mp_obj_as_int(entry, &value) == MP_OK &&
           (uint32_t)(value >> 32) == ((uint32_t)value ^ 0x5a5a5a5a);
}

static bool bytes_are_whole(const mp_obj *entry, uint32_t *number)
{
    unsigned char expected[sizeof(uint32_t) + MOST_BYTES];
    const void *bytes;
    size_t size = 0;

    if (mp_obj_as_bytes(entry, &bytes, &size) != MP_OK ||
        size < sizeof(*number))
        return false;
    memcpy(number, bytes, sizeof(*number));
    return fill(expected, *number) == size &&
           memcmp(expected, bytes, size) == 0;
}

static bool tuple_is_whole(const mp_obj *entry, int64_t key)
{
    const mp_obj *item, *end;
    uint32_t number;
    int64_t found = 0;

    if (mp_obj_item(entry, 0, &item) != MP_OK ||
        mp_obj_as_int(item, &found) != MP_OK || found != key ||
        mp_obj_item(entry, 1, &item) != MP_OK ||
        !bytes_are_whole(item, &number))
        return false;
    return mp_obj_item(entry, 2, &end) == MP_OK &&
           mp_obj_item(end, 0, &item) == MP_OK &&
           mp_obj_as_int(item, &found) == MP_OK && found == number;
}

static bool is_whole(const mp_obj *entry, int64_t key)
{
    uint32_t number;

    switch (mp_obj_type(entry)) {
    case MP_TYPE_INT:
        return int_is_whole(entry);
    case MP_TYPE_BYTES:
        return bytes_are_whole(entry, &number);
    default:
        return tuple_is_whole(entry, key);
    }
}

/* -- Workers --------------------------------------------------------------- */

/* These may be answered; what is damaged, or stays locked, may not. */
static void expect(mp_error err)
{
    if (err != MP_ENOSPC && err != MP_EINDEX && err != MP_EKEY &&
        err != MP_ETYPE && err != MP_ENOTFOUND)
        mp_check(err);
}

static void expect_whole(mp_obj *entry, int64_t key)
{
    expect(mp_obj_error(entry));
    if (mp_obj_error(entry) == MP_OK && !is_whole(entry, key)) {
        fprintf(stderr, "an entry is torn: ");
        mp_obj_print(entry);
        exit(1);
    }
    mp_obj_unref(entry);
}

static void change_whole_list(mp_shared_list *list)
{
    switch (chance(4)) {
    case 0:
        expect(mp_shared_list_sort(list)); /* MP_ETYPE as a rule */
        return;
    case 1:
        expect(mp_shared_list_clear(list));
        return;
    case 2:
        expect(mp_shared_list_extend(
            list, MP_LIST(make_entry(0), make_entry(0), make_entry(0))));
        return;
    default:
        expect(mp_shared_list_reverse(list));
        return;
    }
}

static void use_list(mp_shared_list *list)
{
    int64_t index = (int64_t)chance(CAPACITY) - CAPACITY / 2;

    switch (chance(10)) {
    case 0:
    case 1:
        expect(mp_shared_list_append(list, make_entry(0)));
        return;
    case 2:
    case 3:
        expect(mp_shared_list_insert(list, index, make_entry(0)));
        return;
    case 4:
        expect(mp_shared_list_set(list, index, make_entry(0)));
        return;
    case 5:
        expect_whole(mp_shared_list_pop(list, -1), 0);
        return;
    case 6:
        expect_whole(mp_shared_list_pop(list, index), 0);
        return;
    case 7:
        expect(mp_shared_list_delete(list, index));
        return;
    case 8:
        expect_whole(mp_shared_list_get(list, index), 0);
        return;
    default:
        if (chance(4) == 0)
            change_whole_list(list);
        return;
    }
}

static void use_dict(mp_shared_dict *dict)
{
    int64_t key = chance(KEYS);

    switch (chance(8)) {
    case 0:
    case 1:
    case 2:
        expect(mp_shared_dict_set(dict, MP_BOX(key), make_entry(key)));
        return;
    case 3:
        expect_whole(mp_shared_dict_pop(dict, MP_BOX(key)), key);
        return;
    case 4:
        expect(mp_shared_dict_delete(dict, MP_BOX(key)));
        return;
    case 5:
        expect_whole(mp_shared_dict_get(dict, MP_BOX(key)), key);
        return;
    case 6:
        expect_whole(
            mp_shared_dict_setdefault(dict, MP_BOX(key), make_entry(key)), key);
        return;
    default:
        if (chance(64) == 0)
            expect(mp_shared_dict_clear(dict));
        expect(mp_shared_dict_update(
            dict, MP_DICT(key, make_entry(key), (key + 1) % KEYS,
                          make_entry((key + 1) % KEYS))));
        return;
    }
}

/* -- Finding it ------------------------------------------------------------ */

static mp_error open_list(thing *it, storage where, const char *place)
{
    if (where == ANONYMOUS)
        return mp_shared_list_create(&it->list, CAPACITY, NULL);
    return where == NAMED
               ? mp_shared_list_open(&it->list, place, CAPACITY, NULL)
               : mp_shared_list_open_file(&it->list, place, CAPACITY, NULL);
}

static mp_error open_dict(thing *it, storage where, const char *place)
{
    const mp_shared_options options = {.size = DICT_SIZE};

    if (where == ANONYMOUS)
        return mp_shared_dict_create(&it->dict, CAPACITY, &options);
    return where == NAMED
               ? mp_shared_dict_open(&it->dict, place, CAPACITY, &options)
               : mp_shared_dict_open_file(&it->dict, place, CAPACITY, &options);
}

static mp_error open_thing(thing *it, bool is_list, storage where,
                           const char *place)
{
    *it = (thing){NULL, NULL};
    return is_list ? open_list(it, where, place) : open_dict(it, where, place);
}

static mp_error close_thing(thing *it)
{
    return it->list != NULL ? mp_shared_list_close(it->list)
                            : mp_shared_dict_close(it->dict);
}

/* (the thing or None, is it a list, where, the name or path, a seed) */
static int work(mp_args *args)
{
    const mp_obj *passed = mp_arg_obj(args, 0);
    bool is_list = mp_arg_int(args, 1) != 0;
    storage where = (storage)mp_arg_int(args, 2);
    thing it = {NULL, NULL};

    state = (uint64_t)mp_arg_int(args, 4);
    if (where != ANONYMOUS)
        mp_check(open_thing(&it, is_list, where, mp_arg_str(args, 3)));
    else if (is_list)
        mp_check(mp_obj_as_shared_list(passed, &it.list));
    else
        mp_check(mp_obj_as_shared_dict(passed, &it.dict));
    for (;;) {
        for (uint32_t n = chance(BURST); n > 0; n--) {
            if (it.list != NULL)
                use_list(it.list);
            else
                use_dict(it.dict);
        }
        mp_sleep(0.0005); /* or nobody else would get a processor */
    }
}

/* -- The storm ------------------------------------------------------------- */

typedef struct tempest {
    thing thing;
    storage where;
    const storm_round *round;
    char place[SUPPORT_PATH_SIZE];
    mp_process *workers[WORKERS];
} tempest;

static mp_obj *box(const tempest *it)
{
    if (it->where != ANONYMOUS)
        return MP_NONE;
    return it->thing.list != NULL ? MP_BOX(it->thing.list)
                                  : MP_BOX(it->thing.dict);
}

static void start_worker(tempest *it, int place)
{
    it->workers[place] =
        torture_start(it->round->method, work,
                      MP_ARGS(box(it), it->thing.list != NULL, (int)it->where,
                              (const char *)it->place, torture_seed()));
}

static void check_list(tempest *it)
{
    mp_obj *all = mp_shared_list_snapshot(it->thing.list);
    const mp_obj *entry;
    mp_iter at = {0};

    ok(mp_obj_error(all));
    while (mp_obj_next(all, &at, &entry, NULL)) {
        cr_assert(is_whole(entry, 0), "an entry is torn");
        torture_checked(1);
    }
    mp_obj_unref(all);
    ok(mp_shared_list_verify(it->thing.list));
}

static void check_dict(tempest *it)
{
    mp_obj *all = mp_shared_dict_snapshot(it->thing.dict);
    const mp_obj *key, *entry;
    mp_iter at = {0};

    ok(mp_obj_error(all));
    while (mp_obj_next(all, &at, &key, &entry)) {
        int64_t number = -1;

        ok(mp_obj_as_int(key, &number));
        cr_assert(is_whole(entry, number), "an entry is torn");
        torture_checked(1);
    }
    mp_obj_unref(all);
    ok(mp_shared_dict_verify(it->thing.dict));
}

static void check(tempest *it)
{
    int64_t began = mpos_now();

    if (it->thing.list != NULL)
        check_list(it);
    else
        check_dict(it);
    torture_recovered(mpos_now() - began);
}

static void begin_storm(tempest *it, bool is_list, storage where,
                        const char *folder)
{
    if (where == NAMED)
        torture_name(it->place);
    if (where == IN_A_FILE)
        support_join_path(folder, "thing", it->place);
    ok(open_thing(&it->thing, is_list, where, it->place));
    for (int i = 0; i < WORKERS; i++)
        start_worker(it, i);
}

/* Whoever comes after all of them finds it whole, and can empty it. */
static void end_storm(tempest *it, bool is_list)
{
    for (int i = 0; i < WORKERS; i++)
        torture_kill(it->workers[i], "worker");
    check(it);
    if (it->where == IN_A_FILE) {
        ok(close_thing(&it->thing));
        ok(open_thing(&it->thing, is_list, it->where, it->place));
        check(it);
    }
    ok(is_list ? mp_shared_list_clear(it->thing.list)
               : mp_shared_dict_clear(it->thing.dict));
    check(it);
    if (it->where == NAMED)
        ok(mp_named_unlink(it->place));
    ok(close_thing(&it->thing));
}

static void run_storm(const storm_round *round, bool is_list, storage where)
{
    tempest it = {.where = where, .round = round};
    char folder[SUPPORT_PATH_SIZE];

    support_make_folder("mp-storm-", folder);
    begin_storm(&it, is_list, where, folder);
    for (int i = 0; i < round->kills; i++) {
        int place = (int)torture_chance(WORKERS);

        torture_linger(1);
        torture_waits_for("kill %d of %d", i + 1, round->kills);
        torture_kill(it.workers[place], "worker");
        check(&it);
        start_worker(&it, place);
    }
    end_storm(&it, is_list);
    support_remove_folder(folder);
}

static void list_in_memory(const storm_round *round)
{
    run_storm(round, true, ANONYMOUS);
}

static void list_in_name(const storm_round *round)
{
    run_storm(round, true, NAMED);
}

static void list_in_file(const storm_round *round)
{
    run_storm(round, true, IN_A_FILE);
}

static void dict_in_memory(const storm_round *round)
{
    run_storm(round, false, ANONYMOUS);
}

static void dict_in_name(const storm_round *round)
{
    run_storm(round, false, NAMED);
}

static void dict_in_file(const storm_round *round)
{
    run_storm(round, false, IN_A_FILE);
}

#define LIST_HOLDS "users of a shared list: every entry is whole, verify()"
#define DICT_HOLDS "users of a shared dict: every entry is whole, verify()"

const storm torture_shared[] = {
    {"list/memory", LIST_HOLDS, 15, NULL, list_in_memory},
    {"list/name", LIST_HOLDS " (with a name)", 15, NULL, list_in_name},
    {"list/file", LIST_HOLDS " (in a file)", 15, NULL, list_in_file},
    {"dict/memory", DICT_HOLDS, 15, NULL, dict_in_memory},
    {"dict/name", DICT_HOLDS " (with a name)", 15, NULL, dict_in_name},
    {"dict/file", DICT_HOLDS " (in a file)", 15, NULL, dict_in_file},
    {.name = NULL},
};
