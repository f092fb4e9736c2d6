/* SPDX-License-Identifier: MIT */
/*
 * A pool's worker with every allocation, and every call into the system, made
 * to fail once: there is always a result, with the values that there would be
 * or with failures, and nothing is leaked.
 */
#include "support/fault.h"
#include "support/front.h"

#include "pool_worker.h"

/* -- A worker in this process ---------------------------------------------- */

static mpi_worker make_worker(mpi_board *board)
{
    mpi_worker it = {.board = board};

    it.no_names = mp_obj_dict(NULL, 0);
    ok(mp_obj_error(it.no_names));
    ok(mpi_worker_prepare(&it));
    return it;
}

static void forget(mpi_worker *it)
{
    mpi_worker_forget_functions(it);
    mp_obj_unref(it->single);
    it->single = NULL;
}

static void unmake(mpi_worker *it)
{
    forget(it);
    mpi_buffer_free(&it->no_memory);
    mp_obj_unref(it->no_names);
}

/* One failure, of the item at index or of all. */
static void is_for_want_of_memory(const mp_obj *failure)
{
    const mp_obj *part = NULL;
    const char *sentence;
    int64_t code = 0;

    ok(mp_obj_item(failure, 1, &part));
    ok(mp_obj_as_int(part, &code));
    ok(mp_obj_item(failure, 2, &part));
    ok(mp_obj_as_str(part, &sentence, NULL));
    cr_assert_eq(code, MP_ENOMEM, "%d: %s", (int)code, sentence);
}

/* All failures but those of items that fail anyway. */
static void check_failures(const mp_obj *result)
{
    const mp_obj *failures = NULL;
    const mp_obj *failure, *index;
    mp_iter at = {0};

    ok(mp_obj_item(result, 1, &failures));
    while (mp_obj_next(failures, &at, &failure, NULL)) {
        const mp_obj *values = NULL;
        int64_t number = -1;

        ok(mp_obj_item(result, 0, &values));
        ok(mp_obj_item(failure, 0, &index));
        ok(mp_obj_as_int(index, &number));
        if (mp_obj_is_none(values) || number % 3 != 2)
            is_for_want_of_memory(failure);
    }
}

/* What it would be without a fault is *expected, which the first sets. */
static bool is_expected(const mp_obj *result, char **expected)
{
    char *text = NULL;
    bool is_same;

    ok(mp_obj_repr(result, &text));
    if (*expected == NULL) {
        *expected = text;
        return true;
    }
    is_same = strcmp(text, *expected) == 0;
    mp_free(text);
    return is_same;
}

static void run_with_faults(mpi_work kind, mp_task task, mp_obj *arguments)
{
    fault it = {.error = MP_ENOMEM};
    front pool = {.board = NULL};
    char *expected = NULL;
    mpi_worker worker;

    ok(mpi_state_init());
    ok(mpi_board_create(&pool.board, 1, 0));
    worker = make_worker(pool.board);
    while (!it.has_ended) {
        front_reply got;

        forget(&worker);
        front_put(&pool, kind, task, mp_obj_ref(arguments));
        ok(mpi_board_take(pool.board, &worker.slot));
        if (expected != NULL)
            fault_arm(&it);
        mpi_worker_reply(&worker, mpi_worker_run(&worker));
        if (expected != NULL)
            it.has_ended = !mpi_fault_disarm(NULL, NULL);
        got = front_get(&pool);
        if (!is_expected(got.result, &expected)) {
            cr_assert_not(it.has_ended);
            cr_assert_gt(got.failures, 0U);
            check_failures(got.result);
            it.failures++;
        }
        mp_obj_unref(got.result);
    }
    cr_assert_gt(it.failures, 0U);
    mp_free(expected);
    unmake(&worker);
    mp_obj_unref(arguments);
    mpi_board_unref(pool.board);
}

/* -- Tasks ----------------------------------------------------------------- */

static mp_obj *repeat(mp_args *args)
{
    const mp_obj *what = mp_arg_obj(args, 0);

    return MP_LIST(mp_obj_ref(what), mp_obj_ref(what));
}

/* Every third fails, or can't be pickled. */
static mp_obj *fail_now_and_then(mp_args *args)
{
    int64_t n = mp_arg_int(args, 0);

    if (n % 6 == 2)
        return mp_raise(MP_EKEY, "%d", (int)n);
    if (n % 6 == 5)
        return mp_obj_pointer(args);
    return mp_obj_float((double)n);
}

Test(fault_worker, call_has_a_result)
{
    run_with_faults(MPI_WORK_CALL, MP_TASK(repeat),
                    MP_TUPLE(MP_TUPLE("what"), MP_DICT("a", 1)));
}

Test(fault_worker, map_has_a_result)
{
    run_with_faults(MPI_WORK_MAP, MP_TASK(repeat),
                    MP_LIST("a", 2, MP_LIST(), 3.5));
}

Test(fault_worker, starmap_has_a_result)
{
    run_with_faults(MPI_WORK_STARMAP, MP_TASK(repeat),
                    MP_LIST(MP_TUPLE("a"), MP_LIST(2)));
}

Test(fault_worker, items_that_fail_anyway_are_no_different)
{
    run_with_faults(MPI_WORK_MAP, MP_TASK(fail_now_and_then),
                    MP_LIST(0, 1, 2, 3, 4, 5, 6));
}
