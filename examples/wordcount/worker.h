/* SPDX-License-Identifier: MIT */
/* What workers do: count a batch of files. */
#ifndef WORKER_H
#define WORKER_H

#include <multiproc.h>

/** The pool's initializer: (must_print, a Value: the batch whose worker is to
 *  crash, which then is -1). */
int worker_begin(mp_args *args);

/**
 * A task; its argument is (number of the batch, paths, each with a zero byte
 * behind it).
 * @return (number, lines, words, bytes, states, encoded table); a byte of state
 *         for each path.
 */
mp_obj *worker_count(mp_args *args);

#endif
