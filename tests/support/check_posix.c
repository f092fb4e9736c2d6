/* SPDX-License-Identifier: MIT */
/* What is open, running or left, on POSIX. */
#include "check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

size_t support_open_handles(void)
{
    long limit = sysconf(_SC_OPEN_MAX);
    size_t count = 0;

    /* Slower than /proc/self/fd, but the same everywhere. */
    if (limit < 0 || limit > 65536)
        limit = 65536;
    for (int fd = 0; fd < (int)limit; fd++) {
        if (fcntl(fd, F_GETFD) >= 0)
            count++;
    }
    return count;
}

bool support_has_children(void)
{
    siginfo_t info;

    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 ||
           errno != ECHILD;
}

static size_t count_names(const char *prefix)
{
    DIR *folder = opendir("/dev/shm");
    size_t count = 0;
    struct dirent *entry;

    if (folder == NULL)
        return 0;
    while ((entry = readdir(folder)) != NULL) {
        if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0)
            count++;
    }
    closedir(folder);
    return count;
}

size_t support_shared_names(const char *prefix)
{
    const struct timespec moment = {.tv_nsec = 1000000};
    size_t least = count_names(prefix);

    for (int i = 0; least > 0 && i < 100; i++) {
        size_t count;

        nanosleep(&moment, NULL);
        count = count_names(prefix);
        least = count < least ? count : least;
    }
    return least;
}

size_t support_memory_in_use(void)
{
    unsigned long long size, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    struct rusage usage;

    if (file == NULL) {
        /* Only the largest that it ever was, which serves to see growth. */
        getrusage(RUSAGE_SELF, &usage);
        return (size_t)usage.ru_maxrss * 1024;
    }
    if (fscanf(file, "%llu %llu", &size, &resident) != 2)
        resident = 0;
    fclose(file);
    return (size_t)resident * (size_t)sysconf(_SC_PAGESIZE);
}

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1
#endif
#endif

bool support_has_no_vfork(void)
{
#ifdef __SANITIZE_THREAD__
    return true;
#else
    return support_has_valgrind();
#endif
}

bool support_has_valgrind(void)
{
    const char *preloaded = getenv("LD_PRELOAD");

    return preloaded != NULL && strstr(preloaded, "/vgpreload") != NULL;
}

bool support_keeps_sockets(void)
{
    return false;
}
