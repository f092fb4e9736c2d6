/* SPDX-License-Identifier: MIT */
/*
 * What the assertions of testing.h say when they do not hold, for every runner
 * of ours. Empty where Criterion itself is used.
 */
#include "testing.h"

#ifdef MULTIPROC_HAVE_CRITERION

typedef int support_uses_criterion;

#else

#include <stdarg.h>
#include <stdio.h>

enum { MESSAGE_SIZE = 512, VALUES_SIZE = 640, TEXT_SIZE = 2048 };

static void fail(const support_place *place, const char *values,
                 const char *message)
{
    char text[TEXT_SIZE];

    snprintf(text, sizeof(text), "%s%s%s%s%s", place->expression,
             values[0] != '\0' ? ": " : "", values,
             message[0] != '\0' ? ": " : "", message);
    support_fail_at(place, text);
}

bool support_check(bool holds, const support_place *place, const char *format,
                   ...)
{
    char message[MESSAGE_SIZE] = "";
    va_list arguments;

    if (holds)
        return true;

    va_start(arguments, format);
    if (format != NULL)
        vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    fail(place, "", message);
    return false;
}

bool support_check_text(const char *op, const char *actual,
                        const char *expected, const support_place *place,
                        const char *format, ...)
{
    char message[MESSAGE_SIZE] = "";
    char values[VALUES_SIZE];
    va_list arguments;

    if ((strcmp(actual, expected) == 0) == (op[0] == '='))
        return true;

    va_start(arguments, format);
    if (format != NULL)
        vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    snprintf(values, sizeof(values), "\"%.300s\" and \"%.300s\"", actual,
             expected);
    fail(place, values, message);
    return false;
}

#endif
