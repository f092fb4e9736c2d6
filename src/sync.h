/* SPDX-License-Identifier: MIT */
/*
 * What Lock, RLock, Semaphore, Event, Condition and Barrier have in common: an
 * object of this process that holds a share (share.h), counts its references,
 * and travels. sync.c does all that; each kind's file says what it means.
 */
#ifndef MULTIPROC_SYNC_H
#define MULTIPROC_SYNC_H

#include "lifetime.h"
#include "resource.h"
#include "share.h"
#include "word.h"

typedef enum mpi_sync_owner {
    MPI_SYNC_OBJECTS, /* it came with an mp_obj, which closes it */
    MPI_SYNC_USER,    /* create() or open() gave it to the user, to close it */
    MPI_SYNC_CLOSED,  /* by the user; others may hold it open still */
} mpi_sync_owner;

/* The first member of each. */
typedef struct mpi_sync {
    mpi_lifetime lifetime;
    mpi_atomic32 references;
    mpi_sync_owner owner;
    /* Where the system has named objects of its own and this is one: it, and
     * share is only what describes it. MPOS_NONE otherwise. */
    mpos_handle object;
    mpi_share share;
} mpi_sync;

/* What one kind adds. */
typedef struct mpi_sync_type {
    mpi_resource_type resource; /* first: callbacks get it as their type */
    mpi_kind kind;
    size_t size; /* of the object */
    /* Before the share is closed: frees what the kind has beside it. False: it
     * has to live on, and has a reference again. NULL: nothing to do. */
    bool (*release)(mpi_sync *sync);
} mpi_sync_type;

/* What they all do alike. The state is the share's, see share.h. */
void mpi_sync_ref_any(void *self);
void mpi_sync_unref_any(const mpi_resource_type *type, void *self);
mp_error mpi_sync_reduce_any(void *self, mpi_transport *transport,
                             mp_obj **state);
mp_error mpi_sync_rebuild_any(const mpi_resource_type *type,
                              const mp_obj *state, mpi_transport *transport,
                              void **self);
#define MPI_SYNC_RESOURCE(word, how_to_reduce, how_to_rebuild)                \
    {                                                                         \
        .name = (word), .ref = mpi_sync_ref_any, .unref = mpi_sync_unref_any, \
        .reduce = (how_to_reduce), .rebuild = (how_to_rebuild)                \
    }

/* Zeroed, with one reference and no share. NULL: memory is short. */
mpi_sync *mpi_sync_new(const mpi_sync_type *type);
/* MP_EINVAL if out is NULL: where the user wants the new one. */
mp_error mpi_sync_check_out(const mpi_sync_type *type, const void *out);
/* The same, with a new thing without a name; the user's. plan->kind is the
 * type's. */
mp_error mpi_sync_make(const mpi_sync_type *type, const mpi_share_plan *plan,
                       mpi_sync **out);
/* The same for something small: size bytes that begin with initial. */
mp_error mpi_sync_create(const mpi_sync_type *type, const void *initial,
                         size_t initial_size, size_t size, mpi_sync **out);
void mpi_sync_ref(mpi_sync *sync);
/* The last one closes the share and frees the object. */
void mpi_sync_unref(const mpi_sync_type *type, mpi_sync *sync);
/* What the public close() does. NULL is fine; MP_EINVAL, MP_ECLOSED. */
mp_error mpi_sync_close(const mpi_sync_type *type, void *object);
/* MP_OK, MP_EINVAL, MP_ECLOSED, or the failure to attach: what every public
 * function asks first, unless mpi_sync_is_ready() says so faster. */
mp_error mpi_sync_check(const mpi_sync_type *type, void *object);

/* This process as an owner; 0: not ready. */
static inline uint32_t mpi_sync_self(const void *object, mpi_kind kind)
{
    const mpi_sync *sync = object;

    /* A closed one has no share any more. */
    return sync != NULL && sync->lifetime.kind == (uint32_t)kind
               ? mpi_share_self(&sync->share)
               : 0;
}

static inline bool mpi_sync_is_ready(const void *object, mpi_kind kind)
{
    return mpi_sync_self(object, kind) != 0;
}

/* The word of a lock: anybody has it, and has not been found dead. */
static inline bool mpi_sync_is_owned(const mpos_word *word)
{
    uint32_t owner = mpi_word_owner(word);

    return owner != MPI_NOBODY && owner != MPI_OWNER_DIED;
}

/* For kinds that have more in their state. */
mp_error mpi_sync_reduce(mpi_sync *sync, mpi_transport *transport,
                         mp_obj **state);
mp_error mpi_sync_rebuild(const mpi_sync_type *type, const mp_obj *state,
                          mpi_transport *transport, mpi_sync **out);
/* mp_obj_<kind>() and mp_obj_as_<kind>(). */
mp_obj *mpi_sync_box(const mpi_sync_type *type, void *object);
mp_error mpi_sync_unbox(const mpi_sync_type *type, const mp_obj *obj,
                        mpi_sync **out);

/* -- Named, or in a file (named.c) ----------------------------------------- */

/* options are what <multiproc/named.h> calls so, NULL allowed. is_same() tells
 * why the thing that exists is not what initial describes: MP_EEXIST with a
 * sentence; it may be NULL, and is not asked with MP_OPEN_EXISTING. */
struct mp_open_options;
typedef struct mpi_open_request {
    const char *name; /* or path */
    bool is_path;
    bool is_read_only; /* a path only; then it must exist */
    const struct mp_open_options *options;
    /* To make it by. storage, kind and name are filled in. */
    mpi_share_plan plan;
    mp_error (*is_same)(const mpi_share *share, const void *initial);
    /* Last, new or not: checks what is_same() can't, and opens what the kind
     * has beside it. NULL: nothing to do. */
    mp_error (*complete)(mpi_sync *sync,
                         const struct mpi_open_request *request);
} mpi_open_request;
mp_error mpi_sync_find(const mpi_sync_type *type, const mpi_open_request *what,
                       mpi_sync **out);
/* The same for something small with a name. */
mp_error mpi_sync_open(const mpi_sync_type *type, const char *name,
                       const struct mp_open_options *options,
                       const void *initial, size_t size, mpi_sync **out);
/* MP_EINVAL with a sentence: it can't be a name. */
mp_error mpi_name_check(const char *name);
/* The system's own object, kept in sync->object, if the share has a name, the
 * kind has one, and the system: for mpi_sync_open() and mpi_sync_rebuild(). */
mp_error mpi_sync_open_object(mpi_sync *sync, mpi_kind kind);
/* In cells beside what it protects: see mpi_share_plan. */
enum { MPI_RLOCK_SIZE = 24 };
/* Where a queue's second lock is in its thing; the first is its first word. */
enum { MPI_QUEUE_GET_LOCK = 176 };
/* The RLock that goes with what has a name or a file; one reference, not the
 * user's. MP_EPROTO: none does. */
struct mp_rlock;
mp_error mpi_rlock_open_beside(const mpi_share *share, struct mp_rlock **out);
/* A new one without a name, not the user's. */
mp_error mpi_rlock_create_inner(struct mp_rlock **out);
/* What such an object of a Semaphore's begins with; in semaphore.c, which knows
 * what its memory holds. */
void mpi_semaphore_describe(const void *memory, uint32_t *value,
                            uint32_t *maximum);

/* -- The kinds ------------------------------------------------------------- */

extern const mpi_sync_type mpi_lock_kind;
extern const mpi_sync_type mpi_rlock_kind;
extern const mpi_sync_type mpi_semaphore_kind;
extern const mpi_sync_type mpi_event_kind;
extern const mpi_sync_type mpi_condition_kind;
extern const mpi_sync_type mpi_barrier_kind;

/* In a forked child: none of its locks is the thread's own. */
void mpi_rlocks_after_fork(void);
/* Nor does it run a barrier's action. */
void mpi_barriers_after_fork(void);

/* -- For what has a lock (lock.c, rlock.c) --------------------------------- */

/* Releases what was acquired with MP_OWNER_DIED so that the next one is told
 * the same: for who neither needs the news nor mends anything. */
struct mp_lock;
struct mp_rlock;
void mpi_lock_pass_on(struct mp_lock *lock);
void mpi_rlock_pass_on(struct mp_rlock *lock);

/* -- For conditions (lock.c, rlock.c) -------------------------------------- */

/* The user's lock under a condition. */
/* MP_ENOTOWNER unless this process has it. */
mp_error mpi_lock_check_owned(struct mp_lock *lock);
/* MP_ENOTOWNER unless this thread has it. */
mp_error mpi_rlock_check_owned(struct mp_rlock *lock);
/* Releases it however often it was acquired; *count is what restores that. */
mp_error mpi_rlock_release_all(struct mp_rlock *lock, uint32_t *count);
/* Waits for ever. MP_OK, MP_OWNER_DIED, or a failure. */
mp_error mpi_rlock_acquire_again(struct mp_rlock *lock, uint32_t count);

#endif
