/* SPDX-License-Identifier: MIT */
/*
 * A listener that strangers come to, and a neighbour: a process that comes when
 * it is told to, is honest, and tells how long it was kept waiting.
 */
#ifndef SUPPORT_DOOR_H
#define SUPPORT_DOOR_H

#include "check.h"
#include "stranger.h"
#include "system.h"
#include "testing.h"

#include <multiproc.h>

/* -- The listener ---------------------------------------------------------- */

static mp_listener *listener;
static mp_address where;
static unsigned refused;
static mp_connection *guest; /* the last one that got in */

static inline void open_door(mp_family family, const mp_listener_options *more)
{
    mp_listener_options options =
        more != NULL ? *more : (mp_listener_options){.backlog = 0};
    mp_address address = family == MP_FAMILY_INET   ? mp_inet("127.0.0.1", 0)
                         : family == MP_FAMILY_PIPE ? mp_named_pipe(NULL)
                                                    : mp_unix(NULL);

    options.auth = MP_AUTHKEY(STRANGER_KEY);
    cr_assert_eq(mp_listener_create(&listener, address, &options), MP_OK, "%s",
                 mp_error_message());
    where = *mp_listener_address(listener);
    refused = 0;
}

static inline void close_door(void)
{
    cr_assert_eq(mp_listener_close(listener), MP_OK);
    cr_assert_null(guest);
}

/* Does for a moment what a server does all the time. */
static inline void serve(void)
{
    mp_connection *connection = NULL;
    mp_error err = mp_listener_accept(listener, 0.001, &connection);

    if (err == MP_EAUTH) {
        refused++;
    } else if (err == MP_OK) {
        cr_assert_null(guest);
        guest = connection;
    } else {
        cr_assert_eq(err, MP_TIMED_OUT, "%s", mp_error_message());
    }
}

static inline void serve_until_refused(unsigned count, double patience)
{
    double end = mp_monotonic() + patience;

    while (refused < count) {
        cr_assert_lt(mp_monotonic(), end, "%u of %u", refused, count);
        serve();
    }
    cr_assert_eq(refused, count);
}

/* The second within which everything has to be done. */
static inline double moment(void)
{
    return support_is_watched() || mpos_system.has_message_pipes ? 10 : 1;
}

/* No more than that was taken since; what watches a program takes its own. */
static inline void expect_memory(size_t before, size_t most, size_t allowed)
{
    /* The C library keeps some for later. */
    const size_t slack = 1024 * 1024;

    if (!support_is_watched())
        cr_assert_lt(most, before + allowed + slack, "%zu, then %zu", before,
                     most);
}

/* -- The neighbour, an honest client --------------------------------------- */

static mp_connection *neighbour;
static mp_process *house;

/* Each time it is asked to, it comes; and tells how long that took. */
static inline int visit_honestly(mp_args *args)
{
    mp_client_options options = {.auth = MP_AUTHKEY(STRANGER_KEY)};
    mp_connection *boss = mp_arg_connection(args, 0);
    mp_address address;
    size_t size;

    while (mp_connection_recv_bytes_into(boss, &address, sizeof(address),
                                         &size) == MP_OK) {
        double began = mp_monotonic();
        mp_connection *connection;
        mp_obj *answer;

        mp_check(mp_client(&connection, address, &options));
        mp_check(mp_connection_send(connection, MP_BOX("hello")));
        mp_check(mp_connection_recv(connection, &answer));
        mp_obj_unref(answer);
        mp_check(mp_connection_close(connection));
        mp_check(mp_connection_send(boss, MP_BOX(mp_monotonic() - began)));
    }
    return 0;
}

static inline void move_in(void)
{
    /* Not awaited by a test that has failed. */
    const mp_process_options options = {.daemon = MP_DAEMON_YES};
    mp_connection *theirs;

    cr_assert_eq(mp_pipe(&neighbour, &theirs, NULL), MP_OK);
    cr_assert_eq(
        mp_process_create(&house, visit_honestly, MP_ARGS(theirs), &options),
        MP_OK);
    cr_assert_eq(mp_process_start(house), MP_OK, "%s", mp_error_message());
    cr_assert_eq(mp_connection_close(theirs), MP_OK);
}

static inline void move_out(void)
{
    cr_assert_eq(mp_connection_close(neighbour), MP_OK);
    cr_assert_eq(mp_process_join(house, 20), MP_OK);
    cr_assert_eq(mp_process_close(house), MP_OK);
}

/* Until it is in, and has got its greeting back; returns the seconds. */
static inline double serve_neighbour(void)
{
    mp_obj *obj = NULL;
    double seconds;

    cr_assert_eq(mp_connection_send_bytes(neighbour, &where, sizeof(where)),
                 MP_OK);
    while (guest == NULL)
        serve();
    cr_assert_eq(mp_connection_recv(guest, &obj), MP_OK);
    cr_assert_eq(mp_connection_send(guest, obj), MP_OK);
    cr_assert_eq(mp_connection_recv(neighbour, &obj), MP_OK);
    cr_assert_eq(mp_obj_as_float(obj, &seconds), MP_OK);
    mp_obj_unref(obj);
    cr_assert_eq(mp_connection_close(guest), MP_OK);
    guest = NULL;
    return seconds;
}

static inline void expect_service(void)
{
    double seconds = serve_neighbour();

    cr_assert_lt(seconds, moment(), "%.3f s", seconds);
}

/* -- Each test over every family ------------------------------------------- */

/* Those in which bytes make frames. */
static inline void over_each_stream(void (*test)(mp_family family))
{
    move_in();
    test(MP_FAMILY_INET);
    if (!mpos_system.has_message_pipes)
        test(MP_FAMILY_UNIX);
    move_out();
}

static inline void over_each_family(void (*test)(mp_family family))
{
    over_each_stream(test);
    if (mpos_system.has_message_pipes) {
        move_in();
        test(MP_FAMILY_PIPE);
        move_out();
    }
}

#endif
