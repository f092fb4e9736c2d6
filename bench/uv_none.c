/* SPDX-License-Identifier: MIT */
/* Where there is no libuv: rows are skipped. */
#include "peer.h"

const bench_peer peer_uv = {.version = NULL};
