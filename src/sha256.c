/* SPDX-License-Identifier: MIT */
/* SHA-256 as FIPS 180-4 has it. */
#include "sha256.h"

#include <string.h>

enum { LENGTH_AT = MPI_SHA256_BLOCK - 8, ROUNDS = 64 };

/* The first 32 bits of the fractional parts of the cube roots of primes. */
static const uint32_t roots[ROUNDS] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1,
    0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3,
    0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
    0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
    0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
    0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
    0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate_right(uint32_t word, unsigned bits)
{
    return word >> bits | word << (32 - bits);
}

static uint32_t read_word(const unsigned char *data)
{
    return (uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 |
           (uint32_t)data[2] << 8 | (uint32_t)data[3];
}

static void make_schedule(uint32_t schedule[ROUNDS], const unsigned char *block)
{
    for (size_t i = 0; i < 16; i++)
        schedule[i] = read_word(block + 4 * i);
    for (size_t i = 16; i < ROUNDS; i++) {
        uint32_t early = schedule[i - 15], late = schedule[i - 2];

        schedule[i] =
            schedule[i - 16] + schedule[i - 7] +
            (rotate_right(early, 7) ^ rotate_right(early, 18) ^ early >> 3) +
            (rotate_right(late, 17) ^ rotate_right(late, 19) ^ late >> 10);
    }
}

/* One round; instead of moving eight words along, the next round names them
 * differently. */
static inline void step(uint32_t s[8], unsigned i, uint32_t word)
{
#define WORD(k) s[((k)-i) % 8U]
    uint32_t a = WORD(0), e = WORD(4);
    uint32_t sum =
        WORD(7) + word +
        (rotate_right(e, 6) ^ rotate_right(e, 11) ^ rotate_right(e, 25)) +
        (WORD(6) ^ (e & (WORD(5) ^ WORD(6))));

    WORD(3) += sum;
    WORD(7) = sum +
              (rotate_right(a, 2) ^ rotate_right(a, 13) ^ rotate_right(a, 22)) +
              ((a & WORD(1)) | (WORD(2) & (a | WORD(1))));
#undef WORD
}

static void take_block(uint32_t state[8], const unsigned char *block)
{
    uint32_t schedule[ROUNDS];
    uint32_t s[8];

    make_schedule(schedule, block);
    memcpy(s, state, sizeof(s));
    /* Written out, so that the words are where they are in registers. */
    for (unsigned i = 0; i < ROUNDS; i += 8) {
        step(s, 0, roots[i] + schedule[i]);
        step(s, 1, roots[i + 1] + schedule[i + 1]);
        step(s, 2, roots[i + 2] + schedule[i + 2]);
        step(s, 3, roots[i + 3] + schedule[i + 3]);
        step(s, 4, roots[i + 4] + schedule[i + 4]);
        step(s, 5, roots[i + 5] + schedule[i + 5]);
        step(s, 6, roots[i + 6] + schedule[i + 6]);
        step(s, 7, roots[i + 7] + schedule[i + 7]);
    }
    for (int i = 0; i < 8; i++)
        state[i] += s[i];
}

void mpi_sha256_begin(mpi_sha256 *sha)
{
    *sha = (mpi_sha256){
        .state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f,
                  0x9b05688c, 0x1f83d9ab, 0x5be0cd19},
    };
}

void mpi_sha256_add(mpi_sha256 *sha, const void *data, size_t size)
{
    const unsigned char *bytes = data;
    size_t used = sha->size % MPI_SHA256_BLOCK;

    sha->size += size;
    while (size > 0) {
        size_t room = MPI_SHA256_BLOCK - used;
        size_t step = size < room ? size : room;

        memcpy(sha->block + used, bytes, step);
        bytes += step;
        size -= step;
        used += step;
        if (used < MPI_SHA256_BLOCK)
            return;
        take_block(sha->state, sha->block);
        used = 0;
    }
}

void mpi_sha256_end(mpi_sha256 *sha, unsigned char digest[MPI_SHA256_SIZE])
{
    static const unsigned char padding[MPI_SHA256_BLOCK] = {0x80};
    size_t used = sha->size % MPI_SHA256_BLOCK;
    uint64_t bits = sha->size * 8;
    unsigned char length[8];

    for (unsigned i = 0; i < 8; i++)
        length[i] = (unsigned char)(bits >> (56 - 8 * i) & 0xff);
    mpi_sha256_add(sha, padding,
                   used < LENGTH_AT ? LENGTH_AT - used
                                    : LENGTH_AT + MPI_SHA256_BLOCK - used);
    mpi_sha256_add(sha, length, sizeof(length));
    for (unsigned i = 0; i < MPI_SHA256_SIZE; i++)
        digest[i] =
            (unsigned char)(sha->state[i / 4] >> (24 - 8 * (i % 4)) & 0xff);
}
