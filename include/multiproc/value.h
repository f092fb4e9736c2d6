/* SPDX-License-Identifier: MIT */
/**
 * @defgroup value Value and Array
 * Value and Array: numbers, characters and structs that processes share.
 *
 *     mp_value *n;
 *     mp_check(mp_value_create(&n, MP_CTYPE(int), &(int){7}, NULL));
 *     ...
 *     mp_check(mp_value_acquire(n, MP_FOREVER));     with n.get_lock():
 *     *MP_VALUE(n, int) += 1;                            n.value += 1
 *     mp_check(mp_value_release(n));
 *
 * MP_VALUE() and MP_ARRAY() give C's own pointer: an access through it is a
 * load or a store, locks nothing, and checks no bounds. mp_value_get(),
 * mp_array_get() and their like take the lock, check, and box; like Python's
 * n.value, each takes the lock for itself, so that what has to happen at once
 * wants mp_value_acquire() around it, or mp_fetch_add() (atomic.h).
 *
 * The lock is an RLock of its own, unless the options say otherwise; it tells
 * of owners that died, as every lock does (lock.h): acquire() returns
 * MP_OWNER_DIED, once. The single calls below do what they were asked to, and
 * leave that news to whoever acquires next; an item may then be one that was
 * half written. With a given Lock, they wait for it like anybody else: also for
 * a thread that has acquired it and calls them itself, as in Python.
 *
 * Where it is. create() makes one without a name, to be passed to other
 * processes as an argument or through a connection. open() makes or finds one
 * by name (named.h), open_file() one in a file that outlives every process.
 * What is found must be of the same type and length, and have a lock or none
 * as asked for. A file also has the lock: who opens it after a crash, also one
 * of the whole machine, is told MP_OWNER_DIED if somebody was changing it then.
 * Space is reserved when it is made: touching it can't fail later.
 *
 * In a forked child, what is not passed to it as an argument is its parent's:
 * MP_VALUE() and MP_ARRAY() may show another thing's bytes once the parent has
 * closed it. Everything else tells MP_ECLOSED then.
 *
 * A file must not be made shorter by other programs while it is in use: the
 * system ends who touches what was cut off. It is for machines of the same
 * kind: sizes and byte order are those of whoever made it, which is checked.
 * @{
 */
#ifndef MULTIPROC_VALUE_H
#define MULTIPROC_VALUE_H

#include <multiproc/ctype.h>
#include <multiproc/named.h>

MP_BEGIN_DECLS

/** For Value and Array. Zero is the default for every field. */
typedef struct mp_value_options {
    /** Python's lock=False: no lock; acquire() is MP_ENOTSUP then. */
    bool has_no_lock;
    /** One of these, instead of an RLock of its own: several may share it.
     * Not for what is opened by name or in a file. */
    mp_lock *lock;
    mp_rlock *rlock; /**< the same */
    /** Array: how long it may ever grow, in items; 0: as it is. Where the
     * system can't reserve later (macOS; what has a name or is in a file on
     * Windows), all of it is reserved at once. What exists already has its
     * own. */
    size_t capacity;
    /** For open() and open_file(). */
    mp_open_options open;
    /** For open_file(): it is only read. It has no lock then, and whoever
     * writes to it is ended by the system. */
    bool is_read_only;
} mp_value_options;

/* -- Value ----------------------------------------------------------------- */

/**
 * A new Value.
 *
 * @param initial  what it holds at first: type.size bytes; NULL: zeros.
 * @param[out] out  the caller owns it: mp_value_close().
 * @param options  NULL: all defaults.
 * @return MP_OK, MP_ENOMEM, MP_EMFILE
 * @return MP_EINVAL  the type is none, its fields don't fit its size, or two
 *                    locks are given; it is aligned to more than 4096 bytes.
 * @return MP_ENOSPC  shared memory is full.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_value_create(mp_value **out, mp_ctype type,
                                const void *initial,
                                const mp_value_options *options);

/**
 * The Value of that name, which holds initial if it is new; see named.h.
 *
 * @param type  of one that exists, the same.
 * @param initial  type.size bytes; NULL: zeros.
 * @param options  NULL: all defaults.
 * @param[out] out  the caller owns it: mp_value_close().
 * @return as mp_value_create(), and
 * @return MP_ETYPE  it is of another type, or of another kind.
 * @return MP_ENOTFOUND, MP_EEXIST  by options->open.mode
 * @return MP_EACCES, MP_EPROTO, MP_EVERSION  as mp_lock_open()
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_value_open(mp_value **out, const char *name, mp_ctype type,
                              const void *initial,
                              const mp_value_options *options);

/**
 * The Value in that file; otherwise as mp_value_open().
 *
 * @param path  relative to the working directory; on Windows, too, UTF-8.
 * @param type  of one that exists, the same.
 * @param initial  type.size bytes; NULL: zeros.
 * @param options  NULL: all defaults.
 * @param[out] out  the caller owns it: mp_value_close().
 * @return as mp_value_open(), and
 * @return MP_EPROTO  the file is cut short, damaged, or no such file at all.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_value_open_file(mp_value **out, const char *path,
                                   mp_ctype type, const void *initial,
                                   const mp_value_options *options);

/**
 * Where its bytes are, for MP_VALUE().
 * @return NULL if it is closed.
 * @threads safe; an access through it locks nothing. @fork mapped in the child
 *          as in the parent.
 */
MP_API void *mp_value_data(mp_value *value);

/**
 * Its type.
 * @return all zero if it is closed; the texts in it last as long as the Value.
 * @threads safe. @fork safe.
 */
MP_API mp_ctype mp_value_ctype(const mp_value *value);

/**
 * Takes its lock.
 *
 * @param timeout  seconds; MP_FOREVER; zero or less only tries.
 * @return as mp_rlock_acquire(); with a Lock, as mp_lock_acquire()
 * @return MP_ENOTSUP  it has no lock.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_value_acquire(mp_value *value, double timeout);

/**
 * Gives its lock back.
 * @return as mp_rlock_release(); with a Lock, as mp_lock_release()
 * @return MP_ENOTSUP  it has no lock.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_value_release(mp_value *value);

/**
 * Its RLock, its own or given.
 * @return borrowed; NULL if it has none.
 * @threads safe. @fork safe.
 */
MP_API mp_rlock *mp_value_get_lock(mp_value *value);

/**
 * What it holds, boxed: a number, or for a struct a tuple.
 *
 * @return a new reference; the error object MP_EINVAL, MP_ECLOSED, MP_EOVERFLOW
 *         (above INT64_MAX), MP_ENOMEM or MP_EPROCLIM.
 * @threads safe. @fork safe.
 */
MP_API mp_obj *mp_value_get(mp_value *value);

/**
 * Sets it to what obj says, which is consumed.
 *
 * @return MP_OK
 * @return MP_ETYPE  obj is not of its type.
 * @return MP_EOVERFLOW  the number does not fit.
 * @return MP_EACCES  it is only for reading.
 * @return MP_EINVAL, MP_ECLOSED
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_value_set(mp_value *value, mp_obj *obj);

/**
 * A new one without a name, of the same type: it holds what this one holds now.
 * @param options  NULL: all defaults; about its lock, as mp_value_create().
 * @param[out] out  the caller owns it: mp_value_close().
 * @return as mp_value_create(), and
 * @return MP_ECLOSED  value is closed.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_value_copy(mp_value *value, mp_value **out,
                              const mp_value_options *options);

/**
 * As Python prints it: "<Synchronized wrapper for c_int(7)>", without a lock
 * "c_int(7)"; a struct: "point(x=1.0, y=2.0)".
 * @param[out] out  free with mp_free().
 * @return MP_OK, MP_EINVAL, MP_ECLOSED, MP_ENOMEM, MP_EPROCLIM
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_value_repr(mp_value *value, char **out);

/**
 * Has the system write it to its file now.
 * @return MP_OK, MP_EINVAL, MP_ECLOSED, MP_EIO
 * @return MP_ENOTSUP  it is in none.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_value_sync(mp_value *value);

/**
 * This process does not use it any more. Accepts NULL.
 * @return MP_OK, MP_EINVAL, MP_ECLOSED
 * @threads no other thread may be using it. @fork safe.
 */
MP_API mp_error mp_value_close(mp_value *value);

/* -- Array ----------------------------------------------------------------- */

/**
 * A new Array.
 *
 * @param type  of an item.
 * @param length  in items; may be 0.
 * @param initial  length items; NULL: zeros.
 * @param options  NULL: all defaults.
 * @param[out] out  the caller owns it: mp_array_close().
 * @return as mp_value_create(), and
 * @return MP_EOVERFLOW  it would have more bytes than there are addresses.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_array_create(mp_array **out, mp_ctype type, size_t length,
                                const void *initial,
                                const mp_value_options *options);

/**
 * The Array of that name, which holds initial if it is new; see named.h. What
 * is made to grow is opened with length 0, a capacity, and then
 * mp_array_grow().
 * @param type  of an item; of one that exists, the same.
 * @param length  in items; 0: whatever length it has, if it exists.
 * @param initial  length items; NULL: zeros.
 * @param options  NULL: all defaults.
 * @param[out] out  the caller owns it: mp_array_close().
 * @return as mp_value_open(), and
 * @return MP_EOVERFLOW  it would have more bytes than there are addresses.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_array_open(mp_array **out, const char *name, mp_ctype type,
                              size_t length, const void *initial,
                              const mp_value_options *options);

/**
 * The Array in that file; otherwise as mp_array_open().
 * @param path  relative to the working directory; on Windows, too, UTF-8.
 * @param type  of an item; of one that exists, the same.
 * @param length  in items; 0: whatever length it has, if it exists.
 * @param initial  length items; NULL: zeros.
 * @param options  NULL: all defaults.
 * @param[out] out  the caller owns it: mp_array_close().
 * @return as mp_array_open() and mp_value_open_file().
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_array_open_file(mp_array **out, const char *path,
                                   mp_ctype type, size_t length,
                                   const void *initial,
                                   const mp_value_options *options);

/**
 * Where its items are, for MP_ARRAY(): they never move. Behind chars there is
 * one more that is '\0', so that they can be printed.
 * @return NULL if it is closed.
 * @threads safe; an access through it locks nothing. @fork mapped in the child
 *          as in the parent.
 */
MP_API void *mp_array_data(mp_array *array);

/**
 * The type of its items.
 * @return all zero if it is closed; the texts in it last as long as the Array.
 * @threads safe. @fork safe.
 */
MP_API mp_ctype mp_array_ctype(const mp_array *array);

/** @{ */
/**
 * How many items it has at this moment, as somebody may make it grow, and how
 * many it may have. 0 if it is closed.
 * @threads safe. @fork safe.
 */
MP_API size_t mp_array_length(const mp_array *array);
MP_API size_t mp_array_capacity(const mp_array *array);
/** @} */

/**
 * Takes its lock.
 *
 * @param timeout  seconds; MP_FOREVER; zero or less only tries.
 * @return as mp_rlock_acquire(); with a Lock, as mp_lock_acquire()
 * @return MP_ENOTSUP  it has no lock.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_array_acquire(mp_array *array, double timeout);

/**
 * Gives its lock back.
 * @return as mp_rlock_release(); with a Lock, as mp_lock_release()
 * @return MP_ENOTSUP  it has no lock.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_array_release(mp_array *array);

/**
 * Its RLock, its own or given.
 * @return borrowed; NULL if it has none.
 * @threads safe. @fork safe.
 */
MP_API mp_rlock *mp_array_get_lock(mp_array *array);

/**
 * array[index]; a negative index counts from the end.
 * @return a new reference; the error object MP_EINDEX, MP_EINVAL, MP_ECLOSED,
 *         MP_EOVERFLOW (above INT64_MAX), MP_ENOMEM or MP_EPROCLIM.
 * @threads safe. @fork safe.
 */
MP_API mp_obj *mp_array_get(mp_array *array, int64_t index);

/**
 * array[index] = obj; a negative index counts from the end.
 * @param obj  consumed.
 * @return MP_OK
 * @return MP_EINDEX  there is no such item.
 * @return otherwise as mp_value_set().
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_array_set(mp_array *array, int64_t index, mp_obj *obj);

/**
 * Python's array[start:stop]; out of bounds is cut.
 * @return a new reference to a list, of chars to bytes; else an error object as
 *         mp_array_get().
 * @threads safe. @fork safe.
 */
MP_API mp_obj *mp_array_slice(mp_array *array, int64_t start, int64_t stop);

/**
 * Python's array[start:stop] = items: all or none.
 * @param items  a list, tuple or bytes, consumed.
 * @return MP_OK
 * @return MP_EINVAL  they are not as many.
 * @return MP_ETYPE, MP_EOVERFLOW  one of them does not fit.
 * @return MP_EACCES  it is only for reading.
 * @return MP_ECLOSED, MP_ENOMEM, MP_EPROCLIM
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_array_set_slice(mp_array *array, int64_t start, int64_t stop,
                                   mp_obj *items);

/** @{ */
/**
 * Copies count items, from start on, with the lock held: out of the array, and
 * into it.
 * @param items  the caller's memory.
 * @return MP_OK
 * @return MP_EINDEX  the array ends before; nothing is copied.
 * @return MP_EACCES  mp_array_write(): it is only for reading.
 * @return MP_EINVAL, MP_ECLOSED, MP_EPROCLIM
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_array_read(mp_array *array, size_t start, void *items,
                              size_t count);
MP_API mp_error mp_array_write(mp_array *array, size_t start, const void *items,
                               size_t count);
/** @} */

/**
 * array.value: of chars, the bytes up to the first NUL.
 * @return a new reference; the error object MP_ETYPE if they are no chars;
 *         MP_EINVAL, MP_ECLOSED, MP_ENOMEM or MP_EPROCLIM.
 * @threads safe. @fork safe.
 */
MP_API mp_obj *mp_array_value(mp_array *array);

/**
 * array.value = bytes, and a NUL if there is room.
 * @param bytes  consumed.
 * @return MP_OK
 * @return MP_EINVAL  there are more than it is long.
 * @return MP_ETYPE  it is no Array of chars, or these are no bytes.
 * @return MP_EACCES  it is only for reading.
 * @return MP_ECLOSED, MP_EPROCLIM
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_array_set_value(mp_array *array, mp_obj *bytes);

/**
 * array.raw: of chars, all of them.
 * @return as mp_array_value().
 * @threads safe. @fork safe.
 */
MP_API mp_obj *mp_array_raw(mp_array *array);

/**
 * array.raw = bytes, as many as it is long, or fewer, then the rest stays.
 * @param bytes  consumed.
 * @return as mp_array_set_value().
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_array_set_raw(mp_array *array, mp_obj *bytes);

/**
 * Makes it longer, for all who have it, with zeros. Nothing moves.
 *
 * @param length  in items.
 * @return MP_OK, also if it is that long already.
 * @return MP_EOVERFLOW  beyond its capacity.
 * @return MP_ENOSPC, MP_EACCES, MP_EINVAL, MP_ECLOSED
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_array_grow(mp_array *array, size_t length);

/**
 * A new one without a name, of the same type and length: it holds what this one
 * holds now.
 * @param options  NULL: all defaults; about its lock, as mp_array_create().
 * @param[out] out  the caller owns it: mp_array_close().
 * @return as mp_array_create(), and
 * @return MP_ECLOSED  array is closed.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_array_copy(mp_array *array, mp_array **out,
                              const mp_value_options *options);

/**
 * "[1, 2, 3]": its items, of structs "[(x=1.0, y=2.0)]", of chars "b'abc'".
 * @param[out] out  free with mp_free().
 * @return MP_OK, MP_EINVAL, MP_ECLOSED, MP_ENOMEM, MP_EPROCLIM
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_array_repr(mp_array *array, char **out);

/**
 * Has the system write it to its file now.
 * @return MP_OK, MP_EINVAL, MP_ECLOSED, MP_EIO
 * @return MP_ENOTSUP  it is in none.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_array_sync(mp_array *array);

/**
 * This process does not use it any more. Accepts NULL.
 * @return MP_OK, MP_EINVAL, MP_ECLOSED
 * @threads no other thread may be using it. @fork safe.
 */
MP_API mp_error mp_array_close(mp_array *array);

/* -- C's own access -------------------------------------------------------- */

/** What MP_VALUE() and MP_ARRAY() read of either; not for other use. */
typedef struct mp_view {
    uint32_t kind;      /**< of thing */
    uint32_t has_ended; /**< it is closed */
    void *next;         /**< of those that have ended */
    void *items;        /**< where they are in this process */
} mp_view;

/**
 * The same as MP_VALUE() and MP_ARRAY() in a debug build: ends the program
 * with a sentence if thing is closed, or its items are not of this type.
 * @param thing  a Value or an Array.
 * @param type  what its items are taken for; with file and line, for the
 *              sentence.
 * @return mp_value_data() or mp_array_data().
 * @threads safe. @fork safe.
 */
MP_API void *mp_view_check(const void *thing, mp_ctype type, const char *file,
                           int line);

MP_END_DECLS

/** @cond */
/* NDEBUG decides, as for assert(). */
#ifdef __cplusplus
#define MP_VIEW_CAST(type, pointer) (static_cast<type *>(pointer))
#else
#define MP_VIEW_CAST(type, pointer) ((type *)(pointer))
#endif
#ifdef NDEBUG
#define MP_VIEW(thing, type) \
    MP_VIEW_CAST(            \
        type,                \
        MP_VIEW_CAST(const mp_view, MP_VIEW_CAST(const void, thing))->items)
#else
#define MP_VIEW(thing, type) \
    MP_VIEW_CAST(type,       \
                 mp_view_check((thing), MP_CTYPE(type), __FILE__, __LINE__))
#endif
/** @endcond */

/** The pointer to a Value: *MP_VALUE(n, int) += 1. */
#define MP_VALUE(value, type) MP_VIEW(value, type)
/** The pointer to an Array's first item: MP_ARRAY(a, point)[i].x = 1. */
#define MP_ARRAY(array, type) MP_VIEW(array, type)

/** @} */

#endif
