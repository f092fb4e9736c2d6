/* SPDX-License-Identifier: MIT */
/*
 * What a test file includes. Where Criterion is (MULTIPROC_HAVE_CRITERION)
 * this is Criterion; elsewhere (Windows, musl, instruments: see
 * cmake/testing.cmake) it is a small framework with the same names, in
 * testing.c: each test in a process of its own, with a time limit, and
 * Criterion's closing line.
 *
 * Use only what is below. A test enters through support_enter_test(), which
 * makes its process fit to start children; see main.c.
 */
#ifndef SUPPORT_TESTING_H
#define SUPPORT_TESTING_H

#include <stdbool.h>
#include <stddef.h>

/* Seconds a test may take unless it says .timeout = ...; in our framework more
 * where a sanitizer or valgrind looks on. */
#define SUPPORT_TIMEOUT 30.0

/* Once per test process, before anything of the test's and after all of it
 * (main.c). */
void support_enter_test(void);
void support_leave_test(void);

#ifdef MULTIPROC_HAVE_CRITERION

#include <criterion/criterion.h>
#include <criterion/logging.h>

/*
 * Criterion has no hook that runs inside the test's process (report hooks run
 * in the runner) for all suites, so the test's entry and exit are ours.
 */
#ifndef CR_TEST_TRAMPOLINE_
#error "this Criterion builds tests in another way: see support_enter_test"
#endif
#undef CR_TEST_TRAMPOLINE_
#define CR_TEST_TRAMPOLINE_(Category, Name)                                 \
    static inline void CR_IDENTIFIER_(Category, Name, jmp)(void)            \
    {                                                                       \
        support_enter_test();                                               \
        criterion_internal_test_setup();                                    \
        criterion_internal_test_main(CR_IDENTIFIER_(Category, Name, impl)); \
        criterion_internal_test_teardown();                                 \
        support_leave_test();                                               \
    }

#else

#include "constructor.h"

#include <math.h>
#include <string.h>

typedef struct support_test {
    const char *suite;
    const char *name; /* NULL: what TestSuite() says for all its tests */
    const char *file;
    int line;
    void (*run)(void);
    struct support_test *next;
    /* What a test may say, as in Criterion; zero: nothing said. */
    void (*init)(void);
    void (*fini)(void);
    int signal;
    int exit_code;
    bool disabled;
    const char *description;
    double timeout;
    int sentinel_;
} support_test;

/* One assertion, for the macros below. */
typedef struct support_place {
    const char *file;
    int line;
    bool is_fatal;
    const char *expression;
} support_place;

void support_register(support_test *test);
/* Runs main()'s tests: the exit code. */
int support_run_all_tests(int argc, char **argv);
/* format NULL: no message. False if the test has failed, if it goes on. */
bool support_check(bool holds, const support_place *place, const char *format,
                   ...);
/* op: "==" or "!=". */
bool support_check_text(const char *op, const char *actual,
                        const char *expected, const support_place *place,
                        const char *format, ...);
/* Each runner's own, of which testing.c is one: an assertion does not hold; the
 * text says which, and why. Does not return if the place is_fatal. */
void support_fail_at(const support_place *place, const char *text);
void support_skip(const char *format, ...);
void support_log(const char *prefix, const char *format, ...);

/* MSVC's old preprocessor hands __VA_ARGS__ on as one argument. */
#define SUPPORT_EXPAND(text) text
#define SUPPORT_NO_MESSAGE ((const char *)0)
#define SUPPORT_PLACE(fatal, expression) \
    (&(const support_place){__FILE__, __LINE__, fatal, expression})

#define SUPPORT_TEST_(suite_, name_, ...)            \
    static void suite_##_##name_##_impl(void);       \
    static support_test suite_##_##name_##_meta = {  \
        .suite = #suite_,                            \
        .name = #name_,                              \
        .file = __FILE__,                            \
        .line = __LINE__,                            \
        .run = suite_##_##name_##_impl,              \
        __VA_ARGS__};                                \
    SUPPORT_CONSTRUCTOR(suite_##_##name_##_register) \
    {                                                \
        support_register(&suite_##_##name_##_meta);  \
    }                                                \
    static void suite_##_##name_##_impl(void)
#define Test(...) SUPPORT_EXPAND(SUPPORT_TEST_(__VA_ARGS__, .sentinel_ = 0))

#define SUPPORT_SUITE_(suite_, ...)                                         \
    static support_test support_suite_##suite_##_meta = {                   \
        .suite = #suite_, .file = __FILE__, .line = __LINE__, __VA_ARGS__}; \
    SUPPORT_CONSTRUCTOR(support_suite_##suite_##_register)                  \
    {                                                                       \
        support_register(&support_suite_##suite_##_meta);                   \
    }                                                                       \
    struct support_test
#define TestSuite(...) \
    SUPPORT_EXPAND(SUPPORT_SUITE_(__VA_ARGS__, .sentinel_ = 0))

/*
 * Each takes its operands and, if wanted, a format with arguments. What is
 * printed is the text between the parentheses as it was written: expanded,
 * one of our own macros fills pages.
 */
#define SUPPORT_TRUE_(place, value, ...) \
    support_check(!!(value), place, __VA_ARGS__)
#define SUPPORT_FALSE_(place, value, ...) \
    support_check(!(value), place, __VA_ARGS__)
#define SUPPORT_OP_(place, op, a, b, ...) \
    support_check((a)op(b), place, __VA_ARGS__)
#define SUPPORT_NULL_(place, op, a, ...) \
    support_check((a)op NULL, place, __VA_ARGS__)
#define SUPPORT_STR_(place, op, a, b, ...) \
    support_check_text(#op, a, b, place, __VA_ARGS__)
#define SUPPORT_EMPTY_(place, op, a, ...) \
    support_check((a)[0] op '\0', place, __VA_ARGS__)
#define SUPPORT_ARR_(place, op, a, b, size, ...) \
    support_check(memcmp(a, b, size) op 0, place, __VA_ARGS__)
#define SUPPORT_FLOAT_(place, op, a, b, epsilon, ...)                       \
    support_check((fabs((double)((a) - (b))) <= (double)(epsilon)) op true, \
                  place, __VA_ARGS__)

#define SUPPORT_1(kind, ...) \
    SUPPORT_EXPAND(SUPPORT_##kind##_(__VA_ARGS__, SUPPORT_NO_MESSAGE))
#define SUPPORT_AT(fatal, name, text) SUPPORT_PLACE(fatal, name "(" text ")")

#define cr_assert(...) \
    SUPPORT_1(TRUE, SUPPORT_AT(true, "cr_assert", #__VA_ARGS__), __VA_ARGS__)
#define cr_assert_not(...)                                            \
    SUPPORT_1(FALSE, SUPPORT_AT(true, "cr_assert_not", #__VA_ARGS__), \
              __VA_ARGS__)
#define cr_assert_eq(...)                                             \
    SUPPORT_1(OP, SUPPORT_AT(true, "cr_assert_eq", #__VA_ARGS__), ==, \
              __VA_ARGS__)
#define cr_assert_neq(...)                                             \
    SUPPORT_1(OP, SUPPORT_AT(true, "cr_assert_neq", #__VA_ARGS__), !=, \
              __VA_ARGS__)
#define cr_assert_lt(...)                                            \
    SUPPORT_1(OP, SUPPORT_AT(true, "cr_assert_lt", #__VA_ARGS__), <, \
              __VA_ARGS__)
#define cr_assert_leq(...)                                             \
    SUPPORT_1(OP, SUPPORT_AT(true, "cr_assert_leq", #__VA_ARGS__), <=, \
              __VA_ARGS__)
#define cr_assert_gt(...)                                            \
    SUPPORT_1(OP, SUPPORT_AT(true, "cr_assert_gt", #__VA_ARGS__), >, \
              __VA_ARGS__)
#define cr_assert_geq(...)                                             \
    SUPPORT_1(OP, SUPPORT_AT(true, "cr_assert_geq", #__VA_ARGS__), >=, \
              __VA_ARGS__)
#define cr_assert_null(...)                                               \
    SUPPORT_1(NULL, SUPPORT_AT(true, "cr_assert_null", #__VA_ARGS__), ==, \
              __VA_ARGS__)
#define cr_assert_not_null(...)                                               \
    SUPPORT_1(NULL, SUPPORT_AT(true, "cr_assert_not_null", #__VA_ARGS__), !=, \
              __VA_ARGS__)
#define cr_assert_str_eq(...)                                              \
    SUPPORT_1(STR, SUPPORT_AT(true, "cr_assert_str_eq", #__VA_ARGS__), ==, \
              __VA_ARGS__)
#define cr_assert_str_neq(...)                                              \
    SUPPORT_1(STR, SUPPORT_AT(true, "cr_assert_str_neq", #__VA_ARGS__), !=, \
              __VA_ARGS__)
#define cr_assert_str_empty(...)                                            \
    SUPPORT_1(EMPTY, SUPPORT_AT(true, "cr_assert_str_empty", #__VA_ARGS__), \
              ==, __VA_ARGS__)
#define cr_assert_str_not_empty(...)                                         \
    SUPPORT_1(EMPTY,                                                         \
              SUPPORT_AT(true, "cr_assert_str_not_empty", #__VA_ARGS__), !=, \
              __VA_ARGS__)
#define cr_assert_arr_eq(...)                                              \
    SUPPORT_1(ARR, SUPPORT_AT(true, "cr_assert_arr_eq", #__VA_ARGS__), ==, \
              __VA_ARGS__)
#define cr_assert_arr_neq(...)                                              \
    SUPPORT_1(ARR, SUPPORT_AT(true, "cr_assert_arr_neq", #__VA_ARGS__), !=, \
              __VA_ARGS__)
#define cr_assert_float_eq(...)                                                \
    SUPPORT_1(FLOAT, SUPPORT_AT(true, "cr_assert_float_eq", #__VA_ARGS__), ==, \
              __VA_ARGS__)
#define cr_assert_float_neq(...)                                            \
    SUPPORT_1(FLOAT, SUPPORT_AT(true, "cr_assert_float_neq", #__VA_ARGS__), \
              !=, __VA_ARGS__)
#define cr_assert_fail(...)                                       \
    support_check(false, SUPPORT_PLACE(true, "cr_assert_fail()"), \
                  "" __VA_ARGS__)

#define cr_expect(...) \
    SUPPORT_1(TRUE, SUPPORT_AT(false, "cr_expect", #__VA_ARGS__), __VA_ARGS__)
#define cr_expect_not(...)                                             \
    SUPPORT_1(FALSE, SUPPORT_AT(false, "cr_expect_not", #__VA_ARGS__), \
              __VA_ARGS__)
#define cr_expect_eq(...)                                              \
    SUPPORT_1(OP, SUPPORT_AT(false, "cr_expect_eq", #__VA_ARGS__), ==, \
              __VA_ARGS__)
#define cr_expect_neq(...)                                              \
    SUPPORT_1(OP, SUPPORT_AT(false, "cr_expect_neq", #__VA_ARGS__), !=, \
              __VA_ARGS__)
#define cr_expect_lt(...)                                             \
    SUPPORT_1(OP, SUPPORT_AT(false, "cr_expect_lt", #__VA_ARGS__), <, \
              __VA_ARGS__)
#define cr_expect_leq(...)                                              \
    SUPPORT_1(OP, SUPPORT_AT(false, "cr_expect_leq", #__VA_ARGS__), <=, \
              __VA_ARGS__)
#define cr_expect_gt(...)                                             \
    SUPPORT_1(OP, SUPPORT_AT(false, "cr_expect_gt", #__VA_ARGS__), >, \
              __VA_ARGS__)
#define cr_expect_geq(...)                                              \
    SUPPORT_1(OP, SUPPORT_AT(false, "cr_expect_geq", #__VA_ARGS__), >=, \
              __VA_ARGS__)
#define cr_expect_null(...)                                                \
    SUPPORT_1(NULL, SUPPORT_AT(false, "cr_expect_null", #__VA_ARGS__), ==, \
              __VA_ARGS__)
#define cr_expect_not_null(...)                                                \
    SUPPORT_1(NULL, SUPPORT_AT(false, "cr_expect_not_null", #__VA_ARGS__), !=, \
              __VA_ARGS__)
#define cr_expect_str_eq(...)                                               \
    SUPPORT_1(STR, SUPPORT_AT(false, "cr_expect_str_eq", #__VA_ARGS__), ==, \
              __VA_ARGS__)
#define cr_expect_str_neq(...)                                               \
    SUPPORT_1(STR, SUPPORT_AT(false, "cr_expect_str_neq", #__VA_ARGS__), !=, \
              __VA_ARGS__)
#define cr_expect_str_empty(...)                                             \
    SUPPORT_1(EMPTY, SUPPORT_AT(false, "cr_expect_str_empty", #__VA_ARGS__), \
              ==, __VA_ARGS__)
#define cr_expect_str_not_empty(...)                                          \
    SUPPORT_1(EMPTY,                                                          \
              SUPPORT_AT(false, "cr_expect_str_not_empty", #__VA_ARGS__), !=, \
              __VA_ARGS__)
#define cr_expect_arr_eq(...)                                               \
    SUPPORT_1(ARR, SUPPORT_AT(false, "cr_expect_arr_eq", #__VA_ARGS__), ==, \
              __VA_ARGS__)
#define cr_expect_arr_neq(...)                                               \
    SUPPORT_1(ARR, SUPPORT_AT(false, "cr_expect_arr_neq", #__VA_ARGS__), !=, \
              __VA_ARGS__)
#define cr_expect_float_eq(...)                                             \
    SUPPORT_1(FLOAT, SUPPORT_AT(false, "cr_expect_float_eq", #__VA_ARGS__), \
              ==, __VA_ARGS__)
#define cr_expect_float_neq(...)                                             \
    SUPPORT_1(FLOAT, SUPPORT_AT(false, "cr_expect_float_neq", #__VA_ARGS__), \
              !=, __VA_ARGS__)
#define cr_expect_fail(...)                                        \
    support_check(false, SUPPORT_PLACE(false, "cr_expect_fail()"), \
                  "" __VA_ARGS__)

#define cr_skip_test(...) support_skip("" __VA_ARGS__)
#define cr_log_info(...) support_log("----", __VA_ARGS__)
#define cr_log_warn(...) support_log("WARN", __VA_ARGS__)
#define cr_log_error(...) support_log("ERR ", __VA_ARGS__)

#endif

#ifndef cr_skip
#define cr_skip cr_skip_test
#endif

#endif
