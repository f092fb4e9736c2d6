/* SPDX-License-Identifier: MIT */
/*
 * CPython's frames, on any stream. A frame is the payload's size as a
 * big-endian signed 32-bit number, or -1 and 64 bits from 2 GiB on, and the
 * payload. A message pipe of Windows needs none: one write is one message.
 *
 * Handles go along with the frame's first byte, so that the bytes stay
 * CPython's. frame.c knows no connection: who calls sees to it that frames of
 * several threads don't mix.
 *
 * Frames are read piece by piece: what has come of one stays in mpi_frame_in
 * until there is more. No byte of the next frame is ever read with it, since
 * another process may be the one that receives that. From a stream a frame
 * takes two reads for that reason: its header, then the rest.
 *
 * Where a channel has packets it takes one: a frame is a packet, and only if it
 * has more than MPI_PACKET_PAYLOAD bytes they go on in further ones. Nobody but
 * us understands them, as what a read has no room for is lost.
 */
#ifndef MULTIPROC_FRAME_H
#define MULTIPROC_FRAME_H

#include "os.h"

/* What a stream is, which decides how it is waited for and what is in it. */
typedef enum mpi_stream_kind {
    MPI_STREAM_LOCAL,    /* mpos_pipe, mpos_channel, MPOS_UNIX */
    MPI_STREAM_SOCKET,   /* MPOS_INET, MPOS_INET6 */
    MPI_STREAM_MESSAGES, /* MPOS_PIPE: messages, without frames */
    MPI_STREAM_PACKETS,  /* mpos_channel: frames in packets, see above */
} mpi_stream_kind;

enum {
    MPI_SHORT_HEADER = 4,
    MPI_LONG_HEADER = 12,
    /* With its header so many pages: larger ones, and odd ones, pass slower, as
     * both sides then wait more for each other. */
    MPI_PACKET_PAYLOAD = 64 * 1024 - MPI_SHORT_HEADER,
};

/* A frame on its way in. All zero: nothing of it has come yet. */
typedef struct mpi_frame_in {
    unsigned char header[MPI_LONG_HEADER];
    unsigned header_size; /* what is here of it */
    bool has_size;        /* the header is whole: */
    uint64_t size;        /* of the payload */
    unsigned char *data;  /* malloc'ed; NULL: nothing of the payload yet */
    size_t room;          /* of data, but for a zero byte behind */
    size_t done;
} mpi_frame_in;

/* One end of a stream. */
typedef struct mpi_frame_end {
    mpos_handle handle;
    mpi_stream_kind kind;
    bool has_handles; /* it can send them, and they may come along */
    bool is_broken;   /* a frame was cut short on arrival: no next one */
    mpi_frame_in in;
    mpos_room offer; /* the caller's, for the next payload; or nothing */
} mpi_frame_end;

/* To wait until there is something to read. */
mpos_wait_item mpi_frame_wait_item(const mpi_frame_end *end);

/* -- Writing --------------------------------------------------------------- */

/* Blocks until all of it is written; count handles go along. */
mp_error mpi_frame_write(const mpi_frame_end *end, const mpos_bytes *payload,
                         const mpos_handle *handles, size_t count);

/* -- Reading --------------------------------------------------------------- */

/*
 * Reads once, and blocks only if nothing is there: one call after each
 * mpos_wait() that says so never blocks. arrived: what came along with the
 * frame's first bytes is added, the caller's to close, on failure as well;
 * NULL: nothing is let in.
 *
 * MP_OK: the frame is whole, in->data (never NULL) and in->size, with a zero
 * byte after it; it stays until mpi_frame_in_free() or the caller has taken
 * data and made *in all zero.
 * MP_PENDING: there is more to come.
 * MP_EEOF: there is none any more. MP_EPROTO: it is no frame, or was cut short;
 * the end is broken. MP_EOVERFLOW: it has more than limit bytes; none of them
 * was read, except of a message pipe. MP_ENOMEM: none was lost. After these two
 * the next call goes on.
 */
mp_error mpi_frame_step(mpi_frame_end *end, uint64_t limit,
                        mpos_arrivals *arrived);
/* The same until it is anything but MP_PENDING. */
mp_error mpi_frame_read(mpi_frame_end *end, uint64_t limit,
                        mpos_arrivals *arrived);
/* Only the header, which makes in->size known; MP_OK if it is already. A packet
 * is read as a whole: if the payload fits into end->offer, what has come of it
 * is there then, and only mpi_frame_read_into() may follow. */
mp_error mpi_frame_read_size(mpi_frame_end *end, mpos_arrivals *arrived);
/* The payload, in->size bytes, to the caller's memory, which was offered or has
 * nothing of it yet; the frame is over then. */
mp_error mpi_frame_read_into(mpi_frame_end *end, void *data);
/* Whether step() would answer without reading: it is whole. */
bool mpi_frame_is_whole(const mpi_frame_end *end);
/* Something of a frame has come that is not used yet. */
bool mpi_frame_has_begun(const mpi_frame_end *end);
/* Forgets what is there of a frame; accepts one that is all zero. */
void mpi_frame_in_free(mpi_frame_in *in);

#endif
