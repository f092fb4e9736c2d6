/* SPDX-License-Identifier: MIT */
/* fork: not here. */
#include "os_internal.h"

mp_error mpos_fork(mpos_process *out, bool *is_child)
{
    (void)out;
    (void)is_child;
    return mpi_fail(MP_ENOTSUP, "Windows has no fork");
}

mp_error mpos_at_fork(void (*in_child)(void))
{
    (void)in_child;
    return MP_OK;
}
