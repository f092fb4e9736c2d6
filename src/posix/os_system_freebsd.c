/* SPDX-License-Identifier: MIT */
/* What has to be asked in FreeBSD's own way: mostly of sysctl(3). */
#include "os_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread_np.h>
#include <stdio.h>
#include <sys/param.h>
#include <sys/cpuset.h>
#include <sys/procctl.h>
#include <sys/syscall.h>
#include <sys/sysctl.h>
#include <sys/ucred.h>
#include <sys/un.h>
#include <sys/user.h>
#include <unistd.h>

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1 << 2)
#endif

enum { FIRST_FREE = 3 };

const mpos_facts mpos_system = {
    .system = "freebsd",
    .null_device = "/dev/null",
    .has_fork = true,
    .has_objects = false,
    .has_message_pipes = false,
    .loses_wakes = false,
    .memory_grows = true,
    .named_grows = true,
    .exit_code_mask = 0xff,
};

const bool mpos_system_has_abstract = false;

int mpos_system_peer(int stream, uid_t *user, pid_t *pid)
{
    struct xucred who;
    socklen_t size = sizeof(who);

    if (getsockopt(stream, SOL_LOCAL, LOCAL_PEERCRED, &who, &size) != 0)
        return errno;
    if (who.cr_version != XUCRED_VERSION)
        return EOPNOTSUPP;
    *user = who.cr_uid;
    *pid = who.cr_pid; /* 0 before FreeBSD 13 */
    return 0;
}

const clockid_t mpos_clock = CLOCK_MONOTONIC;

void mpos_system_purge(FILE *stream)
{
    fpurge(stream);
}

uint64_t mpos_thread_id(void)
{
    return (uint64_t)pthread_getthreadid_np();
}

bool mpos_system_is_main_thread(void)
{
    return pthread_main_np() == 1;
}

uint64_t mpos_pid_space(void)
{
    return 0;
}

mp_error mpos_start_time(int64_t pid, uint64_t *ticks)
{
    int name[] = {CTL_KERN, KERN_PROC, KERN_PROC_PID, (int)pid};
    struct kinfo_proc process;
    size_t size = sizeof(process);

    if (sysctl(name, 4, &process, &size, NULL, 0) != 0)
        return mpos_fail_errno("sysctl(KERN_PROC_PID)", errno);
    if (size < sizeof(process) || process.ki_stat == SZOMB)
        return mpi_fail(MP_ENOTFOUND, "process %lld has ended", (long long)pid);
    *ticks = (uint64_t)process.ki_start.tv_sec * 1000000 +
             (uint64_t)process.ki_start.tv_usec;
    return MP_OK;
}

unsigned mpos_cpu_count(void)
{
    cpuset_t set;
    long online;

    if (cpuset_getaffinity(CPU_LEVEL_WHICH, CPU_WHICH_PID, -1, sizeof(set),
                           &set) == 0 &&
        CPU_COUNT(&set) > 0)
        return (unsigned)CPU_COUNT(&set);
    online = sysconf(_SC_NPROCESSORS_ONLN);
    return online < 1 ? 1 : (unsigned)online;
}

mp_error mpos_system_program(char *path, size_t size)
{
    int name[] = {CTL_KERN, KERN_PROC, KERN_PROC_PATHNAME, -1};
    size_t length = size;

    if (sysctl(name, 4, path, &length, NULL, 0) != 0)
        return mpi_context(mpos_fail_errno("sysctl(KERN_PROC_PATHNAME)", errno),
                           "can't find this program's own file");
    return MP_OK;
}

int mpos_system_open_program(const char *path)
{
    return open(path, O_EXEC | O_CLOEXEC);
}

int mpos_system_execute(int descriptor, char *const *arguments,
                        char *const *environment)
{
    return fexecve(descriptor, arguments, environment);
}

/* libthr keeps the handlers in its own table, which is our memory still. */
int mpos_system_sigaction(int number, const struct sigaction *action,
                          struct sigaction *before)
{
    return syscall(SYS_sigaction, number, action, before);
}

/* In a vforked child: nothing here may allocate or lock. */
void mpos_system_close_on_exec(void)
{
    int limit;

    if (close_range(FIRST_FREE, ~0U, CLOSE_RANGE_CLOEXEC) == 0)
        return;
    /* Before the flag was known. */
    limit = getdtablesize();
    for (int i = FIRST_FREE; i < limit; i++)
        fcntl(i, F_SETFD, FD_CLOEXEC);
}

/* The child does it itself: here the parent is a process, not a thread. */
int mpos_system_die_with_parent(pid_t parent, bool parent_is_main_thread)
{
    (void)parent;
    (void)parent_is_main_thread;
    return 0;
}

#ifdef MULTIPROC_NO_PDEATHSIG
mp_error mpos_die_with_parent(int64_t parent_pid)
{
    (void)parent_pid;
    return mpi_fail(MP_ENOTSUP, "built without PROC_PDEATHSIG_CTL");
}
#else
mp_error mpos_die_with_parent(int64_t parent_pid)
{
    int number = SIGKILL;

    if (procctl(P_PID, 0, PROC_PDEATHSIG_CTL, &number) != 0)
        return mpos_fail_errno("procctl(PROC_PDEATHSIG_CTL)", ENOSYS);
    if (getppid() != parent_pid)
        return mpi_fail(MP_ENOTFOUND, "the parent, process %lld, has ended",
                        (long long)parent_pid);
    return MP_OK;
}
#endif
