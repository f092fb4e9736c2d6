/* SPDX-License-Identifier: MIT */
/*
 * What atomic.h promises, made of the intrinsics of Microsoft's compiler; not
 * to be included by itself.
 *
 * A function for each type of integers and operation: mp_msvc_load_int() ... in
 * C, chosen by _Generic, and overloads of mp_msvc_load() in C++. The intrinsics
 * are full barriers on every processor. On 32-bit x86 reading 8 bytes writes,
 * too: what is mapped for reading only can't be read so there.
 */
#ifndef MULTIPROC_ATOMIC_MSVC_H
#define MULTIPROC_ATOMIC_MSVC_H

#ifdef MP_ATOMIC_INTRINSICS

#include <multiproc/object.h>

#include <intrin.h>

/* -- What reading takes ---------------------------------------------------- */

#if defined(_M_ARM) || defined(_M_ARM64) || defined(_M_ARM64EC)
#define MP_MSVC_FENCE() __dmb(0xB) /* all of the inner shareable domain */
#define MP_MSVC_READ(bits, native, pointer) \
    ((native)__iso_volatile_load##bits((const volatile __int##bits *)(pointer)))
#else
/* x86 keeps the order of loads and of stores, which are all exchanges here; the
 * compiler has to, too. */
#define MP_MSVC_FENCE() _ReadWriteBarrier()
#define MP_MSVC_READ(bits, native, pointer) \
    (*(const volatile native *)(pointer))
#endif

/* -- By size --------------------------------------------------------------- */

/* clang-format off */
#define MP_MSVC_INTRINSICS(bits, native, suffix)                              \
    static inline native mp_msvc_cas##bits(                                   \
        volatile void *pointer, native desired, native expected)              \
    {                                                                         \
        return _InterlockedCompareExchange##suffix(                           \
            (volatile native *)pointer, desired, expected);                   \
    }

#define MP_MSVC_ONE_INSTRUCTION(bits, native, suffix)                         \
    MP_MSVC_INTRINSICS(bits, native, suffix)                                  \
    static inline native mp_msvc_load##bits(const volatile void *pointer)     \
    {                                                                         \
        native found;                                                         \
                                                                              \
        MP_MSVC_FENCE();                                                      \
        found = MP_MSVC_READ(bits, native, pointer);                          \
        MP_MSVC_FENCE();                                                      \
        return found;                                                         \
    }                                                                         \
    static inline native mp_msvc_exchange##bits(volatile void *pointer,       \
                                                native value)                 \
    {                                                                         \
        return _InterlockedExchange##suffix((volatile native *)pointer,       \
                                            value);                           \
    }                                                                         \
    static inline native mp_msvc_add##bits(volatile void *pointer,            \
                                           native value)                      \
    {                                                                         \
        return _InterlockedExchangeAdd##suffix((volatile native *)pointer,    \
                                               value);                        \
    }                                                                         \
    static inline native mp_msvc_set##bits(volatile void *pointer,            \
                                          native value)                       \
    {                                                                         \
        return _InterlockedOr##suffix((volatile native *)pointer, value);     \
    }                                                                         \
    static inline native mp_msvc_keep##bits(volatile void *pointer,           \
                                           native value)                      \
    {                                                                         \
        return _InterlockedAnd##suffix((volatile native *)pointer, value);    \
    }

/* Until nobody else was faster. */
#define MP_MSVC_LOOP(operation, bits, native, result)                         \
    static inline native mp_msvc_##operation##bits(volatile void *pointer,    \
                                                   native value)              \
    {                                                                         \
        native was = mp_msvc_load##bits(pointer);                             \
                                                                              \
        for (;;) {                                                            \
            native found = mp_msvc_cas##bits(pointer, (native)(result), was); \
                                                                              \
            if (found == was)                                                 \
                return was;                                                   \
            was = found;                                                      \
        }                                                                     \
    }

#if defined(_M_IX86)
#define MP_MSVC_LOOPS(bits, native, suffix)                                   \
    MP_MSVC_INTRINSICS(bits, native, suffix)                                  \
    static inline native mp_msvc_load##bits(const volatile void *pointer)     \
    {                                                                         \
        return mp_msvc_cas##bits((volatile void *)pointer, 0, 0);             \
    }                                                                         \
    MP_MSVC_LOOP(exchange, bits, native, value)                               \
    MP_MSVC_LOOP(add, bits, native, (unsigned __int64)was +                   \
                                    (unsigned __int64)value)                  \
    MP_MSVC_LOOP(set, bits, native, was | value)                              \
    MP_MSVC_LOOP(keep, bits, native, was & value)
#else
#define MP_MSVC_LOOPS MP_MSVC_ONE_INSTRUCTION
#endif

MP_MSVC_ONE_INSTRUCTION(8, char, 8)
MP_MSVC_ONE_INSTRUCTION(16, short, 16)
MP_MSVC_ONE_INSTRUCTION(32, long, )
MP_MSVC_LOOPS(64, __int64, 64)

/* -- By type --------------------------------------------------------------- */

#ifdef __cplusplus
#define MP_MSVC_NAME(operation, name) mp_msvc_##operation
#else
#define MP_MSVC_NAME(operation, name) mp_msvc_##operation##_##name
#endif

#define MP_MSVC_STORAGE(name, type, bits, native)                             \
    static inline type MP_MSVC_NAME(load, name)(                              \
        const volatile type *pointer)                                         \
    {                                                                         \
        return (type)mp_msvc_load##bits(pointer);                             \
    }                                                                         \
    static inline type MP_MSVC_NAME(exchange, name)(volatile type *pointer,   \
                                                    type value)               \
    {                                                                         \
        return (type)mp_msvc_exchange##bits(pointer, (native)value);          \
    }                                                                         \
    static inline void MP_MSVC_NAME(store, name)(volatile type *pointer,      \
                                                 type value)                  \
    {                                                                         \
        (void)mp_msvc_exchange##bits(pointer, (native)value);                 \
    }                                                                         \
    static inline bool MP_MSVC_NAME(compare_exchange, name)(                  \
        volatile type *pointer, type *expected, type desired)                 \
    {                                                                         \
        const type was = *expected;                                           \
        const type found = (type)mp_msvc_cas##bits(                           \
            pointer, (native)desired, (native)was);                           \
                                                                              \
        if (found == was)                                                     \
            return true;                                                      \
        *expected = found;                                                    \
        return false;                                                         \
    }

#define MP_MSVC_ARITHMETIC(name, type, bits, native)                          \
    MP_MSVC_STORAGE(name, type, bits, native)                                 \
    static inline type MP_MSVC_NAME(fetch_add, name)(volatile type *pointer,  \
                                                     type value)              \
    {                                                                         \
        return (type)mp_msvc_add##bits(pointer, (native)value);               \
    }                                                                         \
    static inline type MP_MSVC_NAME(fetch_sub, name)(volatile type *pointer,  \
                                                     type value)              \
    {                                                                         \
        return (type)mp_msvc_add##bits(                                       \
            pointer, (native)(0 - (unsigned __int64)value));                  \
    }                                                                         \
    static inline type MP_MSVC_NAME(fetch_or, name)(volatile type *pointer,   \
                                                    type value)               \
    {                                                                         \
        return (type)mp_msvc_set##bits(pointer, (native)value);               \
    }                                                                         \
    static inline type MP_MSVC_NAME(fetch_and, name)(volatile type *pointer,  \
                                                     type value)              \
    {                                                                         \
        return (type)mp_msvc_keep##bits(pointer, (native)value);              \
    }

MP_MSVC_STORAGE(truth, bool, 8, char)
MP_MSVC_ARITHMETIC(char, char, 8, char)
MP_MSVC_ARITHMETIC(schar, signed char, 8, char)
MP_MSVC_ARITHMETIC(uchar, unsigned char, 8, char)
MP_MSVC_ARITHMETIC(short, short, 16, short)
MP_MSVC_ARITHMETIC(ushort, unsigned short, 16, short)
MP_MSVC_ARITHMETIC(int, int, 32, long)
MP_MSVC_ARITHMETIC(uint, unsigned int, 32, long)
MP_MSVC_ARITHMETIC(long, long, 32, long)
MP_MSVC_ARITHMETIC(ulong, unsigned long, 32, long)
MP_MSVC_ARITHMETIC(llong, long long, 64, __int64)
MP_MSVC_ARITHMETIC(ullong, unsigned long long, 64, __int64)

/* -- The macros ------------------------------------------------------------ */

#ifdef __cplusplus

#define MP_MSVC_STORAGE_OF(operation, pointer) mp_msvc_##operation
#define MP_MSVC_ARITHMETIC_OF(operation, pointer) mp_msvc_##operation

#else

/* All qualifiers: not every version drops them from what it looks at. */
#define MP_MSVC_CASE(operation, name, type)               \
    type *: mp_msvc_##operation##_##name,                 \
    const type *: mp_msvc_##operation##_##name,           \
    volatile type *: mp_msvc_##operation##_##name,        \
    const volatile type *: mp_msvc_##operation##_##name

#define MP_MSVC_CASES(operation)                          \
    MP_MSVC_CASE(operation, char, char),                  \
    MP_MSVC_CASE(operation, schar, signed char),          \
    MP_MSVC_CASE(operation, uchar, unsigned char),        \
    MP_MSVC_CASE(operation, short, short),                \
    MP_MSVC_CASE(operation, ushort, unsigned short),      \
    MP_MSVC_CASE(operation, int, int),                    \
    MP_MSVC_CASE(operation, uint, unsigned int),          \
    MP_MSVC_CASE(operation, long, long),                  \
    MP_MSVC_CASE(operation, ulong, unsigned long),        \
    MP_MSVC_CASE(operation, llong, long long),            \
    MP_MSVC_CASE(operation, ullong, unsigned long long)

#define MP_MSVC_STORAGE_OF(operation, pointer)            \
    _Generic((pointer),                                   \
        MP_MSVC_CASE(operation, truth, bool),             \
        MP_MSVC_CASES(operation))
#define MP_MSVC_ARITHMETIC_OF(operation, pointer)         \
    _Generic((pointer), MP_MSVC_CASES(operation))

#endif
/* clang-format on */

#define mp_atomic_load(pointer) MP_MSVC_STORAGE_OF(load, pointer)(pointer)
#define mp_atomic_store(pointer, value) \
    MP_MSVC_STORAGE_OF(store, pointer)((pointer), (value))
#define mp_exchange(pointer, value) \
    MP_MSVC_STORAGE_OF(exchange, pointer)((pointer), (value))
#define mp_compare_exchange(pointer, expected, desired) \
    MP_MSVC_STORAGE_OF(compare_exchange, pointer)       \
    ((pointer), (expected), (desired))
#define mp_fetch_add(pointer, value) \
    MP_MSVC_ARITHMETIC_OF(fetch_add, pointer)((pointer), (value))
#define mp_fetch_sub(pointer, value) \
    MP_MSVC_ARITHMETIC_OF(fetch_sub, pointer)((pointer), (value))
#define mp_fetch_or(pointer, value) \
    MP_MSVC_ARITHMETIC_OF(fetch_or, pointer)((pointer), (value))
#define mp_fetch_and(pointer, value) \
    MP_MSVC_ARITHMETIC_OF(fetch_and, pointer)((pointer), (value))

#endif

#endif
