/* SPDX-License-Identifier: MIT */
/*
 * A program that ends with everything there is to put in order: finalizers, a
 * daemon, a child that runs. It writes what happens, in the order in which it
 * happens, to the file ENDING_OUTPUT.
 *
 * ENDING_BY    how the process ends: "return", "mp_exit" or "exit"
 * ENDING_ROLE  which process does: "main", or "child" for a child of it
 * ENDING_WHAT  "order", or "text" for buffered output
 * ENDING_METHOD  the start method
 */
#include <multiproc.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CODE = 3 };

static mp_process *daemon_child, *other_child;
static mp_connection *release; /* the end that lets the child go on */

static bool is_set(const char *name, const char *value)
{
    const char *found = getenv(name);

    return found != NULL && strcmp(found, value) == 0;
}

/* Opened anew each time, so that several processes can write in turn. */
static void tell(const char *what)
{
    FILE *file = fopen(getenv("ENDING_OUTPUT"), "a");

    if (file == NULL)
        exit(90);
    fputs(what, file);
    fputc('\n', file);
    fclose(file);
}

/* -- Targets --------------------------------------------------------------- */

/* Tells its parent that it runs; then waits for what never comes. */
static int wait_for_ever(mp_args *args)
{
    mp_connection *connection = mp_arg_connection(args, 0);
    mp_obj *ignored;

    mp_check(mp_connection_send(connection, MP_NONE));
    if (mp_connection_recv(connection, &ignored) == MP_OK)
        mp_obj_unref(ignored);
    tell("the daemon was released");
    return 0;
}

/* Goes on when the parent's finalizer says so. */
static int wait_for_release(mp_args *args)
{
    mp_obj *ignored;

    mp_check(mp_connection_recv(mp_arg_connection(args, 0), &ignored));
    mp_obj_unref(ignored);
    tell("the child ends");
    return 0;
}

/* -- Finalizers ------------------------------------------------------------ */

static void tell_argument(void *text)
{
    tell(text);
}

static void look_at_daemon(void *unused)
{
    (void)unused;
    tell(mp_process_is_alive(daemon_child) ? "the daemon runs"
                                           : "the daemon has ended");
}

static void release_child(void *unused)
{
    (void)unused;
    tell("the child is released");
    mp_check(mp_connection_send(release, MP_NONE));
}

static void add(void (*function)(void *), const char *text, int priority)
{
    mp_check(
        mp_finalizer_create(NULL, function, (void *)(uintptr_t)text, priority));
}

/* -- The scene ------------------------------------------------------------- */

static mp_process *start(mp_function target, mp_connection *end,
                         mp_daemon daemon)
{
    mp_process_options options = {.daemon = daemon};
    mp_process *child;

    mp_check(mp_process_create(&child, target, MP_ARGS(end), &options));
    mp_check(mp_process_start(child));
    return child;
}

static void prepare(void)
{
    mp_connection *ours, *theirs;
    mp_obj *ignored;

    add(tell_argument, "finalizer 1, first", 1);
    add(tell_argument, "finalizer 1, last", 1);
    add(look_at_daemon, NULL, 100);
    add(release_child, NULL, 0);
    add(tell_argument, "finalizer -1", -1);
    add(look_at_daemon, NULL, -2);
    mp_check(mp_pipe(&ours, &theirs, NULL));
    daemon_child = start(wait_for_ever, theirs, MP_DAEMON_YES);
    mp_check(mp_connection_recv(ours, &ignored));
    mp_obj_unref(ignored);
    mp_check(mp_pipe(&release, &theirs, NULL));
    other_child = start(wait_for_release, theirs, MP_DAEMON_NO);
    mp_check(mp_connection_close(theirs));
}

static void exit_again(void *unused)
{
    (void)unused;
    mp_exit(CODE);
}

static int end_somehow(void)
{
    tell("the end begins");
    if (is_set("ENDING_BY", "finalizer")) {
        add(exit_again, NULL, -3);
        exit(CODE + 1);
    }
    if (is_set("ENDING_BY", "mp_exit"))
        mp_exit(CODE);
    if (is_set("ENDING_BY", "exit"))
        exit(CODE);
    return CODE;
}

static int prepare_and_end(mp_args *args)
{
    (void)args;
    prepare();
    return end_somehow();
}

static int say_more(mp_args *args)
{
    (void)args;
    printf("child;");
    return is_set("ENDING_BY", "return") ? CODE : (mp_exit(CODE), 0);
}

/* Starts a child, and gives its exit code. */
static int run(mp_function target)
{
    mp_process *child;
    int code = -1;

    mp_check(mp_process_create(&child, target, NULL, NULL));
    mp_check(mp_process_start(child));
    mp_check(mp_process_join(child, MP_FOREVER));
    mp_check(mp_process_exitcode(child, &code));
    mp_check(mp_process_close(child));
    return code;
}

/* The text is in the buffer when the child starts. */
static int write_text(void)
{
    int code;

    if (freopen(getenv("ENDING_OUTPUT"), "a", stdout) == NULL)
        return 91;
    printf("parent;");
    code = run(say_more);
    printf("end;");
    return code;
}

int main(int argc, char **argv)
{
    mp_start_method method;

    if (is_set("ENDING_WHAT", "text") && getenv("ENDING_OUTPUT") != NULL)
        if (freopen(getenv("ENDING_OUTPUT"), "a", stdout) == NULL)
            return 91;
    mp_main_guard(argc, argv);
    mp_check(mp_start_method_from_name(getenv("ENDING_METHOD"), &method));
    mp_check(mp_set_start_method(method));
    if (is_set("ENDING_WHAT", "text"))
        return write_text();
    if (is_set("ENDING_ROLE", "child"))
        return run(prepare_and_end);
    prepare();
    return end_somehow();
}
