/* SPDX-License-Identifier: MIT */
/* Process(target=greet, args=("bob",), kwargs={"times": 2}).start() */
#include <multiproc.h>

#include <stdio.h>

static int greet(mp_args *args) /* Python: def greet(name, times=1): */
{
    const char *name = mp_arg_str(args, 0);
    int64_t times = mp_kwarg_int(args, "times", 1);

    for (int64_t i = 0; i < times; i++)
        printf("hello %s\n", name);
    return 0; /* the exit code */
}

int main(int argc, char **argv)
{
    mp_process *p;

    mp_main_guard(argc, argv); /* if __name__ == '__main__': */

    mp_check(mp_process_create(
        &p, greet, MP_ARGS("bob"),
        &(mp_process_options){.kwargs = MP_KWARGS("times", 2)}));
    mp_check(mp_process_start(p));
    mp_check(mp_process_join(p, MP_FOREVER));
    mp_check(mp_process_close(p));
    return 0;
}
