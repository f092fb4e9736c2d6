/* SPDX-License-Identifier: MIT */
/**
 * @defgroup semaphore Semaphore
 * Semaphore and BoundedSemaphore: a number of permits, for processes and
 * threads. Anybody may release, also who never acquired.
 *
 * A permit is nobody's: a process that is killed, or ends, does not give back
 * what it took. Where that matters, use a Lock, or let whoever starts the
 * workers release for those that die.
 * @{
 */
#ifndef MULTIPROC_SEMAPHORE_H
#define MULTIPROC_SEMAPHORE_H

#include <multiproc/named.h>

MP_BEGIN_DECLS

/** The most permits there can be. */
#define MP_SEMAPHORE_MAX 2147483647

/**
 * A new semaphore without a name.
 *
 * @param value  how many permits there are at first, 0 to MP_SEMAPHORE_MAX.
 * @param[out] out  the caller owns it: mp_semaphore_close().
 * @return MP_OK
 * @return MP_EINVAL  value is negative.
 * @return MP_EOVERFLOW  value is too large.
 * @return MP_ENOMEM, MP_EMFILE, MP_ENOSPC
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_semaphore_create(mp_semaphore **out, int64_t value);

/**
 * The same, that never holds more than value: releasing is MP_ESTATE then.
 * @param[out] out  the caller owns it: mp_semaphore_close().
 * @return as mp_semaphore_create().
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_bounded_semaphore_create(mp_semaphore **out, int64_t value);

/** @{ */
/**
 * The semaphore of that name; see named.h. On Windows this is a semaphore of
 * the system's: CreateSemaphoreW. One that exists must have been created with
 * the same value and bound, except with MP_OPEN_EXISTING.
 *
 * @param value  as mp_semaphore_create(), mp_bounded_semaphore_create().
 * @param options  NULL: open it, or create it.
 * @param[out] out  the caller owns it: mp_semaphore_close().
 * @return as mp_semaphore_create() and mp_lock_open(), and
 * @return MP_EEXIST  also: it was created with another value or bound.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_semaphore_open(mp_semaphore **out, const char *name,
                                  int64_t value,
                                  const mp_open_options *options);
MP_API mp_error mp_bounded_semaphore_open(mp_semaphore **out, const char *name,
                                          int64_t value,
                                          const mp_open_options *options);
/** @} */

/**
 * Waits for a permit and takes it.
 *
 * @param timeout  seconds; MP_FOREVER; zero or less only tries.
 * @return MP_OK, MP_TIMED_OUT, MP_EINVAL, MP_ECLOSED, MP_EPROCLIM
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_semaphore_acquire(mp_semaphore *semaphore, double timeout);

/**
 * Gives one permit.
 *
 * @return MP_OK
 * @return MP_ESTATE  it is bounded and has all its permits, or it has
 *                    MP_SEMAPHORE_MAX.
 * @return MP_EINVAL, MP_ECLOSED
 * @threads safe; async-signal-safe on POSIX. @fork safe.
 */
MP_API mp_error mp_semaphore_release(mp_semaphore *semaphore);

/**
 * Gives count permits, all or none.
 * @param count  not 0.
 * @return as mp_semaphore_release(), and
 * @return MP_EINVAL  also: count is 0.
 * @threads safe; async-signal-safe on POSIX. @fork safe.
 */
MP_API mp_error mp_semaphore_release_many(mp_semaphore *semaphore,
                                          uint32_t count);

/**
 * How many permits there are.
 * @param[out] out  as it is at this moment.
 * @return MP_OK, MP_EINVAL, MP_ECLOSED
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_semaphore_get_value(mp_semaphore *semaphore, int64_t *out);

/**
 * This process does not use it any more; others still may. Accepts NULL.
 * @return MP_OK, MP_EINVAL, MP_ECLOSED
 * @threads no other thread may be using it. @fork safe.
 */
MP_API mp_error mp_semaphore_close(mp_semaphore *semaphore);

MP_END_DECLS

/** @} */

#endif
