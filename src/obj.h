/* SPDX-License-Identifier: MIT */
/*
 * How objects are laid out, for the files that make, walk, print and pickle
 * them; everybody else uses <multiproc/object.h>.
 *
 * An mp_obj * is a tagged word:
 *
 *     ...1   an int of all bits but one
 *     ..10   a constant (None, False, True), or an error object with its code
 *     ..00   the address of a heap object that begins with struct mp_obj
 *
 * Nesting is limited where containers are made (MPI_MAX_DEPTH), so whatever
 * walks an object may recurse; freeing does not recurse at all. There are no
 * cycles: a container only changes while it has one owner.
 */
#ifndef MULTIPROC_OBJ_H
#define MULTIPROC_OBJ_H

#include "internal.h"
#include "os_types.h"
#include "resource.h"

#include <multiproc/object.h>

enum { MPI_MAX_DEPTH = 1000 };

/* -- Tagged words ---------------------------------------------------------- */

enum mpi_constant {
    MPI_TAG_NONE = 0x02,
    MPI_TAG_FALSE = 0x06,
    MPI_TAG_TRUE = 0x0A,
    MPI_TAG_ERROR = 0x0E, /* the code in the bits above the lowest eight */
};

#define MPI_INLINE_MAX (INTPTR_MAX >> 1)
#define MPI_INLINE_MIN (-MPI_INLINE_MAX - 1)

static inline bool mpi_is_heap(const mp_obj *obj)
{
    return ((uintptr_t)obj & 3) == 0;
}

static inline bool mpi_is_inline_int(const mp_obj *obj)
{
    return ((uintptr_t)obj & 1) != 0;
}

/* Relies on >> keeping the sign, as every compiler we know does. */
static inline int64_t mpi_inline_int(const mp_obj *obj)
{
    return (intptr_t)obj >> 1;
}

/* A value that fits, as every 31-bit one does. */
static inline mp_obj *mpi_make_inline(int32_t value)
{
    return (mp_obj *)(((uintptr_t)(intptr_t)value << 1) | 1);
}

/* NULL counts as an error object, for want of a better answer. */
static inline bool mpi_is_error(const mp_obj *obj)
{
    return obj == NULL || ((uintptr_t)obj & 0xFF) == MPI_TAG_ERROR;
}

static inline mp_obj *mpi_constant(enum mpi_constant tag)
{
    return (mp_obj *)(uintptr_t)tag;
}

/* -- Heap objects ---------------------------------------------------------- */

enum mpi_obj_flags {
    MPI_STR_ASCII = 1,      /* one byte a code point */
    MPI_STR_SURROGATES = 2, /* has lone surrogates: not quite UTF-8 */
    MPI_FROZEN = 4,         /* the unpickler has seen a second use */
};

struct mp_obj {
    mpi_atomic32 refs;
    uint8_t type; /* mp_type */
    uint8_t flags;
    uint16_t depth;    /* of containers: 1 + that of the deepest item */
    mpi_atomic32 hash; /* of str, bytes, tuple; 0 until first needed */
};

typedef struct mpi_int {
    mp_obj head;
    int64_t value;
} mpi_int;

typedef struct mpi_float {
    mp_obj head;
    double value;
} mpi_float;

/* str (UTF-8, lone surrogates as three bytes each) and bytes; terminated. */
typedef struct mpi_string {
    mp_obj head;
    size_t size;
    size_t length; /* code points, or bytes */
    char data[];
} mpi_string;

/* A function or a pointer. */
typedef struct mpi_address {
    mp_obj head;
    union {
        const void *pointer;
        mp_function function;
    } to;
} mpi_address;

typedef struct mpi_resource {
    mp_obj head;
    const mpi_resource_type *type;
    void *self;
} mpi_resource;

/* Where in items an entry of a dict or set begins, or MPI_NO_SLOT. */
typedef struct mpi_slot {
    uint32_t hash;
    uint32_t position;
} mpi_slot;

#define MPI_NO_SLOT UINT32_MAX

/*
 * list, tuple, dict, set and opaque. The first items follow in the same block;
 * a container that outgrows them moves them out. A dict's are key, value, key,
 * value ... in the order of insertion. An opaque's are its name (module.name),
 * arguments and state, as far as known.
 */
typedef struct mpi_container {
    mp_obj head;
    size_t size;     /* items: twice the pairs of a dict */
    size_t capacity; /* items there is room for */
    mp_obj **items;
    /* Open addressing, a power of two; NULL while there are so few entries
     * that looking at each is faster. */
    mpi_slot *slots;
    union {
        size_t mask;  /* slots - 1; of an opaque: what calling it does */
        mp_obj *next; /* while being freed */
    } with;
} mpi_container;

static inline mp_obj **mpi_inline_items(mpi_container *container)
{
    return (mp_obj **)(void *)(container + 1);
}

static inline mp_type mpi_heap_type(const mp_obj *obj)
{
    return (mp_type)obj->type;
}

static inline bool mpi_type_is_container(mp_type type)
{
    return (type >= MP_TYPE_LIST && type <= MP_TYPE_SET) ||
           type == MP_TYPE_OPAQUE;
}

static inline const mpi_container *mpi_as_container(const mp_obj *obj)
{
    return (const mpi_container *)(const void *)obj;
}

static inline mpi_container *mpi_mutable(mp_obj *obj)
{
    return (mpi_container *)(void *)obj;
}

static inline const mpi_string *mpi_as_string(const mp_obj *obj)
{
    return (const mpi_string *)(const void *)obj;
}

static inline uint32_t mpi_depth(const mp_obj *obj)
{
    return mpi_is_heap(obj) ? obj->depth : 0;
}

/* Frees what has no reference left. */
void mpi_obj_destroy(mp_obj *obj);

/* For an object that no other thread can know yet: no locked instruction is
 * needed. */
static inline mp_obj *mpi_own_ref(mp_obj *obj)
{
    if (mpi_is_heap(obj))
        mpi_atomic32_store(&obj->refs, mpi_atomic32_load(&obj->refs) + 1);
    return obj;
}

static inline void mpi_own_unref(mp_obj *obj)
{
    if (!mpi_is_heap(obj))
        return;
    mpi_atomic32_store(&obj->refs, mpi_atomic32_load(&obj->refs) - 1);
    if (mpi_atomic32_load(&obj->refs) == 0)
        mpi_obj_destroy(obj);
}

static inline bool mpi_has_one_owner(const mp_obj *obj)
{
    return mpi_atomic32_load(&obj->refs) == 1;
}

/* -- Made by obj.c --------------------------------------------------------- */

/* A heap object with one reference, the rest of it unset; NULL: no memory. */
static inline mp_obj *mpi_obj_new(mp_type type, size_t size)
{
    mp_obj *obj = mpi_malloc(size);

    if (obj == NULL)
        return NULL;
    mpi_atomic32_store(&obj->refs, 1);
    obj->type = (uint8_t)type;
    obj->flags = 0;
    obj->depth = 0;
    mpi_atomic32_store(&obj->hash, 0);
    return obj;
}

/* An error object after mpi_fail(). */
mp_obj *mpi_obj_failed(mp_error error);
/* MP_ETYPE "expected %s, got %s", or what the error object stands for. */
mp_error mpi_expected(const char *what, const mp_obj *obj);
/* A str of size bytes; is_lenient lets surrogates pass. */
mp_obj *mpi_str(const void *data, size_t size, bool is_lenient);

/* -- obj_text.c ------------------------------------------------------------ */

/* Checks UTF-8; surrogates (three bytes each) pass and are flagged. */
bool mpi_text_check(const void *data, size_t size, size_t *length,
                    uint8_t *flags);
/* The code point at text, which is valid; *text moves on. */
uint32_t mpi_text_next(const char **text);
/* At most 4 bytes, surrogates included; returns how many. */
size_t mpi_text_put(char *text, uint32_t code);
/* What a program has printed becomes text: '?' for each byte that is none. */
void mpi_text_mend(char *text);

/* -- obj_container.c ------------------------------------------------------- */

/* An empty container with room for that many items, or an error object. */
mp_obj *mpi_container_new(mp_type type, size_t room);
/*
 * What the public ones do, without a look at the owners. All consume, on
 * failure too. Items are no error objects.
 */
mp_error mpi_extend(mp_obj *list, mp_obj *const *items, size_t count);
mp_error mpi_dict_set(mp_obj *dict, mp_obj *key, mp_obj *value);
mp_error mpi_set_add(mp_obj *set, mp_obj *item);

/* -- obj_hash.c ------------------------------------------------------------ */

/* MP_ETYPE: unhashable, or a tuple of such. Never 0. */
mp_error mpi_obj_hash(const mp_obj *obj, uint32_t *hash);
/* Identical or equal, as containers compare. */
bool mpi_obj_same(const mp_obj *left, const mp_obj *right);

/* -- obj_index.c ----------------------------------------------------------- */

/*
 * Where key is among entries of stride items each: *position is an index into
 * items, or SIZE_MAX. *hash is 0 if it was not needed. MP_ETYPE: unhashable.
 */
mp_error mpi_index_find(const mpi_container *container, size_t stride,
                        const mp_obj *key, uint32_t *hash, size_t *position);
/* Room in the index for one more entry. */
mp_error mpi_index_reserve(mpi_container *container, size_t stride);
/* Enters the key at items[position], which mpi_index_find() has not found. */
void mpi_index_enter(mpi_container *container, uint32_t hash, size_t position);

/* -- obj_order.c ----------------------------------------------------------- */

/* Python's <. MP_ETYPE: they can't be compared. Sets can't, either, which
 * Python compares, but not so that they could be sorted. */
mp_error mpi_obj_less(const mp_obj *left, const mp_obj *right, bool *is_less);

#endif
