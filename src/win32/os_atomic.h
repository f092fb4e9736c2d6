/* SPDX-License-Identifier: MIT */
/*
 * 32-bit atomics, for memory shared by threads and by processes. Loads
 * acquire, stores release, the others do both. MSVC has no stdatomic.h in C
 * without an experimental switch, hence the intrinsics (full barriers).
 */
#ifndef MULTIPROC_OS_ATOMIC_H
#define MULTIPROC_OS_ATOMIC_H

#include <stdbool.h>
#include <stdint.h>

#ifdef _MSC_VER

#include <intrin.h>

typedef struct mpi_atomic32 {
    volatile long value;
} mpi_atomic32;

static inline uint32_t mpi_atomic32_load(const mpi_atomic32 *atomic)
{
    return (uint32_t)_InterlockedOr((volatile long *)&atomic->value, 0);
}

static inline void mpi_atomic32_store(mpi_atomic32 *atomic, uint32_t value)
{
    _InterlockedExchange(&atomic->value, (long)value);
}

static inline uint32_t mpi_atomic32_add(mpi_atomic32 *atomic, uint32_t change)
{
    return (uint32_t)_InterlockedExchangeAdd(&atomic->value, (long)change);
}

static inline bool mpi_atomic32_change(mpi_atomic32 *atomic, uint32_t from,
                                       uint32_t to)
{
    return _InterlockedCompareExchange(&atomic->value, (long)to, (long)from) ==
           (long)from;
}

#else

#include <stdatomic.h>

typedef struct mpi_atomic32 {
    _Atomic uint32_t value;
} mpi_atomic32;

static inline uint32_t mpi_atomic32_load(const mpi_atomic32 *atomic)
{
    return atomic_load_explicit(&atomic->value, memory_order_acquire);
}

static inline void mpi_atomic32_store(mpi_atomic32 *atomic, uint32_t value)
{
    atomic_store_explicit(&atomic->value, value, memory_order_release);
}

static inline uint32_t mpi_atomic32_add(mpi_atomic32 *atomic, uint32_t change)
{
    return atomic_fetch_add_explicit(&atomic->value, change,
                                     memory_order_acq_rel);
}

static inline bool mpi_atomic32_change(mpi_atomic32 *atomic, uint32_t from,
                                       uint32_t to)
{
    return atomic_compare_exchange_strong_explicit(
        &atomic->value, &from, to, memory_order_acq_rel, memory_order_acquire);
}

#endif

#endif
