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

/* In a thread of ours: what the one that began it lets through. */
static MPI_THREAD_LOCAL const sigset_t *beginners;

void mpos_signals_for_child(sigset_t *mask)
{
    if (beginners != NULL)
        *mask = *beginners;
}

void mpos_signals_in_child(const sigset_t *before)
{
    sigset_t mask = *before;

    mpos_signals_for_child(&mask);
    beginners = NULL;
    mpos_signals_restore(&mask);
}

static bool size_signal_is_pending(void)
{
    sigset_t pending;

    sigpending(&pending);
    return sigismember(&pending, SIGXFSZ) == 1;
}

void mpos_size_signal_begin(mpos_size_signal *held)
{
    mpos_signals_block(&held->before);
    held->was_pending = size_signal_is_pending();
}

void mpos_size_signal_end(const mpos_size_signal *held, int cause)
{
    sigset_t size_only;
    int number;

    sigemptyset(&size_only);
    sigaddset(&size_only, SIGXFSZ);
    /* One that was pending before is somebody else's and stays. */
    if (cause == EFBIG && !held->was_pending && size_signal_is_pending())
        sigwait(&size_only, &number);
    mpos_signals_restore(&held->before);
}

typedef struct thread_job {
    void (*run)(void *);
    void *argument;
    sigset_t beginners;
} thread_job;

static void *run_job(void *memory)
{
    thread_job job = *(thread_job *)memory;

    free(memory);
    beginners = &job.beginners;
    job.run(job.argument);
    return NULL;
}

/* stack_size 0: as large as the system likes. */
static int start(thread_job *job, size_t stack_size, mpos_thread *out)
{
    pthread_attr_t attributes;
    pthread_t thread;
    int failure = pthread_attr_init(&attributes);

    if (failure != 0)
        return failure;
    if (out == NULL)
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    if (stack_size != 0)
        pthread_attr_setstacksize(&attributes, stack_size);
    failure = pthread_create(&thread, &attributes, run_job, job);
    pthread_attr_destroy(&attributes);
    if (failure == 0 && out != NULL)
        out->native = thread;
    return failure;
}

mp_error mpos_thread_start(void (*run)(void *), void *argument,
                           mpos_thread *out)
{
    thread_job *job = mpi_malloc(sizeof(*job));
    sigset_t before;
    int failure;

    if (job == NULL)
        return mpi_no_memory();
    job->run = run;
    job->argument = argument;
    mpos_signals_block(&before);
    job->beginners = before;
    mpos_signals_for_child(&job->beginners);
    failure = start(job, STACK_SIZE, out);
    /* glibc takes thread-local variables out of the stack: too many of them? */
    if (failure == EINVAL)
        failure = start(job, 0, out);
    mpos_signals_restore(&before);
    if (failure == 0)
        return MP_OK;
    free(job);
    return mpos_fail_errno("pthread_create", failure);
}

void mpos_thread_join(mpos_thread thread)
{
    pthread_join(thread.native, NULL);
}

/* -- The end of a thread --------------------------------------------------- */

/* What is to run; each thread has a list of its own, under this key. */
typedef struct last_job {
    struct last_job *next;
    void (*run)(void);
} last_job;

static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static int key_failure;

/* The key has been cleared: run() may ask again, for a second round. */
static void run_last_jobs(void *list)
{
    last_job *job = list;

    while (job != NULL) {
        last_job done = *job;

        free(job);
        done.run();
        job = done.next;
    }
}

static void create_key(void)
{
    key_failure = pthread_key_create(&key, run_last_jobs);
}

static bool is_listed(void (*run)(void))
{
    const last_job *job = pthread_getspecific(key);

    while (job != NULL && job->run != run)
        job = job->next;
    return job != NULL;
}

mp_error mpos_at_thread_end(void (*run)(void))
{
    last_job *added;
    int failure;

    pthread_once(&key_once, create_key);
    if (key_failure != 0)
        return mpos_fail_errno("pthread_key_create", key_failure);
    if (is_listed(run))
        return MP_OK;
    added = mpi_malloc(sizeof(*added));
    if (added == NULL)
        return mpi_no_memory();
    added->run = run;
    added->next = pthread_getspecific(key);
    failure = pthread_setspecific(key, added);
    if (failure == 0)
        return MP_OK;
    free(added);
    return mpos_fail_errno("pthread_setspecific", failure);
}
