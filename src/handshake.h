/* SPDX-License-Identifier: MIT */
/*
 * A handshake on one stream: what auth.c says is read and written here, where
 * the listener (listener.c) and the client (client.c) wait for it.
 */
#ifndef MULTIPROC_HANDSHAKE_H
#define MULTIPROC_HANDSHAKE_H

#include "auth.h"
#include "frame.h"

/* The key the user means: MP_EINVAL; unless auth->is_none. Wipe it. */
mp_error mpi_handshake_keys(mpi_auth_keys *keys, const mp_auth *auth);

typedef struct mpi_handshake {
    mpos_handle stream; /* borrowed */
    mpi_stream_kind kind;
    mpi_auth auth;
} mpi_handshake;

/* Says what the role says first. MP_EEOF: the other side has hung up. */
mp_error mpi_handshake_begin(mpi_handshake *handshake, mpi_auth_role role,
                             const mpi_auth_keys *keys);
/* To be called when mpos_wait() has found something to read; reads once, so it
 * does not block. MP_PENDING: wait again. MP_OK, MP_EAUTH, MP_EEOF. */
mp_error mpi_handshake_step(mpi_handshake *handshake);
mpos_wait_item mpi_handshake_wait_item(const mpi_handshake *handshake);

mpi_stream_kind mpi_stream_kind_of(mpos_family family);

#endif
