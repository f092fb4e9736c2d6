/* SPDX-License-Identifier: MIT */
/* The user's own descriptors (handles), which travel as objects. */
#include "support/check.h"
#include "support/expect.h"
#include "support/methods.h"
#include "support/system.h"

#include "os.h"

#include <string.h>

enum { MANY = 50 };

/* -- Helpers --------------------------------------------------------------- */

static void write_word(mpos_handle handle, const char *word)
{
    mpos_bytes part = {word, strlen(word)};
    size_t written;

    mp_check(mpos_write(handle, &part, 1, &written));
}

static void expect_word(mpos_handle handle, const char *word)
{
    char text[32] = "";
    size_t got = 0;

    ok(mpos_read(handle, text, sizeof(text) - 1, &got));
    cr_assert_str_eq(text, word);
}

/* What came as an object is written to, and closed. */
static void write_to(const mp_obj *obj, const char *word)
{
    mp_handle handle;

    mp_check(mp_obj_as_handle(obj, &handle));
    write_word(handle, word);
    mpos_close(handle);
}

static void close_both(mp_connection *first, mp_connection *second)
{
    ok(mp_connection_close(first));
    ok(mp_connection_close(second));
}

static void need_handles(void)
{
    mp_connection *first, *second;
    mp_error err;

    ok(mp_pipe(&first, &second, NULL));
    err = mp_connection_send(first, MP_BOX(second));
    close_both(first, second);
    if (err == MP_EPICKLE)
        cr_skip_test("pipes carry no handles here");
}

/* -- Targets --------------------------------------------------------------- */

static int write_to_argument(mp_args *args)
{
    write_to(mp_arg_obj(args, 0), "from the child");
    return 0;
}

/* Writes to each handle that comes, and sends it back. */
static int write_and_return(mp_args *args)
{
    mp_connection *connection = mp_arg_connection(args, 0);
    mp_obj *obj;

    while (mp_connection_recv(connection, &obj) == MP_OK) {
        write_to(obj, "hello");
        mp_check(mp_connection_send(connection, obj));
    }
    return 0;
}

/* Tells that it runs, and never receives. */
static int stay_deaf(mp_args *args)
{
    mp_check(mp_connection_send(mp_arg_connection(args, 0), MP_BOX(1)));
    mpos_sleep_until(mpos_now() + 60 * INT64_C(1000000000));
    return 0;
}

/* -- Objects --------------------------------------------------------------- */

Test(handle, object_has_a_copy_of_its_own)
{
    mpos_handle reader, writer;
    mp_obj *obj;

    ok(mpos_pipe(&reader, &writer));
    obj = mp_obj_handle(writer);
    mpos_close(writer);
    cr_assert_eq(mp_obj_type(obj), MP_TYPE_HANDLE);
    write_to(obj, "once");
    write_to(obj, " twice");
    expect_word(reader, "once twice");
    mp_obj_unref(obj);
    expect_word(reader, ""); /* its end */
    mpos_close(reader);
}

Test(handle, what_is_none_is_an_error_object)
{
    mp_obj *obj = mp_obj_handle(MPOS_NONE);

    cr_assert_eq(mp_obj_type(obj), MP_TYPE_ERROR);
    cr_assert_lt(mp_obj_error(obj), MP_OK);
    mp_obj_unref(obj);
}

Test(handle, only_handles_are_taken_for_one)
{
    mp_obj *number = MP_BOX(5);
    mpos_handle reader, writer;
    mp_handle out = 77;
    mp_obj *obj;

    cr_assert_eq(mp_obj_as_handle(number, &out), MP_ETYPE);
    mp_obj_unref(number);
    ok(mpos_pipe(&reader, &writer));
    obj = mp_obj_handle(reader);
    cr_assert_eq(mp_obj_as_handle(obj, NULL), MP_EINVAL);
    cr_assert_eq(out, 77);
    mp_obj_unref(obj);
    mpos_close(reader);
    mpos_close(writer);
}

/* -- As an argument -------------------------------------------------------- */

METHOD_TEST(handle, is_an_argument)
{
    mpos_handle reader, writer;
    mp_process *child;

    ok(mpos_pipe(&reader, &writer));
    child = support_start(method, write_to_argument,
                          MP_ARGS(mp_obj_handle(writer)));
    mpos_close(writer);
    cr_assert_eq(support_finish(child), 0);
    expect_word(reader, "from the child");
    expect_word(reader, "");
    mpos_close(reader);
}

/* A child that was not given it does not keep it open. */
METHOD_TEST(handle, stays_behind_unless_it_is_passed)
{
    mp_connection *ours, *theirs;
    mpos_handle reader, writer;
    mp_process *child;
    mp_obj *obj;

    ok(mpos_pipe(&reader, &writer));
    obj = mp_obj_handle(writer);
    mpos_close(writer);
    ok(mp_pipe(&ours, &theirs, NULL));
    child = support_start(method, write_and_return, MP_ARGS(theirs));
    ok(mp_connection_close(theirs));
    mp_obj_unref(obj);
    expect_word(reader, ""); /* its end, while the child runs */
    ok(mp_connection_close(ours));
    cr_assert_eq(support_finish(child), 0);
    mpos_close(reader);
}

/* -- Over a connection ----------------------------------------------------- */

METHOD_TEST(handle, travels_to_a_running_process_and_back)
{
    mp_connection *ours, *theirs;
    mpos_handle reader, writer;
    mp_process *child;
    mp_obj *obj = NULL;

    need_handles();
    ok(mp_pipe(&ours, &theirs, NULL));
    child = support_start(method, write_and_return, MP_ARGS(theirs));
    ok(mp_connection_close(theirs));
    ok(mpos_pipe(&reader, &writer));
    ok(mp_connection_send(ours, mp_obj_handle(writer)));
    mpos_close(writer);
    ok(mp_connection_recv(ours, &obj));
    write_to(obj, ", back again");
    mp_obj_unref(obj);
    ok(mp_connection_close(ours));
    cr_assert_eq(support_finish(child), 0);
    expect_word(reader, "hello, back again");
    expect_word(reader, "");
    mpos_close(reader);
}

Test(handle, that_is_there_twice_arrives_as_one)
{
    mp_connection *a, *b;
    mpos_handle reader, writer;
    mp_obj *obj, *list = NULL;

    need_handles();
    ok(mp_pipe(&a, &b, NULL));
    ok(mpos_pipe(&reader, &writer));
    obj = mp_obj_handle(writer);
    mpos_close(writer);
    ok(mp_connection_send(a, MP_LIST(mp_obj_ref(obj), mp_obj_ref(obj))));
    mp_obj_unref(obj);
    ok(mp_connection_recv(b, &list));
    for (int64_t i = 0; i < 2; i++) {
        const mp_obj *item;

        ok(mp_obj_item(list, i, &item));
        write_to(item, "x");
    }
    mp_obj_unref(list);
    expect_word(reader, "xx");
    expect_word(reader, "");
    mpos_close(reader);
    close_both(a, b);
}

/* -- Nothing leaks --------------------------------------------------------- */

static void send_and_never_receive(void)
{
    mp_connection *a, *b;
    mpos_handle reader, writer;

    ok(mp_pipe(&a, &b, NULL));
    ok(mpos_pipe(&reader, &writer));
    ok(mp_connection_send(a, mp_obj_handle(writer)));
    ok(mp_connection_send(a, mp_obj_handle(reader)));
    ok(mp_connection_poll(b, 0)); /* the first has arrived, untaken */
    mpos_close(writer);
    mpos_close(reader);
    close_both(a, b);
}

static mp_obj *inherited, *other;

/* A forked child has all memory, but the handles that it was given. */
static int use_what_was_not_given(mp_args *args)
{
    mp_connection *first, *second;
    mp_handle handle;
    bool is_right;

    (void)args;
    mp_check(mp_pipe(&first, &second, NULL));
    is_right = mp_obj_as_handle(inherited, &handle) == MP_ECLOSED &&
               mp_connection_send(first, inherited) == MP_EPICKLE;
    mp_check(mp_connection_close(first));
    mp_check(mp_connection_close(second));
    return is_right ? 0 : 1;
}

Test(handle, that_was_not_given_to_a_forked_child_is_closed_there)
{
    mp_start_method method = support_method(MP_START_FORK);
    mpos_handle reader, writer;

    ok(mpos_pipe(&reader, &writer));
    inherited = mp_obj_handle(reader);
    other = mp_obj_handle(writer);
    mpos_close(reader);
    cr_assert_eq(support_run(method, use_what_was_not_given, NULL), 0);
    mp_obj_unref(inherited);
    mp_obj_unref(other);
    mpos_close(writer);
}

Test(handle, that_is_never_received_is_closed)
{
    size_t before;

    need_handles();
    send_and_never_receive();
    before = support_open_handles();
    for (int i = 0; i < MANY; i++)
        send_and_never_receive();
    cr_assert_eq(support_open_handles(), before);
}

static void send_to_who_dies(mp_start_method method)
{
    mp_connection *ours, *theirs;
    mpos_handle reader, writer;
    mp_process *child;
    mp_obj *obj;

    ok(mp_pipe(&ours, &theirs, NULL));
    child = support_start(method, stay_deaf, MP_ARGS(theirs));
    ok(mp_connection_close(theirs));
    ok(mp_connection_recv(ours, &obj));
    mp_obj_unref(obj);
    ok(mpos_pipe(&reader, &writer));
    ok(mp_connection_send(ours, mp_obj_handle(writer)));
    mpos_close(writer);
    ok(mp_process_kill(child));
    ok(mp_process_join(child, MP_FOREVER));
    ok(mp_process_close(child));
    expect_word(reader, ""); /* its end: nobody has the other one */
    mpos_close(reader);
    ok(mp_connection_close(ours));
}

METHOD_TEST(handle, leaks_nowhere_if_the_receiver_dies_first)
{
    size_t before;

    need_handles();
    send_to_who_dies(method);
    before = support_open_handles();
    for (int i = 0; i < 3; i++)
        send_to_who_dies(method);
    cr_assert_eq(support_open_handles(), before);
}
