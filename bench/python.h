/* SPDX-License-Identifier: MIT */
/* The peer in Python: peer.py in a process of its own, told what to time. */
#ifndef BENCH_PYTHON_H
#define BENCH_PYTHON_H

#include <stdbool.h>

/* Which interpreter, and where peer.py is; NULL: none. */
void python_choose(const char *program, const char *script);
/* Starts it if need be. The first time that fails, stderr says so. */
bool python_is_present(void);
/* "CPython 3.13.0", once it is present. */
const char *python_name(void);
/* The seconds that command took batch times. */
double python_time(const char *command, int batch);
void python_stop(void);

#endif
