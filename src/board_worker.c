/* SPDX-License-Identifier: MIT */
/* The board, from a worker's side. */
#include "board_layout.h"

#include "internal.h"

enum {
    /* Nanoseconds: who works for longer on a task tells the front at once; who
     * is faster does so only when there is little left to do, so that a front
     * that sleeps takes in results by the hundred. */
    LONG_TASK = 50000,
    LITTLE_LEFT = MPI_BOARD_WINDOW / 4,
};

/* -- Taking ---------------------------------------------------------------- */

static bool has_ready(const mpi_board *board)
{
    uint64_t head = mpi_atomic64_load(&board->data->head);

    return mpi_entry_ticket(mpi_board_entry(board, head)) == head;
}

static bool is_shut(const mpi_board *board)
{
    return mpi_atomic32_load(&board->thing->is_shut) != 0;
}

/* Somebody may have been faster, and killed before it could move head on. */
static bool take_next(mpi_board *board, uint32_t *slot)
{
    mpi_atomic64 *head = &board->data->head;

    for (;;) {
        uint64_t ticket = mpi_atomic64_load(head);
        uint64_t entry = mpi_board_entry(board, ticket);
        uint32_t found = mpi_entry_slot(entry);
        bool is_mine;

        if (mpi_entry_ticket(entry) != ticket) {
            if (mpi_atomic64_load(head) == ticket)
                return false;
            continue;
        }
        is_mine = mpi_atomic64_change(
            &board->slots[found].state,
            mpi_state_word(MPI_SLOT_READY, 0, ticket),
            mpi_state_word(MPI_SLOT_TAKEN, board->seat, ticket));
        (void)mpi_atomic64_change(head, ticket, ticket + 1);
        if (is_mine) {
            *slot = found;
            return true;
        }
    }
}

/* What the front was not told so far, it is now, as this one may sleep. */
static void tell_front(mpi_board *board)
{
    board->has_untold = false;
    mpi_fence_after_change(); /* of what is done */
    mpi_word_alert(&board->thing->news, &board->sync.share, INT32_MAX);
}

/* Has slept, and so may have been woken in another's stead. */
static void pass_on(mpi_board *board)
{
    mpos_word *work = &board->thing->work;

    (void)mpi_word_expect(work);
    if (has_ready(board) || is_shut(board))
        mpi_word_alert(work, &board->sync.share, 1);
}

/* MP_PENDING: there is nothing yet. */
static mp_error attempt(mpi_board *board, uint32_t *slot)
{
    /* What was pinned before the end is to be done. */
    bool is_over = is_shut(board);

    if (take_next(board, slot))
        return MP_OK;
    return is_over ? MP_ESHUTDOWN : MP_PENDING;
}

static mp_error wait_for_task(mpi_board *board, uint32_t *slot)
{
    mpos_word *work = &board->thing->work;
    bool has_slept = false;
    mp_error err;

    if (board->has_untold)
        tell_front(board);
    if (mpi_board_look_out(board, has_ready) && take_next(board, slot))
        return MP_OK;
    for (;;) {
        uint32_t seen = mpi_word_expect(work);

        err = attempt(board, slot);
        if (err != MP_PENDING)
            break;
        has_slept = true;
        err = mpi_board_sleep_on(board, work, seen, MPOS_FOREVER);
        if (err != MP_OK)
            break;
    }
    if (has_slept)
        pass_on(board);
    return err;
}

/* The end of one task is the beginning of the next, if that was there. */
static void begin_task(mpi_board *board, uint32_t slot)
{
    mpi_seat *seat = &board->seats[board->seat];
    uint64_t now = (uint64_t)(board->now != 0 ? board->now : mpos_now());

    board->now = 0;
    board->slots[slot].head.started_at = now;
    mpi_atomic32_store(&seat->slot, slot + 1);
    mpi_atomic64_store(&seat->busy_since, now);
}

mp_error mpi_board_take(mpi_board *board, uint32_t *slot)
{
    uint32_t taken = 0;
    mp_error err = MP_OK;

    if (!take_next(board, &taken)) {
        board->now = 0;
        err = wait_for_task(board, &taken);
    }
    if (err != MP_OK)
        return err;
    begin_task(board, taken);
    *slot = taken;
    return MP_OK;
}

mp_bytes mpi_board_payload(const mpi_board *board, uint32_t slot)
{
    const mpi_board_place *it = &board->slots[slot];

    return (mp_bytes){
        .data = it->task_span != 0 ? mpi_units_at(&board->tasks, it->task_span)
                                   : it->inline_room,
        .size = (size_t)it->size,
    };
}

/* -- Results --------------------------------------------------------------- */

/* Nothing of it is counted any more, whatever it was. */
static void free_result(mpi_board *board, mpi_board_place *it)
{
    mpi_span span = mpi_atomic32_load(&it->result_span);

    if (span == 0)
        return;
    mpi_atomic32_store(&it->result_span, 0);
    mpi_units_free(&board->results, span);
}

/* Units, and in the slot which: for who is killed in between, the next one is
 * told that the lock's owner has died, and sweeps. */
static mp_error alloc_result(mpi_board *board, mpi_board_place *it,
                             uint32_t count)
{
    mpi_span span = 0;
    mp_error err = mpi_board_lock_results(board, MP_FOREVER);

    if (err != MP_OK)
        return err;
    free_result(board, it);
    err = mpi_units_alloc(&board->results, count, MPI_UNIT_QUEUED, &span);
    if (err == MP_OK)
        mpi_atomic32_store(&it->result_span, span);
    mpi_board_unlock_results(board);
    return err;
}

/* The front has to hear of what is done, or nobody would ever give back. */
static mp_error wait_and_alloc(mpi_board *board, mpi_board_place *it,
                               uint32_t count)
{
    mpos_word *room = &board->thing->room;
    mp_error err;

    tell_front(board);
    do {
        uint32_t seen = mpi_word_expect(room);

        err = alloc_result(board, it, count);
        if (err == MP_FULL) {
            err = mpi_board_sleep_on(board, room, seen, MPOS_FOREVER);
            err = err == MP_OK ? MP_FULL : err;
        }
    } while (err == MP_FULL);
    return err;
}

mp_error mpi_board_reply(mpi_board *board, uint32_t slot, size_t size,
                         void **payload)
{
    mpi_board_place *it = &board->slots[slot];
    size_t count = size / MPI_UNIT_SIZE + (size % MPI_UNIT_SIZE != 0);
    mp_error err = MP_OK;

    if (size <= MPI_BOARD_INLINE && mpi_atomic32_load(&it->result_span) == 0) {
        *payload = it->inline_room;
        return MP_OK;
    }
    if (count > board->results.max_units)
        return mpi_fail(MP_ENOSPC,
                        "a result of %zu bytes is more than the pool ever has "
                        "memory for",
                        size);
    if (mpi_units_count(&board->results, mpi_atomic32_load(&it->result_span)) <
        count)
        err = alloc_result(board, it, (uint32_t)count);
    if (err == MP_FULL)
        err = wait_and_alloc(board, it, (uint32_t)count);
    if (err != MP_OK)
        return err;
    *payload =
        mpi_units_at(&board->results, mpi_atomic32_load(&it->result_span));
    return MP_OK;
}

/* -- The end of a task ----------------------------------------------------- */

static bool is_little_left(const mpi_board *board, uint64_t ticket)
{
    uint64_t later = ticket + LITTLE_LEFT;

    return mpi_entry_ticket(mpi_board_entry(board, later)) < later;
}

/* Newest first; the front takes all of them at once. */
static void push(mpi_board *board, uint32_t slot)
{
    mpi_atomic32 *done = &board->data->done;
    mpi_board_place *it = &board->slots[slot];
    uint32_t before;

    do {
        before = mpi_atomic32_load(done);
        mpi_atomic32_store(&it->next, before);
    } while (!mpi_atomic32_change(done, before, slot + 1));
}

static void note_end(mpi_board *board)
{
    mpi_seat *seat = &board->seats[board->seat];

    mpi_atomic64_store(&seat->tasks_done,
                       mpi_atomic64_load(&seat->tasks_done) + 1);
    mpi_atomic32_store(&seat->slot, 0);
    mpi_atomic64_store(&seat->busy_since, 0);
}

static void wait_for_death(void)
{
    for (;;)
        mpos_sleep_until(MPOS_FOREVER);
}

void mpi_board_finish(mpi_board *board, uint32_t slot, size_t size)
{
    mpi_board_place *it = &board->slots[slot];
    int64_t now = mpos_now();
    uint64_t word = mpi_atomic64_load(&it->state);
    mpi_slot_state state = mpi_state_in(word);
    bool must_tell = it->head.is_urgent != 0 ||
                     now - (int64_t)it->head.started_at > LONG_TASK ||
                     is_little_left(board, state.ticket);

    it->size = size;
    if (state.phase != MPI_SLOT_TAKEN ||
        !mpi_atomic64_change(
            &it->state, word,
            mpi_state_word(MPI_SLOT_DONE, state.seat, state.ticket)))
        wait_for_death();
    push(board, slot);
    note_end(board);
    board->now = now;
    board->has_untold = true;
    if (must_tell)
        tell_front(board);
}
