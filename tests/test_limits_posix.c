/* SPDX-License-Identifier: MIT */
/*
 * Starting where the system has no more to give: an error with a sentence,
 * nothing left behind, and all is well again once there is room.
 */
#include "support/check.h"
#include "support/methods.h"
#include "support/system.h"

#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    DESCRIPTORS = 64, /* of which a start needs less than half */
    NOBODY = 54321,   /* a user that runs nothing else */
};

static int return_argument(mp_args *args)
{
    return (int)mp_arg_int(args, 0);
}

/* -- Trying ---------------------------------------------------------------- */

/* True: it was started, and ended as it should. */
static bool try_start(mp_start_method method, mp_error expected)
{
    mp_process_options options = {.start_method = method};
    size_t before = support_open_handles();
    mp_process *process = NULL;
    mp_error err;

    err = mp_process_create(&process, return_argument, MP_ARGS(7), &options);
    cr_assert_eq(err, MP_OK, "%s", mp_error_message());
    err = mp_process_start(process);
    if (err == MP_OK) {
        cr_assert_eq(support_finish(process), 7);
        return true;
    }
    cr_assert_eq(err, expected, "%s: %s", mp_error_name(err),
                 mp_error_message());
    cr_assert_not_null(strstr(mp_error_message(), mp_process_name(process)));
    cr_assert_gt(strlen(mp_error_message()), 20U, "%s", mp_error_message());
    cr_assert_eq(mp_process_pid(process), 0);
    cr_assert_eq(mp_process_close(process), MP_OK);
    /* Fewer: the spare start block is not kept after a failure. */
    cr_assert_leq(support_open_handles(), before, "%s", mp_error_message());
    return false;
}

/* The soft limit becomes value; returns what it was. */
static rlim_t change(struct rlimit *limit, rlim_t value)
{
    rlim_t before = limit->rlim_cur;

    if (support_has_valgrind())
        cr_skip_test("valgrind does not keep to limits");
    limit->rlim_cur = value;
    return before;
}

static rlim_t limit_descriptors(rlim_t value)
{
    struct rlimit limit;
    rlim_t before;

    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    before = change(&limit, value);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return before;
}

static rlim_t limit_processes(rlim_t value)
{
    struct rlimit limit;
    rlim_t before;

    cr_assert_eq(getrlimit(RLIMIT_NPROC, &limit), 0);
    before = change(&limit, value);
    cr_assert_eq(setrlimit(RLIMIT_NPROC, &limit), 0);
    return before;
}

/* -- Descriptors ----------------------------------------------------------- */

/* Starts with no descriptor left, then with one, and so on until it works;
 * returns how often it did not. */
static int start_with_ever_more(mp_start_method method)
{
    int taken[DESCRIPTORS];
    int count = 0;
    int failures = 0;

    while (count < DESCRIPTORS && (taken[count] = dup(2)) >= 0)
        count++;
    while (!try_start(method, MP_EMFILE)) {
        failures++;
        cr_assert_gt(count, 0, "no room is ever enough");
        close(taken[--count]);
    }
    while (count > 0)
        close(taken[--count]);
    return failures;
}

METHOD_TEST(limits, start_without_descriptors_fails_and_leaves_nothing)
{
    rlim_t before = limit_descriptors(DESCRIPTORS);
    int failures = start_with_ever_more(method);

    limit_descriptors(before);
    /* Fork takes no more than what stands for the child. */
    cr_assert_geq(failures, method == MP_START_FORK ? 1 : 2);
    cr_assert_eq(support_run(method, return_argument, MP_ARGS(9)), 9);
    if (method != MP_START_FORKSERVER)
        cr_assert_not(support_has_children());
}

METHOD_TEST(limits, later_start_without_descriptors_fails_and_leaves_nothing)
{
    size_t handles;
    rlim_t before;

    /* What is opened once is open by then, the fork server runs. */
    cr_assert_eq(support_run(method, return_argument, MP_ARGS(8)), 8);
    handles = support_open_handles();
    before = limit_descriptors(DESCRIPTORS);
    /* At least for what stands for the child: the spare block is there. */
    cr_assert_geq(start_with_ever_more(method), 1);
    limit_descriptors(before);
    cr_assert_eq(support_run(method, return_argument, MP_ARGS(9)), 9);
    cr_assert_eq(support_open_handles(), handles);
}

/* -- Processes ------------------------------------------------------------- */

/* Root may have as many as there are. */
static void become_nobody(void)
{
    char path[SUPPORT_PATH_SIZE];

    if (geteuid() == 0)
        cr_assert_eq(setuid(NOBODY), 0);
    support_program_beside("test_limits_posix", path);
    if (access(path, X_OK) != 0)
        cr_skip_test("other users can't execute this program");
}

METHOD_TEST(limits, start_without_processes_fails_and_leaves_nothing)
{
    rlim_t before;

    become_nobody();
    before = limit_processes(1);
    cr_assert_not(try_start(method, MP_EPROCLIM));
    cr_assert_not(support_has_children());
    cr_assert_not(try_start(method, MP_EPROCLIM));
    cr_assert_not(support_has_children());
    limit_processes(before);
    cr_assert_eq(support_run(method, return_argument, MP_ARGS(9)), 9);
}
