/* SPDX-License-Identifier: MIT */
/**
 * @defgroup barrier Barrier
 * Barrier: a number of parties, processes or threads, wait until all of them
 * have come, then all go on; again and again.
 *
 * A barrier breaks when a party gives up waiting, when the action fails, when
 * somebody aborts it, and, beyond Python, when a process is killed while it
 * waits here or runs the action. All who wait, and all who come, get
 * MP_EBROKEN, within a second, until it is reset.
 * @{
 */
#ifndef MULTIPROC_BARRIER_H
#define MULTIPROC_BARRIER_H

#include <multiproc/object.h>

MP_BEGIN_DECLS

/** What the last party to come does before all go on; anything but 0 breaks
 * the barrier. A function of the program or of a shared library. */
typedef int (*mp_barrier_action)(void);

/** The most parties there can be. */
#define MP_BARRIER_MAX 10000

/** For mp_barrier_create(). Zero is the default for every field. */
typedef struct mp_barrier_options {
    mp_barrier_action action; /**< what the last party does; NULL: nothing */
    /** For waits with MP_FOREVER: seconds; 0: none. */
    double timeout;
} mp_barrier_options;

/**
 * A new barrier.
 *
 * @param parties  1 to MP_BARRIER_MAX.
 * @param[out] out  the caller owns it: mp_barrier_close().
 * @param options  NULL: all defaults.
 * @return MP_OK
 * @return MP_EINVAL  parties is less than 1, or the timeout negative.
 * @return MP_EOVERFLOW  too many parties.
 * @return MP_ENOMEM, MP_EMFILE, MP_ENOSPC
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_barrier_create(mp_barrier **out, int64_t parties,
                                  const mp_barrier_options *options);

/**
 * Waits for the others.
 *
 * @param timeout  seconds; MP_FOREVER: the barrier's own. Zero or less breaks
 *                 the barrier unless this is the last party. It ends no wait
 *                 for room, while the action of the round before still runs.
 * @param[out] index  0 to parties - 1, a different one for each; may be NULL.
 * @return MP_OK
 * @return MP_EBROKEN  the barrier is broken, or was reset meanwhile.
 * @return MP_ESTATE  it is called by the barrier's own action.
 * @return MP_EINVAL, MP_ECLOSED, MP_EPROCLIM
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_barrier_wait(mp_barrier *barrier, double timeout,
                                uint32_t *index);

/**
 * Makes it as new; those who wait get MP_EBROKEN.
 * @return MP_OK, MP_EINVAL, MP_ECLOSED
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_barrier_reset(mp_barrier *barrier);

/**
 * Breaks it, for a party that can't go on. As mp_barrier_reset().
 * @return MP_OK, MP_EINVAL, MP_ECLOSED
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_barrier_abort(mp_barrier *barrier);

/**
 * How many have to come; 0 if it is closed.
 * @threads safe. @fork safe.
 */
MP_API uint32_t mp_barrier_parties(mp_barrier *barrier);

/**
 * How many wait at this moment; 0 if it is closed.
 * @threads safe. @fork safe.
 */
MP_API uint32_t mp_barrier_n_waiting(mp_barrier *barrier);

/**
 * True if it is closed, too.
 * @threads safe. @fork safe.
 */
MP_API bool mp_barrier_is_broken(mp_barrier *barrier);

/**
 * This process does not use it any more; others still may. Accepts NULL.
 * @return MP_OK, MP_EINVAL, MP_ECLOSED
 * @threads no other thread may be using it. @fork safe.
 */
MP_API mp_error mp_barrier_close(mp_barrier *barrier);

MP_END_DECLS

/** @} */

#endif
