/* SPDX-License-Identifier: MIT */
/* stream.h by sockets, forked processes, and poll(). */
#include "stream.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int pour_end = -1;
static pid_t sink_pid;

static struct pollfd *polled;
static size_t polled_count;

static struct sockaddr_un door = {.sun_family = AF_UNIX};
static pid_t doorman_pid;

/* -- Pouring --------------------------------------------------------------- */

/* First comes how much there will be; at its end there is a byte back. */
static int swallow(int end, size_t piece)
{
    char *data = malloc(piece);
    uint64_t left;

    if (data == NULL)
        return 1;
    while (read(end, &left, sizeof(left)) == (ssize_t)sizeof(left)) {
        while (left > 0) {
            ssize_t got = read(end, data, left < piece ? (size_t)left : piece);

            if (got <= 0)
                return 1;
            left -= (uint64_t)got;
        }
        if (write(end, data, 1) != 1)
            return 1;
    }
    free(data);
    return 0;
}

bool stream_open_sink(size_t piece)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        return false;
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    sink_pid = fork();
    if (sink_pid == 0) {
        close(ends[0]);
        _exit(swallow(ends[1], piece));
    }
    close(ends[1]);
    pour_end = ends[0];
    return sink_pid > 0;
}

void stream_close_sink(void)
{
    close(pour_end);
    waitpid(sink_pid, NULL, 0);
}

static bool write_all(const char *data, size_t size)
{
    while (size > 0) {
        ssize_t done = write(pour_end, data, size);

        if (done <= 0)
            return false;
        data += done;
        size -= (size_t)done;
    }
    return true;
}

bool stream_pour(const void *data, size_t piece, int count)
{
    uint64_t size = (uint64_t)piece * (uint64_t)count;
    char byte;

    if (!write_all((const char *)&size, sizeof(size)))
        return false;
    for (int i = 0; i < count; i++)
        if (!write_all(data, piece))
            return false;
    return read(pour_end, &byte, 1) == 1;
}

/* -- Polling --------------------------------------------------------------- */

/* Sockets that nobody can send to: one descriptor for each. */
bool stream_open_idle(intptr_t *handles, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        handles[i] = socket(AF_UNIX, SOCK_DGRAM, 0);
        if (handles[i] >= 0)
            continue;
        stream_close_idle(handles, i);
        return false;
    }
    return true;
}

void stream_close_idle(const intptr_t *handles, size_t count)
{
    for (size_t i = 0; i < count; i++)
        close((int)handles[i]);
}

bool stream_open_poll(const intptr_t *handles, size_t count)
{
    polled = calloc(count, sizeof(*polled));
    if (polled == NULL)
        return false;
    for (size_t i = 0; i < count; i++)
        polled[i] = (struct pollfd){.fd = (int)handles[i], .events = POLLIN};
    polled_count = count;
    return true;
}

void stream_close_poll(void)
{
    free(polled);
    polled = NULL;
}

bool stream_send_and_poll(intptr_t to, const void *data, size_t size)
{
    const struct pollfd *last = &polled[polled_count - 1];
    char back[4096];

    return write((int)to, data, size) == (ssize_t)size &&
           poll(polled, (nfds_t)polled_count, -1) == 1 &&
           (last->revents & POLLIN) != 0 &&
           read(last->fd, back, sizeof(back)) == (ssize_t)size;
}

/* -- Knocking -------------------------------------------------------------- */

/* Challenge, answer and challenge, verdict and answer, verdict. */
enum { TURNS = 4 };
static const size_t turns[TURNS] = {63, 107, 57, 13};

/* One side sends in the even turns, the other in the odd ones. */
static bool take_turns(int end, int mine)
{
    char data[256] = {0};

    for (int i = 0; i < TURNS; i++) {
        ssize_t done = i % 2 == mine ? write(end, data, turns[i])
                                     : read(end, data, turns[i]);

        if (done != (ssize_t)turns[i])
            return false;
    }
    return true;
}

static int keep_door(int listener)
{
    int end;

    while ((end = accept(listener, NULL, NULL)) >= 0) {
        if (!take_turns(end, 0))
            return 1;
        close(end);
    }
    return 1;
}

bool stream_open_door(void)
{
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    const struct sockaddr *address = (const struct sockaddr *)&door;

    snprintf(door.sun_path, sizeof(door.sun_path), "/tmp/bench-%d",
             (int)getpid());
    if (listener < 0 || bind(listener, address, sizeof(door)) != 0 ||
        listen(listener, 128) != 0)
        return false;
    doorman_pid = fork();
    if (doorman_pid == 0)
        _exit(keep_door(listener));
    close(listener);
    return doorman_pid > 0;
}

void stream_close_door(void)
{
    kill(doorman_pid, SIGTERM);
    waitpid(doorman_pid, NULL, 0);
    unlink(door.sun_path);
}

bool stream_knock(void)
{
    int end = socket(AF_UNIX, SOCK_STREAM, 0);
    bool is_done;

    if (end < 0)
        return false;
    is_done = connect(end, (const struct sockaddr *)&door, sizeof(door)) == 0 &&
              take_turns(end, 1);
    close(end);
    return is_done;
}
