/* SPDX-License-Identifier: MIT */
/* Messages there and back again, between two processes. */
#include "bench.h"
#include "system.h"

#include <multiproc.h>

#include <string.h>

enum { SMALL = 64 };

static mp_connection *near_end;
static mp_process *echoer;

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

static const char *open_both(void)
{
    mp_connection *far_end;

    if (!system_open_echo())
        return "there is no bare echo";
    mp_check(mp_pipe(&near_end, &far_end, NULL));
    mp_check(mp_process_create(&echoer, echo, MP_ARGS(far_end), NULL));
    mp_check(mp_process_start(echoer));
    mp_check(mp_connection_close(far_end));
    return NULL;
}

static void close_both(void)
{
    int code = -1;

    mp_check(mp_connection_close(near_end));
    mp_check(mp_process_join(echoer, MP_FOREVER));
    mp_check(mp_process_exitcode(echoer, &code));
    mp_check(mp_process_close(echoer));
    bench_require(code == 0, "the echo ends well");
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

static const bench_row rows[] = {
    {.name = "connection.roundtrip.64",
     .unit = "us",
     .peer = "socketpair",
     .samples = 41,
     .batch = 1000,
     .begin = open_both,
     .end = close_both,
     .ours = roundtrip,
     .theirs = roundtrip_bare},
};

const bench_table bench_connection_rows = {rows,
                                           sizeof(rows) / sizeof(rows[0])};
