/* SPDX-License-Identifier: MIT */
/* stream.h where there is nothing to compare with yet: rows are absent. */
#include "stream.h"

bool stream_open_sink(size_t piece)
{
    (void)piece;
    return false;
}

void stream_close_sink(void)
{
}

bool stream_pour(const void *data, size_t piece, int count)
{
    (void)data;
    (void)piece;
    (void)count;
    return false;
}

bool stream_open_idle(intptr_t *handles, size_t count)
{
    (void)handles;
    (void)count;
    return false;
}

void stream_close_idle(const intptr_t *handles, size_t count)
{
    (void)handles;
    (void)count;
}

bool stream_open_poll(const intptr_t *handles, size_t count)
{
    (void)handles;
    (void)count;
    return false;
}

void stream_close_poll(void)
{
}

bool stream_send_and_poll(intptr_t to, const void *data, size_t size)
{
    (void)to;
    (void)data;
    (void)size;
    return false;
}

bool stream_open_door(void)
{
    return false;
}

void stream_close_door(void)
{
}

bool stream_knock(void)
{
    return false;
}
