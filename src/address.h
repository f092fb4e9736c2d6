/* SPDX-License-Identifier: MIT */
/* Addresses of the public API, and those of the seam. */
#ifndef MULTIPROC_ADDRESS_H
#define MULTIPROC_ADDRESS_H

#include "os.h"

#include <multiproc/listener.h>

/* MP_EINVAL; MP_EOVERFLOW: its name was cut. */
mp_error mpi_address_to_os(const mp_address *address, mpos_address *out);
mp_address mpi_address_from_os(const mpos_address *address);
/* Puts "what at ('127.0.0.1', 6000): " in front of the sentence that is there,
 * as mpi_context; "what: " if the library was to choose the name. */
mp_error mpi_address_context(mp_error error, const char *what, const char *at,
                             const mp_address *address);

#endif
