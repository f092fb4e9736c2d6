/* SPDX-License-Identifier: MIT */
#include "progress.h"

#include "walk.h"

#include <multiproc/system.h>

#include <stdio.h>

#define INTERVAL 0.05 /* s between two drawings */

enum { WIDTH = 30 };

void progress_begin(wc_progress *progress, size_t files, uint64_t bytes)
{
    *progress = (struct wc_progress){
        .is_visible = walk_stderr_is_terminal(),
        .begin = mp_monotonic(),
        .files = files,
        .bytes = bytes,
    };
}

static void draw(const wc_progress *progress, double seconds)
{
    double part = progress->bytes == 0
                      ? 0
                      : (double)progress->bytes_done / (double)progress->bytes;
    double rate = (double)progress->bytes_done / seconds;
    double left = part > 0 ? seconds / part - seconds : 0;
    char bar[WIDTH + 1];

    for (int i = 0; i < WIDTH; i++)
        bar[i] = i < (int)(part * (double)WIDTH) ? '#' : '.';
    bar[WIDTH] = 0;
    fprintf(stderr, "\r[%s] %zu/%zu files, %.1f MB/s, %.1f s left   ", bar,
            progress->files_done, progress->files, rate / 1e6,
            left > 0 ? left : 0);
    fflush(stderr);
}

void progress_add(wc_progress *progress, size_t files, uint64_t bytes)
{
    double now = mp_monotonic();

    progress->files_done += files;
    progress->bytes_done += bytes;
    if (!progress->is_visible || now - progress->last < INTERVAL)
        return;
    progress->last = now;
    draw(progress, now - progress->begin);
}

void progress_end(wc_progress *progress)
{
    if (progress->is_visible)
        fprintf(stderr, "\r%*s\r", WIDTH + 48, "");
}
