/* SPDX-License-Identifier: MIT */
/* Running this program again for one test, on POSIX. */
#include "testing.h"

#ifdef MULTIPROC_HAVE_CRITERION

typedef int support_uses_criterion;

#else

#include "testing_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t running_group;

/* The test is in a process group of its own, which Ctrl-C does not reach. */
static void pass_on(int number)
{
    if (running_group > 0)
        kill(-(pid_t)running_group, SIGKILL);
    signal(number, SIG_DFL);
    raise(number);
}

static void run_child(const char *program, const char *argument)
{
    char *const arguments[] = {(char *)program, (char *)argument, NULL};

    setpgid(0, 0);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    /* argv[0] first: under valgrind /proc/self/exe is valgrind. */
    if (strchr(program, '/') != NULL)
        execv(program, arguments);
    execvp("/proc/self/exe", arguments);
    execvp(program, arguments);
    _exit(127);
}

static void sleep_milliseconds(long milliseconds)
{
    struct timespec pause = {.tv_nsec = milliseconds * 1000000L};

    nanosleep(&pause, NULL);
}

/* False: time is up. */
static bool await_end(pid_t pid, double seconds, int *status)
{
    double deadline = support_seconds() + seconds;
    long pause = 1;

    while (waitpid(pid, status, WNOHANG) == 0) {
        if (seconds > 0 && support_seconds() >= deadline)
            return false;
        sleep_milliseconds(pause);
        if (pause < 8)
            pause++;
    }
    return true;
}

bool support_run_again(const char *program, const char *argument,
                       double seconds, support_outcome *outcome)
{
    int status = 0;
    pid_t pid = fork();

    if (pid < 0)
        return false;
    if (pid == 0)
        run_child(program, argument);

    setpgid(pid, pid); /* both do it: nobody knows who comes first */
    running_group = pid;
    signal(SIGINT, pass_on);
    signal(SIGTERM, pass_on);
    outcome->has_timed_out = !await_end(pid, seconds, &status);
    /* Also what a test has left behind: it would hold our output open. */
    kill(-pid, SIGKILL);
    if (outcome->has_timed_out) {
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            continue;
    }
    running_group = 0;
    outcome->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    outcome->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    return true;
}

void support_prepare_to_crash(void)
{
    struct rlimit none = {0};

    setrlimit(RLIMIT_CORE, &none);
}

uint64_t support_thread_id(void)
{
    static _Thread_local char place;

    /* The pid, because a forked child has the same addresses. */
    return (uint64_t)(uintptr_t)&place ^ (uint64_t)getpid() << 48;
}

double support_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

#endif
