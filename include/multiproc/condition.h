/* SPDX-License-Identifier: MIT */
/**
 * @defgroup condition Condition
 * Condition: wait, with a lock released, until somebody else has changed what
 * it protects and says so.
 *
 * A process that is killed while it waits, or before it could use a
 * notification, disturbs nobody: the notification goes to another waiter
 * within a second. After such a death one later wait() may return early; who
 * uses mp_condition_wait_for() does not notice.
 *
 * When the owner of the lock dies, the next to have it is told by
 * MP_OWNER_DIED, from acquire or from wait: see lock.h.
 * @{
 */
#ifndef MULTIPROC_CONDITION_H
#define MULTIPROC_CONDITION_H

#include <multiproc/lock.h>

MP_BEGIN_DECLS

/**
 * A new condition over an RLock of its own.
 *
 * @param[out] out  the caller owns it: mp_condition_close().
 * @return MP_OK, MP_EINVAL, MP_ENOMEM, MP_EMFILE, MP_ENOSPC
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_condition_create(mp_condition **out);

/** @{ */
/**
 * A new condition over a lock of the caller's, which several conditions may
 * have. The caller still closes it, before or after the condition.
 * @param lock  a Lock, or an RLock.
 * @param[out] out  the caller owns it: mp_condition_close().
 * @return MP_OK, MP_EINVAL, MP_ENOMEM, MP_EMFILE, MP_ENOSPC
 * @return MP_ECLOSED  the lock is closed.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_condition_create_with_lock(mp_condition **out,
                                              mp_lock *lock);
MP_API mp_error mp_condition_create_with_rlock(mp_condition **out,
                                               mp_rlock *lock);
/** @} */

/**
 * Acquires its lock.
 * @param timeout  seconds; MP_FOREVER; zero or less only tries.
 * @return as mp_rlock_acquire(); over a Lock as mp_lock_acquire().
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_condition_acquire(mp_condition *condition, double timeout);

/**
 * Releases its lock.
 * @return as mp_rlock_release(); over a Lock as mp_lock_release().
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_condition_release(mp_condition *condition);

/**
 * Releases the lock, however often it was acquired, waits to be notified, and
 * acquires it again as often, also after a timeout.
 *
 * @param timeout  seconds; MP_FOREVER; zero or less only lets others in.
 * @return MP_OK  notified.
 * @return MP_TIMED_OUT  not notified.
 * @return MP_OWNER_DIED  the lock is held, its last owner died; maybe notified:
 *                        look at what it protects.
 * @return MP_ENOTOWNER  the lock is not held (a Lock: by this process; an
 *                       RLock: by this thread); nothing happened.
 * @return MP_EINVAL, MP_ECLOSED
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_condition_wait(mp_condition *condition, double timeout);

/**
 * Waits until predicate(context) is true, asking it with the lock held, at once
 * and after each notification.
 * @param timeout  seconds; MP_FOREVER; zero or less asks once.
 * @return MP_OK  it is true.
 * @return MP_TIMED_OUT  it was false when last asked, after the timeout.
 * @return MP_OWNER_DIED  the lock is held; the predicate was not asked again.
 * @return MP_ENOTOWNER  the lock is not held; nothing happened.
 * @return MP_EINVAL, MP_ECLOSED
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_condition_wait_for(mp_condition *condition,
                                      bool (*predicate)(void *context),
                                      void *context, double timeout);

/** @{ */
/**
 * Lets count of those that wait go on, or all if they are fewer, or asked for.
 * They do when the lock is released.
 * @return MP_OK
 * @return MP_ENOTOWNER  the lock is not held.
 * @return MP_EINVAL, MP_ECLOSED
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_condition_notify(mp_condition *condition, uint32_t count);
MP_API mp_error mp_condition_notify_all(mp_condition *condition);
/** @} */

/**
 * This process does not use it any more; others still may. Accepts NULL.
 * @return MP_OK, MP_EINVAL, MP_ECLOSED
 * @threads no other thread may be using it. @fork safe.
 */
MP_API mp_error mp_condition_close(mp_condition *condition);

MP_END_DECLS

/** @} */

#endif
