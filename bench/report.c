/* SPDX-License-Identifier: MIT */
/*
 * A line a row, tab-separated: name, our figure, unit, peer, the peer's
 * figure, ratio (ours divided by the peer's), goal, met or missed. What there
 * is none of is a hyphen.
 */
#include "report.h"

#include "python.h"

#include <stdio.h>
#include <string.h>

static struct {
    FILE *json;
    int rows;
    int goals;
    int met;
} report;

static double in_unit(const bench_row *row, double seconds)
{
    switch (row->unit[0]) {
    case 'n':
        return seconds * 1e9;
    case 'u':
        return seconds * 1e6;
    case 'm':
        return seconds * 1e3;
    default:
        return seconds * 100;
    }
}

static const char *peer_name(const bench_row *row)
{
    if (row->python != NULL && *python_name() != 0)
        return python_name();
    return row->peer != NULL ? row->peer : "-";
}

static const char *verdict(const bench_result *result)
{
    if (!result->has_goal)
        return "-";
    return result->is_met ? "met" : "missed";
}

bool report_open(const char *json_path)
{
    if (json_path == NULL)
        return true;
    report.json = fopen(json_path, "w");
    if (report.json == NULL)
        return false;
    fputs("[", report.json);
    return true;
}

static void write_figure(const char *key, const bench_row *row,
                         const bench_figure *figure)
{
    fprintf(report.json, ", \"%s\": %.4f, \"%s_quartiles\": [%.4f, %.4f]", key,
            in_unit(row, figure->median), key, in_unit(row, figure->low),
            in_unit(row, figure->high));
}

/* No name or text in a row needs escaping. */
static void write_json(const bench_result *result)
{
    const bench_row *row = result->row;

    fprintf(report.json, "%s\n  {\"name\": \"%s\", \"unit\": \"%s\"",
            report.rows > 0 ? "," : "", row->name, row->unit);
    write_figure("ours", row, &result->ours);
    if (result->has_peer) {
        fprintf(report.json, ", \"peer\": \"%s\"", peer_name(row));
        write_figure("theirs", row, &result->theirs);
        fprintf(report.json, ", \"ratio\": %.4f", result->ratio);
    }
    if (row->goal_text != NULL)
        fprintf(report.json, ", \"goal\": \"%s\"", row->goal_text);
    if (result->has_goal)
        fprintf(report.json, ", \"met\": %s",
                result->is_met ? "true" : "false");
    fputs("}", report.json);
}

void report_result(const bench_result *result)
{
    const bench_row *row = result->row;

    printf("%s\t%.4g\t%s\t%s", row->name, in_unit(row, result->ours.median),
           row->unit, peer_name(row));
    if (result->has_peer)
        printf("\t%.4g\t%.3g", in_unit(row, result->theirs.median),
               result->ratio);
    else
        printf("\t-\t-");
    printf("\t%s\t%s\n", row->goal_text != NULL ? row->goal_text : "-",
           verdict(result));
    fflush(stdout);
    if (report.json != NULL)
        write_json(result);
    report.rows++;
    report.goals += result->has_goal;
    report.met += result->has_goal && result->is_met;
}

bool report_close(void)
{
    bool is_written = true;

    printf("%d of %d goals met\n", report.met, report.goals);
    if (report.json != NULL) {
        fputs("\n]\n", report.json);
        is_written = ferror(report.json) == 0;
        is_written = fclose(report.json) == 0 && is_written;
    }
    return is_written;
}
