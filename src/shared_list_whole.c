/* SPDX-License-Identifier: MIT */
/* What is done to all items of a shared list at once, see shared_list.c. */
#include "shared_list.h"

#include "internal.h"
#include "obj.h"

#include <stdlib.h>
#include <string.h>

/* -- Adding many ----------------------------------------------------------- */

/* Items written down one behind the other. */
typedef struct batch {
    mpi_buffer bytes;
    size_t *ends;
    size_t count;
} batch;

static void free_batch(batch *it)
{
    mpi_buffer_free(&it->bytes);
    free(it->ends);
    it->ends = NULL;
}

static mp_error encode_all(const mp_obj *items, batch *out)
{
    mp_type type = mp_obj_type(items);
    const mp_obj *item;
    mp_iter at = {0};
    mp_error err = MP_OK;

    *out = (batch){.count = 0};
    if (type != MP_TYPE_LIST && type != MP_TYPE_TUPLE)
        return mpi_expected("a list or tuple", items);
    (void)mp_obj_len(items, &out->count);
    out->ends = mpi_calloc(out->count, sizeof(*out->ends));
    if (out->ends == NULL)
        return mpi_no_memory();
    for (size_t i = 0; err == MP_OK && mp_obj_next(items, &at, &item, NULL);
         i++) {
        err = mpi_shared_encode(item, &out->bytes);
        out->ends[i] = out->bytes.size;
    }
    if (err != MP_OK)
        free_batch(out);
    return err;
}

/* Behind the items; they don't count yet. */
static mp_error put_all(mpi_list_view *view, const batch *items)
{
    mp_error err = mpi_list_check_room(view, items->count);
    size_t begin = 0, done = 0;

    for (; err == MP_OK && done < items->count; done++) {
        size_t end = items->ends[done];
        mpi_blob blob;

        err = mpi_list_put(view, items->bytes.data + begin, end - begin, &blob);
        if (err != MP_OK)
            break;
        mpi_atomic64_store(&view->items[view->count + done], blob);
        begin = end;
    }
    while (err != MP_OK && done > 0) {
        done--;
        mpi_store_free(view->store,
                       mpi_atomic64_load(&view->items[view->count + done]));
    }
    return err;
}

mp_error mp_shared_list_extend(mp_shared_list *list, mp_obj *items)
{
    mpi_list_view view;
    batch all = {.count = 0};
    mp_error err = mpi_list_check(list);

    if (err == MP_OK)
        err = encode_all(items, &all);
    mp_obj_unref(items);
    if (err != MP_OK)
        return err;
    err = mpi_list_begin(list, &view);
    if (err == MP_OK) {
        err = put_all(&view, &all);
        if (err == MP_OK)
            mpi_list_switch(&view, view.which, view.count + all.count);
        mpi_list_end(&view);
    }
    free_batch(&all);
    return err;
}

/* -- Order ----------------------------------------------------------------- */

mp_error mp_shared_list_reverse(mp_shared_list *list)
{
    mpi_list_view view;
    mp_error err = mpi_list_begin(list, &view);

    if (err != MP_OK)
        return err;
    for (size_t i = 0; i < view.count; i++)
        mpi_list_copy(&view, view.count - 1 - i, 1, i);
    mpi_list_switch(&view, !view.which, view.count);
    mpi_list_end(&view);
    return MP_OK;
}

typedef struct entry {
    mp_obj *obj;
    size_t place;
} entry;

/* Both runs are sorted; of equal ones, those of the first go first. */
static mp_error merge(const entry *first, size_t count, const entry *second,
                      size_t second_count, entry *out)
{
    const entry *first_end = first + count;
    const entry *second_end = second + second_count;

    while (first < first_end && second < second_end) {
        bool is_less;
        mp_error err = mpi_obj_less(second->obj, first->obj, &is_less);

        if (err != MP_OK)
            return err;
        *out++ = is_less ? *second++ : *first++;
    }
    while (first < first_end)
        *out++ = *first++;
    while (second < second_end)
        *out++ = *second++;
    return MP_OK;
}

/* *entries is where the result is, *spare the other array. */
static mp_error sort(entry **entries, entry **spare, size_t count)
{
    for (size_t run = 1; run < count; run *= 2) {
        entry *sorted = *spare;

        for (size_t i = 0; i < count; i += 2 * run) {
            size_t rest = count - i;
            size_t first = rest < run ? rest : run;
            size_t second = rest - first < run ? rest - first : run;
            mp_error err = merge(*entries + i, first, *entries + i + first,
                                 second, sorted + i);

            if (err != MP_OK)
                return err;
        }
        *spare = *entries;
        *entries = sorted;
    }
    return MP_OK;
}

static mp_error decode_all(const mpi_list_view *view, entry *entries)
{
    for (size_t i = 0; i < view->count; i++) {
        mp_obj *obj = mpi_list_decode(view, i);

        if (mp_obj_error(obj) != MP_OK)
            return mp_obj_error(obj);
        entries[i] = (entry){obj, i};
    }
    return MP_OK;
}

static mp_error sort_view(mpi_list_view *view)
{
    entry *block = mpi_calloc(2 * view->count, sizeof(*block));
    entry *entries = block, *spare;
    mp_error err;

    if (block == NULL)
        return mpi_no_memory();
    spare = block + view->count;
    err = decode_all(view, entries);
    if (err == MP_OK) {
        err = sort(&entries, &spare, view->count);
        for (size_t i = 0; err == MP_OK && i < view->count; i++)
            mpi_list_copy(view, entries[i].place, 1, i);
        if (err == MP_OK)
            mpi_list_switch(view, !view->which, view->count);
    }
    /* Whatever has failed, they all are in there. */
    for (size_t i = 0; i < view->count; i++)
        mp_obj_unref(entries[i].obj);
    free(block);
    return err;
}

mp_error mp_shared_list_sort(mp_shared_list *list)
{
    mpi_list_view view;
    mp_error err = mpi_list_begin(list, &view);

    if (err != MP_OK)
        return err;
    err = sort_view(&view);
    mpi_list_end(&view);
    return err;
}

/* -- All of them ----------------------------------------------------------- */

mp_error mp_shared_list_clear(mp_shared_list *list)
{
    mpi_list_view view;
    mp_error err = mpi_list_begin(list, &view);

    if (err != MP_OK)
        return err;
    mpi_list_switch(&view, view.which, 0);
    for (size_t i = 0; i < view.count; i++)
        mpi_store_free(view.store, mpi_atomic64_load(&view.items[i]));
    mpi_list_end(&view);
    return MP_OK;
}

/* Without the lock: the word is right at any moment. */
size_t mp_shared_list_length(mp_shared_list *list)
{
    const mpi_list_table *table;
    uint64_t count;

    if (mpi_list_check(list) != MP_OK)
        return 0;
    table = list->shared.table;
    count = mpi_atomic64_load(&table->state) >> 1;
    return count <= list->shared.capacity ? (size_t)count : 0;
}

static mp_error copy_all(const mpi_list_view *view, batch *out)
{
    out->count = view->count;
    out->ends = mpi_calloc(view->count, sizeof(*out->ends));
    /* A damaged item may have no bytes at all. */
    if (out->ends == NULL || !mpi_buffer_reserve(&out->bytes, 1))
        return mpi_no_memory();
    for (size_t i = 0; i < view->count; i++) {
        mpi_list_bytes bytes;
        mp_error err = mpi_list_bytes_at(view, i, &bytes);

        if (err != MP_OK)
            return err;
        mpi_buffer_append(&out->bytes, bytes.data, bytes.size);
        out->ends[i] = out->bytes.size;
    }
    return out->bytes.has_failed ? mpi_no_memory() : MP_OK;
}

static mp_obj *decode_batch(const batch *items)
{
    mp_obj *list = mpi_container_new(MP_TYPE_LIST, items->count);
    mp_error err = mp_obj_error(list);
    size_t begin = 0;

    for (size_t i = 0; err == MP_OK && i < items->count; i++) {
        mp_obj *item = mpi_shared_decode(items->bytes.data + begin,
                                         items->ends[i] - begin);

        begin = items->ends[i];
        err = mp_obj_append(list, item);
    }
    if (err == MP_OK)
        return list;
    mp_obj_unref(list);
    return mpi_obj_failed(err);
}

mp_obj *mp_shared_list_snapshot(mp_shared_list *list)
{
    mpi_list_view view;
    batch all = {.count = 0};
    mp_obj *obj;
    mp_error err = mpi_list_begin(list, &view);

    if (err != MP_OK)
        return mpi_obj_failed(err);
    err = copy_all(&view, &all);
    mpi_list_end(&view);
    obj = err == MP_OK ? decode_batch(&all) : mpi_obj_failed(err);
    free_batch(&all);
    return obj;
}

/* Pickles are not looked into: what they need may not be in this process. */
static mp_error verify_items(const mpi_list_view *view)
{
    for (size_t i = 0; i < view->count; i++) {
        mpi_list_bytes bytes;
        mp_error err = mpi_list_bytes_at(view, i, &bytes);

        if (err == MP_OK && mpi_shared_is_short(bytes.data, bytes.size)) {
            mp_obj *obj = mpi_shared_decode(bytes.data, bytes.size);

            err = mp_obj_error(obj);
            mp_obj_unref(obj);
        }
        if (err != MP_OK)
            return mpi_context(err, "[%zu]", i);
    }
    return MP_OK;
}

mp_error mp_shared_list_verify(mp_shared_list *list)
{
    mpi_list_view view;
    mp_error err = mpi_list_begin(list, &view);

    if (err != MP_OK)
        return err;
    err = verify_items(&view);
    if (err == MP_OK)
        err = mpi_store_verify(view.store);
    mpi_list_end(&view);
    return err;
}
