/* SPDX-License-Identifier: MIT */
/* A ring of units, or a binary heap of them. */
#include "pool_order.h"

#include <stdlib.h>

enum { FIRST_CAPACITY = 16 };

static mpi_unit *ring_at(const mpi_order *order, size_t place)
{
    return &order->units[(order->first + place) & (order->capacity - 1)];
}

static mp_error grow(mpi_order *order, size_t capacity)
{
    mpi_unit *grown = mpi_calloc(capacity, sizeof(*grown));

    if (grown == NULL)
        return mpi_no_memory();
    for (size_t i = 0; i < order->count; i++)
        grown[i] = order->has_keys ? order->units[i] : *ring_at(order, i);
    free(order->units);
    order->units = grown;
    order->capacity = capacity;
    order->first = 0;
    return MP_OK;
}

mp_error mpi_order_reserve(mpi_order *order, size_t count)
{
    size_t capacity = order->capacity == 0 ? FIRST_CAPACITY : order->capacity;

    while (capacity - order->count < count)
        capacity *= 2;
    return capacity == order->capacity ? MP_OK : grow(order, capacity);
}

/* -- The heap -------------------------------------------------------------- */

static bool is_before(const mpi_unit *left, const mpi_unit *right)
{
    if (left->key < right->key || left->key > right->key)
        return left->key < right->key;
    if (left->number != right->number)
        return left->number < right->number;
    /* What was begun of a job, before what was not. */
    if (left->is_whole != right->is_whole)
        return right->is_whole;
    return left->index < right->index;
}

static void sift_up(mpi_order *order, size_t place)
{
    mpi_unit moved = order->units[place];

    while (place > 0 && is_before(&moved, &order->units[(place - 1) / 2])) {
        order->units[place] = order->units[(place - 1) / 2];
        place = (place - 1) / 2;
    }
    order->units[place] = moved;
}

static void sift_down(mpi_order *order)
{
    mpi_unit moved = order->units[0];
    size_t place = 0;

    for (;;) {
        size_t child = 2 * place + 1;

        if (child + 1 < order->count &&
            is_before(&order->units[child + 1], &order->units[child]))
            child++;
        if (child >= order->count || !is_before(&order->units[child], &moved))
            break;
        order->units[place] = order->units[child];
        place = child;
    }
    order->units[place] = moved;
}

/* -- Both ------------------------------------------------------------------ */

mp_error mpi_order_add(mpi_order *order, const mpi_unit *unit)
{
    mp_error err = mpi_order_reserve(order, 1 + order->spare);
    mpi_unit added = *unit;

    if (err != MP_OK)
        return err;
    added.number = ++order->last_number;
    if (order->has_keys) {
        order->units[order->count++] = added;
        sift_up(order, order->count - 1);
    } else {
        *ring_at(order, order->count++) = added;
    }
    return MP_OK;
}

void mpi_order_return(mpi_order *order, const mpi_unit *unit)
{
    if (order->has_keys) {
        order->units[order->count++] = *unit;
        sift_up(order, order->count - 1);
    } else {
        order->first = (order->first - 1) & (order->capacity - 1);
        order->count++;
        *ring_at(order, 0) = *unit;
    }
}

mpi_unit *mpi_order_next(const mpi_order *order)
{
    if (order->count == 0)
        return NULL;
    return order->has_keys ? &order->units[0] : ring_at(order, 0);
}

void mpi_order_drop(mpi_order *order)
{
    order->count--;
    if (!order->has_keys) {
        order->first = (order->first + 1) & (order->capacity - 1);
        return;
    }
    order->units[0] = order->units[order->count];
    if (order->count > 0)
        sift_down(order);
}

void mpi_order_free(mpi_order *order)
{
    free(order->units);
    order->units = NULL;
}
