/* SPDX-License-Identifier: MIT */
/*
 * What Value and Array have in common: items of one C type in shared memory,
 * and the lock over them. A Value is an Array of one.
 *
 * typed.c makes, finds and sends them; typed_use.c is what is done with the
 * items; value.c and array.c are the two public faces.
 *
 * In shared memory there is first what describes them. What is small follows
 * at once; else the items are the data behind the thing (share.h), in an arena
 * of their own, and each process maps as much as there may ever be, so that
 * nothing moves when it grows.
 */
#ifndef MULTIPROC_TYPED_H
#define MULTIPROC_TYPED_H

#include "ctypes.h"
#include "sync.h"

#include <multiproc/lock.h>
#include <multiproc/value.h>

/* The first member of both. */
typedef struct mpi_typed {
    mpi_sync sync; /* lifetime.items is where the items are; NULL: closed */
    /* At most one of them, with a reference. */
    mp_rlock *rlock;
    mp_lock *lock;
    mp_ctype type; /* its name and fields are in text */
    mpi_ctype_text text;
    size_t capacity;
    size_t mapped_size; /* of the items; 0: they need no mapping of their own */
} mpi_typed;

struct mp_value {
    mpi_typed typed;
};

struct mp_array {
    mpi_typed typed;
};

/* What the user asks for. */
typedef struct mpi_typed_wish {
    mp_ctype type;
    size_t length; /* in items */
    bool has_any_length;
    const void *initial; /* NULL: zeros */
    const mp_value_options *options;
    const char *name; /* or path; NULL: none */
    bool is_path;
} mpi_typed_wish;

/* kind says whether it is to be a Value or an Array. */
mp_error mpi_typed_create(const mpi_sync_type *kind,
                          const mpi_typed_wish *asked, mpi_typed **out);
mp_error mpi_typed_open(const mpi_sync_type *kind, const mpi_typed_wish *asked,
                        mpi_typed **out);
/* A new one without a name that holds the same. */
mp_error mpi_typed_copy(const mpi_sync_type *kind, mpi_typed *typed,
                        const mp_value_options *options, mpi_typed **out);

/* For mpi_sync_type. */
bool mpi_typed_drop(mpi_sync *sync);
mp_error mpi_typed_reduce(void *self, mpi_transport *transport, mp_obj **state);
mp_error mpi_typed_rebuild(const mpi_resource_type *type, const mp_obj *state,
                           mpi_transport *transport, void **self);

extern const mpi_sync_type mpi_value_kind;
extern const mpi_sync_type mpi_array_kind;

/* The bytes of count items; of chars also a zero behind them, so that they can
 * be printed. MP_EOVERFLOW. */
mp_error mpi_typed_size(const mp_ctype *type, uint64_t count, size_t *size);

/* Where the description has the length. */
mpi_atomic64 *mpi_typed_length_place(const mpi_typed *typed);

/* -- Using (typed_use.c) --------------------------------------------------- */

/* What every public function asks first: MP_OK, MP_EINVAL, MP_ECLOSED, or the
 * failure to attach. */
mp_error mpi_typed_check(const mpi_sync_type *kind, void *object);
/* The same, and MP_EACCES if it is only read. */
mp_error mpi_typed_check_writable(const mpi_sync_type *kind, void *object);
bool mpi_typed_has_lock(const mpi_typed *typed);
mp_error mpi_typed_acquire_slowly(const mpi_sync_type *kind, void *object,
                                  double timeout);
mp_error mpi_typed_release_slowly(const mpi_sync_type *kind, void *object);

/* The user's acquire() and release(): as a rule, of an RLock. */
static inline mp_error mpi_typed_acquire(const mpi_sync_type *kind,
                                         void *object, double timeout)
{
    const mpi_typed *typed = object;

    if (mpi_sync_is_ready(object, kind->kind) && typed->rlock != NULL)
        return mp_rlock_acquire(typed->rlock, timeout);
    return mpi_typed_acquire_slowly(kind, object, timeout);
}

static inline mp_error mpi_typed_release(const mpi_sync_type *kind,
                                         void *object)
{
    const mpi_typed *typed = object;

    if (mpi_sync_is_ready(object, kind->kind) && typed->rlock != NULL)
        return mp_rlock_release(typed->rlock);
    return mpi_typed_release_slowly(kind, object);
}

/* For one call of ours. An owner that died is news for whoever acquires the
 * lock next, not for a single call: leaving passes it on. */
typedef struct mpi_typed_visit {
    mpi_typed *typed;
    bool has_news;
} mpi_typed_visit;
mp_error mpi_typed_enter(mpi_typed *typed, mpi_typed_visit *visit);
void mpi_typed_leave(const mpi_typed_visit *visit);

/* In items, at this moment. */
size_t mpi_typed_length(const mpi_typed *typed);
/* Not checked. */
void *mpi_typed_item(const mpi_typed *typed, size_t index);
/* Some of the items, copied with the lock held. MP_EINDEX. */
mp_error mpi_typed_read(mpi_typed *typed, size_t start, void *items,
                        size_t count);
mp_error mpi_typed_write(mpi_typed *typed, size_t start, const void *items,
                         size_t count);
mp_error mpi_typed_grow(mpi_typed *typed, size_t length);
mp_error mpi_typed_sync(const mpi_sync_type *kind, void *object);

#endif
