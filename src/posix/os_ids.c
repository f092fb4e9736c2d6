/* SPDX-License-Identifier: MIT */
/*
 * Who and where this process is. What needs this very system's calls (start
 * time, thread id, processors) is in os_system_*.c.
 */
#include "os_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

enum { USUAL_COLUMNS = 80 };

int64_t mpos_pid(void)
{
    return getpid();
}

int64_t mpos_parent_pid(void)
{
    return getppid();
}

unsigned mpos_terminal_columns(void)
{
    struct winsize size;

    if (!isatty(STDERR_FILENO))
        return 0;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return USUAL_COLUMNS;
    return size.ws_col;
}

mp_error mpos_take_variable(const char *name, char *value, size_t size)
{
    const char *found = getenv(name);
    size_t length;

    if (found == NULL)
        return mpi_fail(MP_ENOTFOUND, "%s is not in the environment", name);
    length = strlen(found);
    if (length >= size)
        length = size - 1;
    memcpy(value, found, length);
    value[length] = '\0';
    if (unsetenv(name) != 0)
        return mpos_fail_errno("unsetenv", errno);
    return MP_OK;
}

mp_error mpos_working_directory(char **path)
{
    for (size_t size = 256;; size *= 2) {
        char *text = mpi_malloc(size);
        int cause;

        if (text == NULL)
            return mpi_no_memory();
        if (getcwd(text, size) != NULL) {
            *path = text;
            return MP_OK;
        }
        cause = errno;
        free(text);
        if (cause != ERANGE)
            return mpos_fail_errno("getcwd", cause);
    }
}

mp_error mpos_change_directory(const char *path)
{
    if (chdir(path) != 0)
        return mpi_context(mpos_fail_errno("chdir", errno), "can't enter '%s'",
                           path);
    return MP_OK;
}
