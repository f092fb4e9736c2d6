/* SPDX-License-Identifier: MIT */
/* Children: how any of ours begins and ends, and what it takes to start and
 * join those that do nothing. */
#ifndef BENCH_CHILD_H
#define BENCH_CHILD_H

#include <multiproc.h>

mp_process *child_start(mp_start_method method, mp_function target,
                        mp_obj *args);
/* Joins and closes it; it must have ended well. */
void child_end(mp_process *process);

/* So many that do nothing, one after another: the seconds that took. */
double child_spawn(int batch);
double child_fork(int batch);
double child_forkserver(int batch);
double child_spawn_bare(int batch);
double child_spawn_apr(int batch);
double child_spawn_uv(int batch);
double child_fork_bare(int batch);

/* NULL, or why it can't be done here. */
const char *child_need_fork(void);
const char *child_need_forkserver(void);

#endif
