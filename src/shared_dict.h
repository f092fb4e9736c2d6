/* SPDX-License-Identifier: MIT */
/* What the files of shared dict share: shared_dict.c is about single keys,
 * shared_dict_whole.c about all of them. */
#ifndef MULTIPROC_SHARED_DICT_INTERNAL_H
#define MULTIPROC_SHARED_DICT_INTERNAL_H

#include "shared_dict_table.h"

#include <multiproc/object.h>

struct mp_shared_dict {
    mpi_shared shared;
};

static inline mp_error mpi_shared_dict_lock(mp_shared_dict *dict)
{
    return mpi_shared_lock(&mpi_shared_dict_kind, dict);
}

static inline void mpi_shared_dict_unlock(mp_shared_dict *dict)
{
    mpi_shared_unlock(&dict->shared);
}

/* d[key] = value; consumes neither. */
mp_error mpi_shared_dict_set(mp_shared_dict *dict, const mp_obj *key,
                             const mp_obj *value);
/* What was written down; an error object if it was not. */
mp_obj *mpi_shared_dict_key(const mpi_dict_key *key);
mp_obj *mpi_shared_dict_value(const void *data, size_t size);

#endif
