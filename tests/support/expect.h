/* SPDX-License-Identifier: MIT */
/* What is expected of calls and objects, said with the line it is at. */
#ifndef SUPPORT_EXPECT_H
#define SUPPORT_EXPECT_H

#include "testing.h"

#include <multiproc.h>

#define ok(expression) ok_at((expression), #expression, __LINE__)

static inline void ok_at(mp_error err, const char *what, int line)
{
    cr_assert_eq(err, MP_OK, "line %d, %s: %s: %s", line, what,
                 mp_error_name(err), mp_error_message());
}

/* It has failed like that, with a sentence. */
#define fails(expression, expected) \
    fails_at((expression), (expected), #expression, __LINE__)

static inline void fails_at(mp_error err, mp_error expected, const char *what,
                            int line)
{
    cr_assert_eq(err, expected, "line %d, %s: %s, not %s: %s", line, what,
                 mp_error_name(err), mp_error_name(expected),
                 mp_error_message());
    cr_assert_str_not_empty(mp_error_message());
}

static inline mp_error error_of(mp_obj *obj)
{
    mp_error err = mp_obj_error(obj);

    mp_obj_unref(obj);
    return err;
}

/* Consumes obj. */
#define is_repr(obj, expected) is_repr_at((obj), (expected), __LINE__)

static inline void is_repr_at(mp_obj *obj, const char *expected, int line)
{
    char *text = NULL;

    ok_at(mp_obj_repr(obj, &text), "repr", line);
    cr_assert_str_eq(text, expected, "line %d: %s, not %s", line, text,
                     expected);
    mp_free(text);
    mp_obj_unref(obj);
}

#endif
