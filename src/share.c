/* SPDX-License-Identifier: MIT */
/*
 * This process's hold on things in shared memory: which arenas it has mapped,
 * which things it uses there, and how those travel.
 *
 * mpi_shares_mutex guards both lists. An arena's own lock is taken inside it.
 */
#include "share.h"

#include "arena.h"
#include "internal.h"
#include "sync.h"

#include <stdlib.h>
#include <string.h>

struct mpi_parcel_item {
    mpi_share *share; /* for a forked child, which has it in its memory */
    mpi_arena *arena;
    mpi_record_id record;
};

/* The fields of the state that travels. */
enum { STATE_MEMORY, STATE_TOKEN, STATE_RECORD, STATE_SERIAL, STATE_SIZE };

enum { LOOK_SERVES = 40000000 }; /* nanoseconds */

/* In the table: no process has such a number. */
static const uint64_t nobody_alive = UINT64_MAX;

mpi_atomic32 mpi_share_forks;
mpos_mutex mpi_shares_mutex = MPOS_MUTEX_INIT;

static mpi_arena *arenas;
static mpi_share *shares;

const char *mpi_share_kind_name(mpi_kind kind)
{
    switch (kind) {
    case MPI_LOCK:
        return "Lock";
    case MPI_RLOCK:
        return "RLock";
    case MPI_SEMAPHORE:
        return "Semaphore";
    case MPI_EVENT:
        return "Event";
    case MPI_CONDITION:
        return "Condition";
    case MPI_BARRIER:
        return "Barrier";
    case MPI_VALUE:
        return "Value";
    case MPI_ARRAY:
        return "Array";
    case MPI_SHARED_MEMORY:
        return "SharedMemory";
    case MPI_SHAREABLE_LIST:
        return "ShareableList";
    case MPI_SHARED_DICT:
        return "shared dict";
    case MPI_SHARED_LIST:
        return "shared list";
    case MPI_CONNECTION_PAIR:
        return "pipe";
    case MPI_QUEUE:
        return "Queue";
    case MPI_POOL_BOARD:
        return "PoolBoard";
    default:
        return NULL;
    }
}

bool mpi_storage_grows(mpi_storage storage)
{
    return storage >= MPI_STORAGE_NAMED ? mpos_system.named_grows
                                        : mpos_system.memory_grows;
}

/* -- Lists: with mpi_shares_mutex held ------------------------------------- */

static void add_share(mpi_share *share)
{
    share->next = shares;
    share->link = &shares;
    if (shares != NULL)
        shares->link = &share->next;
    shares = share;
}

static void remove_share(mpi_share *share)
{
    *share->link = share->next;
    if (share->next != NULL)
        share->next->link = share->link;
    share->link = NULL;
}

static void add_arena(mpi_arena *arena)
{
    arena->next = arenas;
    arenas = arena;
}

/* Unmaps it with the last use. */
static void drop_arena(mpi_arena *arena)
{
    mpi_arena **link = &arenas;

    if (--arena->uses > 0)
        return;
    while (*link != arena)
        link = &(*link)->next;
    *link = arena->next;
    mpi_arena_unmap(arena);
}

/* Once in each process that has it: at_fork() follows a fork by anybody. */
static mp_error watch_forks(void)
{
    static bool is_watching;
    mp_error err = MP_OK;

    if (!is_watching)
        err = mpos_at_fork(mpi_shares_after_fork);
    is_watching = is_watching || err == MP_OK;
    return err;
}

/* -- Using: with mpi_shares_mutex held ------------------------------------- */

static mp_error enter_and_lock(mpi_arena *arena, uint64_t identity)
{
    mp_error err = mpi_arena_enter(arena, identity);

    return err == MP_OK ? mpi_arena_lock(arena) : err;
}

/* The share is in the list from now on; self is what makes it usable. */
static void begin_use(mpi_share *share, mpi_arena *arena, uint32_t cell,
                      mpi_record_id record)
{
    share->arena = arena;
    share->cell = cell;
    share->record = record;
    share->serial = arena->cells[cell].serial;
    share->memory = arena->cells[cell].room;
    share->kind = mpi_atomic32_load(&arena->cells[cell].kind);
    add_share(share);
    mpi_atomic32_store(&share->self, mpi_share_self(&arena->lock));
}

static mp_error take_in(mpi_arena *arena, const mpi_share_plan *plan,
                        uint32_t *cell, mpi_record_id *record)
{
    mp_error err = mpi_arena_take_cells(arena, plan->kind, plan->size, cell);

    if (err != MP_OK)
        return err;
    return mpi_arena_add_record(arena, *cell, false, record);
}

static mp_error create_in(mpi_arena *arena, uint64_t identity,
                          const mpi_share_plan *plan, mpi_share *share)
{
    mpi_record_id record;
    uint32_t cell;
    mp_error err = enter_and_lock(arena, identity);

    if (err != MP_OK)
        return err;
    err = take_in(arena, plan, &cell, &record);
    mpi_arena_unlock(arena);
    /* Something small may still fit where something large does not. */
    if (err == MP_EOVERFLOW && plan->size <= MPI_CELL_ROOM)
        arena->is_full = true;
    if (err == MP_OK)
        begin_use(share, arena, cell, record);
    return err;
}

/* In one that is there: also in one that came from another process, which has
 * it mapped, so that what is made here can be sent there without a handle. */
static mp_error create_in_any(uint64_t identity, const mpi_share_plan *plan,
                              mpi_share *share)
{
    for (mpi_arena *it = arenas; it != NULL; it = it->next) {
        mp_error err;

        if (it->storage != MPI_STORAGE_COMMON || it->is_full)
            continue;
        err = create_in(it, identity, plan, share);
        if (err == MP_OK)
            it->uses++;
        if (err != MP_EOVERFLOW && err != MP_EPROCLIM)
            return err;
    }
    return MP_ENOTFOUND;
}

static mp_error create_in_new(uint64_t identity, const mpi_share_plan *plan,
                              mpi_share *share)
{
    mpi_arena *arena;
    mp_error err = watch_forks();

    if (err == MP_OK)
        err = mpi_arena_create(&arena);
    if (err != MP_OK)
        return err;
    err = create_in(arena, identity, plan, share);
    if (err != MP_OK) {
        mpi_arena_unmap(arena);
        return err;
    }
    add_arena(arena);
    return MP_OK;
}

static mp_error create_common(mpi_share *share, uint64_t identity,
                              const mpi_share_plan *plan)
{
    mp_error err = create_in_any(identity, plan, share);

    if (err == MP_ENOTFOUND)
        err = create_in_new(identity, plan, share);
    /* Nobody else knows of it yet. */
    if (err == MP_OK && plan->initial_size > 0)
        memcpy(share->memory, plan->initial, plan->initial_size);
    return err;
}

static mp_error use_cell(mpi_arena *arena, uint64_t identity, uint32_t cell,
                         mpi_share *share)
{
    mpi_record_id record;
    mp_error err = enter_and_lock(arena, identity);

    if (err != MP_OK)
        return err;
    err = mpi_arena_add_record(arena, cell, false, &record);
    mpi_arena_unlock(arena);
    if (err == MP_OK)
        begin_use(share, arena, cell, record);
    return err;
}

static mp_error create_private(mpi_share *share, uint64_t identity,
                               const mpi_share_plan *plan)
{
    mpi_arena *arena;
    mp_error err = watch_forks();

    if (err == MP_OK)
        err = mpi_arena_create_single(plan, &arena);
    if (err != MP_OK)
        return err;
    err = use_cell(arena, identity, 1, share);
    if (err != MP_OK) {
        mpi_arena_unmap(arena);
        return err;
    }
    add_arena(arena);
    return MP_OK;
}

mp_error mpi_share_create(mpi_share *share, const mpi_share_plan *plan)
{
    uint64_t identity;
    mp_error err = mpi_arena_identity(&identity);

    if (err != MP_OK)
        return err;
    mpos_mutex_lock(&mpi_shares_mutex);
    err = plan->storage == MPI_STORAGE_COMMON
              ? create_common(share, identity, plan)
              : create_private(share, identity, plan);
    mpos_mutex_unlock(&mpi_shares_mutex);
    return err;
}

static mp_error attach(mpi_share *share, uint64_t identity)
{
    mpi_arena *arena = share->arena;
    mp_error err = enter_and_lock(arena, identity);

    if (err != MP_OK)
        return err;
    if (!mpi_arena_has(arena, share->cell, share->kind, share->serial))
        err = mpi_fail(MP_ECLOSED, "everybody else has closed it");
    if (err == MP_OK)
        err = mpi_arena_add_record(arena, share->cell, false, &share->record);
    mpi_arena_unlock(arena);
    if (err == MP_OK)
        mpi_atomic32_store(&share->self, mpi_share_self(&arena->lock));
    return err;
}

mp_error mpi_share_attach(mpi_share *share)
{
    uint64_t identity;
    mp_error err;

    if (mpi_share_self(share) != 0)
        return MP_OK;
    err = mpi_arena_identity(&identity);
    if (err != MP_OK)
        return err;
    mpos_mutex_lock(&mpi_shares_mutex);
    if (mpi_share_self(share) == 0)
        err = attach(share, identity);
    mpos_mutex_unlock(&mpi_shares_mutex);
    return err;
}

mp_error mpi_share_queue(mpi_share *share)
{
    char key[MPI_QUEUE_KEY_SIZE];
    mpos_handle queue;
    mp_error err;

    if (mpi_atomic64_load(&share->queue) != 0)
        return MP_OK;
    mpi_arena_queue_key(share->arena, share->cell, key);
    err = mpos_word_queue(key, &queue);
    if (err != MP_OK)
        return err;
    /* Of two threads that come at once, one keeps its own. */
    if (!mpi_atomic64_change(&share->queue, 0, (uint64_t)(queue + 2)))
        mpos_close(queue);
    return MP_OK;
}

void mpi_share_close_queue(mpi_share *share)
{
    if (mpi_atomic64_load(&share->queue) != 0)
        mpos_close(mpi_share_queue_of(share));
    mpi_atomic64_store(&share->queue, 0);
}

/* This process's own hold; what others have stays. */
static void end_use(mpi_share *share)
{
    mpi_arena *arena = share->arena;

    /* If the lock can't be had, it is given back when this process ends. */
    if (mpi_share_self(share) != 0 && mpi_arena_lock(arena) == MP_OK) {
        mpi_arena_drop_record(arena, share->record);
        mpi_arena_unlock(arena);
        arena->is_full = false;
    }
    remove_share(share);
    drop_arena(arena);
}

void mpi_share_close(mpi_share *share)
{
    if (share->arena == NULL)
        return;
    mpi_share_close_queue(share);
    mpos_mutex_lock(&mpi_shares_mutex);
    end_use(share);
    mpos_mutex_unlock(&mpi_shares_mutex);
    *share = (mpi_share){0};
}

/* -- Arenas that come from elsewhere --------------------------------------- */

static mpi_arena *find_arena(const void *token, bool is_read_only)
{
    mpi_arena *it = arenas;

    while (it != NULL && (it->is_read_only != is_read_only ||
                          memcmp(it->token, token, sizeof(it->token)) != 0))
        it = it->next;
    return it;
}

/* With mpi_shares_mutex held; one more use. Takes memory over, but not on
 * failure. */
static mp_error map_arena(mpos_handle memory, bool is_read_only,
                          mpi_arena **out)
{
    mpi_arena *arena;
    mpi_arena *known;
    mp_error err = watch_forks();

    if (err == MP_OK)
        err = mpi_arena_map(memory, is_read_only, &arena);
    if (err != MP_OK)
        return err;
    known = find_arena(arena->token, is_read_only);
    if (known != NULL) {
        known->uses++;
        mpi_arena_unmap(arena);
        arena = known;
    } else {
        add_arena(arena);
    }
    *out = arena;
    return MP_OK;
}

/* -- Arenas of one thing --------------------------------------------------- */

/* What to call it in a sentence. */
static const char *title(const mpi_arena *arena)
{
    return arena->header->name[0] != '\0' ? arena->header->name : "the file";
}

static mp_error check_kind(const mpi_arena *arena, mpi_kind kind)
{
    uint32_t found = mpi_atomic32_load(&arena->cells[1].kind);
    const char *name = mpi_share_kind_name((mpi_kind)found);

    if (arena->storage < MPI_STORAGE_NAMED || name == NULL ||
        arena->header->kept_end < 2)
        return mpi_fail(MP_EPROTO, "it is damaged");
    if (found != (uint32_t)kind)
        return mpi_fail(MP_ETYPE, "'%s' is of kind %s, not %s", title(arena),
                        name, mpi_share_kind_name(kind));
    return MP_OK;
}

/* It is in the list, and has its memory; but nothing can be attached. */
static void begin_reading(mpi_share *share, mpi_arena *arena)
{
    begin_use(share, arena, 1, (mpi_record_id){0});
}

/* With mpi_shares_mutex held. */
static mp_error use_opened(mpi_arena *arena, uint64_t identity, mpi_kind kind,
                           mpi_share *share)
{
    mp_error err = check_kind(arena, kind);

    if (err == MP_OK && arena->is_read_only)
        begin_reading(share, arena);
    else if (err == MP_OK)
        err = use_cell(arena, identity, 1, share);
    return err;
}

/* -- Travelling ------------------------------------------------------------ */

static bool has_room_for_one(mpi_parcel *parcel)
{
    size_t capacity = parcel->capacity == 0 ? 4 : parcel->capacity * 2;
    struct mpi_parcel_item *items;

    if (parcel->count < parcel->capacity)
        return true;
    items = mpi_realloc(parcel->items, capacity * sizeof(*items));
    if (items == NULL)
        return false;
    parcel->items = items;
    parcel->capacity = capacity;
    return true;
}

static mp_error put_on_way(mpi_share *share, mpi_parcel *parcel,
                           mpi_record_id *record)
{
    mpi_arena *arena = share->arena;
    mp_error err;

    if (!has_room_for_one(parcel))
        return mpi_no_memory();
    mpos_mutex_lock(&mpi_shares_mutex);
    err = mpi_arena_lock(arena);
    if (err == MP_OK) {
        err = mpi_arena_add_record(arena, share->cell, true, record);
        mpi_arena_unlock(arena);
    }
    if (err == MP_OK) {
        arena->uses++;
        parcel->items[parcel->count++] = (struct mpi_parcel_item){
            .share = share,
            .arena = arena,
            .record = *record,
        };
    }
    mpos_mutex_unlock(&mpi_shares_mutex);
    return err;
}

/* None if the way carries bytes only: the receiver may have it mapped. */
static mp_error add_memory(const mpi_arena *arena, mpi_transport *transport,
                           mp_obj **out)
{
    size_t index;
    mp_error err;

    if (transport->has_no_handles) {
        *out = mp_obj_none();
        return MP_OK;
    }
    err = mpi_transport_add(transport, arena->memory, &index);
    if (err == MP_OK)
        *out = mp_obj_int((int64_t)index);
    return err;
}

mp_error mpi_share_reduce(mpi_share *share, mpi_transport *transport,
                          mp_obj **state)
{
    mp_obj *items[STATE_SIZE];
    mpi_record_id record = {0};
    bool is_read_only = mpi_share_is_read_only(share);
    mp_error err = is_read_only ? MP_OK : mpi_share_attach(share);

    if (err == MP_OK)
        err = add_memory(share->arena, transport, &items[STATE_MEMORY]);
    if (err != MP_OK)
        return err;
    /* Who only reads has no record, on its way neither. */
    if (!is_read_only)
        err = put_on_way(share, &transport->parcel, &record);
    if (err != MP_OK) {
        mp_obj_unref(items[STATE_MEMORY]);
        return err;
    }
    items[STATE_TOKEN] =
        mp_obj_bytes(share->arena->token, sizeof(share->arena->token));
    items[STATE_RECORD] = mp_obj_int(record.number);
    items[STATE_SERIAL] = mp_obj_int(record.serial);
    *state = mp_obj_tuple(items, STATE_SIZE);
    return mp_obj_error(*state);
}

typedef struct state {
    bool has_memory;
    int64_t memory;
    const void *token;
    mpi_record_id record;
    bool is_read_only; /* and has no record */
} state;

static bool get_number(const mp_obj *tuple, int64_t index, uint32_t *out)
{
    const mp_obj *item;
    int64_t value;

    if (mp_obj_item(tuple, index, &item) != MP_OK ||
        mp_obj_as_int(item, &value) != MP_OK || value < 0 || value > UINT32_MAX)
        return false;
    *out = (uint32_t)value;
    return true;
}

static mp_error read_state(const mp_obj *obj, state *out)
{
    const mp_obj *memory, *token;
    size_t token_size = 0;

    if (mp_obj_type(obj) != MP_TYPE_TUPLE ||
        mp_obj_item(obj, STATE_MEMORY, &memory) != MP_OK ||
        mp_obj_item(obj, STATE_TOKEN, &token) != MP_OK ||
        mp_obj_as_bytes(token, &out->token, &token_size) != MP_OK ||
        token_size != MPI_TOKEN_WORDS * sizeof(uint64_t) ||
        !get_number(obj, STATE_RECORD, &out->record.number) ||
        !get_number(obj, STATE_SERIAL, &out->record.serial))
        return mpi_fail(MP_EUNPICKLE, "this is nothing in shared memory");
    out->is_read_only = out->record.number == 0;
    out->has_memory = !mp_obj_is_none(memory);
    if (out->has_memory && mp_obj_as_int(memory, &out->memory) != MP_OK)
        return mpi_fail(MP_EUNPICKLE, "this is nothing in shared memory");
    return MP_OK;
}

/* One more use of it. */
static mp_error get_arena(const state *from, mpi_transport *transport,
                          mpi_arena **out)
{
    mpos_handle memory;
    mp_error err;

    *out = find_arena(from->token, from->is_read_only);
    if (*out != NULL) {
        (*out)->uses++;
        return MP_OK;
    }
    if (!from->has_memory)
        return mpi_fail(MP_ENOTSUP, "this process does not have the memory it "
                                    "is in, and no handle could come along; "
                                    "pass it as an argument");
    err = mpi_transport_take(transport, from->memory, &memory);
    if (err != MP_OK)
        return err;
    err = map_arena(memory, from->is_read_only, out);
    if (err != MP_OK)
        mpos_close(memory);
    return err;
}

static mp_error take_over(mpi_arena *arena, uint64_t identity, mpi_kind kind,
                          mpi_record_id record, uint32_t *cell)
{
    mp_error err = enter_and_lock(arena, identity);

    if (err != MP_OK)
        return err;
    if (!mpi_arena_take_record(arena, record, cell))
        err = mpi_fail(MP_EUNPICKLE,
                       "the %s has been taken already, or its sender is gone",
                       mpi_share_kind_name(kind));
    else if (mpi_atomic32_load(&arena->cells[*cell].kind) != (uint32_t)kind) {
        mpi_arena_drop_record(arena, record);
        err =
            mpi_fail(MP_EUNPICKLE, "this is no %s", mpi_share_kind_name(kind));
    }
    mpi_arena_unlock(arena);
    return err;
}

static mp_error rebuild(mpi_share *share, uint64_t identity, mpi_kind kind,
                        const state *from, mpi_transport *transport)
{
    mpi_arena *arena;
    uint32_t cell;
    mp_error err = get_arena(from, transport, &arena);

    if (err != MP_OK)
        return err;
    if (from->is_read_only) {
        err = use_opened(arena, identity, kind, share);
    } else {
        err = take_over(arena, identity, kind, from->record, &cell);
        if (err == MP_OK)
            begin_use(share, arena, cell, from->record);
    }
    if (err != MP_OK)
        drop_arena(arena);
    return err;
}

mp_error mpi_share_rebuild(mpi_share *share, mpi_kind kind, const mp_obj *obj,
                           mpi_transport *transport)
{
    state from = {.token = NULL};
    uint64_t identity;
    mp_error err = read_state(obj, &from);

    if (err == MP_OK)
        err = mpi_arena_identity(&identity);
    if (err != MP_OK)
        return err;
    mpos_mutex_lock(&mpi_shares_mutex);
    err = rebuild(share, identity, kind, &from, transport);
    mpos_mutex_unlock(&mpi_shares_mutex);
    return err;
}

/* -- Parcels --------------------------------------------------------------- */

static void empty(mpi_parcel *parcel)
{
    free(parcel->items);
    *parcel = (mpi_parcel){0};
}

static void take_back(const struct mpi_parcel_item *item)
{
    mpi_arena *arena = item->arena;
    uint32_t cell;

    if (mpi_share_self(&arena->lock) == 0 || mpi_arena_lock(arena) != MP_OK)
        return;
    if (mpi_arena_take_record(arena, item->record, &cell))
        mpi_arena_drop_record(arena, item->record);
    mpi_arena_unlock(arena);
}

static void end_parcel(mpi_parcel *parcel, bool is_cancelled)
{
    if (parcel->count == 0) {
        empty(parcel);
        return;
    }
    mpos_mutex_lock(&mpi_shares_mutex);
    for (size_t i = 0; i < parcel->count; i++) {
        if (is_cancelled)
            take_back(&parcel->items[i]);
        drop_arena(parcel->items[i].arena);
    }
    mpos_mutex_unlock(&mpi_shares_mutex);
    empty(parcel);
}

void mpi_parcel_cancel(mpi_parcel *parcel)
{
    end_parcel(parcel, true);
}

void mpi_parcel_forget(mpi_parcel *parcel)
{
    end_parcel(parcel, false);
}

static mp_error take_item(const struct mpi_parcel_item *item, uint64_t identity)
{
    uint32_t cell;
    mp_error err = enter_and_lock(item->arena, identity);

    if (err != MP_OK)
        return err;
    if (mpi_arena_take_record(item->arena, item->record, &cell)) {
        item->share->record = item->record;
        mpi_atomic32_store(&item->share->self,
                           mpi_share_self(&item->arena->lock));
    }
    mpi_arena_unlock(item->arena);
    return MP_OK;
}

mp_error mpi_parcel_take(mpi_parcel *parcel)
{
    uint64_t identity;
    mp_error err = MP_OK;

    if (parcel->count == 0)
        return MP_OK;
    err = mpi_arena_identity(&identity);
    mpos_mutex_lock(&mpi_shares_mutex);
    for (size_t i = 0; i < parcel->count && err == MP_OK; i++)
        /* The same one twice: the second record is the parent's to drop. */
        if (mpi_share_self(parcel->items[i].share) == 0)
            err = take_item(&parcel->items[i], identity);
    mpos_mutex_unlock(&mpi_shares_mutex);
    mpi_parcel_forget(parcel);
    return err;
}

/* -- Named things ---------------------------------------------------------- */

mp_error mpi_share_make_image(const mpi_share_plan *plan,
                              mpi_share_image *image)
{
    void *data;
    mp_error err = mpi_arena_size(plan, &image->size);

    if (err == MP_OK)
        err = mpi_arena_image(plan, &data, &image->bytes.size);
    if (err == MP_OK)
        image->bytes.data = data;
    return err;
}

const char *mpi_share_name(const mpi_share *share)
{
    return share->arena == NULL ? "" : share->arena->header->name;
}

/* Others are let in only after the reset, and also after a failure: a fork may
 * have made a copy of the handle. */
static mp_error map_opened(mpos_handle handle, mpi_share_access access,
                           mpi_arena **out)
{
    mp_error err = map_arena(handle, access == MPI_SHARE_READ, out);

    if (err == MP_OK && access == MPI_SHARE_ALONE)
        mpi_arena_reset(*out);
    if (access == MPI_SHARE_ALONE)
        mpos_file_admit(err == MP_OK ? (*out)->memory : handle);
    if (err != MP_OK)
        mpos_close(handle);
    return err;
}

mp_error mpi_share_open(mpi_share *share, mpi_kind kind, mpos_handle handle,
                        mpi_share_access access)
{
    mpi_arena *arena;
    uint64_t identity = 0;
    /* Its failure is told below: the handle is to be let go of first. */
    mp_error who = mpi_arena_identity(&identity);
    mp_error err;

    mpos_mutex_lock(&mpi_shares_mutex);
    err = map_opened(handle, access, &arena);
    if (err == MP_OK) {
        err = who != MP_OK ? who : use_opened(arena, identity, kind, share);
        if (err != MP_OK)
            drop_arena(arena);
    }
    mpos_mutex_unlock(&mpi_shares_mutex);
    return err;
}

/* The cell behind the thing's own. */
static mp_error use_rlock(const mpi_share *share, uint64_t identity,
                          mpi_share *rlock)
{
    mpi_arena *arena = share->arena;
    uint32_t cell = 1 + arena->cells[1].count;
    mp_error err;

    if (cell < 2 || cell >= arena->header->kept_end ||
        cell >= mpi_arena_cell_count(arena) ||
        mpi_atomic32_load(&arena->cells[cell].kind) != MPI_RLOCK)
        return mpi_fail(MP_EPROTO, "'%s' has no lock", title(arena));
    err = use_cell(arena, identity, cell, rlock);
    if (err == MP_OK)
        arena->uses++;
    return err;
}

mp_error mpi_share_open_rlock(const mpi_share *share, mpi_share *rlock)
{
    uint64_t identity;
    mp_error err = mpi_arena_identity(&identity);

    if (err != MP_OK)
        return err;
    mpos_mutex_lock(&mpi_shares_mutex);
    err = use_rlock(share, identity, rlock);
    mpos_mutex_unlock(&mpi_shares_mutex);
    return err;
}

size_t mpi_share_size(const mpi_share *share)
{
    const mpi_arena *arena = share->arena;
    const mpi_cell *cell = &arena->cells[share->cell];
    uint32_t end = mpi_arena_cell_count(arena);
    uint32_t left = end > share->cell ? end - share->cell : 0;
    uint32_t count = cell->count < left ? cell->count : left;

    if (count == 0)
        count = 1;
    return (size_t)count * MPI_CELL_SIZE - (MPI_CELL_SIZE - MPI_CELL_ROOM);
}

mpi_storage mpi_share_storage(const mpi_share *share)
{
    return (mpi_storage)share->arena->storage;
}

bool mpi_share_is_read_only(const mpi_share *share)
{
    return share->arena != NULL && share->arena->is_read_only;
}

mp_error mpi_share_look(mpos_handle handle, mpi_kind *kind,
                        int64_t *creator_pid)
{
    mpi_arena *arena;
    mp_error err = mpi_arena_map(handle, false, &arena);

    if (err != MP_OK) {
        mpos_close(handle);
        return err;
    }
    *kind = (mpi_kind)mpi_atomic32_load(&arena->cells[1].kind);
    *creator_pid = arena->header->creator_pid;
    mpi_arena_unmap(arena);
    return MP_OK;
}

/* -- Data behind a thing --------------------------------------------------- */

/* Others write to the header, and may lie: touching what the memory does not
 * have is a SIGBUS. The system is asked when they say that it grew. */
static size_t reserved_size(mpi_arena *arena)
{
    uint64_t told = mpi_atomic64_load(&arena->header->data_size);
    size_t size = 0;

    if (told <= mpi_atomic64_load(&arena->data_proved))
        return (size_t)told;
    if (mpos_memory_size(arena->memory, &size) != MP_OK ||
        size < arena->data_offset)
        return 0;
    size -= arena->data_offset;
    mpi_atomic64_store(&arena->data_proved, size);
    return told < size ? (size_t)told : size;
}

size_t mpi_share_data_size(const mpi_share *share)
{
    return reserved_size(share->arena);
}

static bool grows(const mpi_arena *arena)
{
    return mpi_storage_grows((mpi_storage)arena->storage);
}

mp_error mpi_share_map_data(const mpi_share *share, size_t size, void **address)
{
    const mpi_arena *arena = share->arena;
    const mpos_extent extent = {
        .offset = arena->data_offset,
        .size = size,
        .is_read_only = arena->is_read_only,
    };

    if (extent.offset == 0 ||
        (!grows(arena) && size > mpi_share_data_size(share)))
        return mpi_fail(MP_EPROTO, "the memory is cut short");
    return mpos_memory_map(arena->memory, &extent, address);
}

static mp_error fail_too_large(size_t size)
{
    return mpi_fail(MP_EOVERFLOW, "%zu bytes are more than there can be", size);
}

/* With the arena's lock held. */
static mp_error grow_data(mpi_arena *arena, size_t size)
{
    size_t reserved = reserved_size(arena);
    size_t begin = arena->data_offset;
    mp_error err;

    if (size <= reserved)
        return MP_OK;
    if (!grows(arena))
        return mpi_fail(MP_ENOTSUP, "memory does not grow on this system");
    if (size > (size_t)PTRDIFF_MAX - begin)
        return fail_too_large(size);
    err = mpos_memory_grow(arena->memory, begin + reserved, begin + size);
    if (err == MP_OK)
        mpi_atomic64_store(&arena->header->data_size, size);
    return err;
}

mp_error mpi_share_grow_data(mpi_share *share, size_t size)
{
    mpi_arena *arena = share->arena;
    mp_error err = mpi_share_attach(share);

    if (err != MP_OK)
        return err;
    mpos_mutex_lock(&mpi_shares_mutex);
    err = mpi_arena_lock(arena);
    if (err == MP_OK) {
        err = grow_data(arena, size);
        mpi_arena_unlock(arena);
    }
    mpos_mutex_unlock(&mpi_shares_mutex);
    return err;
}

/* Several at once may reserve what they need. */
static void raise_data_size(mpi_arena *arena, size_t size)
{
    mpi_atomic64 *told = &arena->header->data_size;
    uint64_t seen;

    do {
        seen = mpi_atomic64_load(told);
    } while (seen < size && !mpi_atomic64_change(told, seen, size));
}

mp_error mpi_share_reserve(mpi_share *share, size_t from, size_t to)
{
    mpi_arena *arena = share->arena;
    size_t begin = arena->data_offset;
    mp_error err;

    if (!grows(arena)) {
        if (to <= reserved_size(arena))
            return MP_OK;
        return mpi_fail(MP_ENOSPC, "memory does not grow on this system");
    }
    if (to > (size_t)PTRDIFF_MAX - begin)
        return fail_too_large(to);
    err = mpos_memory_grow(arena->memory, begin + from, begin + to);
    if (err == MP_OK)
        raise_data_size(arena, to);
    return err;
}

void mpi_share_return(mpi_share *share, size_t from, size_t to)
{
    const mpi_arena *arena = share->arena;

    if (grows(arena))
        mpos_memory_return(arena->memory, arena->data_offset + from,
                           arena->data_offset + to);
}

mp_error mpi_share_sync(const mpi_share *share, void *data, size_t size)
{
    const mpi_arena *arena = share->arena;
    mp_error err = MP_OK;

    if (mpi_share_storage(share) != MPI_STORAGE_FILE)
        return mpi_fail(MP_ENOTSUP, "it is in no file");
    if (data != NULL)
        err = mpos_memory_sync(arena->memory, data, size);
    if (err != MP_OK)
        return err;
    return mpos_memory_sync(arena->memory, arena->header, arena->mapped_size);
}

/* -- Death ----------------------------------------------------------------- */

/* A number that nobody can have is damage, and as good as a dead one. */
static bool is_still(const mpi_arena *arena, uint32_t owner, uint64_t identity)
{
    return owner > arena->process_capacity ||
           mpi_atomic64_load(&arena->processes[owner - 1]) == identity;
}

/*
 * The arena's own lock: nothing else may be needed for it. If in the very
 * moment between the question and the answer the number became another's, and
 * that one took the lock, two would have it; numbers go round the whole table.
 */
static void bury_holder(mpi_arena *arena, uint32_t owner, uint64_t identity)
{
    mpos_word *word = &arena->header->lock;

    if (is_still(arena, owner, identity) && mpi_word_bury(word, owner))
        mpos_word_wake(word, mpi_share_queue_of(&arena->lock), INT32_MAX);
}

static void bury(mpi_arena *arena, uint32_t owner, uint64_t identity)
{
    mpos_mutex_lock(&mpi_shares_mutex);
    if (mpi_arena_lock(arena) == MP_OK) {
        if (is_still(arena, owner, identity))
            mpi_arena_bury(arena, owner);
        mpi_arena_unlock(arena);
    }
    mpos_mutex_unlock(&mpi_shares_mutex);
}

/*
 * What one of hundreds that sleep has found out serves the others. Not for
 * long: it may be dead since. The clock need not be the same in all processes,
 * nor the note be read and written as one: a wrong one only costs a look, or
 * makes it late by as much.
 */
static bool was_just_alive(mpi_arena *arena, uint32_t owner)
{
    mpi_atomic64 *last = &arena->header->looks[owner % MPI_LOOKS];
    uint64_t moment = (uint64_t)mpos_now() / LOOK_SERVES;
    uint64_t look = moment << 16 | owner;

    if (mpi_atomic64_load(last) == look)
        return true;
    mpi_atomic64_store(last, look);
    return false;
}

/*
 * As a rule it has been buried since, and the word is another one. But in a
 * damaged file, or one that a crash of the machine cut off from its table, the
 * word would stay. So the number is taken for the while: nobody may get it who
 * then is buried in its stead. Who is killed here leaves it to the next.
 */
static bool claim(mpi_arena *arena, uint32_t owner)
{
    return mpi_atomic64_change(&arena->processes[owner - 1], 0, nobody_alive);
}

bool mpi_share_look_at(mpi_share *share, uint32_t owner)
{
    mpi_arena *arena = share->arena;
    uint64_t identity = 0;

    if (owner == MPI_NOBODY || owner == mpi_share_self(share))
        return true;
    if (owner <= arena->process_capacity) {
        identity = mpi_atomic64_load(&arena->processes[owner - 1]);
        if (identity == 0) {
            if (!claim(arena, owner))
                return false;
            identity = nobody_alive;
        } else if (mpi_arena_is_alive(identity)) {
            return true;
        }
    }
    if (share == &arena->lock)
        bury_holder(arena, owner, identity);
    else
        bury(arena, owner, identity);
    return false;
}

bool mpi_share_owner_is_alive(mpi_share *share, uint32_t owner)
{
    return was_just_alive(share->arena, owner) ||
           mpi_share_look_at(share, owner);
}

uint64_t mpi_share_identity(const mpi_share *share, uint32_t owner)
{
    const mpi_arena *arena = share->arena;

    return owner == MPI_NOBODY || owner > arena->process_capacity
               ? 0
               : mpi_atomic64_load(&arena->processes[owner - 1]);
}

/* -- Fork ------------------------------------------------------------------ */

/* Another thread may have been about to add or remove a share: the links that
 * lead forwards are right at any time, those back are made anew. */
void mpi_shares_after_fork(void)
{
    mpi_share **link = &shares;

    (void)mpi_atomic32_add(&mpi_share_forks, 1);
    mpos_mutex_reset(&mpi_shares_mutex);
    for (mpi_arena *it = arenas; it != NULL; it = it->next)
        mpi_atomic32_store(&it->lock.self, 0);
    for (mpi_share *it = shares; it != NULL; it = it->next) {
        mpi_atomic32_store(&it->self, 0);
        it->link = link;
        link = &it->next;
    }
    mpi_rlocks_after_fork();
    mpi_barriers_after_fork();
}
