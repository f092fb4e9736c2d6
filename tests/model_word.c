/* SPDX-License-Identifier: MIT */
/*
 * word.c under every order of steps: never two owners, no lost wake-up, each
 * owner's death told once, no permit lost. See support/model.h.
 */
#include "support/model.h"
#include "support/testing.h"

#include <stdio.h>
#include <stdlib.h>

/* -- Scenarios ------------------------------------------------------------- */

#define MORTAL .may_be_killed = true
#define HUNGRY .may_starve = true
#define LOCKER(...)                \
    {                              \
        .role = LOCKS, __VA_ARGS__ \
    }
#define TAKER(...)                 \
    {                              \
        .role = TAKES, __VA_ARGS__ \
    }
#define GIVER(...)                 \
    {                              \
        .role = GIVES, __VA_ARGS__ \
    }
#define WAITER(...)                \
    {                              \
        .role = WAITS, __VA_ARGS__ \
    }

static const model_scenario locks[] = {
    {.name = "two, three times each",
     .kind = LOCK,
     .people = {LOCKER(.rounds = 3), LOCKER(.rounds = 3)},
     .spurious = 2},
    {.name = "three",
     .kind = LOCK,
     .people = {LOCKER(), LOCKER(), LOCKER()},
     .spurious = 1},
    {.name = "three, twice each",
     .kind = LOCK,
     .is_large = true,
     .people = {LOCKER(.rounds = 2), LOCKER(.rounds = 2), LOCKER(.rounds = 2)}},
    {.name = "four",
     .kind = LOCK,
     .is_large = true,
     .people = {LOCKER(), LOCKER(), LOCKER(), LOCKER()}},
    {.name = "three, two of one process",
     .kind = LOCK,
     .people = {LOCKER(.self = 7), LOCKER(.self = 7), LOCKER(.rounds = 2)}},
    {.name = "three, one with a timeout",
     .kind = LOCK,
     .people = {LOCKER(.rounds = 2), LOCKER(), LOCKER(.patience = TIMED)}},
    {.name = "three, two with a timeout",
     .kind = LOCK,
     .people = {LOCKER(), LOCKER(.patience = TIMED), LOCKER(.patience = TIMED)},
     .spurious = 1},
    {.name = "four, one with a timeout",
     .kind = LOCK,
     .is_large = true,
     .people = {LOCKER(), LOCKER(), LOCKER(), LOCKER(.patience = TIMED)}},
    {.name = "three, one only tries",
     .kind = LOCK,
     .people = {LOCKER(), LOCKER(), LOCKER(.rounds = 2, .patience = TRIES)}},
};

static const model_scenario starving_locks[] = {
    {.name = "two starve",
     .kind = LOCK,
     .people = {LOCKER(HUNGRY, .rounds = 2), LOCKER(HUNGRY, .rounds = 2)}},
    {.name = "three, one starves",
     .kind = LOCK,
     .people = {LOCKER(.rounds = 2), LOCKER(), LOCKER(HUNGRY)}},
    {.name = "three starve",
     .kind = LOCK,
     .people = {LOCKER(HUNGRY), LOCKER(HUNGRY), LOCKER(HUNGRY)}},
    {.name = "three, one starves and has a timeout",
     .kind = LOCK,
     .people = {LOCKER(.rounds = 2), LOCKER(),
                LOCKER(HUNGRY, .patience = TIMED)}},
    {.name = "three starve, two have a timeout",
     .kind = LOCK,
     .people = {LOCKER(HUNGRY), LOCKER(HUNGRY, .patience = TIMED),
                LOCKER(HUNGRY, .patience = TIMED)}},
    {.name = "one starves, one only tries",
     .kind = LOCK,
     .people = {LOCKER(.rounds = 2), LOCKER(HUNGRY),
                LOCKER(.patience = TRIES)}},
};

static const model_scenario killed_lockers[] = {
    {.name = "two, twice each, one is killed",
     .kind = LOCK,
     .people = {LOCKER(MORTAL, .rounds = 2), LOCKER(MORTAL, .rounds = 2)},
     .kills = 1},
    {.name = "three, one is killed",
     .kind = LOCK,
     .people = {LOCKER(MORTAL), LOCKER(MORTAL), LOCKER(MORTAL)},
     .kills = 1,
     .spurious = 1},
    {.name = "three, two are killed",
     .kind = LOCK,
     .people = {LOCKER(MORTAL), LOCKER(MORTAL), LOCKER(MORTAL)},
     .kills = 2},
    {.name = "three, one with a timeout, one is killed",
     .kind = LOCK,
     .people = {LOCKER(MORTAL), LOCKER(MORTAL),
                LOCKER(MORTAL, .patience = TIMED)},
     .kills = 1},
    {.name = "three, one only tries, one is killed",
     .kind = LOCK,
     .people = {LOCKER(MORTAL), LOCKER(MORTAL),
                LOCKER(MORTAL, .patience = TRIES)},
     .kills = 1},
    {.name = "three starve, one is killed",
     .kind = LOCK,
     .people = {LOCKER(MORTAL, HUNGRY), LOCKER(MORTAL, HUNGRY),
                LOCKER(MORTAL, HUNGRY)},
     .kills = 1},
    {.name = "three starve, one with a timeout, two are killed",
     .kind = LOCK,
     .people = {LOCKER(MORTAL, HUNGRY), LOCKER(MORTAL, HUNGRY),
                LOCKER(MORTAL, HUNGRY, .patience = TIMED)},
     .kills = 2},
    {.name = "three, twice each, one is killed",
     .kind = LOCK,
     .is_large = true,
     .people = {LOCKER(MORTAL, .rounds = 2), LOCKER(MORTAL, .rounds = 2),
                LOCKER(MORTAL, .rounds = 2)},
     .kills = 1},
    {.name = "three, two starve, one comes again, one is killed",
     .kind = LOCK,
     .people = {LOCKER(MORTAL, HUNGRY), LOCKER(MORTAL, HUNGRY),
                LOCKER(MORTAL, .rounds = 2)},
     .kills = 1},
    {.name = "four, the first is killed",
     .kind = LOCK,
     .is_large = true,
     .people = {LOCKER(MORTAL), LOCKER(), LOCKER(), LOCKER()},
     .kills = 1},
};

static const model_scenario semaphores[] = {
    {.name = "two take, two give",
     .kind = SEMAPHORE,
     .people = {TAKER(), TAKER(), GIVER(), GIVER()},
     .spurious = 1},
    {.name = "one takes two, one takes one, one gives three",
     .kind = SEMAPHORE,
     .people = {TAKER(.rounds = 2), TAKER(), GIVER(.rounds = 3)}},
    {.name = "three take, one gives three",
     .kind = SEMAPHORE,
     .people = {TAKER(), TAKER(), TAKER(), GIVER(.rounds = 3)}},
    {.name = "two take, one has a timeout, two give",
     .kind = SEMAPHORE,
     .people = {TAKER(), TAKER(.patience = TIMED), GIVER(), GIVER()}},
    {.name = "three take, one has a timeout, one gives two",
     .kind = SEMAPHORE,
     .people = {TAKER(), TAKER(), TAKER(.patience = TIMED), GIVER(.rounds = 2)},
     .may_wait_forever = true},
    {.name = "three take, one only tries, one gives two",
     .kind = SEMAPHORE,
     .people = {TAKER(), TAKER(), TAKER(.patience = TRIES), GIVER(.rounds = 2)},
     .may_wait_forever = true},
    {.name = "three take, one is there, one gives one",
     .kind = SEMAPHORE,
     .people = {TAKER(), TAKER(), TAKER(), GIVER()},
     .initial = 1,
     .may_wait_forever = true},
};

static const model_scenario killed_takers[] = {
    {.name = "three take, one is killed, one gives two",
     .kind = SEMAPHORE,
     .people = {TAKER(MORTAL), TAKER(MORTAL), TAKER(MORTAL),
                GIVER(.rounds = 2)},
     .kills = 1,
     .may_wait_forever = true},
    {.name = "two take, two give, two are killed",
     .kind = SEMAPHORE,
     .people = {TAKER(MORTAL), TAKER(MORTAL), GIVER(MORTAL), GIVER(MORTAL)},
     .kills = 2,
     .may_wait_forever = true},
};

static const model_scenario events[] = {
    {.name = "two wait, one sets",
     .kind = EVENT,
     .people = {WAITER(), WAITER(), {.role = SETS}},
     .spurious = 1},
    {.name = "two wait, one with a timeout, one sets",
     .kind = EVENT,
     .people = {WAITER(), WAITER(.patience = TIMED), {.role = SETS}}},
    {.name = "two wait, one sets and clears, one sets",
     .kind = EVENT,
     .people = {WAITER(), WAITER(), {.role = SETS_AND_CLEARS}, {.role = SETS}},
     .may_wait_forever = true},
    {.name = "one waits twice, two set and clear",
     .kind = EVENT,
     .people = {WAITER(.rounds = 2),
                {.role = SETS_AND_CLEARS, .rounds = 2},
                {.role = SETS_AND_CLEARS}},
     .may_wait_forever = true},
    {.name = "two wait, one sets, one is killed",
     .kind = EVENT,
     .people = {WAITER(MORTAL),
                WAITER(MORTAL),
                {.role = SETS, MORTAL},
                {.role = SETS}},
     .kills = 1,
     .may_wait_forever = true},
};

static const model_scenario sequences[] = {
    {.name = "two follow, one advances twice",
     .kind = SEQUENCE,
     .people = {{.role = FOLLOWS, .rounds = 2},
                {.role = FOLLOWS, .rounds = 2},
                {.role = ADVANCES, .rounds = 2}},
     .spurious = 1},
    {.name = "two follow, one with a timeout, two advance",
     .kind = SEQUENCE,
     .people = {{.role = FOLLOWS, .rounds = 2},
                {.role = FOLLOWS, .rounds = 2, .patience = TIMED},
                {.role = ADVANCES},
                {.role = ADVANCES}}},
    {.name = "two follow, two advance, one is killed",
     .kind = SEQUENCE,
     .people = {{.role = FOLLOWS, MORTAL},
                {.role = FOLLOWS, MORTAL},
                {.role = ADVANCES, MORTAL},
                {.role = ADVANCES}},
     .kills = 1},
};

#define PUTTER(...)               \
    {                             \
        .role = PUTS, __VA_ARGS__ \
    }
#define GETTER(...)               \
    {                             \
        .role = GETS, __VA_ARGS__ \
    }

static const model_scenario bells[] = {
    {.name = "two get, two put",
     .kind = BELL,
     .people = {GETTER(), GETTER(), PUTTER(), PUTTER()}},
    {.name = "one gets two, one gets one, one puts three",
     .kind = BELL,
     .people = {GETTER(.rounds = 2), GETTER(), PUTTER(.rounds = 3)}},
    {.name = "three get, one puts three",
     .kind = BELL,
     .is_large = true,
     .people = {GETTER(), GETTER(), GETTER(), PUTTER(.rounds = 3)}},
    {.name = "two get, one has a timeout, two put",
     .kind = BELL,
     .people = {GETTER(), GETTER(.patience = TIMED), PUTTER(), PUTTER()}},
    {.name = "three get, one has a timeout, one puts two",
     .kind = BELL,
     .is_large = true,
     .people = {GETTER(), GETTER(), GETTER(.patience = TIMED),
                PUTTER(.rounds = 2)},
     .may_wait_forever = true},
};

static const model_scenario killed_getters[] = {
    {.name = "three get, one is killed, one puts two",
     .kind = BELL,
     .is_large = true,
     .people = {GETTER(MORTAL), GETTER(MORTAL), GETTER(MORTAL),
                PUTTER(.rounds = 2)},
     .kills = 1,
     .may_wait_forever = true},
    {.name = "two get, two put, two are killed",
     .kind = BELL,
     .people = {GETTER(MORTAL), GETTER(MORTAL), PUTTER(MORTAL), PUTTER(MORTAL)},
     .kills = 2,
     .may_wait_forever = true},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define BROKEN_OF(scenarios) count_broken(scenarios, COUNT(scenarios))

/* Tens of millions of steps: by hand, with MULTIPROC_MODEL_ALL in the
 * environment. */
static bool is_left_out(const model_scenario *scenario)
{
    return scenario->is_large && getenv("MULTIPROC_MODEL_ALL") == NULL;
}

/* How many do not hold; of each it says what is wrong. */
static size_t count_broken(const model_scenario *scenarios, size_t count)
{
    size_t broken = 0;

    for (size_t i = 0; i < count; i++) {
        if (is_left_out(&scenarios[i]) || model_search(&scenarios[i]) == NULL)
            continue;
        fprintf(stderr, "%s: %s\n", scenarios[i].name, model_problem);
        broken++;
    }
    return broken;
}

Test(model_word, a_lock_has_one_owner_and_loses_no_wake_up)
{
    cr_assert_eq(BROKEN_OF(locks), 0);
}

Test(model_word, a_starving_waiter_is_handed_the_lock_and_none_stays_reserved)
{
    cr_assert_eq(BROKEN_OF(starving_locks), 0);
}

Test(model_word, the_death_of_an_owner_is_told_once_after_one_look)
{
    cr_assert_eq(BROKEN_OF(killed_lockers), 0);
}

Test(model_word, permits_are_neither_lost_nor_made_nor_slept_on)
{
    cr_assert_eq(BROKEN_OF(semaphores), 0);
}

Test(model_word, permits_are_found_when_whom_they_woke_is_killed)
{
    cr_assert_eq(BROKEN_OF(killed_takers), 0);
}

Test(model_word, whoever_waits_for_an_event_hears_of_each_set)
{
    cr_assert_eq(BROKEN_OF(events), 0);
}

Test(model_word, whoever_follows_a_sequence_hears_of_each_advance)
{
    cr_assert_eq(BROKEN_OF(sequences), 0);
}

Test(model_word, whoever_waits_for_items_hears_of_them, .timeout = 300)
{
    cr_assert_eq(BROKEN_OF(bells), 0);
}

Test(model_word, items_are_found_when_whom_they_woke_is_killed, .timeout = 300)
{
    cr_assert_eq(BROKEN_OF(killed_getters), 0);
}

/* The scenario that shows the bug. */
static const char *find_bug(const model_scenario *scenarios, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!is_left_out(&scenarios[i]) && model_search(&scenarios[i]) != NULL)
            return scenarios[i].name;
    return NULL;
}

/* From first to last. */
static void expect_found(model_mutant first, model_mutant last,
                         const model_scenario *scenarios, size_t count)
{
    model_is_quiet = true;
    for (int i = (int)first; i <= (int)last; i++) {
        const char *name;

        model_bug = (model_mutant)i;
        name = find_bug(scenarios, count);
        cr_expect_not_null(name, "not found: %s", model_mutant_names[i]);
        if (name != NULL)
            printf("%s: %s (\"%s\", %lu states)\n", model_mutant_names[i],
                   model_problem, name, (unsigned long)model_states);
    }
    model_bug = NO_MUTANT;
    model_is_quiet = false;
}

#define EXPECT_FOUND(first, last, scenarios) \
    expect_found(first, last, scenarios, COUNT(scenarios))

/* The model would be worth nothing if it let these pass. */
Test(model_word, deliberate_bugs_are_found)
{
    EXPECT_FOUND(TAKER_FORGETS_OTHERS, SLEEP_DOES_NOT_COMPARE, locks);
    EXPECT_FOUND(DEATH_IS_NOT_TOLD, DEATH_IS_NOT_LOOKED_FOR, killed_lockers);
    EXPECT_FOUND(PERMIT_IS_NOT_PASSED_ON, TAKER_OF_PERMITS_LEAVES_SILENTLY,
                 semaphores);
    EXPECT_FOUND(SET_WAKES_ONE, SET_KEEPS_WAITERS_QUIET, events);
    EXPECT_FOUND(ADVANCE_WAKES_NOBODY, ADVANCE_WAKES_NOBODY, sequences);
    EXPECT_FOUND(ALERT_WAKES_NOBODY, GETTER_FORGETS_OTHERS, bells);
}
