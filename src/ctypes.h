/* SPDX-License-Identifier: MIT */
/*
 * C types of what is shared (ctype.h): checked, written down, boxed. Not called
 * ctype.h itself: that is C's own, which other headers include.
 */
#ifndef MULTIPROC_CTYPES_H
#define MULTIPROC_CTYPES_H

#include "internal.h"

#include <multiproc/ctype.h>

/* What is written down in shared memory, terminated: it tells kind, size,
 * alignment, and of a struct its name and fields. Equal for types that are the
 * same, whatever their numbers are called in C. */
typedef struct mpi_ctype_text {
    char text[MP_CTYPE_MAX + 1];
} mpi_ctype_text;

/* MP_EINVAL: it is no type, the fields don't fit the size, or the text would be
 * too long. */
mp_error mpi_ctype_write(const mp_ctype *type, mpi_ctype_text *out);
/* What mpi_ctype_write() wrote, or anything else: MP_EPROTO. type->name and
 * type->fields point into text, which is changed for that. */
mp_error mpi_ctype_read(mpi_ctype_text *text, mp_ctype *type);

/* An item, at any address. */
mp_obj *mpi_ctype_box(const mp_ctype *type, const void *item);
/* Writes all of item or nothing; obj is borrowed. MP_ETYPE, MP_EOVERFLOW;
 * MP_EINVAL: of another length than an array in a struct. */
mp_error mpi_ctype_unbox(const mp_ctype *type, const mp_obj *obj, void *item);
/* "c_int(7)", "point(x=1.0, y=2.0)", as ctypes prints what it can; appended. */
mp_error mpi_ctype_repr(const mp_ctype *type, const void *item,
                        mpi_buffer *out);
/* "[1, 2]", of structs "[(x=1.0, y=2.0)]", of chars "b'ab'"; appended. */
mp_error mpi_ctype_repr_items(const mp_ctype *type, const void *items,
                              size_t count, mpi_buffer *out);

#endif
