/* SPDX-License-Identifier: MIT */
/* Units: against a model, full, of the dead, swept, given back, and damaged. */
#include "support/check.h"
#include "support/ring.h"
#include "support/system.h"

enum {
    MIB = 1 << 20,
    UNITS = 64, /* of a small queue */
    STEPS = 20000,
};

static uint32_t chance(uint32_t *state, uint32_t below)
{
    *state = *state * 1664525 + 1013904223;
    return (*state >> 8) % below;
}

static mpi_span must_alloc(mp_queue *queue, uint32_t count, mpi_unit_use use)
{
    mpi_span span = 0;

    ok(mpi_units_alloc(&queue->units, count, use, &span));
    cr_assert_neq(span, 0U);
    cr_assert_eq(mpi_units_count(&queue->units, span), count);
    return span;
}

/* -- Sizes ----------------------------------------------------------------- */

Test(units, a_plan_is_small_at_first_and_large_enough_at_last)
{
    static const size_t wanted[] = {0, 1, 16384, 16385, 100 * MIB};

    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        size_t initial = 0, full = 0;
        uint32_t max_units = 0;

        ok(mpi_units_plan(wanted[i], &initial, &full, &max_units));
        cr_assert_leq(initial, (size_t)64 << 10);
        cr_assert_geq((uint64_t)max_units * MPI_UNIT_SIZE, wanted[i]);
        cr_assert_geq(full, (size_t)max_units * MPI_UNIT_SIZE + initial);
    }
}

Test(units, a_plan_beyond_all_memory_is_an_error)
{
    size_t initial = 7, full = 7;
    uint32_t max_units = 7;

    cr_assert_eq(mpi_units_plan(SIZE_MAX, &initial, &full, &max_units),
                 MP_EOVERFLOW);
    cr_assert_eq(initial + full + max_units, 21U);
}

Test(units, what_is_opened_must_have_a_size_that_can_be)
{
    mp_queue *queue = make_ring(MIB, 0);
    mpi_units units;

    cr_assert_eq(mpi_units_open(&units, &queue->sync.share, 0), MP_EPROTO);
    cr_assert_eq(mpi_units_open(&units, &queue->sync.share, UINT64_MAX),
                 MP_EPROTO);
    cr_assert_eq(mpi_units_open(&units, &queue->sync.share, 1U << 27),
                 MP_EPROTO);
    close_ring(queue);
}

/* -- Sound memory ---------------------------------------------------------- */

Test(units, spans_do_not_overlap_and_nothing_is_lost)
{
    mp_queue *queue = make_ring(UNITS * MPI_UNIT_SIZE, 0);
    mpi_span spans[UNITS] = {0};
    unsigned char fills[UNITS];
    uint32_t state = 1;

    for (int step = 0; step < STEPS; step++) {
        uint32_t at = chance(&state, UNITS);
        uint32_t count = 1 + chance(&state, chance(&state, 8) == 0 ? 30 : 5);
        unsigned char *bytes;
        mp_error err;

        if (spans[at] != 0) {
            count = mpi_units_count(&queue->units, spans[at]);
            bytes = mpi_units_at(&queue->units, spans[at]);
            cr_assert_eq(bytes[0], fills[at]);
            cr_assert_eq(bytes[count * MPI_UNIT_SIZE - 1], fills[at]);
            mpi_units_free(&queue->units, spans[at]);
            spans[at] = 0;
            continue;
        }
        err =
            mpi_units_alloc(&queue->units, count, MPI_UNIT_QUEUED, &spans[at]);
        if (err == MP_FULL)
            continue;
        ok(err);
        fills[at] = (unsigned char)chance(&state, 256);
        bytes = mpi_units_at(&queue->units, spans[at]);
        cr_assert_eq((uintptr_t)bytes % 64, 0U);
        bytes[0] = fills[at];
        bytes[count * MPI_UNIT_SIZE - 1] = fills[at];
    }
    for (int at = 0; at < UNITS; at++)
        if (spans[at] != 0)
            mpi_units_free(&queue->units, spans[at]);
    cr_assert_eq(must_alloc(queue, UNITS, MPI_UNIT_QUEUED), 1U);
    close_ring(queue);
}

Test(units, when_all_are_used_it_is_full_until_one_is_freed)
{
    mp_queue *queue = make_ring(UNITS * MPI_UNIT_SIZE, 0);
    mpi_span span = 0;

    for (int i = 0; i < UNITS; i++)
        must_alloc(queue, 1, MPI_UNIT_QUEUED);
    cr_assert_eq(mpi_units_alloc(&queue->units, 1, MPI_UNIT_QUEUED, &span),
                 MP_FULL);
    cr_assert_eq(span, 0U);
    mpi_units_free(&queue->units, 33);
    cr_assert_eq(must_alloc(queue, 1, MPI_UNIT_RESERVED), 33U);
    cr_assert_eq(
        mpi_units_alloc(&queue->units, UNITS + 1, MPI_UNIT_QUEUED, &span),
        MP_FULL);
    cr_assert_eq(mpi_units_alloc(&queue->units, 0, MPI_UNIT_QUEUED, &span),
                 MP_FULL);
    close_ring(queue);
}

Test(units, room_is_found_wherever_it_is)
{
    mp_queue *queue = make_ring(UNITS * MPI_UNIT_SIZE, 0);

    for (int i = 0; i < UNITS / 2; i++)
        must_alloc(queue, 2, MPI_UNIT_QUEUED);
    mpi_units_free(&queue->units, 1);
    mpi_units_free(&queue->units, 3);
    mpi_units_free(&queue->units, 61);
    mpi_units_free(&queue->units, 63);
    cr_assert_eq(must_alloc(queue, 4, MPI_UNIT_QUEUED), 1U);
    cr_assert_eq(must_alloc(queue, 4, MPI_UNIT_QUEUED), 61U);
    close_ring(queue);
}

Test(units, what_is_freed_twice_or_never_was_does_no_harm)
{
    mp_queue *queue = make_ring(UNITS * MPI_UNIT_SIZE, 0);
    mpi_span span = must_alloc(queue, 3, MPI_UNIT_QUEUED);

    mpi_units_free(&queue->units, 0);
    mpi_units_free(&queue->units, span + 1);
    mpi_units_free(&queue->units, UNITS + 1);
    mpi_units_free(&queue->units, UINT32_MAX);
    cr_assert_eq(mpi_units_count(&queue->units, span), 3U);
    mpi_units_free(&queue->units, span);
    mpi_units_free(&queue->units, span);
    cr_assert_eq(mpi_units_count(&queue->units, span), 0U);
    mpi_units_set(&queue->units, span, MPI_UNIT_TAKEN);
    cr_assert_eq(mpi_units_count(&queue->units, span), 0U);
    close_ring(queue);
}

/* -- The dead -------------------------------------------------------------- */

static void give_to_the_dead(mp_queue *queue, mpi_span span)
{
    mpi_atomic64 *entry = &queue->units.table[span];
    uint64_t before = mpi_atomic64_load(entry);
    uint64_t owner = (before >> 8 ^ SUPPORT_NO_OWNER) & MPI_OWNER_MASK;

    mpi_atomic64_store(entry, before ^ owner << 8);
}

Test(units, what_the_dead_had_is_used_before_it_is_full)
{
    mp_queue *queue = make_ring(UNITS * MPI_UNIT_SIZE, 0);
    mpi_span of_writer = must_alloc(queue, 10, MPI_UNIT_RESERVED);
    mpi_span of_reader = must_alloc(queue, 10, MPI_UNIT_QUEUED);
    mpi_span span = 0;

    mpi_units_set(&queue->units, of_reader, MPI_UNIT_TAKEN);
    must_alloc(queue, UNITS - 20, MPI_UNIT_QUEUED);
    cr_assert_eq(mpi_units_alloc(&queue->units, 1, MPI_UNIT_QUEUED, &span),
                 MP_FULL, "what is this process's own was taken away");
    give_to_the_dead(queue, of_writer);
    give_to_the_dead(queue, of_reader);
    cr_assert_eq(must_alloc(queue, 20, MPI_UNIT_QUEUED), 1U);
    close_ring(queue);
}

Test(units, what_is_queued_belongs_to_nobody_who_could_die)
{
    mp_queue *queue = make_ring(UNITS * MPI_UNIT_SIZE, 0);
    mpi_span span = must_alloc(queue, UNITS, MPI_UNIT_RESERVED);

    mpi_units_set(&queue->units, span, MPI_UNIT_QUEUED);
    give_to_the_dead(queue, span);
    cr_assert_eq(mpi_units_alloc(&queue->units, 1, MPI_UNIT_QUEUED, &span),
                 MP_FULL);
    close_ring(queue);
}

/* -- Sweeping -------------------------------------------------------------- */

Test(units, a_sweep_frees_what_is_queued_and_not_marked)
{
    mp_queue *queue = make_ring(UNITS * MPI_UNIT_SIZE, 0);
    mpi_units *units = &queue->units;
    mpi_span marked = must_alloc(queue, 3, MPI_UNIT_QUEUED);
    mpi_span lost = must_alloc(queue, 4, MPI_UNIT_QUEUED);
    mpi_span own = must_alloc(queue, 5, MPI_UNIT_RESERVED);

    ok(mpi_units_sweep_begin(units));
    cr_assert(mpi_units_sweep_mark(units, marked));
    cr_assert(!mpi_units_sweep_mark(units, marked), "marked twice");
    cr_assert(!mpi_units_sweep_mark(units, marked + 1), "inside a span");
    cr_assert(!mpi_units_sweep_mark(units, 0));
    cr_assert(!mpi_units_sweep_mark(units, UINT32_MAX));
    mpi_units_sweep_end(units);
    cr_assert_eq(mpi_units_count(units, marked), 3U);
    cr_assert_eq(mpi_units_count(units, lost), 0U);
    cr_assert_eq(mpi_units_count(units, own), 5U);
    ok(mpi_units_sweep_begin(units));
    mpi_units_sweep_cancel(units);
    cr_assert_eq(mpi_units_count(units, marked), 3U);
    close_ring(queue);
}

/* -- Allocating while others free ------------------------------------------ */

enum { HANDED = 8, LARGEST = 5 };

/* What one allocates, another frees: each place is empty or has a span. */
typedef struct handing {
    mp_queue *queue;
    mpi_atomic32 places[HANDED];
    mpi_atomic32 is_over;
    mpi_atomic32 overlaps;
} handing;

/* All of a span's units say whose they are. */
static void write_name(const mpi_units *units, mpi_span span, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        *(uint32_t *)mpi_units_at(units, span + i) = span;
}

static bool has_name(const mpi_units *units, mpi_span span, uint32_t count)
{
    bool is_its_own = true;

    for (uint32_t i = 0; i < count; i++)
        is_its_own &= *(uint32_t *)mpi_units_at(units, span + i) == span;
    return is_its_own;
}

static void free_what_comes(void *argument)
{
    handing *it = argument;
    mpi_units *units = &it->queue->units;
    uint32_t state = 7;

    while (mpi_atomic32_load(&it->is_over) == 0) {
        mpi_atomic32 *place = &it->places[chance(&state, HANDED)];
        mpi_span span = mpi_atomic32_load(place);

        if (span == 0)
            continue;
        if (!has_name(units, span, mpi_units_count(units, span)))
            mpi_atomic32_add(&it->overlaps, 1);
        mpi_units_free(units, span);
        mpi_atomic32_store(place, 0);
    }
}

Test(units, what_is_allocated_while_others_free_is_nobody_elses)
{
    handing it = {.queue = make_ring(8 * MIB, 0)};
    mpi_units *units = &it.queue->units;
    uint32_t state = 3;
    mpos_thread thread;

    ok(mpos_thread_start(free_what_comes, &it, &thread));
    for (size_t i = 0; i < support_scaled(1000000); i++) {
        mpi_atomic32 *place = &it.places[chance(&state, HANDED)];
        uint32_t count = 1 + chance(&state, LARGEST);
        mpi_span span;

        if (mpi_atomic32_load(place) != 0)
            continue;
        span = must_alloc(it.queue, count, MPI_UNIT_QUEUED);
        write_name(units, span, count);
        mpi_atomic32_store(place, span);
    }
    mpi_atomic32_store(&it.is_over, 1);
    mpos_thread_join(thread);
    cr_assert_eq(mpi_atomic32_load(&it.overlaps), 0U);
    close_ring(it.queue);
}

/* -- Giving back ----------------------------------------------------------- */

Test(units, memory_goes_back_and_comes_again)
{
    mp_queue *queue = make_ring(64 * MIB, 0);
    mpi_units *units = &queue->units;
    uint32_t count = 60 * MIB / MPI_UNIT_SIZE;
    size_t before = support_memory_in_use();

    for (int i = 0; i < 3; i++) {
        mpi_span span = must_alloc(queue, count, MPI_UNIT_QUEUED);

        memset(mpi_units_at(units, span), 0xa5, 60 * (size_t)MIB);
        cr_assert(!mpi_units_is_trimmable(units), "all of it is used");
        mpi_units_free(units, span);
        cr_assert(mpi_units_is_trimmable(units));
        mpi_units_trim(units);
        cr_assert(!mpi_units_is_trimmable(units), "there is no more");
    }
    /* What watches a program takes memory of its own. */
    if (strcmp(mpos_system.system, "linux") == 0 && !support_is_watched())
        cr_assert_lt(support_memory_in_use(), before + 16 * (size_t)MIB);
    expect_rest_is_free(queue);
    close_ring(queue);
}

Test(units, others_keep_theirs_while_memory_goes_back)
{
    mp_queue *queue = make_ring(64 * MIB, 0);
    mpi_units *units = &queue->units;
    uint32_t count = 10 * MIB / MPI_UNIT_SIZE;
    mpi_span spans[6];

    for (int i = 0; i < 6; i++) {
        spans[i] = must_alloc(queue, count, MPI_UNIT_QUEUED);
        memset(mpi_units_at(units, spans[i]), i, 10 * (size_t)MIB);
    }
    for (int i = 0; i < 6; i += 2)
        mpi_units_free(units, spans[i]);
    mpi_units_trim(units);
    for (int i = 1; i < 6; i += 2) {
        const unsigned char *bytes = mpi_units_at(units, spans[i]);

        for (size_t at = 0; at < 10 * (size_t)MIB; at += 4096)
            cr_assert_eq(bytes[at], i);
    }
    expect_rest_is_free(queue);
    close_ring(queue);
}

/* -- Damage ---------------------------------------------------------------- */

static uint64_t hostile(uint32_t *state)
{
    static const uint64_t numbers[] = {0,
                                       1,
                                       2,
                                       4,
                                       5,
                                       7,
                                       UINT64_MAX,
                                       UINT32_MAX,
                                       UINT64_C(1) << 32,
                                       (UINT64_C(64) << 32) | 1,
                                       (UINT64_C(65) << 32) | 1,
                                       (UINT64_C(2) << 32) | 2 |
                                           SUPPORT_NO_OWNER << 8,
                                       (uint64_t)UINT32_MAX << 32 | 1,
                                       (UINT64_C(3) << 32) | 3};
    const uint32_t count = sizeof(numbers) / sizeof(numbers[0]);
    uint32_t which = chance(state, count + 2);

    if (which < count)
        return numbers[which];
    return (uint64_t)chance(state, UINT32_MAX) << chance(state, 41);
}

static void use_damaged(mp_queue *queue, uint32_t *state)
{
    mpi_units *units = &queue->units;
    mpi_span span = chance(state, 2 * UNITS);
    uint32_t count;

    switch (chance(state, 6)) {
    case 0:
        if (mpi_units_alloc(units, 1 + chance(state, UNITS), MPI_UNIT_RESERVED,
                            &span) != MP_OK)
            return;
        memset(mpi_units_at(units, span), 1, MPI_UNIT_SIZE);
        break;
    case 1:
        count = mpi_units_count(units, span);
        if (count != 0)
            memset(mpi_units_at(units, span), 1, count * MPI_UNIT_SIZE);
        break;
    case 2:
        mpi_units_free(units, span);
        break;
    case 3:
        mpi_units_set(units, span, MPI_UNIT_TAKEN);
        break;
    case 4:
        mpi_units_trim(units);
        break;
    default:
        ok(mpi_units_sweep_begin(units));
        mpi_units_sweep_mark(units, span);
        mpi_units_sweep_end(units);
    }
}

/* Neither a crash nor a loop without end. */
Test(units, hostile_numbers_in_the_table_do_no_harm)
{
    mp_queue *queue = make_ring(UNITS * MPI_UNIT_SIZE, 0);
    uint64_t *head = (uint64_t *)(void *)((char *)queue->units.data +
                                          MPI_UNITS_PROCESSES * 8);
    uint32_t state = 7;
    mpi_units again;

    for (int step = 0; step < STEPS; step++) {
        uint32_t at = chance(&state, UNITS + 3);

        if (at <= UNITS)
            mpi_atomic64_store(&queue->units.table[at], hostile(&state));
        else
            head[at - UNITS - 1] = hostile(&state);
        for (int i = 0; i < 3; i++)
            use_damaged(queue, &state);
        if (step % 50 == 0 &&
            mpi_units_open(&again, &queue->sync.share, UNITS) == MP_OK)
            mpi_units_close(&again);
    }
    close_ring(queue);
}
