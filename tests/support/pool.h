/* SPDX-License-Identifier: MIT */
/*
 * Pools as tests write them down. A test and its pool's workers know a board
 * together, an Array that the initializer gives to each worker: there tasks say
 * that they have begun, wait until they may go on, and count how often they
 * were done.
 */
#ifndef SUPPORT_POOL_H
#define SUPPORT_POOL_H

#include "check.h"
#include "expect.h"
#include "killer.h"
#include "methods.h"
#include "system.h"

#include "os.h"
#include "state.h"

#include <stdlib.h>
#include <string.h>

/* Seconds: as good as for ever, and long enough to see that nothing comes. */
#define POOL_PATIENCE 20.0
#define POOL_MOMENT 0.05

enum { POOL_COUNTS = 20000, POOL_NOTES = 256 };

/* "Within a second", and what a busy machine, a system that starts processes
 * slowly, or a sanitizer adds. */
static inline double pool_second(void)
{
    return support_is_watched() ? 10 : mpos_system.has_fork ? 2 : 4;
}

/* -- The board ------------------------------------------------------------- */

typedef struct pool_board {
    uint32_t gate;  /* tasks that come there wait until it is 1 */
    uint32_t came;  /* so many have come */
    uint32_t begun; /* workers that have run the initializer */
    uint32_t noted;
    int64_t notes[POOL_NOTES];
    int64_t pid;     /* of the last one that came to the gate */
    double last_act; /* mp_monotonic() when a task was about to crash */
    uint32_t counts[POOL_COUNTS];
} pool_board;

static mp_array *shared_array;
static pool_board *shared;

static inline void open_board(void)
{
    ok(mp_array_create(&shared_array, MP_CTYPE(char), sizeof(pool_board), NULL,
                       &(mp_value_options){.has_no_lock = true}));
    shared = mp_array_data(shared_array);
}

/* The initializer: (board, ...). */
static int enter_pool(mp_args *args)
{
    shared = mp_array_data(mp_arg_array(args, 0));
    mp_fetch_add(&shared->begun, 1);
    return 0;
}

static inline void add_note(int64_t number)
{
    uint32_t place = mp_fetch_add(&shared->noted, 1);

    if (place < POOL_NOTES)
        mp_atomic_store(&shared->notes[place], number);
}

static inline void await_number(const uint32_t *number, uint32_t least,
                                int line)
{
    double deadline = mp_monotonic() + POOL_PATIENCE;

    while (mp_atomic_load(number) < least) {
        cr_assert_lt(mp_monotonic(), deadline, "line %d: %u of %u", line,
                     (unsigned)mp_atomic_load(number), (unsigned)least);
        mp_sleep(0.0005);
    }
}

/* So many tasks wait at the gate, or have gone through it. */
#define await_came(count) await_number(&shared->came, (count), __LINE__)
#define await_noted(count) await_number(&shared->noted, (count), __LINE__)
#define await_begun(count) await_number(&shared->begun, (count), __LINE__)

static inline void open_gate(void)
{
    mp_atomic_store(&shared->gate, 1);
}

static inline void close_gate(void)
{
    mp_atomic_store(&shared->came, 0);
    mp_atomic_store(&shared->gate, 0);
}

/* -- Pools ----------------------------------------------------------------- */

static inline mp_pool *make_pool_with(mp_start_method method, size_t processes,
                                      mp_pool_options options)
{
    mp_pool *pool = NULL;

    if (shared == NULL)
        open_board();
    options.start_method = method;
    if (options.initializer == NULL) {
        options.initializer = enter_pool;
        options.initargs = MP_ARGS(shared_array);
    }
    ok(mp_pool_create(&pool, processes, &options));
    cr_assert_not_null(pool);
    return pool;
}

static inline mp_pool *make_pool(mp_start_method method, size_t processes)
{
    return make_pool_with(method, processes, (mp_pool_options){0});
}

static inline void close_board(void)
{
    if (shared != NULL)
        ok(mp_array_close(shared_array));
    shared = NULL;
    shared_array = NULL;
}

/* In good order: all that was asked for is done. */
static inline void end_pool(mp_pool *pool)
{
    ok(mp_pool_close(pool));
    ok(mp_pool_join(pool, POOL_PATIENCE));
    ok(mp_pool_destroy(pool));
    close_board();
}

static inline void drop_pool(mp_pool *pool)
{
    ok(mp_pool_terminate(pool));
    ok(mp_pool_join(pool, POOL_PATIENCE));
    ok(mp_pool_destroy(pool));
    close_board();
}

/* Nothing of it is left in the system. */
static inline void has_no_children(void)
{
    if (mpos_system.has_fork)
        mpi_forkserver_stop();
    cr_assert_not(support_has_children());
}

static inline mp_pool_stats stats_of(mp_pool *pool)
{
    mp_pool_stats stats = {0};

    ok(mp_pool_get_stats(pool, &stats, NULL, 0));
    return stats;
}

enum { POOL_MOST_WORKERS = 16 };

/* pid of the worker in that place. */
static inline int64_t worker_pid(mp_pool *pool, size_t place)
{
    mp_worker_stats workers[POOL_MOST_WORKERS];
    mp_pool_stats stats;

    memset(workers, 0, sizeof(workers));
    ok(mp_pool_get_stats(pool, &stats, workers, POOL_MOST_WORKERS));
    cr_assert_lt(place, stats.workers);
    return workers[place].pid;
}

static inline bool runs(int64_t pid)
{
    mpos_process process;
    int code;
    bool it_does;

    if (mpos_attach(&process, pid, 0) != MP_OK)
        return false;
    it_does = mpos_reap(&process, 0, &code) == MP_TIMED_OUT;
    mpos_process_close(&process);
    return it_does;
}

/* As many live workers as there should be, through with their initializer. */
#define await_workers(pool) await_workers_at((pool), __LINE__)

static inline void await_workers_at(mp_pool *pool, int line)
{
    double deadline = mp_monotonic() + POOL_PATIENCE;
    mp_worker_stats workers[POOL_MOST_WORKERS];
    mp_pool_stats stats;
    size_t ready = 0;

    do {
        memset(workers, 0, sizeof(workers));
        ok_at(mp_pool_get_stats(pool, &stats, workers, POOL_MOST_WORKERS),
              "stats", line);
        ready = 0;
        for (size_t i = 0; i < stats.workers; i++)
            ready += workers[i].state == MP_WORKER_IDLE ||
                     workers[i].state == MP_WORKER_BUSY;
        cr_assert_lt(mp_monotonic(), deadline, "line %d: %zu of %zu", line,
                     ready, stats.workers);
        if (ready < stats.workers)
            mp_sleep(0.0005);
    } while (ready < stats.workers);
}

/* -- Tasks ----------------------------------------------------------------- */

static inline mp_obj *square(mp_args *args)
{
    int64_t n = mp_arg_int(args, 0);

    return MP_BOX(n * n);
}

static inline mp_obj *identity(mp_args *args)
{
    return mp_obj_ref(mp_arg_obj(args, 0));
}

static inline mp_obj *do_nothing(mp_args *args)
{
    (void)args;
    return MP_NONE;
}

/* Returns its argument once the gate is open. */
static inline mp_obj *pass_gate(mp_args *args)
{
    mp_atomic_store(&shared->pid, mp_getpid());
    mp_fetch_add(&shared->came, 1);
    while (mp_atomic_load(&shared->gate) == 0)
        mp_sleep(0.0005);
    return mp_obj_ref(mp_arg_obj(args, 0));
}

/* Item 0 is ready once the gate is open, the others at once. */
static inline mp_obj *delay_the_first(mp_args *args)
{
    int64_t n = mp_arg_int(args, 0);

    while (n == 0 && mp_atomic_load(&shared->gate) == 0)
        mp_sleep(0.0005);
    mp_fetch_add(&shared->came, 1);
    return MP_BOX(n);
}

/* Says in which order it was called. */
static inline mp_obj *note_number(mp_args *args)
{
    add_note(mp_arg_int(args, 0));
    return MP_NONE;
}

static inline mp_obj *count_once(mp_args *args)
{
    int64_t n = mp_arg_int(args, 0);

    mp_fetch_add(&shared->counts[n], 1);
    return MP_BOX(n);
}

static inline mp_obj *kill_itself(mp_args *args)
{
    (void)args;
    kill_pid(mp_getpid());
    mp_sleep(POOL_PATIENCE);
    return MP_NONE;
}

static inline mp_obj *leave_with_three(mp_args *args)
{
    (void)args;
    mp_exit(3);
}

static inline mp_obj *raise_in_it(mp_args *args)
{
    return mp_raise(MP_EKEY, "there is no %d", (int)mp_arg_int(args, 0));
}

/* -- What comes of it ------------------------------------------------------ */

static inline mp_obj *numbers_to(int64_t count)
{
    mp_obj *list = MP_LIST();

    for (int64_t i = 0; i < count; i++)
        ok(mp_obj_append(list, MP_BOX(i)));
    return list;
}

/* The list of all squares; consumes obj. */
#define is_squares(obj, count) is_squares_at((obj), (count), __LINE__)

static inline void is_squares_at(mp_obj *obj, int64_t count, int line)
{
    size_t size = 0;

    ok_at(mp_obj_len(obj, &size), "len", line);
    cr_assert_eq(size, (size_t)count, "line %d: %zu", line, size);
    for (int64_t i = 0; i < count; i++) {
        const mp_obj *item;
        int64_t value = -1;

        ok_at(mp_obj_item(obj, i, &item), "item", line);
        ok_at(mp_obj_as_int(item, &value), "as int", line);
        cr_assert_eq(value, i * i, "line %d: item %d", line, (int)i);
    }
    mp_obj_unref(obj);
}

/* The pool works as if nothing had been. */
#define still_works(pool) still_works_at((pool), __LINE__)

static inline void still_works_at(mp_pool *pool, int line)
{
    mp_obj *squares = NULL;

    ok_at(mp_pool_map(pool, square, numbers_to(50), 1, &squares), "map", line);
    is_squares_at(squares, 50, line);
}

/* The future has a value; by its repr. */
#define gives(future, expected) gives_at((future), (expected), __LINE__)

static inline void gives_at(mp_future *future, const char *expected, int line)
{
    mp_obj *value = NULL;

    ok_at(mp_future_get(future, POOL_PATIENCE, &value), "get", line);
    is_repr_at(value, expected, line);
}

/* It has failed like that; what is known of it. */
#define gets_error(future, expected) \
    gets_error_at((future), (expected), __LINE__)

static inline mp_failure gets_error_at(mp_future *future, mp_error expected,
                                       int line)
{
    mp_failure failure = {.code = MP_OK};
    mp_obj *value = NULL;

    fails_at(mp_future_get(future, POOL_PATIENCE, &value), expected, "get",
             line);
    cr_assert_null(value, "line %d", line);
    ok_at(mp_future_failure(future, &failure), "failure", line);
    cr_assert_eq(failure.code, expected, "line %d: %s", line,
                 mp_error_name(failure.code));
    cr_assert_str_not_empty(failure.sentence, "line %d", line);
    cr_assert_not_null(failure.where, "line %d", line);
    cr_assert_not_null(failure.worker, "line %d", line);
    return failure;
}

/* The next item, by its repr. */
#define next_is(iterator, expected) next_is_at((iterator), (expected), __LINE__)

static inline void next_is_at(mp_iterator *iterator, const char *expected,
                              int line)
{
    mp_obj *value = NULL;

    ok_at(mp_iterator_next(iterator, POOL_PATIENCE, &value), "next", line);
    is_repr_at(value, expected, line);
}

/* Another future with all defaults. */
#define submit(pool, task, args) submit_at((pool), MP_TASK(task), (args))

static inline mp_future *submit_at(mp_pool *pool, mp_task task, mp_obj *args)
{
    mp_future *future = NULL;

    ok((mp_pool_submit)(pool, task, args, &future));
    cr_assert_not_null(future);
    return future;
}

static inline mp_future *submit_with(mp_pool *pool, mp_task task, mp_obj *args,
                                     mp_task_options options)
{
    mp_future *future = NULL;

    ok((mp_pool_apply_async)(pool, task, args, &options, &future));
    cr_assert_not_null(future);
    return future;
}

#endif
