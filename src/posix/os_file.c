/* SPDX-License-Identifier: MIT */
/*
 * Memory in a file of the user's, on whatever file system that is.
 *
 * Whole or not at all. Where a file can be without a name (O_TMPFILE), it gets
 * one when it is whole. Elsewhere it is made as a draft, "<path>" DRAFT_SUFFIX,
 * and renamed, never over another file. Who makes the draft holds an exclusive
 * flock(2) on it until it has its name. So a draft that can be locked is left
 * of somebody who was killed, and the next one removes it. And nobody does
 * anything to the name of a draft that is not locked by him: else it might have
 * become the name of another one, which is not whole yet.
 *
 * In use. As with named memory, whoever has it open holds a shared flock(2).
 * Who opens it to write first tries for an exclusive one: that it got it means
 * that nobody else uses the file, and keeps all others out until it lets them
 * in. On Linux, giving that up for a shared one may let another in first, who
 * then is alone and is waited for; neither has used anything of it by then.
 */
#include "os_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/syscall.h>
#endif

#define DRAFT_SUFFIX ".multiproc-draft"

enum { MOST_LINKS = 40 };

/* Whoever writes a large file by hand needs time. */
#define CREATOR_PATIENCE ((int64_t)10 * 1000 * 1000 * 1000)

/* -- Paths ----------------------------------------------------------------- */

/* mpi_malloc'ed, as those below; NULL if memory is short. */
static char *join(const char *first, size_t length, const char *second)
{
    size_t size = length + strlen(second) + 1;
    char *joined = mpi_malloc(size);

    if (joined != NULL)
        snprintf(joined, size, "%.*s%s", (int)length, first, second);
    return joined;
}

/* "", or it ends with a slash. */
static size_t folder_length(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? 0 : (size_t)(slash + 1 - path);
}

static char *folder_of(const char *path)
{
    return join(path, folder_length(path), ".");
}

static char *draft_of(const char *path)
{
    return join(path, strlen(path), DRAFT_SUFFIX);
}

static char *link_target(const char *path, const char *text)
{
    return join(path, *text == '/' ? 0 : folder_length(path), text);
}

/* Where a file of that path would be: a link to what is not there yet is
 * followed, as open() would. */
static mp_error follow_links(const char *path, char **target)
{
    char *place = mpi_strdup(path);

    for (int i = 0; place != NULL && i < MOST_LINKS; i++) {
        char text[PATH_MAX];
        ssize_t length = readlink(place, text, sizeof(text) - 1);
        char *next;

        if (length < 0) {
            *target = place;
            return MP_OK;
        }
        text[length] = '\0';
        next = link_target(place, text);
        free(place);
        place = next;
    }
    if (place == NULL)
        return mpi_no_memory();
    free(place);
    return mpos_fail_errno(path, ELOOP);
}

/* -- Drafts ---------------------------------------------------------------- */

/* 0 or errno, EWOULDBLOCK if somebody else holds it or its name has gone. */
static int lock_draft(int file, const char *draft)
{
    int cause = mpos_file_lock(file, LOCK_EX | LOCK_NB);

    if (cause == 0 && !mpos_file_has_path(file, draft))
        cause = EWOULDBLOCK;
    return cause;
}

static mp_error fail_busy(const char *draft)
{
    return mpi_fail(MP_ESTATE, "somebody else is making %s", draft);
}

/* MP_ESTATE: perhaps the draft can be made now. */
static mp_error remove_left_draft(const char *draft)
{
    int file = -1;
    int cause;
    mp_error error = mpos_file_open_plain(draft, O_RDWR | O_NOFOLLOW, &file);

    /* Another user's may still become a file. */
    if (error == MP_ENOTFOUND || error == MP_EACCES)
        return fail_busy(draft);
    if (error != MP_OK)
        return error;
    cause = lock_draft(file, draft);
    if (cause == 0 && unlink(draft) != 0)
        error = mpos_fail_errno(draft, errno);
    else
        error = fail_busy(draft);
    mpos_file_let_go(file);
    return error;
}

/* Empty and locked. MP_ESTATE: somebody else has it, or had. */
static mp_error make_draft(const char *draft, int *file)
{
    int opened =
        open(draft, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    int cause;
    mp_error error;

    if (opened < 0 && errno == EEXIST)
        return remove_left_draft(draft);
    if (opened < 0)
        return mpos_fail_errno(draft, errno);
    error = mpos_raise_descriptor(&opened);
    if (error != MP_OK)
        return error; /* not locked: see above */
    cause = lock_draft(opened, draft);
    if (cause == 0) {
        *file = opened;
        return MP_OK;
    }
    if (cause != EWOULDBLOCK)
        unlink(draft); /* nobody can lock it */
    mpos_file_let_go(opened);
    return cause == EWOULDBLOCK
               ? fail_busy(draft)
               : mpi_fail(MP_ENOTSUP, "%s: flock: %s", draft, strerror(cause));
}

static mp_error get_draft(const char *draft, const char *path, int *file)
{
    int64_t deadline = mpos_now() + CREATOR_PATIENCE;

    for (;;) {
        mp_error error = make_draft(draft, file);

        if (error != MP_ESTATE || mpos_now() > deadline)
            return error;
        if (mpos_file_is_taken(path))
            return mpos_file_fail_taken(path);
        mpos_sleep_until(mpos_now() + MPOS_FILE_PAUSE);
    }
}

/* 0 or errno. */
static int rename_exclusively(const char *from, const char *to)
{
#if defined(__linux__) && defined(SYS_renameat2)
    const unsigned no_replace = 1; /* RENAME_NOREPLACE */

    return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, no_replace) == 0
               ? 0
               : errno;
#elif defined(__APPLE__)
    return renamex_np(from, to, RENAME_EXCL) == 0 ? 0 : errno;
#else
    (void)from;
    (void)to;
    return ENOSYS;
#endif
}

/* By link() the draft has both names for a moment. If that was the last moment
 * of its maker, it is in use and can't be locked, or it is removed as left. */
static mp_error give_name(const char *draft, const char *path)
{
    int cause = rename_exclusively(draft, path);

    if (cause != 0 && cause != EEXIST) {
        cause = link(draft, path) == 0 ? 0 : errno;
        if (cause == 0)
            unlink(draft);
    }
    if (cause == EEXIST)
        return mpos_file_fail_taken(path);
    if (cause == EPERM || mpos_is_unsupported(cause))
        return mpi_fail(MP_ENOTSUP,
                        "%s: its file system has no way to make a file at "
                        "once: %s",
                        path, strerror(cause));
    return cause == 0 ? MP_OK : mpos_fail_errno(path, cause);
}

static mp_error finish_draft(int file, const char *draft, const char *path,
                             const mpos_content *content)
{
    int cause;
    mp_error error = mpos_file_fill(file, content);

    if (error == MP_OK)
        error = give_name(draft, path);
    if (error != MP_OK) {
        unlink(draft);
        return error;
    }
    cause = mpos_file_lock_to_use(file);
    return cause == 0 ? MP_OK : mpos_fail_errno(path, cause);
}

/* -- Creating -------------------------------------------------------------- */

static mp_error create_nameless(const char *path, const mpos_content *content,
                                int *file)
{
    char *folder = folder_of(path);
    mp_error error;

    if (folder == NULL)
        return mpi_no_memory();
    error = mpos_file_create_nameless(folder, path, content, file);
    free(folder);
    return error;
}

static mp_error create_drafted(const char *path, const mpos_content *content,
                               int *file)
{
    char *draft = draft_of(path);
    int opened = -1;
    mp_error error;

    if (draft == NULL)
        return mpi_no_memory();
    error = get_draft(draft, path, &opened);
    if (error == MP_OK)
        error = finish_draft(opened, draft, path, content);
    free(draft);
    if (error == MP_OK)
        *file = opened;
    else if (opened >= 0)
        mpos_file_let_go(opened);
    return error;
}

static mp_error create(const char *path, const mpos_content *content, int *file)
{
    mp_error error;

    if (mpos_file_is_taken(path))
        return mpos_file_fail_taken(path);
    error = create_nameless(path, content, file);
    return error == MP_ENOTSUP ? create_drafted(path, content, file) : error;
}

mp_error mpos_file_create(const char *path, mpos_bytes image, size_t size,
                          unsigned permissions, mpos_handle *handle)
{
    const mpos_content content = {image, size, permissions};
    char *target = NULL;
    int file = -1;
    mp_error error = follow_links(path, &target);

    if (target != NULL)
        error = create(target, &content, &file);
    free(target);
    if (error == MP_OK)
        *handle = file;
    return error;
}

/* -- Opening --------------------------------------------------------------- */

/* 0 or errno, as mpos_file_lock_to_use(). */
static int lock_to_write(int file, bool *is_alone)
{
    int64_t deadline = mpos_now() + MPOS_FILE_PATIENCE;

    for (;;) {
        int cause = mpos_file_lock(file, LOCK_EX | LOCK_NB);

        *is_alone = cause == 0;
        if (cause == EWOULDBLOCK)
            cause = mpos_file_lock(file, LOCK_SH | LOCK_NB);
        if (cause != EWOULDBLOCK)
            return cause;
        if (mpos_now() >= deadline)
            return EACCES;
        mpos_sleep_until(mpos_now() + MPOS_FILE_PAUSE);
    }
}

/* Who only reads is in nobody's way, and takes no lock: it must not keep the
 * one that comes after a crash from being alone. */
static mp_error use(int file, bool is_read_only, bool *is_alone)
{
    int cause;

    *is_alone = false;
    if (is_read_only)
        return MP_OK;
    cause = lock_to_write(file, is_alone);
    /* Not every file system has locks; then nobody is known to be alone. */
    if (cause == ENOLCK || mpos_is_unsupported(cause))
        cause = 0;
    if (cause != 0)
        return mpos_fail_errno("flock", cause);
    return mpos_file_fill_holes(file, *is_alone);
}

mp_error mpos_file_open(const char *path, bool is_read_only,
                        mpos_handle *handle, bool *is_alone)
{
    bool has_only_us;
    int file = -1;
    mp_error error =
        mpos_file_open_plain(path, is_read_only ? O_RDONLY : O_RDWR, &file);

    if (error != MP_OK)
        return error;
    error = use(file, is_read_only, &has_only_us);
    if (error != MP_OK) {
        mpos_file_let_go(file);
        return mpi_context(error, "%s", path);
    }
    *handle = file;
    *is_alone = has_only_us;
    return MP_OK;
}

/* Without the lock the next one would think that it is alone. */
void mpos_file_admit(mpos_handle handle)
{
    mpos_file_lock((int)handle, LOCK_SH);
}
