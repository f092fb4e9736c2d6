/* SPDX-License-Identifier: MIT */
/*
 * SipHash-1-3, which CPython uses for the same purpose: a hash of bytes with a
 * key, so that nobody who doesn't know the key can choose bytes that collide.
 */
#ifndef MULTIPROC_SIPHASH_H
#define MULTIPROC_SIPHASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t mpi_sip_rotate(uint64_t word, unsigned bits)
{
    return word << bits | word >> (64 - bits);
}

static inline void mpi_sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = mpi_sip_rotate(v[1], 13) ^ v[0];
    v[0] = mpi_sip_rotate(v[0], 32);
    v[2] += v[3];
    v[3] = mpi_sip_rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = mpi_sip_rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = mpi_sip_rotate(v[1], 17) ^ v[2];
    v[2] = mpi_sip_rotate(v[2], 32);
}

static inline void mpi_sip_word(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    mpi_sip_round(v);
    v[0] ^= word;
}

/* The last, incomplete word: its bytes, and the size. */
static inline uint64_t mpi_sip_rest(const unsigned char *data, size_t size)
{
    uint64_t word = (uint64_t)size << 56;

    for (size_t i = 0; i < size % 8; i++)
        word |= (uint64_t)data[size / 8 * 8 + i] << 8 * i;
    return word;
}

static inline uint64_t mpi_siphash(const uint64_t key[2], const void *data,
                                   size_t size)
{
    const unsigned char *bytes = data;
    uint64_t v[4] = {
        key[0] ^ UINT64_C(0x736f6d6570736575),
        key[1] ^ UINT64_C(0x646f72616e646f6d),
        key[0] ^ UINT64_C(0x6c7967656e657261),
        key[1] ^ UINT64_C(0x7465646279746573),
    };

    for (size_t i = 0; i < size / 8; i++) {
        uint64_t word;

        memcpy(&word, bytes + 8 * i, sizeof(word));
        mpi_sip_word(v, word);
    }
    mpi_sip_word(v, mpi_sip_rest(bytes, size));
    v[2] ^= 0xFF;
    mpi_sip_round(v);
    mpi_sip_round(v);
    mpi_sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

#endif
