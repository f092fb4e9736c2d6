/* SPDX-License-Identifier: MIT */
/*
 * Files in use: whoever has one open holds a shared flock(2), which is the open
 * file's and not the process's. Any copy of the descriptor keeps it, and it
 * goes with the last one, however a process ends.
 */
#include "os_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

int mpos_file_lock(int file, int operation)
{
    int result;

    do {
        result = flock(file, operation);
    } while (result != 0 && errno == EINTR);
    return result == 0 ? 0 : errno;
}

void mpos_file_let_go(int file)
{
    flock(file, LOCK_UN);
    close(file);
}

int mpos_file_lock_to_use(int file)
{
    int64_t deadline = mpos_now() + MPOS_FILE_PATIENCE;
    int cause = mpos_file_lock(file, LOCK_SH | LOCK_NB);

    while (cause == EWOULDBLOCK && mpos_now() < deadline) {
        mpos_sleep_until(mpos_now() + MPOS_FILE_PAUSE);
        cause = mpos_file_lock(file, LOCK_SH | LOCK_NB);
    }
    return cause == EWOULDBLOCK ? EACCES : cause;
}

bool mpos_file_has_path(int file, const char *path)
{
    struct stat opened;
    struct stat named;

    return fstat(file, &opened) == 0 && opened.st_nlink > 0 &&
           lstat(path, &named) == 0 && named.st_dev == opened.st_dev &&
           named.st_ino == opened.st_ino;
}

static mp_error fail_open(const char *path, int cause)
{
    switch (cause) {
    case ELOOP: /* a symbolic link */
#if EMLINK != ELOOP
    case EMLINK: /* the same, to FreeBSD */
#endif
    case EISDIR:
    case ENXIO: /* a socket, or a pipe */
    case ENODEV:
    case EOPNOTSUPP:
        return mpi_fail(MP_EPROTO, "%s is no memory: %s", path,
                        strerror(cause));
    default:
        return mpos_fail_errno(path, cause);
    }
}

mp_error mpos_file_open_plain(const char *path, int flags, int *file)
{
    struct stat status;
    int opened;
    mp_error error;

    do {
        opened = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    } while (opened < 0 && errno == EINTR);
    if (opened < 0)
        return fail_open(path, errno);
    if (fstat(opened, &status) != 0 || !S_ISREG(status.st_mode)) {
        close(opened);
        return mpi_fail(MP_EPROTO, "%s is no memory, and no file", path);
    }
    error = mpos_raise_descriptor(&opened);
    if (error == MP_OK)
        *file = opened;
    return error;
}
