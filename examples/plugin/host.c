/* SPDX-License-Identifier: MIT */
/*
 * A program that loads a plugin and has never heard of multiproc: no guard, no
 * header of it. Arguments: the plugin, multiproc-worker.
 */
#include "load.h"
#include "plugin.h"

#include <stdio.h>

int main(int argc, char **argv)
{
    plugin_work_function work;

    if (argc != 3) {
        fprintf(stderr, "usage: %s PLUGIN WORKER\n", argv[0]);
        return 2;
    }
    work = (plugin_work_function)load_symbol(argv[1], PLUGIN_ENTRY);
    if (work == NULL) {
        fprintf(stderr, "%s: can't load %s\n", argv[0], argv[1]);
        return 1;
    }
    printf("this is the host\n");
    return work(argv[2], 12);
}
