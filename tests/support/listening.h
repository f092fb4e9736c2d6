/* SPDX-License-Identifier: MIT */
/* Listeners of every family that this system has, and clients in threads. */
#ifndef SUPPORT_LISTENING_H
#define SUPPORT_LISTENING_H

#include "expect.h"
#include "system.h"

#include "os.h"

#include <string.h>

/* More than enough for anything that is to happen. */
#define SOON 20.0

typedef struct support_family {
    const char *name;
    mp_address address; /* a new one each time */
} support_family;

/* Those that are here; returns how many. */
static inline size_t support_families(support_family out[5])
{
    const support_family all[] = {
        {"INET", mp_inet("127.0.0.1", 0)},
        {"INET6", mp_inet6("::1", 0)},
        {"UNIX", mp_unix(NULL)},
        {"PIPE", mp_named_pipe(NULL)},
        {"default", {.family = MP_FAMILY_DEFAULT}},
    };
    size_t count = 0;

    for (size_t i = 0; i < 5; i++) {
        mp_listener *listener;
        mp_error err = mp_listener_create(&listener, all[i].address, NULL);

        if (err == MP_ENOTSUP || (i == 1 && err == MP_ENOTFOUND))
            continue;
        cr_assert_eq(err, MP_OK, "%s: %s", all[i].name, mp_error_message());
        ok(mp_listener_close(listener));
        out[count++] = all[i];
    }
    cr_assert_geq(count, 2);
    return count;
}

/* check() with each of them. */
static inline void
support_each_family(void (*check)(const support_family *family))
{
    support_family families[5];
    size_t count = support_families(families);

    for (size_t i = 0; i < count; i++)
        check(&families[i]);
}

/* A test whose body is run with each `family` that is here. */
#define FAMILY_TEST(suite, name)                              \
    static void suite##_##name(const support_family *family); \
    Test(suite, name)                                         \
    {                                                         \
        support_each_family(suite##_##name);                  \
    }                                                         \
    static void suite##_##name(const support_family *family)

static inline mp_listener *listen_at(mp_address address, mp_auth auth)
{
    const mp_listener_options options = {.auth = auth, .handshake_timeout = 5};
    mp_listener *listener = NULL;

    ok(mp_listener_create(&listener, address, &options));
    return listener;
}

/* Connects, and says nothing. */
static inline mp_connection *stall(const mp_listener *listener)
{
    const mp_client_options options = {.auth = MP_NO_AUTH};
    mp_connection *connection = NULL;

    ok(mp_client(&connection, *mp_listener_address(listener), &options));
    return connection;
}

/* -- A client in a thread of its own --------------------------------------- */

typedef struct support_client {
    mp_address address;
    mp_client_options options;
    mp_connection *connection; /* NULL if it failed */
    mp_error err;
    char sentence[200];
    mpos_thread thread;
    mpi_atomic32 is_done;
} support_client;

static inline void support_run_client(void *self)
{
    support_client *client = self;
    mp_connection *connection = NULL;

    client->err = mp_client(&connection, client->address, &client->options);
    if (client->err != MP_OK)
        strncpy(client->sentence, mp_error_message(),
                sizeof(client->sentence) - 1);
    client->connection = connection;
    mpi_atomic32_store(&client->is_done, 1);
}

static inline void start_client_with(support_client *client, mp_address address,
                                     mp_client_options options)
{
    memset(client, 0, sizeof(*client));
    client->address = address;
    client->options = options;
    ok(mpos_thread_start(support_run_client, client, &client->thread));
}

static inline void start_client(support_client *client,
                                const mp_listener *listener, mp_auth auth)
{
    start_client_with(client, *mp_listener_address(listener),
                      (mp_client_options){.auth = auth});
}

static inline void await(const mpi_atomic32 *flag)
{
    int64_t end = mpos_now() + (int64_t)(SOON * 1e9);

    while (mpi_atomic32_load(flag) == 0) {
        cr_assert_lt(mpos_now(), end, "it does not happen");
        mpos_sleep_until(mpos_now() + 200000);
    }
}

/* Closes its connection, too. Once for each that was started. */
static inline void end_client(support_client *client, mp_error expected)
{
    await(&client->is_done);
    mpos_thread_join(client->thread);
    cr_assert_eq(client->err, expected, "%s, not %s: %s",
                 mp_error_name(client->err), mp_error_name(expected),
                 client->sentence);
    if (client->connection != NULL)
        ok(mp_connection_close(client->connection));
}

/* The client that has been started is accepted: the end of this side. */
static inline mp_connection *accept_client(mp_listener *listener)
{
    mp_connection *accepted = NULL;

    ok(mp_listener_accept(listener, SOON, &accepted));
    return accepted;
}

/* Closes both ends of what was accepted. */
static inline void dismiss_client(support_client *client,
                                  mp_connection *accepted)
{
    ok(mp_connection_close(accepted));
    end_client(client, MP_OK);
}

/* A client with this key comes and is accepted; no more than that. */
static inline void admits(mp_listener *listener, mp_auth auth)
{
    support_client client;

    start_client(&client, listener, auth);
    dismiss_client(&client, accept_client(listener));
}

/* A client with this key, which is another one, is told so, as we are; its
 * sentence is left in *client. */
static inline void turns_away(mp_listener *listener, mp_auth auth,
                              support_client *client)
{
    mp_connection *accepted = NULL;

    start_client(client, listener, auth);
    fails(mp_listener_accept(listener, SOON, &accepted), MP_EAUTH);
    cr_assert_null(accepted);
    end_client(client, MP_EAUTH);
}

/* A message from one to the other. */
static inline void can_talk(mp_connection *one, mp_connection *other)
{
    int64_t number = 0;
    mp_obj *obj = NULL;

    ok(mp_connection_send(one, MP_BOX(42)));
    ok(mp_connection_recv(other, &obj));
    ok(mp_obj_as_int(obj, &number));
    mp_obj_unref(obj);
    cr_assert_eq(number, 42);
}

#endif
