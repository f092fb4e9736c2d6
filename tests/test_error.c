/* SPDX-License-Identifier: MIT */
/* Codes, names, sentences, and the end that mp_check() makes. */
#include "support/methods.h"
#include "support/system.h"

#include "internal.h"
#include "os.h"

#include <stdio.h>
#include <string.h>

typedef struct entry {
    const char *name;
    int number;
    const char *text;
} entry;

#define ENTRY(name, number, text) {#name, number, text},
static const entry table[] = {MP_ERROR_TABLE(ENTRY)};
#undef ENTRY

enum { COUNT = sizeof(table) / sizeof(table[0]) };

Test(error, numbers_and_names_are_unique)
{
    for (int i = 0; i < COUNT; i++)
        for (int j = 0; j < i; j++) {
            cr_assert_neq(table[i].number, table[j].number, "%s and %s",
                          table[i].name, table[j].name);
            cr_assert_str_neq(table[i].name, table[j].name);
            cr_assert_str_neq(table[i].text, table[j].text);
        }
}

/* They never change: programs of different builds send them to each other. */
Test(error, numbers_are_those_of_the_first_release)
{
    cr_assert_eq((int)MP_OK, 0);
    cr_assert_eq((int)MP_OWNER_DIED, 1);
    cr_assert_eq((int)MP_TIMED_OUT, 2);
    cr_assert_eq((int)MP_PENDING, 3);
    cr_assert_eq((int)MP_EINVAL, -1);
    cr_assert_eq((int)MP_ENOTCHILD, -8);
    cr_assert_eq((int)MP_EGUARD, -9);
    cr_assert_eq((int)MP_EPIPE, -16);
    cr_assert_eq((int)MP_EIO, -25);
}

Test(error, every_code_has_its_name_and_meaning)
{
    for (int i = 0; i < COUNT; i++) {
        mp_error error = (mp_error)table[i].number;

        cr_assert_str_eq(mp_error_name(error), table[i].name);
        cr_assert_str_eq(mp_strerror(error), table[i].text);
    }
    cr_assert_str_eq(mp_error_name((mp_error)-1000), "MP_E?");
    cr_assert_str_eq(mp_strerror((mp_error)-1000), "unknown error");
}

Test(error, success_does_not_clear_the_sentence)
{
    mp_connection *a, *b;

    cr_assert_eq(mpi_fail(MP_EIO, "number %d", 5), MP_EIO);
    cr_assert_str_eq(mp_error_message(), "number 5");
    cr_assert_eq(mp_pipe(&a, &b, NULL), MP_OK);
    cr_assert_str_eq(mp_error_message(), "number 5");
    mp_connection_close(a);
    mp_connection_close(b);
}

Test(error, context_goes_in_front)
{
    mpi_fail(MP_EIO, "cause");
    cr_assert_eq(mpi_context(MP_EMFILE, "can't do %s", "it"), MP_EMFILE);
    cr_assert_str_eq(mp_error_message(), "can't do it: cause");
    mpi_fail(MP_EIO, "again: %s", mp_error_message());
    cr_assert_str_eq(mp_error_message(), "again: can't do it: cause");
}

Test(error, long_sentence_is_cut)
{
    char text[5000];

    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = 0;
    mpi_fail(MP_EIO, "%s", text);
    cr_assert_gt(strlen(mp_error_message()), 100);
    cr_assert_lt(strlen(mp_error_message()), 1000);
    mpi_context(MP_EIO, "%s", text);
    cr_assert_lt(strlen(mp_error_message()), 1000);
}

static mpi_atomic32 thread_result;

static void fail_in_thread(void *unused)
{
    bool was_empty = mp_error_message()[0] == 0;

    (void)unused;
    mpi_fail(MP_EIO, "in the thread");
    mpi_atomic32_store(&thread_result, was_empty ? 1 : 2);
}

Test(error, each_thread_has_its_own_sentence)
{
    mpos_thread thread;

    mpi_fail(MP_EIO, "in the test");
    cr_assert_eq(mpos_thread_start(fail_in_thread, NULL, &thread), MP_OK);
    mpos_thread_join(thread);
    cr_assert_eq(mpi_atomic32_load(&thread_result), 1, "it began empty");
    cr_assert_str_eq(mp_error_message(), "in the test");
}

/* -- mp_check -------------------------------------------------------------- */

/* Writes to the file what it says on stderr. */
static int fail_a_check(mp_args *args)
{
    if (freopen(mp_arg_str(args, 0), "w", stderr) == NULL)
        return 90;
    mp_check(MP_TIMED_OUT); /* an outcome, no failure */
    mp_check(mp_connection_close(NULL));
    if (mp_arg_bool(args, 1))
        mpi_fail(MP_EIO, "the reason");
    mp_check((mp_error)(MP_EIO + 0));
    return 91;
}

static void expect_check(mp_start_method method, bool has_reason,
                         const char *last_line)
{
    char folder[SUPPORT_PATH_SIZE], path[SUPPORT_PATH_SIZE], said[2000];
    mp_process *child;

    support_make_folder("multiproc-error", folder);
    support_join_path(folder, "errors", path);
    child = support_start(method, fail_a_check, MP_ARGS(path, has_reason));
    cr_assert_eq(mp_process_join(child, 20), MP_OK);
    cr_assert_eq(mp_process_phase(child), MP_PHASE_FINISHED);
    support_read_file(path, said, sizeof(said));
    support_remove_folder(folder);
    cr_assert_not_null(strstr(said, mp_process_name(child)), "%s", said);
    cr_assert_not_null(strstr(said, "test_error.c:"), "%s", said);
    cr_assert_not_null(strstr(said, "(mp_error)(MP_EIO + 0)"), "%s", said);
    cr_assert_not_null(strstr(said, last_line), "%s", said);
    cr_assert_eq(support_finish(child), 1);
}

METHOD_TEST(error, failed_check_ends_the_child_with_code_1_and_the_place)
{
    expect_check(method, true, "MP_EIO: the reason");
}

Test(error, check_without_a_sentence_says_what_the_code_means)
{
    expect_check(MP_START_SPAWN, false, "MP_EIO: input/output error");
}
