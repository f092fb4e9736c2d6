/* SPDX-License-Identifier: MIT */
/* SHA-256 as FIPS 180-4 has it, in its plainest form. */
#ifndef SHA256_H
#define SHA256_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { SHA256_BLOCK = 64, SHA256_HEX = 65 /* with its zero byte */ };

typedef struct sha256 {
    uint32_t state[8];
    uint64_t size;
    unsigned char block[SHA256_BLOCK];
} sha256;

static inline void sha256_begin(sha256 *hash)
{
    *hash = (sha256){.state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                               0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
}

static inline uint32_t sha256_rotate(uint32_t word, unsigned bits)
{
    return word >> bits | word << (32 - bits);
}

static inline void sha256_round(uint32_t s[8], uint32_t word)
{
    uint32_t a = s[0], e = s[4];
    uint32_t high =
        (sha256_rotate(a, 2) ^ sha256_rotate(a, 13) ^ sha256_rotate(a, 22)) +
        ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));
    uint32_t low =
        s[7] + word + ((e & s[5]) ^ (~e & s[6])) +
        (sha256_rotate(e, 6) ^ sha256_rotate(e, 11) ^ sha256_rotate(e, 25));

    memmove(s + 1, s, 7 * sizeof(*s));
    s[0] = low + high;
    s[4] += low;
}

static inline void sha256_take_block(sha256 *hash)
{
    static const uint32_t roots[64] = {
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
    uint32_t s[8], w[64];

    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)hash->block[4 * i] << 24 |
               (uint32_t)hash->block[4 * i + 1] << 16 |
               (uint32_t)hash->block[4 * i + 2] << 8 | hash->block[4 * i + 3];
    for (int i = 16; i < 64; i++)
        w[i] = w[i - 16] + w[i - 7] +
               (sha256_rotate(w[i - 15], 7) ^ sha256_rotate(w[i - 15], 18) ^
                w[i - 15] >> 3) +
               (sha256_rotate(w[i - 2], 17) ^ sha256_rotate(w[i - 2], 19) ^
                w[i - 2] >> 10);
    memcpy(s, hash->state, sizeof(s));
    for (int i = 0; i < 64; i++)
        sha256_round(s, roots[i] + w[i]);
    for (int i = 0; i < 8; i++)
        hash->state[i] += s[i];
}

static inline void sha256_add(sha256 *hash, const void *data, size_t size)
{
    const unsigned char *next = data;

    while (size > 0) {
        size_t used = hash->size % SHA256_BLOCK, step = SHA256_BLOCK - used;

        step = size < step ? size : step;
        memcpy(hash->block + used, next, step);
        hash->size += step;
        next += step;
        size -= step;
        if (hash->size % SHA256_BLOCK == 0)
            sha256_take_block(hash);
    }
}

static inline void sha256_end(sha256 *hash, char hex[SHA256_HEX])
{
    uint64_t bits = hash->size * 8;
    unsigned char length[8];

    for (int i = 0; i < 8; i++)
        length[i] = (unsigned char)(bits >> (56 - 8 * i) & 0xff);
    sha256_add(hash, "\x80", 1);
    while (hash->size % SHA256_BLOCK != SHA256_BLOCK - sizeof(length))
        sha256_add(hash, "", 1);
    sha256_add(hash, length, sizeof(length));
    for (size_t i = 0; i < 8; i++)
        snprintf(hex + 8 * i, 9, "%08x", (unsigned)hash->state[i]);
}

/* Reads the rest of the file, and closes it. False: that failed, and errno says
 * why. NULL has failed already. */
static inline bool sha256_of(FILE *file, char hex[SHA256_HEX])
{
    static unsigned char data[1 << 18];
    sha256 hash;
    size_t size;
    int cause;

    if (file == NULL)
        return false;
    sha256_begin(&hash);
    while ((size = fread(data, 1, sizeof(data), file)) > 0)
        sha256_add(&hash, data, size);
    cause = ferror(file) ? errno : 0;
    fclose(file);
    sha256_end(&hash, hex);
    errno = cause;
    return cause == 0;
}

#endif
