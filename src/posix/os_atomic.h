/* SPDX-License-Identifier: MIT */
/*
 * Atomics, for memory shared by threads and by processes. Loads
 * acquire, stores release, the others do both.
 */
#ifndef MULTIPROC_OS_ATOMIC_H
#define MULTIPROC_OS_ATOMIC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

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

/* Returns the value before; a negative change wraps, as unsigned does. */
static inline uint32_t mpi_atomic32_add(mpi_atomic32 *atomic, uint32_t change)
{
    return atomic_fetch_add_explicit(&atomic->value, change,
                                     memory_order_acq_rel);
}

/* True if it was `from` and is now `to`. */
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
#elif defined(__aarch64__) || defined(__ARM_ARCH_7A__)
    __asm__ volatile("yield" ::: "memory");
#else
    atomic_signal_fence(memory_order_seq_cst);
#endif
}

#endif
