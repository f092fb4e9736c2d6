/* SPDX-License-Identifier: MIT */
/* What fuzz targets make of their bytes. */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

static inline void require(bool is_so)
{
    if (!is_so)
        abort();
}

/* Bytes that are used up; then zeros. */
typedef struct input {
    const uint8_t *at;
    const uint8_t *end;
} input;

static inline uint8_t take(input *from)
{
    return from->at < from->end ? *from->at++ : 0;
}

/* Of so many bytes, little-endian. */
static inline uint64_t take_number(input *from, int size)
{
    uint64_t number = 0;

    for (int i = 0; i < size; i++)
        number |= (uint64_t)take(from) << 8 * i;
    return number;
}

#endif
