/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer's entry: a shared list or dict whose memory says anything. Calls
 * and changes of bytes by turns; each call is answered, with a sentence if it
 * fails, touches nothing outside, and returns.
 *
 *     clang -fsanitize=fuzzer,address,undefined ... fuzz/fuzz_shared.c
 *     ./fuzz_shared fuzz/corpus/shared
 */
#include "input.h"
#include "shared_dict.h"
#include "shared_list.h"

#include <multiproc.h>

#include <stdlib.h>
#include <string.h>

enum { CAPACITY = 24, ROOM = 2048, MOST_STEPS = 200, CALLS = 14 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* -- The input ------------------------------------------------------------- */

/* A value of some kind, of some size. */
static mp_obj *take_value(input *from)
{
    static const char text[600];
    uint8_t what = take(from);

    switch (what % 6) {
    case 0:
        return MP_BOX((int)take(from));
    case 1:
        return MP_BOX(1.5 * what);
    case 2:
        return mp_obj_strn(text, take(from));
    case 3:
        return MP_BYTES(text, (size_t)take_number(from, 2) % sizeof(text));
    case 4:
        return MP_LIST((int)what, MP_NONE, "item");
    default:
        return MP_NONE;
    }
}

static mp_obj *take_key(input *from)
{
    uint8_t what = take(from);

    switch (what % 3) {
    case 0:
        return MP_BOX((int)what);
    case 1:
        return mp_obj_strn("a key of some length", what % 20U);
    default:
        return MP_BYTES("a key of some length", what % 20U);
    }
}

/* -- What is done ---------------------------------------------------------- */

static void answered(mp_error err)
{
    require(err == MP_OK || mp_error_message()[0] != '\0');
    require(err != MP_OWNER_DIED && err != MP_TIMED_OUT && err != MP_PENDING);
}

static void gave(mp_obj *obj)
{
    answered(mp_obj_error(obj));
    mp_obj_unref(obj);
}

static void call_whole_list(mp_shared_list *list, uint8_t what)
{
    switch (what % 6) {
    case 0:
        answered(mp_shared_list_reverse(list));
        return;
    case 1:
        answered(mp_shared_list_sort(list));
        return;
    case 2:
        answered(mp_shared_list_clear(list));
        return;
    case 3:
        gave(mp_shared_list_snapshot(list));
        return;
    case 4:
        mpi_store_rebuild(&list->shared.store);
        return;
    default:
        answered(mp_shared_list_verify(list));
        return;
    }
}

static void call_list(mp_shared_list *list, uint8_t what, input *from)
{
    int64_t index = (int8_t)take(from);
    size_t number;

    switch (what) {
    case 0:
        answered(mp_shared_list_append(list, take_value(from)));
        return;
    case 1:
        answered(mp_shared_list_insert(list, index, take_value(from)));
        return;
    case 2:
        answered(mp_shared_list_set(list, index, take_value(from)));
        return;
    case 3:
        gave(mp_shared_list_get(list, index));
        return;
    case 4:
        gave(mp_shared_list_pop(list, index));
        return;
    case 5:
        answered(mp_shared_list_delete(list, index));
        return;
    case 6:
        answered(mp_shared_list_remove(list, take_value(from)));
        return;
    case 7:
        answered(mp_shared_list_count(list, take_value(from), &number));
        return;
    case 8:
        answered(mp_shared_list_extend(
            list, MP_LIST(take_value(from), take_value(from))));
        return;
    case 9:
        require(mp_shared_list_length(list) <= CAPACITY);
        return;
    default:
        call_whole_list(list, (uint8_t)index);
        return;
    }
}

static void call_whole_dict(mp_shared_dict *dict, uint8_t what)
{
    switch (what % 6) {
    case 0:
        gave(mp_shared_dict_snapshot(dict));
        return;
    case 1:
        gave(mp_shared_dict_keys(dict));
        return;
    case 2:
        answered(mp_shared_dict_clear(dict));
        return;
    case 3:
        (void)mp_shared_dict_length(dict);
        return;
    case 4:
        mpi_shared_dict_kind.repair(&dict->shared);
        mpi_store_rebuild(&dict->shared.store);
        return;
    default:
        answered(mp_shared_dict_verify(dict));
        return;
    }
}

static void call_dict(mp_shared_dict *dict, uint8_t what, input *from)
{
    mp_obj *key = take_key(from);
    bool is_there;
    int64_t sum;

    switch (what) {
    case 0:
    case 1:
    case 2:
        answered(mp_shared_dict_set(dict, key, take_value(from)));
        return;
    case 3:
        gave(mp_shared_dict_get(dict, key));
        return;
    case 4:
        gave(mp_shared_dict_pop(dict, key));
        return;
    case 5:
        answered(mp_shared_dict_delete(dict, key));
        return;
    case 6:
        answered(mp_shared_dict_contains(dict, key, &is_there));
        return;
    case 7:
        answered(mp_shared_dict_add(dict, key, take(from), &sum));
        return;
    case 8:
        gave(mp_shared_dict_setdefault(dict, key, take_value(from)));
        return;
    case 9:
        answered(mp_shared_dict_update(
            dict, MP_DICT(key, take_value(from), "more", take_value(from))));
        return;
    default:
        mp_obj_unref(key);
        call_whole_dict(dict, take(from));
        return;
    }
}

/* -- Changes of bytes ------------------------------------------------------ */

static void change(mpi_shared *shared, uint8_t what, input *from)
{
    unsigned char *memory = shared->table;
    size_t place = (size_t)take_number(from, 2) % shared->mapped_size;
    uint64_t word = take_number(from, 2);

    if (what % 4 == 0) { /* a bit */
        memory[place] ^= (unsigned char)(1U << word % 8);
        return;
    }
    place = place / 8 * 8;
    if (what % 4 == 1) /* a word from somewhere else, as if it were there */
        memmove(memory + place, memory + word * 8 % (shared->mapped_size - 8),
                8);
    else /* a small number, or a large one */
        word <<= what % 4 == 2 ? 0 : take(from) % 64;
    if (what % 4 != 1)
        memcpy(memory + place, &word, sizeof(word));
}

/* One of each, for all inputs: zeros make it new. */
static void make(mp_shared_list **list, mp_shared_dict **dict)
{
    static const mp_shared_options options = {.size = ROOM};
    static mp_shared_list *one_list;
    static mp_shared_dict *one_dict;

    if (one_list == NULL)
        mp_check(mp_shared_list_create(&one_list, CAPACITY, &options));
    if (one_dict == NULL)
        mp_check(mp_shared_dict_create(&one_dict, CAPACITY, &options));
    *list = one_list;
    *dict = one_dict;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input from = {data, data + size};
    bool is_list = take(&from) % 2 == 0;
    mp_shared_list *list;
    mp_shared_dict *dict;
    mpi_shared *shared;

    make(&list, &dict);
    shared = is_list ? &list->shared : &dict->shared;
    memset(shared->table, 0, shared->mapped_size);
    for (int n = 0; n < MOST_STEPS && from.at < from.end; n++) {
        uint8_t what = take(&from);

        if (what >= 0xc0)
            change(shared, what, &from);
        else if (is_list)
            call_list(list, what % CALLS, &from);
        else
            call_dict(dict, what % CALLS, &from);
    }
    return 0;
}
