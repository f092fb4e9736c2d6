/* SPDX-License-Identifier: MIT */
/*
 * MD5, SHA-256 and HMAC against the vectors of RFC 1321, FIPS 180-4, RFC 2104,
 * RFC 2202 and RFC 4231.
 */
#include "support/testing.h"

#include "hmac.h"

#include <stdlib.h>
#include <string.h>

enum { TEXT_SIZE = 2 * MPI_MAC_MAX + 1, MILLION = 1000000 };

typedef struct vector {
    const char *message;
    const char *digest;
} vector;

typedef struct mac_vector {
    const char *key;
    size_t key_size;
    const char *message;
    size_t size;
    const char *mac;
} mac_vector;

static const char *to_text(const unsigned char *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    static char text[TEXT_SIZE];

    for (size_t i = 0; i < size; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    text[2 * size] = 0;
    return text;
}

/* In two parts, cut at cut. */
static const char *md5_of(const char *message, size_t size, size_t cut)
{
    unsigned char digest[MPI_MD5_SIZE];
    mpi_md5 md5;

    mpi_md5_begin(&md5);
    mpi_md5_add(&md5, message, cut);
    mpi_md5_add(&md5, message + cut, size - cut);
    mpi_md5_end(&md5, digest);
    return to_text(digest, sizeof(digest));
}

static const char *sha256_of(const char *message, size_t size, size_t cut)
{
    unsigned char digest[MPI_SHA256_SIZE];
    mpi_sha256 sha;

    mpi_sha256_begin(&sha);
    mpi_sha256_add(&sha, message, cut);
    mpi_sha256_add(&sha, message + cut, size - cut);
    mpi_sha256_end(&sha, digest);
    return to_text(digest, sizeof(digest));
}

static const char *mac_of(mpi_digest digest, const mac_vector *it)
{
    unsigned char mac[MPI_MAC_MAX];
    mpi_hmac_key key;

    mpi_hmac_key_init(&key, digest, it->key, it->key_size);
    mpi_hmac(&key, it->message, it->size, mac);
    mpi_wipe(&key, sizeof(key));
    return to_text(mac, mpi_mac_size(digest));
}

/* -- MD5 ------------------------------------------------------------------- */

/* RFC 1321, A.5 */
static const vector md5_vectors[] = {
    {"", "d41d8cd98f00b204e9800998ecf8427e"},
    {"a", "0cc175b9c0f1b6a831c399e269772661"},
    {"abc", "900150983cd24fb0d6963f7d28e17f72"},
    {"message digest", "f96b697d7cb7938d525a2f31aaf161d0"},
    {"abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"},
    {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
     "d174ab98d277d9f5a5611c2c9f419d9f"},
    {"12345678901234567890123456789012345678901234567890123456789012345678901"
     "234567890",
     "57edf4a22be3c955ac49da2e2107b67a"},
};

Test(md5, is_that_of_the_rfc_wherever_the_message_is_cut)
{
    for (size_t i = 0; i < sizeof(md5_vectors) / sizeof(md5_vectors[0]); i++) {
        const vector *it = &md5_vectors[i];
        size_t size = strlen(it->message);

        for (size_t cut = 0; cut <= size; cut++)
            cr_assert_str_eq(md5_of(it->message, size, cut), it->digest,
                             "\"%s\", cut at %zu", it->message, cut);
    }
}

/* -- SHA-256 --------------------------------------------------------------- */

/* FIPS 180-4's examples, and the lengths at which the padding moves. */
static const vector sha256_vectors[] = {
    {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmno"
     "ijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
     "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
};

Test(sha256, is_that_of_the_standard_wherever_the_message_is_cut)
{
    for (size_t i = 0; i < sizeof(sha256_vectors) / sizeof(sha256_vectors[0]);
         i++) {
        const vector *it = &sha256_vectors[i];
        size_t size = strlen(it->message);

        for (size_t cut = 0; cut <= size; cut++)
            cr_assert_str_eq(sha256_of(it->message, size, cut), it->digest,
                             "\"%s\", cut at %zu", it->message, cut);
    }
}

Test(sha256, takes_a_million_letters)
{
    char *message = malloc(MILLION);

    cr_assert_not_null(message);
    memset(message, 'a', MILLION);
    cr_assert_str_eq(
        sha256_of(message, MILLION, MILLION / 3),
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    cr_assert_str_eq(md5_of(message, MILLION, MILLION / 3),
                     "7707d6ae4e027c70eea2a935c2296f21");
    free(message);
}

/* Sums of the digests of 0 to 300 letters, as Python's hashlib has them: the
 * last block is full, almost full, or has no room for the length. */
Test(sha256, takes_every_length_around_the_end_of_a_block)
{
    enum { LONGEST = 300 };
    char message[LONGEST];
    mpi_sha256 all;
    mpi_md5 all_md5;
    unsigned char digest[MPI_SHA256_SIZE];

    memset(message, 'm', sizeof(message));
    mpi_sha256_begin(&all);
    mpi_md5_begin(&all_md5);
    for (size_t size = 0; size <= LONGEST; size++) {
        mpi_sha256_add(&all, sha256_of(message, size, size / 2),
                       2 * MPI_SHA256_SIZE);
        mpi_md5_add(&all_md5, md5_of(message, size, size / 2),
                    2 * MPI_MD5_SIZE);
    }
    mpi_sha256_end(&all, digest);
    cr_assert_str_eq(
        to_text(digest, MPI_SHA256_SIZE),
        "49ded95da632375122878397c64c2d5bb1b336d11f047ebb8d1ef40f3720a9b2");
    mpi_md5_end(&all_md5, digest);
    cr_assert_str_eq(to_text(digest, MPI_MD5_SIZE),
                     "23c20a4580cac85349424496bc372c6d");
}

/* -- HMAC ------------------------------------------------------------------ */

#define REPEAT_10(s) s s s s s s s s s s
#define KEY_OF_80 REPEAT_10("\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa")
#define KEY_OF_131 KEY_OF_80 REPEAT_10("\xaa\xaa\xaa\xaa\xaa") "\xaa"
#define DATA_OF_50(s) REPEAT_10(s s s s s)
#define KEY_OF_25                                                      \
    "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10" \
    "\x11\x12\x13\x14\x15\x16\x17\x18\x19"
#define TEXT(s) (s), sizeof(s) - 1

/* RFC 2202, 2, of which the first three are RFC 2104's. */
static const mac_vector md5_mac_vectors[] = {
    {TEXT("\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b"),
     TEXT("Hi There"), "9294727a3638bb1c13f48ef8158bfc9d"},
    {TEXT("Jefe"), TEXT("what do ya want for nothing?"),
     "750c783e6ab0b503eaa86e310a5db738"},
    {TEXT("\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa"),
     TEXT(DATA_OF_50("\xdd")), "56be34521d144c88dbb8c733f0e8b3f6"},
    {TEXT(KEY_OF_25), TEXT(DATA_OF_50("\xcd")),
     "697eaf0aca3a3aea3a75164746ffaa79"},
    {TEXT("\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c"),
     TEXT("Test With Truncation"), "56461ef2342edc00f9bab995690efd4c"},
    {TEXT(KEY_OF_80),
     TEXT("Test Using Larger Than Block-Size Key - Hash Key First"),
     "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd"},
    {TEXT(KEY_OF_80),
     TEXT("Test Using Larger Than Block-Size Key and Larger Than One "
          "Block-Size Data"),
     "6f630fad67cda0ee1fb1f562db3aa53e"},
    {"", 0, "", 0, "74e6f7298a9c2d168935f58c001bad88"},
};

/* RFC 4231, 4. */
static const mac_vector sha256_mac_vectors[] = {
    {TEXT("\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b"
          "\x0b\x0b\x0b\x0b"),
     TEXT("Hi There"),
     "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
    {TEXT("Jefe"), TEXT("what do ya want for nothing?"),
     "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
    {TEXT("\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa"
          "\xaa\xaa\xaa\xaa"),
     TEXT(DATA_OF_50("\xdd")),
     "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
    {TEXT(KEY_OF_25), TEXT(DATA_OF_50("\xcd")),
     "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
    {TEXT(KEY_OF_131),
     TEXT("Test Using Larger Than Block-Size Key - Hash Key First"),
     "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
    {TEXT(KEY_OF_131),
     TEXT("This is a test using a larger than block-size key and a larger than "
          "block-size data. The key needs to be hashed before being used by "
          "the HMAC algorithm."),
     "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
    {"", 0, "", 0,
     "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"},
};

Test(hmac, is_that_of_the_rfcs)
{
    for (size_t i = 0; i < sizeof(md5_mac_vectors) / sizeof(mac_vector); i++)
        cr_assert_str_eq(mac_of(MPI_DIGEST_MD5, &md5_mac_vectors[i]),
                         md5_mac_vectors[i].mac, "MD5, %zu", i);
    for (size_t i = 0; i < sizeof(sha256_mac_vectors) / sizeof(mac_vector); i++)
        cr_assert_str_eq(mac_of(MPI_DIGEST_SHA256, &sha256_mac_vectors[i]),
                         sha256_mac_vectors[i].mac, "SHA-256, %zu", i);
}

Test(hmac, a_key_of_one_block_is_not_hashed_and_a_longer_one_is)
{
    static const char key[] =
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdefX";
    const mac_vector whole = {key, 64, TEXT("message"), NULL};
    const mac_vector longer = {key, 65, TEXT("message"), NULL};

    cr_assert_str_eq(
        mac_of(MPI_DIGEST_SHA256, &whole),
        "c4ff23a7de941414cf96f41160040a55ef72e3317a54c9918f9b429873c2ebdf");
    cr_assert_str_eq(
        mac_of(MPI_DIGEST_SHA256, &longer),
        "1824b7ebaf7ea991de3b7b64fcf271d40a49c0593a58ca4171f47829406a84e4");
}

Test(hmac, a_key_serves_many_messages)
{
    unsigned char first[MPI_MAC_MAX], again[MPI_MAC_MAX], other[MPI_MAC_MAX];
    mpi_hmac_key key;

    mpi_hmac_key_init(&key, MPI_DIGEST_SHA256, "key", 3);
    mpi_hmac(&key, "one", 3, first);
    mpi_hmac(&key, "two", 3, other);
    mpi_hmac(&key, "one", 3, again);
    cr_assert(mpi_bytes_are_equal(first, again, sizeof(first)));
    cr_assert_not(mpi_bytes_are_equal(first, other, sizeof(first)));
}

/* -- Comparing and wiping -------------------------------------------------- */

Test(hmac, bytes_differ_if_any_bit_does)
{
    unsigned char left[MPI_MAC_MAX] = {0}, right[MPI_MAC_MAX] = {0};

    cr_assert(mpi_bytes_are_equal(left, right, sizeof(left)));
    for (size_t bit = 0; bit < 8 * sizeof(left); bit++) {
        right[bit / 8] = (unsigned char)(1 << bit % 8);
        cr_assert_not(mpi_bytes_are_equal(left, right, sizeof(left)), "%zu",
                      bit);
        right[bit / 8] = 0;
    }
    cr_assert(mpi_bytes_are_equal("left", "right", 0));
}

Test(hmac, what_is_wiped_is_zero_and_nothing_else_is)
{
    unsigned char bytes[10];

    memset(bytes, 0xff, sizeof(bytes));
    mpi_wipe(bytes + 1, 8);
    cr_assert_eq(bytes[0], 0xff);
    for (int i = 1; i < 9; i++)
        cr_assert_eq(bytes[i], 0);
    cr_assert_eq(bytes[9], 0xff);
}
