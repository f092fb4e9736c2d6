/* SPDX-License-Identifier: MIT */
/*
 * One queue of 64-byte items among 1 to 64 processes: half of them put, half of
 * them get; one alone does both in turns. Bounded, as the peers are.
 */
#include "bench.h"
#include "crew.h"

enum { SIZE = 64, WAITING = 1024, ITEMS = 100000, FEW = 20000, PYTHON = 6400 };

static const char *open_ours(void)
{
    return crew_open(SIZE, WAITING);
}

static const char *open_boost(void)
{
    return crew_open_boost(SIZE, WAITING);
}

static const char *open_mq(void)
{
    return crew_open_mq(SIZE, WAITING);
}

static double run(crew_job both, crew_job put, crew_job get, int batch)
{
    int half = bench_scale() / 2;
    crew who = {put, get, half, half};

    if (half == 0)
        who = (crew){both, NULL, 1, 0};
    return crew_run(&who, batch);
}

static double pass(int batch)
{
    return run(crew_put_and_get, crew_put, crew_get, batch);
}

static double pass_boost(int batch)
{
    return run(crew_put_and_get_boost, crew_put_boost, crew_get_boost, batch);
}

static double pass_mq(int batch)
{
    return run(crew_put_and_get_mq, crew_put_mq, crew_get_mq, batch);
}

#define BOOST_ROW(number)                                             \
    {                                                                 \
        .name = "scale.queue.boost." #number, .unit = "ns",           \
        .peer = "boost message_queue", .scale = number, .samples = 5, \
        .batch = ITEMS, .peer_batch = FEW, .begin = open_boost,       \
        .end = crew_close, .ours = pass, .theirs = pass_boost         \
    }
#define MQ_ROW(number)                                                       \
    {                                                                        \
        .name = "scale.queue.mq." #number, .unit = "ns", .peer = "POSIX mq", \
        .scale = number, .samples = 5, .batch = FEW, .begin = open_mq,       \
        .end = crew_close, .ours = pass, .theirs = pass_mq                   \
    }
#define PYTHON_ROW(number)                                                    \
    {                                                                         \
        .name = "scale.queue.python." #number, .unit = "ns", .scale = number, \
        .samples = 5, .batch = ITEMS, .peer_batch = PYTHON,                   \
        .begin = open_ours, .end = crew_close, .ours = pass,                  \
        .python = "scale.queue:" #number                                      \
    }
#define EACH(row) row(1), row(2), row(4), row(8), row(16), row(32), row(64)

static const bench_row rows[] = {
    EACH(BOOST_ROW),
    EACH(MQ_ROW),
    EACH(PYTHON_ROW),
};

const bench_table bench_scale_queue_rows = {rows,
                                            sizeof(rows) / sizeof(rows[0])};
