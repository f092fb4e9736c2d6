/* SPDX-License-Identifier: MIT */
/*
 * Storms on connections: one side is killed while it sends, receives, or hands
 * the end of another connection on. The other side gets every message that was
 * sent whole, in order, and then the end of file, or is told that the last one
 * was cut short, or that nobody receives; it never hangs. What was on its way
 * to the dead is closed.
 */
#include "torture.h"

#include "support/killer.h"

#include <stdlib.h>
#include <string.h>

enum {
    MOST_SMALL = 300,
    MOST_LARGE = 200000,
    HANDED = 5, /* connections that are handed on */
};

static const double killed_soon = 0.004; /* seconds */

/* -- Messages -------------------------------------------------------------- */

/* Message `number` is known to both sides. */
static size_t size_of(uint32_t number)
{
    uint64_t state = number;

    if (torture_draw(&state, 20) == 0)
        return torture_draw(&state, MOST_LARGE);
    return torture_draw(&state, MOST_SMALL);
}

/* Static: each process has one side. */
static const void *message(uint32_t number)
{
    static unsigned char bytes[MOST_LARGE];
    size_t size = size_of(number);

    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)(number + i * 7);
    return bytes;
}

/* Every third is an object. */
static bool is_object(uint32_t number)
{
    return number % 3 == 0;
}

static mp_error send_message(mp_connection *to, uint32_t number)
{
    const void *bytes = message(number);

    if (is_object(number))
        return mp_connection_send(
            to, MP_TUPLE((int64_t)number, MP_BYTES(bytes, size_of(number))));
    return mp_connection_send_bytes(to, bytes, size_of(number));
}

static void expect_bytes(const void *bytes, size_t size, uint32_t number)
{
    cr_assert_eq(size, size_of(number), "message %u has %zu bytes",
                 (unsigned)number, size);
    cr_assert(size == 0 || memcmp(bytes, message(number), size) == 0,
              "message %u is torn", (unsigned)number);
}

static mp_error recv_object(mp_connection *from, uint32_t number)
{
    const mp_obj *part;
    const void *bytes;
    mp_obj *obj = NULL;
    int64_t found = -1;
    size_t size;
    mp_error err = mp_connection_recv(from, &obj);

    if (err != MP_OK)
        return err;
    ok(mp_obj_item(obj, 0, &part));
    ok(mp_obj_as_int(part, &found));
    cr_assert_eq(found, (int64_t)number);
    ok(mp_obj_item(obj, 1, &part));
    ok(mp_obj_as_bytes(part, &bytes, &size));
    expect_bytes(bytes, size, number);
    mp_obj_unref(obj);
    return MP_OK;
}

static mp_error recv_message(mp_connection *from, uint32_t number)
{
    void *data = NULL;
    size_t size = 0;
    mp_error err;

    if (is_object(number))
        return recv_object(from, number);
    err = mp_connection_recv_bytes(from, &data, &size);
    if (err == MP_OK)
        expect_bytes(data, size, number);
    mp_free(data);
    return err;
}

/* -- The sender is killed -------------------------------------------------- */

/* (connection, first number) */
static int send_for_ever(mp_args *args)
{
    mp_connection *to = mp_arg_connection(args, 0);
    uint32_t number = (uint32_t)mp_arg_int(args, 1);

    for (;;)
        mp_check(send_message(to, number++));
}

static void kill_a_sender(mp_start_method method)
{
    uint32_t number = torture_chance(1 << 30), first = number;
    mp_connection *ours, *theirs;
    mp_process *sender;
    mp_error err;
    killer it;

    ok(mp_pipe(&ours, &theirs, NULL));
    sender =
        torture_start(method, send_for_ever, MP_ARGS(theirs, (int64_t)number));
    ok(mp_connection_close(theirs));
    ok(recv_message(ours, number++));
    torture_waits_for("messages of a sender that is killed");
    begin_killing(&it, mp_process_pid(sender), torture_time(killed_soon));
    if (torture_chance(2) == 0) /* it stops in the middle of a message */
        mp_sleep(it.delay);
    while ((err = recv_message(ours, number)) == MP_OK)
        number++;
    cr_assert(err == MP_EEOF || err == MP_EPROTO, "%s: %s", mp_error_name(err),
              mp_error_message());
    end_killing(&it);
    torture_bury(sender, "sender");
    torture_recovered(mpos_now() - it.killed);
    torture_checked(number - first);
    ok(mp_connection_close(ours));
}

static void storm_senders(const storm_round *round)
{
    for (int i = 0; i < round->kills; i++)
        kill_a_sender(round->method);
}

/* -- The receiver is killed ------------------------------------------------ */

/* (connection, first number) */
static int recv_for_ever(mp_args *args)
{
    mp_connection *from = mp_arg_connection(args, 0);
    uint32_t number = (uint32_t)mp_arg_int(args, 1);

    mp_check(mp_connection_send(from, MP_NONE));
    for (;;)
        mp_check(recv_message(from, number++));
}

/* Nobody has the other end any more. */
static void expect_end(mp_connection *it)
{
    bool is_there = false;
    mp_obj *obj = NULL;
    mp_error err = mp_connection_poll(it, TORTURE_PATIENCE);

    is_there = err == MP_TIMED_OUT;
    cr_assert_not(is_there, "what was sent to the dead is still open");
    err = mp_connection_recv(it, &obj);
    cr_assert_eq(err, MP_EEOF, "%s: %s", mp_error_name(err),
                 mp_error_message());
}

static void await_word(mp_connection *from)
{
    mp_obj *obj = NULL;

    torture_waits_for("a child that says that it is there");
    ok(mp_connection_recv(from, &obj));
    mp_obj_unref(obj);
}

static void kill_a_receiver(mp_start_method method)
{
    uint32_t number = torture_chance(1 << 30), first = number;
    mp_connection *ours, *theirs;
    mp_process *receiver;
    mp_error err;
    killer it;

    ok(mp_pipe(&ours, &theirs, NULL));
    receiver =
        torture_start(method, recv_for_ever, MP_ARGS(theirs, (int64_t)number));
    ok(mp_connection_close(theirs));
    await_word(ours);
    torture_waits_for("a broken pipe, as its receiver is killed");
    begin_killing(&it, mp_process_pid(receiver), torture_time(killed_soon));
    while ((err = send_message(ours, number)) == MP_OK)
        number++;
    cr_assert_eq(err, MP_EPIPE, "%s: %s", mp_error_name(err),
                 mp_error_message());
    end_killing(&it);
    torture_bury(receiver, "receiver");
    torture_recovered(mpos_now() - it.killed);
    torture_checked(number - first);
    ok(mp_connection_close(ours));
}

static void storm_receivers(const storm_round *round)
{
    for (int i = 0; i < round->kills; i++)
        kill_a_receiver(round->method);
}

/* -- Who hands connections on is killed ------------------------------------ */

/* (from, to): what comes is handed on. */
static int hand_on(mp_args *args)
{
    mp_connection *from = mp_arg_connection(args, 0);
    mp_connection *to = mp_arg_connection(args, 1);
    mp_obj *obj;

    mp_check(mp_connection_send(from, MP_NONE));
    while (mp_connection_recv(from, &obj) == MP_OK)
        if (mp_connection_send(to, obj) != MP_OK)
            break;
    mp_sleep(TORTURE_PATIENCE);
    return 1;
}

/* (from): answers over what comes. */
static int answer_over(mp_args *args)
{
    mp_connection *from = mp_arg_connection(args, 0);
    mp_connection *way;
    mp_obj *obj;

    while (mp_connection_recv(from, &obj) == MP_OK) {
        if (mp_obj_as_connection(obj, &way) != MP_OK ||
            mp_connection_send(way, MP_BOX(42)) != MP_OK)
            break;
        mp_obj_unref(obj);
    }
    mp_sleep(TORTURE_PATIENCE);
    return 1;
}

typedef struct relay {
    mp_process *middle, *last;
    mp_connection *to_middle;
    mp_connection *near_ends[HANDED];
} relay;

static void begin_relay(relay *it, mp_start_method method)
{
    mp_connection *theirs, *out, *in;

    ok(mp_pipe(&it->to_middle, &theirs, NULL));
    ok(mp_pipe(&out, &in, NULL));
    it->middle = torture_start(method, hand_on, MP_ARGS(theirs, out));
    ok(mp_connection_close(theirs));
    await_word(it->to_middle);
    it->last = torture_start(method, answer_over, MP_ARGS(in));
    ok(mp_connection_close(in));
    ok(mp_connection_close(out));
}

static void send_all(relay *it)
{
    for (int i = 0; i < HANDED; i++) {
        mp_connection *far_end;
        mp_error err;

        ok(mp_pipe(&it->near_ends[i], &far_end, NULL));
        err = mp_connection_send(it->to_middle, MP_BOX(far_end));
        cr_assert(err == MP_OK || err == MP_EPIPE, "%s: %s", mp_error_name(err),
                  mp_error_message());
        ok(mp_connection_close(far_end));
    }
}

/* An answer has come, or not: then comes the end. */
static void expect_answer_or_end(mp_connection *it)
{
    mp_obj *obj = NULL;

    torture_waits_for("an answer, or the end of what the dead had");
    cr_assert_neq(mp_connection_poll(it, TORTURE_PATIENCE), MP_TIMED_OUT,
                  "what was sent to the dead is still open");
    if (mp_connection_recv(it, &obj) == MP_OK) {
        mp_obj_unref(obj);
        expect_end(it);
    }
    ok(mp_connection_close(it));
    torture_checked(1);
}

static void kill_a_relay(mp_start_method method)
{
    relay it = {.middle = NULL};
    bool is_middle = torture_chance(2) == 0;
    mp_process *first, *second;
    killer killer_of_one;
    int64_t began;

    begin_relay(&it, method);
    torture_waits_for("a relay that is killed");
    first = is_middle ? it.middle : it.last;
    second = is_middle ? it.last : it.middle;
    begin_killing(&killer_of_one, mp_process_pid(first),
                  torture_time(killed_soon));
    send_all(&it);
    end_killing(&killer_of_one);
    torture_bury(first, is_middle ? "relay" : "receiver");
    began = mpos_now();
    torture_kill(second, is_middle ? "receiver" : "relay");
    ok(mp_connection_close(it.to_middle));
    for (int i = 0; i < HANDED; i++)
        expect_answer_or_end(it.near_ends[i]);
    torture_recovered(mpos_now() - began);
}

static void storm_relays(const storm_round *round)
{
    for (int i = 0; i < round->kills; i += 2)
        kill_a_relay(round->method);
}

const storm torture_connections[] = {
    {"connection/sender",
     "who sends messages: those sent are whole and in order, then comes the "
     "end, or a cut one is told",
     12, NULL, storm_senders},
    {"connection/receiver",
     "who receives messages: the sender is told of a broken pipe, and does not "
     "hang",
     12, NULL, storm_receivers},
    {"connection/handover",
     "who hands connections on: each is answered over, or closed", 12, NULL,
     storm_relays},
    {.name = NULL},
};
