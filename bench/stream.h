/* SPDX-License-Identifier: MIT */
/*
 * What connections are compared with: bare reads and writes between two
 * processes, and a bare poll(). Where a system has none, opening fails.
 */
#ifndef BENCH_STREAM_H
#define BENCH_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Another process reads what is poured, in pieces of that size at most. */
bool stream_open_sink(size_t piece);
void stream_close_sink(void);
/* Writes data count times; returns when all of it has been read. */
bool stream_pour(const void *data, size_t piece, int count);

/* Descriptors that never become readable. */
bool stream_open_idle(intptr_t *handles, size_t count);
void stream_close_idle(const intptr_t *handles, size_t count);

/* To wait for any of these descriptors to be readable. */
bool stream_open_poll(const intptr_t *handles, size_t count);
void stream_close_poll(void);
/* Writes to one, waits for those, reads from the last of them. */
bool stream_send_and_poll(intptr_t to, const void *data, size_t size);

/* A process that accepts at a UNIX path, and what a proof takes: as many turns
 * as ours, of as many bytes, with nothing in them. */
bool stream_open_door(void);
void stream_close_door(void);
/* Connects, takes those turns, and leaves. */
bool stream_knock(void);

#endif
