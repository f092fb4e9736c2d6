/* SPDX-License-Identifier: MIT */
/*
 * What concurrent.futures has:
 *
 *     with ProcessPoolExecutor(2, initializer=begin, initargs=(gate,)) as ex:
 *         futures = [ex.submit(square, n) for n in range(-1, 3)]
 *         for future in as_completed(futures):
 *             print(future.result())
 */
#include "example.h"

enum { COUNT = 4 };

static mp_event *gate;

static int begin(mp_args *args) /* in each worker */
{
    gate = mp_arg_event(args, 0);
    return 0;
}

static mp_obj *square(mp_args *args)
{
    int64_t n = mp_arg_int(args, 0);

    mp_check(mp_event_wait(gate, MP_FOREVER));
    return n < 0 ? mp_raise(MP_EINVAL, "%d < 0", (int)n) : MP_BOX(n * n);
}

static void note(void *context, mp_future *future)
{
    say("%s: %s\n", (const char *)context,
        true_or_false(mp_future_done(future)));
}

static void print_and_close(mp_future *future)
{
    mp_failure failure;
    mp_obj *value;

    if (mp_future_result(future, MP_FOREVER, &value) == MP_OK) {
        mp_check(mp_obj_print(value));
        mp_obj_unref(value);
    } else {
        mp_check(mp_future_failure(future, &failure));
        say("%s: %s\n", mp_error_name(failure.code), failure.sentence);
    }
    mp_check(mp_future_close(future));
}

int main(int argc, char **argv)
{
    mp_future *futures[COUNT];
    mp_pool_options options = {.initializer = begin};
    mp_pool *pool;
    size_t i;

    mp_main_guard(argc, argv);
    use_start_method_of_environment();
    mp_check(mp_event_create(&gate));
    options.initargs = MP_ARGS(gate);
    mp_check(mp_pool_create(&pool, 2, &options));
    for (int n = 0; n < COUNT; n++)
        mp_check(mp_pool_submit(pool, square, MP_ARGS(n - 1), &futures[n]));
    mp_check(mp_future_add_done_callback(futures[1], note, "called, done"));
    while (!mp_future_running(futures[0])) /* both wait at the gate */
        mp_sleep(0.001);
    say("cancelled, first: %s\n", mp_error_name(mp_future_cancel(futures[0])));
    say("cancelled, last: %s\n", mp_error_name(mp_future_cancel(futures[3])));
    mp_check(mp_event_set(gate));
    mp_check(mp_futures_wait(futures, 3, MP_ALL_COMPLETED, MP_FOREVER));
    while (mp_as_completed(futures, COUNT, MP_FOREVER, &i) == MP_OK) {
        print_and_close(futures[i]);
        futures[i] = NULL;
    }
    mp_check(mp_pool_close(pool));
    mp_check(mp_pool_join(pool, MP_FOREVER));
    mp_check(mp_pool_destroy(pool));
    return mp_event_close(gate);
}
