/* SPDX-License-Identifier: MIT */
/*
 * Daemons die with their parent even when it is killed, in which case Python's
 * stay behind for ever:
 *
 *     boss = Process(target=lead)        # starts Process(..., daemon=True)
 *     boss.start()
 *     boss.kill()
 *
 * The daemon holds one end of a pipe: when it is gone, the other end reads the
 * end of file.
 */
#include "example.h"

static int serve(mp_args *args)
{
    mp_check(mp_connection_send(mp_arg_connection(args, 0), MP_BOX("serving")));
    mp_sleep(60);
    return 0;
}

static int lead(mp_args *args)
{
    mp_process_options options = {.daemon = MP_DAEMON_YES};
    mp_connection *connection = mp_arg_connection(args, 0);
    mp_process *daemon;

    mp_check(mp_process_create(&daemon, serve, MP_ARGS(connection), &options));
    mp_check(mp_process_start(daemon));
    mp_sleep(60);
    return 0;
}

int main(int argc, char **argv)
{
    mp_connection *reader, *writer;
    mp_process *boss;
    mp_error err;
    double begin;
    mp_obj *obj;

    mp_main_guard(argc, argv);
    use_start_method_of_environment();

    mp_check(mp_pipe(&reader, &writer, NULL));
    mp_check(mp_process_create(&boss, lead, MP_ARGS(writer), NULL));
    mp_check(mp_process_start(boss));
    mp_check(mp_connection_close(writer));
    mp_check(mp_connection_recv(reader, &obj));
    mp_check(mp_obj_print(obj));
    mp_obj_unref(obj);

    begin = mp_monotonic();
    mp_check(mp_process_kill(boss));
    mp_check(mp_process_join(boss, MP_FOREVER));
    err = mp_connection_recv(reader, &obj);
    say("%s, within a second: %s\n", mp_error_name(err),
        true_or_false(mp_monotonic() - begin < 1));
    mp_check(mp_process_close(boss));
    mp_check(mp_connection_close(reader));
    return 0;
}
