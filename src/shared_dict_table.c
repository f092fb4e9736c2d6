/* SPDX-License-Identifier: MIT */
/* The hash table of a shared dict: open addressing, from the place that the
 * upper half of a key's hash says onwards. */
#include "shared_dict_table.h"

#include "siphash.h"

#include <string.h>

enum {
    SLOTS_PER_ENTRY = 2,
    MORE_SLOTS = 8,
    TAG_BITS = 24,
    KEY_TYPE_BITS = 2, /* of a blob's word for its key, above is the size */
};

/* What a slot may hold but for entries. */
enum { EMPTY = 0, REMOVED = 1 };

static const uint64_t tag_mask = (1U << TAG_BITS) - 1;
static const uint64_t largest_blob = UINT64_MAX >> TAG_BITS;

/* The table area; behind it the two arrays. */
typedef struct dict_table {
    mpi_atomic64 active; /* which array counts */
    /* See mpi_dict_numbers. */
    mpi_atomic64 count;
    mpi_atomic64 used;
    mpi_atomic64 sequence;
    uint64_t unused[4];
} dict_table;

/* A blob: this, the key's bytes, the value's. Atomic, so that each is read
 * once, whoever writes there against the rules. */
typedef struct blob_head {
    mpi_atomic64 sequence;
    mpi_atomic64 hash;
    mpi_atomic64 key;
} blob_head;

_Static_assert(sizeof(dict_table) == 64, "the slots begin at a cache line");
_Static_assert(sizeof(blob_head) == 24, "an entry costs 32 bytes in all");
_Static_assert(MPI_DICT_KEY_TYPES <= 1 << KEY_TYPE_BITS, "a type fits");

static dict_table *table_of(const mpi_shared *shared)
{
    return shared->table;
}

static size_t slot_count(const mpi_shared *shared)
{
    return shared->capacity * SLOTS_PER_ENTRY + MORE_SLOTS;
}

static mpi_atomic64 *slots_of(const mpi_shared *shared, uint64_t which)
{
    mpi_atomic64 *first = (mpi_atomic64 *)(void *)(table_of(shared) + 1);

    return which == 0 ? first : first + slot_count(shared);
}

static uint64_t active(const mpi_shared *shared)
{
    return mpi_atomic64_load(&table_of(shared)->active) & 1;
}

static size_t place_of(const mpi_shared *shared, uint64_t hash)
{
    return (size_t)((hash >> 32) * slot_count(shared) >> 32);
}

static size_t after(size_t slot, size_t slots)
{
    return slot + 1 == slots ? 0 : slot + 1;
}

static bool is_entry(uint64_t word)
{
    return word > REMOVED;
}

static mp_error fail_damaged(void)
{
    return mpi_fail(MP_EPROTO, "the shared dict is damaged");
}

size_t mpi_dict_table_size(size_t capacity)
{
    const size_t most = UINT32_MAX / SLOTS_PER_ENTRY - MORE_SLOTS;
    size_t slots = capacity * SLOTS_PER_ENTRY + MORE_SLOTS;

    if (capacity > most ||
        slots > (SIZE_MAX - sizeof(dict_table)) / sizeof(mpi_atomic64) / 2)
        return SIZE_MAX;
    return sizeof(dict_table) + 2 * slots * sizeof(mpi_atomic64);
}

mp_error mpi_dict_table_check(const mpi_shared *shared)
{
    const dict_table *table = table_of(shared);

    if (mpi_atomic64_load(&table->active) > 1 ||
        mpi_atomic64_load(&table->count) > shared->capacity)
        return fail_damaged();
    return MP_OK;
}

size_t mpi_dict_table_count(const mpi_shared *shared)
{
    uint64_t count = mpi_atomic64_load(&table_of(shared)->count);

    return count < shared->capacity ? (size_t)count : shared->capacity;
}

/* -- Entries --------------------------------------------------------------- */

/* False: there is no such blob, or its sizes are wrong. */
static bool read_entry(const mpi_shared *shared, uint64_t word,
                       mpi_dict_entry *entry)
{
    size_t size = 0;
    const blob_head *head =
        mpi_store_at(&shared->store, word >> TAG_BITS, &size);
    const unsigned char *bytes;
    uint64_t key, key_size;

    if (head == NULL || size < sizeof(*head))
        return false;
    bytes = (const unsigned char *)(head + 1);
    size -= sizeof(*head);
    key = mpi_atomic64_load(&head->key);
    key_size = key >> KEY_TYPE_BITS;
    key &= (1U << KEY_TYPE_BITS) - 1;
    if (key_size > size || key >= MPI_DICT_KEY_TYPES ||
        (key == MPI_DICT_KEY_INT && key_size != sizeof(int64_t)))
        return false;
    entry->sequence = mpi_atomic64_load(&head->sequence);
    entry->hash = mpi_atomic64_load(&head->hash);
    entry->key =
        (mpi_dict_key){(mpi_dict_key_type)key, bytes, (size_t)key_size};
    entry->value = (mpos_bytes){bytes + key_size, size - (size_t)key_size};
    return true;
}

static bool is_same_key(const mpi_dict_entry *entry, uint64_t hash,
                        const mpi_dict_key *key)
{
    return entry->hash == hash && entry->key.type == key->type &&
           entry->key.size == key->size &&
           memcmp(entry->key.data, key->data, key->size) == 0;
}

static mp_error write_entry(mpi_shared *shared, const mpi_dict_entry *entry,
                            mpi_blob *blob)
{
    size_t key_size = entry->key.size, value_size = entry->value.size;
    unsigned char *bytes;
    blob_head *head;
    void *memory;
    mp_error err;

    if (key_size > (size_t)PTRDIFF_MAX / 4 ||
        value_size > (size_t)PTRDIFF_MAX / 4)
        return mpi_fail(MP_ENOSPC, "%zu bytes are more than there can be",
                        key_size > value_size ? key_size : value_size);
    err = mpi_store_alloc(&shared->store, sizeof(*head) + key_size + value_size,
                          blob, &memory);
    if (err != MP_OK)
        return err;
    head = memory;
    bytes = (unsigned char *)(head + 1);
    mpi_atomic64_store(&head->sequence, entry->sequence);
    mpi_atomic64_store(&head->hash, entry->hash);
    mpi_atomic64_store(&head->key, (uint64_t)key_size << KEY_TYPE_BITS |
                                       (uint64_t)entry->key.type);
    if (key_size > 0)
        memcpy(bytes, entry->key.data, key_size);
    if (value_size > 0)
        memcpy(bytes + key_size, entry->value.data, value_size);
    return MP_OK;
}

/* -- Looking --------------------------------------------------------------- */

/* The seed is the dict's own: nobody can choose keys that all collide without
 * having looked into it. */
static uint64_t hash_key(const mpi_shared *shared, const mpi_dict_key *key)
{
    const uint64_t seed[2] = {shared->seed, ~shared->seed};

    return mpi_siphash(seed, key->data, key->size);
}

mp_error mpi_dict_table_find(const mpi_shared *shared, const mpi_dict_key *key,
                             mpi_dict_place *place)
{
    const mpi_atomic64 *slots = slots_of(shared, active(shared));
    uint64_t hash = hash_key(shared, key);
    size_t count = slot_count(shared);
    size_t slot = place_of(shared, hash);
    size_t vacant = SIZE_MAX;

    place->hash = hash;
    for (size_t i = 0; i < count; i++) {
        uint64_t word = mpi_atomic64_load(&slots[slot]);

        if (!is_entry(word) && vacant == SIZE_MAX)
            vacant = slot;
        if (word == EMPTY)
            break;
        if (is_entry(word) && ((word ^ hash) & tag_mask) == 0) {
            if (!read_entry(shared, word, &place->entry))
                return fail_damaged();
            if (is_same_key(&place->entry, hash, key)) {
                place->word = word;
                place->slot = slot;
                return MP_OK;
            }
        }
        slot = after(slot, count);
    }
    place->word = 0;
    place->slot = vacant;
    return MP_OK;
}

mp_error mpi_dict_table_next(const mpi_shared *shared, mpi_dict_place *place)
{
    const mpi_atomic64 *slots = slots_of(shared, active(shared));
    size_t count = slot_count(shared);

    for (size_t slot = place->slot + 1; slot < count; slot++) {
        uint64_t word = mpi_atomic64_load(&slots[slot]);

        if (!is_entry(word))
            continue;
        place->slot = slot;
        place->word = word;
        if (!read_entry(shared, word, &place->entry))
            return fail_damaged();
        place->hash = place->entry.hash;
        return MP_OK;
    }
    return MP_ENOTFOUND;
}

/* -- The other array ------------------------------------------------------- */

static mpi_atomic64 *empty_idle(mpi_shared *shared)
{
    mpi_atomic64 *idle = slots_of(shared, 1 - active(shared));

    memset((void *)idle, 0, slot_count(shared) * sizeof(*idle));
    return idle;
}

static void switch_to_idle(mpi_shared *shared, size_t count)
{
    dict_table *table = table_of(shared);

    mpi_atomic64_store(&table->active, 1 - active(shared));
    mpi_atomic64_store(&table->count, count);
    mpi_atomic64_store(&table->used, count);
}

/* The same entries, without the marks. */
static mp_error rehash(mpi_shared *shared)
{
    const mpi_atomic64 *from = slots_of(shared, active(shared));
    mpi_atomic64 *to = empty_idle(shared);
    size_t slots = slot_count(shared);
    size_t count = 0;

    for (size_t i = 0; i < slots; i++) {
        uint64_t word = mpi_atomic64_load(&from[i]);
        mpi_dict_entry entry;
        size_t slot;

        if (!is_entry(word))
            continue;
        if (!read_entry(shared, word, &entry))
            return fail_damaged();
        slot = place_of(shared, entry.hash);
        while (mpi_atomic64_load(&to[slot]) != EMPTY)
            slot = after(slot, slots);
        mpi_atomic64_store(&to[slot], word);
        count++;
    }
    switch_to_idle(shared, count);
    return MP_OK;
}

void mpi_dict_table_clear(mpi_shared *shared)
{
    (void)empty_idle(shared);
    switch_to_idle(shared, 0);
    mpi_store_rebuild(&shared->store);
}

/* -- Changing -------------------------------------------------------------- */

static void add_to(mpi_atomic64 *number, uint64_t change)
{
    mpi_atomic64_store(number, mpi_atomic64_load(number) + change);
}

static bool slot_is_empty(const mpi_shared *shared, size_t slot)
{
    const mpi_atomic64 *slots = slots_of(shared, active(shared));

    return mpi_atomic64_load(&slots[slot]) == EMPTY;
}

/* A quarter stays empty: whoever looks for what is not there stops there. */
static bool is_crowded(const mpi_shared *shared, const mpi_dict_place *place)
{
    size_t slots = slot_count(shared);

    return place->slot == SIZE_MAX ||
           (slot_is_empty(shared, place->slot) &&
            mpi_atomic64_load(&table_of(shared)->used) >= slots - slots / 4);
}

static mp_error make_room(mpi_shared *shared, const mpi_dict_key *key,
                          mpi_dict_place *place)
{
    mp_error err;

    if (mpi_dict_table_count(shared) >= shared->capacity)
        return mpi_fail(MP_ENOSPC, "the shared dict has all of its %zu keys",
                        shared->capacity);
    if (!is_crowded(shared, place))
        return MP_OK;
    err = rehash(shared);
    if (err == MP_OK)
        err = mpi_dict_table_find(shared, key, place);
    return err == MP_OK && is_crowded(shared, place) ? fail_damaged() : err;
}

static void enter(mpi_shared *shared, const mpi_dict_place *place,
                  uint64_t word)
{
    mpi_atomic64 *slots = slots_of(shared, active(shared));
    dict_table *table = table_of(shared);
    bool is_empty = slot_is_empty(shared, place->slot);

    add_to(&table->sequence, 1);
    mpi_atomic64_store(&slots[place->slot], word);
    add_to(&table->count, 1);
    if (is_empty)
        add_to(&table->used, 1);
}

static void replace(mpi_shared *shared, const mpi_dict_place *place,
                    uint64_t word)
{
    mpi_atomic64 *slots = slots_of(shared, active(shared));

    mpi_atomic64_store(&slots[place->slot], word);
    mpi_store_free(&shared->store, place->word >> TAG_BITS);
}

mp_error mpi_dict_table_put(mpi_shared *shared, const mpi_dict_key *key,
                            mpi_dict_place *place, mpos_bytes value)
{
    mpi_dict_entry entry = {.key = *key, .value = value};
    bool is_new = place->word == 0;
    mpi_blob blob;
    uint64_t word;
    mp_error err = is_new ? make_room(shared, key, place) : MP_OK;

    if (err != MP_OK)
        return err;
    entry.hash = place->hash;
    entry.sequence = is_new ? mpi_atomic64_load(&table_of(shared)->sequence)
                            : place->entry.sequence;
    err = write_entry(shared, &entry, &blob);
    if (err != MP_OK)
        return err;
    if (blob == 0 || blob > largest_blob)
        return fail_damaged();
    word = blob << TAG_BITS | (entry.hash & tag_mask);
    if (is_new)
        enter(shared, place, word);
    else
        replace(shared, place, word);
    return MP_OK;
}

/* Nobody looks beyond an empty slot: before it, no mark is needed. */
static uint64_t drop_marks(mpi_atomic64 *slots, size_t count, size_t slot)
{
    uint64_t dropped = 0;

    while (dropped < count && mpi_atomic64_load(&slots[slot]) == REMOVED) {
        mpi_atomic64_store(&slots[slot], EMPTY);
        dropped++;
        slot = slot == 0 ? count - 1 : slot - 1;
    }
    return dropped;
}

void mpi_dict_table_remove(mpi_shared *shared, const mpi_dict_place *place)
{
    mpi_atomic64 *slots = slots_of(shared, active(shared));
    dict_table *table = table_of(shared);
    size_t count = slot_count(shared);

    mpi_atomic64_store(&slots[place->slot], REMOVED);
    add_to(&table->count, UINT64_MAX);
    if (slot_is_empty(shared, after(place->slot, count)))
        add_to(&table->used, 0 - drop_marks(slots, count, place->slot));
    mpi_store_free(&shared->store, place->word >> TAG_BITS);
}

/* -- After a death --------------------------------------------------------- */

void mpi_dict_table_roots(void *context, mpi_store *store,
                          void (*mark)(mpi_store *store, mpi_blob blob))
{
    const mpi_shared *shared = context;
    const mpi_atomic64 *slots = slots_of(shared, active(shared));
    size_t count = slot_count(shared);

    for (size_t i = 0; i < count; i++) {
        uint64_t word = mpi_atomic64_load(&slots[i]);

        if (is_entry(word))
            mark(store, word >> TAG_BITS);
    }
}

mpi_dict_numbers mpi_dict_table_numbers(const mpi_shared *shared)
{
    const dict_table *table = table_of(shared);

    return (mpi_dict_numbers){
        .count = mpi_atomic64_load(&table->count),
        .used = mpi_atomic64_load(&table->used),
        .sequence = mpi_atomic64_load(&table->sequence),
    };
}

mpi_dict_numbers mpi_dict_table_recount(const mpi_shared *shared)
{
    const mpi_atomic64 *slots = slots_of(shared, active(shared));
    size_t slots_in_all = slot_count(shared);
    mpi_dict_numbers found = {0};

    for (size_t i = 0; i < slots_in_all; i++) {
        uint64_t word = mpi_atomic64_load(&slots[i]);
        mpi_dict_entry entry;

        found.used += word != EMPTY;
        found.count += is_entry(word);
        if (is_entry(word) && read_entry(shared, word, &entry) &&
            entry.sequence >= found.sequence)
            found.sequence = entry.sequence + 1;
    }
    return found;
}

void mpi_dict_table_repair(mpi_shared *shared)
{
    mpi_dict_numbers found = mpi_dict_table_recount(shared);
    dict_table *table = table_of(shared);

    /* Less only if the machine went down, and not all of a file was written. */
    if (mpi_atomic64_load(&table->sequence) < found.sequence)
        mpi_atomic64_store(&table->sequence, found.sequence);
    mpi_atomic64_store(&table->count, found.count);
    mpi_atomic64_store(&table->used, found.used);
}
