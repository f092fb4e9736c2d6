/* SPDX-License-Identifier: MIT */
/*
 * repr() and print(), equal to Python's byte for byte.
 *
 * An object can be small and its text huge (lists that hold one list twice,
 * and so on), so there is a limit on the text.
 */
#include "repr.h"

#include "obj.h"
#include "unicode_printable.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* 256 MiB: beyond what anybody reads, below what hurts. */
static const size_t text_limit = (size_t)256 << 20;

typedef struct writer {
    mpi_buffer *out;
    size_t limit;
    char text[64]; /* for numbers; not on the stack, which nests deeply */
} writer;

static mp_error write_text(writer *to, const void *text, size_t size)
{
    mpi_buffer_append(to->out, text, size);
    if (to->out->has_failed)
        return mpi_no_memory();
    if (to->out->size > to->limit)
        return mpi_fail(MP_EOVERFLOW, "repr is longer than %zu bytes",
                        to->limit);
    return MP_OK;
}

static mp_error write_string(writer *to, const char *text)
{
    return write_text(to, text, strlen(text));
}

/* -- str and bytes --------------------------------------------------------- */

/* Through the runs from the last mark on. */
static bool is_printable(uint32_t code)
{
    size_t mark = sizeof(printable_marks) / sizeof(printable_marks[0]) - 1;
    bool answer = true;
    uint32_t run = 0;
    uint32_t end; /* of the runs seen */

    if (code < 0x80)
        return code >= 0x20 && code != 0x7F;
    while (code < printable_marks[mark][0])
        mark--;
    end = printable_marks[mark][0];
    for (size_t i = printable_marks[mark][1]; i < sizeof(printable_runs); i++) {
        run = run << 7 | (printable_runs[i] & 0x7F);
        if ((printable_runs[i] & 0x80) != 0)
            continue;
        end += run;
        if (code < end)
            return answer;
        answer = !answer;
        run = 0;
    }
    return true;
}

/* How code stands in a repr; returns 0 if as it is. */
static size_t escape(char text[16], uint32_t code, char quote, bool is_text)
{
    const char *const shorts = "\n\r\t\\";
    const char *const letters = "nrt\\";
    const char *found =
        code != 0 && code < 0x80 ? strchr(shorts, (int)code) : NULL;
    const char *format = "\\x%02" PRIx32;

    if (found != NULL || code == (unsigned char)quote) {
        text[0] = '\\';
        text[1] = found != NULL ? letters[found - shorts] : quote;
        return 2;
    }
    if (is_text ? is_printable(code) : code >= 0x20 && code < 0x7F)
        return 0;
    if (code > 0xFFFF)
        format = "\\U%08" PRIx32;
    else if (code > 0xFF)
        format = "\\u%04" PRIx32;
    return (size_t)snprintf(text, 16, format, code);
}

/* Single quotes, unless there are some inside and no double ones. */
static char best_quote(const mpi_string *string)
{
    if (memchr(string->data, '\'', string->size) != NULL &&
        memchr(string->data, '"', string->size) == NULL)
        return '"';
    return '\'';
}

static mp_error write_quoted(writer *to, const mpi_string *string)
{
    bool is_text = string->head.type == MP_TYPE_STR;
    const char quote = best_quote(string);
    const char *at = string->data;
    const char *plain = at; /* from here on nothing needed escaping */
    const char *end = at + string->size;
    mp_error err;

    err = write_text(to, &quote, 1);
    while (at < end && err == MP_OK) {
        const char *before = at;
        char escaped[16];
        uint32_t code = is_text ? mpi_text_next(&at) : (unsigned char)*at++;
        size_t size = escape(escaped, code, quote, is_text);

        if (size == 0)
            continue;
        err = write_text(to, plain, (size_t)(before - plain));
        if (err == MP_OK)
            err = write_text(to, escaped, size);
        plain = at;
    }
    if (err == MP_OK)
        err = write_text(to, plain, (size_t)(end - plain));
    return err == MP_OK ? write_text(to, &quote, 1) : err;
}

/* -- The rest -------------------------------------------------------------- */

static const char *base_name(const char *path)
{
    const char *name = path;

    for (; *path != '\0'; path++) {
        if (*path == '/' || *path == '\\')
            name = path + 1;
    }
    return name;
}

/* <function wordcount+0x1234>; the address if no module has it. */
static mp_error write_function(writer *to, const mpi_address *function)
{
    mp_obj *state = NULL;
    const mp_obj *module;
    const mp_obj *offset;
    const char *path = NULL;
    int64_t value = 0;
    mp_error err;

    if (mpi_function_reduce(function->to.pointer, &state) != MP_OK ||
        mp_obj_item(state, 0, &module) != MP_OK ||
        mp_obj_item(state, 2, &offset) != MP_OK ||
        mp_obj_as_str(module, &path, NULL) != MP_OK ||
        mp_obj_as_int(offset, &value) != MP_OK) {
        path = NULL;
        value = (int64_t)(uintptr_t)function->to.pointer;
    }
    snprintf(to->text, sizeof(to->text), "%s0x%" PRIx64 ">",
             path != NULL ? "+" : "at ", (uint64_t)value);
    err = write_string(to, "<function ");
    if (err == MP_OK && path != NULL)
        err = write_string(to, base_name(path));
    if (err == MP_OK)
        err = write_string(to, to->text);
    mp_obj_unref(state);
    return err;
}

static mp_error write_leaf(writer *to, const mp_obj *obj)
{
    char *text = to->text;
    int64_t value = 0;

    switch (mp_obj_type(obj)) {
    case MP_TYPE_NONE:
        return write_string(to, "None");
    case MP_TYPE_BOOL:
        return write_string(to, obj == mp_obj_bool(true) ? "True" : "False");
    case MP_TYPE_INT:
        (void)mp_obj_as_int(obj, &value);
        snprintf(text, sizeof(to->text), "%" PRId64, value);
        return write_string(to, text);
    case MP_TYPE_FLOAT:
        return write_text(
            to, text,
            mpi_float_repr(text,
                           ((const mpi_float *)(const void *)obj)->value));
    case MP_TYPE_BYTES:
        mpi_buffer_append(to->out, "b", 1);
        return write_quoted(to, mpi_as_string(obj));
    case MP_TYPE_STR:
        return write_quoted(to, mpi_as_string(obj));
    case MP_TYPE_FUNCTION:
        return write_function(to, (const mpi_address *)(const void *)obj);
    case MP_TYPE_POINTER:
        snprintf(
            text, sizeof(to->text), "<pointer 0x%" PRIxPTR ">",
            (uintptr_t)((const mpi_address *)(const void *)obj)->to.pointer);
        return write_string(to, text);
    case MP_TYPE_HANDLE:
        snprintf(text, sizeof(to->text), "<%s>", mp_obj_type_name(obj));
        return write_string(to, text);
    default:
        return mpi_expected("a value", obj);
    }
}

static mp_error write_opaque(writer *to, const mpi_container *opaque)
{
    const mpi_string *name = mpi_as_string(opaque->items[0]);
    mp_error err = write_string(to, "<opaque ");

    if (err == MP_OK)
        err = write_text(to, name->data, name->size);
    return err == MP_OK ? write_string(to, ">") : err;
}

static mp_error write_object(writer *to, const mp_obj *obj);

static mp_error write_items(writer *to, const mpi_container *container)
{
    bool is_dict = container->head.type == MP_TYPE_DICT;
    mp_error err = MP_OK;

    for (size_t i = 0; i < container->size && err == MP_OK; i++) {
        if (i != 0)
            err = write_text(to, is_dict && i % 2 != 0 ? ": " : ", ", 2);
        if (err == MP_OK)
            err = write_object(to, container->items[i]);
    }
    return err;
}

static mp_error write_container(writer *to, const mpi_container *container)
{
    mp_type type = mpi_heap_type(&container->head);
    const char *open = "{";
    const char *close = "}";
    mp_error err;

    if (type == MP_TYPE_SET && container->size == 0)
        return write_string(to, "set()");
    if (type == MP_TYPE_LIST) {
        open = "[";
        close = "]";
    } else if (type == MP_TYPE_TUPLE) {
        open = "(";
        close = container->size == 1 ? ",)" : ")";
    }
    err = write_string(to, open);
    if (err == MP_OK)
        err = write_items(to, container);
    return err == MP_OK ? write_string(to, close) : err;
}

static mp_error write_object(writer *to, const mp_obj *obj)
{
    mp_type type = mp_obj_type(obj);

    if (type == MP_TYPE_OPAQUE)
        return write_opaque(to, mpi_as_container(obj));
    if (mpi_type_is_container(type))
        return write_container(to, mpi_as_container(obj));
    return write_leaf(to, obj);
}

/* -- Public ---------------------------------------------------------------- */

mp_error mpi_obj_repr(mpi_buffer *out, const mp_obj *obj, size_t limit)
{
    writer to = {.out = out, .limit = limit};
    size_t size = out->size;
    mp_error err = write_object(&to, obj);

    if (err != MP_OK)
        out->size = size;
    return err;
}

mp_error mp_obj_repr(const mp_obj *obj, char **out)
{
    mpi_buffer text = {0};
    mp_error err = mpi_obj_repr(&text, obj, text_limit);

    if (err == MP_OK) {
        mpi_buffer_append(&text, "", 1);
        if (text.has_failed)
            err = mpi_no_memory();
    }
    if (err != MP_OK) {
        mpi_buffer_free(&text);
        return err;
    }
    *out = (char *)text.data;
    return MP_OK;
}

mp_error mp_obj_print(const mp_obj *obj)
{
    mpi_buffer text = {0};
    const mpi_string *string = mpi_as_string(obj);
    mp_error err = MP_OK;

    if (mp_obj_type(obj) != MP_TYPE_STR)
        err = mpi_obj_repr(&text, obj, text_limit);
    else if ((string->head.flags & MPI_STR_SURROGATES) != 0)
        err = mpi_fail(MP_EINVAL, "can't print: surrogates not allowed");
    else
        mpi_buffer_append(&text, string->data, string->size);
    mpi_buffer_append(&text, "\n", 1);
    if (err == MP_OK && text.has_failed)
        err = mpi_no_memory();
    /* One call, so that lines of threads don't mix. */
    if (err == MP_OK && fwrite(text.data, 1, text.size, stdout) != text.size)
        err = mpi_fail(MP_EIO, "can't write to stdout");
    mpi_buffer_free(&text);
    return err;
}
