/* SPDX-License-Identifier: MIT */
/*
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
 */
#ifndef MULTIPROC_QUEUE_H
#define MULTIPROC_QUEUE_H

#include <multiproc/named.h>

MP_BEGIN_DECLS

typedef enum mp_queue_order {
    MP_QUEUE_FIFO,     /**< queue.Queue */
    MP_QUEUE_LIFO,     /**< queue.LifoQueue */
    MP_QUEUE_PRIORITY, /**< queue.PriorityQueue, but stable */
    MP_QUEUE_DEQUE     /**< collections.deque: *_front and *_back */
} mp_queue_order;

/** Zero is the default, NULL is all defaults. */
typedef struct mp_queue_options {
    mp_queue_order order;
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
 * @return MP_OK, MP_EINVAL, MP_ENOMEM, MP_EMFILE, MP_ENOSPC
 * @return MP_EOVERFLOW  max_bytes are beyond what memory can have.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_queue_create(mp_queue **out, size_t maxsize,
                                const mp_queue_options *options);
/** The one of that name. maxsize and options count if it is new; of one that
 * exists, order and redeliver must be the same (MP_EEXIST), except with
 * MP_OPEN_EXISTING. */
MP_API mp_error mp_queue_open(mp_queue **out, const char *name, size_t maxsize,
                              const mp_queue_options *options);
/** The one in that file. */
MP_API mp_error mp_queue_open_file(mp_queue **out, const char *path,
                                   size_t maxsize,
                                   const mp_queue_options *options);

/* In all that follow: MP_EINVAL, MP_ECLOSED, MP_EPROCLIM; MP_EPROTO if it is
 * damaged. timeout: seconds; MP_FOREVER; 0 or less: put_nowait, get_nowait.
 * @threads safe. @fork safe. */

/* -- Objects --------------------------------------------------------------- */

/**
 * queue.put(item, timeout=timeout). A priority queue takes the item, or the
 * first of the items of a tuple, for the key: the smallest is got first, of
 * equal ones the one that was put first.
 *
 * @param item  consumed.
 * @return MP_OK
 * @return MP_FULL  it stayed full for so long: queue.Full.
 * @return MP_EPICKLE  it can't travel.
 * @return MP_ETYPE  the key can't be compared with those that are there.
 * @return MP_ENOSPC  it can never fit into max_bytes, or does not now and there
 *                    is no maxsize; or memory is short.
 * @return MP_ESHUTDOWN  mp_queue_shutdown() was called.
 */
MP_API mp_error mp_queue_put(mp_queue *queue, mp_obj *item, double timeout);
/**
 * queue.get(timeout=timeout).
 *
 * @param[out] out  a new reference.
 * @return MP_OK
 * @return MP_EMPTY  nothing came for so long: queue.Empty.
 * @return MP_ESHUTDOWN  it is empty, and will stay so.
 * @return MP_EUNPICKLE  it is no object we know; it is consumed.
 * @return MP_ENOMEM  memory is short; it is consumed, as in Python. What gets
 *                    bytes takes nothing then.
 */
MP_API mp_error mp_queue_get(mp_queue *queue, double timeout, mp_obj **out);
/** put(item, block=False) and get(block=False). */
MP_API mp_error mp_queue_put_nowait(mp_queue *queue, mp_obj *item);
MP_API mp_error mp_queue_get_nowait(mp_queue *queue, mp_obj **out);

/** The two ends of MP_QUEUE_DEQUE: appendleft() and pop(). put() is at the
 * back, get() at the front. MP_ESTATE: of another order. */
MP_API mp_error mp_queue_put_front(mp_queue *queue, mp_obj *item,
                                   double timeout);
MP_API mp_error mp_queue_get_back(mp_queue *queue, double timeout,
                                  mp_obj **out);

/* -- Counts ---------------------------------------------------------------- */

/** queue.qsize(): exact, at one moment. 0 if it is closed. */
MP_API size_t mp_queue_qsize(mp_queue *queue);
MP_API bool mp_queue_empty(mp_queue *queue);
MP_API bool mp_queue_full(mp_queue *queue);

/* -- Tasks: JoinableQueue -------------------------------------------------- */

/** What this process got first and has not acknowledged yet is done.
 * @return MP_ESTATE  called more often than there were items: ValueError. */
MP_API mp_error mp_queue_task_done(mp_queue *queue);
/**
 * Until every item that was put has been acknowledged.
 * @return MP_OK
 * @return MP_OWNER_DIED  so it is, but some were taken by processes that have
 *                        died before they acknowledged them. Never with
 *                        redeliver.
 * @return MP_TIMED_OUT
 */
MP_API mp_error mp_queue_join(mp_queue *queue, double timeout);

/* -- Bytes ----------------------------------------------------------------- */

/** Copies size bytes; 0 is an item, too. In a priority queue their key is 0. */
MP_API mp_error mp_queue_put_bytes(mp_queue *queue, const void *data,
                                   size_t size, double timeout);
/** With that key; MP_ESTATE unless it is a priority queue. */
MP_API mp_error mp_queue_put_bytes_priority(mp_queue *queue, int64_t priority,
                                            const void *data, size_t size,
                                            double timeout);
/** @param[out] data  malloc'ed, terminated by a zero byte that does not count;
 *                    free with mp_free(). */
MP_API mp_error mp_queue_get_bytes(mp_queue *queue, double timeout, void **data,
                                   size_t *size);
/** @param[out] size  of the item. With MP_EOVERFLOW: what it needs; it stays
 *                    where it is. */
MP_API mp_error mp_queue_get_bytes_into(mp_queue *queue, void *data,
                                        size_t capacity, size_t *size,
                                        double timeout);

/**
 * All of them or, at the end of time or of room, the first *done of them:
 * MP_OK if at least one was put. They are in a row, without others' between
 * those that found room at once.
 */
MP_API mp_error mp_queue_put_many(mp_queue *queue, const mp_bytes *items,
                                  size_t count, size_t *done, double timeout);
/** The bytes of up to count items, one after the other, in the caller's memory:
 * as many as are there and fit. items[i].data points into it. MP_EOVERFLOW: not
 * even the first fits; *done is 0. */
MP_API mp_error mp_queue_get_many(mp_queue *queue, void *data, size_t capacity,
                                  mp_bytes *items, size_t count, size_t *done,
                                  double timeout);

/* -- Without copying ------------------------------------------------------- */

/** Room in the queue's own memory (up to 8 KiB: in this process's, and copied
 * on the way), or an item there. One at a time for each thread that has one. */
typedef struct mp_queue_slot {
    void *data; /**< 64-byte aligned */
    size_t size;
    uint64_t place; /**< the library's own */
} mp_queue_slot;

/** Room for an item of size bytes, that nobody else sees before commit(). It
 * does not count for maxsize until then. */
MP_API mp_error mp_queue_reserve(mp_queue *queue, size_t size,
                                 mp_queue_slot *slot);
/** Puts it; slot->size may have become less. On MP_FULL the slot is as it
 * was. */
MP_API mp_error mp_queue_commit(mp_queue *queue, mp_queue_slot *slot,
                                double timeout);
/** Gives the room back. */
MP_API mp_error mp_queue_abandon(mp_queue *queue, mp_queue_slot *slot);
/** Takes an item of bytes; its memory stays the caller's until consume(). */
MP_API mp_error mp_queue_peek(mp_queue *queue, double timeout,
                              mp_queue_slot *slot);
MP_API mp_error mp_queue_consume(mp_queue *queue, mp_queue_slot *slot);

/* -- The end --------------------------------------------------------------- */

/** queue.shutdown(): no more puts; gets until it is empty, then MP_ESHUTDOWN.
 * is_immediate: it is emptied now, and all of it counts as done. Python's
 * queue.Queue has it since 3.13. */
MP_API mp_error mp_queue_shutdown(mp_queue *queue, bool is_immediate);
/** How often what this thread got last was given out: 1 without redeliver, or
 * the first time. */
MP_API unsigned mp_queue_deliveries(mp_queue *queue);
/** Until what is in the file has reached the disk. MP_ENOTSUP: no file. */
MP_API mp_error mp_queue_sync(mp_queue *queue);
/** Only this process's use of it ends. Accepts NULL. */
MP_API mp_error mp_queue_close(mp_queue *queue);

MP_END_DECLS

#endif
