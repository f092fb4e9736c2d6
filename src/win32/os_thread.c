/* SPDX-License-Identifier: MIT */
/* Mutexes and threads of this process. */
#include "os_internal.h"

#include <stdlib.h>

enum { STACK_SIZE = 256 * 1024 };

typedef struct thread_start {
    void (*run)(void *);
    void *argument;
} thread_start;

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

static DWORD WINAPI run_thread(void *parameter)
{
    thread_start start = *(thread_start *)parameter;

    free(parameter);
    start.run(start.argument);
    return 0;
}

mp_error mpos_thread_start(void (*run)(void *), void *argument)
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
    CloseHandle(thread);
    return MP_OK;
}
