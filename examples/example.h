/* SPDX-License-Identifier: MIT */
/*
 * What the examples share: the start method they are run with, and Python's
 * print(..., flush=True), so that lines of several processes appear when they
 * are said.
 */
#ifndef EXAMPLE_H
#define EXAMPLE_H

#include <multiproc.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/** To be called below mp_main_guard(). */
static inline void use_start_method_of_environment(void)
{
    const char *name = getenv("MULTIPROC_START_METHOD");
    mp_start_method method;

    if (name == NULL || *name == 0)
        return;
    mp_check(mp_start_method_from_name(name, &method));
    mp_check(mp_set_start_method(method));
}

MP_PRINTF(1, 2) static inline void say(const char *format, ...)
{
    va_list values;

    va_start(values, format);
    vprintf(format, values);
    va_end(values);
    fflush(stdout);
}

static inline const char *true_or_false(bool value)
{
    return value ? "True" : "False";
}

#endif
