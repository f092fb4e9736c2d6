/* SPDX-License-Identifier: MIT */
/* load.h for Windows. */
#include "load.h"

#include <windows.h>

load_function load_symbol(const char *path, const char *name)
{
    /* main() gets its arguments in the system's code page. */
    HMODULE library = LoadLibraryA(path);

    if (library == NULL)
        return NULL;
    return (load_function)GetProcAddress(library, name);
}
