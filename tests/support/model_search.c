/* SPDX-License-Identifier: MIT */
/* All that can happen in a scenario, each state once. */
#include "model.h"

#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- The search ------------------------------------------------------------ */

typedef struct model_seen {
    uint64_t hash;     /* 0: free */
    double executions; /* from there on; -1 while it is being found out */
} model_seen;

typedef struct model_event {
    size_t who;
    const char *what;
    model_step step;
    uint32_t choice;
    uint32_t word; /* afterwards */
} model_event;

enum { LONGEST = 1000 };

static model_seen *table;
static size_t capacity;
size_t model_states;
static size_t steps;
static size_t cycles;
static model_event path[LONGEST];
static size_t depth;
static bool is_shown;
bool model_is_quiet; /* the way there is not printed */

static model_seen *find(model_seen *slots, size_t size, uint64_t hash)
{
    size_t i = (size_t)hash & (size - 1);

    while (slots[i].hash != 0 && slots[i].hash != hash)
        i = (i + 1) & (size - 1);
    return &slots[i];
}

static void grow(void)
{
    size_t size = capacity == 0 ? 1U << 16 : capacity * 2;
    model_seen *slots = calloc(size, sizeof(*slots));

    cr_assert_not_null(slots);
    for (size_t i = 0; i < capacity; i++)
        if (table[i].hash != 0)
            *find(slots, size, table[i].hash) = table[i];
    free(table);
    table = slots;
    capacity = size;
}

static uint64_t hash_step(uint64_t hash, const model_step *step)
{
    hash = model_mix(hash, (uint64_t)step->kind * 2 + step->is_timed);
    hash = model_mix(hash, (uint64_t)step->a << 32 | step->b);
    return model_mix(hash, (uintptr_t)step->where);
}

static uint64_t hash_now(void)
{
    uint64_t hash = model_mix(model_state.word, model_state.holder);

    hash =
        model_mix(hash, (uint64_t)model_state.kills << 32 | model_state.looks);
    hash =
        model_mix(hash, (uint64_t)model_state.items << 32 | model_state.sets);
    hash = model_mix(hash, (uint64_t)model_state.spurious << 32 |
                               (uint32_t)model_state.owed);
    for (size_t i = 0; i < PEOPLE; i++) {
        const model_actor *actor = &model_state.actors[i];

        hash = model_mix(hash, actor->key);
        hash = hash_step(hash, &actor->next);
        hash = model_mix(hash, (uint64_t)actor->status << 32 | actor->clock);
        hash = model_mix(hash, actor->missed);
        hash = model_mix(hash, (uint64_t)actor->got << 2 |
                                   actor->has_slept * 2U | actor->must_be_told);
    }
    return hash != 0 ? hash : 1;
}

static void show_path(void)
{
    static const char *const names[] = {
        "load",     "change", "add",   "now", "wait", "wake",
        "is alive", "enter",  "leave", "put", "take", "look for"};

    fprintf(stderr, "%s: %s\n", model_current->name, model_problem);
    for (size_t i = 0; i < depth; i++) {
        const model_event *event = &path[i];

        fprintf(stderr, "  %u: %s %s %x %x (%s) choice %x; word %x\n",
                (unsigned)event->who + 1, event->what, names[event->step.kind],
                (unsigned)event->step.a, (unsigned)event->step.b,
                event->step.where != NULL ? event->step.where : "",
                (unsigned)event->choice, (unsigned)event->word);
    }
}

static double explore(void);

typedef enum model_move {
    TAKE_STEP,
    FIRE_TIMER,
    WAKE_FOR_NO_REASON,
    KILL,
    LOOK,
} model_move;

static void make_move(model_move move, size_t who, uint32_t choice)
{
    switch (move) {
    case TAKE_STEP:
        model_take_step(who, choice);
        break;
    case FIRE_TIMER:
        model_answer(who, TIMER_FIRED);
        break;
    case WAKE_FOR_NO_REASON:
        model_state.spurious++;
        model_answer(who, WOKEN);
        break;
    case KILL:
        model_kill(who);
        break;
    case LOOK:
        model_state.looks++;
        for (size_t i = 0; i < PEOPLE; i++)
            if (model_state.actors[i].status == ASLEEP)
                model_answer(i, model_state.actors[i].next.is_timed
                                    ? TIMER_FIRED
                                    : LOOKED);
        break;
    }
}

/* Goes there, explores everything behind it, and comes back. */
static double try_move(model_move move, size_t who, uint32_t choice)
{
    static const char *const names[] = {"", "timer", "spurious", "killed",
                                        "all look"};
    model_world before = model_state;
    double executions;

    if (model_problem == NULL && depth == LONGEST)
        model_fail("an execution takes too many steps");
    if (model_problem != NULL)
        return 0;
    path[depth] = (model_event){who, names[move], model_state.actors[who].next,
                                choice, 0};
    make_move(move, who, choice);
    path[depth++].word = model_state.word;
    steps++;
    executions = explore();
    depth--;
    model_state = before;
    return executions;
}

static unsigned bits(uint32_t set)
{
    unsigned count = 0;

    for (; set != 0; set &= set - 1)
        count++;
    return count;
}

static double try_wakes(size_t who)
{
    uint32_t sleepers = 0;
    uint32_t count = model_wake_count(&model_state.actors[who].next);
    double executions = 0;

    for (size_t i = 0; i < PEOPLE; i++)
        if (model_state.actors[i].status == ASLEEP)
            sleepers |= 1U << i;
    if (count > bits(sleepers))
        count = bits(sleepers);
    for (uint32_t set = 0; set < 1U << PEOPLE; set++)
        if ((set & ~sleepers) == 0 && bits(set) == count)
            executions += try_move(TAKE_STEP, who, set);
    return executions;
}

/* What the clock says concerns nobody else: no other order to try. */
static double try_clocks(size_t who)
{
    double executions = 0;

    for (uint32_t clock = model_state.actors[who].clock; clock <= PAST; clock++)
        if (clock == model_state.actors[who].clock ||
            model_clock_may_be(who, clock))
            executions += try_move(TAKE_STEP, who, clock);
    return executions;
}

static double try_person(size_t who)
{
    const model_person *person = &model_current->people[who];
    const model_actor *actor = &model_state.actors[who];
    double executions = 0;

    if (actor->status == READY && actor->next.kind == WAKE)
        executions += try_wakes(who);
    else if (actor->status == READY)
        executions += try_move(TAKE_STEP, who, 0);
    if (actor->status == ASLEEP && actor->next.is_timed)
        executions += try_move(FIRE_TIMER, who, 0);
    if (actor->status == ASLEEP &&
        model_state.spurious < model_current->spurious)
        executions += try_move(WAKE_FOR_NO_REASON, who, 0);
    if ((actor->status == READY || actor->status == ASLEEP) &&
        person->may_be_killed && model_state.kills < model_current->kills)
        executions += try_move(KILL, who, 0);
    return executions;
}

/* Everybody sleeps, has done all, or is dead. */
static double try_quiet(void)
{
    bool is_somebody_asleep = false;
    bool is_something_there = false;
    bool has_timer = false;

    for (size_t i = 0; i < PEOPLE; i++) {
        if (model_state.actors[i].status != ASLEEP)
            continue;
        is_somebody_asleep = true;
        has_timer = has_timer || model_state.actors[i].next.is_timed;
        if (model_is_there_for(&model_state.actors[i]))
            is_something_there = true;
    }
    if (!is_somebody_asleep) {
        model_check_end();
        return 1;
    }
    if (is_something_there && (model_state.kills == 0 || model_state.looks > 0))
        model_fail("somebody sleeps though what it waits for is there");
    else if (is_something_there)
        return try_move(LOOK, 0, 0);
    else if (!has_timer && !model_current->may_wait_forever)
        model_fail("somebody waits for ever");
    return has_timer ? 0 : 1;
}

static double explore_new(void)
{
    bool is_quiet_now = true;
    double executions = 0;

    for (size_t i = 0; i < PEOPLE; i++)
        if (model_state.actors[i].status == READY &&
            model_state.actors[i].next.kind == NOW)
            return try_clocks(i);
    for (size_t i = 0; i < PEOPLE; i++)
        if (model_state.actors[i].status == READY)
            is_quiet_now = false;
    if (is_quiet_now)
        executions += try_quiet();
    for (size_t i = 0; i < PEOPLE && model_problem == NULL; i++)
        executions += try_person(i);
    return executions;
}

static double explore(void)
{
    uint64_t hash = hash_now();
    model_seen *slot;
    double executions;

    if (model_states * 2 >= capacity)
        grow();
    slot = find(table, capacity, hash);
    if (model_problem == NULL && slot->hash != 0) {
        if (slot->executions < 0)
            cycles++;
        return slot->executions < 0 ? 0 : slot->executions;
    }
    if (model_problem == NULL) {
        *slot = (model_seen){.hash = hash, .executions = -1};
        model_states++;
        executions = explore_new();
        find(table, capacity, hash)->executions = executions;
    }
    if (model_problem != NULL) {
        if (!model_is_quiet && !is_shown)
            show_path();
        is_shown = true;
        return 0;
    }
    return executions;
}

/* NULL: everything holds. */
const char *model_search(const model_scenario *scenario)
{
    double executions;

    model_begin(scenario);
    is_shown = false;
    model_states = steps = cycles = depth = capacity = 0;
    free(table);
    table = NULL;
    executions = explore();
    free(table);
    table = NULL;
    if (model_bug == NO_MUTANT)
        printf("%-55s %8lu states %9lu steps %8.2g executions %lu cycles\n",
               scenario->name, (unsigned long)model_states,
               (unsigned long)steps, executions, (unsigned long)cycles);
    return model_problem;
}
