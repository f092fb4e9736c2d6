/* SPDX-License-Identifier: MIT */
/*
 * Clients that lie and stall while they should prove themselves. Whatever they
 * do, the listener neither hangs nor grows, and an honest client is served
 * within a second. More of them are in test_hostile_crowds.c; what they do once
 * they have proved themselves, in test_hostile_messages.c.
 */
#include "support/check.h"
#include "support/door.h"

enum {
    DOZENS = 60, /* fewer than are served at the same time */
    MANY = 120,  /* more */
    ROOM = 64,   /* so many are */
    PER_HANDSHAKE = 4096,
    SLOW = 12,
};

/* -- Handshakes that end too early ----------------------------------------- */

/* Comes, does the first so many bytes of what is right, and stands there. */
static stranger begin_right(size_t bytes)
{
    stranger self = stranger_come(&where);

    self.left = bytes;
    cr_assert_eq(stranger_prove(&self, serve), bytes == STRANGER_ALL);
    return self;
}

static void cut_everywhere(mp_family family)
{
    stranger whole;

    open_door(family, NULL);
    for (size_t i = 0; i < STRANGER_ALL; i++) {
        stranger cut = begin_right(i);

        stranger_leave(&cut);
        serve_until_refused((unsigned)i + 1, 5);
        cr_assert_null(guest);
    }
    /* It is cut that it was refused for. */
    whole = begin_right(STRANGER_ALL);
    while (guest == NULL)
        serve();
    stranger_leave(&whole);
    cr_assert_eq(mp_connection_close(guest), MP_OK);
    guest = NULL;
    expect_service();
    cr_assert_eq(refused, STRANGER_ALL);
    close_door();
}

Test(hostile, who_leaves_at_any_byte_of_the_handshake_is_refused_once,
     .timeout = 120)
{
    over_each_family(cut_everywhere);
}

static void stall_everywhere(mp_family family)
{
    const mp_listener_options options = {.handshake_timeout = 2};
    stranger stalled[DOZENS];
    double began;

    open_door(family, &options);
    began = mp_monotonic();
    for (size_t i = 0; i < DOZENS; i++)
        stalled[i] = begin_right(i * STRANGER_ALL / DOZENS);
    expect_service();
    expect_service();
    serve_until_refused(DOZENS, 10);
    cr_assert_geq(mp_monotonic() - began, 2);
    for (size_t i = 0; i < DOZENS; i++)
        stranger_leave(&stalled[i]);
    expect_service();
    close_door();
}

Test(hostile, dozens_that_stall_hold_nobody_up_and_are_sent_away_in_time,
     .timeout = 120)
{
    over_each_family(stall_everywhere);
}

/* So many that there is no place left: those that say nothing have to go. */
static void stall_in_crowds(mp_family family)
{
    const mp_listener_options options = {.backlog = 2 * MANY,
                                         .handshakes = ROOM};
    static stranger stalled[MANY];
    size_t handles, memory;

    open_door(family, &options);
    expect_service();
    /* Windows' pipes have no queue: who comes waits for who is served. */
    for (size_t i = 0; i < MANY; i++)
        while (stranger_try(&stalled[i], &where, 0.01) != MP_OK)
            serve();
    handles = support_open_handles();
    memory = support_memory_in_use();
    expect_service();
    cr_assert_geq(refused, MANY - ROOM);
    cr_assert_leq(support_open_handles(), handles + ROOM);
    expect_memory(memory, support_memory_in_use(), ROOM * PER_HANDSHAKE);
    for (size_t i = 0; i < MANY; i++)
        stranger_leave(&stalled[i]);
    expect_service();
    serve_until_refused(MANY, moment());
    close_door();
}

Test(hostile, a_crowd_that_stalls_makes_room_for_who_comes, .timeout = 120)
{
    over_each_family(stall_in_crowds);
}

/* A byte now and then keeps nobody in. */
static void be_slow(mp_family family)
{
    const mp_listener_options options = {.handshake_timeout = 1};
    const unsigned char header[] = {0, 0, 0, 44};
    stranger slow[SLOW];
    double began;

    open_door(family, &options);
    for (size_t i = 0; i < SLOW; i++)
        slow[i] = begin_right(0);
    began = mp_monotonic();
    for (size_t turn = 0; refused < SLOW; turn++) {
        for (size_t i = 0; i < SLOW; i++)
            stranger_write(&slow[i], turn < 4 ? header + turn : header, 1);
        if (turn == 1)
            expect_service();
        for (int i = 0; i < 30; i++)
            serve();
        cr_assert_lt(mp_monotonic() - began, 2 + 2 * moment());
    }
    for (size_t i = 0; i < SLOW; i++)
        stranger_leave(&slow[i]);
    expect_service();
    close_door();
}

Test(hostile, who_sends_a_byte_now_and_then_gets_no_more_time, .timeout = 120)
{
    over_each_family(be_slow);
}

/* -- Who does not know the key --------------------------------------------- */

/* All as it should be, but for one bit of the answer: it is told so. */
static void guess(size_t byte)
{
    unsigned char asked[STRANGER_CHALLENGE + STRANGER_MESSAGE];
    unsigned char answer[STRANGER_ANSWER];
    char verdict[STRANGER_VERDICT];
    stranger self = stranger_come(&where);

    self.left = STRANGER_ALL;
    cr_assert(stranger_get(&self, serve, asked, sizeof(asked)));
    stranger_answer(asked + STRANGER_CHALLENGE, answer);
    answer[byte] ^= 1U << byte % 8;
    cr_assert(stranger_put(&self, answer, sizeof(answer)));
    cr_assert(stranger_get(&self, serve, verdict, sizeof(verdict)));
    cr_assert_eq(memcmp(verdict, "#FAILURE#", sizeof(verdict)), 0);
    stranger_leave(&self);
}

static void guess_everywhere(mp_family family)
{
    open_door(family, NULL);
    for (unsigned i = 0; i < STRANGER_ANSWER; i++) {
        guess(i);
        serve_until_refused(i + 1, 5);
    }
    expect_service();
    close_door();
}

Test(hostile, who_errs_in_one_bit_is_refused, .timeout = 120)
{
    over_each_family(guess_everywhere);
}

/* -- Frames that are none -------------------------------------------------- */

/* Refused for what they say, long before anybody's time is over. */
static void claim_sizes(mp_family family)
{
    const uint32_t sizes[] = {
        0xffffffff, /* 64 bits follow */
        0xfffffffe, 0x80000000, 0x7fffffff, 0x01000000, 257, 0, 3,
    };
    const unsigned count = sizeof(sizes) / sizeof(sizes[0]);
    size_t before;

    open_door(family, NULL);
    expect_service();
    before = support_memory_in_use();
    for (unsigned i = 0; i < count; i++) {
        unsigned char data[64] = {
            (unsigned char)(sizes[i] >> 24), (unsigned char)(sizes[i] >> 16),
            (unsigned char)(sizes[i] >> 8), (unsigned char)sizes[i], 0x7f};
        stranger self = begin_right(0);

        stranger_write(&self, data, sizeof(data));
        serve_until_refused(i + 1, moment());
        stranger_leave(&self);
    }
    expect_memory(before, support_memory_in_use(), 0);
    expect_service();
    close_door();
}

Test(hostile, negative_and_huge_sizes_are_refused_at_once, .timeout = 120)
{
    over_each_family(claim_sizes);
}
