/* SPDX-License-Identifier: MIT */
/* os.getpid(), time.sleep() and the like. */
#include "internal.h"
#include "os.h"

#include <multiproc/process.h>
#include <multiproc/system.h>

int64_t mp_getpid(void)
{
    return mpos_pid();
}

int64_t mp_getppid(void)
{
    return mpos_parent_pid();
}

double mp_monotonic(void)
{
    return (double)mpos_now() / 1e9;
}

void mp_sleep(double seconds)
{
    mpos_sleep_until(mpi_deadline(seconds));
}

unsigned mp_cpu_count(void)
{
    return mpos_cpu_count();
}
