/* SPDX-License-Identifier: MIT */
/* poll() says yes only when recv() will not block; and limits on a message. */
#include "support/check.h"
#include "support/expect.h"
#include "support/methods.h"
#include "support/system.h"

#include "os.h"

#include <stdlib.h>
#include <string.h>

enum { LARGE = 2000 * 1000, MESSAGES = 2000 };

/* -- Helpers --------------------------------------------------------------- */

static void close_both(mp_connection *first, mp_connection *second)
{
    ok(mp_connection_close(first));
    ok(mp_connection_close(second));
}

/* What is written past the framing comes in the same pieces. */
static const mp_pipe_options as_stream = {.is_stream = true};

/* Bytes straight onto the wire, past the framing. */
static void write_raw(mp_connection *connection, const void *data, size_t size)
{
    mpos_bytes part = {data, size};
    size_t written;
    intptr_t handle;

    ok(mp_connection_fileno(connection, &handle));
    ok(mpos_write(handle, &part, 1, &written));
    cr_assert_eq(written, size);
}

static void expect_bytes(mp_connection *from, const char *text)
{
    void *data;
    size_t size;

    ok(mp_connection_recv_bytes(from, &data, &size));
    cr_assert_eq(size, strlen(text));
    cr_assert_str_eq(data, text);
    mp_free(data);
}

/* -- Targets --------------------------------------------------------------- */

static int send_large_slowly(mp_args *args)
{
    mp_connection *to = mp_arg_connection(args, 0);
    char *data = calloc(1, LARGE);

    mp_check(data != NULL ? MP_OK : MP_ENOMEM);
    mp_check(mp_connection_send_bytes(to, data, LARGE));
    free(data);
    return 0;
}

static int leave(mp_args *args)
{
    (void)args;
    return 0;
}

/* -- Looking --------------------------------------------------------------- */

Test(poll, finds_a_whole_message_and_leaves_it_to_recv)
{
    mp_connection *a, *b;

    ok(mp_pipe(&a, &b, NULL));
    cr_assert_eq(mp_connection_poll(b, 0), MP_TIMED_OUT);
    cr_assert_eq(mp_connection_poll(b, -1), MP_TIMED_OUT);
    ok(mp_connection_send_bytes(a, "one", 3));
    ok(mp_connection_send_bytes(a, "two", 3));
    for (int i = 0; i < 3; i++)
        ok(mp_connection_poll(b, 0));
    expect_bytes(b, "one");
    ok(mp_connection_poll(b, MP_FOREVER));
    expect_bytes(b, "two");
    cr_assert_eq(mp_connection_poll(b, 0), MP_TIMED_OUT);
    close_both(a, b);
}

Test(poll, says_no_to_any_part_of_a_message)
{
    static const unsigned char frame[] = {0, 0, 0, 3, 'a', 'b', 'c'};
    mp_connection *a, *b;

    ok(mp_pipe(&a, &b, &as_stream));
    for (size_t i = 0; i < sizeof(frame); i++) {
        cr_assert_eq(mp_connection_poll(b, i == 2 ? 0.02 : 0), MP_TIMED_OUT);
        write_raw(a, frame + i, 1);
    }
    ok(mp_connection_poll(b, 0));
    expect_bytes(b, "abc");
    close_both(a, b);
}

Test(poll, finds_an_empty_message)
{
    mp_connection *a, *b;

    ok(mp_pipe(&a, &b, NULL));
    ok(mp_connection_send_bytes(a, NULL, 0));
    ok(mp_connection_poll(b, 0));
    expect_bytes(b, "");
    close_both(a, b);
}

Test(poll, says_yes_at_the_end_of_file)
{
    mp_connection *a, *b;
    void *data;
    size_t size;

    ok(mp_pipe(&a, &b, NULL));
    ok(mp_connection_close(a));
    for (int i = 0; i < 2; i++) {
        ok(mp_connection_poll(b, 0));
        cr_assert_eq(mp_connection_recv_bytes(b, &data, &size), MP_EEOF);
    }
    ok(mp_connection_close(b));
}

Test(poll, says_yes_when_a_message_was_cut_short)
{
    mp_connection *a, *b;
    void *data;
    size_t size;

    ok(mp_pipe(&a, &b, &as_stream));
    write_raw(a, "\0\0\0\x09xy", 6);
    cr_assert_eq(mp_connection_poll(b, 0), MP_TIMED_OUT);
    ok(mp_connection_close(a));
    ok(mp_connection_poll(b, 0));
    cr_assert_eq(mp_connection_recv_bytes(b, &data, &size), MP_EPROTO);
    ok(mp_connection_poll(b, 0));
    ok(mp_connection_close(b));
}

METHOD_TEST(poll, waits_for_a_message_larger_than_the_pipe)
{
    mp_connection *ours, *theirs;
    mp_process *child;
    size_t size = 0;
    char *data = malloc(LARGE);

    ok(mp_pipe(&ours, &theirs, NULL));
    child = support_start(method, send_large_slowly, MP_ARGS(theirs));
    ok(mp_connection_close(theirs));
    ok(mp_connection_poll(ours, MP_FOREVER));
    /* It has been read: nobody sends any more. */
    cr_assert_eq(support_finish(child), 0);
    ok(mp_connection_recv_bytes_into(ours, data, LARGE, &size));
    cr_assert_eq(size, LARGE);
    ok(mp_connection_poll(ours, 0));
    cr_assert_eq(mp_connection_recv_bytes_into(ours, data, LARGE, &size),
                 MP_EEOF);
    ok(mp_connection_close(ours));
    free(data);
}

Test(poll, refuses_wrong_use)
{
    mp_pipe_options options = {.is_simplex = true};
    mp_connection *reader, *writer;

    ok(mp_pipe(&reader, &writer, &options));
    cr_assert_eq(mp_connection_poll(writer, 0), MP_EINVAL);
    cr_assert_eq(mp_connection_poll(NULL, 0), MP_EINVAL);
    ok(mp_connection_send_bytes(writer, "x", 1));
    ok(mp_connection_poll(reader, 0));
    close_both(reader, writer);
    cr_assert_eq(mp_connection_poll(reader, 0), MP_ECLOSED);
}

Test(poll, message_that_was_found_is_freed_with_the_connection)
{
    mp_connection *a, *b;

    ok(mp_pipe(&a, &b, NULL));
    ok(mp_connection_send_bytes(a, "forgotten", 9));
    ok(mp_connection_poll(b, 0));
    close_both(a, b);
}

METHOD_TEST(poll, connection_with_a_message_that_was_found_is_not_passed_on)
{
    mp_process_options options = {.start_method = method};
    mp_connection *a, *b;
    mp_process *child;

    ok(mp_pipe(&a, &b, NULL));
    ok(mp_connection_send_bytes(a, "mine", 4));
    ok(mp_connection_poll(b, 0));
    ok(mp_process_create(&child, leave, MP_ARGS(b), &options));
    cr_assert_eq(mp_process_start(child), MP_EPICKLE);
    cr_assert_not_null(strstr(mp_error_message(), "still to be received"));
    expect_bytes(b, "mine");
    ok(mp_process_start(child));
    cr_assert_eq(support_finish(child), 0);
    close_both(a, b);
}

/* -- Limits ---------------------------------------------------------------- */

Test(limit, message_that_is_longer_is_not_lost)
{
    mp_connection *a, *b;
    void *data = NULL;
    size_t size = 77;

    ok(mp_pipe(&a, &b, NULL));
    ok(mp_connection_send_bytes(a, "hello", 5));
    ok(mp_connection_send_bytes(a, "next", 4));
    cr_assert_eq(mp_connection_recv_bytes_max(b, 4, &data, &size),
                 MP_EOVERFLOW);
    cr_assert_null(data);
    cr_assert_eq(size, 77);
    ok(mp_connection_poll(b, 0));
    cr_assert_eq(mp_connection_recv_bytes_max(b, 4, &data, &size),
                 MP_EOVERFLOW);
    ok(mp_connection_recv_bytes_max(b, 5, &data, &size));
    cr_assert_eq(size, 5);
    cr_assert_str_eq(data, "hello");
    mp_free(data);
    expect_bytes(b, "next");
    close_both(a, b);
}

Test(limit, message_that_is_longer_takes_no_memory)
{
    static const unsigned char header[] = {0x7f, 0xff, 0xff, 0xff};
    mp_connection *a, *b;
    void *data;
    size_t size;

    ok(mp_pipe(&a, &b, &as_stream));
    write_raw(a, header, sizeof(header));
    cr_assert_eq(mp_connection_recv_bytes_max(b, 1000, &data, &size),
                 MP_EOVERFLOW);
    cr_assert_eq(mp_connection_recv_bytes_into(b, NULL, 0, &size),
                 MP_EOVERFLOW);
    cr_assert_eq(size, INT32_MAX);
    cr_assert_eq(mp_connection_poll(b, 0), MP_TIMED_OUT);
    close_both(a, b);
}

Test(limit, object_that_was_too_long_as_bytes_is_received_as_object)
{
    mp_connection *a, *b;
    void *data;
    size_t size;
    mp_obj *obj;

    ok(mp_pipe(&a, &b, NULL));
    ok(mp_connection_send(a, MP_LIST("abc", 7)));
    cr_assert_eq(mp_connection_recv_bytes_max(b, 2, &data, &size),
                 MP_EOVERFLOW);
    ok(mp_connection_recv(b, &obj));
    cr_assert_eq(mp_obj_type(obj), MP_TYPE_LIST);
    mp_obj_unref(obj);
    close_both(a, b);
}

/* -- Threads --------------------------------------------------------------- */

typedef struct receiver {
    mp_connection *from;
    mpi_atomic32 count; /* of messages it has received */
} receiver;

static void receive_all(void *argument)
{
    receiver *self = argument;
    void *data;
    size_t size;

    while (mp_connection_recv_bytes(self->from, &data, &size) == MP_OK) {
        mpi_atomic32_add(&self->count, 1);
        mp_free(data);
    }
}

static void await(const mpi_atomic32 *flag)
{
    while (mpi_atomic32_load(flag) == 0)
        mpos_sleep_until(mpos_now() + 1000000);
}

Test(poll, keeps_its_time_while_another_thread_receives)
{
    receiver other = {0};
    mp_connection *a, *b;
    mpos_thread thread;
    int64_t began;

    ok(mp_pipe(&a, &b, NULL));
    other.from = b;
    ok(mpos_thread_start(receive_all, &other, &thread));
    ok(mp_connection_send_bytes(a, "x", 1));
    await(&other.count); /* soon it waits for the next one */
    began = mpos_now();
    cr_assert_eq(mp_connection_poll(b, 0.05), MP_TIMED_OUT);
    cr_assert_geq(mpos_now() - began, 50000000);
    ok(mp_connection_close(a));
    mpos_thread_join(thread);
    ok(mp_connection_close(b));
}

Test(poll, loses_nothing_beside_threads_that_receive)
{
    receiver other = {0};
    mp_connection *a, *b;
    mpos_thread thread;

    ok(mp_pipe(&a, &b, NULL));
    other.from = b;
    ok(mpos_thread_start(receive_all, &other, &thread));
    for (int i = 0; i < MESSAGES; i++) {
        ok(mp_connection_send_bytes(a, "message", 7));
        cr_assert_geq(mp_connection_poll(b, 0), MP_OK);
    }
    ok(mp_connection_close(a));
    mpos_thread_join(thread);
    cr_assert_eq(mpi_atomic32_load(&other.count), MESSAGES);
    ok(mp_connection_close(b));
}
