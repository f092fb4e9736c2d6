/* SPDX-License-Identifier: MIT */
/* Pools of many workers. */
#include "support/pool.h"

enum { CROWD = 200, CROWD_WINDOWS = 100 };

/* Each of them waits until all have come. */
static void use_crowd(mp_start_method method)
{
    size_t count = mpos_system.has_fork ? support_scaled(CROWD) : CROWD_WINDOWS;
    double deadline = mp_monotonic() + 3 * POOL_PATIENCE;
    mp_future *future = NULL;
    mp_pool *pool;

    cr_assert(support_allow_handles(4 * count + 100));
    pool = make_pool(method, count);
    cr_assert_eq(stats_of(pool).workers, count);
    ok(mp_pool_map_async(pool, pass_gate, numbers_to((int64_t)count), 1, NULL,
                         &future));
    while (mp_atomic_load(&shared->came) < count) {
        cr_assert_lt(mp_monotonic(), deadline, "%u of %zu",
                     (unsigned)shared->came, count);
        mp_sleep(0.001);
    }
    open_gate();
    ok(mp_future_wait(future, POOL_PATIENCE));
    ok(mp_future_close(future));
    still_works(pool);
    end_pool(pool);
    has_no_children();
}

Test(pool_crowd_spawn, many_workers_take_part, .timeout = 120)
{
    use_crowd(support_method(MP_START_SPAWN));
}

Test(pool_crowd_fork, many_workers_take_part, .timeout = 120)
{
    use_crowd(support_method(MP_START_FORK));
}

Test(pool_crowd_forkserver, many_workers_take_part, .timeout = 120)
{
    use_crowd(support_method(MP_START_FORKSERVER));
}
