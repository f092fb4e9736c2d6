/* SPDX-License-Identifier: MIT */
/* SHA-256 (FIPS 180-4), for the handshake of listeners and clients. */
#ifndef MULTIPROC_SHA256_H
#define MULTIPROC_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { MPI_SHA256_SIZE = 32, MPI_SHA256_BLOCK = 64 };

typedef struct mpi_sha256 {
    uint32_t state[8];
    uint64_t size; /* bytes so far */
    unsigned char block[MPI_SHA256_BLOCK];
} mpi_sha256;

void mpi_sha256_begin(mpi_sha256 *sha);
void mpi_sha256_add(mpi_sha256 *sha, const void *data, size_t size);
/* Ends it: begin anew before it is used again. */
void mpi_sha256_end(mpi_sha256 *sha, unsigned char digest[MPI_SHA256_SIZE]);

#endif
