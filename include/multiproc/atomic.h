/* SPDX-License-Identifier: MIT */
/**
 * @defgroup atomic Atomic operations
 * Atomic operations on integers that processes share, without any lock: on what
 * MP_VALUE() and MP_ARRAY() point to, or any other shared memory.
 *
 *     mp_fetch_add(MP_VALUE(n, int), 1);
 *
 * pointer: to an integer of 1, 2, 4 or 8 bytes, aligned to its size. All are
 * sequentially consistent. Each evaluates its arguments once.
 * @{
 */
#ifndef MULTIPROC_ATOMIC_H
#define MULTIPROC_ATOMIC_H

#include <multiproc/object.h>

/* MP_ATOMIC_INTRINSICS: as Microsoft's compiler does it; MinGW can do both. */
#if defined(__GNUC__) && !defined(MP_ATOMIC_INTRINSICS)

/** What is there. */
#define mp_atomic_load(pointer) __atomic_load_n((pointer), __ATOMIC_SEQ_CST)
/** Stores value. */
#define mp_atomic_store(pointer, value) \
    __atomic_store_n((pointer), (value), __ATOMIC_SEQ_CST)
/** Stores value; what was there. */
#define mp_exchange(pointer, value) \
    __atomic_exchange_n((pointer), (value), __ATOMIC_SEQ_CST)
/** Adds, wrapping around; what was there before. */
#define mp_fetch_add(pointer, value) \
    __atomic_fetch_add((pointer), (value), __ATOMIC_SEQ_CST)
/** Subtracts, wrapping around; what was there before. */
#define mp_fetch_sub(pointer, value) \
    __atomic_fetch_sub((pointer), (value), __ATOMIC_SEQ_CST)
/** Sets the bits of value; what was there before. */
#define mp_fetch_or(pointer, value) \
    __atomic_fetch_or((pointer), (value), __ATOMIC_SEQ_CST)
/** Clears all bits but those of value; what was there before. */
#define mp_fetch_and(pointer, value) \
    __atomic_fetch_and((pointer), (value), __ATOMIC_SEQ_CST)
/** Stores desired if *expected is there; if not, *expected is what is. Whether
 * it did. */
#define mp_compare_exchange(pointer, expected, desired)              \
    __atomic_compare_exchange_n((pointer), (expected), (desired), 0, \
                                __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)

#else
#ifndef MP_ATOMIC_INTRINSICS
#define MP_ATOMIC_INTRINSICS
#endif
#include <multiproc/atomic_msvc.h>
#endif

/** @} */

#endif
