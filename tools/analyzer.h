/* SPDX-License-Identifier: MIT */
/*
 * Included before each file by ci/analyze, for gcc's -fanalyzer: it does not
 * see into other files, and would follow what happens if a call that fails
 * gave MP_OK. Here they give what they are given. error.c, which defines them,
 * is analysed without.
 */
#ifndef MULTIPROC_ANALYZER_H
#define MULTIPROC_ANALYZER_H

#include "internal.h"

#define mpi_fail(error, ...) ((void)mpi_fail((error), __VA_ARGS__), (error))
#define mpi_context(error, ...) \
    ((void)mpi_context((error), __VA_ARGS__), (error))
#define mpi_no_memory() ((void)mpi_no_memory(), MP_ENOMEM)

#endif
