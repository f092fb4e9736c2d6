/* SPDX-License-Identifier: MIT */
/*
 * Handles that travel with a message where no pipe carries them
 * (!mpos_system.has_fork): the sender puts them into the receiver's process
 * itself, so it has to know which one that is.
 *
 * The two ends of a mp_pipe() share a cell (share.h) that says who holds each:
 * whoever started a process with an end, or sent it there, writes that, and
 * so does whoever receives at it. At the other end of a named pipe is whom the
 * system says.
 *
 * The message then has a trailer behind the pickle, which unpickling ignores,
 * Python's too. It names a piece of memory that was given along, in which the
 * numbers of the handles are. So nobody who merely writes bytes can make us
 * take, or close, handles of our own: only who may put handles into this
 * process can, and may do anything else to it as well.
 *
 * What was given dies with the process it was given to. If the message can't be
 * sent it is revoked. What is in messages that nobody has received when that
 * process closes its end is closed then: the cell says what was given. (A named
 * pipe has no cell: there it stays until the process ends.) If another process
 * than that one reads the message, which takes two that receive at one end at
 * once, the handles are lost to it.
 *
 * Elsewhere a peer is all zero and nothing here does anything.
 */
#ifndef MULTIPROC_PEER_H
#define MULTIPROC_PEER_H

#include "internal.h"
#include "resource.h"
#include "share.h"

/* All zero: nobody is known, no handles can be sent. It stays where it is: a
 * share is in lists. */
typedef struct mpi_peer {
    mpi_share pair; /* the cell, which both ends use */
    uint32_t side;  /* which of the two is ours */
    /* Without a pair: who the system says is there. */
    int64_t pid;
    uint64_t start_time;
    uint64_t self;         /* this process, as a holder of the cell */
    struct mpi_peer *next; /* among those of this process that have a cell */
    struct mpi_peer **link;
} mpi_peer;

/* Handles can be sent to it, and may come from it. */
static inline bool mpi_peer_is_known(const mpi_peer *peer)
{
    return peer->pair.memory != NULL || peer->pid != 0;
}

/* Of the two ends of a new pipe that goes both ways; both are held by this
 * process. MP_OK and nothing where pipes carry handles. */
mp_error mpi_peer_create(mpi_peer *left, mpi_peer *right);
/* Of a stream of MPOS_PIPE. Another user's process stays unknown, which is no
 * failure; so does everything where pipes carry handles. */
void mpi_peer_ask(mpi_peer *peer, mpos_handle stream);
/* Accepts one that is all zero. */
void mpi_peer_close(mpi_peer *peer);

/* A picklable state, None of one that is not known. */
mp_error mpi_peer_reduce(mpi_peer *peer, mpi_transport *transport,
                         mp_obj **state);
/* Also writes down that the end is held by this process now. stream: for one
 * that is asked of the system. */
mp_error mpi_peer_rebuild(mpi_peer *peer, const mp_obj *state,
                          mpi_transport *transport, mpos_handle stream);
/* This process receives at this end: before each message; two loads if that is
 * known already. */
void mpi_peer_arrive(mpi_peer *peer);
/* The pickle of this transport has gone, or is about to go, to that process:
 * whatever ends of pipes are in it are its own from now on. Before its parcel
 * is forgotten. */
void mpi_peer_moved(mpi_transport *transport, int64_t pid, uint64_t start_time);
/* Who is at the other end now. MP_ENOTSUP: not known; MP_EPIPE: it has ended.
 */
mp_error mpi_peer_who(mpi_peer *peer, int64_t *pid, uint64_t *start_time);

/* So many bytes at most are behind the pickle. */
enum { MPI_PEER_TRAILER = 32 };

/* What was given with one message, until it is sent. */
typedef struct mpi_gift {
    int64_t pid;
    uint64_t start_time;
    uint64_t *numbers; /* malloc'ed; the memory's own is the last */
    size_t count;
    mpi_atomic64 *note; /* in the cell; NULL: there is none */
} mpi_gift;

/*
 * Gives all handles of a transport to the process at the other end, appends the
 * trailer to the pickle, and calls mpi_peer_moved(). Nothing happens if there
 * are no handles, but for that. On failure nothing is given.
 * MP_EPIPE: nobody is there any more; MP_EACCES; MP_EOVERFLOW: more than
 * MPOS_HANDLES_MAX; MP_ENOMEM, MP_ENOTSUP.
 */
mp_error mpi_peer_give(mpi_peer *peer, mpi_transport *from, mpi_buffer *pickle,
                       mpi_gift *gift);
/* It is sent: they are the receiver's. Accepts one that is all zero. */
void mpi_gift_forget(mpi_gift *gift);
/* It could not be sent: they are closed there. */
void mpi_gift_revoke(mpi_gift *gift);

/*
 * Whole messages, as received. Takes what came along into *arrived, which is
 * set in any case and the caller's to close, and cuts the trailer off *size.
 * Without a trailer nothing happens, nor if the peer is not known. Also for
 * messages that are received as bytes: nobody else will close what came with
 * them.
 */
void mpi_peer_take(const mpi_peer *peer, const void *message, size_t *size,
                   mpos_arrivals *arrived);

#endif
