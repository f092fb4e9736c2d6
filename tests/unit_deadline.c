/* SPDX-License-Identifier: MIT */
/* Seconds to deadlines. */
#include "support/testing.h"

#include "internal.h"
#include "os.h"

#include <math.h>

enum { SECOND = 1000000000 };

Test(deadline, zero_and_less_are_the_past)
{
    cr_assert_leq(mpi_deadline(0), mpos_now());
    cr_assert_leq(mpi_deadline(-0.0), mpos_now());
    cr_assert_leq(mpi_deadline(-1), mpos_now());
    cr_assert_leq(mpi_deadline(-1e300), mpos_now());
    cr_assert_leq(mpi_deadline(-(double)INFINITY), mpos_now());
}

Test(deadline, what_lies_beyond_the_clock_is_for_ever)
{
    cr_assert_eq(mpi_deadline(MP_FOREVER), MPOS_FOREVER);
    cr_assert_eq(mpi_deadline((double)INFINITY), MPOS_FOREVER);
    cr_assert_eq(mpi_deadline((double)NAN), MPOS_FOREVER);
    cr_assert_eq(mpi_deadline(1e10), MPOS_FOREVER);
    cr_assert_eq(mpi_deadline(9.3e9), MPOS_FOREVER);
}

Test(deadline, seconds_are_counted_from_now)
{
    int64_t before = mpos_now();
    int64_t deadline = mpi_deadline(2.5);
    int64_t after = mpos_now();

    cr_assert_geq(deadline, before + 2 * (int64_t)SECOND + SECOND / 2);
    cr_assert_leq(deadline, after + 2 * (int64_t)SECOND + SECOND / 2);
}

Test(deadline, longer_timeouts_never_give_earlier_deadlines)
{
    static const double timeouts[] = {1e-300, 1e-10, 1e-9, 1e-3, 1,
                                      1e3,    1e6,   1e9,  4e9,  1e11};
    int64_t last = mpi_deadline(0);

    for (size_t i = 0; i < sizeof(timeouts) / sizeof(timeouts[0]); i++) {
        int64_t deadline = mpi_deadline(timeouts[i]);

        cr_assert_geq(deadline, last, "%g", timeouts[i]);
        last = deadline;
    }
}
