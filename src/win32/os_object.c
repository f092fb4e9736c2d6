/* SPDX-License-Identifier: MIT */
/*
 * The system's own mutexes, semaphores and events, named Local\<name> so that
 * any Windows program can share them with ours.
 */
#include "os_internal.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define NAMESPACE "Local\\"

enum {
    NAMESPACE_LENGTH = sizeof(NAMESPACE) - 1,
    BASIC_INFORMATION_CLASS = 0,
    /* No more than is needed: others may grant no more. */
    MUTEX_RIGHTS = SYNCHRONIZE | MUTEX_MODIFY_STATE,
    SEMAPHORE_RIGHTS = SYNCHRONIZE | SEMAPHORE_MODIFY_STATE | 1,
    EVENT_RIGHTS = SYNCHRONIZE | EVENT_MODIFY_STATE | 1,
};

/* What NtQueryMutant, NtQuerySemaphore and NtQueryEvent answer. */
typedef struct mutant_information {
    LONG count; /* 1: free; 0 and less: owned */
    BOOLEAN is_callers;
    BOOLEAN is_abandoned;
} mutant_information;

typedef struct semaphore_information {
    ULONG count;
    ULONG maximum;
} semaphore_information;

typedef struct event_information {
    ULONG type; /* 0: stays set; 1: for one waiter */
    LONG is_set;
} event_information;

typedef LONG(NTAPI *query_state)(HANDLE, ULONG, void *, ULONG, ULONG *);

static mp_error query(const char *function, HANDLE object, void *information,
                      ULONG size)
{
    query_state run = (query_state)mpi_win32_native(function);
    LONG status;

    if (run == NULL)
        return mpi_fail(MP_ENOTSUP, "this system has no %s", function);
    status = run(object, BASIC_INFORMATION_CLASS, information, size, NULL);
    if (status < 0)
        return mpi_fail(MP_EIO, "%s: status 0x%lx", function,
                        (unsigned long)status);
    return MP_OK;
}

/* -- Making and opening ---------------------------------------------------- */

static mp_error object_name(const char *name, wchar_t **out)
{
    char text[NAMESPACE_LENGTH + MPOS_NAME_MAX + 1] = NAMESPACE;
    size_t length = strlen(name);

    if (length == 0 || length > MPOS_NAME_MAX)
        return mpi_fail(MP_EINVAL, "a name has 1 to %d bytes", MPOS_NAME_MAX);
    memcpy(text + NAMESPACE_LENGTH, name, length + 1);
    return mpi_win32_wide(text, out);
}

static LONG limited(uint32_t value)
{
    return value < LONG_MAX ? (LONG)value : LONG_MAX;
}

static HANDLE create(mpos_object_kind kind, const wchar_t *name, uint32_t value,
                     uint32_t maximum)
{
    DWORD flags = CREATE_EVENT_MANUAL_RESET;

    switch (kind) {
    case MPOS_OBJECT_MUTEX:
        return CreateMutexExW(NULL, name, 0, MUTEX_RIGHTS);
    case MPOS_OBJECT_SEMAPHORE:
        return CreateSemaphoreExW(NULL, limited(value), limited(maximum), name,
                                  0, SEMAPHORE_RIGHTS);
    case MPOS_OBJECT_EVENT:
        if (value != 0)
            flags |= CREATE_EVENT_INITIAL_SET;
        return CreateEventExW(NULL, name, flags, EVENT_RIGHTS);
    }
    SetLastError(ERROR_INVALID_PARAMETER);
    return NULL;
}

/* Another program's event of this name may be one that wakes a single waiter,
 * and is reset by that. */
static mp_error check_event(HANDLE event, const char *name)
{
    event_information information = {0};
    mp_error err =
        query("NtQueryEvent", event, &information, sizeof(information));

    if (err == MP_OK && information.type != 0)
        err = mpi_fail(MP_ETYPE, "\"%s\" is an event that resets itself", name);
    return err;
}

mp_error mpos_object_open(mpos_object_kind kind, const char *name,
                          uint32_t value, uint32_t maximum, mpos_handle *handle)
{
    wchar_t *wide;
    HANDLE object;
    DWORD code;
    mp_error err = object_name(name, &wide);

    if (err != MP_OK)
        return err;
    object = create(kind, wide, value, maximum);
    code = GetLastError();
    free(wide);
    if (object == NULL && code == ERROR_INVALID_HANDLE)
        return mpi_fail(MP_ETYPE, "\"%s\" is the name of another kind of thing",
                        name);
    if (object == NULL)
        return mpi_win32_fail_code(code, "can't open a named object");

    if (kind == MPOS_OBJECT_EVENT && code == ERROR_ALREADY_EXISTS)
        err = check_event(object, name);
    if (err != MP_OK) {
        CloseHandle(object);
        return err;
    }
    *handle = (mpos_handle)object;
    return MP_OK;
}

/* -- Using ----------------------------------------------------------------- */

mp_error mpos_object_wait(mpos_handle handle, int64_t deadline)
{
    for (;;) {
        DWORD limit = mpi_win32_milliseconds(deadline);

        switch (WaitForSingleObject((HANDLE)handle, limit)) {
        case WAIT_OBJECT_0:
            return MP_OK;
        case WAIT_ABANDONED:
            return MP_OWNER_DIED; /* and it is ours now */
        case WAIT_TIMEOUT:
            break;
        default:
            return mpi_win32_fail("can't wait for a named object");
        }
        if (limit == 0)
            return MP_TIMED_OUT;
    }
}

static mp_error release_mutex(HANDLE mutex)
{
    if (ReleaseMutex(mutex))
        return MP_OK;
    if (GetLastError() == ERROR_NOT_OWNER)
        return mpi_fail(MP_ENOTOWNER, "this thread does not hold the mutex");
    return mpi_win32_fail("can't release a mutex");
}

static mp_error raise_semaphore(HANDLE semaphore, uint32_t count)
{
    if (count == 0)
        return MP_OK; /* which the system calls an invalid parameter */
    if (count <= LONG_MAX && ReleaseSemaphore(semaphore, (LONG)count, NULL))
        return MP_OK;
    if (count > LONG_MAX || GetLastError() == ERROR_TOO_MANY_POSTS)
        return mpi_fail(MP_ESTATE, "the semaphore would pass its maximum");
    return mpi_win32_fail("can't release a semaphore");
}

mp_error mpos_object_signal(mpos_object_kind kind, mpos_handle handle,
                            uint32_t count)
{
    HANDLE object = (HANDLE)handle;

    if (kind == MPOS_OBJECT_MUTEX)
        return release_mutex(object);
    if (kind == MPOS_OBJECT_SEMAPHORE)
        return raise_semaphore(object, count);
    if (count == 0 ? ResetEvent(object) : SetEvent(object))
        return MP_OK;
    return mpi_win32_fail("can't set an event");
}

mp_error mpos_object_value(mpos_object_kind kind, mpos_handle handle,
                           uint32_t *value)
{
    HANDLE object = (HANDLE)handle;
    mutant_information mutant = {0};
    semaphore_information semaphore = {0};
    event_information event = {0};
    mp_error err;

    switch (kind) {
    case MPOS_OBJECT_MUTEX:
        err = query("NtQueryMutant", object, &mutant, sizeof(mutant));
        *value = mutant.count > 0;
        return err;
    case MPOS_OBJECT_SEMAPHORE:
        err = query("NtQuerySemaphore", object, &semaphore, sizeof(semaphore));
        *value = semaphore.count;
        return err;
    case MPOS_OBJECT_EVENT:
        err = query("NtQueryEvent", object, &event, sizeof(event));
        *value = event.is_set != 0;
        return err;
    }
    return mpi_fail(MP_EINVAL, "there is no such kind of object");
}
