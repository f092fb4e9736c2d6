/* SPDX-License-Identifier: MIT */
/*
 * A worker is killed in the midst of a map. In Python that never returns; with
 * concurrent.futures all is lost. Here it costs one task, or is tried again.
 */
#include "example.h"

enum { BAD = 21 };

static mp_value *victim; /* the pid of who is to be killed */

static int begin(mp_args *args) /* in each worker */
{
    victim = mp_arg_value(args, 0);
    return 0;
}

static mp_obj *half(mp_args *args)
{
    int64_t n = mp_arg_int(args, 0);

    if (n == BAD && *MP_VALUE(victim, int64_t) == 0) {
        mp_atomic_store(MP_VALUE(victim, int64_t), mp_getpid());
        mp_sleep(3600); /* until it is killed */
    }
    return MP_BOX((double)n / 2);
}

static void kill_victim(void)
{
    const int64_t *pid = MP_VALUE(victim, int64_t);
    mp_process *workers[4];
    size_t count, i;

    do {
        mp_sleep(0.001);
        mp_check(mp_active_children(workers, 4, &count));
        for (i = 0; i < count && mp_process_pid(workers[i]) != *pid; i++)
            ;
    } while (i == count); /* a worker may be faster than news of its start */
    mp_check(mp_process_kill(workers[i]));
}

static void halve(mp_pool *pool, unsigned retries)
{
    const mp_task_options options = {.retries = retries};
    mp_obj *item, *items = MP_LIST(0, 7, 14, BAD, 28, 35, 42, 49);
    mp_iterator *halves;
    mp_failure failure;
    mp_error err;

    mp_atomic_store(MP_VALUE(victim, int64_t), 0);
    mp_check(mp_pool_imap(pool, half, items, 1, &options, &halves));
    kill_victim();
    while ((err = mp_iterator_next(halves, MP_FOREVER, &item)) != MP_EEOF) {
        if (err != MP_OK) {
            mp_check(mp_iterator_failure(halves, &failure));
            item = MP_TUPLE(mp_error_name(err), failure.exitcode);
        }
        mp_check(mp_obj_print(item));
        mp_obj_unref(item);
    }
    mp_check(mp_iterator_close(halves));
}

int main(int argc, char **argv)
{
    mp_pool_options options = {.initializer = begin};
    mp_pool *pool;

    mp_main_guard(argc, argv);
    use_start_method_of_environment();
    mp_check(mp_value_create(&victim, MP_CTYPE(int64_t), NULL, NULL));
    options.initargs = MP_ARGS(victim);
    mp_check(mp_pool_create(&pool, 2, &options));
    halve(pool, MP_NO_RETRY);
    halve(pool, 1);
    mp_check(mp_pool_destroy(pool));
    return mp_value_close(victim);
}
