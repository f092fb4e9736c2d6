/* SPDX-License-Identifier: MIT */
/* The counter behind os_fault.h. Compiled into test builds only. */
#include "os_fault.h"

#include "internal.h"
#include "os_types.h"

#include <stddef.h>

/* Per thread, so that a helper thread can't use up the count. */
static MPI_THREAD_LOCAL struct {
    bool is_armed;
    long left;
    long calls;
    mp_error error;
    const char *name;
} fault;

void mpi_fault_arm(long n, mp_error error)
{
    fault.is_armed = true;
    fault.left = n;
    fault.calls = 0;
    fault.error = error;
    fault.name = NULL;
}

bool mpi_fault_disarm(long *calls, const char **name)
{
    fault.is_armed = false;
    if (calls != NULL)
        *calls = fault.calls;
    if (name != NULL)
        *name = fault.name;
    return fault.name != NULL;
}

mp_error mpi_fault_hits(const char *name)
{
    if (!fault.is_armed)
        return MP_OK;
    fault.calls++;
    if (fault.left == 0 || --fault.left != 0)
        return MP_OK;
    fault.name = name;
    return mpi_fail(fault.error, "%s was made to fail", name);
}

mp_error mpi_fault_error(void)
{
    return fault.error;
}
