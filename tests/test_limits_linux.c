/* SPDX-License-Identifier: MIT */
/*
 * Linux that gives less than it could: system calls refused by a filter, /proc
 * absent, of other processes or misleading, a fork server that has reached its
 * limits.
 */
#include "os.h"

#include "support/check.h"
#include "support/expect.h"
#include "support/leftover.h"
#include "support/methods.h"
#include "support/refuse_linux.h"
#include "support/system.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECONDS(n) ((int64_t)(n)*1000000000)

enum { NOBODY = 54321 };

static int return_argument(mp_args *args)
{
    return (int)mp_arg_int(args, 0);
}

/* -- Refused system calls -------------------------------------------------- */

static void fork_that_waits(mpos_process *child, mpos_handle reader,
                            mpos_handle writer)
{
    bool is_child;
    char byte;
    size_t got;

    ok(mpos_fork(child, &is_child));
    if (!is_child)
        return;
    mpos_close(writer);
    (void)mpos_read(reader, &byte, 1, &got);
    mpos_exit(5);
}

static bool is_socket(mpos_handle handle)
{
    struct stat status;

    return fstat((int)handle, &status) == 0 && S_ISSOCK(status.st_mode);
}

static void check_seam(void)
{
    mpos_handle reader, writer;
    mpos_process child;
    mpos_process same = {0};
    int code = 42;

    ok(mpos_pipe(&reader, &writer));
    fork_that_waits(&child, reader, writer);
    cr_assert(is_socket(child.sentinel), "it is not a pidfd");
    ok(mpos_attach(&same, child.pid, 0));
    cr_assert_eq(mpos_reap(&child, 0, &code), MP_TIMED_OUT);
    ok(mpos_send_signal(&same, MPOS_TERMINATE));
    cr_assert_eq(mpos_reap(&same, mpos_now() + SECONDS(20), &code),
                 MP_ENOTFOUND);
    ok(mpos_reap(&child, mpos_now() + SECONDS(20), &code));
    cr_assert_eq(code, -SIGTERM);
    mpos_process_close(&same);
    mpos_process_close(&child);
    fork_that_waits(&child, reader, writer);
    mpos_close(writer);
    ok(mpos_reap(&child, mpos_now() + SECONDS(20), &code));
    cr_assert_eq(code, 5);
    mpos_process_close(&child);
    mpos_close(reader);
}

static void check_memory(void)
{
    mpos_handle memory;
    void *address;

    ok(mpos_memory_create(100, 0, &memory));
    ok(mpos_memory_map(memory, &(mpos_extent){.size = 100}, &address));
    memset(address, 1, 100);
    mpos_memory_unmap(address, 100);
    mpos_close(memory);
    cr_assert_eq(support_memory_names(), 0U);
}

/* Only now: what a container refuses, it refuses from the beginning. */
static void refuse_or_skip(int error)
{
    if (!support_refuse_calls(error))
        cr_skip_test("there are no filters of system calls here");
}

Test(refused, calls_unknown_to_the_kernel_are_done_without)
{
    refuse_or_skip(ENOSYS);
    check_seam();
    check_memory();
}

Test(refused, calls_forbidden_in_a_container_are_done_without)
{
    refuse_or_skip(EPERM);
    check_seam();
    check_memory();
}

METHOD_TEST(refused, children_start_and_end_all_the_same)
{
    mp_process *children[8];
    size_t handles;

    refuse_or_skip(EPERM);
    cr_assert_eq(support_run(method, return_argument, MP_ARGS(1)), 1);
    handles = support_open_handles();
    for (int i = 0; i < 8; i++)
        children[i] = support_start(method, return_argument, MP_ARGS(i));
    for (int i = 0; i < 8; i++)
        cr_assert_eq(support_finish(children[i]), i);
    cr_assert_eq(support_open_handles(), handles);
}

/* -- /proc ----------------------------------------------------------------- */

/* In namespaces of its own this process may do as it likes. */
static bool enter_namespaces(int which)
{
    return unshare(which) == 0 || unshare(which | CLONE_NEWUSER) == 0;
}

/* Only where AddressSanitizer is built in. In the end it looks for leaks, by
 * /proc and from a process that it starts. */
extern void __asan_init(void) __attribute__((__weak__));

static bool is_watched(void)
{
    return support_has_valgrind() || __asan_init != NULL;
}

static void hide_proc_or_skip(void)
{
    if (is_watched())
        cr_skip_test("what watches this program needs /proc itself");
    if (!enter_namespaces(CLONE_NEWNS) ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", "/proc", "tmpfs", 0, NULL) != 0)
        cr_skip_test("this user can't hide /proc");
    cr_assert_neq(access("/proc/self", F_OK), 0);
}

static int start_grandchild(mp_args *args)
{
    mp_start_method method = (mp_start_method)mp_arg_int(args, 0);
    mp_process_options options = {.start_method = method};
    mp_process *process;
    int code = 99;

    if (!mp_process_is_alive(mp_parent_process()))
        return 98;
    mp_check(
        mp_process_create(&process, return_argument, MP_ARGS(23), &options));
    mp_check(mp_process_start(process));
    mp_check(mp_process_join(process, 20));
    mp_check(mp_process_exitcode(process, &code));
    mp_check(mp_process_close(process));
    return code;
}

static void check_grandchild(mp_start_method method)
{
    cr_assert_eq(support_run(method, start_grandchild, MP_ARGS((int)method)),
                 23);
}

METHOD_TEST(no_proc, children_start_children)
{
    uint64_t ticks = 42;
    size_t handles;

    hide_proc_or_skip();
    cr_assert_eq(mpos_start_time(mpos_pid(), &ticks), MP_ENOTSUP);
    cr_assert_str_not_empty(mp_error_message());
    cr_assert_eq(ticks, 42U);
    check_grandchild(method);
    handles = support_open_handles();
    check_grandchild(method);
    cr_assert_eq(support_open_handles(), handles);
}

static int wait_for_message(mp_args *args)
{
    mp_obj *ignored;

    return mp_connection_recv(mp_arg_connection(args, 0), &ignored) == MP_OK;
}

METHOD_TEST(no_proc, children_can_be_suspended_and_killed)
{
    mp_connection *ours, *theirs;
    mp_process *process;

    hide_proc_or_skip();
    ok(mp_pipe(&ours, &theirs, NULL));
    process = support_start(method, wait_for_message, MP_ARGS(theirs));
    ok(mp_process_suspend(process));
    cr_assert(mp_process_is_alive(process));
    ok(mp_process_kill(process));
    cr_assert_eq(support_finish(process), -SIGKILL);
    mp_connection_close(ours);
    mp_connection_close(theirs);
}

METHOD_TEST(no_proc, children_start_without_close_range_too)
{
    hide_proc_or_skip();
    refuse_or_skip(ENOSYS);
    check_grandchild(method);
}

/* The first process of a new namespace, but /proc is that of the old one. */
Test(no_proc, that_of_other_processes_is_not_believed)
{
    mpos_process child;
    bool is_child;
    uint64_t ticks;
    int code = 0;

    if (is_watched() || !enter_namespaces(CLONE_NEWPID))
        cr_skip_test("there are no namespaces for this user");
    ok(mpos_fork(&child, &is_child));
    if (is_child) {
        if (mpos_pid() != 1 || mpos_start_time(1, &ticks) != MP_ENOTSUP)
            mpos_exit(1);
        mpos_exit(support_run(MP_START_SPAWN, return_argument, MP_ARGS(21)));
    }
    ok(mpos_reap(&child, mpos_now() + SECONDS(20), &code));
    cr_assert_eq(code, 21);
    mpos_process_close(&child);
}

/* -- A main thread that is gone -------------------------------------------- */

static void exit_after_end_of(void *reader)
{
    char byte;
    size_t got;

    (void)mpos_read(*(mpos_handle *)reader, &byte, 1, &got);
    mpos_exit(3);
}

static void wait_until_zombie(int64_t pid)
{
    char path[64];
    char stat[512] = "";

    snprintf(path, sizeof(path), "/proc/%lld/stat", (long long)pid);
    while (strstr(stat, ") Z ") == NULL) {
        support_read_file(path, stat, sizeof(stat));
        mpos_sleep_until(mpos_now() + SECONDS(1) / 1000);
    }
}

/* To proc(5) it is a zombie from then on, though it lives. */
Test(start_time, of_a_process_whose_main_thread_has_ended_is_known)
{
    static mpos_handle reader; /* not on the stack of a thread that ends */
    mpos_handle writer;
    mpos_process child;
    mpos_wait_item item;
    uint64_t early, late = 0;
    bool is_child;
    int code;

    if (support_has_valgrind())
        cr_skip_test("valgrind's main thread stays");
    ok(mpos_pipe(&reader, &writer));
    ok(mpos_fork(&child, &is_child));
    if (is_child) {
        mpos_close(writer);
        /* It ends the process: nobody is left to join it. */
        ok(mpos_thread_start(exit_after_end_of, &reader, NULL));
        pthread_exit(NULL);
    }
    ok(mpos_start_time(child.pid, &early));
    wait_until_zombie(child.pid);
    ok(mpos_start_time(child.pid, &late));
    cr_assert_eq(late, early);
    mpos_close(writer);
    item = (mpos_wait_item){child.sentinel, MPOS_WAIT_PROCESS, false};
    ok(mpos_wait(&item, 1, mpos_now() + SECONDS(20)));
    cr_assert_eq(mpos_start_time(child.pid, &late), MP_ENOTFOUND);
    ok(mpos_reap(&child, 0, &code));
    cr_assert_eq(code, 3);
    mpos_process_close(&child);
    mpos_close(reader);
}

/* -- The fork server's own limits ------------------------------------------ */

static int send_parent_pid(mp_args *args)
{
    mp_check(
        mp_connection_send(mp_arg_connection(args, 0), MP_BOX(mp_getppid())));
    return 0;
}

/* The fork server is the parent of those it forks. */
static pid_t find_server(void)
{
    mp_connection *reader, *writer;
    mp_obj *received;
    int64_t pid = 0;

    ok(mp_pipe(&reader, &writer, NULL));
    cr_assert_eq(
        support_run(MP_START_FORKSERVER, send_parent_pid, MP_ARGS(writer)), 0);
    ok(mp_connection_recv(reader, &received));
    ok(mp_obj_as_int(received, &pid));
    mp_obj_unref(received);
    mp_connection_close(reader);
    mp_connection_close(writer);
    return (pid_t)pid;
}

static void limit_server(pid_t server, mp_error kind,
                         const struct rlimit *limit, struct rlimit *before)
{
    int result = kind == MP_EMFILE
                     ? prlimit(server, RLIMIT_NOFILE, limit, before)
                     : prlimit(server, RLIMIT_NPROC, limit, before);

    cr_assert_eq(result, 0);
}

static void check_server_refuses(mp_error expected)
{
    mp_process_options options = {.start_method = MP_START_FORKSERVER};
    struct rlimit before, low;
    mp_process *process;
    size_t handles;
    pid_t server;

    if (support_has_valgrind())
        cr_skip_test("valgrind does not keep to limits");
    server = find_server();
    handles = support_open_handles();
    limit_server(server, expected, NULL, &before);
    low = before;
    low.rlim_cur = 1;
    ok(mp_process_create(&process, return_argument, MP_ARGS(7), &options));
    limit_server(server, expected, &low, NULL);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(mp_process_start(process), expected, "%s",
                     mp_error_message());
        cr_assert_leq(support_open_handles(), handles);
    }
    limit_server(server, expected, &before, NULL);
    ok(mp_process_start(process));
    cr_assert_eq(support_finish(process), 7);
    cr_assert_eq(find_server(), server, "it has lived on");
}

Test(fork_server, without_descriptors_refuses_and_lives_on)
{
    check_server_refuses(MP_EMFILE);
}

Test(fork_server, without_processes_refuses_and_lives_on)
{
    char path[SUPPORT_PATH_SIZE];

    if (geteuid() == 0)
        cr_assert_eq(setuid(NOBODY), 0);
    support_program_beside("test_limits_linux", path);
    if (access(path, X_OK) != 0)
        cr_skip_test("other users can't execute this program");
    check_server_refuses(MP_EPROCLIM);
}
