/* SPDX-License-Identifier: MIT */
/* Descriptors that are close-on-exec from birth: Linux, the BSDs. */
#include "os_internal.h"

const int mpos_send_flags = MSG_NOSIGNAL;

int mpos_socketpair(int type, int ends[2])
{
    return socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends);
}

int mpos_socket(int family, int type)
{
    return socket(family, type | SOCK_CLOEXEC, 0);
}

int mpos_accept_from(int listener, struct sockaddr *peer, socklen_t *size)
{
    return accept4(listener, peer, size, SOCK_CLOEXEC);
}

ssize_t mpos_recvmsg(int channel, struct msghdr *message)
{
    return recvmsg(channel, message, MSG_CMSG_CLOEXEC);
}
