/* SPDX-License-Identifier: MIT */
/* Objects that stay recognisable after their end. */
#include "support/system.h"
#include "support/testing.h"

#include "lifetime.h"

#include <string.h>

typedef struct thing {
    mpi_lifetime lifetime;
    int value;
} thing;

static thing *new_thing(mpi_kind kind)
{
    thing *made = mpi_lifetime_new(kind, sizeof(*made));

    cr_assert_not_null(made);
    return made;
}

Test(lifetime, new_object_is_zero_and_of_its_kind)
{
    thing *it = new_thing(MPI_PROCESS);

    cr_assert_eq(it->value, 0);
    cr_assert_eq(mpi_lifetime_check(it, MPI_PROCESS), MP_OK);
    mpi_lifetime_end(it);
}

Test(lifetime, object_of_another_kind_is_refused)
{
    static const mpi_kind kinds[] = {MPI_PROCESS, MPI_CONNECTION,
                                     MPI_FINALIZER};

    for (int i = 0; i < 3; i++) {
        thing *it = new_thing(kinds[i]);

        cr_assert_eq(mpi_lifetime_check(it, kinds[(i + 1) % 3]), MP_EINVAL);
        cr_assert_eq(mpi_lifetime_check(it, kinds[(i + 2) % 3]), MP_EINVAL);
        mpi_lifetime_end(it);
    }
}

Test(lifetime, null_is_refused_by_the_name_of_its_kind)
{
    cr_assert_eq(mpi_lifetime_check(NULL, MPI_PROCESS), MP_EINVAL);
    cr_assert_not_null(strstr(mp_error_message(), "process is NULL"));
    cr_assert_eq(mpi_lifetime_check(NULL, MPI_CONNECTION), MP_EINVAL);
    cr_assert_not_null(strstr(mp_error_message(), "connection is NULL"));
    cr_assert_eq(mpi_lifetime_check(NULL, MPI_FINALIZER), MP_EINVAL);
    cr_assert_not_null(strstr(mp_error_message(), "finalizer is NULL"));
}

Test(lifetime, ended_object_is_recognised_for_a_while)
{
    thing *things[200];

    for (int i = 0; i < 200; i++) {
        things[i] = new_thing(MPI_CONNECTION);
        mpi_lifetime_end(things[i]);
    }
    for (int i = 0; i < 200; i++)
        cr_assert_eq(mpi_lifetime_check(things[i], MPI_CONNECTION), MP_ECLOSED);
}

Test(lifetime, memory_of_ended_objects_is_given_back_at_last)
{
    /* 2.4 GB if it were not. */
    for (int i = 0; i < 100000; i++) {
        void *it = mpi_lifetime_new(MPI_PROCESS, 24000);

        cr_assert_not_null(it);
        mpi_lifetime_end(it);
    }
}

Test(lifetime, object_too_large_for_memory_is_null)
{
    if (support_is_watched())
        cr_skip_test("a sanitizer takes that for a mistake");
    cr_assert_null(mpi_lifetime_new(MPI_PROCESS, SIZE_MAX / 2));
}
