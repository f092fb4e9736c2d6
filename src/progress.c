/* SPDX-License-Identifier: MIT */
/*
 * A bar on the terminal. Each thread remembers the last few bars that it has
 * drawn: a pool calls with its own thread, so bars of several pools know
 * nothing of each other. All are drawn on one line, that of the cursor: of two
 * at a time one sees the one that was drawn last; each writes its last state as
 * a line of its own.
 */
#include "progress.h"

#include "internal.h"
#include "os.h"

#include <multiproc/pool.h>

#include <stdio.h>
#include <string.h>

enum {
    BARS = 4, /* at a time, of one thread */
    MOST_FILL = 40,
    LEAST_FILL = 5,
    NUMBERS_SIZE = 160,
};

#define INTERVAL INT64_C(100000000) /* ns between two drawings */

/* -- The line -------------------------------------------------------------- */

/* "0.5", "42.3", "1234", as short as four figures allow, then "12.3k". */
static void write_rate(char *text, size_t size, double rate)
{
    const char *units[] = {"", "k", "M", "G"};
    size_t unit = 0;

    for (; rate >= 9999.5 && unit < 3; unit++)
        rate /= 1000;
    snprintf(text, size, rate < 99.95 ? "%.1f%s/s" : "%.0f%s/s", rate,
             units[unit]);
}

/* "0:07", "12:34", "1:02:03". */
static void write_time(char *text, size_t size, double seconds)
{
    const double longest = 359999; /* 99:59:59 */
    long whole = (long)(seconds < longest ? seconds + 0.5 : longest);

    if (whole >= 3600)
        snprintf(text, size, "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60,
                 whole % 60);
    else
        snprintf(text, size, "%ld:%02ld", whole / 60, whole % 60);
}

/* All behind the bar. Of what was counted in no time there is no rate. */
static void write_numbers(char *text, size_t size, const mpi_progress *progress)
{
    size_t done = progress->done;
    double part =
        progress->total == 0 ? 1 : (double)done / (double)progress->total;
    double rate = progress->seconds > 0
                      ? (double)progress->counted / progress->seconds
                      : 0;
    double left = (double)(progress->total - done);
    char speed[32], time[32];

    write_rate(speed, sizeof(speed), rate);
    if (done == progress->total)
        write_time(time, sizeof(time), progress->seconds);
    else if (rate > 0)
        write_time(time, sizeof(time), left / rate);
    snprintf(text, size, "%zu/%zu %3d%%", done, progress->total,
             (int)(part * 100));
    size -= strlen(text);
    text += strlen(text);
    if (rate > 0)
        snprintf(text, size, " %s %s %s", speed, time,
                 done == progress->total ? "in all" : "left");
}

/* Characters, taken for one column each. */
static size_t count_columns(const char *text)
{
    size_t count = 0;

    for (; *text != 0; text++)
        count += ((unsigned char)*text & 0xC0) != 0x80;
    return count;
}

/* Adds what there are columns for, and counts them. */
static char *append(char *end, const char *text, size_t *columns)
{
    for (; *text != 0; text++) {
        bool is_first = ((unsigned char)*text & 0xC0) != 0x80;

        if (is_first && *columns == 0)
            break;
        *columns -= is_first;
        *end++ = (unsigned char)*text < ' ' ? ' ' : *text;
    }
    return end;
}

/* The bar gets what the rest leaves of the line. */
static char *append_bar(char *end, const mpi_progress *progress, size_t fill)
{
    size_t full = progress->total == 0
                      ? fill
                      : (size_t)((double)progress->done /
                                 (double)progress->total * (double)fill);

    *end++ = '[';
    memset(end, '#', full);
    memset(end + full, '.', fill - full);
    end += fill;
    *end++ = ']';
    *end++ = ' ';
    return end;
}

void mpi_progress_line(char line[MPI_PROGRESS_SIZE], unsigned columns,
                       const mpi_progress *progress)
{
    char numbers[NUMBERS_SIZE], *end = line;
    /* Who writes into the last column may be on the next line. A title's
     * characters have up to four bytes. */
    size_t room =
        columns < MPI_PROGRESS_SIZE / 4 ? columns : MPI_PROGRESS_SIZE / 4;
    size_t rest, needed;

    room -= room > 0;
    rest = room;
    write_numbers(numbers, sizeof(numbers), progress);
    if (progress->title != NULL) {
        end = append(end, progress->title, &rest);
        end = append(end, " ", &rest);
    }
    needed = count_columns(numbers) + strlen("[] ");
    if (rest >= needed + LEAST_FILL) {
        size_t fill = rest - needed;

        fill = fill < MOST_FILL ? fill : MOST_FILL;
        end = append_bar(end, progress, fill);
        rest -= fill + strlen("[] ");
    }
    end = append(end, numbers, &rest);
    memset(end, ' ', rest);
    end[rest] = 0;
}

/* -- Drawing --------------------------------------------------------------- */

typedef struct bar {
    const void *context;
    size_t total;
    size_t begun_with; /* how many were done when it was seen first */
    size_t done;
    int64_t begun; /* 0: this is none */
    int64_t drawn; /* 0: not yet */
} bar;

static MPI_THREAD_LOCAL bar bars[BARS];

/* Returns the one that is known, or a new one in the place of the oldest. */
static bar *find_bar(const void *context, size_t total)
{
    bar *oldest = &bars[0];

    for (size_t i = 0; i < BARS; i++) {
        if (bars[i].begun != 0 && bars[i].context == context &&
            bars[i].total == total)
            return &bars[i];
        if (bars[i].begun < oldest->begun)
            oldest = &bars[i];
    }
    *oldest = (bar){.context = context, .total = total};
    return oldest;
}

static void draw(bar *drawn, int64_t now, unsigned columns)
{
    bool is_last = drawn->done == drawn->total;
    mpi_progress progress = {
        .title = drawn->context,
        .done = drawn->done,
        .total = drawn->total,
        .counted = drawn->done - drawn->begun_with,
        .seconds = (double)(now - drawn->begun) / 1e9,
    };
    char line[MPI_PROGRESS_SIZE];

    mpi_progress_line(line, columns, &progress);
    fprintf(stderr, is_last ? "\r%s\n" : "\r%s", line);
    fflush(stderr);
}

void mp_progress_bar(void *context, size_t done, size_t total)
{
    bar *drawn = find_bar(context, total);
    int64_t now = mpos_now();
    unsigned columns;

    done = done < total ? done : total;
    if (drawn->begun == 0 || done < drawn->done)
        *drawn = (bar){.context = context,
                       .total = total,
                       .begun_with = done,
                       .begun = now};
    drawn->done = done;
    if (done == total || drawn->drawn == 0 || now - drawn->drawn >= INTERVAL) {
        drawn->drawn = now;
        columns = mpos_terminal_columns();
        if (columns > 0)
            draw(drawn, now, columns);
    }
    if (done == total)
        *drawn = (bar){0};
}
