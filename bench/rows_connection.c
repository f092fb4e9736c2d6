/* SPDX-License-Identifier: MIT */
/*
 * Messages between two processes. Who takes turns does so on one processor, on
 * both sides: otherwise what a wake-up costs depends more on where a process
 * happens to be than on all else.
 */
#include "bare.h"
#include "bench.h"
#include "partner.h"
#include "peer.h"
#include "python.h"
#include "stream.h"
#include "system.h"

#include <multiproc.h>

#include <stdlib.h>
#include <string.h>

enum { SMALL = PARTNER_SMALL };

enum { PIECE_64K = 64 * 1024, PIECE_1M = 1024 * 1024 };

/* -- There and back -------------------------------------------------------- */

/* Sends back what it gets until there is no more. */
static int echo(mp_args *args)
{
    mp_connection *end = mp_arg_connection(args, 0);
    char data[SMALL];
    size_t size;
    mp_error err;

    while ((err = mp_connection_recv_bytes_into(end, data, sizeof(data),
                                                &size)) == MP_OK)
        mp_check(mp_connection_send_bytes(end, data, size));
    return err == MP_EEOF ? 0 : 1;
}

static const char *open_echo(void)
{
    python_is_present(); /* whose other rows may use all processors */
    bare_stay(true);
    partner_start(echo, 0);
    return NULL;
}

static const char *open_bare_echo(void)
{
    bare_stay(true);
    if (system_open_echo())
        return NULL;
    bare_stay(false);
    return "there is no bare echo";
}

static const char *open_both_echos(void)
{
    const char *why = open_bare_echo();

    if (why == NULL)
        partner_start(echo, 0);
    return why;
}

static const char *open_stream_echos(void)
{
    const char *why = open_bare_echo();

    if (why == NULL)
        partner_start_on_stream(echo, 0);
    return why;
}

static const char *open_echo_and_uv(void)
{
    if (peer_need_uv() != NULL)
        return peer_need_uv();
    bare_stay(true);
    if (!peer_uv.echo_open(system_program())) {
        bare_stay(false);
        return "libuv starts no echo";
    }
    partner_start(echo, 0);
    return NULL;
}

static void close_echo(void)
{
    partner_end();
    bare_stay(false);
}

static void close_both_echos(void)
{
    close_echo();
    system_close_echo();
}

static double roundtrip_bare(int batch)
{
    char sent[SMALL] = "there and back again";
    char answer[SMALL];
    double began = system_now();

    for (int i = 0; i < batch; i++) {
        sent[SMALL - 1] = (char)i;
        bench_require(system_exchange(sent, answer, SMALL) &&
                          memcmp(sent, answer, SMALL) == 0,
                      "the bare echo is right");
    }
    return system_now() - began;
}

static void close_echo_and_uv(void)
{
    close_echo();
    peer_uv.echo_close();
}

static double roundtrip_uv(int batch)
{
    char sent[SMALL] = "there and back again";
    char answer[SMALL];
    double began = system_now();

    for (int i = 0; i < batch; i++) {
        sent[SMALL - 1] = (char)i;
        bench_require(peer_uv.echo_exchange(sent, answer, SMALL) &&
                          memcmp(sent, answer, SMALL) == 0,
                      "libuv's echo is right");
    }
    return system_now() - began;
}

/* -- Many bytes, one way --------------------------------------------------- */

static char *piece;
static size_t piece_size;

/* First comes how many messages there will be; then there is one back. */
static int swallow(mp_args *args)
{
    mp_connection *end = mp_arg_connection(args, 0);
    size_t capacity = (size_t)mp_arg_int(args, 1), size;
    char *data = malloc(capacity);
    int64_t count;
    mp_error err;

    bench_require(data != NULL, "memory");
    while ((err = mp_connection_recv_bytes_into(end, &count, sizeof(count),
                                                &size)) == MP_OK) {
        while (count-- > 0)
            mp_check(mp_connection_recv_bytes_into(end, data, capacity, &size));
        mp_check(mp_connection_send_bytes(end, data, 1));
    }
    free(data);
    return err == MP_EEOF ? 0 : 1;
}

static const char *open_sinks(size_t size)
{
    piece = malloc(size);
    piece_size = size;
    bench_require(piece != NULL, "memory");
    memset(piece, 'x', size);
    if (!stream_open_sink(size))
        return "there is no bare sink";
    partner_start(swallow, (int64_t)size);
    return NULL;
}

static const char *open_sinks_64k(void)
{
    return open_sinks(PIECE_64K);
}

static const char *open_sinks_1m(void)
{
    return open_sinks(PIECE_1M);
}

static void close_sinks(void)
{
    partner_end();
    stream_close_sink();
    free(piece);
}

static double pour(int batch)
{
    double began = system_now();
    int64_t count = batch;
    size_t size;
    char byte;

    mp_check(mp_connection_send_bytes(partner_link, &count, sizeof(count)));
    for (int i = 0; i < batch; i++)
        mp_check(mp_connection_send_bytes(partner_link, piece, piece_size));
    mp_check(mp_connection_recv_bytes_into(partner_link, &byte, 1, &size));
    return system_now() - began;
}

static double pour_bare(int batch)
{
    double began = system_now();

    bench_require(stream_pour(piece, piece_size, batch), "all is swallowed");
    return system_now() - began;
}

/* -- The rows -------------------------------------------------------------- */

static const bench_row rows[] = {
    {.name = "connection.roundtrip.64",
     .unit = "us",
     .peer = "socketpair",
     .goal = 1.15,
     .goal_text = "<=1.15",
     .samples = 41,
     .batch = 1000,
     .begin = open_both_echos,
     .end = close_both_echos,
     .ours = partner_roundtrip,
     .theirs = roundtrip_bare},
    {.name = "connection.roundtrip.64.stream",
     .unit = "us",
     .peer = "socketpair",
     .samples = 41,
     .batch = 1000,
     .begin = open_stream_echos,
     .end = close_both_echos,
     .ours = partner_roundtrip,
     .theirs = roundtrip_bare},
    {.name = "connection.roundtrip.64.uv",
     .unit = "us",
     .peer = "libuv",
     .samples = 21,
     .batch = 1000,
     .begin = open_echo_and_uv,
     .end = close_echo_and_uv,
     .ours = partner_roundtrip,
     .theirs = roundtrip_uv},
    {.name = "connection.roundtrip.64.python",
     .unit = "us",
     .goal = 1 / 1.8,
     .goal_text = "1.8 times as fast",
     .samples = 21,
     .batch = 1000,
     .begin = open_echo,
     .end = close_echo,
     .ours = partner_roundtrip,
     .python = "connection.roundtrip"},
    {.name = "connection.throughput.64k",
     .unit = "us",
     .peer = "socketpair",
     .goal = 1 / 0.9,
     .goal_text = "0.9 of its throughput",
     .samples = 21,
     .batch = 1000,
     .begin = open_sinks_64k,
     .end = close_sinks,
     .ours = pour,
     .theirs = pour_bare},
    {.name = "connection.throughput.1m",
     .unit = "us",
     .peer = "socketpair",
     .goal = 1 / 0.9,
     .goal_text = "0.9 of its throughput",
     .samples = 21,
     .batch = 100,
     .begin = open_sinks_1m,
     .end = close_sinks,
     .ours = pour,
     .theirs = pour_bare},
};

const bench_table bench_connection_rows = {rows,
                                           sizeof(rows) / sizeof(rows[0])};
