/* SPDX-License-Identifier: MIT */
/*
 * How multiproc's own things (connections, later locks, queues ...) travel
 * inside a pickle: as GLOBAL "multiproc <name>", their state, REDUCE. The
 * handles they need do not fit in bytes; they go beside it, in a transport.
 *
 * resource.c knows the kinds; obj.c and pickle_*.c know only this page.
 */
#ifndef MULTIPROC_RESOURCE_H
#define MULTIPROC_RESOURCE_H

#include "os.h"

#include <multiproc/object.h>

/* Things in shared memory that are on their way with a pickle: share.h. */
typedef struct mpi_parcel {
    struct mpi_parcel_item *items;
    size_t count;
    size_t capacity;
} mpi_parcel;

/* The handles that go along with one pickle. */
typedef struct mpi_transport {
    mpos_handle *handles;
    struct mpi_made *made; /* of those that were taken, or NULL */
    size_t count;
    size_t capacity;
    /* The way to the receiver carries bytes only; adding is MP_EPICKLE. */
    bool has_no_handles;
    mpi_parcel parcel;       /* see share.h */
    struct mpi_moves *moves; /* see peer.h; or NULL */
} mpi_transport;

/* The handle's place in the table; the same handle is kept once. The sender
 * keeps owning it. */
mp_error mpi_transport_add(mpi_transport *transport, mpos_handle handle,
                           size_t *index);
/* The receiver's handle at a place, which the caller owns from now on. Taken
 * twice or out of range: MP_EUNPICKLE. */
mp_error mpi_transport_take(mpi_transport *transport, int64_t index,
                            mpos_handle *handle);
/* What came along, but nothing in the pickle has taken, is closed. */
void mpi_transport_close_untaken(mpi_transport *transport);
/* What is still in the parcel is given back. */
void mpi_transport_free(mpi_transport *transport);

typedef struct mpi_resource_type mpi_resource_type;

/* Each is told its type, since several kinds may share one function. */
struct mpi_resource_type {
    const char *name; /* on the wire and in repr: "Connection" */
    /* On the wire, if it is Python's own class of that name, which takes the
     * same arguments; NULL: "multiproc". */
    const char *module;
    void (*ref)(void *self);
    void (*unref)(const mpi_resource_type *type, void *self);
    /* A picklable tuple that rebuild() understands. Fails if self is closed
     * or can't travel. */
    mp_error (*reduce)(void *self, mpi_transport *transport, mp_obj **state);
    /* A new self, with one reference, from what reduce() gave. */
    mp_error (*rebuild)(const mpi_resource_type *type, const mp_obj *state,
                        mpi_transport *transport, void **self);
};

/* A thing may be in a pickle twice: the first time it is made, with
 * mpi_transport_keep(), which holds one more reference to it; then it is the
 * same one. Borrowed; NULL: nothing of this kind was made of that handle. */
void *mpi_transport_made(const mpi_transport *transport, int64_t index,
                         const mpi_resource_type *type);
mp_error mpi_transport_keep(mpi_transport *transport, int64_t index,
                            const mpi_resource_type *type, void *self);

/* NULL: there is no such kind. */
const mpi_resource_type *mpi_resource_find(const char *name, size_t size);

/* An object of MP_TYPE_HANDLE that holds one more reference to self. */
mp_obj *mpi_obj_resource(const mpi_resource_type *type, void *self);
/* The self of such an object, borrowed; NULL if obj is anything else. */
void *mpi_obj_resource_self(const mp_obj *obj, const mpi_resource_type *type);

/*
 * How a function travels: "multiproc", "function", the state being
 * (module path, build id as bytes, offset). function.c does both.
 */
mp_error mpi_function_reduce(const void *function, mp_obj **state);
mp_error mpi_function_rebuild(const mp_obj *state, const void **function);
/* The same for a static object; code is a function of the same module. */
mp_error mpi_static_reduce(const void *object, const void *code,
                           mp_obj **state);
mp_error mpi_static_rebuild(const mp_obj *state, const void **object);
extern mpos_mutex mpi_function_mutex;

#endif
