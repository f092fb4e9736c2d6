/* SPDX-License-Identifier: MIT */
/*
 * UTF-8, with Python's one addition: a lone surrogate is kept as the three
 * bytes it would have ("surrogatepass"), so that every Python str survives.
 */
#include "obj.h"

#include <string.h>

/* Bytes of the sequence at text, 0 if it is none. Overlong forms and code
 * points beyond U+10FFFF are none. */
static size_t sequence_size(const unsigned char *text, size_t size)
{
    unsigned char first = text[0];

    if (first < 0xC2 || first > 0xF4 || size < 2 || (text[1] & 0xC0) != 0x80)
        return 0;
    if (first < 0xE0)
        return 2;
    if (size < 3 || (text[2] & 0xC0) != 0x80 ||
        (first == 0xE0 && text[1] < 0xA0))
        return 0;
    if (first < 0xF0)
        return 3;
    if (size < 4 || (text[3] & 0xC0) != 0x80 ||
        (first == 0xF0 && text[1] < 0x90) || (first == 0xF4 && text[1] > 0x8F))
        return 0;
    return 4;
}

/* How many bytes from the start are ASCII; eight at a time. */
static size_t ascii_prefix(const unsigned char *text, size_t size)
{
    const uint64_t high_bits = UINT64_C(0x8080808080808080);
    size_t i = 0;

    for (uint64_t word; size - i >= sizeof(word); i += sizeof(word)) {
        memcpy(&word, text + i, sizeof(word));
        if ((word & high_bits) != 0)
            break;
    }
    while (i < size && text[i] < 0x80)
        i++;
    return i;
}

bool mpi_text_check(const void *data, size_t size, size_t *length,
                    uint8_t *flags)
{
    const unsigned char *text = data;
    size_t i = size == 0 ? 0 : ascii_prefix(text, size);
    size_t points = i;
    uint8_t found = i == size ? MPI_STR_ASCII : 0;

    while (i < size) {
        size_t step = text[i] < 0x80 ? 1 : sequence_size(text + i, size - i);

        if (step == 0)
            return false;
        if (step == 3 && text[i] == 0xED && text[i + 1] >= 0xA0)
            found |= MPI_STR_SURROGATES;
        i += step;
        points++;
    }
    *length = points;
    *flags = found;
    return true;
}

uint32_t mpi_text_next(const char **text)
{
    const unsigned char *at = (const unsigned char *)*text;

    if (at[0] < 0x80) {
        *text += 1;
        return at[0];
    }
    if (at[0] < 0xE0) {
        *text += 2;
        return (uint32_t)(at[0] & 0x1F) << 6 | (at[1] & 0x3F);
    }
    if (at[0] < 0xF0) {
        *text += 3;
        return (uint32_t)(at[0] & 0x0F) << 12 | (uint32_t)(at[1] & 0x3F) << 6 |
               (at[2] & 0x3F);
    }
    *text += 4;
    return (uint32_t)(at[0] & 0x07) << 18 | (uint32_t)(at[1] & 0x3F) << 12 |
           (uint32_t)(at[2] & 0x3F) << 6 | (at[3] & 0x3F);
}

size_t mpi_text_put(char *text, uint32_t code)
{
    unsigned char *to = (unsigned char *)text;

    if (code < 0x80) {
        to[0] = (unsigned char)code;
        return 1;
    }
    if (code < 0x800) {
        to[0] = (unsigned char)(0xC0 | code >> 6);
        to[1] = (unsigned char)(0x80 | (code & 0x3F));
        return 2;
    }
    if (code < 0x10000) {
        to[0] = (unsigned char)(0xE0 | code >> 12);
        to[1] = (unsigned char)(0x80 | (code >> 6 & 0x3F));
        to[2] = (unsigned char)(0x80 | (code & 0x3F));
        return 3;
    }
    to[0] = (unsigned char)(0xF0 | code >> 18);
    to[1] = (unsigned char)(0x80 | (code >> 12 & 0x3F));
    to[2] = (unsigned char)(0x80 | (code >> 6 & 0x3F));
    to[3] = (unsigned char)(0x80 | (code & 0x3F));
    return 4;
}

void mpi_text_mend(char *text)
{
    size_t size = strlen(text);
    size_t length;
    uint8_t flags;

    if (mpi_text_check(text, size, &length, &flags))
        return;
    for (size_t i = 0, step; i < size; i += step) {
        unsigned char first = (unsigned char)text[i];

        step = first < 0x80
                   ? 1
                   : sequence_size((unsigned char *)text + i, size - i);
        if (step == 0) {
            text[i] = '?';
            step = 1;
        }
    }
}
