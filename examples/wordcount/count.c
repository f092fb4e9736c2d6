/* SPDX-License-Identifier: MIT */
/*
 * A file is read in large pieces. The word at the end of a piece may go on in
 * the next one: it is moved to the front of the buffer and read again, with
 * what follows; the buffer grows if a word fills it.
 */
#include "count.h"

#include "memory.h"
#include "walk.h"

#include <errno.h>
#include <string.h>

enum { PEEK_SIZE = 8 * 1024, BUFFER_SIZE = 256 * 1024 };

/* Of the C locale, whatever the program's is. */
static const bool is_space[256] = {
    [' '] = true,  ['\t'] = true, ['\n'] = true,
    ['\v'] = true, ['\f'] = true, ['\r'] = true,
};

static bool is_counted(const wc_counter *counter, const unsigned char *word,
                       const unsigned char *end)
{
    if (!counter->must_print)
        return true;
    while (word < end && (*word < '!' || *word > '~'))
        word++;
    return word < end;
}

/* One word, which ends before `end` or there. Returns where it ends. */
static const unsigned char *take_word(wc_counter *counter,
                                      const unsigned char *begin,
                                      const unsigned char *end, bool *is_word)
{
    const unsigned char *next = begin;
    uint64_t hash = TABLE_HASH_BEGIN;

    do
        hash = TABLE_HASH_STEP(hash, *next++);
    while (next < end && !is_space[*next]);
    *is_word = is_counted(counter, begin, next);
    if (*is_word) {
        counter->totals.words++;
        table_add(&counter->table, (const char *)begin, (size_t)(next - begin),
                  TABLE_HASH_END(hash), 1);
    }
    return next;
}

/*
 * Counts [begin, end). Stops before a word that touches the end unless this is
 * the last piece; returns where. state tells how the text begins and ends.
 */
static const unsigned char *count_piece(wc_counter *counter,
                                        const unsigned char *begin,
                                        const unsigned char *end, bool is_last,
                                        unsigned char *state)
{
    const unsigned char *next = begin;
    const unsigned char *last = end;

    while (!is_last && last > begin && !is_space[last[-1]])
        last--;
    while (next < last) {
        bool is_word;

        if (is_space[*next]) {
            counter->totals.lines += *next++ == '\n';
            *state &= (unsigned char)~(FILE_SOLID | FILE_TAIL);
            continue;
        }
        next = take_word(counter, next, last, &is_word);
        if (is_word && *state & FILE_SOLID)
            *state |= FILE_HEAD;
        if (is_word)
            *state |= FILE_TAIL;
    }
    return next;
}

/* Reads on behind the first `kept` bytes of the buffer. */
static size_t read_piece(wc_counter *counter, FILE *stream, size_t kept)
{
    if (counter->capacity - kept < BUFFER_SIZE / 2) {
        counter->capacity = 2 * counter->capacity + BUFFER_SIZE;
        counter->buffer = allocate(counter->buffer, counter->capacity);
    }
    return fread(counter->buffer + kept, 1, counter->capacity - kept, stream);
}

static bool is_binary(const void *data, size_t size)
{
    return size > 0 && memchr(data, 0, size < PEEK_SIZE ? size : PEEK_SIZE);
}

static unsigned char count_stream(wc_counter *counter, FILE *stream)
{
    unsigned char state = FILE_TEXT | FILE_SOLID;
    size_t kept = 0, size = read_piece(counter, stream, 0);

    if (is_binary(counter->buffer, size))
        return FILE_BINARY;
    for (;;) {
        const unsigned char *end = counter->buffer + kept + size;
        bool is_last = size == 0 || feof(stream);
        const unsigned char *rest;

        counter->totals.bytes += size;
        rest = count_piece(counter, counter->buffer, end, is_last, &state);
        if (is_last)
            return ferror(stream) ? FILE_FAILED : state;
        kept = (size_t)(end - rest);
        memmove(counter->buffer, rest, kept);
        size = read_piece(counter, stream, kept);
    }
}

static FILE *open_unbuffered(const char *path)
{
    FILE *stream = walk_open(path);

    if (stream == NULL)
        fprintf(stderr, "wordcount: %s: %s\n", path, strerror(errno));
    else
        setvbuf(stream, NULL, _IONBF, 0); /* our pieces are larger */
    return stream;
}

unsigned char count_file(wc_counter *counter, const char *path)
{
    FILE *stream = open_unbuffered(path);
    wc_totals before = counter->totals;
    unsigned char state;

    if (stream == NULL)
        return FILE_FAILED;
    state = count_stream(counter, stream);
    if (state == FILE_FAILED) {
        fprintf(stderr, "wordcount: %s: %s\n", path, strerror(errno));
        counter->totals = before;
    }
    fclose(stream);
    return state;
}

unsigned char count_peek(const char *path)
{
    FILE *stream = open_unbuffered(path);
    unsigned char state = FILE_TEXT;
    char data[PEEK_SIZE];
    size_t size;

    if (stream == NULL)
        return FILE_FAILED;
    size = fread(data, 1, sizeof(data), stream);
    if (is_binary(data, size))
        state = FILE_BINARY;
    if (ferror(stream)) {
        fprintf(stderr, "wordcount: %s: %s\n", path, strerror(errno));
        state = FILE_FAILED;
    }
    fclose(stream);
    return state;
}

uint64_t count_join(const unsigned char *states, size_t count)
{
    uint64_t joined = 0;
    bool is_open = false; /* the text so far ends with a part of a word */

    for (size_t i = 0; i < count; i++) {
        if (!(states[i] & FILE_TEXT))
            continue;
        joined += is_open && states[i] & FILE_HEAD;
        is_open = states[i] & FILE_TAIL || (is_open && states[i] & FILE_SOLID);
    }
    return joined;
}

void counter_clear(wc_counter *counter)
{
    table_clear(&counter->table);
    counter->totals = (wc_totals){0};
}
