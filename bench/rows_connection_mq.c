/* SPDX-License-Identifier: MIT */
/*
 * Connections beside message queues of POSIX, in pieces of a page: what
 * everybody may have of these are ten items of 8 KiB.
 */
#include "bare.h"
#include "bench.h"
#include "child.h"
#include "partner.h"
#include "peer.h"
#include "system.h"

#include <string.h>

enum { SMALL = PARTNER_SMALL, PIECE = 4096, SOME = 10 };

static char piece[PIECE];

/* -- The other side, by connections ---------------------------------------- */

/* Sends back what it gets until there is no more. */
static int echo(mp_args *args)
{
    mp_connection *end = mp_arg_connection(args, 0);
    char data[PIECE];
    size_t size;

    while (mp_connection_recv_bytes_into(end, data, sizeof(data), &size) ==
           MP_OK)
        mp_check(mp_connection_send_bytes(end, data, size));
    return 0;
}

/* First comes how many messages there will be; then there is one back. */
static int swallow(mp_args *args)
{
    mp_connection *end = mp_arg_connection(args, 0);
    char data[PIECE];
    int64_t count;
    size_t size;

    while (mp_connection_recv_bytes_into(end, &count, sizeof(count), &size) ==
           MP_OK) {
        while (count-- > 0)
            mp_check(
                mp_connection_recv_bytes_into(end, data, sizeof(data), &size));
        mp_check(mp_connection_send_bytes(end, data, 1));
    }
    return 0;
}

/* -- The other side, by message queues ------------------------------------- */

/* Until one of one byte comes. */
static int echo_mq(mp_args *args)
{
    char data[PIECE];
    size_t size;

    (void)args;
    while ((size = peer_mq.queue_get(0, data, sizeof(data))) > 1)
        bench_require(peer_mq.queue_put(1, data, size), "mq_send()");
    return 0;
}

/* As swallow() does. */
static int swallow_mq(mp_args *args)
{
    char data[PIECE];
    int64_t count;

    (void)args;
    while (peer_mq.queue_get(0, data, sizeof(data)) == sizeof(count)) {
        memcpy(&count, data, sizeof(count));
        while (count-- > 0)
            peer_mq.queue_get(0, data, sizeof(data));
        bench_require(peer_mq.queue_put(1, data, 1), "mq_send()");
    }
    return 0;
}

/* -- Beginning and ending -------------------------------------------------- */

static mp_process *partner_mq;

static const char *start_mq(mp_function target)
{
    if (peer_need_mq() != NULL)
        return peer_need_mq();
    if (peer_mq.queues_open(PIECE, SOME) == 0)
        return "no mq_open() of this size";
    partner_mq = child_start(MP_START_FORK, target, NULL);
    return NULL;
}

static void end_mq(void)
{
    bench_require(peer_mq.queue_put(0, "", 1), "mq_send()");
    child_end(partner_mq);
    peer_mq.queues_close();
}

static const char *open_echo_and_mq(void)
{
    const char *obstacle;

    bare_stay(true);
    obstacle = start_mq(echo_mq);
    if (obstacle != NULL)
        bare_stay(false);
    else
        partner_start(echo, 0);
    return obstacle;
}

static void close_both(void)
{
    partner_end();
    end_mq();
}

static void close_echo_and_mq(void)
{
    close_both();
    bare_stay(false);
}

static const char *open_sink_and_mq(void)
{
    const char *obstacle = start_mq(swallow_mq);

    memset(piece, 'x', sizeof(piece));
    if (obstacle == NULL)
        partner_start(swallow, 0);
    return obstacle;
}

/* -- One sample ------------------------------------------------------------ */

static double pour(int batch)
{
    double began = system_now();
    int64_t count = batch;
    size_t size;
    char byte;

    mp_check(mp_connection_send_bytes(partner_link, &count, sizeof(count)));
    for (int i = 0; i < batch; i++)
        mp_check(mp_connection_send_bytes(partner_link, piece, sizeof(piece)));
    mp_check(mp_connection_recv_bytes_into(partner_link, &byte, 1, &size));
    return system_now() - began;
}

static double roundtrip_mq(int batch)
{
    char sent[SMALL] = "there and back again";
    char answer[PIECE];
    double began = system_now();

    for (int i = 0; i < batch; i++) {
        sent[SMALL - 1] = (char)i;
        bench_require(peer_mq.queue_put(0, sent, SMALL) &&
                          peer_mq.queue_get(1, answer, PIECE) == SMALL &&
                          memcmp(sent, answer, SMALL) == 0,
                      "the queue's echo is right");
    }
    return system_now() - began;
}

static double pour_mq(int batch)
{
    double began = system_now();
    int64_t count = batch;
    char answer[PIECE];

    peer_mq.queue_put(0, &count, sizeof(count));
    for (int i = 0; i < batch; i++)
        bench_require(peer_mq.queue_put(0, piece, sizeof(piece)), "mq_send()");
    bench_require(peer_mq.queue_get(1, answer, PIECE) == 1, "all is swallowed");
    return system_now() - began;
}

static const bench_row rows[] = {
    {.name = "connection.roundtrip.64.mq",
     .unit = "us",
     .peer = "POSIX mq",
     .samples = 21,
     .batch = 1000,
     .begin = open_echo_and_mq,
     .end = close_echo_and_mq,
     .ours = partner_roundtrip,
     .theirs = roundtrip_mq},
    {.name = "connection.throughput.4k.mq",
     .unit = "us",
     .peer = "POSIX mq",
     .samples = 21,
     .batch = 5000,
     .begin = open_sink_and_mq,
     .end = close_both,
     .ours = pour,
     .theirs = pour_mq},
};

const bench_table bench_connection_mq_rows = {rows,
                                              sizeof(rows) / sizeof(rows[0])};
