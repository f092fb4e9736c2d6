/* SPDX-License-Identifier: MIT */
/*
 * The system's error codes as ours, with the system's own text, and text in
 * its encoding (UTF-16) as ours (UTF-8).
 */
#include "os_internal.h"

#include <stdlib.h>

enum { TEXT_SIZE = 256 };

#ifndef ERROR_ELEVATION_REQUIRED
#define ERROR_ELEVATION_REQUIRED 740L /* missing in older MinGW-w64 */
#endif

/* -- Failing --------------------------------------------------------------- */

static mp_error translate(DWORD code)
{
    switch (code) {
    case ERROR_FILE_NOT_FOUND:
    case ERROR_PATH_NOT_FOUND:
    case ERROR_MOD_NOT_FOUND:
    case ERROR_INVALID_NAME:
    case ERROR_INVALID_DRIVE:
    case ERROR_BAD_NETPATH:
        return MP_ENOTFOUND;
    case ERROR_ACCESS_DENIED:
    case ERROR_SHARING_VIOLATION:
    case ERROR_BAD_EXE_FORMAT: /* as execve() says of what is no program */
    case ERROR_EXE_MACHINE_TYPE_MISMATCH:
    case ERROR_ELEVATION_REQUIRED:
    case ERROR_DIRECTORY:
    case ERROR_ACCESS_DISABLED_BY_POLICY:
        return MP_EACCES;
    case ERROR_NOT_ENOUGH_MEMORY:
    case ERROR_OUTOFMEMORY:
    case ERROR_COMMITMENT_LIMIT:
    case ERROR_PAGEFILE_QUOTA:
    case ERROR_WORKING_SET_QUOTA:
    case ERROR_NO_SYSTEM_RESOURCES:
        return MP_ENOMEM;
    case ERROR_TOO_MANY_OPEN_FILES:
    case ERROR_NO_MORE_USER_HANDLES:
        return MP_EMFILE;
    case ERROR_NO_PROC_SLOTS:
    case ERROR_MAX_THRDS_REACHED:
    case ERROR_NOT_ENOUGH_QUOTA: /* a job's limit of processes */
        return MP_EPROCLIM;
    case ERROR_DISK_FULL:
    case ERROR_HANDLE_DISK_FULL:
        return MP_ENOSPC;
    case ERROR_BROKEN_PIPE:
    case ERROR_NO_DATA:
    case ERROR_PIPE_NOT_CONNECTED:
        return MP_EPIPE;
    case ERROR_ALREADY_EXISTS:
    case ERROR_FILE_EXISTS:
        return MP_EEXIST;
    case ERROR_NOT_SUPPORTED:
    case ERROR_CALL_NOT_IMPLEMENTED:
        return MP_ENOTSUP;
    case ERROR_INVALID_PARAMETER:
    case ERROR_INVALID_HANDLE:
    case ERROR_NO_UNICODE_TRANSLATION:
        return MP_EINVAL;
    default:
        return MP_EIO;
    }
}

/* "Access is denied", without the system's full stop and line break. */
static void describe(DWORD code, char text[TEXT_SIZE])
{
    wchar_t wide[TEXT_SIZE / 4] = L"";
    DWORD size = FormatMessageW(FORMAT_MESSAGE_FROM_SYSTEM |
                                    FORMAT_MESSAGE_IGNORE_INSERTS |
                                    FORMAT_MESSAGE_MAX_WIDTH_MASK,
                                NULL, code, 0, wide, TEXT_SIZE / 4, NULL);

    while (size > 0 && (wide[size - 1] == L' ' || wide[size - 1] == L'.'))
        size--;
    wide[size < TEXT_SIZE / 4 ? size : 0] = L'\0';
    if (WideCharToMultiByte(CP_UTF8, 0, wide, -1, text, TEXT_SIZE, NULL,
                            NULL) == 0)
        text[0] = '\0';
}

mp_error mpi_win32_fail_code(DWORD code, const char *what)
{
    char text[TEXT_SIZE];

    describe(code, text);
    return mpi_fail(translate(code), "%s: %s%s(error %lu)", what, text,
                    text[0] != '\0' ? " " : "", code);
}

mp_error mpi_win32_fail(const char *what)
{
    return mpi_win32_fail_code(GetLastError(), what);
}

/* -- Text ------------------------------------------------------------------ */

mp_error mpi_win32_wide(const char *text, wchar_t **wide)
{
    int size =
        MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, NULL, 0);
    wchar_t *copy;

    if (size == 0)
        return mpi_fail(MP_EINVAL, "text is not valid UTF-8");
    copy = mpi_malloc((size_t)size * sizeof(*copy));
    if (copy == NULL)
        return mpi_no_memory();
    MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, copy, size);
    *wide = copy;
    return MP_OK;
}

mp_error mpi_win32_narrow(const wchar_t *wide, char **text)
{
    int size = WideCharToMultiByte(CP_UTF8, 0, wide, -1, NULL, 0, NULL, NULL);
    char *copy;

    if (size == 0)
        return mpi_win32_fail("can't convert text to UTF-8");
    copy = mpi_malloc((size_t)size);
    if (copy == NULL)
        return mpi_no_memory();
    WideCharToMultiByte(CP_UTF8, 0, wide, -1, copy, size, NULL, NULL);
    *text = copy;
    return MP_OK;
}
