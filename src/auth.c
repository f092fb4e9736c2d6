/* SPDX-License-Identifier: MIT */
/* The handshake: frames in, frames out. */
#include "auth.h"

#include <string.h>

enum {
    STEPS = 3,
    OLD_MESSAGE = 20, /* the shortest there is, and that of the old dialect */
    CHALLENGE_SIZE = 11,
    VERDICT_SIZE = 9,
    NAME_SIZE = 8, /* of sha256_name */
};

static const char challenge_word[] = "#CHALLENGE#";
static const char welcome[] = "#WELCOME#";
static const char failure[] = "#FAILURE#";
static const char sha256_name[] = "{sha256}";
static const char md5_name[] = "{md5}";

typedef enum expected {
    CHALLENGE,
    ANSWER,
    VERDICT,
} expected;

/* What comes, in which order. */
static const expected orders[][STEPS] = {
    [MPI_AUTH_LISTENER] = {ANSWER, CHALLENGE, VERDICT},
    [MPI_AUTH_CLIENT] = {CHALLENGE, VERDICT, ANSWER},
};

static expected awaited(const mpi_auth *auth)
{
    return orders[auth->role][auth->step];
}

void mpi_auth_keys_init(mpi_auth_keys *keys, const void *key, size_t size,
                        bool allow_md5)
{
    keys->allow_md5 = allow_md5;
    mpi_hmac_key_init(&keys->sha256, MPI_DIGEST_SHA256, key, size);
    if (allow_md5)
        mpi_hmac_key_init(&keys->md5, MPI_DIGEST_MD5, key, size);
}

/* -- Frames out ------------------------------------------------------------ */

/* A frame of two parts; there is room for all we ever say at once. */
static void put(mpi_auth *auth, const char *word, const void *data, size_t size)
{
    unsigned char *place = auth->out + auth->out_size;
    size_t word_size = strlen(word);

    memset(place, 0, MPI_AUTH_HEADER - 1);
    place[MPI_AUTH_HEADER - 1] = (unsigned char)(word_size + size);
    memcpy(place + MPI_AUTH_HEADER, word, word_size);
    if (size > 0)
        memcpy(place + MPI_AUTH_HEADER + word_size, data, size);
    auth->out_size += MPI_AUTH_HEADER + word_size + size;
}

static void put_mac(mpi_auth *auth, const char *name, const mpi_hmac_key *key,
                    const void *message, size_t size)
{
    unsigned char mac[MPI_MAC_MAX];

    mpi_hmac(key, message, size, mac);
    put(auth, name, mac, mpi_mac_size(key->inner.digest));
}

static void put_challenge(mpi_auth *auth)
{
    put(auth, challenge_word, auth->message, sizeof(auth->message));
}

void mpi_auth_begin(mpi_auth *auth, mpi_auth_role role,
                    const mpi_auth_keys *keys, const void *chance)
{
    auth->keys = keys;
    auth->role = role;
    auth->step = 0;
    auth->in_size = 0;
    auth->out_size = 0;
    memcpy(auth->message, sha256_name, NAME_SIZE);
    memcpy(auth->message + NAME_SIZE, chance, MPI_AUTH_CHANCE);
    if (role == MPI_AUTH_LISTENER)
        put_challenge(auth);
}

/* -- Their challenge, our answer ------------------------------------------- */

static bool begins_with(const unsigned char *data, size_t size,
                        const char *word)
{
    return size >= strlen(word) && memcmp(data, word, strlen(word)) == 0;
}

static bool is_old_size(size_t size)
{
    return size == OLD_MESSAGE || size == MPI_MD5_SIZE;
}

static mp_error fail_md5(void)
{
    return mpi_fail(MP_EAUTH, "the other side knows only MD5, as a Python "
                              "before 3.12 does, and allow_md5 is not set");
}

static mp_error answer(mpi_auth *auth, const unsigned char *message,
                       size_t size)
{
    const mpi_auth_keys *keys = auth->keys;
    bool is_old = is_old_size(size);

    if (size < OLD_MESSAGE)
        return mpi_fail(MP_EAUTH, "a challenge of %zu bytes is too short",
                        size);
    if (!is_old && begins_with(message, size, sha256_name)) {
        put_mac(auth, sha256_name, &keys->sha256, message, size);
        return MP_OK;
    }
    if (!is_old && !begins_with(message, size, md5_name))
        return mpi_fail(MP_EAUTH, "the other side asks for a proof by "
                                  "something else than SHA-256");
    if (!keys->allow_md5)
        return fail_md5();
    put_mac(auth, is_old ? "" : md5_name, &keys->md5, message, size);
    return MP_OK;
}

static mp_error take_challenge(mpi_auth *auth, const unsigned char *data,
                               size_t size)
{
    mp_error err;

    if (!begins_with(data, size, challenge_word))
        return mpi_fail(MP_EAUTH, "the other side does not ask for a proof: it "
                                  "has no key, or does not know the protocol");
    err = answer(auth, data + CHALLENGE_SIZE, size - CHALLENGE_SIZE);
    if (err == MP_OK && auth->role == MPI_AUTH_CLIENT)
        put_challenge(auth);
    return err;
}

/* -- Our challenge, their answer ------------------------------------------- */

/* Either MAC's place, or why there is none. */
static mp_error find_mac(const mpi_auth *auth, const unsigned char **data,
                         size_t *size, const mpi_hmac_key **key)
{
    bool is_old = is_old_size(*size);
    bool is_md5 = is_old || begins_with(*data, *size, md5_name);
    size_t skipped = is_old ? 0 : strlen(is_md5 ? md5_name : sha256_name);

    if (!is_md5 && !begins_with(*data, *size, sha256_name))
        return mpi_fail(MP_EAUTH, "the other side sends something else than a "
                                  "proof by SHA-256; has it no key?");
    if (is_md5 && !auth->keys->allow_md5)
        return fail_md5();
    *data += skipped;
    *size -= skipped;
    *key = is_md5 ? &auth->keys->md5 : &auth->keys->sha256;
    return MP_OK;
}

static mp_error check_answer(const mpi_auth *auth, const unsigned char *data,
                             size_t size)
{
    unsigned char mac[MPI_MAC_MAX];
    const mpi_hmac_key *key = NULL;
    bool is_right;
    mp_error err = find_mac(auth, &data, &size, &key);

    if (err != MP_OK)
        return err;
    mpi_hmac(key, auth->message, sizeof(auth->message), mac);
    is_right = size == mpi_mac_size(key->inner.digest) &&
               mpi_bytes_are_equal(mac, data, size);
    mpi_wipe(mac, sizeof(mac)); /* the proof that was asked for */
    if (!is_right)
        return mpi_fail(MP_EAUTH, "the other side has another key");
    return MP_OK;
}

static mp_error take_answer(mpi_auth *auth, const unsigned char *data,
                            size_t size)
{
    mp_error err = check_answer(auth, data, size);

    put(auth, err == MP_OK ? welcome : failure, NULL, 0);
    return err;
}

static mp_error take_verdict(const unsigned char *data, size_t size)
{
    if (size == VERDICT_SIZE && memcmp(data, welcome, VERDICT_SIZE) == 0)
        return MP_OK;
    if (size == VERDICT_SIZE && memcmp(data, failure, VERDICT_SIZE) == 0)
        return mpi_fail(MP_EAUTH, "the other side does not accept our key");
    return mpi_fail(MP_EAUTH, "the other side neither welcomes nor refuses us");
}

/* -- Frames in ------------------------------------------------------------- */

static size_t frame_size(const mpi_auth *auth)
{
    return (size_t)auth->in[0] << 24 | (size_t)auth->in[1] << 16 |
           (size_t)auth->in[2] << 8 | auth->in[3];
}

size_t mpi_auth_room(mpi_auth *auth, unsigned char **place)
{
    size_t most = sizeof(auth->in);

    /* What comes after it is not ours, and any other frame is a refusal. */
    if (auth->step == STEPS - 1 && awaited(auth) == VERDICT)
        most = MPI_AUTH_HEADER + VERDICT_SIZE;
    *place = auth->in + auth->in_size;
    return most - auth->in_size;
}

/* Of a verdict no more is ever read, see above. */
static size_t most_expected(const mpi_auth *auth)
{
    return awaited(auth) == VERDICT ? VERDICT_SIZE : MPI_AUTH_FRAME_MAX;
}

static mp_error take_frame(mpi_auth *auth, const unsigned char *data,
                           size_t size)
{
    switch (awaited(auth)) {
    case CHALLENGE:
        return take_challenge(auth, data, size);
    case ANSWER:
        return take_answer(auth, data, size);
    default:
        return take_verdict(data, size);
    }
}

/* Only the verdict on the client, and the client's answer, may be followed by
 * something that was sent at the same time: the first of two frames. */
static bool may_be_followed(const mpi_auth *auth)
{
    return auth->step == (auth->role == MPI_AUTH_CLIENT ? 1 : 0);
}

static mp_error take_next(mpi_auth *auth, size_t size)
{
    size_t whole = MPI_AUTH_HEADER + size;
    mp_error err;

    if (auth->in_size > whole && !may_be_followed(auth))
        return mpi_fail(MP_EAUTH, "the other side goes on without a proof");
    err = take_frame(auth, auth->in + MPI_AUTH_HEADER, size);
    if (err != MP_OK)
        return err;
    auth->in_size -= whole;
    memmove(auth->in, auth->in + whole, auth->in_size);
    auth->step++;
    return auth->step == STEPS ? MP_OK : MP_PENDING;
}

mp_error mpi_auth_feed(mpi_auth *auth, size_t size)
{
    mp_error err = MP_PENDING;

    if (size == 0)
        return mpi_fail(MP_EEOF, "the other side has hung up in the handshake");
    auth->in_size += size;
    while (err == MP_PENDING && auth->in_size >= MPI_AUTH_HEADER) {
        size_t payload = frame_size(auth);

        if (payload > most_expected(auth))
            return mpi_fail(MP_EAUTH, "the other side sends something else "
                                      "than a handshake");
        if (auth->in_size < MPI_AUTH_HEADER + payload)
            break;
        err = take_next(auth, payload);
    }
    return err;
}

mp_error mpi_auth_give_up(const mpi_auth *auth)
{
    if (auth->step == 0 && auth->role == MPI_AUTH_CLIENT)
        return mpi_fail(MP_EAUTH, "the listener has not asked for a proof in "
                                  "time: it has no key, or accepts nobody");
    if (auth->step == 0)
        return mpi_fail(MP_EAUTH, "the client has not proved in time that it "
                                  "knows the key");
    return mpi_fail(MP_EAUTH, "the handshake was not over in time");
}
