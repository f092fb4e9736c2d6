/* SPDX-License-Identifier: MIT */
/**
 * @defgroup lock Lock and RLock
 * Lock and RLock, for processes and threads.
 *
 * A Lock may be released by any process or thread, as Python's. An RLock
 * belongs to the thread that acquired it, which may acquire it again.
 *
 * When a process that has a lock is killed, or ends, the next acquire succeeds
 * within a second, also if it has been waiting for long, and returns
 * MP_OWNER_DIED instead of MP_OK: the lock is held, and what it protects may be
 * half changed. That is told once; there is nothing to mark as consistent. If
 * whoever was told can't mend the data, it must say so in the data, for the
 * next one finds an ordinary lock. MP_OWNER_DIED is no failure: mp_check() lets
 * it pass, and the lock must be released.
 *
 * Death is that of a process: a program that replaces itself by exec() is the
 * same one. Processes must see each other's pids: a lock from another PID
 * namespace (a container) is MP_ENOTSUP.
 *
 * A thread that ends while it has an RLock counts as such a death, too. A Lock
 * is its process's, of which any thread may release it: it stays locked.
 *
 * Acquiring and releasing a lock that nobody else wants is no system call.
 * @{
 */
#ifndef MULTIPROC_LOCK_H
#define MULTIPROC_LOCK_H

#include <multiproc/named.h>

MP_BEGIN_DECLS

/**
 * A new lock without a name, to be passed to other processes as an argument or
 * through a connection.
 *
 * @param[out] out  the caller owns it: mp_lock_close().
 * @return MP_OK, MP_EINVAL, MP_ENOMEM, MP_EMFILE
 * @return MP_ENOSPC  shared memory is full.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_lock_create(mp_lock **out);

/**
 * The lock of that name; see named.h.
 *
 * @param options  NULL: open it, or create it.
 * @param[out] out  the caller owns it: mp_lock_close().
 * @return MP_OK, MP_ENOMEM, MP_EMFILE, MP_ENOSPC
 * @return MP_EINVAL  this is no name.
 * @return MP_ENOTFOUND, MP_EEXIST  by options->mode
 * @return MP_ETYPE  the name is that of another kind of thing.
 * @return MP_EACCES  not allowed to.
 * @return MP_EPROTO  there is something else of that name, or it is damaged.
 * @return MP_EVERSION  another version of this library made it.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_lock_open(mp_lock **out, const char *name,
                             const mp_open_options *options);

/**
 * Waits for the lock and takes it. Also a thread that has it waits.
 *
 * @param timeout  seconds; MP_FOREVER; zero or less only tries.
 * @return MP_OK
 * @return MP_OWNER_DIED  the lock is held; see above.
 * @return MP_TIMED_OUT  it is not.
 * @return MP_EINVAL, MP_ECLOSED
 * @return MP_EPROCLIM  too many processes use locks that were made together.
 * @return MP_ENOTSUP  it was made in another PID namespace.
 * @threads safe. @fork safe; a lock that the parent holds is the parent's.
 */
MP_API mp_error mp_lock_acquire(mp_lock *lock, double timeout);

/**
 * Releases the lock, whoever acquired it.
 *
 * @return MP_OK
 * @return MP_ESTATE  nobody has it: it was released too often.
 * @return MP_EINVAL, MP_ECLOSED
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_lock_release(mp_lock *lock);

/**
 * Whether anybody has it, at this moment. False if closed.
 * @threads safe. @fork safe.
 */
MP_API bool mp_lock_is_locked(mp_lock *lock);

/**
 * This process does not use the lock any more. If it has it, it stays locked
 * until the process ends. Accepts NULL.
 *
 * @return MP_OK, MP_EINVAL, MP_ECLOSED
 * @threads no other thread may be using it.
 * @fork safe: the parent's use does not end.
 */
MP_API mp_error mp_lock_close(mp_lock *lock);

/* -- RLock ----------------------------------------------------------------- */

/**
 * A new RLock without a name; as mp_lock_create().
 * @param[out] out  the caller owns it: mp_rlock_close().
 * @return MP_OK, MP_EINVAL, MP_ENOMEM, MP_EMFILE
 * @return MP_ENOSPC  shared memory is full.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_rlock_create(mp_rlock **out);

/**
 * The RLock of that name; see named.h. On Windows this is a mutex of the
 * system's: CreateMutexW.
 * @param options  NULL: open it, or create it.
 * @param[out] out  the caller owns it: mp_rlock_close().
 * @return as mp_lock_open().
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_rlock_open(mp_rlock **out, const char *name,
                              const mp_open_options *options);

/**
 * Waits for it and takes it. A thread that has it acquires it once more at
 * once.
 * @param timeout  seconds; MP_FOREVER; zero or less only tries.
 * @return as mp_lock_acquire(), and
 * @return MP_EOVERFLOW  acquired 2^32 - 1 times.
 * @threads safe; it is the thread's that acquired it. @fork safe; what the
 *          parent holds is the parent's.
 */
MP_API mp_error mp_rlock_acquire(mp_rlock *lock, double timeout);

/**
 * Undoes one acquire; the last one frees the lock.
 * @return MP_OK, MP_EINVAL, MP_ECLOSED
 * @return MP_ENOTOWNER  this thread does not have it.
 * @threads only the one that has it. @fork safe.
 */
MP_API mp_error mp_rlock_release(mp_rlock *lock);

/**
 * Whether any thread has it, at this moment. False if closed.
 * @threads safe. @fork safe.
 */
MP_API bool mp_rlock_is_locked(mp_rlock *lock);

/**
 * As mp_lock_close(). Accepts NULL.
 * @return MP_OK, MP_EINVAL, MP_ECLOSED
 * @threads no other thread may be using it. @fork safe: the parent's use does
 *          not end.
 */
MP_API mp_error mp_rlock_close(mp_rlock *lock);

MP_END_DECLS

/** @} */

#endif
