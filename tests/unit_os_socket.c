/* SPDX-License-Identifier: MIT */
/*
 * The seam's sockets (src/os.h), as every port has to keep them: each test is
 * run for each family that this system has.
 */
#include "os.h"

#include "support/check.h"
#include "support/expect.h"
#include "support/system.h"

#include <stdio.h>
#include <string.h>

#define MILLISECONDS(n) ((int64_t)(n)*1000000)
#define SECONDS(n) MILLISECONDS((n)*1000)

/* -- Families -------------------------------------------------------------- */

static const mpos_address everywhere[] = {
    {.family = MPOS_INET, .name = "127.0.0.1"},
    {.family = MPOS_INET6, .name = "::1"},
    {.family = MPOS_UNIX},
    {.family = MPOS_UNIX, .is_abstract = true},
    {.family = MPOS_PIPE},
};
enum { FAMILIES = sizeof(everywhere) / sizeof(everywhere[0]), BACKLOG = 16 };

static bool is_tcp(const mpos_address *address)
{
    return address->family == MPOS_INET || address->family == MPOS_INET6;
}

/* False: this system has no such family; a machine may also do without IPv6. */
static bool listen_at(mpos_address *address, mpos_handle *listener)
{
    mp_error error = mpos_listen(address, BACKLOG, listener);

    if (error == MP_ENOTSUP)
        return false;
    if (error == MP_ENOTFOUND && address->family == MPOS_INET6)
        return false;
    ok(error);
    return true;
}

static bool is_ready(mpos_handle handle, mpos_wait_kind kind, int64_t time)
{
    mpos_wait_item item = {handle, kind, false};
    mp_error error = mpos_wait(&item, 1, time <= 0 ? 0 : mpos_now() + time);

    if (error == MP_TIMED_OUT)
        return false;
    ok(error);
    cr_assert(item.is_ready);
    return true;
}

static bool has_client(mpos_handle listener, int64_t time)
{
    return is_ready(listener, MPOS_WAIT_LISTENER, time);
}

static bool has_news(const mpos_address *address, mpos_handle stream,
                     int64_t time)
{
    return is_ready(stream, is_tcp(address) ? MPOS_WAIT_SOCKET : MPOS_WAIT_READ,
                    time);
}

static void say(const mpos_address *address, mpos_handle stream,
                const char *text)
{
    const mpos_bytes part = {text, strlen(text)};
    size_t written = 0;

    if (address->family == MPOS_PIPE) {
        ok(mpos_send_message(stream, text, part.size));
        return;
    }
    ok(mpos_write(stream, &part, 1, &written));
    cr_assert_eq(written, part.size);
}

/* "": the other side has closed it. */
static void hear(const mpos_address *address, mpos_handle stream,
                 const char *expected)
{
    char text[64];
    size_t got = 0;
    size_t left = 0;
    mp_error error;

    if (address->family == MPOS_PIPE)
        error = mpos_recv_message(stream, text, sizeof(text) - 1, &got, &left);
    else
        error = mpos_read(stream, text, sizeof(text) - 1, &got);
    if (error == MP_EEOF)
        error = MP_OK;
    ok(error);
    text[got] = '\0';
    cr_assert_str_eq(text, expected);
}

typedef struct couple {
    mpos_address address;
    mpos_address peer;
    mpos_handle listener;
    mpos_handle client;
    mpos_handle server;
} couple;

/* False: there is no such family here. */
static bool join(couple *two, const mpos_address *address)
{
    two->address = *address;
    if (!listen_at(&two->address, &two->listener))
        return false;
    ok(mpos_connect(&two->address, mpos_now() + SECONDS(20), &two->client));
    cr_assert(has_client(two->listener, SECONDS(20)));
    ok(mpos_accept(two->listener, &two->address, &two->peer, &two->server));
    return true;
}

static void part(const couple *two)
{
    mpos_close(two->client);
    mpos_close(two->server);
    mpos_listener_close(two->listener, &two->address, true);
}

/* -- Streams --------------------------------------------------------------- */

Test(os_socket, what_one_end_says_the_other_hears)
{
    for (int i = 0; i < FAMILIES; i++) {
        couple two;

        if (!join(&two, &everywhere[i]))
            continue;
        say(&two.address, two.client, "question");
        hear(&two.address, two.server, "question");
        say(&two.address, two.server, "answer");
        hear(&two.address, two.client, "answer");
        part(&two);
    }
}

Test(os_socket, the_end_of_one_side_is_the_end_of_file_of_the_other)
{
    for (int i = 0; i < FAMILIES; i++) {
        couple two;

        if (!join(&two, &everywhere[i]))
            continue;
        say(&two.address, two.client, "last words");
        mpos_close(two.client);
        two.client = MPOS_NONE;
        hear(&two.address, two.server, "last words");
        hear(&two.address, two.server, "");
        part(&two);
    }
}

Test(os_socket, wait_tells_of_bytes_and_of_the_end)
{
    for (int i = 0; i < FAMILIES; i++) {
        couple two;

        if (!join(&two, &everywhere[i]))
            continue;
        cr_assert_not(has_news(&two.address, two.server, 0));
        cr_assert_not(has_news(&two.address, two.server, MILLISECONDS(10)));
        say(&two.address, two.client, "news");
        cr_assert(has_news(&two.address, two.server, SECONDS(20)));
        hear(&two.address, two.server, "news");
        cr_assert_not(has_news(&two.address, two.server, 0));
        mpos_close(two.client);
        two.client = MPOS_NONE;
        cr_assert(has_news(&two.address, two.server, SECONDS(20)));
        part(&two);
    }
}

Test(os_socket, a_stream_outlives_its_listener)
{
    for (int i = 0; i < FAMILIES; i++) {
        couple two;

        if (!join(&two, &everywhere[i]))
            continue;
        mpos_listener_close(two.listener, &two.address, true);
        say(&two.address, two.client, "still here");
        hear(&two.address, two.server, "still here");
        mpos_close(two.client);
        mpos_close(two.server);
    }
}

/* -- Accepting ------------------------------------------------------------- */

Test(os_socket, accepting_nobody_returns_at_once)
{
    for (int i = 0; i < FAMILIES; i++) {
        mpos_address address = everywhere[i];
        mpos_address peer = {.port = 77};
        mpos_handle listener;
        mpos_handle stream = MPOS_NONE;
        int64_t before = mpos_now();

        if (!listen_at(&address, &listener))
            continue;
        cr_assert_not(has_client(listener, 0));
        cr_assert_eq(mpos_accept(listener, &address, &peer, &stream),
                     MP_TIMED_OUT);
        cr_assert_eq(stream, MPOS_NONE);
        cr_assert_eq(peer.port, 77);
        cr_assert_lt(mpos_now() - before, SECONDS(5));
        mpos_listener_close(listener, &address, true);
    }
}

Test(os_socket, whoever_left_before_he_was_accepted_holds_nobody_up)
{
    for (int i = 0; i < FAMILIES; i++) {
        mpos_address address = everywhere[i];
        mpos_address peer;
        mpos_handle listener;
        mpos_handle client;
        mpos_handle stream;
        mp_error error;

        if (!listen_at(&address, &listener))
            continue;
        ok(mpos_connect(&address, mpos_now() + SECONDS(20), &client));
        mpos_close(client);
        error = mpos_accept(listener, &address, &peer, &stream);
        if (error == MP_OK) {
            hear(&address, stream, "");
            mpos_close(stream);
        } else {
            cr_assert_eq(error, MP_TIMED_OUT);
        }
        ok(mpos_connect(&address, mpos_now() + SECONDS(20), &client));
        cr_assert(has_client(listener, SECONDS(20)));
        ok(mpos_accept(listener, &address, &peer, &stream));
        mpos_close(client);
        mpos_close(stream);
        mpos_listener_close(listener, &address, true);
    }
}

Test(os_socket, clients_are_accepted_in_the_order_in_which_they_came)
{
    for (int i = 0; i < FAMILIES; i++) {
        static const char *const names[] = {"first", "second", "third"};
        mpos_address address = everywhere[i];
        mpos_address peer;
        mpos_handle listener;
        mpos_handle clients[3];
        mpos_handle stream;

        /* A pipe's clients wait in no line: see the port. */
        if (address.family == MPOS_PIPE || !listen_at(&address, &listener))
            continue;
        for (int k = 0; k < 3; k++) {
            ok(mpos_connect(&address, mpos_now() + SECONDS(20), &clients[k]));
            say(&address, clients[k], names[k]);
        }
        for (int k = 0; k < 3; k++) {
            cr_assert(has_client(listener, SECONDS(20)));
            ok(mpos_accept(listener, &address, &peer, &stream));
            hear(&address, stream, names[k]);
            mpos_close(stream);
            mpos_close(clients[k]);
        }
        mpos_listener_close(listener, &address, true);
    }
}

/* -- Addresses ------------------------------------------------------------- */

Test(os_socket, a_listener_says_where_it_is)
{
    for (int i = 0; i < FAMILIES; i++) {
        mpos_address address = everywhere[i];
        mpos_handle listener;

        if (!listen_at(&address, &listener))
            continue;
        cr_assert_eq(address.family, everywhere[i].family);
        cr_assert_str_not_empty(address.name);
        if (is_tcp(&address)) {
            cr_assert_str_eq(address.name, everywhere[i].name);
            cr_assert_neq(address.port, 0);
        }
        mpos_listener_close(listener, &address, true);
    }
}

Test(os_socket, a_host_is_told_by_its_number)
{
    mpos_address address = {.family = MPOS_INET, .name = "localhost"};
    mpos_handle listener;

    ok(mpos_listen(&address, BACKLOG, &listener));
    cr_assert_str_eq(address.name, "127.0.0.1");
    mpos_listener_close(listener, &address, true);
}

Test(os_socket, no_host_is_all_interfaces_and_to_a_client_this_machine)
{
    const mpos_address all = {.family = MPOS_INET};
    mpos_address near = all;
    couple two;
    mpos_handle client;

    cr_assert(join(&two, &all));
    cr_assert_str_eq(two.address.name, "0.0.0.0");
    near.port = two.address.port;
    ok(mpos_connect(&near, mpos_now() + SECONDS(20), &client));
    mpos_close(client);
    part(&two);
}

Test(os_socket, a_listener_learns_who_connects)
{
    for (int i = 0; i < FAMILIES; i++) {
        couple two;

        if (!join(&two, &everywhere[i]))
            continue;
        cr_assert_eq(two.peer.family, everywhere[i].family);
        if (is_tcp(&two.address)) {
            cr_assert_str_eq(two.peer.name, everywhere[i].name);
            cr_assert_neq(two.peer.port, 0);
            cr_assert_neq(two.peer.port, two.address.port);
        } else {
            cr_assert_str_empty(two.peer.name);
        }
        part(&two);
    }
}

Test(os_socket, names_that_the_library_finds_differ)
{
    for (int i = 0; i < FAMILIES; i++) {
        mpos_address one = everywhere[i];
        mpos_address other = everywhere[i];
        mpos_handle listeners[2];

        if (is_tcp(&one) || !listen_at(&one, &listeners[0]))
            continue;
        ok(mpos_listen(&other, BACKLOG, &listeners[1]));
        cr_assert_str_neq(one.name, other.name);
        mpos_listener_close(listeners[0], &one, true);
        mpos_listener_close(listeners[1], &other, true);
    }
}

Test(os_socket, where_somebody_listens_nobody_else_can)
{
    for (int i = 0; i < FAMILIES; i++) {
        mpos_address address = everywhere[i];
        mpos_address second;
        mpos_handle listener;
        mpos_handle none = MPOS_NONE;

        if (!listen_at(&address, &listener))
            continue;
        second = address;
        cr_assert_eq(mpos_listen(&second, BACKLOG, &none), MP_EADDRINUSE);
        cr_assert_eq(none, MPOS_NONE);
        /* And the first one has not noticed. */
        cr_assert_not(has_client(listener, 0));
        mpos_listener_close(listener, &address, true);
    }
}

Test(os_socket, an_address_can_be_had_again_as_soon_as_it_is_free)
{
    for (int i = 0; i < FAMILIES; i++) {
        mpos_address again;
        mpos_handle listener;
        couple two;

        if (!join(&two, &everywhere[i]))
            continue;
        /* TCP keeps the memory of this for a minute. */
        mpos_close(two.server);
        mpos_close(two.client);
        again = two.address;
        mpos_listener_close(two.listener, &two.address, true);
        ok(mpos_listen(&again, BACKLOG, &listener));
        mpos_listener_close(listener, &again, true);
    }
}

/* -- Failing --------------------------------------------------------------- */

Test(os_socket, where_nobody_listens_nobody_is_connected)
{
    for (int i = 0; i < FAMILIES; i++) {
        mpos_address address = everywhere[i];
        mpos_handle listener;
        mpos_handle stream = MPOS_NONE;
        mp_error error;

        if (!listen_at(&address, &listener))
            continue;
        mpos_listener_close(listener, &address, true);
        error = mpos_connect(&address, mpos_now() + SECONDS(20), &stream);
        if (is_tcp(&address) || address.is_abstract)
            cr_assert_eq(error, MP_EREFUSED);
        else
            cr_assert_eq(error, MP_ENOTFOUND);
        cr_assert_eq(stream, MPOS_NONE);
    }
}

/* That is no name, so nobody is asked for it. */
Test(os_socket, a_host_that_there_is_not_is_not_found)
{
    mpos_address address = {.family = MPOS_INET, .name = "::1", .port = 1};
    mpos_handle none = MPOS_NONE;

    cr_assert_eq(mpos_listen(&address, BACKLOG, &none), MP_ENOTFOUND);
    cr_assert_str_eq(address.name, "::1");
    cr_assert_eq(address.port, 1);
    cr_assert_eq(mpos_connect(&address, mpos_now(), &none), MP_ENOTFOUND);
    cr_assert_eq(none, MPOS_NONE);
    cr_assert_str_not_empty(mp_error_message());
}

/* Kept for documents: RFC 5737. */
Test(os_socket, a_host_of_somebody_elses_can_not_be_listened_at)
{
    mpos_address address = {.family = MPOS_INET, .name = "192.0.2.1"};
    mpos_handle none = MPOS_NONE;

    cr_assert_eq(mpos_listen(&address, BACKLOG, &none), MP_ENOTFOUND);
    cr_assert_eq(none, MPOS_NONE);
}

Test(os_socket, a_path_that_is_too_long_overflows)
{
    mpos_address address = {.family = MPOS_UNIX};
    mpos_handle none = MPOS_NONE;
    mp_error error;

    memset(address.name, 'x', MPOS_ADDRESS_MAX);
    error = mpos_listen(&address, BACKLOG, &none);
    if (error == MP_ENOTSUP)
        return;
    cr_assert_eq(error, MP_EOVERFLOW);
    cr_assert_eq(mpos_connect(&address, MPOS_FOREVER, &none), MP_EOVERFLOW);
    cr_assert_eq(none, MPOS_NONE);
}

/* Where the line is full, some systems say no at once. */
Test(os_socket, a_listener_that_accepts_nobody_holds_no_client_for_ever)
{
    enum { MOST = 600 };
    mpos_address address = {.family = MPOS_UNIX};
    mpos_handle clients[MOST];
    mpos_handle listener;
    size_t count = 0;
    mp_error error = mpos_listen(&address, 1, &listener);

    if (error == MP_ENOTSUP)
        return;
    ok(error);
    for (error = MP_OK; error == MP_OK && count < MOST;) {
        error = mpos_connect(&address, mpos_now() + MILLISECONDS(50),
                             &clients[count]);
        count += error == MP_OK;
    }
    cr_assert(error == MP_TIMED_OUT || error == MP_EREFUSED, "%s",
              mp_error_name(error));
    while (count > 0)
        mpos_close(clients[--count]);
    mpos_listener_close(listener, &address, true);
}

Test(os_socket, what_a_system_has_not_is_not_supported)
{
    mpos_address address = {.family = MPOS_PIPE};
    mpos_handle none = MPOS_NONE;
    uint64_t number = 0;
    size_t size = 0;
    char byte = 'x';

    if (!mpos_system.has_message_pipes) {
        cr_assert_eq(mpos_listen(&address, BACKLOG, &none), MP_ENOTSUP);
        cr_assert_eq(mpos_connect(&address, 0, &none), MP_ENOTSUP);
        cr_assert_eq(mpos_send_message(0, &byte, 1), MP_ENOTSUP);
        cr_assert_eq(mpos_recv_message(0, &byte, 1, &size, &size), MP_ENOTSUP);
        cr_assert_str_not_empty(mp_error_message());
    }
    if (mpos_system.has_fork) {
        cr_assert_eq(mpos_handle_give(mpos_pid(), 0, 0, &number), MP_ENOTSUP);
        mpos_handle_revoke(mpos_pid(), 0, 0);
    }
    cr_assert_eq(none, MPOS_NONE);
}

/* -- Who is there ---------------------------------------------------------- */

Test(os_socket, both_sides_learn_who_the_other_is)
{
    for (int i = 0; i < FAMILIES; i++) {
        mpos_peer peer = {0, false};
        couple two;

        if (is_tcp(&everywhere[i]) || !join(&two, &everywhere[i]))
            continue;
        ok(mpos_peer_of(two.server, &peer));
        cr_assert(peer.is_same_user);
        cr_assert(peer.pid == 0 || peer.pid == mpos_pid());
        peer.is_same_user = false;
        ok(mpos_peer_of(two.client, &peer));
        cr_assert(peer.is_same_user);
        cr_assert(peer.pid == 0 || peer.pid == mpos_pid());
        part(&two);
    }
}

Test(os_socket, nobody_knows_who_is_at_the_other_end_of_a_network)
{
    mpos_peer peer = {77, false};
    couple two;

    cr_assert(join(&two, &everywhere[0]));
    cr_assert_eq(mpos_peer_of(two.server, &peer), MP_ENOTSUP);
    cr_assert_eq(peer.pid, 77);
    part(&two);
}

/* -- Waiting for what is not ours ------------------------------------------ */

Test(os_socket, a_handle_that_is_none_is_refused)
{
    mpos_wait_item items[2];
    mpos_handle reader;
    mpos_handle writer;

    ok(mpos_pipe(&reader, &writer));
    items[0] = (mpos_wait_item){reader, MPOS_WAIT_READ, false};
    items[1] = (mpos_wait_item){MPOS_NONE, MPOS_WAIT_SOCKET, false};
    cr_assert_eq(mpos_wait(items, 2, MPOS_FOREVER), MP_EINVAL);
    items[1].kind = MPOS_WAIT_HANDLE;
    cr_assert_eq(mpos_wait(items, 2, MPOS_FOREVER), MP_EINVAL);
    mpos_close(writer);
    mpos_close(reader);
}

static mpos_wait_item stream_item(const couple *two)
{
    const mpos_wait_item item = {
        two->server, is_tcp(&two->address) ? MPOS_WAIT_SOCKET : MPOS_WAIT_READ,
        false};

    return item;
}

Test(os_socket, listeners_and_streams_are_waited_for_together)
{
    mpos_wait_item items[2 * FAMILIES];
    mpos_handle clients[FAMILIES];
    couple all[FAMILIES];
    size_t count = 0;

    for (int i = 0; i < FAMILIES; i++) {
        if (!join(&all[count], &everywhere[i]))
            continue;
        items[2 * count] =
            (mpos_wait_item){all[count].listener, MPOS_WAIT_LISTENER, false};
        items[2 * count + 1] = stream_item(&all[count]);
        count++;
    }
    cr_assert_eq(mpos_wait(items, 2 * count, 0), MP_TIMED_OUT);
    for (size_t i = 0; i < count; i++) {
        ok(mpos_connect(&all[i].address, mpos_now() + SECONDS(20),
                        &clients[i]));
        cr_assert(has_client(all[i].listener, SECONDS(20)));
        ok(mpos_wait(items, 2 * count, MPOS_FOREVER));
        for (size_t k = 0; k < count; k++) {
            cr_assert_eq(items[2 * k].is_ready, k <= i);
            cr_assert_not(items[2 * k + 1].is_ready);
        }
    }
    for (size_t i = 0; i < count; i++) {
        mpos_close(clients[i]);
        part(&all[i]);
    }
}

/* -- Nothing is left ------------------------------------------------------- */

static void connect_once(const mpos_address *address)
{
    couple two;

    if (join(&two, address))
        part(&two);
}

Test(os_socket, nothing_is_left_of_a_thousand_connections, .timeout = 120)
{
    size_t before;

    for (int i = 0; i < FAMILIES; i++)
        connect_once(&everywhere[i]);
    before = support_open_handles();
    for (int i = 0; i < FAMILIES; i++) {
        for (size_t k = support_scaled(200); k > 0; k--)
            connect_once(&everywhere[i]);
    }
    cr_assert_eq(support_open_handles(), before);
}

static void fail_once(const mpos_address *address)
{
    mpos_address where = *address;
    mpos_address second;
    mpos_address peer;
    mpos_handle listener;
    mpos_handle none = MPOS_NONE;

    if (!listen_at(&where, &listener))
        return;
    second = where;
    (void)mpos_listen(&second, BACKLOG, &none);
    (void)mpos_accept(listener, &where, &peer, &none);
    mpos_listener_close(listener, &where, true);
    (void)mpos_connect(&where, mpos_now(), &none);
    memset(where.name, 'x', MPOS_ADDRESS_MAX);
    (void)mpos_connect(&where, mpos_now(), &none);
    (void)mpos_listen(&where, BACKLOG, &none);
    cr_assert_eq(none, MPOS_NONE);
}

Test(os_socket, nothing_is_left_of_what_fails)
{
    size_t before;

    for (int i = 0; i < FAMILIES; i++)
        fail_once(&everywhere[i]);
    before = support_open_handles();
    for (int i = 0; i < FAMILIES; i++) {
        for (size_t k = support_scaled(20); k > 0; k--)
            fail_once(&everywhere[i]);
    }
    cr_assert_eq(support_open_handles(), before);
}
