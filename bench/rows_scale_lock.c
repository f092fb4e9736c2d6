/* SPDX-License-Identifier: MIT */
/*
 * One lock, wanted by 1 to 64 processes all the time. With more processes than
 * processors most of them wait for a processor, not for the lock: how a lock
 * does when whoever has it, or is next, is not running.
 */
#include "bench.h"
#include "contend.h"

/* Seconds of a sample: among many each has to have its turns. */
static double window(void)
{
    return bench_scale() <= 16 ? 0.2 : bench_scale() / 80.0;
}

static const char *open_mutex(void)
{
    return contend_open(BARE_MUTEX, bench_scale());
}

static const char *open_robust(void)
{
    return contend_open(BARE_ROBUST, bench_scale());
}

static const char *open_boost(void)
{
    return contend_open(BARE_BOOST, bench_scale());
}

static double contend_ours(int batch)
{
    return contend_for(true, window()) * batch;
}

static double contend_theirs(int batch)
{
    return contend_for(false, window()) * batch;
}

#define ROW(text, peer_name, number, open)                            \
    {                                                                 \
        .name = "scale.lock." text "." #number, .unit = "ns",         \
        .peer = peer_name, .scale = number, .samples = 5, .batch = 1, \
        .begin = open, .end = contend_close, .ours = contend_ours,    \
        .theirs = contend_theirs                                      \
    }
#define ROBUST_ROW(number) \
    ROW("robust", "robust pthread mutex", number, open_robust)
#define BOOST_ROW(number) ROW("boost", "boost named_mutex", number, open_boost)
#define PYTHON_ROW(number)                                                   \
    {                                                                        \
        .name = "scale.lock.python." #number, .unit = "ns", .scale = number, \
        .samples = 5, .batch = 1, .begin = open_mutex, .end = contend_close, \
        .ours = contend_ours, .python = "scale.lock:" #number                \
    }
#define EACH(row) row(1), row(2), row(4), row(8), row(16), row(32), row(64)

static const bench_row rows[] = {
    EACH(ROBUST_ROW),
    EACH(BOOST_ROW),
    EACH(PYTHON_ROW),
};

const bench_table bench_scale_lock_rows = {rows,
                                           sizeof(rows) / sizeof(rows[0])};
