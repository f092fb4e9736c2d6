/* SPDX-License-Identifier: MIT */
/*
 * Who has proved itself and lies then, message by message; and listeners that
 * lie to our clients.
 */
#include "support/check.h"
#include "support/door.h"
#include "support/system.h"

#include <stdlib.h>

enum { BABBLE = 1000 * 1000, BABBLERS = 20, GIB = 1 << 30, SENT = 10 };

/* -- Frames that are cut --------------------------------------------------- */

/* Connected with us: the stranger's end, and ours in guest. */
static stranger let_in(void)
{
    stranger self = stranger_come(&where);

    self.left = STRANGER_ALL;
    cr_assert(stranger_prove(&self, serve));
    while (guest == NULL)
        serve();
    return self;
}

static void send_away(stranger *self)
{
    stranger_leave(self);
    cr_assert_eq(mp_connection_close(guest), MP_OK);
    guest = NULL;
}

/* A frame with [1, "two", 3.0] in it, as it is on the wire. */
static size_t make_frame(unsigned char frame[STRANGER_FRAME_MAX])
{
    mp_obj *list = MP_LIST(1, "two", 3.0);
    void *pickle;
    size_t size;

    cr_assert_eq(mp_pickle_dumps(list, &pickle, &size), MP_OK);
    mp_obj_unref(list);
    cr_assert_lt(size, STRANGER_FRAME_MAX - STRANGER_HEADER);
    memset(frame, 0, STRANGER_HEADER);
    frame[3] = (unsigned char)size;
    memcpy(frame + STRANGER_HEADER, pickle, size);
    mp_free(pickle);
    return STRANGER_HEADER + size;
}

static void cut_frame_at(const unsigned char *frame, size_t size, size_t cut)
{
    stranger self = let_in();
    mp_obj *obj = NULL;
    mp_error err;

    cr_assert(stranger_write(&self, frame, cut));
    cr_assert_eq(mp_connection_poll(guest, 0.001),
                 cut == size ? MP_OK : MP_TIMED_OUT);
    stranger_leave(&self);
    cr_assert_eq(mp_connection_poll(guest, 10), MP_OK);
    err = mp_connection_recv(guest, &obj);
    if (cut == 0)
        cr_assert_eq(err, MP_EEOF);
    else
        cr_assert_eq(err, cut == size ? MP_OK : MP_EPROTO, "byte %zu: %s", cut,
                     mp_error_name(err));
    mp_obj_unref(obj);
    send_away(&self);
}

static void cut_frames(mp_family family)
{
    unsigned char frame[STRANGER_FRAME_MAX];
    size_t size = make_frame(frame);

    open_door(family, NULL);
    for (size_t i = 0; i <= size; i++)
        cut_frame_at(frame, size, i);
    expect_service();
    close_door();
}

Test(hostile_messages, a_frame_cut_at_any_byte_is_no_message, .timeout = 120)
{
    over_each_stream(cut_frames);
}

/* -- Frames that promise too much ------------------------------------------ */

/* Says that so many bytes will come, sends a few, and waits. */
static stranger promise(uint32_t low, uint64_t high)
{
    stranger self = let_in();
    unsigned char data[STRANGER_HEADER + 8 + SENT] = {0};

    for (size_t i = 0; i < 4; i++)
        data[i] = (unsigned char)(low >> (24 - 8 * i));
    for (size_t i = 0; i < 8; i++)
        data[STRANGER_HEADER + i] = (unsigned char)(high >> (56 - 8 * i));
    cr_assert(stranger_write(&self, data, sizeof(data)));
    return self;
}

/* Nothing was taken for it, and it is no message. */
static void break_promise(uint32_t low, uint64_t high)
{
    size_t before = support_memory_in_use();
    stranger self = promise(low, high);
    mp_obj *obj = NULL;
    mp_error err = mp_connection_poll(guest, 0.05);

    cr_assert(err == MP_TIMED_OUT || err == MP_OK, "%s", mp_error_name(err));
    stranger_leave(&self);
    err = mp_connection_recv(guest, &obj);
    cr_assert_eq(err, MP_EPROTO, "%08x: %s", (unsigned)low, mp_error_name(err));
    cr_assert_null(obj);
    expect_memory(before, support_memory_in_use(), 0);
    send_away(&self);
}

/* Who has said how much it takes at most does not even wait. */
static void limit(uint32_t low, uint64_t high, mp_error expected)
{
    size_t before = support_memory_in_use(), size;
    stranger self = promise(low, high);
    void *data = NULL;
    mp_error err = mp_connection_recv_bytes_max(guest, 1000, &data, &size);

    cr_assert_eq(err, expected, "%08x: %s", (unsigned)low, mp_error_name(err));
    cr_assert_null(data);
    expect_memory(before, support_memory_in_use(), 0);
    send_away(&self);
}

static void promise_much(mp_family family)
{
    open_door(family, NULL);
    break_promise(0xfffffffe, 0);
    break_promise(0x80000000, 0);
    break_promise(GIB, 0);
    break_promise(0x7fffffff, 0);
    break_promise(0xffffffff, UINT64_C(1) << 40);
    break_promise(0xffffffff, UINT64_MAX / 2);
    break_promise(0xffffffff, UINT64_MAX);
    limit(0xfffffffe, 0, MP_EPROTO);
    limit(1001, 0, MP_EOVERFLOW);
    limit(0x7fffffff, 0, MP_EOVERFLOW);
    limit(0xffffffff, UINT64_C(1) << 40, MP_EOVERFLOW);
    expect_service();
    close_door();
}

Test(hostile_messages, negative_and_huge_sizes_take_no_memory, .timeout = 120)
{
    over_each_stream(promise_much);
}

/* -- Random bytes ---------------------------------------------------------- */

/* With the key: then as many bytes, as frames or just so. */
static int babble_inside(mp_args *args)
{
    mp_client_options options = {.auth = MP_AUTHKEY(STRANGER_KEY)};
    size_t size = (size_t)mp_arg_int(args, 1), address_size;
    unsigned char *bytes = malloc(size);
    mp_connection *connection;
    mp_address address;

    memcpy(&address, mp_arg_bytes(args, 0, &address_size), sizeof(address));
    for (int i = 0; i < BABBLERS; i++) {
        stranger self = {.handle = MPOS_NONE};

        mp_check(mpos_random(bytes, size));
        mp_check(mp_client(&connection, address, &options));
        mp_check(mp_connection_fileno(connection, &self.handle));
        if (i % 2 == 0)
            stranger_write(&self, bytes, size);
        for (size_t at = 0; i % 2 == 1 && at + 64 <= size; at += 64)
            mp_connection_send_bytes(connection, bytes + at, 64);
        mp_check(mp_connection_close(connection));
    }
    free(bytes);
    return 0;
}

/* Each is refused alone, until there is none or the frames are lost. */
static void receive_all(void)
{
    mp_error err = MP_OK;

    while (err == MP_OK || err == MP_EUNPICKLE) {
        mp_obj *obj = NULL;

        err = mp_connection_recv(guest, &obj);
        mp_obj_unref(obj);
    }
    cr_assert(err == MP_EEOF || err == MP_EPROTO || err == MP_ENOMEM, "%s: %s",
              mp_error_name(err), mp_error_message());
    cr_assert_eq(mp_connection_close(guest), MP_OK);
    guest = NULL;
}

static void be_babbled_at(mp_family family)
{
    const mp_process_options daemon = {.daemon = MP_DAEMON_YES};
    int64_t size = (int64_t)support_scaled(BABBLE) / BABBLERS;
    mp_process *process;
    int code = -1;

    open_door(family, NULL);
    cr_assert_eq(mp_process_create(
                     &process, babble_inside,
                     MP_ARGS(MP_BYTES(&where, sizeof(where)), size), &daemon),
                 MP_OK);
    cr_assert_eq(mp_process_start(process), MP_OK);
    for (int i = 0; i < BABBLERS; i++) {
        while (guest == NULL)
            serve();
        receive_all();
    }
    cr_assert_eq(mp_process_join(process, 20), MP_OK);
    cr_assert_eq(mp_process_exitcode(process, &code), MP_OK);
    cr_assert_eq(code, 0);
    cr_assert_eq(mp_process_close(process), MP_OK);
    expect_service();
    close_door();
}

Test(hostile_messages, a_million_random_bytes_break_nothing, .timeout = 120)
{
    over_each_stream(be_babbled_at);
}

/* -- Listeners that lie ---------------------------------------------------- */

/* What a liar is to do with the next one that comes. */
typedef struct order {
    size_t first;  /* to be said at once */
    size_t second; /* once the client has answered */
    bool it_stays; /* until the client leaves */
    char said[1024];
} order;

/* Until the client has said so much; false: it has left. */
static bool listen_to(const stranger *self, size_t size)
{
    char heard[STRANGER_FRAME_MAX];

    for (size_t so_far = 0, got; so_far < size; so_far += got)
        if (mpos_read(self->handle, heard, sizeof(heard), &got) != MP_OK ||
            got == 0)
            return false;
    return true;
}

static void lie_to(const stranger *self, const order *what)
{
    stranger_write(self, what->said, what->first);
    if (what->second > 0 &&
        listen_to(self, STRANGER_ALL - STRANGER_HEADER - STRANGER_VERDICT))
        stranger_write(self, what->said + what->first, what->second);
    if (what->it_stays)
        listen_to(self, SIZE_MAX);
}

static int pretend(mp_args *args)
{
    mp_connection *boss = mp_arg_connection(args, 0);
    mpos_address address = {.family = MPOS_INET, .name = "127.0.0.1"}, peer;
    mpos_wait_item item = {.kind = MPOS_WAIT_LISTENER};
    order what;
    size_t size;

    mp_check(mpos_listen(&address, 16, &item.handle));
    mp_check(mp_connection_send(boss, MP_BOX((int64_t)address.port)));
    while (mp_connection_recv_bytes_into(boss, &what, sizeof(what), &size) ==
           MP_OK) {
        stranger self = {.kind = MPOS_WAIT_SOCKET};

        mp_check(mpos_wait(&item, 1, MPOS_FOREVER));
        mp_check(mpos_accept(item.handle, &address, &peer, &self.handle));
        lie_to(&self, &what);
        stranger_leave(&self);
    }
    mpos_listener_close(item.handle, &address, true);
    return 0;
}

static mp_connection *liar;
static unsigned liars_port;

static mp_error believe(const order *what)
{
    const double patience = 0.5;
    mp_client_options options = {.auth = MP_AUTHKEY(STRANGER_KEY),
                                 .timeout = patience};
    double began = mp_monotonic();
    mp_connection *connection = NULL;
    mp_error err;

    cr_assert_eq(mp_connection_send_bytes(liar, what, sizeof(*what)), MP_OK);
    err = mp_client(&connection, mp_inet("127.0.0.1", liars_port), &options);
    cr_assert_null(connection);
    cr_assert_lt(mp_monotonic() - began, patience + moment());
    return err;
}

static order to_say(const void *first, size_t size)
{
    order what = {.first = size};

    memcpy(what.said, first, size);
    return what;
}

/* Whatever it is, it is an error, and comes in time. */
static void expect_disbelief(order *what)
{
    mp_error err = believe(what);

    cr_assert(err == MP_EAUTH || err == MP_EEOF, "%s", mp_error_name(err));
    what->it_stays = true;
    err = believe(what);
    cr_assert_eq(err, MP_EAUTH, "%s", mp_error_name(err));
}

typedef struct lie {
    const char *said;
    size_t size;
} lie;

#define LIE(text)              \
    {                          \
        text, sizeof(text) - 1 \
    }
#define FRAME(size, text) "\0\0\0" size text
#define BYTES_20 "01234567890123456789"
#define CHALLENGE FRAME("\x3b", "#CHALLENGE#{sha256}" BYTES_20 BYTES_20)
#define WELCOME FRAME("\x09", "#WELCOME#")
#define FAILURE FRAME("\x09", "#FAILURE#")
#define ANSWER FRAME("\x28", "{sha256}" BYTES_20 "012345678901")

static const lie lies[] = {
    LIE(""),
    LIE(WELCOME),
    LIE(FAILURE),
    LIE(FRAME("\x0b", "#CHALLENGE#")),
    LIE(FRAME("\x10", "#CHALLENGE#short")),
    LIE(FRAME("\x2b", "#CHALLENGE#{sha999}" BYTES_20 "....")),
    LIE(FRAME("\x09", "nonsense!")),
    LIE(FRAME("\x00", "")),
    LIE("\0\0\1\1" BYTES_20),
    LIE("\xff\xff\xff\xff\x7f" BYTES_20),
    LIE("\x80\0\0\0" BYTES_20),
    LIE(CHALLENGE),
    LIE(CHALLENGE CHALLENGE),
    LIE(CHALLENGE FAILURE),
    LIE(CHALLENGE WELCOME),
    LIE(CHALLENGE WELCOME WELCOME),
    LIE(CHALLENGE WELCOME ANSWER),
    LIE(CHALLENGE WELCOME ANSWER WELCOME),
};

/* What comes after the client's answer; it does not know the key. */
static const lie answers[] = {
    LIE(WELCOME),
    LIE(FAILURE),
    LIE(CHALLENGE),
    LIE(WELCOME ANSWER),
    LIE(WELCOME FRAME("\x08", "{sha256}")),
    LIE(WELCOME FRAME("\x10", "0123456789abcdef")),
    LIE(WELCOME FRAME("\x15", "{md5}0123456789abcdef")),
    LIE(WELCOME WELCOME),
};

static void hear_lies(void)
{
    const lie right = LIE(CHALLENGE);

    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        order what = to_say(lies[i].said, lies[i].size);

        expect_disbelief(&what);
    }
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        order what = to_say(right.said, right.size);

        memcpy(what.said + what.first, answers[i].said, answers[i].size);
        what.second = answers[i].size;
        expect_disbelief(&what);
    }
    for (size_t cut = 0; cut < right.size; cut++) {
        order what = to_say(right.said, cut);

        cr_assert_eq(believe(&what), MP_EEOF, "byte %zu", cut);
    }
}

static void hear_nonsense(void)
{
    char bytes[1000];

    for (int i = 0; i < 50; i++) {
        order what;
        mp_error err;

        cr_assert_eq(mpos_random(bytes, sizeof(bytes)), MP_OK);
        what = to_say(bytes, sizeof(bytes));
        err = believe(&what);
        cr_assert(err == MP_EAUTH || err == MP_EEOF, "%s", mp_error_name(err));
    }
}

Test(hostile_messages, no_listener_that_lies_is_believed, .timeout = 120)
{
    const mp_process_options daemon = {.daemon = MP_DAEMON_YES};
    mp_connection *theirs;
    mp_process *process;
    mp_obj *obj;
    int64_t port;

    cr_assert_eq(mp_pipe(&liar, &theirs, NULL), MP_OK);
    cr_assert_eq(mp_process_create(&process, pretend, MP_ARGS(theirs), &daemon),
                 MP_OK);
    cr_assert_eq(mp_process_start(process), MP_OK);
    cr_assert_eq(mp_connection_close(theirs), MP_OK);
    cr_assert_eq(mp_connection_recv(liar, &obj), MP_OK);
    cr_assert_eq(mp_obj_as_int(obj, &port), MP_OK);
    liars_port = (unsigned)port;
    mp_obj_unref(obj);
    hear_lies();
    hear_nonsense();
    cr_assert_eq(mp_connection_close(liar), MP_OK);
    cr_assert_eq(mp_process_join(process, 20), MP_OK);
    cr_assert_eq(mp_process_close(process), MP_OK);
}
