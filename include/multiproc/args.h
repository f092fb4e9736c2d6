/* SPDX-License-Identifier: MIT */
/**
 * @defgroup args Arguments of a target
 * What a target was called with. The short accessors are meant for the target
 * itself: a missing argument or one of another type is an uncaught TypeError,
 * a sentence on stderr and exit code 1. The others return an error.
 *
 * Everything is borrowed from args and lives as long as the target runs.
 * @{
 */
#ifndef MULTIPROC_ARGS_H
#define MULTIPROC_ARGS_H

#include <multiproc/object.h>

MP_BEGIN_DECLS

/**
 * How many arguments there are by position.
 * @threads safe. @fork safe.
 */
MP_API size_t mp_args_count(const mp_args *args);

/**
 * An argument by position.
 * @param index  from 0 on.
 * @param[out] out  borrowed.
 * @return MP_OK
 * @return MP_EINDEX  there are not as many.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_args_get(const mp_args *args, size_t index,
                            const mp_obj **out);

/**
 * An argument by name.
 * @param[out] out  borrowed.
 * @return MP_OK
 * @return MP_EKEY  there is none of that name.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_kwargs_get(const mp_args *args, const char *name,
                              const mp_obj **out);

/** @{ */
/**
 * All of them: those by position as a tuple, those by name as a dict.
 * @return borrowed, never NULL.
 * @threads safe. @fork safe.
 */
MP_API const mp_obj *mp_args_tuple(const mp_args *args);
MP_API const mp_obj *mp_args_dict(const mp_args *args);
/** @} */

/** @{ */
/**
 * The argument at that position; each takes what the mp_obj_as_...() of that
 * name takes, mp_arg_str() a str without NUL characters, mp_arg_obj() anything.
 * One that is missing, or of another type, ends the process with exit code 1,
 * or fails the task.
 * @param index  from 0 on.
 * @return its value, borrowed.
 * @threads safe. @fork safe.
 */
MP_API int64_t mp_arg_int(const mp_args *args, size_t index);
MP_API double mp_arg_float(const mp_args *args, size_t index);
MP_API bool mp_arg_bool(const mp_args *args, size_t index);
MP_API const char *mp_arg_str(const mp_args *args, size_t index);

/**
 * The bytes at that position; as mp_arg_int().
 * @param index  from 0 on.
 * @param[out] size  in bytes.
 * @return borrowed.
 * @threads safe. @fork safe.
 */
MP_API const void *mp_arg_bytes(const mp_args *args, size_t index,
                                size_t *size);
MP_API const mp_obj *mp_arg_obj(const mp_args *args, size_t index);
MP_API mp_function mp_arg_function(const mp_args *args, size_t index);
/** @} */

/** @{ */
/**
 * The thing at that position; as mp_arg_int(). It stays open until the target
 * returns or closes it.
 * @param index  from 0 on.
 * @return borrowed.
 * @threads safe. @fork safe.
 */
MP_API mp_connection *mp_arg_connection(const mp_args *args, size_t index);

MP_API mp_lock *mp_arg_lock(const mp_args *args, size_t index);
MP_API mp_rlock *mp_arg_rlock(const mp_args *args, size_t index);
MP_API mp_semaphore *mp_arg_semaphore(const mp_args *args, size_t index);
MP_API mp_event *mp_arg_event(const mp_args *args, size_t index);
MP_API mp_condition *mp_arg_condition(const mp_args *args, size_t index);
MP_API mp_barrier *mp_arg_barrier(const mp_args *args, size_t index);
MP_API mp_value *mp_arg_value(const mp_args *args, size_t index);
MP_API mp_array *mp_arg_array(const mp_args *args, size_t index);
MP_API mp_shareable_list *mp_arg_shareable_list(const mp_args *args,
                                                size_t index);
MP_API mp_shared_dict *mp_arg_shared_dict(const mp_args *args, size_t index);
MP_API mp_shared_list *mp_arg_shared_list(const mp_args *args, size_t index);
MP_API mp_shared_memory *mp_arg_shared_memory(const mp_args *args,
                                              size_t index);
MP_API mp_queue *mp_arg_queue(const mp_args *args, size_t index);
/** @} */

/** @{ */
/**
 * The argument of that name. One of another type ends the process with exit
 * code 1, or fails the task.
 * @param fallback  returned if there is none of that name.
 * @return its value, borrowed; a thing stays open until the target returns or
 *         closes it.
 * @threads safe. @fork safe.
 */
MP_API int64_t mp_kwarg_int(const mp_args *args, const char *name,
                            int64_t fallback);
MP_API double mp_kwarg_float(const mp_args *args, const char *name,
                             double fallback);
MP_API bool mp_kwarg_bool(const mp_args *args, const char *name, bool fallback);
MP_API const char *mp_kwarg_str(const mp_args *args, const char *name,
                                const char *fallback);

/**
 * The bytes of that name; as mp_kwarg_int().
 * @param[out] size  in bytes; untouched if there is none of that name.
 * @return borrowed; NULL if there is none of that name.
 * @threads safe. @fork safe.
 */
MP_API const void *mp_kwarg_bytes(const mp_args *args, const char *name,
                                  size_t *size);
MP_API const mp_obj *mp_kwarg_obj(const mp_args *args, const char *name,
                                  const mp_obj *fallback);
MP_API mp_function mp_kwarg_function(const mp_args *args, const char *name,
                                     mp_function fallback);
MP_API mp_connection *mp_kwarg_connection(const mp_args *args, const char *name,
                                          mp_connection *fallback);
MP_API mp_lock *mp_kwarg_lock(const mp_args *args, const char *name,
                              mp_lock *fallback);
MP_API mp_rlock *mp_kwarg_rlock(const mp_args *args, const char *name,
                                mp_rlock *fallback);
MP_API mp_semaphore *mp_kwarg_semaphore(const mp_args *args, const char *name,
                                        mp_semaphore *fallback);
MP_API mp_event *mp_kwarg_event(const mp_args *args, const char *name,
                                mp_event *fallback);
MP_API mp_condition *mp_kwarg_condition(const mp_args *args, const char *name,
                                        mp_condition *fallback);
MP_API mp_barrier *mp_kwarg_barrier(const mp_args *args, const char *name,
                                    mp_barrier *fallback);
MP_API mp_value *mp_kwarg_value(const mp_args *args, const char *name,
                                mp_value *fallback);
MP_API mp_array *mp_kwarg_array(const mp_args *args, const char *name,
                                mp_array *fallback);
MP_API mp_shareable_list *mp_kwarg_shareable_list(const mp_args *args,
                                                  const char *name,
                                                  mp_shareable_list *fallback);
MP_API mp_shared_dict *mp_kwarg_shared_dict(const mp_args *args,
                                            const char *name,
                                            mp_shared_dict *fallback);
MP_API mp_shared_list *mp_kwarg_shared_list(const mp_args *args,
                                            const char *name,
                                            mp_shared_list *fallback);
MP_API mp_shared_memory *mp_kwarg_shared_memory(const mp_args *args,
                                                const char *name,
                                                mp_shared_memory *fallback);
MP_API mp_queue *mp_kwarg_queue(const mp_args *args, const char *name,
                                mp_queue *fallback);
/** @} */

MP_END_DECLS

/** @} */

#endif
