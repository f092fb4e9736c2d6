/* SPDX-License-Identifier: MIT */
/*
 * Room for what is written to a file through memory: it is reserved when the
 * file gets its size, and one that is sparse or compressed is filled first.
 */
#include "os_internal.h"

#include <winioctl.h>

enum { LARGEST_WRITE = 1 << 30 };

static BOOL control(HANDLE file, DWORD code, void *data, DWORD size)
{
    DWORD unused;

    return DeviceIoControl(file, code, data, size, NULL, 0, &unused, NULL);
}

mp_error mpi_win32_file_fill_holes(HANDLE file)
{
    BY_HANDLE_FILE_INFORMATION information;
    FILE_SET_SPARSE_BUFFER sparse = {.SetSparse = FALSE};
    USHORT format = COMPRESSION_FORMAT_NONE;
    DWORD attributes;

    if (!GetFileInformationByHandle(file, &information))
        return mpi_win32_fail("can't look at the file");
    attributes = information.dwFileAttributes;
    if (((attributes & FILE_ATTRIBUTE_COMPRESSED) != 0 &&
         !control(file, FSCTL_SET_COMPRESSION, &format, sizeof(format))) ||
        ((attributes & FILE_ATTRIBUTE_SPARSE_FILE) != 0 &&
         !control(file, FSCTL_SET_SPARSE, &sparse, sizeof(sparse))))
        return mpi_win32_fail("can't fill the holes of the file");
    return MP_OK;
}

mp_error mpi_win32_file_write(HANDLE file, mpos_bytes image)
{
    const unsigned char *place = image.data;
    size_t left = image.size;

    while (left > 0) {
        DWORD part = left < LARGEST_WRITE ? (DWORD)left : LARGEST_WRITE;
        DWORD written = 0;

        if (!WriteFile(file, place, part, &written, NULL))
            return mpi_win32_fail("can't write the file");
        if (written == 0)
            return mpi_fail(MP_ENOSPC, "can't write the file: it is full");
        place += written;
        left -= written;
    }
    return MP_OK;
}

/* The disk is full, or the file system has no files so large. */
static mp_error fail_extend(uint64_t size)
{
    DWORD code = GetLastError();

    if (code == ERROR_INVALID_PARAMETER || code == ERROR_FILE_TOO_LARGE ||
        code == ERROR_NOT_ENOUGH_MEMORY /* Wine */)
        return mpi_fail(MP_ENOSPC, "there is no room for a file of %llu bytes",
                        (unsigned long long)size);
    return mpi_win32_fail_code(code, "can't extend the file");
}

/* The second call makes it so long; only the first is sure to reserve what it
 * needs, but not each file system knows that. */
mp_error mpi_win32_file_reserve(HANDLE file, uint64_t size)
{
    FILE_ALLOCATION_INFO room = {.AllocationSize.QuadPart = (int64_t)size};
    FILE_END_OF_FILE_INFO end = {.EndOfFile.QuadPart = (int64_t)size};

    if (!SetFileInformationByHandle(file, FileAllocationInfo, &room,
                                    sizeof(room)) &&
        (GetLastError() == ERROR_DISK_FULL ||
         GetLastError() == ERROR_HANDLE_DISK_FULL))
        return mpi_win32_fail("can't reserve room for the file");
    if (!SetFileInformationByHandle(file, FileEndOfFileInfo, &end, sizeof(end)))
        return fail_extend(size);
    return MP_OK;
}
