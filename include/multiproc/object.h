/* SPDX-License-Identifier: MIT */
/**
 * @defgroup object Objects
 * mp_obj: the value that travels between processes. None, bool, int (64 bits),
 * float, str (UTF-8), bytes, list, tuple, dict, set, functions, and handles of
 * multiproc's own things (connections, ...).
 *
 * Objects are reference-counted and immutable once shared: a list, dict or set
 * can be built up only while it has one owner. So there are no cycles. Nesting
 * ends at 1000 levels.
 *
 * Constructors never return NULL. When memory runs out or the input is no
 * value (a str that is not UTF-8) they return an *error object*, which every
 * function accepts and answers with that error; so values can be nested in one
 * expression and checked where they are used:
 *
 *     mp_check(mp_connection_send(c, MP_LIST(42, MP_NONE, "hello")));
 *
 * Whatever stores or sends an object consumes the caller's reference, on
 * failure too; mp_obj_ref() keeps one. Functions that only look take
 * `const mp_obj *` and consume nothing. NULL in place of an object is an error
 * object, MP_EINVAL.
 *
 * Caveats
 *
 * - Each object may be used by any number of threads that only look at it,
 *   take references and give them back. Building up is for its one owner.
 * - A forked child has its own copies of all objects. All functions here may
 *   be called in it.
 * - A hostile pickle can nest 1000 levels; comparing, printing or pickling
 *   what came from it then takes up to 200 KiB of stack.
 * @{
 */
#ifndef MULTIPROC_OBJECT_H
#define MULTIPROC_OBJECT_H

#include <multiproc/error.h>

#include <stddef.h>
#include <stdint.h>
#ifndef __cplusplus
#include <stdbool.h>
#endif

MP_BEGIN_DECLS

/** A value that travels. */
typedef struct mp_obj mp_obj;
/** What a target was called with, see args.h. */
typedef struct mp_args mp_args;
/** A descriptor, or a HANDLE on Windows. */
typedef intptr_t mp_handle;
/** One end of a pipe, see connection.h. */
typedef struct mp_connection mp_connection;
/** A Lock, see lock.h. */
typedef struct mp_lock mp_lock;
/** An RLock, see lock.h. */
typedef struct mp_rlock mp_rlock;
/** A Semaphore, see semaphore.h. */
typedef struct mp_semaphore mp_semaphore;
/** An Event, see event.h. */
typedef struct mp_event mp_event;
/** A Condition, see condition.h. */
typedef struct mp_condition mp_condition;
/** A Barrier, see barrier.h. */
typedef struct mp_barrier mp_barrier;
/** A Value, see value.h. */
typedef struct mp_value mp_value;
/** An Array, see value.h. */
typedef struct mp_array mp_array;
/** A SharedMemory, see shared_memory.h. */
typedef struct mp_shared_memory mp_shared_memory;
/** A ShareableList, see shareable_list.h. */
typedef struct mp_shareable_list mp_shareable_list;
/** A shared dict, see shared_dict.h. */
typedef struct mp_shared_dict mp_shared_dict;
/** A shared list, see shared_list.h. */
typedef struct mp_shared_list mp_shared_list;
/** A queue, see queue.h. */
typedef struct mp_queue mp_queue;

/** Some bytes. */
typedef struct mp_bytes {
    const void *data; /**< whose they are, whoever takes it says */
    size_t size;      /**< how many */
} mp_bytes;

/** A target: what a process runs. Its result is the exit code. */
typedef int (*mp_function)(mp_args *args);

/** What kind of object it is. */
typedef enum mp_type {
    MP_TYPE_ERROR,    /**< an error object: see mp_obj_error() */
    MP_TYPE_NONE,     /**< None */
    MP_TYPE_BOOL,     /**< True or False */
    MP_TYPE_INT,      /**< an int of 64 bits */
    MP_TYPE_FLOAT,    /**< a double */
    MP_TYPE_STR,      /**< text, UTF-8 */
    MP_TYPE_BYTES,    /**< bytes */
    MP_TYPE_LIST,     /**< [...] */
    MP_TYPE_TUPLE,    /**< (...) */
    MP_TYPE_DICT,     /**< {key: value, ...}, in the order of insertion */
    MP_TYPE_SET,      /**< {...}, in the order of insertion */
    MP_TYPE_FUNCTION, /**< a function of this program or a library */
    MP_TYPE_POINTER,  /**< an address of this process: can't be pickled */
    MP_TYPE_HANDLE,   /**< a connection or another thing of multiproc's */
    MP_TYPE_OPAQUE    /**< a Python class or instance that we don't know */
} mp_type;

/* -- Making: box.h has shorter ways to write these ------------------------- */

/**
 * None.
 * @return a new reference; the error object MP_ENOMEM.
 * @threads safe. @fork safe.
 */
MP_API mp_obj *mp_obj_none(void);

/**
 * True or False, as value.
 * @return a new reference; the error object MP_ENOMEM.
 * @threads safe. @fork safe.
 */
MP_API mp_obj *mp_obj_bool(bool value);

/**
 * An int of that value.
 * @return a new reference; the error object MP_ENOMEM.
 * @threads safe. @fork safe.
 */
MP_API mp_obj *mp_obj_int(int64_t value);

/**
 * An int of that value.
 * @return a new reference; the error object MP_EOVERFLOW above INT64_MAX, or
 *         MP_ENOMEM.
 * @threads safe. @fork safe.
 */
MP_API mp_obj *mp_obj_uint(uint64_t value);

/**
 * A float of that value.
 * @return a new reference; the error object MP_ENOMEM.
 * @threads safe. @fork safe.
 */
MP_API mp_obj *mp_obj_float(double value);

/**
 * A str with a copy of text.
 *
 * @param text  UTF-8, terminated; NULL gives None.
 * @return a new reference; the error object MP_EINVAL if text is not UTF-8, or
 *         MP_ENOMEM.
 * @threads safe. @fork safe.
 */
MP_API mp_obj *mp_obj_str(const char *text);

/**
 * A str with a copy of text that may have null characters inside.
 *
 * @param size  in bytes; text may be NULL if it is 0.
 * @return a new reference; the error object MP_EINVAL if text is not UTF-8, or
 *         MP_ENOMEM.
 * @threads safe. @fork safe.
 */
MP_API mp_obj *mp_obj_strn(const char *text, size_t size);

/**
 * A bytes object with a copy of data.
 * @param size  in bytes; data may be NULL if it is 0.
 * @return a new reference; the error object MP_EINVAL or MP_ENOMEM.
 * @threads safe. @fork safe.
 */
MP_API mp_obj *mp_obj_bytes(const void *data, size_t size);

/**
 * A function of this program or of a library it has loaded; NULL: None.
 * @return a new reference; the error object MP_ENOMEM.
 * @threads safe. @fork safe.
 */
MP_API mp_obj *mp_obj_function(mp_function function);

/**
 * An address, which can't be pickled.
 * @param pointer  NULL gives None.
 * @return a new reference; the error object MP_ENOMEM.
 * @threads safe. @fork safe.
 */
MP_API mp_obj *mp_obj_pointer(const void *pointer);

/** @{ */
/**
 * A handle of that thing; holds it open for as long as it lives. NULL: None.
 * @return a new reference; the error object MP_ECLOSED, MP_EINVAL or MP_ENOMEM.
 * @threads safe. @fork safe.
 */
MP_API mp_obj *mp_obj_connection(mp_connection *connection);
MP_API mp_obj *mp_obj_lock(mp_lock *lock);
MP_API mp_obj *mp_obj_rlock(mp_rlock *rlock);
MP_API mp_obj *mp_obj_semaphore(mp_semaphore *semaphore);
MP_API mp_obj *mp_obj_event(mp_event *event);
MP_API mp_obj *mp_obj_condition(mp_condition *condition);
MP_API mp_obj *mp_obj_barrier(mp_barrier *barrier);
MP_API mp_obj *mp_obj_value(mp_value *value);
MP_API mp_obj *mp_obj_array(mp_array *array);
MP_API mp_obj *mp_obj_shareable_list(mp_shareable_list *list);
MP_API mp_obj *mp_obj_shared_dict(mp_shared_dict *dict);
MP_API mp_obj *mp_obj_shared_list(mp_shared_list *list);
MP_API mp_obj *mp_obj_shared_memory(mp_shared_memory *memory);
MP_API mp_obj *mp_obj_queue(mp_queue *queue);
/** @} */

/**
 * An object that stands for a failure.
 * @param error  MP_OK gives None.
 * @return a new reference.
 * @threads safe. @fork safe.
 */
MP_API mp_obj *mp_obj_from_error(mp_error error);

/** @{ */
/**
 * A list, tuple or set of items. A set keeps the first of equal ones.
 *
 * @param items  references, consumed in any case; may be NULL if count is 0.
 * @return a new reference; else an error object: that of the first item that is
 *         one, MP_ETYPE (an unhashable item of a set), MP_EOVERFLOW (nested
 *         deeper than 1000 levels) or MP_ENOMEM.
 * @threads safe. @fork safe.
 */
MP_API mp_obj *mp_obj_list(mp_obj *const *items, size_t count);
MP_API mp_obj *mp_obj_tuple(mp_obj *const *items, size_t count);
MP_API mp_obj *mp_obj_set(mp_obj *const *items, size_t count);
/** @} */

/**
 * A dict. Of equal keys the first stays, with the last value.
 *
 * @param items  key, value, key, value ...: references, consumed in any case.
 * @param count  of items; twice that of pairs.
 *
 * @return an object; else an error object: as mp_obj_list(), or MP_EINVAL for
 *         an odd count.
 * @threads safe. @fork safe.
 */
MP_API mp_obj *mp_obj_dict(mp_obj *const *items, size_t count);

/* -- Building up ----------------------------------------------------------- */

/**
 * list.append(item)
 *
 * @param item  consumed in any case; only a list given to itself by its one
 *              owner is not: the owner keeps it.
 * @return MP_OK
 * @return MP_ETYPE  list is no list.
 * @return MP_ESTATE  list has more than one owner, or is the item.
 * @return MP_EOVERFLOW  nested deeper than 1000 levels.
 * @return MP_ENOMEM
 * @return what list or item stands for, if it is an error object.
 * @threads for the one owner. @fork safe.
 */
MP_API mp_error mp_obj_append(mp_obj *list, mp_obj *item);

/**
 * dict[key] = value
 *
 * @param key,value  consumed in any case, as by mp_obj_append().
 * @return MP_OK
 * @return MP_ETYPE  dict is no dict, or key is unhashable.
 * @return MP_ESTATE  dict has more than one owner, or is key or value.
 * @return MP_EOVERFLOW  nested deeper than 1000 levels.
 * @return MP_ENOMEM
 * @return what dict, key or value stands for, if it is an error object.
 * @threads for the one owner. @fork safe.
 */
MP_API mp_error mp_obj_set_item(mp_obj *dict, mp_obj *key, mp_obj *value);

/**
 * set.add(item)
 *
 * @param item  consumed in any case, as by mp_obj_append().
 * @return MP_OK  item is in the set, from now on or before.
 * @return MP_ETYPE  set is no set, or item is unhashable.
 * @return MP_ESTATE  set has more than one owner, or is the item.
 * @return MP_EOVERFLOW  nested deeper than 1000 levels.
 * @return MP_ENOMEM
 * @return what set or item stands for, if it is an error object.
 * @threads for the one owner. @fork safe.
 */
MP_API mp_error mp_obj_add(mp_obj *set, mp_obj *item);

/* -- Owning ---------------------------------------------------------------- */

/**
 * One more reference to obj.
 *
 * @return obj, without const: it is the caller's.
 * @threads safe. @fork safe.
 */
MP_API mp_obj *mp_obj_ref(const mp_obj *obj);

/**
 * Gives a reference back; the last one frees obj. Accepts NULL.
 *
 * @threads safe. @fork safe.
 */
MP_API void mp_obj_unref(mp_obj *obj);

/* -- Looking --------------------------------------------------------------- */

/**
 * What kind of object obj is.
 * @threads safe while no thread builds up obj. @fork safe.
 */
MP_API mp_type mp_obj_type(const mp_obj *obj);

/**
 * Python's name for its type: "int", "str", "NoneType".
 * @return borrowed, as long as obj lives.
 * @threads safe while no thread builds up obj. @fork safe.
 */
MP_API const char *mp_obj_type_name(const mp_obj *obj);

/**
 * What an error object stands for.
 * @return MP_OK  obj is any other object.
 * @return what it stands for.
 * @threads safe while no thread builds up obj. @fork safe.
 */
MP_API mp_error mp_obj_error(const mp_obj *obj);

/**
 * obj is None
 * @threads safe while no thread builds up obj. @fork safe.
 */
MP_API bool mp_obj_is_none(const mp_obj *obj);

/**
 * The C value of a bool. All mp_obj_as_...() leave *out alone when they fail.
 *
 * @return MP_OK
 * @return MP_ETYPE  obj is something else.
 * @return what obj stands for, if it is an error object.
 * @threads safe while no thread builds up obj. @fork safe.
 */
MP_API mp_error mp_obj_as_bool(const mp_obj *obj, bool *out);

/**
 * The C value of an int or bool.
 *
 * @param[out] out  untouched on failure.
 * @return as mp_obj_as_bool().
 * @threads safe while no thread builds up obj. @fork safe.
 */
MP_API mp_error mp_obj_as_int(const mp_obj *obj, int64_t *out);

/**
 * The C value of a float, int or bool. Large ints are rounded.
 *
 * @param[out] out  untouched on failure.
 * @return as mp_obj_as_bool().
 * @threads safe while no thread builds up obj. @fork safe.
 */
MP_API mp_error mp_obj_as_float(const mp_obj *obj, double *out);

/**
 * The text of a str. One that came from Python may hold lone surrogates, as
 * three bytes each.
 *
 * @param[out] out  UTF-8, terminated, borrowed from obj.
 * @param[out] size  in bytes, without the terminator; may be NULL, which
 *                   refuses a str with a null character inside.
 * @return MP_OK
 * @return MP_ETYPE  obj is something else.
 * @return MP_EINVAL  there is a null character inside and size is NULL.
 * @return what obj stands for, if it is an error object.
 * @threads safe while no thread builds up obj. @fork safe.
 */
MP_API mp_error mp_obj_as_str(const mp_obj *obj, const char **out,
                              size_t *size);

/**
 * The contents of bytes.
 *
 * @param[out] out  borrowed from obj.
 * @param[out] size  in bytes.
 * @return as mp_obj_as_bool().
 * @threads safe while no thread builds up obj. @fork safe.
 */
MP_API mp_error mp_obj_as_bytes(const mp_obj *obj, const void **out,
                                size_t *size);

/**
 * A function that can be called here.
 *
 * @param[out] out  untouched on failure.
 * @return as mp_obj_as_bool().
 * @threads safe while no thread builds up obj. @fork safe.
 */
MP_API mp_error mp_obj_as_function(const mp_obj *obj, mp_function *out);

/** @{ */
/**
 * The thing that a handle holds.
 *
 * @param[out] out  borrowed: valid as long as obj.
 * @return MP_OK
 * @return MP_ETYPE  obj is something else.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_obj_as_connection(const mp_obj *obj, mp_connection **out);
MP_API mp_error mp_obj_as_lock(const mp_obj *obj, mp_lock **out);
MP_API mp_error mp_obj_as_rlock(const mp_obj *obj, mp_rlock **out);
MP_API mp_error mp_obj_as_semaphore(const mp_obj *obj, mp_semaphore **out);
MP_API mp_error mp_obj_as_event(const mp_obj *obj, mp_event **out);
MP_API mp_error mp_obj_as_condition(const mp_obj *obj, mp_condition **out);
MP_API mp_error mp_obj_as_barrier(const mp_obj *obj, mp_barrier **out);
MP_API mp_error mp_obj_as_value(const mp_obj *obj, mp_value **out);
MP_API mp_error mp_obj_as_array(const mp_obj *obj, mp_array **out);
MP_API mp_error mp_obj_as_shareable_list(const mp_obj *obj,
                                         mp_shareable_list **out);
MP_API mp_error mp_obj_as_shared_dict(const mp_obj *obj, mp_shared_dict **out);
MP_API mp_error mp_obj_as_shared_list(const mp_obj *obj, mp_shared_list **out);
MP_API mp_error mp_obj_as_queue(const mp_obj *obj, mp_queue **out);
/** @} */

/**
 * A descriptor (HANDLE) of the user's that travels: as an argument or over a
 * connection that carries handles.
 * @param handle  duplicated; the object owns the copy, and closes it.
 * @return a new reference; the error object MP_ECLOSED (handle is none),
 *         MP_EMFILE or MP_ENOMEM.
 * @threads safe. @fork the child has only those it was given as arguments.
 */
MP_API mp_obj *mp_obj_handle(mp_handle handle);

/**
 * A copy of the descriptor (HANDLE) in an object.
 * @param[out] out  the caller's to close.
 * @return MP_OK, MP_EINVAL, MP_EMFILE
 * @return MP_ETYPE  obj is something else.
 * @return MP_ECLOSED  this process was not given it as an argument.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_obj_as_handle(const mp_obj *obj, mp_handle *out);

/**
 * The memory that a handle holds; as mp_obj_as_connection().
 * @param[out] out  borrowed: valid as long as obj.
 * @return MP_OK
 * @return MP_ETYPE  obj is something else.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_obj_as_shared_memory(const mp_obj *obj,
                                        mp_shared_memory **out);

/**
 * len(obj).
 *
 * @param[out] out  items, key-value pairs, code points or bytes.
 * @return MP_OK
 * @return MP_ETYPE  obj has no length.
 * @return what obj stands for, if it is an error object.
 * @threads safe while no thread builds up obj. @fork safe.
 */
MP_API mp_error mp_obj_len(const mp_obj *obj, size_t *out);

/**
 * list[index] or tuple[index]; -1 is the last.
 *
 * @param[out] out  borrowed: valid as long as obj has it.
 *
 * @return MP_OK
 * @return MP_ETYPE   obj is neither.
 * @return MP_EINDEX  there is no such item.
 * @return what obj stands for, if it is an error object.
 * @threads safe while no thread builds up obj. @fork safe.
 */
MP_API mp_error mp_obj_item(const mp_obj *obj, int64_t index,
                            const mp_obj **out);

/**
 * dict[key]
 *
 * @param[out] out  borrowed: valid as long as dict has it.
 *
 * @return MP_OK
 * @return MP_EKEY   there is no such key.
 * @return MP_ETYPE  dict is no dict, or key is unhashable.
 * @return what dict or key stands for, if it is an error object.
 * @threads safe while no thread builds up dict. @fork safe.
 */
MP_API mp_error mp_obj_get(const mp_obj *dict, const mp_obj *key,
                           const mp_obj **out);

/**
 * dict["key"]
 *
 * @param[out] out  borrowed: valid as long as dict has it.
 *
 * @return as mp_obj_get(); also
 * @return MP_EINVAL  key is NULL or not UTF-8.
 * @return MP_ENOMEM
 * @threads safe while no thread builds up dict. @fork safe.
 */
MP_API mp_error mp_obj_get_str(const mp_obj *dict, const char *key,
                               const mp_obj **out);

/**
 * Whether item is in a list, tuple or set, or is a key of a dict. False for
 * what holds nothing.
 * @param container  NULL or an error object: false.
 * @threads safe while no thread builds up either. @fork safe.
 */
MP_API bool mp_obj_contains(const mp_obj *container, const mp_obj *item);

/**
 * Python's ==: 1 == 1.0 == True, nan != nan, [1] != (1,).
 *
 * Opaque objects are equal to themselves only, error objects to nothing.
 *
 * @param left,right  any objects, in any order.
 * @threads safe while no thread builds up either. @fork safe.
 */
MP_API bool mp_obj_equal(const mp_obj *left, const mp_obj *right);

/** A walk through a container, all zero at first; see mp_obj_next(). */
typedef struct mp_iter {
    size_t position; /**< the library's own */
} mp_iter;

/**
 * The next item of a list, tuple or set, or the next key and value of a dict,
 * in the order of insertion.
 *
 * @param[out] item   borrowed.
 * @param[out] value  borrowed; may be NULL; untouched unless it is a dict.
 * @param[in,out] it  where the walk is; all zero at first.
 *
 * @return false at the end, and for what holds nothing.
 * @threads safe while no thread builds up container. @fork safe.
 */
MP_API bool mp_obj_next(const mp_obj *container, mp_iter *it,
                        const mp_obj **item, const mp_obj **value);

/**
 * What Python's repr() gives: "[42, None, 'hello']".
 *
 * Sets are in the order of insertion. What Python writes otherwise is
 * "<function program+0x1234>", "<pointer 0x1234>", "<Connection>" and
 * "<opaque module.name>".
 *
 * @param[out] out  UTF-8, terminated; free with mp_free().
 *
 * @return MP_OK
 * @return MP_EOVERFLOW  it would be longer than 256 MiB.
 * @return MP_ENOMEM
 * @return what obj stands for, if it is an error object.
 * @threads safe while no thread builds up obj. @fork safe.
 */
MP_API mp_error mp_obj_repr(const mp_obj *obj, char **out);

/**
 * What Python's print(obj) writes, with the newline, to stdout.
 *
 * @return MP_OK
 * @return MP_EINVAL     a str has lone surrogates, which are no text.
 * @return MP_EIO        stdout can't be written to.
 * @return MP_EOVERFLOW  it would be longer than 256 MiB.
 * @return MP_ENOMEM
 * @return what obj stands for, if it is an error object.
 * @threads safe while no thread builds up obj. @fork safe.
 */
MP_API mp_error mp_obj_print(const mp_obj *obj);

/**
 * Frees what the library handed out as plain memory; accepts NULL.
 *
 * @threads safe. @fork safe.
 */
MP_API void mp_free(void *memory);

MP_END_DECLS

/** @} */

#endif
