/* SPDX-License-Identifier: MIT */
/*
 * Who is who, and a child that wants to be killed:
 *
 *     def process_01():
 *         print("child 1:", os.getpid())
 *         print("parent 1:", os.getppid())
 *         os.kill(os.getpid(), 9)
 *
 *     process_1 = Process(target=process_01, name="myprocess")
 *     process_2 = Process(target=process_01)
 *
 * No call on every system kills the caller as signal 9 does, so the child says
 * who it is and its parent kills it: the exit code is -9, as in Python.
 */
#include "example.h"

static int introduce(mp_args *args)
{
    mp_connection *parent = mp_arg_connection(args, 0);
    /* Not mp_getppid(), which under forkserver is the server. */
    int64_t parent_pid = mp_process_pid(mp_parent_process());
    const char *name = mp_process_name(mp_current_process());

    say("%s: pid %lld, parent %lld\n", name, (long long)mp_getpid(),
        (long long)parent_pid);
    mp_check(mp_connection_send(parent, MP_LIST(mp_getpid(), parent_pid)));
    mp_sleep(60);
    return 0;
}

static mp_obj *receive_from(mp_connection *connection)
{
    mp_obj *obj;

    mp_check(mp_connection_recv(connection, &obj));
    return obj;
}

static void run(const char *name)
{
    mp_process_options options = {.name = name};
    mp_connection *here, *there;
    mp_obj *expected, *said;
    mp_process *p;
    int code;

    mp_check(mp_pipe(&here, &there, NULL));
    mp_check(mp_process_create(&p, introduce, MP_ARGS(there), &options));
    mp_check(mp_process_start(p));

    said = receive_from(here);
    expected = MP_LIST(mp_process_pid(p), mp_getpid());
    say("%s told the truth: %s\n", mp_process_name(p),
        true_or_false(mp_obj_equal(said, expected)));
    mp_check(mp_process_kill(p));
    mp_check(mp_process_join(p, MP_FOREVER));
    mp_check(mp_process_exitcode(p, &code));
    say("%s: exit code %d\n", mp_process_name(p), code);

    mp_obj_unref(said);
    mp_obj_unref(expected);
    mp_check(mp_process_close(p));
    mp_connection_close(here);
    mp_connection_close(there);
}

int main(int argc, char **argv)
{
    mp_main_guard(argc, argv);
    use_start_method_of_environment();

    say("%s: pid %lld\n", mp_process_name(mp_current_process()),
        (long long)mp_getpid());
    run("myprocess");
    run(NULL); /* Process-2: the one with a name was the first */
    return 0;
}
