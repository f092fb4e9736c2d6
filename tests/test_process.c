/* SPDX-License-Identifier: MIT */
/* Processes, under every start method. */
#include "support/check.h"
#include "support/waiting.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int counter = 100;

/* -- Targets --------------------------------------------------------------- */

static int return_argument(mp_args *args)
{
    return (int)mp_arg_int(args, 0);
}

static int exit_with_argument(mp_args *args)
{
    mp_exit((int)mp_arg_int(args, 0));
}

static int check_arguments(mp_args *args)
{
    const mp_obj *list = mp_arg_obj(args, 3);
    size_t size, length = 0;
    const void *bytes = mp_arg_bytes(args, 2, &size);

    if (mp_args_count(args) != 5 || strcmp(mp_arg_str(args, 0), "bob") != 0)
        return 1;
    if (mp_arg_float(args, 1) != 2.5 || size != 2 ||
        memcmp(bytes, "\0x", 2) != 0)
        return 2;
    if (mp_obj_len(list, &length) != MP_OK || length != 3)
        return 3;
    if (mp_arg_function(args, 4) != return_argument)
        return 4;
    if (mp_kwarg_int(args, "times", 1) != 7 ||
        mp_kwarg_int(args, "other", -1) != -1)
        return 5;
    return strcmp(mp_kwarg_str(args, "word", ""), "hé") == 0 ? 0 : 6;
}

static int change_counter(mp_args *args)
{
    (void)args;
    return counter++ == 100 && counter == 101 ? 0 : 1;
}

static int send_identity(mp_args *args)
{
    mp_process *self = mp_current_process();
    mp_process *parent = mp_parent_process();

    mp_check(mp_connection_send(
        mp_arg_connection(args, 0),
        MP_TUPLE(mp_process_name(self), mp_process_pid(self), mp_getpid(),
                 mp_process_name(parent), mp_process_pid(parent),
                 mp_process_is_alive(parent), mp_process_is_daemon(self))));
    return 0;
}

static int read_stdin(mp_args *args)
{
    (void)args;
    return getchar() == EOF ? 0 : 1;
}

static int start_named_child(mp_args *args)
{
    mp_process *child;

    mp_check(mp_process_create(&child, send_identity,
                               MP_ARGS(mp_arg_connection(args, 0)), NULL));
    mp_check(mp_process_start(child));
    mp_check(mp_process_join(child, MP_FOREVER));
    mp_check(mp_process_close(child));
    return 0;
}

/* -- Helpers --------------------------------------------------------------- */

static mp_obj *receive(mp_connection *connection)
{
    mp_obj *obj = NULL;
    mp_error err = mp_connection_recv(connection, &obj);

    cr_assert_eq(err, MP_OK, "recv: %d %s", (int)err, mp_error_message());
    return obj;
}

static int64_t int_at(const mp_obj *obj, int64_t index)
{
    const mp_obj *item;
    int64_t value = -1;

    cr_assert_eq(mp_obj_item(obj, index, &item), MP_OK);
    cr_assert_eq(mp_obj_as_int(item, &value), MP_OK);
    return value;
}

static const char *str_at(const mp_obj *obj, int64_t index)
{
    const mp_obj *item;
    const char *value = "";

    cr_assert_eq(mp_obj_item(obj, index, &item), MP_OK);
    cr_assert_eq(mp_obj_as_str(item, &value, NULL), MP_OK);
    return value;
}

/* -- Starting -------------------------------------------------------------- */

METHOD_TEST(process, result_of_the_target_is_the_exit_code)
{
    cr_assert_eq(support_run(method, return_argument, MP_ARGS(0)), 0);
    cr_assert_eq(support_run(method, return_argument, MP_ARGS(42)), 42);
    cr_assert_eq(support_run(method, exit_with_argument, MP_ARGS(43)), 43);
}

METHOD_TEST(process, arguments_travel_by_position_and_by_name)
{
    mp_process_options options = {
        .start_method = method,
        .kwargs = MP_KWARGS("times", 7, "word", "hé"),
    };
    mp_process *child;

    cr_assert_eq(mp_process_create(&child, check_arguments,
                                   MP_ARGS("bob", 2.5, MP_BYTES("\0x", 2),
                                           MP_LIST(42, MP_NONE, "hello"),
                                           return_argument),
                                   &options),
                 MP_OK);
    cr_assert_eq(mp_process_start(child), MP_OK, "%s", mp_error_message());
    cr_assert_eq(support_finish(child), 0);
}

METHOD_TEST(process, memory_is_not_shared)
{
    cr_assert_eq(support_run(method, change_counter, NULL), 0);
    cr_assert_eq(counter, 100);
}

METHOD_TEST(process, child_knows_who_it_and_its_parent_are)
{
    mp_connection *ours, *theirs;
    mp_process *child;
    mp_obj *said;

    cr_assert_eq(mp_pipe(&ours, &theirs, NULL), MP_OK);
    child = support_start(method, send_identity, MP_ARGS(theirs));
    said = receive(ours);
    cr_assert_str_eq(str_at(said, 0), mp_process_name(child));
    cr_assert_eq(int_at(said, 1), mp_process_pid(child));
    cr_assert_eq(int_at(said, 2), mp_process_pid(child));
    cr_assert_str_eq(str_at(said, 3), "MainProcess");
    cr_assert_eq(int_at(said, 4), mp_getpid());
    cr_assert_eq(int_at(said, 5), 1, "the parent is alive");
    cr_assert_eq(int_at(said, 6), 0, "no daemon");
    cr_assert_eq(support_finish(child), 0);
    mp_obj_unref(said);
    mp_connection_close(ours);
    mp_connection_close(theirs);
}

METHOD_TEST(process, names_tell_the_line_of_descent)
{
    static const char *const prefixes[] = {"Process", "SpawnProcess",
                                           "ForkProcess", "ForkServerProcess"};
    char name[64];
    mp_connection *ours, *theirs;
    mp_process *child;
    mp_obj *said;

    cr_assert_eq(mp_pipe(&ours, &theirs, NULL), MP_OK);
    child = support_start(method, start_named_child, MP_ARGS(theirs));
    snprintf(name, sizeof(name), "%s-1", prefixes[method]);
    cr_assert_str_eq(mp_process_name(child), name);
    said = receive(ours);
    cr_assert_str_eq(str_at(said, 0), "Process-1:1");
    cr_assert_str_eq(str_at(said, 3), name);
    cr_assert_eq(support_finish(child), 0);
    mp_obj_unref(said);
    mp_connection_close(ours);
    mp_connection_close(theirs);
}

METHOD_TEST(process, child_reads_nothing_from_stdin)
{
    cr_assert_eq(support_run(method, read_stdin, NULL), 0);
}

/* -- Waiting and ending ---------------------------------------------------- */

METHOD_TEST(process, join_gives_up_after_timeout)
{
    mp_connection *ours;
    mp_process *child = start_waiting(method, &ours);
    double before = mp_monotonic();

    cr_assert_eq(mp_process_join(child, 0.05), MP_TIMED_OUT);
    cr_assert_geq(mp_monotonic() - before, 0.05);
    cr_assert_eq(mp_process_join(child, 0), MP_TIMED_OUT);
    cr_assert_eq(mp_process_join(child, -1), MP_TIMED_OUT);
    cr_assert(mp_process_is_alive(child));
    cr_assert_eq(mp_process_exitcode(child, NULL), MP_PENDING);
    cr_assert_eq(mp_process_close(child), MP_ESTATE);
    mp_connection_close(ours);
    cr_assert_eq(support_finish(child), 3);
}

METHOD_TEST(process, terminated_child_has_exit_code_minus_15)
{
    mp_connection *ours;
    mp_process *child = start_waiting(method, &ours);

    cr_assert_eq(mp_process_terminate(child), MP_OK, "%s", mp_error_message());
    cr_assert_eq(mp_process_join(child, 10), MP_OK);
    cr_assert_not(mp_process_is_alive(child));
    cr_assert_eq(mp_process_terminate(child), MP_OK, "it has ended already");
    cr_assert_eq(support_finish(child), -15);
    mp_connection_close(ours);
}

METHOD_TEST(process, killed_child_has_exit_code_minus_9)
{
    mp_connection *ours;
    mp_process *child = start_waiting(method, &ours);

    cr_assert_eq(mp_process_kill(child), MP_OK, "%s", mp_error_message());
    cr_assert_eq(support_finish(child), -9);
    mp_connection_close(ours);
}

METHOD_TEST(process, phase_tells_a_death_in_the_target_from_its_return)
{
    mp_connection *ours;
    mp_process *child = start_waiting(method, &ours);

    cr_assert_eq(mp_process_phase(child), MP_PHASE_TARGET);
    cr_assert_eq(mp_process_kill(child), MP_OK);
    cr_assert_eq(mp_process_join(child, 10), MP_OK);
    cr_assert_eq(mp_process_phase(child), MP_PHASE_TARGET);
    mp_process_close(child);
    mp_connection_close(ours);
    child = support_start(method, return_argument, MP_ARGS(5));
    cr_assert_eq(mp_process_join(child, 10), MP_OK);
    cr_assert_eq(mp_process_phase(child), MP_PHASE_FINISHED);
    cr_assert_eq(support_finish(child), 5);
}

METHOD_TEST(process, suspended_child_answers_only_after_resume)
{
    mp_connection *ours;
    mp_process *child = start_waiting(method, &ours);

    cr_assert_eq(mp_process_suspend(child), MP_OK, "%s", mp_error_message());
    mp_connection_close(ours);
    cr_assert_eq(mp_process_join(child, 0.2), MP_TIMED_OUT);
    cr_assert_eq(mp_process_resume(child), MP_OK, "%s", mp_error_message());
    cr_assert_eq(support_finish(child), 3);
}

METHOD_TEST(process, active_children_are_those_that_run)
{
    mp_connection *ours[2];
    mp_process *children[2], *active[4];
    size_t count;

    for (int i = 0; i < 2; i++)
        children[i] = start_waiting(method, &ours[i]);
    cr_assert_eq(mp_active_children(active, 4, &count), MP_OK);
    cr_assert_eq(count, 2);
    cr_assert_eq(active[0], children[0]);
    cr_assert_eq(active[1], children[1]);
    mp_connection_close(ours[0]);
    cr_assert_eq(support_finish(children[0]), 3);
    cr_assert_eq(mp_active_children(active, 1, &count), MP_OK);
    cr_assert_eq(count, 1);
    cr_assert_eq(active[0], children[1]);
    mp_connection_close(ours[1]);
    cr_assert_eq(support_finish(children[1]), 3);
    cr_assert_eq(mp_active_children(NULL, 0, &count), MP_OK);
    cr_assert_eq(count, 0);
}

/* -- Wrong use ------------------------------------------------------------- */

METHOD_TEST(process, argument_that_cannot_travel_leaves_no_process)
{
    mp_process_options options = {.start_method = method};
    mp_process *child;
    size_t count;

    cr_assert_eq(mp_process_create(&child, return_argument,
                                   MP_ARGS((void *)&counter), &options),
                 MP_OK);
    cr_assert_eq(mp_process_start(child), MP_EPICKLE);
    cr_assert_not_null(strstr(mp_error_message(), "can't pickle pointer"));
    cr_assert_eq(mp_process_phase(child), MP_PHASE_INITIAL);
    cr_assert_eq(mp_active_children(NULL, 0, &count), MP_OK);
    cr_assert_eq(count, 0);
    cr_assert_eq(mp_process_close(child), MP_OK);
}

METHOD_TEST(process, cannot_be_started_twice)
{
    mp_process *child = support_start(method, return_argument, MP_ARGS(1));

    cr_assert_eq(mp_process_start(child), MP_ESTATE);
    cr_assert_eq(support_finish(child), 1);
}

METHOD_TEST(process, that_has_ended_is_no_active_child)
{
    mp_connection *ours, *theirs;
    mp_process *child, *active[4];
    mp_obj *obj = NULL;
    size_t count = 77;

    cr_assert_eq(mp_pipe(&ours, &theirs, NULL), MP_OK);
    child = support_start(method, send_identity, MP_ARGS(theirs));
    cr_assert_eq(mp_active_children(active, 4, &count), MP_OK);
    cr_assert_leq(count, 1U);
    cr_assert_eq(mp_connection_close(theirs), MP_OK);
    cr_assert_eq(mp_connection_recv(ours, &obj), MP_OK);
    mp_obj_unref(obj);
    cr_assert_eq(mp_connection_recv(ours, &obj), MP_EEOF);
    for (int i = 0; count > 0 && i < 2000; i++) {
        mp_sleep(0.01); /* it has closed its end, and is about to end */
        cr_assert_eq(mp_active_children(active, 4, &count), MP_OK);
    }
    cr_assert_eq(count, 0U, "nobody has joined it");
    cr_assert_eq(support_finish(child), 0);
    cr_assert_eq(mp_connection_close(ours), MP_OK);
}

Test(process, cannot_be_joined_before_start)
{
    mp_process *child;

    cr_assert_eq(mp_process_create(&child, return_argument, MP_ARGS(1), NULL),
                 MP_OK);
    cr_assert_eq(mp_process_join(child, MP_FOREVER), MP_ESTATE);
    cr_assert_eq(mp_process_terminate(child), MP_ESTATE);
    cr_assert_not(mp_process_is_alive(child));
    cr_assert_eq(mp_process_exitcode(child, NULL), MP_PENDING);
    cr_assert_eq(mp_process_close(child), MP_OK);
}

/* Not before it has heard that its parent is no more does it ask for it. */
static int tell_of_parent(mp_args *args)
{
    mp_connection *connection = mp_arg_connection(args, 0);
    mp_process *parent = mp_parent_process();
    mp_wait_item item = MP_WAIT(parent);
    mp_handle sentinel;
    mp_obj *ignored;
    int64_t asked = mp_arg_int(args, 1);
    bool is_right;

    mp_check(mp_connection_send(connection, MP_NONE));
    mp_check(mp_connection_recv(connection, &ignored));
    mp_obj_unref(ignored);
    if (asked == 0)
        is_right = !mp_process_is_alive(parent);
    else if (asked == 1)
        is_right = mp_process_join(parent, 20) == MP_OK;
    else if (asked == 2)
        is_right = mp_wait(&item, 1, 20) == MP_OK;
    else
        is_right = mp_process_sentinel(parent, &sentinel) != MP_OK;
    mp_check(mp_connection_send(connection, MP_BOX(is_right)));
    return 0;
}

static int start_and_wait(mp_args *args)
{
    mp_start_method method = (mp_start_method)mp_arg_int(args, 2);
    mp_connection *connection = mp_arg_connection(args, 0);

    support_start(method, tell_of_parent,
                  MP_ARGS(connection, mp_arg_int(args, 1)));
    mp_check(mp_connection_close(connection));
    for (;;)
        mp_sleep(1);
}

METHOD_TEST(process, child_can_ask_for_a_parent_that_is_no_more)
{
    for (int asked = 0; asked < 4; asked++) {
        mp_connection *ours, *theirs;
        mp_process *child;
        mp_obj *obj;
        bool is_right = false;

        cr_assert_eq(mp_pipe(&ours, &theirs, NULL), MP_OK);
        child = support_start(method, start_and_wait,
                              MP_ARGS(theirs, asked, (int)method));
        cr_assert_eq(mp_connection_close(theirs), MP_OK);
        cr_assert_eq(mp_connection_recv(ours, &obj), MP_OK);
        mp_obj_unref(obj);
        cr_assert_eq(mp_process_kill(child), MP_OK);
        (void)support_finish(child);
        cr_assert_eq(mp_connection_send(ours, MP_NONE), MP_OK);
        cr_assert_eq(mp_connection_recv(ours, &obj), MP_OK);
        cr_assert_eq(mp_obj_as_bool(obj, &is_right), MP_OK);
        mp_obj_unref(obj);
        cr_assert(is_right, "question %d", asked);
        cr_assert_eq(mp_connection_close(ours), MP_OK);
    }
}

static int ask_about_ourselves(mp_args *args)
{
    mp_process *all[] = {mp_current_process(), mp_parent_process()};
    int code = 77;
    mp_handle sentinel;

    (void)args;
    for (int i = 0; i < 2; i++) {
        if (!mp_process_is_alive(all[i]) ||
            mp_process_exitcode(all[i], &code) != MP_PENDING || code != 77 ||
            mp_process_phase(all[i]) != MP_PHASE_TARGET)
            return 1;
        if (mp_process_close(all[i]) != MP_ESTATE ||
            mp_process_start(all[i]) == MP_OK)
            return 2;
    }
    if (mp_process_join(all[0], 0) != MP_ESTATE ||
        mp_process_terminate(all[0]) != MP_ESTATE ||
        mp_process_kill(all[1]) != MP_ENOTCHILD ||
        mp_process_run(all[1], &code) == MP_OK)
        return 3;
    return mp_process_sentinel(all[1], &sentinel) == MP_OK ? 0 : 4;
}

METHOD_TEST(process, knows_itself_and_its_parent_but_does_not_end_them)
{
    cr_assert_eq(support_run(method, ask_about_ourselves, NULL), 0);
}

Test(process, refuses_wrong_arguments)
{
    mp_process_options unnamed = {.name = ""}, no_text = {.name = "\xff"};
    mp_process *child = NULL;
    const void *key;
    size_t size;
    mp_handle sentinel;

    cr_assert_eq(
        mp_process_create(&child, return_argument, MP_ARGS(1), &unnamed),
        MP_EINVAL);
    cr_assert_eq(
        mp_process_create(&child, return_argument, MP_ARGS(1), &no_text),
        MP_EINVAL);
    cr_assert_null(child);
    cr_assert_eq(mp_active_children(NULL, 1, &size), MP_EINVAL);
    cr_assert_eq(mp_active_children(NULL, 0, NULL), MP_EINVAL);
    cr_assert_eq((mp_process_create)(&child, return_argument, MP_ARGS(1), NULL),
                 MP_OK, "as a function, not as a macro");
    cr_assert_eq(mp_process_authkey(child, NULL, &size), MP_EINVAL);
    cr_assert_eq(mp_process_authkey(child, &key, NULL), MP_EINVAL);
    cr_assert_eq(mp_process_set_authkey(child, NULL, 1), MP_EINVAL);
    cr_assert_eq(mp_process_sentinel(child, &sentinel), MP_ESTATE);
    cr_assert_eq(mp_process_start(child), MP_OK);
    cr_assert_eq(mp_process_sentinel(child, NULL), MP_EINVAL);
    cr_assert_eq(support_finish(child), 1);
}

METHOD_TEST(process, is_set_up_before_its_start_only)
{
    mp_process *child = support_start(method, return_argument, MP_ARGS(1));
    mp_handle sentinel;
    int code = 77;

    cr_assert_eq(mp_process_set_daemon(child, true), MP_ESTATE);
    cr_assert_eq(mp_process_run(child, &code), MP_ESTATE);
    cr_assert_eq(code, 77);
    cr_assert_eq(mp_process_join(child, 20), MP_OK);
    cr_assert_eq(mp_process_sentinel(child, &sentinel), MP_ESTATE);
    cr_assert_eq(support_finish(child), 1);
}

Test(process, answers_closed_after_close)
{
    mp_process *child;
    int code;

    cr_assert_eq(mp_process_create(&child, return_argument, MP_ARGS(1), NULL),
                 MP_OK);
    cr_assert_eq(mp_process_close(child), MP_OK);
    cr_assert_eq(mp_process_start(child), MP_ECLOSED);
    cr_assert_eq(mp_process_join(child, 0), MP_ECLOSED);
    cr_assert_eq(mp_process_kill(child), MP_ECLOSED);
    cr_assert_eq(mp_process_exitcode(child, &code), MP_ECLOSED);
    cr_assert_eq(mp_process_set_authkey(child, "key", 3), MP_ECLOSED);
    cr_assert_eq(mp_process_run(child, &code), MP_ECLOSED);
    cr_assert_eq(mp_process_phase(child), MP_PHASE_INITIAL);
    cr_assert_not(mp_process_is_alive(child));
    cr_assert_str_eq(mp_process_name(child), "");
    cr_assert_eq(mp_process_close(child), MP_ECLOSED);
    cr_assert_eq(mp_process_pid(child), 0);
}
