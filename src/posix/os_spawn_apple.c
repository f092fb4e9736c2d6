/* SPDX-License-Identifier: MIT */
/*
 * Executing a program by posix_spawn() with Apple's own flags: everything is
 * closed but what is named. The kernel does it all, there is no child code.
 */
#include "os_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>

enum { STANDARD_COUNT = 3 };

/* Fails for a descriptor that isn't open, so closed standard ones are left
 * out. 0 or errno, as all of these. */
static int inherit_standard(posix_spawn_file_actions_t *actions)
{
    int cause = 0;

    for (int i = 0; cause == 0 && i < STANDARD_COUNT; i++) {
        if (fcntl(i, F_GETFD) >= 0)
            cause = posix_spawn_file_actions_addinherit_np(actions, i);
    }
    return cause;
}

static int inherit(posix_spawn_file_actions_t *actions,
                   const mpos_program *program)
{
    int cause = inherit_standard(actions);

    for (size_t i = 0; cause == 0 && i < program->handle_count; i++)
        cause = posix_spawn_file_actions_addinherit_np(
            actions, (int)program->handles[i]);
    if (cause == 0 && program->inherited >= 0)
        cause =
            posix_spawn_file_actions_addinherit_np(actions, program->inherited);
    return cause;
}

/* As in os_spawn_vfork.c: exec itself resets what is handled. */
static int set_signals(posix_spawnattr_t *attributes)
{
    sigset_t reset;
    sigset_t mask;
    int cause;

    sigemptyset(&reset);
    sigaddset(&reset, SIGCHLD);
    cause = posix_spawnattr_setsigdefault(attributes, &reset);
    if (cause != 0)
        return cause;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    mpos_signals_for_child(&mask);
    cause = posix_spawnattr_setsigmask(attributes, &mask);
    if (cause != 0)
        return cause;
    return posix_spawnattr_setflags(attributes, POSIX_SPAWN_CLOEXEC_DEFAULT |
                                                    POSIX_SPAWN_SETSIGDEF |
                                                    POSIX_SPAWN_SETSIGMASK);
}

static int execute(pid_t *pid, const mpos_program *program,
                   posix_spawn_file_actions_t *actions,
                   posix_spawnattr_t *attributes)
{
    int cause = inherit(actions, program);

    if (cause == 0)
        cause = set_signals(attributes);
    if (cause != 0)
        return cause;
    mpos_mutex_lock(&mpos_port_mutex);
    cause = posix_spawn(pid, program->path, actions, attributes,
                        program->arguments, program->environment);
    mpos_mutex_unlock(&mpos_port_mutex);
    return cause;
}

mp_error mpos_execute(pid_t *pid, const mpos_program *program)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int cause = posix_spawn_file_actions_init(&actions);

    if (cause != 0)
        return mpos_fail_errno("posix_spawn_file_actions_init", cause);
    cause = posix_spawnattr_init(&attributes);
    if (cause == 0) {
        cause = execute(pid, program, &actions, &attributes);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return cause == 0 ? MP_OK : mpos_fail_errno("posix_spawn", cause);
}
