/* SPDX-License-Identifier: MIT */
/*
 * The few things of Python's os and time modules that programs with several
 * processes use all the time and that C lacks: the same on every system.
 */
#ifndef MULTIPROC_SYSTEM_H
#define MULTIPROC_SYSTEM_H

#include <multiproc/export.h>

#include <stdint.h>

MP_BEGIN_DECLS

/** os.getpid() */
MP_API int64_t mp_getpid(void);
/** os.getppid(); under forkserver that is the server, see
 *  mp_parent_process() for who started this process. */
MP_API int64_t mp_getppid(void);
/** time.monotonic(): seconds that never go backwards. */
MP_API double mp_monotonic(void);
/** time.sleep(); not shortened by signals. */
MP_API void mp_sleep(double seconds);

MP_END_DECLS

#endif
