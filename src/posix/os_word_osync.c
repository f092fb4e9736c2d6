/* SPDX-License-Identifier: MIT */
/*
 * Sleeping until a word changes, by os_sync_wait_on_address: macOS 14.4 and
 * later. The calls are looked up when the program runs, and declared here,
 * since the program may be built with an older SDK and run on an older system.
 */
#include "os_internal.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

/* <os/os_sync_wait_on_address.h>, <os/clock.h> */
enum {
    SHARED = 1,              /* OS_SYNC_WAIT_ON_ADDRESS_SHARED, _WAKE_BY_... */
    MACH_ABSOLUTE_TIME = 32, /* OS_CLOCK_MACH_ABSOLUTE_TIME: our mpos_clock */
};

typedef int wait_call(void *address, uint64_t value, size_t size,
                      uint32_t flags, uint32_t clock, uint64_t timeout);
typedef int wake_call(void *address, size_t size, uint32_t flags);

/* How many are woken one by one; for more it is everybody at once. */
enum { FEW = 16 };

/* The longest sleep, lest a timeout be too long for the system. */
#define DAY ((int64_t)86400 * 1000000000)

/* NULL until probe() has found all of them; it always finds the same. */
static _Atomic(wait_call *) wait_on_address;
static _Atomic(wake_call *) wake_any;
static _Atomic(wake_call *) wake_all;

/* ISO C knows no way from what dlsym() returns to a function. */
static bool look_up(const char *name, void *function)
{
    void *found = dlsym(RTLD_DEFAULT, name);

    memcpy(function, &found, sizeof(found));
    return found != NULL;
}

static bool probe(void)
{
    wait_call *wait = NULL;
    wake_call *any = NULL;
    wake_call *all = NULL;

    if (!look_up("os_sync_wait_on_address_with_timeout", &wait) ||
        !look_up("os_sync_wake_by_address_any", &any) ||
        !look_up("os_sync_wake_by_address_all", &all))
        return false;
    wake_any = any;
    wake_all = all;
    wait_on_address = wait;
    return true;
}

static bool wait_osync(mpos_word *word, uint32_t expected, int64_t deadline)
{
    int64_t now = mpos_now();
    int64_t left;
    wait_call *wait = wait_on_address;

    if (deadline <= now) /* a timeout of zero is refused */
        return mpi_atomic32_load(&word->value) != expected;
    left = deadline - now;
    if (wait(&word->value, expected, sizeof(word->value), SHARED,
             MACH_ABSOLUTE_TIME, (uint64_t)(left < DAY ? left : DAY)) >= 0 ||
        errno == EINTR)
        return true;
    if (errno == ETIMEDOUT)
        return left > DAY;
    /* It should not fail; if it does, better slowly than in a hot loop. */
    mpos_sleep_until(now + 1000000);
    return true;
}

static void wake_osync(mpos_word *word, uint32_t count)
{
    int cause = errno;

    if (count > FEW) {
        wake_call *wake = wake_all;

        wake(&word->value, sizeof(word->value), SHARED);
    } else {
        wake_call *wake = wake_any;

        /* It fails when nobody is left. */
        while (count > 0 &&
               wake(&word->value, sizeof(word->value), SHARED) >= 0)
            count--;
    }
    errno = cause;
}

const mpos_word_mechanism mpos_word_osync = {
    .probe = probe,
    .wait = wait_osync,
    .wake = wake_osync,
};
