/* SPDX-License-Identifier: MIT */
/*
 * A worker of a pool and the task it has at hand, for the files that turn tasks
 * into results: pool_worker.c (the life of a worker), pool_worker_run.c
 * (decoding and calling), pool_worker_reply.c (failures and encoding).
 */
#ifndef MULTIPROC_POOL_WORKER_H
#define MULTIPROC_POOL_WORKER_H

#include "board.h"
#include "obj.h"
#include "state.h"
#include "task.h"

enum {
    MPI_KNOWN_FUNCTIONS = 8,
    /* How deep the values of a chunk may be: in a list, in a tuple. */
    MPI_VALUE_DEPTH = MPI_MAX_DEPTH - 2,
};

/* A function that has been decoded. */
typedef struct mpi_known {
    void *bytes; /* how it travels */
    size_t size;
    mp_obj *pair;
    mp_task_function function;
    const char *name; /* borrowed from pair */
} mpi_known;

typedef struct mpi_worker {
    mpi_board *board;
    mpi_known functions[MPI_KNOWN_FUNCTIONS];
    unsigned last;        /* that was used */
    unsigned oldest;      /* is the next to be forgotten */
    mp_obj *no_names;     /* kwargs where there are none */
    mp_obj *single;       /* a tuple of one item, for maps; NULL: not now */
    mpi_buffer no_memory; /* the reply for when that is short */
    mpi_raised raised;    /* why the last call has failed */

    /* The task at hand. */
    uint32_t slot;
    mp_task_function function;
    mp_args args;
    mp_obj *values;   /* a list; of a call that has not failed, the value */
    mp_obj *failures; /* NULL: none */
    uint32_t failure_count;
    mp_error trouble; /* why a failure could not be noted */
} mpi_worker;

/* -- pool_worker_run.c ----------------------------------------------------- */

/* The task in it->slot: the values and failures. On failure none has been
 * called, and all have failed for that reason. */
mp_error mpi_worker_run(mpi_worker *it);
void mpi_worker_forget_functions(mpi_worker *it);

/* -- pool_worker_reply.c --------------------------------------------------- */

/* it->raised becomes what this thread has failed with. */
mp_error mpi_worker_raise_last(mpi_worker *it, mp_error err);
/* The item has failed; why is in it->raised. */
void mpi_worker_note(mpi_worker *it, size_t index);
mp_obj *mpi_list_of_none(size_t count);
/* What is said when there is no memory to say anything. */
mp_error mpi_worker_prepare(mpi_worker *it);
/* The task is done: its result, or its failure if err is one. */
void mpi_worker_reply(mpi_worker *it, mp_error err);

#endif
