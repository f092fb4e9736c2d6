/* SPDX-License-Identifier: MIT */
/* bare.h by glibc and futex(2). */
#include "bare.h"

#include "boost.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static union bare_lock {
    pthread_mutex_t mutex;
    sem_t semaphore;
} * lock;

static struct game {
    pthread_mutex_t mutex;
    pthread_cond_t condition;
    pthread_barrier_t barrier;
    sem_t semaphores[2];
    int turn;
} * game;

static int set = -1; /* of epoll(7) */
static int set_last;

const char *bare_version(void)
{
    static char text[64];

    /* Empty where it isn't glibc's. */
    if (confstr(_CS_GNU_LIBC_VERSION, text, sizeof(text)) == 0 || *text == 0)
        return "unknown";
    return text;
}

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

/* A view of it; size 0: as large as it is already. */
static char *map_name(const char *name, int flags, size_t size)
{
    int file = shm_open(name, flags | O_RDWR, 0600);
    char *view = MAP_FAILED;
    struct stat known;

    if (file < 0)
        return NULL;
    if ((flags & O_CREAT) == 0 && fstat(file, &known) == 0)
        size = (size_t)known.st_size;
    if ((flags & O_CREAT) == 0 || ftruncate(file, (off_t)size) == 0)
        view = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    return view == MAP_FAILED ? NULL : view;
}

bool bare_memory_cycle(const char *name, size_t size)
{
    char *here = map_name(name, O_CREAT | O_EXCL, size);
    char *there = map_name(name, 0, 0);
    bool is_right = here != NULL && there != NULL;

    if (is_right) {
        memset(there, 'x', size);
        is_right = here[size - 1] == 'x';
    }
    if (there != NULL)
        munmap(there, size);
    if (here != NULL)
        munmap(here, size);
    return shm_unlink(name) == 0 && is_right;
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

static bool make_mutex(pthread_mutex_t *mutex, bool is_robust,
                       bool is_recursive)
{
    pthread_mutexattr_t attributes;
    int type = is_recursive ? PTHREAD_MUTEX_RECURSIVE : PTHREAD_MUTEX_NORMAL;
    bool is_made;

    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_settype(&attributes, type);
    if (is_robust)
        pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    is_made = pthread_mutex_init(mutex, &attributes) == 0;
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
    return make_mutex(&lock->mutex, kind != BARE_MUTEX, kind == BARE_RECURSIVE);
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

/* -- Two processes that wait for each other -------------------------------- */

bool bare_open_game(void)
{
    pthread_condattr_t condition;
    pthread_barrierattr_t barrier;

    game = bare_shared(sizeof(*game));
    if (game == NULL)
        return false;
    pthread_condattr_init(&condition);
    pthread_condattr_setpshared(&condition, PTHREAD_PROCESS_SHARED);
    pthread_barrierattr_init(&barrier);
    pthread_barrierattr_setpshared(&barrier, PTHREAD_PROCESS_SHARED);
    return make_mutex(&game->mutex, false, false) &&
           pthread_cond_init(&game->condition, &condition) == 0 &&
           pthread_barrier_init(&game->barrier, &barrier, 2) == 0 &&
           sem_init(&game->semaphores[0], 1, 0) == 0 &&
           sem_init(&game->semaphores[1], 1, 0) == 0;
}

void bare_close_game(void)
{
    bare_unshare(game, sizeof(*game));
}

void bare_take_turn(int mine)
{
    pthread_mutex_lock(&game->mutex);
    while (game->turn != mine)
        pthread_cond_wait(&game->condition, &game->mutex);
    game->turn = 1 - mine;
    pthread_cond_signal(&game->condition);
    pthread_mutex_unlock(&game->mutex);
}

void bare_give_turn(int whose)
{
    pthread_mutex_lock(&game->mutex);
    game->turn = whose;
    pthread_cond_signal(&game->condition);
    pthread_mutex_unlock(&game->mutex);
}

void bare_post(int which)
{
    sem_post(&game->semaphores[which]);
}

void bare_pend(int which)
{
    while (sem_wait(&game->semaphores[which]) != 0)
        ;
}

void bare_meet(void)
{
    pthread_barrier_wait(&game->barrier);
}

void bare_wait(_Atomic uint32_t *word, uint32_t expected)
{
    syscall(SYS_futex, word, FUTEX_WAIT, expected, NULL, NULL, 0);
}

void bare_wake(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

bool bare_open_set(const intptr_t *handles, size_t count)
{
    set = epoll_create1(EPOLL_CLOEXEC);
    for (size_t i = 0; set >= 0 && i < count; i++) {
        struct epoll_event event = {.events = EPOLLIN,
                                    .data.fd = (int)handles[i]};

        if (epoll_ctl(set, EPOLL_CTL_ADD, (int)handles[i], &event) == 0)
            continue;
        bare_close_set();
        return false;
    }
    set_last = (int)handles[count - 1];
    return set >= 0;
}

void bare_close_set(void)
{
    close(set);
    set = -1;
}

bool bare_send_and_wait(intptr_t to, const void *data, size_t size)
{
    struct epoll_event event;
    char back[4096];

    return write((int)to, data, size) == (ssize_t)size &&
           epoll_wait(set, &event, 1, -1) == 1 && event.data.fd == set_last &&
           read(set_last, back, sizeof(back)) == (ssize_t)size;
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
