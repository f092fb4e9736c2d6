/* SPDX-License-Identifier: MIT */
/* Boost's named_mutex, behind functions that C can call. */
#ifndef BENCH_BOOST_H
#define BENCH_BOOST_H

#ifdef __cplusplus
extern "C" {
#else
#include <stdbool.h>
#endif

/* False: built without Boost, or it can't be had. */
bool boost_open(void);
void boost_close(void);
void boost_acquire(void);
void boost_release(void);
void boost_repeat(int count);

#ifdef __cplusplus
}
#endif

#endif
