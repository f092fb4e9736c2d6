/* SPDX-License-Identifier: MIT */
/* What a test asks the system about its own process: is anything left? */
#ifndef SUPPORT_CHECK_H
#define SUPPORT_CHECK_H

#include <stdbool.h>
#include <stddef.h>

/* Open descriptors or HANDLEs. Compare two counts, never one with a number:
 * run what you measure once before the first count, since the C library and
 * the system open some of their own on first use. */
size_t support_open_handles(void);
/* A child of this process runs, or (POSIX) waits to be reaped. */
bool support_has_children(void);
/* Names that last in the system's shared-memory folder and begin with prefix;
 * 0 where there is no such folder. */
size_t support_shared_names(const char *prefix);
/* Bytes of memory this process has touched. */
size_t support_memory_in_use(void);
/* Valgrind runs this program: limits are not the kernel's there, and what it
 * executes it opens by name, with the help of /proc. */
bool support_has_valgrind(void);

/* Wine 8's server, now and then, keeps the socket of a process that was killed:
 * whoever reads at the other end never hears of its end. */
bool support_keeps_sockets(void);
/* A tool (valgrind, TSan) makes a fork of vfork(): that a program could not be
 * run is told by exit code 127 only. */
bool support_has_no_vfork(void);

#endif
