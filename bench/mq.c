/* SPDX-License-Identifier: MIT */
/* Message queues of POSIX, mq_overview(7). */
#include "peer.h"

#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <unistd.h>

static mqd_t queues[2];

static const char *version(void)
{
    return "of the kernel";
}

/* One whose name is gone at once; whoever is forked has it open. */
static mqd_t open_one(size_t size, size_t count)
{
    struct mq_attr attributes = {.mq_maxmsg = (long)count,
                                 .mq_msgsize = (long)size};
    char name[64];
    mqd_t queue;

    snprintf(name, sizeof(name), "/multiproc-bench-%d", (int)getpid());
    queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attributes);
    if (queue != (mqd_t)-1)
        mq_unlink(name);
    return queue;
}

/* Not everybody may have more than fs.mqueue.msg_max, which often is 10. */
static size_t queues_open(size_t size, size_t count)
{
    do
        queues[0] = open_one(size, count);
    while (queues[0] == (mqd_t)-1 && count-- > 1);
    if (queues[0] == (mqd_t)-1)
        return 0;
    queues[1] = open_one(size, count);
    if (queues[1] != (mqd_t)-1)
        return count;
    mq_close(queues[0]);
    return 0;
}

static void queues_close(void)
{
    mq_close(queues[0]);
    mq_close(queues[1]);
}

static bool queue_put(int which, const void *data, size_t size)
{
    return mq_send(queues[which], data, size, 0) == 0;
}

static size_t queue_get(int which, void *data, size_t capacity)
{
    ssize_t size = mq_receive(queues[which], data, capacity, NULL);

    return size > 0 ? (size_t)size : 0;
}

const bench_peer peer_mq = {
    .version = version,
    .queues_open = queues_open,
    .queues_close = queues_close,
    .queue_put = queue_put,
    .queue_get = queue_get,
};
