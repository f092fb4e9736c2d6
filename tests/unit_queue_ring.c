/* SPDX-License-Identifier: MIT */
/* The ring: order, sizes, limits, what the dead leave, threads, and damage. */
#include "support/ring.h"
#include "support/system.h"
#include "support/threads.h"

enum {
    MIB = 1 << 20,
    SMALL = 8 * MPI_UNIT_SIZE,
    MUCH = 64 * MIB,
    MANY = 1000000,
    BY_THREADS = 200000,
    DAMAGES = 20000,
};

/* -- Items that tell what they are ----------------------------------------- */

static void fill(unsigned char *bytes, size_t size, uint64_t number)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)(number * 31 + i);
}

static bool is_filled(const void *data, size_t size, uint64_t number)
{
    const unsigned char *bytes = data;

    for (size_t i = 0; i < size; i++)
        if (bytes[i] != (unsigned char)(number * 31 + i))
            return false;
    return true;
}

static uint32_t chance(uint32_t *state, uint32_t below)
{
    *state = *state * 1664525 + 1013904223;
    return (*state >> 8) % below;
}

static mp_error put_sized(mp_queue *queue, size_t size, uint64_t number)
{
    static unsigned char bytes[MPI_ITEM_INLINE];
    mpi_item item = {.kind = MPI_ITEM_BYTES, .data = bytes, .size = size};

    fill(bytes, size, number);
    return queue->type->put(queue, &item, false);
}

static mpi_taken taken;

static mp_error take_any(mp_queue *queue)
{
    return queue->type->take(queue, false, 0, SIZE_MAX, &taken);
}

static void expect_next(mp_queue *queue, size_t size, uint64_t number)
{
    ok(take_any(queue));
    cr_assert_eq(taken.item.kind, MPI_ITEM_BYTES);
    cr_assert_eq(taken.item.size, size);
    cr_assert_eq(taken.item.deliveries, 1U);
    cr_assert(is_filled(taken.item.data, size, number), "item %lu",
              (unsigned long)number);
}

static mpi_span put_span(mp_queue *queue, size_t size, uint64_t number)
{
    uint32_t count = (uint32_t)(size / MPI_UNIT_SIZE + 1);
    mpi_item item = {.kind = MPI_ITEM_OBJECT, .size = size};

    ok(mpi_queue_alloc_span(queue, count, &item.span));
    fill(mpi_units_at(&queue->units, item.span), size, number);
    ok(queue->type->put(queue, &item, false));
    return item.span;
}

/* Nothing is left but where the cursors are, and what is called lost is. All of
 * its memory is had for that, so a queue of this is not to be large. */
static void expect_clean(mp_queue *queue)
{
    cr_assert_eq(queue->type->length(queue), 0U);
    cr_assert_eq(take_any(queue), MP_EMPTY);
    ok(queue->type->sweep(queue));
    cr_assert_leq(used_units(queue), 4U, "%u", (unsigned)used_units(queue));
    expect_rest_is_free(queue);
}

/* -- Order and sizes ------------------------------------------------------- */

Test(ring, items_of_all_sizes_come_out_as_they_were_put)
{
    mp_queue *queue = make_ring(MIB, 0);
    size_t put = 0, got = 0;

    ok(queue->type->check(queue));
    cr_assert_eq(take_any(queue), MP_EMPTY);
    while (put <= MPI_ITEM_INLINE) {
        for (int i = 0; i < 7 && put <= MPI_ITEM_INLINE; i++, put++)
            ok(put_sized(queue, put, put));
        cr_assert_eq(queue->type->length(queue), put - got);
        for (int i = 0; i < 5; i++, got++)
            expect_next(queue, got, got);
        ok(queue->type->check(queue));
        while (put - got > 40)
            expect_next(queue, got, got), got++;
    }
    while (got < put)
        expect_next(queue, got, got), got++;
    expect_clean(queue);
    close_ring(queue);
}

Test(ring, what_does_not_fit_or_is_of_another_kind_stays)
{
    mp_queue *queue = make_ring(SMALL, 0);
    const mpi_queue_type *type = queue->type;

    ok(put_sized(queue, 100, 1));
    cr_assert_eq(type->take(queue, false, 0, 99, &taken), MP_EOVERFLOW);
    cr_assert_eq(taken.item.size, 100U);
    cr_assert_eq(type->take(queue, false, MPI_ITEM_OBJECT, 100, &taken),
                 MP_ETYPE);
    cr_assert_eq(type->length(queue), 1U);
    ok(type->take(queue, false, MPI_ITEM_BYTES, 100, &taken));
    cr_assert(is_filled(taken.item.data, 100, 1));
    put_span(queue, 20000, 2);
    cr_assert_eq(type->take(queue, false, 0, 19999, &taken), MP_EOVERFLOW);
    cr_assert_eq(taken.item.size, 20000U);
    cr_assert_eq(type->take(queue, false, MPI_ITEM_BYTES, SIZE_MAX, &taken),
                 MP_ETYPE);
    ok(type->take(queue, false, MPI_ITEM_OBJECT, 20000, &taken));
    type->release(queue, taken.item.span);
    expect_clean(queue);
    close_ring(queue);
}

Test(ring, large_items_are_the_takers_until_they_are_released)
{
    mp_queue *queue = make_ring(MIB, 0);
    mpi_span span = put_span(queue, 100000, 3);

    ok(put_sized(queue, 0, 0));
    ok(take_any(queue));
    cr_assert_eq(taken.item.kind, MPI_ITEM_OBJECT);
    cr_assert_eq(taken.item.span, span);
    cr_assert_eq(taken.item.data, mpi_units_at(&queue->units, span));
    cr_assert(is_filled(taken.item.data, 100000, 3));
    cr_assert_eq(mpi_atomic64_load(&queue->units.table[span]) & 7,
                 MPI_UNIT_TAKEN);
    ok(queue->type->sweep(queue));
    cr_assert_eq(mpi_units_count(&queue->units, span), 7U);
    queue->type->release(queue, span);
    expect_next(queue, 0, 0);
    expect_clean(queue);
    close_ring(queue);
}

/* -- Limits ---------------------------------------------------------------- */

Test(ring, it_is_full_with_maxsize_items)
{
    mp_queue *queue = make_ring(MIB, 3);

    for (uint64_t n = 0; n < 100; n++) {
        ok(put_sized(queue, 10, 3 * n));
        ok(put_sized(queue, 10, 3 * n + 1));
        ok(put_sized(queue, 10, 3 * n + 2));
        cr_assert_eq(put_sized(queue, 10, 0), MP_FULL);
        for (uint64_t i = 0; i < 3; i++)
            expect_next(queue, 10, 3 * n + i);
    }
    expect_clean(queue);
    close_ring(queue);
}

Test(ring, it_is_full_when_its_memory_is_and_goes_on_when_that_is_free)
{
    mp_queue *queue = make_ring(SMALL, 0);

    for (int turn = 0; turn < 20; turn++) {
        uint64_t put = 0;

        while (put_sized(queue, 1000, put) == MP_OK)
            put++;
        cr_assert_geq(put, (uint64_t)SMALL / 1000 * 8 / 10);
        cr_assert_eq(put_sized(queue, 1000, put), MP_FULL);
        cr_assert_eq(queue->type->length(queue), put);
        for (uint64_t n = 0; n < put; n++)
            expect_next(queue, 1000, n);
        ok(queue->type->check(queue));
    }
    expect_clean(queue);
    close_ring(queue);
}

Test(ring, a_million_small_items_take_little_and_give_it_back)
{
    mp_queue *queue = make_ring(MUCH, 0);

    for (uint64_t n = 0; n < MANY; n++)
        ok(put_sized(queue, 1, n));
    cr_assert_lt((uint64_t)used_units(queue) * MPI_UNIT_SIZE,
                 (uint64_t)20 * MIB);
    for (uint64_t n = 0; n < MANY; n++)
        expect_next(queue, 1, n);
    cr_assert(!mpi_units_is_trimmable(&queue->units));
    expect_clean(queue);
    close_ring(queue);
}

Test(ring, after_the_end_nothing_is_put)
{
    mp_queue *queue = make_ring(SMALL, 0);

    ok(put_sized(queue, 5, 1));
    mpi_atomic32_store(&queue->thing->is_shut, 1);
    cr_assert_eq(put_sized(queue, 5, 2), MP_ESHUTDOWN);
    expect_next(queue, 5, 1);
    expect_clean(queue);
    close_ring(queue);
}

/* -- Large items in an empty queue ----------------------------------------- */

static void store_jump(mp_queue *queue, uint64_t cursor, mpi_span to)
{
    unsigned char *segment =
        mpi_units_at(&queue->units, (mpi_span)(cursor >> 32));
    const uint64_t jump[] = {UINT64_C(17) << 32 | 8, to};

    memcpy(segment + (uint32_t)cursor, jump, sizeof(jump));
}

/* Somewhere in a segment, wherever that is, and with any number of units. */
static void go_on_a_while(mp_queue *queue, uint32_t *state)
{
    uint32_t turns = chance(state, 6);

    for (uint32_t turn = 0; turn < turns; turn++) {
        uint32_t count = 1 + chance(state, 12);
        uint32_t put = 0;

        while (put < count &&
               put_sized(queue, chance(state, MPI_ITEM_INLINE), put) == MP_OK)
            put++;
        for (uint32_t n = 0; n < put; n++)
            ok(take_any(queue));
    }
}

Test(ring, what_can_fit_at_all_fits_an_empty_queue)
{
    uint32_t state = 5;

    for (uint32_t units = 8; units <= 24; units += 4) {
        mp_queue *queue = make_ring((size_t)units * MPI_UNIT_SIZE, 0);
        uint32_t most = units - MPI_QUEUE_BESIDE;

        for (size_t turn = 0; turn < support_scaled(500); turn++) {
            uint32_t count = turn % 2 == 0 ? most : 1 + chance(&state, most);

            go_on_a_while(queue, &state);
            put_span(queue, (size_t)(count - 1) * MPI_UNIT_SIZE + 9, 3);
            ok(queue->type->check(queue));
            ok(take_any(queue));
            cr_assert(is_filled(taken.item.data, taken.item.size, 3));
            queue->type->release(queue, taken.item.span);
            cr_assert_eq(mpi_atomic32_load(&queue->thing->must_sweep), 0U);
        }
        expect_clean(queue);
        close_ring(queue);
    }
}

/* Otherwise they would wait for each other. */
Test(ring, whoever_has_units_can_put_what_is_in_them)
{
    uint32_t state = 6;

    for (size_t turn = 0; turn < support_scaled(500); turn++) {
        mp_queue *queue = make_ring(SMALL, 0);
        mpi_item items[8];
        int count = 0;

        if (turn % 3 != 0)
            go_on_a_while(queue, &state);
        while (count < 8) {
            mpi_item *it = &items[count];

            *it = (mpi_item){.kind = MPI_ITEM_BYTES, .size = 9};
            if (mpi_queue_alloc_span(queue, 1 + chance(&state, 4), &it->span) !=
                MP_OK)
                break;
            count++;
        }
        cr_assert_gt(count, 0);
        go_on_a_while(queue, &state);
        for (int i = 0; i < count; i++) {
            ok(queue->type->put(queue, &items[i], false));
            ok(take_any(queue));
            cr_assert_eq(taken.item.span, items[i].span);
            queue->type->release(queue, taken.item.span);
            ok(put_sized(queue, 8000, 1));
            expect_next(queue, 8000, 1);
        }
        expect_clean(queue);
        close_ring(queue);
    }
}

/* Two processes, each of which remembers segments. */
Test(ring, the_short_ways_go_where_the_segment_has_gone)
{
    mp_queue *queue = make_ring(SMALL, 0);
    mp_queue *other = malloc(sizeof(*other));
    const mpi_queue_type *type = queue->type;
    uint32_t state = 7;
    int quick = 0;

    cr_assert_not_null(other);
    *other = *queue;
    for (uint64_t n = 0; n < 4000; n++) {
        mp_queue *by = chance(&state, 2) == 0 ? queue : other;
        mpi_item in = {.kind = MPI_ITEM_BYTES, .data = &n, .size = sizeof(n)};
        mpi_item out = {.size = sizeof(uint64_t)};
        uint64_t got = n;
        mpi_span span;

        if (chance(&state, 4) == 0)
            go_on_a_while(queue, &state);
        if (chance(&state, 2) == 0) {
            ok(mpi_queue_alloc_span(by, 6, &span));
            mpi_units_free(&by->units, span);
        }
        if (type->put_quickly(by, &in))
            quick++;
        else
            ok(type->put(by, &in, false));
        by = chance(&state, 2) == 0 ? queue : other;
        if (type->take_quickly(by, &out, &got)) {
            quick++;
        } else {
            ok(take_any(by));
            memcpy(&got, taken.item.data, sizeof(got));
        }
        cr_assert_eq(got, n);
    }
    cr_assert_gt(quick, 4000);
    free(other);
    expect_clean(queue);
    close_ring(queue);
}

/* Killed behind the JUMP, or behind the first of the two cursors; what makes no
 * sense is no reason to move anything. */
Test(ring, who_was_killed_moving_the_segment_is_no_trouble)
{
    for (int how = 0; how < 4; how++) {
        mp_queue *queue = make_ring(SMALL, 0);
        mpi_queue_thing *thing = queue->thing;
        mpi_span to = 0;
        uint64_t old;

        for (uint64_t n = 0; n < 2; n++)
            ok(put_sized(queue, MPI_ITEM_INLINE, n));
        for (uint64_t n = 0; n < 2; n++)
            expect_next(queue, MPI_ITEM_INLINE, n);
        old = thing->put_cursor[0];
        ok(mpi_units_alloc(&queue->units, 1, MPI_UNIT_QUEUED, &to));
        store_jump(queue, old, to);
        if (how > 0)
            thing->put_cursor[0] = (uint64_t)to << 32;
        mpi_atomic32_store(&thing->put_lock.value, SUPPORT_NO_OWNER);
        mpi_atomic32_store(&thing->get_lock.value, SUPPORT_NO_OWNER);
        if (how == 1) { /* both segments are reached */
            ok(queue->type->sweep(queue));
            cr_assert_eq(used_units(queue), 3U);
        } else if (how == 2) { /* it goes on as always */
            ok(put_sized(queue, 5, 1));
            expect_next(queue, 5, 1);
        } else if (how == 3) {
            store_jump(queue, old, to + 1);
            cr_assert_eq(queue->type->sweep(queue), MP_EPROTO);
            cr_assert_eq(mpi_queue_alloc_span(queue, 6, &to), MP_FULL);
            close_ring(queue);
            continue;
        }
        put_span(queue, 6 * MPI_UNIT_SIZE - 1, 1);
        ok(take_any(queue));
        queue->type->release(queue, taken.item.span);
        expect_clean(queue);
        close_ring(queue);
    }
}

/* -- Several at once ------------------------------------------------------- */

enum { BATCH = 200, BASKET = 70 };

static void expect_basket(const mp_bytes *items, size_t count, uint64_t first)
{
    for (size_t i = 0; i < count; i++) {
        cr_assert_eq(items[i].size, (size_t)(first + i) % 700);
        cr_assert(is_filled(items[i].data, items[i].size, first + i));
    }
}

Test(ring, batches_of_any_size_are_put_and_taken_in_order)
{
    static unsigned char bytes[BATCH][700];
    static unsigned char data[BASKET * 700];
    mpi_item items[BATCH];
    mp_bytes basket[BASKET];
    mp_queue *queue = make_ring(4 * MIB, 0);
    uint64_t put = 0, got = 0;
    size_t done;

    for (size_t count = 0; count < BATCH; count++) {
        for (size_t i = 0; i < count; i++) {
            size_t size = (size_t)(put + i) % 700;

            fill(bytes[i], size, put + i);
            items[i] = (mpi_item){
                .kind = MPI_ITEM_BYTES, .data = bytes[i], .size = size};
        }
        ok(queue->type->put_many(queue, items, count, &done));
        cr_assert_eq(done, count);
        put += count;
        cr_assert_eq(queue->type->length(queue), put - got);
        for (int i = 0; i < 3 && got < put; i++) {
            ok(queue->type->take_many(queue, data, sizeof(data), basket,
                                      1 + count % BASKET, &done));
            cr_assert_gt(done, 0U);
            expect_basket(basket, done, got);
            got += done;
        }
        ok(queue->type->check(queue));
    }
    while (queue->type->take_many(queue, data, sizeof(data), basket, BASKET,
                                  &done) == MP_OK) {
        expect_basket(basket, done, got);
        got += done;
    }
    cr_assert_eq(got, put);
    expect_clean(queue);
    close_ring(queue);
}

Test(ring, a_batch_stops_where_it_is_full)
{
    mp_queue *queue = make_ring(0, 10);
    mpi_item items[20];
    size_t done = 0;

    for (int i = 0; i < 20; i++)
        items[i] = (mpi_item){.kind = MPI_ITEM_BYTES, .data = "", .size = 1};
    cr_assert_eq(queue->type->put_many(queue, items, 20, &done), MP_FULL);
    cr_assert_eq(done, 10U);
    cr_assert_eq(queue->type->length(queue), 10U);
    cr_assert_eq(queue->type->put_many(queue, items, 20, &done), MP_FULL);
    cr_assert_eq(done, 0U);
    close_ring(queue);
}

Test(ring, a_basket_ends_before_what_does_not_fit_it)
{
    mp_queue *queue = make_ring(MIB, 0);
    const mpi_queue_type *type = queue->type;
    unsigned char data[25];
    mp_bytes basket[9];
    mpi_item object = {.kind = MPI_ITEM_OBJECT, .data = "x", .size = 1};
    size_t done = 7;

    cr_assert_eq(type->take_many(queue, data, 25, basket, 9, &done), MP_EMPTY);
    cr_assert_eq(done, 0U);
    for (uint64_t n = 0; n < 3; n++)
        ok(put_sized(queue, 10, n));
    ok(type->take_many(queue, data, 25, basket, 9, &done));
    cr_assert_eq(done, 2U);
    cr_assert(is_filled(basket[1].data, 10, 1));
    cr_assert_eq(type->take_many(queue, data, 9, basket, 9, &done),
                 MP_EOVERFLOW);
    cr_assert_eq(done, 0U);
    ok(type->put(queue, &object, false));
    ok(type->take_many(queue, data, 25, basket, 9, &done));
    cr_assert_eq(done, 1U);
    cr_assert_eq(type->take_many(queue, data, 25, basket, 9, &done), MP_ETYPE);
    ok(take_any(queue));
    cr_assert_eq(taken.item.kind, MPI_ITEM_OBJECT);
    expect_clean(queue);
    close_ring(queue);
}

Test(ring, a_basket_leaves_large_items_to_take)
{
    mp_queue *queue = make_ring(MIB, 0);
    mpi_item item = {.kind = MPI_ITEM_BYTES, .size = 20};
    unsigned char data[100];
    mp_bytes basket[9];
    size_t done = 7;

    ok(mpi_units_alloc(&queue->units, 1, MPI_UNIT_RESERVED, &item.span));
    ok(put_sized(queue, 10, 0));
    ok(queue->type->put(queue, &item, false));
    ok(queue->type->take_many(queue, data, 100, basket, 9, &done));
    cr_assert_eq(done, 1U);
    ok(queue->type->take_many(queue, data, 100, basket, 9, &done));
    cr_assert_eq(done, 0U);
    ok(take_any(queue));
    cr_assert_eq(taken.item.span, item.span);
    queue->type->release(queue, taken.item.span);
    expect_clean(queue);
    close_ring(queue);
}

/* -- All at once ----------------------------------------------------------- */

Test(ring, all_is_thrown_away_however_much_there_is)
{
    mp_queue *queue = make_ring(4 * MIB, 0);
    uint64_t count = 7;

    ok(queue->type->clear(queue, &count));
    cr_assert_eq(count, 0U);
    for (uint64_t much = 1; much < 60; much++) {
        for (uint64_t n = 0; n < much; n++)
            ok(put_sized(queue, 3000, n));
        put_span(queue, 50000, 1);
        ok(queue->type->clear(queue, &count));
        cr_assert_eq(count, much + 1);
        ok(put_sized(queue, 9, much));
        expect_next(queue, 9, much);
        cr_assert_leq(used_units(queue), 4U);
    }
    expect_clean(queue);
    close_ring(queue);
}

/* -- The dead -------------------------------------------------------------- */

Test(ring, the_death_of_an_owner_is_a_reason_to_sweep)
{
    mp_queue *queue = make_ring(SMALL, 0);
    mpi_queue_thing *thing = queue->thing;
    mpi_span lost;

    ok(put_sized(queue, 1000, 0));
    mpi_atomic32_store(&thing->put_lock.value, MPI_OWNER_DIED);
    ok(put_sized(queue, 1000, 1));
    cr_assert_eq(mpi_atomic32_load(&thing->must_sweep), 1U);
    ok(queue->type->sweep(queue));
    cr_assert_eq(mpi_atomic32_load(&thing->must_sweep), 0U);
    mpi_atomic32_store(&thing->get_lock.value, SUPPORT_NO_OWNER);
    expect_next(queue, 1000, 0);
    cr_assert_eq(mpi_atomic32_load(&thing->must_sweep), 1U);
    expect_next(queue, 1000, 1);
    ok(mpi_units_alloc(&queue->units, 5, MPI_UNIT_QUEUED, &lost));
    for (uint64_t n = 0; n < 40; n++)
        ok(put_sized(queue, 1000, n));
    cr_assert_eq(mpi_atomic32_load(&thing->must_sweep), 0U);
    for (uint64_t n = 0; n < 40; n++)
        expect_next(queue, 1000, n);
    expect_clean(queue);
    close_ring(queue);
}

Test(ring, a_sweep_takes_nothing_that_is_being_put)
{
    mp_queue *queue = make_ring(MIB, 0);
    static unsigned char bytes[8000];
    mpi_item items[30];
    size_t done = 0;

    for (int i = 0; i < 30; i++) {
        items[i] = (mpi_item){
            .kind = MPI_ITEM_BYTES, .data = bytes, .size = sizeof(bytes)};
        if (i % 3 != 0)
            continue;
        ok(mpi_units_alloc(&queue->units, 1, MPI_UNIT_RESERVED,
                           &items[i].span));
        fill(mpi_units_at(&queue->units, items[i].span), 8000, (uint64_t)i);
    }
    mpi_atomic32_store(&queue->thing->must_sweep, 1);
    ok(queue->type->put_many(queue, items, 30, &done));
    cr_assert_eq(done, 30U);
    cr_assert_eq(mpi_atomic32_load(&queue->thing->must_sweep), 0U);
    for (int i = 0; i < 30; i++) {
        ok(take_any(queue));
        cr_assert_eq(taken.item.span, items[i].span);
        cr_assert(
            is_filled(taken.item.data, 8000, i % 3 == 0 ? (uint64_t)i : 0) ||
            i % 3 != 0);
        if (taken.item.span != 0)
            queue->type->release(queue, taken.item.span);
    }
    expect_clean(queue);
    close_ring(queue);
}

Test(ring, what_the_dead_had_taken_is_counted)
{
    mp_queue *queue = make_ring(SMALL, 0);
    uint64_t *outstanding = mpi_queue_outstanding(queue);
    uint32_t self = mpi_share_self(&queue->sync.share);
    uint64_t tag = (uint64_t)mpi_queue_tag(queue, self) << 32;
    uint64_t count = 7;

    for (uint64_t n = 0; n < 10; n++)
        ok(put_sized(queue, 10, n));
    for (uint64_t n = 0; n < 7; n++)
        expect_next(queue, 10, n);
    cr_assert_eq(outstanding[self - 1], tag | 7U);
    ok(queue->type->bury(queue, &count));
    cr_assert_eq(count, 0U);
    /* Three of them were another's, who had counted one more. */
    outstanding[self - 1] = tag | 4U;
    outstanding[SUPPORT_NO_OWNER - 1] = tag | 4U;
    ok(queue->type->bury(queue, &count));
    cr_assert_eq(count, 3U);
    cr_assert_eq(outstanding[SUPPORT_NO_OWNER - 1], 0U);
    mpi_atomic64_store(&queue->thing->done_count, 3);
    ok(queue->type->bury(queue, &count));
    cr_assert_eq(count, 0U);
    close_ring(queue);
}

/* The number was another's before, who is dead. */
Test(ring, what_the_last_owner_of_a_number_had_taken_is_lost)
{
    mp_queue *queue = make_ring(SMALL, 0);
    uint32_t self = mpi_share_self(&queue->sync.share);
    uint64_t *entry = &mpi_queue_outstanding(queue)[self - 1];
    uint64_t tag = (uint64_t)mpi_queue_tag(queue, self) << 32;
    uint64_t other = tag ^ (uint64_t)1 << 32;
    uint64_t count = 7;

    for (uint64_t n = 0; n < 10; n++)
        ok(put_sized(queue, 10, n));
    for (uint64_t n = 0; n < 4; n++)
        expect_next(queue, 10, n);
    /* Nothing is taken in between, */
    *entry = other | 4U;
    ok(queue->type->bury(queue, &count));
    cr_assert_eq(count, 4U);
    cr_assert_eq(*entry, 0U);
    /* or something is. */
    *entry = other | 4U;
    expect_next(queue, 10, 4);
    cr_assert_eq(*entry, tag | 1U);
    ok(queue->type->bury(queue, &count));
    cr_assert_eq(count, 4U);
    close_ring(queue);
}

/* More than are counted: then nothing of it is lost, whatever was done. */
Test(ring, who_takes_thousands_of_millions_loses_nothing)
{
    mp_queue *queue = make_ring(SMALL, 0);
    uint32_t self = mpi_share_self(&queue->sync.share);
    uint64_t *entry = &mpi_queue_outstanding(queue)[self - 1];
    uint64_t count = 7;

    ok(put_sized(queue, 10, 0));
    ok(put_sized(queue, 10, 1));
    expect_next(queue, 10, 0);
    *entry |= UINT32_MAX;
    expect_next(queue, 10, 1);
    cr_assert_eq((uint32_t)*entry, UINT32_MAX);
    cr_assert_eq(*entry >> 32, mpi_queue_tag(queue, self));
    mpi_atomic64_store(&queue->thing->put_count, (uint64_t)1 << 40);
    mpi_atomic64_store(&queue->thing->got_count, (uint64_t)1 << 40);
    ok(queue->type->bury(queue, &count));
    cr_assert_eq(count, 0U);
    close_ring(queue);
}

/* -- Threads --------------------------------------------------------------- */

typedef struct crew {
    mp_queue *queue;
    mpi_atomic32 next_putter;
    mpi_atomic32 got;
    uint64_t per_putter;
    bool is_wrong;
} crew;

static void run_putter(void *argument)
{
    crew *it = argument;
    uint64_t who = mpi_atomic32_add(&it->next_putter, 1);

    for (uint64_t n = 0; n < it->per_putter;) {
        uint64_t number[2] = {who, n};
        mpi_item item = {
            .kind = MPI_ITEM_BYTES, .data = number, .size = sizeof(number)};

        if (it->queue->type->put(it->queue, &item, false) == MP_OK)
            n++;
        else
            mpos_sleep_until(0);
    }
}

/* Of each putter, what one taker sees only grows. */
static void run_taker(void *argument)
{
    crew *it = argument;
    mpi_taken *mine = calloc(1, sizeof(*mine));
    uint64_t least[4] = {0};
    uint64_t all = 2 * it->per_putter;

    while (mine != NULL && mpi_atomic32_load(&it->got) < all) {
        uint64_t number[2];

        if (it->queue->type->take(it->queue, false, 0, 16, mine) != MP_OK)
            continue;
        memcpy(number, mine->item.data, sizeof(number));
        if (number[0] > 3 || number[1] < least[number[0]])
            it->is_wrong = true;
        else
            least[number[0]] = number[1] + 1;
        mpi_atomic32_add(&it->got, 1);
    }
    free(mine);
}

static void work(size_t maxsize)
{
    crew it = {.queue = make_ring(MUCH, maxsize),
               .per_putter = support_scaled(BY_THREADS) / 2};
    mpos_thread threads[4];

    support_start_threads(&threads[0], 2, run_putter, &it);
    support_start_threads(&threads[2], 2, run_taker, &it);
    support_join_threads(threads, 4);
    cr_assert(!it.is_wrong);
    cr_assert_eq(mpi_atomic32_load(&it.got), (uint32_t)(2 * it.per_putter));
    expect_clean(it.queue);
    close_ring(it.queue);
}

Test(ring, threads_put_and_take_each_item_once_in_order)
{
    work(0);
}

Test(ring, threads_stay_within_maxsize)
{
    work(5);
}

/* -- Damage ---------------------------------------------------------------- */

static uint64_t hostile(uint32_t *state)
{
    static const uint64_t numbers[] = {0,
                                       1,
                                       8,
                                       UINT64_MAX,
                                       UINT32_MAX,
                                       UINT64_C(1) << 32,
                                       UINT64_C(2) << 32 | 16376,
                                       UINT64_C(2) << 32 | 65528,
                                       UINT64_C(16) << 32 | 16,
                                       UINT64_C(17) << 32 | 8,
                                       UINT64_C(1) << 32 | 8192,
                                       UINT64_C(1) << 63};
    const uint32_t count = sizeof(numbers) / sizeof(numbers[0]);
    uint32_t which = chance(state, count + 3);

    if (which < count)
        return numbers[which];
    return (uint64_t)chance(state, 1U << 24) << chance(state, 41);
}

/* Somewhere in what the ring reads. */
static void damage(mp_queue *queue, uint32_t *state)
{
    mpi_queue_thing *thing = queue->thing;
    uint64_t *counts[] = {(uint64_t *)(void *)&thing->put_count,
                          (uint64_t *)(void *)&thing->got_count,
                          (uint64_t *)(void *)&thing->seen_put,
                          (uint64_t *)(void *)&thing->seen_got,
                          &thing->put_cursor[0],
                          &thing->put_cursor[1],
                          &thing->get_cursor[0],
                          &thing->get_cursor[1],
                          &thing->spare};
    uint32_t most = sizeof(counts) / sizeof(counts[0]);
    uint32_t which = chance(state, 4 * most);
    uint64_t cursor = thing->get_cursor[which % 2];

    if (which < most)
        *counts[which] += hostile(state);
    else if (which < 2 * most)
        *counts[which - most] = hostile(state);
    else if (which < 3 * most)
        mpi_atomic64_store(&queue->units.table[1 + chance(state, 8)],
                           hostile(state));
    else if (mpi_units_count(&queue->units, (mpi_span)(cursor >> 32)) != 0)
        memcpy((unsigned char *)mpi_units_at(&queue->units,
                                             (mpi_span)(cursor >> 32)) +
                   (size_t)chance(state, MPI_UNIT_SIZE / 8) * 8,
               &(uint64_t){hostile(state)}, 8);
}

static void use_damaged(mp_queue *queue, uint32_t *state)
{
    static unsigned char data[4096];
    mp_bytes basket[20];
    uint64_t count;
    size_t done;
    mpi_span span;

    switch (chance(state, 9)) {
    case 0:
    case 1:
        (void)put_sized(queue, chance(state, 2000), 1);
        break;
    case 2:
    case 3:
        if (take_any(queue) == MP_OK && taken.item.span != 0)
            queue->type->release(queue, taken.item.span);
        break;
    case 4:
        (void)queue->type->take_many(queue, data, sizeof(data), basket, 20,
                                     &done);
        break;
    case 5:
        (void)queue->type->check(queue);
        break;
    case 6:
        (void)queue->type->sweep(queue);
        break;
    case 7:
        if (mpi_queue_alloc_span(queue, 1 + chance(state, 6), &span) == MP_OK)
            mpi_units_free(&queue->units, span);
        break;
    default:
        (void)queue->type->clear(queue, &count);
        (void)queue->type->length(queue);
    }
}

static void mend(mp_queue *queue)
{
    mpi_queue_thing *thing = queue->thing;

    memset(&thing->put_count, 0, sizeof(thing->put_count));
    memset(&thing->got_count, 0, sizeof(thing->got_count));
    memset(&thing->seen_put, 0, sizeof(thing->seen_put));
    memset(&thing->seen_got, 0, sizeof(thing->seen_got));
    memset(thing->put_cursor, 0, sizeof(thing->put_cursor));
    memset(thing->get_cursor, 0, sizeof(thing->get_cursor));
    for (uint32_t unit = 1; unit <= queue->units.max_units; unit++)
        mpi_atomic64_store(&queue->units.table[unit], 0);
    for (int i = 0; i < 20; i++)
        ok(put_sized(queue, 700, 1));
    put_span(queue, 20000, 1);
    for (int i = 0; i < 5; i++)
        ok(take_any(queue));
}

/* An error, or another item than was put: neither a crash nor a loop without
 * end. */
Test(ring, hostile_numbers_anywhere_do_no_harm, .timeout = 60)
{
    mp_queue *queue = make_ring(SMALL, 0);
    uint32_t state = 3;

    for (size_t step = 0; step < support_scaled(DAMAGES); step++) {
        if (step % 8 == 0)
            mend(queue);
        damage(queue, &state);
        for (int i = 0; i < 5; i++)
            use_damaged(queue, &state);
    }
    close_ring(queue);
}

Test(ring, what_makes_no_sense_is_told_when_it_is_opened)
{
    mp_queue *queue = make_ring(SMALL, 0);
    mpi_queue_thing *thing = queue->thing;
    uint64_t cursor;

    mend(queue);
    ok(queue->type->check(queue));
    cursor = thing->get_cursor[1];
    thing->get_cursor[1] = UINT64_C(99) << 32;
    cr_assert_eq(queue->type->check(queue), MP_EPROTO);
    cr_assert_eq(take_any(queue), MP_EPROTO);
    thing->get_cursor[1] = cursor;
    mpi_atomic64_store(&thing->got_count, 50);
    cr_assert_eq(queue->type->check(queue), MP_EPROTO);
    cr_assert_eq(queue->type->length(queue), 0U);
    mpi_atomic64_store(&thing->got_count, 5);
    ok(queue->type->check(queue));
    thing->put_cursor[1] = cursor + 4;
    cr_assert_eq(queue->type->check(queue), MP_EPROTO);
    cr_assert_eq(put_sized(queue, 9, 9), MP_EPROTO);
    close_ring(queue);
}
