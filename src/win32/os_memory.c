/* SPDX-License-Identifier: MIT */
/* Shared memory without a name: sections backed by the paging file. */
#include "os_internal.h"

mp_error mpos_memory_create(size_t size, mpos_handle *handle)
{
    uint64_t wide_size = size;
    /* SEC_COMMIT reserves the pages now, or the call fails. */
    HANDLE section = CreateFileMappingW(
        INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE | SEC_COMMIT,
        (DWORD)(wide_size >> 32), (DWORD)(wide_size & UINT32_MAX), NULL);

    if (section == NULL)
        return mpi_win32_fail("can't create shared memory");
    *handle = (mpos_handle)section;
    return MP_OK;
}

/*
 * Only a view tells its size by documented means (NtQuerySection would do
 * without one). All pages of a section are committed and protected alike, so
 * the view is one region.
 */
mp_error mpos_memory_size(mpos_handle handle, size_t *size)
{
    MEMORY_BASIC_INFORMATION region;
    void *view = MapViewOfFile((HANDLE)handle, FILE_MAP_READ, 0, 0, 0);
    mp_error err = MP_OK;

    if (view == NULL)
        return mpi_win32_fail("can't map shared memory to measure it");
    if (VirtualQuery(view, &region, sizeof(region)) != 0)
        *size = region.RegionSize;
    else
        err = mpi_win32_fail("can't measure shared memory");
    UnmapViewOfFile(view);
    return err;
}

mp_error mpos_memory_grow(mpos_handle handle, size_t from, size_t to)
{
    (void)handle;
    (void)from;
    (void)to;
    return mpi_fail(MP_ENOTSUP, "Windows has no shared memory that grows");
}

mp_error mpos_memory_map(mpos_handle handle, size_t size, void **address)
{
    void *view = MapViewOfFile((HANDLE)handle, FILE_MAP_READ | FILE_MAP_WRITE,
                               0, 0, size);

    if (view == NULL)
        return mpi_win32_fail("can't map shared memory");
    *address = view;
    return MP_OK;
}

void mpos_memory_unmap(void *address, size_t size)
{
    (void)size; /* a view goes as a whole */
    if (address != NULL)
        UnmapViewOfFile(address);
}
