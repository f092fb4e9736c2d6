/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer's entry: a handshake with somebody who says anything. The first
 * byte says which role is ours, whether MD5 is allowed, and how the rest is
 * cut; bit 3 asks for an honest peer that is heard first. Whatever comes, no
 * more is taken than there is room for, no more is said than fits, and nobody
 * passes who does not know the key.
 *
 *     clang -fsanitize=fuzzer,address,undefined ... fuzz/fuzz_auth.c
 *     ./fuzz_auth fuzz/corpus/auth
 */
#include "input.h"

#include "auth.h"

#include <multiproc.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const unsigned char chance[2][MPI_AUTH_CHANCE] = {"left", "right"};

/* As much as there is room for, in steps. */
static mp_error feed(mpi_auth *auth, input *from, size_t step)
{
    unsigned char *place;
    size_t room = mpi_auth_room(auth, &place);
    mp_error err;

    require(room > 0 && place >= auth->in &&
            place + room <= auth->in + sizeof(auth->in));
    step = step < room ? step : room;
    if (step > (size_t)(from->end - from->at))
        step = (size_t)(from->end - from->at);
    memcpy(place, from->at, step);
    from->at += step;
    err = mpi_auth_feed(auth, step);
    require(auth->out_size <= sizeof(auth->out));
    require(err == MP_PENDING || err == MP_OK || err == MP_EAUTH ||
            err == MP_EEOF);
    require(err == MP_PENDING || err == MP_OK || mp_error_message()[0] != 0);
    return err;
}

/* From one to the other, as far as it goes. */
static mp_error hear(mpi_auth *from, mpi_auth *to)
{
    input said = {from->out, from->out + from->out_size};
    mp_error err = MP_PENDING;

    from->out_size = 0;
    while (said.at < said.end && err == MP_PENDING)
        err = feed(to, &said, SIZE_MAX);
    return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input from = {data, data + size};
    uint8_t how = take(&from);
    mpi_auth_role role = how & 1 ? MPI_AUTH_CLIENT : MPI_AUTH_LISTENER;
    bool is_first_honest = (how & 8) != 0;
    size_t step = how & 4 ? 1 : 64;
    mpi_auth_keys keys;
    mpi_auth auth, peer;
    mp_error err = MP_PENDING;

    mpi_auth_keys_init(&keys, "key", 3, (how & 2) != 0);
    mpi_auth_begin(&auth, role, &keys, chance[0]);
    mpi_auth_begin(
        &peer, role == MPI_AUTH_CLIENT ? MPI_AUTH_LISTENER : MPI_AUTH_CLIENT,
        &keys, chance[1]);
    if (is_first_honest && role == MPI_AUTH_LISTENER)
        (void)hear(&auth, &peer);
    if (is_first_honest)
        err = hear(&peer, &auth);
    auth.out_size = 0;
    while (err == MP_PENDING && from.at < from.end) {
        err = feed(&auth, &from, step);
        auth.out_size = 0;
    }
    if (err == MP_PENDING)
        require(mpi_auth_give_up(&auth) == MP_EAUTH);
    /* An honest answer, then WELCOME: that is the one way to pass. */
    require(err != MP_OK || (is_first_honest && role == MPI_AUTH_LISTENER));
    return 0;
}
