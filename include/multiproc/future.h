/* SPDX-License-Identifier: MIT */
/*
 * Futures: results that are still to come. What multiprocessing calls
 * AsyncResult and concurrent.futures calls Future is one thing here, and
 * answers to both vocabularies.
 *
 * A future is made by mp_pool_apply_async(), mp_pool_map_async(),
 * mp_pool_submit() and their like. It belongs to the process that made it.
 */
#ifndef MULTIPROC_FUTURE_H
#define MULTIPROC_FUTURE_H

#include <multiproc/object.h>

MP_BEGIN_DECLS

typedef struct mp_future mp_future;

/** What became of a task that failed. Borrowed from its future. */
typedef struct mp_failure {
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

/* In all that follow: MP_EINVAL, MP_ECLOSED; MP_ENOTCHILD in a process that
 * did not make it. @threads safe. @fork its own process only. */

/**
 * AsyncResult.get(), Future.result(): the value, or the task's failure, as
 * often as it is asked for.
 *
 * @param[out] out  a new reference; may be NULL.
 * @return MP_OK
 * @return MP_TIMED_OUT  it is not ready yet.
 * @return MP_EWORKERDIED  the worker was killed, crashed, or exited.
 * @return MP_ETIMELIMIT  it took longer than it was given.
 * @return MP_ECANCELLED  it was cancelled, or the pool was terminated.
 * @return MP_EBROKEN  the pool's workers can't be started.
 * @return MP_EPICKLE  the arguments or the result can't travel.
 * @return MP_EUNPICKLE  they did, and make no sense there.
 * @return anything else the task has raised.
 */
MP_API mp_error mp_future_get(mp_future *future, double timeout, mp_obj **out);
/** Until it is ready. @return MP_OK, MP_TIMED_OUT */
MP_API mp_error mp_future_wait(mp_future *future, double timeout);
/** AsyncResult.ready(), Future.done(): whether it has a value, or has failed.
 * False on misuse. */
MP_API bool mp_future_ready(mp_future *future);
/** AsyncResult.successful(). MP_PENDING: it is not ready. */
MP_API mp_error mp_future_successful(mp_future *future, bool *is_successful);
/** Future.exception(timeout=0): MP_OK and *failure.code MP_OK if it has not
 * failed; MP_PENDING. What *failure points to lives as long as the future. */
MP_API mp_error mp_future_failure(mp_future *future, mp_failure *failure);

/** Future.cancel(): if no worker has begun it, it never will, and what waits
 * for it gets MP_ECANCELLED. MP_ESTATE: it is too late. */
MP_API mp_error mp_future_cancel(mp_future *future);
MP_API bool mp_future_cancelled(mp_future *future);
/** Whether a worker is at it right now. */
MP_API bool mp_future_running(mp_future *future);
/**
 * Calls @p function with the future when it is ready: in the pool's own thread,
 * or here and now if it is ready already. Any number, in the order in which
 * they were added. The future lives at least until they have returned.
 * @return MP_OK, MP_ENOMEM
 */
MP_API mp_error mp_future_add_done_callback(mp_future *future,
                                            void (*function)(void *context,
                                                             mp_future *future),
                                            void *context);
/** Lets go of it; what it stands for is done all the same. Accepts NULL. */
MP_API mp_error mp_future_close(mp_future *future);

/** What mp_futures_wait() waits for; concurrent.futures' return_when. */
typedef enum mp_return_when {
    MP_ALL_COMPLETED,
    MP_FIRST_COMPLETED,
    MP_FIRST_EXCEPTION /**< or all, if none fails */
} mp_return_when;

/** concurrent.futures.wait(): ask mp_future_ready() of each afterwards. They
 * may be of several pools. NULL entries are left out.
 * @return MP_OK, MP_TIMED_OUT */
MP_API mp_error mp_futures_wait(mp_future *const *futures, size_t count,
                                mp_return_when when, double timeout);
/**
 * concurrent.futures.as_completed(), one step: which one is ready, in the order
 * in which they became so. Set its entry to NULL before the next step.
 * @return MP_OK, MP_TIMED_OUT; MP_EMPTY: all entries are NULL.
 */
MP_API mp_error mp_as_completed(mp_future *const *futures, size_t count,
                                double timeout, size_t *index);

/** Future.result() and Future.done(). */
static inline mp_error mp_future_result(mp_future *future, double timeout,
                                        mp_obj **out)
{
    return mp_future_get(future, timeout, out);
}

static inline bool mp_future_done(mp_future *future)
{
    return mp_future_ready(future);
}

MP_END_DECLS

#endif
