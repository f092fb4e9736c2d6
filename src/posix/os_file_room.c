/* SPDX-License-Identifier: MIT */
/*
 * Room in files: it is there before anybody maps them. A store into a hole for
 * which there is no room left would end the process (SIGBUS).
 *
 * The file system is asked for it. One that can't (NFS, ZFS, most of FUSE) is
 * written zeros to, but only where nobody else can have stored anything: beyond
 * the end, or in holes of a file that nobody else uses. Both go on without
 * signals, each of which would make the system begin anew.
 */
#include "os_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/vfs.h>
#endif

enum {
    LARGE = 16 << 20, /* smaller than this, the machine has it */
    ZEROS_SIZE = 256 << 10,
    COUNTED_UNIT = 512, /* of st_blocks */
};

/* -- Whether there is room ------------------------------------------------- */

#ifdef __linux__
#define TMPFS 0x01021994 /* <linux/magic.h>, which musl does not have */

static bool find_number(FILE *file, const char *format, unsigned long long *kib)
{
    char line[128];

    rewind(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, format, kib) == 1)
            return true;
    }
    return false;
}

static bool is_memory(int file)
{
    struct statfs status;

    return fstatfs(file, &status) == 0 && status.f_type == TMPFS;
}

/*
 * A memfd has no limit of its own: fallocate() would go on until the kernel
 * kills some process for want of memory.
 */
static bool machine_has(int file, uint64_t size)
{
    unsigned long long available = 0;
    unsigned long long swap = 0;
    FILE *numbers;
    bool is_known;

    if (size < LARGE || !is_memory(file))
        return true;
    numbers = fopen("/proc/meminfo", "re");
    if (numbers == NULL)
        return true;
    is_known = find_number(numbers, "MemAvailable: %llu", &available);
    find_number(numbers, "SwapFree: %llu", &swap);
    fclose(numbers);
    return !is_known || size / 1024 <= available + swap;
}
#else
static bool is_memory(int file)
{
    (void)file;
    return false;
}

static bool machine_has(int file, uint64_t size)
{
    (void)file;
    (void)size;
    return true;
}
#endif

/*
 * Asked first, since a file system that finds no room only at the end need not
 * give back what it has found until then. What is no file has no numbers, and
 * what has no limit says 0 of 0.
 */
static bool has_room(int file, uint64_t size)
{
    struct statvfs status;
    uint64_t left;

    if (!machine_has(file, size))
        return false;
    if (fstatvfs(file, &status) != 0 || status.f_blocks == 0)
        return true;
    left = geteuid() == 0 ? status.f_bfree : status.f_bavail;
    return status.f_frsize == 0 || size / status.f_frsize <= left;
}

/* -- Asking the file system for it ----------------------------------------- */

/*
 * 0 or errno, EOPNOTSUPP if this file system can't. The file is as long as that
 * afterwards, never shorter; what it holds stays.
 */
#if defined(__linux__)
static int allocate(int file, off_t from, off_t to)
{
    int result;

    do {
        result = fallocate(file, 0, from, to - from);
    } while (result != 0 && errno == EINTR);
    if (result == 0)
        return 0;
    return errno == ENOSYS ? EOPNOTSUPP : errno;
}
#elif defined(__APPLE__)
/* Only beyond the end. Nobody else has the file yet: it may be cut there. */
static int allocate(int file, off_t from, off_t to)
{
    fstore_t wish = {F_ALLOCATEALL, F_PEOFPOSMODE, 0, 0, 0};
    struct stat status;

    if (fstat(file, &status) != 0)
        return errno;
    if (from != status.st_size || to <= from)
        return EOPNOTSUPP;
    wish.fst_length = to - from;
    if (fcntl(file, F_PREALLOCATE, &wish) != 0)
        return errno == ENOSPC || errno == EDQUOT ? errno : EOPNOTSUPP;
    return ftruncate(file, to) == 0 ? 0 : errno;
}
#else
static int allocate(int file, off_t from, off_t to)
{
    int cause;

    do {
        cause = posix_fallocate(file, from, to - from);
    } while (cause == EINTR);
    /* ZFS says EINVAL. */
    return cause == EINVAL || cause == ENODEV ? EOPNOTSUPP : cause;
}
#endif

/* -- Writing --------------------------------------------------------------- */

/* 0 or errno. */
static int write_all(int file, mpos_bytes part, off_t offset)
{
    const unsigned char *place = part.data;
    size_t left = part.size;

    while (left > 0) {
        size_t size = left < INT_MAX ? left : INT_MAX; /* macOS's limit */
        ssize_t written = pwrite(file, place, size, offset);

        if (written == 0)
            return ENOSPC;
        if (written < 0 && errno != EINTR)
            return errno;
        if (written > 0) {
            place += written;
            offset += written;
            left -= (size_t)written;
        }
    }
    return 0;
}

static int write_zeros(int file, off_t from, off_t to)
{
    void *zeros = mpi_calloc(1, ZEROS_SIZE);
    int cause = zeros == NULL ? ENOMEM : 0;

    while (cause == 0 && from < to) {
        off_t left = to - from;
        mpos_bytes part = {zeros, ZEROS_SIZE};

        if (left < ZEROS_SIZE)
            part.size = (size_t)left;
        cause = write_all(file, part, from);
        from += (off_t)part.size;
    }
    free(zeros);
    return cause;
}

/* -- Reserving ------------------------------------------------------------- */

static uint64_t holes_in(const struct stat *status)
{
    uint64_t there = (uint64_t)status->st_blocks * COUNTED_UNIT;
    uint64_t size = (uint64_t)status->st_size;

    return there < size ? size - there : 0;
}

/* At most so much of it has to be found: what lies beyond the end, and what was
 * given back in front of it. */
static uint64_t missing_in(const struct stat *status, off_t from, off_t to)
{
    uint64_t holes = holes_in(status);
    uint64_t inside = 0, beyond = 0;

    if (to > status->st_size)
        beyond = (uint64_t)(from > status->st_size ? to - from
                                                   : to - status->st_size);
    inside = (uint64_t)(to - from) - beyond;
    return beyond + (inside < holes ? inside : holes);
}

/* What is in front of the end was reserved by who has written or reserved it;
 * perhaps it was killed before it could say so. */
static int reserve(int file, off_t from, off_t to)
{
    struct stat status;
    uint64_t missing;
    off_t begin;
    int cause;

    if (fstat(file, &status) != 0)
        return errno;
    begin = status.st_size > from ? status.st_size : from;
    missing = missing_in(&status, from, to);
    if (missing > 0 && !has_room(file, missing))
        return ENOSPC;
    cause = allocate(file, from, to);
    return cause == EOPNOTSUPP ? write_zeros(file, begin, to) : cause;
}

mp_error mpos_file_reserve(int file, size_t from, size_t to)
{
    mpos_size_signal held;
    int cause;

    if (to <= from)
        return MP_OK;
    if (to > (size_t)INT64_MAX)
        return mpi_fail(MP_ENOSPC, "%zu bytes are more than any file has", to);
    mpos_size_signal_begin(&held);
    cause = reserve(file, (off_t)from, (off_t)to);
    mpos_size_signal_end(&held, cause);
    if (cause == ENOSPC)
        return mpi_fail(MP_ENOSPC, "there is no room for %zu bytes", to - from);
    return cause == 0 ? MP_OK : mpos_fail_errno("reserving room", cause);
}

/* Who can't only keeps it. */
#ifdef FALLOC_FL_PUNCH_HOLE /* Linux */
void mpos_file_return(int file, size_t from, size_t to)
{
    int result;

    do {
        result = fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                           (off_t)from, (off_t)(to - from));
    } while (result != 0 && errno == EINTR);
}
#else
void mpos_file_return(int file, size_t from, size_t to)
{
    (void)file;
    (void)from;
    (void)to;
}
#endif

mp_error mpos_file_write(int file, mpos_bytes image)
{
    mpos_size_signal held;
    int cause;

    mpos_size_signal_begin(&held);
    cause = write_all(file, image, 0);
    mpos_size_signal_end(&held, cause);
    return cause == 0 ? MP_OK : mpos_fail_errno("write", cause);
}

/* -- Holes ----------------------------------------------------------------- */

/* The next one from *end on. A file system that does not tell has none. */
static bool find_hole(int file, off_t size, off_t *begin, off_t *end)
{
    *begin = lseek(file, *end, SEEK_HOLE);
    if (*begin < *end || *begin >= size)
        return false;
    *end = lseek(file, *begin, SEEK_DATA);
    /* No more data; or there is some by now. */
    if (*end < 0 || *end > size)
        *end = size;
    if (*end == *begin)
        *end = *begin + 1;
    return true;
}

static int fill_holes(int file, bool is_alone)
{
    struct stat status;
    uint64_t missing;
    off_t begin, end = 0;

    if (fstat(file, &status) != 0)
        return errno;
    missing = holes_in(&status);
    if (missing > 0 && !has_room(file, missing))
        return ENOSPC;
    /* A tmpfs counts nothing else, and takes long to walk. */
    if (missing == 0 && is_memory(file))
        return 0;
    while (find_hole(file, status.st_size, &begin, &end)) {
        int cause = allocate(file, begin, end);

        /* Whoever was alone before us has filled them. */
        if (cause == EOPNOTSUPP)
            cause = is_alone ? write_zeros(file, begin, end) : 0;
        /* Reserved but never written is a hole, too; XFS wants as much again
         * to say so. */
        if (cause == ENOSPC && missing == 0)
            cause = 0;
        if (cause != 0)
            return cause;
    }
    return 0;
}

mp_error mpos_file_fill_holes(int file, bool is_alone)
{
    mpos_size_signal held;
    int cause;

    mpos_size_signal_begin(&held);
    cause = fill_holes(file, is_alone);
    mpos_size_signal_end(&held, cause);
    return cause == 0 ? MP_OK : mpos_fail_errno("filling holes", cause);
}
