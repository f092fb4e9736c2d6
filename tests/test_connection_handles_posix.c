/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that go along with messages: a peer that means harm, a process
 * that has no room for them, a receiver that is killed.
 */
#include "support/check.h"
#include "support/expect.h"
#include "support/methods.h"
#include "support/system.h"

#include "os.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    LARGE = 3 * 1000 * 1000, /* far more than a pipe holds */
    MOST = 252,              /* at once; Linux takes 253, musl 252 */
};

/* -- Helpers --------------------------------------------------------------- */

static int descriptor_of(mp_connection *connection)
{
    intptr_t handle = -1;

    ok(mp_connection_fileno(connection, &handle));
    return (int)handle;
}

static void close_both(mp_connection *first, mp_connection *second)
{
    ok(mp_connection_close(first));
    ok(mp_connection_close(second));
}

static void expect_joined(mp_connection *from, mp_connection *to, int64_t sent)
{
    mp_obj *obj = NULL;
    int64_t number = 0;

    ok(mp_connection_send(from, MP_BOX(sent)));
    ok(mp_connection_recv(to, &obj));
    ok(mp_obj_as_int(obj, &number));
    cr_assert_eq(number, sent);
    mp_obj_unref(obj);
}

static void expect_end(mp_connection *connection)
{
    mp_obj *obj = NULL;

    cr_assert_eq(mp_connection_recv(connection, &obj), MP_EEOF);
}

/* Bytes with count copies of standard error, past connection.h. */
static void send_raw(mp_connection *way, const void *data, size_t size,
                     size_t count)
{
    union {
        struct cmsghdr aligned;
        unsigned char bytes[CMSG_SPACE(sizeof(int) * MOST)];
    } space;
    struct iovec part = {(void *)(uintptr_t)data, size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    const int passed = STDERR_FILENO;

    if (count > 0) {
        struct cmsghdr *rights;

        memset(&space, 0, sizeof(space));
        message.msg_control = space.bytes;
        message.msg_controllen = (socklen_t)CMSG_SPACE(sizeof(int) * count);
        rights = CMSG_FIRSTHDR(&message);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = (socklen_t)CMSG_LEN(sizeof(int) * count);
        for (size_t i = 0; i < count; i++)
            memcpy(CMSG_DATA(rights) + i * sizeof(int), &passed, sizeof(int));
    }
    cr_assert_eq(sendmsg(descriptor_of(way), &message, 0), (ssize_t)size);
}

/* -- A peer that means harm ------------------------------------------------ */

Test(connection_harm, descriptors_that_nobody_expects_are_closed)
{
    static const char frame[] = "\0\0\0\x05\x80\x04K\x05.";
    mp_connection *a, *b;
    size_t before;

    ok(mp_pipe(&a, &b, NULL));
    before = support_open_handles();
    for (size_t count = 1; count < 20; count++) {
        mp_obj *obj = NULL;

        send_raw(a, frame, 9, count);
        ok(mp_connection_recv(b, &obj));
        mp_obj_unref(obj);
        cr_assert_eq(support_open_handles(), before);
    }
    close_both(a, b);
}

Test(connection_harm, descriptors_in_the_middle_of_a_frame_are_closed)
{
    static const char frame[] = "\0\0\0\x05\x80\x04K\x05.";
    const mp_pipe_options options = {.is_stream = true};
    mp_connection *a, *b;
    size_t before;

    ok(mp_pipe(&a, &b, &options));
    before = support_open_handles();
    for (size_t cut = 1; cut < 9; cut++) {
        mp_obj *obj = NULL;

        send_raw(a, frame, cut, 0);
        send_raw(a, frame + cut, 9 - cut, 3);
        ok(mp_connection_recv(b, &obj));
        mp_obj_unref(obj);
        cr_assert_eq(support_open_handles(), before);
        expect_joined(a, b, 1);
    }
    close_both(a, b);
}

Test(connection_harm, more_descriptors_than_a_message_takes_cost_only_it)
{
    static const char frame[] = "\0\0\0\x05\x80\x04K\x05.";
    mp_connection *a, *b;
    mp_obj *obj = NULL;
    size_t before;
    void *data;
    size_t size;

    support_allow_handles(2 * MOST);
    ok(mp_pipe(&a, &b, NULL));
    before = support_open_handles();
    send_raw(a, frame, 9, MOST);
    cr_assert_eq(mp_connection_recv(b, &obj), MP_EMFILE);
    cr_assert_str_not_empty(mp_error_message());
    cr_assert_eq(support_open_handles(), before);
    send_raw(a, frame, 9, MOST);
    ok(mp_connection_recv_bytes(b, &data, &size));
    cr_assert_eq(size, 5U, "bytes need no handles");
    mp_free(data);
    cr_assert_eq(support_open_handles(), before);
    expect_joined(a, b, 1);
    close_both(a, b);
}

#ifdef SO_PASSCRED
Test(connection_harm, descriptors_after_other_control_data_are_closed)
{
    static const char frame[] = "\0\0\0\x05\x80\x04K\x05.";
    const int yes = 1;
    mp_connection *a, *b;
    mp_obj *obj = NULL;
    size_t before;

    ok(mp_pipe(&a, &b, NULL));
    cr_assert_eq(setsockopt(descriptor_of(b), SOL_SOCKET, SO_PASSCRED, &yes,
                            sizeof(yes)),
                 0);
    before = support_open_handles();
    send_raw(a, frame, 9, 3);
    ok(mp_connection_recv(b, &obj));
    mp_obj_unref(obj);
    cr_assert_eq(support_open_handles(), before);
    close_both(a, b);
}
#endif

Test(connection_harm, cut_frame_leaves_no_descriptor_behind)
{
    mp_connection *a, *b;
    mp_obj *obj = NULL;
    size_t before = 0;

    for (size_t size = 1; size < 8; size++) {
        ok(mp_pipe(&a, &b, NULL));
        send_raw(a, "\0\0\0\x05\x80\x04K\x05.", size, 3);
        ok(mp_connection_close(a));
        cr_assert_eq(mp_connection_recv(b, &obj), MP_EPROTO);
        ok(mp_connection_close(b));
        if (before == 0)
            before = support_open_handles();
        cr_assert_eq(support_open_handles(), before);
    }
}

/* A connection that is made, dropped, and asked for again. */
Test(connection_harm, handle_is_not_taken_twice_by_a_forged_message)
{
    static const char forged[] = "\0\0\0\x4d"
                                 "(cmultiproc\nConnection\n(I0\nI01\nI01\ntR0"
                                 "cmultiproc\nConnection\n(I0\nI01\nI01\ntR1N.";
    mp_connection *a, *b;
    size_t before;

    ok(mp_pipe(&a, &b, NULL));
    before = support_open_handles();
    for (int i = 0; i < 100; i++) {
        mp_obj *obj = NULL;

        send_raw(a, forged, sizeof(forged) - 1, 1);
        if (mp_connection_recv(b, &obj) == MP_OK)
            mp_obj_unref(obj);
        cr_assert_eq(support_open_handles(), before);
        expect_joined(a, b, i);
    }
    close_both(a, b);
}

/* -- No room --------------------------------------------------------------- */

static rlim_t limit_descriptors(rlim_t value)
{
    struct rlimit limit;
    rlim_t before;

    if (support_has_valgrind())
        cr_skip_test("valgrind does not keep to limits");
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    before = limit.rlim_cur;
    limit.rlim_cur = value;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return before;
}

Test(connection_room, receiver_without_it_loses_only_that_message)
{
    mp_connection *a, *b;
    mp_obj *obj = NULL;
    rlim_t before_limit;
    size_t before;
    int last;

    ok(mp_pipe(&a, &b, NULL));
    before = support_open_handles();
    ok(mp_connection_send(a, MP_LIST(a, b)));
    ok(mp_connection_send(a, MP_BOX(2)));
    last = dup(2);
    close(last);
    before_limit = limit_descriptors((rlim_t)last + 1);
    cr_assert_eq(mp_connection_recv(b, &obj), MP_EMFILE);
    cr_assert_null(obj);
    cr_assert_not_null(strstr(mp_error_message(), "no room"));
    ok(mp_connection_recv(b, &obj));
    mp_obj_unref(obj);
    limit_descriptors(before_limit);
    cr_assert_eq(support_open_handles(), before);
    ok(mp_connection_send(a, MP_LIST(a, b)));
    ok(mp_connection_recv(b, &obj));
    mp_obj_unref(obj);
    cr_assert_eq(support_open_handles(), before);
    close_both(a, b);
}

/* -- A pipe that is full --------------------------------------------------- */

typedef struct large_sender {
    mp_connection *way;
    mp_connection *passed;
    mpi_atomic32 is_sending;
    mp_error result;
} large_sender;

static void send_large(void *argument)
{
    large_sender *it = argument;
    unsigned char *data = malloc(LARGE);

    memset(data, 'x', LARGE);
    mpi_atomic32_store(&it->is_sending, 1);
    it->result = mp_connection_send(
        it->way, MP_LIST(it->passed, mp_obj_bytes(data, LARGE)));
    free(data);
}

static void check_large(mp_connection *from, mp_connection *c)
{
    mp_connection *copy;
    const mp_obj *item;
    const void *data;
    mp_obj *message = NULL;
    size_t size = 0;

    ok(mp_connection_recv(from, &message));
    ok(mp_obj_item(message, 0, &item));
    ok(mp_obj_as_connection(item, &copy));
    expect_joined(copy, c, 5);
    ok(mp_obj_item(message, 1, &item));
    ok(mp_obj_as_bytes(item, &data, &size));
    cr_assert_eq(size, (size_t)LARGE);
    mp_obj_unref(message);
}

static void send_large_over(mp_connection *a, mp_connection *b)
{
    mp_connection *c, *d;
    large_sender it = {.way = a};
    mpos_thread thread;
    size_t before;
    mp_obj *obj;

    ok(mp_pipe(&c, &d, NULL));
    it.passed = d;
    ok(mp_connection_send(a, MP_BOX(1))); /* not the first in the pipe */
    before = support_open_handles();
    ok(mpos_thread_start(send_large, &it, &thread));
    while (mpi_atomic32_load(&it.is_sending) == 0)
        mpos_sleep_until(mpos_now() + 1000000);
    ok(mp_connection_recv(b, &obj));
    mp_obj_unref(obj);
    check_large(b, c);
    mpos_thread_join(thread);
    ok(it.result);
    cr_assert_eq(support_open_handles(), before, "they came once");
    close_both(c, d);
}

Test(connection_room, large_message_brings_them_once)
{
    mp_connection *a, *b;

    ok(mp_pipe(&a, &b, NULL));
    send_large_over(a, b);
    close_both(a, b);
}

Test(connection_room, large_message_brings_them_once_without_blocking)
{
    mp_connection *a, *b;

    ok(mp_pipe(&a, &b, NULL));
    cr_assert_eq(fcntl(descriptor_of(a), F_SETFL, O_NONBLOCK), 0);
    cr_assert_eq(fcntl(descriptor_of(b), F_SETFL, O_NONBLOCK), 0);
    send_large_over(a, b);
    close_both(a, b);
}

/* -- A receiver that dies -------------------------------------------------- */

/* Tells that it runs, and receives nothing ever after. */
static int sleep_for_ever(mp_args *args)
{
    mp_check(mp_connection_send(mp_arg_connection(args, 0), MP_BOX(1)));
    for (;;)
        pause();
}

static void send_to_the_fated(mp_start_method method)
{
    mp_connection *ours, *theirs, *c, *d;
    mp_process *child;
    mp_obj *obj = NULL;

    ok(mp_pipe(&ours, &theirs, NULL));
    ok(mp_pipe(&c, &d, NULL));
    child = support_start(method, sleep_for_ever, MP_ARGS(theirs));
    ok(mp_connection_close(theirs));
    ok(mp_connection_recv(ours, &obj));
    mp_obj_unref(obj);
    for (int i = 0; i < 10; i++)
        ok(mp_connection_send(ours, MP_LIST(d, i)));
    ok(mp_connection_close(d));
    ok(mp_process_kill(child));
    expect_end(c);
    ok(mp_connection_close(c));
    cr_assert_eq(mp_connection_send(ours, MP_BOX(ours)), MP_EPIPE);
    cr_assert_eq(support_finish(child), -SIGKILL);
    ok(mp_connection_close(ours));
}

METHOD_TEST(connection_death, what_a_killed_process_was_sent_is_closed)
{
    size_t before;

    send_to_the_fated(method);
    before = support_open_handles();
    send_to_the_fated(method);
    cr_assert_eq(support_open_handles(), before);
}

/* -- A fork while a message arrives ---------------------------------------- */

typedef struct receiver {
    mp_connection *from;
    mpos_thread thread;
    mp_error result;
} receiver;

static void recv_bytes_in_thread(void *argument)
{
    receiver *it = argument;
    void *data;
    size_t size;

    it->result = mp_connection_recv_bytes(it->from, &data, &size);
    if (it->result == MP_OK)
        mp_free(data);
}

/* The first half of a frame, with far_end, which a thread has received. */
static void begin_message(mp_connection *a, receiver *it,
                          mp_connection *far_end)
{
    const mpos_bytes parts[2] = {{"\0\0\0\x02x", 5}, {NULL, 0}};
    const mpos_handle handle = descriptor_of(far_end);
    struct pollfd item = {.fd = descriptor_of(it->from), .events = POLLIN};
    size_t written;

    ok(mpos_send_handles(descriptor_of(a), parts, &handle, 1, &written));
    ok(mp_connection_close(far_end));
    ok(mpos_thread_start(recv_bytes_in_thread, it, &it->thread));
    while (poll(&item, 1, 0) != 0)
        mpos_sleep_until(mpos_now() + 1000000);
}

METHOD_TEST(connection_death, child_has_nothing_of_a_message_that_arrives)
{
    mp_connection *a, *b, *ours, *theirs, *near_end, *far_end;
    mp_process *child;
    mp_obj *obj = NULL;
    receiver it = {.result = MP_OK};

    ok(mp_pipe(&a, &b, NULL));
    ok(mp_pipe(&near_end, &far_end, NULL));
    ok(mp_pipe(&ours, &theirs, NULL));
    it.from = b;
    begin_message(a, &it, far_end);
    child = support_start(method, sleep_for_ever, MP_ARGS(theirs));
    ok(mp_connection_recv(ours, &obj));
    mp_obj_unref(obj);
    send_raw(a, "y", 1, 0);
    mpos_thread_join(it.thread);
    ok(it.result);
    expect_end(near_end); /* while the child lives */
    ok(mp_process_kill(child));
    cr_assert_eq(support_finish(child), -SIGKILL);
    close_both(a, b);
    close_both(ours, theirs);
    ok(mp_connection_close(near_end));
}
