/* SPDX-License-Identifier: MIT */
/* What tests that send connections over connections do to them all the time. */
#ifndef SUPPORT_CONNECTIONS_H
#define SUPPORT_CONNECTIONS_H

#include "expect.h"

static inline void close_both(mp_connection *first, mp_connection *second)
{
    ok(mp_connection_close(first));
    ok(mp_connection_close(second));
}

static inline int64_t recv_int(mp_connection *connection)
{
    mp_obj *obj = NULL;
    int64_t number = 0;

    ok(mp_connection_recv(connection, &obj));
    ok(mp_obj_as_int(obj, &number));
    mp_obj_unref(obj);
    return number;
}

#endif
