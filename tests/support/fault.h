/* SPDX-License-Identifier: MIT */
/*
 * Doing something with every call into the system made to fail in turn:
 *
 *     fault it = {.error = MP_ENOMEM};
 *
 *     while (!it.has_ended) {
 *         fault_arm(&it);
 *         if (fault_failed(&it, mp_something()))
 *             ok(mp_something());
 *     }
 *
 * In the last round nothing was left to fail.
 */
#ifndef SUPPORT_FAULT_H
#define SUPPORT_FAULT_H

#include "testing.h"

#include "os.h"
#include "os_fault.h"

#include <multiproc.h>

enum { FAULT_MOST_CALLS = 500 };

typedef struct fault {
    mp_error error;  /* of the call that fails */
    long n;          /* which of the calls that is */
    size_t failures; /* rounds that have failed */
    bool has_ended;  /* there is no call n */
} fault;

/* From here on the call after the one of the last round fails. */
static inline void fault_arm(fault *it)
{
    it->n++;
    cr_assert_lt(it->n, (long)FAULT_MOST_CALLS);
    mpi_fault_arm(it->n, it->error);
}

/* Ends the round: has it failed, with a sentence and by our doing? */
static inline bool fault_failed(fault *it, mp_error err)
{
    it->has_ended = !mpi_fault_disarm(NULL, NULL);
    if (err == MP_OK)
        return false;
    cr_assert_not(it->has_ended, "failed by itself: %s", mp_error_message());
    cr_assert_str_not_empty(mp_error_message());
    it->failures++;
    return true;
}

#endif
