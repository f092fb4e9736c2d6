/* SPDX-License-Identifier: MIT */
/**
 * @defgroup box Boxing
 * Boxing: C values to mp_obj, typed at compile time, so that what travels can
 * be written down in one expression, nested as deep as wanted:
 *
 *     MP_LIST(42, MP_NONE, "hello", 3.14, MP_DICT("k", MP_LIST(1, 2)))
 *
 * C11 and later choose by _Generic, C++11 and later by overloading; a C99
 * compiler may include this header, but not use it.
 *
 *     Python's          C's
 *     int               every integer type (unsigned beyond INT64_MAX: an error
 *                       object, MP_EOVERFLOW)
 *     bool              bool. In C, `true` is an int before C23: write MP_TRUE
 *     float             float, double
 *     str               char *, const char *; a null one is None
 *     (an object)       mp_obj * is itself, and its reference is consumed;
 *                       const mp_obj * is borrowed: it is referenced once more
 *     Connection        mp_connection *
 *     Lock, RLock ...   mp_lock *, mp_rlock *, mp_semaphore *, mp_event *,
 *                       mp_condition *, mp_barrier *
 *     Value, Array      mp_value *, mp_array *
 *     SharedMemory ...  mp_shared_memory *, mp_shareable_list *,
 *                       mp_shared_dict *, mp_shared_list *
 *     Queue             mp_queue *
 *     a function        int (*)(mp_args *)
 *     (an address)      any other pointer: an object that can't be pickled; a
 *                       null one is None
 *
 * Up to 32 items (32 pairs for MP_DICT and MP_KWARGS) in one call; build
 * longer ones with mp_obj_append() and mp_obj_set_item().
 * @{
 */
#ifndef MULTIPROC_BOX_H
#define MULTIPROC_BOX_H

#include <multiproc/object.h>

/** None. */
#define MP_NONE mp_obj_none()
/** True. */
#define MP_TRUE mp_obj_bool(1)
/** False. */
#define MP_FALSE mp_obj_bool(0)
/** A bytes object: a copy of @p size bytes at @p data. */
#define MP_BYTES(data, size) mp_obj_bytes((data), (size))

#ifdef __cplusplus

#include <cstddef>
#include <type_traits>

/* A template, lest every pointer that fits nothing else becomes True. */
template <class T>
inline typename std::enable_if<std::is_same<T, bool>::value, mp_obj *>::type
mp_box_value(T value)
{
    return mp_obj_bool(value);
}

template <class T>
inline typename std::enable_if<std::is_integral<T>::value &&
                                   std::is_signed<T>::value &&
                                   !std::is_same<T, bool>::value,
                               mp_obj *>::type
mp_box_value(T value)
{
    return mp_obj_int(static_cast<int64_t>(value));
}

template <class T>
inline typename std::enable_if<std::is_integral<T>::value &&
                                   !std::is_signed<T>::value &&
                                   !std::is_same<T, bool>::value,
                               mp_obj *>::type
mp_box_value(T value)
{
    return mp_obj_uint(static_cast<uint64_t>(value));
}

template <class T>
inline typename std::enable_if<std::is_enum<T>::value, mp_obj *>::type
mp_box_value(T value)
{
    return mp_box_value(
        static_cast<typename std::underlying_type<T>::type>(value));
}

inline mp_obj *mp_box_value(float value)
{
    return mp_obj_float(static_cast<double>(value));
}

inline mp_obj *mp_box_value(double value)
{
    return mp_obj_float(value);
}

inline mp_obj *mp_box_value(const char *text)
{
    return mp_obj_str(text);
}

inline mp_obj *mp_box_value(mp_obj *obj)
{
    return obj;
}

inline mp_obj *mp_box_value(const mp_obj *obj)
{
    return mp_obj_ref(obj);
}

inline mp_obj *mp_box_value(mp_connection *connection)
{
    return mp_obj_connection(connection);
}

inline mp_obj *mp_box_value(mp_lock *lock)
{
    return mp_obj_lock(lock);
}

inline mp_obj *mp_box_value(mp_rlock *rlock)
{
    return mp_obj_rlock(rlock);
}

inline mp_obj *mp_box_value(mp_semaphore *semaphore)
{
    return mp_obj_semaphore(semaphore);
}

inline mp_obj *mp_box_value(mp_event *event)
{
    return mp_obj_event(event);
}

inline mp_obj *mp_box_value(mp_condition *condition)
{
    return mp_obj_condition(condition);
}

inline mp_obj *mp_box_value(mp_barrier *barrier)
{
    return mp_obj_barrier(barrier);
}

inline mp_obj *mp_box_value(mp_value *value)
{
    return mp_obj_value(value);
}

inline mp_obj *mp_box_value(mp_array *array)
{
    return mp_obj_array(array);
}

inline mp_obj *mp_box_value(mp_shareable_list *list)
{
    return mp_obj_shareable_list(list);
}

inline mp_obj *mp_box_value(mp_shared_dict *dict)
{
    return mp_obj_shared_dict(dict);
}

inline mp_obj *mp_box_value(mp_shared_list *list)
{
    return mp_obj_shared_list(list);
}

inline mp_obj *mp_box_value(mp_shared_memory *memory)
{
    return mp_obj_shared_memory(memory);
}

inline mp_obj *mp_box_value(mp_queue *queue)
{
    return mp_obj_queue(queue);
}

inline mp_obj *mp_box_value(mp_function function)
{
    return mp_obj_function(function);
}

inline mp_obj *mp_box_value(const void *pointer)
{
    return mp_obj_pointer(pointer);
}

inline mp_obj *mp_box_value(std::nullptr_t)
{
    return mp_obj_none();
}

/* A function object, since a call may come without any item. */
struct mp_box_collector {
    mp_obj *(*make)(mp_obj *const *, size_t);

    template <class... T> mp_obj *operator()(T... items) const
    {
        mp_obj *const boxed[] = {mp_box_value(items)..., mp_obj_none()};

        return make(boxed, sizeof...(items));
    }
};

#define MP_BOX(value) mp_box_value(value)

/** [...], (...) and {...}. */
#define MP_LIST(...) (mp_box_collector{mp_obj_list}(__VA_ARGS__))
#define MP_TUPLE(...) (mp_box_collector{mp_obj_tuple}(__VA_ARGS__))
#define MP_SET(...) (mp_box_collector{mp_obj_set}(__VA_ARGS__))
/** {key: value, ...}: keys and values by turns. */
#define MP_DICT(...) (mp_box_collector{mp_obj_dict}(__VA_ARGS__))

#else /* C */

/** @cond what MP_BOX() chooses for an object */
static inline mp_obj *mp_box_object(mp_obj *obj)
{
    return obj;
}

/** @endcond */

/* clang-format off */
/** Any value as an object: a new reference; see the table in box.h. */
#define MP_BOX(value)                               \
    _Generic((value),                               \
        bool: mp_obj_bool,                          \
        char: mp_obj_int,                           \
        signed char: mp_obj_int,                    \
        short: mp_obj_int,                          \
        int: mp_obj_int,                            \
        long: mp_obj_int,                           \
        long long: mp_obj_int,                      \
        unsigned char: mp_obj_uint,                 \
        unsigned short: mp_obj_uint,                \
        unsigned: mp_obj_uint,                      \
        unsigned long: mp_obj_uint,                 \
        unsigned long long: mp_obj_uint,            \
        float: mp_obj_float,                        \
        double: mp_obj_float,                       \
        char *: mp_obj_str,                         \
        const char *: mp_obj_str,                   \
        mp_obj *: mp_box_object,                    \
        const mp_obj *: mp_obj_ref,                 \
        mp_connection *: mp_obj_connection,         \
        mp_lock *: mp_obj_lock,                     \
        mp_rlock *: mp_obj_rlock,                   \
        mp_semaphore *: mp_obj_semaphore,           \
        mp_event *: mp_obj_event,                   \
        mp_condition *: mp_obj_condition,           \
        mp_barrier *: mp_obj_barrier,               \
        mp_value *: mp_obj_value,                   \
        mp_array *: mp_obj_array,                   \
        mp_shareable_list *: mp_obj_shareable_list, \
        mp_shared_dict *: mp_obj_shared_dict,       \
        mp_shared_list *: mp_obj_shared_list,       \
        mp_shared_memory *: mp_obj_shared_memory,   \
        mp_queue *: mp_obj_queue,                   \
        mp_function: mp_obj_function,               \
        default: mp_obj_pointer)(value)
/* clang-format on */

/** A list of up to 32 values, each boxed as by MP_BOX(). */
#define MP_LIST(...) \
    MP_BOX_COLLECT(mp_obj_list, MP_BOX_IS_EMPTY(__VA_ARGS__), __VA_ARGS__)
/** A tuple of up to 32 values, each boxed as by MP_BOX(). */
#define MP_TUPLE(...) \
    MP_BOX_COLLECT(mp_obj_tuple, MP_BOX_IS_EMPTY(__VA_ARGS__), __VA_ARGS__)
/** A set of up to 32 values, each boxed as by MP_BOX(). */
#define MP_SET(...) \
    MP_BOX_COLLECT(mp_obj_set, MP_BOX_IS_EMPTY(__VA_ARGS__), __VA_ARGS__)
/** A dict of up to 32 pairs: keys and values by turns, each boxed as by
 * MP_BOX(). */
#define MP_DICT(...) \
    MP_BOX_COLLECT(mp_obj_dict, MP_BOX_IS_EMPTY(__VA_ARGS__), __VA_ARGS__)

/** @cond */
/*
 * The rest is how. Arguments are fully expanded before they are substituted,
 * so MP_LIST may stand inside MP_LIST as long as nothing here puts # or ##
 * next to __VA_ARGS__.
 */
#define MP_BOX_COLLECT(make, is_empty, ...) \
    MP_BOX_JOIN(MP_BOX_COLLECT_, is_empty)(make, __VA_ARGS__)
#define MP_BOX_COLLECT_1(make, ...) make(NULL, 0)
#define MP_BOX_COLLECT_0(make, ...)                                         \
    make((mp_obj *[]){MP_BOX_JOIN(MP_BOX_MAP_,                              \
                                  MP_BOX_COUNT(__VA_ARGS__))(__VA_ARGS__)}, \
         MP_BOX_COUNT(__VA_ARGS__))

#define MP_BOX_JOIN(left, right) MP_BOX_JOIN_(left, right)
#define MP_BOX_JOIN_(left, right) left##right

/*
 * 1 for no argument, else 0. An argument list without a comma is empty if a
 * comma appears once it stands between a macro's name and its parentheses,
 * and in none of the three halves of that test.
 */
#define MP_BOX_IS_EMPTY(...)                                     \
    MP_BOX_IS_EMPTY_(MP_BOX_HAS_COMMA(__VA_ARGS__),              \
                     MP_BOX_HAS_COMMA(MP_BOX_COMMA __VA_ARGS__), \
                     MP_BOX_HAS_COMMA(__VA_ARGS__()),            \
                     MP_BOX_HAS_COMMA(MP_BOX_COMMA __VA_ARGS__()))
#define MP_BOX_IS_EMPTY_(a, b, c, d) \
    MP_BOX_HAS_COMMA(MP_BOX_JOIN5(MP_BOX_CASE_, a, b, c, d))
#define MP_BOX_JOIN5(a, b, c, d, e) MP_BOX_JOIN5_(a, b, c, d, e)
#define MP_BOX_JOIN5_(a, b, c, d, e) a##b##c##d##e
#define MP_BOX_CASE_0001 ,
#define MP_BOX_COMMA(...) ,

/* The 65th argument of the list that the arguments push to the right. */
#define MP_BOX_65TH(a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, \
                    a14, a15, a16, a17, a18, a19, a20, a21, a22, a23, a24,  \
                    a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35,  \
                    a36, a37, a38, a39, a40, a41, a42, a43, a44, a45, a46,  \
                    a47, a48, a49, a50, a51, a52, a53, a54, a55, a56, a57,  \
                    a58, a59, a60, a61, a62, a63, a64, n, ...)              \
    n
#define MP_BOX_COUNT(...)                                                    \
    MP_BOX_65TH(__VA_ARGS__, 64, 63, 62, 61, 60, 59, 58, 57, 56, 55, 54, 53, \
                52, 51, 50, 49, 48, 47, 46, 45, 44, 43, 42, 41, 40, 39, 38,  \
                37, 36, 35, 34, 33, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23,  \
                22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, \
                6, 5, 4, 3, 2, 1, 0)
#define MP_BOX_HAS_COMMA(...)                                                  \
    MP_BOX_65TH(__VA_ARGS__, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,   \
                1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, \
                1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, \
                1, 1, 1, 1, 1, 0, 0)

#define MP_BOX_MAP_1(a) MP_BOX(a)
#define MP_BOX_MAP_2(a, ...) MP_BOX(a), MP_BOX_MAP_1(__VA_ARGS__)
#define MP_BOX_MAP_3(a, ...) MP_BOX(a), MP_BOX_MAP_2(__VA_ARGS__)
#define MP_BOX_MAP_4(a, ...) MP_BOX(a), MP_BOX_MAP_3(__VA_ARGS__)
#define MP_BOX_MAP_5(a, ...) MP_BOX(a), MP_BOX_MAP_4(__VA_ARGS__)
#define MP_BOX_MAP_6(a, ...) MP_BOX(a), MP_BOX_MAP_5(__VA_ARGS__)
#define MP_BOX_MAP_7(a, ...) MP_BOX(a), MP_BOX_MAP_6(__VA_ARGS__)
#define MP_BOX_MAP_8(a, ...) MP_BOX(a), MP_BOX_MAP_7(__VA_ARGS__)
#define MP_BOX_MAP_9(a, ...) MP_BOX(a), MP_BOX_MAP_8(__VA_ARGS__)
#define MP_BOX_MAP_10(a, ...) MP_BOX(a), MP_BOX_MAP_9(__VA_ARGS__)
#define MP_BOX_MAP_11(a, ...) MP_BOX(a), MP_BOX_MAP_10(__VA_ARGS__)
#define MP_BOX_MAP_12(a, ...) MP_BOX(a), MP_BOX_MAP_11(__VA_ARGS__)
#define MP_BOX_MAP_13(a, ...) MP_BOX(a), MP_BOX_MAP_12(__VA_ARGS__)
#define MP_BOX_MAP_14(a, ...) MP_BOX(a), MP_BOX_MAP_13(__VA_ARGS__)
#define MP_BOX_MAP_15(a, ...) MP_BOX(a), MP_BOX_MAP_14(__VA_ARGS__)
#define MP_BOX_MAP_16(a, ...) MP_BOX(a), MP_BOX_MAP_15(__VA_ARGS__)
#define MP_BOX_MAP_17(a, ...) MP_BOX(a), MP_BOX_MAP_16(__VA_ARGS__)
#define MP_BOX_MAP_18(a, ...) MP_BOX(a), MP_BOX_MAP_17(__VA_ARGS__)
#define MP_BOX_MAP_19(a, ...) MP_BOX(a), MP_BOX_MAP_18(__VA_ARGS__)
#define MP_BOX_MAP_20(a, ...) MP_BOX(a), MP_BOX_MAP_19(__VA_ARGS__)
#define MP_BOX_MAP_21(a, ...) MP_BOX(a), MP_BOX_MAP_20(__VA_ARGS__)
#define MP_BOX_MAP_22(a, ...) MP_BOX(a), MP_BOX_MAP_21(__VA_ARGS__)
#define MP_BOX_MAP_23(a, ...) MP_BOX(a), MP_BOX_MAP_22(__VA_ARGS__)
#define MP_BOX_MAP_24(a, ...) MP_BOX(a), MP_BOX_MAP_23(__VA_ARGS__)
#define MP_BOX_MAP_25(a, ...) MP_BOX(a), MP_BOX_MAP_24(__VA_ARGS__)
#define MP_BOX_MAP_26(a, ...) MP_BOX(a), MP_BOX_MAP_25(__VA_ARGS__)
#define MP_BOX_MAP_27(a, ...) MP_BOX(a), MP_BOX_MAP_26(__VA_ARGS__)
#define MP_BOX_MAP_28(a, ...) MP_BOX(a), MP_BOX_MAP_27(__VA_ARGS__)
#define MP_BOX_MAP_29(a, ...) MP_BOX(a), MP_BOX_MAP_28(__VA_ARGS__)
#define MP_BOX_MAP_30(a, ...) MP_BOX(a), MP_BOX_MAP_29(__VA_ARGS__)
#define MP_BOX_MAP_31(a, ...) MP_BOX(a), MP_BOX_MAP_30(__VA_ARGS__)
#define MP_BOX_MAP_32(a, ...) MP_BOX(a), MP_BOX_MAP_31(__VA_ARGS__)
#define MP_BOX_MAP_33(a, ...) MP_BOX(a), MP_BOX_MAP_32(__VA_ARGS__)
#define MP_BOX_MAP_34(a, ...) MP_BOX(a), MP_BOX_MAP_33(__VA_ARGS__)
#define MP_BOX_MAP_35(a, ...) MP_BOX(a), MP_BOX_MAP_34(__VA_ARGS__)
#define MP_BOX_MAP_36(a, ...) MP_BOX(a), MP_BOX_MAP_35(__VA_ARGS__)
#define MP_BOX_MAP_37(a, ...) MP_BOX(a), MP_BOX_MAP_36(__VA_ARGS__)
#define MP_BOX_MAP_38(a, ...) MP_BOX(a), MP_BOX_MAP_37(__VA_ARGS__)
#define MP_BOX_MAP_39(a, ...) MP_BOX(a), MP_BOX_MAP_38(__VA_ARGS__)
#define MP_BOX_MAP_40(a, ...) MP_BOX(a), MP_BOX_MAP_39(__VA_ARGS__)
#define MP_BOX_MAP_41(a, ...) MP_BOX(a), MP_BOX_MAP_40(__VA_ARGS__)
#define MP_BOX_MAP_42(a, ...) MP_BOX(a), MP_BOX_MAP_41(__VA_ARGS__)
#define MP_BOX_MAP_43(a, ...) MP_BOX(a), MP_BOX_MAP_42(__VA_ARGS__)
#define MP_BOX_MAP_44(a, ...) MP_BOX(a), MP_BOX_MAP_43(__VA_ARGS__)
#define MP_BOX_MAP_45(a, ...) MP_BOX(a), MP_BOX_MAP_44(__VA_ARGS__)
#define MP_BOX_MAP_46(a, ...) MP_BOX(a), MP_BOX_MAP_45(__VA_ARGS__)
#define MP_BOX_MAP_47(a, ...) MP_BOX(a), MP_BOX_MAP_46(__VA_ARGS__)
#define MP_BOX_MAP_48(a, ...) MP_BOX(a), MP_BOX_MAP_47(__VA_ARGS__)
#define MP_BOX_MAP_49(a, ...) MP_BOX(a), MP_BOX_MAP_48(__VA_ARGS__)
#define MP_BOX_MAP_50(a, ...) MP_BOX(a), MP_BOX_MAP_49(__VA_ARGS__)
#define MP_BOX_MAP_51(a, ...) MP_BOX(a), MP_BOX_MAP_50(__VA_ARGS__)
#define MP_BOX_MAP_52(a, ...) MP_BOX(a), MP_BOX_MAP_51(__VA_ARGS__)
#define MP_BOX_MAP_53(a, ...) MP_BOX(a), MP_BOX_MAP_52(__VA_ARGS__)
#define MP_BOX_MAP_54(a, ...) MP_BOX(a), MP_BOX_MAP_53(__VA_ARGS__)
#define MP_BOX_MAP_55(a, ...) MP_BOX(a), MP_BOX_MAP_54(__VA_ARGS__)
#define MP_BOX_MAP_56(a, ...) MP_BOX(a), MP_BOX_MAP_55(__VA_ARGS__)
#define MP_BOX_MAP_57(a, ...) MP_BOX(a), MP_BOX_MAP_56(__VA_ARGS__)
#define MP_BOX_MAP_58(a, ...) MP_BOX(a), MP_BOX_MAP_57(__VA_ARGS__)
#define MP_BOX_MAP_59(a, ...) MP_BOX(a), MP_BOX_MAP_58(__VA_ARGS__)
#define MP_BOX_MAP_60(a, ...) MP_BOX(a), MP_BOX_MAP_59(__VA_ARGS__)
#define MP_BOX_MAP_61(a, ...) MP_BOX(a), MP_BOX_MAP_60(__VA_ARGS__)
#define MP_BOX_MAP_62(a, ...) MP_BOX(a), MP_BOX_MAP_61(__VA_ARGS__)
#define MP_BOX_MAP_63(a, ...) MP_BOX(a), MP_BOX_MAP_62(__VA_ARGS__)
#define MP_BOX_MAP_64(a, ...) MP_BOX(a), MP_BOX_MAP_63(__VA_ARGS__)
/** @endcond */

#endif /* C */

/** The arguments of a process, a tuple; MP_ARGS() for none. */
#define MP_ARGS(...) MP_TUPLE(__VA_ARGS__)
/** Its keyword arguments, a dict: MP_KWARGS("times", 2, "loud", MP_TRUE). */
#define MP_KWARGS(...) MP_DICT(__VA_ARGS__)

/** @} */

#endif
