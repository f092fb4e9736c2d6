/* SPDX-License-Identifier: MIT */
/*
 * The seam on POSIX: what needs a second process, a signal or a descriptor.
 *
 * Children are this very program. A constructor sees what the parent asks for
 * in the environment, does it and exits, so that no test runs in them.
 */
#include "os.h"

#include "support/check.h"
#include "support/expect.h"
#include "support/leftover.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define MILLISECONDS(n) ((int64_t)(n)*1000000)
#define SECONDS(n) MILLISECONDS((n)*1000)
#define ROLE "UNIT_OS_ROLE"

/* What exec could not do: vfork() was made a fork() by a tool. */
enum { NOT_EXECUTED = 127, LIMIT_OF_FEW = 40 };

/* The library's own constructor comes after ours. */
void mpos_program_loaded(void);
void mpos_birth_loaded(void);

/* -- What children do ------------------------------------------------------ */

static void wait_for_end_of(int reader)
{
    char byte;
    size_t got = 1;

    while (got > 0) {
        if (mpos_read(reader, &byte, 1, &got) != MP_OK)
            _exit(99);
    }
}

static void say(int writer, const char *text)
{
    const mpos_bytes part = {text, strlen(text)};
    size_t written;

    if (mpos_write(writer, &part, 1, &written) != MP_OK)
        _exit(98);
}

/* The exit code: bit 0 for the first number that is open, and so on. */
static int probe_descriptors(const char *numbers)
{
    int bits = 0;
    char *rest;

    for (int bit = 1; *numbers != '\0'; bit *= 2) {
        int descriptor = (int)strtol(numbers, &rest, 10);

        if (rest == numbers)
            break;
        if (fcntl(descriptor, F_GETFD) >= 0)
            bits |= bit;
        numbers = rest;
    }
    return bits;
}

/* Bit 0: SIGUSR1 blocked, 1: SIGINT ignored, 2: SIGCHLD ignored, 3: SIGUSR2
 * handled or ignored, 4: SIGHUP ignored. */
static int probe_signals(void)
{
    struct sigaction action;
    sigset_t mask;
    int bits;

    sigprocmask(SIG_SETMASK, NULL, &mask);
    bits = sigismember(&mask, SIGUSR1) == 1;
    sigaction(SIGINT, NULL, &action);
    bits |= (action.sa_handler == SIG_IGN) << 1;
    sigaction(SIGCHLD, NULL, &action);
    bits |= (action.sa_handler == SIG_IGN) << 2;
    sigaction(SIGUSR2, NULL, &action);
    bits |= (action.sa_handler != SIG_DFL) << 3;
    sigaction(SIGHUP, NULL, &action);
    bits |= (action.sa_handler == SIG_IGN) << 4;
    return bits;
}

/* Ends at once, but a child of it keeps all it has inherited. */
static int leave_grandchild(int reader)
{
    if (fork() == 0) {
        wait_for_end_of(reader);
        _exit(0);
    }
    return 5;
}

/* How many times the name is in the environment. */
static int count_variable(const char *name)
{
    extern char **environ;
    int count = 0;

    for (char **each = environ; *each != NULL; each++)
        count += strncmp(*each, name, strlen(name)) == 0;
    return count;
}

static int start_again(const char *role, const mpos_handle *handles,
                       size_t count, bool dies_with_parent)
{
    char variable[64];
    mpos_process child;
    mpos_spawn_options options = {.variable = variable,
                                  .handles = handles,
                                  .handle_count = count,
                                  .dies_with_parent = dies_with_parent};
    int code = 96;

    snprintf(variable, sizeof(variable), "%s=%s", ROLE, role);
    if (mpos_spawn(&child, &options) != MP_OK ||
        mpos_reap(&child, MPOS_FOREVER, &code) != MP_OK)
        fprintf(stderr, "start again: %s\n", mp_error_message());
    return code;
}

/* argument: what to spawn, after the file we run from is gone. */
static int start_again_without_file(const char *role)
{
    char *path = NULL;

    mpos_program_loaded();
    if (mpos_program_path(&path) != MP_OK || unlink(path) != 0)
        return 95;
    free(path);
    return start_again(role, NULL, 0, false);
}

static int start_again_renamed(const char *role)
{
    char renamed[PATH_MAX];
    char *path = NULL;
    char *found = NULL;
    int code;

    mpos_program_loaded();
    if (mpos_program_path(&path) != MP_OK)
        return 95;
    snprintf(renamed, sizeof(renamed), "%s.renamed", path);
    if (rename(path, renamed) != 0 || mpos_program_path(&found) != MP_OK)
        return 94;
    if (strcmp(found, renamed) != 0)
        return 93;
    code = start_again(role, NULL, 0, false);
    unlink(renamed);
    free(path);
    free(found);
    return code;
}

static int start_again_replaced(const char *role)
{
    char *path = NULL;
    int file;
    int code;

    mpos_program_loaded();
    if (mpos_program_path(&path) != MP_OK || unlink(path) != 0)
        return 95;
    file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    if (write(file, "#!/bin/false\n", 13) != 13 || close(file) != 0)
        return 94;
    code = start_again(role, NULL, 0, false);
    unlink(path);
    free(path);
    return code;
}

/* argument: the writer our child inherits, and keeps open while it lives. */
static int start_child_that_dies_with_us(int writer)
{
    const mpos_handle handle = writer;

    mpos_program_loaded();
    return start_again("hang", &handle, 1, true);
}

static int say_whether_it_dies_with_parent(void)
{
    mp_error error = mpos_die_with_parent(mpos_parent_pid());

    if (error == MP_OK && mpos_die_with_parent(1) != MP_ENOTFOUND)
        return 97;
    return error == MP_OK ? 1 : error == MP_ENOTSUP ? 2 : 3;
}

static void hang(void)
{
    mpos_die_with_parent(mpos_parent_pid());
    mpos_sleep_until(mpos_now() + SECONDS(60));
}

/* Says what it reads, until there is no more. */
static void echo(int channel)
{
    char text[16];
    size_t got = 1;

    for (;;) {
        mpos_bytes part = {text, 0};

        if (mpos_read(channel, text, sizeof(text), &got) != MP_OK || got == 0)
            _exit(0);
        part.size = got;
        mpos_write(channel, &part, 1, &got);
    }
}

typedef struct child_role {
    const char *name;
    int (*run)(const char *argument);
} child_role;

static int role_exit(const char *argument)
{
    return atoi(argument);
}

static int role_signals(const char *argument)
{
    wait_for_end_of(atoi(argument));
    return probe_signals();
}

static int role_until(const char *argument)
{
    wait_for_end_of(atoi(argument));
    return 0;
}

static int role_orphan(const char *argument)
{
    return leave_grandchild(atoi(argument));
}

static int role_family(const char *argument)
{
    return start_child_that_dies_with_us(atoi(argument));
}

static int role_fate(const char *argument)
{
    (void)argument;
    return say_whether_it_dies_with_parent();
}

static int role_hang(const char *argument)
{
    (void)argument;
    hang();
    return 0;
}

static int role_echo(const char *argument)
{
    echo(atoi(argument));
    return 0;
}

static int role_say(const char *argument)
{
    say(atoi(argument), "hello");
    return 0;
}

static const child_role roles[] = {
    {"exit", role_exit},
    {"probe", probe_descriptors},
    {"signals", role_signals},
    {"until", role_until},
    {"orphan", role_orphan},
    {"variables", count_variable},
    {"deleted", start_again_without_file},
    {"renamed", start_again_renamed},
    {"replaced", start_again_replaced},
    {"family", role_family},
    {"fate", role_fate},
    {"hang", role_hang},
    {"echo", role_echo},
    {"say", role_say},
};

static void __attribute__((__constructor__)) play_role(void)
{
    char wanted[64];
    size_t length;

    if (getenv(ROLE) == NULL)
        return;
    ok(mpos_take_variable(ROLE, wanted, sizeof(wanted)));
    mpos_birth_loaded();
    length = strcspn(wanted, " ");
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
        if (strlen(roles[i].name) == length &&
            memcmp(roles[i].name, wanted, length) == 0)
            _exit(roles[i].run(wanted + length + (wanted[length] != '\0')));
    }
    _exit(90);
}

/* -- Starting them --------------------------------------------------------- */

static mp_error start_with(mpos_process *child, mpos_spawn_options *options,
                           const char *role, long argument)
{
    char variable[64];

    snprintf(variable, sizeof(variable), "%s=%s %ld", ROLE, role, argument);
    options->variable = variable;
    return mpos_spawn(child, options);
}

static void start(mpos_process *child, const char *role, long argument)
{
    mpos_spawn_options options = {.handles = NULL};

    ok(start_with(child, &options, role, argument));
}

static void start_sharing(mpos_process *child, const char *role,
                          mpos_handle handle)
{
    mpos_spawn_options options = {.handles = &handle, .handle_count = 1};

    ok(start_with(child, &options, role, (long)handle));
}

static int end_of(mpos_process *child)
{
    int code = 12345;

    ok(mpos_reap(child, mpos_now() + SECONDS(20), &code));
    mpos_process_close(child);
    return code;
}

static int run(const char *role, long argument)
{
    mpos_process child;

    start(&child, role, argument);
    return end_of(&child);
}

/* -- Exit codes ------------------------------------------------------------ */

Test(os_spawn, exit_code_arrives_as_it_was)
{
    cr_assert_eq(run("exit", 0), 0);
    cr_assert_eq(run("exit", 7), 7);
    cr_assert_eq(run("exit", 255), 255);
    cr_assert_eq(run("exit", 257), 1);
}

Test(os_spawn, other_programs_can_be_started)
{
    mpos_spawn_options options = {.program = "/bin/sh"};
    mpos_handle reader, writer;
    mpos_process child;
    int saved = dup(0);

    /* Reads its commands from standard input, which is inherited. */
    ok(mpos_pipe(&reader, &writer));
    say((int)writer, "exit 23\n");
    dup2((int)reader, 0);
    ok(mpos_spawn(&child, &options));
    dup2(saved, 0);
    close(saved);
    cr_assert_eq(end_of(&child), 23);
    mpos_close(reader);
    mpos_close(writer);
}

static volatile sig_atomic_t interrupts;

static void count_interrupt(int number)
{
    signal(number, count_interrupt);
    interrupts++;
}

static void check_signal(mpos_signal signal, int expected)
{
    mpos_handle reader, writer;
    mpos_process child;

    ok(mpos_pipe(&reader, &writer));
    start_sharing(&child, "until", reader);
    ok(mpos_send_signal(&child, signal));
    cr_assert_eq(end_of(&child), expected);
    mpos_close(reader);
    mpos_close(writer);
}

Test(os_process, signals_are_negative_exit_codes)
{
    check_signal(MPOS_TERMINATE, -SIGTERM);
    check_signal(MPOS_KILL, -SIGKILL);
    check_signal(MPOS_INTERRUPT, -SIGINT);
}

static int count_interrupts(bool is_ignored)
{
    mpos_ignore_interrupts(is_ignored);
    interrupts = 0;
    raise(SIGINT);
    return (int)interrupts;
}

Test(os_process, interrupts_are_ignored_until_they_are_what_they_were_before)
{
    signal(SIGINT, count_interrupt);
    cr_assert_eq(count_interrupts(true), 0);
    cr_assert_eq(count_interrupts(true), 0);
    cr_assert_eq(count_interrupts(false), 1);
    cr_assert_eq(count_interrupts(false), 1);
    signal(SIGINT, SIG_IGN);
    mpos_ignore_interrupts(true);
    cr_assert_eq(count_interrupts(false), 0, "nohup ignored them before us");
}

Test(os_process, suspended_child_answers_only_when_resumed)
{
    mpos_handle left, right;
    mpos_process child;
    mpos_wait_item item;
    char byte;
    size_t got = 0;

    ok(mpos_channel(&left, &right, NULL));
    start_sharing(&child, "echo", right);
    mpos_close(right);
    say((int)left, "1");
    ok(mpos_read(left, &byte, 1, &got));
    ok(mpos_send_signal(&child, MPOS_SUSPEND));
    /* It stops as soon as it runs, not before we go on. */
    mpos_sleep_until(mpos_now() + MILLISECONDS(50));
    say((int)left, "2");
    item = (mpos_wait_item){left, MPOS_WAIT_READ, false};
    cr_assert_eq(mpos_wait(&item, 1, mpos_now() + MILLISECONDS(100)),
                 MP_TIMED_OUT);
    ok(mpos_send_signal(&child, MPOS_RESUME));
    ok(mpos_wait(&item, 1, mpos_now() + SECONDS(10)));
    mpos_close(left);
    cr_assert_eq(end_of(&child), 0);
}

Test(os_process, signal_to_one_that_has_ended_is_no_error)
{
    mpos_process child;
    int code;

    start(&child, "exit", 3);
    ok(mpos_reap(&child, MPOS_FOREVER, &code));
    ok(mpos_send_signal(&child, MPOS_KILL));
    mpos_process_close(&child);
}

/* -- What can't be executed ------------------------------------------------ */

static void check_refusal(const char *path, mp_error expected)
{
    const mpos_spawn_options options = {.program = path};
    mpos_process child = {.pid = 42};
    mp_error error = mpos_spawn(&child, &options);

    if (error == MP_OK) {
        cr_assert_eq(end_of(&child), NOT_EXECUTED);
        return;
    }
    cr_assert_eq(error, expected, "%s: %s", path, mp_error_message());
    cr_assert_eq(child.pid, 42);
    cr_assert_not_null(strstr(mp_error_message(), path));
    /* Nothing was left to be reaped. */
    cr_assert_eq(waitpid(-1, NULL, WNOHANG), -1);
}

Test(os_spawn, what_is_no_program_is_told_apart)
{
    check_refusal("/no/such/program", MP_ENOTFOUND);
    check_refusal("/etc/passwd/program", MP_ENOTFOUND);
    check_refusal("/etc/passwd", MP_EACCES);
    check_refusal("/", MP_EACCES);
}

Test(os_spawn, file_that_is_no_executable_is_refused)
{
    char path[] = "/tmp/unit_os_XXXXXX";
    int file = mkstemp(path);

    cr_assert_geq(file, 0);
    fchmod(file, 0755);
    cr_assert_eq(write(file, "nonsense", 8), 8);
    close(file);
    check_refusal(path, MP_EACCES);
    unlink(path);
}

/* -- The program's own file ------------------------------------------------ */

static void copy_program(const char *to)
{
    static char block[1 << 16];
    char *path = NULL;
    int source;
    int target;
    ssize_t size;

    ok(mpos_program_path(&path));
    source = open(path, O_RDONLY | O_CLOEXEC);
    target = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    cr_assert(source >= 0 && target >= 0);
    while ((size = read(source, block, sizeof(block))) > 0)
        cr_assert_eq(write(target, block, (size_t)size), size);
    close(source);
    close(target);
    free(path);
}

static int run_copy(const char *role)
{
    char path[64];
    char variable[64];
    const mpos_spawn_options options = {.program = path, .variable = variable};
    mpos_process child;

    snprintf(path, sizeof(path), "/tmp/unit_os_copy_%ld", (long)getpid());
    snprintf(variable, sizeof(variable), "%s=%s exit 11", ROLE, role);
    copy_program(path);
    ok(mpos_spawn(&child, &options));
    return end_of(&child);
}

Test(os_spawn, program_is_found_after_its_file_was_renamed)
{
    cr_assert_eq(run_copy("renamed"), 11);
}

Test(os_spawn, program_is_found_after_its_file_was_deleted)
{
    if (strcmp(mpos_system.system, "macos") == 0 || support_has_valgrind())
        cr_skip_test("a descriptor can't be executed there");
    cr_assert_eq(run_copy("deleted"), 11);
}

Test(os_spawn, program_is_found_after_its_file_was_replaced)
{
    if (strcmp(mpos_system.system, "macos") == 0 || support_has_valgrind())
        cr_skip_test("a descriptor can't be executed there");
    cr_assert_eq(run_copy("replaced"), 11);
}

/* -- What is inherited ----------------------------------------------------- */

Test(os_spawn, exactly_the_listed_handles_are_inherited)
{
    mpos_handle reader, writer, memory;
    int careless = fcntl(1, F_DUPFD, 3); /* not close-on-exec */
    mpos_handle listed[3];
    mpos_spawn_options options = {.handles = listed, .handle_count = 3};
    mpos_process child;
    char variable[96];

    ok(mpos_pipe(&reader, &writer));
    ok(mpos_memory_create(100, 0, &memory));
    listed[0] = memory;
    listed[1] = reader;
    listed[2] = memory;
    snprintf(variable, sizeof(variable), ROLE "=probe %d %d %d %d 0 1 2",
             (int)memory, (int)reader, (int)writer, careless);
    options.variable = variable;
    ok(mpos_spawn(&child, &options));
    cr_assert_eq(end_of(&child), 1 | 2 | 16 | 32 | 64);
    cr_assert_eq(fcntl((int)memory, F_GETFD), FD_CLOEXEC);
    cr_assert_eq(fcntl((int)reader, F_GETFD), FD_CLOEXEC);
    cr_assert_eq(fcntl(careless, F_GETFD), 0);
    close(careless);
    mpos_close(memory);
    mpos_close(reader);
    mpos_close(writer);
}

Test(os_spawn, inherited_pipe_is_the_same_number_on_the_other_side)
{
    mpos_handle reader, writer;
    mpos_process child;
    char text[16] = "";
    size_t got = 0;

    ok(mpos_pipe(&reader, &writer));
    start_sharing(&child, "say", writer);
    mpos_close(writer);
    ok(mpos_read(reader, text, sizeof(text), &got));
    cr_assert_eq(got, 5U);
    cr_assert_str_eq(text, "hello");
    ok(mpos_read(reader, text, sizeof(text), &got));
    cr_assert_eq(got, 0U);
    cr_assert_eq(end_of(&child), 0);
    mpos_close(reader);
}

Test(os_spawn, closed_handle_in_the_list_is_an_error)
{
    const mpos_handle closed = 1000;
    mpos_spawn_options options = {.handles = &closed, .handle_count = 1};
    mpos_process child;

    if (start_with(&child, &options, "exit", 0) == MP_OK)
        cr_assert_eq(end_of(&child), NOT_EXECUTED);
    else
        cr_assert_str_not_empty(mp_error_message());
}

Test(os_spawn, variable_replaces_the_one_of_that_name)
{
    mpos_process child;
    mpos_spawn_options options = {.variable = ROLE "=variables PATH"};

    /* Under "PATH" itself there would be no role. */
    ok(mpos_spawn(&child, &options));
    cr_assert_eq(end_of(&child), 1);
    setenv(ROLE, "exit 1", 1);
    options.variable = ROLE "=variables " ROLE;
    ok(mpos_spawn(&child, &options));
    cr_assert_eq(end_of(&child), 0, "taken, and not there twice");
    unsetenv(ROLE);
}

static void ignore_signal(int number)
{
    (void)number;
}

Test(os_spawn, child_has_the_callers_mask_and_none_of_its_handlers)
{
    mpos_handle reader, writer;
    mpos_process child;
    sigset_t mask;
    sigset_t after;

    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    signal(SIGUSR2, ignore_signal);
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGCHLD, SIG_IGN);
    ok(mpos_pipe(&reader, &writer));
    start_sharing(&child, "signals", reader);
    signal(SIGCHLD, SIG_DFL);
    mpos_close(writer);
    mpos_close(reader);
    /* As nohup and a shell's & rely on. */
    cr_assert_eq(end_of(&child), 1 | 2 | 16);
    sigprocmask(SIG_SETMASK, NULL, &after);
    cr_assert_eq(sigismember(&after, SIGUSR1), 1);
    cr_assert_eq(sigismember(&after, SIGUSR2), 0);
}

static void check_above_standard(mpos_handle handle)
{
    if (handle < 3)
        _exit(91);
    if (fcntl((int)handle, F_GETFD) != FD_CLOEXEC)
        _exit(92);
}

static mp_error send_text(mpos_handle channel, const char *text,
                          const mpos_handle *handles, size_t count)
{
    const mpos_bytes parts[2] = {{text, 1}, {text + 1, strlen(text + 1)}};
    size_t written = 0;
    mp_error err = mpos_send_handles(channel, parts, handles, count, &written);

    return err == MP_OK && written != strlen(text) ? MP_EIO : err;
}

/* In a process of its own: the test's output needs what is closed here. */
static void use_handles_without_standard(void)
{
    mpos_arrivals arrived;
    mpos_handle first, second, copy;
    mpos_process child;
    mpos_spawn_options options = {.variable = ROLE "=probe 0 1 2"};
    size_t got;
    char byte;
    int code = 0;

    for (int i = 0; i < 3; i++)
        close(i);
    if (mpos_pipe(&first, &second) != MP_OK)
        _exit(93);
    check_above_standard(first);
    check_above_standard(second);
    if (mpos_duplicate(first, &copy) != MP_OK)
        _exit(94);
    check_above_standard(copy);
    if (mpos_channel(&first, &second, NULL) != MP_OK ||
        send_text(first, "x", &copy, 1) != MP_OK ||
        mpos_recv_handles(second, &(mpos_room){&byte, 1}, 1, &got, &arrived) !=
            MP_OK ||
        arrived.count != 1)
        _exit(95);
    check_above_standard(arrived.handles[0]);
    if (mpos_memory_create(10, 0, &copy) != MP_OK)
        _exit(96);
    check_above_standard(copy);
    if (mpos_spawn(&child, &options) != MP_OK)
        _exit(97);
    check_above_standard(child.sentinel);
    if (mpos_reap(&child, MPOS_FOREVER, &code) != MP_OK)
        _exit(98);
    _exit(code);
}

Test(os_handle, stays_above_the_standard_three_when_those_are_closed)
{
    mpos_process child;
    bool is_child = false;

    ok(mpos_fork(&child, &is_child));
    if (is_child)
        use_handles_without_standard();
    cr_assert_eq(end_of(&child), 0, "nothing was open there in the child");
}

/* -- Waiting for the end --------------------------------------------------- */

Test(os_process, reaping_gives_up_at_the_deadline)
{
    mpos_handle reader, writer;
    mpos_process child;
    int code = 42;
    int64_t deadline;

    ok(mpos_pipe(&reader, &writer));
    start_sharing(&child, "until", reader);
    cr_assert_eq(mpos_reap(&child, 0, &code), MP_TIMED_OUT);
    deadline = mpos_now() + MILLISECONDS(80);
    cr_assert_eq(mpos_reap(&child, deadline, &code), MP_TIMED_OUT);
    cr_assert_geq(mpos_now(), deadline);
    cr_assert_eq(code, 42);
    mpos_close(writer);
    cr_assert_eq(end_of(&child), 0);
    mpos_close(reader);
}

enum { CHILDREN = 40 };

Test(os_process, the_first_of_many_to_end_is_found)
{
    mpos_process children[CHILDREN];
    mpos_handle reader[CHILDREN], writer[CHILDREN];
    mpos_wait_item items[CHILDREN];

    for (size_t i = 0; i < CHILDREN; i++) {
        ok(mpos_pipe(&reader[i], &writer[i]));
        start_sharing(&children[i], "until", reader[i]);
        items[i] =
            (mpos_wait_item){children[i].sentinel, MPOS_WAIT_PROCESS, false};
    }
    cr_assert_eq(mpos_wait(items, CHILDREN, 0), MP_TIMED_OUT);
    mpos_close(writer[33]);
    ok(mpos_wait(items, CHILDREN, mpos_now() + SECONDS(20)));
    for (size_t i = 0; i < CHILDREN; i++) {
        cr_assert_eq(items[i].is_ready, i == 33, "child %zu", i);
        if (i != 33)
            mpos_close(writer[i]);
        mpos_close(reader[i]);
    }
    for (size_t i = 0; i < CHILDREN; i++)
        cr_assert_eq(end_of(&children[i]), 0);
}

Test(os_process, waiting_for_the_end_does_not_take_the_code)
{
    mpos_process child;
    mpos_wait_item item;

    start(&child, "exit", 9);
    item = (mpos_wait_item){child.sentinel, MPOS_WAIT_PROCESS, false};
    ok(mpos_wait(&item, 1, mpos_now() + SECONDS(20)));
    ok(mpos_wait(&item, 1, 0));
    cr_assert_eq(end_of(&child), 9);
}

Test(os_process, grandchild_does_not_keep_its_parent_alive)
{
    mpos_handle reader, writer;
    mpos_process child;
    int code = 0;

    ok(mpos_pipe(&reader, &writer));
    start_sharing(&child, "orphan", reader);
    ok(mpos_reap(&child, mpos_now() + SECONDS(20), &code));
    cr_assert_eq(code, 5);
    mpos_process_close(&child);
    mpos_close(writer);
    mpos_close(reader);
}

Test(os_process, code_that_somebody_else_took_is_not_found)
{
    mpos_process child;
    int code = 42;

    start(&child, "exit", 9);
    cr_assert_eq(waitpid((pid_t)child.pid, NULL, 0), (pid_t)child.pid);
    cr_assert_eq(mpos_reap(&child, MPOS_FOREVER, &code), MP_ENOTFOUND);
    cr_assert_eq(code, 42);
    cr_assert_str_not_empty(mp_error_message());
    ok(mpos_send_signal(&child, MPOS_KILL));
    mpos_process_close(&child);
}

Test(os_process, code_that_nobody_keeps_is_not_found)
{
    mpos_process child;
    bool is_child;
    int code = 42;

    signal(SIGCHLD, SIG_IGN);
    start(&child, "exit", 9);
    cr_assert_eq(mpos_reap(&child, MPOS_FOREVER, &code), MP_ENOTFOUND);
    mpos_process_close(&child);
    for (int i = 0; i < 50; i++) {
        ok(mpos_fork(&child, &is_child));
        if (is_child)
            _exit(1);
        cr_assert_eq(mpos_reap(&child, MPOS_FOREVER, &code), MP_ENOTFOUND);
        mpos_process_close(&child);
    }
    cr_assert_eq(code, 42);
}

Test(os_process, attached_child_is_watched_but_not_reaped)
{
    mpos_handle reader, writer;
    mpos_process child;
    mpos_process same = {0};
    int code = 42;

    ok(mpos_pipe(&reader, &writer));
    start_sharing(&child, "until", reader);
    ok(mpos_attach(&same, child.pid, 0));
    cr_assert_eq(mpos_reap(&same, 0, &code), MP_TIMED_OUT);
    ok(mpos_send_signal(&same, MPOS_TERMINATE));
    cr_assert_eq(mpos_reap(&same, mpos_now() + SECONDS(20), &code),
                 MP_ENOTFOUND);
    cr_assert_eq(code, 42);
    ok(mpos_send_signal(&same, MPOS_KILL));
    /* Not yet reaped, but ended. */
    mpos_process_close(&same);
    cr_assert_eq(mpos_attach(&same, child.pid, 0), MP_ENOTFOUND);
    cr_assert_eq(end_of(&child), -SIGTERM);
    mpos_close(reader);
    mpos_close(writer);
}

static volatile sig_atomic_t alarms;

static void count_alarm(int number)
{
    (void)number;
    alarms++;
}

Test(os_wait, signals_neither_end_nor_lengthen_it)
{
    const struct itimerval_like {
        int milliseconds;
    } pace = {5};
    mpos_handle reader, writer;
    mpos_wait_item item;
    int64_t deadline = mpos_now() + MILLISECONDS(100);
    pid_t tormentor;
    sigset_t none;
    struct sigaction action = {.sa_handler = count_alarm}; /* no SA_RESTART */

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    sigaction(SIGUSR1, &action, NULL);
    tormentor = fork();
    while (tormentor == 0) {
        kill(getppid(), SIGUSR1);
        mpos_sleep_until(mpos_now() + MILLISECONDS(pace.milliseconds));
    }
    ok(mpos_pipe(&reader, &writer));
    item = (mpos_wait_item){reader, MPOS_WAIT_READ, false};
    cr_assert_eq(mpos_wait(&item, 1, deadline), MP_TIMED_OUT);
    cr_assert_geq(mpos_now(), deadline);
    cr_assert_lt(mpos_now(), deadline + SECONDS(5));
    kill(tormentor, SIGKILL);
    waitpid(tormentor, NULL, 0);
    cr_assert_gt(alarms, 0);
    mpos_close(reader);
    mpos_close(writer);
}

/* -- Fork ------------------------------------------------------------------ */

Test(os_fork, returns_twice)
{
    mpos_process child = {.pid = 42};
    bool is_child = false;

    ok(mpos_fork(&child, &is_child));
    if (is_child)
        _exit(child.pid == 42 ? 21 : 22);
    cr_assert(child.is_child);
    cr_assert_not(is_child);
    cr_assert_eq(end_of(&child), 21);
}

static bool only_first_is_blocked(void)
{
    sigset_t mask;

    sigprocmask(SIG_SETMASK, NULL, &mask);
    return sigismember(&mask, SIGUSR1) == 1 &&
           sigismember(&mask, SIGUSR2) == 0 && sigismember(&mask, SIGINT) == 0;
}

Test(os_fork, both_have_the_callers_mask)
{
    mpos_process child;
    bool is_child;
    sigset_t mask;

    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    ok(mpos_fork(&child, &is_child));
    if (is_child)
        _exit(only_first_is_blocked());
    cr_assert(only_first_is_blocked());
    cr_assert_eq(end_of(&child), 1);
}

Test(os_fork, forked_child_can_start_children_and_close_its_siblings)
{
    mpos_handle reader, writer;
    mpos_process sibling;
    mpos_process child;
    bool is_child;

    ok(mpos_pipe(&reader, &writer));
    start_sharing(&sibling, "until", reader);
    ok(mpos_fork(&child, &is_child));
    if (is_child) {
        mpos_process_close(&sibling);
        _exit(run("exit", 31));
    }
    cr_assert_eq(end_of(&child), 31);
    mpos_close(writer);
    mpos_close(reader);
    cr_assert_eq(end_of(&sibling), 0);
}

/* -- Dying with the parent ------------------------------------------------- */

static void start_fated(void *argument)
{
    mpos_spawn_options options = {.dies_with_parent = true};

    if (start_with(argument, &options, "fate", 0) != MP_OK)
        ((mpos_process *)argument)->pid = -1;
}

Test(os_process, child_knows_that_it_dies_with_its_parent)
{
    mpos_process child;
    int code;

    start_fated(&child);
    code = end_of(&child);
    cr_assert(code == 1 || code == 2, "%d", code);
    cr_assert_eq(run("fate", 0),
                 2 - (strcmp(mpos_system.system, "freebsd") == 0));
}

typedef struct fated {
    mpos_process child;
    mpos_handle done;
} fated;

static void start_fated_and_end(void *argument)
{
    fated *job = argument;

    start_fated(&job->child);
    say((int)job->done, ".");
    mpos_close(job->done);
}

Test(os_process, thread_that_ends_takes_no_child_with_it)
{
    fated job;
    mpos_thread thread;
    mpos_handle reader;
    char byte;
    size_t got = 1;

    if (strcmp(mpos_system.system, "linux") != 0)
        cr_skip_test("the parent is a process there, not a thread");
    ok(mpos_pipe(&reader, &job.done));
    ok(mpos_thread_start(start_fated_and_end, &job, &thread));
    ok(mpos_read(reader, &byte, 1, &got));
    cr_assert_eq(got, 1U);
    ok(mpos_read(reader, &byte, 1, &got));
    cr_assert_eq(got, 0U);
    mpos_thread_join(thread);
    mpos_close(reader);
    cr_assert_eq(end_of(&job.child), 2, "it is told to watch by itself");
}

Test(os_process, child_of_a_killed_parent_dies_where_it_says_so)
{
    mpos_handle reader, writer;
    mpos_process parent;
    mpos_process probe;
    mpos_wait_item item;

    start_fated(&probe);
    if (end_of(&probe) != 1)
        cr_skip_test("the system does not do that");
    ok(mpos_pipe(&reader, &writer));
    start_sharing(&parent, "family", writer);
    mpos_close(writer);
    item = (mpos_wait_item){reader, MPOS_WAIT_READ, false};
    /* Give it time to start its child; too little only weakens the test. */
    cr_assert_eq(mpos_wait(&item, 1, mpos_now() + MILLISECONDS(300)),
                 MP_TIMED_OUT);
    ok(mpos_send_signal(&parent, MPOS_KILL));
    cr_assert_eq(end_of(&parent), -SIGKILL);
    ok(mpos_wait(&item, 1, mpos_now() + SECONDS(10)));
    mpos_close(reader);
}

Test(os_process, forked_child_has_the_fate_of_a_spawned_one)
{
    mpos_process child;
    bool is_child;
    int code;

    ok(mpos_fork(&child, &is_child));
    if (is_child)
        _exit(say_whether_it_dies_with_parent());
    code = end_of(&child);
    start_fated(&child);
    cr_assert_eq(end_of(&child), code);
}

/* -- Handles that travel --------------------------------------------------- */

static void close_arrived(const mpos_arrivals *arrived)
{
    for (size_t i = 0; i < arrived->count; i++)
        mpos_close(arrived->handles[i]);
}

Test(os_handle, travelling_handles_come_with_the_first_byte_they_were_sent_with)
{
    mpos_handle left, right, reader, writer;
    mpos_arrivals arrived = {.count = 42};
    char text[16] = "";
    size_t got = 0;

    ok(mpos_channel(&left, &right, NULL));
    ok(mpos_pipe(&reader, &writer));
    ok(send_text(left, "first", NULL, 0));
    ok(send_text(left, "second", &writer, 1));
    ok(mpos_recv_handles(right, &(mpos_room){text, 5}, 1, &got, &arrived));
    cr_assert_eq(got, 5U);
    cr_assert_eq(arrived.count, 0U);
    ok(mpos_recv_handles(right, &(mpos_room){text, 1}, 1, &got, &arrived));
    cr_assert_eq(got, 1U);
    cr_assert_eq(arrived.count, 1U);
    cr_assert_not(arrived.is_cut);
    cr_assert_eq(fcntl((int)arrived.handles[0], F_GETFD), FD_CLOEXEC);
    mpos_close(writer);
    say((int)arrived.handles[0], "through");
    ok(mpos_read(reader, text, sizeof(text), &got));
    cr_assert_eq(got, 7U);
    close_arrived(&arrived);
    ok(mpos_recv_handles(right, &(mpos_room){text, sizeof(text)}, 1, &got,
                         &arrived));
    cr_assert_eq(got, 5U);
    cr_assert_arr_eq(text, "econd", 5);
    cr_assert_eq(arrived.count, 0U, "they come once");
    mpos_close(left);
    ok(mpos_recv_handles(right, &(mpos_room){text, sizeof(text)}, 1, &got,
                         &arrived));
    cr_assert_eq(got, 0U);
    cr_assert_eq(arrived.count, 0U);
    mpos_close(right);
    mpos_close(reader);
}

Test(os_handle, travelling_handles_that_are_not_taken_are_closed)
{
    mpos_handle left, right, reader, writer;
    char text[16] = "";
    size_t got = 42;
    size_t before;

    ok(mpos_channel(&left, &right, NULL));
    ok(mpos_pipe(&reader, &writer));
    before = support_open_handles();
    ok(send_text(left, "text", &writer, 1));
    mpos_close(writer);
    ok(mpos_read(right, text, sizeof(text), &got));
    cr_assert_eq(got, 4U);
    cr_assert_eq(support_open_handles(), before - 1);
    ok(mpos_read(reader, text, sizeof(text), &got));
    cr_assert_eq(got, 0U, "nobody has the writer any more");
    mpos_close(reader);
    mpos_close(left);
    mpos_close(right);
}

Test(os_handle, as_many_travel_as_promised)
{
    mpos_handle left, right, sent[MPOS_HANDLES_MAX];
    mpos_arrivals arrived;
    size_t before = support_open_handles();
    size_t got;
    char byte;

    ok(mpos_channel(&left, &right, NULL));
    for (size_t i = 0; i < MPOS_HANDLES_MAX; i++)
        sent[i] = left;
    ok(send_text(left, "x", sent, MPOS_HANDLES_MAX));
    ok(mpos_recv_handles(right, &(mpos_room){&byte, 1}, 1, &got, &arrived));
    cr_assert_eq(arrived.count, (size_t)MPOS_HANDLES_MAX);
    cr_assert_not(arrived.is_cut);
    close_arrived(&arrived);
    mpos_close(left);
    mpos_close(right);
    cr_assert_eq(support_open_handles(), before);
}

Test(os_handle, sending_to_nobody_fails_without_a_signal)
{
    mpos_handle left, right;

    ok(mpos_channel(&left, &right, NULL));
    mpos_close(right);
    cr_assert_eq(send_text(left, "x", &left, 1), MP_EPIPE);
    mpos_close(left);
}

/* -- Descriptors that are none of ours ------------------------------------- */

Test(os_handle, foreign_pipe_gives_an_error_and_no_signal)
{
    const mpos_bytes parts[] = {{"a", 1}, {"b", 1}};
    size_t written = 0;
    sigset_t pending;
    int ends[2];
    char text[4];
    size_t got;

    cr_assert_eq(pipe(ends), 0);
    ok(mpos_write(ends[1], parts, 2, &written));
    cr_assert_eq(written, 2U);
    ok(mpos_read(ends[0], text, sizeof(text), &got));
    cr_assert_eq(got, 2U);
    close(ends[0]);
    signal(SIGPIPE, SIG_DFL);
    cr_assert_eq(mpos_write(ends[1], parts, 2, &written), MP_EPIPE);
    signal(SIGPIPE, SIG_IGN);
    cr_assert_eq(mpos_write(ends[1], parts, 2, &written), MP_EPIPE);
    sigpending(&pending);
    cr_assert_eq(sigismember(&pending, SIGPIPE), 0);
    close(ends[1]);
}

typedef struct late_reader {
    mpos_handle reader;
    size_t total;
    mp_error error;
} late_reader;

/* Until the end. */
static void read_late(void *argument)
{
    late_reader *it = argument;
    char text[4096];
    size_t got = 1;

    mpos_sleep_until(mpos_now() + MILLISECONDS(30));
    while (it->error == MP_OK && got > 0) {
        it->error = mpos_read(it->reader, text, sizeof(text), &got);
        if (it->error == MP_OK)
            it->total += got;
    }
}

Test(os_handle, foreign_non_blocking_end_blocks_all_the_same)
{
    static char data[1 << 20];
    mpos_bytes part = {data, sizeof(data)};
    late_reader late = {.error = MP_OK};
    mpos_thread thread;
    mpos_handle writer;
    size_t written = 0;

    ok(mpos_pipe(&late.reader, &writer));
    fcntl((int)writer, F_SETFL, O_NONBLOCK);
    fcntl((int)late.reader, F_SETFL, O_NONBLOCK);
    ok(mpos_thread_start(read_late, &late, &thread));
    while (part.size > 0) {
        ok(mpos_write(writer, &part, 1, &written));
        part.size -= written;
    }
    mpos_close(writer);
    mpos_thread_join(thread);
    ok(late.error);
    cr_assert_eq(late.total, sizeof(data), "it has come to the end");
    mpos_close(late.reader);
}

/* -- Modules --------------------------------------------------------------- */

Test(os_module, function_of_the_c_library_is_in_a_library)
{
    void *function = dlsym(RTLD_DEFAULT, "strtoull");
    mpos_module module = {0};
    mpos_module found = {0};

    if (function == NULL)
        cr_skip_test("statically linked");
    ok(mpos_module_of(function, &module));
    cr_assert_not(module.is_program);
    cr_assert_eq(module.path[0], '/');
    ok(mpos_module_find(module.path, &found));
    cr_assert_eq(found.base, module.base);
    cr_assert_arr_eq(found.build_id, module.build_id, MPOS_BUILD_ID_SIZE);
    ok(mpos_module_load(module.path));
    free(module.path);
    free(found.path);
}

Test(os_module, library_is_found_by_another_of_its_names)
{
    void *function = dlsym(RTLD_DEFAULT, "strtoull");
    char path[64];
    mpos_module module = {0};
    mpos_module found = {0};

    if (function == NULL)
        cr_skip_test("statically linked");
    ok(mpos_module_of(function, &module));
    snprintf(path, sizeof(path), "/tmp/unit_os_link_%ld", (long)getpid());
    cr_assert_eq(symlink(module.path, path), 0);
    ok(mpos_module_find(path, &found));
    cr_assert_eq(found.base, module.base);
    unlink(path);
    free(module.path);
    free(found.path);
}

/* -- When there is no room ------------------------------------------------- */

static struct rlimit usual;

static void use_up_descriptors(void)
{
    struct rlimit limit;

    if (support_has_valgrind())
        cr_skip_test("valgrind does not keep to limits");
    getrlimit(RLIMIT_NOFILE, &usual);
    limit = usual;
    limit.rlim_cur = LIMIT_OF_FEW;
    setrlimit(RLIMIT_NOFILE, &limit);
    while (dup(2) >= 0)
        ;
}

/* Sanitizers open files of their own at the end. */
static void allow_descriptors(void)
{
    setrlimit(RLIMIT_NOFILE, &usual);
}

static void check_full(mp_error error)
{
    cr_assert_eq(error, MP_EMFILE, "%s: %s", mp_error_name(error),
                 mp_error_message());
}

Test(os_handle, no_descriptor_left_is_an_error_that_leaves_nothing)
{
    mpos_handle first = 42;
    mpos_handle second = 42;
    mpos_process process = {.pid = 42};
    mpos_spawn_options options = {.variable = ROLE "=exit 0"};
    bool is_child = false;

    use_up_descriptors();
    check_full(mpos_pipe(&first, &second));
    check_full(mpos_channel(&first, &second, NULL));
    check_full(mpos_duplicate(1, &first));
    check_full(mpos_memory_create(10, 0, &first));
    check_full(mpos_spawn(&process, &options));
    check_full(mpos_fork(&process, &is_child));
    cr_assert_lt(mpos_attach(&process, getpid(), 0), 0);
    cr_assert_eq(first, 42);
    cr_assert_eq(second, 42);
    cr_assert_eq(process.pid, 42);
    cr_assert_eq(waitpid(-1, NULL, WNOHANG), -1);
    allow_descriptors();
}

Test(os_handle, one_descriptor_left_is_not_lost)
{
    mpos_handle first, second;
    int last = dup(2);

    use_up_descriptors();
    close(last);
    check_full(mpos_pipe(&first, &second));
    check_full(mpos_channel(&first, &second, NULL));
    cr_assert_eq(dup(2), last, "it is still free");
    allow_descriptors();
}

Test(os_handle, handles_that_find_no_room_on_arrival_are_closed)
{
    mpos_handle left, right, sent[3];
    mpos_arrivals arrived;
    size_t got;
    char byte;
    int last;

    ok(mpos_channel(&left, &right, NULL));
    sent[0] = sent[1] = sent[2] = left;
    ok(send_text(left, "x", sent, 3));
    ok(send_text(left, "y", NULL, 0));
    last = dup(2);
    use_up_descriptors();
    close(last);
    ok(mpos_recv_handles(right, &(mpos_room){&byte, 1}, 1, &got, &arrived));
    cr_assert_eq(byte, 'x', "the bytes have room");
    cr_assert(arrived.is_cut);
    close_arrived(&arrived);
    ok(mpos_recv_handles(right, &(mpos_room){&byte, 1}, 1, &got, &arrived));
    cr_assert_not(arrived.is_cut);
    cr_assert_eq(byte, 'y', "the next message is whole");
    cr_assert_eq(dup(2), last, "it is free again");
    allow_descriptors();
}

static void use_everything_once(void)
{
    mpos_handle left, right;
    mpos_process process;
    mpos_spawn_options options = {.program = "/no/such/program"};
    bool is_child;

    cr_assert_eq(run("exit", 4), 4);
    ok(mpos_fork(&process, &is_child));
    if (is_child)
        _exit(0);
    end_of(&process);
    ok(mpos_attach(&process, getpid(), 0));
    mpos_process_close(&process);
    cr_assert_eq(mpos_attach(&process, getpid(), 1), MP_ENOTFOUND);
    if (mpos_spawn(&process, &options) == MP_OK)
        end_of(&process);
    ok(mpos_channel(&left, &right, NULL));
    mpos_close(left);
    mpos_close(right);
    ok(mpos_memory_create(10, 0, &left));
    mpos_close(left);
}

Test(os_process, nothing_is_left_behind)
{
    size_t before;

    use_everything_once();
    before = support_open_handles();
    for (int i = 0; i < 20; i++)
        use_everything_once();
    cr_assert_eq(support_open_handles(), before);
    cr_assert_not(support_has_children());
    cr_assert_eq(support_memory_names(), 0U);
}

/* -- Memory with a name ---------------------------------------------------- */

enum { IMAGE_SIZE = 300000 };

static char own_name[64];

/* Where the file of that name is. */
static const char *named_path(void)
{
    static char path[128];

    snprintf(path, sizeof(path), "%s/multiproc.%s",
             access("/dev/shm", R_OK | W_OK | X_OK) == 0 ? "/dev/shm" : "/tmp",
             own_name);
    return path;
}

static void set_up_name(void)
{
    snprintf(own_name, sizeof(own_name), "unit_os_posix-%ld", (long)getpid());
}

static mp_error create_named(unsigned permissions, mpos_handle *handle)
{
    return mpos_named_create(own_name, (mpos_bytes){"image", 6}, 0, permissions,
                             handle);
}

TestSuite(os_named, .init = set_up_name);

Test(os_named, permissions_are_those_asked_for_whatever_the_umask)
{
    static const unsigned permissions[] = {0600, 0660, 0666, 0644};
    mode_t before = umask(077);

    for (size_t i = 0; i < sizeof(permissions) / sizeof(permissions[0]); i++) {
        struct stat status;
        mpos_handle made;

        ok(create_named(permissions[i], &made));
        cr_assert_eq(stat(named_path(), &status), 0);
        cr_assert_eq(status.st_mode & 07777, permissions[i]);
        cr_assert_eq(fcntl((int)made, F_GETFD), FD_CLOEXEC);
        mpos_close(made);
        ok(mpos_named_unlink(own_name, true));
    }
    umask(before);
}

static void check_is_none(void)
{
    mpos_handle opened = 42;

    cr_assert_eq(mpos_named_open(own_name, &opened), MP_EPROTO, "%s",
                 mp_error_message());
    cr_assert_not_null(strstr(mp_error_message(), named_path()));
    cr_assert_eq(opened, 42);
    cr_assert_eq(create_named(0600, &opened), MP_EEXIST);
    cr_assert_eq(opened, 42);
}

Test(os_named, what_is_no_file_is_not_opened)
{
    const char *path = named_path();

    cr_assert_eq(mkdir(path, 0700), 0);
    check_is_none();
    cr_assert_eq(rmdir(path), 0);
    cr_assert_eq(mkfifo(path, 0600), 0);
    check_is_none();
    ok(mpos_named_unlink(own_name, false));
    cr_assert_eq(symlink("/dev/null", path), 0);
    check_is_none();
    ok(mpos_named_unlink(own_name, false));
}

/* context: an int for each mpos_named_use. */
static mp_error count_own(void *context, const char *name, mpos_named_use use)
{
    int *counts = context;

    if (strcmp(name, own_name) == 0)
        counts[use]++;
    return MP_OK;
}

Test(os_named, what_is_no_file_is_not_listed)
{
    int counts[3] = {0};

    cr_assert_eq(mkfifo(named_path(), 0600), 0);
    ok(mpos_named_list(count_own, counts));
    cr_assert_eq(counts[0] + counts[1] + counts[2], 0);
    ok(mpos_named_unlink(own_name, false));
}

static void unlink_plainly(void *argument)
{
    mpi_atomic32 *has_ended = argument;
    mp_error error = mpos_named_unlink(own_name, false);

    mpi_atomic32_store(has_ended, error == MP_ENOTFOUND ? 1 : 2);
}

Test(os_named, plain_unlink_waits_for_one_who_removes_what_is_unused)
{
    static mpi_atomic32 has_ended;
    int64_t deadline = mpos_now() + SECONDS(20);
    mpos_thread thread;
    mpos_handle made;
    int file;

    ok(create_named(0600, &made));
    mpos_close(made);
    file = open(named_path(), O_RDWR | O_CLOEXEC);
    /* As who removes it holds it, between the look and unlink(). */
    cr_assert_eq(flock(file, LOCK_EX), 0);
    ok(mpos_thread_start(unlink_plainly, &has_ended, &thread));
    mpos_sleep_until(mpos_now() + MILLISECONDS(100));
    cr_assert_eq(mpi_atomic32_load(&has_ended), 0U);
    cr_assert_eq(unlink(named_path()), 0);
    close(file);
    while (mpi_atomic32_load(&has_ended) == 0 && mpos_now() < deadline)
        mpos_sleep_until(mpos_now() + MILLISECONDS(1));
    cr_assert_eq(mpi_atomic32_load(&has_ended), 1U, "it was gone");
    mpos_thread_join(thread);
}

/* As a user who is not root: nobody. */
static int use_what_is_forbidden(void)
{
    mpos_handle opened;
    int counts[3] = {0};

    if (setgid(65534) != 0 || setuid(65534) != 0)
        return 1;
    if (mpos_named_open(own_name, &opened) != MP_EACCES ||
        mpos_named_unlink(own_name, true) != MP_EACCES ||
        mpos_named_unlink(own_name, false) != MP_EACCES)
        return 2;
    if (mpos_named_list(count_own, counts) != MP_OK)
        return 3;
    return counts[MPOS_NAMED_FOREIGN] == 1 ? 0 : 4;
}

Test(os_named, what_others_may_not_open_is_foreign_to_them)
{
    mpos_process child;
    mpos_handle made;
    bool is_child;

    if (geteuid() != 0)
        cr_skip_test("only root can be somebody else");
    ok(create_named(0600, &made));
    mpos_close(made);
    ok(mpos_fork(&child, &is_child));
    if (is_child)
        _exit(use_what_is_forbidden());
    cr_assert_eq(end_of(&child), 0);
    ok(mpos_named_unlink(own_name, true));
}

Test(os_named, forked_child_keeps_what_its_parent_has_open)
{
    mpos_process child;
    mpos_handle made, reader, writer;
    bool is_child;

    ok(create_named(0600, &made));
    ok(mpos_pipe(&reader, &writer));
    ok(mpos_fork(&child, &is_child));
    if (is_child) {
        mpos_close(writer);
        wait_for_end_of((int)reader);
        _exit(0);
    }
    mpos_close(made);
    cr_assert_eq(mpos_named_unlink(own_name, true), MP_ESTATE);
    mpos_close(writer);
    cr_assert_eq(end_of(&child), 0);
    ok(mpos_named_unlink(own_name, true));
    mpos_close(reader);
}

static size_t count_drafts(void)
{
    return support_shared_names(".multiproc-");
}

Test(os_named, all_of_it_has_its_place_though_nothing_was_written)
{
    const size_t size = (size_t)1 << 25;
    struct stat status;
    mpos_handle made;

    ok(mpos_named_create(own_name, (mpos_bytes){"image", 6}, size, 0600,
                         &made));
    cr_assert_eq(stat(named_path(), &status), 0);
    cr_assert_eq((size_t)status.st_size, size);
    cr_assert_geq((size_t)status.st_blocks * 512, size);
    mpos_close(made);
    ok(mpos_named_unlink(own_name, true));
    cr_assert_eq(mpos_named_create(own_name, (mpos_bytes){"image", 6},
                                   SIZE_MAX / 4, 0600, &made),
                 MP_ENOSPC);
    cr_assert_eq(mpos_named_unlink(own_name, false), MP_ENOTFOUND);
    cr_assert_eq(count_drafts(), 0U);
}

/* A file that its maker would have given a name. */
static void leave_draft(long long pid, unsigned long long start_time,
                        char path[128])
{
    int file;

    snprintf(path, 128, "%.*s.multiproc-%lld-%llu-7",
             (int)(strrchr(named_path(), '/') + 1 - named_path()), named_path(),
             pid, start_time);
    file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    cr_assert_geq(file, 0);
    close(file);
}

Test(os_named, listing_removes_what_killed_creators_left)
{
    char dead[128], reused[128], alive[128], locked[128];
    uint64_t own = 0;
    int counts[3] = {0};
    int lock;

    ok(mpos_start_time(getpid(), &own));
    leave_draft(0x7ffffffc, 5, dead);
    leave_draft(getpid(), own + 1, reused);
    leave_draft(getpid(), own, alive);
    leave_draft(0x7ffffffb, 5, locked);
    lock = open(locked, O_RDWR | O_CLOEXEC);
    cr_assert_eq(flock(lock, LOCK_SH), 0);
    ok(mpos_named_list(count_own, counts));
    cr_assert_neq(access(dead, F_OK), 0);
    cr_assert_neq(access(reused, F_OK), 0, "its number is another's");
    cr_assert_eq(access(alive, F_OK), 0);
    cr_assert_eq(access(locked, F_OK), 0, "of another container");
    close(lock);
    ok(mpos_named_list(count_own, counts));
    cr_assert_neq(access(locked, F_OK), 0);
    unlink(alive);
}

Test(os_named, no_descriptor_left_is_an_error_that_leaves_nothing)
{
    mpos_handle made = 42;
    mpos_handle opened = 42;
    int counts[3] = {0};

    ok(create_named(0600, &made));
    mpos_close(made);
    made = 42;
    use_up_descriptors();
    check_full(mpos_named_open(own_name, &opened));
    check_full(mpos_named_unlink(own_name, true));
    check_full(mpos_named_list(count_own, counts));
    ok(mpos_named_unlink(own_name, false));
    check_full(create_named(0600, &made));
    cr_assert_eq(made, 42);
    cr_assert_eq(opened, 42);
    allow_descriptors();
    cr_assert_eq(mpos_named_unlink(own_name, false), MP_ENOTFOUND);
    cr_assert_eq(count_drafts(), 0U);
}

static void limit_file_size(rlim_t size)
{
    struct rlimit limit;

    if (support_has_valgrind())
        cr_skip_test("valgrind does not keep to limits");
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = size;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* In a process of its own: its output is files, too. What it has open, and a
 * signal, would tell. */
static int create_without_room(void)
{
    static unsigned char image[IMAGE_SIZE];
    mpos_handle made = 42;
    mpos_handle memory = 42;
    size_t before = support_open_handles();

    limit_file_size(IMAGE_SIZE / 2);
    if (mpos_named_create(own_name, (mpos_bytes){image, sizeof(image)}, 0, 0600,
                          &made) != MP_ENOSPC)
        return 1;
    if (made != 42 || support_open_handles() != before)
        return 2;
    if (mpos_named_open(own_name, &made) != MP_ENOTFOUND)
        return 3;
    if (mpos_memory_create(4096, 0, &memory) != MP_OK)
        return 4;
    if (mpos_memory_grow(memory, 4096, IMAGE_SIZE) != MP_ENOSPC ||
        mpos_memory_create(IMAGE_SIZE, 0, &made) != MP_ENOSPC)
        return mpos_system.memory_grows ? 5 : 0;
    return made == 42 ? 0 : 6;
}

Test(os_named, no_room_is_an_error_without_a_signal_that_leaves_nothing)
{
    mpos_process child;
    bool is_child;

    if (support_has_valgrind())
        cr_skip_test("valgrind does not keep to limits");
    ok(mpos_fork(&child, &is_child));
    if (is_child)
        _exit(create_without_room());
    cr_assert_eq(end_of(&child), 0);
    cr_assert_eq(count_drafts(), 0U);
}

static void use_names_once(void)
{
    mpos_handle made, opened;
    int counts[3] = {0};

    ok(create_named(0600, &made));
    cr_assert_eq(create_named(0600, &opened), MP_EEXIST);
    ok(mpos_named_open(own_name, &opened));
    ok(mpos_named_list(count_own, counts));
    cr_assert_eq(counts[MPOS_NAMED_IN_USE], 1);
    cr_assert_eq(mpos_named_unlink(own_name, true), MP_ESTATE);
    mpos_close(made);
    mpos_close(opened);
    ok(mpos_named_unlink(own_name, true));
    cr_assert_eq(mpos_named_open(own_name, &opened), MP_ENOTFOUND);
}

Test(os_named, nothing_is_left_behind)
{
    size_t before;

    use_names_once();
    before = support_open_handles();
    for (int i = 0; i < 20; i++)
        use_names_once();
    cr_assert_eq(support_open_handles(), before);
    cr_assert_eq(count_drafts(), 0U);
    cr_assert_neq(access(named_path(), F_OK), 0);
}

/* -- Waking from a signal handler ------------------------------------------ */

static mpos_word *rung;

static void ring(int number)
{
    int before = errno;

    (void)number;
    errno = EDOM;
    mpi_atomic32_store(&rung->value, 1);
    mpos_word_wake(rung, MPOS_NONE, UINT32_MAX);
    if (errno != EDOM)
        _exit(97);
    errno = before;
}

Test(os_word, signal_handler_wakes_and_keeps_errno)
{
    static mpos_word word;
    const struct itimerval soon = {.it_value = {.tv_usec = 20000}};
    int64_t deadline = mpos_now() + SECONDS(10);

    rung = &word;
    signal(SIGALRM, ring);
    setitimer(ITIMER_REAL, &soon, NULL);
    while (mpi_atomic32_load(&word.value) == 0)
        cr_assert(mpos_word_wait(&word, MPOS_NONE, 0, deadline));
}

Test(os_word, signals_do_not_lengthen_a_sleep)
{
    static mpos_word word;
    const struct itimerval often = {.it_value = {.tv_usec = 5000},
                                    .it_interval = {.tv_usec = 5000}};
    const struct itimerval never = {.it_value = {.tv_usec = 0}};
    int64_t deadline = mpos_now() + MILLISECONDS(200);

    signal(SIGALRM, count_alarm);
    setitimer(ITIMER_REAL, &often, NULL);
    while (mpos_word_wait(&word, MPOS_NONE, 0, deadline))
        ;
    setitimer(ITIMER_REAL, &never, NULL);
    cr_assert_geq(mpos_now(), deadline);
    cr_assert_lt(mpos_now(), deadline + SECONDS(5));
}

/* See tests/support/osync_linux.c. */
Test(os_word, stand_in_for_apples_calls_is_called_where_there_is_one)
{
    static mpos_word word;
    const _Atomic unsigned *calls = dlsym(RTLD_DEFAULT, "support_osync_calls");
    unsigned before;

    if (calls == NULL)
        cr_skip_test("not built with it");
    before = *calls;
    mpos_word_wait(&word, MPOS_NONE, 0, mpos_now() + MILLISECONDS(1));
    mpos_word_wake(&word, MPOS_NONE, 2);
    mpos_word_wake(&word, MPOS_NONE, UINT32_MAX);
    cr_assert_eq(*calls - before, 3U);
}

/* -- The end of a thread, and forks ---------------------------------------- */

static mpi_atomic32 first_ends, second_ends, rounds;

static void end_first(void)
{
    mpi_atomic32_add(&first_ends, 1);
}

static void end_second(void)
{
    mpi_atomic32_add(&second_ends, 1);
}

/* Asks again while it is told: once more. */
static void end_twice(void)
{
    if (mpi_atomic32_add(&rounds, 1) == 0)
        mpos_at_thread_end(end_twice);
}

static void *ask_for_ends(void *argument)
{
    ok(mpos_at_thread_end(end_first));
    ok(mpos_at_thread_end(end_second));
    ok(mpos_at_thread_end(end_first));
    ok(mpos_at_thread_end(end_twice));
    return argument;
}

Test(os_thread, each_function_is_told_of_the_end_once_or_as_it_asks)
{
    pthread_t thread;

    cr_assert_eq(pthread_create(&thread, NULL, ask_for_ends, NULL), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(mpi_atomic32_load(&first_ends), 1U);
    cr_assert_eq(mpi_atomic32_load(&second_ends), 1U);
    cr_assert_eq(mpi_atomic32_load(&rounds), 2U);
}

static void *hang_after_asking(void *argument)
{
    ok(mpos_at_thread_end(end_first));
    mpi_atomic32_add(&rounds, 1);
    pause();
    return argument;
}

Test(os_thread, cancelled_thread_has_ended_as_well)
{
    pthread_t thread;

    cr_assert_eq(pthread_create(&thread, NULL, hang_after_asking, NULL), 0);
    while (mpi_atomic32_load(&rounds) == 0)
        mpos_sleep_until(mpos_now() + MILLISECONDS(1));
    cr_assert_eq(pthread_cancel(thread), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(mpi_atomic32_load(&first_ends), 1U);
}

static void exit_when_told(void *argument)
{
    (void)argument;
    while (mpi_atomic32_load(&first_ends) == 0)
        mpos_sleep_until(mpos_now() + MILLISECONDS(1));
    _exit(7);
}

Test(os_thread, main_thread_may_end_before_its_process)
{
    mpos_process child;
    bool is_child;

    ok(mpos_fork(&child, &is_child));
    if (is_child) {
        /* It ends the process: nobody is left to join it. */
        ok(mpos_thread_start(exit_when_told, NULL, NULL));
        ok(mpos_at_thread_end(end_first));
        pthread_exit(NULL);
    }
    cr_assert_eq(end_of(&child), 7);
}

static int forks_seen;

static void see_fork(void)
{
    forks_seen++;
}

Test(os_fork, every_child_is_told_and_its_parent_is_not)
{
    mpos_process child;
    bool is_child;
    pid_t pid;
    int status = 0;

    ok(mpos_at_fork(see_fork));
    ok(mpos_fork(&child, &is_child));
    if (is_child)
        _exit(forks_seen == 1 ? 5 : 6);
    cr_assert_eq(end_of(&child), 5);
    pid = fork();
    if (pid == 0)
        _exit(forks_seen == 1 ? 5 : 6);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(WEXITSTATUS(status), 5);
    cr_assert_eq(forks_seen, 0);
}
