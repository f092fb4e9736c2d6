/* SPDX-License-Identifier: MIT */
/*
 * A Lock or an RLock, whichever is tested, and other processes and threads
 * that do with it what they are told, one letter each:
 * 'a' acquire, waiting for long; 't' only try; 'r' release; 'l' is it locked;
 * 'c' close; 'x' end normally.
 */
#ifndef SUPPORT_SERVED_H
#define SUPPORT_SERVED_H

#include "clock.h"
#include "expect.h"
#include "methods.h"

#include "os.h"

enum { SUPPORT_LONG = 20 }; /* seconds, as good as for ever */

typedef struct any_lock {
    mp_lock *lock; /* one of them */
    mp_rlock *rlock;
} any_lock;

static inline any_lock make_any(bool is_rlock)
{
    any_lock any = {NULL, NULL};

    if (is_rlock)
        ok(mp_rlock_create(&any.rlock));
    else
        ok(mp_lock_create(&any.lock));
    return any;
}

static inline mp_obj *box_any(any_lock any)
{
    return any.lock != NULL ? mp_obj_lock(any.lock) : mp_obj_rlock(any.rlock);
}

static inline any_lock any_of(const mp_obj *obj)
{
    any_lock any = {NULL, NULL};

    if (mp_obj_as_lock(obj, &any.lock) != MP_OK)
        mp_check(mp_obj_as_rlock(obj, &any.rlock));
    return any;
}

static inline mp_error acquire_any(any_lock any, double timeout)
{
    return any.lock != NULL ? mp_lock_acquire(any.lock, timeout)
                            : mp_rlock_acquire(any.rlock, timeout);
}

static inline mp_error release_any(any_lock any)
{
    return any.lock != NULL ? mp_lock_release(any.lock)
                            : mp_rlock_release(any.rlock);
}

static inline bool is_any_locked(any_lock any)
{
    return any.lock != NULL ? mp_lock_is_locked(any.lock)
                            : mp_rlock_is_locked(any.rlock);
}

static inline mp_error close_any(any_lock any)
{
    return any.lock != NULL ? mp_lock_close(any.lock)
                            : mp_rlock_close(any.rlock);
}

static inline mp_error obey(any_lock any, char order)
{
    switch (order) {
    case 'a':
        return acquire_any(any, SUPPORT_LONG);
    case 't':
        return acquire_any(any, 0);
    case 'r':
        return release_any(any);
    case 'l':
        return is_any_locked(any) ? MP_PENDING : MP_OK;
    case 'c':
        return close_any(any);
    default:
        return MP_EINVAL;
    }
}

/* -- Processes ------------------------------------------------------------- */

/* A target: (lock, connection). */
static int serve(mp_args *args)
{
    any_lock any = any_of(mp_arg_obj(args, 0));
    mp_connection *orders = mp_arg_connection(args, 1);
    char order;
    size_t size;

    while (mp_connection_recv_bytes_into(orders, &order, 1, &size) == MP_OK &&
           order != 'x') {
        int32_t result = (int32_t)obey(any, order);
        if (mp_connection_send_bytes(orders, &result, sizeof(result)) != MP_OK)
            return 1;
    }
    return 0;
}

typedef struct served {
    mp_process *process;
    mp_connection *orders;
} served;

static inline served begin_serving(mp_start_method method, any_lock any)
{
    mp_connection *theirs = NULL;
    served it = {NULL, NULL};

    ok(mp_pipe(&it.orders, &theirs, NULL));
    it.process = support_start(method, serve, MP_ARGS(box_any(any), theirs));
    ok(mp_connection_close(theirs));
    return it;
}

static inline void tell(served *it, char order)
{
    ok(mp_connection_send_bytes(it->orders, &order, 1));
}

static inline mp_error hear(served *it)
{
    int32_t result = 0;
    size_t size = 0;

    ok(mp_connection_recv_bytes_into(it->orders, &result, sizeof(result),
                                     &size));
    cr_assert_eq(size, sizeof(result));
    return (mp_error)result;
}

static inline mp_error ask(served *it, char order)
{
    tell(it, order);
    return hear(it);
}

static inline void end_serving(served *it)
{
    tell(it, 'x');
    cr_assert_eq(support_finish(it->process), 0);
    ok(mp_connection_close(it->orders));
}

/* Not reaped: it is a zombie, where there are such, until buried. */
static inline void kill_served(served *it)
{
    ok(mp_process_kill(it->process));
}

static inline void bury_served(served *it)
{
    cr_assert_eq(support_finish(it->process), -9);
    ok(mp_connection_close(it->orders));
}

/* -- Threads --------------------------------------------------------------- */

typedef struct hand {
    any_lock any;
    mpi_atomic32 order;  /* 0: none */
    mpi_atomic32 answer; /* 1 + what came of it */
    mpos_thread thread;
} hand;

static void run_hand(void *argument)
{
    hand *it = argument;

    for (;;) {
        char order = (char)mpi_atomic32_load(&it->order);

        if (order == 'x')
            break;
        if (order != 0) {
            mpi_atomic32_store(&it->order, 0);
            mpi_atomic32_store(&it->answer, (uint32_t)obey(it->any, order) + 1);
        }
        pause_for(0.001);
    }
}

static inline void begin_hand(hand *it, any_lock any)
{
    *it = (hand){.any = any};
    ok(mpos_thread_start(run_hand, it, &it->thread));
}

static inline mp_error ask_hand(hand *it, char order)
{
    uint32_t answer;

    mpi_atomic32_store(&it->answer, 0);
    mpi_atomic32_store(&it->order, (uint32_t)order);
    while ((answer = mpi_atomic32_load(&it->answer)) == 0)
        pause_for(0.001);
    return (mp_error)(int32_t)(answer - 1);
}

/* What runs at a thread's end has run. */
static inline void end_hand(hand *it)
{
    mpi_atomic32_store(&it->order, 'x');
    mpos_thread_join(it->thread);
}

#endif
