/* SPDX-License-Identifier: MIT */
/*
 * AF_UNIX: paths, and Linux's names without a file.
 *
 * A path stays when its listener is killed, and is taken over by the next one.
 * Whether somebody has it is asked with a datagram socket: nobody is disturbed,
 * for the system refuses it either way, with EPROTOTYPE if there is a socket
 * of another kind, with ECONNREFUSED if there is none any more.
 *
 * Between that question and the new socket's bind(), nobody else may do the
 * same, nor between the two steps inside bind() (the file, then what is behind
 * it). So all who make or remove a path hold a flock(2) on its folder
 * meanwhile, which leaves nothing behind. Somebody else may hold that lock for
 * long, or the file system may have none: then a path that is free is used all
 * the same, but while the folder is locked nothing is taken over.
 */
#include "os_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    PATH_ROOM = sizeof(((struct sockaddr_un *)0)->sun_path),
    /* "/listener-", a pid of up to 8 digits, a dash, 8 digits, and zero. */
    OWN_NAME_ROOM = 28,
    MOST_TRIES = 100,
    ONLY_USER = 0600,
    MICROSECOND = 1000,
};

#define OWN_PREFIX "listener-"

typedef struct place {
    struct sockaddr_un native;
    socklen_t size;
} place;

/* -- Addresses ------------------------------------------------------------- */

static mp_error place_of(place *out, const char *name, bool is_abstract)
{
    const size_t first = is_abstract ? 1 : 0;
    const size_t length = strlen(name);

    if (is_abstract && !mpos_system_has_abstract)
        return mpi_fail(MP_ENOTSUP, "%s has no sockets without a path",
                        mpos_system.system);
    if (length + 1 > PATH_ROOM)
        return mpi_fail(MP_EOVERFLOW, "%s: longer than %d bytes", name,
                        PATH_ROOM - 1);
    memset(out, 0, sizeof(*out));
    out->native.sun_family = AF_UNIX;
    memcpy(out->native.sun_path + first, name, length);
    /* With its zero, or as long as it is; without any name, one is found. */
    out->size =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
    if (is_abstract && length == 0)
        out->size--;
    return MP_OK;
}

static int bind_to(int handle, const place *at)
{
    return bind(handle, (const struct sockaddr *)&at->native, at->size) == 0
               ? 0
               : errno;
}

/* -- Folders --------------------------------------------------------------- */

typedef struct folder {
    int lock;     /* -1: none */
    bool is_busy; /* somebody else has locked it, and for long */
} folder;

static void try_to_lock(folder *out, const char *name)
{
    int cause;

    out->is_busy = false;
    out->lock = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (out->lock < 0 || mpos_raise_descriptor(&out->lock) != MP_OK) {
        out->lock = -1;
        return;
    }
    cause = mpos_file_lock(out->lock, LOCK_EX | LOCK_NB);
    if (cause == 0)
        return;
    out->is_busy = cause == EWOULDBLOCK;
    close(out->lock);
    out->lock = -1;
}

/* Of what has that path. Until it is unlocked, mpi_connections_mutex is held:
 * a child that is forked meanwhile would keep these descriptors. While somebody
 * else has it locked, neither that nor a descriptor is held. */
static void lock_folder(folder *out, const char *path)
{
    const char *slash = strrchr(path, '/');
    int64_t deadline = mpos_now() + MPOS_FILE_PATIENCE;
    char name[PATH_ROOM + 1];

    if (slash == NULL)
        snprintf(name, sizeof(name), ".");
    else
        snprintf(name, sizeof(name), "%.*s/", (int)(slash - path), path);
    mpos_mutex_lock(&mpi_connections_mutex);
    try_to_lock(out, name);
    while (out->is_busy && mpos_now() < deadline) {
        mpos_mutex_unlock(&mpi_connections_mutex);
        mpos_sleep_until(mpos_now() + MPOS_FILE_PAUSE);
        mpos_mutex_lock(&mpi_connections_mutex);
        try_to_lock(out, name);
    }
}

static void unlock_folder(const folder *locked)
{
    if (locked->lock >= 0)
        mpos_file_let_go(locked->lock);
    mpos_mutex_unlock(&mpi_connections_mutex);
}

/* -- Paths ----------------------------------------------------------------- */

static bool is_socket(const char *path)
{
    struct stat status;

    return lstat(path, &status) == 0 && S_ISSOCK(status.st_mode);
}

/* Of what is a socket. */
static bool is_dead(const char *path)
{
    place at;
    int asking;
    bool is_refused;

    if (place_of(&at, path, false) != MP_OK)
        return false;
    asking = mpos_socket(AF_UNIX, SOCK_DGRAM);
    if (asking < 0)
        return false;
    is_refused =
        connect(asking, (const struct sockaddr *)&at.native, at.size) != 0 &&
        errno == ECONNREFUSED;
    close(asking);
    return is_refused;
}

/* 0 or errno. */
static int bind_path(int listener, const place *at, const folder *locked)
{
    const char *path = at->native.sun_path;
    int cause = bind_to(listener, at);

    if (cause != EADDRINUSE || locked->is_busy || !is_socket(path) ||
        !is_dead(path))
        return cause;
    if (unlink(path) != 0 && errno != ENOENT)
        return errno;
    return bind_to(listener, at);
}

/* Where it does not get them from its descriptor (macOS, FreeBSD), the path has
 * its permissions a moment later: nobody can connect before listen(). */
static int close_to_others(const char *path, mpos_address *address)
{
    struct stat status;

    if (lstat(path, &status) != 0)
        return errno;
    if ((status.st_mode & 0777) != ONLY_USER &&
        (!S_ISSOCK(status.st_mode) || chmod(path, ONLY_USER) != 0))
        return EACCES;
    address->identity[0] = (uint64_t)status.st_dev;
    address->identity[1] = (uint64_t)status.st_ino;
    return 0;
}

/* With the folder locked; 0 or errno. */
static int listen_at_path(int listener, const place *at, int backlog,
                          mpos_address *address)
{
    const char *path = at->native.sun_path;
    int cause = close_to_others(path, address);

    if (cause == 0 && listen(listener, backlog) != 0)
        cause = errno;
    if (cause != 0)
        unlink(path);
    return cause;
}

/* 0 or errno. */
static int make_path(int listener, const place *at, int backlog,
                     mpos_address *address)
{
    folder locked;
    int cause;

    lock_folder(&locked, at->native.sun_path);
    cause = bind_path(listener, at, &locked);
    if (cause == 0)
        cause = listen_at_path(listener, at, backlog, address);
    unlock_folder(&locked);
    return cause;
}

/* -- Paths of our own ------------------------------------------------------ */

/* Without a slash behind it. */
static void name_own_folder(char name[PATH_ROOM])
{
    const unsigned long user = geteuid();
    const char *parent = getenv("TMPDIR");
    int length = -1;

    if (parent != NULL && parent[0] == '/')
        length = snprintf(name, PATH_ROOM, "%s/multiproc-%lu", parent, user);
    if (length < 0 || length + OWN_NAME_ROOM > PATH_ROOM)
        snprintf(name, PATH_ROOM, "/tmp/multiproc-%lu", user);
}

/* Its last user may have removed it by now. */
static mp_error make_own_folder(const char *name)
{
    struct stat status;

    if (mkdir(name, 0700) != 0 && errno != EEXIST)
        return mpos_fail_errno(name, errno);
    if (lstat(name, &status) != 0)
        return errno == ENOENT ? MP_OK : mpos_fail_errno(name, errno);
    if (!S_ISDIR(status.st_mode) || status.st_uid != geteuid() ||
        (status.st_mode & 0077) != 0)
        return mpi_fail(MP_EACCES, "%s is no folder of this user's only", name);
    return MP_OK;
}

static bool is_directly_in(const char *folder_name, const char *path)
{
    size_t length = strlen(folder_name);

    return strncmp(path, folder_name, length) == 0 && path[length] == '/' &&
           strchr(path + length + 1, '/') == NULL;
}

/* 0 or errno in *cause. Who listens again where he has listened before may find
 * that our folder has gone with the last path in it. */
static mp_error listen_at_given_path(int listener, const place *at, int backlog,
                                     mpos_address *address, int *cause)
{
    char folder_name[PATH_ROOM];

    name_own_folder(folder_name);
    for (int i = 0; i < MOST_TRIES; i++) {
        mp_error error;

        *cause = make_path(listener, at, backlog, address);
        if (*cause != ENOENT || !is_directly_in(folder_name, address->name))
            break;
        error = make_own_folder(folder_name);
        if (error != MP_OK)
            return error;
    }
    return MP_OK;
}

/* What those have left who were killed. */
static void sweep(const char *folder_name)
{
    DIR *entries = opendir(folder_name);
    struct dirent *entry;

    if (entries == NULL)
        return;
    while ((entry = readdir(entries)) != NULL) {
        char path[PATH_ROOM];
        int length =
            snprintf(path, sizeof(path), "%s/%s", folder_name, entry->d_name);

        if (strncmp(entry->d_name, OWN_PREFIX, strlen(OWN_PREFIX)) == 0 &&
            length < PATH_ROOM && is_socket(path) && is_dead(path))
            unlink(path);
    }
    closedir(entries);
}

/* EADDRINUSE, ENOENT: the next name, and perhaps folder, will do. */
static int make_own_path(int listener, const char *folder_name, const place *at,
                         int backlog, mpos_address *address)
{
    folder locked;
    int cause;

    lock_folder(&locked, at->native.sun_path);
    if (locked.lock >= 0 && !mpos_file_has_path(locked.lock, folder_name)) {
        cause = ENOENT; /* its last user has removed it */
    } else {
        if (locked.lock >= 0)
            sweep(folder_name);
        cause = bind_to(listener, at);
    }
    if (cause == 0)
        cause = listen_at_path(listener, at, backlog, address);
    unlock_folder(&locked);
    return cause;
}

static mp_error try_own_path(int listener, int backlog, mpos_address *address,
                             int *cause)
{
    char folder_name[PATH_ROOM];
    uint32_t number;
    place at;
    mp_error error;

    name_own_folder(folder_name);
    error = make_own_folder(folder_name);
    if (error == MP_OK)
        error = mpos_random(&number, sizeof(number));
    if (error != MP_OK)
        return error;
    snprintf(address->name, sizeof(address->name), "%s/" OWN_PREFIX "%ld-%08lx",
             folder_name, (long)getpid(), (unsigned long)number);
    error = place_of(&at, address->name, false);
    if (error == MP_OK)
        *cause = make_own_path(listener, folder_name, &at, backlog, address);
    return error;
}

/* 0 or errno in *cause. */
static mp_error listen_at_own_path(int listener, int backlog,
                                   mpos_address *address, int *cause)
{
    for (int i = 0; i < MOST_TRIES; i++) {
        mp_error error = try_own_path(listener, backlog, address, cause);

        if (error != MP_OK)
            return error;
        if (*cause != EADDRINUSE && *cause != ENOENT)
            break;
    }
    return MP_OK;
}

/* -- Listening ------------------------------------------------------------- */

/* The system has chosen a name if there was none. */
static int listen_at_name(int listener, const place *at, int backlog,
                          mpos_address *address)
{
    struct sockaddr_un found;
    socklen_t size = sizeof(found);
    int cause = bind_to(listener, at);
    size_t length;

    if (cause != 0)
        return cause;
    if (listen(listener, backlog) != 0 ||
        getsockname(listener, (struct sockaddr *)&found, &size) != 0)
        return errno;
    length = size - offsetof(struct sockaddr_un, sun_path) - 1;
    memcpy(address->name, found.sun_path + 1, length);
    address->name[length] = '\0';
    return 0;
}

static mp_error start_listening(int listener, int backlog,
                                mpos_address *address)
{
    int cause = 0;
    place at;
    mp_error error = place_of(&at, address->name, address->is_abstract);

    if (error != MP_OK)
        return error;
    /* On Linux, this is what the path will have. */
    fchmod(listener, ONLY_USER);
    if (address->is_abstract)
        cause = listen_at_name(listener, &at, backlog, address);
    else if (address->name[0] != '\0')
        error = listen_at_given_path(listener, &at, backlog, address, &cause);
    else
        error = listen_at_own_path(listener, backlog, address, &cause);
    if (error == MP_OK && cause != 0)
        error = mpos_socket_fail("listen", cause);
    return error;
}

mp_error mpos_unix_listen(mpos_address *address, int backlog,
                          mpos_handle *listener)
{
    mp_error error = mpos_socket_create(AF_UNIX, listener);

    if (error != MP_OK)
        return error;
    error = start_listening((int)*listener, backlog, address);
    if (error != MP_OK)
        mpos_socket_discard(listener);
    return error;
}

static bool is_still_ours(const mpos_address *address)
{
    struct stat status;

    return lstat(address->name, &status) == 0 && S_ISSOCK(status.st_mode) &&
           (uint64_t)status.st_dev == address->identity[0] &&
           (uint64_t)status.st_ino == address->identity[1];
}

/* The last one takes the folder of our own along. */
static void remove_own_folder(const char *path)
{
    char folder_name[PATH_ROOM];

    name_own_folder(folder_name);
    if (is_directly_in(folder_name, path))
        rmdir(folder_name);
}

void mpos_unix_remove(const mpos_address *address)
{
    folder locked;

    if (address->identity[0] == 0 && address->identity[1] == 0)
        return;
    lock_folder(&locked, address->name);
    if (is_still_ours(address))
        unlink(address->name);
    if (locked.lock >= 0)
        remove_own_folder(address->name);
    unlock_folder(&locked);
}

/* -- Connecting ------------------------------------------------------------ */

/* connect() waits on Linux while the listener has no room for one more, and
 * poll() knows nothing of that; this limits it. left: in nanoseconds, 0: no
 * limit. */
static void limit_sending(int stream, int64_t left)
{
    const int64_t microseconds = (left + MICROSECOND - 1) / MICROSECOND;
    const struct timeval limit = {
        .tv_sec = (time_t)(microseconds / 1000000),
        .tv_usec = (suseconds_t)(microseconds % 1000000),
    };

    setsockopt(stream, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

/* At least once; 0 or errno. */
static int connect_once(int stream, const place *to, int64_t deadline)
{
    int64_t left = deadline - mpos_now();

    if (deadline != MPOS_FOREVER)
        limit_sending(stream, left > 0 ? left : 1);
    if (connect(stream, (const struct sockaddr *)&to->native, to->size) == 0)
        return 0;
    switch (errno) {
    case EISCONN: /* that was before it was interrupted */
        return 0;
    case EAGAIN:
        return ETIMEDOUT;
    default:
        return errno;
    }
}

/* 0 or errno. */
static int connect_in_time(int stream, const place *to, int64_t deadline)
{
    int cause = connect_once(stream, to, deadline);

    /* The system counts in longer units than signals may come in. */
    while (cause == EINTR && mpos_now() < deadline)
        cause = connect_once(stream, to, deadline);
    if (cause == 0 && deadline != MPOS_FOREVER)
        limit_sending(stream, 0);
    return cause == EINTR ? ETIMEDOUT : cause;
}

mp_error mpos_unix_connect(const mpos_address *address, int64_t deadline,
                           mpos_handle *stream)
{
    place to;
    int cause;
    mp_error error;

    if (address->name[0] == '\0')
        return mpi_fail(MP_ENOTFOUND, "there is no path to connect to");
    error = place_of(&to, address->name, address->is_abstract);
    if (error == MP_OK)
        error = mpos_socket_create(AF_UNIX, stream);
    if (error != MP_OK)
        return error;
    cause = connect_in_time((int)*stream, &to, deadline);
    if (cause != 0) {
        mpos_socket_discard(stream);
        return mpos_socket_fail("connect", cause);
    }
    return MP_OK;
}
