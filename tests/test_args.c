/* SPDX-License-Identifier: MIT */
/* What a target is called with: every accessor, and every TypeError. */
#include "support/methods.h"
#include "support/system.h"

#include <stdio.h>
#include <string.h>

enum { SAID_SIZE = 2000 };

static int some_function(mp_args *args)
{
    (void)args;
    return 0;
}

/* -- Right arguments ------------------------------------------------------- */

/* Exit code: the number of the first that is not as it should be. */
static int check_positions(mp_args *args)
{
    const mp_obj *item;
    size_t size = 0;

    if (mp_args_count(args) != 9)
        return 1;
    if (mp_arg_int(args, 0) != INT64_MIN)
        return 2;
    if (mp_arg_float(args, 1) != 2.5 || mp_arg_float(args, 8) != 7.0)
        return 3;
    if (!mp_arg_bool(args, 2))
        return 4;
    if (strcmp(mp_arg_str(args, 3), "hé") != 0)
        return 5;
    if (memcmp(mp_arg_bytes(args, 4, &size), "a\0b", 3) != 0 || size != 3)
        return 6;
    if (!mp_obj_is_none(mp_arg_obj(args, 5)))
        return 7;
    if (mp_arg_function(args, 6) != some_function)
        return 8;
    if (!mp_connection_is_readable(mp_arg_connection(args, 7)))
        return 9;
    if (mp_args_get(args, 8, &item) != MP_OK || item != mp_arg_obj(args, 8))
        return 10;
    if (mp_args_get(args, 9, &item) != MP_EINDEX)
        return 11;
    return 0;
}

METHOD_TEST(args, every_type_is_found_at_its_position)
{
    mp_connection *a, *b;

    cr_assert_eq(mp_pipe(&a, &b, NULL), MP_OK);
    cr_assert_eq(
        support_run(method, check_positions,
                    MP_ARGS(INT64_MIN, 2.5, MP_TRUE, "hé", MP_BYTES("a\0b", 3),
                            MP_NONE, some_function, a, 7)),
        0);
    mp_connection_close(a);
    mp_connection_close(b);
}

static int check_names(mp_args *args)
{
    const mp_obj *item, *none = mp_args_tuple(args);
    size_t size = 0;

    if (mp_kwarg_int(args, "int", 0) != -5)
        return 2;
    if (mp_kwarg_float(args, "float", 0) != 2.5)
        return 3;
    if (!mp_kwarg_bool(args, "bool", false))
        return 4;
    if (strcmp(mp_kwarg_str(args, "str", ""), "hé") != 0)
        return 5;
    if (memcmp(mp_kwarg_bytes(args, "bytes", &size), "a\0b", 3) != 0 ||
        size != 3 || mp_kwarg_bytes(args, "absent", &size) != NULL)
        return 12;
    if (mp_obj_type(mp_kwarg_obj(args, "obj", none)) != MP_TYPE_LIST)
        return 6;
    if (mp_kwarg_function(args, "function", NULL) != some_function)
        return 7;
    if (!mp_connection_is_readable(mp_kwarg_connection(args, "pipe", NULL)))
        return 8;
    if (mp_kwargs_get(args, "int", &item) != MP_OK ||
        mp_kwargs_get(args, "Int", &item) != MP_EKEY)
        return 9;
    return mp_obj_type(mp_args_dict(args)) == MP_TYPE_DICT ? 0 : 10;
}

METHOD_TEST(args, every_type_is_found_by_its_name)
{
    mp_process_options options = {.start_method = method};
    mp_connection *a, *b;
    mp_process *child;

    cr_assert_eq(mp_pipe(&a, &b, NULL), MP_OK);
    options.kwargs =
        MP_KWARGS("int", -5, "float", 2.5, "bool", MP_TRUE, "str", "hé",
                  "bytes", MP_BYTES("a\0b", 3), "obj", MP_LIST(1), "function",
                  some_function, "pipe", a);
    cr_assert_eq(mp_process_create(&child, check_names, NULL, &options), MP_OK);
    cr_assert_eq(mp_process_start(child), MP_OK, "%s", mp_error_message());
    cr_assert_eq(support_finish(child), 0);
    mp_connection_close(a);
    mp_connection_close(b);
}

static int check_fallbacks(mp_args *args)
{
    if (mp_args_count(args) != 0)
        return 1;
    if (mp_kwarg_int(args, "x", -7) != -7)
        return 2;
    if (mp_kwarg_float(args, "x", 0.5) != 0.5)
        return 3;
    if (!mp_kwarg_bool(args, "x", true) || mp_kwarg_bool(args, "x", false))
        return 4;
    if (mp_kwarg_str(args, "x", NULL) != NULL)
        return 5;
    if (mp_kwarg_obj(args, "x", NULL) != NULL)
        return 6;
    if (mp_kwarg_function(args, "x", some_function) != some_function)
        return 7;
    return mp_kwarg_connection(args, "x", NULL) == NULL ? 0 : 8;
}

METHOD_TEST(args, fallback_stands_for_a_name_that_was_not_given)
{
    cr_assert_eq(support_run(method, check_fallbacks, NULL), 0);
}

static int close_own_connection(mp_args *args)
{
    mp_connection *connection = mp_arg_connection(args, 0);

    if (mp_connection_close(connection) != MP_OK)
        return 1;
    return mp_arg_connection(args, 0) == connection &&
                   mp_connection_close(connection) == MP_ECLOSED
               ? 0
               : 2;
}

METHOD_TEST(args, connection_may_be_closed_by_the_target)
{
    mp_connection *a, *b;

    cr_assert_eq(mp_pipe(&a, &b, NULL), MP_OK);
    cr_assert_eq(support_run(method, close_own_connection, MP_ARGS(a)), 0);
    mp_connection_close(a);
    mp_connection_close(b);
}

/* -- Wrong arguments ------------------------------------------------------- */

static void take_position(mp_args *args, int64_t which)
{
    size_t size;

    switch (which) {
    case 0:
        mp_arg_int(args, 2);
        break;
    case 1:
        mp_arg_float(args, 2);
        break;
    case 2:
        mp_arg_bool(args, 2);
        break;
    case 3:
        mp_arg_str(args, 2);
        break;
    case 4:
        mp_arg_bytes(args, 2, &size);
        break;
    case 5:
        mp_arg_function(args, 2);
        break;
    case 6:
        mp_arg_connection(args, 2);
        break;
    case 7:
        mp_arg_obj(args, 2);
        break;
    default:
        break;
    }
}

static void take_name(mp_args *args, int64_t which)
{
    size_t size;

    switch (which) {
    case 10:
        mp_kwarg_int(args, "key", 0);
        break;
    case 11:
        mp_kwarg_float(args, "key", 0);
        break;
    case 12:
        mp_kwarg_bool(args, "key", false);
        break;
    case 13:
        mp_kwarg_str(args, "key", "");
        break;
    case 14:
        mp_kwarg_bytes(args, "key", &size);
        break;
    case 15:
        mp_kwarg_function(args, "key", NULL);
        break;
    case 16:
        mp_kwarg_connection(args, "key", NULL);
        break;
    default:
        break;
    }
}

/* Arguments: which accessor, where stderr goes, and the one it asks for. */
static int take_one(mp_args *args)
{
    if (freopen(mp_arg_str(args, 1), "w", stderr) == NULL)
        return 90;
    take_position(args, mp_arg_int(args, 0));
    take_name(args, mp_arg_int(args, 0));
    return 42;
}

/* Value NULL: there is none. Gives the exit code and what was said. */
static int take(mp_start_method method, int which, mp_obj *value,
                char said[SAID_SIZE])
{
    char folder[SUPPORT_PATH_SIZE], path[SUPPORT_PATH_SIZE];
    mp_process_options options = {.start_method = method};
    mp_process *child;
    mp_obj *args;
    int code;

    support_make_folder("multiproc-args", folder);
    support_join_path(folder, "errors", path);
    if (which >= 10) {
        options.kwargs = MP_KWARGS("key", value);
        args = MP_ARGS(which, path);
    } else if (value != NULL) {
        args = MP_ARGS(which, path, value);
    } else {
        args = MP_ARGS(which, path);
    }
    cr_assert_eq(mp_process_create(&child, take_one, args, &options), MP_OK);
    cr_assert_eq(mp_process_start(child), MP_OK, "%s", mp_error_message());
    code = support_finish(child);
    support_read_file(path, said, SAID_SIZE);
    support_remove_folder(folder);
    return code;
}

static void expect_type_error(mp_start_method method, int which, mp_obj *value,
                              const char *sentence)
{
    char said[SAID_SIZE];
    int code = take(method, which, value, said);

    cr_assert_eq(code, 1, "accessor %d: exit code %d, said %s", which, code,
                 said);
    cr_assert_not_null(strstr(said, sentence), "accessor %d said %s", which,
                       said);
    cr_assert_not_null(strstr(said, "TypeError: "), "%s", said);
}

METHOD_TEST(args, missing_one_is_a_type_error)
{
    static const char sentence[] = "take_one() missing argument 2";

    expect_type_error(method, 0, NULL, sentence);
    expect_type_error(method, 4, NULL, sentence);
    expect_type_error(method, 7, NULL, sentence);
}

METHOD_TEST(args, wrong_type_is_a_type_error)
{
    expect_type_error(method, 0, MP_BOX("x"),
                      "TypeError: take_one() argument 2: expected int, got "
                      "str");
    expect_type_error(method, 13, MP_BOX(5),
                      "TypeError: take_one() argument 'key': expected str, got "
                      "int");
}

Test(args, every_accessor_refuses_other_types)
{
    static const char *const names[] = {"int",   "float",    "bool",      "str",
                                        "bytes", "function", "Connection"};

    for (int i = 0; i < 7; i++) {
        char sentence[100];

        snprintf(sentence, sizeof(sentence),
                 "take_one() argument 2: expected %s, got list", names[i]);
        expect_type_error(MP_START_SPAWN, i, MP_LIST(1), sentence);
        snprintf(sentence, sizeof(sentence),
                 "take_one() argument 'key': expected %s, got list", names[i]);
        expect_type_error(MP_START_SPAWN, 10 + i, MP_LIST(1), sentence);
    }
}

Test(args, str_with_a_null_character_is_a_type_error)
{
    expect_type_error(MP_START_SPAWN, 3, mp_obj_strn("a\0b", 3),
                      "take_one() argument 2: ");
    expect_type_error(MP_START_SPAWN, 13, mp_obj_strn("a\0b", 3),
                      "take_one() argument 'key': ");
}

Test(args, int_is_a_float_but_a_float_is_no_int)
{
    char said[SAID_SIZE];

    cr_assert_eq(take(MP_START_SPAWN, 1, MP_BOX(5), said), 42, "%s", said);
    expect_type_error(MP_START_SPAWN, 0, MP_BOX(5.0),
                      "take_one() argument 2: expected int, got float");
}

/* -- What is refused before anything is started ---------------------------- */

Test(args, args_must_be_a_tuple_and_kwargs_a_dict_with_str_keys)
{
    mp_process_options list = {.kwargs = MP_LIST(1)};
    mp_process_options numbers = {.kwargs = MP_DICT(1, 2)};
    mp_process *child = NULL;

    cr_assert_eq(mp_process_create(&child, some_function, MP_LIST(1), NULL),
                 MP_EINVAL);
    cr_assert_str_eq(mp_error_message(),
                     "args must be a tuple, MP_ARGS(...), not list");
    cr_assert_eq(mp_process_create(&child, some_function, NULL, &list),
                 MP_EINVAL);
    cr_assert_str_eq(mp_error_message(),
                     "kwargs must be a dict, MP_KWARGS(...), not list");
    cr_assert_eq(mp_process_create(&child, some_function, NULL, &numbers),
                 MP_EINVAL);
    cr_assert_eq(mp_process_create(&child, NULL, NULL, NULL), MP_EINVAL);
    cr_assert_eq(mp_process_create(NULL, some_function, NULL, NULL), MP_EINVAL);
    cr_assert_null(child);
}
