/* SPDX-License-Identifier: MIT */
/* What the seam's types are made of on POSIX. */
#ifndef MULTIPROC_OS_TYPES_H
#define MULTIPROC_OS_TYPES_H

#include "os_atomic.h"

#include <pthread.h>
#include <setjmp.h>

#define MPI_THREAD_LOCAL _Thread_local
/* A function that is seldom called, kept out of those that must be short. */
#define MPI_SELDOM __attribute__((noinline, cold))

/* A place to jump back to, out of functions that never return then. Signal
 * masks are left alone: asking for one is a system call on some systems.
 * (ThreadSanitizer does not see _longjmp().) */
typedef sigjmp_buf mpos_jump;
#define mpos_jump_here(place) sigsetjmp((place), 0)
#define mpos_jump_to siglongjmp

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
