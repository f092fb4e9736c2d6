/* SPDX-License-Identifier: MIT */
/* The clock that deadlines are made of, sleeping, and random bytes. */
#include "os_internal.h"

#include <bcrypt.h>

enum {
    NANOSECONDS = 1000000000,
    PER_MILLISECOND = 1000000,
    /* Longer waits are made of several. */
    LONGEST_WAIT = 0x3fffffff,
    RANDOM_CHUNK = 1 << 30,
};

int64_t mpos_now(void)
{
    LARGE_INTEGER frequency;
    LARGE_INTEGER ticks;

    /* Neither fails since Windows XP, and the frequency never changes. */
    QueryPerformanceFrequency(&frequency);
    QueryPerformanceCounter(&ticks);
    /* In two parts: ticks * 10^9 overflows after some 15 minutes. */
    return ticks.QuadPart / frequency.QuadPart * NANOSECONDS +
           ticks.QuadPart % frequency.QuadPart * NANOSECONDS /
               frequency.QuadPart;
}

DWORD mpi_win32_milliseconds(int64_t deadline)
{
    int64_t now = mpos_now();
    int64_t left;

    if (deadline == MPOS_FOREVER)
        return INFINITE;
    if (deadline <= now)
        return 0;
    left = (deadline - now - 1) / PER_MILLISECOND + 1;
    return left > LONGEST_WAIT ? LONGEST_WAIT : (DWORD)left;
}

void mpos_sleep_until(int64_t deadline)
{
    DWORD left = mpi_win32_milliseconds(deadline);

    while (left > 0) {
        Sleep(left);
        left = mpi_win32_milliseconds(deadline);
    }
}

mp_error mpos_random(void *data, size_t size)
{
    unsigned char *bytes = data;

    while (size > 0) {
        ULONG chunk = size < RANDOM_CHUNK ? (ULONG)size : RANDOM_CHUNK;

        if (BCryptGenRandom(NULL, bytes, chunk,
                            BCRYPT_USE_SYSTEM_PREFERRED_RNG) < 0)
            return mpi_fail(MP_EIO, "the system gives no random bytes");
        bytes += chunk;
        size -= chunk;
    }
    return MP_OK;
}
