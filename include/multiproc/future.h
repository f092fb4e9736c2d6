/* SPDX-License-Identifier: MIT */
/**
 * @defgroup future Futures
 * Futures: results that are still to come. What multiprocessing calls
 * AsyncResult and concurrent.futures calls Future is one thing here, and
 * answers to both vocabularies.
 *
 * A future is made by mp_pool_apply_async(), mp_pool_map_async(),
 * mp_pool_submit() and their like. It belongs to the process that made it.
 * @{
 */
#ifndef MULTIPROC_FUTURE_H
#define MULTIPROC_FUTURE_H

#include <multiproc/object.h>

MP_BEGIN_DECLS

/** A result that is still to come. */
typedef struct mp_future mp_future;

/** What became of a task that failed. Borrowed from its future. */
typedef struct mp_failure {
    /** MP_OK: it has not failed. */
    mp_error code;
    /** Of the task itself, "3 is no square". */
    const char *sentence;
    /** "square() at roots.c:12"; "" if it was not raised by the task. */
    const char *where;
    /** "SpawnPoolWorker-2"; "" if no worker had it. */
    const char *worker;
    /** With MP_EWORKERDIED, as mp_process_exitcode(); else 0. */
    int exitcode;
    /** How often it was begun. */
    unsigned tries;
    /** Of a map: the first item that failed. */
    size_t index;
} mp_failure;

/**
 * AsyncResult.get(), Future.result(): the value, or the task's failure, as
 * often as it is asked for.
 *
 * @param timeout  seconds; MP_FOREVER; zero or less only looks.
 * @param[out] out  a new reference; may be NULL.
 * @return MP_OK
 * @return MP_TIMED_OUT  it is not ready yet.
 * @return MP_EWORKERDIED  the worker was killed, crashed, or exited.
 * @return MP_ETIMELIMIT  it took longer than it was given.
 * @return MP_ECANCELLED  it was cancelled, or the pool was terminated.
 * @return MP_EBROKEN  the pool's workers can't be started.
 * @return MP_EPICKLE  the arguments or the result can't travel.
 * @return MP_EUNPICKLE  they did, and make no sense there.
 * @return MP_EINVAL, MP_ECLOSED, MP_ENOTCHILD
 * @return anything else the task has raised.
 * @threads safe. @fork its own process only: MP_ENOTCHILD elsewhere.
 */
MP_API mp_error mp_future_get(mp_future *future, double timeout, mp_obj **out);

/**
 * Waits until it is ready, whether it has a value or has failed.
 * @param timeout  seconds; MP_FOREVER; zero or less only looks.
 * @return MP_OK, MP_TIMED_OUT, MP_EINVAL, MP_ECLOSED, MP_ENOTCHILD
 * @threads safe. @fork its own process only.
 */
MP_API mp_error mp_future_wait(mp_future *future, double timeout);

/**
 * AsyncResult.ready(), Future.done(): whether it has a value, or has failed.
 * False on misuse.
 * @threads safe. @fork its own process only.
 */
MP_API bool mp_future_ready(mp_future *future);

/**
 * AsyncResult.successful().
 * @param[out] is_successful  whether it has a value.
 * @return MP_OK
 * @return MP_PENDING  it is not ready.
 * @return MP_EINVAL, MP_ECLOSED, MP_ENOTCHILD
 * @threads safe. @fork its own process only.
 */
MP_API mp_error mp_future_successful(mp_future *future, bool *is_successful);

/**
 * Future.exception(timeout=0).
 * @param[out] failure  its code is MP_OK if it has not failed. What it points
 *                      to lives as long as the future.
 * @return MP_OK
 * @return MP_PENDING  it is not ready.
 * @return MP_EINVAL, MP_ECLOSED, MP_ENOTCHILD
 * @threads safe. @fork its own process only.
 */
MP_API mp_error mp_future_failure(mp_future *future, mp_failure *failure);

/**
 * Future.cancel(): if no worker has begun it, it never will, and what waits for
 * it gets MP_ECANCELLED.
 * @return MP_OK  also if it was cancelled before.
 * @return MP_ESTATE  it is too late.
 * @return MP_EINVAL, MP_ECLOSED, MP_ENOTCHILD
 * @threads safe. @fork its own process only.
 */
MP_API mp_error mp_future_cancel(mp_future *future);

/**
 * Future.cancelled(): whether it was cancelled. False on misuse.
 * @threads safe. @fork its own process only.
 */
MP_API bool mp_future_cancelled(mp_future *future);

/**
 * Future.running(): whether a worker is at it right now. False on misuse.
 * @threads safe. @fork its own process only.
 */
MP_API bool mp_future_running(mp_future *future);

/**
 * Calls @p function with @p context and the future when it is ready: in the
 * pool's own thread, or here and now if it is ready already. Any number, in the
 * order in which they were added. The future lives at least until they have
 * returned.
 * @return MP_OK, MP_ENOMEM, MP_EMFILE, MP_EPROCLIM
 * @return MP_EINVAL, MP_ECLOSED, MP_ENOTCHILD
 * @threads safe. @fork its own process only.
 */
MP_API mp_error mp_future_add_done_callback(mp_future *future,
                                            void (*function)(void *context,
                                                             mp_future *future),
                                            void *context);

/**
 * Lets go of it; what it stands for is done all the same. Accepts NULL.
 * @return MP_OK, MP_EINVAL, MP_ECLOSED, MP_ENOTCHILD
 * @threads no other thread may be using it. @fork its own process only.
 */
MP_API mp_error mp_future_close(mp_future *future);

/** What mp_futures_wait() waits for; concurrent.futures' return_when. */
typedef enum mp_return_when {
    MP_ALL_COMPLETED,   /**< until all are ready */
    MP_FIRST_COMPLETED, /**< until one is */
    MP_FIRST_EXCEPTION  /**< until one has failed; or all, if none fails */
} mp_return_when;

/**
 * concurrent.futures.wait(): ask mp_future_ready() of each afterwards. They may
 * be of several pools.
 * @param futures  count of them; NULL entries are left out.
 * @param when  how many of them are enough.
 * @param timeout  seconds; MP_FOREVER; zero or less only looks.
 * @return MP_OK, MP_TIMED_OUT, MP_ENOMEM
 * @return MP_EINVAL, MP_ECLOSED, MP_ENOTCHILD  one of them.
 * @threads safe. @fork its own process only.
 */
MP_API mp_error mp_futures_wait(mp_future *const *futures, size_t count,
                                mp_return_when when, double timeout);

/**
 * concurrent.futures.as_completed(), one step: which one is ready, in the order
 * in which they became so. Set its entry to NULL before the next step.
 * @param futures  count of them; NULL entries are left out.
 * @param timeout  seconds; MP_FOREVER; zero or less only looks.
 * @param[out] index  of the one that is ready.
 * @return MP_OK, MP_TIMED_OUT, MP_ENOMEM
 * @return MP_EMPTY  all entries are NULL.
 * @return MP_EINVAL, MP_ECLOSED, MP_ENOTCHILD  one of them.
 * @threads safe. @fork its own process only.
 */
MP_API mp_error mp_as_completed(mp_future *const *futures, size_t count,
                                double timeout, size_t *index);

/**
 * Future.result(): mp_future_get().
 * @param timeout  seconds; MP_FOREVER; zero or less only looks.
 * @param[out] out  a new reference; may be NULL.
 * @return as mp_future_get().
 * @threads safe. @fork its own process only.
 */
static inline mp_error mp_future_result(mp_future *future, double timeout,
                                        mp_obj **out)
{
    return mp_future_get(future, timeout, out);
}

/**
 * Future.done(): mp_future_ready().
 * @threads safe. @fork its own process only.
 */
static inline bool mp_future_done(mp_future *future)
{
    return mp_future_ready(future);
}

MP_END_DECLS

/** @} */

#endif
