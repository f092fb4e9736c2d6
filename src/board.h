/* SPDX-License-Identifier: MIT */
/*
 * The board: the shared memory between a pool and its workers. The pool pins
 * tasks to it, workers take them and pin the results; nobody waits here.
 *
 *     ring[]      tickets in the order of service, each naming a slot
 *     slots[]     tasks: a state, a little room, or a span of units
 *     seats[]     what each worker says about itself
 *     units       what is larger than a slot has room for (units.h)
 *
 * One process, the front, makes tasks and takes in results: its threads do so
 * one at a time, which is the caller's business (the pool's mutex). Any number
 * of workers, each in a seat of its own, take tasks.
 *
 * Whoever is killed does so at any instruction. The rules that follow:
 * - one compare-and-exchange of a slot's state takes the task and says who has
 *   it; one more says that it is done. So the front knows which worker had
 *   what;
 * - head is a hint that anybody moves on; what counts is the slot's state,
 *   which holds the ticket, so that one who comes too late finds another one;
 * - a result is pushed to a list of those that are done; one that was done by a
 *   worker killed before it could push it is found by looking at the states;
 * - spans are written down in slots; what a dead owner of the lock of the units
 *   had and nothing refers to is freed by the next one;
 * - the front is not survived: its workers end with it.
 */
#ifndef MULTIPROC_BOARD_H
#define MULTIPROC_BOARD_H

#include "sync.h"
#include "units.h"

#include <multiproc/object.h>

enum {
    /* Of a slot's payload, before it needs a span. */
    MPI_BOARD_INLINE = 384,
    MPI_BOARD_SLOTS = 2048, /* beside one for each seat */
    /* Tickets that nobody has taken yet. */
    MPI_BOARD_WINDOW = 1024,
    MPI_BOARD_SEATS_MAX = 4000,
};

typedef enum mpi_slot_phase {
    MPI_SLOT_IDLE,      /* the front's own */
    MPI_SLOT_READY,     /* for whoever comes first */
    MPI_SLOT_TAKEN,     /* by the worker in that seat */
    MPI_SLOT_CONDEMNED, /* taken, but the front has decided to kill it */
    MPI_SLOT_DONE,      /* its result is there */
} mpi_slot_phase;

/* What a slot's word says. */
typedef struct mpi_slot_state {
    mpi_slot_phase phase;
    uint32_t seat; /* TAKEN, CONDEMNED, DONE */
    uint64_t ticket;
} mpi_slot_state;

/* In shared memory; what a task and its result are beside their bytes. The
 * front writes the first part before it is READY, the worker the second before
 * it is DONE. */
typedef struct mpi_slot_head {
    uint32_t kind;          /* an mpi_work */
    uint32_t is_urgent;     /* the front is told at once when it is done */
    uint32_t count;         /* items of a chunk */
    uint32_t function_size; /* how much of the payload is the function's */

    uint32_t failures; /* of items; of a call: 0 or 1 */
    uint32_t reserved;
    uint64_t started_at; /* mpos_now(). While it is TAKEN, see mpi_seat */
} mpi_slot_head;

/* How args, and the result, are to be understood. */
typedef enum mpi_work {
    MPI_WORK_CALL,    /* (args tuple, kwargs dict): one call */
    MPI_WORK_MAP,     /* a list: one call for each item */
    MPI_WORK_STARMAP, /* a list of tuples or lists: likewise */
} mpi_work;

/* What a worker says about itself, in its seat: its state by itself, the rest
 * by mpi_board_take() and mpi_board_finish(). */
typedef enum mpi_seat_state {
    MPI_SEAT_EMPTY,
    MPI_SEAT_STARTING,
    MPI_SEAT_READY,  /* through with its initializer */
    MPI_SEAT_FAILED, /* its initializer has failed */
} mpi_seat_state;

typedef struct mpi_seat {
    mpi_atomic32 state;
    mpi_atomic32 slot; /* one more than the slot it works on; 0: none. A hint */
    mpi_atomic64 tasks_done;
    mpi_atomic64 busy_since; /* mpos_now(); 0: not. A hint, as the clock is */
    uint64_t pad[5];
} mpi_seat;

/* In shared memory: board_layout.h. */
typedef struct mpi_board_thing mpi_board_thing;
typedef struct mpi_board_data mpi_board_data;
typedef struct mpi_board_place mpi_board_place;

/* In this process. */
typedef struct mpi_board {
    mpi_sync sync; /* first: kind MPI_POOL_BOARD */
    mpi_board_thing *thing;
    mpi_board_data *data;
    size_t mapped_size;
    mpi_seat *seats;
    uint32_t seat_count;
    mpi_board_place *slots;
    uint32_t slot_count;
    /* Only the front allocates tasks' units, only workers results'. */
    mpi_units tasks;
    mpi_units results;
    mpi_atomic32 spins; /* one more than how long to look out; 0: not known */
    /* The front's own. */
    uint32_t *free_slots;
    uint32_t free_count;     /* of those that memory is reserved for */
    uint32_t used_slots;     /* no slot from there on has ever been used */
    uint64_t tail;           /* the next ticket */
    uint64_t last_retracted; /* the highest ticket that was */
    /* What has been found done: a list, the oldest first. Links are by slot:
     * one more than the next, 0 if it is not in the list. */
    mpi_atomic32 done_first;
    uint32_t done_last;
    uint32_t *done_links;
    /* A worker's own. */
    uint32_t seat;
    bool has_untold; /* something is done, and the front may sleep */
    int64_t now;     /* when the last task ended; 0: not just now */
} mpi_board;

/* -- Making (board.c) ------------------------------------------------------ */

/* MP_ENOSPC, MP_ENOMEM, MP_EMFILE, MP_EOVERFLOW. max_bytes as in
 * mp_pool_options. */
mp_error mpi_board_create(mpi_board **out, uint32_t seats, size_t max_bytes);
void mpi_board_unref(mpi_board *board);
/* A worker got it as an argument (a resource, see resource.h), whose object
 * this is: MP_ETYPE otherwise; borrowed. */
mp_error mpi_board_of(const mp_obj *obj, mpi_board **out);
mp_obj *mpi_board_box(mpi_board *board);
extern const mpi_sync_type mpi_board_kind;

/* -- The front (board_front.c) --------------------------------------------- */

/* Slots and room in the window for so many tickets more. */
uint32_t mpi_board_room(mpi_board *board);
/* Tickets that nobody has taken: exact at some moment. */
uint32_t mpi_board_waiting(const mpi_board *board);
/* A slot of the front's own; mpi_board_room() > 0. */
uint32_t mpi_board_slot(mpi_board *board);
mpi_slot_head *mpi_board_head(const mpi_board *board, uint32_t slot);
/* Room for up to size bytes of payload in an IDLE slot, to be written by the
 * caller; MP_FULL: no room now; MP_ENOSPC: never. Tasks and results have half
 * of max_bytes each, so that neither waits for ever for the other. */
mp_error mpi_board_reserve(mpi_board *board, uint32_t slot, size_t size,
                           void **payload);
/* It is READY, with the first size bytes of that; returns its ticket. Workers
 * are not woken: mpi_board_call(). */
uint64_t mpi_board_post(mpi_board *board, uint32_t slot, size_t size);
/* Up to count of the workers that sleep are woken. A load if none does. */
void mpi_board_call(mpi_board *board, uint32_t count);
/* READY to IDLE: the slot is the front's again, its payload as it was. False:
 * somebody has taken it. */
bool mpi_board_retract(mpi_board *board, uint32_t slot);
/* TAKEN to CONDEMNED, if that ticket still is: then its worker will never do
 * anything again but sleep until it is killed. */
bool mpi_board_condemn(mpi_board *board, uint32_t slot, uint64_t ticket);
mpi_slot_state mpi_board_state(const mpi_board *board, uint32_t slot);
/* The next of those that are done, oldest first, or of those that a dead worker
 * has left: now the front's, with its result as payload. False: none. */
bool mpi_board_collect(mpi_board *board, uint32_t *slot);
/* The worker in that seat is dead. Calls lost for each task that it had, which
 * is the front's again (IDLE), its payload not to be read; condemned: it was.
 * What it had done is collected as usual afterwards. All sleepers are woken. */
void mpi_board_bury(mpi_board *board, uint32_t seat,
                    void (*lost)(void *context, uint32_t slot,
                                 bool is_condemned),
                    void *context);
/* The payload of a slot that was collected. */
mp_bytes mpi_board_result(const mpi_board *board, uint32_t slot);
/* Gives back the slot and its spans. */
void mpi_board_release(mpi_board *board, uint32_t slot);
/* Workers end when no ticket waits. */
void mpi_board_shut(mpi_board *board);

/* Sleeping until something is done, or mpi_board_ring(). expect, look, sleep:
 * as with bells in word.h. sleep: MP_OK, MP_TIMED_OUT, or a failure. */
uint32_t mpi_board_expect(mpi_board *board);
mp_error mpi_board_sleep(mpi_board *board, uint32_t seen, int64_t deadline);
/* A quick look: something is to be collected. */
bool mpi_board_has_done(const mpi_board *board);
/* As long as that has helped lately; true if something is. */
bool mpi_board_spin(mpi_board *board);
/* Wakes all threads of the front that sleep there. */
void mpi_board_ring(mpi_board *board);

/* -- Workers (board_worker.c) ---------------------------------------------- */

/* Takes the next task. Waits for it; MP_ESHUTDOWN: there will be none. */
mp_error mpi_board_take(mpi_board *board, uint32_t *slot);
/* Its payload; read only. */
mp_bytes mpi_board_payload(const mpi_board *board, uint32_t slot);
/* Room for a result of size bytes, beside the payload of the task, which stays
 * readable, or in its place (then args are invalid after this call).
 * MP_ENOSPC: it never fits, or the system has none. Waits while others' results
 * have all of it. */
mp_error mpi_board_reply(mpi_board *board, uint32_t slot, size_t size,
                         void **payload);
/* It is done, with the first size bytes of that. Never returns if the worker
 * has been condemned. */
void mpi_board_finish(mpi_board *board, uint32_t slot, size_t size);

#endif
