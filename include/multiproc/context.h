/* SPDX-License-Identifier: MIT */
/**
 * @defgroup context Start methods
 * Start methods: how a child comes to be, chosen for the program or for one
 * process (mp_process_options.start_method, Python's get_context()).
 *
 * - spawn: the program is run again from its beginning. Every system; the
 *   default everywhere, so that one program behaves the same.
 * - fork: a copy of this process. POSIX.
 * - forkserver: a copy of a small helper process that was spawned once: as
 *   cheap as fork, as clean as spawn. POSIX.
 * @{
 */
#ifndef MULTIPROC_CONTEXT_H
#define MULTIPROC_CONTEXT_H

#include <multiproc/object.h>

MP_BEGIN_DECLS

/** How a child comes to be. */
typedef enum mp_start_method {
    MP_START_DEFAULT,   /**< what mp_get_start_method() says */
    MP_START_SPAWN,     /**< the program is run again */
    MP_START_FORK,      /**< a copy of this process */
    MP_START_FORKSERVER /**< a copy of a small helper process */
} mp_start_method;

/**
 * The name of a method: "spawn", "fork", "forkserver"; "default" for
 * MP_START_DEFAULT, and whatever is none.
 * @return a static string.
 * @threads safe. @fork safe.
 */
MP_API const char *mp_start_method_name(mp_start_method method);

/**
 * The method of that name, as mp_start_method_name() gives it.
 * @param[out] out  untouched on failure.
 * @return MP_OK
 * @return MP_EINVAL  there is no such name.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_start_method_from_name(const char *name,
                                          mp_start_method *out);

/**
 * The methods of this system, the default first.
 * @param[out] count  how many; may be NULL.
 * @return a static array.
 * @threads safe. @fork safe.
 */
MP_API const mp_start_method *mp_get_all_start_methods(size_t *count);

/**
 * What MP_START_DEFAULT means now. Never MP_START_DEFAULT.
 * @threads safe. @fork a child starts with the parent's.
 */
MP_API mp_start_method mp_get_start_method(void);

/**
 * Chooses the method for processes that name none. In a child it is the
 * parent's from the start. Unlike Python's it may be called again.
 *
 * @return MP_OK
 * @return MP_ENOTSUP  this system has no such method.
 * @return MP_EINVAL  no method.
 * @threads safe.
 * @fork safe.
 */
MP_API mp_error mp_set_start_method(mp_start_method method);

/**
 * The program that spawn and forkserver run instead of this one. It must call
 * mp_main_guard(); a plugin, which has no main() of its own, gives the path of
 * the installed multiproc-worker. The targets must then lie in a shared
 * library, which the other program loads by its path.
 *
 * @param path  copied; NULL: this program again.
 * @return MP_OK, MP_ENOMEM
 * @return MP_EINVAL  path is empty.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_set_executable(const char *path);

/**
 * A function that the fork server runs once, before its first child; children
 * inherit the memory it leaves (tables, caches, loaded models). To be called
 * before the first forkserver start. Its result must be 0.
 *
 * @param function  NULL: none.
 * @param args      MP_ARGS(...), consumed; NULL for none.
 * @return MP_OK
 * @return MP_ESTATE  the server is running already.
 * @return MP_EINVAL, MP_ENOMEM
 * @threads safe.
 * @fork safe.
 */
MP_API mp_error mp_set_forkserver_preload(mp_function function, mp_obj *args);

MP_END_DECLS

/** @} */

#endif
