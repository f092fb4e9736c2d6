/* SPDX-License-Identifier: MIT */
/* Strangers that prove themselves to a listener; in turns on one processor, as
 * in rows_connection.c. */
#include "bare.h"
#include "bench.h"
#include "partner.h"
#include "python.h"
#include "stream.h"
#include "system.h"

#include <stdio.h>

enum { SEQUENCE = 10000, FIRST = SEQUENCE / 10, GROWN = 3 };

/* malloc's own housekeeping; a leak of 100 bytes a client would be more. */
#define GROWTH_ALLOWED ((size_t)512 << 10)

static mp_address place;

/* Handles and memory, once what is made once is there. */
typedef struct holdings {
    size_t handles;
    size_t memory;
} holdings;

static holdings count_holdings(void)
{
    return (holdings){system_count_handles(), system_count_memory()};
}

static bool is_as(holdings before, const char *who)
{
    holdings now = count_holdings();

    if (now.handles <= before.handles &&
        now.memory < before.memory + GROWTH_ALLOWED)
        return true;
    fprintf(stderr, "%s: handles %zu to %zu, memory %zu to %zu KiB\n", who,
            before.handles, now.handles, before.memory / 1024,
            now.memory / 1024);
    return false;
}

/* Tells where it listens, and serves until one comes with another key. */
static int receive_guests(mp_args *args)
{
    mp_listener_options options = {.auth = MP_AUTHKEY("secret")};
    mp_listener *listener;
    mp_connection *guest;
    holdings before = {0, 0};
    mp_error err;
    int guests = 0;

    mp_check(mp_listener_create(&listener, (mp_address){.port = 0}, &options));
    mp_check(mp_connection_send_bytes(mp_arg_connection(args, 0),
                                      mp_listener_address(listener),
                                      sizeof(mp_address)));
    while ((err = mp_listener_accept(listener, MP_FOREVER, &guest)) == MP_OK) {
        mp_check(mp_connection_close(guest));
        if (++guests == FIRST)
            before = count_holdings();
    }
    if (guests > FIRST && !is_as(before, "the listener"))
        return GROWN;
    mp_check(mp_listener_close(listener));
    return err == MP_EAUTH ? 0 : 1;
}

static void open_our_door(void)
{
    size_t size;

    partner_start(receive_guests, 0);
    mp_check(mp_connection_recv_bytes_into(partner_link, &place, sizeof(place),
                                           &size));
}

static const char *open_door(void)
{
    python_is_present();
    bare_stay(true);
    open_our_door();
    return NULL;
}

static mp_error knock(const char *key)
{
    mp_client_options options = {.auth = MP_AUTHKEY(key)};
    mp_connection *connection;
    mp_error err = mp_client(&connection, place, &options);

    return err != MP_OK ? err : mp_connection_close(connection);
}

static void close_door(void)
{
    bench_require(knock("another") == MP_EAUTH, "who is wrong stays outside");
    partner_end();
    bare_stay(false);
}

static const char *open_both_doors(void)
{
    bare_stay(true);
    if (!stream_open_door()) {
        bare_stay(false);
        return "there is no bare door";
    }
    open_our_door();
    return NULL;
}

static void close_both_doors(void)
{
    close_door();
    stream_close_door();
}

static double visit_barely(int batch)
{
    double began = system_now();

    for (int i = 0; i < batch; i++)
        bench_require(stream_knock(), "the bare door opens");
    return system_now() - began;
}

static double visit(int batch)
{
    double began = system_now();

    for (int i = 0; i < batch; i++)
        mp_check(knock("secret"));
    return system_now() - began;
}

/* -- Ten thousand of them -------------------------------------------------- */

static holdings ours_before;

static const char *open_door_for_many(void)
{
    open_our_door();
    visit(FIRST);
    ours_before = count_holdings();
    return NULL;
}

static bool is_as_before(void)
{
    bool is_flat = is_as(ours_before, "the clients");

    bench_require(knock("another") == MP_EAUTH, "who is wrong stays outside");
    partner_end();
    return is_flat;
}

/* -- The rows -------------------------------------------------------------- */

static const bench_row rows[] = {
    {.name = "connection.accept",
     .unit = "us",
     .peer = "the same turns, bare",
     .samples = 21,
     .batch = 200,
     .begin = open_both_doors,
     .end = close_both_doors,
     .ours = visit,
     .theirs = visit_barely},
    {.name = "connection.accept.python",
     .unit = "us",
     .goal = 0.1,
     .goal_text = "10 times as fast",
     .samples = 11,
     .batch = 200,
     .begin = open_door,
     .end = close_door,
     .ours = visit,
     .python = "connection.accept"},
    {.name = "connection.accept.sequence",
     .unit = "us",
     .goal_text = "no growth in 10,000",
     .holds = is_as_before,
     .samples = 10,
     .batch = SEQUENCE / 10,
     .begin = open_door_for_many,
     .ours = visit},
};

const bench_table bench_listener_rows = {rows, sizeof(rows) / sizeof(rows[0])};
