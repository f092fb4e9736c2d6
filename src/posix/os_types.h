/* SPDX-License-Identifier: MIT */
/* What the seam's types are made of on POSIX. */
#ifndef MULTIPROC_OS_TYPES_H
#define MULTIPROC_OS_TYPES_H

#include "os_atomic.h"

#include <pthread.h>

#define MPI_THREAD_LOCAL _Thread_local
/* A function that is seldom called, kept out of those that must be short. */
#define MPI_SELDOM __attribute__((noinline, cold))

typedef struct mpos_thread {
    pthread_t native;
} mpos_thread;

typedef struct mpos_mutex {
    pthread_mutex_t native;
} mpos_mutex;

#define MPOS_MUTEX_INIT           \
    {                             \
        PTHREAD_MUTEX_INITIALIZER \
    }

#endif
