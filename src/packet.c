/* SPDX-License-Identifier: MIT */
/* Packets on their way in. What is in them is frame.c's. */
#include "packet.h"

#include "internal.h"

#include <stdlib.h>
#include <string.h>

/* Up to here a copy is cheaper than to give the block away. */
enum { COPIED_SIZE = 16 * 1024 };

/* A block that nobody uses, or 0: who receives one message after the other has
 * it back each time. */
static mpi_atomic64 spare;

static unsigned char *take_block(void)
{
    uint64_t found = mpi_atomic64_load(&spare);

    if (found != 0 && mpi_atomic64_change(&spare, found, 0))
        return (unsigned char *)(uintptr_t)found;
    return mpi_malloc(MPI_PACKET_ROOM + 1);
}

mp_error mpi_packet_read(mpi_packet *packet, const mpi_frame_end *end,
                         mpos_arrivals *arrived)
{
    mpos_room parts[3] = {
        {packet->header, sizeof(packet->header)},
        end->offer,
    };
    mp_error err;

    packet->block = take_block();
    if (packet->block == NULL)
        return mpi_no_memory();
    parts[2] = (mpos_room){packet->block, MPI_PACKET_ROOM};
    err = mpos_recv_handles(end->handle, parts, 3, &packet->size,
                            end->has_handles ? arrived : NULL);
    if (err != MP_OK)
        mpi_packet_free(packet);
    return err;
}

void mpi_packet_gather(mpi_packet *packet, const mpi_frame_end *end)
{
    size_t size = packet->size - sizeof(packet->header);
    size_t there = size < end->offer.size ? size : end->offer.size;

    if (there == 0)
        return;
    memmove(packet->block + there, packet->block, size - there);
    memcpy(packet->block, end->offer.data, there);
}

void mpi_packet_keep(mpi_packet *packet, mpi_frame_in *in, size_t size)
{
    in->done = size;
    in->room = size;
    if (size <= COPIED_SIZE)
        in->data = mpi_malloc(size + 1);
    if (in->data != NULL) {
        memcpy(in->data, packet->block, size);
        return;
    }
    in->room = MPI_PACKET_ROOM;
    in->data = packet->block;
    packet->block = NULL;
}

void mpi_packet_free(mpi_packet *packet)
{
    if (packet->block != NULL &&
        !mpi_atomic64_change(&spare, 0, (uintptr_t)packet->block))
        free(packet->block);
    packet->block = NULL;
}
