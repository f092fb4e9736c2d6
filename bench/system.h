/* SPDX-License-Identifier: MIT */
/*
 * What a benchmark needs of the system beside multiproc: the clock, and the
 * bare system calls that rows are compared with.
 */
#ifndef BENCH_SYSTEM_H
#define BENCH_SYSTEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* What this program does, instead of benchmarks, if it is its argument. */
#define SYSTEM_EXIT "--exit" /* ends at once */
#define SYSTEM_WAIT "--wait" /* a byte to stdout, then stdin to its end */
#define SYSTEM_ECHO "--echo" /* everything from stdin back into it */

/* In seconds. */
double system_now(void);

/* This program's own file. */
void system_set_program(const char *path);
const char *system_program(void);
/* The exit code of this program with such an argument. */
int system_spawn_bare(const char *argument);
/* The same of a copy of this process that ends at once. */
int system_fork_bare(void);

/* Starts count of SYSTEM_WAIT, awaits their bytes, lets them go, collects
 * them; returns how many have ended well. */
int system_start_together(int count);
/* Before that, here or by us; false if it can't be done here. */
bool system_allow_many(int count);

/* The other end of a connected pair is echoed by another process. */
bool system_open_echo(void);
bool system_exchange(const void *message, void *answer, size_t size);
void system_close_echo(void);
int system_run_wait(void);
int system_run_echo(void);

/* A program whose stdin and stdout are ours to write and read. */
bool system_start_peer(const char *program, const char *argument,
                       FILE **commands, FILE **answers);
void system_stop_peer(void);

/* What this process holds. */
size_t system_count_handles(void);
size_t system_count_memory(void); /* in bytes, resident */
bool system_has_zombies(void);

/* Whether so much more can be touched, here and as often by a peer. */
bool system_has_memory(size_t size);
/* Touched memory that is no part of malloc's; NULL if there is none. */
void *system_touch_memory(size_t size);
void system_drop_memory(void *memory, size_t size);

#endif
