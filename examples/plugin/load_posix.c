/* SPDX-License-Identifier: MIT */
/* load.h for POSIX. */
#include "load.h"

#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>

load_function load_symbol(const char *path, const char *name)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);

    if (library == NULL)
        return NULL;
    return (load_function)(uintptr_t)dlsym(library, name);
}
