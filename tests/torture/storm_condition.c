/* SPDX-License-Identifier: MIT */
/* Storms on two Conditions over one lock: the books of a market stay right. */
#include "crew.h"

/* Two over one lock. */
typedef struct market {
    mp_condition *not_full;
    mp_condition *not_empty;
} market;

static bool has_room(void *unused)
{
    (void)unused;
    return crew_me.board->items < CREW_ROOM || crew_must_end();
}

static bool has_items(void *unused)
{
    (void)unused;
    return crew_me.board->items > 0 || crew_must_end();
}

/* The owner died: it may have notified nobody, too. */
static void mend_market(const market *it)
{
    board *on = crew_me.board;

    mpi_atomic32_add(&on->told, 1);
    on->items = on->produced - on->consumed;
    EXPECT_OK(mp_condition_notify_all(it->not_full));
    EXPECT_OK(mp_condition_notify_all(it->not_empty));
}

static void mend_if_told(const market *it, mp_error err)
{
    if (err == MP_OWNER_DIED)
        mend_market(it);
    else
        EXPECT_OK(err);
}

/* Returns with the lock held and what it waits for true. */
static void await_turn(const market *it, mp_condition *condition,
                       bool (*predicate)(void *))
{
    crew_set_step(COMING);
    mend_if_told(it, mp_condition_acquire(condition, MP_FOREVER));
    while (!predicate(NULL))
        mend_if_told(
            it, mp_condition_wait_for(condition, predicate, NULL, MP_FOREVER));
    crew_set_step(INSIDE);
    EXPECT(crew_me.board->items ==
           crew_me.board->produced - crew_me.board->consumed);
    EXPECT(crew_me.board->items >= 0 && crew_me.board->items <= CREW_ROOM);
}

static void trade(const market *it, bool is_producer)
{
    mp_condition *mine = is_producer ? it->not_full : it->not_empty;
    mp_condition *theirs = is_producer ? it->not_empty : it->not_full;
    int64_t *count =
        is_producer ? &crew_me.board->produced : &crew_me.board->consumed;

    await_turn(it, mine, is_producer ? has_room : has_items);
    if (!crew_must_end()) {
        *(volatile int64_t *)count += 1;
        crew_work(100);
        *(volatile int64_t *)&crew_me.board->items += is_producer ? 1 : -1;
        mpi_atomic32_add(&crew_me.slot->done, 1);
        EXPECT_OK(mp_condition_notify(theirs, 1));
        crew_arrive(crew_me.board);
    }
    crew_set_step(LEAVING);
    EXPECT_OK(mp_condition_release(mine));
    crew_set_step(OUTSIDE);
}

static int use_market(mp_args *args)
{
    market it = {mp_arg_condition(args, 0), mp_arg_condition(args, 1)};

    crew_come(args, it.not_full);
    while (!crew_must_end()) {
        trade(&it, (crew_me.bit & 0x55) != 0);
        crew_work(500);
    }
    return 0;
}

static void create_market(crew *it)
{
    mp_rlock *lock;

    ok(mp_rlock_create(&lock));
    for (int i = 0; i < 2; i++)
        cr_assert_eq(mp_condition_create_with_rlock(
                         (mp_condition **)&it->things[i], lock),
                     MP_OK);
    it->things[2] = lock;
}

static void create_market_with_lock(crew *it)
{
    mp_lock *lock;

    ok(mp_lock_create(&lock));
    for (int i = 0; i < 2; i++)
        cr_assert_eq(mp_condition_create_with_lock(
                         (mp_condition **)&it->things[i], lock),
                     MP_OK);
    it->things[2] = lock;
}

static void close_conditions(crew *it)
{
    for (int i = 0; i < 2; i++)
        ok(mp_condition_close(it->things[i]));
}

static void close_market(crew *it)
{
    close_conditions(it);
    ok(mp_rlock_close(it->things[2]));
}

static void close_market_with_lock(crew *it)
{
    close_conditions(it);
    ok(mp_lock_close(it->things[2]));
}

static mp_obj *market_arguments(crew *it, int place)
{
    return MP_ARGS((mp_condition *)it->things[0], (mp_condition *)it->things[1],
                   CREW_ARGS(it, place));
}

static void end_market(crew *it)
{
    board *on = it->board;
    mp_error err = mp_condition_acquire(it->things[0], MP_FOREVER);

    if (err == MP_OWNER_DIED) {
        mpi_atomic32_add(&on->told, 1);
        on->items = on->produced - on->consumed;
    } else {
        ok(err);
    }
    ok(mp_condition_notify_all(it->things[0]));
    ok(mp_condition_notify_all(it->things[1]));
    ok(mp_condition_release(it->things[0]));
}

/* What each said it did, against the books: who was killed between the two
 * had the lock. */
static void check_market(crew *it)
{
    const board *on = it->board;
    int64_t counts[2] = {0};

    for (int i = 0; i < it->plan->workers; i++)
        counts[i % 2] += mpi_atomic32_load(&on->slots[i].done);
    cr_assert_leq(counts[0], on->produced);
    cr_assert_leq(counts[1], on->consumed);
    cr_assert_leq(on->produced - counts[0] + on->consumed - counts[1],
                  (int64_t)it->died + it->ambiguous);
    cr_assert_eq(on->items, on->produced - on->consumed);
    crew_check_told(it);
}

static void storm_over_lock(const storm_round *round)
{
    const crew_plan plan = {
        .create = create_market_with_lock,
        .close = close_market_with_lock,
        .worker = use_market,
        .workers = CREW_MOST,
        .arguments = market_arguments,
        .bury = crew_bury_owner,
        .end = end_market,
        .check = check_market,
        .lock = 2,
    };

    crew_run(&plan, round);
}

static void storm_over_rlock(const storm_round *round)
{
    const crew_plan plan = {
        .create = create_market,
        .close = close_market,
        .worker = use_market,
        .workers = CREW_MOST,
        .arguments = market_arguments,
        .bury = crew_bury_owner,
        .end = end_market,
        .check = check_market,
        .lock = 2,
    };

    crew_run(&plan, round);
}

#define CONDITION_HOLDS                                                       \
    "producers and consumers over two Conditions: the books are right, each " \
    "holder's death is told once"

const storm torture_conditions[] = {
    {"condition/lock", CONDITION_HOLDS " (and a Lock)", 25, NULL,
     storm_over_lock},
    {"condition/rlock", CONDITION_HOLDS " (and an RLock)", 25, NULL,
     storm_over_rlock},
    {.name = NULL},
};
