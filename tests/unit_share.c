/* SPDX-License-Identifier: MIT */
/* Arenas and shares: what they cost, who has what, and what is left after
 * deaths at any moment. */
#include "support/check.h"
#include "support/served.h"
#include "support/system.h"

#include "arena.h"
#include "queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LOCKS = 10000,
    SHORT_LIVED = 5000,
    KILLS = 500,
    MIB = 1 << 20,
    NO_PID = 0x7fff0000, /* and above: no system gives these out */
};

/* -- Looking at an arena --------------------------------------------------- */

typedef struct census {
    size_t things;
    size_t records; /* and what they name agree */
    size_t on_way;
    size_t empty_cells; /* of records */
    uint32_t cells;     /* in use */
    uint32_t of_pipes;  /* records that are not counted */
} census;

static mpi_record *records_at(const mpi_arena *arena, uint32_t cell)
{
    return ((mpi_record_cell *)(void *)arena->cells[cell].room)->items;
}

/* Where pipes carry no handles, those that the tests talk over are there, too:
 * peer.h. */
static bool is_pipe(const mpi_cell *cell)
{
    return mpi_atomic32_load(&cell->kind) == MPI_CONNECTION_PAIR;
}

static void count_records(const mpi_arena *arena, uint32_t cell,
                          uint32_t *references, census *sum)
{
    const mpi_record *records = records_at(arena, cell);
    uint32_t used = 0;

    for (int i = 0; i < MPI_RECORDS_PER_CELL; i++) {
        uint32_t named = records[i].cell;

        if (records[i].process == 0)
            continue;
        used++;
        sum->of_pipes += is_pipe(&arena->cells[named]);
        sum->on_way += records[i].state == MPI_RECORD_ON_WAY;
        if (records[i].process == MPI_NO_SENDER)
            cr_assert_eq(records[i].state, MPI_RECORD_ON_WAY);
        else
            cr_assert_neq(
                mpi_atomic64_load(&arena->processes[records[i].process - 1]),
                0U, "a record is of nobody");
        cr_assert_neq(named, 0U);
        cr_assert_lt(named, mpi_atomic32_load(&arena->header->cell_count));
        cr_assert_neq(mpi_atomic32_load(&arena->cells[named].kind), 0U,
                      "a record names a free cell");
        references[named]++;
    }
    cr_assert_eq(arena->cells[cell].references, used);
    sum->records += used;
    sum->empty_cells += used == 0;
}

/* The list of those with room names each of them once. */
static void check_list(const mpi_arena *arena)
{
    uint32_t listed = 0, with_room = 0;
    uint32_t end = mpi_atomic32_load(&arena->header->cell_count);

    for (uint32_t i = arena->header->records; i != 0;
         i = arena->cells[i].serial) {
        cr_assert_lt(i, end);
        cr_assert_lt(arena->cells[i].references,
                     (uint32_t)MPI_RECORDS_PER_CELL);
        cr_assert_leq(++listed, end, "the list has no end");
    }
    for (uint32_t i = 1; i < end;) {
        const mpi_cell *it = &arena->cells[i];
        uint32_t kind = mpi_atomic32_load(&it->kind);

        with_room += kind == MPI_RECORDS &&
                     it->references < (uint32_t)MPI_RECORDS_PER_CELL;
        i += kind == 0 ? 1 : it->count;
    }
    cr_assert_eq(listed, with_room);
}

static census walk(mpi_arena *arena)
{
    census sum = {0};
    uint32_t end = mpi_atomic32_load(&arena->header->cell_count);
    uint32_t *references = calloc(end, sizeof(*references));

    ok(mpi_arena_lock(arena));
    for (uint32_t i = 1; i < end;) {
        const mpi_cell *it = &arena->cells[i];
        uint32_t kind = mpi_atomic32_load(&it->kind);
        uint32_t count = kind == 0 ? 1 : it->count;

        cr_assert(count > 0 && count <= end - i, "cell %u", (unsigned)i);
        cr_assert(kind != 0 || i >= arena->header->first_free);
        sum.cells += kind == 0 || is_pipe(it) ? 0 : count;
        if (kind == MPI_RECORDS)
            count_records(arena, i, references, &sum);
        else
            sum.things += kind != 0 && !is_pipe(it);
        i += count;
    }
    for (uint32_t i = 1; i < end;) {
        const mpi_cell *it = &arena->cells[i];
        uint32_t kind = mpi_atomic32_load(&it->kind);

        if (kind != 0 && kind != MPI_RECORDS) {
            cr_assert_eq(it->references, references[i], "cell %u", (unsigned)i);
            cr_assert_gt(references[i], 0U, "cell %u leaked", (unsigned)i);
        }
        i += kind == 0 ? 1 : it->count;
    }
    sum.records -= sum.of_pipes;
    check_list(arena);
    mpi_arena_unlock(arena);
    free(references);
    return sum;
}

/* As whoever needs room does. */
static void bury_all(mpi_arena *arena)
{
    ok(mpi_arena_lock(arena));
    for (uint32_t i = 0; i < arena->header->process_capacity; i++) {
        uint64_t identity = mpi_atomic64_load(&arena->processes[i]);

        if (identity != 0 && !mpi_arena_is_alive(identity))
            mpi_arena_bury(arena, i + 1);
    }
    mpi_arena_bury(arena, MPI_NO_SENDER);
    mpi_arena_unlock(arena);
}

/* Something small, all zero. */
static mp_error create(mpi_share *share, mpi_kind kind, size_t size)
{
    const mpi_share_plan plan = {.kind = kind, .size = size};

    return mpi_share_create(share, &plan);
}

/* One thing of ours keeps the arena. */
static mpi_share *make_anchor(void)
{
    static mpi_share anchor;

    ok(create(&anchor, MPI_LOCK, sizeof(mpos_word)));
    return &anchor;
}

static void expect_only(const mpi_share *anchor)
{
    census sum = walk(anchor->arena);

    cr_assert_eq(sum.things, 1, "%zu things", sum.things);
    cr_assert_eq(sum.records, 1, "%zu records", sum.records);
}

static size_t memory_of(const mpi_share *anchor)
{
    size_t size = 0;

    ok(mpos_memory_size(anchor->arena->memory, &size));
    return size;
}

/* Wine counts none. */
static void expect_handles(size_t count)
{
    size_t open = support_open_handles();

    cr_assert(open == count || open == 0, "%zu, not %zu", open, count);
}

/* -- Cost ------------------------------------------------------------------ */

static void shuffle(mp_lock **locks, size_t count)
{
    uint32_t state = 12345;

    for (size_t i = count; i > 1; i--) {
        size_t other;
        mp_lock *kept = locks[i - 1];

        state = state * 1664525 + 1013904223;
        other = (state >> 8) % i;
        locks[i - 1] = locks[other];
        locks[other] = kept;
    }
}

Test(share, ten_thousand_locks_are_one_descriptor_and_under_a_mebibyte)
{
    static mp_lock *locks[LOCKS];
    mpi_share *anchor = make_anchor();
    size_t handles, size;

    mpi_share_close(anchor);
    handles = support_open_handles();
    make_anchor();
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < LOCKS; i++)
            ok(mp_lock_create(&locks[i]));
        size = memory_of(anchor);
        expect_handles(handles + 1);
        cr_assert_lt(size, (size_t)MIB);
        cr_assert_eq(walk(anchor->arena).things, LOCKS + 1);
        if (round == 1)
            shuffle(locks, LOCKS);
        for (int i = 0; i < LOCKS; i++)
            ok(mp_lock_close(locks[i]));
        expect_only(anchor);
    }
    printf("%d locks: %zu bytes of shared memory\n", LOCKS, size);
    mpi_share_close(anchor);
    expect_handles(handles);
}

Test(share, cells_are_used_again)
{
    mpi_share *anchor = make_anchor();
    size_t size = memory_of(anchor);

    for (int i = 0; i < 20000; i++) {
        mpi_share one = {0};

        ok(create(&one, MPI_LOCK, 8));
        cr_assert_eq(*(uint64_t *)one.memory, 0U);
        *(uint64_t *)one.memory = UINT64_MAX;
        mpi_share_close(&one);
    }
    cr_assert_eq(memory_of(anchor), size);
    expect_only(anchor);
    mpi_share_close(anchor);
}

static bool holds_only(const void *memory, size_t size, unsigned char value)
{
    const unsigned char *bytes = memory;

    while (size > 0 && bytes[size - 1] == value)
        size--;
    return size == 0;
}

Test(share, things_of_any_size_do_not_overlap)
{
    enum { COUNT = 60 };
    mpi_share *anchor = make_anchor();
    mpi_share shares[COUNT] = {{.cell = 0}};

    for (int round = 0; round < 20; round++) {
        for (int i = round % 3; i < COUNT; i += 3) {
            size_t size = (size_t)(1 + i * i * 3);

            mpi_share_close(&shares[i]);
            ok(create(&shares[i], MPI_SEMAPHORE, size));
            cr_assert(holds_only(shares[i].memory, size, 0));
            memset(shares[i].memory, i + 1, size);
        }
        for (int i = 0; i < COUNT; i++)
            cr_assert(shares[i].arena == NULL ||
                      holds_only(shares[i].memory, (size_t)(1 + i * i * 3),
                                 (unsigned char)(i + 1)));
        walk(anchor->arena);
    }
    for (int i = 0; i < COUNT; i++)
        mpi_share_close(&shares[i]);
    expect_only(anchor);
    mpi_share_close(anchor);
}

Test(share, initial_bytes_are_there)
{
    static const char initial[100] = "how it begins";
    const mpi_share_plan plan = {.kind = MPI_EVENT,
                                 .initial = initial,
                                 .initial_size = sizeof(initial),
                                 .size = 200};
    mpi_share one = {0};

    ok(mpi_share_create(&one, &plan));
    cr_assert_arr_eq(one.memory, initial, sizeof(initial));
    cr_assert(holds_only((char *)one.memory + 100, 100, 0));
    mpi_share_close(&one);
    mpi_share_close(&one);
}

Test(share, what_is_too_large_is_refused)
{
    mpi_share one = {0};
    size_t before;

    cr_assert_eq(create(&one, MPI_EVENT, 2 * MIB), MP_EOVERFLOW);
    before = support_open_handles();
    cr_assert_eq(create(&one, MPI_EVENT, 900 << 10), MP_EOVERFLOW);
    cr_assert_null(one.arena);
    expect_handles(before);
}

/* Room for records is left: what fills an arena can still be passed on. */
Test(share, full_arena_is_followed_by_another)
{
    enum { COUNT = 15000 };
    static mpi_share shares[COUNT];
    mpi_transport transport = {0};
    mpi_share *anchor = make_anchor();
    mpi_arena *first = anchor->arena;
    size_t handles = support_open_handles();
    mp_obj *state;

    for (int i = 0; i < COUNT; i++)
        ok(create(&shares[i], MPI_LOCK, 8));
    cr_assert_eq(shares[0].arena, first);
    cr_assert_neq(shares[COUNT - 1].arena, first);
    expect_handles(handles + 1);
    for (int i = 0; i < COUNT / 3; i++) {
        ok(mpi_share_reduce(&shares[i], &transport, &state));
        mp_obj_unref(state);
    }
    cr_assert_eq(walk(first).on_way, COUNT / 3);
    mpi_transport_free(&transport);
    cr_assert_eq(walk(first).on_way, 0);
    /* It is used again as soon as there is room. */
    mpi_share_close(&shares[0]);
    ok(create(&shares[0], MPI_LOCK, 8));
    for (int i = 0; i < COUNT; i++)
        mpi_share_close(&shares[i]);
    expect_handles(handles);
    expect_only(anchor);
    mpi_share_close(anchor);
    expect_handles(handles - 1);
}

/* -- Users ----------------------------------------------------------------- */

METHOD_TEST(share, last_user_frees_it)
{
    mpi_share *anchor = make_anchor();
    any_lock any = make_any(false);
    served child = begin_serving(method, any);

    ok(ask(&child, 'l'));
    cr_assert_eq(walk(anchor->arena).records, 3);
    ok(close_any(any));
    cr_assert_eq(walk(anchor->arena).things, 2);
    ok(ask(&child, 't'));
    ok(ask(&child, 'r'));
    ok(ask(&child, 'c'));
    /* A forked child's arguments hold it until it ends. */
    if (method != MP_START_FORK)
        expect_only(anchor);
    end_serving(&child);
    bury_all(anchor->arena);
    expect_only(anchor);
    mpi_share_close(anchor);
}

METHOD_TEST(share, killed_users_hold_is_given_back_for_want_of_room)
{
    enum { COUNT = 3000 };
    static mpi_share shares[COUNT];
    mpi_share *anchor = make_anchor();
    any_lock any = make_any(false);
    served child = begin_serving(method, any);
    census sum;

    ok(ask(&child, 'a'));
    ok(close_any(any));
    kill_served(&child);
    bury_served(&child);
    cr_assert_eq(walk(anchor->arena).things, 2);
    for (int i = 0; i < COUNT; i++)
        ok(create(&shares[i], MPI_LOCK, 8));
    sum = walk(anchor->arena);
    if (mpos_system.memory_grows)
        cr_assert_eq(sum.things, COUNT + 1);
    for (int i = 0; i < COUNT; i++)
        mpi_share_close(&shares[i]);
    mpi_share_close(anchor);
}

Test(share, numbers_of_the_dead_are_given_out_again)
{
    mpi_share *anchor = make_anchor();
    mpi_arena *arena = anchor->arena;
    uint32_t self = mpi_share_self(&arena->lock);

    for (uint32_t i = 0; i < SHORT_LIVED; i++) {
        mpi_record_id id;

        mpi_atomic32_store(&arena->lock.self, 0);
        ok(mpi_arena_enter(arena, (uint64_t)(NO_PID + i) << 32 | 1));
        cr_assert_neq(mpi_share_self(&arena->lock), self);
        /* It dies while it uses something. */
        ok(mpi_arena_lock(arena));
        ok(mpi_arena_add_record(arena, anchor->cell, false, &id));
        mpi_arena_unlock(arena);
    }
    mpi_atomic32_store(&arena->lock.self, self);
    walk(arena);
    bury_all(arena);
    expect_only(anchor);
    mpi_share_close(anchor);
}

static int use_once(mp_args *args)
{
    mp_check(mp_lock_acquire(mp_arg_lock(args, 0), MP_FOREVER));
    mp_check(mp_lock_release(mp_arg_lock(args, 0)));
    return 0;
}

Test(share_fork, short_lived_processes_do_not_fill_the_table)
{
    mp_start_method method = support_method(MP_START_FORK);
    mpi_share *anchor = make_anchor();
    mp_lock *lock;
    uint32_t capacity = anchor->arena->header->process_capacity;

    /* As if this were the end of a long life. */
    mpi_atomic32_store(&anchor->arena->header->process_count,
                       capacity / 4 * 3 - 10);
    mpi_atomic32_store(&anchor->arena->header->last_process, capacity - 20);
    ok(mp_lock_create(&lock));
    for (size_t i = 0; i < support_scaled(300); i++)
        cr_assert_eq(support_run(method, use_once, MP_ARGS(lock)), 0);
    cr_assert_lt(mpi_atomic32_load(&anchor->arena->header->process_count),
                 400U);
    ok(mp_lock_close(lock));
    bury_all(anchor->arena);
    expect_only(anchor);
    mpi_share_close(anchor);
}

Test(share, full_table_is_an_error)
{
    mpi_share *anchor = make_anchor();
    mpi_arena *arena = anchor->arena;
    uint32_t self = mpi_share_self(&arena->lock);
    uint64_t own;

    ok(mpi_arena_identity(&own));
    for (uint32_t i = 0; i < arena->header->process_capacity; i++)
        mpi_atomic64_change(&arena->processes[i], 0, own);
    mpi_atomic32_store(&arena->lock.self, 0);
    cr_assert_eq(mpi_arena_enter(arena, own ^ 1), MP_EPROCLIM);
    cr_assert_str_not_empty(mp_error_message());
    mpi_atomic32_store(&arena->lock.self, self);
    mpi_share_close(anchor);
}

/* -- Death ----------------------------------------------------------------- */

/* This process's number, but another start: the pid was used again. */
Test(share, owner_whose_pid_was_used_again_is_dead)
{
    mpi_share *anchor = make_anchor();
    mpi_arena *arena = anchor->arena;
    mpos_word *word = anchor->memory;
    uint64_t own;
    uint32_t number = mpi_share_self(anchor) + 1;

    ok(mpi_arena_identity(&own));
    if ((uint32_t)own == 0)
        cr_skip_test("start times are not known here");
    cr_assert_eq(mpi_atomic64_load(&arena->processes[number - 1]), 0U);
    mpi_atomic64_store(&arena->processes[number - 1], own ^ 0x100);
    mpi_atomic32_store(&word->value, number);
    cr_assert_eq(mpi_word_lock(word, anchor, 2), MP_OWNER_DIED);
    cr_assert_eq(mpi_atomic64_load(&arena->processes[number - 1]), 0U);
    ok(mpi_word_unlock(word, anchor));
    ok(mpi_word_lock(word, anchor, 0));
    mpi_share_close(anchor);
}

/* The arena's own lock, and a table that was left in the midst of a change. */
Test(share, arena_is_counted_again_when_its_owner_has_died)
{
    mpi_share *anchor = make_anchor();
    mpi_share other = {0};
    mpi_arena *arena = anchor->arena;
    uint32_t dead = mpi_share_self(anchor) + 1;
    uint32_t cell = 0;

    ok(create(&other, MPI_SEMAPHORE, 500));
    ok(mpi_arena_lock(arena));
    ok(mpi_arena_take_cells(arena, MPI_EVENT, 300, &cell));
    mpi_arena_unlock(arena);
    arena->cells[anchor->cell].references = 77;
    arena->cells[other.cell].references = 0;
    arena->header->records = 0;
    arena->header->first_free = 9999;
    mpi_atomic64_store(&arena->processes[dead - 1], (uint64_t)NO_PID << 32 | 1);
    mpi_atomic32_store(&arena->header->lock.value, dead);
    cr_assert_eq(walk(arena).things, 2);
    cr_assert_not(
        mpi_arena_has(arena, cell, MPI_EVENT, arena->cells[cell].serial));
    mpi_share_close(&other);
    bury_all(arena);
    expect_only(anchor);
    mpi_share_close(anchor);
}

/* Creates, sends to itself and closes until it is killed. */
static int churn(mp_args *args)
{
    enum { COUNT = 12 };
    mpi_share shares[COUNT] = {{.cell = 0}};
    uint32_t state = (uint32_t)mp_arg_int(args, 1) * 2654435761u;
    mp_lock *lock = mp_arg_lock(args, 0);

    mp_check(mp_lock_acquire(lock, MP_FOREVER));
    mp_check(mp_lock_release(lock));
    for (;;) {
        mpi_share *it;
        mpi_transport transport = {0};
        mp_obj *obj;

        state = state * 1664525 + 1013904223;
        it = &shares[(state >> 8) % COUNT];
        if (it->arena == NULL) {
            mp_check(create(it, MPI_LOCK, 8 + (state >> 16) % 300));
            memset(it->memory, 0xff, 8);
            continue;
        }
        mp_check(mpi_share_reduce(it, &transport, &obj));
        mp_obj_unref(obj);
        mpi_transport_free(&transport);
        mpi_share_close(it);
    }
}

/* Without waiting until it is time to: a third of them die with the lock. */
static void look_at_holder(mpi_arena *arena)
{
    uint32_t owner = mpi_word_owner(&arena->header->lock);

    if (owner != MPI_NOBODY && owner != MPI_OWNER_DIED)
        cr_assert_not(mpi_share_look_at(&arena->lock, owner));
}

METHOD_TEST(share, arena_survives_deaths_at_any_moment)
{
    size_t kills = support_scaled(method == MP_START_SPAWN ? 50 : KILLS);
    mpi_share *anchor = make_anchor();
    mp_lock *lock;

    ok(mp_lock_create(&lock));
    for (size_t i = 0; i < kills; i++) {
        mp_process *child = support_start(method, churn, MP_ARGS(lock, i));

        if (method != MP_START_FORK)
            while (mpi_atomic32_load(&anchor->arena->header->process_count) ==
                   1)
                pause_for(0.0005);
        mpos_sleep_until(mpos_now() + 300000 +
                         (int64_t)(i * 7919 % 4000) * 500);
        ok(mp_process_kill(child));
        cr_assert_eq(support_finish(child), -9);
        look_at_holder(anchor->arena);
        walk(anchor->arena);
        if (i % 10 == 0)
            bury_all(anchor->arena);
    }
    ok(mp_lock_close(lock));
    bury_all(anchor->arena);
    expect_only(anchor);
    mpi_share_close(anchor);
}

/* One that was killed may have had either lock, or both. */
Test(share, both_locks_of_a_queue_are_given_back)
{
    mp_queue *queue;
    mpi_queue_thing *thing;
    mpi_arena *arena;
    uint32_t self, number;

    ok(mp_queue_create(&queue, 0, NULL));
    thing = queue->thing;
    arena = queue->sync.share.arena;
    self = mpi_share_self(&arena->lock);
    mpi_atomic32_store(&arena->lock.self, 0);
    ok(mpi_arena_enter(arena, (uint64_t)NO_PID << 32 | 1));
    number = mpi_share_self(&arena->lock);
    mpi_atomic32_store(&arena->lock.self, self);
    mpi_atomic32_store(&thing->put_lock.value, number);
    mpi_atomic32_store(&thing->get_lock.value, number);
    cr_assert_not(mpi_share_look_at(&queue->sync.share, number));
    cr_assert_eq(mpi_word_owner(&thing->put_lock), (uint32_t)MPI_OWNER_DIED);
    cr_assert_eq(mpi_word_owner(&thing->get_lock), (uint32_t)MPI_OWNER_DIED);
    ok(mp_queue_put_bytes(queue, "x", 1, 0));
    cr_assert_eq(mp_queue_qsize(queue), 1U);
    ok(mp_queue_close(queue));
}

/* Part by part, and again after it was given back. */
Test(share, data_is_reserved_in_any_order)
{
    enum { SIZE = 4096, LIMIT = 1 << 20 };
    const mpi_share_plan plan = {
        .storage = MPI_STORAGE_PRIVATE,
        .kind = MPI_QUEUE,
        .size = 8,
        .data_size = mpi_storage_grows(MPI_STORAGE_PRIVATE) ? SIZE : LIMIT,
        .data_limit = LIMIT,
    };
    mpi_share share = {0};
    unsigned char *data;
    void *address;

    ok(mpi_share_create(&share, &plan));
    ok(mpi_share_map_data(&share, LIMIT, &address));
    data = address;
    ok(mpi_share_reserve(&share, LIMIT / 2, LIMIT));
    cr_assert_eq(mpi_share_data_size(&share), (size_t)LIMIT);
    memset(data + LIMIT / 2, 'x', LIMIT / 2);
    ok(mpi_share_reserve(&share, SIZE, LIMIT / 4));
    memset(data, 'y', LIMIT / 4);
    cr_assert_eq(mpi_share_data_size(&share), (size_t)LIMIT);
    mpi_share_return(&share, LIMIT / 2, LIMIT / 4 * 3);
    ok(mpi_share_reserve(&share, LIMIT / 2, LIMIT));
    cr_assert(data[LIMIT / 2] == 'x' || data[LIMIT / 2] == 0);
    cr_assert_eq(data[LIMIT - 1], 'x');
    cr_assert_eq(data[LIMIT / 4 - 1], 'y');
    mpos_memory_unmap(address, LIMIT);
    mpi_share_close(&share);
}

/* -- Memory that is not ours ----------------------------------------------- */

static mp_error map_changed(size_t offset, const void *bytes, size_t size,
                            size_t keep)
{
    static unsigned char image[4 << 20];
    mpi_share *anchor = make_anchor();
    size_t whole = memory_of(anchor);
    mpi_arena *arena = NULL;
    mpos_handle memory;
    void *address;
    mp_error err;

    memcpy(image, anchor->arena->header, whole);
    memcpy(image + offset, bytes, size);
    mpi_share_close(anchor);
    whole = keep < whole ? keep : whole;
    ok(mpos_memory_create(whole, sizeof(image), &memory));
    ok(mpos_memory_map(memory, &(mpos_extent){.size = whole}, &address));
    memcpy(address, image, whole);
    mpos_memory_unmap(address, whole);
    err = mpi_arena_map(memory, false, &arena);
    if (err == MP_OK)
        mpi_arena_unmap(arena);
    else
        mpos_close(memory);
    return err;
}

#define CHANGED(field, value)                                             \
    map_changed(offsetof(mpi_arena_header, field), &(uint32_t){value}, 4, \
                SIZE_MAX)

Test(share, damaged_memory_is_refused)
{
    size_t before;
    char name[MP_NAME_MAX + 1];

    memset(name, 'x', sizeof(name));
    ok(map_changed(0, "", 0, SIZE_MAX));
    before = support_open_handles();
    cr_assert_eq(map_changed(0, "GARBAGE", 8, SIZE_MAX), MP_EPROTO);
    cr_assert_eq(CHANGED(version, 1), MP_EVERSION);
    cr_assert_eq(CHANGED(process_capacity, 0), MP_EPROTO);
    cr_assert_eq(CHANGED(process_capacity, 0xffff), MP_EPROTO);
    cr_assert_eq(CHANGED(process_capacity, UINT32_MAX), MP_EPROTO);
    cr_assert_eq(CHANGED(process_capacity, 0xfffe), MP_EPROTO);
    cr_assert_eq(CHANGED(cell_count, 0), MP_EPROTO);
    cr_assert_eq(CHANGED(cell_count, UINT32_MAX), MP_EPROTO);
    cr_assert_eq(CHANGED(cell_capacity, 0), MP_EPROTO);
    cr_assert_eq(CHANGED(cell_capacity, UINT32_MAX), MP_EPROTO);
    cr_assert_eq(map_changed(offsetof(mpi_arena_header, name), name,
                             sizeof(name), SIZE_MAX),
                 MP_EPROTO);
    for (size_t keep = 1; keep < 32768; keep += 4000)
        cr_assert_eq(map_changed(0, "", 0, keep), MP_EPROTO, "%zu", keep);
    expect_handles(before);
}

static mp_error rebuild(mp_obj *state, mpi_transport *transport)
{
    mpi_share share = {0};
    mp_error err = mpi_share_rebuild(&share, MPI_LOCK, state, transport);

    mp_obj_unref(state);
    cr_assert_eq(share.arena == NULL, err != MP_OK);
    mpi_share_close(&share);
    return err;
}

Test(share, states_of_nothing_are_refused)
{
    static const char token[16] = "no such token!!";
    mpi_transport none = {0};
    mpi_share *anchor = make_anchor();
    const void *known = anchor->arena->header->token;
    mp_obj *bytes = mp_obj_bytes(token, sizeof(token));
    mp_obj *own = mp_obj_bytes(known, sizeof(token));
    size_t uses = anchor->arena->uses;

    cr_assert_eq(rebuild(mp_obj_none(), &none), MP_EUNPICKLE);
    cr_assert_eq(rebuild(MP_TUPLE(0), &none), MP_EUNPICKLE);
    cr_assert_eq(rebuild(MP_TUPLE(0, "text", 1, 1), &none), MP_EUNPICKLE);
    cr_assert_eq(rebuild(MP_TUPLE(0, mp_obj_bytes("", 0), 1, 1), &none),
                 MP_EUNPICKLE);
    cr_assert_eq(rebuild(MP_TUPLE("0", mp_obj_ref(own), 1, 1), &none),
                 MP_EUNPICKLE);
    cr_assert_eq(rebuild(MP_TUPLE(0, mp_obj_ref(own), -1, 1), &none),
                 MP_EUNPICKLE);
    cr_assert_eq(rebuild(MP_TUPLE(0, mp_obj_ref(own), 1, INT64_MAX), &none),
                 MP_EUNPICKLE);
    cr_assert_eq(rebuild(MP_TUPLE(0, mp_obj_ref(bytes), 1, 1), &none),
                 MP_EUNPICKLE);
    cr_assert_eq(rebuild(MP_TUPLE(-7, mp_obj_ref(bytes), 1, 1), &none),
                 MP_EUNPICKLE);
    cr_assert_eq(rebuild(MP_TUPLE(MP_NONE, mp_obj_ref(bytes), 1, 1), &none),
                 MP_ENOTSUP);
    for (uint32_t i = 0; i < 40; i++)
        cr_assert_eq(rebuild(MP_TUPLE(0, mp_obj_ref(own), i * i * i, i), &none),
                     MP_EUNPICKLE);
    cr_assert_eq(
        rebuild(MP_TUPLE(0, mp_obj_ref(own), UINT32_MAX, UINT32_MAX), &none),
        MP_EUNPICKLE);
    /* Used, not on its way: another's hold can't be taken over. */
    cr_assert_eq(rebuild(MP_TUPLE(0, mp_obj_ref(own), anchor->record.number,
                                  anchor->record.serial),
                         &none),
                 MP_EUNPICKLE);
    cr_assert_eq(anchor->arena->uses, uses);
    expect_only(anchor);
    mp_obj_unref(bytes);
    mp_obj_unref(own);
    mpi_share_close(anchor);
}

/* -- Parcels --------------------------------------------------------------- */

Test(share, what_travels_arrives_once)
{
    mpi_share *anchor = make_anchor();
    mpi_share other = {0};
    mpi_transport transport = {0};
    mp_obj *state;

    ok(mpi_share_reduce(anchor, &transport, &state));
    cr_assert_eq(walk(anchor->arena).on_way, 1);
    /* Another kind, which gives it back. */
    cr_assert_eq(mpi_share_rebuild(&other, MPI_EVENT, state, &transport),
                 MP_EUNPICKLE);
    mp_obj_unref(state);
    expect_only(anchor);
    mpi_transport_free(&transport);
    ok(mpi_share_reduce(anchor, &transport, &state));
    ok(mpi_share_rebuild(&other, MPI_LOCK, state, &transport));
    cr_assert_eq(other.memory, anchor->memory);
    cr_assert_eq(rebuild(mp_obj_ref(state), &transport), MP_EUNPICKLE);
    cr_assert_eq(walk(anchor->arena).records, 2);
    mpi_transport_free(&transport);
    mp_obj_unref(state);
    cr_assert_eq(walk(anchor->arena).records, 2);
    mpi_share_close(&other);
    expect_only(anchor);
    mpi_share_close(anchor);
}

Test(share, cancelled_parcel_gives_everything_back)
{
    mpi_share *anchor = make_anchor();
    mpi_transport transport = {0};
    size_t uses = anchor->arena->uses;

    for (int i = 0; i < 20; i++) {
        mp_obj *state;

        ok(mpi_share_reduce(anchor, &transport, &state));
        mp_obj_unref(state);
    }
    cr_assert_eq(walk(anchor->arena).on_way, 20);
    mpi_parcel_cancel(&transport.parcel);
    expect_only(anchor);
    cr_assert_eq(anchor->arena->uses, uses);
    mpi_transport_free(&transport);
    mpi_share_close(anchor);
}

static int never_runs(mp_args *args)
{
    (void)args;
    return 0;
}

/* Killed at once, or a little later: perhaps it has taken them. */
METHOD_TEST(share, child_that_dies_early_leaves_nothing)
{
    mpi_share *anchor = make_anchor();
    mp_lock *lock;

    ok(mp_lock_create(&lock));
    for (size_t i = 0; i < support_scaled(60); i++) {
        mp_process *child =
            support_start(method, never_runs, MP_ARGS(lock, lock, lock));

        mpos_sleep_until(mpos_now() + (int64_t)i * 50000);
        ok(mp_process_kill(child));
        support_finish(child);
        cr_assert_eq(walk(anchor->arena).on_way, 0);
    }
    bury_all(anchor->arena);
    cr_assert_eq(walk(anchor->arena).records, 2);
    ok(mp_lock_close(lock));
    expect_only(anchor);
    mpi_share_close(anchor);
}
