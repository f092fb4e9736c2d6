/* SPDX-License-Identifier: MIT */
/* HMAC over either hash; both have blocks of 64 bytes. */
#include "hmac.h"

#include <string.h>

enum { BLOCK = MPI_SHA256_BLOCK, INNER_PAD = 0x36, OUTER_PAD = 0x5c };

static void hash_begin(mpi_hash *hash, mpi_digest digest)
{
    hash->digest = digest;
    if (digest == MPI_DIGEST_MD5)
        mpi_md5_begin(&hash->of.md5);
    else
        mpi_sha256_begin(&hash->of.sha256);
}

static void hash_add(mpi_hash *hash, const void *data, size_t size)
{
    if (hash->digest == MPI_DIGEST_MD5)
        mpi_md5_add(&hash->of.md5, data, size);
    else
        mpi_sha256_add(&hash->of.sha256, data, size);
}

static void hash_end(mpi_hash *hash, unsigned char *result)
{
    if (hash->digest == MPI_DIGEST_MD5)
        mpi_md5_end(&hash->of.md5, result);
    else
        mpi_sha256_end(&hash->of.sha256, result);
    mpi_wipe(hash, sizeof(*hash));
}

size_t mpi_mac_size(mpi_digest digest)
{
    return digest == MPI_DIGEST_MD5 ? MPI_MD5_SIZE : MPI_SHA256_SIZE;
}

static void take_padded(mpi_hash *hash, mpi_digest digest,
                        const unsigned char *block, unsigned char pad)
{
    unsigned char padded[BLOCK];

    for (int i = 0; i < BLOCK; i++)
        padded[i] = block[i] ^ pad;
    hash_begin(hash, digest);
    hash_add(hash, padded, sizeof(padded));
    mpi_wipe(padded, sizeof(padded));
}

void mpi_hmac_key_init(mpi_hmac_key *key, mpi_digest digest, const void *data,
                       size_t size)
{
    unsigned char block[BLOCK] = {0};

    if (size > BLOCK) {
        mpi_hash hash;

        hash_begin(&hash, digest);
        hash_add(&hash, data, size);
        hash_end(&hash, block);
    } else if (size > 0) {
        memcpy(block, data, size);
    }
    take_padded(&key->inner, digest, block, INNER_PAD);
    take_padded(&key->outer, digest, block, OUTER_PAD);
    mpi_wipe(block, sizeof(block));
}

void mpi_hmac(const mpi_hmac_key *key, const void *message, size_t size,
              unsigned char *mac)
{
    mpi_hash hash = key->inner;
    unsigned char digest[MPI_MAC_MAX];

    hash_add(&hash, message, size);
    hash_end(&hash, digest);
    hash = key->outer;
    hash_add(&hash, digest, mpi_mac_size(key->outer.digest));
    hash_end(&hash, mac);
}

bool mpi_bytes_are_equal(const void *left, const void *right, size_t size)
{
    const volatile unsigned char *a = left, *b = right;
    unsigned difference = 0;

    for (size_t i = 0; i < size; i++)
        difference |= (unsigned)(a[i] ^ b[i]);
    return difference == 0;
}

void mpi_wipe(void *data, size_t size)
{
    /* Which function this is, no compiler may know. */
    static void *(*const volatile fill)(void *, int, size_t) = memset;

    fill(data, 0, size);
}
