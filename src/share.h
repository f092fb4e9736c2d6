/* SPDX-License-Identifier: MIT */
/*
 * Things in shared memory, and this process's hold on them.
 *
 * A thing (the words of a lock, a semaphore ...) lies in an arena: shared
 * memory without a name, or with one for a single named thing. An arena has a
 * table of the processes that use it, so that a word can hold its owner as a
 * small number, and records of who uses which thing: a thing is freed by its
 * last user, and what a killed process used is found out and given back.
 *
 * arena.c keeps arenas, share.c the holds; only these two know the layout.
 */
#ifndef MULTIPROC_SHARE_H
#define MULTIPROC_SHARE_H

#include "lifetime.h"
#include "os.h"
#include "resource.h"

typedef struct mpi_arena mpi_arena;

/* The numbers that a word may hold as its owner. */
enum {
    MPI_NOBODY = 0,
    MPI_OWNER_DIED = 0xffff, /* and nobody has taken over yet */
    MPI_OWNER_MASK = 0xffff,
};

/*
 * How often whoever sleeps looks whether the one it waits for is still alive,
 * and whether a wake-up was lost with the one it was meant for: nanoseconds.
 */
enum { MPI_LOOK_INTERVAL = 700000000 };

/* A record in an arena that some process uses a thing. Its number is used
 * again, with another serial. */
typedef struct mpi_record_id {
    uint32_t number;
    uint32_t serial;
} mpi_record_id;

/* All zero: none. */
typedef struct mpi_share {
    /* This process as an owner. 0: it has not begun to use the thing yet, or is
     * a fork of one that has: mpi_share_attach() before anything else. */
    mpi_atomic32 self;
    uint32_t cell;
    uint32_t serial; /* the cell was given out so many times before */
    mpi_record_id record;
    void *memory; /* the thing's own bytes, zeroed when it was made */
    mpi_arena *arena;
    uint32_t kind;
    mpi_atomic64 queue;     /* 0: not asked for yet; else the handle + 2 */
    struct mpi_share *next; /* among all that this process holds */
    struct mpi_share **link;
} mpi_share;

/* This process as an owner, or 0. */
static inline uint32_t mpi_share_self(const mpi_share *share)
{
    return mpi_atomic32_load(&share->self);
}

/* A thing of size bytes that begin with a copy of initial, in an arena that
 * this process has, or in a new one. MP_ENOSPC, MP_EMFILE, MP_ENOMEM. */
mp_error mpi_share_create(mpi_share *share, mpi_kind kind, const void *initial,
                          size_t initial_size, size_t size);
/* In the process that calls, once after each fork; cheap if done.
 * MP_ECLOSED: everybody else has closed it meanwhile. MP_EPROCLIM. */
mp_error mpi_share_attach(mpi_share *share);
/* Before the first mpos_word_wait(): the queue all words of the thing share. */
mp_error mpi_share_queue(mpi_share *share);
/* That queue, for mpos_word_wait() and mpos_word_wake(). */
static inline mpos_handle mpi_share_queue_of(const mpi_share *share)
{
    return (mpos_handle)(int64_t)mpi_atomic64_load(&share->queue) - 2;
}
/* This process does not use it any more. Accepts what is all zero. */
void mpi_share_close(mpi_share *share);

/* A picklable state; the thing stays there until it has arrived, see
 * mpi_parcel. MP_EPICKLE if it can't travel. */
mp_error mpi_share_reduce(mpi_share *share, mpi_transport *transport,
                          mp_obj **state);
mp_error mpi_share_rebuild(mpi_share *share, mpi_kind kind, const mp_obj *obj,
                           mpi_transport *transport);

/* -- Named things ---------------------------------------------------------- */

/* The bytes of an arena with one thing, for mpos_named_create(); malloc'ed. */
mp_error mpi_share_image(const char *name, mpi_kind kind, const void *initial,
                         size_t size, void **image, size_t *image_size);
/* "" if it has none. */
const char *mpi_share_name(const mpi_share *share);
/* The thing in such an arena. Takes handle over, on failure too.
 * MP_ETYPE: it is of another kind. MP_EPROTO: truncated or not ours.
 * MP_EVERSION: another version's. */
mp_error mpi_share_open(mpi_share *share, mpi_kind kind, mpos_handle handle);
/* Without using it: the kind of thing and who created it. Takes handle over. */
mp_error mpi_share_look(mpos_handle handle, mpi_kind *kind,
                        int64_t *creator_pid);
/* "Lock"; NULL if there is no such kind of thing. */
const char *mpi_share_kind_name(mpi_kind kind);

/* -- Death ----------------------------------------------------------------- */

/*
 * Looks whether that owner is alive. If not, everything in the arena that was
 * its own is given back first: its words hold MPI_OWNER_DIED (word.h), and
 * those who sleep on them are woken. Called before sleeping on. The word of a
 * lock is the first thing in a Lock, an RLock and a Barrier.
 */
bool mpi_share_look_at(mpi_share *share, uint32_t owner);
/* The same, unless somebody has just done so. */
bool mpi_share_owner_is_alive(mpi_share *share, uint32_t owner);

/* -- In a forked child ----------------------------------------------------- */

/* Nothing is attached any more. Also called by mpos_at_fork(): touches memory
 * only. */
void mpi_shares_after_fork(void);
/* Over all holds of this process; taken by mpi_fork_prepare(). */
extern mpos_mutex mpi_shares_mutex;

/* -- On the way to another process ----------------------------------------- */

/*
 * A parcel (resource.h) is what mpi_share_reduce() has put on its way: each
 * thing counts as used by the sender until the receiver takes it. What a
 * sender that was killed had on its way is given back.
 */

/* Who has not taken it will not: gives back what was not taken. */
void mpi_parcel_cancel(mpi_parcel *parcel);
/* It is sent; somebody may take it at any time. */
void mpi_parcel_forget(mpi_parcel *parcel);
/* In a forked child: it is the receiver, and has the shares in its memory. */
mp_error mpi_parcel_take(mpi_parcel *parcel);

#endif
