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

#ifdef __linux__
/* A file of a tmpfs. */
mp_error mpos_memory_reserve_shm(int memory, size_t size)
{
    return mpos_file_reserve(memory, 0, size);
}
#else
/* Swap backs it: the system counts it now, or will find it, as all memory. */
mp_error mpos_memory_reserve_shm(int memory, size_t size)
{
    if (size > (size_t)INT64_MAX)
        return mpos_fail_errno("ftruncate", ENOSPC);
    if (ftruncate(memory, (off_t)size) != 0)
        return mpos_fail_errno("ftruncate", errno);
    return MP_OK;
}
#endif

mp_error mpos_memory_create_shm(size_t size, mpos_handle *handle)
{
    int memory;
    mp_error error = create_empty(&memory);

    if (error != MP_OK)
        return error;
    error = mpos_memory_reserve_shm(memory, size);
    if (error != MP_OK) {
        close(memory);
        return error;
    }
    *handle = memory;
    return MP_OK;
}
