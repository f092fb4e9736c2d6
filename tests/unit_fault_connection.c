/* SPDX-License-Identifier: MIT */
/*
 * poll(), limits, mp_wait() and handles that travel: every call into the
 * system, and every allocation, made to fail once. A failure has a sentence,
 * leaves outputs alone and nothing behind; no message is lost by it.
 */
#include "support/check.h"
#include "support/expect.h"
#include "support/system.h"

#include "os.h"
#include "os_fault.h"

#include <multiproc.h>

#include <stdlib.h>
#include <string.h>

enum { MOST_CALLS = 1000 };

static const mp_error errors[] = {MP_ENOMEM, MP_EMFILE, MP_EIO};

/* What an attempt works on. */
typedef struct bench {
    mp_connection *ours, *theirs;
    mp_event *event;
    mpos_handle reader, writer;
} bench;

/* Each is repeated with another call failing until it succeeds. */
typedef mp_error (*attempt)(bench *on);

static void open_bench(bench *on)
{
    ok(mp_pipe(&on->ours, &on->theirs, NULL));
    ok(mp_event_create(&on->event));
    ok(mpos_pipe(&on->reader, &on->writer));
}

static void close_bench(bench *on)
{
    ok(mp_connection_close(on->ours));
    ok(mp_connection_close(on->theirs));
    ok(mp_event_close(on->event));
    mpos_close(on->reader);
    mpos_close(on->writer);
}

/* True if the n-th call was reached. */
static bool fail_at(long n, mp_error error, attempt run)
{
    const char *name;
    bench on;
    bool was_hit;
    mp_error err;

    open_bench(&on);
    mpi_fault_arm(n, error);
    err = run(&on);
    was_hit = mpi_fault_disarm(NULL, &name);
    if (err < MP_OK) {
        cr_assert(was_hit, "failed by itself: %s", mp_error_message());
        cr_assert_str_not_empty(mp_error_message());
        ok(run(&on)); /* nothing was lost */
    }
    close_bench(&on);
    return was_hit;
}

/* What the system opens once for a process that sleeps on an event, it opens
 * now: an attempt that waits may be over before anybody has slept. */
static void sleep_once(void)
{
    mp_event *event;

    ok(mp_event_create(&event));
    cr_assert_eq(mp_event_wait(event, 0.001), MP_TIMED_OUT);
    ok(mp_event_close(event));
}

static void fail_everywhere(attempt run)
{
    size_t handles = 0;

    sleep_once();
    fail_at(0, MP_OK, run);
    handles = support_open_handles();
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        long n = 1;

        while (fail_at(n, errors[i], run))
            cr_assert_lt(++n, MOST_CALLS);
    }
    cr_assert_eq(support_open_handles(), handles);
}

/* -- Attempts -------------------------------------------------------------- */

/* Only once there is nothing on its way. */
static mp_error send_if_none(bench *on, const char *text)
{
    mpos_wait_item item = {MPOS_NONE, MPOS_WAIT_READ, false};
    intptr_t handle;

    ok(mp_connection_fileno(on->theirs, &handle));
    item.handle = handle;
    if ((mpos_wait)(&item, 1, 0) == MP_OK)
        return MP_OK;
    return mp_connection_send_bytes(on->ours, text, strlen(text));
}

static mp_error expect(mp_error err, void *data, size_t size)
{
    if (err != MP_OK) {
        cr_assert_null(data);
        return err;
    }
    cr_assert_eq(size, 5);
    cr_assert_str_eq(data, "hello");
    mp_free(data);
    return MP_OK;
}

static mp_error poll_and_receive(bench *on)
{
    static bool is_found;
    void *data = NULL;
    size_t size = 0;
    mp_error err = is_found ? MP_OK : send_if_none(on, "hello");

    if (err == MP_OK)
        err = mp_connection_poll(on->theirs, 0);
    is_found = err == MP_OK;
    if (err == MP_OK)
        err = mp_connection_recv_bytes(on->theirs, &data, &size);
    if (err == MP_OK)
        is_found = false;
    return expect(err, data, size);
}

static mp_error receive_limited(bench *on)
{
    static bool is_begun;
    void *data = NULL;
    size_t size = 0;
    mp_error err = is_begun ? MP_OK : send_if_none(on, "hello");

    if (err != MP_OK)
        return err;
    err = mp_connection_recv_bytes_max(on->theirs, 3, &data, &size);
    if (err != MP_EOVERFLOW)
        return err;
    is_begun = true;
    err = mp_connection_recv_bytes_max(on->theirs, 5, &data, &size);
    if (err == MP_OK)
        is_begun = false;
    return expect(err, data, size);
}

static mp_error wait_for_mix(bench *on)
{
    mp_wait_item items[20];
    mp_error err;

    for (int i = 0; i < 20; i++)
        items[i] = mp_wait_connection(on->ours);
    items[3] = mp_wait_event(on->event);
    items[7] = mp_wait_event(on->event);
    err = mp_wait(items, 20, 0.002);
    for (int i = 0; i < 20; i++)
        cr_assert_not(items[i].is_ready);
    return err == MP_TIMED_OUT ? MP_OK : err;
}

static mp_error box_handle(bench *on)
{
    mp_obj *obj = mp_obj_handle(on->writer);
    mp_handle copy = MPOS_NONE;
    mp_error err = mp_obj_error(obj);

    if (err == MP_OK)
        err = mp_obj_as_handle(obj, &copy);
    mp_obj_unref(obj);
    cr_assert_eq(copy == MPOS_NONE, err != MP_OK);
    mpos_close(copy);
    return err;
}

static mp_error send_handle(bench *on)
{
    mp_obj *obj = NULL;
    mp_error err = mp_connection_send(on->ours, mp_obj_handle(on->writer));
    bool is_sent = err == MP_OK;

    if (err == MP_OK)
        err = mp_connection_recv(on->theirs, &obj);
    cr_assert_eq(obj == NULL, err != MP_OK);
    mp_obj_unref(obj);
    if (is_sent && err != MP_OK) { /* it would be in the way of the next */
        long calls = 0;

        cr_assert(mpi_fault_disarm(&calls, NULL));
        ok(mp_connection_close(on->ours));
        ok(mp_connection_close(on->theirs));
        ok(mp_pipe(&on->ours, &on->theirs, NULL));
        mpi_fault_arm(1, MP_EIO); /* hit, as fail_at() wants to hear */
        (void)mpi_fault_hits("again");
    }
    return err;
}

Test(fault_connection, poll_and_recv)
{
    fail_everywhere(poll_and_receive);
}

Test(fault_connection, recv_with_a_limit)
{
    fail_everywhere(receive_limited);
}

Test(fault_connection, wait_for_a_mix, .timeout = 120)
{
    fail_everywhere(wait_for_mix);
}

Test(fault_connection, handle_as_object)
{
    fail_everywhere(box_handle);
}

Test(fault_connection, handle_that_travels)
{
    mp_connection *a, *b;
    mp_error err;

    ok(mp_pipe(&a, &b, NULL));
    err = mp_connection_send(a, MP_BOX(b));
    ok(mp_connection_close(a));
    ok(mp_connection_close(b));
    if (err == MP_EPICKLE)
        cr_skip_test("pipes carry no handles here");
    fail_everywhere(send_handle);
}

/* -- The system's memory --------------------------------------------------- */

enum { LARGE = 50 * 1000 };

static bool has_packets(void)
{
    mpos_handle left = MPOS_NONE, right = MPOS_NONE;
    bool answer = false;

    ok(mpos_channel(&left, &right, &answer));
    mpos_close(left);
    mpos_close(right);
    return answer;
}

Test(fault_connection, large_packet_goes_in_small_ones_if_memory_is_short)
{
    unsigned char *data = malloc(LARGE);
    unsigned char *back = malloc(LARGE);
    mp_connection *a, *b;
    const char *name = NULL;
    size_t size = 0;

    for (size_t i = 0; i < LARGE; i++)
        data[i] = (unsigned char)(i / 100);
    if (!has_packets())
        cr_skip_test("there are no packets here");
    ok(mp_pipe(&a, &b, NULL));
    mpi_fault_arm(1, MP_ENOMEM);
    ok(mp_connection_send_bytes(a, data, LARGE));
    cr_assert(mpi_fault_disarm(NULL, &name));
    cr_assert_str_eq(name, "mpos_write");
    ok(mp_connection_recv_bytes_into(b, back, LARGE, &size));
    cr_assert_eq(size, LARGE);
    cr_assert_eq(memcmp(data, back, LARGE), 0);
    ok(mp_connection_close(a));
    ok(mp_connection_close(b));
    free(data);
    free(back);
}
