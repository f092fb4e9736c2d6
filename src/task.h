/* SPDX-License-Identifier: MIT */
/* Calling a task, and how it fails (task.c); what a worker does
 * (pool_worker.c). */
#ifndef MULTIPROC_TASK_INTERNAL_H
#define MULTIPROC_TASK_INTERNAL_H

#include "internal.h"

#include <multiproc/task.h>

enum { MPI_SENTENCE_SIZE = 512, MPI_WHERE_SIZE = 256 };

/* Why a task has failed. */
typedef struct mpi_raised {
    mp_error code;
    char sentence[MPI_SENTENCE_SIZE];
    char where[MPI_WHERE_SIZE]; /* "square() at roots.c:12", or "" */
} mpi_raised;

/* Calls it. MP_OK and a value that is no error object; else *raised says why.
 * May be nested. */
mp_error mpi_task_call(mp_task_function function, mp_args *args, mp_obj **value,
                       mpi_raised *raised);
/* Calls a pool's initializer. MP_OK and what it returns; else *raised says what
 * would have ended the process. */
mp_error mpi_task_initialize(mp_function function, mp_args *args, int *result,
                             mpi_raised *raised);
/* For what would end the process with an uncaught error, as a wrong argument
 * would: if this thread is in a task, that fails instead, with this thread's
 * last sentence, and this does not return. where may be "". */
void mpi_task_escape(mp_error code, const char *where);
/* The same for mp_check(), which says what could not be done, and where. */
void mpi_task_check_failed(mp_error code, const char *expression,
                           const char *file, int line);
/* For a forked child: it is in no task. */
void mpi_task_after_fork(void);
/* Nobody waits for futures there (future_wait.c). */
void mpi_crowds_after_fork(void);

/* The target of a worker process: args are (board, seat, initializer or None,
 * initargs, max_tasks_per_child). */
int mpi_pool_work(mp_args *args);

#endif
