/* SPDX-License-Identifier: MIT */
/*
 * A named RLock, Semaphore and Event are the system's own objects, under
 * exactly their names: other programs open them with the plain calls, and what
 * other programs have made is opened by us.
 */
#include "support/check.h"
#include "support/methods.h"
#include "support/named.h"

#include <windows.h>

#include <wchar.h>

enum { WIDE_SIZE = 260 };

static const support_kind *const a_lock = &support_kinds[0];
static const support_kind *const an_rlock = &support_kinds[1];
static const support_kind *const a_semaphore = &support_kinds[2];
static const support_kind *const an_event = &support_kinds[3];

/* "Local\<name>", as other programs write it. */
static const wchar_t *widen(const char *name, wchar_t wide[WIDE_SIZE])
{
    wcscpy(wide, L"Local\\");
    cr_assert_gt(
        MultiByteToWideChar(CP_UTF8, 0, name, -1, wide + 6, WIDE_SIZE - 6), 0);
    return wide;
}

/* "größe <pid>-<so many before>" */
static const wchar_t *odd_name(char name[SUPPORT_NAME_SIZE],
                               wchar_t wide[WIDE_SIZE])
{
    static unsigned count;

    snprintf(name, SUPPORT_NAME_SIZE,
             "gr\xc3\xb6\xc3\x9f"
             "e %lld-%u",
             (long long)mp_getpid(), count++);
    return widen(name, wide);
}

/* The exit code is what trying gave. */
static int try_rlock(mp_args *args)
{
    mp_rlock *lock;

    mp_check(mp_rlock_open(&lock, mp_arg_str(args, 0), &support_existing));
    return (int)mp_rlock_acquire(lock, 0);
}

Test(named_win32, other_programs_find_an_rlock_as_a_mutex)
{
    char name[SUPPORT_NAME_SIZE];
    wchar_t wide[WIDE_SIZE];
    HANDLE mutex;
    mp_rlock *lock;

    odd_name(name, wide);
    lock = support_open(an_rlock, name, NULL);
    mutex = OpenMutexW(SYNCHRONIZE, FALSE, wide);
    cr_assert_not_null(mutex);
    cr_assert_eq(support_run(MP_START_SPAWN, try_rlock, MP_ARGS(name)), MP_OK);
    /* That process ended with it. */
    cr_assert_eq(WaitForSingleObject(mutex, 1000), WAIT_ABANDONED);
    cr_assert_eq(support_run(MP_START_SPAWN, try_rlock, MP_ARGS(name)),
                 MP_TIMED_OUT);
    cr_assert(ReleaseMutex(mutex));
    cr_assert_eq(support_run(MP_START_SPAWN, try_rlock, MP_ARGS(name)), MP_OK);
    cr_assert_eq(mp_rlock_acquire(lock, 1), MP_OWNER_DIED);
    cr_assert_eq(mp_rlock_release(lock), MP_OK);
    CloseHandle(mutex);
    support_close(an_rlock, lock);
    cr_assert_null(OpenMutexW(SYNCHRONIZE, FALSE, wide));
}

Test(named_win32, other_programs_find_a_semaphore)
{
    char name[SUPPORT_NAME_SIZE];
    wchar_t wide[WIDE_SIZE];
    mp_semaphore *semaphore = NULL;
    int64_t value = -1;
    LONG before = -1;
    HANDLE handle;

    odd_name(name, wide);
    cr_assert_eq(mp_bounded_semaphore_open(&semaphore, name, 2, NULL), MP_OK);
    handle = OpenSemaphoreW(SYNCHRONIZE | SEMAPHORE_MODIFY_STATE, FALSE, wide);
    cr_assert_not_null(handle);
    cr_assert_not(ReleaseSemaphore(handle, 1, &before));
    cr_assert_eq(WaitForSingleObject(handle, 0), WAIT_OBJECT_0);
    cr_assert_eq(mp_semaphore_get_value(semaphore, &value), MP_OK);
    cr_assert_eq(value, 1);
    cr_assert_eq(mp_semaphore_acquire(semaphore, 0), MP_OK);
    cr_assert_eq(mp_semaphore_acquire(semaphore, 0), MP_TIMED_OUT);
    cr_assert(ReleaseSemaphore(handle, 2, &before));
    cr_assert_eq(before, 0);
    cr_assert_eq(mp_semaphore_release(semaphore), MP_ESTATE);
    CloseHandle(handle);
    support_close(a_semaphore, semaphore);
    cr_assert_null(OpenSemaphoreW(SYNCHRONIZE, FALSE, wide));
}

Test(named_win32, other_programs_find_an_event)
{
    char name[SUPPORT_NAME_SIZE];
    wchar_t wide[WIDE_SIZE];
    mp_event *event;
    HANDLE handle;

    odd_name(name, wide);
    event = support_open(an_event, name, NULL);
    handle = OpenEventW(SYNCHRONIZE | EVENT_MODIFY_STATE, FALSE, wide);
    cr_assert_not_null(handle);
    cr_assert_eq(WaitForSingleObject(handle, 0), WAIT_TIMEOUT);
    cr_assert_eq(mp_event_set(event), MP_OK);
    cr_assert_eq(WaitForSingleObject(handle, 0), WAIT_OBJECT_0);
    cr_assert_eq(WaitForSingleObject(handle, 0), WAIT_OBJECT_0);
    cr_assert(ResetEvent(handle));
    cr_assert_not(mp_event_is_set(event));
    cr_assert(SetEvent(handle));
    cr_assert_eq(mp_event_wait(event, 0), MP_OK);
    CloseHandle(handle);
    support_close(an_event, event);
    cr_assert_null(OpenEventW(SYNCHRONIZE, FALSE, wide));
}

Test(named_win32, a_lock_is_none_of_the_systems_objects)
{
    char name[SUPPORT_NAME_SIZE];
    wchar_t wide[WIDE_SIZE];
    mp_lock *lock;

    odd_name(name, wide);
    lock = support_open(a_lock, name, NULL);
    cr_assert_null(OpenMutexW(SYNCHRONIZE, FALSE, wide));
    cr_assert_eq(mp_lock_acquire(lock, 0), MP_OK);
    cr_assert_eq(mp_lock_acquire(lock, 0), MP_TIMED_OUT);
    cr_assert_eq(mp_lock_release(lock), MP_OK);
    support_close(a_lock, lock);
}

Test(named_win32, no_name_is_that_of_another_things_memory)
{
    char name[SUPPORT_NAME_SIZE], other[SUPPORT_NAME_SIZE];
    mp_event *event;

    support_name(name);
    snprintf(other, sizeof(other), "multiproc.%s", name);
    event = support_open(an_event, other, NULL);
    support_end(a_lock, name, support_open(a_lock, name, NULL));
    support_end(an_event, other, event);
}

Test(named_win32, what_another_program_made_is_opened)
{
    char name[SUPPORT_NAME_SIZE];
    wchar_t wide[WIDE_SIZE];
    mp_semaphore *semaphore;
    int64_t value = -1;
    HANDLE handle;

    handle = CreateSemaphoreW(NULL, 1, 9, odd_name(name, wide));
    cr_assert_not_null(handle);
    semaphore = support_open(a_semaphore, name, NULL);
    cr_assert_eq(mp_semaphore_get_value(semaphore, &value), MP_OK);
    cr_assert_eq(value, 1);
    cr_assert_eq(mp_semaphore_acquire(semaphore, 0), MP_OK);
    cr_assert_eq(WaitForSingleObject(handle, 0), WAIT_TIMEOUT);
    support_close(a_semaphore, semaphore);
    CloseHandle(handle);
}

Test(named_win32, what_another_program_made_of_another_kind_is_refused)
{
    char name[SUPPORT_NAME_SIZE];
    wchar_t wide[WIDE_SIZE];
    HANDLE handle = CreateEventW(NULL, TRUE, FALSE, odd_name(name, wide));
    size_t handles;

    cr_assert_not_null(handle);
    support_refuse(an_rlock, name, NULL, MP_ETYPE);
    handles = support_open_handles();
    for (int i = 0; i < 20; i++) {
        support_refuse(an_rlock, name, NULL, MP_ETYPE);
        cr_assert_not_null(strstr(mp_error_message(), name), "%s",
                           mp_error_message());
        cr_assert_not_null(strstr(mp_error_message(), "RLock"));
        support_refuse(a_semaphore, name, NULL, MP_ETYPE);
    }
    cr_assert_eq(support_open_handles(), handles);
    /* Nothing of the failed attempts remains: this is no RLock by now. */
    support_close(an_event, support_open(an_event, name, NULL));
    CloseHandle(handle);
    support_close(an_rlock, support_open(an_rlock, name, NULL));
}

Test(named_win32, a_name_goes_with_its_last_user)
{
    char name[SUPPORT_NAME_SIZE];
    mp_semaphore *first, *second;
    int64_t value = -1;

    first = support_open(a_semaphore, support_name(name), NULL);
    second = support_open(a_semaphore, name, &support_existing);
    cr_assert_eq(mp_semaphore_acquire(first, 0), MP_OK);
    cr_assert_eq(mp_named_unlink(name), MP_OK);
    support_close(a_semaphore, first);
    first = support_open(a_semaphore, name, &support_existing);
    cr_assert_eq(mp_semaphore_get_value(first, &value), MP_OK);
    cr_assert_eq(value, SUPPORT_PERMITS - 1);
    support_close(a_semaphore, first);
    support_close(a_semaphore, second);
    support_refuse(a_semaphore, name, &support_existing, MP_ENOTFOUND);
    first = support_open(a_semaphore, name, &support_exclusively);
    cr_assert_eq(mp_semaphore_get_value(first, &value), MP_OK);
    cr_assert_eq(value, SUPPORT_PERMITS);
    support_close(a_semaphore, first);
}
