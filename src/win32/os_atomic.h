/* SPDX-License-Identifier: MIT */
/*
 * Atomics, for memory shared by threads and by processes. Loads
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

typedef struct mpi_atomic64 {
    volatile __int64 value;
} mpi_atomic64;

/* Also right on 32-bit processors, which have no other way. */
static inline uint64_t mpi_atomic64_load(const mpi_atomic64 *atomic)
{
    return (uint64_t)_InterlockedCompareExchange64(
        (volatile __int64 *)&atomic->value, 0, 0);
}

static inline bool mpi_atomic64_change(mpi_atomic64 *atomic, uint64_t from,
                                       uint64_t to)
{
    return _InterlockedCompareExchange64(&atomic->value, (__int64)to,
                                         (__int64)from) == (__int64)from;
}

static inline void mpi_atomic64_store(mpi_atomic64 *atomic, uint64_t value)
{
    uint64_t seen;

    do {
        seen = mpi_atomic64_load(atomic);
    } while (!mpi_atomic64_change(atomic, seen, value));
}

/* What this thread stored and loaded before is done before what follows. */
static inline void mpi_fence(void)
{
    volatile long nothing = 0;

    _InterlockedOr(&nothing, 0);
}

/* The same after mpi_atomic32_change() or mpi_atomic64_change(), which are one
 * on processors whose compare-and-swap is. */
static inline void mpi_fence_after_change(void)
{
#if defined(_M_X64) || defined(_M_IX86)
    _ReadWriteBarrier();
#else
    mpi_fence();
#endif
}

/* In a loop that waits for another processor. */
static inline void mpi_pause(void)
{
#if defined(_M_ARM64) || defined(_M_ARM)
    __yield();
#else
    _mm_pause();
#endif
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

typedef struct mpi_atomic64 {
    _Atomic uint64_t value;
} mpi_atomic64;

static inline uint64_t mpi_atomic64_load(const mpi_atomic64 *atomic)
{
    return atomic_load_explicit(&atomic->value, memory_order_acquire);
}

static inline void mpi_atomic64_store(mpi_atomic64 *atomic, uint64_t value)
{
    atomic_store_explicit(&atomic->value, value, memory_order_release);
}

static inline bool mpi_atomic64_change(mpi_atomic64 *atomic, uint64_t from,
                                       uint64_t to)
{
    return atomic_compare_exchange_strong_explicit(
        &atomic->value, &from, to, memory_order_acq_rel, memory_order_acquire);
}

/* What this thread stored and loaded before is done before what follows. */
static inline void mpi_fence(void)
{
    atomic_thread_fence(memory_order_seq_cst);
}

/* The same after mpi_atomic32_change() or mpi_atomic64_change(), which are one
 * on processors whose compare-and-swap is. */
static inline void mpi_fence_after_change(void)
{
#if defined(__x86_64__) || defined(__i386__)
    atomic_signal_fence(memory_order_seq_cst);
#else
    mpi_fence();
#endif
}

/* In a loop that waits for another processor. */
static inline void mpi_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield" ::: "memory");
#else
    atomic_signal_fence(memory_order_seq_cst);
#endif
}

#endif

#endif
