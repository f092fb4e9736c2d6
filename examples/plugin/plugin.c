/* SPDX-License-Identifier: MIT */
/*
 * A shared library that starts processes in a program that knows nothing of
 * it, as an extension module does in Python:
 *
 *     multiprocessing.set_executable(worker)
 *     p = Process(target=square, args=(number, conn))
 *
 * Its children can't be that program again, which has no guard: they are
 * multiproc-worker, which loads this library when it meets square().
 */
#include "plugin.h"

#include <multiproc.h>

#include <stdio.h>

static int square(mp_args *args)
{
    int64_t number = mp_arg_int(args, 0);

    mp_check(mp_connection_send(mp_arg_connection(args, 1),
                                MP_BOX(number * number)));
    return 0;
}

static mp_error square_in_child(int number, int64_t *out)
{
    mp_connection *here = NULL, *there = NULL;
    mp_process *p = NULL;
    mp_obj *obj = NULL;
    mp_error err = mp_pipe(&here, &there, NULL);

    if (err == MP_OK)
        err = mp_process_create(&p, square, MP_ARGS(number, there), NULL);
    if (err == MP_OK)
        err = mp_process_start(p);
    mp_connection_close(there);
    if (err == MP_OK)
        err = mp_connection_recv(here, &obj);
    if (err == MP_OK)
        err = mp_obj_as_int(obj, out);
    if (err == MP_OK)
        err = mp_process_join(p, MP_FOREVER);
    mp_obj_unref(obj);
    mp_connection_close(here);
    mp_process_close(p);
    return err;
}

/* A guest does not end its host: no mp_check() here. */
int plugin_work(const char *worker, int number)
{
    int64_t result = 0;
    mp_error err = mp_set_executable(worker);

    if (err == MP_OK)
        err = square_in_child(number, &result);
    if (err != MP_OK) {
        fprintf(stderr, "plugin: %s\n", mp_error_message());
        return 1;
    }
    printf("a child has found that %d * %d = %lld\n", number, number,
           (long long)result);
    return 0;
}
