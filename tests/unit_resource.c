/* SPDX-License-Identifier: MIT */
/*
 * What comes in a message for a thing of ours, and is none: whatever its state
 * says, nothing is made of it, and what came along is closed once.
 */
#include "support/check.h"
#include "support/expect.h"

#include "os.h"
#include "resource.h"

#include <stdlib.h>
#include <string.h>

static const char *const names[] = {
    "Connection", "Handle",       "Lock",       "RLock",
    "Semaphore",  "Event",        "Condition",  "Barrier",
    "Value",      "Array",        "SharedDict", "SharedList",
    "Queue",      "SharedMemory", "PoolBoard",  "ShareableList"};

enum { NAMES = sizeof(names) / sizeof(names[0]), STATES = 11 };

static mp_obj *make_share(void)
{
    return MP_TUPLE(77, MP_BYTES("there is no such", 16), 1, 1);
}

/* States of all shapes, right and wrong, of things that there are not. */
static mp_obj *make_state(int which)
{
    switch (which) {
    case 0:
        return mp_obj_none();
    case 1:
        return MP_TUPLE();
    case 2:
        return MP_TUPLE("text");
    case 3:
        return MP_TUPLE(MP_NONE, MP_NONE);
    case 4:
        return MP_TUPLE(MP_TUPLE(0), 1);
    case 5:
        return MP_TUPLE(77, MP_TRUE, MP_TRUE);
    case 6:
        return MP_TUPLE(77, MP_TRUE, MP_TRUE, 1000, MP_NONE);
    case 7:
        return MP_TUPLE(77, MP_TRUE, MP_TRUE, "kind");
    case 8:
        return make_share();
    case 9:
        return MP_TUPLE(make_share(), MP_NONE);
    default:
        return MP_DICT("name", 5);
    }
}

static mpi_transport pack_one_handle(void)
{
    mpi_transport transport = {0};
    mpos_handle ends[2];
    size_t index;

    ok(mpos_channel(&ends[0], &ends[1], NULL));
    mpos_close(ends[1]);
    ok(mpi_transport_add(&transport, ends[0], &index));
    return transport;
}

/* Consumes state. */
static void expect_nothing_of(const mpi_resource_type *type, mp_obj *state,
                              int which)
{
    mpi_transport transport = pack_one_handle();
    void *self = NULL;
    mp_error err = type->rebuild(type, state, &transport, &self);

    cr_assert_lt(err, MP_OK, "%s, state %d", type->name, which);
    cr_assert_null(self, "%s, state %d", type->name, which);
    cr_assert_str_not_empty(mp_error_message());
    mpi_transport_close_untaken(&transport);
    mpi_transport_free(&transport);
    mp_obj_unref(state);
}

Test(resource, a_state_that_makes_no_sense_makes_nothing)
{
    size_t before = 0;

    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < NAMES; i++) {
            const mpi_resource_type *type =
                mpi_resource_find(names[i], strlen(names[i]));

            cr_assert_not_null(type, "%s", names[i]);
            for (int j = 0; j < STATES; j++)
                expect_nothing_of(type, make_state(j), j);
        }
        if (round == 0)
            before = support_open_handles();
    }
    cr_assert_eq(support_open_handles(), before);
}

Test(resource, a_handle_that_came_once_is_taken_once)
{
    mpi_transport transport = pack_one_handle();
    mpos_handle first = MPOS_NONE, second = MPOS_NONE;

    fails(mpi_transport_take(&transport, -1, &first), MP_EUNPICKLE);
    fails(mpi_transport_take(&transport, 1, &first), MP_EUNPICKLE);
    fails(mpi_transport_take(NULL, 0, &first), MP_EUNPICKLE);
    ok(mpi_transport_take(&transport, 0, &first));
    fails(mpi_transport_take(&transport, 0, &second), MP_EUNPICKLE);
    cr_assert_eq(second, MPOS_NONE);
    mpos_close(first);
    mpi_transport_close_untaken(&transport);
    mpi_transport_free(&transport);
}

/* -- Functions ------------------------------------------------------------- */

static int some_function(mp_args *args)
{
    (void)args;
    return 0;
}

/* Consumes state. */
static mp_error rebuild_function(mp_obj *state)
{
    const void *untouched = &names;
    const void *function = untouched;
    mp_error err = mpi_function_rebuild(state, &function);

    cr_assert_eq(function == untouched, err != MP_OK);
    mp_obj_unref(state);
    return err;
}

/* The state of some_function, with one item of three replaced. Consumes it. */
static mp_obj *replaced(size_t place, mp_obj *item)
{
    mp_obj *(items[3]), *state = NULL;

    ok(mpi_function_reduce((const void *)(uintptr_t)some_function, &state));
    for (size_t i = 0; i < 3; i++) {
        const mp_obj *old;

        ok(mp_obj_item(state, (int64_t)i, &old));
        items[i] = i == place ? item : mp_obj_ref(old);
    }
    mp_obj_unref(state);
    return mp_obj_tuple(items, 3);
}

Test(resource, a_function_that_makes_no_sense_is_none)
{
    static const char other_build[MPOS_BUILD_ID_SIZE] = "another build";

    ok(rebuild_function(replaced(9, NULL)));
    fails(rebuild_function(mp_obj_none()), MP_EUNPICKLE);
    fails(rebuild_function(MP_TUPLE()), MP_EUNPICKLE);
    fails(rebuild_function(replaced(0, MP_BOX(5))), MP_EUNPICKLE);
    fails(rebuild_function(replaced(0, MP_BOX("/no/such/library"))),
          MP_EUNPICKLE);
    fails(rebuild_function(replaced(1, MP_BOX("text"))), MP_EUNPICKLE);
    fails(rebuild_function(replaced(1, MP_BYTES("short", 5))), MP_EUNPICKLE);
    fails(rebuild_function(
              replaced(1, mp_obj_bytes(other_build, sizeof(other_build)))),
          MP_EVERSION);
    fails(rebuild_function(replaced(2, MP_BOX("text"))), MP_EUNPICKLE);
    fails(rebuild_function(replaced(2, MP_BOX(-1))), MP_EUNPICKLE);
    fails(rebuild_function(replaced(2, MP_BOX(INT64_MAX))), MP_EUNPICKLE);
}
