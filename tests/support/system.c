/* SPDX-License-Identifier: MIT */
/* The part of system.h that needs nothing of a particular system. */
#include "system.h"

#include "testing.h"

#include <stdio.h>
#include <stdlib.h>

void support_read_file(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "rb");
    size_t got = 0;

    if (file != NULL) {
        got = fread(text, 1, size - 1, file);
        fclose(file);
    }
    text[got] = 0;
}

/* What makes a start many times slower than it is, or an end: there the lines
 * that have run are written to as many files as there are in src. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || \
    defined(MULTIPROC_COVERAGE)
#define SUPPORT_IS_WATCHED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SUPPORT_IS_WATCHED 1
#endif
#endif
#ifndef SUPPORT_IS_WATCHED
#define SUPPORT_IS_WATCHED 0
#endif

bool support_is_watched(void)
{
    return SUPPORT_IS_WATCHED;
}

size_t support_scaled(size_t count)
{
    const char *scale = getenv("MULTIPROC_TEST_SCALE");
    size_t divisor = SUPPORT_IS_WATCHED ? 20 : 1;

    if (scale != NULL && atoi(scale) > 0)
        divisor = (size_t)atoi(scale);
    return count / divisor > 0 ? count / divisor : 1;
}
