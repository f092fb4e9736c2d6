/* SPDX-License-Identifier: MIT */
/* realloc() for programs that have nothing to do without memory. */
#ifndef MEMORY_H
#define MEMORY_H

#include <multiproc/process.h>

#include <stdio.h>
#include <stdlib.h>

static inline void *allocate(void *old, size_t size)
{
    void *memory = realloc(old, size == 0 ? 1 : size);

    if (memory == NULL) {
        fprintf(stderr, "out of memory\n");
        mp_exit(1);
    }
    return memory;
}

#endif
