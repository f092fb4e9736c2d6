/* SPDX-License-Identifier: MIT */
/*
 * Shared memory, made by the first mechanism that this system does not refuse:
 * an old kernel or a container's filter may refuse what the headers promise.
 */
#include "os_internal.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* The best first. */
static mp_error (*const mechanisms[])(size_t size, mpos_handle *handle) = {
#ifdef MULTIPROC_MEMORY_MEMFD
    mpos_memory_create_memfd,
#endif
    mpos_memory_create_shm,
};

enum { MECHANISM_COUNT = sizeof(mechanisms) / sizeof(mechanisms[0]) };

mp_error mpos_memory_create(size_t size, mpos_handle *handle)
{
    mp_error error = MP_ENOTSUP;

    for (size_t i = 0; error == MP_ENOTSUP && i < MECHANISM_COUNT; i++)
        error = mechanisms[i](size, handle);
    return error;
}

mp_error mpos_memory_size(mpos_handle handle, size_t *size)
{
    struct stat status;

    if (fstat((int)handle, &status) != 0)
        return mpos_fail_errno("fstat", errno);
    *size = (size_t)status.st_size;
    return MP_OK;
}

mp_error mpos_memory_grow(mpos_handle handle, size_t from, size_t to)
{
#ifdef MULTIPROC_MEMORY_MEMFD
    return mpos_memory_grow_memfd(handle, from, to);
#else
    return mpos_memory_grow_shm(handle, from, to);
#endif
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
