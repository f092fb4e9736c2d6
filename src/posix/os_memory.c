/* SPDX-License-Identifier: MIT */
/*
 * Shared memory, made by the first mechanism that this system does not refuse:
 * an old kernel or a container's filter may refuse what the headers promise.
 * Whatever it was made by, it is a file to map, measure and let grow.
 */
#include "os_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The best first. */
static mp_error (*const mechanisms[])(size_t size, mpos_handle *handle) = {
#ifdef MULTIPROC_MEMORY_MEMFD
    mpos_memory_create_memfd,
#endif
    mpos_memory_create_shm,
};

enum { MECHANISM_COUNT = sizeof(mechanisms) / sizeof(mechanisms[0]) };

mp_error mpos_memory_create(size_t size, size_t limit, mpos_handle *handle)
{
    mp_error error = MP_ENOTSUP;

    (void)limit; /* files grow without being told before */
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
    if (!mpos_system.memory_grows)
        return mpi_fail(MP_ENOTSUP, "on %s shared memory keeps its size",
                        mpos_system.system);
    return mpos_file_reserve((int)handle, from, to);
}

void mpos_memory_return(mpos_handle handle, size_t from, size_t to)
{
    if (mpos_system.memory_grows && to > from)
        mpos_file_return((int)handle, from, to);
}

mp_error mpos_memory_identity(mpos_handle handle, uint64_t identity[2])
{
    struct stat status;

    if (fstat((int)handle, &status) != 0)
        return mpos_fail_errno("fstat", errno);
    identity[0] = (uint64_t)status.st_dev;
    identity[1] = (uint64_t)status.st_ino;
    return MP_OK;
}

mp_error mpos_memory_map(mpos_handle handle, const mpos_extent *extent,
                         void **address)
{
    int access = extent->is_read_only ? PROT_READ : PROT_READ | PROT_WRITE;
    void *place;

    if (extent->offset > (uint64_t)INT64_MAX)
        return mpos_fail_errno("mmap", EINVAL);
    place = mmap(NULL, extent->size, access, MAP_SHARED, (int)handle,
                 (off_t)extent->offset);
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

/* Linux's msync() waits for the disk. Elsewhere it is for fsync() to write what
 * tells where the data is; and only macOS lets the disk keep it for a while. */
static int sync_file(int file)
{
#if defined(__linux__)
    (void)file;
    return 0;
#elif defined(__APPLE__)
    if (fcntl(file, F_FULLFSYNC) == 0)
        return 0;
    return fsync(file); /* a file system that can't */
#else
    return fsync(file);
#endif
}

mp_error mpos_memory_sync(mpos_handle handle, void *address, size_t size)
{
    const uintptr_t unit = (uintptr_t)sysconf(_SC_PAGESIZE);
    size_t before = (uintptr_t)address % unit;
    unsigned char *begin = (unsigned char *)address - before;
    int result;

    do {
        result = msync(begin, before + size, MS_SYNC);
    } while (result != 0 && errno == EINTR);
    if (result != 0)
        return mpos_fail_errno("msync", errno);
    do {
        result = sync_file((int)handle);
    } while (result != 0 && errno == EINTR);
    return result == 0 ? MP_OK : mpos_fail_errno("fsync", errno);
}
