/* SPDX-License-Identifier: MIT */
/* Items of a C type as text. */
#include "ctypes.h"
#include "ctype_layout.h"

#include "obj.h"
#include "repr.h"

#include <inttypes.h>

/* As in repr.c. */
static const size_t text_limit = (size_t)256 << 20;

/* What ctypes calls it. Of numbers that are the same, it has c_long rather than
 * c_int (Windows) and c_longlong (elsewhere). */
static const char *ctypes_name(const mpi_number *number)
{
    bool is_unsigned = number->kind == MPI_NUMBER_UNSIGNED;

    switch (number->code) {
    case 'c':
        return "c_char";
    case '?':
        return "c_bool";
    case 'b':
    case 'B':
        return is_unsigned ? "c_ubyte" : "c_byte";
    case 'h':
    case 'H':
        return is_unsigned ? "c_ushort" : "c_short";
    case 'f':
        return "c_float";
    case 'd':
        return "c_double";
    default:
        break;
    }
    if (number->size == sizeof(long))
        return is_unsigned ? "c_ulong" : "c_long";
    if (number->size == sizeof(int))
        return is_unsigned ? "c_uint" : "c_int";
    return is_unsigned ? "c_ulonglong" : "c_longlong";
}

static mp_error check_text(const mpi_buffer *out)
{
    if (out->has_failed)
        return mpi_no_memory();
    if (out->size > text_limit)
        return mpi_fail(MP_EOVERFLOW, "repr is longer than %zu bytes",
                        text_limit);
    return MP_OK;
}

static mp_error repr_obj(mp_obj *obj, mpi_buffer *out)
{
    mp_error err = mpi_obj_repr(out, obj, text_limit);

    mp_obj_unref(obj);
    return err;
}

static mp_error repr_number(const mpi_number *number, const void *item,
                            mpi_buffer *out)
{
    /* Which no object can hold if it is large. */
    if (number->kind != MPI_NUMBER_UNSIGNED)
        return repr_obj(mpi_number_box(number, item), out);
    mpi_buffer_printf(out, "%" PRIu64, mpi_number_unsigned(number, item));
    return check_text(out);
}

static mp_error repr(const mpi_layout_node *node, const unsigned char *item,
                     mpi_buffer *out);

/* "x=1.0, y=2.0" or "1, 2" */
static mp_error repr_parts(const mpi_layout_node *node,
                           const unsigned char *item, mpi_buffer *out)
{
    mp_error err = MP_OK;

    for (mpi_walk at = mpi_walk_from(node);
         err == MP_OK && mpi_walk_has_part(&at); mpi_walk_on(&at)) {
        if (at.index != 0)
            mpi_buffer_append(out, ", ", 2);
        if (node->kind == MPI_LAYOUT_STRUCT)
            mpi_buffer_printf(out, "%.*s=", (int)at.part->name_size,
                              at.part->name);
        err = repr(at.part, item + mpi_walk_offset(&at), out);
    }
    return err;
}

static mp_error repr(const mpi_layout_node *node, const unsigned char *item,
                     mpi_buffer *out)
{
    const char *marks = node->kind == MPI_LAYOUT_STRUCT ? "()" : "[]";
    mp_error err;

    if (node->kind == MPI_LAYOUT_NUMBER)
        return repr_number(node->number, item, out);
    if (node->kind == MPI_LAYOUT_BYTES)
        return repr_obj(mp_obj_bytes(item, node->size), out);
    if (mpi_is_char_array(node))
        return repr_obj(mpi_chars_box(node, item), out);
    mpi_buffer_append(out, &marks[0], 1);
    err = repr_parts(node, item, out);
    mpi_buffer_append(out, &marks[1], 1);
    return err == MP_OK ? check_text(out) : err;
}

mp_error mpi_ctype_repr(const mp_ctype *type, const void *item, mpi_buffer *out)
{
    mpi_layout layout;
    const mpi_layout_node *root = &layout.nodes[0];
    size_t size = out->size;
    mp_error err = mpi_layout_of(type, &layout);

    if (err != MP_OK)
        return err;
    mpi_buffer_printf(out, "%s%s",
                      root->kind == MPI_LAYOUT_NUMBER
                          ? ctypes_name(root->number)
                          : mpi_ctype_plain_name(type->name),
                      root->kind == MPI_LAYOUT_STRUCT ? "" : "(");
    err = repr(root, item, out);
    if (root->kind != MPI_LAYOUT_STRUCT)
        mpi_buffer_append(out, ")", 1);
    if (err == MP_OK)
        err = check_text(out);
    if (err != MP_OK)
        out->size = size;
    return err;
}

static mp_error repr_items(const mpi_layout_node *node,
                           const unsigned char *items, size_t count,
                           mpi_buffer *out)
{
    mp_error err = MP_OK;

    mpi_buffer_append(out, "[", 1);
    for (size_t i = 0; i < count && err == MP_OK; i++) {
        if (i != 0)
            mpi_buffer_append(out, ", ", 2);
        err = repr(node, items + i * node->size, out);
    }
    mpi_buffer_append(out, "]", 1);
    return err == MP_OK ? check_text(out) : err;
}

mp_error mpi_ctype_repr_items(const mp_ctype *type, const void *items,
                              size_t count, mpi_buffer *out)
{
    mpi_layout layout;
    size_t size = out->size;
    mp_error err = mpi_layout_of(type, &layout);

    if (err != MP_OK)
        return err;
    err = type->code == 'c' ? repr_obj(mp_obj_bytes(items, count), out)
                            : repr_items(&layout.nodes[0], items, count, out);
    if (err != MP_OK)
        out->size = size;
    return err;
}
