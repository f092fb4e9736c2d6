/* SPDX-License-Identifier: MIT */
/*
 * Items of a C type as objects and back.
 *
 * An item may lie in shared memory that others write to meanwhile: each number
 * is read once, and none of them is trusted.
 */
#include "ctypes.h"
#include "ctype_layout.h"

#include "obj.h"
#include "repr.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* -- Loading and storing ---------------------------------------------------
 *
 * Copies of constant size are one instruction: nobody sees half a number.
 */

uint64_t mpi_number_unsigned(const mpi_number *number, const void *item)
{
    uint8_t one;
    uint16_t two;
    uint32_t four;
    uint64_t eight;

    switch (number->size) {
    case 1:
        memcpy(&one, item, sizeof(one));
        return one;
    case 2:
        memcpy(&two, item, sizeof(two));
        return two;
    case 4:
        memcpy(&four, item, sizeof(four));
        return four;
    default:
        memcpy(&eight, item, sizeof(eight));
        return eight;
    }
}

static int64_t load_signed(const mpi_number *number, const void *item)
{
    uint64_t value = mpi_number_unsigned(number, item);
    uint64_t sign = (uint64_t)1 << (number->size * 8 - 1);

    /* The bits above the sign become like it. */
    return (int64_t)((value ^ sign) - sign);
}

static double load_float(const mpi_number *number, const void *item)
{
    float single;
    double value;

    if (number->size == sizeof(single)) {
        memcpy(&single, item, sizeof(single));
        return (double)single;
    }
    memcpy(&value, item, sizeof(value));
    return value;
}

static void store_int(const mpi_number *number, void *item, uint64_t value)
{
    uint8_t one = (uint8_t)value;
    uint16_t two = (uint16_t)value;
    uint32_t four = (uint32_t)value;

    switch (number->size) {
    case 1:
        memcpy(item, &one, sizeof(one));
        break;
    case 2:
        memcpy(item, &two, sizeof(two));
        break;
    case 4:
        memcpy(item, &four, sizeof(four));
        break;
    default:
        memcpy(item, &value, sizeof(value));
    }
}

static void store_float(const mpi_number *number, void *item, double value)
{
    float single;

    if (number->size == sizeof(single)) {
        single = (float)value;
        memcpy(item, &single, sizeof(single));
    } else {
        memcpy(item, &value, sizeof(value));
    }
}

/* -- Boxing ---------------------------------------------------------------- */

mp_obj *mpi_chars_box(const mpi_layout_node *node, const void *item)
{
    const char *end = memchr(item, '\0', node->size);

    return mp_obj_bytes(item, end != NULL ? (size_t)(end - (const char *)item)
                                          : node->size);
}

mp_obj *mpi_number_box(const mpi_number *number, const void *item)
{
    switch (number->kind) {
    case MPI_NUMBER_CHAR:
        return mp_obj_bytes(item, 1);
    case MPI_NUMBER_BOOL:
        return mp_obj_bool(mpi_number_unsigned(number, item) != 0);
    case MPI_NUMBER_SIGNED:
        return mp_obj_int(load_signed(number, item));
    case MPI_NUMBER_UNSIGNED:
        return mp_obj_uint(mpi_number_unsigned(number, item));
    case MPI_NUMBER_FLOAT:
        break;
    }
    return mp_obj_float(load_float(number, item));
}

static mp_obj *box(const mpi_layout_node *node, const unsigned char *item);

/* A struct is a tuple, an array a list. */
static mp_obj *box_parts(const mpi_layout_node *node, const unsigned char *item)
{
    mp_obj *all = mpi_container_new(
        node->kind == MPI_LAYOUT_STRUCT ? MP_TYPE_TUPLE : MP_TYPE_LIST,
        node->count);
    mp_error err = mp_obj_error(all);

    for (mpi_walk at = mpi_walk_from(node);
         err == MP_OK && mpi_walk_has_part(&at); mpi_walk_on(&at)) {
        mp_obj *part = box(at.part, item + mpi_walk_offset(&at));

        err = mp_obj_error(part);
        if (err == MP_OK)
            err = mpi_extend(all, &part, 1);
    }
    if (err == MP_OK)
        return all;
    mp_obj_unref(all);
    return mpi_obj_failed(err);
}

static mp_obj *box(const mpi_layout_node *node, const unsigned char *item)
{
    if (node->kind == MPI_LAYOUT_NUMBER)
        return mpi_number_box(node->number, item);
    if (node->kind == MPI_LAYOUT_BYTES)
        return mp_obj_bytes(item, node->size);
    return mpi_is_char_array(node) ? mpi_chars_box(node, item)
                                   : box_parts(node, item);
}

mp_obj *mpi_ctype_box(const mp_ctype *type, const void *item)
{
    mpi_layout layout;
    mp_error err = mpi_layout_of(type, &layout);

    return err == MP_OK ? box(&layout.nodes[0], item) : mpi_obj_failed(err);
}

/* -- Unboxing --------------------------------------------------------------
 *
 * item NULL: only whether it could be done. What is checked first, as a whole,
 * is written as a whole.
 */

static mp_error unbox_int(const mpi_number *number, const mp_obj *obj,
                          void *item)
{
    int64_t value;
    int64_t least = 0;
    uint64_t most = UINT64_MAX >> (64 - number->size * 8);
    mp_error err = mp_obj_as_int(obj, &value);

    if (err != MP_OK)
        return err;
    if (number->kind == MPI_NUMBER_SIGNED) {
        most >>= 1;
        least = -(int64_t)most - 1;
    }
    if (value < least || (value > 0 && (uint64_t)value > most))
        return mpi_fail(MP_EOVERFLOW, "%" PRId64 " does not fit %s", value,
                        number->name);
    if (item != NULL)
        store_int(number, item, (uint64_t)value);
    return MP_OK;
}

static mp_error unbox_float(const mpi_number *number, const mp_obj *obj,
                            void *item)
{
    /* From here on a finite number is rounded to none that a float can hold. */
    const double too_large = 0x1.ffffffp127;
    double value;
    mp_error err = mp_obj_as_float(obj, &value);

    if (err != MP_OK)
        return err;
    if (number->size == sizeof(float) && isfinite(value) &&
        (value >= too_large || value <= -too_large)) {
        char text[MPI_FLOAT_REPR_SIZE];
        size_t size = mpi_float_repr(text, value);

        return mpi_fail(MP_EOVERFLOW, "%.*s does not fit float", (int)size,
                        text);
    }
    if (item != NULL)
        store_float(number, item, value);
    return MP_OK;
}

static mp_error unbox_bool(const mp_obj *obj, unsigned char *item)
{
    int64_t value;

    if (mp_obj_type(obj) != MP_TYPE_BOOL && mp_obj_type(obj) != MP_TYPE_INT)
        return mpi_expected("bool", obj);
    (void)mp_obj_as_int(obj, &value);
    if (item != NULL)
        *item = value != 0;
    return MP_OK;
}

static mp_error unbox_char(const mp_obj *obj, unsigned char *item)
{
    const void *bytes;
    size_t size;
    mp_error err = mp_obj_as_bytes(obj, &bytes, &size);

    if (err != MP_OK)
        return err;
    if (size != 1)
        return mpi_fail(MP_ETYPE, "expected bytes of length 1, got %zu", size);
    if (item != NULL)
        memcpy(item, bytes, 1);
    return MP_OK;
}

static mp_error unbox_number(const mpi_number *number, const mp_obj *obj,
                             unsigned char *item)
{
    switch (number->kind) {
    case MPI_NUMBER_CHAR:
        return unbox_char(obj, item);
    case MPI_NUMBER_BOOL:
        return unbox_bool(obj, item);
    case MPI_NUMBER_SIGNED:
    case MPI_NUMBER_UNSIGNED:
        return unbox_int(number, obj, item);
    case MPI_NUMBER_FLOAT:
        break;
    }
    return unbox_float(number, obj, item);
}

/* Exactly the bytes of a struct, or at most those of an array of chars, where
 * zeros follow. */
static mp_error unbox_bytes(const mpi_layout_node *node, const mp_obj *obj,
                            unsigned char *item)
{
    bool is_exact = node->kind == MPI_LAYOUT_BYTES;
    const void *bytes;
    size_t size;
    mp_error err = mp_obj_as_bytes(obj, &bytes, &size);

    if (err != MP_OK)
        return err;
    if (size > node->size || (is_exact && size != node->size))
        return mpi_fail(MP_EINVAL, "expected %zu bytes%s, got %zu", node->size,
                        is_exact ? "" : " at most", size);
    if (item == NULL)
        return MP_OK;
    memcpy(item, bytes, size);
    memset(item + size, 0, node->size - size);
    return MP_OK;
}

static mp_error unbox(const mpi_layout_node *node, const mp_obj *obj,
                      unsigned char *item);

static mp_error unbox_part(const mpi_walk *at, const mp_obj *obj,
                           unsigned char *item)
{
    const mp_obj *part;
    mp_error err = mp_obj_item(obj, (int64_t)at->index, &part);

    if (err == MP_OK)
        err = unbox(at->part, part,
                    item != NULL ? item + mpi_walk_offset(at) : NULL);
    if (err == MP_OK)
        return MP_OK;
    if (at->all->kind == MPI_LAYOUT_STRUCT)
        return mpi_context(err, "field '%.*s'", (int)at->part->name_size,
                           at->part->name);
    return mpi_context(err, "item %zu", at->index);
}

static mp_error unbox_parts(const mpi_layout_node *node, const mp_obj *obj,
                            unsigned char *item)
{
    bool is_struct = node->kind == MPI_LAYOUT_STRUCT;
    size_t count = 0;
    mp_error err = MP_OK;

    if (mp_obj_type(obj) != MP_TYPE_TUPLE && mp_obj_type(obj) != MP_TYPE_LIST)
        return mpi_expected("tuple or list", obj);
    (void)mp_obj_len(obj, &count);
    if (count != node->count)
        return mpi_fail(MP_EINVAL, "expected %zu %s, got %zu", node->count,
                        is_struct ? "fields" : "items", count);
    for (mpi_walk at = mpi_walk_from(node);
         err == MP_OK && mpi_walk_has_part(&at); mpi_walk_on(&at))
        err = unbox_part(&at, obj, item);
    return err;
}

static mp_error unbox(const mpi_layout_node *node, const mp_obj *obj,
                      unsigned char *item)
{
    if (node->kind == MPI_LAYOUT_NUMBER)
        return unbox_number(node->number, obj, item);
    if (node->kind == MPI_LAYOUT_BYTES || mpi_is_char_array(node))
        return unbox_bytes(node, obj, item);
    return unbox_parts(node, obj, item);
}

mp_error mpi_ctype_unbox(const mp_ctype *type, const mp_obj *obj, void *item)
{
    mpi_layout layout;
    const mpi_layout_node *root = &layout.nodes[0];
    mp_error err = mpi_layout_of(type, &layout);

    if (err == MP_OK && root->kind != MPI_LAYOUT_NUMBER)
        err = unbox(root, obj, NULL);
    return err == MP_OK ? unbox(root, obj, item) : err;
}
