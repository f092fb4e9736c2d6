/* SPDX-License-Identifier: MIT */
/* Shared memory by memfd_create(2). */
#include "os_internal.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U /* Linux 6.3; a system may insist on it */
#endif

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

mp_error mpos_memory_create_memfd(size_t size, mpos_handle *handle)
{
    int memory;
    mp_error error = create_empty(&memory);

    if (error != MP_OK)
        return error;
    error = mpos_file_reserve(memory, 0, size);
    if (error != MP_OK) {
        close(memory);
        return error;
    }
    *handle = memory;
    return MP_OK;
}
