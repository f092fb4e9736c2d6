/* SPDX-License-Identifier: MIT */
/*
 * The index of a queue's slots, see queue_table.h: a list in the order of
 * `order`, or, if there are keys, a leftist heap: of the two heaps below each
 * slot the left one has at least the right one's rank, which is how many steps
 * it is down to where there is none on the way to the right. So that way has at
 * most log2(n + 1) steps, and all that is done to a heap is to merge two of
 * them along it.
 */
#include "queue_table.h"

enum { LONGEST_WAY = 64 };

static uint64_t most_slots(const mpi_table *table)
{
    return (uint64_t)table->units->max_units * MPI_SLOTS_PER_UNIT;
}

/* -- Keys ------------------------------------------------------------------ */

typedef struct pair {
    mpi_table_slot *slots[2];
    mp_obj *keys[2];
} pair;

static mp_obj *key_of(mpi_table *table, mpi_place place,
                      const mpi_table_slot *slot)
{
    if (mpi_slot_has_key(slot))
        return mpi_slot_key(table, place);
    return mp_obj_int(slot->priority);
}

/* What can't be compared is equal, unless somebody is to be told. */
static mp_error key_is_less(const mp_obj *left, const mp_obj *right,
                            bool must_tell, bool *is_less)
{
    mp_error err = mpi_obj_less(left, right, is_less);

    if (err == MP_ETYPE && !must_tell) {
        *is_less = false;
        return MP_OK;
    }
    return err;
}

static mp_error objects_are_in_order(const pair *it, bool must_tell,
                                     bool *answer)
{
    bool is_less = false;
    mp_error err = key_is_less(it->keys[1], it->keys[0], must_tell, &is_less);

    if (err != MP_OK || is_less) {
        *answer = false;
        return err;
    }
    err = key_is_less(it->keys[0], it->keys[1], must_tell, &is_less);
    *answer = is_less || it->slots[0]->order <= it->slots[1]->order;
    return err;
}

static mp_error compare_objects(mpi_table *table, const mpi_place places[2],
                                pair *it, bool *answer)
{
    bool must_tell =
        places[0] == table->new_place || places[1] == table->new_place;
    mp_error err = MP_OK;

    for (int i = 0; i < 2; i++) {
        it->keys[i] = key_of(table, places[i], it->slots[i]);
        if (err == MP_OK && mpi_is_error(it->keys[i]))
            err = mp_obj_error(it->keys[i]);
    }
    if (err == MP_OK)
        err = objects_are_in_order(it, must_tell, answer);
    mp_obj_unref(it->keys[0]);
    mp_obj_unref(it->keys[1]);
    return err;
}

/* Whether the first is to be got before the second. */
static mp_error are_in_order(mpi_table *table, mpi_place first,
                             mpi_place second, bool *answer)
{
    pair it = {{mpi_table_at(table, first), mpi_table_at(table, second)},
               {NULL, NULL}};
    const mpi_table_slot *left = it.slots[0];
    const mpi_table_slot *right = it.slots[1];

    if (left == NULL || right == NULL)
        return mpi_table_damaged(table);
    if (mpi_slot_has_key(left) || mpi_slot_has_key(right))
        return compare_objects(table, (mpi_place[2]){first, second}, &it,
                               answer);
    *answer = left->priority != right->priority
                  ? left->priority < right->priority
                  : left->order <= right->order;
    return MP_OK;
}

/* -- The heap -------------------------------------------------------------- */

/* Down the ways to the right of both, by turns. */
typedef struct way {
    mpi_place places[LONGEST_WAY];
    size_t count;
    mpi_place rest;
} way;

static mp_error find_way(mpi_table *table, mpi_place one, mpi_place other,
                         way *down)
{
    while (one != 0 && other != 0) {
        const mpi_table_slot *slot;
        mpi_place *higher;
        bool is_one = false;
        mp_error err = are_in_order(table, one, other, &is_one);

        if (err != MP_OK)
            return err;
        higher = is_one ? &one : &other;
        slot = mpi_table_at(table, *higher);
        if (slot == NULL || down->count == LONGEST_WAY)
            return mpi_table_damaged(table);
        down->places[down->count++] = *higher;
        *higher = slot->after;
    }
    down->rest = one != 0 ? one : other;
    return MP_OK;
}

static unsigned rank_of(const mpi_table *table, mpi_place place)
{
    const mpi_table_slot *slot = mpi_table_at(table, place);

    return slot == NULL ? 0 : slot->rank;
}

/* Nothing is changed unless all could be compared. */
static mp_error merge_heaps(mpi_table *table, mpi_place one, mpi_place other,
                            mpi_place *top)
{
    way down = {.count = 0};
    mp_error err = find_way(table, one, other, &down);

    if (err != MP_OK)
        return err;
    while (down.count > 0) {
        mpi_place place = down.places[--down.count];
        mpi_table_slot *slot = mpi_table_at(table, place);
        mpi_place left;
        unsigned rank;

        if (slot == NULL)
            return mpi_table_damaged(table);
        left = slot->before;
        rank = rank_of(table, down.rest);
        if (rank_of(table, left) < rank) {
            rank = rank_of(table, left);
            slot->before = down.rest;
            slot->after = left;
        } else {
            slot->after = down.rest;
        }
        slot->rank = (uint8_t)(rank + 1);
        down.rest = place;
    }
    *top = down.rest;
    return MP_OK;
}

static mp_error remove_top(mpi_table *table, const mpi_table_slot *slot)
{
    mpi_place top;
    mp_error err = merge_heaps(table, slot->before, slot->after, &top);

    if (err == MP_OK)
        table->root->front = top;
    return err;
}

/* -- The list -------------------------------------------------------------- */

/* From both ends at once: as a rule it is near one of them. 0: the first. */
static mp_error find_before(mpi_table *table, int64_t order, mpi_place *before)
{
    mpi_place low = table->root->front;
    mpi_place high = table->root->back;

    for (uint64_t n = most_slots(table); n > 0 && high != 0 && low != 0; n--) {
        const mpi_table_slot *from_front = mpi_table_at(table, low);
        const mpi_table_slot *from_back = mpi_table_at(table, high);

        if (from_front == NULL || from_back == NULL)
            return mpi_table_damaged(table);
        if (from_back->order <= order) {
            *before = high;
            return MP_OK;
        }
        if (from_front->order > order) {
            *before = from_front->before;
            return MP_OK;
        }
        low = from_front->after;
        high = from_back->before;
    }
    if (high != 0)
        return mpi_table_damaged(table);
    *before = 0;
    return MP_OK;
}

static mp_error insert_behind(mpi_table *table, mpi_place before,
                              mpi_place place, mpi_table_slot *slot)
{
    mpi_table_root *root = table->root;
    mpi_table_slot *previous = mpi_table_at(table, before);
    mpi_place after = previous == NULL ? root->front : previous->after;
    mpi_table_slot *next = mpi_table_at(table, after);

    if ((before != 0 && previous == NULL) || (after != 0 && next == NULL))
        return mpi_table_damaged(table);
    slot->before = before;
    slot->after = after;
    if (previous != NULL)
        previous->after = place;
    else
        root->front = place;
    if (next != NULL)
        next->before = place;
    else
        root->back = place;
    return MP_OK;
}

static mp_error unlink_slot(mpi_table *table, const mpi_table_slot *slot)
{
    mpi_table_root *root = table->root;
    mpi_place before = slot->before;
    mpi_place after = slot->after;
    mpi_table_slot *previous = mpi_table_at(table, before);
    mpi_table_slot *next = mpi_table_at(table, after);

    if ((before != 0 && previous == NULL) || (after != 0 && next == NULL))
        return mpi_table_damaged(table);
    if (previous != NULL)
        previous->after = after;
    else
        root->front = after;
    if (next != NULL)
        next->before = before;
    else
        root->back = before;
    return MP_OK;
}

/* -- The index ------------------------------------------------------------- */

mp_error mpi_order_insert(mpi_table *table, mpi_place place)
{
    mpi_table_slot *slot = mpi_table_at(table, place);
    mpi_place before = 0;
    mp_error err;

    if (slot == NULL)
        return mpi_table_damaged(table);
    if (mpi_table_has_heap(table)) {
        slot->before = 0;
        slot->after = 0;
        slot->rank = 1;
        return merge_heaps(table, table->root->front, place,
                           &table->root->front);
    }
    err = find_before(table, slot->order, &before);
    return err == MP_OK ? insert_behind(table, before, place, slot) : err;
}

mpi_place mpi_order_first(const mpi_table *table, bool from_back)
{
    bool is_back = table->queue->order == MP_QUEUE_LIFO ||
                   (table->queue->order == MP_QUEUE_DEQUE && from_back);

    return is_back ? table->root->back : table->root->front;
}

mp_error mpi_order_remove(mpi_table *table, mpi_place place)
{
    const mpi_table_slot *slot = mpi_table_at(table, place);

    if (slot == NULL)
        return mpi_table_damaged(table);
    return mpi_table_has_heap(table) ? remove_top(table, slot)
                                     : unlink_slot(table, slot);
}

/* -- Many at once ---------------------------------------------------------- */

static bool comes_first(const mpi_table_slot *one, const mpi_table_slot *other,
                        mpi_sort_by by)
{
    if (by == MPI_BY_TAKEN) /* which goes round */
        return (int32_t)(one->taken_at - other->taken_at) <= 0;
    return one->order <= other->order;
}

static mp_error merge_lists(mpi_table *table, mpi_sort_by by, mpi_place one,
                            mpi_place other, mpi_place *first)
{
    uint64_t limit = most_slots(table);
    mpi_place *link = first;

    for (; one != 0 && other != 0; limit--) {
        mpi_table_slot *left = mpi_table_at(table, one);
        mpi_table_slot *right = mpi_table_at(table, other);

        if (limit == 0 || left == NULL || right == NULL)
            return mpi_table_damaged(table);
        if (comes_first(left, right, by)) {
            *link = one;
            link = &left->after;
            one = left->after;
        } else {
            *link = other;
            link = &right->after;
            other = right->after;
        }
    }
    *link = one != 0 ? one : other;
    return MP_OK;
}

static mp_error merge(mpi_table *table, mpi_sort_by by, mpi_place one,
                      mpi_place other, mpi_place *first)
{
    return by == MPI_BY_KEY ? merge_heaps(table, one, other, first)
                            : merge_lists(table, by, one, other, first);
}

mp_error mpi_sorter_add(mpi_table *table, mpi_sorter *sorter, mpi_sort_by by,
                        mpi_place place)
{
    mpi_table_slot *slot = mpi_table_at(table, place);

    if (slot == NULL)
        return mpi_table_damaged(table);
    slot->before = 0;
    slot->after = 0;
    slot->rank = 1;
    for (int i = 0; i < 32; i++) {
        mpi_place run = sorter->runs[i];
        mp_error err;

        sorter->runs[i] = run == 0 ? place : 0;
        if (run == 0)
            return MP_OK;
        err = merge(table, by, run, place, &place);
        if (err != MP_OK)
            return err;
    }
    return mpi_table_damaged(table);
}

mp_error mpi_sorter_end(mpi_table *table, mpi_sorter *sorter, mpi_sort_by by,
                        mpi_place *first)
{
    mp_error err = MP_OK;

    *first = 0;
    for (int i = 0; i < 32 && err == MP_OK; i++)
        err = merge(table, by, sorter->runs[i], *first, first);
    return err;
}

mp_error mpi_order_set(mpi_table *table, mpi_place first)
{
    mpi_table_root *root = table->root;
    mpi_place before = 0;
    uint64_t limit = most_slots(table);

    root->front = first;
    root->back = 0;
    if (mpi_table_has_heap(table))
        return MP_OK;
    for (mpi_place place = first; place != 0; limit--) {
        mpi_table_slot *slot = mpi_table_at(table, place);

        if (limit == 0 || slot == NULL)
            return mpi_table_damaged(table);
        slot->before = before;
        before = place;
        place = slot->after;
    }
    root->back = before;
    return MP_OK;
}
