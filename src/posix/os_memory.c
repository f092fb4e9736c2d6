/* SPDX-License-Identifier: MIT */
/* Mapping shared memory; os_memory_memfd.c and os_memory_shm.c create it. */
#include "os_internal.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

mp_error mpos_memory_size(mpos_handle handle, size_t *size)
{
    struct stat status;

    if (fstat((int)handle, &status) != 0)
        return mpos_fail_errno("fstat", errno);
    *size = (size_t)status.st_size;
    return MP_OK;
}

mp_error mpos_memory_map(mpos_handle handle, size_t size, void **address)
{
    void *place =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, (int)handle, 0);

    if (place == MAP_FAILED)
        return mpos_fail_errno("mmap", errno);
    *address = place;
    return MP_OK;
}

void mpos_memory_unmap(void *address, size_t size)
{
    if (address != NULL)
        munmap(address, size);
}
