/* SPDX-License-Identifier: MIT */
/**
 * @defgroup system System
 * The few things of Python's os and time modules that programs with several
 * processes use all the time and that C lacks: the same on every system.
 * @{
 */
#ifndef MULTIPROC_SYSTEM_H
#define MULTIPROC_SYSTEM_H

#include <multiproc/export.h>

#include <stdint.h>

MP_BEGIN_DECLS

/**
 * os.getpid()
 * @threads safe. @fork safe.
 */
MP_API int64_t mp_getpid(void);

/**
 * os.getppid(); under forkserver that is the server, see mp_parent_process()
 * for who started this process.
 * @threads safe. @fork safe.
 */
MP_API int64_t mp_getppid(void);

/**
 * time.monotonic(): seconds that never go backwards.
 * @threads safe. @fork safe.
 */
MP_API double mp_monotonic(void);

/**
 * time.sleep(seconds); not shortened by signals.
 * @threads safe. @fork safe.
 */
MP_API void mp_sleep(double seconds);

MP_END_DECLS

/** @} */

#endif
