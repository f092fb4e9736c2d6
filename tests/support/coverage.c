/* SPDX-License-Identifier: MIT */
/*
 * In a build with MULTIPROC_COVERAGE: gcov's counters are written by exit(),
 * which our children never call. They end by _exit(), and the linker
 * (--wrap=_exit) sends all of ours here. Who is killed has counted for nothing.
 */
#include <gcov.h>

void __wrap__exit(int code);
void __real__exit(int code);

void __wrap__exit(int code)
{
    /*
     * Set back for the sake of a vfork child whose exec has failed: it writes
     * its parent's counters, who then adds only what comes after.
     */
    __gcov_dump();
    __gcov_reset();
    __real__exit(code);
}
