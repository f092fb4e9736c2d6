/* SPDX-License-Identifier: MIT */
/*
 * Apple's os_sync_wait_on_address and its like, made of a futex. They exist to
 * run os_word_osync.c where there is no Mac: a build with MULTIPROC_WORD=osync
 * on Linux has them in its test programs, where dlsym() finds them.
 *
 * As strict as the originals: what those refuse is refused.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { WAIT = 0, WAKE = 1, SHARED = 1, MACH_ABSOLUTE_TIME = 32 };

#define EXPORTED __attribute__((__visibility__("default")))
#define SECOND 1000000000U

EXPORTED int os_sync_wait_on_address_with_timeout(void *address, uint64_t value,
                                                  size_t size, uint32_t flags,
                                                  uint32_t clock,
                                                  uint64_t timeout);
EXPORTED int os_sync_wake_by_address_any(void *address, size_t size,
                                         uint32_t flags);
EXPORTED int os_sync_wake_by_address_all(void *address, size_t size,
                                         uint32_t flags);

/* How often they were called: a test looks whether they are in use at all. */
EXPORTED extern _Atomic unsigned support_osync_calls;
_Atomic unsigned support_osync_calls;

static int refuse(int error)
{
    errno = error;
    return -1;
}

int os_sync_wait_on_address_with_timeout(void *address, uint64_t value,
                                         size_t size, uint32_t flags,
                                         uint32_t clock, uint64_t timeout)
{
    const struct timespec span = {
        .tv_sec = (time_t)(timeout / SECOND),
        .tv_nsec = (long)(timeout % SECOND),
    };

    support_osync_calls++;
    if (size != sizeof(uint32_t) || (uintptr_t)address % size != 0 ||
        flags != SHARED || clock != MACH_ABSOLUTE_TIME || timeout == 0)
        return refuse(EINVAL);
    /* Another value than expected is a success there. */
    if (syscall(SYS_futex, address, WAIT, (uint32_t)value, &span, NULL, 0) !=
            0 &&
        errno != EAGAIN)
        return -1;
    return 0;
}

static int wake(void *address, size_t size, uint32_t flags, int count)
{
    support_osync_calls++;
    if (size != sizeof(uint32_t) || (uintptr_t)address % size != 0 ||
        flags != SHARED)
        return refuse(EINVAL);
    if (syscall(SYS_futex, address, WAKE, count, NULL, NULL, 0) == 0)
        return refuse(ENOENT);
    return 0;
}

int os_sync_wake_by_address_any(void *address, size_t size, uint32_t flags)
{
    return wake(address, size, flags, 1);
}

int os_sync_wake_by_address_all(void *address, size_t size, uint32_t flags)
{
    return wake(address, size, flags, INT32_MAX);
}
