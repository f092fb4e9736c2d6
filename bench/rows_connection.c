/* SPDX-License-Identifier: MIT */
/*
 * Messages between two processes, waiting for many, and meeting strangers. Who
 * takes turns does so on one processor, on both sides: otherwise what a wake-up
 * costs depends more on where a process happens to be than on all else.
 */
#include "bare.h"
#include "bench.h"
#include "python.h"
#include "stream.h"
#include "system.h"

#include <multiproc.h>

#include <stdlib.h>
#include <string.h>

enum { SMALL = 64, IDLE = 1000, HANDLES_BESIDE = 100 };

enum { PIECE_64K = 64 * 1024, PIECE_1M = 1024 * 1024 };

static mp_connection *near_end;
static mp_process *partner;

/* -- A process at the other end -------------------------------------------- */

static void start_partner(mp_function target, int64_t size)
{
    mp_connection *far_end;

    mp_check(mp_pipe(&near_end, &far_end, NULL));
    mp_check(mp_process_create(&partner, target, MP_ARGS(far_end, size), NULL));
    mp_check(mp_process_start(partner));
    mp_check(mp_connection_close(far_end));
}

static void end_partner(void)
{
    int code = -1;

    mp_check(mp_connection_close(near_end));
    mp_check(mp_process_join(partner, MP_FOREVER));
    mp_check(mp_process_exitcode(partner, &code));
    mp_check(mp_process_close(partner));
    bench_require(code == 0, "the other end ends well");
}

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
    start_partner(echo, 0);
    return NULL;
}

static const char *open_both_echos(void)
{
    bare_stay(true);
    if (!system_open_echo()) {
        bare_stay(false);
        return "there is no bare echo";
    }
    start_partner(echo, 0);
    return NULL;
}

static void close_echo(void)
{
    end_partner();
    bare_stay(false);
}

static void close_both_echos(void)
{
    close_echo();
    system_close_echo();
}

static double roundtrip(int batch)
{
    char sent[SMALL] = "there and back again";
    char answer[SMALL];
    double began = system_now();

    for (int i = 0; i < batch; i++) {
        size_t size;

        sent[SMALL - 1] = (char)i;
        mp_check(mp_connection_send_bytes(near_end, sent, sizeof(sent)));
        mp_check(mp_connection_recv_bytes_into(near_end, answer, sizeof(answer),
                                               &size));
        bench_require(size == SMALL && memcmp(sent, answer, SMALL) == 0,
                      "the echo is right");
    }
    return system_now() - began;
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
    start_partner(swallow, (int64_t)size);
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
    end_partner();
    stream_close_sink();
    free(piece);
}

static double pour(int batch)
{
    double began = system_now();
    int64_t count = batch;
    size_t size;
    char byte;

    mp_check(mp_connection_send_bytes(near_end, &count, sizeof(count)));
    for (int i = 0; i < batch; i++)
        mp_check(mp_connection_send_bytes(near_end, piece, piece_size));
    mp_check(mp_connection_recv_bytes_into(near_end, &byte, 1, &size));
    return system_now() - began;
}

static double pour_bare(int batch)
{
    double began = system_now();

    bench_require(stream_pour(piece, piece_size, batch), "all is swallowed");
    return system_now() - began;
}

/* -- Waiting for many ------------------------------------------------------ */

static struct {
    mp_connection *near[IDLE + 1]; /* the last is busy */
    mp_connection *far[IDLE + 1];
    mp_wait_item items[IDLE + 1];
    intptr_t busy;
} crowd;

static const char *open_crowd(void)
{
    static intptr_t handles[IDLE + 1];

    if (!system_allow_many(IDLE + HANDLES_BESIDE))
        return "not so many can be open";
    for (int i = 0; i <= IDLE; i++) {
        mp_check(mp_pipe(&crowd.near[i], &crowd.far[i], NULL));
        crowd.items[i] = mp_wait_connection(crowd.near[i]);
        mp_check(mp_connection_fileno(crowd.near[i], &handles[i]));
    }
    mp_check(mp_connection_fileno(crowd.far[IDLE], &crowd.busy));
    return stream_open_poll(handles, IDLE + 1) ? NULL : "there is no poll()";
}

static void close_crowd(void)
{
    for (int i = 0; i <= IDLE; i++) {
        mp_check(mp_connection_close(crowd.near[i]));
        mp_check(mp_connection_close(crowd.far[i]));
    }
    stream_close_poll();
}

static double wait_for_crowd(int batch)
{
    char data[SMALL] = "one of many";
    double began = system_now();

    for (int i = 0; i < batch; i++) {
        size_t size;

        mp_check(mp_connection_send_bytes(crowd.far[IDLE], data, SMALL));
        mp_check(mp_wait(crowd.items, IDLE + 1, MP_FOREVER));
        bench_require(!crowd.items[0].is_ready && crowd.items[IDLE].is_ready,
                      "the busy one is ready");
        mp_check(mp_connection_recv_bytes_into(crowd.near[IDLE], data,
                                               sizeof(data), &size));
    }
    return system_now() - began;
}

static double wait_barely(int batch)
{
    char data[SMALL] = "one of many";
    double began = system_now();

    for (int i = 0; i < batch; i++)
        bench_require(stream_send_and_poll(crowd.busy, data, SMALL),
                      "the busy one is readable");
    return system_now() - began;
}

/* -- Strangers that prove themselves --------------------------------------- */

static mp_address place;

/* Tells where it listens, and serves until one comes with another key. */
static int receive_guests(mp_args *args)
{
    mp_listener_options options = {.auth = MP_AUTHKEY("secret")};
    mp_listener *listener;
    mp_connection *guest;
    mp_error err;

    mp_check(mp_listener_create(&listener, (mp_address){.port = 0}, &options));
    mp_check(mp_connection_send_bytes(mp_arg_connection(args, 0),
                                      mp_listener_address(listener),
                                      sizeof(mp_address)));
    while ((err = mp_listener_accept(listener, MP_FOREVER, &guest)) == MP_OK)
        mp_check(mp_connection_close(guest));
    mp_check(mp_listener_close(listener));
    return err == MP_EAUTH ? 0 : 1;
}

static void open_our_door(void)
{
    size_t size;

    start_partner(receive_guests, 0);
    mp_check(
        mp_connection_recv_bytes_into(near_end, &place, sizeof(place), &size));
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
    end_partner();
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
     .ours = roundtrip,
     .theirs = roundtrip_bare},
    {.name = "connection.roundtrip.64.python",
     .unit = "us",
     .goal = 1 / 1.8,
     .goal_text = "1.8 times as fast",
     .samples = 21,
     .batch = 1000,
     .begin = open_echo,
     .end = close_echo,
     .ours = roundtrip,
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
    {.name = "wait.1000",
     .unit = "us",
     .peer = "poll",
     .goal = 2,
     .goal_text = "<=2",
     .samples = 21,
     .batch = 200,
     .begin = open_crowd,
     .end = close_crowd,
     .ours = wait_for_crowd,
     .theirs = wait_barely},
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
};

const bench_table bench_connection_rows = {rows,
                                           sizeof(rows) / sizeof(rows[0])};
