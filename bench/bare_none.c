/* SPDX-License-Identifier: MIT */
/* bare.h where there is nothing to compare with yet: rows are absent. */
#include "bare.h"

const char *bare_version(void)
{
    return "";
}

void *bare_shared(size_t size)
{
    (void)size;
    return NULL;
}

void bare_unshare(void *memory, size_t size)
{
    (void)memory;
    (void)size;
}

bool bare_memory_cycle(const char *name, size_t size)
{
    (void)name;
    (void)size;
    return false;
}

const void *bare_map(const char *path, size_t offset, size_t size)
{
    (void)path;
    (void)offset;
    (void)size;
    return NULL;
}

bool bare_fork(void (*run)(int index, int count), int count)
{
    (void)run;
    (void)count;
    return false;
}

bool bare_open(bare_kind kind)
{
    (void)kind;
    return false;
}

void bare_close(bare_kind kind)
{
    (void)kind;
}

void bare_acquire(bare_kind kind)
{
    (void)kind;
}

void bare_release(bare_kind kind)
{
    (void)kind;
}

bool bare_repeat(bare_kind kind, int count)
{
    (void)kind;
    (void)count;
    return false;
}

bool bare_open_game(void)
{
    return false;
}

void bare_close_game(void)
{
}

void bare_take_turn(int mine)
{
    (void)mine;
}

void bare_give_turn(int whose)
{
    (void)whose;
}

void bare_post(int which)
{
    (void)which;
}

void bare_pend(int which)
{
    (void)which;
}

void bare_meet(void)
{
}

void bare_wait(_Atomic uint32_t *word, uint32_t expected)
{
    (void)word;
    (void)expected;
}

void bare_wake(_Atomic uint32_t *word)
{
    (void)word;
}

bool bare_open_set(const intptr_t *handles, size_t count)
{
    (void)handles;
    (void)count;
    return false;
}

void bare_close_set(void)
{
}

bool bare_send_and_wait(intptr_t to, const void *data, size_t size)
{
    (void)to;
    (void)data;
    (void)size;
    return false;
}

void bare_stay(bool on_one_processor)
{
    (void)on_one_processor;
}

double bare_cpu_time(int64_t pid)
{
    (void)pid;
    return 0;
}
