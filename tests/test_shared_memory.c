/* SPDX-License-Identifier: MIT */
/*
 * SharedMemory: made, found, shared, unlinked, and what is left when somebody
 * is killed on the way. What Python has to do with it is in
 * test_shared_memory_python.c, its failures in unit_fault_shared_memory.c.
 *
 * mp_named_clean() takes away what is unused at that moment, that of other
 * tests too: whoever needs an unused name to stay is in one test with it.
 */
#include "support/check.h"
#include "support/methods.h"
#include "support/named.h"
#include "support/system.h"

#include "os.h"

#include <stdlib.h>

enum {
    SIZE = 10000,
    ROUNDS = 200,
    RACERS = 4,
    KILLS = 60,
    OPENINGS = 5000,
    LONG_TIME = 20,
};

/* -- Helpers --------------------------------------------------------------- */

static mp_shared_memory *create(const char *name, size_t size)
{
    mp_shared_memory *memory = NULL;
    mp_error err = mp_shared_memory_create(&memory, name, size);

    cr_assert_eq(err, MP_OK, "%s", mp_error_message());
    return memory;
}

static mp_shared_memory *open_one(const char *name)
{
    mp_shared_memory *memory = NULL;
    mp_error err = mp_shared_memory_open(&memory, name);

    cr_assert_eq(err, MP_OK, "%s", mp_error_message());
    return memory;
}

static void expect_open(const char *name, mp_error expected)
{
    mp_shared_memory *memory = NULL;
    mp_error err = mp_shared_memory_open(&memory, name);

    cr_assert_eq(err, expected, "%s: %s", mp_error_name(err),
                 mp_error_message());
    cr_assert_null(memory);
    cr_assert_str_not_empty(mp_error_message());
}

static void expect_create(const char *name, size_t size, mp_error expected)
{
    mp_shared_memory *memory = NULL;
    mp_error err = mp_shared_memory_create(&memory, name, size);

    cr_assert_eq(err, expected, "%s: %s", mp_error_name(err),
                 mp_error_message());
    cr_assert_null(memory);
    cr_assert_str_not_empty(mp_error_message());
}

static void close_one(mp_shared_memory *memory)
{
    cr_assert_eq(mp_shared_memory_close(memory), MP_OK);
}

/* The last user: nothing is left. */
static void end(mp_shared_memory *memory)
{
    cr_assert_eq(mp_shared_memory_unlink(memory), MP_OK, "%s",
                 mp_error_message());
    close_one(memory);
}

/* A copy without the strings; kind NULL: it is not in the list. */
static mp_named find_listed(const char *name)
{
    mp_named found = {0};
    mp_named *all = NULL;
    size_t count = 0;

    cr_assert_eq(mp_named_list(&all, &count), MP_OK, "%s", mp_error_message());
    for (size_t i = 0; i < count; i++)
        if (strcmp(all[i].name, name) == 0)
            found = all[i];
    mp_free(all);
    found.name = NULL;
    return found;
}

/* By itself, as Python does it. */
static mpos_handle create_foreign(const char *name, size_t size)
{
    mpos_handle handle;
    mp_error err = mpos_shm_create(name, size, &handle);

    cr_assert_eq(err, MP_OK, "%s", mp_error_message());
    return handle;
}

static bool segment_exists(const char *name)
{
    mpos_handle handle;
    mp_error err = mpos_shm_open(name, &handle);

    if (err == MP_OK)
        mpos_close(handle);
    return err == MP_OK;
}

/* -- Making and finding ---------------------------------------------------- */

Test(shared_memory, what_is_created_by_name_is_opened_by_it)
{
    char name[SUPPORT_NAME_SIZE];
    mp_shared_memory *first = create(support_name(name), SIZE);
    mp_shared_memory *second = open_one(name);
    unsigned char *left = mp_shared_memory_data(first);
    unsigned char *right = mp_shared_memory_data(second);

    cr_assert_neq(left, right);
    for (size_t i = 0; i < SIZE; i++)
        cr_assert_eq(left[i], 0);
    left[0] = 7;
    left[SIZE - 1] = 8;
    cr_assert_eq(right[0], 7);
    cr_assert_eq(right[SIZE - 1], 8);
    cr_assert_str_eq(mp_shared_memory_name(first), name);
    cr_assert_str_eq(mp_shared_memory_name(second), name);
    close_one(first);
    cr_assert_eq(right[SIZE - 1], 8);
    end(second);
    expect_open(name, MP_ENOTFOUND);
}

Test(shared_memory, the_size_is_exact_for_all_who_open_it)
{
    static const size_t sizes[] = {1, 4095, 4096, 4097, 65536, 1000001};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char name[SUPPORT_NAME_SIZE];
        mp_shared_memory *first = create(support_name(name), sizes[i]);
        mp_shared_memory *second = open_one(name);

        cr_assert_eq(mp_shared_memory_size(first), sizes[i]);
        cr_assert_eq(mp_shared_memory_size(second), sizes[i]);
        close_one(second);
        end(first);
    }
}

Test(shared_memory, a_name_that_is_made_up_is_pythons)
{
    const char *prefix = mpos_system.has_fork ? "psm_" : "wnsm_";
    mp_shared_memory *first = create(NULL, 1);
    mp_shared_memory *second = create(NULL, 1);
    const char *name = mp_shared_memory_name(first);
    size_t length = strlen(prefix);

    cr_assert_eq(strncmp(name, prefix, length), 0, "%s", name);
    cr_assert_eq(strlen(name), length + 8);
    cr_assert_eq(strspn(name + length, "0123456789abcdef"), 8U, "%s", name);
    cr_assert_str_neq(name, mp_shared_memory_name(second));
    close_one(open_one(name));
    end(first);
    end(second);
}

Test(shared_memory, a_leading_slash_is_dropped)
{
    char plain[SUPPORT_NAME_SIZE];
    char name[SUPPORT_NAME_SIZE + 1];
    mp_shared_memory *first, *second;

    snprintf(name, sizeof(name), "/%s", support_name(plain));
    first = create(name, 10);
    cr_assert_str_eq(mp_shared_memory_name(first), name + 1);
    second = open_one(name + 1);
    close_one(second);
    second = open_one(name);
    cr_assert_str_eq(mp_shared_memory_name(second), name + 1);
    close_one(second);
    end(first);
}

Test(shared_memory, odd_names_and_sizes_are_refused)
{
    static const char *const bad[] = {
        "",
        "/",
        ".",
        "..",
        "/..",
        "a/b",
        "a\\b",
        "a\x01",
        "\xff",
        "//two",
        "multiproc.lock",
        ".multiproc-1-2-3",
    };
    char name[SUPPORT_NAME_SIZE];

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        expect_create(bad[i], 10, MP_EINVAL);
        expect_open(bad[i], MP_EINVAL);
    }
    expect_open(NULL, MP_EINVAL);
    expect_create(support_name(name), 0, MP_EINVAL);
    expect_create(NULL, 0, MP_EINVAL);
    cr_assert_eq(mp_shared_memory_create(NULL, name, 1), MP_EINVAL);
    cr_assert_eq(mp_shared_memory_open(NULL, name), MP_EINVAL);
    expect_open(name, MP_ENOTFOUND);
}

Test(shared_memory, a_name_is_taken_once)
{
    char name[SUPPORT_NAME_SIZE];
    mp_shared_memory *memory = create(support_name(name), 10);
    size_t handles = support_open_handles();
    mp_lock *lock = NULL;

    expect_create(name, 10, MP_EEXIST);
    expect_create(name, 20, MP_EEXIST);
    cr_assert_not_null(strstr(mp_error_message(), name));
    cr_assert_eq(mp_lock_open(&lock, name, NULL), MP_ETYPE);
    cr_assert_eq(support_open_handles(), handles);
    end(memory);

    cr_assert_eq(mp_lock_open(&lock, name, NULL), MP_OK);
    expect_create(name, 10, MP_EEXIST);
    cr_assert_not_null(strstr(mp_error_message(), "Lock"));
    expect_open(name, MP_ENOTFOUND);
    cr_assert_eq(mp_named_unlink(name), MP_OK);
    cr_assert_eq(mp_lock_close(lock), MP_OK);
}

/* -- Closing and unlinking ------------------------------------------------- */

Test(shared_memory, closed_it_answers_with_an_error)
{
    char name[SUPPORT_NAME_SIZE];
    mp_shared_memory *memory = create(support_name(name), 10);
    mp_obj *box;

    end(memory);
    cr_assert_null(mp_shared_memory_data(memory));
    cr_assert_eq(mp_shared_memory_size(memory), 0U);
    cr_assert_str_eq(mp_shared_memory_name(memory), "");
    cr_assert_eq(mp_shared_memory_unlink(memory), MP_ECLOSED);
    cr_assert_eq(mp_shared_memory_close(memory), MP_ECLOSED);
    box = MP_BOX(memory);
    cr_assert_eq(mp_obj_error(box), MP_ECLOSED);
    mp_obj_unref(box);
    cr_assert_eq(mp_shared_memory_close(NULL), MP_OK);
    cr_assert_null(mp_shared_memory_data(NULL));
    cr_assert_eq(mp_shared_memory_unlink(NULL), MP_EINVAL);
}

Test(shared_memory, unlinked_it_stays_with_those_who_have_it)
{
    char name[SUPPORT_NAME_SIZE];
    mp_shared_memory *first = create(support_name(name), SIZE);
    mp_shared_memory *second = open_one(name);
    mp_shared_memory *third;

    memset(mp_shared_memory_data(first), 'x', SIZE);
    cr_assert_eq(mp_shared_memory_unlink(second), MP_OK);
    if (!support_names_last()) {
        cr_assert_eq(mp_shared_memory_unlink(first), MP_OK);
        close_one(open_one(name));
        close_one(first);
        close_one(second);
        return;
    }
    expect_open(name, MP_ENOTFOUND);
    cr_assert_null(find_listed(name).kind);
    cr_assert_eq(mp_shared_memory_unlink(first), MP_ENOTFOUND);
    /* The name is another's from now on. */
    third = create(name, 5);
    cr_assert_eq(mp_shared_memory_unlink(first), MP_ENOTFOUND);
    cr_assert_eq(mp_shared_memory_size(third), 5U);
    cr_assert_eq(((char *)mp_shared_memory_data(third))[0], 0);
    cr_assert_eq(((char *)mp_shared_memory_data(second))[SIZE - 1], 'x');
    close_one(open_one(name));
    close_one(first);
    close_one(second);
    end(third);
}

Test(shared_memory, its_name_unlinked_as_a_name_takes_the_memory_along)
{
    char name[SUPPORT_NAME_SIZE];
    mp_shared_memory *memory = create(support_name(name), SIZE);

    cr_assert_eq(mp_named_unlink(name), MP_OK);
    if (support_names_last()) {
        cr_assert_not(segment_exists(name));
        expect_open(name, MP_ENOTFOUND);
        cr_assert_eq(mp_named_unlink(name), MP_ENOTFOUND);
        cr_assert_eq(mp_shared_memory_unlink(memory), MP_ENOTFOUND);
    }
    close_one(memory);
    cr_assert_eq(mp_named_unlink(name), MP_ENOTFOUND);
}

Test(shared_memory, nothing_is_left_of_what_is_ended)
{
    char name[SUPPORT_NAME_SIZE];
    size_t handles;

    end(create(support_name(name), SIZE));
    handles = support_open_handles();
    for (int i = 0; i < 50; i++) {
        mp_shared_memory *memory = create(i % 2 == 0 ? name : NULL, SIZE);

        close_one(open_one(mp_shared_memory_name(memory)));
        expect_create(mp_shared_memory_name(memory), SIZE, MP_EEXIST);
        end(memory);
        expect_open(name, MP_ENOTFOUND);
    }
    cr_assert_eq(support_open_handles(), handles);
    cr_assert_not(segment_exists(name));
    cr_assert_null(find_listed(name).kind);
}

Test(shared_memory, more_than_there_is_is_refused_and_leaves_no_name)
{
    static const size_t sizes[] = {(size_t)1 << 46, SIZE_MAX / 2, SIZE_MAX};
    char name[SUPPORT_NAME_SIZE];
    size_t handles;

    end(create(support_name(name), 1));
    handles = support_open_handles();
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        mp_shared_memory *memory = NULL;
        mp_error err = mp_shared_memory_create(&memory, name, sizes[i]);

        cr_assert(err == MP_ENOSPC || err == MP_ENOMEM, "%s: %s",
                  mp_error_name(err), mp_error_message());
        cr_assert_null(memory);
        cr_assert_not(segment_exists(name));
        cr_assert_null(find_listed(name).kind);
    }
    cr_assert_eq(support_open_handles(), handles);
    end(create(name, 1));
}

/* -- Beside Python --------------------------------------------------------- */

Test(shared_memory, what_others_have_made_is_opened_and_unlinked)
{
    char name[SUPPORT_NAME_SIZE];
    mpos_handle foreign = create_foreign(support_name(name), SIZE);
    mp_shared_memory *memory = open_one(name);

    cr_assert_geq(mp_shared_memory_size(memory), (size_t)SIZE);
    memset(mp_shared_memory_data(memory), 1, SIZE);
    cr_assert_null(find_listed(name).kind);
    expect_create(name, SIZE, MP_EEXIST);
    cr_assert_null(find_listed(name).kind);
    cr_assert_eq(mp_shared_memory_unlink(memory), MP_OK);
    if (support_names_last()) {
        cr_assert_eq(mp_shared_memory_unlink(memory), MP_ENOTFOUND);
        cr_assert_not(segment_exists(name));
    }
    close_one(memory);
    mpos_close(foreign);
}

Test(shared_memory, a_name_that_others_unlinked_and_took_is_theirs)
{
    char name[SUPPORT_NAME_SIZE];
    mp_shared_memory *ours = create(support_name(name), SIZE);
    mp_shared_memory *theirs;
    mpos_handle foreign;

    if (!support_names_last()) {
        end(ours);
        return;
    }
    cr_assert_eq(mpos_shm_unlink(name), MP_OK);
    expect_open(name, MP_ENOTFOUND);
    foreign = create_foreign(name, 77);
    theirs = open_one(name);
    cr_assert_eq(mp_shared_memory_size(theirs), 77U);
    cr_assert_eq(mp_shared_memory_unlink(ours), MP_ENOTFOUND);
    cr_assert(segment_exists(name));
    cr_assert_null(find_listed(name).kind);
    close_one(ours);
    close_one(theirs);
    mpos_close(foreign);
    cr_assert_eq(mpos_shm_unlink(name), MP_OK);
}

Test(shared_memory, a_name_that_others_unlinked_can_be_created_again)
{
    char name[SUPPORT_NAME_SIZE];
    mp_shared_memory *first = create(support_name(name), SIZE);
    mp_shared_memory *second;

    if (!support_names_last()) {
        end(first);
        return;
    }
    cr_assert_eq(mpos_shm_unlink(name), MP_OK);
    second = create(name, 99);
    cr_assert_eq(mp_shared_memory_unlink(first), MP_ENOTFOUND);
    close_one(first);
    cr_assert(find_listed(name).is_in_use);
    cr_assert_str_eq(find_listed(name).kind, "SharedMemory");
    first = open_one(name);
    cr_assert_eq(mp_shared_memory_size(first), 99U);
    close_one(first);
    end(second);
    cr_assert_null(find_listed(name).kind);
}

/* -- Travelling ------------------------------------------------------------ */

static int fill_it(mp_args *args)
{
    mp_shared_memory *memory = mp_arg_shared_memory(args, 0);
    unsigned char *data = mp_shared_memory_data(memory);

    if (mp_shared_memory_size(memory) != SIZE)
        return 1;
    if (mp_kwarg_shared_memory(args, "none", memory) != memory)
        return 2;
    for (size_t i = 0; i < SIZE; i++)
        data[i] = (unsigned char)(data[i] + i % 251);
    mp_check(mp_shared_memory_close(memory));
    return 0;
}

METHOD_TEST(shared_memory, a_child_is_given_it)
{
    char name[SUPPORT_NAME_SIZE];
    mp_shared_memory *memory = create(support_name(name), SIZE);
    unsigned char *data = mp_shared_memory_data(memory);

    memset(data, 5, SIZE);
    cr_assert_eq(support_run(method, fill_it, MP_ARGS(memory)), 0);
    for (size_t i = 0; i < SIZE; i++)
        cr_assert_eq(data[i], (unsigned char)(5 + i % 251));
    end(memory);
}

static int pass_it_back(mp_args *args)
{
    mp_connection *connection = mp_arg_connection(args, 0);
    mp_obj *message = NULL;
    mp_shared_memory *memory;
    const mp_obj *item;

    mp_check(mp_connection_recv(connection, &message));
    mp_check(mp_obj_item(message, 0, &item));
    mp_check(mp_obj_as_shared_memory(item, &memory));
    strcpy(mp_shared_memory_data(memory), "seen");
    mp_check(mp_connection_send(connection, message));
    return 0;
}

METHOD_TEST(shared_memory, it_passes_through_a_pipe_by_its_name)
{
    char name[SUPPORT_NAME_SIZE];
    mp_shared_memory *memory = create(support_name(name), SIZE);
    mp_shared_memory *same = NULL;
    mp_connection *ours, *theirs;
    mp_obj *back = NULL;
    const mp_obj *item;
    mp_process *child;

    cr_assert_eq(mp_pipe(&ours, &theirs, NULL), MP_OK);
    child = support_start(method, pass_it_back, MP_ARGS(theirs));
    cr_assert_eq(mp_connection_close(theirs), MP_OK);
    cr_assert_eq(mp_connection_send(ours, MP_LIST(memory, memory)), MP_OK, "%s",
                 mp_error_message());
    cr_assert_eq(mp_connection_recv(ours, &back), MP_OK, "%s",
                 mp_error_message());
    cr_assert_eq(mp_obj_item(back, 1, &item), MP_OK);
    cr_assert_eq(mp_obj_as_shared_memory(item, &same), MP_OK);
    cr_assert_str_eq(mp_shared_memory_data(same), "seen");
    cr_assert_str_eq(mp_shared_memory_data(memory), "seen");
    cr_assert_eq(mp_shared_memory_size(same), (size_t)SIZE);
    mp_obj_unref(back);
    cr_assert_eq(support_finish(child), 0);
    cr_assert_eq(mp_connection_close(ours), MP_OK);
    end(memory);
}

Test(shared_memory, one_that_came_can_be_closed_before_its_object)
{
    mp_shared_memory *memory = create(NULL, SIZE), *same = NULL;
    mp_connection *left, *right;
    mp_obj *came = NULL;

    cr_assert_eq(mp_pipe(&left, &right, NULL), MP_OK);
    cr_assert_eq(mp_connection_send(left, MP_BOX(memory)), MP_OK);
    cr_assert_eq(mp_connection_recv(right, &came), MP_OK);
    cr_assert_eq(mp_obj_as_shared_memory(came, &same), MP_OK);
    cr_assert_eq(mp_shared_memory_close(same), MP_OK);
    cr_assert_null(mp_shared_memory_data(same));
    cr_assert_eq(mp_shared_memory_close(same), MP_ECLOSED);
    cr_assert_eq(mp_connection_send(right, came), MP_EPICKLE);
    cr_assert_not_null(strstr(mp_error_message(), "closed"));
    cr_assert_eq(mp_connection_close(left), MP_OK);
    cr_assert_eq(mp_connection_close(right), MP_OK);
    end(memory);
}

Test(shared_memory, it_is_no_longer_there_when_it_arrives)
{
    mp_shared_memory *memory = create(NULL, SIZE);
    mp_connection *left, *right;
    mp_obj *back = NULL;
    mp_error err;

    cr_assert_eq(mp_pipe(&left, &right, NULL), MP_OK);
    cr_assert_eq(mp_connection_send(left, MP_LIST(memory)), MP_OK);
    end(memory);
    err = mp_connection_recv(right, &back);
    cr_assert_eq(err, MP_ENOTFOUND, "%s", mp_error_message());
    cr_assert_null(back);
    memory = create(NULL, SIZE);
    back = MP_BOX(memory);
    end(memory);
    cr_assert_eq(mp_connection_close(left), MP_OK);
    cr_assert_eq(mp_connection_close(right), MP_OK);
    mp_obj_unref(back);
}

/* -- Several at once ------------------------------------------------------- */

/* Creates each name if it can; the exit code is how often it was first. */
static int race(mp_args *args)
{
    mp_connection *start = mp_arg_connection(args, 0);
    mp_obj *go = NULL;
    int won = 0;

    mp_check(mp_connection_recv(start, &go));
    mp_obj_unref(go);
    for (int i = 0; i < ROUNDS; i++) {
        mp_shared_memory *memory = NULL;
        char name[64];
        mp_error err;

        snprintf(name, sizeof(name), "%s.%d", mp_arg_str(args, 1), i);
        err = mp_shared_memory_create(&memory, name, SIZE);
        if (err == MP_OK)
            won++;
        else if (err != MP_EEXIST)
            mp_check(err);
        else
            mp_check(mp_shared_memory_open(&memory, name));
        if (mp_shared_memory_size(memory) != SIZE)
            return 255;
        /* Open until the end: what nobody uses could be cleaned up. */
    }
    mp_check(mp_connection_send(start, MP_BOX(won)));
    (void)mp_connection_recv(start, &go);
    return 0;
}

Test(shared_memory, of_all_that_create_a_name_at_once_one_does, .timeout = 60)
{
    mp_process *racers[RACERS];
    mp_connection *ours[RACERS];
    char name[SUPPORT_NAME_SIZE];
    int64_t won = 0;

    support_name(name);
    for (int i = 0; i < RACERS; i++) {
        mp_connection *theirs;

        cr_assert_eq(mp_pipe(&ours[i], &theirs, NULL), MP_OK);
        racers[i] = support_start(MP_START_SPAWN, race, MP_ARGS(theirs, name));
        cr_assert_eq(mp_connection_close(theirs), MP_OK);
    }
    for (int i = 0; i < RACERS; i++)
        cr_assert_eq(mp_connection_send(ours[i], MP_NONE), MP_OK);
    for (int i = 0; i < RACERS; i++) {
        mp_obj *obj = NULL;
        int64_t number = 0;

        cr_assert_eq(mp_connection_recv(ours[i], &obj), MP_OK, "%s",
                     mp_error_message());
        cr_assert_eq(mp_obj_as_int(obj, &number), MP_OK);
        mp_obj_unref(obj);
        won += number;
    }
    cr_assert_eq(won, ROUNDS);
    for (int i = 0; i < ROUNDS; i++) {
        char each[SUPPORT_NAME_SIZE + 16];

        snprintf(each, sizeof(each), "%s.%d", name, i);
        if (i % 50 == 0)
            cr_assert_str_eq(find_listed(each).kind, "SharedMemory");
        end(open_one(each));
    }
    for (int i = 0; i < RACERS; i++) {
        cr_assert_eq(mp_connection_close(ours[i]), MP_OK);
        cr_assert_eq(support_finish(racers[i]), 0);
    }
}

/* Its own turns, or those of others, until it is killed. */
static int come_and_go(mp_args *args)
{
    const char *name = mp_arg_str(args, 1);

    mp_check(mp_connection_send(mp_arg_connection(args, 0), MP_NONE));
    for (;;) {
        mp_shared_memory *memory = NULL;
        mp_error err = mp_shared_memory_create(&memory, name, SIZE);

        if (err == MP_EEXIST)
            err = mp_shared_memory_open(&memory, name);
        if (err == MP_ENOTFOUND)
            continue;
        mp_check(err);
        if (mp_shared_memory_size(memory) != SIZE)
            return 1;
        err = mp_shared_memory_unlink(memory);
        if (err != MP_ENOTFOUND)
            mp_check(err);
        mp_check(mp_shared_memory_close(memory));
    }
}

static mp_process *start_with_name(mp_function target, const char *name)
{
    mp_connection *ours, *theirs;
    mp_process *process;
    mp_obj *ready = NULL;

    cr_assert_eq(mp_pipe(&ours, &theirs, NULL), MP_OK);
    process =
        support_start_daemon(MP_START_SPAWN, target, MP_ARGS(theirs, name));
    cr_assert_eq(mp_connection_close(theirs), MP_OK);
    cr_assert_eq(mp_connection_recv(ours, &ready), MP_OK, "%s",
                 mp_error_message());
    mp_obj_unref(ready);
    cr_assert_eq(mp_connection_close(ours), MP_OK);
    return process;
}

static void kill_one(mp_process *process)
{
    cr_assert_eq(mp_process_kill(process), MP_OK);
    cr_assert_eq(support_finish(process), -9);
}

static mp_error create_or_open(const char *name, mp_shared_memory **out)
{
    mp_error err = mp_shared_memory_create(out, name, SIZE);

    return err == MP_EEXIST ? mp_shared_memory_open(out, name) : err;
}

/* Two that create and unlink the name, one of them killed at any moment; then
 * the other: it goes on, and so does whoever comes next. */
Test(shared_memory, whoever_is_killed_leaves_a_name_that_works, .timeout = 120)
{
    int rounds = (int)support_scaled(KILLS);
    char name[SUPPORT_NAME_SIZE];

    support_name(name);
    for (int i = 0; i < rounds; i++) {
        mp_process *first = start_with_name(come_and_go, name);
        mp_process *second = start_with_name(come_and_go, name);
        mp_shared_memory *memory = NULL;
        mp_error err;

        mp_sleep(0.0003 * (i % 10));
        kill_one(first);
        mp_sleep(0.0005 * (i % 7));
        kill_one(second);
        /* No memory without a name that tells of it. */
        cr_assert(!segment_exists(name) || find_listed(name).kind != NULL);
        err = create_or_open(name, &memory);
        cr_assert_eq(err, MP_OK, "%s", mp_error_message());
        cr_assert_eq(mp_shared_memory_size(memory), (size_t)SIZE);
        memset(mp_shared_memory_data(memory), 1, SIZE);
        end(memory);
        cr_assert_not(segment_exists(name));
        cr_assert_null(find_listed(name).kind);
    }
}

/* In the midst of being made it has no size for a moment. */
Test(shared_memory, whoever_opens_while_others_create_waits_for_them,
     .timeout = 120)
{
    int rounds = (int)support_scaled(OPENINGS);
    char name[SUPPORT_NAME_SIZE];
    mp_shared_memory *rest = NULL;
    mp_process *creator;

    support_name(name);
    creator = start_with_name(come_and_go, name);
    for (int i = 0; i < rounds; i++) {
        mp_shared_memory *memory = NULL;
        mp_error err = mp_shared_memory_open(&memory, name);

        if (err == MP_ENOTFOUND)
            continue;
        cr_assert_eq(err, MP_OK, "%s", mp_error_message());
        cr_assert_eq(mp_shared_memory_size(memory), (size_t)SIZE);
        cr_assert_eq(mp_shared_memory_close(memory), MP_OK);
    }
    kill_one(creator);
    cr_assert_eq(create_or_open(name, &rest), MP_OK, "%s", mp_error_message());
    end(rest);
}

/* -- Leftovers ------------------------------------------------------------- */

static int create_and_wait(mp_args *args)
{
    mp_shared_memory *memory;

    mp_check(mp_shared_memory_create(&memory, mp_arg_str(args, 1), SIZE));
    mp_check(mp_connection_send(mp_arg_connection(args, 0), MP_NONE));
    mp_sleep(LONG_TIME);
    return 1;
}

/* As Python would: it has only the segment, and no lock on anything. */
static int map_and_wait(mp_args *args)
{
    const mpos_extent extent = {.size = SIZE};
    mpos_handle handle;
    void *address;

    mp_check(mpos_shm_open(mp_arg_str(args, 1), &handle));
    mp_check(mpos_memory_map(handle, &extent, &address));
    mpos_close(handle);
    mp_check(mp_connection_send(mp_arg_connection(args, 0), MP_NONE));
    mp_sleep(LONG_TIME);
    return 1;
}

static bool tells_users(void)
{
    return strcmp(mpos_system.system, "linux") == 0;
}

static void clean(void)
{
    cr_assert_eq(mp_named_clean(NULL), MP_OK, "%s", mp_error_message());
}

static void clean_after_kill(const char *name)
{
    mp_process *creator = start_with_name(create_and_wait, name);
    int64_t pid = mp_process_pid(creator);
    mp_named found = find_listed(name);
    mp_process *stranger;

    cr_assert_str_eq(found.kind, "SharedMemory");
    cr_assert_eq(found.creator_pid, pid);
    cr_assert(found.is_in_use);
    clean();
    cr_assert(segment_exists(name));
    stranger = start_with_name(map_and_wait, name);
    kill_one(creator);
    if (!support_names_last()) {
        kill_one(stranger);
        return;
    }
    found = find_listed(name);
    cr_assert_str_eq(found.kind, "SharedMemory");
    cr_assert_eq(found.creator_pid, pid);
    cr_assert(found.is_in_use);
    clean();
    cr_assert(segment_exists(name));
    kill_one(stranger);
    cr_assert_eq(find_listed(name).is_in_use, !tells_users());
    clean();
    cr_assert_eq(segment_exists(name), !tells_users());
    if (!tells_users())
        cr_assert_eq(mp_named_unlink(name), MP_OK);
    cr_assert_null(find_listed(name).kind);
    cr_assert_not(segment_exists(name));
}

/* Python's unlinked it, or its creator was killed early. */
static void clean_companion_alone(const char *name)
{
    mp_shared_memory *memory = create(name, SIZE);

    cr_assert_eq(mpos_shm_unlink(name), MP_OK);
    cr_assert(find_listed(name).is_in_use);
    close_one(memory);
    cr_assert_str_eq(find_listed(name).kind, "SharedMemory");
    cr_assert_not(find_listed(name).is_in_use);
    expect_open(name, MP_ENOTFOUND);
    clean();
    cr_assert_null(find_listed(name).kind);
}

/* Nobody's leftover is more than its own. */
static void clean_beside_another(const char *name)
{
    mp_shared_memory *memory = create(name, SIZE);
    mpos_handle foreign;

    close_one(memory);
    cr_assert_eq(mpos_shm_unlink(name), MP_OK);
    foreign = create_foreign(name, 5);
    mpos_close(foreign);
    clean();
    cr_assert_null(find_listed(name).kind);
    cr_assert(segment_exists(name));
    cr_assert_eq(mpos_shm_unlink(name), MP_OK);
}

/* All in one: see above. */
Test(shared_memory, what_the_dead_have_left_is_found_and_removed)
{
    char name[SUPPORT_NAME_SIZE];
    mp_shared_memory *kept = create(NULL, SIZE);

    clean_after_kill(support_name(name));
    if (support_names_last()) {
        clean_companion_alone(name);
        clean_beside_another(name);
    }
    cr_assert(segment_exists(mp_shared_memory_name(kept)));
    end(kept);
}
