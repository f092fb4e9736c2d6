/* SPDX-License-Identifier: MIT */
/*
 * A line a row: name, our figure with its quartiles, unit, peer, the peer's
 * figure with its quartiles, ratio (ours divided by the peer's), goal, met or
 * missed. What there is none of is a hyphen.
 */
#include "report.h"

#include "bare.h"
#include "boost.h"
#include "peer.h"
#include "python.h"

#include <stdio.h>
#include <string.h>

enum { CELL = 64, MISSED_MOST = 256 };

static struct {
    FILE *json;
    int rows;
    int goals;
    int met;
    int absent;
    const char *missed[MISSED_MOST];
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
    if (row->python != NULL)
        return *python_name() != 0 ? python_name() : "Python";
    return row->peer != NULL ? row->peer : "-";
}

static const char *verdict(const bench_result *result)
{
    if (!result->has_goal)
        return "-";
    return result->is_met ? "met" : "missed";
}

/* In a cell of the caller's, unless it has words of its own. */
static const char *goal_of(const bench_row *row, char *cell)
{
    if (row->goal_text != NULL)
        return row->goal_text;
    if (row->goal > 0)
        snprintf(cell, CELL, "<=%.3g", row->goal);
    else
        snprintf(cell, CELL, "-");
    return cell;
}

/* -- Lines ----------------------------------------------------------------- */

static void print_line(const char *name, const char *ours, const char *unit,
                       const char *peer, const char *theirs, const char *ratio,
                       const char *goal, const char *end)
{
    printf("%-34s %-24s %-2s  %-27s %-24s %-8s %-30s %s\n", name, ours, unit,
           peer, theirs, ratio, goal, end);
    fflush(stdout);
}

static const char *write_cell(const bench_row *row, const bench_figure *figure,
                              char *cell)
{
    snprintf(cell, CELL, "%.4g [%.4g %.4g]", in_unit(row, figure->median),
             in_unit(row, figure->low), in_unit(row, figure->high));
    return cell;
}

static void print_row(const bench_result *result)
{
    const bench_row *row = result->row;
    char ours[CELL], theirs[CELL] = "-", ratio[CELL] = "-", goal[CELL];

    write_cell(row, &result->ours, ours);
    if (result->has_peer) {
        write_cell(row, &result->theirs, theirs);
        snprintf(ratio, sizeof(ratio), "%.3g", result->ratio);
    }
    print_line(row->name, ours, row->unit, peer_name(row), theirs, ratio,
               goal_of(row, goal), verdict(result));
    if (result->ours_fairness >= 0)
        printf("    slowest/fastest process: %.2f\n", result->ours_fairness);
    if (result->theirs_fairness >= 0)
        printf("    slowest/fastest of %s: %.2f\n", peer_name(row),
               result->theirs_fairness);
}

/* -- JSON ------------------------------------------------------------------ */

/* No name or text in a row needs escaping. */
static void write_pair(const char *key, const char *text, const char *end)
{
    fprintf(report.json, "\"%s\": \"%s\"%s", key, text, end);
}

static const char *version_of(const bench_peer *it)
{
    return it->version != NULL ? it->version() : "";
}

/* What there is none of has an empty version. */
static void write_versions(void)
{
    fputs(",\n\"versions\": {", report.json);
    write_pair("compiler", BENCH_COMPILER, ", ");
    write_pair("libc", bare_version(), ", ");
    write_pair("Python", python_name(), ", ");
    write_pair("Boost", boost_version(), ", ");
    write_pair("APR", version_of(&peer_apr), ", ");
    write_pair("libuv", version_of(&peer_uv), ", ");
    write_pair("POSIX mq", version_of(&peer_mq), "}");
}

static void write_figure(const char *key, const bench_row *row,
                         const bench_figure *figure)
{
    fprintf(report.json, ", \"%s\": %.5g, \"%s_quartiles\": [%.5g, %.5g]", key,
            in_unit(row, figure->median), key, in_unit(row, figure->low),
            in_unit(row, figure->high));
}

static void begin_json(const bench_row *row)
{
    fputs(report.rows + report.absent > 0 ? ",\n  {" : "\n  {", report.json);
    write_pair("name", row->name, ", ");
    write_pair("peer", peer_name(row), "");
}

static void write_json(const bench_result *result)
{
    const bench_row *row = result->row;
    char goal[CELL];

    begin_json(row);
    fprintf(report.json, ", \"unit\": \"%s\"", row->unit);
    write_figure("ours", row, &result->ours);
    if (result->has_peer) {
        write_figure("theirs", row, &result->theirs);
        fprintf(report.json, ", \"ratio\": %.4g", result->ratio);
    }
    if (result->ours_fairness >= 0)
        fprintf(report.json, ", \"ours_fairness\": %.3f",
                result->ours_fairness);
    if (result->theirs_fairness >= 0)
        fprintf(report.json, ", \"theirs_fairness\": %.3f",
                result->theirs_fairness);
    if (result->has_goal)
        fprintf(report.json, ", \"goal\": \"%s\", \"met\": %s",
                goal_of(row, goal), result->is_met ? "true" : "false");
    if (row->goal > 0)
        fprintf(report.json, ", \"goal_ratio\": %.4g", row->goal);
    fputs("}", report.json);
}

/* -- From the first to the last -------------------------------------------- */

bool report_open(const char *json_path)
{
    print_line("row", "ours [quartiles]", "", "peer", "theirs [quartiles]",
               "ratio", "goal", "");
    if (json_path == NULL)
        return true;
    report.json = fopen(json_path, "w");
    if (report.json == NULL)
        return false;
    fputs("{\"rows\": [", report.json);
    return true;
}

void report_result(const bench_result *result)
{
    print_row(result);
    if (report.json != NULL)
        write_json(result);
    report.rows++;
    if (result->has_goal && !result->is_met &&
        report.goals - report.met < MISSED_MOST)
        report.missed[report.goals - report.met] = result->row->name;
    report.goals += result->has_goal;
    report.met += result->has_goal && result->is_met;
}

void report_absent(const bench_row *row, const char *reason)
{
    printf("%-34s skipped: %s\n", row->name, reason);
    fflush(stdout);
    if (report.json != NULL) {
        begin_json(row);
        fprintf(report.json, ", \"skipped\": \"%s\"}", reason);
    }
    report.absent++;
}

bool report_close(void)
{
    bool is_written = true;

    if (report.json != NULL) {
        fputs("\n]", report.json);
        write_versions();
        fputs("}\n", report.json);
        is_written = ferror(report.json) == 0;
        is_written = fclose(report.json) == 0 && is_written;
    }
    for (int i = 0; i < report.goals - report.met && i < MISSED_MOST; i++)
        printf("missed: %s\n", report.missed[i]);
    printf("%d of %d goals met, %d rows skipped\n", report.met, report.goals,
           report.absent);
    return is_written;
}
