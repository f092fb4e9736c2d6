/* SPDX-License-Identifier: MIT */
/* The pickle reader's opcodes that stand as lines of text: protocol 0. */
#include "pickle_load.h"

#include "repr.h"

#include <stdlib.h>
#include <string.h>

static mp_error malformed(const char *what)
{
    return mpi_fail(MP_EUNPICKLE, "malformed %s in a pickle", what);
}

/* -- Numbers --------------------------------------------------------------- */

/* All of text, digits with an optional sign. */
static mp_error parse_int(const char *text, size_t size, int64_t *out)
{
    bool is_negative = size != 0 && text[0] == '-';
    size_t first = is_negative || (size != 0 && text[0] == '+') ? 1 : 0;
    const uint64_t limit = (uint64_t)INT64_MAX + is_negative;
    uint64_t value = 0;
    bool is_too_large = false;

    if (first == size)
        return malformed("int");
    for (size_t i = first; i < size; i++) {
        unsigned digit = (unsigned)text[i] - '0';

        if (digit > 9)
            return malformed("int");
        is_too_large = is_too_large || value > (limit - digit) / 10;
        value = is_too_large ? 0 : value * 10 + digit;
    }
    if (is_too_large)
        return mpi_fail(MP_EUNPICKLE,
                        "an int of %lu digits doesn't fit in 64 bits",
                        (unsigned long)(size - first));
    *out = (int64_t)(is_negative ? 0 - value : value);
    return MP_OK;
}

static mp_error push_int(mpi_loader *from, const char *text, size_t size)
{
    int64_t value;
    mp_error err = parse_int(text, size, &value);

    return err == MP_OK ? mpi_load_push(from, mp_obj_int(value)) : err;
}

mp_error mpi_load_int(mpi_loader *from)
{
    const char *text;
    size_t size;
    mp_error err = mpi_load_line(from, &text, &size);

    if (err != MP_OK)
        return err;
    /* Bools had no opcode of their own. */
    if (size == 2 && text[0] == '0' && (text[1] == '0' || text[1] == '1'))
        return mpi_load_push(from, mp_obj_bool(text[1] == '1'));
    return push_int(from, text, size);
}

mp_error mpi_load_long(mpi_loader *from)
{
    const char *text;
    size_t size;
    mp_error err = mpi_load_line(from, &text, &size);

    if (err != MP_OK)
        return err;
    if (size != 0 && text[size - 1] == 'L')
        size--;
    return push_int(from, text, size);
}

mp_error mpi_load_float(mpi_loader *from)
{
    const char *text;
    size_t size;
    double value;
    mp_error err = mpi_load_line(from, &text, &size);

    if (err != MP_OK)
        return err;
    if (!mpi_float_parse(text, size, &value))
        return malformed("float");
    return mpi_load_push(from, mp_obj_float(value));
}

/* A memo index. */
static mp_error parse_index(mpi_loader *from, uint64_t *out)
{
    const char *text;
    size_t size;
    int64_t value;
    mp_error err = mpi_load_line(from, &text, &size);

    if (err == MP_OK)
        err = parse_int(text, size, &value);
    if (err == MP_OK && value < 0)
        err = malformed("memo index");
    if (err == MP_OK)
        *out = (uint64_t)value;
    return err;
}

mp_error mpi_load_get_line(mpi_loader *from)
{
    uint64_t index;
    mp_error err = parse_index(from, &index);

    return err == MP_OK ? mpi_load_get(from, index) : err;
}

mp_error mpi_load_put_line(mpi_loader *from)
{
    uint64_t index;
    mp_error err = parse_index(from, &index);

    return err == MP_OK ? mpi_load_put(from, index) : err;
}

/* -- Strings --------------------------------------------------------------- */

static int hex_digit(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

/* Exactly count hex digits at *text, which moves on. */
static bool take_hex(const char **text, const char *end, int count,
                     uint32_t *out)
{
    uint32_t value = 0;

    if (end - *text < count)
        return false;
    for (int i = 0; i < count; i++) {
        int digit = hex_digit(*(*text)++);

        if (digit < 0)
            return false;
        value = value << 4 | (uint32_t)digit;
    }
    *out = value;
    return true;
}

static uint32_t take_octal(const char **text, const char *end)
{
    uint32_t value = 0;

    for (int i = 0; i < 3 && *text < end; i++, ++*text) {
        if (**text < '0' || **text > '7')
            break;
        value = value << 3 | (uint32_t)(**text - '0');
    }
    return value & 0xFF;
}

/* What follows a backslash in Python 2's repr of a str. */
static bool take_escape(const char **text, const char *end, char *out)
{
    static const char letters[] = "\\'\"abfnrtv";
    static const char meanings[] = "\\'\"\a\b\f\n\r\t\v";
    const char *found;
    uint32_t code;

    if (*text == end)
        return false;
    if (**text >= '0' && **text <= '7') {
        *out = (char)take_octal(text, end);
        return true;
    }
    if (**text == 'x') {
        ++*text;
        if (!take_hex(text, end, 2, &code))
            return false;
        *out = (char)code;
        return true;
    }
    found = **text != '\0' ? strchr(letters, **text) : NULL;
    if (found == NULL)
        return false;
    *out = meanings[found - letters];
    ++*text;
    return true;
}

mp_error mpi_load_ascii(mpi_loader *from, const void *text, size_t size)
{
    mp_obj *obj = mpi_str(text, size, false);

    if (mpi_is_heap(obj) && (obj->flags & MPI_STR_ASCII) != 0)
        return mpi_load_push(from, obj);
    mp_obj_unref(obj);
    if (mp_obj_error(obj) == MP_ENOMEM)
        return MP_ENOMEM;
    return mpi_fail(MP_EUNPICKLE,
                    "a str of Python 2 is not ASCII, so its encoding is "
                    "unknown");
}

mp_error mpi_load_string(mpi_loader *from)
{
    const char *text;
    const char *end;
    size_t size;
    size_t used = 0;
    char *plain;
    mp_error err = mpi_load_line(from, &text, &size);

    if (err != MP_OK)
        return err;
    if (size < 2 || text[0] != text[size - 1] ||
        (text[0] != '\'' && text[0] != '"'))
        return malformed("str");
    plain = mpi_malloc(size);
    if (plain == NULL)
        return mpi_no_memory();
    end = text + size - 1;
    for (text++; text < end && err == MP_OK;) {
        char byte = *text++;

        if (byte == '\\' && !take_escape(&text, end, &byte))
            err = malformed("str");
        else
            plain[used++] = byte;
    }
    if (err == MP_OK)
        err = mpi_load_ascii(from, plain, used);
    free(plain);
    return err;
}

/* Latin-1 with \uXXXX and \UXXXXXXXX ("raw-unicode-escape"). */
mp_error mpi_load_unicode(mpi_loader *from)
{
    const char *text;
    const char *end;
    size_t size;
    size_t used = 0;
    char *plain;
    mp_error err = mpi_load_line(from, &text, &size);

    if (err != MP_OK)
        return err;
    plain = mpi_malloc(size * 2);
    if (plain == NULL)
        return mpi_no_memory();
    for (end = text + size; text < end && err == MP_OK;) {
        uint32_t code = (unsigned char)*text++;

        if (code == '\\' && text < end && (*text == 'u' || *text == 'U')) {
            int digits = *text++ == 'u' ? 4 : 8;

            if (!take_hex(&text, end, digits, &code) || code > 0x10FFFF)
                err = malformed("str");
        } else if (code == '\\' && text < end) {
            /* Not an escape, and nor is what it stands before. */
            plain[used++] = '\\';
            code = (unsigned char)*text++;
        }
        if (err == MP_OK)
            used += mpi_text_put(plain + used, code);
    }
    if (err == MP_OK)
        err = mpi_load_push(from, mpi_str(plain, used, true));
    free(plain);
    return err;
}
