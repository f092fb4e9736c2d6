/* SPDX-License-Identifier: MIT */
/* Shared memory by memfd_create(2). */
#include "os_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U /* Linux 6.3; a system may insist on it */
#endif

/* Smaller than this needs no question whether the machine has it. */
enum { LARGE = 16 << 20 };

static mp_error create_empty(int *memory)
{
    const char *name = "multiproc"; /* only /proc/<pid>/maps shows it */

    *memory = memfd_create(name, MFD_CLOEXEC | MFD_NOEXEC_SEAL);
    if (*memory < 0 && errno == EINVAL)
        *memory = memfd_create(name, MFD_CLOEXEC);
    if (*memory < 0 && errno == EPERM) /* a container's way to say ENOSYS */
        errno = ENOSYS;
    if (*memory < 0)
        return mpos_fail_errno("memfd_create", errno);
    return mpos_raise_descriptor(memory);
}

static bool find_number(FILE *file, const char *format, unsigned long long *kib)
{
    char line[128];

    rewind(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, format, kib) == 1)
            return true;
    }
    return false;
}

/*
 * A memfd has no limit of its own: fallocate() would go on until the kernel
 * kills some process for want of memory.
 */
static bool machine_has(size_t size)
{
    unsigned long long available = 0;
    unsigned long long swap = 0;
    FILE *file;
    bool is_known;

    if (size < LARGE)
        return true;
    file = fopen("/proc/meminfo", "re");
    if (file == NULL)
        return true;
    is_known = find_number(file, "MemAvailable: %llu", &available);
    find_number(file, "SwapFree: %llu", &swap);
    fclose(file);
    return !is_known || size / 1024 <= available + swap;
}

/* With signals blocked: each signal would make fallocate() begin anew. What
 * can't be had as a whole it gives back. */
static mp_error reserve(int memory, size_t from, size_t to)
{
    size_t size = to - from;
    mpos_size_signal held;
    int result;
    int cause;

    if (to > (size_t)INT64_MAX || !machine_has(size))
        return mpi_fail(MP_ENOSPC, "%zu bytes are more than there is memory",
                        size);
    mpos_size_signal_begin(&held);
    do {
        result = fallocate(memory, 0, (off_t)from, (off_t)size);
        cause = errno;
    } while (result != 0 && cause == EINTR);
    mpos_size_signal_end(&held, result == 0 ? 0 : cause);
    return result == 0 ? MP_OK : mpos_fail_errno("fallocate", cause);
}

mp_error mpos_memory_create_memfd(size_t size, mpos_handle *handle)
{
    int memory;
    mp_error error = create_empty(&memory);

    if (error != MP_OK)
        return error;
    error = reserve(memory, 0, size);
    if (error != MP_OK) {
        close(memory);
        return error;
    }
    *handle = memory;
    return MP_OK;
}

mp_error mpos_memory_grow_memfd(mpos_handle handle, size_t from, size_t to)
{
    return to > from ? reserve((int)handle, from, to) : MP_OK;
}
