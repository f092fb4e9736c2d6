/* SPDX-License-Identifier: MIT */
/*
 * Event: one word (word.h), which also counts how often it was set, so that
 * who slept through a set and a clear knows. Named, and where the system has
 * events of its own, it is one of those.
 */
#include "event.h"

#include "internal.h"
#include "sync.h"

struct mp_event {
    mpi_sync sync;
};

static mpos_word *word_of(const mp_event *event)
{
    return event->sync.share.memory;
}

static mp_error check(mp_event *event)
{
    if (mpi_sync_is_ready(event, MPI_EVENT))
        return MP_OK;
    return mpi_sync_check(&mpi_event_kind, event);
}

/* -- Travelling ------------------------------------------------------------ */

const mpi_sync_type mpi_event_kind = {
    .resource =
        MPI_SYNC_RESOURCE("Event", mpi_sync_reduce_any, mpi_sync_rebuild_any),
    .kind = MPI_EVENT,
    .size = sizeof(mp_event),
};

mp_obj *mp_obj_event(mp_event *event)
{
    return mpi_sync_box(&mpi_event_kind, event);
}

mp_error mp_obj_as_event(const mp_obj *obj, mp_event **out)
{
    mpi_sync *sync;
    mp_error err = mpi_sync_unbox(&mpi_event_kind, obj, &sync);

    if (err == MP_OK)
        *out = (mp_event *)sync;
    return err;
}

/* -- Making ---------------------------------------------------------------- */

mp_error mp_event_create(mp_event **out)
{
    static const mpos_word initial;
    mpi_sync *sync;
    mp_error err = mpi_sync_check_out(&mpi_event_kind, out);

    if (err == MP_OK)
        err = mpi_sync_create(&mpi_event_kind, &initial, sizeof(initial),
                              sizeof(initial), &sync);
    if (err == MP_OK)
        *out = (mp_event *)sync;
    return err;
}

mp_error mp_event_open(mp_event **out, const char *name,
                       const mp_open_options *options)
{
    static const mpos_word initial;
    mpi_sync *sync;
    mp_error err = mpi_sync_check_out(&mpi_event_kind, out);

    if (err == MP_OK)
        err = mpi_sync_open(&mpi_event_kind, name, options, &initial,
                            sizeof(initial), &sync);
    if (err == MP_OK)
        *out = (mp_event *)sync;
    return err;
}

/* -- The flag -------------------------------------------------------------- */

mp_error mp_event_set(mp_event *event)
{
    mp_error err = check(event);

    if (err != MP_OK)
        return err;
    if (event->sync.object != MPOS_NONE)
        return mpos_object_signal(MPOS_OBJECT_EVENT, event->sync.object, 1);
    return mpi_word_set(word_of(event), &event->sync.share);
}

mp_error mp_event_clear(mp_event *event)
{
    mp_error err = check(event);

    if (err != MP_OK)
        return err;
    if (event->sync.object != MPOS_NONE)
        return mpos_object_signal(MPOS_OBJECT_EVENT, event->sync.object, 0);
    return mpi_word_clear(word_of(event), &event->sync.share);
}

bool mp_event_is_set(mp_event *event)
{
    uint32_t value = 0;

    if (check(event) != MP_OK)
        return false;
    if (event->sync.object == MPOS_NONE)
        return mpi_word_is_set(word_of(event));
    return mpos_object_value(MPOS_OBJECT_EVENT, event->sync.object, &value) ==
               MP_OK &&
           value != 0;
}

mp_error mp_event_wait(mp_event *event, double timeout)
{
    mp_error err = check(event);

    if (err != MP_OK)
        return err;
    if (event->sync.object != MPOS_NONE)
        return mpos_object_wait(event->sync.object, mpi_deadline(timeout));
    return mpi_word_wait_set(word_of(event), &event->sync.share, timeout);
}

/* -- For mp_wait() --------------------------------------------------------- */

mp_error mpi_event_check(mp_event *event)
{
    return check(event);
}

mpos_handle mpi_event_object(const mp_event *event)
{
    return event->sync.object;
}

mp_error mpi_event_watch(mp_event *event, const mpi_atomic32 *must_stop)
{
    return mpi_word_watch(word_of(event), &event->sync.share, must_stop);
}

void mpi_event_nudge(mp_event *event)
{
    mpi_word_nudge(word_of(event), &event->sync.share);
}

/* -- Closing --------------------------------------------------------------- */

mp_error mp_event_close(mp_event *event)
{
    return mpi_sync_close(&mpi_event_kind, event);
}
