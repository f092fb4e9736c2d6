/* SPDX-License-Identifier: MIT */
/*
 * Queue: items that are written and read where they are. What is small has
 * memory of this process's instead: copying it costs less than a span.
 */
#include "internal.h"
#include "queue_use.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64 };

/* In front of memory of this process's. */
typedef struct own_head {
    void *start; /* what malloc() gave */
    size_t capacity;
} own_head;

_Static_assert(sizeof(own_head) <= ALIGNMENT, "the head fits");

/*
 * slot->place: the span, 0 if the memory is this process's own; whether it was
 * got or made; and by how many bytes it is larger than what was asked for.
 */
static const uint64_t taken_mark = (uint64_t)1 << 32;
enum { SLACK_SHIFT = 33 };

static mpi_span span_of(const mp_queue_slot *slot)
{
    return (mpi_span)(slot->place & UINT32_MAX);
}

static own_head *head_of(const mp_queue_slot *slot)
{
    return (own_head *)(void *)((unsigned char *)slot->data - ALIGNMENT);
}

static mp_error check(mp_queue *queue, const mp_queue_slot *slot)
{
    mp_error err = mpi_queue_check(queue);

    if (err == MP_OK && slot == NULL)
        err = mpi_fail(MP_EINVAL, "the slot is NULL");
    return err;
}

/* Of one that is in use. */
static mp_error check_used(mp_queue *queue, const mp_queue_slot *slot)
{
    mp_error err = check(queue, slot);

    if (err != MP_OK)
        return err;
    if (slot->data == NULL)
        return mpi_fail(MP_ESTATE, "there is nothing in the slot");
    if (slot->place != 0 &&
        slot->data != mpi_units_at(&queue->units, span_of(slot)))
        return mpi_fail(MP_EINVAL, "the slot is another queue's");
    return MP_OK;
}

static mp_error make_own(size_t size, mp_queue_slot *slot)
{
    unsigned char *start = mpi_malloc(size + 2 * (size_t)ALIGNMENT);
    uintptr_t address = (uintptr_t)start;

    if (start == NULL)
        return mpi_no_memory();
    *slot = (mp_queue_slot){
        .data = start + (2 * (size_t)ALIGNMENT - address % ALIGNMENT),
        .size = size,
    };
    *head_of(slot) = (own_head){start, size};
    return MP_OK;
}

static void let_go(mp_queue *queue, mp_queue_slot *slot)
{
    if (slot->place == 0)
        free(head_of(slot)->start);
    else if ((slot->place & taken_mark) != 0)
        mpi_queue_release(queue, span_of(slot));
    else
        mpi_queue_give_back(queue, span_of(slot));
    *slot = (mp_queue_slot){NULL, 0, 0};
}

/* -- Putting --------------------------------------------------------------- */

static size_t capacity_of(const mp_queue *queue, const mp_queue_slot *slot)
{
    size_t slack = (size_t)(slot->place >> SLACK_SHIFT);
    size_t room;

    if (slot->place == 0)
        return head_of(slot)->capacity;
    room =
        (size_t)mpi_units_count(&queue->units, span_of(slot)) * MPI_UNIT_SIZE;
    return slack < room ? room - slack : 0;
}

mp_error mp_queue_reserve(mp_queue *queue, size_t size, mp_queue_slot *slot)
{
    mpi_span span = 0;
    uint64_t slack;
    mp_error err = check(queue, slot);

    if (err != MP_OK)
        return err;
    if (size <= MPI_ITEM_INLINE)
        return make_own(size, slot);
    err = mpi_queue_put_result(queue, mpi_queue_alloc(queue, size, &span));
    if (err != MP_OK)
        return err;
    slack = (MPI_UNIT_SIZE - size % MPI_UNIT_SIZE) % MPI_UNIT_SIZE;
    *slot = (mp_queue_slot){
        .data = mpi_units_at(&queue->units, span),
        .size = size,
        .place = span | slack << SLACK_SHIFT,
    };
    return MP_OK;
}

mp_error mp_queue_commit(mp_queue *queue, mp_queue_slot *slot, double timeout)
{
    mpi_queue_offer offer = {.item = {.kind = MPI_ITEM_BYTES}};
    mp_error err = check_used(queue, slot);

    if (err == MP_OK && (slot->place & taken_mark) != 0)
        err = mpi_fail(MP_ESTATE, "the slot has an item that was got");
    if (err == MP_OK && slot->size > capacity_of(queue, slot))
        err = mpi_fail(MP_EINVAL, "%zu bytes are more than were reserved",
                       slot->size);
    if (err != MP_OK)
        return err;
    offer.item.data = slot->data;
    offer.item.size = slot->size;
    offer.item.span = span_of(slot);
    err = mpi_queue_put_item(queue, &offer, timeout);
    if (err != MP_OK)
        return err;
    if (slot->place == 0)
        let_go(queue, slot);
    *slot = (mp_queue_slot){NULL, 0, 0};
    return MP_OK;
}

mp_error mp_queue_abandon(mp_queue *queue, mp_queue_slot *slot)
{
    mp_error err = check_used(queue, slot);

    if (err == MP_OK)
        let_go(queue, slot);
    return err;
}

/* -- Getting --------------------------------------------------------------- */

/* Memory first: what is taken can't be given back. */
static mp_error take(mp_queue *queue, double timeout, mp_queue_slot *slot)
{
    const mpi_queue_wish wish = {.kind = MPI_ITEM_BYTES, .most = SIZE_MAX};
    mp_queue_slot own;
    mpi_taken taken;
    mp_error err = make_own(MPI_ITEM_INLINE, &own);

    if (err != MP_OK)
        return err;
    err = mpi_queue_take_item(queue, &wish, timeout, &taken);
    if (err != MP_OK) {
        let_go(queue, &own);
        return err;
    }
    if (taken.item.span != 0) {
        let_go(queue, &own);
        *slot = (mp_queue_slot){
            .data = mpi_units_at(&queue->units, taken.item.span),
            .size = taken.item.size,
            .place = taken.item.span | taken_mark,
        };
        return MP_OK;
    }
    memcpy(own.data, taken.room, taken.item.size);
    own.size = taken.item.size;
    *slot = own;
    return MP_OK;
}

mp_error mp_queue_peek(mp_queue *queue, double timeout, mp_queue_slot *slot)
{
    mp_error err = check(queue, slot);

    return err == MP_OK ? take(queue, timeout, slot) : err;
}

mp_error mp_queue_consume(mp_queue *queue, mp_queue_slot *slot)
{
    return mp_queue_abandon(queue, slot);
}
