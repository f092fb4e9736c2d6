/* SPDX-License-Identifier: MIT */
/*
 * Listener and client with every call into the system, and every allocation,
 * made to fail once: what fails has a sentence, leaks nothing, and the next
 * client is served.
 */
#include "support/check.h"
#include "support/listening.h"

#include "os_fault.h"

enum { MOST_CALLS = 200 };

#define KEY MP_AUTHKEY("secret")

static const mp_error errors[] = {MP_ENOMEM, MP_EMFILE, MP_EIO, MP_EPIPE};
enum { ERRORS = sizeof(errors) / sizeof(errors[0]) };

static void fails_well(mp_error err, const char *name, long n)
{
    cr_assert_neq(err, MP_OK, "%s, call %ld, is not noticed", name, n);
    cr_assert_str_not_empty(mp_error_message(), "%s, call %ld", name, n);
}

static support_family family;

/* When whoever else runs has closed what he closes. */
static size_t settled_handles(void)
{
    size_t handles = support_open_handles();

    for (int quiet = 0; quiet < 20; quiet++) {
        mp_sleep(0.005);
        if (support_open_handles() != handles) {
            handles = support_open_handles();
            quiet = 0;
        }
    }
    return handles;
}

/* Others may have a handle to close yet, or to open: one look that finds as
 * many tells nothing, nor would the next one have to. */
static void has_as_many(size_t handles, const char *after)
{
    int64_t end = mpos_now() + (int64_t)(SOON * 1e9);
    size_t found;

    do {
        found = settled_handles();
    } while (found != handles && mpos_now() < end);
    cr_assert_eq(found, handles, "%zu, not %zu, after %s, %s", found, handles,
                 after, family.name);
}

/* what() with each of its calls failing; until all are done. */
static void try_all(void (*what)(long n, mp_error error, bool *was_reached))
{
    size_t handles = 0;

    for (size_t i = 0; i < ERRORS; i++) {
        bool was_reached = true;

        for (long n = 1; was_reached; n++) {
            cr_assert_lt(n, MOST_CALLS);
            what(n, errors[i], &was_reached);
        }
        /* Some of the system's handles are made on first use. */
        if (i == 0)
            handles = settled_handles();
        has_as_many(handles, mp_error_name(errors[i]));
    }
}

/* -- Creating -------------------------------------------------------------- */

static void create(long n, mp_error error, bool *was_reached)
{
    mp_listener_options options = {.same_user_only = false};
    mp_listener *listener = NULL;
    const char *name;
    mp_error err;

    mpi_fault_arm(n, error);
    err = mp_listener_create(&listener, family.address, &options);
    *was_reached = mpi_fault_disarm(NULL, &name);
    if (*was_reached) {
        fails_well(err, name, n);
        cr_assert_null(listener);
        return;
    }
    ok(err);
    ok(mp_listener_close(listener));
}

static void in_every_family(void (*what)(long, mp_error, bool *))
{
    support_family families[5];
    size_t count = support_families(families);

    for (size_t i = 0; i < count; i++) {
        family = families[i];
        try_all(what);
    }
}

Test(fault, in_creating_a_listener_is_told)
{
    in_every_family(create);
}

/* -- Accepting ------------------------------------------------------------- */

/* Handshakes begun and not ended would be told by and by. */
static mp_listener *listen_impatiently(void)
{
    const mp_listener_options options = {.auth = KEY, .handshake_timeout = 5};
    mp_listener *listener = NULL;

    ok(mp_listener_create(&listener, family.address, &options));
    return listener;
}

static void serves_the_next(mp_listener *listener)
{
    mp_connection *accepted = NULL;
    support_client client;

    start_client(&client, listener, KEY);
    ok(mp_listener_accept(listener, SOON, &accepted));
    ok(mp_connection_close(accepted));
    end_client(&client, MP_OK);
}

/* Whatever fails in accept(), the client that was there is returned by the
 * next one, or was refused by this one. */
static void accept_one(long n, mp_error error, bool *was_reached)
{
    mp_listener *listener = listen_impatiently();
    mp_connection *accepted = NULL;
    support_client client;
    const char *name;
    mp_error err;

    start_client(&client, listener, KEY);
    mpi_fault_arm(n, error);
    err = mp_listener_accept(listener, SOON, &accepted);
    *was_reached = mpi_fault_disarm(NULL, &name);
    if (err != MP_OK) {
        fails_well(err, name, n);
        cr_assert(*was_reached, "%s", mp_error_message());
        cr_assert(err == error || err == MP_EAUTH || err == MP_ENOMEM, "%s: %s",
                  name, mp_error_name(err));
    }
    if (err != MP_OK && err != MP_EAUTH)
        ok(mp_listener_accept(listener, SOON, &accepted));
    if (accepted != NULL)
        ok(mp_connection_close(accepted));
    await(&client.is_done);
    end_client(&client, client.err);
    cr_assert(client.err == MP_OK || err == MP_EAUTH, "%s: %s", name,
              client.sentence);
    serves_the_next(listener);
    ok(mp_listener_close(listener));
}

Test(fault, in_accepting_loses_no_client, .timeout = 120)
{
    in_every_family(accept_one);
}

/* -- Connecting ------------------------------------------------------------ */

typedef struct server {
    mp_listener *listener;
    mpos_thread thread;
    mpi_atomic32 is_done;
} server;

static void serve(void *self)
{
    server *it = self;
    mp_connection *accepted;
    mp_error err;

    do {
        err = mp_listener_accept(it->listener, MP_FOREVER, &accepted);
        if (err == MP_OK)
            mp_check(mp_connection_close(accepted));
    } while (err != MP_ECLOSED);
    mpi_atomic32_store(&it->is_done, 1);
}

static mp_address to;

/* Who is there need not be known, unless same_user_only asks for it. */
static bool may_fail(const char *name)
{
    return strcmp(name, "mpos_peer_of") == 0 ||
           strcmp(name, "mpos_start_time") == 0;
}

static void connect_one(long n, mp_error error, bool *was_reached)
{
    const mp_client_options options = {.auth = KEY, .timeout = SOON};
    mp_connection *connection = NULL;
    const char *name;
    mp_error err;

    mpi_fault_arm(n, error);
    err = mp_client(&connection, to, &options);
    *was_reached = mpi_fault_disarm(NULL, &name);
    if (*was_reached && !may_fail(name)) {
        fails_well(err, name, n);
        cr_assert_null(connection);
    } else {
        ok(err);
        ok(mp_connection_close(connection));
    }
    /* The listener has noticed. */
    ok(mp_client(&connection, to, &options));
    ok(mp_connection_close(connection));
}

Test(fault, in_connecting_is_told, .timeout = 120)
{
    support_family families[5];
    size_t count = support_families(families);

    for (size_t i = 0; i < count; i++) {
        server it = {0};

        family = families[i];
        it.listener = listen_impatiently();
        to = *mp_listener_address(it.listener);
        ok(mpos_thread_start(serve, &it, &it.thread));
        try_all(connect_one);
        ok(mp_listener_close(it.listener));
        await(&it.is_done);
        mpos_thread_join(it.thread);
    }
}

/* -- Asking ---------------------------------------------------------------- */

static void print(long n, mp_error error, bool *was_reached)
{
    const mp_address address = mp_inet("localhost", 6000);
    const char *name;
    char *text = NULL;
    mp_error err;

    mpi_fault_arm(n, error);
    err = mp_address_repr(&address, &text);
    *was_reached = mpi_fault_disarm(NULL, &name);
    if (*was_reached) {
        fails_well(err, name, n);
        cr_assert_null(text);
        return;
    }
    ok(err);
    mp_free(text);
}

Test(fault, in_printing_an_address_is_told)
{
    try_all(print);
}
