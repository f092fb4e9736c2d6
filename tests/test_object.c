/* SPDX-License-Identifier: MIT */
/* Objects: boxing, owning, containers, equality and repr(). */
#include "support/testing.h"

#include "obj.h"
#include "os_fault.h"
#include "repr.h"

#include <multiproc/box.h>
#include <multiproc/connection.h>
#include <multiproc/pickle.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Consumes obj. */
static void assert_repr(mp_obj *obj, const char *expected)
{
    char *text = NULL;

    cr_assert_eq(mp_obj_repr(obj, &text), MP_OK);
    cr_assert_str_eq(text, expected);
    mp_free(text);
    mp_obj_unref(obj);
}

/* Consumes both. */
static bool are_equal(mp_obj *left, mp_obj *right)
{
    bool equal = mp_obj_equal(left, right);

    cr_assert_eq(mp_obj_equal(right, left), equal);
    mp_obj_unref(left);
    mp_obj_unref(right);
    return equal;
}

static int target(mp_args *args)
{
    (void)args;
    return 0;
}

/* -- Boxing ---------------------------------------------------------------- */

Test(object, boxes_every_c_type_as_the_python_type_it_stands_for)
{
    signed char tiny = -1;
    unsigned short small = 2;
    unsigned long long large = 3;
    float single = 0.5F;
    char text[] = "text";
    const char *null_text = NULL;
    bool flag = true;

    assert_repr(MP_LIST(tiny, small, large, single, text, "literal", flag),
                "[-1, 2, 3, 0.5, 'text', 'literal', True]");
    assert_repr(MP_LIST(null_text, NULL, MP_NONE, MP_TRUE, MP_FALSE),
                "[None, None, None, True, False]");
    assert_repr(MP_LIST(INT64_MIN, INT64_MAX, 'a', 3.0),
                "[-9223372036854775808, 9223372036854775807, 97, 3.0]");
}

Test(object, boxes_functions_and_pointers_as_themselves)
{
    const mp_obj *item = NULL;
    mp_obj *list = MP_LIST(target, &target, &item);
    mp_function function = NULL;

    cr_assert_eq(mp_obj_item(list, 0, &item), MP_OK);
    cr_assert_eq(mp_obj_as_function(item, &function), MP_OK);
    cr_assert(function == target);
    cr_assert_eq(mp_obj_item(list, 1, &item), MP_OK);
    cr_assert_eq(mp_obj_type(item), MP_TYPE_FUNCTION);
    cr_assert_eq(mp_obj_item(list, 2, &item), MP_OK);
    cr_assert_eq(mp_obj_type(item), MP_TYPE_POINTER);
    mp_obj_unref(list);
}

Test(object, boxing_nests_and_takes_none_to_thirty_two_items)
{
    assert_repr(
        MP_LIST(1, MP_LIST(2, MP_LIST(3, MP_LIST(4, MP_LIST(5, MP_LIST()))))),
        "[1, [2, [3, [4, [5, []]]]]]");
    assert_repr(MP_DICT("k", MP_LIST(2), 1, MP_DICT("a", MP_TUPLE(MP_SET(1)))),
                "{'k': [2], 1: {'a': ({1},)}}");
    assert_repr(MP_LIST(MP_ARGS(), MP_KWARGS(), MP_SET(), MP_KWARGS("n", 2)),
                "[(), {}, set(), {'n': 2}]");
    assert_repr(MP_LIST(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
                        17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30,
                        31, 32),
                "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, "
                "18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32]");
}

Test(object, boxing_a_borrowed_object_leaves_the_lender_its_reference)
{
    mp_obj *list = MP_LIST("kept");
    const mp_obj *borrowed;
    mp_obj *other;

    cr_assert_eq(mp_obj_item(list, 0, &borrowed), MP_OK);
    other = MP_LIST(borrowed, borrowed);
    mp_obj_unref(list);
    assert_repr(other, "['kept', 'kept']");
}

/* -- Errors as objects ----------------------------------------------------- */

Test(object, a_str_that_is_no_utf8_is_an_error_object)
{
    mp_obj *cut = mp_obj_str("\xC3");
    mp_obj *surrogate = mp_obj_str("\xED\xB2\x80");
    mp_obj *overlong = mp_obj_str("\xC0\x80");
    mp_obj *beyond = mp_obj_str("\xF4\x90\x80\x80");

    cr_assert_eq(mp_obj_error(cut), MP_EINVAL);
    cr_assert_eq(mp_obj_error(surrogate), MP_EINVAL);
    cr_assert_eq(mp_obj_error(overlong), MP_EINVAL);
    cr_assert_eq(mp_obj_error(beyond), MP_EINVAL);
    cr_assert_eq(mp_obj_type(cut), MP_TYPE_ERROR);
}

Test(object, what_is_missing_is_an_error_object)
{
    mp_obj *const nothing[] = {NULL};
    mp_obj *objects[] = {mp_obj_strn(NULL, 1), mp_obj_bytes(NULL, 1),
                         mp_obj_list(nothing, 1)};

    for (int i = 0; i < 3; i++) {
        cr_assert_eq(mp_obj_error(objects[i]), MP_EINVAL);
        mp_obj_unref(objects[i]);
    }
}

Test(object, an_error_inside_an_expression_becomes_its_result)
{
    mp_obj *deep = MP_LIST(1, MP_DICT("k", MP_TUPLE("a", "\xFF")));
    mp_obj *beyond = MP_LIST((uint64_t)INT64_MAX + 1);
    char *text = NULL;

    cr_assert_eq(mp_obj_error(deep), MP_EINVAL);
    cr_assert_eq(mp_obj_error(beyond), MP_EOVERFLOW);
    cr_assert_eq(mp_obj_repr(deep, &text), MP_EINVAL);
    cr_assert_null(text);
    mp_obj_unref(deep);
    mp_obj_unref(beyond);
}

Test(object, an_error_object_stands_for_the_code_it_was_made_from)
{
    cr_assert_eq(mp_obj_error(mp_obj_from_error(MP_EIO)), MP_EIO);
    cr_assert_eq(mp_obj_error(mp_obj_from_error(MP_TIMED_OUT)), MP_TIMED_OUT);
    cr_assert(mp_obj_is_none(mp_obj_from_error(MP_OK)));
    cr_assert_eq(mp_obj_error(mp_obj_none()), MP_OK);
    cr_assert_eq(mp_obj_error(NULL), MP_EINVAL);
}

Test(object, a_dict_with_an_odd_number_of_items_is_refused)
{
    cr_assert_eq(mp_obj_error(MP_DICT("key")), MP_EINVAL);
}

Test(object, what_python_cannot_hash_is_no_key)
{
    cr_assert_eq(mp_obj_error(MP_DICT(MP_LIST(), 1)), MP_ETYPE);
    cr_assert_str_eq(mp_error_message(), "unhashable type: 'list'");
    cr_assert_eq(mp_obj_error(MP_SET(MP_DICT())), MP_ETYPE);
    cr_assert_str_eq(mp_error_message(), "unhashable type: 'dict'");
    cr_assert_eq(mp_obj_error(MP_SET(MP_TUPLE(1, MP_SET()))), MP_ETYPE);
    cr_assert_str_eq(mp_error_message(), "unhashable type: 'set'");
}

/* -- Reading --------------------------------------------------------------- */

/* Consumes key. */
static void assert_is_a_key(mp_obj *key)
{
    mp_obj *dict = mp_obj_dict(NULL, 0);
    const mp_obj *found = NULL;

    /* In a small one it would be found without its hash. */
    for (int i = 0; i < 100; i++)
        cr_assert_eq(mp_obj_set_item(dict, MP_BOX(i), MP_NONE), MP_OK);
    cr_assert_eq(mp_obj_set_item(dict, mp_obj_ref(key), MP_BOX(1)), MP_OK);
    cr_assert_eq(mp_obj_get(dict, key, &found), MP_OK);
    cr_assert(mp_obj_contains(dict, key));
    mp_obj_unref(dict);
    mp_obj_unref(key);
}

Test(object, functions_pointers_handles_and_opaque_objects_are_keys)
{
    static const char date[] = "cdatetime\ndate\n.";
    mp_obj *opaque;
    mp_connection *a, *b;

    cr_assert_eq(mp_pickle_loads(date, sizeof(date) - 1, &opaque), MP_OK);
    cr_assert_eq(mp_pipe(&a, &b, NULL), MP_OK);
    assert_is_a_key(MP_BOX(target));
    assert_is_a_key(mp_obj_pointer(&opaque));
    assert_is_a_key(MP_BOX(a));
    assert_is_a_key(opaque);
    cr_assert(are_equal(MP_BOX(a), MP_BOX(a)), "the same, boxed twice");
    cr_assert_not(are_equal(MP_BOX(a), MP_BOX(b)));
    cr_assert_eq(mp_connection_close(a), MP_OK);
    cr_assert_eq(mp_connection_close(b), MP_OK);
}

Test(object, what_has_no_items_contains_nothing)
{
    mp_obj *list = MP_LIST(1, "two");
    mp_obj *three = MP_BOX(3);
    const mp_obj *found = NULL;

    cr_assert_not(mp_obj_contains(list, three));
    cr_assert_not(mp_obj_contains(three, three));
    cr_assert_eq(mp_obj_get(list, three, &found), MP_ETYPE);
    cr_assert_null(found);
    mp_obj_unref(list);
    mp_obj_unref(three);
}

Test(object, reading_the_wrong_type_fails_and_leaves_the_output_alone)
{
    mp_obj *text = mp_obj_str("1");
    int64_t number = 7;
    double real = 7;
    bool flag = true;
    const char *out = NULL;

    cr_assert_eq(mp_obj_as_int(text, &number), MP_ETYPE);
    cr_assert_str_eq(mp_error_message(), "expected int, got str");
    cr_assert_eq(mp_obj_as_float(text, &real), MP_ETYPE);
    cr_assert_eq(mp_obj_as_bool(text, &flag), MP_ETYPE);
    cr_assert_eq(mp_obj_as_str(mp_obj_none(), &out, NULL), MP_ETYPE);
    cr_assert_str_eq(mp_error_message(), "expected str, got NoneType");
    cr_assert(number == 7 && real == 7.0 && flag && out == NULL);
    mp_obj_unref(text);
}

Test(object, bools_read_as_ints_and_ints_as_floats)
{
    int64_t number = 0;
    double real = 0;

    cr_assert_eq(mp_obj_as_int(MP_TRUE, &number), MP_OK);
    cr_assert_eq(number, 1);
    cr_assert_eq(mp_obj_as_float(mp_obj_int(-3), &real), MP_OK);
    cr_assert(real == -3.0);
}

Test(object, every_64_bit_int_survives)
{
    static const int64_t values[] = {0,
                                     -1,
                                     INT64_MAX,
                                     INT64_MIN,
                                     INT64_MAX / 2,
                                     INT64_MAX / 2 + 1,
                                     INT64_MIN / 2,
                                     INT64_MIN / 2 - 1};

    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        mp_obj *obj = mp_obj_int(values[i]);
        int64_t back = 1;

        cr_assert_eq(mp_obj_type(obj), MP_TYPE_INT);
        cr_assert_eq(mp_obj_as_int(obj, &back), MP_OK);
        cr_assert(back == values[i]);
        mp_obj_unref(obj);
    }
}

Test(object, a_str_with_a_null_inside_is_only_given_with_its_size)
{
    mp_obj *text = mp_obj_strn("a\0b", 3);
    const char *out = NULL;
    size_t size = 0;

    cr_assert_eq(mp_obj_as_str(text, &out, NULL), MP_EINVAL);
    cr_assert_eq(mp_obj_as_str(text, &out, &size), MP_OK);
    cr_assert_eq(size, 3);
    mp_obj_unref(text);
}

Test(object, len_counts_code_points_and_pairs)
{
    mp_obj *text = mp_obj_str("a\xC3\xA9\xF0\x9F\x98\x80");
    mp_obj *dict = MP_DICT(1, 2, 3, 4);
    size_t length = 0;

    cr_assert_eq(mp_obj_len(text, &length), MP_OK);
    cr_assert_eq(length, 3);
    cr_assert_eq(mp_obj_len(dict, &length), MP_OK);
    cr_assert_eq(length, 2);
    cr_assert_eq(mp_obj_len(mp_obj_int(1), &length), MP_ETYPE);
    mp_obj_unref(text);
    mp_obj_unref(dict);
}

Test(object, items_are_counted_from_either_end)
{
    mp_obj *list = MP_LIST("a", "b");
    const mp_obj *item;

    cr_assert_eq(mp_obj_item(list, -2, &item), MP_OK);
    assert_repr(mp_obj_ref(item), "'a'");
    cr_assert_eq(mp_obj_item(list, 1, &item), MP_OK);
    assert_repr(mp_obj_ref(item), "'b'");
    cr_assert_eq(mp_obj_item(list, 2, &item), MP_EINDEX);
    cr_assert_eq(mp_obj_item(list, -3, &item), MP_EINDEX);
    cr_assert_eq(mp_obj_item(list, INT64_MIN, &item), MP_EINDEX);
    cr_assert_eq(mp_obj_item(list, INT64_MAX, &item), MP_EINDEX);
    mp_obj_unref(list);
}

Test(object, iterating_a_dict_gives_pairs_in_insertion_order)
{
    mp_obj *dict = MP_DICT("z", 1, "a", 2);
    const mp_obj *key;
    const mp_obj *value;
    mp_iter it = {0};

    cr_assert(mp_obj_next(dict, &it, &key, &value));
    assert_repr(MP_TUPLE(key, value), "('z', 1)");
    cr_assert(mp_obj_next(dict, &it, &key, NULL));
    assert_repr(mp_obj_ref(key), "'a'");
    cr_assert(!mp_obj_next(dict, &it, &key, &value));
    mp_obj_unref(dict);
}

/* -- Building -------------------------------------------------------------- */

Test(object, a_shared_container_cannot_be_changed)
{
    mp_obj *list = MP_LIST(1);
    mp_obj *dict = MP_DICT();
    mp_obj *set = MP_SET();

    mp_obj_ref(list);
    cr_assert_eq(mp_obj_append(list, mp_obj_str("x")), MP_ESTATE);
    mp_obj_unref(list);
    cr_assert_eq(mp_obj_append(list, mp_obj_str("x")), MP_OK);
    assert_repr(list, "[1, 'x']");
    mp_obj_ref(dict);
    cr_assert_eq(mp_obj_set_item(dict, mp_obj_int(1), MP_NONE), MP_ESTATE);
    mp_obj_unref(dict);
    mp_obj_ref(set);
    cr_assert_eq(mp_obj_add(set, mp_obj_int(1)), MP_ESTATE);
    mp_obj_unref(set);
    mp_obj_unref(set);
    mp_obj_unref(dict);
}

Test(object, a_list_cannot_be_put_into_itself)
{
    mp_obj *list = MP_LIST(1);

    cr_assert_eq(mp_obj_append(list, list), MP_ESTATE);
    cr_assert_eq(mp_obj_append(list, mp_obj_ref(list)), MP_ESTATE);
    assert_repr(list, "[1]");
}

Test(object, building_the_wrong_container_consumes_the_item)
{
    mp_obj *tuple = MP_TUPLE();

    cr_assert_eq(mp_obj_append(tuple, mp_obj_str("lost")), MP_ETYPE);
    cr_assert_eq(mp_obj_add(tuple, mp_obj_str("lost")), MP_ETYPE);
    cr_assert_eq(mp_obj_set_item(tuple, mp_obj_str("a"), mp_obj_str("b")),
                 MP_ETYPE);
    cr_assert_eq(mp_obj_append(tuple, mp_obj_from_error(MP_EIO)), MP_ETYPE);
    mp_obj_unref(tuple);
}

Test(object, a_later_value_replaces_but_the_first_key_stays)
{
    mp_obj *dict = MP_DICT(1, "int", 2, "two");

    cr_assert_eq(mp_obj_set_item(dict, mp_obj_float(1.0), mp_obj_str("float")),
                 MP_OK);
    cr_assert_eq(mp_obj_set_item(dict, MP_TRUE, mp_obj_str("bool")), MP_OK);
    assert_repr(dict, "{1: 'bool', 2: 'two'}");
}

Test(object, many_keys_are_all_found_again)
{
    mp_obj *dict = MP_DICT();
    const mp_obj *value;
    int64_t number = 0;
    char key[32];

    for (int i = 0; i < 20000; i++) {
        snprintf(key, sizeof(key), "key %d", i);
        cr_assert_eq(mp_obj_set_item(dict, mp_obj_str(key), mp_obj_int(i)),
                     MP_OK);
        cr_assert_eq(mp_obj_set_item(dict, MP_TUPLE(i, "t"), mp_obj_int(i)),
                     MP_OK);
    }
    for (int i = 0; i < 20000; i++) {
        mp_obj *tuple = MP_TUPLE(i, "t");

        snprintf(key, sizeof(key), "key %d", i);
        cr_assert_eq(mp_obj_get_str(dict, key, &value), MP_OK);
        cr_assert_eq(mp_obj_as_int(value, &number), MP_OK);
        cr_assert_eq(number, i);
        cr_assert_eq(mp_obj_get(dict, tuple, &value), MP_OK);
        mp_obj_unref(tuple);
    }
    cr_assert_eq(mp_obj_get_str(dict, "key -1", &value), MP_EKEY);
    cr_assert_str_eq(mp_error_message(), "no key 'key -1' in the dict");
    mp_obj_unref(dict);
}

Test(object, nesting_ends_at_a_thousand_levels)
{
    mp_obj *list = MP_LIST();

    for (int i = 1; i < MPI_MAX_DEPTH; i++)
        list = MP_LIST(list);
    cr_assert_eq(mp_obj_error(list), MP_OK);
    cr_assert(mp_obj_equal(list, list));
    list = MP_TUPLE(list);
    cr_assert_eq(mp_obj_error(list), MP_EOVERFLOW);
}

/* -- Equality -------------------------------------------------------------- */

Test(object, numbers_are_equal_across_types_as_in_python)
{
    cr_assert(are_equal(mp_obj_int(1), mp_obj_float(1.0)));
    cr_assert(are_equal(mp_obj_int(1), MP_TRUE));
    cr_assert(are_equal(mp_obj_float(0.0), mp_obj_float(-0.0)));
    cr_assert(!are_equal(mp_obj_int(INT64_MAX), mp_obj_float(0x1p63)));
    cr_assert(are_equal(mp_obj_int(INT64_MIN), mp_obj_float(-0x1p63)));
    cr_assert(
        !are_equal(mp_obj_int((INT64_C(1) << 53) + 1), mp_obj_float(0x1p53)));
    cr_assert(!are_equal(mp_obj_int(0), MP_NONE));
}

Test(object, nan_is_equal_to_nothing_but_found_where_it_lies)
{
    mp_obj *nan = mp_obj_float(NAN);
    mp_obj *list = MP_LIST(mp_obj_ref(nan));

    cr_assert(!mp_obj_equal(nan, nan));
    cr_assert(mp_obj_equal(list, list));
    cr_assert(mp_obj_contains(list, nan));
    mp_obj_unref(list);
    mp_obj_unref(nan);
    cr_assert(!are_equal(MP_LIST(NAN), MP_LIST(NAN)));
}

Test(object, containers_are_equal_by_kind_and_items)
{
    cr_assert(!are_equal(MP_LIST(1), MP_TUPLE(1)));
    cr_assert(are_equal(MP_LIST(1, MP_LIST("a")), MP_LIST(1, MP_LIST("a"))));
    cr_assert(!are_equal(MP_LIST(1, 2), MP_LIST(1)));
    cr_assert(are_equal(MP_SET(1, 2, 3), MP_SET(3, 1, 2)));
    cr_assert(!are_equal(MP_SET(1, 2), MP_SET(1, 3)));
    cr_assert(are_equal(MP_DICT("a", 1, "b", 2), MP_DICT("b", 2, "a", 1)));
    cr_assert(!are_equal(MP_DICT("a", 1), MP_DICT("a", 2)));
    cr_assert(!are_equal(mp_obj_str("a"), MP_BYTES("a", 1)));
    cr_assert(!are_equal(mp_obj_from_error(MP_EIO), mp_obj_from_error(MP_EIO)));
}

/* 2 ** 500 tuples, if each were visited. */
static mp_obj *deeply_shared(void)
{
    mp_obj *tuple = MP_TUPLE();

    for (int i = 0; i < 500; i++)
        tuple = MP_TUPLE(mp_obj_ref(tuple), tuple);
    return tuple;
}

Test(object, comparing_and_hashing_shared_objects_takes_no_age, .timeout = 10)
{
    mp_obj *left = deeply_shared();
    mp_obj *right = deeply_shared();
    mp_obj *set = MP_SET(mp_obj_ref(left));

    cr_assert(mp_obj_contains(set, right));
    cr_assert(mp_obj_equal(left, right));
    mp_obj_unref(set);
    mp_obj_unref(left);
    mp_obj_unref(right);
}

Test(object, repr_of_a_small_object_with_a_huge_text_is_refused, .timeout = 60)
{
    mp_obj *shared = deeply_shared();
    mpi_buffer text = {0};

    cr_assert_eq(mpi_obj_repr(&text, shared, 100000), MP_EOVERFLOW);
    cr_assert_eq(text.size, 0);
    mpi_buffer_free(&text);
    mp_obj_unref(shared);
}

/* -- repr ------------------------------------------------------------------ */

Test(object, repr_of_containers_is_pythons)
{
    assert_repr(MP_LIST(42, MP_NONE, "hello"), "[42, None, 'hello']");
    assert_repr(MP_TUPLE(1), "(1,)");
    assert_repr(MP_TUPLE(1, 2), "(1, 2)");
    assert_repr(MP_SET(1, 2), "{1, 2}");
    assert_repr(MP_SET(), "set()");
    assert_repr(MP_DICT("k", MP_LIST()), "{'k': []}");
}

Test(object, repr_of_what_is_only_here_tells_where_or_what)
{
    mp_connection *a, *b;
    mp_obj *pipe, *function = MP_BOX(target);
    char *text = NULL;

    cr_assert_eq(mp_pipe(&a, &b, NULL), MP_OK);
    pipe = MP_BOX(a);
    assert_repr(pipe, "<Connection>");
    assert_repr(mp_obj_pointer((void *)(uintptr_t)0x1a2b), "<pointer 0x1a2b>");
    cr_assert_eq(mp_obj_repr(function, &text), MP_OK);
    cr_assert_eq(strncmp(text, "<function ", 10), 0, "%s", text);
    mp_free(text);
    mp_obj_unref(function);
    cr_assert_eq(mp_connection_close(a), MP_OK);
    cr_assert_eq(mp_connection_close(b), MP_OK);
}

Test(object, lone_surrogates_are_not_printed)
{
    static const char half[] = "V\\udc80\n.";
    mp_obj *obj = NULL;

    cr_assert_eq(mp_pickle_loads(half, sizeof(half) - 1, &obj), MP_OK);
    cr_assert_eq(mp_obj_print(obj), MP_EINVAL);
    mp_obj_unref(obj);
}

Test(object, repr_of_floats_is_the_shortest_that_reads_back)
{
    assert_repr(
        MP_LIST(0.1, 1.0, 1e16, 1e15, 123456789012345680.0),
        "[0.1, 1.0, 1e+16, 1000000000000000.0, 1.2345678901234568e+17]");
    assert_repr(MP_LIST(0.0001, 0.00001, 5e-324, 1.7976931348623157e308),
                "[0.0001, 1e-05, 5e-324, 1.7976931348623157e+308]");
    assert_repr(MP_LIST(INFINITY, -INFINITY, NAN, -0.0, 1e22, 1e23),
                "[inf, -inf, nan, -0.0, 1e+22, 1e+23]");
    assert_repr(MP_LIST(0.1 + 0.2, 2.5e-10, 9007199254740993.0, 0x1p-44),
                "[0.30000000000000004, 2.5e-10, 9007199254740992.0, "
                "5.684341886080802e-14]");
}

Test(object, repr_of_str_quotes_and_escapes_as_python_does)
{
    assert_repr(mp_obj_str("it's"), "\"it's\"");
    assert_repr(mp_obj_str("'\""), "'\\'\"'");
    assert_repr(mp_obj_str("\n\t\r\\\x01\x7F"), "'\\n\\t\\r\\\\\\x01\\x7f'");
    assert_repr(mp_obj_str("\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"),
                "'\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80'");
    assert_repr(mp_obj_str("\xC2\xA0\xC2\xAD\xE2\x80\x8B\xF3\xA0\x80\x81"),
                "'\\xa0\\xad\\u200b\\U000e0001'");
    assert_repr(mp_obj_strn("a\0b", 3), "'a\\x00b'");
    assert_repr(mpi_str("\xED\xB2\x80", 3, true), "'\\udc80'");
}

Test(object, repr_of_bytes_escapes_all_but_ascii)
{
    assert_repr(MP_BYTES("a'\xFF\0\n", 5), "b\"a'\\xff\\x00\\n\"");
    assert_repr(MP_BYTES("", 0), "b''");
}

/* -- Memory ---------------------------------------------------------------- */

static mp_obj *build_something(void)
{
    mp_obj *list = MP_LIST("text", 2.5, MP_BYTES("b", 1), MP_TUPLE("a", 0.5),
                           MP_DICT("k", MP_SET(1, 2, 3)), INT64_MAX, target);

    for (int i = 0; i < 20 && mp_obj_error(list) == MP_OK; i++) {
        mp_error err = mp_obj_append(list, mp_obj_float(i));

        if (err != MP_OK) {
            mp_obj_unref(list);
            return mp_obj_from_error(err);
        }
    }
    return list;
}

static mp_obj *build_tables(void)
{
    mp_obj *dict = MP_DICT();
    mp_error err = mp_obj_error(dict);

    for (int i = 0; i < 40 && err == MP_OK; i++)
        err = mp_obj_set_item(dict, MP_TUPLE(i, "k"), mp_obj_float(i));
    if (err == MP_OK)
        return dict;
    mp_obj_unref(dict);
    return mp_obj_from_error(err);
}

/* Whatever allocation fails, the result is that error and nothing leaks
 * (which the leak sanitizer sees). */
static void fail_each_allocation(mp_obj *(*build)(void))
{
    bool was_reached = true;

    for (long n = 1; was_reached; n++) {
        mp_obj *obj;

        mpi_fault_arm(n, MP_ENOMEM);
        obj = build();
        was_reached = mpi_fault_disarm(NULL, NULL);
        if (mp_obj_error(obj) != MP_OK)
            cr_assert_eq(mp_obj_error(obj), MP_ENOMEM);
        mp_obj_unref(obj);
    }
}

Test(object, every_failing_allocation_while_building_is_reported)
{
    fail_each_allocation(build_something);
    fail_each_allocation(build_tables);
}

Test(object, every_failing_allocation_in_repr_leaves_the_output_alone)
{
    mp_obj *obj = build_something();
    bool was_reached = true;

    for (long n = 1; was_reached; n++) {
        char *text = NULL;
        mp_error err;

        mpi_fault_arm(n, MP_ENOMEM);
        err = mp_obj_repr(obj, &text);
        was_reached = mpi_fault_disarm(NULL, NULL);
        cr_assert(err == MP_OK || (err == MP_ENOMEM && text == NULL));
        mp_free(text);
    }
    mp_obj_unref(obj);
}

Test(object, comparing_without_memory_for_it_still_gives_the_answer)
{
    mp_obj *left = MP_LIST();
    mp_obj *right = MP_LIST();

    for (int i = 0; i < 3000; i++) {
        mp_obj_append(left, MP_LIST(i));
        mp_obj_append(right, MP_LIST(i));
    }
    mpi_fault_arm(1, MP_ENOMEM);
    cr_assert(mp_obj_equal(left, right));
    (void)mpi_fault_disarm(NULL, NULL);
    mp_obj_unref(left);
    mp_obj_unref(right);
}
