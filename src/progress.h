/* SPDX-License-Identifier: MIT */
/* The line that mp_progress_bar() draws. */
#ifndef MULTIPROC_PROGRESS_H
#define MULTIPROC_PROGRESS_H

#include <stddef.h>

enum { MPI_PROGRESS_SIZE = 512 }; /* of a line; wider terminals are not used */

typedef struct mpi_progress {
    const char *title; /* NULL: none */
    size_t done;
    size_t total;
    size_t counted; /* how many of them were done in those seconds */
    double seconds;
} mpi_progress;

/*
 * Fills line with the text, which takes less than so many columns, and with
 * spaces up to that, so that nothing is left of a longer one; a zero byte ends
 * it. "title [####....] 5/10  50% 12.5/s 0:01 left".
 */
void mpi_progress_line(char line[MPI_PROGRESS_SIZE], unsigned columns,
                       const mpi_progress *progress);

#endif
