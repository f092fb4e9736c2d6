/* SPDX-License-Identifier: MIT */
/**
 * @defgroup wait Waiting
 * Waiting for many things at once: multiprocessing.connection.wait().
 *
 *     mp_wait_item items[] = {MP_WAIT(connection), MP_WAIT(process)};
 *
 *     err = mp_wait(items, 2, 1.5);            ready = wait([connection,
 *     if (err == MP_OK && items[1].is_ready)       process.sentinel], 1.5)
 * @{
 */
#ifndef MULTIPROC_WAIT_H
#define MULTIPROC_WAIT_H

#include <multiproc/event.h>
#include <multiproc/listener.h>
#include <multiproc/process.h>
#include <multiproc/queue.h>

MP_BEGIN_DECLS

/** What can be waited for, and until when. */
typedef enum mp_wait_kind {
    MP_WAIT_CONNECTION = 1, /**< a whole message is there, or none can come */
    MP_WAIT_LISTENER,       /**< accept() will not block: a client has proved
                                 itself, or failed to */
    MP_WAIT_PROCESS,        /**< it has ended */
    MP_WAIT_EVENT,          /**< it is set */
    MP_WAIT_HANDLE, /**< a descriptor is readable; a HANDLE, signalled */
    MP_WAIT_SOCKET, /**< a socket of the system is readable; where that
                                 is a descriptor, the same as HANDLE */
    MP_WAIT_QUEUE   /**< get() will not wait: an item is there, unless
                                 another takes it, or none will come */
} mp_wait_kind;

/** One thing to wait for; borrowed. */
typedef struct mp_wait_item {
    mp_wait_kind kind; /**< what it is */
    void *object;      /**< of the library's things */
    mp_handle handle;  /**< of MP_WAIT_HANDLE and MP_WAIT_SOCKET */
    bool is_ready;     /**< out */
} mp_wait_item;

/**
 * @name Items
 * @{
 */

/**
 * What MP_WAIT() makes: an item for that thing.
 * @return a value; whether there is anything wrong with it, mp_wait() tells.
 * @threads safe. @fork safe.
 */
MP_API mp_wait_item mp_wait_connection(mp_connection *connection);
MP_API mp_wait_item mp_wait_listener(mp_listener *listener);
MP_API mp_wait_item mp_wait_process(mp_process *process);
MP_API mp_wait_item mp_wait_event(mp_event *event);
MP_API mp_wait_item mp_wait_queue(mp_queue *queue);
/** @} */

/**
 * An item for a descriptor (HANDLE) of the system's.
 * @param handle  borrowed.
 * @return a value; whether there is anything wrong with it, mp_wait() tells.
 * @threads safe. @fork safe.
 */
MP_API mp_wait_item mp_wait_handle(mp_handle handle);

/**
 * An item for a socket of the system's.
 * @param socket  borrowed.
 * @return a value; whether there is anything wrong with it, mp_wait() tells.
 * @threads safe. @fork safe.
 */
MP_API mp_wait_item mp_wait_socket(mp_handle socket);

/**
 * MP_WAIT(x): an item for a connection, listener, process, event or queue.
 * In C++ they are overloads of the same name.
 */
#ifndef __cplusplus
#define MP_WAIT(x)                               \
    _Generic((x), mp_connection *                \
             : mp_wait_connection, mp_listener * \
             : mp_wait_listener, mp_process *    \
             : mp_wait_process, mp_event *       \
             : mp_wait_event, mp_queue *         \
             : mp_wait_queue)(x)
#endif

/**
 * Waits until at least one is ready, and marks all that are: is_ready of each,
 * true or false. The same thing may be there several times. There is no limit
 * on their number but the system's on open handles.
 *
 * @param items  count of them.
 * @param timeout  in seconds; MP_FOREVER; 0 or less only looks.
 * @return MP_OK  at least one is ready.
 * @return MP_TIMED_OUT  none is. With no items, after that time.
 * @return MP_ECLOSED  one of them is closed. Nothing is marked.
 * @return MP_ESTATE  one of them is a process that was not started.
 * @return MP_ENOTCHILD  one of them is another process's child.
 * @return MP_EINVAL  a handle is none; or there are no items and no end of
 *                    time.
 * @return MP_ENOMEM, MP_EMFILE
 * @threads safe; what is waited for may be closed only afterwards. @fork safe.
 */
MP_API mp_error mp_wait(mp_wait_item *items, size_t count, double timeout);

MP_END_DECLS

#ifdef __cplusplus
/* Overloads, outside extern "C". */
inline mp_wait_item MP_WAIT(mp_connection *x)
{
    return mp_wait_connection(x);
}
inline mp_wait_item MP_WAIT(mp_listener *x)
{
    return mp_wait_listener(x);
}
inline mp_wait_item MP_WAIT(mp_process *x)
{
    return mp_wait_process(x);
}
inline mp_wait_item MP_WAIT(mp_event *x)
{
    return mp_wait_event(x);
}
inline mp_wait_item MP_WAIT(mp_queue *x)
{
    return mp_wait_queue(x);
}
#endif

/** @} */

#endif
