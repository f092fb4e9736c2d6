/* SPDX-License-Identifier: MIT */
/*
 * Listener and Client between us and the Pythons of this machine, each in both
 * parts. What Python does is in interop_listener.py, beside this file.
 */
#include "support/check.h"
#include "support/python.h"
#include "support/system.h"
#include "support/testing.h"

#include "internal.h"
#include "os.h"

#include <multiproc.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LARGE = 100 * 1000 * 1000, LONG_KEY = 200, TIMEOUT = 280 };

static const double patience = 60;
/* For a proof that never comes. */
static const double short_while = 0.5;

#define SECRET "k736563726574"
#define OTHER "k6f74686572"
#define NO_KEY "-"
#define EMPTY_KEY "k"

/* In the handshake; and its Listener takes a key of no bytes for one. */
enum { MINOR_OF_SHA256 = 12, MINOR_OF_EMPTY_KEY = 13 };

/* What both sides do about each other. */
typedef struct meeting {
    const python *with;
    const char *what; /* Python does */
    const char *key;  /* Python has */
    mp_auth auth;     /* we have */
    bool is_inet;
    double timeout; /* we give it; 0: time enough */
} meeting;

/* -- Running Python -------------------------------------------------------- */

static void for_each_python(void (*talk)(const python *with))
{
    char script[SUPPORT_PATH_SIZE];

    python_script("interop_listener.py", script);
    python_for_each(script, 6, talk);
}

static bool has_sha256(const python *with)
{
    return with->minor >= MINOR_OF_SHA256;
}

static int run_command(mp_args *args)
{
    return python_run(mp_arg_str(args, 0));
}

static mp_process *start_python(const meeting *with, const char *part,
                                const char *place)
{
    char command[4 * SUPPORT_PATH_SIZE];
    mp_process *process;

    snprintf(command, sizeof(command), "%s \"%s\" %s %s %s %s",
             with->with->program, with->with->script, part, with->what,
             with->key, place);
    cr_assert_eq(
        mp_process_create(&process, run_command, MP_ARGS(command), NULL),
        MP_OK);
    cr_assert_eq(mp_process_start(process), MP_OK, "%s", mp_error_message());
    return process;
}

/* Where it listens, and says so; "": it does not. */
static char folder[SUPPORT_PATH_SIZE];

/* Python found everything as it expected it. */
static void expect_contented(const meeting *with, mp_process *process)
{
    int code = -1;

    cr_assert_eq(mp_process_join(process, patience), MP_OK, "%s: %s",
                 with->with->program, with->what);
    cr_assert_eq(mp_process_exitcode(process, &code), MP_OK);
    cr_assert_eq(code, 0, "%s: %s with %s", with->with->program, with->what,
                 with->key);
    cr_assert_eq(mp_process_close(process), MP_OK);
    if (folder[0] != 0)
        support_remove_folder(folder);
    folder[0] = 0;
}

/* -- Meeting --------------------------------------------------------------- */

static mp_auth our_key(const python *with)
{
    return (mp_auth){
        .key = "secret", .key_size = 6, .allow_md5 = !has_sha256(with)};
}

static mp_address at_path(const char *path)
{
    return mpos_system.has_fork ? mp_unix(path) : mp_named_pipe(path);
}

/* We listen, Python connects. */
static mp_error be_listener(const meeting *with, mp_connection **connection,
                            mp_process **process)
{
    mp_listener_options options = {.auth = with->auth,
                                   .handshake_timeout = with->timeout};
    const mp_address *address;
    mp_listener *listener;
    char place[SUPPORT_PATH_SIZE];
    mp_error err;

    cr_assert_eq(mp_listener_create(&listener,
                                    with->is_inet ? mp_inet("127.0.0.1", 0)
                                                  : at_path(NULL),
                                    &options),
                 MP_OK, "%s", mp_error_message());
    address = mp_listener_address(listener);
    if (with->is_inet)
        snprintf(place, sizeof(place), "inet %s %u", address->name,
                 address->port);
    else
        snprintf(place, sizeof(place), "path \"%s\"", address->name);
    *process = start_python(with, "client", place);
    err = mp_listener_accept(listener, patience, connection);
    cr_assert_eq(mp_listener_last_accepted(listener).family, address->family);
    /* What went wrong is asked for later. */
    if (err == MP_OK)
        cr_assert_eq(mp_listener_close(listener), MP_OK);
    else
        mp_listener_close(listener);
    return err;
}

static mp_address await_address(const meeting *with)
{
    double end = mp_monotonic() + patience;
    char path[SUPPORT_PATH_SIZE], text[SUPPORT_PATH_SIZE] = "";

    support_join_path(folder, "address", path);
    while (text[0] == 0) {
        cr_assert_lt(mp_monotonic(), end, "%s does not listen",
                     with->with->program);
        mp_sleep(0.01);
        support_read_file(path, text, sizeof(text));
    }
    return with->is_inet
               ? mp_inet("127.0.0.1", (unsigned)strtoul(text, NULL, 10))
               : at_path(text);
}

/* Python listens, we connect. */
static mp_error be_client(const meeting *with, mp_connection **connection,
                          mp_process **process)
{
    mp_client_options options = {.auth = with->auth,
                                 .timeout = with->timeout != 0 ? with->timeout
                                                               : patience};
    char place[SUPPORT_PATH_SIZE + 16];

    support_make_folder("mp-listener", folder);
    snprintf(place, sizeof(place), "%s \"%s\"", with->is_inet ? "inet" : "path",
             folder);
    *process = start_python(with, "server", place);
    return mp_client(connection, await_address(with), &options);
}

typedef mp_error meet(const meeting *with, mp_connection **connection,
                      mp_process **process);

/* Ours in this test. */
static meet *part;

static void over_each_family(meeting with,
                             void (*talk)(const meeting *with, meet *how))
{
    for (int i = 0; i < 2; i++) {
        with.is_inet = i == 1;
        talk(&with, part);
    }
}

/* Two tests: we listen, and we call. */
#define TEST_PARTS(name, talk)                          \
    Test(listening_to_python, name, .timeout = TIMEOUT) \
    {                                                   \
        part = be_listener;                             \
        for_each_python(talk);                          \
    }                                                   \
    Test(calling_python, name, .timeout = TIMEOUT)      \
    {                                                   \
        part = be_client;                               \
        for_each_python(talk);                          \
    }

/* -- Talking --------------------------------------------------------------- */

static mp_obj *receive(mp_connection *connection)
{
    mp_obj *obj = NULL;
    mp_error err;

    cr_assert_eq(mp_connection_poll(connection, patience), MP_OK);
    err = mp_connection_recv(connection, &obj);
    cr_assert_eq(err, MP_OK, "%s", mp_error_message());
    return obj;
}

static void send_one(mp_connection *connection, mp_obj *obj)
{
    cr_assert_eq(mp_connection_send(connection, obj), MP_OK, "%s",
                 mp_error_message());
}

/* Compared by repr: -0.0 is not 0.0, nor True 1. */
static void expect_echo(mp_connection *connection, mp_obj *obj)
{
    char *sent = NULL, *got = NULL;
    mp_obj *back;

    send_one(connection, mp_obj_ref(obj));
    back = receive(connection);
    cr_assert_eq(mp_obj_repr(obj, &sent), MP_OK);
    cr_assert_eq(mp_obj_repr(back, &got), MP_OK);
    cr_assert_str_eq(got, sent);
    mp_free(sent);
    mp_free(got);
    mp_obj_unref(back);
    mp_obj_unref(obj);
}

static mp_obj *long_list(void)
{
    mp_obj *list = MP_LIST();

    for (int i = 0; i < 5000; i++)
        cr_assert_eq(mp_obj_append(list, MP_TUPLE(i, "item")), MP_OK);
    return list;
}

static void send_each_kind(mp_connection *connection)
{
    expect_echo(connection, MP_NONE);
    expect_echo(connection, MP_TRUE);
    expect_echo(connection, MP_FALSE);
    expect_echo(connection, MP_BOX(0));
    expect_echo(connection, mp_obj_int(INT64_MIN));
    expect_echo(connection, mp_obj_int(INT64_MAX));
    expect_echo(connection, MP_BOX(-0.0));
    expect_echo(connection, MP_BOX(2.5));
    expect_echo(connection, MP_BOX(HUGE_VAL));
    expect_echo(connection, MP_BOX(""));
    expect_echo(connection, MP_BOX("h\xc3\xa9 \xf0\x9f\x90\x8d"));
    expect_echo(connection, mp_obj_strn("a\0b", 3));
    expect_echo(connection, MP_BYTES("", 0));
    expect_echo(connection, MP_BYTES("\0\xff", 2));
    expect_echo(connection, MP_LIST());
    expect_echo(connection, MP_TUPLE());
    expect_echo(connection, MP_DICT());
    expect_echo(connection, MP_SET());
    expect_echo(connection, MP_LIST(42, MP_NONE, "hello"));
    expect_echo(connection,
                MP_DICT("k", MP_TUPLE(1, 2.5, MP_TRUE), 3, MP_SET("only")));
    expect_echo(connection, long_list());
    send_one(connection, MP_BOX("your turn"));
}

/* The value, unless it was Python's last word: its pid. */
static bool return_one(mp_connection *connection, int64_t *pid)
{
    mp_obj *pair = receive(connection);
    const mp_obj *expected, *value;
    const char *text;
    char *repr = NULL;

    if (mp_obj_as_int(pair, pid) == MP_OK) {
        mp_obj_unref(pair);
        return false;
    }
    cr_assert_eq(mp_obj_item(pair, 0, &expected), MP_OK);
    cr_assert_eq(mp_obj_item(pair, 1, &value), MP_OK);
    cr_assert_eq(mp_obj_as_str(expected, &text, NULL), MP_OK);
    cr_assert_eq(mp_obj_repr(value, &repr), MP_OK);
    cr_assert_str_eq(repr, text);
    send_one(connection, mp_obj_ref(value));
    mp_free(repr);
    mp_obj_unref(pair);
    return true;
}

/* The system knows who is at the other end, but not over a network. */
static void expect_peer(const meeting *with, mp_connection *connection,
                        int64_t expected)
{
    bool is_same_user = false;
    int64_t pid = -1;
    mp_error err = mp_connection_peer(connection, &pid, &is_same_user);

    cr_assert_eq(err, with->is_inet ? MP_ENOTSUP : MP_OK);
    if (err == MP_OK) {
        cr_assert(is_same_user);
        cr_assert(pid == expected || pid == 0);
    }
}

static void talk(const meeting *with, meet *how)
{
    const size_t sizes[] = {0, 1, 16383, 16384, 16385, 0, 1000000};
    mp_connection *connection = NULL;
    mp_process *process;
    int64_t pid;

    cr_assert_eq(how(with, &connection, &process), MP_OK, "%s, key %s: %s",
                 with->with->program, with->key, mp_error_message());
    send_each_kind(connection);
    while (return_one(connection, &pid))
        ;
    expect_peer(with, connection, pid);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        python_expect_bytes_echo(connection, sizes[i]);
    cr_assert_eq(mp_connection_close(connection), MP_OK);
    expect_contented(with, process);
}

static void talk_with_key(const python *with)
{
    over_each_family(
        (meeting){
            .with = with, .what = "echo", .key = SECRET, .auth = our_key(with)},
        talk);
}

TEST_PARTS(objects_of_every_kind_pass_in_all_directions, talk_with_key)

static void talk_without_key(const python *with)
{
    over_each_family(
        (meeting){
            .with = with, .what = "echo", .key = NO_KEY, .auth = MP_NO_AUTH},
        talk);
}

TEST_PARTS(without_a_key_on_both_sides_none_is_asked_for, talk_without_key)

static void send_much(const meeting *with, meet *how)
{
    mp_connection *connection = NULL;
    mp_process *process;
    mp_obj *last = NULL;

    if (with->is_inet != (how == be_client))
        return; /* half of the ways are enough */
    cr_assert_eq(how(with, &connection, &process), MP_OK, "%s",
                 mp_error_message());
    send_one(connection, MP_BOX("your turn"));
    while (last == NULL || mp_obj_type(last) != MP_TYPE_INT) {
        const mp_obj *value;

        mp_obj_unref(last);
        last = receive(connection);
        if (mp_obj_item(last, 1, &value) == MP_OK)
            send_one(connection, mp_obj_ref(value));
    }
    mp_obj_unref(last);
    python_expect_bytes_echo(connection, LARGE);
    python_expect_bytes_echo(connection, 0);
    cr_assert_eq(mp_connection_close(connection), MP_OK);
    expect_contented(with, process);
}

static void send_much_to(const python *with)
{
    over_each_family(
        (meeting){
            .with = with, .what = "echo", .key = SECRET, .auth = our_key(with)},
        send_much);
}

TEST_PARTS(a_hundred_megabytes_pass_both_ways, send_much_to)

/* -- Keys ------------------------------------------------------------------ */

/* Longer than a block of any digest, and with every byte in it. */
static void use_long_key(const python *with)
{
    unsigned char key[LONG_KEY];
    char text[2 * LONG_KEY + 2] = "k";
    meeting both = {
        .with = with, .what = "echo", .key = text, .auth = our_key(with)};

    for (size_t i = 0; i < LONG_KEY; i++) {
        key[i] = (unsigned char)(i * 7);
        snprintf(text + 1 + 2 * i, 3, "%02x", key[i]);
    }
    both.auth.key = key;
    both.auth.key_size = LONG_KEY;
    talk(&both, part);
}

static void use_empty_key(const python *with)
{
    meeting both = {
        .with = with, .what = "echo", .key = EMPTY_KEY, .auth = our_key(with)};

    both.auth.key_size = 0;
    if (part == be_listener || with->minor >= MINOR_OF_EMPTY_KEY)
        talk(&both, part);
}

static void use_odd_keys(const python *with)
{
    use_long_key(with);
    use_empty_key(with);
}

TEST_PARTS(a_key_may_have_any_length_and_any_bytes, use_odd_keys)

/* We end with that; Python has its own way to know. */
static void expect_refused(const meeting *with, meet *how, mp_error expected)
{
    mp_connection *connection = NULL;
    mp_process *process;
    mp_error err = how(with, &connection, &process);

    cr_assert_eq(err, expected, "%s, %s: %s", with->with->program, with->what,
                 mp_error_name(err));
    cr_assert_null(connection);
    expect_contented(with, process);
}

static void expect_wrong(const meeting *with, meet *how)
{
    expect_refused(with, how, MP_EAUTH);
}

static void use_wrong_key(const python *with)
{
    over_each_family(
        (meeting){
            .with = with, .what = "fails", .key = OTHER, .auth = our_key(with)},
        expect_wrong);
}

TEST_PARTS(a_wrong_key_is_an_error_on_both_sides, use_wrong_key)

/* -- A key on one side only, where Python hangs ---------------------------- */

static void expect_in_time(const meeting *with, meet *how)
{
    meeting ours = *with;
    double began;

    ours.what = how == be_listener ? "gets_a_challenge" : "hears_nothing";
    began = mp_monotonic();
    expect_wrong(&ours, how);
    cr_assert_geq(mp_monotonic() - began, short_while);
}

static void only_we_have_a_key(const python *with)
{
    over_each_family((meeting){.with = with,
                               .key = NO_KEY,
                               .auth = our_key(with),
                               .timeout = short_while},
                     expect_in_time);
}

TEST_PARTS(who_expects_a_proof_that_never_comes_gives_up, only_we_have_a_key)

/* It waits for a challenge; whatever else comes is an error there. */
static void disappoint(const meeting *with, bool has_words)
{
    meeting ours = *with;
    mp_connection *connection = NULL;
    mp_process *process;
    mp_obj *obj;

    ours.what = has_words ? "meets_a_stranger" : "is_sent_away";
    cr_assert_eq(be_listener(&ours, &connection, &process), MP_OK);
    cr_assert_eq(mp_connection_poll(connection, 0.2), MP_TIMED_OUT);
    if (has_words) {
        cr_assert_eq(mp_connection_send_bytes(connection, "hello", 5), MP_OK);
        cr_assert_eq(mp_connection_recv(connection, &obj), MP_EEOF);
    }
    cr_assert_eq(mp_connection_close(connection), MP_OK);
    expect_contented(&ours, process);
}

/* It asks for a proof, with the first message that we receive. */
static void be_asked(const meeting *with)
{
    meeting ours = *with;
    mp_connection *connection = NULL;
    mp_process *process;
    mp_obj *obj = NULL;

    ours.what = "is_sent_away";
    cr_assert_eq(be_client(&ours, &connection, &process), MP_OK);
    cr_assert_eq(mp_connection_poll(connection, patience), MP_OK);
    cr_assert_eq(mp_connection_recv(connection, &obj), MP_EAUTH);
    cr_assert_not_null(strstr(mp_error_message(), "key"), "%s",
                       mp_error_message());
    cr_assert_neq(mp_connection_recv(connection, &obj), MP_OK);
    cr_assert_null(obj);
    cr_assert_eq(mp_connection_close(connection), MP_OK);
    expect_contented(&ours, process);
}

static void only_python_has_a_key(const python *with)
{
    meeting ours = {.with = with, .key = SECRET, .auth = MP_NO_AUTH};

    for (int i = 0; i < 2; i++) {
        ours.is_inet = i == 1;
        if (part == be_client) {
            be_asked(&ours);
            continue;
        }
        disappoint(&ours, true);
        disappoint(&ours, false);
    }
}

TEST_PARTS(who_has_no_key_is_told_that_one_is_asked_for, only_python_has_a_key)

/* -- Digests --------------------------------------------------------------- */

/* The sentence says what would help. */
static void refuse_md5(const meeting *with, meet *how)
{
    meeting ours = *with;
    mp_connection *connection = NULL;
    mp_process *process;

    if (!has_sha256(with->with))
        ours.what = how == be_listener ? "fails" : "is_sent_away";
    cr_assert_eq(how(&ours, &connection, &process), MP_EAUTH);
    cr_assert_not_null(strstr(mp_error_message(), "allow_md5"), "%s: %s",
                       with->with->program, mp_error_message());
    expect_contented(&ours, process);
}

static void ask_for_md5(const python *with)
{
    meeting ours = {.with = with,
                    .what = "md5_refused",
                    .key = SECRET,
                    .auth = our_key(with)};

    ours.auth.allow_md5 = false;
    over_each_family(ours, refuse_md5);
}

TEST_PARTS(md5_is_refused_unless_it_is_allowed, ask_for_md5)

/* By 3.12 and later, in its own words; talk_with_key() has the older ones'. */
static void allow_md5(const python *with)
{
    meeting ours = {
        .with = with, .what = "md5", .key = SECRET, .auth = our_key(with)};

    if (!has_sha256(with))
        return;
    ours.auth.allow_md5 = true;
    over_each_family(ours, talk);
    ours.what = "sha384_refused";
    over_each_family(ours, expect_wrong);
}

TEST_PARTS(a_new_python_may_choose_md5_but_nothing_unknown, allow_md5)
