/* SPDX-License-Identifier: MIT */
/* The progress bar, as a terminal gets it. */
#include "support/testing.h"

#include "os.h"

#include <multiproc/pool.h>
#include <multiproc/system.h>

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

enum { COLUMNS = 60, OUTPUT_SIZE = 16384, MOMENT = 200 /* ms */ };

typedef struct terminal {
    int screen; /* what is drawn comes out here */
    int line;   /* what a program has as its terminal */
    int before; /* what stderr was */
} terminal;

static char output[OUTPUT_SIZE];

/* stderr is a terminal, COLUMNS wide, until close_terminal(). */
static terminal open_terminal(void)
{
    struct winsize size = {.ws_col = COLUMNS, .ws_row = 5};
    terminal it = {.screen = posix_openpt(O_RDWR | O_NOCTTY)};

    cr_assert_geq(it.screen, 0);
    cr_assert_eq(grantpt(it.screen), 0);
    cr_assert_eq(unlockpt(it.screen), 0);
    it.line = open(ptsname(it.screen), O_RDWR | O_NOCTTY);
    cr_assert_geq(it.line, 0);
    cr_assert_eq(ioctl(it.line, TIOCSWINSZ, &size), 0);
    cr_assert_eq(fcntl(it.screen, F_SETFL, O_NONBLOCK), 0);
    it.before = dup(STDERR_FILENO);
    cr_assert_geq(it.before, 0);
    cr_assert_geq(dup2(it.line, STDERR_FILENO), 0);
    return it;
}

/* Into output. What was written takes its time to come out. */
static void read_terminal(const terminal *it)
{
    struct pollfd screen = {.fd = it->screen, .events = POLLIN};
    size_t size = 0;
    ssize_t got = 1;

    while (got > 0 && poll(&screen, 1, MOMENT) == 1) {
        got = read(it->screen, output + size, sizeof(output) - 1 - size);
        size += got > 0 ? (size_t)got : 0;
    }
    output[size] = 0;
}

static void close_terminal(terminal *it)
{
    dup2(it->before, STDERR_FILENO);
    read_terminal(it);
    close(it->before);
    close(it->line);
    close(it->screen);
}

static size_t count_of(char wanted)
{
    size_t count = 0;

    for (const char *at = output; *at != 0; at++)
        count += *at == wanted;
    return count;
}

Test(progress_posix, terminal_tells_its_width)
{
    terminal it = open_terminal();
    struct winsize unknown = {.ws_col = 0};
    unsigned columns = mpos_terminal_columns(), usual = 0;

    if (ioctl(it.line, TIOCSWINSZ, &unknown) == 0)
        usual = mpos_terminal_columns();
    close_terminal(&it);
    cr_assert_eq(columns, (unsigned)COLUMNS);
    cr_assert_eq(usual, 80U);
}

Test(progress_posix, what_is_no_terminal_has_no_width)
{
    int before = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY);
    unsigned columns = 1, of_none = 1;

    cr_assert_geq(null, 0);
    dup2(null, STDERR_FILENO);
    columns = mpos_terminal_columns();
    close(STDERR_FILENO);
    of_none = mpos_terminal_columns();
    dup2(before, STDERR_FILENO);
    close(before);
    close(null);
    cr_assert_eq(columns, 0U);
    cr_assert_eq(of_none, 0U);
}

Test(progress_posix, line_is_drawn_over_itself_and_ends_with_the_last)
{
    terminal it = open_terminal();

    mp_progress_bar("roots", 0, 2);
    mp_progress_bar("roots", 2, 2);
    close_terminal(&it);
    cr_assert_eq(strncmp(output, "\rroots [....", 12), 0, "%s", output);
    cr_assert_not_null(strstr(output, "] 0/2   0%"), "%s", output);
    cr_assert_not_null(strstr(output, "\rroots [####"), "%s", output);
    cr_assert_not_null(strstr(output, "] 2/2 100% "), "%s", output);
    cr_assert_eq(count_of('\n'), 1U); /* the terminal adds a \r of its own */
    cr_assert_eq(output[strlen(output) - 1], '\n');
}

Test(progress_posix, line_is_drawn_ten_times_a_second_at_most)
{
    terminal it = open_terminal();
    double begun = mp_monotonic(), seconds;

    for (size_t i = 0; i < 100; i++) {
        mp_progress_bar(NULL, i, 100);
        mp_sleep(0.003);
    }
    seconds = mp_monotonic() - begun;
    close_terminal(&it);
    cr_assert_geq(count_of('\r'), 2U);
    cr_assert_leq((double)count_of('\r'), seconds * 10 + 1);
    cr_assert_eq(count_of('\n'), 0U);
}

Test(progress_posix, bar_that_goes_back_begins_anew)
{
    terminal it = open_terminal();

    mp_progress_bar(NULL, 5, 10);
    mp_progress_bar(NULL, 2, 10);
    close_terminal(&it);
    cr_assert_not_null(strstr(output, "] 5/10  50%"), "%s", output);
    cr_assert_not_null(strstr(output, "] 2/10  20% "), "%s", output);
}

Test(progress_posix, bars_at_a_time_know_nothing_of_each_other)
{
    terminal it = open_terminal();

    for (size_t i = 1; i <= 3; i++) {
        mp_progress_bar("one", i, 3);
        mp_progress_bar("two", i, 3);
    }
    close_terminal(&it);
    cr_assert_not_null(strstr(output, "one [####"), "%s", output);
    cr_assert_not_null(strstr(output, "two [####"), "%s", output);
    cr_assert_eq(count_of('\n'), 2U);
    cr_assert_eq(count_of('\r'), 2U * 2U + 2U); /* each twice; \r\n, twice */
}

Test(progress_posix, bars_of_one_title_are_told_apart_by_their_totals)
{
    terminal it = open_terminal();

    for (size_t i = 1; i <= 3; i++) {
        mp_progress_bar("one", i, 3);
        mp_progress_bar("one", i + 1, 4);
    }
    close_terminal(&it);
    cr_assert_not_null(strstr(output, "] 1/3  33%"), "%s", output);
    cr_assert_not_null(strstr(output, "] 2/4  50%"), "%s", output);
    cr_assert_eq(count_of('\n'), 2U);
    cr_assert_eq(count_of('\r'), 2U * 2U + 2U);
}

Test(progress_posix, fifth_bar_takes_the_place_of_the_oldest)
{
    char *titles[] = {"a", "b", "c", "d", "e"};
    terminal it = open_terminal();

    for (size_t i = 0; i < 5; i++)
        mp_progress_bar(titles[i], 1, 2);
    for (size_t i = 0; i < 5; i++)
        mp_progress_bar(titles[i], 2, 2);
    close_terminal(&it);
    cr_assert_eq(count_of('\n'), 5U);
}
