/* SPDX-License-Identifier: MIT */
/*
 * Kill storms on a Value with its lock, and on an Array in a file that grows:
 * one of eight workers is killed every few milliseconds, at any instruction,
 * and replaced. After each kill all is looked at: what the lock protects is
 * whole, or whoever acquires it is told. By hand, for thousands of kills:
 *
 *     STORM_KILLS=10000 test_value_storm --timeout=3600 \
 *         --filter=value_storm_fork/a_value_is_whole_or_its_breaking_is_told
 */
#include "support/check.h"
#include "support/named.h"
#include "support/served.h"
#include "support/system.h"

#include <multiproc/value.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WORKERS = 8,
    KILLS = 60, /* of each storm, unless told otherwise */
    CALM_EVERY = 20,
    LENGTH = 16,
    CAPACITY = 4000,
    CONTENT = 20000,
    LONG = 3600, /* a worker that hangs is noticed by its parent */
};

/* Both are counted with the lock held, one after the other. */
typedef struct pair {
    uint64_t left;
    uint64_t right;
} pair;

typedef struct ledger {
    pair all;
    uint64_t wrong; /* torn, and nobody was told */
    uint64_t told;
} ledger;

/* METHOD_TEST with more time. */
#define STORM(name)                                        \
    static void storm_##name(mp_start_method method);      \
    Test(value_storm_spawn, name, .timeout = LONG)         \
    {                                                      \
        storm_##name(support_method(MP_START_SPAWN));      \
    }                                                      \
    Test(value_storm_fork, name, .timeout = LONG)          \
    {                                                      \
        storm_##name(support_method(MP_START_FORK));       \
    }                                                      \
    Test(value_storm_forkserver, name, .timeout = LONG)    \
    {                                                      \
        storm_##name(support_method(MP_START_FORKSERVER)); \
    }                                                      \
    static void storm_##name(mp_start_method method)

static const mp_value_options growing = {.capacity = CAPACITY};
static const mp_value_options existing = {.open = {.mode = MP_OPEN_EXISTING}};
static const mp_value_options exclusively = {
    .open = {.mode = MP_CREATE_EXCLUSIVELY}};

static size_t kill_count(void)
{
    const char *text = getenv("STORM_KILLS");

    return text != NULL ? strtoul(text, NULL, 10) : support_scaled(KILLS);
}

/* -- Workers --------------------------------------------------------------- */

/* A moment in which to be killed. */
static void linger(uint32_t *chance)
{
    *chance = *chance * 1664525 + 1013904223;
    for (uint32_t n = *chance >> 24; n > 0; n--)
        mpi_pause();
}

static uint32_t seed(void)
{
    return (uint32_t)mp_getpid() * 2654435761U;
}

/* With the lock held, which was acquired with err: whether it may be so. */
static bool mend(pair *it, mp_error err)
{
    bool is_right = it->left == it->right ||
                    (err == MP_OWNER_DIED && it->left == it->right + 1);

    it->right = it->left;
    return is_right;
}

static void count_up(pair *it, uint32_t *chance)
{
    it->left++;
    linger(chance);
    it->right++;
}

static int work_on_value(mp_args *args)
{
    mp_value *value = mp_arg_value(args, 0);
    ledger *shared = MP_VALUE(value, ledger);
    uint32_t chance = seed();

    for (;;) {
        mp_error err = mp_value_acquire(value, SUPPORT_LONG);
        mp_obj *obj;

        if (err != MP_OK && err != MP_OWNER_DIED)
            return 2;
        shared->told += err == MP_OWNER_DIED;
        shared->wrong += !mend(&shared->all, err);
        count_up(&shared->all, &chance);
        mp_check(mp_value_release(value));
        /* Which may be told first, and is not concerned. */
        obj = mp_value_get(value);
        mp_check(mp_obj_error(obj));
        mp_obj_unref(obj);
    }
}

/* One item after another; now and then there is one more. */
static void count_in_array(mp_array *array, uint32_t *chance)
{
    mp_error err = mp_array_acquire(array, SUPPORT_LONG);
    size_t length = mp_array_length(array);
    pair *items = MP_ARRAY(array, pair);

    if (err != MP_OK && err != MP_OWNER_DIED)
        mp_exit(2);
    if (err == MP_OWNER_DIED)
        for (size_t i = 0; i < length; i++)
            items[0].left += !mend(&items[i], err);
    linger(chance);
    count_up(&items[(*chance >> 8) % length], chance);
    if ((*chance >> 8) % 16 == 0 && length < CAPACITY)
        mp_check(mp_array_grow(array, length + 1));
    mp_check(mp_array_release(array));
}

/* Opens it anew each time. */
static int work_on_file(mp_args *args)
{
    const char *path = mp_arg_str(args, 0);
    uint32_t chance = seed();

    for (;;) {
        mp_array *array;

        mp_check(mp_array_open_file(&array, path, MP_CTYPE(pair), 0, NULL,
                                    &existing));
        for (int i = 0; i < 20; i++)
            count_in_array(array, &chance);
        mp_check(mp_array_close(array));
    }
}

static int *make_content(void)
{
    int *content = malloc(CONTENT * sizeof(*content));

    for (int i = 0; i < CONTENT; i++)
        content[i] = i;
    return content;
}

/* Makes it and removes it, over and over. */
static int create_names(mp_args *args)
{
    const char *name = mp_arg_str(args, 0);
    int *content = make_content();

    for (;;) {
        mp_array *array;
        mp_error err = mp_array_open(&array, name, MP_CTYPE(int), CONTENT,
                                     content, &exclusively);

        if (err == MP_OK)
            mp_check(mp_array_close(array));
        (void)mp_named_unlink(name);
    }
}

static int create_files(mp_args *args)
{
    const char *path = mp_arg_str(args, 0);
    int *content = make_content();

    for (;;) {
        mp_array *array;
        mp_error err = mp_array_open_file(&array, path, MP_CTYPE(int), CONTENT,
                                          content, &exclusively);

        if (err == MP_OK)
            mp_check(mp_array_close(array));
        support_remove_file(path);
    }
}

/* -- The storm ------------------------------------------------------------- */

typedef struct crew {
    mp_start_method method;
    mp_function worker;
    mp_obj *(*arguments)(const struct crew *it);
    mp_value *value;
    mp_array *array;
    char name[SUPPORT_PATH_SIZE]; /* or path */
    mp_process *processes[WORKERS];
} crew;

/* Workers are daemons, lest they outlive a test that failed. */
static void start_worker(crew *it, int place)
{
    mp_process_options options = {.start_method = it->method,
                                  .daemon = MP_DAEMON_YES};
    mp_process *process = NULL;

    ok(mp_process_create(&process, it->worker, it->arguments(it), &options));
    ok(mp_process_start(process));
    it->processes[place] = process;
}

static void kill_worker(crew *it, int place)
{
    ok(mp_process_kill(it->processes[place]));
    cr_assert_eq(support_finish(it->processes[place]), -9);
    it->processes[place] = NULL;
}

static void start_all(crew *it)
{
    for (int i = 0; i < WORKERS; i++)
        start_worker(it, i);
}

static void kill_all(crew *it)
{
    for (int i = 0; i < WORKERS; i++)
        if (it->processes[i] != NULL)
            kill_worker(it, i);
}

/* From 0 up to limit. */
static double random_time(double limit)
{
    uint32_t number = 0;

    ok(mpos_random(&number, sizeof(number)));
    return limit * number / 4294967296.0;
}

/* calm: all are dead. */
static void storm(crew *it, void (*check)(crew *), void (*calm)(crew *))
{
    size_t kills = kill_count();

    start_all(it);
    for (size_t n = 1; n <= kills; n++) {
        int place = (int)random_time(WORKERS);

        pause_for(random_time(0.006));
        kill_worker(it, place);
        check(it);
        if (n % CALM_EVERY == 0 && calm != NULL) {
            kill_all(it);
            calm(it);
            check(it);
            start_all(it);
        } else {
            start_worker(it, place);
        }
    }
    kill_all(it);
    check(it);
}

/* Nobody waits for long. */
static mp_error acquire_soon(mp_error (*acquire)(void *, double), void *thing)
{
    double began = now();
    mp_error err = acquire(thing, SUPPORT_LONG);

    cr_assert(err == MP_OK || err == MP_OWNER_DIED, "%s", mp_error_name(err));
    cr_assert_lt(now() - began, 5.0);
    return err;
}

static mp_error acquire_value(void *value, double timeout)
{
    return mp_value_acquire(value, timeout);
}

static mp_error acquire_array(void *array, double timeout)
{
    return mp_array_acquire(array, timeout);
}

/* -- A Value --------------------------------------------------------------- */

static mp_obj *pass_value(const crew *it)
{
    return MP_ARGS(it->value);
}

static void check_value(crew *it)
{
    ledger *shared = MP_VALUE(it->value, ledger);
    mp_error err = acquire_soon(acquire_value, it->value);

    shared->told += err == MP_OWNER_DIED;
    cr_assert(mend(&shared->all, err), "%llu and %llu",
              (unsigned long long)shared->all.left,
              (unsigned long long)shared->all.right);
    cr_assert_eq(shared->wrong, 0U);
    ok(mp_value_release(it->value));
}

STORM(a_value_is_whole_or_its_breaking_is_told)
{
    crew it = {
        .method = method, .worker = work_on_value, .arguments = pass_value};

    ok(mp_value_create(&it.value, MP_CTYPE(ledger), NULL, NULL));
    storm(&it, check_value, NULL);
    cr_assert_gt(MP_VALUE(it.value, ledger)->all.left, 0U);
    ok(mp_value_close(it.value));
}

/* -- An Array in a file ---------------------------------------------------- */

static mp_obj *pass_name(const crew *it)
{
    return MP_ARGS(it->name);
}

static void check_array(crew *it)
{
    mp_error err = acquire_soon(acquire_array, it->array);
    size_t length = mp_array_length(it->array), broken = 0;
    pair *items = MP_ARRAY(it->array, pair);

    cr_assert_geq(length, (size_t)LENGTH);
    for (size_t i = 0; i < length; i++) {
        broken += items[i].left != items[i].right;
        cr_assert(mend(&items[i], err), "item %zu", i);
    }
    cr_assert_leq(broken, 1U);
    ok(mp_array_release(it->array));
}

/* As after a crash of the whole machine: nobody has it open. */
static void reopen(crew *it)
{
    size_t length = mp_array_length(it->array);

    ok(mp_array_close(it->array));
    ok(mp_array_open_file(&it->array, it->name, MP_CTYPE(pair), 0, NULL,
                          &existing));
    cr_assert_eq(mp_array_length(it->array), length);
}

STORM(an_array_in_a_file_is_whole_or_its_breaking_is_told)
{
    crew it = {
        .method = method, .worker = work_on_file, .arguments = pass_name};
    char folder[SUPPORT_PATH_SIZE];
    uint64_t sum = 0;

    support_make_folder("mp-storm-", folder);
    support_join_path(folder, "array", it.name);
    ok(mp_array_open_file(&it.array, it.name, MP_CTYPE(pair), 0, NULL,
                          &growing));
    ok(mp_array_grow(it.array, LENGTH));
    storm(&it, check_array, reopen);
    for (size_t i = 0; i < mp_array_length(it.array); i++)
        sum += MP_ARRAY(it.array, pair)[i].left;
    cr_assert_gt(sum, 0U);
    ok(mp_array_close(it.array));
    support_remove_folder(folder);
}

/* -- Making ---------------------------------------------------------------- */

static void check_whole(mp_array *array, mp_error err)
{
    if (err == MP_ENOTFOUND)
        return;
    ok(err);
    cr_assert_eq(mp_array_length(array), (size_t)CONTENT);
    for (int i = 0; i < CONTENT; i++)
        cr_assert_eq(MP_ARRAY(array, int)[i], i);
    ok(mp_array_close(array));
}

static void check_name(crew *it)
{
    mp_array *array = NULL;
    mp_error err = mp_array_open(&array, it->name, MP_CTYPE(int), CONTENT, NULL,
                                 &existing);

    check_whole(array, err);
}

static void check_file(crew *it)
{
    mp_array *array = NULL;
    mp_error err = mp_array_open_file(&array, it->name, MP_CTYPE(int), CONTENT,
                                      NULL, &existing);

    check_whole(array, err);
}

STORM(what_is_found_by_name_is_whole)
{
    crew it = {
        .method = method, .worker = create_names, .arguments = pass_name};

    support_name(it.name);
    storm(&it, check_name, NULL);
    if (support_names_last())
        (void)mp_named_unlink(it.name);
}

STORM(what_is_found_in_a_file_is_whole)
{
    crew it = {
        .method = method, .worker = create_files, .arguments = pass_name};
    char folder[SUPPORT_PATH_SIZE];

    support_make_folder("mp-storm-", folder);
    support_join_path(folder, "array", it.name);
    storm(&it, check_file, NULL);
    support_remove_folder(folder);
}
