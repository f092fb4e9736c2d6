/* SPDX-License-Identifier: MIT */
/**
 * @defgroup finalizer Finalizers
 * Finalizers: what a process does when it ends in good order, Python's
 * multiprocessing.util.Finalize.
 *
 * The order at the end of a process, main or child: finalizers of priority
 * >= 0, highest first, the last created first among equals; daemon children
 * are terminated; all children are awaited; the other finalizers likewise.
 * A forked child starts without finalizers; a killed process runs none.
 * @{
 */
#ifndef MULTIPROC_FINALIZER_H
#define MULTIPROC_FINALIZER_H

#include <multiproc/error.h>

#ifndef __cplusplus
#include <stdbool.h>
#endif

MP_BEGIN_DECLS

/** A call that is to come. */
typedef struct mp_finalizer mp_finalizer;

/**
 * Registers function(argument) for the end of this process.
 *
 * @param[out] out  to call or cancel it early; may be NULL. Valid until then,
 *                  or until the process ends.
 * @param priority  see above; may be negative.
 * @return MP_OK, MP_ENOMEM
 * @return MP_EINVAL  there is no function.
 * @threads safe. @fork the child does not have it.
 */
MP_API mp_error mp_finalizer_create(mp_finalizer **out,
                                    void (*function)(void *argument),
                                    void *argument, int priority);

/**
 * Calls it now, for the first and last time.
 * @return MP_OK, MP_EINVAL
 * @return MP_ECLOSED  it was called or cancelled before.
 * @threads safe: one of several calls it. @fork the child does not have it.
 */
MP_API mp_error mp_finalizer_call(mp_finalizer *finalizer);

/**
 * Forgets it.
 * @return MP_OK, MP_EINVAL
 * @return MP_ECLOSED  it was called or cancelled before.
 * @threads safe. @fork the child does not have it.
 */
MP_API mp_error mp_finalizer_cancel(mp_finalizer *finalizer);

/**
 * Whether it will still be called.
 * @threads safe. @fork the child does not have it: false.
 */
MP_API bool mp_finalizer_is_active(mp_finalizer *finalizer);

MP_END_DECLS

/** @} */

#endif
