/* SPDX-License-Identifier: MIT */
/*
 * CPython's frames, on any pipe. A frame is the payload's size as a big-endian
 * signed 32-bit number, or -1 and 64 bits from 2 GiB on, and the payload.
 *
 * Handles go along with the frame's first byte, so that the bytes stay
 * CPython's. frame.c knows no connection: who calls sees to it that frames of
 * several threads don't mix.
 */
#ifndef MULTIPROC_FRAME_H
#define MULTIPROC_FRAME_H

#include "os.h"

/* One end of a pipe. */
typedef struct mpi_frame_end {
    mpos_handle handle;
    bool has_handles; /* it can send them, and they may come along */
    bool is_broken;   /* a frame was cut short on arrival: no next one */
} mpi_frame_end;

/* Blocks until all of it is written; count handles go along. */
mp_error mpi_frame_write(const mpi_frame_end *end, const mpos_bytes *payload,
                         const mpos_handle *handles, size_t count);

/* Blocks for a frame. *arrived is the caller's to close, on failure as well.
 * MP_EEOF: there is none any more. MP_EPROTO: it is no frame. */
mp_error mpi_frame_read_size(mpi_frame_end *end, uint64_t *size,
                             mpos_arrivals *arrived);
/* The payload; a failure breaks the end. */
mp_error mpi_frame_read(mpi_frame_end *end, void *data, size_t size);
/* The same into new memory, with a zero byte after it. */
mp_error mpi_frame_read_new(mpi_frame_end *end, uint64_t size,
                            unsigned char **out);

#endif
