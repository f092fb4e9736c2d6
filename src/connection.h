/* SPDX-License-Identifier: MIT */
/* What resource.c and the fork server need of connections. */
#ifndef MULTIPROC_CONNECTION_INTERNAL_H
#define MULTIPROC_CONNECTION_INTERNAL_H

#include "resource.h"

#include <multiproc/connection.h>

extern const mpi_resource_type mpi_connection_type;

/*
 * In a forked child: closes every connection but those it was given, so that
 * a child has the same connections under every start method, and the end of
 * file comes when the other side closes its end and not when the last of its
 * children does.
 */
void mpi_connections_after_fork(const mpi_transport *kept); /* NULL: all */
extern mpos_mutex mpi_connections_mutex;

#endif
