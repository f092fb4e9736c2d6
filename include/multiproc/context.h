/* SPDX-License-Identifier: MIT */
/*
 * Start methods: how a child comes to be, chosen for the program or for one
 * process (mp_process_options.start_method, Python's get_context()).
 *
 * spawn       the program is run again from its beginning. Every system; the
 *             default everywhere, so that one program behaves the same.
 * fork        a copy of this process. POSIX.
 * forkserver  a copy of a small helper process that was spawned once: as cheap
 *             as fork, as clean as spawn. POSIX.
 */
#ifndef MULTIPROC_CONTEXT_H
#define MULTIPROC_CONTEXT_H

#include <multiproc/object.h>

MP_BEGIN_DECLS

typedef enum mp_start_method {
    MP_START_DEFAULT,
    MP_START_SPAWN,
    MP_START_FORK,
    MP_START_FORKSERVER
} mp_start_method;

/** "spawn", "fork", "forkserver"; "default" for MP_START_DEFAULT. */
MP_API const char *mp_start_method_name(mp_start_method method);

/**
 * The method of that name, as mp_start_method_name() gives it.
 * @return MP_OK, MP_EINVAL (no such name; *out untouched)
 */
MP_API mp_error mp_start_method_from_name(const char *name,
                                          mp_start_method *out);

/** The methods of this system, the default first. Static. */
MP_API const mp_start_method *mp_get_all_start_methods(size_t *count);

/** What MP_START_DEFAULT means now. Never MP_START_DEFAULT. */
MP_API mp_start_method mp_get_start_method(void);

/**
 * Chooses the method for processes that name none. In a child it is the
 * parent's from the start. Unlike Python's it may be called again.
 *
 * @return MP_OK
 * @return MP_ENOTSUP  this system has no such method.
 * @return MP_EINVAL  no method.
 * @threads safe.
 */
MP_API mp_error mp_set_start_method(mp_start_method method);

/**
 * The program that spawn and forkserver run instead of this one. It must call
 * mp_main_guard(); a plugin, which has no main() of its own, gives the path of
 * the installed multiproc-worker. The targets must then lie in a shared
 * library, which the other program loads by its path.
 *
 * @param path  copied; NULL: this program again.
 * @return MP_OK, MP_ENOMEM, MP_EINVAL (empty)
 * @threads safe.
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
 */
MP_API mp_error mp_set_forkserver_preload(mp_function function, mp_obj *args);

MP_END_DECLS

#endif
