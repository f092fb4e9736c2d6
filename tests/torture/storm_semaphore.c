/* SPDX-License-Identifier: MIT */
/* A storm on a Semaphore: never more inside than there are permits, and none is
 * lost but those that went with a holder. */
#include "crew.h"

/* Permits. */
enum { PERMITS = 4 };

/* For all to be lost: as long as anybody may have to wait. */
static const int64_t longest_wait = INT64_C(2000000000);

static uint32_t change_bits(mpi_atomic32 *bits, uint32_t set, uint32_t clear)
{
    uint32_t value, next;

    do {
        value = mpi_atomic32_load(bits);
        next = (value | set) & ~clear;
    } while (!mpi_atomic32_change(bits, value, next));
    return next;
}

static int count_bits(uint32_t bits)
{
    int count = 0;

    for (; bits != 0; bits &= bits - 1)
        count++;
    return count;
}

/* A bit is set by who has a permit, and no longer than it has it. */
static void use_permit(mp_semaphore *semaphore)
{
    double timeout = crew_me.bit == 1 || crew_me.bit == 4 ? 0.02 : MP_FOREVER;
    uint32_t inside;
    mp_error err;

    crew_set_step(COMING);
    err = mp_semaphore_acquire(semaphore, timeout);
    if (err != MP_TIMED_OUT) {
        EXPECT_OK(err);
        inside = change_bits(&crew_me.board->inside, crew_me.bit, 0);
        EXPECT(count_bits(inside) <= PERMITS || crew_must_end());
        crew_arrive(crew_me.board);
        crew_work(2000);
        crew_set_step(LEAVING);
        change_bits(&crew_me.board->inside, 0, crew_me.bit);
        EXPECT_OK(mp_semaphore_release(semaphore));
    }
    crew_set_step(OUTSIDE);
    mpi_atomic32_add(&crew_me.slot->done, 1);
}

static int use_semaphore(mp_args *args)
{
    mp_semaphore *semaphore = mp_arg_semaphore(args, 0);

    crew_come(args, semaphore);
    while (!crew_must_end()) {
        if (mpi_atomic32_load(&crew_me.board->must_park) != 0) {
            crew_set_step(PARKED);
            mp_sleep(0.0005);
            continue;
        }
        use_permit(semaphore);
        crew_work(1000);
    }
    return 0;
}

static void create_semaphore(crew *it)
{
    cr_assert_eq(mp_semaphore_create((mp_semaphore **)&it->things[0], PERMITS),
                 MP_OK);
}

static void close_semaphore(crew *it)
{
    ok(mp_semaphore_close(it->things[0]));
}

static mp_obj *semaphore_arguments(crew *it, int place)
{
    return MP_ARGS((mp_semaphore *)it->things[0], CREW_ARGS(it, place));
}

/* What it said it had is given back. Killed within acquire or release, it may
 * have had one more: see audit(). */
static void bury_permit(crew *it, int place)
{
    uint32_t bit = UINT32_C(1) << place;
    uint32_t step = crew_step(it, place);

    if ((mpi_atomic32_load(&it->board->inside) & bit) != 0) {
        change_bits(&it->board->inside, 0, bit);
        it->died++;
        ok(mp_semaphore_release(it->things[0]));
    } else if (step == COMING || step == LEAVING) {
        it->ambiguous++;
    }
}

static bool all_are_parked(const crew *it)
{
    for (int i = 0; i < it->plan->workers; i++)
        if (crew_step(it, i) != PARKED)
            return false;
    return true;
}

/* Who waits for the last permit can't park; that all are lost shows, too. */
static bool all_are_lost(const crew *it, int64_t began)
{
    int64_t value = -1;

    ok(mp_semaphore_get_value(it->things[0], &value));
    return value == 0 && mpi_atomic32_load(&it->board->inside) == 0 &&
           mpos_now() - began > longest_wait;
}

/* Nobody has any: what is missing went with those that were killed within
 * acquire or release since the last time, and is given back. */
static void audit(crew *it, uint32_t ambiguous)
{
    int64_t began = mpos_now();
    int64_t value = -1;

    mpi_atomic32_store(&it->board->must_park, 1);
    while (!all_are_parked(it) && !all_are_lost(it, began)) {
        crew_expect_no_failure(it);
        mp_sleep(0.0002);
    }
    ok(mp_semaphore_get_value(it->things[0], &value));
    cr_assert_leq(value, PERMITS);
    cr_assert_leq(PERMITS - value, (int64_t)ambiguous);
    if (value < PERMITS)
        cr_assert_eq(mp_semaphore_release_many(it->things[0],
                                               (uint32_t)(PERMITS - value)),
                     MP_OK);
    it->lost += (uint32_t)(PERMITS - value);
    mpi_atomic64_store(&it->board->last, (uint64_t)mpos_now());
    mpi_atomic32_store(&it->board->must_park, 0);
}

/* Often, lest all are lost between two. */
static void tend_permits(crew *it)
{
    enum { EVERY = 10 };

    if (it->kills == it->tended_kills || it->kills % EVERY != 0)
        return;
    audit(it, it->ambiguous - it->tended_deaths);
    it->tended_kills = it->kills;
    it->tended_deaths = it->ambiguous;
}

/* More than there should be: nobody counts any more. */
static void free_permits(crew *it)
{
    ok(mp_semaphore_release_many(it->things[0], CREW_MOST));
}

static void check_semaphore(crew *it)
{
    int64_t value = -1;

    ok(mp_semaphore_get_value(it->things[0], &value));
    value -= CREW_MOST;
    cr_assert_leq(value, PERMITS);
    cr_assert_leq(PERMITS - value, (int64_t)(it->ambiguous - it->lost));
    it->lost += (uint32_t)(PERMITS - value);
    cr_assert_eq(mpi_atomic32_load(&it->board->inside), 0);
}

static void storm_semaphores(const storm_round *round)
{
    const crew_plan plan = {
        .worker = use_semaphore,
        .workers = CREW_MOST,
        .create = create_semaphore,
        .close = close_semaphore,
        .arguments = semaphore_arguments,
        .bury = bury_permit,
        .tend = tend_permits,
        .end = free_permits,
        .check = check_semaphore,
    };

    crew_run(&plan, round);
}

const storm torture_semaphores[] = {
    {"semaphore",
     "users of a Semaphore: no more inside than permits; none is lost but the "
     "dead ones'",
     25, NULL, storm_semaphores},
    {.name = NULL},
};
