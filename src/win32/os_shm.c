/* SPDX-License-Identifier: MIT */
/*
 * CPython's shared memory: sections by exactly the name that is asked for. They
 * go with their last handle, so unlinking has nothing to do.
 */
#include "os_internal.h"

#include <stdlib.h>
#include <wchar.h>

/* The system's sentence, if ours would say no more. */
static mp_error fail(DWORD code, const char *name)
{
    switch (code) {
    case ERROR_FILE_NOT_FOUND:
        return mpi_fail(MP_ENOTFOUND, "there is no section \"%s\"", name);
    case ERROR_ALREADY_EXISTS:
        return mpi_fail(MP_EEXIST, "there is a section \"%s\" already", name);
    case ERROR_PATH_NOT_FOUND: /* it has a backslash */
    case ERROR_INVALID_NAME:
    case ERROR_BAD_PATHNAME:
    case ERROR_FILENAME_EXCED_RANGE:
        return mpi_fail(MP_EINVAL, "no section can be named \"%s\"", name);
    default:
        return mpi_context(mpi_win32_fail_code(code, "the section"), "%s",
                           name);
    }
}

static mp_error fail_other_kind(mp_error err, const char *name)
{
    return mpi_fail(err, "\"%s\" is the name of something else, no section",
                    name);
}

static mp_error wide_name(const char *name, wchar_t **wide)
{
    mp_error err;

    if (*name == '\0') /* the system would make one without a name */
        return mpi_fail(MP_EINVAL, "the name is empty");
    err = mpi_win32_wide(name, wide);
    if (err == MP_OK && wcslen(*wide) > MAX_PATH) {
        free(*wide);
        err = mpi_fail(MP_EINVAL, "the name has more than %d characters",
                       MAX_PATH);
    }
    return err;
}

mp_error mpos_shm_create(const char *name, size_t size, mpos_handle *handle)
{
    wchar_t *wide;
    HANDLE section;
    DWORD code;
    mp_error err = wide_name(name, &wide);

    if (err != MP_OK)
        return err;
    code = mpi_win32_create_section(wide, size, &section);
    free(wide);
    if (code == ERROR_INVALID_HANDLE)
        return fail_other_kind(MP_EEXIST, name);
    if (code != ERROR_SUCCESS)
        return fail(code, name);
    *handle = (mpos_handle)section;
    return MP_OK;
}

static mp_error open_section(const char *name, HANDLE *section)
{
    wchar_t *wide;
    DWORD code;
    mp_error err = wide_name(name, &wide);

    if (err != MP_OK)
        return err;
    *section = OpenFileMappingW(MPI_WIN32_SECTION, FALSE, wide);
    code = GetLastError();
    free(wide);
    if (*section != NULL)
        return MP_OK;
    if (code == ERROR_INVALID_HANDLE)
        return fail_other_kind(MP_EPROTO, name);
    return fail(code, name);
}

/* Another program's may have pages that must not be touched: more can be
 * reserved than is committed, from the beginning. */
static mp_error check_committed(HANDLE section, const char *name)
{
    void *view;
    size_t size;
    mp_error err = mpi_win32_map_end(section, FILE_MAP_READ, &view, &size);

    if (err != MP_OK)
        return mpi_context(err, "%s", name);
    UnmapViewOfFile(view);
    return MP_OK;
}

mp_error mpos_shm_open(const char *name, mpos_handle *handle)
{
    HANDLE section;
    mp_error err = open_section(name, &section);

    if (err != MP_OK)
        return err;
    err = check_committed(section, name);
    if (err != MP_OK) {
        CloseHandle(section);
        return err;
    }
    *handle = (mpos_handle)section;
    return MP_OK;
}

mp_error mpos_shm_unlink(const char *name)
{
    HANDLE section;
    mp_error err = open_section(name, &section);

    if (err == MP_OK)
        CloseHandle(section);
    return err;
}
