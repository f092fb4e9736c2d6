/* SPDX-License-Identifier: MIT */
/*
 * Files that are there whole or not at all: what is in one is there before it
 * has its name, which is refused if it is taken.
 */
#include "os_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ALL_PERMISSIONS = 0777 };

mp_error mpos_file_fail_taken(const char *path)
{
    return mpi_fail(MP_EEXIST, "%s: %s", path, strerror(EEXIST));
}

bool mpos_file_is_taken(const char *path)
{
    struct stat status;

    return lstat(path, &status) == 0;
}

/* Whatever the umask. A file system without permissions refuses to set them. */
static mp_error set_permissions(int file, unsigned permissions)
{
    if (fchmod(file, (mode_t)(permissions & ALL_PERMISSIONS)) == 0 ||
        errno == EPERM || mpos_is_unsupported(errno))
        return MP_OK;
    return mpos_fail_errno("fchmod", errno);
}

mp_error mpos_file_fill(int file, const mpos_content *content)
{
    size_t size = content->size;
    mp_error error;

    if (size < content->image.size)
        size = content->image.size;
    error = mpos_file_reserve(file, 0, size);
    if (error == MP_OK)
        error = mpos_file_write(file, content->image);
    if (error == MP_OK)
        error = set_permissions(file, content->permissions);
    return error;
}

mp_error mpos_file_fill_in_use(int file, const mpos_content *content)
{
    int cause = mpos_file_lock_to_use(file);

    if (cause != 0)
        return mpi_fail(MP_ENOTSUP, "flock: %s", strerror(cause));
    return mpos_file_fill(file, content);
}

#if defined(O_TMPFILE) && !defined(MULTIPROC_NO_TMPFILE)
static mp_error give_name(int file, const char *path)
{
    char self[40];

    snprintf(self, sizeof(self), "/proc/self/fd/%d", file);
    if (linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0)
        return MP_OK;
    if (errno == EEXIST)
        return mpos_file_fail_taken(path);
    return mpi_fail(MP_ENOTSUP, "linkat: %s", strerror(errno));
}

mp_error mpos_file_create_nameless(const char *folder, const char *path,
                                   const mpos_content *content, int *file)
{
    int opened = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    mp_error error;

    if (opened < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOSPC))
        return mpos_fail_errno(path, errno);
    if (opened < 0)
        return mpi_fail(MP_ENOTSUP, "O_TMPFILE: %s", strerror(errno));
    error = mpos_raise_descriptor(&opened);
    if (error != MP_OK)
        return error;
    error = mpos_file_fill_in_use(opened, content);
    if (error == MP_OK)
        error = give_name(opened, path);
    if (error != MP_OK) {
        mpos_file_let_go(opened);
        return error;
    }
    *file = opened;
    return MP_OK;
}
#else
mp_error mpos_file_create_nameless(const char *folder, const char *path,
                                   const mpos_content *content, int *file)
{
    (void)folder;
    (void)path;
    (void)content;
    (void)file;
    return mpi_fail(MP_ENOTSUP, "no file is without a name here");
}
#endif
