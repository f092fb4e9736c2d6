/* SPDX-License-Identifier: MIT */
/* How a round is run, watched and judged: see rounds.c. */
#ifndef TORTURE_ROUNDS_H
#define TORTURE_ROUNDS_H

#include "torture.h"

/* Before the first round: begins to watch. kills 0: as many as each storm says.
 */
void rounds_begin(int kills);
/* After the last one. */
void rounds_end(void);
/* Returns if nothing has failed. */
void rounds_run(const storm *what, mp_start_method method, uint64_t seed);
/* From now on all that there is has been used once: memory may not grow. */
void rounds_settle(void);

#endif
