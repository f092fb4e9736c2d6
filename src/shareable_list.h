/* SPDX-License-Identifier: MIT */
/* How a ShareableList travels: for resource.c. */
#ifndef MULTIPROC_SHAREABLE_LIST_INTERNAL_H
#define MULTIPROC_SHAREABLE_LIST_INTERNAL_H

#include "resource.h"

extern const mpi_resource_type mpi_shareable_list_type;

#endif
