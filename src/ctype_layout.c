/* SPDX-License-Identifier: MIT */
/*
 * The description of a C struct, "x: double, y: int[3], in: {a: short}", parsed
 * into nodes with their sizes and offsets, as the compiler lays them out.
 *
 * The text may come from shared memory: nesting is bounded, every size checked
 * for overflow.
 */
#include "ctype_layout.h"

#include "obj.h"

#include <string.h>

/* Braces within braces; and a page, which is how memory begins. */
enum { MAX_BRACES = 16, MAX_DIMENSIONS = 8, MAX_ALIGNMENT = 4096 };

typedef struct parser {
    mpi_layout *layout;
    const char *at;
    int braces;
} parser;

/* -- Text ------------------------------------------------------------------ */

static bool is_control(char character)
{
    unsigned char byte = (unsigned char)character;

    return byte < ' ' || byte == 0x7f;
}

static bool take(parser *from, char character)
{
    mpi_skip_spaces(&from->at);
    if (*from->at != character)
        return false;
    from->at++;
    return true;
}

/* For a sentence: as much of the text as fits. */
static int shown(size_t size)
{
    return size > 40 ? 40 : (int)size;
}

static mp_error unexpected(const parser *from, const char *what)
{
    if (*from->at == '\0')
        return mpi_fail(MP_EINVAL, "the fields end where %s should be", what);
    return mpi_fail(MP_EINVAL, "'%.*s' is where %s should be",
                    shown(strlen(from->at)), from->at, what);
}

/* -- Nodes ----------------------------------------------------------------- */

static mp_error too_large(void)
{
    return mpi_fail(MP_EINVAL, "a type has more bytes than there are "
                               "addresses");
}

/* size as a multiple of alignment, a power of two. */
static bool round_up(size_t *size, size_t alignment)
{
    if (*size > PTRDIFF_MAX - alignment)
        return false;
    *size = (*size + alignment - 1) & ~(alignment - 1);
    return true;
}

/* A new one at index; those from there on move up. */
static mp_error insert_node(mpi_layout *layout, size_t index,
                            const mpi_layout_node *node)
{
    mpi_layout_node *place = &layout->nodes[index];

    if (layout->count == MPI_LAYOUT_NODES)
        return mpi_fail(MP_EINVAL, "a type has more than %d parts",
                        (int)MPI_LAYOUT_NODES);
    memmove(place + 1, place, (layout->count - index) * sizeof(*place));
    *place = *node;
    layout->count++;
    return MP_OK;
}

static mp_error append_number(mpi_layout *layout, const mpi_number *number)
{
    mpi_layout_node node = {.kind = MPI_LAYOUT_NUMBER,
                            .number = number,
                            .nodes = 1,
                            .size = number->size,
                            .alignment = number->alignment};

    return insert_node(layout, layout->count, &node);
}

/* -- Fields ---------------------------------------------------------------- */

static mp_error parse_number(parser *from)
{
    const char *begin = from->at;
    const mpi_number *number = mpi_number_parse(&from->at);

    if (number != NULL)
        return append_number(from->layout, number);
    if (from->at == begin)
        return unexpected(from, "a type");
    return mpi_fail(MP_EINVAL, "unknown type '%.*s'",
                    shown((size_t)(from->at - begin)), begin);
}

/* "3]" */
static mp_error parse_length(parser *from, size_t *length)
{
    *length = 0;
    mpi_skip_spaces(&from->at);
    if (!mpi_is_digit(*from->at))
        return unexpected(from, "the length of an array");
    for (; mpi_is_digit(*from->at); from->at++) {
        size_t digit = (size_t)(*from->at - '0');

        if (*length > (PTRDIFF_MAX - digit) / 10)
            return too_large();
        *length = *length * 10 + digit;
    }
    if (*length == 0)
        return mpi_fail(MP_EINVAL, "an array has no items");
    return take(from, ']') ? MP_OK : unexpected(from, "']'");
}

/* The node at index is an item of an array of that length. */
static mp_error wrap(mpi_layout *layout, size_t index, size_t length)
{
    const mpi_layout_node *item = &layout->nodes[index];
    mpi_layout_node array = {.kind = MPI_LAYOUT_ARRAY,
                             .count = length,
                             .nodes = item->nodes + 1,
                             .alignment = item->alignment};

    if (item->size > PTRDIFF_MAX / length)
        return too_large();
    array.size = item->size * length;
    return insert_node(layout, index, &array);
}

/* "[3][4]" after the node at index: 3 arrays of 4 of it. */
static mp_error parse_lengths(parser *from, size_t index)
{
    size_t lengths[MAX_DIMENSIONS];
    size_t count = 0;
    mp_error err = MP_OK;

    while (err == MP_OK && take(from, '[')) {
        if (count == MAX_DIMENSIONS)
            return mpi_fail(MP_EINVAL, "an array has more than %d dimensions",
                            (int)MAX_DIMENSIONS);
        err = parse_length(from, &lengths[count++]);
    }
    while (err == MP_OK && count > 0)
        err = wrap(from->layout, index, lengths[--count]);
    return err;
}

static mp_error parse_fields(parser *from, size_t self, char end);

/* "{...}": its size is a multiple of its alignment. */
static mp_error parse_struct(parser *from)
{
    mpi_layout *layout = from->layout;
    size_t self = layout->count;
    mpi_layout_node node = {.kind = MPI_LAYOUT_STRUCT, .alignment = 1};
    mp_error err;

    if (from->braces == MAX_BRACES)
        return mpi_fail(MP_EINVAL, "structs are nested deeper than %d levels",
                        (int)MAX_BRACES);
    err = insert_node(layout, self, &node);
    if (err != MP_OK)
        return err;
    from->braces++;
    err = parse_fields(from, self, '}');
    from->braces--;
    if (err == MP_OK &&
        !round_up(&layout->nodes[self].size, layout->nodes[self].alignment))
        err = too_large();
    return err;
}

static mp_error check_name(const mpi_layout *layout, size_t self, mpi_name name)
{
    const mpi_layout_node *field = &layout->nodes[self + 1];

    for (size_t i = 0; i < layout->nodes[self].count; i++) {
        if (field->name_size == name.size &&
            memcmp(field->name, name.text, name.size) == 0)
            return mpi_fail(MP_EINVAL, "two fields are called '%.*s'",
                            shown(name.size), name.text);
        field += field->nodes;
    }
    return MP_OK;
}

/* The field at index comes behind the others of the struct. */
static mp_error place_field(mpi_layout *layout, size_t self, size_t index)
{
    mpi_layout_node *all = &layout->nodes[self];
    mpi_layout_node *field = &layout->nodes[index];

    if (!round_up(&all->size, field->alignment) ||
        all->size > PTRDIFF_MAX - field->size)
        return too_large();
    field->offset = all->size;
    all->size += field->size;
    if (all->alignment < field->alignment)
        all->alignment = field->alignment;
    all->count++;
    all->nodes = layout->count - self;
    return MP_OK;
}

/* "x: double[3]" */
static mp_error parse_field(parser *from, size_t self)
{
    mpi_layout *layout = from->layout;
    size_t index = layout->count;
    mpi_name name;
    mp_error err;

    mpi_skip_spaces(&from->at);
    name = mpi_take_word(&from->at);
    if (name.size == 0)
        return unexpected(from, "the name of a field");
    err = check_name(layout, self, name);
    if (err != MP_OK)
        return err;
    if (!take(from, ':'))
        return mpi_fail(MP_EINVAL, "there is no ':' after the field '%.*s'",
                        shown(name.size), name.text);
    err = take(from, '{') ? parse_struct(from) : parse_number(from);
    if (err == MP_OK)
        err = parse_lengths(from, index);
    if (err != MP_OK)
        return err;
    layout->nodes[index].name = name.text;
    layout->nodes[index].name_size = name.size;
    return place_field(layout, self, index);
}

/* Up to end, which is skipped: '}' or the terminator, which is not. */
static mp_error parse_fields(parser *from, size_t self, char end)
{
    mp_error err;

    do {
        err = parse_field(from, self);
        if (err != MP_OK)
            return err;
    } while (take(from, ','));
    mpi_skip_spaces(&from->at);
    if (*from->at != end)
        return unexpected(from, end == '}' ? "',' or '}'" : "','");
    if (end != '\0')
        from->at++;
    return MP_OK;
}

/* -- Whole types ----------------------------------------------------------- */

/* What C lets stand in front of a name. */
static const char *const fronts[] = {"const ", "volatile ", "struct ",
                                     "union ", "enum ",     "class "};

const char *mpi_ctype_plain_name(const char *name)
{
    size_t i = 0;

    while (i < sizeof(fronts) / sizeof(fronts[0])) {
        size_t size = strlen(fronts[i]);

        if (strncmp(name, fronts[i], size) == 0) {
            name += size;
            i = 0;
        } else {
            i++;
        }
    }
    return name;
}

/* It is printed, and written down behind braces. */
static mp_error check_type_name(const char *name)
{
    size_t size = name != NULL ? strlen(name) : 0;
    size_t length;
    uint8_t flags;

    if (size == 0 || !(mpi_is_letter(name[0]) || name[0] == ':'))
        return mpi_fail(MP_EINVAL, "a struct has no name");
    for (size_t i = 0; i < size; i++) {
        if (is_control(name[i]) || name[i] == '{' || name[i] == '}')
            return mpi_fail(MP_EINVAL, "the name of a struct is none");
    }
    if (!mpi_text_check(name, size, &length, &flags) || flags > MPI_STR_ASCII)
        return mpi_fail(MP_EINVAL, "the name of a struct is not UTF-8");
    if (name[size - 1] == '*')
        return mpi_fail(MP_EINVAL,
                        "'%.*s' is a pointer, which means nothing "
                        "in another process",
                        shown(size), name);
    return MP_OK;
}

/* Before anything of them is in a sentence. */
static mp_error check_fields_text(const char *fields)
{
    size_t size = strlen(fields);
    size_t length;
    uint8_t flags;

    if (!mpi_text_check(fields, size, &length, &flags) || flags > MPI_STR_ASCII)
        return mpi_fail(MP_EINVAL, "the description of a struct is not UTF-8");
    for (size_t i = 0; i < size; i++) {
        if (is_control(fields[i]) && strchr("\t\r\n", fields[i]) == NULL)
            return mpi_fail(MP_EINVAL,
                            "the description of a struct is no text");
    }
    return MP_OK;
}

static mp_error number_layout(const mp_ctype *type, mpi_layout *layout)
{
    const mpi_number *number = mpi_number_of_code(type->code);

    if (number == NULL)
        return mpi_fail(MP_EINVAL, "there is no typecode '%c'",
                        (unsigned char)type->code < 0x80 &&
                                !is_control(type->code)
                            ? type->code
                            : '?');
    if (type->size != number->size)
        return mpi_fail(MP_EINVAL, "%s has %zu bytes, not %zu", number->name,
                        number->size, type->size);
    if (type->alignment > type->size)
        return mpi_fail(MP_EINVAL,
                        "%s aligned to %zu bytes has to be in a struct",
                        number->name, type->alignment);
    if (type->fields != NULL)
        return mpi_fail(MP_EINVAL, "%s has no fields", number->name);
    return append_number(layout, number);
}

/* What is true of every struct. */
static mp_error check_struct(const mp_ctype *type, const char *name)
{
    mp_error err = check_type_name(name);

    if (err != MP_OK)
        return err;
    if (type->size == 0 || type->size > PTRDIFF_MAX)
        return mpi_fail(MP_EINVAL, "%s has %zu bytes", name, type->size);
    if (type->alignment == 0 || type->alignment > MAX_ALIGNMENT ||
        (type->alignment & (type->alignment - 1)) != 0 ||
        type->size % type->alignment != 0)
        return mpi_fail(MP_EINVAL, "%s has %zu bytes, aligned to %zu", name,
                        type->size, type->alignment);
    return MP_OK;
}

/* The fields are all that is in it. */
static mp_error check_sum(const mp_ctype *type, const char *name,
                          mpi_layout_node *root)
{
    if (root->alignment > type->alignment)
        return mpi_fail(MP_EINVAL, "a field is aligned to %zu bytes, %s to %zu",
                        root->alignment, name, type->alignment);
    if (!round_up(&root->size, type->alignment))
        return too_large();
    if (root->size != type->size)
        return mpi_fail(MP_EINVAL, "the fields take %zu bytes, %s has %zu",
                        root->size, name, type->size);
    root->alignment = type->alignment;
    return MP_OK;
}

mp_error mpi_layout_of(const mp_ctype *type, mpi_layout *layout)
{
    parser from = {.layout = layout, .at = type->fields};
    mpi_layout_node root = {.kind = MPI_LAYOUT_STRUCT, .alignment = 1};
    const char *name;
    mp_error err;

    layout->count = 0;
    if (type->code != '\0' || (type->size == 0 && type->name == NULL))
        return number_layout(type, layout);
    name = type->name != NULL ? mpi_ctype_plain_name(type->name) : NULL;
    err = check_struct(type, name);
    if (err != MP_OK)
        return err;
    if (type->fields == NULL) {
        root = (mpi_layout_node){.kind = MPI_LAYOUT_BYTES,
                                 .nodes = 1,
                                 .size = type->size,
                                 .alignment = type->alignment};
        return insert_node(layout, 0, &root);
    }
    err = check_fields_text(type->fields);
    if (err == MP_OK)
        err = insert_node(layout, 0, &root);
    if (err == MP_OK)
        err = parse_fields(&from, 0, '\0');
    if (err != MP_OK)
        return err;
    return check_sum(type, name, &layout->nodes[0]);
}
