/* SPDX-License-Identifier: MIT */
/**
 * @defgroup connection Connections
 * Connections: the two ends of a Pipe. Messages are objects or bytes; on the
 * wire they are CPython's frames, with pickles in them, so that a Python
 * process may hold the other end; of a pipe it may if that was made for it, see
 * is_stream below.
 *
 * An end passed to a child as an argument is open in both processes. As in
 * Python, close the copy you don't use: a reader sees the end of file only
 * when every copy of the other end is closed.
 *
 * An end can also be sent over another connection, to a process that runs
 * already. The sender keeps its own copy, to be closed as well; it may be
 * closed as soon as it is sent. What is sent but never received is closed by
 * the system together with the pipe it is in. A one-way pipe carries no
 * connections, nor does TCP. On Windows they are put into the receiver's
 * process when they are sent, and close with it.
 * @{
 */
#ifndef MULTIPROC_CONNECTION_H
#define MULTIPROC_CONNECTION_H

#include <multiproc/object.h>

MP_BEGIN_DECLS

/** For mp_pipe(). Zero is the default for every field. */
typedef struct mp_pipe_options {
    /** Pipe(duplex=False): the first end only receives, the second sends. */
    bool is_simplex;
    /**
     * The bytes on the wire are CPython's: for a Python process that gets an
     * end's descriptor, or code of yours that reads or writes it. By default,
     * where the system can (Linux), a two-way pipe takes messages in packets
     * that only we understand, which is quicker by a fifth or more.
     */
    bool is_stream;
} mp_pipe_options;

/**
 * Two connected ends.
 *
 * @param[out] first,second  the caller owns both: mp_connection_close().
 * @param options  NULL: both ends send and receive.
 * @return MP_OK, MP_EINVAL, MP_EMFILE, MP_ENOMEM
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_pipe(mp_connection **first, mp_connection **second,
                        const mp_pipe_options *options);

/**
 * Sends an object; blocks while the pipe is full.
 *
 * What travels: all that can be pickled, and connections, see above, up to 250
 * in a message. A Python process at the other end can't unpickle those. What is
 * in shared memory, as a Lock, and sent but never received, or received as
 * bytes, stays there until its sender ends.
 *
 * @param obj  consumed.
 * @return MP_OK
 * @return MP_EPICKLE  it can't travel, or not over this pipe; nothing was sent.
 * @return MP_EOVERFLOW  too many connections in one message; nothing was sent.
 * @return MP_EMFILE  too many connections are on their way.
 * @return MP_EPIPE  nobody reads the other end.
 * @return MP_ECLOSED
 * @return MP_EINVAL  this end only receives.
 * @return MP_ENOMEM
 * @threads safe: messages of several threads never mix. @fork safe, but two
 *          processes that send on the same end at once mix large messages.
 */
MP_API mp_error mp_connection_send(mp_connection *connection, mp_obj *obj);

/**
 * Receives the next object; blocks for it.
 *
 * @param[out] out  a new reference. A connection in it is this process's own
 *                  and stays open until the object is freed or it is closed.
 * @return MP_OK
 * @return MP_EEOF  the other end is closed and everything has been received.
 * @return MP_EUNPICKLE  the message is no object we know; it is consumed.
 * @return MP_EMFILE  this process has no room for the connections in it; it is
 *                    consumed, and they are closed.
 * @return MP_EPROTO  cut short or not a frame; the connection is unusable.
 * @return MP_ECLOSED, MP_ENOMEM
 * @return MP_EINVAL  this end only sends.
 * @threads safe: a message goes to one of them. @fork safe, but processes that
 *          receive at the same end need a lock beside it.
 */
MP_API mp_error mp_connection_recv(mp_connection *connection, mp_obj **out);

/**
 * Sends the bytes at data as one message; size 0 is a message, too.
 * @param size  in bytes.
 * @return MP_OK
 * @return MP_EPIPE  nobody reads the other end.
 * @return MP_EINVAL  this end only receives.
 * @return MP_ECLOSED, MP_ENOMEM
 * @threads safe: messages of several threads never mix. @fork as
 *          mp_connection_send().
 */
MP_API mp_error mp_connection_send_bytes(mp_connection *connection,
                                         const void *data, size_t size);

/**
 * Receives one message as bytes; connections that came with it are closed.
 * @param[out] data  malloc'ed, terminated by a zero byte that does not count;
 *                   free with mp_free().
 * @param[out] size  in bytes.
 * @return MP_OK
 * @return MP_EEOF  the other end is closed and everything has been received.
 * @return MP_EPROTO  cut short or not a frame; the connection is unusable.
 * @return MP_ECLOSED, MP_ENOMEM
 * @return MP_EINVAL  this end only sends.
 * @threads safe: a message goes to one of them. @fork as mp_connection_recv().
 */
MP_API mp_error mp_connection_recv_bytes(mp_connection *connection, void **data,
                                         size_t *size);

/**
 * Receives one message into the caller's memory.
 * @param capacity  of the memory at data, in bytes.
 * @param[out] size  of the message. With MP_EOVERFLOW: what it needs; the
 *                   message is kept for the next call, whichever that is, and
 *                   what is in data has no meaning.
 * @return MP_OK
 * @return MP_EOVERFLOW  capacity is too small.
 * @return otherwise as mp_connection_recv_bytes()
 * @threads safe: a message goes to one of them. @fork as mp_connection_recv().
 */
MP_API mp_error mp_connection_recv_bytes_into(mp_connection *connection,
                                              void *data, size_t capacity,
                                              size_t *size);

/**
 * Whether recv() will not block: a whole message is there, or none can come any
 * more. Part of a message is none.
 *
 * What it finds it takes out of the pipe, for this process's next recv(): where
 * several processes receive at one end, poll() and mp_wait() only with the lock
 * that guards recv(). A connection with a message that was found, or a part of
 * one, can't be passed on before that is received (MP_EPICKLE).
 *
 * @param timeout  in seconds; MP_FOREVER; 0 or less only looks.
 * @return MP_OK  recv() will not block.
 * @return MP_TIMED_OUT  no message in time.
 * @return MP_EINVAL  this end only sends.
 * @return MP_ECLOSED, MP_ENOMEM
 * @threads safe, but another thread may be faster to receive it. @fork safe.
 */
MP_API mp_error mp_connection_poll(mp_connection *connection, double timeout);

/**
 * As mp_connection_recv_bytes(), but of no more than maximum bytes: Python's
 * recv_bytes(maxlength).
 * @param[out] data  as mp_connection_recv_bytes().
 * @param[out] size  in bytes.
 * @return MP_OK
 * @return MP_EOVERFLOW  it is longer; it is not lost, and 128 KiB of memory at
 *                       most were taken for it: the next call, whichever that
 *                       is, gets it.
 * @return otherwise as mp_connection_recv_bytes()
 * @threads safe: a message goes to one of them. @fork as mp_connection_recv().
 */
MP_API mp_error mp_connection_recv_bytes_max(mp_connection *connection,
                                             size_t maximum, void **data,
                                             size_t *size);

/**
 * The descriptor (HANDLE), to wait for; to read or write it see is_stream.
 * @param[out] out  borrowed: it is closed with the connection.
 * @return MP_OK, MP_EINVAL, MP_ECLOSED
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_connection_fileno(mp_connection *connection, intptr_t *out);

/**
 * Whether it is closed.
 * @threads safe. @fork safe.
 */
MP_API bool mp_connection_is_closed(mp_connection *connection);

/** @{ */
/**
 * Whether this end receives, or sends. False if it is closed.
 * @threads safe. @fork safe.
 */
MP_API bool mp_connection_is_readable(mp_connection *connection);
MP_API bool mp_connection_is_writable(mp_connection *connection);
/** @} */

/**
 * Closes this end. Accepts NULL. What mp_pipe() gave is freed; an end that
 * belongs to a target's arguments is closed now and freed with them.
 * @return MP_OK, MP_EINVAL
 * @return MP_ECLOSED  closed before; nothing happens.
 * @threads no other thread may be using it. @fork the other process's copy
 *          stays open.
 */
MP_API mp_error mp_connection_close(mp_connection *connection);

MP_END_DECLS

/** @} */

#endif
