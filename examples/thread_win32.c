/* SPDX-License-Identifier: MIT */
/* thread.h with Windows' threads. */
#include "thread.h"

#include <windows.h>

#include <process.h>
#include <stdint.h>
#include <stdlib.h>

struct thread {
    HANDLE handle;
    void (*function)(void *argument);
    void *argument;
};

static unsigned __stdcall run(void *argument)
{
    const thread *self = argument;

    self->function(self->argument);
    return 0;
}

thread *thread_start(void (*function)(void *argument), void *argument)
{
    thread *started = malloc(sizeof(*started));

    if (started == NULL)
        return NULL;
    started->function = function;
    started->argument = argument;
    /* Not CreateThread(): the C library wants to know of its threads. */
    started->handle = (HANDLE)_beginthreadex(NULL, 0, run, started, 0, NULL);
    if (started->handle == NULL) {
        free(started);
        return NULL;
    }
    return started;
}

void thread_join(thread *started)
{
    WaitForSingleObject(started->handle, INFINITE);
    CloseHandle(started->handle);
    free(started);
}
