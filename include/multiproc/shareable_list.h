/* SPDX-License-Identifier: MIT */
/*
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
 * it can't read ours, nor those of later Pythons.
 *
 * Caveats
 *
 * - There is no lock: use one beside it if several change it.
 * - A number or bool that replaces one of the same type is one store: everybody
 *   sees the old or the new one. Any other change takes several. Meanwhile, and
 *   if its writer is killed there until somebody sets it again, the item is
 *   None. A Python that reads just then may see a mixture, as it does of what
 *   another Python writes; here it could only be of a str or bytes that is
 *   replaced twice while it is read.
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
 * @return as mp_shared_memory_open(); MP_EPROTO: this is no ShareableList.
 */
MP_API mp_error mp_shareable_list_open(mp_shareable_list **out,
                                       const char *name);

MP_API size_t mp_shareable_list_length(const mp_shareable_list *list);

/**
 * An item; a negative index counts from the end.
 *
 * @return a new reference; the error object MP_EINDEX, MP_EPROTO (it is
 *         damaged), MP_ECLOSED ...
 */
MP_API mp_obj *mp_shareable_list_get(const mp_shareable_list *list,
                                     int64_t index);
/**
 * Replaces an item by one of any type; obj is consumed.
 *
 * @return MP_OK, MP_EINDEX, MP_ETYPE, MP_ECLOSED, MP_EPROTO
 * @return MP_EOVERFLOW  a str or bytes is longer than the room there is.
 * @return MP_EINVAL  it ends with NUL.
 */
MP_API mp_error mp_shareable_list_set(mp_shareable_list *list, int64_t index,
                                      mp_obj *obj);
/** How many items equal obj, which is consumed. */
MP_API mp_error mp_shareable_list_count(const mp_shareable_list *list,
                                        mp_obj *obj, size_t *count);
/** Where the first is that equals obj, which is consumed. MP_ENOTFOUND. */
MP_API mp_error mp_shareable_list_index(const mp_shareable_list *list,
                                        mp_obj *obj, size_t *index);
/** list(self): a new reference to a list. */
MP_API mp_obj *mp_shareable_list_items(const mp_shareable_list *list);
/** Python's format: "q8sd", as struct would pack it; mp_free(). MP_EPROTO */
MP_API mp_error mp_shareable_list_format(const mp_shareable_list *list,
                                         char **out);
/** "ShareableList([1, 'a'], name='psm_...')"; mp_free(). */
MP_API mp_error mp_shareable_list_repr(const mp_shareable_list *list,
                                       char **out);
/** The memory it is in. Borrowed: it is closed with the list. */
MP_API mp_shared_memory *
mp_shareable_list_memory(const mp_shareable_list *list);
/** As mp_shared_memory_unlink(). */
MP_API mp_error mp_shareable_list_unlink(mp_shareable_list *list);
/** Accepts NULL. */
MP_API mp_error mp_shareable_list_close(mp_shareable_list *list);

MP_END_DECLS

#endif
