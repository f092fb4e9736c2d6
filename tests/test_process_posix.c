/* SPDX-License-Identifier: MIT */
/* What processes are beyond this library: descriptors, pids, signals. */
#include "support/check.h"
#include "support/threads.h"
#include "support/waiting.h"

#include "os.h"
#include "state.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* -- Targets --------------------------------------------------------------- */

static int raise_argument(mp_args *args)
{
    raise((int)mp_arg_int(args, 0));
    return 0;
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

/* The fork server that runs is lost with them, and there is a new one. */
static int start_close_and_start(mp_args *args)
{
    mp_start_method method = (mp_start_method)mp_arg_int(args, 0);
    int opened = (int)mp_arg_int(args, 1);

    if (support_run(method, return_argument, MP_ARGS(41)) != 41)
        return 1;
    for (int fd = 3; fd < 1024; fd++)
        close(fd);
    /* The numbers may be somebody's already, or be nobody's. */
    for (int i = 0; i < opened; i++)
        mp_check(open("/dev/null", O_RDONLY) >= 0 ? MP_OK : MP_EIO);
    if (support_run(method, return_argument, MP_ARGS(42)) != 42)
        return 2;
    return support_run(method, return_argument, MP_ARGS(43)) == 43 ? 7 : 3;
}

METHOD_TEST(process_posix, start_works_again_after_descriptors_were_closed)
{
    for (int opened = 0; opened < 3; opened++)
        cr_assert_eq(support_run(MP_START_SPAWN, start_close_and_start,
                                 MP_ARGS((int)method, opened)),
                     7, "%d opened", opened);
}

static int tell_parent(mp_args *args)
{
    mp_check(mp_connection_send(mp_arg_connection(args, 0),
                                MP_BOX((int64_t)getppid())));
    return 0;
}

/* The server is stopped: its process does not wait for it when it ends. */
static int stop_server_and_leave(mp_args *args)
{
    mp_connection *ours, *theirs;
    mp_process *child;
    mp_obj *pid;
    int64_t server;

    (void)args;
    mp_check(mp_pipe(&ours, &theirs, NULL));
    child = support_start(MP_START_FORKSERVER, tell_parent, MP_ARGS(theirs));
    mp_check(mp_connection_recv(ours, &pid));
    mp_check(mp_obj_as_int(pid, &server));
    mp_obj_unref(pid);
    if (support_finish(child) != 0)
        return 1;
    return kill((pid_t)server, SIGSTOP) == 0 ? 7 : 2;
}

Test(process_posix, server_that_is_stopped_does_not_keep_its_process)
{
    double before = mp_monotonic();

    cr_assert_eq(support_run(MP_START_SPAWN, stop_server_and_leave, NULL), 7);
    cr_assert_lt(mp_monotonic() - before, 10);
}

/* -- Output ---------------------------------------------------------------- */

enum { PRINTED = 40000, FORKS = 40 };

static void print_much(void *unused)
{
    (void)unused;
    for (int i = 0; i < PRINTED; i++)
        putchar('.');
}

static int do_nothing(mp_args *args)
{
    (void)args;
    return 0;
}

/* Standard output is a file; sends its size in the end. */
static int print_and_fork(mp_args *args)
{
    FILE *file = tmpfile();
    struct stat status;
    mpos_thread printer;

    if (file == NULL || dup2(fileno(file), STDOUT_FILENO) < 0)
        return 1;
    for (int i = 0; i < FORKS; i++) {
        support_start_threads(&printer, 1, print_much, NULL);
        if (support_run(MP_START_FORK, do_nothing, NULL) != 0)
            return 2;
        support_join_threads(&printer, 1);
    }
    fflush(stdout);
    if (fstat(fileno(file), &status) != 0)
        return 3;
    mp_check(mp_connection_send(mp_arg_connection(args, 0),
                                MP_BOX((int64_t)status.st_size)));
    return 0;
}

Test(process_posix, what_a_thread_prints_while_another_forks_is_printed_once)
{
    mp_connection *ours, *theirs;
    mp_process *child;
    mp_obj *size;
    int64_t printed;

    if (support_has_no_vfork())
        cr_skip_test("TSan: a fork joins no thread of its parent's, a leak");
    cr_assert_eq(mp_pipe(&ours, &theirs, NULL), MP_OK);
    child = support_start(MP_START_SPAWN, print_and_fork, MP_ARGS(theirs));
    mp_connection_close(theirs);
    cr_assert_eq(mp_connection_recv(ours, &size), MP_OK);
    cr_assert_eq(mp_obj_as_int(size, &printed), MP_OK);
    mp_obj_unref(size);
    mp_connection_close(ours);
    cr_assert_eq(support_finish(child), 0);
    cr_assert_eq(printed, (int64_t)PRINTED * FORKS);
}
