/* SPDX-License-Identifier: MIT */
/* Pipes: objects and bytes, both directions, ends, wrong use. */
#include "support/check.h"
#include "support/methods.h"

#include "os.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { LARGE = 300 * 1000 }; /* more than any pipe holds */

/* -- Targets --------------------------------------------------------------- */

/* Sends back whatever arrives until the end of file. */
static int echo(mp_args *args)
{
    mp_connection *connection = mp_arg_connection(args, 0);
    void *data;
    size_t size;
    mp_error err;

    while ((err = mp_connection_recv_bytes(connection, &data, &size)) ==
           MP_OK) {
        mp_check(mp_connection_send_bytes(connection, data, size));
        mp_free(data);
    }
    return err == MP_EEOF ? 0 : 1;
}

static int send_and_leave(mp_args *args)
{
    mp_connection *connection = mp_arg_connection(args, 0);

    mp_check(mp_connection_send(connection, MP_LIST(42, MP_NONE, "hello")));
    mp_check(mp_connection_send(connection, MP_BOX("bye")));
    mp_check(mp_connection_close(connection));
    return 0;
}

/* -- Helpers --------------------------------------------------------------- */

static void make_pipe(mp_connection **first, mp_connection **second)
{
    cr_assert_eq(mp_pipe(first, second, NULL), MP_OK);
}

static void make_stream(mp_connection **first, mp_connection **second)
{
    const mp_pipe_options options = {.is_stream = true};

    cr_assert_eq(mp_pipe(first, second, &options), MP_OK);
}

static void close_both(mp_connection *first, mp_connection *second)
{
    cr_assert_eq(mp_connection_close(first), MP_OK);
    cr_assert_eq(mp_connection_close(second), MP_OK);
}

static void expect_repr(mp_connection *connection, const char *expected)
{
    mp_obj *obj;
    char *text;

    cr_assert_eq(mp_connection_recv(connection, &obj), MP_OK, "%s",
                 mp_error_message());
    cr_assert_eq(mp_obj_repr(obj, &text), MP_OK);
    cr_assert_str_eq(text, expected);
    mp_free(text);
    mp_obj_unref(obj);
}

/* Bytes straight onto the wire, past the framing. */
static void write_raw(mp_connection *connection, const void *data, size_t size)
{
    mpos_bytes part = {data, size};
    size_t written;
    intptr_t handle;

    cr_assert_eq(mp_connection_fileno(connection, &handle), MP_OK);
    cr_assert_eq(mpos_write(handle, &part, 1, &written), MP_OK);
    cr_assert_eq(written, size);
}

/* The same end twice is one connection. */
static int compare_ends(mp_args *args)
{
    mp_connection *first = mp_arg_connection(args, 0);

    if (mp_arg_connection(args, 1) != first ||
        mp_kwarg_connection(args, "again", NULL) != first)
        return 1;
    mp_check(mp_connection_send(first, MP_BOX("once")));
    return 0;
}

/* -- Objects and bytes ----------------------------------------------------- */

METHOD_TEST(connection, child_sends_objects_until_it_closes)
{
    mp_connection *ours, *theirs;
    mp_process *child;
    mp_obj *obj = NULL;

    make_pipe(&ours, &theirs);
    child = support_start(method, send_and_leave, MP_ARGS(theirs));
    mp_connection_close(theirs);
    expect_repr(ours, "[42, None, 'hello']");
    expect_repr(ours, "'bye'");
    cr_assert_eq(mp_connection_recv(ours, &obj), MP_EEOF);
    cr_assert_null(obj, "untouched on failure");
    cr_assert_eq(support_finish(child), 0);
    mp_connection_close(ours);
}

METHOD_TEST(connection, messages_of_every_size_come_back_whole)
{
    static const size_t sizes[] = {0,     1,     4095,  4096,
                                   16384, 16385, 65536, LARGE};
    unsigned char *sent = malloc(LARGE);
    mp_connection *ours, *theirs;
    mp_process *child;

    for (size_t i = 0; i < LARGE; i++)
        sent[i] = (unsigned char)(i * 7 + i / 251);
    make_pipe(&ours, &theirs);
    child = support_start(method, echo, MP_ARGS(theirs));
    mp_connection_close(theirs);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        void *data;
        size_t size;

        cr_assert_eq(mp_connection_send_bytes(ours, sent, sizes[i]), MP_OK);
        cr_assert_eq(mp_connection_recv_bytes(ours, &data, &size), MP_OK);
        cr_assert_eq(size, sizes[i]);
        cr_assert(size == 0 || memcmp(data, sent, size) == 0);
        mp_free(data);
    }
    mp_connection_close(ours);
    cr_assert_eq(support_finish(child), 0);
    free(sent);
}

METHOD_TEST(connection, can_be_an_argument_twice)
{
    mp_process_options options = {.start_method = method};
    mp_connection *ours, *theirs;
    mp_process *child;

    make_pipe(&ours, &theirs);
    options.kwargs = MP_KWARGS("again", theirs);
    cr_assert_eq(mp_process_create(&child, compare_ends,
                                   MP_ARGS(theirs, theirs), &options),
                 MP_OK);
    cr_assert_eq(mp_process_start(child), MP_OK, "%s", mp_error_message());
    mp_connection_close(theirs);
    expect_repr(ours, "'once'");
    cr_assert_eq(support_finish(child), 0);
    mp_connection_close(ours);
}

Test(connection, both_directions_are_independent)
{
    mp_connection *a, *b;

    make_pipe(&a, &b);
    cr_assert_eq(mp_connection_send(a, MP_BOX(1)), MP_OK);
    cr_assert_eq(mp_connection_send(b, MP_BOX(2)), MP_OK);
    expect_repr(a, "2");
    expect_repr(b, "1");
    close_both(a, b);
}

Test(connection, simplex_end_refuses_the_other_direction)
{
    mp_pipe_options options = {.is_simplex = true};
    mp_connection *reader, *writer;
    mp_obj *obj;

    cr_assert_eq(mp_pipe(&reader, &writer, &options), MP_OK);
    cr_assert(mp_connection_is_readable(reader));
    cr_assert_not(mp_connection_is_writable(reader));
    cr_assert_not(mp_connection_is_readable(writer));
    cr_assert(mp_connection_is_writable(writer));
    cr_assert_eq(mp_connection_send(reader, MP_BOX(1)), MP_EINVAL);
    cr_assert_str_eq(mp_error_message(), "the connection only receives: send "
                                         "on its other end");
    cr_assert_eq(mp_connection_recv(writer, &obj), MP_EINVAL);
    cr_assert_str_eq(mp_error_message(), "the connection only sends: receive "
                                         "on its other end");
    cr_assert_eq(mp_connection_send(writer, MP_BOX(1)), MP_OK);
    expect_repr(reader, "1");
    close_both(reader, writer);
}

Test(connection, frame_is_cpythons)
{
    static const unsigned char expected[] = {0, 0, 0, 5, 0x80, 4, 'K', 5, '.'};
    unsigned char wire[sizeof(expected)];
    mp_connection *a, *b;
    intptr_t handle;
    size_t got;

    make_pipe(&a, &b);
    cr_assert_eq(mp_connection_send(a, MP_BOX(5)), MP_OK);
    cr_assert_eq(mp_connection_fileno(b, &handle), MP_OK);
    cr_assert_eq(mpos_read(handle, wire, sizeof(wire), &got), MP_OK);
    cr_assert_eq(got, sizeof(expected));
    cr_assert_arr_eq(wire, expected, sizeof(expected));
    close_both(a, b);
}

/* -- Receiving into the caller's memory ------------------------------------ */

Test(connection, message_that_does_not_fit_is_kept_for_the_next_call)
{
    char small[3], large[10];
    mp_connection *a, *b;
    size_t size = 0;

    make_pipe(&a, &b);
    cr_assert_eq(mp_connection_send_bytes(a, "hello", 5), MP_OK);
    cr_assert_eq(mp_connection_send_bytes(a, "x", 1), MP_OK);
    cr_assert_eq(mp_connection_recv_bytes_into(b, small, 3, &size),
                 MP_EOVERFLOW);
    cr_assert_eq(size, 5);
    cr_assert_eq(mp_connection_recv_bytes_into(b, large, 10, &size), MP_OK);
    cr_assert_eq(size, 5);
    cr_assert_eq(memcmp(large, "hello", 5), 0);
    cr_assert_eq(mp_connection_recv_bytes_into(b, small, 3, &size), MP_OK);
    cr_assert_eq(size, 1);
    close_both(a, b);
}

/* -- Ends ------------------------------------------------------------------ */

Test(connection, end_of_file_comes_after_what_was_sent)
{
    mp_connection *a, *b;
    mp_obj *obj;

    make_pipe(&a, &b);
    cr_assert_eq(mp_connection_send(a, MP_BOX("last")), MP_OK);
    cr_assert_eq(mp_connection_close(a), MP_OK);
    expect_repr(b, "'last'");
    cr_assert_eq(mp_connection_recv(b, &obj), MP_EEOF);
    cr_assert_eq(mp_connection_recv(b, &obj), MP_EEOF);
    cr_assert_eq(mp_connection_close(b), MP_OK);
}

Test(connection, sending_to_nobody_is_a_broken_pipe_and_no_signal)
{
    mp_connection *a, *b;

    make_pipe(&a, &b);
    cr_assert_eq(mp_connection_close(b), MP_OK);
    cr_assert_eq(mp_connection_send(a, MP_BOX(1)), MP_EPIPE);
    cr_assert_eq(mp_connection_close(a), MP_OK);
}

Test(connection, message_cut_short_is_an_error_and_no_empty_message)
{
    static const unsigned char cut[] = {0, 0, 0, 9, 'a', 'b'};
    mp_connection *a, *b;
    void *data = NULL;
    size_t size;

    make_stream(&a, &b);
    write_raw(a, cut, sizeof(cut));
    cr_assert_eq(mp_connection_close(a), MP_OK);
    cr_assert_eq(mp_connection_recv_bytes(b, &data, &size), MP_EPROTO);
    cr_assert_eq(mp_connection_recv_bytes(b, &data, &size), MP_EPROTO);
    cr_assert_null(data);
    cr_assert_eq(mp_connection_close(b), MP_OK);
}

Test(connection, end_of_file_right_after_a_header_is_an_error)
{
    static const unsigned char header[] = {0, 0, 0, 9};
    mp_connection *a, *b;
    void *data;
    size_t size;

    make_stream(&a, &b);
    write_raw(a, header, sizeof(header));
    cr_assert_eq(mp_connection_close(a), MP_OK);
    cr_assert_eq(mp_connection_recv_bytes(b, &data, &size), MP_EPROTO);
    cr_assert_eq(mp_connection_close(b), MP_OK);
}

Test(connection, negative_size_is_refused)
{
    static const unsigned char header[] = {0xff, 0xff, 0xff, 0xfe, 'a'};
    mp_connection *a, *b;
    void *data;
    size_t size;

    make_stream(&a, &b);
    write_raw(a, header, sizeof(header));
    cr_assert_eq(mp_connection_recv_bytes(b, &data, &size), MP_EPROTO);
    cr_assert_not_null(strstr(mp_error_message(), "negative size"));
    close_both(a, b);
}

Test(connection, huge_size_takes_no_memory_before_the_bytes_arrive)
{
    static const unsigned char header[] = {
        0xff, 0xff, 0xff, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 'a'};
    mp_connection *a, *b;
    void *data;
    size_t size;

    make_stream(&a, &b);
    write_raw(a, header, sizeof(header));
    cr_assert_eq(mp_connection_close(a), MP_OK);
    cr_assert_eq(mp_connection_recv_bytes(b, &data, &size), MP_EPROTO);
    cr_assert_eq(mp_connection_close(b), MP_OK);
}

Test(connection, message_that_is_no_pickle_costs_only_itself)
{
    mp_connection *a, *b;
    mp_obj *obj;

    make_pipe(&a, &b);
    cr_assert_eq(mp_connection_send_bytes(a, "junk", 4), MP_OK);
    cr_assert_eq(mp_connection_send(a, MP_BOX(3)), MP_OK);
    cr_assert_eq(mp_connection_recv(b, &obj), MP_EUNPICKLE);
    expect_repr(b, "3");
    close_both(a, b);
}

/* -- Wrong use ------------------------------------------------------------- */

Test(connection, answers_closed_after_close)
{
    mp_connection *a, *b;
    mp_obj *obj;
    intptr_t handle;
    size_t size;
    char byte[1];

    make_pipe(&a, &b);
    close_both(a, b);
    cr_assert(mp_connection_is_closed(a));
    cr_assert_eq(mp_connection_send(a, MP_BOX(1)), MP_ECLOSED);
    cr_assert_eq(mp_connection_recv(a, &obj), MP_ECLOSED);
    cr_assert_eq(mp_connection_fileno(a, &handle), MP_ECLOSED);
    cr_assert_eq(mp_connection_send_bytes(a, "", 1), MP_ECLOSED);
    cr_assert_eq(mp_connection_recv_bytes_into(a, byte, 1, &size), MP_ECLOSED);
    cr_assert_eq(mp_connection_close(a), MP_ECLOSED);
    cr_assert_eq(mp_connection_close(NULL), MP_OK);
}

Test(connection, without_a_place_nothing_is_received)
{
    mp_connection *a, *b;
    void *data = NULL;
    size_t size;
    char byte;

    cr_assert_eq(mp_pipe(NULL, &b, NULL), MP_EINVAL);
    make_pipe(&a, &b);
    cr_assert_eq(mp_connection_fileno(a, NULL), MP_EINVAL);
    cr_assert_eq(mp_connection_send_bytes(a, NULL, 1), MP_EINVAL);
    cr_assert_eq(mp_connection_send(a, mp_obj_connection(NULL)), MP_OK);
    cr_assert_eq(mp_connection_recv(b, NULL), MP_EINVAL);
    cr_assert_eq(mp_connection_recv_bytes(b, NULL, &size), MP_EINVAL);
    cr_assert_eq(mp_connection_recv_bytes(b, &data, NULL), MP_EINVAL);
    cr_assert_eq(mp_connection_recv_bytes_into(b, NULL, 1, &size), MP_EINVAL);
    cr_assert_eq(mp_connection_recv_bytes_into(b, &byte, 1, NULL), MP_EINVAL);
    cr_assert_null(data);
    expect_repr(b, "None");
    close_both(a, b);
}

METHOD_TEST(connection, closed_one_cannot_be_an_argument)
{
    mp_process_options options = {.start_method = method};
    mp_connection *a, *b;
    mp_process *child;
    mp_obj *args;

    make_pipe(&a, &b);
    args = MP_ARGS(a);
    close_both(a, b);
    cr_assert_eq(mp_process_create(&child, echo, args, &options), MP_OK);
    cr_assert_eq(mp_process_start(child), MP_EPICKLE);
    cr_assert_not_null(strstr(mp_error_message(), "closed"));
    cr_assert_eq(mp_process_close(child), MP_OK);
    cr_assert_eq(mp_process_create(&child, echo, MP_ARGS(a), &options),
                 MP_ECLOSED);
}

static mp_connection *inherited;

static int use_inherited(mp_args *args)
{
    mp_obj *obj;

    if (mp_connection_send(inherited, MP_BOX(1)) != MP_ECLOSED ||
        strstr(mp_error_message(), "not passed") == NULL ||
        mp_connection_recv(inherited, &obj) != MP_ECLOSED)
        return 1;
    return mp_arg_connection(args, 0) != NULL ? 0 : 2;
}

Test(connection, that_was_not_passed_to_a_forked_child_is_closed_there)
{
    mp_start_method method = support_method(MP_START_FORK);
    mp_connection *theirs, *a, *b;

    make_pipe(&inherited, &theirs);
    make_pipe(&a, &b);
    cr_assert_eq(support_run(method, use_inherited, MP_ARGS(a)), 0);
    close_both(inherited, theirs);
    close_both(a, b);
}

static void receive_one(void *argument)
{
    expect_repr(argument, "'for the thread'");
}

static int send_one(mp_args *args)
{
    mp_check(mp_connection_send(mp_arg_connection(args, 0),
                                MP_BOX("from the child")));
    return 0;
}

Test(connection, that_a_thread_waits_at_can_be_passed_to_a_forked_child)
{
    mp_start_method method = support_method(MP_START_FORK);
    mp_connection *a, *b;
    mpos_thread thread;

    make_pipe(&a, &b);
    cr_assert_eq(mpos_thread_start(receive_one, a, &thread), MP_OK);
    mp_sleep(0.1);
    cr_assert_eq(support_run(method, send_one, MP_ARGS(a)), 0);
    expect_repr(b, "'from the child'");
    cr_assert_eq(mp_connection_send(b, MP_BOX("for the thread")), MP_OK);
    mpos_thread_join(thread);
    close_both(a, b);
}

Test(connection, leaves_no_handle_behind)
{
    size_t before = 0;
    mp_connection *a, *b;

    for (int i = 0; i < 100; i++) {
        make_pipe(&a, &b);
        cr_assert_eq(mp_connection_send(a, MP_BOX(i)), MP_OK);
        close_both(a, b);
        if (i == 0)
            before = support_open_handles();
    }
    cr_assert_eq(support_open_handles(), before);
}
