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

static struct {
    bool is_looked_up;
    bool is_child; /* the variable was there */
    char variable[VARIABLE_SIZE];
} boot;

/* Once, and early: before the user's code can start programs of its own. */
static void look_up(void)
{
    if (boot.is_looked_up)
        return;
    boot.is_looked_up = true;
    boot.is_child = mpos_take_variable(MPI_START_VARIABLE, boot.variable,
                                       sizeof(boot.variable)) == MP_OK;
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
    if (!mpi_state.is_guard_passed && mpi_state.role == MPI_ROLE_MAIN)
        fail_bootstrap(missing_guard);
}

void mpi_library_loaded(void)
{
    look_up();
    /* If this fails it is tried again, by whoever needs it. */
    (void)mpi_state_init();
    if (boot.is_child)
        atexit(check_guard_was_passed);
}

mp_error mpi_guard_check(void)
{
    look_up();
    if (mpi_state.is_guard_passed || mpi_state.role != MPI_ROLE_MAIN)
        return MP_OK;
    if (boot.is_child)
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

static bool parse_variable(mpos_handle *memory, unsigned char *token)
{
    char *end;
    long long handle = strtoll(boot.variable, &end, 10);

    if (end == boot.variable || *end != ':' || handle <= 0 ||
        handle > INTPTR_MAX)
        return false;
    *memory = (mpos_handle)handle;
    return parse_token(end + 1, token);
}

MP_NORETURN static void run_as_child(void)
{
    unsigned char token[MPI_TOKEN_SIZE];
    mpi_transport handles = {0};
    mpos_handle memory;
    mpi_block block;

    if (!parse_variable(&memory, token))
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
    look_up();
    if (mpi_state.is_guard_passed) {
        mpi_fail(MP_ESTATE, "mp_main_guard() was called twice; it belongs at "
                            "the beginning of main(), once");
        mpi_complain("RuntimeError: ");
        mp_exit(1);
    }
    mpi_state.is_guard_passed = true;
    mpi_state.argc = argc;
    mpi_state.argv = argc > 0 ? argv : NULL;
    if (boot.is_child)
        run_as_child();
    if (mpi_state_init() != MP_OK)
        fail_bootstrap(mp_error_message());
    mpi_exit_register();
}
