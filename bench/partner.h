/* SPDX-License-Identifier: MIT */
/* A process at the other end of one of our pipes. */
#ifndef BENCH_PARTNER_H
#define BENCH_PARTNER_H

#include <multiproc.h>

/* Our end, while there is a partner. */
extern mp_connection *partner_link;

enum { PARTNER_SMALL = 64 }; /* bytes of a message there and back */

/* Its arguments are its end and a size. */
void partner_start(mp_function target, int64_t size);
/* As it has to be for a Python process: two reads for a message. */
void partner_start_on_stream(mp_function target, int64_t size);
/* So often there and back, with one that echoes; the seconds that took. */
double partner_roundtrip(int batch);
/* Closes the link, which is how it knows. */
void partner_end(void);

#endif
