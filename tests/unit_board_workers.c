/* SPDX-License-Identifier: MIT */
/*
 * The board with workers that run beside the front: threads, which TSan can
 * look at, and processes, which can be killed. Every task is numbered, and ends
 * in exactly one way; what it and its result are made of follows from that.
 *
 * By hand, for thousands of kills:
 *
 *     BOARD_KILLS=10000 unit_board_workers --timeout=3600
 */
#include "support/board.h"
#include "support/methods.h"
#include "support/system.h"

#include "os.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    SEATS = 4,
    THREAD_TASKS = 1000000,
    LARGE_TASKS = 2000,
    KILLS = 60,
    FEWEST_KILLS = 5,
    FEW = 60, /* bytes */
    SMALL = 500,
    LARGE = 300000,
    MAX_BYTES = 8 << 20,
    SECOND = 1000000000,
    PATIENCE = 20, /* seconds */
    LONG = 3600,   /* the time limit of a test, for runs by hand */
};

/* -- Chance ---------------------------------------------------------------- */

static uint32_t chance(uint64_t *state, uint32_t below)
{
    *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407U;
    return (uint32_t)(*state >> 33) % below;
}

/* One of so many payloads is large. */
static uint32_t rarely = 500;

/* Of a task, or of its result. */
static size_t size_of(uint64_t number, bool is_result)
{
    uint64_t state = number * 2 + is_result;

    (void)chance(&state, 2);
    if (chance(&state, rarely) == 0)
        return chance(&state, LARGE);
    return chance(&state, chance(&state, 10) == 0 ? SMALL : FEW);
}

/* -- Workers --------------------------------------------------------------- */

/* MP_OK; MP_EPROTO: what it was given is not what was sent. */
static mp_error do_task(mpi_board *board, uint32_t slot)
{
    uint64_t number = mpi_board_head(board, slot)->count;
    size_t size = size_of(number, true);
    void *room = NULL;
    mp_error err;

    if (!board_is_filled(mpi_board_payload(board, slot), number,
                         size_of(number, false)))
        return MP_EPROTO;
    err = mpi_board_reply(board, slot, size, &room);
    if (err != MP_OK)
        return err;
    board_fill(room, number + 1, size);
    mpi_board_finish(board, slot, size);
    return MP_OK;
}

/* Until it is shut. */
static mp_error work(mpi_board *board)
{
    uint32_t slot = 0;
    mp_error err;

    do {
        err = mpi_board_take(board, &slot);
        if (err == MP_OK)
            err = do_task(board, slot);
    } while (err == MP_OK);
    return err;
}

/* -- The front ------------------------------------------------------------- */

typedef enum ending {
    NOT_YET,
    COLLECTED,
    LOST,
    RETRACTED,
} ending;

typedef struct front {
    mpi_board *board;
    uint64_t chance;
    uint32_t most; /* tasks that there may be */
    uint32_t posted;
    uint32_t counts[RETRACTED + 1];
    unsigned char *endings; /* by number */
} front;

static front begin_front(mpi_board *board, uint32_t most)
{
    front it = {.board = board, .chance = 1, .most = most};

    it.endings = calloc(most, 1);
    cr_assert_not_null(it.endings);
    return it;
}

static uint32_t ended(const front *it)
{
    return it->counts[COLLECTED] + it->counts[LOST] + it->counts[RETRACTED];
}

/* The slot is given back. */
static void note_end(front *it, uint32_t slot, ending how)
{
    uint32_t number = mpi_board_head(it->board, slot)->count;

    cr_assert_lt(number, it->posted);
    cr_assert_eq(it->endings[number], NOT_YET, "%u: %d and %d",
                 (unsigned)number, it->endings[number], (int)how);
    it->endings[number] = (unsigned char)how;
    it->counts[how]++;
    mpi_board_release(it->board, slot);
}

static void note_loss(void *context, uint32_t slot, bool is_condemned)
{
    (void)is_condemned;
    note_end(context, slot, LOST);
}

/* False: there is no room. */
static bool post_one(front *it)
{
    size_t size = size_of(it->posted, false);
    uint32_t slot;
    void *room = NULL;
    mp_error err;

    if (it->posted == it->most || mpi_board_room(it->board) == 0)
        return false;
    slot = mpi_board_slot(it->board);
    err = mpi_board_reserve(it->board, slot, size, &room);
    if (err != MP_OK) {
        cr_assert_eq(err, MP_FULL, "%s", mp_error_message());
        mpi_board_release(it->board, slot);
        return false;
    }
    mpi_board_head(it->board, slot)->count = it->posted;
    board_fill(room, it->posted, size);
    (void)mpi_board_post(it->board, slot, size);
    it->posted++;
    if (chance(&it->chance, 100) == 0 && mpi_board_retract(it->board, slot))
        note_end(it, slot, RETRACTED);
    return true;
}

static uint32_t post_some(front *it, uint32_t most)
{
    uint32_t count = 0;

    while (count < most && post_one(it))
        count++;
    if (count > 0)
        mpi_board_call(it->board, count);
    return count;
}

static uint32_t collect_all(front *it)
{
    uint32_t count = 0;
    uint32_t slot;

    for (; mpi_board_collect(it->board, &slot); count++) {
        uint64_t number = mpi_board_head(it->board, slot)->count;

        cr_assert(board_is_filled(mpi_board_result(it->board, slot), number + 1,
                                  size_of(number, true)));
        note_end(it, slot, COLLECTED);
    }
    return count;
}

/* Until something is done. */
static void wait_for_results(front *it)
{
    int64_t deadline = mpos_now() + (int64_t)PATIENCE * SECOND;

    while (!mpi_board_spin(it->board)) {
        uint32_t seen = mpi_board_expect(it->board);

        if (mpi_board_has_done(it->board))
            return;
        cr_assert_eq(mpi_board_sleep(it->board, seen, deadline), MP_OK,
                     "%u of %u are done", (unsigned)ended(it),
                     (unsigned)it->posted);
    }
}

/* All that are posted, and all that may be, if must_post. */
static void finish_all(front *it, bool must_post)
{
    for (;;) {
        uint32_t count = must_post ? post_some(it, UINT32_MAX) : 0;

        if (collect_all(it) == 0 && count == 0) {
            if (ended(it) == it->posted)
                return;
            wait_for_results(it);
        }
    }
}

static void end_front(front *it)
{
    cr_assert_eq(ended(it), it->posted);
    board_is_clean(it->board);
    free(it->endings);
}

/* -- Threads --------------------------------------------------------------- */

typedef struct hand {
    mpi_board board;
    mpos_thread thread;
    mp_error err;
} hand;

static void run_hand(void *context)
{
    hand *it = context;

    it->err = work(&it->board);
}

static void begin_hands(hand *hands, const mpi_board *board,
                        void (*run)(void *))
{
    for (uint32_t i = 0; i < SEATS; i++) {
        hands[i] = (hand){.board = as_worker(board, i)};
        works(mpos_thread_start(run, &hands[i], &hands[i].thread));
    }
}

static void end_hands(hand *hands, mpi_board *board)
{
    mpi_board_shut(board);
    for (uint32_t i = 0; i < SEATS; i++) {
        mpos_thread_join(hands[i].thread);
        cr_assert_eq(hands[i].err, MP_ESHUTDOWN, "%s",
                     mp_error_name(hands[i].err));
    }
}

Test(board_workers, threads_do_a_million_tasks_once_each, .timeout = LONG)
{
    uint32_t count = (uint32_t)support_scaled(THREAD_TASKS);
    mpi_board *board = make_board(SEATS, MAX_BYTES);
    front it = begin_front(board, count);
    uint64_t done = 0;
    hand hands[SEATS];

    begin_hands(hands, board, run_hand);
    finish_all(&it, true);
    end_hands(hands, board);
    cr_assert_eq(it.posted, count);
    for (uint32_t i = 0; i < SEATS; i++)
        done += mpi_atomic64_load(&board->seats[i].tasks_done);
    cr_assert_eq(done, it.counts[COLLECTED]);
    end_front(&it);
    mpi_board_unref(board);
}

Test(board_workers, one_at_a_time_goes_to_and_fro, .timeout = LONG)
{
    uint32_t count = (uint32_t)support_scaled(20000);
    mpi_board *board = make_board(SEATS, MAX_BYTES);
    front it = begin_front(board, count);
    hand hands[SEATS];

    begin_hands(hands, board, run_hand);
    while (it.posted < count) {
        (void)post_some(&it, 1);
        finish_all(&it, false);
    }
    end_hands(hands, board);
    end_front(&it);
    mpi_board_unref(board);
}

/* Results that have to wait for each other; a front that has other things to do
 * now and then. */
Test(board_workers, results_wait_for_room, .timeout = LONG)
{
    uint32_t count = (uint32_t)support_scaled(LARGE_TASKS);
    mpi_board *board = make_board(SEATS, (size_t)2 * LARGE);
    front it = begin_front(board, count);
    hand hands[SEATS];

    rarely = 5;
    begin_hands(hands, board, run_hand);
    while (it.posted < count) {
        if (post_some(&it, 100) == 0)
            wait_for_results(&it);
        if (chance(&it.chance, 10) == 0)
            mpos_sleep_until(mpos_now() + 1000000);
        (void)collect_all(&it);
    }
    finish_all(&it, false);
    end_hands(hands, board);
    rarely = 500;
    end_front(&it);
    mpi_board_unref(board);
}

/* Until all of them are asleep, most likely. */
static void let_them_sleep(void)
{
    mpos_sleep_until(mpos_now() + 50000000);
}

static mpi_atomic32 gate;

/* The first task ends when the second does, so they need one worker each. */
static void run_at_gate(void *context)
{
    hand *it = context;
    uint32_t slot = 0;

    while ((it->err = mpi_board_take(&it->board, &slot)) == MP_OK) {
        if (mpi_board_head(&it->board, slot)->count > 0)
            mpi_atomic32_store(&gate, 1);
        while (mpi_atomic32_load(&gate) == 0)
            mpos_sleep_until(mpos_now() + 1000000);
        mpi_board_finish(&it->board, slot, 0);
    }
}

static void collect_one(mpi_board *board)
{
    uint32_t slot = 0;

    while (!mpi_board_collect(board, &slot)) {
        uint32_t seen = mpi_board_expect(board);

        if (!mpi_board_has_done(board))
            (void)mpi_board_sleep(board, seen, MPOS_FOREVER);
    }
    mpi_board_release(board, slot);
}

Test(board_workers, who_is_woken_wakes_the_next_if_there_is_more)
{
    mpi_board *board = make_board(SEATS, MAX_BYTES);
    hand hands[SEATS];

    mpi_atomic32_store(&gate, 0);
    begin_hands(hands, board, run_at_gate);
    let_them_sleep();
    for (uint32_t i = 0; i < 2; i++) {
        (void)board_post(board, i, 8);
        mpi_board_call(board, 1);
    }
    collect_one(board);
    collect_one(board);
    end_hands(hands, board);
    board_is_clean(board);
    mpi_board_unref(board);
}

static void lose_nothing(void *context, uint32_t slot, bool is_condemned)
{
    (void)context;
    (void)is_condemned;
    cr_assert_fail("slot %u was lost", (unsigned)slot);
}

Test(board_workers, a_wake_up_that_was_lost_is_made_up_for_at_a_burial)
{
    mpi_board *board = make_board(SEATS + 1, MAX_BYTES);
    hand hands[SEATS];

    mpi_atomic32_store(&gate, 1);
    begin_hands(hands, board, run_at_gate);
    let_them_sleep();
    /* As if it had been another's, and that killed. */
    mpi_word_alert_slowly(&board->thing->work, &board->sync.share, 0);
    (void)board_post(board, 0, 8);
    mpi_board_call(board, 1);
    mpi_board_bury(board, SEATS, lose_nothing, NULL);
    collect_one(board);
    end_hands(hands, board);
    board_is_clean(board);
    mpi_board_unref(board);
}

/* -- Processes ------------------------------------------------------------- */

/* (board, seat) */
static int worker_process(mp_args *args)
{
    mpi_board *board = NULL;
    mp_error err = mpi_board_of(mp_arg_obj(args, 0), &board);

    if (err == MP_OK) {
        board->seat = (uint32_t)mp_arg_int(args, 1);
        err = work(board);
    }
    if (err == MP_ESHUTDOWN)
        return 0;
    fprintf(stderr, "worker: %s: %s\n", mp_error_name(err), mp_error_message());
    return 1;
}

static mp_process *start_worker(mp_start_method method, mpi_board *board,
                                uint32_t seat, mp_function target)
{
    return support_start_daemon(method, target,
                                MP_TUPLE(mpi_board_box(board), seat));
}

static void end_process(mp_process *process)
{
    works(mp_process_kill(process));
    works(mp_process_join(process, PATIENCE));
    works(mp_process_close(process));
}

METHOD_TEST(board_processes, tasks_go_to_other_processes_and_back)
{
    uint32_t count = (uint32_t)support_scaled(100000);
    mpi_board *board = make_board(SEATS, MAX_BYTES);
    front it = begin_front(board, count);
    mp_process *workers[SEATS];

    for (uint32_t i = 0; i < SEATS; i++)
        workers[i] = start_worker(method, board, i, worker_process);
    finish_all(&it, true);
    mpi_board_shut(board);
    for (uint32_t i = 0; i < SEATS; i++)
        cr_assert_eq(support_finish(workers[i]), 0);
    end_front(&it);
    mpi_board_unref(board);
}

static uint32_t kills_wanted(void)
{
    const char *wanted = getenv("BOARD_KILLS");
    uint32_t kills = (uint32_t)support_scaled(KILLS);

    if (wanted != NULL)
        return (uint32_t)strtoul(wanted, NULL, 10);
    return kills < FEWEST_KILLS ? FEWEST_KILLS : kills;
}

/* Posts and collects for up to three milliseconds. */
static void go_on(front *it)
{
    int64_t until = mpos_now() + (int64_t)chance(&it->chance, 3000) * 1000;
    bool is_busy = chance(&it->chance, 3) != 0; /* or they fall asleep */

    do {
        if (is_busy)
            (void)post_some(it, chance(&it->chance, 200));
        (void)collect_all(it);
    } while (mpos_now() < until);
}

/* What it works on, as far as its seat says, is condemned first. */
static void condemn(mpi_board *board, uint32_t seat)
{
    uint32_t slot = mpi_atomic32_load(&board->seats[seat].slot);
    mpi_slot_state state;

    if (slot == 0)
        return;
    state = mpi_board_state(board, slot - 1);
    if (state.seat == seat)
        (void)mpi_board_condemn(board, slot - 1, state.ticket);
}

METHOD_TEST(board_storm, killed_workers_lose_what_they_have_and_no_more)
{
    uint32_t kills = kills_wanted();
    mpi_board *board = make_board(SEATS, MAX_BYTES);
    front it = begin_front(board, (kills + 1) * 20000);
    mp_process *workers[SEATS];

    for (uint32_t i = 0; i < SEATS; i++)
        workers[i] = start_worker(method, board, i, worker_process);
    for (uint32_t i = 0; i < kills; i++) {
        uint32_t seat = chance(&it.chance, SEATS);

        go_on(&it);
        if (chance(&it.chance, 4) == 0)
            condemn(board, seat);
        end_process(workers[seat]);
        mpi_board_bury(board, seat, note_loss, &it);
        workers[seat] = start_worker(method, board, seat, worker_process);
    }
    (void)post_some(&it, 2 * SEATS);
    finish_all(&it, false);
    mpi_board_shut(board);
    for (uint32_t i = 0; i < SEATS; i++)
        cr_assert_eq(support_finish(workers[i]), 0);
    cr_assert_leq(it.counts[LOST], kills);
    cr_assert_gt(it.counts[COLLECTED], 0U);
    end_front(&it);
    mpi_board_unref(board);
}

/* Takes a task, and finishes it when it is condemned. */
static int stubborn_process(mp_args *args)
{
    mpi_board *board = NULL;
    uint32_t slot = 0;

    if (mpi_board_of(mp_arg_obj(args, 0), &board) != MP_OK)
        return 1;
    board->seat = (uint32_t)mp_arg_int(args, 1);
    if (mpi_board_take(board, &slot) != MP_OK)
        return 1;
    while (mpi_board_state(board, slot).phase != MPI_SLOT_CONDEMNED)
        mpos_sleep_until(mpos_now() + 1000000);
    mpi_board_finish(board, slot, 0);
    return 0;
}

METHOD_TEST(board_processes, the_condemned_never_finish)
{
    mpi_board *board = make_board(1, 0);
    mp_process *worker = start_worker(method, board, 0, stubborn_process);
    front it = begin_front(board, 1);
    uint32_t slot;

    (void)post_some(&it, 1);
    slot = board->used_slots - 1;
    while (mpi_board_state(board, slot).phase != MPI_SLOT_TAKEN)
        mpos_sleep_until(mpos_now() + 1000000);
    cr_assert(
        mpi_board_condemn(board, slot, mpi_board_state(board, slot).ticket));
    cr_assert_eq(mp_process_join(worker, 0.3), MP_TIMED_OUT);
    cr_assert_not(mpi_board_has_done(board));
    end_process(worker);
    mpi_board_bury(board, 0, note_loss, &it);
    cr_assert_eq(it.counts[LOST], 1U);
    end_front(&it);
    mpi_board_unref(board);
}
