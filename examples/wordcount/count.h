/* SPDX-License-Identifier: MIT */
/*
 * Counting one file, as wc does: lines are newlines, words are what stands
 * between whitespace.
 *
 * wc sees the files that cat gives it as one text, so that a file without a
 * newline at its end and the next one may share a word. Files are counted apart
 * here, and tell how they begin and end: see count_join().
 */
#ifndef COUNT_H
#define COUNT_H

#include "table.h"

#include <stdbool.h>

typedef struct wc_totals {
    uint64_t lines;
    uint64_t words;
    uint64_t bytes;
} wc_totals;

/* What became of a file. */
enum {
    FILE_TEXT = 1,   /* it has been counted */
    FILE_BINARY = 2, /* a zero byte among the first 8 KiB; skipped */
    FILE_FAILED = 4, /* it could not be read; skipped */
    /* Of a text: */
    FILE_HEAD = 8,  /* it begins with a word, or a part of one */
    FILE_TAIL = 16, /* it ends with a word, or a part of one */
    FILE_SOLID = 32 /* there is no whitespace in it */
};

typedef struct wc_counter {
    wc_table table;
    wc_totals totals;
    /** A word has a printable ASCII character, as GNU wc has it in the C
     *  locale, until coreutils 9.5. */
    bool must_print;
    unsigned char *buffer;
    size_t capacity;
} wc_counter;

/**
 * Adds the words of a file to the table, and its sums to the totals.
 * @return what became of it; failures are reported on stderr.
 */
unsigned char count_file(wc_counter *counter, const char *path);

/** What count_file() would say, without counting. */
unsigned char count_peek(const char *path);

/** How many words less there are if the files are one text. */
uint64_t count_join(const unsigned char *states, size_t count);

/** Forgets what was counted, and keeps the memory for it. */
void counter_clear(wc_counter *counter);

#endif
