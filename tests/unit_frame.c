/* SPDX-License-Identifier: MIT */
/* Frames on their way in, in whatever pieces they come. */
#include "support/check.h"
#include "support/testing.h"

#include "frame.h"
#include "internal.h"

#include <stdlib.h>
#include <string.h>

enum { LARGE = 3 * 1000 * 1000, LIMIT = 256 };

typedef struct way {
    mpos_handle in;
    mpi_frame_end end;
} way;

static way open_way(void)
{
    way it = {.end = {.kind = MPI_STREAM_LOCAL}};

    cr_assert_eq(mpos_channel(&it.in, &it.end.handle, NULL), MP_OK);
    return it;
}

static void hang_up(way *it)
{
    mpos_close(it->in);
    it->in = MPOS_NONE;
}

static void close_way(way *it)
{
    hang_up(it);
    mpos_close(it->end.handle);
    mpi_frame_in_free(&it->end.in);
}

static void put(way *it, const void *data, size_t size)
{
    mpos_bytes part = {data, size};
    size_t written = 0;

    if (size == 0)
        return;
    cr_assert_eq(mpos_write(it->in, &part, 1, &written), MP_OK);
    cr_assert_eq(written, size);
}

static bool can_read(way *it)
{
    mpos_wait_item item = mpi_frame_wait_item(&it->end);

    return mpos_wait(&item, 1, 0) == MP_OK;
}

/* Takes what is there, as poll() does, but never waits. */
static mp_error step_all(way *it, uint64_t limit)
{
    mp_error err = MP_PENDING;

    while (err == MP_PENDING && can_read(it))
        err = mpi_frame_step(&it->end, limit, NULL);
    return err;
}

static void expect_whole(way *it, const char *text)
{
    cr_assert(mpi_frame_is_whole(&it->end));
    cr_assert_eq(it->end.in.size, strlen(text));
    cr_assert_str_eq((const char *)it->end.in.data, text, "terminated");
    mpi_frame_in_free(&it->end.in);
    cr_assert_not(mpi_frame_has_begun(&it->end));
}

static const unsigned char short_one[] = {0, 0, 0, 5, 'h', 'e', 'l', 'l', 'o'};
static const unsigned char long_one[] = {
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 5, 'h', 'e', 'l', 'l', 'o'};

/* -- Pieces ---------------------------------------------------------------- */

static void come_in_two_pieces(const unsigned char *frame, size_t size,
                               size_t cut)
{
    way it = open_way();

    put(&it, frame, cut);
    cr_assert_eq(step_all(&it, LIMIT), MP_PENDING);
    cr_assert_not(mpi_frame_is_whole(&it.end));
    cr_assert_eq(mpi_frame_has_begun(&it.end), cut > 0);
    put(&it, frame + cut, size - cut);
    put(&it, "\0\0\0\1x", 5);
    cr_assert_eq(step_all(&it, LIMIT), MP_OK, "cut at %zu", cut);
    expect_whole(&it, "hello");
    cr_assert_eq(step_all(&it, LIMIT), MP_OK);
    expect_whole(&it, "x");
    close_way(&it);
}

Test(frame, is_whole_wherever_it_was_cut)
{
    for (size_t cut = 0; cut < sizeof(short_one); cut++)
        come_in_two_pieces(short_one, sizeof(short_one), cut);
    for (size_t cut = 0; cut < sizeof(long_one); cut++)
        come_in_two_pieces(long_one, sizeof(long_one), cut);
}

Test(frame, is_whole_when_it_comes_byte_by_byte)
{
    way it = open_way();

    for (size_t i = 0; i < sizeof(long_one); i++) {
        cr_assert_eq(step_all(&it, LIMIT), MP_PENDING);
        put(&it, long_one + i, 1);
    }
    cr_assert_eq(step_all(&it, LIMIT), MP_OK);
    expect_whole(&it, "hello");
    close_way(&it);
}

Test(frame, leaves_every_byte_of_the_next_one)
{
    way it = open_way();
    char rest[sizeof(short_one)];
    size_t got;

    put(&it, short_one, sizeof(short_one));
    put(&it, short_one, sizeof(short_one));
    cr_assert_eq(mpi_frame_read(&it.end, LIMIT, NULL), MP_OK);
    cr_assert_eq(mpos_read(it.end.handle, rest, sizeof(rest), &got), MP_OK);
    cr_assert_eq(got, sizeof(short_one));
    cr_assert_arr_eq(rest, short_one, sizeof(short_one));
    close_way(&it);
}

Test(frame, may_be_empty)
{
    way it = open_way();

    put(&it, "\0\0\0\0", 4);
    cr_assert_eq(mpi_frame_step(&it.end, 0, NULL), MP_OK);
    expect_whole(&it, "");
    close_way(&it);
}

Test(frame, larger_than_any_pipe_grows_with_what_arrives)
{
    unsigned char *sent = malloc(LARGE);
    way it = open_way();
    size_t done = 0;
    unsigned char header[] = {0, LARGE >> 16, LARGE >> 8 & 255, LARGE & 255};

    memset(sent, 'L', LARGE);
    put(&it, header, sizeof(header));
    cr_assert_eq(step_all(&it, UINT64_MAX), MP_PENDING);
    cr_assert_eq(it.end.in.room, 0);
    while (done < LARGE) {
        size_t part = LARGE - done < 10000 ? LARGE - done : 10000;

        put(&it, sent + done, part);
        done += part;
        cr_assert_eq(step_all(&it, UINT64_MAX),
                     done < LARGE ? MP_PENDING : MP_OK);
        cr_assert_leq(it.end.in.room, 2 * done + (1 << 20));
    }
    cr_assert_eq(memcmp(it.end.in.data, sent, LARGE), 0);
    close_way(&it);
    free(sent);
}

/* -- What is no frame ------------------------------------------------------ */

static void come_cut_short(const unsigned char *frame, size_t cut)
{
    way it = open_way();
    mp_error expected = cut == 0 ? MP_EEOF : MP_EPROTO;

    put(&it, frame, cut);
    hang_up(&it);
    cr_assert_eq(mpi_frame_read(&it.end, LIMIT, NULL), expected, "cut at %zu",
                 cut);
    cr_assert_eq(mpi_frame_step(&it.end, LIMIT, NULL), expected);
    cr_assert_str_not_empty(mp_error_message());
    cr_assert_eq(it.end.is_broken, cut > 0);
    cr_assert_null(it.end.in.data);
    close_way(&it);
}

Test(frame, cut_short_at_any_byte_is_an_error)
{
    for (size_t cut = 0; cut < sizeof(short_one); cut++)
        come_cut_short(short_one, cut);
    for (size_t cut = 0; cut < sizeof(long_one); cut++)
        come_cut_short(long_one, cut);
}

Test(frame, negative_size_is_refused)
{
    static const unsigned char headers[][4] = {
        {0x80, 0, 0, 0}, {0xff, 0xff, 0xff, 0xfe}, {0x80, 0, 0, 1}};

    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        way it = open_way();

        put(&it, headers[i], 4);
        cr_assert_eq(step_all(&it, UINT64_MAX), MP_EPROTO);
        cr_assert_not_null(strstr(mp_error_message(), "negative size"));
        cr_assert(it.end.is_broken);
        close_way(&it);
    }
}

Test(frame, size_that_no_memory_has_is_refused)
{
    static const unsigned char header[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                           0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    way it = open_way();

    put(&it, header, sizeof(header));
    cr_assert_eq(step_all(&it, UINT64_MAX), MP_EPROTO);
    close_way(&it);
}

Test(frame, huge_size_takes_little_memory_until_the_bytes_are_there)
{
    static const unsigned char header[] = {0xff, 0xff, 0xff, 0xff, 0,    0,  0,
                                           0x7f, 0xff, 0xff, 0xff, 0xff, 'a'};
    way it = open_way();

    if (sizeof(size_t) < sizeof(uint64_t))
        cr_skip_test("such a size is refused here");
    put(&it, header, sizeof(header));
    cr_assert_eq(step_all(&it, UINT64_MAX), MP_PENDING);
    cr_assert_leq(it.end.in.room, 1 << 20);
    close_way(&it);
}

/* -- Limits ---------------------------------------------------------------- */

Test(frame, longer_than_the_limit_stays_in_the_system)
{
    way it = open_way();

    put(&it, short_one, sizeof(short_one));
    cr_assert_eq(step_all(&it, 4), MP_EOVERFLOW);
    cr_assert_eq(it.end.in.size, 5);
    cr_assert_null(it.end.in.data, "no memory was taken");
    cr_assert_eq(mpi_frame_read(&it.end, 4, NULL), MP_EOVERFLOW);
    cr_assert_eq(mpi_frame_read(&it.end, 5, NULL), MP_OK);
    cr_assert_eq(mpi_frame_step(&it.end, 4, NULL), MP_EOVERFLOW);
    expect_whole(&it, "hello");
    close_way(&it);
}

Test(frame, can_be_read_straight_into_the_callers_memory)
{
    way it = open_way();
    char text[5];

    put(&it, short_one, sizeof(short_one));
    put(&it, short_one, sizeof(short_one));
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(mpi_frame_read_size(&it.end, NULL), MP_OK);
        cr_assert_eq(it.end.in.size, 5);
        cr_assert_eq(mpi_frame_read_into(&it.end, text), MP_OK);
        cr_assert_eq(memcmp(text, "hello", 5), 0);
        cr_assert_not(mpi_frame_has_begun(&it.end));
    }
    hang_up(&it);
    cr_assert_eq(mpi_frame_read_size(&it.end, NULL), MP_EEOF);
    close_way(&it);
}

/* -- Writing --------------------------------------------------------------- */

static void expect_written(size_t size)
{
    unsigned char *sent = malloc(size + 1);
    mpi_frame_end out = {.kind = MPI_STREAM_LOCAL};
    way it = open_way();
    mpos_bytes payload = {sent, size};

    memset(sent, 'w', size);
    out.handle = it.in;
    cr_assert_eq(mpi_frame_write(&out, &payload, NULL, 0), MP_OK);
    cr_assert_eq(mpi_frame_read(&it.end, size, NULL), MP_OK);
    cr_assert_eq(it.end.in.size, size);
    cr_assert(size == 0 || memcmp(it.end.in.data, sent, size) == 0);
    close_way(&it);
    free(sent);
}

Test(frame, of_any_size_comes_as_it_was_written)
{
    static const size_t sizes[] = {0, 1, 4, 64, 1023, 1024, 1025, 4096, 16384};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        expect_written(sizes[i]);
}
