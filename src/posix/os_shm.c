/* SPDX-License-Identifier: MIT */
/*
 * Shared memory that other programs know by the same name: shm_open(3), with
 * nothing in it, and nothing around it, that is ours.
 */
#include "os_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Longer than any system takes. */
enum { PATH_SIZE = 1026 };

static mp_error path_of(const char *name, char path[PATH_SIZE])
{
    if (snprintf(path, PATH_SIZE, "/%s", name) >= PATH_SIZE)
        return mpos_fail_errno("shm_open", ENAMETOOLONG);
    return MP_OK;
}

static mp_error fail(const char *path, int cause)
{
    switch (cause) {
    case EEXIST:
        return mpi_fail(MP_EEXIST, "%s: %s", path, strerror(cause));
    case EISDIR:  /* "." */
    case ENOTDIR: /* "name/" */
        return mpi_fail(MP_EINVAL, "%s: %s", path, strerror(cause));
    default:
        return mpos_fail_errno(path, cause);
    }
}

/* macOS tells of its objects that they are nothing at all. */
static bool is_memory(int file)
{
    struct stat status;

    return fstat(file, &status) == 0 &&
           (S_ISREG(status.st_mode) || (status.st_mode & S_IFMT) == 0);
}

/* POSIX: shm_open() sets close-on-exec by itself. */
static mp_error open_path(const char *path, int flags, int *memory)
{
    int opened;
    mp_error error;

    do {
        opened = shm_open(path, O_RDWR | flags, 0600);
    } while (opened < 0 && errno == EINTR);
    if (opened < 0)
        return fail(path, errno);
    if (!is_memory(opened)) {
        close(opened);
        return mpi_fail(MP_EPROTO, "%s is no memory", path);
    }
    error = mpos_raise_descriptor(&opened);
    if (error == MP_OK)
        *memory = opened;
    else if ((flags & O_CREAT) != 0)
        shm_unlink(path);
    return error;
}

mp_error mpos_shm_create(const char *name, size_t size, mpos_handle *handle)
{
    char path[PATH_SIZE];
    int memory = -1;
    mp_error error = path_of(name, path);

    if (error == MP_OK)
        error = open_path(path, O_CREAT | O_EXCL, &memory);
    if (error != MP_OK)
        return error;
    error = mpos_memory_reserve_shm(memory, size);
    if (error != MP_OK) {
        shm_unlink(path);
        close(memory);
        return mpi_context(error, "%s", path);
    }
    *handle = memory;
    return MP_OK;
}

mp_error mpos_shm_open(const char *name, mpos_handle *handle)
{
    char path[PATH_SIZE];
    int memory = -1;
    mp_error error = path_of(name, path);

    if (error == MP_OK)
        error = open_path(path, 0, &memory);
    if (error == MP_OK)
        *handle = memory;
    return error;
}

mp_error mpos_shm_unlink(const char *name)
{
    char path[PATH_SIZE];
    mp_error error = path_of(name, path);

    if (error != MP_OK)
        return error;
    return shm_unlink(path) == 0 ? MP_OK : fail(path, errno);
}
