/* SPDX-License-Identifier: MIT */
/*
 * What a storm is, and what it may ask of the program that runs it.
 *
 * A storm kills processes of its own at any instruction and looks what the
 * others make of it. It does so in rounds. A round is a function of one number
 * of 64 bits, its seed: what is made, who is killed, in which order and after
 * which delay, all is drawn with torture_chance(). What the system makes of a
 * delay is not; so a seed that has failed is repeated.
 *
 * Storms use the assertions of Criterion (support/testing.h) and what the tests
 * have in support/. Here an assertion that does not hold ends the program, with
 * its sentence and the line that replays the round; see report.c.
 *
 * One round runs at a time, in the main thread. All but torture_draw() and
 * torture_raise() is for the process that runs the rounds, not for its
 * children.
 */
#ifndef TORTURE_H
#define TORTURE_H

#include "support/check.h"
#include "support/expect.h"
#include "support/methods.h"
#include "support/system.h"

#include "os.h"

#include <multiproc.h>

typedef struct storm_round {
    uint64_t seed;
    mp_start_method method;
    int kills; /* at least so many */
} storm_round;

typedef struct storm {
    const char *name; /* group/variant */
    const char *what; /* whom it kills: what must hold */
    int kills;        /* of a round, unless told otherwise */
    bool (*has_method)(mp_start_method method); /* NULL: it has all */
    void (*run)(const storm_round *round);
} storm;

/* Each ends with one that has no name. */
extern const storm torture_arenas[];
extern const storm torture_barriers[];
extern const storm torture_conditions[];
extern const storm torture_connections[];
extern const storm torture_events[];
extern const storm torture_listeners[];
extern const storm torture_locks[];
extern const storm torture_names[];
extern const storm torture_owners[];
extern const storm torture_pools[];
extern const storm torture_queues[];
extern const storm torture_semaphores[];
extern const storm torture_shareable[];
extern const storm torture_shared[];
extern const storm torture_starts[];
extern const storm torture_tables[];
extern const storm torture_values[];

/* -- Chance ---------------------------------------------------------------- */

/* splitmix64, which any state may begin: the next number below `below`. */
static inline uint32_t torture_draw(uint64_t *state, uint32_t below)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    z ^= z >> 31;
    return (uint32_t)((z >> 32) * below >> 32);
}

/* From the round's seed. */
uint32_t torture_chance(uint32_t below);
/* From 0 up to limit, in seconds. */
double torture_time(double limit);
/* For a child that draws numbers of its own. */
int64_t torture_seed(void);

/* -- What is told ---------------------------------------------------------- */

/* One was killed that was a "worker", or "holder" of a lock ... */
void torture_killed(const char *whom);
/* So many calls, items, tasks were looked at. */
void torture_checked(size_t count);
/* What comes next may hang: the watchdog says so if it does. */
void torture_waits_for(const char *format, ...);
/* If the round fails, this is called to tell more; NULL: nothing does. */
void torture_explains(void (*explain)(void));

/* -- Time ------------------------------------------------------------------ */

/* In any process: no lower than that from now on. */
static inline void torture_raise(mpi_atomic64 *highest, int64_t value)
{
    uint64_t seen;

    do {
        seen = mpi_atomic64_load(highest);
    } while ((int64_t)seen < value &&
             !mpi_atomic64_change(highest, seen, (uint64_t)value));
}

/* Whoever is left has gone on after so many nanoseconds: within a second, and
 * what a busy machine, or what watches the program, adds. */
void torture_recovered(int64_t nanoseconds);
/* More than that, on a machine that stood still for a while? */
bool torture_is_too_long(int64_t nanoseconds, int64_t limit);
/* As good as for ever. */
#define TORTURE_PATIENCE 20.0

/* -- Processes and places -------------------------------------------------- */

/* A daemon, lest it outlives a round that has failed. */
mp_process *torture_start(mp_start_method method, mp_function target,
                          mp_obj *args);
/* Kills it, and buries it. It must not have ended by itself. */
void torture_kill(mp_process *process, const char *whom);
/* The same for one that somebody else has killed. */
void torture_bury(mp_process *process, const char *whom);
/* A name that nobody else has; what the round leaves under such is a failure.*/
enum { TORTURE_NAME_SIZE = 64 };
void torture_name(char name[TORTURE_NAME_SIZE]);
/* Waits up to 4 ms, or so many times that. */
void torture_linger(int times);

#endif
