/* SPDX-License-Identifier: MIT */
/* What has to be asked in macOS's own way. */
#include "os_internal.h"

#include <errno.h>
#include <libproc.h>
#include <mach-o/dyld.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/proc.h>
#include <sys/sysctl.h>
#include <sys/un.h>
#include <unistd.h>

const mpos_facts mpos_system = {
    .system = "macos",
    .null_device = "/dev/null",
    .has_fork = true,
    .has_objects = false,
    .has_message_pipes = false,
    .loses_wakes = false,
    .memory_grows = false,
    .named_grows = false,
    .exit_code_mask = 0xff,
};

const bool mpos_system_has_abstract = false;

int mpos_system_peer(int stream, uid_t *user, pid_t *pid)
{
    gid_t group;
    socklen_t size = sizeof(*pid);

    if (getpeereid(stream, user, &group) != 0)
        return errno;
    if (getsockopt(stream, SOL_LOCAL, LOCAL_PEERPID, pid, &size) != 0)
        *pid = 0;
    return 0;
}

/* CLOCK_MONOTONIC goes on here while the machine sleeps. */
const clockid_t mpos_clock = CLOCK_UPTIME_RAW;

void mpos_system_purge(FILE *stream)
{
    fpurge(stream);
}

uint64_t mpos_thread_id(void)
{
    uint64_t id = 0;

    pthread_threadid_np(NULL, &id);
    return id;
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
    /* Nobody by that number is an empty answer. */
    if (size < sizeof(process) || process.kp_proc.p_stat == SZOMB)
        return mpi_fail(MP_ENOTFOUND, "process %lld has ended", (long long)pid);
    *ticks = (uint64_t)process.kp_proc.p_starttime.tv_sec * 1000000 +
             (uint64_t)process.kp_proc.p_starttime.tv_usec;
    return MP_OK;
}

unsigned mpos_cpu_count(void)
{
    /* There is no affinity to ask about. */
    long online = sysconf(_SC_NPROCESSORS_ONLN);

    return online < 1 ? 1 : (unsigned)online;
}

mp_error mpos_system_program(char *path, size_t size)
{
    uint32_t capacity = (uint32_t)size;
    char *resolved;

    /* By its vnode, hence also when it was renamed. */
    if (proc_pidpath(getpid(), path, capacity) > 0)
        return MP_OK;
    if (_NSGetExecutablePath(path, &capacity) != 0)
        return mpi_fail(MP_ENOTFOUND, "can't find this program's own file: "
                                      "its path is too long");
    resolved = realpath(path, NULL);
    if (resolved == NULL || strlen(resolved) >= size) {
        free(resolved);
        return mpi_fail(MP_ENOTFOUND,
                        "can't find this program's own file: it is not at '%s'",
                        path);
    }
    memcpy(path, resolved, strlen(resolved) + 1);
    free(resolved);
    return MP_OK;
}

/* A descriptor can't be executed. */
int mpos_system_open_program(const char *path)
{
    (void)path;
    return -1;
}

mp_error mpos_die_with_parent(int64_t parent_pid)
{
    (void)parent_pid;
    return mpi_fail(MP_ENOTSUP, "macOS does not end a process with its parent");
}
