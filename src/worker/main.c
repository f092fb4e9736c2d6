/* SPDX-License-Identifier: MIT */
/*
 * multiproc-worker: the program that plugins start their children with, since
 * they have no main() of their own (mp_set_executable). It loads the plugin's
 * library when it meets its functions.
 */
#include <multiproc/process.h>

#include <stdio.h>

int main(int argc, char **argv)
{
    mp_main_guard(argc, argv);
    fprintf(stderr,
            "%s: started by programs that use multiproc, see "
            "mp_set_executable(); it does nothing by itself\n",
            argc > 0 ? argv[0] : "multiproc-worker");
    return 2;
}
