/* SPDX-License-Identifier: MIT */
/* Listeners: wrong keys, clients that stall, several threads, forks, leaks. */
#include "support/check.h"
#include "support/listening.h"
#include "support/methods.h"

#include <stdlib.h>

#define KEY MP_AUTHKEY("secret")
#define OTHER_KEY MP_AUTHKEY("wrong")
#define HERE mp_inet("127.0.0.1", 0)

enum { STALLED = 20, WRONG = 200, SPEECH = 8192 };

static mp_listener *create(mp_listener_options options)
{
    mp_listener *listener = NULL;

    ok(mp_listener_create(&listener, HERE, &options));
    return listener;
}

/* An honest client is served within the time. */
static void serves_one(mp_listener *listener, double seconds)
{
    double start = mp_monotonic();
    mp_connection *accepted;
    support_client client;

    start_client(&client, listener, KEY);
    accepted = accept_client(listener);
    await(&client.is_done);
    cr_assert_lt(mp_monotonic() - start, seconds);
    can_talk(accepted, client.connection);
    dismiss_client(&client, accepted);
}

/* -- Keys ------------------------------------------------------------------ */

FAMILY_TEST(key, that_is_wrong_is_told_to_both_sides_in_every_family)
{
    mp_listener *listener = listen_at(family->address, KEY);
    support_client client;

    turns_away(listener, OTHER_KEY, &client);
    cr_assert_eq(mp_listener_last_accepted(listener).family,
                 mp_listener_address(listener)->family);
    serves_one(listener, SOON);
    ok(mp_listener_close(listener));
}

Test(key, that_is_wrong_is_told_to_both_sides_every_time, .timeout = 120)
{
    support_family families[5];
    size_t count = support_families(families);
    size_t tries = support_scaled(WRONG);

    for (size_t i = 0; i < count * tries; i++) {
        mp_listener *listener = listen_at(families[i % count].address, KEY);
        mp_connection *accepted = NULL;
        support_client client;

        start_client(&client, listener, OTHER_KEY);
        fails(mp_listener_accept(listener, SOON, &accepted), MP_EAUTH);
        ok(mp_listener_close(listener));
        end_client(&client, MP_EAUTH);
    }
}

Test(key, of_this_process_is_not_a_word_that_somebody_guesses)
{
    mp_listener *listener = listen_at(HERE, (mp_auth){0});
    support_client client;

    turns_away(listener, MP_AUTHKEY(""), &client);
    admits(listener, (mp_auth){0});
    ok(mp_listener_close(listener));
}

FAMILY_TEST(key, of_the_client_only_is_an_error_on_both_sides)
{
    mp_listener *listener = listen_at(family->address, MP_NO_AUTH);
    mp_connection *accepted;
    support_client client;
    mp_obj *obj = NULL;

    start_client_with(&client, *mp_listener_address(listener),
                      (mp_client_options){.auth = KEY, .timeout = 0.3});
    accepted = accept_client(listener);
    fails(mp_connection_recv(accepted, &obj), MP_EEOF);
    end_client(&client, MP_EAUTH);
    cr_assert_not_null(strstr(client.sentence, "no key"));
    ok(mp_connection_close(accepted));
    ok(mp_listener_close(listener));
}

static void recv_in_thread(void *self)
{
    support_client *client = self;
    mp_obj *obj = NULL;

    client->err = mp_connection_recv(client->connection, &obj);
    mpi_atomic32_store(&client->is_done, 1);
}

FAMILY_TEST(key, of_the_listener_only_is_an_error_on_both_sides)
{
    mp_listener_options options = {.auth = KEY, .handshake_timeout = 0.3};
    mp_connection *accepted = NULL;
    mp_listener *listener = NULL;
    support_client client = {0};

    ok(mp_listener_create(&listener, family->address, &options));
    client.connection = stall(listener);
    ok(mpos_thread_start(recv_in_thread, &client, &client.thread));
    fails(mp_listener_accept(listener, SOON, &accepted), MP_EAUTH);
    end_client(&client, MP_EAUTH);
    ok(mp_listener_close(listener));
}

Test(key, of_the_listener_only_fails_at_once_if_the_client_speaks)
{
    mp_listener *listener = listen_at(HERE, KEY);
    mp_connection *accepted = NULL;
    mp_connection *client = stall(listener);
    double start = mp_monotonic();

    ok(mp_connection_send(client, MP_BOX("hello")));
    fails(mp_listener_accept(listener, SOON, &accepted), MP_EAUTH);
    cr_assert_lt(mp_monotonic() - start, 4);
    ok(mp_connection_close(client));
    ok(mp_listener_close(listener));
}

/* To close a socket with something unread takes back what was said last. */
FAMILY_TEST(key, that_is_missing_is_told_to_who_is_still_speaking)
{
    mp_listener *listener = listen_at(family->address, KEY);
    mp_family here = mp_listener_address(listener)->family;
    mp_connection *client, *accepted = NULL;
    char speech[SPEECH] = {0};
    mp_obj *obj = NULL;

    if (here == MP_FAMILY_INET || here == MP_FAMILY_INET6) {
        client = stall(listener);
        ok(mp_connection_send_bytes(client, speech, sizeof(speech)));
        fails(mp_listener_accept(listener, SOON, &accepted), MP_EAUTH);
        ok(mp_connection_send_bytes(client, speech, sizeof(speech)));
        cr_assert_eq(mp_listener_accept(listener, 0, &accepted), MP_TIMED_OUT);
        fails(mp_connection_recv(client, &obj), MP_EAUTH);
        ok(mp_connection_close(client));
    }
    ok(mp_listener_close(listener));
}

/* Whoever is refused and goes on for ever is listened to for a while only. */
Test(key, that_is_missing_ends_a_speech_without_an_end)
{
    mp_listener *listener = listen_at(HERE, KEY);
    mp_connection *accepted = NULL;
    mp_connection *clients[STALLED];
    double start;

    for (int i = 0; i < STALLED; i++) {
        clients[i] = stall(listener);
        ok(mp_connection_send_bytes(clients[i], clients, sizeof(clients)));
    }
    for (int i = 0; i < STALLED; i++)
        fails(mp_listener_accept(listener, SOON, &accepted), MP_EAUTH);
    start = mp_monotonic();
    for (int i = 0; i < STALLED; i++) {
        while (mp_connection_send_bytes(clients[i], "more", 4) == MP_OK)
            cr_assert_eq(mp_listener_accept(listener, 0.05, &accepted),
                         MP_TIMED_OUT);
        cr_assert_lt(mp_monotonic() - start, SOON);
        ok(mp_connection_close(clients[i]));
    }
    serves_one(listener, SOON);
    ok(mp_listener_close(listener));
}

/* -- Time ------------------------------------------------------------------ */

Test(handshake, that_takes_too_long_is_over)
{
    mp_listener *listener =
        create((mp_listener_options){.auth = KEY, .handshake_timeout = 0.2});
    mp_connection *client = stall(listener);
    mp_connection *accepted = NULL;
    double start = mp_monotonic();

    fails(mp_listener_accept(listener, SOON, &accepted), MP_EAUTH);
    cr_assert_geq(mp_monotonic() - start, 0.15);
    cr_assert_lt(mp_monotonic() - start, SOON / 2);
    cr_assert_eq(mp_listener_accept(listener, 0, &accepted), MP_TIMED_OUT);
    ok(mp_connection_close(client));
    ok(mp_listener_close(listener));
}

Test(handshake, with_a_listener_that_does_not_accept_is_over_in_time)
{
    mp_listener *listener = create((mp_listener_options){.auth = KEY});
    mp_client_options options = {.auth = KEY, .timeout = 0.2};
    mp_connection *connection = NULL;
    double start = mp_monotonic();

    fails(mp_client(&connection, *mp_listener_address(listener), &options),
          MP_EAUTH);
    cr_assert_lt(mp_monotonic() - start, SOON / 2);
    cr_assert_null(connection);
    ok(mp_listener_close(listener));
}

Test(handshake, is_not_held_up_by_twenty_that_stall)
{
    mp_listener *listener = listen_at(HERE, KEY);
    mp_connection *stalled[STALLED];

    for (int i = 0; i < STALLED; i++)
        stalled[i] = stall(listener);
    serves_one(listener, 2);
    for (int i = 0; i < STALLED; i++)
        ok(mp_connection_close(stalled[i]));
    ok(mp_listener_close(listener));
}

/* Those that say nothing go when others knock, but not before. */
Test(handshake, is_had_soon_even_if_all_are_taken)
{
    mp_listener *listener = create((mp_listener_options){
        .auth = KEY, .handshakes = 4, .handshake_timeout = 30});
    mp_connection *stalled[STALLED / 2];
    mp_connection *accepted = NULL;
    support_client client;
    int evicted = 0;
    mp_error err;

    for (int i = 0; i < STALLED / 2; i++)
        stalled[i] = stall(listener);
    start_client(&client, listener, KEY);
    while ((err = mp_listener_accept(listener, SOON, &accepted)) == MP_EAUTH)
        evicted++;
    ok(err);
    cr_assert_geq(evicted, STALLED / 2 - 3);
    cr_assert_leq(evicted, STALLED / 2);
    dismiss_client(&client, accepted);
    for (int i = 0; i < STALLED / 2; i++)
        ok(mp_connection_close(stalled[i]));
    ok(mp_listener_close(listener));
}

Test(handshake, with_who_leaves_at_once_is_told_once)
{
    mp_listener *listener = listen_at(HERE, KEY);
    mp_connection *accepted = NULL;

    for (int i = 0; i < STALLED; i++)
        ok(mp_connection_close(stall(listener)));
    for (int i = 0; i < STALLED; i++)
        fails(mp_listener_accept(listener, SOON, &accepted), MP_EAUTH);
    cr_assert_eq(mp_listener_accept(listener, 0, &accepted), MP_TIMED_OUT);
    serves_one(listener, SOON);
    ok(mp_listener_close(listener));
}

/* What comes right after the handshake is not read with it. */
FAMILY_TEST(handshake, leaves_the_first_message_alone)
{
    mp_listener *listener = listen_at(family->address, KEY);
    mp_connection *accepted;
    support_client client;

    start_client(&client, listener, KEY);
    accepted = accept_client(listener);
    ok(mp_connection_send_bytes(accepted, "#CHALLENGE#", 11));
    await(&client.is_done);
    can_talk(client.connection, accepted);
    dismiss_client(&client, accepted);
    ok(mp_listener_close(listener));
}

/* -- Threads --------------------------------------------------------------- */

typedef struct server {
    mp_listener *listener;
    mp_error err;
    int served;
    mpos_thread thread;
    mpi_atomic32 is_done;
} server;

/* Until it fails. */
static void serve(void *self)
{
    server *it = self;
    mp_connection *accepted;

    for (;;) {
        it->err = mp_listener_accept(it->listener, MP_FOREVER, &accepted);
        if (it->err != MP_OK)
            break;
        it->served++;
        mp_check(mp_connection_close(accepted));
    }
    mpi_atomic32_store(&it->is_done, 1);
}

static void close_under(mp_listener *listener, server *servers, int count)
{
    for (int i = 0; i < count; i++) {
        servers[i] = (server){.listener = listener};
        ok(mpos_thread_start(serve, &servers[i], &servers[i].thread));
    }
    mp_sleep(0.05);
}

static void end_server(server *it)
{
    await(&it->is_done);
    mpos_thread_join(it->thread);
}

FAMILY_TEST(closing, wakes_those_who_wait_in_accept)
{
    mp_listener *listener = listen_at(family->address, KEY);
    server servers[3];

    close_under(listener, servers, 3);
    ok(mp_listener_close(listener));
    for (int k = 0; k < 3; k++) {
        end_server(&servers[k]);
        cr_assert_eq(servers[k].err, MP_ECLOSED);
    }
}

Test(closing, sends_clients_away_that_are_not_accepted)
{
    mp_listener *listener = listen_at(HERE, KEY);
    mp_connection *accepted = NULL;
    mp_connection *client = stall(listener);
    mp_obj *obj = NULL;

    cr_assert_eq(mp_listener_accept(listener, 0.05, &accepted), MP_TIMED_OUT);
    ok(mp_listener_close(listener));
    fails(mp_connection_recv(client, &obj), MP_EAUTH);
    ok(mp_connection_close(client));
}

FAMILY_TEST(threads, share_the_clients_among_them)
{
    enum { SERVERS = 4, ROUNDS = 25, CLIENTS = 4 };
    mp_listener *listener = listen_at(family->address, KEY);
    server servers[SERVERS];
    int served = 0;

    close_under(listener, servers, SERVERS);
    for (int round = 0; round < ROUNDS; round++) {
        support_client clients[CLIENTS];

        for (int k = 0; k < CLIENTS; k++)
            start_client(&clients[k], listener, KEY);
        for (int k = 0; k < CLIENTS; k++)
            end_client(&clients[k], MP_OK);
    }
    ok(mp_listener_close(listener));
    for (int k = 0; k < SERVERS; k++) {
        end_server(&servers[k]);
        cr_assert_eq(servers[k].err, MP_ECLOSED);
        served += servers[k].served;
    }
    /* The last ones may have been sent away after they were through. */
    cr_assert_geq(served, ROUNDS * CLIENTS - CLIENTS);
    cr_assert_leq(served, ROUNDS * CLIENTS);
}

/* One that is gone with its client leaves the handshakes of others behind. */
Test(threads, take_over_what_another_one_has_begun)
{
    mp_listener *listener = listen_at(HERE, KEY);
    mp_connection *stalled[STALLED];
    mp_connection *accepted = NULL;
    support_client client;
    server servers[2];

    for (int i = 0; i < STALLED; i++)
        stalled[i] = stall(listener);
    /* Begins all of them, and is gone. */
    cr_assert_eq(mp_listener_accept(listener, 0.1, &accepted), MP_TIMED_OUT);
    close_under(listener, servers, 2);
    for (int i = 0; i < 10; i++) {
        start_client(&client, listener, KEY);
        end_client(&client, MP_OK);
    }
    for (int i = 0; i < STALLED; i++)
        ok(mp_connection_close(stalled[i]));
    end_server(&servers[0]);
    end_server(&servers[1]);
    cr_assert_eq(servers[0].err, MP_EAUTH);
    ok(mp_listener_close(listener));
}

/* -- Waiting with others --------------------------------------------------- */

Test(wait, serves_a_listener_among_others)
{
    mp_listener *listener = listen_at(HERE, KEY);
    mp_wait_item items[] = {MP_WAIT(listener), MP_WAIT(listener)};
    mp_connection *accepted = NULL;
    support_client client;

    cr_assert_eq(mp_wait(items, 2, 0.05), MP_TIMED_OUT);
    start_client(&client, listener, KEY);
    ok(mp_wait(items, 2, SOON));
    cr_assert(items[0].is_ready || items[1].is_ready);
    ok(mp_listener_accept(listener, 0, &accepted));
    dismiss_client(&client, accepted);
    start_client(&client, listener, OTHER_KEY);
    ok(mp_wait(items, 1, SOON));
    fails(mp_listener_accept(listener, 0, &accepted), MP_EAUTH);
    end_client(&client, MP_EAUTH);
    ok(mp_listener_close(listener));
}

/* -- Processes ------------------------------------------------------------- */

static int connect_to_parent(mp_args *args)
{
    const mp_address address =
        mp_inet("127.0.0.1", (unsigned)mp_arg_int(args, 0));
    mp_connection *connection = NULL;

    mp_check(mp_client(&connection, address, NULL));
    mp_check(mp_connection_send(connection, MP_BOX(7)));
    mp_check(mp_connection_close(connection));
    return 0;
}

METHOD_TEST(child, knows_the_key_of_its_parent)
{
    mp_listener *listener = listen_at(HERE, (mp_auth){0});
    int port = (int)mp_listener_address(listener)->port;
    mp_process *process =
        support_start(method, connect_to_parent, MP_ARGS(port));
    mp_connection *accepted = NULL;
    mp_obj *obj = NULL;
    int code = -1;

    ok(mp_listener_accept(listener, SOON, &accepted));
    ok(mp_connection_recv(accepted, &obj));
    mp_obj_unref(obj);
    ok(mp_connection_close(accepted));
    ok(mp_process_join(process, MP_FOREVER));
    ok(mp_process_exitcode(process, &code));
    cr_assert_eq(code, 0);
    ok(mp_process_close(process));
    ok(mp_listener_close(listener));
}

static mp_listener *inherited;
static mp_connection *inherited_client;

static int use_inherited(mp_args *args)
{
    mp_connection *accepted = NULL;
    int failures = 0;

    (void)args;
    if (inherited == NULL) /* not forked */
        return 0;
    failures += mp_listener_accept(inherited, 0, &accepted) != MP_ECLOSED;
    failures += mp_listener_address(inherited)->port != 0;
    failures += mp_listener_close(inherited) != MP_ECLOSED;
    return failures;
}

METHOD_TEST(child, does_not_have_its_parents_listeners)
{
    mp_listener *listener =
        listen_at((mp_address){.family = MP_FAMILY_DEFAULT}, KEY);
    mp_connection *accepted = NULL;
    mp_process *process;
    int code = -1;

    inherited = listener;
    /* One handshake is under way. */
    inherited_client = stall(listener);
    cr_assert_eq(mp_listener_accept(listener, 0.05, &accepted), MP_TIMED_OUT);
    process = support_start(method, use_inherited, NULL);
    ok(mp_process_join(process, MP_FOREVER));
    ok(mp_process_exitcode(process, &code));
    cr_assert_eq(code, 0);
    ok(mp_process_close(process));
    ok(mp_connection_close(inherited_client));
    fails(mp_listener_accept(listener, SOON, &accepted), MP_EAUTH);
    serves_one(listener, SOON);
    ok(mp_listener_close(listener));
}

static int sleep_long(mp_args *args)
{
    (void)args;
    mp_sleep(60);
    return 0;
}

/* Its copies of what was under way are closed: the client sees the end. */
METHOD_TEST(child, keeps_no_client_connected)
{
    mp_listener *listener = listen_at(HERE, KEY);
    mp_connection *client = stall(listener);
    mp_connection *accepted = NULL;
    mp_process *process;
    mp_obj *obj = NULL;

    cr_assert_eq(mp_listener_accept(listener, 0.05, &accepted), MP_TIMED_OUT);
    process = support_start(method, sleep_long, NULL);
    mp_sleep(0.2);
    ok(mp_listener_close(listener));
    fails(mp_connection_recv(client, &obj), MP_EAUTH);
    ok(mp_connection_close(client));
    ok(mp_process_kill(process));
    ok(mp_process_join(process, MP_FOREVER));
    ok(mp_process_close(process));
}

/* -- Leaks ----------------------------------------------------------------- */

static void round_trips(const support_family *family, size_t count)
{
    mp_listener *listener = listen_at(family->address, KEY);
    mp_address address = *mp_listener_address(listener);
    mp_client_options options = {.auth = KEY};
    server it[1];

    close_under(listener, it, 1);
    for (size_t i = 0; i < count; i++) {
        mp_connection *connection = NULL;

        ok(mp_client(&connection, address, &options));
        ok(mp_connection_close(connection));
    }
    ok(mp_listener_close(listener));
    end_server(&it[0]);
}

Test(leaks, ten_thousand_connections_leave_nothing, .timeout = 120)
{
    support_family families[5];
    size_t count = support_families(families);
    size_t handles, memory;

    for (size_t i = 0; i < count; i++) {
        round_trips(&families[i], 600);
        handles = support_open_handles();
        memory = support_memory_in_use();
        round_trips(&families[i], support_scaled(10000) / count);
        cr_assert_eq(support_open_handles(), handles, "%s", families[i].name);
        if (!support_is_watched())
            cr_assert_lt(support_memory_in_use(), memory + 1000000, "%s",
                         families[i].name);
    }
}

Test(leaks, refusals_leave_nothing)
{
    mp_listener *listener = listen_at(HERE, KEY);
    mp_connection *accepted = NULL;
    size_t handles = 0;

    for (int i = 0; i < 300; i++) {
        if (i == 5)
            handles = support_open_handles();
        ok(mp_connection_close(stall(listener)));
        fails(mp_listener_accept(listener, SOON, &accepted), MP_EAUTH);
    }
    cr_assert_eq(support_open_handles(), handles);
    ok(mp_listener_close(listener));
}
