/* SPDX-License-Identifier: MIT */
/*
 * The guard: telling the main process from a child, and every misuse from
 * both. A child is recognised by a variable in its environment, which is taken
 * out at once, that names the start block and the block's token; the command
 * line is the parent's own.
 */
#include "state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VARIABLE_SIZE = 128 };

static const char missing_guard[] =
    "An attempt has been made to start a new process before the current "
    "process has finished its bootstrapping phase.\n\n"
    "This probably means that the program does not begin its main() with\n\n"
    "    mp_main_guard(argc, argv);\n\n"
    "or that it starts processes before that line, in a constructor or above "
    "the guard.";

/*
 * The guard takes the variable. It stays till then: a library that the program
 * has loaded may hold another copy of this code, whose constructor must not
 * take what is for the program's.
 */
static bool is_unguarded_child(void)
{
    return getenv(MPI_START_VARIABLE) != NULL;
}

MP_NORETURN static void fail_bootstrap(const char *sentence)
{
    fflush(stdout);
    fprintf(stderr, "multiproc: %s\n", sentence);
    fflush(stderr);
    mpos_exit(1);
}

/* The end of main() in a child that never passed the guard. */
static void check_guard_was_passed(void)
{
    if (is_unguarded_child())
        fail_bootstrap(missing_guard);
}

void mpi_library_loaded(void)
{
    /* If this fails it is tried again, by whoever needs it. */
    (void)mpi_state_init();
    if (is_unguarded_child())
        atexit(check_guard_was_passed);
}

mp_error mpi_guard_check(void)
{
    if (mpi_state.is_guard_passed || mpi_state.role != MPI_ROLE_MAIN)
        return MP_OK;
    if (is_unguarded_child())
        fail_bootstrap(missing_guard);
    if (mpi_state.executable != NULL)
        return MP_OK;
    return mpi_fail(MP_EGUARD, "%s", missing_guard);
}

static bool parse_digit(char digit, unsigned *value)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = digit == 0 ? NULL : strchr(digits, digit);

    if (found == NULL)
        return false;
    *value = (unsigned)(found - digits);
    return true;
}

static bool parse_token(const char *text, unsigned char *token)
{
    for (size_t i = 0; i < MPI_TOKEN_SIZE; i++) {
        unsigned high, low;

        if (!parse_digit(text[2 * i], &high) ||
            !parse_digit(text[2 * i + 1], &low))
            return false;
        token[i] = (unsigned char)(high << 4 | low);
    }
    return text[2 * (size_t)MPI_TOKEN_SIZE] == 0;
}

static bool parse_variable(const char *variable, mpos_handle *memory,
                           unsigned char *token)
{
    char *end;
    long long handle = strtoll(variable, &end, 10);

    if (end == variable || *end != ':' || handle <= 0 || handle > INTPTR_MAX)
        return false;
    *memory = (mpos_handle)handle;
    return parse_token(end + 1, token);
}

MP_NORETURN static void run_as_child(void)
{
    char variable[VARIABLE_SIZE];
    unsigned char token[MPI_TOKEN_SIZE];
    mpi_transport handles = {0};
    mpos_handle memory;
    mpi_block block;

    if (mpos_take_variable(MPI_START_VARIABLE, variable, sizeof(variable)) !=
            MP_OK ||
        !parse_variable(variable, &memory, token))
        fail_bootstrap("the variable " MPI_START_VARIABLE
                       " in the environment was not set by multiproc; remove "
                       "it");
    if (mpi_block_open(&block, memory, token) != MP_OK) {
        fprintf(stderr, "multiproc: can't start as a child: %s\n",
                mp_error_message());
        mpos_exit(1);
    }
    mpi_child_run(&block, &handles, MPI_ROLE_SPAWNED, 0);
}

void mp_main_guard(int argc, char **argv)
{
    mpos_load_hook();
    if (mpi_state.is_guard_passed) {
        mpi_fail(MP_ESTATE, "mp_main_guard() was called twice; it belongs at "
                            "the beginning of main(), once");
        mpi_complain("RuntimeError: ");
        mp_exit(1);
    }
    mpi_state.is_guard_passed = true;
    mpi_state.argc = argc;
    mpi_state.argv = argc > 0 ? argv : NULL;
    if (is_unguarded_child())
        run_as_child();
    if (mpi_state_init() != MP_OK)
        fail_bootstrap(mp_error_message());
    mpi_exit_register();
}
