/* SPDX-License-Identifier: MIT */
/*
 * A growing run of bytes. Appending never fails at the spot: the buffer
 * remembers (has_failed), so that encoders check once, at the end.
 */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 256 };

bool mpi_buffer_reserve(mpi_buffer *buffer, size_t size)
{
    size_t capacity = buffer->capacity;
    unsigned char *data;

    if (buffer->has_failed)
        return false;
    if (size <= capacity - buffer->size)
        return true;
    if (buffer->is_fixed || size > SIZE_MAX / 2 - buffer->size) {
        buffer->has_failed = true;
        return false;
    }
    if (capacity == 0)
        capacity = FIRST_CAPACITY;
    while (capacity - buffer->size < size)
        capacity *= 2;
    data = mpi_realloc(buffer->data, capacity);
    if (data == NULL) {
        buffer->has_failed = true;
        return false;
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

void mpi_buffer_append(mpi_buffer *buffer, const void *data, size_t size)
{
    if (size == 0 || !mpi_buffer_reserve(buffer, size))
        return;
    memcpy(buffer->data + buffer->size, data, size);
    buffer->size += size;
}

void mpi_buffer_printf(mpi_buffer *buffer, const char *format, ...)
{
    va_list arguments;
    int size;

    va_start(arguments, format);
    size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (size < 0 || !mpi_buffer_reserve(buffer, (size_t)size + 1))
        return;
    va_start(arguments, format);
    vsnprintf((char *)buffer->data + buffer->size, (size_t)size + 1, format,
              arguments);
    va_end(arguments);
    buffer->size += (size_t)size;
}

void mpi_buffer_free(mpi_buffer *buffer)
{
    if (!buffer->is_fixed)
        free(buffer->data);
    *buffer = (mpi_buffer){0};
}
