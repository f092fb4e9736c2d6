/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer's entry: any bytes, in pieces of any length, are frames or are
 * refused; a frame that is whole is exactly what its header said, and no byte
 * of the next one is gone. The first byte says how long the pieces are, the
 * second one what limit there is.
 *
 *     clang -fsanitize=fuzzer,address,undefined ... fuzz/fuzz_frame.c
 *     ./fuzz_frame fuzz/corpus/frame
 */
#include "frame.h"
#include "input.h"

#include <multiproc/error.h>

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_BYTES = 4096 };

/* What the bytes up to the end of the next frame say. */
static void check_whole(mpi_frame_end *end, const uint8_t **at,
                        const uint8_t *last)
{
    const uint8_t *from = *at;
    size_t header = from[0] == 0xff ? MPI_LONG_HEADER : MPI_SHORT_HEADER;

    require((size_t)(last - from) >= header + end->in.size);
    require(memcmp(from + header, end->in.data, (size_t)end->in.size) == 0);
    require(end->in.data[end->in.size] == 0);
    *at = from + header + end->in.size;
    mpi_frame_in_free(&end->in);
}

static bool can_read(const mpi_frame_end *end)
{
    mpos_wait_item item = mpi_frame_wait_item(end);

    return mpos_wait(&item, 1, 0) == MP_OK;
}

/* All that is there; false: the end has come. */
static bool read_all(mpi_frame_end *end, uint64_t limit, const uint8_t **at,
                     const uint8_t *last)
{
    while (can_read(end)) {
        mp_error err = mpi_frame_step(end, limit, NULL);

        if (err == MP_OK)
            check_whole(end, at, last);
        else if (err == MP_EOVERFLOW)
            limit = UINT64_MAX;
        else if (err != MP_PENDING) {
            require(err == MP_EPROTO || err == MP_EEOF);
            require(end->is_broken == (err == MP_EPROTO));
            return false;
        }
    }
    return true;
}

static void feed(mpos_handle in, mpi_frame_end *end, input *from,
                 uint64_t limit, size_t piece)
{
    const uint8_t *at = from->at;
    bool is_open = true;

    while (is_open && from->at < from->end) {
        size_t left = (size_t)(from->end - from->at);
        mpos_bytes part = {from->at, left < piece ? left : piece};
        size_t written = 0;

        require(mpos_write(in, &part, 1, &written) == MP_OK);
        from->at += written;
        is_open = read_all(end, limit, &at, from->at);
    }
    mpos_close(in);
    if (is_open)
        require(!read_all(end, limit, &at, from->at));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input from = {data, data + (size < MOST_BYTES ? size : MOST_BYTES)};
    mpi_frame_end end = {.kind = MPI_STREAM_LOCAL};
    mpos_handle in;
    size_t piece = (size_t)take(&from) + 1;
    uint64_t limit = take(&from);

    require(mpos_channel(&in, &end.handle, NULL) == MP_OK);
    feed(in, &end, &from, limit, piece);
    mpi_frame_in_free(&end.in);
    mpos_close(end.handle);
    return 0;
}
