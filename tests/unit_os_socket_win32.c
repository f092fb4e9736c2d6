/* SPDX-License-Identifier: MIT */
/*
 * What only the Windows port can get wrong about sockets, named pipes and
 * handles in other processes; what both can is in unit_os_socket.c.
 *
 * Children are this program: the constructor play_role() sees ROLE in their
 * environment, plays the part, and never returns.
 */
#include "check.h"
#include "expect.h"

#include "os_winsock.h"

#include <stdio.h>
#include <stdlib.h>

#define ROLE "MULTIPROC_TEST_ROLE"
#define SECOND INT64_C(1000000000)

enum {
    ROLE_SIZE = 128,
    LARGE = 1 << 20, /* many times a pipe's buffer */
    OF_EACH = 50,    /* five kinds of them are waited for at once */
    ROUNDS = 20,
};

static int64_t in_seconds(int seconds)
{
    return mpos_now() + seconds * SECOND;
}

/* -- The parts children play ----------------------------------------------- */

static void write_byte(mpos_handle handle, char byte)
{
    const mpos_bytes part = {&byte, 1};
    size_t written;

    if (mpos_write(handle, &part, 1, &written) != MP_OK)
        mpos_exit(99);
}

/* Writes a byte to each handle whose number it reads, until there are none. */
static void write_to_numbers(mpos_handle channel)
{
    uint64_t number;
    size_t got = 0;

    while (mpos_read(channel, &number, sizeof(number), &got) == MP_OK &&
           got == sizeof(number)) {
        write_byte((mpos_handle)number, 'x');
        write_byte(channel, 'y');
    }
}

/* What it reads, a process that has never heard of Winsock sends back. */
static void echo(mpos_handle stream)
{
    char text[16];
    size_t got = 0;

    while (mpos_read(stream, text, sizeof(text), &got) == MP_OK && got > 0) {
        const mpos_bytes part = {text, got};

        if (mpos_write(stream, &part, 1, &got) != MP_OK)
            mpos_exit(98);
    }
    mpos_close(stream);
}

SUPPORT_CONSTRUCTOR(play_role)
{
    char role[ROLE_SIZE];
    mpos_handle handle;

    if (mpos_take_variable(ROLE, role, sizeof(role)) != MP_OK)
        return;
    handle = (mpos_handle)strtoll(role + strcspn(role, ":") + 1, NULL, 10);
    if (strncmp(role, "numbers", 7) == 0)
        write_to_numbers(handle);
    if (strncmp(role, "echo", 4) == 0)
        echo(handle);
    if (strncmp(role, "sleep", 5) == 0)
        Sleep(INFINITE);
    mpos_exit(0);
}

static mpos_process start(const char *name, mpos_handle handle)
{
    char variable[ROLE_SIZE];
    mpos_process child = {0};
    mpos_spawn_options options = {
        .variable = variable,
        .handles = &handle,
        .handle_count = handle == MPOS_NONE ? 0 : 1,
    };

    snprintf(variable, sizeof(variable), ROLE "=%s:%lld", name,
             (long long)handle);
    ok(mpos_spawn(&child, &options));
    return child;
}

static void kill_and_reap(mpos_process *child)
{
    int code;

    ok(mpos_send_signal(child, MPOS_KILL));
    ok(mpos_reap(child, in_seconds(20), &code));
    mpos_process_close(child);
}

static int end_of(mpos_process *child)
{
    int code = -1;

    ok(mpos_reap(child, in_seconds(20), &code));
    mpos_process_close(child);
    return code;
}

/* -- Two ends -------------------------------------------------------------- */

static const mpos_address loopback = {.family = MPOS_INET, .name = "127.0.0.1"};

typedef struct couple {
    mpos_address address;
    mpos_handle listener;
    mpos_handle client;
    mpos_handle server;
} couple;

static bool is_ready(mpos_handle handle, mpos_wait_kind kind, int64_t deadline)
{
    mpos_wait_item item = {handle, kind, false};
    mp_error err = mpos_wait(&item, 1, deadline);

    if (err != MP_TIMED_OUT)
        ok(err);
    return item.is_ready;
}

static void listen_and_connect(couple *two, unsigned backlog)
{
    ok(mpos_listen(&two->address, backlog, &two->listener));
    ok(mpos_connect(&two->address, in_seconds(20), &two->client));
}

static void accept_client(couple *two)
{
    mpos_address peer;

    cr_assert(is_ready(two->listener, MPOS_WAIT_LISTENER, in_seconds(20)));
    ok(mpos_accept(two->listener, &two->address, &peer, &two->server));
}

static couple join_at(mpos_address address, unsigned backlog)
{
    couple two = {.address = address};

    listen_and_connect(&two, backlog);
    accept_client(&two);
    return two;
}

static couple join(mpos_family family)
{
    return join_at((mpos_address){.family = family}, 16);
}

static void part(const couple *two)
{
    mpos_close(two->client);
    mpos_close(two->server);
    mpos_listener_close(two->listener, &two->address, true);
}

/* The whole message of a few bytes, as a string. */
static void hear(mpos_handle pipe, const char *expected)
{
    char text[16];
    size_t got = 99;
    size_t left = 99;

    ok(mpos_recv_message(pipe, text, sizeof(text) - 1, &got, &left));
    text[got] = '\0';
    cr_assert_str_eq(text, expected);
    cr_assert_eq(left, 0);
}

static void hear_the_end(mpos_handle pipe)
{
    char byte;
    size_t got;
    size_t left;

    cr_assert_eq(mpos_recv_message(pipe, &byte, 1, &got, &left), MP_EEOF);
}

/* -- Messages -------------------------------------------------------------- */

Test(os_socket_win32, each_write_is_one_message)
{
    couple two = join(MPOS_PIPE);

    ok(mpos_send_message(two.client, "one", 3));
    ok(mpos_send_message(two.client, "two", 3));
    ok(mpos_send_message(two.server, "back", 4));
    hear(two.server, "one");
    hear(two.client, "back");
    hear(two.server, "two");
    part(&two);
}

Test(os_socket_win32, message_is_received_in_parts_that_say_what_is_left)
{
    couple two = join(MPOS_PIPE);
    char text[8];
    size_t got;
    size_t left;

    ok(mpos_send_message(two.client, "abcdefgh", 8));
    ok(mpos_send_message(two.client, "next", 4));
    ok(mpos_recv_message(two.server, NULL, 0, &got, &left));
    cr_assert_eq(got, 0);
    cr_assert_eq(left, 8);
    ok(mpos_recv_message(two.server, text, 3, &got, &left));
    cr_assert_eq(got, 3);
    cr_assert_eq(left, 5);
    ok(mpos_recv_message(two.server, text + 3, left, &got, &left));
    cr_assert_eq(got, 5);
    cr_assert_eq(left, 0);
    cr_assert_eq(memcmp(text, "abcdefgh", 8), 0);
    hear(two.server, "next");
    part(&two);
}

Test(os_socket_win32, message_without_a_byte_is_a_message)
{
    couple two = join(MPOS_PIPE);

    cr_assert_not(is_ready(two.server, MPOS_WAIT_READ, 0));
    ok(mpos_send_message(two.client, NULL, 0));
    ok(mpos_send_message(two.client, "x", 1));
    ok(mpos_send_message(two.client, "", 0));
    hear(two.server, "");
    hear(two.server, "x");
    hear(two.server, "");
    cr_assert_not(is_ready(two.server, MPOS_WAIT_READ, 0));
    part(&two);
}

Test(os_socket_win32, message_without_a_byte_is_seen_and_not_lost_by_waiting)
{
    couple two = join(MPOS_PIPE);

    for (int i = 0; i < ROUNDS; i++) {
        mpos_wait_item items[2] = {{two.server, MPOS_WAIT_READ, false},
                                   {two.server, MPOS_WAIT_READ, false}};

        ok(mpos_send_message(two.client, "", 0));
        if (i % 2 == 0)
            ok(mpos_send_message(two.client, "", 0));
        ok(mpos_wait(items, 2, i % 3 == 0 ? 0 : in_seconds(20)));
        cr_assert(items[0].is_ready && items[1].is_ready);
        cr_assert(is_ready(two.server, MPOS_WAIT_READ, 0));
        hear(two.server, "");
        cr_assert_eq(is_ready(two.server, MPOS_WAIT_READ, 0), i % 2 == 0);
        if (i % 2 == 0)
            hear(two.server, "");
    }
    part(&two);
}

static DWORD WINAPI send_nothing_later(void *pipe)
{
    Sleep(100);
    return mpos_send_message(*(mpos_handle *)pipe, "", 0) == MP_OK ? 0 : 1;
}

static DWORD join_thread(HANDLE thread)
{
    DWORD code = 99;

    cr_assert_eq(WaitForSingleObject(thread, 20000), WAIT_OBJECT_0);
    GetExitCodeThread(thread, &code);
    CloseHandle(thread);
    return code;
}

Test(os_socket_win32, message_without_a_byte_wakes_who_waits)
{
    couple two = join(MPOS_PIPE);
    HANDLE thread =
        CreateThread(NULL, 0, send_nothing_later, &two.client, 0, NULL);

    cr_assert(is_ready(two.server, MPOS_WAIT_READ, in_seconds(20)));
    cr_assert_eq(join_thread(thread), 0);
    hear(two.server, "");
    part(&two);
}

/* Its number is soon another's, which has received nothing. */
Test(os_socket_win32, message_that_was_seen_goes_with_its_pipe)
{
    for (int i = 0; i < ROUNDS; i++) {
        couple two = join(MPOS_PIPE);

        cr_assert_not(is_ready(two.server, MPOS_WAIT_READ, 0));
        ok(mpos_send_message(two.client, "", 0));
        cr_assert(is_ready(two.server, MPOS_WAIT_READ, 0));
        part(&two);
    }
}

static DWORD WINAPI send_large(void *pipe)
{
    unsigned char *data = malloc(LARGE);
    mp_error err;

    for (size_t i = 0; i < LARGE; i++)
        data[i] = (unsigned char)(i * 7 >> 3);
    err = mpos_send_message(*(mpos_handle *)pipe, data, LARGE);
    free(data);
    return err == MP_OK ? 0 : 1;
}

Test(os_socket_win32, message_may_be_larger_than_the_buffer)
{
    couple two = join(MPOS_PIPE);
    HANDLE thread = CreateThread(NULL, 0, send_large, &two.client, 0, NULL);
    unsigned char *data = calloc(1, LARGE);
    size_t got = 0;
    size_t left = 0;
    size_t rest = 0;

    ok(mpos_recv_message(two.server, data, 100, &got, &left));
    cr_assert_eq(got, 100);
    cr_assert_eq(left, LARGE - 100);
    ok(mpos_recv_message(two.server, data + got, left, &rest, &left));
    cr_assert_eq(rest, LARGE - 100);
    cr_assert_eq(left, 0);
    for (size_t i = 0; i < LARGE; i++)
        cr_assert_eq(data[i], (unsigned char)(i * 7 >> 3));
    cr_assert_eq(join_thread(thread), 0);
    free(data);
    part(&two);
}

Test(os_socket_win32, end_of_a_pipe_is_told_to_both_sides)
{
    couple two = join(MPOS_PIPE);

    ok(mpos_send_message(two.client, "last", 4));
    mpos_close(two.client);
    two.client = MPOS_NONE;
    hear(two.server, "last");
    cr_assert(is_ready(two.server, MPOS_WAIT_READ, 0));
    hear_the_end(two.server);
    cr_assert_eq(mpos_send_message(two.server, "x", 1), MP_EPIPE);
    part(&two);
}

/* -- Listening at pipes ---------------------------------------------------- */

Test(os_socket_win32, name_of_a_pipe_is_one_listeners_until_it_is_closed)
{
    couple two = join(MPOS_PIPE);
    mpos_address same = two.address;
    mpos_handle other;

    cr_assert_eq(mpos_listen(&same, 1, &other), MP_EADDRINUSE);
    part(&two);
    cr_assert_eq(mpos_connect(&same, in_seconds(1), &other), MP_ENOTFOUND);
    ok(mpos_listen(&same, 1, &other));
    mpos_listener_close(other, &same, true);
}

static DWORD WINAPI listen_there(void *two)
{
    couple *it = two;

    return mpos_listen(&it->address, 1, &it->listener) == MP_OK ? 0 : 1;
}

/* What it has begun ends with its thread. */
Test(os_socket_win32, listener_outlives_the_thread_that_made_it)
{
    couple two = {.address = {.family = MPOS_PIPE}};
    HANDLE thread = CreateThread(NULL, 0, listen_there, &two, 0, NULL);

    cr_assert_eq(join_thread(thread), 0);
    ok(mpos_connect(&two.address, in_seconds(20), &two.client));
    accept_client(&two);
    ok(mpos_send_message(two.client, "hello", 5));
    hear(two.server, "hello");
    part(&two);
}

Test(os_socket_win32, client_that_has_left_is_accepted_with_what_it_said)
{
    couple two = {.address = {.family = MPOS_PIPE}};

    listen_and_connect(&two, 1);
    ok(mpos_send_message(two.client, "bye", 3));
    mpos_close(two.client);
    two.client = MPOS_NONE;
    accept_client(&two);
    hear(two.server, "bye");
    hear_the_end(two.server);
    part(&two);
}

Test(os_socket_win32, client_waits_while_the_pipe_is_busy)
{
    couple two = {.address = {.family = MPOS_PIPE}};
    mpos_handle second;

    listen_and_connect(&two, 1);
    cr_assert_eq(mpos_connect(&two.address, 0, &second), MP_TIMED_OUT);
    cr_assert_eq(mpos_connect(&two.address, mpos_now() + SECOND / 10, &second),
                 MP_TIMED_OUT);
    two.server = MPOS_NONE;
    part(&two);
}

static DWORD WINAPI connect_there(void *two)
{
    couple *it = two;

    return (DWORD)mpos_connect(&it->address, in_seconds(20), &it->server);
}

/* One client is in, though not accepted, and another one waits for its turn. */
Test(os_socket_win32, listener_closed_while_clients_connect_sends_them_away)
{
    couple two = {.address = {.family = MPOS_PIPE}};
    HANDLE thread;

    listen_and_connect(&two, 1);
    thread = CreateThread(NULL, 0, connect_there, &two, 0, NULL);
    Sleep(100);
    mpos_listener_close(two.listener, &two.address, true);
    cr_assert_eq((mp_error)(int)join_thread(thread), MP_ENOTFOUND);
    hear_the_end(two.client);
    mpos_close(two.client);
}

Test(os_socket_win32, pipes_know_who_is_there)
{
    couple two = join(MPOS_PIPE);
    mpos_peer peer = {0};

    ok(mpos_peer_of(two.client, &peer));
    cr_assert_eq(peer.pid, mpos_pid());
    cr_assert(peer.is_same_user);
    peer = (mpos_peer){0};
    ok(mpos_peer_of(two.server, &peer));
    cr_assert_eq(peer.pid, mpos_pid());
    cr_assert(peer.is_same_user);
    part(&two);
}

static size_t come_and_go(mpos_family family)
{
    for (int i = 0; i < ROUNDS; i++) {
        couple two = join(family);

        cr_assert_not(is_ready(
            two.server, family == MPOS_PIPE ? MPOS_WAIT_READ : MPOS_WAIT_SOCKET,
            mpos_now() + SECOND / 1000));
        part(&two);
    }
    return support_open_handles();
}

/* Once before it counts: the system opens some of its own. */
Test(os_socket_win32, nothing_is_left_open)
{
    size_t before;

    come_and_go(MPOS_PIPE);
    before = come_and_go(MPOS_PIPE);
    cr_assert_leq(come_and_go(MPOS_PIPE), before);
}

/* -- Sockets --------------------------------------------------------------- */

static void say_hello(mpos_handle stream)
{
    const mpos_bytes hello = {"hello", 5};
    size_t size;

    ok(mpos_write(stream, &hello, 1, &size));
}

/* 0: the stream is at its end. */
static void hear_size(mpos_handle stream, size_t expected)
{
    char text[8];
    size_t size;

    ok(mpos_read(stream, text, sizeof(text), &size));
    cr_assert_eq(size, expected);
}

Test(os_socket_win32, socket_can_be_inherited_and_used_without_winsock)
{
    couple two = join_at(loopback, 1);
    mpos_process child = start("echo", two.server);

    mpos_close(two.server);
    say_hello(two.client);
    cr_assert(is_ready(two.client, MPOS_WAIT_SOCKET, in_seconds(20)));
    hear_size(two.client, 5);
    two.server = two.client;
    two.client = MPOS_NONE;
    part(&two);
    cr_assert_eq(end_of(&child), 0);
}

Test(os_socket_win32, copy_of_a_socket_is_as_good)
{
    couple two = join_at(loopback, 1);
    mpos_handle copy;

    ok(mpos_duplicate(two.client, &copy));
    mpos_close(two.client);
    two.client = copy;
    say_hello(two.client);
    hear_size(two.server, 5);
    mpos_close(two.client);
    two.client = MPOS_NONE;
    hear_size(two.server, 0);
    part(&two);
}

/* As if the system had chosen the very port where nobody listens. */
Test(os_socket_win32, socket_that_could_only_connect_to_itself_is_refused)
{
    struct sockaddr_in place = {.sin_family = AF_INET};
    struct sockaddr *native = (struct sockaddr *)&place;
    const ADDRINFOW at = {
        .ai_family = AF_INET, .ai_addr = native, .ai_addrlen = sizeof(place)};
    const mpi_winsock *winsock;
    int size = sizeof(place);
    SOCKET socket;

    ok(mpi_winsock_start(&winsock));
    socket = winsock->WSASocketW(AF_INET, SOCK_STREAM, IPPROTO_TCP, NULL, 0,
                                 WSA_FLAG_OVERLAPPED);
    cr_assert_neq(socket, INVALID_SOCKET);
    place.sin_addr.S_un.S_un_b.s_b1 = 127;
    place.sin_addr.S_un.S_un_b.s_b4 = 1;
    cr_assert_eq(winsock->bind(socket, native, size), 0);
    cr_assert_eq(winsock->getsockname(socket, native, &size), 0);
    cr_assert_eq(mpi_inet_connect_socket(winsock, socket, &at, in_seconds(20)),
                 MP_EREFUSED);
    winsock->closesocket(socket);
}

/* -- Many at once ---------------------------------------------------------- */

typedef enum many_kind {
    MANY_PIPES,
    MANY_MESSAGES,
    MANY_EVENTS,
    MANY_SOCKETS,
    MANY_LISTENERS,
    MANY_KINDS,
} many_kind;

typedef struct many {
    mpos_wait_item items[MANY_KINDS * OF_EACH];
    couple couples[MANY_KINDS * OF_EACH];
} many;

static couple join_here(mpos_family family, mpos_wait_item *item,
                        mpos_wait_kind kind)
{
    const mpos_address pipe = {.family = MPOS_PIPE};
    couple two = join_at(family == MPOS_INET ? loopback : pipe, 1);

    *item = (mpos_wait_item){two.server, kind, false};
    return two;
}

static couple make(many_kind kind, size_t i, mpos_wait_item *item)
{
    couple two = {.client = MPOS_NONE, .server = MPOS_NONE};

    switch (kind) {
    case MANY_PIPES:
        ok(mpos_pipe(&two.server, &two.client));
        *item = (mpos_wait_item){two.server, MPOS_WAIT_READ, false};
        break;
    case MANY_MESSAGES:
        return join_here(MPOS_PIPE, item, MPOS_WAIT_READ);
    case MANY_EVENTS:
        two.server = (mpos_handle)CreateEventW(NULL, i % 2 == 0, FALSE, NULL);
        *item = (mpos_wait_item){two.server, MPOS_WAIT_HANDLE, false};
        break;
    case MANY_SOCKETS:
        return join_here(MPOS_INET, item, MPOS_WAIT_SOCKET);
    default:
        two.address.family = i % 2 == 0 ? MPOS_PIPE : MPOS_INET;
        ok(mpos_listen(&two.address, 1, &two.listener));
        *item = (mpos_wait_item){two.listener, MPOS_WAIT_LISTENER, false};
        break;
    }
    return two;
}

static void wake_up(many_kind kind, couple *two)
{
    mpos_address address = two->address;

    switch (kind) {
    case MANY_PIPES:
    case MANY_SOCKETS:
        write_byte(two->client, 'x');
        break;
    case MANY_MESSAGES:
        ok(mpos_send_message(two->client, "", 0));
        break;
    case MANY_EVENTS:
        SetEvent((HANDLE)two->server);
        break;
    default:
        if (address.family == MPOS_INET)
            address.name[0] = '\0';
        ok(mpos_connect(&address, in_seconds(20), &two->client));
        break;
    }
}

static void quieten(many_kind kind, couple *two)
{
    mpos_address peer;
    char byte;
    size_t got;
    size_t left;

    switch (kind) {
    case MANY_PIPES:
    case MANY_SOCKETS:
        ok(mpos_read(two->server, &byte, 1, &got));
        break;
    case MANY_MESSAGES:
        ok(mpos_recv_message(two->server, &byte, 1, &got, &left));
        break;
    case MANY_EVENTS:
        ResetEvent((HANDLE)two->server);
        break;
    default:
        ok(mpos_accept(two->listener, &two->address, &peer, &two->server));
        break;
    }
}

static DWORD WINAPI wake_up_later(void *context)
{
    void **arguments = context;

    Sleep(50);
    wake_up((many_kind)(uintptr_t)arguments[0], arguments[1]);
    return 0;
}

static void check_only(const many *all, size_t which)
{
    for (size_t k = 0; k < MANY_KINDS * OF_EACH; k++)
        cr_assert_eq(all->items[k].is_ready, k == which, "%zu instead of %zu",
                     k, which);
}

static many all_of_them;

Test(os_socket_win32, hundreds_of_mixed_things_are_waited_for_at_once,
     .timeout = 120.0)
{
    const size_t count = MANY_KINDS * OF_EACH;
    many *all = &all_of_them;

    for (size_t i = 0; i < count; i++)
        all->couples[i] =
            make((many_kind)(i % MANY_KINDS), i / MANY_KINDS, &all->items[i]);
    cr_assert_eq(mpos_wait(all->items, count, 0), MP_TIMED_OUT);
    cr_assert_eq(mpos_wait(all->items, count, mpos_now() + SECOND / 20),
                 MP_TIMED_OUT);
    for (size_t i = 0; i < count; i += i < 20 || i > count - 20 ? 1 : 11) {
        many_kind kind = (many_kind)(i % MANY_KINDS);
        void *arguments[] = {(void *)(uintptr_t)kind, &all->couples[i]};
        HANDLE thread =
            CreateThread(NULL, 0, wake_up_later, arguments, 0, NULL);

        ok(mpos_wait(all->items, count, in_seconds(20)));
        check_only(all, i);
        cr_assert_eq(join_thread(thread), 0);
        quieten(kind, &all->couples[i]);
    }
}

Test(os_socket_win32, all_that_are_ready_are_told)
{
    enum { COUNT = 200 };
    static mpos_wait_item items[COUNT];

    for (size_t i = 0; i < COUNT; i++)
        items[i] = (mpos_wait_item){
            (mpos_handle)CreateEventW(NULL, FALSE, i % 3 == 0, NULL),
            MPOS_WAIT_HANDLE, false};
    ok(mpos_wait(items, COUNT, MPOS_FOREVER));
    for (size_t i = 0; i < COUNT; i++)
        cr_assert_eq(items[i].is_ready, i % 3 == 0);
    /* They are of those that are reset by having been waited for. */
    cr_assert_eq(mpos_wait(items, COUNT, 0), MP_TIMED_OUT);
    for (size_t i = 0; i < COUNT; i++)
        mpos_close(items[i].handle);
}

static DWORD WINAPI set_later(void *event)
{
    Sleep(50);
    return SetEvent(event) ? 0 : 1;
}

/* The last of them is watched by another thread. */
Test(os_socket_win32, event_that_resets_itself_is_told_once)
{
    enum { COUNT = 100 };
    static mpos_wait_item items[COUNT];

    for (size_t i = 0; i < COUNT; i++)
        items[i] = (mpos_wait_item){
            (mpos_handle)CreateEventW(NULL, FALSE, FALSE, NULL),
            MPOS_WAIT_HANDLE, false};
    for (size_t i = 0; i < COUNT; i += COUNT - 1) {
        HANDLE thread =
            CreateThread(NULL, 0, set_later, (HANDLE)items[i].handle, 0, NULL);

        ok(mpos_wait(items, COUNT, in_seconds(20)));
        cr_assert(items[i].is_ready);
        cr_assert_eq(join_thread(thread), 0);
        cr_assert_eq(mpos_wait(items, COUNT, 0), MP_TIMED_OUT);
    }
    for (size_t i = 0; i < COUNT; i++)
        mpos_close(items[i].handle);
}

/* -- Handles in other processes -------------------------------------------- */

static void tell_number(mpos_handle channel, uint64_t number)
{
    const mpos_bytes part = {&number, sizeof(number)};
    size_t written;

    ok(mpos_write(channel, &part, 1, &written));
    cr_assert_eq(written, sizeof(number));
}

static void hear_byte(mpos_handle handle, char expected)
{
    char byte = 0;
    size_t got = 0;

    cr_assert(is_ready(handle, MPOS_WAIT_READ, in_seconds(20)));
    ok(mpos_read(handle, &byte, 1, &got));
    cr_assert_eq(got, 1);
    cr_assert_eq(byte, expected);
}

/* A pipe's reader; the writer, *number there, the child alone has. */
static mpos_handle give_writer(const mpos_process *child, uint64_t *number)
{
    mpos_handle reader, writer;

    ok(mpos_pipe(&reader, &writer));
    ok(mpos_handle_give(child->pid, child->start_time, writer, number));
    mpos_close(writer);
    return reader;
}

Test(os_socket_win32, handle_is_given_to_a_process_that_runs)
{
    mpos_handle ours, theirs, reader;
    mpos_process child;
    uint64_t number = 0;

    ok(mpos_channel(&ours, &theirs, NULL));
    child = start("numbers", theirs);
    mpos_close(theirs);
    reader = give_writer(&child, &number);
    tell_number(ours, number);
    hear_byte(reader, 'x');
    hear_byte(ours, 'y');
    mpos_close(ours);
    cr_assert_eq(end_of(&child), 0);
    cr_assert(is_ready(reader, MPOS_WAIT_READ, in_seconds(20)));
    mpos_close(reader);
}

Test(os_socket_win32, handle_that_is_revoked_is_closed_there)
{
    mpos_process child = start("sleep", MPOS_NONE);
    uint64_t number = 0;
    mpos_handle reader = give_writer(&child, &number);

    cr_assert_not(is_ready(reader, MPOS_WAIT_READ, mpos_now() + SECOND / 20));
    mpos_handle_revoke(child.pid, child.start_time, number);
    cr_assert(is_ready(reader, MPOS_WAIT_READ, in_seconds(20)));
    mpos_close(reader);
    kill_and_reap(&child);
}

Test(os_socket_win32, handles_given_to_a_process_die_with_it)
{
    size_t before = support_open_handles();
    mpos_process child = start("sleep", MPOS_NONE);
    uint64_t number = 0;
    mpos_handle reader = give_writer(&child, &number);

    kill_and_reap(&child);
    cr_assert(is_ready(reader, MPOS_WAIT_READ, in_seconds(20)));
    mpos_close(reader);
    cr_assert_leq(support_open_handles(), before + 2); /* the spawn's own */
}

Test(os_socket_win32, nothing_is_given_to_a_process_that_has_ended)
{
    mpos_process child = start("sleep", MPOS_NONE);
    int64_t pid = child.pid;
    uint64_t start_time = child.start_time;
    mpos_handle reader, writer;
    uint64_t number = 4711;

    ok(mpos_pipe(&reader, &writer));
    cr_assert_eq(mpos_handle_give(pid, start_time + 1, writer, &number),
                 MP_ENOTFOUND);
    ok(mpos_send_signal(&child, MPOS_KILL));
    cr_assert(is_ready(child.sentinel, MPOS_WAIT_PROCESS, in_seconds(20)));
    cr_assert_eq(mpos_handle_give(pid, start_time, writer, &number),
                 MP_ENOTFOUND);
    kill_and_reap(&child);
    cr_assert_eq(mpos_handle_give(pid, start_time, writer, &number),
                 MP_ENOTFOUND);
    cr_assert_eq(number, 4711);
    mpos_handle_revoke(pid, start_time, number);
    mpos_close(reader);
    mpos_close(writer);
}
