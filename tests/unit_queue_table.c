/* SPDX-License-Identifier: MIT */
/* A queue's table: against a model, full, damaged, and with owners that die.
 * What a kill in the midst of a call leaves, torture/storm_table.c shows. */
#include "support/slots.h"
#include "support/testing.h"

#include "queue_table.h"

enum {
    STEPS = 3000,
    MANY = 20000,
    SMALL_QUEUE = 64 * MPI_UNIT_SIZE,
    DAMAGES = 20000,
    DEAD = 2, /* an owner */
};

static slots subject;

/* -- Against the model ----------------------------------------------------- */

static void do_any(slots *it)
{
    switch (slots_chance(it, it->kind->redelivers ? 9 : 6)) {
    case 0:
    case 1:
        ok(slots_put(it, false));
        return;
    case 2:
        ok(slots_put(it, true));
        return;
    case 3:
    case 4:
        (void)slots_take(it, slots_chance(it, 2) == 0);
        return;
    case 5:
        if (slots_chance(it, 20) == 0)
            ok(slots_repair(it));
        return;
    case 8:
        if (slots_chance(it, 20) != 0)
            return;
        slots_act_as(it, 1);
        ok(slots_bury(it));
        slots_act_as(it, DEAD);
        return;
    default:
        (void)slots_acknowledge(it);
        return;
    }
}

static void drain(slots *it)
{
    while (slots_take(it, slots_chance(it, 2) == 0) == MP_OK)
        continue;
    while (it->kind->redelivers && slots_acknowledge(it) == MP_OK)
        continue;
    cr_assert_eq(it->model.count, 0U);
    slots_expect_counts(it);
}

/* But for the root, the units are those that the hundreds of kept places for
 * who puts and takes by turns are in; and none after a repair. */
static void expect_no_units(slots *it)
{
    cr_assert_leq(slots_units(it, true), 1U + MPI_POOL_COUNT);
    cr_assert_eq(slots_units(it, false), 0U);
    ok(slots_repair(it));
    cr_assert_eq(slots_units(it, true), 1U, "%s: %zu units are nobody's",
                 it->kind->name, slots_units(it, true) - 1);
}

Test(queue_table, any_order_of_calls_gives_what_the_model_gives, .timeout = 120)
{
    for (size_t i = 0; i < SLOTS_KINDS; i++) {
        slots *it = &subject;

        slots_begin(it, &slots_kinds[i], 0, 0);
        slots_act_as(it, DEAD);
        for (size_t step = 0; step < support_scaled(STEPS); step++) {
            do_any(it);
            slots_expect_counts(it);
        }
        drain(it);
        expect_no_units(it);
        slots_act_as(it, 1);
        slots_end(it);
    }
}

/* -- Keys ------------------------------------------------------------------ */

static mp_error put_key(mp_queue *queue, mp_obj *key, uint32_t id)
{
    mpi_item item = {.kind = MPI_ITEM_BYTES, .data = &id, .size = sizeof(id)};
    mpi_buffer bytes = {0};
    mp_error err;

    if (mp_obj_type(key) == MP_TYPE_INT) {
        ok(mp_obj_as_int(key, &item.priority));
    } else {
        ok(mpi_pickle_dump(&bytes, key, NULL));
        item.key_data = bytes.data;
        item.key_size = bytes.size;
    }
    err = mpi_queue_table.put(queue, &item, false);
    mpi_buffer_free(&bytes);
    mp_obj_unref(key);
    return err;
}

static void expect_next(mp_queue *queue, uint32_t expected)
{
    static mpi_taken taken;
    uint32_t id;

    ok(mpi_queue_table.take(queue, false, 0, SIZE_MAX, &taken));
    cr_assert_eq(taken.item.size, sizeof(id));
    memcpy(&id, taken.item.data, sizeof(id));
    cr_assert_eq(id, expected);
}

Test(queue_table, numbers_of_all_types_are_one_order)
{
    slots *it = &subject;

    slots_begin(it, &slots_kinds[1], 0, 0);
    ok(put_key(it->queue, mp_obj_float(2.5), 3));
    ok(put_key(it->queue, mp_obj_int(2), 2));
    ok(put_key(it->queue, mp_obj_float(-0.5), 0));
    ok(put_key(it->queue, mp_obj_int(3), 4));
    ok(put_key(it->queue, mp_obj_bool(true), 1));
    ok(put_key(it->queue, mp_obj_float(3.0), 5)); /* put after it */
    for (uint32_t id = 0; id < 6; id++)
        expect_next(it->queue, id);
    slots_end(it);
}

Test(queue_table, a_key_that_cannot_be_compared_is_refused)
{
    slots *it = &subject;
    size_t units;

    slots_begin(it, &slots_kinds[1], 0, 0);
    ok(put_key(it->queue, mp_obj_str("b"), 1));
    ok(put_key(it->queue, mp_obj_str("a"), 0));
    units = slots_units(it, true);
    fails(put_key(it->queue, mp_obj_int(1), 9), MP_ETYPE);
    fails(put_key(it->queue, mp_obj_none(), 9), MP_ETYPE);
    cr_assert_eq(mpi_queue_table.length(it->queue), 2U);
    cr_assert_eq(slots_units(it, true), units);
    expect_next(it->queue, 0);
    expect_next(it->queue, 1);
    ok(put_key(it->queue, mp_obj_int(1), 2)); /* now there is nothing else */
    expect_next(it->queue, 2);
    slots_end(it);
}

/* Each fits to the one that was there, but not to one another. */
Test(queue_table, keys_that_cannot_be_compared_later_come_in_their_order)
{
    slots *it = &subject;
    size_t count = 0;
    static mpi_taken taken;

    slots_begin(it, &slots_kinds[1], 0, 0);
    ok(put_key(it->queue, MP_TUPLE(mp_obj_int(1), mp_obj_str("x")), 0));
    ok(put_key(it->queue, MP_TUPLE(mp_obj_int(0), mp_obj_str("x")), 1));
    for (uint32_t id = 2; id < 50; id++)
        count +=
            put_key(it->queue,
                    MP_TUPLE(mp_obj_int((int64_t)(id % 3)),
                             id % 2 == 0 ? mp_obj_str("y") : mp_obj_int(5)),
                    id) == MP_OK;
    ok(slots_repair(it));
    cr_assert_eq(mpi_queue_table.length(it->queue), count + 2);
    for (size_t i = 0; i < count + 2; i++)
        ok(mpi_queue_table.take(it->queue, false, 0, SIZE_MAX, &taken));
    cr_assert_eq(mpi_queue_table.take(it->queue, false, 0, SIZE_MAX, &taken),
                 MP_EMPTY);
    slots_end(it);
}

Test(queue_table, a_key_may_be_larger_than_any_block)
{
    slots *it = &subject;
    char *text = malloc(100000);

    cr_assert_not_null(text);
    memset(text, 'm', 99999);
    text[99999] = '\0';
    slots_begin(it, &slots_kinds[1], 0, 0);
    ok(put_key(it->queue, mp_obj_str("n"), 2));
    ok(put_key(it->queue, mp_obj_str(text), 1));
    ok(put_key(it->queue, mp_obj_str("l"), 0));
    for (uint32_t id = 0; id < 3; id++)
        expect_next(it->queue, id);
    expect_no_units(it);
    slots_end(it);
    free(text);
}

/* -- What stays ------------------------------------------------------------ */

Test(queue_table, what_does_not_fit_or_is_of_another_kind_stays)
{
    for (size_t i = 0; i < SLOTS_KINDS; i++) {
        slots *it = &subject;
        mpi_taken *taken = &it->taken;

        slots_begin(it, &slots_kinds[i], 0, 0);
        for (uint32_t size = 0; size < 16; size++)
            ok(slots_put(it, false));
        while (slots_queued(it) > 0) {
            size_t size = slots_size(slots_first(it, false)->id);

            cr_assert_eq(
                mpi_queue_table.take(it->queue, false, 0, size - 1, taken),
                MP_EOVERFLOW);
            cr_assert_eq(taken->item.size, size);
            fails(mpi_queue_table.take(it->queue, false, MPI_ITEM_OBJECT,
                                       SIZE_MAX, taken),
                  MP_ETYPE);
            ok(slots_take(it, false));
        }
        slots_end(it);
    }
}

/* -- Many at once ---------------------------------------------------------- */

Test(queue_table, many_are_put_in_a_row_and_taken_as_they_fit)
{
    slots *it = &subject;
    uint32_t numbers[300];
    mpi_item items[300];
    mp_bytes found[300];
    unsigned char room[sizeof(numbers)];
    size_t done = 0;

    slots_begin(it, &slots_kinds[3], 0, 280);
    for (uint32_t i = 0; i < 300; i++) {
        numbers[i] = i;
        items[i] = (mpi_item){.kind = MPI_ITEM_BYTES,
                              .data = &numbers[i],
                              .size = sizeof(numbers[i])};
    }
    cr_assert_eq(mpi_queue_table.put_many(it->queue, items, 300, &done),
                 MP_FULL);
    cr_assert_eq(done, 280U);
    ok(mpi_queue_table.take_many(it->queue, room, 43, found, 300, &done));
    cr_assert_eq(done, 10U);
    ok(mpi_queue_table.take_many(it->queue, room, sizeof(room), found, 300,
                                 &done));
    cr_assert_eq(done, 270U);
    for (size_t i = 0; i < done; i++) {
        cr_assert_eq(found[i].size, sizeof(numbers[0]));
        cr_assert_eq(memcmp(found[i].data, &numbers[i + 10], 4), 0);
    }
    cr_assert_eq(mpi_queue_table.take_many(it->queue, room, sizeof(room), found,
                                           300, &done),
                 MP_EMPTY);
    slots_end(it);
}

Test(queue_table, a_run_ends_at_what_has_units_or_no_bytes)
{
    slots *it = &subject;
    static unsigned char room[20000];
    mpi_item item = {.kind = MPI_ITEM_OBJECT, .data = "ab", .size = 2};
    mp_bytes found[4];
    size_t done = 9;

    slots_begin(it, &slots_kinds[3], 0, 0);
    ok(mpi_queue_table.put(it->queue, &item, false));
    fails(mpi_queue_table.take_many(it->queue, room, sizeof(room), found, 4,
                                    &done),
          MP_ETYPE);
    ok(slots_reserve(it, 9000, &item.span));
    item.size = 9000;
    item.kind = MPI_ITEM_BYTES;
    ok(mpi_queue_table.put(it->queue, &item, true));
    cr_assert_eq(
        mpi_queue_table.take_many(it->queue, room, 8999, found, 4, &done),
        MP_EOVERFLOW);
    ok(mpi_queue_table.take_many(it->queue, room, sizeof(room), found, 4,
                                 &done));
    cr_assert_eq(done, 0U);
    item = (mpi_item){.kind = MPI_ITEM_BYTES, .data = "abc", .size = 3};
    ok(mpi_queue_table.put(it->queue, &item, true));
    ok(mpi_queue_table.take_many(it->queue, room, sizeof(room), found, 4,
                                 &done));
    cr_assert_eq(done, 1U);
    cr_assert_eq(found[0].size, 3U);
    slots_end(it);
}

Test(queue_table, nothing_is_put_once_it_is_shut)
{
    slots *it = &subject;

    slots_begin(it, &slots_kinds[0], 0, 0);
    ok(slots_put(it, false));
    mpi_atomic32_store(&it->queue->thing->is_shut, 1);
    cr_assert_eq(slots_put(it, false), MP_ESHUTDOWN);
    ok(slots_take(it, false));
    slots_end(it);
}

Test(queue_table, clear_leaves_only_what_others_have)
{
    for (size_t i = 0; i < SLOTS_KINDS; i++) {
        slots *it = &subject;
        uint64_t count = 0;
        size_t held;

        slots_begin(it, &slots_kinds[i], 0, 0);
        for (int n = 0; n < 600; n++)
            ok(slots_put(it, n % 2 == 0));
        for (int n = 0; n < 5; n++)
            ok(slots_take(it, false));
        held = it->model.count - slots_queued(it);
        ok(mpi_queue_table.clear(it->queue, &count));
        cr_assert_eq(count, 595U);
        for (size_t n = it->model.count; n-- > 0;)
            if (it->model.items[n].taken == 0)
                slots_forget(it, &it->model.items[n]);
        slots_expect_counts(it);
        for (size_t n = 0; n < held; n++)
            ok(slots_acknowledge(it));
        expect_no_units(it);
        slots_end(it);
    }
}

/* -- Memory ---------------------------------------------------------------- */

Test(queue_table, a_queue_grows_and_gives_its_units_back, .timeout = 120)
{
    for (size_t i = 0; i < SLOTS_KINDS; i++) {
        const mpi_item item = {.kind = MPI_ITEM_BYTES, .data = "x", .size = 1};
        slots *it = &subject;
        size_t most = support_scaled(MANY);

        slots_begin(it, &slots_kinds[i], 0, 0);
        for (size_t n = 0; n < most; n++)
            ok(mpi_queue_table.put(it->queue, &item, n % 3 == 0));
        cr_assert_leq(slots_units(it, true), most / MPI_SLOTS_PER_UNIT + 2);
        for (size_t n = 0; n < most; n++) {
            ok(mpi_queue_table.take(it->queue, n % 2 == 0, 0, 1, &it->taken));
            if (it->kind->redelivers)
                ok(mpi_queue_table.acknowledge(it->queue));
        }
        cr_assert_eq(mpi_queue_table.length(it->queue), 0U);
        expect_no_units(it);
        slots_end(it);
    }
}

Test(queue_table, a_full_queue_loses_nothing, .timeout = 120)
{
    for (size_t i = 0; i < SLOTS_KINDS; i++) {
        slots *it = &subject;
        mp_error err = MP_OK;

        slots_begin(it, &slots_kinds[i], SMALL_QUEUE, 0);
        for (int turn = 0; turn < 3; turn++) {
            do {
                err = slots_put(it, false);
            } while (err == MP_OK);
            cr_assert_eq(err, MP_FULL);
            cr_assert_gt(it->model.count, 100U);
            slots_expect_counts(it);
            drain(it);
            expect_no_units(it);
        }
        slots_end(it);
    }
}

/* One unit of each size of block is kept, but not from those who need it. */
Test(queue_table, what_is_kept_for_later_is_in_nobodys_way)
{
    static const size_t sizes[] = {1, 40, 90, 120, 300, 700, 2000, 4000, 8192};
    static unsigned char bytes[6 * MPI_UNIT_SIZE];

    for (size_t i = 0; i < SLOTS_KINDS; i++) {
        slots *it = &subject;
        size_t size;

        slots_begin(it, &slots_kinds[i], 8 * MPI_UNIT_SIZE, 3);
        for (int turn = 0; turn < 3; turn++) {
            for (size_t n = 0; n < sizeof(sizes) / sizeof(sizes[0]); n++) {
                ok(mp_queue_put_bytes(it->queue, bytes, sizes[n], 0));
                ok(mp_queue_get_bytes_into(it->queue, bytes, sizeof(bytes),
                                           &size, 0));
                cr_assert_eq(size, sizes[n]);
                ok(mp_queue_task_done(it->queue));
            }
            ok(mp_queue_put_bytes(it->queue, bytes, sizeof(bytes), 0));
            ok(mp_queue_get_bytes_into(it->queue, bytes, sizeof(bytes), &size,
                                       0));
            cr_assert_eq(size, sizeof(bytes));
            ok(mp_queue_task_done(it->queue));
        }
        slots_end(it);
    }
}

/* -- The dead -------------------------------------------------------------- */

Test(queue_table, what_the_dead_had_is_given_out_again_at_its_old_place)
{
    for (size_t i = 0; i < SLOTS_KINDS; i++) {
        slots *it = &subject;

        if (!slots_kinds[i].redelivers)
            continue;
        slots_begin(it, &slots_kinds[i], 0, 0);
        for (int n = 0; n < 40; n++)
            ok(slots_put(it, n % 2 == 0));
        for (unsigned turn = 1; turn <= 3; turn++) {
            slots_act_as(it, DEAD);
            for (int n = 0; n < 20; n++) {
                ok(slots_take(it, n % 2 == 0));
                cr_assert_leq(it->taken.item.deliveries, turn);
            }
            cr_assert_eq(it->taken.item.deliveries, turn);
            slots_act_as(it, 1);
            ok(slots_bury(it));
            slots_expect_counts(it);
        }
        drain(it);
        expect_no_units(it);
        slots_end(it);
    }
}

static uint64_t count_repairs(const slots *it)
{
    const mpi_queue_thing *thing = it->queue->thing;
    const mpi_table_root *root =
        mpi_units_at(&it->queue->units, (mpi_span)thing->put_cursor[0]);

    return root->round;
}

/* The more items, the longer a repair takes. Who puts a large one takes the
 * lock for its units first, and who says that one is done does not mend. */
Test(queue_table, a_death_is_mended_once_whoever_comes_first)
{
    static unsigned char bytes[2 * MPI_UNIT_SIZE];
    size_t size;

    for (size_t i = 0; i < SLOTS_KINDS; i++)
        for (int n = 0; n < 3; n++) {
            slots *it = &subject;
            uint64_t before;

            slots_begin(it, &slots_kinds[i], 0, 0);
            for (int k = 0; k < 2; k++)
                ok(mp_queue_put_bytes(it->queue, bytes, 1, 0));
            ok(mp_queue_get_bytes_into(it->queue, bytes, 1, &size, 0));
            before = count_repairs(it);
            slots_kill_holder(it);
            if (n > 0)
                ok(mp_queue_put_bytes(it->queue, bytes,
                                      n == 1 ? 1 : sizeof(bytes), 0));
            ok(mp_queue_task_done(it->queue));
            ok(mp_queue_put_bytes(it->queue, bytes, 1, 0));
            ok(mp_queue_put_bytes(it->queue, bytes, 1, 0));
            cr_assert_eq(count_repairs(it), before + 1, "%s, %d",
                         slots_kinds[i].name, n);
            slots_end(it);
        }
}

/* In the table of processes, a number is used again. */
Test(queue_table, who_has_the_number_of_a_dead_owner_has_none_of_its_items)
{
    slots *it = &subject;
    mpi_atomic64 *processes;

    slots_begin(it, &slots_kinds[4], 0, 0);
    processes = it->queue->sync.share.arena->processes;
    for (int n = 0; n < 9; n++)
        ok(slots_put(it, false));
    slots_act_as(it, DEAD);
    for (int n = 0; n < 3; n++)
        ok(slots_take(it, false));
    /* Now this very process, which is alive. */
    mpi_atomic64_store(&processes[DEAD - 1], mpi_atomic64_load(&processes[0]));
    fails(mpi_queue_table.acknowledge(it->queue), MP_ESTATE);
    for (size_t n = 0; n < it->model.count; n++)
        it->model.items[n].taken = 0;
    slots_expect_counts(it);
    slots_act_as(it, 1);
    drain(it);
    slots_end(it);
}

Test(queue_table, without_redelivery_what_the_dead_had_is_lost)
{
    slots *it = &subject;
    uint64_t count = 9;

    slots_begin(it, &slots_kinds[0], 0, 0);
    for (int n = 0; n < 9; n++)
        ok(slots_put(it, false));
    for (int n = 0; n < 2; n++)
        ok(slots_take(it, false));
    slots_act_as(it, DEAD);
    for (int n = 0; n < 3; n++)
        ok(slots_take(it, false));
    slots_act_as(it, 1);
    ok(mpi_queue_table.bury(it->queue, &count));
    cr_assert_eq(count, 3U);
    slots_end(it);
}

static void put_large(slots *it, const char *text)
{
    mpi_item item = {.kind = MPI_ITEM_BYTES, .size = 9000};

    ok(slots_reserve(it, item.size, &item.span));
    strcpy(mpi_units_at(&it->queue->units, item.span), text);
    ok(mpi_queue_table.put(it->queue, &item, false));
}

/* Another thread says that it is done while this one reads. */
Test(queue_table, what_is_still_read_outlives_its_acknowledgement)
{
    slots *it = &subject;
    mpi_item first;
    mpi_span again = 0;

    slots_begin(it, &slots_kinds[4], SMALL_QUEUE, 0);
    put_large(it, "one");
    put_large(it, "two");
    ok(mpi_queue_table.take(it->queue, false, 0, SIZE_MAX, &it->taken));
    first = it->taken.item;
    ok(mpi_queue_table.take(it->queue, false, 0, SIZE_MAX, &it->taken));
    mpi_queue_release(it->queue, it->taken.item.span);
    ok(mpi_queue_table.acknowledge(it->queue));
    cr_assert_eq(mpi_atomic64_load(&it->queue->thing->done_count), 1U);
    ok(slots_repair(it));
    ok(slots_reserve(it, 9000, &again));
    cr_assert_neq(again, first.span);
    cr_assert_str_eq(first.data, "one");
    mpi_queue_release(it->queue, first.span);
    mpi_queue_release(it->queue, again);
    ok(mpi_queue_table.acknowledge(it->queue));
    fails(mpi_queue_table.acknowledge(it->queue), MP_ESTATE);
    expect_no_units(it);
    slots_end(it);
}

Test(queue_table, the_dead_read_nothing_any_more)
{
    slots *it = &subject;
    uint64_t count = 9;

    slots_begin(it, &slots_kinds[4], SMALL_QUEUE, 0);
    slots_act_as(it, DEAD);
    put_large(it, "one");
    put_large(it, "two");
    for (int n = 0; n < 2; n++)
        ok(mpi_queue_table.take(it->queue, false, 0, SIZE_MAX, &it->taken));
    ok(mpi_queue_table.acknowledge(it->queue)); /* the first, not released */
    slots_act_as(it, 1);
    ok(mpi_queue_table.bury(it->queue, &count));
    cr_assert_eq(count, 1U);
    ok(mpi_queue_table.take(it->queue, false, 0, SIZE_MAX, &it->taken));
    cr_assert_str_eq(it->taken.item.data, "two");
    cr_assert_eq(it->taken.item.deliveries, 2U);
    mpi_queue_release(it->queue, it->taken.item.span);
    ok(mpi_queue_table.acknowledge(it->queue));
    expect_no_units(it);
    slots_end(it);
}

/* -- Damage ---------------------------------------------------------------- */

static uint64_t any_word(slots *it)
{
    return (uint64_t)slots_chance(it, 1U << 24) << slots_chance(it, 44);
}

/* A word of what there is: the thing but for its lock, the owners and the
 * table, or units. */
static uint64_t *any_place(slots *it)
{
    mpi_units *units = &it->queue->units;
    unsigned char *thing = (unsigned char *)it->queue->thing;
    uint32_t span;

    switch (slots_chance(it, 8)) {
    case 0:
        return (
            uint64_t *)(void *)(thing + 8 +
                                8 * slots_chance(
                                        it, sizeof(mpi_queue_thing) / 8 - 1));
    case 1:
        return (uint64_t *)units->data + slots_chance(it, 8);
    case 2:
        return (uint64_t *)(void *)units->table + slots_chance(it, 64);
    default:
        span = 1 + slots_chance(it, units->max_units);
        if (mpi_units_count(units, span) == 0)
            span = (mpi_span)it->queue->thing->put_cursor[0];
        if (mpi_units_count(units, span) == 0)
            return units->data;
        return (uint64_t *)mpi_units_at(units, span) +
               slots_chance(it, slots_chance(it, 2) == 0 ? 40 : 2048);
    }
}

static void damage(slots *it)
{
    uint64_t *word = any_place(it);

    switch (slots_chance(it, 4)) {
    case 0:
        *word = any_word(it);
        return;
    case 1:
        *word = *any_place(it);
        return;
    case 2:
        *word ^= UINT64_C(1) << slots_chance(it, 64);
        return;
    default:
        *word += slots_chance(it, 3) - 1U;
        return;
    }
}

/* Reads all that it is told. */
static void use_taken(slots *it)
{
    const unsigned char *bytes = it->taken.item.data;
    unsigned char sum = 0;

    for (size_t i = 0; i < it->taken.item.size; i++)
        sum ^= bytes[i];
    it->bytes[0] = sum;
    if (it->taken.item.span != 0)
        mpi_queue_release(it->queue, it->taken.item.span);
}

static void put_any(slots *it)
{
    uint32_t id = it->next_id++;
    mpi_item item = {.kind = MPI_ITEM_BYTES, .size = slots_size(id)};
    mpi_buffer key = {0};

    slots_fill(id, it->bytes);
    item.data = it->bytes;
    slots_make_key(it, id, &item, &key);
    if (item.size <= MPI_ITEM_INLINE ||
        slots_reserve(it, item.size, &item.span) == MP_OK)
        (void)mpi_queue_table.put(it->queue, &item, id % 2 == 0);
    mpi_buffer_free(&key);
}

static void call_any(slots *it)
{
    uint64_t count;

    switch (slots_chance(it, 20)) {
    case 0:
        (void)mpi_queue_table.bury(it->queue, &count);
        return;
    case 1:
        (void)mpi_queue_table.check(it->queue);
        return;
    case 2:
        if (slots_chance(it, 10) == 0)
            (void)mpi_queue_table.clear(it->queue, &count);
        return;
    case 3:
    case 4:
        if (it->kind->redelivers)
            (void)mpi_queue_table.acknowledge(it->queue);
        return;
    case 5:
        slots_act_as(it, 1 + slots_chance(it, 2));
        return;
    case 6:
    case 7:
    case 8:
    case 9:
        if (mpi_queue_table.take(it->queue, slots_chance(it, 2) == 0, 0,
                                 SIZE_MAX, &it->taken) == MP_OK)
            use_taken(it);
        return;
    default:
        put_any(it);
        return;
    }
}

/* No call leaves the memory, and each one returns. */
Test(queue_table, damage_leads_nowhere_else, .timeout = 300)
{
    size_t count = support_scaled(DAMAGES);

    for (size_t i = 0; i < SLOTS_KINDS; i++) {
        slots *it = &subject;
        uint32_t chance = 1;

        for (size_t step = 0; step < count; step++) {
            if (step % 100 == 0) {
                slots_begin(it, &slots_kinds[i], SMALL_QUEUE, 0);
                it->chance = chance;
                for (int n = 0; n < 60; n++)
                    put_any(it);
            }
            if (step % 100 > 20 && slots_chance(it, 4) == 0)
                damage(it);
            call_any(it);
            if (step % 100 == 99 || step + 1 == count) {
                chance = it->chance;
                slots_act_as(it, 1);
                slots_end(it);
            }
        }
    }
}

/* The root but for the chain, and what each unit says of its places. */
static void scramble_derived(slots *it)
{
    mpi_units *units = &it->queue->units;
    mpi_table_root *root =
        mpi_units_at(units, (mpi_span)it->queue->thing->put_cursor[0]);
    unsigned char *bytes = (unsigned char *)root;

    for (size_t i = offsetof(mpi_table_root, front); i < sizeof(*root); i++)
        bytes[i] = (unsigned char)slots_chance(it, 256);
    for (mpi_span span = mpi_atomic32_load(&root->slots); span != 0;) {
        mpi_pool_unit *unit = mpi_units_at(units, span);

        span = mpi_atomic32_load(&unit->chain);
        unit->chain_before = slots_chance(it, 70);
        unit->before = slots_chance(it, 70);
        unit->after = slots_chance(it, 70);
        unit->used = slots_chance(it, 300);
        unit->round = slots_chance(it, 3);
        unit->bits[slots_chance(it, MPI_POOL_WORDS)] = any_word(it);
    }
}

Test(queue_table, a_repair_needs_the_slots_only, .timeout = 120)
{
    for (size_t i = 0; i < SLOTS_KINDS; i++) {
        slots *it = &subject;

        slots_begin(it, &slots_kinds[i], 0, 0);
        for (size_t turn = 0; turn < support_scaled(20); turn++) {
            for (int n = 0; n < 60; n++)
                ok(slots_put(it, n % 3 == 0));
            for (int n = 0; n < 40; n++)
                ok(slots_take(it, n % 2 == 0));
            scramble_derived(it);
            slots_kill_holder(it);
            ok(slots_put(it, false));
            slots_expect_counts(it);
        }
        drain(it);
        expect_no_units(it);
        slots_end(it);
    }
}
