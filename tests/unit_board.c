/* SPDX-License-Identifier: MIT */
/* The board, step by step: the front and its workers are one thread. */
#include "support/board.h"
#include "support/check.h"
#include "support/fault.h"

enum {
    KIB = 1024,
    MIB = 1024 * KIB,
    WINDOW = MPI_BOARD_WINDOW,
};

static uint32_t must_collect(mpi_board *board)
{
    uint32_t slot = 0;

    cr_assert(mpi_board_has_done(board));
    cr_assert(mpi_board_collect(board, &slot));
    return slot;
}

/* -- Making ---------------------------------------------------------------- */

Test(board, a_new_one_is_empty_and_has_room)
{
    mpi_board *board = make_board(3, 0);

    cr_assert_gt(mpi_board_room(board), 0U);
    cr_assert_eq(mpi_board_waiting(board), 0U);
    cr_assert_not(mpi_board_has_done(board));
    cr_assert_not(mpi_board_spin(board));
    board_is_clean(board);
    mpi_board_unref(board);
    mpi_board_unref(NULL);
}

Test(board, it_has_a_seat_at_least_and_not_more_than_all)
{
    mpi_board *board = NULL;

    cr_assert_eq(mpi_board_create(&board, 0, 0), MP_EOVERFLOW);
    cr_assert_eq(mpi_board_create(&board, MPI_BOARD_SEATS_MAX + 1, 0),
                 MP_EOVERFLOW);
    cr_assert_eq(mpi_board_create(&board, 1, SIZE_MAX), MP_EOVERFLOW);
    cr_assert_str_not_empty(mp_error_message());
    cr_assert_null(board);
    board = make_board(MPI_BOARD_SEATS_MAX, 1);
    cr_assert_eq(board->slot_count,
                 (uint32_t)(MPI_BOARD_SLOTS + MPI_BOARD_SEATS_MAX));
    board_is_clean(board);
    mpi_board_unref(board);
}

Test(board, whatever_fails_while_it_is_made_leaves_nothing)
{
    static const mp_error causes[] = {MP_ENOMEM, MP_ENOSPC, MP_EMFILE};
    size_t handles;

    mpi_board_unref(make_board(2, 0));
    handles = support_open_handles();
    for (size_t i = 0; i < sizeof(causes) / sizeof(causes[0]); i++) {
        fault it = {.error = causes[i]};

        while (!it.has_ended) {
            mpi_board *board = NULL;

            fault_arm(&it);
            if (fault_failed(&it, mpi_board_create(&board, 2, 0)))
                cr_assert_null(board);
            else
                mpi_board_unref(board);
        }
        cr_assert_gt(it.failures, 5U);
    }
    cr_assert_eq(support_open_handles(), handles);
}

Test(board, without_memory_for_more_slots_those_there_are_do)
{
    mpi_board *board = make_board(1, 0);
    mpi_board worker = as_worker(board, 0);
    uint32_t posted = 0;

    for (; mpi_board_room(board) > 1; posted++)
        (void)board_post(board, posted, 8);
    (void)board_post(board, posted, 8);
    mpi_fault_arm(1, MP_ENOSPC);
    cr_assert_eq(mpi_board_room(board), 0U);
    cr_assert(mpi_fault_disarm(NULL, NULL));
    board_finish(&worker, board_take(&worker), 0, 8);
    mpi_board_release(board, must_collect(board));
    cr_assert_eq(mpi_board_room(board), 1U);
    mpi_board_unref(board);
}

Test(board, nothing_else_is_a_board)
{
    mpi_board *board = NULL;
    mp_obj *none = mp_obj_none();
    mpi_board *made = make_board(1, 0);
    mp_obj *boxed = mpi_board_box(made);

    cr_assert_eq(mpi_board_of(none, &board), MP_ETYPE);
    works(mpi_board_of(boxed, &board));
    cr_assert_eq(board, made);
    mp_obj_unref(boxed);
    mpi_board_unref(made);
}

/* -- Tasks and results ----------------------------------------------------- */

Test(board, a_task_is_taken_and_its_result_collected)
{
    mpi_board *board = make_board(4, 0);
    mpi_board worker = as_worker(board, 3);
    uint32_t slot = mpi_board_slot(board);
    void *payload = NULL;
    uint64_t ticket;

    *mpi_board_head(board, slot) =
        (mpi_slot_head){.kind = MPI_WORK_MAP, .count = 7, .function_size = 2};
    works(mpi_board_reserve(board, slot, 100, &payload));
    memcpy(payload, "abc", 3);
    ticket = mpi_board_post(board, slot, 3);
    cr_assert_eq(mpi_board_waiting(board), 1U);
    cr_assert_eq(mpi_board_state(board, slot).phase, MPI_SLOT_READY);
    cr_assert_eq(mpi_board_state(board, slot).ticket, ticket);

    cr_assert_eq(board_take(&worker), slot);
    cr_assert_eq(mpi_board_waiting(board), 0U);
    cr_assert_eq(mpi_board_state(board, slot).phase, MPI_SLOT_TAKEN);
    cr_assert_eq(mpi_board_state(board, slot).seat, 3U);
    cr_assert_eq(mpi_board_state(board, slot).ticket, ticket);
    cr_assert_eq(mpi_atomic32_load(&board->seats[3].slot), slot + 1);
    cr_assert_neq(mpi_atomic64_load(&board->seats[3].busy_since), 0U);
    cr_assert_eq(mpi_board_head(board, slot)->kind, (uint32_t)MPI_WORK_MAP);
    cr_assert_eq(mpi_board_head(board, slot)->count, 7U);
    cr_assert_eq(mpi_board_payload(&worker, slot).size, 3U);
    cr_assert_eq(memcmp(mpi_board_payload(&worker, slot).data, "abc", 3), 0);

    mpi_board_head(board, slot)->failures = 1;
    board_finish(&worker, slot, 9, 384);
    cr_assert_eq(mpi_atomic32_load(&board->seats[3].slot), 0U);
    cr_assert_eq(mpi_atomic64_load(&board->seats[3].busy_since), 0U);
    cr_assert_eq(mpi_atomic64_load(&board->seats[3].tasks_done), 1U);
    cr_assert_eq(mpi_board_state(board, slot).phase, MPI_SLOT_DONE);

    cr_assert_eq(must_collect(board), slot);
    cr_assert_eq(mpi_board_state(board, slot).phase, MPI_SLOT_IDLE);
    cr_assert_eq(mpi_board_state(board, slot).seat, 3U);
    cr_assert_eq(mpi_board_state(board, slot).ticket, ticket);
    cr_assert_eq(mpi_board_head(board, slot)->failures, 1U);
    cr_assert(board_is_filled(mpi_board_result(board, slot), 9, 384));
    mpi_board_release(board, slot);
    cr_assert_not(mpi_board_has_done(board));
    board_is_clean(board);
    mpi_board_unref(board);
}

Test(board, tasks_are_taken_in_the_order_of_their_tickets)
{
    mpi_board *board = make_board(2, 0);
    mpi_board workers[2] = {as_worker(board, 0), as_worker(board, 1)};

    for (uint32_t i = 0; i < WINDOW; i++)
        (void)board_post(board, i, 8);
    for (uint32_t i = 0; i < WINDOW; i++) {
        uint32_t slot = board_take(&workers[i % 2]);

        cr_assert_eq(mpi_board_head(board, slot)->count, i);
        cr_assert_eq(mpi_board_waiting(board), WINDOW - 1 - i);
        board_finish(&workers[i % 2], slot, i, 8);
    }
    for (uint32_t i = 0; i < WINDOW; i++) {
        uint32_t slot = must_collect(board);

        cr_assert_eq(mpi_board_head(board, slot)->count, i, "oldest first");
        mpi_board_release(board, slot);
    }
    board_is_clean(board);
    mpi_board_unref(board);
}

Test(board, results_that_come_while_others_are_collected_come_last)
{
    mpi_board *board = make_board(1, 0);
    mpi_board worker = as_worker(board, 0);

    for (uint32_t i = 0; i < 6; i++)
        (void)board_post(board, i, 8);
    for (uint32_t i = 0; i < 3; i++)
        board_finish(&worker, board_take(&worker), i, 8);
    for (uint32_t i = 0; i < 6; i++) {
        uint32_t slot = must_collect(board);

        cr_assert_eq(mpi_board_head(board, slot)->count, i);
        mpi_board_release(board, slot);
        if (i < 3)
            board_finish(&worker, board_take(&worker), i, 8);
    }
    board_is_clean(board);
    mpi_board_unref(board);
}

Test(board, the_window_wraps_as_often_as_it_is_full)
{
    mpi_board *board = make_board(1, 0);
    mpi_board worker = as_worker(board, 0);
    uint32_t next = 0, expected = 0;

    for (int round = 0; round < 7; round++) {
        while (mpi_board_room(board) > 0)
            (void)board_post(board, next++, 8);
        cr_assert_eq(mpi_board_waiting(board), (uint32_t)WINDOW);
        for (uint32_t i = 0; i < 700; i++) {
            uint32_t slot = board_take(&worker);

            cr_assert_eq(mpi_board_head(board, slot)->count, expected++);
            board_finish(&worker, slot, 0, 0);
            mpi_board_release(board, must_collect(board));
        }
    }
    mpi_board_shut(board);
    for (; expected < next; expected++) {
        board_finish(&worker, board_take(&worker), 0, 0);
        mpi_board_release(board, must_collect(board));
    }
    board_is_clean(board);
    mpi_board_unref(board);
}

Test(board, there_is_no_room_without_a_slot)
{
    mpi_board *board = make_board(1, 0);
    mpi_board worker = as_worker(board, 0);
    uint32_t posted = 0;

    while (mpi_board_room(board) > 0) {
        (void)board_post(board, posted++, 8);
        board_finish(&worker, board_take(&worker), 0, 8);
    }
    cr_assert_eq(posted, board->slot_count);
    mpi_board_release(board, must_collect(board));
    cr_assert_eq(mpi_board_room(board), 1U);
    for (uint32_t i = 1; i < posted; i++)
        mpi_board_release(board, must_collect(board));
    board_is_clean(board);
    mpi_board_unref(board);
}

/* -- Changing one's mind --------------------------------------------------- */

Test(board, what_is_retracted_nobody_takes)
{
    mpi_board *board = make_board(1, 0);
    mpi_board worker = as_worker(board, 0);
    uint32_t slots[6];

    for (uint32_t i = 0; i < 6; i++)
        slots[i] = board_post(board, i, i == 2 ? 100000 : 8);
    cr_assert(mpi_board_retract(board, slots[0]));
    cr_assert(mpi_board_retract(board, slots[2]));
    cr_assert(mpi_board_retract(board, slots[3]));
    cr_assert(mpi_board_retract(board, slots[5]));
    cr_assert_not(mpi_board_retract(board, slots[5]));
    cr_assert_eq(mpi_board_waiting(board), 2U);
    cr_assert_eq(mpi_board_state(board, slots[2]).phase, MPI_SLOT_IDLE);
    cr_assert(board_is_filled(mpi_board_payload(board, slots[2]), 2, 100000),
              "as it was");
    cr_assert_eq(board_take(&worker), slots[1]);
    cr_assert_not(mpi_board_retract(board, slots[1]));
    cr_assert_eq(mpi_board_waiting(board), 1U);
    /* Again, as it is. */
    (void)mpi_board_post(board, slots[2], 100000);
    board_finish(&worker, slots[1], 0, 8);
    cr_assert_eq(board_take(&worker), slots[4]);
    board_finish(&worker, slots[4], 0, 8);
    cr_assert_eq(board_take(&worker), slots[2]);
    cr_assert(board_is_filled(mpi_board_payload(&worker, slots[2]), 2, 100000));
    board_finish(&worker, slots[2], 0, 8);
    for (uint32_t i = 0; i < 3; i++)
        (void)must_collect(board);
    for (uint32_t i = 0; i < 6; i++)
        mpi_board_release(board, slots[i]);
    board_is_clean(board);
    mpi_board_unref(board);
}

Test(board, a_window_of_what_was_retracted_is_room)
{
    mpi_board *board = make_board(1, 0);

    for (int round = 0; round < 3; round++) {
        uint32_t slots[WINDOW];

        for (uint32_t i = 0; i < WINDOW; i++)
            slots[i] = board_post(board, i, 8);
        cr_assert_eq(mpi_board_room(board), 0U);
        for (uint32_t i = 0; i < WINDOW; i++) {
            cr_assert(mpi_board_retract(board, slots[i]));
            mpi_board_release(board, slots[i]);
        }
        cr_assert_eq(mpi_board_room(board), (uint32_t)WINDOW);
        cr_assert_eq(mpi_board_waiting(board), 0U);
    }
    board_is_clean(board);
    mpi_board_unref(board);
}

Test(board, only_the_ticket_that_is_meant_is_condemned)
{
    mpi_board *board = make_board(1, 0);
    mpi_board worker = as_worker(board, 0);
    uint32_t slot = board_post(board, 1, 8);
    uint64_t ticket = mpi_board_state(board, slot).ticket;

    cr_assert_not(mpi_board_condemn(board, slot, ticket), "nobody has it");
    (void)board_take(&worker);
    cr_assert_not(mpi_board_condemn(board, slot, ticket + 1));
    cr_assert(mpi_board_condemn(board, slot, ticket));
    cr_assert_not(mpi_board_condemn(board, slot, ticket));
    cr_assert_eq(mpi_board_state(board, slot).phase, MPI_SLOT_CONDEMNED);
    cr_assert_eq(mpi_board_state(board, slot).seat, 0U);
    mpi_board_unref(board);
}

/* -- What is large --------------------------------------------------------- */

Test(board, payloads_may_have_any_size)
{
    static const size_t sizes[] = {0,     1,     383,   384,    385,
                                   16383, 16384, 16385, 100000, 5 * MIB};
    mpi_board *board = make_board(1, 0);
    mpi_board worker = as_worker(board, 0);
    size_t count = sizeof(sizes) / sizeof(sizes[0]);

    for (size_t i = 0; i < count * count; i++) {
        size_t in = sizes[i / count], out = sizes[i % count];
        uint32_t slot = board_post(board, i, in);

        cr_assert_eq(board_take(&worker), slot);
        cr_assert(board_is_filled(mpi_board_payload(&worker, slot), i, in));
        board_finish(&worker, slot, i + 1, out);
        cr_assert_eq(must_collect(board), slot);
        cr_assert(board_is_filled(mpi_board_result(board, slot), i + 1, out));
        mpi_board_release(board, slot);
    }
    board_is_clean(board);
    mpi_board_unref(board);
}

Test(board, a_large_task_stays_readable_beside_its_result)
{
    mpi_board *board = make_board(1, 0);
    mpi_board worker = as_worker(board, 0);
    uint32_t slot = board_post(board, 1, 70000);
    void *room = NULL;

    (void)board_take(&worker);
    works(mpi_board_reply(&worker, slot, 70000, &room));
    board_fill(room, 2, 70000);
    cr_assert(board_is_filled(mpi_board_payload(&worker, slot), 1, 70000));
    mpi_board_finish(&worker, slot, 60000);
    cr_assert_eq(must_collect(board), slot);
    cr_assert(board_is_filled(mpi_board_result(board, slot), 2, 60000));
    mpi_board_release(board, slot);
    board_is_clean(board);
    mpi_board_unref(board);
}

Test(board, room_for_a_result_can_be_asked_for_again)
{
    static const size_t sizes[] = {10, 20000, 300, 100000, 50000, 400000, 0};
    mpi_board *board = make_board(1, 0);
    mpi_board worker = as_worker(board, 0);
    uint32_t slot = board_post(board, 1, 8);
    void *room = NULL;

    (void)board_take(&worker);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        works(mpi_board_reply(&worker, slot, sizes[i], &room));
        board_fill(room, i, sizes[i]);
    }
    works(mpi_board_reply(&worker, slot, 300, &room));
    board_fill(room, 5, 300);
    mpi_board_finish(&worker, slot, 300);
    cr_assert(
        board_is_filled(mpi_board_result(board, must_collect(board)), 5, 300));
    mpi_board_release(board, slot);
    board_is_clean(board);
    mpi_board_unref(board);
}

Test(board, what_never_fits_is_an_error_and_what_does_not_fit_now_is_full)
{
    mpi_board *board = make_board(2, 4 * MIB);
    mpi_board worker = as_worker(board, 0);
    uint32_t first = board_post(board, 1, MIB);
    uint32_t second = mpi_board_slot(board);
    void *room = NULL;

    cr_assert_eq(mpi_board_reserve(board, second, 2 * MIB + 1, &room),
                 MP_ENOSPC);
    cr_assert_str_not_empty(mp_error_message());
    cr_assert_eq(mpi_board_reserve(board, second, MIB + 1, &room), MP_FULL);
    (void)board_take(&worker);
    cr_assert_eq(mpi_board_reply(&worker, first, 2 * MIB + 1, &room),
                 MP_ENOSPC);
    cr_assert_str_not_empty(mp_error_message());
    works(mpi_board_reply(&worker, first, 2 * MIB, &room));
    mpi_board_finish(&worker, first, 2 * MIB);
    mpi_board_release(board, must_collect(board));
    works(mpi_board_reserve(board, second, 2 * MIB, &room));
    mpi_board_release(board, second);
    board_is_clean(board);
    mpi_board_unref(board);
}

Test(board, tasks_that_fill_their_memory_leave_results_theirs)
{
    mpi_board *board = make_board(1, 4 * MIB);
    mpi_board worker = as_worker(board, 0);
    uint32_t slot = 0;
    void *room = NULL;
    mp_error err = MP_OK;
    uint32_t posted = 0;

    while (err == MP_OK) {
        cr_assert_gt(mpi_board_room(board), 0U);
        slot = mpi_board_slot(board);
        err = mpi_board_reserve(board, slot, 100 * KIB, &room);
        if (err == MP_OK)
            (void)mpi_board_post(board, slot, 100 * KIB);
        posted += err == MP_OK;
    }
    cr_assert_eq(err, MP_FULL);
    mpi_board_release(board, slot);
    for (uint32_t i = 0; i < posted; i++) {
        slot = board_take(&worker);
        works(mpi_board_reply(&worker, slot, 2 * MIB, &room));
        mpi_board_finish(&worker, slot, 2 * MIB);
        mpi_board_release(board, must_collect(board));
    }
    board_is_clean(board);
    mpi_board_unref(board);
}

/* -- Death ----------------------------------------------------------------- */

typedef struct losses {
    uint32_t slots[8];
    bool are_condemned[8];
    uint32_t count;
} losses;

static void note_loss(void *context, uint32_t slot, bool is_condemned)
{
    losses *it = context;

    it->slots[it->count] = slot;
    it->are_condemned[it->count++] = is_condemned;
}

Test(board, what_a_dead_worker_had_is_lost_and_what_it_has_done_is_not)
{
    mpi_board *board = make_board(3, 0);
    mpi_board dead = as_worker(board, 1);
    mpi_board other = as_worker(board, 2);
    losses lost = {.count = 0};
    uint32_t pushed = board_post(board, 1, 8);
    uint32_t pushed_before = board_post(board, 7, 8);
    uint32_t taken_in = board_post(board, 2, 8);
    uint32_t unpushed = board_post(board, 3, 8);
    uint32_t held = board_post(board, 4, 50000);
    uint32_t others = board_post(board, 5, 8);
    uint32_t waiting = board_post(board, 6, 8);
    mpi_slot_state state;
    void *room = NULL;

    for (int i = 0; i < 5; i++)
        (void)board_take(&dead);
    (void)board_take(&other);
    board_finish(&dead, taken_in, 2, 20000);
    cr_assert(mpi_board_collect(board, &taken_in));
    mpi_board_release(board, taken_in);
    board_finish(&dead, pushed_before, 7, 8);
    board_finish(&dead, pushed, 1, 20000);
    /* Killed before it could push. */
    works(mpi_board_reply(&dead, unpushed, 30000, &room));
    board_fill(room, 3, 30000);
    board->slots[unpushed].size = 30000;
    state = mpi_board_state(board, unpushed);
    mpi_atomic64_store(&board->slots[unpushed].state,
                       mpi_state_word(MPI_SLOT_DONE, state.seat, state.ticket));
    works(mpi_board_reply(&dead, held, 40000, &room));

    mpi_board_bury(board, 1, note_loss, &lost);
    cr_assert_eq(lost.count, 1U);
    cr_assert_eq(lost.slots[0], held);
    cr_assert_not(lost.are_condemned[0]);
    cr_assert_eq(mpi_board_state(board, held).phase, MPI_SLOT_IDLE);
    mpi_board_release(board, held);
    mpi_board_bury(board, 1, note_loss, &lost);
    cr_assert_eq(lost.count, 1U, "once");

    cr_assert_eq(must_collect(board), pushed_before);
    mpi_board_release(board, pushed_before);
    cr_assert_eq(must_collect(board), pushed);
    cr_assert(board_is_filled(mpi_board_result(board, pushed), 1, 20000));
    mpi_board_release(board, pushed);
    cr_assert_eq(must_collect(board), unpushed);
    cr_assert(board_is_filled(mpi_board_result(board, unpushed), 3, 30000));
    mpi_board_release(board, unpushed);
    cr_assert_eq(mpi_board_state(board, others).phase, MPI_SLOT_TAKEN);
    board_finish(&other, others, 5, 8);
    cr_assert_eq(must_collect(board), others);
    mpi_board_release(board, others);
    cr_assert_eq(board_take(&other), waiting);
    board_finish(&other, waiting, 6, 8);
    mpi_board_release(board, must_collect(board));
    board_is_clean(board);
    mpi_board_unref(board);
}

Test(board, the_condemned_are_told_apart)
{
    mpi_board *board = make_board(1, 0);
    mpi_board worker = as_worker(board, 0);
    losses lost = {.count = 0};
    uint32_t slot = board_post(board, 1, 8);

    (void)board_take(&worker);
    cr_assert(
        mpi_board_condemn(board, slot, mpi_board_state(board, slot).ticket));
    mpi_board_bury(board, 0, note_loss, &lost);
    cr_assert_eq(lost.count, 1U);
    cr_assert(lost.are_condemned[0]);
    mpi_board_release(board, slot);
    board_is_clean(board);
    mpi_board_unref(board);
}

Test(board, a_worker_killed_before_it_moved_head_holds_up_nobody)
{
    mpi_board *board = make_board(2, 0);
    mpi_board dead = as_worker(board, 0);
    mpi_board other = as_worker(board, 1);
    losses lost = {.count = 0};
    uint32_t first = board_post(board, 1, 8);
    uint32_t second = board_post(board, 2, 8);

    (void)board_take(&dead);
    mpi_atomic64_store(&board->data->head, board->tail - 2);
    cr_assert_eq(mpi_board_waiting(board), 1U);
    mpi_atomic64_store(&board->data->head, board->tail - 2);
    cr_assert_eq(board_take(&other), second);
    mpi_board_bury(board, 0, note_loss, &lost);
    cr_assert_eq(lost.count, 1U);
    mpi_board_release(board, first);
    board_finish(&other, second, 2, 8);
    mpi_board_release(board, must_collect(board));
    board_is_clean(board);
    mpi_board_unref(board);
}

Test(board, units_that_a_dead_worker_had_not_written_down_are_found)
{
    mpi_board *board = make_board(1, 0);
    mpi_board worker = as_worker(board, 0);
    uint32_t slot = board_post(board, 1, 8);
    mpi_span span = 0;
    void *room = NULL;

    (void)board_take(&worker);
    works(mpi_board_reply(&worker, slot, 50000, &room));
    board_fill(room, 1, 50000);
    /* Killed between the units and the slot. */
    works(mpi_board_lock_results(board, 0));
    works(mpi_units_alloc(&board->results, 5, MPI_UNIT_QUEUED, &span));
    mpi_word_give_up(&board->thing->results_lock, &board->sync.share);
    mpi_board_tidy_results(board);
    cr_assert_eq(mpi_units_count(&board->results, span), 0U);
    mpi_board_finish(&worker, slot, 50000);
    (void)must_collect(board);
    cr_assert(board_is_filled(mpi_board_result(board, slot), 1, 50000));
    mpi_board_release(board, slot);
    board_is_clean(board);
    mpi_board_unref(board);
}

Test(board, a_result_larger_than_its_room_is_empty)
{
    mpi_board *board = make_board(1, 0);
    mpi_board worker = as_worker(board, 0);
    uint32_t slot;

    (void)board_post(board, 1, 8);
    slot = board_take(&worker);
    mpi_board_finish(&worker, slot, MPI_BOARD_INLINE + 1);
    cr_assert_eq(mpi_board_result(board, must_collect(board)).size, 0U);
    mpi_board_release(board, slot);
    board_is_clean(board);
    mpi_board_unref(board);
}

Test(board, a_list_of_what_is_done_that_makes_no_sense_ends)
{
    mpi_board *board = make_board(1, 0);
    uint32_t slot;

    for (int i = 0; i < 6; i++)
        (void)mpi_board_slot(board);
    mpi_atomic32_store(&board->slots[5].next, 4);
    mpi_atomic32_store(&board->slots[3].next, 6);
    mpi_atomic32_store(&board->data->done, 6);
    cr_assert(mpi_board_collect(board, &slot));
    cr_assert(mpi_board_collect(board, &slot));
    cr_assert_not(mpi_board_collect(board, &slot));
    mpi_atomic32_store(&board->data->done, UINT32_MAX);
    cr_assert_not(mpi_board_collect(board, &slot));
    mpi_board_unref(board);
}

/* -- Bells, and the end ---------------------------------------------------- */

Test(board, when_it_is_shut_what_waits_is_done_first)
{
    mpi_board *board = make_board(1, 0);
    mpi_board worker = as_worker(board, 0);
    uint32_t slot = board_post(board, 1, 8);
    uint32_t none = 77;

    mpi_board_shut(board);
    cr_assert_eq(board_take(&worker), slot);
    board_finish(&worker, slot, 1, 8);
    cr_assert_eq(mpi_board_take(&worker, &none), MP_ESHUTDOWN);
    cr_assert_eq(none, 77U);
    mpi_board_release(board, must_collect(board));
    board_is_clean(board);
    mpi_board_unref(board);
}

/* So that the task has taken no time at all, however slow the machine is. */
static uint64_t later(void)
{
    return (uint64_t)mpos_now() + UINT64_C(1000000000000);
}

static bool has_rung(mpi_board *board, uint32_t seen)
{
    return mpi_board_sleep(board, seen, mpos_now()) == MP_OK;
}

Test(board, the_front_is_told_of_what_is_urgent_or_took_long_or_is_near_the_end)
{
    mpi_board *board = make_board(1, 0);
    mpi_board worker = as_worker(board, 0);
    uint32_t seen, slot;

    for (uint32_t i = 0; i < WINDOW; i++) {
        slot = board_post(board, i, 8);
        mpi_board_head(board, slot)->is_urgent = i == 1;
    }
    seen = mpi_board_expect(board);
    slot = board_take(&worker);
    mpi_board_head(board, slot)->started_at = later();
    board_finish(&worker, slot, 0, 8);
    cr_assert_not(has_rung(board, seen), "it can wait");
    slot = board_take(&worker);
    mpi_board_head(board, slot)->started_at = later();
    board_finish(&worker, slot, 0, 8);
    cr_assert(has_rung(board, seen), "it is urgent");
    seen = mpi_board_expect(board);
    slot = board_take(&worker);
    mpi_board_head(board, slot)->started_at = (uint64_t)mpos_now() - 1000000;
    board_finish(&worker, slot, 0, 8);
    cr_assert(has_rung(board, seen), "it took long");
    for (uint32_t i = 3; i < WINDOW - 10; i++)
        board_finish(&worker, board_take(&worker), 0, 8);
    seen = mpi_board_expect(board);
    slot = board_take(&worker);
    mpi_board_head(board, slot)->started_at = later();
    board_finish(&worker, slot, 0, 8);
    cr_assert(has_rung(board, seen), "little is left");
    mpi_board_unref(board);
}

Test(board, who_finds_nothing_to_do_tells_what_it_has_not_told)
{
    mpi_board *board = make_board(1, 0);
    mpi_board worker = as_worker(board, 0);
    uint32_t slots[WINDOW];
    uint32_t seen, slot;

    for (uint32_t i = 0; i < WINDOW; i++)
        slots[i] = board_post(board, i, 8);
    seen = mpi_board_expect(board);
    slot = board_take(&worker);
    mpi_board_head(board, slot)->started_at = later();
    board_finish(&worker, slot, 0, 8);
    cr_assert_not(has_rung(board, seen));
    for (uint32_t i = 1; i < WINDOW; i++)
        cr_assert(mpi_board_retract(board, slots[i]));
    mpi_board_shut(board);
    cr_assert_eq(mpi_board_take(&worker, &slot), MP_ESHUTDOWN);
    cr_assert(has_rung(board, seen));
    mpi_board_unref(board);
}

Test(board, the_front_can_ring_its_own_bell)
{
    mpi_board *board = make_board(1, 0);
    uint32_t seen = mpi_board_expect(board);

    cr_assert_eq(mpi_board_sleep(board, seen, mpos_now() + 1000000),
                 MP_TIMED_OUT);
    mpi_board_ring(board);
    cr_assert(has_rung(board, seen));
    mpi_board_unref(board);
}
