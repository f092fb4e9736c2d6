/* SPDX-License-Identifier: MIT */
/* Many children, one after the other and all at once, and many threads. */
#include "support/check.h"
#include "support/system.h"
#include "support/threads.h"
#include "support/waiting.h"

#include "os.h"
#include "state.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    IN_SEQUENCE = 10000,
    AT_ONCE = 1000,
    THREADS = 8,
    RACES = 50,
    LONG_TIME = 60,
};

/* -- One after the other --------------------------------------------------- */

/* In a small program, tests/programs/sequence.c, which starts faster. Where
 * memory is not compared, a descriptor or a process that stays shows early. */
static void expect_no_growth(mp_start_method method)
{
    size_t children = support_is_watched() ? IN_SEQUENCE / 10 : IN_SEQUENCE;
    char program[SUPPORT_PATH_SIZE], count[32];
    mpos_spawn_options options = {.program = program};
    mpos_process process;
    int code = -1000;

    support_program_beside("sequence", program);
    snprintf(count, sizeof(count), "%zu", support_scaled(children));
    support_set_variable("SEQUENCE_COUNT", count);
    support_set_variable("SEQUENCE_METHOD", mp_start_method_name(method));
    support_set_variable("SEQUENCE_MEMORY", support_is_watched() ? NULL : "1");
    cr_assert_eq(mpos_spawn(&process, &options), MP_OK);
    cr_assert_eq(mpos_reap(&process, MPOS_FOREVER, &code), MP_OK);
    mpos_process_close(&process);
    cr_assert_eq(code, 0, "exit code %d, see its beginning", code);
}

METHOD_TEST(leaks, ten_thousand_children_leave_nothing)
{
    expect_no_growth(method);
}

/* Nobody joins them: those that have ended are found at later starts. */
METHOD_TEST(leaks, forgotten_children_are_reaped_in_time)
{
    enum { FEW = 100 };
    mp_process *children[FEW];
    size_t count;

    for (int i = 0; i < FEW; i++)
        children[i] = support_start(method, return_zero, NULL);
    for (int i = 0; i < FEW; i++) {
        mpos_wait_item item = mpi_process_wait_item(children[i]);

        if (item.handle != MPOS_NONE)
            cr_assert_eq(mpos_wait(&item, 1, mpi_deadline(LONG_TIME)), MP_OK);
    }
    cr_assert_eq(mp_active_children(NULL, 0, &count), MP_OK);
    cr_assert_eq(count, 0);
    if (mpos_system.has_fork)
        mpi_forkserver_stop();
    cr_assert_not(support_has_children());
    for (int i = 0; i < FEW; i++)
        cr_assert_eq(support_finish(children[i]), 0);
}

/* -- At once --------------------------------------------------------------- */

static void start_many(mp_start_method method, mp_process **children,
                       size_t count, mp_connection **release)
{
    mp_connection *theirs;

    cr_assert_eq(mp_pipe(release, &theirs, NULL), MP_OK);
    for (size_t i = 0; i < count; i++)
        children[i] = support_start(method, wait_for_end, MP_ARGS(theirs));
    cr_assert_eq(mp_connection_close(theirs), MP_OK);
}

/* By one wait for all that are left. */
static void await_all(mp_process **children, size_t count)
{
    mpos_wait_item *items = calloc(count, sizeof(*items));
    size_t left = count;

    cr_assert_not_null(items);
    for (size_t i = 0; i < count; i++)
        items[i] = mpi_process_wait_item(children[i]);
    while (left > 0) {
        size_t kept = 0;

        cr_assert_eq(mpos_wait(items, left, mpi_deadline(LONG_TIME)), MP_OK);
        for (size_t i = 0; i < left; i++)
            if (!items[i].is_ready)
                items[kept++] = items[i];
        cr_assert_lt(kept, left);
        left = kept;
    }
    free(items);
}

static void run_many(mp_start_method method)
{
    size_t count = support_scaled(AT_ONCE), active;
    mp_process **children = calloc(count, sizeof(*children));
    mp_connection *release;

    cr_assert_not_null(children);
    cr_assert(support_allow_handles(3 * count + 100));
    start_many(method, children, count, &release);
    cr_assert_eq(mp_active_children(NULL, 0, &active), MP_OK);
    cr_assert_eq(active, count, "%zu", active);
    cr_assert_eq(mp_connection_close(release), MP_OK);
    await_all(children, count);
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(support_finish(children[i]), 3);
    cr_assert_eq(mp_active_children(NULL, 0, &active), MP_OK);
    cr_assert_eq(active, 0);
    free(children);
    if (mpos_system.has_fork)
        mpi_forkserver_stop();
    cr_assert_not(support_has_children());
}

METHOD_TEST(leaks, thousand_children_live_at_once)
{
    run_many(method);
}

/* -- Threads --------------------------------------------------------------- */

/* What several threads do with one process, and how it went. */
typedef struct crew {
    mp_process *process;
    mpi_atomic32 waiting;
    mpi_atomic32 must_go;
    mpi_atomic32 succeeded;
    mpi_atomic32 refused;
} crew;

static void await_count(mpi_atomic32 *count, uint32_t wanted)
{
    while (mpi_atomic32_load(count) < wanted)
        mp_sleep(0.0005);
}

static void join_it(void *argument)
{
    crew *it = argument;
    int code = -1;

    mpi_atomic32_add(&it->waiting, 1);
    if (mp_process_join(it->process, LONG_TIME) == MP_OK &&
        mp_process_exitcode(it->process, &code) == MP_OK && code == 3)
        mpi_atomic32_add(&it->succeeded, 1);
}

METHOD_TEST(leaks, eight_threads_may_join_the_same_child)
{
    mpos_thread threads[THREADS];
    mp_connection *release;
    crew it = {0};

    start_many(method, &it.process, 1, &release);
    support_start_threads(threads, THREADS, join_it, &it);
    await_count(&it.waiting, THREADS);
    cr_assert_eq(mp_connection_close(release), MP_OK);
    support_join_threads(threads, THREADS);
    cr_assert_eq(mpi_atomic32_load(&it.succeeded), THREADS);
    cr_assert_eq(support_finish(it.process), 3);
}

static void start_it(void *argument)
{
    crew *it = argument;
    mp_error err;

    mpi_atomic32_add(&it->waiting, 1);
    while (mpi_atomic32_load(&it->must_go) == 0)
        ;
    err = mp_process_start(it->process);
    if (err == MP_OK)
        mpi_atomic32_add(&it->succeeded, 1);
    if (err == MP_ESTATE)
        mpi_atomic32_add(&it->refused, 1);
}

static void race_to_start(mp_start_method method)
{
    mp_process_options options = {.start_method = method};
    mpos_thread threads[2];
    crew it = {0};

    cr_assert_eq(mp_process_create(&it.process, return_zero, NULL, &options),
                 MP_OK);
    support_start_threads(threads, 2, start_it, &it);
    await_count(&it.waiting, 2);
    mpi_atomic32_store(&it.must_go, 1);
    support_join_threads(threads, 2);
    cr_assert_eq(mpi_atomic32_load(&it.succeeded), 1);
    cr_assert_eq(mpi_atomic32_load(&it.refused), 1);
    cr_assert_eq(support_finish(it.process), 0);
}

METHOD_TEST(leaks, one_of_two_threads_starts_a_process)
{
    for (size_t i = 0; i < support_scaled(RACES); i++)
        race_to_start(method);
}

static void run_some(void *argument)
{
    crew *it = argument;
    mp_process_options options = {
        .start_method = (mp_start_method)mpi_atomic32_load(&it->must_go)};

    for (size_t i = 0; i < support_scaled(RACES); i++) {
        mp_process *child;
        int code = -1;

        if (mp_process_create(&child, return_zero, NULL, &options) == MP_OK &&
            mp_process_start(child) == MP_OK &&
            mp_process_join(child, LONG_TIME) == MP_OK &&
            mp_process_exitcode(child, &code) == MP_OK && code == 0 &&
            mp_process_close(child) == MP_OK)
            mpi_atomic32_add(&it->succeeded, 1);
    }
}

METHOD_TEST(leaks, eight_threads_start_and_join_children_of_their_own)
{
    uint32_t expected = THREADS * (uint32_t)support_scaled(RACES);
    mpos_thread threads[THREADS];
    crew it = {0};

    cr_assert_eq(support_run(method, return_zero, NULL), 0);
    mpi_atomic32_store(&it.must_go, (uint32_t)method);
    support_start_threads(threads, THREADS, run_some, &it);
    support_join_threads(threads, THREADS);
    cr_assert_eq(mpi_atomic32_load(&it.succeeded), expected, "%u of %u",
                 (unsigned)mpi_atomic32_load(&it.succeeded),
                 (unsigned)expected);
    if (mpos_system.has_fork)
        mpi_forkserver_stop();
    cr_assert_not(support_has_children());
}
