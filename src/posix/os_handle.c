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

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FIRST_FREE = 3, PARTS_LIMIT = 4, TRAVELLERS_LIMIT = 253 };

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

static mp_error create_pair(int ends[2])
{
    mp_error error;

    if (mpos_socketpair(ends) != 0)
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
    mp_error error = create_pair(ends);

    if (error != MP_OK)
        return error;
    close(ends[1]);
    *descriptor = ends[0];
    return MP_OK;
}

mp_error mpos_pipe(mpos_handle *reader, mpos_handle *writer)
{
    int ends[2];
    mp_error error = create_pair(ends);

    if (error != MP_OK)
        return error;
    shutdown(ends[0], SHUT_WR);
    shutdown(ends[1], SHUT_RD);
    *reader = ends[0];
    *writer = ends[1];
    return MP_OK;
}

mp_error mpos_channel(mpos_handle *left, mpos_handle *right)
{
    int ends[2];
    mp_error error = create_pair(ends);

    if (error != MP_OK)
        return error;
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

mp_error mpos_read(mpos_handle handle, void *data, size_t size, size_t *got)
{
    ssize_t result;

    do {
        result = read((int)handle, data, size);
    } while (result < 0 && must_retry((int)handle, POLLIN));
    /* The other end was closed with something of ours still unread. */
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

/*
 * A stream does not keep messages apart, and descriptors arrive with the first
 * byte they were sent with: so each message begins with its size and theirs.
 */
typedef struct travel_header {
    uint64_t size;
    uint64_t count;
} travel_header;

typedef union travel_space {
    struct cmsghdr aligned;
    unsigned char bytes[CMSG_SPACE(sizeof(int) * TRAVELLERS_LIMIT)];
} travel_space;

static mp_error send_all(mpos_handle channel, const void *data, size_t size)
{
    const unsigned char *place = data;

    while (size > 0) {
        const mpos_bytes part = {place, size};
        size_t written = 0;
        mp_error error = mpos_write(channel, &part, 1, &written);

        if (error != MP_OK)
            return error;
        place += written;
        size -= written;
    }
    return MP_OK;
}

static void attach_handles(struct msghdr *message, travel_space *space,
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
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = (socklen_t)CMSG_LEN(sizeof(int) * count);
    place = CMSG_DATA(part);
    for (size_t i = 0; i < count; i++) {
        int descriptor = (int)handles[i];

        memcpy(place + i * sizeof(int), &descriptor, sizeof(int));
    }
}

mp_error mpos_send_handles(mpos_handle channel, const void *data, size_t size,
                           const mpos_handle *handles, size_t count)
{
    travel_header header = {size, count};
    struct iovec parts[2] = {{&header, sizeof(header)},
                             {(void *)(uintptr_t)data, size}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    travel_space space;
    size_t done;
    ssize_t sent;
    mp_error error;

    attach_handles(&message, &space, handles, count);
    do {
        sent = sendmsg((int)channel, &message, mpos_send_flags);
    } while (sent < 0 && must_retry((int)channel, POLLOUT));
    if (sent < 0)
        return mpos_fail_errno("sendmsg", errno);
    done = (size_t)sent;
    if (done < sizeof(header)) {
        error = send_all(channel, (unsigned char *)&header + done,
                         sizeof(header) - done);
        if (error != MP_OK)
            return error;
        done = sizeof(header);
    }
    done -= sizeof(header);
    return send_all(channel, (const unsigned char *)data + done, size - done);
}

/* Reads until size bytes are there; *got falls short at the end of file. */
static mp_error read_all(mpos_handle channel, void *data, size_t size,
                         size_t *got)
{
    size_t done = 0;

    while (done < size) {
        size_t part = 0;
        mp_error error = mpos_read(channel, (unsigned char *)data + done,
                                   size - done, &part);

        if (error != MP_OK)
            return error;
        if (part == 0)
            break;
        done += part;
    }
    *got = done;
    return MP_OK;
}

typedef struct travellers {
    int descriptors[TRAVELLERS_LIMIT];
    size_t count;
    bool is_cut; /* this process had no room for all */
} travellers;

static void close_travellers(travellers *arrived)
{
    for (size_t i = 0; i < arrived->count; i++)
        close(arrived->descriptors[i]);
    arrived->count = 0;
}

/* We send all in one part, so they arrive in one. */
static void take_travellers(struct msghdr *message, travellers *arrived)
{
    struct cmsghdr *part = CMSG_FIRSTHDR(message);

    arrived->is_cut = (message->msg_flags & MSG_CTRUNC) != 0;
    if (part == NULL || part->cmsg_level != SOL_SOCKET ||
        part->cmsg_type != SCM_RIGHTS)
        return;
    arrived->count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(arrived->descriptors, CMSG_DATA(part), arrived->count * sizeof(int));
}

/* The header, with the descriptors that come with its first byte. */
static mp_error recv_header(mpos_handle channel, travel_header *header,
                            travellers *arrived, size_t *got)
{
    struct iovec part = {header, sizeof(*header)};
    travel_space space;
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = space.bytes,
                             .msg_controllen = sizeof(space.bytes)};
    ssize_t result;
    mp_error error;

    do {
        result = mpos_recvmsg((int)channel, &message);
    } while (result < 0 && must_retry((int)channel, POLLIN));
    if (result < 0 && errno == ECONNRESET)
        result = 0;
    if (result < 0)
        return mpos_fail_errno("recvmsg", errno);
    *got = 0;
    if (result == 0)
        return MP_OK;
    take_travellers(&message, arrived);
    error = read_all(channel, (unsigned char *)header + result,
                     sizeof(*header) - (size_t)result, got);
    *got += (size_t)result;
    return error;
}

static mp_error raise_travellers(travellers *arrived)
{
    for (size_t i = 0; i < arrived->count; i++) {
        mp_error error = mpos_raise_descriptor(&arrived->descriptors[i]);

        if (error == MP_OK)
            continue;
        arrived->descriptors[i] = arrived->descriptors[--arrived->count];
        return error;
    }
    return MP_OK;
}

/* After the header: what is wrong with what came? */
static mp_error check_travellers(const travel_header *header,
                                 travellers *arrived, size_t capacity)
{
    if (arrived->is_cut || arrived->count != header->count)
        return mpi_fail(MP_EMFILE, "recvmsg: %zu of %llu handles arrived: %s",
                        arrived->count, (unsigned long long)header->count,
                        strerror(EMFILE));
    if (arrived->count > capacity)
        return mpi_fail(MP_EOVERFLOW, "%zu handles arrived, %zu expected",
                        arrived->count, capacity);
    return raise_travellers(arrived);
}

/* Lest the next message begin in the middle of this one. */
static void skip(mpos_handle channel, uint64_t size)
{
    unsigned char unwanted[256];
    size_t got = 1;

    for (; size > 0 && got > 0; size -= got) {
        size_t part = size < sizeof(unwanted) ? (size_t)size : sizeof(unwanted);

        if (mpos_read(channel, unwanted, part, &got) != MP_OK)
            return;
    }
}

static mp_error recv_message(mpos_handle channel, travellers *arrived,
                             size_t capacity, const struct iovec *room,
                             size_t *got)
{
    travel_header header;
    size_t present = 0;
    size_t wanted;
    mp_error error = recv_header(channel, &header, arrived, &present);

    if (error != MP_OK)
        return error;
    *got = 0;
    if (present < sizeof(header))
        return MP_OK;
    error = check_travellers(&header, arrived, capacity);
    if (error != MP_OK) {
        skip(channel, header.size);
        return error;
    }
    /* What does not fit stays there, to be read. */
    wanted = header.size < room->iov_len ? (size_t)header.size : room->iov_len;
    error = read_all(channel, room->iov_base, wanted, got);
    if (error == MP_OK && *got < wanted)
        *got = 0;
    return error;
}

mp_error mpos_recv_handles(mpos_handle channel, void *data, size_t size,
                           size_t *got, mpos_handle *handles, size_t capacity,
                           size_t *count)
{
    const struct iovec room = {data, size};
    travellers arrived = {.count = 0};
    size_t present = 0;
    mp_error error = recv_message(channel, &arrived, capacity, &room, &present);

    if (error != MP_OK) {
        close_travellers(&arrived);
        return error;
    }
    /* An end of file in the middle of a message is one as well. */
    if (present == 0)
        close_travellers(&arrived);
    for (size_t i = 0; i < arrived.count; i++)
        handles[i] = arrived.descriptors[i];
    *got = present;
    *count = arrived.count;
    return MP_OK;
}
