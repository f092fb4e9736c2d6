/* SPDX-License-Identifier: MIT */
/*
 * A round: runs it, watches it, and looks what it has left. Handles, children,
 * memory and names must be what they were before. If the very first round of a
 * storm leaves handles, it runs again: what is opened only once may stay.
 *
 * A round that fails, in whatever thread, ends the program at once: its
 * children are daemons, and end with it.
 */
#include "rounds.h"

#include "report.h"
#include "support/leftover.h"
#include "support/waiting.h"

#include "state.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    TEXT_SIZE = 512,
    MEBIBYTE = 1 << 20,
    ROUND_MEMORY = 16 * MEBIBYTE, /* that the C library may keep of a round */
    RUN_MEMORY = 64 * MEBIBYTE,
};

#define MILLISECONDS(n) ((int64_t)(n)*1000000)

/* How often the watchdog looks, and how long nothing may happen. */
static const int64_t interval = MILLISECONDS(20);
static const int64_t patience = MILLISECONDS(60000);
/* Within a second, and what a busy machine adds. */
static const int64_t longest_allowed = MILLISECONDS(2000);

/* The round that runs. */
static struct {
    const storm *storm;
    storm_round round;
    uint64_t chance;
    report_line *line;
    void (*explain)(void);
    char waits_for[TEXT_SIZE];
} now;

/* The watchdog reads waits_for. */
static mpos_mutex text_mutex = MPOS_MUTEX_INIT;

/* All rounds. */
static struct {
    int64_t pid;
    int kills;
    bool has_begun; /* children that are forked are none of it */
    size_t handles;
    size_t memory; /* the most after any round; RUN_MEMORY more is a leak */
    bool has_settled;
    unsigned names;
} all;

static struct {
    mpos_thread thread;
    mpi_atomic32 is_on;
    mpi_atomic32 steps; /* of the round */
    mpi_atomic64 lag;   /* the longest that the machine let it wait beside */
} watch;

/* -- Failures -------------------------------------------------------------- */

static void print_replay(void)
{
    fprintf(stderr, "torture: replay: torture %s --seed 0x%016llx --rounds 1 ",
            now.storm->name, (unsigned long long)now.round.seed);
    fprintf(stderr, "--method %s", mp_start_method_name(now.round.method));
    if (all.kills != 0)
        fprintf(stderr, " --kills %d", all.kills);
    fprintf(stderr, "\n");
}

static bool is_round_here(void)
{
    return all.has_begun && all.pid == mp_getpid() && now.storm != NULL;
}

static void name_of(unsigned number, char name[TORTURE_NAME_SIZE])
{
    snprintf(name, TORTURE_NAME_SIZE, "mp storm %lld-%u", (long long)all.pid,
             number);
}

/* Nobody comes by to do it. */
static void remove_names(void)
{
    char name[TORTURE_NAME_SIZE];

    for (unsigned i = 0; i < all.names; i++) {
        name_of(i, name);
        (void)mpos_named_unlink(name, false);
        (void)mpos_shm_unlink(name); /* SharedMemory has it twice */
    }
}

static void end_with(const char *sentence)
{
    if (is_round_here()) {
        fflush(stdout);
        fprintf(stderr, "torture: %s under %s has failed: %s\n",
                now.storm->name, mp_start_method_name(now.round.method),
                sentence);
        mpos_mutex_lock(&text_mutex);
        if (now.waits_for[0] != 0)
            fprintf(stderr, "torture: the last thing awaited: %s\n",
                    now.waits_for);
        mpos_mutex_unlock(&text_mutex);
        if (now.explain != NULL)
            now.explain();
        print_replay();
        remove_names();
    } else {
        fprintf(stderr, "torture: in child %lld: %s\n", (long long)mp_getpid(),
                sentence);
    }
    fflush(stderr);
    _Exit(1);
}

void support_fail_at(const support_place *place, const char *text)
{
    char line[6 * TEXT_SIZE];

    snprintf(line, sizeof(line), "%s:%d: %s", place->file, place->line, text);
    end_with(line);
}

/* A storm that can't run here says so with has_method. */
void support_skip(const char *format, ...)
{
    end_with(format);
}

/* -- The watchdog ---------------------------------------------------------- */

/* The time is counted in looks, so that it is not the machine that hangs. */
static void keep_watch(void *unused)
{
    uint32_t seen = 0;
    int64_t idle = 0;

    (void)unused;
    while (mpi_atomic32_load(&watch.is_on) != 0) {
        int64_t began = mpos_now();
        uint32_t steps = mpi_atomic32_load(&watch.steps);

        idle = steps == seen ? idle + interval : 0;
        seen = steps;
        if (idle > patience * (support_is_watched() ? 5 : 1))
            end_with("it hangs");
        mpos_sleep_until(began + interval);
        torture_raise(&watch.lag, mpos_now() - began - interval);
    }
}

static void make_step(void)
{
    mpi_atomic32_add(&watch.steps, 1);
}

/* -- What storms ask for --------------------------------------------------- */

uint32_t torture_chance(uint32_t below)
{
    return torture_draw(&now.chance, below);
}

double torture_time(double limit)
{
    return limit * torture_chance(UINT32_MAX) / UINT32_MAX;
}

int64_t torture_seed(void)
{
    return (int64_t)torture_chance(INT32_MAX) << 31 | torture_chance(INT32_MAX);
}

void torture_killed(const char *whom)
{
    make_step();
    report_add_death(now.line, now.round.method, whom);
}

void torture_checked(size_t count)
{
    make_step();
    now.line->checked += count;
}

void torture_waits_for(const char *format, ...)
{
    va_list arguments;

    make_step();
    va_start(arguments, format);
    mpos_mutex_lock(&text_mutex);
    vsnprintf(now.waits_for, sizeof(now.waits_for), format, arguments);
    mpos_mutex_unlock(&text_mutex);
    va_end(arguments);
}

void torture_explains(void (*explain)(void))
{
    now.explain = explain;
}

bool torture_is_too_long(int64_t nanoseconds, int64_t limit)
{
    int64_t factor = support_is_watched() ? 5 : mpos_system.has_fork ? 1 : 2;

    return nanoseconds >
           limit * factor + (int64_t)mpi_atomic64_load(&watch.lag);
}

void torture_recovered(int64_t nanoseconds)
{
    make_step();
    if (nanoseconds > now.line->slowest)
        now.line->slowest = nanoseconds;
    cr_assert_not(torture_is_too_long(nanoseconds, longest_allowed),
                  "who was left went on after %lld ms",
                  (long long)(nanoseconds / MILLISECONDS(1)));
}

mp_process *torture_start(mp_start_method method, mp_function target,
                          mp_obj *args)
{
    return support_start_daemon(method, target, args);
}

void torture_kill(mp_process *process, const char *whom)
{
    ok(mp_process_kill(process));
    torture_bury(process, whom);
}

void torture_bury(mp_process *process, const char *whom)
{
    int code = support_finish(process);

    cr_assert_eq(code, -9, "a %s ended by itself, with code %d", whom, code);
    torture_killed(whom);
}

void torture_name(char name[TORTURE_NAME_SIZE])
{
    name_of(all.names++, name);
}

void torture_linger(int times)
{
    mpos_sleep_until(mpos_now() + (int64_t)torture_chance(4000) * 1000 * times);
}

/* -- What is left ---------------------------------------------------------- */

/* The block that a child was started with is kept for the next one, unless the
 * child was killed before it could be: after one that ends, it is there. */
static size_t count_handles(mp_start_method method)
{
    cr_assert_eq(support_run(MP_START_SPAWN, return_zero, NULL), 0);
    if (method != MP_START_SPAWN)
        cr_assert_eq(support_run(method, return_zero, NULL), 0);
    if (mpos_system.has_fork)
        mpi_forkserver_stop();
    return support_open_handles();
}

static void expect_memory(size_t before)
{
    size_t after = support_memory_in_use();

    if (support_is_watched()) /* which gives nothing back at once */
        return;
    cr_assert_lt(after, before + ROUND_MEMORY, "it has taken memory: %zu KiB",
                 (after - before) / 1024);
    if (all.has_settled)
        cr_assert_lt(after, all.memory + RUN_MEMORY,
                     "rounds have taken memory: %zu KiB",
                     (after - all.memory) / 1024);
    else if (after > all.memory)
        all.memory = after;
}

static void expect_nothing_left(void)
{
    char prefix[96];

    torture_waits_for("looking what is left");
    if (mpos_system.has_fork)
        mpi_forkserver_stop();
    cr_assert_not(support_has_children(), "children are left");
    cr_assert_eq(support_memory_names(), 0U, "memory with a name is left");
    snprintf(prefix, sizeof(prefix), "multiproc.mp storm %lld",
             (long long)mp_getpid());
    cr_assert_eq(support_shared_names(prefix), 0U, "names are left");
}

/* -- Rounds ---------------------------------------------------------------- */

void rounds_begin(int kills)
{
    size_t count;
    const mp_start_method *methods = mp_get_all_start_methods(&count);

    all.pid = mp_getpid();
    all.kills = kills;
    all.has_begun = true;
    mpi_atomic32_store(&watch.is_on, 1);
    ok(mpos_thread_start(keep_watch, NULL, &watch.thread));
    for (size_t i = 0; i < count; i++)
        all.handles = count_handles(methods[i]);
}

void rounds_end(void)
{
    mpi_atomic32_store(&watch.is_on, 0);
    mpos_thread_join(watch.thread);
}

void rounds_settle(void)
{
    all.has_settled = true;
}

static void run_once(int kills)
{
    now.chance = now.round.seed;
    now.round.kills = kills;
    torture_waits_for("%s", "");
    now.explain = NULL;
    mpi_atomic64_store(&watch.lag, 0);
    now.storm->run(&now.round);
    now.explain = NULL;
}

static void run_and_look(const storm *what)
{
    size_t memory = support_memory_in_use();

    run_once(all.kills != 0 ? all.kills : what->kills);
    expect_nothing_left();
    expect_memory(memory);
}

/* What a storm opens only once is left by its first round alone. */
void rounds_run(const storm *what, mp_start_method method, uint64_t seed)
{
    report_line *line = report_of(what);
    size_t handles;

    now.storm = what;
    now.round = (storm_round){.seed = seed, .method = method};
    now.line = line;
    line->rounds++;
    run_and_look(what);
    handles = count_handles(method);
    if (handles > all.handles && line->rounds == 1) {
        all.handles = handles;
        run_and_look(what);
        handles = count_handles(method);
    }
    cr_assert_leq(handles, all.handles, "%zu handles are left",
                  handles - all.handles);
    all.handles = handles;
    now.storm = NULL;
}
