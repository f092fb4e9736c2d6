/* SPDX-License-Identifier: MIT */
/* MD5 as RFC 1321 has it. */
#include "md5.h"

#include <string.h>

enum { LENGTH_AT = MPI_MD5_BLOCK - 8 };

/* floor(2^32 * abs(sin(i + 1))) */
static const uint32_t sines[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a,
    0xa8304613, 0xfd469501, 0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be,
    0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821, 0xf61e2562, 0xc040b340,
    0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8,
    0x676f02d9, 0x8d2a4c8a, 0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c,
    0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70, 0x289b7ec6, 0xeaa127fa,
    0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92,
    0xffeff47d, 0x85845dd1, 0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1,
    0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
};

static const unsigned char shifts[4][4] = {
    {7, 12, 17, 22},
    {5, 9, 14, 20},
    {4, 11, 16, 23},
    {6, 10, 15, 21},
};

static uint32_t rotate_left(uint32_t word, unsigned bits)
{
    return word << bits | word >> (32 - bits);
}

static uint32_t read_word(const unsigned char *data)
{
    return (uint32_t)data[0] | (uint32_t)data[1] << 8 |
           (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24;
}

/* What step i mixes in, and which word of the block it takes. */
static uint32_t mix(unsigned i, const uint32_t s[4], unsigned *word)
{
    switch (i / 16) {
    case 0:
        *word = i;
        return (s[1] & s[2]) | (~s[1] & s[3]);
    case 1:
        *word = (5 * i + 1) % 16;
        return (s[3] & s[1]) | (~s[3] & s[2]);
    case 2:
        *word = (3 * i + 5) % 16;
        return s[1] ^ s[2] ^ s[3];
    default:
        *word = 7 * i % 16;
        return s[2] ^ (s[1] | ~s[3]);
    }
}

static void take_block(uint32_t state[4], const unsigned char *block)
{
    uint32_t s[4] = {state[0], state[1], state[2], state[3]};

    for (unsigned i = 0; i < 64; i++) {
        unsigned word;
        uint32_t sum = mix(i, s, &word) + s[0] + sines[i];

        sum += read_word(block + 4 * (size_t)word);
        s[0] = s[3];
        s[3] = s[2];
        s[2] = s[1];
        s[1] += rotate_left(sum, shifts[i / 16][i % 4]);
    }
    for (int i = 0; i < 4; i++)
        state[i] += s[i];
}

void mpi_md5_begin(mpi_md5 *md5)
{
    *md5 = (mpi_md5){
        .state = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476},
    };
}

void mpi_md5_add(mpi_md5 *md5, const void *data, size_t size)
{
    const unsigned char *bytes = data;
    size_t used = md5->size % MPI_MD5_BLOCK;

    md5->size += size;
    while (size > 0) {
        size_t room = MPI_MD5_BLOCK - used;
        size_t step = size < room ? size : room;

        memcpy(md5->block + used, bytes, step);
        bytes += step;
        size -= step;
        used += step;
        if (used < MPI_MD5_BLOCK)
            return;
        take_block(md5->state, md5->block);
        used = 0;
    }
}

void mpi_md5_end(mpi_md5 *md5, unsigned char digest[MPI_MD5_SIZE])
{
    static const unsigned char padding[MPI_MD5_BLOCK] = {0x80};
    size_t used = md5->size % MPI_MD5_BLOCK;
    uint64_t bits = md5->size * 8;
    unsigned char length[8];

    for (unsigned i = 0; i < 8; i++)
        length[i] = (unsigned char)(bits >> (8 * i) & 0xff);
    mpi_md5_add(md5, padding,
                used < LENGTH_AT ? LENGTH_AT - used
                                 : LENGTH_AT + MPI_MD5_BLOCK - used);
    mpi_md5_add(md5, length, sizeof(length));
    for (unsigned i = 0; i < MPI_MD5_SIZE; i++)
        digest[i] = (unsigned char)(md5->state[i / 4] >> (8 * (i % 4)) & 0xff);
}
