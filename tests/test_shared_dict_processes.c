/* SPDX-License-Identifier: MIT */
/* Shared dict among processes: filled by many, travelling, named, in a file,
 * and after some of them were killed in the middle of whatever they did. */
#include "support/check.h"
#include "support/dict.h"
#include "support/methods.h"
#include "support/system.h"
#include "support/threads.h"

#include "os.h"
#include "shared_dict.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORKERS = 4, EACH = 100, ADDS = 5000 };

/* In the table area, see shared_dict_table.c: words of the head, then slots. */
enum { AT_ACTIVE, AT_COUNT, AT_USED, AT_SEQUENCE, AT_SLOTS = 8 };

static mp_shared_dict *global;

static uint64_t *words_of(mp_shared_dict *dict)
{
    return dict->shared.table;
}

static mp_shared_dict *open_file(const char *path, size_t capacity)
{
    mp_shared_dict *dict = NULL;

    ok(mp_shared_dict_open_file(&dict, path, capacity, NULL));
    return dict;
}

static const char *make_name(char name[64])
{
    static int count;

    snprintf(name, 64, "mp dict %lld-%d", (long long)mp_getpid(), count++);
    return name;
}

/* -- Targets --------------------------------------------------------------- */

static int fill(mp_args *args)
{
    mp_shared_dict *dict = mp_arg_shared_dict(args, 0);
    int64_t who = mp_arg_int(args, 1);

    for (int64_t i = 0; i < EACH; i++)
        mp_check(
            mp_shared_dict_set(dict, MP_BOX(who * EACH + i), MP_LIST(who, i)));
    return 0;
}

static int add(mp_args *args)
{
    mp_shared_dict *dict = mp_arg_shared_dict(args, 0);
    int64_t times = mp_arg_int(args, 1);

    for (int64_t i = 0; i < times; i++) {
        mp_check(mp_shared_dict_add(dict, MP_BOX("sum"), i % 2 ? 3 : -1, NULL));
        mp_check(mp_shared_dict_add(dict, MP_BOX(i % 10), 1, NULL));
    }
    return 0;
}

static int use_global(mp_args *args)
{
    (void)args;
    mp_check(mp_shared_dict_set(global, MP_BOX("child"), MP_BOX(2)));
    return mp_shared_dict_length(global) == 2 ? 0 : 1;
}

/* [dict, {"k": dict}], and again by name. */
static int use_nested(mp_args *args)
{
    const mp_obj *outer = mp_arg_obj(args, 0);
    mp_shared_dict *first, *second;
    mp_shared_dict *third = mp_kwarg_shared_dict(args, "again", NULL);
    const mp_obj *item;

    if (mp_kwarg_shared_dict(args, "none", NULL) != NULL)
        return 1;
    mp_check(mp_obj_item(outer, 0, &item));
    mp_check(mp_obj_as_shared_dict(item, &first));
    mp_check(mp_obj_item(outer, 1, &item));
    mp_check(mp_obj_get_str(item, "k", &item));
    mp_check(mp_obj_as_shared_dict(item, &second));
    mp_check(mp_shared_dict_add(first, MP_BOX("n"), 1, NULL));
    mp_check(mp_shared_dict_add(second, MP_BOX("n"), 1, NULL));
    mp_check(mp_shared_dict_add(third, MP_BOX("n"), 1, NULL));
    return 0;
}

/* Makes one, sends it, and waits until it has been used. */
static int send_own(mp_args *args)
{
    mp_connection *connection = mp_arg_connection(args, 0);
    mp_shared_dict *dict = NULL;
    mp_obj *ignored;

    mp_check(mp_shared_dict_create(&dict, 10, NULL));
    mp_check(mp_shared_dict_set(dict, MP_BOX("from"), MP_BOX("child")));
    mp_check(mp_connection_send(connection, MP_BOX(dict)));
    mp_check(mp_connection_recv(connection, &ignored));
    mp_obj_unref(ignored);
    mp_check(mp_shared_dict_verify(dict));
    mp_check(mp_shared_dict_close(dict));
    return 0;
}

static int open_by_name(mp_args *args)
{
    mp_open_options existing = {.mode = MP_OPEN_EXISTING};
    mp_shared_options options = {.open = existing};
    mp_shared_dict *dict = NULL;

    mp_check(mp_shared_dict_open(&dict, mp_arg_str(args, 0), 1, &options));
    mp_check(mp_shared_dict_add(dict, MP_BOX("n"), 5, NULL));
    mp_check(mp_shared_dict_close(dict));
    return 0;
}

static int write_file(mp_args *args)
{
    mp_shared_dict *dict = open_file(mp_arg_str(args, 0), 10);

    mp_check(mp_shared_dict_set(dict, MP_BOX("child"), MP_LIST(1, "two")));
    mp_check(mp_shared_dict_close(dict));
    return 0;
}

/* What whoever is killed can leave behind: each is a moment in the middle of
 * something. */
enum {
    LEAVE_ALL_WELL,
    LEAVE_A_WRONG_COUNT, /* after a slot was written */
    LEAVE_GARBAGE,       /* a blob that no slot has */
    LEAVE_HALF_AN_IDLE,  /* of a rehash */
    LEAVE_A_NEW_IDLE,    /* just switched to, with the old one's numbers */
    LEAVINGS,
};

static void leave(mp_shared_dict *dict, int64_t what)
{
    mpi_shared *shared = &dict->shared;
    uint64_t *words = words_of(dict);
    size_t slots = (mpi_dict_table_size(shared->capacity) / 8 - AT_SLOTS) / 2;
    void *memory;
    mpi_blob blob;

    switch (what) {
    case LEAVE_A_WRONG_COUNT:
        words[AT_COUNT] += 2;
        words[AT_USED] = 0;
        break;
    case LEAVE_GARBAGE:
        while (mpi_store_alloc(&shared->store, 50, &blob, &memory) == MP_OK)
            memset(memory, 0xee, 50);
        break;
    case LEAVE_HALF_AN_IDLE:
        memset(words + AT_SLOTS + slots * (1 - words[AT_ACTIVE]), 0xee, slots);
        break;
    case LEAVE_A_NEW_IDLE:
        memcpy(words + AT_SLOTS + slots * (1 - words[AT_ACTIVE]),
               words + AT_SLOTS + slots * words[AT_ACTIVE], slots * 8);
        words[AT_ACTIVE] = 1 - words[AT_ACTIVE];
        words[AT_USED] = 11;
        break;
    default:
        break;
    }
}

/* With the lock, until it is killed. */
static int hold(mp_args *args)
{
    mp_connection *connection = mp_arg_connection(args, 0);
    const mp_obj *what = mp_arg_obj(args, 1);
    mp_shared_dict *dict;
    mp_obj *ignored;

    if (mp_obj_type(what) == MP_TYPE_STR)
        dict = open_file(mp_arg_str(args, 1), 10);
    else
        mp_check(mp_obj_as_shared_dict(what, &dict));
    mp_check(mp_shared_dict_set(dict, MP_BOX("held"), MP_LIST(1, 2)));
    mp_check(mpi_shared_dict_lock(dict));
    leave(dict, mp_arg_int(args, 2));
    mp_check(mp_connection_send(connection, MP_NONE));
    (void)mp_connection_recv(connection, &ignored);
    return 1;
}

/* -- Many processes -------------------------------------------------------- */

static void run_all(mp_start_method method, mp_function target,
                    mp_shared_dict *dict, int64_t step)
{
    mp_process *children[WORKERS];

    for (int i = 0; i < WORKERS; i++)
        children[i] = support_start(
            method, target, MP_ARGS(dict, step != 0 ? step : (int64_t)i));
    for (int i = 0; i < WORKERS; i++)
        cr_assert_eq(support_finish(children[i]), 0);
}

METHOD_TEST(shared_dict, many_processes_fill_one_dict)
{
    mp_shared_dict *dict = make_dict(WORKERS * EACH);

    run_all(method, fill, dict, 0);
    cr_assert_eq(mp_shared_dict_length(dict), (size_t)WORKERS * EACH);
    for (int i = 0; i < WORKERS * EACH; i++) {
        char expected[32];

        snprintf(expected, sizeof(expected), "[%d, %d]", i / EACH, i % EACH);
        is_repr(mp_shared_dict_get(dict, MP_BOX(i)), expected);
    }
    ok(mp_shared_dict_verify(dict));
    ok(mp_shared_dict_close(dict));
}

METHOD_TEST(shared_dict, sums_of_many_processes_are_exact)
{
    int64_t times = (int64_t)support_scaled(ADDS) * 10, sum = 0;
    mp_shared_dict *dict = make_dict(20);

    run_all(method, add, dict, times);
    ok(mp_shared_dict_add(dict, MP_BOX("sum"), 0, &sum));
    cr_assert_eq(sum, WORKERS * times);
    for (int i = 0; i < 10; i++) {
        ok(mp_shared_dict_add(dict, MP_BOX(i), 0, &sum));
        cr_assert_eq(sum, WORKERS * times / 10);
    }
    ok(mp_shared_dict_verify(dict));
    ok(mp_shared_dict_close(dict));
}

typedef struct adder {
    mp_shared_dict *dict;
    mpi_atomic32 failures;
} adder;

static void add_in_thread(void *argument)
{
    adder *it = argument;

    for (int i = 0; i < ADDS; i++)
        if (mp_shared_dict_add(it->dict, MP_BOX("sum"), 1, NULL) != MP_OK)
            mpi_atomic32_add(&it->failures, 1);
}

Test(shared_dict, sums_of_many_threads_are_exact)
{
    adder it = {.dict = make_dict(10)};
    mpos_thread threads[WORKERS];
    int64_t sum = 0;

    support_start_threads(threads, WORKERS, add_in_thread, &it);
    support_join_threads(threads, WORKERS);
    cr_assert_eq(mpi_atomic32_load(&it.failures), 0U);
    ok(mp_shared_dict_add(it.dict, MP_BOX("sum"), 0, &sum));
    cr_assert_eq(sum, (int64_t)WORKERS * ADDS);
    ok(mp_shared_dict_close(it.dict));
}

/* -- Travelling ------------------------------------------------------------ */

METHOD_TEST(shared_dict, it_may_be_passed_several_times)
{
    mp_process_options options = {.start_method = method};
    mp_shared_dict *dict = make_dict(10);
    mp_process *child = NULL;
    size_t handles = support_open_handles();

    for (int i = 0; i < 2; i++) {
        options.kwargs = MP_KWARGS("again", dict);
        ok(mp_process_create(&child, use_nested,
                             MP_ARGS(MP_LIST(dict, MP_DICT("k", dict))),
                             &options));
        ok(mp_process_start(child));
        cr_assert_eq(support_finish(child), 0);
        if (i == 0)
            handles = support_open_handles();
    }
    cr_assert_eq(support_open_handles(), handles);
    holds(dict, "{'n': 6}");
    ok(mp_shared_dict_close(dict));
}

METHOD_TEST(shared_dict, a_child_may_send_its_own)
{
    mp_shared_dict *dict = NULL;
    mp_connection *ours, *theirs;
    mp_obj *obj = NULL;
    mp_process *child;

    ok(mp_pipe(&ours, &theirs, NULL));
    child = support_start(method, send_own, MP_ARGS(theirs));
    ok(mp_connection_close(theirs));
    ok(mp_connection_recv(ours, &obj));
    ok(mp_obj_as_shared_dict(obj, &dict));
    holds(dict, "{'from': 'child'}");
    ok(mp_shared_dict_set(dict, MP_BOX("to"), MP_BOX("parent")));
    ok(mp_connection_send(ours, MP_NONE));
    cr_assert_eq(support_finish(child), 0);
    holds(dict, "{'from': 'child', 'to': 'parent'}");
    mp_obj_unref(obj);
    ok(mp_connection_close(ours));
}

METHOD_TEST(shared_dict, it_may_be_closed_once_it_was_passed)
{
    mp_shared_dict *dict = make_dict(20);
    mp_process *child = support_start(method, add, MP_ARGS(dict, 20000));

    ok(mp_shared_dict_close(dict));
    cr_assert_eq(support_finish(child), 0);
}

Test(shared_dict, forked_child_has_what_its_parent_has)
{
    mp_start_method method = support_method(MP_START_FORK);

    global = make_dict(10);
    ok(mp_shared_dict_set(global, MP_BOX("parent"), MP_BOX(1)));
    cr_assert_eq(support_run(method, use_global, NULL), 0);
    holds(global, "{'parent': 1, 'child': 2}");
    ok(mp_shared_dict_close(global));
}

/* -- Names ----------------------------------------------------------------- */

METHOD_TEST(shared_dict, what_is_created_by_name_is_opened_by_it)
{
    mp_open_options exclusively = {.mode = MP_CREATE_EXCLUSIVELY};
    mp_shared_options options = {.open = exclusively};
    mp_shared_dict *first = NULL, *second = NULL, *third = NULL;
    char name[64];

    ok(mp_shared_dict_open(&first, make_name(name), 10, &options));
    holds(first, "{}");
    fails(mp_shared_dict_open(&third, name, 10, &options), MP_EEXIST);
    /* Whatever the size of one that exists. */
    ok(mp_shared_dict_open(&second, name, 999, NULL));
    ok(mp_shared_dict_set(first, MP_BOX("n"), MP_BOX(1)));
    cr_assert_eq(support_run(method, open_by_name, MP_ARGS(name)), 0);
    holds(second, "{'n': 6}");
    for (int i = 1; i < 10; i++)
        ok(mp_shared_dict_set(second, MP_BOX(i), MP_NONE));
    fails(mp_shared_dict_set(second, MP_BOX(10), MP_NONE), MP_ENOSPC);
    ok(mp_named_unlink(name));
    ok(mp_shared_dict_close(first));
    ok(mp_shared_dict_close(second));
    options.open.mode = MP_OPEN_EXISTING;
    fails(mp_shared_dict_open(&third, name, 10, &options), MP_ENOTFOUND);
    cr_assert_null(third);
}

Test(shared_dict, a_name_of_another_kind_is_refused)
{
    mp_shared_dict *dict = NULL, *other = NULL;
    mp_lock *lock = NULL;
    char names[2][64];

    ok(mp_shared_dict_open(&dict, make_name(names[0]), 10, NULL));
    ok(mp_lock_open(&lock, make_name(names[1]), NULL));
    fails(mp_shared_dict_open(&other, names[1], 10, NULL), MP_ETYPE);
    cr_assert_not_null(strstr(mp_error_message(), "Lock"));
    cr_assert_null(other);
    fails(mp_shared_dict_open(&other, "a/b", 10, NULL), MP_EINVAL);
    fails(mp_shared_dict_open(&other, NULL, 10, NULL), MP_EINVAL);
    fails(mp_shared_dict_open(NULL, names[0], 10, NULL), MP_EINVAL);
    fails(mp_shared_dict_open(&other, names[0], 0, NULL), MP_EINVAL);
    ok(mp_named_unlink(names[0]));
    ok(mp_named_unlink(names[1]));
    ok(mp_shared_dict_close(dict));
    ok(mp_lock_close(lock));
}

/* -- Files ----------------------------------------------------------------- */

typedef struct place {
    char folder[SUPPORT_PATH_SIZE];
    char path[SUPPORT_PATH_SIZE];
} place;

static void make_place(place *it)
{
    support_make_folder("mp-dict-", it->folder);
    support_join_path(it->folder, "dict", it->path);
}

METHOD_TEST(shared_dict, a_file_outlives_everybody)
{
    mp_shared_dict *dict;
    place it;

    make_place(&it);
    cr_assert_eq(support_run(method, write_file, MP_ARGS(it.path)), 0);
    dict = open_file(it.path, 99);
    holds(dict, "{'child': [1, 'two']}");
    ok(mp_shared_dict_set(dict, MP_BOX("parent"), MP_BOX(3)));
    ok(mp_shared_dict_sync(dict));
    ok(mp_shared_dict_close(dict));
    cr_assert_eq(support_run(method, write_file, MP_ARGS(it.path)), 0);
    dict = open_file(it.path, 99);
    holds(dict, "{'child': [1, 'two'], 'parent': 3}");
    ok(mp_shared_dict_close(dict));
    support_remove_folder(it.folder);
}

static void damage_file(const char *path, long at, int byte)
{
    FILE *file = fopen(path, "r+b");

    cr_assert_not_null(file);
    cr_assert_eq(fseek(file, at, SEEK_SET), 0);
    cr_assert_eq(fputc(byte, file), byte);
    cr_assert_eq(fclose(file), 0);
}

/* Anything may come of it, but an answer. */
static void try_everything(const char *path)
{
    mp_shared_dict *dict = NULL;
    bool is_there;

    if (mp_shared_dict_open_file(&dict, path, 10, NULL) != MP_OK) {
        cr_assert_str_not_empty(mp_error_message());
        return;
    }
    (void)mp_shared_dict_verify(dict);
    mp_obj_unref(mp_shared_dict_snapshot(dict));
    mp_obj_unref(mp_shared_dict_keys(dict));
    (void)mp_shared_dict_length(dict);
    for (int i = 0; i < 15; i++) {
        mp_obj_unref(mp_shared_dict_get(dict, MP_BOX(i)));
        (void)mp_shared_dict_contains(dict, MP_BOX(i), &is_there);
        (void)mp_shared_dict_add(dict, MP_BOX(i), 1, NULL);
        (void)mp_shared_dict_set(dict, MP_BOX(i), MP_BOX("a longer one"));
        if (i % 3 == 0)
            mp_obj_unref(mp_shared_dict_pop(dict, MP_BOX(i)));
    }
    (void)mp_shared_dict_clear(dict);
    (void)mp_shared_dict_verify(dict);
    ok(mp_shared_dict_close(dict));
}

static long write_some(const char *path)
{
    mp_shared_dict *dict;
    FILE *file;
    long size;

    support_remove_file(path);
    dict = open_file(path, 10);
    for (int i = 0; i < 8; i++)
        ok(mp_shared_dict_set(dict, MP_BOX(i), MP_LIST(i, "text")));
    ok(mp_shared_dict_delete(dict, MP_BOX(3)));
    ok(mp_shared_dict_close(dict));
    file = fopen(path, "rb");
    cr_assert_not_null(file);
    cr_assert_eq(fseek(file, 0, SEEK_END), 0);
    size = ftell(file);
    fclose(file);
    return size;
}

/* The fuzz target does this for longer. */
Test(shared_dict, damaged_files_are_answered, .timeout = 120)
{
    static const int bytes[] = {0, 1, 0x7f, 0xff};
    size_t rounds = support_scaled(300);
    uint64_t chance = 1;
    place it;

    make_place(&it);
    for (size_t i = 0; i < rounds; i++) {
        long size = write_some(it.path);
        /* Where it counts: in the head, or behind it. */
        long from = i % 4 == 0 ? 0 : 65536;

        for (size_t n = 0; n <= i % 8; n++) {
            chance = chance * UINT64_C(6364136223846793005) + 12345;
            damage_file(it.path,
                        from + (long)((chance >> 33) % (uint64_t)(size - from)),
                        bytes[chance >> 60 & 3]);
        }
        try_everything(it.path);
    }
    support_remove_folder(it.folder);
}

/* -- Kills ----------------------------------------------------------------- */

/* A child that holds the lock, and has left what it could leave. */
static void kill_holder(mp_start_method method, mp_obj *what, int left)
{
    mp_connection *ours, *theirs;
    mp_process *child;
    mp_obj *ignored;

    ok(mp_pipe(&ours, &theirs, NULL));
    child = support_start(method, hold, MP_ARGS(theirs, what, left));
    ok(mp_connection_close(theirs));
    ok(mp_connection_recv(ours, &ignored));
    mp_obj_unref(ignored);
    ok(mp_process_kill(child));
    cr_assert_neq(support_finish(child), 1);
    ok(mp_connection_close(ours));
}

METHOD_TEST(shared_dict, who_is_killed_with_the_lock_leaves_it_whole)
{
    for (int left = 0; left < LEAVINGS; left++) {
        mp_shared_dict *dict = make_dict(10);
        int64_t began, sum;

        ok(mp_shared_dict_set(dict, MP_BOX("before"), MP_BOX(left)));
        kill_holder(method, MP_BOX(dict), left);
        began = mpos_now();
        cr_assert_eq(mp_shared_dict_length(dict), 2U);
        cr_assert_lt(mpos_now() - began, INT64_C(1000000000));
        ok(mp_shared_dict_verify(dict));
        ok(mp_shared_dict_add(dict, MP_BOX("before"), -left, &sum));
        cr_assert_eq(sum, 0);
        is_repr(mp_shared_dict_pop(dict, MP_BOX("held")), "[1, 2]");
        for (int i = 0; i < 9; i++)
            ok(mp_shared_dict_set(dict, MP_BOX(i), MP_BOX("a value of its")));
        fails(mp_shared_dict_set(dict, MP_BOX(9), MP_BOX(1)), MP_ENOSPC);
        ok(mp_shared_dict_verify(dict));
        ok(mp_shared_dict_close(dict));
    }
}

METHOD_TEST(shared_dict, a_file_is_whole_after_its_last_user_was_killed)
{
    for (int left = 0; left < LEAVINGS; left++) {
        mp_shared_dict *dict;
        place it;

        make_place(&it);
        kill_holder(method, MP_BOX(it.path), left);
        dict = open_file(it.path, 10);
        holds(dict, "{'held': [1, 2]}");
        ok(mp_shared_dict_set(dict, MP_BOX("after"), MP_BOX(1)));
        holds(dict, "{'held': [1, 2], 'after': 1}");
        ok(mp_shared_dict_close(dict));
        support_remove_folder(it.folder);
    }
}

/* -- Verification ---------------------------------------------------------- */

/* The n-th slot that holds an entry. */
static uint64_t *slot_at(mp_shared_dict *dict, size_t n)
{
    mpi_dict_place at = {.slot = SIZE_MAX};

    for (size_t i = 0; i <= n; i++)
        ok(mpi_dict_table_next(&dict->shared, &at));
    return words_of(dict) + AT_SLOTS + at.slot;
}

static unsigned char *blob_at(mp_shared_dict *dict, size_t n)
{
    size_t size;

    return mpi_store_at(&dict->shared.store, *slot_at(dict, n) >> 24, &size);
}

static void break_it(mp_shared_dict *dict, int how)
{
    uint64_t *words = words_of(dict);

    switch (how) {
    case 0:
        words[AT_ACTIVE] = 2;
        break;
    case 1:
        words[AT_COUNT]++;
        break;
    case 2:
        words[AT_COUNT] = 1000;
        break;
    case 3:
        words[AT_USED]++;
        break;
    case 4:
        words[AT_SEQUENCE] = 1;
        break;
    case 5:
        *slot_at(dict, 0) ^= 1; /* another hash */
        break;
    case 6:
        *slot_at(dict, 0) ^= UINT64_C(1) << 24; /* another blob */
        break;
    case 7:
        *slot_at(dict, 0) = *slot_at(dict, 1);
        break;
    case 8:
        *slot_at(dict, 0) = 2; /* a blob that is none */
        break;
    case 9:
        blob_at(dict, 0)[0] ^= 1; /* its sequence: another's */
        break;
    case 10:
        blob_at(dict, 0)[8] ^= 1; /* its hash */
        break;
    case 11:
        blob_at(dict, 0)[16] ^= 0xff; /* its key's type and size */
        break;
    case 12:
        blob_at(dict, 0)[24] ^= 1; /* its key */
        break;
    default:
        blob_at(dict, 0)[32] ^= 1; /* its value */
        break;
    }
}

Test(shared_dict, verify_finds_what_is_wrong)
{
    for (int how = 0; how < 14; how++) {
        mp_shared_dict *dict = make_dict(10);

        ok(mp_shared_dict_set(dict, MP_BOX(1), MP_BOX(2)));
        ok(mp_shared_dict_set(dict, MP_BOX(2), MP_BOX(3)));
        ok(mp_shared_dict_verify(dict));
        break_it(dict, how);
        cr_assert_eq(mp_shared_dict_verify(dict), MP_EPROTO, "%d", how);
        cr_assert_not_null(strstr(mp_error_message(), "damaged"), "%d: %s", how,
                           mp_error_message());
        ok(mp_shared_dict_close(dict));
    }
}

/* Its sizes are those of a key that would reach beyond the blob. */
Test(shared_dict, a_key_longer_than_its_entry_is_damage)
{
    mp_shared_dict *dict = make_dict(10);

    ok(mp_shared_dict_set(dict, MP_BOX("a"), MP_BOX(2)));
    blob_at(dict, 0)[17] ^= 0xff;
    fails(error_of(mp_shared_dict_get(dict, MP_BOX("a"))), MP_EPROTO);
    fails(mp_shared_dict_verify(dict), MP_EPROTO);
    ok(mp_shared_dict_close(dict));
}

Test(shared_dict, more_entries_than_are_counted_are_damage)
{
    mp_shared_dict *dict = make_dict(10);

    for (int i = 0; i < 10; i++)
        ok(mp_shared_dict_set(dict, MP_BOX(i), MP_BOX(2)));
    words_of(dict)[AT_COUNT] = 0;
    fails(error_of(mp_shared_dict_snapshot(dict)), MP_EPROTO);
    fails(error_of(mp_shared_dict_keys(dict)), MP_EPROTO);
    ok(mp_shared_dict_close(dict));
}

/* All slots hold something, none is empty: nothing looks for ever. */
Test(shared_dict, a_table_without_an_end_is_no_trap)
{
    mp_shared_dict *dict = make_dict(10);
    bool is_there;

    ok(mp_shared_dict_set(dict, MP_BOX(1), MP_BOX(2)));
    for (size_t i = 0; i < 2 * (2 * 10 + 8); i++)
        words_of(dict)[AT_SLOTS + i] = UINT64_C(12345678901);
    ok(mp_shared_dict_contains(dict, MP_BOX(77), &is_there));
    cr_assert_not(is_there);
    fails(mp_shared_dict_verify(dict), MP_EPROTO);
    fails(error_of(mp_shared_dict_snapshot(dict)), MP_EPROTO);
    fails(mp_shared_dict_set(dict, MP_BOX(77), MP_BOX(2)), MP_EPROTO);
    ok(mp_shared_dict_clear(dict));
    holds(dict, "{}");
    ok(mp_shared_dict_close(dict));
}
