/* SPDX-License-Identifier: MIT */
/*
 * Memory with a name: the file "multiproc.<name>" in /dev/shm, or in /tmp where
 * that is no folder we may write to (macOS, FreeBSD).
 *
 * Whole or not at all. A file is filled before it has its name, which link(2)
 * gives it, and which is refused if the name is taken. Until then it has none
 * (O_TMPFILE), or one that tells who makes it, so that mpos_named_list() can
 * clean up after a process that was killed.
 *
 * In use. Whoever has it open holds a shared flock(2), which is the open file's
 * and not the process's: any copy of the descriptor keeps it, and it goes with
 * the last one, however a process ends. Who asks tries for an exclusive lock on
 * a descriptor of its own, and gives it back before it closes that: a fork in
 * between would have made a copy. Between open() and flock() the file may lose
 * its name, so whoever has got the lock looks whether it still is the one.
 *
 * Others. Both folders are sticky, and links are not followed: another user
 * can't take our file's name away nor lead us elsewhere. But who comes first
 * has the name, and whom a file's permissions let in may use it, as with any
 * shared memory: it is as trustworthy as all who may write to it, its owner
 * before all. Who may only read it can still hold a lock on it.
 */
#include "os_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX "multiproc."
#define DRAFT_PREFIX ".multiproc-"
#define DRAFT_FORMAT "%s/" DRAFT_PREFIX "%lld-%llu-%lu"

enum { ALL_PERMISSIONS = 0777, PATH_SIZE = 256, ATTEMPTS = 16 };

/* Somebody else's look at a file lasts some microseconds. */
enum { LOOKS = 4, PAUSE = 500 * 1000, LONGEST_LOOK = 1000 * 1000 * 1000 };

/* -- Paths ----------------------------------------------------------------- */

static const char *folder(void)
{
    const char *best = "/dev/shm";
    struct stat status;

    if (stat(best, &status) == 0 && S_ISDIR(status.st_mode) &&
        access(best, R_OK | W_OK | X_OK) == 0)
        return best;
    return "/tmp";
}

static void path_of(const char *name, char path[PATH_SIZE])
{
    snprintf(path, PATH_SIZE, "%s/" PREFIX "%s", folder(), name);
}

static void draft_path(char path[PATH_SIZE])
{
    static mpi_atomic32 last_number;
    unsigned long number = mpi_atomic32_add(&last_number, 1);
    uint64_t start_time = 0;

    mpos_start_time(mpos_pid(), &start_time); /* 0 if it can't be known */
    snprintf(path, PATH_SIZE, DRAFT_FORMAT, folder(), (long long)mpos_pid(),
             (unsigned long long)start_time, number);
}

static mp_error fail_taken(const char *path)
{
    return mpi_fail(MP_EEXIST, "%s: %s", path, strerror(EEXIST));
}

/* -- Locks ----------------------------------------------------------------- */

/* 0 or errno. */
static int lock_file(int file, int operation)
{
    int result;

    do {
        result = flock(file, operation);
    } while (result != 0 && errno == EINTR);
    return result == 0 ? 0 : errno;
}

/* The lock, too, goes at once, also if a fork has made a copy. */
static void let_go(int file)
{
    flock(file, LOCK_UN);
    close(file);
}

/* 0 or errno; EWOULDBLOCK: somebody uses it, and not just looks as we do. */
static int lock_alone(int file)
{
    int cause = lock_file(file, LOCK_EX | LOCK_NB);

    for (int i = 1; cause == EWOULDBLOCK && i < LOOKS; i++) {
        mpos_sleep_until(mpos_now() + PAUSE);
        cause = lock_file(file, LOCK_EX | LOCK_NB);
    }
    return cause;
}

static bool has_path(int file, const char *path)
{
    struct stat opened;
    struct stat named;

    return fstat(file, &opened) == 0 && opened.st_nlink > 0 &&
           lstat(path, &named) == 0 && named.st_dev == opened.st_dev &&
           named.st_ino == opened.st_ino;
}

/* -- Opening --------------------------------------------------------------- */

static mp_error fail_open(const char *path, int cause)
{
    switch (cause) {
    case ELOOP: /* a symbolic link */
#if EMLINK != ELOOP
    case EMLINK: /* the same, to FreeBSD */
#endif
    case EISDIR:
    case ENXIO: /* a socket, or a pipe */
    case ENODEV:
    case EOPNOTSUPP:
        return mpi_fail(MP_EPROTO, "%s is no memory: %s", path,
                        strerror(cause));
    default:
        return mpos_fail_errno(path, cause);
    }
}

static mp_error open_file(const char *path, int *file)
{
    struct stat status;
    int opened;

    do {
        opened = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    } while (opened < 0 && errno == EINTR);
    if (opened < 0)
        return fail_open(path, errno);
    if (fstat(opened, &status) != 0 || !S_ISREG(status.st_mode)) {
        close(opened);
        return mpi_fail(MP_EPROTO, "%s is no memory, and no file", path);
    }
    *file = opened;
    return mpos_raise_descriptor(file);
}

/* Locked by lock(), and still the file of that path. */
static mp_error open_locked(const char *path, int (*lock)(int file), int *file)
{
    for (;;) {
        int opened;
        int cause;
        mp_error error = open_file(path, &opened);

        if (error != MP_OK)
            return error;
        cause = lock(opened);
        if (cause == 0 && has_path(opened, path)) {
            *file = opened;
            return MP_OK;
        }
        let_go(opened);
        if (cause == EWOULDBLOCK)
            return mpi_fail(MP_ESTATE, "%s is in use", path);
        if (cause != 0)
            return mpi_context(mpos_fail_errno("flock", cause), "%s", path);
    }
}

/* 0 or errno; EACCES: somebody keeps us out. Not for ever, or another user
 * could stop all who open, or list. */
static int lock_to_use(int file)
{
    int64_t deadline = mpos_now() + LONGEST_LOOK;
    int cause = lock_file(file, LOCK_SH | LOCK_NB);

    while (cause == EWOULDBLOCK && mpos_now() < deadline) {
        mpos_sleep_until(mpos_now() + PAUSE);
        cause = lock_file(file, LOCK_SH | LOCK_NB);
    }
    return cause == EWOULDBLOCK ? EACCES : cause;
}

mp_error mpos_named_open(const char *name, mpos_handle *handle)
{
    char path[PATH_SIZE];
    int file = -1;
    mp_error error;

    path_of(name, path);
    error = open_locked(path, lock_to_use, &file);
    if (error == MP_OK)
        *handle = file;
    return error;
}

/* -- Creating -------------------------------------------------------------- */

/* Every byte is written: a hole could find no room later. 0 or errno. */
static int write_all(int file, const void *image, size_t size)
{
    const unsigned char *place = image;

    while (size > 0) {
        size_t part = size < INT_MAX ? size : INT_MAX; /* macOS's limit */
        ssize_t written = write(file, place, part);

        if (written == 0)
            return ENOSPC;
        if (written < 0 && errno != EINTR)
            return errno;
        if (written > 0) {
            place += written;
            size -= (size_t)written;
        }
    }
    return 0;
}

static int write_quietly(int file, const void *image, size_t size)
{
    mpos_size_signal held;
    int cause;

    mpos_size_signal_begin(&held);
    cause = write_all(file, image, size);
    mpos_size_signal_end(&held, cause);
    return cause;
}

/* In use from before it has its name. Closes it on failure. */
static mp_error fill(int *file, mpos_bytes image, unsigned permissions)
{
    const char *call = "flock";
    int cause;
    mp_error error = mpos_raise_descriptor(file);

    if (error != MP_OK)
        return error;
    cause = lock_to_use(*file);
    if (cause == 0) {
        call = "write";
        cause = write_quietly(*file, image.data, image.size);
    }
    /* Whatever the umask. */
    if (cause == 0 &&
        fchmod(*file, (mode_t)(permissions & ALL_PERMISSIONS)) != 0) {
        call = "fchmod";
        cause = errno;
    }
    if (cause == 0)
        return MP_OK;
    let_go(*file);
    return mpos_fail_errno(call, cause);
}

#if defined(O_TMPFILE) && !defined(MULTIPROC_NO_TMPFILE)
/* MP_ENOTSUP: not on this system, or not without /proc. */
static mp_error create_nameless(const char *path, mpos_bytes image,
                                unsigned permissions, int *file)
{
    char self[40];
    int cause;
    int opened = open(folder(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    mp_error error;

    if (opened < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOSPC))
        return mpos_fail_errno(path, errno);
    if (opened < 0)
        return mpi_fail(MP_ENOTSUP, "O_TMPFILE: %s", strerror(errno));
    error = fill(&opened, image, permissions);
    if (error != MP_OK)
        return error;
    snprintf(self, sizeof(self), "/proc/self/fd/%d", opened);
    if (linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0) {
        *file = opened;
        return MP_OK;
    }
    cause = errno;
    let_go(opened);
    if (cause == EEXIST)
        return fail_taken(path);
    return mpi_fail(MP_ENOTSUP, "linkat: %s", strerror(cause));
}
#else
static mp_error create_nameless(const char *path, mpos_bytes image,
                                unsigned permissions, int *file)
{
    (void)path;
    (void)image;
    (void)permissions;
    (void)file;
    return mpi_fail(MP_ENOTSUP, "no file is without a name here");
}
#endif

/* MP_ENOTFOUND: somebody took the draft for a leftover, see draft_is_left().
 * Or it is one, of a process that was like us. */
static mp_error create_drafted(const char *path, mpos_bytes image,
                               unsigned permissions, int *file)
{
    char draft[PATH_SIZE];
    int cause;
    int opened;
    mp_error error;

    draft_path(draft);
    opened =
        open(draft, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (opened < 0 && errno == EEXIST)
        return mpi_fail(MP_ENOTFOUND, "%s: %s", draft, strerror(errno));
    if (opened < 0)
        return mpos_fail_errno(draft, errno);
    error = fill(&opened, image, permissions);
    if (error != MP_OK) {
        unlink(draft);
        return error;
    }
    cause = link(draft, path) == 0 ? 0 : errno;
    unlink(draft);
    if (cause == 0) {
        *file = opened;
        return MP_OK;
    }
    let_go(opened);
    return cause == EEXIST ? fail_taken(path) : mpos_fail_errno(path, cause);
}

mp_error mpos_named_create(const char *name, const void *image, size_t size,
                           unsigned permissions, mpos_handle *handle)
{
    const mpos_bytes content = {image, size};
    char path[PATH_SIZE];
    int file = -1;
    mp_error error;

    path_of(name, path);
    error = create_nameless(path, content, permissions, &file);
    if (error == MP_ENOTSUP)
        error = MP_ENOTFOUND;
    for (int i = 0; error == MP_ENOTFOUND && i < ATTEMPTS; i++)
        error = create_drafted(path, content, permissions, &file);
    if (error == MP_OK)
        *handle = file;
    return error;
}

/* -- Removing -------------------------------------------------------------- */

/* root could remove everybody's. */
static bool is_own(int file)
{
    struct stat status;

    return fstat(file, &status) == 0 && status.st_uid == geteuid();
}

/*
 * The lock is for those that remove only what is unused, one at a time: the
 * path must not become another file's between their look at it and unlink().
 * Who removes it in any case also removes what can't be opened or locked.
 */
mp_error mpos_named_unlink(const char *name, bool only_unused)
{
    char path[PATH_SIZE];
    int file = -1;
    int cause;
    mp_error error;

    path_of(name, path);
    error = open_locked(path, only_unused ? lock_alone : lock_to_use, &file);
    if (error == MP_ENOTFOUND || (error != MP_OK && only_unused))
        return error;
    if (only_unused && !is_own(file)) {
        let_go(file);
        return mpi_fail(MP_EACCES, "%s: it is another user's", path);
    }
    cause = unlink(path) == 0 ? 0 : errno;
    if (file >= 0)
        let_go(file);
    return cause == 0 ? MP_OK : mpos_fail_errno(path, cause);
}

/* -- Listing --------------------------------------------------------------- */

/* Anybody may have put a file there; whether a name is a good one is the
 * caller's to say. */
static bool is_name(const char *name)
{
    size_t length = strlen(name);

    return length > 0 && length <= MPOS_NAME_MAX;
}

/* MP_ENOTFOUND: it is gone by now; MP_EPROTO: it is none. */
static mp_error look(const char *path, bool *is_in_use)
{
    int file = -1;
    mp_error error = open_locked(path, lock_alone, &file);

    *is_in_use = error != MP_OK;
    if (error == MP_OK)
        let_go(file);
    /* Not for us to open, but it is there. */
    if (error == MP_EACCES || error == MP_ESTATE)
        return MP_OK;
    return error;
}

/* As look(). Another user's files are not opened. */
static mp_error look_at_name(const char *path, mpos_named_use *use)
{
    struct stat status;
    bool is_in_use;
    mp_error error;

    if (lstat(path, &status) == 0 && S_ISREG(status.st_mode) &&
        status.st_uid != geteuid()) {
        *use = MPOS_NAMED_FOREIGN;
        return MP_OK;
    }
    error = look(path, &is_in_use);
    *use = is_in_use ? MPOS_NAMED_IN_USE : MPOS_NAMED_UNUSED;
    return error;
}

static bool process_is_gone(long long pid, unsigned long long start_time)
{
    uint64_t ticks;
    mp_error error = mpos_start_time(pid, &ticks);

    if (error == MP_OK)
        return start_time != 0 && ticks != start_time;
    return error == MP_ENOTFOUND;
}

/* Its maker is gone, as far as we can tell; a container that shares the folder
 * but not our processes holds a lock on it, or makes another one. */
static bool draft_is_left(const char *entry, const char *path)
{
    long long pid;
    unsigned long long start_time;
    unsigned long number;
    bool is_in_use = true;

    return sscanf(entry, DRAFT_PREFIX "%lld-%llu-%lu", &pid, &start_time,
                  &number) == 3 &&
           process_is_gone(pid, start_time) &&
           look(path, &is_in_use) == MP_OK && !is_in_use;
}

typedef struct listing {
    mp_error (*visit)(void *context, const char *name, mpos_named_use use);
    void *context;
} listing;

static mp_error visit_entry(const char *directory, const char *entry,
                            const listing *listed)
{
    const size_t prefix = strlen(PREFIX);
    char path[PATH_SIZE];
    mpos_named_use use;
    mp_error error;

    if (snprintf(path, sizeof(path), "%s/%s", directory, entry) >= PATH_SIZE)
        return MP_OK;
    if (strncmp(entry, DRAFT_PREFIX, strlen(DRAFT_PREFIX)) == 0 &&
        draft_is_left(entry, path))
        unlink(path);
    if (strncmp(entry, PREFIX, prefix) != 0 || !is_name(entry + prefix))
        return MP_OK;
    error = look_at_name(path, &use);
    if (error == MP_ENOTFOUND || error == MP_EPROTO)
        return MP_OK;
    if (error != MP_OK)
        return error;
    return listed->visit(listed->context, entry + prefix, use);
}

mp_error mpos_named_list(mp_error (*visit)(void *context, const char *name,
                                           mpos_named_use use),
                         void *context)
{
    const listing listed = {visit, context};
    const char *path = folder();
    DIR *directory = opendir(path);
    const struct dirent *entry;
    mp_error error = MP_OK;

    if (directory == NULL)
        return mpos_fail_errno(path, errno);
    do {
        errno = 0;
        entry = readdir(directory);
        if (entry != NULL)
            error = visit_entry(path, entry->d_name, &listed);
        else if (errno != 0)
            error = mpos_fail_errno(path, errno);
    } while (entry != NULL && error == MP_OK);
    closedir(directory);
    return error;
}
