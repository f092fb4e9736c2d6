/* SPDX-License-Identifier: MIT */
/*
 * The pickle reader's machine, shared by its files: pickle_load.c (the stack,
 * the opcode table), pickle_value.c (binary values, the memo), pickle_text.c
 * (lines of text: protocol 0), pickle_items.c (containers), pickle_global.c
 * (names and calls).
 */
#ifndef MULTIPROC_PICKLE_LOAD_H
#define MULTIPROC_PICKLE_LOAD_H

#include "obj.h"

enum { MPI_STACK_FIRST = 64, MPI_MARKS_FIRST = 32, MPI_MEMO_FIRST = 32 };

/* Everything is sized by bytes read, never by numbers found in them. */
typedef struct mpi_loader {
    const unsigned char *at;
    const unsigned char *end;
    size_t size; /* of the whole pickle */
    mpi_transport *transport;
    bool is_done;

    mp_obj **stack; /* each with a reference */
    size_t depth;
    size_t stack_capacity;
    size_t fence; /* what lies below belongs to an outer mark */

    size_t *marks; /* stack depths */
    size_t mark_count;
    size_t mark_capacity;

    mp_obj **memo; /* each with a reference, or NULL */
    size_t memo_count;
    size_t memo_size;
    size_t memo_capacity;

    mp_obj *first_stack[MPI_STACK_FIRST];
    size_t first_marks[MPI_MARKS_FIRST];
    mp_obj *first_memo[MPI_MEMO_FIRST];
} mpi_loader;

typedef mp_error mpi_opcode_handler(mpi_loader *from);

/* -- pickle_load.c --------------------------------------------------------- */

mp_error mpi_load_cut_short(void);
mp_error mpi_load_underflow(void);
/* mpi_load_push() when the stack is full or obj is an error object. */
mp_error mpi_load_push_slowly(mpi_loader *from, mp_obj *obj);
/* One more reference on the stack: from now on the object is complete. */
mp_error mpi_load_push_again(mpi_loader *from, mp_obj *obj);
/* Twice the room, in the heap from the first time on; NULL: no memory. */
void *mpi_load_grow(void *array, const void *first, size_t *capacity,
                    size_t item_size);
/* The caller owns it. MP_EUNPICKLE: there is nothing above the mark. */
mp_error mpi_load_pop(mpi_loader *from, mp_obj **obj);
/* Removes the last mark; what was above it stays, from *first on. */
mp_error mpi_load_unmark(mpi_loader *from, size_t *first);
/* Gives up what is on the stack from depth on. */
void mpi_load_drop_to(mpi_loader *from, size_t depth);
/* What stands before the next newline, which is skipped. */
mp_error mpi_load_line(mpi_loader *from, const char **text, size_t *size);

/* The next size bytes, or NULL. */
static inline const unsigned char *mpi_load_take(mpi_loader *from,
                                                 uint64_t size)
{
    const unsigned char *at = from->at;

    if ((uint64_t)(from->end - at) < size)
        return NULL;
    from->at += size;
    return at;
}

/* A little-endian number of 1 to 8 bytes. */
static inline bool mpi_load_little(mpi_loader *from, unsigned size,
                                   uint64_t *out)
{
    const unsigned char *at = mpi_load_take(from, size);
    uint64_t value = 0;

    if (at == NULL)
        return false;
    for (unsigned i = size; i-- > 0;)
        value = value << 8 | at[i];
    *out = value;
    return true;
}

/* A length of width bytes, then as many bytes as it says. */
static inline const unsigned char *mpi_load_sized(mpi_loader *from,
                                                  unsigned width, size_t *size)
{
    const unsigned char *at;
    uint64_t length;

    if (!mpi_load_little(from, width, &length))
        return NULL;
    at = mpi_load_take(from, length);
    *size = (size_t)length;
    return at;
}

/* Consumes obj; an error object is returned as its error. */
static inline mp_error mpi_load_push(mpi_loader *from, mp_obj *obj)
{
    if (mpi_is_error(obj) || from->depth == from->stack_capacity)
        return mpi_load_push_slowly(from, obj);
    from->stack[from->depth++] = obj;
    return MP_OK;
}

/* -- pickle_value.c -------------------------------------------------------- */

mpi_opcode_handler mpi_load_none;
mpi_opcode_handler mpi_load_true;
mpi_opcode_handler mpi_load_false;
mpi_opcode_handler mpi_load_bin_int;
mpi_opcode_handler mpi_load_bin_int2;
mpi_opcode_handler mpi_load_long1;
mpi_opcode_handler mpi_load_long4;
mpi_opcode_handler mpi_load_bin_float;
mpi_opcode_handler mpi_load_short_binunicode;
mpi_opcode_handler mpi_load_binunicode;
mpi_opcode_handler mpi_load_binunicode8;
mpi_opcode_handler mpi_load_short_binbytes;
mpi_opcode_handler mpi_load_binbytes;
mpi_opcode_handler mpi_load_binbytes8;
mpi_opcode_handler mpi_load_short_binstring;
mpi_opcode_handler mpi_load_binstring;

mpi_opcode_handler mpi_load_memoize;
mpi_opcode_handler mpi_load_binget;
mpi_opcode_handler mpi_load_long_binget;
mpi_opcode_handler mpi_load_binput;
mpi_opcode_handler mpi_load_long_binput;
mp_error mpi_load_get(mpi_loader *from, uint64_t index);
mp_error mpi_load_put(mpi_loader *from, uint64_t index);

/* -- pickle_items.c -------------------------------------------------------- */

mpi_opcode_handler mpi_load_empty_list;
mpi_opcode_handler mpi_load_empty_tuple;
mpi_opcode_handler mpi_load_empty_dict;
mpi_opcode_handler mpi_load_empty_set;
mpi_opcode_handler mpi_load_list;
mpi_opcode_handler mpi_load_tuple;
mpi_opcode_handler mpi_load_dict;
mpi_opcode_handler mpi_load_frozenset;
mpi_opcode_handler mpi_load_tuple1;
mpi_opcode_handler mpi_load_tuple2;
mpi_opcode_handler mpi_load_tuple3;
mpi_opcode_handler mpi_load_append;
mpi_opcode_handler mpi_load_appends;
mpi_opcode_handler mpi_load_setitem;
mpi_opcode_handler mpi_load_setitems;
mpi_opcode_handler mpi_load_additems;

/* -- pickle_text.c --------------------------------------------------------- */

mpi_opcode_handler mpi_load_int;
mpi_opcode_handler mpi_load_long;
mpi_opcode_handler mpi_load_float;
mpi_opcode_handler mpi_load_string;
mpi_opcode_handler mpi_load_unicode;
mpi_opcode_handler mpi_load_get_line;
mpi_opcode_handler mpi_load_put_line;
/* A str of Python 2: ASCII, or it can't be told what it means. */
mp_error mpi_load_ascii(mpi_loader *from, const void *text, size_t size);

/* -- pickle_global.c ------------------------------------------------------- */

mpi_opcode_handler mpi_load_global;
mpi_opcode_handler mpi_load_stack_global;
mpi_opcode_handler mpi_load_reduce;
mpi_opcode_handler mpi_load_newobj_ex;
mpi_opcode_handler mpi_load_build;

#endif
