/* SPDX-License-Identifier: MIT */
/* Seconds of the public API to absolute nanoseconds of the seam, once. */
#include "internal.h"

#include "os.h"

#include <assert.h>

int64_t mpi_deadline(double timeout)
{
    const double second = 1e9;
    int64_t now;

    if (timeout <= 0)
        return 0;
    /* Not (timeout < limit), which is true for NaN too. */
    if (!(timeout < (double)INT64_MAX / second / 2))
        return MPOS_FOREVER;
    now = mpos_now();
    assert(now < INT64_MAX / 2); /* 146 years after the clock began */
    return now + (int64_t)(timeout * second);
}
