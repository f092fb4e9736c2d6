/* SPDX-License-Identifier: MIT */
/* The progress bar's line, and that there is none where no terminal is. */
#include "support/testing.h"

#include "os.h"
#include "progress.h"

#include <multiproc/pool.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char line[MPI_PROGRESS_SIZE];

/* The line without the spaces at its end. */
static const char *write_line(unsigned columns, mpi_progress progress)
{
    size_t size;

    memset(line, 'x', sizeof(line));
    mpi_progress_line(line, columns, &progress);
    for (size = strlen(line); size > 0 && line[size - 1] == ' '; size--)
        line[size - 1] = 0;
    return line;
}

/* So many of so many, all of them seen to be done. */
static const char *after(size_t done, size_t total, double seconds)
{
    return write_line(54, (mpi_progress){.done = done,
                                         .total = total,
                                         .counted = done,
                                         .seconds = seconds});
}

static size_t columns_of(const char *text)
{
    size_t count = 0;

    for (; *text != 0; text++)
        count += ((unsigned char)*text & 0xC0) != 0x80;
    return count;
}

Test(progress, line_says_how_many_how_fast_and_how_long)
{
    cr_assert_str_eq(after(250, 1000, 20),
                     "[#####...............] 250/1000  25% 12.5/s 1:00 left");
}

Test(progress, last_line_says_how_long_it_took)
{
    cr_assert_str_eq(after(1000, 1000, 80),
                     "[#################] 1000/1000 100% 12.5/s 1:20 in all");
}

Test(progress, hours_are_shown_when_there_are_any)
{
    cr_assert_not_null(strstr(after(1, 3, 1799), "  33% 0.0/s 59:58 left"));
    cr_assert_not_null(strstr(after(1, 3, 1800), " 0.0/s 1:00:00 left"));
    cr_assert_not_null(strstr(after(1, 2, 1e9), " 0.0/s 99:59:59 left"));
}

Test(progress, fast_rates_have_units)
{
    cr_assert_not_null(strstr(after(9999, 20000, 1), " 9999/s "));
    cr_assert_not_null(strstr(after(12345, 20000, 1), " 12.3k/s "));
    cr_assert_not_null(strstr(after(2500000, 5000000, 0.1), " 25.0M/s "));
}

Test(progress, nothing_is_promised_before_anything_is_done)
{
    cr_assert_str_eq(after(0, 7, 3), "[" /* 40 of them */
                                     "........................................"
                                     "] 0/7   0%");
    cr_assert_str_eq(after(7, 7, 0), "["
                                     "########################################"
                                     "] 7/7 100%");
}

Test(progress, what_was_done_before_does_not_count_as_speed)
{
    mpi_progress late = {.done = 90, .total = 100, .counted = 5, .seconds = 5};

    cr_assert_not_null(strstr(write_line(80, late), " 90% 1.0/s 0:10 left"));
}

Test(progress, nothing_of_nothing_is_all)
{
    cr_assert_not_null(strstr(after(0, 0, 0), "#] 0/0 100%"));
}

Test(progress, only_the_whole_is_a_full_bar)
{
    cr_assert_not_null(strstr(after(9999, 10000, 1), "#.] 9999/10000  99%"));
}

Test(progress, title_stands_before_the_bar)
{
    mpi_progress titled = {.title = "größe\n", .done = 1, .total = 2};

    cr_assert_str_eq(write_line(39, titled),
                     "größe  [##########..........] 1/2  50%");
}

Test(progress, narrow_terminals_get_no_bar)
{
    mpi_progress half = {
        .title = "t", .done = 1, .total = 2, .counted = 1, .seconds = 1};

    cr_assert_str_eq(write_line(35, half),
                     "t [##...] 1/2  50% 1.0/s 0:01 left");
    cr_assert_str_eq(write_line(34, half), "t 1/2  50% 1.0/s 0:01 left");
    cr_assert_str_eq(write_line(10, half), "t 1/2  50");
}

Test(progress, line_always_fills_all_but_the_last_column)
{
    mpi_progress half = {
        .title = "日本語", .done = 1, .total = 2, .counted = 1, .seconds = 1};

    for (unsigned columns = 1; columns < 100; columns++) {
        memset(line, 'x', sizeof(line));
        mpi_progress_line(line, columns, &half);
        cr_assert_eq(columns_of(line), columns - 1, "%u: %zu", columns,
                     columns_of(line));
    }
    mpi_progress_line(line, 0, &half);
    cr_assert_str_empty(line);
    mpi_progress_line(line, 1000000, &half);
    cr_assert_lt(strlen(line), sizeof(line));
}

Test(progress, longest_numbers_and_titles_fit)
{
    char title[4 * MPI_PROGRESS_SIZE + 1];
    mpi_progress longest = {
        .title = title, .done = SIZE_MAX - 1, .total = SIZE_MAX, .counted = 1};

    for (size_t i = 0; i + 4 < sizeof(title); i += 4)
        memcpy(title + i, "\xF0\x9F\x8D\xBA", 4);
    title[sizeof(title) - 1] = 0;
    longest.seconds = 1e-9;
    mpi_progress_line(line, 1000000, &longest);
    cr_assert_lt(strlen(line), sizeof(line));
    longest.title = NULL;
    cr_assert_str_not_empty(write_line(1000000, longest));
}

/* Under a test runner stderr may be one; files never are. */
Test(progress, nothing_is_drawn_where_there_is_no_terminal)
{
    const char *path = "unit_progress.tmp";
    long size = -1;
    FILE *file;

    cr_assert_not_null(freopen(path, "w", stderr));
    mp_progress_bar("title", 1, 2);
    mp_progress_bar("title", 2, 2);
    fflush(stderr);
    file = fopen(path, "rb");
    if (file != NULL && fseek(file, 0, SEEK_END) == 0)
        size = ftell(file);
    if (file != NULL)
        fclose(file);
    remove(path);
    cr_assert_eq(size, 0L);
}
