/* SPDX-License-Identifier: MIT */
/*
 * A test as the front of a board (board.h): tasks are put there, and what
 * workers make of them is fetched.
 */
#ifndef SUPPORT_FRONT_H
#define SUPPORT_FRONT_H

#include "expect.h"
#include "methods.h"

#include "board.h"
#include "payload.h"
#include "pickle.h"
#include "state.h"
#include "task.h"

#include <string.h>

enum { FRONT_PATIENCE = 20 /* seconds */ };

typedef struct front {
    mpi_board *board;
    mp_process *worker;
} front;

static inline void front_put_bytes(front *it, mpi_work kind, uint32_t count,
                                   const mpi_buffer *function,
                                   mp_bytes arguments)
{
    uint32_t slot = mpi_board_slot(it->board);
    mpi_slot_head *head = mpi_board_head(it->board, slot);
    size_t size = function->size + arguments.size;
    void *room = NULL;

    *head = (mpi_slot_head){.kind = kind,
                            .is_urgent = 1,
                            .count = count,
                            .function_size = (uint32_t)function->size};
    ok(mpi_board_reserve(it->board, slot, size, &room));
    memcpy(room, function->data, function->size);
    memcpy((char *)room + function->size, arguments.data, arguments.size);
    (void)mpi_board_post(it->board, slot, size);
    mpi_board_call(it->board, 1);
}

static inline mpi_buffer front_function_bytes(mp_task task)
{
    mp_obj *pair[] = {
        mp_obj_function((mp_function)(void (*)(void))task.function),
        mp_obj_str(task.name),
    };
    mp_obj *both = mp_obj_tuple(pair, 2);
    mpi_buffer bytes = {0};

    ok(mpi_pickle_dump(&bytes, both, NULL));
    mp_obj_unref(both);
    return bytes;
}

/* Consumes arguments. */
static inline void front_put(front *it, mpi_work kind, mp_task task,
                             mp_obj *arguments)
{
    mpi_buffer function = front_function_bytes(task);
    mpi_buffer bytes = {0};
    size_t count = 0;

    ok(mpi_pickle_dump(&bytes, arguments, NULL));
    ok(mp_obj_len(arguments, &count));
    front_put_bytes(it, kind, (uint32_t)count, &function,
                    (mp_bytes){bytes.data, bytes.size});
    mp_obj_unref(arguments);
    mpi_buffer_free(&function);
    mpi_buffer_free(&bytes);
}

static inline uint32_t front_wait_for_result(front *it)
{
    int64_t deadline = mpi_deadline(FRONT_PATIENCE);
    uint32_t slot = 0;
    mp_error err = MP_OK;

    for (;;) {
        uint32_t seen = mpi_board_expect(it->board);

        if (mpi_board_collect(it->board, &slot))
            return slot;
        cr_assert_eq(err, MP_OK, "%s: no result", mp_error_name(err));
        err = mpi_board_sleep(it->board, seen, deadline);
    }
}

typedef struct front_reply {
    mp_obj *result;
    uint32_t failures;
} front_reply;

static inline front_reply front_get(front *it)
{
    uint32_t slot = front_wait_for_result(it);
    mp_bytes bytes = mpi_board_result(it->board, slot);
    front_reply got = {.failures = mpi_board_head(it->board, slot)->failures};

    ok(mpi_pickle_load(bytes.data, bytes.size, NULL, &got.result));
    mpi_board_release(it->board, slot);
    return got;
}

static inline void front_is_reply_at(front_reply got, uint32_t failures,
                                     const char *expected, int line)
{
    cr_assert_eq(got.failures, failures, "line %d: %u failures", line,
                 (unsigned)got.failures);
    is_repr_at(got.result, expected, line);
}

/* The result is like that, and so many have failed. */
#define front_has(it, failures, expected) \
    front_is_reply_at(front_get(it), (failures), (expected), __LINE__)

static inline void front_call(front *it, mp_task task, mp_obj *args,
                              mp_obj *kwargs)
{
    mp_obj *both[] = {args, kwargs};

    front_put(it, MPI_WORK_CALL, task, mp_obj_tuple(both, 2));
}

#define call(it, function, args, kwargs) \
    front_call((it), MP_TASK(function), (args), (kwargs))
#define map(it, function, items) \
    front_put((it), MPI_WORK_MAP, MP_TASK(function), (items))
#define starmap(it, function, items) \
    front_put((it), MPI_WORK_STARMAP, MP_TASK(function), (items))

/* -- A worker -------------------------------------------------------------- */

typedef struct front_plan {
    mp_function initializer;
    mp_obj *initargs; /* consumed; NULL: none */
    int max_tasks;
    size_t max_bytes;
} front_plan;

static inline front front_begin_with(mp_start_method method, front_plan wanted)
{
    mp_obj *args =
        wanted.initargs != NULL ? wanted.initargs : mp_obj_tuple(NULL, 0);
    front it;

    ok(mpi_state_init());
    ok(mpi_board_create(&it.board, 1, wanted.max_bytes));
    it.worker = support_start_daemon(
        method, mpi_pool_work,
        MP_ARGS(mpi_board_box(it.board), 0, mp_obj_function(wanted.initializer),
                args, wanted.max_tasks));
    return it;
}

static inline front front_begin(mp_start_method method)
{
    return front_begin_with(method, (front_plan){.max_tasks = 0});
}

/* The worker's exit code. */
static inline int front_end(front *it)
{
    int code;

    mpi_board_shut(it->board);
    code = support_finish(it->worker);
    mpi_board_unref(it->board);
    return code;
}

#endif
