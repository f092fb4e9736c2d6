/* SPDX-License-Identifier: MIT */
/* partner.h: one at a time. */
#include "partner.h"

#include "bench.h"
#include "child.h"
#include "system.h"

#include <string.h>

mp_connection *partner_link;

static mp_process *partner;

static void start_over(const mp_pipe_options *options, mp_function target,
                       int64_t size)
{
    mp_connection *far_end;

    mp_check(mp_pipe(&partner_link, &far_end, options));
    partner = child_start(MP_START_DEFAULT, target, MP_ARGS(far_end, size));
    mp_check(mp_connection_close(far_end));
}

void partner_start(mp_function target, int64_t size)
{
    start_over(NULL, target, size);
}

void partner_start_on_stream(mp_function target, int64_t size)
{
    start_over(&(mp_pipe_options){.is_stream = true}, target, size);
}

void partner_end(void)
{
    mp_check(mp_connection_close(partner_link));
    child_end(partner);
}

double partner_roundtrip(int batch)
{
    char sent[PARTNER_SMALL] = "there and back again";
    char answer[PARTNER_SMALL];
    double began = system_now();

    for (int i = 0; i < batch; i++) {
        size_t size;

        sent[PARTNER_SMALL - 1] = (char)i;
        mp_check(mp_connection_send_bytes(partner_link, sent, sizeof(sent)));
        mp_check(mp_connection_recv_bytes_into(partner_link, answer,
                                               sizeof(answer), &size));
        bench_require(size == PARTNER_SMALL &&
                          memcmp(sent, answer, PARTNER_SMALL) == 0,
                      "the echo is right");
    }
    return system_now() - began;
}
