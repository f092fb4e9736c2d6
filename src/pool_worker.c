/* SPDX-License-Identifier: MIT */
/*
 * The life of a pool's worker: its initializer, then one task after the other,
 * until there are no more or it has done enough.
 */
#include "pool_worker.h"

/* What the pool has passed to it. */
typedef struct orders {
    mpi_board *board;
    uint32_t seat;
    mp_function initializer; /* or NULL */
    const mp_obj *arguments; /* the initializer's */
    uint64_t max_tasks;      /* 0: any number */
} orders;

static mp_error read_number(const mp_args *args, size_t index, uint64_t *out)
{
    const mp_obj *item;
    int64_t number = 0;
    mp_error err = mp_args_get(args, index, &item);

    if (err == MP_OK)
        err = mp_obj_as_int(item, &number);
    if (err == MP_OK && number < 0)
        err =
            mpi_fail(MP_EINVAL, "argument %zu of a worker is negative", index);
    *out = (uint64_t)number;
    return err;
}

static mp_error read_orders(const mp_args *args, orders *out)
{
    const mp_obj *item = NULL;
    uint64_t seat = 0;
    mp_error err = mp_args_get(args, 0, &item);

    if (err == MP_OK)
        err = mpi_board_of(item, &out->board);
    if (err == MP_OK)
        err = read_number(args, 1, &seat);
    if (err == MP_OK && seat >= out->board->seat_count)
        err = mpi_fail(MP_EINDEX, "the board has no such seat");
    if (err == MP_OK)
        err = mp_args_get(args, 2, &item);
    if (err == MP_OK && !mp_obj_is_none(item))
        err = mp_obj_as_function(item, &out->initializer);
    if (err == MP_OK)
        err = mp_args_get(args, 3, &out->arguments);
    if (err == MP_OK)
        err = read_number(args, 4, &out->max_tasks);
    out->seat = (uint32_t)seat;
    return err;
}

static void say(mpi_board *board, mpi_seat_state state)
{
    mpi_atomic32_store(&board->seats[board->seat].state, state);
}

/* -- The initializer ------------------------------------------------------- */

static void complain(const mpi_raised *raised)
{
    if (*raised->where != 0)
        (void)mpi_fail(raised->code, "%s: %s", raised->where, raised->sentence);
    else
        (void)mpi_fail(raised->code, "%s", raised->sentence);
    mpi_complain("the pool's initializer has failed: ");
}

static bool initialize(mpi_worker *it, const orders *given)
{
    mp_args args = {"initializer", NULL, it->no_names};
    int result = 0;
    mp_error err;

    if (given->initializer == NULL)
        return true;
    args.tuple = mp_obj_ref(given->arguments);
    err = mpi_task_initialize(given->initializer, &args, &result, &it->raised);
    mp_obj_unref(args.tuple);
    if (err == MP_OK && result == 0)
        return true;
    /* mp_raise() may have said why it returns anything else. */
    if (it->raised.code == MP_OK)
        (void)mpi_worker_raise_last(
            it, mpi_fail(MP_ERAISED, "it returned %d", result));
    complain(&it->raised);
    return false;
}

/* -- Tasks ----------------------------------------------------------------- */

static void work(mpi_worker *it, uint64_t max_tasks)
{
    uint64_t done = 0;

    while ((max_tasks == 0 || done < max_tasks) &&
           mpi_board_take(it->board, &it->slot) == MP_OK) {
        mpi_worker_reply(it, mpi_worker_run(it));
        done++;
    }
}

static mp_error prepare(mpi_worker *it)
{
    it->no_names = mp_obj_dict(NULL, 0);
    if (mp_obj_error(it->no_names) != MP_OK)
        return mp_obj_error(it->no_names);
    return mpi_worker_prepare(it);
}

static void clean(mpi_worker *it)
{
    mpi_worker_forget_functions(it);
    mpi_buffer_free(&it->no_memory);
    mp_obj_unref(it->single);
    mp_obj_unref(it->no_names);
}

int mpi_pool_work(mp_args *args)
{
    orders given = {.initializer = NULL};
    mpi_worker it = {.trouble = MP_OK};
    bool is_ready;

    mpos_ignore_interrupts(true);
    if (read_orders(args, &given) != MP_OK || prepare(&it) != MP_OK) {
        mpi_complain("a pool's worker can't begin: ");
        clean(&it);
        return 1;
    }
    it.board = given.board;
    it.board->seat = given.seat;
    say(it.board, MPI_SEAT_STARTING);
    is_ready = initialize(&it, &given);
    say(it.board, is_ready ? MPI_SEAT_READY : MPI_SEAT_FAILED);
    if (is_ready)
        work(&it, given.max_tasks);
    clean(&it);
    return is_ready ? 0 : 1;
}
