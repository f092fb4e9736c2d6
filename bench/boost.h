/* SPDX-License-Identifier: MIT */
/* Boost's named_mutex and message_queue, behind functions that C can call. */
#ifndef BENCH_BOOST_H
#define BENCH_BOOST_H

#ifdef __cplusplus
extern "C" {
#else
#include <stdbool.h>
#endif
#include <stddef.h>

/* "1.74"; "": built without Boost. */
const char *boost_version(void);

/* False: built without Boost, or it can't be had. */
bool boost_open(void);
void boost_close(void);
void boost_acquire(void);
void boost_release(void);
void boost_repeat(int count);

/* One queue, for up to count items of size bytes. False: as boost_open(). */
bool boost_queue_open(size_t size, size_t count);
void boost_queue_close(void);
void boost_queue_put(const void *data, size_t size);
size_t boost_queue_get(void *data, size_t capacity);

#ifdef __cplusplus
}
#endif

#endif
