/* SPDX-License-Identifier: MIT */
/*
 * Shared memory with a name, through its life: made, attached to a second time,
 * a page or a MiB written there and read here, closed by both, unlinked.
 */
#include "bare.h"
#include "bench.h"
#include "peer.h"
#include "system.h"

#include <multiproc.h>

#include <stdio.h>
#include <string.h>

enum { PAGE = 4096, MIB = 1 << 20 };

/* In the working directory, or wherever the system keeps such names. */
static const char *name(void)
{
    static char text[64];

    snprintf(text, sizeof(text), "multiproc-bench-%lld",
             (long long)mp_getpid());
    return text;
}

static double cycle(int batch)
{
    size_t size = (size_t)bench_scale();
    double began = system_now();

    for (int i = 0; i < batch; i++) {
        mp_shared_memory *made, *attached;
        const char *here;

        mp_check(mp_shared_memory_create(&made, name(), size));
        mp_check(mp_shared_memory_open(&attached, name()));
        memset(mp_shared_memory_data(attached), 'x', size);
        here = mp_shared_memory_data(made);
        bench_require(here[size - 1] == 'x', "what is written is there");
        mp_check(mp_shared_memory_close(attached));
        mp_check(mp_shared_memory_unlink(made));
        mp_check(mp_shared_memory_close(made));
    }
    return system_now() - began;
}

static double cycle_barely(int batch)
{
    double began = system_now();

    for (int i = 0; i < batch; i++)
        bench_require(bare_memory_cycle(name(), (size_t)bench_scale()),
                      "there is shm_open()");
    return system_now() - began;
}

static double cycle_apr(int batch)
{
    double began = system_now();

    for (int i = 0; i < batch; i++)
        bench_require(peer_apr.memory_cycle(name(), (size_t)bench_scale()),
                      "there is apr_shm");
    return system_now() - began;
}

static const char *need_bare(void)
{
    return *bare_version() != 0 ? NULL : "there is nothing to compare with";
}

#define ROW(row_name, row_peer, size, often, need, other)                \
    {                                                                    \
        .name = row_name, .unit = "us", .peer = row_peer, .scale = size, \
        .samples = 21, .batch = often, .begin = need, .ours = cycle,     \
        .theirs = other                                                  \
    }
#define PYTHON_ROW(row_name, size, often, command)                     \
    {                                                                  \
        .name = row_name, .unit = "us", .scale = size, .batch = often, \
        .ours = cycle, .python = command                               \
    }

static const bench_row rows[] = {
    ROW("shared_memory.4k", "shm_open, mmap", PAGE, 500, need_bare,
        cycle_barely),
    ROW("shared_memory.4k.apr", "apr_shm", PAGE, 500, peer_need_apr, cycle_apr),
    PYTHON_ROW("shared_memory.4k.python", PAGE, 500, "shared_memory:4096"),
    ROW("shared_memory.1m", "shm_open, mmap", MIB, 50, need_bare, cycle_barely),
    ROW("shared_memory.1m.apr", "apr_shm", MIB, 50, peer_need_apr, cycle_apr),
    PYTHON_ROW("shared_memory.1m.python", MIB, 50, "shared_memory:1048576"),
};

const bench_table bench_memory_rows = {rows, sizeof(rows) / sizeof(rows[0])};
