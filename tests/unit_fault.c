/* SPDX-License-Identifier: MIT */
/*
 * Every call into the system, and every allocation, made to fail once: the
 * n-th, for n = 1, 2 ... until the function succeeds without reaching it. A
 * failure must be reported with a sentence, leave outputs alone, leak nothing,
 * leave no child, and not spoil the object. Objects and pickles alone are
 * test_object.c's and test_pickle.c's.
 */
#include "support/check.h"
#include "support/system.h"
#include "support/waiting.h"

#include "os.h"
#include "os_fault.h"
#include "state.h"

#include <stdint.h>
#include <string.h>

enum { MOST_CALLS = 1000 }; /* no operation here makes as many */

/* Not MP_ECLOSED: from the fork server's channel it means that somebody has
 * closed our descriptor, which is then given up, not closed. */
static const mp_error errors[] = {MP_ENOMEM, MP_EMFILE, MP_EIO};

/* One round of a loop: errors[which] is injected into call n. */
typedef struct trial {
    size_t which;
    long n;
    bool was_hit;
    const char *name; /* of the call that failed */
    size_t failures;  /* rounds that ended in an error */
} trial;

static void arm(const trial *round)
{
    mpi_fault_arm(round->n, errors[round->which]);
}

/* What every function promises when it fails. */
static bool has_failed(trial *round, mp_error err)
{
    round->was_hit = mpi_fault_disarm(NULL, &round->name);
    if (err >= MP_OK)
        return false;
    round->failures++;
    cr_assert(round->was_hit, "failed by itself: %d %s", (int)err,
              mp_error_message());
    cr_assert_str_not_empty(mp_error_message());
    return true;
}

/* False once all calls have failed with all errors. */
static bool next(trial *round)
{
    cr_assert_lt(round->n, MOST_CALLS);
    if (round->was_hit) {
        round->n++;
        return true;
    }
    round->n = 1;
    return ++round->which < support_scaled(sizeof(errors) / sizeof(errors[0]));
}

#define TRIAL_INIT \
    {              \
        .n = 1     \
    }

/* -- Targets --------------------------------------------------------------- */

static int say_all(mp_args *args)
{
    size_t count = 0;

    mpi_fault_disarm(NULL, NULL); /* a forked child has inherited it */
    if (mp_obj_len(mp_arg_obj(args, 2), &count) != MP_OK || count != 3 ||
        mp_arg_function(args, 1) != say_all)
        return 1;
    mp_check(mp_connection_send(mp_arg_connection(args, 0),
                                MP_BOX(mp_kwarg_str(args, "word", ""))));
    return 7;
}

/* -- Helpers --------------------------------------------------------------- */

static void drop_message(mp_connection *connection)
{
    mp_obj *obj = NULL;
    mp_error err = mp_connection_recv(connection, &obj);

    cr_assert_eq(err, MP_OK, "recv: %d %s", (int)err, mp_error_message());
    mp_obj_unref(obj);
}

static mp_process *describe(mp_start_method method, mp_connection *end)
{
    mp_process_options options = {
        .start_method = method,
        .kwargs = MP_KWARGS("word", "hé"),
    };
    mp_process *child = NULL;

    cr_assert_eq(
        mp_process_create(&child, say_all,
                          MP_ARGS(end, say_all, MP_LIST(1.5, "two", MP_NONE)),
                          &options),
        MP_OK);
    return child;
}

/* The fork server comes and goes with faults; without it the number of
 * handles says whether something has leaked. */
static size_t handles_at_rest(void)
{
    if (mpos_system.has_fork)
        mpi_forkserver_stop();
    return support_open_handles();
}

/* -- Starting -------------------------------------------------------------- */

static void start_once(mp_start_method method, mp_connection *ends[2],
                       trial *round)
{
    mp_process *child = describe(method, ends[1]);
    mp_error err;
    int code;

    arm(round);
    err = mp_process_start(child);
    if (has_failed(round, err)) {
        cr_assert_eq(mp_process_pid(child), 0, "%s", round->name);
        cr_assert_eq(mp_process_phase(child), MP_PHASE_INITIAL, "%s",
                     round->name);
        cr_assert_eq(mp_process_exitcode(child, NULL), MP_PENDING);
        err = mp_process_start(child);
        cr_assert_eq(err, MP_OK, "second try after %s: %s", round->name,
                     mp_error_message());
    }
    code = support_finish(child);
    cr_assert_eq(code, 7, "exit code %d after %s, call %ld", code, round->name,
                 round->n);
    drop_message(ends[0]);
}

METHOD_TEST(fault, start_fails_cleanly_and_can_be_tried_again)
{
    trial round = TRIAL_INIT;
    mp_connection *ends[2];
    size_t before;

    cr_assert_eq(mp_pipe(&ends[0], &ends[1], NULL), MP_OK);
    start_once(method, ends, &(trial){.n = 0});
    before = handles_at_rest();
    do {
        start_once(method, ends, &round);
        cr_assert_eq(handles_at_rest(), before, "%s, call %ld", round.name,
                     round.n);
        cr_assert_not(support_has_children(), "%s, call %ld", round.name,
                      round.n);
    } while (next(&round));
    cr_assert_gt(round.failures, 10, "only %zu", round.failures);
}

/* The same with a fork server that is there already. */
Test(fault_forkserver, start_fails_cleanly_where_a_server_runs)
{
    mp_start_method method = support_method(MP_START_FORKSERVER);
    trial round = TRIAL_INIT;
    mp_connection *ends[2];
    size_t before;

    cr_assert_eq(mp_pipe(&ends[0], &ends[1], NULL), MP_OK);
    start_once(method, ends, &(trial){.n = 0});
    before = support_open_handles();
    do {
        start_once(method, ends, &round);
        /* A server whose answer got lost was given up; now there is one. */
        start_once(method, ends, &(trial){.n = 0});
        cr_assert_eq(support_open_handles(), before, "%s, call %ld", round.name,
                     round.n);
    } while (next(&round));
    mpi_forkserver_stop();
    cr_assert_not(support_has_children());
}

/* -- A child that runs ----------------------------------------------------- */

static mp_error join_now(mp_process *child)
{
    return mp_process_join(child, 0.01);
}

static mp_error ask_exitcode(mp_process *child)
{
    int code = 42;
    mp_error err = mp_process_exitcode(child, &code);

    cr_assert_eq(err, MP_PENDING);
    cr_assert_eq(code, 42);
    return err;
}

static mp_error ask_whether_alive(mp_process *child)
{
    cr_assert(mp_process_is_alive(child));
    return MP_OK;
}

static mp_error ask_sentinel(mp_process *child)
{
    mp_handle sentinel = 42;
    mp_error err = mp_process_sentinel(child, &sentinel);

    cr_assert_eq(err == MP_OK, sentinel != 42);
    return err;
}

static mp_error ask_active(mp_process *child)
{
    mp_process *active = NULL;
    size_t count = 42;
    mp_error err = mp_active_children(&active, 1, &count);

    if (err != MP_OK)
        return err;
    cr_assert_eq(count, 1);
    cr_assert_eq(active, child);
    return MP_OK;
}

static mp_error close_too_early(mp_process *child)
{
    cr_assert_eq(mp_process_close(child), MP_ESTATE);
    return MP_OK;
}

METHOD_TEST(fault, running_child_survives_failed_questions)
{
    static mp_error (*const questions[])(mp_process *) = {
        join_now,   ask_exitcode,    ask_whether_alive,  ask_sentinel,
        ask_active, close_too_early, mp_process_suspend, mp_process_resume,
    };
    mp_connection *ours;
    mp_process *child = start_waiting(method, &ours);

    for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
        trial round = TRIAL_INIT;
        size_t before;

        cr_assert_geq(questions[i](child), MP_OK);
        before = support_open_handles();
        do {
            arm(&round);
            has_failed(&round, questions[i](child));
            cr_assert_eq(support_open_handles(), before);
        } while (next(&round));
    }
    cr_assert_eq(mp_connection_close(ours), MP_OK);
    cr_assert_eq(support_finish(child), 3);
}

/* Each time a new child, since it ends one. */
static void end_each_way(mp_start_method method,
                         mp_error (*end)(mp_process *child), int expected)
{
    trial round = TRIAL_INIT;
    size_t before = 0;

    do {
        mp_connection *ours;
        mp_process *child = start_waiting(method, &ours);
        mp_error err;

        arm(&round);
        err = end(child);
        if (has_failed(&round, err))
            cr_assert_eq(end(child), MP_OK, "%s", mp_error_message());
        cr_assert_eq(support_finish(child), expected);
        cr_assert_eq(mp_connection_close(ours), MP_OK);
        if (before == 0)
            before = support_open_handles();
        cr_assert_eq(support_open_handles(), before, "%s", round.name);
    } while (next(&round));
}

METHOD_TEST(fault, terminate_can_be_tried_again)
{
    end_each_way(method, mp_process_terminate, -15);
}

METHOD_TEST(fault, kill_can_be_tried_again)
{
    end_each_way(method, mp_process_kill, -9);
}

/* -- A child that has ended ------------------------------------------------ */

static mp_error join_ended(mp_process *child)
{
    mp_error err = mp_process_join(child, 20);

    return err == MP_TIMED_OUT ? MP_ESTATE : err;
}

static mp_error close_ended(mp_process *child)
{
    mp_error err = mp_process_close(child);

    /* Nothing has looked yet, and a failed look is no proof of its end. */
    return err == MP_ESTATE ? MP_EIO : err;
}

/* Whatever fails, its code is not lost. */
METHOD_TEST(fault, exit_code_survives_a_failed_join)
{
    trial round = TRIAL_INIT;

    do {
        mp_connection *ours;
        mp_process *child = start_waiting(method, &ours);
        int code = 42;

        cr_assert_eq(mp_connection_close(ours), MP_OK);
        arm(&round);
        if (has_failed(&round, join_ended(child)))
            cr_assert_eq(join_ended(child), MP_OK, "%s", mp_error_message());
        cr_assert_eq(mp_process_exitcode(child, &code), MP_OK, "%s",
                     round.name);
        cr_assert_eq(code, 3, "%d after %s", code, round.name);
        cr_assert_eq(mp_process_close(child), MP_OK);
    } while (next(&round));
}

METHOD_TEST(fault, close_of_an_ended_child_can_be_tried_again)
{
    trial round = TRIAL_INIT;

    do {
        mp_connection *ours;
        mp_process *child = start_waiting(method, &ours);
        mp_handle sentinel;
        mpos_wait_item item = {.kind = MPOS_WAIT_PROCESS};

        cr_assert_eq(mp_process_sentinel(child, &sentinel), MP_OK);
        item = mpi_process_wait_item(child);
        cr_assert_eq(mp_connection_close(ours), MP_OK);
        cr_assert_eq(mpos_wait(&item, 1, MPOS_FOREVER), MP_OK);
        arm(&round);
        if (has_failed(&round, close_ended(child)))
            cr_assert_eq(mp_process_close(child), MP_OK, "%s",
                         mp_error_message());
    } while (next(&round));
}

/* -- Objects without a process --------------------------------------------- */

static int do_nothing(mp_args *args)
{
    (void)args;
    return 0;
}

static int run_type(mp_process *self)
{
    (void)self;
    return 0;
}

static mp_error create_plain(void)
{
    mp_process_options options = {
        .name = "named",
        .kwargs = MP_KWARGS("a", 1),
    };
    mp_process *untouched = (mp_process *)(uintptr_t)&options;
    mp_process *child = untouched;
    mp_error err = mp_process_create(&child, do_nothing, MP_ARGS(1), &options);

    cr_assert_eq(err == MP_OK, child != untouched);
    return err == MP_OK ? mp_process_close(child) : err;
}

static mp_error create_with_type(void)
{
    static const mp_process_type type = {
        .name = "Type", .size = sizeof(int), .run = run_type};
    int fields = 5;
    mp_process *untouched = (mp_process *)(uintptr_t)&fields;
    mp_process *child = untouched;
    mp_error err = mp_process_create_type(&child, &type, &fields, NULL);

    cr_assert_eq(err == MP_OK, child != untouched);
    return err == MP_OK ? mp_process_close(child) : err;
}

/* The name is there already when faults begin. */
static mp_error name_current(void)
{
    mp_process *self = mp_current_process();
    mp_error err = mp_process_set_name(self, "Hauptprozeß");

    cr_assert_str_eq(mp_process_name(self), "Hauptprozeß");
    return err;
}

static mp_error set_key(void)
{
    mp_process *self = mp_current_process();
    const void *key = NULL;
    size_t size = 0;
    mp_error err = mp_process_set_authkey(self, "secret", 6);

    cr_assert_eq(mp_process_authkey(self, &key, &size), MP_OK);
    cr_assert_eq(size, 6);
    cr_assert_arr_eq(key, "secret", 6);
    return err;
}

static mp_error set_executable(void)
{
    mp_error err = mp_set_executable("/no/such/program");

    if (err == MP_OK)
        err = mp_set_executable(NULL);
    return err;
}

static mp_error set_preload(void)
{
    return mp_set_forkserver_preload(do_nothing, MP_ARGS("x", 1));
}

static mp_error open_pipe(void)
{
    mp_connection *nothing = (mp_connection *)(uintptr_t)&errors;
    mp_connection *a = nothing, *b = nothing;
    mp_error err = mp_pipe(&a, &b, NULL);

    if (err != MP_OK) {
        cr_assert_eq(a, nothing);
        cr_assert_eq(b, nothing);
        return err;
    }
    cr_assert_eq(mp_connection_close(a), MP_OK);
    return mp_connection_close(b);
}

static void finalize_nothing(void *unused)
{
    (void)unused;
}

static mp_error create_finalizer(void)
{
    mp_finalizer *untouched = (mp_finalizer *)(uintptr_t)&errors;
    mp_finalizer *finalizer = untouched;
    mp_error err = mp_finalizer_create(&finalizer, finalize_nothing, NULL, 0);

    cr_assert_eq(err == MP_OK, finalizer != untouched);
    return err == MP_OK ? mp_finalizer_cancel(finalizer) : err;
}

Test(fault, what_needs_no_process_fails_cleanly)
{
    static mp_error (*const calls[])(void) = {
        create_plain,   create_with_type, name_current, set_key,
        set_executable, set_preload,      open_pipe,    create_finalizer,
    };

    /* Makes the key that the others inherit. */
    cr_assert_eq(mp_process_set_authkey(mp_current_process(), "secret", 6),
                 MP_OK);
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        trial round = TRIAL_INIT;
        mp_error err = calls[i]();
        size_t before = support_open_handles();

        cr_assert_eq(err, MP_OK, "call %zu: %s", i, mp_error_message());
        do {
            arm(&round);
            err = calls[i]();
            has_failed(&round, err);
            cr_assert_eq(support_open_handles(), before, "call %zu, %s", i,
                         round.name);
        } while (next(&round));
        cr_assert_gt(round.failures, 0, "call %zu can't fail", i);
    }
}

Test(fault, first_key_fails_cleanly)
{
    mp_process *self = mp_current_process();
    trial round = TRIAL_INIT;
    const void *key = &round;
    size_t size = 42;

    for (;;) {
        arm(&round);
        if (!has_failed(&round, mp_process_authkey(self, &key, &size)))
            break;
        cr_assert_eq(key, (const void *)&round);
        cr_assert_eq(size, 42);
        next(&round);
    }
    cr_assert_gt(round.failures, 1);
    cr_assert_eq(size, 32);
}

/* -- Messages -------------------------------------------------------------- */

Test(fault, failed_send_sends_nothing)
{
    trial round = TRIAL_INIT;
    mp_connection *a, *b;
    mp_obj *got = NULL;
    int64_t number;
    const mp_obj *item;

    cr_assert_eq(mp_pipe(&a, &b, NULL), MP_OK);
    do {
        arm(&round);
        if (has_failed(&round,
                       mp_connection_send(a, MP_LIST("x", MP_NONE, round.n))))
            cr_assert_eq(mp_connection_send(a, MP_LIST(1, 2, round.n)), MP_OK);
        cr_assert_eq(mp_connection_recv(b, &got), MP_OK);
        cr_assert_eq(mp_obj_item(got, 2, &item), MP_OK);
        cr_assert_eq(mp_obj_as_int(item, &number), MP_OK);
        cr_assert_eq(number, round.n);
        mp_obj_unref(got);
    } while (next(&round));
    mp_connection_close(a);
    mp_connection_close(b);
}

/* A new pipe each time: a failure within a message spoils the connection. */
Test(fault, failed_recv_leaves_its_output_alone)
{
    trial round = TRIAL_INIT;
    size_t before = 0;

    do {
        mp_connection *a, *b;
        mp_obj *got = NULL;

        cr_assert_eq(mp_pipe(&a, &b, NULL), MP_OK);
        cr_assert_eq(mp_connection_send(a, MP_LIST("x", MP_DICT("k", 2.5))),
                     MP_OK);
        arm(&round);
        if (has_failed(&round, mp_connection_recv(b, &got)))
            cr_assert_null(got);
        mp_obj_unref(got);
        mp_connection_close(a);
        mp_connection_close(b);
        if (before == 0)
            before = support_open_handles();
        cr_assert_eq(support_open_handles(), before);
    } while (next(&round));
}

Test(fault, failed_recv_never_returns_half_a_message)
{
    trial round = TRIAL_INIT;
    char data[100];

    memset(data, 'x', sizeof(data));
    do {
        mp_connection *a, *b;
        char into[100] = "";
        size_t size = 42;
        mp_error err;

        cr_assert_eq(mp_pipe(&a, &b, NULL), MP_OK);
        cr_assert_eq(mp_connection_send_bytes(a, data, sizeof(data)), MP_OK);
        cr_assert_eq(mp_connection_send_bytes(a, "second", 6), MP_OK);
        arm(&round);
        err = mp_connection_recv_bytes_into(b, into, sizeof(into), &size);
        if (has_failed(&round, err)) {
            cr_assert_eq(size, 42);
            err = mp_connection_recv_bytes_into(b, into, sizeof(into), &size);
        }
        /* Either the first message, whole, or none any more. */
        if (err == MP_OK) {
            cr_assert_eq(size, sizeof(data), "%zu after %s", size, round.name);
            cr_assert_arr_eq(into, data, sizeof(data));
        } else {
            cr_assert_eq(err, MP_EPROTO, "%d after %s", (int)err, round.name);
        }
        mp_connection_close(a);
        mp_connection_close(b);
    } while (next(&round));
}

/* A connection that travels: neither side keeps a handle of a failure. */
static void pass_on(mp_connection *a, mp_connection *b, trial *sending,
                    trial *receiving)
{
    mp_obj *obj = NULL;
    mp_error err;

    arm(sending);
    err = mp_connection_send(a, MP_LIST(b, "x", a));
    if (has_failed(sending, err))
        err = mp_connection_send(a, MP_LIST(b, "x", a));
    cr_assert_eq(err, MP_OK, "%s: %s", sending->name, mp_error_message());
    arm(receiving);
    err = mp_connection_recv(b, &obj);
    if (has_failed(receiving, err)) {
        cr_assert_null(obj);
    } else {
        const mp_obj *item;
        mp_connection *copy;

        cr_assert_eq(mp_obj_item(obj, 2, &item), MP_OK);
        cr_assert_eq(mp_obj_as_connection(item, &copy), MP_OK);
        cr_assert_eq(mp_connection_send(copy, MP_BOX(1)), MP_OK);
        drop_message(b);
    }
    mp_obj_unref(obj);
}

static void pass_on_until_it_works(trial *failing, trial *sending,
                                   trial *receiving)
{
    size_t before = 0;

    do {
        mp_connection *a, *b;

        cr_assert_eq(mp_pipe(&a, &b, NULL), MP_OK);
        pass_on(a, b, sending, receiving);
        mp_connection_close(a);
        mp_connection_close(b);
        if (before == 0)
            before = support_open_handles();
        cr_assert_eq(support_open_handles(), before, "%s, call %ld",
                     failing->name, failing->n);
    } while (next(failing));
    cr_assert_gt(failing->failures, 5U);
}

Test(fault, failed_message_leaves_no_handle_behind)
{
    trial failing = TRIAL_INIT;
    trial never = {.n = 0};

    pass_on_until_it_works(&failing, &failing, &never);
    failing = (trial)TRIAL_INIT;
    pass_on_until_it_works(&failing, &never, &failing);
}

/* -- The parent, seen from its child --------------------------------------- */

static int ask_for_the_parent(mp_args *args)
{
    mp_process *parent = mp_parent_process();
    trial round = TRIAL_INIT;

    (void)args;
    do {
        mp_error err;

        mpi_fault_arm(round.n, errors[round.which]);
        err = mp_process_join(parent, 0.001);
        round.was_hit = mpi_fault_disarm(NULL, &round.name);
        if (err != MP_TIMED_OUT && !(err < MP_OK && round.was_hit))
            return 1;
        if (!mp_process_is_alive(parent))
            return 2;
        if (round.was_hit)
            round.n++;
        else
            round = (trial){.n = 1, .which = round.which + 1};
    } while (round.which < sizeof(errors) / sizeof(errors[0]));
    return 0;
}

METHOD_TEST(fault, failed_look_at_the_parent_is_not_its_death)
{
    cr_assert_eq(support_run(method, ask_for_the_parent, NULL), 0);
}

/* -- Locks ----------------------------------------------------------------- */

/* What each of them does, so that one loop serves both. */
typedef struct lock_kind {
    mp_error (*create)(void **out);
    mp_error (*acquire)(void *lock, double timeout);
    mp_error (*release)(void *lock);
    mp_error (*close)(void *lock);
    mp_obj *(*box)(void *lock);
} lock_kind;

#define LOCK_KIND(kind)                                         \
    static mp_error create_##kind(void **out)                   \
    {                                                           \
        mp_##kind *untouched = (mp_##kind *)(uintptr_t)&errors; \
        mp_##kind *made = untouched;                            \
        mp_error err = mp_##kind##_create(&made);               \
                                                                \
        cr_assert_eq(err == MP_OK, made != untouched);          \
        if (err == MP_OK)                                       \
            *out = made;                                        \
        return err;                                             \
    }                                                           \
    static mp_error acquire_##kind(void *lock, double timeout)  \
    {                                                           \
        return mp_##kind##_acquire(lock, timeout);              \
    }                                                           \
    static mp_error release_##kind(void *lock)                  \
    {                                                           \
        return mp_##kind##_release(lock);                       \
    }                                                           \
    static mp_error close_##kind(void *lock)                    \
    {                                                           \
        return mp_##kind##_close(lock);                         \
    }                                                           \
    static mp_obj *box_##kind(void *lock)                       \
    {                                                           \
        return mp_obj_##kind(lock);                             \
    }                                                           \
    static const lock_kind kind##_calls = {                     \
        .create = create_##kind,                                \
        .acquire = acquire_##kind,                              \
        .release = release_##kind,                              \
        .close = close_##kind,                                  \
        .box = box_##kind,                                      \
    };

LOCK_KIND(lock)
LOCK_KIND(rlock)

static const lock_kind *const lock_kinds[] = {&lock_calls, &rlock_calls};

/* From nothing to a lock that was used: the arena comes and goes with it. */
static mp_error use_new_lock(const lock_kind *kind)
{
    void *lock = NULL;
    mp_error err = kind->create(&lock);

    if (err != MP_OK)
        return err;
    err = kind->acquire(lock, 0);
    if (err == MP_OK)
        cr_assert_eq(kind->release(lock), MP_OK);
    cr_assert_eq(kind->close(lock), MP_OK);
    return err;
}

Test(fault, locks_are_made_used_and_closed_cleanly)
{
    for (size_t i = 0; i < 2; i++) {
        trial round = TRIAL_INIT;
        size_t before;

        cr_assert_eq(use_new_lock(lock_kinds[i]), MP_OK);
        before = support_open_handles();
        do {
            arm(&round);
            has_failed(&round, use_new_lock(lock_kinds[i]));
            cr_assert_eq(support_open_handles(), before, "%s", round.name);
            cr_assert_eq(use_new_lock(lock_kinds[i]), MP_OK, "after %s: %s",
                         round.name, mp_error_message());
        } while (next(&round));
        /* The object, the memory, its mapping, its token, the arena. */
        cr_assert_geq(round.failures, 5, "only %zu", round.failures);
    }
}

/* Somebody else has it: what fails then must not look like a death. */
Test(fault, waiting_for_a_lock_fails_cleanly)
{
    trial round = TRIAL_INIT;
    void *lock = NULL;

    cr_assert_eq(lock_calls.create(&lock), MP_OK);
    cr_assert_eq(lock_calls.acquire(lock, 0), MP_OK);
    do {
        mp_error err;

        arm(&round);
        err = lock_calls.acquire(lock, 0.001);
        if (!has_failed(&round, err))
            cr_assert_eq(err, MP_TIMED_OUT);
    } while (next(&round));
    cr_assert_eq(lock_calls.release(lock), MP_OK);
    cr_assert_eq(lock_calls.close(lock), MP_OK);
}

static int take_lock_and_end(mp_args *args)
{
    mpi_fault_disarm(NULL, NULL); /* a forked child has inherited it */
    mp_check(mp_lock_acquire(mp_arg_lock(args, 0), MP_FOREVER));
    return 0;
}

/* A dead owner: the failure to find out is not its life. */
METHOD_TEST(fault, death_of_an_owner_is_told_in_spite_of_failures)
{
    trial round = TRIAL_INIT;
    mp_lock *lock = NULL;

    cr_assert_eq(mp_lock_create(&lock), MP_OK);
    do {
        mp_error err;

        cr_assert_eq(support_run(method, take_lock_and_end, MP_ARGS(lock)), 0);
        arm(&round);
        err = mp_lock_acquire(lock, 10);
        if (has_failed(&round, err))
            err = mp_lock_acquire(lock, 10);
        cr_assert_eq(err, MP_OWNER_DIED, "%d after %s", (int)err, round.name);
        cr_assert_eq(mp_lock_release(lock), MP_OK);
    } while (next(&round));
    cr_assert_eq(mp_lock_close(lock), MP_OK);
}

static int use_locks(mp_args *args)
{
    mpi_fault_disarm(NULL, NULL);
    mp_check(mp_lock_acquire(mp_arg_lock(args, 0), MP_FOREVER));
    mp_check(mp_lock_release(mp_arg_lock(args, 0)));
    mp_check(mp_rlock_acquire(mp_arg_rlock(args, 1), MP_FOREVER));
    mp_check(mp_rlock_release(mp_arg_rlock(args, 1)));
    return 7;
}

/* What was on its way to a child that could not be started is given back: the
 * lock goes, and its memory with it, when it is closed. */
static void pass_once(mp_start_method method, trial *round)
{
    mp_process_options options = {.start_method = method};
    mp_lock *lock = NULL;
    mp_rlock *rlock = NULL;
    mp_process *child = NULL;
    mp_error err;
    int code;

    cr_assert_eq(mp_lock_create(&lock), MP_OK);
    cr_assert_eq(mp_rlock_create(&rlock), MP_OK);
    cr_assert_eq(mp_process_create(&child, use_locks,
                                   MP_ARGS(lock, rlock, lock), &options),
                 MP_OK);
    arm(round);
    err = mp_process_start(child);
    if (has_failed(round, err)) {
        err = mp_process_start(child);
        cr_assert_eq(err, MP_OK, "second try after %s: %s", round->name,
                     mp_error_message());
    }
    cr_assert_eq(mp_lock_close(lock), MP_OK);
    cr_assert_eq(mp_rlock_close(rlock), MP_OK);
    code = support_finish(child);
    /* The call may have been one of the forked child's, which then ends. */
    cr_assert(code == 7 ||
                  (code == 1 && method == MP_START_FORK && !round->was_hit),
              "exit code %d after %s, call %ld", code, round->name, round->n);
}

METHOD_TEST(fault, locks_are_passed_or_stay)
{
    trial round = TRIAL_INIT;
    size_t before;

    pass_once(method, &(trial){.n = 0});
    before = handles_at_rest();
    do {
        pass_once(method, &round);
        cr_assert_eq(handles_at_rest(), before, "%s, call %ld", round.name,
                     round.n);
    } while (next(&round));
}
