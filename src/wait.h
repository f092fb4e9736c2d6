/* SPDX-License-Identifier: MIT */
/* What mp_wait() leaves in a forked child. */
#ifndef MULTIPROC_WAIT_INTERNAL_H
#define MULTIPROC_WAIT_INTERNAL_H

/* Closes what threads of the original were waiting with. */
void mpi_waits_after_fork(void);

#endif
