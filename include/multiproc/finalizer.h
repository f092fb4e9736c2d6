/* SPDX-License-Identifier: MIT */
/*
 * Finalizers: what a process does when it ends in good order, Python's
 * multiprocessing.util.Finalize.
 *
 * The order at the end of a process, main or child: finalizers of priority
 * >= 0, highest first, the last created first among equals; daemon children
 * are terminated; all children are awaited; the other finalizers likewise.
 * A forked child starts without finalizers; a killed process runs none.
 */
#ifndef MULTIPROC_FINALIZER_H
#define MULTIPROC_FINALIZER_H

#include <multiproc/error.h>

#ifndef __cplusplus
#include <stdbool.h>
#endif

MP_BEGIN_DECLS

typedef struct mp_finalizer mp_finalizer;

/**
 * Registers a call for the end of this process.
 *
 * @param[out] out  to call or cancel it early; may be NULL. Valid until then,
 *                  or until the process ends.
 * @return MP_OK, MP_EINVAL (no function), MP_ENOMEM
 * @threads safe. @fork the child does not have it.
 */
MP_API mp_error mp_finalizer_create(mp_finalizer **out,
                                    void (*function)(void *argument),
                                    void *argument, int priority);
/** Calls it now, for the first and last time. @return MP_OK, MP_ECLOSED */
MP_API mp_error mp_finalizer_call(mp_finalizer *finalizer);
/** Forgets it. @return MP_OK, MP_ECLOSED */
MP_API mp_error mp_finalizer_cancel(mp_finalizer *finalizer);
/** Whether it will still be called. */
MP_API bool mp_finalizer_is_active(mp_finalizer *finalizer);

MP_END_DECLS

#endif
