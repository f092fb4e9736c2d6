/* SPDX-License-Identifier: MIT */
/**
 * @defgroup shared_list Shared list
 * A list that processes share without a server: see shared_dict.h, which says
 * what holds for both. A negative index counts from the end.
 *
 * Appending, getting, setting and popping the last cost the same however long
 * it is; inserting and removing elsewhere moves 8 bytes for each item.
 * @{
 */
#ifndef MULTIPROC_SHARED_LIST_H
#define MULTIPROC_SHARED_LIST_H

#include <multiproc/shared_dict.h>

MP_BEGIN_DECLS

/**
 * A new, empty one without a name.
 * @param capacity  how many items it has at most; not 0.
 * @param options  NULL: all defaults.
 * @param[out] out  the caller owns it: mp_shared_list_close().
 * @return as mp_shared_dict_create().
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_shared_list_create(mp_shared_list **out, size_t capacity,
                                      const mp_shared_options *options);

/**
 * The one of that name; as mp_shared_dict_open().
 * @param capacity  counts if it is new.
 * @param options  NULL: all defaults.
 * @param[out] out  the caller owns it: mp_shared_list_close().
 * @return as mp_shared_dict_open().
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_shared_list_open(mp_shared_list **out, const char *name,
                                    size_t capacity,
                                    const mp_shared_options *options);

/**
 * The one in that file; as mp_shared_dict_open_file().
 * @param path  relative to the working directory; on Windows, too, UTF-8.
 * @param capacity  counts if it is new.
 * @param options  NULL: all defaults.
 * @param[out] out  the caller owns it: mp_shared_list_close().
 * @return as mp_shared_dict_open_file().
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_shared_list_open_file(mp_shared_list **out, const char *path,
                                         size_t capacity,
                                         const mp_shared_options *options);

/**
 * l.append(item).
 * @param item  consumed.
 * @return MP_OK
 * @return MP_ENOSPC  it does not fit; nothing has changed.
 * @return MP_EPICKLE  it can't travel.
 * @return MP_EPROTO  the list is damaged.
 * @return MP_EINVAL, MP_ECLOSED, MP_ENOMEM, MP_EPROCLIM
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_shared_list_append(mp_shared_list *list, mp_obj *item);

/**
 * l.extend(items): all or none of them.
 * @param items  a list or tuple, consumed.
 * @return as mp_shared_list_append(), and
 * @return MP_ETYPE  items is neither.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_shared_list_extend(mp_shared_list *list, mp_obj *items);

/**
 * l.insert(index, item); an index out of range is the nearest end.
 * @param item  consumed.
 * @return as mp_shared_list_append().
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_shared_list_insert(mp_shared_list *list, int64_t index,
                                      mp_obj *item);

/**
 * l[index].
 * @return a new reference to a copy; the error object MP_EINDEX if there is
 *         none; MP_EPROTO, MP_EINVAL, MP_ECLOSED, MP_ENOMEM or MP_EPROCLIM.
 * @threads safe. @fork safe.
 */
MP_API mp_obj *mp_shared_list_get(mp_shared_list *list, int64_t index);

/**
 * l[index] = item.
 * @param item  consumed.
 * @return as mp_shared_list_append(), and
 * @return MP_EINDEX  there is no such item.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_shared_list_set(mp_shared_list *list, int64_t index,
                                   mp_obj *item);

/**
 * l.pop(index).
 * @param index  -1 is the last.
 * @return a new reference; else an error object as mp_shared_list_get().
 * @threads safe. @fork safe.
 */
MP_API mp_obj *mp_shared_list_pop(mp_shared_list *list, int64_t index);

/**
 * del l[index].
 * @return MP_OK
 * @return MP_EINDEX  there is no such item.
 * @return MP_EPROTO, MP_EINVAL, MP_ECLOSED, MP_ENOMEM, MP_EPROCLIM
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_shared_list_delete(mp_shared_list *list, int64_t index);

/**
 * l.remove(item): the first that equals it.
 * @param item  consumed.
 * @return MP_OK
 * @return MP_ENOTFOUND  none does.
 * @return MP_EPICKLE  it is nothing that can be in there.
 * @return MP_EPROTO, MP_EINVAL, MP_ECLOSED, MP_ENOMEM, MP_EPROCLIM
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_shared_list_remove(mp_shared_list *list, mp_obj *item);

/**
 * l.index(item): where the first is that equals it.
 * @param item  consumed.
 * @return as mp_shared_list_remove().
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_shared_list_index(mp_shared_list *list, mp_obj *item,
                                     size_t *index);

/**
 * l.count(item): how many equal it.
 * @param item  consumed.
 * @return MP_OK, MP_EPICKLE, MP_EPROTO, MP_EINVAL, MP_ECLOSED, MP_ENOMEM,
 *         MP_EPROCLIM
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_shared_list_count(mp_shared_list *list, mp_obj *item,
                                     size_t *count);

/** @{ */
/**
 * l.reverse(), l.sort(), which is stable, and l.clear(); each at once.
 * @return MP_OK
 * @return MP_ETYPE  sort: two items can't be compared; nothing has changed.
 * @return MP_EPROTO, MP_EINVAL, MP_ECLOSED, MP_ENOMEM, MP_EPROCLIM
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_shared_list_reverse(mp_shared_list *list);
MP_API mp_error mp_shared_list_sort(mp_shared_list *list);
MP_API mp_error mp_shared_list_clear(mp_shared_list *list);
/** @} */

/**
 * len(l). 0 if closed.
 * @threads safe. @fork safe.
 */
MP_API size_t mp_shared_list_length(mp_shared_list *list);

/**
 * l[:]: all there is at one moment.
 * @return a new reference to a list; the error object MP_EPROTO, MP_EINVAL,
 *         MP_ECLOSED, MP_ENOMEM or MP_EPROCLIM.
 * @threads safe. @fork safe.
 */
MP_API mp_obj *mp_shared_list_snapshot(mp_shared_list *list);

/**
 * Walks through everything and tells what is wrong.
 * @return as mp_shared_dict_verify().
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_shared_list_verify(mp_shared_list *list);

/**
 * Has the system write it to its file now.
 * @return MP_OK, MP_EINVAL, MP_ECLOSED, MP_EIO
 * @return MP_ENOTSUP  it is in none.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_shared_list_sync(mp_shared_list *list);

/**
 * This process does not use it any more. Accepts NULL.
 * @return MP_OK, MP_EINVAL, MP_ECLOSED
 * @threads no other thread may be using it. @fork safe.
 */
MP_API mp_error mp_shared_list_close(mp_shared_list *list);

MP_END_DECLS

/** @} */

#endif
