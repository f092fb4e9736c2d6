/* SPDX-License-Identifier: MIT */
/* A shared list's table, see shared_list.c. */
#include "shared_list.h"

#include "obj.h"

#include <string.h>

static size_t count_in(uint64_t state)
{
    return (size_t)(state >> 1);
}

size_t mpi_list_table_size(size_t capacity)
{
    const size_t head = sizeof(mpi_list_table);

    if (capacity > (SIZE_MAX - head) / (2 * sizeof(mpi_atomic64)))
        return SIZE_MAX;
    return head + capacity * 2 * sizeof(mpi_atomic64);
}

void mpi_list_roots(void *context, mpi_store *store,
                    void (*mark)(mpi_store *store, mpi_blob blob))
{
    const mpi_shared *shared = context;
    mpi_list_table *table = shared->table;
    uint64_t state = mpi_atomic64_load(&table->state);
    const mpi_atomic64 *items =
        table->slots + ((state & 1) != 0 ? shared->capacity : 0);

    for (size_t i = 0; i < count_in(state) && i < shared->capacity; i++)
        mark(store, mpi_atomic64_load(&items[i]));
}

mp_error mpi_list_check(mp_shared_list *list)
{
    return mpi_sync_is_ready(list, MPI_SHARED_LIST)
               ? MP_OK
               : mpi_sync_check(&mpi_shared_list_kind.sync, list);
}

static mp_error fail_damaged(void)
{
    return mpi_fail(MP_EPROTO, "the shared list is damaged");
}

mp_error mpi_list_begin(mp_shared_list *list, mpi_list_view *view)
{
    mp_error err = mpi_shared_lock(&mpi_shared_list_kind, list);
    mpi_shared *shared = (mpi_shared *)list;
    mpi_list_table *table;
    uint64_t state;

    if (err != MP_OK)
        return err;
    table = shared->table;
    state = mpi_atomic64_load(&table->state);
    if (state >> 1 > shared->capacity) {
        mpi_shared_unlock(shared);
        return fail_damaged();
    }
    view->shared = shared;
    view->store = &shared->store;
    view->table = table;
    view->count = count_in(state);
    view->which = (state & 1) != 0;
    view->items = table->slots + (view->which ? shared->capacity : 0);
    view->idle = table->slots + (view->which ? 0 : shared->capacity);
    return MP_OK;
}

void mpi_list_end(mpi_list_view *view)
{
    mpi_shared_unlock(view->shared);
}

void mpi_list_switch(mpi_list_view *view, bool which, size_t count)
{
    mpi_atomic64_store(&view->table->state, (uint64_t)count << 1 | which);
}

void mpi_list_copy(mpi_list_view *view, size_t from, size_t count, size_t to)
{
    for (size_t i = 0; i < count; i++)
        mpi_atomic64_store(&view->idle[to + i],
                           mpi_atomic64_load(&view->items[from + i]));
}

mp_error mpi_list_check_room(const mpi_list_view *view, size_t count)
{
    size_t capacity = view->shared->capacity;

    if (count <= capacity - view->count)
        return MP_OK;
    return mpi_fail(MP_ENOSPC, "the shared list has %zu items, and %zu at most",
                    view->count, capacity);
}

mp_error mpi_list_put(mpi_list_view *view, const void *data, size_t size,
                      mpi_blob *blob)
{
    void *memory;
    mp_error err = mpi_store_alloc(view->store, size, blob, &memory);

    if (err != MP_OK)
        return mpi_context(err, "the shared list is full");
    memcpy(memory, data, size);
    return MP_OK;
}

mp_error mpi_list_bytes_at(const mpi_list_view *view, size_t place,
                           mpi_list_bytes *bytes)
{
    mpi_blob blob = mpi_atomic64_load(&view->items[place]);

    bytes->data = mpi_store_at(view->store, blob, &bytes->size);
    return bytes->data == NULL ? fail_damaged() : MP_OK;
}

mp_obj *mpi_list_decode(const mpi_list_view *view, size_t place)
{
    mpi_list_bytes bytes;
    mp_error err = mpi_list_bytes_at(view, place, &bytes);

    return err == MP_OK ? mpi_shared_decode(bytes.data, bytes.size)
                        : mpi_obj_failed(err);
}
