/* SPDX-License-Identifier: MIT */
/* What a file of ours holds: what the fuzzer's bytes then change. */
#ifndef FUZZ_PATTERN_H
#define FUZZ_PATTERN_H

#include "arena.h"
#include "input.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct pattern {
    unsigned char *bytes;
    size_t size;
} pattern;

static inline void read_pattern(const char *path, size_t most, pattern *out)
{
    FILE *file = fopen(path, "rb");

    require(file != NULL);
    out->bytes = malloc(most);
    require(out->bytes != NULL);
    out->size = fread(out->bytes, 1, most, file);
    require(out->size > MPI_ARENA_TABLE && out->size < most);
    fclose(file);
}

#endif
