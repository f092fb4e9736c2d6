/* SPDX-License-Identifier: MIT */
/*
 * Processes killed at any instant: parents while they start children, children
 * while they start, the fork server at work. Nobody may hang, daemons end with
 * their parent, and nothing stays behind.
 */
#include "support/check.h"
#include "support/leftover.h"
#include "support/methods.h"
#include "support/system.h"

#include "os.h"
#include "state.h"

#include <stdlib.h>
#include <string.h>

enum { MANY = 200, MOST_CHILDREN = 30, LONG_TIME = 20 };

/* How long a daemon may outlive its parent: seconds. */
static const double soon = 1;

/* -- Chance ---------------------------------------------------------------- */

/* From 0 up to limit, in seconds. */
static double random_time(double limit)
{
    uint32_t number = 0;

    cr_assert_eq(mpos_random(&number, sizeof(number)), MP_OK);
    return limit * number / 4294967296.0;
}

/* -- Targets --------------------------------------------------------------- */

static int return_zero(mp_args *args)
{
    (void)args;
    return 0;
}

/* Until the other end of its first argument is closed; the second only shows
 * that it lives. */
static int wait_for_end(mp_args *args)
{
    mp_connection *connection = mp_arg_connection(args, 0);
    mp_obj *ignored;

    while (mp_connection_recv(connection, &ignored) == MP_OK)
        mp_obj_unref(ignored);
    return 3;
}

static int say_server_and_wait(mp_args *args)
{
    mp_connection *connection = mp_arg_connection(args, 0);

    mp_check(mp_connection_send(connection, MP_BOX(mp_getppid())));
    return wait_for_end(args);
}

static void start_one(mp_start_method method, mp_daemon daemon,
                      mp_connection *release, mp_connection *life)
{
    mp_process_options options = {.start_method = method, .daemon = daemon};
    mp_process *child;

    mp_check(mp_process_create(&child, wait_for_end, MP_ARGS(release, life),
                               &options));
    mp_check(mp_process_start(child));
}

/*
 * A daemon and another child in turn, until it is killed. It says that it has
 * begun; on Windows, that it is done: killed within CreateProcess, it would
 * leave a process that never begins to run, and nobody could do anything
 * about it.
 */
static int start_for_ever(mp_args *args)
{
    mp_start_method method = (mp_start_method)mp_arg_int(args, 0);
    mp_connection *release = mp_arg_connection(args, 1);
    mp_connection *life_of_daemons = mp_arg_connection(args, 2);
    mp_connection *life_of_others = mp_arg_connection(args, 3);

    int64_t count = mp_arg_int(args, 4);

    if (mpos_system.has_fork)
        mp_check(mp_connection_send(life_of_daemons, MP_NONE));
    for (int64_t i = 0; i < count; i++) {
        bool is_daemon = i % 2 == 0;

        start_one(method, is_daemon ? MP_DAEMON_YES : MP_DAEMON_NO, release,
                  is_daemon ? life_of_daemons : life_of_others);
    }
    if (!mpos_system.has_fork)
        mp_check(mp_connection_send(life_of_daemons, MP_NONE));
    mp_sleep(LONG_TIME);
    return 1;
}

/* -- Helpers --------------------------------------------------------------- */

/* Nobody holds the other end any more, within seconds from now. */
static void expect_end_of_file(mp_connection *connection, double seconds,
                               const char *what)
{
    mpos_wait_item item = {.kind = MPOS_WAIT_READ};
    mp_obj *obj = NULL;
    mp_error err;

    cr_assert_eq(mp_connection_fileno(connection, &item.handle), MP_OK);
    err = mpos_wait(&item, 1, mpi_deadline(seconds));
    cr_assert_eq(err, MP_OK, "%s still there after %g s", what, seconds);
    err = mp_connection_recv(connection, &obj);
    cr_assert_eq(err, MP_EEOF, "%s: %d", what, (int)err);
}

static void make_one_way_pipe(mp_connection **reader, mp_connection **writer)
{
    mp_pipe_options options = {.is_simplex = true};

    cr_assert_eq(mp_pipe(reader, writer, &options), MP_OK);
}

/* Attaches to a process that is not our child, and kills it. */
static void kill_stranger(int64_t pid)
{
    mpos_process process;
    mp_error err = mpos_attach(&process, pid, 0);

    if (err == MP_ENOTFOUND)
        return;
    cr_assert_eq(err, MP_OK, "%s", mp_error_message());
    cr_assert_eq(mpos_send_signal(&process, MPOS_KILL), MP_OK);
    mpos_process_close(&process);
}

/* -- The parent is killed -------------------------------------------------- */

static void kill_parent_once(mp_start_method method)
{
    mp_connection *release, *released, *daemons, *daemons_end, *others,
        *others_end;
    int count = mpos_system.has_fork ? MOST_CHILDREN : (int)random_time(8);
    mp_process *parent;
    mp_obj *started;

    make_one_way_pipe(&released, &release);
    make_one_way_pipe(&daemons, &daemons_end);
    make_one_way_pipe(&others, &others_end);
    parent = support_start(
        MP_START_SPAWN, start_for_ever,
        MP_ARGS((int)method, released, daemons_end, others_end, count));
    mp_connection_close(released);
    mp_connection_close(daemons_end);
    mp_connection_close(others_end);
    cr_assert_eq(mp_connection_recv(daemons, &started), MP_OK);
    mp_obj_unref(started);
    mp_sleep(random_time(0.02));
    cr_assert_eq(mp_process_kill(parent), MP_OK);
    cr_assert_eq(mp_process_join(parent, LONG_TIME), MP_OK);
    expect_end_of_file(daemons, soon, "a daemon is");
    mp_connection_close(release);
    expect_end_of_file(others, LONG_TIME, "a child is");
    cr_assert_eq(support_finish(parent), -9);
    mp_connection_close(daemons);
    mp_connection_close(others);
}

static void kill_parents(mp_start_method method)
{
    size_t handles;

    kill_parent_once(method);
    handles = support_open_handles();
    for (size_t i = 0; i < support_scaled(MANY); i++)
        kill_parent_once(method);
    cr_assert_eq(support_open_handles(), handles);
    cr_assert_not(support_has_children());
    cr_assert_eq(support_memory_names(), 0U);
}

Test(orphans, end_with_a_parent_that_was_spawning, .timeout = 100)
{
    kill_parents(MP_START_SPAWN);
}

Test(orphans, end_with_a_parent_that_was_forking, .timeout = 100)
{
    kill_parents(support_method(MP_START_FORK));
}

Test(orphans, end_with_a_parent_that_was_using_a_fork_server, .timeout = 100)
{
    kill_parents(support_method(MP_START_FORKSERVER));
}

/* -- A child is killed while it starts ------------------------------------- */

static void kill_child_once(mp_start_method method, double longest)
{
    mp_process *child = support_start(method, return_zero, NULL);
    mp_phase before, after;
    int code = 42;
    mp_error err;

    mp_sleep(random_time(longest));
    before = mp_process_phase(child);
    cr_assert_eq(mp_process_kill(child), MP_OK, "%s", mp_error_message());
    err = mp_process_join(child, LONG_TIME);
    cr_assert_eq(err, MP_OK, "%d: %s", (int)err, mp_error_message());
    after = mp_process_phase(child);
    cr_assert_eq(mp_process_exitcode(child, &code), MP_OK, "%s",
                 mp_error_message());
    cr_assert(code == 0 || code == -9, "%d", code);
    cr_assert_geq(before, MP_PHASE_STARTED);
    cr_assert_geq(after, before, "%d after %d", (int)after, (int)before);
    if (code == 0)
        cr_assert_eq(after, MP_PHASE_FINISHED, "%d", (int)after);
    cr_assert_not(mp_process_is_alive(child));
    cr_assert_eq(mp_process_close(child), MP_OK);
}

METHOD_TEST(orphans, child_killed_on_its_way_has_a_code_and_a_phase)
{
    double start = mp_monotonic();
    double longest;

    cr_assert_eq(support_run(method, return_zero, NULL), 0);
    start = mp_monotonic();
    cr_assert_eq(support_run(method, return_zero, NULL), 0);
    longest = 1.2 * (mp_monotonic() - start);
    for (size_t i = 0; i < support_scaled(MANY); i++)
        kill_child_once(method, longest);
}

/* -- The fork server is killed --------------------------------------------- */

static mp_process *start_reporting(mp_daemon daemon, mp_connection **ours,
                                   int64_t *server)
{
    mp_process_options options = {.start_method = MP_START_FORKSERVER,
                                  .daemon = daemon};
    mp_connection *theirs;
    mp_process *child;
    mp_obj *pid;

    cr_assert_eq(mp_pipe(ours, &theirs, NULL), MP_OK);
    cr_assert_eq(mp_process_create(&child, say_server_and_wait, MP_ARGS(theirs),
                                   &options),
                 MP_OK);
    cr_assert_eq(mp_process_start(child), MP_OK, "%s", mp_error_message());
    mp_connection_close(theirs);
    cr_assert_eq(mp_connection_recv(*ours, &pid), MP_OK);
    cr_assert_eq(mp_obj_as_int(pid, server), MP_OK);
    mp_obj_unref(pid);
    return child;
}

Test(orphans, child_of_a_killed_fork_server_lives_on)
{
    mp_connection *ours[2];
    mp_process *child[2];
    int64_t server[2];

    support_method(MP_START_FORKSERVER);
    child[0] = start_reporting(MP_DAEMON_NO, &ours[0], &server[0]);
    kill_stranger(server[0]);
    child[1] = start_reporting(MP_DAEMON_NO, &ours[1], &server[1]);
    cr_assert_neq(server[0], server[1]);
    cr_assert(mp_process_is_alive(child[0]));
    cr_assert_eq(mp_process_join(child[0], 0.05), MP_TIMED_OUT);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(mp_connection_close(ours[i]), MP_OK);
        cr_assert_eq(support_finish(child[i]), 3, "its own word counts");
    }
    mpi_forkserver_stop();
    cr_assert_not(support_has_children());
}

/* It dies with the server, or, where it has to watch for itself, only with us:
 * then it has to be killed. */
Test(orphans, daemon_of_a_killed_fork_server_ends_with_code_255)
{
    mp_connection *ours;
    mp_process *child;
    int64_t server;

    support_method(MP_START_FORKSERVER);
    child = start_reporting(MP_DAEMON_YES, &ours, &server);
    kill_stranger(server);
    if (mp_process_join(child, soon) == MP_TIMED_OUT)
        cr_assert_eq(mp_process_kill(child), MP_OK);
    cr_assert_eq(mp_process_join(child, LONG_TIME), MP_OK);
    cr_assert_eq(mp_process_phase(child), MP_PHASE_TARGET);
    cr_assert_eq(support_finish(child), 255);
    mp_connection_close(ours);
}

Test(orphans, child_of_a_killed_fork_server_can_still_be_killed)
{
    mp_connection *ours;
    mp_process *child;
    int64_t server;

    support_method(MP_START_FORKSERVER);
    child = start_reporting(MP_DAEMON_NO, &ours, &server);
    kill_stranger(server);
    cr_assert_eq(mp_process_kill(child), MP_OK, "%s", mp_error_message());
    cr_assert_eq(support_finish(child), 255);
    mp_connection_close(ours);
}

/* What a thread of ours kills while we are in mp_process_start(). */
typedef struct victim {
    int64_t pid;
    double delay;
} victim;

static void kill_later(void *argument)
{
    victim *it = argument;
    mpos_process process;

    mp_sleep(it->delay);
    if (mpos_attach(&process, it->pid, 0) == MP_OK) {
        mpos_send_signal(&process, MPOS_KILL);
        mpos_process_close(&process);
    }
}

static void start_while_server_dies(double longest)
{
    mp_process *children[5];
    mp_connection *ours;
    mpos_thread killer;
    victim it = {.delay = random_time(longest)};
    mp_process *witness = start_reporting(MP_DAEMON_NO, &ours, &it.pid);

    cr_assert_eq(mpos_thread_start(kill_later, &it, &killer), MP_OK);
    for (int i = 0; i < 5; i++)
        children[i] = support_start(MP_START_FORKSERVER, return_zero, NULL);
    for (int i = 0; i < 5; i++) {
        int code = support_finish(children[i]);

        cr_assert(code == 0 || code == 255, "%d", code);
    }
    cr_assert_eq(mp_connection_close(ours), MP_OK);
    cr_assert_eq(support_finish(witness), 3);
    mpos_thread_join(killer);
}

Test(orphans, start_survives_the_death_of_its_fork_server, .timeout = 100)
{
    size_t handles;

    support_method(MP_START_FORKSERVER);
    start_while_server_dies(0.001);
    mpi_forkserver_stop();
    handles = support_open_handles();
    for (size_t i = 0; i < support_scaled(MANY); i++)
        start_while_server_dies(0.003);
    mpi_forkserver_stop();
    cr_assert_eq(support_open_handles(), handles);
    cr_assert_not(support_has_children());
}

/* It has the request, but will never read it. */
Test(orphans, start_survives_a_fork_server_that_died_with_the_request_unread)
{
    mpos_process server;
    mp_connection *ours;
    mp_process *witness, *child;
    mpos_thread killer;
    victim it = {.delay = 0.02};

    support_method(MP_START_FORKSERVER);
    witness = start_reporting(MP_DAEMON_NO, &ours, &it.pid);
    cr_assert_eq(mpos_attach(&server, it.pid, 0), MP_OK);
    cr_assert_eq(mpos_send_signal(&server, MPOS_SUSPEND), MP_OK);
    cr_assert_eq(mpos_thread_start(kill_later, &it, &killer), MP_OK);
    child = support_start(MP_START_FORKSERVER, return_zero, NULL);
    cr_assert_eq(support_finish(child), 0);
    cr_assert_eq(mp_connection_close(ours), MP_OK);
    cr_assert_eq(support_finish(witness), 3);
    mpos_thread_join(killer);
    mpos_process_close(&server);
}
