/* SPDX-License-Identifier: MIT */
/* fork: not here. */
#include "os_internal.h"

mp_error mpos_fork(mpos_process *out, bool *is_child)
{
    (void)out;
    (void)is_child;
    return mpi_fail(MP_ENOTSUP, "Windows has no fork");
}
