/* SPDX-License-Identifier: MIT */
/* Frames: a size, and as many bytes. */
#include "frame.h"

#include "internal.h"
#include "packet.h"

#include <stdlib.h>
#include <string.h>

enum {
    /* A size we have not seen the bytes of is believed up to here at once;
     * beyond, memory grows with what really arrives. */
    TRUSTED_SIZE = 1 << 20,
    /* macOS refuses to read or write more than INT_MAX at once. */
    LARGEST_STEP = 1 << 30,
    /* Up to here header and payload are put together before they are written,
     * which is less work for the system than two parts. */
    SMALL_SIZE = 1024,
    /* Most messages of a message pipe come with one call. */
    FIRST_ROOM = 512,
    /* When the system has no memory for a large packet, it does for these. */
    MODEST_PACKET = 8 * 1024,
};

mpos_wait_item mpi_frame_wait_item(const mpi_frame_end *end)
{
    mpos_wait_item item = {end->handle, MPOS_WAIT_READ, false};

    if (end->kind == MPI_STREAM_SOCKET)
        item.kind = MPOS_WAIT_SOCKET;
    return item;
}

/* -- Writing --------------------------------------------------------------- */

static void write_number(unsigned char *data, size_t size, uint64_t number)
{
    for (size_t i = size; i > 0; i--) {
        data[i - 1] = (unsigned char)(number & 0xff);
        number >>= 8;
    }
}

static size_t write_header(unsigned char *header, uint64_t size)
{
    if (size <= INT32_MAX) {
        write_number(header, MPI_SHORT_HEADER, size);
        return MPI_SHORT_HEADER;
    }
    memset(header, 0xff, MPI_SHORT_HEADER);
    write_number(header + MPI_SHORT_HEADER, MPI_LONG_HEADER - MPI_SHORT_HEADER,
                 size);
    return MPI_LONG_HEADER;
}

/* What one call is to write: the header goes with the payload's first byte. */
static size_t next_parts(mpos_bytes parts[2], const mpos_bytes *header,
                         const mpos_bytes *payload, uint64_t done, size_t most)
{
    size_t count = 0;
    uint64_t from = 0;

    if (done < header->size) {
        parts[count].data = (const char *)header->data + done;
        parts[count++].size = header->size - (size_t)done;
    } else {
        from = done - header->size;
    }
    parts[count].data = NULL;
    parts[count].size = payload->size - (size_t)from;
    if (payload->size > 0)
        parts[count].data = (const char *)payload->data + from;
    if (parts[count].size > most)
        parts[count].size = most;
    return count + 1;
}

static mp_error write_all(mpos_handle handle, const void *data, size_t size)
{
    mpos_bytes rest = {data, size};

    for (;;) {
        size_t written = 0;
        mp_error err = mpos_write(handle, &rest, 1, &written);

        if (err != MP_OK || written == rest.size)
            return err;
        rest.data = (const char *)rest.data + written;
        rest.size -= written;
    }
}

static mp_error write_small(const mpi_frame_end *end, const mpos_bytes *payload)
{
    unsigned char frame[MPI_SHORT_HEADER + SMALL_SIZE];

    write_number(frame, MPI_SHORT_HEADER, payload->size);
    if (payload->size > 0)
        memcpy(frame + MPI_SHORT_HEADER, payload->data, payload->size);
    return write_all(end->handle, frame, MPI_SHORT_HEADER + payload->size);
}

/* A packet with the long header has nothing else. */
static bool is_lone_header(const mpi_frame_end *end, const mpos_bytes *header,
                           uint64_t done)
{
    return end->kind == MPI_STREAM_PACKETS && done == 0 &&
           header->size == MPI_LONG_HEADER;
}

mp_error mpi_frame_write(const mpi_frame_end *end, const mpos_bytes *payload,
                         const mpos_handle *handles, size_t count)
{
    unsigned char space[MPI_LONG_HEADER];
    const mpos_bytes header = {space, write_header(space, payload->size)};
    const uint64_t size = (uint64_t)header.size + payload->size;
    size_t most =
        end->kind == MPI_STREAM_PACKETS ? MPI_PACKET_PAYLOAD : LARGEST_STEP;
    uint64_t done = 0;

    if (end->kind == MPI_STREAM_MESSAGES)
        return mpos_send_message(end->handle, payload->data, payload->size);
    if (count == 0 && payload->size <= SMALL_SIZE)
        return write_small(end, payload);
    while (done < size) {
        mpos_bytes parts[2];
        size_t parts_count =
            next_parts(parts, &header, payload, done,
                       is_lone_header(end, &header, done) ? 0 : most);
        size_t written = 0;
        mp_error err;

        if (count > 0)
            err =
                mpos_send_handles(end->handle, parts, handles, count, &written);
        else
            err = mpos_write(end->handle, parts, parts_count, &written);
        if (err == MP_ENOMEM && most == MPI_PACKET_PAYLOAD) {
            most = MODEST_PACKET;
            continue;
        }
        if (err != MP_OK)
            return err;
        count = 0; /* they are on their way */
        done += written;
    }
    return MP_OK;
}

/* -- Reading --------------------------------------------------------------- */

static mp_error fail_broken(mpi_frame_end *end, const char *why)
{
    end->is_broken = true;
    mpi_frame_in_free(&end->in);
    return mpi_fail(MP_EPROTO, "%s; the connection can't be used any more",
                    why);
}

static mp_error fail_cut_short(mpi_frame_end *end)
{
    return fail_broken(end, "a message was cut short");
}

static uint64_t read_number(const unsigned char *data, size_t size)
{
    uint64_t number = 0;

    for (size_t i = 0; i < size; i++)
        number = number << 8 | data[i];
    return number;
}

/* What comes along comes with the first byte; mpos_read drops it. */
static mp_error read_of_header(const mpi_frame_end *end, void *data,
                               size_t size, size_t *got, mpos_arrivals *arrived)
{
    if (!end->has_handles || arrived == NULL || end->in.header_size > 0)
        return mpos_read(end->handle, data, size, got);
    return mpos_recv_handles(end->handle, &(mpos_room){data, size}, 1, got,
                             arrived);
}

static mp_error fail_at_end(void)
{
    return mpi_fail(MP_EEOF, "the other end of the connection is closed");
}

/* From the header so far. MP_PENDING: it has more. */
static mp_error take_size(mpi_frame_end *end)
{
    mpi_frame_in *in = &end->in;

    if (in->header_size == MPI_LONG_HEADER) {
        in->size = read_number(in->header + MPI_SHORT_HEADER,
                               MPI_LONG_HEADER - MPI_SHORT_HEADER);
    } else {
        in->size = read_number(in->header, MPI_SHORT_HEADER);
        if (in->size == UINT32_MAX)
            return MP_PENDING;
        if (in->size > INT32_MAX)
            return fail_broken(end, "a message has a negative size");
    }
    if (in->size >= SIZE_MAX)
        return fail_broken(end, "a message is too large for memory");
    in->has_size = true;
    return MP_OK;
}

/* A failure leaves the frame where it is. */
static mp_error step_header(mpi_frame_end *end, mpos_arrivals *arrived)
{
    mpi_frame_in *in = &end->in;
    size_t size =
        in->header_size < MPI_SHORT_HEADER ? MPI_SHORT_HEADER : MPI_LONG_HEADER;
    size_t got = 0;
    mp_error err = read_of_header(end, in->header + in->header_size,
                                  size - in->header_size, &got, arrived);

    if (err != MP_OK)
        return err;
    if (got == 0 && in->header_size > 0)
        return fail_cut_short(end);
    if (got == 0)
        return fail_at_end();
    in->header_size += (unsigned)got;
    return in->header_size < size ? MP_PENDING : take_size(end);
}

/* A long header is alone in its packet; its second part comes as a payload. */
static mp_error take_long_header(mpi_frame_end *end, mpi_packet *packet)
{
    mpi_frame_in *in = &end->in;

    if (packet->size != MPI_LONG_HEADER)
        return fail_broken(end, "a message is not as long as it says");
    mpi_packet_gather(packet, end);
    memcpy(in->header + MPI_SHORT_HEADER, packet->block,
           MPI_LONG_HEADER - MPI_SHORT_HEADER);
    in->header_size = MPI_LONG_HEADER;
    return take_size(end);
}

static mp_error take_packet(mpi_frame_end *end, mpi_packet *packet)
{
    mpi_frame_in *in = &end->in;
    size_t size;
    mp_error err;

    if (packet->size < MPI_SHORT_HEADER)
        return fail_cut_short(end);
    size = packet->size - MPI_SHORT_HEADER;
    memcpy(in->header, packet->header, MPI_SHORT_HEADER);
    in->header_size = MPI_SHORT_HEADER;
    err = take_size(end);
    if (err == MP_PENDING)
        return take_long_header(end, packet);
    if (err != MP_OK)
        return err;
    if (size > in->size)
        return fail_broken(end, "a message is longer than it says");
    in->done = size;
    if (size == 0 || in->size <= end->offer.size)
        return MP_OK;
    mpi_packet_gather(packet, end);
    mpi_packet_keep(packet, in, size);
    return MP_OK;
}

static mp_error step_packet(mpi_frame_end *end, mpos_arrivals *arrived)
{
    mpi_packet packet;
    mp_error err = mpi_packet_read(&packet, end, arrived);

    if (err != MP_OK)
        return err;
    err = packet.size == 0 ? fail_at_end() : take_packet(end, &packet);
    mpi_packet_free(&packet);
    return err;
}

/* Into less than that, something of the next packet could be lost. */
static size_t least_room(const mpi_frame_end *end)
{
    uint64_t left = end->in.size - end->in.done;
    size_t most = end->kind == MPI_STREAM_PACKETS ? MPOS_PACKET_MAX : 1;

    return left < most ? (size_t)left : most;
}

/* Memory grows with what arrives, so that a size alone can't take it all. */
static mp_error make_room(mpi_frame_end *end)
{
    mpi_frame_in *in = &end->in;
    size_t size = (size_t)in->size;
    size_t room = in->done < TRUSTED_SIZE / 2 ? TRUSTED_SIZE : in->done * 2;
    unsigned char *grown;

    if (in->data != NULL && in->room - in->done >= least_room(end))
        return MP_OK;
    if (room > size || in->done > SIZE_MAX / 2)
        room = size;
    grown = mpi_realloc(in->data, room + 1);
    if (grown == NULL)
        return mpi_no_memory();
    in->data = grown;
    in->room = room;
    return MP_OK;
}

static mp_error read_payload(const mpi_frame_end *end, void *data, size_t size,
                             size_t *got)
{
    size_t left;
    mp_error err;

    if (size > LARGEST_STEP)
        size = LARGEST_STEP;
    if (end->kind != MPI_STREAM_MESSAGES)
        return mpos_read(end->handle, data, size, got);
    err = mpos_recv_message(end->handle, data, size, got, &left);
    return err == MP_EEOF ? MP_OK : err;
}

static mp_error step_payload(mpi_frame_end *end)
{
    mpi_frame_in *in = &end->in;
    size_t got = 0;
    mp_error err = make_room(end);

    if (err != MP_OK)
        return err;
    if (in->done < in->size) {
        err = read_payload(end, in->data + in->done, in->room - in->done, &got);
        if (err != MP_OK)
            return err;
        if (got == 0)
            return fail_cut_short(end);
        in->done += got;
    }
    if (in->done < in->size)
        return MP_PENDING;
    in->data[in->done] = 0;
    return MP_OK;
}

/* Without a header: the size is known with the message's beginning. */
static mp_error step_message(mpi_frame_end *end)
{
    mpi_frame_in *in = &end->in;
    size_t got = 0;
    size_t left = 0;
    mp_error err;

    in->size = FIRST_ROOM;
    err = make_room(end);
    if (err == MP_OK)
        err = mpos_recv_message(end->handle, in->data, in->room, &got, &left);
    if (err != MP_OK) {
        mpi_frame_in_free(in);
        return err;
    }
    in->done = got;
    in->size = (uint64_t)got + left;
    in->has_size = true;
    return MP_OK;
}

static mp_error step_size(mpi_frame_end *end, mpos_arrivals *arrived)
{
    if (end->is_broken)
        return mpi_fail(MP_EPROTO, "the connection was cut in a message");
    if (end->kind == MPI_STREAM_MESSAGES)
        return step_message(end);
    if (end->kind == MPI_STREAM_PACKETS)
        return step_packet(end, arrived);
    return step_header(end, arrived);
}

mp_error mpi_frame_step(mpi_frame_end *end, uint64_t limit,
                        mpos_arrivals *arrived)
{
    mpi_frame_in *in = &end->in;
    bool had_size = in->has_size;
    mp_error err;

    if (!had_size) {
        err = step_size(end, arrived);
        if (err != MP_OK)
            return err;
    }
    if (in->size > limit)
        return mpi_fail(
            MP_EOVERFLOW, "a message of %llu bytes is to go into %llu",
            (unsigned long long)in->size, (unsigned long long)limit);
    /* One read has been made: whether the rest is there is not known. */
    if (!had_size && in->done < in->size)
        return MP_PENDING;
    return step_payload(end);
}

mp_error mpi_frame_read(mpi_frame_end *end, uint64_t limit,
                        mpos_arrivals *arrived)
{
    mp_error err;

    do {
        err = mpi_frame_step(end, limit, arrived);
    } while (err == MP_PENDING);
    return err;
}

mp_error mpi_frame_read_size(mpi_frame_end *end, mpos_arrivals *arrived)
{
    while (!end->in.has_size) {
        mp_error err = step_size(end, arrived);

        if (err != MP_OK && err != MP_PENDING)
            return err;
    }
    return MP_OK;
}

mp_error mpi_frame_read_into(mpi_frame_end *end, void *data)
{
    size_t size = (size_t)end->in.size;
    size_t done = end->in.done;

    while (done < size) {
        size_t got = 0;
        mp_error err =
            read_payload(end, (char *)data + done, size - done, &got);

        if (err != MP_OK) {
            end->is_broken = true; /* what was read is gone */
            mpi_frame_in_free(&end->in);
            return err;
        }
        if (got == 0)
            return fail_cut_short(end);
        done += got;
    }
    end->in = (mpi_frame_in){0};
    return MP_OK;
}

bool mpi_frame_is_whole(const mpi_frame_end *end)
{
    const mpi_frame_in *in = &end->in;

    return in->has_size && in->data != NULL && in->done == in->size;
}

bool mpi_frame_has_begun(const mpi_frame_end *end)
{
    return end->in.header_size > 0 || end->in.has_size;
}

void mpi_frame_in_free(mpi_frame_in *in)
{
    free(in->data);
    *in = (mpi_frame_in){0};
}
