/* SPDX-License-Identifier: MIT */
/* Listeners and clients: addresses, families, paths, waiting, closing. */
#include "support/check.h"
#include "support/listening.h"
#include "support/methods.h"

#include <stdio.h>
#include <stdlib.h>

#define KEY MP_AUTHKEY("secret")

/* -- Addresses ------------------------------------------------------------- */

static void prints(mp_address address, const char *expected)
{
    char *text = NULL;

    ok(mp_address_repr(&address, &text));
    cr_assert_str_eq(text, expected);
    mp_free(text);
}

Test(address, is_printed_as_python_does)
{
    prints(mp_inet("localhost", 6000), "('localhost', 6000)");
    prints(mp_inet(NULL, 0), "('', 0)");
    prints(mp_inet6("::1", 65535), "('::1', 65535)");
    prints(mp_unix("/tmp/it's"), "\"/tmp/it's\"");
    prints(mp_unix(NULL), "''");
    prints(mp_unix_abstract("name"), "'\\x00name'");
    prints(mp_named_pipe("\\\\.\\pipe\\x"), "'\\\\\\\\.\\\\pipe\\\\x'");
    prints((mp_address){.family = MP_FAMILY_DEFAULT}, "None");
}

Test(address, that_is_none_is_refused)
{
    char long_name[MP_ADDRESS_MAX + 2];
    mp_listener *listener = NULL;
    mp_connection *connection = NULL;
    char *text = NULL;
    mp_address none = {.family = (mp_family)77};
    mp_address too_high = mp_inet("localhost", 65536);
    mp_address abstract_port = mp_inet("localhost", 0);
    mp_address cut;

    memset(long_name, 'x', sizeof(long_name));
    long_name[sizeof(long_name) - 1] = 0;
    abstract_port.is_abstract = true;
    cut = mp_unix(long_name);
    cr_assert(cut.is_cut);
    fails(mp_address_repr(&cut, &text), MP_EINVAL);
    fails(mp_address_repr(NULL, &text), MP_EINVAL);
    fails(mp_address_repr(&too_high, NULL), MP_EINVAL);
    fails(mp_listener_create(&listener, none, NULL), MP_EINVAL);
    fails(mp_listener_create(&listener, too_high, NULL), MP_EINVAL);
    fails(mp_listener_create(&listener, cut, NULL), MP_EOVERFLOW);
    fails(mp_listener_create(&listener, mp_unix_abstract(""), NULL), MP_EINVAL);
    fails(mp_listener_create(&listener, abstract_port, NULL), MP_EINVAL);
    fails(mp_listener_create(NULL, mp_unix(NULL), NULL), MP_EINVAL);
    fails(mp_client(&connection, none, NULL), MP_EINVAL);
    fails(mp_client(&connection, too_high, NULL), MP_EINVAL);
    fails(mp_client(&connection, cut, NULL), MP_EOVERFLOW);
    fails(mp_client(NULL, mp_unix("x"), NULL), MP_EINVAL);
}

Test(listener, options_that_make_no_sense_are_refused)
{
    mp_listener_options negative = {.handshake_timeout = -1};
    mp_listener_options no_key = {.auth = {.key_size = 3}};
    mp_listener_options who = {.same_user_only = true};
    mp_client_options client = {.timeout = -1};
    mp_listener *listener = NULL;
    mp_connection *connection = NULL;

    fails(mp_listener_create(&listener, mp_inet("127.0.0.1", 0), &negative),
          MP_EINVAL);
    fails(mp_listener_create(&listener, mp_inet("127.0.0.1", 0), &no_key),
          MP_EINVAL);
    fails(mp_listener_create(&listener, mp_inet("127.0.0.1", 0), &who),
          MP_ENOTSUP);
    fails(mp_client(&connection, mp_inet("127.0.0.1", 1), &client), MP_EINVAL);
}

/* -- Every family ---------------------------------------------------------- */

static void serves(const support_family *family, mp_auth auth)
{
    mp_listener *listener = listen_at(family->address, auth);
    mp_connection *accepted;
    support_client client;

    start_client(&client, listener, auth);
    accepted = accept_client(listener);
    await(&client.is_done);
    cr_assert_eq(client.err, MP_OK, "%s: %s", family->name, client.sentence);
    can_talk(accepted, client.connection);
    can_talk(client.connection, accepted);
    dismiss_client(&client, accepted);
    ok(mp_listener_close(listener));
}

FAMILY_TEST(listener, of_every_family_serves_clients_with_a_key_and_without)
{
    const mp_auth auths[] = {KEY, MP_NO_AUTH, {0}, MP_AUTHKEY("")};

    for (size_t i = 0; i < 4; i++)
        serves(family, auths[i]);
}

FAMILY_TEST(listener, knows_where_it_really_listens)
{
    mp_listener *listener = listen_at(family->address, KEY);
    const mp_address *address = mp_listener_address(listener);

    cr_assert_neq(address->family, MP_FAMILY_DEFAULT);
    cr_assert_str_not_empty(address->name);
    if (address->family == MP_FAMILY_INET)
        cr_assert_gt(address->port, 0);
    ok(mp_listener_close(listener));
    cr_assert_eq(mp_listener_address(listener)->name[0], 0);
}

Test(listener, at_all_interfaces_is_found_by_the_name_of_this_machine)
{
    mp_listener *listener = listen_at(mp_inet("", 0), KEY);
    unsigned port = mp_listener_address(listener)->port;
    support_client client;

    start_client_with(&client, mp_inet("localhost", port),
                      (mp_client_options){.auth = KEY});
    dismiss_client(&client, accept_client(listener));
    ok(mp_listener_close(listener));
}

FAMILY_TEST(listener, knows_whom_it_accepted_last)
{
    mp_listener *listener = listen_at(family->address, KEY);
    const mp_address *here = mp_listener_address(listener);
    mp_address last = mp_listener_last_accepted(listener);
    mp_connection *accepted;
    support_client client;

    cr_assert_eq(last.family, MP_FAMILY_DEFAULT);
    start_client(&client, listener, KEY);
    accepted = accept_client(listener);
    last = mp_listener_last_accepted(listener);
    cr_assert_eq(last.family, here->family);
    if (here->family == MP_FAMILY_INET) {
        cr_assert_str_eq(last.name, "127.0.0.1");
        cr_assert_neq(last.port, here->port);
    }
    dismiss_client(&client, accepted);
    ok(mp_listener_close(listener));
    cr_assert_eq(mp_listener_last_accepted(listener).family, MP_FAMILY_DEFAULT);
}

FAMILY_TEST(listener, knows_who_is_at_the_other_end_if_the_system_does)
{
    mp_listener *listener = listen_at(family->address, KEY);
    mp_family here = mp_listener_address(listener)->family;
    bool is_known = here == MP_FAMILY_UNIX || here == MP_FAMILY_PIPE;
    mp_connection *accepted;
    support_client client;
    int64_t pid = -1;
    bool is_same_user = false;

    start_client(&client, listener, KEY);
    accepted = accept_client(listener);
    if (is_known) {
        ok(mp_connection_peer(accepted, &pid, &is_same_user));
        cr_assert(pid == 0 || pid == mp_getpid());
        cr_assert(is_same_user);
    } else {
        fails(mp_connection_peer(accepted, &pid, &is_same_user), MP_ENOTSUP);
    }
    fails(mp_connection_peer(accepted, NULL, NULL), MP_EINVAL);
    ok(mp_connection_close(accepted));
    fails(mp_connection_peer(accepted, &pid, NULL), MP_ECLOSED);
    end_client(&client, MP_OK);
    ok(mp_listener_close(listener));
}

Test(listener, of_the_same_user_only_serves_the_same_user)
{
    mp_listener_options options = {.auth = KEY, .same_user_only = true};
    mp_listener *listener = NULL;
    support_client client;

    ok(mp_listener_create(&listener, (mp_address){.family = MP_FAMILY_DEFAULT},
                          &options));
    start_client_with(&client, *mp_listener_address(listener),
                      (mp_client_options){.auth = KEY, .same_user_only = true});
    dismiss_client(&client, accept_client(listener));
    ok(mp_listener_close(listener));
}

Test(client, of_the_same_user_only_finds_nobody_by_port)
{
    mp_client_options options = {.auth = KEY, .same_user_only = true};
    mp_connection *connection = NULL;

    fails(mp_client(&connection, mp_inet("localhost", 1), &options),
          MP_ENOTSUP);
    cr_assert_null(connection);
}

/* -- Nobody there ---------------------------------------------------------- */

FAMILY_TEST(client, is_refused_where_nobody_listens)
{
    mp_listener *listener = listen_at(family->address, KEY);
    mp_address address = *mp_listener_address(listener);
    mp_client_options options = {.auth = KEY, .timeout = 5};
    mp_connection *connection = NULL;
    mp_error err;

    ok(mp_listener_close(listener));
    err = mp_client(&connection, address, &options);
    cr_assert(err == MP_EREFUSED || err == MP_ENOTFOUND, "%s: %s: %s",
              family->name, mp_error_name(err), mp_error_message());
    cr_assert_null(connection);
}

Test(client, does_not_find_a_host_that_is_none)
{
    mp_connection *connection = NULL;

    fails(mp_client(&connection, mp_inet("no.such.host.invalid", 1), NULL),
          MP_ENOTFOUND);
}

/* -- What is said about it ------------------------------------------------- */

/* "can't connect to ('127.0.0.1', 6000): ", and why. */
static void says(const char *what, mp_address address)
{
    const char *sentence = mp_error_message();
    char expected[400];
    char *text = NULL;

    ok(mp_address_repr(&address, &text));
    snprintf(expected, sizeof(expected), "%s %s: ", what, text);
    cr_assert_eq(strncmp(sentence, expected, strlen(expected)), 0,
                 "'%s' does not begin with '%s'", sentence, expected);
    cr_assert_gt(strlen(sentence), strlen(expected));
    mp_free(text);
}

static void refused_client_says_where(const support_family *family)
{
    mp_listener *listener = listen_at(family->address, KEY);
    mp_address address = *mp_listener_address(listener);
    mp_connection *connection = NULL;

    ok(mp_listener_close(listener));
    cr_assert_neq(mp_client(&connection, address, NULL), MP_OK);
    says("can't connect to", address);
}

Test(sentence, of_who_is_refused_or_finds_nobody_names_the_address)
{
    mp_address host = mp_inet("no.such.host.invalid", 1);
    mp_connection *connection = NULL;

    support_each_family(refused_client_says_where);
    fails(mp_client(&connection, host, NULL), MP_ENOTFOUND);
    says("can't connect to", host);
}

FAMILY_TEST(sentence, of_who_has_another_key_names_the_address)
{
    mp_listener *listener = listen_at(family->address, KEY);
    support_client client;
    char *text = NULL;

    turns_away(listener, MP_AUTHKEY("another"), &client);
    ok(mp_address_repr(mp_listener_address(listener), &text));
    cr_assert_not_null(strstr(client.sentence, text), "%s", client.sentence);
    mp_free(text);
    ok(mp_listener_close(listener));
}

Test(sentence, of_who_is_not_connected_in_time_names_the_address)
{
    mp_client_options options = {.auth = KEY, .timeout = 0.1};
    mp_listener *listener = listen_at(mp_inet("127.0.0.1", 0), KEY);
    mp_connection *connection = NULL;

    fails(mp_client(&connection, *mp_listener_address(listener), &options),
          MP_EAUTH);
    says("can't connect to", *mp_listener_address(listener));
    ok(mp_listener_close(listener));
}

static void second_listener_says_where(const support_family *family)
{
    mp_listener *listener = listen_at(family->address, KEY);
    mp_address address = *mp_listener_address(listener);
    mp_listener *second = NULL;

    fails(mp_listener_create(&second, address, NULL), MP_EADDRINUSE);
    says("can't listen at", address);
    ok(mp_listener_close(listener));
}

Test(sentence, of_who_can_not_listen_names_the_address)
{
    mp_address host = mp_inet("no.such.host.invalid", 1);
    mp_listener *second = NULL;

    support_each_family(second_listener_says_where);
    fails(mp_listener_create(&second, host, NULL), MP_ENOTFOUND);
    says("can't listen at", host);
}

Test(sentence, about_no_address_at_all_names_none)
{
    mp_connection *connection = NULL;

    cr_assert_neq(mp_client(&connection, mp_unix(""), NULL), MP_OK);
    cr_assert_eq(strncmp(mp_error_message(), "can't connect: ", 15), 0, "%s",
                 mp_error_message());
}

/* -- Waiting --------------------------------------------------------------- */

FAMILY_TEST(accept, gives_up_after_its_timeout)
{
    mp_listener *listener = listen_at(family->address, KEY);
    mp_connection *accepted = NULL;
    double start = mp_monotonic();

    cr_assert_eq(mp_listener_accept(listener, 0, &accepted), MP_TIMED_OUT);
    cr_assert_eq(mp_listener_accept(listener, -1, &accepted), MP_TIMED_OUT);
    cr_assert_lt(mp_monotonic() - start, 5);
    start = mp_monotonic();
    cr_assert_eq(mp_listener_accept(listener, 0.1, &accepted), MP_TIMED_OUT);
    cr_assert_geq(mp_monotonic() - start, 0.09);
    cr_assert_null(accepted);
    fails(mp_listener_accept(listener, 0, NULL), MP_EINVAL);
    ok(mp_listener_close(listener));
}

Test(accept, that_only_looks_serves_in_many_looks)
{
    mp_listener *listener = listen_at(mp_inet("127.0.0.1", 0), KEY);
    mp_connection *accepted = NULL;
    double end = mp_monotonic() + SOON;
    support_client client;
    mp_error err = MP_TIMED_OUT;

    start_client(&client, listener, KEY);
    while (err == MP_TIMED_OUT && mp_monotonic() < end)
        err = mp_listener_accept(listener, 0, &accepted);
    ok(err);
    dismiss_client(&client, accepted);
    ok(mp_listener_close(listener));
}

Test(listener, that_is_closed_says_so)
{
    mp_listener *listener = listen_at(mp_inet("127.0.0.1", 0), KEY);
    mp_connection *accepted = NULL;

    ok(mp_listener_close(listener));
    fails(mp_listener_close(listener), MP_ECLOSED);
    fails(mp_listener_accept(listener, 0, &accepted), MP_ECLOSED);
    ok(mp_listener_close(NULL));
    fails(mp_listener_accept(NULL, 0, &accepted), MP_EINVAL);
}

/* -- Clashes --------------------------------------------------------------- */

FAMILY_TEST(listener, does_not_take_an_address_that_is_in_use)
{
    mp_listener *listener = listen_at(family->address, KEY);
    mp_address address = *mp_listener_address(listener);
    mp_listener *second = NULL;

    fails(mp_listener_create(&second, address, NULL), MP_EADDRINUSE);
    cr_assert_null(second);
    ok(mp_listener_close(listener));
    ok(mp_listener_create(&second, address, NULL));
    ok(mp_listener_close(second));
}

/* A folder of its own, and a path in it; or the end of the test. */
static mp_address path_in_folder(char folder[SUPPORT_PATH_SIZE])
{
    char path[SUPPORT_PATH_SIZE];
    mp_listener *listener;

    if (mp_listener_create(&listener, mp_unix(NULL), NULL) == MP_ENOTSUP)
        cr_skip_test("this system has no paths to listen at");
    ok(mp_listener_close(listener));
    support_make_folder("listener", folder);
    support_join_path(folder, "it", path);
    return mp_unix(path);
}

static bool is_there(const char *folder, const char *name)
{
    char from[SUPPORT_PATH_SIZE], to[SUPPORT_PATH_SIZE];
    bool is;

    support_join_path(folder, name, from);
    support_join_path(folder, "moved", to);
    is = support_rename_file(from, to);
    if (is)
        cr_assert(support_rename_file(to, from));
    return is;
}

Test(listener, removes_its_path_when_it_is_closed)
{
    char folder[SUPPORT_PATH_SIZE];
    mp_address address = path_in_folder(folder);
    mp_listener *listener = listen_at(address, KEY);

    cr_assert(is_there(folder, "it"));
    ok(mp_listener_close(listener));
    cr_assert_not(is_there(folder, "it"));
    support_remove_folder(folder);
}

Test(listener, leaves_the_path_of_another_one_alone)
{
    char folder[SUPPORT_PATH_SIZE], moved[SUPPORT_PATH_SIZE];
    mp_address address = path_in_folder(folder);
    mp_listener *first = listen_at(address, KEY);
    mp_listener *second;

    support_join_path(folder, "elsewhere", moved);
    cr_assert(support_rename_file(address.name, moved));
    second = listen_at(address, KEY);
    ok(mp_listener_close(first));
    cr_assert(is_there(folder, "it"));
    ok(mp_listener_close(second));
    cr_assert_not(is_there(folder, "it"));
    support_remove_folder(folder);
}

static int listen_until_killed(mp_args *args)
{
    mp_listener *listener;

    mp_check(mp_listener_create(&listener, mp_unix(mp_arg_str(args, 0)), NULL));
    mp_check(mp_connection_send(mp_arg_connection(args, 1), MP_BOX(1)));
    for (;;)
        mp_sleep(1);
}

METHOD_TEST(listener, takes_over_the_path_of_one_that_was_killed)
{
    char folder[SUPPORT_PATH_SIZE];
    mp_address address = path_in_folder(folder);
    mp_connection *here, *there;
    mp_listener *listener;
    mp_process *process;
    mp_obj *obj = NULL;

    ok(mp_pipe(&here, &there, NULL));
    process = support_start(method, listen_until_killed,
                            MP_ARGS((const char *)address.name, there));
    ok(mp_connection_close(there));
    ok(mp_connection_recv(here, &obj));
    mp_obj_unref(obj);
    fails(mp_listener_create(&listener, address, NULL), MP_EADDRINUSE);
    ok(mp_process_kill(process));
    ok(mp_process_join(process, MP_FOREVER));
    ok(mp_process_close(process));
    cr_assert(is_there(folder, "it"));
    listener = listen_at(address, KEY);
    ok(mp_listener_close(listener));
    cr_assert_not(is_there(folder, "it"));
    ok(mp_connection_close(here));
    support_remove_folder(folder);
}

static int listen_and_return(mp_args *args)
{
    mp_listener *listener;

    mp_check(mp_listener_create(&listener, mp_unix(mp_arg_str(args, 0)), NULL));
    return 0;
}

METHOD_TEST(listener, that_nobody_closes_leaves_no_path_when_its_process_ends)
{
    char folder[SUPPORT_PATH_SIZE];
    mp_address address = path_in_folder(folder);
    mp_process *process = support_start(method, listen_and_return,
                                        MP_ARGS((const char *)address.name));
    int code = -1;

    ok(mp_process_join(process, MP_FOREVER));
    ok(mp_process_exitcode(process, &code));
    cr_assert_eq(code, 0);
    ok(mp_process_close(process));
    cr_assert_not(is_there(folder, "it"));
    support_remove_folder(folder);
}
