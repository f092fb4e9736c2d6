/* SPDX-License-Identifier: MIT */
/*
 * The codec between mp_obj and Python's pickle, with handles beside the bytes.
 * Written: protocol 4, byte for byte what CPython writes where no object is
 * shared. Read: 0 to 5, data opcodes and a fixed list of globals.
 */
#ifndef MULTIPROC_PICKLE_INTERNAL_H
#define MULTIPROC_PICKLE_INTERNAL_H

#include "internal.h"
#include "resource.h"

#include <multiproc/object.h>

/* Appends to out. transport NULL: what needs a handle is refused with
 * MP_EPICKLE and a sentence. On failure out's size is as before. */
mp_error mpi_pickle_dump(mpi_buffer *out, const mp_obj *obj,
                         mpi_transport *transport);
/* So many bytes are enough for what mpi_pickle_dump() writes without a
 * transport; found out faster than it is written. MP_PENDING: only writing it
 * tells, or why it can't be. MP_ENOMEM. */
mp_error mpi_pickle_bound(const mp_obj *obj, size_t *most);
/* Exactly one pickle; bytes after it are refused. */
mp_error mpi_pickle_load(const void *data, size_t size,
                         mpi_transport *transport, mp_obj **out);

#endif
