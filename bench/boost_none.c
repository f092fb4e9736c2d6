/* SPDX-License-Identifier: MIT */
/* boost.h where there is no Boost: rows are absent. */
#include "boost.h"

const char *boost_version(void)
{
    return "";
}

bool boost_open(void)
{
    return false;
}

void boost_close(void)
{
}

void boost_acquire(void)
{
}

void boost_release(void)
{
}

void boost_repeat(int count)
{
    (void)count;
}

bool boost_queue_open(size_t size, size_t count)
{
    (void)size;
    (void)count;
    return false;
}

void boost_queue_close(void)
{
}

void boost_queue_put(const void *data, size_t size)
{
    (void)data;
    (void)size;
}

size_t boost_queue_get(void *data, size_t capacity)
{
    (void)data;
    (void)capacity;
    return 0;
}
