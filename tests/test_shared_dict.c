/* SPDX-License-Identifier: MIT */
/* Shared dict: what Python's dict does, what fits, what is refused. Several
 * processes, names, files and kills are in test_shared_dict_processes.c. */
#include "support/check.h"
#include "support/dict.h"
#include "support/system.h"

#include "os.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MANY = 1000, OPERATIONS = 100000, MODEL_KEYS = 300 };

/* -- One key --------------------------------------------------------------- */

Test(shared_dict, what_is_set_is_got)
{
    mp_shared_dict *dict = make_dict(10);

    holds(dict, "{}");
    ok(mp_shared_dict_set(dict, MP_BOX("two"), MP_BOX(2)));
    is_repr(mp_shared_dict_get(dict, MP_BOX("two")), "2");
    is_repr(mp_shared_dict_get(dict, MP_BOX("two")), "2");
    holds(dict, "{'two': 2}");
    ok(mp_shared_dict_close(dict));
}

Test(shared_dict, a_missing_key_is_an_error_that_names_it)
{
    mp_shared_dict *dict = make_dict(10);
    char long_key[3000];

    ok(mp_shared_dict_set(dict, MP_BOX("two"), MP_BOX(2)));
    fails(error_of(mp_shared_dict_get(dict, MP_BOX("three"))), MP_EKEY);
    cr_assert_str_eq(mp_error_message(), "no key 'three' in the shared dict");
    fails(error_of(mp_shared_dict_pop(dict, MP_BYTES("t\0o", 3))), MP_EKEY);
    cr_assert_str_eq(mp_error_message(),
                     "no key b't\\x00o' in the shared dict");
    fails(mp_shared_dict_delete(dict, MP_BOX(-2)), MP_EKEY);
    cr_assert_str_eq(mp_error_message(), "no key -2 in the shared dict");
    memset(long_key, 'x', sizeof(long_key));
    fails(mp_shared_dict_delete(dict, mp_obj_strn(long_key, sizeof(long_key))),
          MP_EKEY);
    cr_assert_str_eq(mp_error_message(), "no such key in the shared dict");
    holds(dict, "{'two': 2}");
    ok(mp_shared_dict_close(dict));
}

Test(shared_dict, setting_again_replaces_the_value_and_keeps_the_order)
{
    mp_shared_dict *dict = make_dict(10);

    ok(mp_shared_dict_set(dict, MP_BOX("a"), MP_BOX(1)));
    ok(mp_shared_dict_set(dict, MP_BOX("b"), MP_BOX(2)));
    ok(mp_shared_dict_set(dict, MP_BOX("c"), MP_BOX(3)));
    ok(mp_shared_dict_set(dict, MP_BOX("a"), MP_BOX("a longer one")));
    holds(dict, "{'a': 'a longer one', 'b': 2, 'c': 3}");
    ok(mp_shared_dict_close(dict));
}

Test(shared_dict, what_was_deleted_and_set_again_comes_last)
{
    mp_shared_dict *dict = make_dict(10);

    ok(mp_shared_dict_update(dict, MP_DICT("a", 1, "b", 2, "c", 3)));
    ok(mp_shared_dict_delete(dict, MP_BOX("b")));
    holds(dict, "{'a': 1, 'c': 3}");
    ok(mp_shared_dict_set(dict, MP_BOX("b"), MP_BOX(4)));
    holds(dict, "{'a': 1, 'c': 3, 'b': 4}");
    ok(mp_shared_dict_close(dict));
}

Test(shared_dict, what_is_got_is_a_copy)
{
    mp_shared_dict *dict = make_dict(10);
    mp_obj *list = MP_LIST(1);

    ok(mp_shared_dict_set(dict, MP_BOX("l"), mp_obj_ref(list)));
    mp_obj_unref(list);
    list = mp_shared_dict_get(dict, MP_BOX("l"));
    ok(mp_obj_append(list, MP_BOX(2)));
    is_repr(list, "[1, 2]");
    holds(dict, "{'l': [1]}");
    ok(mp_shared_dict_close(dict));
}

Test(shared_dict, get_or_has_a_fallback)
{
    mp_shared_dict *dict = make_dict(10);

    ok(mp_shared_dict_set(dict, MP_BOX("a"), MP_BOX(1)));
    is_repr(mp_shared_dict_get_or(dict, MP_BOX("a"), MP_BOX(7)), "1");
    is_repr(mp_shared_dict_get_or(dict, MP_BOX("b"), MP_BOX(7)), "7");
    is_repr(mp_shared_dict_get_or(dict, MP_BOX("b"), MP_NONE), "None");
    fails(error_of(mp_shared_dict_get_or(dict, MP_BOX("b"), NULL)), MP_EINVAL);
    fails(error_of(mp_shared_dict_get_or(dict, MP_BOX("a"), NULL)), MP_EINVAL);
    holds(dict, "{'a': 1}");
    ok(mp_shared_dict_close(dict));
}

Test(shared_dict, setdefault_sets_what_is_not_there)
{
    mp_shared_dict *dict = make_dict(10);

    is_repr(mp_shared_dict_setdefault(dict, MP_BOX("a"), MP_LIST(1)), "[1]");
    is_repr(mp_shared_dict_setdefault(dict, MP_BOX("a"), MP_LIST(2)), "[1]");
    holds(dict, "{'a': [1]}");
    ok(mp_shared_dict_close(dict));
}

Test(shared_dict, pop_takes_it_out)
{
    mp_shared_dict *dict = make_dict(10);

    ok(mp_shared_dict_update(dict, MP_DICT("a", 1, "b", MP_LIST(2, "x"))));
    is_repr(mp_shared_dict_pop(dict, MP_BOX("b")), "[2, 'x']");
    fails(error_of(mp_shared_dict_pop(dict, MP_BOX("b"))), MP_EKEY);
    is_repr(mp_shared_dict_pop(dict, MP_BOX("a")), "1");
    holds(dict, "{}");
    ok(mp_shared_dict_close(dict));
}

Test(shared_dict, contains_tells_whether_a_key_is_there)
{
    mp_shared_dict *dict = make_dict(10);
    bool is_there = false;

    ok(mp_shared_dict_set(dict, MP_BOX("a"), MP_BOX("b")));
    ok(mp_shared_dict_contains(dict, MP_BOX("a"), &is_there));
    cr_assert(is_there);
    ok(mp_shared_dict_contains(dict, MP_BOX("b"), &is_there));
    cr_assert_not(is_there);
    fails(mp_shared_dict_contains(dict, MP_BOX("a"), NULL), MP_EINVAL);
    ok(mp_shared_dict_close(dict));
}

Test(shared_dict, delete_takes_away_one)
{
    mp_shared_dict *dict = make_dict(10);

    ok(mp_shared_dict_update(dict, MP_DICT("a", 1, "b", 2)));
    ok(mp_shared_dict_delete(dict, MP_BOX("a")));
    fails(mp_shared_dict_delete(dict, MP_BOX("a")), MP_EKEY);
    holds(dict, "{'b': 2}");
    ok(mp_shared_dict_close(dict));
}

/* -- Adding ---------------------------------------------------------------- */

Test(shared_dict, add_counts)
{
    mp_shared_dict *dict = make_dict(10);
    int64_t sum = 42;

    ok(mp_shared_dict_add(dict, MP_BOX("n"), 5, &sum));
    cr_assert_eq(sum, 5);
    ok(mp_shared_dict_add(dict, MP_BOX("n"), -7, &sum));
    cr_assert_eq(sum, -2);
    ok(mp_shared_dict_add(dict, MP_BOX("n"), 0, NULL));
    ok(mp_shared_dict_set(dict, MP_BOX("true"), MP_TRUE));
    ok(mp_shared_dict_add(dict, MP_BOX("true"), 1, &sum));
    cr_assert_eq(sum, 2);
    holds(dict, "{'n': -2, 'true': 2}");
    ok(mp_shared_dict_close(dict));
}

Test(shared_dict, sums_beyond_64_bits_are_refused)
{
    mp_shared_dict *dict = make_dict(10);
    int64_t sum = 42;

    ok(mp_shared_dict_add(dict, MP_BOX("n"), INT64_MAX, NULL));
    fails(mp_shared_dict_add(dict, MP_BOX("n"), 1, &sum), MP_EOVERFLOW);
    ok(mp_shared_dict_add(dict, MP_BOX("m"), INT64_MIN, NULL));
    fails(mp_shared_dict_add(dict, MP_BOX("m"), -1, &sum), MP_EOVERFLOW);
    cr_assert_eq(sum, 42);
    holds(dict, "{'n': 9223372036854775807, 'm': -9223372036854775808}");
    ok(mp_shared_dict_add(dict, MP_BOX("m"), INT64_MAX, &sum));
    cr_assert_eq(sum, -1);
    ok(mp_shared_dict_close(dict));
}

Test(shared_dict, only_ints_are_added_to)
{
    mp_shared_dict *dict = make_dict(100);
    int64_t sum = 42;
    char text[2000];

    memset(text, 'x', sizeof(text));
    ok(mp_shared_dict_update(dict, MP_DICT("s", "1", "f", 1.0, "l", MP_LIST(1),
                                           "b", MP_BYTES(text, 2000))));
    fails(mp_shared_dict_add(dict, MP_BOX("s"), 1, &sum), MP_ETYPE);
    fails(mp_shared_dict_add(dict, MP_BOX("f"), 1, &sum), MP_ETYPE);
    fails(mp_shared_dict_add(dict, MP_BOX("l"), 1, &sum), MP_ETYPE);
    fails(mp_shared_dict_add(dict, MP_BOX("b"), 1, &sum), MP_ETYPE);
    cr_assert_eq(sum, 42);
    ok(mp_shared_dict_delete(dict, MP_BOX("b")));
    holds(dict, "{'s': '1', 'f': 1.0, 'l': [1]}");
    ok(mp_shared_dict_close(dict));
}

/* -- All of it ------------------------------------------------------------- */

Test(shared_dict, update_takes_all_of_a_dict)
{
    mp_shared_dict *dict = make_dict(10);

    ok(mp_shared_dict_update(dict, MP_DICT()));
    holds(dict, "{}");
    ok(mp_shared_dict_update(dict, MP_DICT("a", 1, 2, "b", MP_TRUE, 3)));
    ok(mp_shared_dict_update(dict, MP_DICT(2, MP_NONE, "c", 4)));
    holds(dict, "{'a': 1, 2: None, 1: 3, 'c': 4}");
    fails(mp_shared_dict_update(dict, MP_LIST("a")), MP_ETYPE);
    fails(mp_shared_dict_update(dict, NULL), MP_EINVAL);
    fails(mp_shared_dict_update(dict, MP_DICT("z", 1, 1.5, 2, "y", 3)),
          MP_ETYPE);
    holds(dict, "{'a': 1, 2: None, 1: 3, 'c': 4, 'z': 1}");
    ok(mp_shared_dict_close(dict));
}

Test(shared_dict, clear_empties_it)
{
    mp_shared_dict *dict = make_dict(10);

    ok(mp_shared_dict_clear(dict));
    holds(dict, "{}");
    for (int i = 0; i < 5; i++) {
        for (int key = 0; key < 10; key++)
            ok(mp_shared_dict_set(dict, MP_BOX(key), MP_BOX("0123456789")));
        cr_assert_eq(mp_shared_dict_length(dict), 10U);
        ok(mp_shared_dict_clear(dict));
        holds(dict, "{}");
    }
    ok(mp_shared_dict_set(dict, MP_BOX(1), MP_BOX(2)));
    holds(dict, "{1: 2}");
    ok(mp_shared_dict_close(dict));
}

Test(shared_dict, keys_are_listed_in_the_order_of_insertion)
{
    mp_shared_dict *dict = make_dict(10);

    is_repr(mp_shared_dict_keys(dict), "[]");
    ok(mp_shared_dict_update(dict, MP_DICT("z", 1, 5, 2, "a", 3)));
    ok(mp_shared_dict_set(dict, MP_BOX(5), MP_BOX(4)));
    is_repr(mp_shared_dict_keys(dict), "['z', 5, 'a']");
    ok(mp_shared_dict_close(dict));
}

Test(shared_dict, a_thousand_keys_stay_in_order)
{
    mp_shared_dict *dict = make_dict(MANY);
    const mp_obj *key, *value;
    mp_iter it = {0};
    mp_obj *all;
    int64_t number;

    for (int i = 0; i < MANY; i++)
        ok(mp_shared_dict_set(dict, MP_BOX(i * 7919 % MANY), MP_BOX(i)));
    cr_assert_eq(mp_shared_dict_length(dict), (size_t)MANY);
    all = mp_shared_dict_snapshot(dict);
    for (int i = 0; i < MANY; i++) {
        cr_assert(mp_obj_next(all, &it, &key, &value));
        ok(mp_obj_as_int(key, &number));
        cr_assert_eq(number, i * 7919 % MANY);
        ok(mp_obj_as_int(value, &number));
        cr_assert_eq(number, i);
    }
    cr_assert_not(mp_obj_next(all, &it, &key, &value));
    mp_obj_unref(all);
    ok(mp_shared_dict_verify(dict));
    ok(mp_shared_dict_close(dict));
}

/* -- Keys ------------------------------------------------------------------ */

Test(shared_dict, keys_are_of_three_types)
{
    static const char surrogate[] = "\x80\x04\x8c\x03\xed\xa0\x80.";
    mp_shared_dict *dict = make_dict(20);
    mp_obj *strange = NULL;

    ok(mp_shared_dict_set(dict, MP_BOX(""), MP_BOX(1)));
    ok(mp_shared_dict_set(dict, MP_BYTES("", 0), MP_BOX(2)));
    ok(mp_shared_dict_set(dict, MP_BOX("a"), MP_BOX(3)));
    ok(mp_shared_dict_set(dict, MP_BYTES("a", 1), MP_BOX(4)));
    ok(mp_shared_dict_set(dict, MP_BOX("gr\xc3\xb6\xc3\x9f"), MP_BOX(5)));
    ok(mp_shared_dict_set(dict, mp_obj_strn("a\0b", 3), MP_BOX(6)));
    ok(mp_shared_dict_set(dict, MP_BOX(INT64_MIN), MP_BOX(7)));
    ok(mp_shared_dict_set(dict, MP_BOX(INT64_MAX), MP_BOX(8)));
    ok(mp_shared_dict_set(dict, MP_BYTES("a\0\0\0\0\0\0\0", 8), MP_BOX(9)));
    ok(mp_shared_dict_set(dict, MP_BOX('a'), MP_BOX(10)));
    holds(dict, "{'': 1, b'': 2, 'a': 3, b'a': 4, 'gr\xc3\xb6\xc3\x9f': 5, "
                "'a\\x00b': 6, -9223372036854775808: 7, "
                "9223372036854775807: 8, b'a\\x00\\x00\\x00\\x00\\x00\\x00"
                "\\x00': 9, 97: 10}");
    ok(mp_shared_dict_clear(dict));
    /* A lone surrogate, as Python sends them. */
    ok(mp_pickle_loads(surrogate, sizeof(surrogate) - 1, &strange));
    ok(mp_shared_dict_set(dict, mp_obj_ref(strange), mp_obj_ref(strange)));
    is_repr(mp_shared_dict_get(dict, strange), "'\\ud800'");
    holds(dict, "{'\\ud800': '\\ud800'}");
    ok(mp_shared_dict_close(dict));
}

Test(shared_dict, true_and_one_are_the_same_key)
{
    mp_shared_dict *dict = make_dict(10);

    ok(mp_shared_dict_set(dict, MP_BOX(1), MP_BOX("one")));
    is_repr(mp_shared_dict_get(dict, MP_TRUE), "'one'");
    ok(mp_shared_dict_set(dict, MP_TRUE, MP_BOX("true")));
    ok(mp_shared_dict_set(dict, MP_FALSE, MP_BOX("false")));
    is_repr(mp_shared_dict_get(dict, MP_BOX(0)), "'false'");
    holds(dict, "{1: 'true', 0: 'false'}");
    ok(mp_shared_dict_close(dict));
}

static mp_obj *make_no_key(int which)
{
    switch (which) {
    case 0:
        return MP_NONE;
    case 1:
        return MP_BOX(1.0);
    case 2:
        return MP_TUPLE(1, 2);
    case 3:
        return MP_LIST(1);
    case 4:
        return MP_DICT("a", 1);
    case 5:
        return mp_obj_pointer(&which);
    default:
        return NULL;
    }
}

Test(shared_dict, other_types_are_no_keys)
{
    mp_shared_dict *dict = make_dict(10);

    ok(mp_shared_dict_set(dict, MP_BOX(1), MP_BOX("one")));
    for (int i = 0; i < 6; i++) {
        bool is_there = true;

        fails(mp_shared_dict_set(dict, make_no_key(i), MP_BOX(1)), MP_ETYPE);
        fails(error_of(mp_shared_dict_get(dict, make_no_key(i))), MP_ETYPE);
        fails(error_of(mp_shared_dict_get_or(dict, make_no_key(i), MP_BOX(1))),
              MP_ETYPE);
        fails(error_of(
                  mp_shared_dict_setdefault(dict, make_no_key(i), MP_BOX(1))),
              MP_ETYPE);
        fails(error_of(mp_shared_dict_pop(dict, make_no_key(i))), MP_ETYPE);
        fails(mp_shared_dict_delete(dict, make_no_key(i)), MP_ETYPE);
        fails(mp_shared_dict_contains(dict, make_no_key(i), &is_there),
              MP_ETYPE);
        fails(mp_shared_dict_add(dict, make_no_key(i), 1, NULL), MP_ETYPE);
        cr_assert(is_there);
    }
    holds(dict, "{1: 'one'}");
    ok(mp_shared_dict_close(dict));
}

/* -- Values ---------------------------------------------------------------- */

static int some_function(mp_args *args)
{
    (void)args;
    return 0;
}

/* Consumes value. */
static void survives(mp_shared_dict *dict, mp_obj *value)
{
    mp_obj *copy;

    ok(mp_shared_dict_set(dict, MP_BOX("key"), mp_obj_ref(value)));
    copy = mp_shared_dict_get(dict, MP_BOX("key"));
    ok(mp_obj_error(copy));
    cr_assert_eq(mp_obj_type(copy), mp_obj_type(value));
    cr_assert(mp_obj_equal(copy, value));
    mp_obj_unref(copy);
    ok(mp_shared_dict_verify(dict));
    copy = mp_shared_dict_pop(dict, MP_BOX("key"));
    cr_assert(mp_obj_equal(copy, value));
    mp_obj_unref(copy);
    mp_obj_unref(value);
}

static mp_obj *make_large(size_t size)
{
    char *data = malloc(size);
    mp_obj *obj;

    cr_assert_not_null(data);
    for (size_t i = 0; i < size; i++)
        data[i] = (char)('a' + i % 26);
    obj = mp_obj_strn(data, size);
    free(data);
    return obj;
}

Test(shared_dict, values_of_every_type_survive)
{
    mp_shared_options options = {.size = 4000000};
    mp_shared_dict *dict = NULL;

    ok(mp_shared_dict_create(&dict, 10, &options));
    survives(dict, MP_NONE);
    survives(dict, MP_TRUE);
    survives(dict, MP_FALSE);
    survives(dict, MP_BOX(0));
    survives(dict, MP_BOX(INT64_MIN));
    survives(dict, MP_BOX(INT64_MAX));
    survives(dict, MP_BOX(1.0 / 3));
    survives(dict, MP_BOX(-0.0));
    survives(dict, MP_BOX(""));
    survives(dict, MP_BOX("gr\xc3\xb6\xc3\x9f"));
    survives(dict, mp_obj_strn("a\0b", 3));
    survives(dict, MP_BYTES("\xff\0", 2));
    survives(dict, MP_BYTES("", 0));
    survives(dict, make_large(1000));
    survives(dict, make_large(1000000));
    survives(dict, MP_LIST());
    survives(dict, MP_TUPLE());
    survives(dict, MP_DICT());
    survives(dict, MP_SET(1, "two", 3.0));
    survives(dict, MP_BOX(some_function));
    survives(dict, MP_LIST(MP_TUPLE(1, MP_DICT("k", MP_LIST(MP_NONE, 2.5))),
                           MP_SET(MP_BYTES("x", 1)), some_function,
                           make_large(100000)));
    holds(dict, "{}");
    ok(mp_shared_dict_close(dict));
}

Test(shared_dict, what_can_not_be_pickled_is_refused)
{
    mp_shared_dict *dict = make_dict(10);
    mp_lock *lock = NULL;

    ok(mp_lock_create(&lock));
    ok(mp_shared_dict_set(dict, MP_BOX("a"), MP_BOX(1)));
    fails(mp_shared_dict_set(dict, MP_BOX("a"), MP_BOX(lock)), MP_EPICKLE);
    fails(mp_shared_dict_set(dict, MP_BOX("a"), MP_LIST(1, MP_TUPLE(lock))),
          MP_EPICKLE);
    fails(mp_shared_dict_set(dict, MP_BOX("a"), MP_BOX(dict)), MP_EPICKLE);
    fails(mp_shared_dict_set(dict, MP_BOX("b"), mp_obj_pointer(dict)),
          MP_EPICKLE);
    fails(error_of(mp_shared_dict_setdefault(dict, MP_BOX("b"), MP_BOX(lock))),
          MP_EPICKLE);
    fails(mp_shared_dict_update(dict, MP_DICT("b", lock)), MP_EPICKLE);
    holds(dict, "{'a': 1}");
    ok(mp_lock_close(lock));
    ok(mp_shared_dict_close(dict));
}

Test(shared_dict, error_objects_are_answered_with_their_error)
{
    mp_shared_dict *dict = make_dict(10);
    bool is_there;

    fails(mp_shared_dict_set(dict, NULL, MP_BOX(1)), MP_EINVAL);
    fails(mp_shared_dict_set(dict, MP_BOX(1), NULL), MP_EINVAL);
    fails(mp_shared_dict_set(dict, MP_BOX("\xff"), MP_BOX(1)), MP_EINVAL);
    fails(mp_shared_dict_set(dict, MP_BOX(1), MP_BOX(UINT64_MAX)),
          MP_EOVERFLOW);
    fails(error_of(mp_shared_dict_get(dict, NULL)), MP_EINVAL);
    fails(error_of(mp_shared_dict_setdefault(dict, MP_BOX(1), NULL)),
          MP_EINVAL);
    fails(error_of(mp_shared_dict_pop(dict, MP_BOX(UINT64_MAX))), MP_EOVERFLOW);
    fails(mp_shared_dict_contains(dict, NULL, &is_there), MP_EINVAL);
    fails(mp_shared_dict_delete(dict, NULL), MP_EINVAL);
    fails(mp_shared_dict_add(dict, NULL, 1, NULL), MP_EINVAL);
    holds(dict, "{}");
    ok(mp_shared_dict_close(dict));
}

/* -- Room ------------------------------------------------------------------ */

Test(shared_dict, no_more_keys_than_there_may_be)
{
    mp_shared_dict *dict = make_dict(3);

    ok(mp_shared_dict_update(dict, MP_DICT("a", 1, "b", 2, "c", 3)));
    fails(mp_shared_dict_set(dict, MP_BOX("d"), MP_BOX(4)), MP_ENOSPC);
    fails(error_of(mp_shared_dict_setdefault(dict, MP_BOX("d"), MP_BOX(4))),
          MP_ENOSPC);
    fails(mp_shared_dict_add(dict, MP_BOX("d"), 4, NULL), MP_ENOSPC);
    fails(mp_shared_dict_update(dict, MP_DICT("d", 4)), MP_ENOSPC);
    holds(dict, "{'a': 1, 'b': 2, 'c': 3}");
    ok(mp_shared_dict_set(dict, MP_BOX("b"), MP_BOX(5)));
    is_repr(mp_shared_dict_setdefault(dict, MP_BOX("c"), MP_BOX(4)), "3");
    ok(mp_shared_dict_delete(dict, MP_BOX("a")));
    ok(mp_shared_dict_set(dict, MP_BOX("d"), MP_BOX(4)));
    holds(dict, "{'b': 5, 'c': 3, 'd': 4}");
    ok(mp_shared_dict_close(dict));
}

Test(shared_dict, no_more_bytes_than_there_is_room_for)
{
    mp_shared_options options = {.size = 10000};
    mp_shared_dict *dict = NULL;

    ok(mp_shared_dict_create(&dict, 100, &options));
    ok(mp_shared_dict_set(dict, MP_BOX("a"), MP_BOX(1)));
    fails(mp_shared_dict_set(dict, MP_BOX("a"), make_large(20000)), MP_ENOSPC);
    fails(mp_shared_dict_set(dict, MP_BOX("b"), make_large(20000)), MP_ENOSPC);
    fails(mp_shared_dict_set(dict, make_large(20000), MP_BOX(1)), MP_ENOSPC);
    fails(error_of(
              mp_shared_dict_setdefault(dict, MP_BOX("b"), make_large(20000))),
          MP_ENOSPC);
    holds(dict, "{'a': 1}");
    ok(mp_shared_dict_set(dict, MP_BOX("b"), make_large(9000)));
    fails(mp_shared_dict_set(dict, MP_BOX("c"), make_large(9000)), MP_ENOSPC);
    cr_assert_eq(mp_shared_dict_length(dict), 2U);
    ok(mp_shared_dict_verify(dict));
    ok(mp_shared_dict_delete(dict, MP_BOX("b")));
    ok(mp_shared_dict_set(dict, MP_BOX("c"), make_large(9000)));
    ok(mp_shared_dict_verify(dict));
    ok(mp_shared_dict_close(dict));
}

/* What value.h promises: a key and a value cost 32 bytes each at most. */
Test(shared_dict, room_is_as_large_as_it_was_said_to_be)
{
    enum { ENTRIES = 200, KEY = 4, VALUE = 101 };
    mp_shared_options options = {.size = ENTRIES * (32 + KEY + 32 + VALUE)};
    mp_shared_dict *dict = NULL;
    char key[KEY + 1];

    ok(mp_shared_dict_create(&dict, ENTRIES, &options));
    for (int i = 0; i < ENTRIES; i++) {
        snprintf(key, sizeof(key), "%04d", i);
        ok(mp_shared_dict_set(dict, MP_BOX(key), make_large(VALUE - 1)));
    }
    ok(mp_shared_dict_verify(dict));
    ok(mp_shared_dict_close(dict));
}

/* Each leaves a mark where it was; what was left is used again. */
Test(shared_dict, keys_may_come_and_go_for_ever)
{
    mp_shared_dict *dict = make_dict(5);

    ok(mp_shared_dict_set(dict, MP_BOX("stays"), MP_BOX(0)));
    for (int i = 0; i < 20000; i++) {
        if (i >= 4)
            ok(mp_shared_dict_delete(dict, MP_BOX(i - 4)));
        ok(mp_shared_dict_set(dict, MP_BOX(i), MP_BOX(i)));
        if (i % 100 == 0)
            ok(mp_shared_dict_verify(dict));
    }
    holds(dict, "{'stays': 0, 19996: 19996, 19997: 19997, 19998: 19998, "
                "19999: 19999}");
    ok(mp_shared_dict_close(dict));
}

/* -- Against a model ------------------------------------------------------- */

typedef struct model {
    struct {
        bool is_there;
        int64_t value; /* its str, in a list of its own length, if odd */
        long since;
    } keys[MODEL_KEYS];
    size_t count;
    long time;
    uint64_t chance;
} model;

static uint64_t next_number(model *it, uint64_t below)
{
    it->chance = it->chance * UINT64_C(6364136223846793005) + 1442695040888963;
    return (it->chance >> 33) % below;
}

/* Some are ints, some str, some bytes; a few are long. */
static mp_obj *model_key(size_t number)
{
    char text[200];

    if (number % 3 == 0)
        return MP_BOX((int64_t)number * INT64_C(-1000000007));
    memset(text, 'k', sizeof(text));
    snprintf(text, sizeof(text), "%zu", number);
    if (number % 3 == 1)
        return mp_obj_strn(text, number % 7 == 0 ? 3 : strlen(text));
    return mp_obj_bytes(text, number % 11 == 0 ? sizeof(text) : 4);
}

static mp_obj *model_value(int64_t value)
{
    mp_obj *list;

    if (value % 2 == 0)
        return MP_BOX(value);
    list = MP_LIST();
    for (int64_t i = 0; i < value % 16; i++)
        ok(mp_obj_append(list, MP_BOX(value)));
    return list;
}

static void model_set(model *it, size_t key, int64_t value)
{
    if (!it->keys[key].is_there) {
        it->keys[key].is_there = true;
        it->keys[key].since = it->time++;
        it->count++;
    }
    it->keys[key].value = value;
}

static void model_drop(model *it, size_t key)
{
    it->count -= it->keys[key].is_there;
    it->keys[key].is_there = false;
}

static void try_to_set(model *it, mp_shared_dict *dict, size_t key,
                       size_t capacity)
{
    int64_t value = (int64_t)next_number(it, 1000);
    bool fits = it->keys[key].is_there || it->count < capacity;
    mp_error err = mp_shared_dict_set(dict, model_key(key), model_value(value));

    cr_assert_eq(err, fits ? MP_OK : MP_ENOSPC, "%s", mp_error_message());
    if (fits)
        model_set(it, key, value);
}

static void try_to_take(model *it, mp_shared_dict *dict, size_t key,
                        bool is_pop)
{
    bool is_there = it->keys[key].is_there;
    mp_obj *expected = model_value(it->keys[key].value);
    mp_obj *value = is_pop ? mp_shared_dict_pop(dict, model_key(key))
                           : mp_shared_dict_get(dict, model_key(key));

    cr_assert_eq(mp_obj_error(value), is_there ? MP_OK : MP_EKEY);
    cr_assert_eq(mp_obj_equal(value, expected), is_there);
    mp_obj_unref(expected);
    mp_obj_unref(value);
    if (is_pop)
        model_drop(it, key);
}

static void try_to_delete(model *it, mp_shared_dict *dict, size_t key)
{
    bool is_there = it->keys[key].is_there;

    cr_assert_eq(mp_shared_dict_delete(dict, model_key(key)),
                 is_there ? MP_OK : MP_EKEY);
    model_drop(it, key);
}

static void compare_with(const model *it, mp_shared_dict *dict)
{
    mp_obj *all = mp_shared_dict_snapshot(dict);
    const mp_obj *key, *value;
    mp_iter at = {0};
    long last = -1;
    size_t size;

    ok(mp_obj_len(all, &size));
    cr_assert_eq(size, it->count);
    cr_assert_eq(mp_shared_dict_length(dict), it->count);
    while (mp_obj_next(all, &at, &key, &value)) {
        long since = -1;

        for (size_t i = 0; i < MODEL_KEYS && since < 0; i++) {
            mp_obj *other = model_key(i);
            mp_obj *expected = model_value(it->keys[i].value);

            if (it->keys[i].is_there && mp_obj_equal(other, key)) {
                cr_assert(mp_obj_equal(value, expected));
                since = it->keys[i].since;
            }
            mp_obj_unref(other);
            mp_obj_unref(expected);
        }
        cr_assert_gt(since, last, "%ld after %ld", since, last);
        last = since;
    }
    mp_obj_unref(all);
}

Test(shared_dict, behaves_as_a_dict_does, .timeout = 120)
{
    enum { CAPACITY = MODEL_KEYS / 2 };
    size_t operations = support_scaled(OPERATIONS);
    mp_shared_options options = {.size = CAPACITY * 400};
    mp_shared_dict *dict = NULL;
    model it = {.chance = 42};

    ok(mp_shared_dict_create(&dict, CAPACITY, &options));
    for (size_t i = 0; i < operations; i++) {
        /* Now more is put, now more is taken. */
        size_t mood = i / 500 % 3;
        size_t what = next_number(&it, 10);
        size_t key = next_number(&it, MODEL_KEYS);

        if (what < 3 + mood * 2)
            try_to_set(&it, dict, key, CAPACITY);
        else if (what < 8)
            try_to_delete(&it, dict, key);
        else
            try_to_take(&it, dict, key, what == 9);
        if (i % 1000 == 0)
            ok(mp_shared_dict_verify(dict));
        if (i % 10000 == 0)
            compare_with(&it, dict);
        if (i % 30000 == 29999) {
            ok(mp_shared_dict_clear(dict));
            it = (model){.chance = it.chance};
        }
    }
    compare_with(&it, dict);
    ok(mp_shared_dict_close(dict));
}

/* -- Objects --------------------------------------------------------------- */

Test(shared_dict, sizes_that_can_not_be_are_refused)
{
    mp_shared_options options = {.size = SIZE_MAX};
    mp_shared_dict *dict = NULL;

    fails(mp_shared_dict_create(NULL, 10, NULL), MP_EINVAL);
    fails(mp_shared_dict_create(&dict, 0, NULL), MP_EINVAL);
    fails(mp_shared_dict_create(&dict, SIZE_MAX, NULL), MP_EOVERFLOW);
    fails(mp_shared_dict_create(&dict, SIZE_MAX / 2, NULL), MP_EOVERFLOW);
    fails(mp_shared_dict_create(&dict, SIZE_MAX / 200, NULL), MP_EOVERFLOW);
    fails(mp_shared_dict_create(&dict, 10, &options), MP_EOVERFLOW);
    cr_assert_null(dict);
}

static void is_refused(mp_shared_dict *dict, mp_error expected)
{
    int64_t sum = 42;
    bool is_there = true;

    fails(mp_shared_dict_set(dict, MP_BOX(1), MP_BOX(2)), expected);
    fails(error_of(mp_shared_dict_get(dict, MP_BOX(1))), expected);
    fails(error_of(mp_shared_dict_get_or(dict, MP_BOX(1), MP_NONE)), expected);
    fails(error_of(mp_shared_dict_setdefault(dict, MP_BOX(1), MP_NONE)),
          expected);
    fails(error_of(mp_shared_dict_pop(dict, MP_BOX(1))), expected);
    fails(mp_shared_dict_delete(dict, MP_BOX(1)), expected);
    fails(mp_shared_dict_contains(dict, MP_BOX(1), &is_there), expected);
    fails(mp_shared_dict_add(dict, MP_BOX(1), 1, &sum), expected);
    fails(mp_shared_dict_update(dict, MP_DICT(1, 2)), expected);
    fails(mp_shared_dict_update(dict, MP_DICT()), expected);
    fails(mp_shared_dict_clear(dict), expected);
    fails(error_of(mp_shared_dict_snapshot(dict)), expected);
    fails(error_of(mp_shared_dict_keys(dict)), expected);
    fails(mp_shared_dict_verify(dict), expected);
    fails(mp_shared_dict_sync(dict), expected);
    cr_assert_eq(mp_shared_dict_length(dict), 0U);
    cr_assert(is_there);
    cr_assert_eq(sum, 42);
}

Test(shared_dict, a_closed_one_is_closed)
{
    mp_shared_dict *dict = make_dict(10);

    ok(mp_shared_dict_set(dict, MP_BOX(1), MP_BOX(2)));
    ok(mp_shared_dict_close(dict));
    is_refused(dict, MP_ECLOSED);
    fails(mp_shared_dict_close(dict), MP_ECLOSED);
    fails(error_of(MP_BOX(dict)), MP_ECLOSED);
}

Test(shared_dict, another_object_is_no_dict)
{
    mp_shared_dict *dict = make_dict(10), *other = NULL;
    mp_lock *lock = NULL;

    ok(mp_lock_create(&lock));
    is_refused(NULL, MP_EINVAL);
    is_refused((mp_shared_dict *)(void *)lock, MP_EINVAL);
    fails(mp_shared_dict_close((mp_shared_dict *)(void *)lock), MP_EINVAL);
    fails(mp_lock_acquire((mp_lock *)(void *)dict, 0), MP_EINVAL);
    ok(mp_shared_dict_close(NULL));
    is_repr(mp_obj_shared_dict(NULL), "None");
    fails(error_of(mp_obj_shared_dict((mp_shared_dict *)(void *)lock)),
          MP_EINVAL);
    fails(mp_obj_as_shared_dict(MP_NONE, &other), MP_ETYPE);
    cr_assert_null(other);
    ok(mp_lock_close(lock));
    ok(mp_shared_dict_close(dict));
}

Test(shared_dict, an_object_holds_it_open)
{
    mp_shared_dict *dict = make_dict(10), *same = NULL;
    mp_obj *obj = MP_BOX(dict);

    cr_assert_eq(mp_obj_type(obj), MP_TYPE_HANDLE);
    ok(mp_obj_as_shared_dict(obj, &same));
    cr_assert_eq(same, dict);
    ok(mp_shared_dict_close(dict));
    ok(mp_shared_dict_set(same, MP_BOX(1), MP_BOX(2)));
    holds(same, "{1: 2}");
    mp_obj_unref(obj);
    is_refused(dict, MP_ECLOSED);
}

Test(shared_dict, only_a_file_can_be_synced)
{
    mp_shared_dict *dict = make_dict(10);

    fails(mp_shared_dict_sync(dict), MP_ENOTSUP);
    ok(mp_shared_dict_close(dict));
}

Test(shared_dict, nothing_is_left_of_a_closed_one)
{
    size_t handles, memory;

    ok(mp_shared_dict_close(make_dict(1000)));
    handles = support_open_handles();
    memory = support_memory_in_use();
    for (int i = 0; i < 100; i++) {
        mp_shared_dict *dict = make_dict(10000);

        for (int key = 0; key < 10000; key += 100)
            ok(mp_shared_dict_set(dict, MP_BOX(key), MP_BOX("value")));
        ok(mp_shared_dict_close(dict));
    }
    cr_assert_eq(support_open_handles(), handles);
    if (!support_is_watched())
        cr_assert_lt(support_memory_in_use(), memory + (8U << 20));
}
