/* SPDX-License-Identifier: MIT */
/* Objects that stay recognisable for a while after they were closed. */
#include "lifetime.h"

#include "share.h"

#include <stdlib.h>

/* How many ended objects are kept; the memory of older ones is reused. */
enum { KEPT_COUNT = 256 };

mpos_mutex mpi_lifetime_mutex = MPOS_MUTEX_INIT;

static struct {
    mpi_lifetime *oldest;
    mpi_lifetime *newest;
    size_t count;
} ended;

static const char *kind_name(uint32_t kind)
{
    switch (kind) {
    case MPI_PROCESS:
        return "process";
    case MPI_CONNECTION:
        return "connection";
    case MPI_LISTENER:
        return "listener";
    case MPI_FINALIZER:
        return "finalizer";
    case MPI_POOL:
        return "pool";
    case MPI_FUTURE:
        return "future";
    case MPI_ITERATOR:
        return "iterator";
    default:
        return mpi_share_kind_name((mpi_kind)kind);
    }
}

void *mpi_lifetime_new(mpi_kind kind, size_t size)
{
    mpi_lifetime *object = mpi_calloc(1, size);

    if (object != NULL)
        object->kind = (uint32_t)kind;
    return object;
}

mp_error mpi_lifetime_check(const void *object, mpi_kind kind)
{
    const mpi_lifetime *lifetime = object;
    const char *name = kind_name((uint32_t)kind);

    if (lifetime == NULL)
        return mpi_fail(MP_EINVAL, "the %s is NULL", name);
    if (lifetime->kind != (uint32_t)kind)
        return mpi_fail(MP_EINVAL, "%p is no %s", object, name);
    if (mpi_atomic32_load(&lifetime->has_ended) != 0)
        return mpi_fail(MP_ECLOSED, "the %s is closed", name);
    return MP_OK;
}

void mpi_lifetime_end(void *object)
{
    mpi_lifetime *lifetime = object;
    mpi_lifetime *dropped = NULL;

    mpi_atomic32_store(&lifetime->has_ended, 1);
    lifetime->next = NULL;
    mpos_mutex_lock(&mpi_lifetime_mutex);
    if (ended.newest != NULL)
        ended.newest->next = lifetime;
    else
        ended.oldest = lifetime;
    ended.newest = lifetime;
    if (++ended.count > KEPT_COUNT) {
        dropped = ended.oldest;
        ended.oldest = dropped->next;
        ended.count--;
    }
    mpos_mutex_unlock(&mpi_lifetime_mutex);
    free(dropped);
}
