/* SPDX-License-Identifier: MIT */
/*
 * A bar on the terminal while a map is under way, and what the workers have
 * done. Without a terminal there is no bar.
 *
 *     progress [ITEMS [PROCESSES]]
 */
#include "example.h"

enum { MOST_PROCESSES = 64 };

static mp_obj *nap(mp_args *args)
{
    mp_sleep(0.002);
    return mp_obj_ref(mp_arg_obj(args, 0));
}

static size_t number(char **argv, int index, int argc, size_t usual)
{
    return index < argc ? strtoul(argv[index], NULL, 10) : usual;
}

static void print_stats(mp_pool *pool)
{
    mp_worker_stats workers[MOST_PROCESSES];
    mp_pool_stats stats;
    uint64_t done = 0;

    mp_check(mp_pool_get_stats(pool, &stats, workers, MOST_PROCESSES));
    for (size_t i = 0; i < stats.workers && i < MOST_PROCESSES; i++)
        done += workers[i].tasks_done;
    say("%d tasks, by the workers: %d; %d running, %d waiting, %d died\n",
        (int)stats.tasks_done, (int)done, (int)stats.tasks_running,
        (int)stats.tasks_waiting, (int)stats.workers_died);
}

int main(int argc, char **argv)
{
    mp_task_options options = {.progress = mp_progress_bar, .context = "nap"};
    mp_obj *items = MP_LIST(), *results;
    mp_future *future;
    mp_pool *pool;
    size_t count, length;

    mp_main_guard(argc, argv);
    use_start_method_of_environment();

    count = number(argv, 1, argc, 200);
    for (size_t i = 0; i < count; i++)
        mp_check(mp_obj_append(items, MP_BOX(i)));
    mp_check(mp_pool_create(&pool, number(argv, 2, argc, 4), NULL));
    mp_check(mp_pool_map_async(pool, nap, items, 1, &options, &future));
    mp_check(mp_future_get(future, MP_FOREVER, &results));
    mp_check(mp_obj_len(results, &length));
    say("%d results\n", (int)length);
    print_stats(pool);
    mp_obj_unref(results);
    mp_check(mp_future_close(future));
    return mp_pool_destroy(pool);
}
