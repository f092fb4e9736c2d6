/* SPDX-License-Identifier: MIT */
/*
 * One test body for every start method: METHOD_TEST(suite, name) { ... } makes
 * the tests suite_spawn/name, suite_fork/name and suite_forkserver/name. In
 * the body `method` is the start method. Skipped where the system lacks it.
 */
#ifndef SUPPORT_METHODS_H
#define SUPPORT_METHODS_H

#include "testing.h"

#include <multiproc.h>

#define METHOD_TEST(suite, name)                             \
    static void suite##_##name(mp_start_method method);      \
    Test(suite##_spawn, name)                                \
    {                                                        \
        suite##_##name(support_method(MP_START_SPAWN));      \
    }                                                        \
    Test(suite##_fork, name)                                 \
    {                                                        \
        suite##_##name(support_method(MP_START_FORK));       \
    }                                                        \
    Test(suite##_forkserver, name)                           \
    {                                                        \
        suite##_##name(support_method(MP_START_FORKSERVER)); \
    }                                                        \
    static void suite##_##name(mp_start_method method)

/* The method, or the end of a test that can't run here. */
static inline mp_start_method support_method(mp_start_method method)
{
    size_t count;
    const mp_start_method *all = mp_get_all_start_methods(&count);

    for (size_t i = 0; i < count; i++)
        if (all[i] == method)
            return method;
    cr_skip_test("this system has no such start method");
    return method;
}

/* A started child. */
static inline mp_process *support_start_with(mp_process_options options,
                                             mp_function target, mp_obj *args)
{
    mp_process *process = NULL;
    mp_error err = mp_process_create(&process, target, args, &options);

    cr_assert_eq(err, MP_OK, "%s", mp_error_message());
    err = mp_process_start(process);
    cr_assert_eq(err, MP_OK, "%s", mp_error_message());
    return process;
}

static inline mp_process *support_start(mp_start_method method,
                                        mp_function target, mp_obj *args)
{
    mp_process_options options = {.start_method = method};

    return support_start_with(options, target, args);
}

/* For what would not end by itself: it must not outlive a test that failed. */
static inline mp_process *support_start_daemon(mp_start_method method,
                                               mp_function target, mp_obj *args)
{
    mp_process_options options = {.start_method = method,
                                  .daemon = MP_DAEMON_YES};

    return support_start_with(options, target, args);
}

/* Waits for its end; gives its exit code and closes it. */
static inline int support_finish(mp_process *process)
{
    int code = -1000;
    mp_error err = mp_process_join(process, 20);

    cr_assert_eq(err, MP_OK, "join: %d %s", (int)err, mp_error_message());
    err = mp_process_exitcode(process, &code);
    cr_assert_eq(err, MP_OK, "exitcode: %d %s", (int)err, mp_error_message());
    cr_assert_eq(mp_process_close(process), MP_OK);
    return code;
}

/* From start to end. */
static inline int support_run(mp_start_method method, mp_function target,
                              mp_obj *args)
{
    return support_finish(support_start(method, target, args));
}

#endif
