/* SPDX-License-Identifier: MIT */
/*
 * What a C type is made of, as ctype_layout.c finds it in the description of
 * its fields: for writing it down (ctype.c), boxing (ctype_box.c) and printing
 * (ctype_repr.c).
 */
#ifndef MULTIPROC_CTYPE_LAYOUT_H
#define MULTIPROC_CTYPE_LAYOUT_H

#include "internal.h"

#include <multiproc/ctype.h>

/* -- Numbers (ctype_number.c) ---------------------------------------------- */

/* The kinds of numbers, characters among them. */
typedef enum mpi_number_kind {
    MPI_NUMBER_CHAR,
    MPI_NUMBER_BOOL,
    MPI_NUMBER_SIGNED,
    MPI_NUMBER_UNSIGNED,
    MPI_NUMBER_FLOAT,
} mpi_number_kind;

/* One of C's types of numbers. */
typedef struct mpi_number {
    char code; /* Python's typecode */
    mpi_number_kind kind;
    size_t size;
    size_t alignment; /* in a struct */
    const char *name; /* C's */
} mpi_number;

/* NULL: there is none of that code. */
const mpi_number *mpi_number_of_code(char code);
/* The first of that kind and size: int rather than long. */
const mpi_number *mpi_number_of_size(mpi_number_kind kind, size_t size);

/* Reading text; *at moves on. */
typedef struct mpi_name {
    const char *text;
    size_t size;
} mpi_name;
void mpi_skip_spaces(const char **at);
bool mpi_is_letter(char character);
bool mpi_is_digit(char character);
/* An identifier, of size 0 if there is none. */
mpi_name mpi_take_word(const char **at);
/* "unsigned long int"; NULL: that is none. */
const mpi_number *mpi_number_parse(const char **at);

/* -- Whole types (ctype_layout.c) ------------------------------------------ */

typedef enum mpi_layout_kind {
    MPI_LAYOUT_NUMBER,
    MPI_LAYOUT_BYTES, /* a struct that is not described */
    MPI_LAYOUT_ARRAY,
    MPI_LAYOUT_STRUCT,
} mpi_layout_kind;

/* A node is followed by those below it: the fields of a struct, or the one that
 * all items of an array look like. */
typedef struct mpi_layout_node {
    mpi_layout_kind kind;
    const mpi_number *number;
    size_t count; /* of items in an array, of fields in a struct */
    size_t nodes; /* this one and all below */
    size_t size;
    size_t alignment;
    size_t offset;    /* in the struct that it is a field of */
    const char *name; /* of a field, not terminated */
    size_t name_size;
} mpi_layout_node;

/* The shortest field, "a:i4,", and the shortest array, "[9]", bound how many
 * there can be in a text of MP_CTYPE_MAX. */
enum { MPI_LAYOUT_NODES = MP_CTYPE_MAX / 3 + 4 };

typedef struct mpi_layout {
    size_t count;
    mpi_layout_node nodes[MPI_LAYOUT_NODES]; /* the first: the type itself */
} mpi_layout;

/* Checks all of type. Names point into its fields. MP_EINVAL. */
mp_error mpi_layout_of(const mp_ctype *type, mpi_layout *layout);
/* The name of a type without what C puts in front: struct, const ... */
const char *mpi_ctype_plain_name(const char *name);

/* -- Walking through items (ctype_box.c, ctype_repr.c) --------------------- */

/* The fields of a struct or the items of an array, one after another. */
typedef struct mpi_walk {
    const mpi_layout_node *all;
    const mpi_layout_node *part;
    size_t index;
} mpi_walk;

static inline mpi_walk mpi_walk_from(const mpi_layout_node *node)
{
    return (mpi_walk){node, node + 1, 0};
}

static inline bool mpi_walk_has_part(const mpi_walk *at)
{
    return at->index < at->all->count;
}

static inline void mpi_walk_on(mpi_walk *at)
{
    if (at->all->kind == MPI_LAYOUT_STRUCT)
        at->part += at->part->nodes;
    at->index++;
}

/* In bytes from the beginning of the struct or array. */
static inline size_t mpi_walk_offset(const mpi_walk *at)
{
    if (at->all->kind == MPI_LAYOUT_STRUCT)
        return at->part->offset;
    return at->index * at->part->size;
}

static inline bool mpi_is_char_array(const mpi_layout_node *node)
{
    return node->kind == MPI_LAYOUT_ARRAY &&
           node[1].kind == MPI_LAYOUT_NUMBER &&
           node[1].number->kind == MPI_NUMBER_CHAR;
}

/* An item of such a type; in ctype_box.c. */
struct mp_obj *mpi_number_box(const mpi_number *number, const void *item);
uint64_t mpi_number_unsigned(const mpi_number *number, const void *item);
/* bytes up to the first NUL, as ctypes reads an array of chars. */
struct mp_obj *mpi_chars_box(const mpi_layout_node *node, const void *item);

#endif
