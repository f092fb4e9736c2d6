/* SPDX-License-Identifier: MIT */
/* What mp_wait() needs to know of events. */
#ifndef MULTIPROC_EVENT_INTERNAL_H
#define MULTIPROC_EVENT_INTERNAL_H

#include "os.h"

#include <multiproc/event.h>

/* MP_OK, MP_EINVAL, MP_ECLOSED, or the failure to attach. */
mp_error mpi_event_check(mp_event *event);
/* The system's own event, to be waited for as MPOS_WAIT_HANDLE; MPOS_NONE: it
 * is none. */
mpos_handle mpi_event_object(const mp_event *event);
/* Sleeps until it is set (MP_OK), or until *must_stop and then a nudge
 * (MP_TIMED_OUT). Only if it is no object of the system's. */
mp_error mpi_event_watch(mp_event *event, const mpi_atomic32 *must_stop);
/* A nudge may come before the sleep that it is to end: do it again. */
void mpi_event_nudge(mp_event *event);

#endif
