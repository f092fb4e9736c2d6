/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer's entry: any bytes are a ShareableList or are refused; of what is
 * one, every item is a value or an error with a sentence, can be replaced by
 * any other, and is then what it was set to. Nothing outside is touched.
 *
 *     clang -fsanitize=fuzzer,address,undefined ... fuzz/fuzz_shareable.c
 *     ./fuzz_shareable fuzz/corpus/shareable
 */
#include "input.h"
#include "shareable_layout.h"

#include <multiproc/box.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_ITEMS = 64 };

static void read_one(const mpi_layout *layout, const void *memory, size_t index)
{
    mp_obj *item = mpi_layout_get(layout, memory, index);
    mp_error err = mp_obj_error(item);

    require(err == MP_OK || (err == MP_EPROTO && mp_error_message()[0] != 0));
    mp_obj_unref(item);
}

/* Consumes obj. */
static void change_one(const mpi_layout *layout, void *memory, size_t index,
                       mp_obj *obj)
{
    mp_error err = mpi_layout_set(layout, memory, index, obj);

    if (err == MP_OK) {
        mp_obj *item = mpi_layout_get(layout, memory, index);

        require(mp_obj_type(item) == mp_obj_type(obj));
        require(mp_obj_equal(item, obj));
        mp_obj_unref(item);
    } else {
        require(err == MP_EOVERFLOW || err == MP_EPROTO);
        require(mp_error_message()[0] != '\0');
    }
    mp_obj_unref(obj);
}

static void change_all(const mpi_layout *layout, void *memory, size_t index)
{
    change_one(layout, memory, index, MP_BOX("a text"));
    change_one(layout, memory, index, MP_BOX(-7));
    change_one(layout, memory, index, MP_BOX("h\xc3\xa9llo, a longer one"));
    change_one(layout, memory, index, MP_TRUE);
    change_one(layout, memory, index, MP_BYTES("\xff\0\x01", 3));
    change_one(layout, memory, index, MP_BOX(2.5));
    change_one(layout, memory, index, MP_NONE);
}

static void use_list(const mpi_layout *layout, void *memory)
{
    mpi_buffer text = {0};
    mp_error err = mpi_layout_format(layout, memory, &text);
    size_t count = layout->count < MOST_ITEMS ? layout->count : MOST_ITEMS;

    require(err == MP_OK || err == MP_EPROTO);
    mpi_buffer_free(&text);
    for (size_t i = 0; i < layout->count; i++)
        read_one(layout, memory, i);
    for (size_t i = 0; i < count; i++)
        change_all(layout, memory, i);
    for (size_t i = 0; i < layout->count; i++)
        read_one(layout, memory, i);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    void *memory = malloc(size); /* aligned, and exactly as long */
    mpi_layout layout;
    mp_error err;

    if (memory == NULL || size == 0) {
        free(memory);
        return 0;
    }
    memcpy(memory, data, size);
    err = mpi_layout_read(memory, size, &layout);
    if (err == MP_OK) {
        use_list(&layout, memory);
        mpi_layout_free(&layout);
    } else {
        require(err == MP_EPROTO && mp_error_message()[0] != '\0');
    }
    free(memory);
    return 0;
}
