/* SPDX-License-Identifier: MIT */
/*
 * A list that processes share without a server: see shared_dict.h, which says
 * what holds for both. A negative index counts from the end.
 *
 * Appending, getting, setting and popping the last cost the same however long
 * it is; inserting and removing elsewhere moves 8 bytes for each item.
 */
#ifndef MULTIPROC_SHARED_LIST_H
#define MULTIPROC_SHARED_LIST_H

#include <multiproc/shared_dict.h>

MP_BEGIN_DECLS

/** @param capacity  how many items it has at most. */
MP_API mp_error mp_shared_list_create(mp_shared_list **out, size_t capacity,
                                      const mp_shared_options *options);
MP_API mp_error mp_shared_list_open(mp_shared_list **out, const char *name,
                                    size_t capacity,
                                    const mp_shared_options *options);
MP_API mp_error mp_shared_list_open_file(mp_shared_list **out, const char *path,
                                         size_t capacity,
                                         const mp_shared_options *options);

/** l.append(item). MP_ENOSPC, MP_EPICKLE. */
MP_API mp_error mp_shared_list_append(mp_shared_list *list, mp_obj *item);
/** l.extend(items): from a list or tuple; all or none of them. */
MP_API mp_error mp_shared_list_extend(mp_shared_list *list, mp_obj *items);
/** l.insert(index, item); an index out of range is the nearest end. */
MP_API mp_error mp_shared_list_insert(mp_shared_list *list, int64_t index,
                                      mp_obj *item);
/** l[index]: a new reference; the error object MP_EINDEX. */
MP_API mp_obj *mp_shared_list_get(mp_shared_list *list, int64_t index);
/** l[index] = item. MP_EINDEX. */
MP_API mp_error mp_shared_list_set(mp_shared_list *list, int64_t index,
                                   mp_obj *item);
/** l.pop(index); -1 is the last. */
MP_API mp_obj *mp_shared_list_pop(mp_shared_list *list, int64_t index);
/** del l[index]. MP_EINDEX. */
MP_API mp_error mp_shared_list_delete(mp_shared_list *list, int64_t index);
/** l.remove(item): the first that equals it. MP_ENOTFOUND. */
MP_API mp_error mp_shared_list_remove(mp_shared_list *list, mp_obj *item);
/** l.index(item). MP_ENOTFOUND. */
MP_API mp_error mp_shared_list_index(mp_shared_list *list, mp_obj *item,
                                     size_t *index);
/** l.count(item). */
MP_API mp_error mp_shared_list_count(mp_shared_list *list, mp_obj *item,
                                     size_t *count);
/** l.reverse() and l.sort(): sort is stable, and MP_ETYPE if two items can't be
 * compared. */
MP_API mp_error mp_shared_list_reverse(mp_shared_list *list);
MP_API mp_error mp_shared_list_sort(mp_shared_list *list);
MP_API mp_error mp_shared_list_clear(mp_shared_list *list);
/** len(l). 0 if closed. */
MP_API size_t mp_shared_list_length(mp_shared_list *list);
/** l[:]: all there is at one moment: a list. */
MP_API mp_obj *mp_shared_list_snapshot(mp_shared_list *list);
MP_API mp_error mp_shared_list_verify(mp_shared_list *list);
MP_API mp_error mp_shared_list_sync(mp_shared_list *list);
/** Accepts NULL. */
MP_API mp_error mp_shared_list_close(mp_shared_list *list);

MP_END_DECLS

#endif
