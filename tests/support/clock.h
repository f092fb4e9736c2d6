/* SPDX-License-Identifier: MIT */
/* The clock of the seam, in seconds. */
#ifndef SUPPORT_CLOCK_H
#define SUPPORT_CLOCK_H

#include "os.h"

static inline double now(void)
{
    return (double)mpos_now() / 1e9;
}

static inline void pause_for(double seconds)
{
    mpos_sleep_until(mpos_now() + (int64_t)(seconds * 1e9));
}

#endif
