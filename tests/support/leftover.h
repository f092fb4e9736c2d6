/* SPDX-License-Identifier: MIT */
/* Whether memory without a name has left a name behind. */
#ifndef SUPPORT_LEFTOVER_H
#define SUPPORT_LEFTOVER_H

#include "check.h"
#include "os.h"

/*
 * 0 unless something is left for good. Where memory without a name has one for
 * a moment, a process that is killed then leaves it, here or in a test that
 * runs beside this one; the next memory that anybody makes takes it away.
 */
static inline size_t support_memory_names(void)
{
    const int64_t deadline = mpos_now() + INT64_C(5000000000);
    size_t count;

    do {
        mpos_handle memory;

        if (mpos_memory_create(1, 0, &memory) == MP_OK)
            mpos_close(memory);
        count = support_shared_names("mp-");
    } while (count > 0 && mpos_now() < deadline);
    return count;
}

#endif
