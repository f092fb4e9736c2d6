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

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

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
    setpgid(0, 0);
    signal(SIGINT, SIG_DFL); /* ignored in what a shell starts with & */
    unsetenv("BXFI_MAP");
    if (!has_passed_guard)
        mp_main_guard(saved_argc, saved_argv);
    has_passed_guard = true;
}

/*
 * What a failed test has left behind goes here: a forked child holds the
 * sandbox's sockets, and the runner would wait for it for ever.
 */
void support_leave_test(void)
{
    signal(SIGTERM, SIG_IGN);
    kill(0, SIGTERM); /* our group is this process and its children */
    kill(0, SIGCONT);
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

void support_leave_test(void)
{
    /* The runner ends what is left: see support_run_again(). */
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
