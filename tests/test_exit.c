/* SPDX-License-Identifier: MIT */
/* How processes end, and what they do before. */
#include "support/check.h"
#include "support/system.h"
#include "support/waiting.h"

#include "os.h"
#include "state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SAID_SIZE = 4096, TOO_LONG = 20, CODE = 3 };

/* -- A program that ends: tests/programs/ending.c -------------------------- */

static int run_ending(mp_start_method method, const char *what,
                      const char *role, const char *by, char said[SAID_SIZE])
{
    char folder[SUPPORT_PATH_SIZE], program[SUPPORT_PATH_SIZE];
    char output[SUPPORT_PATH_SIZE];
    mpos_spawn_options options = {.program = program};
    mpos_process process;
    int code = -1000;

    support_make_folder("multiproc-exit", folder);
    support_join_path(folder, "output", output);
    support_program_beside("ending", program);
    support_set_variable("ENDING_OUTPUT", output);
    support_set_variable("ENDING_WHAT", what);
    support_set_variable("ENDING_ROLE", role);
    support_set_variable("ENDING_BY", by);
    support_set_variable("ENDING_METHOD", mp_start_method_name(method));
    cr_assert_eq(mpos_spawn(&process, &options), MP_OK);
    cr_assert_eq(mpos_reap(&process, mpi_deadline(TOO_LONG), &code), MP_OK,
                 "it does not end");
    mpos_process_close(&process);
    support_read_file(output, said, SAID_SIZE);
    support_remove_folder(folder);
    return code;
}

/* Text mode of some systems. */
static void drop_carriage_returns(char *text)
{
    char *to = text;

    for (; *text != 0; text++)
        if (*text != '\r')
            *to++ = *text;
    *to = 0;
}

static void expect_order(mp_start_method method, const char *role,
                         const char *by)
{
    static const char expected[] = "the end begins\n"
                                   "the daemon runs\n"
                                   "finalizer 1, last\n"
                                   "finalizer 1, first\n"
                                   "the child is released\n"
                                   "the child ends\n"
                                   "finalizer -1\n"
                                   "the daemon has ended\n";
    char said[SAID_SIZE];
    int code = run_ending(method, "order", role, by, said);

    drop_carriage_returns(said);
    cr_assert_str_eq(said, expected);
    cr_assert_eq(code, CODE, "%d", code);
}

METHOD_TEST(exit, order_is_finalizers_daemons_children_finalizers)
{
    expect_order(method, "main", "return");
    expect_order(method, "main", "mp_exit");
    expect_order(method, "main", "exit");
    expect_order(method, "main", "finalizer");
}

METHOD_TEST(exit, order_is_the_same_in_a_child)
{
    expect_order(method, "child", "return");
    expect_order(method, "child", "mp_exit");
}

Test(exit, order_is_the_same_after_exit_in_a_spawned_child)
{
    expect_order(MP_START_SPAWN, "child", "exit");
}

METHOD_TEST(exit, buffered_output_is_written_once)
{
    static const char *const ways[] = {"return", "mp_exit"};

    for (int i = 0; i < 2; i++) {
        char said[SAID_SIZE];
        int code = run_ending(method, "text", "child", ways[i], said);

        cr_assert_eq(code, CODE);
        cr_assert_str_eq(said, "parent;child;end;");
    }
}

/* -- Exit codes ------------------------------------------------------------ */

static int return_argument(mp_args *args)
{
    return (int)mp_arg_int(args, 0);
}

static int exit_with_argument(mp_args *args)
{
    mp_exit((int)mp_arg_int(args, 0));
}

static int exit_the_c_way(mp_args *args)
{
    exit((int)mp_arg_int(args, 0));
}

METHOD_TEST(exit, code_is_cut_to_what_the_system_keeps)
{
    static const int codes[] = {0, 1, 255, 256, 257, -1, 1000};

    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        int kept = (int)((uint32_t)codes[i] & mpos_system.exit_code_mask);

        cr_assert_eq(support_run(method, return_argument, MP_ARGS(codes[i])),
                     kept);
        cr_assert_eq(support_run(method, exit_with_argument, MP_ARGS(codes[i])),
                     kept);
    }
}

METHOD_TEST(exit, call_of_exit_in_a_target_is_a_death_in_it)
{
    mp_process *child = support_start(method, exit_the_c_way, MP_ARGS(9));

    cr_assert_eq(mp_process_join(child, TOO_LONG), MP_OK);
    cr_assert_eq(mp_process_phase(child), MP_PHASE_TARGET);
    cr_assert_eq(support_finish(child), 9);
}

static int die(mp_args *args)
{
    (void)args;
    abort();
}

METHOD_TEST(exit, crash_in_a_target_is_told_by_code_and_phase)
{
    mp_process *child = support_start(method, die, NULL);
    int code = 0;

    cr_assert_eq(mp_process_join(child, TOO_LONG), MP_OK);
    cr_assert_eq(mp_process_exitcode(child, &code), MP_OK);
    cr_assert_neq(code, 0);
    cr_assert_eq(mp_process_phase(child), MP_PHASE_TARGET);
    mp_process_close(child);
}

/* -- Daemons --------------------------------------------------------------- */

static int is_daemon(mp_args *args)
{
    (void)args;
    return mp_process_is_daemon(mp_current_process()) ? 1 : 0;
}

static int run_and_add(mp_start_method method, mp_daemon daemon)
{
    mp_process_options options = {.start_method = method, .daemon = daemon};
    mp_process *child;
    int code = -1;

    mp_check(mp_process_create(&child, is_daemon, NULL, &options));
    mp_check(mp_process_start(child));
    mp_check(mp_process_join(child, MP_FOREVER));
    mp_check(mp_process_exitcode(child, &code));
    mp_check(mp_process_close(child));
    return code;
}

/* In a daemon: 1 for itself, 2 for a child that inherits it, 4 for one that
 * is to be none. */
static int run_family(mp_args *args)
{
    mp_start_method method = (mp_start_method)mp_arg_int(args, 0);

    return (mp_process_is_daemon(mp_current_process()) ? 1 : 0) +
           2 * run_and_add(method, MP_DAEMON_INHERIT) +
           4 * run_and_add(method, MP_DAEMON_NO) +
           8 * run_and_add(method, MP_DAEMON_YES);
}

METHOD_TEST(exit, daemon_may_have_children_which_are_daemons_unless_told)
{
    mp_process_options options = {.start_method = method,
                                  .daemon = MP_DAEMON_YES};
    mp_process *child;

    cr_assert_eq(
        mp_process_create(&child, run_family, MP_ARGS((int)method), &options),
        MP_OK);
    cr_assert_eq(mp_process_start(child), MP_OK, "%s", mp_error_message());
    cr_assert_eq(support_finish(child), 1 + 2 + 8);
    cr_assert_eq(support_run(method, run_family, MP_ARGS((int)method)), 8);
}

/* -- Grandchildren --------------------------------------------------------- */

/* Nobody closes it: its parent's end finds it. */
static mp_process *left_behind;

/* Starts a child that waits and returns: its end has to wait for the child. */
static int leave_child_behind(mp_args *args)
{
    mp_process_options options = {
        .start_method = (mp_start_method)mp_arg_int(args, 1),
        .daemon = mp_arg_bool(args, 2) ? MP_DAEMON_YES : MP_DAEMON_NO};

    mp_check(mp_process_create(&left_behind, say_parent_and_wait,
                               MP_ARGS(mp_arg_connection(args, 0)), &options));
    mp_check(mp_process_start(left_behind));
    return 0;
}

static mp_process *start_family(mp_start_method method, bool is_daemon_child,
                                mp_connection **ours)
{
    mp_connection *theirs;
    mp_process *child;
    mp_obj *started;

    cr_assert_eq(mp_pipe(ours, &theirs, NULL), MP_OK);
    child = support_start(method, leave_child_behind,
                          MP_ARGS(theirs, (int)method, (bool)is_daemon_child));
    cr_assert_eq(mp_connection_close(theirs), MP_OK);
    if (!is_daemon_child) {
        cr_assert_eq(mp_connection_recv(*ours, &started), MP_OK);
        mp_obj_unref(started);
    }
    return child;
}

METHOD_TEST(exit, child_waits_for_its_children)
{
    mp_connection *ours;
    mp_process *child = start_family(method, false, &ours);

    cr_assert_eq(mp_process_join(child, 0.1), MP_TIMED_OUT);
    cr_assert_eq(mp_connection_close(ours), MP_OK);
    cr_assert_eq(support_finish(child), 0);
}

METHOD_TEST(exit, child_ends_its_daemons)
{
    mp_connection *ours;
    mp_process *child = start_family(method, true, &ours);

    cr_assert_eq(support_finish(child), 0);
    cr_assert_eq(mp_connection_close(ours), MP_OK);
}

/* -- Finalizers of a forked process ---------------------------------------- */

static char *mark;

static void set_mark(void *unused)
{
    (void)unused;
    *mark = 'x';
}

METHOD_TEST(exit, child_does_not_run_its_parents_finalizers)
{
    mpos_handle memory;
    void *address;

    cr_assert_eq(mpos_memory_create(4096, 0, &memory), MP_OK);
    cr_assert_eq(
        mpos_memory_map(memory, &(mpos_extent){.size = 4096}, &address), MP_OK);
    mark = address;
    cr_assert_eq(mp_finalizer_create(NULL, set_mark, NULL, 0), MP_OK);
    cr_assert_eq(mp_finalizer_create(NULL, set_mark, NULL, -1), MP_OK);
    cr_assert_eq(support_run(method, return_zero, NULL), 0);
    cr_assert_eq(support_run(method, exit_with_argument, MP_ARGS(0)), 0);
    cr_assert_eq(*mark, 0);
}
