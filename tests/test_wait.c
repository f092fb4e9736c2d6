/* SPDX-License-Identifier: MIT */
/* mp_wait(): many things at once, of every kind. */
#include "support/check.h"
#include "support/expect.h"
#include "support/methods.h"
#include "support/named.h"
#include "support/system.h"

#include "os.h"

#include <stdlib.h>
#include <string.h>

enum {
    MANY_WIN32 = 200,
    MANY = 10000,
    MILLISECOND = 1000000,
    WAITS = 1200,
    OF_EACH = 40, /* so of those that Windows itself waits for, more than 64 */
};

/* -- Helpers --------------------------------------------------------------- */

static void close_both(mp_connection *first, mp_connection *second)
{
    ok(mp_connection_close(first));
    ok(mp_connection_close(second));
}

static void send_byte(mp_connection *to)
{
    ok(mp_connection_send_bytes(to, "x", 1));
}

static void drop_message(mp_connection *from)
{
    void *data;
    size_t size;

    ok(mp_connection_recv_bytes(from, &data, &size));
    mp_free(data);
}

/* Which are ready, as a text of 0 and 1. */
static void expect_ready(const mp_wait_item *items, const char *expected)
{
    char found[32] = "";

    for (size_t i = 0; i < strlen(expected); i++)
        found[i] = items[i].is_ready ? '1' : '0';
    cr_assert_str_eq(found, expected);
}

/* -- Targets --------------------------------------------------------------- */

static int leave_with(mp_args *args)
{
    return (int)mp_arg_int(args, 0);
}

/* Ends with the connection. */
static int stay(mp_args *args)
{
    mp_obj *obj;

    while (mp_connection_recv(mp_arg_connection(args, 0), &obj) == MP_OK)
        mp_obj_unref(obj);
    return 0;
}

/* When it is told to. */
static int set_event(mp_args *args)
{
    mp_obj *obj;

    mp_check(mp_connection_recv(mp_arg_connection(args, 0), &obj));
    mp_obj_unref(obj);
    mpos_sleep_until(mpos_now() + 30 * MILLISECOND);
    mp_check(mp_event_set(mp_arg_event(args, 1)));
    /* Until the test has seen it: a process that ends would be ready, too. */
    mp_check(mp_connection_recv(mp_arg_connection(args, 0), &obj));
    mp_obj_unref(obj);
    return 0;
}

/* -- Connections ----------------------------------------------------------- */

Test(wait, marks_all_that_are_ready_and_only_those)
{
    mp_connection *a[3], *b[3];
    mp_wait_item items[3];

    for (int i = 0; i < 3; i++) {
        ok(mp_pipe(&a[i], &b[i], NULL));
        items[i] = MP_WAIT(a[i]);
    }
    cr_assert_eq(mp_wait(items, 3, 0), MP_TIMED_OUT);
    expect_ready(items, "000");
    send_byte(b[2]);
    ok(mp_wait(items, 3, MP_FOREVER));
    expect_ready(items, "001");
    send_byte(b[0]);
    ok(mp_wait(items, 3, 0));
    expect_ready(items, "101");
    drop_message(a[2]);
    ok(mp_connection_close(b[1]));
    ok(mp_wait(items, 3, 0));
    expect_ready(items, "110");
    ok(mp_connection_close(a[1]));
    close_both(a[0], b[0]);
    close_both(a[2], b[2]);
}

Test(wait, part_of_a_message_is_none)
{
    static const unsigned char frame[] = {0, 0, 0, 2, 'a', 'b'};
    mpos_bytes parts[2] = {{frame, 5}, {frame + 5, 1}};
    mp_connection *a, *b;
    mp_wait_item item;
    intptr_t handle;
    size_t written;

    ok(mp_pipe(&a, &b, NULL));
    item = MP_WAIT(a);
    ok(mp_connection_fileno(b, &handle));
    ok(mpos_write(handle, &parts[0], 1, &written));
    cr_assert_eq(mp_wait(&item, 1, 0.02), MP_TIMED_OUT);
    ok(mpos_write(handle, &parts[1], 1, &written));
    ok(mp_wait(&item, 1, MP_FOREVER));
    drop_message(a);
    close_both(a, b);
}

Test(wait, same_thing_may_be_there_several_times)
{
    mp_connection *a, *b;
    mp_event *event;
    mp_wait_item items[4];

    ok(mp_pipe(&a, &b, NULL));
    ok(mp_event_create(&event));
    for (int i = 0; i < 4; i++)
        items[i] = i % 2 == 0 ? MP_WAIT(a) : MP_WAIT(event);
    cr_assert_eq(mp_wait(items, 4, 0.01), MP_TIMED_OUT);
    expect_ready(items, "0000");
    send_byte(b);
    ok(mp_wait(items, 4, MP_FOREVER));
    expect_ready(items, "1010");
    ok(mp_event_set(event));
    ok(mp_wait(items, 4, MP_FOREVER));
    expect_ready(items, "1111");
    ok(mp_event_close(event));
    close_both(a, b);
}

/* -- Processes ------------------------------------------------------------- */

METHOD_TEST(wait, process_is_ready_when_it_has_ended)
{
    mp_connection *ours, *theirs;
    mp_process *short_one, *long_one;
    mp_wait_item items[2];

    ok(mp_pipe(&ours, &theirs, NULL));
    long_one = support_start(method, stay, MP_ARGS(theirs));
    ok(mp_connection_close(theirs));
    short_one = support_start(method, leave_with, MP_ARGS(3));
    items[0] = MP_WAIT(long_one);
    items[1] = MP_WAIT(short_one);
    ok(mp_wait(items, 2, MP_FOREVER));
    expect_ready(items, "01");
    cr_assert_eq(support_finish(short_one), 3);
    cr_assert_eq(mp_wait(items, 1, 0.01), MP_TIMED_OUT);
    ok(mp_connection_close(ours));
    ok(mp_wait(items, 1, MP_FOREVER));
    ok(mp_process_join(long_one, MP_FOREVER));
    ok(mp_wait(items, 1, 0)); /* joined is still ended */
    expect_ready(items, "1");
    ok(mp_process_close(long_one));
    cr_assert_eq(mp_wait(items, 1, 0), MP_ECLOSED);
}

Test(wait, process_that_was_not_started_is_an_error)
{
    mp_connection *a, *b;
    mp_process *process;
    mp_wait_item items[2];

    ok(mp_pipe(&a, &b, NULL));
    ok(mp_process_create(&process, leave_with, MP_ARGS(0), NULL));
    send_byte(b);
    items[0] = MP_WAIT(a);
    items[1] = MP_WAIT(process);
    cr_assert_eq(mp_wait(items, 2, MP_FOREVER), MP_ESTATE);
    expect_ready(items, "00");
    ok(mp_process_close(process));
    close_both(a, b);
}

/* -- Events ---------------------------------------------------------------- */

Test(wait, event_alone_and_with_others)
{
    mp_connection *a, *b;
    mp_event *event;
    mp_wait_item items[2];

    ok(mp_pipe(&a, &b, NULL));
    ok(mp_event_create(&event));
    items[0] = MP_WAIT(event);
    items[1] = MP_WAIT(a);
    cr_assert_eq(mp_wait(items, 1, 0.01), MP_TIMED_OUT);
    cr_assert_eq(mp_wait(items, 2, 0.01), MP_TIMED_OUT);
    ok(mp_event_set(event));
    ok(mp_wait(items, 1, MP_FOREVER));
    ok(mp_wait(items, 2, MP_FOREVER));
    expect_ready(items, "10");
    ok(mp_event_close(event));
    close_both(a, b);
}

static void wait_for_both(void *argument)
{
    mp_wait_item *items = argument;

    ok(mp_wait(items, 2, MP_FOREVER));
}

/* A wait on an Event among others has a pipe, which a child has no use for. */
METHOD_TEST(wait, child_forked_meanwhile_is_no_part_of_a_wait)
{
    mp_connection *a, *b;
    mp_event *events[2];
    mp_wait_item items[2][2];
    mpos_thread threads[2];
    size_t before;

    ok(mp_pipe(&a, &b, NULL));
    cr_assert_eq(support_run(method, leave_with, MP_ARGS(3)), 3);
    before = support_open_handles();
    for (int i = 0; i < 2; i++) {
        ok(mp_event_create(&events[i]));
        items[i][0] = MP_WAIT(events[i]);
        items[i][1] = MP_WAIT(a);
        ok(mpos_thread_start(wait_for_both, items[i], &threads[i]));
    }
    while (support_open_handles() < before + 4)
        mp_sleep(0.001);
    cr_assert_eq(support_run(method, leave_with, MP_ARGS(4)), 4);
    for (int i = 0; i < 2; i++) {
        ok(mp_event_set(events[i]));
        mpos_thread_join(threads[i]);
        expect_ready(items[i], "10");
        ok(mp_event_close(events[i]));
    }
    close_both(a, b);
}

METHOD_TEST(wait, event_set_by_another_process_wakes_from_a_mix)
{
    mp_connection *ours, *theirs, *a, *b;
    mp_event *event, *other;
    mp_process *child;
    mp_wait_item items[5];

    ok(mp_event_create(&event));
    ok(mp_event_create(&other));
    ok(mp_pipe(&ours, &theirs, NULL));
    ok(mp_pipe(&a, &b, NULL));
    child = support_start(method, set_event, MP_ARGS(theirs, event));
    ok(mp_connection_close(theirs));
    items[0] = MP_WAIT(other);
    items[1] = MP_WAIT(child);
    items[2] = MP_WAIT(event);
    items[3] = MP_WAIT(a);
    items[4] = MP_WAIT(ours);
    ok(mp_connection_send(ours, MP_NONE));
    ok(mp_wait(items, 5, MP_FOREVER));
    expect_ready(items, "00100");
    ok(mp_connection_send(ours, MP_NONE));
    cr_assert_eq(support_finish(child), 0);
    ok(mp_event_close(event));
    ok(mp_event_close(other));
    close_both(a, b);
    ok(mp_connection_close(ours));
}

/* Whoever is left would still sleep on the event, and keep its memory. */
Test(wait, events_leave_neither_threads_nor_handles, .timeout = 120)
{
    mp_connection *a, *b;
    mp_event *events[3];
    mp_wait_item items[4];
    size_t rounds = support_scaled(WAITS);
    size_t handles;

    ok(mp_pipe(&a, &b, NULL));
    items[3] = MP_WAIT(a);
    for (int i = 0; i < 3; i++) {
        ok(mp_event_create(&events[i]));
        items[i] = MP_WAIT(events[i]);
        /* It has what one sleeps on from now on. mp_wait() may find that its
         * time is over before anybody has slept. */
        cr_assert_eq(mp_event_wait(events[i], 0.001), MP_TIMED_OUT);
    }
    cr_assert_eq(mp_wait(items, 4, 0.01), MP_TIMED_OUT);
    handles = support_open_handles();
    for (size_t i = 0; i < rounds; i++) {
        cr_assert_eq(mp_wait(items, 4, 0.001), MP_TIMED_OUT);
        if (i % 16 == 0)
            cr_assert_eq(support_open_handles(), handles, "round %zu", i);
    }
    cr_assert_eq(support_open_handles(), handles);
    for (int i = 0; i < 3; i++)
        ok(mp_event_close(events[i]));
    close_both(a, b);
}

Test(wait, stopping_to_watch_an_event_takes_no_time)
{
    mp_connection *a, *b;
    mp_event *event;
    mp_wait_item items[2];
    int64_t began;

    ok(mp_pipe(&a, &b, NULL));
    ok(mp_event_create(&event));
    items[0] = MP_WAIT(event);
    items[1] = MP_WAIT(a);
    began = mpos_now();
    for (int i = 0; i < 20; i++)
        cr_assert_eq(mp_wait(items, 2, 0.001), MP_TIMED_OUT);
    /* Not until its sleeper looks by itself. */
    cr_assert_lt(mpos_now() - began, 3000 * (int64_t)MILLISECOND);
    ok(mp_event_close(event));
    close_both(a, b);
}

/* -- Queues ---------------------------------------------------------------- */

Test(wait, queue_alone_and_with_others)
{
    mp_connection *a, *b;
    mp_queue *queue;
    mp_obj *got;
    mp_wait_item items[2];

    ok(mp_pipe(&a, &b, NULL));
    ok(mp_queue_create(&queue, 0, NULL));
    items[0] = MP_WAIT(queue);
    items[1] = MP_WAIT(a);
    cr_assert_eq(mp_wait(items, 1, 0), MP_TIMED_OUT);
    cr_assert_eq(mp_wait(items, 1, 0.01), MP_TIMED_OUT);
    cr_assert_eq(mp_wait(items, 2, 0.01), MP_TIMED_OUT);
    ok(mp_queue_put(queue, MP_BOX(1), 0));
    ok(mp_wait(items, 1, MP_FOREVER));
    ok(mp_wait(items, 2, MP_FOREVER));
    expect_ready(items, "10");
    ok(mp_queue_get(queue, 0, &got));
    mp_obj_unref(got);
    cr_assert_eq(mp_wait(items, 2, 0.01), MP_TIMED_OUT);
    ok(mp_queue_shutdown(queue, false));
    ok(mp_wait(items, 2, MP_FOREVER));
    expect_ready(items, "10");
    ok(mp_queue_close(queue));
    cr_assert_eq(mp_wait(items, 2, 0), MP_ECLOSED);
    close_both(a, b);
}

/* When it is told to. */
static int put_item(mp_args *args)
{
    mp_obj *obj;

    mp_check(mp_connection_recv(mp_arg_connection(args, 0), &obj));
    mp_obj_unref(obj);
    mpos_sleep_until(mpos_now() + 30 * MILLISECOND);
    mp_check(mp_queue_put(mp_arg_queue(args, 1), MP_BOX(1), 0));
    mp_check(mp_connection_recv(mp_arg_connection(args, 0), &obj));
    mp_obj_unref(obj);
    return 0;
}

METHOD_TEST(wait, item_of_another_process_wakes_from_a_mix)
{
    mp_connection *ours, *theirs;
    mp_queue *queue, *other;
    mp_event *event;
    mp_process *child;
    mp_wait_item items[4];

    ok(mp_queue_create(&queue, 0, NULL));
    ok(mp_queue_create(&other, 0, NULL));
    ok(mp_event_create(&event));
    ok(mp_pipe(&ours, &theirs, NULL));
    child = support_start(method, put_item, MP_ARGS(theirs, queue));
    ok(mp_connection_close(theirs));
    items[0] = MP_WAIT(other);
    items[1] = MP_WAIT(child);
    items[2] = MP_WAIT(queue);
    items[3] = MP_WAIT(event);
    ok(mp_connection_send(ours, MP_NONE));
    ok(mp_wait(items, 4, MP_FOREVER));
    expect_ready(items, "0010");
    ok(mp_connection_send(ours, MP_NONE));
    cr_assert_eq(support_finish(child), 0);
    ok(mp_queue_close(queue));
    ok(mp_queue_close(other));
    ok(mp_event_close(event));
    ok(mp_connection_close(ours));
}

Test(wait, stopping_to_watch_a_queue_takes_no_time_and_leaves_nothing)
{
    mp_queue *queues[3];
    mp_wait_item items[3];
    int64_t began;
    size_t handles;

    for (int i = 0; i < 3; i++) {
        ok(mp_queue_create(&queues[i], 0, NULL));
        items[i] = MP_WAIT(queues[i]);
    }
    cr_assert_eq(mp_wait(items, 3, 0.01), MP_TIMED_OUT);
    handles = support_open_handles();
    began = mpos_now();
    for (int i = 0; i < 20; i++)
        cr_assert_eq(mp_wait(items, 3, 0.001), MP_TIMED_OUT);
    /* Not until its sleeper looks by itself. */
    cr_assert_lt(mpos_now() - began, 3000 * (int64_t)MILLISECOND);
    cr_assert_eq(support_open_handles(), handles);
    for (int i = 0; i < 3; i++)
        ok(mp_queue_close(queues[i]));
}

/* -- Listeners, handles ---------------------------------------------------- */

Test(wait, listener_is_ready_when_a_client_has_proved_itself)
{
    mp_listener *listener;
    mp_connection *client, *served;
    mp_wait_item item;

    ok(mp_listener_create(&listener, mp_inet("127.0.0.1", 0),
                          &(mp_listener_options){.auth = MP_NO_AUTH}));
    item = MP_WAIT(listener);
    cr_assert_eq(mp_wait(&item, 1, 0.01), MP_TIMED_OUT);
    ok(mp_client(&client, *mp_listener_address(listener),
                 &(mp_client_options){.auth = MP_NO_AUTH}));
    ok(mp_wait(&item, 1, 10));
    ok(mp_listener_accept(listener, 0, &served));
    cr_assert_eq(mp_wait(&item, 1, 0), MP_TIMED_OUT);
    item = MP_WAIT(served);
    cr_assert_eq(mp_wait(&item, 1, 0.01), MP_TIMED_OUT);
    send_byte(client);
    ok(mp_wait(&item, 1, 10));
    drop_message(served);
    close_both(client, served);
    item = MP_WAIT(listener);
    ok(mp_listener_close(listener));
    cr_assert_eq(mp_wait(&item, 1, 0), MP_ECLOSED);
}

Test(wait, foreign_handle_is_ready_when_it_can_be_read)
{
    mpos_handle reader, writer;
    mpos_bytes byte = {"x", 1};
    mp_wait_item items[2];
    size_t written;

    if (!mpos_system.has_fork)
        cr_skip_test("what is signalled here is no pipe");
    ok(mpos_pipe(&reader, &writer));
    items[0] = mp_wait_handle(reader);
    items[1] = mp_wait_socket(reader);
    cr_assert_eq(mp_wait(items, 2, 0.01), MP_TIMED_OUT);
    ok(mpos_write(writer, &byte, 1, &written));
    ok(mp_wait(items, 2, MP_FOREVER));
    expect_ready(items, "11");
    mpos_close(reader);
    mpos_close(writer);
    cr_assert_eq(mp_wait(items, 2, 0), MP_EINVAL);
    expect_ready(items, "00");
}

/* -- Time, wrong use ------------------------------------------------------- */

Test(wait, returns_in_time)
{
    mp_connection *a, *b;
    mp_wait_item item;
    int64_t began;

    ok(mp_pipe(&a, &b, NULL));
    item = MP_WAIT(a);
    began = mpos_now();
    cr_assert_eq(mp_wait(&item, 1, -1), MP_TIMED_OUT);
    cr_assert_eq(mp_wait(&item, 1, 0.05), MP_TIMED_OUT);
    cr_assert_eq(mp_wait(NULL, 0, 0.05), MP_TIMED_OUT);
    cr_assert_geq(mpos_now() - began, 100 * (int64_t)MILLISECOND);
    close_both(a, b);
}

Test(wait, refuses_what_can_never_be_ready)
{
    mp_pipe_options options = {.is_simplex = true};
    mp_connection *reader, *writer;
    mp_wait_item items[2];

    cr_assert_eq(mp_wait(NULL, 0, MP_FOREVER), MP_EINVAL);
    cr_assert_eq(mp_wait(NULL, 1, 0), MP_EINVAL);
    ok(mp_pipe(&reader, &writer, &options));
    send_byte(writer);
    items[0] = MP_WAIT(reader);
    items[1] = MP_WAIT(writer);
    cr_assert_eq(mp_wait(items, 2, 0), MP_EINVAL);
    expect_ready(items, "00");
    items[1] = mp_wait_connection(NULL);
    cr_assert_eq(mp_wait(items, 2, 0), MP_EINVAL);
    items[1] = (mp_wait_item){.object = reader};
    cr_assert_eq(mp_wait(items, 2, 0), MP_EINVAL);
    ok(mp_connection_close(writer));
    items[1] = MP_WAIT(writer);
    cr_assert_eq(mp_wait(items, 2, 0), MP_ECLOSED);
    expect_ready(items, "00");
    ok(mp_connection_close(reader));
}

/* -- Many ------------------------------------------------------------------ */

static void wait_for_many(size_t count)
{
    mp_connection **ends = calloc(2 * count, sizeof(mp_connection *));
    mp_wait_item *items = calloc(count, sizeof(mp_wait_item));

    for (size_t i = 0; i < count; i++) {
        ok(mp_pipe(&ends[2 * i], &ends[2 * i + 1], NULL));
        items[i] = MP_WAIT(ends[2 * i]);
    }
    cr_assert_eq(mp_wait(items, count, 0.01), MP_TIMED_OUT);
    send_byte(ends[2 * count - 1]);
    send_byte(ends[count + 1 - count % 2]);
    ok(mp_wait(items, count, MP_FOREVER));
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(items[i].is_ready, i == count - 1 || i == count / 2, "%zu",
                     i);
    for (size_t i = 0; i < 2 * count; i++)
        ok(mp_connection_close(ends[i]));
    free(ends);
    free(items);
}

Test(wait, has_no_limit_of_64)
{
    wait_for_many(MANY_WIN32);
}

/* They end with ours. */
static mp_connection *start_many(mp_process **processes, size_t count)
{
    mp_connection *ours, *theirs;

    ok(mp_pipe(&ours, &theirs, NULL));
    for (size_t i = 0; i < count; i++)
        processes[i] =
            support_start_daemon(MP_START_SPAWN, stay, MP_ARGS(theirs));
    ok(mp_connection_close(theirs));
    return ours;
}

static void close_many(mp_process **processes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ok(mp_process_join(processes[i], 60));
        ok(mp_process_close(processes[i]));
    }
}

/* More than 64, however much the rest is scaled. */
Test(wait, two_hundred_processes, .timeout = 300)
{
    enum { LEAST = 70 };
    size_t scaled = support_scaled(MANY_WIN32);
    size_t count = scaled > LEAST ? scaled : LEAST;
    mp_process **processes = calloc(count, sizeof(mp_process *));
    mp_wait_item *items = calloc(count, sizeof(mp_wait_item));
    mp_connection *ours = start_many(processes, count);

    for (size_t i = 0; i < count; i++)
        items[i] = MP_WAIT(processes[i]);
    cr_assert_eq(mp_wait(items, count, 0.01), MP_TIMED_OUT);
    ok(mp_process_kill(processes[count - 1]));
    ok(mp_wait(items, count, 60));
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(items[i].is_ready, i == count - 1, "%zu", i);
    ok(mp_connection_close(ours));
    for (size_t left = count; left > 0;) {
        size_t kept = 0;

        ok(mp_wait(items, left, 60));
        for (size_t i = 0; i < left; i++)
            if (!items[i].is_ready)
                items[kept++] = items[i];
        cr_assert_lt(kept, left);
        left = kept;
    }
    close_many(processes, count);
    free(processes);
    free(items);
}

typedef enum mixed_kind {
    A_CONNECTION,
    AN_EVENT,
    A_NAMED_EVENT, /* Windows waits for it as for any handle */
    A_PROCESS,
    A_SENTINEL, /* a handle: that of the same process */
    MIXED_KINDS,
} mixed_kind;

typedef struct mixture {
    mp_connection *ends[2 * OF_EACH];
    mp_event *events[OF_EACH];
    mp_event *named[OF_EACH];
    mp_process *processes[OF_EACH];
    mp_connection *ours; /* the processes' other end */
    mp_wait_item items[MIXED_KINDS * OF_EACH];
} mixture;

static mp_wait_item wait_for_end(mp_process *process)
{
    mp_handle sentinel;

    ok(mp_process_sentinel(process, &sentinel));
    return mp_wait_handle(sentinel);
}

/* One of each kind, and so on. */
static void mix(mixture *all)
{
    all->ours = start_many(all->processes, OF_EACH);
    for (size_t i = 0; i < OF_EACH; i++) {
        char name[SUPPORT_NAME_SIZE];
        mp_wait_item *items = &all->items[i * MIXED_KINDS];

        ok(mp_pipe(&all->ends[2 * i], &all->ends[2 * i + 1], NULL));
        ok(mp_event_create(&all->events[i]));
        ok(mp_event_open(&all->named[i], support_name(name), NULL));
        ok(mp_named_unlink(name));
        items[A_CONNECTION] = MP_WAIT(all->ends[2 * i]);
        items[AN_EVENT] = MP_WAIT(all->events[i]);
        items[A_NAMED_EVENT] = MP_WAIT(all->named[i]);
        items[A_PROCESS] = MP_WAIT(all->processes[i]);
        items[A_SENTINEL] = wait_for_end(all->processes[i]);
    }
}

/* Of the n-th of each kind, these; the others not. */
static void expect_nth(const mixture *all, size_t n, const char *expected)
{
    for (size_t i = 0; i < MIXED_KINDS * OF_EACH; i++) {
        bool is_expected =
            i / MIXED_KINDS == n && expected[i % MIXED_KINDS] == '1';

        cr_assert_eq(all->items[i].is_ready, is_expected, "%zu", i);
    }
}

static void unmix(mixture *all)
{
    ok(mp_connection_close(all->ours));
    close_many(all->processes, OF_EACH);
    for (size_t i = 0; i < OF_EACH; i++) {
        ok(mp_event_close(all->events[i]));
        ok(mp_event_close(all->named[i]));
        close_both(all->ends[2 * i], all->ends[2 * i + 1]);
    }
}

Test(wait, more_than_64_of_all_kinds, .timeout = 300)
{
    enum { COUNT = MIXED_KINDS * OF_EACH, LAST = OF_EACH - 1 };
    mixture *all = calloc(1, sizeof(*all));

    mix(all);
    cr_assert_eq(mp_wait(all->items, COUNT, 0.01), MP_TIMED_OUT);
    send_byte(all->ends[2 * LAST + 1]);
    ok(mp_wait(all->items, COUNT, 60));
    expect_nth(all, LAST, "10000");
    drop_message(all->ends[2 * LAST]);
    ok(mp_event_set(all->events[LAST]));
    ok(mp_wait(all->items, COUNT, 60));
    expect_nth(all, LAST, "01000");
    ok(mp_event_clear(all->events[LAST]));
    ok(mp_event_set(all->named[0]));
    ok(mp_wait(all->items, COUNT, 60));
    expect_nth(all, 0, "00100");
    ok(mp_event_clear(all->named[0]));
    ok(mp_event_set(all->named[LAST]));
    ok(mp_wait(all->items, COUNT, 60));
    expect_nth(all, LAST, "00100");
    ok(mp_event_clear(all->named[LAST]));
    ok(mp_process_kill(all->processes[LAST]));
    ok(mp_wait(all->items, COUNT, 60));
    expect_nth(all, LAST, "00011");
    unmix(all);
    free(all);
}

Test(wait, takes_ten_thousand_connections, .timeout = 120)
{
    if (!mpos_system.has_fork || support_is_watched())
        cr_skip_test("too many for this system");
    if (!support_allow_handles(2 * MANY + 100))
        cr_skip_test("the system does not allow so many descriptors");
    wait_for_many(MANY);
}
