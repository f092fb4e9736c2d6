/* SPDX-License-Identifier: MIT */
/*
 * Arguments by position and by name:
 *
 *     Process(target=process_01, args=("I am process 1",))
 *     Process(target=process_02, kwargs={"data": "I am process 2"})
 *     Process(target=process1, args=[30, 50])
 *
 * They arrive with the types they had.
 */
#include "example.h"

static int process_01(mp_args *args)
{
    say("%s\n", mp_arg_str(args, 0));
    return 0;
}

static int process_02(mp_args *args)
{
    say("%s\n", mp_kwarg_str(args, "data", "nothing"));
    return 0;
}

static int numbers(mp_args *args) /* def numbers(num, age, scale=1.0): */
{
    long long num = mp_arg_int(args, 0);
    long long age = mp_arg_int(args, 1);

    say("n: %lld %lld %g\n", num, age, mp_kwarg_float(args, "scale", 1.0));
    return 0;
}

static int everything(mp_args *args)
{
    mp_check(mp_obj_print(mp_args_tuple(args)));
    mp_check(mp_obj_print(mp_args_dict(args)));
    return 0;
}

static void run(mp_function target, mp_obj *args, mp_obj *kwargs)
{
    mp_process_options options = {.kwargs = kwargs};
    mp_process *p;

    mp_check(mp_process_create(&p, target, args, &options));
    mp_check(mp_process_start(p));
    mp_check(mp_process_join(p, MP_FOREVER));
    mp_check(mp_process_close(p));
}

int main(int argc, char **argv)
{
    mp_main_guard(argc, argv);
    use_start_method_of_environment();

    run(process_01, MP_ARGS("I am process 1"), NULL);
    run(process_02, NULL, MP_KWARGS("data", "I am process 2"));
    run(numbers, MP_ARGS(30, 50), NULL);
    run(numbers, MP_ARGS(30, 50), MP_KWARGS("scale", 0.5));
    run(everything, MP_ARGS(1, 2.5, MP_TRUE, MP_NONE, "text", MP_LIST(1, 2)),
        MP_KWARGS("point", MP_TUPLE(1, 2), "raw", MP_BYTES("\0\xff", 2)));
    return 0;
}
