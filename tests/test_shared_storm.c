/* SPDX-License-Identifier: MIT */
/*
 * Kill storms on shared list and shared dict: workers do to one whatever can be
 * done, and one of them is killed every few milliseconds, at any instruction,
 * and replaced. After each kill, whoever is left goes on within a second, every
 * entry is whole, and verify() finds nothing.
 *
 * How many kills there are is for a run of seconds. By hand, for thousands:
 *
 *     STORM_KILLS=10000 test_shared_storm --timeout=3600
 */
#include "support/check.h"
#include "support/methods.h"
#include "support/system.h"

#include "os.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WORKERS = 8,
    KILLS = 300,
    CAPACITY = 64,
    KEYS = 48,
    MOST_BYTES = 400,
    BURST = 400, /* calls */
    LONG = 3600, /* seconds: the time limit of a test, for runs by hand */
};

/* Within a second, and what a busy machine adds. */
static const int64_t longest_allowed = INT64_C(2000000000);

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

static void ok(mp_error err)
{
    cr_assert_eq(err, MP_OK, "%s: %s", mp_error_name(err), mp_error_message());
}

/* -- Chance ---------------------------------------------------------------- */

static uint64_t state;

static uint32_t chance(uint32_t below)
{
    state = state * UINT64_C(6364136223846793005) + 1442695040888963407U;
    return (uint32_t)(state >> 33) % below;
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
    if (where == ANONYMOUS)
        return mp_shared_dict_create(&it->dict, CAPACITY, NULL);
    return where == NAMED
               ? mp_shared_dict_open(&it->dict, place, CAPACITY, NULL)
               : mp_shared_dict_open_file(&it->dict, place, CAPACITY, NULL);
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

typedef struct storm {
    thing thing;
    storage where;
    mp_start_method method;
    char place[SUPPORT_PATH_SIZE];
    mp_process *workers[WORKERS];
    int64_t slowest; /* nanoseconds that the parent had to wait */
    size_t entries;  /* looked at */
} storm;

static size_t kills_wanted(void)
{
    const char *text = getenv("STORM_KILLS");
    size_t count = text == NULL ? 0 : (size_t)strtoul(text, NULL, 10);

    return count > 0 ? count : support_scaled(KILLS);
}

static mp_obj *box(const storm *it)
{
    if (it->where != ANONYMOUS)
        return MP_NONE;
    return it->thing.list != NULL ? MP_BOX(it->thing.list)
                                  : MP_BOX(it->thing.dict);
}

static void start_worker(storm *it, int place)
{
    it->workers[place] = support_start_daemon(
        it->method, work,
        MP_ARGS(box(it), it->thing.list != NULL, (int)it->where,
                (const char *)it->place, (int64_t)(state >> 2)));
    chance(2);
}

static void kill_worker(storm *it, int place)
{
    int code;

    ok(mp_process_kill(it->workers[place]));
    code = support_finish(it->workers[place]);
    cr_assert_eq(code, -9, "a worker ended by itself: %d", code);
}

static void check_list(storm *it)
{
    mp_obj *all = mp_shared_list_snapshot(it->thing.list);
    const mp_obj *entry;
    mp_iter at = {0};

    ok(mp_obj_error(all));
    while (mp_obj_next(all, &at, &entry, NULL)) {
        cr_assert(is_whole(entry, 0), "an entry is torn");
        it->entries++;
    }
    mp_obj_unref(all);
    ok(mp_shared_list_verify(it->thing.list));
}

static void check_dict(storm *it)
{
    mp_obj *all = mp_shared_dict_snapshot(it->thing.dict);
    const mp_obj *key, *entry;
    mp_iter at = {0};

    ok(mp_obj_error(all));
    while (mp_obj_next(all, &at, &key, &entry)) {
        int64_t number = -1;

        ok(mp_obj_as_int(key, &number));
        cr_assert(is_whole(entry, number), "an entry is torn");
        it->entries++;
    }
    mp_obj_unref(all);
    ok(mp_shared_dict_verify(it->thing.dict));
}

static void check(storm *it)
{
    int64_t began = mpos_now();
    int64_t time;

    if (it->thing.list != NULL)
        check_list(it);
    else
        check_dict(it);
    time = mpos_now() - began;
    if (time > it->slowest)
        it->slowest = time;
    cr_assert_lt(time, longest_allowed, "%lld ms", (long long)(time / 1000000));
}

static void begin_storm(storm *it, bool is_list, storage where,
                        const char *folder)
{
    *it = (storm){.where = where, .method = MP_START_SPAWN};
    if (mpos_system.has_fork)
        it->method = MP_START_FORK;
    if (where == NAMED)
        snprintf(it->place, sizeof(it->place), "mp storm %lld",
                 (long long)mp_getpid());
    if (where == IN_A_FILE)
        support_join_path(folder, "thing", it->place);
    ok(mpos_random(&state, sizeof(state)));
    ok(open_thing(&it->thing, is_list, where, it->place));
    for (int i = 0; i < WORKERS; i++)
        start_worker(it, i);
}

/* Whoever comes after all of them finds it whole, and can empty it. */
static void end_storm(storm *it, bool is_list)
{
    for (int i = 0; i < WORKERS; i++)
        kill_worker(it, i);
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

static void run_storm(bool is_list, storage where)
{
    char folder[SUPPORT_PATH_SIZE];
    size_t kills = kills_wanted();
    storm it;

    support_make_folder("mp-storm-", folder);
    begin_storm(&it, is_list, where, folder);
    for (size_t i = 0; i < kills; i++) {
        int place = (int)chance(WORKERS);

        mpos_sleep_until(mpos_now() + (int64_t)chance(4000) * 1000);
        kill_worker(&it, place);
        check(&it);
        start_worker(&it, place);
    }
    end_storm(&it, is_list);
    support_remove_folder(folder);
    fprintf(stderr,
            "%s %s: %zu kills, %zu entries looked at, none waited longer than "
            "%lld ms\n",
            is_list ? "list" : "dict",
            where == ANONYMOUS ? "without a name"
            : where == NAMED   ? "with a name"
                               : "in a file",
            kills, it.entries, (long long)(it.slowest / 1000000));
}

Test(shared_storm, list_without_a_name, .timeout = LONG)
{
    run_storm(true, ANONYMOUS);
}

Test(shared_storm, list_with_a_name, .timeout = LONG)
{
    run_storm(true, NAMED);
}

Test(shared_storm, list_in_a_file, .timeout = LONG)
{
    run_storm(true, IN_A_FILE);
}

Test(shared_storm, dict_without_a_name, .timeout = LONG)
{
    run_storm(false, ANONYMOUS);
}

Test(shared_storm, dict_with_a_name, .timeout = LONG)
{
    run_storm(false, NAMED);
}

Test(shared_storm, dict_in_a_file, .timeout = LONG)
{
    run_storm(false, IN_A_FILE);
}
