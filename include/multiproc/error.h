/* SPDX-License-Identifier: MIT */
/**
 * @defgroup error Errors
 * Errors: one table of codes, the same numbers on every system, and for each
 * thread the last failure in a full sentence.
 *
 * 0 is success. Negative codes are failures. Positive codes are outcomes that
 * Python does not raise an exception for either (a wait that timed out).
 * @{
 */
#ifndef MULTIPROC_ERROR_H
#define MULTIPROC_ERROR_H

#include <multiproc/export.h>

/** X(name, number, what it means) for each code; numbers never change, new ones
 * are added. */
#define MP_ERROR_TABLE(X)                                               \
    X(MP_OK, 0, "success")                                              \
    X(MP_OWNER_DIED, 1, "acquired, but the last owner died holding it") \
    X(MP_TIMED_OUT, 2, "timed out")                                     \
    X(MP_PENDING, 3, "there is no result yet")                          \
    X(MP_FULL, 4, "the queue is full")                                  \
    X(MP_EMPTY, 5, "the queue is empty")                                \
    X(MP_EINVAL, -1, "invalid argument")                                \
    X(MP_ENOMEM, -2, "out of memory")                                   \
    X(MP_ETYPE, -3, "wrong type")                                       \
    X(MP_EINDEX, -4, "index out of range")                              \
    X(MP_EKEY, -5, "no such key")                                       \
    X(MP_ESTATE, -6, "not possible in this state")                      \
    X(MP_ECLOSED, -7, "already closed")                                 \
    X(MP_ENOTCHILD, -8, "not a child of this process")                  \
    X(MP_EGUARD, -9, "mp_main_guard() has not been passed")             \
    X(MP_EPICKLE, -10, "can't be pickled")                              \
    X(MP_EUNPICKLE, -11, "can't be unpickled")                          \
    X(MP_EOVERFLOW, -12, "too large")                                   \
    X(MP_EVERSION, -13, "the other side is a different build")          \
    X(MP_EPROTO, -14, "malformed message")                              \
    X(MP_EEOF, -15, "end of file: the other end is closed")             \
    X(MP_EPIPE, -16, "broken pipe: nobody reads the other end")         \
    X(MP_ENOTFOUND, -17, "not found")                                   \
    X(MP_EEXIST, -18, "exists already")                                 \
    X(MP_EACCES, -19, "permission denied")                              \
    X(MP_EMFILE, -20, "too many open handles")                          \
    X(MP_EPROCLIM, -21, "too many processes")                           \
    X(MP_ENOSPC, -22, "no space left")                                  \
    X(MP_ENOTSUP, -23, "not supported on this system")                  \
    X(MP_EINTR, -24, "interrupted")                                     \
    X(MP_EIO, -25, "input/output error")                                \
    X(MP_ENOTOWNER, -26, "not the owner")                               \
    X(MP_EBROKEN, -27, "the barrier, or the pool, is broken")           \
    X(MP_EAUTH, -28, "authentication failed")                           \
    X(MP_EREFUSED, -29, "nobody listens at that address")               \
    X(MP_EADDRINUSE, -30, "the address is in use")                      \
    X(MP_ESHUTDOWN, -31, "the queue is shut down")                      \
    X(MP_EWORKERDIED, -32, "the worker that had the task died")         \
    X(MP_ECANCELLED, -33, "cancelled")                                  \
    X(MP_ETIMELIMIT, -34, "it took longer than it was given")           \
    X(MP_ERAISED, -35, "the task failed")

/** The result of every function that can fail. */
typedef enum mp_error {
#define MP_ERROR_ENUM(name, number, text) name = number,
    MP_ERROR_TABLE(MP_ERROR_ENUM)
#undef MP_ERROR_ENUM
} mp_error;

/** A timeout that waits for ever. Timeouts are seconds; <= 0 only looks. */
#define MP_FOREVER (1e300)

MP_BEGIN_DECLS

/**
 * The name of an error's code, as written in C: "MP_ENOMEM".
 *
 * @return a static string; "MP_E?" for a number that is no mp_error.
 * @threads safe from any thread. @fork safe.
 */
MP_API const char *mp_error_name(mp_error error);

/**
 * What an error's code means in general: "out of memory".
 *
 * @return a static string.
 * @threads safe from any thread. @fork safe.
 */
MP_API const char *mp_strerror(mp_error error);

/**
 * The last failure in this thread, as a full sentence with its cause:
 * "can't pickle pointer 0x7ffd...: it means nothing in another process".
 *
 * Like errno it is only meaningful after a call that returned an error, and
 * success does not clear it. Empty if nothing has failed yet.
 *
 * @return a string owned by the thread, valid until its next failure.
 * @threads each thread has its own. @fork a forked child starts with a copy.
 */
MP_API const char *mp_error_message(void);

/**
 * What mp_check() calls on failure: prints the process's name, the place and
 * mp_error_message() on stderr, and ends the process with exit code 1, as an
 * uncaught exception does in Python.
 * @param error  what expression returned.
 * @param expression  the text of what failed; with it, file and line.
 * @threads safe; it is the calling thread's message that is printed. @fork
 *          safe.
 */
MP_API MP_NORETURN void mp_check_failed(mp_error error, const char *expression,
                                        const char *file, int line);

MP_END_DECLS

/** C's uncaught exception: nothing if @p expr succeeds, else exit code 1. */
#define mp_check(expr)                                                   \
    do {                                                                 \
        mp_error mp_check_error_ = (expr);                               \
        if (mp_check_error_ < 0)                                         \
            mp_check_failed(mp_check_error_, #expr, __FILE__, __LINE__); \
    } while (0)

/** @} */

#endif
