/* SPDX-License-Identifier: MIT */
/*
 * How a board lies in shared memory: for board*.c alone. In the cells of its
 * share is what is seldom written, in the data behind them
 *
 *     head, done, ring
 *     seats[]
 *     slots[]
 *     units of results    (units.h), on a multiple of MPOS_MAP_UNIT
 *     units of tasks      likewise
 *
 * All zero is a board on which nothing was ever pinned.
 */
#ifndef MULTIPROC_BOARD_LAYOUT_H
#define MULTIPROC_BOARD_LAYOUT_H

#include "board.h"

enum {
    MPI_BOARD_LINE = 64,
    MPI_SLOT_SIZE = 512,
    /* Slots that have memory from the beginning: few pools ever need more. */
    MPI_FIRST_SLOTS = 128,
};

/* Offsets count from the cell, of which 16 bytes are share.c's. */
struct mpi_board_thing {
    mpos_word results_lock; /* of the results' units. First: see share.h */
    uint32_t seats;
    uint32_t slots;
    uint32_t max_units; /* of tasks, and of results */
    mpi_atomic32 is_shut;
    mpi_atomic32 must_sweep; /* of the results' units some may be lost */
    mpi_atomic32 reserved;   /* slots that there is memory for; the front's */
    mpos_word work;          /* bells: something is READY, or it is shut */
    mpos_word news;          /* something is DONE, or mpi_board_ring() */
    mpos_word room;          /* results' units are free */
};

/* Each line is written by many, so each has but one thing. */
struct mpi_board_data {
    mpi_atomic64 head; /* ticket: all before it were taken, or retracted */
    uint64_t head_pad[7];
    mpi_atomic32 done; /* one more than the slot that was done last */
    uint32_t done_pad[15];
    mpi_atomic64 ring[MPI_BOARD_WINDOW]; /* [ticket % WINDOW] */
};

/* All but inline_room is one line. */
struct mpi_board_place {
    mpi_atomic64 state;
    mpi_atomic32 next;        /* done before it: one more than the slot, or 0 */
    mpi_span task_span;       /* the front's; 0: the task is inline */
    mpi_slot_head head;       /* 32 bytes */
    uint64_t size;            /* of the task; once it is DONE, of the result */
    mpi_atomic32 result_span; /* 0: the result is inline */
    uint32_t pad;
    unsigned char inline_room[MPI_BOARD_INLINE];
    unsigned char rest[MPI_SLOT_SIZE - MPI_BOARD_LINE - MPI_BOARD_INLINE];
};

_Static_assert(sizeof(mpi_board_place) == MPI_SLOT_SIZE,
               "slots are whole lines");
_Static_assert(sizeof(mpi_seat) == MPI_BOARD_LINE, "so are seats");
_Static_assert(sizeof(mpi_board_data) % MPI_BOARD_LINE == 0, "and the rest");

/* -- Words ----------------------------------------------------------------- */

enum {
    MPI_PHASE_BITS = 3,
    MPI_SEAT_BITS = 12,
    MPI_SLOT_BITS = 13,
};

_Static_assert(MPI_BOARD_SEATS_MAX <= 1 << MPI_SEAT_BITS, "a seat fits");
_Static_assert(MPI_BOARD_SLOTS + MPI_BOARD_SEATS_MAX <= 1 << MPI_SLOT_BITS,
               "a slot fits");

/* A slot's state. Tickets begin with 1, and 49 bits of them last. */
static inline uint64_t mpi_state_word(mpi_slot_phase phase, uint32_t seat,
                                      uint64_t ticket)
{
    return ticket << (MPI_PHASE_BITS + MPI_SEAT_BITS) |
           (uint64_t)seat << MPI_PHASE_BITS | (uint64_t)phase;
}

static inline mpi_slot_state mpi_state_in(uint64_t word)
{
    return (mpi_slot_state){
        .phase = (mpi_slot_phase)(word & ((1U << MPI_PHASE_BITS) - 1)),
        .seat =
            (uint32_t)(word >> MPI_PHASE_BITS) & ((1U << MPI_SEAT_BITS) - 1),
        .ticket = word >> (MPI_PHASE_BITS + MPI_SEAT_BITS),
    };
}

/* An entry of the ring. */
static inline uint64_t mpi_ring_entry(uint32_t slot, uint64_t ticket)
{
    return ticket << MPI_SLOT_BITS | slot;
}

static inline uint64_t mpi_entry_ticket(uint64_t entry)
{
    return entry >> MPI_SLOT_BITS;
}

static inline uint32_t mpi_entry_slot(uint64_t entry)
{
    return (uint32_t)(entry & ((1U << MPI_SLOT_BITS) - 1));
}

static inline uint64_t mpi_board_entry(const mpi_board *board, uint64_t ticket)
{
    return mpi_atomic64_load(&board->data->ring[ticket % MPI_BOARD_WINDOW]);
}

/* -- board.c --------------------------------------------------------------- */

/* Sleeps until the word of a bell is not what it was. MP_OK, MP_TIMED_OUT. */
mp_error mpi_board_sleep_on(mpi_board *board, mpos_word *word, uint32_t seen,
                            int64_t deadline);
/* All that sleep there look again, whether the flag says so or not. */
void mpi_board_wake_all(mpi_board *board, mpos_word *word);
/* Of those slots that have memory now, the new ones are free. */
void mpi_board_add_slots(mpi_board *board, uint32_t count);
/* For a while, in which it comes or not. */
bool mpi_board_look_out(mpi_board *board,
                        bool (*has_come)(const mpi_board *board));
/* results_lock; what a dead owner of it has left is mended. MP_OK,
 * MP_TIMED_OUT; or a failure. */
mp_error mpi_board_lock_results(mpi_board *board, double timeout);
void mpi_board_unlock_results(mpi_board *board);
/* Unless somebody has the lock: the same, and memory goes back to the
 * system. */
void mpi_board_tidy_results(mpi_board *board);

#endif
