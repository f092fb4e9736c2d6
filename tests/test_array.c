/* SPDX-License-Identifier: MIT */
/* Array: items, slices, text, growth. What it has in common with Value is in
 * test_value.c, files and names in test_value_place.c. */
#include "support/check.h"
#include "support/served.h"
#include "support/system.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTH = 5, LARGE = 100000, WORKERS = 4, ROUNDS = 300 };

typedef struct point {
    double x;
    double y;
} point;

static const int five[LENGTH] = {10, 20, 30, 40, 50};

static mp_array *make(mp_ctype type, size_t length, const void *initial)
{
    mp_array *array = NULL;

    ok(mp_array_create(&array, type, length, initial, NULL));
    return array;
}

static mp_array *make_five(void)
{
    return make(MP_CTYPE(int), LENGTH, five);
}

static mp_array *make_text(size_t length, const char *initial)
{
    mp_array *array = make(MP_CTYPE(char), length, NULL);

    ok(mp_array_write(array, 0, initial, strlen(initial)));
    return array;
}

static mp_array *make_growing(size_t length, size_t capacity)
{
    const mp_value_options options = {.capacity = capacity};
    mp_array *array = NULL;

    ok(mp_array_create(&array, MP_CTYPE(int64_t), length, NULL, &options));
    return array;
}

static void expect_error(mp_obj *obj, mp_error expected)
{
    cr_assert_eq(mp_obj_error(obj), expected, "%s", mp_error_message());
    mp_obj_unref(obj);
}

static void expect_items(mp_array *array, const char *expected)
{
    char *text = NULL;

    ok(mp_array_repr(array, &text));
    cr_assert_str_eq(text, expected);
    mp_free(text);
}

/* -- Targets --------------------------------------------------------------- */

static int square(mp_args *args)
{
    mp_array *array = mp_arg_array(args, 0);
    point *points = MP_ARRAY(array, point);

    mp_check(mp_array_acquire(array, MP_FOREVER));
    for (size_t i = 0; i < mp_array_length(array); i++) {
        points[i].x *= points[i].x;
        points[i].y *= points[i].y;
    }
    mp_check(mp_array_release(array));
    return mp_kwarg_array(args, "none", NULL) == NULL ? 0 : 1;
}

/* Every item becomes its index. */
static int number_items(mp_args *args)
{
    mp_array *array = mp_arg_array(args, 0);
    size_t length = mp_array_length(array);

    if (length != LARGE)
        return 1;
    for (size_t i = 0; i < length; i++)
        MP_ARRAY(array, int64_t)[i] = (int64_t)i;
    return 0;
}

/* Adds one item and numbers it, over and over. */
static int grow_by_turns(mp_args *args)
{
    mp_array *array = mp_arg_array(args, 0);

    for (int i = 0; i < ROUNDS; i++) {
        size_t length;

        mp_check(mp_array_acquire(array, MP_FOREVER));
        length = mp_array_length(array);
        mp_check(mp_array_grow(array, length + 1));
        if (MP_ARRAY(array, int64_t)[length] != 0)
            return 1;
        MP_ARRAY(array, int64_t)[length] = (int64_t)length + 1;
        mp_check(mp_array_release(array));
    }
    return 0;
}

/* All items are alike, whenever one looks. */
static int fill_over_and_over(mp_args *args)
{
    mp_array *array = mp_arg_array(args, 0);
    int items[LENGTH];

    for (int i = 0; i < ROUNDS; i++) {
        for (int n = 0; n < LENGTH; n++)
            items[n] = i;
        mp_check(mp_array_write(array, 0, items, LENGTH));
        mp_check(mp_array_read(array, 0, items, LENGTH));
        for (int n = 1; n < LENGTH; n++)
            if (items[n] != items[0])
                return 1;
    }
    return 0;
}

/* -- Items ----------------------------------------------------------------- */

Test(array, it_holds_what_it_was_given)
{
    mp_array *array = make_five();
    mp_array *zeros = make(MP_CTYPE(double), 3, NULL);
    mp_array *none = make(MP_CTYPE(short), 0, NULL);

    cr_assert_eq(mp_array_length(array), (size_t)LENGTH);
    cr_assert_eq(mp_array_capacity(array), (size_t)LENGTH);
    cr_assert_eq(MP_ARRAY(array, int)[4], 50);
    cr_assert_eq(mp_array_ctype(array).code, 'i');
    expect_items(array, "[10, 20, 30, 40, 50]");
    expect_items(zeros, "[0.0, 0.0, 0.0]");
    expect_items(none, "[]");
    expect_error(mp_array_get(none, 0), MP_EINDEX);
    cr_assert_eq(mp_array_repr(array, NULL), MP_EINVAL);
    ok(mp_array_close(array));
    ok(mp_array_close(zeros));
    ok(mp_array_close(none));
}

Test(array, an_index_is_checked_and_may_count_from_the_end)
{
    mp_array *array = make_five();

    is_repr(mp_array_get(array, 0), "10");
    is_repr(mp_array_get(array, -1), "50");
    is_repr(mp_array_get(array, -LENGTH), "10");
    expect_error(mp_array_get(array, LENGTH), MP_EINDEX);
    expect_error(mp_array_get(array, -LENGTH - 1), MP_EINDEX);
    expect_error(mp_array_get(array, INT64_MAX), MP_EINDEX);
    expect_error(mp_array_get(array, INT64_MIN), MP_EINDEX);
    ok(mp_array_set(array, -2, MP_BOX(41)));
    cr_assert_eq(mp_array_set(array, LENGTH, MP_BOX(1)), MP_EINDEX);
    cr_assert_eq(mp_array_set(array, 0, MP_BOX("1")), MP_ETYPE);
    cr_assert_eq(mp_array_set(array, 0, MP_BOX(1LL << 33)), MP_EOVERFLOW);
    cr_assert_eq(mp_array_set(array, 0, NULL), MP_EINVAL);
    expect_items(array, "[10, 20, 30, 41, 50]");
    ok(mp_array_close(array));
}

typedef struct slice_case {
    int64_t start;
    int64_t stop;
    const char *items; /* as Python's array[start:stop] */
} slice_case;

static const slice_case slices[] = {
    {0, 5, "[10, 20, 30, 40, 50]"},
    {1, 3, "[20, 30]"},
    {-2, 5, "[40, 50]"},
    {-2, -1, "[40]"},
    {-100, 100, "[10, 20, 30, 40, 50]"},
    {3, 1, "[]"},
    {5, 9, "[]"},
    {-1, -3, "[]"},
    {INT64_MIN, INT64_MAX, "[10, 20, 30, 40, 50]"},
    {INT64_MAX, INT64_MIN, "[]"},
};

Test(array, slices_are_cut_as_in_python)
{
    mp_array *array = make_five();
    mp_array *text = make_text(4, "abcd");

    for (size_t i = 0; i < sizeof(slices) / sizeof(slices[0]); i++)
        is_repr(mp_array_slice(array, slices[i].start, slices[i].stop),
                slices[i].items);
    is_repr(mp_array_slice(text, 1, -1), "b'bc'");
    ok(mp_array_close(array));
    ok(mp_array_close(text));
}

Test(array, all_of_a_slice_is_set_or_nothing)
{
    mp_array *array = make_five();

    ok(mp_array_set_slice(array, 1, 3, MP_LIST(21, 31)));
    ok(mp_array_set_slice(array, -1, 100, MP_TUPLE(51)));
    expect_items(array, "[10, 21, 31, 40, 51]");
    ok(mp_array_set_slice(array, 3, 4, MP_BYTES("\x80", 1)));
    ok(mp_array_set_slice(array, 9, 9, MP_LIST()));
    cr_assert_eq(mp_array_set_slice(array, 0, 2, MP_LIST(1)), MP_EINVAL);
    cr_assert_eq(mp_array_set_slice(array, 0, 2, MP_LIST(1, 2, 3)), MP_EINVAL);
    cr_assert_eq(mp_array_set_slice(array, 0, 2, MP_LIST(1, "2")), MP_ETYPE);
    cr_assert_not_null(strstr(mp_error_message(), "item 1"));
    cr_assert_eq(mp_array_set_slice(array, 0, 2, MP_LIST(1, 1LL << 40)),
                 MP_EOVERFLOW);
    cr_assert_eq(mp_array_set_slice(array, 0, 2, MP_BOX("ab")), MP_ETYPE);
    cr_assert_eq(mp_array_set_slice(array, 0, 2, NULL), MP_EINVAL);
    expect_items(array, "[10, 21, 31, 128, 51]");
    ok(mp_array_close(array));
}

Test(array, items_are_copied_in_and_out)
{
    static const int two[] = {7, 8};
    mp_array *array = make_five();
    int copy[LENGTH] = {0};

    ok(mp_array_write(array, 3, two, 2));
    ok(mp_array_read(array, 2, copy, 3));
    cr_assert_eq(copy[0], 30);
    cr_assert_eq(copy[2], 8);
    cr_assert_eq(mp_array_read(array, 3, copy, 3), MP_EINDEX);
    cr_assert_eq(mp_array_read(array, SIZE_MAX, copy, 2), MP_EINDEX);
    cr_assert_eq(mp_array_write(array, 1, copy, SIZE_MAX), MP_EINDEX);
    cr_assert_eq(mp_array_write(array, 6, copy, 0), MP_EINDEX);
    ok(mp_array_write(array, 5, NULL, 0));
    cr_assert_eq(mp_array_read(array, 0, NULL, 1), MP_EINVAL);
    cr_assert_eq(mp_array_write(array, 0, NULL, 1), MP_EINVAL);
    expect_items(array, "[10, 20, 30, 7, 8]");
    ok(mp_array_close(array));
}

METHOD_TEST(array, a_child_squares_structs)
{
    static const point points[] = {{1.875, -6.25}, {-5.75, 2.0}, {2.375, 9.5}};
    mp_array *array = make(MP_STRUCT(point, "x: double, y: double"), 3, points);

    cr_assert_eq(support_run(method, square, MP_ARGS(array)), 0);
    expect_items(array, "[(x=3.515625, y=39.0625), (x=33.0625, y=4.0), "
                        "(x=5.640625, y=90.25)]");
    ok(mp_array_close(array));
}

Test(array, numbers_beyond_any_object_can_be_printed)
{
    static const uint64_t numbers[] = {1, UINT64_MAX};
    mp_array *array = make(MP_CTYPE(uint64_t), 2, numbers);

    expect_items(array, "[1, 18446744073709551615]");
    expect_error(mp_array_get(array, 1), MP_EOVERFLOW);
    ok(mp_array_close(array));
}

METHOD_TEST(array, a_large_one_has_memory_of_its_own)
{
    int64_t *items = calloc(LARGE, sizeof(*items));
    mp_array *array;

    items[LARGE - 1] = 5;
    array = make(MP_CTYPE(int64_t), LARGE, items);
    cr_assert_eq(MP_ARRAY(array, int64_t)[LARGE - 1], 5);
    cr_assert_eq(support_run(method, number_items, MP_ARGS(array)), 0);
    for (int i = 0; i < LARGE; i++)
        cr_assert_eq(MP_ARRAY(array, int64_t)[i], i);
    free(items);
    ok(mp_array_close(array));
}

METHOD_TEST(array, several_items_are_read_and_written_at_once)
{
    mp_array *array = make_five();
    mp_process *children[WORKERS];

    for (int i = 0; i < WORKERS; i++)
        children[i] = support_start(method, fill_over_and_over, MP_ARGS(array));
    for (int i = 0; i < WORKERS; i++)
        cr_assert_eq(support_finish(children[i]), 0);
    ok(mp_array_close(array));
}

Test(array, a_copy_holds_the_same_and_may_grow)
{
    const mp_value_options options = {.capacity = 8, .has_no_lock = true};
    mp_array *array = make_five();
    mp_array *copy = NULL;

    ok(mp_array_copy(array, &copy, &options));
    ok(mp_array_set(array, 0, MP_BOX(11)));
    ok(mp_array_grow(copy, 7));
    expect_items(copy, "[10, 20, 30, 40, 50, 0, 0]");
    cr_assert_eq(mp_array_acquire(copy, 0), MP_ENOTSUP);
    ok(mp_array_close(copy));
    copy = NULL;
    cr_assert_eq(
        mp_array_copy(array, &copy, &(mp_value_options){.capacity = 4}),
        MP_EINVAL);
    cr_assert_null(copy);
    ok(mp_array_close(array));
}

/* -- Text ------------------------------------------------------------------ */

Test(array, text_ends_at_the_first_nul)
{
    mp_array *text = make_text(12, "hello world");

    is_repr(mp_array_value(text), "b'hello world'");
    is_repr(mp_array_raw(text), "b'hello world\\x00'");
    ok(mp_array_set_value(text, MP_BYTES("Hi", 2)));
    is_repr(mp_array_value(text), "b'Hi'");
    is_repr(mp_array_raw(text), "b'Hi\\x00lo world\\x00'");
    ok(mp_array_set_raw(text, MP_BYTES("HE", 2)));
    is_repr(mp_array_raw(text), "b'HE\\x00lo world\\x00'");
    ok(mp_array_set_value(text, MP_BYTES("as long as it", 12)));
    is_repr(mp_array_value(text), "b'as long as i'");
    expect_items(text, "b'as long as i'");
    is_repr(mp_array_get(text, 1), "b's'");
    ok(mp_array_set(text, 0, MP_BYTES("A", 1)));
    cr_assert_eq(mp_array_set_value(text, MP_BYTES("one too many!", 13)),
                 MP_EINVAL);
    cr_assert_eq(mp_array_set_raw(text, MP_BYTES("one too many!", 13)),
                 MP_EINVAL);
    cr_assert_eq(mp_array_set_value(text, MP_BOX("str")), MP_ETYPE);
    cr_assert_str_eq(MP_ARRAY(text, char), "As long as i");
    ok(mp_array_close(text));
}

Test(array, a_nul_follows_text_that_is_as_long_as_it_can_be)
{
    mp_array *text = make_text(4, "abcd");
    mp_array *long_text = make(MP_CTYPE(char), LARGE, NULL);
    mp_array *growing = NULL;

    cr_assert_str_eq(MP_ARRAY(text, char), "abcd");
    memset(MP_ARRAY(long_text, char), 'x', LARGE);
    cr_assert_eq(strlen(MP_ARRAY(long_text, char)), (size_t)LARGE);
    ok(mp_array_create(&growing, MP_CTYPE(char), 65536, NULL,
                       &(mp_value_options){.capacity = LARGE * 10}));
    memset(MP_ARRAY(growing, char), 'x', 65536);
    cr_assert_eq(strlen(MP_ARRAY(growing, char)), 65536U);
    ok(mp_array_grow(growing, 65536 * 2));
    memset(MP_ARRAY(growing, char), 'x', 65536 * 2);
    cr_assert_eq(strlen(MP_ARRAY(growing, char)), 65536U * 2);
    ok(mp_array_close(text));
    ok(mp_array_close(long_text));
    ok(mp_array_close(growing));
}

Test(array, only_chars_are_text)
{
    mp_array *array = make_five();

    expect_error(mp_array_value(array), MP_ETYPE);
    expect_error(mp_array_raw(array), MP_ETYPE);
    cr_assert_eq(mp_array_set_value(array, MP_BYTES("a", 1)), MP_ETYPE);
    cr_assert_eq(mp_array_set_raw(array, MP_BYTES("a", 1)), MP_ETYPE);
    ok(mp_array_close(array));
}

/* -- Growing --------------------------------------------------------------- */

Test(array, it_grows_in_place_up_to_its_capacity)
{
    mp_array *array = make_growing(2, LARGE);
    void *data = mp_array_data(array);

    MP_ARRAY(array, int64_t)[1] = 5;
    ok(mp_array_grow(array, LARGE));
    cr_assert_eq(mp_array_length(array), (size_t)LARGE);
    cr_assert_eq(mp_array_data(array), data);
    cr_assert_eq(MP_ARRAY(array, int64_t)[1], 5);
    for (int i = 2; i < LARGE; i++)
        cr_assert_eq(MP_ARRAY(array, int64_t)[i], 0);
    ok(mp_array_grow(array, 3));
    cr_assert_eq(mp_array_length(array), (size_t)LARGE);
    cr_assert_eq(mp_array_grow(array, LARGE + 1), MP_EOVERFLOW);
    cr_assert_eq(mp_array_capacity(array), (size_t)LARGE);
    ok(mp_array_close(array));
}

METHOD_TEST(array, who_had_it_before_sees_it_grow)
{
    mp_array *array = make_growing(0, WORKERS * ROUNDS);
    mp_process *children[WORKERS];

    for (int i = 0; i < WORKERS; i++)
        children[i] = support_start(method, grow_by_turns, MP_ARGS(array));
    for (int i = 0; i < WORKERS; i++)
        cr_assert_eq(support_finish(children[i]), 0);
    cr_assert_eq(mp_array_length(array), (size_t)WORKERS * ROUNDS);
    for (int i = 0; i < WORKERS * ROUNDS; i++)
        cr_assert_eq(MP_ARRAY(array, int64_t)[i], i + 1);
    ok(mp_array_close(array));
}

Test(array, one_as_long_as_it_is_does_not_grow)
{
    mp_array *array = make_five();
    mp_array *refused = NULL;

    ok(mp_array_grow(array, LENGTH));
    cr_assert_eq(mp_array_grow(array, LENGTH + 1), MP_EOVERFLOW);
    cr_assert_eq(mp_array_create(&refused, MP_CTYPE(int), 5, NULL,
                                 &(mp_value_options){.capacity = 4}),
                 MP_EINVAL);
    cr_assert_null(refused);
    ok(mp_array_close(array));
}

Test(array, more_than_there_can_be_is_refused)
{
    static const size_t lengths[] = {SIZE_MAX, SIZE_MAX / 8, SIZE_MAX / 16 + 1,
                                     SIZE_MAX / 2};
    mp_array *array = NULL;

    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        cr_assert_eq(
            mp_array_create(&array, MP_CTYPE(int64_t), lengths[i], NULL, NULL),
            MP_EOVERFLOW, "%s", mp_error_message());
        cr_assert_null(array);
    }
}

/* -- Misuse ---------------------------------------------------------------- */

Test(array, a_closed_one_is_recognised)
{
    mp_array *array = make_five(), *copy = NULL;
    char *text = NULL;
    int item = 0;

    ok(mp_array_close(array));
    cr_assert_eq(mp_array_close(array), MP_ECLOSED);
    cr_assert_eq(mp_array_acquire(array, 0), MP_ECLOSED);
    cr_assert_eq(mp_array_release(array), MP_ECLOSED);
    expect_error(mp_array_get(array, 0), MP_ECLOSED);
    cr_assert_eq(mp_array_set(array, 0, MP_BOX(1)), MP_ECLOSED);
    expect_error(mp_array_slice(array, 0, 1), MP_ECLOSED);
    cr_assert_eq(mp_array_set_slice(array, 0, 1, MP_LIST(1)), MP_ECLOSED);
    cr_assert_eq(mp_array_read(array, 0, &item, 1), MP_ECLOSED);
    cr_assert_eq(mp_array_write(array, 0, &item, 1), MP_ECLOSED);
    expect_error(mp_array_value(array), MP_ECLOSED);
    expect_error(mp_array_raw(array), MP_ECLOSED);
    cr_assert_eq(mp_array_set_value(array, MP_BYTES("", 0)), MP_ECLOSED);
    cr_assert_eq(mp_array_set_raw(array, MP_BYTES("", 0)), MP_ECLOSED);
    cr_assert_eq(mp_array_grow(array, 9), MP_ECLOSED);
    cr_assert_eq(mp_array_copy(array, &copy, NULL), MP_ECLOSED);
    cr_assert_eq(mp_array_repr(array, &text), MP_ECLOSED);
    cr_assert_eq(mp_array_sync(array), MP_ECLOSED);
    cr_assert_eq(mp_array_length(array), 0U);
    cr_assert_eq(mp_array_capacity(array), 0U);
    cr_assert_eq(mp_array_ctype(array).size, 0U);
    cr_assert_null(mp_array_data(array));
    cr_assert_null(mp_array_get_lock(array));
    expect_error(mp_obj_array(array), MP_ECLOSED);
    ok(mp_array_close(NULL));
}

Test(array, null_and_other_kinds_are_recognised)
{
    mp_value *value = NULL;
    mp_array *array = make_five(), *wrong = NULL;
    mp_obj *obj = mp_obj_array(array);

    ok(mp_value_create(&value, MP_CTYPE(int), NULL, NULL));
    cr_assert_eq(mp_obj_as_value(obj, &value), MP_ETYPE);
    mp_obj_unref(obj);
    obj = mp_obj_value(value);
    cr_assert_eq(mp_obj_as_array(obj, &wrong), MP_ETYPE);
    mp_obj_unref(obj);
    wrong = (mp_array *)(void *)value;
    cr_assert_eq(mp_array_grow(wrong, 1), MP_EINVAL);
    expect_error(mp_array_get(wrong, 0), MP_EINVAL);
    cr_assert_eq(mp_array_length(wrong), 0U);
    cr_assert_eq(mp_array_length(NULL), 0U);
    cr_assert_eq(mp_array_create(NULL, MP_CTYPE(int), 1, NULL, NULL),
                 MP_EINVAL);
    cr_assert_eq(mp_array_copy(array, NULL, NULL), MP_EINVAL);
    cr_assert_eq(mp_array_sync(array), MP_ENOTSUP);
    ok(mp_value_close(value));
    ok(mp_array_close(array));
}

Test(array, nothing_is_left_behind)
{
    size_t before;

    for (int round = 0; round < 3; round++) {
        mp_array *array = make(MP_CTYPE(int64_t), LARGE, NULL);
        mp_array *small = make_five();

        if (round == 1)
            before = support_open_handles();
        if (round == 2)
            cr_assert_eq(support_open_handles(), before);
        ok(mp_array_close(array));
        ok(mp_array_close(small));
    }
}
