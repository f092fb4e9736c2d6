/* SPDX-License-Identifier: MIT */
/**
 * @defgroup shareable_list ShareableList
 * ShareableList: a list of fixed length in SharedMemory, in CPython's layout,
 * so that Python reads and writes it, too. Items are None, bool, int, float,
 * str and bytes. A str or bytes can be replaced by one that fits the room that
 * the first one got: its length (in UTF-8) rounded up to more than a multiple
 * of 8; at most 9999991 bytes.
 *
 * The layout can't tell trailing NULs from unused room: Python silently loses
 * them, here they are refused. Nor does it count UTF-8 bytes in CPython, which
 * may cut what it stored itself; what we store is whole to every Python.
 * Python 3.8 alone has another layout: its lists are read and changed here, but
 * it can't read ours, nor those of later Pythons. Ours are longer by 4 bytes an
 * item, and up to 15, than what Python makes: changes are counted behind the
 * list, where it does not look.
 *
 * Caveats
 *
 * - There is no lock: use one beside it if several change it.
 * - A number or bool that replaces one of the same type is one store: everybody
 *   sees the old or the new one. Any other change takes several. Meanwhile, and
 *   if its writer is killed there until somebody sets it again, the item is
 *   None. A Python that reads just then may see a mixture, as everybody may of
 *   what a Python writes. What is written here is never seen as one here; in a
 *   list that Python has made it may be, if the item changes twice while it is
 *   read.
 * @{
 */
#ifndef MULTIPROC_SHAREABLE_LIST_H
#define MULTIPROC_SHAREABLE_LIST_H

#include <multiproc/shared_memory.h>

MP_BEGIN_DECLS

/**
 * A new one: ShareableList(sequence, name=name).
 *
 * @param sequence  a list or tuple, which is consumed.
 * @param name  NULL: one is made up.
 * @param[out] out  the caller owns it: mp_shareable_list_close().
 * @return as mp_shared_memory_create(), and
 * @return MP_ETYPE  an item, or sequence itself, is of another type.
 * @return MP_EINVAL  a str or bytes ends with NUL.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_shareable_list_create(mp_shareable_list **out,
                                         mp_obj *sequence, const char *name);

/**
 * One that exists: ShareableList(name=name).
 *
 * @param[out] out  the caller owns it: mp_shareable_list_close().
 * @return as mp_shared_memory_open(), and
 * @return MP_EPROTO  this is no ShareableList.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_shareable_list_open(mp_shareable_list **out,
                                       const char *name);

/**
 * len(self). 0 if it is closed.
 * @threads safe. @fork safe.
 */
MP_API size_t mp_shareable_list_length(const mp_shareable_list *list);

/**
 * self[index]; a negative index counts from the end.
 *
 * @return a new reference; the error object MP_EINDEX, MP_EPROTO (it is
 *         damaged), MP_ECLOSED, MP_EINVAL or MP_ENOMEM.
 * @threads safe, but see the caveats. @fork safe.
 */
MP_API mp_obj *mp_shareable_list_get(const mp_shareable_list *list,
                                     int64_t index);

/**
 * self[index] = obj: replaces an item by one of any type.
 *
 * @param obj  consumed.
 * @return MP_OK, MP_EINDEX, MP_ETYPE, MP_ECLOSED, MP_EPROTO
 * @return MP_EOVERFLOW  a str or bytes is longer than the room there is.
 * @return MP_EINVAL  it ends with NUL.
 * @threads one at a time for each item. @fork safe.
 */
MP_API mp_error mp_shareable_list_set(mp_shareable_list *list, int64_t index,
                                      mp_obj *obj);

/**
 * self.count(obj): how many items equal it.
 * @param obj  consumed.
 * @return MP_OK, MP_EINVAL, MP_ECLOSED, MP_EPROTO, MP_ENOMEM
 * @threads safe, but see the caveats. @fork safe.
 */
MP_API mp_error mp_shareable_list_count(const mp_shareable_list *list,
                                        mp_obj *obj, size_t *count);

/**
 * self.index(obj): where the first is that equals it.
 * @param obj  consumed.
 * @return MP_OK, MP_EINVAL, MP_ECLOSED, MP_EPROTO, MP_ENOMEM
 * @return MP_ENOTFOUND  none does.
 * @threads safe, but see the caveats. @fork safe.
 */
MP_API mp_error mp_shareable_list_index(const mp_shareable_list *list,
                                        mp_obj *obj, size_t *index);

/**
 * list(self).
 * @return a new reference to a list; the error object MP_EPROTO, MP_ECLOSED,
 *         MP_EINVAL or MP_ENOMEM.
 * @threads safe, but see the caveats. @fork safe.
 */
MP_API mp_obj *mp_shareable_list_items(const mp_shareable_list *list);

/**
 * self.format: "q8sd", as struct would pack it.
 * @param[out] out  free with mp_free().
 * @return MP_OK, MP_EINVAL, MP_ECLOSED, MP_EPROTO, MP_ENOMEM
 * @threads safe, but see the caveats. @fork safe.
 */
MP_API mp_error mp_shareable_list_format(const mp_shareable_list *list,
                                         char **out);

/**
 * repr(self): "ShareableList([1, 'a'], name='psm_...')".
 * @param[out] out  free with mp_free().
 * @return MP_OK, MP_EINVAL, MP_ECLOSED, MP_EPROTO, MP_ENOMEM
 * @threads safe, but see the caveats. @fork safe.
 */
MP_API mp_error mp_shareable_list_repr(const mp_shareable_list *list,
                                       char **out);

/**
 * self.shm: the memory it is in.
 * @return borrowed: it is closed with the list; NULL if that is closed.
 * @threads safe. @fork safe.
 */
MP_API mp_shared_memory *
mp_shareable_list_memory(const mp_shareable_list *list);

/**
 * Removes the name; as mp_shared_memory_unlink().
 * @return MP_OK, MP_ENOTFOUND, MP_EACCES, MP_EINVAL, MP_ECLOSED
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_shareable_list_unlink(mp_shareable_list *list);

/**
 * This process does not use it any more. Accepts NULL.
 * @return MP_OK, MP_EINVAL, MP_ECLOSED
 * @threads no other thread may be using it. @fork safe.
 */
MP_API mp_error mp_shareable_list_close(mp_shareable_list *list);

MP_END_DECLS

/** @} */

#endif
