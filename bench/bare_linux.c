/* SPDX-License-Identifier: MIT */
/* bare.h by glibc and futex(2). */
#include "bare.h"

#include "boost.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static union bare_lock {
    pthread_mutex_t mutex;
    sem_t semaphore;
} * lock;

void *bare_shared(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

void bare_unshare(void *memory, size_t size)
{
    munmap(memory, size);
}

const void *bare_map(const char *path, size_t offset, size_t size)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    void *memory;

    if (file < 0)
        return NULL;
    memory = mmap(NULL, size, PROT_READ, MAP_SHARED, file, (off_t)offset);
    close(file);
    return memory == MAP_FAILED ? NULL : memory;
}

bool bare_fork(void (*run)(int index, int count), int count)
{
    bool is_right = true;

    for (int i = 0; i < count; i++) {
        pid_t pid = fork();

        if (pid == 0) {
            run(i, count);
            _exit(0);
        }
        is_right &= pid > 0;
    }
    for (int i = 0; i < count; i++) {
        int status = -1;

        is_right &= wait(&status) > 0 && status == 0;
    }
    return is_right;
}

static bool make_mutex(bool is_robust, bool is_recursive)
{
    pthread_mutexattr_t attributes;
    int type = is_recursive ? PTHREAD_MUTEX_RECURSIVE : PTHREAD_MUTEX_NORMAL;
    bool is_made;

    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_settype(&attributes, type);
    if (is_robust)
        pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    is_made = pthread_mutex_init(&lock->mutex, &attributes) == 0;
    pthread_mutexattr_destroy(&attributes);
    return is_made;
}

bool bare_open(bare_kind kind)
{
    if (kind == BARE_BOOST)
        return boost_open();
    lock = bare_shared(sizeof(*lock));
    if (lock == NULL)
        return false;
    if (kind == BARE_SEMAPHORE)
        return sem_init(&lock->semaphore, 1, 1) == 0;
    return make_mutex(kind != BARE_MUTEX, kind == BARE_RECURSIVE);
}

void bare_close(bare_kind kind)
{
    if (kind == BARE_BOOST)
        boost_close();
    else
        bare_unshare(lock, sizeof(*lock));
}

void bare_acquire(bare_kind kind)
{
    switch (kind) {
    case BARE_BOOST:
        boost_acquire();
        break;
    case BARE_SEMAPHORE:
        sem_wait(&lock->semaphore);
        break;
    default:
        pthread_mutex_lock(&lock->mutex);
    }
}

void bare_release(bare_kind kind)
{
    switch (kind) {
    case BARE_BOOST:
        boost_release();
        break;
    case BARE_SEMAPHORE:
        sem_post(&lock->semaphore);
        break;
    default:
        pthread_mutex_unlock(&lock->mutex);
    }
}

/* Each in a loop of its own, with nothing else in it. */
bool bare_repeat(bare_kind kind, int count)
{
    int failures = 0;

    switch (kind) {
    case BARE_BOOST:
        boost_repeat(count);
        break;
    case BARE_SEMAPHORE:
        for (int i = 0; i < count; i++) {
            failures |= sem_wait(&lock->semaphore);
            failures |= sem_post(&lock->semaphore);
        }
        break;
    default:
        for (int i = 0; i < count; i++) {
            failures |= pthread_mutex_lock(&lock->mutex);
            failures |= pthread_mutex_unlock(&lock->mutex);
        }
    }
    return failures == 0;
}

void bare_wait(_Atomic uint32_t *word, uint32_t expected)
{
    syscall(SYS_futex, word, FUTEX_WAIT, expected, NULL, NULL, 0);
}

void bare_wake(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

void bare_stay(bool on_one_processor)
{
    static cpu_set_t all;
    cpu_set_t one;

    if (!on_one_processor) {
        sched_setaffinity(0, sizeof(all), &all);
        return;
    }
    sched_getaffinity(0, sizeof(all), &all);
    CPU_ZERO(&one);
    for (size_t i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
        if (CPU_ISSET(i, &all))
            CPU_SET(i, &one);
    sched_setaffinity(0, sizeof(one), &one);
}

double bare_cpu_time(int64_t pid)
{
    struct timespec used = {0, 0};
    clockid_t clock;

    if (clock_getcpuclockid((pid_t)pid, &clock) != 0 ||
        clock_gettime(clock, &used) != 0)
        return 0;
    return (double)used.tv_sec + (double)used.tv_nsec * 1e-9;
}
