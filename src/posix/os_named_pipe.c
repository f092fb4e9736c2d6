/* SPDX-License-Identifier: MIT */
/*
 * What only Windows has between processes that run: pipes of messages, and
 * handles that one process puts into another. Here, descriptors travel over
 * AF_UNIX instead.
 */
#include "os_internal.h"

static mp_error refuse(const char *what)
{
    return mpi_fail(MP_ENOTSUP, "%s has no %s", mpos_system.system, what);
}

mp_error mpos_send_message(mpos_handle pipe, const void *data, size_t size)
{
    (void)pipe;
    (void)data;
    (void)size;
    return refuse("pipes of messages");
}

mp_error mpos_recv_message(mpos_handle pipe, void *data, size_t size,
                           size_t *got, size_t *left)
{
    (void)pipe;
    (void)data;
    (void)size;
    (void)got;
    (void)left;
    return refuse("pipes of messages");
}

mp_error mpos_handle_give(int64_t pid, uint64_t start_time, mpos_handle handle,
                          uint64_t *number)
{
    (void)pid;
    (void)start_time;
    (void)handle;
    (void)number;
    return refuse("way to open descriptors in another process");
}

void mpos_handle_revoke(int64_t pid, uint64_t start_time, uint64_t number)
{
    (void)pid;
    (void)start_time;
    (void)number;
}
