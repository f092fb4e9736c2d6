/* SPDX-License-Identifier: MIT */
/*
 * HMAC (RFC 2104), comparing and wiping, for the handshake of listeners and
 * clients. Takes no memory and cannot fail.
 */
#ifndef MULTIPROC_HMAC_H
#define MULTIPROC_HMAC_H

#include "md5.h"
#include "sha256.h"

#include <stdbool.h>

typedef enum mpi_digest {
    MPI_DIGEST_SHA256,
    MPI_DIGEST_MD5,
} mpi_digest;

enum { MPI_MAC_MAX = MPI_SHA256_SIZE };

typedef struct mpi_hash {
    mpi_digest digest;
    union {
        mpi_sha256 sha256;
        mpi_md5 md5;
    } of;
} mpi_hash;

/* The two hashes of RFC 2104, each having taken its padded key: as secret as
 * the key itself. Wipe it. */
typedef struct mpi_hmac_key {
    mpi_hash inner;
    mpi_hash outer;
} mpi_hmac_key;

size_t mpi_mac_size(mpi_digest digest);
/* A key of any size; NULL if it has no bytes. */
void mpi_hmac_key_init(mpi_hmac_key *key, mpi_digest digest, const void *data,
                       size_t size);
/* Writes mpi_mac_size() bytes. */
void mpi_hmac(const mpi_hmac_key *key, const void *message, size_t size,
              unsigned char *mac);

/* In a time that does not depend on what the bytes are. */
bool mpi_bytes_are_equal(const void *left, const void *right, size_t size);
/* Zeros that no optimiser leaves out. */
void mpi_wipe(void *data, size_t size);

#endif
