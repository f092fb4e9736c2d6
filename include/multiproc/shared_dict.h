/* SPDX-License-Identifier: MIT */
/**
 * @defgroup shared_dict Shared dict
 * A dict and a list that processes share without a server: Manager().dict() and
 * .list() at the speed of memory. Keys of a dict are str, int (bool is one) or
 * bytes; values, and the items of a list, are anything that can be pickled, but
 * for handles: a lock or a connection in there is MP_EPICKLE.
 *
 *     mp_shared_dict *d;
 *     mp_check(mp_shared_dict_create(&d, 1000, NULL));
 *     mp_check(mp_shared_dict_set(d, MP_BOX("two"), MP_BOX(2)));
 *     mp_obj *two = mp_shared_dict_get(d, MP_BOX("two"));
 *
 * What is got is a copy: changing it changes nothing in the dict until it is
 * set again. Each call happens at once, before or after any other's; several
 * that belong together want a Lock beside it.
 *
 * Whoever is killed in the middle of a call leaves what was there before the
 * call, or what is there after it, never anything in between: the next caller
 * finds out and tidies up, which takes as long as copying the table once.
 *
 * Both are bounded. Room is reserved when they are made: `capacity` entries,
 * and `size` bytes for keys and values, each of which costs 32 bytes more than
 * it has, pickled. What doesn't fit is MP_ENOSPC, and changes nothing;
 * what replaces something must fit beside it, since a kill may come between.
 *
 * They can be without a name, named, or in a file of the user's: see value.h,
 * which says what holds for all three.
 * @{
 */
#ifndef MULTIPROC_SHARED_DICT_H
#define MULTIPROC_SHARED_DICT_H

#include <multiproc/named.h>

MP_BEGIN_DECLS

/** For the shared dict and list. Zero is the default for every field. */
typedef struct mp_shared_options {
    /** Bytes for keys and values; 0: 128 for each of capacity. */
    size_t size;
    /** For open() and open_file(). */
    mp_open_options open;
} mp_shared_options;

/* -- The dict -------------------------------------------------------------- */

/**
 * A new, empty one without a name.
 *
 * @param capacity  how many keys it has at most; not 0.
 * @param options  NULL: all defaults.
 * @param[out] out  the caller owns it: mp_shared_dict_close().
 * @return MP_OK, MP_EINVAL, MP_ENOMEM, MP_EMFILE, MP_ENOSPC
 * @return MP_EOVERFLOW  capacity or size are beyond what memory can have.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_shared_dict_create(mp_shared_dict **out, size_t capacity,
                                      const mp_shared_options *options);

/**
 * The one of that name. capacity and size count if it is new; of one that
 * exists, whatever they are.
 *
 * @param options  NULL: all defaults.
 * @param[out] out  the caller owns it: mp_shared_dict_close().
 * @return as mp_shared_dict_create() and mp_lock_open().
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_shared_dict_open(mp_shared_dict **out, const char *name,
                                    size_t capacity,
                                    const mp_shared_options *options);

/**
 * The one in that file; otherwise as mp_shared_dict_open().
 * @param path  relative to the working directory; on Windows, too, UTF-8.
 * @param capacity  counts if it is new.
 * @param options  NULL: all defaults.
 * @param[out] out  the caller owns it: mp_shared_dict_close().
 * @return as mp_shared_dict_open(), and
 * @return MP_EPROTO  the file is cut short, damaged, or no such file at all.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_shared_dict_open_file(mp_shared_dict **out, const char *path,
                                         size_t capacity,
                                         const mp_shared_options *options);

/**
 * d[key] = value.
 * @param key,value  consumed.
 * @return MP_OK
 * @return MP_ENOSPC  it does not fit; nothing has changed.
 * @return MP_EPICKLE  value can't travel.
 * @return MP_ETYPE  key is of no type for a key.
 * @return MP_EPROTO  the dict is damaged.
 * @return MP_EINVAL, MP_ECLOSED, MP_ENOMEM, MP_EPROCLIM
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_shared_dict_set(mp_shared_dict *dict, mp_obj *key,
                                   mp_obj *value);

/**
 * d[key].
 * @param key  consumed.
 * @return a new reference to a copy; the error object MP_EKEY if there is none;
 *         MP_ETYPE, MP_EPROTO, MP_EINVAL, MP_ECLOSED, MP_ENOMEM or MP_EPROCLIM.
 * @threads safe. @fork safe.
 */
MP_API mp_obj *mp_shared_dict_get(mp_shared_dict *dict, mp_obj *key);

/**
 * d.get(key, fallback).
 * @param key,fallback  consumed.
 * @return a new reference to a copy, or fallback; else an error object as
 *         mp_shared_dict_get().
 * @threads safe. @fork safe.
 */
MP_API mp_obj *mp_shared_dict_get_or(mp_shared_dict *dict, mp_obj *key,
                                     mp_obj *fallback);

/**
 * d.setdefault(key, value).
 * @param key,value  consumed.
 * @return a new reference to what is there now; else an error object as
 *         mp_shared_dict_get(), or MP_ENOSPC or MP_EPICKLE as
 *         mp_shared_dict_set().
 * @threads safe. @fork safe.
 */
MP_API mp_obj *mp_shared_dict_setdefault(mp_shared_dict *dict, mp_obj *key,
                                         mp_obj *value);

/**
 * d.pop(key).
 * @param key  consumed.
 * @return a new reference to what was there; else an error object as
 *         mp_shared_dict_get().
 * @threads safe. @fork safe.
 */
MP_API mp_obj *mp_shared_dict_pop(mp_shared_dict *dict, mp_obj *key);

/**
 * del d[key].
 * @param key  consumed.
 * @return MP_OK
 * @return MP_EKEY  there is none.
 * @return MP_ETYPE  key is of no type for a key.
 * @return MP_EPROTO  the dict is damaged.
 * @return MP_EINVAL, MP_ECLOSED, MP_ENOMEM, MP_EPROCLIM
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_shared_dict_delete(mp_shared_dict *dict, mp_obj *key);

/**
 * key in d.
 * @param key  consumed.
 * @param[out] is_there  whether it is.
 * @return MP_OK, MP_ETYPE, MP_EPROTO, MP_EINVAL, MP_ECLOSED, MP_ENOMEM,
 *         MP_EPROCLIM
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_shared_dict_contains(mp_shared_dict *dict, mp_obj *key,
                                        bool *is_there);

/**
 * d[key] += delta, of ints, at once; a key that is not there counts as 0.
 * @param key  consumed.
 * @param[out] sum  what it is now; may be NULL.
 * @return MP_OK
 * @return MP_ETYPE  what is there is no int, or key of no type for a key.
 * @return MP_EOVERFLOW  the sum has more than 64 bits.
 * @return MP_ENOSPC  it does not fit; nothing has changed.
 * @return MP_EPROTO, MP_EINVAL, MP_ECLOSED, MP_ENOMEM, MP_EPROCLIM
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_shared_dict_add(mp_shared_dict *dict, mp_obj *key,
                                   int64_t delta, int64_t *sum);

/**
 * d.update(items): each key at once, not all of them.
 * @param items  a dict, consumed.
 * @return as mp_shared_dict_set(); then some may have been set.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_shared_dict_update(mp_shared_dict *dict, mp_obj *items);

/**
 * d.clear(), at once.
 * @return MP_OK, MP_EPROTO, MP_EINVAL, MP_ECLOSED, MP_ENOMEM, MP_EPROCLIM
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_shared_dict_clear(mp_shared_dict *dict);

/**
 * len(d). 0 if closed.
 * @threads safe. @fork safe.
 */
MP_API size_t mp_shared_dict_length(mp_shared_dict *dict);

/**
 * dict(d): all there is at one moment, in the order of insertion.
 * @return a new reference to a dict; the error object MP_EPROTO, MP_EINVAL,
 *         MP_ECLOSED, MP_ENOMEM or MP_EPROCLIM.
 * @threads safe. @fork safe.
 */
MP_API mp_obj *mp_shared_dict_snapshot(mp_shared_dict *dict);

/**
 * list(d): the keys at one moment.
 * @return a new reference to a list; else an error object as
 *         mp_shared_dict_snapshot().
 * @threads safe. @fork safe.
 */
MP_API mp_obj *mp_shared_dict_keys(mp_shared_dict *dict);

/**
 * Walks through everything and tells what is wrong.
 * @return MP_OK
 * @return MP_EPROTO  it is damaged; mp_error_message() says where.
 * @return MP_EINVAL, MP_ECLOSED, MP_ENOMEM, MP_EPROCLIM
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_shared_dict_verify(mp_shared_dict *dict);

/**
 * Has the system write it to its file now.
 * @return MP_OK, MP_EINVAL, MP_ECLOSED, MP_EIO
 * @return MP_ENOTSUP  it is in none.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_shared_dict_sync(mp_shared_dict *dict);

/**
 * This process does not use it any more. Accepts NULL.
 * @return MP_OK, MP_EINVAL, MP_ECLOSED
 * @threads no other thread may be using it. @fork safe.
 */
MP_API mp_error mp_shared_dict_close(mp_shared_dict *dict);

MP_END_DECLS

/** @} */

#endif
