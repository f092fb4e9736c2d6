/* SPDX-License-Identifier: MIT */
/*
 * Sleeping until a word changes, by futex(2): Linux. Nothing is between the
 * seam and the system call.
 */
#include "os_internal.h"

#include <errno.h>
#include <limits.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel's numbers; its headers are not everywhere (musl). Without the
 * flag FUTEX_PRIVATE the word may be another process's as well. */
enum { WAKE = 1, WAIT_BITSET = 9 };
#define ANY_BIT 0xffffffffU

enum { SECOND = 1000000000 };

/* What SYS_futex takes, however long time_t is. */
typedef struct futex_time {
    long seconds;
    long nanoseconds;
} futex_time;

/* Later than this is for ever: 68 years after the machine was started. */
#define LAST ((int64_t)INT32_MAX * SECOND)

bool mpos_word_wait(mpos_word *word, mpos_handle queue, uint32_t expected,
                    int64_t deadline)
{
    futex_time until = {0, 0};
    long result;

    (void)queue;
    if (deadline > 0 && deadline <= LAST) {
        until.seconds = (long)(deadline / SECOND);
        until.nanoseconds = (long)(deadline % SECOND);
    }
    /* Until a point in time, by the monotonic clock: FUTEX_WAIT would take a
     * span, which a signal could lengthen. */
    result = syscall(SYS_futex, &word->value, WAIT_BITSET, expected,
                     deadline <= LAST ? &until : NULL, NULL, ANY_BIT);
    /* A signal or another value is a reason to look again. */
    return result == 0 || errno != ETIMEDOUT;
}

void mpos_word_wake(mpos_word *word, mpos_handle queue, uint32_t count)
{
    int cause = errno;

    (void)queue;
    /* The kernel wakes one for zero and for what looks negative. */
    if (count > 0)
        syscall(SYS_futex, &word->value, WAKE,
                count < INT_MAX ? (int)count : INT_MAX, NULL, NULL, 0);
    errno = cause;
}
