/* SPDX-License-Identifier: MIT */
/*
 * Children of a process whose surroundings have changed under it: standard
 * streams closed, its folder or its own file deleted. Windows does not let
 * that happen, or shows it in another way.
 */
#include "programs/plugin.h"
#include "support/check.h"
#include "support/methods.h"
#include "support/system.h"

#include "os.h"
#include "state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* -- Helpers --------------------------------------------------------------- */

/* Executes programs/misuse.c with some standard streams closed, those whose
 * bit is set; gives its exit code. */
static int run_without_streams(const char *program, int streams)
{
    char *const arguments[] = {(char *)(uintptr_t)program, NULL};
    int status = 0;
    pid_t pid = fork();

    cr_assert_geq(pid, 0);
    if (pid == 0) {
        for (int i = 0; i < 3; i++)
            if (streams >> i & 1)
                close(i);
        execv(program, arguments);
        _exit(126);
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* A copy of programs/misuse.c, which may lose its file. */
static void run_copy(const char *mode, mp_start_method method)
{
    char folder[SUPPORT_PATH_SIZE], program[SUPPORT_PATH_SIZE];
    char copy[SUPPORT_PATH_SIZE], output[SUPPORT_PATH_SIZE];
    char said[4096];
    int code;

    support_make_folder("multiproc-guard", folder);
    support_join_path(folder, "misuse", copy);
    support_join_path(folder, "output", output);
    support_program_beside("misuse", program);
    cr_assert(support_copy_program(program, copy));
    support_set_variable("MISUSE", mode);
    support_set_variable("MISUSE_METHOD", mp_start_method_name(method));
    support_set_variable("MISUSE_OUTPUT", output);
    code = run_without_streams(copy, 0);
    support_read_file(output, said, sizeof(said));
    support_remove_folder(folder);
    cr_assert_eq(code, 0, "%d: %s", code, said);
    cr_assert_not_null(strstr(said, "child: code 0, phase 4"), "%s", said);
}

/* -- Targets --------------------------------------------------------------- */

static int return_argument(mp_args *args)
{
    return (int)mp_arg_int(args, 0);
}

static int compare_arguments(mp_args *args)
{
    const mp_obj *expected = mp_arg_obj(args, 0);

    for (int i = 0; i < mpi_state.argc; i++) {
        const mp_obj *item;
        const char *text;

        if (mp_obj_item(expected, i, &item) != MP_OK ||
            mp_obj_as_str(item, &text, NULL) != MP_OK ||
            strcmp(text, mpi_state.argv[i]) != 0)
            return 1;
    }
    return mpi_state.argc;
}

/* -- Tests ----------------------------------------------------------------- */

METHOD_TEST(guard_posix, children_run_whichever_standard_streams_are_closed)
{
    char program[SUPPORT_PATH_SIZE];

    support_program_beside("misuse", program);
    support_set_variable("MISUSE", "streams");
    support_set_variable("MISUSE_METHOD", mp_start_method_name(method));
    for (int streams = 0; streams < 8; streams++) {
        int code = run_without_streams(program, streams);

        cr_assert_eq(code, 0, "exit code %d with closed streams %d", code,
                     streams);
    }
}

METHOD_TEST(guard_posix, deleted_program_goes_on_starting_children)
{
    run_copy("deleted", method);
}

METHOD_TEST(guard_posix, renamed_program_goes_on_starting_children)
{
    run_copy("renamed", method);
}

METHOD_TEST(guard_posix, replaced_program_goes_on_starting_children)
{
    run_copy("replaced", method);
}

METHOD_TEST(guard_posix, deleted_working_directory_does_not_matter)
{
    char folder[SUPPORT_PATH_SIZE];

    cr_assert_eq(support_run(method, return_argument, MP_ARGS(4)), 4);
    support_make_folder("multiproc-guard", folder);
    cr_assert_eq(chdir(folder), 0);
    support_remove_folder(folder);
    cr_assert_eq(support_run(method, return_argument, MP_ARGS(5)), 5);
    mpi_forkserver_stop();
    cr_assert_eq(support_run(method, return_argument, MP_ARGS(6)), 6);
    cr_assert_eq(chdir("/"), 0);
}

METHOD_TEST(guard_posix, directory_need_not_be_utf8)
{
    char folder[SUPPORT_PATH_SIZE];

    support_make_folder("multiproc-\xe9\xff", folder);
    cr_assert_eq(chdir(folder), 0);
    cr_assert_eq(support_run(method, return_argument, MP_ARGS(5)), 5);
    cr_assert_eq(chdir("/"), 0);
    mpi_forkserver_stop();
    support_remove_folder(folder);
}

/* Including words that mean something to Python's or to our children. */
METHOD_TEST(guard_posix, arguments_may_be_anything)
{
    static char *argv[] = {"prog",
                           "MULTIPROC_START=3:00000000000000000000000000000000",
                           "--multiprocessing-fork",
                           "",
                           "hé 日本 \"quoted\" $HOME\n",
                           NULL};

    mpi_state.argc = 5;
    mpi_state.argv = argv;
    cr_assert_eq(support_run(method, compare_arguments,
                             MP_ARGS(MP_LIST(argv[0], argv[1], argv[2], argv[3],
                                             argv[4]))),
                 5);
}

static bool has_plugin(void)
{
#ifdef SUPPORT_HAS_PLUGIN
    return true;
#else
    return false;
#endif
}

Test(guard_posix, worker_runs_the_functions_of_a_plugin)
{
    const char *worker = getenv("MULTIPROC_TEST_WORKER");
    const mp_start_method methods[] = {MP_START_SPAWN, MP_START_FORKSERVER};

    if (!has_plugin())
        cr_skip_test("a static program has no libraries");
    if (worker == NULL)
        cr_skip_test("MULTIPROC_TEST_WORKER does not name multiproc-worker");
    cr_assert_eq(mp_set_executable(worker), MP_OK);
    for (int i = 0; i < 2; i++) {
        mp_process_options options = {.start_method = methods[i]};
        mp_process *child;

        cr_assert_eq(mp_process_create(&child, plugin_answer, NULL, &options),
                     MP_OK);
        cr_assert_eq(mp_process_start(child), MP_OK, "%s", mp_error_message());
        cr_assert_eq(support_finish(child), 77);
    }
}

Test(guard_posix, worker_refuses_functions_of_a_program_it_is_not)
{
    const char *worker = getenv("MULTIPROC_TEST_WORKER");
    mp_process *child;

    if (worker == NULL)
        cr_skip_test("MULTIPROC_TEST_WORKER does not name multiproc-worker");
    cr_assert_eq(mp_set_executable(worker), MP_OK);
    child = support_start(MP_START_SPAWN, return_argument, MP_ARGS(0));
    cr_assert_eq(mp_process_join(child, 20), MP_OK);
    cr_assert_eq(mp_process_phase(child), MP_PHASE_BOOT, "%d",
                 (int)mp_process_phase(child));
    cr_assert_eq(support_finish(child), 1);
}
