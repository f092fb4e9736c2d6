/* SPDX-License-Identifier: MIT */
/*
 * Messages through a pipe, several, in both directions:
 *
 *     def f(conn):
 *         conn.send([42, None, 'hello'])
 *         conn.send("QQ")
 *         print(conn.recv())
 *         conn.close()
 *
 *     parent_conn, child_conn = Pipe()
 *     p = Process(target=f, args=(child_conn,))
 *     p.start()
 *     print(parent_conn.recv())        # [42, None, 'hello']
 *     print(parent_conn.recv())
 *     parent_conn.send("WeChat")
 *     p.join()
 */
#include "example.h"

static void print_next(mp_connection *conn)
{
    mp_obj *obj;

    mp_check(mp_connection_recv(conn, &obj));
    mp_check(mp_obj_print(obj));
    fflush(stdout);
    mp_obj_unref(obj);
}

static int f(mp_args *args)
{
    mp_connection *conn = mp_arg_connection(args, 0);

    mp_check(mp_connection_send(conn, MP_LIST(42, MP_NONE, "hello")));
    mp_check(mp_connection_send(conn, MP_BOX("QQ")));
    print_next(conn);
    mp_check(mp_connection_close(conn));
    return 0;
}

int main(int argc, char **argv)
{
    mp_connection *parent_conn, *child_conn;
    mp_process *p;
    mp_obj *obj;

    mp_main_guard(argc, argv);
    use_start_method_of_environment();

    mp_check(mp_pipe(&parent_conn, &child_conn, NULL));
    mp_check(mp_process_create(&p, f, MP_ARGS(child_conn), NULL));
    mp_check(mp_process_start(p));
    mp_check(mp_connection_close(child_conn)); /* the child has its own */
    print_next(parent_conn);
    print_next(parent_conn);
    mp_check(mp_connection_send(parent_conn, MP_BOX("WeChat")));
    mp_check(mp_process_join(p, MP_FOREVER));

    /* Nobody holds the other end any more: EOFError. */
    say("%s\n", mp_error_name(mp_connection_recv(parent_conn, &obj)));
    mp_check(mp_process_close(p));
    mp_check(mp_connection_close(parent_conn));
    return 0;
}
