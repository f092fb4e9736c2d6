/* SPDX-License-Identifier: MIT */
/**
 * @defgroup pickle Pickle
 * Python's pickle for mp_obj, without processes: what mp_connection_send()
 * writes, and what pickle.dumps() of a Python program gives us to read.
 *
 * Written is protocol 4, byte for byte as CPython writes it; an object that is
 * there several times is written once. Read are protocols 0 to 5. bytearray
 * becomes bytes, frozenset becomes a set.
 *
 * Reading is safe on hostile input: nothing in a pickle runs code, recurses or
 * allocates without bound. Instances of classes we do not know become opaque
 * objects, which only know their class's name.
 * @{
 */
#ifndef MULTIPROC_PICKLE_H
#define MULTIPROC_PICKLE_H

#include <multiproc/object.h>

MP_BEGIN_DECLS

/**
 * pickle.dumps(obj, protocol=4)
 *
 * @param[out] data  owned by the caller; free with mp_free().
 * @param[out] size  in bytes.
 *
 * @return MP_OK
 * @return MP_EPICKLE  something inside means nothing elsewhere (a pointer, a
 *                     function of no module, a handle, an opaque object).
 * @return MP_EINVAL   data or size is NULL.
 * @return MP_ENOMEM
 * @return what obj stands for, if it is an error object.
 * @threads safe while no thread builds up obj. @fork safe.
 */
MP_API mp_error mp_pickle_dumps(const mp_obj *obj, void **data, size_t *size);

/**
 * pickle.loads(data) for protocols 0 to 5; data is one pickle and no more.
 *
 * @param[out] out  a new reference.
 * @param size  in bytes.
 *
 * @return MP_OK
 * @return MP_EUNPICKLE  no pickle, cut short, bytes left over, an int beyond
 *                       64 bits, a container that holds itself, a key that is
 *                       unhashable, a function of a module that is not here,
 *                       or a handle, which needs a connection.
 * @return MP_EVERSION   a function of a different build.
 * @return MP_EOVERFLOW  nested deeper than 1000 levels.
 * @return MP_EINVAL     data or out is NULL.
 * @return MP_ENOMEM
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_pickle_loads(const void *data, size_t size, mp_obj **out);

MP_END_DECLS

/** @} */

#endif
