/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that become close-on-exec only after they exist: macOS. In
 * between mpos_port_mutex is held, as it is while a process is started.
 */
#include "os_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* There is SO_NOSIGPIPE instead. */
const int mpos_send_flags = 0;

static void adopt(int descriptor)
{
    const int yes = 1;

    fcntl(descriptor, F_SETFD, FD_CLOEXEC);
    setsockopt(descriptor, SOL_SOCKET, SO_NOSIGPIPE, &yes, sizeof(yes));
}

int mpos_socketpair(int type, int ends[2])
{
    int result;

    mpos_mutex_lock(&mpos_port_mutex);
    result = socketpair(AF_UNIX, type, 0, ends);
    if (result == 0) {
        adopt(ends[0]);
        adopt(ends[1]);
    }
    mpos_mutex_unlock(&mpos_port_mutex);
    return result;
}

int mpos_socket(int family, int type)
{
    int created;

    mpos_mutex_lock(&mpos_port_mutex);
    created = socket(family, type, 0);
    if (created >= 0)
        adopt(created);
    mpos_mutex_unlock(&mpos_port_mutex);
    return created;
}

int mpos_accept_from(int listener, struct sockaddr *peer, socklen_t *size)
{
    int accepted;
    int cause;

    mpos_mutex_lock(&mpos_port_mutex);
    accepted = accept(listener, peer, size);
    cause = errno;
    if (accepted >= 0)
        adopt(accepted);
    mpos_mutex_unlock(&mpos_port_mutex);
    /* It takes after the listener here. */
    if (accepted >= 0)
        fcntl(accepted, F_SETFL, fcntl(accepted, F_GETFL) & ~O_NONBLOCK);
    errno = cause;
    return accepted;
}

static void adopt_received(struct msghdr *message)
{
    struct cmsghdr *part = CMSG_FIRSTHDR(message);
    size_t size;

    if (part == NULL || part->cmsg_level != SOL_SOCKET ||
        part->cmsg_type != SCM_RIGHTS)
        return;
    size = part->cmsg_len - CMSG_LEN(0);
    for (size_t i = 0; i + sizeof(int) <= size; i += sizeof(int)) {
        int descriptor;

        memcpy(&descriptor, CMSG_DATA(part) + i, sizeof(descriptor));
        adopt(descriptor);
    }
}

ssize_t mpos_recvmsg(int channel, struct msghdr *message)
{
    ssize_t got;
    int cause;

    /* It blocks, so wait before taking the lock; who else reads the same
     * channel at the same time gets an error, not a deadlock. */
    got = recv(channel, &(char){0}, 1, MSG_PEEK);
    if (got <= 0)
        return got;
    mpos_mutex_lock(&mpos_port_mutex);
    got = recvmsg(channel, message, MSG_DONTWAIT);
    cause = errno;
    if (got > 0)
        adopt_received(message);
    mpos_mutex_unlock(&mpos_port_mutex);
    errno = cause;
    return got;
}
