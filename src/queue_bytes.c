/* SPDX-License-Identifier: MIT */
/* Queue: items that are bytes, one at a time or many. */
#include "internal.h"
#include "queue_use.h"

#include <stdlib.h>
#include <string.h>

/* So many are put at once without asking for memory. */
enum { FEW = 16 };

static mp_error fail_null(const char *what)
{
    return mpi_fail(MP_EINVAL, "%s is NULL", what);
}

static mp_error fail_too_long(size_t capacity)
{
    return mpi_fail(MP_EOVERFLOW, "the next item does not fit into %zu bytes",
                    capacity);
}

static mp_error check_bytes(const void *data, size_t size)
{
    if (data == NULL && size > 0)
        return fail_null("the item");
    if (size > PTRDIFF_MAX)
        return mpi_fail(MP_ENOSPC, "no item has %zu bytes", size);
    return MP_OK;
}

/* -- Putting --------------------------------------------------------------- */

static mp_error put_bytes(mp_queue *queue, mpi_queue_offer *offer,
                          double timeout)
{
    mp_error err = check_bytes(offer->item.data, offer->item.size);

    if (err != MP_OK || mpi_queue_put_quickly(queue, &offer->item))
        return err;
    return mpi_queue_put_item(queue, offer, timeout);
}

mp_error mp_queue_put_bytes(mp_queue *queue, const void *data, size_t size,
                            double timeout)
{
    mpi_queue_offer offer = {
        .item = {.kind = MPI_ITEM_BYTES, .data = data, .size = size},
    };
    mp_error err = mpi_queue_check(queue);

    return err == MP_OK ? put_bytes(queue, &offer, timeout) : err;
}

mp_error mp_queue_put_bytes_priority(mp_queue *queue, int64_t priority,
                                     const void *data, size_t size,
                                     double timeout)
{
    mpi_queue_offer offer = {
        .item =
            {
                .kind = MPI_ITEM_BYTES,
                .priority = priority,
                .data = data,
                .size = size,
            },
    };
    mp_error err = mpi_queue_check(queue);

    if (err == MP_OK && queue->order != MP_QUEUE_PRIORITY)
        err = mpi_fail(MP_ESTATE, "only a queue of MP_QUEUE_PRIORITY has "
                                  "priorities");
    return err == MP_OK ? put_bytes(queue, &offer, timeout) : err;
}

/* -- Putting many ---------------------------------------------------------- */

typedef struct batch {
    mpi_item *items;
    size_t count;
    size_t ready; /* up to this one, the large ones have memory */
    size_t done;
} batch;

/* Only what is to be put now: memory for the others is for who comes first. */
static mp_error prepare(mp_queue *queue, batch *all)
{
    mp_error err = MP_OK;

    while (all->ready < all->count && err == MP_OK) {
        mpi_item *item = &all->items[all->ready];

        if (item->size > MPI_ITEM_INLINE && item->span == 0)
            err = mpi_queue_fill_span(queue, item);
        if (err == MP_OK)
            all->ready++;
    }
    return err;
}

/* MP_FULL: some are left. */
static mp_error attempt_many(mp_queue *queue, void *context)
{
    batch *all = context;
    size_t put = 0;
    mp_error failure = prepare(queue, all);
    mp_error err = MP_OK;

    if (all->ready > all->done)
        err = queue->type->put_many(queue, all->items + all->done,
                                    all->ready - all->done, &put);
    all->done += put;
    if (put > 0)
        mpi_queue_has_put(queue, put);
    return mpi_queue_unless_shut(queue, err == MP_OK ? failure : err);
}

static mp_error put_batch(mp_queue *queue, batch *all, double timeout)
{
    const mpi_queue_turn turn = {attempt_many, all, true};
    mp_error err = queue->maxsize == 0
                       ? attempt_many(queue, all)
                       : mpi_queue_attempt(queue, &turn, timeout);

    for (size_t i = all->done; i < all->count; i++)
        mpi_queue_give_back(queue, all->items[i].span);
    return all->done > 0 ? MP_OK : mpi_queue_put_result(queue, err);
}

static mp_error fill_batch(const mp_bytes *items, size_t count, batch *all)
{
    for (size_t i = 0; i < count; i++) {
        mp_error err = check_bytes(items[i].data, items[i].size);

        if (err != MP_OK)
            return err;
        all->items[i] = (mpi_item){
            .kind = MPI_ITEM_BYTES,
            .data = items[i].data,
            .size = items[i].size,
        };
    }
    all->count = count;
    return MP_OK;
}

mp_error mp_queue_put_many(mp_queue *queue, const mp_bytes *items, size_t count,
                           size_t *done, double timeout)
{
    mpi_item few[FEW];
    batch all = {.items = few};
    mp_error err = mpi_queue_check(queue);

    if (err == MP_OK && (done == NULL || (items == NULL && count > 0)))
        err = fail_null(done == NULL ? "done" : "items");
    if (err != MP_OK)
        return err;
    *done = 0;
    if (count > FEW)
        all.items = count <= SIZE_MAX / sizeof(few[0])
                        ? mpi_malloc(count * sizeof(few[0]))
                        : NULL;
    if (all.items == NULL)
        return mpi_no_memory();
    err = fill_batch(items, count, &all);
    if (err == MP_OK && count > 0)
        err = put_batch(queue, &all, timeout);
    *done = all.done;
    if (all.items != few)
        free(all.items);
    return err;
}

/* -- Getting --------------------------------------------------------------- */

/* Room for an item that may be inline, and a zero behind it. */
typedef struct room {
    unsigned char *data;
    size_t capacity;
} room;

static mp_error make_room(room *it, size_t capacity)
{
    unsigned char *data;

    if (it->data != NULL && capacity <= it->capacity)
        return MP_OK;
    free(it->data);
    it->data = NULL;
    data = capacity < PTRDIFF_MAX ? mpi_malloc(capacity + 1) : NULL;
    if (data == NULL)
        return mpi_no_memory();
    it->data = data;
    it->capacity = capacity;
    return MP_OK;
}

static void copy_taken(mp_queue *queue, const mpi_item *item, void *data)
{
    if (item->size > 0)
        memcpy(data, item->data, item->size);
    mpi_queue_release(queue, item->span);
}

static double seconds_until(int64_t deadline)
{
    if (deadline == 0 || deadline == MPOS_FOREVER)
        return deadline == 0 ? 0 : MP_FOREVER;
    return (double)(deadline - mpos_now()) / 1e9;
}

/* Memory first: what is taken can't be given back. Meanwhile another may take
 * what it is for, and then it waits for the next one. */
static mp_error get_bytes(mp_queue *queue, double timeout, room *it,
                          size_t *size)
{
    mpi_queue_wish wish = {.kind = MPI_ITEM_BYTES, .most = MPI_ITEM_INLINE};
    int64_t deadline = mpi_deadline(timeout);
    mpi_taken taken;
    mp_error err = make_room(it, wish.most);

    if (err == MP_OK)
        err = mpi_queue_take_item(queue, &wish, timeout, &taken);
    while (err == MP_EOVERFLOW) {
        wish.most = taken.item.size;
        err = make_room(it, wish.most);
        if (err == MP_OK)
            err = mpi_queue_take_item(queue, &wish, seconds_until(deadline),
                                      &taken);
    }
    if (err != MP_OK)
        return err;
    *size = taken.item.size;
    copy_taken(queue, &taken.item, it->data);
    it->data[*size] = '\0';
    return MP_OK;
}

/* If the rest can't be given back, it stays. */
static void shrink(room *it, size_t size)
{
    unsigned char *smaller;

    if (size >= it->capacity / 2)
        return;
    smaller = realloc(it->data, size + 1);
    if (smaller != NULL)
        it->data = smaller;
}

mp_error mp_queue_get_bytes(mp_queue *queue, double timeout, void **data,
                            size_t *size)
{
    room it = {.data = NULL};
    size_t got = 0;
    mp_error err = mpi_queue_check(queue);

    if (err == MP_OK && (data == NULL || size == NULL))
        err = fail_null(data == NULL ? "data" : "size");
    if (err == MP_OK)
        err = get_bytes(queue, timeout, &it, &got);
    if (err != MP_OK) {
        free(it.data);
        return err;
    }
    shrink(&it, got);
    *data = it.data;
    *size = got;
    return MP_OK;
}

static mp_error get_bytes_into(mp_queue *queue, void *data, size_t capacity,
                               size_t *size, double timeout)
{
    const mpi_queue_wish wish = {.kind = MPI_ITEM_BYTES, .most = capacity};
    mpi_taken taken;
    mp_error err = mpi_queue_take_item(queue, &wish, timeout, &taken);

    if (err == MP_OK || err == MP_EOVERFLOW)
        *size = taken.item.size;
    if (err == MP_OK)
        copy_taken(queue, &taken.item, data);
    return err == MP_EOVERFLOW ? fail_too_long(capacity) : err;
}

mp_error mp_queue_get_bytes_into(mp_queue *queue, void *data, size_t capacity,
                                 size_t *size, double timeout)
{
    mpi_item item = {.kind = MPI_ITEM_BYTES, .size = capacity};
    mp_error err = mpi_queue_check(queue);

    if (err == MP_OK && (size == NULL || (data == NULL && capacity > 0)))
        err = fail_null(size == NULL ? "size" : "data");
    if (err != MP_OK)
        return err;
    if (!mpi_queue_take_quickly(queue, &item, data))
        return get_bytes_into(queue, data, capacity, size, timeout);
    *size = item.size;
    return MP_OK;
}

/* -- Getting many ---------------------------------------------------------- */

typedef struct harvest {
    void *data;
    size_t capacity;
    mp_bytes *items;
    size_t count;
    size_t done;
} harvest;

/* What has a span comes alone. */
static mp_error take_one(mp_queue *queue, harvest *it)
{
    mpi_taken taken;
    mp_error err =
        queue->type->take(queue, false, MPI_ITEM_BYTES, it->capacity, &taken);

    if (err != MP_OK)
        return err;
    copy_taken(queue, &taken.item, it->data);
    it->items[0] = (mp_bytes){it->data, taken.item.size};
    it->done = 1;
    return MP_OK;
}

static mp_error take_many(mp_queue *queue, harvest *it)
{
    mp_error err = queue->type->take_many(queue, it->data, it->capacity,
                                          it->items, it->count, &it->done);

    return err == MP_OK && it->done == 0 ? take_one(queue, it) : err;
}

static mp_error attempt_harvest(mp_queue *queue, void *context)
{
    harvest *it = context;
    mp_error err = take_many(queue, it);

    if (err == MP_EMPTY && mpi_queue_is_shut(queue)) {
        err = take_many(queue, it);
        if (err == MP_EMPTY)
            return mpi_queue_fail_shut();
    }
    if (err == MP_OK)
        mpi_queue_has_room(queue, it->done);
    return err;
}

mp_error mp_queue_get_many(mp_queue *queue, void *data, size_t capacity,
                           mp_bytes *items, size_t count, size_t *done,
                           double timeout)
{
    harvest it = {data, capacity, items, count, 0};
    const mpi_queue_turn turn = {attempt_harvest, &it, false};
    mp_error err = mpi_queue_check(queue);

    if (err == MP_OK && (done == NULL || (items == NULL && count > 0) ||
                         (data == NULL && capacity > 0)))
        err = fail_null(done == NULL ? "done" : "items or data");
    if (err != MP_OK)
        return err;
    *done = 0;
    if (count == 0)
        return MP_OK;
    err = mpi_queue_attempt(queue, &turn, timeout);
    *done = it.done;
    if (err == MP_ETYPE)
        return mpi_queue_fail_object();
    return err == MP_EOVERFLOW ? fail_too_long(capacity) : err;
}
