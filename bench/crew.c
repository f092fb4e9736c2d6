/* SPDX-License-Identifier: MIT */
/* Workers are forked, so that peers' queues reach them. */
#include "crew.h"

#include "bare.h"
#include "bench.h"
#include "boost.h"
#include "child.h"
#include "peer.h"
#include "system.h"

#include <stdlib.h>
#include <string.h>

/* In shared memory. */
static struct shared {
    _Atomic int ready;
    _Atomic bool has_begun;
    double began[CREW_MOST];
    double ended[CREW_MOST];
} * shared;

crew_goods crew_goods_here;

static const crew *at_work;
static bool has_boost, has_mq; /* beside ours */

/* -- Beginning and ending -------------------------------------------------- */

const char *crew_open(size_t size, size_t waiting)
{
    crew_goods *goods = &crew_goods_here;

    shared = bare_shared(sizeof(*shared));
    if (shared == NULL)
        return "there is no fork";
    goods->piece = malloc(size);
    goods->size = size;
    bench_require(goods->piece != NULL, "memory");
    memset(goods->piece, 'x', size);
    mp_check(mp_queue_create(&goods->queue, waiting, NULL));
    return NULL;
}

const char *crew_open_boost(size_t size, size_t waiting)
{
    has_boost = boost_queue_open(size, waiting);
    return has_boost ? crew_open(size, waiting) : "there is no Boost";
}

/* Often only 10 items fit that; then no more fit into ours. */
const char *crew_open_mq(size_t size, size_t waiting)
{
    if (peer_need_mq() != NULL)
        return peer_need_mq();
    waiting = peer_mq.queues_open(size, waiting);
    has_mq = waiting > 0;
    return has_mq ? crew_open(size, waiting) : "no mq_open() of this size";
}

void crew_close(void)
{
    crew_goods *goods = &crew_goods_here;

    bench_require(mp_queue_empty(goods->queue), "nothing is left");
    mp_check(mp_queue_close(goods->queue));
    free(goods->piece);
    *goods = (crew_goods){.queue = NULL};
    bare_unshare(shared, sizeof(*shared));
    if (has_boost)
        boost_queue_close();
    if (has_mq)
        peer_mq.queues_close();
    has_boost = has_mq = false;
}

/* -- One sample ------------------------------------------------------------ */

static int work(mp_args *args)
{
    int64_t place = mp_arg_int(args, 0), count = mp_arg_int(args, 1);

    shared->ready++;
    while (!shared->has_begun)
        mp_sleep(0.0002);
    shared->began[place] = system_now();
    if (place < at_work->puts)
        at_work->put(count);
    else
        at_work->get(count);
    shared->ended[place] = system_now();
    return 0;
}

static mp_process *start(int place, int count)
{
    int each = count / (place < at_work->puts ? at_work->puts : at_work->gets);

    return child_start(
        MP_START_FORK, work,
        MP_ARGS(place, each, mp_obj_queue(crew_goods_here.queue)));
}

/* Of the same number of items each: who took longest was the slowest. */
static double judge(int processes)
{
    double first = shared->began[0], last = shared->ended[0];
    double shortest = last - first, longest = shortest;

    for (int i = 1; i < processes; i++) {
        double began = shared->began[i], ended = shared->ended[i];

        first = began < first ? began : first;
        last = ended > last ? ended : last;
        shortest = ended - began < shortest ? ended - began : shortest;
        longest = ended - began > longest ? ended - began : longest;
    }
    if (processes > 2)
        bench_note_fairness(shortest / longest);
    return last - first;
}

double crew_run(const crew *who, int count)
{
    mp_process *workers[CREW_MOST];
    int processes = who->puts + who->gets;

    if (count < processes) /* a first look */
        count = processes;
    at_work = who;
    shared->ready = 0;
    shared->has_begun = false;
    for (int i = 0; i < processes; i++)
        workers[i] = start(i, count);
    while (shared->ready < processes)
        mp_sleep(0.0005);
    shared->has_begun = true;
    for (int i = 0; i < processes; i++)
        child_end(workers[i]);
    return judge(processes);
}

/* -- Jobs ------------------------------------------------------------------ */

static char *make_room(void)
{
    char *room = malloc(crew_goods_here.size);

    bench_require(room != NULL, "memory");
    return room;
}

static void check(char *room, size_t size)
{
    bench_require(size == crew_goods_here.size &&
                      memcmp(room, crew_goods_here.piece, size) == 0,
                  "what was put is got");
    free(room);
}

void crew_put(int64_t count)
{
    const crew_goods *goods = &crew_goods_here;

    for (; count > 0; count--)
        mp_check(mp_queue_put_bytes(goods->queue, goods->piece, goods->size,
                                    MP_FOREVER));
}

void crew_get(int64_t count)
{
    const crew_goods *goods = &crew_goods_here;
    char *room = make_room();
    size_t size = 0;

    for (; count > 0; count--)
        mp_check(mp_queue_get_bytes_into(goods->queue, room, goods->size, &size,
                                         MP_FOREVER));
    check(room, size);
}

void crew_put_and_get(int64_t count)
{
    const crew_goods *goods = &crew_goods_here;
    char *room = make_room();
    size_t size = 0;

    for (; count > 0; count--) {
        mp_check(mp_queue_put_bytes(goods->queue, goods->piece, goods->size,
                                    MP_FOREVER));
        mp_check(mp_queue_get_bytes_into(goods->queue, room, goods->size, &size,
                                         MP_FOREVER));
    }
    check(room, size);
}

void crew_put_boost(int64_t count)
{
    for (; count > 0; count--)
        boost_queue_put(crew_goods_here.piece, crew_goods_here.size);
}

void crew_get_boost(int64_t count)
{
    char *room = make_room();
    size_t size = 0;

    for (; count > 0; count--)
        size = boost_queue_get(room, crew_goods_here.size);
    check(room, size);
}

void crew_put_and_get_boost(int64_t count)
{
    char *room = make_room();
    size_t size = 0;

    for (; count > 0; count--) {
        boost_queue_put(crew_goods_here.piece, crew_goods_here.size);
        size = boost_queue_get(room, crew_goods_here.size);
    }
    check(room, size);
}

static void put_one_mq(void)
{
    bench_require(
        peer_mq.queue_put(0, crew_goods_here.piece, crew_goods_here.size),
        "mq_send()");
}

void crew_put_mq(int64_t count)
{
    for (; count > 0; count--)
        put_one_mq();
}

void crew_get_mq(int64_t count)
{
    char *room = make_room();
    size_t size = 0;

    for (; count > 0; count--)
        size = peer_mq.queue_get(0, room, crew_goods_here.size);
    check(room, size);
}

void crew_put_and_get_mq(int64_t count)
{
    char *room = make_room();
    size_t size = 0;

    for (; count > 0; count--) {
        put_one_mq();
        size = peer_mq.queue_get(0, room, crew_goods_here.size);
    }
    check(room, size);
}
