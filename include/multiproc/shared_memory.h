/* SPDX-License-Identifier: MIT */
/**
 * @defgroup shared_memory SharedMemory
 * SharedMemory: bytes with a name, for processes that are not each other's
 * parents, Python's among them. The memory holds nothing but the user's bytes,
 * and has CPython's names.
 *
 * There is no tracker that unlinks what others still use: the name is there
 * until somebody unlinks it (on Windows, until its last user has closed it).
 * What programs that were killed have left is found by mp_named_list() and
 * removed by mp_named_clean(). To that end another name, of kind
 * "SharedMemory", exists beside each one that this library creates; it also
 * tells the exact size where the system only knows pages.
 *
 * A Python before 3.13, or with track=True, unlinks at its exit what it has
 * attached to, also when we created it. That is Python's to be told:
 * SharedMemory(name, track=False); before 3.13:
 * resource_tracker.unregister(memory._name, "shared_memory").
 *
 * mp_named_clean() removes memory only if nobody at all has it open, Python
 * included. That is known on Linux; elsewhere it counts as in use as long as
 * its name exists, and mp_named_unlink() is how to remove it.
 *
 * As an argument or through a pipe it travels by its name, as in Python, and
 * must exist when it arrives; a Python at the other end has a SharedMemory.
 * @{
 */
#ifndef MULTIPROC_SHARED_MEMORY_H
#define MULTIPROC_SHARED_MEMORY_H

#include <multiproc/named.h>

MP_BEGIN_DECLS

/**
 * New memory: SharedMemory(name, create=True, size=size). Zeroed, reserved, and
 * for this user only.
 *
 * @param name  as for named.h, a leading '/' allowed and dropped; NULL: one
 *              like "psm_1a2b3c4d", see mp_shared_memory_name(). None that
 *              begins with "multiproc.".
 * @param size  in bytes, not 0.
 * @param[out] out  the caller owns it: mp_shared_memory_close().
 * @return MP_OK, MP_ENOMEM, MP_EMFILE, MP_EACCES
 * @return MP_EINVAL  size is 0, or this is no name.
 * @return MP_EEXIST  the name is taken.
 * @return MP_ENOSPC  shared memory is full.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_shared_memory_create(mp_shared_memory **out,
                                        const char *name, size_t size);

/**
 * Memory that exists: SharedMemory(name).
 *
 * @param[out] out  the caller owns it: mp_shared_memory_close().
 * @return MP_OK, MP_EINVAL, MP_ENOMEM, MP_EMFILE, MP_EACCES
 * @return MP_ENOTFOUND  there is none of that name.
 * @return MP_ENOSPC  others have made it without reserving it, and there is not
 *                    enough room: to touch it could end this process.
 * @return MP_EPROTO  it is empty: whoever creates it is not done.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_shared_memory_open(mp_shared_memory **out, const char *name);

/**
 * Python's buf: where it is in this process.
 * @return NULL if it is closed.
 * @threads safe; what is in it is the caller's to guard. @fork mapped in the
 *          child as in the parent.
 */
MP_API void *mp_shared_memory_data(mp_shared_memory *memory);

/**
 * Its size in bytes; 0 if it is closed. What Python created is whole pages long
 * on macOS and Windows.
 * @threads safe. @fork safe.
 */
MP_API size_t mp_shared_memory_size(const mp_shared_memory *memory);

/**
 * Its name, without a leading '/'.
 * @return valid until it is closed; "" if it is.
 * @threads safe. @fork safe.
 */
MP_API const char *mp_shared_memory_name(const mp_shared_memory *memory);

/**
 * Removes the name; who has the memory keeps it. On Windows nothing happens:
 * the name goes with the last user.
 *
 * @return MP_OK, MP_ENOTFOUND, MP_EACCES, MP_EINVAL, MP_ECLOSED
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_shared_memory_unlink(mp_shared_memory *memory);

/**
 * This process does not use it any more. Accepts NULL.
 * @return MP_OK, MP_EINVAL, MP_ECLOSED
 * @threads no other thread may be using it. @fork safe.
 */
MP_API mp_error mp_shared_memory_close(mp_shared_memory *memory);

MP_END_DECLS

/** @} */

#endif
