/* SPDX-License-Identifier: MIT */
/*
 * A crew: workers that use a lock, a semaphore, an event ..., of whom one is
 * killed every few milliseconds, and replaced. Whoever is left goes on within a
 * second, the data stay whole, each death of an owner is told once, and in the
 * end the arena has nothing more in it than before.
 *
 * All that workers and their parent know of each other lies in memory with a
 * name, the board. Who died as the owner of a lock is read from the lock's own
 * word after the death, where its number stays until it is buried.
 */
#ifndef TORTURE_CREW_H
#define TORTURE_CREW_H

#include "torture.h"

#include "arena.h"
#include "internal.h"
#include "state.h"
#include "sync.h"
#include "word.h"

enum {
    CREW_MOST = 8,
    CREW_ROOM = 3, /* for items between producers and consumers */
};

typedef enum worker_step {
    OUTSIDE, /* has not begun, too */
    COMING,
    INSIDE,
    LEAVING,
    PARKED,
} worker_step;

/* A worker's place on the board, also its successor's. */
typedef struct slot {
    mpi_atomic32 number; /* as an owner, see share.h; 0: has not begun */
    mpi_atomic32 step;
    mpi_atomic32 done;     /* so often it has got through; never reset */
    mpi_atomic32 reported; /* the barrier's last epoch that was broken, + 1 */
} slot;

typedef struct board {
    mpi_atomic64 last;    /* when anybody got through last */
    mpi_atomic64 longest; /* between two of those */
    mpi_atomic64 longest_wait;
    mpi_atomic64 holder; /* the pid of who is inside */
    mpi_atomic32 inside; /* one bit for each place */
    mpi_atomic32 told;   /* MP_OWNER_DIED so often */
    mpi_atomic32 must_end;
    mpi_atomic32 must_park;
    mpi_atomic32 epoch;       /* of the barrier */
    mpi_atomic32 is_acting;   /* its action runs */
    mpi_atomic32 failed_line; /* of a storm's file; 0: none */
    mpi_atomic32 failure;     /* an mp_error */
    /* What the lock protects: left and right are equal, and items are those
     * produced and not consumed. */
    uint64_t left, right;
    int64_t items, produced, consumed;
    slot slots[CREW_MOST];
} board;

/* -- The worker's side, in crew_worker.c ----------------------------------- */

/* This worker; empty in the parent. */
typedef struct crew_self {
    board *board;
    slot *slot;
    uint32_t bit;
    uint64_t chance;
} crew_self;

extern crew_self crew_me;

/* The last three arguments: the board's name, this worker's place, a seed. */
void crew_come(mp_args *args, const void *thing);
void crew_set_step(worker_step now);
bool crew_must_end(void);
uint32_t crew_chance(uint32_t below);
/* A moment of up to so many rounds. */
void crew_work(uint32_t rounds);
/* Somebody got through. */
void crew_arrive(board *on);
/* The first failure is for the parent to report. */
void crew_fail(int line, mp_error err);

#define EXPECT(condition)               \
    do {                                \
        if (!(condition))               \
            crew_fail(__LINE__, MP_OK); \
    } while (0)
#define EXPECT_OK(expression)          \
    do {                               \
        mp_error err_ = (expression);  \
        if (err_ != MP_OK)             \
            crew_fail(__LINE__, err_); \
    } while (0)

/* -- The parent's side, in crew.c ------------------------------------------ */

typedef struct crew crew;

/* What one storm is. */
typedef struct crew_plan {
    mp_function worker;
    int workers;
    /* Makes the things, the first of which is the one to look at. */
    void (*create)(crew *it);
    void (*close)(crew *it);
    mp_obj *(*arguments)(crew *it, int place);
    /* One is dead, and not replaced yet. NULL: nothing. */
    void (*bury)(crew *it, int place);
    /* Between kills. NULL: nothing. */
    void (*tend)(crew *it);
    /* Lets those go that wait, once must_end is set. NULL: nothing. */
    void (*end)(crew *it);
    /* When all have ended, what must hold. */
    void (*check)(crew *it);
    /* Which of the things is a lock, whose owners are killed. */
    int lock;
} crew_plan;

struct crew {
    const crew_plan *plan;
    const storm_round *round;
    board *board;
    char name[TORTURE_NAME_SIZE];
    mpos_handle memory;
    mp_process *processes[CREW_MOST];
    mp_connection *letters[CREW_MOST];
    mp_connection *theirs; /* to be closed once it is sent; NULL: none */
    void *things[3];
    size_t kills;
    /* Deaths, see crew_bury_owner() and bury_permit(). */
    uint32_t died, uncounted, ambiguous;
    uint32_t lost; /* permits */
    /* When it was looked after last: see the storms' tend(). */
    size_t tended_kills;
    uint32_t tended_deaths;
};

void crew_run(const crew_plan *plan, const storm_round *round);

mpi_share *crew_share(const crew *it);
/* The lock's word. */
const mpos_word *crew_word(const crew *it);
uint32_t crew_step(const crew *it, int place);
/* The arguments of crew_come(), to be put behind others in MP_ARGS(). */
#define CREW_ARGS(it, place) (it)->name, (place), torture_seed()

void crew_expect_no_failure(const crew *it);
/* Nobody is killed until each has got through. */
void crew_await_everybody(crew *it);
/* For plans' bury() and check(), where owners of a lock are killed. */
void crew_bury_owner(crew *it, int place);
void crew_check_told(const crew *it);

#endif
