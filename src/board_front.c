/* SPDX-License-Identifier: MIT */
/* The board, from the side of the process that made it. */
#include "board_layout.h"

#include "internal.h"

#include <assert.h>

#define LAST UINT32_MAX /* a link: there is no next one */

/* -- The window ------------------------------------------------------------ */

static uint64_t head_of(const mpi_board *board)
{
    return mpi_atomic64_load(&board->data->head);
}

static bool is_ready(const mpi_board *board, uint64_t ticket)
{
    uint32_t slot = mpi_entry_slot(mpi_board_entry(board, ticket));

    return mpi_atomic64_load(&board->slots[slot].state) ==
           mpi_state_word(MPI_SLOT_READY, 0, ticket);
}

/* Past those that were retracted, and that were taken by workers killed before
 * they could move it on. Of the others only this one can be taken: tickets are
 * taken one after the other. */
static uint64_t move_head(const mpi_board *board)
{
    uint64_t head = head_of(board);

    while (head != board->tail && !is_ready(board, head)) {
        (void)mpi_atomic64_change(&board->data->head, head, head + 1);
        head = head_of(board);
    }
    return head;
}

/* Twice as many slots as before get memory, if the system has it. */
static void add_slots(mpi_board *board)
{
    uint32_t before = mpi_atomic32_load(&board->thing->reserved);
    uint32_t count = 2 * before;
    size_t begin =
        (size_t)((unsigned char *)board->slots - (unsigned char *)board->data);

    if (count > board->slot_count)
        count = board->slot_count;
    if (count > before &&
        mpi_share_reserve(&board->sync.share,
                          begin + (size_t)before * MPI_SLOT_SIZE,
                          begin + (size_t)count * MPI_SLOT_SIZE) == MP_OK)
        mpi_board_add_slots(board, count);
}

uint32_t mpi_board_room(mpi_board *board)
{
    uint64_t used = board->tail - head_of(board);
    uint32_t left;

    if (board->free_count == 0)
        add_slots(board);
    if (used >= MPI_BOARD_WINDOW)
        used = board->tail - move_head(board);
    left = MPI_BOARD_WINDOW - (uint32_t)used;
    return left < board->free_count ? left : board->free_count;
}

uint32_t mpi_board_waiting(const mpi_board *board)
{
    uint64_t head = move_head(board);
    uint32_t count = 0;

    if (head > board->last_retracted)
        return (uint32_t)(board->tail - head);
    for (uint64_t ticket = head; ticket != board->tail; ticket++)
        count += is_ready(board, ticket);
    return count;
}

/* -- Pinning tasks --------------------------------------------------------- */

uint32_t mpi_board_slot(mpi_board *board)
{
    uint32_t slot;

    assert(board->free_count > 0);
    slot = board->free_slots[--board->free_count];
    if (slot >= board->used_slots)
        board->used_slots = slot + 1;
    board->slots[slot].head = (mpi_slot_head){.kind = MPI_WORK_CALL};
    return slot;
}

mpi_slot_head *mpi_board_head(const mpi_board *board, uint32_t slot)
{
    return &board->slots[slot].head;
}

/* Nobody else allocates tasks' units, so there is no lock. */
static void free_task(mpi_board *board, mpi_board_place *it)
{
    if (it->task_span == 0)
        return;
    mpi_units_free(&board->tasks, it->task_span);
    it->task_span = 0;
    if (mpi_units_is_trimmable(&board->tasks))
        mpi_units_trim(&board->tasks);
}

mp_error mpi_board_reserve(mpi_board *board, uint32_t slot, size_t size,
                           void **payload)
{
    mpi_board_place *it = &board->slots[slot];
    size_t count = size / MPI_UNIT_SIZE + (size % MPI_UNIT_SIZE != 0);
    mp_error err;

    free_task(board, it);
    if (size <= MPI_BOARD_INLINE) {
        *payload = it->inline_room;
        return MP_OK;
    }
    if (count > board->tasks.max_units)
        return mpi_fail(MP_ENOSPC,
                        "a task of %zu bytes is more than the pool ever has "
                        "memory for",
                        size);
    err = mpi_units_alloc(&board->tasks, (uint32_t)count, MPI_UNIT_QUEUED,
                          &it->task_span);
    if (err == MP_OK)
        *payload = mpi_units_at(&board->tasks, it->task_span);
    return err;
}

uint64_t mpi_board_post(mpi_board *board, uint32_t slot, size_t size)
{
    mpi_board_place *it = &board->slots[slot];
    uint64_t ticket = board->tail;

    assert(ticket - head_of(board) < MPI_BOARD_WINDOW);
    it->size = size;
    mpi_atomic64_store(&it->state, mpi_state_word(MPI_SLOT_READY, 0, ticket));
    mpi_atomic64_store(&board->data->ring[ticket % MPI_BOARD_WINDOW],
                       mpi_ring_entry(slot, ticket));
    board->tail = ticket + 1;
    return ticket;
}

void mpi_board_call(mpi_board *board, uint32_t count)
{
    mpi_fence();
    mpi_word_alert(&board->thing->work, &board->sync.share, count);
}

/* -- Changing one's mind --------------------------------------------------- */

mpi_slot_state mpi_board_state(const mpi_board *board, uint32_t slot)
{
    return mpi_state_in(mpi_atomic64_load(&board->slots[slot].state));
}

static bool change_state(mpi_board *board, uint32_t slot,
                         const mpi_slot_state *from, mpi_slot_phase phase)
{
    return mpi_atomic64_change(
        &board->slots[slot].state,
        mpi_state_word(from->phase, from->seat, from->ticket),
        mpi_state_word(phase, from->seat, from->ticket));
}

bool mpi_board_retract(mpi_board *board, uint32_t slot)
{
    mpi_slot_state state = mpi_board_state(board, slot);

    if (state.phase != MPI_SLOT_READY ||
        !change_state(board, slot, &state, MPI_SLOT_IDLE))
        return false;
    if (state.ticket > board->last_retracted)
        board->last_retracted = state.ticket;
    return true;
}

bool mpi_board_condemn(mpi_board *board, uint32_t slot, uint64_t ticket)
{
    mpi_slot_state state = mpi_board_state(board, slot);

    return state.phase == MPI_SLOT_TAKEN && state.ticket == ticket &&
           change_state(board, slot, &state, MPI_SLOT_CONDEMNED);
}

/* -- What is done ---------------------------------------------------------- */

static void append_done(mpi_board *board, uint32_t slot, uint32_t last)
{
    if (mpi_atomic32_load(&board->done_first) != 0)
        board->done_links[board->done_last] = slot + 1;
    else
        mpi_atomic32_store(&board->done_first, slot + 1);
    board->done_last = last;
}

static uint32_t take_all(mpi_atomic32 *list)
{
    uint32_t first;

    do {
        first = mpi_atomic32_load(list);
    } while (first != 0 && !mpi_atomic32_change(list, first, 0));
    return first;
}

/* What workers have pushed, the newest first, is turned round. A list that
 * makes no sense ends there. */
static void take_in_done(mpi_board *board)
{
    uint32_t next = take_all(&board->data->done);
    uint32_t last = next - 1;
    uint32_t link = LAST;

    while (next != 0 && next <= board->used_slots &&
           board->done_links[next - 1] == 0) {
        uint32_t slot = next - 1;

        board->done_links[slot] = link;
        link = next;
        next = mpi_atomic32_load(&board->slots[slot].next);
    }
    if (link != LAST)
        append_done(board, link - 1, last);
}

bool mpi_board_collect(mpi_board *board, uint32_t *slot)
{
    mpi_slot_state state;
    uint32_t first;
    uint32_t link;

    if (mpi_atomic32_load(&board->done_first) == 0)
        take_in_done(board);
    first = mpi_atomic32_load(&board->done_first);
    if (first == 0)
        return false;
    first--;
    link = board->done_links[first];
    board->done_links[first] = 0;
    mpi_atomic32_store(&board->done_first, link == LAST ? 0 : link);
    state = mpi_board_state(board, first);
    mpi_atomic64_store(&board->slots[first].state,
                       mpi_state_word(MPI_SLOT_IDLE, state.seat, state.ticket));
    *slot = first;
    return true;
}

/* What a worker has written is not believed to fit. */
mp_bytes mpi_board_result(const mpi_board *board, uint32_t slot)
{
    const mpi_board_place *it = &board->slots[slot];
    mpi_span span = mpi_atomic32_load(&it->result_span);
    size_t room = MPI_BOARD_INLINE;
    mp_bytes result = {.data = it->inline_room, .size = (size_t)it->size};

    if (span != 0) {
        room = (size_t)mpi_units_count(&board->results, span) * MPI_UNIT_SIZE;
        result.data = mpi_units_at(&board->results, span);
    }
    if (it->size > room)
        result.size = 0;
    return result;
}

/* In this order: see mpi_board_sweep(). */
static void free_result(mpi_board *board, mpi_board_place *it)
{
    mpi_span span = mpi_atomic32_load(&it->result_span);

    if (span == 0)
        return;
    mpi_units_free(&board->results, span);
    mpi_atomic32_store(&it->result_span, 0);
    mpi_fence();
    mpi_word_alert(&board->thing->room, &board->sync.share, INT32_MAX);
    if (mpi_units_is_trimmable(&board->results))
        mpi_board_tidy_results(board);
}

void mpi_board_release(mpi_board *board, uint32_t slot)
{
    mpi_board_place *it = &board->slots[slot];

    free_task(board, it);
    free_result(board, it);
    board->free_slots[board->free_count++] = slot;
}

/* -- Death, and the end ---------------------------------------------------- */

/* What a worker that is dead had. */
typedef struct burial {
    uint32_t seat;
    void (*lost)(void *context, uint32_t slot, bool is_condemned);
    void *context;
} burial;

static void bury_slot(mpi_board *board, uint32_t slot, const burial *dead)
{
    mpi_board_place *it = &board->slots[slot];
    mpi_slot_state state = mpi_board_state(board, slot);

    if (state.seat != dead->seat || state.phase < MPI_SLOT_TAKEN)
        return;
    if (state.phase == MPI_SLOT_DONE) {
        if (board->done_links[slot] != 0)
            return;
        board->done_links[slot] = LAST;
        append_done(board, slot, slot);
        return;
    }
    free_result(board, it);
    mpi_atomic64_store(&it->state,
                       mpi_state_word(MPI_SLOT_IDLE, state.seat, state.ticket));
    dead->lost(dead->context, slot, state.phase == MPI_SLOT_CONDEMNED);
}

/* The list is taken in first: what is done and not in it then never will be. */
void mpi_board_bury(mpi_board *board, uint32_t seat,
                    void (*lost)(void *context, uint32_t slot,
                                 bool is_condemned),
                    void *context)
{
    const burial dead = {seat, lost, context};

    mpi_atomic32_store(&board->seats[seat].slot, 0);
    mpi_atomic64_store(&board->seats[seat].busy_since, 0);
    take_in_done(board);
    for (uint32_t slot = 0; slot < board->used_slots; slot++)
        bury_slot(board, slot, &dead);
    mpi_board_tidy_results(board);
    mpi_board_wake_all(board, &board->thing->work);
    mpi_board_wake_all(board, &board->thing->room);
    mpi_board_wake_all(board, &board->thing->news);
}

void mpi_board_shut(mpi_board *board)
{
    mpi_atomic32_store(&board->thing->is_shut, 1);
    mpi_board_wake_all(board, &board->thing->work);
}

/* -- Waiting --------------------------------------------------------------- */

bool mpi_board_has_done(const mpi_board *board)
{
    return mpi_atomic32_load(&board->done_first) != 0 ||
           mpi_atomic32_load(&board->data->done) != 0;
}

uint32_t mpi_board_expect(mpi_board *board)
{
    return mpi_word_expect(&board->thing->news);
}

mp_error mpi_board_sleep(mpi_board *board, uint32_t seen, int64_t deadline)
{
    return mpi_board_sleep_on(board, &board->thing->news, seen, deadline);
}

bool mpi_board_spin(mpi_board *board)
{
    return mpi_board_look_out(board, mpi_board_has_done);
}

void mpi_board_ring(mpi_board *board)
{
    mpi_fence();
    mpi_word_alert(&board->thing->news, &board->sync.share, INT32_MAX);
}
