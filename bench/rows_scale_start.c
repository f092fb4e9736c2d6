/* SPDX-License-Identifier: MIT */
/*
 * Starting and joining a process while this one holds memory that it has
 * touched: fork copies the tables of its pages, the others don't. Python and
 * the other peers hold as much; the bare ones are started from here.
 */
#include "bench.h"
#include "child.h"
#include "peer.h"
#include "system.h"

static void *held;
static size_t held_size;

/* -- Beginning and ending -------------------------------------------------- */

static void drop_memory(void)
{
    if (held != NULL)
        system_drop_memory(held, held_size);
    held = NULL;
    held_size = 0;
}

/* Until a row wants another amount, since touching takes longer than a row. */
static const char *hold_memory(void)
{
    size_t size = (size_t)bench_scale() << 20;

    if (child_need_forkserver() != NULL)
        return "there is nothing to compare with";
    if (size == held_size)
        return NULL;
    drop_memory();
    if (!system_has_memory(size))
        return "not twice as much memory is free";
    held = size > 0 ? system_touch_memory(size) : NULL;
    bench_require(held != NULL || size == 0, "there is memory");
    held_size = size;
    return NULL;
}

static const char *hold_memory_for_uv(void)
{
    return peer_need_uv() != NULL ? peer_need_uv() : hold_memory();
}

#define BARE_ROW(text, peer_name, number, often, run, other, need)        \
    {                                                                     \
        .name = "scale.start." text "." #number, .unit = "us",            \
        .peer = peer_name, .scale = number, .samples = often, .batch = 1, \
        .begin = need, .ours = run, .theirs = other                       \
    }
#define PYTHON_ROW(text, number, run)                                    \
    {                                                                    \
        .name = "scale.start." text ".python." #number, .unit = "us",    \
        .scale = number, .samples = 5, .batch = 1, .begin = hold_memory, \
        .ours = run, .python = "scale.start." text ":" #number           \
    }
/* Where a fork takes long, few of them. */
#define EACH(number, often)                                        \
    BARE_ROW("spawn.bare", "posix_spawn", number, 51, child_spawn, \
             child_spawn_bare, hold_memory),                       \
        BARE_ROW("spawn.uv", "libuv", number, often, child_spawn,  \
                 child_spawn_uv, hold_memory_for_uv),              \
        BARE_ROW("fork.bare", "fork", number, often, child_fork,   \
                 child_fork_bare, hold_memory),                    \
        PYTHON_ROW("spawn", number, child_spawn),                  \
        PYTHON_ROW("fork", number, child_fork),                    \
        PYTHON_ROW("forkserver", number, child_forkserver)

/* The last ones let go what the first ones have touched. */
static const bench_row rows[] = {
    EACH(4096, 5),
    EACH(1024, 5),
    EACH(256, 11),
    EACH(0, 51),
};

const bench_table bench_scale_start_rows = {rows,
                                            sizeof(rows) / sizeof(rows[0])};
