/* SPDX-License-Identifier: MIT */
/* The store: against a model, in pieces, full, rebuilt, and damaged. */
#include "support/system.h"
#include "support/testing.h"

#include "store.h"

#include <multiproc/error.h>

#include <stdlib.h>
#include <string.h>

enum { MOST = 512, STEPS = 20000, ROOM = 64 << 10 };

/* -- A table of blobs, and what must be in them ---------------------------- */

typedef struct entry {
    mpi_blob blob; /* 0: none */
    size_t size;
    unsigned char fill;
} entry;

typedef struct table {
    mpi_store store;
    entry entries[MOST];
    size_t count; /* of entries that may be used */
    size_t used;  /* bytes */
    uint32_t chance;
} table;

static uint32_t chance(table *it, uint32_t below)
{
    it->chance = it->chance * 1664525 + 1013904223;
    return (it->chance >> 8) % below;
}

static void roots(void *context, mpi_store *store,
                  void (*mark)(mpi_store *store, mpi_blob blob))
{
    const table *it = context;

    for (size_t i = 0; i < it->count; i++)
        if (it->entries[i].blob != 0)
            mark(store, it->entries[i].blob);
}

static void begin(table *it, size_t size)
{
    *it = (table){.count = MOST, .chance = 1};
    it->store = (mpi_store){.size = size, .roots = roots, .context = it};
    /* A little less alignment than pages have, and guarded by sanitizers. */
    it->store.memory = calloc(1, size);
    cr_assert_not_null(it->store.memory);
    cr_assert_eq((uintptr_t)it->store.memory % 16, 0U);
    cr_assert_eq(mpi_store_check(&it->store), MP_OK, "%s", mp_error_message());
}

static void end(table *it)
{
    free(it->store.memory);
}

static bool add(table *it, size_t place, size_t size)
{
    entry *at = &it->entries[place];
    void *memory = NULL;
    size_t found = 0;
    mpi_blob blob = 0;
    mp_error err = mpi_store_alloc(&it->store, size, &blob, &memory);

    if (err != MP_OK) {
        cr_assert_eq(err, MP_ENOSPC);
        cr_assert_eq(blob, 0U);
        return false;
    }
    cr_assert_eq((uintptr_t)memory % 16, 0U);
    cr_assert_eq(mpi_store_at(&it->store, blob, &found), memory);
    cr_assert_eq(found, size);
    *at = (entry){blob, size, (unsigned char)chance(it, 256)};
    memset(memory, at->fill, size);
    it->used += size;
    return true;
}

static void drop(table *it, size_t place)
{
    mpi_blob blob = it->entries[place].blob;

    it->used -= it->entries[place].size;
    it->entries[place] = (entry){.blob = 0};
    mpi_store_free(&it->store, blob);
}

static void expect_whole(const table *it)
{
    for (size_t i = 0; i < it->count; i++) {
        const entry *at = &it->entries[i];
        const unsigned char *bytes;
        size_t size = 0;

        if (at->blob == 0)
            continue;
        bytes = mpi_store_at(&it->store, at->blob, &size);
        cr_assert_not_null(bytes);
        cr_assert_eq(size, at->size);
        for (size_t n = 0; n < size; n++)
            cr_assert_eq(bytes[n], at->fill, "byte %zu of %zu", n, i);
    }
}

static void expect_sound(table *it)
{
    cr_assert_eq(mpi_store_verify(&it->store), MP_OK, "%s", mp_error_message());
}

static size_t random_size(table *it)
{
    switch (chance(it, 8)) {
    case 0:
        return chance(it, 4096);
    case 1:
        return chance(it, 9);
    default:
        return chance(it, 100);
    }
}

/* -- Sound memory ---------------------------------------------------------- */

Test(store, memory_of_zeros_is_an_empty_store)
{
    table it;

    begin(&it, mpi_store_size(0, ROOM));
    expect_sound(&it);
    mpi_store_free(&it.store, 7);
    cr_assert(add(&it, 0, ROOM / 2));
    expect_sound(&it);
    end(&it);
}

Test(store, what_was_asked_for_fits)
{
    static const size_t sizes[] = {0, 1, 8, 24, 25, 40, 41, 1000};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        for (size_t count = 1; count <= MOST; count += 73) {
            table it;

            begin(&it, mpi_store_size(count, count * sizes[i]));
            for (size_t n = 0; n < count; n++)
                cr_assert(add(&it, n, sizes[i]), "%zu of %zu, of %zu bytes", n,
                          count, sizes[i]);
            expect_whole(&it);
            expect_sound(&it);
            end(&it);
        }
}

Test(store, one_blob_may_be_as_large_as_the_store)
{
    table it;

    begin(&it, mpi_store_size(1, ROOM));
    cr_assert(add(&it, 0, ROOM));
    cr_assert_not(add(&it, 1, 1000));
    cr_assert_str_not_empty(mp_error_message());
    drop(&it, 0);
    cr_assert_not(add(&it, 0, 2 * (size_t)ROOM));
    cr_assert_not(add(&it, 0, SIZE_MAX));
    cr_assert_not(add(&it, 0, SIZE_MAX - 8));
    cr_assert(add(&it, 0, ROOM), "what was freed can be had again");
    end(&it);
}

Test(store, any_order_of_calls_keeps_every_blob_whole, .timeout = 120)
{
    table it;

    begin(&it, mpi_store_size(0, ROOM));
    for (size_t step = 0; step < support_scaled(STEPS); step++) {
        size_t place = chance(&it, MOST);

        if (it.entries[place].blob != 0)
            drop(&it, place);
        else
            add(&it, place, random_size(&it));
        if (step % 64 == 0) {
            expect_whole(&it);
            expect_sound(&it);
        }
    }
    end(&it);
}

/* After all is freed it is one piece again, however it was cut. */
Test(store, free_rooms_side_by_side_become_one)
{
    table it;

    begin(&it, mpi_store_size(1, ROOM));
    for (int turn = 0; turn < 20; turn++) {
        size_t count = 0;

        while (count < MOST && add(&it, count, random_size(&it)))
            count++;
        for (size_t i = 0; i < count; i++) { /* in an order by chance */
            size_t place = chance(&it, (uint32_t)count);

            while (it.entries[place].blob == 0)
                place = (place + 1) % count;
            drop(&it, place);
        }
        expect_sound(&it);
        cr_assert(add(&it, 0, ROOM), "turn %d", turn);
        drop(&it, 0);
    }
    end(&it);
}

/* Random sizes, at most three quarters of it in use: nothing is refused. */
Test(store, fragmentation_stays_low)
{
    const size_t limit = (size_t)ROOM / 4 * 3;
    table it;
    size_t cost = 0;

    begin(&it, mpi_store_size(0, ROOM));
    for (size_t step = 0; step < support_scaled(STEPS); step++) {
        size_t place = chance(&it, MOST);
        size_t size = chance(&it, 300);

        if (it.entries[place].blob != 0) {
            cost -= it.entries[place].size + MPI_BLOB_COST;
            drop(&it, place);
        } else if (cost + size + MPI_BLOB_COST <= limit) {
            cr_assert(add(&it, place, size), "step %zu: %zu more than %zu",
                      step, size, cost);
            cost += size + MPI_BLOB_COST;
        }
    }
    expect_sound(&it);
    end(&it);
}

Test(store, a_rebuild_frees_what_the_table_does_not_have)
{
    table it;
    mpi_blob blob = 0;
    void *memory;

    begin(&it, mpi_store_size(0, ROOM));
    for (size_t i = 0; i < 100; i++)
        cr_assert(add(&it, i, random_size(&it)));
    while (mpi_store_alloc(&it.store, 200, &blob, &memory) == MP_OK)
        continue; /* nobody's */
    cr_assert_eq(mpi_store_verify(&it.store), MP_EPROTO);
    mpi_store_rebuild(&it.store);
    expect_whole(&it);
    expect_sound(&it);
    cr_assert(add(&it, 200, 200));
    end(&it);
}

/* Killed at any moment: all but the blobs in the table is garbage. */
Test(store, a_rebuild_trusts_the_blobs_in_the_table_only)
{
    table it;

    begin(&it, mpi_store_size(0, ROOM));
    for (int turn = 0; turn < 50; turn++) {
        size_t end_of_head = 0;

        for (size_t step = 0; step < 300; step++) {
            size_t place = chance(&it, MOST);

            if (it.entries[place].blob != 0)
                drop(&it, place);
            else
                add(&it, place, random_size(&it));
        }
        end_of_head = 4096; /* lists and their bits */
        for (size_t i = 0; i < end_of_head; i++)
            it.store.memory[i] = (unsigned char)chance(&it, 256);
        mpi_store_rebuild(&it.store);
        expect_whole(&it);
        expect_sound(&it);
    }
    end(&it);
}

Test(store, verify_tells_what_is_wrong)
{
    table it;
    mpi_blob blob = 0;
    void *memory;

    begin(&it, mpi_store_size(0, ROOM));
    cr_assert(add(&it, 0, 100));
    cr_assert(add(&it, 1, 100));
    it.entries[2] = it.entries[1];
    cr_assert_eq(mpi_store_verify(&it.store), MP_EPROTO);
    cr_assert_not_null(strstr(mp_error_message(), "twice"));
    it.entries[2].blob++;
    cr_assert_eq(mpi_store_verify(&it.store), MP_EPROTO);
    cr_assert_not_null(strstr(mp_error_message(), "is none"));
    it.entries[2].blob = 0;
    expect_sound(&it);
    cr_assert_eq(mpi_store_alloc(&it.store, 10, &blob, &memory), MP_OK);
    cr_assert_eq(mpi_store_verify(&it.store), MP_EPROTO);
    cr_assert_not_null(strstr(mp_error_message(), "in no table"));
    end(&it);
}

Test(store, sizes_beyond_memory_are_refused)
{
    table it;

    cr_assert_eq(mpi_store_size(0, SIZE_MAX), SIZE_MAX);
    cr_assert_eq(mpi_store_size(SIZE_MAX, 0), SIZE_MAX);
    cr_assert_eq(mpi_store_size(SIZE_MAX / 32, SIZE_MAX / 32), SIZE_MAX);
    cr_assert_eq(mpi_store_size(1, SIZE_MAX / 2), SIZE_MAX);
    begin(&it, mpi_store_size(1, 1));
    for (size_t size = 0; size < it.store.size; size += 8) {
        mpi_store less = it.store;

        less.size = size;
        if (mpi_store_check(&less) == MP_OK)
            mpi_store_rebuild(&less);
        else
            cr_assert_str_not_empty(mp_error_message());
    }
    end(&it);
}

/* -- Damage ---------------------------------------------------------------- */

static void damage(table *it)
{
    size_t at = chance(it, (uint32_t)it->store.size / 8) * 8;
    uint64_t word = (uint64_t)chance(it, 1U << 24) << chance(it, 40);
    unsigned char *memory = it->store.memory;

    switch (chance(it, 3)) {
    case 0: /* as likely as not a link or a header */
        memmove(memory + at, memory + chance(it, 512) * 8, sizeof(word));
        return;
    case 1:
        memory[at] ^= (unsigned char)(1U << chance(it, 8));
        return;
    default:
        memcpy(memory + at, &word, sizeof(word));
        return;
    }
}

/* Writes to wherever it is told, and reads it all. */
static void use(table *it, mpi_blob blob)
{
    size_t size = 0;
    unsigned char *bytes = mpi_store_at(&it->store, blob, &size);

    if (bytes == NULL)
        return;
    cr_assert_geq(bytes, it->store.memory);
    cr_assert_leq(bytes + size, it->store.memory + it->store.size);
    if (size > 0)
        bytes[0] ^= bytes[size - 1];
}

/* No call leaves the memory, and each one returns. */
Test(store, damage_leads_nowhere_else, .timeout = 120)
{
    static table it;

    begin(&it, mpi_store_size(0, ROOM / 4));
    for (size_t step = 0; step < support_scaled(20 * STEPS); step++) {
        size_t place = chance(&it, MOST);
        entry *at = &it.entries[place];
        void *memory;

        if (chance(&it, 4) == 0)
            damage(&it);
        if (chance(&it, 200) == 0)
            (void)mpi_store_verify(&it.store);
        if (chance(&it, 1000) == 0)
            mpi_store_rebuild(&it.store);
        if (chance(&it, 50) == 0)
            at->blob = chance(&it, 1U << chance(&it, 24));
        use(&it, at->blob);
        if (at->blob != 0) {
            mpi_store_free(&it.store, at->blob);
            at->blob = 0;
        } else if (mpi_store_alloc(&it.store, random_size(&it), &at->blob,
                                   &memory) == MP_OK) {
            use(&it, at->blob);
        }
    }
    end(&it);
}

Test(store, a_rebuild_mends_all_but_the_blobs)
{
    static table it;

    begin(&it, mpi_store_size(0, ROOM));
    for (size_t step = 0; step < 200 * MOST; step++)
        damage(&it);
    for (size_t i = 0; i < MOST; i++)
        it.entries[i].blob = 0;
    mpi_store_rebuild(&it.store);
    expect_sound(&it);
    cr_assert(add(&it, 0, ROOM / 2));
    end(&it);
}
