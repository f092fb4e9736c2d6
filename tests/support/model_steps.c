/* SPDX-License-Identifier: MIT */
/* What each step of the model does, and what must hold then and at the end. */
#include "model.h"

#include "word.h"

#include <string.h>

/* Of the words that word.h describes. */
enum {
    PERMITS = INT32_MAX,
    IS_SET = 1,
    ONCE = 4,
};

const char *model_problem;
model_mutant model_bug;

void model_fail(const char *text)
{
    if (model_problem == NULL)
        model_problem = text;
}

static bool owner_is_dead(uint32_t owner)
{
    for (size_t i = 0; i < PEOPLE; i++)
        if (model_state.actors[i].status == KILLED && model_self_of(i) == owner)
            return true;
    return false;
}

/* -- Mutants --------------------------------------------------------------- */

const char *const model_mutant_names[MUTANTS] = {
    "none",
    "who has slept takes the lock without the flag for others",
    "who leaves a lock by timeout does not set the flag",
    "who leaves a lock by timeout still wants a hand-over",
    "releasing is a store",
    "releasing wakes nobody",
    "sleeping does not compare the word",
    "a dead owner's lock becomes free",
    "a dead owner's lock is taken by a store",
    "nobody looks whether the owner is alive",
    "who takes one of several permits wakes nobody else",
    "a permit is taken by a store",
    "who leaves a semaphore by timeout does not set the flag",
    "setting an event wakes one",
    "setting an event is not counted",
    "setting an event that somebody waits for wakes nobody",
    "advancing wakes nobody",
    "an alert wakes nobody",
    "who waits for items does not look again before it sleeps",
    "who has slept and got an item does not look for others",
};

static bool is_at(const model_step *step, model_mutant mutant,
                  const char *where)
{
    return model_bug == mutant && step->where != NULL &&
           strcmp(step->where, where) == 0;
}

/* What the word becomes; false: the step fails. */
static bool mutated_change(model_step *step, size_t who)
{
    bool is_dead = (step->a & MPI_OWNER_MASK) == MPI_OWNER_DIED;

    if (is_at(step, TAKER_FORGETS_OTHERS, "take_lock"))
        step->b &= ~(uint32_t)MPI_WORD_WAITERS;
    if (is_at(step, LEAVER_FORGETS_OTHERS, "leave_lock"))
        step->b &= step->a | ~(uint32_t)MPI_WORD_WAITERS;
    if (is_at(step, TAKER_OF_PERMITS_LEAVES_SILENTLY, "wait_for_one") &&
        model_state.actors[who].clock == PAST)
        step->b = step->a;
    if (is_at(step, LEAVER_STAYS_HUNGRY, "leave_lock"))
        step->b |= step->a & MPI_WORD_STARVING;
    if (is_at(step, DEATH_IS_NOT_TOLD, "model_word_bury"))
        step->b &= ~(uint32_t)MPI_OWNER_MASK;
    if (is_at(step, SET_IS_NOT_COUNTED, "model_word_set"))
        step->b -= ONCE;
    return is_at(step, RELEASE_IS_A_STORE, "model_word_unlock_slowly") ||
           is_at(step, PERMIT_IS_TAKEN_BY_A_STORE, "take_one") ||
           (is_dead && is_at(step, DEAD_LOCK_IS_TAKEN_BY_A_STORE, "take_lock"));
}

uint32_t model_wake_count(const model_step *step)
{
    if (is_at(step, RELEASE_WAKES_NOBODY, "model_word_unlock_slowly") ||
        is_at(step, PERMIT_IS_NOT_PASSED_ON, "take_one") ||
        is_at(step, SET_KEEPS_WAITERS_QUIET, "model_word_set") ||
        is_at(step, ADVANCE_WAKES_NOBODY, "model_word_advance") ||
        is_at(step, ALERT_WAKES_NOBODY, "model_word_alert_slowly"))
        return 0;
    if (is_at(step, SET_WAKES_ONE, "model_word_set"))
        return 1;
    return step->a;
}

/* -- Taking a step --------------------------------------------------------- */

static void check_lock_change(size_t who, uint32_t from, uint32_t to)
{
    uint32_t before = from & MPI_OWNER_MASK;
    uint32_t after = to & MPI_OWNER_MASK;

    if (before == after)
        return;
    if ((from & MPI_WORD_RESERVED) != 0 && who < PEOPLE &&
        !model_state.actors[who].has_slept &&
        model_current->people[who].patience == PATIENT)
        model_fail("somebody came late and took what was reserved");
    if (after == MPI_OWNER_DIED && !owner_is_dead(before))
        model_fail("somebody was buried alive");
    if (after != MPI_OWNER_DIED && owner_is_dead(before))
        model_fail("a dead owner's lock changed hands and nobody was told");
    if (before == MPI_OWNER_DIED) {
        model_state.owed--;
        if (who < PEOPLE)
            model_state.actors[who].must_be_told = true;
    }
}

static uint32_t take_change(model_step step, size_t who)
{
    bool is_store = mutated_change(&step, who);

    if (model_state.word != step.a && !is_store)
        return 0;
    if (model_current->kind == LOCK)
        check_lock_change(who, model_state.word, step.b);
    if (model_current->kind == EVENT &&
        ((step.b & ~model_state.word) & IS_SET) != 0)
        model_state.sets++;
    model_state.word = step.b;
    return 1;
}

static void enter(size_t who, bool is_told)
{
    model_actor *actor = &model_state.actors[who];

    if (model_state.holder != 0)
        model_fail("two are in at once");
    if (actor->must_be_told != is_told)
        model_fail("an owner's death was told wrongly");
    actor->must_be_told = false;
    model_state.holder = 1 + (uint32_t)who;
}

static uint32_t take_simple(const model_step *step, size_t who)
{
    uint32_t before = model_state.word;

    switch (step->kind) {
    case CHANGE:
        return take_change(*step, who);
    case ADD:
        model_state.word += step->a;
        return before;
    case IS_ALIVE:
        return !owner_is_dead(step->a) || model_bug == DEATH_IS_NOT_LOOKED_FOR;
    case ENTER:
        enter(who, step->a != 0);
        return 0;
    case LEAVE:
        model_state.holder = 0;
        return 0;
    case PUT_ITEM:
        model_state.items++;
        return 0;
    case TAKE_ITEM:
        return model_state.items > 0 && model_state.items-- > 0;
    case LOOK_FOR_ITEM:
        return model_state.items > 0;
    case LOAD:
        if (strcmp(step->where, "model_word_wait_set") == 0)
            model_state.actors[who].missed =
                model_state.sets - (before & IS_SET);
        return before;
    case NOW:
    case WAIT:
    case WAKE:
        break;
    }
    return 0;
}

/* By somebody who comes when all is over. */
uint32_t model_take_directly(const model_step *step)
{
    if (step->kind == WAIT)
        model_fail("who only tries went to sleep");
    return step->kind == WAKE ? 0 : take_simple(step, PEOPLE);
}

static void wake_these(uint32_t set)
{
    for (size_t i = 0; i < PEOPLE; i++)
        if ((set >> i & 1) != 0)
            model_answer(i, WOKEN);
}

/* Choice: the time for NOW, a set of people for WAKE. */
void model_take_step(size_t who, uint32_t choice)
{
    model_actor *actor = &model_state.actors[who];
    model_step step = actor->next;
    bool must_sleep =
        step.kind == WAIT &&
        (model_state.word == step.a || model_bug == SLEEP_DOES_NOT_COMPARE);

    if (must_sleep) {
        actor->status = ASLEEP;
    } else if (step.kind == WAIT) {
        model_answer(who, WOKEN);
    } else if (step.kind == WAKE) {
        wake_these(choice);
        model_answer(who, 0);
    } else if (step.kind == NOW) {
        model_answer(who, choice);
    } else {
        model_answer(who, take_simple(&step, who));
    }
}

void model_kill(size_t who)
{
    model_actor *actor = &model_state.actors[who];

    if (model_current->kind == LOCK &&
        (model_state.word & MPI_OWNER_MASK) == model_self_of(who))
        model_state.owed++;
    if (model_state.holder == 1 + who)
        model_state.holder = 0;
    memset(actor, 0, sizeof(*actor));
    actor->status = KILLED;
    model_state.kills++;
    model_state.looks = 0;
}

/* -- What must hold -------------------------------------------------------- */

bool model_is_there_for(const model_actor *actor)
{
    uint32_t owner = model_state.word & MPI_OWNER_MASK;

    switch (model_current->kind) {
    case LOCK:
        return owner == MPI_NOBODY || owner == MPI_OWNER_DIED ||
               owner_is_dead(owner);
    case SEMAPHORE:
        return (model_state.word & PERMITS) != 0;
    case EVENT:
        return (model_state.word & IS_SET) != 0 ||
               model_state.sets != actor->missed;
    case SEQUENCE:
        return model_state.word != actor->next.a;
    case BELL:
        return model_state.items > 0;
    }
    return false;
}

static void check_permits(void)
{
    uint32_t expected = model_current->initial;

    for (size_t i = 0; i < PEOPLE; i++) {
        uint32_t got = model_state.actors[i].got;

        expected += model_current->people[i].role == GIVES ? got : 0 - got;
    }
    if (model_state.kills == 0 && (model_state.word & PERMITS) != expected)
        model_fail("permits were lost or made");
}

static void check_items(void)
{
    uint32_t expected = 0;

    for (size_t i = 0; i < PEOPLE; i++) {
        uint32_t got = model_state.actors[i].got;

        expected += model_current->people[i].role == PUTS ? got : 0 - got;
    }
    if (model_state.kills == 0 && model_state.items != expected)
        model_fail("items were lost or made");
}

/* A newcomer who only tries. */
static void check_lock_is_left_free(void)
{
    uint32_t owner = model_state.word & MPI_OWNER_MASK;
    bool is_dead = owner == MPI_OWNER_DIED || owner_is_dead(owner);

    if (model_state.owed != is_dead)
        model_fail("an owner's death was told twice, or not at all");
    if (model_state.kills == 0 && (model_state.word & MPI_WORD_RESERVED) != 0)
        model_fail("the lock stays reserved for nobody");
    if (model_try_lock() != (is_dead ? MP_OWNER_DIED : MP_OK))
        model_fail("the lock is left so that nobody gets it");
}

void model_check_end(void)
{
    if (model_current->kind == LOCK)
        check_lock_is_left_free();
    if (model_current->kind == SEMAPHORE)
        check_permits();
    if (model_current->kind == BELL)
        check_items();
}
