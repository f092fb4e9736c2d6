/* SPDX-License-Identifier: MIT */
/* What has to be asked in Linux's own way: mostly of /proc. */
#include "os_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OWN_FILE "/proc/self/exe"

enum { FIRST_FREE = 3, CLOSE_ON_EXEC = 1U << 2 /* CLOSE_RANGE_CLOEXEC */ };

const mpos_facts mpos_system = {
    .system = "linux",
    .null_device = "/dev/null",
    .has_fork = true,
    .has_objects = false,
    .has_message_pipes = false,
    .loses_wakes = false,
    .memory_grows = true,
    .named_grows = true,
    .exit_code_mask = 0xff,
};

const bool mpos_system_has_abstract = true;

int mpos_system_peer(int stream, uid_t *user, pid_t *pid)
{
    struct ucred who;
    socklen_t size = sizeof(who);

    if (getsockopt(stream, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0)
        return errno;
    *user = who.uid;
    *pid = who.pid;
    return 0;
}

/* It stands still while the machine sleeps. */
const clockid_t mpos_clock = CLOCK_MONOTONIC;

uint64_t mpos_thread_id(void)
{
    return (uint64_t)syscall(SYS_gettid);
}

bool mpos_system_is_main_thread(void)
{
    return (pid_t)syscall(SYS_gettid) == getpid();
}

void mpos_system_purge(FILE *stream)
{
    /* As in mpos_close_input(). What it returns differs between libcs. */
    static const volatile __typeof__(&__fpurge) purge = __fpurge;

    purge(stream);
}

/* -- Start time ------------------------------------------------------------ */

/* Fields of proc(5)'s stat. The second is in parentheses and may contain both
 * spaces and parentheses, so counting begins behind the last one. */
enum { STATE = 3, THREADS = 20, START_TIME = 22 };

/* NULL: there are not as many. */
static const char *field_of(const char *stat, int number)
{
    const char *place = strrchr(stat, ')');

    for (int field = 2; place != NULL && field < number; field++) {
        place = strchr(place, ' ');
        place = place != NULL ? place + 1 : NULL;
    }
    return place;
}

static mp_error parse_start_time(const char *stat, uint64_t *ticks)
{
    const char *state = field_of(stat, STATE);
    const char *threads = field_of(stat, THREADS);
    const char *start_time = field_of(stat, START_TIME);

    if (state == NULL || threads == NULL || start_time == NULL)
        return mpi_fail(MP_EIO, "/proc/<pid>/stat: unknown format");
    /* Where only the main thread has ended, there are others left. */
    if ((*state == 'Z' || *state == 'X') && strtol(threads, NULL, 10) <= 1)
        return mpi_fail(MP_ENOTFOUND, "the process has ended");
    *ticks = strtoull(start_time, NULL, 10);
    return MP_OK;
}

/*
 * A container may lack /proc, or show that of other processes, in which our
 * numbers mean somebody else. Asked once in each process, as far as it is well.
 */
static mp_error check_proc(void)
{
    static mpi_atomic32 checked; /* the pid for which all was well */
    char self[24];
    uint32_t pid = (uint32_t)getpid();
    ssize_t size;

    if (mpi_atomic32_load(&checked) == pid)
        return MP_OK;
    size = readlink("/proc/self", self, sizeof(self) - 1);
    if (size < 0)
        return mpi_fail(MP_ENOTSUP, "/proc/self: %s", strerror(errno));
    self[size] = '\0';
    if (strtoul(self, NULL, 10) != pid)
        return mpi_fail(MP_ENOTSUP, "/proc belongs to another PID namespace");
    mpi_atomic32_store(&checked, pid);
    return MP_OK;
}

static mp_error fail_open(const char *path, int cause)
{
    /* It was well, but no longer is? */
    if (cause == ENOENT && access("/proc/self", F_OK) != 0)
        return mpi_fail(MP_ENOTSUP, "/proc/self: %s", strerror(errno));
    return mpos_fail_errno(path, cause);
}

mp_error mpos_start_time(int64_t pid, uint64_t *ticks)
{
    char path[48];
    char stat[1024];
    ssize_t size;
    int cause;
    int file;
    mp_error error = check_proc();

    if (error != MP_OK)
        return error;
    snprintf(path, sizeof(path), "/proc/%lld/stat", (long long)pid);
    file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return fail_open(path, errno);
    do {
        size = read(file, stat, sizeof(stat) - 1);
    } while (size < 0 && errno == EINTR);
    cause = errno;
    close(file);
    /* ESRCH: it ended in between. */
    if (size < 0)
        return mpos_fail_errno(path, cause);
    stat[size] = '\0';
    return parse_start_time(stat, ticks);
}

uint64_t mpos_pid_space(void)
{
    struct stat status;

    return stat("/proc/self/ns/pid", &status) == 0 ? status.st_ino : 0;
}

/* -- Processors ------------------------------------------------------------ */

unsigned mpos_cpu_count(void)
{
    long online;

    /* Doubled until the kernel's own set fits. */
    for (size_t cpus = CPU_SETSIZE; cpus <= 1U << 20; cpus *= 2) {
        cpu_set_t *set = CPU_ALLOC(cpus);
        size_t size = CPU_ALLOC_SIZE(cpus);
        int count = 0;
        bool is_too_small = false;

        if (set == NULL)
            break;
        if (sched_getaffinity(0, size, set) == 0)
            count = CPU_COUNT_S(size, set);
        else
            is_too_small = errno == EINVAL;
        CPU_FREE(set);
        if (count > 0)
            return (unsigned)count;
        if (!is_too_small)
            break;
    }
    online = sysconf(_SC_NPROCESSORS_ONLN);
    return online < 1 ? 1 : (unsigned)online;
}

/* -- The program's file ---------------------------------------------------- */

mp_error mpos_system_program(char *path, size_t size)
{
    ssize_t length = readlink(OWN_FILE, path, size - 1);
    const char *name = (const char *)getauxval(AT_EXECFN);
    char *resolved;

    if (length > 0) {
        path[length] = '\0';
        return MP_OK;
    }
    /* No /proc: the name we were executed by, as the kernel tells. */
    resolved = name != NULL ? realpath(name, NULL) : NULL;
    if (resolved == NULL || strlen(resolved) >= size) {
        free(resolved);
        return mpi_fail(
            MP_ENOTFOUND,
            "can't find this program's own file: there is neither " OWN_FILE
            " nor '%s'",
            name != NULL ? name : "");
    }
    memcpy(path, resolved, strlen(resolved) + 1);
    free(resolved);
    return MP_OK;
}

/*
 * Under valgrind the link leads to valgrind's own file, though it reads as
 * ours. Otherwise it never reads as another file than it leads to: when ours
 * was removed or replaced, it reads "... (deleted)".
 */
static bool leads_astray(int link, const char *path)
{
    struct stat linked;
    struct stat named;

    return fstat(link, &linked) != 0 ||
           (stat(path, &named) == 0 &&
            (named.st_dev != linked.st_dev || named.st_ino != linked.st_ino));
}

int mpos_system_open_program(const char *path)
{
    int program = open(OWN_FILE, O_PATH | O_CLOEXEC);

    if (program >= 0 && !leads_astray(program, path))
        return program;
    if (program >= 0)
        close(program);
    return open(path, O_PATH | O_CLOEXEC);
}

int mpos_system_execute(int descriptor, char *const *arguments,
                        char *const *environment)
{
    return (int)syscall(SYS_execveat, descriptor, "", arguments, environment,
                        AT_EMPTY_PATH);
}

int mpos_system_sigaction(int number, const struct sigaction *action,
                          struct sigaction *before)
{
    return sigaction(number, action, before);
}

/* -- Close-on-exec for all ------------------------------------------------- */

/* In a vforked child: nothing here may allocate or lock. */

#ifdef MULTIPROC_NO_CLOSE_RANGE
static int mark_range(void)
{
    return ENOSYS;
}
#else
static int mark_range(void)
{
    /* Linux 5.11 */
    long result = syscall(SYS_close_range, (unsigned)FIRST_FREE, ~0U,
                          (unsigned)CLOSE_ON_EXEC);

    return result == 0 ? 0 : errno;
}
#endif

/* What getdents64(2) fills in. */
typedef struct directory_entry {
    uint64_t inode;
    int64_t offset;
    unsigned short size;
    unsigned char type;
    char name[];
} directory_entry;

static void mark_named(const char *name)
{
    int descriptor = 0;

    for (; *name >= '0' && *name <= '9'; name++)
        descriptor = descriptor * 10 + (*name - '0');
    if (*name == '\0' && descriptor >= FIRST_FREE)
        fcntl(descriptor, F_SETFD, FD_CLOEXEC);
}

static int mark_listed(void)
{
    _Alignas(directory_entry) char entries[1024];
    int directory = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    long size;

    if (directory < 0)
        return errno;
    while ((size = syscall(SYS_getdents64, directory, entries,
                           sizeof(entries))) > 0) {
        long place = 0;

        while (place < size) {
            const directory_entry *entry =
                (const directory_entry *)(const void *)(entries + place);

            mark_named(entry->name);
            place += entry->size;
        }
    }
    close(directory);
    return size == 0 ? 0 : errno;
}

static void mark_each(void)
{
    const rlim_t sane = 1 << 20; /* what the kernel allows unless asked to */
    struct rlimit limit = {0, sane};

    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max > sane)
        limit.rlim_max = sane;
    for (int i = FIRST_FREE; i < (int)limit.rlim_max; i++)
        fcntl(i, F_SETFD, FD_CLOEXEC);
}

void mpos_system_close_on_exec(void)
{
    if (mark_range() != 0 && mark_listed() != 0)
        mark_each();
}

/* -- Dying with the parent ------------------------------------------------- */

/*
 * PR_SET_PDEATHSIG counts the thread that started us as the parent. Only of
 * the main thread is it known that it lives as long as its process does (save
 * for one that calls pthread_exit in main).
 */

#ifdef MULTIPROC_NO_PDEATHSIG
int mpos_system_die_with_parent(pid_t parent, bool parent_is_main_thread)
{
    (void)parent;
    (void)parent_is_main_thread;
    return 0;
}

mp_error mpos_die_with_parent(int64_t parent_pid)
{
    (void)parent_pid;
    return mpi_fail(MP_ENOTSUP, "built without PR_SET_PDEATHSIG");
}
#else
int mpos_system_die_with_parent(pid_t parent, bool parent_is_main_thread)
{
    if (!parent_is_main_thread)
        return 0;
    if (prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL) != 0)
        return errno;
    return getppid() == parent ? 0 : ESRCH;
}

mp_error mpos_die_with_parent(int64_t parent_pid)
{
    int number = 0;

    if (mpos_fork_was_in_main_thread())
        prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL);
    /* Set here, or before exec, which it survives. */
    if (prctl(PR_GET_PDEATHSIG, &number) != 0 || number != SIGKILL)
        return mpi_fail(MP_ENOTSUP, "PR_SET_PDEATHSIG: the thread that started "
                                    "this process may end before its process");
    if (getppid() != parent_pid)
        return mpi_fail(MP_ENOTFOUND, "the parent, process %lld, has ended",
                        (long long)parent_pid);
    return MP_OK;
}
#endif
