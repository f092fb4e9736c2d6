/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer's entry: any bytes are either refused with a sentence, or give an
 * object that can be printed, written, read again, and is the same then.
 *
 *     clang -fsanitize=fuzzer,address,undefined ... fuzz/fuzz_pickle.c
 *     ./fuzz_pickle fuzz/corpus/pickle
 */
#include "obj.h"
#include "pickle.h"
#include "repr.h"

#include <multiproc/pickle.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool is_so)
{
    if (!is_so)
        abort();
}

/* Equal, unless there is something in it that is not even equal to itself. */
static void require_equal(const mp_obj *left, const mp_obj *right)
{
    const size_t limit = (size_t)1 << 20;
    mpi_buffer text = {0};
    bool are_equal = mp_obj_equal(left, right);
    mp_error err = mpi_obj_repr(&text, left, limit);

    require(err == MP_OK || err == MP_EOVERFLOW);
    if (err == MP_OK) {
        mpi_buffer_append(&text, "", 1);
        require(are_equal || strstr((char *)text.data, "nan") != NULL ||
                strstr((char *)text.data, "<Connection>") != NULL);
    }
    mpi_buffer_free(&text);
}

static void check_round_trip(const mp_obj *obj)
{
    mpi_buffer first = {0};
    mpi_buffer second = {0};
    mp_obj *copy = NULL;
    mp_error err = mpi_pickle_dump(&first, obj, NULL);

    if (err != MP_OK) {
        require(err == MP_EPICKLE && mp_error_message()[0] != '\0');
        mpi_buffer_free(&first);
        return;
    }
    require(mp_pickle_loads(first.data, first.size, &copy) == MP_OK);
    require_equal(obj, copy);
    require(mpi_pickle_dump(&second, copy, NULL) == MP_OK);
    require(first.size == second.size &&
            memcmp(first.data, second.data, first.size) == 0);
    mp_obj_unref(copy);
    mpi_buffer_free(&first);
    mpi_buffer_free(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mp_obj *obj = NULL;
    mp_error err = mp_pickle_loads(data, size, &obj);

    if (err != MP_OK) {
        require(obj == NULL && mp_error_message()[0] != '\0');
        return 0;
    }
    check_round_trip(obj);
    mp_obj_unref(obj);
    return 0;
}
