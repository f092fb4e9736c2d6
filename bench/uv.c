/* SPDX-License-Identifier: MIT */
/* libuv: processes, and messages through a pipe of its own, on both sides. */
#include "peer.h"

#include <uv.h>

#include <string.h>

static const char *version(void)
{
    return uv_version_string();
}

/* -- Processes ------------------------------------------------------------- */

static int exit_code;

static void note_exit(uv_process_t *process, int64_t status, int signal)
{
    exit_code = signal == 0 ? (int)status : -1;
    uv_close((uv_handle_t *)process, NULL);
}

/* libuv takes char **, and changes nothing. */
static bool start(uv_process_t *process, const char *program,
                  const char *argument, uv_stdio_container_t *streams,
                  int count)
{
    char *arguments[] = {(char *)(size_t)program, (char *)(size_t)argument,
                         NULL};
    uv_process_options_t options = {
        .file = program,
        .args = arguments,
        .exit_cb = note_exit,
        .stdio = streams,
        .stdio_count = count,
    };

    return uv_spawn(uv_default_loop(), process, &options) == 0;
}

static int spawn(const char *program, const char *argument)
{
    uv_stdio_container_t streams[3];
    uv_process_t process;

    for (int i = 0; i < 3; i++)
        streams[i] =
            (uv_stdio_container_t){.flags = UV_INHERIT_FD, .data = {.fd = i}};
    exit_code = -1;
    if (!start(&process, program, argument, streams, 3))
        return -1;
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    return exit_code;
}

/* -- There and back -------------------------------------------------------- */

static uv_pipe_t end;
static uv_process_t partner;
static char room[4096];

static struct {
    char *place; /* of the answer */
    size_t missing;
} awaited;

static void give_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)handle;
    (void)suggested;
    *buffer = uv_buf_init(room, sizeof(room));
}

static void take_answer(uv_stream_t *stream, ssize_t got, const uv_buf_t *data)
{
    size_t size = got > 0 ? (size_t)got : 0;

    (void)stream;
    if (size > awaited.missing)
        size = awaited.missing;
    memcpy(awaited.place, data->base, size);
    awaited.place += size;
    awaited.missing -= size;
}

static bool echo_open(const char *program)
{
    uv_stdio_container_t stream = {.flags = (uv_stdio_flags)(UV_CREATE_PIPE |
                                                             UV_READABLE_PIPE |
                                                             UV_WRITABLE_PIPE),
                                   .data = {.stream = (uv_stream_t *)&end}};

    return uv_pipe_init(uv_default_loop(), &end, 0) == 0 &&
           start(&partner, program, PEER_ECHO, &stream, 1) &&
           uv_read_start((uv_stream_t *)&end, give_room, take_answer) == 0;
}

static bool echo_exchange(const void *message, void *answer, size_t size)
{
    uv_buf_t data = uv_buf_init((char *)(size_t)message, (unsigned)size);

    awaited.place = answer;
    awaited.missing = size;
    if (uv_try_write((uv_stream_t *)&end, &data, 1) != (int)size)
        return false;
    while (awaited.missing > 0)
        uv_run(uv_default_loop(), UV_RUN_ONCE);
    return true;
}

static void echo_close(void)
{
    uv_close((uv_handle_t *)&end, NULL);
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}

/* The other side. A message is so small that it is written at once. */
static void send_back(uv_stream_t *stream, ssize_t got, const uv_buf_t *data)
{
    uv_buf_t back = uv_buf_init(data->base, got > 0 ? (unsigned)got : 0);

    if (got < 0 || uv_try_write(stream, &back, 1) != (int)got)
        uv_close((uv_handle_t *)stream, NULL);
}

static int echo_run(void)
{
    if (uv_pipe_init(uv_default_loop(), &end, 0) != 0 ||
        uv_pipe_open(&end, 0) != 0 ||
        uv_read_start((uv_stream_t *)&end, give_room, send_back) != 0)
        return 1;
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    return 0;
}

const bench_peer peer_uv = {
    .version = version,
    .spawn = spawn,
    .echo_open = echo_open,
    .echo_exchange = echo_exchange,
    .echo_close = echo_close,
    .echo_run = echo_run,
};
