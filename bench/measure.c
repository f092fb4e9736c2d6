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
    double *fairness;
    int count;
} series;

static const bench_row *measured;
static double noted; /* fairness of the sample that is being taken */

#define NONE_NOTED (-1.0)

int bench_scale(void)
{
    return measured->scale;
}

void bench_note_fairness(double fairness)
{
    noted = fairness;
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left;
    double b = *(const double *)right;

    return (a > b) - (a < b);
}

static double median(double *values, int count)
{
    int last = count - 1;

    if (last < 0)
        return NONE_NOTED;
    qsort(values, (size_t)count, sizeof(double), compare);
    return (values[last / 2] + values[(last + 1) / 2]) / 2;
}

static bench_figure summarise(series *taken)
{
    bench_figure figure = {0, 0, 0};
    int last = taken->count - 1;

    if (last < 0)
        return figure;
    figure.median = median(taken->values, taken->count); /* sorts them */
    figure.low = taken->values[last / 4];
    figure.high = taken->values[last - last / 4];
    return figure;
}

static void take(series *taken, double seconds)
{
    taken->values[taken->count] = seconds;
    taken->fairness[taken->count++] = noted;
}

static void sample_ours(const bench_row *row, series *taken)
{
    noted = NONE_NOTED;
    take(taken, row->ours(row->batch) / row->batch);
}

static void sample_theirs(const bench_row *row, series *taken)
{
    int batch = row->peer_batch != 0 ? row->peer_batch : row->batch;

    noted = NONE_NOTED;
    take(taken, (row->python != NULL ? python_time(row->python, batch)
                                     : row->theirs(batch)) /
                    batch);
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
    else if (row->goal > 0)
        return; /* one goal of several can't be looked at */
    if (row->holds != NULL)
        expect(result, row->holds());
    if (row->limit > 0)
        expect(result, result->ours.median <= row->limit);
    if (row->goal > 0)
        expect(result, result->ratio <= row->goal);
}

static series make_series(int samples)
{
    series made = {calloc((size_t)samples, sizeof(double)),
                   calloc((size_t)samples, sizeof(double)), 0};

    bench_require(made.values != NULL && made.fairness != NULL, "memory");
    return made;
}

static void free_series(series *taken)
{
    free(taken->values);
    free(taken->fairness);
}

static void measure(const bench_row *row, bench_result *result)
{
    int samples = row->samples != 0 ? row->samples : USUAL_SAMPLES;
    series ours = make_series(samples);
    series theirs = make_series(samples);

    /* What is made once, or loaded at first use, is not what is timed. */
    row->ours(1);
    if (result->has_peer && row->python != NULL)
        python_time(row->python, 1);
    else if (result->has_peer)
        row->theirs(1);
    sample_both(row, samples, &ours, result->has_peer ? &theirs : NULL);
    result->ours = summarise(&ours);
    result->theirs = summarise(&theirs);
    result->ours_fairness = median(ours.fairness, ours.count);
    result->theirs_fairness = median(theirs.fairness, theirs.count);
    free_series(&ours);
    free_series(&theirs);
}

const char *bench_measure(const bench_row *row, bench_result *result)
{
    bool has_peer =
        row->python != NULL ? python_is_present() : row->theirs != NULL;
    const char *obstacle = NULL;

    /* Without it there is nothing to say, but for a goal of ours alone. */
    if (row->python != NULL && !has_peer && row->limit == 0)
        return "there is no Python to compare with";
    measured = row;
    if (row->begin != NULL)
        obstacle = row->begin();
    if (obstacle != NULL)
        return obstacle;
    *result = (bench_result){.row = row, .has_peer = has_peer};
    measure(row, result);
    judge(row, result);
    if (row->end != NULL)
        row->end();
    return NULL;
}
