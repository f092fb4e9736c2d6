/* SPDX-License-Identifier: MIT */
/*
 * Handles are descriptors. Pipes and channels are socket pairs, so that
 * writing to one that nobody reads gives an error instead of a signal, and
 * descriptors can travel over a channel.
 *
 * Reading and writing take any descriptor: one that came from elsewhere may
 * be a pipe, a terminal, or non-blocking.
 */
#include "os_internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    FIRST_FREE = 3,
    PARTS_LIMIT = 4,
    CONTROL_LIMIT = 253,
    PACKET_BESIDE = 1024, /* what the system wants beside a packet's bytes */
};

mp_error mpos_raise_descriptor(int *descriptor)
{
    int raised;
    int cause;

    if (*descriptor >= FIRST_FREE)
        return MP_OK;
    raised = fcntl(*descriptor, F_DUPFD_CLOEXEC, FIRST_FREE);
    cause = errno;
    close(*descriptor);
    if (raised < 0)
        return mpos_fail_errno("fcntl(F_DUPFD_CLOEXEC)", cause);
    *descriptor = raised;
    return MP_OK;
}

static mp_error create_pair(int type, int ends[2])
{
    mp_error error;

    if (mpos_socketpair(type, ends) != 0)
        return mpos_fail_errno("socketpair", errno);
    error = mpos_raise_descriptor(&ends[0]);
    if (error != MP_OK) {
        close(ends[1]);
        return error;
    }
    error = mpos_raise_descriptor(&ends[1]);
    if (error != MP_OK)
        close(ends[0]);
    return error;
}

mp_error mpos_ended_descriptor(int *descriptor)
{
    int ends[2];
    mp_error error = create_pair(SOCK_STREAM, ends);

    if (error != MP_OK)
        return error;
    close(ends[1]);
    *descriptor = ends[0];
    return MP_OK;
}

mp_error mpos_pipe(mpos_handle *reader, mpos_handle *writer)
{
    int ends[2];
    mp_error error = create_pair(SOCK_STREAM, ends);

    if (error != MP_OK)
        return error;
    shutdown(ends[0], SHUT_WR);
    shutdown(ends[1], SHUT_RD);
    *reader = ends[0];
    *writer = ends[1];
    return MP_OK;
}

#if defined(__linux__) && !defined(MULTIPROC_NO_PACKETS)
/* One that is larger than what a socket may have under way is refused. */
static bool takes_packets(int socket)
{
    int room = 0;
    socklen_t size = sizeof(room);

    return getsockopt(socket, SOL_SOCKET, SO_SNDBUF, &room, &size) == 0 &&
           room >= MPOS_PACKET_MAX + PACKET_BESIDE;
}

static bool create_packet_pair(int ends[2])
{
    if (create_pair(SOCK_SEQPACKET, ends) != MP_OK)
        return false;
    if (takes_packets(ends[0]))
        return true;
    close(ends[0]);
    close(ends[1]);
    return false;
}
#else
/* macOS has none; FreeBSD's have not been tried. */
static bool create_packet_pair(int ends[2])
{
    (void)ends;
    return false;
}
#endif

mp_error mpos_channel(mpos_handle *left, mpos_handle *right, bool *has_packets)
{
    int ends[2];
    bool is_made = has_packets != NULL && create_packet_pair(ends);
    mp_error error = is_made ? MP_OK : create_pair(SOCK_STREAM, ends);

    if (error != MP_OK)
        return error;
    if (has_packets != NULL)
        *has_packets = is_made;
    *left = ends[0];
    *right = ends[1];
    return MP_OK;
}

/* After errno: true if the call is to be made again. */
static bool must_retry(int descriptor, short events)
{
    struct pollfd item = {.fd = descriptor, .events = events};

    if (errno == EINTR)
        return true;
    if (errno != EAGAIN && errno != EWOULDBLOCK)
        return false;
    poll(&item, 1, -1);
    return true;
}

/* The same for reading. The other end may have been closed with something of
 * ours unread: Linux says that first, and gives the packets that came from
 * there, or the end of file, to the next call. */
static bool must_read_on(int descriptor, bool *was_reset)
{
    if (errno != ECONNRESET || *was_reset)
        return must_retry(descriptor, POLLIN);
    *was_reset = true;
    return true;
}

/* recv() is a tenth faster than read() where it is possible. */
static ssize_t read_once(int descriptor, void *data, size_t size)
{
    ssize_t result = recv(descriptor, data, size, 0);

    if (result < 0 && errno == ENOTSOCK)
        return read(descriptor, data, size);
    return result;
}

mp_error mpos_read(mpos_handle handle, void *data, size_t size, size_t *got)
{
    bool was_reset = false;
    ssize_t result;

    do {
        result = read_once((int)handle, data, size);
    } while (result < 0 && must_read_on((int)handle, &was_reset));
    if (result < 0 && errno == ECONNRESET)
        result = 0;
    if (result < 0)
        return mpos_fail_errno("read", errno);
    *got = (size_t)result;
    return MP_OK;
}

static void take_pending(const sigset_t *pipe_only)
{
    sigset_t pending;
    int number;

    /* There is none where ignored signals don't become pending. */
    sigpending(&pending);
    if (sigismember(&pending, SIGPIPE))
        sigwait(pipe_only, &number);
}

/*
 * writev() to what is no socket. SIGPIPE goes to the thread that writes, so
 * blocking it here and taking it back leaves no trace; one that was pending
 * before is somebody else's and stays.
 */
static ssize_t write_quietly(int descriptor, const struct iovec *parts,
                             int count)
{
    sigset_t pipe_only;
    sigset_t before;
    sigset_t earlier;
    ssize_t result;
    int cause;

    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
    sigpending(&earlier);
    result = writev(descriptor, parts, count);
    cause = errno;
    if (result < 0 && cause == EPIPE && !sigismember(&earlier, SIGPIPE))
        take_pending(&pipe_only);
    mpos_signals_restore(&before);
    errno = cause;
    return result;
}

static ssize_t write_parts(int descriptor, struct iovec *parts, size_t count)
{
    struct msghdr message = {.msg_iov = parts};
    ssize_t result;

    /* Its type differs between systems. */
    for (size_t i = 0; i < count; i++)
        message.msg_iovlen++;
    if (count == 1) /* faster */
        result =
            send(descriptor, parts->iov_base, parts->iov_len, mpos_send_flags);
    else
        result = sendmsg(descriptor, &message, mpos_send_flags);
    if (result < 0 && errno == ENOTSOCK)
        return write_quietly(descriptor, parts, (int)count);
    return result;
}

mp_error mpos_write(mpos_handle handle, const mpos_bytes *parts, size_t count,
                    size_t *written)
{
    struct iovec vector[PARTS_LIMIT];
    ssize_t result;

    for (size_t i = 0; i < count; i++) {
        vector[i].iov_base = (void *)(uintptr_t)parts[i].data;
        vector[i].iov_len = parts[i].size;
    }
    do {
        result = write_parts((int)handle, vector, count);
    } while (result < 0 && must_retry((int)handle, POLLOUT));
    if (result < 0)
        return mpos_fail_errno("write", errno);
    *written = (size_t)result;
    return MP_OK;
}

mp_error mpos_duplicate(mpos_handle handle, mpos_handle *copy)
{
    int duplicate = fcntl((int)handle, F_DUPFD_CLOEXEC, FIRST_FREE);

    if (duplicate < 0)
        return mpos_fail_errno("fcntl(F_DUPFD_CLOEXEC)", errno);
    *copy = duplicate;
    return MP_OK;
}

void mpos_close(mpos_handle handle)
{
    /* Not again after EINTR: the number may be another thread's by then. */
    if (handle != MPOS_NONE)
        close((int)handle);
}

/* -- Descriptors that travel ----------------------------------------------- */

/* As many as Linux lets travel at once, whoever sends them. */
typedef union control_space {
    struct cmsghdr aligned;
    unsigned char bytes[CMSG_SPACE(sizeof(int) * CONTROL_LIMIT)];
} control_space;

static void attach_handles(struct msghdr *message, control_space *space,
                           const mpos_handle *handles, size_t count)
{
    struct cmsghdr *part;
    unsigned char *place;

    if (count == 0)
        return;
    memset(space, 0, sizeof(*space));
    message->msg_control = space->bytes;
    /* size_t here, socklen_t there. */
    message->msg_controllen = (socklen_t)CMSG_SPACE(sizeof(int) * count);
    part = CMSG_FIRSTHDR(message);
    assert(part != NULL); /* there is room for it */
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = (socklen_t)CMSG_LEN(sizeof(int) * count);
    place = CMSG_DATA(part);
    for (size_t i = 0; i < count; i++) {
        int descriptor = (int)handles[i];

        memcpy(place + i * sizeof(int), &descriptor, sizeof(int));
    }
}

mp_error mpos_send_handles(mpos_handle channel, const mpos_bytes parts[2],
                           const mpos_handle *handles, size_t count,
                           size_t *written)
{
    struct iovec vector[2] = {
        {(void *)(uintptr_t)parts[0].data, parts[0].size},
        {(void *)(uintptr_t)parts[1].data, parts[1].size},
    };
    struct msghdr message = {.msg_iov = vector, .msg_iovlen = 2};
    control_space space;
    ssize_t sent;

    attach_handles(&message, &space, handles, count);
    do {
        sent = sendmsg((int)channel, &message, mpos_send_flags);
    } while (sent < 0 && must_retry((int)channel, POLLOUT));
    if (sent < 0)
        return mpos_fail_errno("sendmsg", errno);
    *written = (size_t)sent;
    return MP_OK;
}

static void take_one(mpos_arrivals *arrived, int descriptor)
{
    if (arrived->count == MPOS_HANDLES_MAX) {
        close(descriptor);
        arrived->is_cut = true;
    } else if (mpos_raise_descriptor(&descriptor) != MP_OK) {
        arrived->is_cut = true;
    } else {
        arrived->handles[arrived->count++] = descriptor;
    }
}

static void take_rights(mpos_arrivals *arrived, const unsigned char *data,
                        size_t size)
{
    for (size_t i = 0; i + sizeof(int) <= size; i += sizeof(int)) {
        int descriptor;

        memcpy(&descriptor, data + i, sizeof(descriptor));
        take_one(arrived, descriptor);
    }
}

/* Ours come in one part, but who made the channel may have asked the system for
 * others. Not CMSG_NXTHDR, which musl writes so that compilers warn. */
static void take_all(mpos_arrivals *arrived, struct msghdr *message)
{
    size_t room = (size_t)message->msg_controllen;
    size_t offset = 0;

    while (offset + CMSG_LEN(0) <= room) {
        unsigned char *place = (unsigned char *)message->msg_control + offset;
        struct cmsghdr *part = (struct cmsghdr *)(void *)place;
        size_t size = (size_t)part->cmsg_len;

        if (size < CMSG_LEN(0))
            break;
        size -= CMSG_LEN(0);
        if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS)
            take_rights(arrived, CMSG_DATA(part), size);
        offset += CMSG_SPACE(size);
    }
    if ((message->msg_flags & MSG_CTRUNC) != 0)
        arrived->is_cut = true;
}

/*
 * recvmsg() that waits. macOS and FreeBSD fail if a descriptor finds no room,
 * throw all of them away and keep the bytes: they come with the next call.
 */
static ssize_t receive(int channel, struct msghdr *message, bool *is_cut)
{
    const socklen_t room = (socklen_t)message->msg_controllen;
    bool was_reset = false;

    for (;;) {
        ssize_t result = mpos_recvmsg(channel, message);

        if (result >= 0)
            return result;
        message->msg_controllen = room;
        if ((errno == EMFILE || errno == EMSGSIZE) && !*is_cut)
            *is_cut = true;
        else if (!must_read_on(channel, &was_reset))
            return -1;
    }
}

mp_error mpos_recv_handles(mpos_handle channel, const mpos_room *parts,
                           size_t count, size_t *got, mpos_arrivals *arrived)
{
    struct iovec vector[PARTS_LIMIT];
    control_space space;
    struct msghdr message = {0};
    bool is_cut = false;
    ssize_t result;

    for (size_t i = 0; i < count; i++) {
        vector[i] = (struct iovec){parts[i].data, parts[i].size};
        message.msg_iovlen++; /* its type differs between systems */
    }
    message.msg_iov = vector;
    if (arrived != NULL) {
        message.msg_control = space.bytes;
        message.msg_controllen = sizeof(space.bytes);
    }
    result = receive((int)channel, &message, &is_cut);
    if (result < 0 && errno == ECONNRESET)
        result = 0;
    if (result < 0)
        return mpos_fail_errno("recvmsg", errno);
    *got = (size_t)result;
    if (arrived == NULL)
        return MP_OK;
    arrived->count = 0;
    arrived->is_cut = is_cut;
    if (result > 0)
        take_all(arrived, &message);
    return MP_OK;
}
