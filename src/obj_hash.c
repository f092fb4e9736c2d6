/* SPDX-License-Identifier: MIT */
/*
 * Equality and hashes, as Python has them: 1, 1.0 and True are one key, nan is
 * equal to nothing, and containers take what is identical for equal.
 *
 * Hashes are seeded per process, lest a sender choose keys that collide.
 */
#include "obj.h"

#include "siphash.h"

#include <stdlib.h>
#include <string.h>

/* -- Hashes ---------------------------------------------------------------- */

/*
 * Each word is settled by one compare-and-swap: whoever comes first wins, and
 * a fork in the middle leaves no lock behind.
 */
static uint32_t seed_word(unsigned index)
{
    static mpi_atomic32 words[4];
    uint32_t word = mpi_atomic32_load(&words[index]);

    if (word != 0)
        return word;
    if (mpos_random(&word, sizeof(word)) != MP_OK)
        word = (uint32_t)mpos_now() ^ (uint32_t)mpos_pid() << 16;
    mpi_atomic32_change(&words[index], 0, word | 1);
    return mpi_atomic32_load(&words[index]);
}

static uint64_t seed(unsigned index)
{
    return (uint64_t)seed_word(2 * index) << 32 | seed_word(2 * index + 1);
}

static uint32_t hash_bytes(const char *data, size_t size)
{
    const uint64_t key[2] = {seed(0), seed(1)};
    uint64_t word = mpi_siphash(key, data, size);

    return (uint32_t)(word ^ word >> 32);
}

/* One keyed word; the multiplier is odd, so nothing is lost before the end. */
static uint32_t hash_word(uint64_t word)
{
    word ^= seed(0);
    word ^= word >> 33;
    word *= seed(1) | 1;
    word ^= word >> 33;
    word *= UINT64_C(0xff51afd7ed558ccd);
    word ^= word >> 33;
    return (uint32_t)(word ^ word >> 32);
}

/* True if value is an int64_t, which is then *whole. */
static bool is_whole(double value, int64_t *whole)
{
    const double limit = 9223372036854775808.0;

    if (!(value >= -limit && value < limit))
        return false;
    *whole = (int64_t)value;
    return (double)*whole == value;
}

static uint32_t hash_float(double value)
{
    uint64_t bits;
    int64_t whole;

    if (is_whole(value, &whole))
        return hash_word((uint64_t)whole);
    memcpy(&bits, &value, sizeof(bits));
    return hash_word(bits);
}

static mp_error hash_tuple(const mp_obj *obj, uint32_t *hash)
{
    const mpi_container *tuple = mpi_as_container(obj);
    uint32_t result = (uint32_t)tuple->size;

    for (size_t i = 0; i < tuple->size; i++) {
        uint32_t item;
        mp_error err = mpi_obj_hash(tuple->items[i], &item);

        if (err != MP_OK)
            return err;
        result = hash_word((uint64_t)result << 32 | item);
    }
    *hash = result;
    return MP_OK;
}

/* What a heap object's contents hash to. */
static mp_error hash_contents(const mp_obj *obj, uint32_t *hash)
{
    const mpi_string *string = mpi_as_string(obj);

    switch (mpi_heap_type(obj)) {
    case MP_TYPE_STR:
    case MP_TYPE_BYTES:
        *hash = hash_bytes(string->data, string->size);
        return MP_OK;
    case MP_TYPE_TUPLE:
        return hash_tuple(obj, hash);
    case MP_TYPE_FUNCTION:
    case MP_TYPE_POINTER:
        *hash = hash_word(
            (uintptr_t)((const mpi_address *)(const void *)obj)->to.pointer);
        return MP_OK;
    case MP_TYPE_HANDLE:
        *hash = hash_word(
            (uintptr_t)((const mpi_resource *)(const void *)obj)->self);
        return MP_OK;
    case MP_TYPE_OPAQUE:
        *hash = hash_word((uintptr_t)obj);
        return MP_OK;
    default:
        return mpi_fail(MP_ETYPE, "unhashable type: '%s'",
                        mp_obj_type_name(obj));
    }
}

mp_error mpi_obj_hash(const mp_obj *obj, uint32_t *hash)
{
    uint32_t result;
    int64_t value;
    mp_error err;

    if (mpi_is_error(obj))
        return mpi_expected("a value", obj);
    if (mp_obj_type(obj) == MP_TYPE_FLOAT) {
        result = hash_float(((const mpi_float *)(const void *)obj)->value);
    } else if (!mpi_is_heap(obj) || mpi_heap_type(obj) == MP_TYPE_INT) {
        if (mp_obj_is_none(obj))
            value = MPI_TAG_NONE;
        else
            (void)mp_obj_as_int(obj, &value);
        result = hash_word((uint64_t)value);
    } else {
        result = mpi_atomic32_load(&obj->hash);
        if (result == 0) {
            err = hash_contents(obj, &result);
            if (err != MP_OK)
                return err;
            result += result == 0;
            mpi_atomic32_store(&((mp_obj *)obj)->hash, result);
        }
    }
    *hash = result + (result == 0);
    return MP_OK;
}

/* -- Equality -------------------------------------------------------------- */

/*
 * A pickle can hold the same object many times, each holding another many
 * times, and so on: 2 ** 100 comparisons in 500 bytes. So a long comparison
 * remembers the pairs of shared containers that it has found equal, which
 * makes the work at most that of all distinct pairs. (A pair found unequal
 * ends it, or was a key with the same 32-bit hash by chance.)
 */
typedef struct pair {
    const mp_obj *left;
    const mp_obj *right;
} pair;

typedef struct comparison {
    unsigned long work;
    pair *pairs;
    size_t count;
    size_t mask;
} comparison;

enum { WORK_WITHOUT_PAIRS = 1000, FIRST_PAIRS = 256 };

static pair *pair_place(const comparison *state, const mp_obj *left,
                        const mp_obj *right)
{
    uint64_t mixed = (uintptr_t)left * UINT64_C(0x9E3779B97F4A7C15) ^
                     (uintptr_t)right * UINT64_C(0xC2B2AE3D27D4EB4F);
    size_t at = (size_t)(mixed >> 29) & state->mask;

    while (state->pairs[at].left != NULL &&
           (state->pairs[at].left != left || state->pairs[at].right != right))
        at = (at + 1) & state->mask;
    return &state->pairs[at];
}

/* Without memory the comparison is merely slower. */
static bool pairs_grow(comparison *state)
{
    size_t size = state->pairs == NULL ? FIRST_PAIRS : (state->mask + 1) * 2;
    comparison grown = *state;

    if (state->pairs != NULL && state->count < (state->mask + 1) / 2)
        return true;
    grown.pairs = mpi_calloc(size, sizeof(*grown.pairs));
    if (grown.pairs == NULL)
        return false;
    grown.mask = size - 1;
    for (size_t i = 0; state->pairs != NULL && i <= state->mask; i++) {
        const pair *old = &state->pairs[i];

        if (old->left != NULL)
            *pair_place(&grown, old->left, old->right) = *old;
    }
    free(state->pairs);
    *state = grown;
    return true;
}

static void pairs_remember(comparison *state, const mp_obj *left,
                           const mp_obj *right)
{
    pair *place;

    if (state->work < WORK_WITHOUT_PAIRS ||
        (mpi_has_one_owner(left) && mpi_has_one_owner(right)) ||
        !pairs_grow(state))
        return;
    place = pair_place(state, left, right);
    if (place->left == NULL)
        state->count++;
    *place = (pair){left, right};
}

static bool numbers_equal(const mp_obj *left, const mp_obj *right)
{
    bool left_is_float = mp_obj_type(left) == MP_TYPE_FLOAT;
    bool right_is_float = mp_obj_type(right) == MP_TYPE_FLOAT;
    int64_t whole;
    int64_t value;

    if (left_is_float && right_is_float)
        return ((const mpi_float *)(const void *)left)->value ==
               ((const mpi_float *)(const void *)right)->value;
    if (left_is_float)
        return numbers_equal(right, left);
    (void)mp_obj_as_int(left, &value);
    if (!right_is_float)
        return mp_obj_as_int(right, &whole) == MP_OK && whole == value;
    return is_whole(((const mpi_float *)(const void *)right)->value, &whole) &&
           whole == value;
}

static bool is_number(mp_type type)
{
    return type == MP_TYPE_BOOL || type == MP_TYPE_INT || type == MP_TYPE_FLOAT;
}

static bool same(comparison *state, const mp_obj *left, const mp_obj *right);

static bool sequences_equal(comparison *state, const mpi_container *left,
                            const mpi_container *right)
{
    uint32_t left_hash = mpi_atomic32_load(&left->head.hash);
    uint32_t right_hash = mpi_atomic32_load(&right->head.hash);

    if (left_hash != 0 && right_hash != 0 && left_hash != right_hash)
        return false;
    for (size_t i = 0; i < left->size; i++) {
        if (!same(state, left->items[i], right->items[i]))
            return false;
    }
    return true;
}

static bool tables_equal(comparison *state, const mpi_container *left,
                         const mpi_container *right, size_t stride)
{
    for (size_t i = 0; i < left->size; i += stride) {
        uint32_t hash;
        size_t at;

        if (mpi_index_find(right, stride, left->items[i], &hash, &at) !=
                MP_OK ||
            at == SIZE_MAX)
            return false;
        if (stride == 2 &&
            !same(state, left->items[i + 1], right->items[at + 1]))
            return false;
    }
    return true;
}

static bool containers_equal(comparison *state, const mp_obj *left,
                             const mp_obj *right)
{
    const mpi_container *one = mpi_as_container(left);
    const mpi_container *other = mpi_as_container(right);
    mp_type type = mpi_heap_type(left);
    bool are_equal;

    if (one->size != other->size || type == MP_TYPE_OPAQUE)
        return false;
    if (state->pairs != NULL && pair_place(state, left, right)->left != NULL)
        return true;
    if (type == MP_TYPE_DICT || type == MP_TYPE_SET)
        are_equal =
            tables_equal(state, one, other, type == MP_TYPE_DICT ? 2 : 1);
    else
        are_equal = sequences_equal(state, one, other);
    if (are_equal)
        pairs_remember(state, left, right);
    return are_equal;
}

static bool equal(comparison *state, const mp_obj *left, const mp_obj *right)
{
    mp_type type = mp_obj_type(left);
    const mpi_string *one = mpi_as_string(left);
    const mpi_string *other = mpi_as_string(right);

    state->work++;
    if (is_number(type) && is_number(mp_obj_type(right)))
        return numbers_equal(left, right);
    if (type != mp_obj_type(right))
        return false;
    switch (type) {
    case MP_TYPE_ERROR:
        return false;
    case MP_TYPE_NONE:
        return true;
    case MP_TYPE_STR:
    case MP_TYPE_BYTES:
        return one->size == other->size &&
               memcmp(one->data, other->data, one->size) == 0;
    case MP_TYPE_FUNCTION:
    case MP_TYPE_POINTER:
        return ((const mpi_address *)(const void *)left)->to.pointer ==
               ((const mpi_address *)(const void *)right)->to.pointer;
    case MP_TYPE_HANDLE:
        return ((const mpi_resource *)(const void *)left)->self ==
               ((const mpi_resource *)(const void *)right)->self;
    default:
        return left == right || containers_equal(state, left, right);
    }
}

static bool same(comparison *state, const mp_obj *left, const mp_obj *right)
{
    return left == right || equal(state, left, right);
}

bool mpi_obj_same(const mp_obj *left, const mp_obj *right)
{
    comparison state = {0};
    bool are_same = same(&state, left, right);

    free(state.pairs);
    return are_same;
}

bool mp_obj_equal(const mp_obj *left, const mp_obj *right)
{
    comparison state = {0};
    bool are_equal = equal(&state, left, right);

    free(state.pairs);
    return are_equal;
}
