/* SPDX-License-Identifier: MIT */
/* Open addressing, linear probing, at most half full. */
#include "table.h"

#include "memory.h"

#include <string.h>

enum { FIRST_SLOTS = 1 << 14 };

/* What stands before each word's text in an encoded table. Both sides are the
 * same program on the same machine, so its bytes may travel as they are. */
typedef struct wc_header {
    uint64_t count;
    uint32_t length;
    uint32_t hash;
} wc_header;

static void grow_slots(wc_table *table)
{
    size_t size = table->slots == NULL ? FIRST_SLOTS : 2 * (table->mask + 1);

    free(table->slots);
    table->slots = allocate(NULL, size * sizeof(*table->slots));
    memset(table->slots, 0, size * sizeof(*table->slots));
    table->mask = size - 1;
    for (size_t i = 0; i < table->count; i++) {
        uint32_t hash = table->words[i].hash;
        size_t at = hash & table->mask;

        while (table->slots[at].number != 0)
            at = (at + 1) & table->mask;
        table->slots[at] = (wc_slot){.hash = hash, .number = (uint32_t)(i + 1)};
    }
}

static size_t store_text(wc_table *table, const char *text, size_t length)
{
    size_t offset = table->text_size;

    while (table->text_capacity - offset < length) {
        table->text_capacity = 2 * table->text_capacity + FIRST_SLOTS;
        table->text = allocate(table->text, table->text_capacity);
    }
    memcpy(table->text + offset, text, length);
    table->text_size += length;
    return offset;
}

static void append(wc_table *table, wc_word word)
{
    if (table->count == table->capacity) {
        table->capacity = 2 * table->capacity + FIRST_SLOTS;
        table->words =
            allocate(table->words, table->capacity * sizeof(*table->words));
    }
    table->words[table->count++] = word;
}

static bool is_word(const wc_table *table, const wc_slot *slot,
                    const char *text, size_t length)
{
    const wc_word *word = &table->words[slot->number - 1];

    return word->length == length &&
           memcmp(table->text + word->offset, text, length) == 0;
}

void table_add(wc_table *table, const char *text, size_t length, uint32_t hash,
               uint64_t count)
{
    size_t at;

    if (length > UINT32_MAX)
        return; /* 4 GiB without a space will not be among the frequent */
    if (table->slots == NULL || 2 * table->count > table->mask)
        grow_slots(table);

    for (at = hash & table->mask; table->slots[at].number != 0;
         at = (at + 1) & table->mask) {
        const wc_slot *slot = &table->slots[at];

        if (slot->hash == hash && is_word(table, slot, text, length)) {
            table->words[slot->number - 1].count += count;
            return;
        }
    }
    append(table, (wc_word){.count = count,
                            .offset = store_text(table, text, length),
                            .length = (uint32_t)length,
                            .hash = hash});
    table->slots[at] =
        (wc_slot){.hash = hash, .number = (uint32_t)table->count};
}

void *table_encode(const wc_table *table, size_t *size)
{
    char *data =
        allocate(NULL, table->text_size + table->count * sizeof(wc_header));
    char *end = data;

    for (size_t i = 0; i < table->count; i++) {
        const wc_word *word = &table->words[i];
        wc_header header = {
            .count = word->count, .length = word->length, .hash = word->hash};

        memcpy(end, &header, sizeof(wc_header));
        end += sizeof(wc_header);
        memcpy(end, table->text + word->offset, word->length);
        end += word->length;
    }
    *size = (size_t)(end - data);
    return data;
}

bool table_merge(wc_table *table, const void *data, size_t size)
{
    const char *next = data;

    while (size > 0) {
        wc_header header;

        if (size < sizeof(wc_header))
            return false;
        memcpy(&header, next, sizeof(wc_header));
        next += sizeof(wc_header);
        size -= sizeof(wc_header);
        if (size < header.length)
            return false;
        table_add(table, next, header.length, header.hash, header.count);
        next += header.length;
        size -= header.length;
    }
    return true;
}

static bool is_before(const wc_table *table, const wc_word *left,
                      const wc_word *right)
{
    size_t common = left->length < right->length ? left->length : right->length;
    int order;

    if (left->count != right->count)
        return left->count > right->count;
    order =
        memcmp(table->text + left->offset, table->text + right->offset, common);
    return order != 0 ? order < 0 : left->length < right->length;
}

size_t table_top(const wc_table *table, const wc_word **top, size_t limit)
{
    size_t count = 0;

    for (size_t i = 0; i < table->count && limit > 0; i++) {
        const wc_word *word = &table->words[i];
        size_t at = count;

        if (count == limit && !is_before(table, word, top[count - 1]))
            continue;
        if (count < limit)
            count++;
        else
            at--;
        for (; at > 0 && is_before(table, word, top[at - 1]); at--)
            top[at] = top[at - 1];
        top[at] = word;
    }
    return count;
}

void table_clear(wc_table *table)
{
    if (table->count > 0)
        memset(table->slots, 0, (table->mask + 1) * sizeof(*table->slots));
    table->count = 0;
    table->text_size = 0;
}

void table_free(wc_table *table)
{
    free(table->slots);
    free(table->words);
    free(table->text);
    memset(table, 0, sizeof(*table));
}
