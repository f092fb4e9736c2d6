/* SPDX-License-Identifier: MIT */
/*
 * 32-bit atomics, for memory shared by threads and by processes. Loads
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

#endif
