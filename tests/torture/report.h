/* SPDX-License-Identifier: MIT */
/* What is written down of storms and rounds, and printed: see report.c. */
#ifndef TORTURE_REPORT_H
#define TORTURE_REPORT_H

#include "torture.h"

enum { REPORT_ROLES = 8, REPORT_STORMS = 64 };

typedef struct report_role {
    const char *whom;
    size_t count;
} report_role;

/* Of one storm. */
typedef struct report_line {
    const storm *storm;
    size_t rounds;
    size_t by_method[4];
    report_role roles[REPORT_ROLES];
    size_t checked;
    int64_t slowest; /* nanoseconds */
} report_line;

/* The line of a storm, which is made if there is none. */
report_line *report_of(const storm *what);
void report_add_death(report_line *line, mp_start_method method,
                      const char *whom);
/* The table and its totals. */
void report_print(double seconds);

#endif
