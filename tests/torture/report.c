/* SPDX-License-Identifier: MIT */
/* The table in the end: rounds, deaths by method and by kind, checks, times. */
#include "report.h"

#include <stdio.h>
#include <string.h>

static report_line lines[REPORT_STORMS];
static size_t line_count;

report_line *report_of(const storm *what)
{
    for (size_t i = 0; i < line_count; i++)
        if (lines[i].storm == what)
            return &lines[i];
    cr_assert_lt(line_count, (size_t)REPORT_STORMS, "too many storms");
    lines[line_count].storm = what;
    return &lines[line_count++];
}

void report_add_death(report_line *line, mp_start_method method,
                      const char *whom)
{
    report_role *role = line->roles;
    int i = 0;

    while (i < REPORT_ROLES && role[i].whom != NULL &&
           strcmp(role[i].whom, whom) != 0)
        i++;
    cr_assert_lt(i, REPORT_ROLES, "too many kinds");
    role[i].whom = whom;
    role[i].count++;
    line->by_method[method]++;
}

static void print_roles(const report_line *line)
{
    const char *comma = "";

    for (int i = 0; i < REPORT_ROLES && line->roles[i].whom != NULL; i++) {
        printf("%s%zu %s", comma, line->roles[i].count, line->roles[i].whom);
        comma = ", ";
    }
}

static void print_line(const report_line *line)
{
    printf("%-30s%7zu%8zu%8zu%12zu%11zu%9lld  ", line->storm->name,
           line->rounds, line->by_method[MP_START_SPAWN],
           line->by_method[MP_START_FORK], line->by_method[MP_START_FORKSERVER],
           line->checked, (long long)(line->slowest / 1000000));
    print_roles(line);
    printf("\n");
}

static void add_line(report_line *sum, const report_line *line)
{
    sum->rounds += line->rounds;
    for (size_t i = 0; i < 4; i++)
        sum->by_method[i] += line->by_method[i];
    sum->checked += line->checked;
    if (line->slowest > sum->slowest)
        sum->slowest = line->slowest;
}

void report_print(double seconds)
{
    report_line sum = {0};

    printf("\n%-30s%7s%28s%11s%9s\n", "", "", "killed under", "", "slowest");
    printf("%-30s%7s%8s%8s%12s%11s%9s  %s\n", "storm", "rounds", "spawn",
           "fork", "forkserver", "checked", "ms", "whom");
    for (size_t i = 0; i < line_count; i++) {
        print_line(&lines[i]);
        add_line(&sum, &lines[i]);
    }
    printf("\n%zu storms, %zu rounds, %zu killed (%zu spawn, %zu fork, %zu "
           "forkserver), %zu checks, slowest recovery %lld ms, in %.1f s: "
           "nothing failed\n",
           line_count, sum.rounds,
           sum.by_method[MP_START_SPAWN] + sum.by_method[MP_START_FORK] +
               sum.by_method[MP_START_FORKSERVER],
           sum.by_method[MP_START_SPAWN], sum.by_method[MP_START_FORK],
           sum.by_method[MP_START_FORKSERVER], sum.checked,
           (long long)(sum.slowest / 1000000), seconds);
}
