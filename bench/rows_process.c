/* SPDX-License-Identifier: MIT */
/* Starting and joining processes. */
#include "bench.h"
#include "child.h"
#include "peer.h"
#include "system.h"

#include <multiproc.h>

#include <stdio.h>

enum { THOUSAND = 1000, SEQUENCE = 10000 };

#define GIB ((size_t)1 << 30)
/* malloc's own housekeeping; a leak of 100 bytes a process would be more. */
#define GROWTH_ALLOWED ((size_t)512 << 10)

/* -- In a large parent ----------------------------------------------------- */

/* Both sides touch it, which sweeps the caches; one of them lets it go before
 * it starts anything, so that holding it is all that differs. */
static double time_beside(bool is_held, double (*run)(int), int batch)
{
    void *memory = system_touch_memory(GIB);
    double seconds;

    bench_require(memory != NULL, "there is 1 GiB of memory");
    if (!is_held)
        system_drop_memory(memory, GIB);
    run(1);
    seconds = run(batch);
    if (is_held)
        system_drop_memory(memory, GIB);
    return seconds;
}

static double spawn_large(int batch)
{
    return time_beside(true, child_spawn, batch);
}

static double spawn_small(int batch)
{
    return time_beside(false, child_spawn, batch);
}

static double forkserver_large(int batch)
{
    return time_beside(true, child_forkserver, batch);
}

static double forkserver_small(int batch)
{
    return time_beside(false, child_forkserver, batch);
}

static double fork_large(int batch)
{
    return time_beside(true, child_fork, batch);
}

static double fork_bare_large(int batch)
{
    return time_beside(true, child_fork_bare, batch);
}

/* -- A thousand at once ---------------------------------------------------- */

/* Tells that it is there, and stays until the gate is opened. */
static int wait_at_gate(mp_args *args)
{
    mp_connection *arrival = mp_arg_connection(args, 0);
    mp_connection *gate = mp_arg_connection(args, 1);
    char byte = 'x';
    size_t size;

    mp_check(mp_connection_send_bytes(arrival, &byte, 1));
    return mp_connection_recv_bytes_into(gate, &byte, 1, &size) == MP_EEOF ? 0
                                                                           : 1;
}

typedef struct crowd {
    mp_process *members[THOUSAND];
    mp_connection *arrivals, *arrival;
    mp_connection *gate, *gatekeeper;
} crowd;

static size_t fewest_alive; /* of all samples */

static void start_crowd(crowd *all)
{
    mp_pipe_options simplex = {.is_simplex = true};

    mp_check(mp_pipe(&all->arrivals, &all->arrival, &simplex));
    mp_check(mp_pipe(&all->gate, &all->gatekeeper, &simplex));
    for (int i = 0; i < THOUSAND; i++)
        all->members[i] = child_start(MP_START_DEFAULT, wait_at_gate,
                                      MP_ARGS(all->arrival, all->gate));
    mp_check(mp_connection_close(all->arrival));
    mp_check(mp_connection_close(all->gate));
}

static void await_crowd(crowd *all)
{
    char byte;
    size_t size, alive;

    for (int i = 0; i < THOUSAND; i++)
        mp_check(mp_connection_recv_bytes_into(all->arrivals, &byte, 1, &size));
    mp_check(mp_active_children(NULL, 0, &alive));
    if (alive < fewest_alive)
        fewest_alive = alive;
}

static void end_crowd(crowd *all)
{
    mp_check(mp_connection_close(all->gatekeeper));
    for (int i = 0; i < THOUSAND; i++)
        child_end(all->members[i]);
    mp_check(mp_connection_close(all->arrivals));
}

static double thousand(int batch)
{
    double began = system_now();

    for (int i = 0; i < batch; i++) {
        crowd all;

        start_crowd(&all);
        await_crowd(&all);
        end_crowd(&all);
    }
    return system_now() - began;
}

static double thousand_bare(int batch)
{
    double began = system_now();

    for (int i = 0; i < batch; i++)
        bench_require(system_start_together(THOUSAND) == THOUSAND,
                      "each of a bare thousand ends well");
    return system_now() - began;
}

static const char *allow_thousand(void)
{
    fewest_alive = SEQUENCE;
    return system_allow_many(THOUSAND) ? NULL : "a thousand are too many here";
}

static bool is_thousand(void)
{
    return fewest_alive >= THOUSAND;
}

/* -- Ten thousand in sequence ---------------------------------------------- */

static struct {
    size_t handles;
    size_t memory;
} before;

static const char *remember(void)
{
    /* More than are kept of what has ended, so that this is no growth. */
    child_spawn(THOUSAND);
    before.handles = system_count_handles();
    before.memory = system_count_memory();
    return NULL;
}

static bool is_as_before(void)
{
    size_t memory = system_count_memory();
    size_t handles = system_count_handles();
    bool is_flat = memory < before.memory + GROWTH_ALLOWED;

    if (handles == before.handles && is_flat && !system_has_zombies())
        return true;
    fprintf(stderr,
            "process.sequence: handles %zu to %zu, memory %zu to %zu KiB, %s\n",
            before.handles, handles, before.memory / 1024, memory / 1024,
            system_has_zombies() ? "zombies" : "no zombies");
    return false;
}

/* -- The rows -------------------------------------------------------------- */

static const bench_row rows[] = {
    {.name = "process.spawn",
     .unit = "us",
     .peer = "posix_spawn",
     .goal = 1.15,
     .goal_text = "<=1.15",
     .samples = 401,
     .batch = 1,
     .ours = child_spawn,
     .theirs = child_spawn_bare},
    {.name = "process.spawn.apr",
     .unit = "us",
     .peer = "APR",
     .samples = 201,
     .batch = 1,
     .begin = peer_need_apr,
     .ours = child_spawn,
     .theirs = child_spawn_apr},
    {.name = "process.spawn.uv",
     .unit = "us",
     .peer = "libuv",
     .samples = 201,
     .batch = 1,
     .begin = peer_need_uv,
     .ours = child_spawn,
     .theirs = child_spawn_uv},
    {.name = "process.spawn.1gib",
     .unit = "us",
     .peer = "without 1 GiB",
     .goal = 1.15,
     .goal_text = "<=1.15",
     .batch = 50,
     .ours = spawn_large,
     .theirs = spawn_small},
    {.name = "process.fork",
     .unit = "us",
     .peer = "fork",
     .goal = 1.5,
     .goal_text = "<=1.5",
     .samples = 401,
     .batch = 1,
     .begin = child_need_fork,
     .ours = child_fork,
     .theirs = child_fork_bare},
    {.name = "process.fork.1gib",
     .unit = "us",
     .peer = "fork",
     .samples = 7,
     .batch = 1,
     .begin = child_need_fork,
     .ours = fork_large,
     .theirs = fork_bare_large},
    {.name = "process.forkserver",
     .unit = "us",
     .peer = "our spawn",
     .goal = 0.5,
     .goal_text = "<=0.5",
     .samples = 401,
     .batch = 1,
     .begin = child_need_forkserver,
     .ours = child_forkserver,
     .theirs = child_spawn},
    {.name = "process.forkserver.1gib",
     .unit = "us",
     .peer = "without 1 GiB",
     .goal = 1.15,
     .goal_text = "<=1.15",
     .batch = 100,
     .begin = child_need_forkserver,
     .ours = forkserver_large,
     .theirs = forkserver_small},
    {.name = "process.spawn.python",
     .unit = "us",
     .peer = "python3",
     .goal = 1.0 / 30,
     .goal_text = "<=1/30",
     .batch = 20,
     .peer_batch = 1,
     .ours = child_spawn,
     .python = "spawn"},
    {.name = "process.fork.python",
     .unit = "us",
     .peer = "python3",
     .batch = 20,
     .begin = child_need_fork,
     .ours = child_fork,
     .python = "fork"},
    {.name = "process.forkserver.python",
     .unit = "us",
     .peer = "python3",
     .batch = 20,
     .begin = child_need_forkserver,
     .ours = child_forkserver,
     .python = "forkserver"},
    {.name = "process.thousand",
     .unit = "ms",
     .peer = "posix_spawn",
     .samples = 7,
     .batch = 1,
     .goal_text = "all alive at once",
     .holds = is_thousand,
     .begin = allow_thousand,
     .ours = thousand,
     .theirs = thousand_bare},
    {.name = "process.sequence",
     .unit = "us",
     .goal_text = "no growth",
     .holds = is_as_before,
     .samples = 10,
     .batch = SEQUENCE / 10,
     .begin = remember,
     .ours = child_spawn},
};

const bench_table bench_process_rows = {rows, sizeof(rows) / sizeof(rows[0])};
