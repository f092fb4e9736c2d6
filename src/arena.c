/* SPDX-License-Identifier: MIT */
/* Arenas: dividing shared memory among things, and knowing who uses them.
 * arena_map.c makes and maps them. */
#include "arena.h"

#include "internal.h"
#include "state.h"
#include "sync.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_CELLS_MORE = 2048, /* at once, when it grows */
    /* From this cell on there are records only: who has a thing can pass it on
     * however many there are. Enough for 10,000 locks and their records. */
    THINGS_END = 13000,
    RECORD_BITS = 2, /* a record's number: its cell's, and its place there */
};

_Static_assert(sizeof(mpi_cell) == MPI_CELL_SIZE, "cells are 64 bytes");
_Static_assert(sizeof(mpi_record_cell) <= MPI_CELL_ROOM, "records fit a cell");

/* -- Processes ------------------------------------------------------------- */

/* A number that was used again after 2^32 processes on the same tick of the
 * clock would be taken for this one. */
static uint64_t make_identity(int64_t pid, uint64_t start_time)
{
    uint32_t start = (uint32_t)(start_time ^ start_time >> 32);

    return (uint64_t)pid << 32 | start;
}

mp_error mpi_arena_identity(uint64_t *identity)
{
    uint64_t start_time = 0;
    mp_error err = mpi_state_init();

    if (err == MP_OK)
        err = mpi_own_start_time(&start_time);
    if (err == MP_OK)
        *identity = make_identity(mpos_pid(), start_time);
    return err;
}

/* For want of its start time: whoever has the number now. */
static bool number_is_alive(int64_t pid)
{
    mpos_process process;
    mp_error err = mpos_attach(&process, pid, 0);
    mpos_wait_item item;

    if (err != MP_OK)
        return err != MP_ENOTFOUND;
    item = (mpos_wait_item){process.sentinel, MPOS_WAIT_PROCESS, false};
    err = mpos_wait(&item, 1, 0);
    mpos_process_close(&process);
    return err != MP_OK || !item.is_ready;
}

/* When in doubt it is: taking a lock from one that lives would be worse than
 * waiting for longer. */
bool mpi_arena_is_alive(uint64_t identity)
{
    int64_t pid = (int64_t)(identity >> 32);
    uint64_t start_time;

    /* Not found may be hidden from us, as Linux can do; and who is short of
     * descriptors can still tell that nobody has the number. */
    if (mpos_start_time(pid, &start_time) != MP_OK)
        return number_is_alive(pid);
    /* 0: that process could not tell its own. */
    return (uint32_t)identity == 0 ||
           make_identity(pid, start_time) == identity;
}

static void raise_to(mpi_atomic32 *highest, uint32_t number)
{
    uint32_t seen;

    do {
        seen = mpi_atomic32_load(highest);
    } while (seen < number && !mpi_atomic32_change(highest, seen, number));
}

static uint32_t find_identity(const mpi_arena *arena, uint64_t identity)
{
    uint32_t top = mpi_atomic32_load(&arena->header->top_process);

    for (uint32_t i = 0; i < top && i < arena->process_capacity; i++)
        if (mpi_atomic64_load(&arena->processes[i]) == identity)
            return i + 1;
    return 0;
}

/* From the one after the last on, so that a number is not used again soon. */
static uint32_t add_identity(mpi_arena *arena, uint64_t identity)
{
    mpi_arena_header *header = arena->header;
    uint32_t capacity = arena->process_capacity;
    uint32_t last = mpi_atomic32_load(&header->last_process);

    for (uint32_t i = 0; i < capacity; i++) {
        uint32_t place = (last + i) % capacity;

        if (mpi_atomic64_load(&arena->processes[place]) != 0)
            continue;
        raise_to(&header->top_process, place + 1);
        if (!mpi_atomic64_change(&arena->processes[place], 0, identity))
            continue;
        mpi_atomic32_store(&header->last_process, place + 1);
        mpi_atomic32_add(&header->process_count, 1);
        return place + 1;
    }
    return 0;
}

/* Those that are dead leave the table; process_count is right again. */
static void sweep(mpi_arena *arena)
{
    mpi_arena_header *header = arena->header;
    uint32_t count = 0;

    for (uint32_t i = 0; i < arena->process_capacity; i++) {
        uint64_t identity = mpi_atomic64_load(&arena->processes[i]);

        if (identity == 0)
            continue;
        if (i + 1 == mpi_share_self(&arena->lock) ||
            mpi_arena_is_alive(identity))
            count++;
        else
            mpi_arena_bury(arena, i + 1);
    }
    mpi_atomic32_store(&header->process_count, count);
}

/* A pid there may be somebody else's here, or nobody's. */
static bool is_elsewhere(const mpi_arena_header *header)
{
    uint64_t own = mpos_pid_space();

    return own != 0 && header->pid_space != 0 && own != header->pid_space;
}

mp_error mpi_arena_enter(mpi_arena *arena, uint64_t identity)
{
    mpi_arena_header *header = arena->header;
    uint32_t number;

    if (mpi_share_self(&arena->lock) != 0)
        return MP_OK;
    if (arena->is_read_only)
        return mpi_fail(MP_EACCES, "it is open for reading only");
    if (is_elsewhere(header))
        return mpi_fail(MP_ENOTSUP,
                        "it is used in another PID namespace, where "
                        "nobody could tell whether this process "
                        "is alive");
    number = find_identity(arena, identity);
    if (number == 0)
        number = add_identity(arena, identity);
    if (number == 0)
        return mpi_fail(MP_EPROCLIM,
                        "more than %u processes use what was made together",
                        (unsigned)arena->process_capacity);
    mpi_atomic32_store(&arena->lock.self, number);
    if (mpi_atomic32_load(&header->process_count) <
        arena->process_capacity / 4 * 3)
        return MP_OK;
    if (mpi_arena_lock(arena) == MP_OK) {
        sweep(arena);
        mpi_arena_unlock(arena);
    }
    return MP_OK;
}

/* -- Cells ----------------------------------------------------------------- */

static uint32_t kind_of(const mpi_cell *cell)
{
    return mpi_atomic32_load(&cell->kind);
}

static uint32_t cell_count(const mpi_arena *arena)
{
    return mpi_arena_cell_count(arena);
}

/* The one after it, whatever a dying process left there. */
static uint32_t next_cell(const mpi_arena *arena, uint32_t cell)
{
    const mpi_cell *it = &arena->cells[cell];
    uint32_t end = cell_count(arena);
    uint32_t count = kind_of(it) == 0 ? 1 : it->count;

    return count == 0 || count > end - cell ? cell + 1 : cell + count;
}

static bool is_record_cell(const mpi_arena *arena, uint32_t cell)
{
    return kind_of(&arena->cells[cell]) == MPI_RECORDS;
}

/* What has a name stays until that is unlinked, what is in a file for ever. */
static bool is_kept(const mpi_arena *arena, uint32_t cell)
{
    return cell < arena->header->kept_end;
}

void mpi_arena_free_cells(mpi_arena *arena, uint32_t cell)
{
    mpi_cell *first = &arena->cells[cell];

    for (uint32_t i = next_cell(arena, cell) - cell; i > 1; i--)
        mpi_atomic32_store(&first[i - 1].kind, 0);
    mpi_atomic32_store(&first->kind, 0);
    if (cell < arena->header->first_free)
        arena->header->first_free = cell;
}

/* What cells are wanted for. */
typedef struct request {
    uint32_t kind;
    uint32_t count;
} request;

static uint32_t end_for(const request *what, uint32_t end)
{
    return what->kind != MPI_RECORDS && end > THINGS_END ? THINGS_END : end;
}

/* 0: there are not so many in a row. */
static uint32_t find_cells(const mpi_arena *arena, const request *what)
{
    uint32_t end = end_for(what, cell_count(arena));
    uint32_t start = arena->header->first_free;
    uint32_t cell = start;

    while (cell < end && cell - start < what->count) {
        uint32_t next = next_cell(arena, cell);

        if (kind_of(&arena->cells[cell]) != 0)
            start = next;
        cell = next;
    }
    return cell - start < what->count ? 0 : start;
}

static mp_error grow(mpi_arena *arena, const request *what)
{
    mpi_arena_header *header = arena->header;
    uint32_t count = cell_count(arena);
    uint32_t more = count < MOST_CELLS_MORE ? count : MOST_CELLS_MORE;
    uint32_t left = arena->cell_limit - count;
    uint32_t wanted = count + (more < left ? more : left);
    mp_error err;

    if (left == 0 || end_for(what, count) < count)
        return mpi_fail(MP_EOVERFLOW, "the arena is full");
    err = mpos_memory_grow(arena->memory, mpi_arena_size_with(header, count),
                           mpi_arena_size_with(header, wanted));
    if (err == MP_OK)
        mpi_atomic32_store(&header->cell_count, wanted);
    return err;
}

/* Gives back the cells of records that have emptied out of turn. */
static void free_empty_records(mpi_arena *arena)
{
    arena->header->records = 0;
    for (uint32_t i = 1; i < cell_count(arena); i = next_cell(arena, i)) {
        mpi_cell *it = &arena->cells[i];

        if (kind_of(it) != MPI_RECORDS ||
            it->references == MPI_RECORDS_PER_CELL)
            continue;
        if (it->references == 0) {
            mpi_arena_free_cells(arena, i);
            continue;
        }
        it->serial = arena->header->records;
        arena->header->records = i;
    }
}

static mp_error find_room(mpi_arena *arena, const request *what, uint32_t *cell)
{
    mp_error err = MP_OK;

    *cell = find_cells(arena, what);
    if (*cell == 0) {
        /* process_count may be too low: who enters during a sweep is not
         * counted. */
        if (mpi_atomic32_load(&arena->header->top_process) > 1)
            sweep(arena);
        free_empty_records(arena);
        *cell = find_cells(arena, what);
    }
    while (*cell == 0 && err == MP_OK) {
        err = grow(arena, what);
        *cell = find_cells(arena, what);
    }
    /* Only now what somebody may still receive. */
    if (*cell == 0) {
        mpi_arena_bury(arena, MPI_NO_SENDER);
        *cell = find_cells(arena, what);
        err = *cell != 0 ? MP_OK : err;
    }
    return err;
}

static uint32_t cells_for(size_t size)
{
    size_t head = MPI_CELL_SIZE - MPI_CELL_ROOM;

    return (uint32_t)((head + size + MPI_CELL_SIZE - 1) / MPI_CELL_SIZE);
}

void mpi_arena_fill_cells(mpi_arena_header *header, mpi_cell *cell,
                          uint32_t kind, size_t size)
{
    cell->count = cells_for(size);
    cell->serial = ++header->serial;
    cell->references = 0;
    mpi_atomic32_store(&cell->kind, kind);
    memset(cell->room, 0,
           (size_t)cell->count * MPI_CELL_SIZE -
               (MPI_CELL_SIZE - MPI_CELL_ROOM));
}

static mp_error take_cells(mpi_arena *arena, uint32_t kind, size_t size,
                           uint32_t *cell)
{
    mpi_arena_header *header = arena->header;
    request what = {.kind = kind};
    uint32_t found;
    mp_error err;

    if (size > MPI_ARENA_FIXED_SIZE)
        return mpi_fail(MP_EOVERFLOW, "%zu bytes are too many for an arena",
                        size);
    what.count = cells_for(size);
    err = find_room(arena, &what, &found);
    if (err != MP_OK)
        return err;
    mpi_arena_fill_cells(header, &arena->cells[found], kind, size);
    if (found == header->first_free)
        header->first_free = found + what.count;
    *cell = found;
    return MP_OK;
}

mp_error mpi_arena_take_cells(mpi_arena *arena, mpi_kind kind, size_t size,
                              uint32_t *cell)
{
    return take_cells(arena, (uint32_t)kind, size, cell);
}

bool mpi_arena_has(const mpi_arena *arena, uint32_t cell, uint32_t kind,
                   uint32_t serial)
{
    const mpi_cell *it;

    if (cell == 0 || cell >= cell_count(arena))
        return false;
    it = &arena->cells[cell];
    return kind_of(it) == kind && it->serial == serial;
}

/* -- Records --------------------------------------------------------------- */

static mpi_record *records_in(const mpi_arena *arena, uint32_t cell)
{
    return ((mpi_record_cell *)(void *)arena->cells[cell].room)->items;
}

static bool is_valid(const mpi_arena *arena, const mpi_record *it)
{
    return it->process != 0 && it->cell != 0 && it->cell < cell_count(arena) &&
           kind_of(&arena->cells[it->cell]) != 0 &&
           !is_record_cell(arena, it->cell);
}

static mpi_record *find_record(const mpi_arena *arena, mpi_record_id id)
{
    uint32_t cell = id.number >> RECORD_BITS;
    uint32_t place = id.number & ((1U << RECORD_BITS) - 1);
    mpi_record *it;

    if (cell == 0 || cell >= cell_count(arena) || !is_record_cell(arena, cell))
        return NULL;
    it = &records_in(arena, cell)[place];
    return is_valid(arena, it) && it->serial == id.serial ? it : NULL;
}

/* The list's first, if that is one; what has a name may have been damaged. */
static bool has_record_room(const mpi_arena *arena)
{
    uint32_t cell = arena->header->records;

    return cell < cell_count(arena) && is_record_cell(arena, cell) &&
           arena->cells[cell].references < MPI_RECORDS_PER_CELL;
}

static mp_error make_record_cell(mpi_arena *arena)
{
    uint32_t cell;
    mp_error err =
        take_cells(arena, MPI_RECORDS, sizeof(mpi_record_cell), &cell);

    if (err != MP_OK)
        return err;
    arena->cells[cell].serial = arena->header->records;
    arena->header->records = cell;
    return MP_OK;
}

static void drop_reference(mpi_arena *arena, uint32_t cell)
{
    mpi_cell *it = &arena->cells[cell];

    if (it->references > 0)
        it->references--;
    if (it->references == 0 && !is_kept(arena, cell))
        mpi_arena_free_cells(arena, cell);
}

static mp_error fail_crowded(const mpi_arena *arena)
{
    if (arena->header->name[0] != '\0')
        return mpi_fail(MP_EPROCLIM, "too many processes use '%s'",
                        arena->header->name);
    return mpi_fail(MP_EPROCLIM,
                    "too many processes use what was made together");
}

mp_error mpi_arena_add_record(mpi_arena *arena, uint32_t cell, bool is_on_way,
                              mpi_record_id *id)
{
    mpi_arena_header *header = arena->header;
    mpi_cell *holder;
    mpi_record *records;
    uint32_t place = 0;
    mp_error err = MP_OK;

    /* First, or it might go with the last of those that are buried to make
     * room for the record. */
    arena->cells[cell].references++;
    if (!has_record_room(arena)) {
        header->records = 0;
        err = make_record_cell(arena);
        /* No cell is left, but the dead may have left room in some. */
        if (has_record_room(arena))
            err = MP_OK;
    }
    if (err != MP_OK) {
        drop_reference(arena, cell);
        return err == MP_EOVERFLOW ? fail_crowded(arena) : err;
    }
    holder = &arena->cells[header->records];
    records = records_in(arena, header->records);
    while (records[place].process != 0 && place < MPI_RECORDS_PER_CELL - 1)
        place++;
    id->number = header->records << RECORD_BITS | place;
    id->serial = ++header->serial;
    records[place] = (mpi_record){
        .cell = cell,
        .serial = id->serial,
        .process = (uint16_t)mpi_share_self(&arena->lock),
        .state = is_on_way ? MPI_RECORD_ON_WAY : MPI_RECORD_USED,
    };
    if (++holder->references == MPI_RECORDS_PER_CELL)
        header->records = holder->serial;
    return MP_OK;
}

bool mpi_arena_take_record(mpi_arena *arena, mpi_record_id id, uint32_t *cell)
{
    mpi_record *it = find_record(arena, id);

    if (it == NULL || it->state != MPI_RECORD_ON_WAY)
        return false;
    it->process = (uint16_t)mpi_share_self(&arena->lock);
    it->state = MPI_RECORD_USED;
    *cell = it->cell;
    return true;
}

static void free_record(mpi_arena *arena, uint32_t number, mpi_record *it)
{
    mpi_arena_header *header = arena->header;
    mpi_cell *holder = &arena->cells[number];
    uint32_t cell = is_valid(arena, it) ? it->cell : 0;

    *it = (mpi_record){0};
    if (holder->references-- == MPI_RECORDS_PER_CELL) {
        holder->serial = header->records;
        header->records = number;
    }
    /* One in the middle of the list is kept for later. */
    if (holder->references == 0 && header->records == number) {
        header->records = holder->serial;
        mpi_arena_free_cells(arena, number);
    }
    if (cell != 0)
        drop_reference(arena, cell);
}

void mpi_arena_drop_record(mpi_arena *arena, mpi_record_id id)
{
    mpi_record *it = find_record(arena, id);

    if (it != NULL)
        free_record(arena, id.number >> RECORD_BITS, it);
}

/* -- Counting again after a death ------------------------------------------ */

static void recount_records(mpi_arena *arena, uint32_t cell)
{
    mpi_cell *holder = &arena->cells[cell];
    mpi_record *records = records_in(arena, cell);

    holder->references = 0;
    for (int i = 0; i < MPI_RECORDS_PER_CELL; i++) {
        if (!is_valid(arena, &records[i])) {
            records[i] = (mpi_record){0};
            continue;
        }
        arena->cells[records[i].cell].references++;
        holder->references++;
    }
    if (holder->references == MPI_RECORDS_PER_CELL)
        return;
    holder->serial = arena->header->records;
    arena->header->records = cell;
}

/* Whoever had the lock has died in the midst of anything. */
static void recount(mpi_arena *arena)
{
    uint32_t end = cell_count(arena);

    for (uint32_t i = 1; i < end; i = next_cell(arena, i))
        if (!is_record_cell(arena, i))
            arena->cells[i].references = 0;
    arena->header->records = 0;
    arena->header->first_free = 1;
    for (uint32_t i = 1; i < end; i = next_cell(arena, i))
        if (is_record_cell(arena, i))
            recount_records(arena, i);
    for (uint32_t i = 1, next; i < end; i = next) {
        const mpi_cell *it = &arena->cells[i];

        next = next_cell(arena, i);
        if (kind_of(it) != 0 && !is_record_cell(arena, i) &&
            it->references == 0 && !is_kept(arena, i))
            mpi_arena_free_cells(arena, i);
    }
}

/* -- Death ----------------------------------------------------------------- */

static void wake_all(const mpi_arena *arena, uint32_t cell, mpos_word *word)
{
    char key[MPI_QUEUE_KEY_SIZE];
    mpos_handle queue;

    mpi_arena_queue_key(arena, cell, key);
    /* If it can't be had: sleepers look for themselves. */
    if (mpos_word_queue(key, &queue) != MP_OK)
        return;
    mpos_word_wake(word, queue, INT32_MAX);
    mpos_close(queue);
}

/* The words of a thing that hold owners. */
typedef struct owned_words {
    mpos_word *words[2];
    int count;
} owned_words;

static bool begins_with_lock(uint32_t kind)
{
    return kind == MPI_LOCK || kind == MPI_RLOCK || kind == MPI_BARRIER ||
           kind == MPI_SHARED_DICT || kind == MPI_SHARED_LIST ||
           kind == MPI_SHARED_MEMORY || kind == MPI_QUEUE ||
           kind == MPI_POOL_BOARD;
}

static owned_words find_locks(const mpi_arena *arena, uint32_t cell)
{
    mpi_cell *it = &arena->cells[cell];
    size_t size = (size_t)(next_cell(arena, cell) - cell) * MPI_CELL_SIZE -
                  (MPI_CELL_SIZE - MPI_CELL_ROOM);
    owned_words found = {.count = 0};

    if (begins_with_lock(kind_of(it)))
        found.words[found.count++] = (mpos_word *)(void *)it->room;
    if (kind_of(it) == MPI_QUEUE &&
        size >= MPI_QUEUE_GET_LOCK + sizeof(mpos_word))
        /* Beyond the first cell: for UBSan not by way of its room. */
        found.words[found.count++] =
            (mpos_word *)(void *)((unsigned char *)it +
                                  offsetof(mpi_cell, room) +
                                  MPI_QUEUE_GET_LOCK);
    return found;
}

static void bury_locks(mpi_arena *arena, uint32_t cell, uint32_t process)
{
    owned_words locks = find_locks(arena, cell);

    for (int i = 0; i < locks.count; i++)
        if (mpi_word_bury(locks.words[i], process))
            wake_all(arena, cell, locks.words[i]);
}

static void bury_records(mpi_arena *arena, uint32_t cell, uint32_t process)
{
    mpi_record *records = records_in(arena, cell);

    for (int i = 0; i < MPI_RECORDS_PER_CELL; i++) {
        /* The last one takes its cell with it. */
        if (!is_record_cell(arena, cell))
            return;
        if (records[i].process != process)
            continue;
        if (records[i].state == MPI_RECORD_ON_WAY && process != MPI_NO_SENDER)
            records[i].process = MPI_NO_SENDER;
        else
            free_record(arena, cell, &records[i]);
    }
}

void mpi_arena_bury(mpi_arena *arena, uint32_t process)
{
    uint32_t end = cell_count(arena);

    for (uint32_t i = 1, next; i < end; i = next) {
        next = next_cell(arena, i);
        if (is_record_cell(arena, i))
            bury_records(arena, i, process);
        else
            bury_locks(arena, i, process);
    }
    /* Last: until then nobody else gets this number. A damaged word may hold
     * one that nobody ever had. */
    if (process <= arena->process_capacity)
        mpi_atomic64_store(&arena->processes[process - 1], 0);
}

/* Whether the table knows the owner or not: after a crash of the machine, the
 * pages of a file need not be of one moment. */
static void bury_all_owners(mpi_arena *arena)
{
    for (uint32_t i = 1; i < cell_count(arena); i = next_cell(arena, i)) {
        owned_words locks = find_locks(arena, i);

        for (int j = 0; j < locks.count; j++)
            if (mpi_sync_is_owned(locks.words[j]))
                (void)mpi_word_bury(locks.words[j],
                                    mpi_word_owner(locks.words[j]));
    }
}

void mpi_arena_reset(mpi_arena *arena)
{
    mpi_arena_header *header = arena->header;

    mpi_atomic32_store(&header->lock.value, MPI_NOBODY);
    header->pid_space = mpos_pid_space();
    recount(arena);
    bury_all_owners(arena);
    for (uint32_t i = 0; i < arena->process_capacity; i++)
        if (mpi_atomic64_load(&arena->processes[i]) != 0)
            mpi_arena_bury(arena, i + 1);
    mpi_arena_bury(arena, MPI_NO_SENDER);
    mpi_atomic32_store(&header->process_count, 0);
}

/* -- The lock -------------------------------------------------------------- */

/* By hand: a signal handler may be the first to wake somebody. */
static char *write_hexadecimal(char *to, uint64_t number)
{
    for (int shift = 60; shift >= 0; shift -= 4)
        *to++ = "0123456789abcdef"[number >> shift & 15];
    return to;
}

void mpi_arena_queue_key(const mpi_arena *arena, uint32_t cell,
                         char key[MPI_QUEUE_KEY_SIZE])
{
    const uint64_t *token = arena->header->token;

    key = write_hexadecimal(key, token[0] ^ cell);
    key = write_hexadecimal(key, token[1]);
    *key = '\0';
}

/* In a damaged table, also under another number. */
static bool is_self(const mpi_arena *arena, uint32_t owner)
{
    uint32_t self = mpi_share_self(&arena->lock);
    uint64_t identity;

    if (self == 0 || owner == MPI_NOBODY || owner > arena->process_capacity)
        return false;
    identity = mpi_atomic64_load(&arena->processes[owner - 1]);
    return owner == self ||
           (identity != 0 &&
            identity == mpi_atomic64_load(&arena->processes[self - 1]));
}

/* With mpi_shares_mutex held, so that a word that says this process has it
 * already is damaged. */
mp_error mpi_arena_lock(mpi_arena *arena)
{
    mpos_word *word = &arena->header->lock;
    uint32_t owner = mpi_word_owner(word);
    mp_error err;

    if (is_self(arena, owner))
        (void)mpi_word_bury(word, owner);
    err = mpi_word_lock(word, &arena->lock, MP_FOREVER);

    if (err != MP_OWNER_DIED)
        return err;
    recount(arena);
    return MP_OK;
}

void mpi_arena_unlock(mpi_arena *arena)
{
    (void)mpi_word_unlock(&arena->header->lock, &arena->lock);
}
