/* SPDX-License-Identifier: MIT */
/* Which start method, and which program. */
#include "state.h"

#include <stdlib.h>
#include <string.h>

static const mp_start_method all_methods[] = {
    MP_START_SPAWN,
    MP_START_FORK,
    MP_START_FORKSERVER,
};

const char *mp_start_method_name(mp_start_method method)
{
    switch (method) {
    case MP_START_SPAWN:
        return "spawn";
    case MP_START_FORK:
        return "fork";
    case MP_START_FORKSERVER:
        return "forkserver";
    default:
        return "default";
    }
}

mp_error mp_start_method_from_name(const char *name, mp_start_method *out)
{
    for (int i = 0; name != NULL && out != NULL && i <= MP_START_FORKSERVER;
         i++) {
        if (strcmp(name, mp_start_method_name((mp_start_method)i)) != 0)
            continue;
        *out = (mp_start_method)i;
        return MP_OK;
    }
    return mpi_fail(MP_EINVAL, "cannot find a start method called %s",
                    name == NULL ? "NULL" : name);
}

const mp_start_method *mp_get_all_start_methods(size_t *count)
{
    if (count != NULL)
        *count = mpos_system.has_fork ? 3 : 1;
    return all_methods;
}

mp_error mpi_start_method_check(mp_start_method method)
{
    if (method < MP_START_SPAWN || method > MP_START_FORKSERVER)
        return mpi_fail(MP_EINVAL, "there is no start method %d", (int)method);
    if (method != MP_START_SPAWN && !mpos_system.has_fork)
        return mpi_fail(MP_ENOTSUP, "%s has no start method %s",
                        mpos_system.system, mp_start_method_name(method));
    return MP_OK;
}

mp_start_method mp_get_start_method(void)
{
    mp_start_method method;

    mpos_mutex_lock(&mpi_state.mutex);
    method = mpi_state.method;
    mpos_mutex_unlock(&mpi_state.mutex);
    return method;
}

mp_error mp_set_start_method(mp_start_method method)
{
    mp_error err = mpi_start_method_check(method);

    if (err != MP_OK)
        return err;
    mpos_mutex_lock(&mpi_state.mutex);
    mpi_state.method = method;
    mpos_mutex_unlock(&mpi_state.mutex);
    return MP_OK;
}

mp_error mp_set_executable(const char *path)
{
    char *copy = mpi_strdup(path);

    if (path != NULL && *path == 0) {
        free(copy);
        return mpi_fail(MP_EINVAL, "the path of the program is empty");
    }
    if (path != NULL && copy == NULL)
        return mpi_no_memory();
    mpos_mutex_lock(&mpi_state.mutex);
    free(mpi_state.executable);
    mpi_state.executable = copy;
    mpos_mutex_unlock(&mpi_state.mutex);
    return MP_OK;
}
