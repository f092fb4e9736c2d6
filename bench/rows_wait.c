/* SPDX-License-Identifier: MIT */
/*
 * Waiting for many, of which one is busy. In wait.1000 the idle ones are
 * connections, each with its other end open; in scale.wait, sockets that nobody
 * can send to, as a process often may not have twice ten thousand descriptors.
 */
#include "bare.h"
#include "bench.h"
#include "stream.h"
#include "system.h"

#include <multiproc.h>

enum { SMALL = 64, IDLE = 1000, MOST = 10000, HANDLES_BESIDE = 100 };

static struct {
    int idle; /* the last one, after them, is busy */
    mp_wait_item items[MOST];
    intptr_t handles[MOST];
    mp_connection *near[IDLE];
    mp_connection *far[IDLE];
    mp_connection *busy_near, *busy_far;
    intptr_t busy; /* where to write so that it is */
} crowd;

/* -- Beginning and ending -------------------------------------------------- */

static void add_busy(void)
{
    mp_check(mp_pipe(&crowd.busy_near, &crowd.busy_far, NULL));
    crowd.items[crowd.idle] = mp_wait_connection(crowd.busy_near);
    mp_check(mp_connection_fileno(crowd.busy_near, &crowd.handles[crowd.idle]));
    mp_check(mp_connection_fileno(crowd.busy_far, &crowd.busy));
}

static void drop_busy(void)
{
    mp_check(mp_connection_close(crowd.busy_near));
    mp_check(mp_connection_close(crowd.busy_far));
}

static const char *open_connections(void)
{
    if (!system_allow_many(IDLE + HANDLES_BESIDE))
        return "not so many can be open";
    crowd.idle = IDLE;
    for (int i = 0; i < IDLE; i++) {
        mp_check(mp_pipe(&crowd.near[i], &crowd.far[i], NULL));
        crowd.items[i] = mp_wait_connection(crowd.near[i]);
        mp_check(mp_connection_fileno(crowd.near[i], &crowd.handles[i]));
    }
    add_busy();
    return stream_open_poll(crowd.handles, IDLE + 1) ? NULL
                                                     : "there is no poll()";
}

static void close_connections(void)
{
    for (int i = 0; i < IDLE; i++) {
        mp_check(mp_connection_close(crowd.near[i]));
        mp_check(mp_connection_close(crowd.far[i]));
    }
    drop_busy();
    stream_close_poll();
}

static const char *open_sockets(void)
{
    size_t idle = (size_t)bench_scale() - 1;

    crowd.idle = (int)idle;
    if (!system_allow_many((crowd.idle + 1) / 2 + HANDLES_BESIDE) ||
        !stream_open_idle(crowd.handles, idle))
        return "not so many can be open";
    for (size_t i = 0; i < idle; i++)
        crowd.items[i] = mp_wait_socket(crowd.handles[i]);
    add_busy();
    return NULL;
}

static void close_sockets(void)
{
    drop_busy();
    stream_close_idle(crowd.handles, (size_t)crowd.idle);
}

static const char *open_sockets_and_poll(void)
{
    const char *obstacle = open_sockets();

    if (obstacle != NULL)
        return obstacle;
    if (stream_open_poll(crowd.handles, (size_t)crowd.idle + 1))
        return NULL;
    close_sockets();
    return "there is no poll()";
}

static void close_sockets_and_poll(void)
{
    close_sockets();
    stream_close_poll();
}

static const char *open_sockets_and_set(void)
{
    const char *obstacle = open_sockets();

    if (obstacle != NULL)
        return obstacle;
    if (bare_open_set(crowd.handles, (size_t)crowd.idle + 1))
        return NULL;
    close_sockets();
    return "there is no epoll";
}

static void close_sockets_and_set(void)
{
    close_sockets();
    bare_close_set();
}

/* -- One sample ------------------------------------------------------------ */

static double wait_for_crowd(int batch)
{
    size_t count = (size_t)crowd.idle + 1;
    char data[SMALL] = "one of many";
    double began = system_now();

    for (int i = 0; i < batch; i++) {
        size_t size;

        mp_check(mp_connection_send_bytes(crowd.busy_far, data, SMALL));
        mp_check(mp_wait(crowd.items, count, MP_FOREVER));
        bench_require(crowd.items[crowd.idle].is_ready &&
                          (count == 1 || !crowd.items[0].is_ready),
                      "the busy one is ready");
        mp_check(mp_connection_recv_bytes_into(crowd.busy_near, data,
                                               sizeof(data), &size));
    }
    return system_now() - began;
}

static double wait_by_poll(int batch)
{
    char data[SMALL] = "one of many";
    double began = system_now();

    for (int i = 0; i < batch; i++)
        bench_require(stream_send_and_poll(crowd.busy, data, SMALL),
                      "the busy one is readable");
    return system_now() - began;
}

static double wait_by_set(int batch)
{
    char data[SMALL] = "one of many";
    double began = system_now();

    for (int i = 0; i < batch; i++)
        bench_require(bare_send_and_wait(crowd.busy, data, SMALL),
                      "the busy one is readable");
    return system_now() - began;
}

/* -- The rows -------------------------------------------------------------- */

#define POLL_ROW(number, often)                                           \
    {                                                                     \
        .name = "scale.wait.poll." #number, .unit = "us", .peer = "poll", \
        .scale = number, .batch = often, .begin = open_sockets_and_poll,  \
        .end = close_sockets_and_poll, .ours = wait_for_crowd,            \
        .theirs = wait_by_poll                                            \
    }
#define SET_ROW(number, often)                                              \
    {                                                                       \
        .name = "scale.wait.epoll." #number, .unit = "us", .peer = "epoll", \
        .scale = number, .batch = often, .begin = open_sockets_and_set,     \
        .end = close_sockets_and_set, .ours = wait_for_crowd,               \
        .theirs = wait_by_set                                               \
    }
#define PYTHON_ROW(number, often, python_often)                              \
    {                                                                        \
        .name = "scale.wait.python." #number, .unit = "us", .scale = number, \
        .samples = 5, .batch = often, .peer_batch = python_often,            \
        .begin = open_sockets, .end = close_sockets, .ours = wait_for_crowd, \
        .python = "wait:" #number                                            \
    }

static const bench_row rows[] = {
    {.name = "wait.1000",
     .unit = "us",
     .peer = "poll",
     .goal = 2,
     .samples = 21,
     .batch = 200,
     .begin = open_connections,
     .end = close_connections,
     .ours = wait_for_crowd,
     .theirs = wait_by_poll},
    POLL_ROW(1, 2000),
    POLL_ROW(10, 2000),
    POLL_ROW(100, 1000),
    POLL_ROW(1000, 200),
    POLL_ROW(10000, 20),
    SET_ROW(1, 2000),
    SET_ROW(10, 2000),
    SET_ROW(100, 1000),
    SET_ROW(1000, 200),
    SET_ROW(10000, 20),
    PYTHON_ROW(1, 2000, 1000),
    PYTHON_ROW(10, 2000, 500),
    PYTHON_ROW(100, 1000, 100),
    PYTHON_ROW(1000, 200, 20),
    PYTHON_ROW(10000, 20, 4),
};

const bench_table bench_wait_rows = {rows, sizeof(rows) / sizeof(rows[0])};
