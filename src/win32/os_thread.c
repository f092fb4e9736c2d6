/* SPDX-License-Identifier: MIT */
/* Mutexes and threads of this process. */
#include "os_internal.h"

#include <stdlib.h>

enum { STACK_SIZE = 256 * 1024 };

typedef struct thread_start {
    void (*run)(void *);
    void *argument;
} thread_start;

/* -- Mutexes --------------------------------------------------------------- */

/* os_types.h keeps windows.h away from policy, hence the cast. */
static SRWLOCK *native(mpos_mutex *mutex)
{
    return (SRWLOCK *)&mutex->native;
}

void mpos_mutex_lock(mpos_mutex *mutex)
{
    AcquireSRWLockExclusive(native(mutex));
}

void mpos_mutex_unlock(mpos_mutex *mutex)
{
    ReleaseSRWLockExclusive(native(mutex));
}

void mpos_mutex_reset(mpos_mutex *mutex)
{
    InitializeSRWLock(native(mutex));
}

/* -- Threads --------------------------------------------------------------- */

static DWORD WINAPI run_thread(void *parameter)
{
    thread_start start = *(thread_start *)parameter;

    free(parameter);
    start.run(start.argument);
    return 0;
}

mp_error mpos_thread_start(void (*run)(void *), void *argument,
                           mpos_thread *out)
{
    thread_start *start = mpi_malloc(sizeof(*start));
    HANDLE thread;

    if (start == NULL)
        return mpi_no_memory();
    start->run = run;
    start->argument = argument;
    /* Not _beginthreadex: since the universal C library both are the same,
     * and its header's name, process.h, is too easily ours. */
    thread = CreateThread(NULL, STACK_SIZE, run_thread, start,
                          STACK_SIZE_PARAM_IS_A_RESERVATION, NULL);
    if (thread == NULL) {
        mp_error err = mpi_win32_fail("can't start a thread");

        free(start);
        return err;
    }
    if (out == NULL)
        CloseHandle(thread);
    else
        out->native = thread;
    return MP_OK;
}

void mpos_thread_join(mpos_thread thread)
{
    WaitForSingleObject(thread.native, INFINITE);
    CloseHandle(thread.native);
}

/* -- Their end ------------------------------------------------------------- */

/*
 * The system calls the destructor of a fiber-local value, which every thread
 * has too, when a thread ends that has set it. A DLL's entry point would be
 * told as well, but not a program's.
 */
static struct {
    mpos_mutex mutex;
    DWORD index; /* of the value: what to run */
    bool has_index;
} thread_end = {.mutex = MPOS_MUTEX_INIT};

typedef BOOLEAN(NTAPI *shutdown_in_progress)(void);

/* The value is a function in disguise. */
static void WINAPI run_at_end(void *value)
{
    shutdown_in_progress is_process_ending =
        (shutdown_in_progress)mpi_win32_native("RtlDllShutdownInProgress");

    /* Then other threads were stopped wherever they were. */
    if (is_process_ending != NULL && is_process_ending())
        return;
    ((void (*)(void))(intptr_t)value)();
}

/* We may be in a DLL: it must not go before the last thread that calls it. */
static mp_error stay_loaded(void)
{
    HMODULE module;

    if (!GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_PIN |
                                GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS,
                            (LPCWSTR)(intptr_t)run_at_end, &module))
        return mpi_win32_fail("can't keep the library loaded");
    return MP_OK;
}

static mp_error allocate_index(void)
{
    mp_error err = stay_loaded();

    if (err != MP_OK)
        return err;
    thread_end.index = FlsAlloc(run_at_end);
    if (thread_end.index == FLS_OUT_OF_INDEXES)
        return mpi_win32_fail("can't be told when a thread ends");
    thread_end.has_index = true;
    return MP_OK;
}

mp_error mpos_at_thread_end(void (*run)(void))
{
    mp_error err = MP_OK;

    mpos_mutex_lock(&thread_end.mutex);
    if (!thread_end.has_index)
        err = allocate_index();
    mpos_mutex_unlock(&thread_end.mutex);
    if (err == MP_OK && !FlsSetValue(thread_end.index, (void *)(intptr_t)run))
        err = mpi_win32_fail("can't be told when this thread ends");
    return err;
}
