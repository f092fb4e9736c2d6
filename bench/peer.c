/* SPDX-License-Identifier: MIT */
/* Which peers are here. */
#include "peer.h"

static const char *need(const bench_peer *it, const char *sentence)
{
    return it->version != NULL ? NULL : sentence;
}

const char *peer_need_apr(void)
{
    return need(&peer_apr, "built without APR");
}

const char *peer_need_uv(void)
{
    return need(&peer_uv, "built without libuv");
}

const char *peer_need_mq(void)
{
    return need(&peer_mq, "no POSIX message queues here");
}
