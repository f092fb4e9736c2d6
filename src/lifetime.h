/* SPDX-License-Identifier: MIT */
/*
 * Memory of the objects users hold pointers to (processes, connections, locks
 * ...). A closed object is kept for a while instead of being freed, so
 * that using it afterwards is an error with a sentence and not a crash.
 */
#ifndef MULTIPROC_LIFETIME_H
#define MULTIPROC_LIFETIME_H

#include "internal.h"
#include "os.h"

typedef enum mpi_kind {
    MPI_PROCESS = 0x636f7270,
    MPI_CONNECTION = 0x6e6e6f63,
    MPI_CONNECTION_PAIR = 0x72696170,
    MPI_LISTENER = 0x6e74736c,
    MPI_FINALIZER = 0x6c6e6966,
    MPI_LOCK = 0x6b636f6c,
    MPI_RLOCK = 0x6b636c72,
    MPI_SEMAPHORE = 0x616d6573,
    MPI_EVENT = 0x746e7665,
    MPI_CONDITION = 0x646e6f63,
    MPI_BARRIER = 0x72726162,
    MPI_VALUE = 0x756c6176,
    MPI_ARRAY = 0x79617272,
    MPI_SHARED_MEMORY = 0x6d656d73,
    MPI_SHAREABLE_LIST = 0x74736c73,
    MPI_SHARED_DICT = 0x74636964,
    MPI_SHARED_LIST = 0x7473696c,
    MPI_QUEUE = 0x75657571,
    MPI_POOL_BOARD = 0x6c6f6f70,
    MPI_POOL = 0x6b6f6f70,
    MPI_FUTURE = 0x75747566,
    MPI_ITERATOR = 0x72657469,
} mpi_kind;

/* The first member of each such object. */
typedef struct mpi_lifetime {
    uint32_t kind;
    mpi_atomic32 has_ended;    /* others may ask while a thread ends it */
    struct mpi_lifetime *next; /* among those that have ended */
    void *items; /* of a Value or an Array: what their macros read (mp_view) */
} mpi_lifetime;

/* Zeroed. NULL if memory is short. */
void *mpi_lifetime_new(mpi_kind kind, size_t size);
/* MP_OK; MP_EINVAL for NULL or another kind; MP_ECLOSED once it has ended. */
mp_error mpi_lifetime_check(const void *object, mpi_kind kind);
/* The object is closed. What it owned is the caller's to free before. */
void mpi_lifetime_end(void *object);
extern mpos_mutex mpi_lifetime_mutex;

#endif
