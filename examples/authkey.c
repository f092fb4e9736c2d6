/* SPDX-License-Identifier: MIT */
/*
 * Only peers with the key connect:
 *
 *     with Listener(authkey=current_process().authkey) as listener:
 *         conn = listener.accept()     # AuthenticationError
 *
 *     Client(address, authkey=b'guess')
 *
 * The key of the process is the default on both sides; children inherit it.
 */
#include "example.h"

#include <string.h>

/* Relatives have the key, a stranger guesses it, a thief tries without. */
static mp_auth key_of(const char *who)
{
    mp_auth own = {0};

    if (strcmp(who, "stranger") == 0)
        return MP_AUTHKEY("guess");
    return strcmp(who, "thief") == 0 ? MP_NO_AUTH : own;
}

static int visit(mp_args *args)
{
    const char *who = mp_arg_str(args, 1);
    mp_client_options options = {.auth = key_of(who)};
    mp_connection *conn = NULL;
    mp_address address;
    mp_error err;
    mp_obj *obj;

    memcpy(&address, mp_arg_bytes(args, 0, &(size_t){0}), sizeof(address));
    err = mp_client(&conn, address, &options);
    if (err == MP_OK) {
        err = mp_connection_recv(conn, &obj);
        mp_check(mp_connection_close(conn));
    }
    if (err == MP_OK)
        mp_obj_unref(obj);
    say("%s: %s\n", who, mp_error_name(err));
    return 0;
}

static void receive(mp_listener *listener, const char *who)
{
    const mp_address *here = mp_listener_address(listener);
    mp_connection *conn;
    mp_process *p;
    mp_error err;

    mp_check(mp_process_create(
        &p, visit, MP_ARGS(MP_BYTES(here, sizeof(*here)), who), NULL));
    mp_check(mp_process_start(p));
    err = mp_listener_accept(listener, MP_FOREVER, &conn);
    if (err == MP_OK) {
        mp_check(mp_connection_send(conn, MP_BOX("welcome")));
        mp_check(mp_connection_close(conn));
    }
    mp_check(mp_process_join(p, MP_FOREVER));
    mp_check(mp_process_close(p));
    say("the listener, of the %s: %s\n", who, mp_error_name(err));
}

int main(int argc, char **argv)
{
    mp_listener_options options = {.handshake_timeout = 1};
    mp_listener *listener;

    mp_main_guard(argc, argv);
    use_start_method_of_environment();
    mp_check(mp_listener_create(&listener, (mp_address){0}, &options));
    receive(listener, "relative");
    receive(listener, "stranger");
    receive(listener, "thief");
    return mp_listener_close(listener);
}
