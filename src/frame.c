/* SPDX-License-Identifier: MIT */
/* Frames: a size, and as many bytes. */
#include "frame.h"

#include "internal.h"

#include <stdlib.h>
#include <string.h>

enum {
    SHORT_HEADER = 4,
    LONG_HEADER = 12,
    /* A size we have not seen the bytes of is believed up to here at once;
     * beyond, memory grows with what really arrives. */
    TRUSTED_SIZE = 1 << 20
};

/* -- Writing --------------------------------------------------------------- */

static size_t write_header(unsigned char *header, uint64_t size)
{
    size_t length = size > INT32_MAX ? LONG_HEADER : SHORT_HEADER;
    uint64_t rest = size;

    for (size_t i = length; i > length - (length == SHORT_HEADER ? 4 : 8);
         i--) {
        header[i - 1] = (unsigned char)(rest & 0xff);
        rest >>= 8;
    }
    if (length == LONG_HEADER)
        memset(header, 0xff, SHORT_HEADER);
    return length;
}

static void advance(mpos_bytes parts[2], size_t written)
{
    for (int i = 0; i < 2; i++) {
        size_t step = written < parts[i].size ? written : parts[i].size;

        parts[i].data = (const char *)parts[i].data + step;
        parts[i].size -= step;
        written -= step;
    }
}

mp_error mpi_frame_write(const mpi_frame_end *end, const mpos_bytes *payload,
                         const mpos_handle *handles, size_t count)
{
    unsigned char header[LONG_HEADER];
    mpos_bytes parts[2] = {{header, write_header(header, payload->size)},
                           *payload};

    while (parts[0].size + parts[1].size > 0) {
        bool is_first_done = parts[0].size == 0;
        size_t written = 0;
        mp_error err;

        if (count > 0)
            err =
                mpos_send_handles(end->handle, parts, handles, count, &written);
        else
            err = mpos_write(end->handle, is_first_done ? parts + 1 : parts,
                             is_first_done ? 1 : 2, &written);
        if (err != MP_OK)
            return err;
        count = 0; /* they are on their way */
        advance(parts, written);
    }
    return MP_OK;
}

/* -- Reading --------------------------------------------------------------- */

static mp_error fail_broken(mpi_frame_end *end, const char *why)
{
    end->is_broken = true;
    return mpi_fail(MP_EPROTO, "%s; the connection can't be used any more",
                    why);
}

static mp_error fail_cut_short(mpi_frame_end *end)
{
    return fail_broken(end, "a message was cut short");
}

mp_error mpi_frame_read(mpi_frame_end *end, void *data, size_t size)
{
    size_t done = 0;

    while (done < size) {
        size_t step = 0;
        mp_error err =
            mpos_read(end->handle, (char *)data + done, size - done, &step);

        if (err != MP_OK) {
            end->is_broken = true;
            return err;
        }
        if (step == 0)
            return fail_cut_short(end);
        done += step;
    }
    return MP_OK;
}

static uint64_t read_number(const unsigned char *data, size_t size)
{
    uint64_t number = 0;

    for (size_t i = 0; i < size; i++)
        number = number << 8 | data[i];
    return number;
}

/* The first byte and what comes along, and more of the header if it is there. A
 * failure leaves the frame where it is. */
static mp_error read_first(const mpi_frame_end *end, void *header, size_t *got,
                           mpos_arrivals *arrived)
{
    mp_error err;

    if (end->has_handles)
        err =
            mpos_recv_handles(end->handle, header, SHORT_HEADER, got, arrived);
    else
        err = mpos_read(end->handle, header, SHORT_HEADER, got);
    if (err == MP_OK && *got == 0)
        return mpi_fail(MP_EEOF, "the other end of the connection is closed");
    return err;
}

mp_error mpi_frame_read_size(mpi_frame_end *end, uint64_t *size,
                             mpos_arrivals *arrived)
{
    unsigned char header[LONG_HEADER];
    size_t got = 0;
    mp_error err;

    arrived->count = 0;
    arrived->is_cut = false;
    if (end->is_broken)
        return mpi_fail(MP_EPROTO, "the connection was cut in a message");
    err = read_first(end, header, &got, arrived);
    if (err == MP_OK)
        err = mpi_frame_read(end, header + got, SHORT_HEADER - got);
    if (err != MP_OK)
        return err;
    *size = read_number(header, SHORT_HEADER);
    if (*size <= INT32_MAX)
        return MP_OK;
    if (*size != UINT32_MAX)
        return fail_broken(end, "a message has a negative size");
    err = mpi_frame_read(end, header, LONG_HEADER - SHORT_HEADER);
    if (err == MP_OK)
        *size = read_number(header, LONG_HEADER - SHORT_HEADER);
    return err;
}

/* Memory grows with what arrives, so that a size alone can't take it all. */
mp_error mpi_frame_read_new(mpi_frame_end *end, uint64_t size,
                            unsigned char **out)
{
    size_t room = size < TRUSTED_SIZE ? (size_t)size : TRUSTED_SIZE;
    size_t done = 0;
    unsigned char *data = NULL;

    if (size >= SIZE_MAX)
        return fail_broken(end, "a message is too large for memory");
    for (;;) {
        unsigned char *grown = mpi_realloc(data, room + 1);
        mp_error err = MP_OK;

        if (grown == NULL) {
            free(data);
            end->is_broken = true;
            return mpi_no_memory();
        }
        data = grown;
        err = mpi_frame_read(end, data + done, room - done);
        if (err != MP_OK) {
            free(data);
            return err;
        }
        done = room;
        if (done == size)
            break;
        room = size - done < done ? (size_t)size : done * 2;
    }
    data[done] = 0;
    *out = data;
    return MP_OK;
}
