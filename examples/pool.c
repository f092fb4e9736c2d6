/* SPDX-License-Identifier: MIT */
/*
 * Five processes, and more tasks than that:
 *
 *     def foo(i):
 *         time.sleep(2)
 *         return i + 100
 *
 *     def bar(arg):                       # in the parent
 *         print('--> exec done:', arg)
 *
 *     pool = Pool(5)
 *     print(pool.apply(foo, args=(i,)))   # for i in range(3)
 *     for i in range(10):
 *         pool.apply_async(foo, args=(i,), callback=bar)
 *     pool.close()
 *     pool.join()
 */
#include "example.h"

enum { PROCESSES = 5, TASKS = 10 };

static mp_obj *foo(mp_args *args)
{
    mp_sleep(0.02);
    return MP_BOX(mp_arg_int(args, 0) + 100);
}

static mp_obj *square(mp_args *args)
{
    int64_t n = mp_arg_int(args, 0);

    return MP_BOX(n * n);
}

/* In the pool's thread of the parent. */
static void bar(void *context, mp_obj *value)
{
    int64_t n;

    mp_check(mp_obj_as_int(value, &n));
    say("--> exec done: %d, in the parent: %s\n", (int)n,
        true_or_false(*(int64_t *)context == mp_getpid()));
}

static void print_and_free(mp_obj *obj)
{
    mp_check(mp_obj_print(obj));
    mp_obj_unref(obj);
}

int main(int argc, char **argv)
{
    mp_obj *obj, *numbers = MP_LIST();
    mp_task_options options = {.callback = bar};
    int64_t parent = mp_getpid();
    mp_pool *pool;

    mp_main_guard(argc, argv);
    use_start_method_of_environment();

    options.context = &parent;
    mp_check(mp_pool_create(&pool, PROCESSES, NULL));
    for (int i = 0; i < 3; i++) { /* one after the other */
        mp_check(mp_pool_apply(pool, foo, MP_ARGS(i), &obj));
        print_and_free(obj);
    }
    for (int i = 0; i < TASKS; i++) { /* five at a time */
        mp_check(mp_pool_apply_async(pool, foo, MP_ARGS(i), &options, NULL));
        mp_check(mp_obj_append(numbers, MP_BOX(i)));
    }
    mp_check(mp_pool_map(pool, square, numbers, 0, &obj));
    print_and_free(obj);
    mp_check(mp_pool_close(pool));
    say("closed: %s\n",
        mp_error_name(mp_pool_apply(pool, foo, MP_ARGS(0), &obj)));
    mp_check(mp_pool_join(pool, MP_FOREVER));
    say("end\n");
    return mp_pool_destroy(pool);
}
