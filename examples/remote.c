/* SPDX-License-Identifier: MIT */
/*
 * A C server with a Python client, then the reverse, over TCP with a key:
 *
 *     remote remote.py [python3]
 */
#include "example.h"

static const mp_auth auth = {.key = "secret password",
                             .key_size = 15,
                             .allow_md5 = true}; /* a Python before 3.12 */

static void serve(mp_connection *client)
{
    mp_obj *numbers, *answer = MP_LIST();
    const mp_obj *item;
    mp_iter it = {0};
    int64_t number;

    mp_check(mp_connection_recv(client, &numbers));
    while (mp_obj_next(numbers, &it, &item, NULL)) {
        mp_check(mp_obj_as_int(item, &number));
        mp_check(mp_obj_append(answer, MP_BOX(number * number)));
    }
    mp_check(mp_connection_send(client, answer));
    mp_obj_unref(numbers);
}

/* At the port that it tells. */
static void call(mp_connection *client)
{
    mp_client_options options = {.auth = auth};
    mp_connection *server;
    mp_obj *obj;
    int64_t port;
    mp_check(mp_connection_recv(client, &obj));
    mp_check(mp_obj_as_int(obj, &port));
    mp_obj_unref(obj);
    mp_check(
        mp_client(&server, mp_inet("127.0.0.1", (unsigned)port), &options));
    mp_check(mp_connection_send(server, MP_LIST("spam", "ni")));
    mp_check(mp_connection_recv(server, &obj));
    mp_check(mp_obj_print(obj));
    mp_obj_unref(obj);
    mp_check(mp_connection_close(server));
}

static int run_python(mp_args *args)
{
    return system(mp_arg_str(args, 0)) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    const char *python = argc > 2 ? argv[2] : "python3";
    mp_listener_options options = {.auth = auth};
    mp_listener *listener;
    mp_connection *client;
    char command[1024];
    mp_process *p;
    mp_main_guard(argc, argv);
    use_start_method_of_environment();
    snprintf(command, sizeof(command), "%s -c 0", python);
    if (argc < 2 || system(command) != 0) {
        say("skipped: there is no %s, or no path of remote.py\n", python);
        return 0;
    }
    mp_check(mp_listener_create(&listener, mp_inet("127.0.0.1", 0), &options));
    snprintf(command, sizeof(command), "%s \"%s\" %u", python, argv[1],
             mp_listener_address(listener)->port);
    mp_check(mp_process_create(&p, run_python, MP_ARGS(command), NULL));
    mp_check(mp_process_start(p));
    mp_check(mp_listener_accept(listener, 60, &client));
    serve(client);
    call(client);
    mp_check(mp_connection_close(client));
    mp_check(mp_listener_close(listener));
    mp_check(mp_process_join(p, MP_FOREVER));
    return mp_process_close(p);
}
