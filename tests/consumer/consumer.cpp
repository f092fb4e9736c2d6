/* SPDX-License-Identifier: MIT */
/* The same from C++: extern "C" linkage, and no warning from the headers. */
#include <multiproc.h>

#include <cstdio>
#include <cstring>

static int greet(mp_args *args)
{
    return std::strcmp(mp_arg_str(args, 0), "bob") == 0 ? 7 : 1;
}

int main(int argc, char **argv)
{
    mp_process *process;
    int code = -1;

    mp_main_guard(argc, argv);
    mp_check(mp_process_create(&process, greet, MP_ARGS("bob"), NULL));
    mp_check(mp_process_start(process));
    mp_check(mp_process_join(process, MP_FOREVER));
    mp_check(mp_process_exitcode(process, &code));
    mp_check(mp_process_close(process));
    std::printf("exit code %d\n", code);
    return code == 7 ? 0 : 1;
}
