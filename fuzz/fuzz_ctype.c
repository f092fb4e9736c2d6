/* SPDX-License-Identifier: MIT */
/*
 * Fuzzing descriptions of C types, as they are read from shared memory and
 * files. For any input: no crash, no undefined behaviour, no leak; what is
 * taken is written down as it was, and an item of such a type, whatever bytes
 * it has, gives an object that gives an item that gives an equal object.
 *
 *     the input: text, NUL, bytes of an item
 *     or '>', alignment, size (2 bytes), fields, NUL, bytes of an item
 *
 *     clang -fsanitize=fuzzer,address,undefined ... fuzz/fuzz_ctype.c
 *     ./fuzz_ctype fuzz/corpus/ctype
 */
#include "ctypes.h"

#include <multiproc/object.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_BYTES = 1 << 16 };

static void require(bool is_so)
{
    if (!is_so)
        abort();
}

/* Its own block, so that nothing beyond it is read: the bytes over and over. */
static unsigned char *make_item(size_t item_size, const uint8_t *data,
                                size_t size)
{
    unsigned char *item = malloc(item_size);

    require(item != NULL);
    for (size_t i = 0; i < item_size; i++)
        item[i] = size != 0 ? data[i % size] : 0;
    return item;
}

/* Consumes both. Their texts, as there may be nan inside. */
static void require_equal(mp_obj *left, mp_obj *right)
{
    char *first = NULL;
    char *second = NULL;

    require(mp_obj_repr(left, &first) == MP_OK);
    require(mp_obj_repr(right, &second) == MP_OK);
    require(strcmp(first, second) == 0);
    mp_free(first);
    mp_free(second);
    mp_obj_unref(left);
    mp_obj_unref(right);
}

static void check_item(const mp_ctype *type, const uint8_t *data, size_t size)
{
    unsigned char *item = make_item(type->size, data, size);
    mp_obj *obj = mpi_ctype_box(type, item);
    mpi_buffer text = {0};

    require(mpi_ctype_repr(type, item, &text) == MP_OK && text.size != 0);
    mpi_buffer_free(&text);
    if (mp_obj_error(obj) != MP_OK) {
        require(mp_obj_error(obj) == MP_EOVERFLOW);
        free(item);
        return;
    }
    memset(item, 0x5a, type->size);
    require(mpi_ctype_unbox(type, obj, item) == MP_OK);
    require_equal(obj, mpi_ctype_box(type, item));
    free(item);
}

/* Whether it is taken. */
static bool check_text(const char *begin, const uint8_t *data, size_t size)
{
    mpi_ctype_text text;
    mpi_ctype_text again;
    mp_ctype type;

    memset(&text, 'x', sizeof(text));
    memcpy(text.text, begin, strnlen(begin, MP_CTYPE_MAX) + 1);
    if (mpi_ctype_read(&text, &type) != MP_OK) {
        require(mp_error_message()[0] != '\0');
        return false;
    }
    require(type.size != 0 && type.name != NULL);
    require(mpi_ctype_write(&type, &again) == MP_OK);
    require(strcmp(again.text, begin) == 0);
    if (type.size <= MOST_BYTES)
        check_item(&type, data, size);
    return true;
}

/* As a user says it, on whichever side: the other reads the same. */
static void check_fields(char *begin, const uint8_t *data, size_t size)
{
    mp_ctype type = {.name = "thing"};
    mpi_ctype_text text;

    if (strlen(begin) < 4)
        return;
    type.alignment = (size_t)1 << (begin[1] & 15);
    type.size = (size_t)(unsigned char)begin[2] * 256 + (unsigned char)begin[3];
    type.fields = begin + 4;
    if (mpi_ctype_write(&type, &text) != MP_OK) {
        require(mp_error_message()[0] != '\0');
        return;
    }
    require(check_text(text.text, data, size));
    check_item(&type, data, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    size_t length;

    require(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    length = strlen(text);
    if (length < size) {
        data += length + 1;
        size -= length + 1;
    } else {
        size = 0;
    }
    if (text[0] == '>')
        check_fields(text, data, size);
    else
        (void)check_text(text, data, size);
    free(text);
    return 0;
}
