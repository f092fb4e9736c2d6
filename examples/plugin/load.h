/* SPDX-License-Identifier: MIT */
/* Loading a library while the program runs: load_posix.c, load_win32.c. */
#ifndef LOAD_H
#define LOAD_H

typedef void (*load_function)(void);

/** The function of that name in the library at path, or NULL. */
load_function load_symbol(const char *path, const char *name);

#endif
