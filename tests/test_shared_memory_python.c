/* SPDX-License-Identifier: MIT */
/*
 * SharedMemory and ShareableList between us and the Pythons of this machine, by
 * name, in both directions. What Python does is in interop_shared_memory.py,
 * beside this file.
 */
#include "support/check.h"
#include "support/named.h"
#include "support/python.h"
#include "support/system.h"
#include "support/testing.h"

#include "internal.h"
#include "os.h"
#include "pickle.h"

#include <multiproc.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* 3.8 has it first, and lays out a ShareableList in another way. */
enum { SIZE = 10000, LEAST_MINOR = 8, MINOR_OF_LAYOUT = 9 };

/* -- Running Python -------------------------------------------------------- */

static void expect(const python *with, const char *what, const char *arguments)
{
    char command[4 * SUPPORT_PATH_SIZE];

    snprintf(command, sizeof(command), "%s \"%s\" %s %s", with->program,
             with->script, what, arguments);
    cr_assert_eq(python_run(command), 0, "%s: %s %s", with->program, what,
                 arguments);
}

static void for_each_python(void (*talk)(const python *with))
{
    char script[SUPPORT_PATH_SIZE];

    python_script("interop_shared_memory.py", script);
    python_for_each(script, LEAST_MINOR, talk);
}

static bool has_old_layout(const python *with)
{
    return with->minor < MINOR_OF_LAYOUT;
}

/* -- Values ---------------------------------------------------------------- */

static unsigned char pattern(size_t i, size_t step)
{
    return (unsigned char)(i * step % 251);
}

static void fill(mp_shared_memory *memory, size_t step)
{
    unsigned char *data = mp_shared_memory_data(memory);

    for (size_t i = 0; i < SIZE; i++)
        data[i] = pattern(i, step);
}

static void expect_pattern(mp_shared_memory *memory, size_t step)
{
    const unsigned char *data = mp_shared_memory_data(memory);

    for (size_t i = 0; i < SIZE; i++)
        cr_assert_eq(data[i], pattern(i, step), "byte %zu", i);
}

#define E_ACUTE_8                      \
    "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9" \
    "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
#define SNAKE "\xf0\x9f\x90\x8d"

static mp_obj *thousand(char letter, bool is_bytes)
{
    char text[1000];

    memset(text, letter, sizeof(text));
    return is_bytes ? mp_obj_bytes(text, sizeof(text))
                    : mp_obj_strn(text, sizeof(text));
}

/* VALUES there. */
static mp_obj *values(void)
{
    return MP_LIST(0, -1, INT64_MAX, INT64_MIN, 1.5, -0.0, HUGE_VAL, 5e-324,
                   MP_TRUE, MP_FALSE, MP_NONE, "", "abc", "12345678", E_ACUTE_8,
                   SNAKE SNAKE, "h\xc3\xa9llo w\xc3\xb6rld", MP_BYTES("", 0),
                   MP_BYTES("\0a\0b", 4),
                   MP_BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff", 9),
                   thousand('x', false));
}

/* CHANGES there; consumes nothing. */
typedef struct change {
    int64_t index;
    mp_obj *value;
} change;

enum { CHANGES = 12 };

static void make_changes(change changes[CHANGES])
{
    const change all[CHANGES] = {
        {0, MP_NONE},
        {1, MP_TRUE},
        {2, MP_BOX(2.5)},
        {3, MP_BOX("12345678")},
        {4, MP_BYTES("\xff\0\xfe", 3)},
        {8, MP_NONE},
        {9, MP_BOX(7)},
        {10, MP_BOX("was no\xc3\xb1")},
        {14, MP_NONE},
        {15, MP_FALSE},
        {19, MP_BOX(E_ACUTE_8)},
        {20, thousand('y', true)},
    };

    memcpy(changes, all, sizeof(all));
}

/* Compared by repr: -0.0 is not 0.0, nor True 1. */
static void expect_same(const mp_obj *left, const mp_obj *right, int64_t index)
{
    char *first = NULL, *second = NULL;

    cr_assert_eq(mp_obj_repr(left, &first), MP_OK, "item %d: %s", (int)index,
                 mp_error_message());
    cr_assert_eq(mp_obj_repr(right, &second), MP_OK);
    cr_assert_str_eq(first, second);
    mp_free(first);
    mp_free(second);
}

static void expect_items(const mp_shareable_list *list, bool is_changed)
{
    mp_obj *expected = values();
    change changes[CHANGES];
    size_t next = 0;

    make_changes(changes);
    cr_assert_eq(mp_shareable_list_length(list), 21U);
    for (int64_t i = 0; i < 21; i++) {
        mp_obj *item = mp_shareable_list_get(list, i);
        const mp_obj *wanted;

        cr_assert_eq(mp_obj_item(expected, i, &wanted), MP_OK);
        if (is_changed && next < CHANGES && changes[next].index == i)
            wanted = changes[next++].value;
        expect_same(item, wanted, i);
        mp_obj_unref(item);
    }
    for (size_t i = 0; i < CHANGES; i++)
        mp_obj_unref(changes[i].value);
    mp_obj_unref(expected);
}

static void change_items(mp_shareable_list *list)
{
    change changes[CHANGES];

    make_changes(changes);
    for (size_t i = 0; i < CHANGES; i++)
        cr_assert_eq(
            mp_shareable_list_set(list, changes[i].index, changes[i].value),
            MP_OK, "item %d: %s", (int)changes[i].index, mp_error_message());
}

/* A name without blanks. */
static const char *new_name(char name[SUPPORT_NAME_SIZE])
{
    static unsigned count;

    snprintf(name, SUPPORT_NAME_SIZE, "python-%lld-%u", (long long)mp_getpid(),
             count++);
    return name;
}

static mp_shared_memory *open_memory(const char *name)
{
    mp_shared_memory *memory = NULL;

    cr_assert_eq(mp_shared_memory_open(&memory, name), MP_OK, "%s",
                 mp_error_message());
    return memory;
}

static mp_shareable_list *open_list(const char *name)
{
    mp_shareable_list *list = NULL;

    cr_assert_eq(mp_shareable_list_open(&list, name), MP_OK, "%s",
                 mp_error_message());
    return list;
}

static void expect_none(const char *name)
{
    mp_shared_memory *memory = NULL;

    cr_assert_eq(mp_shared_memory_open(&memory, name), MP_ENOTFOUND);
}

/* -- SharedMemory ---------------------------------------------------------- */

static mp_shared_memory *create_memory(const char *name)
{
    mp_shared_memory *memory = NULL;

    cr_assert_eq(mp_shared_memory_create(&memory, name, SIZE), MP_OK, "%s",
                 mp_error_message());
    return memory;
}

static void use_ours(const python *with)
{
    char name[SUPPORT_NAME_SIZE];
    mp_shared_memory *memory = create_memory(new_name(name));

    fill(memory, 3);
    expect(with, "use", name);
    expect_pattern(memory, 5);
    expect(with, "check", name);
    expect(with, "taken", name);
    cr_assert_eq(mp_shared_memory_unlink(memory), MP_OK);
    if (support_names_last())
        expect(with, "gone", name);
    expect_pattern(memory, 5);
    cr_assert_eq(mp_shared_memory_close(memory), MP_OK);
}

/* Python unlinks ours: it is gone, and so is all that we have beside it. */
static void unlink_ours(const python *with)
{
    char name[SUPPORT_NAME_SIZE];
    mp_shared_memory *memory = create_memory(new_name(name));

    expect(with, "unlink", name);
    expect_none(name);
    expect(with, "gone", name);
    cr_assert_eq(mp_shared_memory_unlink(memory), MP_ENOTFOUND);
    cr_assert_eq(mp_named_unlink(name), MP_ENOTFOUND);
    cr_assert_eq(mp_shared_memory_close(memory), MP_OK);
}

static void use_pythons(const python *with)
{
    char name[SUPPORT_NAME_SIZE];
    mp_shared_memory *memory;
    mp_shared_memory *other = NULL;

    expect(with, "make", new_name(name));
    memory = open_memory(name);
    cr_assert_eq(mp_shared_memory_size(memory), (size_t)SIZE);
    expect_pattern(memory, 3);
    cr_assert_eq(mp_shared_memory_create(&other, name, SIZE), MP_EEXIST);
    fill(memory, 5);
    expect(with, "check", name);
    cr_assert_eq(mp_shared_memory_unlink(memory), MP_OK, "%s",
                 mp_error_message());
    expect(with, "gone", name);
    cr_assert_eq(mp_shared_memory_close(memory), MP_OK);

    expect(with, "make", name);
    memory = open_memory(name);
    expect(with, "unlink", name);
    cr_assert_eq(mp_shared_memory_unlink(memory), MP_ENOTFOUND);
    cr_assert_eq(mp_shared_memory_close(memory), MP_OK);
    expect_none(name);
}

/* Its tracker is a process of its own, which ends after it. */
static void wait_until_gone(const char *name)
{
    mp_shared_memory *memory = NULL;

    for (int i = 0; i < 2000; i++) {
        if (mp_shared_memory_open(&memory, name) == MP_ENOTFOUND)
            return;
        cr_assert_eq(mp_shared_memory_close(memory), MP_OK);
        mp_sleep(0.01);
    }
    cr_assert_fail("Python has not unlinked it");
}

/* What the header warns of: nobody has asked it to. */
static void be_tracked(const python *with)
{
    char name[SUPPORT_NAME_SIZE];
    char quiet[SUPPORT_NAME_SIZE + 32];
    mp_shared_memory *memory = create_memory(new_name(name));

    fill(memory, 5);
    /* It complains about what it takes for a leak. */
    snprintf(quiet, sizeof(quiet), "%s 2> %s", name, mpos_system.null_device);
    expect(with, "tracked", quiet);
    wait_until_gone(name);
    expect_pattern(memory, 5);
    cr_assert_eq(mp_shared_memory_unlink(memory), MP_ENOTFOUND);
    cr_assert_eq(mp_shared_memory_close(memory), MP_OK);
    memory = create_memory(name);
    cr_assert_eq(mp_shared_memory_unlink(memory), MP_OK);
    cr_assert_eq(mp_shared_memory_close(memory), MP_OK);
}

static void skip_where_names_go(void)
{
    if (!support_names_last())
        cr_skip_test("what Python makes goes with it");
}

Test(shared_memory_python, bytes_pass_through_ours, .timeout = 120)
{
    for_each_python(use_ours);
}

Test(shared_memory_python, bytes_pass_through_pythons, .timeout = 120)
{
    skip_where_names_go();
    for_each_python(use_pythons);
}

Test(shared_memory_python, what_python_unlinks_is_gone, .timeout = 120)
{
    skip_where_names_go();
    for_each_python(unlink_ours);
}

Test(shared_memory_python, a_python_that_tracks_it_unlinks_it, .timeout = 120)
{
    skip_where_names_go();
    for_each_python(be_tracked);
}

/* -- ShareableList --------------------------------------------------------- */

static void change_ours(const python *with)
{
    char name[SUPPORT_NAME_SIZE];
    mp_shareable_list *list = NULL;

    cr_assert_eq(mp_shareable_list_create(&list, values(), new_name(name)),
                 MP_OK, "%s", mp_error_message());
    if (!has_old_layout(with)) {
        expect(with, "read_list", name);
        expect_items(list, true);
        expect(with, "check_list", name);
    }
    cr_assert_eq(mp_shareable_list_unlink(list), MP_OK);
    cr_assert_eq(mp_shareable_list_close(list), MP_OK);

    cr_assert_eq(mp_shareable_list_create(&list, values(), name), MP_OK);
    expect_items(list, false);
    change_items(list);
    if (!has_old_layout(with))
        expect(with, "check_list", name);
    cr_assert_eq(mp_shareable_list_unlink(list), MP_OK);
    cr_assert_eq(mp_shareable_list_close(list), MP_OK);
}

static void change_pythons(const python *with)
{
    char name[SUPPORT_NAME_SIZE];
    mp_shareable_list *list;

    expect(with, "make_list", new_name(name));
    list = open_list(name);
    expect_items(list, false);
    change_items(list);
    expect_items(list, true);
    expect(with, "check_list", name);
    cr_assert_eq(mp_shareable_list_unlink(list), MP_OK);
    cr_assert_eq(mp_shareable_list_close(list), MP_OK);
    expect(with, "make_list", name);
    expect(with, "read_list", name);
    list = open_list(name);
    expect_items(list, true);
    cr_assert_eq(mp_shareable_list_unlink(list), MP_OK);
    cr_assert_eq(mp_shareable_list_close(list), MP_OK);
}

/* A str that CPython itself can't read any more. */
static void read_broken(const python *with)
{
    char name[SUPPORT_NAME_SIZE];
    mp_shareable_list *list;
    mp_obj *item, *expected = MP_BYTES("a", 1);

    expect(with, "make_broken_list", new_name(name));
    list = open_list(name);
    item = mp_shareable_list_get(list, 0);
    cr_assert_eq(mp_obj_error(item), MP_EPROTO);
    mp_obj_unref(item);
    item = mp_shareable_list_get(list, 1);
    cr_assert(mp_obj_equal(item, expected));
    mp_obj_unref(item);
    mp_obj_unref(expected);
    cr_assert_eq(mp_shareable_list_unlink(list), MP_OK);
    cr_assert_eq(mp_shareable_list_close(list), MP_OK);
}

static void compare_text(const mp_shareable_list *list, const char *path)
{
    char *format = NULL, *repr = NULL;
    char *ours, *theirs = malloc(20000);
    size_t size;

    cr_assert_eq(mp_shareable_list_format(list, &format), MP_OK);
    cr_assert_eq(mp_shareable_list_repr(list, &repr), MP_OK);
    size = strlen(format) + 1 + strlen(repr) + 1;
    ours = malloc(size);
    snprintf(ours, size, "%s\n%s", format, repr);
    support_read_file(path, theirs, 20000);
    cr_assert_str_eq(ours, theirs);
    mp_free(format);
    mp_free(repr);
    free(ours);
    free(theirs);
}

/* Python's format and repr are ours. */
static void describe(const python *with)
{
    char folder[SUPPORT_PATH_SIZE], path[SUPPORT_PATH_SIZE];
    char arguments[SUPPORT_PATH_SIZE + 2 * SUPPORT_NAME_SIZE + 8];
    char name[SUPPORT_NAME_SIZE];
    mp_shareable_list *list = NULL;

    if (has_old_layout(with))
        return;
    support_make_folder("mp-python", folder);
    support_join_path(folder, "text", path);
    cr_assert_eq(mp_shareable_list_create(&list, values(), new_name(name)),
                 MP_OK);
    snprintf(arguments, sizeof(arguments), "%s \"%s\"", name, path);
    expect(with, "describe", arguments);
    compare_text(list, path);
    support_remove_folder(folder);
    cr_assert_eq(mp_shareable_list_unlink(list), MP_OK);
    cr_assert_eq(mp_shareable_list_close(list), MP_OK);
}

Test(shared_memory_python, our_lists_are_equal_on_both_sides, .timeout = 120)
{
    for_each_python(change_ours);
}

Test(shared_memory_python, pythons_lists_are_equal_on_both_sides,
     .timeout = 120)
{
    skip_where_names_go();
    for_each_python(change_pythons);
}

Test(shared_memory_python, what_python_has_cut_is_damaged, .timeout = 120)
{
    skip_where_names_go();
    for_each_python(read_broken);
}

Test(shared_memory_python, format_and_repr_are_pythons, .timeout = 120)
{
    for_each_python(describe);
}

/* -- Pickles --------------------------------------------------------------- */

typedef struct both {
    mp_shared_memory *memory;
    mp_shareable_list *list;
    char memory_name[SUPPORT_NAME_SIZE];
    char list_name[SUPPORT_NAME_SIZE];
} both;

static void begin(both *it)
{
    it->memory = create_memory(new_name(it->memory_name));
    cr_assert_eq(mp_shareable_list_create(&it->list, MP_LIST("0123456789"),
                                          new_name(it->list_name)),
                 MP_OK);
}

static void finish(both *it)
{
    cr_assert_eq(mp_shared_memory_unlink(it->memory), MP_OK);
    cr_assert_eq(mp_shared_memory_close(it->memory), MP_OK);
    cr_assert_eq(mp_shareable_list_unlink(it->list), MP_OK);
    cr_assert_eq(mp_shareable_list_close(it->list), MP_OK);
}

static void write_pickle(const both *it, const char *path)
{
    mpi_transport transport = {0};
    mpi_buffer bytes = {0};
    mp_obj *obj = MP_LIST(it->memory, it->list);
    FILE *file = fopen(path, "wb");

    cr_assert_not_null(file);
    cr_assert_eq(mpi_pickle_dump(&bytes, obj, &transport), MP_OK, "%s",
                 mp_error_message());
    cr_assert_eq(fwrite(bytes.data, 1, bytes.size, file), bytes.size);
    cr_assert_eq(fclose(file), 0);
    mpi_buffer_free(&bytes);
    mpi_transport_free(&transport);
    mp_obj_unref(obj);
}

/* Python unpickles what would travel through a pipe. */
static void give(const python *with, both *it, const char *folder)
{
    char path[SUPPORT_PATH_SIZE];
    char quoted[SUPPORT_PATH_SIZE + 2];
    mp_obj *item, *expected = MP_BOX("taken");

    support_join_path(folder, "ours", path);
    write_pickle(it, path);
    snprintf(quoted, sizeof(quoted), "\"%s\"", path);
    expect(with, "take", quoted);
    cr_assert_eq(memcmp(mp_shared_memory_data(it->memory), "take", 4), 0);
    item = mp_shareable_list_get(it->list, 0);
    cr_assert(mp_obj_equal(item, expected));
    mp_obj_unref(item);
    mp_obj_unref(expected);
}

static mp_obj *read_pickle(const char *path, bool is_from_pipe)
{
    mpi_transport transport = {0};
    unsigned char bytes[2000];
    FILE *file = fopen(path, "rb");
    mp_obj *obj = NULL;
    size_t size;

    if (file == NULL)
        return NULL;
    size = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    cr_assert_eq(
        mpi_pickle_load(bytes, size, is_from_pipe ? &transport : NULL, &obj),
        MP_OK, "%s", mp_error_message());
    mpi_transport_free(&transport);
    return obj;
}

static void expect_both(const mp_obj *obj, const both *it)
{
    mp_shared_memory *memory = NULL;
    mp_shareable_list *list = NULL;
    const mp_obj *item;

    cr_assert_eq(mp_obj_item(obj, 0, &item), MP_OK);
    cr_assert_eq(mp_obj_as_shared_memory(item, &memory), MP_OK, "%s",
                 mp_error_message());
    cr_assert_str_eq(mp_shared_memory_name(memory), it->memory_name);
    cr_assert_eq(memcmp(mp_shared_memory_data(memory), "take", 4), 0);
    cr_assert_eq(mp_obj_item(obj, 1, &item), MP_OK);
    cr_assert_eq(mp_obj_as_shareable_list(item, &list), MP_OK, "%s",
                 mp_error_message());
    cr_assert_str_eq(mp_shared_memory_name(mp_shareable_list_memory(list)),
                     it->list_name);
}

/* We unpickle Python's, of any protocol; but only what comes through a pipe:
 * bytes from anywhere open nothing. */
static void take(const python *with, both *it, const char *folder)
{
    char arguments[SUPPORT_PATH_SIZE + 2 * SUPPORT_NAME_SIZE + 8];
    char path[SUPPORT_PATH_SIZE];
    char numbered[SUPPORT_PATH_SIZE + 16];
    int protocol = 0;
    mp_obj *obj;

    support_join_path(folder, "pythons", path);
    snprintf(arguments, sizeof(arguments), "%s %s \"%s\"", it->memory_name,
             it->list_name, path);
    expect(with, "give", arguments);
    for (;; protocol++) {
        const mp_obj *item;

        snprintf(numbered, sizeof(numbered), "%s.%d", path, protocol);
        obj = read_pickle(numbered, true);
        if (obj == NULL)
            break;
        expect_both(obj, it);
        mp_obj_unref(obj);
        obj = read_pickle(numbered, false);
        cr_assert_eq(mp_obj_item(obj, 0, &item), MP_OK);
        cr_assert_eq(mp_obj_type(item), MP_TYPE_OPAQUE);
        cr_assert_eq(mp_obj_item(obj, 1, &item), MP_OK);
        cr_assert_eq(mp_obj_type(item), MP_TYPE_OPAQUE);
        mp_obj_unref(obj);
    }
    cr_assert_gt(protocol, 4);
}

static void exchange_pickles(const python *with)
{
    char folder[SUPPORT_PATH_SIZE];
    both it;

    if (has_old_layout(with))
        return;
    support_make_folder("mp-python", folder);
    begin(&it);
    give(with, &it, folder);
    take(with, &it, folder);
    finish(&it);
    support_remove_folder(folder);
}

Test(shared_memory_python, both_travel_in_pickles_to_and_from_python,
     .timeout = 120)
{
    for_each_python(exchange_pickles);
}
