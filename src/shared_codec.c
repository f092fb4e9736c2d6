/* SPDX-License-Identifier: MIT */
/*
 * How values are written down in a shared dict or list: a letter that tells the
 * form, and bytes. Equal values of a short form are equal bytes, and of one
 * type also the other way round, but for floats.
 */
#include "internal.h"
#include "obj.h"
#include "pickle.h"
#include "shared.h"

#include <stdlib.h>
#include <string.h>

enum { SHORT_COPY = 256 };

enum form {
    FORM_NONE = 'N',
    FORM_FALSE = 'F',
    FORM_TRUE = 'T',
    FORM_INT = 'i',   /* an int64_t */
    FORM_FLOAT = 'f', /* a double */
    FORM_STR = 's',   /* UTF-8, lone surrogates as in mpi_string */
    FORM_BYTES = 'b',
    FORM_PICKLE = 'p',
};

static mp_error write_form(mpi_buffer *out, enum form form, const void *data,
                           size_t size)
{
    if (size > (size_t)PTRDIFF_MAX - 1 || !mpi_buffer_reserve(out, 1 + size))
        return mpi_no_memory();
    out->data[out->size] = (unsigned char)form;
    if (size > 0)
        memcpy(out->data + out->size + 1, data, size);
    out->size += 1 + size;
    return MP_OK;
}

static mp_error write_pickle(mpi_buffer *out, const mp_obj *obj)
{
    mp_error err = write_form(out, FORM_PICKLE, NULL, 0);

    if (err != MP_OK)
        return err;
    err = mpi_pickle_dump(out, obj, NULL);
    if (err != MP_OK)
        out->size--;
    return err;
}

mp_error mpi_shared_encode(const mp_obj *obj, mpi_buffer *out)
{
    const mpi_string *string = mpi_as_string(obj);
    int64_t whole;
    double number;

    switch (mp_obj_type(obj)) {
    case MP_TYPE_ERROR:
        return mpi_expected("a value", obj);
    case MP_TYPE_NONE:
        return write_form(out, FORM_NONE, NULL, 0);
    case MP_TYPE_BOOL:
        (void)mp_obj_as_int(obj, &whole);
        return write_form(out, whole != 0 ? FORM_TRUE : FORM_FALSE, NULL, 0);
    case MP_TYPE_INT:
        (void)mp_obj_as_int(obj, &whole);
        return write_form(out, FORM_INT, &whole, sizeof(whole));
    case MP_TYPE_FLOAT:
        (void)mp_obj_as_float(obj, &number);
        return write_form(out, FORM_FLOAT, &number, sizeof(number));
    case MP_TYPE_STR:
        return write_form(out, FORM_STR, string->data, string->size);
    case MP_TYPE_BYTES:
        return write_form(out, FORM_BYTES, string->data, string->size);
    default:
        return write_pickle(out, obj);
    }
}

/* -- Reading --------------------------------------------------------------- */

static mp_obj *damaged(void)
{
    return mpi_obj_failed(mpi_fail(MP_EPROTO, "a value there is damaged"));
}

static mp_obj *read_number(enum form form, const void *data, size_t size)
{
    int64_t whole;
    double number;

    if (size != sizeof(whole))
        return damaged();
    memcpy(&whole, data, sizeof(whole));
    memcpy(&number, data, sizeof(number));
    return form == FORM_INT ? mp_obj_int(whole) : mp_obj_float(number);
}

static mp_obj *load_pickle(const void *data, size_t size)
{
    mp_obj *obj;
    mp_error err = mpi_pickle_load(data, size, NULL, &obj);

    return err == MP_OK ? obj : mpi_obj_failed(err);
}

static mp_obj *make_str(const void *data, size_t size)
{
    mp_obj *obj = mpi_str(data, size, true);

    return mp_obj_error(obj) == MP_EINVAL ? damaged() : obj;
}

/* Whoever ignores the lock may change it between the check and the use: what
 * has to be checked is a copy. */
static mp_obj *read_copy(mp_obj *(*read)(const void *, size_t),
                         const void *data, size_t size)
{
    char few[SHORT_COPY];
    char *copy = size <= sizeof(few) ? few : mpi_malloc(size);
    mp_obj *obj;

    if (copy == NULL)
        return mpi_obj_failed(mpi_no_memory());
    memcpy(copy, data, size);
    obj = read(copy, size);
    if (copy != few)
        free(copy);
    return obj;
}

mp_obj *mpi_shared_decode(const void *data, size_t size)
{
    const unsigned char *bytes = data;
    unsigned char form = size == 0 ? 0 : *bytes;

    switch (form) {
    case FORM_NONE:
        return size == 1 ? mp_obj_none() : damaged();
    case FORM_FALSE:
    case FORM_TRUE:
        return size == 1 ? mp_obj_bool(form == FORM_TRUE) : damaged();
    case FORM_INT:
    case FORM_FLOAT:
        return read_number((enum form)form, bytes + 1, size - 1);
    case FORM_STR:
        return read_copy(make_str, bytes + 1, size - 1);
    case FORM_BYTES:
        return mp_obj_bytes(bytes + 1, size - 1);
    case FORM_PICKLE:
        return read_copy(load_pickle, bytes + 1, size - 1);
    default:
        return damaged();
    }
}

bool mpi_shared_is_short(const void *data, size_t size)
{
    return size == 0 || *(const unsigned char *)data != FORM_PICKLE;
}

/* Not floats: nan is not equal to itself, and 0.0 is to -0.0. */
bool mpi_shared_is_exact(const void *left, const void *right, size_t size)
{
    static const char exact[] = {FORM_NONE, FORM_FALSE, FORM_TRUE,
                                 FORM_INT,  FORM_STR,   FORM_BYTES};
    unsigned char form = *(const unsigned char *)left;

    return size > 0 && *(const unsigned char *)right == form &&
           memchr(exact, form, sizeof(exact)) != NULL;
}
