/* SPDX-License-Identifier: MIT */
/* What a worker process on a board makes of its tasks. */
#include "support/front.h"
#include "support/methods.h"
#include "support/system.h"

#include "obj.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SMALL_BOARD = 8 << 20,
    LARGE = 100 << 20,
};

/* -- Calls and maps -------------------------------------------------------- */

static mp_obj *square(mp_args *args)
{
    int64_t n = mp_arg_int(args, 0);

    return mp_obj_int(n * n);
}

static mp_obj *subtract(mp_args *args)
{
    return mp_obj_int(mp_arg_int(args, 0) - mp_arg_int(args, 1) -
                      mp_kwarg_int(args, "too", 0));
}

METHOD_TEST(pool_worker, call_gives_its_value)
{
    front it = front_begin(method);

    call(&it, square, MP_ARGS(7), MP_NONE);
    front_has(&it, 0, "49");
    call(&it, subtract, MP_ARGS(7, 3), MP_DICT());
    front_has(&it, 0, "4");
    call(&it, subtract, MP_ARGS(7, 3), MP_DICT("too", 10));
    front_has(&it, 0, "-6");
    cr_assert_eq(front_end(&it), 0);
}

METHOD_TEST(pool_worker, map_and_starmap_give_a_list)
{
    front it = front_begin(method);

    map(&it, square, MP_LIST(1, 2, 3));
    front_has(&it, 0, "[1, 4, 9]");
    map(&it, square, MP_LIST());
    front_has(&it, 0, "[]");
    starmap(&it, subtract, MP_LIST(MP_TUPLE(5, 3), MP_LIST(3, 5)));
    front_has(&it, 0, "[2, -2]");
    cr_assert_eq(front_end(&it), 0);
}

static mp_obj *give_back(mp_args *args)
{
    return mp_obj_ref(mp_arg_obj(args, 0));
}

static mp_obj *give_all_back(mp_args *args)
{
    return MP_TUPLE(mp_obj_ref(mp_args_tuple(args)),
                    mp_obj_ref(mp_args_dict(args)));
}

METHOD_TEST(pool_worker, values_of_all_kinds_come_back)
{
    front it = front_begin(method);

    map(&it, give_back,
        MP_LIST(MP_NONE, MP_TRUE, 1.5, "h\xC3\xA9", MP_BYTES("a\0b", 3),
                MP_LIST(1, MP_LIST()), MP_TUPLE(2), MP_DICT("a", MP_SET(1))));
    front_has(&it, 0,
              "[None, True, 1.5, 'h\xC3\xA9', b'a\\x00b', [1, []], (2,), "
              "{'a': {1}}]");
    call(&it, give_all_back, MP_ARGS(1, "b"), MP_DICT("c", 2));
    front_has(&it, 0, "((1, 'b'), {'c': 2})");
    starmap(&it, give_all_back, MP_LIST(MP_TUPLE(), MP_LIST("x")));
    front_has(&it, 0, "[((), {}), (('x',), {})]");
    cr_assert_eq(front_end(&it), 0);
}

static mp_obj *kept;

/* What it was called with the last time. */
static mp_obj *keep(mp_args *args)
{
    mp_obj *last = kept != NULL ? kept : mp_obj_none();

    kept = mp_obj_ref(mp_args_tuple(args));
    return last;
}

METHOD_TEST(pool_worker, arguments_that_a_task_keeps_stay_what_they_are)
{
    front it = front_begin(method);

    map(&it, keep, MP_LIST("a", MP_LIST("b"), 3, 4));
    front_has(&it, 0, "[None, ('a',), (['b'],), (3,)]");
    map(&it, square, MP_LIST(5, 6));
    front_has(&it, 0, "[25, 36]");
    map(&it, keep, MP_LIST(7));
    front_has(&it, 0, "[(4,)]");
    cr_assert_eq(front_end(&it), 0);
}

/* Of the tuple, which has to be another one each time. */
static mp_obj *look_up(mp_args *args)
{
    mp_obj *table = MP_DICT(MP_TUPLE("a"), 1, MP_TUPLE("b"), 2);
    const mp_obj *found = NULL;
    mp_error err = mp_obj_get(table, mp_args_tuple(args), &found);
    mp_obj *value = err == MP_OK ? mp_obj_ref(found) : mp_obj_none();

    mp_obj_unref(table);
    return value;
}

METHOD_TEST(pool_worker, arguments_can_be_looked_up)
{
    front it = front_begin(method);

    map(&it, look_up, MP_LIST("a", "b", "c", "a"));
    front_has(&it, 0, "[1, 2, None, 1]");
    cr_assert_eq(front_end(&it), 0);
}

#define NUMBERED(n)                        \
    static mp_obj *task_##n(mp_args *args) \
    {                                      \
        (void)args;                        \
        return mp_obj_int(n);              \
    }
NUMBERED(0)
NUMBERED(1)
NUMBERED(2)
NUMBERED(3)
NUMBERED(4)
NUMBERED(5)
NUMBERED(6)
NUMBERED(7)
NUMBERED(8)
NUMBERED(9)

METHOD_TEST(pool_worker, more_functions_than_are_remembered_are_told_apart)
{
    const mp_task tasks[] = {MP_TASK(task_0), MP_TASK(task_1), MP_TASK(task_2),
                             MP_TASK(task_3), MP_TASK(task_4), MP_TASK(task_5),
                             MP_TASK(task_6), MP_TASK(task_7), MP_TASK(task_8),
                             MP_TASK(task_9)};
    front it = front_begin(method);

    for (int i = 0; i < 100; i++) {
        int which = i * 7 % 10;
        char expected[20];

        front_put(&it, MPI_WORK_MAP, tasks[which], MP_LIST(MP_NONE));
        snprintf(expected, sizeof(expected), "[%d]", which);
        front_has(&it, 0, expected);
    }
    cr_assert_eq(front_end(&it), 0);
}

METHOD_TEST(pool_worker, large_values_come_and_go)
{
    size_t size = support_is_watched() ? LARGE / 10 : LARGE;
    char *bytes = malloc(size);
    const void *data = NULL;
    size_t got_size = 0;
    front it = front_begin(method);
    front_reply got;

    cr_assert_not_null(bytes);
    memset(bytes, 'x', size);
    bytes[size - 1] = 'y';
    map(&it, give_back, MP_LIST(1, MP_BYTES(bytes, size)));
    got = front_get(&it);
    cr_assert_eq(got.failures, 0);
    ok(mp_obj_as_bytes(mpi_as_container(got.result)->items[1], &data,
                       &got_size));
    cr_assert_eq(got_size, size);
    cr_assert_eq(memcmp(data, bytes, size), 0);
    mp_obj_unref(got.result);
    free(bytes);
    cr_assert_eq(front_end(&it), 0);
}

/* -- Failures -------------------------------------------------------------- */

/* What each item is to become of. */
static mp_obj *misbehave(mp_args *args)
{
    const char *how = mp_arg_str(args, 0);

    if (strcmp(how, "raise") == 0)
        return mp_raise(MP_EKEY, "no such thing");
    if (strcmp(how, "null") == 0)
        return NULL;
    if (strcmp(how, "check") == 0)
        mp_check(MP_EACCES);
    if (strcmp(how, "pointer") == 0)
        return MP_LIST(mp_obj_pointer(args));
    return mp_obj_str(how);
}

/* A tuple (index, code, sentence, where), of which where is left out. */
static void is_failure(const mp_obj *failures, int64_t at, const char *expected)
{
    const mp_obj *failure, *part;
    mp_obj *parts[3];

    ok(mp_obj_item(failures, at, &failure));
    for (int i = 0; i < 3; i++) {
        ok(mp_obj_item(failure, i, &part));
        parts[i] = mp_obj_ref(part);
    }
    is_repr(mp_obj_tuple(parts, 3), expected);
}

static const char *where_of(const mp_obj *failures, int64_t at)
{
    const mp_obj *failure, *part;
    const char *text;

    ok(mp_obj_item(failures, at, &failure));
    ok(mp_obj_item(failure, 3, &part));
    ok(mp_obj_as_str(part, &text, NULL));
    return text;
}

METHOD_TEST(pool_worker, items_that_fail_are_listed_beside_the_values)
{
    front it = front_begin(method);
    const mp_obj *values, *failures;
    front_reply got;

    map(&it, misbehave, MP_LIST("a", "raise", "b", "null", 5, "check", "c"));
    got = front_get(&it);
    cr_assert_eq(got.failures, 4);
    ok(mp_obj_item(got.result, 0, &values));
    ok(mp_obj_item(got.result, 1, &failures));
    is_repr(mp_obj_ref(values), "['a', None, 'b', None, None, None, 'c']");
    is_failure(failures, 0, "(1, -5, 'no such thing')");
    cr_assert_eq(strncmp(where_of(failures, 0),
                         "misbehave() at unit_pool_worker.c:", 34),
                 0, "%s", where_of(failures, 0));
    is_failure(failures, 1,
               "(3, -35, 'misbehave() returned NULL, without mp_raise()')");
    is_failure(failures, 2,
               "(4, -3, 'misbehave() argument 0: expected str, got int')");
    is_failure(failures, 3, "(5, -19, 'MP_EACCES: permission denied')");
    cr_assert_str_eq(where_of(failures, 2), "");
    mp_obj_unref(got.result);
    cr_assert_eq(front_end(&it), 0);
}

METHOD_TEST(pool_worker, call_that_fails_is_a_list_of_one_failure)
{
    front it = front_begin(method);

    call(&it, square, MP_ARGS("seven"), MP_NONE);
    front_has(&it, 1,
              "([None], [(0, -3, 'square() argument 0: expected int, got str', "
              "'')])");
    call(&it, square, MP_ARGS(), MP_NONE);
    front_has(&it, 1, "([None], [(0, -4, 'square() missing argument 0', '')])");
    call(&it, square, MP_ARGS(3), MP_NONE);
    front_has(&it, 0, "9");
    cr_assert_eq(front_end(&it), 0);
}

METHOD_TEST(pool_worker, only_the_value_that_can_not_be_pickled_fails)
{
    front it = front_begin(method);
    const mp_obj *values, *failures;
    front_reply got;

    map(&it, misbehave, MP_LIST("pointer", "a", "raise", "pointer", "null"));
    got = front_get(&it);
    cr_assert_eq(got.failures, 4);
    ok(mp_obj_item(got.result, 0, &values));
    ok(mp_obj_item(got.result, 1, &failures));
    is_repr(mp_obj_ref(values), "[None, 'a', None, None, None]");
    for (int i = 0; i < 4; i++) {
        const mp_obj *failure, *part;
        int64_t index = -1, code = 0;

        ok(mp_obj_item(failures, i, &failure));
        ok(mp_obj_item(failure, 0, &part));
        ok(mp_obj_as_int(part, &index));
        ok(mp_obj_item(failure, 1, &part));
        ok(mp_obj_as_int(part, &code));
        cr_assert_eq(index, i == 0 ? 0 : i + 1);
        cr_assert_eq(code,
                     i % 2 == 0 ? MP_EPICKLE
                     : i == 1   ? MP_EKEY
                                : MP_ERAISED,
                     "%d: %d", i, (int)code);
    }
    mp_obj_unref(got.result);
    call(&it, misbehave, MP_ARGS("pointer"), MP_NONE);
    got = front_get(&it);
    cr_assert_eq(got.failures, 1);
    mp_obj_unref(got.result);
    cr_assert_eq(front_end(&it), 0);
}

METHOD_TEST(pool_worker, starmap_of_what_is_no_tuple_fails_that_item)
{
    front it = front_begin(method);

    starmap(&it, subtract, MP_LIST(MP_TUPLE(5, 3), 4, MP_LIST(1)));
    front_has(
        &it, 2,
        "([2, None, None], [(1, -3, 'subtract() is to be given a tuple or "
        "a list, not int', ''), (2, -4, 'subtract() missing argument 1', "
        "'')])");
    cr_assert_eq(front_end(&it), 0);
}

/* So many lists within each other. */
static mp_obj *nest(mp_args *args)
{
    mp_obj *value = mp_obj_none();

    for (int64_t i = mp_arg_int(args, 0); i > 0; i--)
        value = mp_obj_list(&value, 1);
    return value;
}

METHOD_TEST(pool_worker, value_that_is_nested_too_deeply_fails_alone)
{
    front it = front_begin(method);

    map(&it, nest, MP_LIST(1, 999, 2));
    front_has(&it, 1,
              "([[None], None, [[None]]], [(1, -12, 'the result is nested "
              "deeper than 998 levels', '')])");
    call(&it, nest, MP_ARGS(1001), MP_NONE);
    front_has(&it, 1,
              "([None], [(0, -12, 'nested deeper than 1000 levels', '')])");
    cr_assert_eq(front_end(&it), 0);
}

static mp_obj *make_bytes(mp_args *args)
{
    size_t size = (size_t)mp_arg_int(args, 0);
    char *bytes = calloc(1, size);
    mp_obj *made = mp_obj_bytes(bytes, size);

    free(bytes);
    return made;
}

METHOD_TEST(pool_worker, result_that_finds_no_room_fails_the_whole_chunk)
{
    front it = front_begin_with(method, (front_plan){.max_bytes = SMALL_BOARD});
    const mp_obj *values, *failures;
    front_reply got;

    map(&it, make_bytes, MP_LIST(1, SMALL_BOARD * 2, 2));
    got = front_get(&it);
    cr_assert_eq(got.failures, 3);
    ok(mp_obj_item(got.result, 0, &values));
    ok(mp_obj_item(got.result, 1, &failures));
    cr_assert(mp_obj_is_none(values));
    cr_assert_eq(mpi_as_container(failures)->size, 1);
    mp_obj_unref(got.result);
    map(&it, make_bytes, MP_LIST(2));
    front_has(&it, 0, "[b'\\x00\\x00']");
    cr_assert_eq(front_end(&it), 0);
}

METHOD_TEST(pool_worker, arguments_that_make_no_sense_fail_all_items)
{
    const mp_bytes broken = {"\x80\x04~.", 4};
    mpi_buffer function = front_function_bytes(MP_TASK(square));
    mpi_buffer none = {.size = 0};
    front it = front_begin(method);
    mp_obj *result;

    none.data = function.data;
    front_put_bytes(&it, MPI_WORK_MAP, 5, &function, broken);
    front_has(&it, 5,
              "(None, [(0, -11, 'no pickle: there is no opcode 0x7e', '')])");
    front_put_bytes(&it, MPI_WORK_CALL, 1, &none, broken);
    result = front_get(&it).result;
    cr_assert_eq(mp_obj_type(result), MP_TYPE_TUPLE);
    mp_obj_unref(result);
    call(&it, square, MP_LIST(1), MP_NONE);
    front_has(&it, 1,
              "(None, [(0, -11, 'these are no arguments of a task', '')])");
    call(&it, square, MP_ARGS(1), MP_LIST());
    front_has(&it, 1,
              "(None, [(0, -11, 'these are no arguments of a task', '')])");
    map(&it, square, MP_LIST(4));
    front_has(&it, 0, "[16]");
    mpi_buffer_free(&function);
    cr_assert_eq(front_end(&it), 0);
}
