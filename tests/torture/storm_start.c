/* SPDX-License-Identifier: MIT */
/*
 * Storms on starting: parents are killed while they start children, children
 * while they start, the fork server at work. Nobody hangs, daemons end with
 * their parent, and nothing stays behind.
 */
#include "torture.h"

#include "support/killer.h"
#include "support/waiting.h"

#include "state.h"

enum { MOST_CHILDREN = 30, LONG_TIME = 20, MARKS = 5 };

/* How long a daemon may outlive its parent: seconds, and what a busy machine
 * adds. */
static const double soon = 1;

/* -- Marks ----------------------------------------------------------------- */

/* Of children that have come to their target: how often. */
static mp_array *marks_array;
static uint32_t *marks;

static void open_marks(void)
{
    ok(mp_array_create(&marks_array, MP_CTYPE(char), MARKS * sizeof(*marks),
                       NULL, &(mp_value_options){.has_no_lock = true}));
    marks = mp_array_data(marks_array);
}

static void close_marks(void)
{
    ok(mp_array_close(marks_array));
}

/* (marks, which) */
static int make_mark(mp_args *args)
{
    uint32_t *all = mp_array_data(mp_arg_array(args, 0));

    mp_fetch_add(&all[mp_arg_int(args, 1)], 1);
    return 0;
}

static int mark_and_sleep(mp_args *args)
{
    (void)make_mark(args);
    mp_sleep(LONG_TIME);
    return 1;
}

/* One that makes this mark. */
static mp_process *start_marking(mp_start_method method, mp_function target,
                                 int which)
{
    mp_atomic_store(&marks[which], 0);
    return support_start(method, target, MP_ARGS(marks_array, which));
}

/* -- Children -------------------------------------------------------------- */

/* It ends when release is closed; life only shows that it is there. */
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
 * begun, or started the first two; on Windows, that it is done: killed within
 * CreateProcess, it would leave a process that never begins to run, and nobody
 * could do anything about it.
 */
static int start_for_ever(mp_args *args)
{
    mp_start_method method = (mp_start_method)mp_arg_int(args, 0);
    mp_connection *release = mp_arg_connection(args, 1);
    mp_connection *life_of_daemons = mp_arg_connection(args, 2);
    mp_connection *life_of_others = mp_arg_connection(args, 3);
    int64_t count = mp_arg_int(args, 4);
    int64_t said_after = mp_arg_int(args, 5);

    for (int64_t i = 0; i < count; i++) {
        bool is_daemon = i % 2 == 0;

        if (i == said_after)
            mp_check(mp_connection_send(life_of_daemons, MP_NONE));
        start_one(method, is_daemon ? MP_DAEMON_YES : MP_DAEMON_NO, release,
                  is_daemon ? life_of_daemons : life_of_others);
    }
    if (count == said_after)
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
    int64_t began = mpos_now();
    mp_obj *obj = NULL;
    mp_error err;

    cr_assert_eq(mp_connection_fileno(connection, &item.handle), MP_OK);
    torture_waits_for("the end of what %s still using", what);
    err = mpos_wait(&item, 1, mpi_deadline(TORTURE_PATIENCE));
    cr_assert_eq(err, MP_OK, "%s still there", what);
    cr_assert_not(
        torture_is_too_long(mpos_now() - began, (int64_t)(seconds * 1e9)),
        "%s still there after %g s", what, seconds);
    err = mp_connection_recv(connection, &obj);
    cr_assert_eq(err, MP_EEOF, "%s: %d", what, (int)err);
}

/* Somebody still holds it. */
static void expect_life(mp_connection *connection, const char *what)
{
    mp_error err = mp_connection_poll(connection, 0);

    cr_assert_eq(err, MP_TIMED_OUT, "%s", what);
}

static void make_one_way_pipe(mp_connection **reader, mp_connection **writer)
{
    mp_pipe_options options = {.is_simplex = true};

    cr_assert_eq(mp_pipe(reader, writer, &options), MP_OK);
}

/* -- The parent is killed -------------------------------------------------- */

static void kill_parent_once(mp_start_method method)
{
    mp_connection *release, *released, *daemons, *daemons_end, *others,
        *others_end;
    int count = mpos_system.has_fork ? MOST_CHILDREN : (int)torture_time(8);
    int said_after = mpos_system.has_fork ? 2 * (int)torture_chance(2) : count;
    mp_process *parent;
    mp_obj *started;
    int64_t killed;

    make_one_way_pipe(&released, &release);
    make_one_way_pipe(&daemons, &daemons_end);
    make_one_way_pipe(&others, &others_end);
    parent = support_start(MP_START_SPAWN, start_for_ever,
                           MP_ARGS((int)method, released, daemons_end,
                                   others_end, count, said_after));
    mp_connection_close(released);
    mp_connection_close(daemons_end);
    mp_connection_close(others_end);
    cr_assert_eq(mp_connection_recv(daemons, &started), MP_OK);
    mp_obj_unref(started);
    mp_sleep(torture_time(0.02));
    cr_assert_eq(mp_process_kill(parent), MP_OK);
    cr_assert_eq(mp_process_join(parent, LONG_TIME), MP_OK);
    killed = mpos_now();
    expect_end_of_file(daemons, soon, "a daemon is");
    torture_recovered(mpos_now() - killed);
    if (said_after > 1)
        expect_life(others, "who is no daemon has ended, too");
    mp_connection_close(release);
    expect_end_of_file(others, LONG_TIME, "a child is");
    torture_bury(parent, "parent");
    torture_checked((size_t)count);
    mp_connection_close(daemons);
    mp_connection_close(others);
}

/* -- A child is killed while it starts ------------------------------------- */

/* A sleep is too coarse. */
static void spin_for(double seconds)
{
    int64_t end = mpos_now() + (int64_t)(seconds * 1e9);

    while (mpos_now() < end)
        continue;
}

/* True: it is said to have come to the target, but left no mark there. */
static bool kill_child_once(mp_start_method method, double longest)
{
    mp_process *child = start_marking(
        method, torture_chance(3) == 0 ? mark_and_sleep : make_mark, 0);
    mp_phase before, after;
    int code = 42;
    mp_error err;

    spin_for(torture_time(longest));
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
    if (mp_atomic_load(&marks[0]) != 0)
        cr_assert_geq(after, MP_PHASE_TARGET, "%d, and it was in its target",
                      (int)after);
    cr_assert_not(mp_process_is_alive(child));
    cr_assert_eq(mp_process_close(child), MP_OK);
    if (code != 0) /* else it was faster */
        torture_killed(after >= MP_PHASE_TARGET ? "in target" : "on its way");
    torture_checked(1);
    return after >= MP_PHASE_TARGET && mp_atomic_load(&marks[0]) == 0;
}

/* -- The fork server is killed --------------------------------------------- */

static void start_while_server_dies(double longest)
{
    const mp_process_options options = {.start_method = MP_START_FORKSERVER};
    mp_process *children[MARKS];
    mp_connection *ours;
    int64_t server;
    mp_process *witness = start_waiting_with(options, &ours, &server);
    killer it;

    begin_killing(&it, server, torture_time(longest));
    for (int i = 0; i < MARKS; i++)
        children[i] = start_marking(MP_START_FORKSERVER, make_mark, i);
    for (int i = 0; i < MARKS; i++) {
        int code = support_finish(children[i]);

        cr_assert(code == 0 || code == 255, "%d", code);
        cr_assert_eq(mp_atomic_load(&marks[i]), code == 0 ? 1U : 0U,
                     "%d after %u times", code,
                     (unsigned)mp_atomic_load(&marks[i]));
    }
    cr_assert_eq(mp_connection_close(ours), MP_OK);
    cr_assert_eq(support_finish(witness), 3);
    end_killing(&it);
    torture_killed("server");
    torture_checked(MARKS);
}

/* -- The storms ------------------------------------------------------------ */

static void storm_parents(const storm_round *round)
{
    for (int i = 0; i < round->kills; i++)
        kill_parent_once(round->method);
}

/* How long a child lives that was started: seconds. */
static double life_of_a_child(mp_start_method method)
{
    mp_process *child = start_marking(method, make_mark, 0);
    double began = mp_monotonic();

    cr_assert_eq(support_finish(child), 0);
    return mp_monotonic() - began;
}

/* Killed at any time up to a little after its usual end. */
static void storm_children(const storm_round *round)
{
    int unmarked = 0;
    double longest;

    open_marks();
    (void)life_of_a_child(round->method);
    longest = 1.2 * life_of_a_child(round->method);
    for (int i = 0; i < round->kills; i++)
        unmarked += kill_child_once(round->method, longest);
    /* Between the two is little that it does. */
    cr_assert_leq(unmarked, 3 + round->kills / 2);
    close_marks();
}

static void storm_servers(const storm_round *round)
{
    open_marks();
    for (int i = 0; i < round->kills; i++)
        start_while_server_dies(0.003);
    close_marks();
}

static bool is_forkserver(mp_start_method method)
{
    return method == MP_START_FORKSERVER;
}

const storm torture_starts[] = {
    {"start/parent",
     "who starts children, one after another: daemons end within a second, the "
     "others live on, no name or handle stays",
     6, NULL, storm_parents},
    {"start/child",
     "a child on its way to the target, or in it: its code and phase are told",
     30, NULL, storm_children},
    {"start/forkserver",
     "the fork server, while children are started with it: each runs, or is "
     "told dead",
     8, is_forkserver, storm_servers},
    {.name = NULL},
};
