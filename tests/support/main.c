/* SPDX-License-Identifier: MIT */
/*
 * The main() of every test program: the guard first, since tests start this
 * very program again as their children; then the tests.
 *
 * Criterion's sandbox (BoxFort) starts this program once per test with
 * BXFI_MAP in the environment, and then puts its own function in the place of
 * main(). So in a test's process the guard has not been passed yet, and a
 * child that inherited BXFI_MAP would become a sandbox instead of our child:
 * support_enter_test() puts both right, inside that process.
 */
#include "testing.h"

#include <multiproc/process.h>

#ifdef MULTIPROC_HAVE_CRITERION

#include <criterion/options.h>

#include <stdlib.h>

static int saved_argc;
static char **saved_argv;
static bool has_passed_guard;

/* glibc and macOS give constructors what they give main(). */
static void __attribute__((__constructor__))
save_arguments(int argc, char **argv)
{
    saved_argc = argc;
    saved_argv = argv;
}

void support_enter_test(void)
{
    unsetenv("BXFI_MAP");
    if (!has_passed_guard)
        mp_main_guard(saved_argc, saved_argv);
    has_passed_guard = true;
}

static int run_all_tests(int argc, char **argv)
{
    struct criterion_test_set *tests = criterion_initialize();
    int code = 0;

    has_passed_guard = true;
    criterion_options.timeout = SUPPORT_TIMEOUT;
    if (criterion_handle_args(argc, argv, true))
        code = criterion_run_all_tests(tests) ? 0 : 1;
    criterion_finalize(tests);
    return code;
}

#else

void support_enter_test(void)
{
    /* The test's process came through main(). */
}

static int run_all_tests(int argc, char **argv)
{
    return support_run_all_tests(argc, argv);
}

#endif

int main(int argc, char **argv)
{
    mp_main_guard(argc, argv);
    return run_all_tests(argc, argv);
}
