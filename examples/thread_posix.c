/* SPDX-License-Identifier: MIT */
/* thread.h with POSIX threads. */
#include "thread.h"

#include <pthread.h>
#include <stdlib.h>

struct thread {
    pthread_t id;
    void (*function)(void *argument);
    void *argument;
};

static void *run(void *argument)
{
    const thread *self = argument;

    self->function(self->argument);
    return NULL;
}

thread *thread_start(void (*function)(void *argument), void *argument)
{
    thread *started = malloc(sizeof(*started));

    if (started == NULL)
        return NULL;
    started->function = function;
    started->argument = argument;
    if (pthread_create(&started->id, NULL, run, started) != 0) {
        free(started);
        return NULL;
    }
    return started;
}

void thread_join(thread *started)
{
    pthread_join(started->id, NULL);
    free(started);
}
