/* SPDX-License-Identifier: MIT */
/* Shared list: what Python's list does, what fits, what is refused. Several
 * processes, names, files and kills are in test_shared_list_processes.c. */
#include "support/check.h"
#include "support/list.h"
#include "support/system.h"

#include "os.h"
#include "shared_list.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

enum { STEPS = 20000, MODEL_ITEMS = 40 };

/* -- One item -------------------------------------------------------------- */

Test(shared_list, append_adds_at_the_end)
{
    mp_shared_list *list = make_list(10);

    holds(list, "[]");
    ok(mp_shared_list_append(list, MP_BOX(1)));
    ok(mp_shared_list_append(list, MP_BOX("two")));
    holds(list, "[1, 'two']");
    cr_assert_eq(mp_shared_list_length(list), 2U);
    ok(mp_shared_list_close(list));
}

Test(shared_list, get_counts_from_either_end)
{
    mp_shared_list *list = make_list_of(MP_LIST(10, 11, 12));

    is_repr(mp_shared_list_get(list, 0), "10");
    is_repr(mp_shared_list_get(list, 2), "12");
    is_repr(mp_shared_list_get(list, -1), "12");
    is_repr(mp_shared_list_get(list, -3), "10");
    fails(error_of(mp_shared_list_get(list, 3)), MP_EINDEX);
    fails(error_of(mp_shared_list_get(list, -4)), MP_EINDEX);
    fails(error_of(mp_shared_list_get(list, INT64_MAX)), MP_EINDEX);
    fails(error_of(mp_shared_list_get(list, INT64_MIN)), MP_EINDEX);
    ok(mp_shared_list_close(list));
}

Test(shared_list, set_replaces_one)
{
    mp_shared_list *list = make_list_of(MP_LIST(1, 2, 3));

    ok(mp_shared_list_set(list, 0, MP_BOX("a longer one than was there")));
    ok(mp_shared_list_set(list, -1, MP_NONE));
    holds(list, "['a longer one than was there', 2, None]");
    fails(mp_shared_list_set(list, 3, MP_BOX(4)), MP_EINDEX);
    fails(mp_shared_list_set(list, -4, MP_BOX(4)), MP_EINDEX);
    holds(list, "['a longer one than was there', 2, None]");
    ok(mp_shared_list_close(list));
}

Test(shared_list, insert_moves_the_rest)
{
    mp_shared_list *list = make_list_of(MP_LIST(1, 2, 3));

    ok(mp_shared_list_insert(list, 0, MP_BOX("0")));
    ok(mp_shared_list_insert(list, 2, MP_BOX("2")));
    ok(mp_shared_list_insert(list, -1, MP_BOX("-1")));
    ok(mp_shared_list_insert(list, 6, MP_BOX("6")));
    holds(list, "['0', 1, '2', 2, '-1', 3, '6']");
    ok(mp_shared_list_close(list));
}

Test(shared_list, insert_out_of_range_is_at_the_nearest_end)
{
    mp_shared_list *list = make_list_of(MP_LIST(1));

    ok(mp_shared_list_insert(list, 99, MP_BOX(2)));
    ok(mp_shared_list_insert(list, -99, MP_BOX(0)));
    ok(mp_shared_list_insert(list, INT64_MAX, MP_BOX(3)));
    ok(mp_shared_list_insert(list, INT64_MIN, MP_BOX(-1)));
    holds(list, "[-1, 0, 1, 2, 3]");
    ok(mp_shared_list_close(list));
}

Test(shared_list, pop_takes_out)
{
    mp_shared_list *list = make_list_of(MP_LIST(0, MP_LIST(1, "x"), 2, 3));

    is_repr(mp_shared_list_pop(list, -1), "3");
    is_repr(mp_shared_list_pop(list, 0), "0");
    is_repr(mp_shared_list_pop(list, -2), "[1, 'x']");
    fails(error_of(mp_shared_list_pop(list, 1)), MP_EINDEX);
    holds(list, "[2]");
    is_repr(mp_shared_list_pop(list, 0), "2");
    fails(error_of(mp_shared_list_pop(list, -1)), MP_EINDEX);
    cr_assert_str_eq(mp_error_message(), "pop from an empty shared list");
    holds(list, "[]");
    ok(mp_shared_list_close(list));
}

Test(shared_list, delete_takes_away)
{
    mp_shared_list *list = make_list_of(MP_LIST(0, 1, 2, 3));

    ok(mp_shared_list_delete(list, 1));
    ok(mp_shared_list_delete(list, -1));
    ok(mp_shared_list_delete(list, 0));
    holds(list, "[2]");
    fails(mp_shared_list_delete(list, 1), MP_EINDEX);
    fails(mp_shared_list_delete(list, -2), MP_EINDEX);
    ok(mp_shared_list_delete(list, 0));
    fails(mp_shared_list_delete(list, 0), MP_EINDEX);
    holds(list, "[]");
    ok(mp_shared_list_close(list));
}

Test(shared_list, what_is_got_is_a_copy)
{
    mp_shared_list *list = make_list_of(MP_LIST(MP_LIST(1)));
    mp_obj *item = mp_shared_list_get(list, 0);

    ok(mp_obj_append(item, MP_BOX(2)));
    is_repr(item, "[1, 2]");
    holds(list, "[[1]]");
    ok(mp_shared_list_close(list));
}

/* -- Many items ------------------------------------------------------------ */

Test(shared_list, extend_takes_lists_and_tuples)
{
    mp_shared_list *list = make_list(10);

    ok(mp_shared_list_extend(list, MP_LIST(1, "two")));
    ok(mp_shared_list_extend(list, MP_TUPLE(MP_NONE)));
    ok(mp_shared_list_extend(list, MP_LIST()));
    holds(list, "[1, 'two', None]");
    fails(mp_shared_list_extend(list, MP_BOX("text")), MP_ETYPE);
    fails(mp_shared_list_extend(list, MP_SET(1)), MP_ETYPE);
    fails(mp_shared_list_extend(list, NULL), MP_EINVAL);
    holds(list, "[1, 'two', None]");
    ok(mp_shared_list_close(list));
}

Test(shared_list, extend_adds_all_or_none)
{
    const mp_shared_options options = {.size = 3000};
    mp_shared_list *list = NULL;
    static char large[2000];
    mp_obj *half = MP_BYTES(large, sizeof(large));

    ok(mp_shared_list_create(&list, 4, &options));
    ok(mp_shared_list_append(list, MP_BOX(0)));
    fails(mp_shared_list_extend(list, MP_LIST(1, 2, 3, 4)), MP_ENOSPC);
    holds(list, "[0]");
    fails(mp_shared_list_extend(list,
                                MP_LIST(1, mp_obj_ref(half), mp_obj_ref(half))),
          MP_ENOSPC);
    holds(list, "[0]");
    fails(mp_shared_list_extend(list, MP_LIST(1, mp_obj_pointer(large))),
          MP_EPICKLE);
    holds(list, "[0]");
    ok(mp_shared_list_extend(list, MP_LIST(1, mp_obj_ref(half))));
    cr_assert_eq(mp_shared_list_length(list), 3U);
    mp_obj_unref(half);
    ok(mp_shared_list_close(list));
}

Test(shared_list, remove_takes_the_first_that_is_equal)
{
    mp_shared_list *list = make_list_of(MP_LIST(3, "a", 1.0, "a", 1));

    ok(mp_shared_list_remove(list, MP_BOX("a")));
    ok(mp_shared_list_remove(list, MP_BOX(1)));
    holds(list, "[3, 'a', 1]");
    ok(mp_shared_list_remove(list, MP_TRUE));
    fails(mp_shared_list_remove(list, MP_BOX(1)), MP_ENOTFOUND);
    ok(mp_shared_list_remove(list, MP_BOX(3.0)));
    holds(list, "['a']");
    ok(mp_shared_list_close(list));
}

Test(shared_list, index_finds_the_first_that_is_equal)
{
    mp_shared_list *list = make_list_of(MP_LIST(
        MP_NONE, "a", MP_BYTES("a", 1), 2, MP_LIST(1, MP_DICT("k", 1.5)), 2.0));
    size_t index = 77;

    ok(mp_shared_list_index(list, MP_BOX("a"), &index));
    cr_assert_eq(index, 1U);
    ok(mp_shared_list_index(list, MP_BYTES("a", 1), &index));
    cr_assert_eq(index, 2U);
    ok(mp_shared_list_index(list, MP_BOX(2.0), &index));
    cr_assert_eq(index, 3U);
    ok(mp_shared_list_index(list, MP_LIST(MP_TRUE, MP_DICT("k", 1.5)), &index));
    cr_assert_eq(index, 4U);
    ok(mp_shared_list_index(list, MP_NONE, &index));
    cr_assert_eq(index, 0U);
    fails(mp_shared_list_index(list, MP_BOX("b"), &index), MP_ENOTFOUND);
    fails(mp_shared_list_index(list, MP_TUPLE(1), &index), MP_ENOTFOUND);
    cr_assert_eq(index, 0U);
    fails(mp_shared_list_index(list, MP_BOX("a"), NULL), MP_EINVAL);
    ok(mp_shared_list_close(list));
}

Test(shared_list, count_counts_what_is_equal)
{
    mp_shared_list *list =
        make_list_of(MP_LIST(1, 1.0, MP_TRUE, "1", 0.0, -0.0, MP_FALSE, NAN));
    size_t count = 77;

    ok(mp_shared_list_count(list, MP_BOX(1), &count));
    cr_assert_eq(count, 3U);
    ok(mp_shared_list_count(list, MP_BOX(-0.0), &count));
    cr_assert_eq(count, 3U);
    ok(mp_shared_list_count(list, MP_BOX("1"), &count));
    cr_assert_eq(count, 1U);
    ok(mp_shared_list_count(list, MP_BOX(NAN), &count));
    cr_assert_eq(count, 0U, "what is in the list is a copy, so not identical");
    fails(mp_shared_list_count(list, MP_BOX(1), NULL), MP_EINVAL);
    ok(mp_shared_list_close(list));
}

Test(shared_list, reverse_turns_it_round)
{
    mp_shared_list *list = make_list(10);

    ok(mp_shared_list_reverse(list));
    holds(list, "[]");
    ok(mp_shared_list_extend(list, MP_LIST(1, 2, 3)));
    ok(mp_shared_list_reverse(list));
    holds(list, "[3, 2, 1]");
    ok(mp_shared_list_append(list, MP_BOX(0)));
    ok(mp_shared_list_reverse(list));
    holds(list, "[0, 1, 2, 3]");
    ok(mp_shared_list_close(list));
}

Test(shared_list, clear_empties_it)
{
    mp_shared_list *list = make_list_of(MP_LIST(1, "two", 3.0));

    ok(mp_shared_list_clear(list));
    holds(list, "[]");
    cr_assert_eq(mp_shared_list_length(list), 0U);
    ok(mp_shared_list_clear(list));
    ok(mp_shared_list_append(list, MP_BOX(4)));
    holds(list, "[4]");
    ok(mp_shared_list_close(list));
}

/* -- Sorting --------------------------------------------------------------- */

static void sorts(mp_obj *items, const char *expected)
{
    mp_shared_list *list = make_list_of(items);

    ok(mp_shared_list_sort(list));
    holds(list, expected);
    ok(mp_shared_list_close(list));
}

Test(shared_list, sort_orders_what_python_orders)
{
    sorts(MP_LIST(), "[]");
    sorts(MP_LIST(MP_NONE), "[None]");
    sorts(MP_LIST(3, 1, 2), "[1, 2, 3]");
    sorts(MP_LIST("b", "a", "", "ab", "ä", "z"), "['', 'a', 'ab', 'b', 'z', "
                                                 "'ä']");
    sorts(MP_LIST(MP_BYTES("b", 1), MP_BYTES("a\0", 2), MP_BYTES("a", 1)),
          "[b'a', b'a\\x00', b'b']");
    sorts(MP_LIST(MP_LIST(2), MP_LIST(1, "x"), MP_LIST(), MP_LIST(1)),
          "[[], [1], [1, 'x'], [2]]");
    sorts(MP_LIST(MP_TUPLE(1, 2), MP_TUPLE(1, 1.5), MP_TUPLE(0)),
          "[(0,), (1, 1.5), (1, 2)]");
}

Test(shared_list, sort_compares_numbers_exactly)
{
    const int64_t most = INT64_MAX;

    sorts(MP_LIST(1.5, 1, MP_TRUE, -1.5, -1, -2, MP_FALSE, INFINITY),
          "[-2, -1.5, -1, False, 1, True, 1.5, inf]");
    sorts(MP_LIST(9223372036854775808.0, most, most - 1, -INFINITY,
                  -9223372036854775808.0, most - 512),
          "[-inf, -9.223372036854776e+18, 9223372036854775295, "
          "9223372036854775806, 9223372036854775807, 9.223372036854776e+18]");
    sorts(MP_LIST(9007199254740993, 9007199254740992.0, 9007199254740991),
          "[9007199254740991, 9007199254740992.0, 9007199254740993]");
}

Test(shared_list, sort_is_stable)
{
    sorts(MP_LIST(1.0, 1, MP_TRUE, 0, MP_FALSE, 0.0),
          "[0, False, 0.0, 1.0, 1, True]");
    sorts(MP_LIST(MP_TUPLE(1.0), MP_TUPLE(1), MP_TUPLE(0.0), MP_TUPLE(0)),
          "[(0.0,), (0,), (1.0,), (1,)]");
}

Test(shared_list, what_can_not_be_compared_stays_as_it_is)
{
    mp_shared_list *list = make_list_of(MP_LIST(2, 1, "x", 0));

    fails(mp_shared_list_sort(list), MP_ETYPE);
    cr_assert_str_eq(mp_error_message(),
                     "'<' not supported between instances of 'int' and 'str'");
    holds(list, "[2, 1, 'x', 0]");
    ok(mp_shared_list_clear(list));
    ok(mp_shared_list_extend(list, MP_LIST(MP_NONE, MP_NONE)));
    fails(mp_shared_list_sort(list), MP_ETYPE);
    ok(mp_shared_list_clear(list));
    ok(mp_shared_list_extend(list, MP_LIST(MP_LIST(1, 2), MP_LIST(1, "x"))));
    fails(mp_shared_list_sort(list), MP_ETYPE);
    ok(mp_shared_list_clear(list));
    ok(mp_shared_list_extend(list, MP_LIST(MP_DICT("a", 1), MP_DICT("b", 1))));
    fails(mp_shared_list_sort(list), MP_ETYPE);
    holds(list, "[{'a': 1}, {'b': 1}]");
    ok(mp_shared_list_close(list));
}

/* As Python has it, nothing is promised of where they come. */
Test(shared_list, nan_loses_no_item)
{
    mp_shared_list *list =
        make_list_of(MP_LIST(NAN, 3, NAN, 1, 2, NAN, 0, NAN));
    size_t count;

    ok(mp_shared_list_sort(list));
    cr_assert_eq(mp_shared_list_length(list), 8U);
    for (int i = 0; i < 4; i++) {
        ok(mp_shared_list_count(list, MP_BOX(i), &count));
        cr_assert_eq(count, 1U);
    }
    ok(mp_shared_list_verify(list));
    ok(mp_shared_list_close(list));
}

static int compare(const void *left, const void *right)
{
    int64_t one = *(const int64_t *)left, other = *(const int64_t *)right;

    return (one > other) - (one < other);
}

Test(shared_list, sort_agrees_with_qsort)
{
    enum { COUNT = 1000 };
    static int64_t numbers[COUNT];
    mp_shared_list *list = make_list(COUNT);
    uint32_t chance = 1;

    for (size_t count = 0; count < COUNT; count += 1 + count / 5) {
        ok(mp_shared_list_clear(list));
        for (size_t i = 0; i < count; i++) {
            chance = chance * 1664525 + 1013904223;
            numbers[i] = (int64_t)(chance >> 20) - 2048;
            ok(mp_shared_list_append(list, MP_BOX(numbers[i])));
        }
        qsort(numbers, count, sizeof(numbers[0]), compare);
        ok(mp_shared_list_sort(list));
        for (size_t i = 0; i < count; i++) {
            mp_obj *item = mp_shared_list_get(list, (int64_t)i);
            int64_t value = 0;

            ok(mp_obj_as_int(item, &value));
            cr_assert_eq(value, numbers[i]);
            mp_obj_unref(item);
        }
    }
    ok(mp_shared_list_close(list));
}

/* -- Values ---------------------------------------------------------------- */

static int a_function(mp_args *args)
{
    (void)args;
    return 0;
}

Test(shared_list, items_of_every_type_survive)
{
    static char text[100000];
    const int64_t numbers[] = {0, -1, INT64_MAX, INT64_MIN, 1LL << 40};
    const double floats[] = {0.0, -0.0, DBL_MAX, -INFINITY, 0.1};
    mp_shared_list *list = make_list(1000);
    mp_obj *all = mp_obj_list(NULL, 0);
    mp_obj *copy;
    mp_function function = NULL;

    memset(text, 'x', sizeof(text));
    for (size_t i = 0; i < 5; i++) {
        ok(mp_obj_append(all, MP_BOX(numbers[i])));
        ok(mp_obj_append(all, MP_BOX(floats[i])));
    }
    ok(mp_obj_append(all,
                     MP_LIST(MP_NONE, MP_TRUE, MP_FALSE, "", "\u00e4\U0001f600",
                             mp_obj_strn("a\0b", 3), MP_BYTES("", 0),
                             MP_BYTES("\0\xff", 2), MP_TUPLE(), MP_LIST(),
                             MP_DICT("a", MP_SET(1, 2)))));
    ok(mp_obj_append(all, mp_obj_strn(text, sizeof(text) / 4)));
    ok(mp_obj_append(all, MP_BYTES(text, sizeof(text) / 2)));
    ok(mp_shared_list_extend(list, mp_obj_ref(all)));
    copy = mp_shared_list_snapshot(list);
    cr_assert(mp_obj_equal(copy, all));
    ok(mp_shared_list_append(list, MP_BOX(a_function)));
    mp_obj_unref(copy);
    copy = mp_shared_list_get(list, -1);
    ok(mp_obj_as_function(copy, &function));
    cr_assert_eq(function, a_function);
    ok(mp_shared_list_verify(list));
    mp_obj_unref(copy);
    mp_obj_unref(all);
    ok(mp_shared_list_close(list));
}

Test(shared_list, what_can_not_be_pickled_is_refused)
{
    mp_shared_list *list = make_list_of(MP_LIST(1));
    mp_lock *lock = NULL;

    ok(mp_lock_create(&lock));
    fails(mp_shared_list_append(list, MP_BOX(lock)), MP_EPICKLE);
    fails(mp_shared_list_append(list, MP_BOX(list)), MP_EPICKLE);
    fails(mp_shared_list_insert(list, 0, MP_LIST(lock)), MP_EPICKLE);
    fails(mp_shared_list_set(list, 0, MP_BOX((void *)lock)), MP_EPICKLE);
    fails(mp_shared_list_extend(list, MP_LIST(2, lock)), MP_EPICKLE);
    fails(mp_shared_list_remove(list, MP_BOX(lock)), MP_EPICKLE);
    holds(list, "[1]");
    ok(mp_lock_close(lock));
    ok(mp_shared_list_close(list));
}

Test(shared_list, error_objects_are_answered_with_their_error)
{
    mp_shared_list *list = make_list_of(MP_LIST(1));
    size_t number;

    fails(mp_shared_list_append(list, NULL), MP_EINVAL);
    fails(mp_shared_list_append(list, mp_obj_str("\xff")), MP_EINVAL);
    fails(mp_shared_list_insert(list, 0, mp_obj_uint(UINT64_MAX)),
          MP_EOVERFLOW);
    fails(mp_shared_list_set(list, 0, NULL), MP_EINVAL);
    fails(mp_shared_list_extend(list, mp_obj_str("\xff")), MP_EINVAL);
    fails(mp_shared_list_remove(list, NULL), MP_EINVAL);
    fails(mp_shared_list_index(list, NULL, &number), MP_EINVAL);
    fails(mp_shared_list_count(list, NULL, &number), MP_EINVAL);
    holds(list, "[1]");
    ok(mp_shared_list_close(list));
}

/* -- Room ------------------------------------------------------------------ */

Test(shared_list, no_more_items_than_there_may_be)
{
    mp_shared_list *list = make_list(3);

    for (int i = 0; i < 3; i++)
        ok(mp_shared_list_append(list, MP_BOX(i)));
    fails(mp_shared_list_append(list, MP_BOX(3)), MP_ENOSPC);
    cr_assert_str_eq(mp_error_message(),
                     "the shared list has 3 items, and 3 at most");
    fails(mp_shared_list_insert(list, 0, MP_BOX(3)), MP_ENOSPC);
    fails(mp_shared_list_insert(list, 3, MP_BOX(3)), MP_ENOSPC);
    holds(list, "[0, 1, 2]");
    ok(mp_shared_list_set(list, 1, MP_BOX("set")));
    is_repr(mp_shared_list_pop(list, 0), "0");
    ok(mp_shared_list_append(list, MP_BOX(3)));
    holds(list, "['set', 2, 3]");
    ok(mp_shared_list_close(list));
}

/* As the header says: so many bytes, and 32 for each item. */
Test(shared_list, room_is_as_large_as_it_was_said_to_be)
{
    enum { COUNT = 200, SIZE = 61 };
    const mp_shared_options options = {.size = COUNT * (SIZE + 32)};
    static char bytes[SIZE];
    mp_shared_list *list = NULL;
    size_t count = 0;

    ok(mp_shared_list_create(&list, 10 * COUNT, &options));
    while (mp_shared_list_append(list, MP_BYTES(bytes, SIZE - 1)) == MP_OK)
        count++;
    cr_assert_geq(count, COUNT);
    cr_assert_lt(count, 2 * COUNT);
    ok(mp_shared_list_verify(list));
    fails(mp_shared_list_append(list, MP_BYTES(bytes, SIZE - 1)), MP_ENOSPC);
    fails(mp_shared_list_insert(list, 0, MP_BYTES(bytes, SIZE - 1)), MP_ENOSPC);
    fails(mp_shared_list_set(list, 0, MP_BYTES(bytes, SIZE - 1)), MP_ENOSPC);
    cr_assert_eq(mp_shared_list_length(list), count);
    ok(mp_shared_list_delete(list, (int64_t)count / 2));
    ok(mp_shared_list_set(list, 0, MP_BYTES(bytes, SIZE - 1)));
    ok(mp_shared_list_verify(list));
    ok(mp_shared_list_close(list));
}

Test(shared_list, items_may_come_and_go_for_ever)
{
    mp_shared_list *list = make_list(20);

    for (size_t i = 0; i < support_scaled(STEPS); i++) {
        ok(mp_shared_list_append(list, MP_BOX((int)i)));
        ok(mp_shared_list_insert(list, 0, MP_LIST((int)i, "x")));
        if (mp_shared_list_length(list) > 15)
            for (int n = 0; n < 12; n++)
                cr_assert_eq(error_of(mp_shared_list_pop(list, n % 3 - 2)),
                             MP_OK);
    }
    ok(mp_shared_list_verify(list));
    ok(mp_shared_list_close(list));
}

Test(shared_list, sizes_that_can_not_be_are_refused)
{
    static const mp_shared_options large = {.size = SIZE_MAX};
    static const mp_shared_options half = {.size = SIZE_MAX / 2};
    mp_shared_list *list = NULL;

    fails(mp_shared_list_create(NULL, 1, NULL), MP_EINVAL);
    fails(mp_shared_list_create(&list, 0, NULL), MP_EINVAL);
    fails(mp_shared_list_create(&list, SIZE_MAX, NULL), MP_EOVERFLOW);
    fails(mp_shared_list_create(&list, SIZE_MAX / 16, &half), MP_EOVERFLOW);
    fails(mp_shared_list_create(&list, 1, &large), MP_EOVERFLOW);
    fails(mp_shared_list_create(&list, 1, &half), MP_EOVERFLOW);
    fails(mp_shared_list_open(&list, "never made", 0, NULL), MP_EINVAL);
    fails(mp_shared_list_open(&list, NULL, 1, NULL), MP_EINVAL);
    fails(mp_shared_list_open_file(&list, NULL, 1, NULL), MP_EINVAL);
    fails(mp_shared_list_open_file(NULL, "x", 1, NULL), MP_EINVAL);
    cr_assert_null(list);
    ok(mp_shared_list_create(&list, 1, &(mp_shared_options){.size = 1}));
    ok(mp_shared_list_append(list, MP_BOX(1)));
    ok(mp_shared_list_close(list));
}

/* -- Against a model ------------------------------------------------------- */

typedef struct model {
    int64_t items[MODEL_ITEMS];
    size_t count;
    uint32_t chance;
} model;

static uint32_t chance(model *it, uint32_t below)
{
    it->chance = it->chance * 1664525 + 1013904223;
    return (it->chance >> 8) % below;
}

static void model_insert(model *it, size_t place, int64_t value)
{
    memmove(it->items + place + 1, it->items + place,
            (it->count - place) * sizeof(it->items[0]));
    it->items[place] = value;
    it->count++;
}

static void model_drop(model *it, size_t place)
{
    it->count--;
    memmove(it->items + place, it->items + place + 1,
            (it->count - place) * sizeof(it->items[0]));
}

static void model_reverse(model *it)
{
    for (size_t i = 0; i < it->count / 2; i++) {
        int64_t swapped = it->items[i];

        it->items[i] = it->items[it->count - 1 - i];
        it->items[it->count - 1 - i] = swapped;
    }
}

/* The same to both; count > 0. */
static void change_one(model *it, mp_shared_list *list)
{
    size_t place = chance(it, (uint32_t)it->count);
    int64_t value = chance(it, 100);

    switch (chance(it, 6)) {
    case 0:
        ok(mp_shared_list_set(list, (int64_t)place, MP_BOX(value)));
        it->items[place] = value;
        return;
    case 1:
        cr_assert_eq(error_of(mp_shared_list_pop(list, (int64_t)place)), MP_OK);
        model_drop(it, place);
        return;
    case 2:
        ok(mp_shared_list_delete(list, (int64_t)place - (int64_t)it->count));
        model_drop(it, place);
        return;
    case 3:
        ok(mp_shared_list_reverse(list));
        model_reverse(it);
        return;
    case 4:
        ok(mp_shared_list_sort(list));
        qsort(it->items, it->count, sizeof(it->items[0]), compare);
        return;
    default:
        value = it->items[place];
        ok(mp_shared_list_remove(list, MP_BOX(value)));
        for (place = 0; it->items[place] != value;)
            place++;
        model_drop(it, place);
        return;
    }
}

static void expect_same(const model *it, mp_shared_list *list)
{
    mp_obj *all = mp_shared_list_snapshot(list);
    size_t size = 0;

    ok(mp_obj_len(all, &size));
    cr_assert_eq(size, it->count);
    for (size_t i = 0; i < size; i++) {
        const mp_obj *item;
        int64_t value = 0;

        ok(mp_obj_item(all, (int64_t)i, &item));
        ok(mp_obj_as_int(item, &value));
        cr_assert_eq(value, it->items[i], "item %zu", i);
    }
    mp_obj_unref(all);
}

Test(shared_list, behaves_as_a_list_does, .timeout = 120)
{
    mp_shared_list *list = make_list(MODEL_ITEMS);
    model it = {.chance = 1};

    for (size_t i = 0; i < support_scaled(STEPS); i++) {
        size_t place = chance(&it, (uint32_t)it.count + 1);
        int64_t value = chance(&it, 100);

        if (it.count > 0 && (it.count == MODEL_ITEMS || chance(&it, 2) == 0)) {
            change_one(&it, list);
        } else {
            ok(mp_shared_list_insert(list, (int64_t)place, MP_BOX(value)));
            model_insert(&it, place, value);
        }
        if (i % 16 == 0) {
            expect_same(&it, list);
            ok(mp_shared_list_verify(list));
        }
    }
    ok(mp_shared_list_close(list));
}

/* -- Objects --------------------------------------------------------------- */

Test(shared_list, a_closed_one_is_closed)
{
    mp_shared_list *list = make_list(3);
    size_t number;

    ok(mp_shared_list_close(NULL));
    ok(mp_shared_list_close(list));
    fails(mp_shared_list_close(list), MP_ECLOSED);
    fails(mp_shared_list_append(list, MP_BOX(1)), MP_ECLOSED);
    fails(mp_shared_list_extend(list, MP_LIST(1)), MP_ECLOSED);
    fails(mp_shared_list_insert(list, 0, MP_BOX(1)), MP_ECLOSED);
    fails(mp_shared_list_set(list, 0, MP_BOX(1)), MP_ECLOSED);
    fails(error_of(mp_shared_list_get(list, 0)), MP_ECLOSED);
    fails(error_of(mp_shared_list_pop(list, 0)), MP_ECLOSED);
    fails(error_of(mp_shared_list_snapshot(list)), MP_ECLOSED);
    fails(mp_shared_list_delete(list, 0), MP_ECLOSED);
    fails(mp_shared_list_remove(list, MP_BOX(1)), MP_ECLOSED);
    fails(mp_shared_list_index(list, MP_BOX(1), &number), MP_ECLOSED);
    fails(mp_shared_list_count(list, MP_BOX(1), &number), MP_ECLOSED);
    fails(mp_shared_list_reverse(list), MP_ECLOSED);
    fails(mp_shared_list_sort(list), MP_ECLOSED);
    fails(mp_shared_list_clear(list), MP_ECLOSED);
    fails(mp_shared_list_verify(list), MP_ECLOSED);
    fails(mp_shared_list_sync(list), MP_ECLOSED);
    cr_assert_eq(mp_shared_list_length(list), 0U);
}

Test(shared_list, another_object_is_no_list)
{
    mp_shared_list *list = NULL;
    mp_lock *lock = NULL;
    mp_obj *obj;

    ok(mp_lock_create(&lock));
    obj = mp_obj_lock(lock);
    fails(mp_shared_list_append(NULL, MP_BOX(1)), MP_EINVAL);
    fails(mp_shared_list_clear((mp_shared_list *)(void *)lock), MP_EINVAL);
    fails(mp_obj_as_shared_list(obj, &list), MP_ETYPE);
    cr_assert_str_eq(mp_error_message(), "expected SharedList, got Lock");
    cr_assert_eq(mp_shared_list_length(NULL), 0U);
    cr_assert(mp_obj_is_none(mp_obj_shared_list(NULL)));
    mp_obj_unref(obj);
    ok(mp_lock_close(lock));
}

Test(shared_list, an_object_holds_it_open)
{
    mp_shared_list *list = make_list_of(MP_LIST(1));
    mp_shared_list *same = NULL;
    mp_obj *obj = MP_BOX(list);

    ok(mp_shared_list_close(list));
    ok(mp_obj_as_shared_list(obj, &same));
    cr_assert_eq(same, list);
    holds(same, "[1]");
    mp_obj_unref(obj);
    fails(mp_shared_list_append(list, MP_BOX(2)), MP_ECLOSED);
}

Test(shared_list, only_a_file_can_be_synced)
{
    mp_shared_list *list = make_list(3);

    fails(mp_shared_list_sync(list), MP_ENOTSUP);
    ok(mp_shared_list_close(list));
}

Test(shared_list, nothing_is_left_of_a_closed_one)
{
    size_t before;

    ok(mp_shared_list_close(make_list(3)));
    before = support_open_handles();
    for (int i = 0; i < 20; i++)
        ok(mp_shared_list_close(make_list(3)));
    cr_assert_eq(support_open_handles(), before);
}

/* -- Damage ---------------------------------------------------------------- */

/* What a call may answer when what is there was written by who knows whom. */
static void answers(mp_error err)
{
    if (err != MP_OK)
        cr_assert_str_not_empty(mp_error_message());
}

static void use_all(mp_shared_list *list, model *it)
{
    int64_t index = (int64_t)chance(it, 60) - 30;
    size_t number;

    answers(mp_shared_list_append(list, MP_BOX("appended")));
    answers(mp_shared_list_insert(list, index, MP_LIST(1, index)));
    answers(mp_shared_list_set(list, index, MP_BOX(index)));
    answers(error_of(mp_shared_list_get(list, index)));
    answers(mp_shared_list_count(list, MP_BOX(1.5), &number));
    switch (chance(it, 6)) {
    case 0:
        answers(mp_shared_list_sort(list));
        break;
    case 1:
        answers(mp_shared_list_reverse(list));
        break;
    case 2:
        answers(mp_shared_list_remove(list, MP_BOX("appended")));
        break;
    case 3:
        answers(mp_shared_list_extend(list, MP_LIST(1, "two", MP_NONE)));
        break;
    default:
        answers(error_of(mp_shared_list_pop(list, index)));
        answers(mp_shared_list_delete(list, index));
        break;
    }
    answers(error_of(mp_shared_list_snapshot(list)));
    answers(mp_shared_list_verify(list));
}

Test(shared_list, damage_is_answered, .timeout = 120)
{
    model it = {.chance = 7};

    for (size_t turn = 0; turn < support_scaled(STEPS / 4); turn++) {
        const mp_shared_options options = {.size = 2000};
        mp_shared_list *list = NULL;
        unsigned char *memory;

        ok(mp_shared_list_create(&list, 30, &options));
        memory = list->shared.table;
        for (int i = 0; i < 20; i++)
            ok(mp_shared_list_append(list, MP_BOX("an item")));
        for (uint32_t n = 1 + chance(&it, 20); n > 0; n--) {
            size_t place = chance(&it, (uint32_t)list->shared.mapped_size);

            memory[place] ^= (unsigned char)(1U << chance(&it, 8));
            use_all(list, &it);
        }
        answers(mp_shared_list_clear(list));
        ok(mp_shared_list_close(list));
    }
}

Test(shared_list, more_items_than_there_can_be_are_damage)
{
    mp_shared_list *list = make_list_of(MP_LIST(1));
    mpi_list_table *table = list->shared.table;

    mpi_atomic64_store(&table->state, 101 << 1);
    fails(mp_shared_list_append(list, MP_BOX(1)), MP_EPROTO);
    fails(mp_shared_list_verify(list), MP_EPROTO);
    fails(error_of(mp_shared_list_get(list, 0)), MP_EPROTO);
    cr_assert_eq(mp_shared_list_length(list), 0U);
    mpi_atomic64_store(&table->state, 1 << 1);
    holds(list, "[1]");
    ok(mp_shared_list_close(list));
}

/* What can't be read can still be taken away. */
Test(shared_list, a_damaged_item_is_refused_and_can_be_replaced)
{
    mp_shared_list *list = make_list_of(MP_LIST(0, 1, 2));
    mpi_list_table *table = list->shared.table;
    size_t size;
    unsigned char *bytes = mpi_store_at(
        &list->shared.store, mpi_atomic64_load(&table->slots[1]), &size);

    *bytes = '?';
    fails(error_of(mp_shared_list_get(list, 1)), MP_EPROTO);
    fails(error_of(mp_shared_list_pop(list, 1)), MP_EPROTO);
    fails(mp_shared_list_verify(list), MP_EPROTO);
    fails(mp_shared_list_sort(list), MP_EPROTO);
    fails(error_of(mp_shared_list_snapshot(list)), MP_EPROTO);
    ok(mp_shared_list_set(list, 1, MP_BOX(7)));
    holds(list, "[0, 7, 2]");
    mpi_atomic64_store(&table->slots[2], 12345);
    fails(error_of(mp_shared_list_get(list, 2)), MP_EPROTO);
    fails(mp_shared_list_verify(list), MP_EPROTO);
    ok(mp_shared_list_delete(list, 2));
    is_repr(mp_shared_list_snapshot(list), "[0, 7]");
    fails(mp_shared_list_verify(list), MP_EPROTO); /* its blob is nobody's */
    mpi_store_rebuild(&list->shared.store);
    holds(list, "[0, 7]");
    ok(mp_shared_list_close(list));
}
