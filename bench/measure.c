/* SPDX-License-Identifier: MIT */
/*
 * Both sides take turns, and take turns in beginning, so that whatever else
 * the machine does slows both of them down; the medians are compared.
 */
#include "measure.h"

#include "python.h"

#include <stdlib.h>

enum { USUAL_SAMPLES = 9 };

typedef struct series {
    double *values;
    int count;
} series;

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left;
    double b = *(const double *)right;

    return (a > b) - (a < b);
}

static bench_figure summarise(series *taken)
{
    bench_figure figure = {0, 0, 0};
    int last = taken->count - 1;

    if (last < 0)
        return figure;
    qsort(taken->values, (size_t)taken->count, sizeof(double), compare);
    figure.low = taken->values[last / 4];
    figure.high = taken->values[last - last / 4];
    figure.median =
        (taken->values[last / 2] + taken->values[(last + 1) / 2]) / 2;
    return figure;
}

static void sample_ours(const bench_row *row, series *taken)
{
    taken->values[taken->count++] = row->ours(row->batch) / row->batch;
}

static void sample_theirs(const bench_row *row, series *taken)
{
    int batch = row->peer_batch != 0 ? row->peer_batch : row->batch;
    double seconds = row->python != NULL ? python_time(row->python, batch)
                                         : row->theirs(batch);

    taken->values[taken->count++] = seconds / batch;
}

static void sample_both(const bench_row *row, int samples, series *ours,
                        series *theirs)
{
    for (int i = 0; i < samples; i++) {
        if (i % 2 == 0)
            sample_ours(row, ours);
        if (theirs != NULL)
            sample_theirs(row, theirs);
        if (i % 2 != 0)
            sample_ours(row, ours);
    }
}

/* Of several goals all have to be met. */
static void expect(bench_result *result, bool is_met)
{
    result->is_met = is_met && (result->is_met || !result->has_goal);
    result->has_goal = true;
}

static void judge(const bench_row *row, bench_result *result)
{
    if (result->has_peer)
        result->ratio = result->ours.median / result->theirs.median;
    if (row->holds != NULL)
        expect(result, row->holds());
    if (row->limit > 0)
        expect(result, result->ours.median <= row->limit);
    if (row->goal > 0 && result->has_peer)
        expect(result, result->ratio <= row->goal);
}

static void measure(const bench_row *row, bench_result *result)
{
    int samples = row->samples != 0 ? row->samples : USUAL_SAMPLES;
    series ours = {calloc((size_t)samples, sizeof(double)), 0};
    series theirs = {calloc((size_t)samples, sizeof(double)), 0};

    bench_require(ours.values != NULL && theirs.values != NULL, "memory");
    /* What is made once, or loaded at first use, is not what is timed. */
    row->ours(1);
    if (result->has_peer && row->python != NULL)
        python_time(row->python, 1);
    else if (result->has_peer)
        row->theirs(1);
    sample_both(row, samples, &ours, result->has_peer ? &theirs : NULL);
    result->ours = summarise(&ours);
    result->theirs = summarise(&theirs);
    free(ours.values);
    free(theirs.values);
}

const char *bench_measure(const bench_row *row, bench_result *result)
{
    const char *obstacle = row->begin != NULL ? row->begin() : NULL;

    if (obstacle != NULL)
        return obstacle;
    *result = (bench_result){.row = row};
    result->has_peer =
        row->python != NULL ? python_is_present() : row->theirs != NULL;
    measure(row, result);
    judge(row, result);
    if (row->end != NULL)
        row->end();
    return NULL;
}
