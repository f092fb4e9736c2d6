/* SPDX-License-Identifier: MIT */
/*
 * A scheduler: at each tick it lets one child run (#) and suspends it again. A
 * job whose time in its queue is up goes to the end of the next one. One queue
 * is round robin; three, each with twice the time, a multilevel feedback queue.
 */
#include "stepper.h"

enum { JOBS = 4, TICKS = 16 };

static const int arrives[JOBS] = {0, 1, 3, 9}, needs[JOBS] = {7, 2, 5, 2};

typedef struct job {
    stepper child;
    int queue, place, used, left; /* used, left: ticks, there and in all */
    char chart[TICKS + 1];
} job;

/* Charts who is there; returns who is to run. */
static job *choose(job *jobs, int tick)
{
    job *first = NULL;

    for (int i = 0; i < JOBS; i++) {
        job *it = &jobs[i];

        it->chart[tick] = arrives[i] > tick ? ' ' : it->left > 0 ? '.' : 0;
        if (it->chart[tick] == '.' &&
            (first == NULL || it->queue < first->queue ||
             (it->queue == first->queue && it->place < first->place)))
            first = it;
    }
    first->chart[tick] = '#';
    return first;
}

static void run_all(job *jobs, int queues)
{
    job *now, *last = jobs;

    for (int tick = 0; tick < TICKS; tick++, last = now) {
        now = choose(jobs, tick);
        if (last != now && last->used > 0) { /* somebody new drove it out */
            last->used = 0;
            last->place = 2 * tick + 1;
        }
        stepper_run(&now->child);
        if (--now->left == 0)
            stepper_end(&now->child);
        if (++now->used == 1 << now->queue) {
            now->queue += now->queue + 1 < queues;
            now->used = 0;
            now->place = 2 * tick + 3;
        }
    }
}

static void schedule(const char *name, int queues)
{
    job jobs[JOBS] = {{.used = 0}};

    for (int i = 0; i < JOBS; i++) {
        jobs[i].place = 2 * arrives[i];
        jobs[i].left = needs[i];
        stepper_start(&jobs[i].child);
    }
    run_all(jobs, queues);
    say("%s\n", name);
    for (int i = 0; i < JOBS; i++)
        say("%c %s\n", 'A' + i, jobs[i].chart);
}

int main(int argc, char **argv)
{
    mp_main_guard(argc, argv);
    use_start_method_of_environment();
    schedule("round robin", 1);
    schedule("multilevel feedback queue", 3);
    return 0;
}
