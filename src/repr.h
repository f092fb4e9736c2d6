/* SPDX-License-Identifier: MIT */
/* How values look as text: what repr.c and the pickle reader share. */
#ifndef MULTIPROC_REPR_H
#define MULTIPROC_REPR_H

#include "internal.h"

#include <multiproc/object.h>

enum { MPI_FLOAT_REPR_SIZE = 40 };

/* repr(value), not terminated; returns its size. */
size_t mpi_float_repr(char text[MPI_FLOAT_REPR_SIZE], double value);
/* A float as Python writes it. False if it is none, or absurdly long. */
bool mpi_float_parse(const char *text, size_t size, double *out);

/* Appends repr(obj); MP_EOVERFLOW beyond limit bytes in all. On failure out's
 * size is as before. */
mp_error mpi_obj_repr(mpi_buffer *out, const mp_obj *obj, size_t limit);

#endif
