/* SPDX-License-Identifier: MIT */

#ifndef SUPPORT_MODEL_H
#define SUPPORT_MODEL_H

#include <multiproc/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* -- Scenarios ------------------------------------------------------------- */

enum { PEOPLE = 4 };

typedef enum model_kind {
    LOCK,
    SEMAPHORE,
    EVENT,
    SEQUENCE,
    BELL,
} model_kind;

typedef enum model_role {
    NONE,
    LOCKS,
    TAKES,
    GIVES,
    WAITS,
    SETS,
    SETS_AND_CLEARS,
    FOLLOWS,
    ADVANCES,
    PUTS,
    GETS,
} model_role;

typedef enum model_patience {
    PATIENT,
    TIMED,
    TRIES,
} model_patience;

typedef struct model_person {
    model_role role;
    unsigned rounds; /* 0: one */
    model_patience patience;
    bool may_starve;
    bool may_be_killed;
    uint32_t self; /* 0: a process of its own */
} model_person;

typedef struct model_scenario {
    const char *name;
    model_kind kind;
    model_person people[PEOPLE];
    unsigned kills;
    unsigned spurious; /* how often a sleeper may wake for no reason */
    uint32_t initial;
    bool may_wait_forever; /* what is left at the end may be too little */
    bool is_large;         /* takes long */
} model_scenario;

/* -- Mutants: word.c with one deliberate bug each -------------------------- */

typedef enum model_mutant {
    NO_MUTANT,
    TAKER_FORGETS_OTHERS,
    LEAVER_FORGETS_OTHERS,
    LEAVER_STAYS_HUNGRY,
    RELEASE_IS_A_STORE,
    RELEASE_WAKES_NOBODY,
    SLEEP_DOES_NOT_COMPARE,
    DEATH_IS_NOT_TOLD,
    DEAD_LOCK_IS_TAKEN_BY_A_STORE,
    DEATH_IS_NOT_LOOKED_FOR,
    PERMIT_IS_NOT_PASSED_ON,
    PERMIT_IS_TAKEN_BY_A_STORE,
    TAKER_OF_PERMITS_LEAVES_SILENTLY,
    SET_WAKES_ONE,
    SET_IS_NOT_COUNTED,
    SET_KEEPS_WAITERS_QUIET,
    ADVANCE_WAKES_NOBODY,
    ALERT_WAKES_NOBODY,
    GETTER_DOES_NOT_LOOK_AGAIN,
    GETTER_FORGETS_OTHERS,
    MUTANTS,
} model_mutant;

extern const char *const model_mutant_names[MUTANTS];
extern model_mutant model_bug;

/* -- The search (model_search.c) ------------------------------------------- */

/* Prints its size. NULL: all holds in every execution; else what does not, and
 * unless model_is_quiet the way there is printed. */
const char *model_search(const model_scenario *scenario);
extern bool model_is_quiet;
/* Of the last search: how many different ones it has met. */
extern size_t model_states;

/* -- State ----------------------------------------------------------------- */

typedef enum model_step_kind {
    LOAD,
    CHANGE,
    ADD,
    NOW,
    WAIT,
    WAKE,
    IS_ALIVE,
    ENTER,
    LEAVE,
    PUT_ITEM,
    TAKE_ITEM,
    LOOK_FOR_ITEM,
} model_step_kind;

typedef struct model_step {
    model_step_kind kind;
    bool is_timed;     /* a wait until the deadline */
    const char *where; /* the function */
    uint32_t a;
    uint32_t b;
} model_step;

typedef enum model_status {
    READY, /* to take its next step */
    ASLEEP,
    DONE,
    KILLED,
} model_status;

typedef struct model_actor {
    uint64_t key; /* of all that its local variables depend on */
    model_step next;
    model_status status;
    uint32_t clock;
    uint32_t got;    /* acquired, when it is done */
    uint32_t missed; /* how often the event was set before it came */
    bool has_slept;
    bool must_be_told; /* it took a dead owner's lock */
} model_actor;

typedef struct model_world {
    uint32_t word;
    uint32_t holder; /* 1 + index, between ENTER and LEAVE */
    uint32_t kills;
    uint32_t looks; /* since the last kill */
    uint32_t spurious;
    uint32_t sets;          /* of an event that was not set */
    uint32_t items;         /* that a bell is rung for */
    int32_t owed;           /* deaths of owners that nobody has been told of */
    size_t lengths[PEOPLE]; /* of their histories */
    model_actor actors[PEOPLE];
} model_world;

enum {
    /* What a clock says. */
    EARLY,
    LATE, /* enough to starve */
    PAST, /* the deadline */
    /* What a wait answers. */
    LOOKED = 0,
    WOKEN = 1,
    TIMER_FIRED = 2,
};

/* -- The processes (model.c) ----------------------------------------------- */

extern const model_scenario *model_current;
extern model_world model_state;

/* Everybody is about to take the first step. */
void model_begin(const model_scenario *scenario);
/* Its next step, or the wait that it is in, has this answer; it goes on to the
 * step after that. */
void model_answer(size_t who, uint32_t value);
bool model_clock_may_be(size_t who, uint32_t clock);
/* What somebody gets who comes afterwards and only tries. */
mp_error model_try_lock(void);

static inline uint32_t model_self_of(size_t who)
{
    uint32_t self = model_current->people[who].self;

    return self != 0 ? self : (uint32_t)who + 1;
}

/* -- Steps and properties (model_steps.c) ---------------------------------- */

/* The first property that did not hold; NULL: none. */
extern const char *model_problem;
void model_fail(const char *text);

/* The next step of who. Choice: what the clock says for NOW, the set of those
 * that wake up for WAKE. */
void model_take_step(size_t who, uint32_t choice);
/* Of somebody who is none of the people. */
uint32_t model_take_directly(const model_step *step);
void model_kill(size_t who);
uint32_t model_wake_count(const model_step *step);
/* A sleeper that looked would not have to sleep on. */
bool model_is_there_for(const model_actor *actor);
/* When all have done what they had to do, or are dead. */
void model_check_end(void);

static inline uint64_t model_mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * 0x9e3779b97f4a7c15U;
    hash ^= hash >> 29;
    hash *= 0xbf58476d1ce4e5b9U;
    return hash ^ hash >> 32;
}

#endif
