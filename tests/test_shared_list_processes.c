/* SPDX-License-Identifier: MIT */
/* Shared list among processes: filled by many, travelling, named, in a file,
 * and after some of them were killed in the middle of whatever they did. */
#include "support/check.h"
#include "support/list.h"
#include "support/methods.h"
#include "support/system.h"
#include "support/threads.h"

#include "os.h"
#include "shared_list.h"

#include <stdio.h>
#include <string.h>

enum { WORKERS = 4, EACH = 200 };

static mp_shared_list *global;

static const char *make_name(char name[64])
{
    static int count;

    snprintf(name, 64, "mp list %lld-%d", (long long)mp_getpid(), count++);
    return name;
}

static mp_shared_list *open_file(const char *path, size_t capacity)
{
    mp_shared_list *list = NULL;

    ok(mp_shared_list_open_file(&list, path, capacity, NULL));
    return list;
}

/* -- Targets --------------------------------------------------------------- */

/* (who, n) for each n, and takes away as many as it adds of others. */
static int fill(mp_args *args)
{
    mp_shared_list *list = mp_arg_shared_list(args, 0);
    int64_t who = mp_arg_int(args, 1);

    for (int64_t i = 0; i < EACH; i++) {
        mp_check(mp_shared_list_append(list, MP_TUPLE(who, i)));
        mp_check(mp_shared_list_insert(list, i, MP_BOX("to go")));
        mp_check(mp_shared_list_remove(list, MP_BOX("to go")));
    }
    return 0;
}

static int pop_all(mp_args *args)
{
    mp_shared_list *list = mp_arg_shared_list(args, 0);
    mp_shared_list *sums = mp_arg_shared_list(args, 1);
    int64_t sum = 0;

    for (;;) {
        mp_obj *obj = mp_shared_list_pop(list, -1);
        int64_t value = 0;

        if (mp_obj_error(obj) == MP_EINDEX)
            break;
        mp_check(mp_obj_as_int(obj, &value));
        mp_obj_unref(obj);
        sum += value;
    }
    mp_check(mp_shared_list_append(sums, MP_BOX(sum)));
    return 0;
}

static int use_global(mp_args *args)
{
    (void)args;
    mp_check(mp_shared_list_append(global, MP_BOX("child")));
    return mp_shared_list_length(global) == 2 ? 0 : 1;
}

/* [list, {"k": list}], and again by name. */
static int use_nested(mp_args *args)
{
    const mp_obj *outer = mp_arg_obj(args, 0);
    mp_shared_list *lists[3] = {NULL, NULL,
                                mp_kwarg_shared_list(args, "again", NULL)};
    const mp_obj *item;

    if (mp_kwarg_shared_list(args, "none", NULL) != NULL)
        return 1;
    mp_check(mp_obj_item(outer, 0, &item));
    mp_check(mp_obj_as_shared_list(item, &lists[0]));
    mp_check(mp_obj_item(outer, 1, &item));
    mp_check(mp_obj_get_str(item, "k", &item));
    mp_check(mp_obj_as_shared_list(item, &lists[1]));
    for (int i = 0; i < 3; i++)
        mp_check(mp_shared_list_append(lists[i], MP_BOX(i)));
    return 0;
}

/* Makes one, sends it, and waits until it has been used. */
static int send_own(mp_args *args)
{
    mp_connection *connection = mp_arg_connection(args, 0);
    mp_shared_list *list = make_list_of(MP_LIST("child"));
    mp_obj *ignored;

    mp_check(mp_connection_send(connection, MP_BOX(list)));
    mp_check(mp_connection_recv(connection, &ignored));
    mp_obj_unref(ignored);
    mp_check(mp_shared_list_verify(list));
    mp_check(mp_shared_list_close(list));
    return 0;
}

static int append_by_name(mp_args *args)
{
    const mp_shared_options existing = {.open = {.mode = MP_OPEN_EXISTING}};
    mp_shared_list *list = NULL;

    mp_check(mp_shared_list_open(&list, mp_arg_str(args, 0), 0, &existing));
    mp_check(mp_shared_list_append(list, MP_BOX("by name")));
    mp_check(mp_shared_list_close(list));
    return 0;
}

static int append_in_file(mp_args *args)
{
    mp_shared_list *list = NULL;

    mp_check(mp_shared_list_open_file(&list, mp_arg_str(args, 0), 1, NULL));
    mp_check(mp_shared_list_append(list, MP_BOX("in a file")));
    mp_check(mp_shared_list_close(list));
    return 0;
}

/* Half of an insertion, and blobs that are nobody's; then it is killed. */
static void begin_and_die(mp_shared_list *list)
{
    mpi_list_view view;
    mpi_blob blob = 0;

    mp_check(mpi_list_begin(list, &view));
    for (int i = 0; i < 3; i++)
        mp_check(mpi_list_put(&view, "i", 1, &blob));
    mpi_list_copy(&view, 0, view.count - 1, 1);
    mpi_atomic64_store(&view.idle[0], blob);
    /* The store's lists and their bits. */
    memset(list->shared.store.memory + 8, 0x5a, 4096);
    mpos_exit(9);
}

static int die_with_lock(mp_args *args)
{
    begin_and_die(mp_arg_shared_list(args, 0));
    return 1;
}

static int die_in_file(mp_args *args)
{
    begin_and_die(open_file(mp_arg_str(args, 0), 1));
    return 1;
}

/* -- Many processes -------------------------------------------------------- */

static size_t count_of(mp_shared_list *list, mp_obj *item)
{
    size_t count = 0;

    ok(mp_shared_list_count(list, item, &count));
    return count;
}

METHOD_TEST(shared_list, many_processes_fill_one_list)
{
    mp_shared_list *list = make_list(WORKERS * EACH + WORKERS);
    mp_process *children[WORKERS];

    for (int i = 0; i < WORKERS; i++)
        children[i] = support_start(method, fill, MP_ARGS(list, i));
    for (int i = 0; i < WORKERS; i++)
        cr_assert_eq(support_finish(children[i]), 0);
    ok(mp_shared_list_verify(list));
    cr_assert_eq(mp_shared_list_length(list), (size_t)WORKERS * EACH);
    for (int who = 0; who < WORKERS; who++)
        for (int i = 0; i < EACH; i += 37)
            cr_assert_eq(count_of(list, MP_TUPLE(who, i)), 1U);
    ok(mp_shared_list_close(list));
}

METHOD_TEST(shared_list, each_item_is_popped_once)
{
    enum { COUNT = 5000 };
    mp_shared_list *list = make_list(COUNT), *sums = make_list(WORKERS);
    mp_process *children[WORKERS];
    int64_t sum = 0;

    for (int64_t i = 0; i < COUNT; i++)
        ok(mp_shared_list_append(list, MP_BOX(i)));
    for (int i = 0; i < WORKERS; i++)
        children[i] = support_start(method, pop_all, MP_ARGS(list, sums));
    for (int i = 0; i < WORKERS; i++)
        cr_assert_eq(support_finish(children[i]), 0);
    for (int i = 0; i < WORKERS; i++) {
        mp_obj *obj = mp_shared_list_get(sums, i);
        int64_t part = 0;

        ok(mp_obj_as_int(obj, &part));
        mp_obj_unref(obj);
        sum += part;
    }
    cr_assert_eq(sum, (int64_t)COUNT * (COUNT - 1) / 2);
    ok(mp_shared_list_close(list));
    ok(mp_shared_list_close(sums));
}

static void append_in_thread(void *list)
{
    for (int i = 0; i < EACH; i++)
        mp_check(mp_shared_list_append(list, MP_BOX(i)));
}

Test(shared_list, threads_share_it_as_processes_do)
{
    mp_shared_list *list = make_list(WORKERS * EACH);
    mpos_thread threads[WORKERS];

    support_start_threads(threads, WORKERS, append_in_thread, list);
    support_join_threads(threads, WORKERS);
    ok(mp_shared_list_verify(list));
    for (int i = 0; i < EACH; i++)
        cr_assert_eq(count_of(list, MP_BOX(i)), (size_t)WORKERS);
    ok(mp_shared_list_close(list));
}

/* -- Travelling ------------------------------------------------------------ */

METHOD_TEST(shared_list, it_may_be_passed_several_times)
{
    mp_shared_list *list = make_list(10);
    mp_process_options options = {
        .start_method = method,
        .kwargs = MP_KWARGS("again", list),
    };
    mp_process *child = NULL;

    ok(mp_process_create(&child, use_nested,
                         MP_ARGS(MP_LIST(list, MP_DICT("k", list))), &options));
    ok(mp_process_start(child));
    cr_assert_eq(support_finish(child), 0);
    holds(list, "[0, 1, 2]");
    ok(mp_shared_list_close(list));
}

METHOD_TEST(shared_list, a_child_may_send_its_own)
{
    mp_connection *ours = NULL, *theirs = NULL;
    mp_shared_list *list;
    mp_process *child;
    mp_obj *obj = NULL;

    ok(mp_pipe(&ours, &theirs, NULL));
    child = support_start(method, send_own, MP_ARGS(theirs));
    ok(mp_connection_close(theirs));
    ok(mp_connection_recv(ours, &obj));
    ok(mp_obj_as_shared_list(obj, &list));
    ok(mp_shared_list_append(list, MP_BOX("parent")));
    ok(mp_connection_send(ours, MP_NONE));
    cr_assert_eq(support_finish(child), 0);
    holds(list, "['child', 'parent']");
    mp_obj_unref(obj);
    ok(mp_connection_close(ours));
}

METHOD_TEST(shared_list, it_may_be_closed_once_it_was_passed)
{
    mp_shared_list *list = make_list(WORKERS * EACH);
    mp_process *child = support_start(method, fill, MP_ARGS(list, 1));

    ok(mp_shared_list_close(list));
    cr_assert_eq(support_finish(child), 0);
}

Test(shared_list, forked_child_has_what_its_parent_has)
{
    global = make_list_of(MP_LIST("parent"));
    cr_assert_eq(
        support_run(support_method(MP_START_FORK), use_global, MP_ARGS()), 0);
    holds(global, "['parent', 'child']");
    ok(mp_shared_list_close(global));
}

/* -- Names ----------------------------------------------------------------- */

METHOD_TEST(shared_list, what_is_created_by_name_is_opened_by_it)
{
    mp_shared_list *list = NULL, *same = NULL;
    char name[64];

    ok(mp_shared_list_open(&list, make_name(name), 10, NULL));
    ok(mp_shared_list_append(list, MP_BOX("parent")));
    cr_assert_eq(support_run(method, append_by_name, MP_ARGS(name)), 0);
    /* Whatever is said of its sizes. */
    ok(mp_shared_list_open(&same, name, 99, NULL));
    holds(same, "['parent', 'by name']");
    for (int i = 0; i < 8; i++)
        ok(mp_shared_list_append(same, MP_BOX(i)));
    fails(mp_shared_list_append(same, MP_BOX(8)), MP_ENOSPC);
    ok(mp_shared_list_close(same));
    ok(mp_named_unlink(name));
    cr_assert_eq(mp_shared_list_length(list), 10U);
    ok(mp_shared_list_close(list));
}

Test(shared_list, a_name_of_another_kind_is_refused)
{
    const mp_shared_options only = {.open = {.mode = MP_CREATE_EXCLUSIVELY}};
    const mp_shared_options existing = {.open = {.mode = MP_OPEN_EXISTING}};
    mp_shared_list *list = NULL, *other = NULL;
    mp_lock *lock = NULL;
    char name[64];

    ok(mp_lock_open(&lock, make_name(name), NULL));
    fails(mp_shared_list_open(&list, name, 10, NULL), MP_ETYPE);
    ok(mp_named_unlink(name));
    ok(mp_lock_close(lock));
    fails(mp_shared_list_open(&list, name, 10, &existing), MP_ENOTFOUND);
    ok(mp_shared_list_open(&list, name, 10, &only));
    fails(mp_shared_list_open(&other, name, 10, &only), MP_EEXIST);
    fails(mp_lock_open(&lock, name, NULL), MP_ETYPE);
    ok(mp_named_unlink(name));
    ok(mp_shared_list_close(list));
}

/* -- Files ----------------------------------------------------------------- */

METHOD_TEST(shared_list, a_file_outlives_everybody)
{
    char folder[SUPPORT_PATH_SIZE], path[SUPPORT_PATH_SIZE];
    mp_shared_list *list;

    support_make_folder("mp-list-", folder);
    support_join_path(folder, "list", path);
    list = open_file(path, 10);
    ok(mp_shared_list_append(list, MP_LIST("parent", 1.5)));
    ok(mp_shared_list_sync(list));
    ok(mp_shared_list_close(list));
    cr_assert_eq(support_run(method, append_in_file, MP_ARGS((char *)path)), 0);
    list = open_file(path, 1);
    holds(list, "[['parent', 1.5], 'in a file']");
    ok(mp_shared_list_close(list));
    support_remove_folder(folder);
}

static size_t read_whole(const char *path, unsigned char *bytes, size_t room)
{
    FILE *file = fopen(path, "rb");
    size_t size;

    cr_assert_not_null(file);
    size = fread(bytes, 1, room, file);
    fclose(file);
    cr_assert_lt(size, room);
    return size;
}

static void write_whole(const char *path, const unsigned char *bytes,
                        size_t size)
{
    FILE *file = fopen(path, "wb");

    cr_assert_not_null(file);
    cr_assert_eq(fwrite(bytes, 1, size, file), size);
    cr_assert_eq(fclose(file), 0);
}

static void answers(mp_error err)
{
    if (err != MP_OK)
        cr_assert_str_not_empty(mp_error_message());
}

/* It is refused, or can be used somehow. */
static void use_damaged(const char *path)
{
    mp_shared_list *list = NULL;
    mp_error err = mp_shared_list_open_file(&list, path, 10, NULL);

    answers(err);
    cr_assert_eq(list != NULL, err == MP_OK);
    if (err != MP_OK)
        return;
    answers(mp_shared_list_append(list, MP_BOX("more")));
    answers(error_of(mp_shared_list_snapshot(list)));
    answers(mp_shared_list_sort(list));
    answers(mp_shared_list_verify(list));
    ok(mp_shared_list_close(list));
}

/* A byte of it is another one, or its end is missing. */
Test(shared_list, damaged_files_are_answered, .timeout = 120)
{
    /* The head, the thing, the table, the store. */
    static const size_t begins[] = {0, 1024, 64 << 10, (64 << 10) + 256};
    static unsigned char bytes[256 << 10];
    const size_t step = support_is_watched() ? 29 : 5;
    char folder[SUPPORT_PATH_SIZE], path[SUPPORT_PATH_SIZE];
    mp_shared_list *list;
    size_t size;

    support_make_folder("mp-list-", folder);
    support_join_path(folder, "list", path);
    list = open_file(path, 10);
    ok(mp_shared_list_extend(list, MP_LIST("b", "a", 1, MP_LIST(1))));
    ok(mp_shared_list_close(list));
    size = read_whole(path, bytes, sizeof(bytes));
    for (size_t place = 0; place < 4 * 256; place += step) {
        unsigned char *byte = &bytes[begins[place / 256] + place % 256];

        *byte ^= 0x41;
        write_whole(path, bytes, size);
        use_damaged(path);
        *byte ^= 0x41;
    }
    for (size_t less = 0; less < size; less += 1977) {
        write_whole(path, bytes, less);
        use_damaged(path);
    }
    support_remove_folder(folder);
}

/* What the thing says of its sizes is not believed. */
Test(shared_list, sizes_that_do_not_fit_are_refused)
{
    mp_shared_list *list = NULL, *other = NULL;
    mpi_shared_thing *thing;
    mpi_shared_thing saved;
    char name[64];

    ok(mp_shared_list_open(&list, make_name(name), 10, NULL));
    thing = list->shared.sync.share.memory;
    saved = *thing;
    for (int i = 0; i < 3 * 64; i++) {
        uint64_t *words[] = {&thing->capacity, &thing->table_size,
                             &thing->store_size};

        *words[i % 3] ^= UINT64_C(1) << i / 3;
        if (mp_shared_list_open(&other, name, 10, NULL) == MP_OK) {
            cr_assert_neq(i % 3, 1, "tables have one size only");
            cr_assert_lt(i / 3, 12, "less than there is, but for rounding");
            ok(mp_shared_list_close(other));
        } else {
            cr_assert_str_not_empty(mp_error_message());
        }
        thing->capacity = saved.capacity;
        thing->table_size = saved.table_size;
        thing->store_size = saved.store_size;
    }
    thing->table_size = UINT64_MAX;
    fails(mp_shared_list_open(&other, name, 10, NULL), MP_EPROTO);
    thing->table_size = saved.table_size;
    ok(mp_shared_list_open(&other, name, 10, NULL));
    ok(mp_shared_list_close(other));
    ok(mp_named_unlink(name));
    ok(mp_shared_list_close(list));
}

/* -- Death ----------------------------------------------------------------- */

METHOD_TEST(shared_list, who_is_killed_with_the_lock_leaves_it_whole)
{
    mp_shared_list *list = make_list_of(MP_LIST(1, "two", 3.0));
    int64_t began;

    for (int turn = 0; turn < 3; turn++) {
        cr_assert_eq(support_run(method, die_with_lock, MP_ARGS(list)), 9);
        began = mpos_now();
        holds(list, "[1, 'two', 3.0]");
        cr_assert_lt(mpos_now() - began, (int64_t)1000000000);
        ok(mp_shared_list_insert(list, 0, MP_BOX("next")));
        cr_assert_eq(error_of(mp_shared_list_pop(list, 0)), MP_OK);
    }
    ok(mp_shared_list_close(list));
}

METHOD_TEST(shared_list, a_file_is_whole_after_its_last_user_was_killed)
{
    char folder[SUPPORT_PATH_SIZE], path[SUPPORT_PATH_SIZE];
    mp_shared_list *list;

    support_make_folder("mp-list-", folder);
    support_join_path(folder, "list", path);
    list = open_file(path, 10);
    ok(mp_shared_list_extend(list, MP_LIST(1, "two", 3.0)));
    ok(mp_shared_list_close(list));
    cr_assert_eq(support_run(method, die_in_file, MP_ARGS((char *)path)), 9);
    list = open_file(path, 10);
    holds(list, "[1, 'two', 3.0]");
    ok(mp_shared_list_append(list, MP_BOX(4)));
    holds(list, "[1, 'two', 3.0, 4]");
    ok(mp_shared_list_close(list));
    support_remove_folder(folder);
}
