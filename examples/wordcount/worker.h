/* SPDX-License-Identifier: MIT */
/*
 * A child's work: batches of paths come in, sums go out, and at the end the
 * words.
 *
 *   parent to worker  bytes: paths, each with a zero byte behind it; no bytes
 *                     at all: that was the last batch
 *   worker to parent  (lines, words, bytes, states) for each batch, a byte of
 *                     state for each path; at the end bytes: the encoded table
 */
#ifndef WORKER_H
#define WORKER_H

#include <multiproc.h>

/** Target; arguments: the connection, must_print. */
int worker(mp_args *args);

#endif
