/* SPDX-License-Identifier: MIT */
/* How often each word was seen: a hash table that travels as bytes. */
#ifndef TABLE_H
#define TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct wc_word {
    uint64_t count;
    size_t offset; /* of its text in table.text */
    uint32_t length;
    uint32_t hash;
} wc_word;

/* An index into the words, and enough of the hash to rarely look there in
 * vain. */
typedef struct wc_slot {
    uint32_t hash;
    uint32_t number; /* of the word, from 1; 0: free */
} wc_slot;

/** Zero is an empty table. */
typedef struct wc_table {
    wc_slot *slots;
    size_t mask; /* number of slots - 1 */
    wc_word *words;
    size_t count;
    size_t capacity;
    char *text;
    size_t text_size;
    size_t text_capacity;
} wc_table;

/* FNV-1a, step by step, while the caller looks for the end of the word. */
#define TABLE_HASH_BEGIN UINT64_C(0xcbf29ce484222325)
#define TABLE_HASH_STEP(hash, byte) \
    (((hash) ^ (uint64_t)(byte)) * UINT64_C(0x100000001b3))
#define TABLE_HASH_END(hash) ((uint32_t)((hash) ^ (hash) >> 32))

void table_add(wc_table *table, const char *text, size_t length, uint32_t hash,
               uint64_t count);

/** All of it in one malloc'ed block. */
void *table_encode(const wc_table *table, size_t *size);
/** Adds what another table was encoded to; false if that is cut short. */
bool table_merge(wc_table *table, const void *data, size_t size);

/**
 * The most frequent words, ties by their bytes.
 * @param top  room for limit
 * @return how many there are
 */
size_t table_top(const wc_table *table, const wc_word **top, size_t limit);

/** Empty again, with memory for as many words. */
void table_clear(wc_table *table);
void table_free(wc_table *table);

#endif
