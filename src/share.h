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

typedef enum mpi_storage {
    MPI_STORAGE_COMMON,  /* beside other things, in cells only */
    MPI_STORAGE_PRIVATE, /* without a name, in an arena of its own */
    MPI_STORAGE_NAMED,
    MPI_STORAGE_FILE,
} mpi_storage;

/* What is to be made. But for kind, initial, initial_size and size all is for
 * what has an arena of its own. */
typedef struct mpi_share_plan {
    mpi_storage storage;
    mpi_kind kind;
    const void *initial; /* what it begins with; zeros follow */
    size_t initial_size;
    size_t size;      /* in cells, see mpi_share.memory */
    bool has_rlock;   /* that goes with it, see mpi_share_open_rlock() */
    size_t data_size; /* reserved behind it, see mpi_share_map_data() */
    /* What that may grow to, where mpi_storage_grows(); 0: it does not. */
    size_t data_limit;
    /* What that begins with, if it has a name or is in a file: others must not
     * find it without. */
    mpos_bytes data;
    const char *name; /* if it has one */
} mpi_share_plan;

/* Something without a name: COMMON, in an arena that this process has, or in a
 * new one; or PRIVATE. MP_ENOSPC, MP_EMFILE, MP_ENOMEM, MP_EOVERFLOW. */
mp_error mpi_share_create(mpi_share *share, const mpi_share_plan *plan);
/* Whether what is behind such a thing can grow. Else all that may ever be is
 * reserved when it is made. */
bool mpi_storage_grows(mpi_storage storage);
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

/* What memory for the plan begins with, malloc'ed, and its whole size: for
 * mpos_named_create() and mpos_file_create(). */
typedef struct mpi_share_image {
    mpos_bytes bytes;
    size_t size;
} mpi_share_image;
mp_error mpi_share_make_image(const mpi_share_plan *plan,
                              mpi_share_image *image);
/* "" if it has none. */
const char *mpi_share_name(const mpi_share *share);
typedef enum mpi_share_access {
    MPI_SHARE_USE,
    MPI_SHARE_READ,  /* only what there is to read can be done with it */
    MPI_SHARE_ALONE, /* as mpos_file_open() says: who used it is dead */
} mpi_share_access;

/* The thing in such an arena. Takes handle over, on failure too.
 * MP_ETYPE: it is of another kind. MP_EPROTO: truncated or not ours.
 * MP_EVERSION: another version's. */
mp_error mpi_share_open(mpi_share *share, mpi_kind kind, mpos_handle handle,
                        mpi_share_access access);
/* The RLock that goes with it, of the same arena. MP_EPROTO: none does. */
mp_error mpi_share_open_rlock(const mpi_share *share, mpi_share *rlock);
/* How many bytes of the thing itself are there, damaged or not. */
size_t mpi_share_size(const mpi_share *share);
mpi_storage mpi_share_storage(const mpi_share *share);
bool mpi_share_is_read_only(const mpi_share *share);

/* -- Data behind a thing --------------------------------------------------- */

/* How far it is reserved, but for what was returned. */
size_t mpi_share_data_size(const mpi_share *share);
/* Maps the first size bytes; what is not reserved yet must not be touched. The
 * caller gives it back with mpos_memory_unmap(). */
mp_error mpi_share_map_data(const mpi_share *share, size_t size,
                            void **address);
/* Reserves at least size bytes, zeroed. MP_ENOTSUP where memory can't grow. */
mp_error mpi_share_grow_data(mpi_share *share, size_t size);
/* For what keeps its own accounts of its data: reserves any part of it, also
 * what was returned, which holds zeros then, or what was there before. Where
 * memory can't grow all is reserved already; beyond that it is MP_ENOSPC. */
mp_error mpi_share_reserve(mpi_share *share, size_t from, size_t to);
/* Nobody touches that part until it is reserved again: the system may have the
 * memory back. */
void mpi_share_return(mpi_share *share, size_t from, size_t to);
/* Waits until thing and data have reached the disk. MP_ENOTSUP: no file. */
mp_error mpi_share_sync(const mpi_share *share, void *data, size_t size);
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
 * lock is the first thing in what has one; a Queue has a second (sync.h).
 */
bool mpi_share_look_at(mpi_share *share, uint32_t owner);
/* The same, unless somebody has just done so. */
bool mpi_share_owner_is_alive(mpi_share *share, uint32_t owner);
/* Which process that is: another one that gets the same number later has
 * another identity. 0: none. */
uint64_t mpi_share_identity(const mpi_share *share, uint32_t owner);

/* -- In a forked child ----------------------------------------------------- */

/* Nothing is attached any more. Also called by mpos_at_fork(): touches memory
 * only. */
void mpi_shares_after_fork(void);
/* Another number after each fork: for who has a share, a look at it says
 * whether this is still the same process. */
extern mpi_atomic32 mpi_share_forks;
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
