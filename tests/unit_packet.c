/* SPDX-License-Identifier: MIT */
/* Frames in packets, whoever's memory they come to. */
#include "support/check.h"
#include "support/testing.h"

#include "frame.h"
#include "internal.h"

#include <stdlib.h>
#include <string.h>

enum { LARGE = 3 * 1000 * 1000, LIMIT = 256, ROOM = 2000 };

typedef struct way {
    mpi_frame_end out;
    mpi_frame_end in;
} way;

static way open_way(void)
{
    way it = {.out.kind = MPI_STREAM_PACKETS, .in.kind = MPI_STREAM_PACKETS};
    bool has_packets = false;

    cr_assert_eq(mpos_channel(&it.out.handle, &it.in.handle, &has_packets),
                 MP_OK);
    if (!has_packets) {
        mpos_close(it.out.handle);
        mpos_close(it.in.handle);
        cr_skip_test("there are no packets here");
    }
    return it;
}

static void hang_up(way *it)
{
    mpos_close(it->out.handle);
    it->out.handle = MPOS_NONE;
}

static void close_way(way *it)
{
    hang_up(it);
    mpos_close(it->in.handle);
    mpi_frame_in_free(&it->in.in);
}

/* One packet, whatever is in it. */
static void put(way *it, const void *data, size_t size)
{
    mpos_bytes part = {data, size};
    size_t written = 0;

    cr_assert_eq(mpos_write(it->out.handle, &part, 1, &written), MP_OK);
    cr_assert_eq(written, size);
}

static void send_text(way *it, const char *text)
{
    mpos_bytes payload = {text, strlen(text)};

    cr_assert_eq(mpi_frame_write(&it->out, &payload, NULL, 0), MP_OK);
}

static bool can_read(way *it)
{
    mpos_wait_item item = mpi_frame_wait_item(&it->in);

    return mpos_wait(&item, 1, 0) == MP_OK;
}

static void expect_text(way *it, const char *text)
{
    cr_assert_eq(mpi_frame_read(&it->in, UINT64_MAX, NULL), MP_OK);
    cr_assert_eq(it->in.in.size, strlen(text));
    cr_assert_str_eq((const char *)it->in.in.data, text, "terminated");
    mpi_frame_in_free(&it->in.in);
}

/* -- As they were written -------------------------------------------------- */

static unsigned char *pattern(size_t size)
{
    unsigned char *data = malloc(size + 1);

    for (size_t i = 0; i < size; i++)
        data[i] = (unsigned char)(i * 7 + i / 251);
    return data;
}

typedef struct letter {
    way *over;
    mpos_bytes payload;
    mp_error result;
} letter;

static void write_letter(void *argument)
{
    letter *it = argument;

    it->result = mpi_frame_write(&it->over->out, &it->payload, NULL, 0);
}

/* offered: how much memory is offered for it. */
static void read_letter(way *it, const mpos_bytes *sent, size_t offered)
{
    unsigned char *memory = malloc(offered + 1);

    it->in.offer = (mpos_room){memory, offered};
    cr_assert_eq(mpi_frame_read_size(&it->in, NULL), MP_OK);
    it->in.offer = (mpos_room){0};
    cr_assert_eq(it->in.in.size, sent->size);
    if (sent->size <= offered && it->in.in.data == NULL) {
        cr_assert_eq(mpi_frame_read_into(&it->in, memory), MP_OK);
        cr_assert_eq(memcmp(memory, sent->data, sent->size), 0);
    } else {
        cr_assert_eq(mpi_frame_read(&it->in, sent->size, NULL), MP_OK);
        cr_assert_eq(memcmp(it->in.in.data, sent->data, sent->size), 0);
        cr_assert_eq(it->in.in.data[sent->size], 0, "terminated");
        mpi_frame_in_free(&it->in.in);
    }
    free(memory);
    cr_assert_not(mpi_frame_has_begun(&it->in));
}

static void pass(size_t size, size_t offered)
{
    way it = open_way();
    unsigned char *data = pattern(size);
    letter sent = {&it, {data, size}, MP_PENDING};
    mpos_thread writer;

    cr_assert_eq(mpos_thread_start(write_letter, &sent, &writer), MP_OK);
    read_letter(&it, &sent.payload, offered);
    mpos_thread_join(writer);
    cr_assert_eq(sent.result, MP_OK);
    cr_assert_not(can_read(&it), "nothing is left of %zu bytes", size);
    close_way(&it);
    free(data);
}

Test(packet, of_any_size_comes_as_it_was_written, .timeout = 60)
{
    static const size_t sizes[] = {0,
                                   1,
                                   64,
                                   1024,
                                   1025,
                                   16384,
                                   16385,
                                   MPI_PACKET_PAYLOAD - 1,
                                   MPI_PACKET_PAYLOAD,
                                   MPI_PACKET_PAYLOAD + 1,
                                   2 * MPI_PACKET_PAYLOAD,
                                   LARGE};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        pass(sizes[i], 0);
        pass(sizes[i], 3);
        pass(sizes[i], sizes[i] / 2);
        pass(sizes[i], sizes[i]);
        pass(sizes[i], sizes[i] + 100);
        pass(sizes[i], LARGE);
    }
}

Test(packet, of_a_frame_leaves_the_next_frame_alone)
{
    way it = open_way();
    char room[ROOM];

    send_text(&it, "one");
    send_text(&it, "");
    send_text(&it, "three");
    it.in.offer = (mpos_room){room, sizeof(room)};
    cr_assert_eq(mpi_frame_read_size(&it.in, NULL), MP_OK);
    cr_assert_eq(mpi_frame_read_into(&it.in, room), MP_OK);
    cr_assert_eq(memcmp(room, "one", 3), 0);
    it.in.offer = (mpos_room){0};
    expect_text(&it, "");
    expect_text(&it, "three");
    cr_assert_not(can_read(&it));
    close_way(&it);
}

Test(packet, takes_one_read_for_a_small_frame)
{
    way it = open_way();

    send_text(&it, "hello");
    cr_assert_eq(mpi_frame_step(&it.in, LIMIT, NULL), MP_OK);
    cr_assert(mpi_frame_is_whole(&it.in));
    close_way(&it);
}

Test(packet, longer_than_the_limit_is_kept)
{
    way it = open_way();
    char room[2];

    send_text(&it, "hello");
    it.in.offer = (mpos_room){room, sizeof(room)};
    cr_assert_eq(mpi_frame_read_size(&it.in, NULL), MP_OK);
    it.in.offer = (mpos_room){0};
    cr_assert_eq(mpi_frame_step(&it.in, 4, NULL), MP_EOVERFLOW);
    cr_assert_eq(mpi_frame_read(&it.in, 4, NULL), MP_EOVERFLOW);
    expect_text(&it, "hello");
    close_way(&it);
}

/* -- What is none ---------------------------------------------------------- */

static void expect_refused(const void *data, size_t size, size_t offered)
{
    way it = open_way();
    char room[ROOM];

    put(&it, data, size);
    hang_up(&it);
    it.in.offer = (mpos_room){room, offered};
    cr_assert_eq(mpi_frame_read_size(&it.in, NULL), MP_EPROTO, "%s",
                 mp_error_message());
    it.in.offer = (mpos_room){0};
    cr_assert(it.in.is_broken);
    cr_assert_eq(mpi_frame_step(&it.in, LIMIT, NULL), MP_EPROTO);
    close_way(&it);
}

Test(packet, that_is_no_frame_is_refused)
{
    for (size_t offered = 0; offered < 20; offered += 5) {
        expect_refused("\0\0\0", 3, offered);
        expect_refused("\0\0\0\1xy", 6, offered);
        expect_refused("\0\0\0\0x", 5, offered);
        expect_refused("\x80\0\0\0x", 5, offered);
        expect_refused("\xff\xff\xff\xff\0\0\0", 7, offered);
        expect_refused("\xff\xff\xff\xff\0\0\0\0\0\0\0\1x", 13, offered);
        expect_refused("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12,
                       offered);
    }
}

Test(packet, with_a_long_header_has_nothing_else)
{
    static const unsigned char header[] = {0xff, 0xff, 0xff, 0xff, 0, 0,
                                           0,    0,    0,    0,    0, 2};

    for (size_t offered = 0; offered < 12; offered++) {
        way it = open_way();
        char room[12];

        put(&it, header, sizeof(header));
        put(&it, "ab", 2);
        it.in.offer = (mpos_room){room, offered};
        cr_assert_eq(mpi_frame_read_size(&it.in, NULL), MP_OK);
        it.in.offer = (mpos_room){0};
        expect_text(&it, "ab");
        close_way(&it);
    }
}

Test(packet, that_is_missing_cuts_the_frame_short)
{
    for (size_t offered = 0; offered < 16; offered += 8) {
        way it = open_way();
        char room[16];

        put(&it, "\0\0\0\x08_six", 8);
        hang_up(&it);
        it.in.offer = (mpos_room){room, offered};
        cr_assert_eq(mpi_frame_read_size(&it.in, NULL), MP_OK);
        it.in.offer = (mpos_room){0};
        if (it.in.in.data == NULL)
            cr_assert_eq(mpi_frame_read_into(&it.in, room), MP_EPROTO);
        else
            cr_assert_eq(mpi_frame_read(&it.in, LIMIT, NULL), MP_EPROTO);
        close_way(&it);
    }
}

/* -- The end --------------------------------------------------------------- */

Test(packet, sent_before_the_other_end_closed_is_not_lost)
{
    way it = open_way();
    way back = {.out = it.in};

    send_text(&back, "that nobody reads");
    send_text(&it, "first");
    send_text(&it, "last");
    hang_up(&it); /* which the system tells before it gives these two */
    expect_text(&it, "first");
    expect_text(&it, "last");
    cr_assert_eq(mpi_frame_read(&it.in, LIMIT, NULL), MP_EEOF);
    cr_assert_eq(mpi_frame_read(&it.in, LIMIT, NULL), MP_EEOF);
    close_way(&it);
}

Test(packet, to_nobody_is_an_error)
{
    way it = open_way();
    mpos_bytes payload = {"x", 1};

    mpos_close(it.in.handle);
    it.in.handle = MPOS_NONE;
    cr_assert_eq(mpi_frame_write(&it.out, &payload, NULL, 0), MP_EPIPE);
    close_way(&it);
}
