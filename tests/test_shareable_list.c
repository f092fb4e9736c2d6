/* SPDX-License-Identifier: MIT */
/*
 * ShareableList: CPython's layout to the byte, every type in every place, and
 * memory in which anything at all may stand. What Python itself says to it is
 * in test_shared_memory_python.c.
 */
#include "support/check.h"
#include "support/methods.h"
#include "support/named.h"
#include "support/system.h"

#include <math.h>
#include <stdlib.h>

enum { LONG_TIME = 20, KILLS = 40, CHANGES = 20000 };

/* -- Helpers --------------------------------------------------------------- */

static mp_shareable_list *create(mp_obj *sequence)
{
    mp_shareable_list *list = NULL;
    mp_error err = mp_shareable_list_create(&list, sequence, NULL);

    cr_assert_eq(err, MP_OK, "%s", mp_error_message());
    return list;
}

static const char *name_of(const mp_shareable_list *list)
{
    return mp_shared_memory_name(mp_shareable_list_memory(list));
}

static mp_shareable_list *open_again(const mp_shareable_list *other)
{
    mp_shareable_list *list = NULL;
    mp_error err = mp_shareable_list_open(&list, name_of(other));

    cr_assert_eq(err, MP_OK, "%s", mp_error_message());
    return list;
}

static void close_one(mp_shareable_list *list)
{
    cr_assert_eq(mp_shareable_list_close(list), MP_OK);
}

static void end(mp_shareable_list *list)
{
    cr_assert_eq(mp_shareable_list_unlink(list), MP_OK, "%s",
                 mp_error_message());
    close_one(list);
}

/* Of the same type, and equal; consumes expected. */
static void expect_item(const mp_shareable_list *list, int64_t index,
                        mp_obj *expected)
{
    mp_obj *item = mp_shareable_list_get(list, index);

    cr_assert_eq(mp_obj_error(item), MP_OK, "item %d: %s", (int)index,
                 mp_error_message());
    cr_assert_eq(mp_obj_type(item), mp_obj_type(expected), "item %d: %s",
                 (int)index, mp_obj_type_name(item));
    cr_assert(mp_obj_equal(item, expected), "item %d", (int)index);
    mp_obj_unref(item);
    mp_obj_unref(expected);
}

static void expect_no_item(const mp_shareable_list *list, int64_t index,
                           mp_error expected)
{
    mp_obj *item = mp_shareable_list_get(list, index);

    cr_assert_eq(mp_obj_error(item), expected, "%s", mp_error_message());
    cr_assert_str_not_empty(mp_error_message());
    mp_obj_unref(item);
}

static void set(mp_shareable_list *list, int64_t index, mp_obj *obj)
{
    cr_assert_eq(mp_shareable_list_set(list, index, obj), MP_OK, "%s",
                 mp_error_message());
}

static void expect_format(const mp_shareable_list *list, const char *expected)
{
    char *format = NULL;

    cr_assert_eq(mp_shareable_list_format(list, &format), MP_OK, "%s",
                 mp_error_message());
    cr_assert_str_eq(format, expected);
    mp_free(format);
}

static void refuse(mp_obj *sequence, mp_error expected)
{
    mp_shareable_list *list = NULL;
    mp_error err = mp_shareable_list_create(&list, sequence, NULL);

    cr_assert_eq(err, expected, "%s: %s", mp_error_name(err),
                 mp_error_message());
    cr_assert_null(list);
    cr_assert_str_not_empty(mp_error_message());
}

/* -- Making ---------------------------------------------------------------- */

/* [7, 'h\xe9llo', True, None, -0.5, b'']: what CPython 3.9 to 3.13 write. */
static const unsigned char image[] = {
    6,   0,    0,    0,   0,   0,   0,    0,    /* items */
    0,   0,    0,    0,   0,   0,   0,    0,    /* offsets */
    8,   0,    0,    0,   0,   0,   0,    0,    /* of the str */
    16,  0,    0,    0,   0,   0,   0,    0,    /* ... */
    24,  0,    0,    0,   0,   0,   0,    0,    /* ... */
    32,  0,    0,    0,   0,   0,   0,    0,    /* ... */
    40,  0,    0,    0,   0,   0,   0,    0,    /* ... */
    48,  0,    0,    0,   0,   0,   0,    0,    /* the data's size */
    7,   0,    0,    0,   0,   0,   0,    0,    /* 7 */
    'h', 0xc3, 0xa9, 'l', 'l', 'o', 0,    0,    /* the str */
    0,   0,    0,    0,   0,   0,   0,    1,    /* True */
    0,   0,    0,    0,   0,   0,   0,    0,    /* None */
    0,   0,    0,    0,   0,   0,   0xe0, 0xbf, /* -0.5 */
    0,   0,    0,    0,   0,   0,   0,    0,    /* b'' */
    'q', 0,    0,    0,   0,   0,   0,    0,    /* formats */
    '8', 's',  0,    0,   0,   0,   0,    0,    /* ... */
    'x', 'x',  'x',  'x', 'x', 'x', 'x',  '?',  /* ... */
    'x', 'x',  'x',  'x', 'x', 'x', '?',  'x',  /* ... */
    'd', 0,    0,    0,   0,   0,   0,    0,    /* ... */
    '8', 's',  0,    0,   0,   0,   0,    0,    /* ... */
    0,   1,    0,    3,   0,   2,               /* codes */
};

static mp_shareable_list *create_six(void)
{
    return create(
        MP_LIST(7, "h\xc3\xa9llo", MP_TRUE, MP_NONE, -0.5, MP_BYTES("", 0)));
}

Test(shareable_list, the_layout_is_cpythons_to_the_byte)
{
    mp_shareable_list *list = create_six();
    mp_shared_memory *memory = mp_shareable_list_memory(list);

    cr_assert_geq(mp_shared_memory_size(memory), sizeof(image));
    cr_assert_arr_eq(mp_shared_memory_data(memory), image, sizeof(image));
    end(list);
}

/* Behind that, where Python does not look. */
Test(shareable_list, how_often_each_item_was_changed_is_counted)
{
    enum { MARK = sizeof(image) + 2, COUNTS = MARK + 8 };
    mp_shareable_list *list = create_six();
    mp_shared_memory *memory = mp_shareable_list_memory(list);
    const unsigned char *data = mp_shared_memory_data(memory);
    uint32_t counts[6];

    cr_assert_eq(mp_shared_memory_size(memory), COUNTS + sizeof(counts));
    cr_assert_eq(memcmp(data + MARK, "changes:", 8), 0);
    set(list, 2, MP_BOX(1.5));
    set(list, 2, MP_BOX(2.5)); /* one store: nobody can see half of it */
    set(list, 2, MP_NONE);
    set(list, 5, MP_BOX("x"));
    memcpy(counts, data + COUNTS, sizeof(counts));
    for (uint32_t i = 0; i < 6; i++)
        cr_assert_eq(counts[i], i == 2 ? 2U : i == 5 ? 1U : 0U);
    end(list);
}

Test(shareable_list, what_is_stored_is_found_by_who_opens_it)
{
    mp_shareable_list *first = create_six();
    mp_shareable_list *second = open_again(first);

    cr_assert_eq(mp_shareable_list_length(second), 6U);
    expect_item(second, 0, MP_BOX(7));
    expect_item(second, 1, MP_BOX("h\xc3\xa9llo"));
    expect_item(second, 2, MP_TRUE);
    expect_item(second, 3, MP_NONE);
    expect_item(second, 4, MP_BOX(-0.5));
    expect_item(second, 5, MP_BYTES("", 0));
    expect_item(second, -1, MP_BYTES("", 0));
    expect_item(second, -6, MP_BOX(7));
    expect_no_item(second, 6, MP_EINDEX);
    expect_no_item(second, -7, MP_EINDEX);
    expect_no_item(second, INT64_MIN, MP_EINDEX);
    set(second, 0, MP_BOX(8));
    expect_item(first, 0, MP_BOX(8));
    close_one(second);
    end(first);
}

Test(shareable_list, an_empty_one_is_a_list)
{
    mp_shareable_list *list = create(MP_TUPLE());
    mp_shareable_list *same = open_again(list);

    cr_assert_eq(mp_shareable_list_length(same), 0U);
    expect_format(same, "");
    expect_no_item(same, 0, MP_EINDEX);
    close_one(same);
    end(list);
}

Test(shareable_list, numbers_keep_every_bit)
{
    mp_shareable_list *list =
        create(MP_LIST(INT64_MIN, INT64_MAX, 5e-324, HUGE_VAL, -0.0, NAN));
    mp_obj *item;
    double value = 0;

    expect_item(list, 0, MP_BOX(INT64_MIN));
    expect_item(list, 1, MP_BOX(INT64_MAX));
    expect_item(list, 2, MP_BOX(5e-324));
    expect_item(list, 3, MP_BOX(HUGE_VAL));
    item = mp_shareable_list_get(list, 4);
    cr_assert_eq(mp_obj_as_float(item, &value), MP_OK);
    cr_assert(signbit(value));
    mp_obj_unref(item);
    item = mp_shareable_list_get(list, 5);
    cr_assert_eq(mp_obj_as_float(item, &value), MP_OK);
    cr_assert(isnan(value));
    mp_obj_unref(item);
    end(list);
}

/* CPython 3.13 counts 8 code points, gives 16 bytes, and has no room left for
 * what tells the end; of 'h' and 8 such it loses half a letter. */
Test(shareable_list, text_of_several_bytes_a_letter_is_whole)
{
    mp_shareable_list *list = create(MP_LIST(
        "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9",
        "h\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9",
        "\xf0\x9f\x90\x8d\xf0\x9f\x90\x8d"));

    expect_format(list, "24s24s16s");
    expect_item(list, 1,
                MP_BOX("h\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
                       "\xc3\xa9\xc3\xa9"));
    expect_item(list, 2, MP_BOX("\xf0\x9f\x90\x8d\xf0\x9f\x90\x8d"));
    end(list);
}

Test(shareable_list, what_has_no_place_in_it_is_refused)
{
    size_t handles;

    end(create(MP_LIST(1)));
    handles = support_open_handles();
    refuse(MP_LIST(1, MP_LIST()), MP_ETYPE);
    refuse(MP_LIST(MP_DICT()), MP_ETYPE);
    refuse(MP_BOX("text"), MP_ETYPE);
    refuse(MP_NONE, MP_ETYPE);
    refuse(NULL, MP_EINVAL);
    refuse(MP_LIST(mp_obj_strn("a\0", 2)), MP_EINVAL);
    refuse(MP_LIST(MP_BYTES("\0", 1)), MP_EINVAL);
    cr_assert_eq(mp_shareable_list_create(NULL, MP_LIST(1), NULL), MP_EINVAL);
    cr_assert_eq(support_open_handles(), handles);
}

Test(shareable_list, an_item_is_as_long_as_its_format_can_say)
{
    size_t most = 9999991;
    char *text = malloc(most + 1);
    mp_shareable_list *list;

    memset(text, 'x', most + 1);
    refuse(MP_LIST(MP_BYTES(text, most + 1)), MP_EOVERFLOW);
    list = create(MP_LIST(MP_BYTES(text, most)));
    expect_format(list, "9999992s");
    expect_item(list, 0, MP_BYTES(text, most));
    set(list, 0, MP_BOX(1));
    set(list, 0, MP_BYTES(text, most));
    expect_format(list, "9999992s");
    end(list);
    free(text);
}

Test(shareable_list, nulls_inside_are_kept)
{
    mp_shareable_list *list =
        create(MP_LIST(mp_obj_strn("\0a\0b", 4), MP_BYTES("\0\0c", 3)));

    expect_item(list, 0, mp_obj_strn("\0a\0b", 4));
    expect_item(list, 1, MP_BYTES("\0\0c", 3));
    end(list);
}

/* -- Changing -------------------------------------------------------------- */

/* Any type in place of any other, in a slot of one word and a longer one. */
Test(shareable_list, every_type_replaces_every_other)
{
    mp_obj *values[] = {
        MP_BOX(-1),
        MP_BOX(2.5),
        MP_TRUE,
        MP_FALSE,
        MP_NONE,
        MP_BOX("\xc3\xa9tat"),
        MP_BOX(""),
        MP_BYTES("\xff", 1),
        MP_BOX("12345678"),
    };
    const size_t count = sizeof(values) / sizeof(values[0]);
    mp_shareable_list *list = create(MP_LIST(1, "twelve bytes", 9));
    mp_shareable_list *other = open_again(list);

    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count; j++) {
            for (int place = 0; place < 2; place++) {
                set(list, place, mp_obj_ref(values[i]));
                expect_item(other, place, mp_obj_ref(values[i]));
                set(list, place, mp_obj_ref(values[j]));
                expect_item(other, place, mp_obj_ref(values[j]));
            }
            expect_item(other, 2, MP_BOX(9));
        }
    }
    for (size_t i = 0; i < count; i++)
        mp_obj_unref(values[i]);
    set(list, 0, MP_BOX("x"));
    set(list, 1, MP_BOX("x"));
    expect_format(list, "8s16sq");
    close_one(other);
    end(list);
}

Test(shareable_list, what_does_not_fit_changes_nothing)
{
    mp_shareable_list *list = create(MP_LIST("1234567", 1));

    cr_assert_eq(mp_shareable_list_set(list, 0, MP_BOX("123456789")),
                 MP_EOVERFLOW);
    cr_assert_eq(mp_shareable_list_set(list, 1, MP_BYTES("123456789", 9)),
                 MP_EOVERFLOW);
    cr_assert_eq(mp_shareable_list_set(list, 0, mp_obj_strn("a\0", 2)),
                 MP_EINVAL);
    cr_assert_eq(mp_shareable_list_set(list, 0, MP_LIST()), MP_ETYPE);
    cr_assert_eq(mp_shareable_list_set(list, 0, NULL), MP_EINVAL);
    cr_assert_eq(mp_shareable_list_set(list, 2, MP_BOX(1)), MP_EINDEX);
    cr_assert_eq(mp_shareable_list_set(list, -3, MP_BOX(1)), MP_EINDEX);
    expect_item(list, 0, MP_BOX("1234567"));
    expect_item(list, 1, MP_BOX(1));
    end(list);
}

/* -- Asking ---------------------------------------------------------------- */

Test(shareable_list, count_and_index_compare_as_python_does)
{
    mp_shareable_list *list = create(MP_LIST(1, 1.0, MP_TRUE, "1", 2, "1"));
    size_t number = 99;

    cr_assert_eq(mp_shareable_list_count(list, MP_BOX(1), &number), MP_OK);
    cr_assert_eq(number, 3U);
    cr_assert_eq(mp_shareable_list_count(list, MP_BOX("1"), &number), MP_OK);
    cr_assert_eq(number, 2U);
    cr_assert_eq(mp_shareable_list_count(list, MP_NONE, &number), MP_OK);
    cr_assert_eq(number, 0U);
    cr_assert_eq(mp_shareable_list_index(list, MP_BOX(2.0), &number), MP_OK);
    cr_assert_eq(number, 4U);
    cr_assert_eq(mp_shareable_list_index(list, MP_BOX(3), &number),
                 MP_ENOTFOUND);
    cr_assert_eq(number, 4U);
    cr_assert_eq(mp_shareable_list_index(list, NULL, &number), MP_EINVAL);
    cr_assert_eq(mp_shareable_list_index(list, MP_NONE, NULL), MP_EINVAL);
    end(list);
}

Test(shareable_list, items_format_and_repr_are_pythons)
{
    mp_shareable_list *list = create(MP_LIST(1, "it's", MP_NONE, 2.0));
    mp_obj *items = mp_shareable_list_items(list);
    mp_obj *expected = MP_LIST(1, "it's", MP_NONE, 2.0);
    char wanted[128];
    char *repr = NULL;

    cr_assert(mp_obj_equal(items, expected));
    expect_format(list, "q8sxxxxxx?xd");
    snprintf(wanted, sizeof(wanted),
             "ShareableList([1, \"it's\", None, 2.0], name='%s')",
             name_of(list));
    cr_assert_eq(mp_shareable_list_repr(list, &repr), MP_OK);
    cr_assert_str_eq(repr, wanted);
    mp_free(repr);
    mp_obj_unref(items);
    mp_obj_unref(expected);
    end(list);
}

Test(shareable_list, closed_it_answers_with_an_error)
{
    mp_shareable_list *list = create(MP_LIST(1));
    size_t number;
    char *text = NULL;
    mp_obj *obj;

    end(list);
    cr_assert_eq(mp_shareable_list_length(list), 0U);
    expect_no_item(list, 0, MP_ECLOSED);
    cr_assert_eq(mp_shareable_list_set(list, 0, MP_NONE), MP_ECLOSED);
    cr_assert_eq(mp_shareable_list_count(list, MP_NONE, &number), MP_ECLOSED);
    cr_assert_eq(mp_shareable_list_index(list, MP_NONE, &number), MP_ECLOSED);
    cr_assert_eq(mp_shareable_list_format(list, &text), MP_ECLOSED);
    cr_assert_eq(mp_shareable_list_repr(list, &text), MP_ECLOSED);
    cr_assert_null(text);
    obj = mp_shareable_list_items(list);
    cr_assert_eq(mp_obj_error(obj), MP_ECLOSED);
    mp_obj_unref(obj);
    cr_assert_null(mp_shareable_list_memory(list));
    cr_assert_eq(mp_shareable_list_unlink(list), MP_ECLOSED);
    cr_assert_eq(mp_shareable_list_close(list), MP_ECLOSED);
    cr_assert_eq(mp_shareable_list_close(NULL), MP_OK);
    expect_no_item(NULL, 0, MP_EINVAL);
    list = create(MP_LIST(1));
    cr_assert_eq(mp_shareable_list_unlink(list), MP_OK);
    cr_assert_eq(mp_shared_memory_close(mp_shareable_list_memory(list)), MP_OK);
    expect_no_item(list, 0, MP_ECLOSED);
    close_one(list);
}

Test(shareable_list, as_an_object_it_is_a_list_none_or_an_error)
{
    mp_shareable_list *list = create(MP_LIST(1)), *same = NULL;
    mp_obj *obj = mp_obj_shareable_list(NULL), *box = MP_BOX(list);

    cr_assert(mp_obj_is_none(obj));
    cr_assert_eq(mp_obj_as_shareable_list(obj, &same), MP_ETYPE);
    mp_obj_unref(obj);
    cr_assert_null(same);
    cr_assert_eq(mp_obj_as_shareable_list(box, &same), MP_OK);
    cr_assert_eq(same, list);
    end(list);
    mp_obj_unref(box);
    obj = mp_obj_shareable_list(list);
    cr_assert_eq(mp_obj_error(obj), MP_ECLOSED);
    mp_obj_unref(obj);
}

Test(shareable_list, with_a_lone_surrogate_is_refused_as_in_python)
{
    static const char half[] = "V\\udc80\n.";
    mp_shareable_list *list = create(MP_LIST("text"));
    mp_obj *text = NULL;

    cr_assert_eq(mp_pickle_loads(half, sizeof(half) - 1, &text), MP_OK);
    cr_assert_eq(mp_shareable_list_set(list, 0, text), MP_EINVAL);
    expect_item(list, 0, MP_BOX("text"));
    end(list);
}

Test(shareable_list, nothing_is_left_of_what_is_ended)
{
    size_t handles;

    end(create(MP_LIST(1, "two")));
    handles = support_open_handles();
    for (int i = 0; i < 50; i++) {
        mp_shareable_list *list = create(MP_LIST(i, "two"));

        close_one(open_again(list));
        end(list);
    }
    cr_assert_eq(support_open_handles(), handles);
}

/* -- Anything at all in the memory ----------------------------------------- */

static mp_shared_memory *memory_with(const void *data, size_t size)
{
    mp_shared_memory *memory = NULL;

    cr_assert_eq(mp_shared_memory_create(&memory, NULL, size), MP_OK, "%s",
                 mp_error_message());
    memcpy(mp_shared_memory_data(memory), data, size);
    return memory;
}

static void end_memory(mp_shared_memory *memory)
{
    cr_assert_eq(mp_shared_memory_unlink(memory), MP_OK);
    cr_assert_eq(mp_shared_memory_close(memory), MP_OK);
}

static void expect_strange(const void *data, size_t size)
{
    mp_shared_memory *memory = memory_with(data, size);
    mp_shareable_list *list = NULL;
    mp_error err = mp_shareable_list_open(&list, mp_shared_memory_name(memory));

    cr_assert_eq(err, MP_EPROTO, "%s: %s", mp_error_name(err),
                 mp_error_message());
    cr_assert_null(list);
    end_memory(memory);
}

static void put_word(unsigned char *to, size_t number, uint64_t value)
{
    memcpy(to + 8 * number, &value, sizeof(value));
}

Test(shareable_list, memory_that_is_none_is_refused)
{
    static const uint64_t bad[] = {
        1, 7, 24, 100, 1 << 20, INT64_MAX, UINT64_MAX, UINT64_MAX - 7};
    unsigned char copy[sizeof(image)];

    expect_strange("1234567", 7);
    expect_strange(image, sizeof(image) - 1);
    expect_strange(image, 64);
    memset(copy, 0, sizeof(copy));
    expect_strange(copy, sizeof(copy)); /* not written yet */
    memset(copy, 0xff, sizeof(copy));
    expect_strange(copy, sizeof(copy));
    for (size_t word = 1; word < 8; word++) {
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            if (bad[i] == 24 && word == 4)
                continue;
            memcpy(copy, image, sizeof(copy));
            put_word(copy, word, bad[i]);
            expect_strange(copy, sizeof(copy));
        }
    }
}

/* A mark without room for the counts, and with it. */
Test(shareable_list, counts_are_there_only_if_there_is_room_for_them)
{
    enum { MARK = sizeof(image) + 2, COUNTS = MARK + 8, END = COUNTS + 24 };

    for (size_t size = sizeof(image); size <= END; size++) {
        unsigned char copy[END] = {0};
        mp_shared_memory *memory;
        mp_shareable_list *list = NULL;
        uint32_t count;

        memcpy(copy, image, sizeof(image));
        memcpy(copy + MARK, "changes:", 8);
        memory = memory_with(copy, size);
        cr_assert_eq(
            mp_shareable_list_open(&list, mp_shared_memory_name(memory)), MP_OK,
            "%s", mp_error_message());
        set(list, 0, MP_BOX(1.5));
        expect_item(list, 0, MP_BOX(1.5));
        memcpy(copy, mp_shared_memory_data(memory), size);
        memcpy(&count, copy + COUNTS, sizeof(count));
        cr_assert_eq(count, size == END ? 1U : 0U, "%zu bytes", size);
        close_one(list);
        end_memory(memory);
    }
}

/* What Python 3.8 writes: sizes, where others have offsets. */
Test(shareable_list, python_3_8s_layout_is_understood)
{
    static const unsigned char old[] = {
        2,   0, 0, 0, 0, 0,   0,   0,   8, 0, 0, 0, 0, 0, 0,   0,   16,
        0,   0, 0, 0, 0, 0,   0,   5,   0, 0, 0, 0, 0, 0, 0,   't', 'w',
        'o', 0, 0, 0, 0, 0,   0,   0,   0, 0, 0, 0, 0, 0, 'q', 0,   0,
        0,   0, 0, 0, 0, '1', '6', 's', 0, 0, 0, 0, 0, 0, 1};
    mp_shared_memory *memory = memory_with(old, sizeof(old));
    mp_shareable_list *list = NULL;

    cr_assert_eq(mp_shareable_list_open(&list, mp_shared_memory_name(memory)),
                 MP_OK, "%s", mp_error_message());
    expect_item(list, 0, MP_BOX(5));
    expect_item(list, 1, MP_BOX("two"));
    set(list, 1, MP_BOX("sixteen bytes ok"));
    expect_item(list, 1, MP_BOX("sixteen bytes ok"));
    close_one(list);
    end_memory(memory);
}

static void expect_damaged(size_t offset, const char *bytes, size_t size)
{
    unsigned char copy[sizeof(image)];
    mp_shared_memory *memory;
    mp_shareable_list *list = NULL;
    mp_obj *items;
    char *text = NULL;

    memcpy(copy, image, sizeof(copy));
    memcpy(copy + offset, bytes, size);
    memory = memory_with(copy, sizeof(copy));
    cr_assert_eq(mp_shareable_list_open(&list, mp_shared_memory_name(memory)),
                 MP_OK, "%s", mp_error_message());
    expect_no_item(list, 1, MP_EPROTO);
    items = mp_shareable_list_items(list);
    cr_assert_eq(mp_obj_error(items), MP_EPROTO);
    cr_assert_eq(mp_shareable_list_repr(list, &text), MP_EPROTO);
    cr_assert_null(text);
    /* All others are well, and so is this one once it is set again. */
    expect_item(list, 0, MP_BOX(7));
    set(list, 1, MP_BOX("new"));
    expect_item(list, 1, MP_BOX("new"));
    close_one(list);
    end_memory(memory);
}

Test(shareable_list, a_damaged_item_is_an_error_until_it_is_set)
{
    enum { FORMAT = 8 * 15, DATA = 8 * 9, CODE = 8 * 20 + 1 };
    static const char *const formats[] = {
        "",  "9s",  "0s",       "08s", "s",        "8",
        "z", "16s", "99999999", "-8s", "9999999s", "8s ",
    };

    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        char padded[9] = {0};

        snprintf(padded, sizeof(padded), "%s", formats[i]);
        expect_damaged(FORMAT, padded, 8);
    }
    expect_damaged(DATA, "\xff", 1); /* no UTF-8 */
    expect_damaged(CODE, "\x04", 1);
    expect_damaged(CODE, "\xff", 1);
    expect_damaged(CODE, "\x00", 1);
}

/* -- Travelling ------------------------------------------------------------ */

static int change_all(mp_args *args)
{
    mp_shareable_list *list = mp_arg_shareable_list(args, 0);

    mp_check(mp_shareable_list_set(list, 0, MP_BOX("child")));
    mp_check(mp_shareable_list_set(list, 1, MP_NONE));
    return (int)mp_shareable_list_length(list);
}

METHOD_TEST(shareable_list, a_child_is_given_it)
{
    mp_shareable_list *list = create(MP_LIST(1, 2.5, "three"));

    cr_assert_eq(support_run(method, change_all, MP_ARGS(list)), 3);
    expect_item(list, 0, MP_BOX("child"));
    expect_item(list, 1, MP_NONE);
    expect_item(list, 2, MP_BOX("three"));
    end(list);
}

Test(shareable_list, it_passes_through_a_pipe_by_its_name)
{
    mp_shareable_list *list = create(MP_LIST(1));
    mp_shareable_list *same = NULL;
    mp_connection *left, *right;
    mp_obj *back = NULL;
    const mp_obj *item;

    cr_assert_eq(mp_pipe(&left, &right, NULL), MP_OK);
    cr_assert_eq(mp_connection_send(left, MP_LIST(list, list)), MP_OK, "%s",
                 mp_error_message());
    cr_assert_eq(mp_connection_recv(right, &back), MP_OK, "%s",
                 mp_error_message());
    cr_assert_eq(mp_obj_item(back, 1, &item), MP_OK);
    cr_assert_eq(mp_obj_as_shareable_list(item, &same), MP_OK);
    set(same, 0, MP_BOX(2));
    expect_item(list, 0, MP_BOX(2));
    mp_obj_unref(back);
    cr_assert_eq(mp_connection_close(left), MP_OK);
    cr_assert_eq(mp_connection_close(right), MP_OK);
    end(list);
}

Test(shareable_list, one_that_came_can_be_closed_before_its_object)
{
    mp_shareable_list *list = create(MP_LIST(1)), *same = NULL;
    mp_connection *left, *right;
    mp_obj *came = NULL;

    cr_assert_eq(mp_pipe(&left, &right, NULL), MP_OK);
    cr_assert_eq(mp_connection_send(left, MP_BOX(list)), MP_OK);
    cr_assert_eq(mp_connection_recv(right, &came), MP_OK);
    cr_assert_eq(mp_obj_as_shareable_list(came, &same), MP_OK);
    close_one(same);
    expect_no_item(same, 0, MP_ECLOSED);
    cr_assert_eq(mp_shareable_list_close(same), MP_ECLOSED);
    cr_assert_eq(mp_connection_send(right, came), MP_EPICKLE);
    cr_assert_not_null(strstr(mp_error_message(), "closed"));
    cr_assert_eq(mp_connection_close(left), MP_OK);
    cr_assert_eq(mp_connection_close(right), MP_OK);
    end(list);
}

/* -- While others change it ------------------------------------------------ */

/* In place of one another: never anything else is to be seen but None. */
static mp_obj *value_number(int number)
{
    switch (number % 5) {
    case 0:
        return MP_BOX(INT64_C(0x4141414141414141)); /* 'A' and 2261634.5...*/
    case 1:
        return MP_BOX("BBBBBBBB");
    case 2:
        return MP_BOX("a much longer text, \xc3\xa9\xc3\xa9 of 35 byte");
    case 3:
        return MP_BYTES("\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8\xf7", 9);
    default:
        return MP_BOX(1.5);
    }
}

static bool is_one_of_them(const mp_obj *item)
{
    bool is_one = mp_obj_is_none(item);

    for (int i = 0; i < 5 && !is_one; i++) {
        mp_obj *value = value_number(i);

        is_one = mp_obj_equal(item, value);
        mp_obj_unref(value);
    }
    return is_one;
}

static int change_for_ever(mp_args *args)
{
    mp_shareable_list *list = mp_arg_shareable_list(args, 0);

    mp_check(mp_connection_send(mp_arg_connection(args, 1), MP_NONE));
    for (int i = 0;; i++)
        mp_check(mp_shareable_list_set(list, 0, value_number(i)));
}

static mp_process *start_changing(mp_shareable_list *list)
{
    mp_connection *ours, *theirs;
    mp_process *process;
    mp_obj *ready = NULL;

    cr_assert_eq(mp_pipe(&ours, &theirs, NULL), MP_OK);
    process =
        support_start(MP_START_SPAWN, change_for_ever, MP_ARGS(list, theirs));
    cr_assert_eq(mp_connection_close(theirs), MP_OK);
    cr_assert_eq(mp_connection_recv(ours, &ready), MP_OK, "%s",
                 mp_error_message());
    mp_obj_unref(ready);
    cr_assert_eq(mp_connection_close(ours), MP_OK);
    return process;
}

static void expect_one_of_them(const mp_shareable_list *list)
{
    mp_obj *item = mp_shareable_list_get(list, 0);

    cr_assert_eq(mp_obj_error(item), MP_OK, "%s", mp_error_message());
    if (!is_one_of_them(item)) {
        char *repr = NULL;

        cr_assert_eq(mp_obj_repr(item, &repr), MP_OK);
        cr_assert_fail("%s", repr);
    }
    mp_obj_unref(item);
}

Test(shareable_list, readers_see_an_item_whole_while_it_changes, .timeout = 60)
{
    mp_shareable_list *list =
        create(MP_LIST("as long as the longest of all that follow"));
    size_t count = support_scaled(CHANGES);
    mp_process *writer;

    set(list, 0, MP_NONE);
    writer = start_changing(list);
    for (size_t i = 0; i < count; i++)
        expect_one_of_them(list);
    cr_assert_eq(mp_process_kill(writer), MP_OK);
    cr_assert_eq(support_finish(writer), -9);
    end(list);
}

Test(shareable_list, an_item_is_whole_when_its_writer_was_killed,
     .timeout = 120)
{
    mp_shareable_list *list =
        create(MP_LIST("as long as the longest of all that follow"));
    int rounds = (int)support_scaled(KILLS);

    set(list, 0, MP_NONE);
    for (int i = 0; i < rounds; i++) {
        mp_process *writer = start_changing(list);

        mp_sleep(0.0003 * (i % 7));
        cr_assert_eq(mp_process_kill(writer), MP_OK);
        cr_assert_eq(support_finish(writer), -9);
        expect_one_of_them(list);
        set(list, 0, value_number(i));
        expect_item(list, 0, value_number(i));
    }
    end(list);
}
