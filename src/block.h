/* SPDX-License-Identifier: MIT */
/*
 * The start block: what a new process is told, in shared memory that it
 * inherits. Everything is in there before the process exists, so starting
 * never waits for the child to read, and an argument that can't be encoded
 * leaves no process behind. The child's answers go the other way in the first
 * page, which both keep for the child's life: how far it has come, and its
 * exit code. That tells a failed start, a death on the way and a death in the
 * target apart, without a single message.
 */
#ifndef MULTIPROC_BLOCK_H
#define MULTIPROC_BLOCK_H

#include "internal.h"
#include "resource.h"

enum { MPI_TOKEN_SIZE = 16 };

/* The values of mp_phase, and one more. */
enum { MPI_PHASE_CANCELLED = 0x7fff };

typedef struct mpi_start_page {
    char magic[8];
    uint32_t version;
    uint32_t handle_count;
    uint64_t pickle_size;
    /* Of the handles and the pickle. */
    uint64_t checksum;
    /* Whoever started the child knows it; a stray variable in the environment
     * does not. */
    unsigned char token[MPI_TOKEN_SIZE];
    /* Written by the child. */
    mpi_atomic32 phase;
    mpi_atomic32 exitcode;
    int64_t pid;
    /* int64_t handles[handle_count], then the pickle. */
} mpi_start_page;

typedef struct mpi_block {
    mpos_handle memory;
    mpi_start_page *page;
    size_t mapped_size;  /* 0: page is a slot that forked children have */
    bool is_spare;       /* the next child's, once this one's is over */
    unsigned generation; /* of the process that made it */
    /* Of memory that may be the next child's: its number may be another's. */
    uint64_t identity[2];
} mpi_block;

/* pickle and transport may be empty. The block owns its memory, not the
 * handles. */
mp_error mpi_block_create(mpi_block *block, const mpi_transport *transport,
                          const mpi_buffer *pickle);
/* For a forked child, which has everything else in its memory: only what it
 * answers with. No system call, as a rule. */
mp_error mpi_block_create_for_fork(mpi_block *block);
/* In a forked child, after it has closed its parent's blocks. */
void mpi_block_after_fork(void);
extern mpos_mutex mpi_slots_mutex;
/* Takes the memory over, on failure too. MP_EVERSION, MP_EUNPICKLE: damaged. */
mp_error mpi_block_open(mpi_block *block, mpos_handle memory,
                        const unsigned char *token);
/* The handles that were inherited, now non-inheritable copies that the caller
 * owns, appended to an empty transport. */
mp_error mpi_block_handles(const mpi_block *block, mpi_transport *transport);
const void *mpi_block_pickle(const mpi_block *block, size_t *size);
/* Gives all back but the first page. */
mp_error mpi_block_keep_page(mpi_block *block);
/* The same in the parent, which closes the block when the child is over. */
mp_error mpi_block_keep_for_child(mpi_block *block);
void mpi_block_close(mpi_block *block);

#endif
