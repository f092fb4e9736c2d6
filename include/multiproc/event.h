/* SPDX-License-Identifier: MIT */
/**
 * @defgroup event Event
 * Event: a flag that processes and threads wait for.
 *
 * Unlike Python's, one that is set and cleared again at once wakes everybody
 * who was waiting. A process that is killed while it waits disturbs nobody.
 * @{
 */
#ifndef MULTIPROC_EVENT_H
#define MULTIPROC_EVENT_H

#include <multiproc/named.h>

MP_BEGIN_DECLS

/**
 * A new event without a name, not set.
 *
 * @param[out] out  the caller owns it: mp_event_close().
 * @return MP_OK, MP_EINVAL, MP_ENOMEM, MP_EMFILE, MP_ENOSPC
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_event_create(mp_event **out);

/**
 * The event of that name; see named.h. On Windows this is an event of the
 * system's: CreateEventW, to be reset by hand; there one that is cleared at
 * once may be missed.
 * @param options  NULL: open it, or create it.
 * @param[out] out  the caller owns it: mp_event_close().
 * @return as mp_lock_open().
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_event_open(mp_event **out, const char *name,
                              const mp_open_options *options);

/**
 * Sets it: who waits goes on, and who comes does not wait.
 * @return MP_OK, MP_EINVAL, MP_ECLOSED
 * @threads safe; async-signal-safe on POSIX (in a forked child: once it has
 *          used the event, or got it as an argument). @fork safe.
 */
MP_API mp_error mp_event_set(mp_event *event);

/**
 * Clears it: who comes from now on waits.
 * @return MP_OK, MP_EINVAL, MP_ECLOSED
 * @threads safe; async-signal-safe as mp_event_set(). @fork safe.
 */
MP_API mp_error mp_event_clear(mp_event *event);

/**
 * Whether it is set. False if it is closed, too.
 * @threads safe. @fork safe.
 */
MP_API bool mp_event_is_set(mp_event *event);

/**
 * Waits until it is set.
 * @param timeout  seconds; MP_FOREVER; zero or less only looks.
 * @return MP_OK, MP_TIMED_OUT, MP_EINVAL, MP_ECLOSED
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_event_wait(mp_event *event, double timeout);

/**
 * This process does not use it any more; others still may. Accepts NULL.
 * @return MP_OK, MP_EINVAL, MP_ECLOSED
 * @threads no other thread may be using it. @fork safe.
 */
MP_API mp_error mp_event_close(mp_event *event);

MP_END_DECLS

/** @} */

#endif
