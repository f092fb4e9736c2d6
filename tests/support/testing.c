/* SPDX-License-Identifier: MIT */
/*
 * The stand-in for Criterion: registers tests, runs each in a process of its
 * own (this program again, with --run-test=suite/name) and prints what
 * Criterion prints. Empty where Criterion itself is used.
 */
#include "testing.h"

#ifdef MULTIPROC_HAVE_CRITERION

typedef int support_uses_criterion;

#else

#include "check.h"
#include "system.h"
#include "testing_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    /* Exit codes of a test's process, beside its own. */
    CODE_FAILED = 240,
    CODE_SKIPPED = 241,
    NAME_SIZE = 512,
};

/* How much longer a test may take where a sanitizer or valgrind looks on. */
#define SLOWNESS 4

#define RUN_TEST "--run-test="

typedef struct run_options {
    const char *filter;
    const char *run_test; /* in the test's process: its name */
    double timeout;
    bool must_list;
    bool must_stop_early;
    bool always_succeeds;
    bool is_verbose;
} run_options;

typedef struct counts {
    int tested;
    int passing;
    int failing;
    int crashing;
} counts;

static support_test *all_tests;

/* The one running test of this process. */
static jmp_buf test_end;
static uint64_t test_thread;
static bool test_has_failed;

/* -- What a test calls ----------------------------------------------------- */

static void print_line(const char *prefix, const char *text)
{
    /* One call, so that lines of several processes stay whole. */
    fprintf(stderr, "[%s] %s\n", prefix, text);
    fflush(stderr);
}

static void leave_test(int code)
{
    if (support_thread_id() != test_thread) {
        fflush(NULL);
        _Exit(code);
    }
    longjmp(test_end, code);
}

void support_fail_at(const support_place *place, const char *text)
{
    char line[6 * NAME_SIZE];

    snprintf(line, sizeof(line), "%s:%d: Assertion failed: %s", place->file,
             place->line, text);
    print_line("----", line);
    test_has_failed = true;
    if (place->is_fatal)
        leave_test(CODE_FAILED);
}

void support_skip(const char *format, ...)
{
    char message[NAME_SIZE] = "";
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    print_line("SKIP", message[0] != '\0' ? message : "no reason given");
    leave_test(CODE_SKIPPED);
}

void support_log(const char *prefix, const char *format, ...)
{
    char message[2 * NAME_SIZE] = "";
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    print_line(prefix, message);
}

/* -- The set of tests ------------------------------------------------------ */

static bool comes_before(const support_test *a, const support_test *b)
{
    int order = strcmp(a->file, b->file);

    return order != 0 ? order < 0 : a->line < b->line;
}

void support_register(support_test *test)
{
    support_test **place = &all_tests;

    /* Constructors run in an order of the linker's liking. */
    while (*place != NULL && comes_before(*place, test))
        place = &(*place)->next;
    test->next = *place;
    *place = test;
}

static void apply_suite(support_test *test, const support_test *suite)
{
    if (test->init == NULL)
        test->init = suite->init;
    if (test->fini == NULL)
        test->fini = suite->fini;
    if (test->timeout <= 0)
        test->timeout = suite->timeout;
    test->disabled = test->disabled || suite->disabled;
}

static void apply_suites(void)
{
    for (support_test *suite = all_tests; suite; suite = suite->next) {
        if (suite->name != NULL)
            continue;
        for (support_test *test = all_tests; test; test = test->next) {
            if (test->name != NULL && strcmp(test->suite, suite->suite) == 0)
                apply_suite(test, suite);
        }
    }
}

static bool glob_matches(const char *pattern, const char *text)
{
    if (*pattern == '\0')
        return *text == '\0';
    if (*pattern == '*')
        return glob_matches(pattern + 1, text) ||
               (*text != '\0' && glob_matches(pattern, text + 1));
    return *text != '\0' && (*pattern == '?' || *pattern == *text) &&
           glob_matches(pattern + 1, text + 1);
}

static void full_name(const support_test *test, char name[NAME_SIZE])
{
    snprintf(name, NAME_SIZE, "%s/%s", test->suite, test->name);
}

static bool is_wanted(const support_test *test, const run_options *options)
{
    char name[NAME_SIZE];

    if (test->name == NULL)
        return false;
    full_name(test, name);
    return options->filter == NULL || glob_matches(options->filter, name);
}

/* -- In the test's process ------------------------------------------------- */

static int run_body(const support_test *test)
{
    int code;

    test_thread = support_thread_id();
    code = setjmp(test_end);
    if (code == 0) {
        if (test->init != NULL)
            test->init();
        test->run();
    }
    return code;
}

static int run_fini(const support_test *test)
{
    int code = setjmp(test_end);

    if (code == 0 && test->fini != NULL)
        test->fini();
    return code;
}

static int run_test_here(const char *wanted)
{
    char name[NAME_SIZE];

    for (const support_test *test = all_tests; test; test = test->next) {
        int code;

        if (test->name == NULL)
            continue;
        full_name(test, name);
        if (strcmp(name, wanted) != 0)
            continue;
        support_prepare_to_crash();
        support_enter_test();
        code = run_body(test);
        run_fini(test);
        support_leave_test();
        return test_has_failed ? CODE_FAILED : code;
    }
    print_line("ERR ", "no such test");
    return CODE_FAILED;
}

/* -- In the runner --------------------------------------------------------- */

static const char *judge(const support_test *test,
                         const support_outcome *outcome, counts *sum)
{
    if (outcome->has_timed_out)
        return "Timed out";
    if (outcome->signal != 0 && outcome->signal != test->signal) {
        sum->crashing++;
        return "CRASH!";
    }
    if (outcome->signal != test->signal)
        return "did not end by the signal that was expected";
    if (outcome->signal == 0 && outcome->exit_code != test->exit_code)
        return outcome->exit_code == CODE_FAILED
                   ? "" /* it has said why */
                   : "ended with another exit code than expected";
    return NULL;
}

static void print_verdict(const support_test *test, const char *prefix,
                          const char *reason, double seconds)
{
    char text[2 * NAME_SIZE];

    snprintf(text, sizeof(text), "%s::%s: (%.2fs)%s%s", test->suite, test->name,
             seconds, reason[0] != '\0' ? " " : "", reason);
    print_line(prefix, text);
}

static bool is_slow(void)
{
    return support_is_watched() || support_has_valgrind();
}

/* What a test asks for is enough everywhere if it is more than the usual. */
static double time_limit(const support_test *test, const run_options *options)
{
    if (test->timeout <= 0 || (is_slow() && test->timeout < options->timeout))
        return options->timeout;
    return test->timeout;
}

static void run_test(const char *program, const support_test *test,
                     const run_options *options, counts *sum)
{
    char argument[sizeof(RUN_TEST) + NAME_SIZE];
    support_outcome outcome = {0};
    const char *reason = "could not be started";
    double begin = support_seconds();

    snprintf(argument, sizeof(argument), RUN_TEST "%s/%s", test->suite,
             test->name);
    if (support_run_again(program, argument, time_limit(test, options),
                          &outcome)) {
        if (outcome.signal == 0 && outcome.exit_code == CODE_SKIPPED)
            return;
        reason = judge(test, &outcome, sum);
    }
    sum->tested++;
    if (reason == NULL) {
        sum->passing++;
        if (options->is_verbose)
            print_verdict(test, "PASS", "", support_seconds() - begin);
        return;
    }
    sum->failing++;
    if (outcome.signal == 0 && !outcome.has_timed_out && reason[0] != '\0')
        support_log("----", "exit code %d (0x%x)", outcome.exit_code,
                    (unsigned)outcome.exit_code);
    print_verdict(test, "FAIL", reason, support_seconds() - begin);
}

static bool run_tests(const char *program, const run_options *options)
{
    counts sum = {0};

    for (const support_test *test = all_tests; test; test = test->next) {
        if (!is_wanted(test, options))
            continue;
        if (test->disabled) {
            print_verdict(test, "SKIP", "disabled", 0);
            continue;
        }
        run_test(program, test, options, &sum);
        if (sum.failing > 0 && options->must_stop_early)
            break;
    }
    support_log("====",
                "Synthesis: Tested: %d | Passing: %d | Failing: %d | "
                "Crashing: %d",
                sum.tested, sum.passing, sum.failing, sum.crashing);
    return sum.failing == 0;
}

static void list_tests(const run_options *options)
{
    char name[NAME_SIZE];

    for (const support_test *test = all_tests; test; test = test->next) {
        if (!is_wanted(test, options))
            continue;
        full_name(test, name);
        printf("%s%s\n", name, test->disabled ? " (disabled)" : "");
    }
}

/* -- The command line ------------------------------------------------------ */

static const char *value_of(const char *argument, const char *option)
{
    size_t size = strlen(option);

    return strncmp(argument, option, size) == 0 ? argument + size : NULL;
}

/* Options of Criterion that mean nothing here. */
static bool is_ignored(const char *argument)
{
    static const char *const ignored[] = {
        "-j",
        "--jobs",
        "--ascii",
        "--color",
        "--tap",
        "--xml",
        "--json",
        "--output",
        "--quiet",
        "-q",
        "--no-early-exit",
        "--full-stats",
        "-S",
        "-O",
        "--crash",
        "--short-filename",
        "--debug",
        "--timeout",
        "--ignore-warnings",
    };

    for (size_t i = 0; i < sizeof(ignored) / sizeof(*ignored); i++) {
        if (value_of(argument, ignored[i]) != NULL)
            return true;
    }
    return false;
}

static bool parse_argument(const char *argument, run_options *options)
{
    const char *value;

    if ((value = value_of(argument, RUN_TEST)) != NULL)
        options->run_test = value;
    else if ((value = value_of(argument, "--filter=")) != NULL)
        options->filter = value;
    else if ((value = value_of(argument, "--timeout=")) != NULL)
        options->timeout = strtod(value, NULL);
    else if (strcmp(argument, "--list") == 0 || strcmp(argument, "-l") == 0)
        options->must_list = true;
    else if (value_of(argument, "--fail-fast") || value_of(argument, "-f"))
        options->must_stop_early = true;
    else if (value_of(argument, "--always-succeed") != NULL)
        options->always_succeeds = true;
    else if (value_of(argument, "--verbose") != NULL)
        options->is_verbose = true;
    else
        return is_ignored(argument);
    return true;
}

int support_run_all_tests(int argc, char **argv)
{
    run_options options = {
        .timeout = is_slow() ? SLOWNESS * SUPPORT_TIMEOUT : SUPPORT_TIMEOUT,
    };

    for (int i = 1; i < argc; i++) {
        /* "-j 2": the number belongs to the option before it */
        if (argv[i][0] != '-' && i > 1 && strcmp(argv[i - 1], "-j") == 0)
            continue;
        if (!parse_argument(argv[i], &options)) {
            fprintf(stderr,
                    "usage: %s [--filter=suite/name] [--list] [--verbose] "
                    "[--timeout=seconds] [--fail-fast]\n",
                    argv[0]);
            return 3;
        }
    }
    apply_suites();
    if (options.run_test != NULL)
        return run_test_here(options.run_test);
    if (options.must_list) {
        list_tests(&options);
        return 0;
    }
    return run_tests(argv[0], &options) || options.always_succeeds ? 0 : 1;
}

#endif
