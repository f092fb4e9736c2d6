/* SPDX-License-Identifier: MIT */
/*
 * MD5 (RFC 1321), only for the handshake with a Python before 3.12, and only
 * where the user allows it.
 */
#ifndef MULTIPROC_MD5_H
#define MULTIPROC_MD5_H

#include <stddef.h>
#include <stdint.h>

enum { MPI_MD5_SIZE = 16, MPI_MD5_BLOCK = 64 };

typedef struct mpi_md5 {
    uint32_t state[4];
    uint64_t size; /* bytes so far */
    unsigned char block[MPI_MD5_BLOCK];
} mpi_md5;

void mpi_md5_begin(mpi_md5 *md5);
void mpi_md5_add(mpi_md5 *md5, const void *data, size_t size);
/* Ends it: begin anew before it is used again. */
void mpi_md5_end(mpi_md5 *md5, unsigned char digest[MPI_MD5_SIZE]);

#endif
