/* SPDX-License-Identifier: MIT */
/*
 * Who is served next? A pool of one process is the processor, and of the jobs
 * it is known how long they take. # is running; . is ready: it waits for it.
 */
#include "example.h"

#include <string.h>

enum { JOBS = 4, TICKS = 12 };

static const int needs[JOBS] = {5, 2, 4, 1}; /* ticks */
static mp_array *ran; /* who had the processor at each tick */

static int begin(mp_args *args)
{
    ran = mp_arg_array(args, 0);
    return mp_event_wait(mp_arg_event(args, 1), MP_FOREVER);
}

static mp_obj *run(mp_args *args) /* (job) */
{
    int64_t job = mp_arg_int(args, 0);
    char *now = strchr(MP_ARRAY(ran, char), 0);

    for (int i = 0; i < needs[job]; i++) {
        now[i] = (char)('A' + job);
        mp_sleep(0.01);
    }
    return MP_NONE;
}

static void draw(const char *chart)
{
    int sum = 0;

    for (int job = 0; job < JOBS; job++) {
        int end = (int)(strrchr(chart, 'A' + job) - chart) + 1;

        say("%c ", 'A' + job);
        for (int i = 0; i < end; i++)
            say("%c", chart[i] == 'A' + job ? '#' : '.');
        say("\n");
        sum += end;
    }
    say("mean time to the end: %.2f ticks\n", (double)sum / (int)JOBS);
}

static void schedule(const char *name, mp_pool_order order)
{
    mp_pool_options options = {.order = order, .initializer = begin};
    mp_event *all_are_there;
    mp_pool *pool;

    mp_check(mp_array_create(&ran, MP_CTYPE(char), TICKS + 1, NULL, NULL));
    mp_check(mp_event_create(&all_are_there));
    options.initargs = MP_ARGS(ran, all_are_there);
    mp_check(mp_pool_create(&pool, 1, &options));
    for (int i = 0; i < JOBS; i++)
        mp_check(mp_pool_apply_async(pool, run, MP_ARGS(i),
                                     &(mp_task_options){.expected = needs[i]},
                                     NULL));
    mp_check(mp_event_set(all_are_there));
    mp_check(mp_pool_close(pool));
    mp_check(mp_pool_join(pool, MP_FOREVER));
    mp_check(mp_pool_destroy(pool));
    say("%s\n", name);
    draw(MP_ARRAY(ran, char));
    mp_check(mp_array_close(ran));
    mp_check(mp_event_close(all_are_there));
}

int main(int argc, char **argv)
{
    mp_main_guard(argc, argv);
    use_start_method_of_environment();
    schedule("first come, first served", MP_POOL_FIFO);
    schedule("shortest job first", MP_POOL_SHORTEST);
    return 0;
}
