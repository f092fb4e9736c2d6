/* SPDX-License-Identifier: MIT */
/* The user's own descriptors (handles) that travel. */
#ifndef MULTIPROC_HANDLE_H
#define MULTIPROC_HANDLE_H

#include "resource.h"

extern const mpi_resource_type mpi_handle_type;

/* In a forked child: closes all that it was not given, which the user never
 * sees. NULL: it was given all. */
void mpi_handles_after_fork(const mpi_transport *kept);

#endif
