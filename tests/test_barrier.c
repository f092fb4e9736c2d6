/* SPDX-License-Identifier: MIT */
/* Barrier: rounds, actions, breaking, time, death, wrong use. */
#include "support/expect.h"
#include "support/methods.h"
#include "support/system.h"
#include "support/threads.h"

#include "os.h"
#include "os_fault.h"

enum { PARTIES = 5, ROUNDS = 1000 };

/* -- Helpers --------------------------------------------------------------- */

static mp_barrier *make_with(int64_t parties, mp_barrier_action action,
                             double timeout)
{
    mp_barrier_options options = {.action = action, .timeout = timeout};
    mp_barrier *barrier = NULL;

    ok(mp_barrier_create(&barrier, parties, &options));
    return barrier;
}

static mp_barrier *make(int64_t parties)
{
    mp_barrier *barrier = NULL;

    ok(mp_barrier_create(&barrier, parties, NULL));
    return barrier;
}

static mp_semaphore *make_semaphore(void)
{
    mp_semaphore *semaphore = NULL;

    ok(mp_semaphore_create(&semaphore, 0));
    return semaphore;
}

static void await_waiting(mp_barrier *barrier, uint32_t count)
{
    double limit = now() + 20;

    while (mp_barrier_n_waiting(barrier) != count && now() < limit)
        pause_for(0.005);
    cr_assert_eq(mp_barrier_n_waiting(barrier), count);
}

/* -- Actions --------------------------------------------------------------- */

static mpi_atomic32 action_count;
static mpi_atomic32 is_action_held;

static int count_action(void)
{
    mpi_atomic32_add(&action_count, 1);
    return 0;
}

static int fail_action(void)
{
    return 1;
}

static int hang_action(void)
{
    pause_for(60);
    return 0;
}

static mp_barrier *waited_for;
static mp_error wait_error;

static int wait_action(void)
{
    wait_error = mp_barrier_wait(waited_for, 1, NULL);
    return 0;
}

static int hold_action(void)
{
    mpi_atomic32_add(&action_count, 1);
    while (mpi_atomic32_load(&is_action_held) != 0)
        pause_for(0.005);
    return 0;
}

/* -- Targets --------------------------------------------------------------- */

/* Whoever comes first in a round says so. */
static int meet_often(mp_args *args)
{
    mp_barrier *barrier = mp_arg_barrier(args, 0);
    mp_semaphore *firsts = mp_arg_semaphore(args, 1);
    uint32_t index = PARTIES;

    for (size_t i = support_scaled(ROUNDS); i > 0; i--) {
        mp_check(mp_barrier_wait(barrier, 20, &index));
        if (index >= PARTIES)
            return 1;
        if (index == 0)
            mp_check(mp_semaphore_release(firsts));
    }
    return 0;
}

/* The exit code is what went wrong, 0 to 27. */
static int wait_once(mp_args *args)
{
    return -(int)mp_barrier_wait(mp_arg_barrier(args, 0), 20, NULL);
}

static int abort_it(mp_args *args)
{
    mp_check(mp_barrier_abort(mp_arg_barrier(args, 0)));
    return 0;
}

static mp_process *forked;

/* The first time only: the child's barrier has the same action. */
static int fork_action(void)
{
    if (mpi_atomic32_add(&action_count, 1) == 0)
        forked = support_start(MP_START_FORK, wait_once, MP_ARGS(waited_for));
    return 0;
}

/* -- Between processes ----------------------------------------------------- */

METHOD_TEST(barrier, five_parties_meet_a_thousand_times)
{
    mp_barrier *barrier = make(PARTIES);
    mp_semaphore *firsts = make_semaphore();
    mp_process *children[PARTIES];
    int64_t rounds = -1;

    for (int i = 0; i < PARTIES; i++)
        children[i] =
            support_start(method, meet_often, MP_ARGS(barrier, firsts));
    for (int i = 0; i < PARTIES; i++)
        cr_assert_eq(support_finish(children[i]), 0);
    ok(mp_semaphore_get_value(firsts, &rounds));
    cr_assert_eq(rounds, (int64_t)support_scaled(ROUNDS));
    cr_assert_eq(mp_barrier_n_waiting(barrier), 0);
    cr_assert_not(mp_barrier_is_broken(barrier));
    ok(mp_barrier_close(barrier));
    ok(mp_semaphore_close(firsts));
}

METHOD_TEST(barrier, its_action_travels)
{
    mp_barrier *barrier = make_with(2, fail_action, 0);
    mp_process *child = support_start(method, wait_once, MP_ARGS(barrier));

    cr_assert_eq(mp_barrier_wait(barrier, 20, NULL), MP_EBROKEN);
    cr_assert_eq(support_finish(child), -MP_EBROKEN);
    cr_assert_eq(support_run(method, wait_once, MP_ARGS(barrier)), -MP_EBROKEN);
    ok(mp_barrier_reset(barrier));
    child = support_start(method, wait_once, MP_ARGS(barrier));
    await_waiting(barrier, 1);
    cr_assert_eq(mp_barrier_wait(barrier, 20, NULL), MP_EBROKEN);
    cr_assert_eq(support_finish(child), -MP_EBROKEN);
    ok(mp_barrier_close(barrier));
}

METHOD_TEST(barrier, a_child_may_abort)
{
    mp_barrier *barrier = make(3);
    mp_process *waiter = support_start(method, wait_once, MP_ARGS(barrier));

    await_waiting(barrier, 1);
    cr_assert_eq(support_run(method, abort_it, MP_ARGS(barrier)), 0);
    cr_assert_eq(support_finish(waiter), -MP_EBROKEN);
    cr_assert(mp_barrier_is_broken(barrier));
    ok(mp_barrier_close(barrier));
}

METHOD_TEST(barrier, lives_on_in_children_when_the_parent_closes_it)
{
    mp_barrier *barrier = make(2);
    mp_process *first = support_start(method, wait_once, MP_ARGS(barrier));
    mp_process *second = support_start(method, wait_once, MP_ARGS(barrier));

    ok(mp_barrier_close(barrier));
    cr_assert_eq(support_finish(first), 0);
    cr_assert_eq(support_finish(second), 0);
}

/* -- Death ----------------------------------------------------------------- */

/* Any place among those that wait; the others are told within a second. */
static void kill_one_of_three(mp_start_method method, int place)
{
    mp_barrier *barrier = make(4);
    mp_process *children[3];
    double start;

    for (int i = 0; i < 3; i++) {
        children[i] = support_start(method, wait_once, MP_ARGS(barrier));
        await_waiting(barrier, (uint32_t)i + 1);
    }
    ok(mp_process_kill(children[place]));
    ok(mp_process_join(children[place], 20));
    start = now();
    for (int i = 0; i < 3; i++)
        if (i != place)
            cr_assert_eq(support_finish(children[i]), -MP_EBROKEN);
    cr_assert_lt(now() - start, 1.5);
    cr_assert(mp_barrier_is_broken(barrier));
    ok(mp_barrier_reset(barrier));
    cr_assert_not(mp_barrier_is_broken(barrier));
    ok(mp_process_close(children[place]));
    ok(mp_barrier_close(barrier));
}

METHOD_TEST(barrier, breaks_when_the_first_to_wait_is_killed)
{
    kill_one_of_three(method, 0);
}

METHOD_TEST(barrier, breaks_when_the_last_to_wait_is_killed)
{
    kill_one_of_three(method, 2);
}

METHOD_TEST(barrier, breaks_when_the_runner_of_the_action_is_killed)
{
    mp_barrier *barrier = make_with(2, hang_action, 0);
    mp_process *waiter = support_start(method, wait_once, MP_ARGS(barrier));
    mp_process *runner, *next;
    double start;

    await_waiting(barrier, 1);
    runner = support_start(method, wait_once, MP_ARGS(barrier));
    await_waiting(barrier, 2);
    next = support_start(method, wait_once, MP_ARGS(barrier));
    pause_for(0.3); /* until it waits for room */
    ok(mp_process_kill(runner));
    ok(mp_process_join(runner, 20));
    start = now();
    cr_assert_eq(support_finish(waiter), -MP_EBROKEN);
    cr_assert_eq(support_finish(next), -MP_EBROKEN);
    cr_assert_lt(now() - start, 1.5);
    ok(mp_process_close(runner));
    ok(mp_barrier_close(barrier));
}

/* Nobody who waits is left to see it. */
METHOD_TEST(barrier, breaks_when_all_who_waited_were_killed)
{
    mp_barrier *barrier = make(2);
    mp_process *child = support_start(method, wait_once, MP_ARGS(barrier));

    await_waiting(barrier, 1);
    ok(mp_process_kill(child));
    cr_assert_eq(support_finish(child), -9);
    pause_for(0.8); /* more than MPI_LOOK_INTERVAL */
    cr_assert_eq(mp_barrier_wait(barrier, 20, NULL), MP_EBROKEN);
    cr_assert(mp_barrier_is_broken(barrier));
    ok(mp_barrier_close(barrier));
}

/* -- Threads --------------------------------------------------------------- */

typedef struct crew {
    mp_barrier *barrier;
    double timeout;
    size_t rounds;
    mpi_atomic32 completed;
    mpi_atomic32 broken;
    mpi_atomic32 places; /* a bit for each index that was given */
    mpi_atomic32 must_stop;
    team team;
} crew;

static void meet(void *argument)
{
    crew *it = argument;

    for (size_t i = it->rounds; i > 0; i--) {
        uint32_t index = 31;
        mp_error err = mp_barrier_wait(it->barrier, it->timeout, &index);

        if (err == MP_OK)
            mpi_atomic32_add(&it->completed, 1);
        if (err == MP_EBROKEN)
            mpi_atomic32_add(&it->broken, 1);
        mpi_atomic32_add(&it->places, UINT32_C(1) << index);
        if (mpi_atomic32_load(&it->must_stop) != 0)
            break;
    }
}

static void begin(crew *it, int count)
{
    if (it->rounds == 0)
        it->rounds = 1;
    if (it->timeout == 0)
        it->timeout = 20;
    for (int i = 0; i < count; i++)
        team_start(&it->team, meet, it);
}

static void end(crew *it)
{
    team_join(&it->team);
    ok(mp_barrier_close(it->barrier));
}

Test(barrier, gives_each_thread_a_place_of_its_own)
{
    crew it = {.barrier = make(PARTIES)};

    begin(&it, PARTIES);
    end(&it);
    cr_assert_eq(mpi_atomic32_load(&it.completed), PARTIES);
    cr_assert_eq(mpi_atomic32_load(&it.places), (1u << PARTIES) - 1);
}

Test(barrier, five_threads_meet_a_thousand_times)
{
    crew it = {.barrier = make_with(PARTIES, count_action, 0)};

    it.rounds = support_scaled(ROUNDS);
    begin(&it, PARTIES);
    end(&it);
    cr_assert_eq(mpi_atomic32_load(&it.completed), PARTIES * it.rounds);
    cr_assert_eq(mpi_atomic32_load(&action_count), it.rounds);
}

/* Whoever is slow to wake up is rounds behind the others. */
Test(barrier, more_threads_than_parties_lose_nobody)
{
    crew it = {.barrier = make_with(2, count_action, 0)};
    uint32_t rounds;

    it.rounds = SIZE_MAX;
    begin(&it, 6);
    pause_for(0.5);
    mpi_atomic32_store(&it.must_stop, 1);
    ok(mp_barrier_abort(it.barrier));
    end(&it);
    rounds = mpi_atomic32_load(&it.completed) / 2;
    cr_assert_eq(mpi_atomic32_load(&it.completed), 2 * rounds);
    /* The last one may have been broken after its action. */
    cr_assert_leq(mpi_atomic32_load(&action_count) - rounds, 1);
}

Test(barrier, of_one_party_never_waits)
{
    mp_barrier *barrier = make_with(1, count_action, 0);
    uint32_t index = 42;

    ok(mp_barrier_wait(barrier, MP_FOREVER, &index));
    cr_assert_eq(index, 0);
    ok(mp_barrier_wait(barrier, 0, &index));
    ok(mp_barrier_wait(barrier, -1, NULL));
    cr_assert_eq(mpi_atomic32_load(&action_count), 3);
    ok(mp_barrier_close(barrier));
}

/* -- Actions --------------------------------------------------------------- */

Test(barrier, an_action_that_fails_breaks_it)
{
    crew it = {.barrier = make_with(3, fail_action, 0)};

    begin(&it, 3);
    team_await(&it.team, it.team.started);
    cr_assert_eq(mpi_atomic32_load(&it.broken), 3);
    cr_assert(mp_barrier_is_broken(it.barrier));
    cr_assert_eq(mp_barrier_wait(it.barrier, 20, NULL), MP_EBROKEN);
    end(&it);
}

Test(barrier, an_action_can_not_wait_for_its_own_barrier, .timeout = 20)
{
    mp_barrier *barrier = waited_for = make_with(1, wait_action, 0);

    ok(mp_barrier_wait(barrier, 20, NULL));
    cr_assert_eq(wait_error, MP_ESTATE);
    waited_for = make(1);
    ok(mp_barrier_wait(barrier, 20, NULL));
    ok(wait_error);
    ok(mp_barrier_close(waited_for));
    ok(mp_barrier_close(barrier));
}

Test(barrier, a_child_forked_by_an_action_can_wait_for_it, .timeout = 20)
{
    support_method(MP_START_FORK);
    waited_for = make_with(1, fork_action, 0);
    ok(mp_barrier_wait(waited_for, 20, NULL));
    cr_assert_eq(support_finish(forked), 0);
    ok(mp_barrier_close(waited_for));
}

/* It is the parties' time that is short, not the action's. */
Test(barrier, while_the_action_runs_nobody_gives_up)
{
    crew it = {.barrier = make_with(2, hold_action, 0), .timeout = 0.2};

    mpi_atomic32_store(&is_action_held, 1);
    begin(&it, 2);
    await_waiting(it.barrier, 2);
    pause_for(0.4);
    cr_assert_eq(mpi_atomic32_load(&it.completed), 0);
    mpi_atomic32_store(&is_action_held, 0);
    end(&it);
    cr_assert_eq(mpi_atomic32_load(&it.completed), 2);
}

Test(barrier, who_comes_while_the_action_runs_belongs_to_the_next_round)
{
    crew it = {.barrier = make_with(2, hold_action, 0)};

    mpi_atomic32_store(&is_action_held, 1);
    begin(&it, 4);
    await_waiting(it.barrier, 2);
    pause_for(0.1);
    cr_assert_eq(mpi_atomic32_load(&action_count), 1);
    mpi_atomic32_store(&is_action_held, 0);
    end(&it);
    cr_assert_eq(mpi_atomic32_load(&it.completed), 4);
    cr_assert_eq(mpi_atomic32_load(&action_count), 2);
    cr_assert_eq(mpi_atomic32_load(&it.places), 6, "0 and 1, twice each");
}

Test(barrier, aborting_during_the_action_breaks_the_round)
{
    crew it = {.barrier = make_with(2, hold_action, 0)};

    mpi_atomic32_store(&is_action_held, 1);
    begin(&it, 2);
    await_waiting(it.barrier, 2);
    ok(mp_barrier_abort(it.barrier));
    mpi_atomic32_store(&is_action_held, 0);
    team_await(&it.team, it.team.started);
    cr_assert_eq(mpi_atomic32_load(&it.broken), 2);
    cr_assert(mp_barrier_is_broken(it.barrier));
    end(&it);
}

/* -- Breaking -------------------------------------------------------------- */

Test(barrier, a_party_that_gives_up_breaks_it_for_all)
{
    crew it = {.barrier = make(3)};
    uint32_t index = 42;
    double start;

    begin(&it, 1);
    await_waiting(it.barrier, 1);
    start = now();
    cr_assert_eq(mp_barrier_wait(it.barrier, 0.2, &index), MP_EBROKEN);
    cr_assert_geq(now() - start, 0.199);
    cr_assert_eq(index, 42, "untouched on failure");
    team_await(&it.team, it.team.started);
    cr_assert_eq(mpi_atomic32_load(&it.broken), 1);
    cr_assert_eq(mp_barrier_wait(it.barrier, MP_FOREVER, NULL), MP_EBROKEN);
    cr_assert_eq(mp_barrier_n_waiting(it.barrier), 0);
    end(&it);
}

Test(barrier, zero_and_negative_timeouts_break_it_but_for_the_last)
{
    static const double timeouts[] = {0, -1, -1e300};
    crew it = {.barrier = make(2)};

    for (int i = 0; i < 3; i++) {
        cr_assert_eq(mp_barrier_wait(it.barrier, timeouts[i], NULL),
                     MP_EBROKEN);
        ok(mp_barrier_reset(it.barrier));
    }
    begin(&it, 1);
    await_waiting(it.barrier, 1);
    ok(mp_barrier_wait(it.barrier, 0, NULL));
    end(&it);
    cr_assert_eq(mpi_atomic32_load(&it.completed), 1);
}

Test(barrier, has_a_timeout_of_its_own)
{
    mp_barrier *barrier = make_with(2, NULL, 0.3);
    double start = now();

    cr_assert_eq(mp_barrier_wait(barrier, MP_FOREVER, NULL), MP_EBROKEN);
    cr_assert_geq(now() - start, 0.299);
    cr_assert_lt(now() - start, 1.3);
    ok(mp_barrier_reset(barrier));
    start = now();
    cr_assert_eq(mp_barrier_wait(barrier, 0.05, NULL), MP_EBROKEN);
    cr_assert_lt(now() - start, 0.29);
    ok(mp_barrier_close(barrier));
}

Test(barrier, abort_breaks_it_until_it_is_reset)
{
    crew it = {.barrier = make(3)};

    begin(&it, 2);
    await_waiting(it.barrier, 2);
    ok(mp_barrier_abort(it.barrier));
    team_await(&it.team, it.team.started);
    cr_assert_eq(mpi_atomic32_load(&it.broken), 2);
    cr_assert(mp_barrier_is_broken(it.barrier));
    ok(mp_barrier_abort(it.barrier));
    ok(mp_barrier_reset(it.barrier));
    cr_assert_not(mp_barrier_is_broken(it.barrier));
    begin(&it, 3);
    end(&it);
    cr_assert_eq(mpi_atomic32_load(&it.completed), 3);
}

Test(barrier, reset_sends_away_who_waits_and_starts_afresh)
{
    crew it = {.barrier = make(3)};

    ok(mp_barrier_reset(it.barrier));
    begin(&it, 2);
    await_waiting(it.barrier, 2);
    ok(mp_barrier_reset(it.barrier));
    cr_assert_eq(mp_barrier_n_waiting(it.barrier), 0);
    cr_assert_not(mp_barrier_is_broken(it.barrier));
    team_await(&it.team, it.team.started);
    cr_assert_eq(mpi_atomic32_load(&it.broken), 2);
    begin(&it, 3);
    end(&it);
    cr_assert_eq(mpi_atomic32_load(&it.completed), 3);
}

/* Each round ends for both in the same way. */
static void disturb(void *argument)
{
    crew *it = argument;
    double limit = now() + it->timeout;

    while (now() < limit) {
        mp_barrier_reset(it->barrier);
        pause_for(0.002);
    }
}

Test(barrier, resets_at_any_time_leave_both_parties_with_one_answer)
{
    crew it = {.barrier = make(2), .timeout = 0.4};
    crew parties = {.barrier = it.barrier, .rounds = SIZE_MAX};

    begin(&parties, 2);
    team_start(&it.team, disturb, &it);
    team_join(&it.team);
    mpi_atomic32_store(&parties.must_stop, 1);
    ok(mp_barrier_abort(it.barrier));
    team_await(&parties.team, parties.team.started);
    cr_assert_gt(mpi_atomic32_load(&parties.broken), 0);
    cr_assert_eq(mpi_atomic32_load(&parties.completed) % 2, 0);
    end(&parties);
}

/* -- Making and asking ----------------------------------------------------- */

Test(barrier, numbers_out_of_range_are_refused)
{
    static const double timeouts[] = {-1, -1e300};
    mp_barrier *out = NULL;

    cr_assert_eq(mp_barrier_create(&out, 0, NULL), MP_EINVAL);
    cr_assert_eq(mp_barrier_create(&out, -1, NULL), MP_EINVAL);
    cr_assert_eq(mp_barrier_create(&out, MP_BARRIER_MAX + 1, NULL),
                 MP_EOVERFLOW);
    cr_assert_eq(mp_barrier_create(NULL, 1, NULL), MP_EINVAL);
    for (int i = 0; i < 2; i++) {
        mp_barrier_options options = {.timeout = timeouts[i]};
        cr_assert_eq(mp_barrier_create(&out, 1, &options), MP_EINVAL);
    }
    cr_assert_null(out);
}

Test(barrier, can_have_ten_thousand_parties)
{
    mp_barrier *barrier = make(MP_BARRIER_MAX);
    crew it = {.barrier = barrier};

    cr_assert_eq(mp_barrier_parties(barrier), MP_BARRIER_MAX);
    begin(&it, 3);
    await_waiting(barrier, 3);
    ok(mp_barrier_abort(barrier));
    end(&it);
}

static void expect_refusal(mp_barrier *barrier, mp_error error)
{
    uint32_t index = 42;

    cr_assert_eq(mp_barrier_wait(barrier, 0, &index), error);
    cr_assert_eq(index, 42);
    cr_assert_eq(mp_barrier_reset(barrier), error);
    cr_assert_eq(mp_barrier_abort(barrier), error);
    cr_assert_eq(mp_barrier_parties(barrier), 0);
    cr_assert_eq(mp_barrier_n_waiting(barrier), 0);
    cr_assert(mp_barrier_is_broken(barrier));
}

Test(barrier, null_closed_and_other_things_are_refused)
{
    mp_barrier *barrier = make(1);
    mp_semaphore *semaphore = make_semaphore();

    expect_refusal(NULL, MP_EINVAL);
    expect_refusal((mp_barrier *)(void *)semaphore, MP_EINVAL);
    cr_assert_eq(mp_barrier_close((mp_barrier *)(void *)semaphore), MP_EINVAL);
    ok(mp_barrier_close(barrier));
    expect_refusal(barrier, MP_ECLOSED);
    cr_assert_eq(mp_barrier_close(barrier), MP_ECLOSED);
    ok(mp_barrier_close(NULL));
    ok(mp_semaphore_close(semaphore));
}

Test(barrier, travels_as_its_own_kind_only)
{
    mp_barrier *barrier = make(1), *same = NULL;
    mp_condition *condition = NULL;
    mp_obj *obj = MP_BOX(barrier);

    ok(mp_obj_as_barrier(obj, &same));
    cr_assert_eq(same, barrier);
    cr_assert_eq(mp_obj_as_condition(obj, &condition), MP_ETYPE);
    cr_assert_null(condition);
    mp_obj_unref(obj);
    ok(mp_barrier_close(barrier));
    obj = mp_obj_barrier(barrier);
    cr_assert_eq(mp_obj_error(obj), MP_ECLOSED);
    mp_obj_unref(obj);
}

Test(barrier, creation_that_fails_anywhere_leaves_nothing)
{
    bool was_reached = true;

    for (long n = 1; was_reached; n++) {
        mp_barrier *barrier = NULL;
        mp_error err;

        mpi_fault_arm(n, MP_ENOMEM);
        err = mp_barrier_create(&barrier, 3, NULL);
        was_reached = mpi_fault_disarm(NULL, NULL);
        if (err == MP_OK) {
            ok(mp_barrier_close(barrier));
            continue;
        }
        cr_assert(was_reached);
        cr_assert_null(barrier);
    }
}
