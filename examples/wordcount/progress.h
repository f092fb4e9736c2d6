/* SPDX-License-Identifier: MIT */
/* A bar on stderr, if that is a terminal. */
#ifndef PROGRESS_H
#define PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct wc_progress {
    bool is_visible;
    double begin;
    double last; /* when it was drawn */
    size_t files_done, files;
    uint64_t bytes_done, bytes;
} wc_progress;

void progress_begin(wc_progress *progress, size_t files, uint64_t bytes);
void progress_add(wc_progress *progress, size_t files, uint64_t bytes);
/** Takes the bar away. */
void progress_end(wc_progress *progress);

#endif
