/* SPDX-License-Identifier: MIT */
/* A storm on an Event: nobody sleeps on while it is set. */
#include "crew.h"

static void set_and_clear(mp_event *event)
{
    EXPECT_OK(mp_event_set(event));
    mpi_atomic32_add(&crew_me.slot->done, 1);
    mp_sleep(crew_chance(2) * 0.0005);
    EXPECT_OK(mp_event_clear(event));
    mp_sleep(crew_chance(3) * 0.0005);
}

static void wait_for_event(mp_event *event)
{
    int64_t began = mpos_now();

    crew_set_step(COMING);
    EXPECT_OK(mp_event_wait(event, MP_FOREVER));
    crew_set_step(OUTSIDE);
    torture_raise(&crew_me.board->longest_wait, mpos_now() - began);
    crew_arrive(crew_me.board);
    mpi_atomic32_add(&crew_me.slot->done, 1);
    while (mp_event_is_set(event) && !crew_must_end())
        mp_sleep(0.0002);
}

/* The first two set, the others wait. */
static int use_event(mp_args *args)
{
    mp_event *event = mp_arg_event(args, 0);

    crew_come(args, event);
    while (!crew_must_end()) {
        if (crew_me.bit <= 2)
            set_and_clear(event);
        else
            wait_for_event(event);
    }
    return 0;
}

static void create_event(crew *it)
{
    ok(mp_event_create((mp_event **)&it->things[0]));
}

static void close_event(crew *it)
{
    ok(mp_event_close(it->things[0]));
}

static mp_obj *event_arguments(crew *it, int place)
{
    return MP_ARGS((mp_event *)it->things[0], CREW_ARGS(it, place));
}

/* The setters clear it once more. */
static void end_waits(crew *it)
{
    for (int i = 0; i < 2; i++)
        ok(mp_process_join(it->processes[i], 20));
    ok(mp_event_set(it->things[0]));
}

static void check_event(crew *it)
{
    cr_assert(mp_event_is_set(it->things[0]));
}

static void storm_events(const storm_round *round)
{
    const crew_plan plan = {
        .worker = use_event,
        .workers = CREW_MOST,
        .create = create_event,
        .close = close_event,
        .arguments = event_arguments,
        .end = end_waits,
        .check = check_event,
    };

    crew_run(&plan, round);
}

const storm torture_events[] = {
    {"event",
     "setters of an Event and those who wait: nobody sleeps on while it is set",
     25, NULL, storm_events},
    {.name = NULL},
};
