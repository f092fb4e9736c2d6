/* SPDX-License-Identifier: MIT */
/* Calling a task function: values, failures, and what escapes from it. */
#include "support/expect.h"
#include "support/methods.h"
#include "support/system.h"

#include "state.h"
#include "task.h"

#include <stdio.h>
#include <string.h>

/* -- Calling --------------------------------------------------------------- */

/* What became of a call. */
typedef struct outcome {
    mp_error err;
    mp_obj *value;
    mpi_raised raised;
} outcome;

static outcome call_as(const char *name, mp_task_function function,
                       mp_obj *tuple, mp_obj *dict)
{
    outcome it = {.value = NULL};
    mp_args args = {name, tuple, dict};

    cr_assert_eq(mp_obj_error(tuple), MP_OK);
    it.err = mpi_task_call(function, &args, &it.value, &it.raised);
    mp_obj_unref(tuple);
    mp_obj_unref(dict);
    return it;
}

#define call(function, args) call_as(#function, (function), (args), MP_DICT())

#define is_value(outcome_, expected)                             \
    do {                                                         \
        outcome it_ = (outcome_);                                \
        cr_assert_eq(it_.err, MP_OK, "%s", it_.raised.sentence); \
        is_repr(it_.value, expected);                            \
    } while (0)

#define has_failed(outcome_, code_, sentence_, where_)                \
    do {                                                              \
        outcome it_ = (outcome_);                                     \
        cr_assert_eq(it_.err, (code_), "%s", mp_error_name(it_.err)); \
        cr_assert_eq(it_.raised.code, (code_));                       \
        cr_assert_str_eq(it_.raised.sentence, (sentence_));           \
        cr_assert_str_eq(it_.raised.where, (where_));                 \
        cr_assert_null(it_.value);                                    \
    } while (0)

static mp_obj *square(mp_args *args)
{
    int64_t n = mp_arg_int(args, 0);

    return mp_obj_int(n * n);
}

Test(task, value_is_what_the_function_returns)
{
    is_value(call(square, MP_ARGS(7)), "49");
}

static int raise_line;

static mp_obj *raise_some(mp_args *args)
{
    raise_line = __LINE__ + 1;
    return mp_raise(MP_EKEY, "no %s among %d", mp_arg_str(args, 0), 3);
}

static const char *place(char *where, size_t size, const char *function,
                         int line)
{
    snprintf(where, size, "%s%sunit_task.c:%d", function,
             *function != 0 ? "() at " : "", line);
    return where;
}

Test(task, raise_says_why_and_where)
{
    outcome it = call(raise_some, MP_ARGS("plum"));
    char where[100];

    has_failed(it, MP_EKEY, "no plum among 3",
               place(where, sizeof(where), "raise_some", raise_line));
}

Test(task, raise_outside_of_a_task_leaves_its_sentence_behind)
{
    cr_assert_null(mp_raise(MP_ERAISED, "too late for %s", "tea"));
    cr_assert_str_eq(mp_error_message(), "too late for tea");
}

static mp_obj *raise_number(mp_args *args)
{
    return mp_raise((mp_error)mp_arg_int(args, 0), "why");
}

Test(task, what_is_no_failure_is_raised_as_one_of_the_programs_own)
{
    const int codes[] = {MP_OK, MP_TIMED_OUT, 77, -1234, MP_ERAISED};

    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        cr_assert_eq(call(raise_number, MP_ARGS(codes[i])).err, MP_ERAISED);
    cr_assert_eq(call(raise_number, MP_ARGS((int)MP_EIO)).err, MP_EIO);
}

static mp_obj *raise_twice(mp_args *args)
{
    (void)args;
    (void)mp_raise(MP_EKEY, "first");
    return mp_raise(MP_EINDEX, "second, after '%s'", mp_error_message());
}

Test(task, last_of_several_reasons_counts)
{
    outcome it = call(raise_twice, MP_ARGS());

    cr_assert_eq(it.err, MP_EINDEX);
    cr_assert_str_eq(it.raised.sentence, "second, after 'first'");
}

static mp_obj *recover(mp_args *args)
{
    (void)mp_raise(MP_EKEY, "not that bad");
    return mp_obj_int(mp_arg_int(args, 0));
}

Test(task, value_counts_though_something_was_raised)
{
    is_value(call(recover, MP_ARGS(5)), "5");
}

static mp_obj *raise_bytes(mp_args *args)
{
    char text[2000];

    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = 0;
    if (mp_args_count(args) == 0)
        return mp_raise(MP_ERAISED, "caf\xE9 caf\xC3\xA9 \xFF%s", "");
    return mp_raise(MP_ERAISED, "%s", text);
}

Test(task, sentence_is_text_and_is_cut_to_fit)
{
    outcome it = call(raise_bytes, MP_ARGS());

    cr_assert_str_eq(it.raised.sentence, "caf? caf\xC3\xA9 ?");
    it = call(raise_bytes, MP_ARGS(1));
    cr_assert_eq(strlen(it.raised.sentence), MPI_SENTENCE_SIZE - 1u);
}

/* -- Nothing returned ------------------------------------------------------ */

static mp_obj *return_null(mp_args *args)
{
    (void)args;
    return NULL;
}

Test(task, null_is_a_failure_without_a_reason)
{
    has_failed(call(return_null, MP_ARGS()), MP_ERAISED,
               "return_null() returned NULL, without mp_raise()", "");
}

static mp_obj *fail_and_return_null(mp_args *args)
{
    const mp_obj *item;

    return mp_args_get(args, 3, &item) == MP_OK ? mp_obj_none() : NULL;
}

Test(task, null_comes_with_what_has_failed_last)
{
    has_failed(call(fail_and_return_null, MP_ARGS()), MP_ERAISED,
               "fail_and_return_null() returned NULL, the last failure was: "
               "fail_and_return_null() missing argument 3",
               "");
}

Test(task, what_failed_before_the_call_is_forgotten)
{
    (void)mpi_fail(MP_EIO, "long ago");
    has_failed(call(return_null, MP_ARGS()), MP_ERAISED,
               "return_null() returned NULL, without mp_raise()", "");
}

static mp_obj *return_error(mp_args *args)
{
    switch (mp_arg_int(args, 0)) {
    case 0:
        return mp_obj_str("\xFF");
    case 1:
        return mp_obj_from_error(MP_EACCES);
    default:
        return mp_obj_from_error(MP_TIMED_OUT);
    }
}

Test(task, error_object_is_the_failure_it_stands_for)
{
    has_failed(call(return_error, MP_ARGS(0)), MP_EINVAL, "a str is not UTF-8",
               "");
    has_failed(call(return_error, MP_ARGS(1)), MP_EACCES, "permission denied",
               "");
    has_failed(call(return_error, MP_ARGS(2)), MP_ERAISED, "timed out", "");
}

/* -- Escaping -------------------------------------------------------------- */

static int check_line;

static mp_obj *check_something(mp_args *args)
{
    mp_obj *found = NULL;

    (void)args;
    check_line = __LINE__ + 1;
    mp_check(mp_pickle_loads("x", 1, &found));
    cr_assert_fail("it goes on after mp_check()");
    return found;
}

Test(task, failed_check_fails_the_task_and_not_the_process)
{
    outcome it = call(check_something, MP_ARGS());
    char where[100];

    cr_assert_eq(it.err, MP_EUNPICKLE);
    cr_assert_eq(
        strncmp(it.raised.sentence, "mp_pickle_loads(\"x\", 1, &found): ", 33),
        0, "%s", it.raised.sentence);
    cr_assert_str_eq(it.raised.where,
                     place(where, sizeof(where), "", check_line));
}

static mp_obj *check_code(mp_args *args)
{
    mp_check((mp_error)mp_arg_int(args, 0));
    return mp_obj_none();
}

Test(task, failed_check_without_a_sentence_says_what_the_code_means)
{
    outcome it = call(check_code, MP_ARGS((int)MP_EACCES));

    cr_assert_eq(it.err, MP_EACCES);
    cr_assert_str_eq(it.raised.sentence,
                     "(mp_error)mp_arg_int(args, 0): permission denied");
    is_value(call(check_code, MP_ARGS((int)MP_TIMED_OUT)), "None");
}

Test(task, argument_of_the_wrong_type_fails_the_task)
{
    has_failed(call(square, MP_ARGS("seven")), MP_ETYPE,
               "square() argument 0: expected int, got str", "");
}

Test(task, missing_argument_fails_the_task)
{
    has_failed(call(square, MP_ARGS()), MP_EINDEX,
               "square() missing argument 0", "");
}

static mp_obj *by_name(mp_args *args)
{
    return mp_obj_int(mp_kwarg_int(args, "n", 3));
}

Test(task, named_argument_of_the_wrong_type_fails_the_task)
{
    outcome it =
        call_as("by_name", by_name, MP_ARGS(), MP_DICT("n", MP_LIST(1)));

    has_failed(it, MP_ETYPE, "by_name() argument 'n': expected int, got list",
               "");
    is_value(call(by_name, MP_ARGS()), "3");
}

static mp_obj *look_at_a_double(mp_args *args)
{
    mp_value *value = NULL;
    double seen;

    (void)args;
    mp_check(mp_value_create(&value, MP_CTYPE(int), NULL, NULL));
    seen =
        *(double *)mp_view_check(value, MP_CTYPE(double), __FILE__, __LINE__);
    return mp_obj_float(seen);
}

Test(task, view_of_the_wrong_type_fails_the_task)
{
    cr_assert_eq(call(look_at_a_double, MP_ARGS()).err, MP_ETYPE);
}

/* -- Within each other, beside each other ---------------------------------- */

static mp_obj *call_within(mp_args *args)
{
    outcome inner = call(square, MP_ARGS(mp_obj_ref(mp_arg_obj(args, 0))));

    if (inner.err != MP_OK)
        return mp_raise(inner.err, "within: %s", inner.raised.sentence);
    mp_obj_unref(inner.value);
    return mp_obj_int(mp_arg_int(args, 1));
}

Test(task, call_within_a_call_escapes_to_its_own_place)
{
    is_value(call(call_within, MP_ARGS(2, 3)), "3");
    cr_assert_str_eq(call(call_within, MP_ARGS("two", 3)).raised.sentence,
                     "within: square() argument 0: expected int, got str");
    cr_assert_str_eq(call(call_within, MP_ARGS(2, "three")).raised.sentence,
                     "call_within() argument 1: expected int, got str");
}

enum { THREADS = 4, CALLS = 20000 };

static void call_often(void *context)
{
    mpi_atomic32 *wrong = context;

    for (size_t i = support_scaled(CALLS); i > 0; i--) {
        outcome right = call(square, MP_ARGS((int)i));
        outcome failed = call(square, MP_ARGS("x"));

        if (right.err != MP_OK || failed.err != MP_ETYPE)
            (void)mpi_atomic32_add(wrong, 1);
        mp_obj_unref(right.value);
    }
}

Test(task, threads_have_tasks_of_their_own)
{
    mpos_thread threads[THREADS];
    mpi_atomic32 wrong = {0};

    for (int i = 0; i < THREADS; i++)
        ok(mpos_thread_start(call_often, &wrong, &threads[i]));
    for (int i = 0; i < THREADS; i++)
        mpos_thread_join(threads[i]);
    cr_assert_eq(mpi_atomic32_load(&wrong), 0);
}

static int fail_a_check(mp_args *args)
{
    (void)args;
    mp_check(MP_EACCES);
    return 0;
}

static mp_obj *run_child(mp_args *args)
{
    mp_start_method method = (mp_start_method)mp_arg_int(args, 0);

    return mp_obj_int(support_run(method, fail_a_check, NULL));
}

METHOD_TEST(task, child_of_a_task_is_in_no_task)
{
    outcome it = call(run_child, MP_ARGS((int)method));

    is_value(it, "1");
}

/* -- Initializers ---------------------------------------------------------- */

static int initialize(mp_args *args)
{
    return (int)mp_arg_int(args, 0);
}

static mp_error call_initializer(mp_obj *tuple, int *result, mpi_raised *raised)
{
    mp_args args = {"initialize", tuple, MP_DICT()};
    mp_error err = mpi_task_initialize(initialize, &args, result, raised);

    mp_obj_unref(tuple);
    mp_obj_unref(args.dict);
    return err;
}

Test(task, initializer_returns_a_number_or_escapes)
{
    mpi_raised raised;
    int result = 0;

    ok(call_initializer(MP_ARGS(3), &result, &raised));
    cr_assert_eq(result, 3);
    cr_assert_eq(call_initializer(MP_ARGS(MP_NONE), &result, &raised),
                 MP_ETYPE);
    cr_assert_str_eq(raised.sentence,
                     "initialize() argument 0: expected int, got NoneType");
}
