/* SPDX-License-Identifier: MIT */
/*
 * The pickle reader's binary opcodes for values that hold no other object, and
 * for objects that were read before: the memo.
 */
#include "pickle_load.h"

#include <string.h>

mp_error mpi_load_none(mpi_loader *from)
{
    return mpi_load_push(from, mpi_constant(MPI_TAG_NONE));
}

mp_error mpi_load_true(mpi_loader *from)
{
    return mpi_load_push(from, mpi_constant(MPI_TAG_TRUE));
}

mp_error mpi_load_false(mpi_loader *from)
{
    return mpi_load_push(from, mpi_constant(MPI_TAG_FALSE));
}

mp_error mpi_load_bin_int(mpi_loader *from)
{
    uint64_t value;

    if (!mpi_load_little(from, 4, &value))
        return mpi_load_cut_short();
    return mpi_load_push(from, mp_obj_int((int32_t)(uint32_t)value));
}

mp_error mpi_load_bin_int2(mpi_loader *from)
{
    uint64_t value;

    if (!mpi_load_little(from, 2, &value))
        return mpi_load_cut_short();
    return mpi_load_push(from, mpi_make_inline((int32_t)value));
}

/* How many bits a number in two's complement needs, its sign included. */
static uint64_t signed_bits(const unsigned char *data, size_t size)
{
    unsigned char sign = (data[size - 1] & 0x80) != 0 ? 0xFF : 0;
    unsigned top;
    uint64_t bits;

    while (size > 1 && data[size - 1] == sign)
        size--;
    bits = (uint64_t)(size - 1) * 8;
    for (top = data[size - 1] ^ sign; top != 0; top >>= 1)
        bits++;
    return bits + 1;
}

static mp_error load_long_of(mpi_loader *from, unsigned width)
{
    size_t size;
    const unsigned char *data = mpi_load_sized(from, width, &size);
    uint64_t value = 0;

    if (data == NULL)
        return mpi_load_cut_short();
    if (size > 8 && signed_bits(data, size) > 64)
        return mpi_fail(MP_EUNPICKLE, "an int of %llu bits doesn't fit in 64",
                        (unsigned long long)signed_bits(data, size));
    if (size != 0 && (data[size - 1] & 0x80) != 0)
        value = UINT64_MAX;
    for (size_t i = size < 8 ? size : 8; i-- > 0;)
        value = value << 8 | data[i];
    return mpi_load_push(from, mp_obj_int((int64_t)value));
}

mp_error mpi_load_long1(mpi_loader *from)
{
    return load_long_of(from, 1);
}

mp_error mpi_load_long4(mpi_loader *from)
{
    return load_long_of(from, 4);
}

mp_error mpi_load_bin_float(mpi_loader *from)
{
    const unsigned char *data = mpi_load_take(from, 8);
    uint64_t bits = 0;
    double value;

    if (data == NULL)
        return mpi_load_cut_short();
    for (unsigned i = 0; i < 8; i++)
        bits = bits << 8 | data[i];
    memcpy(&value, &bits, sizeof(value));
    return mpi_load_push(from, mp_obj_float(value));
}

static mp_error load_str_of(mpi_loader *from, unsigned width)
{
    size_t size;
    const unsigned char *data = mpi_load_sized(from, width, &size);

    if (data == NULL)
        return mpi_load_cut_short();
    return mpi_load_push(from, mpi_str(data, size, true));
}

mp_error mpi_load_short_binunicode(mpi_loader *from)
{
    return load_str_of(from, 1);
}

mp_error mpi_load_binunicode(mpi_loader *from)
{
    return load_str_of(from, 4);
}

mp_error mpi_load_binunicode8(mpi_loader *from)
{
    return load_str_of(from, 8);
}

static mp_error load_bytes_of(mpi_loader *from, unsigned width)
{
    size_t size;
    const unsigned char *data = mpi_load_sized(from, width, &size);

    if (data == NULL)
        return mpi_load_cut_short();
    return mpi_load_push(from, mp_obj_bytes(data, size));
}

mp_error mpi_load_short_binbytes(mpi_loader *from)
{
    return load_bytes_of(from, 1);
}

mp_error mpi_load_binbytes(mpi_loader *from)
{
    return load_bytes_of(from, 4);
}

mp_error mpi_load_binbytes8(mpi_loader *from)
{
    return load_bytes_of(from, 8);
}

static mp_error load_old_str_of(mpi_loader *from, unsigned width)
{
    size_t size;
    const unsigned char *data = mpi_load_sized(from, width, &size);

    if (data == NULL)
        return mpi_load_cut_short();
    return mpi_load_ascii(from, data, size);
}

mp_error mpi_load_short_binstring(mpi_loader *from)
{
    return load_old_str_of(from, 1);
}

mp_error mpi_load_binstring(mpi_loader *from)
{
    return load_old_str_of(from, 4);
}

/* -- Memo ------------------------------------------------------------------ */

mp_error mpi_load_get(mpi_loader *from, uint64_t index)
{
    if (index >= from->memo_size || from->memo[index] == NULL)
        return mpi_fail(MP_EUNPICKLE, "nothing has memo index %llu",
                        (unsigned long long)index);
    return mpi_load_push_again(from, from->memo[index]);
}

static mp_error grow_memo(mpi_loader *from, size_t size)
{
    while (from->memo_capacity < size) {
        mp_obj **memo = mpi_load_grow(from->memo, from->first_memo,
                                      &from->memo_capacity, sizeof(*memo));

        if (memo == NULL)
            return mpi_no_memory();
        from->memo = memo;
    }
    while (from->memo_size < size)
        from->memo[from->memo_size++] = NULL;
    return MP_OK;
}

mp_error mpi_load_put(mpi_loader *from, uint64_t index)
{
    mp_error err;

    if (from->depth <= from->fence)
        return mpi_load_underflow();
    /* Indexes count objects, each of which takes at least a byte; Python 2
     * counts from 1. */
    if (index > from->size)
        return mpi_fail(MP_EUNPICKLE, "memo index %llu is out of range",
                        (unsigned long long)index);
    if (index >= from->memo_size) {
        err = grow_memo(from, (size_t)index + 1);
        if (err != MP_OK)
            return err;
    }
    if (from->memo[index] != NULL)
        mpi_own_unref(from->memo[index]);
    else
        from->memo_count++;
    from->memo[index] = mpi_own_ref(from->stack[from->depth - 1]);
    return MP_OK;
}

mp_error mpi_load_memoize(mpi_loader *from)
{
    return mpi_load_put(from, from->memo_count);
}

mp_error mpi_load_binget(mpi_loader *from)
{
    uint64_t index;

    if (!mpi_load_little(from, 1, &index))
        return mpi_load_cut_short();
    return mpi_load_get(from, index);
}

mp_error mpi_load_long_binget(mpi_loader *from)
{
    uint64_t index;

    if (!mpi_load_little(from, 4, &index))
        return mpi_load_cut_short();
    return mpi_load_get(from, index);
}

mp_error mpi_load_binput(mpi_loader *from)
{
    uint64_t index;

    if (!mpi_load_little(from, 1, &index))
        return mpi_load_cut_short();
    return mpi_load_put(from, index);
}

mp_error mpi_load_long_binput(mpi_loader *from)
{
    uint64_t index;

    if (!mpi_load_little(from, 4, &index))
        return mpi_load_cut_short();
    return mpi_load_put(from, index);
}
