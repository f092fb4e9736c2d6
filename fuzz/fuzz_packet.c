/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer's entry: packets with any bytes are frames or are refused, whether
 * they are read to the caller's memory or not; a frame that is whole is exactly
 * what its header said. The first byte says what limit there is, the second one
 * how much memory is offered; then each packet's size, less one, is in front of
 * its bytes.
 *
 *     clang -fsanitize=fuzzer,address,undefined ... fuzz/fuzz_packet.c
 *     ./fuzz_packet fuzz/corpus/packet
 */
#include "frame.h"
#include "input.h"

#include <multiproc/error.h>

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* So many packets fit between two ends of which nobody reads. */
enum { MOST_PACKETS = 64, MOST_BYTES = MOST_PACKETS * 256 };

typedef struct course {
    mpi_frame_end end;
    uint64_t limit;
    mpos_room offer;
    uint8_t sent[MOST_BYTES]; /* in all packets */
    size_t sent_size;
    size_t ends[MOST_PACKETS]; /* of each packet, in sent */
    size_t packets;
    size_t checked;
} course;

static void send_all(course *it, mpos_handle out, input *from)
{
    while (it->packets < MOST_PACKETS && from->at < from->end) {
        size_t left, size = (size_t)take(from) + 1, written = 0;
        mpos_bytes part;

        left = (size_t)(from->end - from->at);
        part = (mpos_bytes){from->at, size < left ? size : left};
        if (part.size == 0)
            break;
        require(mpos_write(out, &part, 1, &written) == MP_OK);
        require(written == part.size);
        memcpy(it->sent + it->sent_size, part.data, part.size);
        it->sent_size += part.size;
        it->ends[it->packets++] = it->sent_size;
        from->at += part.size;
    }
    mpos_close(out);
}

/* It is what the next bytes say. What is behind it in its last packet is no
 * part of the next frame. */
static void check_whole(course *it, uint64_t size, const void *payload)
{
    const uint8_t *from = it->sent + it->checked;
    size_t header = from[0] == 0xff ? MPI_LONG_HEADER : MPI_SHORT_HEADER;

    require(it->sent_size - it->checked >= header + size);
    require(memcmp(from + header, payload, (size_t)size) == 0);
    it->checked += header + (size_t)size;
    for (size_t i = 0; i < it->packets; i++) {
        if (it->ends[i] >= it->checked) {
            it->checked = it->ends[i];
            break;
        }
    }
}

static mp_error read_owned(course *it)
{
    mp_error err = mpi_frame_read(&it->end, it->limit, NULL);

    if (err == MP_EOVERFLOW)
        err = mpi_frame_read(&it->end, UINT64_MAX, NULL);
    if (err != MP_OK)
        return err;
    require(it->end.in.data[it->end.in.size] == 0);
    check_whole(it, it->end.in.size, it->end.in.data);
    mpi_frame_in_free(&it->end.in);
    return MP_OK;
}

static mp_error read_offered(course *it)
{
    mp_error err;
    uint64_t size;

    it->end.offer = it->offer;
    err = mpi_frame_read_size(&it->end, NULL);
    it->end.offer = (mpos_room){0};
    if (err != MP_OK)
        return err;
    size = it->end.in.size;
    if (size > it->offer.size || it->end.in.data != NULL)
        return read_owned(it);
    err = mpi_frame_read_into(&it->end, it->offer.data);
    if (err == MP_OK)
        check_whole(it, size, it->offer.data);
    return err;
}

static void read_all(course *it)
{
    mp_error err;

    do {
        err = it->offer.size > 0 ? read_offered(it) : read_owned(it);
    } while (err == MP_OK);
    require(err == MP_EPROTO || err == MP_EEOF);
    require(it->end.is_broken == (err == MP_EPROTO));
    require(mpi_frame_step(&it->end, it->limit, NULL) == err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static course it; /* too large for a stack that is watched */
    input from = {data, data + size};
    bool has_packets = false;
    mpos_handle out;

    it = (course){.end.kind = MPI_STREAM_PACKETS};
    it.limit = take(&from);
    it.offer.size = take(&from);
    it.offer.data = malloc(it.offer.size > 0 ? it.offer.size : 1);
    require(it.offer.data != NULL);
    require(mpos_channel(&out, &it.end.handle, &has_packets) == MP_OK);
    if (has_packets) {
        send_all(&it, out, &from);
        read_all(&it);
    } else {
        mpos_close(out);
    }
    mpi_frame_in_free(&it.end.in);
    mpos_close(it.end.handle);
    free(it.offer.data);
    return 0;
}
