/* SPDX-License-Identifier: MIT */
/* A board as tests write it down. */
#ifndef SUPPORT_BOARD_H
#define SUPPORT_BOARD_H

#include "testing.h"

#include <board_layout.h>

#include <multiproc/error.h>

#include <string.h>

static inline void board_ok(mp_error err, int line)
{
    cr_assert_eq(err, MP_OK, "line %d: %s: %s", line, mp_error_name(err),
                 mp_error_message());
}

#define works(expression) board_ok((expression), __LINE__)

static inline mpi_board *make_board(uint32_t seats, size_t max_bytes)
{
    mpi_board *board = NULL;

    works(mpi_board_create(&board, seats, max_bytes));
    return board;
}

/* Another worker of this process; its own to free: nothing. */
static inline mpi_board as_worker(const mpi_board *board, uint32_t seat)
{
    mpi_board worker = *board;

    worker.seat = seat;
    worker.has_untold = false;
    worker.now = 0;
    return worker;
}

/* What a byte at a place of a payload of that number is. */
static inline unsigned char board_byte(uint64_t number, size_t at)
{
    return (unsigned char)(number * 31 + at * 7 + at / 251);
}

static inline void board_fill(void *payload, uint64_t number, size_t size)
{
    unsigned char *bytes = payload;

    for (size_t i = 0; i < size; i++)
        bytes[i] = board_byte(number, i);
}

static inline bool board_is_filled(mp_bytes payload, uint64_t number,
                                   size_t size)
{
    const unsigned char *bytes = payload.data;

    if (payload.size != size)
        return false;
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != board_byte(number, i))
            return false;
    return true;
}

/* Pins a task; its slot, and number in its head. */
static inline uint32_t board_post(mpi_board *board, uint64_t number,
                                  size_t size)
{
    uint32_t slot;
    void *payload = NULL;

    cr_assert_gt(mpi_board_room(board), 0U);
    slot = mpi_board_slot(board);
    works(mpi_board_reserve(board, slot, size, &payload));
    board_fill(payload, number, size);
    mpi_board_head(board, slot)->count = (uint32_t)number;
    (void)mpi_board_post(board, slot, size);
    return slot;
}

/* Takes the next one, which must be there. */
static inline uint32_t board_take(mpi_board *worker)
{
    uint32_t slot = 0;

    works(mpi_board_take(worker, &slot));
    return slot;
}

static inline void board_finish(mpi_board *worker, uint32_t slot,
                                uint64_t number, size_t size)
{
    void *payload = NULL;

    works(mpi_board_reply(worker, slot, size, &payload));
    board_fill(payload, number, size);
    mpi_board_finish(worker, slot, size);
}

/* -- Nothing is left ------------------------------------------------------- */

static inline uint32_t board_units(const mpi_units *units)
{
    uint32_t used = 0;

    for (uint32_t unit = 1; unit <= units->max_units;) {
        uint32_t count = mpi_units_count(units, unit);

        used += count;
        unit += count == 0 ? 1 : count;
    }
    return used;
}

static inline void board_is_clean(mpi_board *board)
{
    uint32_t slot;

    cr_assert_not(mpi_board_collect(board, &slot));
    works(mpi_board_lock_results(board, 20));
    mpi_board_unlock_results(board);
    cr_assert_eq(board->free_count, mpi_atomic32_load(&board->thing->reserved));
    cr_assert_eq(board_units(&board->tasks), 0U);
    cr_assert_eq(board_units(&board->results), 0U);
    cr_assert_eq(mpi_board_waiting(board), 0U);
}

#endif
