/* SPDX-License-Identifier: MIT */
/* The guard, every way of using it wrongly, and what a child is told. */
#include "support/check.h"
#include "support/methods.h"
#include "support/system.h"

#include "os.h"
#include "pickle.h"
#include "state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SAID_SIZE = 8192, TOO_LONG = 20 };

/* How a program of tests/programs ended and what it wrote. */
typedef struct outcome {
    int code;
    char said[SAID_SIZE];
} outcome;

static const char bootstrapping[] = "finished its bootstrapping phase";

/* -- Running tests/programs/misuse.c --------------------------------------- */

static int run_to_end(const mpos_spawn_options *options)
{
    mpos_process process;
    int code = -1000;
    mp_error err = mpos_spawn(&process, options);

    cr_assert_eq(err, MP_OK, "%s", mp_error_message());
    err = mpos_reap(&process, mpi_deadline(TOO_LONG), &code);
    cr_assert_eq(err, MP_OK, "%d", (int)err);
    mpos_process_close(&process);
    return code;
}

static void run_with(const char *mode, const mpos_spawn_options *given,
                     outcome *result)
{
    char folder[SUPPORT_PATH_SIZE], program[SUPPORT_PATH_SIZE];
    char output[SUPPORT_PATH_SIZE], child[SUPPORT_PATH_SIZE];
    mpos_spawn_options options = *given;

    support_make_folder("multiproc-guard", folder);
    support_join_path(folder, "output", output);
    support_join_path(folder, "child", child);
    support_program_beside("misuse", program);
    if (options.program == NULL)
        options.program = program;
    support_set_variable("MISUSE", mode);
    support_set_variable("MISUSE_OUTPUT", output);
    support_set_variable("MISUSE_CHILD", child);
    result->code = run_to_end(&options);
    support_read_file(output, result->said, sizeof(result->said));
    support_remove_folder(folder);
}

static void run(const char *mode, outcome *result)
{
    run_with(mode, &(mpos_spawn_options){0}, result);
}

static void expect_said(const outcome *result, const char *text)
{
    cr_assert_not_null(strstr(result->said, text), "not \"%s\" but \"%s\"",
                       text, result->said);
}

static void expect_not_said(const outcome *result, const char *text)
{
    cr_assert_null(strstr(result->said, text), "\"%s\"", result->said);
}

/* -- Starting without having passed the guard ------------------------------ */

Test(guard, program_that_passes_it_runs_targets)
{
    outcome result;

    run("", &result);
    cr_assert_eq(result.code, 0, "%d: %s", result.code, result.said);
    expect_said(&result, "the target runs");
    expect_said(&result, "child: code 0, phase 4");
}

Test(guard, missing_one_is_told_with_pythons_sentence)
{
    outcome result;

    run("no_guard", &result);
    cr_assert_eq(result.code, 1);
    expect_said(&result, "MP_EGUARD");
    expect_said(&result, bootstrapping);
    expect_said(&result, "mp_main_guard(argc, argv);");
    expect_not_said(&result, "the target runs");
    expect_not_said(&result, "the end of main");
}

Test(guard, start_above_it_fails)
{
    outcome result;

    run("above_the_guard", &result);
    cr_assert_eq(result.code, 1);
    expect_said(&result, bootstrapping);
    expect_not_said(&result, "the target runs");
}

Test(guard, start_in_a_constructor_fails)
{
    outcome result;

    run("constructor", &result);
    cr_assert_eq(result.code, 1);
    expect_said(&result, bootstrapping);
    expect_not_said(&result, "the target runs");
}

Test(guard, second_call_ends_the_program)
{
    outcome result;

    run("twice", &result);
    cr_assert_eq(result.code, 1);
    expect_said(&result, "mp_main_guard() was called twice");
    expect_not_said(&result, "the target runs");
}

Test(guard, call_in_a_target_ends_the_child)
{
    outcome result;

    run("target", &result);
    cr_assert_eq(result.code, 0);
    expect_said(&result, "Process Process-1:");
    expect_said(&result, "mp_main_guard() was called twice");
    expect_said(&result, "child: code 1, phase 4");
}

Test(guard, child_that_misses_it_fails_at_the_end_of_main)
{
    outcome result;
    char *first;

    run("child_ends", &result);
    cr_assert_eq(result.code, 0);
    expect_said(&result, bootstrapping);
    expect_said(&result, "child: code 1, phase 1");
    expect_not_said(&result, "the target runs");
    first = strstr(result.said, "the child reached the end of main");
    cr_assert_not_null(first, "%s", result.said);
    cr_assert_null(strstr(first + 1, "the child reached the end of main"),
                   "there was more than one child");
}

Test(guard, child_that_misses_it_starts_no_process)
{
    outcome result;

    run("child_starts", &result);
    cr_assert_eq(result.code, 0);
    expect_said(&result, bootstrapping);
    expect_said(&result, "child: code 1, phase 1");
    expect_not_said(&result, "reached the end of main");
}

/* -- Variables that are not ours ------------------------------------------- */

Test(guard, variable_with_garbage_ends_the_program)
{
    static const char *const garbage[] = {
        "garbage",
        "5",
        ":",
        "0:00000000000000000000000000000000",
        "-5:00000000000000000000000000000000",
        "5:0000000000000000000000000000000",
        "5:000000000000000000000000000000000",
        "5:0000000000000000000000000000000g",
        "99999999999999999999:00000000000000000000000000000000x",
    };

    for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
        outcome result;

        support_set_variable(MPI_START_VARIABLE, garbage[i]);
        run("", &result);
        cr_assert_eq(result.code, 1, "%s", garbage[i]);
        expect_said(&result, "was not set by multiproc");
        expect_not_said(&result, "the end of main");
    }
}

Test(guard, variable_that_names_no_handle_ends_the_program)
{
    outcome result;

    support_set_variable(MPI_START_VARIABLE,
                         "4000:00000000000000000000000000000000");
    run("", &result);
    cr_assert_eq(result.code, 1);
    expect_said(&result, "can't start as a child");
    expect_not_said(&result, "the end of main");
}

/* -- Start blocks ---------------------------------------------------------- */

static void make_block(mpi_block *block, mp_obj *content)
{
    mpi_transport nothing = {0};
    mpi_buffer pickle = {0};

    cr_assert_eq(mpi_pickle_dump(&pickle, content, NULL), MP_OK);
    cr_assert_eq(mpi_block_create(block, &nothing, &pickle), MP_OK);
    mpi_buffer_free(&pickle);
    mp_obj_unref(content);
}

/* Starts the program with this block; it must refuse with that sentence. */
static void expect_refused(mpi_block *block, const unsigned char *token,
                           const char *sentence)
{
    mpos_spawn_options options = {.handles = &block->memory, .handle_count = 1};
    char variable[128];
    outcome result;
    int length =
        snprintf(variable, sizeof(variable), "%s=%lld:", MPI_START_VARIABLE,
                 (long long)block->memory);

    for (int i = 0; i < MPI_TOKEN_SIZE; i++)
        length += snprintf(variable + length, sizeof(variable) - (size_t)length,
                           "%02x", token[i]);
    options.variable = variable;
    run_with("", &options, &result);
    cr_assert_eq(result.code, 1, "%d: %s", result.code, sentence);
    expect_said(&result, sentence);
    expect_not_said(&result, "the target runs");
    expect_not_said(&result, "the end of main");
    mpi_block_close(block);
}

static mp_obj *some_content(void)
{
    return MP_DICT("name", "x", "identity", "1");
}

Test(guard, block_with_another_magic_is_refused)
{
    mpi_block block;

    make_block(&block, some_content());
    block.page->magic[0]++;
    expect_refused(&block, block.page->token, "this is no start block");
}

Test(guard, block_of_another_version_is_refused)
{
    mpi_block block;

    make_block(&block, some_content());
    block.page->version++;
    expect_refused(&block, block.page->token, "version");
}

Test(guard, block_of_another_process_is_refused)
{
    unsigned char token[MPI_TOKEN_SIZE];
    mpi_block block;

    make_block(&block, some_content());
    memcpy(token, block.page->token, sizeof(token));
    token[MPI_TOKEN_SIZE - 1] ^= 1;
    expect_refused(&block, token, "for another process");
}

Test(guard, block_with_a_changed_byte_is_refused)
{
    mpi_block block;
    size_t size;
    unsigned char *pickle;

    make_block(&block, some_content());
    pickle = (unsigned char *)(uintptr_t)mpi_block_pickle(&block, &size);
    pickle[size - 1] ^= 1;
    expect_refused(&block, block.page->token, "damaged");
}

Test(guard, block_cut_short_is_refused)
{
    static const uint64_t sizes[] = {100000, UINT64_MAX, UINT64_MAX - 80,
                                     (uint64_t)INT64_MAX};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        mpi_block block;

        make_block(&block, some_content());
        block.page->pickle_size = sizes[i];
        expect_refused(&block, block.page->token, "cut short");
    }
}

Test(guard, block_with_too_many_handles_is_refused)
{
    static const uint32_t counts[] = {100000, UINT32_MAX, 1u << 29};

    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        mpi_block block;

        make_block(&block, some_content());
        block.page->handle_count = counts[i];
        expect_refused(&block, block.page->token, "cut short");
    }
}

Test(guard, block_without_content_is_refused)
{
    mpi_block block;

    make_block(&block, some_content());
    memset(block.page, 0, sizeof(*block.page));
    expect_refused(&block, block.page->token, "this is no start block");
}

Test(guard, block_with_another_object_in_it_is_refused)
{
    mp_obj *contents[] = {MP_BOX(5),          MP_NONE,
                          MP_LIST(1, 2),      MP_DICT(),
                          MP_DICT("name", 5), some_content()};

    for (size_t i = 0; i < sizeof(contents) / sizeof(contents[0]); i++) {
        mpi_block block;

        make_block(&block, contents[i]);
        expect_refused(&block, block.page->token, "can't start: ");
    }
}

/* -- Which program --------------------------------------------------------- */

static int return_argument(mp_args *args)
{
    return (int)mp_arg_int(args, 0);
}

static mp_process *describe(mp_start_method method, int code)
{
    mp_process_options options = {.start_method = method};
    mp_process *child = NULL;

    cr_assert_eq(
        mp_process_create(&child, return_argument, MP_ARGS(code), &options),
        MP_OK);
    return child;
}

/* Starting fails, says so, and can be tried again with the right program. */
static void expect_no_start(mp_start_method method, const char *program,
                            mp_error expected)
{
    mp_process *child = describe(method, 4);
    mp_error err;

    cr_assert_eq(mp_set_executable(program), MP_OK);
    err = mp_process_start(child);
    if (support_has_no_vfork() && err == MP_OK) {
        cr_assert_eq(support_finish(child), 127);
        return;
    }
    cr_assert_eq(err, expected, "%d: %s", (int)err, mp_error_message());
    cr_assert_not_null(strstr(mp_error_message(), program), "%s",
                       mp_error_message());
    cr_assert_not(support_has_children());
    cr_assert_eq(mp_set_executable(NULL), MP_OK);
    cr_assert_eq(mp_process_start(child), MP_OK, "%s", mp_error_message());
    cr_assert_eq(support_finish(child), 4);
}

Test(guard, executable_that_is_missing_fails_the_start)
{
    char path[SUPPORT_PATH_SIZE];

    support_program_beside("no-such-program", path);
    expect_no_start(MP_START_SPAWN, path, MP_ENOTFOUND);
}

Test(guard, executable_that_is_no_program_fails_the_start)
{
    char folder[SUPPORT_PATH_SIZE], path[SUPPORT_PATH_SIZE];
    FILE *file;

    support_make_folder("multiproc-guard", folder);
    support_join_path(folder, "text.exe", path);
    file = fopen(path, "w");
    cr_assert_not_null(file);
    fputs("text\n", file);
    fclose(file);
    expect_no_start(MP_START_SPAWN, path, MP_EACCES);
    support_remove_folder(folder);
}

Test(guard, executable_without_a_guard_is_told_by_the_phase)
{
    mp_process *child = describe(MP_START_SPAWN, 4);
    char path[SUPPORT_PATH_SIZE];

    support_program_beside("no_guard", path);
    cr_assert_eq(mp_set_executable(path), MP_OK);
    cr_assert_eq(mp_process_start(child), MP_OK, "%s", mp_error_message());
    cr_assert_eq(mp_process_join(child, TOO_LONG), MP_OK);
    cr_assert_eq(mp_process_phase(child), MP_PHASE_STARTED);
    cr_assert_eq(support_finish(child), 6);
}

/* A copy of this very program: its targets are found there, too. */
METHOD_TEST(guard, program_may_have_any_unicode_path)
{
    char folder[SUPPORT_PATH_SIZE], path[SUPPORT_PATH_SIZE];
    char *own;

    cr_assert_eq(mpos_program_path(&own), MP_OK);
    support_make_folder("multiproc-hé-日本 x", folder);
    support_join_path(folder, "wörk-日本.exe", path);
    cr_assert(support_copy_program(own, path));
    cr_assert_eq(mp_set_executable(path), MP_OK);
    cr_assert_eq(support_run(method, return_argument, MP_ARGS(9)), 9);
    if (mpos_system.has_fork)
        mpi_forkserver_stop();
    support_remove_folder(folder);
    free(own);
}

static int compare_directory(mp_args *args)
{
    bool is_same;
    char *path;

    if (mpos_working_directory(&path) != MP_OK)
        return 1;
    is_same = strcmp(path, mp_arg_str(args, 0)) == 0;
    free(path);
    return is_same ? 0 : 2;
}

METHOD_TEST(guard, child_is_in_its_parents_directory)
{
    char folder[SUPPORT_PATH_SIZE];
    char *before, *path;

    cr_assert_eq(mpos_working_directory(&before), MP_OK);
    /* A fork server that was started elsewhere. */
    cr_assert_eq(support_run(method, compare_directory, MP_ARGS(before)), 0);
    support_make_folder("multiproc-hé-日本 x", folder);
    cr_assert_eq(mpos_change_directory(folder), MP_OK);
    cr_assert_eq(mpos_working_directory(&path), MP_OK);
    cr_assert_str_neq(path, before);
    cr_assert_eq(support_run(method, compare_directory, MP_ARGS(path)), 0);
    cr_assert_eq(mpos_change_directory(before), MP_OK);
    if (mpos_system.has_fork)
        mpi_forkserver_stop();
    support_remove_folder(folder);
    free(before);
    free(path);
}

/* -- The command line ------------------------------------------------------ */

static mp_obj *own_arguments(void)
{
    mp_obj *list = mp_obj_list(NULL, 0);

    for (int i = 0; i < mpi_state.argc; i++)
        mp_obj_append(list, mp_obj_str(mpi_state.argv[i]));
    return list;
}

static int compare_arguments(mp_args *args)
{
    mp_obj *own = own_arguments();
    bool are_equal = mp_obj_equal(own, mp_arg_obj(args, 0));

    mp_obj_unref(own);
    return are_equal ? 0 : 1;
}

METHOD_TEST(guard, child_has_its_parents_command_line)
{
    cr_assert_gt(mpi_state.argc, 0);
    cr_assert_eq(
        support_run(method, compare_arguments, MP_ARGS(own_arguments())), 0);
}

Test(guard, code_above_it_sees_the_same_command_line)
{
    char line[SUPPORT_PATH_SIZE + 64], program[SUPPORT_PATH_SIZE];
    outcome result;
    char *first;

    support_program_beside("misuse", program);
    run("arguments", &result);
    cr_assert_eq(result.code, 0);
    snprintf(line, sizeof(line), "argument 0 of 1: %s", program);
    first = strstr(result.said, line);
    cr_assert_not_null(first, "%s", result.said);
    cr_assert_not_null(strstr(first + 1, line), "%s", result.said);
}
