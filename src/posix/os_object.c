/* SPDX-License-Identifier: MIT */
/* Named mutexes and the like that are the system's own: POSIX's semaphores
 * have no owner and no way to be counted everywhere, so there are none. */
#include "os_internal.h"

static mp_error refuse(void)
{
    return mpi_fail(MP_ENOTSUP, "%s has no named objects of its own",
                    mpos_system.system);
}

mp_error mpos_object_open(mpos_object_kind kind, const char *name,
                          uint32_t value, uint32_t maximum, mpos_handle *handle)
{
    (void)kind;
    (void)name;
    (void)value;
    (void)maximum;
    (void)handle;
    return refuse();
}

mp_error mpos_object_wait(mpos_handle handle, int64_t deadline)
{
    (void)handle;
    (void)deadline;
    return refuse();
}

mp_error mpos_object_signal(mpos_object_kind kind, mpos_handle handle,
                            uint32_t count)
{
    (void)kind;
    (void)handle;
    (void)count;
    return refuse();
}

mp_error mpos_object_value(mpos_object_kind kind, mpos_handle handle,
                           uint32_t *value)
{
    (void)kind;
    (void)handle;
    (void)value;
    return refuse();
}
