/* SPDX-License-Identifier: MIT */
/*
 * bench [GLOB] [--json FILE] [--python PROGRAM] [--peer peer.py]
 *
 * Runs the rows whose name matches. This program is also what the rows start,
 * barely and by multiproc.
 */
#include "bench.h"

#include "measure.h"
#include "peer.h"
#include "python.h"
#include "report.h"
#include "system.h"

#include <multiproc.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const bench_table *const tables[] = {
    &bench_process_rows,        &bench_pickle_rows,
    &bench_connection_rows,     &bench_connection_mq_rows,
    &bench_listener_rows,       &bench_wait_rows,
    &bench_lock_rows,           &bench_contended_rows,
    &bench_handover_rows,       &bench_queue_rows,
    &bench_queue_handover_rows, &bench_pool_rows,
    &bench_shared_rows,         &bench_memory_rows,
    &bench_value_rows,          &bench_scale_lock_rows,
    &bench_scale_queue_rows,    &bench_scale_pool_rows,
    &bench_scale_start_rows,
};

typedef struct bench_options {
    const char *glob;
    const char *json;
    const char *python;
    const char *peer;
} bench_options;

void bench_require(bool is_right, const char *what)
{
    if (is_right)
        return;
    fflush(stdout);
    fprintf(stderr, "bench: not so: %s\n", what);
    mp_exit(1);
}

/* With * and ? as in a shell. */
static bool matches(const char *glob, const char *name)
{
    for (; *glob != '*'; glob++, name++) {
        if (*glob == 0 || *name == 0)
            return *glob == *name;
        if (*glob != '?' && *glob != *name)
            return false;
    }
    for (glob++; !matches(glob, name); name++)
        if (*name == 0)
            return false;
    return true;
}

static int run_row(const bench_row *row)
{
    bench_result result;
    const char *obstacle = bench_measure(row, &result);

    if (obstacle != NULL)
        report_absent(row, obstacle);
    else
        report_result(&result);
    return 1;
}

static int run_all(const char *glob)
{
    int count = 0;

    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
        for (size_t j = 0; j < tables[i]->count; j++)
            if (matches(glob, tables[i]->rows[j].name))
                count += run_row(&tables[i]->rows[j]);
    return count;
}

static bool parse(int argc, char **argv, bench_options *options)
{
    const struct {
        const char *name;
        const char **value;
    } named[] = {
        {"--json", &options->json},
        {"--python", &options->python},
        {"--peer", &options->peer},
    };

    for (int i = 1; i < argc; i++) {
        const char **value = argv[i][0] == '-' ? NULL : &options->glob;

        for (size_t j = 0; j < sizeof(named) / sizeof(named[0]); j++)
            if (strcmp(argv[i], named[j].name) == 0 && i + 1 < argc)
                value = named[j].value;
        if (value == NULL)
            return false;
        if (value != &options->glob)
            i++;
        *value = argv[i];
    }
    return true;
}

static int run_benchmarks(const bench_options *options)
{
    int count;

    if (!report_open(options->json)) {
        fprintf(stderr, "bench: can't write %s\n", options->json);
        return 1;
    }
    python_choose(options->python, options->peer);
    count = run_all(options->glob);
    if (!report_close()) {
        fprintf(stderr, "bench: can't write %s\n", options->json);
        return 1;
    }
    python_stop();
    if (count == 0)
        fprintf(stderr, "bench: no row matches %s\n", options->glob);
    return count > 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    bench_options options = {.glob = "*"};

    /* The bare child, before everything else. */
    if (argc > 1 && strcmp(argv[1], SYSTEM_EXIT) == 0)
        return 0;
    if (argc > 1 && strcmp(argv[1], SYSTEM_WAIT) == 0)
        return system_run_wait();
    if (argc > 1 && strcmp(argv[1], SYSTEM_ECHO) == 0)
        return system_run_echo();
    if (argc > 1 && strcmp(argv[1], PEER_ECHO) == 0 && peer_uv.echo_run != NULL)
        return peer_uv.echo_run();
    mp_main_guard(argc, argv);

    system_set_program(argv[0]);
    if (!parse(argc, argv, &options)) {
        fprintf(stderr,
                "usage: %s [GLOB] [--json FILE] [--python PROGRAM] "
                "[--peer FILE]\n",
                argv[0]);
        return 2;
    }
    return run_benchmarks(&options);
}
