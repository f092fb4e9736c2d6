/* SPDX-License-Identifier: MIT */
/* The board: how it is made, and travels; sleeping; units of the dead. */
#include "board_layout.h"

#include "internal.h"

#include <stdlib.h>

static const uint64_t default_size = UINT64_C(2) << 30;
/* Where addresses are short, or all of it is reserved at once. */
static const uint64_t default_size_narrow = UINT64_C(128) << 20;

enum {
    /* As queue_wait.c's: a few microseconds, which is what sleeping and being
     * woken takes. */
    MOST_SPINS = 600,
    FEWEST_SPINS = 4,
    PAUSE = 32,
};

/* -- Places ---------------------------------------------------------------- */

static size_t round_up(size_t size)
{
    return (size + MPOS_MAP_UNIT - 1) / MPOS_MAP_UNIT * MPOS_MAP_UNIT;
}

static size_t seats_offset(void)
{
    return sizeof(mpi_board_data);
}

static size_t slots_offset(uint32_t seats)
{
    size_t end = seats_offset() + seats * sizeof(mpi_seat);

    return (end + MPI_SLOT_SIZE - 1) / MPI_SLOT_SIZE * MPI_SLOT_SIZE;
}

/* Of everything, in the data. */
typedef struct sizes {
    size_t first;   /* the end of the first slots */
    size_t results; /* where their units begin */
    size_t tasks;   /* and these */
    size_t full;    /* when all is in use */
    uint32_t max_units;
} sizes;

static mp_error measure(uint32_t seats, uint32_t slots, size_t max_bytes,
                        sizes *out)
{
    size_t begin = slots_offset(seats);
    size_t initial_size = 0, units_size = 0;
    mp_error err = mpi_units_plan(max_bytes / 2, &initial_size, &units_size,
                                  &out->max_units);

    if (err == MP_OK && units_size > (size_t)PTRDIFF_MAX / 4)
        err = MP_EOVERFLOW;
    if (err != MP_OK)
        return mpi_fail(MP_EOVERFLOW, "%zu bytes are more than a pool can have",
                        max_bytes);
    out->first = begin + (size_t)MPI_FIRST_SLOTS * MPI_SLOT_SIZE;
    out->results = round_up(begin + (size_t)slots * MPI_SLOT_SIZE);
    out->tasks = out->results + round_up(units_size);
    out->full = out->tasks + units_size;
    return MP_OK;
}

/* -- What is there --------------------------------------------------------- */

static mp_error fail_damaged(void)
{
    return mpi_fail(MP_EPROTO, "the pool's board is damaged");
}

static mp_error open_units(mpi_board *board, const sizes *where)
{
    mpi_share *share = &board->sync.share;
    uint32_t max_units = where->max_units;
    mp_error err = mpi_units_open_in(&board->results, share, max_units,
                                     where->results, board->data);

    if (err == MP_OK)
        err = mpi_units_open_in(&board->tasks, share, max_units, where->tasks,
                                board->data);
    return err;
}

/* So that it can be used; once for each object. */
static mp_error map(mpi_board *board, size_t max_bytes)
{
    mpi_share *share = &board->sync.share;
    mpi_board_thing *thing = share->memory;
    unsigned char *start;
    void *mapped = NULL;
    sizes where;
    mp_error err;

    err = measure(thing->seats, thing->slots, max_bytes, &where);
    if (err == MP_OK)
        err = mpi_share_map_data(share, where.full, &mapped);
    if (err != MP_OK)
        return err;
    start = mapped;
    board->thing = thing;
    board->data = mapped;
    board->mapped_size = where.full;
    board->seat_count = thing->seats;
    board->slot_count = thing->slots;
    board->seats = (mpi_seat *)(void *)(start + seats_offset());
    board->slots =
        (mpi_board_place *)(void *)(start + slots_offset(thing->seats));
    return open_units(board, &where);
}

static bool release(mpi_sync *sync)
{
    mpi_board *board = (mpi_board *)sync;

    mpi_units_close(&board->tasks);
    mpi_units_close(&board->results);
    mpos_memory_unmap(board->data, board->mapped_size);
    free(board->free_slots);
    free(board->done_links);
    board->data = NULL;
    board->free_slots = NULL;
    board->done_links = NULL;
    return true;
}

/* -- Travelling ------------------------------------------------------------ */

static mp_error rebuild(const mpi_resource_type *type, const mp_obj *state,
                        mpi_transport *transport, void **self)
{
    mpi_sync *sync;
    const mpi_board_thing *thing;
    mp_error err = mpi_sync_rebuild((const mpi_sync_type *)(const void *)type,
                                    state, transport, &sync);

    if (err != MP_OK)
        return err;
    thing = sync->share.memory;
    if (mpi_share_size(&sync->share) < sizeof(*thing) ||
        thing->seats > MPI_BOARD_SEATS_MAX ||
        thing->slots != MPI_BOARD_SLOTS + thing->seats)
        err = fail_damaged();
    else
        err = map((mpi_board *)sync,
                  2 * (size_t)thing->max_units * MPI_UNIT_SIZE);
    if (err != MP_OK) {
        mpi_sync_unref(&mpi_board_kind, sync);
        return err;
    }
    *self = sync;
    return MP_OK;
}

const mpi_sync_type mpi_board_kind = {
    .resource = MPI_SYNC_RESOURCE("PoolBoard", mpi_sync_reduce_any, rebuild),
    .kind = MPI_POOL_BOARD,
    .size = sizeof(mpi_board),
    .release = release,
};

mp_obj *mpi_board_box(mpi_board *board)
{
    return mpi_sync_box(&mpi_board_kind, board);
}

mp_error mpi_board_of(const mp_obj *obj, mpi_board **out)
{
    mpi_sync *sync;
    mp_error err = mpi_sync_unbox(&mpi_board_kind, obj, &sync);

    if (err == MP_OK)
        err = mpi_sync_check(&mpi_board_kind, sync);
    if (err == MP_OK)
        *out = (mpi_board *)sync;
    return err;
}

/* -- Making ---------------------------------------------------------------- */

/* The lowest one is given out first. */
void mpi_board_add_slots(mpi_board *board, uint32_t count)
{
    mpi_atomic32 *reserved = &board->thing->reserved;
    uint32_t before = mpi_atomic32_load(reserved);

    for (uint32_t slot = count; slot > before; slot--)
        board->free_slots[board->free_count++] = slot - 1;
    mpi_atomic32_store(reserved, count);
}

static mp_error begin_front(mpi_board *board)
{
    uint32_t count = board->slot_count;

    board->free_slots = mpi_malloc(count * sizeof(*board->free_slots));
    board->done_links = mpi_calloc(count, sizeof(*board->done_links));
    if (board->free_slots == NULL || board->done_links == NULL)
        return mpi_no_memory();
    mpi_board_add_slots(board, MPI_FIRST_SLOTS);
    board->tail = 1;
    mpi_atomic64_store(&board->data->head, 1);
    return MP_OK;
}

static mp_error make(uint32_t seats, size_t max_bytes, mpi_sync **sync)
{
    bool grows = mpi_storage_grows(MPI_STORAGE_PRIVATE);
    mpi_board_thing thing = {
        .seats = seats,
        .slots = MPI_BOARD_SLOTS + seats,
    };
    mpi_share_plan plan = {
        .storage = MPI_STORAGE_PRIVATE,
        .kind = MPI_POOL_BOARD,
        .initial = &thing,
        .initial_size = sizeof(thing),
        .size = sizeof(thing),
    };
    sizes where;
    mp_error err = measure(seats, thing.slots, max_bytes, &where);

    if (err != MP_OK)
        return err;
    thing.max_units = where.max_units;
    plan.data_size = grows ? where.first : where.full;
    plan.data_limit = where.full;
    err = mpi_sync_make(&mpi_board_kind, &plan, sync);
    if (err != MP_OK)
        return err;
    err = mpi_units_reserve_first(&(*sync)->share, where.results);
    if (err == MP_OK)
        err = mpi_units_reserve_first(&(*sync)->share, where.tasks);
    if (err != MP_OK)
        mpi_sync_unref(&mpi_board_kind, *sync);
    return err;
}

static size_t choose_size(size_t max_bytes)
{
    const size_t least = (size_t)4 * MPI_UNIT_SIZE;

    if (max_bytes != 0)
        return max_bytes < least ? least : max_bytes;
    return sizeof(void *) > 4 && mpi_storage_grows(MPI_STORAGE_PRIVATE)
               ? (size_t)default_size
               : (size_t)default_size_narrow;
}

mp_error mpi_board_create(mpi_board **out, uint32_t seats, size_t max_bytes)
{
    size_t size = choose_size(max_bytes);
    mpi_sync *sync = NULL;
    mp_error err;

    if (seats == 0 || seats > MPI_BOARD_SEATS_MAX)
        return mpi_fail(MP_EOVERFLOW, "a pool has 1 to %d workers, not %u",
                        (int)MPI_BOARD_SEATS_MAX, (unsigned)seats);
    err = make(seats, size, &sync);
    if (err != MP_OK)
        return err;
    err = map((mpi_board *)sync, size);
    if (err == MP_OK)
        err = begin_front((mpi_board *)sync);
    if (err != MP_OK) {
        mpi_sync_unref(&mpi_board_kind, sync);
        return err;
    }
    *out = (mpi_board *)sync;
    return MP_OK;
}

void mpi_board_unref(mpi_board *board)
{
    if (board != NULL)
        mpi_sync_unref(&mpi_board_kind, &board->sync);
}

/* -- Sleeping -------------------------------------------------------------- */

/*
 * Without a look now and then, where that is possible: who is idle costs
 * nothing. A wake-up that is lost with a worker that was killed is made up for
 * by mpi_board_bury(), unless the system can lose that as well.
 */
static int64_t next_look(int64_t deadline)
{
    int64_t look = MPOS_FOREVER;

    if (mpos_system.loses_wakes)
        look = mpos_now() + MPI_LOOK_INTERVAL;
    return look < deadline ? look : deadline;
}

static bool has_passed(int64_t deadline)
{
    return deadline != MPOS_FOREVER && mpos_now() >= deadline;
}

mp_error mpi_board_sleep_on(mpi_board *board, mpos_word *word, uint32_t seen,
                            int64_t deadline)
{
    mpi_share *share = &board->sync.share;
    mp_error err = mpi_share_queue(share);

    if (err != MP_OK)
        return err;
    while (mpi_atomic32_load(&word->value) == seen)
        if (!mpos_word_wait(word, mpi_share_queue_of(share), seen,
                            next_look(deadline)) &&
            has_passed(deadline) && mpi_atomic32_load(&word->value) == seen)
            return MP_TIMED_OUT;
    return MP_OK;
}

void mpi_board_wake_all(mpi_board *board, mpos_word *word)
{
    (void)mpi_word_expect(word);
    mpi_word_alert(word, &board->sync.share, INT32_MAX);
}

/* One more than how often; 0: not known yet. */
static uint32_t spins_of(mpi_board *board)
{
    uint32_t spins = mpi_atomic32_load(&board->spins);

    if (spins == 0) {
        spins = 1 + (mpos_cpu_count() > 1 ? MOST_SPINS : 0);
        mpi_atomic32_store(&board->spins, spins);
    }
    return spins - 1;
}

bool mpi_board_look_out(mpi_board *board,
                        bool (*has_come)(const mpi_board *board))
{
    uint32_t limit = spins_of(board);
    bool is_there = has_come(board);

    if (limit == 0 || is_there)
        return is_there;
    for (uint32_t n = 0; n < limit && !is_there; n += PAUSE) {
        for (uint32_t i = 0; i < PAUSE; i++)
            mpi_pause();
        is_there = has_come(board);
    }
    if (is_there)
        limit += (MOST_SPINS - limit + 1) / 2;
    else if (limit > FEWEST_SPINS)
        limit -= (limit - FEWEST_SPINS + 7) / 8;
    mpi_atomic32_store(&board->spins, 1 + limit);
    return is_there;
}

/* -- Units of results ------------------------------------------------------ */

/*
 * Who has the lock writes down in its slot what it has allocated before it lets
 * go: what is in no slot then is nobody's. The front frees without the lock,
 * first the units and then what the slot says: a span that is another's already
 * may be in two slots for a moment, but none that is somebody's is in none.
 */
static void sweep(mpi_board *board)
{
    uint32_t count = mpi_atomic32_load(&board->thing->reserved);

    if (mpi_units_sweep_begin(&board->results) != MP_OK)
        return;
    for (uint32_t i = 0; i < count; i++) {
        mpi_span span = mpi_atomic32_load(&board->slots[i].result_span);

        if (span != 0)
            (void)mpi_units_sweep_mark(&board->results, span);
    }
    mpi_units_sweep_end(&board->results);
    mpi_atomic32_store(&board->thing->must_sweep, 0);
}

mp_error mpi_board_lock_results(mpi_board *board, double timeout)
{
    mpi_board_thing *thing = board->thing;
    mp_error err =
        mpi_word_lock(&thing->results_lock, &board->sync.share, timeout);

    if (err == MP_OWNER_DIED)
        mpi_atomic32_store(&thing->must_sweep, 1);
    else if (err != MP_OK)
        return err;
    if (mpi_atomic32_load(&thing->must_sweep) != 0)
        sweep(board);
    return MP_OK;
}

void mpi_board_unlock_results(mpi_board *board)
{
    (void)mpi_word_unlock(&board->thing->results_lock, &board->sync.share);
}

void mpi_board_tidy_results(mpi_board *board)
{
    if (mpi_board_lock_results(board, 0) != MP_OK)
        return;
    if (mpi_units_is_trimmable(&board->results))
        mpi_units_trim(&board->results);
    mpi_board_unlock_results(board);
}
