/* SPDX-License-Identifier: MIT */
/* Start methods, by name and by default; the fork server's preload. */
#include "support/check.h"
#include "support/methods.h"

#include "os.h"
#include "state.h"

#include <string.h>

static int loaded; /* how often, by load() */
static char table[100];

/* -- Targets --------------------------------------------------------------- */

static int default_method(mp_args *args)
{
    (void)args;
    return (int)mp_get_start_method();
}

static int load(mp_args *args)
{
    loaded++;
    if (mp_args_count(args) > 0)
        strncpy(table, mp_arg_str(args, 0), sizeof(table) - 1);
    return 0;
}

static int fail_to_load(mp_args *args)
{
    (void)args;
    return 5;
}

static int leave_while_loading(mp_args *args)
{
    (void)args;
    mp_exit(0);
}

/* 0 if the preload function ran once, and left what it should. */
static int compare_table(mp_args *args)
{
    if (loaded != 1)
        return 10 + loaded;
    return strcmp(table, mp_arg_str(args, 0)) == 0 ? 0 : 1;
}

static int spoil_table(mp_args *args)
{
    (void)args;
    table[0]++;
    loaded++;
    return 0;
}

static int count_loads(mp_args *args)
{
    (void)args;
    return loaded;
}

/* -- Methods --------------------------------------------------------------- */

Test(context, spawn_is_the_default_everywhere)
{
    size_t count;

    cr_assert_eq(mp_get_start_method(), MP_START_SPAWN);
    cr_assert_eq(mp_get_all_start_methods(&count)[0], MP_START_SPAWN);
    cr_assert_eq(count, mpos_system.has_fork ? 3 : 1);
}

Test(context, methods_have_pythons_names)
{
    mp_start_method method = MP_START_DEFAULT;

    cr_assert_str_eq(mp_start_method_name(MP_START_SPAWN), "spawn");
    cr_assert_str_eq(mp_start_method_name(MP_START_FORK), "fork");
    cr_assert_str_eq(mp_start_method_name(MP_START_FORKSERVER), "forkserver");
    cr_assert_str_eq(mp_start_method_name(MP_START_DEFAULT), "default");
    cr_assert_str_eq(mp_start_method_name((mp_start_method)77), "default");
    for (int i = MP_START_DEFAULT; i <= MP_START_FORKSERVER; i++) {
        const char *name = mp_start_method_name((mp_start_method)i);

        cr_assert_eq(mp_start_method_from_name(name, &method), MP_OK);
        cr_assert_eq((int)method, i);
    }
}

Test(context, name_of_no_method_is_refused)
{
    static const char *const names[] = {"", "Spawn", "spawn ", "thread"};
    mp_start_method method = MP_START_FORK;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        cr_assert_eq(mp_start_method_from_name(names[i], &method), MP_EINVAL);
        cr_assert_not_null(strstr(mp_error_message(), names[i]));
    }
    cr_assert_eq(mp_start_method_from_name(NULL, &method), MP_EINVAL);
    cr_assert_eq(mp_start_method_from_name("spawn", NULL), MP_EINVAL);
    cr_assert_eq(method, MP_START_FORK);
}

Test(context, default_must_be_a_method)
{
    cr_assert_eq(mp_set_start_method(MP_START_DEFAULT), MP_EINVAL);
    cr_assert_eq(mp_set_start_method((mp_start_method)77), MP_EINVAL);
    cr_assert_eq(mp_set_start_method((mp_start_method)-1), MP_EINVAL);
    cr_assert_eq(mp_get_start_method(), MP_START_SPAWN);
}

Test(context, method_the_system_lacks_is_refused)
{
    mp_process_options options = {.start_method = MP_START_FORK};
    mp_process *child;

    if (mpos_system.has_fork)
        cr_skip_test("this system has all methods");
    cr_assert_eq(mp_set_start_method(MP_START_FORK), MP_ENOTSUP);
    cr_assert_eq(mp_set_start_method(MP_START_FORKSERVER), MP_ENOTSUP);
    cr_assert_eq(mp_process_create(&child, default_method, NULL, &options),
                 MP_OK);
    cr_assert_eq(mp_process_start(child), MP_ENOTSUP);
    cr_assert_eq(mp_process_close(child), MP_OK);
}

METHOD_TEST(context, default_is_inherited_by_children)
{
    cr_assert_eq(mp_set_start_method(method), MP_OK);
    cr_assert_eq(mp_get_start_method(), method);
    cr_assert_eq(support_run(MP_START_DEFAULT, default_method, NULL),
                 (int)method);
    cr_assert_eq(mp_set_start_method(MP_START_SPAWN), MP_OK, "may change");
    cr_assert_eq(support_run(method, default_method, NULL),
                 (int)MP_START_SPAWN);
}

METHOD_TEST(context, default_is_that_of_the_start_not_of_the_creation)
{
    mp_process *child;

    cr_assert_eq(mp_process_create(&child, default_method, NULL, NULL), MP_OK);
    cr_assert_eq(mp_set_start_method(method), MP_OK);
    cr_assert_eq(mp_process_start(child), MP_OK);
    cr_assert_eq(support_finish(child), (int)method);
}

Test(context, option_must_be_a_method)
{
    mp_process_options options = {.start_method = (mp_start_method)77};
    mp_process_options odd = {.daemon = (mp_daemon)77};
    mp_process *child = NULL;

    cr_assert_eq(mp_process_create(&child, default_method, NULL, &options),
                 MP_EINVAL);
    cr_assert_eq(mp_process_create(&child, default_method, NULL, &odd),
                 MP_EINVAL);
    cr_assert_null(child);
}

Test(context, executable_must_not_be_empty)
{
    cr_assert_eq(mp_set_executable(""), MP_EINVAL);
    cr_assert_eq(mp_set_executable(NULL), MP_OK);
    cr_assert_eq(support_run(MP_START_SPAWN, count_loads, NULL), 0);
}

/* -- Preload --------------------------------------------------------------- */

static int run_in_server(mp_function target, mp_obj *args)
{
    return support_run(support_method(MP_START_FORKSERVER), target, args);
}

Test(context, preload_runs_once_and_children_inherit_what_it_leaves)
{
    support_method(MP_START_FORKSERVER);
    cr_assert_eq(mp_set_forkserver_preload(load, MP_ARGS("hé")), MP_OK);
    cr_assert_eq(run_in_server(compare_table, MP_ARGS("hé")), 0);
    cr_assert_eq(run_in_server(spoil_table, NULL), 0);
    cr_assert_eq(run_in_server(compare_table, MP_ARGS("hé")), 0,
                 "each child has its own copy");
    cr_assert_eq(loaded, 0, "not here");
    cr_assert_eq(support_run(MP_START_SPAWN, count_loads, NULL), 0);
    cr_assert_eq(support_run(MP_START_FORK, count_loads, NULL), 0);
}

Test(context, preload_needs_no_arguments)
{
    support_method(MP_START_FORKSERVER);
    cr_assert_eq(mp_set_forkserver_preload(load, NULL), MP_OK);
    cr_assert_eq(run_in_server(count_loads, NULL), 1);
}

Test(context, preload_can_be_replaced_and_taken_back_before_the_first_start)
{
    support_method(MP_START_FORKSERVER);
    cr_assert_eq(mp_set_forkserver_preload(fail_to_load, MP_ARGS(1)), MP_OK);
    cr_assert_eq(mp_set_forkserver_preload(load, MP_ARGS("x")), MP_OK);
    cr_assert_eq(mp_set_forkserver_preload(NULL, NULL), MP_OK);
    cr_assert_eq(run_in_server(count_loads, NULL), 0);
}

Test(context, preload_comes_too_late_for_a_running_server)
{
    cr_assert_eq(run_in_server(count_loads, NULL), 0);
    cr_assert_eq(mp_set_forkserver_preload(load, MP_ARGS("x")), MP_ESTATE);
    cr_assert_not_null(strstr(mp_error_message(), "running already"));
    cr_assert_eq(run_in_server(count_loads, NULL), 0);
}

Test(context, preload_arguments_must_be_a_tuple)
{
    cr_assert_eq(mp_set_forkserver_preload(load, MP_LIST(1)), MP_EINVAL);
    cr_assert_str_eq(mp_error_message(),
                     "args must be a tuple, MP_ARGS(...), not list");
    cr_assert_eq(mp_set_forkserver_preload(load, mp_obj_str("\xff")),
                 MP_EINVAL);
}

static void expect_no_server(mp_function preload, mp_obj *args,
                             mp_error expected)
{
    mp_process_options options = {.start_method =
                                      support_method(MP_START_FORKSERVER)};
    mp_process *child;
    mp_error err;

    cr_assert_eq(mp_set_forkserver_preload(preload, args), MP_OK);
    cr_assert_eq(mp_process_create(&child, count_loads, NULL, &options), MP_OK);
    err = mp_process_start(child);
    cr_assert_eq(err, expected, "%d: %s", (int)err, mp_error_message());
    cr_assert_not_null(strstr(mp_error_message(), "fork server"), "%s",
                       mp_error_message());
    cr_assert_not(support_has_children());
    /* Without it, the same process starts. */
    cr_assert_eq(mp_set_forkserver_preload(NULL, NULL), MP_OK);
    cr_assert_eq(mp_process_start(child), MP_OK, "%s", mp_error_message());
    cr_assert_eq(support_finish(child), 0);
}

Test(context, preload_that_fails_is_an_error_of_the_start)
{
    expect_no_server(fail_to_load, NULL, MP_EPIPE);
}

Test(context, preload_that_ends_the_server_is_an_error_of_the_start)
{
    expect_no_server(leave_while_loading, NULL, MP_EPIPE);
}

Test(context, preload_that_cannot_travel_is_an_error_of_the_start)
{
    expect_no_server(load, MP_ARGS((void *)&table), MP_EPICKLE);
}
