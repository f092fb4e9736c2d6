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

#include "state.h"

#include <stdlib.h>
#include <string.h>

enum {
    MOST_SMALL = 300,
    MOST_LARGE = 200000,
    HANDED = 5,         /* connections that are handed on */
    TOO_MUCH = 4 << 20, /* bytes: no system takes them all at once */
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

/* Every third is an object, every third comes into the receiver's memory. */
static bool is_object(uint32_t number)
{
    return number % 3 == 0;
}

static bool has_room(uint32_t number)
{
    return number % 3 == 1;
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

static mp_error recv_into_room(mp_connection *from, uint32_t number)
{
    static unsigned char room[MOST_LARGE];
    size_t size = 0;
    mp_error err =
        mp_connection_recv_bytes_into(from, room, sizeof(room), &size);

    if (err == MP_OK)
        expect_bytes(room, size, number);
    return err;
}

static mp_error recv_message(mp_connection *from, uint32_t number)
{
    void *data = NULL;
    size_t size = 0;
    mp_error err;

    if (is_object(number))
        return recv_object(from, number);
    if (has_room(number))
        return recv_into_room(from, number);
    err = mp_connection_recv_bytes(from, &data, &size);
    if (err == MP_OK)
        expect_bytes(data, size, number);
    mp_free(data);
    return err;
}

/* -- The sender is killed -------------------------------------------------- */

/* (connection, first number, Array: the number after those that are sent) */
static int send_for_ever(mp_args *args)
{
    mp_connection *to = mp_arg_connection(args, 0);
    uint32_t number = (uint32_t)mp_arg_int(args, 1);
    uint32_t *sent = mp_array_data(mp_arg_array(args, 2));

    for (;;) {
        mp_check(send_message(to, number++));
        mp_atomic_store(sent, number);
    }
}

static void kill_a_sender(mp_start_method method, mp_array *array)
{
    uint32_t *sent = mp_array_data(array);
    uint32_t number = torture_chance(1 << 30), first = number;
    mp_connection *ours, *theirs;
    mp_process *sender;
    mp_error err;
    killer it;

    ok(mp_pipe(&ours, &theirs, NULL));
    mp_atomic_store(sent, number);
    sender = torture_start(method, send_for_ever,
                           MP_ARGS(theirs, (int64_t)number, array));
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
    cr_assert_geq(number, mp_atomic_load(sent), "message %u was sent, and lost",
                  (unsigned)number);
    torture_checked(number - first);
    ok(mp_connection_close(ours));
}

/* (connection) */
static int send_too_much(mp_args *args)
{
    void *bytes = calloc(1, TOO_MUCH);

    cr_assert_not_null(bytes);
    mp_check(
        mp_connection_send_bytes(mp_arg_connection(args, 0), bytes, TOO_MUCH));
    return 0;
}

/* They stay where they are. */
static void await_bytes(mp_connection *from)
{
    mpos_wait_item item = {.kind = MPOS_WAIT_READ};

    ok(mp_connection_fileno(from, &item.handle));
    ok(mpos_wait(&item, 1, mpi_deadline(TORTURE_PATIENCE)));
}

/* As nobody receives, a part of its message is on the way, and no more. */
static void kill_in_a_message(mp_start_method method)
{
    mp_connection *ours, *theirs;
    mp_process *sender;
    void *data = NULL;
    size_t size = 0;
    int64_t began;
    mp_error err;

    ok(mp_pipe(&ours, &theirs, NULL));
    sender = torture_start(method, send_too_much, MP_ARGS(theirs));
    ok(mp_connection_close(theirs));
    torture_waits_for("the beginning of a message");
    await_bytes(ours);
    torture_linger(1);
    torture_kill(sender, "sender");
    began = mpos_now();
    err = mp_connection_recv_bytes(ours, &data, &size);
    /* Where the system keeps messages apart, there is nothing of it. */
    cr_assert(err == MP_EPROTO ||
                  (err == MP_EEOF && mpos_system.has_message_pipes),
              "%s: %s", mp_error_name(err), mp_error_message());
    torture_recovered(mpos_now() - began);
    torture_checked(1);
    ok(mp_connection_close(ours));
}

static void storm_senders(const storm_round *round)
{
    mp_array *sent = NULL;

    ok(mp_array_create(&sent, MP_CTYPE(char), sizeof(uint32_t), NULL,
                       &(mp_value_options){.has_no_lock = true}));
    for (int i = 0; i < round->kills; i++)
        if (torture_chance(4) == 0)
            kill_in_a_message(round->method);
        else
            kill_a_sender(round->method, sent);
    ok(mp_array_close(sent));
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

static mp_error send_end(relay *it, int number)
{
    mp_connection *far_end;
    mp_error err;

    ok(mp_pipe(&it->near_ends[number], &far_end, NULL));
    err = mp_connection_send(it->to_middle, MP_BOX(far_end));
    ok(mp_connection_close(far_end));
    return err;
}

/* While nobody is killed it arrives. */
static void send_first(relay *it)
{
    mp_obj *answer = NULL;

    torture_waits_for("an answer over what was handed on");
    ok(send_end(it, 0));
    ok(mp_connection_recv(it->near_ends[0], &answer));
    mp_obj_unref(answer);
}

static void send_rest(relay *it)
{
    for (int i = 1; i < HANDED; i++) {
        mp_error err = send_end(it, i);

        cr_assert(err == MP_OK || err == MP_EPIPE, "%s: %s", mp_error_name(err),
                  mp_error_message());
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
    send_first(&it);
    torture_waits_for("a relay that is killed");
    first = is_middle ? it.middle : it.last;
    second = is_middle ? it.last : it.middle;
    begin_killing(&killer_of_one, mp_process_pid(first),
                  torture_time(killed_soon));
    send_rest(&it);
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
