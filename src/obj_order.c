/* SPDX-License-Identifier: MIT */
/* Which of two objects comes first, as Python's < has it. */
#include "obj.h"

#include <string.h>

static bool is_number(mp_type type)
{
    return type == MP_TYPE_BOOL || type == MP_TYPE_INT || type == MP_TYPE_FLOAT;
}

/* Exactly, which a conversion of either would not be. */
static bool int_is_less(int64_t left, double right)
{
    const double limit = 9223372036854775808.0;
    int64_t whole;

    if (!(right < limit))
        return right >= limit; /* not if it is nan */
    if (right < -limit)
        return false;
    whole = (int64_t)right;
    return left < whole || (left == whole && right > (double)whole);
}

static bool float_is_less(double left, int64_t right)
{
    const double limit = 9223372036854775808.0;
    int64_t whole;

    if (!(left < limit))
        return false;
    if (left < -limit)
        return true;
    whole = (int64_t)left;
    return whole < right || (whole == right && left < (double)whole);
}

static bool number_is_less(const mp_obj *left, const mp_obj *right)
{
    bool left_is_float = mp_obj_type(left) == MP_TYPE_FLOAT;
    bool right_is_float = mp_obj_type(right) == MP_TYPE_FLOAT;
    int64_t wholes[2] = {0, 0};
    double numbers[2] = {0, 0};

    (void)(left_is_float ? mp_obj_as_float(left, &numbers[0])
                         : mp_obj_as_int(left, &wholes[0]));
    (void)(right_is_float ? mp_obj_as_float(right, &numbers[1])
                          : mp_obj_as_int(right, &wholes[1]));
    if (left_is_float && right_is_float)
        return numbers[0] < numbers[1];
    if (left_is_float)
        return float_is_less(numbers[0], wholes[1]);
    if (right_is_float)
        return int_is_less(wholes[0], numbers[1]);
    return wholes[0] < wholes[1];
}

/* UTF-8 sorts as its code points do, lone surrogates included. */
static bool string_is_less(const mpi_string *left, const mpi_string *right)
{
    size_t size = left->size < right->size ? left->size : right->size;
    int order = size == 0 ? 0 : memcmp(left->data, right->data, size);

    return order != 0 ? order < 0 : left->size < right->size;
}

/* The first items that are not equal decide. */
static mp_error sequence_is_less(const mpi_container *left,
                                 const mpi_container *right, bool *is_less)
{
    for (size_t i = 0; i < left->size && i < right->size; i++)
        if (!mpi_obj_same(left->items[i], right->items[i]))
            return mpi_obj_less(left->items[i], right->items[i], is_less);
    *is_less = left->size < right->size;
    return MP_OK;
}

mp_error mpi_obj_less(const mp_obj *left, const mp_obj *right, bool *is_less)
{
    mp_type type = mp_obj_type(left);
    mp_type other = mp_obj_type(right);

    if (is_number(type) && is_number(other)) {
        *is_less = number_is_less(left, right);
        return MP_OK;
    }
    if (type == other && (type == MP_TYPE_STR || type == MP_TYPE_BYTES)) {
        *is_less = string_is_less(mpi_as_string(left), mpi_as_string(right));
        return MP_OK;
    }
    if (type == other && (type == MP_TYPE_LIST || type == MP_TYPE_TUPLE))
        return sequence_is_less(mpi_as_container(left), mpi_as_container(right),
                                is_less);
    return mpi_fail(MP_ETYPE,
                    "'<' not supported between instances of '%s' and '%s'",
                    mp_obj_type_name(left), mp_obj_type_name(right));
}
