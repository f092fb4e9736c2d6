/* SPDX-License-Identifier: MIT */
/* Children that do nothing, and such as wait until they are let go. */
#ifndef SUPPORT_WAITING_H
#define SUPPORT_WAITING_H

#include "methods.h"

/* -- Targets --------------------------------------------------------------- */

static inline int return_zero(mp_args *args)
{
    (void)args;
    return 0;
}

/* Until the other end of its first argument is closed. */
static inline int wait_for_end(mp_args *args)
{
    mp_connection *connection = mp_arg_connection(args, 0);
    mp_obj *ignored;

    while (mp_connection_recv(connection, &ignored) == MP_OK)
        mp_obj_unref(ignored);
    return 3;
}

static inline int say_parent_and_wait(mp_args *args)
{
    mp_connection *connection = mp_arg_connection(args, 0);

    mp_check(mp_connection_send(connection, MP_BOX(mp_getppid())));
    return wait_for_end(args);
}

/* -- Starting them --------------------------------------------------------- */

/* A child that is there, and returns 3 once ours is closed; parent is the pid
 * of its parent: ours, or the fork server's. */
static inline mp_process *start_waiting_with(mp_process_options options,
                                             mp_connection **ours,
                                             int64_t *parent)
{
    mp_connection *theirs;
    mp_process *child;
    mp_obj *pid;

    cr_assert_eq(mp_pipe(ours, &theirs, NULL), MP_OK);
    child = support_start_with(options, say_parent_and_wait, MP_ARGS(theirs));
    cr_assert_eq(mp_connection_close(theirs), MP_OK);
    cr_assert_eq(mp_connection_recv(*ours, &pid), MP_OK, "%s",
                 mp_error_message());
    cr_assert_eq(mp_obj_as_int(pid, parent), MP_OK);
    mp_obj_unref(pid);
    return child;
}

static inline mp_process *start_waiting(mp_start_method method,
                                        mp_connection **ours)
{
    mp_process_options options = {.start_method = method};
    int64_t parent;

    return start_waiting_with(options, ours, &parent);
}

#endif
