/* SPDX-License-Identifier: MIT */
/**
 * @defgroup pool Pool
 * Pools of worker processes: multiprocessing.Pool, and ProcessPoolExecutor.
 *
 *     mp_pool *pool;
 *     mp_check(mp_pool_create(&pool, 5, NULL));       pool = Pool(5)
 *     mp_check(mp_pool_map(pool, square, numbers,     pool.map(square, numbers)
 *                          0, &squares));
 *     mp_check(mp_pool_close(pool));                  pool.close()
 *     mp_check(mp_pool_join(pool, MP_FOREVER));       pool.join()
 *     mp_check(mp_pool_destroy(pool));                del pool
 *
 * Tasks and results go through shared memory. The pool knows at every moment
 * which worker has which task. A worker that is killed, crashes or exits costs
 * the task it has at that moment, which fails with MP_EWORKERDIED (or is tried
 * again, see `retries`); another worker takes its place; all else goes on.
 *
 * What a task is given and what it returns is anything that can be pickled, but
 * for handles: locks, queues and the like go to the workers as arguments of the
 * initializer.
 *
 * Workers are daemons, have /dev/null (NUL) as standard input, and ignore
 * Ctrl-C: the process that made the pool decides, and if it dies, they do. A
 * task may make processes and pools of its own.
 *
 * A pool has one thread that looks after the workers. Another one takes in
 * results and calls callbacks; it begins with the first call that does not wait
 * for its result.
 *
 * At exit of the process that made it a pool is terminated.
 * @{
 */
#ifndef MULTIPROC_POOL_H
#define MULTIPROC_POOL_H

#include <multiproc/context.h>
#include <multiproc/future.h>
#include <multiproc/task.h>

MP_BEGIN_DECLS

/** Workers, and what they are to do. */
typedef struct mp_pool mp_pool;
/** Results that are fetched one by one; see mp_pool_imap(). */
typedef struct mp_iterator mp_iterator;

/** Which task a free worker takes next. */
typedef enum mp_pool_order {
    MP_POOL_FIFO,     /**< first come, first served */
    MP_POOL_PRIORITY, /**< the lowest mp_task_options.priority */
    MP_POOL_SHORTEST  /**< the lowest mp_task_options.expected */
} mp_pool_order;

/** Is told how many of all items are done, now and then, in the pool's thread,
 * and at the end with done == total. */
typedef void (*mp_progress_function)(void *context, size_t done, size_t total);

/**
 * Draws a bar on stderr: done/total, rate, time left. Nothing if that is no
 * terminal. Bars of one thread at a time are told apart by context and total,
 * up to four; all are drawn on the line where the cursor is.
 * @param context  a const char *, what stands before it; may be NULL.
 * @threads safe; each has its own bars. @fork safe.
 */
MP_API void mp_progress_bar(void *context, size_t done, size_t total);

/** For mp_pool_create(). Zero is the default for every field. */
typedef struct mp_pool_options {
    /** Called in each worker before its first task. If it returns anything but
     * 0, or ends the worker, the pool is broken: all its tasks fail with
     * MP_EBROKEN. (Python starts new workers for ever.) */
    mp_function initializer;
    /** MP_ARGS(...), consumed. They may hold locks, queues, connections ... */
    mp_obj *initargs;
    /** After so many tasks a worker ends, and another takes its place; 0:
     * never. */
    size_t max_tasks_per_child;
    mp_start_method start_method; /**< of the workers */
    mp_pool_order order;          /**< what a free worker takes next */
    /** Seconds a task may take: one over it is ended together with its worker
     * and fails with MP_ETIMELIMIT. 0: as long as it likes. */
    double time_limit;
    /** How often a task is begun again after its worker died. */
    unsigned retries;
    /** Shared memory for tasks and results that are on their way; 0: 2 GiB
     * (128 MiB where addresses have 32 bits, or memory can't grow). Tasks wait
     * for room; a result that never fits fails with MP_ENOSPC. */
    size_t max_bytes;
} mp_pool_options;

/** For one call of a pool. Zero is the default for every field. */
typedef struct mp_task_options {
    /** MP_KWARGS(...), consumed. Not for maps. */
    mp_obj *kwargs;
    /** Called with the value before anybody is told that the future is ready,
     * in the pool's thread; borrowed. It must not wait for long: other results
     * wait for it. */
    void (*callback)(void *context, mp_obj *value);
    /** The same for one that has failed. */
    void (*error_callback)(void *context, const mp_failure *failure);
    /** An mp_progress_function; of maps. */
    void (*progress)(void *context, size_t done, size_t total);
    void *context;    /**< for these */
    int64_t priority; /**< of MP_POOL_PRIORITY: the lowest first */
    double expected;  /**< of MP_POOL_SHORTEST: seconds */
    /** As the pool's; 0: the pool's; MP_FOREVER: none. */
    double time_limit;
    /** As the pool's; 0: the pool's; MP_NO_RETRY: none. */
    unsigned retries;
    /** Of mp_pool_imap(): so many items at most are begun but not fetched yet;
     * 0: of a list all, as in Python, else four chunks for each worker. */
    size_t in_flight;
} mp_task_options;

/** For mp_task_options.retries: none, whatever the pool's are. */
#define MP_NO_RETRY (~0u)

/* -- Making ---------------------------------------------------------------- */

/**
 * Pool(processes). Returns when the workers are started; they may not have
 * reached their initializer yet.
 *
 * @param processes  0: mp_cpu_count().
 * @param options  NULL: all defaults; its initargs are consumed.
 * @param[out] out  the caller owns it: mp_pool_destroy().
 * @return MP_OK, MP_EINVAL, MP_ENOMEM
 * @return what mp_process_start() returns: then no worker is left.
 * @threads safe. @fork its own process only: MP_ENOTCHILD elsewhere.
 */
MP_API mp_error mp_pool_create(mp_pool **out, size_t processes,
                               const mp_pool_options *options);

/* -- One task -------------------------------------------------------------- */

/**
 * pool.apply(): as mp_pool_apply_async() and mp_future_get().
 * @param task  a function: the macro of this name makes an mp_task of it.
 * @param args  MP_ARGS(...), consumed; NULL for none.
 * @param[out] out  a new reference; may be NULL.
 * @return MP_OK
 * @return what the task has failed with, as mp_future_get().
 * @return MP_ESTATE  the pool was closed or terminated before.
 * @return MP_ETYPE  args is no tuple.
 * @return MP_EBROKEN, MP_EPICKLE, MP_ENOMEM, MP_EINVAL, MP_ECLOSED,
 *         MP_ENOTCHILD
 * @threads safe. @fork its own process only.
 */
MP_API mp_error mp_pool_apply(mp_pool *pool, mp_task task, mp_obj *args,
                              mp_obj **out);

/**
 * pool.apply_async().
 * @param task  a function: the macro of this name makes an mp_task of it.
 * @param args  MP_ARGS(...), consumed; NULL for none.
 * @param options  NULL: all defaults; its kwargs are consumed.
 * @param[out] out  mp_future_close(); may be NULL.
 * @return MP_OK
 * @return MP_ESTATE  the pool was closed or terminated before.
 * @return MP_EBROKEN  its workers can't be started.
 * @return MP_ETYPE  args is no tuple, or kwargs no dict.
 * @return MP_EINVAL, MP_ECLOSED, MP_ENOTCHILD, MP_ENOMEM
 * @threads safe. @fork its own process only.
 */
MP_API mp_error mp_pool_apply_async(mp_pool *pool, mp_task task, mp_obj *args,
                                    const mp_task_options *options,
                                    mp_future **out);

/**
 * executor.submit(): mp_pool_apply_async() without options.
 * @param task  a function: the macro of this name makes an mp_task of it.
 * @param args  MP_ARGS(...), consumed; NULL for none.
 * @param[out] out  mp_future_close(); may be NULL.
 * @return as mp_pool_apply_async().
 * @threads safe. @fork its own process only.
 */
MP_API mp_error mp_pool_submit(mp_pool *pool, mp_task task, mp_obj *args,
                               mp_future **out);

/* -- Many ------------------------------------------------------------------ */

/**
 * pool.map(): the task is called with each item as its only argument.
 *
 * All items are worked on. If some fail, the first one's failure is returned.
 *
 * @param task  a function: the macro of this name makes an mp_task of it.
 * @param items  a list or a tuple, consumed.
 * @param chunksize  items that travel, and are lost, together; 0: as Python
 *                   does, so that each worker gets four chunks.
 * @param[out] out  a list, in the order of the items; a new reference; may be
 *                  NULL.
 * @return MP_OK
 * @return what the task has failed with, as mp_future_get().
 * @return MP_ESTATE  the pool was closed or terminated before.
 * @return MP_ETYPE  items is neither.
 * @return MP_EBROKEN, MP_EPICKLE, MP_ENOMEM, MP_EINVAL, MP_ECLOSED,
 *         MP_ENOTCHILD
 * @threads safe. @fork its own process only.
 */
MP_API mp_error mp_pool_map(mp_pool *pool, mp_task task, mp_obj *items,
                            size_t chunksize, mp_obj **out);

/**
 * pool.map_async(): mp_pool_map(), whose list is the future's value.
 * @param task  a function: the macro of this name makes an mp_task of it.
 * @param items  a list or a tuple, consumed.
 * @param chunksize  as mp_pool_map().
 * @param options  NULL: all defaults; kwargs must be NULL.
 * @param[out] out  mp_future_close(); may be NULL.
 * @return MP_OK
 * @return MP_ESTATE  the pool was closed or terminated before.
 * @return MP_ETYPE  items is neither.
 * @return MP_EBROKEN, MP_ENOMEM, MP_EINVAL, MP_ECLOSED, MP_ENOTCHILD
 * @threads safe. @fork its own process only.
 */
MP_API mp_error mp_pool_map_async(mp_pool *pool, mp_task task, mp_obj *items,
                                  size_t chunksize,
                                  const mp_task_options *options,
                                  mp_future **out);

/**
 * pool.starmap(): as mp_pool_map(), but each item is a tuple or list of
 * arguments.
 * @param task  a function: the macro of this name makes an mp_task of it.
 * @param items  a list or a tuple, consumed.
 * @param chunksize  as mp_pool_map().
 * @param[out] out  a list, in the order of the items; a new reference; may be
 *                  NULL.
 * @return as mp_pool_map(), and
 * @return MP_ETYPE  also: an item is neither.
 * @threads safe. @fork its own process only.
 */
MP_API mp_error mp_pool_starmap(mp_pool *pool, mp_task task, mp_obj *items,
                                size_t chunksize, mp_obj **out);

/**
 * pool.starmap_async(): mp_pool_starmap(), whose list is the future's value.
 * @param task  a function: the macro of this name makes an mp_task of it.
 * @param items  a list or a tuple, consumed.
 * @param chunksize  as mp_pool_map().
 * @param options  NULL: all defaults; kwargs must be NULL.
 * @param[out] out  mp_future_close(); may be NULL.
 * @return as mp_pool_map_async().
 * @threads safe. @fork its own process only.
 */
MP_API mp_error mp_pool_starmap_async(mp_pool *pool, mp_task task,
                                      mp_obj *items, size_t chunksize,
                                      const mp_task_options *options,
                                      mp_future **out);

/* -- One after the other --------------------------------------------------- */

/**
 * Where the items of mp_pool_imap() come from, one at a time, called by
 * mp_pool_imap() and mp_iterator_next() only, in their thread.
 *
 * @param[out] item  a new reference.
 * @return MP_OK
 * @return MP_EEOF  there are no more.
 * @return any failure: it is delivered in the place of the item, and is the
 *         end.
 */
typedef mp_error (*mp_items_function)(void *context, mp_obj **item);

/** @{ */
/**
 * pool.imap() and pool.imap_unordered(): results one by one, in the order of
 * the items, or in that in which they are ready.
 * @param task  a function: the macro of this name makes an mp_task of it.
 * @param items  a list or a tuple, consumed.
 * @param chunksize  items that travel together; 0: 1.
 * @param options  NULL: all defaults; no kwargs, no callbacks.
 * @param[out] out  the caller owns it: mp_iterator_close().
 * @return MP_OK
 * @return MP_ESTATE  the pool was closed or terminated before.
 * @return MP_ETYPE  items is neither.
 * @return MP_EBROKEN, MP_ENOMEM, MP_EINVAL, MP_ECLOSED, MP_ENOTCHILD
 * @threads safe. @fork its own process only.
 */
MP_API mp_error mp_pool_imap(mp_pool *pool, mp_task task, mp_obj *items,
                             size_t chunksize, const mp_task_options *options,
                             mp_iterator **out);
MP_API mp_error mp_pool_imap_unordered(mp_pool *pool, mp_task task,
                                       mp_obj *items, size_t chunksize,
                                       const mp_task_options *options,
                                       mp_iterator **out);
/** @} */

/** @{ */
/**
 * The same two, with items that are made on the way, by items(context, ...).
 * @param task  a function: the macro of this name makes an mp_task of it.
 * @param items  a function, called in the thread that asks for results.
 * @param chunksize  items that travel together; 0: 1.
 * @param options  NULL: all defaults; no kwargs, no callbacks.
 * @param[out] out  the caller owns it: mp_iterator_close().
 * @return as mp_pool_imap().
 * @threads safe. @fork its own process only.
 */
MP_API mp_error mp_pool_imap_from(mp_pool *pool, mp_task task,
                                  mp_items_function items, void *context,
                                  size_t chunksize,
                                  const mp_task_options *options,
                                  mp_iterator **out);
MP_API mp_error mp_pool_imap_unordered_from(mp_pool *pool, mp_task task,
                                            mp_items_function items,
                                            void *context, size_t chunksize,
                                            const mp_task_options *options,
                                            mp_iterator **out);
/** @} */

/**
 * next(iterator). The failure of an item is returned in its place; the next
 * call gives the next item.
 * @param timeout  seconds; MP_FOREVER; zero or less only looks.
 * @param[out] out  a new reference.
 * @return MP_OK
 * @return MP_EEOF  there are no more: StopIteration.
 * @return MP_TIMED_OUT  the next one is not ready yet.
 * @return MP_EINVAL, MP_ECLOSED, MP_ENOTCHILD
 * @return what the item failed with, as mp_future_get().
 * @threads safe: a result goes to one of them. @fork its own process only.
 */
MP_API mp_error mp_iterator_next(mp_iterator *iterator, double timeout,
                                 mp_obj **out);

/**
 * What the last one that failed failed with; its index counts the items.
 * @param[out] failure  borrowed until the next call.
 * @return MP_OK
 * @return MP_ESTATE  none has failed.
 * @return MP_EINVAL, MP_ECLOSED, MP_ENOTCHILD
 * @threads safe, if no other thread fetches results. @fork its own process
 *          only.
 */
MP_API mp_error mp_iterator_failure(mp_iterator *iterator, mp_failure *failure);

/**
 * Frees it. Items that no worker has begun are dropped. Accepts NULL.
 * @return MP_OK, MP_EINVAL, MP_ECLOSED, MP_ENOTCHILD
 * @threads no other thread may be using it. @fork its own process only.
 */
MP_API mp_error mp_iterator_close(mp_iterator *iterator);

/* -- The end --------------------------------------------------------------- */

/**
 * pool.close(): no more tasks; workers end when all are done.
 * @return MP_OK, MP_EINVAL, MP_ECLOSED, MP_ENOTCHILD
 * @threads safe. @fork its own process only.
 */
MP_API mp_error mp_pool_close(mp_pool *pool);

/**
 * pool.terminate(): workers are killed; what is not ready fails with
 * MP_ECANCELLED. Never waits; may be called from callbacks.
 * @return MP_OK, MP_EINVAL, MP_ECLOSED, MP_ENOTCHILD
 * @threads safe. @fork its own process only.
 */
MP_API mp_error mp_pool_terminate(mp_pool *pool);

/**
 * pool.join(): until all workers have ended and all callbacks have returned. An
 * iterator whose items were not all begun (in_flight, imap_from) is open work:
 * fetch its results first, or close it.
 * @param timeout  seconds; MP_FOREVER; zero or less only looks.
 * @return MP_OK, MP_TIMED_OUT
 * @return MP_ESTATE  neither close() nor terminate() was called, or it is a
 *                    callback that calls.
 * @return MP_EINVAL, MP_ECLOSED, MP_ENOTCHILD
 * @threads safe. @fork its own process only.
 */
MP_API mp_error mp_pool_join(mp_pool *pool, double timeout);

/**
 * Terminates it unless it has been joined, waits for that, and frees it.
 * Futures and iterators stay usable. Accepts NULL.
 * @return MP_OK, MP_EINVAL, MP_ECLOSED, MP_ENOTCHILD
 * @return MP_ESTATE  it is a callback that calls.
 * @threads no other thread may be using it. @fork its own process only.
 */
MP_API mp_error mp_pool_destroy(mp_pool *pool);

/* -- Seeing it work -------------------------------------------------------- */

/** What a worker is doing. */
typedef enum mp_worker_state {
    MP_WORKER_STARTING, /**< not through with its initializer yet */
    MP_WORKER_IDLE,     /**< waits for a task */
    MP_WORKER_BUSY,     /**< has one */
    MP_WORKER_DEAD      /**< another one is to take its place */
} mp_worker_state;

/** One worker at one moment. */
typedef struct mp_worker_stats {
    int64_t pid;           /**< 0: it is not started */
    mp_worker_state state; /**< what it is doing */
    uint64_t tasks_done;   /**< by this one */
    unsigned restarts;     /**< how many had its place before */
    double busy_since; /**< mp_monotonic() when its task began; 0: no task */
} mp_worker_stats;

/** A pool at one moment. */
typedef struct mp_pool_stats {
    size_t workers;         /**< how many there are to be */
    uint64_t tasks_done;    /**< chunks of maps count as one */
    uint64_t tasks_running; /**< that workers have */
    uint64_t tasks_waiting; /**< for a worker */
    uint64_t workers_died; /**< killed, crashed, or ended without being asked */
} mp_pool_stats;

/**
 * What the pool does at this moment.
 * @param[out] stats  of all workers.
 * @param[out] workers  of each, room for capacity of them; NULL: only stats.
 * @return MP_OK, MP_EINVAL, MP_ECLOSED, MP_ENOTCHILD
 * @threads safe. @fork its own process only.
 */
MP_API mp_error mp_pool_get_stats(mp_pool *pool, mp_pool_stats *stats,
                                  mp_worker_stats *workers, size_t capacity);

/** @cond the functions above, given a plain function */
#define mp_pool_apply(pool, task, ...) \
    (mp_pool_apply)((pool), MP_TASK(task), __VA_ARGS__)
#define mp_pool_apply_async(pool, task, ...) \
    (mp_pool_apply_async)((pool), MP_TASK(task), __VA_ARGS__)
#define mp_pool_submit(pool, task, ...) \
    (mp_pool_submit)((pool), MP_TASK(task), __VA_ARGS__)
#define mp_pool_map(pool, task, ...) \
    (mp_pool_map)((pool), MP_TASK(task), __VA_ARGS__)
#define mp_pool_map_async(pool, task, ...) \
    (mp_pool_map_async)((pool), MP_TASK(task), __VA_ARGS__)
#define mp_pool_starmap(pool, task, ...) \
    (mp_pool_starmap)((pool), MP_TASK(task), __VA_ARGS__)
#define mp_pool_starmap_async(pool, task, ...) \
    (mp_pool_starmap_async)((pool), MP_TASK(task), __VA_ARGS__)
#define mp_pool_imap(pool, task, ...) \
    (mp_pool_imap)((pool), MP_TASK(task), __VA_ARGS__)
#define mp_pool_imap_unordered(pool, task, ...) \
    (mp_pool_imap_unordered)((pool), MP_TASK(task), __VA_ARGS__)
#define mp_pool_imap_from(pool, task, ...) \
    (mp_pool_imap_from)((pool), MP_TASK(task), __VA_ARGS__)
#define mp_pool_imap_unordered_from(pool, task, ...) \
    (mp_pool_imap_unordered_from)((pool), MP_TASK(task), __VA_ARGS__)
/** @endcond */

MP_END_DECLS

/** @} */

#endif
