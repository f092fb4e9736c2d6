/* SPDX-License-Identifier: MIT */
/*
 * The first packet of a frame (frame.h), and where it is read to before anybody
 * knows how long it is: the header to a place of its own, the payload to the
 * memory that the caller offers, and what that has no room for to a spare block
 * that takes any packet. So nothing is lost, and what fits is copied once, by
 * the system. The block is held only while somebody receives.
 */
#ifndef MULTIPROC_PACKET_H
#define MULTIPROC_PACKET_H

#include "frame.h"

typedef struct mpi_packet {
    unsigned char header[MPI_SHORT_HEADER];
    unsigned char *block; /* malloc'ed, MPI_PACKET_ROOM and one byte */
    size_t size;          /* of all of it; 0: the other end is closed */
} mpi_packet;

/* Behind its header no packet has more. */
enum { MPI_PACKET_ROOM = MPOS_PACKET_MAX };

/* Reads one; on success the caller's to free. */
mp_error mpi_packet_read(mpi_packet *packet, const mpi_frame_end *end,
                         mpos_arrivals *arrived);
/* All behind the header is in the block afterwards. */
void mpi_packet_gather(mpi_packet *packet, const mpi_frame_end *end);
/* Makes it the data of the frame in in, of which it is size bytes from the
 * block's beginning. Never fails: if memory is short, that is the block. */
void mpi_packet_keep(mpi_packet *packet, mpi_frame_in *in, size_t size);
void mpi_packet_free(mpi_packet *packet);

#endif
