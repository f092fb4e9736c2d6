/* SPDX-License-Identifier: MIT */
/*
 * Connections that are sent over a connection, to a process that runs already.
 */
#include "support/check.h"
#include "support/connections.h"
#include "support/methods.h"
#include "support/system.h"

#include "os.h"

#include <multiproc/pickle.h>

#include <string.h>

enum { MANY = 200, TOO_MANY = 252 };

/* -- Helpers --------------------------------------------------------------- */

/* A message goes from one to the other. */
static void expect_joined(mp_connection *from, mp_connection *to, int64_t n)
{
    ok(mp_connection_send(from, MP_BOX(n)));
    cr_assert_eq(recv_int(to), n);
}

/* The message, which the caller unrefs, and the connection in it. */
static mp_obj *recv_connection(mp_connection *from, mp_connection **out)
{
    mp_obj *obj = NULL;

    ok(mp_connection_recv(from, &obj));
    ok(mp_obj_as_connection(obj, out));
    return obj;
}

/* -- Targets --------------------------------------------------------------- */

/* Sends twice each number over the connections that it is sent. */
static int double_over_what_comes(mp_args *args)
{
    mp_connection *from = mp_arg_connection(args, 0);
    mp_obj *message;
    mp_error err;

    while ((err = mp_connection_recv(from, &message)) == MP_OK) {
        mp_connection *way;
        mp_obj *number;
        int64_t value;

        mp_check(mp_obj_as_connection(message, &way));
        while (mp_connection_recv(way, &number) == MP_OK) {
            mp_check(mp_obj_as_int(number, &value));
            mp_check(mp_connection_send(way, MP_BOX(value * 2)));
            mp_obj_unref(number);
        }
        mp_obj_unref(message);
    }
    return err == MP_EEOF ? 0 : 1;
}

static int send_a_new_one(mp_args *args)
{
    mp_connection *end, *other;

    mp_check(mp_pipe(&end, &other, NULL));
    mp_check(mp_connection_send(mp_arg_connection(args, 0), MP_BOX(other)));
    mp_check(mp_connection_close(other));
    mp_check(mp_connection_send(end, MP_BOX(5)));
    mp_check(mp_connection_close(end));
    return 0;
}

/* Tells that it runs, and stays until it is told to end. */
static int stay(mp_args *args)
{
    mp_connection *connection = mp_arg_connection(args, 0);
    mp_obj *obj;

    mp_check(mp_connection_send(connection, MP_BOX(1)));
    mp_check(mp_connection_recv(connection, &obj));
    mp_obj_unref(obj);
    return 0;
}

/* -- To and from a running process ----------------------------------------- */

static void use_over(mp_connection *ours, int64_t value)
{
    mp_connection *near_end, *far_end;

    ok(mp_pipe(&near_end, &far_end, NULL));
    ok(mp_connection_send(ours, MP_BOX(far_end)));
    expect_joined(far_end, near_end, value); /* the sender keeps its copy */
    ok(mp_connection_close(far_end));
    ok(mp_connection_send(near_end, MP_BOX(value)));
    cr_assert_eq(recv_int(near_end), value * 2);
    ok(mp_connection_close(near_end));
}

METHOD_TEST(connection_handles, work_both_ways_in_a_running_child)
{
    mp_connection *ours, *theirs;
    mp_process *child;
    size_t before;

    ok(mp_pipe(&ours, &theirs, NULL));
    child = support_start(method, double_over_what_comes, MP_ARGS(theirs));
    ok(mp_connection_close(theirs));
    use_over(ours, 21);
    before = support_open_handles();
    for (int i = 0; i < 20; i++)
        use_over(ours, i);
    cr_assert_eq(support_open_handles(), before);
    ok(mp_connection_close(ours));
    cr_assert_eq(support_finish(child), 0);
}

METHOD_TEST(connection_handles, come_from_a_child_that_ends)
{
    mp_connection *ours, *theirs, *end;
    mp_obj *message, *nothing;
    mp_process *child;

    ok(mp_pipe(&ours, &theirs, NULL));
    child = support_start(method, send_a_new_one, MP_ARGS(theirs));
    ok(mp_connection_close(theirs));
    cr_assert_eq(support_finish(child), 0);
    message = recv_connection(ours, &end);
    cr_assert_eq(recv_int(end), 5);
    cr_assert_eq(mp_connection_recv(end, &nothing), MP_EEOF);
    mp_obj_unref(message);
    ok(mp_connection_close(ours));
}

/* Else the end of file would wait for the child. */
METHOD_TEST(connection_handles, are_not_inherited_after_they_came)
{
    mp_connection *a, *b, *ours, *theirs, *near_end, *far_end, *copy;
    mp_obj *message, *nothing;
    mp_process *child;

    ok(mp_pipe(&a, &b, NULL));
    ok(mp_pipe(&near_end, &far_end, NULL));
    ok(mp_connection_send(a, MP_BOX(far_end)));
    ok(mp_connection_close(far_end));
    message = recv_connection(b, &copy);
    ok(mp_pipe(&ours, &theirs, NULL));
    child = support_start(method, stay, MP_ARGS(theirs));
    cr_assert_eq(recv_int(ours), 1);
    mp_obj_unref(message);
    cr_assert_eq(mp_connection_recv(near_end, &nothing), MP_EEOF);
    ok(mp_connection_send(ours, MP_NONE));
    cr_assert_eq(support_finish(child), 0);
    close_both(a, b);
    close_both(ours, theirs);
    ok(mp_connection_close(near_end));
}

METHOD_TEST(connection_handles, are_not_inherited_before_they_are_taken)
{
    mp_connection *a, *b, *ours, *theirs, *near_end, *far_end;
    mp_process *child;
    mp_obj *nothing;
    size_t size;
    char into[3];

    ok(mp_pipe(&a, &b, NULL));
    ok(mp_pipe(&near_end, &far_end, NULL));
    ok(mp_connection_send(a, MP_BOX(far_end)));
    ok(mp_connection_close(far_end));
    cr_assert_eq(mp_connection_recv_bytes_into(b, into, sizeof(into), &size),
                 MP_EOVERFLOW);
    ok(mp_pipe(&ours, &theirs, NULL));
    child = support_start(method, stay, MP_ARGS(theirs));
    cr_assert_eq(recv_int(ours), 1);
    close_both(a, b);
    cr_assert_eq(mp_connection_recv(near_end, &nothing), MP_EEOF);
    ok(mp_connection_send(ours, MP_NONE));
    cr_assert_eq(support_finish(child), 0);
    close_both(ours, theirs);
    ok(mp_connection_close(near_end));
}

/* -- In one message -------------------------------------------------------- */

static mp_obj *list_of(mp_connection **connections, size_t count)
{
    mp_obj *items[TOO_MANY];

    for (size_t i = 0; i < count; i++)
        items[i] = mp_obj_connection(connections[i]);
    return mp_obj_list(items, count);
}

static void open_many(mp_connection **connections, size_t count)
{
    support_allow_handles(2 * count + 100);
    for (size_t i = 0; i < count; i += 2)
        ok(mp_pipe(&connections[i], &connections[i + 1], NULL));
}

static void close_many(mp_connection **connections, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ok(mp_connection_close(connections[i]));
}

Test(connection_handles, two_hundred_travel_at_once)
{
    mp_connection *a, *b, *connections[MANY];
    mp_obj *message = NULL;
    size_t before;

    ok(mp_pipe(&a, &b, NULL));
    before = support_open_handles();
    open_many(connections, MANY);
    ok(mp_connection_send(a, list_of(connections, MANY)));
    close_many(connections, MANY);
    ok(mp_connection_recv(b, &message));
    for (size_t i = 0; i < MANY; i += 2) {
        mp_connection *ends[2];
        const mp_obj *item;

        for (size_t k = 0; k < 2; k++) {
            ok(mp_obj_item(message, (int64_t)(i + k), &item));
            ok(mp_obj_as_connection(item, &ends[k]));
        }
        expect_joined(ends[0], ends[1], (int64_t)i);
    }
    mp_obj_unref(message);
    cr_assert_eq(support_open_handles(), before);
    close_both(a, b);
}

Test(connection_handles, more_than_a_message_takes_are_refused)
{
    mp_connection *a, *b, *connections[TOO_MANY];

    ok(mp_pipe(&a, &b, NULL));
    open_many(connections, TOO_MANY);
    cr_assert_eq(mp_connection_send(a, list_of(connections, TOO_MANY)),
                 MP_EOVERFLOW);
    cr_assert_not_null(strstr(mp_error_message(), " handles are too many"));
    expect_joined(a, b, 1);
    close_many(connections, TOO_MANY);
    close_both(a, b);
}

Test(connection_handles, one_that_is_there_twice_arrives_as_one)
{
    mp_connection *a, *b, *c, *d, *first, *second;
    const mp_obj *items[2];
    mp_obj *message = NULL;
    size_t before;

    ok(mp_pipe(&a, &b, NULL));
    ok(mp_pipe(&c, &d, NULL));
    before = support_open_handles();
    ok(mp_connection_send(a, MP_LIST(d, MP_LIST(d))));
    ok(mp_connection_recv(b, &message));
    ok(mp_obj_item(message, 0, &items[0]));
    ok(mp_obj_item(message, 1, &items[1]));
    ok(mp_obj_item(items[1], 0, &items[1]));
    ok(mp_obj_as_connection(items[0], &first));
    ok(mp_obj_as_connection(items[1], &second));
    cr_assert_eq(first, second);
    expect_joined(first, c, 3);
    mp_obj_unref(message);
    cr_assert_eq(support_open_handles(), before);
    close_both(a, b);
    close_both(c, d);
}

Test(connection_handles, one_can_be_sent_through_itself)
{
    mp_connection *a, *b, *copy;
    mp_obj *message;

    ok(mp_pipe(&a, &b, NULL));
    ok(mp_connection_send(a, MP_BOX(a)));
    message = recv_connection(b, &copy);
    ok(mp_connection_close(a));
    expect_joined(copy, b, 8);
    expect_joined(b, copy, 9);
    mp_obj_unref(message);
    cr_assert_eq(mp_connection_recv(b, &message), MP_EEOF);
    ok(mp_connection_close(b));
}

/* -- Messages that nobody reads as objects --------------------------------- */

Test(connection_handles, are_closed_if_the_message_is_received_as_bytes)
{
    mp_connection *a, *b;
    char into[200];
    void *data;
    size_t size, before;

    ok(mp_pipe(&a, &b, NULL));
    before = support_open_handles();
    for (int i = 0; i < 5; i++) {
        ok(mp_connection_send(a, MP_LIST(a, b)));
        ok(mp_connection_recv_bytes(b, &data, &size));
        cr_assert_gt(size, 10U);
        mp_free(data);
        ok(mp_connection_send(a, MP_LIST(a, b)));
        ok(mp_connection_recv_bytes_into(b, into, sizeof(into), &size));
        cr_assert_eq(support_open_handles(), before);
    }
    expect_joined(a, b, 1);
    close_both(a, b);
}

Test(connection_handles, stay_with_a_message_that_is_kept)
{
    mp_connection *a, *b, *c, *d, *copy;
    mp_obj *message;
    size_t size, before;
    char into[3];

    ok(mp_pipe(&a, &b, NULL));
    ok(mp_pipe(&c, &d, NULL));
    before = support_open_handles();
    ok(mp_connection_send(a, MP_BOX(d)));
    for (int i = 0; i < 3; i++)
        cr_assert_eq(
            mp_connection_recv_bytes_into(b, into, sizeof(into), &size),
            MP_EOVERFLOW);
    message = recv_connection(b, &copy);
    expect_joined(copy, c, 4);
    mp_obj_unref(message);
    cr_assert_eq(support_open_handles(), before);
    close_both(a, b);
    close_both(c, d);
}

Test(connection_handles, are_closed_with_a_connection_that_keeps_them)
{
    mp_connection *a, *b;
    size_t size, before;
    char into[3];

    ok(mp_pipe(&a, &b, NULL));
    close_both(a, b);
    before = support_open_handles();
    for (int i = 0; i < 5; i++) {
        ok(mp_pipe(&a, &b, NULL));
        ok(mp_connection_send(a, MP_LIST(a, b)));
        cr_assert_eq(
            mp_connection_recv_bytes_into(b, into, sizeof(into), &size),
            MP_EOVERFLOW);
        close_both(a, b);
        cr_assert_eq(support_open_handles(), before);
    }
}

/* -- Threads --------------------------------------------------------------- */

enum { ROUNDS = 300 };

typedef struct sender {
    mp_connection *way;
    mp_connection *passed; /* NULL: a number is sent */
    mp_error result;
    mpos_thread thread;
} sender;

static void send_rounds(void *argument)
{
    sender *it = argument;

    for (int i = 0; i < ROUNDS && it->result == MP_OK; i++)
        it->result = mp_connection_send(
            it->way, it->passed == NULL ? MP_BOX(i) : MP_BOX(it->passed));
}

/* Whether a connection came, which takes a number to c. */
static bool check_one(mp_connection *from, mp_connection *c)
{
    mp_connection *copy;
    mp_obj *message = NULL;
    int64_t number;
    bool is_connection;

    ok(mp_connection_recv(from, &message));
    is_connection = mp_obj_as_connection(message, &copy) == MP_OK;
    if (is_connection)
        expect_joined(copy, c, 6);
    else
        ok(mp_obj_as_int(message, &number));
    mp_obj_unref(message);
    return is_connection;
}

Test(connection_handles, keep_to_their_message_when_threads_mix)
{
    mp_connection *a, *b, *c, *d;
    sender senders[2];
    int connections = 0;

    ok(mp_pipe(&a, &b, NULL));
    ok(mp_pipe(&c, &d, NULL));
    for (int i = 0; i < 2; i++) {
        senders[i] = (sender){.way = a, .passed = i == 0 ? NULL : d};
        ok(mpos_thread_start(send_rounds, &senders[i], &senders[i].thread));
    }
    for (int i = 0; i < 2 * ROUNDS; i++)
        connections += check_one(b, c);
    cr_assert_eq(connections, ROUNDS);
    for (int i = 0; i < 2; i++) {
        mpos_thread_join(senders[i].thread);
        ok(senders[i].result);
    }
    close_both(a, b);
    close_both(c, d);
}

/* -- What carries none ----------------------------------------------------- */

Test(connection_handles, one_way_pipe_refuses_them_with_a_sentence)
{
    mp_pipe_options options = {.is_simplex = true};
    mp_connection *reader, *writer;

    ok(mp_pipe(&reader, &writer, &options));
    cr_assert_eq(mp_connection_send(writer, MP_BOX(reader)), MP_EPICKLE);
    cr_assert_str_eq(mp_error_message(), "can't pickle Connection: this pipe "
                                         "carries no handles");
    expect_joined(writer, reader, 1);
    close_both(reader, writer);
}

Test(connection_handles, bytes_carry_none)
{
    mp_connection *a, *b;
    void *data = NULL;
    size_t size = 0;
    mp_obj *obj;

    ok(mp_pipe(&a, &b, NULL));
    obj = MP_BOX(b);
    cr_assert_eq(mp_pickle_dumps(obj, &data, &size), MP_EPICKLE);
    cr_assert_null(data);
    mp_obj_unref(obj);
    close_both(a, b);
}

Test(connection_handles, message_that_lacks_them_costs_only_itself)
{
    static const char forged[] =
        "cmultiproc\nConnection\n(I0\nI01\nI01\nI0\nNtR.";
    mp_connection *a, *b;
    mp_obj *obj = NULL;

    ok(mp_pipe(&a, &b, NULL));
    ok(mp_connection_send_bytes(a, forged, sizeof(forged) - 1));
    cr_assert_eq(mp_connection_recv(b, &obj), MP_EUNPICKLE);
    cr_assert_str_eq(mp_error_message(), "handle 0 did not come along");
    expect_joined(a, b, 1);
    close_both(a, b);
}
