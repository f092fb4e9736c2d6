/* SPDX-License-Identifier: MIT */
/*
 * A shared list. Its table has two arrays of references to blobs, and one word
 * that says which of them counts and how many items it has.
 *
 * What happens at the end, or to one item, is one store: of the word, or of the
 * reference. All else (insert, sort ...) is written into the other array, and
 * the word then makes that the one that counts. So a kill leaves what was there
 * before or what is there after it, and nothing needs repair. Blobs are given
 * back only after that store: until then, they are the list's.
 */
#include "shared_list.h"

#include "internal.h"
#include "obj.h"

#include <stdlib.h>
#include <string.h>

const mpi_shared_type mpi_shared_list_kind = {
    .sync =
        {
            .resource = MPI_SYNC_RESOURCE("SharedList", mpi_sync_reduce_any,
                                          mpi_shared_rebuild),
            .kind = MPI_SHARED_LIST,
            .size = sizeof(mp_shared_list),
            .release = mpi_shared_release,
        },
    .table_size = mpi_list_table_size,
    .roots = mpi_list_roots,
};

mp_obj *mp_obj_shared_list(mp_shared_list *list)
{
    return mpi_sync_box(&mpi_shared_list_kind.sync, list);
}

mp_error mp_obj_as_shared_list(const mp_obj *obj, mp_shared_list **out)
{
    mpi_sync *sync;
    mp_error err = mpi_sync_unbox(&mpi_shared_list_kind.sync, obj, &sync);

    if (err == MP_OK)
        *out = (mp_shared_list *)sync;
    return err;
}

/* -- Making ---------------------------------------------------------------- */

mp_error mp_shared_list_create(mp_shared_list **out, size_t capacity,
                               const mp_shared_options *options)
{
    mpi_shared *shared;
    mp_error err = mpi_sync_check_out(&mpi_shared_list_kind.sync, out);

    if (err == MP_OK)
        err = mpi_shared_create(&mpi_shared_list_kind, capacity, options,
                                &shared);
    if (err == MP_OK)
        *out = (mp_shared_list *)shared;
    return err;
}

static mp_error open_at(mp_shared_list **out, mpi_shared_place place,
                        size_t capacity, const mp_shared_options *options)
{
    mpi_shared *shared;
    mp_error err = mpi_sync_check_out(&mpi_shared_list_kind.sync, out);

    if (err == MP_OK)
        err = mpi_shared_open(&mpi_shared_list_kind, place, capacity, options,
                              &shared);
    if (err == MP_OK)
        *out = (mp_shared_list *)shared;
    return err;
}

mp_error mp_shared_list_open(mp_shared_list **out, const char *name,
                             size_t capacity, const mp_shared_options *options)
{
    return open_at(out, (mpi_shared_place){name, false}, capacity, options);
}

mp_error mp_shared_list_open_file(mp_shared_list **out, const char *path,
                                  size_t capacity,
                                  const mp_shared_options *options)
{
    return open_at(out, (mpi_shared_place){path, true}, capacity, options);
}

mp_error mp_shared_list_sync(mp_shared_list *list)
{
    return mpi_shared_sync(&mpi_shared_list_kind, list);
}

mp_error mp_shared_list_close(mp_shared_list *list)
{
    return mpi_sync_close(&mpi_shared_list_kind.sync, list);
}

/* -- One item -------------------------------------------------------------- */

/* What obj is written down as. */
static mp_error encode_ref(mp_shared_list *list, const mp_obj *obj,
                           mpi_buffer *bytes)
{
    mp_error err = mpi_list_check(list);

    *bytes = (mpi_buffer){.data = NULL};
    if (err == MP_OK)
        err = mpi_shared_encode(obj, bytes);
    if (err != MP_OK)
        mpi_buffer_free(bytes);
    return err;
}

/* The same; obj is consumed. */
static mp_error encode(mp_shared_list *list, mp_obj *obj, mpi_buffer *bytes)
{
    mp_error err = encode_ref(list, obj, bytes);

    mp_obj_unref(obj);
    return err;
}

static mp_error append(mpi_list_view *view, const mpi_buffer *bytes)
{
    mpi_blob blob;
    mp_error err = mpi_list_check_room(view, 1);

    if (err == MP_OK)
        err = mpi_list_put(view, bytes->data, bytes->size, &blob);
    if (err != MP_OK)
        return err;
    mpi_atomic64_store(&view->items[view->count], blob);
    mpi_list_switch(view, view->which, view->count + 1);
    return MP_OK;
}

mp_error mp_shared_list_append(mp_shared_list *list, mp_obj *item)
{
    mpi_list_view view;
    mpi_buffer bytes;
    mp_error err = encode(list, item, &bytes);

    if (err != MP_OK)
        return err;
    err = mpi_list_begin(list, &view);
    if (err == MP_OK) {
        err = append(&view, &bytes);
        mpi_list_end(&view);
    }
    mpi_buffer_free(&bytes);
    return err;
}

static mp_error insert(mpi_list_view *view, size_t place,
                       const mpi_buffer *bytes)
{
    mpi_blob blob;
    mp_error err;

    if (place == view->count)
        return append(view, bytes);
    err = mpi_list_check_room(view, 1);
    if (err == MP_OK)
        err = mpi_list_put(view, bytes->data, bytes->size, &blob);
    if (err != MP_OK)
        return err;
    mpi_list_copy(view, 0, place, 0);
    mpi_atomic64_store(&view->idle[place], blob);
    mpi_list_copy(view, place, view->count - place, place + 1);
    mpi_list_switch(view, !view->which, view->count + 1);
    return MP_OK;
}

/* The nearest place there is. */
static size_t clamp(int64_t index, size_t count)
{
    if (index < 0)
        index += (int64_t)count;
    if (index < 0)
        return 0;
    return (uint64_t)index < count ? (size_t)index : count;
}

mp_error mp_shared_list_insert(mp_shared_list *list, int64_t index,
                               mp_obj *item)
{
    mpi_list_view view;
    mpi_buffer bytes;
    mp_error err = encode(list, item, &bytes);

    if (err != MP_OK)
        return err;
    err = mpi_list_begin(list, &view);
    if (err == MP_OK) {
        err = insert(&view, clamp(index, view.count), &bytes);
        mpi_list_end(&view);
    }
    mpi_buffer_free(&bytes);
    return err;
}

static mp_error find_place(const mpi_list_view *view, int64_t index,
                           size_t *place)
{
    int64_t count = (int64_t)view->count;

    if (index < -count || index >= count)
        return mpi_fail(MP_EINDEX, "the shared list has %zu items, no [%lld]",
                        view->count, (long long)index);
    *place = (size_t)(index < 0 ? index + count : index);
    return MP_OK;
}

/* A pickle may be long, and what it is unpickled with be loaded for it: that is
 * done when others may go on already. */
static mp_obj *get(mp_shared_list *list, int64_t index, mpi_buffer *pickle)
{
    mpi_list_view view;
    mpi_list_bytes bytes;
    mp_obj *obj = NULL;
    size_t place = 0;
    mp_error err = mpi_list_begin(list, &view);

    if (err != MP_OK)
        return mpi_obj_failed(err);
    err = find_place(&view, index, &place);
    if (err == MP_OK)
        err = mpi_list_bytes_at(&view, place, &bytes);
    if (err == MP_OK && mpi_shared_is_short(bytes.data, bytes.size))
        obj = mpi_shared_decode(bytes.data, bytes.size);
    else if (err == MP_OK)
        mpi_buffer_append(pickle, bytes.data, bytes.size);
    mpi_list_end(&view);
    if (pickle->has_failed)
        err = mpi_no_memory();
    if (err != MP_OK)
        return mpi_obj_failed(err);
    return obj != NULL ? obj : mpi_shared_decode(pickle->data, pickle->size);
}

mp_obj *mp_shared_list_get(mp_shared_list *list, int64_t index)
{
    mpi_buffer pickle = {.data = NULL};
    mp_obj *obj = get(list, index, &pickle);

    mpi_buffer_free(&pickle);
    return obj;
}

static mp_error set(mpi_list_view *view, int64_t index, const mpi_buffer *bytes)
{
    mpi_blob blob, old;
    size_t place = 0;
    mp_error err = find_place(view, index, &place);

    if (err == MP_OK)
        err = mpi_list_put(view, bytes->data, bytes->size, &blob);
    if (err != MP_OK)
        return err;
    old = mpi_atomic64_load(&view->items[place]);
    mpi_atomic64_store(&view->items[place], blob);
    mpi_store_free(view->store, old);
    return MP_OK;
}

mp_error mp_shared_list_set(mp_shared_list *list, int64_t index, mp_obj *item)
{
    mpi_list_view view;
    mpi_buffer bytes;
    mp_error err = encode(list, item, &bytes);

    if (err != MP_OK)
        return err;
    err = mpi_list_begin(list, &view);
    if (err == MP_OK) {
        err = set(&view, index, &bytes);
        mpi_list_end(&view);
    }
    mpi_buffer_free(&bytes);
    return err;
}

static void drop(mpi_list_view *view, size_t place)
{
    mpi_blob old = mpi_atomic64_load(&view->items[place]);
    size_t left = view->count - 1;

    if (place == left) {
        mpi_list_switch(view, view->which, left);
    } else {
        mpi_list_copy(view, 0, place, 0);
        mpi_list_copy(view, place + 1, left - place, place);
        mpi_list_switch(view, !view->which, left);
    }
    mpi_store_free(view->store, old);
}

/* Decoded before it goes: what can't be read stays. */
mp_obj *mp_shared_list_pop(mp_shared_list *list, int64_t index)
{
    mpi_list_view view;
    mp_obj *obj;
    size_t place = 0;
    mp_error err = mpi_list_begin(list, &view);

    if (err != MP_OK)
        return mpi_obj_failed(err);
    if (view.count == 0)
        err = mpi_fail(MP_EINDEX, "pop from an empty shared list");
    else
        err = find_place(&view, index, &place);
    obj = err == MP_OK ? mpi_list_decode(&view, place) : mpi_obj_failed(err);
    if (mp_obj_error(obj) == MP_OK)
        drop(&view, place);
    mpi_list_end(&view);
    return obj;
}

mp_error mp_shared_list_delete(mp_shared_list *list, int64_t index)
{
    mpi_list_view view;
    size_t place = 0;
    mp_error err = mpi_list_begin(list, &view);

    if (err != MP_OK)
        return err;
    err = find_place(&view, index, &place);
    if (err == MP_OK)
        drop(&view, place);
    mpi_list_end(&view);
    return err;
}

/* -- Looking for an item --------------------------------------------------- */

/* What to look for, also as it would be written down. */
typedef struct search {
    mpi_list_view view;
    const mp_obj *item;
    mpi_buffer bytes;
} search;

/* Equal bytes are equal items, unless there may be a nan in them; others may be
 * equal, too: 1 and 1.0. */
static mp_error is_equal(const search *it, size_t place, bool *are_equal)
{
    mpi_list_bytes found;
    mp_obj *obj;
    mp_error err = mpi_list_bytes_at(&it->view, place, &found);

    if (err != MP_OK)
        return err;
    if (mpi_shared_is_exact(it->bytes.data, found.data, found.size)) {
        *are_equal = found.size == it->bytes.size &&
                     memcmp(found.data, it->bytes.data, found.size) == 0;
        return MP_OK;
    }
    obj = mpi_shared_decode(found.data, found.size);
    err = mp_obj_error(obj);
    *are_equal = err == MP_OK && mp_obj_equal(obj, it->item);
    mp_obj_unref(obj);
    return err;
}

/* From *place on; it is the count of items if there is none. */
static mp_error find_next(const search *it, size_t *place)
{
    bool are_equal = false;
    mp_error err = MP_OK;

    while (*place < it->view.count) {
        err = is_equal(it, *place, &are_equal);
        if (err != MP_OK || are_equal)
            break;
        ++*place;
    }
    return err;
}

static mp_error begin_search(search *it, mp_shared_list *list,
                             const mp_obj *item)
{
    mp_error err = encode_ref(list, item, &it->bytes);

    it->item = item;
    if (err != MP_OK)
        return err;
    err = mpi_list_begin(list, &it->view);
    if (err != MP_OK)
        mpi_buffer_free(&it->bytes);
    return err;
}

static void end_search(search *it)
{
    mpi_list_end(&it->view);
    mpi_buffer_free(&it->bytes);
}

static mp_error find_first(const search *it, size_t *place)
{
    mp_error err;

    *place = 0;
    err = find_next(it, place);
    if (err == MP_OK && *place == it->view.count)
        return mpi_fail(MP_ENOTFOUND, "the shared list has no such item");
    return err;
}

mp_error mp_shared_list_remove(mp_shared_list *list, mp_obj *item)
{
    search it;
    size_t place;
    mp_error err = begin_search(&it, list, item);

    if (err == MP_OK) {
        err = find_first(&it, &place);
        if (err == MP_OK)
            drop(&it.view, place);
        end_search(&it);
    }
    mp_obj_unref(item);
    return err;
}

static mp_error count_all(const search *it, size_t *count)
{
    size_t place = 0;
    mp_error err = find_next(it, &place);

    *count = 0;
    while (err == MP_OK && place < it->view.count) {
        ++*count;
        place++;
        err = find_next(it, &place);
    }
    return err;
}

/* A search that changes nothing and finds a number. */
static mp_error search_for(mp_shared_list *list, mp_obj *item,
                           mp_error (*find)(const search *, size_t *),
                           size_t *number)
{
    search it;
    size_t found;
    mp_error err = begin_search(&it, list, item);

    if (err == MP_OK) {
        err = find(&it, &found);
        end_search(&it);
    }
    if (err == MP_OK && number == NULL)
        err = mpi_fail(MP_EINVAL, "there is nowhere to put the number");
    if (err == MP_OK)
        *number = found;
    mp_obj_unref(item);
    return err;
}

mp_error mp_shared_list_index(mp_shared_list *list, mp_obj *item, size_t *index)
{
    return search_for(list, item, find_first, index);
}

mp_error mp_shared_list_count(mp_shared_list *list, mp_obj *item, size_t *count)
{
    return search_for(list, item, count_all, count);
}
