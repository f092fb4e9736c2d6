/* SPDX-License-Identifier: MIT */
/* What processes are beyond this library: descriptors, pids, signals. */
#include "support/check.h"
#include "support/methods.h"

#include "os.h"
#include "state.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* -- Targets --------------------------------------------------------------- */

static int wait_for_end(mp_args *args)
{
    mp_obj *ignored;

    while (mp_connection_recv(mp_arg_connection(args, 0), &ignored) == MP_OK)
        mp_obj_unref(ignored);
    return 3;
}

static int raise_argument(mp_args *args)
{
    raise((int)mp_arg_int(args, 0));
    return 0;
}

static mp_process *start_waiting(mp_start_method method, mp_connection **ours)
{
    mp_connection *theirs;
    mp_process *child;

    cr_assert_eq(mp_pipe(ours, &theirs, NULL), MP_OK);
    child = support_start(method, wait_for_end, MP_ARGS(theirs));
    mp_connection_close(theirs);
    return child;
}

/* -- Tests ----------------------------------------------------------------- */

METHOD_TEST(process_posix, sentinel_can_be_polled)
{
    struct pollfd polled = {.events = POLLIN};
    mp_connection *ours;
    mp_process *child = start_waiting(method, &ours);
    mp_handle sentinel;

    cr_assert_eq(mp_process_sentinel(child, &sentinel), MP_OK);
    polled.fd = (int)sentinel;
    cr_assert_eq(poll(&polled, 1, 0), 0);
    mp_connection_close(ours);
    cr_assert_eq(poll(&polled, 1, 20000), 1);
    cr_assert_eq(mp_process_join(child, 20), MP_OK);
    cr_assert_geq(fcntl(polled.fd, F_GETFD), 0, "its owner is the object");
    cr_assert_eq(support_finish(child), 3);
    cr_assert_lt(fcntl(polled.fd, F_GETFD), 0, "closed with it");
}

METHOD_TEST(process_posix, signal_that_ended_it_is_a_negative_code)
{
    static const int signals[] = {SIGTERM, SIGKILL, SIGUSR1, SIGALRM, SIGPIPE};

    for (int i = 0; i < 5; i++)
        cr_assert_eq(support_run(method, raise_argument, MP_ARGS(signals[i])),
                     -signals[i]);
}

METHOD_TEST(process_posix, interrupt_ends_a_child_with_minus_2)
{
    mp_connection *ours;
    mp_process *child = start_waiting(method, &ours);

    while (mp_process_phase(child) < MP_PHASE_TARGET)
        mp_sleep(0.0005);
    cr_assert_eq(mp_process_interrupt(child), MP_OK);
    cr_assert_eq(support_finish(child), -SIGINT);
    mp_connection_close(ours);
}

/* Somebody's wait() takes what is ours: its own word counts. */
METHOD_TEST(process_posix, code_that_somebody_else_collected_is_not_lost)
{
    mp_connection *ours;
    mp_process *child = start_waiting(method, &ours);

    mp_connection_close(ours);
    if (method != MP_START_FORKSERVER)
        cr_assert_eq(waitpid((pid_t)mp_process_pid(child), NULL, 0),
                     (pid_t)mp_process_pid(child));
    cr_assert_eq(support_finish(child), 3);
}

METHOD_TEST(process_posix, code_of_a_killed_child_that_somebody_else_collected)
{
    mp_connection *ours;
    mp_process *child;
    int code = 42;

    if (method == MP_START_FORKSERVER)
        cr_skip_test("the fork server collects it");
    child = start_waiting(method, &ours);
    cr_assert_eq(mp_process_kill(child), MP_OK);
    cr_assert_eq(waitpid((pid_t)mp_process_pid(child), NULL, 0),
                 (pid_t)mp_process_pid(child));
    cr_assert_eq(mp_process_join(child, 20), MP_OK);
    cr_assert_eq(mp_process_exitcode(child, &code), MP_ENOTFOUND);
    cr_assert_eq(code, 42);
    cr_assert_not(mp_process_is_alive(child));
    cr_assert_eq(mp_process_close(child), MP_OK);
    mp_connection_close(ours);
}

/* As where a program ignores SIGCHLD: the system reaps. */
METHOD_TEST(process_posix, children_work_where_sigchld_is_ignored)
{
    mp_connection *ours;
    mp_process *child;

    signal(SIGCHLD, SIG_IGN);
    child = start_waiting(method, &ours);
    mp_connection_close(ours);
    cr_assert_eq(support_finish(child), 3);
    signal(SIGCHLD, SIG_DFL);
}

/* A foreign fork(): objects of the parent are not the child's. */
METHOD_TEST(process_posix, foreign_fork_has_no_children_of_ours)
{
    mp_connection *ours;
    mp_process *child = start_waiting(method, &ours);
    int status = -1;
    pid_t pid = fork();

    if (pid == 0)
        _exit(mp_process_join(child, 0) == MP_ENOTCHILD &&
                      mp_process_terminate(child) == MP_ENOTCHILD &&
                      mp_process_exitcode(child, NULL) == MP_ENOTCHILD &&
                      !mp_process_is_alive(child)
                  ? 0
                  : 1);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(status, 0);
    cr_assert(mp_process_is_alive(child));
    mp_connection_close(ours);
    cr_assert_eq(support_finish(child), 3);
}

static int return_argument(mp_args *args)
{
    return (int)mp_arg_int(args, 0);
}

/* As daemon() does: the copy is a process like any other, with children of its
 * own, which it awaits. */
METHOD_TEST(process_posix, foreign_fork_can_have_children_of_its_own)
{
    mp_connection *ours;
    mp_process *child = start_waiting(method, &ours);
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        int code = support_run(method, return_argument, MP_ARGS(42));

        mp_exit(code == 42 ? 7 : 1);
    }
    for (int i = 0; i < 20; i++)
        cr_assert_eq(support_run(method, return_argument, MP_ARGS(i)), i);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(status, 7 << 8);
    cr_assert(mp_process_is_alive(child));
    mp_connection_close(ours);
    cr_assert_eq(support_finish(child), 3);
}

static int block_and_wait(mp_args *args)
{
    signal(SIGTERM, SIG_IGN);
    mp_check(mp_connection_send(mp_arg_connection(args, 0), MP_BOX(1)));
    return wait_for_end(args);
}

/* Starts a daemon that takes no notice of SIGTERM, and returns. */
static int leave_stubborn_daemon(mp_args *args)
{
    mp_process_options options = {
        .start_method = (mp_start_method)mp_arg_int(args, 0),
        .daemon = MP_DAEMON_YES,
    };
    mp_connection *ours, *theirs;
    mp_process *daemon;
    mp_obj *ready;

    mp_check(mp_pipe(&ours, &theirs, NULL));
    mp_check(
        mp_process_create(&daemon, block_and_wait, MP_ARGS(theirs), &options));
    mp_check(mp_process_start(daemon));
    mp_check(mp_connection_recv(ours, &ready));
    mp_obj_unref(ready);
    return 4;
}

METHOD_TEST(process_posix, daemon_that_ignores_sigterm_does_not_keep_its_parent)
{
    double before = mp_monotonic();

    cr_assert_eq(
        support_run(method, leave_stubborn_daemon, MP_ARGS((int)method)), 4);
    cr_assert_lt(mp_monotonic() - before, 10);
}

/* What a program does that becomes a daemon by closing all it has. */
METHOD_TEST(process_posix, start_works_after_all_descriptors_were_closed)
{
    cr_assert_eq(support_run(method, return_argument, MP_ARGS(1)), 1);
    if (fork() == 0) {
        int code;

        for (int fd = 3; fd < 1024; fd++)
            close(fd);
        code = support_run(method, return_argument, MP_ARGS(42));
        mp_exit(code == 42 ? 7 : 1);
    } else {
        int status = -1;

        cr_assert_gt(wait(&status), 0);
        cr_assert_eq(status, 7 << 8);
    }
}
