/* SPDX-License-Identifier: MIT */
/*
 * CPython's handshake, in both of its dialects and both roles, as a machine
 * that is fed with bytes and says what to send. It never reads, writes, waits
 * or takes memory: handshake.c does, for one stream.
 *
 * Each side has the other one prove that it knows the key, the listener first.
 * All of it is in CPython's frames, of at most 256 bytes:
 *
 *     listener -> client   "#CHALLENGE#" message
 *     listener <- client   answer: the message's HMAC
 *     listener -> client   "#WELCOME#" or "#FAILURE#"
 *     listener <- client   "#CHALLENGE#" message
 *     listener -> client   answer
 *     listener <- client   verdict
 *
 *                3.12 and later                        before
 *     message    "{sha256}" and 40 bytes of chance     20 bytes of chance
 *     answer     "{sha256}" and the HMAC-SHA256 of     HMAC-MD5 of the message
 *                the message, "{sha256}" included
 *
 * We send messages of the new kind. A Python before 3.12 takes all of such a
 * message and answers with its HMAC-MD5; this, messages of the old kind and
 * "{md5}" are good enough only if MD5 is allowed.
 *
 * Our client does not wait for the verdict: its answer and its own challenge
 * are one write, and so are the listener's verdict and answer if both were
 * there. That halves the turns, and CPython does not notice. Otherwise nobody
 * sends what depends on something before he has got it: who does has not
 * checked it, and is refused. So no byte of what follows a handshake is ever
 * read with it.
 */
#ifndef MULTIPROC_AUTH_H
#define MULTIPROC_AUTH_H

#include "hmac.h"
#include "internal.h"

#include <multiproc/listener.h>

enum {
    MPI_AUTH_HEADER = 4,
    MPI_AUTH_FRAME_MAX = 256,
    MPI_AUTH_CHANCE = 40,
    MPI_AUTH_MESSAGE = 8 + MPI_AUTH_CHANCE, /* "{sha256}" before it */
    MPI_AUTH_OUT_MAX = 128,
};

typedef enum mpi_auth_role {
    MPI_AUTH_LISTENER,
    MPI_AUTH_CLIENT,
} mpi_auth_role;

/* What is left of a key: enough for any number of handshakes. Wipe it. */
typedef struct mpi_auth_keys {
    mpi_hmac_key sha256;
    mpi_hmac_key md5;
    bool allow_md5;
} mpi_auth_keys;

void mpi_auth_keys_init(mpi_auth_keys *keys, const void *key, size_t size,
                        bool allow_md5);

typedef struct mpi_auth {
    const mpi_auth_keys *keys; /* borrowed */
    mpi_auth_role role;
    unsigned step; /* how many frames have come */
    unsigned char message[MPI_AUTH_MESSAGE];
    size_t in_size;
    size_t out_size;
    unsigned char in[MPI_AUTH_HEADER + MPI_AUTH_FRAME_MAX];
    unsigned char out[MPI_AUTH_OUT_MAX]; /* frames to be sent */
} mpi_auth;

/* chance: MPI_AUTH_CHANCE bytes that nobody can know. out may hold something
 * then. */
void mpi_auth_begin(mpi_auth *auth, mpi_auth_role role,
                    const mpi_auth_keys *keys, const void *chance);
/* Where to put what arrives, and at most how much. */
size_t mpi_auth_room(mpi_auth *auth, unsigned char **place);
/*
 * So many bytes are there now; 0: the stream has ended. Whatever it returns,
 * out is then to be sent, and out_size set to 0.
 *
 * MP_PENDING: go on. MP_OK: both sides have proved themselves. MP_EAUTH: one
 * has not. MP_EEOF: the other side has hung up.
 */
mp_error mpi_auth_feed(mpi_auth *auth, size_t size);
/* MP_EAUTH, and what has not come in time. */
mp_error mpi_auth_give_up(const mpi_auth *auth);

#endif
