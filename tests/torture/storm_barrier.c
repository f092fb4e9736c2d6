/* SPDX-License-Identifier: MIT */
/* Storms on a Barrier: a party that was killed breaks it, for all. */
#include "crew.h"

#define MILLISECONDS(n) ((int64_t)(n)*1000000)

enum { PARTIES = 4 };

/* Then it hangs. */
static const int64_t patience = MILLISECONDS(8000);

/* One at a time; a dead one's mark is taken away before the reset. */
static int act(void)
{
    EXPECT(mpi_atomic32_change(&crew_me.board->is_acting, 0, 1));
    crew_work(5000);
    EXPECT(mpi_atomic32_change(&crew_me.board->is_acting, 1, 0));
    return 0;
}

/* Until the parent has mended it. */
static void report_break(uint32_t epoch)
{
    mpi_atomic32_store(&crew_me.slot->reported, epoch + 1);
    while (mpi_atomic32_load(&crew_me.board->epoch) == epoch &&
           !crew_must_end())
        mp_sleep(0.0002);
}

static void meet(mp_barrier *barrier)
{
    uint32_t epoch = mpi_atomic32_load(&crew_me.board->epoch);
    uint32_t index = UINT32_MAX;
    mp_error err;

    crew_set_step(COMING);
    err = mp_barrier_wait(barrier, MP_FOREVER, &index);
    crew_set_step(OUTSIDE);
    if (err == MP_EBROKEN) {
        report_break(epoch);
        return;
    }
    EXPECT_OK(err);
    EXPECT(index < mp_barrier_parties(barrier));
    mpi_atomic32_add(&crew_me.slot->done, 1);
    crew_arrive(crew_me.board);
    crew_work(2000);
}

static int use_barrier(mp_args *args)
{
    mp_barrier *barrier = mp_arg_barrier(args, 0);

    crew_come(args, barrier);
    while (!crew_must_end())
        meet(barrier);
    return 0;
}

static void create_barrier(crew *it)
{
    mp_barrier_options options = {.action = act};

    cr_assert_eq(
        mp_barrier_create((mp_barrier **)&it->things[0], PARTIES, &options),
        MP_OK);
}

static void close_barrier(crew *it)
{
    ok(mp_barrier_close(it->things[0]));
}

static mp_obj *barrier_arguments(crew *it, int place)
{
    return MP_ARGS((mp_barrier *)it->things[0], CREW_ARGS(it, place));
}

static bool all_have_reported(const crew *it, uint32_t epoch)
{
    for (int i = 0; i < it->plan->workers; i++)
        if (mpi_atomic32_load(&it->board->slots[i].reported) != epoch + 1)
            return false;
    return true;
}

/* All who are there learn of a break; then it is mended, and all go on. */
static void mend_barrier(crew *it)
{
    uint32_t epoch = mpi_atomic32_load(&it->board->epoch);
    int64_t began = mpos_now();

    if (!mp_barrier_is_broken(it->things[0]))
        return;
    while (!all_have_reported(it, epoch)) {
        crew_expect_no_failure(it);
        cr_assert_not(torture_is_too_long(mpos_now() - began, patience));
        mp_sleep(0.0002);
    }
    torture_raise(&it->board->longest_wait, mpos_now() - began);
    mpi_atomic32_store(&it->board->is_acting, 0);
    ok(mp_barrier_reset(it->things[0]));
    mpi_atomic32_add(&it->board->epoch, 1);
}

/* The next kill comes when all have gone on after this one. */
static void tend_barrier(crew *it)
{
    if (it->kills != it->tended_kills) {
        it->tended_kills = it->kills;
        crew_await_everybody(it);
    }
    mend_barrier(it);
}

static void end_barrier(crew *it)
{
    ok(mp_barrier_abort(it->things[0]));
}

static void check_barrier(crew *it)
{
    cr_assert_eq(mp_barrier_n_waiting(it->things[0]), 0);
    cr_assert(mp_barrier_is_broken(it->things[0]));
}

/*
 * The parent is a party, too, and does not come while one of the others is
 * dead, so that no round can end without anybody's noticing. If the dead one
 * had come, there are as many waiting as there are workers, and the survivors
 * must get to know.
 */
static bool had_come(const crew *it)
{
    int64_t began = mpos_now();

    while (mpos_now() - began < MILLISECONDS(300)) {
        if (mp_barrier_is_broken(it->things[0]) ||
            mp_barrier_n_waiting(it->things[0]) == PARTIES)
            return true;
        mp_sleep(0.0002);
    }
    return false;
}

static bool survivors_have_reported(const crew *it, int dead, uint32_t epoch)
{
    for (int i = 0; i < it->plan->workers; i++)
        if (i != dead &&
            mpi_atomic32_load(&it->board->slots[i].reported) != epoch + 1)
            return false;
    return true;
}

static void await_break(crew *it, int dead)
{
    uint32_t epoch = mpi_atomic32_load(&it->board->epoch);
    int64_t began = mpos_now();

    if (!had_come(it))
        return;
    it->died++;
    while (!survivors_have_reported(it, dead, epoch)) {
        crew_expect_no_failure(it);
        cr_assert_not(torture_is_too_long(mpos_now() - began, patience));
        mp_sleep(0.0002);
    }
    torture_raise(&it->board->longest_wait, mpos_now() - began);
    ok(mp_barrier_reset(it->things[0]));
    mpi_atomic32_add(&it->board->epoch, 1);
}

static void meet_workers(crew *it)
{
    mp_error err;

    crew_me.board = it->board; /* for act() */
    err = mp_barrier_wait(it->things[0], MP_FOREVER, NULL);
    crew_expect_no_failure(it);
    ok(err);
}

static void create_barrier_for_all(crew *it)
{
    mp_barrier_options options = {.action = act};

    cr_assert_eq(
        mp_barrier_create((mp_barrier **)&it->things[0], PARTIES + 1, &options),
        MP_OK);
}

static void storm_barriers(const storm_round *round)
{
    const crew_plan plan = {
        .worker = use_barrier,
        .workers = PARTIES,
        .create = create_barrier,
        .close = close_barrier,
        .arguments = barrier_arguments,
        .tend = tend_barrier,
        .end = end_barrier,
        .check = check_barrier,
    };

    crew_run(&plan, round);
}

static void storm_late(const storm_round *round)
{
    const crew_plan plan = {
        .worker = use_barrier,
        .workers = PARTIES,
        .create = create_barrier_for_all,
        .close = close_barrier,
        .arguments = barrier_arguments,
        .bury = await_break,
        .tend = meet_workers,
        .end = end_barrier,
        .check = check_barrier,
    };

    crew_run(&plan, round);
}

const storm torture_barriers[] = {
    {"barrier/replaced",
     "parties of a Barrier, replaced at once: all learn of a break, and go on",
     12, NULL, storm_barriers},
    {"barrier/late",
     "parties of a Barrier, replaced late: one that had come breaks it", 3,
     NULL, storm_late},
    {.name = NULL},
};
