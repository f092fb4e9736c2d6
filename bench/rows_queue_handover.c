/* SPDX-License-Identifier: MIT */
/* There and back through two queues, on one processor. */
#include "bare.h"
#include "bench.h"
#include "child.h"
#include "peer.h"
#include "system.h"

#include <multiproc.h>

enum { SMALL = 64 }; /* bytes */

/* In shared memory; the other processes are forked. */
static struct shared {
    _Atomic uint32_t words[2]; /* of a bare ping-pong */
    bool is_over;
} * shared;

static mp_queue *queues[2];
static mp_process *ours, *theirs;

static int answer_bare(mp_args *args)
{
    (void)args;
    bare_answer(shared->words, &shared->is_over);
    return 0;
}

static int answer(mp_args *args)
{
    mp_queue *in = mp_arg_queue(args, 0), *out = mp_arg_queue(args, 1);
    char bytes[SMALL];
    size_t size;

    while (mp_queue_get_bytes_into(in, bytes, SMALL, &size, MP_FOREVER) ==
           MP_OK)
        mp_check(mp_queue_put_bytes(out, bytes, size, MP_FOREVER));
    return 0;
}

static double play(int batch)
{
    char bytes[SMALL] = "there and back again";
    size_t size = 0;
    double began = system_now();

    for (int i = 0; i < batch; i++) {
        mp_check(mp_queue_put_bytes(queues[0], bytes, SMALL, MP_FOREVER));
        mp_check(mp_queue_get_bytes_into(queues[1], bytes, SMALL, &size,
                                         MP_FOREVER));
    }
    began = system_now() - began;
    bench_require(size == SMALL, "what was put comes back");
    return began;
}

static double play_bare(int batch)
{
    double began = system_now();

    bare_play(shared->words, batch);
    return system_now() - began;
}

/* By queues of POSIX; a message of one byte is the end. */
static int answer_mq(mp_args *args)
{
    char bytes[SMALL];
    size_t size;

    (void)args;
    while ((size = peer_mq.queue_get(0, bytes, SMALL)) > 1)
        bench_require(peer_mq.queue_put(1, bytes, size), "mq_send()");
    return 0;
}

static double play_mq(int batch)
{
    char bytes[SMALL] = "there and back again";
    size_t size = 0;
    double began = system_now();

    for (int i = 0; i < batch; i++) {
        bench_require(peer_mq.queue_put(0, bytes, SMALL), "mq_send()");
        size = peer_mq.queue_get(1, bytes, SMALL);
    }
    began = system_now() - began;
    bench_require(size == SMALL, "what was put comes back");
    return began;
}

/* -- Beginning and ending -------------------------------------------------- */

static const char *open_game(mp_function opponent)
{
    shared = bare_shared(sizeof(*shared));
    if (shared == NULL)
        return "there is no futex";
    bare_stay(true);
    mp_check(mp_queue_create(&queues[0], 0, NULL));
    mp_check(mp_queue_create(&queues[1], 0, NULL));
    theirs = child_start(MP_START_FORK, opponent, MP_ARGS());
    ours = child_start(MP_START_FORK, answer, MP_ARGS(queues[0], queues[1]));
    return NULL;
}

static const char *open_bare(void)
{
    return open_game(answer_bare);
}

static const char *open_mq(void)
{
    if (peer_need_mq() != NULL)
        return peer_need_mq();
    if (peer_mq.queues_open(SMALL, 1) == 0)
        return "no mq_open() of this size";
    return open_game(answer_mq);
}

static void close_game(void)
{
    mp_check(mp_queue_shutdown(queues[0], false));
    child_end(theirs);
    child_end(ours);
    mp_check(mp_queue_close(queues[0]));
    mp_check(mp_queue_close(queues[1]));
    bare_unshare(shared, sizeof(*shared));
    bare_stay(false);
}

static void close_bare(void)
{
    shared->is_over = true;
    bare_set(&shared->words[0]);
    close_game();
}

static void close_mq(void)
{
    bench_require(peer_mq.queue_put(0, "", 1), "mq_send()");
    close_game();
    peer_mq.queues_close();
}

static const bench_row rows[] = {
    {.name = "queue.handover",
     .unit = "us",
     .peer = "futex",
     .goal = 1.3,
     .samples = 31,
     .batch = 1000,
     .begin = open_bare,
     .end = close_bare,
     .ours = play,
     .theirs = play_bare},
    {.name = "queue.handover.mq",
     .unit = "us",
     .peer = "POSIX mq",
     .samples = 31,
     .batch = 1000,
     .begin = open_mq,
     .end = close_mq,
     .ours = play,
     .theirs = play_mq},
};

const bench_table bench_queue_handover_rows = {rows,
                                               sizeof(rows) / sizeof(rows[0])};
