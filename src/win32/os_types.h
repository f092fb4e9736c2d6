/* SPDX-License-Identifier: MIT */
/* What the seam's types are made of on Windows; policy never sees windows.h. */
#ifndef MULTIPROC_OS_TYPES_H
#define MULTIPROC_OS_TYPES_H

#include "os_atomic.h"

#include <setjmp.h>

/* MPI_SELDOM: a function that is seldom called, kept out of those that must be
 * short. */
#ifdef _MSC_VER
#define MPI_THREAD_LOCAL __declspec(thread)
#define MPI_SELDOM __declspec(noinline)
#else
#define MPI_THREAD_LOCAL _Thread_local
#define MPI_SELDOM __attribute__((noinline, cold))
#endif

/* A place to jump back to, out of functions that never return then. */
typedef jmp_buf mpos_jump;
#define mpos_jump_here setjmp
#define mpos_jump_to longjmp

/* A handle. */
typedef struct mpos_thread {
    void *native;
} mpos_thread;

/* An SRWLOCK, which is one pointer, all zero when free. */
typedef struct mpos_mutex {
    void *native;
} mpos_mutex;

#define MPOS_MUTEX_INIT \
    {                   \
        0               \
    }

#endif
