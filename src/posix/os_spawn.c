/* SPDX-License-Identifier: MIT */
/*
 * Starting a program: what to execute, with which arguments and environment.
 * How it is executed is os_spawn_vfork.c's or os_spawn_apple.c's.
 */
#include "os_internal.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

enum { ADDED_LIMIT = 2 };

static size_t name_length(const char *variable)
{
    return strcspn(variable, "=");
}

static bool has_same_name(const char *variable, const char *other)
{
    size_t length = name_length(variable);

    return length == name_length(other) && memcmp(variable, other, length) == 0;
}

static bool is_replaced(const char *variable, char *const *added, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (has_same_name(variable, added[i]))
            return true;
    }
    return false;
}

/* environ and what is added; malloc'ed, the strings are borrowed. */
static char **merge_environment(char *const *added, size_t count)
{
    static char *nothing[] = {NULL};
    char **present = environ != NULL ? environ : nothing;
    size_t size = 0;
    size_t used = 0;
    char **merged;

    while (present[size] != NULL)
        size++;
    merged = mpi_malloc((size + count + 1) * sizeof(*merged));
    if (merged == NULL)
        return NULL;
    for (size_t i = 0; i < size; i++) {
        if (!is_replaced(present[i], added, count))
            merged[used++] = present[i];
    }
    for (size_t i = 0; i < count; i++)
        merged[used++] = added[i];
    merged[used] = NULL;
    return merged;
}

static mp_error execute(mpos_process *out, const mpos_program *program,
                        mpos_birth *birth)
{
    pid_t pid;
    mp_error error = mpos_execute(&pid, program);

    if (error != MP_OK) {
        mpos_birth_cancel(birth);
        return mpi_context(error, "can't start '%s'", program->path);
    }
    error = mpos_birth_finish(birth, pid);
    if (error != MP_OK) {
        mpos_end_unborn(pid);
        return error;
    }
    out->pid = pid;
    out->sentinel = birth->sentinel;
    out->start_time = 0;
    out->is_child = true;
    return MP_OK;
}

static mp_error spawn_born(mpos_process *out, mpos_program *program,
                           const mpos_spawn_options *options, mpos_birth *birth)
{
    char death[sizeof(MPOS_DEATH_VARIABLE) + 16];
    char *added[ADDED_LIMIT];
    size_t count = 0;
    char **environment;
    mp_error error;

    if (options->variable != NULL)
        added[count++] = (char *)(uintptr_t)options->variable;
    program->inherited = birth->inherited;
    if (birth->inherited >= 0) {
        snprintf(death, sizeof(death), "%s=%d", MPOS_DEATH_VARIABLE,
                 birth->inherited);
        added[count++] = death;
    }
    environment = merge_environment(added, count);
    if (environment == NULL) {
        mpos_birth_cancel(birth);
        return mpi_no_memory();
    }
    program->environment = environment;
    error = execute(out, program, birth);
    free(environment);
    return error;
}

mp_error mpos_spawn(mpos_process *out, const mpos_spawn_options *options)
{
    mpos_program program = {
        .path = options->program,
        .descriptor = -1,
        .handles = options->handles,
        .handle_count = options->handle_count,
        .dies_with_parent = options->dies_with_parent,
    };
    mpos_birth birth = MPOS_BIRTH_INIT;
    char own_path[PATH_MAX];
    char *only_path[] = {NULL, NULL};
    mp_error error;

    if (program.path == NULL) {
        error = mpos_program_find(own_path, &program.descriptor);
        if (error != MP_OK)
            return error;
        program.path = own_path;
    }
    only_path[0] = (char *)(uintptr_t)program.path;
    program.arguments = only_path;
    if (options->program == NULL && options->argv != NULL)
        program.arguments = options->argv;
    error = mpos_birth_begin(&birth);
    if (error != MP_OK)
        return error;
    return spawn_born(out, &program, options, &birth);
}
