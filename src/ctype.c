/* SPDX-License-Identifier: MIT */
/*
 * C types of what is shared: by Python's typecode, and as written down, so that
 * two processes find out whether they mean the same.
 *
 *     i4                                   int, int32_t; on Windows long, too
 *     char, bool, u1, f8                   unsigned char, double
 *     16:8{x:f8,tag:char[8]}point          size, alignment, fields, name
 *     16:8 point                           a struct that is not described
 *
 * Each type has one text only, and no other text is taken for it.
 */
#include "ctypes.h"
#include "ctype_layout.h"

#include <stdio.h>
#include <string.h>

/* -- Writing --------------------------------------------------------------- */

/* What does not fit counts, but is not written. */
typedef struct writer {
    char text[MP_CTYPE_MAX + 1];
    size_t size;
} writer;

static void put(writer *to, const char *text, size_t size)
{
    if (to->size <= MP_CTYPE_MAX && size <= MP_CTYPE_MAX - to->size)
        memcpy(to->text + to->size, text, size);
    /* Both are less than half of what there are addresses. */
    to->size += size;
}

static void put_text(writer *to, const char *text)
{
    put(to, text, strlen(text));
}

static void put_size(writer *to, size_t size)
{
    char digits[24];

    snprintf(digits, sizeof(digits), "%zu", size);
    put_text(to, digits);
}

static void put_number(writer *to, const mpi_number *number)
{
    static const char *const kinds[] = {
        [MPI_NUMBER_CHAR] = "char", [MPI_NUMBER_BOOL] = "bool",
        [MPI_NUMBER_SIGNED] = "i",  [MPI_NUMBER_UNSIGNED] = "u",
        [MPI_NUMBER_FLOAT] = "f",
    };

    put_text(to, kinds[number->kind]);
    if (number->kind != MPI_NUMBER_CHAR && number->kind != MPI_NUMBER_BOOL)
        put_size(to, number->size);
}

static void put_node(writer *to, const mpi_layout_node *node);

static void put_fields(writer *to, const mpi_layout_node *node)
{
    const mpi_layout_node *field = node + 1;

    for (size_t i = 0; i < node->count; i++) {
        if (i != 0)
            put(to, ",", 1);
        put(to, field->name, field->name_size);
        put(to, ":", 1);
        put_node(to, field);
        field += field->nodes;
    }
}

/* As after the ':' of a field. Recursion is as deep as mpi_layout_of() allows.
 */
static void put_node(writer *to, const mpi_layout_node *node)
{
    const mpi_layout_node *array = node;

    while (node->kind == MPI_LAYOUT_ARRAY)
        node++;
    if (node->kind == MPI_LAYOUT_NUMBER) {
        put_number(to, node->number);
    } else {
        put(to, "{", 1);
        put_fields(to, node);
        put(to, "}", 1);
    }
    for (; array->kind == MPI_LAYOUT_ARRAY; array++) {
        put(to, "[", 1);
        put_size(to, array->count);
        put(to, "]", 1);
    }
}

static void put_type(writer *to, const mp_ctype *type,
                     const mpi_layout_node *root)
{
    if (root->kind == MPI_LAYOUT_NUMBER) {
        put_number(to, root->number);
        return;
    }
    put_size(to, type->size);
    put(to, ":", 1);
    put_size(to, type->alignment);
    if (root->kind == MPI_LAYOUT_STRUCT)
        put_node(to, root);
    else
        put(to, " ", 1);
    put_text(to, mpi_ctype_plain_name(type->name));
}

mp_error mpi_ctype_write(const mp_ctype *type, mpi_ctype_text *out)
{
    writer to = {{0}, 0};
    mpi_layout layout;
    mp_error err = mpi_layout_of(type, &layout);

    if (err != MP_OK)
        return err;
    put_type(&to, type, &layout.nodes[0]);
    if (to.size > MP_CTYPE_MAX)
        return mpi_fail(MP_EINVAL,
                        "the description of a type has %zu bytes, %d at most",
                        to.size, MP_CTYPE_MAX);
    memcpy(out->text, to.text, sizeof(out->text));
    return MP_OK;
}

/* -- Reading --------------------------------------------------------------- */

static mp_error damaged(void)
{
    return mpi_fail(MP_EPROTO, "the description of a type is damaged");
}

/* Digits; *at moves on. What is too large ends up as something else, which
 * does not read back as it was written. */
static size_t read_size(char **at)
{
    size_t size = 0;

    for (; **at >= '0' && **at <= '9'; ++*at)
        size = size * 10 + (size_t)(**at - '0');
    return size;
}

/* "i4" or "char". */
static bool read_number(const char *text, mp_ctype *type)
{
    writer to;

    for (const char *code = "c?bBhHiIlLqQfd"; *code != '\0'; code++) {
        *type = mp_ctype_of_code(*code);
        to = (writer){{0}, 0};
        put_number(&to, mpi_number_of_code(*code));
        if (strcmp(to.text, text) == 0)
            return true;
    }
    return false;
}

/* "16:8{...}point" or "16:8 point", split. */
static bool read_struct(char *text, mp_ctype *type)
{
    char *end;

    *type = (mp_ctype){0};
    type->size = read_size(&text);
    if (*text++ != ':')
        return false;
    type->alignment = read_size(&text);
    if (*text == ' ') {
        type->name = text + 1;
        return true;
    }
    end = strrchr(text, '}');
    if (*text != '{' || end == NULL)
        return false;
    *end = '\0';
    type->fields = text + 1;
    type->name = end + 1;
    return true;
}

mp_error mpi_ctype_read(mpi_ctype_text *text, mp_ctype *type)
{
    const mpi_ctype_text original = *text;
    mpi_ctype_text again;
    mp_ctype found;

    if (memchr(original.text, '\0', sizeof(original.text)) == NULL)
        return damaged();
    if (!read_number(text->text, &found)) {
        if (!read_struct(text->text, &found) ||
            mpi_ctype_write(&found, &again) != MP_OK ||
            strcmp(again.text, original.text) != 0)
            return damaged();
    }
    *type = found;
    return MP_OK;
}

/* -- Public ---------------------------------------------------------------- */

mp_ctype mp_ctype_of_code(char code)
{
    const mpi_number *number = mpi_number_of_code(code);
    mp_ctype type = {.code = code};

    if (number != NULL) {
        type.size = number->size;
        type.alignment = number->alignment;
        type.name = number->name;
    }
    return type;
}
