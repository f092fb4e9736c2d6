/* SPDX-License-Identifier: MIT */
/* Finalizers called and cancelled early. What they do at the end: test_exit. */
#include "support/testing.h"

#include <multiproc.h>

#include "state.h"

#include <stdint.h>
#include <string.h>

static char log_of_calls[100];

static void append(void *text)
{
    strncat(log_of_calls, text,
            sizeof(log_of_calls) - strlen(log_of_calls) - 1);
}

static mp_finalizer *add(char *text, int priority)
{
    mp_finalizer *finalizer = NULL;

    cr_assert_eq(mp_finalizer_create(&finalizer, append, text, priority),
                 MP_OK);
    return finalizer;
}

Test(finalizer, call_is_the_first_and_the_last)
{
    mp_finalizer *finalizer = add("a", 0);

    cr_assert(mp_finalizer_is_active(finalizer));
    cr_assert_eq(mp_finalizer_call(finalizer), MP_OK);
    cr_assert_str_eq(log_of_calls, "a");
    cr_assert_not(mp_finalizer_is_active(finalizer));
    cr_assert_eq(mp_finalizer_call(finalizer), MP_ECLOSED);
    cr_assert_eq(mp_finalizer_cancel(finalizer), MP_ECLOSED);
    mpi_finalizers_run(INT32_MIN);
    cr_assert_str_eq(log_of_calls, "a");
}

Test(finalizer, cancelled_one_is_never_called)
{
    mp_finalizer *finalizer = add("a", 0);

    cr_assert_eq(mp_finalizer_cancel(finalizer), MP_OK);
    cr_assert_not(mp_finalizer_is_active(finalizer));
    cr_assert_eq(mp_finalizer_call(finalizer), MP_ECLOSED);
    mpi_finalizers_run(INT32_MIN);
    cr_assert_str_empty(log_of_calls);
}

Test(finalizer, highest_priority_comes_first_and_the_last_created_of_equals)
{
    add("a", 1);
    add("b", 2);
    add("c", 1);
    add("d", 0);
    add("e", -1);
    add("f", INT32_MIN);
    add("g", INT32_MAX);
    mpi_finalizers_run(0);
    cr_assert_str_eq(log_of_calls, "gbcad");
    mpi_finalizers_run(INT32_MIN);
    cr_assert_str_eq(log_of_calls, "gbcadef");
}

static mp_finalizer *other;

static void cancel_other(void *text)
{
    append(text);
    mp_finalizer_cancel(other);
}

static void create_another(void *text)
{
    append(text);
    add("new", 50);
}

Test(finalizer, one_may_cancel_another)
{
    other = add("a", 0);
    cr_assert_eq(mp_finalizer_create(NULL, cancel_other, "b", 1), MP_OK);
    mpi_finalizers_run(0);
    cr_assert_str_eq(log_of_calls, "b");
}

Test(finalizer, one_may_create_another_which_is_called_too)
{
    add("a", 0);
    cr_assert_eq(mp_finalizer_create(NULL, create_another, "b", 1), MP_OK);
    mpi_finalizers_run(0);
    cr_assert_str_eq(log_of_calls, "bnewa");
}

static void call_itself(void *self)
{
    append("x");
    cr_assert_eq(mp_finalizer_call(*(mp_finalizer **)self), MP_ECLOSED);
}

Test(finalizer, one_that_calls_itself_runs_once)
{
    static mp_finalizer *self;

    cr_assert_eq(mp_finalizer_create(&self, call_itself, (void *)&self, 0),
                 MP_OK);
    cr_assert_eq(mp_finalizer_call(self), MP_OK);
    cr_assert_str_eq(log_of_calls, "x");
}

Test(finalizer, wrong_use_is_refused)
{
    mp_finalizer *finalizer = NULL;

    cr_assert_eq(mp_finalizer_create(&finalizer, NULL, NULL, 0), MP_EINVAL);
    cr_assert_null(finalizer);
    cr_assert_eq(mp_finalizer_call(NULL), MP_EINVAL);
    cr_assert_eq(mp_finalizer_cancel(NULL), MP_EINVAL);
    cr_assert_not(mp_finalizer_is_active(NULL));
    cr_assert_eq(mp_finalizer_call((mp_finalizer *)mp_current_process()),
                 MP_EINVAL);
}
