/* SPDX-License-Identifier: MIT */
/*
 * Queues as tests write them down, and a peer: another process that does to a
 * queue what it is told, so that each behaviour is seen from two of them.
 */
#ifndef SUPPORT_QUEUE_H
#define SUPPORT_QUEUE_H

#include "expect.h"
#include "methods.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Seconds: as good as for ever, and long enough to see that nothing comes. */
enum { SUPPORT_PATIENCE = 20 };
#define SUPPORT_MOMENT 0.05

/* -- In this process ------------------------------------------------------- */

static inline mp_queue *make_queue_with(size_t maxsize,
                                        mp_queue_options options)
{
    mp_queue *queue = NULL;

    ok(mp_queue_create(&queue, maxsize, &options));
    cr_assert_not_null(queue);
    return queue;
}

static inline mp_queue *make_queue(size_t maxsize)
{
    return make_queue_with(maxsize, (mp_queue_options){.order = MP_QUEUE_FIFO});
}

/* There is room for it. */
#define put(queue, item) ok(mp_queue_put((queue), MP_BOX(item), 0))
/* The next one, by its repr. */
#define gets(queue, expected) gets_at((queue), (expected), __LINE__)

static inline void gets_at(mp_queue *queue, const char *expected, int line)
{
    mp_obj *item = NULL;

    ok_at(mp_queue_get(queue, 0, &item), "get", line);
    is_repr_at(item, expected, line);
}

/* The same, if the dead have to be found first. */
#define gets_in_time(queue, expected) \
    gets_in_time_at((queue), (expected), __LINE__)

static inline void gets_in_time_at(mp_queue *queue, const char *expected,
                                   int line)
{
    mp_obj *item = NULL;

    ok_at(mp_queue_get(queue, SUPPORT_PATIENCE, &item), "get", line);
    is_repr_at(item, expected, line);
}

/* An outcome that is no failure. */
#define comes_to(expression, expected) \
    comes_to_at((expression), (expected), #expression, __LINE__)

static inline void comes_to_at(mp_error err, mp_error expected,
                               const char *what, int line)
{
    cr_assert_eq(err, expected, "line %d, %s: %s, not %s: %s", line, what,
                 mp_error_name(err), mp_error_name(expected),
                 mp_error_message());
}

#define is_drained(queue) is_drained_at((queue), __LINE__)

static inline void is_drained_at(mp_queue *queue, int line)
{
    mp_obj *item = NULL;

    comes_to_at(mp_queue_get_nowait(queue, &item), MP_EMPTY, "get", line);
    cr_assert_null(item, "line %d", line);
    cr_assert_eq(mp_queue_qsize(queue), 0U, "line %d", line);
    cr_assert(mp_queue_empty(queue), "line %d", line);
}

/* -- In a target: no outcome but success will do --------------------------- */

#define must(expression) must_at((expression), #expression, __LINE__)

static inline void must_at(mp_error err, const char *what, int line)
{
    if (err == MP_OK)
        return;
    fprintf(stderr, "child, line %d, %s: %s: %s\n", line, what,
            mp_error_name(err), mp_error_message());
    mp_exit(1);
}

static inline int64_t must_get_int(mp_queue *queue)
{
    mp_obj *item = NULL;
    int64_t value = 0;

    must(mp_queue_get(queue, SUPPORT_PATIENCE, &item));
    must(mp_obj_as_int(item, &value));
    mp_obj_unref(item);
    return value;
}

/* (queue, who, count): puts (who, 0), (who, 1) ... */
static inline int produce(mp_args *args)
{
    mp_queue *queue = mp_arg_queue(args, 0);
    int64_t who = mp_arg_int(args, 1);
    int64_t count = mp_arg_int(args, 2);

    for (int64_t i = 0; i < count; i++)
        must(mp_queue_put(queue, MP_TUPLE(who, i), SUPPORT_PATIENCE));
    return 0;
}

/* -- The peer -------------------------------------------------------------- */

typedef enum peer_order {
    PEER_PUT,
    PEER_GET,
    PEER_PUT_FRONT,
    PEER_GET_BACK,
    PEER_PUT_BYTES,
    PEER_GET_BYTES,
    PEER_RESERVE, /* as many bytes as the item says; writes them */
    PEER_PEEK,    /* takes an item of bytes, and says its size */
    PEER_COUNTS,  /* (qsize, empty, full) */
    PEER_DELIVERIES,
    PEER_TASK_DONE,
    PEER_JOIN,
    PEER_SHUTDOWN, /* the item says whether at once */
    PEER_CLOSE,
} peer_order;

static inline mp_error peer_get_bytes(mp_queue *queue, double timeout,
                                      mp_obj **answer)
{
    void *data = NULL;
    size_t size = 0;
    mp_error err = mp_queue_get_bytes(queue, timeout, &data, &size);

    if (err == MP_OK)
        *answer = mp_obj_bytes(data, size);
    mp_free(data);
    return err;
}

static inline mp_error peer_reserve(mp_queue *queue, const mp_obj *item)
{
    mp_queue_slot slot;
    int64_t size = 0;
    mp_error err;

    must(mp_obj_as_int(item, &size));
    err = mp_queue_reserve(queue, (size_t)size, &slot);
    if (err == MP_OK)
        memset(slot.data, 0x5a, (size_t)size);
    return err;
}

static inline mp_error peer_peek(mp_queue *queue, double timeout,
                                 mp_obj **answer)
{
    mp_queue_slot slot;
    mp_error err = mp_queue_peek(queue, timeout, &slot);

    if (err == MP_OK)
        *answer = mp_obj_int((int64_t)slot.size);
    return err;
}

static inline mp_error peer_put_bytes(mp_queue *queue, const mp_obj *item,
                                      double timeout)
{
    const void *data;
    size_t size;

    must(mp_obj_as_bytes(item, &data, &size));
    return mp_queue_put_bytes(queue, data, size, timeout);
}

static inline bool peer_is_true(const mp_obj *item)
{
    bool value = false;

    must(mp_obj_as_bool(item, &value));
    return value;
}

/* item is borrowed. */
static inline mp_error peer_obey(mp_queue *queue, peer_order order,
                                 const mp_obj *item, double timeout,
                                 mp_obj **answer)
{
    switch (order) {
    case PEER_PUT:
        return mp_queue_put(queue, mp_obj_ref(item), timeout);
    case PEER_GET:
        return mp_queue_get(queue, timeout, answer);
    case PEER_PUT_FRONT:
        return mp_queue_put_front(queue, mp_obj_ref(item), timeout);
    case PEER_GET_BACK:
        return mp_queue_get_back(queue, timeout, answer);
    case PEER_PUT_BYTES:
        return peer_put_bytes(queue, item, timeout);
    case PEER_GET_BYTES:
        return peer_get_bytes(queue, timeout, answer);
    case PEER_RESERVE:
        return peer_reserve(queue, item);
    case PEER_PEEK:
        return peer_peek(queue, timeout, answer);
    case PEER_COUNTS:
        *answer = MP_TUPLE(mp_queue_qsize(queue), mp_queue_empty(queue),
                           mp_queue_full(queue));
        return MP_OK;
    case PEER_DELIVERIES:
        *answer = mp_obj_int((int64_t)mp_queue_deliveries(queue));
        return MP_OK;
    case PEER_TASK_DONE:
        return mp_queue_task_done(queue);
    case PEER_JOIN:
        return mp_queue_join(queue, timeout);
    case PEER_SHUTDOWN:
        return mp_queue_shutdown(queue, peer_is_true(item));
    case PEER_CLOSE:
        return mp_queue_close(queue);
    }
    return MP_EINVAL;
}

/* Until its orders end: (queue, connection). */
static int serve_queue(mp_args *args)
{
    mp_queue *queue = mp_arg_queue(args, 0);
    mp_connection *orders = mp_arg_connection(args, 1);
    mp_obj *told;

    while (mp_connection_recv(orders, &told) == MP_OK) {
        const mp_obj *part, *item;
        mp_obj *answer = NULL;
        int64_t order = 0;
        double timeout = 0;
        mp_error err;

        must(mp_obj_item(told, 0, &part));
        must(mp_obj_as_int(part, &order));
        must(mp_obj_item(told, 1, &item));
        must(mp_obj_item(told, 2, &part));
        must(mp_obj_as_float(part, &timeout));
        err = peer_obey(queue, (peer_order)order, item, timeout, &answer);
        must(mp_connection_send(
            orders,
            MP_TUPLE((int)err, answer != NULL ? answer : mp_obj_none())));
        mp_obj_unref(told);
    }
    return 0;
}

typedef struct peer {
    mp_process *process;
    mp_connection *orders;
} peer;

static inline peer begin_peer(mp_start_method method, mp_queue *queue)
{
    mp_connection *theirs = NULL;
    peer it = {NULL, NULL};

    ok(mp_pipe(&it.orders, &theirs, NULL));
    it.process =
        support_start_daemon(method, serve_queue, MP_ARGS(queue, theirs));
    ok(mp_connection_close(theirs));
    return it;
}

/* Says it, and does not wait; item is consumed. */
static inline void tell(peer *it, peer_order order, mp_obj *item,
                        double timeout)
{
    ok(mp_connection_send(it->orders, MP_TUPLE((int)order, item, timeout)));
}

/* It is still at it. */
static inline void is_waiting(peer *it)
{
    comes_to(mp_connection_poll(it->orders, SUPPORT_MOMENT), MP_TIMED_OUT);
}

/* What it is told to does not come to an end yet. */
static inline void let_it_wait(peer *it, peer_order order, mp_obj *item)
{
    tell(it, order, item, SUPPORT_PATIENCE);
    is_waiting(it);
}

/* What came of it; a new reference. */
static inline mp_error hear_obj(peer *it, mp_obj **out)
{
    mp_obj *answer = NULL;
    const mp_obj *part;
    int64_t err = 0;

    ok(mp_connection_poll(it->orders, SUPPORT_PATIENCE));
    ok(mp_connection_recv(it->orders, &answer));
    ok(mp_obj_item(answer, 0, &part));
    ok(mp_obj_as_int(part, &err));
    ok(mp_obj_item(answer, 1, &part));
    *out = mp_obj_ref(part);
    mp_obj_unref(answer);
    return (mp_error)err;
}

static inline mp_error hear(peer *it)
{
    mp_obj *answer = NULL;
    mp_error err = hear_obj(it, &answer);

    mp_obj_unref(answer);
    return err;
}

static inline mp_error ask(peer *it, peer_order order, mp_obj *item,
                           double timeout)
{
    tell(it, order, item, timeout);
    return hear(it);
}

/* It has succeeded, and this is the answer. */
#define answers(it, expected) answers_at((it), (expected), __LINE__)

static inline void answers_at(peer *it, const char *expected, int line)
{
    mp_obj *answer = NULL;

    ok_at(hear_obj(it, &answer), "the peer", line);
    is_repr_at(answer, expected, line);
}

#define they_put(it, item) ok(ask((it), PEER_PUT, MP_BOX(item), 0))
#define they_get(it, expected) they_get_at((it), (expected), __LINE__)

static inline void they_get_at(peer *it, const char *expected, int line)
{
    tell(it, PEER_GET, MP_NONE, 0);
    answers_at(it, expected, line);
}

/* "(2, False, True)" */
#define they_count(it, expected) they_count_at((it), (expected), __LINE__)

static inline void they_count_at(peer *it, const char *expected, int line)
{
    tell(it, PEER_COUNTS, MP_NONE, 0);
    answers_at(it, expected, line);
}

static inline void end_peer(peer *it)
{
    ok(mp_connection_close(it->orders));
    cr_assert_eq(support_finish(it->process), 0);
}

static inline void kill_peer(peer *it)
{
    ok(mp_process_kill(it->process));
    cr_assert_eq(support_finish(it->process), -9);
    ok(mp_connection_close(it->orders));
}

#endif
