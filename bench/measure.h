/* SPDX-License-Identifier: MIT */
/* Taking samples of both sides of a row, in turns. */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include "bench.h"

/* Of one operation, in seconds. */
typedef struct bench_figure {
    double median;
    double low; /* the quartiles */
    double high;
} bench_figure;

typedef struct bench_result {
    const bench_row *row;
    bench_figure ours;
    bench_figure theirs;
    double ours_fairness; /* medians; negative: none was noted */
    double theirs_fairness;
    bool has_peer; /* there is one, and it was there */
    bool has_goal;
    bool is_met;
    double ratio;
} bench_result;

/* NULL, or why the row can't be run. */
const char *bench_measure(const bench_row *row, bench_result *result);

#endif
