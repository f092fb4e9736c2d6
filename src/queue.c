/* SPDX-License-Identifier: MIT */
/*
 * Queue: how it is made, found and sent; objects; counts. How items lie in
 * memory, queue_ring.c and queue_table.c know.
 *
 * An item is encoded before anybody is waited for, and decoded when it is this
 * process's own, so that nothing of the user's happens with a lock held.
 */
#include "internal.h"
#include "obj.h"
#include "pickle.h"
#include "queue_use.h"
#include "shared.h"

#include <stdlib.h>
#include <string.h>

/* max_bytes, where all of it is reserved at once. */
static const size_t default_fixed_size = (size_t)128 << 20;

_Static_assert(offsetof(mpi_queue_thing, get_lock) == MPI_QUEUE_GET_LOCK,
               "arena.c finds the second lock");

/* What this thread has got last, for mp_queue_deliveries(). */
static MPI_THREAD_LOCAL struct {
    const mp_queue *queue;
    uint32_t deliveries;
} last_got;

static mp_error fail_damaged(void)
{
    return mpi_fail(MP_EPROTO, "the queue is damaged");
}

/* -- Checking -------------------------------------------------------------- */

/* Once in each process. Numbers of processes are given out again, much later:
 * nothing must be found under one then that its last owner had. */
static mp_error begin_to_use(mp_queue *queue)
{
    return mpi_queue_look(queue);
}

mp_error mpi_queue_check(mp_queue *queue)
{
    mp_error err;

    if (mpi_sync_is_ready(queue, MPI_QUEUE))
        return MP_OK;
    err = mpi_sync_check(&mpi_queue_kind, queue);
    return err == MP_OK ? begin_to_use(queue) : err;
}

/* -- The locks ------------------------------------------------------------- */

mp_error mpi_queue_lock(mp_queue *queue, mpos_word *word)
{
    mp_error err = mpi_word_lock(word, &queue->sync.share, MP_FOREVER);

    if (err != MP_OWNER_DIED)
        return err;
    mpi_atomic32_store(&queue->thing->must_sweep, 1);
    return MP_OK;
}

void mpi_queue_unlock(mp_queue *queue, mpos_word *word)
{
    (void)mpi_word_unlock(word, &queue->sync.share);
}

uint32_t mpi_queue_tag(const mp_queue *queue, uint32_t owner)
{
    uint64_t identity = mpi_share_identity(&queue->sync.share, owner);
    uint32_t tag = (uint32_t)(identity ^ identity >> 32);

    return tag != 0 ? tag : 1;
}

uint64_t *mpi_queue_outstanding(const mp_queue *queue)
{
    return queue->units.data;
}

/* -- What is to be made ---------------------------------------------------- */

static const mp_queue_options defaults;

/* storage: which may decide how much is reserved. */
static mp_error plan_thing(size_t maxsize, const mp_queue_options *options,
                           mpi_storage storage, mpi_queue_thing *thing,
                           mpi_share_plan *plan)
{
    bool grows = mpi_storage_grows(storage);
    size_t most = options->max_bytes;
    size_t initial = 0, full = 0;
    uint32_t max_units = 0;
    mp_error err;

    if ((int)options->order < MP_QUEUE_FIFO ||
        (int)options->order > MP_QUEUE_DEQUE)
        return mpi_fail(MP_EINVAL, "%d is no mp_queue_order",
                        (int)options->order);
    if (most == 0 && !grows)
        most = default_fixed_size;
    err = mpi_units_plan(most, &initial, &full, &max_units);
    if (err != MP_OK)
        return err;
    *thing = (mpi_queue_thing){
        .order = (uint32_t)options->order,
        .redelivers = options->redeliver,
        .maxsize = maxsize,
        .max_units = max_units,
    };
    *plan = (mpi_share_plan){
        .storage = storage,
        .kind = MPI_QUEUE,
        .initial = thing,
        .initial_size = sizeof(*thing),
        .size = sizeof(*thing),
        .data_size = grows ? initial : full,
        .data_limit = full,
    };
    return MP_OK;
}

/* -- What is there --------------------------------------------------------- */

static const mpi_queue_type *type_for(const mp_queue *queue)
{
    return queue->order == MP_QUEUE_FIFO && !queue->redelivers
               ? &mpi_queue_ring
               : &mpi_queue_table;
}

/* So that it can be used; once for each object. */
static mp_error map(mp_queue *queue)
{
    mpi_share *share = &queue->sync.share;
    mpi_queue_thing *thing = share->memory;
    uint32_t order, redelivers;
    uint64_t maxsize;

    if (mpi_share_size(share) < sizeof(*thing))
        return fail_damaged();
    order = thing->order;
    redelivers = thing->redelivers;
    maxsize = thing->maxsize;
    if (order > MP_QUEUE_DEQUE || redelivers > 1 || maxsize > SIZE_MAX)
        return fail_damaged();
    queue->thing = thing;
    queue->order = (mp_queue_order)order;
    queue->redelivers = redelivers != 0;
    queue->maxsize = (size_t)maxsize;
    queue->type = type_for(queue);
    mpi_atomic64_store(&queue->lost_seen,
                       mpi_atomic64_load(&thing->lost_count));
    return mpi_units_open(&queue->units, share, thing->max_units);
}

static bool release(mpi_sync *sync)
{
    mp_queue *queue = (mp_queue *)sync;

    if (queue->units.data != NULL)
        mpi_units_close(&queue->units);
    return true;
}

static mp_error complete(mpi_sync *sync, const mpi_open_request *request)
{
    mp_queue *queue = (mp_queue *)sync;
    mp_error err = map(queue);

    /* Whatever the last ones that used the file left there. */
    if (err == MP_OK && request->is_path)
        mpi_atomic32_store(&queue->thing->must_sweep, 1);
    if (err == MP_OK)
        err = queue->type->check(queue);
    if (err == MP_OK)
        err = begin_to_use(queue);
    if (err != MP_OK)
        return mpi_context(err, "can't open '%s'", request->name);
    return MP_OK;
}

static mp_error is_same(const mpi_share *share, const void *initial)
{
    static const char *const orders[] = {"FIFO", "LIFO", "PRIORITY", "DEQUE"};
    const mpi_queue_thing *wanted = initial, *found = share->memory;
    uint32_t order;

    if (mpi_share_size(share) < sizeof(*found))
        return fail_damaged();
    order = found->order;
    if (order > MP_QUEUE_DEQUE)
        return fail_damaged();
    if (order != wanted->order)
        return mpi_fail(MP_EEXIST, "there is one whose order is %s, not %s",
                        orders[order], orders[wanted->order]);
    if (found->redelivers != wanted->redelivers)
        return mpi_fail(MP_EEXIST, "there is one that %s",
                        found->redelivers != 0 ? "redelivers"
                                               : "does not redeliver");
    return MP_OK;
}

/* -- Travelling ------------------------------------------------------------ */

static mp_error rebuild(const mpi_resource_type *type, const mp_obj *state,
                        mpi_transport *transport, void **self)
{
    mpi_sync *sync;
    mp_error err = mpi_sync_rebuild((const mpi_sync_type *)(const void *)type,
                                    state, transport, &sync);

    if (err != MP_OK)
        return err;
    err = map((mp_queue *)sync);
    if (err == MP_OK)
        err = begin_to_use((mp_queue *)sync);
    if (err != MP_OK) {
        mpi_sync_unref(&mpi_queue_kind, sync);
        return err;
    }
    *self = sync;
    return MP_OK;
}

const mpi_sync_type mpi_queue_kind = {
    .resource = MPI_SYNC_RESOURCE("Queue", mpi_sync_reduce_any, rebuild),
    .kind = MPI_QUEUE,
    .size = sizeof(mp_queue),
    .release = release,
};

mp_obj *mp_obj_queue(mp_queue *queue)
{
    return mpi_sync_box(&mpi_queue_kind, queue);
}

mp_error mp_obj_as_queue(const mp_obj *obj, mp_queue **out)
{
    mpi_sync *sync;
    mp_error err = mpi_sync_unbox(&mpi_queue_kind, obj, &sync);

    if (err == MP_OK)
        *out = (mp_queue *)sync;
    return err;
}

/* -- Making and closing ---------------------------------------------------- */

mp_error mp_queue_create(mp_queue **out, size_t maxsize,
                         const mp_queue_options *options)
{
    mpi_queue_thing thing;
    mpi_share_plan plan;
    mpi_sync *sync;
    mp_error err = mpi_sync_check_out(&mpi_queue_kind, out);

    if (err == MP_OK)
        err = plan_thing(maxsize, options == NULL ? &defaults : options,
                         MPI_STORAGE_PRIVATE, &thing, &plan);
    if (err == MP_OK)
        err = mpi_sync_make(&mpi_queue_kind, &plan, &sync);
    if (err != MP_OK)
        return err;
    err = map((mp_queue *)sync);
    if (err != MP_OK) {
        mpi_sync_unref(&mpi_queue_kind, sync);
        return mpi_context(err, "can't create a new Queue");
    }
    *out = (mp_queue *)sync;
    return MP_OK;
}

typedef struct place {
    const char *name; /* or path */
    bool is_path;
} place;

static mp_error open_at(mp_queue **out, place where, size_t maxsize,
                        const mp_queue_options *options)
{
    mpi_open_request what = {
        .name = where.name,
        .is_path = where.is_path,
        .options = options == NULL ? NULL : &options->open,
        .is_same = is_same,
        .complete = complete,
    };
    mpi_queue_thing thing;
    mpi_sync *sync;
    mp_error err = mpi_sync_check_out(&mpi_queue_kind, out);

    if (err == MP_OK)
        err = plan_thing(maxsize, options == NULL ? &defaults : options,
                         where.is_path ? MPI_STORAGE_FILE : MPI_STORAGE_NAMED,
                         &thing, &what.plan);
    if (err == MP_OK)
        err = mpi_sync_find(&mpi_queue_kind, &what, &sync);
    if (err == MP_OK)
        *out = (mp_queue *)sync;
    return err;
}

mp_error mp_queue_open(mp_queue **out, const char *name, size_t maxsize,
                       const mp_queue_options *options)
{
    return open_at(out, (place){name, false}, maxsize, options);
}

mp_error mp_queue_open_file(mp_queue **out, const char *path, size_t maxsize,
                            const mp_queue_options *options)
{
    return open_at(out, (place){path, true}, maxsize, options);
}

mp_error mp_queue_sync(mp_queue *queue)
{
    mp_error err = mpi_queue_check(queue);
    size_t size;

    if (err != MP_OK)
        return err;
    size = mpi_share_data_size(&queue->sync.share);
    if (size > queue->units.mapped_size)
        size = queue->units.mapped_size;
    return mpi_share_sync(&queue->sync.share, queue->units.data, size);
}

mp_error mp_queue_close(mp_queue *queue)
{
    return mpi_sync_close(&mpi_queue_kind, queue);
}

/* -- Putting objects ------------------------------------------------------- */

/* The item, or the first one of a tuple. */
static const mp_obj *key_of(const mp_obj *item)
{
    const mp_obj *first;

    if (mp_obj_type(item) == MP_TYPE_TUPLE &&
        mp_obj_item(item, 0, &first) == MP_OK)
        return first;
    return item;
}

static mp_error encode_key(const mp_obj *obj, mpi_item *item, mpi_buffer *key)
{
    const mp_obj *first = key_of(obj);
    mp_type type = mp_obj_type(first);
    mp_error err;

    if ((type == MP_TYPE_INT || type == MP_TYPE_BOOL) &&
        mp_obj_as_int(first, &item->priority) == MP_OK)
        return MP_OK;
    err = mpi_pickle_dump(key, first, NULL);
    item->key_data = key->data;
    item->key_size = key->size;
    return err;
}

static mp_error encode(const mp_queue *queue, const mp_obj *obj, mpi_item *item,
                       mpi_buffer buffers[2])
{
    mp_error err = mpi_shared_encode(obj, &buffers[0]);

    item->data = buffers[0].data;
    item->size = buffers[0].size;
    if (err == MP_OK && queue->order == MP_QUEUE_PRIORITY)
        err = encode_key(obj, item, &buffers[1]);
    return err;
}

static mp_error put_object(mp_queue *queue, mp_obj *obj, bool at_front,
                           double timeout)
{
    mpi_queue_offer offer = {.item = {.kind = MPI_ITEM_OBJECT},
                             .at_front = at_front};
    mpi_buffer buffers[2] = {{0}, {0}};
    mp_error err = encode(queue, obj, &offer.item, buffers);

    if (err == MP_OK &&
        (at_front || !mpi_queue_put_quickly(queue, &offer.item)))
        err = mpi_queue_put_item(queue, &offer, timeout);
    mpi_buffer_free(&buffers[0]);
    mpi_buffer_free(&buffers[1]);
    return err;
}

static mp_error check_ends(const mp_queue *queue)
{
    if (queue->order == MP_QUEUE_DEQUE)
        return MP_OK;
    return mpi_fail(MP_ESTATE, "only a queue of MP_QUEUE_DEQUE has two ends");
}

mp_error mp_queue_put(mp_queue *queue, mp_obj *item, double timeout)
{
    mp_error err = mpi_queue_check(queue);

    if (err == MP_OK)
        err = put_object(queue, item, false, timeout);
    mp_obj_unref(item);
    return err;
}

mp_error mp_queue_put_nowait(mp_queue *queue, mp_obj *item)
{
    return mp_queue_put(queue, item, 0);
}

mp_error mp_queue_put_front(mp_queue *queue, mp_obj *item, double timeout)
{
    mp_error err = mpi_queue_check(queue);

    if (err == MP_OK)
        err = check_ends(queue);
    if (err == MP_OK)
        err = put_object(queue, item, true, timeout);
    mp_obj_unref(item);
    return err;
}

/* -- Getting objects ------------------------------------------------------- */

void mpi_queue_release(mp_queue *queue, mpi_span span)
{
    if (span == 0)
        return;
    if (queue->type->release != NULL)
        queue->type->release(queue, span);
    else
        mpi_units_free(&queue->units, span);
    mpi_queue_has_room(queue, 1);
}

void mpi_queue_give_back(mp_queue *queue, mpi_span span)
{
    if (span == 0)
        return;
    mpi_units_free(&queue->units, span);
    mpi_queue_has_room(queue, 1);
}

static mp_obj *decode(const mpi_item *item)
{
    return item->kind == MPI_ITEM_BYTES
               ? mp_obj_bytes(item->data, item->size)
               : mpi_shared_decode(item->data, item->size);
}

void mpi_queue_note(const mp_queue *queue, uint32_t deliveries)
{
    if (!queue->redelivers)
        return;
    last_got.queue = queue;
    last_got.deliveries = deliveries;
}

static mp_error get_object(mp_queue *queue, bool from_back, double timeout,
                           mp_obj **out)
{
    const mpi_queue_wish wish = {.from_back = from_back, .most = SIZE_MAX};
    mpi_taken taken;
    mp_obj *obj;
    mp_error err = MP_OK;

    if (out == NULL)
        return mpi_fail(MP_EINVAL, "there is nowhere to put the item");
    taken.item = (mpi_item){.size = sizeof(taken.room)};
    if (from_back || !mpi_queue_take_quickly(queue, &taken.item, taken.room))
        err = mpi_queue_take_item(queue, &wish, timeout, &taken);
    else
        taken.item.data = taken.room;
    if (err != MP_OK)
        return err;
    obj = decode(&taken.item);
    mpi_queue_release(queue, taken.item.span);
    err = mp_obj_error(obj);
    if (err != MP_OK) {
        mp_obj_unref(obj);
        return err;
    }
    *out = obj;
    return MP_OK;
}

mp_error mp_queue_get(mp_queue *queue, double timeout, mp_obj **out)
{
    mp_error err = mpi_queue_check(queue);

    return err == MP_OK ? get_object(queue, false, timeout, out) : err;
}

mp_error mp_queue_get_nowait(mp_queue *queue, mp_obj **out)
{
    return mp_queue_get(queue, 0, out);
}

mp_error mp_queue_get_back(mp_queue *queue, double timeout, mp_obj **out)
{
    mp_error err = mpi_queue_check(queue);

    if (err == MP_OK)
        err = check_ends(queue);
    return err == MP_OK ? get_object(queue, true, timeout, out) : err;
}

unsigned mp_queue_deliveries(mp_queue *queue)
{
    if (mpi_queue_check(queue) != MP_OK)
        return 0;
    if (!queue->redelivers)
        return 1;
    return last_got.queue == queue ? last_got.deliveries : 0;
}

/* -- Counts ---------------------------------------------------------------- */

size_t mp_queue_qsize(mp_queue *queue)
{
    return mpi_queue_check(queue) == MP_OK ? queue->type->length(queue) : 0;
}

bool mp_queue_empty(mp_queue *queue)
{
    return mp_queue_qsize(queue) == 0;
}

bool mp_queue_full(mp_queue *queue)
{
    size_t size = mp_queue_qsize(queue);

    return size > 0 && queue->maxsize > 0 && size >= queue->maxsize;
}
