/* SPDX-License-Identifier: MIT */
/* Shared memory by shm_open(3), whose name is gone before anyone sees it. */
#include "os_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ATTEMPTS = 16, COMMON_ATTEMPTS = 8, NAME_SIZE = 32 };

/*
 * Killed between shm_open() and shm_unlink(), a process leaves its name behind.
 * So all of a user's processes take the same one, and the next removes it: at
 * most one is ever left. Nobody opens what another has created, and to unlink
 * another's name is only what that one is about to do. If the name is another
 * user's, or very busy, chance gives one. macOS takes 31 characters.
 */
static mp_error choose_name(char name[NAME_SIZE], bool is_common)
{
    uint64_t chance;
    mp_error error;

    if (is_common) {
        snprintf(name, NAME_SIZE, "/mp-user-%lu", (unsigned long)geteuid());
        return MP_OK;
    }
    error = mpos_random(&chance, sizeof(chance));
    if (error == MP_OK)
        snprintf(name, NAME_SIZE, "/mp-%016llx", (unsigned long long)chance);
    return error;
}

static mp_error create_empty(int *memory)
{
    bool is_common = true;

    for (int i = 0; i < ATTEMPTS; i++) {
        char name[NAME_SIZE];
        mp_error error;

        is_common = is_common && i < COMMON_ATTEMPTS;
        error = choose_name(name, is_common);
        if (error != MP_OK)
            return error;
        /* POSIX: shm_open() sets close-on-exec by itself. */
        *memory = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
        if (*memory >= 0) {
            shm_unlink(name);
            return mpos_raise_descriptor(memory);
        }
        if (errno == EEXIST && is_common)
            is_common = shm_unlink(name) == 0 || errno == ENOENT;
        else if (errno != EEXIST && errno != EINTR)
            break;
    }
    return mpos_fail_errno("shm_open", errno);
}

#ifdef __APPLE__
/* There is no posix_fallocate(), and ftruncate() sets the object's size for
 * good; its pages are the kernel's to find, as all memory is there. */
static int reserve(int memory, size_t size)
{
    return ftruncate(memory, (off_t)size) == 0 ? 0 : errno;
}

mp_error mpos_memory_grow_shm(mpos_handle handle, size_t from, size_t to)
{
    (void)handle;
    (void)from;
    (void)to;
    return mpi_fail(MP_ENOTSUP, "on macOS shared memory keeps its size");
}
#else
/* With signals blocked: each signal would make it begin anew. */
static int allocate(int memory, size_t from, size_t to)
{
    mpos_size_signal held;
    int cause;

    mpos_size_signal_begin(&held);
    do {
        cause = posix_fallocate(memory, (off_t)from, (off_t)(to - from));
    } while (cause == EINTR);
    mpos_size_signal_end(&held, cause);
    return cause;
}

/* By nothing else: ftruncate() would make it smaller again, if somebody else
 * has made it larger meanwhile. */
mp_error mpos_memory_grow_shm(mpos_handle handle, size_t from, size_t to)
{
    int cause = 0;

    if (to > (size_t)INT64_MAX)
        cause = ENOSPC;
    else if (to > from)
        cause = allocate((int)handle, from, to);
    /* FreeBSD 12, which has it only for files. */
    if (cause == EINVAL || cause == ENODEV)
        cause = EOPNOTSUPP;
    return cause == 0 ? MP_OK : mpos_fail_errno("posix_fallocate", cause);
}

static int reserve(int memory, size_t size)
{
    int cause;
    mpos_size_signal held;

    mpos_size_signal_begin(&held);
    cause = ftruncate(memory, (off_t)size) == 0 ? 0 : errno;
    mpos_size_signal_end(&held, cause);
    if (cause == 0)
        cause = allocate(memory, 0, size);
    /* Where it is only for files (FreeBSD 12), swap backs the memory. */
    return cause == EINVAL || cause == ENODEV ? 0 : cause;
}
#endif

mp_error mpos_memory_create_shm(size_t size, mpos_handle *handle)
{
    int memory;
    int cause;
    mp_error error = create_empty(&memory);

    if (error != MP_OK)
        return error;
    cause = size > (size_t)INT64_MAX ? ENOSPC : reserve(memory, size);
    if (cause != 0) {
        close(memory);
        return mpos_fail_errno("posix_fallocate", cause);
    }
    *handle = memory;
    return MP_OK;
}
