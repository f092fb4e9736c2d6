/* SPDX-License-Identifier: MIT */
/* Where there is no the Apache Portable Runtime: rows are skipped. */
#include "peer.h"

const bench_peer peer_apr = {.version = NULL};
