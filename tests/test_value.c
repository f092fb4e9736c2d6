/* SPDX-License-Identifier: MIT */
/* Value: what it holds, its lock, and how it travels. */
#include "support/check.h"
#include "support/served.h"
#include "support/system.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORKERS = 4, ADDS = 2000, MANY = 10000, LARGE = 6000 };

typedef struct point {
    double x;
    double y;
} point;

typedef struct large {
    char bytes[LARGE];
} large;

typedef struct aligned {
    _Alignas(64) int number;
} aligned;

static mp_value *make(mp_ctype type, const void *initial)
{
    mp_value *value = NULL;

    ok(mp_value_create(&value, type, initial, NULL));
    return value;
}

static mp_value *make_int(int initial)
{
    return make(MP_CTYPE(int), &initial);
}

/* -- Targets --------------------------------------------------------------- */

static int add_with_lock(mp_args *args)
{
    mp_value *value = mp_arg_value(args, 0);

    for (int i = 0; i < ADDS; i++) {
        mp_check(mp_value_acquire(value, MP_FOREVER));
        *MP_VALUE(value, int) += 1;
        mp_check(mp_value_release(value));
    }
    return 0;
}

static int add_atomically(mp_args *args)
{
    mp_value *value = mp_arg_value(args, 0);

    for (int i = 0; i < ADDS; i++)
        mp_fetch_add(MP_VALUE(value, int), 1);
    return 0;
}

/* (value, the same in a list, under another name) */
static int use_all(mp_args *args)
{
    mp_value *value = mp_arg_value(args, 0);
    mp_value *named = mp_kwarg_value(args, "value", NULL);
    mp_value *listed;
    const mp_obj *item;

    mp_check(mp_obj_item(mp_arg_obj(args, 1), 0, &item));
    mp_check(mp_obj_as_value(item, &listed));
    *MP_VALUE(value, double) *= 2;
    if (*MP_VALUE(listed, double) != 6 || *MP_VALUE(named, double) != 6)
        return 1;
    mp_check(mp_value_acquire(named, 0));
    if (mp_value_acquire(listed, 0) != MP_OK) /* by the same thread */
        return 2;
    mp_check(mp_value_release(listed));
    mp_check(mp_value_release(value));
    return mp_kwarg_value(args, "none", NULL) == NULL ? 0 : 3;
}

/* Acquires, writes half, and waits to be killed. */
static int hold(mp_args *args)
{
    mp_value *value = mp_arg_value(args, 0);
    mp_connection *connection = mp_arg_connection(args, 1);
    mp_obj *ignored;

    mp_check(mp_value_acquire(value, MP_FOREVER));
    *MP_VALUE(value, int) = 13;
    mp_check(mp_connection_send(connection, MP_NONE));
    mp_check(mp_connection_recv(connection, &ignored));
    return 1;
}

static int send_own(mp_args *args)
{
    mp_connection *connection = mp_arg_connection(args, 0);
    mp_value *value;
    mp_obj *answer;

    mp_check(mp_value_create(&value, MP_CTYPE(int), &(int){40}, NULL));
    mp_check(mp_connection_send(connection, MP_BOX(value)));
    mp_check(mp_connection_recv(connection, &answer));
    mp_obj_unref(answer);
    return *MP_VALUE(value, int);
}

static int try_given(mp_args *args)
{
    return mp_value_acquire(mp_arg_value(args, 0), 0) == MP_TIMED_OUT ? 0 : 1;
}

static int view_as_double(mp_args *args)
{
    mp_value *value = mp_arg_value(args, 0);

    if (freopen(mp_arg_str(args, 1), "w", stderr) == NULL)
        return 2;
    if (mp_arg_bool(args, 2))
        mp_check(mp_value_close(value));
    return *MP_VALUE(value, double) > 0 ? 3 : 4;
}

static mp_value *global_value;

static int use_global(mp_args *args)
{
    mp_obj *ignored;

    mp_check(mp_connection_send(mp_arg_connection(args, 0), MP_NONE));
    mp_check(mp_connection_recv(mp_arg_connection(args, 0), &ignored));
    mp_obj_unref(ignored);
    if (mp_value_acquire(global_value, 0) != MP_ECLOSED)
        return 1;
    return mp_value_set(global_value, MP_BOX(1)) == MP_ECLOSED ? 0 : 2;
}

/* -- What it holds --------------------------------------------------------- */

Test(value, it_holds_what_it_was_given)
{
    mp_value *number = make(MP_CTYPE(int), &(int){7});
    mp_value *zero = make(MP_CTYPE(double), NULL);
    mp_value *pair = make(MP_CTYPE(point), &(point){1.5, -2});

    cr_assert_eq(*MP_VALUE(number, int), 7);
    cr_assert_eq(*MP_VALUE(zero, double), 0.0);
    cr_assert_eq(MP_VALUE(pair, point)->y, -2.0);
    *MP_VALUE(number, int) += 1;
    is_repr(mp_value_get(number), "8");
    cr_assert_eq(mp_value_data(number), (void *)MP_VALUE(number, int));
    cr_assert_eq(mp_value_ctype(number).size, sizeof(int));
    cr_assert_eq(mp_value_ctype(number).code, 'i');
    cr_assert_str_eq(mp_value_ctype(pair).name, "point");
    ok(mp_value_close(number));
    ok(mp_value_close(zero));
    ok(mp_value_close(pair));
}

Test(value, large_and_aligned_ones_have_memory_of_their_own)
{
    mp_value *one = make(MP_CTYPE(large), NULL);
    mp_value *other = make(MP_CTYPE(aligned), &(aligned){3});

    memset(MP_VALUE(one, large), 'x', LARGE);
    cr_assert_eq((uintptr_t)MP_VALUE(other, aligned) % 64, 0U);
    cr_assert_eq(MP_VALUE(other, aligned)->number, 3);
    ok(mp_value_close(one));
    ok(mp_value_close(other));
}

typedef struct code_case {
    char code;
    size_t size;
    mp_obj *(*box)(void);
    const char *repr;
} code_case;

static mp_obj *box_char(void)
{
    return MP_BYTES("x", 1);
}

static mp_obj *box_minus(void)
{
    return MP_BOX(-7);
}

static mp_obj *box_plus(void)
{
    return MP_BOX(200);
}

static mp_obj *box_float(void)
{
    return MP_BOX(0.5);
}

static mp_obj *box_true(void)
{
    return MP_TRUE;
}

/* What struct.calcsize() says of each, on a system with such a C. */
static const code_case codes[] = {
    {'c', sizeof(char), box_char, "b'x'"},
    {'b', sizeof(signed char), box_minus, "-7"},
    {'B', sizeof(unsigned char), box_plus, "200"},
    {'h', sizeof(short), box_minus, "-7"},
    {'H', sizeof(unsigned short), box_plus, "200"},
    {'i', sizeof(int), box_minus, "-7"},
    {'I', sizeof(unsigned), box_plus, "200"},
    {'l', sizeof(long), box_minus, "-7"},
    {'L', sizeof(unsigned long), box_plus, "200"},
    {'q', sizeof(long long), box_minus, "-7"},
    {'Q', sizeof(unsigned long long), box_plus, "200"},
    {'f', sizeof(float), box_float, "0.5"},
    {'d', sizeof(double), box_float, "0.5"},
    {'?', sizeof(bool), box_true, "True"},
};

Test(value, each_typecode_can_be_set_and_got)
{
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        mp_value *value = make(mp_ctype_of_code(codes[i].code), NULL);

        cr_assert_eq(mp_value_ctype(value).size, codes[i].size, "%c",
                     codes[i].code);
        ok(mp_value_set(value, codes[i].box()));
        is_repr(mp_value_get(value), codes[i].repr);
        ok(mp_value_close(value));
    }
}

Test(value, what_does_not_fit_is_refused_and_changes_nothing)
{
    mp_value *value = make_int(5);
    mp_value *byte = make(mp_ctype_of_code('B'), &(unsigned char){9});

    cr_assert_eq(mp_value_set(value, MP_BOX("5")), MP_ETYPE);
    cr_assert_eq(mp_value_set(value, MP_BOX(1LL << 40)), MP_EOVERFLOW);
    cr_assert_eq(mp_value_set(byte, MP_BOX(256)), MP_EOVERFLOW);
    cr_assert_eq(mp_value_set(byte, MP_BOX(-1)), MP_EOVERFLOW);
    cr_assert_str_not_empty(mp_error_message());
    cr_assert_eq(mp_value_set(value, NULL), MP_EINVAL);
    cr_assert_eq(mp_value_set(value, mp_obj_from_error(MP_EIO)), MP_EIO);
    is_repr(mp_value_get(value), "5");
    is_repr(mp_value_get(byte), "9");
    ok(mp_value_close(value));
    ok(mp_value_close(byte));
}

Test(value, a_struct_is_a_tuple_if_it_is_described)
{
    mp_value *described =
        make(MP_STRUCT(point, "x: double, y: double"), &(point){1, 2});
    mp_value *bytes = make(MP_CTYPE(point), &(point){1, 2});
    mp_obj *obj = mp_value_get(bytes);
    point copy;
    const void *data;
    size_t size;

    is_repr(mp_value_get(described), "(1.0, 2.0)");
    ok(mp_value_set(described, MP_TUPLE(3, 4.5)));
    cr_assert_eq(MP_VALUE(described, struct point)->y, 4.5);
    cr_assert_eq(mp_value_set(described, MP_TUPLE(3)), MP_EINVAL);
    ok(mp_obj_as_bytes(obj, &data, &size));
    cr_assert_eq(size, sizeof(copy));
    memcpy(&copy, data, sizeof(copy));
    cr_assert_eq(copy.y, 2.0);
    mp_obj_unref(obj);
    ok(mp_value_close(described));
    ok(mp_value_close(bytes));
}

static void expect_value_repr(mp_value *value, const char *expected)
{
    char *text = NULL;

    ok(mp_value_repr(value, &text));
    cr_assert_str_eq(text, expected);
    mp_free(text);
    ok(mp_value_close(value));
}

Test(value, repr_is_as_python_prints_it)
{
    const mp_value_options lockless = {.has_no_lock = true};
    const mp_ctype type = MP_STRUCT(point, "x: double, y: double");
    mp_value *value = NULL;

    expect_value_repr(make_int(7), sizeof(long) == sizeof(int)
                                       ? "<Synchronized wrapper for c_long(7)>"
                                       : "<Synchronized wrapper for c_int(7)>");
    expect_value_repr(make(type, &(point){1, 2.5}),
                      "<Synchronizedpoint wrapper for point(x=1.0, y=2.5)>");
    ok(mp_value_create(&value, MP_CTYPE(double), &(double){0.25}, &lockless));
    expect_value_repr(value, "c_double(0.25)");
    value = make_int(7);
    cr_assert_eq(mp_value_repr(value, NULL), MP_EINVAL);
    ok(mp_value_close(value));
}

Test(value, a_copy_holds_the_same_and_is_another)
{
    const mp_value_options lockless = {.has_no_lock = true};
    mp_value *value = make_int(7);
    mp_value *copy = NULL;

    ok(mp_value_copy(value, &copy, NULL));
    *MP_VALUE(value, int) = 8;
    cr_assert_eq(*MP_VALUE(copy, int), 7);
    ok(mp_value_acquire(value, 0));
    ok(mp_value_acquire(copy, 0));
    ok(mp_value_release(copy));
    ok(mp_value_close(copy));
    ok(mp_value_copy(value, &copy, &lockless));
    cr_assert_eq(*MP_VALUE(copy, int), 8);
    cr_assert_eq(mp_value_acquire(copy, 0), MP_ENOTSUP);
    ok(mp_value_release(value));
    ok(mp_value_close(copy));
    ok(mp_value_close(value));
}

/* -- Its lock -------------------------------------------------------------- */

static void add_by_processes(mp_start_method method, mp_function target,
                             const mp_value_options *options)
{
    mp_process *children[WORKERS];
    mp_value *value = NULL;

    ok(mp_value_create(&value, MP_CTYPE(int), NULL, options));
    for (int i = 0; i < WORKERS; i++)
        children[i] = support_start(method, target, MP_ARGS(value));
    for (int i = 0; i < WORKERS; i++)
        cr_assert_eq(support_finish(children[i]), 0);
    cr_assert_eq(*MP_VALUE(value, int), WORKERS * ADDS);
    ok(mp_value_close(value));
}

METHOD_TEST(value, processes_add_under_its_lock)
{
    mp_value_options options = {.lock = NULL};

    add_by_processes(method, add_with_lock, NULL);
    ok(mp_lock_create(&options.lock));
    add_by_processes(method, add_with_lock, &options);
    ok(mp_lock_close(options.lock));
    options.lock = NULL;
    ok(mp_rlock_create(&options.rlock));
    add_by_processes(method, add_with_lock, &options);
    ok(mp_rlock_close(options.rlock));
}

METHOD_TEST(value, processes_add_atomically_without_a_lock)
{
    const mp_value_options options = {.has_no_lock = true};

    add_by_processes(method, add_atomically, &options);
}

METHOD_TEST(value, two_share_a_given_lock)
{
    mp_value_options options = {.lock = NULL};
    mp_value *first = NULL, *second = NULL;

    ok(mp_lock_create(&options.lock));
    ok(mp_value_create(&first, MP_CTYPE(int), NULL, &options));
    ok(mp_value_create(&second, MP_CTYPE(int), NULL, &options));
    cr_assert_null(mp_value_get_lock(first));
    ok(mp_value_acquire(first, 0));
    cr_assert_eq(mp_value_acquire(second, 0), MP_TIMED_OUT);
    cr_assert_eq(support_run(method, try_given, MP_ARGS(second)), 0);
    ok(mp_value_release(second));
    ok(mp_value_close(first));
    ok(mp_value_set(second, MP_BOX(3)));
    ok(mp_value_close(second));
    ok(mp_lock_acquire(options.lock, 0));
    ok(mp_lock_close(options.lock));
}

Test(value, an_rlock_is_its_own_or_a_given_one)
{
    mp_value_options options = {.rlock = NULL};
    mp_value *own = make_int(1), *given = NULL;

    ok(mp_rlock_create(&options.rlock));
    ok(mp_value_create(&given, MP_CTYPE(int), NULL, &options));
    cr_assert_eq(mp_value_get_lock(given), options.rlock);
    cr_assert_not_null(mp_value_get_lock(own));
    ok(mp_rlock_acquire(mp_value_get_lock(own), 0));
    ok(mp_value_acquire(own, 0));
    is_repr(mp_value_get(own), "1");
    ok(mp_value_release(own));
    cr_assert(mp_rlock_is_locked(mp_value_get_lock(own)));
    ok(mp_value_release(own));
    cr_assert_eq(mp_value_release(own), MP_ENOTOWNER);
    ok(mp_rlock_close(options.rlock));
    ok(mp_value_acquire(given, 0));
    ok(mp_value_release(given));
    ok(mp_value_close(own));
    ok(mp_value_close(given));
}

Test(value, without_a_lock_nothing_is_acquired)
{
    const mp_value_options options = {.has_no_lock = true};
    mp_value *value = NULL;

    ok(mp_value_create(&value, MP_CTYPE(int), NULL, &options));
    cr_assert_eq(mp_value_acquire(value, 0), MP_ENOTSUP);
    cr_assert_eq(mp_value_release(value), MP_ENOTSUP);
    cr_assert_null(mp_value_get_lock(value));
    ok(mp_value_set(value, MP_BOX(4)));
    is_repr(mp_value_get(value), "4");
    ok(mp_value_close(value));
}

/* -- An owner's death ------------------------------------------------------ */

static void tell_of_death(mp_start_method method,
                          const mp_value_options *options)
{
    mp_connection *ours = NULL, *theirs = NULL;
    mp_value *value = NULL;
    mp_process *child;
    mp_obj *ignored;

    ok(mp_pipe(&ours, &theirs, NULL));
    ok(mp_value_create(&value, MP_CTYPE(int), NULL, options));
    child = support_start(method, hold, MP_ARGS(value, theirs));
    ok(mp_connection_recv(ours, &ignored));
    mp_obj_unref(ignored);
    ok(mp_process_kill(child));
    cr_assert_eq(support_finish(child), -9);
    /* These are not concerned, and leave it to whoever is. */
    is_repr(mp_value_get(value), "13");
    ok(mp_value_set(value, MP_BOX(14)));
    is_repr(mp_value_get(value), "14");
    cr_assert_eq(mp_value_acquire(value, SUPPORT_LONG), MP_OWNER_DIED);
    is_repr(options != NULL && options->lock != NULL ? MP_BOX(14)
                                                     : mp_value_get(value),
            "14");
    ok(mp_value_release(value));
    ok(mp_value_acquire(value, 0));
    ok(mp_value_release(value));
    ok(mp_value_close(value));
    ok(mp_connection_close(ours));
    ok(mp_connection_close(theirs));
}

METHOD_TEST(value, single_calls_leave_the_news_of_a_death_to_who_acquires)
{
    mp_value_options options = {.lock = NULL};

    tell_of_death(method, NULL);
    ok(mp_lock_create(&options.lock));
    tell_of_death(method, &options);
    ok(mp_lock_close(options.lock));
    options.lock = NULL;
    ok(mp_rlock_create(&options.rlock));
    tell_of_death(method, &options);
    ok(mp_rlock_close(options.rlock));
}

/* -- Travelling ------------------------------------------------------------ */

METHOD_TEST(value, it_travels_with_its_lock)
{
    mp_value *value = make(MP_CTYPE(double), &(double){3});
    mp_process_options options = {
        .start_method = method,
        .kwargs = MP_KWARGS("value", value),
    };
    mp_process *child = NULL;

    ok(mp_process_create(&child, use_all, MP_ARGS(value, MP_LIST(value)),
                         &options));
    ok(mp_process_start(child));
    cr_assert_eq(support_finish(child), 0);
    cr_assert_eq(*MP_VALUE(value, double), 6.0);
    ok(mp_value_acquire(value, 0));
    ok(mp_value_release(value));
    ok(mp_value_close(value));
}

METHOD_TEST(value, what_a_child_makes_arrives_here)
{
    mp_connection *ours = NULL, *theirs = NULL;
    mp_process *child;
    mp_value *known, *value = NULL;
    mp_obj *obj;

    ok(mp_pipe(&ours, &theirs, NULL));
    /* So that the child makes its own in memory that is here, too: where no
     * handle can come through a pipe. */
    known = make_int(0);
    child = support_start(method, send_own, MP_ARGS(theirs, known));
    ok(mp_connection_recv(ours, &obj));
    ok(mp_obj_as_value(obj, &value));
    ok(mp_value_acquire(value, 0));
    *MP_VALUE(value, int) += 2;
    ok(mp_value_release(value));
    ok(mp_connection_send(ours, MP_NONE));
    cr_assert_eq(support_finish(child), 42);
    cr_assert_eq(*MP_VALUE(value, int), 42);
    mp_obj_unref(obj);
    ok(mp_value_close(known));
    ok(mp_connection_close(ours));
    ok(mp_connection_close(theirs));
}

Test(value, in_a_forked_child_a_closed_one_is_closed)
{
    mp_start_method method = support_method(MP_START_FORK);
    mp_connection *ours = NULL, *theirs = NULL;
    mp_process *child;
    mp_obj *ignored;

    ok(mp_pipe(&ours, &theirs, NULL));
    global_value = make_int(1);
    child = support_start(method, use_global, MP_ARGS(theirs));
    ok(mp_connection_recv(ours, &ignored));
    mp_obj_unref(ignored);
    ok(mp_value_close(global_value));
    ok(mp_connection_send(ours, MP_NONE));
    cr_assert_eq(support_finish(child), 0);
    ok(mp_connection_close(ours));
    ok(mp_connection_close(theirs));
}

/* -- Misuse ---------------------------------------------------------------- */

Test(value, options_that_contradict_are_refused)
{
    mp_lock *lock = NULL;
    mp_rlock *rlock = NULL;
    mp_value *value = NULL;
    mp_value_options options;

    ok(mp_lock_create(&lock));
    ok(mp_rlock_create(&rlock));
    options = (mp_value_options){.lock = lock, .rlock = rlock};
    cr_assert_eq(mp_value_create(&value, MP_CTYPE(int), NULL, &options),
                 MP_EINVAL);
    options = (mp_value_options){.lock = lock, .has_no_lock = true};
    cr_assert_eq(mp_value_create(&value, MP_CTYPE(int), NULL, &options),
                 MP_EINVAL);
    options = (mp_value_options){.capacity = 2};
    cr_assert_eq(mp_value_create(&value, MP_CTYPE(int), NULL, &options),
                 MP_EINVAL);
    options = (mp_value_options){.is_read_only = true};
    cr_assert_eq(mp_value_create(&value, MP_CTYPE(int), NULL, &options),
                 MP_EINVAL);
    options = (mp_value_options){.lock = lock};
    ok(mp_lock_close(lock));
    cr_assert_eq(mp_value_create(&value, MP_CTYPE(int), NULL, &options),
                 MP_ECLOSED);
    cr_assert_null(value);
    ok(mp_rlock_close(rlock));
}

Test(value, what_is_no_type_is_refused)
{
    mp_ctype type = MP_CTYPE(point);
    mp_value *value = NULL;

    cr_assert_eq(mp_value_create(NULL, MP_CTYPE(int), NULL, NULL), MP_EINVAL);
    cr_assert_eq(mp_value_create(&value, mp_ctype_of_code('w'), NULL, NULL),
                 MP_EINVAL);
    cr_assert_eq(
        mp_value_create(&value, MP_STRUCT(point, "x: double"), NULL, NULL),
        MP_EINVAL);
    type.alignment = 8192;
    cr_assert_eq(mp_value_create(&value, type, NULL, NULL), MP_EINVAL);
    type = MP_CTYPE(point);
    type.size = SIZE_MAX / 2 + 1;
    cr_assert_lt(mp_value_create(&value, type, NULL, NULL), MP_OK);
    cr_assert_null(value);
}

Test(value, a_closed_one_is_recognised)
{
    mp_value *value = make_int(1), *copy = NULL;
    mp_obj *obj;
    char *text = NULL;

    ok(mp_value_close(value));
    cr_assert_eq(mp_value_close(value), MP_ECLOSED);
    cr_assert_eq(mp_value_acquire(value, 0), MP_ECLOSED);
    cr_assert_eq(mp_value_release(value), MP_ECLOSED);
    cr_assert_eq(mp_value_set(value, MP_BOX(1)), MP_ECLOSED);
    cr_assert_eq(mp_value_repr(value, &text), MP_ECLOSED);
    cr_assert_eq(mp_value_copy(value, &copy, NULL), MP_ECLOSED);
    cr_assert_eq(mp_value_sync(value), MP_ECLOSED);
    cr_assert_null(mp_value_data(value));
    cr_assert_null(mp_value_get_lock(value));
    cr_assert_eq(mp_value_ctype(value).size, 0U);
    obj = mp_value_get(value);
    cr_assert_eq(mp_obj_error(obj), MP_ECLOSED);
    mp_obj_unref(obj);
    obj = mp_obj_value(value);
    cr_assert_eq(mp_obj_error(obj), MP_ECLOSED);
    mp_obj_unref(obj);
    ok(mp_value_close(NULL));
}

Test(value, null_and_other_kinds_are_recognised)
{
    mp_array *array = NULL;
    mp_value *value = make_int(1), *wrong = NULL;
    mp_obj *obj = mp_obj_value(NULL);

    cr_assert(mp_obj_is_none(obj));
    cr_assert_eq(mp_obj_as_value(obj, &wrong), MP_ETYPE);
    mp_obj_unref(obj);
    ok(mp_array_create(&array, MP_CTYPE(int), 1, NULL, NULL));
    wrong = (mp_value *)(void *)array;
    cr_assert_eq(mp_value_acquire(wrong, 0), MP_EINVAL);
    cr_assert_eq(mp_value_set(wrong, MP_BOX(1)), MP_EINVAL);
    cr_assert_eq(mp_value_acquire(NULL, 0), MP_EINVAL);
    cr_assert_eq(mp_value_copy(value, NULL, NULL), MP_EINVAL);
    cr_assert_null(mp_value_data(NULL));
    cr_assert_eq(mp_value_sync(value), MP_ENOTSUP);
    ok(mp_array_close(array));
    ok(mp_value_close(value));
}

METHOD_TEST(value, a_pointer_of_another_type_ends_a_debug_build)
{
    char folder[SUPPORT_PATH_SIZE], path[SUPPORT_PATH_SIZE], text[512];
    mp_value *value = make_int(1);

#ifdef NDEBUG
    cr_skip_test("it is none");
#endif
    support_make_folder("mp-value-", folder);
    support_join_path(folder, "stderr", path);
    cr_assert_eq(
        support_run(method, view_as_double, MP_ARGS(value, path, MP_FALSE)), 1);
    support_read_file(path, text, sizeof(text));
    cr_assert_not_null(strstr(text, "the Value is of int, not of double"), "%s",
                       text);
    ok(mp_value_close(value));
    support_remove_folder(folder);
}

/* Where it came as an argument, it stays open until the target returns. */
Test(value, a_pointer_to_a_closed_one_ends_a_debug_build)
{
    char folder[SUPPORT_PATH_SIZE], path[SUPPORT_PATH_SIZE], text[512];
    mp_value *value = make_int(1);

#ifdef NDEBUG
    cr_skip_test("it is none");
#endif
    support_make_folder("mp-value-", folder);
    support_join_path(folder, "stderr", path);
    cr_assert_eq(support_run(MP_START_SPAWN, view_as_double,
                             MP_ARGS(value, path, MP_TRUE)),
                 1);
    support_read_file(path, text, sizeof(text));
    cr_assert_not_null(strstr(text, "the Value is closed"), "%s", text);
    ok(mp_value_close(value));
    support_remove_folder(folder);
}

Test(value, types_are_compared_by_kind_and_size_and_name)
{
    mp_value *number = make(MP_CTYPE(long long), &(long long){5});
    mp_value *pair = make(MP_CTYPE(struct point), NULL);

    cr_assert_eq(*MP_VALUE(number, int64_t), 5);
    cr_assert_eq(MP_VALUE(pair, point), (point *)mp_value_data(pair));
    ok(mp_value_close(number));
    ok(mp_value_close(pair));
}

/* -- Cost ------------------------------------------------------------------ */

Test(value, many_cost_few_handles, .timeout = 120)
{
    size_t count = support_scaled(MANY), before;
    mp_value **values = malloc(count * sizeof(*values));

    ok(mp_value_close(make_int(0)));
    before = support_open_handles();
    for (size_t i = 0; i < count; i++)
        values[i] = make_int((int)i);
    cr_assert_lt(support_open_handles(), before + 40, "%zu",
                 support_open_handles() - before);
    for (size_t i = 0; i < count; i++) {
        cr_assert_eq(*MP_VALUE(values[i], int), (int)i);
        ok(mp_value_close(values[i]));
    }
    cr_assert_leq(support_open_handles(), before);
    free(values);
}
