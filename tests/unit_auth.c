/* SPDX-License-Identifier: MIT */
/* The handshake, without any stream: against recordings of CPython's, against
 * itself, and against whoever does not keep to it. */
#include "support/expect.h"
#include "support/transcripts.h"

#include "auth.h"

#include <stdlib.h>
#include <string.h>

enum { ALL_MAX = 512, HEADER = MPI_AUTH_HEADER };

#define KEY "secret"

static const char chance[MPI_AUTH_CHANCE + 1] =
    "0123456789012345678901234567890123456789";

/* All that a machine has said. */
typedef struct said {
    unsigned char data[ALL_MAX];
    size_t size;
} said;

static void drain(mpi_auth *auth, said *out)
{
    cr_assert_leq(auth->out_size, sizeof(auth->out));
    cr_assert_leq(out->size + auth->out_size, sizeof(out->data));
    memcpy(out->data + out->size, auth->out, auth->out_size);
    out->size += auth->out_size;
    auth->out_size = 0;
}

/* As a stream would: never more than there is room for. */
static mp_error feed(mpi_auth *auth, const void *data, size_t size)
{
    const char *bytes = data;
    mp_error err = MP_PENDING;

    while (size > 0 && err == MP_PENDING) {
        unsigned char *place;
        size_t room = mpi_auth_room(auth, &place);
        size_t step = size < room ? size : room;

        cr_assert_gt(room, 0);
        memcpy(place, bytes, step);
        err = mpi_auth_feed(auth, step);
        bytes += step;
        size -= step;
    }
    return err;
}

static mp_error feed_frame(mpi_auth *auth, const void *payload, size_t size)
{
    unsigned char frame[HEADER + ALL_MAX] = {0};

    frame[2] = (unsigned char)(size >> 8);
    frame[3] = (unsigned char)size;
    memcpy(frame + HEADER, payload, size);
    return feed(auth, frame, HEADER + size);
}

#define feed_text(auth, text) feed_frame((auth), (text), sizeof(text) - 1)

static mpi_auth_keys keys_of(const char *key, bool allow_md5)
{
    mpi_auth_keys keys;

    mpi_auth_keys_init(&keys, key, strlen(key), allow_md5);
    return keys;
}

/* -- Recordings ------------------------------------------------------------ */

static size_t frame_size(const char *data)
{
    return HEADER + (size_t)(unsigned char)data[3];
}

/* What comes before we have to answer, and the rest. */
static size_t first_part(mpi_auth_role role, recording theirs)
{
    size_t size = frame_size(theirs.data);

    if (role == MPI_AUTH_LISTENER)
        size += frame_size(theirs.data + size);
    return size;
}

/* What our side, of a Python that has the new dialect, drew by lot. */
static const char *chance_of(mpi_auth_role role, recording ours)
{
    size_t offset = role == MPI_AUTH_LISTENER ? 0 : frame_size(ours.data);

    return ours.data + offset + HEADER + strlen("#CHALLENGE#{sha256}");
}

static mp_error replay(mpi_auth *auth, recording theirs, size_t cut, said *out)
{
    size_t place = 0, first = first_part(auth->role, theirs);
    const size_t ends[] = {cut < first ? cut : first, first,
                           cut > first ? cut : first, theirs.size};
    mp_error err = MP_PENDING;

    drain(auth, out);
    for (int i = 0; i < 4; i++) {
        if (ends[i] > place)
            err = feed(auth, theirs.data + place, ends[i] - place);
        place = ends[i];
        drain(auth, out);
    }
    return err;
}

static void is_as_recorded(const transcript *it, mpi_auth_role role)
{
    bool is_listener = role == MPI_AUTH_LISTENER;
    recording ours = is_listener ? it->from_listener : it->from_client;
    recording theirs = is_listener ? it->from_client : it->from_listener;
    mpi_auth_keys keys = keys_of(KEY, true);

    for (size_t cut = 0; cut <= theirs.size; cut++) {
        said out = {0};
        mpi_auth auth;

        mpi_auth_begin(&auth, role, &keys, chance_of(role, ours));
        cr_assert_eq(replay(&auth, theirs, cut, &out), MP_OK,
                     "%s -> %s, cut at %zu: %s", it->client_version,
                     it->listener_version, cut, mp_error_message());
        cr_assert_eq(out.size, ours.size);
        cr_assert(memcmp(out.data, ours.data, ours.size) == 0);
        cr_assert_eq(auth.in_size, 0);
    }
}

static bool is_new(const char *version)
{
    return strcmp(version, "3.12") == 0 || strcmp(version, "3.13") == 0;
}

Test(auth, speaks_as_python_does_wherever_the_bytes_are_cut)
{
    int played = 0;

    for (int i = 0; i < TRANSCRIPTS; i++) {
        const transcript *it = &transcripts[i];

        if (it->is_key_right && is_new(it->listener_version)) {
            is_as_recorded(it, MPI_AUTH_LISTENER);
            played++;
        }
        if (it->is_key_right && is_new(it->client_version)) {
            is_as_recorded(it, MPI_AUTH_CLIENT);
            played++;
        }
    }
    cr_assert_gt(played, 8);
}

Test(auth, python_with_a_wrong_key_is_told_so)
{
    for (int i = 0; i < TRANSCRIPTS; i++) {
        const transcript *it = &transcripts[i];
        mpi_auth_keys keys = keys_of(KEY, true);
        said out = {0};
        mpi_auth auth;

        if (it->is_key_right || !is_new(it->listener_version))
            continue;
        mpi_auth_begin(&auth, MPI_AUTH_LISTENER, &keys,
                       chance_of(MPI_AUTH_LISTENER, it->from_listener));
        drain(&auth, &out);
        fails(feed(&auth, it->from_client.data, it->from_client.size),
              MP_EAUTH);
        drain(&auth, &out);
        cr_assert_eq(out.size, it->from_listener.size);
        cr_assert(memcmp(out.data, it->from_listener.data, out.size) == 0);
    }
}

Test(auth, python_tells_us_that_our_key_is_wrong)
{
    for (int i = 0; i < TRANSCRIPTS; i++) {
        const transcript *it = &transcripts[i];
        mpi_auth_keys keys = keys_of("wrong", true);
        size_t first = frame_size(it->from_listener.data);
        said out = {0};
        mpi_auth auth;

        if (it->is_key_right)
            continue;
        mpi_auth_begin(&auth, MPI_AUTH_CLIENT, &keys, chance);
        cr_assert_eq(feed(&auth, it->from_listener.data, first), MP_PENDING);
        drain(&auth, &out);
        if (is_new(it->client_version))
            cr_assert(memcmp(out.data, it->from_client.data,
                             it->from_client.size) == 0);
        fails(feed(&auth, it->from_listener.data + first,
                   it->from_listener.size - first),
              MP_EAUTH);
        cr_assert_not_null(strstr(mp_error_message(), "our key"));
        cr_assert_eq(auth.out_size, 0);
    }
}

Test(auth, md5_is_refused_unless_it_is_allowed)
{
    mpi_auth_keys keys = keys_of(KEY, false);
    int refused = 0;

    for (int i = 0; i < TRANSCRIPTS; i++) {
        const transcript *it = &transcripts[i];
        bool is_listener = is_new(it->listener_version);
        recording theirs = is_listener ? it->from_client : it->from_listener;
        recording ours = is_listener ? it->from_listener : it->from_client;
        mpi_auth_role role = is_listener ? MPI_AUTH_LISTENER : MPI_AUTH_CLIENT;
        mpi_auth auth;

        if (!it->is_key_right ||
            (is_new(it->listener_version) && is_new(it->client_version)))
            continue;
        mpi_auth_begin(&auth, role, &keys, chance_of(role, ours));
        auth.out_size = 0;
        fails(feed(&auth, theirs.data, frame_size(theirs.data)), MP_EAUTH);
        cr_assert_not_null(strstr(mp_error_message(), "allow_md5"));
        /* A listener says so, a client has not been asked yet. */
        cr_assert_eq(auth.out_size, is_listener ? 13 : 0);
        refused++;
    }
    cr_assert_gt(refused, 3);
}

/* -- With itself ----------------------------------------------------------- */

typedef struct both {
    mpi_auth listener;
    mpi_auth client;
    mp_error listener_says;
    mp_error client_says;
} both;

/* step bytes at a time; true if any moved. */
static bool move(mpi_auth *from, mpi_auth *to, mp_error *says, size_t step)
{
    size_t size = from->out_size;

    if (size == 0 || *says != MP_PENDING)
        return false;
    from->out_size = 0;
    for (size_t i = 0; i < size && *says == MP_PENDING; i += step)
        *says = feed(to, from->out + i, size - i < step ? size - i : step);
    return true;
}

static void run(both *it, const mpi_auth_keys *listener,
                const mpi_auth_keys *client, size_t step)
{
    it->listener_says = MP_PENDING;
    it->client_says = MP_PENDING;
    mpi_auth_begin(&it->listener, MPI_AUTH_LISTENER, listener, chance);
    mpi_auth_begin(&it->client, MPI_AUTH_CLIENT, client, chance + 1);
    while (move(&it->listener, &it->client, &it->client_says, step) ||
           move(&it->client, &it->listener, &it->listener_says, step))
        continue;
}

Test(auth, two_that_know_the_key_agree)
{
    for (size_t step = 1; step < 120; step++) {
        mpi_auth_keys with = keys_of(KEY, true), without = keys_of(KEY, false);
        both it;

        run(&it, &with, &without, step);
        cr_assert_eq(it.listener_says, MP_OK, "%s", mp_error_message());
        cr_assert_eq(it.client_says, MP_OK, "%s", mp_error_message());
        run(&it, &without, &with, step);
        cr_assert_eq(it.listener_says, MP_OK, "%s", mp_error_message());
        cr_assert_eq(it.client_says, MP_OK, "%s", mp_error_message());
    }
}

Test(auth, two_keys_that_differ_do_not_pass)
{
    static const char *const others[] = {"", "Secret", "secre", "secret ",
                                         "secretsecret"};
    mpi_auth_keys right = keys_of(KEY, false);

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        mpi_auth_keys other = keys_of(others[i], false);
        both it;

        run(&it, &right, &other, 7);
        cr_assert_eq(it.listener_says, MP_EAUTH);
        cr_assert_eq(it.client_says, MP_EAUTH);
    }
}

Test(auth, a_key_of_no_bytes_and_one_of_a_thousand_are_keys)
{
    char *longest = calloc(1, 1000);
    mpi_auth_keys none, many, more;
    both it;

    mpi_auth_keys_init(&none, NULL, 0, false);
    mpi_auth_keys_init(&many, longest, 1000, false);
    mpi_auth_keys_init(&more, longest, 999, false);
    run(&it, &none, &none, 500);
    cr_assert_eq(it.listener_says, MP_OK);
    run(&it, &many, &many, 500);
    cr_assert_eq(it.listener_says, MP_OK);
    run(&it, &many, &more, 500);
    cr_assert_eq(it.listener_says, MP_EAUTH);
    free(longest);
}

/* -- With strangers -------------------------------------------------------- */

static void begin(mpi_auth *auth, mpi_auth_role role, const mpi_auth_keys *keys)
{
    mpi_auth_begin(auth, role, keys, chance);
    auth->out_size = 0;
}

Test(auth, what_is_no_frame_of_a_handshake_is_refused_at_its_fourth_byte)
{
    static const char *const headers[] = {
        "\x00\x00\x01\x01", "\xff\xff\xff\xff", "\x80\x00\x00\x00", "GET "};
    mpi_auth_keys keys = keys_of(KEY, true);

    for (int role = MPI_AUTH_LISTENER; role <= MPI_AUTH_CLIENT; role++) {
        for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
            mpi_auth auth;

            begin(&auth, (mpi_auth_role)role, &keys);
            cr_assert_eq(feed(&auth, headers[i], 3), MP_PENDING);
            fails(feed(&auth, headers[i] + 3, 1), MP_EAUTH);
            cr_assert_eq(auth.out_size, 0);
        }
    }
}

typedef struct stranger {
    const char *text;
    size_t size;
} stranger;

#define SAYS(text)               \
    {                            \
        (text), sizeof(text) - 1 \
    }

Test(auth, a_client_answers_nothing_but_a_challenge_it_understands)
{
    static const stranger strangers[] = {
        SAYS(""),
        SAYS("hello"),
        SAYS("#WELCOME#"),
        SAYS("#CHALLENGE#"),
        SAYS("#CHALLENGE#1234567890123456789"),
        SAYS("#CHALLENGE#1234567890123456"),
        SAYS("#CHALLENGE#123456789012345678901"),
        SAYS("#CHALLENGE#{sha384}1234567890123456789012345678901234567890"),
        SAYS("#CHALLENGE#{sha256 1234567890123456789012345678901234567890"),
        SAYS("#challenge#{sha256}1234567890123456789012345678901234567890"),
    };
    mpi_auth_keys keys = keys_of(KEY, true);

    for (size_t i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++) {
        mpi_auth auth;

        begin(&auth, MPI_AUTH_CLIENT, &keys);
        fails(feed_frame(&auth, strangers[i].text, strangers[i].size),
              MP_EAUTH);
        cr_assert_eq(auth.out_size, 0, "%s", strangers[i].text);
    }
}

Test(auth, a_listener_says_failure_to_every_answer_that_is_none)
{
    static const stranger strangers[] = {
        SAYS(""),
        SAYS("hello"),
        SAYS("1234567890123456"),
        SAYS("12345678901234567890"),
        SAYS("{md5}1234567890123456"),
        SAYS("{sha256}"),
        SAYS("{sha256}1234567890123456789012345678901"),
        SAYS("{sha256}12345678901234567890123456789012"),
        SAYS("{sha256}123456789012345678901234567890123"),
        SAYS("{sha384}123456789012345678901234567890121234567890123456"),
        SAYS("#CHALLENGE#{sha256}1234567890123456789012345678901234567890"),
    };
    mpi_auth_keys keys = keys_of(KEY, true);

    for (size_t i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++) {
        mpi_auth auth;

        begin(&auth, MPI_AUTH_LISTENER, &keys);
        fails(feed_frame(&auth, strangers[i].text, strangers[i].size),
              MP_EAUTH);
        cr_assert_eq(auth.out_size, 13);
        cr_assert(memcmp(auth.out, "\0\0\0\x09#FAILURE#", 13) == 0);
    }
}

/* What the client says to chance: to play it badly afterwards. */
static void answer_rightly(mpi_auth *listener, const mpi_auth_keys *keys,
                           said *answer)
{
    mpi_auth client;

    mpi_auth_begin(listener, MPI_AUTH_LISTENER, keys, chance);
    mpi_auth_begin(&client, MPI_AUTH_CLIENT, keys, chance);
    cr_assert_eq(feed(&client, listener->out, listener->out_size), MP_PENDING);
    listener->out_size = 0;
    drain(&client, answer);
}

Test(auth, who_welcomes_before_we_have_proved_ourselves_is_refused)
{
    mpi_auth_keys keys = keys_of(KEY, false);
    said answer = {0};
    mpi_auth auth;

    answer_rightly(&auth, &keys, &answer);
    memcpy(answer.data + answer.size, "\0\0\0\x09#WELCOME#", 13);
    fails(feed(&auth, answer.data, answer.size + 13), MP_EAUTH);
    cr_assert_not_null(strstr(mp_error_message(), "without a proof"));
    answer.size = 0;
    answer_rightly(&auth, &keys, &answer);
    cr_assert_eq(feed(&auth, answer.data, answer.size), MP_PENDING);
    cr_assert_eq(feed_text(&auth, "#WELCOME#"), MP_OK);
}

Test(auth, only_welcome_is_a_welcome)
{
    static const stranger strangers[] = {SAYS(""), SAYS("#WELCOME"),
                                         SAYS("#WELCOME# "), SAYS("#Welcome#"),
                                         SAYS("#FAILURE#")};
    mpi_auth_keys keys = keys_of(KEY, false);

    for (size_t i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++) {
        said answer = {0};
        mpi_auth auth;

        answer_rightly(&auth, &keys, &answer);
        cr_assert_eq(feed(&auth, answer.data, answer.size), MP_PENDING);
        fails(feed_frame(&auth, strangers[i].text, strangers[i].size),
              MP_EAUTH);
    }
}

Test(auth, nothing_behind_the_last_frame_is_read)
{
    mpi_auth_keys keys = keys_of(KEY, false);
    said answer = {0};
    unsigned char *place;
    mpi_auth auth;

    answer_rightly(&auth, &keys, &answer);
    cr_assert_eq(feed(&auth, answer.data, answer.size), MP_PENDING);
    cr_assert_eq(mpi_auth_room(&auth, &place), 13);
    memcpy(place, "\0\0\0\x09#", 5);
    cr_assert_eq(mpi_auth_feed(&auth, 5), MP_PENDING);
    cr_assert_eq(mpi_auth_room(&auth, &place), 8);
}

Test(auth, an_end_of_file_is_told_from_a_refusal)
{
    mpi_auth_keys keys = keys_of(KEY, false);
    mpi_auth auth;

    begin(&auth, MPI_AUTH_LISTENER, &keys);
    fails(mpi_auth_feed(&auth, 0), MP_EEOF);
    begin(&auth, MPI_AUTH_CLIENT, &keys);
    cr_assert_eq(feed(&auth, "\0\0", 2), MP_PENDING);
    fails(mpi_auth_feed(&auth, 0), MP_EEOF);
}

Test(auth, giving_up_says_what_has_not_come)
{
    mpi_auth_keys keys = keys_of(KEY, false);
    said answer = {0};
    mpi_auth auth;

    begin(&auth, MPI_AUTH_CLIENT, &keys);
    fails(mpi_auth_give_up(&auth), MP_EAUTH);
    cr_assert_not_null(strstr(mp_error_message(), "has not asked"));
    begin(&auth, MPI_AUTH_LISTENER, &keys);
    fails(mpi_auth_give_up(&auth), MP_EAUTH);
    cr_assert_not_null(strstr(mp_error_message(), "has not proved"));
    answer_rightly(&auth, &keys, &answer);
    cr_assert_eq(feed(&auth, answer.data, answer.size), MP_PENDING);
    fails(mpi_auth_give_up(&auth), MP_EAUTH);
}

/* A generator of our own: the same bytes everywhere. */
static unsigned char next_byte(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return (unsigned char)(*state >> 24);
}

/* One byte wrong, at every place and of every value there is a bit for. */
Test(auth, one_wrong_bit_anywhere_never_passes)
{
    mpi_auth_keys keys = keys_of(KEY, true);
    said answer = {0};
    mpi_auth auth;

    answer_rightly(&auth, &keys, &answer);
    for (size_t i = 0; i < 44 + 4; i++) {
        for (int bit = 0; bit < 8; bit++) {
            said wrong = answer;
            mp_error err;

            begin(&auth, MPI_AUTH_LISTENER, &keys);
            wrong.data[i] ^= (unsigned char)(1 << bit);
            err = feed(&auth, wrong.data, wrong.size);
            cr_assert(err == MP_EAUTH || err == MP_PENDING, "%zu", i);
            cr_assert(err == MP_EAUTH || auth.step < 2, "%zu", i);
        }
    }
}

Test(auth, noise_never_passes)
{
    mpi_auth_keys keys = keys_of(KEY, true);
    uint32_t state = 1;

    for (int round = 0; round < 20000; round++) {
        unsigned char noise[300];
        size_t size = 1 + next_byte(&state);
        mpi_auth auth;

        for (size_t i = 0; i < size; i++)
            noise[i] = next_byte(&state);
        noise[0] = noise[1] = noise[2] = 0;
        begin(&auth, (mpi_auth_role)(round % 2), &keys);
        cr_assert_neq(feed(&auth, noise, size), MP_OK);
    }
}
