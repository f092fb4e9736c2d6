/* SPDX-License-Identifier: MIT */
/**
 * @defgroup queue Queues
 * Queues in shared memory: multiprocessing.Queue, JoinableQueue and SimpleQueue
 * are one thing here, and so are the orders of the queue module: first in first
 * out, last in first out, by priority, and with two ends.
 *
 *     mp_queue *queue;
 *     mp_check(mp_queue_create(&queue, 0, NULL));        queue = Queue()
 *     mp_check(mp_queue_put(queue, MP_BOX(42),           queue.put(42)
 *                           MP_FOREVER));
 *     mp_check(mp_queue_get(queue, MP_FOREVER, &item));  item = queue.get()
 *
 * There is no feeder thread: when put() returns, the item is there for
 * everybody, whatever becomes of who put it; what can't be pickled is put()'s
 * error. Counts are exact on every system, and the order is that in which
 * put() returned, over all processes.
 *
 * An item is what can be pickled, but for handles: a lock or a connection in
 * there is MP_EPICKLE. Bytes and objects are different items: get() of bytes
 * gives a bytes object, get_bytes() of an object is MP_ETYPE.
 *
 * Whoever is killed loses what it was just putting, or what it has taken, and
 * nothing else; the others go on within a second. With `redeliver`, what it has
 * taken is there again for the next one.
 *
 * maxsize counts items. Beside it there is `max_bytes`: what items may take up
 * altogether. A queue grows as it is filled and gives memory back when it is
 * drained. At max_bytes it is full if it has a maxsize: put() waits. Without
 * one, put() never waits, as in Python, and is MP_ENOSPC there. What is larger
 * than max_bytes less 32 KiB never fits, and is MP_ENOSPC at once; any other
 * item fits a queue that is empty, as long as nobody has reserved anything or
 * looks at what it got.
 *
 * A queue can be without a name, named, or in a file of the user's, see
 * value.h. What is in a file survives all processes: items whose put() has
 * returned and that nobody has taken, in their order. A crash of the machine
 * may lose what mp_queue_sync() has not written; then opening it is MP_EPROTO
 * if what is there makes no sense.
 * @{
 */
#ifndef MULTIPROC_QUEUE_H
#define MULTIPROC_QUEUE_H

#include <multiproc/named.h>

MP_BEGIN_DECLS

/** Which item is got next. */
typedef enum mp_queue_order {
    MP_QUEUE_FIFO,     /**< queue.Queue */
    MP_QUEUE_LIFO,     /**< queue.LifoQueue */
    MP_QUEUE_PRIORITY, /**< queue.PriorityQueue, but stable */
    MP_QUEUE_DEQUE     /**< collections.deque: *_front and *_back */
} mp_queue_order;

/** For what makes or opens a queue. Zero is the default for every field. */
typedef struct mp_queue_options {
    mp_queue_order order; /**< which item is got next */
    /** What a process took and has not acknowledged (mp_queue_task_done()) when
     * it dies goes back to where it came from, and is given to another. */
    bool redeliver;
    /** For all items together, each rounded up; 0: 2 GiB (128 MiB where
     * addresses have 32 bits). Address space of each process that uses it;
     * memory only as far as it is filled. Where memory can't grow (macOS; what
     * has a name or is in a file on Windows) all of it is reserved at once; 0
     * is 128 MiB there. */
    size_t max_bytes;
    /** For open() and open_file(). */
    mp_open_options open;
} mp_queue_options;

/* -- Making ---------------------------------------------------------------- */

/**
 * Queue(maxsize), JoinableQueue(maxsize), SimpleQueue().
 *
 * @param maxsize  how many items there are at most; 0: as memory allows.
 * @param[out] out  the caller owns it: mp_queue_close().
 * @param options  NULL: all defaults.
 * @return MP_OK, MP_EINVAL, MP_ENOMEM, MP_EMFILE, MP_ENOSPC
 * @return MP_EOVERFLOW  max_bytes are beyond what memory can have.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_queue_create(mp_queue **out, size_t maxsize,
                                const mp_queue_options *options);

/**
 * The queue of that name; see named.h. maxsize and options count if it is new;
 * of one that exists, order and redeliver must be the same, except with
 * MP_OPEN_EXISTING.
 * @param maxsize  as mp_queue_create().
 * @param options  NULL: all defaults.
 * @param[out] out  the caller owns it: mp_queue_close().
 * @return as mp_queue_create() and mp_lock_open(), and
 * @return MP_EEXIST  also: one exists with another order or redeliver.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_queue_open(mp_queue **out, const char *name, size_t maxsize,
                              const mp_queue_options *options);

/**
 * The queue in that file; otherwise as mp_queue_open().
 * @param path  relative to the working directory; on Windows, too, UTF-8.
 * @param maxsize  as mp_queue_create().
 * @param options  NULL: all defaults.
 * @param[out] out  the caller owns it: mp_queue_close().
 * @return as mp_queue_open(), and
 * @return MP_EPROTO  the file is cut short, damaged, or no such file at all.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_queue_open_file(mp_queue **out, const char *path,
                                   size_t maxsize,
                                   const mp_queue_options *options);

/* -- Objects --------------------------------------------------------------- */

/**
 * queue.put(item, timeout=timeout). A priority queue takes the item, or the
 * first of the items of a tuple, for the key: the smallest is got first, of
 * equal ones the one that was put first.
 *
 * @param item  consumed.
 * @param timeout  seconds; MP_FOREVER; zero or less: put_nowait().
 * @return MP_OK
 * @return MP_FULL  it stayed full for so long: queue.Full.
 * @return MP_EPICKLE  it can't travel.
 * @return MP_ETYPE  the key can't be compared with those that are there.
 * @return MP_ENOSPC  it can never fit into max_bytes, or does not now and there
 *                    is no maxsize; or memory is short.
 * @return MP_ESHUTDOWN  mp_queue_shutdown() was called.
 * @return MP_EINVAL, MP_ECLOSED, MP_EPROCLIM, MP_ENOMEM
 * @return MP_EPROTO  the queue is damaged.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_queue_put(mp_queue *queue, mp_obj *item, double timeout);

/**
 * queue.get(timeout=timeout).
 *
 * @param timeout  seconds; MP_FOREVER; zero or less: get_nowait().
 * @param[out] out  a new reference.
 * @return MP_OK
 * @return MP_EMPTY  nothing came for so long: queue.Empty.
 * @return MP_ESHUTDOWN  it is empty, and will stay so.
 * @return MP_EUNPICKLE  it is no object we know; it is consumed.
 * @return MP_ENOMEM  memory is short; it is consumed, as in Python. What gets
 *                    bytes takes nothing then.
 * @return MP_EINVAL, MP_ECLOSED, MP_EPROCLIM
 * @return MP_EPROTO  the queue is damaged.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_queue_get(mp_queue *queue, double timeout, mp_obj **out);

/**
 * queue.put_nowait(item): mp_queue_put() with a timeout of 0.
 * @param item  consumed.
 * @return as mp_queue_put().
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_queue_put_nowait(mp_queue *queue, mp_obj *item);

/**
 * queue.get_nowait(): mp_queue_get() with a timeout of 0.
 * @param[out] out  a new reference.
 * @return as mp_queue_get().
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_queue_get_nowait(mp_queue *queue, mp_obj **out);

/**
 * deque.appendleft(): puts at the front of an MP_QUEUE_DEQUE; put() is at the
 * back.
 * @param item  consumed.
 * @param timeout  seconds; MP_FOREVER; zero or less does not wait.
 * @return as mp_queue_put(), and
 * @return MP_ESTATE  it is of another order.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_queue_put_front(mp_queue *queue, mp_obj *item,
                                   double timeout);

/**
 * deque.pop(): gets from the back of an MP_QUEUE_DEQUE; get() is at the front.
 * @param timeout  seconds; MP_FOREVER; zero or less does not wait.
 * @param[out] out  a new reference.
 * @return as mp_queue_get(), and
 * @return MP_ESTATE  it is of another order.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_queue_get_back(mp_queue *queue, double timeout,
                                  mp_obj **out);

/* -- Counts ---------------------------------------------------------------- */

/**
 * queue.qsize(): how many items there are, exact, at one moment. 0 if it is
 * closed.
 * @threads safe. @fork safe.
 */
MP_API size_t mp_queue_qsize(mp_queue *queue);

/** @{ */
/**
 * queue.empty() and queue.full(), at one moment.
 * @threads safe. @fork safe.
 */
MP_API bool mp_queue_empty(mp_queue *queue);
MP_API bool mp_queue_full(mp_queue *queue);
/** @} */

/* -- Tasks: JoinableQueue -------------------------------------------------- */

/**
 * queue.task_done(): what this process got first and has not acknowledged yet
 * is done.
 * @return MP_OK
 * @return MP_ESTATE  called more often than there were items: ValueError.
 * @return MP_EINVAL, MP_ECLOSED, MP_EPROCLIM
 * @return MP_EPROTO  the queue is damaged.
 * @threads safe. @fork safe; what the parent got is the parent's.
 */
MP_API mp_error mp_queue_task_done(mp_queue *queue);

/**
 * queue.join(): until every item that was put has been acknowledged.
 * @param timeout  seconds; MP_FOREVER; zero or less only looks.
 * @return MP_OK
 * @return MP_OWNER_DIED  so it is, but some were taken by processes that have
 *                       died before they acknowledged them. Never with
 *                       redeliver.
 * @return MP_TIMED_OUT  some have not.
 * @return MP_EINVAL, MP_ECLOSED, MP_EPROCLIM
 * @return MP_EPROTO  the queue is damaged.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_queue_join(mp_queue *queue, double timeout);

/* -- Bytes ----------------------------------------------------------------- */

/**
 * Puts a copy of size bytes at data; 0 is an item, too. In a priority queue
 * their key is 0.
 * @param timeout  seconds; MP_FOREVER; zero or less does not wait.
 * @return as mp_queue_put(), but for MP_EPICKLE.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_queue_put_bytes(mp_queue *queue, const void *data,
                                   size_t size, double timeout);

/**
 * Puts a copy of size bytes at data with a key of their own.
 * @param priority  the smallest is got first.
 * @param timeout  seconds; MP_FOREVER; zero or less does not wait.
 * @return as mp_queue_put_bytes(), and
 * @return MP_ESTATE  it is no priority queue.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_queue_put_bytes_priority(mp_queue *queue, int64_t priority,
                                            const void *data, size_t size,
                                            double timeout);

/**
 * Gets an item of bytes.
 * @param timeout  seconds; MP_FOREVER; zero or less does not wait.
 * @param[out] data  malloc'ed, terminated by a zero byte that does not count;
 *                   free with mp_free().
 * @param[out] size  in bytes.
 * @return as mp_queue_get(), but for MP_EUNPICKLE, and
 * @return MP_ETYPE  the next item is an object; it stays where it is.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_queue_get_bytes(mp_queue *queue, double timeout, void **data,
                                   size_t *size);

/**
 * Gets an item of bytes into the caller's memory.
 * @param capacity  of the memory at data, in bytes.
 * @param[out] size  of the item. With MP_EOVERFLOW: what it needs.
 * @param timeout  seconds; MP_FOREVER; zero or less does not wait.
 * @return as mp_queue_get_bytes(), and
 * @return MP_EOVERFLOW  capacity is too small; it stays where it is.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_queue_get_bytes_into(mp_queue *queue, void *data,
                                        size_t capacity, size_t *size,
                                        double timeout);

/**
 * Puts all of them or, at the end of time or of room, the first of them. They
 * are in a row, without others' between those that found room at once.
 * @param items  count of them; copied.
 * @param[out] done  how many were put.
 * @param timeout  seconds for all; MP_FOREVER; zero or less does not wait.
 * @return MP_OK  at least one was put, or count is 0.
 * @return otherwise as mp_queue_put_bytes(); none was put.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_queue_put_many(mp_queue *queue, const mp_bytes *items,
                                  size_t count, size_t *done, double timeout);

/**
 * Gets the bytes of up to count items, as many as are there and fit.
 * @param data  the caller's memory, where they lie one after the other.
 * @param capacity  of that, in bytes.
 * @param[out] items  count of them; those that were got point into data.
 * @param[out] done  how many were got.
 * @param timeout  seconds for the first; MP_FOREVER; zero or less does not
 *                 wait.
 * @return as mp_queue_get_bytes(), and
 * @return MP_EOVERFLOW  not even the first fits; *done is 0.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_queue_get_many(mp_queue *queue, void *data, size_t capacity,
                                  mp_bytes *items, size_t count, size_t *done,
                                  double timeout);

/* -- Without copying ------------------------------------------------------- */

/** Room in the queue's own memory (up to 8 KiB: in this process's, and copied
 * on the way), or an item there. One at a time for each thread that has one. */
typedef struct mp_queue_slot {
    void *data;     /**< 64-byte aligned */
    size_t size;    /**< in bytes */
    uint64_t place; /**< the library's own */
} mp_queue_slot;

/**
 * Room for an item, that nobody else sees before mp_queue_commit(). It does not
 * count for maxsize until then.
 * @param size  in bytes.
 * @param[out] slot  to be given to commit() or abandon().
 * @return MP_OK
 * @return MP_FULL  there is no such room now, in a queue that has a maxsize.
 * @return MP_ENOSPC  there is none now, without a maxsize; or there never is.
 * @return MP_EINVAL, MP_ECLOSED, MP_EPROCLIM, MP_ENOMEM
 * @return MP_EPROTO  the queue is damaged.
 * @threads one slot at a time for each. @fork the slot is the parent's.
 */
MP_API mp_error mp_queue_reserve(mp_queue *queue, size_t size,
                                 mp_queue_slot *slot);

/**
 * Puts what was reserved.
 * @param slot  its size may have become less; on MP_FULL it is as it was.
 * @param timeout  seconds; MP_FOREVER; zero or less does not wait.
 * @return as mp_queue_put_bytes(), and
 * @return MP_ESTATE  there is nothing in the slot, or an item that was got.
 * @return MP_EINVAL  also: it is another queue's, or its size has grown.
 * @threads the one that has reserved it. @fork the slot is the parent's.
 */
MP_API mp_error mp_queue_commit(mp_queue *queue, mp_queue_slot *slot,
                                double timeout);

/**
 * Gives the room of a slot back.
 * @return MP_OK, MP_EINVAL, MP_ECLOSED, MP_EPROCLIM
 * @return MP_ESTATE  there is nothing in the slot.
 * @threads the one that has reserved it. @fork the slot is the parent's.
 */
MP_API mp_error mp_queue_abandon(mp_queue *queue, mp_queue_slot *slot);

/**
 * Takes an item of bytes; its memory stays the caller's until
 * mp_queue_consume().
 * @param timeout  seconds; MP_FOREVER; zero or less does not wait.
 * @param[out] slot  where it is.
 * @return as mp_queue_get_bytes().
 * @threads one slot at a time for each. @fork the slot is the parent's.
 */
MP_API mp_error mp_queue_peek(mp_queue *queue, double timeout,
                              mp_queue_slot *slot);

/**
 * Gives the memory of an item back.
 * @param slot  what mp_queue_peek() gave.
 * @return MP_OK, MP_EINVAL, MP_ECLOSED, MP_EPROCLIM
 * @return MP_ESTATE  there is nothing in the slot.
 * @threads the one that has it. @fork the slot is the parent's.
 */
MP_API mp_error mp_queue_consume(mp_queue *queue, mp_queue_slot *slot);

/* -- The end --------------------------------------------------------------- */

/**
 * queue.shutdown(): no more puts; gets until it is empty, then MP_ESHUTDOWN.
 * Python's queue.Queue has it since 3.13.
 * @param is_immediate  it is emptied now, and all of it counts as done.
 * @return MP_OK, MP_EINVAL, MP_ECLOSED, MP_EPROCLIM
 * @return MP_EPROTO  the queue is damaged.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_queue_shutdown(mp_queue *queue, bool is_immediate);

/**
 * How often what this thread got last was given out: 1 without redeliver, or
 * the first time.
 * @return 0 if it is closed.
 * @threads of the calling thread. @fork safe.
 */
MP_API unsigned mp_queue_deliveries(mp_queue *queue);

/**
 * Returns when what is in the file has reached the disk.
 * @return MP_OK, MP_EINVAL, MP_ECLOSED, MP_EIO
 * @return MP_ENOTSUP  it is in no file.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_queue_sync(mp_queue *queue);

/**
 * Ends this process's use of it, and no other's. Accepts NULL.
 * @return MP_OK, MP_EINVAL, MP_ECLOSED
 * @threads no other thread may be using it. @fork safe.
 */
MP_API mp_error mp_queue_close(mp_queue *queue);

MP_END_DECLS

/** @} */

#endif
