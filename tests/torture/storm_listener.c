/* SPDX-License-Identifier: MIT */
/*
 * Storms on listeners: clients are killed at any moment of their visit, and the
 * others are served; listeners are killed, clients are told, and the next one
 * takes the address over.
 */
#include "torture.h"

#include "support/check.h"
#include "support/killer.h"

#include <stdio.h>
#include <string.h>

#define KEY MP_AUTHKEY("secret of a storm")

enum { CLIENTS = 4 };

/* -- Addresses ------------------------------------------------------------- */

/* One that can be used again. */
static mp_address lasting_address(const char *folder)
{
    char text[SUPPORT_PATH_SIZE];
    char name[TORTURE_NAME_SIZE];

    torture_name(name);
    if (mpos_system.has_message_pipes) {
        snprintf(text, sizeof(text), "\\\\.\\pipe\\%s", name);
        return mp_named_pipe(text);
    }
    support_join_path(folder, "it", text);
    return mp_unix(text);
}

static mp_address any_address(void)
{
    if (torture_chance(2) == 0 && !support_keeps_sockets())
        return mp_inet("127.0.0.1", 0);
    return mpos_system.has_message_pipes ? mp_named_pipe(NULL) : mp_unix(NULL);
}

static mp_obj *box_address(const mp_address *address)
{
    return MP_BYTES(address, sizeof(*address));
}

static mp_address arg_address(mp_args *args, size_t place)
{
    mp_address address;
    const void *bytes;
    size_t size;

    mp_check(mp_obj_as_bytes(mp_arg_obj(args, place), &bytes, &size));
    memcpy(&address, bytes, sizeof(address));
    return address;
}

/* -- Visits ---------------------------------------------------------------- */

static mp_error greet(mp_connection *host)
{
    mp_obj *answer = NULL;
    mp_error err = mp_connection_send(host, MP_BOX("hello"));

    if (err == MP_OK)
        err = mp_connection_recv(host, &answer);
    mp_obj_unref(answer);
    return err;
}

static mp_error visit(const mp_address *address)
{
    const mp_client_options options = {.auth = KEY};
    mp_connection *host = NULL;
    mp_error err = mp_client(&host, *address, &options);

    if (err == MP_OK)
        err = greet(host);
    mp_connection_close(host);
    return err;
}

/* What comes is sent back. False: the guest was killed. */
static bool entertain(mp_connection *guest)
{
    mp_obj *obj = NULL;
    mp_error err = mp_connection_recv(guest, &obj);

    if (err == MP_OK)
        err = mp_connection_send(guest, obj);
    ok(mp_connection_close(guest));
    return err == MP_OK;
}

/* -- Clients are killed ---------------------------------------------------- */

/* (address) */
static int visit_for_ever(mp_args *args)
{
    mp_address address = arg_address(args, 0);

    for (;;)
        mp_check(visit(&address));
}

typedef struct house {
    mp_listener *listener;
    mp_process *clients[CLIENTS];
    size_t served;
    size_t failed; /* visits: of the killed */
    size_t own;    /* handles: the listener's */
} house;

/* False: nobody came. */
static bool serve_a_moment(house *it, double seconds)
{
    mp_connection *guest = NULL;
    mp_error err = mp_listener_accept(it->listener, seconds, &guest);
    bool is_served = false;

    if (err == MP_TIMED_OUT)
        return false;
    if (err == MP_OK)
        is_served = entertain(guest);
    else
        cr_assert_eq(err, MP_EAUTH, "%s: %s", mp_error_name(err),
                     mp_error_message());
    if (is_served)
        it->served++;
    else
        it->failed++;
    torture_checked(1);
    return true;
}

static void serve_for(house *it, int64_t time)
{
    int64_t end = mpos_now() + time;

    while (mpos_now() < end)
        (void)serve_a_moment(it, 0.001);
}

/* All who are left have been served: so many more, in turn. */
static void expect_service(house *it)
{
    size_t before = it->served;
    int64_t began = mpos_now();

    torture_waits_for("clients that are to be served");
    while (it->served < before + CLIENTS) {
        (void)serve_a_moment(it, 0.001);
        cr_assert_not(
            torture_is_too_long(mpos_now() - began, INT64_C(2000000000)));
    }
    torture_recovered(mpos_now() - began);
}

static void start_client(house *it, const storm_round *round, uint32_t place)
{
    it->clients[place] =
        torture_start(round->method, visit_for_ever,
                      MP_ARGS(box_address(mp_listener_address(it->listener))));
}

static void open_house(house *it)
{
    const mp_listener_options options = {.auth = KEY};
    size_t before = support_open_handles();

    *it = (house){.listener = NULL};
    ok(mp_listener_create(&it->listener, any_address(), &options));
    it->own = support_open_handles() - before;
}

/* All clients are dead: none keeps its place until its time is up. */
static void close_house(house *it)
{
    size_t before;

    while (serve_a_moment(it, 0.02))
        continue;
    before = support_open_handles();
    ok(mp_listener_close(it->listener));
    if (!mpos_system.has_message_pipes) /* which wait in handles of their own */
        cr_assert_eq(before - support_open_handles(), it->own,
                     "the dead have kept handles");
}

static void storm_clients(const storm_round *round)
{
    house it;

    open_house(&it);
    for (uint32_t i = 0; i < CLIENTS; i++)
        start_client(&it, round, i);
    for (int i = 0; i < round->kills; i++) {
        uint32_t place = torture_chance(CLIENTS);

        serve_for(&it, (int64_t)torture_chance(4000) * 1000);
        torture_kill(it.clients[place], "client");
        expect_service(&it);
        start_client(&it, round, place);
    }
    expect_service(&it);
    /* Two visits at most: one that is accepted, and one that is under way. */
    cr_assert_leq(it.failed, 2 * (size_t)round->kills, "%zu visits failed",
                  it.failed);
    for (uint32_t i = 0; i < CLIENTS; i++)
        torture_kill(it.clients[i], "client");
    close_house(&it);
}

/* -- The listener is killed ------------------------------------------------ */

/* (address, connection): says that it listens, and serves. */
static int serve_for_ever(mp_args *args)
{
    const mp_listener_options options = {.auth = KEY};
    mp_address address = arg_address(args, 0);
    house it = {.listener = NULL};

    mp_check(mp_listener_create(&it.listener, address, &options));
    mp_check(mp_connection_send(mp_arg_connection(args, 1), MP_NONE));
    for (;;) {
        mp_connection *guest = NULL;

        if (mp_listener_accept(it.listener, 1, &guest) == MP_OK)
            (void)entertain(guest);
    }
}

static mp_process *start_listener(const storm_round *round,
                                  const mp_address *address)
{
    mp_connection *ours, *theirs;
    mp_process *process;
    mp_obj *word = NULL;

    torture_waits_for("a listener that takes the address over");
    ok(mp_pipe(&ours, &theirs, NULL));
    process = torture_start(round->method, serve_for_ever,
                            MP_ARGS(box_address(address), theirs));
    ok(mp_connection_close(theirs));
    ok(mp_connection_recv(ours, &word));
    mp_obj_unref(word);
    ok(mp_connection_close(ours));
    return process;
}

/* It has died before, meanwhile, or on the way out. */
static void expect_nobody(mp_error err)
{
    cr_assert(err == MP_EREFUSED || err == MP_EEOF || err == MP_EPIPE ||
                  (err == MP_ENOTFOUND && mpos_system.has_message_pipes),
              "%s: %s", mp_error_name(err), mp_error_message());
}

/* Guests come until there is nobody any more. */
static void kill_a_listener(const storm_round *round, const mp_address *address)
{
    mp_process *listener = start_listener(round, address);
    int visits = 0;
    mp_error err;
    killer it;

    ok(visit(address));
    begin_killing(&it, mp_process_pid(listener), torture_time(0.004));
    torture_waits_for("an answer, or word that there is none");
    while ((err = visit(address)) == MP_OK)
        visits++;
    expect_nobody(err);
    end_killing(&it);
    torture_recovered(mpos_now() - it.killed);
    torture_bury(listener, "listener");
    torture_checked((size_t)visits + 1);
}

static void storm_listeners(const storm_round *round)
{
    char folder[SUPPORT_PATH_SIZE];
    mp_address address;

    support_make_folder("mp-storm-", folder);
    address = lasting_address(folder);
    for (int i = 0; i < round->kills; i++)
        kill_a_listener(round, &address);
    support_remove_folder(folder);
}

const storm torture_listeners[] = {
    {"listener/clients",
     "clients of a Listener, in the handshake and after: the others are served "
     "within a second",
     15, NULL, storm_clients},
    {"listener/itself",
     "a Listener: clients are told, and the next one takes its address over",
     10, NULL, storm_listeners},
    {.name = NULL},
};
