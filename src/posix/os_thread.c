/* SPDX-License-Identifier: MIT */
/* Mutexes, helper threads, and the signals a thread lets through. */
#include "os_internal.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

/* Enough for a sanitizer's frames, little enough for many threads. */
enum { STACK_SIZE = 256 * 1024 };

mpos_mutex mpos_port_mutex = MPOS_MUTEX_INIT;

void mpos_mutex_lock(mpos_mutex *mutex)
{
    pthread_mutex_lock(&mutex->native);
}

void mpos_mutex_unlock(mpos_mutex *mutex)
{
    pthread_mutex_unlock(&mutex->native);
}

void mpos_mutex_reset(mpos_mutex *mutex)
{
    const mpos_mutex fresh = MPOS_MUTEX_INIT;

    *mutex = fresh;
}

void mpos_signals_block(sigset_t *before)
{
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, before);
}

void mpos_signals_restore(const sigset_t *before)
{
    pthread_sigmask(SIG_SETMASK, before, NULL);
}

typedef struct thread_job {
    void (*run)(void *);
    void *argument;
} thread_job;

static void *run_job(void *memory)
{
    thread_job job = *(thread_job *)memory;

    free(memory);
    job.run(job.argument);
    return NULL;
}

/* stack_size 0: as large as the system likes. */
static int start_detached(thread_job *job, size_t stack_size)
{
    pthread_attr_t attributes;
    pthread_t thread;
    int failure = pthread_attr_init(&attributes);

    if (failure != 0)
        return failure;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    if (stack_size != 0)
        pthread_attr_setstacksize(&attributes, stack_size);
    failure = pthread_create(&thread, &attributes, run_job, job);
    pthread_attr_destroy(&attributes);
    return failure;
}

mp_error mpos_thread_start(void (*run)(void *), void *argument)
{
    thread_job *job = mpi_malloc(sizeof(*job));
    sigset_t before;
    int failure;

    if (job == NULL)
        return mpi_no_memory();
    job->run = run;
    job->argument = argument;
    mpos_signals_block(&before);
    failure = start_detached(job, STACK_SIZE);
    /* glibc takes thread-local variables out of the stack: too many of them? */
    if (failure == EINVAL)
        failure = start_detached(job, 0);
    mpos_signals_restore(&before);
    if (failure == 0)
        return MP_OK;
    free(job);
    return mpos_fail_errno("pthread_create", failure);
}
