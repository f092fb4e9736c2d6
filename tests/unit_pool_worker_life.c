/* SPDX-License-Identifier: MIT */
/* How a worker process on a board begins, and how it ends. */
#include "support/front.h"
#include "support/methods.h"

#include <stdio.h>

static mp_obj *square(mp_args *args)
{
    int64_t n = mp_arg_int(args, 0);

    return mp_obj_int(n * n);
}

/* -- Beginning ------------------------------------------------------------- */

static int base;

static int set_base(mp_args *args)
{
    base = (int)mp_arg_int(args, 0);
    return (int)mp_kwarg_int(args, "code", 0) + base / 1000;
}

static mp_obj *add_to_base(mp_args *args)
{
    return mp_obj_int(base + mp_arg_int(args, 0));
}

METHOD_TEST(pool_worker_life, initializer_comes_before_the_first_task)
{
    front it = front_begin_with(
        method, (front_plan){.initializer = set_base, .initargs = MP_ARGS(40)});

    map(&it, add_to_base, MP_LIST(1, 2));
    front_has(&it, 0, "[41, 42]");
    cr_assert_eq(mpi_atomic32_load(&it.board->seats[0].state), MPI_SEAT_READY);
    cr_assert_eq(front_end(&it), 0);
}

static void fails_to_begin(mp_start_method method, mp_obj *initargs)
{
    front it = front_begin_with(
        method, (front_plan){.initializer = set_base, .initargs = initargs});

    map(&it, add_to_base, MP_LIST(1, 2));
    cr_assert_eq(support_finish(it.worker), 1);
    cr_assert_eq(mpi_atomic32_load(&it.board->seats[0].state), MPI_SEAT_FAILED);
    cr_assert_eq(mpi_board_waiting(it.board), 1);
    mpi_board_unref(it.board);
}

METHOD_TEST(pool_worker_life, initializer_that_returns_a_number_is_the_end)
{
    fails_to_begin(method, MP_ARGS(7000));
}

METHOD_TEST(pool_worker_life, initializer_that_escapes_is_the_end)
{
    fails_to_begin(method, MP_ARGS("seven"));
}

METHOD_TEST(pool_worker_life, wrong_orders_are_the_end)
{
    mp_obj *seat = mp_obj_int(1);
    mpi_board *board;

    ok(mpi_state_init());
    ok(mpi_board_create(&board, 1, 0));
    cr_assert_eq(support_run(method, mpi_pool_work,
                             MP_ARGS(mpi_board_box(board), seat, MP_NONE,
                                     MP_TUPLE(), 0)),
                 1);
    cr_assert_eq(support_run(method, mpi_pool_work, MP_ARGS(1, 2, 3)), 1);
    mpi_board_unref(board);
}

/* -- Ending ---------------------------------------------------------------- */

METHOD_TEST(pool_worker_life, worker_ends_after_so_many_tasks)
{
    front it = front_begin_with(method, (front_plan){.max_tasks = 3});

    map(&it, square, MP_LIST(1, 2, 3, 4));
    front_has(&it, 0, "[1, 4, 9, 16]");
    call(&it, square, MP_ARGS(2), MP_NONE);
    front_has(&it, 0, "4");
    map(&it, square, MP_LIST("x"));
    front_has(&it, 1,
              "([None], [(0, -3, 'square() argument 0: expected int, got str', "
              "'')])");
    call(&it, square, MP_ARGS(2), MP_NONE);
    cr_assert_eq(support_finish(it.worker), 0);
    cr_assert_eq(mpi_board_waiting(it.board), 1);
    mpi_board_unref(it.board);
}

METHOD_TEST(pool_worker_life, what_was_posted_before_the_end_is_done)
{
    front it = front_begin(method);

    for (int i = 0; i < 10; i++)
        call(&it, square, MP_ARGS(i), MP_NONE);
    mpi_board_shut(it.board);
    cr_assert_eq(support_finish(it.worker), 0);
    for (int i = 0; i < 10; i++) {
        char expected[20];

        snprintf(expected, sizeof(expected), "%d", i * i);
        front_has(&it, 0, expected);
    }
    mpi_board_unref(it.board);
}

static mp_obj *leave(mp_args *args)
{
    mp_exit((int)mp_arg_int(args, 0));
}

METHOD_TEST(pool_worker_life, task_may_end_its_worker)
{
    front it = front_begin(method);

    call(&it, leave, MP_ARGS(3), MP_NONE);
    cr_assert_eq(support_finish(it.worker), 3);
    mpi_board_unref(it.board);
}
