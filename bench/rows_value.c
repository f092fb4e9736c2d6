/* SPDX-License-Identifier: MIT */
/*
 * Value and Array. The file that is summed has 1 GiB, or as many MiB as
 * MULTIPROC_BENCH_MIB says; it is made in the working directory.
 */
#include "bare.h"
#include "bench.h"
#include "child.h"
#include "system.h"

#include <multiproc.h>

#include <stdlib.h>

enum { LENGTH = 1 << 16, MOST = 2, FILE_HEAD = 64 << 10 };

static mp_value *value;
static mp_array *array;
static _Alignas(64) int bare_number;
static double *bare_items;

/* -- One number ------------------------------------------------------------ */

static const char *open_value(void)
{
    mp_check(mp_value_create(&value, MP_CTYPE(int), NULL, NULL));
    return NULL;
}

static void close_value(void)
{
    mp_check(mp_value_close(value));
}

static double increment(int batch)
{
    int before = *MP_VALUE(value, int);
    double began = system_now();
    int failures = 0;

    for (int i = 0; i < batch; i++) {
        failures |= mp_value_acquire(value, MP_FOREVER);
        *MP_VALUE(value, int) += 1;
        failures |= mp_value_release(value);
    }
    began = system_now() - began;
    bench_require(failures == 0 && *MP_VALUE(value, int) - before == batch,
                  "the Value counts");
    return began;
}

static double add_atomically(int batch)
{
    int before = *MP_VALUE(value, int);
    double began = system_now();

    for (int i = 0; i < batch; i++)
        mp_fetch_add(MP_VALUE(value, int), 1);
    began = system_now() - began;
    bench_require(*MP_VALUE(value, int) - before == batch, "the Value counts");
    return began;
}

static double add_barely(int batch)
{
    int before = bare_number;
    double began = system_now();

    for (int i = 0; i < batch; i++)
        __atomic_fetch_add(&bare_number, 1, __ATOMIC_SEQ_CST);
    began = system_now() - began;
    bench_require(bare_number - before == batch, "the number counts");
    return began;
}

/* -- A loop over items ----------------------------------------------------- */

static const char *open_array(void)
{
    mp_check(mp_array_create(&array, MP_CTYPE(double), LENGTH, NULL, NULL));
    bare_items = calloc(LENGTH, sizeof(*bare_items));
    bench_require(bare_items != NULL, "memory");
    return NULL;
}

static void close_array(void)
{
    mp_check(mp_array_close(array));
    free(bare_items);
}

static double loop_over_array(int batch)
{
    double began = system_now();

    for (int round = 0; round < batch / LENGTH; round++)
        for (int i = 0; i < LENGTH; i++)
            MP_ARRAY(array, double)[i] += 0.5;
    return system_now() - began;
}

static double loop_over_memory(int batch)
{
    double *volatile place = bare_items; /* not known to be malloc's */
    double *items = place;
    double began = system_now();

    for (int round = 0; round < batch / LENGTH; round++)
        for (int i = 0; i < LENGTH; i++)
            items[i] += 0.5;
    return system_now() - began;
}

/* -- A file, summed by processes ------------------------------------------- */

static char path[64];
static size_t count;
static double expected;
static const double *mapped;
static double *sums; /* of each process */

static const char *open_file(void)
{
    const char *size = getenv("MULTIPROC_BENCH_MIB");

    count = ((size != NULL ? strtoul(size, NULL, 10) : 1024) << 20) /
            sizeof(double);
    snprintf(path, sizeof(path), "multiproc-bench-%lld",
             (long long)mp_getpid());
    mp_check(
        mp_array_open_file(&array, path, MP_CTYPE(double), count, NULL, NULL));
    expected = 0;
    for (size_t i = 0; i < count; i++) {
        MP_ARRAY(array, double)[i] = (double)(i % 1000);
        expected += (double)(i % 1000);
    }
    sums = bare_shared(MOST * sizeof(*sums));
    mapped = bare_map(path, FILE_HEAD, count * sizeof(double));
    if (sums != NULL && mapped != NULL)
        return NULL;
    mp_check(mp_array_close(array));
    remove(path);
    return "there is nothing to compare it with";
}

static void close_file(void)
{
    bare_unshare((void *)(uintptr_t)mapped, count * sizeof(double));
    bare_unshare(sums, MOST * sizeof(*sums));
    mp_check(mp_array_close(array));
    remove(path);
}

static double sum_of(const double *items, int part, int parts)
{
    size_t end = count * (size_t)(part + 1) / (size_t)parts;
    double sum = 0;

    for (size_t i = count * (size_t)part / (size_t)parts; i < end; i++)
        sum += items[i];
    return sum;
}

static int sum_ours(mp_args *args)
{
    int part = (int)mp_arg_int(args, 1);

    sums[part] = sum_of(MP_ARRAY(mp_arg_array(args, 0), double), part,
                        (int)mp_arg_int(args, 2));
    return 0;
}

static void sum_bare(int part, int parts)
{
    sums[part] = sum_of(mapped, part, parts);
}

static void expect_sum(int parts)
{
    double sum = 0;

    for (int i = 0; i < parts; i++) {
        sum += sums[i];
        sums[i] = 0;
    }
    bench_require(sum == expected, "the sum");
}

static double sum_by(int parts)
{
    mp_process *processes[MOST];
    double began = system_now();

    for (int i = 0; i < parts; i++)
        processes[i] =
            child_start(MP_START_FORK, sum_ours, MP_ARGS(array, i, parts));
    for (int i = 0; i < parts; i++)
        child_end(processes[i]);
    began = system_now() - began;
    expect_sum(parts);
    return began;
}

static double sum_barely_by(int parts)
{
    double began = system_now();

    bench_require(bare_fork(sum_bare, parts), "processes");
    began = system_now() - began;
    expect_sum(parts);
    return began;
}

static double sum_by_one(int batch)
{
    return sum_by(1) * batch;
}

static double sum_by_two(int batch)
{
    return sum_by(2) * batch;
}

static double sum_barely_by_one(int batch)
{
    return sum_barely_by(1) * batch;
}

static double sum_barely_by_two(int batch)
{
    return sum_barely_by(2) * batch;
}

/* -- Rows ------------------------------------------------------------------ */

enum { OFTEN = 1000000, PYTHON_OFTEN = 50000, SAMPLES = 21 };

#define SUM_ROW(row_name, row_peer, row_goal, words, ours_by, theirs_by)    \
    {                                                                       \
        .name = row_name, .unit = "ms", .peer = row_peer, .goal = row_goal, \
        .goal_text = words, .samples = 9, .batch = 1, .begin = open_file,   \
        .end = close_file, .ours = ours_by, .theirs = theirs_by             \
    }

static const bench_row rows[] = {
    {.name = "value.increment",
     .unit = "ns",
     .peer = "python",
     .goal = 1 / 25.0,
     .goal_text = "25 times as fast",
     .samples = SAMPLES,
     .batch = OFTEN,
     .peer_batch = PYTHON_OFTEN,
     .begin = open_value,
     .end = close_value,
     .ours = increment,
     .python = "value.increment"},
    {.name = "value.atomic",
     .unit = "ns",
     .peer = "__atomic_fetch_add",
     .goal = 1.2,
     .samples = SAMPLES,
     .batch = OFTEN,
     .begin = open_value,
     .end = close_value,
     .ours = add_atomically,
     .theirs = add_barely},
    {.name = "array.loop",
     .unit = "ns",
     .peer = "bare pointer",
     .goal = 1.05,
     .samples = SAMPLES,
     .batch = 100 * LENGTH,
     .begin = open_array,
     .end = close_array,
     .ours = loop_over_array,
     .theirs = loop_over_memory},
    SUM_ROW("array.sum.1", "bare mmap, fork", 1.05, NULL, sum_by_one,
            sum_barely_by_one),
    SUM_ROW("array.sum.2", "bare mmap, fork", 1.05, NULL, sum_by_two,
            sum_barely_by_two),
    SUM_ROW("array.sum.speedup", "one process", 1 / 1.7, "1.7 times as fast",
            sum_by_two, sum_by_one),
};

const bench_table bench_value_rows = {rows, sizeof(rows) / sizeof(rows[0])};
