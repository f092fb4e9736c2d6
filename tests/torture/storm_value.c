/* SPDX-License-Identifier: MIT */
/*
 * Storms on a Value with its lock, on an Array in a file that grows, and on
 * what is made under a name or in a file. After each kill all is looked at:
 * what the lock protects is whole, or whoever acquires it is told; what is
 * found by a name is whole.
 */
#include "torture.h"

#include <multiproc/value.h>

#include <stdlib.h>

enum {
    WORKERS = 8,
    CALM_EVERY = 20,
    LENGTH = 16,
    CAPACITY = 4000,
    CONTENT = 20000,
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

static const mp_value_options growing = {.capacity = CAPACITY};
static const mp_value_options existing = {.open = {.mode = MP_OPEN_EXISTING}};
static const mp_value_options exclusively = {
    .open = {.mode = MP_CREATE_EXCLUSIVELY}};

/* -- Workers --------------------------------------------------------------- */

/* A moment in which to be killed. */
static void linger(uint64_t *chance)
{
    for (uint32_t n = torture_draw(chance, 256); n > 0; n--)
        mpi_pause();
}

/* With the lock held, which was acquired with err: whether it may be so. */
static bool mend(pair *it, mp_error err)
{
    bool is_right = it->left == it->right ||
                    (err == MP_OWNER_DIED && it->left == it->right + 1);

    it->right = it->left;
    return is_right;
}

static void count_up(pair *it, uint64_t *chance)
{
    it->left++;
    linger(chance);
    it->right++;
}

static int work_on_value(mp_args *args)
{
    mp_value *value = mp_arg_value(args, 0);
    ledger *shared = MP_VALUE(value, ledger);
    uint64_t chance = (uint64_t)mp_arg_int(args, 1);

    for (;;) {
        mp_error err = mp_value_acquire(value, TORTURE_PATIENCE);
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
static void count_in_array(mp_array *array, uint64_t *chance)
{
    mp_error err = mp_array_acquire(array, TORTURE_PATIENCE);
    size_t length = mp_array_length(array);
    pair *items = MP_ARRAY(array, pair);

    if (err != MP_OK && err != MP_OWNER_DIED)
        mp_exit(2);
    if (err == MP_OWNER_DIED)
        for (size_t i = 0; i < length; i++)
            items[0].left += !mend(&items[i], err);
    linger(chance);
    count_up(&items[torture_draw(chance, (uint32_t)length)], chance);
    if (torture_draw(chance, 16) == 0 && length < CAPACITY)
        mp_check(mp_array_grow(array, length + 1));
    mp_check(mp_array_release(array));
}

/* Opens it anew each time. */
static int work_on_file(mp_args *args)
{
    const char *path = mp_arg_str(args, 0);
    uint64_t chance = (uint64_t)mp_arg_int(args, 1);

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

typedef struct storm_crew {
    const storm_round *round;
    mp_function worker;
    mp_obj *(*arguments)(const struct storm_crew *it);
    mp_value *value;
    mp_array *array;
    char name[SUPPORT_PATH_SIZE]; /* or path */
    mp_process *processes[WORKERS];
} storm_crew;

static void start_all(storm_crew *it)
{
    for (int i = 0; i < WORKERS; i++)
        it->processes[i] =
            torture_start(it->round->method, it->worker, it->arguments(it));
}

static void kill_all(storm_crew *it)
{
    for (int i = 0; i < WORKERS; i++)
        torture_kill(it->processes[i], "worker");
}

/* calm: all are dead. */
static void rage(storm_crew *it, void (*check)(storm_crew *),
                 void (*calm)(storm_crew *))
{
    start_all(it);
    for (int n = 1; n <= it->round->kills; n++) {
        int place = (int)torture_chance(WORKERS);

        torture_linger(1);
        torture_waits_for("kill %d of %d", n, it->round->kills);
        torture_kill(it->processes[place], "worker");
        check(it);
        it->processes[place] =
            torture_start(it->round->method, it->worker, it->arguments(it));
        if (n % CALM_EVERY == 0 && calm != NULL) {
            kill_all(it);
            calm(it);
            check(it);
            start_all(it);
        }
    }
    kill_all(it);
    if (calm != NULL)
        calm(it);
    check(it);
}

/* Nobody waits for long. */
static mp_error acquire_soon(mp_error (*acquire)(void *, double), void *thing)
{
    int64_t began = mpos_now();
    mp_error err = acquire(thing, TORTURE_PATIENCE);

    cr_assert(err == MP_OK || err == MP_OWNER_DIED, "%s", mp_error_name(err));
    torture_recovered(mpos_now() - began);
    torture_checked(1);
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

static mp_obj *pass_value(const storm_crew *it)
{
    return MP_ARGS(it->value, torture_seed());
}

static void check_value(storm_crew *it)
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

static void storm_values(const storm_round *round)
{
    storm_crew it = {
        .round = round, .worker = work_on_value, .arguments = pass_value};

    ok(mp_value_create(&it.value, MP_CTYPE(ledger), NULL, NULL));
    rage(&it, check_value, NULL);
    cr_assert_gt(MP_VALUE(it.value, ledger)->all.left, 0U);
    ok(mp_value_close(it.value));
}

/* -- An Array in a file ---------------------------------------------------- */

static mp_obj *pass_name(const storm_crew *it)
{
    return MP_ARGS(it->name, torture_seed());
}

static void check_array(storm_crew *it)
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
static void reopen(storm_crew *it)
{
    size_t length = mp_array_length(it->array);

    ok(mp_array_close(it->array));
    ok(mp_array_open_file(&it->array, it->name, MP_CTYPE(pair), 0, NULL,
                          &existing));
    cr_assert_eq(mp_array_length(it->array), length);
}

static void storm_files(const storm_round *round)
{
    storm_crew it = {
        .round = round, .worker = work_on_file, .arguments = pass_name};
    char folder[SUPPORT_PATH_SIZE];
    uint64_t sum = 0;

    support_make_folder("mp-storm-", folder);
    support_join_path(folder, "array", it.name);
    ok(mp_array_open_file(&it.array, it.name, MP_CTYPE(pair), 0, NULL,
                          &growing));
    ok(mp_array_grow(it.array, LENGTH));
    rage(&it, check_array, reopen);
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
    torture_checked(CONTENT);
    ok(mp_array_close(array));
}

static void check_name(storm_crew *it)
{
    mp_array *array = NULL;
    mp_error err = mp_array_open(&array, it->name, MP_CTYPE(int), CONTENT, NULL,
                                 &existing);

    check_whole(array, err);
}

static void check_file(storm_crew *it)
{
    mp_array *array = NULL;
    mp_error err = mp_array_open_file(&array, it->name, MP_CTYPE(int), CONTENT,
                                      NULL, &existing);

    check_whole(array, err);
}

static void storm_made_names(const storm_round *round)
{
    storm_crew it = {
        .round = round, .worker = create_names, .arguments = pass_name};

    torture_name(it.name);
    rage(&it, check_name, NULL);
    (void)mp_named_unlink(it.name); /* if one was left */
}

static void storm_made_files(const storm_round *round)
{
    storm_crew it = {
        .round = round, .worker = create_files, .arguments = pass_name};
    char folder[SUPPORT_PATH_SIZE];

    support_make_folder("mp-storm-", folder);
    support_join_path(folder, "array", it.name);
    rage(&it, check_file, NULL);
    support_remove_folder(folder);
}

const storm torture_values[] = {
    {"value",
     "users of a Value: what its lock protects is whole, or the next owner is "
     "told",
     20, NULL, storm_values},
    {"array/file",
     "users of an Array in a file that grows: each item is whole, or the next "
     "owner is told; so it is when all are dead",
     20, NULL, storm_files},
    {"array/made-by-name",
     "creators of an Array with a name: what is found is whole", 12, NULL,
     storm_made_names},
    {"array/made-in-file",
     "creators of an Array in a file: what is found is whole", 12, NULL,
     storm_made_files},
    {.name = NULL},
};
