/* SPDX-License-Identifier: MIT */
/* ShareableList: the items in CPython's layout; stored, read and changed. */
#include "shareable_layout.h"

#include "obj.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TEXT_MAX = 9999992, /* the largest slot whose format fits a word */
    ATTEMPTS = 100,     /* to read what others are changing */
    FORMAT_SIZE = 24,
};

/* What Python makes of the struct's value. */
typedef enum code {
    CODE_VALUE,
    CODE_STR,
    CODE_BYTES,
    CODE_NONE,
} code;

typedef enum shape {
    SHAPE_INT,
    SHAPE_FLOAT,
    SHAPE_BOOL,
    SHAPE_NONE,
    SHAPE_TEXT, /* str or bytes: the code tells */
} shape;

static const char formats[][MPI_LAYOUT_WORD + 1] = {
    [SHAPE_INT] = "q",
    [SHAPE_FLOAT] = "d",
    [SHAPE_BOOL] = "xxxxxxx?", /* in the last byte */
    [SHAPE_NONE] = "xxxxxx?x",
};

enum { FORMAT_COUNT = sizeof(formats) / sizeof(formats[0]) };

/* -- Words and codes ------------------------------------------------------- */

/* A code stands alone, between others that Python may be changing. */
static unsigned load_code(const mpi_layout *layout, const void *memory,
                          size_t index)
{
    const volatile unsigned char *at = memory;
    unsigned value;

    mpi_fence();
    value = at[layout->codes + index];
    mpi_fence();
    return value;
}

static void store_code(const mpi_layout *layout, void *memory, size_t index,
                       code value)
{
    volatile unsigned char *at = memory;

    mpi_fence();
    at[layout->codes + index] = (unsigned char)value;
    mpi_fence();
}

/* How often the item began to be changed, as far as that is counted. */
static uint32_t load_changes(const mpi_layout *layout, const void *memory,
                             size_t index)
{
    const unsigned char *at = (const unsigned char *)memory + layout->changes;

    if (layout->changes == 0)
        return 0;
    mpi_fence();
    return mpi_atomic32_load((const mpi_atomic32 *)(const void *)at + index);
}

static void count_change(const mpi_layout *layout, void *memory, size_t index)
{
    unsigned char *at = (unsigned char *)memory + layout->changes;

    if (layout->changes != 0)
        (void)mpi_atomic32_add((mpi_atomic32 *)(void *)at + index, 1);
}

/* Of 8 bytes, with what is behind the text's end. */
static uint64_t format_word(const char *text)
{
    uint64_t word;

    memcpy(&word, text, sizeof(word));
    return word;
}

static uint64_t text_format(size_t room)
{
    char format[FORMAT_SIZE] = {0};

    snprintf(format, sizeof(format), "%zus", room);
    return format_word(format);
}

/* -- Values ---------------------------------------------------------------- */

/* What an object is to be stored as. */
typedef struct value {
    shape shape;
    code code;
    uint64_t word; /* unless it is text: what is stored */
    const char *text;
    size_t size;
} value;

static uint64_t bool_word(bool is_true)
{
    unsigned char bytes[MPI_LAYOUT_WORD] = {0};
    uint64_t word;

    bytes[MPI_LAYOUT_WORD - 1] = is_true;
    memcpy(&word, bytes, sizeof(word));
    return word;
}

static mp_error check_text(const mp_obj *obj, value *out)
{
    const char *name = mp_obj_type_name(obj);
    const mpi_string *string = mpi_as_string(obj);

    out->text = string->data;
    out->size = string->size;
    if (out->size > 0 && out->text[out->size - 1] == '\0')
        return mpi_fail(MP_EINVAL,
                        "a %s in a ShareableList can't end with NUL, which "
                        "could not be told from unused room",
                        name);
    if (out->code == CODE_STR && (string->head.flags & MPI_STR_SURROGATES) != 0)
        return mpi_fail(MP_EINVAL, "a str with a lone surrogate can't be "
                                   "stored: it is not UTF-8");
    if (out->size >= TEXT_MAX)
        return mpi_fail(MP_EOVERFLOW,
                        "a %s of %zu bytes: a ShareableList takes fewer than "
                        "%d",
                        name, out->size, TEXT_MAX);
    return MP_OK;
}

static mp_error read_value(const mp_obj *obj, value *out)
{
    int64_t number = 0;
    double real = 0;
    bool is_true = false;

    *out = (value){.shape = SHAPE_TEXT, .code = CODE_VALUE};
    switch (mp_obj_type(obj)) {
    case MP_TYPE_NONE:
        out->shape = SHAPE_NONE;
        out->code = CODE_NONE;
        return MP_OK;
    case MP_TYPE_BOOL:
        out->shape = SHAPE_BOOL;
        (void)mp_obj_as_bool(obj, &is_true);
        out->word = bool_word(is_true);
        return MP_OK;
    case MP_TYPE_INT:
        out->shape = SHAPE_INT;
        (void)mp_obj_as_int(obj, &number);
        out->word = (uint64_t)number;
        return MP_OK;
    case MP_TYPE_FLOAT:
        out->shape = SHAPE_FLOAT;
        (void)mp_obj_as_float(obj, &real);
        memcpy(&out->word, &real, sizeof(real));
        return MP_OK;
    case MP_TYPE_STR:
        out->code = CODE_STR;
        break;
    case MP_TYPE_BYTES:
        out->code = CODE_BYTES;
        break;
    default:
        return mpi_expected("None, bool, int, float, str or bytes", obj);
    }
    return check_text(obj, out);
}

/* More than it needs, as CPython does it; but there a str's code points are
 * counted, and what they don't suffice for is cut off. */
mp_error mpi_layout_room(const mp_obj *obj, size_t *room)
{
    value it;
    mp_error err = read_value(obj, &it);

    if (err == MP_OK)
        *room = it.shape == SHAPE_TEXT
                    ? MPI_LAYOUT_WORD * (it.size / MPI_LAYOUT_WORD + 1)
                    : MPI_LAYOUT_WORD;
    return err;
}

/* -- Storing --------------------------------------------------------------- */

static void fill_slot(char *slot, size_t room, const value *it)
{
    if (it->shape != SHAPE_TEXT) {
        mpi_layout_store(slot, 0, it->word);
        return;
    }
    memcpy(slot, it->text, it->size);
    memset(slot + it->size, 0, room - it->size);
}

/* Text in place of text keeps the format, as CPython does it, unless that is
 * not what CPython would have written. */
static void store(const mpi_layout *layout, void *memory, size_t index,
                  const value *it)
{
    size_t place = layout->offsets[index];
    size_t room = layout->offsets[index + 1] - place;

    fill_slot((char *)memory + place, room, it);
    mpi_layout_store(memory, layout->formats + MPI_LAYOUT_WORD * index,
                     it->shape == SHAPE_TEXT ? text_format(room)
                                             : format_word(formats[it->shape]));
    store_code(layout, memory, index, it->code);
}

void mpi_layout_put(const mpi_layout *layout, void *memory, size_t index,
                    const mp_obj *obj)
{
    value it;

    if (read_value(obj, &it) == MP_OK) /* it is, asked for room before */
        store(layout, memory, index, &it);
}

/* -- Reading --------------------------------------------------------------- */

/* An item as it was found: its slot is a copy. */
typedef struct found {
    unsigned code;
    uint64_t format;
    uint64_t word; /* the slot's first 8 bytes */
    shape shape;
    size_t size; /* of text */
} found;

static mp_error fail_damaged(size_t index, const char *why)
{
    return mpi_fail(MP_EPROTO, "item %zu of the ShareableList is damaged: %s",
                    index, why);
}

/* "16s". No sign, no blank, no leading 0. */
static bool parse_text_format(const char *format, size_t room, size_t *size)
{
    size_t number = 0;
    const char *at = format;

    while (*at >= '0' && *at <= '9')
        number = number * 10 + (size_t)(*at++ - '0');
    if (at == format || *format == '0' || strcmp(at, "s") != 0 || number > room)
        return false;
    *size = number;
    return true;
}

static bool parse_format(found *it, size_t room)
{
    char text[MPI_LAYOUT_WORD + 1] = {0};

    memcpy(text, &it->format, sizeof(it->format));
    for (size_t i = 0; i < FORMAT_COUNT; i++) {
        if (format_word(formats[i]) == it->format) {
            it->shape = (shape)i;
            return true;
        }
    }
    it->shape = SHAPE_TEXT;
    return parse_text_format(text, room, &it->size);
}

/* Is it what was there before its slot was read? */
static bool is_still(const mpi_layout *layout, const void *memory, size_t index,
                     const found *it)
{
    return load_code(layout, memory, index) == it->code &&
           mpi_layout_load(memory, layout->formats + MPI_LAYOUT_WORD * index) ==
               it->format;
}

static mp_obj *make_text(const found *it, const char *text, size_t index)
{
    size_t size = it->size;
    mp_obj *obj;

    while (size > 0 && text[size - 1] == '\0')
        size--;
    if (it->code == CODE_BYTES)
        return mp_obj_bytes(text, size);
    obj = mpi_str(text, size, false);
    if (mp_obj_error(obj) == MP_EINVAL)
        return mpi_obj_failed(fail_damaged(index, "it is not UTF-8"));
    return obj;
}

/* What the code and the format agree upon. */
static mp_obj *make_number(const found *it, size_t index)
{
    unsigned char bytes[MPI_LAYOUT_WORD];
    double real;

    if (it->code != CODE_VALUE)
        return mpi_obj_failed(
            fail_damaged(index, "its code does not fit its format"));
    memcpy(bytes, &it->word, sizeof(bytes));
    memcpy(&real, &it->word, sizeof(real));
    switch (it->shape) {
    case SHAPE_INT:
        return mp_obj_int((int64_t)it->word);
    case SHAPE_FLOAT:
        return mp_obj_float(real);
    case SHAPE_BOOL:
        return mp_obj_bool(bytes[MPI_LAYOUT_WORD - 1] != 0);
    default:
        return mp_obj_bool(bytes[MPI_LAYOUT_WORD - 2] !=
                           0); /* as Python reads it */
    }
}

/* MP_PENDING: it is being changed. */
static mp_error read_text(const mpi_layout *layout, const void *memory,
                          size_t index, found *it, mp_obj **obj)
{
    const char *slot = (const char *)memory + layout->offsets[index];
    mp_error err = MP_PENDING;
    char *copy;

    if (it->code != CODE_STR && it->code != CODE_BYTES)
        return fail_damaged(index, "its code does not fit its format");
    copy = mpi_malloc(it->size);
    if (copy == NULL)
        return mpi_no_memory();
    memcpy(copy, slot, it->size);
    if (is_still(layout, memory, index, it) &&
        memcmp(copy, slot, it->size) == 0) {
        *obj = make_text(it, copy, index);
        err = mp_obj_error(*obj);
    }
    free(copy);
    return err;
}

/* As read_text(). */
static mp_error read_item(const mpi_layout *layout, const void *memory,
                          size_t index, mp_obj **obj)
{
    size_t place = layout->offsets[index];
    size_t room = layout->offsets[index + 1] - place;
    found it = {.code = load_code(layout, memory, index)};

    *obj = mp_obj_none();
    if (it.code == CODE_NONE)
        return MP_OK;
    it.format =
        mpi_layout_load(memory, layout->formats + MPI_LAYOUT_WORD * index);
    it.word = mpi_layout_load(memory, place);
    if (!parse_format(&it, room))
        return fail_damaged(index, "it has no format of Python's");
    if (it.shape == SHAPE_TEXT)
        return read_text(layout, memory, index, &it, obj);
    if (!is_still(layout, memory, index, &it))
        return MP_PENDING;
    *obj = make_number(&it, index);
    return mp_obj_error(*obj);
}

/*
 * The same look at code and format, before and after, says that at most one
 * change was under way: of two the second may have brought back what the first
 * took away. So the count must be the same, too.
 */
static mp_error read_calmly(const mpi_layout *layout, const void *memory,
                            size_t index, mp_obj **obj)
{
    uint32_t changes = load_changes(layout, memory, index);
    mp_error err = read_item(layout, memory, index, obj);

    if (load_changes(layout, memory, index) != changes)
        err = MP_PENDING;
    if (err != MP_OK)
        mp_obj_unref(*obj);
    return err;
}

/* What looks damaged may be half changed: by Python, which has another order
 * of stores. What changes all the time is None in between. */
mp_obj *mpi_layout_get(const mpi_layout *layout, const void *memory,
                       size_t index)
{
    mp_error err = MP_PENDING;
    mp_obj *obj;

    for (int i = 0; i < ATTEMPTS; i++) {
        err = read_calmly(layout, memory, index, &obj);
        if (err == MP_OK)
            return obj;
        if (err != MP_PENDING && err != MP_EPROTO)
            break;
        mpi_pause();
    }
    return err == MP_PENDING ? mp_obj_none() : mpi_obj_failed(err);
}

/* -- Changing -------------------------------------------------------------- */

static bool is_one_store(const mpi_layout *layout, const void *memory,
                         size_t index, const value *it)
{
    return it->shape != SHAPE_TEXT &&
           load_code(layout, memory, index) == (unsigned)it->code &&
           mpi_layout_load(memory, layout->formats + MPI_LAYOUT_WORD * index) ==
               format_word(formats[it->shape]);
}

mp_error mpi_layout_set(const mpi_layout *layout, void *memory, size_t index,
                        const mp_obj *obj)
{
    size_t place = layout->offsets[index];
    size_t room = layout->offsets[index + 1] - place;
    value it;
    mp_error err = read_value(obj, &it);

    if (err != MP_OK)
        return err;
    if (it.shape == SHAPE_TEXT && it.size > room)
        return mpi_fail(MP_EOVERFLOW,
                        "a %s of %zu bytes does not fit the %zu that item %zu "
                        "has",
                        mp_obj_type_name(obj), it.size, room, index);
    if (it.shape == SHAPE_TEXT && room > TEXT_MAX)
        return fail_damaged(index, "its slot is longer than any");
    if (is_one_store(layout, memory, index, &it)) {
        mpi_layout_store(memory, place, it.word);
        return MP_OK;
    }
    count_change(layout, memory, index);
    store_code(layout, memory, index, CODE_NONE);
    store(layout, memory, index, &it);
    return MP_OK;
}

/* -- The format ------------------------------------------------------------ */

mp_error mpi_layout_format(const mpi_layout *layout, const void *memory,
                           mpi_buffer *out)
{
    for (size_t i = 0; i < layout->count; i++) {
        size_t room = layout->offsets[i + 1] - layout->offsets[i];
        found it = {.format = mpi_layout_load(memory, layout->formats +
                                                          MPI_LAYOUT_WORD * i)};
        char text[MPI_LAYOUT_WORD + 1] = {0};

        if (!parse_format(&it, room))
            return fail_damaged(i, "it has no format of Python's");
        memcpy(text, &it.format, sizeof(it.format));
        mpi_buffer_append(out, text, strlen(text));
    }
    return out->has_failed ? mpi_no_memory() : MP_OK;
}
