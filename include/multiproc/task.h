/* SPDX-License-Identifier: MIT */
/**
 * @defgroup task Tasks
 * Tasks: what a Pool's workers call, and how they fail.
 *
 *     static mp_obj *square(mp_args *args)           def square(n):
 *     {
 *         int64_t n = mp_arg_int(args, 0);
 *
 *         if (n < 0)                                     if n < 0:
 *             return mp_raise(MP_EINVAL,                     raise ValueError(
 *                             "%d is negative", (int)n);         f"{n} is ...")
 *         return MP_BOX(n * n);                          return n * n
 *     }
 *
 * Within a task an argument of the wrong type, and a failed mp_check(), fail
 * the task, as an exception would, and not the process: the task is left at
 * once, by longjmp(), so what it had opened stays open. mp_exit() ends the
 * worker; then the task fails with MP_EWORKERDIED.
 * @{
 */
#ifndef MULTIPROC_TASK_H
#define MULTIPROC_TASK_H

#include <multiproc/args.h>

MP_BEGIN_DECLS

/**
 * Runs in a worker.
 *
 * @param args  borrowed, with all that is in it, until this returns.
 * @return a new reference, the caller's; or NULL after mp_raise(). NULL without
 *         it, and an error object, are failures, too: MP_ERAISED, and the
 *         error the object stands for.
 */
typedef mp_obj *(*mp_task_function)(mp_args *args);

/** A function and its name, for messages. */
typedef struct mp_task {
    mp_task_function function; /**< what is called */
    const char *name;          /**< as written in C */
} mp_task;

/* What takes an mp_task is a macro as well, and is given the function only. */
#ifdef __cplusplus
#define MP_TASK(function)     \
    mp_task                   \
    {                         \
        (function), #function \
    }
#else
/** An mp_task of a function of that name. */
#define MP_TASK(function) ((mp_task){(function), #function})
#endif

/**
 * Says why the task fails; what it returns then is NULL. The caller's
 * mp_future_get() returns the code, and its sentence says where this was.
 *
 * @param code  any failure, MP_ERAISED for the program's own; what is none is
 *              taken for MP_ERAISED.
 * @param ...   a format as printf()'s, and what it wants.
 * @return NULL
 * @threads safe; it is the calling thread's task that fails. @fork safe.
 */
#define mp_raise(code, ...) \
    mp_raise_at((code), __FILE__, __LINE__, __func__, __VA_ARGS__)

/**
 * What mp_raise() calls.
 * @param code  as mp_raise().
 * @param file,line,function  where that is.
 * @param format  as printf()'s.
 * @return NULL
 * @threads safe; it is the calling thread's task that fails. @fork safe.
 */
MP_API mp_obj *mp_raise_at(mp_error code, const char *file, int line,
                           const char *function, const char *format, ...)
    MP_PRINTF(5, 6);

MP_END_DECLS

/** @} */

#endif
