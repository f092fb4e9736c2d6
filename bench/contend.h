/* SPDX-License-Identifier: MIT */
/* Processes that all want one lock, all the time, for a while. */
#ifndef BENCH_CONTEND_H
#define BENCH_CONTEND_H

#include "bare.h"

/* Our lock and a peer's; at most CONTEND_MOST workers. NULL, or why not. */
enum { CONTEND_MOST = 64 };
const char *contend_open(bare_kind peer, int workers);
void contend_close(void);

/* Seconds that one acquire and release took, over all of them together; notes
 * how fair it was. */
double contend_for(bool is_ours, double seconds);
/* In that time: of the least served worker, divided by the mean. */
double contend_least_share(void);

#endif
