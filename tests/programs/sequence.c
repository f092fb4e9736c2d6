/* SPDX-License-Identifier: MIT */
/*
 * Starts and joins SEQUENCE_COUNT children, one after the other, and looks
 * whether anything has remained of them. Its exit code: 0 nothing, 2 handles,
 * 3 more than 1 MiB of memory (if SEQUENCE_MEMORY is set), 4 a process.
 */
#include "support/check.h"

#include "state.h"

#include <multiproc.h>

#include <stdio.h>
#include <stdlib.h>

enum {
    WARM_UP = 400, /* more than the closed objects that are remembered */
    MEBIBYTE = 1 << 20,
};

static int return_zero(mp_args *args)
{
    (void)args;
    return 0;
}

static void run(long count)
{
    for (long i = 0; i < count; i++) {
        mp_process *child;
        int code = -1;

        mp_check(mp_process_create(&child, return_zero, NULL, NULL));
        mp_check(mp_process_start(child));
        mp_check(mp_process_join(child, MP_FOREVER));
        mp_check(mp_process_exitcode(child, &code));
        mp_check(mp_process_close(child));
        if (code != 0)
            exit(5);
    }
}

int main(int argc, char **argv)
{
    mp_start_method method;
    size_t handles, memory;
    long count;

    mp_main_guard(argc, argv);
    mp_check(mp_start_method_from_name(getenv("SEQUENCE_METHOD"), &method));
    mp_check(mp_set_start_method(method));
    count = atol(getenv("SEQUENCE_COUNT"));
    run(count < WARM_UP ? count / 4 : WARM_UP);
    handles = support_open_handles();
    memory = support_memory_in_use();
    run(count);
    if (support_open_handles() != handles)
        return 2;
    if (getenv("SEQUENCE_MEMORY") != NULL &&
        support_memory_in_use() > memory + MEBIBYTE)
        return 3;
    if (mpos_system.has_fork)
        mpi_forkserver_stop();
    return support_has_children() ? 4 : 0;
}
