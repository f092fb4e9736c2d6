/* SPDX-License-Identifier: MIT */
/* system.h by POSIX: posix_spawn and waitpid, fork, socketpair. */
#include "system.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096 };

extern char **environ;

static const char *own_program;
static int echo_end = -1;
static pid_t echo_pid;
static pid_t peer_pid;

double system_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

void system_set_program(const char *path)
{
    own_program = path;
}

const char *system_program(void)
{
    return own_program;
}

/* -- Bare processes -------------------------------------------------------- */

static int collect(pid_t pid)
{
    int status;

    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int system_spawn_bare(const char *argument)
{
    char *arguments[] = {(char *)(size_t)own_program, (char *)(size_t)argument,
                         NULL};
    pid_t pid;

    if (posix_spawn(&pid, own_program, NULL, NULL, arguments, environ) != 0)
        return -1;
    return collect(pid);
}

int system_fork_bare(void)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    return pid < 0 ? -1 : collect(pid);
}

/* With stdin and stdout; a negative one is as ours. */
static pid_t spawn_with(const char *program, const char *argument, int input,
                        int output)
{
    char *arguments[] = {(char *)(size_t)program, (char *)(size_t)argument,
                         NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int failure;

    posix_spawn_file_actions_init(&actions);
    if (input >= 0)
        posix_spawn_file_actions_adddup2(&actions, input, 0);
    if (output >= 0)
        posix_spawn_file_actions_adddup2(&actions, output, 1);
    failure = posix_spawnp(&pid, program, &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    return failure == 0 ? pid : -1;
}

static bool open_pair(int ends[2])
{
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        return false;
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    return true;
}

/* -- Many at once ---------------------------------------------------------- */

int system_run_wait(void)
{
    char byte = 'x';

    if (write(1, &byte, 1) != 1)
        return 1;
    while (read(0, &byte, 1) > 0)
        ;
    return 0;
}

bool system_allow_many(int count)
{
    rlim_t needed = (rlim_t)count * 2 + 100;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return false;
    if (limit.rlim_cur >= needed)
        return true;
    limit.rlim_cur = limit.rlim_max < needed ? limit.rlim_max : needed;
    return limit.rlim_cur >= needed && setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

static bool await_bytes(int descriptor, int count)
{
    char bytes[256];

    while (count > 0) {
        ssize_t got = read(descriptor, bytes, sizeof(bytes));

        if (got <= 0)
            return false;
        count -= (int)got;
    }
    return true;
}

int system_start_together(int count)
{
    pid_t *pids = calloc((size_t)count, sizeof(*pids));
    int arrival[2], gate[2];
    int well = 0;

    if (pids == NULL || !open_pair(arrival) || !open_pair(gate))
        return -1;
    for (int i = 0; i < count; i++)
        pids[i] = spawn_with(own_program, SYSTEM_WAIT, gate[0], arrival[1]);
    close(arrival[1]);
    close(gate[0]);
    if (!await_bytes(arrival[0], count))
        well = -1;
    close(gate[1]);
    close(arrival[0]);
    for (int i = 0; i < count; i++)
        if (collect(pids[i]) == 0)
            well++;
    free(pids);
    return well;
}

/* -- Echo ------------------------------------------------------------------ */

static bool transfer(int descriptor, char *data, size_t size, bool is_read)
{
    while (size > 0) {
        ssize_t done = is_read ? read(descriptor, data, size)
                               : write(descriptor, data, size);

        if (done <= 0)
            return false;
        data += done;
        size -= (size_t)done;
    }
    return true;
}

int system_run_echo(void)
{
    char data[PAGE];
    ssize_t got;

    while ((got = read(0, data, sizeof(data))) > 0)
        if (!transfer(0, data, (size_t)got, false))
            return 1;
    return 0;
}

bool system_open_echo(void)
{
    int ends[2];

    if (!open_pair(ends))
        return false;
    echo_pid = spawn_with(own_program, SYSTEM_ECHO, ends[1], -1);
    close(ends[1]);
    echo_end = ends[0];
    return echo_pid > 0;
}

bool system_exchange(const void *message, void *answer, size_t size)
{
    return transfer(echo_end, (char *)(size_t)message, size, false) &&
           transfer(echo_end, answer, size, true);
}

void system_close_echo(void)
{
    close(echo_end);
    collect(echo_pid);
}

/* -- A peer to talk to ----------------------------------------------------- */

bool system_start_peer(const char *program, const char *argument,
                       FILE **commands, FILE **answers)
{
    int ends[2];

    if (!open_pair(ends))
        return false;
    peer_pid = spawn_with(program, argument, ends[1], ends[1]);
    close(ends[1]);
    *commands = fdopen(ends[0], "w");
    *answers = fdopen(fcntl(ends[0], F_DUPFD_CLOEXEC, 3), "r");
    return peer_pid > 0 && *commands != NULL && *answers != NULL;
}

void system_stop_peer(void)
{
    if (peer_pid > 0)
        collect(peer_pid);
    peer_pid = 0;
}

/* -- What this process holds ----------------------------------------------- */

size_t system_count_handles(void)
{
    DIR *directory = opendir("/dev/fd");
    size_t count = 0;

    if (directory == NULL)
        return 0;
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

/* The most there ever was, where the present amount can't be had. */
size_t system_count_memory(void)
{
    unsigned long long total, resident = 0;
    struct rusage usage;
    FILE *file = fopen("/proc/self/statm", "re");

    if (file != NULL) {
        if (fscanf(file, "%llu %llu", &total, &resident) != 2)
            resident = 0;
        fclose(file);
    }
    if (resident > 0)
        return (size_t)resident * (size_t)sysconf(_SC_PAGESIZE);
    getrusage(RUSAGE_SELF, &usage);
    return (size_t)usage.ru_maxrss * 1024;
}

bool system_has_zombies(void)
{
    siginfo_t info;

    memset(&info, 0, sizeof(info));
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid != 0;
}

/* Where the system doesn't tell, it is for the user to know. */
bool system_has_memory(size_t size)
{
    unsigned long long available = 0;
    char line[128];
    FILE *file = fopen("/proc/meminfo", "re");

    if (file == NULL)
        return true;
    while (fgets(line, sizeof(line), file) != NULL)
        if (sscanf(line, "MemAvailable: %llu kB", &available) == 1)
            break;
    fclose(file);
    return available * 1024 > (unsigned long long)size * 2;
}

void *system_touch_memory(size_t size)
{
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        return NULL;
    for (size_t i = 0; i < size; i += PAGE)
        memory[i] = 1;
    return memory;
}

void system_drop_memory(void *memory, size_t size)
{
    munmap(memory, size);
}
