/* SPDX-License-Identifier: MIT */
/*
 * The command line, and which rounds are run in which order. The first round's
 * seed is that of the run; so the line that a failed round prints runs just
 * that round again.
 */
#include "torture.h"

#include "report.h"
#include "rounds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_STORMS = REPORT_STORMS,
    METHODS = 3,
    MOST_PAIRS = METHODS * MOST_STORMS,
    SECONDS = 60,
};

static const storm *const groups[] = {
    torture_locks,      torture_semaphores,  torture_events,
    torture_conditions, torture_barriers,    torture_arenas,
    torture_owners,     torture_values,      torture_shared,
    torture_shareable,  torture_queues,      torture_tables,
    torture_pools,      torture_connections, torture_listeners,
    torture_starts,     torture_names,
};
enum { GROUPS = sizeof(groups) / sizeof(groups[0]) };

/* What a round is a round of. */
typedef struct pair {
    const storm *storm;
    mp_start_method method;
} pair;

typedef struct plan {
    pair pairs[MOST_PAIRS];
    size_t count;
    mp_start_method method; /* MP_START_DEFAULT: all */
    bool takes_turns; /* each storm has one of them, the next one another */
    double seconds;   /* 0: rounds count */
    size_t rounds;
    size_t repeats;
    int kills;
    uint64_t seed;
    bool has_seed;
    bool must_list;
    bool is_verbose;
} plan;

/* -- What there is --------------------------------------------------------- */

static bool has_method(const storm *it, mp_start_method method)
{
    size_t count;
    const mp_start_method *here = mp_get_all_start_methods(&count);

    for (size_t i = 0; i < count; i++)
        if (here[i] == method)
            return it->has_method == NULL || it->has_method(method);
    return false;
}

static void list_storms(void)
{
    for (size_t i = 0; i < GROUPS; i++)
        for (const storm *it = groups[i]; it->name != NULL; it++)
            printf("%-27s %s\n", it->name, it->what);
}

/* Its name, that of its group, or any. */
static bool is_meant(const storm *it, const char *name)
{
    size_t size = strlen(name);

    return strcmp(name, "mixed") == 0 || strcmp(name, it->name) == 0 ||
           (strncmp(name, it->name, size) == 0 && it->name[size] == '/');
}

static bool is_planned(const plan *it, const storm *what)
{
    for (size_t i = 0; i < it->count; i++)
        if (it->pairs[i].storm == what)
            return true;
    return false;
}

/* The method whose turn it is, or the next one that the storm has. */
static void add_in_turn(plan *it, const storm *what)
{
    for (size_t i = 0; i < METHODS; i++) {
        mp_start_method method =
            (mp_start_method)(MP_START_SPAWN + (it->count + i) % METHODS);

        if (has_method(what, method)) {
            it->pairs[it->count++] = (pair){what, method};
            return;
        }
    }
}

static void add_storm(plan *it, const storm *what)
{
    if (is_planned(it, what))
        return;
    if (it->takes_turns) {
        add_in_turn(it, what);
        return;
    }
    for (int method = MP_START_SPAWN; method <= MP_START_FORKSERVER; method++) {
        mp_start_method one = (mp_start_method)method;

        if ((it->method == MP_START_DEFAULT || it->method == one) &&
            has_method(what, one))
            it->pairs[it->count++] = (pair){what, one};
    }
}

/* False: there is none of that name. */
static bool add_storms(plan *it, const char *name)
{
    bool is_known = false;

    for (size_t i = 0; i < GROUPS; i++)
        for (const storm *what = groups[i]; what->name != NULL; what++)
            if (is_meant(what, name)) {
                is_known = true;
                add_storm(it, what);
            }
    return is_known;
}

/* -- The run --------------------------------------------------------------- */

static uint64_t seed_of_pass(const plan *it, size_t pass)
{
    uint64_t state = it->seed + pass;

    if (pass == 0)
        return it->seed;
    return (uint64_t)torture_draw(&state, UINT32_MAX) << 32 |
           torture_draw(&state, UINT32_MAX);
}

/* In another order each time: a run that ends early leaves out others. */
static void shuffle(plan *it, uint64_t seed)
{
    for (size_t i = it->count; i > 1; i--) {
        size_t other = torture_draw(&seed, (uint32_t)i);
        pair kept = it->pairs[i - 1];

        it->pairs[i - 1] = it->pairs[other];
        it->pairs[other] = kept;
    }
}

static void run_pair(const plan *it, const pair *what, uint64_t seed)
{
    double began = mp_monotonic();

    rounds_run(what->storm, what->method, seed);
    if (it->is_verbose)
        printf("%s under %s, seed 0x%016llx: %.2f s\n", what->storm->name,
               mp_start_method_name(what->method), (unsigned long long)seed,
               mp_monotonic() - began);
    fflush(stdout);
}

static bool is_over(const plan *it, double began)
{
    return it->seconds > 0 && mp_monotonic() - began >= it->seconds;
}

static void run(plan *it)
{
    double began = mp_monotonic();

    rounds_begin(it->kills);
    for (size_t pass = 0; it->seconds > 0 || pass < it->rounds; pass++) {
        uint64_t seed = seed_of_pass(it, pass);

        if (it->seconds > 0)
            shuffle(it, seed);
        for (size_t i = 0; i < it->count && !is_over(it, began); i++)
            run_pair(it, &it->pairs[i], seed);
        if (is_over(it, began))
            break;
        rounds_settle();
    }
    rounds_end();
    report_print(mp_monotonic() - began);
}

/* -- Again and again ------------------------------------------------------- */

/* (the storm's name, method, seed in two halves, kills): one round. */
static int run_again(mp_args *args)
{
    plan it = {.method = (mp_start_method)mp_arg_int(args, 1), .rounds = 1};

    it.seed =
        (uint64_t)mp_arg_int(args, 2) << 32 | (uint64_t)mp_arg_int(args, 3);
    it.kills = (int)mp_arg_int(args, 4);
    if (!add_storms(&it, mp_arg_str(args, 0)))
        return 2;
    run(&it);
    return 0;
}

static bool has_failed(const plan *it, const pair *what)
{
    mp_process *process = NULL;
    int code = 0;

    mp_check(mp_process_create(
        &process, run_again,
        MP_ARGS(what->storm->name, (int)what->method, (int64_t)(it->seed >> 32),
                (int64_t)(it->seed & UINT32_MAX), it->kills),
        NULL));
    mp_check(mp_process_start(process));
    mp_check(mp_process_join(process, MP_FOREVER));
    mp_check(mp_process_exitcode(process, &code));
    mp_check(mp_process_close(process));
    return code != 0;
}

/* The first round of each, in a process of its own, which may fail. */
static int repeat(const plan *it)
{
    size_t failures = 0;

    for (size_t n = 0; n < it->repeats; n++)
        for (size_t i = 0; i < it->count; i++)
            failures += has_failed(it, &it->pairs[i]);
    printf("torture: seed 0x%016llx, %zu times: %zu failed\n",
           (unsigned long long)it->seed, it->repeats * it->count, failures);
    return failures == 0 ? 0 : 1;
}

/* -- The command line ------------------------------------------------------ */

static int explain_usage(const char *program)
{
    fprintf(stderr,
            "usage: %s [NAME...|mixed|--list]\n"
            "  NAME           a storm, or a group of them: see --list\n"
            "  --seconds N    begin no round after that; %d, unless:\n"
            "  --rounds N     so many of each storm and method\n"
            "  --seed N       the first round's; else a new one is made\n"
            "  --method M     spawn, fork, forkserver, all (default), or "
            "turn: one of\n"
            "                 them for each storm, the next one for the next\n"
            "  --kills N      in a round, instead of what each storm says\n"
            "  --repeat N     the first round, N times, each in a new process\n"
            "  --verbose      a line for each round\n",
            program, SECONDS);
    return 2;
}

static bool parse_method(plan *it, const char *text)
{
    for (int i = MP_START_SPAWN; i <= MP_START_FORKSERVER; i++)
        if (strcmp(text, mp_start_method_name((mp_start_method)i)) == 0)
            it->method = (mp_start_method)i;
    it->takes_turns = strcmp(text, "turn") == 0;
    return it->takes_turns || it->method != MP_START_DEFAULT ||
           strcmp(text, "all") == 0;
}

static bool parse_value(plan *it, const char *option, const char *text)
{
    char *end = NULL;
    double number = strtod(text, &end);

    if (strcmp(option, "--method") == 0)
        return parse_method(it, text);
    if (end == text || *end != 0 || number < 0)
        return false;
    if (strcmp(option, "--seconds") == 0) {
        it->seconds = number;
    } else if (strcmp(option, "--rounds") == 0) {
        it->rounds = (size_t)number;
    } else if (strcmp(option, "--repeat") == 0) {
        it->repeats = (size_t)number;
    } else if (strcmp(option, "--kills") == 0) {
        it->kills = (int)number;
    } else if (strcmp(option, "--seed") == 0) {
        it->seed = strtoull(text, NULL, 0); /* a double has too few bits */
        it->has_seed = true;
    } else {
        return false;
    }
    return true;
}

static bool parse_options(plan *it, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) != 0)
            continue;
        if (strcmp(argv[i], "--list") == 0)
            it->must_list = true;
        else if (strcmp(argv[i], "--verbose") == 0)
            it->is_verbose = true;
        else if (i + 1 >= argc || !parse_value(it, argv[i], argv[i + 1]))
            return false;
        else
            i++;
    }
    return true;
}

/* After the options: the method counts for all. */
static bool parse_names(plan *it, int argc, char **argv)
{
    bool has_names = false;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--list") == 0 || strcmp(argv[i], "--verbose") == 0)
            continue;
        if (strncmp(argv[i], "--", 2) == 0) {
            i++;
            continue;
        }
        has_names = true;
        if (!add_storms(it, argv[i])) {
            fprintf(stderr, "torture: there is no storm '%s'\n", argv[i]);
            return false;
        }
    }
    return has_names || add_storms(it, "mixed");
}

static void complete(plan *it)
{
    if (!it->has_seed)
        mp_check(mpos_random(&it->seed, sizeof(it->seed)));
    if (it->seconds <= 0 && it->rounds == 0)
        it->seconds = SECONDS;
    printf("torture: seed 0x%016llx, %zu storms and methods\n",
           (unsigned long long)it->seed, it->count);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    plan it = {.method = MP_START_DEFAULT};

    mp_main_guard(argc, argv);
    if (!parse_options(&it, argc, argv))
        return explain_usage(argv[0]);
    if (it.must_list) {
        list_storms();
        return 0;
    }
    if (!parse_names(&it, argc, argv))
        return explain_usage(argv[0]);
    if (it.count == 0) {
        fprintf(stderr, "torture: nothing of that runs under this method\n");
        return 2;
    }
    complete(&it);
    if (it.repeats > 0)
        return repeat(&it);
    run(&it);
    return 0;
}
