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
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX "multiproc."
#define DRAFT_PREFIX ".multiproc-"
#define DRAFT_FORMAT "%s/" DRAFT_PREFIX "%lld-%llu-%lu"

enum { PATH_SIZE = 256, ATTEMPTS = 16, LOOKS = 4 };

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

/* -- Opening --------------------------------------------------------------- */

/* 0 or errno; EWOULDBLOCK: somebody uses it, and not just looks as we do. */
static int lock_alone(int file)
{
    int cause = mpos_file_lock(file, LOCK_EX | LOCK_NB);

    for (int i = 1; cause == EWOULDBLOCK && i < LOOKS; i++) {
        mpos_sleep_until(mpos_now() + MPOS_FILE_PAUSE);
        cause = mpos_file_lock(file, LOCK_EX | LOCK_NB);
    }
    return cause;
}

/* Locked by lock(), and still the file of that path. */
static mp_error open_locked(const char *path, int (*lock)(int file), int *file)
{
    for (;;) {
        int opened;
        int cause;
        mp_error error =
            mpos_file_open_plain(path, O_RDWR | O_NOFOLLOW, &opened);

        if (error != MP_OK)
            return error;
        cause = lock(opened);
        if (cause == 0 && mpos_file_has_path(opened, path)) {
            *file = opened;
            return MP_OK;
        }
        mpos_file_let_go(opened);
        if (cause == EWOULDBLOCK)
            return mpi_fail(MP_ESTATE, "%s is in use", path);
        if (cause != 0)
            return mpi_context(mpos_fail_errno("flock", cause), "%s", path);
    }
}

mp_error mpos_named_open(const char *name, mpos_handle *handle)
{
    char path[PATH_SIZE];
    int file = -1;
    mp_error error;

    path_of(name, path);
    error = open_locked(path, mpos_file_lock_to_use, &file);
    if (error == MP_OK)
        *handle = file;
    return error;
}

/* -- Creating -------------------------------------------------------------- */

static mp_error give_name(const char *draft, const char *path)
{
    if (link(draft, path) == 0)
        return MP_OK;
    return errno == EEXIST ? mpos_file_fail_taken(path)
                           : mpos_fail_errno(path, errno);
}

/* MP_ENOTFOUND: somebody took the draft for a leftover, see draft_is_left().
 * Or it is one, of a process that was like us. */
static mp_error create_drafted(const char *path, const mpos_content *content,
                               int *file)
{
    char draft[PATH_SIZE];
    int opened;
    mp_error error;

    draft_path(draft);
    opened =
        open(draft, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (opened < 0 && errno == EEXIST)
        return mpi_fail(MP_ENOTFOUND, "%s: %s", draft, strerror(errno));
    if (opened < 0)
        return mpos_fail_errno(draft, errno);
    error = mpos_raise_descriptor(&opened);
    if (error != MP_OK) {
        unlink(draft);
        return error;
    }
    error = mpos_file_fill_in_use(opened, content);
    if (error == MP_OK)
        error = give_name(draft, path);
    unlink(draft);
    if (error == MP_OK)
        *file = opened;
    else
        mpos_file_let_go(opened);
    return error;
}

mp_error mpos_named_create(const char *name, mpos_bytes image, size_t size,
                           unsigned permissions, mpos_handle *handle)
{
    const mpos_content content = {image, size, permissions};
    char path[PATH_SIZE];
    int file = -1;
    mp_error error;

    path_of(name, path);
    if (mpos_file_is_taken(path))
        return mpos_file_fail_taken(path);
    error = mpos_file_create_nameless(folder(), path, &content, &file);
    if (error == MP_ENOTSUP)
        error = MP_ENOTFOUND;
    for (int i = 0; error == MP_ENOTFOUND && i < ATTEMPTS; i++)
        error = create_drafted(path, &content, &file);
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
    error = open_locked(path, only_unused ? lock_alone : mpos_file_lock_to_use,
                        &file);
    if (error == MP_ENOTFOUND || (error != MP_OK && only_unused))
        return error;
    if (only_unused && !is_own(file)) {
        mpos_file_let_go(file);
        return mpi_fail(MP_EACCES, "%s: it is another user's", path);
    }
    cause = unlink(path) == 0 ? 0 : errno;
    if (file >= 0)
        mpos_file_let_go(file);
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
        mpos_file_let_go(file);
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
