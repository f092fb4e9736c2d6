/* SPDX-License-Identifier: MIT */
/* Value and Array by name and in files: who finds what, what is refused, what
 * a crash leaves, and what damage does not do. */
#include "support/check.h"
#include "support/served.h"
#include "support/spot.h"

#include <multiproc/value.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTH = 10, LARGE = 50000, WORKERS = 4, ADDS = 500 };

typedef struct point {
    double x;
    double y;
} point;

static const mp_value_options existing = {.open = {.mode = MP_OPEN_EXISTING}};
static const mp_value_options exclusively = {
    .open = {.mode = MP_CREATE_EXCLUSIVELY}};
static const mp_value_options lockless = {.has_no_lock = true};
static const mp_value_options read_only = {.is_read_only = true};

static mp_error open_array(mp_array **out, const spot *at, mp_ctype type,
                           size_t length, const mp_value_options *options)
{
    return at->is_file
               ? mp_array_open_file(out, at->name, type, length, NULL, options)
               : mp_array_open(out, at->name, type, length, NULL, options);
}

static mp_error open_value(mp_value **out, const spot *at, mp_ctype type,
                           const void *initial, const mp_value_options *options)
{
    return at->is_file
               ? mp_value_open_file(out, at->name, type, initial, options)
               : mp_value_open(out, at->name, type, initial, options);
}

static mp_array *must_open(const spot *at, size_t length,
                           const mp_value_options *options)
{
    mp_array *array = NULL;

    ok(open_array(&array, at, MP_CTYPE(int), length, options));
    cr_assert_not_null(array);
    return array;
}

static mp_value *must_open_value(const spot *at, int initial)
{
    mp_value *value = NULL;

    ok(open_value(&value, at, MP_CTYPE(int), &initial, NULL));
    return value;
}

static void refuse(const spot *at, mp_ctype type, size_t length,
                   const mp_value_options *options, mp_error expected)
{
    mp_array *array = NULL;
    mp_error err = open_array(&array, at, type, length, options);

    cr_assert_eq(err, expected, "%s: %s", mp_error_name(err),
                 mp_error_message());
    cr_assert_null(array);
    cr_assert_str_not_empty(mp_error_message());
}

static void refuse_value(const spot *at, mp_ctype type,
                         const mp_value_options *options, mp_error expected)
{
    mp_value *value = NULL;
    mp_error err = open_value(&value, at, type, NULL, options);

    cr_assert_eq(err, expected, "%s: %s", mp_error_name(err),
                 mp_error_message());
    cr_assert_null(value);
}

static void expect_sentence(const char *part)
{
    cr_assert_not_null(strstr(mp_error_message(), part), "%s",
                       mp_error_message());
}

/* -- Files, byte by byte --------------------------------------------------- */

typedef struct content {
    unsigned char *bytes;
    size_t size;
} content;

static content read_whole(const char *path)
{
    FILE *file = fopen(path, "rb");
    content it = {NULL, 0};

    cr_assert_not_null(file);
    fseek(file, 0, SEEK_END);
    it.size = (size_t)ftell(file);
    rewind(file);
    it.bytes = malloc(it.size + 1);
    cr_assert_eq(fread(it.bytes, 1, it.size, file), it.size);
    fclose(file);
    return it;
}

static void write_whole(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");

    cr_assert_not_null(file);
    cr_assert_eq(fwrite(bytes, 1, size, file), size);
    cr_assert_eq(fclose(file), 0);
}

/* -- Targets: (is_file, name, ...) ----------------------------------------- */

static spot spot_of(mp_args *args)
{
    spot at = {.is_file = mp_arg_bool(args, 0)};

    snprintf(at.name, sizeof(at.name), "%s", mp_arg_str(args, 1));
    return at;
}

#define SPOT(at) MP_BOX((at).is_file), MP_BOX((at).name)

static int open_and_add(mp_args *args)
{
    spot at = spot_of(args);
    mp_value *value;

    mp_check(open_value(&value, &at, MP_CTYPE(int), NULL, NULL));
    for (int i = 0; i < ADDS; i++) {
        mp_check(mp_value_acquire(value, MP_FOREVER));
        *MP_VALUE(value, int) += 1;
        mp_check(mp_value_release(value));
    }
    mp_check(mp_value_close(value));
    return 0;
}

static int add_passed(mp_args *args)
{
    mp_array *array = mp_arg_array(args, 0);

    mp_check(mp_array_acquire(array, MP_FOREVER));
    MP_ARRAY(array, int)[LENGTH - 1] += 1;
    return mp_array_release(array) == MP_OK ? 0 : 1;
}

static int open_and_hold(mp_args *args)
{
    spot at = spot_of(args);
    mp_connection *connection = mp_arg_connection(args, 2);
    mp_value *value;
    mp_obj *ignored;

    mp_check(open_value(&value, &at, MP_CTYPE(int), NULL, NULL));
    mp_check(mp_value_acquire(value, MP_FOREVER));
    *MP_VALUE(value, int) = 13;
    mp_check(mp_connection_send(connection, MP_NONE));
    mp_check(mp_connection_recv(connection, &ignored));
    return 1;
}

static int open_and_grow(mp_args *args)
{
    spot at = spot_of(args);
    mp_array *array;

    mp_check(open_array(&array, &at, MP_CTYPE(int), 0, NULL));
    mp_check(mp_array_grow(array, LARGE));
    MP_ARRAY(array, int)[LARGE - 1] = 5;
    mp_check(mp_array_close(array));
    return 0;
}

/* -- Finding --------------------------------------------------------------- */

static void find_again(mp_start_method method, bool is_file)
{
    spot at = begin(is_file);
    mp_value *value = must_open_value(&at, 7);
    mp_value *again = must_open_value(&at, 8);

    cr_assert_eq(*MP_VALUE(again, int), 7);
    *MP_VALUE(again, int) += 1;
    cr_assert_eq(*MP_VALUE(value, int), 8);
    ok(mp_value_acquire(value, 0));
    ok(mp_value_acquire(again, 0)); /* one lock, this thread's */
    ok(mp_value_release(value));
    ok(mp_value_release(again));
    cr_assert_eq(support_run(method, open_and_add, MP_ARGS(SPOT(at))), 0);
    cr_assert_eq(*MP_VALUE(value, int), 8 + ADDS);
    ok(mp_value_close(again));
    ok(mp_value_close(value));
    end(&at);
}

METHOD_TEST(value_place, others_find_it_by_name)
{
    find_again(method, false);
}

METHOD_TEST(value_place, others_find_it_in_a_file)
{
    find_again(method, true);
}

static void open_in_each_mode(bool is_file)
{
    spot at = begin(is_file);
    mp_array *array;

    refuse(&at, MP_CTYPE(int), LENGTH, &existing, MP_ENOTFOUND);
    array = must_open(&at, LENGTH, &exclusively);
    refuse(&at, MP_CTYPE(int), LENGTH, &exclusively, MP_EEXIST);
    ok(mp_array_set(array, 9, MP_BOX(3)));
    ok(mp_array_close(must_open(&at, LENGTH, &existing)));
    ok(mp_array_close(must_open(&at, LENGTH, NULL)));
    ok(mp_array_close(array));
    if (is_file || support_names_last()) {
        array = must_open(&at, 0, &existing);
        cr_assert_eq(mp_array_length(array), (size_t)LENGTH);
        cr_assert_eq(MP_ARRAY(array, int)[9], 3);
        ok(mp_array_close(array));
    }
    end(&at);
}

Test(value_place, modes_are_obeyed)
{
    open_in_each_mode(false);
    open_in_each_mode(true);
}

static void begin_with_content(bool is_file, size_t length)
{
    spot at = begin(is_file);
    int *items = malloc(length * sizeof(*items));
    mp_array *array = NULL, *again;

    for (size_t i = 0; i < length; i++)
        items[i] = (int)i;
    ok(is_file ? mp_array_open_file(&array, at.name, MP_CTYPE(int), length,
                                    items, NULL)
               : mp_array_open(&array, at.name, MP_CTYPE(int), length, items,
                               NULL));
    again = must_open(&at, 0, NULL);
    cr_assert_eq(mp_array_length(again), length);
    for (size_t i = 0; i < length; i++)
        cr_assert_eq(MP_ARRAY(again, int)[i], (int)i);
    ok(mp_array_close(array));
    ok(mp_array_close(again));
    free(items);
    end(&at);
}

Test(value_place, it_begins_with_what_its_creator_gave)
{
    begin_with_content(false, LENGTH);
    begin_with_content(false, LARGE);
    begin_with_content(true, LENGTH);
    begin_with_content(true, LARGE);
}

Test(value_place, length_zero_makes_an_empty_one)
{
    for (int i = 0; i < 2; i++) {
        spot at = begin(i == 1);
        mp_array *array =
            must_open(&at, 0, &(mp_value_options){.capacity = LARGE});

        cr_assert_eq(mp_array_length(array), 0U);
        cr_assert_eq(mp_array_capacity(array), (size_t)LARGE);
        ok(mp_array_close(array));
        end(&at);
    }
}

METHOD_TEST(value_place, several_create_it_at_once)
{
    for (int i = 0; i < 2; i++) {
        spot at = begin(i == 1);
        mp_process *children[WORKERS];
        mp_value *value = NULL;

        /* Where a name goes with its last user, children that are done could
         * take their sum with them. */
        if (!at.is_file && !support_names_last())
            value = must_open_value(&at, 0);
        for (int n = 0; n < WORKERS; n++)
            children[n] =
                support_start(method, open_and_add, MP_ARGS(SPOT(at)));
        if (value == NULL)
            value = must_open_value(&at, 0);
        for (int n = 0; n < WORKERS; n++)
            cr_assert_eq(support_finish(children[n]), 0);
        cr_assert_eq(*MP_VALUE(value, int), WORKERS * ADDS);
        ok(mp_value_close(value));
        end(&at);
    }
}

METHOD_TEST(value_place, it_can_be_passed_as_well)
{
    static const size_t lengths[] = {LENGTH, LARGE};

    for (int i = 0; i < 4; i++) {
        spot at = begin(i % 2 == 1);
        mp_array *array = must_open(&at, lengths[i / 2], NULL);

        cr_assert_eq(support_run(method, add_passed, MP_ARGS(array)), 0);
        cr_assert_eq(MP_ARRAY(array, int)[LENGTH - 1], 1);
        ok(mp_array_close(array));
        end(&at);
    }
}

Test(value_place, the_list_of_names_tells_the_kind)
{
    spot at = begin(false);
    mp_value *value = must_open_value(&at, 1);
    mp_named *names = NULL;
    size_t count = 0;
    bool is_found = false;

    if (!support_names_last()) {
        ok(mp_value_close(value));
        cr_skip_test("names can't be listed here");
    }
    ok(mp_named_list(&names, &count));
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i].name, at.name) == 0) {
            is_found = true;
            cr_assert_str_eq(names[i].kind, "Value");
            cr_assert(names[i].is_in_use);
        }
    cr_assert(is_found);
    mp_free(names);
    ok(mp_value_close(value));
    end(&at);
}

/* -- What is something else ------------------------------------------------ */

static void differ(bool is_file)
{
    spot at = begin(is_file);
    mp_array *array = must_open(&at, LENGTH, NULL);

    for (int i = 0; i < 2; i++) {
        const mp_value_options *options = i == 0 ? NULL : &existing;

        refuse(&at, MP_CTYPE(double), 20, options, MP_ETYPE);
        expect_sentence("is an Array of int of length 10, not of double of "
                        "length 20");
        refuse(&at, MP_CTYPE(int), LENGTH + 1, options, MP_ETYPE);
        refuse(&at, MP_CTYPE(unsigned), 0, options, MP_ETYPE);
        expect_sentence("is an Array of int of length 10, not of unsigned");
        refuse_value(&at, MP_CTYPE(int), options, MP_ETYPE);
    }
    refuse(&at, MP_CTYPE(int), LENGTH, &lockless, MP_ETYPE);
    expect_sentence("has a lock");
    ok(mp_array_close(array));
    end(&at);
}

Test(value_place, another_type_or_length_is_told)
{
    differ(false);
    differ(true);
}

Test(value_place, structs_are_the_same_if_their_fields_are)
{
    for (int i = 0; i < 2; i++) {
        spot at = begin(i == 1);
        const mp_ctype type = MP_STRUCT(point, "x: double, y: double");
        mp_array *array = NULL, *again = NULL;

        ok(open_array(&array, &at, type, 3, NULL));
        refuse(&at, MP_STRUCT(point, "a: double, b: double"), 3, NULL,
               MP_ETYPE);
        expect_sentence("of point of length 3 with these fields");
        refuse(&at, MP_CTYPE(point), 3, NULL, MP_ETYPE);
        ok(open_array(&again, &at,
                      MP_STRUCT(struct point, "x:double,y :double"), 3, NULL));
        cr_assert_str_eq(mp_array_ctype(again).name, "point");
        ok(mp_array_close(again));
        ok(mp_array_close(array));
        end(&at);
    }
}

Test(value_place, one_without_a_lock_is_another)
{
    for (int i = 0; i < 2; i++) {
        spot at = begin(i == 1);
        mp_array *array = must_open(&at, LENGTH, &lockless);

        refuse(&at, MP_CTYPE(int), LENGTH, NULL, MP_ETYPE);
        expect_sentence("has no lock");
        cr_assert_eq(mp_array_acquire(array, 0), MP_ENOTSUP);
        ok(mp_array_set(array, 0, MP_BOX(1)));
        ok(mp_array_close(array));
        end(&at);
    }
}

Test(value_place, a_name_is_of_one_kind)
{
    spot at = begin(false);
    mp_lock *lock = NULL;
    mp_value *value = must_open_value(&at, 1);

    cr_assert_eq(mp_lock_open(&lock, at.name, NULL), MP_ETYPE);
    ok(mp_value_close(value));
    end(&at);
    at = begin(false);
    ok(mp_lock_open(&lock, at.name, NULL));
    refuse_value(&at, MP_CTYPE(int), NULL, MP_ETYPE);
    expect_sentence("of kind Lock, not Value");
    ok(mp_lock_close(lock));
    end(&at);
}

Test(value_place, what_can_not_be_asked_for_is_refused)
{
    spot at = begin(true);
    mp_lock *lock = NULL;
    mp_value *value = NULL;

    ok(mp_lock_create(&lock));
    refuse_value(&at, MP_CTYPE(int), &(mp_value_options){.lock = lock},
                 MP_EINVAL);
    ok(mp_lock_close(lock));
    refuse_value(&at, MP_CTYPE(int), &read_only, MP_ENOTFOUND);
    cr_assert_eq(mp_value_open(&value, NULL, MP_CTYPE(int), NULL, NULL),
                 MP_EINVAL);
    cr_assert_eq(mp_value_open_file(&value, NULL, MP_CTYPE(int), NULL, NULL),
                 MP_EINVAL);
    cr_assert_eq(mp_value_open_file(&value, "", MP_CTYPE(int), NULL, NULL),
                 MP_EINVAL);
    cr_assert_eq(mp_value_open_file(&value, "\xff", MP_CTYPE(int), NULL, NULL),
                 MP_EINVAL);
    cr_assert_eq(mp_value_open(&value, "a/b", MP_CTYPE(int), NULL, NULL),
                 MP_EINVAL);
    refuse_value(&at, MP_CTYPE(int),
                 &(mp_value_options){.is_read_only = true,
                                     .open = {.mode = MP_CREATE_EXCLUSIVELY}},
                 MP_EINVAL);
    cr_assert_eq(mp_value_open(&value, "name", MP_CTYPE(int), NULL, &read_only),
                 MP_EINVAL);
    cr_assert_eq(mp_value_open_file(NULL, at.name, MP_CTYPE(int), NULL, NULL),
                 MP_EINVAL);
    support_join_path(at.folder, "no folder/file", at.name);
    refuse_value(&at, MP_CTYPE(int), NULL, MP_ENOTFOUND);
    cr_assert_null(value);
    end(&at);
}

/* -- Growing --------------------------------------------------------------- */

static void grow_elsewhere(mp_start_method method, bool is_file)
{
    spot at = begin(is_file);
    mp_array *array =
        must_open(&at, 0, &(mp_value_options){.capacity = 2 * LARGE});

    ok(mp_array_grow(array, LENGTH));
    MP_ARRAY(array, int)[LENGTH - 1] = 3;
    cr_assert_eq(support_run(method, open_and_grow, MP_ARGS(SPOT(at))), 0);
    cr_assert_eq(mp_array_length(array), (size_t)LARGE);
    cr_assert_eq(MP_ARRAY(array, int)[LENGTH - 1], 3);
    cr_assert_eq(MP_ARRAY(array, int)[LENGTH], 0);
    cr_assert_eq(MP_ARRAY(array, int)[LARGE - 1], 5);
    ok(mp_array_close(array));
    if (is_file) {
        array = must_open(&at, LARGE, NULL);
        cr_assert_eq(MP_ARRAY(array, int)[LARGE - 1], 5);
        cr_assert_eq(mp_array_capacity(array), (size_t)2 * LARGE);
        ok(mp_array_grow(array, 2 * LARGE));
        cr_assert_eq(MP_ARRAY(array, int)[2 * LARGE - 1], 0);
        ok(mp_array_close(array));
    }
    end(&at);
}

METHOD_TEST(value_place, it_grows_for_all_who_have_it)
{
    grow_elsewhere(method, false);
    grow_elsewhere(method, true);
}

/* -- Only reading ---------------------------------------------------------- */

static void expect_error(mp_obj *obj, mp_error expected)
{
    cr_assert_eq(mp_obj_error(obj), expected, "%s", mp_error_message());
    mp_obj_unref(obj);
}

static void only_read(size_t length)
{
    spot at = begin(true);
    mp_array *array = must_open(&at, length, NULL), *reader, *copy = NULL;
    int item = 0;

    ok(mp_array_set(array, -1, MP_BOX(5)));
    reader = must_open(&at, length, &read_only);
    cr_assert_eq(MP_ARRAY(reader, int)[length - 1], 5);
    ok(mp_array_set(array, -1, MP_BOX(6)));
    ok(mp_array_read(reader, length - 1, &item, 1));
    cr_assert_eq(item, 6);
    cr_assert_eq(mp_array_set(reader, 0, MP_BOX(1)), MP_EACCES);
    cr_assert_eq(mp_array_write(reader, 0, &item, 1), MP_EACCES);
    cr_assert_eq(mp_array_set_slice(reader, 0, 1, MP_LIST(1)), MP_EACCES);
    cr_assert_eq(mp_array_grow(reader, length), MP_EACCES);
    cr_assert_eq(mp_array_sync(reader), MP_EACCES);
    cr_assert_eq(mp_array_acquire(reader, 0), MP_ENOTSUP);
    cr_assert_eq(mp_array_release(reader), MP_ENOTSUP);
    cr_assert_null(mp_array_get_lock(reader));
    expect_error(mp_array_get(reader, (int64_t)length), MP_EINDEX);
    ok(mp_array_copy(reader, &copy, NULL));
    ok(mp_array_close(array));
    ok(mp_array_set(copy, 0, MP_BOX(8)));
    cr_assert_eq(MP_ARRAY(reader, int)[0], 0);
    ok(mp_array_close(copy));
    ok(mp_array_close(reader));
    cr_assert_eq(mp_array_length(reader), 0U);
    end(&at);
}

Test(value_place, a_file_can_be_open_for_reading_only)
{
    only_read(LENGTH);
    only_read(LARGE);
}

static int read_passed(mp_args *args)
{
    mp_array *first = mp_arg_array(args, 0), *second = mp_arg_array(args, 1);

    mp_check(mp_array_acquire(first, 0) == MP_ENOTSUP ? MP_OK : MP_ESTATE);
    mp_check(mp_array_set(second, 0, MP_BOX(1)) == MP_EACCES ? MP_OK
                                                             : MP_ESTATE);
    return MP_ARRAY(first, int)[0] + MP_ARRAY(second, int)[0];
}

/* The same twice in one message, and closed before it may have arrived. */
static void pass_reader(mp_start_method method, size_t length)
{
    spot at = begin(true);
    mp_array *array = must_open(&at, length, NULL), *one, *other;
    mp_process *child;

    ok(mp_array_set(array, 0, MP_BOX(21)));
    one = must_open(&at, length, &read_only);
    other = must_open(&at, length, &read_only);
    child = support_start(method, read_passed, MP_ARGS(one, other));
    ok(mp_array_close(one));
    ok(mp_array_close(other));
    ok(mp_array_close(array));
    cr_assert_eq(support_finish(child), 42);
    end(&at);
}

METHOD_TEST(value_place, a_reader_can_be_passed_on)
{
    pass_reader(method, LENGTH);
    pass_reader(method, LARGE);
}

Test(value_place, a_reader_sees_it_grow)
{
    spot at = begin(true);
    const mp_value_options options = {.capacity = LARGE};
    mp_array *array = must_open(&at, LENGTH, &options);
    mp_array *reader = must_open(&at, 0, &read_only);

    ok(mp_array_grow(array, LARGE));
    ok(mp_array_set(array, -1, MP_BOX(5)));
    cr_assert_eq(mp_array_length(reader), (size_t)LARGE);
    cr_assert_eq(MP_ARRAY(reader, int)[LARGE - 1], 5);
    ok(mp_array_close(array));
    ok(mp_array_close(reader));
    end(&at);
}

Test(value_place, a_reader_is_not_an_owner)
{
    spot at = begin(true);
    mp_value *value = must_open_value(&at, 3), *reader = NULL;
    char *text = NULL;

    ok(open_value(&reader, &at, MP_CTYPE(int), NULL, &read_only));
    ok(mp_value_acquire(value, 0));
    ok(mp_value_repr(reader, &text));
    cr_assert_eq(strncmp(text, "c_", 2), 0, "%s", text); /* no wrapper */
    mp_free(text);
    ok(mp_value_release(value));
    cr_assert_eq(mp_value_set(reader, MP_BOX(1)), MP_EACCES);
    refuse_value(&at, MP_CTYPE(short), &read_only, MP_ETYPE);
    ok(mp_value_close(reader));
    ok(mp_value_close(value));
    end(&at);
}

/* -- Files last ------------------------------------------------------------ */

Test(value_place, a_file_lasts)
{
    spot at = begin(true);
    mp_array *array = must_open(&at, LARGE, NULL);
    mp_value *value;

    ok(mp_array_set(array, -1, MP_BOX(5)));
    ok(mp_array_sync(array));
    ok(mp_array_close(array));
    array = must_open(&at, LARGE, &existing);
    cr_assert_eq(MP_ARRAY(array, int)[LARGE - 1], 5);
    ok(mp_array_acquire(array, 0));
    ok(mp_array_release(array));
    ok(mp_array_close(array));
    end(&at);
    at = begin(true);
    support_join_path(at.folder, "größer", at.name);
    value = must_open_value(&at, 5);
    ok(mp_value_sync(value));
    ok(mp_value_close(value));
    value = must_open_value(&at, 6);
    cr_assert_eq(*MP_VALUE(value, int), 5);
    ok(mp_value_close(value));
    end(&at);
}

Test(value_place, copies_of_a_file_are_different)
{
    spot first = begin(true), second = first;
    mp_value *one = must_open_value(&first, 1), *other;
    content bytes;

    ok(mp_value_close(one));
    support_join_path(first.folder, "copy", second.name);
    bytes = read_whole(first.name);
    write_whole(second.name, bytes.bytes, bytes.size);
    free(bytes.bytes);
    one = must_open_value(&first, 0);
    other = must_open_value(&second, 0);
    *MP_VALUE(one, int) = 2;
    cr_assert_eq(*MP_VALUE(other, int), 1);
    ok(mp_value_acquire(one, 0));
    cr_assert_not(mp_rlock_is_locked(mp_value_get_lock(other)));
    ok(mp_value_close(other));
    ok(mp_value_close(one));
    end(&first);
}

static void die_and_be_told(mp_start_method method, bool is_file, bool is_open)
{
    spot at = begin(is_file);
    mp_connection *ours = NULL, *theirs = NULL;
    mp_value *value = must_open_value(&at, 1);
    mp_process *child;
    mp_obj *ignored;

    ok(mp_pipe(&ours, &theirs, NULL));
    child = support_start(method, open_and_hold, MP_ARGS(SPOT(at), theirs));
    ok(mp_connection_recv(ours, &ignored));
    mp_obj_unref(ignored);
    if (!is_open)
        ok(mp_value_close(value));
    ok(mp_process_kill(child));
    cr_assert_eq(support_finish(child), -9);
    if (!is_open)
        value = must_open_value(&at, 2);
    cr_assert_eq(*MP_VALUE(value, int), 13);
    cr_assert_eq(mp_value_acquire(value, SUPPORT_LONG), MP_OWNER_DIED);
    ok(mp_value_release(value));
    ok(mp_value_acquire(value, 0));
    ok(mp_value_release(value));
    ok(mp_value_close(value));
    ok(mp_connection_close(ours));
    ok(mp_connection_close(theirs));
    end(&at);
}

METHOD_TEST(value_place, a_writers_death_is_told)
{
    die_and_be_told(method, false, true);
    die_and_be_told(method, true, true);
}

METHOD_TEST(value_place, a_writers_death_is_told_to_who_opens_the_file_later)
{
    die_and_be_told(method, true, false);
    if (support_names_last())
        die_and_be_told(method, false, false);
}

/* -- Damage ---------------------------------------------------------------- */

Test(value_place, what_is_no_such_file_is_refused)
{
    static const char text[] = "MPARENA? this is nothing of the kind\n";
    static const unsigned char zeros[65536 * 2];
    spot at = begin(true);

    write_whole(at.name, text, sizeof(text));
    refuse(&at, MP_CTYPE(int), LENGTH, NULL, MP_EPROTO);
    refuse(&at, MP_CTYPE(int), LENGTH, &read_only, MP_EPROTO);
    write_whole(at.name, text, 0);
    refuse(&at, MP_CTYPE(int), LENGTH, NULL, MP_EPROTO);
    refuse(&at, MP_CTYPE(int), LENGTH, &read_only, MP_EPROTO);
    write_whole(at.name, zeros, sizeof(zeros));
    refuse(&at, MP_CTYPE(int), LENGTH, NULL, MP_EPROTO);
    refuse(&at, MP_CTYPE(int), LENGTH, &read_only, MP_EPROTO);
    end(&at);
}

static void cut_short(size_t length)
{
    spot at = begin(true);
    content whole;

    ok(mp_array_close(must_open(&at, length, NULL)));
    whole = read_whole(at.name);
    for (size_t size = 0; size < whole.size; size += size < 2048 ? 64 : 997) {
        write_whole(at.name, whole.bytes, size);
        refuse(&at, MP_CTYPE(int), 0, NULL, MP_EPROTO);
        refuse(&at, MP_CTYPE(int), 0, &read_only, MP_EPROTO);
    }
    write_whole(at.name, whole.bytes, whole.size - 1);
    refuse(&at, MP_CTYPE(int), 0, NULL, MP_EPROTO);
    write_whole(at.name, whole.bytes, whole.size);
    ok(mp_array_close(must_open(&at, length, NULL)));
    free(whole.bytes);
    end(&at);
}

Test(value_place, a_file_that_is_cut_short_is_refused)
{
    cut_short(LENGTH);
    cut_short(LARGE);
}

/* Everything that can be done, whatever comes of it. */
static void use_damaged(const spot *at, const mp_value_options *options)
{
    mp_array *array = NULL;
    mp_obj *items;
    int item;
    mp_error err = open_array(&array, at, MP_CTYPE(int), 0, options);

    cr_assert_eq(array != NULL, err == MP_OK);
    if (err != MP_OK)
        return;
    err = mp_array_acquire(array, 0);
    if (err >= MP_OK)
        (void)mp_array_release(array);
    /* A word that says somebody has it is no lie that can be told. */
    if (err == MP_TIMED_OUT) {
        ok(mp_array_close(array));
        return;
    }
    items = mp_array_slice(array, 0, INT64_MAX);
    mp_obj_unref(items);
    (void)mp_array_read(array, 0, &item, 1);
    (void)mp_array_set(array, -1, MP_BOX(1));
    if (mp_array_length(array) > 0 && options == NULL)
        MP_ARRAY(array, int)[0]++;
    (void)mp_array_grow(array, mp_array_capacity(array));
    ok(mp_array_close(array));
}

static void damage(size_t length, size_t begin_at, size_t end_at)
{
    static const unsigned char patterns[] = {0x00, 0xff, 0x01, 0x80};
    const mp_value_options options = {.capacity = length + 100};
    size_t step = mpos_system.has_fork ? 1 : 13; /* Wine takes its time */
    spot at = begin(true);
    content whole;

    if (length > LENGTH)
        ok(mp_array_close(must_open(&at, length, &options)));
    else
        ok(mp_array_close(must_open(&at, length, NULL)));
    whole = read_whole(at.name);
    for (size_t i = begin_at; i < end_at; i += step) {
        unsigned char right = whole.bytes[i];

        for (size_t n = 0; n < sizeof(patterns); n++) {
            whole.bytes[i] =
                n < 2 ? patterns[n] : (unsigned char)(right ^ patterns[n]);
            if (whole.bytes[i] == right)
                continue;
            write_whole(at.name, whole.bytes, whole.size);
            use_damaged(&at, n % 2 == 0 ? NULL : &read_only);
        }
        whole.bytes[i] = right;
    }
    free(whole.bytes);
    end(&at);
}

/* The header's numbers; and the cells, which begin behind the table. */
enum {
    HEADER_END = 560,
    SMALL_CELLS = 1024 + 1500 * 8,
    LARGE_CELLS = 1024 + 2500 * 8,
    CELLS_SIZE = 64 * 5,
};

Test(value_place, damage_to_a_small_file_is_survived, .timeout = 300)
{
    damage(LENGTH, 0, HEADER_END);
    damage(LENGTH, SMALL_CELLS, SMALL_CELLS + CELLS_SIZE);
}

Test(value_place, damage_to_a_large_file_is_survived, .timeout = 300)
{
    damage(2000, 0, HEADER_END);
    damage(2000, LARGE_CELLS, LARGE_CELLS + CELLS_SIZE);
}

/* -- Leaving nothing ------------------------------------------------------- */

Test(value_place, nothing_is_left_behind)
{
    size_t before = 0;

    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 4; i++) {
            spot at = begin(i % 2 == 1);

            ok(mp_array_close(must_open(&at, i < 2 ? LENGTH : LARGE, NULL)));
            (void)open_array(&(mp_array *){NULL}, &at, MP_CTYPE(double), 3,
                             &existing);
            end(&at);
        }
        if (round == 1)
            before = support_open_handles();
    }
    cr_assert_eq(support_open_handles(), before);
}
