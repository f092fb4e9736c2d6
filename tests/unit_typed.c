/* SPDX-License-Identifier: MIT */
/* What another process writes into shared memory once it has been opened. */
#include "support/served.h"

#include "arena.h"
#include "typed.h"

enum { LENGTH = 3000, CAPACITY = 9000 };

static mp_array *make(void)
{
    const mp_value_options options = {.capacity = CAPACITY};
    mp_array *array = NULL;

    ok(mp_array_create(&array, MP_CTYPE(int), LENGTH, NULL, &options));
    return array;
}

static mpi_arena *arena_of(const mp_array *array)
{
    return array->typed.sync.share.arena;
}

static void expect_empty(mp_array *array)
{
    mp_obj *items = mp_array_slice(array, 0, INT64_MAX);
    size_t count = 1;
    int item;

    cr_assert_eq(mp_array_length(array), 0U);
    ok(mp_obj_len(items, &count));
    cr_assert_eq(count, 0U);
    mp_obj_unref(items);
    cr_assert_eq(mp_array_read(array, 0, &item, 1), MP_EINDEX);
}

Test(typed, a_length_beyond_what_is_reserved_is_none)
{
    mp_array *array = make();
    mpi_arena_header *header = arena_of(array)->header;
    mpi_atomic64 *length = mpi_typed_length_place(&array->typed);

    mpi_atomic64_store(length, CAPACITY);
    mpi_atomic64_store(&header->data_size, (uint64_t)1 << 40);
    if (mpos_system.memory_grows)
        expect_empty(array);
    else
        cr_assert_eq(mp_array_length(array), (size_t)CAPACITY);
    mpi_atomic64_store(length, UINT64_MAX);
    cr_assert_leq(mp_array_length(array), (size_t)CAPACITY);
    ok(mp_array_grow(array, CAPACITY));
    cr_assert_eq(mp_array_length(array), (size_t)CAPACITY);
    ok(mp_array_set(array, -1, MP_BOX(5)));
    cr_assert_eq(MP_ARRAY(array, int)[CAPACITY - 1], 5);
    ok(mp_array_close(array));
}

Test(typed, where_things_are_is_read_once)
{
    mp_array *array = make(), *copy = NULL;
    mpi_arena_header *header = arena_of(array)->header;

    ok(mp_array_set(array, 0, MP_BOX(5)));
    header->storage = MPI_STORAGE_COMMON;
    header->data_offset = 8;
    ok(mp_array_copy(array, &copy, NULL));
    cr_assert_eq(MP_ARRAY(copy, int)[0], 5);
    ok(mp_array_close(copy));
    ok(mp_array_grow(array, CAPACITY));
    cr_assert_eq(MP_ARRAY(array, int)[CAPACITY - 1], 0);
    ok(mp_array_close(array));
}

/* Nobody but this thread could give it back. */
Test(typed, an_arena_that_says_this_process_has_locked_it_is_no_trap)
{
    mp_array *array = make();
    mpi_arena *arena = arena_of(array);

    mpi_atomic32_store(&arena->header->lock.value,
                       mpi_share_self(&arena->lock));
    ok(mp_array_grow(array, CAPACITY));
    mpi_atomic64_store(&arena->processes[99],
                       mpi_atomic64_load(&arena->processes[0]));
    mpi_atomic32_store(&arena->header->lock.value, 100);
    ok(mp_array_close(array));
}
