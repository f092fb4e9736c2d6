/* SPDX-License-Identifier: MIT */
/*
 * Blobs, and the free room between them.
 *
 * Memory is counted in units of 16 bytes. A blob is some units in a row; its
 * header is in the last 8 bytes before its first unit, so that what the user
 * gets is aligned. Free blocks have the same header, their size once more in
 * their last word, and are in a list of blocks of about the same size: two
 * levels of bits say which lists are not empty (TLSF, Masmano et al. 2004). So
 * both to allocate and to free take a few steps however much there is, and what
 * is freed is at once one block with the free ones beside it.
 *
 *     head: a mark, bits, lists | a bit for each unit | blocks | last header
 *
 * A rebuild trusts nothing but the headers of those blobs that are in the
 * table. Once written, such a header changes in one bit only, and in one store:
 * whether the block before it is free. The bits for the units are for the
 * rebuild, which can't rely on malloc(): those set are where blobs begin.
 *
 * What is in shared memory may be damaged, or changed at any moment by who
 * ignores the lock. So each number is read once, and checked before it is used
 * as a place. Damage that is noticed while allocating or freeing is mended by a
 * rebuild.
 *
 * All is written by mpi_atomic64_store(): a release, so that the compiler moves
 * none of it before the store by which the table let go of a blob.
 */
#include "store.h"

#include "os.h"

#include <inttypes.h>
#include <string.h>

enum {
    UNIT = 16,
    WORD = 8,
    COLUMN_BITS = 4,
    COLUMNS = 1 << COLUMN_BITS,
    LARGEST_LOG = 36, /* of units in a store: a terabyte */
    ROWS = LARGEST_LOG - COLUMN_BITS + 2,
    /* Words of the head. */
    AT_STATE = 0,
    AT_ROWS = 1,
    AT_COLUMNS = 2,
    AT_LISTS = AT_COLUMNS + ROWS,
    AT_MARKS = AT_LISTS + ROWS * COLUMNS,
    LEAST_BLOB = 2,  /* units: when it is free, it has two links */
    MOST_LOOKS = 32, /* at blocks that may be too small */
    BITS_OF_WORD = 64,
};

/* In the header. */
enum {
    KIND_MASK = 3,
    KIND_USED = 1,
    KIND_FREE = 2,
    FOLLOWS_FREE = 4,
    SLACK_SHIFT = 3, /* bytes of it that were not asked for */
    SLACK_MASK = 31,
    COUNT_SHIFT = 8, /* of units */
    CHECK_SHIFT = 48,
};

static const uint64_t count_mask = (UINT64_C(1) << 40) - 1;
static const uint64_t state_ready = UINT64_C(0x3145524f5453504d);

typedef struct block {
    uint64_t unit; /* its first */
    uint64_t count;
} block;

/* Which list. */
typedef struct place {
    uint32_t row;
    uint32_t column;
} place;

/* -- Words of the memory --------------------------------------------------- */

static uint64_t get(const mpi_store *store, uint64_t word)
{
    return mpi_atomic64_load(
        &((const mpi_atomic64 *)(const void *)store->memory)[word]);
}

static void put(mpi_store *store, uint64_t word, uint64_t value)
{
    mpi_atomic64_store(&((mpi_atomic64 *)(void *)store->memory)[word], value);
}

static uint64_t end_of(const mpi_store *store)
{
    return store->size / UNIT;
}

static uint64_t words_of_marks(const mpi_store *store)
{
    return end_of(store) / BITS_OF_WORD + 1;
}

/* The first unit that a blob may have; behind a header. */
static uint64_t first_of(const mpi_store *store)
{
    return (AT_MARKS + words_of_marks(store) + 2) / 2;
}

static uint64_t header_word(uint64_t unit)
{
    return 2 * unit - 1;
}

static uint64_t next_word(uint64_t unit)
{
    return 2 * unit;
}

static uint64_t previous_word(uint64_t unit)
{
    return 2 * unit + 1;
}

/* Of a free block: its count again. */
static uint64_t footer_word(block it)
{
    return 2 * (it.unit + it.count) - 2;
}

static bool is_inside(const mpi_store *store, block it)
{
    return it.unit >= first_of(store) && it.unit < end_of(store) &&
           it.count > 0 && it.count <= end_of(store) - it.unit;
}

/* Two bytes that a header has only where it was made. */
static uint64_t check_of(uint64_t unit)
{
    return (unit * UINT64_C(0x9e3779b97f4a7c15)) >> CHECK_SHIFT;
}

static uint64_t count_in(uint64_t header)
{
    return header >> COUNT_SHIFT & count_mask;
}

static uint64_t slack_in(uint64_t header)
{
    return header >> SLACK_SHIFT & SLACK_MASK;
}

static void set_follows_free(mpi_store *store, uint64_t unit, bool is_so)
{
    uint64_t header = get(store, header_word(unit));

    header &= ~(uint64_t)FOLLOWS_FREE;
    put(store, header_word(unit), header | (is_so ? FOLLOWS_FREE : 0U));
}

/* The blob that begins there. False: none does. */
static bool read_used(const mpi_store *store, uint64_t unit, block *it,
                      uint64_t *header)
{
    if (unit < first_of(store) || unit >= end_of(store))
        return false;
    *header = get(store, header_word(unit));
    *it = (block){unit, count_in(*header)};
    return (*header & KIND_MASK) == KIND_USED &&
           *header >> CHECK_SHIFT == check_of(unit) && is_inside(store, *it) &&
           slack_in(*header) <= it->count * UNIT - WORD;
}

/* The same of a free block. */
static bool read_free(const mpi_store *store, uint64_t unit, block *it)
{
    uint64_t header;

    if (unit < first_of(store) || unit >= end_of(store))
        return false;
    header = get(store, header_word(unit));
    *it = (block){unit, count_in(header)};
    return (header & KIND_MASK) == KIND_FREE && is_inside(store, *it) &&
           get(store, footer_word(*it)) == it->count;
}

/* -- Lists ----------------------------------------------------------------- */

/* The highest bit that is set; value is not 0. */
static uint32_t log_of(uint64_t value)
{
    uint32_t result = 0;

    for (uint32_t step = 32; step > 0; step /= 2) {
        if (value >> step != 0) {
            value >>= step;
            result += step;
        }
    }
    return result;
}

static uint32_t lowest_bit(uint64_t value)
{
    return log_of(value & (~value + 1));
}

/* Up to so many units each size has its own list. */
static place place_of(uint64_t count)
{
    uint32_t log;

    if (count < COLUMNS)
        return (place){0, (uint32_t)count};
    log = log_of(count);
    return (place){log - COLUMN_BITS + 1,
                   (uint32_t)(count >> (log - COLUMN_BITS)) & (COLUMNS - 1)};
}

/* All blocks in the list of that size, and in those beyond, are large enough
 * for count. */
static uint64_t round_up(uint64_t count)
{
    if (count < COLUMNS)
        return count;
    return count + (UINT64_C(1) << (log_of(count) - COLUMN_BITS)) - 1;
}

static uint64_t list_word(place at)
{
    return AT_LISTS + at.row * COLUMNS + at.column;
}

static uint64_t columns_of(const mpi_store *store, uint32_t row)
{
    return get(store, AT_COLUMNS + row) & ((1U << COLUMNS) - 1);
}

static uint64_t rows_of(const mpi_store *store)
{
    return get(store, AT_ROWS) & ((UINT64_C(1) << ROWS) - 1);
}

/* Neither the list nor its bits hold anything else of it. */
static void insert(mpi_store *store, block it)
{
    place at = place_of(it.count);
    uint64_t next;

    put(store, header_word(it.unit), it.count << COUNT_SHIFT | KIND_FREE);
    put(store, footer_word(it), it.count);
    if (it.count < LEAST_BLOB)
        return; /* no room for links: found by its neighbours only */
    next = get(store, list_word(at));
    if (next < first_of(store) || next >= end_of(store))
        next = 0;
    put(store, next_word(it.unit), next);
    put(store, previous_word(it.unit), 0);
    if (next != 0)
        put(store, previous_word(next), it.unit);
    put(store, list_word(at), it.unit);
    put(store, AT_COLUMNS + at.row,
        columns_of(store, at.row) | UINT64_C(1) << at.column);
    put(store, AT_ROWS, rows_of(store) | UINT64_C(1) << at.row);
}

/* The list is empty. */
static void clear_bits(mpi_store *store, place at)
{
    uint64_t columns = columns_of(store, at.row) & ~(UINT64_C(1) << at.column);

    put(store, AT_COLUMNS + at.row, columns);
    if (columns == 0)
        put(store, AT_ROWS, rows_of(store) & ~(UINT64_C(1) << at.row));
}

static bool is_link(const mpi_store *store, uint64_t unit)
{
    return unit == 0 || (unit >= first_of(store) && unit < end_of(store));
}

/* False: the lists are damaged. */
static bool take_out(mpi_store *store, block it)
{
    place at = place_of(it.count);
    uint64_t next, previous;

    if (it.count < LEAST_BLOB)
        return true;
    next = get(store, next_word(it.unit));
    previous = get(store, previous_word(it.unit));
    if (!is_link(store, next) || !is_link(store, previous))
        return false;
    if (previous == 0 && get(store, list_word(at)) != it.unit)
        return false;
    if (next != 0)
        put(store, previous_word(next), previous);
    if (previous != 0)
        put(store, next_word(previous), next);
    else
        put(store, list_word(at), next);
    if (previous == 0 && next == 0)
        clear_bits(store, at);
    return true;
}

/* -- Rebuilding ------------------------------------------------------------ */

static bool is_ready(const mpi_store *store)
{
    return get(store, AT_STATE) == (state_ready ^ store->size);
}

static uint64_t mark_word(uint64_t unit)
{
    return AT_MARKS + unit / BITS_OF_WORD;
}

static uint64_t mark_bit(uint64_t unit)
{
    return UINT64_C(1) << unit % BITS_OF_WORD;
}

static void mark(mpi_store *store, mpi_blob blob)
{
    uint64_t header;
    block it;

    if (read_used(store, blob, &it, &header))
        put(store, mark_word(blob),
            get(store, mark_word(blob)) | mark_bit(blob));
}

/* The end: none from there on. */
static uint64_t next_marked(const mpi_store *store, uint64_t unit)
{
    uint64_t end = end_of(store);

    while (unit < end) {
        uint64_t bits = get(store, mark_word(unit)) & ~(mark_bit(unit) - 1);

        unit -= unit % BITS_OF_WORD;
        if (bits != 0)
            return unit + lowest_bit(bits);
        unit += BITS_OF_WORD;
    }
    return end;
}

static void clear_marks(mpi_store *store)
{
    memset(store->memory + AT_MARKS * WORD, 0,
           (size_t)words_of_marks(store) * WORD);
}

/* What is between the blobs is free. Of blobs that overlap, which is damage,
 * the first one counts. */
static void free_gaps(mpi_store *store)
{
    uint64_t end = end_of(store);
    uint64_t from = first_of(store);

    for (;;) {
        uint64_t unit = next_marked(store, from);
        block it = {unit, 0};
        uint64_t header;

        set_follows_free(store, unit, unit > from);
        if (unit > from)
            insert(store, (block){from, unit - from});
        if (unit >= end || !read_used(store, unit, &it, &header))
            return;
        from = unit + it.count;
    }
}

void mpi_store_rebuild(mpi_store *store)
{
    put(store, AT_STATE, 0);
    for (uint64_t word = AT_ROWS; word < AT_MARKS; word++)
        put(store, word, 0);
    clear_marks(store);
    store->roots(store->context, store, mark);
    put(store, header_word(end_of(store)), 0);
    free_gaps(store);
    put(store, AT_STATE, state_ready ^ store->size);
}

/* -- Allocating, freeing --------------------------------------------------- */

static uint64_t units_for(size_t size)
{
    uint64_t count = ((uint64_t)size + WORD + UNIT - 1) / UNIT;

    return count < LEAST_BLOB ? LEAST_BLOB : count;
}

/* The first list of blocks that are at least that large and has any. */
static bool find_list(const mpi_store *store, uint64_t count, place *at)
{
    place from = place_of(round_up(count));
    uint64_t columns = columns_of(store, from.row) >> from.column;
    uint64_t rows;

    if (columns != 0) {
        *at = (place){from.row, from.column + lowest_bit(columns)};
        return true;
    }
    rows = rows_of(store) >> from.row >> 1;
    if (rows == 0)
        return false;
    at->row = from.row + 1 + lowest_bit(rows);
    columns = columns_of(store, at->row);
    at->column = columns == 0 ? 0 : lowest_bit(columns);
    return true;
}

/* In the list where blocks of that size are, some are smaller. */
static mp_error look_around(const mpi_store *store, uint64_t count, block *it)
{
    uint64_t unit = get(store, list_word(place_of(count)));

    for (int looks = 0; looks < MOST_LOOKS && unit != 0; looks++) {
        if (!read_free(store, unit, it))
            return MP_EPROTO;
        if (it->count >= count)
            return MP_OK;
        unit = get(store, next_word(unit));
    }
    return MP_ENOSPC;
}

/* MP_EPROTO: what is there is damaged. */
static mp_error find_free(const mpi_store *store, uint64_t count, block *it)
{
    place at;

    if (!find_list(store, count, &at))
        return look_around(store, count, it);
    if (!read_free(store, get(store, list_word(at)), it) || it->count < count)
        return MP_EPROTO;
    return MP_OK;
}

static mp_error take(mpi_store *store, size_t size, mpi_blob *blob)
{
    uint64_t count = units_for(size);
    uint64_t slack = count * UNIT - WORD - size;
    block it;
    mp_error err = find_free(store, count, &it);

    if (err != MP_OK)
        return err;
    if (!take_out(store, it))
        return MP_EPROTO;
    if (it.count > count)
        insert(store, (block){it.unit + count, it.count - count});
    else
        set_follows_free(store, it.unit + count, false);
    put(store, header_word(it.unit),
        check_of(it.unit) << CHECK_SHIFT | count << COUNT_SHIFT |
            slack << SLACK_SHIFT | KIND_USED);
    *blob = it.unit;
    return MP_OK;
}

mp_error mpi_store_alloc(mpi_store *store, size_t size, mpi_blob *blob,
                         void **memory)
{
    mp_error err = MP_ENOSPC;

    if (!is_ready(store))
        mpi_store_rebuild(store);
    if (size < store->size)
        err = take(store, size, blob);
    if (err == MP_EPROTO) {
        mpi_store_rebuild(store);
        err = take(store, size, blob);
    }
    if (err != MP_OK)
        return mpi_fail(MP_ENOSPC, "there is no room for %zu bytes more", size);
    *memory = store->memory + *blob * UNIT;
    return MP_OK;
}

/* The free block before it, if there is one. False: there should be. */
static bool read_before(const mpi_store *store, uint64_t unit, block *it)
{
    uint64_t count = get(store, next_word(unit - 1));

    return count > 0 && count < unit && read_free(store, unit - count, it) &&
           it->count == count;
}

/* False: what is around it is damaged. */
static bool give_back(mpi_store *store, block it, bool follows_free)
{
    block other;

    if (read_free(store, it.unit + it.count, &other)) {
        if (!take_out(store, other))
            return false;
        it.count += other.count;
    }
    if (follows_free) {
        if (!read_before(store, it.unit, &other) || !take_out(store, other))
            return false;
        it = (block){other.unit, other.count + it.count};
    }
    insert(store, it);
    set_follows_free(store, it.unit + it.count, true);
    return true;
}

void mpi_store_free(mpi_store *store, mpi_blob blob)
{
    uint64_t header;
    block it;

    if (!read_used(store, blob, &it, &header))
        return;
    put(store, header_word(blob), 0);
    if (!is_ready(store) || !give_back(store, it, (header & FOLLOWS_FREE) != 0))
        mpi_store_rebuild(store);
}

void *mpi_store_at(const mpi_store *store, mpi_blob blob, size_t *size)
{
    uint64_t header;
    block it;

    if (!read_used(store, blob, &it, &header))
        return NULL;
    *size = (size_t)(it.count * UNIT - WORD - slack_in(header));
    return store->memory + blob * UNIT;
}

/* -- Sizes ----------------------------------------------------------------- */

static size_t size_with(size_t room)
{
    size_t marks = room / (BITS_OF_WORD * UNIT - WORD) * WORD;

    return AT_MARKS * WORD + marks + room + 8 * UNIT;
}

size_t mpi_store_size(size_t blob_count, size_t size)
{
    const uint64_t most = (UINT64_C(1) << LARGEST_LOG) * (UNIT / 2);
    size_t limit = most < SIZE_MAX / 2 ? (size_t)most : SIZE_MAX / 2;

    if (size > limit || blob_count > (limit - size) / MPI_BLOB_COST)
        return SIZE_MAX;
    return size_with(size + blob_count * MPI_BLOB_COST) / UNIT * UNIT;
}

mp_error mpi_store_check(const mpi_store *store)
{
    uint64_t end = end_of(store);

    if (store->size % UNIT != 0 || first_of(store) >= end ||
        end > UINT64_C(1) << LARGEST_LOG)
        return mpi_fail(MP_EPROTO, "a store of %zu bytes is none", store->size);
    if (get(store, AT_STATE) != 0 && !is_ready(store))
        return mpi_fail(MP_EPROTO, "the store is damaged");
    return MP_OK;
}

/* -- Verifying ------------------------------------------------------------- */

static void mark_once(mpi_store *store, mpi_blob blob)
{
    uint64_t header;
    block it;

    if (!read_used(store, blob, &it, &header))
        store->fault = "the table refers to a blob that is none";
    else if ((get(store, mark_word(blob)) & mark_bit(blob)) != 0)
        store->fault = "the table refers to a blob twice";
    else
        mark(store, blob);
}

/* What is in a row, from one end to the other. */
typedef struct tour {
    uint64_t unit;
    uint64_t listed; /* free blocks that belong in a list */
    bool follows_free;
} tour;

static const char *pass_block(const mpi_store *store, tour *at)
{
    uint64_t header = get(store, header_word(at->unit));
    bool is_noted = (header & FOLLOWS_FREE) != 0;
    block it;

    if (read_used(store, at->unit, &it, &header)) {
        if (next_marked(store, at->unit) != at->unit)
            return "a blob is in no table";
        if (is_noted != at->follows_free)
            return "a blob is wrong about what is before it";
        at->follows_free = false;
    } else if (read_free(store, at->unit, &it)) {
        if (at->follows_free || is_noted)
            return "two free blocks side by side are not one";
        at->listed += it.count >= LEAST_BLOB;
        at->follows_free = true;
    } else {
        return "there is neither a blob nor free room";
    }
    at->unit += it.count;
    if (next_marked(store, at->unit - it.count + 1) < at->unit)
        return "blobs overlap";
    return NULL;
}

static const char *pass_all(const mpi_store *store, uint64_t *listed)
{
    uint64_t end = end_of(store);
    tour at = {.unit = first_of(store)};
    const char *fault = NULL;

    while (fault == NULL && at.unit < end)
        fault = pass_block(store, &at);
    *listed = at.listed;
    if (fault == NULL &&
        ((get(store, header_word(end)) & FOLLOWS_FREE) != 0) != at.follows_free)
        return "the end is wrong about what is before it";
    return fault;
}

/* Takes what it finds off listed. */
static const char *pass_list(const mpi_store *store, place at, uint64_t *listed)
{
    bool has_bit = (columns_of(store, at.row) >> at.column & 1) != 0;
    uint64_t unit = get(store, list_word(at));
    uint64_t previous = 0;
    block it;

    if (has_bit != (unit != 0))
        return "a list of free blocks is not noted as what it is";
    while (unit != 0) {
        if (!read_free(store, unit, &it) ||
            get(store, previous_word(unit)) != previous ||
            list_word(place_of(it.count)) != list_word(at))
            return "a list of free blocks has one that does not belong there";
        if (*listed == 0)
            return "the lists have more than there is free";
        --*listed;
        previous = unit;
        unit = get(store, next_word(unit));
    }
    return NULL;
}

static const char *pass_lists(const mpi_store *store, uint64_t listed)
{
    const char *fault = NULL;

    for (uint32_t row = 0; row < ROWS && fault == NULL; row++) {
        bool has_bit = (rows_of(store) >> row & 1) != 0;

        if (has_bit != (columns_of(store, row) != 0))
            return "a row of lists is not noted as what it is";
        for (uint32_t i = 0; i < COLUMNS && fault == NULL; i++)
            fault = pass_list(store, (place){row, i}, &listed);
    }
    if (fault == NULL && listed != 0)
        return "a free block is in no list";
    return fault;
}

mp_error mpi_store_verify(mpi_store *store)
{
    const char *fault;
    uint64_t listed;

    if (!is_ready(store)) /* it has never been used */
        mpi_store_rebuild(store);
    store->fault = NULL;
    clear_marks(store);
    store->roots(store->context, store, mark_once);
    fault = store->fault;
    if (fault == NULL)
        fault = pass_all(store, &listed);
    if (fault == NULL)
        fault = pass_lists(store, listed);
    if (fault != NULL)
        return mpi_fail(MP_EPROTO, "it is damaged: %s", fault);
    return MP_OK;
}
