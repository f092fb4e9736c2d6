/* SPDX-License-Identifier: MIT */
/*
 * Handles that travel where no pipe carries them: the sender puts them into the
 * receiver's process (src/peer.h). What holds on every system is in
 * test_connection_handles.c.
 */
#include "support/check.h"
#include "support/connections.h"
#include "support/methods.h"

#include "os.h"

#include <string.h>

enum { ROUNDS = 10, PATIENCE = 20, FRAME_HEADER = 4, MESSAGE_SIZE = 4096 };

/* -- Helpers --------------------------------------------------------------- */

static bool is_at_end(mp_connection *connection)
{
    mp_obj *obj = NULL;
    mp_error err = mp_connection_recv(connection, &obj);

    if (err == MP_OK)
        mp_obj_unref(obj);
    return err == MP_EEOF;
}

static void kill_and_close(mp_process *child)
{
    ok(mp_process_kill(child));
    ok(mp_process_join(child, PATIENCE));
    ok(mp_process_close(child));
}

static void join_and_close(mp_process *child)
{
    int code = -1;

    ok(mp_process_join(child, PATIENCE));
    ok(mp_process_exitcode(child, &code));
    cr_assert_eq(code, 0);
    ok(mp_process_close(child));
}

/* -- Targets --------------------------------------------------------------- */

/* Says that it runs, and receives nothing. */
static int be_deaf(mp_args *args)
{
    mp_check(mp_connection_send(mp_arg_connection(args, 0), MP_BOX(1)));
    for (;;)
        mpos_sleep_until(mpos_now() + INT64_C(1000000000));
}

/* Answers over the connection that it is sent. */
static int answer(mp_args *args)
{
    mp_connection *way;
    mp_obj *message;

    mp_check(mp_connection_recv(mp_arg_connection(args, 0), &message));
    mp_check(mp_obj_as_connection(message, &way));
    mp_check(mp_connection_send(way, MP_BOX(mpos_pid())));
    mp_obj_unref(message);
    return 0;
}

/* Receives a connection at the end that it is sent, and answers over that. */
static int answer_over_what_comes(mp_args *args)
{
    mp_connection *end, *way;
    mp_obj *first, *second;

    mp_check(mp_connection_recv(mp_arg_connection(args, 0), &first));
    mp_check(mp_obj_as_connection(first, &end));
    mp_check(mp_connection_send(mp_arg_connection(args, 0), MP_BOX(1)));
    mp_check(mp_connection_recv(end, &second));
    mp_check(mp_obj_as_connection(second, &way));
    mp_check(mp_connection_send(way, MP_BOX(mpos_pid())));
    mp_obj_unref(second);
    mp_obj_unref(first);
    return 0;
}

/* -- Tests ----------------------------------------------------------------- */

Test(connection_handles_win32, die_with_a_receiver_that_never_took_them)
{
    mp_connection *ours, *theirs, *near_end, *far_end;
    mp_process *child;

    ok(mp_pipe(&ours, &theirs, NULL));
    child = support_start(MP_START_SPAWN, be_deaf, MP_ARGS(theirs));
    cr_assert_eq(recv_int(ours), 1);
    for (int i = 0; i < ROUNDS; i++) {
        ok(mp_pipe(&near_end, &far_end, NULL));
        ok(mp_connection_send(ours, MP_BOX(far_end)));
        ok(mp_connection_close(far_end));
        if (i < ROUNDS - 1)
            ok(mp_connection_close(near_end));
    }
    kill_and_close(child);
    cr_assert(is_at_end(near_end));
    ok(mp_connection_close(near_end));
    close_both(ours, theirs);
}

/* It is ours until the child has it; and the child is not told when. */
Test(connection_handles_win32, arrive_at_a_child_that_has_just_been_started)
{
    for (int i = 0; i < ROUNDS; i++) {
        mp_connection *ours, *theirs, *near_end, *far_end;
        mp_process *child;

        ok(mp_pipe(&ours, &theirs, NULL));
        child = support_start(MP_START_SPAWN, answer, MP_ARGS(theirs));
        ok(mp_connection_close(theirs));
        ok(mp_pipe(&near_end, &far_end, NULL));
        ok(mp_connection_send(ours, MP_BOX(far_end)));
        ok(mp_connection_close(far_end));
        cr_assert_eq(recv_int(near_end), mp_process_pid(child));
        cr_assert(is_at_end(near_end));
        join_and_close(child);
        close_both(ours, near_end);
    }
}

Test(connection_handles_win32, follow_an_end_that_has_gone_elsewhere)
{
    mp_connection *ours, *theirs, *here, *there, *near_end, *far_end;
    mp_process *child;

    ok(mp_pipe(&ours, &theirs, NULL));
    child =
        support_start(MP_START_SPAWN, answer_over_what_comes, MP_ARGS(theirs));
    ok(mp_connection_close(theirs));
    ok(mp_pipe(&here, &there, NULL));
    ok(mp_connection_send(ours, MP_BOX(there)));
    ok(mp_connection_close(there));
    ok(mp_pipe(&near_end, &far_end, NULL));
    ok(mp_connection_send(here, MP_BOX(far_end)));
    ok(mp_connection_close(far_end));
    cr_assert_eq(recv_int(ours), 1);
    cr_assert_eq(recv_int(near_end), mp_process_pid(child));
    join_and_close(child);
    close_both(ours, here);
    ok(mp_connection_close(near_end));
}

/* The child had the other end last; ours is still open. */
Test(connection_handles_win32, are_refused_if_the_other_side_has_ended)
{
    mp_connection *ours, *theirs, *near_end, *far_end;
    mp_process *child;

    ok(mp_pipe(&ours, &theirs, NULL));
    child = support_start(MP_START_SPAWN, be_deaf, MP_ARGS(theirs));
    cr_assert_eq(recv_int(ours), 1);
    kill_and_close(child);
    ok(mp_pipe(&near_end, &far_end, NULL));
    cr_assert_eq(mp_connection_send(ours, MP_BOX(far_end)), MP_EPIPE);
    cr_assert_not_null(strstr(mp_error_message(), "has ended"));
    ok(mp_connection_close(far_end));
    cr_assert(is_at_end(near_end));
    ok(mp_connection_close(near_end));
    close_both(ours, theirs);
}

/* The frame as it is in the pipe; its payload's size. */
static size_t read_raw(mp_connection *connection, unsigned char *payload)
{
    unsigned char frame[FRAME_HEADER + MESSAGE_SIZE];
    intptr_t handle;
    size_t got = 0;

    ok(mp_connection_fileno(connection, &handle));
    ok(mpos_read(handle, frame, sizeof(frame), &got));
    cr_assert_gt(got, FRAME_HEADER);
    memcpy(payload, frame + FRAME_HEADER, got - FRAME_HEADER);
    return got - FRAME_HEADER;
}

/* Bytes are only bytes: nobody can have handles of ours closed by writing. */
Test(connection_handles_win32, are_taken_once_however_often_they_are_named)
{
    unsigned char payload[MESSAGE_SIZE];
    mp_connection *a, *b, *near_end, *far_end;
    mp_obj *obj = NULL;
    size_t handles;
    size_t size;

    ok(mp_pipe(&a, &b, NULL));
    ok(mp_pipe(&near_end, &far_end, NULL));
    ok(mp_connection_send(a, MP_BOX(far_end)));
    size = read_raw(b, payload);
    ok(mp_connection_send_bytes(a, payload, size));
    ok(mp_connection_recv(b, &obj));
    mp_obj_unref(obj);
    handles = support_open_handles();
    for (int i = 0; i < ROUNDS; i++) {
        void *data = NULL;
        size_t got = 0;

        ok(mp_connection_send_bytes(a, payload, size));
        cr_assert_eq(mp_connection_recv(b, &obj), MP_EUNPICKLE);
        ok(mp_connection_send_bytes(a, payload, size));
        ok(mp_connection_recv_bytes(b, &data, &got));
        cr_assert_eq(got, size);
        mp_free(data);
    }
    cr_assert_eq(support_open_handles(), handles);
    close_both(a, b);
    close_both(near_end, far_end);
}

/* Memory of ours that looks like a list of what was given, but says in no way
 * that it is one, names a handle of ours; and the message names that memory. */
Test(connection_handles_win32, of_ours_can_not_be_named_by_a_message)
{
    enum { FORGED_SIZE = 4096, TRAILER_SIZE = 32, COUNT = 20, SELF = 24 };
    unsigned char payload[MESSAGE_SIZE];
    mp_connection *a, *b;
    const uint32_t one = 1;
    mp_obj *obj = NULL;
    mpos_handle memory;
    unsigned char *list;
    size_t handles;
    uint64_t self;
    size_t size;

    ok(mp_pipe(&a, &b, NULL));
    ok(mp_connection_send(a, MP_BOX(b)));
    size = read_raw(b, payload);
    ok(mpos_memory_create(FORGED_SIZE, 0, &memory));
    ok(mpos_memory_map(memory, &(mpos_extent){.size = FORGED_SIZE},
                       (void **)&list));
    self = (uint64_t)memory;
    memcpy(list + COUNT, &one, sizeof(one));
    memcpy(list + SELF, &self, sizeof(self));
    memcpy(list + SELF + sizeof(self), &self, sizeof(self));
    memcpy(payload + size - TRAILER_SIZE, &self, sizeof(self));
    handles = support_open_handles();
    ok(mp_connection_send_bytes(a, payload, size));
    cr_assert_eq(mp_connection_recv(b, &obj), MP_EUNPICKLE);
    cr_assert_eq(support_open_handles(), handles);
    mpos_memory_unmap(list, FORGED_SIZE);
    mpos_close(memory);
    close_both(a, b);
}

Test(connection_handles_win32, are_closed_if_the_message_is_received_as_bytes)
{
    mp_connection *a, *b, *near_end, *far_end;
    void *data = NULL;
    size_t size = 0;

    ok(mp_pipe(&a, &b, NULL));
    ok(mp_pipe(&near_end, &far_end, NULL));
    ok(mp_connection_send(a, MP_BOX(far_end)));
    ok(mp_connection_close(far_end));
    ok(mp_connection_recv_bytes(b, &data, &size));
    cr_assert_eq(((char *)data)[size - 1], '.'); /* nothing behind the pickle */
    mp_free(data);
    cr_assert(is_at_end(near_end));
    ok(mp_connection_close(near_end));
    close_both(a, b);
}

Test(connection_handles_win32,
     are_closed_with_an_end_that_has_not_received_them)
{
    size_t before = 0;

    for (int i = 0; i < ROUNDS; i++) {
        mp_connection *a, *b, *near_end, *far_end;

        ok(mp_pipe(&a, &b, NULL));
        ok(mp_pipe(&near_end, &far_end, NULL));
        ok(mp_connection_send(a, MP_LIST(far_end, a)));
        ok(mp_connection_send(a, MP_BOX(far_end)));
        ok(mp_connection_close(far_end));
        close_both(a, b);
        cr_assert(is_at_end(near_end));
        ok(mp_connection_close(near_end));
        if (before == 0)
            before = support_open_handles();
    }
    cr_assert_eq(support_open_handles(), before);
}
